/*
 * The source of a captured stream: batches from godwit.capture_batch, rows by COPY over one connection, one row at a time
 * in memory. The order is the server's: transactions by their largest seq, each one's rows by an index scan, so a
 * transaction of any size needs no sort; store/capture checks it.
 */
#include "store/postgres/capture.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define READER_LOCK "7453610203213"
#define READER_PATIENCE_MS 5000
#define READER_DEAD_S 20 /* a stream asks its source many times a second, or is closed */
#define CHECK_EVERY_US 1000000
#define POSTGRES_EPOCH_US INT64_C(946684800000000)
#define COPY_HEADER_BYTES 19
#define FIELDS 8

#define NOT_TOLD UINT64_MAX
struct table {
    uint32_t rel;
    const struct gw_collection *collection; /* NULL: not in the plan */
    struct gw_pg_shape *shapes;             /* by batch, ascending */
    size_t shape_count, shape_capacity;
    uint64_t told_batch; /* of the shape that the last SCHEMA told of, or NOT_TOLD */
};

struct gw_stream {
    struct gw_pg_stream_head head; /* first */
    struct gw_pg_store *store;
    const struct gw_schema *schema;
    PGconn *conn;
    struct gw_capture_stream *core;

    struct table *tables;
    size_t table_count, table_capacity;

    struct gw_capture_batch batch;
    bool copying, at_header;
    char *message; /* libpq's: values of the row at hand point into it */
    struct gw_capture_row row;
    bool pending; /* SCHEMA was handed out first, the row itself is next */
    struct gw_change pending_change;
    struct gw_value *old_values, *new_values;
    size_t old_capacity, new_capacity;
    struct gw_arena arena;
    struct gw_buf text, known;
    int64_t checked_us;
};

/* ---- batches ------------------------------------------------------------------------------------------------------ */

#define BATCH_COLUMNS "number, before, transactions, stamp"

static void read_batch(const PGresult *r, struct gw_capture_batch *out)
{
    *out = (struct gw_capture_batch){.number = strtoull(PQgetvalue(r, 0, 0), NULL, 10),
                                     .before = strtoull(PQgetvalue(r, 0, 1), NULL, 10),
                                     .transactions = strtoull(PQgetvalue(r, 0, 2), NULL, 10),
                                     .stamp = strtoull(PQgetvalue(r, 0, 3), NULL, 10)};
}

/* A batch by a statement with one parameter at most; *got false: no row. */
static bool ask_batch(struct gw_pg_store *store, PGconn *conn, const char *sql, const uint64_t *number,
                      struct gw_capture_batch *out, bool *got, struct gw_error *err)
{
    char text[24];
    const char *params[1] = {text};
    PGresult *r;
    snprintf(text, sizeof text, "%" PRIu64, number ? *number : 0);
    if (!gw_pg_query(store, conn, sql, number ? 1 : 0, params, &r, err))
        return false;
    *got = PQntuples(r) > 0;
    if (*got)
        read_batch(r, out);
    PQclear(r);
    return true;
}

static bool source_oldest(void *own, struct gw_capture_batch *out, struct gw_error *err)
{
    struct gw_stream *s = own;
    bool got;
    return ask_batch(s->store, s->conn, "SELECT " BATCH_COLUMNS " FROM godwit.capture_batch ORDER BY number LIMIT 1",
                     NULL, out, &got, err) &&
           (got || gw_pg_lost(s->store, err, "the batches of what was captured are gone"));
}

static bool source_find(void *own, uint64_t number, struct gw_capture_batch *out, bool *found, struct gw_error *err)
{
    struct gw_stream *s = own;
    return ask_batch(s->store, s->conn, "SELECT " BATCH_COLUMNS " FROM godwit.capture_batch WHERE number = $1", &number,
                     out, found, err);
}

static bool check_if_due(struct gw_stream *s, struct gw_error *err)
{
    if (gw_mono_us() - s->checked_us < CHECK_EVERY_US)
        return true;
    s->checked_us = gw_mono_us();
    return gw_pg_capture_check(s->store, s->conn, err);
}

static bool source_next(void *own, uint64_t number, struct gw_capture_batch *out, bool *got, struct gw_error *err)
{
    struct gw_stream *s = own;
    return check_if_due(s, err) &&
           ask_batch(s->store, s->conn, "SELECT " BATCH_COLUMNS " FROM godwit.capture_cut($1)", &number, out, got, err);
}

