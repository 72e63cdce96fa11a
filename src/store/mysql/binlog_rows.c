/*
 * Row images: which columns are in them, which of them are NULL, and the values. A row is decoded as far as its change
 * needs: of what was before, only the key (or all, where there is none) and what the new image leaves out.
 */
#include "store/mysql/binlog_decoder.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { STATEMENT_END = 0x01 };

enum gw_binlog_rows gw_binlog_rows_kind(uint8_t type)
{
    switch (type) {
    case GW_BINLOG_WRITE_ROWS_V1:
    case GW_BINLOG_WRITE_ROWS:
    case GW_BINLOG_MARIA_WRITE_ROWS_COMPRESSED_V1:
    case GW_BINLOG_MARIA_WRITE_ROWS_COMPRESSED:
        return GW_BINLOG_WRITE;
    case GW_BINLOG_UPDATE_ROWS_V1:
    case GW_BINLOG_UPDATE_ROWS:
    case GW_BINLOG_MARIA_UPDATE_ROWS_COMPRESSED_V1:
    case GW_BINLOG_MARIA_UPDATE_ROWS_COMPRESSED:
        return GW_BINLOG_UPDATE;
    case GW_BINLOG_DELETE_ROWS_V1:
    case GW_BINLOG_DELETE_ROWS:
    case GW_BINLOG_MARIA_DELETE_ROWS_COMPRESSED_V1:
    case GW_BINLOG_MARIA_DELETE_ROWS_COMPRESSED:
        return GW_BINLOG_DELETE;
    default:
        return GW_BINLOG_NO_ROWS;
    }
}

static bool has_extra(uint8_t type)
{
    return (type >= GW_BINLOG_WRITE_ROWS && type <= GW_BINLOG_DELETE_ROWS) ||
           (type >= GW_BINLOG_MARIA_WRITE_ROWS_COMPRESSED && type <= GW_BINLOG_MARIA_DELETE_ROWS_COMPRESSED);
}

