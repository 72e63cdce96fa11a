/*
 * Inside of the reference engine; private to store/memory/. One mutex guards a server; `changed` is signalled whenever
 * a lock is freed, the log grows or sessions break.
 */
#ifndef GW_STORE_MEMORY_ENGINE_H
#define GW_STORE_MEMORY_ENGINE_H

#include "store/memory/memory.h"

#include <pthread.h>

#define MEM_MAX_COLUMNS 32

enum mem_tx_status { MEM_RUNNING, MEM_LOGGED, MEM_COMMITTED, MEM_ABORTED };

struct mem_version {
    uint64_t xmin, xmax; /* xmin 0: undone by a savepoint */
    uint64_t hash;       /* of the key, or of the whole row */
    uint32_t next;       /* in the bucket, newest first; UINT32_MAX ends */
    char **values;       /* owned */
};

struct mem_table {
    struct mem_table *next;
    struct gw_collection def; /* id is not used */
    bool *large, *unique;
    bool key_active, unique_active;
    bool backwards; /* how text sorts here */
    struct mem_version *versions;
    size_t count, capacity;
    uint32_t *buckets;
    size_t bucket_count; /* power of two */
    uint64_t exclusive;  /* xid that truncates it, 0 */
    unsigned readers;
};

struct mem_undo {
    struct mem_table *table;
    uint32_t version;
    bool created; /* else its xmax was set */
};

struct gw_memory_tx {
    struct gw_memory_tx *next;
    struct gw_memory *server;
    uint64_t xid, lsn;
    bool ours;
    bool has_savepoint;
    bool unlogged;         /* what it does now leaves no trace in the log */
    struct gw_buf changes; /* encoded */
    struct mem_undo *undo;
    size_t undo_count, undo_capacity, savepoint_undo, savepoint_bytes;
};

struct mem_log_entry {
    uint64_t begin, end; /* commit record, and behind it */
    uint64_t xid;        /* 0: a definition changed */
    bool ours;
    int64_t wall_us;
    char *changes;
    size_t len;
};

struct mem_home_position {
    char stream[32];
    struct gw_position at;
    uint64_t xid;
};
struct mem_home_chunk {
    struct gw_checkpoint checkpoint;
    uint64_t xid;
};
struct mem_home_text {
    char *name, *json;
    uint64_t xid;
};

struct gw_memory {
    struct gw_memory *next;
    char name[128];
    char id[32];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t generation; /* sessions of an older one are broken */
    uint64_t chaos_state;
    unsigned chaos_permille;

    struct mem_table *tables;
    uint64_t first_xid, next_xid;
    unsigned char *status; /* enum mem_tx_status by xid - first_xid */
    uint64_t *ended_at;    /* log position of a commit, by xid - first_xid */
    size_t status_capacity, ended_capacity;
    struct gw_memory_tx *running;

    bool prepared;
    uint64_t lsn, flushed, dropped; /* end of the log, on disk, acknowledged and gone */
    uint64_t start;
    struct mem_log_entry *log;
    size_t log_count, log_capacity;
    uint64_t stream_open; /* generation-unique number of the stream that reads, 0 none */
    uint64_t streams;

    bool installed, raised, fence_installed;
    struct gw_owner owner;
    struct mem_home_position *positions;
    size_t position_count, position_capacity;
    struct mem_home_chunk *chunks;
    size_t chunk_count, chunk_capacity;
    struct mem_home_text *seen, *notes;
    size_t seen_count, seen_capacity, note_count, note_capacity;
};

struct mem_store {
    struct gw_store base; /* first */
    struct gw_memory *server;
    struct gw_cancel *cancel;
    char migration[64];
};

static inline struct mem_store *mem_store_of(struct gw_store *store)
{
    return (struct mem_store *)store;
}

void mem_chaos(struct gw_memory *server);                                                   /* without the lock held */
uint64_t mem_random(struct gw_memory *server);                                              /* with the lock held */
bool mem_session_check(struct mem_store *store, uint64_t generation, struct gw_error *err); /* with the lock held */
/* Waits for `changed` for at most ms; with the lock held. */
void mem_wait(struct gw_memory *server, int ms);

/* All of these with the lock held. */
struct mem_table *mem_table_find(struct gw_memory *server, const char *space, const char *name);
void mem_table_free(struct mem_table *table);
enum mem_tx_status mem_status(const struct gw_memory *server, uint64_t xid);
bool mem_visible(const struct gw_memory *server, const struct mem_version *version, const struct gw_mark *mark);
void mem_take_mark(struct gw_memory *server, struct gw_mark *out);
int mem_compare(const struct mem_table *table, const char *const *key, char *const *bound, size_t count);
bool mem_live(const struct gw_memory_tx *tx, const struct mem_table *table,
              uint32_t version); /* as its writer finds it */
bool mem_in_range(const struct mem_table *table, char *const *values, const struct gw_range *range);
struct gw_memory_tx *mem_begin(struct gw_memory *server, bool ours);
void mem_log_commit(struct gw_memory_tx *tx, bool durable);
void mem_make_visible(struct gw_memory_tx *tx); /* frees it */
void mem_rollback(struct gw_memory_tx *tx);     /* frees it */
void mem_undo_to(struct gw_memory_tx *tx, size_t undo_count);
enum gw_memory_result mem_insert(struct gw_memory_tx *tx, struct mem_table *table, const char *const *values);
enum gw_memory_result mem_update(struct gw_memory_tx *tx, struct mem_table *table, const char *const *key,
                                 const char *const *values);
enum gw_memory_result mem_delete(struct gw_memory_tx *tx, struct mem_table *table, const char *const *key);
enum gw_memory_result mem_truncate(struct gw_memory_tx *tx, struct mem_table *table);
void mem_add_change(struct gw_memory_tx *tx, const struct gw_change *change);
enum gw_memory_result mem_delete_version(struct gw_memory_tx *tx, struct mem_table *table, uint32_t version);
/* Key values of a row in key order; `out` holds key_count (or column_count without a key) pointers, borrowed. */
void mem_key_of(const struct mem_table *table, char *const *values, const char **out);
size_t mem_key_count(const struct mem_table *table);

extern const struct gw_reader_facet mem_reader;
extern const struct gw_writer_facet mem_writer;
extern const struct gw_changes_facet mem_changes;
extern const struct gw_catalog_facet mem_catalog;
extern const struct gw_scan_facet mem_scan;
extern const struct gw_ownership_facet mem_ownership;
extern const struct gw_fence_facet mem_fence;
extern const struct gw_sessions_facet mem_sessions;
extern const struct gw_schema_facet mem_schema;

#endif
