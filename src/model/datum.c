#include "model/datum.h"

#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- kinds --------------------------------------------------------------------------------------------------------- */

static const char *const kind_names[] = {
    [GW_KIND_NULL] = "null",
    [GW_KIND_BOOL] = "bool",
    [GW_KIND_INT64] = "int64",
    [GW_KIND_UINT64] = "uint64",
    [GW_KIND_DECIMAL] = "decimal",
    [GW_KIND_FLOAT32] = "float32",
    [GW_KIND_FLOAT64] = "float64",
    [GW_KIND_TEXT] = "text",
    [GW_KIND_BYTES] = "bytes",
    [GW_KIND_DATE] = "date",
    [GW_KIND_TIME] = "time",
    [GW_KIND_TIMESTAMP] = "timestamp",
    [GW_KIND_TIMESTAMPTZ] = "timestamptz",
    [GW_KIND_INTERVAL] = "interval",
    [GW_KIND_UUID] = "uuid",
    [GW_KIND_JSON] = "json",
    [GW_KIND_ARRAY] = "array",
    [GW_KIND_ENUM] = "enum",
    [GW_KIND_BITS] = "bits",
    [GW_KIND_GEOMETRY] = "geometry",
    [GW_KIND_UNCHANGED] = "unchanged",
    [GW_KIND_ABSENT] = "absent",
};

const char *gw_kind_name(enum gw_kind kind)
{
    const char *name = (size_t)kind < sizeof kind_names / sizeof *kind_names ? kind_names[kind] : NULL;
    return name ? name : "unknown";
}

bool gw_kind_has_bytes(enum gw_kind kind)
{
    switch (kind) {
    case GW_KIND_DECIMAL:
    case GW_KIND_TEXT:
    case GW_KIND_BYTES:
    case GW_KIND_UUID:
    case GW_KIND_JSON:
    case GW_KIND_ARRAY:
    case GW_KIND_ENUM:
    case GW_KIND_BITS:
    case GW_KIND_GEOMETRY:
        return true;
    default:
        return false;
    }
}

static bool is_moment(enum gw_kind kind)
{
    return kind == GW_KIND_DATE || kind == GW_KIND_TIMESTAMP || kind == GW_KIND_TIMESTAMPTZ;
}

/* One that is none of the calendar holds bytes, too. */
static bool has_bytes(const struct gw_datum *datum)
{
    return gw_kind_has_bytes(datum->kind) || (is_moment(datum->kind) && datum->len != 0);
}

struct gw_datum gw_datum_null(void)
{
    return (struct gw_datum){.kind = GW_KIND_NULL};
}

struct gw_datum gw_datum_of_bytes(enum gw_kind kind, const void *bytes, size_t len)
{
    return (struct gw_datum){.kind = kind, .len = (uint32_t)len, .bytes = bytes};
}

struct gw_datum gw_datum_text(const char *text)
{
    return text ? gw_datum_of_bytes(GW_KIND_TEXT, text, strlen(text)) : gw_datum_null();
}

static uint32_t float32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t float64_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

bool gw_datum_equal(const struct gw_datum *a, const struct gw_datum *b)
{
    if (a->kind != b->kind || has_bytes(a) != has_bytes(b))
        return false;
    if (has_bytes(a))
        return a->len == b->len && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0);
    switch (a->kind) {
    case GW_KIND_BOOL:
        return a->boolean == b->boolean;
    case GW_KIND_FLOAT32:
        return float32_bits(a->f32) == float32_bits(b->f32);
    case GW_KIND_FLOAT64:
        return float64_bits(a->f64) == float64_bits(b->f64);
    case GW_KIND_INTERVAL:
        return a->interval.months == b->interval.months && a->interval.days == b->interval.days &&
               a->interval.us == b->interval.us;
    case GW_KIND_NULL:
    case GW_KIND_UNCHANGED:
    case GW_KIND_ABSENT:
        return true;
    default:
        return a->i64 == b->i64;
    }
}

