/*
 * What a run has found equal so far, kept in the journal every few seconds: a run that was stopped or killed is gone on
 * with by the next one of the same generation, if it is not too old. Kept are collections that are equal, and of those
 * that are being compared the chunks whose digests were (or, where the sides order keys differently, all that the
 * tally holds). What differed or was settled is looked at again.
 *
 * The fact "verify.run" names the run whose findings count. Whatever makes verdicts doubtful (a change that goes into
 * quarantine, one that is taken out by hand) removes it, and with it what is being noted at that moment. A tally's
 * cells lie in a file of the journal's folder, two by turns; the fact says which one belongs to it.
 *
 * Threads: any.
 */
#ifndef GW_VERIFY_KEPT_H
#define GW_VERIFY_KEPT_H

#include "verify/task.h"

struct gw_kept;

/* *out NULL when nothing is to be kept. Reads what an earlier run has left, or begins anew. */
GW_MUST_CHECK bool gw_kept_open(const struct gw_verify_options *, struct gw_kept **out, struct gw_error *err);
void gw_kept_close(struct gw_kept *);          /* NULL is fine, here and below; what is kept stays */
uint64_t gw_kept_seed(const struct gw_kept *); /* of the row hashes: a tally goes on only with its own */
/* When the run began that is gone on with; 0: it begins anew. */
int64_t gw_kept_since_wall_us(const struct gw_kept *);

/* A collection that was found equal: its coverage, and *equal. */
void gw_kept_restore_closed(struct gw_kept *, struct gw_verify_task *, bool *equal);
/* The cuts, and the tally's cells if the task has one by now; nothing where they do not fit. */
void gw_kept_restore_cuts(struct gw_kept *, struct gw_verify_task *);
/* Notes how far these are, if it is time to. A failure is logged: the run is not worse for it. */
void gw_kept_note(struct gw_kept *, struct gw_verify_task *tasks, size_t count);

#endif