static bool source_trim(void *own, uint64_t number, struct gw_error *err)
{
    struct gw_stream *s = own;
    char text[24];
    const char *params[1] = {text};
    PGresult *r;
    snprintf(text, sizeof text, "%" PRIu64, number);
    if (!gw_pg_query(s->store, s->conn, "SELECT godwit.capture_trim($1)", 1, params, &r, err))
        return false;
    PQclear(r);
    return true;
}

/* ---- tables and their columns -------------------------------------------------------------------------------------- */

static struct table *find_table(struct gw_stream *s, uint32_t rel)
{
    for (size_t i = 0; i < s->table_count; i++)
        if (s->tables[i].rel == rel)
            return &s->tables[i];
    return NULL;
}

static bool load_tables(struct gw_stream *s, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(s->store, s->conn, "SELECT rel, space, name FROM godwit.capture_table", 0, NULL, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++) {
        uint32_t rel = (uint32_t)strtoul(PQgetvalue(r, row, 0), NULL, 10);
        if (find_table(s, rel))
            continue;
        s->tables = gw_grow(s->tables, &s->table_capacity, s->table_count, sizeof *s->tables);
        s->tables[s->table_count++] =
            (struct table){.rel = rel,
                           .collection = gw_schema_find(s->schema, PQgetvalue(r, row, 1), PQgetvalue(r, row, 2)),
                           .told_batch = NOT_TOLD};
    }
    PQclear(r);
    return true;
}

/* All of it, as none can be asked for while rows are being read. */
static bool load_shapes(struct gw_stream *s, struct gw_error *err)
{
    PGresult *r;
    if (!load_tables(s, err) ||
        !gw_pg_query(s->store, s->conn, "SELECT rel, batch, shape FROM godwit.capture_shape ORDER BY rel, batch", 0,
                     NULL, &r, err))
        return false;
    bool fine = true;
    for (int row = 0; fine && row < PQntuples(r); row++) {
        struct table *t = find_table(s, (uint32_t)strtoul(PQgetvalue(r, row, 0), NULL, 10));
        uint64_t batch = strtoull(PQgetvalue(r, row, 1), NULL, 10);
        if (!t || !t->collection || (t->shape_count && t->shapes[t->shape_count - 1].batch >= batch))
            continue;
        t->shapes = gw_grow(t->shapes, &t->shape_capacity, t->shape_count, sizeof *t->shapes);
        fine = gw_pg_shape_parse(PQgetvalue(r, row, 2), t->collection, &t->shapes[t->shape_count], err);
        if (fine)
            t->shapes[t->shape_count++].batch = batch;
    }
    PQclear(r);
    return fine;
}

