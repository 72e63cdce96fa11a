/*
 * What the demo moves: two sides and a gate, of servers (servers.c) or of files alone (files.c).
 */
#ifndef GW_DEMO_KIND_H
#define GW_DEMO_KIND_H

#include "base/buf.h"
#include "demo/servers.h"

#define GW_DEMO_WHY_MAX 400

struct gw_demo_kind {
    const char *beginning; /* "two throwaway PostgreSQL servers (blue, green) and a PgBouncer" */
    const char *through;   /* what the clients write through */
    bool (*find)(struct gw_demo_servers *, const char *bindir, struct gw_error *err);
    bool (*start)(struct gw_demo_servers *, struct gw_error *err); /* with the sample data on blue */
    void (*stop)(struct gw_demo_servers *);
    void (*write_store)(const struct gw_demo_servers *, struct gw_buf *yaml); /* below `main:` of the migration file */
    void (*title)(const struct gw_demo_servers *, struct gw_buf *out);        /* "PostgreSQL 15 to ... through ..." */

    /* A client's session through the gate; one thread. NULL and *why where it cannot be had. */
    void *(*connect)(const struct gw_demo_servers *, char why[GW_DEMO_WHY_MAX]);
    bool (*run)(void *session, const char *sql, char why[GW_DEMO_WHY_MAX]);
    bool (*alive)(void *session);
    void (*disconnect)(void *session);
    const char *begin, *now, *shipped; /* in its SQL: of a transaction, the time, orders.doc that says it was shipped */
    bool in_cents;                     /* money is kept as whole cents */

    /* Ids of the ledger's rows on a side, sorted; owned. Is the sum of all balances what it was? */
    bool (*ledger)(const struct gw_demo_servers *, int side, uint64_t **ids, size_t *count, struct gw_error *err);
    bool (*money)(const struct gw_demo_servers *, int side, bool *kept, struct gw_error *err);
};

extern const struct gw_demo_kind gw_demo_kind_servers, gw_demo_kind_files;

#endif
