/* Rows and their versions: who sees what, and who waits for whom. Everything with the server's lock held. */
#include "base/hash.h"
#include "base/mem.h"
#include "store/memory/engine.h"

#define MEM_NONE UINT32_MAX

struct mem_table *mem_table_find(struct gw_memory *server, const char *space, const char *name)
{
    for (struct mem_table *table = server->tables; table; table = table->next)
        if (strcmp(table->def.name, name) == 0 && (!space || strcmp(table->def.space, space) == 0))
            return table;
    return NULL;
}

static void version_free(const struct mem_table *table, struct mem_version *version)
{
    for (size_t c = 0; c < table->def.column_count; c++)
        free(version->values[c]);
    free(version->values);
}

void mem_table_free(struct mem_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        version_free(table, &table->versions[i]);
    gw_collection_release(&table->def);
    free(table->large);
    free(table->unique);
    free(table->versions);
    free(table->buckets);
    free(table);
}

size_t mem_key_count(const struct mem_table *table)
{
    return table->def.key_count > 0 ? table->def.key_count : table->def.column_count;
}

void mem_key_of(const struct mem_table *table, char *const *values, const char **out)
{
    for (size_t i = 0; i < mem_key_count(table); i++)
        out[i] = values[table->def.key_count > 0 ? table->def.key[i] : i];
}

static uint64_t key_hash(const char *const *key, size_t count)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < count; i++)
        hash = key[i] ? gw_hash64(key[i], strlen(key[i]), hash + i + 1) : hash * 31 + 7;
    return hash;
}

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool key_equal(const struct mem_table *table, char *const *values, const char *const *key)
{
    for (size_t i = 0; i < mem_key_count(table); i++)
        if (!text_equal(values[table->def.key_count > 0 ? table->def.key[i] : i], key[i]))
            return false;
    return true;
}

/* The server's order of keys: numbers for bigint, bytes for text, or those backwards. */
int mem_compare(const struct mem_table *table, const char *const *key, char *const *bound, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int order = 0;
        if (strcmp(table->def.columns[table->def.key[i]].type, "bigint") == 0) {
            long long a = strtoll(key[i], NULL, 10), b = strtoll(bound[i], NULL, 10);
            order = a < b ? -1 : a > b;
        } else {
            order = table->backwards ? strcmp(bound[i], key[i]) : strcmp(key[i], bound[i]);
        }
        if (order != 0)
            return order;
    }
    return 0;
}

bool mem_in_range(const struct mem_table *table, char *const *values, const struct gw_range *range)
{
    if (table->def.key_count == 0)
        return true;
    const char *key[MEM_MAX_COLUMNS];
    mem_key_of(table, values, key);
    if (range->low.count > 0 && mem_compare(table, key, range->low.texts, range->low.count) < 0)
        return false;
    return range->high.count == 0 || mem_compare(table, key, range->high.texts, range->high.count) < 0;
}

/* ---- versions ---- */

static void table_rehash(struct mem_table *table)
{
    table->bucket_count = table->bucket_count > 0 ? table->bucket_count * 4 : 64;
    table->buckets = gw_realloc(table->buckets, table->bucket_count * sizeof *table->buckets);
    for (size_t b = 0; b < table->bucket_count; b++)
        table->buckets[b] = MEM_NONE;
    for (size_t i = 0; i < table->count; i++) {
        uint32_t *bucket = &table->buckets[table->versions[i].hash & (table->bucket_count - 1)];
        table->versions[i].next = *bucket;
        *bucket = (uint32_t)i;
    }
}

static uint32_t version_add(struct mem_table *table, uint64_t xid, const char *const *values)
{
    if (table->count >= table->bucket_count)
        table_rehash(table);
    table->versions = gw_grow(table->versions, &table->capacity, table->count, sizeof *table->versions);
    struct mem_version *version = &table->versions[table->count];
    *version = (struct mem_version){.xmin = xid};
    version->values = gw_calloc(table->def.column_count, sizeof *version->values);
    for (size_t c = 0; c < table->def.column_count; c++)
        version->values[c] = values[c] ? gw_strdup(values[c]) : NULL;
    const char *key[MEM_MAX_COLUMNS] = {NULL};
    mem_key_of(table, version->values, key);
    version->hash = key_hash(key, mem_key_count(table));
    uint32_t *bucket = &table->buckets[version->hash & (table->bucket_count - 1)];
    version->next = *bucket;
    *bucket = (uint32_t)table->count;
    return (uint32_t)table->count++;
}

static void undo_add(struct gw_memory_tx *tx, struct mem_table *table, uint32_t version, bool created)
{
    tx->undo = gw_grow(tx->undo, &tx->undo_capacity, tx->undo_count, sizeof *tx->undo);
    tx->undo[tx->undo_count++] = (struct mem_undo){.table = table, .version = version, .created = created};
}

void mem_undo_to(struct gw_memory_tx *tx, size_t undo_count)
{
    while (tx->undo_count > undo_count) {
        struct mem_undo *undo = &tx->undo[--tx->undo_count];
        if (undo->created)
            undo->table->versions[undo->version].xmin = 0;
        else
            undo->table->versions[undo->version].xmax = 0;
    }
}

