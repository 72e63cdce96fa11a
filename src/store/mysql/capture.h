/*
 * Capture by triggers on a MariaDB or MySQL side, where its binlog is not to be had: store/capture/capture.h over the
 * tables of mysql_capture.sql. The account needs all rights on the database, and nothing of the server's.
 *
 *   capture_sql.c      the triggers' statements         capture_prepare.c   made, checked and removed
 *   capture_runs.c     sets of numbers                  capture_cut.c       batches, and marks of chunks
 *   capture_stream.c   the source of the stream         capture_row.c       images to changes
 *   capture_probe.c    what a captured write costs
 *
 * A batch. No transaction here knows its own number, so what a snapshot sees is written down itself: the numbers (`seq`)
 * that it sees and no batch before had, as runs. Whatever the order of commits, nothing is missed and nothing comes twice,
 * and no gap has to be proved dead: what commits late is a number that is in no batch yet. What is acknowledged is deleted
 * by its numbers and leaves the runs in the same transaction. Only one cuts at a time (godwit_capture_cut).
 *
 * Order. A number is drawn in the trigger (UUID_SHORT: one counter of the server, which goes on behind its start time), under
 * the lock of the row that is changed, and a second writer of that row waits for the end of the first: numbers of one row
 * grow as it changed. A batch is the difference of two snapshots, its rows in
 * the order of their numbers. It is handed out as one transaction (and one for what is ours, where there are both).
 *
 * Marks. A chunk's snapshot is taken while nobody cuts, and is a cut itself: it saw the batches up to it and no other.
 * Transactions are numbered 2n (ours) and 2n + 1 for batch n.
 *
 * What a trigger writes: the columns by name, each as text that does not depend on the session (TIMESTAMP as seconds of the
 * epoch, texts in UTF-8), an old key where it changed, the whole old row where there is no key. The application's statements
 * never fail for our sake: what cannot be written down (a column that is gone, an image above max_allowed_packet) leaves a
 * row that says so, and the stream stops there.
 *
 * UPDATE IGNORE fires the trigger for a row that it leaves alone, because of a duplicate or a foreign key. So where a column
 * of an index changes, the trigger looks whether the row is there as it says.
 *
 * Ours. The writer's session has @godwit_ours set, and the triggers pass it by if it logged in with godwit's user name. Its
 * position row, written first, has a trigger of its own, by which the stream knows that there was a transaction of ours.
 *
 * What triggers do not see: TRUNCATE, foreign keys' cascades (the follower makes those good, as with the binlog), and
 * whoever drops one; that leaves a trace in information_schema.TRIGGERS, which is looked at every other second. A TRUNCATE
 * is noticed where it sets an AUTO_INCREMENT back.
 */
#ifndef GW_STORE_MYSQL_CAPTURE_H
#define GW_STORE_MYSQL_CAPTURE_H

#include "store/capture/capture.h"
#include "store/mysql/changes.h"
#include "store/mysql/column.h"

#define GW_MYSQL_CAPTURE_NOTE "capture" /* in godwit_note: capture is open here */

static inline bool gw_mysql_captures(const struct gw_mysql_store *store)
{
    return store->base.identity.capture == GW_CAPTURE_TRIGGER;
}

/* What AUTO comes to on this side: what was begun already, else the log if the server and the account let us. *why (in the
 * store's binlog_why): why it is triggers. */
GW_MUST_CHECK bool gw_mysql_capture_decide(struct gw_mysql_store *, struct gw_mysql_conn *, enum gw_capture asked,
                                           enum gw_capture *out, struct gw_error *);

/* ---- capture_runs.c ---- */
struct gw_mysql_run {
    uint64_t from, to;
};
struct gw_mysql_runs { /* ascending, apart from each other */
    struct gw_mysql_run *items;
    size_t count, capacity;
};
void gw_mysql_runs_release(struct gw_mysql_runs *);
/* Behind all that are in it. */
void gw_mysql_runs_append(struct gw_mysql_runs *, uint64_t seq);
void gw_mysql_runs_join(struct gw_mysql_runs *, const struct gw_mysql_runs *more);
bool gw_mysql_runs_have(const struct gw_mysql_runs *, uint64_t seq);
/* Takes the first numbers out, at most `most`, in ascending order. Returns how many. */
size_t gw_mysql_runs_take(struct gw_mysql_runs *, uint64_t *out, size_t most);
/* "5,3;1,2": gap from the last one's end, length. */
void gw_mysql_runs_format(const struct gw_mysql_runs *, struct gw_buf *out);
GW_MUST_CHECK bool gw_mysql_runs_parse(const char *text, struct gw_mysql_runs *out, struct gw_error *);
/* A condition on `seq` that holds for all that are not in it, and perhaps for some that are: few ranges. */
void gw_mysql_runs_outside(const struct gw_mysql_runs *, struct gw_buf *sql);

/* ---- capture_cut.c ---- */
struct gw_mysql_batch {
    struct gw_capture_batch head;
    bool ours; /* has a transaction of ours; the other one, if there are two, comes behind it */
    int64_t wall_us;
};
struct gw_mysql_batches { /* as a snapshot saw them */
    struct gw_mysql_batch newest;
    struct gw_mysql_runs known; /* numbers of all batches, without what is trimmed */
};
/* In the snapshot that `view` has open (or opens by it); what is new to it is written by `write` (may be the same), which
 * holds the cut. *out is owned (known). */
