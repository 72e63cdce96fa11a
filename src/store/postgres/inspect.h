/*
 * What check, audit and plan ask of a PostgreSQL side, shared by the files that make the facet:
 *   inspect.c           sections of SQL, findings out of rows, probe     inspect_check.c      one side
 *   inspect_pair.c      both sides together, pg_dump                     inspect_grants.c     the scripts
 *   inspect_inventory.c audit's sections                                 inspect_footprint.c  what we make, break-glass
 *
 * Most of it is SQL: a .sql file of named sections, each one statement. A section that godwit's role may not run is
 * itself a finding ("not-looked"), never a silent gap. Nothing here writes, but for a temporary table of probe_write.
 * Threads: any; each call borrows a connection for its duration.
 */
#ifndef GW_STORE_POSTGRES_INSPECT_H
#define GW_STORE_POSTGRES_INSPECT_H

#include "store/postgres/capture.h"

#include <jansson.h>

/* A line "--: id key=value ..." and the statement behind it. */
struct gw_pg_section {
    char id[40];
    char on[8];      /* "blue", "green", "" both */
    char look[40];   /* pair: the ask whose answer is $1 */
    char capture[8]; /* "log", "trigger", "" either */
    char needs[40];  /* inventory: a relation or function that must be there */
    bool ask;
    int since, until; /* major versions; 0: none */
    const char *sql;  /* borrowed from the text that is walked */
    size_t len;
};
/* *at walks; false at the end. */
bool gw_pg_section_next(const char **at, struct gw_pg_section *out);
bool gw_pg_section_fits(const struct gw_pg_section *, const struct gw_pg_store *); /* by side and version */

/* Runs a section (text parameter $1 when `param`) and adds its findings. `side` is whom they are about. */
GW_MUST_CHECK bool gw_pg_section_find(struct gw_pg_store *, PGconn *, const struct gw_pg_section *, const char *param,
                                      const struct gw_filter *, struct gw_findings *, struct gw_error *);
/* The settings godwit.* that sections read: slot, flavour, stage_is_new. */
GW_MUST_CHECK bool gw_pg_inspect_begin(struct gw_pg_store *, PGconn *, struct gw_error *);

/* How rights are given here. */
enum gw_pg_flavour {
    GW_PG_SELF_HOSTED,
    GW_PG_RDS,        /* the role rds_superuser is there */
    GW_PG_OWNER_ONLY, /* our role owns the tables and can neither replicate nor grant: Heroku and its like */
};
GW_MUST_CHECK bool gw_pg_flavour(struct gw_pg_store *, PGconn *, enum gw_pg_flavour *, struct gw_error *);

/* Our role and the database, of the store or, without one, as far as the address says it. Owned. */
void gw_pg_inspect_who(const char *url, struct gw_store *store, char **user, char **database);

/* The facet's members, a file each. */
GW_MUST_CHECK bool gw_pg_inspect_check(struct gw_store *, const struct gw_filter *, struct gw_findings *,
                                       struct gw_error *);
GW_MUST_CHECK bool gw_pg_inspect_pair(struct gw_store *blue, struct gw_store *green, const struct gw_filter *,
                                      struct gw_findings *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_inspect_grants_for(const struct gw_grants_ask *, struct gw_buf *sql, struct gw_error *);
GW_MUST_CHECK bool gw_pg_inspect_inventory(struct gw_store *, const struct gw_filter *, json_t **out,
                                           struct gw_error *);
GW_MUST_CHECK bool gw_pg_inspect_break_glass(const struct gw_store_options *, struct gw_store *, struct gw_buf *out,
                                             struct gw_error *);
/* capture_probe.c */
GW_MUST_CHECK bool gw_pg_inspect_probe_capture(struct gw_store *, int64_t *plain_ns, int64_t *captured_ns,
                                               struct gw_error *);
GW_MUST_CHECK bool gw_pg_inspect_footprint(struct gw_store *, const struct gw_schema *, json_t **out,
                                           struct gw_error *);

#endif
