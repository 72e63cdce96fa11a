/*
 * The fence. Installed beforehand, at leisure: on every table (leaves, and what is above them) a BEFORE STATEMENT trigger
 * for INSERT, UPDATE, DELETE and TRUNCATE, ENABLE ALWAYS so that no session_replication_role passes by it. Raising it:
 * LOCK all of them in EXCLUSIVE mode, which waits out whoever has written or checked the flag already; set the flag;
 * write a signal; read the position; commit. Who waited for the lock runs its trigger after it and is stopped.
 *
 * What it does not stop: DDL, sequences, large objects, a superuser or table owner who drops or disables the trigger
 * and the workers of a subscription, which fire no statement trigger (`holes` finds both), and whoever logs in as
 * godwit's own role (the census of sessions names them).
 */
#include "store/postgres/fence.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "sql_embedded.h"
#include "store/postgres/capture.h"
#include "store/postgres/ddl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One attempt holds up whoever queues behind us, and below deadlock_timeout (1 s) no client is ever ended for our sake.
 * An autovacuum in the way is only cancelled by the server past it. */
#define ATTEMPT_MS 400
#define ATTEMPT_AUTOVACUUM_MS 1500
#define PAUSE_MS 10
/* Nobody may keep all tables locked for longer: a process that is frozen there would keep the application parked. */
#define HOLD_MS 1000
/* Another's change of the owner row ends sooner, unless its commit hangs. */
#define OWNER_WAIT_MS 2000

static bool list_tables(struct gw_pg_store *store, PGconn *conn, const struct gw_schema *schema, PGresult **out,
                        struct gw_error *err)
{
    gw_autobuf struct gw_buf spaces = {0}, names = {0};
    gw_pg_array_tables(schema, &spaces, &names);
    const char *params[2] = {gw_buf_text(&spaces), gw_buf_text(&names)};
    return gw_pg_query(store, conn, gw_sql_fence_tables, 2, params, out, err);
}

static bool state_is(const PGresult *r, int row, const char *state)
{
    return strcmp(PQgetvalue(r, row, 1), state) == 0;
}

/* ---- install --------------------------------------------------------------------------------------------------- */

static bool install_on(struct gw_pg_store *store, PGconn *conn, const char *table, bool replace, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    if (replace)
        gw_buf_addf(&sql, "DROP TRIGGER godwit_fence ON %s; ", table);
    gw_buf_addf(&sql,
                "CREATE TRIGGER godwit_fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s"
                " FOR EACH STATEMENT EXECUTE FUNCTION godwit.fence_check(); "
                "ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER godwit_fence",
                table, table);
    return gw_pg_ddl(store, conn, table, gw_buf_text(&sql), err);
}

/* The tables there are at the first install: what comes later and has no trigger is a hole. */
static bool note_tables(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    return gw_pg_exec(store, conn,
                      "INSERT INTO godwit.note (name, json) SELECT 'fence-tables', coalesce(json_agg(oid::bigint),"
                      " '[]')::text FROM pg_class WHERE relkind IN ('r', 'p') ON CONFLICT (name) DO NOTHING",
                      err);
}

static bool install(struct gw_store *base, const struct gw_schema *schema, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGresult *r = NULL;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_ddl(store, conn, NULL, gw_sql_fence, err) && note_tables(store, conn, err) &&
                list_tables(store, conn, schema, &r, err);
    for (int row = 0; fine && row < PQntuples(r); row++) {
        const char *table = PQgetvalue(r, row, 0);
        if (state_is(r, row, "gone"))
            fine = gw_fail(err, GW_ERR_CONFLICT, "table %s is not there: the fence cannot stand on it", table);
        else if (!state_is(r, row, "on"))
            fine = install_on(store, conn, table, !state_is(r, row, "missing"), err);
        GW_CRASH_POINT("postgres.fence.install");
    }
    PQclear(r);
    gw_pg_return(store, conn, !fine);
    return fine;
}

/* ---- raise and lower ------------------------------------------------------------------------------------------- */

