/*
 * The change log of a side: is it written as we need it, where does it begin, has everything settled, signals, its end.
 *
 * No barrier is needed for ordinary transactions: one that is in the log before our start is visible to every later
 * snapshot, because the mark is a place in this same log. A prepared XA transaction is otherwise: its rows are in the log
 * when it is prepared, and visible when it is committed. Those that were prepared before the start are waited for.
 */
#include "store/mysql/changes.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/mysql/binlog_dump.h"
#include "store/mysql/capture.h"
#include "store/mysql/changes_stream.h"
#include "store/mysql/column.h"

#include <inttypes.h>
#include <jansson.h>
#include <mysqld_error.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NOTE "binlog"
#define ACCESS_DENIED_FOR_XA 1401

static bool place_error(const struct gw_mysql_store *store, struct gw_error *err)
{
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

/* ---- the log's end --------------------------------------------------------------------------------------------- */

static const char *status_statement(const struct gw_mysql_store *store)
{
    if (store->is_mariadb)
        return "SHOW BINLOG STATUS";
    return store->base.identity.version >= 80200 ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS";
}

static bool is_listed(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = list; *at;) {
        size_t word = strcspn(at, ",");
        if (word == len && strncmp(at, name, len) == 0)
            return true;
        at += word + (at[word] == ',');
    }
    return false;
}

static bool read_status(struct gw_mysql_conn *conn, struct gw_binlog_place *out, bool *filtered, struct gw_error *err)
{
    MYSQL_RES *r;
    if (!gw_mysql_query(conn, status_statement(conn->store), &r, err))
        return false;
    MYSQL_ROW row = mysql_fetch_row(r);
    bool fine = row != NULL;
    if (!row) {
        gw_fail(err, GW_ERR_UNSUPPORTED, "the server writes no binlog");
        gw_error_hint(err, "set log_bin and binlog_format = ROW in its configuration, and restart it");
    } else if (strlen(row[0]) >= sizeof out->file || gw_binlog_file_number(row[0]) == 0) {
        fine = gw_fail(err, GW_ERR_UNSUPPORTED, "a binlog file of the name \"%s\"", row[0]);
    } else {
        *out = (struct gw_binlog_place){.pos = strtoull(row[1], NULL, 10)};
        snprintf(out->file, sizeof out->file, "%s", row[0]);
        *filtered = (*row[2] && !is_listed(row[2], conn->store->database)) || is_listed(row[3], conn->store->database);
    }
    mysql_free_result(r);
    return fine || place_error(conn->store, err);
}

bool gw_mysql_binlog_end(struct gw_mysql_conn *conn, struct gw_binlog_place *out, struct gw_error *err)
{
    bool filtered;
    return read_status(conn, out, &filtered, err);
}

bool gw_mysql_binlog_bytes(struct gw_mysql_conn *conn, const struct gw_binlog_place *from, int64_t *bytes,
                           struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    bool there = false;
    int64_t sum = 0;
    if (!gw_mysql_query(conn, "SHOW BINARY LOGS", &r, err))
        return false;
    while ((row = mysql_fetch_row(r))) {
        if (strcmp(row[0], from->file) == 0)
            there = true;
        if (gw_binlog_file_number(row[0]) >= gw_binlog_file_number(from->file))
            sum += strtoll(row[1], NULL, 10);
    }
    mysql_free_result(r);
    *bytes = there ? (sum > (int64_t)from->pos ? sum - (int64_t)from->pos : 0) : -1;
    return true;
}

void gw_mysql_stream_lock(const struct gw_mysql_store *store, char out[64])
{
    gw_autobuf struct gw_buf all = {0};
    gw_buf_addf(&all, "%s\n%s\n%s", store->migration, store->database, gw_side_name(store->base.side));
    snprintf(out, 64, "godwit stream %016" PRIx64, gw_hash64(all.data, all.len, 0));
}

/* ---- is it written as we need it? ------------------------------------------------------------------------------ */

static bool refuse(struct gw_mysql_store *store, struct gw_error *err, const char *what, const char *hint)
{
    gw_fail(err, GW_ERR_UNSUPPORTED, "%s", what);
    gw_error_hint(err, "%s", hint);
    return place_error(store, err);
}