/* As the cut of this batch saw it, and as the one before did. */
static void shapes_of(const struct table *t, uint64_t batch, const struct gw_pg_shape **before,
                      const struct gw_pg_shape **after)
{
    *before = *after = NULL;
    for (size_t i = 0; i < t->shape_count; i++) {
        if (t->shapes[i].batch < batch)
            *before = &t->shapes[i];
        if (t->shapes[i].batch <= batch)
            *after = &t->shapes[i];
    }
    if (!*before)
        *before = *after;
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

struct snapshots {
    char before_xmax[24], xmax[24];
    struct gw_buf snapshot, before_open, known; /* known: grows when tables or columns do */
};

static bool read_snapshots(struct gw_stream *s, uint64_t number, struct snapshots *out, struct gw_error *err)
{
    char text[24];
    const char *params[1] = {text};
    PGresult *r;
    snprintf(text, sizeof text, "%" PRIu64, number);
    if (!gw_pg_query(s->store, s->conn,
                     "SELECT pg_snapshot_xmax(a.snapshot), b.snapshot, pg_snapshot_xmax(b.snapshot),"
                     " (SELECT coalesce(string_agg(x::text, ','), '') FROM pg_snapshot_xip(a.snapshot) x),"
                     " (SELECT concat(count(*), ' ', max(batch)) FROM godwit.capture_shape) || ' ' ||"
                     " (SELECT count(*) FROM godwit.capture_table)"
                     " FROM godwit.capture_batch a, godwit.capture_batch b WHERE b.number = $1 AND a.number = $1 - 1",
                     1, params, &r, err))
        return false;
    bool found = PQntuples(r) == 1;
    if (found) {
        snprintf(out->before_xmax, sizeof out->before_xmax, "%s", PQgetvalue(r, 0, 0));
        gw_buf_adds(&out->snapshot, PQgetvalue(r, 0, 1));
        snprintf(out->xmax, sizeof out->xmax, "%s", PQgetvalue(r, 0, 2));
        gw_buf_adds(&out->before_open, PQgetvalue(r, 0, 3));
        gw_buf_adds(&out->known, PQgetvalue(r, 0, 4));
    }
    PQclear(r);
    return found || gw_pg_lost(s->store, err, "batch %" PRIu64 " of what was captured is gone", number);
}

/* Two branches, so that each is a scan by index. */
static void add_copy(const struct snapshots *at, uint64_t last, struct gw_buf *sql)
{
    gw_buf_adds(sql, "COPY (WITH wanted AS MATERIALIZED (SELECT xid, seq, at FROM godwit.capture WHERE xid >= '");
    gw_buf_addf(sql, "%s' AND xid < '%s' AND pg_visible_in_snapshot(xid, '%s')", at->before_xmax, at->xmax,
                gw_buf_text(&at->snapshot));
    if (at->before_open.len)
        gw_buf_addf(sql,
                    " UNION ALL SELECT xid, seq, at FROM godwit.capture WHERE xid = ANY (ARRAY(SELECT x FROM"
                    " unnest('{%s}'::xid8[]) x WHERE pg_visible_in_snapshot(x, '%s')))",
                    gw_buf_text(&at->before_open), gw_buf_text(&at->snapshot));
    gw_buf_adds(sql,
                ") SELECT c.xid, t.last, t.at, c.seq, c.rel, c.op, c.old, c.new FROM (SELECT xid, max(seq) AS last,"
                " max(at) AS at FROM wanted GROUP BY xid");
    gw_buf_addf(sql, " HAVING max(seq) > %" PRIu64, last);
    gw_buf_adds(sql, " ORDER BY 2) t CROSS JOIN LATERAL (SELECT * FROM godwit.capture c WHERE c.xid = t.xid"
                     " ORDER BY c.seq) c) TO STDOUT (FORMAT binary)");
}

static bool begin_copy(struct gw_stream *s, uint64_t last, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct snapshots at = {0};
    PGresult *r = NULL;
    bool fine = read_snapshots(s, s->batch.number, &at, err);
    if (fine && strcmp(gw_buf_text(&at.known), gw_buf_text(&s->known)) != 0) {
        fine = load_shapes(s, err);
        gw_buf_clear(&s->known);
        gw_buf_adds(&s->known, gw_buf_text(&at.known));
    }
    if (fine) {
        add_copy(&at, last, &sql);
        fine = gw_pg_query(s->store, s->conn, gw_buf_text(&sql), 0, NULL, &r, err);
    }
    gw_buf_release(&at.snapshot);
    gw_buf_release(&at.before_open);
    gw_buf_release(&at.known);
    if (!fine)
        return gw_error_prefix(err, "reading captured rows");
    s->copying = s->at_header = PQresultStatus(r) == PGRES_COPY_OUT;
    PQclear(r);
    return s->copying || gw_fail(err, GW_ERR_BUG, "the source did not begin to send captured rows");
}

static bool source_read(void *own, const struct gw_capture_batch *batch, uint64_t last, struct gw_error *err)
{
    struct gw_stream *s = own;
    s->batch = *batch;
    s->pending = false;
    return begin_copy(s, last, err);
}

/* The next message of the COPY; *len 0: it is at its end. */
static bool read_message(struct gw_stream *s, size_t *len, struct gw_error *err)
{
    *len = 0;
    PQfreemem(s->message);
    s->message = NULL;
    for (;;) {
        bool ready;
        int got = PQgetCopyData(s->conn, &s->message, 1);
        if (got > 0) {
            *len = (size_t)got;
            return true;
        }
        if (got < 0)
            break;
        if (!gw_pg_wait(s->store, s->conn, false, -1, &ready, err))
            return false;
        if (!PQconsumeInput(s->conn))
            return gw_pg_fail(s->store, s->conn, NULL, "reading captured rows", err);
    }
    bool fine = true;
    for (PGresult *r = PQgetResult(s->conn); r; r = PQgetResult(s->conn)) {
        if (PQresultStatus(r) != PGRES_COMMAND_OK && fine)
            fine = gw_pg_fail(s->store, s->conn, r, "reading captured rows", err);
        PQclear(r);
    }
    s->copying = false;
    return fine;
}

struct field {
    const unsigned char *bytes; /* NULL: SQL NULL */
    uint32_t len;
};

static bool malformed(struct gw_error *err)
{
    return gw_fail(err, GW_ERR_BUG, "malformed captured row from the source");
}

/* *end: this message was the trailer. */
static bool split(struct gw_stream *s, size_t len, struct field fields[FIELDS], bool *end, struct gw_error *err)
{
    struct gw_cursor in = gw_cursor_of(s->message, len);
    if (s->at_header)
        (void)gw_cursor_bytes(&in, COPY_HEADER_BYTES);
    s->at_header = false;
    uint16_t count = gw_cursor_u16(&in);
    *end = count == UINT16_MAX;
    if (*end)
        return true;
    if (in.bad || count != FIELDS)
        return malformed(err);
    for (int i = 0; i < FIELDS; i++) {
        uint32_t size = gw_cursor_u32(&in);
        fields[i] = (struct field){0};
        if (size == UINT32_MAX)
            continue;
        fields[i] = (struct field){.bytes = gw_cursor_bytes(&in, size), .len = size};
        if (!fields[i].bytes)
            return malformed(err);
    }
    return !in.bad || malformed(err);
}

/* ---- rows to changes ----------------------------------------------------------------------------------------------- */

static void tell_schema(struct gw_stream *s, const struct table *t, const char *text, bool carries_plan)
{
    s->row.change = (struct gw_change){
        .kind = GW_CHANGE_SCHEMA, .collection = t->collection->id, .text = text, .carries_plan = carries_plan};
}

static struct gw_row row_of(const struct table *t, struct gw_value *values)
{
    return (struct gw_row){.count = (uint32_t)t->collection->column_count, .values = values};
}

static bool decode(struct gw_stream *s, const struct table *t, const struct gw_pg_shape *shape, char op,
                   const struct field *field, bool is_old, struct gw_value *values)
{
    struct gw_cursor in = gw_cursor_of(field->bytes, field->len);
    if (op == 'i' || op == 'u' || op == 'd')
        return gw_pg_shape_text(shape, t->collection, in, &s->arena, values);
    if (is_old && t->collection->key_count)
        return gw_pg_shape_key(t->collection, in, values);
    return gw_pg_shape_binary(shape, t->collection, in, values);
}

static bool key_changed(const struct gw_collection *c, const struct gw_value *old, const struct gw_value *new)
{
    for (size_t k = 0; k < c->key_count; k++)
        if (!gw_value_equal(&old[c->key[k]], &new[c->key[k]]))
            return true;
    return c->key_count == 0;
}

/* A whole old row (as text) of a table with a key: what is not of the key is left out, as the log does. */
static void keep_key(const struct gw_collection *c, struct gw_value *values)
{
    for (size_t i = 0; i < c->column_count && c->key_count; i++)
        if (c->columns[i].key_position == 0)
            values[i] = (struct gw_value){.kind = GW_VALUE_ABSENT};
}

/* False: the row is not of this shape. */
static bool try_shape(struct gw_stream *s, const struct table *t, const struct gw_pg_shape *shape, char op,
                      const struct field *old, const struct field *new)
{
    struct gw_change change = {.collection = t->collection->id};
    gw_arena_reset(&s->arena);
    if ((old->bytes && !decode(s, t, shape, op, old, true, s->old_values)) ||
        (new->bytes && !decode(s, t, shape, op, new, false, s->new_values)))
        return false;
    switch (op) {
    case 'I':
    case 'i':
        change.kind = GW_CHANGE_INSERT;
        break;
    case 'U':
    case 'u':
        change.kind = GW_CHANGE_UPDATE;
        break;
    default:
        change.kind = GW_CHANGE_DELETE;
        break;
    }
    if (new->bytes)
        change.row = row_of(t, s->new_values);
    if (old->bytes && (!new->bytes || key_changed(t->collection, s->old_values, s->new_values))) {
        keep_key(t->collection, s->old_values);
        change.old = row_of(t, s->old_values);
    }
    s->row.change = change;
    return true;
}

/* Which shape a row has between two cuts that saw different ones: the one it fits; both, if they are the same columns
 * under other names. Else nobody can tell. */
static const struct gw_pg_shape *shape_of_row(struct gw_stream *s, const struct table *t, char op,
                                              const struct field *old, const struct field *new)
{
    const struct gw_pg_shape *before, *after;
    shapes_of(t, s->batch.number, &before, &after);
    if (!after)
        return NULL;
    bool fits_before = before != after && try_shape(s, t, before, op, old, new);
    bool key_only = !new->bytes && t->collection->key_count;
    if (!try_shape(s, t, after, op, old, new))
        return fits_before && try_shape(s, t, before, op, old, new) ? before : NULL;
    return !fits_before || key_only || gw_pg_shape_same_numbers(before, after) ? after : NULL;
}

static void make_row(struct gw_stream *s, struct table *t, char op, const struct field *old, const struct field *new)
{
    size_t width = t->collection->column_count + 1;
    s->old_values = gw_grow(s->old_values, &s->old_capacity, width, sizeof *s->old_values);
    s->new_values = gw_grow(s->new_values, &s->new_capacity, width, sizeof *s->new_values);
    const struct gw_pg_shape *shape = op == 'X' ? NULL : shape_of_row(s, t, op, old, new);
    gw_buf_clear(&s->text);
    if (op == 'X') {
        gw_buf_addf(&s->text, "%s: a row could not be written down when it was changed (SQLSTATE %.*s)",
                    gw_collection_label(t->collection), (int)new->len, (const char *)new->bytes);
        tell_schema(s, t, gw_buf_text(&s->text), false);
    } else if (!shape) {
        gw_buf_addf(&s->text,
                    "%s: a row was changed in between two changes of the table's columns, and which value"
                    " belongs to which column is not known",
                    gw_collection_label(t->collection));
        tell_schema(s, t, gw_buf_text(&s->text), false);
    } else if (shape->same) {
        t->told_batch = NOT_TOLD;
    } else if (t->told_batch != shape->batch) {
        t->told_batch = shape->batch;
        s->pending = true;
        s->pending_change = s->row.change;
        tell_schema(s, t, shape->difference, shape->only_more);
    }
}

static bool make_signal(struct gw_stream *s, const struct field *new)
{
    gw_buf_clear(&s->text);
    gw_buf_add(&s->text, new->bytes ? new->bytes : (const unsigned char *)"", new->len);
    s->row.change = (struct gw_change){.kind = GW_CHANGE_SIGNAL, .text = gw_buf_text(&s->text)};
    return true;
}

static bool make_change(struct gw_stream *s, const struct field fields[FIELDS], struct gw_error *err)
{
    for (int i = 0; i <= 5; i++)
        if (!fields[i].bytes || fields[i].len != (i == 4 ? 4 : i == 5 ? 1 : 8))
            return malformed(err);
    s->row = (struct gw_capture_row){.transaction = gw_get64(fields[0].bytes),
                                     .last = gw_get64(fields[1].bytes),
                                     .wall_us = (int64_t)gw_get64(fields[2].bytes) + POSTGRES_EPOCH_US,
                                     .seq = gw_get64(fields[3].bytes)};
    struct table *t = find_table(s, gw_get32(fields[4].bytes));
    char op = (char)*fields[5].bytes;
    const struct field *old = &fields[6], *new = &fields[7];
    switch (op) {
    case 'O':
        s->row.ours = true;
        return true;
    case 'S':
        return make_signal(s, new);
    case 'T':
        if (t && t->collection)
            s->row.change = (struct gw_change){.kind = GW_CHANGE_TRUNCATE, .collection = t->collection->id};
        return true;
    default:
        if (!strchr("IUDiudX", op) || (!new->bytes && (op == 'X' || !old->bytes)))
            return malformed(err);
        if (t && t->collection)
            make_row(s, t, op, old, new);
        return true;
    }
}

static bool source_row(void *own, struct gw_capture_row *out, bool *got, struct gw_error *err)
{
    struct gw_stream *s = own;
    struct field fields[FIELDS];
    size_t len;
    bool end = false;
    *got = true;
    if (s->pending) {
        s->pending = false;
        s->row.change = s->pending_change;
        *out = s->row;
        return true;
    }
    while (!end) {
        if (!read_message(s, &len, err))
            return false;
        if (len == 0)
            break;
        if (!split(s, len, fields, &end, err))
            return false;
        if (!end) {
            if (!make_change(s, fields, err))
                return gw_error_place(err, "%s %s", gw_side_name(s->store->base.side), s->store->base.identity.address);
            *out = s->row;
            return true;
        }
    }
    *got = false;
    return !end || (read_message(s, &len, err) && (len == 0 || malformed(err)));
}

static const struct gw_capture_source source = {
    .oldest = source_oldest,
    .find = source_find,
    .next = source_next,
    .read = source_read,
    .row = source_row,
    .trim = source_trim,
};

/* ---- one reader ---------------------------------------------------------------------------------------------------- */

/* Who holds the lock: its pid, whether it is of this process, and how long it has done nothing. */
static const char reader_sql[] =
    "SELECT l.pid, a.application_name = $1, coalesce(extract(epoch FROM clock_timestamp() - a.state_change), 0) > $2"
    " FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (l.classid::bigint << 32 | l.objid::bigint) = " READER_LOCK " AND l.objsubid = 1";

static bool try_lock(struct gw_stream *s, bool *had, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    if (!gw_pg_query_text(s->store, s->conn, "SELECT pg_try_advisory_lock(" READER_LOCK ")", 0, NULL, &text, NULL, err))
        return false;
    *had = *gw_buf_text(&text) == 't';
    return true;
}

/* A session of this process is a lingering one: the newer takes its place. So it does with one that has done nothing
 * for long: whoever reads asks many times a second. */
static bool end_reader(struct gw_stream *s, int *pid, struct gw_error *err)
{
    char mine[64], dead[16];
    const char *params[2] = {mine, dead};
    PGresult *r;
    snprintf(mine, sizeof mine, "godwit %s", gw_pg_stream_name());
    snprintf(dead, sizeof dead, "%d", READER_DEAD_S);
    if (!gw_pg_query(s->store, s->conn, reader_sql, 2, params, &r, err))
        return false;
    *pid = PQntuples(r) > 0 ? (int)strtol(PQgetvalue(r, 0, 0), NULL, 10) : 0;
    bool end = *pid && (*PQgetvalue(r, 0, 1) == 't' || *PQgetvalue(r, 0, 2) == 't');
    PQclear(r);
    if (!end)
        return true;
    gw_autofree char *sql = gw_asprintf("SELECT pg_terminate_backend(%d)", *pid);
    if (!gw_pg_query(s->store, s->conn, sql, 0, NULL, &r, err))
        return false;
    PQclear(r);
    return true;
}

static bool lock_reader(struct gw_stream *s, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)READER_PATIENCE_MS * 1000;
    bool had = false;
    int pid = 0;
    for (;;) {
        if (!try_lock(s, &had, err))
            return false;
        if (had)
            return true;
        if (gw_left_ms(deadline_us) == 0)
            break;
        if (!end_reader(s, &pid, err))
            return false;
        if (gw_cancel_wait(s->store->cancel, 20))
            return gw_cancel_fail(s->store->cancel, err);
    }
    gw_fail(err, GW_ERR_CONFLICT, "what is captured on %s is being read by another session (pid %d on the server)",
            gw_side_name(s->store->base.side), pid);
    gw_error_hint(err, "another godwit runs this migration: stop it, or let it do the work");
    return gw_error_place(err, "%s %s", gw_side_name(s->store->base.side), s->store->base.identity.address);
}

