/*
 * The apply half of a writer session, shared by the files that make it:
 *   apply.c         transactions, truncate, ranges, signals     apply_pipe.c    statements sent ahead of their answers
 *   apply_part.c    a part cut into statements                  apply_table.c   the target table as it is
 *   apply_current.c rows as they are
 *   apply_copy.c    many or large rows by COPY                  apply_array.c   a column of many rows as one parameter
 *
 * Round trips: BEGIN, the position row, SAVEPOINT and the like wait in a queue and go out with the next statement that
 * is sent, so their errors surface there. A part takes one round trip (COPY three), commit one, and behind each of them
 * nothing is unanswered. Send and commit_ahead take none: the server itself checks how many rows were touched, and what
 * it says is read when somebody waits for it.
 */
#ifndef GW_STORE_POSTGRES_APPLY_H
#define GW_STORE_POSTGRES_APPLY_H

#include "store/postgres/writer.h"

/* ---- the target table (apply_table.c) ---------------------------------------------------------------------------- */

struct gw_pg_target_column {    /* same places as gw_collection.columns */
    uint32_t type_id, array_id; /* on the target; array_id 0: there is none */
    char delimiter;             /* between the elements of a text array of this type */
    bool written;               /* exists on the target and is not generated there */
    bool unnests;               /* an array of it comes apart into exactly its values */
    bool identity_always;
    char *cast;     /* name without modifiers: a cast to it neither cuts nor rounds */
    char *equality; /* key columns: OPERATOR(schema.=) of the key's index, "" when there is none */
};

struct gw_pg_target {
    char *space, *name;
    size_t column_count;
    struct gw_pg_target_column *columns;
    bool has_key_index;
    bool moves_identity; /* a column that is GENERATED ALWAYS AS IDENTITY: an UPDATE cannot give it a value */
    uint64_t id;         /* never reused within a session; names statements */
};

/* Borrowed, until the writer closes or the tables are forgotten. */
GW_MUST_CHECK bool gw_pg_target_get(struct gw_pg_writer *, const struct gw_collection *,
                                    const struct gw_pg_target **out, struct gw_error *);
void gw_pg_targets_forget(struct gw_pg_apply *);

/* ---- arrays (apply_array.c) -------------------------------------------------------------------------------------- */

/* How the values of a column in a run of rows are sent: all of one kind, NULLs among them. */
void gw_pg_array_build(struct gw_buf *out, const struct gw_row *rows, size_t count, uint32_t column, bool binary,
                       uint32_t element_type, char delimiter);

/* ---- statements in flight (apply_pipe.c) -------------------------------------------------------------------------- */

struct gw_pg_statement {
    uint64_t key; /* hash of its SQL and parameter types */
    unsigned number;
    bool prepared; /* the server has said so */
    bool sent;     /* ... or is about to */
};

enum gw_pg_pipe_kind {
    GW_PG_PIPE_PLAIN,
    GW_PG_PIPE_COUNTS, /* its rows are added up */
    GW_PG_PIPE_COMMIT,
    GW_PG_PIPE_SYNC,       /* the end of what was sent together */
    GW_PG_PIPE_SYNC_AHEAD, /* ... of a transaction committed ahead */
};
struct gw_pg_pipe_entry {
    enum gw_pg_pipe_kind kind;
    struct gw_pg_statement *prepare; /* this command prepares it */
};

struct gw_pg_ahead { /* a commit whose answer is owed */
    bool answered;
    struct gw_error error; /* GW_ERR_NONE: it is permanent */
    uint64_t order_before; /* where the position row was */
};

enum gw_pg_waiting_kind { GW_PG_WAITING_SQL, GW_PG_WAITING_COMMIT, GW_PG_WAITING_POSITION, GW_PG_WAITING_SIGNAL };
struct gw_pg_waiting { /* to be sent ahead of the next statement */
    enum gw_pg_waiting_kind kind;
    const char *sql; /* SQL, COMMIT: static */
    char *text;      /* owned: the signal's token */
    struct gw_position position;
};