GW_MUST_CHECK bool gw_mysql_cut_in(struct gw_mysql_conn *view, struct gw_mysql_conn *write,
                                   struct gw_mysql_batches *out, struct gw_error *);
/* Begins the transaction that holds the cut. */
GW_MUST_CHECK bool gw_mysql_cut_hold(struct gw_mysql_conn *, struct gw_error *);
/* Hold, cut, commit on one connection. */
GW_MUST_CHECK bool gw_mysql_cut(struct gw_mysql_conn *, struct gw_mysql_batches *out, struct gw_error *);
/* A reader's transaction, on `view`, and its mark; where capture is not open a mark that saw nothing of what will be. */
GW_MUST_CHECK bool gw_mysql_capture_enter(struct gw_mysql_conn *view, struct gw_mysql_conn *locker,
                                          struct gw_mark *mark, struct gw_error *);
/* Deletes for at most that long; *more: there is more to delete. Up to batch `number`. */
GW_MUST_CHECK bool gw_mysql_capture_trim(struct gw_mysql_conn *, uint64_t number, int64_t most_us, bool *more,
                                         struct gw_error *);
GW_MUST_CHECK bool gw_mysql_capture_horizon(struct gw_mysql_store *, struct gw_position *, struct gw_error *);

/* ---- capture_sql.c ---- */
bool gw_mysql_capture_writes(const struct gw_column *); /* is it in an image? */
bool gw_mysql_capture_is_plain(
    const struct gw_mysql_form *); /* ended by a comma; others have their length before them */
/* "godwit_capture_i_<hash of the table>" */
void gw_mysql_capture_trigger(const char *table, size_t event, char out[64]);
/* CREATE TRIGGER after INSERT, UPDATE, DELETE (0, 1, 2). `first`: another trigger that ours goes before, or NULL.
 * `indexed`: of each column, whether an index holds it (NULL: none but the key's). */
void gw_mysql_capture_trigger_sql(const struct gw_mysql_store *, const struct gw_collection *, size_t event,
                                  const char *name, const char *rel, const char *first, const bool *indexed,
                                  struct gw_buf *sql);
/* The columns of an image, as JSON. */
char *gw_mysql_capture_columns(const struct gw_collection *);

/* ---- capture_prepare.c ---- */
GW_MUST_CHECK bool gw_mysql_capture_prepare(struct gw_mysql_store *, struct gw_mysql_conn *, const struct gw_schema *,
                                            struct gw_position *, struct gw_error *);
/* Triggers and tables; idempotent. */
GW_MUST_CHECK bool gw_mysql_capture_drop(struct gw_mysql_store *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_capture_left(struct gw_mysql_conn *, struct gw_buf *lines, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_capture_there(struct gw_mysql_conn *, bool *there, struct gw_error *);
/* GW_ERR_LOST_POSITION when a trigger is missing or was made anew. */
GW_MUST_CHECK bool gw_mysql_capture_check(struct gw_mysql_conn *, struct gw_error *);
/* GW_ERR_LOST_POSITION with the way on; `why` is a clause. */
bool gw_mysql_capture_lost(const struct gw_mysql_store *, struct gw_error *, const char *why, ...) GW_PRINTF(3, 4);

/* ---- capture_row.c ---- */
struct gw_mysql_layout { /* of one captured table */
    uint32_t rel;
    const struct gw_collection *collection; /* NULL: not in the plan */
    struct gw_mysql_form *forms;            /* of its columns */
    size_t column_count;
    int *columns; /* of an image: place in the collection, -1: not planned */
    struct gw_value *values, *old_values;
};
GW_MUST_CHECK bool gw_mysql_layout_open(struct gw_mysql_layout *, const struct gw_schema *, uint32_t rel,
                                        const char *name, const char *columns, struct gw_error *);
void gw_mysql_layout_release(struct gw_mysql_layout *);
/* *change: kind, collection, rows. Borrows from the bytes, the layout and the arena. False: the bytes are not an image. */
bool gw_mysql_layout_row(struct gw_mysql_layout *, char op, struct gw_cursor was, struct gw_cursor image,
                         struct gw_arena *, struct gw_change *change);

/* ---- capture_stream.c: members of the facet ---- */
struct gw_mysql_captured;
GW_MUST_CHECK bool gw_mysql_capture_open(struct gw_mysql_store *, const struct gw_schema *,
                                         const struct gw_position *from, struct gw_mysql_captured **out,
                                         struct gw_error *);
void gw_mysql_capture_close(struct gw_mysql_captured *);
GW_MUST_CHECK bool gw_mysql_capture_next(struct gw_mysql_captured *, int timeout_ms, struct gw_change *, bool *got,
                                         struct gw_error *);
GW_MUST_CHECK bool gw_mysql_capture_acknowledge(struct gw_mysql_captured *, const struct gw_position *,
                                                struct gw_error *);
GW_MUST_CHECK bool gw_mysql_capture_retained(struct gw_mysql_store *, struct gw_retained *, struct gw_error *);

/* ---- capture_probe.c ---- */
GW_MUST_CHECK bool gw_mysql_capture_probe(struct gw_store *, int64_t *plain_ns, int64_t *captured_ns,
                                          struct gw_error *);

#endif