/* Holders of a lock that conflicts with ours, with the kind of process first. */
static bool find_holders(struct gw_pg_store *store, PGconn *conn, const char *array, struct gw_buf *who,
                         bool *autovacuum)
{
    struct gw_error ignored;
    gw_autobuf struct gw_buf held = {0};
    PGresult *r;
    gw_buf_clear(who);
    *autovacuum = false;
    if (!gw_pg_query(store, conn,
                     "SELECT " GW_PG_SESSION_COLUMNS ", a.backend_type FROM pg_stat_activity a"
                     " WHERE a.pid IN (SELECT pid FROM pg_locks WHERE granted AND mode NOT IN ('AccessShareLock')"
                     " AND relation IN (SELECT unnest($1::regclass[])) AND pid <> pg_backend_pid())"
                     " ORDER BY a.xact_start LIMIT 5",
                     1, &array, &r, &ignored))
        return false;
    gw_pg_add_sessions(who, r);
    for (int row = 0; row < PQntuples(r); row++)
        *autovacuum = *autovacuum || strcmp(PQgetvalue(r, row, 6), "autovacuum worker") == 0;
    PQclear(r);
    if (gw_pg_query_text(store, conn,
                         "SELECT string_agg(DISTINCT x.gid, ', ') FROM pg_prepared_xacts x"
                         " JOIN pg_locks own ON own.pid IS NULL AND own.transactionid = x.transaction"
                         " JOIN pg_locks l ON l.pid IS NULL AND l.virtualtransaction = own.virtualtransaction"
                         " WHERE l.granted AND l.relation IN (SELECT unnest($1::regclass[]))",
                         1, &array, &held, NULL, &ignored) &&
        held.len)
        gw_buf_addf(who, "%sprepared transaction %s", who->len ? ", " : "", gw_buf_text(&held));
    return true;
}

/* The flag is no part of the transaction, so it is set by a statement of its own: a server goes on with a lock it was
 * asked for when we have died meanwhile, and would raise a fence that nobody lowers. And only while nobody has decided
 * about the owner since we began: who was frozen here and overtaken must not fence the owner. */
static bool set_flag(struct gw_pg_store *store, PGconn *conn, const char *epoch, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn, "SELECT setval('godwit.fence', 2) FROM godwit.owner WHERE epoch = $1", 1, &epoch, &r,
                     err))
        return false;
    bool set = PQntuples(r) == 1;
    PQclear(r);
    if (set)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "the owner was decided anew while the fence was being raised");
    return gw_error_hint(err, "the watchdog or another operator undid this switch; look at godwit status");
}

/* Locks, sets the flag and reads the position, up to but without the commit. The position is taken while all tables are
 * locked: whatever was committed on them lies before it, and our own commit, which the stream shows at once, behind. */
static bool lock_and_set(struct gw_pg_store *store, PGconn *conn, const char *lock_sql, const char *epoch, int wait_ms,
                         uint64_t *lsn, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    PGresult *r;
    gw_buf_addf(&sql,
                "BEGIN; SET LOCAL lock_timeout = %d; SET LOCAL synchronous_commit = local; "
                "SET LOCAL idle_in_transaction_session_timeout = %d; %s",
                wait_ms, HOLD_MS, lock_sql);
    if (!gw_pg_exec(store, conn, gw_buf_text(&sql), err) || !set_flag(store, conn, epoch, err) ||
        !gw_pg_query(store, conn,
                     "INSERT INTO godwit.signal (kind, token, at) VALUES"
                     " ('fence', 'fence:raised', clock_timestamp()) ON CONFLICT (kind) DO UPDATE SET at = excluded.at; "
                     "SELECT pg_current_wal_insert_lsn()",
                     0, NULL, &r, err))
        return false;
    bool fine = PQntuples(r) == 1 && gw_pg_lsn_parse(PQgetvalue(r, 0, 0), lsn);
    PQclear(r);
    return fine || gw_fail(err, GW_ERR_BUG, "the server gave no position for the fence");
}