enum mem_liveness { MEM_DEAD, MEM_LIVE, MEM_PENDING };

/* As a writer of `xid` finds the version: live, dead, or somebody else has not decided yet. */
static enum mem_liveness version_liveness(const struct gw_memory *server, const struct mem_version *version,
                                          uint64_t xid)
{
    if (version->xmin == 0)
        return MEM_DEAD;
    if (version->xmin != xid) {
        enum mem_tx_status status = mem_status(server, version->xmin);
        if (status == MEM_ABORTED)
            return MEM_DEAD;
        if (status != MEM_COMMITTED)
            return MEM_PENDING;
    }
    if (version->xmax == 0)
        return MEM_LIVE;
    if (version->xmax == xid)
        return MEM_DEAD;
    enum mem_tx_status status = mem_status(server, version->xmax);
    return status == MEM_ABORTED ? MEM_LIVE : status == MEM_COMMITTED ? MEM_DEAD : MEM_PENDING;
}

bool mem_live(const struct gw_memory_tx *tx, const struct mem_table *table, uint32_t version)
{
    return version_liveness(tx->server, &table->versions[version], tx->xid) == MEM_LIVE;
}

static enum gw_memory_result find_live(const struct gw_memory_tx *tx, const struct mem_table *table,
                                       const char *const *key, uint32_t *out)
{
    if (table->bucket_count == 0)
        return GW_MEMORY_MISSING;
    uint64_t hash = key_hash(key, mem_key_count(table));
    uint32_t found = MEM_NONE;
    for (uint32_t i = table->buckets[hash & (table->bucket_count - 1)]; i != MEM_NONE; i = table->versions[i].next) {
        const struct mem_version *version = &table->versions[i];
        if (version->hash != hash || !key_equal(table, version->values, key))
            continue;
        enum mem_liveness liveness = version_liveness(tx->server, version, tx->xid);
        if (liveness == MEM_PENDING)
            return GW_MEMORY_BLOCKED;
        if (liveness == MEM_LIVE)
            found = i;
    }
    *out = found;
    return found == MEM_NONE ? GW_MEMORY_MISSING : GW_MEMORY_DONE;
}

static enum gw_memory_result check_unique(const struct gw_memory_tx *tx, const struct mem_table *table,
                                          const char *const *values, uint32_t except)
{
    if (!table->unique_active)
        return GW_MEMORY_DONE;
    for (size_t c = 0; c < table->def.column_count; c++) {
        if (!table->unique[c] || !values[c])
            continue;
        for (uint32_t i = 0; i < table->count; i++) {
            if (i == except || !text_equal(table->versions[i].values[c], values[c]))
                continue;
            enum mem_liveness liveness = version_liveness(tx->server, &table->versions[i], tx->xid);
            if (liveness != MEM_DEAD)
                return liveness == MEM_LIVE ? GW_MEMORY_DUPLICATE : GW_MEMORY_BLOCKED;
        }
    }
    return GW_MEMORY_DONE;
}

static enum gw_memory_result check_key(const struct gw_memory_tx *tx, const struct mem_table *table,
                                       const char *const *values)
{
    if (!table->key_active || table->def.key_count == 0)
        return GW_MEMORY_DONE;
    const char *key[MEM_MAX_COLUMNS];
    for (size_t i = 0; i < table->def.key_count; i++)
        key[i] = values[table->def.key[i]];
    uint32_t other = 0;
    enum gw_memory_result result = find_live(tx, table, key, &other);
    return result == GW_MEMORY_DONE ? GW_MEMORY_DUPLICATE : result == GW_MEMORY_MISSING ? GW_MEMORY_DONE : result;
}

static enum gw_memory_result check_access(const struct gw_memory_tx *tx, const struct mem_table *table)
{
    if (!tx->ours && tx->server->raised)
        return GW_MEMORY_FENCED;
    return table->exclusive != 0 && table->exclusive != tx->xid ? GW_MEMORY_BLOCKED : GW_MEMORY_DONE;
}

/* ---- changes ---- */

static struct gw_row row_of(struct gw_value *room, const char *const *values, size_t count)
{
    for (size_t c = 0; c < count; c++)
        room[c] = gw_value_text(values[c]);
    return (struct gw_row){.count = (uint32_t)count, .values = room};
}

/* The old row as the log carries it: the key alone, or everything where there is no key. */
static struct gw_row old_row_of(const struct mem_table *table, struct gw_value *room, char *const *values)
{
    for (size_t c = 0; c < table->def.column_count; c++) {
        if (table->def.key_count > 0 && table->def.columns[c].key_position == 0)
            room[c] = (struct gw_value){.kind = GW_VALUE_ABSENT};
        else
            room[c] = gw_value_text(values[c]);
    }
    return (struct gw_row){.count = (uint32_t)table->def.column_count, .values = room};
}

