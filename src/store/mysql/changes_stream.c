/*
 * Events to changes. A group of events is a transaction; BEGIN is handed out with the first row of it that is ours to
 * tell, and the first row event of the group, whatever its table, says whose transaction it is.
 *
 * One event is held at a time, in the buffer the library read it into; its rows are decoded one by one. However large a
 * transaction is, memory is that of its largest event.
 */
#include "store/mysql/changes_stream.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REST_EVERY_US INT64_C(10000000)
#define PROGRESS_EVERY_US 100000 /* while there is more to read */
#define END_ASKED_EVERY_US 2000000
#define SECOND_US INT64_C(1000000)
#define TOKEN_COLUMN 1 /* of godwit_signal: kind, token, at */

struct event {                /* waits in line before the rows at hand */
    enum gw_change_kind kind; /* SCHEMA (text owned), TRUNCATE */
    uint32_t collection;
    char *text;
    bool carries_plan;
};

struct group {
    bool open;
    uint64_t id; /* where it begins */
    char file[GW_BINLOG_FILE_MAX];
    uint64_t pos;
    bool standalone; /* MariaDB says that one statement is all of it */
    bool began;      /* MySQL: BEGIN came, so an end will come */
    bool xa;         /* its rows become visible with XA COMMIT */
    bool quiet;      /* before the place we were given: looked at for XA only */
    bool decided, ours, begun, ended, any_rows;
    bool live; /* it had not been written yet when we asked */
    int64_t wall_us;
    struct gw_mysql_span *spans; /* rolled back; owned */
    size_t span_count;
    bool scanned;
};

struct gw_stream {
    struct gw_mysql_stream_head head; /* first */
    struct gw_mysql_store *store;
    const struct gw_schema *schema;
    struct gw_mysql_source main, replay; /* replay: a prepared XA transaction, from where it was prepared */
    bool replaying;
    char lock[64];
    bool fold_case;         /* names of tables */
    int64_t clock_ahead_us; /* the source's clock, against ours */

    struct group group;
    struct gw_mysql_prepared_list prepared;
    uint64_t quiet_until; /* order */
    uint32_t wanted_made; /* of the file we begin in */
    char wanted_file[GW_BINLOG_FILE_MAX];

    struct event *events;
    size_t event_count, event_capacity, event_at;
    bool begin_due, rows_due, commit_due;
    struct gw_binlog *rows_of; /* the decoder that has them */
    struct gw_binlog_table *table;
    enum gw_binlog_rows rows_kind;

    struct gw_binlog_place reached; /* between groups: nothing for us before it */
    uint64_t delivered;             /* order, as COMMIT or PROGRESS */
    int64_t progress_us;

    int64_t rested_us;
    int64_t end_asked_us; /* while nothing came but heartbeats */
    uint64_t elsewhere;   /* order: the log did not end here when it was asked; 0: it did */
    uint64_t doubted;     /* order: asked for anew from here already */

    struct gw_mysql_default **defaults; /* of each collection, NULL: not asked for */
    uint64_t *told_shapes;              /* of each collection, hash of what was said of it last */
    struct gw_buf token;
};

static bool fail_at(struct gw_stream *s, struct gw_error *err)
{
    return gw_error_place(err, "%s %s, %s:%" PRIu64, gw_side_name(s->store->base.side), s->store->base.identity.address,
                          s->group.open ? s->group.file : s->main.file, s->group.open ? s->group.pos : s->main.pos);
}

/* ---- events in line -------------------------------------------------------------------------------------------- */

static void queue_event(struct gw_stream *s, enum gw_change_kind kind, uint32_t collection, char *text, bool carries)
{
    s->events = gw_grow(s->events, &s->event_capacity, s->event_count, sizeof *s->events);
    s->events[s->event_count++] =
        (struct event){.kind = kind, .collection = collection, .text = text, .carries_plan = carries};
}

static void clear_events(struct gw_stream *s)
{
    for (size_t i = 0; i < s->event_count; i++)
        free(s->events[i].text);
    s->event_count = s->event_at = 0;
}

static void queue_schema(struct gw_stream *s, const struct gw_collection *c, bool carries, const char *how)
{
    char *text = gw_asprintf("%s: %s", gw_collection_label(c), how);
    uint64_t hash = gw_hash64(text, strlen(text), 0);
    if (carries && s->told_shapes[c - s->schema->collections] == hash) {
        free(text);
        return;
    }
    s->told_shapes[c - s->schema->collections] = hash;
    queue_event(s, GW_CHANGE_SCHEMA, c->id, text, carries);
}

