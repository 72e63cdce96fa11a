#include "map/convert.h"

#include "base/mem.h"
#include "io/utf8.h"
#include "map/decimal.h"

#include <math.h>
#include <string.h>

static const char *const names[GW_LOSS_COUNT] = {
    [GW_LOSS_NONE] = "none",
    [GW_LOSS_LENGTH] = "length",
    [GW_LOSS_SCALE] = "scale",
    [GW_LOSS_RANGE] = "range",
    [GW_LOSS_UNSIGNED] = "unsigned",
    [GW_LOSS_FLOAT] = "float",
    [GW_LOSS_BOOLEAN] = "boolean",
    [GW_LOSS_FORM] = "form",
    [GW_LOSS_ENCODING] = "encoding",
    [GW_LOSS_NUL] = "nul",
    [GW_LOSS_PLANE] = "plane",
    [GW_LOSS_ENUM] = "enum",
    [GW_LOSS_ZERO_DATE] = "zero-date",
    [GW_LOSS_INFINITY] = "infinity",
    [GW_LOSS_DATE_RANGE] = "date-range",
    [GW_LOSS_TIME] = "time-of-day",
    [GW_LOSS_ZONE] = "zone",
    [GW_LOSS_INTERVAL] = "interval",
    [GW_LOSS_BITS] = "bits",
    [GW_LOSS_JSON] = "json",
    [GW_LOSS_UUID] = "uuid",
    [GW_LOSS_ARRAY] = "array",
    [GW_LOSS_KIND] = "kind",
    [GW_LOSS_LOOKUP] = "lookup",
    [GW_LOSS_LOOSE] = "loose",
    [GW_LOSS_LUA] = "lua",
    [GW_LOSS_COLLATION] = "collation",
    [GW_LOSS_CASE] = "case",
    [GW_LOSS_ACCENTS] = "accents",
    [GW_LOSS_PADS] = "pads",
    [GW_LOSS_PREFIX] = "prefix",
    [GW_LOSS_NAME] = "name",
    [GW_LOSS_DEFAULT] = "default",
    [GW_LOSS_CHECK] = "check",
    [GW_LOSS_GENERATED] = "generated",
    [GW_LOSS_INDEX] = "index",
    [GW_LOSS_FOREIGN_KEY] = "foreign-key",
    [GW_LOSS_FILTER] = "filter",
    [GW_LOSS_DROP] = "drop",
    [GW_LOSS_ADDED] = "added",
    [GW_LOSS_NO_INVERSE] = "no-inverse",
    [GW_LOSS_OBJECT] = "object",
    [GW_LOSS_TYPE] = "type",
    [GW_LOSS_WIDER] = "wider",
};

const char *gw_map_loss_name(enum gw_map_loss_id id)
{
    return id < GW_LOSS_COUNT && names[id] ? names[id] : "unknown";
}

const char *gw_map_policy_name(enum gw_map_policy policy)
{
    switch (policy) {
    case GW_MAP_FAIL:
        return "fail";
    case GW_MAP_ROUND:
        return "round";
    case GW_MAP_TRUNCATE:
        return "truncate";
    case GW_MAP_NULL:
        return "null";
    case GW_MAP_QUARANTINE:
        return "quarantine";
    }
    return "unknown";
}

bool gw_convert_lose(struct gw_convert *convert, enum gw_map_loss_id loss)
{
    convert->loss = loss;
    return false;
}

bool gw_convert_bend(struct gw_convert *convert, enum gw_map_loss_id loss)
{
    convert->loss = loss;
    return convert->policy == GW_MAP_ROUND || convert->policy == GW_MAP_TRUNCATE;
}

/* ---- bytes ---- */

static bool unhex(const unsigned char *text, size_t digits, unsigned char *out)
{
    for (size_t i = 0; i < digits; i++) {
        unsigned char c = text[i];
        unsigned value = 16;
        if (c >= '0' && c <= '9')
            value = c - (unsigned)'0';
        else if (c >= 'a' && c <= 'f')
            value = c - (unsigned)'a' + 10;
        else if (c >= 'A' && c <= 'F')
            value = c - (unsigned)'A' + 10;
        if (value == 16)
            return false;
        out[i / 2] = (unsigned char)(i % 2 ? out[i / 2] | value : value << 4);
    }
    return true;
}

/* 36 characters with dashes as they come back; 32 digits or capitals by a policy that bends. */
static bool uuid_of_text(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    unsigned char digits[32];
    size_t count = 0;
    bool exact = in->len == 36;
    for (size_t i = 0; i < in->len && count <= 32; i++) {
        unsigned char c = in->bytes[i];
        exact = exact && (c == '-') == (i == 8 || i == 13 || i == 18 || i == 23) && (c < 'A' || c > 'F');
        if (c == '-')
            continue;
        if (count == 32)
            return gw_convert_lose(convert, GW_LOSS_UUID);
        digits[count++] = c;
    }
    unsigned char *bytes = gw_arena_alloc(convert->arena, 16);
    if (count != 32 || !unhex(digits, 32, bytes))
        return gw_convert_lose(convert, GW_LOSS_UUID);
    if (!exact && !gw_convert_bend(convert, GW_LOSS_UUID))
        return false;
    *out = gw_datum_of_bytes(GW_KIND_UUID, bytes, 16);
    return true;
}

