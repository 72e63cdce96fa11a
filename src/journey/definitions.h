/*
 * Definitions of the owner (tables, indexes, functions and whatever else no change log carries): kept in the journal as
 * a fingerprint when the side is loaded or becomes the owner, and compared with what there is now.
 *
 * Threads: any; each call borrows connections of the side and writes the journal.
 */
#ifndef GW_JOURNEY_DEFINITIONS_H
#define GW_JOURNEY_DEFINITIONS_H

#include "journey/journey.h"

/* Of the side that is loaded, or has become the owner. */
GW_MUST_CHECK bool gw_definitions_keep(struct gw_journey *, enum gw_side, struct gw_error *);
/* Unless they were kept when this side became the owner: after a switch that was undone, what changed has changed. */
GW_MUST_CHECK bool gw_definitions_keep_new(struct gw_journey *, enum gw_side owner, struct gw_error *);
/* Against what was kept; where nothing was, nothing changed. Some tens of milliseconds of the side's time. */
GW_MUST_CHECK bool gw_definitions_compare(struct gw_journey *, enum gw_side, bool *changed, struct gw_error *);
/* What became of it when they did, and the ways on. */
const char *gw_definitions_way_on(enum gw_side owner);

#endif