static bool check_variable(struct gw_mysql_store *store, const char *name, const char *value, struct gw_error *err)
{
    if (strcasecmp(name, "binlog_format") == 0 && strcasecmp(value, "ROW") != 0)
        return refuse(store, err, "the server writes statements into its binlog, not rows (binlog_format)",
                      "SET GLOBAL binlog_format = 'ROW', in the configuration too, then let all sessions connect anew");
    if (strcasecmp(name, "binlog_row_value_options") == 0 && *value)
        return refuse(store, err, "the server writes parts of JSON values into its binlog (binlog_row_value_options)",
                      "SET GLOBAL binlog_row_value_options = '', then let all sessions connect anew");
    if (strcasecmp(name, "binlog_transaction_compression") == 0 && strcasecmp(value, "ON") == 0)
        return refuse(store, err, "the server compresses whole transactions in its binlog",
                      "SET GLOBAL binlog_transaction_compression = OFF, then let all sessions connect anew");
    if (strcasecmp(name, "server_id") == 0 && strcmp(value, "0") == 0)
        return refuse(store, err, "the server has no server_id: it lets nobody read its binlog",
                      "SET GLOBAL server_id = 1, in the configuration too (another number than its replicas have)");
    return true;
}

static bool check_settings(struct gw_mysql_store *store, struct gw_mysql_conn *conn, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    bool fine = true;
    if (!gw_mysql_query(conn,
                        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('binlog_format', 'binlog_row_value_options',"
                        " 'binlog_transaction_compression', 'server_id')",
                        &r, err))
        return false;
    while (fine && (row = mysql_fetch_row(r)))
        fine = check_variable(store, row[0], row[1] ? row[1] : "", err);
    mysql_free_result(r);
    return fine;
}

static bool check_columns(const struct gw_schema *schema, struct gw_error *err)
{
    for (size_t i = 0; i < schema->count; i++)
        for (size_t k = 0; k < schema->collections[i].column_count; k++) {
            const struct gw_column *column = &schema->collections[i].columns[k];
            struct gw_mysql_form form;
            gw_mysql_form_parse(column->type, &form);
            bool known = form.kind != GW_MYSQL_OTHER;
            gw_mysql_form_release(&form);
            if (!known)
                return gw_fail(err, GW_ERR_UNSUPPORTED, "%s.%s is of type %s, which cannot be followed in the binlog",
                               gw_collection_label(&schema->collections[i]), column->name, column->type);
        }
    return true;
}

/* Rights are what the server says when it is asked for the log. */
static bool check_reading(struct gw_mysql_store *store, const struct gw_binlog_place *at, struct gw_error *err)
{
    struct gw_binlog_dump *dump;
    const unsigned char *event;
    size_t len;
    if (!gw_binlog_dump_open(store, "probe", at->file, at->pos, NULL, &dump, err))
        return false;
    bool fine = gw_binlog_dump_next(dump, gw_mono_us() + 5000000, &event, &len, err);
    gw_binlog_dump_close(dump);
    return fine;
}

bool gw_mysql_log_readable(struct gw_mysql_store *store, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    struct gw_binlog_place at;
    bool filtered = false;
    if (!gw_mysql_borrow(store, &conn, err))
        return false;
    bool fine = check_settings(store, conn, err) && read_status(conn, &at, &filtered, err);
    gw_mysql_return(conn, !fine);
    if (fine && filtered)
        return refuse(store, err, "the server leaves this database out of its binlog (binlog_do_db, binlog_ignore_db)",
                      "take those settings out of its configuration, and restart it");
    return fine && check_reading(store, &at, err);
}

/* ---- prepared XA transactions ---------------------------------------------------------------------------------- */

/* "1:6162:" for each: format, gtrid and bqual in hex. */
static bool list_prepared(struct gw_mysql_conn *conn, json_t *out, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!gw_mysql_query(conn, "XA RECOVER", &r, err)) {
        if (gw_mysql_errno(conn) != ACCESS_DENIED_FOR_XA && err->kind != GW_ERR_REFUSED)
            return false;
        gw_warn("%s: XA RECOVER is refused: transactions that are prepared now could be missed"
                " (grant XA_RECOVER_ADMIN)",
                gw_side_name(conn->store->base.side));
        return true;
    }
    while ((row = mysql_fetch_row(r))) {
        unsigned long *lengths = mysql_fetch_lengths(r);
        gw_autobuf struct gw_buf text = {0};
        gw_buf_addf(&text, "%s:%s:%s:", row[0], row[1], row[2]);
        for (unsigned long i = 0; i < lengths[3]; i++)
            gw_buf_addf(&text, "%02x", (unsigned char)row[3][i]);
        json_array_append_new(out, json_string(gw_buf_text(&text)));
    }
    mysql_free_result(r);
    return true;
}

/* ---- the note -------------------------------------------------------------------------------------------------- */