struct gw_datum gw_datum_copy(struct gw_arena *arena, const struct gw_datum *datum)
{
    struct gw_datum copy = *datum;
    if (has_bytes(datum))
        copy.bytes = gw_arena_dup(arena, datum->bytes, datum->len);
    return copy;
}

/* ---- flat form ------------------------------------------------------------------------------------------------------ */

void gw_datum_write(struct gw_buf *out, const struct gw_datum *datum)
{
    gw_buf_addc(out, (char)datum->kind);
    if (gw_kind_has_bytes(datum->kind)) {
        gw_buf_put32(out, datum->len);
        gw_buf_add(out, datum->bytes, datum->len);
        return;
    }
    switch (datum->kind) {
    case GW_KIND_BOOL:
        gw_buf_addc(out, datum->boolean ? 1 : 0);
        break;
    case GW_KIND_FLOAT32:
        gw_buf_put32(out, float32_bits(datum->f32));
        break;
    case GW_KIND_FLOAT64:
        gw_buf_put64(out, float64_bits(datum->f64));
        break;
    case GW_KIND_INTERVAL:
        gw_buf_put32(out, (uint32_t)datum->interval.months);
        gw_buf_put32(out, (uint32_t)datum->interval.days);
        gw_buf_put64(out, (uint64_t)datum->interval.us);
        break;
    case GW_KIND_DATE:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        gw_buf_put32(out, datum->len);
        if (datum->len)
            gw_buf_add(out, datum->bytes, datum->len);
        else
            gw_buf_put64(out, (uint64_t)datum->i64);
        break;
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
    case GW_KIND_TIME:
        gw_buf_put64(out, datum->u64);
        break;
    default:
        break;
    }
}

static void read_bytes(struct gw_cursor *in, struct gw_datum *datum)
{
    datum->len = gw_cursor_u32(in);
    datum->bytes = gw_cursor_bytes(in, datum->len);
    if ((datum->kind == GW_KIND_UUID && datum->len != 16) || (datum->kind == GW_KIND_GEOMETRY && datum->len < 4))
        in->bad = 1;
}

static void read_bool(struct gw_cursor *in, struct gw_datum *datum)
{
    uint8_t byte = gw_cursor_u8(in);
    datum->boolean = byte == 1;
    if (byte > 1)
        in->bad = 1;
}

static void read_moment(struct gw_cursor *in, struct gw_datum *datum)
{
    datum->len = gw_cursor_u32(in);
    if (datum->len)
        datum->bytes = gw_cursor_bytes(in, datum->len);
    else
        datum->i64 = (int64_t)gw_cursor_u64(in);
}

static void read_fixed(struct gw_cursor *in, struct gw_datum *datum)
{
    uint32_t bits32;
    uint64_t bits64;
    switch (datum->kind) {
    case GW_KIND_NULL:
    case GW_KIND_UNCHANGED:
    case GW_KIND_ABSENT:
        break;
    case GW_KIND_FLOAT32:
        bits32 = gw_cursor_u32(in);
        memcpy(&datum->f32, &bits32, sizeof bits32);
        break;
    case GW_KIND_FLOAT64:
        bits64 = gw_cursor_u64(in);
        memcpy(&datum->f64, &bits64, sizeof bits64);
        break;
    case GW_KIND_INTERVAL:
        datum->interval.months = (int32_t)gw_cursor_u32(in);
        datum->interval.days = (int32_t)gw_cursor_u32(in);
        datum->interval.us = (int64_t)gw_cursor_u64(in);
        break;
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
    case GW_KIND_TIME:
        datum->u64 = gw_cursor_u64(in);
        break;
    default:
        in->bad = 1;
    }
}

struct gw_datum gw_datum_read(struct gw_cursor *in)
{
    struct gw_datum datum = {.kind = (enum gw_kind)gw_cursor_u8(in)};
    if (gw_kind_has_bytes(datum.kind))
        read_bytes(in, &datum);
    else if (datum.kind == GW_KIND_BOOL)
        read_bool(in, &datum);
    else if (is_moment(datum.kind))
        read_moment(in, &datum);
    else
        read_fixed(in, &datum);
    return in->bad ? gw_datum_null() : datum;
}

