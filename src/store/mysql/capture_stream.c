/*
 * The source of a captured stream: batches from godwit_capture_batch, rows of one as the server sends them, one in memory
 * at a time, in the order of their numbers; store/capture makes the changes' order and positions of them.
 */
#include "store/mysql/capture.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/mysql/binlog_dump.h"
#include "store/mysql/changes_stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_EVERY_US 2000000
#define TRIM_MOST_US 200000
#define RANGES 200 /* of a statement */
#define LAST_OF_OURS 1
#define LAST_OF_OTHERS (UINT64_MAX - 1)

struct table {
    struct gw_mysql_layout layout;
    uint64_t seen_batch;             /* the one for which its definition was looked at last */
    uint64_t figure;                 /* hash of the definition as it was looked at; 0: not yet */
    uint64_t next_number, told_next; /* AUTO_INCREMENT: how far it was; one that fell and was told of */
    char *difference;                /* from the plan; NULL: none */
    bool carries_plan, told;
};

struct gw_mysql_captured {
    struct gw_mysql_stream_head head; /* first */
    struct gw_mysql_store *store;
    const struct gw_schema *schema;
    struct gw_mysql_conn *conn;
    struct gw_capture_stream *core;
    char lock[64];

    struct table *tables;
    size_t table_count, table_capacity;

    struct gw_mysql_batches seen; /* by the newest cut we know of: spares asking when there is nothing */
    struct gw_mysql_batch batch;  /* being read */
    struct gw_mysql_runs runs;
    size_t range_at;
    bool ours_due;
    MYSQL_RES *rows;
    struct gw_capture_row row;
    bool pending; /* SCHEMA was handed out first, the row itself is next */
    struct gw_change pending_change;
    struct gw_arena arena;
    struct gw_buf text, note;
    int64_t checked_us;
    uint64_t trimmed;
    bool trim_more;
};

/* ---- batches ------------------------------------------------------------------------------------------------------ */

/* By a condition and order; *found false: none. `runs` may be NULL. */
static bool ask_batch(struct gw_mysql_captured *s, const char *which, struct gw_mysql_batch *out,
                      struct gw_mysql_runs *runs, bool *found, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    MYSQL_RES *r;
    gw_buf_addf(&sql,
                "SELECT number, before_order, transactions, stamp, ours, wall_us%s FROM godwit_capture_batch WHERE %s"
                " LIMIT 1",
                runs ? ", runs" : "", which);
    if (!gw_mysql_query(s->conn, gw_buf_text(&sql), &r, err))
        return false;
    MYSQL_ROW row = mysql_fetch_row(r);
    bool fine = true;
    *found = row != NULL;
    if (row) {
        *out = (struct gw_mysql_batch){.head = {.number = strtoull(row[0], NULL, 10),
                                                .before = strtoull(row[1], NULL, 10),
                                                .transactions = strtoull(row[2], NULL, 10),
                                                .stamp = strtoull(row[3], NULL, 10)},
                                       .ours = *row[4] == '1',
                                       .wall_us = strtoll(row[5], NULL, 10)};
        if (runs) {
            gw_mysql_runs_release(runs);
            fine = gw_mysql_runs_parse(row[6], runs, err);
        }
    }
    mysql_free_result(r);
    return fine;
}

static bool source_oldest(void *own, struct gw_capture_batch *out, struct gw_error *err)
{
    struct gw_mysql_captured *s = own;
    struct gw_mysql_batch batch;
    bool found;
    if (!ask_batch(s, "trimmed = 1 ORDER BY number DESC", &batch, NULL, &found, err))
        return false;
    *out = batch.head;
    return found || gw_mysql_capture_lost(s->store, err, "the batches of what was captured are gone");
}

static bool source_find(void *own, uint64_t number, struct gw_capture_batch *out, bool *found, struct gw_error *err)
{
    struct gw_mysql_captured *s = own;
    struct gw_mysql_batch batch = {0};
    gw_autofree char *which = gw_asprintf("number = %" PRIu64, number);
    if (!ask_batch(s, which, &batch, NULL, found, err))
        return false;
    *out = batch.head;
    return true;
}

/* ---- tables ------------------------------------------------------------------------------------------------------- */

static struct table *find_table(struct gw_mysql_captured *s, uint32_t rel)
{
    for (size_t i = 0; i < s->table_count; i++)
        if (s->tables[i].layout.rel == rel)
            return &s->tables[i];
    return NULL;
}