static const char *note_name(const struct gw_mysql_store *store)
{
    return gw_mysql_captures(store) ? GW_MYSQL_CAPTURE_NOTE : NOTE;
}

static bool read_note(struct gw_mysql_store *store, struct gw_mysql_conn *conn, json_t **out, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    gw_autofree char *sql = gw_asprintf("SELECT json FROM godwit_note WHERE name = '%s'", note_name(store));
    bool found = false;
    *out = NULL;
    if (!gw_mysql_query_text(conn, sql, &text, &found, err)) {
        if (!gw_mysql_no_such_table(conn, err))
            return false;
        return true;
    }
    if (!found)
        return true;
    *out = json_loads(gw_buf_text(&text), 0, NULL);
    if (*out)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "the note in godwit_note of where the binlog begins for us is damaged");
    return place_error(store, err);
}

bool gw_mysql_log_noted(struct gw_mysql_store *store, struct gw_mysql_conn *conn, struct gw_binlog_place *start,
                        bool *found, struct gw_error *err)
{
    json_t *note;
    if (!read_note(store, conn, &note, err))
        return false;
    const char *text = json_string_value(json_object_get(note, "start"));
    *found = text && gw_binlog_place_parse(text, start);
    json_decref(note);
    return true;
}

static bool write_note(struct gw_mysql_conn *conn, const struct gw_position *start, json_t *prepared,
                       struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    json_t *note = json_pack("{s:s, s:O}", "start", start->text, "xa", prepared);
    char *text = json_dumps(note, JSON_COMPACT);
    json_decref(note);
    gw_buf_addf(&sql, "REPLACE INTO godwit_note (name, json) VALUES ('%s', ", note_name(conn->store));
    gw_mysql_add_literal(&sql, text);
    gw_buf_addc(&sql, ')');
    free(text);
    if (gw_mysql_exec_buf(conn, &sql, err))
        return true;
    if (!gw_mysql_no_such_table(conn, err))
        return false;
    gw_fail(err, GW_ERR_CONFLICT, "the tables godwit_* are not there: the change log cannot be opened without them");
    gw_error_hint(err, "somebody dropped them; run godwit abort and begin anew");
    return place_error(conn->store, err);
}

/* ---- prepare, settled ------------------------------------------------------------------------------------------ */

static bool begin_log(struct gw_mysql_store *store, struct gw_mysql_conn *conn, struct gw_position *start,
                      struct gw_error *err)
{
    struct gw_binlog_place at;
    bool filtered = false;
    /* The place first: what is prepared then, or before, is in the list, or has ended. */
    if (!read_status(conn, &at, &filtered, err))
        return false;
    if (filtered)
        return refuse(store, err, "the server leaves this database out of its binlog (binlog_do_db, binlog_ignore_db)",
                      "take those settings out of its configuration, and restart it");
    json_t *prepared = json_array();
    bool fine = check_reading(store, &at, err) && list_prepared(conn, prepared, err);
    GW_CRASH_POINT("mysql.prepare.before_note");
    gw_binlog_place_format(&at, start);
    fine = fine && write_note(conn, start, prepared, err);
    json_decref(prepared);
    return fine;
}

/* Those that are prepared have written before the triggers were there, if the server was started anew since. */
static bool prepare_captured(struct gw_mysql_store *store, struct gw_mysql_conn *conn, const struct gw_schema *schema,
                             struct gw_position *start, struct gw_error *err)
{
    json_t *note;
    if (!check_columns(schema, err) || !gw_mysql_capture_prepare(store, conn, schema, start, err) ||
        !read_note(store, conn, &note, err))
        return false;
    bool noted = note != NULL;
    json_decref(note);
    if (noted)
        return true;
    json_t *prepared = json_array();
    bool fine = list_prepared(conn, prepared, err) && write_note(conn, start, prepared, err);
    json_decref(prepared);
    return fine;
}

static bool prepare_with(struct gw_mysql_store *store, struct gw_mysql_conn *conn, const struct gw_schema *schema,
                         struct gw_position *start, struct gw_error *err)
{
    struct gw_binlog_place noted;
    int64_t bytes = -1;
    bool found;
    if (!check_settings(store, conn, err) || !check_columns(schema, err) ||
        !gw_mysql_log_noted(store, conn, &noted, &found, err))
        return false;
    if (!found)
        return begin_log(store, conn, start, err);
    gw_binlog_place_format(&noted, start);
    return gw_mysql_binlog_bytes(conn, &noted, &bytes, err);
}

