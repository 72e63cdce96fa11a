/* Capture by triggers: which way a side is captured, and its triggers made, checked and removed. */
#include "store/mysql/capture.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "sql_embedded.h"
#include "store/mysql/home.h"

#include <inttypes.h>
#include <mysqld_error.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_WAIT_S 1 /* a trigger's lock waits for writers, and who comes meanwhile waits behind it */
#define LOCK_TRIES 60
#define LOCK_PAUSE_MS 500
#define LOOKS 8
#define LOOK_PAUSE_MS 250

bool gw_mysql_capture_lost(const struct gw_mysql_store *store, struct gw_error *err, const char *why, ...)
{
    char text[400];
    va_list args;
    va_start(args, why);
    vsnprintf(text, sizeof text, why, args);
    va_end(args);
    gw_fail(err, GW_ERR_LOST_POSITION, "what triggers captured on %s has a hole: %s", gw_side_name(store->base.side),
            text);
    gw_error_hint(err, "changes of this side are missing for good. Before the switch: godwit abort, then godwit copy."
                       " After it the way back is over: godwit finish --now --no-archive");
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

/* ---- which way ---------------------------------------------------------------------------------------------------- */

/* What was begun stays: a position of the one says nothing to the other. */
static bool begun(struct gw_mysql_conn *conn, enum gw_capture *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    bool found = false;
    *out = GW_CAPTURE_AUTO;
    if (!gw_mysql_query_text(conn, "SELECT name FROM godwit_note WHERE name IN ('binlog', '" GW_MYSQL_CAPTURE_NOTE "')",
                             &text, &found, err))
        return gw_mysql_no_such_table(conn, err);
    if (found)
        *out = strcmp(gw_buf_text(&text), "binlog") == 0 ? GW_CAPTURE_LOG : GW_CAPTURE_TRIGGER;
    return true;
}

bool gw_mysql_capture_decide(struct gw_mysql_store *store, struct gw_mysql_conn *conn, enum gw_capture asked,
                             enum gw_capture *out, struct gw_error *err)
{
    enum gw_capture was;
    struct gw_error *why = &store->binlog_why;
    if (!begun(conn, &was, err))
        return false;
    *out = was != GW_CAPTURE_AUTO ? was : asked;
    if (*out == GW_CAPTURE_AUTO) {
        if (store->binlog)
            store->binlog = gw_mysql_log_readable(store, why) || why->kind == GW_ERR_CANCELLED;
        *out = store->binlog ? GW_CAPTURE_LOG : GW_CAPTURE_TRIGGER;
    } else if (asked != GW_CAPTURE_AUTO && asked != *out) {
        gw_warn(
            "%s: changes go on being captured by %s, as it was begun: abort the migration before capture is changed",
            gw_side_name(store->base.side), *out == GW_CAPTURE_TRIGGER ? "triggers" : "the log");
    }
    if (*out == GW_CAPTURE_TRIGGER && why->kind == GW_ERR_NONE)
        gw_fail(why, GW_ERR_UNSUPPORTED, asked == GW_CAPTURE_TRIGGER ? "capture: trigger" : "it was begun so");
    return true;
}

bool gw_mysql_capture_there(struct gw_mysql_conn *conn, bool *there, struct gw_error *err)
{
    return gw_mysql_table_there(conn, "godwit_capture_table", there, err);
}

/* ---- DDL that waits for writers ----------------------------------------------------------------------------------- */

static bool timed_out(const struct gw_mysql_conn *conn)
{
    return gw_mysql_errno(conn) == ER_LOCK_WAIT_TIMEOUT && !conn->broken;
}

/* Tried for a moment at a time, so that nobody waits behind it for long. */
static bool run_ddl(struct gw_mysql_conn *conn, const char *table, const char *sql, struct gw_error *err)
{
    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        if (gw_mysql_exec(conn, sql, err))
            return true;
        if (!timed_out(conn))
            return gw_error_place(err, "%s", table);
        if (gw_cancel_wait(conn->store->cancel, LOCK_PAUSE_MS))
            return gw_cancel_fail(conn->store->cancel, err);
    }
    gw_fail(err, GW_ERR_RETRY, "no moment without an open transaction on %s in %d tries", table, LOCK_TRIES);
    return gw_error_hint(err, "a trigger waits until those that wrote it have ended: see SHOW PROCESSLIST");
}

static bool connect_for_ddl(struct gw_mysql_store *store, struct gw_mysql_conn **out, struct gw_error *err)
{
    if (!gw_mysql_connect(store, "capture", out, err))
        return false;
    if (gw_mysql_execf(*out, err, "SET SESSION lock_wait_timeout = %d", LOCK_WAIT_S))
        return true;
    gw_mysql_close(*out);
    return false;
}

