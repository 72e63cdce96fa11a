/*
 * The followers of a migration, in both directions, as its stage and owner demand.
 */
#ifndef GW_JOURNEY_STREAMS_H
#define GW_JOURNEY_STREAMS_H

#include "journey/journey.h"

/* Receives from one side; nothing is applied before gw_follow_allow_apply. The disk guard stands beside it from then on.
 * No-op when it runs. */
GW_MUST_CHECK bool gw_streams_start_one(struct gw_journey *, enum gw_side source, bool source_owns, struct gw_error *);
/* From the end of the load on: both directions, applying; the owner is asked of the sides. The side that follows is
 * without what would act on our changes before the first one is applied. Those that run are left alone, and what a
 * switch held back is let go. */
GW_MUST_CHECK bool gw_streams_start(struct gw_journey *, struct gw_error *);
/* Waits until both directions receive; what still hinders one stands in its status. */
GW_MUST_CHECK bool gw_streams_wait_receiving(struct gw_journey *, int timeout_ms, struct gw_error *);
/* Applying what comes from this side goes on, if it was held back. Any thread. */
void gw_streams_release(struct gw_journey *, enum gw_side source);
void gw_streams_stop(struct gw_journey *);
void gw_streams_stop_one(struct gw_journey *, enum gw_side source);
/* Looks at what blocks or failed for good in either direction: false with that error. Rows that are left out may wait to be
 * mended, unless it is `over`. */
GW_MUST_CHECK bool gw_streams_healthy(struct gw_journey *, bool over, struct gw_error *);

/* The follower of that side's log can never go on (its place is lost, or was given up): true, with why. */
GW_MUST_CHECK bool gw_streams_failed(struct gw_journey *, enum gw_side source, struct gw_error *why);

/* The name in the journal of "the log of that side no longer holds what was not read yet" (true or false). */
const char *gw_streams_lost_fact(enum gw_side source);

/* The disk guards: when a side keeps more of its log for us than the limit, our place in it is given up before that
 * side is in danger; said in the log, the events, the journal and the follower's status. Not while an owner changes or a
 * migration ends: those are short and mind their own. Any thread. */
GW_MUST_CHECK bool gw_streams_guard(struct gw_journey *, struct gw_error *);

/* "source 9,000 rows/s, apply 7,000: never; do this", or "" when it converges. Only of an applier that applies: one that
 * is held back or stands still has another reason. */
void gw_streams_convergence(const struct gw_follow_status *, enum gw_side source, struct gw_buf *out);

#endif
