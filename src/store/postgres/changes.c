/*
 * The change log of a side: publication and slot, the barrier before which no chunk is read, signals, the log's end.
 *
 * Why a slot with an exported snapshot, why the barrier: a commit is decoded before it is visible, and a transaction
 * that hangs in a synchronous commit is in the log before the slot and visible only after it. Once every transaction
 * that was in progress when the slot was made has ended, each one is either in the stream or seen by every chunk.
 */
#include "store/postgres/changes.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/postgres/capture.h"
#include "store/postgres/ddl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_WAIT_SAY_MS 3000
#define LSN_BLOCK 8192

/* ---- positions ------------------------------------------------------------------------------------------------- */

void gw_pg_lsn_format(uint64_t lsn, struct gw_position *out)
{
    *out = (struct gw_position){.order = lsn};
    if (lsn)
        snprintf(out->text, sizeof out->text, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
}

bool gw_pg_lsn_parse(const char *text, uint64_t *lsn)
{
    unsigned high, low;
    int end = 0;
    if (sscanf(text, "%8X/%8X%n", &high, &low, &end) != 2 || text[end] != 0)
        return false;
    *lsn = (uint64_t)high << 32 | low;
    return true;
}

/* ---- array literals -------------------------------------------------------------------------------------------- */

void gw_pg_array_open(struct gw_buf *out)
{
    gw_buf_addc(out, '{');
}

void gw_pg_array_add(struct gw_buf *out, const char *text, size_t len)
{
    if (out->data[out->len - 1] != '{')
        gw_buf_addc(out, ',');
    gw_buf_addc(out, '"');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            gw_buf_addc(out, '\\');
        gw_buf_addc(out, text[i]);
    }
    gw_buf_addc(out, '"');
}

void gw_pg_array_close(struct gw_buf *out)
{
    gw_buf_addc(out, '}');
}

void gw_pg_array_tables(const struct gw_schema *schema, struct gw_buf *spaces, struct gw_buf *names)
{
    gw_pg_array_open(spaces);
    gw_pg_array_open(names);
    for (size_t i = 0; i < schema->count; i++) {
        const struct gw_collection *c = &schema->collections[i];
        gw_pg_array_add(spaces, c->space, strlen(c->space));
        gw_pg_array_add(names, c->name, strlen(c->name));
    }
    gw_pg_array_close(spaces);
    gw_pg_array_close(names);
}

/* ---- the slot as it is ----------------------------------------------------------------------------------------- */

const char *gw_pg_stream_name(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char name[32];
    pthread_mutex_lock(&lock);
    if (!*name)
        snprintf(name, sizeof name, "stream %016" PRIx64, gw_random64());
    pthread_mutex_unlock(&lock);
    return name;
}

