#include "store/postgres/ddl.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define LOCK_WAIT_MS 500
#define LONG_LOCK_WAIT_MS 1500 /* past deadlock_timeout (1 s) an autovacuum in the way is cancelled by the server */
#define PAUSE_MS 300           /* lets those who queued behind us go first */
#define PATIENCE_US 60000000
#define SAY_EVERY_US 5000000

void gw_pg_add_session(struct gw_buf *out, const PGresult *r, int row)
{
    char age[16];
    const char *user = PQgetvalue(r, row, 1);
    const char *state = PQgetvalue(r, row, 4);
    gw_format_duration(strtoll(PQgetvalue(r, row, 5), NULL, 10), age);
    gw_buf_addf(out, "pid %s (%s@%s", PQgetvalue(r, row, 0), *user ? user : "?", PQgetvalue(r, row, 2));
    if (*PQgetvalue(r, row, 3))
        gw_buf_addf(out, ", \"%s\"", PQgetvalue(r, row, 3));
    gw_buf_addf(out, ", %s for %s)", *state ? state : "in a transaction", age);
}

void gw_pg_add_sessions(struct gw_buf *out, const PGresult *r)
{
    for (int row = 0; row < PQntuples(r); row++) {
        if (row > 0)
            gw_buf_adds(out, ", ");
        gw_pg_add_session(out, r, row);
    }
}

/* Who may be in the way. The table's lock is known by name, else the oldest transactions are the likely ones. */
static void find_holders(struct gw_pg_store *store, PGconn *conn, const char *table, struct gw_buf *who)
{
    struct gw_error ignored;
    PGresult *r;
    const char *by_table = "SELECT DISTINCT ON (a.xact_start, a.pid) " GW_PG_SESSION_COLUMNS
                           " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                           " WHERE l.granted AND l.relation = to_regclass($1) AND l.pid <> pg_backend_pid()"
                           " ORDER BY a.xact_start, a.pid LIMIT 3";
    const char *by_age = "SELECT " GW_PG_SESSION_COLUMNS " FROM pg_stat_activity a"
                         " WHERE a.xact_start IS NOT NULL AND a.datname = current_database()"
                         " AND a.pid <> pg_backend_pid() ORDER BY a.xact_start LIMIT 3";
    gw_buf_clear(who);
    if (!gw_pg_query(store, conn, table ? by_table : by_age, table ? 1 : 0, &table, &r, &ignored))
        return;
    gw_pg_add_sessions(who, r);
    PQclear(r);
}

static bool try_once(struct gw_pg_store *store, PGconn *conn, const char *sql, int wait_ms, bool *locked_out,
                     struct gw_error *err)
{
    struct gw_error ignored;
    gw_autobuf struct gw_buf all = {0};
    gw_buf_addf(&all, "BEGIN; SET LOCAL lock_timeout = %d; %s; COMMIT", wait_ms, sql);
    *locked_out = false;
    if (gw_pg_exec(store, conn, gw_buf_text(&all), err))
        return true;
    *locked_out = err->kind == GW_ERR_RETRY && PQstatus(conn) == CONNECTION_OK;
    if (PQtransactionStatus(conn) != PQTRANS_IDLE && PQstatus(conn) == CONNECTION_OK &&
        !gw_pg_exec(store, conn, "ROLLBACK", &ignored))
        *locked_out = false;
    return false;
}

bool gw_pg_ddl(struct gw_pg_store *store, PGconn *conn, const char *table, const char *sql, struct gw_error *err)
{
    gw_autobuf struct gw_buf who = {0};
    int64_t start_us = gw_mono_us(), said_us = start_us - SAY_EVERY_US;
    bool locked_out;

    for (int attempt = 1;; attempt++) {
        int wait_ms = attempt % 3 == 0 ? LONG_LOCK_WAIT_MS : LOCK_WAIT_MS;
        if (try_once(store, conn, sql, wait_ms, &locked_out, err))
            return true;
        if (!locked_out)
            return false;
        find_holders(store, conn, table, &who);
        if (gw_mono_us() - said_us >= SAY_EVERY_US) {
            gw_info("waiting for a lock on %s: %s", table ? table : "the tables",
                    who.len ? gw_buf_text(&who) : "held for a moment only, trying again");
            said_us = gw_mono_us();
        }
        if (gw_mono_us() - start_us > PATIENCE_US) {
            gw_error_detail(err, "held by %s", who.len ? gw_buf_text(&who) : "sessions that came and went");
            return gw_error_hint(err, "end these sessions, or run the command again when they are done");
        }
        if (gw_cancel_wait(store->cancel, PAUSE_MS))
            return gw_cancel_fail(store->cancel, err);
    }
}
