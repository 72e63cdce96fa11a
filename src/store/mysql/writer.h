/*
 * A writer's session on the target: loads chunks (load.c) and applies batches of changes (apply.c), one connection, one
 * thread at a time. struct gw_writer * of the contract is this.
 *
 * Foreign keys are neither checked nor do they cascade in this session: what they did on the source is in its log, or the
 * follower makes it good by looking for the rows. Unique keys are always checked. Every transaction writes a row of the home first (chunk when loading, position when applying).
 *
 * Durable: innodb_flush_log_at_trx_commit and sync_binlog are the server's, a session cannot change them. A commit is
 * durable where they are 1, else not: `check` says so.
 *
 * What is sent and not waited for is gathered in a text of many statements and run by a thread of the writer's, in
 * order, one text at a time (text.c). The server stops at the first statement that fails, and each part is followed by
 * one that fails when it touched other than its number of rows; nothing behind a failed text is run. So the COMMIT at
 * the end of a text is reached by whole batches only.
 */
#ifndef GW_STORE_MYSQL_WRITER_H
#define GW_STORE_MYSQL_WRITER_H

#include "store/mysql/keys.h"

#define GW_MYSQL_TEXT_BYTES (1u << 20) /* a text is run when it has grown past this */

enum gw_mysql_statement_kind {
    GW_MYSQL_STATEMENT_PLAIN,
    GW_MYSQL_STATEMENT_ROWS,     /* its rows are counted */
    GW_MYSQL_STATEMENT_POSITION, /* fails when the position row was not where it was due */
    GW_MYSQL_STATEMENT_DUE,      /* fails when the statement before touched other than its rows */
};
struct gw_mysql_statement {
    enum gw_mysql_statement_kind kind;
    const struct gw_collection *collection; /* for messages; NULL */
};
struct gw_mysql_text {
    struct gw_buf sql;
    struct gw_mysql_statement *statements;
    size_t count, capacity;
    bool commits;
};

struct gw_mysql_bulk; /* bulk.c: a prepared INSERT and the rows for it */
struct gw_mysql_pipe; /* text.c: the thread and what it has to run */

struct gw_mysql_target { /* what the writer knows of a collection's table here */
    char *name;
    uint64_t shape;
    size_t column_count;
    struct gw_mysql_form *forms;
    bool integer_key;
};

struct gw_mysql_writer {
    struct gw_mysql_store *store;
    struct gw_mysql_conn *conn;
    char stream[40]; /* "blue>green" */
    bool in_transaction;
    bool failed;            /* only close is useful */
    uint64_t order;         /* where the stream's position row is, or will be when all that was sent is done */
    uint64_t order_begun;   /* where the open transaction moves it */
    uint64_t order_settled; /* where it was before the oldest commit that is owed */

    /* load.c */
    bool in_chunk;
    uint64_t chunk, put_bytes, loaded_rows, buffered_rows;
    const struct gw_collection *loading;
    struct gw_buf load;         /* rows that wait, as LOAD DATA or INSERT takes them */
    struct gw_mysql_bulk *bulk; /* bulk.c; NULL until it is used */
    bool bulk_can;

    /* apply */
    struct gw_mysql_text text; /* gathered, not run */
    struct gw_mysql_pipe *pipe;
    uint64_t order_ahead[GW_COMMITS_AHEAD]; /* of the commits that are owed, oldest first */
    size_t ahead_count;
    bool saved;
    struct gw_mysql_target **targets;
    size_t target_count, target_capacity;
    uint64_t listed; /* list_keys: the last number handed out */
    MYSQL_RES *keys;
    struct gw_row *key_rows;
    struct gw_value *key_values;
    struct gw_arena arena;
};

static inline struct gw_mysql_writer *gw_mysql_writer_of(struct gw_writer *writer)
{
    return (struct gw_mysql_writer *)writer;
}

/* writer.c */
void gw_mysql_writer_rollback(struct gw_mysql_writer *);
/* Borrowed until the writer closes. */
const struct gw_mysql_target *gw_mysql_target_of(struct gw_mysql_writer *, const struct gw_collection *);

/* text.c */
/* Ends the statement that was added to text.sql. */
void gw_mysql_text_end(struct gw_mysql_text *, enum gw_mysql_statement_kind, const struct gw_collection *);
void gw_mysql_text_add(struct gw_mysql_text *, const char *sql);
/* Adds what fails unless the statement before touched so many rows. */
void gw_mysql_text_due(struct gw_mysql_text *, uint64_t rows, enum gw_mysql_statement_kind,
                       const struct gw_collection *);
