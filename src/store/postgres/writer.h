/*
 * A writer's session on the target: loads chunks (load.c) and applies batches of changes (apply.c), one connection,
 * one thread at a time. writer.c holds open, close and the facet table; struct gw_writer * of the contract is this.
 *
 * The session runs as replica where the side can (GW_CAN_REPLICA_ROLE): no foreign keys, no user triggers, except ours
 * that are ENABLE ALWAYS; those let it pass by session_user. Every transaction writes a row of the home first (chunk
 * when loading, position when applying), which is how the other direction tells that it is ours: both tables have to
 * be in its publication.
 *
 * After an error that is GW_ERR_RETRY, or any in a transaction, `failed` is set and only close is useful.
 */
#ifndef GW_STORE_POSTGRES_WRITER_H
#define GW_STORE_POSTGRES_WRITER_H

#include "store/postgres/conn.h"

struct gw_pg_apply; /* apply.c's own: prepared statements, scratch; NULL until it makes it */

struct gw_pg_writer {
    struct gw_pg_store *store;
    PGconn *conn;
    char stream[32]; /* "blue>green" */
    bool replica;    /* session_replication_role is replica */
    bool in_transaction;
    bool failed;
    uint64_t
        order; /* where the stream's position row was when we opened, or we left it (by commits that may be owed an answer) */
    uint64_t order_begun; /* where the open transaction moves it */

    /* load.c */
    bool in_copy;
    const struct gw_collection *loading; /* NULL: no chunk is open */
    uint64_t chunk;
    uint64_t put_bytes;
    char label[160]; /* the collection being loaded, for messages */

    struct gw_pg_apply *apply;
};

static inline struct gw_pg_writer *gw_pg_writer_of(struct gw_writer *writer)
{
    return (struct gw_pg_writer *)writer;
}

/* writer.c */
/* Rolls back what is open (also a COPY in progress); the session is usable again unless `failed`. */
void gw_pg_writer_rollback(struct gw_pg_writer *);

/* load.c */
GW_MUST_CHECK bool gw_pg_load_begin(struct gw_writer *, const struct gw_collection *, const struct gw_checkpoint *,
                                    bool *already, struct gw_error *);
GW_MUST_CHECK bool gw_pg_load_put(struct gw_writer *, const struct gw_block *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_load_commit(struct gw_writer *, uint64_t *rows, struct gw_error *);
GW_MUST_CHECK bool gw_pg_load_checkpoints(struct gw_store *, struct gw_checkpoint **out, size_t *count,
                                          struct gw_error *);

/* The stream's position row by this connection; order 0 when there is none. */
GW_MUST_CHECK bool gw_pg_position_read(struct gw_pg_store *, PGconn *, const char *stream, struct gw_position *,
                                       struct gw_error *);

/* apply.c: the facet's apply half, each as store.h says. */
GW_MUST_CHECK bool gw_pg_apply_begin(struct gw_writer *, const struct gw_position *reached, struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_part(struct gw_writer *, const struct gw_part *, uint64_t *touched, struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_send(struct gw_writer *, const struct gw_part *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_truncate(struct gw_writer *, const struct gw_collection *const *, size_t count,
                                        struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_delete_range(struct gw_writer *, const struct gw_collection *, const struct gw_range *,
                                            struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_list_keys(struct gw_writer *, const struct gw_collection *, bool first, size_t most,
                                         const struct gw_row **keys, size_t *count, struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_find(struct gw_writer *, const struct gw_collection *, const struct gw_row *like,
                                    const struct gw_row **keys, size_t *count, struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_current(struct gw_writer *, const struct gw_collection *, const struct gw_row *wanted,
                                       size_t count, gw_current_visit *visit, void *arg, struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_note_signal(struct gw_writer *, const char *token, struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_savepoint(struct gw_writer *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_rollback_to(struct gw_writer *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_commit(struct gw_writer *, bool durable, struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_commit_ahead(struct gw_writer *, bool durable, struct gw_error *);
GW_MUST_CHECK bool gw_pg_apply_await(struct gw_writer *, struct gw_error *);
/* Nothing is owed an answer any more, and the connection is not in pipeline mode; before a rollback. */
void gw_pg_pipe_abandon(struct gw_pg_writer *);
GW_MUST_CHECK bool gw_pg_apply_position(struct gw_store *, const char *stream, struct gw_position *, struct gw_error *);
/* Frees writer->apply; called by close before the connection ends. */
void gw_pg_apply_release(struct gw_pg_writer *);

#endif
