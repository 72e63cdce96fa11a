/* The text form of values, under the settings that conn.c pins: ISO dates, UTC, hex, every digit of a float. */
#include "store/postgres/codec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MONEY 790
#define EWKB_SRID 0x20000000u

static bool is(const char *text, uint32_t len, const char *word)
{
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

/* ---- reading: numbers ----------------------------------------------------------------------------------------------- */

static bool read_int(const struct gw_pg_coding *coding, const char *text, uint32_t len, struct gw_datum *out,
                     struct gw_error *err)
{
    uint64_t value = 0;
    bool negative = len > 0 && text[0] == '-';
    uint32_t i = negative;
    for (; i < len && text[i] >= '0' && text[i] <= '9'; i++)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            break;
    if (i != len || len == (uint32_t)negative)
        return gw_pg_refuse(coding, "an integer that is none", err);
    out->kind = coding->type.kind;
    out->u64 = negative ? -value : value;
    return true;
}

static bool read_float(const struct gw_pg_coding *coding, const char *text, uint32_t len, struct gw_datum *out,
                       struct gw_error *err)
{
    char copy[64], *behind;
    bool single = coding->code == GW_PG_CODE_FLOAT4;
    if (len == 0 || len >= sizeof copy)
        return gw_pg_refuse(coding, "a float that is none", err);
    memcpy(copy, text, len);
    copy[len] = 0;
    out->kind = coding->type.kind;
    if (is(text, len, "NaN")) {
        uint64_t bits = UINT64_C(0x7ff8000000000000);
        uint32_t bits32 = 0x7fc00000u;
        memcpy(single ? (void *)&out->f32 : (void *)&out->f64, single ? (void *)&bits32 : (void *)&bits,
               single ? sizeof bits32 : sizeof bits);
        return true;
    }
    if (single)
        out->f32 = strtof(copy, &behind);
    else
        out->f64 = strtod(copy, &behind);
    return behind == copy + len || gw_pg_refuse(coding, "a float that is none", err);
}

/* ---- reading: times ------------------------------------------------------------------------------------------------- */

static bool take_before_christ(const char *text, uint32_t *len)
{
    if (*len < 3 || memcmp(text + *len - 3, " BC", 3) != 0)
        return false;
    *len -= 3;
    return true;
}

/* "0044-03-15" of years before Christ: as gw_date_parse has it, the year before 1 is 0. */
static bool read_day(const char *text, uint32_t len, bool before_christ, int64_t *days)
{
    char copy[32];
    int64_t year = 0;
    uint32_t dash = 0;
    if (!before_christ)
        return gw_date_parse(text, len, days);
    for (; dash < len && text[dash] >= '0' && text[dash] <= '9' && dash < 9; dash++)
        year = year * 10 + (text[dash] - '0');
    if (dash == 0 || len - dash > 8)
        return false;
    year = 1 - year;
    int put = snprintf(copy, sizeof copy, "%s%04" PRId64 "%.*s", year < 0 ? "-" : "", year < 0 ? -year : year,
                       (int)(len - dash), text + dash);
    return put > 0 && put < (int)sizeof copy && gw_date_parse(copy, (size_t)put, days);
}

static bool read_forever(const char *text, uint32_t len, int64_t *value)
{
    if (is(text, len, "infinity"))
        *value = GW_DATUM_FOREVER;
    else if (is(text, len, "-infinity"))
        *value = -GW_DATUM_FOREVER;
    else
        return false;
    return true;
}

static bool read_date(const char *text, uint32_t len, int64_t *days)
{
    if (read_forever(text, len, days))
        return true;
    bool before_christ = take_before_christ(text, &len);
    return read_day(text, len, before_christ, days);
}

/* "+02", "-05:30", "+00:19:32" at the end; UTC is pinned, but a time zone costs nothing to understand. */
static bool take_zone(const char *text, uint32_t *len, int64_t *offset_us)
{
    uint32_t at = *len;
    while (at > 0 && text[at - 1] != '+' && text[at - 1] != '-' && *len - at < 9)
        at--;
    if (at == 0 || (text[at - 1] != '+' && text[at - 1] != '-') || *len - at < 2)
        return false;
    int64_t parts[3] = {0};
    unsigned part = 0;
    for (uint32_t i = at; i < *len; i++) {
        if (text[i] == ':' && part < 2)
            part++;
        else if (text[i] >= '0' && text[i] <= '9')
            parts[part] = parts[part] * 10 + (text[i] - '0');
        else
            return false;
    }
    *offset_us = (parts[0] * 3600 + parts[1] * 60 + parts[2]) * 1000000 * (text[at - 1] == '-' ? -1 : 1);
    *len = at - 1;
    return true;
}

static bool read_timestamp(const char *text, uint32_t len, bool zone, int64_t *us)
{
    int64_t days, of_day, offset = 0;
    if (read_forever(text, len, us))
        return true;
    bool before_christ = take_before_christ(text, &len);
    const char *space = memchr(text, ' ', len);
    if (!space || (zone && !take_zone(text, &len, &offset)))
        return false;
    uint32_t day_len = (uint32_t)(space - text);
    if (day_len + 1 > len || !read_day(text, day_len, before_christ, &days) ||
        !gw_time_parse(space + 1, len - day_len - 1, &of_day))
        return false;
    return !__builtin_mul_overflow(days, GW_DAY_US, us) && !__builtin_add_overflow(*us, of_day - offset, us);
}

static bool take_unit(const char *unit, size_t len, int64_t number, struct gw_datum *out)
{
    static const struct {
        const char *name;
        int months, days;
    } units[] = {{"year", 12, 0}, {"mon", 1, 0}, {"day", 0, 1}};
    if (len && unit[len - 1] == 's')
        len--;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == len && memcmp(unit, units[i].name, len) == 0) {
            out->interval.months += (int32_t)(number * units[i].months);
            out->interval.days += (int32_t)(number * units[i].days);
            return true;
        }
    return false;
}

