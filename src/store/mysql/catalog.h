/* What tables there are, on a connection at hand. */
#ifndef GW_STORE_MYSQL_CATALOG_H
#define GW_STORE_MYSQL_CATALOG_H

#include "store/mysql/conn.h"

/* As catalog->list. */
GW_MUST_CHECK bool gw_mysql_list(struct gw_mysql_conn *, const struct gw_filter *, struct gw_schema *out,
                                 struct gw_error *);

/* describe.c */
GW_MUST_CHECK bool gw_mysql_describe(struct gw_store *, const struct gw_filter *, struct gw_definition *out,
                                     struct gw_error *);

#endif
