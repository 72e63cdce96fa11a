/*
 * Into JSON, and from it into arrays. An array becomes a JSON array, nested by its dimensions: booleans and integers as
 * themselves, floats as numbers where they are finite, all else as strings (so no reader rounds a decimal).
 */
#include "map/convert.h"

#include "io/json.h"
#include "map/decimal.h"

#include <math.h>
#include <string.h>

static void add_string(const char *text, size_t len, struct gw_buf *out)
{
    gw_buf_addc(out, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            gw_buf_addf(out, "\\%c", c);
        else if (c < 0x20)
            gw_buf_addf(out, "\\u%04x", c);
        else
            gw_buf_addc(out, (char)c);
    }
    gw_buf_addc(out, '"');
}

static bool add_scalar(struct gw_convert *convert, const struct gw_datum *in, struct gw_buf *out)
{
    struct gw_datum text;
    if (in->kind == GW_KIND_NULL) {
        gw_buf_adds(out, "null");
        return true;
    }
    if (!gw_map_text_of(in, convert->arena, &text))
        return gw_convert_lose(convert, GW_LOSS_ARRAY);
    bool plain = in->kind == GW_KIND_BOOL || in->kind == GW_KIND_INT64 || in->kind == GW_KIND_UINT64 ||
                 in->kind == GW_KIND_JSON || (in->kind == GW_KIND_FLOAT32 && isfinite(in->f32)) ||
                 (in->kind == GW_KIND_FLOAT64 && isfinite(in->f64));
    if (plain)
        gw_buf_add(out, text.bytes, text.len);
    else
        add_string((const char *)text.bytes, text.len, out);
    return true;
}

static bool add_dimension(struct gw_convert *convert, struct gw_datum_array *array, uint32_t dimension,
                          struct gw_buf *out)
{
    gw_buf_addc(out, '[');
    for (uint32_t i = 0; i < array->lengths[dimension]; i++) {
        if (i)
            gw_buf_addc(out, ',');
        if (dimension + 1 < array->dimensions) {
            if (!add_dimension(convert, array, dimension + 1, out))
                return false;
            continue;
        }
        struct gw_datum element = gw_datum_read(&array->elements);
        if (array->elements.bad || !add_scalar(convert, &element, out))
            return gw_convert_lose(convert, GW_LOSS_ARRAY);
    }
    gw_buf_addc(out, ']');
    return true;
}

static bool json_of_array(struct gw_convert *convert, const struct gw_datum *in, struct gw_buf *out)
{
    struct gw_error ignored;
    struct gw_datum_array array;
    if (!gw_datum_array_open(in, &array, &ignored))
        return gw_convert_lose(convert, GW_LOSS_ARRAY);
    for (uint32_t i = 0; i < array.dimensions; i++)
        if (array.lowers[i] != 1 && !gw_convert_bend(convert, GW_LOSS_ARRAY))
            return false;
    if (array.dimensions == 0 || array.count == 0) {
        gw_buf_adds(out, "[]");
        return true;
    }
    return add_dimension(convert, &array, 0, out);
}

static bool check_json(struct gw_convert *convert, const struct gw_datum *in)
{
    gw_autobuf struct gw_buf canonical = {0};
    struct gw_error ignored;
    if (!gw_json_canonical((const char *)in->bytes, in->len, &canonical, &ignored))
        return gw_convert_lose(convert, GW_LOSS_JSON);
    if (convert->to->no_nul && strstr(gw_buf_text(&canonical), "\\u0000"))
        return gw_convert_lose(convert, GW_LOSS_NUL);
    return true;
}

bool gw_convert_json(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    gw_autobuf struct gw_buf text = {0};
    if (in->kind == GW_KIND_JSON || in->kind == GW_KIND_TEXT || in->kind == GW_KIND_BYTES) {
        *out = gw_datum_of_bytes(GW_KIND_JSON, in->bytes, in->len);
        return (in->kind == GW_KIND_JSON && !convert->to->no_nul) || check_json(convert, in);
    }
    if (in->kind == GW_KIND_ARRAY ? !json_of_array(convert, in, &text) : !add_scalar(convert, in, &text))
        return false;
    *out = gw_datum_of_bytes(GW_KIND_JSON, gw_arena_dup(convert->arena, gw_buf_text(&text), text.len), text.len);
    return check_json(convert, out);
}

