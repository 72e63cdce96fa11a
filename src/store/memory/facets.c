/* The smaller facets of the reference engine. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/memory/engine.h"

/* ---- catalog ---- */

static void collection_copy(struct gw_collection *to, const struct gw_collection *from)
{
    *to = *from;
    to->space = gw_strdup(from->space);
    to->name = gw_strdup(from->name);
    to->key_index = from->key_index ? gw_strdup(from->key_index) : NULL;
    to->identity = from->identity ? gw_strdup(from->identity) : NULL;
    to->parent = NULL;
    to->columns = gw_calloc(from->column_count, sizeof *to->columns);
    to->key = gw_calloc(from->column_count, sizeof *to->key);
    for (size_t c = 0; c < from->column_count; c++) {
        to->columns[c] = from->columns[c];
        to->columns[c].name = gw_strdup(from->columns[c].name);
        to->columns[c].type = gw_strdup(from->columns[c].type);
    }
    for (size_t i = 0; i < from->key_count; i++)
        to->key[i] = from->key[i];
}

static int compare_collections(const void *a, const void *b)
{
    return strcmp(((const struct gw_collection *)a)->name, ((const struct gw_collection *)b)->name);
}

static bool catalog_list(struct gw_store *base, const struct gw_filter *filter, struct gw_schema *out,
                         struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    *out = (struct gw_schema){0};
    size_t capacity = 0;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    for (const struct mem_table *table = server->tables; ok && table; table = table->next) {
        if (filter && !gw_filter_match(filter, table->def.space, table->def.name))
            continue;
        out->collections = gw_grow(out->collections, &capacity, out->count, sizeof *out->collections);
        collection_copy(&out->collections[out->count++], &table->def);
    }
    pthread_mutex_unlock(&server->lock);
    if (out->count > 0)
        qsort(out->collections, out->count, sizeof *out->collections, compare_collections);
    for (size_t i = 0; i < out->count; i++)
        out->collections[i].id = (uint32_t)i;
    return ok;
}

static bool catalog_fingerprint(struct gw_store *base, const struct gw_filter *filter, struct gw_buf *out,
                                struct gw_error *err)
{
    struct gw_schema schema;
    if (!catalog_list(base, filter, &schema, err))
        return false;
    for (size_t i = 0; i < schema.count; i++) {
        schema.collections[i].engine_id = 0;
        gw_collection_format(&schema.collections[i], out);
    }
    gw_schema_release(&schema);
    return true;
}

const struct gw_catalog_facet mem_catalog = {.list = catalog_list, .fingerprint = catalog_fingerprint};

/* ---- scan ---- */

struct gw_scan {
    struct mem_store *store;
    uint64_t generation;
    const struct mem_table *table;
    uint32_t *versions;
    size_t count, capacity, at;
    struct gw_arena arena;
};

static bool scan_open(struct gw_store *base, struct gw_scan **out, struct gw_error *err)
{
    (void)err;
    struct gw_scan *scan = gw_zalloc(sizeof *scan);
    scan->store = mem_store_of(base);
    pthread_mutex_lock(&scan->store->server->lock);
    scan->generation = scan->store->server->generation;
    pthread_mutex_unlock(&scan->store->server->lock);
    *out = scan;
    return true;
}

static void scan_close(struct gw_scan *scan)
{
    if (!scan)
        return;
    free(scan->versions);
    gw_arena_release(&scan->arena);
    free(scan);
}

static int compare_scan(const void *a, const void *b, void *arg)
{
    const struct mem_table *table = arg;
    const char *key[MEM_MAX_COLUMNS], *other[MEM_MAX_COLUMNS];
    mem_key_of(table, table->versions[*(const uint32_t *)a].values, key);
    mem_key_of(table, table->versions[*(const uint32_t *)b].values, other);
    return mem_compare(table, key, (char *const *)other, table->def.key_count);
}

static struct gw_position end_of(const struct gw_memory *server)
{
    struct gw_position at = {.order = server->lsn};
    snprintf(at.text, sizeof at.text, "%llu", (unsigned long long)server->lsn);
    return at;
}

