/*
 * Capture by triggers on a PostgreSQL side, where the log is not to be had: store/capture/capture.h over the tables of
 * capture.sql. The role needs to own the tables (or be a member of their owners), and nothing more.
 *
 *   capture_prepare.c   triggers and their functions, made and removed     capture_stream.c   the source of the stream
 *   capture_shape.c     columns of a captured row                          capture.sql        tables, cut, trim
 *
 * What a trigger writes: the new row by record_send, which is the binary wire form of every column, whatever the
 * session's settings and whatever columns there are by then; of an update's old row the key, when it changed (the whole
 * old row where there is no key); of a delete's the key. A table with columns that are not binary safe is written as
 * text. Statements of the application never fail for our sake: what cannot be written down is replaced by a row that
 * says so, and the stream stops there.
 *
 * Order. The trigger's name begins with "!": triggers fire by name, and one of the application's that changes the row
 * again must find ours done. What is left: a statement whose own functions or triggers change, while it runs, another
 * row that this statement has changed and not yet told of; its rows come in the order in which they were told.
 *
 * Ours. A transaction of the writer sets godwit.ours for itself, and the triggers pass it by if it is a session of
 * godwit's role (session_user: neither SET ROLE nor a function changes it), so nobody else can hide a write. Its position
 * row, written first, has a trigger of its own, by which the stream knows the transaction.
 *
 * Whoever owns a table can disable a trigger or drop it. That leaves a trace in pg_trigger, which the stream looks at as
 * it is opened, and every second: then what was written meanwhile is missing, and the position is lost.
 */
#ifndef GW_STORE_POSTGRES_CAPTURE_H
#define GW_STORE_POSTGRES_CAPTURE_H

#include "store/capture/capture.h"
#include "store/postgres/changes.h"

#define GW_PG_CAPTURE_TRIGGER "!godwit_capture"
#define GW_PG_CAPTURE_TRUNCATE "!godwit_truncate"
#define GW_PG_CAPTURE_NOTE "capture" /* in godwit.note: capture is open here */

static inline bool gw_pg_captures(const struct gw_pg_store *store)
{
    return store->base.identity.capture == GW_CAPTURE_TRIGGER;
}

/* What AUTO comes to on this side: what is there already, else the log if the server and the role let us. *why: a clause
 * that says why it is triggers ("wal_level is replica"); "" for the log. */
GW_MUST_CHECK bool gw_pg_capture_decide(struct gw_pg_store *, PGconn *, enum gw_capture asked, enum gw_capture *out,
                                        struct gw_buf *why, struct gw_error *);

/* capture_prepare.c */
GW_MUST_CHECK bool gw_pg_capture_prepare(struct gw_pg_store *, PGconn *, const struct gw_schema *, struct gw_position *,
                                         struct gw_error *);
/* Triggers, functions and tables; idempotent, and where there are none it is one look. */
GW_MUST_CHECK bool gw_pg_capture_drop(struct gw_pg_store *, PGconn *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_capture_left(struct gw_pg_store *, PGconn *, struct gw_buf *lines, struct gw_error *);
GW_MUST_CHECK bool gw_pg_capture_there(struct gw_pg_store *, PGconn *, bool *there, struct gw_error *);
/* GW_ERR_LOST_POSITION when a trigger is missing, off, or was touched since it was made. */
GW_MUST_CHECK bool gw_pg_capture_check(struct gw_pg_store *, PGconn *, struct gw_error *);
/* The statements for one table, without what is only ours to know: for plan and for measuring. `table`: quoted. */
void gw_pg_capture_function_sql(const struct gw_collection *, const char *name, struct gw_buf *sql);
void gw_pg_capture_trigger_sql(struct gw_pg_store *, const char *table, const char *function, struct gw_buf *sql);

/* capture_stream.c: members of the facet. */
GW_MUST_CHECK bool gw_pg_capture_open(struct gw_pg_store *, const struct gw_schema *, const struct gw_position *from,
                                      struct gw_stream **out, struct gw_error *);
void gw_pg_capture_close(struct gw_stream *);
GW_MUST_CHECK bool gw_pg_capture_next(struct gw_stream *, int timeout_ms, struct gw_change *, bool *got,
                                      struct gw_error *);
GW_MUST_CHECK bool gw_pg_capture_acknowledge(struct gw_stream *, const struct gw_position *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_capture_horizon(struct gw_pg_store *, struct gw_position *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_capture_retained(struct gw_pg_store *, struct gw_retained *, struct gw_error *);

/* capture_shape.c */
struct gw_pg_shape_column {
    int number; /* attnum */
    char *name, *type;
    uint32_t type_id;
    bool generated;
    int32_t place; /* in the collection's columns, -1: not planned, or generated */
};
struct gw_pg_shape { /* the columns of a table as a cut saw them */
    uint64_t batch;
    size_t count;
    struct gw_pg_shape_column *columns;
    bool same;        /* as planned */
    bool only_more;   /* every planned column as planned, and others */
    char *difference; /* in words */
};
/* From the JSON of godwit.capture_shape, against the plan. */
GW_MUST_CHECK bool gw_pg_shape_parse(const char *json, const struct gw_collection *planned, struct gw_pg_shape *out,
                                     struct gw_error *);
void gw_pg_shape_release(struct gw_pg_shape *);
bool gw_pg_shape_same_numbers(const struct gw_pg_shape *a, const struct gw_pg_shape *b);
/* Rows into values in the collection's layout (others ABSENT). False: the row is not of this shape. `key`: of its key
 * columns alone, in key order. Values borrow from `bytes`. */
bool gw_pg_shape_binary(const struct gw_pg_shape *, const struct gw_collection *, struct gw_cursor bytes,
                        struct gw_value *values);
bool gw_pg_shape_key(const struct gw_collection *, struct gw_cursor bytes, struct gw_value *values);
/* As record_out writes it, in UTF-8. Values borrow from the arena. */
bool gw_pg_shape_text(const struct gw_pg_shape *, const struct gw_collection *, struct gw_cursor bytes,
                      struct gw_arena *, struct gw_value *values);

#endif