bool gw_pg_lost(struct gw_pg_store *store, struct gw_error *err, const char *why, ...)
{
    char text[300];
    va_list args;
    va_start(args, why);
    vsnprintf(text, sizeof text, why, args);
    va_end(args);
    gw_fail(err, GW_ERR_LOST_POSITION, "the change log of %s no longer holds what was not read yet: %s",
            gw_side_name(store->base.side), text);
    gw_error_hint(err,
                  "changes of this side are missing for good. Before the switch: godwit abort, remove the cause (raise"
                  " max_slot_wal_keep_size, keep the slot %s), then godwit copy. After it the way back is over: godwit"
                  " finish --now --no-archive",
                  store->slot);
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

static int64_t number_at(const PGresult *r, int column, int64_t if_null)
{
    return PQgetisnull(r, 0, column) ? if_null : strtoll(PQgetvalue(r, 0, column), NULL, 10);
}

static void read_slot(const PGresult *r, struct gw_pg_slot *slot)
{
    slot->exists = true;
    snprintf(slot->why_lost, sizeof slot->why_lost, "%s", PQgetvalue(r, 0, 4));
    slot->lost = strcmp(PQgetvalue(r, 0, 0), "lost") == 0 || *slot->why_lost;
    if (slot->lost && !*slot->why_lost)
        snprintf(slot->why_lost, sizeof slot->why_lost, "wal_removed");
    slot->active_pid = (int)number_at(r, 1, 0);
    if (PQgetisnull(r, 0, 2) || !gw_pg_lsn_parse(PQgetvalue(r, 0, 2), &slot->confirmed_lsn))
        slot->confirmed_lsn = 0;
    slot->retained_bytes = number_at(r, 3, -1);
    slot->safe_bytes = number_at(r, 5, -1);
    if (!gw_pg_lsn_parse(PQgetvalue(r, 0, 6), &slot->end_lsn))
        slot->end_lsn = 0;
}

bool gw_pg_slot_look(struct gw_pg_store *store, PGconn *conn, struct gw_pg_slot *slot, struct gw_error *err)
{
    /* The server's word for an invalidated slot got a column of its own in 17; 16 knows one reason only. */
    const char *reason = PQserverVersion(conn) >= 170000   ? "coalesce(invalidation_reason, '')"
                         : PQserverVersion(conn) >= 160000 ? "CASE WHEN conflicting THEN 'conflicting' ELSE '' END"
                                                           : "''";
    gw_autobuf struct gw_buf sql = {0};
    const char *params[1] = {store->slot};
    PGresult *r;
    gw_buf_addf(&sql,
                "SELECT coalesce(wal_status, ''), active_pid, confirmed_flush_lsn,"
                " pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, %s, safe_wal_size,"
                " pg_current_wal_insert_lsn() FROM pg_replication_slots"
                " WHERE slot_name = $1 AND database = current_database()",
                reason);
    if (!gw_pg_query(store, conn, gw_buf_text(&sql), 1, params, &r, err))
        return false;
    *slot = (struct gw_pg_slot){.retained_bytes = -1, .safe_bytes = -1};
    if (PQntuples(r) > 0)
        read_slot(r, slot);
    PQclear(r);
    return true;
}

bool gw_pg_slot_free_up(struct gw_pg_store *store, PGconn *conn, bool end_any, int patience_ms, int *pid,
                        struct gw_error *err)
{
    /* A session left behind by a cut network would hold the slot until the server gives it up. */
    const char *end_ours = "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_replication_slots s"
                           " ON s.active_pid = a.pid WHERE s.slot_name = $1 AND s.database = current_database()"
                           " AND a.usename = session_user"
                           " AND ($2 = '' OR a.application_name = $2)";
    char mine[64];
    snprintf(mine, sizeof mine, "godwit %s", gw_pg_stream_name());
    const char *params[2] = {store->slot, end_any ? "" : mine};
    int64_t deadline_us = gw_mono_us() + (int64_t)patience_ms * 1000;
    for (bool first = true;; first = false) {
        struct gw_pg_slot slot;
        PGresult *r;
        if (!gw_pg_slot_look(store, conn, &slot, err))
            return false;
        *pid = slot.active_pid;
        if (slot.active_pid == 0 || gw_left_ms(deadline_us) == 0)
            return true;
        if (first) {
            if (!gw_pg_query(store, conn, end_ours, 2, params, &r, err))
                return false;
            PQclear(r);
        }
        if (gw_cancel_wait(store->cancel, 20))
            return gw_cancel_fail(store->cancel, err);
    }
}

/* ---- publication ----------------------------------------------------------------------------------------------- */

static bool require_home(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf home = {0};
    if (!gw_pg_query_text(store, conn, "SELECT coalesce(to_regclass('godwit.signal')::text, '')", 0, NULL, &home, NULL,
                          err))
        return false;
    if (home.len)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "the schema godwit is not there: the change log cannot be opened without it");
    gw_error_hint(err, "somebody dropped it; run godwit abort and begin anew");
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

/* Tables wanted and not in it yet ('+'), and tables in it and no longer wanted ('-'). */
static const char membership_sql[] =
    "WITH wanted AS (SELECT c.oid FROM unnest($1::text[], $2::text[]) w(space, name)"
    "   JOIN pg_namespace n ON n.nspname = w.space JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name"
    "   UNION SELECT unnest(ARRAY['godwit.position', 'godwit.chunk', 'godwit.signal']::regclass[])),"
    " present AS (SELECT r.prrelid AS oid FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid"
    "   WHERE p.pubname = $3)"
    " SELECT format('%I.%I', n.nspname, c.relname), d.sign FROM ("
    "   SELECT oid, '+' AS sign FROM wanted WHERE oid NOT IN (SELECT oid FROM present) UNION ALL"
    "   SELECT oid, '-' FROM present WHERE oid NOT IN (SELECT oid FROM wanted)) d"
    " JOIN pg_class c ON c.oid = d.oid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY 2, 1";

/* "ONLY a, ONLY b" of the rows with this sign. */
static void list_signed(const PGresult *r, char sign, struct gw_buf *out)
{
    gw_buf_clear(out);
    for (int row = 0; row < PQntuples(r); row++)
        if (*PQgetvalue(r, row, 1) == sign)
            gw_buf_addf(out, "%sONLY %s", out->len ? ", " : "", PQgetvalue(r, row, 0));
}

/* verb: "CREATE", "ALTER"; action: "FOR", "ADD", "DROP". */
static bool publish(struct gw_pg_store *store, PGconn *conn, const char *verb, const char *action,
                    const struct gw_buf *tables, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    if (tables->len == 0)
        return true;
    gw_buf_addf(&sql, "%s PUBLICATION \"%s\" %s TABLE %s", verb, store->publication, action, gw_buf_text(tables));
    return gw_pg_ddl(store, conn, NULL, gw_buf_text(&sql), err);
}

static bool make_publication(struct gw_pg_store *store, PGconn *conn, const struct gw_schema *schema,
                             struct gw_error *err)
{
    gw_autobuf struct gw_buf spaces = {0}, names = {0}, more = {0}, less = {0}, found = {0};
    gw_pg_array_tables(schema, &spaces, &names);
    const char *params[3] = {gw_buf_text(&spaces), gw_buf_text(&names), store->publication};
    PGresult *r;
    bool exists;
    if (!gw_pg_query_text(store, conn, "SELECT 1 FROM pg_publication WHERE pubname = $1", 1, &params[2], &found,
                          &exists, err) ||
        !gw_pg_query(store, conn, membership_sql, 3, params, &r, err))
        return false;
    list_signed(r, '+', &more);
    list_signed(r, '-', &less);
    PQclear(r);
    if (!exists) /* no row filters, no schemas, leaves as themselves: what is written is what is published */
        return publish(store, conn, "CREATE", "FOR", &more, err);
    return publish(store, conn, "ALTER", "ADD", &more, err) && publish(store, conn, "ALTER", "DROP", &less, err);
}

/* ---- slot ------------------------------------------------------------------------------------------------------ */

/* Making a slot waits for every transaction in progress: say on whom, from a session of its own. */
static void say_slot_waits(struct gw_pg_store *store, PGconn *walsender)
{
    struct gw_error ignored;
    gw_autobuf struct gw_buf who = {0};
    char pid[16];
    const char *params[1] = {pid};
    PGconn *conn;
    PGresult *r;
    bool known = false;
    snprintf(pid, sizeof pid, "%d", PQbackendPID(walsender));
    if (!gw_pg_borrow(store, &conn, &ignored))
        return;
    if (gw_pg_query(store, conn,
                    "SELECT " GW_PG_SESSION_COLUMNS " FROM pg_stat_activity a"
                    " WHERE a.pid = ANY (pg_blocking_pids($1::int)) ORDER BY a.xact_start LIMIT 5",
                    1, params, &r, &ignored)) {
        gw_pg_add_sessions(&who, r);
        known = PQntuples(r) > 0;
        PQclear(r);
    }
    if (!known &&
        gw_pg_query(store, conn, "SELECT gid, owner, prepared FROM pg_prepared_xacts ORDER BY prepared LIMIT 1", 0,
                    NULL, &r, &ignored)) {
        if (PQntuples(r) > 0)
            gw_buf_addf(&who, "the prepared transaction %s of %s, since %s", PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1),
                        PQgetvalue(r, 0, 2));
        PQclear(r);
    }
    gw_pg_return(store, conn, false);
    gw_info("%s: opening the change log waits for transactions in progress: %s", gw_side_name(store->base.side),
            who.len ? gw_buf_text(&who) : "not known whose");
}