/* ---- groups ---------------------------------------------------------------------------------------------------- */

static void format_reached(const struct gw_stream *s, struct gw_position *out)
{
    struct gw_binlog_place place = s->reached;
    const struct gw_mysql_prepared *oldest = gw_mysql_prepared_oldest(&s->prepared);
    if (oldest) {
        memcpy(place.prepared, oldest->file, sizeof place.prepared);
        place.prepared_pos = oldest->pos;
    }
    gw_binlog_place_format(&place, out);
}

static void reach(struct gw_stream *s)
{
    memcpy(s->reached.file, s->main.file, sizeof s->reached.file);
    s->reached.pos = s->main.pos;
    s->reached.made = s->main.made;
}

static void forget_group(struct gw_stream *s)
{
    free(s->group.spans);
    s->group = (struct group){0};
}

/* Rows of it were handed out that never were: what was spooled of it is cut when the stream is opened anew. */
static bool give_up_group(struct gw_stream *s, struct gw_error *err)
{
    gw_mysql_group_remember(s->store, s->group.id);
    gw_fail(err, GW_ERR_RETRY, "a transaction in the binlog is rolled back, as a whole or in part: it is read again");
    return fail_at(s, err);
}

static bool is_rolled_back(const struct group *g, uint64_t pos)
{
    for (size_t i = 0; i < g->span_count; i++)
        if (pos >= g->spans[i].from && pos < g->spans[i].to)
            return true;
    return false;
}

/* A group that has no end was broken off by a crash of the server: nothing of it ever was. */
static bool break_off(struct gw_stream *s, struct gw_error *err)
{
    struct group *g = &s->group;
    if (g->open && g->any_rows && !g->scanned)
        return give_up_group(s, err);
    forget_group(s);
    return true;
}

static bool begin_group(struct gw_stream *s, const struct gw_binlog_event *e, uint64_t start, struct gw_error *err)
{
    if (!break_off(s, err))
        return false;
    struct group *g = &s->group;
    *g = (struct group){.open = true,
                        .pos = start,
                        .id = gw_binlog_order(s->main.file, start),
                        .live = s->main.dump->waited,
                        .wall_us = (int64_t)e->timestamp * SECOND_US};
    memcpy(g->file, s->main.file, sizeof g->file);
    g->quiet = g->id < s->quiet_until;
    if (!gw_mysql_group_remembered(s->store, g->id))
        return true;
    g->scanned = true;
    return gw_mysql_group_scan(s->store, s->schema, g->file, g->pos, &g->spans, &g->span_count, err);
}

/* The group is through; what is due is handed out before the next event is read. */
static void end_group(struct gw_stream *s)
{
    s->group.ended = true;
    if (s->group.begun || s->begin_due)
        s->commit_due = true;
}

static void close_group(struct gw_stream *s)
{
    if (s->group.open && s->group.ended && !s->commit_due && !s->begin_due && !s->rows_due && !s->replaying &&
        s->event_at == s->event_count) {
        forget_group(s);
        reach(s);
    }
}

/* What is told of a group begins with BEGIN. */
static void due(struct gw_stream *s)
{
    if (!s->group.begun)
        s->begin_due = true;
}

/* ---- XA -------------------------------------------------------------------------------------------------------- */

static bool begin_replay(struct gw_stream *s, const char *file, uint64_t pos, struct gw_error *err)
{
    if (!gw_mysql_source_open(&s->replay, s->store, s->schema, "stream of XA", file, pos, NULL, err)) {
        gw_mysql_source_close(&s->replay);
        return gw_error_prefix(err, "reading the rows of a prepared transaction");
    }
    s->replaying = true;
    return true;
}

static bool meet_xa_prepare(struct gw_stream *s, const struct gw_binlog_event *e, struct gw_error *err)
{
    struct gw_binlog_xid xid;
    bool one_phase;
    if (!gw_binlog_xa_prepare(e, &one_phase, &xid, err))
        return false;
    struct group *g = &s->group;
    g->xa = true;
    end_group(s);
    if (!one_phase)
        gw_mysql_prepared_add(&s->prepared, &xid, g->file, g->pos);
    else if (!g->quiet)
        return begin_replay(s, g->file, g->pos, err);
    return true;
}

