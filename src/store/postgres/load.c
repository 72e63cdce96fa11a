/* Chunks in: the checkpoint's row first, the rows by COPY as they come, both in one transaction. */
#include "store/postgres/keys.h"
#include "store/postgres/writer.h"

#include "base/crash.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define PUT_BYTES 65536 /* what libpq may hold before the socket has to take it */

/* Which error came first is what counts; the session is of no use any more if it hangs in a COPY. */
static bool fail_load(struct gw_pg_writer *w)
{
    gw_pg_writer_rollback(w);
    return false;
}

static void add_checkpoint_sql(const struct gw_checkpoint *checkpoint, struct gw_buf *sql)
{
    gw_autobuf struct gw_buf low = {0};
    gw_autobuf struct gw_buf high = {0};
    gw_autobuf struct gw_buf mark = {0};
    gw_bound_format(&checkpoint->range.low, &low);
    gw_bound_format(&checkpoint->range.high, &high);
    gw_mark_format(&checkpoint->mark, &mark);
    gw_buf_addf(sql, "INSERT INTO godwit.chunk (id, collection, low, high, mark, rows, bytes) VALUES (%llu, %u, ",
                (unsigned long long)checkpoint->chunk, checkpoint->collection);
    gw_pg_add_literal(sql, gw_buf_text(&low));
    gw_buf_adds(sql, ", ");
    gw_pg_add_literal(sql, gw_buf_text(&high));
    gw_buf_adds(sql, ", ");
    gw_pg_add_literal(sql, gw_buf_text(&mark));
    gw_buf_addf(sql, ", %llu, %llu) ON CONFLICT (id) DO NOTHING RETURNING 1", (unsigned long long)checkpoint->rows,
                (unsigned long long)checkpoint->bytes);
}

static bool write_checkpoint(struct gw_pg_writer *w, const struct gw_checkpoint *checkpoint, bool *already,
                             struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    PGresult *result;
    gw_buf_adds(&sql, "BEGIN; SET LOCAL godwit.ours = 'on'; ");
    add_checkpoint_sql(checkpoint, &sql);
    w->in_transaction = true;
    if (!gw_pg_query(w->store, w->conn, gw_buf_text(&sql), 0, NULL, &result, err))
        return false;
    *already = PQntuples(result) == 0;
    PQclear(result);
    return true;
}

static bool begin_copy(struct gw_pg_writer *w, const struct gw_collection *c, bool binary, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_autobuf struct gw_buf columns = {0};
    PGresult *result;
    gw_buf_adds(&sql, "COPY ");
    gw_pg_add_table(&sql, c);
    if (gw_pg_add_columns(&columns, c) > 0)
        gw_buf_addf(&sql, " (%s)", gw_buf_text(&columns));
    gw_buf_addf(&sql, " FROM STDIN (FORMAT %s)", binary ? "binary" : "text");
    if (!gw_pg_query(w->store, w->conn, gw_buf_text(&sql), 0, NULL, &result, err))
        return false;
    ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    if (status != PGRES_COPY_IN)
        return gw_fail(err, GW_ERR_BUG, "COPY into %s did not begin", gw_collection_label(c));
    w->in_copy = true;
    PQsetnonblocking(w->conn, 1);
    return true;
}

bool gw_pg_load_begin(struct gw_writer *writer, const struct gw_collection *c, const struct gw_checkpoint *checkpoint,
                      bool *already, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    bool loaded;
    if (w->in_transaction)
        return gw_fail(err, GW_ERR_BUG, "a chunk is begun while a transaction is open");
    w->chunk = checkpoint->chunk;
    w->put_bytes = 0;
    snprintf(w->label, sizeof w->label, "%s", gw_collection_label(c));
    if (!write_checkpoint(w, checkpoint, &loaded, err))
        return fail_load(w);
    if (loaded) {
        gw_pg_writer_rollback(w);
        *already = true;
        return true;
    }
    GW_CRASH_POINT("load.after_checkpoint");
    w->loading = c;
    /* Where both forms can be, the first block tells: rows made here may be text for types that only the server reads. */
    if (!c->all_binary_safe && !begin_copy(w, c, false, err))
        return fail_load(w);
    *already = false;
    return true;
}

/* Empties libpq's buffer to the socket. What the server says meanwhile (an error) is read, so that it can say it. */
static bool flush(struct gw_pg_writer *w, struct gw_error *err)
{
    for (;;) {
        bool ready;
        int unsent = PQflush(w->conn);
        if (unsent == 0)
            return true;
        if (unsent < 0 || !gw_pg_wait(w->store, w->conn, true, -1, &ready, err))
            return unsent < 0 ? gw_pg_fail(w->store, w->conn, NULL, "loading a chunk", err) : false;
        if (!PQconsumeInput(w->conn))
            return gw_pg_fail(w->store, w->conn, NULL, "loading a chunk", err);
    }
}

static bool is_binary(const struct gw_block *block)
{
    static const char signature[] = "PGCOPY\n\377\r\n";
    return block->len >= sizeof signature && memcmp(block->bytes, signature, sizeof signature) == 0;
}