static bool await_slot(struct gw_pg_store *store, PGconn *walsender, PGresult **out, struct gw_error *err)
{
    for (;;) {
        bool ready;
        if (PQflush(walsender) < 0)
            break;
        if (!PQisBusy(walsender)) {
            *out = PQgetResult(walsender);
            return true;
        }
        if (!gw_pg_wait(store, walsender, false, SLOT_WAIT_SAY_MS, &ready, err))
            return false;
        if (!ready)
            say_slot_waits(store, walsender);
        else if (!PQconsumeInput(walsender))
            break;
    }
    return gw_pg_fail(store, walsender, NULL, "making the replication slot", err);
}

/* The snapshot that is exported is not used; that it is made is what makes the start a consistent point. */
static bool make_slot(struct gw_pg_store *store, uint64_t *start_lsn, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    PGconn *walsender;
    PGresult *r = NULL;
    gw_buf_addf(&sql, "CREATE_REPLICATION_SLOT \"%s\" LOGICAL pgoutput EXPORT_SNAPSHOT", store->slot);
    if (!gw_pg_connect(store, GW_PG_REPLICATION, "slot", &walsender, err))
        return false;
    bool fine = PQsendQuery(walsender, gw_buf_text(&sql)) ? await_slot(store, walsender, &r, err)
                                                          : gw_pg_fail(store, walsender, NULL, "making the slot", err);
    if (fine && (PQresultStatus(r) != PGRES_TUPLES_OK || !gw_pg_lsn_parse(PQgetvalue(r, 0, 1), start_lsn)))
        fine = gw_pg_fail(store, walsender, r, "making the replication slot", err);
    PQclear(r);
    PQfinish(walsender);
    return fine;
}