static bool raise_once(struct gw_pg_store *store, PGconn *conn, const char *lock_sql, const char *epoch, int wait_ms,
                       uint64_t *lsn, struct gw_error *err)
{
    struct gw_error ignored;
    if (lock_and_set(store, conn, lock_sql, epoch, wait_ms, lsn, err)) {
        GW_CRASH_POINT("postgres.fence.before_commit");
        return gw_pg_exec(store, conn, "COMMIT", err);
    }
    if (PQtransactionStatus(conn) != PQTRANS_IDLE && PQstatus(conn) == CONNECTION_OK &&
        !gw_pg_exec(store, conn, "ROLLBACK", &ignored))
        *err = ignored;
    return false;
}

static bool raise_within(struct gw_pg_store *store, PGconn *conn, const char *lock_sql, const char *array,
                         int timeout_ms, uint64_t *lsn, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    gw_autobuf struct gw_buf who = {0}, epoch = {0};
    bool autovacuum = false;
    if (!gw_pg_query_text(store, conn, "SELECT epoch FROM godwit.owner", 0, NULL, &epoch, NULL, err))
        return false;
    for (;;) {
        int left_ms = gw_left_ms(deadline_us), most_ms = autovacuum ? ATTEMPT_AUTOVACUUM_MS : ATTEMPT_MS;
        int wait_ms = left_ms > most_ms ? most_ms : left_ms > 0 ? left_ms : 1;
        if (raise_once(store, conn, lock_sql, gw_buf_text(&epoch), wait_ms, lsn, err))
            return true;
        if (err->kind != GW_ERR_RETRY || PQstatus(conn) != CONNECTION_OK)
            return false;
        if (!find_holders(store, conn, array, &who, &autovacuum) || gw_left_ms(deadline_us) == 0)
            break;
        if (gw_cancel_wait(store->cancel, PAUSE_MS))
            return gw_cancel_fail(store->cancel, err);
    }
    gw_fail(err, GW_ERR_RETRY, "the fence could not be raised within %d ms: transactions that write are still open",
            timeout_ms);
    gw_error_detail(err, "held up by %s", who.len ? gw_buf_text(&who) : "sessions that came and went");
    gw_error_hint(err, "end these sessions or let them finish, then try again");
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

static void add_lock(const PGresult *r, struct gw_buf *lock_sql, struct gw_buf *array)
{
    gw_pg_array_open(array);
    for (int row = 0; row < PQntuples(r); row++) {
        if (state_is(r, row, "gone"))
            continue;
        gw_buf_addf(lock_sql, "%s ONLY %s", lock_sql->len ? "," : "LOCK TABLE", PQgetvalue(r, row, 0));
        gw_pg_array_add(array, PQgetvalue(r, row, 0), strlen(PQgetvalue(r, row, 0)));
    }
    if (lock_sql->len)
        gw_buf_adds(lock_sql, " IN EXCLUSIVE MODE; ");
    gw_pg_array_close(array);
}

/* A table without our trigger would go on being written: better no fence than one that seems to stand. */
static bool require_whole(struct gw_pg_store *store, const PGresult *r, struct gw_error *err)
{
    for (int row = 0; row < PQntuples(r); row++)
        if (!state_is(r, row, "on")) {
            gw_fail(err, GW_ERR_CONFLICT, "the fence would not hold: its trigger on %s is %s", PQgetvalue(r, row, 0),
                    state_is(r, row, "gone") ? "gone with the table" : PQgetvalue(r, row, 1));
            gw_error_hint(err, "run the preparation again: it puts the triggers back");
            return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
        }
    return true;
}

static bool fence_raise(struct gw_store *base, const struct gw_schema *schema, int lock_timeout_ms,
                        struct gw_position *at, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    gw_autobuf struct gw_buf lock_sql = {0}, array = {0};
    uint64_t lsn = 0;
    PGresult *r = NULL;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = list_tables(store, conn, schema, &r, err) && require_whole(store, r, err);
    if (fine) {
        add_lock(r, &lock_sql, &array);
        fine = raise_within(store, conn, gw_buf_text(&lock_sql), gw_buf_text(&array), lock_timeout_ms, &lsn, err);
    }
    PQclear(r);
    gw_pg_return(store, conn, !fine);
    if (!fine)
        return false;
    if (gw_pg_captures(store)) /* behind what was committed, and our own signal too: nobody writes any more */
        return gw_pg_capture_horizon(store, at, err);
    gw_pg_lsn_format(lsn, at);
    return true;
}

static bool has_home(struct gw_pg_store *store, PGconn *conn, bool *there, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    return gw_pg_query_text(store, conn, "SELECT to_regclass('godwit.fence')::text", 0, NULL, &text, there, err);
}

/* Where the owner row names this side, and nobody is changing that now: the row is locked before the flag is set. One
 * message, for it is part of the pause. */
static bool lower_with(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    PGresult *r;
    const char *side = gw_side_name(store->base.side);
    gw_buf_addf(&sql,
                "SELECT set_config('synchronous_commit', 'local', true), set_config('lock_timeout', '%d', true);"
                " SELECT setval('godwit.fence', 1) FROM (SELECT 1 FROM godwit.owner WHERE owner = '%s' FOR SHARE) o",
                OWNER_WAIT_MS, side);
    if (!gw_pg_query(store, conn, gw_buf_text(&sql), 0, NULL, &r, err))
        return gw_error_prefix(err, "lowering the fence on %s", side);
    bool lowered = PQntuples(r) == 1;
    PQclear(r);
    if (lowered)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "the fence on %s stays up: %s owns the data by the row there", side,
            gw_side_name(gw_side_other(store->base.side)));
    return gw_error_place(err, "%s %s", side, store->base.identity.address);
}

