/*
 * `godwit demo`: a live workload on throwaway databases, moved and moved back by this very binary.
 *
 * Makes a private folder under /tmp with two PostgreSQL servers (blue, green) and a PgBouncer, unix sockets only; runs
 * clients through PgBouncer that write down every acknowledged row; drives godwit run, switch, verify, rollback and
 * abort; counts what was lost or doubled; removes everything. A reaper process sees to the last part however this one
 * ends, kill -9 included.
 *
 * Threads: the caller's, one per client, one that reads the runner's output.
 */
#ifndef GW_DEMO_DEMO_H
#define GW_DEMO_DEMO_H

#include "base/cancel.h"

#include <stdbool.h>

struct gw_demo_options {
    const char *pg_bindir;    /* PostgreSQL server programs of both sides; NULL: the newest that is installed */
    const char *green_bindir; /* of green alone, for a move to another version; NULL: as pg_bindir */
    const char *pgbouncer;    /* program; NULL: search */
    const char *picture;      /* SVG file to write; NULL: none */
    int clients;              /* 0: 8 */
    int phase_s;              /* seconds of traffic before the switch, on green, and after the rollback; 0: 4 */
    bool json;                /* the result as one JSON object on stdout; the story goes to stderr */
    struct gw_cancel *cancel; /* asked by SIGINT and SIGTERM */
};

/* Returns the exit code: 0 only when nothing failed, was lost, doubled or different; 1 when something was; 2, 4, 5, 70 as
 * everywhere. */
int gw_demo_main(const struct gw_demo_options *options);

#endif
