/* One writer session: shared by writer.c (transactions, load), apply.c (parts) and apply_current.c (rows as they are). */
#ifndef GW_STORE_SQLITE_WRITER_H
#define GW_STORE_SQLITE_WRITER_H

#include "store/sqlite/keys.h"
#include "store/sqlite/value.h"

/* A table that is written to, and statements for it, kept for as long as nothing is defined. */
struct gw_lite_target {
    char *name;
    size_t columns; /* of the collection */
    struct gw_lite_table *table;
    sqlite3_stmt *insert, *remove, *update, *look; /* look: a row by its key */
    struct gw_buf update_mask;                     /* which columns `update` sets: one character each */
};

struct gw_writer {
    struct gw_lite_conn *conn;
    char stream[32];
    bool capturing;       /* our transactions must be known in this side's log */
    bool inside;          /* a transaction is open */
    struct gw_error owed; /* of what was sent: heard at await. Until then all that is sent behind it does nothing */
    size_t sent, owed_at; /* commits owed an answer; the one that has the error */
    int64_t cookie;       /* of the definitions that the targets were made from */
    size_t target_count, target_capacity;
    struct gw_lite_target **targets;
    struct gw_lite_target *chunk;
    uint64_t chunk_id, chunk_rows, chunk_bytes;
    struct gw_lite_table *listed;
    struct gw_row last_key;
    struct gw_row *keys;
    size_t keys_capacity;
    struct gw_arena keys_arena, last_arena;
};

/* The connection of the write transaction that a writer session of the calling thread has open on the store's file, or
 * NULL. Borrowed until that transaction ends. */
struct gw_lite_conn *gw_lite_own_write(const struct gw_lite_store *);
/* Borrowed until the definitions change. */
GW_MUST_CHECK bool gw_lite_target_for(struct gw_writer *, const struct gw_collection *, struct gw_lite_target **out,
                                      struct gw_error *);
void gw_lite_forget_targets(struct gw_writer *);
/* "INSERT OR ABORT INTO t (columns) VALUES (?1, ...)", prepared. */
GW_MUST_CHECK bool gw_lite_prepare_insert(struct gw_writer *, struct gw_lite_target *, struct gw_error *);

GW_MUST_CHECK bool gw_lite_apply(struct gw_writer *, const struct gw_part *, uint64_t *touched, struct gw_error *);
GW_MUST_CHECK bool gw_lite_truncate(struct gw_writer *, const struct gw_collection *const *, size_t count,
                                    struct gw_error *);
GW_MUST_CHECK bool gw_lite_delete_range(struct gw_writer *, const struct gw_collection *, const struct gw_range *,
                                        struct gw_error *);
GW_MUST_CHECK bool gw_lite_list_keys(struct gw_writer *, const struct gw_collection *, bool first, size_t most,
                                     const struct gw_row **keys, size_t *count, struct gw_error *);
GW_MUST_CHECK bool gw_lite_find(struct gw_writer *, const struct gw_collection *, const struct gw_row *like,
                                const struct gw_row **keys, size_t *count, struct gw_error *);

/* "c" COLLATE BINARY IS ?place, of the same class. Appends. */
void gw_lite_add_is(struct gw_buf *, const struct gw_lite_table *, size_t column, size_t place);
GW_MUST_CHECK bool gw_lite_current(struct gw_writer *, const struct gw_collection *, const struct gw_row *wanted,
                                   size_t count, gw_current_visit *visit, void *arg, struct gw_error *);

#endif