/* ---- the facet's calls ---------------------------------------------------------------------------------------------- */

/* A plan made on no statistics must find its rows by index. */
static const char settings_sql[] =
    "SET synchronous_commit = on;SET enable_seqscan = off;SET enable_bitmapscan = off;SET enable_hashjoin = off;"
    "SET enable_mergejoin = off;SET max_parallel_workers_per_gather = 0";

static bool open_session(struct gw_stream *s, struct gw_error *err)
{
    bool there;
    return gw_pg_connect(s->store, GW_PG_PLAIN, gw_pg_stream_name(), &s->conn, err) &&
           gw_pg_capture_there(s->store, s->conn, &there, err) &&
           (there || gw_pg_lost(s->store, err, "what captures changes is not there: dropped by somebody")) &&
           gw_pg_exec(s->store, s->conn, settings_sql, err) && lock_reader(s, err) &&
           gw_pg_capture_check(s->store, s->conn, err);
}

bool gw_pg_capture_open(struct gw_pg_store *store, const struct gw_schema *schema, const struct gw_position *from,
                        struct gw_stream **out, struct gw_error *err)
{
    struct gw_stream *s = gw_zalloc(sizeof *s);
    gw_autofree char *where = gw_asprintf("%s %s", gw_side_name(store->base.side), store->base.identity.address);
    s->head.captured = true;
    s->store = store;
    s->schema = schema;
    if (!open_session(s, err) || !gw_capture_open(&source, s, where, store->cancel, from, &s->core, err)) {
        gw_pg_capture_close(s);
        return false;
    }
    *out = s;
    return true;
}

