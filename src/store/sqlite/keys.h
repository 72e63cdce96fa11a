/* Conditions on a table's key, and what is bound to them. */
#ifndef GW_STORE_SQLITE_KEYS_H
#define GW_STORE_SQLITE_KEYS_H

#include "store/sqlite/table.h"

/* " WHERE (a, b) >= (?1, ?2) AND (a, b) < (?3, ?4)" for the bounds that there are; the key's own order. */
void gw_lite_add_range(struct gw_buf *, const struct gw_lite_table *, const struct gw_range *);
GW_MUST_CHECK bool gw_lite_bind_range(sqlite3_stmt *, const struct gw_range *, struct gw_error *);
/* "a = ?n AND b = ?n+1": this key to the byte, also where its index ignores case. */
void gw_lite_add_equals(struct gw_buf *, const struct gw_lite_table *, int first);
void gw_lite_add_key_list(struct gw_buf *, const struct gw_lite_table *); /* "a, b" */
void gw_lite_add_order(struct gw_buf *, const struct gw_lite_table *);    /* " ORDER BY a COLLATE .., b" or "" */
void gw_lite_add_column_list(struct gw_buf *, const struct gw_lite_table *, size_t count); /* generated ones as NULL */

#endif
