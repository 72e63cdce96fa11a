/* Into text; and what each value is as text. */
#include "map/convert.h"

#include "io/utf8.h"
#include "map/decimal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void add_float(double value, bool single, struct gw_buf *out)
{
    char text[40];
    if (isnan(value)) {
        gw_buf_adds(out, "NaN");
        return;
    }
    if (isinf(value)) {
        gw_buf_adds(out, value < 0 ? "-Infinity" : "Infinity");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            break;
    }
    gw_buf_adds(out, text);
}

static void add_uuid(const unsigned char *bytes, struct gw_buf *out)
{
    for (int i = 0; i < 16; i++)
        gw_buf_addf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
}

void gw_map_interval_print(const struct gw_datum *in, struct gw_buf *out)
{
    int32_t months = in->interval.months;
    int64_t us = in->interval.us;
    size_t before = out->len;
    gw_buf_addc(out, 'P');
    if (months / 12)
        gw_buf_addf(out, "%dY", months / 12);
    if (months % 12)
        gw_buf_addf(out, "%dM", months % 12);
    if (in->interval.days)
        gw_buf_addf(out, "%dD", in->interval.days);
    if (us) {
        int64_t seconds = us / 1000000;
        int64_t rest = us % 1000000;
        gw_buf_addc(out, 'T');
        if (seconds / 3600)
            gw_buf_addf(out, "%" PRId64 "H", seconds / 3600);
        if (seconds / 60 % 60)
            gw_buf_addf(out, "%" PRId64 "M", seconds / 60 % 60);
        seconds %= 60;
        if (rest)
            gw_buf_addf(out, "%s%" PRId64 ".%06" PRId64 "S", us < 0 ? "-" : "", seconds < 0 ? -seconds : seconds,
                        rest < 0 ? -rest : rest);
        else if (seconds)
            gw_buf_addf(out, "%" PRId64 "S", seconds);
    }
    if (out->len == before + 1)
        gw_buf_adds(out, "T0S");
}

static bool interval_part(const char **p, const char *end, int64_t *whole, int64_t *millionths, char *unit)
{
    bool negative = *p < end && **p == '-';
    int64_t weight = 100000;
    const char *from = *p + negative;
    const char *at = from;
    *whole = *millionths = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(*whole, 10, whole) || __builtin_add_overflow(*whole, *at - '0', whole))
            return false;
    bool any = at > from;
    if (at < end && *at == '.')
        for (at++; at < end && *at >= '0' && *at <= '9'; at++, weight /= 10)
            *millionths += weight * (*at - '0');
    if (!any || at == end)
        return false;
    if (negative) {
        *whole = -*whole;
        *millionths = -*millionths;
    }
    *unit = *at;
    *p = at + 1;
    return true;
}

bool gw_map_interval_parse(const char *text, size_t len, struct gw_datum *out)
{
    const char *p = text + 1;
    const char *end = text + len;
    bool time = false;
    int64_t months = 0;
    int64_t days = 0;
    int64_t us = 0;
    if (len < 2 || *text != 'P')
        return false;
    while (p < end) {
        int64_t n;
        int64_t millionths;
        char unit;
        if (*p == 'T' && !time && p + 1 < end) {
            time = true;
            p++;
        }
        if (!interval_part(&p, end, &n, &millionths, &unit) || n > INT64_MAX / 4000000000 ||
            n < -(INT64_MAX / 4000000000))
            return false;
        if (!time && unit == 'Y')
            months += n * 12;
        else if (!time && unit == 'M')
            months += n;
        else if (!time && unit == 'D')
            days += n;
        else if (time && (unit == 'H' || unit == 'M' || unit == 'S'))
            us += n * (unit == 'H' ? 3600000000 : unit == 'M' ? 60000000 : 1000000) + millionths;
        else
            return false;
    }
    if (months != (int32_t)months || days != (int32_t)days)
        return false;
    *out = (struct gw_datum){.kind = GW_KIND_INTERVAL, .interval = {(int32_t)months, (int32_t)days, us}};
    return true;
}

static void add_moment(const struct gw_datum *in, struct gw_buf *out)
{
    if (in->i64 == GW_DATUM_FOREVER || in->i64 == -GW_DATUM_FOREVER)
        gw_buf_adds(out, in->i64 > 0 ? "infinity" : "-infinity");
    else if (in->kind == GW_KIND_DATE)
        gw_date_print(in->i64, out);
    else
        gw_timestamp_print(in->i64, ' ', -1, out);
    if (in->kind == GW_KIND_TIMESTAMPTZ && in->i64 != GW_DATUM_FOREVER && in->i64 != -GW_DATUM_FOREVER)
        gw_buf_adds(out, "+00");
}