void gw_pg_capture_close(struct gw_stream *s)
{
    if (!s)
        return;
    gw_capture_close(s->core);
    PQfreemem(s->message);
    PQfinish(s->conn);
    for (size_t i = 0; i < s->table_count; i++) {
        for (size_t k = 0; k < s->tables[i].shape_count; k++)
            gw_pg_shape_release(&s->tables[i].shapes[k]);
        free(s->tables[i].shapes);
    }
    free(s->tables);
    free(s->old_values);
    free(s->new_values);
    gw_arena_release(&s->arena);
    gw_buf_release(&s->text);
    gw_buf_release(&s->known);
    free(s);
}

bool gw_pg_capture_next(struct gw_stream *s, int timeout_ms, struct gw_change *change, bool *got, struct gw_error *err)
{
    return gw_capture_next(s->core, timeout_ms, change, got, err);
}

bool gw_pg_capture_acknowledge(struct gw_stream *s, const struct gw_position *position, struct gw_error *err)
{
    return gw_capture_acknowledge(s->core, position, err);
}

/* Where capture is not open, as on a side that is not followed yet, there is no end: any place will do, as long as nobody
 * took away what was open. */
static bool end_without(struct gw_pg_store *store, PGconn *conn, struct gw_capture_batch *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf note = {0};
    bool noted;
    *out = (struct gw_capture_batch){.before = GW_CAPTURE_FIRST};
    if (!gw_pg_query_text(store, conn, "SELECT json FROM godwit.note WHERE name = '" GW_PG_CAPTURE_NOTE "'", 0, NULL,
                          &note, &noted, err))
        return false;
    return !noted || gw_pg_lost(store, err, "what captures changes is not there: dropped by somebody");
}