/* -9223372036854775808 us are more than a positive number holds. */
static bool read_clock(const char *text, size_t len, int64_t *us)
{
    if (len && text[0] == '+') {
        text++;
        len--;
    }
    if (len > 1 && text[0] == '-' && memcmp(text, "-2562047788:00:54.775808", len < 24 ? len : 24) == 0 && len == 24) {
        *us = INT64_MIN;
        return true;
    }
    return gw_time_parse(text, len, us);
}

/* "1 year 2 mons -3 days +04:05:06.789" */
static bool read_interval(const char *text, uint32_t len, struct gw_datum *out)
{
    const char *at = text, *end = text + len;
    out->kind = GW_KIND_INTERVAL;
    out->interval.months = out->interval.days = 0;
    out->interval.us = 0;
    if (is(text, len, "infinity") || is(text, len, "-infinity")) {
        out->interval.months = out->interval.days = *text == '-' ? INT32_MIN : INT32_MAX;
        out->interval.us = *text == '-' ? INT64_MIN : INT64_MAX;
        return true;
    }
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at)), *behind = space ? space : end;
        if (memchr(at, ':', (size_t)(behind - at)))
            return !space && read_clock(at, (size_t)(behind - at), &out->interval.us);
        bool negative = *at == '-';
        int64_t number = 0;
        if (*at == '-' || *at == '+')
            at++;
        for (; at < behind && *at >= '0' && *at <= '9' && number <= UINT32_MAX; at++)
            number = number * 10 + (*at - '0');
        if (at != behind || !space)
            return false;
        at = space + 1;
        space = memchr(at, ' ', (size_t)(end - at));
        behind = space ? space : end;
        if (!take_unit(at, (size_t)(behind - at), negative ? -number : number, out))
            return false;
        at = space ? space + 1 : end;
    }
    return len > 0;
}

