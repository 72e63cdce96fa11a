/* Arrays, in the binary form of array_send and in the text form of array_out. */
#include "store/postgres/codec.h"

#include <string.h>
#include <strings.h>

#define MOST_DIMENSIONS 6

/* ---- binary --------------------------------------------------------------------------------------------------------- */

static bool read_elements(const struct gw_pg_coding *element, struct gw_cursor *in, uint64_t count,
                          struct gw_arena *arena, struct gw_buf *flat, struct gw_error *err)
{
    for (uint64_t i = 0; i < count; i++) {
        uint32_t len = gw_cursor_u32(in);
        struct gw_datum datum = gw_datum_null();
        if (len != UINT32_MAX) {
            const unsigned char *bytes = gw_cursor_bytes(in, len);
            if (!bytes || in->bad)
                return gw_pg_refuse(element, "an array that is cut", err);
            if (!gw_pg_read_binary(element, bytes, len, arena, &datum, err))
                return false;
        } else if (in->bad) {
            return gw_pg_refuse(element, "an array that is cut", err);
        }
        gw_datum_write(flat, &datum);
    }
    return true;
}

static void keep(struct gw_buf *flat, struct gw_arena *arena, struct gw_datum *out)
{
    *out = gw_datum_of_bytes(GW_KIND_ARRAY, gw_arena_dup(arena, flat->data, flat->len), flat->len);
}

bool gw_pg_array_read_binary(const struct gw_pg_coding *coding, const unsigned char *bytes, uint32_t len,
                             struct gw_arena *arena, struct gw_datum *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf flat = {0};
    struct gw_cursor in = gw_cursor_of(bytes, len);
    uint32_t dimensions = gw_cursor_u32(&in), lengths[MOST_DIMENSIONS];
    int32_t lowers[MOST_DIMENSIONS];
    uint64_t count = dimensions ? 1 : 0;
    (void)gw_cursor_u32(&in); /* whether there are NULLs */
    (void)gw_cursor_u32(&in); /* the elements' type, known */
    if (in.bad || dimensions > MOST_DIMENSIONS)
        return gw_pg_refuse(coding, "an array of an unknown form", err);
    for (uint32_t i = 0; i < dimensions; i++) {
        lengths[i] = gw_cursor_u32(&in);
        lowers[i] = (int32_t)gw_cursor_u32(&in);
        if (__builtin_mul_overflow(count, lengths[i], &count) || count > len)
            return gw_pg_refuse(coding, "an array of an unknown form", err);
    }
    gw_datum_array_begin(&flat, dimensions, lengths, lowers);
    if (!read_elements(coding->element, &in, count, arena, &flat, err))
        return false;
    if (in.bad || gw_cursor_left(&in) != 0)
        return gw_pg_refuse(coding, "bytes behind an array", err);
    keep(&flat, arena, out);
    return true;
}

bool gw_pg_array_write_binary(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_buf *out,
                              struct gw_error *err)
{
    struct gw_datum_array array;
    if (!gw_datum_array_open(datum, &array, err))
        return false;
    size_t header = out->len;
    gw_buf_put32(out, array.dimensions);
    gw_buf_put32(out, 0);
    gw_buf_put32(out, coding->element->type_id);
    for (uint32_t i = 0; i < array.dimensions; i++) {
        gw_buf_put32(out, array.lengths[i]);
        gw_buf_put32(out, (uint32_t)array.lowers[i]);
    }
    for (uint64_t i = 0; i < array.count; i++) {
        struct gw_datum element = gw_datum_read(&array.elements);
        size_t at = out->len;
        gw_buf_put32(out, UINT32_MAX);
        if (element.kind == GW_KIND_NULL) {
            out->data[header + 7] = 1;
            continue;
        }
        if (!gw_pg_write_binary(coding->element, &element, out, err))
            return false;
        uint32_t len = __builtin_bswap32((uint32_t)(out->len - at - 4));
        memcpy(out->data + at, &len, sizeof len);
    }
    return !array.elements.bad || gw_pg_refuse(coding, "a malformed array", err);
}

/* ---- text out ------------------------------------------------------------------------------------------------------- */

/* Each element in quotes: then only a quote and a backslash mean anything. */
static bool write_element(const struct gw_pg_coding *element, const struct gw_datum *datum, struct gw_buf *out,
                          struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    if (datum->kind == GW_KIND_NULL) {
        gw_buf_adds(out, "NULL");
        return true;
    }
    if (!gw_pg_write_text(element, datum, &text, err))
        return false;
    gw_buf_addc(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            gw_buf_addc(out, '\\');
        gw_buf_addc(out, text.data[i]);
    }
    gw_buf_addc(out, '"');
    return true;
}

static bool write_dimension(const struct gw_pg_coding *coding, struct gw_datum_array *array, uint32_t dimension,
                            struct gw_buf *out, struct gw_error *err)
{
    gw_buf_addc(out, '{');
    for (uint32_t i = 0; i < array->lengths[dimension]; i++) {
        if (i)
            gw_buf_addc(out, coding->delimiter);
        if (dimension + 1 < array->dimensions) {
            if (!write_dimension(coding, array, dimension + 1, out, err))
                return false;
            continue;
        }
        struct gw_datum element = gw_datum_read(&array->elements);
        if (array->elements.bad)
            return gw_pg_refuse(coding, "a malformed array", err);
        if (!write_element(coding->element, &element, out, err))
            return false;
    }
    gw_buf_addc(out, '}');
    return true;
}