static bool to_uuid(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    if (in->kind == GW_KIND_UUID) {
        *out = *in;
        return true;
    }
    if (in->kind == GW_KIND_BYTES && in->len == 16) {
        *out = gw_datum_of_bytes(GW_KIND_UUID, in->bytes, 16);
        return true;
    }
    if (in->kind == GW_KIND_TEXT)
        return uuid_of_text(convert, in, out);
    return gw_convert_lose(convert, in->kind == GW_KIND_BYTES ? GW_LOSS_UUID : GW_LOSS_KIND);
}

static bool to_bytes(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    const struct gw_type *to = convert->to;
    if (in->kind != GW_KIND_BYTES && in->kind != GW_KIND_TEXT && in->kind != GW_KIND_UUID && in->kind != GW_KIND_JSON &&
        in->kind != GW_KIND_GEOMETRY)
        return gw_convert_lose(convert, GW_LOSS_KIND);
    *out = gw_datum_of_bytes(GW_KIND_BYTES, in->bytes, in->len);
    if (to->length && out->len > to->length) {
        convert->loss = GW_LOSS_LENGTH;
        if (convert->policy != GW_MAP_TRUNCATE)
            return false;
        out->len = (uint32_t)to->length;
    }
    return true;
}

static bool to_bits(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    unsigned char digits[64];
    const unsigned char *from = in->bytes;
    size_t len = in->len;
    if (in->kind == GW_KIND_INT64 || in->kind == GW_KIND_UINT64 || in->kind == GW_KIND_BOOL) {
        uint64_t value = in->kind == GW_KIND_BOOL ? in->boolean : in->u64;
        if (in->kind == GW_KIND_INT64 && in->i64 < 0)
            return gw_convert_lose(convert, GW_LOSS_BITS);
        for (size_t i = 0; i < 64; i++)
            digits[i] = (unsigned char)('0' + (value >> (63 - i) & 1));
        from = digits;
        len = 64;
        while (len > 1 && (!convert->to->length || len > convert->to->length) && *from == '0') {
            from++;
            len--;
        }
    } else if (in->kind != GW_KIND_BITS && in->kind != GW_KIND_TEXT) {
        return gw_convert_lose(convert, GW_LOSS_KIND);
    }
    for (size_t i = 0; i < len; i++)
        if (from[i] != '0' && from[i] != '1')
            return gw_convert_lose(convert, GW_LOSS_FORM);
    size_t wanted = convert->to->fixed && convert->to->length ? convert->to->length : len;
    while (len > (convert->to->length ? convert->to->length : len) && *from == '0') {
        from++;
        len--;
    }
    if (convert->to->length && len > convert->to->length)
        return gw_convert_lose(convert, GW_LOSS_BITS);
    unsigned char *bits = gw_arena_alloc(convert->arena, wanted + len + 1);
    size_t pad = wanted > len ? wanted - len : 0;
    memset(bits, '0', pad);
    memcpy(bits + pad, from, len);
    *out = gw_datum_of_bytes(GW_KIND_BITS, bits, pad + len);
    return true;
}

static bool to_geometry(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    if (in->kind != GW_KIND_GEOMETRY && in->kind != GW_KIND_BYTES)
        return gw_convert_lose(convert, GW_LOSS_KIND);
    *out = gw_datum_of_bytes(GW_KIND_GEOMETRY, in->bytes, in->len);
    return true;
}

/* ---- booleans ---- */

static bool bool_of_text(const struct gw_datum *in, bool *value)
{
    static const struct {
        const char *text;
        bool value;
    } known[] = {{"true", true}, {"false", false}, {"t", true}, {"f", false}, {"1", true}, {"0", false}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (in->len == strlen(known[i].text) && memcmp(in->bytes, known[i].text, in->len) == 0) {
            *value = known[i].value;
            return true;
        }
    }
    return false;
}

static bool bool_of_decimal(const struct gw_datum *in, bool *value)
{
    struct gw_decimal decimal;
    struct gw_decimal one;
    if (!gw_decimal_parse((const char *)in->bytes, in->len, &decimal) || !gw_decimal_parse("1", 1, &one))
        return false;
    *value = gw_decimal_compare(&decimal, &one) == 0;
    return *value || gw_decimal_is_zero(&decimal);
}

