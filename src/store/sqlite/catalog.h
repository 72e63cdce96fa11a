/* Which tables hold the application's data: the one list that catalog, capture, fence and schema share. */
#ifndef GW_STORE_SQLITE_CATALOG_H
#define GW_STORE_SQLITE_CATALOG_H

#include "store/sqlite/table.h"

/* Names of ordinary tables that match, sorted, without ours, SQLite's own, virtual tables and their shadows. Owned. */
struct gw_lite_names {
    size_t count, capacity;
    char **items;
};
GW_MUST_CHECK bool gw_lite_list_tables(struct gw_lite_conn *, const struct gw_filter *, struct gw_lite_names *out,
                                       struct gw_error *);
void gw_lite_names_add(struct gw_lite_names *, const char *name);
void gw_lite_names_release(struct gw_lite_names *);
/* The table as a collection. Owned. */
void gw_lite_to_collection(const struct gw_lite_table *, struct gw_collection *out);

#endif