/* One that is not in the list was prepared before our log began: it was waited for, and every chunk has seen it. */
static bool meet_xa_end(struct gw_stream *s, const struct gw_binlog_statement *statement, struct gw_error *err)
{
    struct gw_mysql_prepared one;
    bool found = gw_mysql_prepared_take(&s->prepared, &statement->xid, &one);
    end_group(s);
    if (!found || s->group.quiet || statement->verb == GW_BINLOG_VERB_XA_ROLLBACK)
        return true;
    return begin_replay(s, one.file, one.pos, err);
}

/* ---- statements ------------------------------------------------------------------------------------------------ */

static bool same_name(const struct gw_stream *s, const char *a, const char *b)
{
    return s->fold_case ? strcasecmp(a, b) == 0 : strcmp(a, b) == 0;
}

static bool is_our_database(const struct gw_stream *s, const struct gw_binlog_query *q)
{
    size_t len = strlen(s->store->database);
    bool here =
        q->database_len == len && (s->fold_case ? strncasecmp : strncmp)(q->database, s->store->database, len) == 0;
    return here || gw_binlog_mentions(q, s->store->database);
}

static void meet_truncate(struct gw_stream *s, const struct gw_binlog_query *q,
                          const struct gw_binlog_statement *statement)
{
    gw_autofree char *session = gw_strndup(q->database, q->database_len);
    const char *database = *statement->database ? statement->database : session;
    if (!same_name(s, database, s->store->database))
        return;
    for (size_t i = 0; i < s->schema->count; i++)
        if (same_name(s, s->schema->collections[i].name, statement->table)) {
            due(s);
            queue_event(s, GW_CHANGE_TRUNCATE, s->schema->collections[i].id, NULL, false);
        }
}

static bool refuse_statement(struct gw_stream *s, const struct gw_binlog_query *q, struct gw_error *err)
{
    gw_fail(err, GW_ERR_UNSUPPORTED, "the binlog holds a statement where rows are needed: %.*s",
            (int)(q->sql_len < 120 ? q->sql_len : 120), q->sql);
    gw_error_hint(err, "a session wrote with binlog_format other than ROW: SET GLOBAL binlog_format = 'ROW', let all"
                       " sessions connect anew, then begin again: godwit abort, godwit copy");
    return fail_at(s, err);
}

static bool meet_definition(struct gw_stream *s, const struct gw_collection *c, struct gw_error *err)
{
    gw_autobuf struct gw_buf difference = {0};
    struct gw_schema now;
    const struct gw_collection *found;
    size_t place = (size_t)(c - s->schema->collections);
    if (s->defaults[place])
        gw_mysql_forget_defaults(s->defaults[place], c->column_count);
    if (!gw_mysql_shape_now(s->store, c, &now, &found, err))
        return false;
    if (!found)
        queue_schema(s, c, false, "the table is gone");
    else if (!gw_collection_same_shape(c, found, &difference))
        queue_schema(s, c, gw_mysql_shape_carries(c, found), gw_buf_text(&difference));
    else
        s->told_shapes[place] = 0;
    gw_schema_release(&now);
    return true;
}

static bool meet_ddl(struct gw_stream *s, const struct gw_binlog_query *q, const struct gw_binlog_statement *statement,
                     struct gw_error *err)
{
    if (!is_our_database(s, q))
        return true;
    for (size_t i = 0; i < s->schema->count; i++) {
        const struct gw_collection *c = &s->schema->collections[i];
        if (!statement->whole_database && !gw_binlog_mentions(q, c->name))
            continue;
        if (statement->verb == GW_BINLOG_VERB_REPLACED) {
            gw_autofree char *how = gw_asprintf("its rows are no longer those of the log, after: %.*s",
                                                (int)(q->sql_len < 200 ? q->sql_len : 200), q->sql);
            queue_schema(s, c, false, how);
        } else if (!meet_definition(s, c, err)) {
            return false;
        }
    }
    return true;
}

static bool is_planned(const struct gw_stream *s, const char *table)
{
    for (size_t i = 0; i < s->schema->count; i++)
        if (same_name(s, s->schema->collections[i].name, table))
            return true;
    return false;
}

static bool meet_rollback(struct gw_stream *s, bool whole, struct gw_error *err)
{
    struct group *g = &s->group;
    if (g->any_rows && !g->scanned)
        return give_up_group(s, err);
    if (whole)
        end_group(s);
    return true;
}

