/* Rows in: transactions with their checkpoint or position, and chunks. */
#include "store/sqlite/writer.h"

#include "base/crash.h"
#include "base/mem.h"
#include "store/sqlite/capture.h"
#include "store/sqlite/rows.h"
#include "store/sqlite/sqlite.h"

#include <stdio.h>

/* ---- life ------------------------------------------------------------------------------------------------------ */

static bool writer_open(struct gw_store *base, const char *stream, struct gw_writer **out, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_connect(gw_lite_store_of(base), false, &conn, err))
        return false;
    struct gw_writer *writer = gw_zalloc(sizeof *writer);
    writer->conn = conn;
    snprintf(writer->stream, sizeof writer->stream, "%s", stream);
    *out = writer;
    return true;
}

/* A file has one writer at a time: what this thread wants to write into it while a transaction of its own is open goes
 * into that one, or it would wait for itself. */
static _Thread_local struct gw_lite_conn *own_write;

struct gw_lite_conn *gw_lite_own_write(const struct gw_lite_store *store)
{
    return own_write && strcmp(own_write->store->path, store->path) == 0 ? own_write : NULL;
}

static void set_inside(struct gw_writer *writer, bool inside)
{
    writer->inside = inside;
    if (inside)
        own_write = writer->conn;
    else if (own_write == writer->conn)
        own_write = NULL;
}

static void writer_rollback(struct gw_writer *writer)
{
    gw_lite_rollback(writer->conn);
    set_inside(writer, false);
    writer->owed.kind = GW_ERR_NONE;
    writer->sent = writer->owed_at = 0;
    writer->chunk = NULL;
}

static void target_free(struct gw_lite_target *target)
{
    gw_lite_finalize(&target->insert);
    gw_lite_finalize(&target->remove);
    gw_lite_finalize(&target->update);
    gw_lite_finalize(&target->look);
    gw_buf_release(&target->update_mask);
    gw_lite_table_free(target->table);
    free(target->name);
    free(target);
}

void gw_lite_forget_targets(struct gw_writer *writer)
{
    for (size_t i = 0; i < writer->target_count; i++)
        target_free(writer->targets[i]);
    writer->target_count = 0;
}

static void writer_close(struct gw_writer *writer)
{
    if (!writer)
        return;
    writer_rollback(writer);
    gw_lite_forget_targets(writer);
    gw_lite_table_free(writer->listed);
    gw_lite_disconnect(writer->conn);
    free(writer->targets);
    free(writer->keys);
    gw_arena_release(&writer->keys_arena);
    gw_arena_release(&writer->last_arena);
    free(writer);
}

/* ---- transactions ---------------------------------------------------------------------------------------------- */

/* The write lock first: everything behind it sees the newest state, and nothing can fail for having looked too early. Our
 * row in the log comes before anything else of the transaction. */
static bool begin(struct gw_writer *writer, struct gw_error *err)
{
    int64_t cookie = 0;
    if (writer->inside)
        return gw_fail(err, GW_ERR_BUG, "a transaction inside a transaction");
    if (!gw_lite_begin_write(writer->conn, err))
        return false;
    set_inside(writer, true);
    if (!gw_lite_int(writer->conn, "PRAGMA main.schema_version", &cookie, NULL, err))
        return false;
    if (cookie != writer->cookie)
        gw_lite_forget_targets(writer);
    writer->cookie = cookie;
    writer->capturing = gw_lite_has_table(writer->conn, "godwit_log");
    return !writer->capturing || gw_lite_log(writer->conn, GW_LITE_LOG_OURS, writer->stream, err);
}

static bool inside(const struct gw_writer *writer, struct gw_error *err)
{
    return writer->inside || gw_fail(err, GW_ERR_BUG, "a write outside of a transaction");
}