enum gw_memory_result mem_insert(struct gw_memory_tx *tx, struct mem_table *table, const char *const *values)
{
    enum gw_memory_result result = check_access(tx, table);
    if (result == GW_MEMORY_DONE)
        result = check_key(tx, table, values);
    if (result == GW_MEMORY_DONE)
        result = check_unique(tx, table, values, MEM_NONE);
    if (result != GW_MEMORY_DONE)
        return result;
    undo_add(tx, table, version_add(table, tx->xid, values), true);
    struct gw_value room[MEM_MAX_COLUMNS];
    mem_add_change(tx, &(struct gw_change){.kind = GW_CHANGE_INSERT,
                                           .collection = table->def.engine_id,
                                           .row = row_of(room, values, table->def.column_count)});
    return GW_MEMORY_DONE;
}

static void log_update(struct gw_memory_tx *tx, const struct mem_table *table, uint32_t old, const char *const *values)
{
    size_t count = table->def.column_count;
    struct gw_value room[MEM_MAX_COLUMNS], old_room[MEM_MAX_COLUMNS];
    char *const *before = table->versions[old].values;
    struct gw_change change = {.kind = GW_CHANGE_UPDATE, .collection = table->def.engine_id};
    change.row = row_of(room, values, count);
    bool key_changed = table->def.key_count == 0;
    for (size_t c = 0; c < count; c++) {
        bool same = text_equal(before[c], values[c]);
        if (same && table->large[c] && values[c])
            room[c] = (struct gw_value){.kind = GW_VALUE_UNCHANGED};
        if (!same && table->def.columns[c].key_position > 0)
            key_changed = true;
    }
    if (key_changed)
        change.old = old_row_of(table, old_room, before);
    mem_add_change(tx, &change);
}

enum gw_memory_result mem_update(struct gw_memory_tx *tx, struct mem_table *table, const char *const *key,
                                 const char *const *values)
{
    uint32_t old = 0;
    enum gw_memory_result result = check_access(tx, table);
    if (result == GW_MEMORY_DONE)
        result = find_live(tx, table, key, &old);
    if (result != GW_MEMORY_DONE)
        return result;
    size_t count = table->def.column_count;
    const char *merged[MEM_MAX_COLUMNS] = {NULL};
    for (size_t c = 0; c < count; c++)
        merged[c] = values[c] == gw_memory_keep ? table->versions[old].values[c] : values[c];
    bool key_changed = false;
    for (size_t i = 0; i < table->def.key_count; i++)
        key_changed |= !text_equal(merged[table->def.key[i]], key[i]);
    if (key_changed)
        result = check_key(tx, table, merged);
    if (result == GW_MEMORY_DONE)
        result = check_unique(tx, table, merged, old);
    if (result != GW_MEMORY_DONE)
        return result;
    log_update(tx, table, old, merged);
    table->versions[old].xmax = tx->xid;
    undo_add(tx, table, old, false);
    undo_add(tx, table, version_add(table, tx->xid, merged), true);
    return GW_MEMORY_DONE;
}

enum gw_memory_result mem_delete_version(struct gw_memory_tx *tx, struct mem_table *table, uint32_t version)
{
    enum mem_liveness liveness = version_liveness(tx->server, &table->versions[version], tx->xid);
    if (liveness != MEM_LIVE)
        return liveness == MEM_DEAD ? GW_MEMORY_MISSING : GW_MEMORY_BLOCKED;
    struct gw_value room[MEM_MAX_COLUMNS];
    mem_add_change(tx, &(struct gw_change){.kind = GW_CHANGE_DELETE,
                                           .collection = table->def.engine_id,
                                           .old = old_row_of(table, room, table->versions[version].values)});
    table->versions[version].xmax = tx->xid;
    undo_add(tx, table, version, false);
    return GW_MEMORY_DONE;
}

enum gw_memory_result mem_delete(struct gw_memory_tx *tx, struct mem_table *table, const char *const *key)
{
    uint32_t old = 0;
    enum gw_memory_result result = check_access(tx, table);
    if (result == GW_MEMORY_DONE)
        result = find_live(tx, table, key, &old);
    return result == GW_MEMORY_DONE ? mem_delete_version(tx, table, old) : result;
}

static bool touched_by_another(const struct gw_memory_tx *tx, const struct mem_table *table)
{
    for (const struct gw_memory_tx *other = tx->server->running; other; other = other->next) {
        if (other == tx)
            continue;
        for (size_t i = 0; i < other->undo_count; i++)
            if (other->undo[i].table == table)
                return true;
    }
    return false;
}

enum gw_memory_result mem_truncate(struct gw_memory_tx *tx, struct mem_table *table)
{
    enum gw_memory_result result = check_access(tx, table);
    if (result != GW_MEMORY_DONE)
        return result;
    if (table->readers > 0 || touched_by_another(tx, table))
        return GW_MEMORY_BLOCKED;
    table->exclusive = tx->xid;
    for (uint32_t i = 0; i < table->count; i++) {
        if (version_liveness(tx->server, &table->versions[i], tx->xid) != MEM_LIVE)
            continue;
        table->versions[i].xmax = tx->xid;
        undo_add(tx, table, i, false);
    }
    mem_add_change(tx, &(struct gw_change){.kind = GW_CHANGE_TRUNCATE, .collection = table->def.engine_id});
    return GW_MEMORY_DONE;
}