/* ---- arrays --------------------------------------------------------------------------------------------------------- */

void gw_datum_array_begin(struct gw_buf *out, uint32_t dimensions, const uint32_t *lengths, const int32_t *lowers)
{
    gw_buf_put32(out, dimensions);
    for (uint32_t i = 0; i < dimensions; i++) {
        gw_buf_put32(out, lengths[i]);
        gw_buf_put32(out, (uint32_t)lowers[i]);
    }
}

bool gw_datum_array_open(const struct gw_datum *datum, struct gw_datum_array *out, struct gw_error *err)
{
    struct gw_datum_array array = {0};
    if (datum->kind != GW_KIND_ARRAY)
        return gw_fail(err, GW_ERR_BUG, "a value of kind %s is opened as an array", gw_kind_name(datum->kind));
    struct gw_cursor in = gw_cursor_of(datum->bytes, datum->len);
    array.dimensions = gw_cursor_u32(&in);
    if (in.bad || array.dimensions > sizeof array.lengths / sizeof *array.lengths)
        return gw_fail(err, GW_ERR_CONFLICT, "an array value of %u bytes is malformed", datum->len);
    array.count = array.dimensions ? 1 : 0;
    for (uint32_t i = 0; i < array.dimensions; i++) {
        array.lengths[i] = gw_cursor_u32(&in);
        array.lowers[i] = (int32_t)gw_cursor_u32(&in);
        /* Each element takes a byte at least: what claims more than is there lies. */
        if (__builtin_mul_overflow(array.count, array.lengths[i], &array.count) || array.count > datum->len)
            in.bad = 1;
    }
    if (in.bad || array.count > gw_cursor_left(&in))
        return gw_fail(err, GW_ERR_CONFLICT, "an array value of %u bytes is malformed", datum->len);
    array.elements = in;
    *out = array;
    return true;
}

/* ---- in words ------------------------------------------------------------------------------------------------------- */

/* The fewest digits that read back as the same number. */
static void print_float(double value, bool single, struct gw_buf *out)
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
    for (int digits = single ? 6 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            break;
    }
    gw_buf_adds(out, text);
}

static void print_hex(const unsigned char *bytes, size_t len, struct gw_buf *out)
{
    static const char digits[] = "0123456789abcdef";
    gw_buf_reserve(out, len * 2);
    for (size_t i = 0; i < len; i++) {
        char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        gw_buf_add(out, pair, 2);
    }
}

static void print_uuid(const struct gw_datum *datum, struct gw_buf *out)
{
    static const unsigned char groups[] = {4, 2, 2, 2, 6};
    const unsigned char *at = datum->bytes;
    if (datum->len != 16) {
        print_hex(datum->bytes, datum->len, out);
        return;
    }
    for (size_t i = 0; i < sizeof groups; i++) {
        if (i)
            gw_buf_addc(out, '-');
        print_hex(at, groups[i], out);
        at += groups[i];
    }
}

static void print_interval(const struct gw_datum *datum, struct gw_buf *out)
{
    size_t before = out->len;
    int32_t months = datum->interval.months, days = datum->interval.days;
    if (months)
        gw_buf_addf(out, "%" PRId32 " %s", months, months == 1 || months == -1 ? "month" : "months");
    if (days)
        gw_buf_addf(out, "%s%" PRId32 " %s", out->len > before ? " " : "", days,
                    days == 1 || days == -1 ? "day" : "days");
    if (datum->interval.us == 0 && out->len > before)
        return;
    if (out->len > before)
        gw_buf_addc(out, ' ');
    gw_time_print(datum->interval.us, -1, out);
}

static void print_element(const struct gw_datum *element, struct gw_buf *out)
{
    gw_autobuf struct gw_buf text = {0};
    gw_datum_print(element, &text);
    const char *words = gw_buf_text(&text);
    bool quote = text.len == 0 || strpbrk(words, ",{}\"\\ \t\n") || strcasecmp(words, "null") == 0;
    if (element->kind == GW_KIND_NULL || element->kind == GW_KIND_ARRAY || !quote) {
        gw_buf_add(out, text.data, text.len);
        return;
    }
    gw_buf_addc(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            gw_buf_addc(out, '\\');
        gw_buf_addc(out, text.data[i]);
    }
    gw_buf_addc(out, '"');
}

