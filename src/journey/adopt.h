/*
 * adopt: the journal rebuilt from what the sides know, after the runner's machine was lost.
 */
#ifndef GW_JOURNEY_ADOPT_H
#define GW_JOURNEY_ADOPT_H

#include "journey/journey.h"

/* Refuses where a journal exists, where the sides hold no migration of this name, and where the load was not complete
 * (what the lost spool held is gone: begin again). Afterwards `godwit run` goes on. */
GW_MUST_CHECK bool gw_adopt(struct gw_journey *, enum gw_stage *stage, struct gw_error *err);

#endif
