/*
 * pg_dump and pg_restore: finding a pair that is new enough for the source, and running it. A newer server than the
 * program is refused by the program itself, hence the search.
 */
#ifndef GW_STORE_POSTGRES_SCHEMA_TOOLS_H
#define GW_STORE_POSTGRES_SCHEMA_TOOLS_H

#include "store/postgres/conn.h"

struct gw_pg_tools {
    char *pg_dump; /* paths, owned */
    char *pg_restore;
    int major;
};
void gw_pg_tools_release(struct gw_pg_tools *);
/* The oldest pair that is at least as new as this store's server: in its bindir when one is given, else in Debian's
 * folders and PATH. GW_ERR_UNSUPPORTED with the package to install when there is none. */
GW_MUST_CHECK bool gw_pg_tools_find(struct gw_pg_store *, struct gw_pg_tools *, struct gw_error *);
/* Dumps definitions (no rows) of the store's database into `file`. `more`: further arguments, NULL-ended. */
GW_MUST_CHECK bool gw_pg_tools_dump(struct gw_pg_store *, const struct gw_pg_tools *, const char *file,
                                    const char *const *more, struct gw_error *);
/* The SQL of a section ("pre-data", "post-data") of such a file, with the headers that --verbose gives each entry. */
GW_MUST_CHECK bool gw_pg_tools_script(struct gw_pg_store *, const struct gw_pg_tools *, const char *file,
                                      const char *section, struct gw_buf *out, struct gw_error *);

#endif