static bool to_bool(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    bool value = false;
    bool fine = false;
    switch (in->kind) {
    case GW_KIND_BOOL:
        *out = *in;
        return true;
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
        fine = in->u64 <= 1;
        value = in->u64 == 1;
        break;
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64: {
        double number = in->kind == GW_KIND_FLOAT32 ? (double)in->f32 : in->f64;
        value = number == 1;
        fine = value || (number == 0 && !signbit(number));
        break;
    }
    case GW_KIND_BITS:
        fine = in->len == 1;
        value = fine && in->bytes[0] == '1';
        break;
    case GW_KIND_DECIMAL:
        fine = bool_of_decimal(in, &value);
        break;
    case GW_KIND_TEXT:
    case GW_KIND_ENUM:
        fine = bool_of_text(in, &value);
        break;
    default:
        return gw_convert_lose(convert, GW_LOSS_KIND);
    }
    *out = (struct gw_datum){.kind = GW_KIND_BOOL, .boolean = value};
    return fine || gw_convert_lose(convert, GW_LOSS_BOOLEAN);
}

/* ---- the rest ---- */

bool gw_convert_is_label(const struct gw_type *type, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < type->label_count; i++)
        if (strlen(type->labels[i]) == len && memcmp(type->labels[i], bytes, len) == 0)
            return true;
    return type->label_count == 0;
}

static bool to_enum(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    if (!gw_map_text_of(in, convert->arena, out))
        return gw_convert_lose(convert, GW_LOSS_KIND);
    out->kind = GW_KIND_ENUM;
    const unsigned char *at = out->bytes;
    size_t left = out->len;
    while (convert->to->is_set && left > 0) {
        const unsigned char *comma = memchr(at, ',', left);
        size_t len = comma ? (size_t)(comma - at) : left;
        if (!gw_convert_is_label(convert->to, at, len))
            return gw_convert_lose(convert, GW_LOSS_ENUM);
        left -= len + (comma != NULL);
        at += len + (comma != NULL);
    }
    if (!convert->to->is_set && !gw_convert_is_label(convert->to, out->bytes, out->len))
        return gw_convert_lose(convert, GW_LOSS_ENUM);
    return true;
}

static bool convert_value(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    switch (convert->to->kind) {
    case GW_KIND_BOOL:
        return to_bool(convert, in, out);
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
    case GW_KIND_DECIMAL:
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
        return gw_convert_number(convert, in, out);
    case GW_KIND_TEXT:
        return gw_convert_text(convert, in, out);
    case GW_KIND_BYTES:
        return to_bytes(convert, in, out);
    case GW_KIND_DATE:
    case GW_KIND_TIME:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
    case GW_KIND_INTERVAL:
        return gw_convert_time(convert, in, out);
    case GW_KIND_UUID:
        return to_uuid(convert, in, out);
    case GW_KIND_JSON:
        return gw_convert_json(convert, in, out);
    case GW_KIND_ARRAY:
        return gw_convert_array(convert, in, out);
    case GW_KIND_ENUM:
        return to_enum(convert, in, out);
    case GW_KIND_BITS:
        return to_bits(convert, in, out);
    case GW_KIND_GEOMETRY:
        return to_geometry(convert, in, out);
    default:
        break;
    }
    return gw_convert_lose(convert, GW_LOSS_KIND);
}

/* Floats that a column of floats does not hold; *out: what is nearest to it. */
static bool holds_float(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    const struct gw_type *to = convert->to;
    if ((in->kind != GW_KIND_FLOAT32 && in->kind != GW_KIND_FLOAT64) ||
        (to->kind != GW_KIND_FLOAT32 && to->kind != GW_KIND_FLOAT64))
        return true;
    double value = in->kind == GW_KIND_FLOAT32 ? (double)in->f32 : in->f64;
    if (!isfinite(value) && (!to->infinities || (isnan(value) && to->no_nan)))
        return gw_convert_lose(convert, GW_LOSS_INFINITY);
    if (value != 0 || !signbit(value) || !to->no_minus_zero)
        return true;
    *out = (struct gw_datum){.kind = to->kind}; /* 0.0 */
    return gw_convert_lose(convert, GW_LOSS_FLOAT);
}

bool gw_map_convert(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    convert->loss = GW_LOSS_NONE;
    if (in->kind == GW_KIND_NULL || in->kind == GW_KIND_UNCHANGED || in->kind == GW_KIND_ABSENT ||
        convert->to->kind == GW_KIND_NULL) {
        *out = *in;
        return true;
    }
    if (!holds_float(convert, in, out)) /* where any kind may stand, too */
        return convert->loss == GW_LOSS_FLOAT && gw_convert_bend(convert, GW_LOSS_FLOAT);
    if (convert_value(convert, in, out) && (!convert->to->loose || convert->loss == GW_LOSS_NONE)) {
        const struct gw_datum made = *out;
        if (holds_float(convert, &made, out)) /* what was a text or a decimal */
            return true;
        if (!convert->to->loose)
            return convert->loss == GW_LOSS_FLOAT && gw_convert_bend(convert, GW_LOSS_FLOAT);
    }
    if (!convert->to->loose || convert->loss == GW_LOSS_ARRAY) /* as text in one form, or not at all */
        return false;
    /* It holds any kind: what has no exact place in its own is kept as it is. */
    convert->loss = GW_LOSS_NONE;
    *out = *in;
    return true;
}