static bool lower(struct gw_store *base, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    bool there = false;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = has_home(store, conn, &there, err);
    if (fine && there)
        fine = lower_with(store, conn, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

static bool is_raised(struct gw_store *base, bool *raised, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    gw_autobuf struct gw_buf value = {0};
    bool there = false;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = has_home(store, conn, &there, err);
    if (fine && there)
        fine = gw_pg_query_text(store, conn, "SELECT last_value FROM godwit.fence", 0, NULL, &value, NULL, err);
    gw_pg_return(store, conn, !fine);
    if (fine)
        *raised = strcmp(gw_buf_text(&value), "2") == 0;
    return fine;
}

/* ---- prove and holes ------------------------------------------------------------------------------------------- */

static bool run_probe(struct gw_pg_store *store, PGconn *conn, const char *array, struct gw_buf *open,
                      struct gw_error *err)
{
    struct gw_error ignored;
    if (!gw_pg_exec(store, conn, "BEGIN; SET LOCAL lock_timeout = 1000", err))
        return false;
    bool fine = gw_pg_query_text(store, conn, "SELECT array_to_string(godwit.fence_probe($1::text[]), ', ')", 1, &array,
                                 open, NULL, err);
    bool undone = gw_pg_exec(store, conn, "ROLLBACK", fine ? err : &ignored);
    return fine && undone;
}

/* The probe is a session of ours that the trigger is told to treat as foreign. It shows that the trigger is there, fires
 * and looks at the flag, on every table; that a foreign session_user is told from ours is the trigger's one comparison,
 * which this cannot show. */
static bool prove(struct gw_store *base, const struct gw_schema *schema, bool *held, struct gw_buf *how,
                  struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    gw_autobuf struct gw_buf open = {0}, unused = {0}, array = {0};
    PGresult *r = NULL;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = list_tables(store, conn, schema, &r, err);
    if (fine) {
        add_lock(r, &unused, &array);
        fine = run_probe(store, conn, gw_buf_text(&array), &open, err);
    }
    int count = fine ? PQntuples(r) : 0;
    bool whole = fine;
    for (int row = 0; row < count; row++)
        whole = whole && state_is(r, row, "on");
    PQclear(r);
    gw_pg_return(store, conn, !fine);
    if (!fine)
        return false;
    gw_buf_clear(how);
    *held = open.len == 0 && whole;
    if (open.len)
        gw_buf_addf(how, "DELETE of no row, as a session that is not godwit's, was not stopped on %s",
                    gw_buf_text(&open));
    else
        gw_buf_addf(how, "DELETE of no row, as a session that is not godwit's, was stopped on all %d tables%s", count,
                    whole ? "; the same trigger is there for INSERT, UPDATE and TRUNCATE"
                          : ", but a trigger does not cover all statements");
    return true;
}

static const char later_tables_sql[] =
    "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'"
    " AND n.nspname NOT IN ('information_schema', 'godwit')"
    " AND NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'godwit_fence')"
    " AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass"
    "   AND d.deptype = 'e')"
    " AND NOT EXISTS (SELECT 1 FROM unnest($1::text[], $2::text[]) w(space, name)"
    "   WHERE w.space = n.nspname AND w.name = c.relname)"
    " AND c.oid::bigint NOT IN (SELECT o::bigint FROM godwit.note, json_array_elements_text(json::json) o"
    "   WHERE note.name = 'fence-tables')"
    " ORDER BY 1";

/* Their workers apply as replica and row by row: no trigger of a statement fires. */
static bool subscriptions(struct gw_pg_store *store, PGconn *conn, struct gw_buf *lines, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn,
                     "SELECT format('%I', subname) FROM pg_subscription WHERE subenabled"
                     " AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1",
                     0, NULL, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        gw_buf_addf(lines, "subscription %s writes past it: ALTER SUBSCRIPTION %s DISABLE\n", PQgetvalue(r, row, 0),
                    PQgetvalue(r, row, 0));
    PQclear(r);
    return true;
}

static bool holes_with(struct gw_pg_store *store, PGconn *conn, const struct gw_schema *schema, struct gw_buf *lines,
                       struct gw_error *err)
{
    gw_autobuf struct gw_buf spaces = {0}, names = {0};
    gw_pg_array_tables(schema, &spaces, &names);
    const char *params[2] = {gw_buf_text(&spaces), gw_buf_text(&names)};
    bool there = false;
    PGresult *r;
    if (!has_home(store, conn, &there, err))
        return false;
    if (!there) {
        gw_buf_adds(lines, "the fence is not installed\n");
        return true;
    }
    if (!list_tables(store, conn, schema, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        if (state_is(r, row, "gone"))
            gw_buf_addf(lines, "table %s is gone\n", PQgetvalue(r, row, 0));
        else if (!state_is(r, row, "on"))
            gw_buf_addf(lines, "the fence's trigger on %s is %s\n", PQgetvalue(r, row, 0), PQgetvalue(r, row, 1));
    PQclear(r);
    if (!gw_pg_query(store, conn, later_tables_sql, 2, params, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        gw_buf_addf(lines, "table %s was made after the fence was installed and has no trigger\n",
                    PQgetvalue(r, row, 0));
    PQclear(r);
    return subscriptions(store, conn, lines, err);
}

static bool holes(struct gw_store *base, const struct gw_schema *schema, struct gw_buf *lines, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    gw_buf_clear(lines);
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = holes_with(store, conn, schema, lines, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

/* ---- removal --------------------------------------------------------------------------------------------------- */

static bool list_triggers(struct gw_pg_store *store, PGconn *conn, PGresult **out, struct gw_error *err)
{
    return gw_pg_query(store, conn,
                       "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_trigger t"
                       " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
                       " WHERE t.tgname = 'godwit_fence' ORDER BY 1",
                       0, NULL, out, err);
}

bool gw_pg_fence_remove(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    PGresult *r;
    if (!list_triggers(store, conn, &r, err))
        return false;
    bool fine = true;
    for (int row = 0; row < PQntuples(r) && fine; row++) {
        gw_buf_clear(&sql);
        gw_buf_addf(&sql, "DROP TRIGGER IF EXISTS godwit_fence ON %s", PQgetvalue(r, row, 0));
        fine = gw_pg_ddl(store, conn, PQgetvalue(r, row, 0), gw_buf_text(&sql), err);
    }
    PQclear(r);
    return fine;
}

bool gw_pg_fence_left(struct gw_pg_store *store, PGconn *conn, struct gw_buf *lines, struct gw_error *err)
{
    PGresult *r;
    if (!list_triggers(store, conn, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        gw_buf_addf(lines, "trigger godwit_fence on %s\n", PQgetvalue(r, row, 0));
    PQclear(r);
    return true;
}

const struct gw_fence_facet gw_pg_fence = {
    .install = install,
    .raise = fence_raise,
    .lower = lower,
    .is_raised = is_raised,
    .prove = prove,
    .holes = holes,
};
