/* Rows into the reference engine: chunks and batches, each one transaction with its checkpoint or position. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/memory/engine.h"

#define MEM_LOCK_WAIT_MS 2000

struct gw_writer {
    struct mem_store *store;
    uint64_t generation;
    char stream[32];
    struct gw_memory_tx *tx;
    bool failed;             /* nothing but rolling back is possible */
    struct gw_error owed;    /* of what was sent: heard at await. Until then all that is sent behind it does nothing */
    size_t sent, owed_at;    /* commits owed an answer; the one that has the error */
    struct mem_table *table; /* of the chunk */
    uint64_t chunk_rows;
    struct gw_arena arena;
    uint32_t listed; /* versions of the table whose keys are being listed */
    struct gw_row *keys;
    size_t keys_capacity;
    struct gw_arena keys_arena;
};

static bool writer_open(struct gw_store *base, const char *stream, struct gw_writer **out, struct gw_error *err)
{
    (void)err;
    struct gw_writer *writer = gw_zalloc(sizeof *writer);
    writer->store = mem_store_of(base);
    snprintf(writer->stream, sizeof writer->stream, "%s", stream);
    pthread_mutex_lock(&writer->store->server->lock);
    writer->generation = writer->store->server->generation;
    pthread_mutex_unlock(&writer->store->server->lock);
    *out = writer;
    return true;
}

/* With the lock held. A broken session's transaction was rolled back, and freed, by whoever broke it. */
static void writer_end(struct gw_writer *writer)
{
    if (writer->tx && writer->generation == writer->store->server->generation) {
        mem_undo_to(writer->tx, 0);
        mem_rollback(writer->tx);
    }
    writer->tx = NULL;
    writer->failed = false;
    writer->owed.kind = GW_ERR_NONE;
    writer->sent = writer->owed_at = 0;
}

static void writer_rollback(struct gw_writer *writer)
{
    pthread_mutex_lock(&writer->store->server->lock);
    writer_end(writer);
    pthread_mutex_unlock(&writer->store->server->lock);
}

static void writer_close(struct gw_writer *writer)
{
    if (!writer)
        return;
    writer_rollback(writer);
    gw_arena_release(&writer->arena);
    gw_arena_release(&writer->keys_arena);
    free(writer->keys);
    free(writer);
}

/* With the lock held. */
static bool writer_check(struct gw_writer *writer, bool in_transaction, struct gw_error *err)
{
    if (!mem_session_check(writer->store, writer->generation, err))
        return false;
    if (writer->owed.kind != GW_ERR_NONE) {
        *err = writer->owed;
        return false;
    }
    if (in_transaction && !writer->tx)
        return gw_fail(err, GW_ERR_BUG, "a write outside of a transaction");
    if (in_transaction && writer->failed)
        return gw_fail(err, GW_ERR_CONFLICT, "the transaction is aborted, commands are ignored until it ends");
    if (!in_transaction && writer->tx)
        return gw_fail(err, GW_ERR_BUG, "a transaction inside a transaction");
    return true;
}

/* ---- the home: rows that live and die with their transaction ---- */

static bool home_committed(const struct gw_memory *server, uint64_t xid)
{
    return mem_status(server, xid) == MEM_COMMITTED;
}

/* Drops position rows nobody can need: older than the newest one on disk, or of a transaction that is gone. */
static void home_compact_positions(struct gw_memory *server)
{
    size_t kept = 0;
    for (size_t i = 0; i < server->position_count; i++) {
        const struct mem_home_position *row = &server->positions[i];
        bool keep = mem_status(server, row->xid) != MEM_ABORTED;
        for (size_t j = i + 1; keep && j < server->position_count; j++) {
            const struct mem_home_position *later = &server->positions[j];
            if (strcmp(later->stream, row->stream) == 0 && home_committed(server, later->xid) &&
                server->ended_at[later->xid - server->first_xid] <= server->flushed)
                keep = false;
        }
        if (keep)
            server->positions[kept++] = *row;
    }
    server->position_count = kept;
}

static void home_put_position(struct gw_memory *server, const char *stream, const struct gw_position *at, uint64_t xid)
{
    if (server->position_count >= 64)
        home_compact_positions(server);
    server->positions =
        gw_grow(server->positions, &server->position_capacity, server->position_count, sizeof *server->positions);
    struct mem_home_position *row = &server->positions[server->position_count++];
    *row = (struct mem_home_position){.at = *at, .xid = xid};
    snprintf(row->stream, sizeof row->stream, "%s", stream);
}

