/*
 * A reader's session on the source: reader.c reads chunks, reader_split.c finds their bounds.
 * One connection, one thread at a time.
 */
#ifndef GW_STORE_POSTGRES_READER_H
#define GW_STORE_POSTGRES_READER_H

#include "base/arena.h"
#include "store/postgres/conn.h"
#include "store/postgres/slices.h"
#include "store/spread.h"

#define GW_PG_SPREADS 16

struct gw_pg_reader {
    struct gw_pg_store *store;
    PGconn *conn;
    bool in_transaction;
    const struct gw_collection *collection; /* of the open chunk */
    enum { GW_PG_READ_NOTHING, GW_PG_READ_COPY, GW_PG_READ_SLICES, GW_PG_READ_DONE } state;
    bool sliced;         /* big rows follow the COPY */
    struct gw_buf block; /* frames handed out */
    char *held;          /* a row of libpq's, handed out as it is */
    struct gw_pg_slices *slices;
    struct gw_arena arena; /* refetch: the row's values */
    PGresult *refetched;
    struct gw_spread spreads[GW_PG_SPREADS]; /* by hash: several tables are cut in turn */
};

static inline struct gw_pg_reader *gw_pg_reader_of(struct gw_reader *reader)
{
    return (struct gw_pg_reader *)reader;
}

/* reader_split.c */
GW_MUST_CHECK bool gw_pg_reader_split(struct gw_reader *, const struct gw_collection *, const struct gw_bound *low,
                                      int64_t rows, struct gw_bound *next, bool *last, struct gw_error *);
/* refetch.c */
GW_MUST_CHECK bool gw_pg_reader_refetch(struct gw_reader *, const struct gw_collection *, const struct gw_row *key,
                                        struct gw_mark *mark, bool *found, struct gw_row *row, struct gw_error *);
/* reader.c: begin, lock, then the mark; *toast_bytes: out-of-line storage as it is now. */
GW_MUST_CHECK bool gw_pg_reader_enter(struct gw_pg_reader *, const struct gw_collection *, struct gw_mark *mark,
                                      int64_t *toast_bytes, struct gw_error *);
GW_MUST_CHECK bool gw_pg_reader_leave(struct gw_pg_reader *, struct gw_error *);

/* refetch.c: a row of a result that has gw_pg_add_columns from `field` on, as text or, where all are safe, binary. In column
 * layout, generated columns ABSENT; borrows from the result. */
void gw_pg_take_row(const PGresult *, int tuple, int field, const struct gw_collection *, struct gw_value *values);

#endif
