/* Who is connected: clients of this database that are not ours. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/postgres/conn.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define END_PATIENCE_US 3000000

/* Without pg_monitor nothing but its user, name and number is told of a session of another role.
 * A session of godwit's role that does not call itself godwit is somebody at a prompt: the fence would let it pass. */
static const char census_sql[] =
    "SELECT pid, coalesce(usename, ''), coalesce(application_name, ''),"
    " coalesce(host(client_addr) || ':' || client_port, 'local'), coalesce(state, ''),"
    " coalesce(extract(epoch FROM clock_timestamp() - xact_start) * 1000000, 0)::bigint"
    " FROM pg_stat_activity WHERE datname = current_database()"
    " AND (backend_type = 'client backend' OR backend_type IS NULL AND usename IS NOT NULL)"
    " AND pid <> pg_backend_pid() AND NOT (usename = session_user AND application_name LIKE 'godwit %')"
    " ORDER BY backend_start, pid";

static void read_session(const PGresult *r, int row, struct gw_session_info *out)
{
    *out = (struct gw_session_info){.id = strtoll(PQgetvalue(r, row, 0), NULL, 10),
                                    .transaction_age_us = strtoll(PQgetvalue(r, row, 5), NULL, 10)};
    snprintf(out->user, sizeof out->user, "%s", PQgetvalue(r, row, 1));
    snprintf(out->application, sizeof out->application, "%s", PQgetvalue(r, row, 2));
    snprintf(out->address, sizeof out->address, "%s", PQgetvalue(r, row, 3));
    snprintf(out->state, sizeof out->state, "%s", PQgetvalue(r, row, 4));
}

static bool census(struct gw_store *base, struct gw_session_info **out, size_t *count, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGresult *r = NULL;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_query(store, conn, census_sql, 0, NULL, &r, err);
    gw_pg_return(store, conn, !fine);
    if (!fine)
        return false;
    int rows = PQntuples(r);
    *out = gw_calloc(rows > 0 ? (size_t)rows : 1, sizeof **out);
    *count = (size_t)rows;
    for (int row = 0; row < rows; row++)
        read_session(r, row, &(*out)[row]);
    PQclear(r);
    return true;
}

/* Asks the server to end it and waits until it has gone, because its locks go with it. */
static bool end_with(struct gw_pg_store *store, PGconn *conn, const char *pid, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + END_PATIENCE_US;
    gw_autobuf struct gw_buf text = {0};
    bool there = false;
    if (!gw_pg_query_text(store, conn, "SELECT pg_terminate_backend($1::int)", 1, &pid, &text, &there, err)) {
        if (err->kind == GW_ERR_REFUSED)
            gw_error_hint(err,
                          "GRANT pg_signal_backend TO godwit's role (sessions of superusers only a superuser ends)");
        return gw_error_prefix(err, "ending the session %s", pid);
    }
    for (;;) {
        if (!gw_pg_query_text(store, conn, "SELECT 1 FROM pg_stat_activity WHERE pid = $1::int", 1, &pid, &text, &there,
                              err))
            return false;
        if (!there)
            return true;
        if (gw_left_ms(deadline_us) == 0)
            return gw_fail(err, GW_ERR_RETRY, "the session %s was told to end and is still there", pid);
        if (gw_cancel_wait(store->cancel, 5))
            return gw_cancel_fail(store->cancel, err);
    }
}

static bool end(struct gw_store *base, int64_t id, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    char pid[24];
    PGconn *conn;
    snprintf(pid, sizeof pid, "%" PRId64, id);
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = end_with(store, conn, pid, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

const struct gw_sessions_facet gw_pg_sessions = {.census = census, .end = end};