/* A number that every transaction then in progress is below: our own, taken now. The newest in a snapshot would not do:
 * what is above the last one that ended can be in progress too. */
static bool take_barrier(struct gw_pg_store *store, PGconn *conn, char barrier[240], struct gw_error *err)
{
    gw_autobuf struct gw_buf xid = {0};
    if (!gw_pg_query_text(store, conn, "SELECT pg_current_xact_id()::text", 0, NULL, &xid, NULL, err))
        return false;
    snprintf(barrier, 240, "%s", gw_buf_text(&xid));
    return true;
}

/* A slot of that name which is not ours is somebody's place in a log: it is never taken nor dropped. */
static bool check_name_is_free(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf database = {0};
    const char *params[1] = {store->slot};
    bool found;
    if (!gw_pg_query_text(store, conn,
                          "SELECT coalesce('database ' || database, 'the whole server')"
                          " FROM pg_replication_slots WHERE slot_name = $1",
                          1, params, &database, &found, err))
        return false;
    if (!found)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "there is a replication slot %s already, of %s", store->slot, gw_buf_text(&database));
    gw_error_hint(err, "it is not this migration's: give this one another name, or drop the slot if nobody reads it");
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

static bool prepare_slot(struct gw_pg_store *store, PGconn *conn, uint64_t *start_lsn, struct gw_error *err)
{
    struct gw_pg_slot slot;
    if (!gw_pg_slot_look(store, conn, &slot, err))
        return false;
    if (slot.lost)
        return gw_pg_lost(store, err, "the server invalidated the slot %s (%s)", store->slot, slot.why_lost);
    if (!slot.exists)
        return check_name_is_free(store, conn, err) && make_slot(store, start_lsn, err);
    *start_lsn = slot.confirmed_lsn;
    return true;
}

static bool prepare_log(struct gw_pg_store *store, PGconn *conn, const struct gw_schema *schema,
                        struct gw_position *start, struct gw_error *err)
{
    uint64_t lsn = 0;
    /* The publication comes before the slot: the plugin looks it up as it was at each place of the log. */
    bool fine = gw_pg_identity_set(store, conn, schema, err) && make_publication(store, conn, schema, err);
    GW_CRASH_POINT("postgres.prepare.before_slot");
    fine = fine && prepare_slot(store, conn, &lsn, err);
    GW_CRASH_POINT("postgres.prepare.after_slot");
    if (fine)
        gw_pg_lsn_format(lsn, start);
    return fine;
}

