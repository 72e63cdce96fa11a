/*
 * The demo's servers: blue, green, and the PgBouncer that the clients go through.
 */
#ifndef GW_DEMO_SERVERS_H
#define GW_DEMO_SERVERS_H

#include "demo/place.h"

#include <libpq-fe.h>

struct gw_demo_kind;

struct gw_demo_servers {
    const struct gw_demo_kind *kind;
    const struct gw_demo_place *place;
    char bindir[256];
    char version[64];    /* "15.18", of the servers */
    char pgbouncer[128]; /* path of the program */
    char pgbouncer_version[32];
    char password[40];       /* of every role, random per run */
    int ports[2], gate_port; /* blue, green; PgBouncer */
    struct gw_process postgres[2], bouncer;
    struct gw_cancel *cancel;
};

/* A superuser's session on one side (0 blue, 1 green), by its Unix socket; PQfinish it. */
GW_MUST_CHECK bool gw_demo_connect(const struct gw_demo_servers *servers, int side, const char *database, PGconn **out,
                                   struct gw_error *err);
GW_MUST_CHECK bool gw_demo_sql(PGconn *conn, const char *sql, struct gw_error *err);
/* The first column of the first row as a number. */
GW_MUST_CHECK bool gw_demo_number(PGconn *conn, const char *sql, long long *out, struct gw_error *err);

#endif
