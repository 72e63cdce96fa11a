/* Chunks out of the reference engine. A block is a number of rows in the flat encoding, one behind the other. */
#include "base/mem.h"
#include "store/memory/engine.h"

#define MEM_BLOCK_ROWS 16

struct gw_reader {
    struct mem_store *store;
    uint64_t generation;
    struct mem_table *table; /* locked for sharing */
    struct gw_mark mark;
    struct gw_range range;
    uint32_t at; /* next version to look at */
    struct gw_buf block;
    struct gw_arena arena;
};

static bool reader_open(struct gw_store *base, struct gw_reader **out, struct gw_error *err)
{
    (void)err;
    struct gw_reader *reader = gw_zalloc(sizeof *reader);
    reader->store = mem_store_of(base);
    pthread_mutex_lock(&reader->store->server->lock);
    reader->generation = reader->store->server->generation;
    pthread_mutex_unlock(&reader->store->server->lock);
    *out = reader;
    return true;
}

static void reader_unlock_table(struct gw_reader *reader)
{
    if (reader->table && reader->generation == reader->store->server->generation && reader->table->readers > 0)
        reader->table->readers--;
    reader->table = NULL;
    gw_mark_release(&reader->mark);
    gw_range_release(&reader->range);
    pthread_cond_broadcast(&reader->store->server->changed);
}

static void reader_close(struct gw_reader *reader)
{
    if (!reader)
        return;
    pthread_mutex_lock(&reader->store->server->lock);
    reader_unlock_table(reader);
    pthread_mutex_unlock(&reader->store->server->lock);
    gw_buf_release(&reader->block);
    gw_arena_release(&reader->arena);
    free(reader);
}

/* Waits out whoever rewrites the table; with the lock held. */
static bool reader_lock_table(struct gw_reader *reader, const struct gw_collection *collection, struct gw_error *err)
{
    struct gw_memory *server = reader->store->server;
    if (!mem_session_check(reader->store, reader->generation, err))
        return false;
    struct mem_table *table = mem_table_find(server, collection->space, collection->name);
    if (!table)
        return gw_fail(err, GW_ERR_CONFLICT, "%s is not there", gw_collection_label(collection));
    while (table->exclusive != 0) {
        mem_wait(server, 20);
        if (!mem_session_check(reader->store, reader->generation, err))
            return false;
    }
    table->readers++;
    reader->table = table;
    return true;
}

/* ---- split ---- */

struct split_keys {
    const struct mem_table *table;
    uint32_t *versions;
    size_t count, capacity;
};

static int compare_versions(const void *a, const void *b, void *arg)
{
    const struct mem_table *table = ((struct split_keys *)arg)->table;
    const char *key[MEM_MAX_COLUMNS], *other[MEM_MAX_COLUMNS];
    mem_key_of(table, table->versions[*(const uint32_t *)a].values, key);
    mem_key_of(table, table->versions[*(const uint32_t *)b].values, other);
    return mem_compare(table, key, (char *const *)other, table->def.key_count);
}

static void split_collect(struct gw_memory *server, struct split_keys *keys, const struct gw_bound *low)
{
    struct gw_mark mark;
    mem_take_mark(server, &mark);
    struct gw_range range = {.low = *low};
    for (uint32_t i = 0; i < keys->table->count; i++) {
        const struct mem_version *version = &keys->table->versions[i];
        if (!mem_visible(server, version, &mark) || !mem_in_range(keys->table, version->values, &range))
            continue;
        keys->versions = gw_grow(keys->versions, &keys->capacity, keys->count, sizeof *keys->versions);
        keys->versions[keys->count++] = i;
    }
    gw_mark_release(&mark);
    if (keys->count > 0)
        qsort_r(keys->versions, keys->count, sizeof *keys->versions, compare_versions, keys);
}

static bool reader_split(struct gw_reader *reader, const struct gw_collection *collection, const struct gw_bound *low,
                         int64_t rows, struct gw_bound *next, bool *last, struct gw_error *err)
{
    struct gw_memory *server = reader->store->server;
    mem_chaos(server);
    *next = (struct gw_bound){0};
    *last = true;
    if (collection->key_count == 0)
        return true;
    pthread_mutex_lock(&server->lock);
    if (!reader_lock_table(reader, collection, err)) {
        pthread_mutex_unlock(&server->lock);
        return false;
    }
    struct split_keys keys = {.table = reader->table};
    split_collect(server, &keys, low);
    if (keys.count > (size_t)rows) {
        *last = false;
        next->count = (uint32_t)collection->key_count;
        next->texts = gw_calloc(collection->key_count, sizeof *next->texts);
        const char *key[MEM_MAX_COLUMNS];
        mem_key_of(keys.table, keys.table->versions[keys.versions[rows]].values, key);
        for (size_t i = 0; i < collection->key_count; i++)
            next->texts[i] = gw_strdup(key[i]);
    }
    free(keys.versions);
    reader_unlock_table(reader);
    pthread_mutex_unlock(&server->lock);
    return true;
}