struct gw_pg_apply {
    bool settings_made;
    bool open;                                                           /* in pipeline mode */
    bool saved;                                                          /* a savepoint stands */
    enum { GW_PG_STAGE_UNKNOWN, GW_PG_STAGE_YES, GW_PG_STAGE_NO } stage; /* may we make temporary tables? */
    struct gw_pg_waiting *waiting;
    size_t waiting_count, waiting_capacity;
    struct gw_pg_pipe_entry *entries; /* sent and not answered */
    size_t entry_count, entry_capacity;
    struct gw_pg_ahead ahead[GW_COMMITS_AHEAD];
    size_t ahead_count;
    size_t unpushed_bytes; /* of statements libpq holds back */
    struct gw_pg_statement **statements;
    size_t statement_count, statement_capacity;
    unsigned next_statement;
    bool statements_forgotten; /* the server still has them */
    struct gw_pg_target **targets;
    size_t target_count, target_capacity;
    uint64_t next_target;

    PGresult *listed; /* keys handed out by list_keys point into it */
    struct gw_row *keys;
    struct gw_value *key_values;
    size_t keys_capacity, key_values_capacity;

    struct gw_buf sql;
    struct gw_buf *arrays; /* one a parameter */
    size_t array_count;
    const char **values;
    int *lengths, *formats;
    uint32_t *types;
    size_t parameter_capacity, lengths_capacity, formats_capacity, types_capacity;
    int parameter_count;
};

void gw_pg_wait_behind(struct gw_pg_apply *, struct gw_pg_waiting); /* queues; takes `text` */
/* Enters pipeline mode where it is not, and sends what waits. */
GW_MUST_CHECK bool gw_pg_pipe_open(struct gw_pg_writer *, struct gw_error *);
/* Sends SQL without parameters. */
GW_MUST_CHECK bool gw_pg_pipe_sql(struct gw_pg_writer *, const char *sql, enum gw_pg_pipe_kind, struct gw_error *);
/* Sends apply->sql with the parameters gathered in apply, prepared once per text and types. */
GW_MUST_CHECK bool gw_pg_pipe_run(struct gw_pg_writer *, enum gw_pg_pipe_kind, struct gw_error *);
/* Waits for all answers and leaves pipeline mode; of what was sent behind the last commit the first error is the one
 * that counts. Adds the rows to *touched. */
GW_MUST_CHECK bool gw_pg_pipe_close(struct gw_pg_writer *, uint64_t *touched, const char *doing, struct gw_error *);
/* The session can be spoken to without pipeline: sends what waits and closes. */
GW_MUST_CHECK bool gw_pg_pipe_drain(struct gw_pg_writer *, struct gw_error *);
/* Ends what was sent as a transaction whose COMMIT is in it, without waiting. */
GW_MUST_CHECK bool gw_pg_pipe_ahead(struct gw_pg_writer *, uint64_t order_before, struct gw_error *);
/* Waits for the oldest of those. */
GW_MUST_CHECK bool gw_pg_pipe_await(struct gw_pg_writer *, struct gw_error *);

void gw_pg_parameters_clear(struct gw_pg_apply *);
/* bytes NULL: SQL NULL. */
void gw_pg_parameter_add(struct gw_pg_apply *, const void *bytes, size_t len, bool binary, uint32_t type);
/* A scratch buffer for the next parameter, cleared; lives until the statement is sent. */
struct gw_buf *gw_pg_parameter_buffer(struct gw_pg_apply *);

/* ---- parts ------------------------------------------------------------------------------------------------------- */

/* Rows [0, count) of a collection by COPY; all values of a column are of one kind, and all columns of the same. `into`:
 * another table with these columns, as SQL; NULL: the collection's own. What is left out becomes NULL. */
GW_MUST_CHECK bool gw_pg_apply_copy(struct gw_pg_writer *, const struct gw_collection *, const struct gw_pg_target *,
                                    const char *into, const struct gw_row *rows, size_t count, bool binary,
                                    uint64_t *touched, struct gw_error *);

#endif
