/*
 * One collection being compared, and the run it is part of. Private to verify/.
 *
 * A task is shared by the workers that read its chunks; `lock` guards what is below it. A suspect's key is kept until
 * a batch is full or the last chunk is read; the worker that finds that settles them.
 */
#ifndef GW_VERIFY_TASK_H
#define GW_VERIFY_TASK_H

#include "base/arena.h"
#include "verify/cause.h"
#include "verify/pass.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdatomic.h>

#define GW_VERIFY_EXAMINED_MAX 10000 /* differing rows proved one by one; beyond it they are only counted */
#define GW_VERIFY_SHOWN_MAX 20
#define GW_VERIFY_BATCH_MAX 8192

struct gw_verify_keys { /* suspects waiting: deep copies */
    struct gw_arena arena;
    struct gw_row *rows;
    size_t count, capacity;
};
void gw_verify_keys_add(struct gw_verify_keys *, const struct gw_row *key);
void gw_verify_keys_release(struct gw_verify_keys *);

struct gw_verify_cut { /* a chunk, in the order of its side */
    struct gw_range range;
    bool done; /* found equal; of a tally: added */
};
struct gw_verify_cuts {
    size_t count, capacity;
    struct gw_verify_cut **items; /* each its own allocation: it stays where it is */
    bool last;                    /* to the end */
};

struct gw_verify_shared { /* of the whole run */
    atomic_bool stop;     /* nothing more can be found out */
    atomic_bool stalled;  /* the target did not get there last time: the next wait is short */
    atomic_ullong chunks, rows, bytes, suspects;
    atomic_size_t tally_bytes; /* of all tallies at this time */
};

struct gw_verify_task {
    const struct gw_verify_options *options;
    struct gw_verify_shared *shared;
    const struct gw_collection *collection; /* the source's, with the plan's id */
    int64_t chunk_rows;
    bool by_keys;           /* of a sample: the sides order its keys differently */
    struct gw_tally *tally; /* the sides order its keys differently; owned. Else NULL */

    pthread_mutex_t lock;
    struct gw_verify_cuts cuts[2];     /* as the source orders keys; with a tally each side as it does */
    struct gw_digest covered[2];       /* rows and bytes of the chunks that are done, */
    struct gw_verify_span covering[2]; /* and their snapshots */
    bool decided;                      /* out has the verdict */
    size_t items_open;                 /* chunks queued or being read */
    bool split_done;
    bool closed; /* the verdict stands */
    bool failed; /* could not be read: `error`; the rest of its chunks is skipped */
    struct gw_error error;
    char unresolved_why[400]; /* the first reason why rows stayed unresolved */
    uint64_t rows_unexamined; /* more rows that differ, by their digests alone */
    struct gw_verify_keys suspects;
    struct gw_cause cause;
    struct gw_verify_span spans[2];
    struct gw_verify_collection out;
};

/* The next chunk of a side: its number. The range is the task's from now on. Locks nothing. */
size_t gw_verify_cut_add(struct gw_verify_task *, int side, const struct gw_range *, bool last);
void gw_verify_cuts_release(struct gw_verify_task *);
void gw_verify_task_fail(struct gw_verify_task *, const struct gw_error *);
void gw_verify_task_why(struct gw_verify_task *, const char *why); /* lock held */
/* How many rows one fetch by key may take without standing in memory too broadly. */
size_t gw_verify_fetch_rows(const struct gw_collection *);
/* "id=42, tenant=3", each as the mask shows it; NULL: as it is */
void gw_verify_key_text(const struct gw_verify_side *, const struct gw_collection *, const struct gw_row *key,
                        const struct gw_mask *, struct gw_buf *out);

/* Waits until the target has applied past `at`; true at once when nothing follows. *reached false: it stalled, or the
 * follower cannot get there, and `why` says so. Fails only when cancelled. */
GW_MUST_CHECK bool gw_verify_wait_applied(struct gw_verify_task *, const struct gw_position *at, int timeout_ms,
                                          bool *reached, struct gw_error *err);
/* Waits until everything that was in the source's log when this was called is visible there; *settled false when that
 * takes longer than timeout_ms. True at once when nothing follows. */
GW_MUST_CHECK bool gw_verify_outlast(struct gw_verify_task *, struct gw_verify_pair *, int timeout_ms, bool *settled,
                                     struct gw_error *err);

/* Are these rows (by key) different, or were they only moving? Adds what it finds to task->out. settle.c */
GW_MUST_CHECK bool gw_verify_settle(struct gw_verify_task *, struct gw_verify_pair *, const struct gw_verify_keys *,
                                    struct gw_error *err);
/* A collection without key whose digests differ. settle_keyless.c */
GW_MUST_CHECK bool gw_verify_settle_keyless(struct gw_verify_task *, struct gw_verify_pair *, struct gw_pass *,
                                            struct gw_error *err);
/* A row that differs, to be settled with others; settles them when there are enough. compare.c */
GW_MUST_CHECK bool gw_verify_suspect(struct gw_verify_task *, struct gw_verify_pair *, const struct gw_pass_rows *,
                                     const struct gw_pass_entry *, struct gw_error *err);
/* So many rows were proved to differ that no more are looked at one by one. */
bool gw_verify_enough_proved(struct gw_verify_task *);
/* Adds a chunk that was read on both sides to what was covered. */
void gw_verify_take_coverage(struct gw_verify_task *, const struct gw_digest totals[2],
                             const struct gw_verify_span spans[2]);
/* One chunk, or a collection without key (NULL). compare.c */
GW_MUST_CHECK bool gw_verify_compare(struct gw_verify_task *, struct gw_verify_pair *, struct gw_verify_cut *,
                                     struct gw_error *err);
/* The last suspects, then the verdict. compare.c */
GW_MUST_CHECK bool gw_verify_close_task(struct gw_verify_task *, struct gw_verify_pair *, struct gw_error *err);

#endif