/* ---- reading: bytes ------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static unsigned char *read_hex(const char *text, uint32_t len, struct gw_arena *arena)
{
    if (len % 2)
        return NULL;
    unsigned char *bytes = gw_arena_alloc(arena, len / 2);
    for (uint32_t i = 0; i < len / 2; i++) {
        int high = hex_digit(text[(size_t)i * 2]), low = hex_digit(text[(size_t)i * 2 + 1]);
        if (high < 0 || low < 0)
            return NULL;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return bytes;
}

static bool read_uuid(const char *text, uint32_t len, struct gw_arena *arena, struct gw_datum *out)
{
    char plain[32];
    unsigned count = 0;
    for (uint32_t i = 0; i < len; i++) {
        if (text[i] == '-')
            continue;
        if (count == 32)
            return false;
        plain[count++] = text[i];
    }
    unsigned char *bytes = count == 32 ? read_hex(plain, 32, arena) : NULL;
    *out = gw_datum_of_bytes(GW_KIND_UUID, bytes, 16);
    return bytes != NULL;
}

/* EWKB carries the SRID inside: taken out, what is left is WKB. */
static bool read_geometry(const char *text, uint32_t len, struct gw_arena *arena, struct gw_datum *out)
{
    unsigned char *bytes = read_hex(text, len, arena);
    uint32_t count = len / 2, srid = 0, type;
    if (!bytes || count < 5)
        return false;
    bool little = bytes[0] == 1;
    memcpy(&type, bytes + 1, 4);
    if (!little)
        type = __builtin_bswap32(type);
    unsigned char *flat = gw_arena_alloc(arena, count + 4);
    uint32_t rest = 5;
    if (type & EWKB_SRID) {
        if (count < 9)
            return false;
        memcpy(&srid, bytes + 5, 4);
        srid = little ? srid : __builtin_bswap32(srid);
        rest = 9;
        type &= ~EWKB_SRID;
    }
    srid = __builtin_bswap32(srid);
    type = little ? type : __builtin_bswap32(type);
    memcpy(flat, &srid, 4);
    flat[4] = bytes[0];
    memcpy(flat + 5, &type, 4);
    memcpy(flat + 9, bytes + rest, count - rest);
    *out = gw_datum_of_bytes(GW_KIND_GEOMETRY, flat, (size_t)count - rest + 9);
    return true;
}

/* "-$1,234.56" under lc_monetary C: without what is only for the eye. */
static void read_money(const char *text, uint32_t len, struct gw_arena *arena, struct gw_datum *out)
{
    char *plain = gw_arena_alloc(arena, len);
    uint32_t count = 0;
    for (uint32_t i = 0; i < len; i++)
        if (text[i] == '-' || text[i] == '.' || (text[i] >= '0' && text[i] <= '9'))
            plain[count++] = text[i];
    *out = gw_datum_of_bytes(GW_KIND_TEXT, plain, count);
}

static bool read_special(const struct gw_pg_coding *coding, const char *text, uint32_t len, struct gw_arena *arena,
                         struct gw_datum *out)
{
    switch (coding->code) {
    case GW_PG_CODE_BOOL:
        out->boolean = len == 1 && text[0] == 't';
        return out->boolean || (len == 1 && text[0] == 'f');
    case GW_PG_CODE_BYTEA:
        out->len = len / 2 - 1;
        out->bytes = len >= 2 && memcmp(text, "\\x", 2) == 0 ? read_hex(text + 2, len - 2, arena) : NULL;
        return out->bytes != NULL;
    case GW_PG_CODE_DATE:
        return read_date(text, len, &out->i64);
    case GW_PG_CODE_TIME:
        return gw_time_parse(text, len, &out->i64);
    case GW_PG_CODE_TIMESTAMP:
        return read_timestamp(text, len, coding->type.kind == GW_KIND_TIMESTAMPTZ, &out->i64);
    case GW_PG_CODE_INTERVAL:
        return read_interval(text, len, out);
    case GW_PG_CODE_UUID:
        return read_uuid(text, len, arena, out);
    case GW_PG_CODE_GEOMETRY:
        return read_geometry(text, len, arena, out);
    default:
        return false;
    }
}