static bool prepare(struct gw_store *base, const struct gw_schema *schema, struct gw_position *start, char barrier[240],
                    struct gw_error *err)
{
    struct gw_mysql_store *store = gw_mysql_store_of(base);
    struct gw_mysql_conn *conn;
    struct gw_position from = {0};
    if (!gw_mysql_borrow(store, &conn, err))
        return false;
    bool fine = gw_mysql_captures(store) ? prepare_captured(store, conn, schema, &from, err)
                                         : prepare_with(store, conn, schema, &from, err);
    gw_mysql_return(conn, !fine);
    if (!fine)
        return false;
    *start = from;
    snprintf(barrier, 240, NOTE); /* what is waited for is in the note */
    return true;
}

static bool still_prepared(struct gw_mysql_conn *conn, const json_t *then, struct gw_buf *who, struct gw_error *err)
{
    size_t i, k;
    json_t *one, *other, *now = json_array();
    bool fine = list_prepared(conn, now, err);
    json_array_foreach(then, i, one) json_array_foreach(now, k, other) if (fine && json_equal(one, other))
        gw_buf_addf(who, "%sprepared XA transaction %s", who->len ? ", " : "", json_string_value(one));
    json_decref(now);
    return fine;
}

static bool settled(struct gw_store *base, const char *barrier, bool *out, struct gw_buf *who, struct gw_error *err)
{
    struct gw_mysql_store *store = gw_mysql_store_of(base);
    struct gw_mysql_conn *conn;
    json_t *note = NULL;
    (void)barrier;
    gw_buf_clear(who);
    if (!gw_mysql_borrow(store, &conn, err))
        return false;
    bool fine = read_note(store, conn, &note, err);
    json_t *then = json_object_get(note, "xa");
    if (fine && json_array_size(then) > 0)
        fine = still_prepared(conn, then, who, err);
    json_decref(note);
    gw_mysql_return(conn, !fine);
    if (fine)
        *out = who->len == 0;
    return fine;
}

/* ---- horizon, signals ------------------------------------------------------------------------------------------ */

/* A commit is in the log before it is visible. */
static bool horizon(struct gw_store *base, struct gw_position *out, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    struct gw_binlog_place at;
    if (gw_mysql_captures(gw_mysql_store_of(base)))
        return gw_mysql_capture_horizon(gw_mysql_store_of(base), out, err);
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = gw_mysql_binlog_end(conn, &at, err);
    gw_mysql_return(conn, !fine);
    if (fine)
        gw_binlog_place_format(&at, out);
    return fine;
}

/* One row per kind of signal ("marker" of "marker:17"), so that the table stays small. */
static bool send_signal(struct gw_store *base, const char *token, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_autofree char *kind = gw_strndup(token, strcspn(token, ":"));
    struct gw_mysql_conn *conn;
    gw_buf_adds(&sql, "INSERT INTO godwit_signal (kind, token, at) VALUES (");
    gw_mysql_add_literal(&sql, kind);
    gw_buf_adds(&sql, ", ");
    gw_mysql_add_literal(&sql, token);
    gw_buf_adds(&sql, ", UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE token = VALUES(token), at = VALUES(at)");
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = gw_mysql_exec_buf(conn, &sql, err);
    gw_mysql_return(conn, !fine);
    return fine;
}

static bool seen(struct gw_store *base, const char *token, bool *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, text = {0};
    struct gw_mysql_conn *conn;
    bool found = false;
    gw_buf_adds(&sql, "SELECT 1 FROM godwit_seen WHERE token = ");
    gw_mysql_add_literal(&sql, token);
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = gw_mysql_query_text(conn, gw_buf_text(&sql), &text, &found, err);
    gw_mysql_return(conn, !fine);
    if (fine)
        *out = found;
    return fine;
}

/* ---- retained, drop -------------------------------------------------------------------------------------------- */

static pthread_mutex_t acknowledged_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char lock[64];
    struct gw_position at;
} acknowledged[16]; /* of the streams of this process */

void gw_mysql_acknowledged_set(const struct gw_mysql_store *store, const struct gw_position *at)
{
    char lock[64];
    gw_mysql_stream_lock(store, lock);
    pthread_mutex_lock(&acknowledged_lock);
    for (size_t i = 0; i < sizeof acknowledged / sizeof acknowledged[0]; i++)
        if (!*acknowledged[i].lock || strcmp(acknowledged[i].lock, lock) == 0) {
            memcpy(acknowledged[i].lock, lock, sizeof lock);
            acknowledged[i].at = *at;
            break;
        }
    pthread_mutex_unlock(&acknowledged_lock);
}

