/* Into integers, decimals, floats. */
#include "map/convert.h"
#include "map/decimal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_special(const struct gw_datum *in)
{
    return (in->kind == GW_KIND_FLOAT32 && !isfinite(in->f32)) || (in->kind == GW_KIND_FLOAT64 && !isfinite(in->f64)) ||
           ((in->kind == GW_KIND_DECIMAL || in->kind == GW_KIND_TEXT) && in->len > 0 &&
            (in->bytes[0] == 'N' || in->bytes[0] == 'I' ||
             (in->bytes[0] == '-' && in->len > 1 && in->bytes[1] == 'I')));
}

static bool special_value(const struct gw_datum *in, double *out)
{
    if (in->kind == GW_KIND_FLOAT32)
        *out = (double)in->f32;
    else if (in->kind == GW_KIND_FLOAT64)
        *out = in->f64;
    else if (in->len == 3 && memcmp(in->bytes, "NaN", 3) == 0)
        *out = NAN;
    else if (in->len == 8 && memcmp(in->bytes, "Infinity", 8) == 0)
        *out = INFINITY;
    else if (in->len == 9 && memcmp(in->bytes, "-Infinity", 9) == 0)
        *out = -INFINITY;
    else
        return false;
    return true;
}

/* A plain integer or decimal as text; what has an exponent or blanks is none. */
static bool decimal_text(struct gw_convert *convert, const struct gw_datum *in, struct gw_buf *out)
{
    uint64_t value = 0;
    switch (in->kind) {
    case GW_KIND_BOOL:
        gw_buf_addc(out, in->boolean ? '1' : '0');
        return true;
    case GW_KIND_INT64:
        gw_buf_addf(out, "%lld", (long long)in->i64);
        return true;
    case GW_KIND_UINT64:
        gw_buf_addf(out, "%llu", (unsigned long long)in->u64);
        return true;
    case GW_KIND_FLOAT32:
        gw_decimal_of_float(in->f32, out);
        return true;
    case GW_KIND_FLOAT64:
        gw_decimal_of_double(in->f64, out);
        return true;
    case GW_KIND_DECIMAL:
    case GW_KIND_TEXT:
    case GW_KIND_ENUM:
    case GW_KIND_JSON:
        gw_buf_add(out, in->bytes, in->len);
        return true;
    case GW_KIND_BITS:
        for (size_t i = 0; i < in->len; i++) {
            if (value >> 63)
                return gw_convert_lose(convert, GW_LOSS_RANGE);
            value = value << 1 | (in->bytes[i] == '1');
        }
        gw_buf_addf(out, "%llu", (unsigned long long)value);
        return true;
    default:
        return gw_convert_lose(convert, GW_LOSS_KIND);
    }
}

/* What a text comes back as from the number: without a plus, leading zeros, or a sign of zero. */
static bool is_canonical(const struct gw_datum *in, bool integer)
{
    if (in->kind != GW_KIND_TEXT && in->kind != GW_KIND_ENUM && in->kind != GW_KIND_JSON)
        return true;
    size_t sign = in->len > 0 && in->bytes[0] == '-';
    const unsigned char *digits = in->bytes + sign;
    size_t len = in->len - sign;
    if (len > 1 && digits[0] == '0' && digits[1] != '.')
        return false;
    if (integer && memchr(digits, '.', len))
        return false;
    return !(sign && len == 1 && digits[0] == '0');
}

static bool fits_integer(struct gw_convert *convert, const char *text, struct gw_datum *out)
{
    const struct gw_type *to = convert->to;
    unsigned bits = to->bits ? to->bits : 64;
    bool negative = text[0] == '-';
    uint64_t size = 0;
    out->kind = to->kind;
    for (const char *p = text + negative; *p; p++)
        if (__builtin_mul_overflow(size, 10, &size) || __builtin_add_overflow(size, (uint64_t)(*p - '0'), &size))
            return gw_convert_lose(convert, GW_LOSS_RANGE);
    if (to->kind == GW_KIND_UINT64) {
        out->u64 = size;
        if (negative && size)
            return gw_convert_lose(convert, GW_LOSS_UNSIGNED);
        return (bits == 64 || size >> bits == 0) || gw_convert_lose(convert, GW_LOSS_RANGE);
    }
    uint64_t most = ((uint64_t)1 << (bits - 1)) - !negative;
    if (size > most)
        return gw_convert_lose(convert, GW_LOSS_RANGE);
    out->i64 = negative ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}