static bool finish(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    if (!inside(writer, err))
        return false;
    GW_CRASH_POINT("lite.writer.before_commit");
    if (!gw_lite_exec(writer->conn, "COMMIT", err))
        return false;
    set_inside(writer, false);
    GW_CRASH_POINT("lite.writer.after_commit");
    return !durable || gw_lite_sync(writer->conn->store, err);
}

bool gw_lite_target_for(struct gw_writer *writer, const struct gw_collection *collection, struct gw_lite_target **out,
                        struct gw_error *err)
{
    for (size_t i = 0; i < writer->target_count; i++) {
        if (strcmp(writer->targets[i]->name, collection->name) == 0) {
            *out = writer->targets[i];
            return true;
        }
    }
    struct gw_lite_table *table = NULL;
    if (!gw_lite_table_for(writer->conn, collection, &table, err))
        return false;
    struct gw_lite_target *target = gw_zalloc(sizeof *target);
    target->name = gw_strdup(collection->name);
    target->columns = collection->column_count;
    target->table = table;
    writer->targets =
        gw_grow(writer->targets, &writer->target_capacity, writer->target_count, sizeof(struct gw_lite_target *));
    writer->targets[writer->target_count++] = *out = target;
    return true;
}

/* OR ABORT: a constraint of the table may say OR REPLACE, which would lose rows without a word. */
bool gw_lite_prepare_insert(struct gw_writer *writer, struct gw_lite_target *target, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, values = {0};
    const char *comma = "";
    if (target->insert)
        return true;
    gw_buf_adds(&sql, "INSERT OR ABORT INTO main.");
    gw_lite_add_ident(&sql, target->table->name);
    gw_buf_adds(&sql, " (");
    for (size_t c = 0; c < target->columns; c++) {
        if (target->table->columns[c].generated)
            continue;
        gw_buf_adds(&sql, comma);
        gw_lite_add_ident(&sql, target->table->columns[c].name);
        gw_buf_addf(&values, "%s?%zu", comma, c + 1);
        comma = ", ";
    }
    gw_buf_addf(&sql, ") VALUES (%s)", gw_buf_text(&values));
    return gw_lite_prepare(writer->conn, gw_buf_text(&sql), &target->insert, err);
}

/* ---- load ------------------------------------------------------------------------------------------------------ */

static bool insert_checkpoint(struct gw_writer *writer, const struct gw_checkpoint *checkpoint, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf low = {0}, high = {0}, mark = {0};
    gw_bound_format(&checkpoint->range.low, &low);
    gw_bound_format(&checkpoint->range.high, &high);
    gw_mark_format(&checkpoint->mark, &mark);
    if (!gw_lite_prepare(
            writer->conn,
            "INSERT INTO main.godwit_chunk (chunk, collection, low, high, mark) VALUES (?1, ?2, ?3, ?4, ?5)",
            &statement, err))
        return false;
    sqlite3_bind_int64(statement, 1, (int64_t)checkpoint->chunk);
    sqlite3_bind_int64(statement, 2, checkpoint->collection);
    gw_lite_bind_text(statement, 3, gw_buf_text(&low));
    gw_lite_bind_text(statement, 4, gw_buf_text(&high));
    gw_lite_bind_text(statement, 5, gw_buf_text(&mark));
    return gw_lite_run(writer->conn, statement, err);
}

static bool begin_chunk(struct gw_writer *writer, const struct gw_collection *collection,
                        const struct gw_checkpoint *checkpoint, bool *already, struct gw_error *err)
{
    gw_autofree char *sql =
        gw_asprintf("SELECT 1 FROM main.godwit_chunk WHERE chunk = %llu", (unsigned long long)checkpoint->chunk);
    int64_t one = 0;
    if (!begin(writer, err) || !gw_lite_int(writer->conn, sql, &one, already, err))
        return false;
    if (*already)
        return true;
    writer->chunk_id = checkpoint->chunk;
    writer->chunk_rows = writer->chunk_bytes = 0;
    return insert_checkpoint(writer, checkpoint, err) && gw_lite_target_for(writer, collection, &writer->chunk, err) &&
           gw_lite_prepare_insert(writer, writer->chunk, err);
}

