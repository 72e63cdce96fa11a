/* Columns of captured rows. Forms: record_send (number of columns; of each the type's OID, length or -1, bytes) and
 * record_out ("(a,,\"b \"\"c\"\"\")": an empty field is NULL, quotes and backslashes in quotes are doubled). */
#include "store/postgres/capture.h"

#include "base/mem.h"
#include "io/json.h"

#include <stdlib.h>
#include <string.h>

/* ---- the shape --------------------------------------------------------------------------------------------------- */

void gw_pg_shape_release(struct gw_pg_shape *shape)
{
    for (size_t i = 0; i < shape->count; i++) {
        free(shape->columns[i].name);
        free(shape->columns[i].type);
    }
    free(shape->columns);
    free(shape->difference);
    *shape = (struct gw_pg_shape){0};
}

static void differ(struct gw_buf *out, const char *format, ...) GW_PRINTF(2, 3);
static void differ(struct gw_buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (out->len)
        gw_buf_adds(out, "; ");
    gw_buf_vaddf(out, format, args);
    va_end(args);
}

static int32_t place_of(const struct gw_collection *c, const char *name)
{
    for (size_t i = 0; i < c->column_count; i++)
        if (strcmp(c->columns[i].name, name) == 0)
            return (int32_t)i;
    return -1;
}

static void compare_planned(const struct gw_pg_shape *shape, const struct gw_collection *planned, struct gw_buf *out)
{
    for (size_t p = 0; p < planned->column_count; p++) {
        const struct gw_column *column = &planned->columns[p];
        size_t i = 0;
        while (i < shape->count && strcmp(shape->columns[i].name, column->name) != 0)
            i++;
        if (i == shape->count)
            differ(out, "column %s is gone", column->name);
        else if (strcmp(column->type, shape->columns[i].type) != 0)
            differ(out, "column %s: %s became %s", column->name, column->type, shape->columns[i].type);
        else if (column->generated != shape->columns[i].generated)
            differ(out, "column %s is %s generated", column->name, column->generated ? "no longer" : "now");
    }
}

static void compare(struct gw_pg_shape *shape, const struct gw_collection *planned, const char *space, const char *name)
{
    gw_autobuf struct gw_buf words = {0};
    if (strcmp(space, planned->space) != 0 || strcmp(name, planned->name) != 0)
        differ(&words, "the table is now called %s.%s", space, name);
    compare_planned(shape, planned, &words);
    shape->only_more = words.len == 0;
    for (size_t i = 0; i < shape->count; i++)
        if (place_of(planned, shape->columns[i].name) < 0)
            differ(&words, "column %s %s is new", shape->columns[i].name, shape->columns[i].type);
    shape->same = words.len == 0;
    shape->difference = gw_asprintf("%s: %s", gw_collection_label(planned), gw_buf_text(&words));
}

bool gw_pg_shape_parse(const char *json, const struct gw_collection *planned, struct gw_pg_shape *out,
                       struct gw_error *err)
{
    gw_autojson json_t *root = NULL;
    json_t *columns, *column;
    const char *space, *table;
    size_t at;
    *out = (struct gw_pg_shape){0};
    if (!gw_json_parse(json, strlen(json), "the columns of a captured table", &root, err))
        return false;
    if (json_unpack(root, "{s:s, s:s, s:o}", "space", &space, "name", &table, "columns", &columns) != 0)
        return gw_fail(err, GW_ERR_BUG, "the columns of a captured table cannot be read");
    out->columns = gw_calloc(json_array_size(columns) + 1, sizeof *out->columns);
    json_array_foreach(columns, at, column)
    {
        struct gw_pg_shape_column *c = &out->columns[out->count];
        const char *name, *type;
        json_int_t type_id;
        int generated;
        if (json_unpack(column, "[i, s, I, s, b]", &c->number, &name, &type_id, &type, &generated) != 0) {
            gw_pg_shape_release(out);
            return gw_fail(err, GW_ERR_BUG, "the columns of a captured table cannot be read");
        }
        c->name = gw_strdup(name);
        c->type = gw_strdup(type);
        c->type_id = (uint32_t)type_id;
        c->generated = generated != 0;
        c->place = place_of(planned, name);
        if (c->place >= 0 && planned->columns[c->place].generated)
            c->place = -1;
        out->count++;
    }
    compare(out, planned, space, table);
    return true;
}

