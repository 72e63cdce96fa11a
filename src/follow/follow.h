/*
 * One direction of following: the source's changes are received, spooled and applied on the target.
 *
 * Two threads of its own: the receiver (one stream of the source, appends to the spool) and the applier (reads the
 * spool, one writer session on the target). Both mend themselves: a passing error closes the session, reads the
 * position from the target again and goes on. What does not pass stands in the status.
 *
 * Life:
 *   gw_follow_start            receives; nothing is applied yet (rows are being copied)
 *   gw_follow_allow_apply      all chunks are loaded and keyed: apply, deciding by the chunks' marks (rule 3)
 *   gw_follow_wait_past_marks  no chunk's mark matters any more: unique and other indexes may be made
 *   gw_follow_wait_applied     a position is applied, durably: the switch's drain
 *   gw_follow_stop             ends both threads after the transaction at hand; what is spooled stays. What does not
 *                              end within a second (a lock on the target, a silent network) is cancelled
 *
 * Acknowledged to the source: before gw_follow_allow_apply what the spool has on disk, after it only what is durable
 * on the target.
 *
 * The side that does not own its data is followed as well (source_owns false): there our own transactions and signals
 * may appear, anything else is a foreign write: counted, put into quarantine (which blocks the switch), never applied.
 *
 * Threads: every call from any thread. Strings in the options are copied; stores, state and schema are borrowed for
 *   life.
 */
#ifndef GW_FOLLOW_FOLLOW_H
#define GW_FOLLOW_FOLLOW_H

#include "base/cancel.h"
#include "base/error.h"
#include "model/change.h"
#include "model/position.h"
#include "model/schema.h"
#include "state/state.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define GW_FOLLOW_KINDS 10 /* counters are indexed by enum gw_change_kind */

struct gw_follow;

struct gw_follow_options {
    struct gw_store *source, *target;
    struct gw_state *state;            /* quarantine, horizons, events */
    const struct gw_schema *schema;    /* as planned: ids in the stream are places in it */
    const struct gw_cascade *cascades; /* what the source's log leaves out; borrowed for life */
    size_t cascade_count;
    const char *stream; /* "blue>green"; NULL: from the two sides */
    const char *spool_dir;
    int64_t spool_limit_bytes;   /* 0: none */
    int64_t spool_segment_bytes; /* 0: the spool's default */
    bool source_owns;
    int64_t batch_rows;        /* changes collapsed into one set of statements; 0: 60,000 */
    int64_t batch_bytes;       /* their bytes; 0: 16 MiB */
    int batch_delay_ms;        /* how long a batch that is not full may wait for more; 0: not at all */
    int durable_ms;            /* a commit at least this often waits for the target's disk; 0: 2000 */
    int retry_max_ms;          /* longest pause between two tries; 0: 5,000 */
    atomic_bool *owner_behind; /* shared by both directions: the owner's log has piled up; may be NULL */
    struct gw_cancel *cancel;  /* may be NULL: asked = as gw_follow_stop, without the wait */
};

enum gw_follow_block { /* why the applier does not go on, or why no switch may happen */
                       GW_FOLLOW_FREE = 0,
                       GW_FOLLOW_SCHEMA,      /* a definition changed: applying stopped before it */
                       GW_FOLLOW_FOREIGN,     /* somebody wrote on the side that is not the owner */
                       GW_FOLLOW_QUARANTINED, /* changes could not be applied and wait in quarantine */
                       GW_FOLLOW_LEFT_OUT,    /* rows that do not fit wait there, and go over once they are mended */
                       GW_FOLLOW_SPOOL_FULL,  /* receiving waits for room; the source retains */
                       GW_FOLLOW_FAILED,      /* an error that trying again does not mend; see `error` */
};

