/* Servers of this process, the store opened on one, and the application's side of it. */
#include "store/memory/memory.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/memory/engine.h"

#include <errno.h>
#include <time.h>

/* Behind the point where a stream's 32-bit number would wrap. */
#define MEM_FIRST_XID ((UINT64_C(1) << 32) - 40)

const char gw_memory_keep[] = "(kept)";

static pthread_mutex_t servers_lock = PTHREAD_MUTEX_INITIALIZER;
static struct gw_memory *servers;

static struct gw_memory *server_new(const char *name)
{
    struct gw_memory *server = gw_zalloc(sizeof *server);
    snprintf(server->name, sizeof server->name, "%s", name);
    snprintf(server->id, sizeof server->id, "%016llx", (unsigned long long)gw_random64());
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attr);
    pthread_condattr_destroy(&attr);
    server->first_xid = server->next_xid = MEM_FIRST_XID;
    server->lsn = server->flushed = 1000;
    server->generation = 1;
    server->chaos_state = 1;
    return server;
}

struct gw_memory *gw_memory_server(const char *name)
{
    pthread_mutex_lock(&servers_lock);
    struct gw_memory *server = servers;
    while (server && strcmp(server->name, name) != 0)
        server = server->next;
    if (!server) {
        server = server_new(name);
        server->next = servers;
        servers = server;
    }
    pthread_mutex_unlock(&servers_lock);
    return server;
}

static void texts_free(struct mem_home_text *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(texts[i].name);
        free(texts[i].json);
    }
    free(texts);
}

static void server_free(struct gw_memory *server)
{
    while (server->running)
        mem_rollback(server->running);
    for (struct mem_table *table = server->tables, *next = NULL; table; table = next) {
        next = table->next;
        mem_table_free(table);
    }
    for (size_t i = 0; i < server->log_count; i++)
        free(server->log[i].changes);
    for (size_t i = 0; i < server->chunk_count; i++)
        gw_checkpoint_release(&server->chunks[i].checkpoint);
    texts_free(server->seen, server->seen_count);
    texts_free(server->notes, server->note_count);
    free(server->log);
    free(server->chunks);
    free(server->positions);
    free(server->status);
    free(server->ended_at);
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->changed);
    free(server);
}

void gw_memory_forget(const char *name)
{
    pthread_mutex_lock(&servers_lock);
    for (struct gw_memory **link = &servers; *link; link = &(*link)->next) {
        if (strcmp((*link)->name, name) == 0) {
            struct gw_memory *server = *link;
            *link = server->next;
            server_free(server);
            break;
        }
    }
    pthread_mutex_unlock(&servers_lock);
}

void gw_memory_create_table(struct gw_memory *server, const char *name, const struct gw_memory_column *columns,
                            size_t count)
{
    if (count > MEM_MAX_COLUMNS)
        abort();
    struct mem_table *table = gw_zalloc(sizeof *table);
    table->def = (struct gw_collection){
        .space = gw_strdup("public"),
        .name = gw_strdup(name),
        .column_count = count,
        .columns = gw_calloc(count, sizeof *table->def.columns),
        .key = gw_calloc(count, sizeof *table->def.key),
        .key_kind = GW_KEY_NONE,
        .estimated_rows = -1,
        .estimated_bytes = -1,
        .all_binary_safe = true,
    };
    table->large = gw_calloc(count, sizeof *table->large);
    table->unique = gw_calloc(count, sizeof *table->unique);
    table->key_active = table->unique_active = true;
    for (size_t c = 0; c < count; c++) {
        table->def.columns[c] = (struct gw_column){
            .name = gw_strdup(columns[c].name), .type = gw_strdup(columns[c].type), .binary_safe = true};
        table->large[c] = columns[c].large;
        table->unique[c] = columns[c].unique;
        if (columns[c].large)
            table->def.toast_bytes = 1;
        if (columns[c].key) {
            table->def.key_kind = GW_KEY_PRIMARY;
            table->def.key[table->def.key_count++] = (uint32_t)c;
            table->def.columns[c].key_position = (int)table->def.key_count;
            table->def.columns[c].not_null = true;
        }
    }
    if (table->def.key_count > 0)
        table->def.key_index = gw_asprintf("%s_pkey", name);
    table->def.identity = gw_strdup(table->def.key_count > 0 ? "default" : "full");
    pthread_mutex_lock(&server->lock);
    static uint32_t numbers = 0;
    table->def.engine_id = __atomic_add_fetch(&numbers, 1, __ATOMIC_RELAXED);
    table->next = server->tables;
    server->tables = table;
    pthread_mutex_unlock(&server->lock);
}

