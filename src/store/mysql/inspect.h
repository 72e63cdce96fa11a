/*
 * What check, audit and plan ask of a side, shared by the files that make the facet:
 *   inspect.c          the facet, probes, audit's sections     inspect_check.c   one side, both sides
 *   inspect_grants.c   the scripts of rights                   inspect_footprint.c   what we make, break-glass
 *   inspect_values.c   rows of blue that a writer cannot write again
 * Nothing here writes, but for a temporary table of probe_write.
 */
#ifndef GW_STORE_MYSQL_INSPECT_H
#define GW_STORE_MYSQL_INSPECT_H

#include "store/mysql/catalog.h"

#include <jansson.h>

GW_MUST_CHECK bool gw_mysql_check(struct gw_store *, const struct gw_filter *, struct gw_findings *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_check_pair(struct gw_store *blue, struct gw_store *green, const struct gw_filter *,
                                       struct gw_findings *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_check_values(struct gw_store *blue, const struct gw_filter *, struct gw_findings *,
                                         struct gw_error *);
/* What the account may do, as one text of upper-case words: ALL PRIVILEGES and roles resolved as far as shown. */
GW_MUST_CHECK bool gw_mysql_rights(struct gw_mysql_conn *, struct gw_buf *global, struct gw_buf *database,
                                   struct gw_error *);
GW_MUST_CHECK bool gw_mysql_grants(struct gw_store *, struct gw_buf *sql, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_grants_for(const struct gw_grants_ask *, struct gw_buf *sql, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_footprint(struct gw_store *, const struct gw_schema *, json_t **out, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_break_glass(const struct gw_store_options *, struct gw_store *, struct gw_buf *out,
                                        struct gw_error *);

#endif
