/*
 * The same kind of work on many things, by a few sessions at a time. Blocks until all are done or one has failed.
 */
#ifndef GW_STORE_POSTGRES_PARALLEL_H
#define GW_STORE_POSTGRES_PARALLEL_H

#include "store/postgres/conn.h"

struct gw_pg_parallel {
    struct gw_pg_store *store;
    const char *what;        /* for application_name */
    const char *session_sql; /* run once in each session, or NULL */
    size_t count;
    int jobs;
    /* Called for each index, in order of begin; from several threads, each with its own connection. */
    GW_MUST_CHECK bool (*each)(struct gw_pg_store *, PGconn *, size_t index, void *arg, struct gw_error *);
    void *arg;
};

/* The first error wins; what was begun is finished before it returns. */
GW_MUST_CHECK bool gw_pg_parallel_run(const struct gw_pg_parallel *, struct gw_error *);

#endif
