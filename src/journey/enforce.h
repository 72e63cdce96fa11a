/*
 * What the sides enforce: foreign keys and triggers are on the owner and off the side that follows it, as far as they
 * would act on what godwit applies there (schema->loosen says which). Inside a switch's pause they are put on the new
 * owner (switch/); here is what happens outside of it: taking them off the new follower, and validating foreign keys on
 * the owner.
 */
#ifndef GW_JOURNEY_ENFORCE_H
#define GW_JOURNEY_ENFORCE_H

#include "journey/journey.h"

/* Takes off the side that follows `owner` what would act there, then lets the owner's changes be applied. GW_ERR_RETRY
 * when locks were not to be had: nothing is applied until it was done. */
GW_MUST_CHECK bool gw_enforce_follower(struct gw_journey *, enum gw_side owner, struct gw_error *);
/* Everything is on this side, and validated; `failed` has a line for each foreign key that rows contradict. */
GW_MUST_CHECK bool gw_enforce_all(struct gw_journey *, enum gw_side, struct gw_buf *failed, struct gw_error *);

/* Beside the runner, on sessions of its own: goes on with what gw_enforce_follower could not do, and validates on the
 * owner, until nothing is left to do or it is stopped. It must not run beside a verb. */
struct gw_enforcer;
GW_MUST_CHECK bool gw_enforcer_start(struct gw_journey *, struct gw_enforcer **out, struct gw_error *);
void gw_enforcer_stop(struct gw_enforcer *); /* soon, wherever it is; NULL is fine */

#endif