/* ---- one chunk ---- */

static bool reader_begin(struct gw_reader *reader, const struct gw_collection *collection, const struct gw_range *range,
                         struct gw_mark *mark, struct gw_error *err)
{
    struct gw_memory *server = reader->store->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = reader_lock_table(reader, collection, err);
    if (ok) {
        mem_take_mark(server, &reader->mark);
        gw_mark_copy(mark, &reader->mark);
        reader->range = (struct gw_range){.low = gw_bound_copy(&range->low), .high = gw_bound_copy(&range->high)};
        reader->at = 0;
    }
    pthread_mutex_unlock(&server->lock);
    mem_chaos(server);
    return ok;
}

static bool reader_next(struct gw_reader *reader, struct gw_block *block, struct gw_error *err)
{
    struct gw_memory *server = reader->store->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(reader->store, reader->generation, err);
    gw_buf_clear(&reader->block);
    *block = (struct gw_block){0};
    while (ok && block->rows < MEM_BLOCK_ROWS && reader->at < reader->table->count) {
        const struct mem_version *version = &reader->table->versions[reader->at++];
        if (!mem_visible(server, version, &reader->mark) ||
            !mem_in_range(reader->table, version->values, &reader->range))
            continue;
        struct gw_value room[MEM_MAX_COLUMNS];
        for (size_t c = 0; c < reader->table->def.column_count; c++)
            room[c] = gw_value_text(version->values[c]);
        gw_row_encode(&reader->block,
                      &(struct gw_row){.count = (uint32_t)reader->table->def.column_count, .values = room});
        block->rows++;
    }
    pthread_mutex_unlock(&server->lock);
    block->bytes = reader->block.data;
    block->len = reader->block.len;
    return ok;
}

static bool reader_end(struct gw_reader *reader, struct gw_error *err)
{
    pthread_mutex_lock(&reader->store->server->lock);
    bool ok = mem_session_check(reader->store, reader->generation, err);
    reader_unlock_table(reader);
    pthread_mutex_unlock(&reader->store->server->lock);
    return ok;
}

static bool key_matches(const struct mem_table *table, char *const *values, const struct gw_row *key)
{
    for (uint32_t i = 0; i < key->count; i++) {
        const char *have = values[table->def.key[i]];
        if (strlen(have) != key->values[i].len || memcmp(have, key->values[i].bytes, key->values[i].len) != 0)
            return false;
    }
    return true;
}

static bool reader_refetch(struct gw_reader *reader, const struct gw_collection *collection, const struct gw_row *key,
                           struct gw_mark *mark, bool *found, struct gw_row *row, struct gw_error *err)
{
    struct gw_memory *server = reader->store->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    if (!reader_lock_table(reader, collection, err)) {
        pthread_mutex_unlock(&server->lock);
        return false;
    }
    mem_take_mark(server, mark);
    gw_arena_reset(&reader->arena);
    *found = false;
    for (uint32_t i = 0; i < reader->table->count && !*found; i++) {
        const struct mem_version *version = &reader->table->versions[i];
        if (!mem_visible(server, version, mark) || !key_matches(reader->table, version->values, key))
            continue;
        struct gw_value room[MEM_MAX_COLUMNS];
        for (size_t c = 0; c < collection->column_count; c++)
            room[c] = gw_value_text(version->values[c]);
        *row =
            gw_row_copy(&reader->arena, &(struct gw_row){.count = (uint32_t)collection->column_count, .values = room});
        *found = true;
    }
    reader_unlock_table(reader);
    pthread_mutex_unlock(&server->lock);
    return true;
}

const struct gw_reader_facet mem_reader = {
    .open = reader_open,
    .close = reader_close,
    .split = reader_split,
    .begin = reader_begin,
    .next = reader_next,
    .end = reader_end,
    .refetch = reader_refetch,
};