bool gw_pg_shape_same_numbers(const struct gw_pg_shape *a, const struct gw_pg_shape *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->columns[i].number != b->columns[i].number)
            return false;
    return true;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void make_absent(const struct gw_collection *c, struct gw_value *values)
{
    for (size_t i = 0; i < c->column_count; i++)
        values[i] = (struct gw_value){.kind = GW_VALUE_ABSENT};
}

static bool binary_value(struct gw_cursor *in, uint32_t type_id, struct gw_value *out)
{
    *out = (struct gw_value){.kind = GW_VALUE_NULL};
    if (gw_cursor_u32(in) != type_id || in->bad)
        return false;
    uint32_t len = gw_cursor_u32(in);
    if (len == UINT32_MAX)
        return !in->bad;
    out->kind = GW_VALUE_BINARY;
    out->len = len;
    out->bytes = gw_cursor_bytes(in, len);
    return out->bytes != NULL;
}

bool gw_pg_shape_binary(const struct gw_pg_shape *shape, const struct gw_collection *c, struct gw_cursor in,
                        struct gw_value *values)
{
    make_absent(c, values);
    if (gw_cursor_u32(&in) != shape->count || in.bad)
        return false;
    for (size_t i = 0; i < shape->count; i++) {
        struct gw_value value;
        if (!binary_value(&in, shape->columns[i].type_id, &value))
            return false;
        if (shape->columns[i].place >= 0)
            values[shape->columns[i].place] = value;
    }
    return gw_cursor_left(&in) == 0;
}

bool gw_pg_shape_key(const struct gw_collection *c, struct gw_cursor in, struct gw_value *values)
{
    make_absent(c, values);
    if (gw_cursor_u32(&in) != c->key_count || in.bad)
        return false;
    for (size_t k = 0; k < c->key_count; k++) {
        struct gw_cursor peek = in;
        uint32_t type_id = gw_cursor_u32(&peek);
        if (!binary_value(&in, type_id, &values[c->key[k]]))
            return false;
    }
    return gw_cursor_left(&in) == 0;
}

/* One field, up to the comma or parenthesis behind it, its bytes put at *room. */
static bool text_value(struct gw_cursor *in, unsigned char **room, struct gw_value *out)
{
    unsigned char *bytes = *room;
    uint32_t len = 0;
    bool quoted = false, any = false;
    while (in->at < in->end && (quoted || (*in->at != ',' && *in->at != ')'))) {
        unsigned char c = *in->at++;
        bool twice = quoted && in->at < in->end && (c == '"' || c == '\\') && *in->at == c;
        any = true;
        if (c == '"' && !twice) {
            quoted = !quoted;
            continue;
        }
        in->at += twice;
        bytes[len++] = c;
    }
    *out = any ? (struct gw_value){.kind = GW_VALUE_TEXT, .len = len, .bytes = bytes}
               : (struct gw_value){.kind = GW_VALUE_NULL};
    *room += len;
    return in->at < in->end && !quoted;
}

bool gw_pg_shape_text(const struct gw_pg_shape *shape, const struct gw_collection *c, struct gw_cursor in,
                      struct gw_arena *arena, struct gw_value *values)
{
    unsigned char *room = gw_arena_alloc(arena, gw_cursor_left(&in) + 1);
    make_absent(c, values);
    if (gw_cursor_u8(&in) != '(')
        return false;
    for (size_t i = 0; i < shape->count; i++) {
        struct gw_value value;
        if (!text_value(&in, &room, &value) || *in.at != (i + 1 < shape->count ? ',' : ')'))
            return false;
        in.at++;
        if (shape->columns[i].place >= 0)
            values[shape->columns[i].place] = value;
    }
    return gw_cursor_left(&in) == 0;
}
