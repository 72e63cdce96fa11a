/*
 * The reference engine: tables in this process, with the behaviours of a real server that lose rows elsewhere.
 *
 *   - Rows have versions; a snapshot is (low, high, open) as PostgreSQL's.
 *   - A commit is two steps: its record is written into the log (and may be decoded from then on), later it becomes
 *     visible. Transactions may become visible in another order than their records were written.
 *   - A row or table that another transaction changed is locked until that one is visible.
 *   - An update's stream leaves out large values that did not change; a key change carries the old key alone.
 *   - What is committed without waiting for the disk is lost in a crash, newest first, whole transactions.
 *   - Log that was acknowledged is dropped: opening before it is GW_ERR_LOST_POSITION.
 *
 * "memory://name" is a server of the process that outlives every store opened on it until gw_memory_forget, so a test
 * kills by dropping all sessions and opens again. Column types are "bigint" (keys in the order of numbers) and "text"
 * (bytes). Thread-safe; a gw_memory_tx belongs to one thread.
 */
#ifndef GW_STORE_MEMORY_MEMORY_H
#define GW_STORE_MEMORY_MEMORY_H

#include "store/store.h"

extern const struct gw_store_type gw_store_memory;

struct gw_memory;
struct gw_memory_tx;

struct gw_memory_column {
    const char *name;
    const char *type; /* "bigint", "text" */
    bool key;         /* key columns come in this order; none: a collection without key */
    bool large;       /* left out of the stream when an update does not change it */
    bool unique;      /* a unique index besides the key; NULLs do not collide */
};

/* Found or made. Borrowed until gw_memory_forget, which needs every store on it closed. */
struct gw_memory *gw_memory_server(const char *name);
void gw_memory_forget(const char *name);
/* Random short waits at the places where real servers have them; permille 0: none. */
void gw_memory_chaos(struct gw_memory *server, uint64_t seed, unsigned permille);

/* At most 32 columns. */
void gw_memory_create_table(struct gw_memory *server, const char *name, const struct gw_memory_column *columns,
                            size_t count);

/* Text sorts the other way round in this table from here on, as under another collation. */
void gw_memory_sort_backwards(struct gw_memory *server, const char *table);

/* ---- an application's writer ---- */
enum gw_memory_result {
    GW_MEMORY_DONE,
    GW_MEMORY_MISSING,   /* no row with this key */
    GW_MEMORY_DUPLICATE, /* key or unique value is taken */
    GW_MEMORY_BLOCKED,   /* somebody holds a lock on it: nothing done, try again later */
    GW_MEMORY_FENCED,    /* not the owner's side any more */
};
struct gw_memory_tx *gw_memory_begin(struct gw_memory *server);
enum gw_memory_result gw_memory_insert(struct gw_memory_tx *tx, const char *table, const char *const *values);
/* `key`: the old key's columns, or the whole old row without a key. A NULL in `values` is SQL NULL; a pointer equal to
 * gw_memory_keep leaves the column as it is. */
extern const char gw_memory_keep[];
enum gw_memory_result gw_memory_update(struct gw_memory_tx *tx, const char *table, const char *const *key,
                                       const char *const *values);
enum gw_memory_result gw_memory_delete(struct gw_memory_tx *tx, const char *table, const char *const *key);
enum gw_memory_result gw_memory_truncate(struct gw_memory_tx *tx, const char *table);
/* What follows is not in the log, as the cascades of InnoDB's foreign keys are not. */
void gw_memory_unlogged(struct gw_memory_tx *tx, bool unlogged);
void gw_memory_savepoint(struct gw_memory_tx *tx); /* one level */
void gw_memory_rollback_to(struct gw_memory_tx *tx);
void gw_memory_rollback(struct gw_memory_tx *tx);
void gw_memory_log_commit(struct gw_memory_tx *tx);   /* the record is in the log, nobody sees the rows yet */
void gw_memory_make_visible(struct gw_memory_tx *tx); /* ends it */
void gw_memory_commit(struct gw_memory_tx *tx);       /* both */
uint64_t gw_memory_xid(const struct gw_memory_tx *tx);
/* The table's definition changed: an event in the log. */
void gw_memory_alter(struct gw_memory *server, const char *table, const char *how);

/* ---- faults ---- */
/* Every session of every store breaks: its next call is GW_ERR_RETRY. Open transactions of ours roll back. */
void gw_memory_drop_sessions(struct gw_memory *server);
/* As that, and the newest transactions that did not wait for the disk may be gone (how many is up to the seed). */
void gw_memory_crash(struct gw_memory *server, uint64_t seed);

/* ---- looking ---- */
/* Visible rows, sorted, one line each, columns separated by '|', NULL as \N. */
void gw_memory_dump(struct gw_memory *server, const char *table, struct gw_buf *out);
uint64_t gw_memory_rows(struct gw_memory *server, const char *table);
/* Transactions in the log that are not ours and hold row changes. */
uint64_t gw_memory_log_order(struct gw_memory *server);

#endif
