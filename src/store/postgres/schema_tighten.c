/* Putting on inside a pause what is off: one transaction, held open until the owner is flipped. */
#include "store/postgres/schema_loose.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SESSION "tighten"
#define CANCEL_PATIENCE_MS 2000

struct gw_pg_tighten {
    struct gw_pg_store *store;
    PGconn *conn;
    struct gw_buf sql; /* what puts everything on, without BEGIN and COMMIT */
    size_t count;
};

static struct gw_pg_tighten *of(struct gw_tighten *t)
{
    return (struct gw_pg_tighten *)t;
}

/* A session of ours that was left behind (its process frozen, its host gone) holds the locks that we need. What it has
 * not committed counts for nothing. */
static bool end_older(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    return gw_pg_exec(store, conn,
                      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = session_user"
                      " AND datname = current_database() AND application_name = 'godwit " SESSION "'"
                      " AND pid <> pg_backend_pid()",
                      err);
}

static bool read_rows(struct gw_pg_tighten *t, struct gw_error *err)
{
    PGresult *r;
    bool any_new = false;
    if (!gw_pg_query(t->store, t->conn, "SELECT put_back, was_here FROM godwit.loose WHERE off ORDER BY id", 0, NULL,
                     &r, err))
        return false;
    t->count = (size_t)PQntuples(r);
    for (int row = 0; row < PQntuples(r); row++) {
        any_new = any_new || *PQgetvalue(r, row, 1) == 'f';
        if (*PQgetvalue(r, row, 0))
            gw_buf_addf(&t->sql, "%s;\n", PQgetvalue(r, row, 0));
    }
    PQclear(r);
    if (any_new) /* only the side that was loaded has records of what was made */
        gw_buf_adds(&t->sql, "INSERT INTO godwit.restored (entry) SELECT name FROM godwit.loose"
                             " WHERE off AND NOT was_here ON CONFLICT (entry) DO NOTHING;\n");
    gw_buf_adds(&t->sql, "DELETE FROM godwit.loose WHERE off AND later = '[]';\n"
                         "UPDATE godwit.loose SET off = false, next = 0, failed = NULL WHERE off");
    return true;
}

static bool anything_off(struct gw_pg_store *store, bool *any, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_loose_there(store, conn, any, err);
    if (fine && *any)
        fine =
            gw_pg_query_text(store, conn, "SELECT 'off' FROM godwit.loose WHERE off LIMIT 1", 0, NULL, &text, any, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

bool gw_pg_tighten_open(struct gw_store *base, struct gw_tighten **out, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    bool any;
    if (!anything_off(store, &any, err))
        return false;
    if (!any) {
        *out = NULL;
        return true;
    }
    struct gw_pg_tighten *t = gw_zalloc(sizeof *t);
    t->store = store;
    if (!gw_pg_connect(store, GW_PG_PLAIN, SESSION, &t->conn, err) || !end_older(store, t->conn, err) ||
        !read_rows(t, err)) {
        gw_pg_tighten_close((struct gw_tighten *)t);
        return false;
    }
    *out = (struct gw_tighten *)t;
    return true;
}

/* The server is asked to stop; it answers that, and the answer is read so that the session can be used again. */
static void stop_statement(struct gw_pg_tighten *t)
{
    char ignored[256];
    int64_t deadline_us = gw_mono_us() + (int64_t)CANCEL_PATIENCE_MS * 1000;
    struct gw_error unused;
    PGcancel *cancel = PQgetCancel(t->conn);
    if (cancel && !PQcancel(cancel, ignored, sizeof ignored))
        gw_debug("the server could not be asked to stop: %s", ignored);
    PQfreeCancel(cancel);
    while (PQisBusy(t->conn) && gw_left_ms(deadline_us) > 0) {
        bool ready;
        if (!gw_pg_wait(t->store, t->conn, false, gw_left_ms(deadline_us), &ready, &unused) || !PQconsumeInput(t->conn))
            return;
    }
}

/* Waits for all of what was sent; *late when the time is over before it is through. */
static bool wait_through(struct gw_pg_tighten *t, int timeout_ms, bool *late, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    bool fine = true, ready;
    *late = false;
    for (;;) {
        int unsent = PQflush(t->conn);
        if (unsent < 0)
            return gw_pg_fail(t->store, t->conn, NULL, "sending", err);
        if (unsent > 0 || PQisBusy(t->conn)) {
            if (gw_left_ms(deadline_us) == 0) {
                *late = true;
                stop_statement(t);
                return true;
            }
            if (!gw_pg_wait(t->store, t->conn, unsent > 0, gw_left_ms(deadline_us), &ready, err))
                return false;
            if (!PQconsumeInput(t->conn))
                return gw_pg_fail(t->store, t->conn, NULL, "receiving", err);
            continue;
        }
        PGresult *r = PQgetResult(t->conn);
        if (!r)
            return fine;
        if (PQresultStatus(r) == PGRES_FATAL_ERROR && fine)
            fine = gw_pg_fail(t->store, t->conn, r, "putting on foreign keys and triggers", err);
        PQclear(r);
    }
}

bool gw_pg_tighten(struct gw_tighten *tighten, int timeout_ms, struct gw_error *err)
{
    struct gw_pg_tighten *t = of(tighten);
    gw_autobuf struct gw_buf sql = {0};
    bool late;
    if (timeout_ms < 1)
        timeout_ms = 1;
    gw_buf_addf(&sql,
                "BEGIN; SET LOCAL lock_timeout = %d; SET LOCAL synchronous_commit = on;"
                " SET LOCAL check_function_bodies = off;\n%s",
                timeout_ms, gw_buf_text(&t->sql));
    if (!PQsendQuery(t->conn, gw_buf_text(&sql)))
        return gw_pg_fail(t->store, t->conn, NULL, "sending", err);
    if (!wait_through(t, timeout_ms, &late, err))
        return gw_error_place(err, "%s %s", gw_side_name(t->store->base.side), t->store->base.identity.address);
    if (late)
        return gw_fail(err, GW_ERR_RETRY, "foreign keys and triggers could not be put on %s within %d ms",
                       gw_side_name(t->store->base.side), timeout_ms);
    GW_CRASH_POINT("schema.tighten.before_commit");
    return true;
}

bool gw_pg_tighten_commit(struct gw_tighten *tighten, struct gw_error *err)
{
    struct gw_pg_tighten *t = of(tighten);
    if (!gw_pg_exec(t->store, t->conn, "COMMIT", err))
        return false;
    GW_CRASH_POINT("schema.tighten.after_commit");
    gw_debug("%s: %zu foreign keys, triggers and rules are on again", gw_side_name(t->store->base.side), t->count);
    return true;
}

void gw_pg_tighten_close(struct gw_tighten *tighten)
{
    struct gw_pg_tighten *t = of(tighten);
    struct gw_error ignored;
    if (!t)
        return;
    PGTransactionStatusType state = PQtransactionStatus(t->conn);
    /* Waited for: whoever comes next must not meet the locks of what was given up. */
    if ((state == PQTRANS_INTRANS || state == PQTRANS_INERROR) && !gw_pg_exec(t->store, t->conn, "ROLLBACK", &ignored))
        gw_debug("cannot roll back: %s", ignored.message);
    PQfinish(t->conn);
    gw_buf_release(&t->sql);
    free(t);
}