static bool meet_other(struct gw_stream *s, const struct gw_binlog_query *q,
                       const struct gw_binlog_statement *statement, struct gw_error *err)
{
    struct group *g = &s->group;
    bool last = g->standalone || (!gw_binlog_is_mariadb(s->main.decoder) && !g->began && !statement->opens);
    if (statement->opens)
        g->began = true;
    if (last)
        end_group(s);
    if (g->quiet)
        return true;
    switch (statement->verb) {
    case GW_BINLOG_VERB_TRUNCATE:
        meet_truncate(s, q, statement);
        if (last)
            end_group(s);
        return true;
    case GW_BINLOG_VERB_REPLACED:
    case GW_BINLOG_VERB_DEFINE:
        return meet_ddl(s, q, statement, err);
    case GW_BINLOG_VERB_CLEAR:
        return !is_planned(s, statement->table) || !is_our_database(s, q) || refuse_statement(s, q, err);
    case GW_BINLOG_VERB_WRITE:
        return !is_our_database(s, q) || refuse_statement(s, q, err);
    default:
        return true;
    }
}

static bool meet_query(struct gw_stream *s, const struct gw_binlog_event *e, uint64_t start, struct gw_error *err)
{
    struct gw_binlog_query q;
    struct gw_binlog_statement statement;
    if (!gw_binlog_query(s->main.decoder, e, &q, err))
        return false;
    gw_binlog_statement_parse(&q, &statement);
    if (!s->group.open && !begin_group(s, e, start, err)) /* an old server's groups have no GTID */
        return false;
    switch (statement.verb) {
    case GW_BINLOG_VERB_BEGIN:
        s->group.began = true;
        return true;
    case GW_BINLOG_VERB_COMMIT:
        end_group(s);
        return true;
    case GW_BINLOG_VERB_ROLLBACK:
    case GW_BINLOG_VERB_ROLLBACK_TO:
        return meet_rollback(s, statement.verb == GW_BINLOG_VERB_ROLLBACK, err);
    case GW_BINLOG_VERB_SAVEPOINT:
        return true;
    case GW_BINLOG_VERB_XA_START:
        s->group.began = s->group.xa = true;
        return true;
    case GW_BINLOG_VERB_XA_COMMIT:
    case GW_BINLOG_VERB_XA_ROLLBACK:
        return meet_xa_end(s, &statement, err);
    default:
        return meet_other(s, &q, &statement, err);
    }
}

/* ---- tables and rows ------------------------------------------------------------------------------------------- */

static bool settle_table(struct gw_stream *s, struct gw_mysql_source *source, struct gw_binlog_table *table,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf difference = {0};
    const struct gw_collection *c = gw_binlog_table_collection(table), *found;
    struct gw_schema now;
    if (!gw_mysql_shape_now(s->store, c, &now, &found, err))
        return false;
    gw_binlog_table_settle(source->decoder, table, found, &difference);
    gw_schema_release(&now);
    if (gw_binlog_table_fit(table) != GW_BINLOG_FITS)
        queue_schema(s, c, gw_binlog_table_fit(table) == GW_BINLOG_MAPPED, gw_buf_text(&difference));
    return true;
}

static bool meet_rows(struct gw_stream *s, struct gw_mysql_source *source, const struct gw_binlog_event *e,
                      uint64_t start, struct gw_error *err)
{
    struct group *g = &s->group;
    struct gw_binlog_table *table;
    bool passed = source == &s->main && (g->quiet || g->xa || is_rolled_back(g, start));
    if (!gw_binlog_rows(source->decoder, e, &table, err))
        return fail_at(s, err);
    if (!g->open)
        return gw_fail(err, GW_ERR_CONFLICT, "the binlog has rows outside of a transaction") || fail_at(s, err);
    if (passed)
        return true;
    if (!g->decided) {
        g->decided = true;
        g->ours = table && gw_binlog_table_home(table) == GW_BINLOG_HOME_OURS;
    }
    if (!table)
        return true;
    g->any_rows = true;
    if (gw_binlog_table_fit(table) == GW_BINLOG_UNKNOWN) {
        if (!settle_table(s, source, table, err))
            return false;
        if (!gw_binlog_rows(source->decoder, e, &table, err)) /* now that it is known, its rows can be had */
            return fail_at(s, err);
    }
    due(s);
    s->rows_due = gw_binlog_table_home(table) != GW_BINLOG_HOME_OURS;
    s->rows_of = source->decoder;
    s->table = table;
    s->rows_kind = gw_binlog_rows_kind(e->type);
    return true;
}

/* ---- all events ------------------------------------------------------------------------------------------------ */