static bool load_tables(struct gw_mysql_captured *s, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    bool fine = true;
    if (!gw_mysql_query(s->conn, "SELECT rel, name, columns FROM godwit_capture_table", &r, err))
        return false;
    while (fine && (row = mysql_fetch_row(r))) {
        s->tables = gw_grow(s->tables, &s->table_capacity, s->table_count, sizeof *s->tables);
        struct table *t = &s->tables[s->table_count++];
        *t = (struct table){.seen_batch = UINT64_MAX};
        fine = gw_mysql_layout_open(&t->layout, s->schema, (uint32_t)strtoul(row[0], NULL, 10), row[1], row[2], err);
    }
    mysql_free_result(r);
    return fine;
}

/* What the server says of its columns, at no cost: enough to tell that something was altered. 0: it is not there. */
static bool figure_of(struct gw_mysql_conn *conn, const struct gw_collection *c, uint64_t *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, text = {0};
    MYSQL_RES *r;
    *out = 0;
    gw_buf_adds(&sql, "SELECT * FROM ");
    gw_mysql_add_table(&sql, c);
    gw_buf_adds(&sql, " LIMIT 0");
    if (!gw_mysql_query(conn, gw_buf_text(&sql), &r, err))
        return gw_mysql_no_such_table(conn, err);
    for (unsigned i = 0; i < mysql_num_fields(r); i++) {
        const MYSQL_FIELD *f = mysql_fetch_field_direct(r, i);
        gw_buf_addf(&text, "%s %d %lu %u %u\n", f->name, f->type, f->length, f->flags, f->decimals);
    }
    mysql_free_result(r);
    *out = gw_hash64(text.data, text.len, 1) | 1;
    return true;
}

static bool compare_shape(struct gw_mysql_captured *s, struct table *t, struct gw_error *err)
{
    gw_autobuf struct gw_buf difference = {0};
    struct gw_schema now;
    const struct gw_collection *found, *planned = t->layout.collection;
    if (!gw_mysql_shape_now(s->store, planned, &now, &found, err))
        return false;
    free(t->difference);
    t->difference = NULL;
    t->told = false;
    if (!found)
        t->difference = gw_asprintf("%s: the table is gone", gw_collection_label(planned));
    else if (!gw_collection_same_shape(planned, found, &difference))
        t->difference = gw_asprintf("%s: %s", gw_collection_label(planned), gw_buf_text(&difference));
    t->carries_plan = found && gw_mysql_shape_carries(planned, found);
    gw_schema_release(&now);
    return true;
}

/* Once for each batch that has rows of it: what was captured before the batch was cut is as the table was then. */
static bool look_at(struct gw_mysql_captured *s, struct table *t, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    uint64_t figure = 0;
    if (t->seen_batch == s->batch.head.number)
        return true;
    if (!gw_mysql_borrow(s->store, &conn, err))
        return false;
    bool fine = figure_of(conn, t->layout.collection, &figure, err);
    gw_mysql_return(conn, !fine);
    if (fine && (figure == 0 || figure != t->figure))
        fine = compare_shape(s, t, err);
    if (!fine)
        return false;
    t->figure = figure;
    t->seen_batch = s->batch.head.number;
    return true;
}

/* ---- between batches ---------------------------------------------------------------------------------------------- */

/* A TRUNCATE fires no trigger; where there is an AUTO_INCREMENT it goes back. */
static bool look_for_truncates(struct gw_mysql_captured *s, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!gw_mysql_query(s->conn,
                        "SELECT t.rel, i.AUTO_INCREMENT FROM godwit_capture_table t JOIN information_schema.TABLES i ON"
                        " i.TABLE_SCHEMA = DATABASE() AND i.TABLE_NAME = t.name WHERE i.AUTO_INCREMENT IS NOT NULL",
                        &r, err))
        return false;
    while ((row = mysql_fetch_row(r))) {
        struct table *t = find_table(s, (uint32_t)strtoul(row[0], NULL, 10));
        uint64_t next = strtoull(row[1], NULL, 10);
        if (t && next < t->next_number)
            t->told_next = t->next_number;
        if (t)
            t->next_number = next;
    }
    mysql_free_result(r);
    return true;
}

static bool check_if_due(struct gw_mysql_captured *s, struct gw_error *err)
{
    if (gw_mono_us() - s->checked_us < CHECK_EVERY_US)
        return true;
    s->checked_us = gw_mono_us();
    return gw_mysql_capture_check(s->conn, err) && look_for_truncates(s, err);
}

