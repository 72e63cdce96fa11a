/*
 * Settling suspects by key: what a round reads of a row, and the bursts for rows that never stand still. Private.
 *
 * A round: the source's row A, at position P; wait until the target has applied past P; the target's row T; wait until
 * what was in the log then is visible on the source; the source's row B. Then
 *   - T equals A or B: the target has what the source had at that time or later: it was only moving;
 *   - A and B are the same version: no committed change in between, and whatever the target had applied when T was
 *     read is older than B. So the target must have had this row: it is different. (A row that the source has not,
 *     neither in A nor in B, may have come and gone in between: it is different when the next round finds the very
 *     same version of it on the target.)
 *   - otherwise it moved, and the next round looks again.
 * Without versions (a store that has none) equal values in three rounds stand for the same version.
 *
 * A hot row moves in every round. A burst samples it on both sides at once, as often as it can, from a position the
 * target has passed: one sample of the target that is among the source's clears it (an error in a column the source
 * does not change never is); a column that is constant on the source and constant on the target, and not the same, in
 * two bursts, is different.
 */
#ifndef GW_VERIFY_SETTLE_H
#define GW_VERIFY_SETTLE_H

#include "verify/task.h"

struct gw_seen {
    bool present;
    struct gw_hash128 hash;
    struct gw_row_version version;
};

enum gw_suspect_state { GW_SUSPECT_OPEN, GW_SUSPECT_SETTLED, GW_SUSPECT_DIFFERENT };
struct gw_suspect {
    const struct gw_row *key;
    enum gw_suspect_state state;
    enum gw_verify_kind kind; /* DIFFERENT */
    struct gw_seen a, t, b;
    struct gw_seen t_before; /* of the round before, when `extra_before` */
    bool extra_before;
    unsigned stable; /* rounds without versions that looked alike */
    unsigned bursts; /* bursts that found the same */
};

struct gw_settle {
    struct gw_verify_task *task;
    struct gw_verify_pair *pair;
    int64_t end_us;
    size_t count;
    struct gw_suspect *suspects;
    size_t open;
    struct gw_position at; /* of the reads of A (then of B) */
};

int gw_settle_left_ms(const struct gw_settle *);
bool gw_seen_equal(const struct gw_seen *a, const struct gw_seen *b);
enum gw_verify_kind gw_suspect_kind(const struct gw_seen *source, const struct gw_seen *target);
/* Rows of up to gw_verify_fetch_rows keys; `take` sees each place. */
GW_MUST_CHECK bool gw_settle_fetch(struct gw_verify_side *, const struct gw_collection *, const struct gw_row *keys,
                                   size_t count, struct gw_row *rows, struct gw_position *at, struct gw_error *err);
void gw_seen_take(struct gw_verify_side *, size_t index, const struct gw_row *row, struct gw_seen *out);
/* burst.c: samples these open suspects (at most 64) for `length_ms` on both sides, and judges them. */
GW_MUST_CHECK bool gw_settle_burst(struct gw_settle *, struct gw_suspect **, size_t count, int length_ms,
                                   struct gw_error *err);
/* describe.c: what the different ones look like, into the task's causes and differences. */
GW_MUST_CHECK bool gw_settle_describe(struct gw_settle *, struct gw_error *err);

#endif