static bool writer_begin_chunk(struct gw_writer *writer, const struct gw_collection *collection,
                               const struct gw_checkpoint *checkpoint, bool *already, struct gw_error *err)
{
    *already = false;
    bool ok = begin_chunk(writer, collection, checkpoint, already, err);
    if (!ok || *already)
        writer_rollback(writer);
    return ok;
}

static bool put_row(struct gw_writer *writer, struct gw_cursor *in, struct gw_error *err)
{
    const struct gw_lite_target *target = writer->chunk;
    for (size_t c = 0; c < target->columns; c++) {
        struct gw_lite_cell cell = gw_lite_unpack_cell(in);
        if (in->bad)
            return gw_fail(err, GW_ERR_BUG, "a block of %s that is not made of rows", target->name);
        if (!target->table->columns[c].generated && !gw_lite_bind_cell(target->insert, (int)c + 1, &cell))
            return gw_fail(err, GW_ERR_RESOURCE, "a value of %s is too large", target->name);
    }
    int rc = sqlite3_step(target->insert);
    if (rc == SQLITE_DONE)
        rc = sqlite3_reset(target->insert);
    if (rc == SQLITE_OK)
        return true;
    gw_lite_fail(writer->conn, rc, "a row cannot be written", err);
    sqlite3_reset(target->insert);
    return gw_error_prefix(err, "table %s", target->name);
}

static bool writer_put(struct gw_writer *writer, const struct gw_block *block, struct gw_error *err)
{
    if (!inside(writer, err) || !writer->chunk)
        return writer->inside ? gw_fail(err, GW_ERR_BUG, "rows outside of a chunk") : false;
    struct gw_cursor in = gw_cursor_of(block->bytes, block->len);
    while (gw_cursor_left(&in) > 0) {
        if (!put_row(writer, &in, err))
            return false;
        writer->chunk_rows++;
    }
    writer->chunk_bytes += block->len;
    return true;
}

static bool writer_commit_chunk(struct gw_writer *writer, uint64_t *rows, struct gw_error *err)
{
    *rows = writer->chunk_rows;
    if (!inside(writer, err) ||
        !gw_lite_execf(writer->conn, err,
                       "UPDATE main.godwit_chunk SET row_count = %llu, bytes = %llu WHERE chunk = %llu",
                       (unsigned long long)writer->chunk_rows, (unsigned long long)writer->chunk_bytes,
                       (unsigned long long)writer->chunk_id))
        return false;
    writer->chunk = NULL;
    return finish(writer, true, err);
}

/* ---- batches --------------------------------------------------------------------------------------------------- */

static bool write_position(struct gw_writer *writer, const struct gw_position *reached, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    if (!gw_lite_prepare(writer->conn,
                         "INSERT OR REPLACE INTO main.godwit_position (stream, reached, place) VALUES (?1, ?2, ?3)",
                         &statement, err))
        return false;
    gw_lite_bind_text(statement, 1, writer->stream);
    sqlite3_bind_int64(statement, 2, (int64_t)reached->order);
    gw_lite_bind_text(statement, 3, reached->text);
    return gw_lite_run(writer->conn, statement, err);
}

static bool writer_begin(struct gw_writer *writer, const struct gw_position *reached, struct gw_error *err)
{
    if (writer->owed.kind != GW_ERR_NONE)
        return true;
    if (begin(writer, err) && write_position(writer, reached, err))
        return true;
    gw_lite_rollback(writer->conn);
    set_inside(writer, false);
    return false;
}

static bool writer_apply(struct gw_writer *writer, const struct gw_part *part, uint64_t *touched, struct gw_error *err)
{
    *touched = 0;
    return inside(writer, err) && gw_lite_apply(writer, part, touched, err);
}

