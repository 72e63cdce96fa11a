/*
 * Capture by triggers, for any engine: rows that triggers wrote down, as the change log of store.h.
 *
 * An engine keeps a table of captured rows (one for each insert, update, delete, truncate and signal, with its
 * transaction and a number `seq` that grows as triggers fire) and gives the few callbacks below; the stream here makes
 * BEGIN, rows and COMMIT of them, with positions that a later session derives again exactly.
 *
 * Batches. Never "seq > the last one": numbers are drawn before commits, so a transaction that commits late holds
 * numbers below what was read already. A batch is what is visible in this snapshot and was not in the one before; its
 * cut (snapshot, number, order) is written down durably before anything of it is handed out, so a crash of the source
 * cannot take back what we were given, and any session reads the same rows as that batch again. Never SKIP LOCKED: it
 * tears transactions.
 *
 * Order. Batches follow each other, and inside a batch transactions are whole, ordered by their largest seq, rows by
 * seq. That is a serialization: let T2 write (or lock) what T1 wrote before it. T2 had to wait for the end of T1, and
 * all of T1's numbers are drawn before its end; so T2's number for that row is above all of T1's, and the largest of T2
 * is above the largest of T1. Across batches: a snapshot that sees T2 sees T1, which ended before T2 could go on. An
 * engine in which writers come one after the other (SQLite) may hand out a batch as one transaction.
 *
 * Positions. order: a running counter, two for each transaction: BEGIN at before + 2i + 1, COMMIT at before + 2i + 2 for
 * the i-th of a batch, so that a batch's end is its last COMMIT. text: "number/index/last/stamp": the batch, how many of
 * its transactions are through, the last one's largest seq, and the batch's stamp.
 *
 * Threads: a stream and its source belong to one thread at a time. Errors: the callbacks' own, and GW_ERR_LOST_POSITION
 * for a position whose batch is trimmed, or is another one now (a restored backup).
 */
#ifndef GW_STORE_CAPTURE_CAPTURE_H
#define GW_STORE_CAPTURE_CAPTURE_H

#include "base/cancel.h"
#include "model/change.h"

struct gw_capture_batch {
    uint64_t number;       /* 0: nothing was cut yet, the place where capture began; then 1, 2, ... without a gap */
    uint64_t before;       /* order at its beginning; GW_CAPTURE_FIRST for number 0; else the end of the one before */
    uint64_t transactions; /* in it, ours too; 0 for number 0 only */
    uint64_t stamp;        /* tells it from one of the same number in another life of this database; such as its time */
};
#define GW_CAPTURE_FIRST 2

struct gw_capture_row {
    uint64_t transaction; /* as marks number it; rows of one transaction come one after the other */
    uint64_t last;        /* its largest seq: grows from one transaction to the next */
    uint64_t seq;         /* grows inside it; several events may come of one (SCHEMA, then the row) */
    int64_t wall_us;      /* about its commit, by the source's clock (as near as the engine knows) */
    bool ours;            /* of its first row: written by godwit's writer */
    /* What is handed out, all but transaction, position and times. Kind 0: stands for nothing but its transaction (the
     * row by which ours is known). Borrows until the next call. */
    struct gw_change change;
};

/* An engine's way to its captured rows, over one session. `own` is the engine's. */
struct gw_capture_source {
    /* The oldest batch that is known: all of it is read and acknowledged (or it is number 0). */
    GW_MUST_CHECK bool (*oldest)(void *own, struct gw_capture_batch *out, struct gw_error *);
    /* A batch that is still known, also the oldest; *found false: not (any more). */
    GW_MUST_CHECK bool (*find)(void *own, uint64_t number, struct gw_capture_batch *out, bool *found,
                               struct gw_error *);
    /* The batch behind `number`: one that was cut already, else what is visible now is cut, durably. *got false: there is
     * nothing new. Others may cut, too (horizon, fence): it must be exclusive. */
    GW_MUST_CHECK bool (*next)(void *own, uint64_t number, struct gw_capture_batch *out, bool *got, struct gw_error *);
    /* Begins to read a batch, from the transactions whose `last` is above the given one (0: all). */
    GW_MUST_CHECK bool (*read)(void *own, const struct gw_capture_batch *, uint64_t last, struct gw_error *);
    /* *got false: the batch is at its end (and what read began is over). */
    GW_MUST_CHECK bool (*row)(void *own, struct gw_capture_row *, bool *got, struct gw_error *);
    /* All up to this batch's end need never be read again; called between batches, not too often. Keeps the batch itself
     * as the oldest known. Cheap; what cannot be had at once (locks) is left to the next time. */
    GW_MUST_CHECK bool (*trim)(void *own, uint64_t number, struct gw_error *);
};

struct gw_capture_stream;

/* From after `from` (order 0: from the oldest). `where` names the side for messages ("blue host:5432/app"; copied). The
 * source, own and cancel (may be NULL) are borrowed for the stream's life. */
GW_MUST_CHECK bool gw_capture_open(const struct gw_capture_source *, void *own, const char *where,
                                   struct gw_cancel *cancel, const struct gw_position *from,
                                   struct gw_capture_stream **out, struct gw_error *);
void gw_capture_close(struct gw_capture_stream *); /* NULL is fine; what `read` began is the engine's to end */
/* As changes->next and changes->acknowledge of store.h. The first event is a PROGRESS with the place it begins at. Asks
 * the source every 2 ms while there is something, and ever less often, up to every 50 ms, while there is not. */
GW_MUST_CHECK bool gw_capture_next(struct gw_capture_stream *, int timeout_ms, struct gw_change *, bool *got,
                                   struct gw_error *);
GW_MUST_CHECK bool gw_capture_acknowledge(struct gw_capture_stream *, const struct gw_position *, struct gw_error *);

/* The end of a batch: changes->horizon, once `next` of the source has nothing new; and where prepare begins (number 0). */
void gw_capture_end(const struct gw_capture_batch *, struct gw_position *out);

#endif
