#include "store/postgres/scan_print.h"

#include "base/sha256.h"
#include "store/postgres/scan_form.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 256
#define DAYS_TO_2000 10957 /* from 1970 */
#define US_PER_DAY INT64_C(86400000000)

static void add_hex(struct gw_buf *out, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        gw_buf_addf(out, "%02x", bytes[i]);
}

/* ---- dates and times ------------------------------------------------------------------------------------------- */

/* Days since 1970 to a civil date (proleptic Gregorian), by eras of 400 years that begin in March. */
static void add_date(struct gw_buf *out, int64_t days_1970)
{
    int64_t z = days_1970 + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2);
    gw_buf_addf(out, "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "%s", year > 0 ? year : 1 - year, month, day,
                year > 0 ? "" : " BC");
}

static void add_time(struct gw_buf *out, int64_t us)
{
    gw_buf_addf(out, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, us / 3600000000, us / 60000000 % 60, us / 1000000 % 60);
    if (us % 1000000)
        gw_buf_addf(out, ".%06" PRId64, us % 1000000);
}

static void add_timestamp(struct gw_buf *out, int64_t us, const char *zone)
{
    if (us == INT64_MAX || us == INT64_MIN) {
        gw_buf_adds(out, us > 0 ? "infinity" : "-infinity");
        return;
    }
    int64_t days = us / US_PER_DAY, rest = us % US_PER_DAY;
    if (rest < 0) {
        days--;
        rest += US_PER_DAY;
    }
    add_date(out, days + DAYS_TO_2000);
    gw_buf_addc(out, ' ');
    add_time(out, rest);
    gw_buf_adds(out, zone);
}

static void add_timetz(struct gw_buf *out, int64_t us, int32_t west_s)
{
    int32_t east_s = -west_s;
    int32_t size_s = abs(east_s);
    add_time(out, us);
    gw_buf_addf(out, "%c%02d:%02d", east_s < 0 ? '-' : '+', size_s / 3600, size_s / 60 % 60);
}

