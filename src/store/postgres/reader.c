/* Chunks out: a short transaction each, COPY frames passed on as the server gives them. */
#include "store/postgres/reader.h"

#include "base/crash.h"
#include "base/mem.h"
#include "store/postgres/keys.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 65536
#define TOAST_WORTH_A_LOOK_BYTES 65536 /* with less out of line no value can be big, not even a compressed one */
#define COPY_HEADER_BYTES 19

/* ---- session --------------------------------------------------------------------------------------------------- */

static void reader_close(struct gw_reader *reader)
{
    struct gw_pg_reader *r = gw_pg_reader_of(reader);
    if (!r)
        return;
    gw_pg_slices_free(r->slices);
    gw_buf_release(&r->block);
    gw_arena_release(&r->arena);
    PQclear(r->refetched);
    PQfreemem(r->held);
    PQfinish(r->conn);
    free(r);
}

static bool refuse_standby(struct gw_pg_store *store, struct gw_error *err)
{
    gw_fail(err, GW_ERR_UNSUPPORTED, "server is a standby: its snapshots do not match the stream");
    gw_error_hint(err, "give the address of the primary");
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

/* A chunk is a key range: its index is always the way, however old the statistics are. */
static const char session_sql[] = "SET enable_seqscan = off; SET enable_sort = off; SET enable_incremental_sort = off;"
                                  "SET max_parallel_workers_per_gather = 0";

static bool reader_open(struct gw_store *base, struct gw_reader **out, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    if (base->identity.in_recovery)
        return refuse_standby(store, err);
    struct gw_pg_reader *r = gw_zalloc(sizeof *r);
    r->store = store;
    if (!gw_pg_connect(store, GW_PG_PLAIN, "copy", &r->conn, err) || !gw_pg_exec(store, r->conn, session_sql, err)) {
        reader_close((struct gw_reader *)r);
        return false;
    }
    r->slices = gw_pg_slices_new(store, r->conn);
    *out = (struct gw_reader *)r;
    return true;
}

/* ---- transaction ----------------------------------------------------------------------------------------------- */

static void describe_shape(const struct gw_collection *c, struct gw_buf *out)
{
    for (size_t i = 0; i < c->column_count; i++)
        gw_buf_addf(out, "%s%s %s%s", i ? "\n" : "", c->columns[i].name, c->columns[i].type,
                    c->columns[i].generated ? " generated" : "");
}

/* A column retyped since it was planned could pass as frames of the same size: integer for real, silently wrong. */
static bool check_shape(struct gw_pg_reader *r, const struct gw_collection *c, const char *now, struct gw_error *err)
{
    gw_autobuf struct gw_buf planned = {0};
    describe_shape(c, &planned);
    if (strcmp(gw_buf_text(&planned), now) == 0)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "the columns of %s changed since it was planned", gw_collection_label(c));
    gw_error_detail(err, "planned: %s; now: %s", gw_buf_text(&planned), now);
    gw_error_hint(err, "make the same change on the other side, or abort and begin anew");
    return gw_error_place(err, "%s %s", gw_side_name(r->store->base.side), r->store->base.identity.address);
}

static void add_enter_sql(const struct gw_collection *c, struct gw_buf *sql)
{
    gw_autobuf struct gw_buf table = {0};
    gw_autobuf struct gw_buf literal = {0};
    gw_pg_add_table(&table, c);
    gw_pg_add_literal(&literal, gw_buf_text(&table));
    /* LOCK takes no snapshot: the first one is the mark's, and it sees all that we waited for. */
    gw_buf_addf(sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ONLY %s IN ACCESS SHARE MODE;",
                gw_buf_text(&table));
    gw_buf_addf(sql,
                "SELECT pg_current_snapshot(), pg_is_in_recovery(),"
                " (SELECT coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0) FROM pg_class c"
                "  WHERE c.oid = %s::regclass),"
                " (SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ||"
                "    CASE WHEN a.attgenerated <> '' THEN ' generated' ELSE '' END, E'\\n' ORDER BY a.attnum)"
                "  FROM pg_attribute a WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped)",
                gw_buf_text(&literal), gw_buf_text(&literal));
}

