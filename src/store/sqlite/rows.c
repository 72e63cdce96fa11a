#include "store/sqlite/rows.h"

#include <string.h>

static void pack_integer(struct gw_buf *out, int64_t v)
{
    if (v >= INT8_MIN && v <= INT8_MAX) {
        gw_buf_addc(out, GW_LITE_CELL_INT8);
        gw_buf_addc(out, (char)v);
    } else if (v >= INT32_MIN && v <= INT32_MAX) {
        gw_buf_addc(out, GW_LITE_CELL_INT32);
        gw_buf_put32(out, (uint32_t)v);
    } else {
        gw_buf_addc(out, GW_LITE_CELL_INT64);
        gw_buf_put64(out, (uint64_t)v);
    }
}

void gw_lite_pack_cell(struct gw_buf *out, const struct gw_lite_cell *cell)
{
    uint64_t bits;
    switch (cell->type) {
    case SQLITE_INTEGER:
        pack_integer(out, cell->integer);
        return;
    case SQLITE_FLOAT:
        memcpy(&bits, &cell->real, sizeof bits);
        gw_buf_addc(out, GW_LITE_CELL_REAL);
        gw_buf_put64(out, bits);
        return;
    case SQLITE_TEXT:
    case SQLITE_BLOB:
        gw_buf_addc(out, cell->type == SQLITE_TEXT ? GW_LITE_CELL_TEXT : GW_LITE_CELL_BLOB);
        gw_buf_put32(out, cell->len);
        if (cell->len > 0)
            gw_buf_add(out, cell->bytes, cell->len);
        return;
    default:
        gw_buf_addc(out, GW_LITE_CELL_NULL);
    }
}

void gw_lite_pack_column(struct gw_buf *out, sqlite3_stmt *statement, int column)
{
    sqlite3_value *value = sqlite3_column_value(statement, column);
    struct gw_lite_cell cell = {.type = sqlite3_value_type(value)};
    if (cell.type == SQLITE_INTEGER)
        cell.integer = sqlite3_value_int64(value);
    else if (cell.type == SQLITE_FLOAT)
        cell.real = sqlite3_value_double(value);
    else if (cell.type == SQLITE_TEXT)
        cell.bytes = sqlite3_value_text(value);
    else if (cell.type == SQLITE_BLOB)
        cell.bytes = sqlite3_value_blob(value);
    if (cell.type == SQLITE_TEXT || cell.type == SQLITE_BLOB)
        cell.len = (uint32_t)sqlite3_value_bytes(value);
    gw_lite_pack_cell(out, &cell);
}

struct gw_lite_cell gw_lite_unpack_cell(struct gw_cursor *in)
{
    struct gw_lite_cell cell = {.type = SQLITE_INTEGER};
    uint64_t bits;
    switch (gw_cursor_u8(in)) {
    case GW_LITE_CELL_NULL:
        cell.type = SQLITE_NULL;
        break;
    case GW_LITE_CELL_INT8:
        cell.integer = (int8_t)gw_cursor_u8(in);
        break;
    case GW_LITE_CELL_INT32:
        cell.integer = (int32_t)gw_cursor_u32(in);
        break;
    case GW_LITE_CELL_INT64:
        cell.integer = (int64_t)gw_cursor_u64(in);
        break;
    case GW_LITE_CELL_REAL:
        cell.type = SQLITE_FLOAT;
        bits = gw_cursor_u64(in);
        memcpy(&cell.real, &bits, sizeof bits);
        break;
    case GW_LITE_CELL_TEXT:
        cell.type = SQLITE_TEXT;
        cell.len = gw_cursor_u32(in);
        cell.bytes = gw_cursor_bytes(in, cell.len);
        break;
    case GW_LITE_CELL_BLOB:
        cell.type = SQLITE_BLOB;
        cell.len = gw_cursor_u32(in);
        cell.bytes = gw_cursor_bytes(in, cell.len);
        break;
    default:
        in->bad = 1;
    }
    return cell;
}

bool gw_lite_bind_cell(sqlite3_stmt *statement, int place, const struct gw_lite_cell *cell)
{
    const void *bytes = cell->len > 0 ? (const void *)cell->bytes : "";
    int rc;
    switch (cell->type) {
    case SQLITE_INTEGER:
        rc = sqlite3_bind_int64(statement, place, cell->integer);
        break;
    case SQLITE_FLOAT:
        rc = sqlite3_bind_double(statement, place, cell->real);
        break;
    case SQLITE_TEXT:
        rc = sqlite3_bind_text64(statement, place, bytes, cell->len, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case SQLITE_BLOB:
        rc = sqlite3_bind_blob64(statement, place, bytes, cell->len, SQLITE_STATIC);
        break;
    default:
        rc = sqlite3_bind_null(statement, place);
    }
    return rc == SQLITE_OK;
}