static void print_dimension(struct gw_datum_array *array, uint32_t dimension, struct gw_buf *out)
{
    gw_buf_addc(out, '{');
    for (uint32_t i = 0; i < array->lengths[dimension] && !array->elements.bad; i++) {
        if (i)
            gw_buf_addc(out, ',');
        if (dimension + 1 < array->dimensions) {
            print_dimension(array, dimension + 1, out);
            continue;
        }
        struct gw_datum element = gw_datum_read(&array->elements);
        print_element(&element, out);
    }
    gw_buf_addc(out, '}');
}

static void print_array(const struct gw_datum *datum, struct gw_buf *out)
{
    struct gw_datum_array array;
    struct gw_error err;
    if (!gw_datum_array_open(datum, &array, &err)) {
        gw_buf_adds(out, "(malformed array)");
        return;
    }
    bool plain = true;
    for (uint32_t i = 0; i < array.dimensions; i++)
        plain = plain && array.lowers[i] == 1;
    for (uint32_t i = 0; !plain && i < array.dimensions; i++)
        gw_buf_addf(out, "[%" PRId32 ":%" PRId64 "]", array.lowers[i], (int64_t)array.lowers[i] + array.lengths[i] - 1);
    if (!plain)
        gw_buf_addc(out, '=');
    if (array.count == 0)
        gw_buf_adds(out, "{}");
    else
        print_dimension(&array, 0, out);
}

static void print_bytes(const struct gw_datum *datum, struct gw_buf *out)
{
    switch (datum->kind) {
    case GW_KIND_BYTES:
        gw_buf_adds(out, "\\x");
        print_hex(datum->bytes, datum->len, out);
        break;
    case GW_KIND_UUID:
        print_uuid(datum, out);
        break;
    case GW_KIND_ARRAY:
        print_array(datum, out);
        break;
    case GW_KIND_GEOMETRY:
        if (datum->len >= 4) {
            gw_buf_addf(out, "SRID=%" PRIu32 ";", gw_get32(datum->bytes));
            print_hex(datum->bytes + 4, datum->len - 4, out);
        }
        break;
    default:
        gw_buf_add(out, datum->bytes, datum->len);
    }
}

void gw_datum_print(const struct gw_datum *datum, struct gw_buf *out)
{
    if (has_bytes(datum)) {
        print_bytes(datum, out);
        return;
    }
    switch (datum->kind) {
    case GW_KIND_NULL:
        gw_buf_adds(out, "NULL");
        break;
    case GW_KIND_BOOL:
        gw_buf_adds(out, datum->boolean ? "true" : "false");
        break;
    case GW_KIND_INT64:
        gw_buf_addf(out, "%" PRId64, datum->i64);
        break;
    case GW_KIND_UINT64:
        gw_buf_addf(out, "%" PRIu64, datum->u64);
        break;
    case GW_KIND_FLOAT32:
        print_float((double)datum->f32, true, out);
        break;
    case GW_KIND_FLOAT64:
        print_float(datum->f64, false, out);
        break;
    case GW_KIND_DATE:
        gw_date_print(datum->i64, out);
        break;
    case GW_KIND_TIME:
        gw_time_print(datum->i64, -1, out);
        break;
    case GW_KIND_TIMESTAMP:
        gw_timestamp_print(datum->i64, ' ', -1, out);
        break;
    case GW_KIND_TIMESTAMPTZ:
        gw_timestamp_print(datum->i64, ' ', -1, out);
        if (datum->i64 != GW_DATUM_FOREVER && datum->i64 != -GW_DATUM_FOREVER)
            gw_buf_adds(out, "+00");
        break;
    case GW_KIND_INTERVAL:
        print_interval(datum, out);
        break;
    default:
        gw_buf_addf(out, "(%s)", gw_kind_name(datum->kind));
    }
}