bool gw_pg_array_write_text(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_buf *out,
                            struct gw_error *err)
{
    struct gw_datum_array array;
    bool plain = true;
    if (!gw_datum_array_open(datum, &array, err))
        return false;
    if (array.count == 0) {
        gw_buf_adds(out, "{}");
        return true;
    }
    for (uint32_t i = 0; i < array.dimensions; i++)
        plain = plain && array.lowers[i] == 1;
    for (uint32_t i = 0; !plain && i < array.dimensions; i++)
        gw_buf_addf(out, "[%d:%lld]", array.lowers[i], (long long)array.lowers[i] + array.lengths[i] - 1);
    if (!plain)
        gw_buf_addc(out, '=');
    return write_dimension(coding, &array, 0, out, err);
}

/* ---- text in -------------------------------------------------------------------------------------------------------- */

struct reading {
    const struct gw_pg_coding *coding;
    const char *at, *end;
    struct gw_arena *arena;
    struct gw_buf flat; /* elements */
    uint32_t dimensions, lengths[MOST_DIMENSIONS];
    int32_t lowers[MOST_DIMENSIONS];
    bool counted[MOST_DIMENSIONS];
};

static bool take_number(struct reading *r, int32_t *out)
{
    int64_t value = 0;
    bool negative = r->at < r->end && *r->at == '-';
    r->at += negative;
    const char *first = r->at;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9' && value <= INT32_MAX; r->at++)
        value = value * 10 + (*r->at - '0');
    if (negative)
        value = -value;
    *out = (int32_t)value;
    return r->at > first && value >= INT32_MIN && value <= INT32_MAX;
}

/* "[0:1][-3:5]=" */
static bool take_bounds(struct reading *r)
{
    uint32_t i = 0;
    while (r->at < r->end && *r->at == '[') {
        int32_t low, high;
        r->at++;
        if (i == MOST_DIMENSIONS || !take_number(r, &low) || r->at == r->end || *r->at++ != ':' ||
            !take_number(r, &high) || r->at == r->end || *r->at++ != ']')
            return false;
        r->lowers[i++] = low;
    }
    return i == 0 || (r->at < r->end && *r->at++ == '=');
}

static bool take_element(struct reading *r, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    struct gw_datum datum = gw_datum_null();
    bool quoted = *r->at == '"', closed = !quoted;
    r->at += quoted;
    for (; r->at < r->end; r->at++) {
        if (quoted && *r->at == '"') {
            closed = true;
            r->at++;
            break;
        }
        if (!quoted && (*r->at == r->coding->delimiter || *r->at == '}'))
            break;
        if (*r->at == '\\' && ++r->at == r->end)
            break;
        gw_buf_addc(&text, *r->at);
    }
    if (!closed || r->at == r->end)
        return gw_pg_refuse(r->coding, "an array that is cut", err);
    if (quoted || strcasecmp(gw_buf_text(&text), "null") != 0) {
        const char *own = gw_arena_dup(r->arena, text.data, text.len);
        if (!gw_pg_read_text(r->coding->element, own, (uint32_t)text.len, r->arena, &datum, err))
            return false;
    }
    gw_datum_write(&r->flat, &datum);
    return true;
}

static bool take_dimension(struct reading *r, uint32_t dimension, struct gw_error *err)
{
    uint32_t count = 0;
    if (dimension >= MOST_DIMENSIONS)
        return gw_pg_refuse(r->coding, "an array of too many dimensions", err);
    if (dimension + 1 > r->dimensions)
        r->dimensions = dimension + 1;
    r->at++; /* { */
    while (r->at < r->end && *r->at != '}') {
        if (count && *r->at++ != r->coding->delimiter)
            return gw_pg_refuse(r->coding, "an array of an unknown form", err);
        if (r->at == r->end)
            break;
        if (*r->at == '{' ? !take_dimension(r, dimension + 1, err) : !take_element(r, err))
            return false;
        count++;
    }
    if (r->at == r->end)
        return gw_pg_refuse(r->coding, "an array that is cut", err);
    r->at++; /* } */
    if (r->counted[dimension] && r->lengths[dimension] != count)
        return gw_pg_refuse(r->coding, "an array that is not rectangular", err);
    r->counted[dimension] = true;
    r->lengths[dimension] = count;
    return true;
}

bool gw_pg_array_read_text(const struct gw_pg_coding *coding, const char *text, uint32_t len, struct gw_arena *arena,
                           struct gw_datum *out, struct gw_error *err)
{
    struct reading r = {.coding = coding, .at = text, .end = text + len, .arena = arena};
    gw_autobuf struct gw_buf flat = {0};
    for (int i = 0; i < MOST_DIMENSIONS; i++)
        r.lowers[i] = 1;
    bool fine = take_bounds(&r) && r.at < r.end && *r.at == '{';
    if (!fine)
        return gw_pg_refuse(coding, "an array of an unknown form", err);
    fine = take_dimension(&r, 0, err);
    if (fine && r.at != r.end)
        fine = gw_pg_refuse(coding, "bytes behind an array", err);
    if (fine) {
        gw_datum_array_begin(&flat, r.lengths[0] ? r.dimensions : 0, r.lengths, r.lowers);
        gw_buf_add(&flat, r.flat.data, r.flat.len);
        keep(&flat, arena, out);
    }
    gw_buf_release(&r.flat);
    return fine;
}