static bool scan_begin(struct gw_scan *scan, const struct gw_collection *collection, const struct gw_range *range,
                       bool ordered, struct gw_position *at, struct gw_error *err)
{
    struct gw_memory *server = scan->store->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(scan->store, scan->generation, err);
    scan->table = ok ? mem_table_find(server, collection->space, collection->name) : NULL;
    if (ok && !scan->table)
        ok = gw_fail(err, GW_ERR_CONFLICT, "%s is not there", gw_collection_label(collection));
    scan->count = scan->at = 0;
    if (ok && scan->table) {
        struct gw_mark mark;
        mem_take_mark(server, &mark);
        for (uint32_t i = 0; i < scan->table->count; i++) {
            if (!mem_visible(server, &scan->table->versions[i], &mark) ||
                !mem_in_range(scan->table, scan->table->versions[i].values, range))
                continue;
            scan->versions = gw_grow(scan->versions, &scan->capacity, scan->count, sizeof *scan->versions);
            scan->versions[scan->count++] = i;
        }
        gw_mark_release(&mark);
        if (ordered && scan->count > 0 && scan->table->def.key_count > 0)
            qsort_r(scan->versions, scan->count, sizeof *scan->versions, compare_scan, (void *)scan->table);
        *at = end_of(server);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static struct gw_row scan_row(struct gw_scan *scan, const struct mem_version *version)
{
    size_t count = scan->table->def.column_count;
    struct gw_value room[MEM_MAX_COLUMNS];
    for (size_t c = 0; c < count; c++)
        room[c] = gw_value_text(version->values[c]);
    return gw_row_copy(&scan->arena, &(struct gw_row){.count = (uint32_t)count, .values = room});
}

static bool scan_next(struct gw_scan *scan, struct gw_row *row, bool *end, struct gw_error *err)
{
    struct gw_memory *server = scan->store->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(scan->store, scan->generation, err);
    *end = scan->at >= scan->count;
    if (ok && !*end) {
        gw_arena_reset(&scan->arena);
        *row = scan_row(scan, &scan->table->versions[scan->versions[scan->at++]]);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool scan_end(struct gw_scan *scan, struct gw_error *err)
{
    (void)scan;
    (void)err;
    return true;
}

static bool scan_key_is(const struct mem_table *table, char *const *values, const struct gw_row *key)
{
    for (uint32_t i = 0; i < key->count; i++) {
        const char *have = values[table->def.key[i]];
        if (strlen(have) != key->values[i].len || memcmp(have, key->values[i].bytes, key->values[i].len) != 0)
            return false;
    }
    return true;
}

static bool scan_fetch(struct gw_scan *scan, const struct gw_collection *collection, const struct gw_row *keys,
                       size_t key_count, struct gw_row *rows, struct gw_position *at, struct gw_error *err)
{
    struct gw_memory *server = scan->store->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(scan->store, scan->generation, err);
    scan->table = ok ? mem_table_find(server, collection->space, collection->name) : NULL;
    if (ok && !scan->table)
        ok = gw_fail(err, GW_ERR_CONFLICT, "%s is not there", gw_collection_label(collection));
    gw_arena_reset(&scan->arena);
    struct gw_mark mark = {0};
    if (ok)
        mem_take_mark(server, &mark);
    for (size_t k = 0; ok && k < key_count; k++) {
        rows[k] = (struct gw_row){0};
        for (uint32_t i = 0; i < scan->table->count; i++)
            if (mem_visible(server, &scan->table->versions[i], &mark) &&
                scan_key_is(scan->table, scan->table->versions[i].values, &keys[k]))
                rows[k] = scan_row(scan, &scan->table->versions[i]);
    }
    gw_mark_release(&mark);
    if (ok)
        *at = end_of(server);
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static void scan_print(const struct gw_column *column, const struct gw_value *value, struct gw_buf *out)
{
    (void)column;
    if (value->kind == GW_VALUE_NULL)
        gw_buf_adds(out, "NULL");
    else
        gw_buf_add(out, value->bytes, value->len);
}

const struct gw_scan_facet mem_scan = {
    .open = scan_open,
    .close = scan_close,
    .begin = scan_begin,
    .next = scan_next,
    .end = scan_end,
    .fetch = scan_fetch,
    .print = scan_print,
};

/* ---- ownership ---- */

static bool ownership_install(struct gw_store *base, const char *migration_id, struct gw_error *err)
{
    struct mem_store *store = mem_store_of(base);
    struct gw_memory *server = store->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(store, server->generation, err);
    if (ok && server->installed && strcmp(server->owner.migration_id, migration_id) != 0)
        ok = gw_fail(err, GW_ERR_CONFLICT, "%s belongs to another migration, \"%s\"", base->identity.address,
                     server->owner.migration);
    if (ok && !server->installed) {
        server->installed = true;
        server->owner = (struct gw_owner){.owner = GW_BLUE, .epoch = 1};
        snprintf(server->owner.migration, sizeof server->owner.migration, "%s", store->migration);
        snprintf(server->owner.migration_id, sizeof server->owner.migration_id, "%s", migration_id);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool ownership_get(struct gw_store *base, struct gw_owner *out, bool *installed, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    *out = server->owner;
    *installed = server->installed;
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool ownership_compare_and_set(struct gw_store *base, const struct gw_owner *expected, enum gw_side owner,
                                      bool *done, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    *done = ok && server->installed && server->owner.owner == expected->owner && server->owner.epoch == expected->epoch;
    if (*done) {
        server->owner.owner = owner;
        server->owner.epoch++;
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static struct mem_home_text *note_find(struct gw_memory *server, const char *name)
{
    for (size_t i = 0; i < server->note_count; i++)
        if (strcmp(server->notes[i].name, name) == 0)
            return &server->notes[i];
    return NULL;
}

static bool ownership_note(struct gw_store *base, const char *name, const char *json, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    struct mem_home_text *note = note_find(server, name);
    if (ok && !note) {
        server->notes = gw_grow(server->notes, &server->note_capacity, server->note_count, sizeof *server->notes);
        note = &server->notes[server->note_count++];
        *note = (struct mem_home_text){.name = gw_strdup(name)};
    }
    if (ok) {
        free(note->json);
        note->json = gw_strdup(json);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool ownership_noted(struct gw_store *base, const char *name, struct gw_buf *json, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    const struct mem_home_text *note = note_find(server, name);
    if (ok && note)
        gw_buf_adds(json, note->json);
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool ownership_uninstall(struct gw_store *base, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    if (ok) {
        server->installed = server->raised = server->fence_installed = false;
        server->position_count = 0;
        for (size_t i = 0; i < server->chunk_count; i++)
            gw_checkpoint_release(&server->chunks[i].checkpoint);
        server->chunk_count = 0;
        for (size_t i = 0; i < server->note_count; i++) {
            free(server->notes[i].name);
            free(server->notes[i].json);
        }
        server->note_count = 0;
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool ownership_leftovers(struct gw_store *base, struct gw_buf *lines, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    if (ok && server->installed)
        gw_buf_adds(lines, "home\n");
    if (ok && server->prepared)
        gw_buf_adds(lines, "log\n");
    pthread_mutex_unlock(&server->lock);
    return ok;
}

const struct gw_ownership_facet mem_ownership = {
    .install = ownership_install,
    .get = ownership_get,
    .compare_and_set = ownership_compare_and_set,
    .note = ownership_note,
    .noted = ownership_noted,
    .uninstall = ownership_uninstall,
    .leftovers = ownership_leftovers,
};

/* ---- fence ---- */

static bool fence_install(struct gw_store *base, const struct gw_schema *schema, struct gw_error *err)
{
    (void)schema;
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    server->fence_installed |= ok;
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool writers_in_progress(const struct gw_memory *server)
{
    for (const struct gw_memory_tx *tx = server->running; tx; tx = tx->next)
        if (!tx->ours && tx->undo_count > 0)
            return true;
    return false;
}

static bool fence_raise(struct gw_store *base, const struct gw_schema *schema, int lock_timeout_ms,
                        struct gw_position *at, struct gw_error *err)
{
    (void)schema;
    struct gw_memory *server = mem_store_of(base)->server;
    int64_t deadline_us = gw_mono_us() + (int64_t)lock_timeout_ms * 1000;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    uint64_t generation = server->generation;
    bool ok = mem_session_check(mem_store_of(base), generation, err);
    while (ok && writers_in_progress(server)) {
        if (gw_left_ms(deadline_us) == 0) {
            ok = gw_fail(err, GW_ERR_RETRY, "writers did not end within %d ms: nothing was changed", lock_timeout_ms);
            break;
        }
        mem_wait(server, 5);
        ok = mem_session_check(mem_store_of(base), generation, err);
    }
    if (ok) {
        server->raised = true;
        *at = end_of(server);
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool fence_lower(struct gw_store *base, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    if (ok && server->installed && server->owner.owner != base->side)
        ok = gw_fail(err, GW_ERR_CONFLICT, "the fence on %s stays up: the row there names the other side",
                     gw_side_name(base->side));
    if (ok)
        server->raised = false;
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool fence_is_raised(struct gw_store *base, bool *raised, struct gw_error *err)
{
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(base), server->generation, err);
    *raised = server->raised;
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool fence_prove(struct gw_store *base, const struct gw_schema *schema, bool *held, struct gw_buf *how,
                        struct gw_error *err)
{
    (void)schema;
    gw_buf_adds(how, "the flag every write of another session reads");
    return fence_is_raised(base, held, err);
}

static bool fence_holes(struct gw_store *base, const struct gw_schema *schema, struct gw_buf *lines,
                        struct gw_error *err)
{
    (void)schema;
    (void)err;
    struct gw_memory *server = mem_store_of(base)->server;
    pthread_mutex_lock(&server->lock);
    if (!server->fence_installed)
        gw_buf_adds(lines, "the fence is not installed\n");
    pthread_mutex_unlock(&server->lock);
    return true;
}

const struct gw_fence_facet mem_fence = {
    .install = fence_install,
    .raise = fence_raise,
    .lower = fence_lower,
    .is_raised = fence_is_raised,
    .prove = fence_prove,
    .holes = fence_holes,
};

/* ---- sessions: an application in this process has none ---- */

static bool sessions_census(struct gw_store *base, struct gw_session_info **out, size_t *count, struct gw_error *err)
{
    (void)base;
    (void)err;
    *out = NULL;
    *count = 0;
    return true;
}

static bool sessions_end(struct gw_store *base, int64_t id, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_USER, "no session %lld on %s", (long long)id, base->identity.address);
}

const struct gw_sessions_facet mem_sessions = {.census = sessions_census, .end = sessions_end};

/* ---- schema ---- */

static void create_like(struct gw_memory *target, const struct gw_collection *from, const bool *large,
                        const bool *unique)
{
    struct gw_memory_column columns[MEM_MAX_COLUMNS];
    for (size_t c = 0; c < from->column_count; c++)
        columns[c] = (struct gw_memory_column){
            .name = from->columns[c].name, .type = from->columns[c].type, .large = large[c], .unique = unique[c]};
    for (size_t i = 0; i < from->key_count; i++)
        columns[from->key[i]].key = true;
    gw_memory_create_table(target, from->name, columns, from->column_count);
    pthread_mutex_lock(&target->lock);
    struct mem_table *made = mem_table_find(target, NULL, from->name);
    made->key_active = made->unique_active = false;
    pthread_mutex_unlock(&target->lock);
}

static bool schema_create(struct gw_store *source, struct gw_store *target, const struct gw_filter *filter,
                          const char *work_dir, struct gw_error *err)
{
    (void)work_dir;
    struct gw_schema wanted;
    if (!catalog_list(source, filter, &wanted, err))
        return false;
    struct gw_memory *from = mem_store_of(source)->server, *to = mem_store_of(target)->server;
    for (size_t i = 0; i < wanted.count; i++) {
        pthread_mutex_lock(&to->lock);
        bool there = mem_table_find(to, NULL, wanted.collections[i].name) != NULL;
        pthread_mutex_unlock(&to->lock);
        pthread_mutex_lock(&from->lock);
        const struct mem_table *like = mem_table_find(from, NULL, wanted.collections[i].name);
        pthread_mutex_unlock(&from->lock);
        if (!there && like)
            create_like(to, &wanted.collections[i], like->large, like->unique);
    }
    gw_schema_release(&wanted);
    return true;
}

/* Two live rows may not have the same text in these columns. With the lock held. */
static bool no_duplicates(struct gw_memory *server, const struct mem_table *table, bool of_key, size_t column)
{
    struct gw_mark mark;
    mem_take_mark(server, &mark);
    bool distinct = true;
    for (size_t i = 0; i < table->count && distinct; i++) {
        if (!mem_visible(server, &table->versions[i], &mark))
            continue;
        char *const *a = table->versions[i].values;
        size_t j = of_key ? table->versions[i].next : (size_t)i + 1;
        while (j < table->count && distinct) {
            char *const *b = table->versions[j].values;
            bool same = true;
            if (of_key)
                for (size_t k = 0; k < table->def.key_count && same; k++)
                    same = strcmp(a[table->def.key[k]], b[table->def.key[k]]) == 0;
            else
                same = a[column] && b[column] && strcmp(a[column], b[column]) == 0;
            distinct = !(same && mem_visible(server, &table->versions[j], &mark));
            j = of_key ? table->versions[j].next : j + 1;
        }
    }
    gw_mark_release(&mark);
    return distinct;
}

static bool schema_create_key(struct gw_store *target, const struct gw_collection *collection, const char *work_dir,
                              struct gw_error *err)
{
    (void)work_dir;
    struct gw_memory *server = mem_store_of(target)->server;
    mem_chaos(server);
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(target), server->generation, err);
    struct mem_table *table = mem_table_find(server, collection->space, collection->name);
    if (ok && table && table->def.key_count > 0 && !table->key_active && !no_duplicates(server, table, true, 0))
        ok = gw_fail(err, GW_ERR_CONFLICT, "the key of %s is not unique", gw_collection_label(collection));
    if (ok && table)
        table->key_active = true;
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool schema_create_indexes(struct gw_store *target, const char *work_dir, int jobs, struct gw_error *err)
{
    (void)work_dir;
    (void)jobs;
    struct gw_memory *server = mem_store_of(target)->server;
    pthread_mutex_lock(&server->lock);
    bool ok = mem_session_check(mem_store_of(target), server->generation, err);
    for (struct mem_table *table = server->tables; ok && table; table = table->next) {
        for (size_t c = 0; c < table->def.column_count && ok; c++)
            if (table->unique[c] && !table->unique_active && !no_duplicates(server, table, false, c))
                ok = gw_fail(err, GW_ERR_CONFLICT, "column %s of %s is not unique", table->def.columns[c].name,
                             gw_collection_label(&table->def));
        table->unique_active |= ok;
    }
    pthread_mutex_unlock(&server->lock);
    return ok;
}

static bool schema_finish(struct gw_store *target, const char *work_dir, struct gw_error *err)
{
    (void)target;
    (void)work_dir;
    (void)err;
    return true;
}

static bool schema_analyze(struct gw_store *target, const struct gw_schema *schema, int jobs, struct gw_error *err)
{
    (void)target;
    (void)schema;
    (void)jobs;
    (void)err;
    return true;
}

static bool schema_sync_sequences(struct gw_store *from, struct gw_store *to, size_t *count, struct gw_error *err)
{
    (void)from;
    (void)to;
    (void)err;
    *count = 0;
    return true;
}

const struct gw_schema_facet mem_schema = {
    .create = schema_create,
    .create_key = schema_create_key,
    .create_indexes = schema_create_indexes,
    .finish = schema_finish,
    .analyze = schema_analyze,
    .sync_sequences = schema_sync_sequences,
};