static bool trim(struct gw_mysql_captured *s, struct gw_error *err)
{
    bool more = false;
    if (gw_mysql_capture_trim(s->conn, s->trimmed, TRIM_MOST_US, &more, err)) {
        s->trim_more = more;
        return true;
    }
    s->trim_more = true;
    return err->kind == GW_ERR_RETRY && !s->conn->broken; /* a lock that is not to be had: the next time */
}

static bool source_trim(void *own, uint64_t number, struct gw_error *err)
{
    struct gw_mysql_captured *s = own;
    s->trimmed = number;
    return trim(s, err);
}

/* A look without a lock: nothing that is in no batch that we know of. */
static bool any_new(struct gw_mysql_captured *s, bool *any, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    MYSQL_RES *r;
    MYSQL_ROW row;
    gw_buf_adds(&sql, "SELECT seq FROM godwit_capture WHERE ");
    gw_mysql_runs_outside(&s->seen.known, &sql);
    gw_buf_adds(&sql, " ORDER BY seq LIMIT 1000");
    if (!gw_mysql_query(s->conn, gw_buf_text(&sql), &r, err))
        return false;
    *any = mysql_num_rows(r) == 1000;
    while (!*any && (row = mysql_fetch_row(r)))
        *any = !gw_mysql_runs_have(&s->seen.known, strtoull(row[0], NULL, 10));
    mysql_free_result(r);
    return true;
}

static bool cut(struct gw_mysql_captured *s, struct gw_error *err)
{
    gw_mysql_runs_release(&s->seen.known);
    return gw_mysql_cut(s->conn, &s->seen, err);
}

