/*
 * A value as SQLite keeps it, in the forms of value.h; the storage class is never lost.
 *
 *   NULL    GW_VALUE_NULL
 *   TEXT    GW_VALUE_TEXT: the bytes, UTF-8 unless the application wrote something else
 *   others  GW_VALUE_BINARY: one byte for the class, then INTEGER 8 bytes big-endian, REAL its bits, BLOB its bytes
 *
 * A bound of a range is a text for each key column: -5 for an INTEGER; R'<bits>' for a REAL; 'text' for a TEXT, T'<hex>'
 * when it holds a NUL byte or is no UTF-8; X'<hex>' for a BLOB. Anything else stands for the text itself.
 */
#ifndef GW_STORE_SQLITE_VALUE_H
#define GW_STORE_SQLITE_VALUE_H

#include "model/range.h"
#include "store/sqlite/conn.h"

enum gw_lite_class { GW_LITE_CLASS_INTEGER = 1, GW_LITE_CLASS_REAL = 2, GW_LITE_CLASS_BLOB = 3 };

/* Copied into the arena. */
struct gw_value gw_lite_value_of(sqlite3_stmt *, int column, struct gw_arena *);
struct gw_value gw_lite_value_integer(int64_t, struct gw_arena *);
struct gw_value gw_lite_value_real(double, struct gw_arena *);
struct gw_value gw_lite_value_blob(const void *, size_t, struct gw_arena *);
/* Borrowed: the bytes must live until the statement is reset. UNCHANGED and ABSENT bind NULL. False: malformed. */
GW_MUST_CHECK bool gw_lite_bind_value(sqlite3_stmt *, int place, const struct gw_value *);

char *gw_lite_bound_text(sqlite3_stmt *, int column); /* owned */
GW_MUST_CHECK bool gw_lite_bind_bound(sqlite3_stmt *, int place, const char *text, struct gw_error *);

#endif
