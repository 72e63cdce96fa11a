/*
 * A reader's session on the source: reader.c reads chunks, reader_mark.c takes their marks, reader_split.c finds their
 * bounds. One connection, one thread at a time.
 *
 * A chunk is one statement in a transaction WITH CONSISTENT SNAPSHOT. The mark is where the binlog stood for exactly
 * this snapshot: MariaDB keeps it with the snapshot (Binlog_snapshot_file, Binlog_snapshot_position). Elsewhere the
 * table is locked for reading by a second session while the snapshot is taken: who has written the table and not
 * committed is waited for, so that each transaction that touches the table is before or behind the position as a whole.
 * DDL between the snapshot and the read is found by the server itself (error 1412, GW_ERR_RETRY): it never gives an
 * empty or half a table.
 */
#ifndef GW_STORE_MYSQL_READER_H
#define GW_STORE_MYSQL_READER_H

#include "base/arena.h"
#include "store/mysql/keys.h"
#include "store/spread.h"

#define GW_MYSQL_SPREADS 16

struct gw_mysql_reader {
    struct gw_mysql_store *store;
    struct gw_mysql_conn *conn;
    struct gw_mysql_conn *locker; /* where the snapshot does not know its position */
    bool in_transaction;
    const struct gw_collection *collection; /* whose forms are at hand */
    uint64_t shape;                         /* hash of it, so that another one at its address is told apart */
    struct gw_mysql_form *forms;
    MYSQL_RES *rows;
    size_t field_count; /* columns in all */
    size_t *fields;     /* columns that are read, in order */
    size_t written_count;
    enum { GW_MYSQL_READ_NOTHING, GW_MYSQL_READ_ROWS, GW_MYSQL_READ_DONE } state;
    struct gw_buf block;
    struct gw_arena arena; /* refetch: the row's values */
    struct gw_spread spreads[GW_MYSQL_SPREADS];
};

static inline struct gw_mysql_reader *gw_mysql_reader_of(struct gw_reader *reader)
{
    return (struct gw_mysql_reader *)reader;
}

/* reader_mark.c: begins the transaction; what follows sees all up to the mark and nothing behind it. */
GW_MUST_CHECK bool gw_mysql_reader_enter(struct gw_mysql_reader *, const struct gw_collection *, struct gw_mark *mark,
                                         struct gw_error *);
GW_MUST_CHECK bool gw_mysql_reader_leave(struct gw_mysql_reader *, struct gw_error *);
/* reader_split.c */
GW_MUST_CHECK bool gw_mysql_reader_split(struct gw_reader *, const struct gw_collection *, const struct gw_bound *low,
                                         int64_t rows, struct gw_bound *next, bool *last, struct gw_error *);
/* reader.c: makes the forms those of this collection. */
void gw_mysql_reader_know(struct gw_mysql_reader *, const struct gw_collection *);

/* A row as gw_mysql_add_select selects it, in column layout, generated columns ABSENT; copied into the arena. */
void gw_mysql_take_row(const struct gw_collection *, const struct gw_mysql_form *forms, MYSQL_ROW row,
                       const unsigned long *lengths, struct gw_arena *arena, struct gw_row *out);
/* A native value from what was selected; `number` keeps it where it is another text. */
void gw_mysql_native(const struct gw_mysql_form *form, const char **text, size_t *len, char number[32]);

/* The end of the binlog as it is now: order and "file:offset". Needs the right to see it (BINLOG MONITOR, REPLICATION
 * CLIENT). */
GW_MUST_CHECK bool gw_mysql_log_end(struct gw_mysql_conn *, struct gw_position *out, struct gw_error *);
/* "bin.000002", 2164 */
void gw_mysql_position_of(const char *file, uint64_t offset, struct gw_position *out);

#endif
