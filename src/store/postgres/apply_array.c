/* A column of many rows as one array parameter: the binary form of array_recv, or an array literal. */
#include "store/postgres/apply.h"

#include <string.h>

static void put_binary(struct gw_buf *out, const struct gw_row *rows, size_t count, uint32_t column,
                       uint32_t element_type)
{
    gw_buf_put32(out, 1); /* dimensions */
    gw_buf_put32(out, 1); /* may hold NULLs */
    gw_buf_put32(out, element_type);
    gw_buf_put32(out, (uint32_t)count);
    gw_buf_put32(out, 1); /* lower bound */
    for (size_t i = 0; i < count; i++) {
        const struct gw_value *v = &rows[i].values[column];
        if (v->kind != GW_VALUE_BINARY) {
            gw_buf_put32(out, UINT32_MAX);
            continue;
        }
        gw_buf_put32(out, v->len);
        gw_buf_add(out, v->bytes, v->len);
    }
}

static void put_quoted(struct gw_buf *out, const struct gw_value *v)
{
    gw_buf_addc(out, '"');
    const unsigned char *from = v->bytes, *end = v->bytes + v->len;
    for (const unsigned char *p = from; p < end; p++)
        if (*p == '"' || *p == '\\') {
            gw_buf_add(out, from, (size_t)(p - from));
            gw_buf_addc(out, '\\');
            from = p;
        }
    gw_buf_add(out, from, (size_t)(end - from));
    gw_buf_addc(out, '"');
}

static void put_text(struct gw_buf *out, const struct gw_row *rows, size_t count, uint32_t column, char delimiter)
{
    gw_buf_addc(out, '{');
    for (size_t i = 0; i < count; i++) {
        const struct gw_value *v = &rows[i].values[column];
        if (i > 0)
            gw_buf_addc(out, delimiter);
        if (v->kind == GW_VALUE_TEXT)
            put_quoted(out, v);
        else
            gw_buf_adds(out, "NULL");
    }
    gw_buf_addc(out, '}');
}

void gw_pg_array_build(struct gw_buf *out, const struct gw_row *rows, size_t count, uint32_t column, bool binary,
                       uint32_t element_type, char delimiter)
{
    if (binary)
        put_binary(out, rows, count, column, element_type);
    else
        put_text(out, rows, count, column, delimiter);
}