static bool unsupported(struct gw_stream *s, const char *what, const char *hint, struct gw_error *err)
{
    gw_fail(err, GW_ERR_UNSUPPORTED, "%s", what);
    gw_error_hint(err, "%s", hint);
    return fail_at(s, err);
}

static bool meet_maria_gtid(struct gw_stream *s, const struct gw_binlog_event *e, uint64_t start, struct gw_error *err)
{
    struct gw_binlog_xid xid;
    uint8_t flags;
    if (!gw_binlog_maria_gtid(e, &flags, &xid, err) || !begin_group(s, e, start, err))
        return false;
    s->group.standalone = flags & GW_BINLOG_STANDALONE;
    s->group.xa = flags & GW_BINLOG_PREPARED_XA;
    return true;
}

/* The file may have the name that ours had, and be another one. */
static bool check_made(struct gw_stream *s, const struct gw_binlog_event *e, struct gw_error *err)
{
    uint32_t wanted = s->wanted_made;
    if (!wanted || strcmp(s->main.file, s->wanted_file) != 0)
        return true;
    s->wanted_made = 0;
    return wanted == e->timestamp ||
           gw_binlog_lost(s->store, err,
                          "%s is another file of that name: the server was restored, or its binlog reset",
                          s->main.file);
}

static bool meet_load(struct gw_stream *s, struct gw_error *err)
{
    return unsupported(s, "the binlog holds a LOAD DATA statement where rows are needed",
                       "a session wrote with binlog_format other than ROW: SET GLOBAL binlog_format = 'ROW', let all"
                       " sessions connect anew, then begin again: godwit abort, godwit copy",
                       err);
}

static bool meet_special(struct gw_stream *s, const struct gw_binlog_event *e, struct gw_error *err)
{
    switch (e->type) {
    case GW_BINLOG_FORMAT_DESCRIPTION:
        return check_made(s, e, err) && (e->log_pos == 0 || break_off(s, err));
    case GW_BINLOG_BEGIN_LOAD_QUERY:
    case GW_BINLOG_EXECUTE_LOAD_QUERY:
        return s->group.quiet || meet_load(s, err);
    case GW_BINLOG_INCIDENT:
        return gw_binlog_lost(s->store, err, "the server says that events are missing in its binlog (an incident)");
    case GW_BINLOG_PARTIAL_UPDATE_ROWS:
        return unsupported(s, "the binlog has parts of JSON values only",
                           "SET GLOBAL binlog_row_value_options = '', let all sessions connect anew, then begin again:"
                           " godwit abort, godwit copy",
                           err);
    case GW_BINLOG_TRANSACTION_PAYLOAD:
        return unsupported(s, "the binlog has compressed transactions",
                           "SET GLOBAL binlog_transaction_compression = OFF, let all sessions connect anew, then begin"
                           " again: godwit abort, godwit copy",
                           err);
    default:
        if (e->type < 45 || (e->type >= 160 && e->type <= 171) || e->flags & GW_BINLOG_IGNORABLE)
            return true;
        gw_fail(err, GW_ERR_UNSUPPORTED, "the binlog has an event of type %u, which is not known", e->type);
        return fail_at(s, err);
    }
}

static bool meet_main(struct gw_stream *s, const struct gw_binlog_event *e, uint64_t start, struct gw_error *err)
{
    struct gw_binlog_table *table;
    if (gw_binlog_rows_kind(e->type))
        return meet_rows(s, &s->main, e, start, err);
    switch (e->type) {
    case GW_BINLOG_TABLE_MAP:
        return gw_binlog_table_map(s->main.decoder, e, &table, err) || fail_at(s, err);
    case GW_BINLOG_MARIA_GTID:
        return meet_maria_gtid(s, e, start, err);
    case GW_BINLOG_GTID:
    case GW_BINLOG_ANONYMOUS_GTID:
    case GW_BINLOG_GTID_TAGGED:
        return begin_group(s, e, start, err);
    case GW_BINLOG_QUERY:
    case GW_BINLOG_MARIA_QUERY_COMPRESSED:
        return meet_query(s, e, start, err);
    case GW_BINLOG_XID:
        end_group(s);
        return true;
    case GW_BINLOG_XA_PREPARE:
        return meet_xa_prepare(s, e, err);
    default:
        return meet_special(s, e, err);
    }
}

