/*
 * The demo: two throwaway PostgreSQL servers and a PgBouncer in a private folder, clients that never stop, and the real
 * commands of this binary that move their database to the other server and back. Nothing of it is rehearsed: what it
 * prints is what it measured, and it exits 0 only when no query failed and no acknowledged row was lost.
 *
 *   place.c    folder, unprivileged user       guard.c, leftovers.c  nothing stays behind, however the demo dies
 *   servers.c  PostgreSQL and PgBouncer       files.c  SQLite files, no server       clients.c  the live workload
 *   score.c    what was acknowledged against what is there       picture.c  the chart
 */
#ifndef GW_DEMO_DEMO_H
#define GW_DEMO_DEMO_H

#include "base/cancel.h"

#include <stdbool.h>

struct gw_demo_options {
    const char *pg_bindir; /* PostgreSQL's server programs; NULL: search */
    bool embedded;         /* two SQLite files and no server at all */
    const char *picture;   /* where to write the chart (SVG); NULL: nowhere */
    bool json;             /* the table as one JSON object on stdout */
    struct gw_cancel *cancel;
};

/* Returns the process's exit code. */
int gw_demo_main(const struct gw_demo_options *options);

#endif