/* Nothing is far away here; what goes wrong is heard later all the same, as the contract has it. */
static bool writer_send(struct gw_writer *writer, const struct gw_part *part, struct gw_error *err)
{
    uint64_t touched = 0;
    (void)err;
    if (writer->owed.kind != GW_ERR_NONE || !writer_apply(writer, part, &touched, &writer->owed))
        return true;
    if (touched != part->count && !(part->kind == GW_CHANGE_DELETE && part->may_miss))
        gw_fail(&writer->owed, GW_ERR_CONFLICT, "%llu of %zu rows of %s were touched", (unsigned long long)touched,
                part->count, gw_collection_label(part->collection));
    return true;
}

static bool writer_commit(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    if (writer->owed.kind != GW_ERR_NONE) {
        *err = writer->owed;
        return false;
    }
    return finish(writer, durable, err);
}

static bool writer_commit_ahead(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    if (writer->owed.kind == GW_ERR_NONE && finish(writer, durable, &writer->owed))
        writer->owed.kind = GW_ERR_NONE;
    else if (writer->owed_at == 0)
        writer->owed_at = writer->sent + 1;
    writer->sent++;
    return writer->sent <= GW_COMMITS_AHEAD || gw_fail(err, GW_ERR_BUG, "too many commits are owed an answer");
}

static bool writer_await(struct gw_writer *writer, struct gw_error *err)
{
    if (writer->sent == 0)
        return gw_fail(err, GW_ERR_BUG, "a commit is awaited that was not sent");
    if (writer->owed_at == 1) {
        *err = writer->owed;
        return false;
    }
    writer->owed_at -= writer->owed_at > 0;
    writer->sent--;
    return true;
}

static bool writer_note_signal(struct gw_writer *writer, const char *token, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    if (writer->owed.kind != GW_ERR_NONE)
        return true;
    if (!inside(writer, err) ||
        !gw_lite_prepare(writer->conn, "INSERT OR IGNORE INTO main.godwit_seen (token) VALUES (?1)", &statement, err))
        return false;
    gw_lite_bind_text(statement, 1, token);
    return gw_lite_run(writer->conn, statement, err);
}

static bool writer_savepoint(struct gw_writer *writer, struct gw_error *err)
{
    struct gw_error ignored;
    if (!inside(writer, err))
        return false;
    (void)!gw_lite_exec(writer->conn, "RELEASE godwit", &ignored); /* one level: the newer takes its place */
    return gw_lite_exec(writer->conn, "SAVEPOINT godwit", err);
}

static bool writer_rollback_to(struct gw_writer *writer, struct gw_error *err)
{
    return inside(writer, err) && gw_lite_exec(writer->conn, "ROLLBACK TO godwit", err);
}

/* ---- what stands in the home ----------------------------------------------------------------------------------- */

static bool position_on(struct gw_lite_conn *conn, const char *stream, struct gw_position *out, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_has_table(conn, "godwit_position"))
        return true;
    if (!gw_lite_prepare(conn, "SELECT reached, place FROM main.godwit_position WHERE stream = ?1", &statement, err))
        return false;
    gw_lite_bind_text(statement, 1, stream);
    if (!gw_lite_step(conn, statement, &row, err))
        return false;
    if (row) {
        out->order = (uint64_t)sqlite3_column_int64(statement, 0);
        snprintf(out->text, sizeof out->text, "%s", gw_lite_column(statement, 1));
    }
    return true;
}

static bool writer_position(struct gw_store *base, const char *stream, struct gw_position *out, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    *out = (struct gw_position){0};
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = position_on(conn, stream, out, err);
    gw_lite_return(conn);
    return ok;
}