void gw_mysql_text_release(struct gw_mysql_text *);
/* Waits for what was sent, then runs the text here; *rows: of its counted statements. */
GW_MUST_CHECK bool gw_mysql_text_run(struct gw_mysql_writer *, uint64_t *rows, struct gw_error *);
/* Hands the text to the thread; fails with what went wrong before. */
GW_MUST_CHECK bool gw_mysql_text_send(struct gw_mysql_writer *, struct gw_error *);
/* Waits until the oldest text that commits is done; until all is. */
GW_MUST_CHECK bool gw_mysql_pipe_await(struct gw_mysql_writer *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_pipe_drain(struct gw_mysql_writer *, struct gw_error *);
/* Whether a text is run or waits; does not wait itself. */
bool gw_mysql_pipe_busy(struct gw_mysql_writer *);
/* Waits for the thread to be idle, forgets what it has not begun and what failed. */
void gw_mysql_pipe_abandon(struct gw_mysql_writer *);
void gw_mysql_pipe_free(struct gw_mysql_writer *);

/* load.c */
GW_MUST_CHECK bool gw_mysql_load_begin(struct gw_writer *, const struct gw_collection *, const struct gw_checkpoint *,
                                       bool *already, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_load_put(struct gw_writer *, const struct gw_block *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_load_commit(struct gw_writer *, uint64_t *rows, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_load_checkpoints(struct gw_store *, struct gw_checkpoint **out, size_t *count,
                                             struct gw_error *);
/* What LOAD DATA LOCAL, or a bulk, only warned of. True where it may be; `all`: each row was taken. */
GW_MUST_CHECK bool gw_mysql_load_warnings(struct gw_mysql_writer *, bool all, struct gw_error *);
#define GW_MYSQL_BULK_PACKET_BYTES (4u << 20) /* the least max_allowed_packet for a bulk */
/* bulk.c */
bool gw_mysql_bulk_can(struct gw_mysql_writer *); /* the server takes it */
GW_MUST_CHECK bool gw_mysql_bulk_put(struct gw_mysql_writer *, const struct gw_block *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_bulk_flush(struct gw_mysql_writer *, struct gw_error *);
void gw_mysql_bulk_clear(struct gw_mysql_writer *); /* forgets the rows that wait */
void gw_mysql_bulk_free(struct gw_mysql_writer *);  /* once the connection is closed */
/* apply.c, each as store.h says */
GW_MUST_CHECK bool gw_mysql_apply_begin(struct gw_writer *, const struct gw_position *reached, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_part(struct gw_writer *, const struct gw_part *, uint64_t *touched,
                                       struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_send(struct gw_writer *, const struct gw_part *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_truncate(struct gw_writer *, const struct gw_collection *const *, size_t count,
                                           struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_delete_range(struct gw_writer *, const struct gw_collection *,
                                               const struct gw_range *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_list_keys(struct gw_writer *, const struct gw_collection *, bool first, size_t most,
                                            const struct gw_row **keys, size_t *count, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_find(struct gw_writer *, const struct gw_collection *, const struct gw_row *like,
                                       const struct gw_row **keys, size_t *count, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_note_signal(struct gw_writer *, const char *token, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_savepoint(struct gw_writer *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_rollback_to(struct gw_writer *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_commit(struct gw_writer *, bool durable, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_commit_ahead(struct gw_writer *, bool durable, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_apply_await(struct gw_writer *, struct gw_error *);
bool gw_mysql_apply_busy(struct gw_writer *);
/* apply_current.c */
GW_MUST_CHECK bool gw_mysql_current(struct gw_writer *, const struct gw_collection *, const struct gw_row *wanted,
                                    size_t count, gw_current_visit *visit, void *arg, struct gw_error *);
/* apply_part.c: a part as statements in writer->text; runs or sends the text when it is large. */
GW_MUST_CHECK bool gw_mysql_part_add(struct gw_mysql_writer *, const struct gw_part *, bool due, uint64_t *touched,
                                     struct gw_error *);
/* Adds "a=1 AND b IS NULL" of the values that `like` gives. */
GW_MUST_CHECK bool gw_mysql_add_like(struct gw_mysql_writer *, const struct gw_collection *, const struct gw_row *like,
                                     struct gw_error *);
/* The same, by the key's index where that is what it gives, and "TRUE" where it gives none. */
GW_MUST_CHECK bool gw_mysql_add_wanted(struct gw_mysql_writer *, const struct gw_collection *,
                                       const struct gw_row *wanted, struct gw_error *);

#endif