bool gw_pg_read_text(const struct gw_pg_coding *coding, const char *text, uint32_t len, struct gw_arena *arena,
                     struct gw_datum *out, struct gw_error *err)
{
    *out = (struct gw_datum){.kind = coding->type.kind};
    switch (coding->code) {
    case GW_PG_CODE_INT:
    case GW_PG_CODE_OID:
        return read_int(coding, text, len, out, err);
    case GW_PG_CODE_FLOAT4:
    case GW_PG_CODE_FLOAT8:
        return read_float(coding, text, len, out, err);
    case GW_PG_CODE_TEXT:
        if (coding->type.fixed)
            while (len > 0 && text[len - 1] == ' ')
                len--;
        *out = gw_datum_of_bytes(GW_KIND_TEXT, text, len);
        return true;
    case GW_PG_CODE_FOREIGN:
        if (coding->type_id == MONEY)
            read_money(text, len, arena, out);
        else
            *out = gw_datum_of_bytes(GW_KIND_TEXT, text, len);
        return true;
    case GW_PG_CODE_NUMERIC:
    case GW_PG_CODE_JSON:
    case GW_PG_CODE_JSONB:
    case GW_PG_CODE_BITS:
    case GW_PG_CODE_ENUM:
        *out = gw_datum_of_bytes(coding->type.kind, text, len);
        return true;
    case GW_PG_CODE_ARRAY:
        return gw_pg_array_read_text(coding, text, len, arena, out, err);
    default:
        return read_special(coding, text, len, arena, out) || gw_pg_refuse(coding, "a text that is no value", err);
    }
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

static void add_hex(struct gw_buf *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    gw_buf_reserve(out, len * 2);
    for (size_t i = 0; i < len; i++) {
        char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        gw_buf_add(out, pair, 2);
    }
}

static void add_geometry(const struct gw_datum *datum, struct gw_buf *out)
{
    uint32_t srid = gw_get32(datum->bytes), type;
    bool little = datum->bytes[4] == 1;
    memcpy(&type, datum->bytes + 5, 4);
    add_hex(out, datum->bytes + 4, 1);
    if (srid) {
        type |= little ? EWKB_SRID : __builtin_bswap32(EWKB_SRID);
        srid = little ? srid : __builtin_bswap32(srid);
    }
    add_hex(out, (const unsigned char *)&type, 4);
    if (srid)
        add_hex(out, (const unsigned char *)&srid, 4);
    add_hex(out, datum->bytes + 9, datum->len - 9);
}

/* A sign before each part: otherwise one may count for all of them. */
static void add_interval(const struct gw_datum *datum, struct gw_buf *out)
{
    int64_t us = datum->interval.us;
    int32_t months = datum->interval.months, days = datum->interval.days;
    if ((us == INT64_MAX && months == INT32_MAX && days == INT32_MAX) ||
        (us == INT64_MIN && months == INT32_MIN && days == INT32_MIN)) {
        gw_buf_adds(out, us < 0 ? "-infinity" : "infinity");
        return;
    }
    gw_buf_addf(out, "%+" PRId32 " mons %+" PRId32 " days ", months, days);
    if (us >= 0)
        gw_buf_addc(out, '+');
    gw_time_print(us, -1, out);
}

static void write_number(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_buf *out)
{
    switch (coding->code) {
    case GW_PG_CODE_BOOL:
        gw_buf_addc(out, datum->boolean ? 't' : 'f');
        break;
    case GW_PG_CODE_INT:
        gw_buf_addf(out, "%" PRId64, datum->i64);
        break;
    case GW_PG_CODE_OID:
        gw_buf_addf(out, "%" PRIu64, datum->u64);
        break;
    case GW_PG_CODE_FLOAT4:
        gw_pg_add_float(out, (double)datum->f32, true);
        break;
    default:
        gw_pg_add_float(out, datum->f64, false);
    }
}

bool gw_pg_write_text(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_buf *out,
                      struct gw_error *err)
{
    switch (coding->code) {
    case GW_PG_CODE_BOOL:
    case GW_PG_CODE_INT:
    case GW_PG_CODE_OID:
    case GW_PG_CODE_FLOAT4:
    case GW_PG_CODE_FLOAT8:
        write_number(coding, datum, out);
        return true;
    case GW_PG_CODE_BYTEA:
        gw_buf_adds(out, "\\x");
        add_hex(out, datum->bytes, datum->len);
        return true;
    case GW_PG_CODE_DATE:
        gw_pg_add_date(out, datum->i64);
        return true;
    case GW_PG_CODE_TIME:
        gw_time_print(datum->i64, -1, out);
        return true;
    case GW_PG_CODE_TIMESTAMP:
        gw_pg_add_timestamp(out, datum->i64, coding->type.kind == GW_KIND_TIMESTAMPTZ);
        return true;
    case GW_PG_CODE_INTERVAL:
        add_interval(datum, out);
        return true;
    case GW_PG_CODE_UUID:
        gw_datum_print(datum, out);
        return true;
    case GW_PG_CODE_ARRAY:
        return gw_pg_array_write_text(coding, datum, out, err);
    case GW_PG_CODE_GEOMETRY:
        add_geometry(datum, out);
        return true;
    case GW_PG_CODE_NUMERIC:
    case GW_PG_CODE_TEXT:
    case GW_PG_CODE_JSON:
    case GW_PG_CODE_JSONB:
    case GW_PG_CODE_BITS:
    case GW_PG_CODE_ENUM:
    case GW_PG_CODE_FOREIGN:
        gw_buf_add(out, datum->bytes, datum->len);
        return true;
    }
    return gw_fail(err, GW_ERR_BUG, "a column of unknown coding");
}
