#include "model/value.h"

#include "base/mem.h"

static bool has_bytes(enum gw_value_kind kind)
{
    return kind == GW_VALUE_TEXT || kind == GW_VALUE_BINARY;
}

bool gw_value_equal(const struct gw_value *a, const struct gw_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (!has_bytes(a->kind))
        return true;
    return a->len == b->len && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0);
}

struct gw_row gw_row_copy(struct gw_arena *arena, const struct gw_row *row)
{
    struct gw_row copy = {.count = row->count};
    if (row->count == 0)
        return copy;
    copy.values = gw_arena_alloc(arena, row->count * sizeof *copy.values);
    for (uint32_t i = 0; i < row->count; i++) {
        const struct gw_value *from = &row->values[i];
        struct gw_value *to = &copy.values[i];
        *to = (struct gw_value){.kind = from->kind};
        if (!has_bytes(from->kind))
            continue;
        to->len = from->len;
        to->bytes = gw_arena_dup(arena, from->bytes, from->len);
    }
    return copy;
}

struct gw_value gw_value_text(const char *text)
{
    if (!text)
        return (struct gw_value){.kind = GW_VALUE_NULL};
    return (struct gw_value){
        .kind = GW_VALUE_TEXT, .len = (uint32_t)strlen(text), .bytes = (const unsigned char *)text};
}

void gw_row_encode(struct gw_buf *out, const struct gw_row *row)
{
    gw_buf_put32(out, row->count);
    for (uint32_t i = 0; i < row->count; i++) {
        const struct gw_value *value = &row->values[i];
        gw_buf_addc(out, (char)value->kind);
        if (!has_bytes(value->kind))
            continue;
        gw_buf_put32(out, value->len);
        gw_buf_add(out, value->bytes, value->len);
    }
}

struct gw_row gw_row_decode(struct gw_cursor *in, struct gw_arena *arena)
{
    struct gw_row row = {.count = gw_cursor_u32(in)};
    /* Every value takes at least its kind: a count beyond that is a lie, and must not decide an allocation. */
    if (in->bad || row.count > gw_cursor_left(in)) {
        in->bad = 1;
        return (struct gw_row){0};
    }
    if (row.count == 0)
        return row;
    row.values = gw_arena_alloc(arena, row.count * sizeof *row.values);
    for (uint32_t i = 0; i < row.count; i++) {
        struct gw_value *value = &row.values[i];
        *value = (struct gw_value){.kind = (enum gw_value_kind)gw_cursor_u8(in)};
        if (value->kind > GW_VALUE_ABSENT)
            in->bad = 1;
        if (has_bytes(value->kind)) {
            value->len = gw_cursor_u32(in);
            value->bytes = gw_cursor_bytes(in, value->len);
        }
        if (in->bad)
            return (struct gw_row){0};
    }
    return row;
}