bool gw_mysql_acknowledged_get(const struct gw_mysql_store *store, struct gw_position *out)
{
    char lock[64];
    bool found = false;
    gw_mysql_stream_lock(store, lock);
    pthread_mutex_lock(&acknowledged_lock);
    for (size_t i = 0; i < sizeof acknowledged / sizeof acknowledged[0]; i++)
        if (strcmp(acknowledged[i].lock, lock) == 0) {
            *out = acknowledged[i].at;
            found = out->order > 0;
        }
    pthread_mutex_unlock(&acknowledged_lock);
    return found;
}

static bool retained(struct gw_store *base, struct gw_retained *out, struct gw_error *err)
{
    struct gw_mysql_store *store = gw_mysql_store_of(base);
    struct gw_mysql_conn *conn;
    struct gw_binlog_place from;
    struct gw_position known;
    char lock[64];
    bool found = false, attached = false;
    int64_t bytes = -1;
    if (gw_mysql_captures(store))
        return gw_mysql_capture_retained(store, out, err);
    if (!gw_mysql_borrow(store, &conn, err))
        return false;
    gw_mysql_stream_lock(store, lock);
    bool fine = gw_mysql_log_noted(store, conn, &from, &found, err) && gw_binlog_lock_held(conn, lock, &attached, err);
    bool is_known = gw_mysql_acknowledged_get(store, &known) && gw_binlog_place_parse(known.text, &from);
    if (fine && found)
        fine = gw_mysql_binlog_bytes(conn, &from, &bytes, err);
    gw_mysql_return(conn, !fine);
    if (!fine)
        return false;
    /* Where nothing was acknowledged in this process the place is not known: the beginning may long be purged. */
    *out = (struct gw_retained){.bytes = is_known || bytes >= 0 ? bytes : -1,
                                .limit_bytes = -1,
                                .lost = !found || (is_known && bytes < 0),
                                .reader_attached = attached};
    return true;
}

static bool drop(struct gw_store *base, struct gw_error *err)
{
    struct gw_mysql_store *store = gw_mysql_store_of(base);
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(store, &conn, err))
        return false;
    bool fine =
        gw_mysql_capture_drop(store, err) &&
        gw_mysql_exec(conn, "DELETE FROM godwit_note WHERE name IN ('" NOTE "', '" GW_MYSQL_CAPTURE_NOTE "')", err);
    if (!fine && gw_mysql_no_such_table(conn, err))
        fine = true;
    gw_mysql_return(conn, !fine);
    gw_mysql_acknowledged_set(store, &(struct gw_position){0});
    return fine;
}

/* ---- streams: of the log, or of what triggers wrote ------------------------------------------------------------- */

static struct gw_mysql_captured *captured(struct gw_stream *stream)
{
    const struct gw_mysql_stream_head *head = (const struct gw_mysql_stream_head *)stream;
    return head && head->captured ? (struct gw_mysql_captured *)stream : NULL;
}

static bool stream_open(struct gw_store *base, const struct gw_schema *schema, const struct gw_position *from,
                        struct gw_stream **out, struct gw_error *err)
{
    struct gw_mysql_store *store = gw_mysql_store_of(base);
    return gw_mysql_captures(store) ? gw_mysql_capture_open(store, schema, from, (struct gw_mysql_captured **)out, err)
                                    : gw_mysql_stream_open(base, schema, from, out, err);
}

static void stream_close(struct gw_stream *stream)
{
    if (captured(stream))
        gw_mysql_capture_close(captured(stream));
    else
        gw_mysql_stream_close(stream);
}

static bool stream_next(struct gw_stream *stream, int timeout_ms, struct gw_change *change, bool *got,
                        struct gw_error *err)
{
    return captured(stream) ? gw_mysql_capture_next(captured(stream), timeout_ms, change, got, err)
                            : gw_mysql_stream_next(stream, timeout_ms, change, got, err);
}

static bool stream_acknowledge(struct gw_stream *stream, const struct gw_position *position, struct gw_error *err)
{
    return captured(stream) ? gw_mysql_capture_acknowledge(captured(stream), position, err)
                            : gw_mysql_stream_acknowledge(stream, position, err);
}

const struct gw_changes_facet gw_mysql_changes = {
    .prepare = prepare,
    .settled = settled,
    .open = stream_open,
    .close = stream_close,
    .next = stream_next,
    .acknowledge = stream_acknowledge,
    .horizon = horizon,
    .signal = send_signal,
    .seen = seen,
    .retained = retained,
    .drop = drop,
    .locate = gw_mysql_locate,
};