static bool source_next(void *own, uint64_t number, struct gw_capture_batch *out, bool *got, struct gw_error *err)
{
    struct gw_mysql_captured *s = own;
    bool any = s->seen.newest.head.number != number;
    *got = false;
    if (!check_if_due(s, err))
        return false;
    if (!any) {
        if (!any_new(s, &any, err))
            return false;
        if (!any)
            return !s->trim_more || trim(s, err);
        if (!cut(s, err))
            return false;
        if (s->seen.newest.head.number == number)
            return true;
    }
    struct gw_mysql_batch batch;
    gw_autofree char *which = gw_asprintf("number = %" PRIu64, number + 1);
    if (!ask_batch(s, which, &batch, NULL, got, err))
        return false;
    *out = batch.head;
    return *got || gw_mysql_capture_lost(s->store, err, "batch %" PRIu64 " is gone", number + 1);
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

static void end_rows(struct gw_mysql_captured *s)
{
    if (!s->rows)
        return;
    gw_mysql_enter(s->conn);
    mysql_free_result(s->rows);
    s->rows = NULL;
}

static bool source_read(void *own, const struct gw_capture_batch *batch, uint64_t last, struct gw_error *err)
{
    struct gw_mysql_captured *s = own;
    bool found;
    gw_autofree char *which = gw_asprintf("number = %" PRIu64, batch->number);
    end_rows(s);
    if (!ask_batch(s, which, &s->batch, &s->runs, &found, err))
        return false;
    s->range_at = 0;
    s->pending = false;
    s->ours_due = found && s->batch.ours && last < LAST_OF_OURS;
    if (found && s->batch.ours && s->batch.head.transactions == 1)
        s->range_at = s->runs.count; /* nothing in it but what says so */
    return found || gw_mysql_capture_lost(s->store, err, "batch %" PRIu64 " is gone", batch->number);
}

static bool ask_rows(struct gw_mysql_captured *s, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT seq, rel, op, was, image FROM godwit_capture WHERE ");
    for (size_t i = 0; i < RANGES && s->range_at < s->runs.count; i++, s->range_at++)
        gw_buf_addf(&sql, "%sseq BETWEEN %" PRIu64 " AND %" PRIu64, i ? " OR " : "", s->runs.items[s->range_at].from,
                    s->runs.items[s->range_at].to);
    gw_buf_adds(&sql, " ORDER BY seq");
    return gw_mysql_stream(s->conn, &sql, &s->rows, err);
}

/* *row NULL: the batch is at its end. */
static bool fetch(struct gw_mysql_captured *s, MYSQL_ROW *row, struct gw_error *err)
{
    *row = NULL;
    for (;;) {
        if (!s->rows && s->range_at == s->runs.count)
            return true;
        if (!s->rows && !ask_rows(s, err))
            return false;
        gw_mysql_enter(s->conn);
        *row = mysql_fetch_row(s->rows);
        if (*row)
            return true;
        bool fine = gw_mysql_rows_ended(s->conn, err);
        end_rows(s);
        if (!fine)
            return false;
    }
}

static struct gw_cursor cursor_of(const char *bytes, unsigned long len)
{
    return gw_cursor_of(bytes ? bytes : "", bytes ? len : 0);
}

static void tell_schema(struct gw_mysql_captured *s, const struct table *t, const char *text, bool carries_plan)
{
    s->row.change = (struct gw_change){
        .kind = GW_CHANGE_SCHEMA, .collection = t->layout.collection->id, .text = text, .carries_plan = carries_plan};
}

static void tell(struct gw_mysql_captured *s, const struct table *t, const char *what)
{
    gw_buf_clear(&s->text);
    gw_buf_addf(&s->text, "%s: %s", gw_collection_label(t->layout.collection), what);
    tell_schema(s, t, gw_buf_text(&s->text), false);
}

static bool make_row(struct gw_mysql_captured *s, struct table *t, char op, MYSQL_ROW row, const unsigned long *lengths,
                     struct gw_error *err)
{
    if (!look_at(s, t, err))
        return false;
    gw_arena_reset(&s->arena);
    if (op == 'X' || (op != 'D' && !row[4])) {
        tell(s, t,
             "a row could not be written down when it was changed: a column is gone, or the row is larger than"
             " max_allowed_packet");
        return true;
    }
    if (t->difference && !t->carries_plan) {
        tell_schema(s, t, t->difference, false);
        return true;
    }
    if (!gw_mysql_layout_row(&t->layout, op, cursor_of(row[3], lengths[3]), cursor_of(row[4], lengths[4]), &s->arena,
                             &s->row.change))
        return gw_fail(err, GW_ERR_CONFLICT, "a captured row of %s cannot be read",
                       gw_collection_label(t->layout.collection));
    if (t->difference && !t->told) {
        t->told = true;
        s->pending = true;
        s->pending_change = s->row.change;
        tell_schema(s, t, t->difference, true);
    }
    return true;
}

/* With the signal that comes next: one is written whenever something depends on what the stream has told. */
static void tell_truncate(struct gw_mysql_captured *s)
{
    for (size_t i = 0; i < s->table_count; i++) {
        struct table *t = &s->tables[i];
        if (!t->told_next || !t->layout.collection)
            continue;
        t->told_next = 0;
        s->pending = true;
        s->pending_change = s->row.change;
        gw_buf_clear(&s->note);
        gw_buf_addf(&s->note, "%s: its AUTO_INCREMENT went back: it was truncated or made anew, which fires no trigger",
                    gw_collection_label(t->layout.collection));
        tell_schema(s, t, gw_buf_text(&s->note), false);
        return;
    }
}

static bool make_change(struct gw_mysql_captured *s, MYSQL_ROW row, struct gw_error *err)
{
    const unsigned long *lengths = mysql_fetch_lengths(s->rows);
    struct table *t = find_table(s, (uint32_t)strtoul(row[1], NULL, 10));
    s->row = (struct gw_capture_row){.transaction = 2 * s->batch.head.number + 1,
                                     .last = LAST_OF_OTHERS,
                                     .seq = LAST_OF_OURS + strtoull(row[0], NULL, 10),
                                     .wall_us = s->batch.wall_us};
    if (*row[2] == 'S') {
        gw_buf_clear(&s->text);
        gw_buf_add(&s->text, row[4] ? row[4] : "", row[4] ? lengths[4] : 0);
        s->row.change = (struct gw_change){.kind = GW_CHANGE_SIGNAL, .text = gw_buf_text(&s->text)};
        tell_truncate(s);
        return true;
    }
    return !t || !t->layout.collection || make_row(s, t, *row[2], row, lengths, err);
}

static bool source_row(void *own, struct gw_capture_row *out, bool *got, struct gw_error *err)
{
    struct gw_mysql_captured *s = own;
    MYSQL_ROW row;
    *got = true;
    if (s->ours_due) {
        s->ours_due = false;
        *out = (struct gw_capture_row){.transaction = 2 * s->batch.head.number,
                                       .last = LAST_OF_OURS,
                                       .seq = LAST_OF_OURS,
                                       .wall_us = s->batch.wall_us,
                                       .ours = true};
        return true;
    }
    if (s->pending) {
        s->pending = false;
        s->row.change = s->pending_change;
        *out = s->row;
        return true;
    }
    do {
        if (!fetch(s, &row, err))
            return false;
    } while (row && *row[2] == 'O');
    *got = row != NULL;
    if (!row)
        return true;
    if (!make_change(s, row, err))
        return gw_error_place(err, "%s %s", gw_side_name(s->store->base.side), s->store->base.identity.address);
    *out = s->row;
    return true;
}

static const struct gw_capture_source source = {
    .oldest = source_oldest,
    .find = source_find,
    .next = source_next,
    .read = source_read,
    .row = source_row,
    .trim = source_trim,
};

/* ---- the facet's calls -------------------------------------------------------------------------------------------- */

/* Rows are deleted one by one, with no lock on what is between them. */
static const char settings_sql[] = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
                                   "SET SESSION innodb_lock_wait_timeout = 5";

static bool open_session(struct gw_mysql_captured *s, struct gw_error *err)
{
    bool there;
    return gw_mysql_connect(s->store, "stream", &s->conn, err) && gw_mysql_capture_there(s->conn, &there, err) &&
           (there || gw_mysql_capture_lost(s->store, err, "what captures changes is not there: dropped by somebody")) &&
           gw_mysql_exec(s->conn, settings_sql, err) && gw_binlog_alone(s->conn, s->lock, err) &&
           gw_mysql_capture_check(s->conn, err) && load_tables(s, err) && look_for_truncates(s, err) && cut(s, err);
}

bool gw_mysql_capture_open(struct gw_mysql_store *store, const struct gw_schema *schema, const struct gw_position *from,
                           struct gw_mysql_captured **out, struct gw_error *err)
{
    struct gw_mysql_captured *s = gw_zalloc(sizeof *s);
    gw_autofree char *where = gw_asprintf("%s %s", gw_side_name(store->base.side), store->base.identity.address);
    s->head.captured = s->trim_more = true;
    s->store = store;
    s->schema = schema;
    s->checked_us = gw_mono_us();
    gw_mysql_stream_lock(store, s->lock);
    if (!open_session(s, err) || !gw_capture_open(&source, s, where, store->cancel, from, &s->core, err)) {
        gw_mysql_capture_close(s);
        return false;
    }
    *out = s;
    return true;
}

void gw_mysql_capture_close(struct gw_mysql_captured *s)
{
    if (!s)
        return;
    gw_capture_close(s->core);
    if (s->rows)
        s->rows->handle = NULL; /* the rest is not waited for: the connection ends */
    if (s->rows)
        mysql_free_result(s->rows);
    gw_mysql_close(s->conn);
    for (size_t i = 0; i < s->table_count; i++) {
        gw_mysql_layout_release(&s->tables[i].layout);
        free(s->tables[i].difference);
    }
    free(s->tables);
    gw_mysql_runs_release(&s->seen.known);
    gw_mysql_runs_release(&s->runs);
    gw_arena_release(&s->arena);
    gw_buf_release(&s->text);
    gw_buf_release(&s->note);
    free(s);
}

bool gw_mysql_capture_next(struct gw_mysql_captured *s, int timeout_ms, struct gw_change *change, bool *got,
                           struct gw_error *err)
{
    return gw_capture_next(s->core, timeout_ms, change, got, err);
}

bool gw_mysql_capture_acknowledge(struct gw_mysql_captured *s, const struct gw_position *position, struct gw_error *err)
{
    return gw_capture_acknowledge(s->core, position, err);
}

bool gw_mysql_capture_retained(struct gw_mysql_store *store, struct gw_retained *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf bytes = {0};
    struct gw_mysql_conn *conn;
    char lock[64];
    bool found = false, held = false;
    gw_mysql_stream_lock(store, lock);
    if (!gw_mysql_borrow(store, &conn, err))
        return false;
    bool fine = gw_mysql_query_text(conn,
                                    "SELECT DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
                                    " AND TABLE_NAME = 'godwit_capture'",
                                    &bytes, &found, err) &&
                gw_binlog_lock_held(conn, lock, &held, err);
    gw_mysql_return(conn, !fine);
    if (!fine)
        return false;
    *out = (struct gw_retained){.bytes = found ? strtoll(gw_buf_text(&bytes), NULL, 10) : -1,
                                .limit_bytes = -1,
                                .lost = !found,
                                .reader_attached = held};
    return true;
}