/* ---- the triggers of a table -------------------------------------------------------------------------------------- */

/* The trigger that comes first now after this event; ours has to be before it, so that what it writes comes behind. */
static bool first_trigger(struct gw_mysql_conn *conn, const struct gw_collection *c, size_t event, struct gw_buf *out,
                          bool *found, struct gw_error *err)
{
    static const char *const events[] = {"INSERT", "UPDATE", "DELETE"};
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()"
                      " AND ACTION_TIMING = 'AFTER' AND TRIGGER_NAME NOT LIKE 'godwit|_%' ESCAPE '|' AND"
                      " EVENT_OBJECT_TABLE = ");
    gw_mysql_add_literal(&sql, c->name);
    gw_buf_addf(&sql, " AND EVENT_MANIPULATION = '%s' ORDER BY ACTION_ORDER LIMIT 1", events[event]);
    return gw_mysql_query_text(conn, gw_buf_text(&sql), out, found, err);
}

/* Of each column, whether an index holds it; an index of expressions stands for all. Owned. */
static bool indexed_columns(struct gw_mysql_conn *conn, const struct gw_collection *c, bool **out, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    MYSQL_RES *r;
    MYSQL_ROW row;
    gw_buf_adds(&sql, "SELECT DISTINCT COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()"
                      " AND TABLE_NAME = ");
    gw_mysql_add_literal(&sql, c->name);
    if (!gw_mysql_query(conn, gw_buf_text(&sql), &r, err))
        return false;
    *out = gw_calloc(c->column_count + 1, sizeof **out);
    while ((row = mysql_fetch_row(r)))
        for (size_t i = 0; i < c->column_count; i++)
            (*out)[i] = (*out)[i] || !row[0] || strcmp(c->columns[i].name, row[0]) == 0;
    mysql_free_result(r);
    return true;
}

static bool make_trigger(struct gw_mysql_conn *conn, const struct gw_collection *c, size_t event, const char *rel,
                         const bool *indexed, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, drop = {0}, first = {0};
    bool found = false;
    char name[64];
    gw_mysql_capture_trigger(c->name, event, name);
    gw_buf_addf(&drop, "DROP TRIGGER IF EXISTS %s", name);
    if (!run_ddl(conn, c->name, gw_buf_text(&drop), err) || !first_trigger(conn, c, event, &first, &found, err))
        return false;
    gw_mysql_capture_trigger_sql(conn->store, c, event, name, rel, found ? gw_buf_text(&first) : NULL, indexed, &sql);
    if (run_ddl(conn, c->name, gw_buf_text(&sql), err))
        return true;
    if (gw_mysql_errno(conn) == ER_BINLOG_CREATE_ROUTINE_NEED_SUPER) {
        gw_fail(err, GW_ERR_REFUSED, "triggers cannot be made while the binlog is written, without a setting");
        gw_error_hint(err, "SET GLOBAL log_bin_trust_function_creators = 1");
    }
    return gw_error_place(err, "%s", c->name);
}

/* When each was made: a trigger that somebody made anew says another time. */
#define FIGURE                                                                                                         \
    "(SELECT COALESCE(GROUP_CONCAT(g.CREATED ORDER BY g.TRIGGER_NAME), '') FROM information_schema.TRIGGERS g"         \
    " WHERE g.TRIGGER_SCHEMA = DATABASE() AND g.EVENT_OBJECT_TABLE = t.name"                                           \
    " AND g.TRIGGER_NAME LIKE 'godwit|_capture|_%' ESCAPE '|')"

static bool note_table(struct gw_mysql_conn *conn, const struct gw_collection *c, const char *columns,
                       struct gw_buf *rel, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "INSERT INTO godwit_capture_table (name, columns, figure) VALUES (");
    gw_mysql_add_literal(&sql, c->name);
    gw_buf_adds(&sql, ", ");
    gw_mysql_add_literal(&sql, columns);
    gw_buf_adds(&sql, ", '') ON DUPLICATE KEY UPDATE columns = VALUES(columns), figure = ''");
    if (!gw_mysql_exec_buf(conn, &sql, err))
        return false;
    gw_buf_clear(&sql);
    gw_buf_adds(&sql, "SELECT rel FROM godwit_capture_table WHERE name = ");
    gw_mysql_add_literal(&sql, c->name);
    return gw_mysql_query_text(conn, gw_buf_text(&sql), rel, NULL, err);
}

