/*
 * What a declared type means. SQLite itself knows only its affinity; the name says what the application meant, and the
 * codec makes a value of that kind where it is one, exactly, and of its storage class where it is not.
 */
#ifndef GW_STORE_SQLITE_TYPES_H
#define GW_STORE_SQLITE_TYPES_H

#include "model/type.h"
#include "store/sqlite/table.h"

/* kind GW_KIND_NULL: the name says nothing. Owned. */
void gw_lite_type_of(const char *declared, struct gw_type *out);
/* codec->type_for */
GW_MUST_CHECK bool gw_lite_type_for(const struct gw_type *wanted, struct gw_buf *sql_type, struct gw_type *got,
                                    struct gw_error *);

#endif
