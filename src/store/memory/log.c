/* The reference engine's change log, read as a stream. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/memory/engine.h"

struct gw_stream {
    struct mem_store *store;
    uint64_t generation, number;
    const struct gw_schema *schema;
    uint64_t sent; /* end of the last entry handed out whole */
    bool inside;   /* BEGIN of the entry behind `sent` was handed out */
    uint64_t entry_begin, entry_end, entry_xid;
    int64_t entry_wall_us;
    struct gw_buf bytes; /* the entry's changes: the log may be cut meanwhile */
    size_t at;
    struct gw_arena arena;
};

static struct gw_position position_of(uint64_t order)
{
    struct gw_position position = {.order = order};
    snprintf(position.text, sizeof position.text, "%llu", (unsigned long long)order);
    return position;
}

static bool changes_prepare(struct gw_store *base, const struct gw_schema *schema, struct gw_position *start,
                            char barrier[240], struct gw_error *err)
{
    (void)schema;
    struct gw_memory *server = mem_store_of(base)->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    if (ok && !server->prepared) {
        server->prepared = true;
        server->start = server->dropped = server->lsn;
    }
    if (ok) {
        *start = position_of(server->start);
        /* Everything older than this has to end: a commit that is in the log before the start, and not visible yet,
         * is in neither the stream nor an early read. */
        snprintf(barrier, 240, "%llu", (unsigned long long)server->next_xid);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool changes_settled(struct gw_store *base, const char *barrier, bool *settled, struct gw_buf *who,
                            struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    uint64_t before = strtoull(barrier, NULL, 10);
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    *settled = true;
    for (const struct gw_memory_tx *tx = server->running; ok && tx; tx = tx->next) {
        if (tx->xid >= before)
            continue;
        *settled = false;
        gw_buf_addf(who, "%stransaction %llu", who->len > 0 ? ", " : "", (unsigned long long)tx->xid);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool changes_open(struct gw_store *base, const struct gw_schema *schema, const struct gw_position *from,
                         struct gw_stream **out, struct gw_error *err)
{
    struct mem_store *store = mem_store_of(base);
    struct gw_memory *server = store->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(store, server->generation, err);
    uint64_t order = from->order > 0 ? from->order : server->start;
    if (ok && (!server->prepared || order < server->dropped)) {
        ok = gw_fail(err, GW_ERR_LOST_POSITION, "the log of %s no longer holds what follows %llu",
                     base->identity.address, (unsigned long long)order);
        gw_error_detail(err, "its oldest position is %llu", (unsigned long long)server->dropped);
    }
    if (ok && server->stream_open != 0)
        ok = gw_fail(err, GW_ERR_CONFLICT, "another process reads the log of %s", base->identity.address);
    if (ok) {
        struct gw_stream *stream = gw_zalloc(sizeof *stream);
        stream->store = store;
        stream->schema = schema;
        stream->generation = server->generation;
        stream->number = server->stream_open = ++server->streams;
        stream->sent = order;
        *out = stream;
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static void changes_close(struct gw_stream *stream)
{
    if (!stream)
        return;
    struct gw_memory *server = stream->store->server;
    pthread_mutex_lock(&server->lock);
    if (server->stream_open == stream->number)
        server->stream_open = 0;
    pthread_mutex_unlock(&server->lock);
    gw_buf_release(&stream->bytes);
    gw_arena_release(&stream->arena);
    free(stream);
}

/* The planned collection of an engine's number; NULL when it is not part of the plan. */
static const struct gw_collection *planned(const struct gw_stream *stream, uint32_t number)
{
    for (const struct mem_table *table = stream->store->server->tables; table; table = table->next)
        if (table->def.engine_id == number)
            return gw_schema_find(stream->schema, table->def.space, table->def.name);
    return NULL;
}

/* The next whole entry of the log that is on disk; with the lock held. */
static const struct mem_log_entry *next_entry(const struct gw_stream *stream)
{
    const struct gw_memory *server = stream->store->server;
    for (size_t i = 0; i < server->log_count; i++)
        if (server->log[i].end > stream->sent && server->log[i].end <= server->flushed)
            return &server->log[i];
    return NULL;
}

static struct gw_change stream_begin(struct gw_stream *stream, const struct mem_log_entry *entry)
{
    stream->entry_begin = entry->begin;
    stream->entry_end = entry->end;
    stream->entry_xid = entry->xid;
    stream->entry_wall_us = entry->wall_us;
    stream->inside = true;
    stream->at = 0;
    gw_buf_clear(&stream->bytes);
    gw_buf_add(&stream->bytes, entry->changes, entry->len);
    return (struct gw_change){.kind = GW_CHANGE_BEGIN,
                              .transaction = entry->xid,
                              .position = position_of(entry->begin),
                              .commit_wall_us = entry->wall_us,
                              .ours = entry->ours};
}

/* The next change inside the entry, its COMMIT at the end; *got false when the entry held none for us any more. */
static bool stream_inside(struct gw_stream *stream, struct gw_change *change, bool *got, struct gw_error *err)
{
    while (stream->at < stream->bytes.len) {
        struct gw_cursor in = gw_cursor_of(stream->bytes.data + stream->at, stream->bytes.len - stream->at);
        gw_arena_reset(&stream->arena);
        if (!gw_change_decode(&in, &stream->arena, change, err))
            return false;
        stream->at = (size_t)((const char *)in.at - stream->bytes.data);
        *got = true;
        if (change->kind == GW_CHANGE_SIGNAL)
            return true;
        const struct gw_collection *collection = planned(stream, change->collection);
        if (!collection)
            continue;
        change->collection = collection->id;
        if (change->kind == GW_CHANGE_SCHEMA)
            change->position = position_of(stream->entry_end);
        return true;
    }
    stream->inside = false;
    stream->sent = stream->entry_end;
    *got = stream->entry_xid != 0;
    *change = (struct gw_change){.kind = GW_CHANGE_COMMIT,
                                 .transaction = stream->entry_xid,
                                 .position = position_of(stream->entry_end),
                                 .commit_wall_us = stream->entry_wall_us};
    return true;
}

/* One step with the lock held; *got false when there is nothing now. */
static bool stream_step(struct gw_stream *stream, struct gw_change *change, bool *got, struct gw_error *err)
{
    *got = false;
    if (!mem_session_check(stream->store, stream->generation, err))
        return false;
    if (stream->inside) {
        if (!stream_inside(stream, change, got, err))
            return false;
        if (*got)
            return true;
    }
    const struct mem_log_entry *entry = next_entry(stream);
    if (!entry) {
        uint64_t flushed = stream->store->server->flushed;
        if (flushed > stream->sent) {
            stream->sent = flushed;
            *change = (struct gw_change){.kind = GW_CHANGE_PROGRESS, .position = position_of(flushed)};
            *got = true;
        }
        return true;
    }
    struct gw_change begin = stream_begin(stream, entry);
    if (entry->xid == 0) /* a definition: stands alone, between transactions */
        return stream_inside(stream, change, got, err);
    *change = begin;
    *got = true;
    return true;
}

static bool changes_next(struct gw_stream *stream, int timeout_ms, struct gw_change *change, bool *got,
                         struct gw_error *err)
{
    struct gw_memory *server = stream->store->server;
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = stream_step(stream, change, got, err);
    while (ok && !*got && gw_left_ms(deadline_us) > 0) {
        mem_wait(server, gw_left_ms(deadline_us) < 5 ? gw_left_ms(deadline_us) : 5);
        server->flushed = server->lsn; /* what no commit waited for reaches the disk a little later */
        ok = stream_step(stream, change, got, err);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool changes_acknowledge(struct gw_stream *stream, const struct gw_position *position, struct gw_error *err)
{
    struct gw_memory *server = stream->store->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(stream->store, stream->generation, err);
    if (ok && position->order > server->dropped) {
        server->dropped = position->order;
        size_t gone = 0;
        while (gone < server->log_count && server->log[gone].end <= server->dropped)
            free(server->log[gone++].changes);
        memmove(server->log, server->log + gone, (server->log_count - gone) * sizeof *server->log);
        server->log_count -= gone;
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool changes_horizon(struct gw_store *base, struct gw_position *out, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    if (ok)
        *out = position_of(server->lsn);
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool changes_signal(struct gw_store *base, const char *token, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    if (ok) {
        struct gw_memory_tx *tx = mem_begin(server, false);
        mem_add_change(tx, &(struct gw_change){.kind = GW_CHANGE_SIGNAL, .text = token});
        mem_log_commit(tx, true);
        mem_make_visible(tx);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool changes_seen(struct gw_store *base, const char *token, bool *seen, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    *seen = false;
    for (size_t i = 0; ok && i < server->seen_count; i++)
        if (strcmp(server->seen[i].name, token) == 0 && mem_status(server, server->seen[i].xid) == MEM_COMMITTED)
            *seen = true;
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool changes_retained(struct gw_store *base, struct gw_retained *out, struct gw_error *err)
{
    (void)err;
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    *out = (struct gw_retained){.bytes = (int64_t)(server->lsn - server->dropped),
                                .limit_bytes = -1,
                                .lost = !server->prepared,
                                .reader_attached = server->stream_open != 0};
    pthread_mutex_unlock(&server->lock);
    return true;
}

static bool changes_drop(struct gw_store *base, struct gw_error *err)
{
    (void)err;
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    server->prepared = false;
    for (size_t i = 0; i < server->log_count; i++)
        free(server->log[i].changes);
    server->log_count = 0;
    pthread_mutex_unlock(&server->lock);
    return true;
}

static bool changes_locate(struct gw_store *base, const struct gw_collection *collection, const struct gw_bound *bounds,
                           size_t bound_count, const struct gw_row *keys, size_t key_count, uint32_t *chunk,
                           struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    mem_chaos(server);
    struct gw_arena arena = {0};
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    const struct mem_table *table = mem_table_find(server, collection->space, collection->name);
    for (size_t k = 0; ok && k < key_count; k++) {
        const char *texts[MEM_MAX_COLUMNS];
        for (size_t i = 0; i < collection->key_count; i++)
            texts[i] = gw_arena_dup(&arena, keys[k].values[i].bytes, keys[k].values[i].len);
        size_t low = 0, high = bound_count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (mem_compare(table, texts, bounds[middle].texts, bounds[middle].count) >= 0)
                low = middle + 1;
            else
                high = middle;
        }
        chunk[k] = (uint32_t)low;
    }
    pthread_mutex_unlock(&server->lock);
    gw_arena_release(&arena);
    return ok;
}

const struct gw_changes_facet mem_changes = {
    .prepare = changes_prepare,
    .settled = changes_settled,
    .open = changes_open,
    .close = changes_close,
    .next = changes_next,
    .acknowledge = changes_acknowledge,
    .horizon = changes_horizon,
    .signal = changes_signal,
    .seen = changes_seen,
    .retained = changes_retained,
    .drop = changes_drop,
    .locate = changes_locate,
};