static bool finish_table(struct gw_mysql_conn *conn, const char *rel, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, figure = {0};
    gw_buf_adds(&sql, "SELECT " FIGURE " FROM godwit_capture_table t WHERE t.rel = ");
    gw_buf_adds(&sql, rel);
    if (!gw_mysql_query_text(conn, gw_buf_text(&sql), &figure, NULL, err))
        return false;
    gw_buf_clear(&sql);
    gw_buf_adds(&sql, "UPDATE godwit_capture_table SET figure = ");
    gw_mysql_add_literal(&sql, gw_buf_text(&figure));
    gw_buf_addf(&sql, " WHERE rel = %s", rel);
    return gw_mysql_exec_buf(conn, &sql, err);
}

/* Triggers left by a preparation that was killed are made anew; those that are noted are as they were made. */
static bool prepare_table(struct gw_mysql_conn *conn, const struct gw_collection *c, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, known = {0}, rel = {0};
    gw_autofree char *columns = gw_mysql_capture_columns(c);
    gw_autofree bool *indexed = NULL;
    bool found = false;
    gw_buf_adds(&sql, "SELECT columns FROM godwit_capture_table WHERE figure <> '' AND name = ");
    gw_mysql_add_literal(&sql, c->name);
    if (!gw_mysql_query_text(conn, gw_buf_text(&sql), &known, &found, err))
        return false;
    if (found && strcmp(gw_buf_text(&known), columns) == 0)
        return true;
    if (found) {
        gw_fail(err, GW_ERR_CONFLICT, "the columns of %s are others than those that triggers capture here",
                gw_collection_label(c));
        return gw_error_hint(err, "godwit abort, then godwit copy");
    }
    if (!indexed_columns(conn, c, &indexed, err) || !note_table(conn, c, columns, &rel, err))
        return false;
    for (size_t event = 0; event < 3; event++) {
        if (!make_trigger(conn, c, event, gw_buf_text(&rel), indexed, err))
            return false;
        GW_CRASH_POINT("mysql.capture.trigger");
    }
    return finish_table(conn, gw_buf_text(&rel), err);
}

/* ---- prepare ------------------------------------------------------------------------------------------------------ */

/* On the position and the checkpoints, which every transaction of ours writes first: it is ours. And on signals. */
static const char *const home_triggers[][3] = {
    {"godwit_capture_position_i", "INSERT ON godwit_position", "0, 'O', NULL"},
    {"godwit_capture_position_u", "UPDATE ON godwit_position", "0, 'O', NULL"},
    {"godwit_capture_chunk_i", "INSERT ON godwit_chunk", "0, 'O', NULL"},
    {"godwit_capture_chunk_u", "UPDATE ON godwit_chunk", "0, 'O', NULL"},
    {"godwit_capture_signal_i", "INSERT ON godwit_signal", "0, 'S', NEW.token"},
    {"godwit_capture_signal_u", "UPDATE ON godwit_signal", "0, 'S', NEW.token"},
};

static bool make_home_triggers(struct gw_mysql_conn *conn, struct gw_error *err)
{
    for (size_t i = 0; i < sizeof home_triggers / sizeof home_triggers[0]; i++) {
        gw_autobuf struct gw_buf sql = {0}, there = {0};
        bool found = false;
        gw_buf_addf(&sql,
                    "SELECT 1 FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME ="
                    " '%s'",
                    home_triggers[i][0]);
        if (!gw_mysql_query_text(conn, gw_buf_text(&sql), &there, &found, err))
            return false;
        if (found)
            continue;
        gw_buf_clear(&sql);
        gw_buf_addf(&sql,
                    "CREATE TRIGGER %s AFTER %s FOR EACH ROW INSERT INTO godwit_capture (seq, rel, op, image)"
                    " VALUES (UUID_SHORT(), %s)",
                    home_triggers[i][0], home_triggers[i][1], home_triggers[i][2]);
        if (!run_ddl(conn, "godwit_*", gw_buf_text(&sql), err))
            return false;
    }
    return true;
}

/* Where it begins: behind the triggers. Whoever wrote before them has ended, because making them waited for it. */
static bool begin_batches(struct gw_mysql_conn *conn, struct gw_position *start, struct gw_error *err)
{
    MYSQL_RES *r;
    struct gw_capture_batch batch = {0};
    if (!gw_mysql_execf(conn, err,
                        "INSERT INTO godwit_capture_batch (number, before_order, transactions, ours, stamp, wall_us,"
                        " trimmed, runs) SELECT 0, %d, 0, 0, %" PRId64
                        ", 0, 1, '' FROM (SELECT 1) one WHERE NOT EXISTS (SELECT 1 FROM godwit_capture_batch b)",
                        GW_CAPTURE_FIRST, gw_wall_us()) ||
        !gw_mysql_query(conn,
                        "SELECT number, before_order, transactions, stamp FROM godwit_capture_batch WHERE trimmed = 1"
                        " ORDER BY number DESC LIMIT 1",
                        &r, err))
        return false;
    MYSQL_ROW row = mysql_fetch_row(r);
    if (row)
        batch = (struct gw_capture_batch){.number = strtoull(row[0], NULL, 10),
                                          .before = strtoull(row[1], NULL, 10),
                                          .transactions = strtoull(row[2], NULL, 10),
                                          .stamp = strtoull(row[3], NULL, 10)};
    mysql_free_result(r);
    gw_capture_end(&batch, start);
    return row || gw_fail(err, GW_ERR_CONFLICT, "the place where capture begins is gone right after it was made");
}