/* ---- arrays ---- */

struct array_builder {
    struct gw_convert *convert;
    struct gw_convert element;
    struct gw_datum_array shape;
    struct gw_buf elements;
};

static bool add_element(struct array_builder *b, const json_t *value)
{
    gw_autobuf struct gw_buf text = {0};
    struct gw_datum from = {.kind = GW_KIND_NULL};
    struct gw_datum to;
    if (json_is_string(value)) {
        from = gw_datum_of_bytes(GW_KIND_TEXT, json_string_value(value), json_string_length(value));
    } else if (json_is_boolean(value)) {
        from = (struct gw_datum){.kind = GW_KIND_BOOL, .boolean = json_is_true(value)};
    } else if (json_is_integer(value)) {
        from = (struct gw_datum){.kind = GW_KIND_INT64, .i64 = json_integer_value(value)};
    } else if (json_is_real(value)) {
        from = (struct gw_datum){.kind = GW_KIND_FLOAT64, .f64 = json_real_value(value)};
    } else if (!json_is_null(value)) {
        gw_json_dump(value, 0, &text);
        from = gw_datum_of_bytes(GW_KIND_JSON, gw_buf_text(&text), text.len);
    }
    if (!gw_map_convert(&b->element, &from, &to))
        return gw_convert_lose(b->convert, GW_LOSS_ARRAY);
    gw_datum_write(&b->elements, &to);
    return true;
}

/* Every list of one depth has the same length, or it is no array. */
static bool add_list(struct array_builder *b, const json_t *list, uint32_t depth)
{
    uint32_t count = (uint32_t)json_array_size(list);
    if (depth >= 6 || (b->shape.dimensions > depth && b->shape.lengths[depth] != count))
        return gw_convert_lose(b->convert, GW_LOSS_ARRAY);
    bool deepest = !json_is_array(json_array_get(list, 0)) || b->convert->to->element->kind == GW_KIND_JSON;
    if (b->shape.dimensions == depth) {
        b->shape.dimensions++;
        b->shape.lengths[depth] = count;
        b->shape.lowers[depth] = 1;
    } else if (deepest != (b->shape.dimensions == depth + 1)) {
        return gw_convert_lose(b->convert, GW_LOSS_ARRAY);
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        if (deepest ? !add_element(b, item) : !json_is_array(item) || !add_list(b, item, depth + 1))
            return gw_convert_lose(b->convert, GW_LOSS_ARRAY);
    }
    return true;
}

bool gw_convert_array(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    if (in->kind == GW_KIND_ARRAY) {
        *out = *in;
        return true;
    }
    if ((in->kind != GW_KIND_JSON && in->kind != GW_KIND_TEXT) || !convert->to->element)
        return gw_convert_lose(convert, GW_LOSS_KIND);
    gw_autojson json_t *list = json_loadb((const char *)in->bytes, in->len, JSON_DECODE_ANY, NULL);
    if (!json_is_array(list))
        return gw_convert_lose(convert, GW_LOSS_ARRAY);
    struct array_builder b = {.convert = convert, .element = *convert};
    b.element.to = convert->to->element;
    gw_autobuf struct gw_buf whole = {0};
    bool fine = json_array_size(list) == 0 || add_list(&b, list, 0);
    if (fine) {
        gw_datum_array_begin(&whole, b.shape.dimensions, b.shape.lengths, b.shape.lowers);
        gw_buf_add(&whole, gw_buf_text(&b.elements), b.elements.len);
        *out =
            gw_datum_of_bytes(GW_KIND_ARRAY, gw_arena_dup(convert->arena, gw_buf_text(&whole), whole.len), whole.len);
    }
    gw_buf_release(&b.elements);
    return fine;
}