static void add_interval(struct gw_buf *out, const unsigned char *bytes)
{
    int64_t us = (int64_t)gw_get64(bytes);
    int32_t days = (int32_t)gw_get32(bytes + 8), months = (int32_t)gw_get32(bytes + 12);
    if (months)
        gw_buf_addf(out, "%d mon ", months);
    if (days)
        gw_buf_addf(out, "%d days ", days);
    if (us < 0)
        gw_buf_addc(out, '-');
    uint64_t size_us = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    add_time(out, (int64_t)(size_us & INT64_MAX));
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

static void add_float(struct gw_buf *out, double v, int least_digits, int most_digits)
{
    for (int digits = least_digits; digits <= most_digits; digits++) {
        char text[64];
        snprintf(text, sizeof text, "%.*g", digits, v);
        double back = most_digits == 9 ? (double)strtof(text, NULL) : strtod(text, NULL);
        if (digits == most_digits || isnan(v) || back == v) {
            gw_buf_adds(out, text);
            return;
        }
    }
}

/* Base 10,000 digits, the first of weight `weight`; `scale` decimals are shown. */
static void add_numeric(struct gw_buf *out, struct gw_cursor in)
{
    int count = (int16_t)gw_cursor_u16(&in), weight = (int16_t)gw_cursor_u16(&in);
    unsigned sign = gw_cursor_u16(&in);
    int scale = (int16_t)gw_cursor_u16(&in);
    const unsigned char *digits = gw_cursor_bytes(&in, count > 0 ? (size_t)count * 2 : 0);
    if (sign == 0xC000 || sign == 0xD000 || sign == 0xF000) {
        gw_buf_adds(out, sign == 0xC000 ? "NaN" : sign == 0xD000 ? "Infinity" : "-Infinity");
        return;
    }
    if (in.bad || count < 0 || scale < 0) {
        gw_buf_adds(out, "(not a number)");
        return;
    }
    if (sign)
        gw_buf_addc(out, '-');
    if (weight < 0)
        gw_buf_addc(out, '0');
    for (int i = 0; i <= weight; i++)
        gw_buf_addf(out, i ? "%04u" : "%u", i < count ? (unsigned)gw_get16(digits + (size_t)i * 2) : 0u);
    if (!scale)
        return;
    gw_buf_addc(out, '.');
    int shown = 0;
    for (int i = weight + 1; shown < scale; i++) {
        char four[16];
        snprintf(four, sizeof four, "%04u", i >= 0 && i < count ? (unsigned)gw_get16(digits + (size_t)i * 2) : 0u);
        for (int d = 0; d < 4 && shown < scale; d++, shown++)
            gw_buf_addc(out, four[d]);
    }
}

/* ---- the rest -------------------------------------------------------------------------------------------------- */

static void add_uuid(struct gw_buf *out, const unsigned char *bytes)
{
    for (unsigned i = 0; i < 16; i++)
        gw_buf_addf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", bytes[i]);
}

static void add_inet(struct gw_buf *out, const unsigned char *bytes, uint32_t len)
{
    if (len == 8 && bytes[0] == 2) {
        gw_buf_addf(out, "%u.%u.%u.%u/%u", bytes[4], bytes[5], bytes[6], bytes[7], bytes[1]);
        return;
    }
    for (uint32_t i = 4; i + 1 < len; i += 2)
        gw_buf_addf(out, "%s%x", i > 4 ? ":" : "", gw_get16(bytes + i));
    gw_buf_addf(out, "/%u", len > 1 ? bytes[1] : 0u);
}

static void add_bytes(struct gw_buf *out, const struct gw_value *value)
{
    gw_buf_adds(out, "\\x");
    add_hex(out, value->bytes, value->len > SHOWN_BYTES / 2 ? SHOWN_BYTES / 2 : value->len);
    if (value->len > SHOWN_BYTES / 2)
        gw_buf_addf(out, "... (%u bytes)", value->len);
}

static double get_float(const unsigned char *bytes, uint32_t len)
{
    if (len == 4) {
        uint32_t bits = gw_get32(bytes);
        float f;
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    }
    uint64_t bits = gw_get64(bytes);
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

/* Of fixed length: false when the type or the length is another. */
static bool add_fixed(struct gw_buf *out, uint32_t oid, const unsigned char *b, uint32_t len)
{
    switch (oid << 8 | (len & 0xff)) {
    case 16 << 8 | 1:
        gw_buf_adds(out, b[0] ? "true" : "false");
        return true;
    case 21 << 8 | 2:
        gw_buf_addf(out, "%d", (int16_t)gw_get16(b));
        return true;
    case 23 << 8 | 4:
        gw_buf_addf(out, "%d", (int32_t)gw_get32(b));
        return true;
    case 26 << 8 | 4:
    case 28 << 8 | 4:
        gw_buf_addf(out, "%u", gw_get32(b));
        return true;
    case 20 << 8 | 8:
        gw_buf_addf(out, "%" PRId64, (int64_t)gw_get64(b));
        return true;
    case 790 << 8 | 8: /* money: in the smallest unit, whatever the locale calls it */
        gw_buf_addf(out, "%" PRId64 " (smallest unit)", (int64_t)gw_get64(b));
        return true;
    case 5069 << 8 | 8:
        gw_buf_addf(out, "%" PRIu64, gw_get64(b));
        return true;
    case 3220 << 8 | 8:
        gw_buf_addf(out, "%X/%X", gw_get32(b), gw_get32(b + 4));
        return true;
    case 700 << 8 | 4:
        add_float(out, get_float(b, 4), 6, 9);
        return true;
    case 701 << 8 | 8:
        add_float(out, get_float(b, 8), 15, 17);
        return true;
    case 1082 << 8 | 4:
        if ((int32_t)gw_get32(b) == INT32_MAX || (int32_t)gw_get32(b) == INT32_MIN)
            gw_buf_adds(out, (int32_t)gw_get32(b) > 0 ? "infinity" : "-infinity");
        else
            add_date(out, (int64_t)(int32_t)gw_get32(b) + DAYS_TO_2000);
        return true;
    case 1083 << 8 | 8:
        add_time(out, (int64_t)gw_get64(b));
        return true;
    case 1266 << 8 | 12:
        add_timetz(out, (int64_t)gw_get64(b), (int32_t)gw_get32(b + 8));
        return true;
    case 1114 << 8 | 8:
        add_timestamp(out, (int64_t)gw_get64(b), "");
        return true;
    case 1184 << 8 | 8:
        add_timestamp(out, (int64_t)gw_get64(b), "+00");
        return true;
    case 1186 << 8 | 16:
        add_interval(out, b);
        return true;
    case 2950 << 8 | 16:
        add_uuid(out, b);
        return true;
    default:
        return false;
    }
}

void gw_pg_print(const struct gw_column *column, const struct gw_value *value, struct gw_buf *out)
{
    uint32_t oid = column->type_id;
    if (value->kind == GW_VALUE_NULL) {
        gw_buf_adds(out, "NULL");
        return;
    }
    /* What a form was, the kind tells: only bytea and the like are BINARY as a whole, and only bytea can be large. */
    bool binary_form = gw_pg_form_of_type(oid, 'b') == GW_FORM_BINARY;
    if (gw_pg_form_is_hash(binary_form, value) && value->len >= 8 + GW_SHA256_BYTES) {
        gw_buf_addf(out, "(%" PRIu64 " bytes, SHA-256 ", gw_get64(value->bytes));
        add_hex(out, value->bytes + 8, 8);
        gw_buf_adds(out, "...)");
        return;
    }
    if (value->kind == GW_VALUE_TEXT) {
        uint32_t shown = value->len;
        if (shown > SHOWN_BYTES)
            for (shown = SHOWN_BYTES; shown > 0 && (value->bytes[shown] & 0xc0) == 0x80;)
                shown--;
        gw_buf_add(out, value->bytes, shown);
        if (shown < value->len)
            gw_buf_addf(out, "... (%u bytes)", value->len);
        return;
    }
    if (value->len < 256 && add_fixed(out, oid, value->bytes, value->len))
        return;
    if (oid == 1700)
        add_numeric(out, gw_cursor_of(value->bytes, value->len));
    else if (oid == 869 || oid == 650)
        add_inet(out, value->bytes, value->len);
    else
        add_bytes(out, value);
}