static bool to_integer(struct gw_convert *convert, const struct gw_datum *in, const char *text, struct gw_datum *out)
{
    gw_autobuf struct gw_buf whole = {0};
    struct gw_decimal decimal;
    bool lost = false;
    if (!gw_decimal_parse(text, strlen(text), &decimal))
        return gw_convert_lose(convert, GW_LOSS_FORM);
    gw_decimal_rescale(&decimal, 0, convert->policy == GW_MAP_ROUND, &whole, &lost);
    if (lost && !gw_convert_bend(convert, GW_LOSS_SCALE))
        return false;
    if (!is_canonical(in, true) && !gw_convert_bend(convert, GW_LOSS_FORM))
        return false;
    return fits_integer(convert, gw_buf_text(&whole), out);
}

static bool integer_to_integer(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    const struct gw_type *to = convert->to;
    unsigned bits = to->bits ? to->bits : 64;
    bool negative = in->kind == GW_KIND_INT64 && in->i64 < 0;
    *out = *in;
    out->kind = to->kind;
    if (to->kind == GW_KIND_UINT64) {
        if (negative)
            return gw_convert_lose(convert, GW_LOSS_UNSIGNED);
        return (bits == 64 || in->u64 >> bits == 0) || gw_convert_lose(convert, GW_LOSS_RANGE);
    }
    uint64_t limit = (uint64_t)1 << (bits - 1);
    bool fits = negative ? 0 - in->u64 <= limit : in->u64 < limit;
    return fits || gw_convert_lose(convert, GW_LOSS_RANGE);
}

static bool to_decimal(struct gw_convert *convert, const struct gw_datum *in, const char *text, struct gw_datum *out)
{
    gw_autobuf struct gw_buf fitted = {0};
    struct gw_decimal decimal;
    const struct gw_type *to = convert->to;
    bool lost = false;
    if (!gw_decimal_parse(text, strlen(text), &decimal))
        return gw_convert_lose(convert, GW_LOSS_FORM);
    if (!is_canonical(in, false) && !gw_convert_bend(convert, GW_LOSS_FORM))
        return false;
    size_t scale = to->scale >= 0 && (to->precision || to->scale) ? (size_t)to->scale : decimal.fraction_len;
    gw_decimal_rescale(&decimal, scale, convert->policy == GW_MAP_ROUND, &fitted, &lost);
    if (lost && !gw_convert_bend(convert, GW_LOSS_SCALE))
        return false;
    if (!gw_decimal_parse(gw_buf_text(&fitted), fitted.len, &decimal))
        return gw_convert_lose(convert, GW_LOSS_FORM);
    if (to->precision && decimal.whole_len + scale > to->precision)
        return gw_convert_lose(convert, GW_LOSS_RANGE);
    *out =
        gw_datum_of_bytes(GW_KIND_DECIMAL, gw_arena_dup(convert->arena, gw_buf_text(&fitted), fitted.len), fitted.len);
    return true;
}

/* Numerically the same as the text? */
static bool same_number(const char *text, double value, bool single)
{
    gw_autobuf struct gw_buf back = {0};
    struct gw_decimal a;
    struct gw_decimal b;
    if (!isfinite(value))
        return false;
    if (single)
        gw_decimal_of_float((float)value, &back);
    else
        gw_decimal_of_double(value, &back);
    return gw_decimal_parse(text, strlen(text), &a) && gw_decimal_parse(gw_buf_text(&back), back.len, &b) &&
           gw_decimal_compare(&a, &b) == 0;
}