bool gw_pg_load_put(struct gw_writer *writer, const struct gw_block *block, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    const char *bytes = block->bytes;
    if (!w->loading)
        return gw_fail(err, GW_ERR_BUG, "rows are put outside a chunk");
    if (block->len > 0 && !w->in_copy && !begin_copy(w, w->loading, is_binary(block), err))
        return fail_load(w);
    for (size_t at = 0; at < block->len;) {
        size_t len = block->len - at < PUT_BYTES ? block->len - at : PUT_BYTES;
        int put = PQputCopyData(w->conn, bytes + at, (int)len);
        if (put < 0) {
            gw_pg_fail(w->store, w->conn, NULL, "loading a chunk", err);
            gw_error_place(err, "%s", w->label);
            return fail_load(w);
        }
        if (!flush(w, err))
            return fail_load(w);
        at += put > 0 ? len : 0;
    }
    w->put_bytes += block->len;
    return true;
}

/* Ends the COPY; *rows as the server counted them. */
static bool end_copy(struct gw_pg_writer *w, uint64_t *rows, struct gw_error *err)
{
    PGresult *result = NULL;
    bool fine = true;
    int put;
    while ((put = PQputCopyEnd(w->conn, NULL)) == 0)
        if (!flush(w, err))
            return false;
    if (put < 0)
        return gw_pg_fail(w->store, w->conn, NULL, "loading a chunk", err);
    for (;;) {
        if (!gw_pg_next_result(w->store, w->conn, &result, err))
            return false;
        if (!result)
            break;
        if (fine && PQresultStatus(result) != PGRES_COMMAND_OK) {
            gw_pg_fail(w->store, w->conn, result, "loading a chunk", err);
            gw_error_place(err, "%s", w->label);
            fine = false;
        }
        if (fine)
            *rows = strtoull(PQcmdTuples(result), NULL, 10);
        PQclear(result);
    }
    w->in_copy = false;
    PQsetnonblocking(w->conn, 0);
    return fine;
}

bool gw_pg_load_commit(struct gw_writer *writer, uint64_t *rows, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    gw_autobuf struct gw_buf sql = {0};
    uint64_t counted = 0;
    if (!w->loading)
        return gw_fail(err, GW_ERR_BUG, "no chunk is open to be committed");
    if (w->in_copy && !end_copy(w, &counted, err))
        return fail_load(w);
    w->loading = NULL;
    GW_CRASH_POINT("load.before_commit");
    gw_buf_addf(&sql, "UPDATE godwit.chunk SET rows = %llu, bytes = %llu WHERE id = %llu; COMMIT",
                (unsigned long long)counted, (unsigned long long)w->put_bytes, (unsigned long long)w->chunk);
    if (!gw_pg_exec(w->store, w->conn, gw_buf_text(&sql), err))
        return fail_load(w);
    w->in_transaction = false;
    GW_CRASH_POINT("load.after_commit");
    *rows = counted;
    return true;
}

/* ---- checkpoints ----------------------------------------------------------------------------------------------- */

static bool take_checkpoint(const PGresult *r, int row, struct gw_checkpoint *out, struct gw_error *err)
{
    out->chunk = strtoull(PQgetvalue(r, row, 0), NULL, 10);
    out->collection = (uint32_t)strtoul(PQgetvalue(r, row, 1), NULL, 10);
    out->rows = strtoull(PQgetvalue(r, row, 5), NULL, 10);
    out->bytes = strtoull(PQgetvalue(r, row, 6), NULL, 10);
    return gw_bound_parse(PQgetvalue(r, row, 2), &out->range.low, err) &&
           gw_bound_parse(PQgetvalue(r, row, 3), &out->range.high, err) &&
           gw_mark_parse(PQgetvalue(r, row, 4), &out->mark, err);
}

static bool query_checkpoints(struct gw_pg_store *store, PGresult **out, struct gw_error *err)
{
    gw_autobuf struct gw_buf home = {0};
    PGconn *conn;
    bool there = false;
    *out = NULL;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_query_text(store, conn, "SELECT to_regclass('godwit.chunk')", 0, NULL, &home, &there, err);
    if (fine && there)
        fine = gw_pg_query(store, conn,
                           "SELECT id, collection, low, high, mark, rows, bytes FROM godwit.chunk ORDER BY id", 0, NULL,
                           out, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

bool gw_pg_load_checkpoints(struct gw_store *base, struct gw_checkpoint **out, size_t *count, struct gw_error *err)
{
    PGresult *r;
    if (!query_checkpoints(gw_pg_store_of(base), &r, err))
        return false;
    size_t rows = r ? (size_t)PQntuples(r) : 0;
    struct gw_checkpoint *all = gw_calloc(rows + 1, sizeof *all);
    bool fine = true;
    for (size_t i = 0; fine && i < rows; i++)
        fine = take_checkpoint(r, (int)i, &all[i], err);
    PQclear(r);
    if (!fine) {
        for (size_t i = 0; i < rows; i++)
            gw_checkpoint_release(&all[i]);
        free(all);
        return false;
    }
    *out = all;
    *count = rows;
    return true;
}