/* The rows of a prepared transaction; its XA PREPARE is their end. */
static bool meet_replay(struct gw_stream *s, const struct gw_binlog_event *e, uint64_t start, struct gw_error *err)
{
    struct gw_binlog_table *table;
    if (gw_binlog_rows_kind(e->type))
        return meet_rows(s, &s->replay, e, start, err);
    if (e->type == GW_BINLOG_TABLE_MAP)
        return gw_binlog_table_map(s->replay.decoder, e, &table, err);
    if (e->type == GW_BINLOG_XA_PREPARE) {
        s->replaying = false;
        s->commit_due = s->group.begun || s->begin_due;
    }
    return true;
}

/* ---- handing out ----------------------------------------------------------------------------------------------- */

static void hand_out_event(struct gw_stream *s, struct gw_change *change)
{
    const struct event *event = &s->events[s->event_at++];
    *change = (struct gw_change){.kind = event->kind,
                                 .collection = event->collection,
                                 .transaction = s->group.id,
                                 .text = event->text,
                                 .carries_plan = event->carries_plan};
}

static void hand_out_begin(struct gw_stream *s, struct gw_change *change)
{
    struct gw_binlog_place at = {.pos = s->group.pos};
    memcpy(at.file, s->group.file, sizeof at.file);
    *change = (struct gw_change){
        .kind = GW_CHANGE_BEGIN, .transaction = s->group.id, .commit_wall_us = s->group.wall_us, .ours = s->group.ours};
    gw_binlog_place_format(&at, &change->position);
    s->begin_due = false;
    s->group.begun = true;
}

/* The log has whole seconds. What came as it was written has no age worth telling. */
static int64_t age_of(const struct gw_stream *s)
{
    int64_t age_us = gw_wall_us() + s->clock_ahead_us - s->group.wall_us;
    return s->group.live || age_us < 0 ? 0 : age_us;
}

static void hand_out_commit(struct gw_stream *s, struct gw_change *change)
{
    reach(s);
    *change = (struct gw_change){
        .kind = GW_CHANGE_COMMIT, .transaction = s->group.id, .commit_wall_us = s->group.wall_us, .age_us = age_of(s)};
    format_reached(s, &change->position);
    s->commit_due = false;
    s->delivered = change->position.order;
}

static bool hand_out_signal(struct gw_stream *s, const struct gw_row *row, struct gw_change *change)
{
    if (row->count <= TOKEN_COLUMN || !row->values[TOKEN_COLUMN].bytes)
        return false;
    gw_buf_clear(&s->token);
    gw_buf_add(&s->token, row->values[TOKEN_COLUMN].bytes, row->values[TOKEN_COLUMN].len);
    *change = (struct gw_change){.kind = GW_CHANGE_SIGNAL, .transaction = s->group.id, .text = gw_buf_text(&s->token)};
    return true;
}

static bool lacks_columns(const struct gw_row *row)
{
    for (uint32_t i = 0; i < row->count; i++)
        if (row->values[i].kind == GW_VALUE_UNCHANGED)
            return true;
    return false;
}

static bool fill_insert(struct gw_stream *s, const struct gw_collection *c, struct gw_row *row, struct gw_error *err)
{
    struct gw_mysql_default **defaults = &s->defaults[c - s->schema->collections];
    if (!*defaults)
        *defaults = gw_calloc(c->column_count, sizeof **defaults);
    return gw_mysql_fill_defaults(s->store, c, *defaults, row, err);
}

static bool hand_out_row(struct gw_stream *s, struct gw_change *change, bool *got, struct gw_error *err)
{
    static const enum gw_change_kind kinds[] = {[GW_BINLOG_WRITE] = GW_CHANGE_INSERT,
                                                [GW_BINLOG_UPDATE] = GW_CHANGE_UPDATE,
                                                [GW_BINLOG_DELETE] = GW_CHANGE_DELETE};
    const struct gw_collection *c = gw_binlog_table_collection(s->table);
    bool more;
    do {
        struct gw_row old, row;
        if (!gw_binlog_row(s->rows_of, &old, &row, &more, err))
            return fail_at(s, err);
        if (more && !c)
            *got = hand_out_signal(s, &row, change);
        else if (more) {
            if (s->rows_kind == GW_BINLOG_WRITE && lacks_columns(&row) && !fill_insert(s, c, &row, err))
                return fail_at(s, err);
            *change = (struct gw_change){
                .kind = kinds[s->rows_kind], .collection = c->id, .transaction = s->group.id, .old = old, .row = row};
            *got = true;
        }
    } while (more && !*got);
    s->rows_due = more;
    return true;
}