bool gw_pg_capture_horizon(struct gw_pg_store *store, struct gw_position *out, struct gw_error *err)
{
    struct gw_capture_batch batch;
    bool there = false, got = false;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_capture_there(store, conn, &there, err) &&
                (!there || ask_batch(store, conn, "SELECT " BATCH_COLUMNS " FROM godwit.capture_end()", NULL, &batch,
                                     &got, err)) &&
                (got || end_without(store, conn, &batch, err));
    gw_pg_return(store, conn, !fine);
    if (fine)
        gw_capture_end(&batch, out);
    return fine;
}

bool gw_pg_capture_retained(struct gw_pg_store *store, struct gw_retained *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf bytes = {0}, reader = {0};
    bool there = false, found = false, read = false;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine =
        gw_pg_capture_there(store, conn, &there, err) &&
        (!there || (gw_pg_query_text(store, conn,
                                     "SELECT pg_total_relation_size('godwit.capture_1') +"
                                     " pg_total_relation_size('godwit.capture_2')"
                                     " WHERE EXISTS (SELECT FROM godwit.capture_batch)",
                                     0, NULL, &bytes, &found, err) &&
                    gw_pg_query_text(store, conn,
                                     "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
                                     " (SELECT oid FROM pg_database WHERE datname = current_database())"
                                     " AND (classid::bigint << 32 | objid::bigint) = " READER_LOCK,
                                     0, NULL, &reader, &read, err)));
    gw_pg_return(store, conn, !fine);
    if (!fine)
        return false;
    *out = (struct gw_retained){.bytes = found ? strtoll(gw_buf_text(&bytes), NULL, 10) : -1,
                                .limit_bytes = -1,
                                .lost = !found,
                                .reader_attached = read};
    return true;
}