bool gw_pg_reader_enter(struct gw_pg_reader *r, const struct gw_collection *c, struct gw_mark *mark,
                        int64_t *toast_bytes, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    PGresult *result;
    struct gw_mark got = {0};
    if (r->in_transaction)
        return gw_fail(err, GW_ERR_BUG, "a chunk is begun while another is open");
    GW_CRASH_POINT("reader.before_lock");
    add_enter_sql(c, &sql);
    r->in_transaction = true;
    if (!gw_pg_query(r->store, r->conn, gw_buf_text(&sql), 0, NULL, &result, err))
        return false;
    bool standby = *PQgetvalue(result, 0, 1) == 't';
    *toast_bytes = strtoll(PQgetvalue(result, 0, 2), NULL, 10);
    bool fine = !standby ? check_shape(r, c, PQgetvalue(result, 0, 3), err) : refuse_standby(r->store, err);
    fine = fine && gw_mark_parse(PQgetvalue(result, 0, 0), &got, err);
    PQclear(result);
    if (fine && !gw_pg_enter_key_schemas(r->store, r->conn, c, err)) {
        gw_mark_release(&got);
        fine = false;
    }
    if (!fine)
        return false;
    GW_CRASH_POINT("reader.after_mark");
    *mark = got;
    return true;
}

bool gw_pg_reader_leave(struct gw_pg_reader *r, struct gw_error *err)
{
    if (!r->in_transaction)
        return true;
    if (!gw_pg_exec(r->store, r->conn, "COMMIT", err))
        return false;
    r->in_transaction = false;
    return true;
}

/* After an error the session is given back its idle state if it can be, so that a refusal does not cost a connection. */
static bool give_up(struct gw_pg_reader *r)
{
    struct gw_error ignored;
    if (r->in_transaction && PQtransactionStatus(r->conn) != PQTRANS_ACTIVE && PQstatus(r->conn) == CONNECTION_OK &&
        gw_pg_exec(r->store, r->conn, "ROLLBACK", &ignored))
        r->in_transaction = false;
    r->state = GW_PG_READ_NOTHING;
    return false;
}

/* ---- chunk ----------------------------------------------------------------------------------------------------- */

static void add_copy(const struct gw_pg_reader *r, const struct gw_collection *c, const struct gw_range *range,
                     struct gw_buf *sql)
{
    bool whole = range->low.count == 0 && range->high.count == 0 && !r->sliced;
    gw_autobuf struct gw_buf columns = {0};
    size_t count = gw_pg_add_columns(&columns, c);
    gw_buf_adds(sql, "COPY ");
    if (whole && count > 0) {
        gw_pg_add_table(sql, c);
        gw_buf_addf(sql, " (%s)", gw_buf_text(&columns));
    } else {
        gw_buf_addf(sql, "(SELECT %s FROM ONLY ", gw_buf_text(&columns));
        gw_pg_add_table(sql, c);
        gw_buf_adds(sql, " t WHERE ");
        gw_pg_add_range(sql, c, range);
        if (r->sliced)
            gw_pg_slices_add_exclusion(r->slices, sql);
        gw_buf_addc(sql, ')');
    }
    gw_buf_addf(sql, " TO STDOUT (FORMAT %s)", c->all_binary_safe ? "binary" : "text");
}

static bool begin_copy(struct gw_pg_reader *r, const struct gw_collection *c, const struct gw_range *range,
                       int64_t toast_bytes, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    size_t big_rows = 0;
    PGresult *result;
    if (toast_bytes >= TOAST_WORTH_A_LOOK_BYTES && !gw_pg_slices_find(r->slices, c, range, &big_rows, err))
        return false;
    r->sliced = big_rows > 0;
    add_copy(r, c, range, &sql);
    if (!gw_pg_query(r->store, r->conn, gw_buf_text(&sql), 0, NULL, &result, err))
        return false;
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    if (status != PGRES_COPY_OUT)
        return gw_fail(err, GW_ERR_BUG, "COPY of %s did not begin", gw_collection_label(c));
    r->state = GW_PG_READ_COPY;
    r->collection = c;
    return true;
}

static bool reader_begin(struct gw_reader *reader, const struct gw_collection *c, const struct gw_range *range,
                         struct gw_mark *mark, struct gw_error *err)
{
    struct gw_pg_reader *r = gw_pg_reader_of(reader);
    struct gw_mark got = {0};
    int64_t toast_bytes = 0;
    if (gw_pg_reader_enter(r, c, &got, &toast_bytes, err) && begin_copy(r, c, range, toast_bytes, err)) {
        *mark = got;
        return true;
    }
    gw_mark_release(&got);
    return give_up(r);
}