static bool to_float(struct gw_convert *convert, const struct gw_datum *in, const char *text, struct gw_datum *out)
{
    bool single = convert->to->kind == GW_KIND_FLOAT32;
    struct gw_decimal decimal;
    bool exact = false;
    if (!gw_decimal_parse(text, strlen(text), &decimal))
        return gw_convert_lose(convert, GW_LOSS_FORM);
    if (!is_canonical(in, false) && !gw_convert_bend(convert, GW_LOSS_FORM))
        return false;
    double value = in->kind == GW_KIND_FLOAT64   ? in->f64
                   : in->kind == GW_KIND_FLOAT32 ? (double)in->f32
                                                 : strtod(text, NULL);
    if (in->kind == GW_KIND_FLOAT64)
        exact = (double)(float)value == value;
    else
        exact = in->kind == GW_KIND_FLOAT32 || same_number(text, value, single);
    if (!exact && !gw_convert_bend(convert, isinf((float)value) ? GW_LOSS_RANGE : GW_LOSS_FLOAT))
        return false;
    if (single && isinf((float)value))
        return gw_convert_lose(convert, GW_LOSS_RANGE);
    *out = (struct gw_datum){.kind = convert->to->kind};
    if (single)
        out->f32 = (float)value;
    else
        out->f64 = value;
    return isfinite(value) || gw_convert_lose(convert, GW_LOSS_RANGE);
}

/* "1e+300", as a float of that size is written; other exponents are another form of it. */
static bool exponent_to_float(struct gw_convert *convert, const char *text, struct gw_datum *out)
{
    struct gw_datum again;
    size_t len = strlen(text);
    if (len == 0 || strspn(text, "0123456789+-.e") != len)
        return gw_convert_lose(convert, GW_LOSS_FORM);
    char *end;
    double value = strtod(text, &end);
    if (*end)
        return gw_convert_lose(convert, GW_LOSS_FORM);
    *out = (struct gw_datum){.kind = convert->to->kind};
    if (convert->to->kind == GW_KIND_FLOAT32)
        out->f32 = strtof(text, NULL);
    else
        out->f64 = value;
    if (convert->to->kind == GW_KIND_FLOAT32 ? !isfinite(out->f32) : !isfinite(value))
        return gw_convert_lose(convert, GW_LOSS_RANGE);
    if (gw_map_text_of(out, convert->arena, &again) && again.len == len && memcmp(again.bytes, text, len) == 0)
        return true;
    return gw_convert_bend(convert, GW_LOSS_FORM);
}

static bool special(struct gw_convert *convert, double value, const struct gw_datum *in, struct gw_datum *out)
{
    enum gw_kind kind = convert->to->kind;
    if (kind == in->kind && (kind != GW_KIND_DECIMAL || convert->to->infinities)) {
        *out = *in;
        return true;
    }
    *out = (struct gw_datum){.kind = kind};
    if (kind == GW_KIND_FLOAT32)
        out->f32 = (float)value;
    else if (kind == GW_KIND_FLOAT64)
        out->f64 = value;
    else if (kind == GW_KIND_DECIMAL && convert->to->infinities) {
        const char *text = isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
        *out = gw_datum_of_bytes(kind, text, strlen(text));
    } else
        return gw_convert_lose(convert, GW_LOSS_INFINITY);
    return true;
}

bool gw_convert_number(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    gw_autobuf struct gw_buf text = {0};
    enum gw_kind kind = convert->to->kind;
    double value;
    bool integer = kind == GW_KIND_INT64 || kind == GW_KIND_UINT64;
    if (integer && (in->kind == GW_KIND_INT64 || in->kind == GW_KIND_UINT64))
        return integer_to_integer(convert, in, out);
    if (kind == GW_KIND_FLOAT64 && in->kind == GW_KIND_FLOAT64) {
        *out = *in;
        return true;
    }
    if (is_special(in) && special_value(in, &value))
        return special(convert, value, in, out);
    if (kind == GW_KIND_FLOAT32 && in->kind == GW_KIND_FLOAT32) {
        *out = *in;
        return true;
    }
    if (!decimal_text(convert, in, &text))
        return false;
    if (memchr(gw_buf_text(&text), 0, text.len))
        return gw_convert_lose(convert, GW_LOSS_FORM);
    if (!integer && kind != GW_KIND_DECIMAL && strchr(gw_buf_text(&text), 'e'))
        return exponent_to_float(convert, gw_buf_text(&text), out);
    if (integer)
        return to_integer(convert, in, gw_buf_text(&text), out);
    return kind == GW_KIND_DECIMAL ? to_decimal(convert, in, gw_buf_text(&text), out)
                                   : to_float(convert, in, gw_buf_text(&text), out);
}