struct gw_follow_status {
    bool receiving; /* the stream is open */
    bool apply_allowed;
    bool applying; /* allowed, not paused, not blocked, session open */
    bool paused;
    bool past_marks;                    /* no chunk's mark matters any more */
    bool caught_up;                     /* everything received is applied, and the source had no more when last asked */
    struct gw_position received;        /* last COMMIT or PROGRESS in the spool */
    struct gw_position applied;         /* applied or passed, perhaps not on the target's disk yet */
    struct gw_position applied_durable; /* what may be acknowledged */
    struct gw_position source_end;      /* the source's horizon, at most some seconds old; order 0 unknown */
    int64_t lag_bytes;                  /* source_end (or received) less applied, in the log's own measure */
    int64_t lag_us;                     /* commit times of the source: newest received less newest applied */
    int64_t lag_rows; /* received and not yet applied (estimated for what an earlier process spooled) */
    double source_rows_per_second, apply_rows_per_second; /* over the last 10 s */
    int64_t seconds_left;                                 /* until caught up at these rates; -1: never */
    int64_t spool_bytes, spool_unread_bytes;
    uint64_t changes[GW_FOLLOW_KINDS]; /* handled by the applier, by kind, since start */
    uint64_t transactions;             /* of others, applied since start */
    uint64_t skipped_ours;             /* our own transactions passed over */
    uint64_t skipped_seen;             /* changes a chunk already had */
    uint64_t refetched;                /* rows read again from the source */
    uint64_t careful;                  /* batches gone through again row by row */
    uint64_t quarantined;              /* since start; all of them: gw_state_quarantined */
    uint64_t foreign_writes;           /* transactions, since start */
    uint64_t batches, commits_durable, retries;
    enum gw_follow_block block;
    char blocked[512];     /* what blocks and the way on; "" when nothing */
    struct gw_error error; /* the last one; kind GW_ERR_NONE when all is well now */
    int64_t error_wall_us;
    char last_signal[128]; /* newest signal token that went through the applier */
};

GW_MUST_CHECK bool gw_follow_start(const struct gw_follow_options *, struct gw_follow **out, struct gw_error *);
void gw_follow_stop(struct gw_follow *); /* NULL is fine; also releases it */

/* The source is about to drop our place in its log: nothing more is received, and the status says FAILED with `why`. */
void gw_follow_give_up(struct gw_follow *, const struct gw_error *why);

/* `chunks`: the journal with the chunks of this direction's load, all loaded and keyed (GW_ERR_CONFLICT otherwise);
 * NULL when nothing was loaded in this direction. Takes the horizon behind which no mark matters, writes it into the
 * state, and writes a marker on the source so that an idle source gets there. */
GW_MUST_CHECK bool gw_follow_allow_apply(struct gw_follow *, struct gw_state *chunks, struct gw_error *);

/* Returns when no transaction of ours is open on the target and what is applied is durable. */
GW_MUST_CHECK bool gw_follow_pause_apply(struct gw_follow *, struct gw_error *);
void gw_follow_resume_apply(struct gw_follow *);

void gw_follow_status(struct gw_follow *, struct gw_follow_status *out);

/* The waits below wake as soon as it is so. *reached false when the time is over. They fail when the follower cannot
 * get there: blocked by a schema change, failed, stopping (GW_ERR_CANCELLED). timeout_ms < 0: no end. */
/* Everything up to `position` is applied and durable. On an idle source write a signal, or wait for the signal: a
 * position at the end of the log is passed only when something comes after it. */
GW_MUST_CHECK bool gw_follow_wait_applied(struct gw_follow *, const struct gw_position *position, int timeout_ms,
                                          bool *reached, struct gw_error *);
/* A signal written on the source (changes->signal) has gone through the applier, and all before it is durable. */
GW_MUST_CHECK bool gw_follow_wait_signal(struct gw_follow *, const char *token, int timeout_ms, bool *reached,
                                         struct gw_error *);
GW_MUST_CHECK bool gw_follow_wait_past_marks(struct gw_follow *, int timeout_ms, bool *reached, struct gw_error *);
/* Everything the source had when this was called is applied and durable (writes a marker on the source and waits). */
GW_MUST_CHECK bool gw_follow_wait_caught_up(struct gw_follow *, int timeout_ms, bool *reached, struct gw_error *);

/* Holds for every transaction the applier has not handled yet: wait for what is in the log before changing it. */
void gw_follow_set_source_owns(struct gw_follow *, bool owns);

/* After the operator looked: the count is of what comes from now on (the quarantine is cleared in the state). */
void gw_follow_forget_foreign(struct gw_follow *);

#endif
