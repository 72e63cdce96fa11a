/*
 * The blocks of a reader: rows one behind the other, never cut, each a cell for every column of the collection. A cell is
 * one byte for its class and then:
 *
 *   NULL (and a generated column)  nothing         INT8, INT32, INT64   big-endian, the shortest that holds it
 *   REAL                           its 8 bytes     TEXT, BLOB           length as u32, the bytes
 */
#ifndef GW_STORE_SQLITE_ROWS_H
#define GW_STORE_SQLITE_ROWS_H

#include "base/buf.h"

#include <sqlite3.h>
#include <stdbool.h>

enum gw_lite_cell_class {
    GW_LITE_CELL_NULL = 0,
    GW_LITE_CELL_INT64 = 1,
    GW_LITE_CELL_REAL = 2,
    GW_LITE_CELL_TEXT = 3,
    GW_LITE_CELL_BLOB = 4,
    GW_LITE_CELL_INT8 = 5,
    GW_LITE_CELL_INT32 = 6,
};

struct gw_lite_cell {
    int type; /* SQLITE_INTEGER, _FLOAT, _TEXT, _BLOB, _NULL */
    int64_t integer;
    double real;
    const unsigned char *bytes; /* borrowed */
    uint32_t len;
};

void gw_lite_pack_column(struct gw_buf *, sqlite3_stmt *, int column);
void gw_lite_pack_cell(struct gw_buf *, const struct gw_lite_cell *);
/* What is malformed sets cursor->bad. */
struct gw_lite_cell gw_lite_unpack_cell(struct gw_cursor *);
/* Borrows the cell's bytes until the statement is reset. */
bool gw_lite_bind_cell(sqlite3_stmt *, int place, const struct gw_lite_cell *);

#endif