/* One row (a message of the protocol) of the COPY; *len 0 at its end. Owned: PQfreemem. */
static bool next_message(struct gw_pg_reader *r, char **row, size_t *len, struct gw_error *err)
{
    *len = 0;
    *row = NULL;
    for (;;) {
        bool ready;
        int got = PQgetCopyData(r->conn, row, 1);
        if (got > 0) {
            *len = (size_t)got;
            return true;
        }
        if (got == -1)
            break;
        if (got == -2)
            return gw_pg_fail(r->store, r->conn, NULL, "reading a chunk", err);
        if (!gw_pg_wait(r->store, r->conn, false, -1, &ready, err))
            return false;
        if (!PQconsumeInput(r->conn))
            return gw_pg_fail(r->store, r->conn, NULL, "reading a chunk", err);
    }
    /* The end of data is no end yet: the command must have ended well. */
    PGresult *result = NULL;
    while (gw_pg_next_result(r->store, r->conn, &result, err)) {
        if (!result)
            return true;
        bool fine = PQresultStatus(result) == PGRES_COMMAND_OK;
        if (!fine)
            gw_pg_fail(r->store, r->conn, result, "reading a chunk", err);
        PQclear(result);
        if (!fine)
            return false;
    }
    return false;
}

/* The trailer comes as a message of its own, behind the header when there was no row; with slices to follow it is
 * taken off. Returns whether this message is one, and leaves in *len what is to be passed on. */
static bool is_trailer(const struct gw_pg_reader *r, const char *row, size_t *len)
{
    static const char trailer[2] = {'\xff', '\xff'};
    if (!r->collection->all_binary_safe || (*len != 2 && *len != COPY_HEADER_BYTES + 2) ||
        memcmp(row + *len - 2, trailer, 2) != 0 || (*len > 2 && memcmp(row, "PGCOPY\n", 7) != 0))
        return false;
    if (r->sliced)
        *len -= 2;
    return true;
}

static bool fill_from_copy(struct gw_pg_reader *r, struct gw_block *block, struct gw_error *err)
{
    gw_buf_shrink(&r->block, BLOCK_BYTES * 4);
    while (r->block.len < BLOCK_BYTES) {
        char *row;
        size_t len;
        if (!next_message(r, &row, &len, err))
            return false;
        if (!row) {
            r->state = r->sliced ? GW_PG_READ_SLICES : GW_PG_READ_DONE;
            break;
        }
        if (!is_trailer(r, row, &len))
            block->rows++;
        if (r->block.len == 0 && len >= BLOCK_BYTES) {
            r->held = row;
            block->bytes = row;
            block->len = len;
            return true;
        }
        gw_buf_add(&r->block, row, len);
        PQfreemem(row);
    }
    block->bytes = r->block.data;
    block->len = r->block.len;
    return true;
}

static bool fill_from_slices(struct gw_pg_reader *r, struct gw_block *block, struct gw_error *err)
{
    if (!gw_pg_slices_next(r->slices, &r->block, &block->rows, err))
        return false;
    if (r->block.len == 0) {
        r->state = GW_PG_READ_DONE;
        if (r->collection->all_binary_safe)
            gw_buf_put16(&r->block, UINT16_MAX);
    }
    block->bytes = r->block.data;
    block->len = r->block.len;
    return true;
}

static bool reader_next(struct gw_reader *reader, struct gw_block *block, struct gw_error *err)
{
    struct gw_pg_reader *r = gw_pg_reader_of(reader);
    struct gw_block got = {0};
    bool fine = true;
    PQfreemem(r->held);
    r->held = NULL;
    while (fine && got.len == 0 && (r->state == GW_PG_READ_COPY || r->state == GW_PG_READ_SLICES))
        fine = r->state == GW_PG_READ_COPY ? fill_from_copy(r, &got, err) : fill_from_slices(r, &got, err);
    if (fine && r->state == GW_PG_READ_NOTHING)
        fine = gw_fail(err, GW_ERR_BUG, "no chunk is open");
    if (!fine)
        return give_up(r);
    *block = got;
    return true;
}

static bool reader_end(struct gw_reader *reader, struct gw_error *err)
{
    struct gw_pg_reader *r = gw_pg_reader_of(reader);
    if (r->state != GW_PG_READ_DONE)
        return gw_fail(err, GW_ERR_BUG, "a chunk is ended before it was read to its end");
    r->state = GW_PG_READ_NOTHING;
    r->collection = NULL;
    return gw_pg_reader_leave(r, err);
}

const struct gw_reader_facet gw_pg_reader = {
    .open = reader_open,
    .close = reader_close,
    .split = gw_pg_reader_split,
    .begin = reader_begin,
    .next = reader_next,
    .end = reader_end,
    .refetch = gw_pg_reader_refetch,
};