static bool prepare(struct gw_store *base, const struct gw_schema *schema, struct gw_position *start, char barrier[240],
                    struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = require_home(store, conn, err) &&
                (gw_pg_captures(store) ? gw_pg_capture_prepare(store, conn, schema, start, err)
                                       : prepare_log(store, conn, schema, start, err)) &&
                take_barrier(store, conn, barrier, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

/* ---- settled --------------------------------------------------------------------------------------------------- */

static bool say_unsettled(struct gw_pg_store *store, PGconn *conn, const char *barrier, struct gw_buf *who,
                          struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn,
                     "SELECT " GW_PG_SESSION_COLUMNS " FROM pg_stat_activity a WHERE a.backend_xid IS NOT NULL"
                     " AND age(a.backend_xid) > age($1::xid8::xid) ORDER BY a.xact_start LIMIT 5",
                     1, &barrier, &r, err))
        return false;
    gw_pg_add_sessions(who, r);
    PQclear(r);
    if (!gw_pg_query(store, conn,
                     "SELECT gid, owner, prepared FROM pg_prepared_xacts WHERE age(transaction) > age($1::xid8::xid)"
                     " ORDER BY prepared LIMIT 5",
                     1, &barrier, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        gw_buf_addf(who, "%sprepared transaction %s of %s, since %s", who->len ? ", " : "", PQgetvalue(r, row, 0),
                    PQgetvalue(r, row, 1), PQgetvalue(r, row, 2));
    PQclear(r);
    if (who->len == 0)
        gw_buf_adds(who, "a transaction of another user (grant pg_monitor to see whose)");
    return true;
}

static bool settled(struct gw_store *base, const char *barrier, bool *out, struct gw_buf *who, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    gw_autobuf struct gw_buf answer = {0};
    PGconn *conn;
    gw_buf_clear(who);
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_query_text(store, conn, "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8", 1, &barrier,
                                 &answer, NULL, err);
    bool is_settled = fine && *gw_buf_text(&answer) == 't';
    if (fine && !is_settled)
        fine = say_unsettled(store, conn, barrier, who, err);
    gw_pg_return(store, conn, !fine);
    if (fine)
        *out = is_settled;
    return fine;
}

/* ---- the log's end, signals ------------------------------------------------------------------------------------ */

/* The insert position: with synchronous_commit off a commit is visible before it is flushed, so only what is inserted is
 * behind everything visible. Where a block has just been filled the server reports the place behind the next block's
 * header, which nothing reaches until something is written there: take the block's start, nothing lies between. */
bool gw_pg_horizon(struct gw_store *base, struct gw_position *out, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    gw_autobuf struct gw_buf text = {0};
    uint64_t lsn = 0;
    PGconn *conn;
    if (gw_pg_captures(store))
        return gw_pg_capture_horizon(store, out, err);
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_query_text(store, conn, "SELECT pg_current_wal_insert_lsn()", 0, NULL, &text, NULL, err);
    gw_pg_return(store, conn, !fine);
    if (!fine)
        return false;
    if (!gw_pg_lsn_parse(gw_buf_text(&text), &lsn))
        return gw_fail(err, GW_ERR_BUG, "the server's log ends at \"%s\", which is no LSN", gw_buf_text(&text));
    uint64_t in_block = lsn % LSN_BLOCK;
    if (in_block == 24 || in_block == 40)
        lsn -= in_block;
    gw_pg_lsn_format(lsn, out);
    return true;
}

/* One row per kind of signal ("marker" of "marker:17"), so that the table stays small. The commit is flushed at once
 * whatever the database's default, because only what is flushed is streamed; no standby is waited for. */
static bool send_signal(struct gw_store *base, const char *token, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    gw_autobuf struct gw_buf sql = {0};
    gw_autofree char *kind = gw_strndup(token, strcspn(token, ":"));
    PGconn *conn;
    gw_buf_adds(&sql, "BEGIN; SET LOCAL synchronous_commit = local;"
                      " INSERT INTO godwit.signal (kind, token, at) VALUES (");
    gw_pg_add_literal(&sql, kind);
    gw_buf_adds(&sql, ", ");
    gw_pg_add_literal(&sql, token);
    gw_buf_adds(&sql, ", clock_timestamp()) ON CONFLICT (kind) DO UPDATE SET token = excluded.token,"
                      " at = excluded.at; COMMIT");
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_exec(store, conn, gw_buf_text(&sql), err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

static bool seen(struct gw_store *base, const char *token, bool *out, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    gw_autobuf struct gw_buf text = {0};
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool found = false;
    bool fine =
        gw_pg_query_text(store, conn, "SELECT 1 FROM godwit.seen WHERE token = $1", 1, &token, &text, &found, err);
    gw_pg_return(store, conn, !fine);
    if (fine)
        *out = found;
    return fine;
}

static bool retained(struct gw_store *base, struct gw_retained *out, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    struct gw_pg_slot slot;
    PGconn *conn;
    if (gw_pg_captures(store))
        return gw_pg_capture_retained(store, out, err);
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_slot_look(store, conn, &slot, err);
    gw_pg_return(store, conn, !fine);
    if (!fine)
        return false;
    *out = (struct gw_retained){.bytes = slot.exists ? slot.retained_bytes : -1,
                                .limit_bytes = -1,
                                .lost = !slot.exists || slot.lost,
                                .reader_attached = slot.active_pid != 0};
    if (slot.safe_bytes >= 0 && slot.retained_bytes >= 0)
        out->limit_bytes = slot.retained_bytes + slot.safe_bytes;
    return true;
}

/* ---- drop ------------------------------------------------------------------------------------------------------ */

static bool drop_slot(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    struct gw_pg_slot slot;
    const char *params[1] = {store->slot};
    int pid;
    PGresult *r;
    if (!gw_pg_slot_look(store, conn, &slot, err) || !gw_pg_slot_free_up(store, conn, true, 5000, &pid, err))
        return false;
    if (!slot.exists)
        return true;
    if (pid) {
        gw_fail(err, GW_ERR_CONFLICT, "the slot %s is being read by the session with pid %d", store->slot, pid);
        gw_error_hint(err, "stop the godwit that runs this migration, or end that session");
        return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
    }
    if (!gw_pg_query(store, conn,
                     "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                     " WHERE slot_name = $1 AND database = current_database()",
                     1, params, &r, err))
        return false;
    PQclear(r);
    return true;
}

static bool drop(struct gw_store *base, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    gw_autobuf struct gw_buf sql = {0};
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    gw_buf_addf(&sql, "DROP PUBLICATION IF EXISTS \"%s\"", store->publication);
    /* The slot first: it is what fills the source's disk. Whichever way changes were to be had, both are looked for. */
    bool fine = gw_pg_capture_drop(store, conn, err) && drop_slot(store, conn, err);
    GW_CRASH_POINT("postgres.drop.after_slot");
    fine = fine && gw_pg_ddl(store, conn, NULL, gw_buf_text(&sql), err) && gw_pg_identity_restore(store, conn, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

/* ---- either kind ------------------------------------------------------------------------------------------------ */

static bool is_captured(const struct gw_stream *stream)
{
    return ((const struct gw_pg_stream_head *)stream)->captured;
}

static bool stream_open(struct gw_store *base, const struct gw_schema *schema, const struct gw_position *from,
                        struct gw_stream **out, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    return gw_pg_captures(store) ? gw_pg_capture_open(store, schema, from, out, err)
                                 : gw_pg_stream_open(base, schema, from, out, err);
}

static void stream_close(struct gw_stream *stream)
{
    if (stream && is_captured(stream))
        gw_pg_capture_close(stream);
    else
        gw_pg_stream_close(stream);
}

static bool stream_next(struct gw_stream *stream, int timeout_ms, struct gw_change *change, bool *got,
                        struct gw_error *err)
{
    return is_captured(stream) ? gw_pg_capture_next(stream, timeout_ms, change, got, err)
                               : gw_pg_stream_next(stream, timeout_ms, change, got, err);
}

static bool stream_acknowledge(struct gw_stream *stream, const struct gw_position *position, struct gw_error *err)
{
    return is_captured(stream) ? gw_pg_capture_acknowledge(stream, position, err)
                               : gw_pg_stream_acknowledge(stream, position, err);
}

const struct gw_changes_facet gw_pg_changes = {
    .prepare = prepare,
    .settled = settled,
    .open = stream_open,
    .close = stream_close,
    .next = stream_next,
    .acknowledge = stream_acknowledge,
    .horizon = gw_pg_horizon,
    .signal = send_signal,
    .seen = seen,
    .retained = retained,
    .drop = drop,
    .locate = gw_pg_locate,
};