static bool prepare_with(struct gw_mysql_conn *ddl, const struct gw_schema *schema, struct gw_position *start,
                         struct gw_error *err)
{
    if (!gw_mysql_exec(ddl, gw_sql_mysql_capture, err))
        return gw_error_prefix(err, "making what captures changes");
    if (!gw_mysql_capture_check(ddl, err) || !make_home_triggers(ddl, err))
        return false;
    for (size_t i = 0; i < schema->count; i++) {
        if (!prepare_table(ddl, &schema->collections[i], err))
            return false;
        GW_CRASH_POINT("mysql.capture.table");
    }
    return begin_batches(ddl, start, err);
}

bool gw_mysql_capture_prepare(struct gw_mysql_store *store, struct gw_mysql_conn *conn, const struct gw_schema *schema,
                              struct gw_position *start, struct gw_error *err)
{
    struct gw_mysql_conn *ddl;
    (void)conn;
    if (!connect_for_ddl(store, &ddl, err))
        return false;
    bool fine = prepare_with(ddl, schema, start, err);
    gw_mysql_close(ddl);
    return fine;
}

static bool list_touched(struct gw_mysql_conn *conn, struct gw_buf *touched, struct gw_error *err)
{
    gw_buf_clear(touched);
    return gw_mysql_query_text(conn,
                               "SELECT GROUP_CONCAT(t.name SEPARATOR ', ') FROM godwit_capture_table t"
                               " JOIN information_schema.TABLES i ON i.TABLE_SCHEMA = DATABASE() AND i.TABLE_NAME ="
                               " t.name WHERE t.figure <> '' AND t.figure <> " FIGURE,
                               touched, NULL, err);
}

/* Tables that are gone, or have another name, are for the fingerprint to tell. While another trigger is made on a table,
 * the server may list none of it: what was touched stays so. */
bool gw_mysql_capture_check(struct gw_mysql_conn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf touched = {0};
    for (int looks = 0; looks < LOOKS; looks++) {
        if (!list_touched(conn, &touched, err))
            return false;
        if (touched.len == 0)
            return true;
        if (gw_cancel_wait(conn->store->cancel, LOOK_PAUSE_MS))
            return gw_cancel_fail(conn->store->cancel, err);
    }
    return touched.len == 0 ||
           gw_mysql_capture_lost(conn->store, err,
                                 "triggers of ours were dropped or made anew on %.200s; what was written meanwhile was"
                                 " not captured",
                                 gw_buf_text(&touched));
}

/* ---- removal ------------------------------------------------------------------------------------------------------ */

static bool list_triggers(struct gw_mysql_conn *conn, MYSQL_RES **out, struct gw_error *err)
{
    return gw_mysql_query(conn,
                          "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE"
                          " TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME LIKE 'godwit|_capture|_%' ESCAPE '|'"
                          " ORDER BY 2, 1",
                          out, err);
}

/* The triggers first: a writer must never meet one whose table is gone. */
static bool drop_with(struct gw_mysql_conn *conn, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    bool fine = true;
    if (!list_triggers(conn, &r, err))
        return false;
    while (fine && (row = mysql_fetch_row(r))) {
        gw_autofree char *sql = gw_asprintf("DROP TRIGGER IF EXISTS `%s`", row[0]);
        fine = run_ddl(conn, row[1], sql, err);
        GW_CRASH_POINT("mysql.capture.drop");
    }
    mysql_free_result(r);
    /* The one by which it is known to be there goes last. */
    return fine && run_ddl(conn, "godwit_capture",
                           "DROP TABLE IF EXISTS godwit_capture, godwit_capture_batch, godwit_capture_cut;"
                           "DROP TABLE IF EXISTS godwit_capture_table",
                           err);
}

bool gw_mysql_capture_drop(struct gw_mysql_store *store, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!connect_for_ddl(store, &conn, err))
        return false;
    bool fine = drop_with(conn, err);
    gw_mysql_close(conn);
    return fine;
}

bool gw_mysql_capture_left(struct gw_mysql_conn *conn, struct gw_buf *lines, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!list_triggers(conn, &r, err))
        return false;
    while ((row = mysql_fetch_row(r)))
        gw_buf_addf(lines, "trigger %s on %s\n", row[0], row[1]);
    mysql_free_result(r);
    return true;
}