static bool writer_position(struct gw_store *base, const char *stream, struct gw_position *out, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    mem_chaos(server);
    *out = (struct gw_position){0};
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    for (size_t i = 0; ok && i < server->position_count; i++)
        if (strcmp(server->positions[i].stream, stream) == 0 && home_committed(server, server->positions[i].xid))
            *out = server->positions[i].at;
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static void checkpoint_copy(struct gw_checkpoint *to, const struct gw_checkpoint *from)
{
    *to = *from;
    to->range = (struct gw_range){.low = gw_bound_copy(&from->range.low), .high = gw_bound_copy(&from->range.high)};
    gw_mark_copy(&to->mark, &from->mark);
}

static int compare_checkpoints(const void *a, const void *b)
{
    uint64_t left = ((const struct gw_checkpoint *)a)->chunk, right = ((const struct gw_checkpoint *)b)->chunk;
    return left < right ? -1 : left > right;
}

static bool writer_checkpoints(struct gw_store *base, struct gw_checkpoint **out, size_t *count, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    *out = NULL;
    *count = 0;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    if (ok)
        *out = gw_calloc(server->chunk_count + 1, sizeof **out);
    for (size_t i = 0; ok && i < server->chunk_count; i++)
        if (home_committed(server, server->chunks[i].xid))
            checkpoint_copy(&(*out)[(*count)++], &server->chunks[i].checkpoint);
    pthread_mutex_unlock(&server->lock);
    if (*count > 0)
        qsort(*out, *count, sizeof **out, compare_checkpoints);
    return ok;
}

/* ---- load ---- */

static bool writer_begin_chunk(struct gw_writer *writer, const struct gw_collection *collection,
                               const struct gw_checkpoint *checkpoint, bool *already, struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = writer_check(writer, false, err);
    *already = false;
    for (size_t i = 0; ok && i < server->chunk_count; i++) {
        if (server->chunks[i].checkpoint.chunk != checkpoint->chunk)
            continue;
        enum mem_tx_status status = mem_status(server, server->chunks[i].xid);
        if (status == MEM_COMMITTED)
            *already = true;
        else if (status != MEM_ABORTED)
            ok = gw_fail(err, GW_ERR_RETRY, "another session is loading chunk %llu",
                         (unsigned long long)checkpoint->chunk);
    }
    writer->table = ok ? mem_table_find(server, collection->space, collection->name) : NULL;
    if (ok && !writer->table)
        ok = gw_fail(err, GW_ERR_CONFLICT, "%s is not there on the target", gw_collection_label(collection));
    if (ok && !*already) {
        writer->tx = mem_begin(server, true);
        writer->chunk_rows = 0;
        server->chunks = gw_grow(server->chunks, &server->chunk_capacity, server->chunk_count, sizeof *server->chunks);
        struct mem_home_chunk *row = &server->chunks[server->chunk_count++];
        row->xid = writer->tx->xid;
        checkpoint_copy(&row->checkpoint, checkpoint);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

/* Repeats until nobody else's lock is in its way, or the session broke meanwhile. With the lock held. */
#define MEM_UNBLOCKED(writer, result, expression)                                                                      \
    do {                                                                                                               \
        int64_t deadline_us = gw_mono_us() + MEM_LOCK_WAIT_MS * 1000;                                                  \
        for (;;) {                                                                                                     \
            (result) = (expression);                                                                                   \
            if ((result) != GW_MEMORY_BLOCKED || gw_left_ms(deadline_us) == 0)                                         \
                break;                                                                                                 \
            mem_wait((writer)->store->server, 20);                                                                     \
            if ((writer)->generation != (writer)->store->server->generation)                                           \
                break;                                                                                                 \
        }                                                                                                              \
    } while (0)

static bool writer_judge(struct gw_writer *writer, enum gw_memory_result result, const struct mem_table *table,
                         struct gw_error *err)
{
    if (!mem_session_check(writer->store, writer->generation, err))
        return false;
    if (result == GW_MEMORY_DONE || result == GW_MEMORY_MISSING)
        return true;
    writer->failed = true;
    if (result == GW_MEMORY_BLOCKED)
        return gw_fail(err, GW_ERR_RETRY, "waited too long for a lock on %s", gw_collection_label(&table->def));
    return gw_fail(err, GW_ERR_CONFLICT, "duplicate key in %s", gw_collection_label(&table->def));
}

/* The row's columns as C strings in the writer's arena; what is not carried stays as it is. */
static const char **writer_texts(struct gw_writer *writer, const struct gw_row *row)
{
    const char **texts = gw_arena_alloc(&writer->arena, row->count * sizeof *texts);
    for (uint32_t c = 0; c < row->count; c++) {
        const struct gw_value *value = &row->values[c];
        if (value->kind == GW_VALUE_NULL)
            texts[c] = NULL;
        else if (value->kind == GW_VALUE_UNCHANGED || value->kind == GW_VALUE_ABSENT)
            texts[c] = gw_memory_keep;
        else
            texts[c] = gw_arena_dup(&writer->arena, value->bytes, value->len);
    }
    return texts;
}

static bool writer_put(struct gw_writer *writer, const struct gw_block *block, struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = writer_check(writer, true, err);
    struct gw_cursor in = gw_cursor_of(block->bytes, block->len);
    gw_arena_reset(&writer->arena);
    while (ok && gw_cursor_left(&in) > 0) {
        struct gw_row row = gw_row_decode(&in, &writer->arena);
        if (in.bad || row.count != writer->table->def.column_count) {
            ok = gw_fail(err, GW_ERR_BUG, "a block that is not made of rows");
            break;
        }
        enum gw_memory_result result;
        MEM_UNBLOCKED(writer, result, mem_insert(writer->tx, writer->table, writer_texts(writer, &row)));
        ok = writer_judge(writer, result, writer->table, err);
        writer->chunk_rows += ok;
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool writer_finish(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = writer_check(writer, true, err);
    if (ok) {
        mem_log_commit(writer->tx, durable);
        mem_make_visible(writer->tx);
        writer->tx = NULL;
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool writer_commit_chunk(struct gw_writer *writer, uint64_t *rows, struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; writer->tx && writer->generation == server->generation && i < server->chunk_count; i++)
        if (server->chunks[i].xid == writer->tx->xid)
            server->chunks[i].checkpoint.rows = writer->chunk_rows;
    pthread_mutex_unlock(&server->lock);
    *rows = writer->chunk_rows;
    return writer_finish(writer, true, err);
}

/* ---- apply ---- */

static bool writer_begin(struct gw_writer *writer, const struct gw_position *reached, struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    mem_chaos(server);
    if (writer->owed.kind != GW_ERR_NONE)
        return true;
    pthread_mutex_lock(&server->lock);
    bool ok = writer_check(writer, false, err);
    if (ok) {
        writer->tx = mem_begin(server, true);
        home_put_position(server, writer->stream, reached, writer->tx->xid);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

/* The key's texts in key order; the whole row where there is no key. */
static const char **part_key(struct gw_writer *writer, const struct mem_table *table, const struct gw_row *row)
{
    const char **texts = writer_texts(writer, row);
    if (table->def.key_count == 0)
        return texts;
    const char **key = gw_arena_alloc(&writer->arena, table->def.key_count * sizeof *key);
    for (size_t i = 0; i < table->def.key_count; i++)
        key[i] = texts[table->def.key[i]];
    return key;
}

static enum gw_memory_result apply_row(struct gw_writer *writer, struct mem_table *table, const struct gw_part *part,
                                       size_t i)
{
    struct gw_memory_tx *tx = writer->tx;
    switch (part->kind) {
    case GW_CHANGE_INSERT:
        return mem_insert(tx, table, writer_texts(writer, &part->rows[i]));
    case GW_CHANGE_UPDATE:
        return mem_update(tx, table, part_key(writer, table, &part->keys[i]), writer_texts(writer, &part->rows[i]));
    default:
        return mem_delete(tx, table, part_key(writer, table, &part->keys[i]));
    }
}

static bool writer_apply(struct gw_writer *writer, const struct gw_part *part, uint64_t *touched, struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    mem_chaos(server);
    *touched = 0;
    pthread_mutex_lock(&server->lock);
    bool ok = writer_check(writer, true, err);
    struct mem_table *table = ok ? mem_table_find(server, part->collection->space, part->collection->name) : NULL;
    if (ok && !table) {
        writer->failed = true;
        ok = gw_fail(err, GW_ERR_CONFLICT, "%s is not there on the target", gw_collection_label(part->collection));
    }
    for (size_t i = 0; ok && i < part->count; i++) {
        gw_arena_reset(&writer->arena);
        enum gw_memory_result result;
        MEM_UNBLOCKED(writer, result, apply_row(writer, table, part, i));
        ok = writer_judge(writer, result, table, err);
        *touched += result == GW_MEMORY_DONE;
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool writer_send(struct gw_writer *writer, const struct gw_part *part, struct gw_error *err)
{
    uint64_t touched = 0;
    if (writer->owed.kind != GW_ERR_NONE)
        return true;
    if (!writer_apply(writer, part, &touched, &writer->owed))
        return true;
    if (touched != part->count && !part->may_miss) {
        writer->failed = true;
        (void)!gw_fail(&writer->owed, GW_ERR_CONFLICT, "%llu of %zu rows of %s were touched",
                       (unsigned long long)touched, part->count, gw_collection_label(part->collection));
    }
    (void)err; /* heard later, as from a server that is far away */
    return true;
}

static bool writer_commit_ahead(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    bool fine = writer->owed.kind == GW_ERR_NONE;
    if (fine && writer_finish(writer, durable, &writer->owed))
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
    mem_chaos(writer->store->server);
    if (writer->owed_at == 1) {
        *err = writer->owed;
        return false;
    }
    writer->owed_at -= writer->owed_at > 0;
    writer->sent--;
    return true;
}

static bool writer_truncate(struct gw_writer *writer, const struct gw_collection *const *collections, size_t count,
                            struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = writer_check(writer, true, err);
    for (size_t i = 0; ok && i < count; i++) {
        struct mem_table *table = mem_table_find(server, collections[i]->space, collections[i]->name);
        enum gw_memory_result result;
        MEM_UNBLOCKED(writer, result, mem_truncate(writer->tx, table));
        ok = writer_judge(writer, result, table, err);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool writer_delete_range(struct gw_writer *writer, const struct gw_collection *collection,
                                const struct gw_range *range, struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = writer_check(writer, true, err);
    struct mem_table *table = mem_table_find(server, collection->space, collection->name);
    for (uint32_t i = 0; ok && i < table->count; i++) {
        if (!mem_in_range(table, table->versions[i].values, range))
            continue;
        enum gw_memory_result result;
        MEM_UNBLOCKED(writer, result, mem_delete_version(writer->tx, table, i));
        ok = writer_judge(writer, result, table, err);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static void take_key(struct gw_writer *writer, const struct gw_collection *collection, const struct mem_table *table,
                     uint32_t version, size_t *count)
{
    const char *key[MEM_MAX_COLUMNS];
    struct gw_value room[MEM_MAX_COLUMNS];
    mem_key_of(table, table->versions[version].values, key);
    for (size_t k = 0; k < collection->key_count; k++)
        room[k] = gw_value_text(key[k]);
    writer->keys = gw_grow(writer->keys, &writer->keys_capacity, *count, sizeof *writer->keys);
    writer->keys[(*count)++] =
        gw_row_copy(&writer->keys_arena, &(struct gw_row){.count = (uint32_t)collection->key_count, .values = room});
}

static bool writer_list_keys(struct gw_writer *writer, const struct gw_collection *collection, bool first, size_t most,
                             const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    mem_chaos(server);
    *count = 0;
    gw_arena_reset(&writer->keys_arena);
    pthread_mutex_lock(&server->lock);
    bool ok = writer_check(writer, true, err);
    struct mem_table *table = mem_table_find(server, collection->space, collection->name);
    writer->listed = first ? 0 : writer->listed;
    for (; ok && writer->listed < table->count && *count < most; writer->listed++)
        if (mem_live(writer->tx, table, writer->listed))
            take_key(writer, collection, table, writer->listed, count);
    pthread_mutex_unlock(&server->lock);
    *keys = writer->keys;
    return ok;
}

static bool is_like(const struct gw_row *like, char *const *values)
{
    for (uint32_t c = 0; c < like->count; c++) {
        struct gw_value value = gw_value_text(values[c]);
        if (like->values[c].kind != GW_VALUE_ABSENT && !gw_value_equal(&like->values[c], &value))
            return false;
    }
    return true;
}

static bool writer_find(struct gw_writer *writer, const struct gw_collection *collection, const struct gw_row *like,
                        const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    *count = 0;
    gw_arena_reset(&writer->keys_arena);
    pthread_mutex_lock(&server->lock);
    bool ok = writer_check(writer, true, err);
    struct mem_table *table = mem_table_find(server, collection->space, collection->name);
    for (uint32_t i = 0; ok && i < table->count; i++)
        if (mem_live(writer->tx, table, i) && is_like(like, table->versions[i].values))
            take_key(writer, collection, table, i, count);
    pthread_mutex_unlock(&server->lock);
    *keys = writer->keys;
    return ok;
}

static bool writer_current(struct gw_writer *writer, const struct gw_collection *collection,
                           const struct gw_row *wanted, size_t count, gw_current_visit *visit, void *arg,
                           struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    struct gw_value values[MEM_MAX_COLUMNS];
    bool enough = false;
    if (writer->owed.kind != GW_ERR_NONE) {
        *err = writer->owed;
        return false;
    }
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = writer_check(writer, true, err);
    struct mem_table *table = mem_table_find(server, collection->space, collection->name);
    for (size_t at = 0; ok && at < count; at++)
        for (uint32_t i = 0; ok && !enough && i < table->count; i++) {
            char *const *texts = table->versions[i].values;
            if (!mem_live(writer->tx, table, i) || !is_like(&wanted[at], texts))
                continue;
            for (size_t c = 0; c < collection->column_count; c++)
                values[c] = gw_value_text(texts[c]);
            struct gw_row row = {.count = (uint32_t)collection->column_count, .values = values};
            ok = visit(arg, at, &row, &enough, err);
        }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool writer_note_signal(struct gw_writer *writer, const char *token, struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    pthread_mutex_lock(&server->lock);
    bool ok = writer->owed.kind != GW_ERR_NONE || writer_check(writer, true, err);
    if (ok && writer->tx && writer->owed.kind == GW_ERR_NONE) {
        server->seen = gw_grow(server->seen, &server->seen_capacity, server->seen_count, sizeof *server->seen);
        server->seen[server->seen_count++] = (struct mem_home_text){.name = gw_strdup(token), .xid = writer->tx->xid};
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool writer_savepoint(struct gw_writer *writer, struct gw_error *err)
{
    pthread_mutex_lock(&writer->store->server->lock);
    bool ok = writer_check(writer, true, err);
    if (ok)
        gw_memory_savepoint(writer->tx);
    pthread_mutex_unlock(&writer->store->server->lock);
    return ok;
}

static bool writer_rollback_to(struct gw_writer *writer, struct gw_error *err)
{
    struct gw_memory *server = writer->store->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(writer->store, writer->generation, err);
    struct gw_memory_tx *tx = writer->tx;
    if (ok && (!tx || !tx->has_savepoint))
        ok = gw_fail(err, GW_ERR_BUG, "no savepoint to go back to");
    if (ok && tx) {
        mem_undo_to(tx, tx->savepoint_undo);
        tx->changes.len = tx->savepoint_bytes;
        writer->failed = false;
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool writer_updates_all(struct gw_writer *writer, const struct gw_collection *collection)
{
    (void)writer, (void)collection;
    return true;
}

const struct gw_writer_facet mem_writer = {
    .open = writer_open,
    .close = writer_close,
    .begin_chunk = writer_begin_chunk,
    .put = writer_put,
    .commit_chunk = writer_commit_chunk,
    .begin = writer_begin,
    .apply = writer_apply,
    .send = writer_send,
    .updates_all = writer_updates_all,
    .truncate = writer_truncate,
    .delete_range = writer_delete_range,
    .list_keys = writer_list_keys,
    .find = writer_find,
    .current = writer_current,
    .note_signal = writer_note_signal,
    .savepoint = writer_savepoint,
    .rollback_to = writer_rollback_to,
    .commit = writer_finish,
    .commit_ahead = writer_commit_ahead,
    .await = writer_await,
    .rollback = writer_rollback,
    .position = writer_position,
    .checkpoints = writer_checkpoints,
};