/* What needs no further event, in order; *got false: read on. */
static bool hand_out(struct gw_stream *s, struct gw_change *change, bool *got, struct gw_error *err)
{
    *got = false;
    bool waits = s->event_at < s->event_count;
    if (waits && s->events[s->event_at].kind == GW_CHANGE_SCHEMA) {
        hand_out_event(s, change);
        *got = true;
    } else if (s->begin_due) {
        hand_out_begin(s, change);
        *got = true;
    } else if (waits) {
        hand_out_event(s, change);
        *got = true;
    } else if (s->rows_due && !hand_out_row(s, change, got, err)) {
        return false;
    }
    if (!*got && s->commit_due && !s->replaying) {
        hand_out_commit(s, change);
        *got = true;
    }
    return true;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static bool progress_is_due(const struct gw_stream *s)
{
    return !s->group.open && gw_binlog_order(s->reached.file, s->reached.pos) > s->delivered &&
           s->delivered >= s->quiet_until;
}

static void hand_out_progress(struct gw_stream *s, struct gw_change *change)
{
    *change = (struct gw_change){.kind = GW_CHANGE_PROGRESS};
    format_reached(s, &change->position);
    s->delivered = change->position.order;
    s->progress_us = gw_mono_us();
}

static bool shed(struct gw_stream *s, struct gw_error *err)
{
    if (s->replay.dump && !s->replaying)
        gw_mysql_source_close(&s->replay);
    return s->group.open || gw_mysql_source_shed(&s->main, "stream", s->lock, err);
}

/* Nothing comes: the time to make buffers small again. */
static bool rest(struct gw_stream *s, struct gw_error *err)
{
    int64_t now_us = gw_mono_us();
    if (!s->main.dump->large || s->group.open || (s->rested_us && now_us - s->rested_us < REST_EVERY_US))
        return true;
    s->rested_us = now_us;
    return gw_mysql_source_reopen(&s->main, "stream", s->lock, err);
}

/* A server whose binlog is begun anew (RESET MASTER) leaves its readers at the end of the old one, with heartbeats and no
 * changes for ever. Where the log ends elsewhere for some time while nothing comes, our place is asked for anew: a log
 * without it is told by the server, another file of that name by check_made. */
static bool doubt_silence(struct gw_stream *s, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    struct gw_binlog_place end;
    uint64_t here = gw_binlog_order(s->main.file, s->main.pos);
    int64_t now_us = gw_mono_us();
    if (s->group.open || s->doubted == here || now_us - s->end_asked_us < END_ASKED_EVERY_US)
        return true;
    s->end_asked_us = now_us;
    if (!gw_mysql_borrow(s->store, &conn, err))
        return false;
    bool fine = gw_mysql_binlog_end(conn, &end, err);
    gw_mysql_return(conn, !fine);
    if (!fine)
        return false;
    bool elsewhere = gw_binlog_order(end.file, end.pos) != here;
    if (!elsewhere || s->elsewhere != here) {
        s->elsewhere = elsewhere ? here : 0;
        return true;
    }
    s->doubted = here;
    s->wanted_made = s->main.made;
    memcpy(s->wanted_file, s->main.file, sizeof s->wanted_file);
    return gw_mysql_source_reopen(&s->main, "stream", s->lock, err);
}

/* *read false: there was none until the deadline. */
static bool read_event(struct gw_stream *s, int64_t deadline_us, bool *read, struct gw_error *err)
{
    struct gw_mysql_source *source = s->replaying ? &s->replay : &s->main;
    struct gw_binlog_event e;
    uint64_t start;
    bool got;
    if (!gw_mysql_source_next(source, deadline_us, &e, &start, &got, err))
        return false;
    *read = got;
    if (!got)
        return true;
    if (s->replaying)
        return meet_replay(s, &e, start, err);
    if (!meet_main(s, &e, start, err))
        return false;
    if (!s->group.open)
        reach(s);
    return (e.type != GW_BINLOG_HEARTBEAT && e.type != GW_BINLOG_HEARTBEAT_V2) || doubt_silence(s, err);
}

bool gw_mysql_stream_next(struct gw_stream *s, int timeout_ms, struct gw_change *change, bool *got,
                          struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000;
    for (;;) {
        if (!hand_out(s, change, got, err))
            return false;
        if (*got)
            return true;
        clear_events(s);
        close_group(s);
        if (!shed(s, err))
            return false;
        bool is_due = progress_is_due(s);
        if (is_due && gw_mono_us() - s->progress_us >= PROGRESS_EVERY_US) {
            hand_out_progress(s, change);
            *got = true;
            return true;
        }
        bool read = false;
        if (!read_event(s, is_due ? 0 : deadline_us, &read, err))
            return false;
        if (!read && is_due) {
            hand_out_progress(s, change);
            *got = true;
            return true;
        }
        if (!read)
            return rest(s, err);
    }
}

bool gw_mysql_stream_acknowledge(struct gw_stream *s, const struct gw_position *position, struct gw_error *err)
{
    (void)err;
    gw_mysql_acknowledged_set(s->store, position);
    return true;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static bool find_start(struct gw_stream *s, struct gw_mysql_conn *conn, const struct gw_position *from,
                       struct gw_binlog_place *out, struct gw_error *err)
{
    struct gw_binlog_place noted, end;
    bool found;
    if (!gw_mysql_log_noted(s->store, conn, &noted, &found, err))
        return false;
    if (!found)
        return gw_binlog_lost(s->store, err, "it was never opened, or given up (no note of it in godwit_note)");
    if (from->order == 0)
        *out = noted;
    else if (!gw_binlog_place_parse(from->text, out))
        return gw_fail(err, GW_ERR_BUG, "\"%s\" is no place in a binlog", from->text);
    if (!gw_mysql_binlog_end(conn, &end, err))
        return false;
    if (gw_binlog_order(out->file, out->pos) > gw_binlog_order(end.file, end.pos))
        return gw_binlog_lost(s->store, err,
                              "it ends at %s:%" PRIu64 ", before our %s: the server was restored, reset"
                              " or failed over",
                              end.file, end.pos, from->text);
    return true;
}

static bool learn_clock(struct gw_stream *s, struct gw_mysql_conn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    if (!gw_mysql_query_text(conn,
                             "SELECT CONCAT(CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED), ' ',"
                             " @@lower_case_table_names)",
                             &text, NULL, err))
        return false;
    char *end;
    s->clock_ahead_us = strtoll(gw_buf_text(&text), &end, 10) - gw_wall_us();
    s->fold_case = strtol(end, NULL, 10) != 0;
    return true;
}

static bool open_at(struct gw_stream *s, const struct gw_binlog_place *at, struct gw_error *err)
{
    const char *file = *at->prepared ? at->prepared : at->file;
    uint64_t pos = *at->prepared ? at->prepared_pos : at->pos;
    s->quiet_until = gw_binlog_order(at->file, at->pos);
    s->delivered = s->quiet_until;
    s->wanted_made = at->made;
    memcpy(s->wanted_file, at->file, sizeof s->wanted_file);
    s->reached = *at;
    *s->reached.prepared = 0;
    return gw_mysql_source_open(&s->main, s->store, s->schema, "stream", file, pos, s->lock, err);
}

bool gw_mysql_stream_open(struct gw_store *base, const struct gw_schema *schema, const struct gw_position *from,
                          struct gw_stream **out, struct gw_error *err)
{
    struct gw_stream *s = gw_zalloc(sizeof *s);
    struct gw_binlog_place at = {0};
    struct gw_mysql_conn *conn;
    s->store = gw_mysql_store_of(base);
    s->schema = schema;
    s->defaults = gw_calloc(schema->count + 1, sizeof *s->defaults);
    s->told_shapes = gw_calloc(schema->count + 1, sizeof *s->told_shapes);
    gw_mysql_stream_lock(s->store, s->lock);
    bool fine = gw_mysql_borrow(s->store, &conn, err);
    if (fine) {
        fine = find_start(s, conn, from, &at, err) && learn_clock(s, conn, err);
        gw_mysql_return(conn, !fine);
    }
    if (!fine || !open_at(s, &at, err)) {
        gw_mysql_stream_close(s);
        return false;
    }
    *out = s;
    return true;
}

void gw_mysql_stream_close(struct gw_stream *s)
{
    if (!s)
        return;
    clear_events(s);
    free(s->events);
    forget_group(s);
    gw_mysql_source_close(&s->main);
    gw_mysql_source_close(&s->replay);
    free(s->prepared.items);
    for (size_t i = 0; i < s->schema->count; i++) {
        gw_mysql_forget_defaults(s->defaults[i], s->schema->collections[i].column_count);
        free(s->defaults[i]);
    }
    free(s->defaults);
    free(s->told_shapes);
    gw_buf_release(&s->token);
    free(s);
}
