/*
 * The disk guard: beside whatever is being worked on, in the runner and in the foreground, from the first follower on.
 * It looks every five seconds, so that neither a long load nor a long verify keeps a side in danger. It says, too, when
 * a follower stands still or goes on again.
 *
 * Owner: the journey, by way of streams.c. Thread: one of its own, which ends as soon as it is asked to, also in the
 * middle of a call to a side.
 */
#ifndef GW_JOURNEY_GUARD_H
#define GW_JOURNEY_GUARD_H

#include "journey/journey.h"

struct gw_guard;

GW_MUST_CHECK bool gw_guard_start(struct gw_journey *, struct gw_guard **out, struct gw_error *err);
void gw_guard_stop(struct gw_guard *); /* NULL is fine */

#endif