static bool is_set(const unsigned char *bits, size_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static void make_room(struct gw_binlog_image *image, size_t columns)
{
    image->values = gw_realloc(image->values, columns * sizeof *image->values);
    image->room = gw_realloc(image->room, columns * GW_BINLOG_VALUE_ROOM);
}

static bool take_present(struct gw_cursor *in, size_t columns, struct gw_binlog_image *image)
{
    image->present = gw_take(in, (columns + 7) / 8);
    image->present_count = 0;
    for (size_t i = 0; image->present && i < columns; i++)
        image->present_count += is_set(image->present, i);
    return image->present != NULL;
}

static bool find_table(struct gw_binlog *b, uint64_t id, struct gw_binlog_table **out)
{
    for (size_t i = b->number_count; i > 0; i--)
        if (b->numbers[i - 1].id == id) {
            *out = b->numbers[i - 1].table;
            return true;
        }
    return false;
}

bool gw_binlog_rows(struct gw_binlog *b, const struct gw_binlog_event *e, struct gw_binlog_table **out,
                    struct gw_error *err)
{
    struct gw_cursor in = gw_cursor_of(e->body, e->body_len);
    uint64_t id = gw_take_le(&in, b->table_id_len);
    unsigned flags = (unsigned)gw_take_le(&in, 2);
    struct gw_binlog_table *t = NULL;
    if (has_extra(e->type)) {
        size_t extra = (size_t)gw_take_le(&in, 2);
        if (extra < 2)
            return gw_binlog_bad(err, "rows");
        gw_take(&in, extra - 2);
    }
    b->kind = gw_binlog_rows_kind(e->type);
    b->table = NULL;
    b->numbers_over = flags & STATEMENT_END;
    if (in.bad)
        return gw_binlog_bad(err, "rows");
    /* An event without rows ends a statement whose last rows were none: its number is made up. */
    if (!find_table(b, id, &t) && gw_cursor_left(&in) > 2)
        return gw_binlog_bad(err, "rows of a table that it did not name");
    *out = t;
    if (!t)
        return true;
    uint64_t columns = gw_take_packed(&in);
    if (in.bad || columns != t->column_count)
        return gw_binlog_bad(err, "rows of a table with other columns");
    b->column_count = t->column_count;
    if (!take_present(&in, b->column_count, b->kind == GW_BINLOG_WRITE ? &b->after : &b->before) ||
        (b->kind == GW_BINLOG_UPDATE && !take_present(&in, b->column_count, &b->after)))
        return gw_binlog_bad(err, "rows");
    if (e->type >= GW_BINLOG_MARIA_WRITE_ROWS_COMPRESSED_V1) {
        if (!gw_binlog_unpack(&in, &b->unpacked, err))
            return false;
        in = gw_cursor_of(b->unpacked.data, b->unpacked.len);
    }
    size_t columns_at_most = t->width > t->column_count ? t->width : t->column_count;
    if (columns_at_most > b->room_columns) {
        make_room(&b->before, columns_at_most);
        make_room(&b->after, columns_at_most);
        b->room_columns = columns_at_most;
    }
    b->in = in;
    b->table = t->fit == GW_BINLOG_FITS || t->fit == GW_BINLOG_MAPPED ? t : NULL;
    return true;
}

/* ---- one image ---- */

static void clear_values(struct gw_value *values, uint32_t width, enum gw_value_kind kind)
{
    for (uint32_t i = 0; i < width; i++)
        values[i] = (struct gw_value){.kind = kind};
}

static bool fail_value(const struct gw_binlog_table *t, const struct gw_binlog_column *c, struct gw_error *err)
{
    return t->collection ? gw_error_place(err, "%s.%s", t->collection->name, t->collection->columns[c->target].name)
                         : false;
}

/* `fill`: of an old image, also the values that the new one leaves out; NULL: none are. */
static bool read_image(struct gw_binlog *b, struct gw_binlog_image *image, bool before, const unsigned char *fill,
                       struct gw_error *err)
{
    const struct gw_binlog_table *t = b->table;
    const unsigned char *nulls = gw_take(&b->in, (image->present_count + 7) / 8);
    bool all = image->present_count == b->column_count;
    size_t at = 0;
    if (!nulls)
        return gw_binlog_bad(err, "a row");
    if (!all || before || !t->covers)
        clear_values(image->values, t->width, before ? GW_VALUE_ABSENT : GW_VALUE_UNCHANGED);
    for (size_t i = 0; i < b->column_count; i++) {
        const struct gw_binlog_column *c = &t->columns[i];
        if (!all && !is_set(image->present, i))
            continue;
        bool null = is_set(nulls, at++);
        bool wanted = c->target != UINT32_MAX && (!before || c->wanted_old || (fill && !is_set(fill, i)));
        if (!wanted) {
            if (!null)
                gw_binlog_value_skip(c, &b->in);
            continue;
        }
        struct gw_value *value = &image->values[c->target];
        if (null)
            *value = (struct gw_value){.kind = GW_VALUE_NULL};
        else if (!gw_binlog_value(c, &b->in, image->room + c->target * GW_BINLOG_VALUE_ROOM, &b->arena, value, err))
            return fail_value(t, c, err);
    }
    return !b->in.bad || gw_binlog_bad(err, "a row reaches past its event");
}

/* ---- a row ---- */

static bool check_key(const struct gw_binlog *b, const struct gw_value *values, struct gw_error *err)
{
    const struct gw_collection *c = b->table->collection;
    for (size_t k = 0; c && k < c->key_count; k++)
        if (values[c->key[k]].kind == GW_VALUE_ABSENT) {
            gw_fail(err, GW_ERR_UNSUPPORTED, "a changed row of %s came without its key column %s",
                    gw_collection_label(c), c->columns[c->key[k]].name);
            return gw_error_hint(err, "set global binlog_row_image = FULL on the source, and reconnect its clients");
        }
    return true;
}

static bool same_key(const struct gw_binlog *b)
{
    const struct gw_collection *c = b->table->collection;
    for (size_t k = 0; k < c->key_count; k++)
        if (!gw_value_equal(&b->before.values[c->key[k]], &b->after.values[c->key[k]]))
            return false;
    return true;
}

/* Generated columns are never written, so none is told. */
static void blank_generated(const struct gw_binlog *b, struct gw_value *values)
{
    const struct gw_collection *c = b->table->collection;
    for (size_t i = 0; c && i < c->column_count; i++)
        if (c->columns[i].generated)
            values[i] = (struct gw_value){.kind = GW_VALUE_NULL};
}

static bool read_update(struct gw_binlog *b, bool partial, struct gw_row *old, struct gw_error *err)
{
    const struct gw_collection *c = b->table->collection;
    uint32_t width = b->table->width;
    if (!check_key(b, b->before.values, err))
        return false;
    for (uint32_t i = 0; i < width && partial; i++)
        if (b->after.values[i].kind == GW_VALUE_UNCHANGED && b->before.values[i].kind != GW_VALUE_ABSENT)
            b->after.values[i] = b->before.values[i];
    if (!c || c->key_count == 0) {
        *old = (struct gw_row){.count = width, .values = b->before.values};
        return true;
    }
    if (same_key(b))
        return true;
    for (uint32_t i = 0; i < width; i++)
        if (c->columns[i].key_position == 0)
            b->before.values[i] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    *old = (struct gw_row){.count = width, .values = b->before.values};
    return true;
}

bool gw_binlog_row(struct gw_binlog *b, struct gw_row *old, struct gw_row *row, bool *got, struct gw_error *err)
{
    *got = false;
    if (!b->table || gw_cursor_left(&b->in) == 0)
        return true;
    const unsigned char *from = b->in.at;
    if (b->arena.used_bytes > 0)
        gw_arena_reset(&b->arena);
    *old = *row = (struct gw_row){0};
    uint32_t width = b->table->width;
    bool partial = b->kind == GW_BINLOG_UPDATE && b->after.present_count < b->column_count;
    if (b->kind != GW_BINLOG_WRITE && !read_image(b, &b->before, true, partial ? b->after.present : NULL, err))
        return false;
    if (b->kind != GW_BINLOG_DELETE) {
        if (!read_image(b, &b->after, false, NULL, err))
            return false;
        if (b->table->has_generated)
            blank_generated(b, b->after.values);
        *row = (struct gw_row){.count = width, .values = b->after.values};
    }
    if (b->kind == GW_BINLOG_UPDATE && !read_update(b, partial, old, err))
        return false;
    if (b->kind == GW_BINLOG_DELETE) {
        if (!check_key(b, b->before.values, err))
            return false;
        *old = (struct gw_row){.count = width, .values = b->before.values};
    }
    if (b->in.at == from)
        return gw_binlog_bad(err, "rows without columns");
    *got = true;
    return true;
}