bool gw_map_text_of(const struct gw_datum *in, struct gw_arena *arena, struct gw_datum *out)
{
    gw_autobuf struct gw_buf text = {0};
    switch (in->kind) {
    case GW_KIND_BOOL:
        gw_buf_adds(&text, in->boolean ? "true" : "false");
        break;
    case GW_KIND_INT64:
        gw_buf_addf(&text, "%" PRId64, in->i64);
        break;
    case GW_KIND_UINT64:
        gw_buf_addf(&text, "%" PRIu64, in->u64);
        break;
    case GW_KIND_FLOAT32:
        add_float((double)in->f32, true, &text);
        break;
    case GW_KIND_FLOAT64:
        add_float(in->f64, false, &text);
        break;
    case GW_KIND_DECIMAL:
    case GW_KIND_TEXT:
    case GW_KIND_BYTES:
    case GW_KIND_JSON:
    case GW_KIND_ENUM:
    case GW_KIND_BITS:
        *out = gw_datum_of_bytes(GW_KIND_TEXT, in->bytes, in->len);
        return true;
    case GW_KIND_DATE:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        if (in->len) {
            *out = gw_datum_of_bytes(GW_KIND_TEXT, in->bytes, in->len);
            return true;
        }
        add_moment(in, &text);
        break;
    case GW_KIND_TIME:
        gw_time_print(in->i64, -1, &text);
        break;
    case GW_KIND_INTERVAL:
        gw_map_interval_print(in, &text);
        break;
    case GW_KIND_UUID:
        add_uuid(in->bytes, &text);
        break;
    case GW_KIND_NULL:
    case GW_KIND_UNCHANGED:
    case GW_KIND_ABSENT:
        *out = *in;
        return true;
    default:
        return false;
    }
    *out = gw_datum_of_bytes(GW_KIND_TEXT, gw_arena_dup(arena, gw_buf_text(&text), text.len), text.len);
    return true;
}

/* ---- what a text column refuses ---- */

/* Bytes of the first `limit` characters; the whole when there are no more. */
static size_t cut_at(const unsigned char *text, size_t len, uint64_t limit)
{
    uint64_t characters = 0;
    for (size_t i = 0; i < len; i++)
        if ((text[i] & 0xc0u) != 0x80u && characters++ == limit)
            return i;
    return len;
}

/* Without NUL bytes; U+FFFD for what is above U+FFFF. */
static void replace(struct gw_convert *convert, bool nul, bool plane, struct gw_datum *text)
{
    unsigned char *to = gw_arena_alloc(convert->arena, (size_t)text->len * 3 + 1);
    size_t len = 0;
    for (size_t i = 0; i < text->len; i++) {
        unsigned char c = text->bytes[i];
        if (nul && c == 0)
            continue;
        if (plane && c >= 0xf0) {
            memcpy(to + len, "\xef\xbf\xbd", 3);
            len += 3;
            while (i + 1 < text->len && (text->bytes[i + 1] & 0xc0u) == 0x80u)
                i++;
            continue;
        }
        to[len++] = c;
    }
    *text = gw_datum_of_bytes(GW_KIND_TEXT, to, len);
}

static bool has_above(const struct gw_datum *text)
{
    for (size_t i = 0; i < text->len; i++)
        if (text->bytes[i] >= 0xf0)
            return true;
    return false;
}

static bool fit_text(struct gw_convert *convert, struct gw_datum *text)
{
    const struct gw_type *to = convert->to;
    bool nul = to->no_nul && text->len && memchr(text->bytes, 0, text->len);
    bool plane = to->basic_plane && has_above(text);
    if (nul || plane) {
        convert->loss = nul ? GW_LOSS_NUL : GW_LOSS_PLANE;
        if (convert->policy != GW_MAP_TRUNCATE)
            return false;
        replace(convert, nul, plane, text);
    }
    size_t len = text->len;
    if (to->length && len > to->length)
        len = cut_at(text->bytes, len, to->length);
    if (to->bytes && len > to->bytes)
        for (len = to->bytes; len > 0 && (text->bytes[len] & 0xc0u) == 0x80u;)
            len--;
    if (len == text->len)
        return true;
    convert->loss = GW_LOSS_LENGTH;
    /* Spaces at the end of what is padded are none. */
    bool blank = to->pads;
    for (size_t i = len; blank && i < text->len; i++)
        blank = text->bytes[i] == ' ';
    text->len = (uint32_t)len;
    if (blank)
        convert->loss = GW_LOSS_NONE;
    return blank || convert->policy == GW_MAP_TRUNCATE;
}

bool gw_convert_text(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    struct gw_datum text;
    if (in->kind == GW_KIND_TEXT) {
        text = *in;
    } else if (in->kind == GW_KIND_ARRAY) {
        if (!gw_convert_json(convert, in, &text))
            return false;
        text.kind = GW_KIND_TEXT;
    } else if (!gw_map_text_of(in, convert->arena, &text)) {
        return gw_convert_lose(convert, GW_LOSS_KIND);
    }
    if (in->kind == GW_KIND_ENUM && text.len == 0 && convert->to->label_count && !convert->to->is_set &&
        !gw_convert_is_label(convert->to, text.bytes, 0))
        return gw_convert_lose(convert, GW_LOSS_ENUM);
    if (in->kind == GW_KIND_BYTES && gw_utf8_valid_prefix((const char *)text.bytes, text.len) != text.len)
        return gw_convert_lose(convert, GW_LOSS_ENCODING);
    if (!fit_text(convert, &text))
        return false;
    *out = text;
    return true;
}