static bool read_checkpoint(sqlite3_stmt *statement, struct gw_checkpoint *out, struct gw_error *err)
{
    *out = (struct gw_checkpoint){.chunk = (uint64_t)sqlite3_column_int64(statement, 0),
                                  .collection = (uint32_t)sqlite3_column_int64(statement, 1),
                                  .rows = (uint64_t)sqlite3_column_int64(statement, 5),
                                  .bytes = (uint64_t)sqlite3_column_int64(statement, 6)};
    return gw_bound_parse(gw_lite_column(statement, 2), &out->range.low, err) &&
           gw_bound_parse(gw_lite_column(statement, 3), &out->range.high, err) &&
           gw_mark_parse(gw_lite_column(statement, 4), &out->mark, err);
}

static bool checkpoints_on(struct gw_lite_conn *conn, struct gw_checkpoint **out, size_t *count, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    size_t capacity = 0;
    bool row = false;
    if (!gw_lite_has_table(conn, "godwit_chunk"))
        return true;
    if (!gw_lite_prepare(
            conn, "SELECT chunk, collection, low, high, mark, row_count, bytes FROM main.godwit_chunk ORDER BY 1",
            &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        *out = gw_grow(*out, &capacity, *count, sizeof **out);
        if (!read_checkpoint(statement, &(*out)[(*count)++], err))
            return false;
    }
}

static bool writer_checkpoints(struct gw_store *base, struct gw_checkpoint **out, size_t *count, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    *out = NULL;
    *count = 0;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = checkpoints_on(conn, out, count, err);
    gw_lite_return(conn);
    for (size_t i = 0; !ok && i < *count; i++)
        gw_checkpoint_release(&(*out)[i]);
    if (!ok) {
        free(*out);
        *out = NULL;
        *count = 0;
    }
    return ok;
}

/* ---- statements of a person's -------------------------------------------------------------------------------------- */

static bool write_one(struct gw_lite_conn *conn, const char *sql, struct gw_query_done *done, struct gw_error *err)
{
    struct gw_error why;
    if (!gw_lite_exec(conn, "SAVEPOINT one", err))
        return false;
    if (gw_lite_exec(conn, sql, &why)) {
        done->touched = (uint64_t)sqlite3_changes(conn->db);
        return gw_lite_exec(conn, "RELEASE one", err);
    }
    *err = why;
    if (why.kind == GW_ERR_CANCELLED)
        return false;
    done->failed = true;
    snprintf(done->why, sizeof done->why, "%.190s", why.message);
    return gw_lite_exec(conn, "ROLLBACK TO one", err) && gw_lite_exec(conn, "RELEASE one", err);
}

bool gw_lite_write_ours(struct gw_store *base, const char *const *statements, size_t count, struct gw_query_done *done,
                        struct gw_error *err)
{
    const struct gw_position nowhere = {0};
    struct gw_writer *writer;
    if (!writer_open(base, "operator", &writer, err))
        return false;
    bool ok = writer_begin(writer, &nowhere, err);
    for (size_t i = 0; ok && i < count; i++)
        ok = write_one(writer->conn, statements[i], &done[i], err);
    ok = ok && finish(writer, true, err);
    writer_close(writer);
    return ok;
}

const struct gw_writer_facet gw_lite_writer = {
    .open = writer_open,
    .close = writer_close,
    .begin_chunk = writer_begin_chunk,
    .put = writer_put,
    .commit_chunk = writer_commit_chunk,
    .begin = writer_begin,
    .apply = writer_apply,
    .send = writer_send,
    .truncate = gw_lite_truncate,
    .delete_range = gw_lite_delete_range,
    .list_keys = gw_lite_list_keys,
    .find = gw_lite_find,
    .current = gw_lite_current,
    .note_signal = writer_note_signal,
    .savepoint = writer_savepoint,
    .rollback_to = writer_rollback_to,
    .commit = writer_commit,
    .commit_ahead = writer_commit_ahead,
    .await = writer_await,
    .rollback = writer_rollback,
    .position = writer_position,
    .checkpoints = writer_checkpoints,
};
