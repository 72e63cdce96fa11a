/* The home's tables, for those files of the engine that need to know whether it is there. */
#ifndef GW_STORE_MYSQL_HOME_H
#define GW_STORE_MYSQL_HOME_H

#include "store/mysql/conn.h"

/* Whether a table (or view) of this name is in the database. */
GW_MUST_CHECK bool gw_mysql_table_there(struct gw_mysql_conn *, const char *name, bool *there, struct gw_error *);
/* The position row of a stream; order 0 when there is none, also where there is no home. */
GW_MUST_CHECK bool gw_mysql_position_read(struct gw_mysql_conn *, const char *stream, struct gw_position *,
                                          struct gw_error *);
/* fence.c: takes the fence away, with whatever it locked. */
GW_MUST_CHECK bool gw_mysql_fence_remove(struct gw_mysql_conn *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_fence_left(struct gw_mysql_conn *, struct gw_buf *lines, struct gw_error *);
/* The name of its trigger before INSERT, UPDATE, DELETE (0, 1, 2) of a table. */
void gw_mysql_fence_trigger(const char *table, size_t event, char out[64]);
/* schema_loose.c: puts back what was taken off. */
GW_MUST_CHECK bool gw_mysql_loose_restore(struct gw_mysql_conn *, struct gw_error *);

#endif