/* ---- waits and randomness ---- */

uint64_t mem_random(struct gw_memory *server)
{
    uint64_t x = server->chaos_state += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

void gw_memory_chaos(struct gw_memory *server, uint64_t seed, unsigned permille)
{
    pthread_mutex_lock(&server->lock);
    server->chaos_state = seed;
    server->chaos_permille = permille;
    pthread_mutex_unlock(&server->lock);
}

void mem_chaos(struct gw_memory *server)
{
    pthread_mutex_lock(&server->lock);
    bool hit = server->chaos_permille > 0 && mem_random(server) % 1000 < server->chaos_permille;
    int64_t us = hit ? (int64_t)(mem_random(server) % 300) : 0;
    pthread_mutex_unlock(&server->lock);
    if (us > 0)
        gw_sleep_us(us);
}

void mem_wait(struct gw_memory *server, int ms)
{
    gw_cond_wait_ms(&server->changed, &server->lock, ms);
}

bool mem_session_check(struct mem_store *store, uint64_t generation, struct gw_error *err)
{
    if (gw_cancel_asked(store->cancel))
        return gw_cancel_fail(store->cancel, err);
    if (gw_cancel_asked(gw_cancel_own()))
        return gw_cancel_fail(gw_cancel_own(), err);
    if (generation == store->server->generation)
        return true;
    gw_fail(err, GW_ERR_RETRY, "the connection was lost");
    return gw_error_place(err, "%s", store->base.identity.address);
}

/* ---- the application ---- */

struct gw_memory_tx *gw_memory_begin(struct gw_memory *server)
{
    pthread_mutex_lock(&server->lock);
    struct gw_memory_tx *tx = mem_begin(server, false);
    pthread_mutex_unlock(&server->lock);
    return tx;
}

uint64_t gw_memory_xid(const struct gw_memory_tx *tx)
{
    return tx->xid;
}

#define MEM_APPLICATION(tx, name, expression)                                                                          \
    struct gw_memory *server = (tx)->server;                                                                           \
    pthread_mutex_lock(&server->lock);                                                                                 \
    struct mem_table *table = mem_table_find(server, NULL, name);                                                      \
    enum gw_memory_result result = (expression);                                                                       \
    pthread_mutex_unlock(&server->lock);                                                                               \
    return result

enum gw_memory_result gw_memory_insert(struct gw_memory_tx *tx, const char *name, const char *const *values)
{
    MEM_APPLICATION(tx, name, mem_insert(tx, table, values));
}

enum gw_memory_result gw_memory_update(struct gw_memory_tx *tx, const char *name, const char *const *key,
                                       const char *const *values)
{
    MEM_APPLICATION(tx, name, mem_update(tx, table, key, values));
}

enum gw_memory_result gw_memory_delete(struct gw_memory_tx *tx, const char *name, const char *const *key)
{
    MEM_APPLICATION(tx, name, mem_delete(tx, table, key));
}

enum gw_memory_result gw_memory_truncate(struct gw_memory_tx *tx, const char *name)
{
    MEM_APPLICATION(tx, name, mem_truncate(tx, table));
}

void gw_memory_savepoint(struct gw_memory_tx *tx)
{
    tx->savepoint_undo = tx->undo_count;
    tx->savepoint_bytes = tx->changes.len;
    tx->has_savepoint = true;
}

void gw_memory_rollback_to(struct gw_memory_tx *tx)
{
    if (!tx->has_savepoint)
        return;
    pthread_mutex_lock(&tx->server->lock);
    mem_undo_to(tx, tx->savepoint_undo);
    tx->changes.len = tx->savepoint_bytes;
    pthread_mutex_unlock(&tx->server->lock);
}

void gw_memory_rollback(struct gw_memory_tx *tx)
{
    struct gw_memory *server = tx->server;
    pthread_mutex_lock(&server->lock);
    mem_undo_to(tx, 0);
    mem_rollback(tx);
    pthread_mutex_unlock(&server->lock);
}

void gw_memory_log_commit(struct gw_memory_tx *tx)
{
    struct gw_memory *server = tx->server;
    pthread_mutex_lock(&server->lock);
    mem_log_commit(tx, true);
    pthread_mutex_unlock(&server->lock);
}

void gw_memory_make_visible(struct gw_memory_tx *tx)
{
    struct gw_memory *server = tx->server;
    pthread_mutex_lock(&server->lock);
    mem_make_visible(tx);
    pthread_mutex_unlock(&server->lock);
}

void gw_memory_commit(struct gw_memory_tx *tx)
{
    gw_memory_log_commit(tx);
    gw_memory_make_visible(tx);
}

void gw_memory_sort_backwards(struct gw_memory *server, const char *name)
{
    pthread_mutex_lock(&server->lock);
    mem_table_find(server, NULL, name)->backwards = true;
    pthread_mutex_unlock(&server->lock);
}

void gw_memory_alter(struct gw_memory *server, const char *name, const char *how)
{
    pthread_mutex_lock(&server->lock);
    struct mem_table *table = mem_table_find(server, NULL, name);
    if (server->prepared && table) {
        struct gw_buf bytes = {0};
        server->log = gw_grow(server->log, &server->log_capacity, server->log_count, sizeof *server->log);
        uint64_t begin = server->lsn;
        server->lsn += 32;
        server->flushed = server->lsn;
        gw_change_encode(
            &bytes, &(struct gw_change){.kind = GW_CHANGE_SCHEMA, .collection = table->def.engine_id, .text = how});
        size_t len = bytes.len;
        server->log[server->log_count++] = (struct mem_log_entry){
            .begin = begin, .end = server->lsn, .wall_us = gw_wall_us(), .len = len, .changes = gw_buf_detach(&bytes)};
    }
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

/* ---- faults ---- */

static void rollback_ours(struct gw_memory *server)
{
    for (struct gw_memory_tx *tx = server->running, *next = NULL; tx; tx = next) {
        next = tx->next;
        if (tx->ours) {
            mem_undo_to(tx, 0);
            mem_rollback(tx);
        }
    }
}

static void break_sessions(struct gw_memory *server)
{
    server->generation++;
    server->stream_open = 0;
    for (struct mem_table *table = server->tables; table; table = table->next)
        table->readers = 0;
    rollback_ours(server);
    pthread_cond_broadcast(&server->changed);
}

void gw_memory_drop_sessions(struct gw_memory *server)
{
    pthread_mutex_lock(&server->lock);
    break_sessions(server);
    pthread_mutex_unlock(&server->lock);
}

void gw_memory_crash(struct gw_memory *server, uint64_t seed)
{
    pthread_mutex_lock(&server->lock);
    break_sessions(server);
    uint64_t keep = server->flushed;
    if (server->lsn > server->flushed)
        keep += seed % (server->lsn - server->flushed + 1);
    for (uint64_t xid = server->first_xid; xid < server->next_xid; xid++) {
        size_t at = (size_t)(xid - server->first_xid);
        if (server->status[at] == MEM_COMMITTED && server->ended_at[at] > keep)
            server->status[at] = MEM_ABORTED;
    }
    while (server->log_count > 0 && server->log[server->log_count - 1].end > keep)
        free(server->log[--server->log_count].changes);
    server->flushed = server->lsn = keep;
    pthread_mutex_unlock(&server->lock);
}

/* ---- looking ---- */

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *row_line(const struct mem_table *table, char *const *values)
{
    struct gw_buf line = {0};
    for (size_t c = 0; c < table->def.column_count; c++)
        gw_buf_addf(&line, "%s%s", c > 0 ? "|" : "", values[c] ? values[c] : "\\N");
    return gw_buf_detach(&line);
}

void gw_memory_dump(struct gw_memory *server, const char *name, struct gw_buf *out)
{
    pthread_mutex_lock(&server->lock);
    const struct mem_table *table = mem_table_find(server, NULL, name);
    struct gw_mark mark;
    mem_take_mark(server, &mark);
    char **lines = NULL;
    size_t count = 0, capacity = 0;
    for (size_t i = 0; table && i < table->count; i++) {
        if (!mem_visible(server, &table->versions[i], &mark))
            continue;
        lines = gw_grow(lines, &capacity, count, sizeof *lines);
        lines[count++] = row_line(table, table->versions[i].values);
    }
    gw_mark_release(&mark);
    pthread_mutex_unlock(&server->lock);
    if (count > 0)
        qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++) {
        gw_buf_addf(out, "%s\n", lines[i]);
        free(lines[i]);
    }
    free(lines);
}

uint64_t gw_memory_rows(struct gw_memory *server, const char *name)
{
    pthread_mutex_lock(&server->lock);
    const struct mem_table *table = mem_table_find(server, NULL, name);
    struct gw_mark mark;
    mem_take_mark(server, &mark);
    uint64_t rows = 0;
    for (size_t i = 0; table && i < table->count; i++)
        rows += mem_visible(server, &table->versions[i], &mark);
    gw_mark_release(&mark);
    pthread_mutex_unlock(&server->lock);
    return rows;
}

uint64_t gw_memory_log_order(struct gw_memory *server)
{
    pthread_mutex_lock(&server->lock);
    uint64_t order = server->lsn;
    pthread_mutex_unlock(&server->lock);
    return order;
}

/* ---- the type ---- */

static bool memory_open(const struct gw_store_options *options, struct gw_store **out, struct gw_error *err)
{
    const char *name = strncmp(options->url, "memory://", 9) == 0 ? options->url + 9 : "";
    if (!*name)
        return gw_fail(err, GW_ERR_USER, "a memory store needs a name: memory://NAME");
    struct mem_store *store = gw_zalloc(sizeof *store);
    store->server = gw_memory_server(name);
    store->cancel = options->cancel;
    snprintf(store->migration, sizeof store->migration, "%s", options->migration ? options->migration : "");
    store->base = (struct gw_store){.type = &gw_store_memory, .side = options->side};
    struct gw_identity *identity = &store->base.identity;
    snprintf(identity->server, sizeof identity->server, "%s", store->server->id);
    snprintf(identity->database, sizeof identity->database, "%s", name);
    snprintf(identity->product, sizeof identity->product, "memory");
    snprintf(identity->address, sizeof identity->address, "memory://%s", name);
    identity->version = 1;
    identity->capabilities = gw_store_memory.capabilities;
    identity->loopback = identity->encrypted = true;
    *out = &store->base;
    return true;
}

static void memory_close(struct gw_store *base)
{
    free(mem_store_of(base));
}

static const char *const memory_schemes[] = {"memory", NULL};
const struct gw_store_type gw_store_memory = {
    .contract = GW_STORE_CONTRACT,
    .name = "memory",
    .schemes = memory_schemes,
    .default_space = "public",
    .capabilities = GW_CAN_LOG_CASCADES | GW_CAN_TRANSACT | GW_CAN_PASS_THROUGH | GW_CAN_TRUNCATE_STREAM |
                    GW_CAN_FENCE | GW_CAN_REPLICA_ROLE,
    .open = memory_open,
    .close = memory_close,
    .catalog = &mem_catalog,
    .reader = &mem_reader,
    .writer = &mem_writer,
    .changes = &mem_changes,
    .scan = &mem_scan,
    .ownership = &mem_ownership,
    .fence = &mem_fence,
    .sessions = &mem_sessions,
    .schema = &mem_schema,
};
