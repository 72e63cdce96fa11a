/*
 * The load: from nothing on either side to "green is complete and follows": log open, schema, rows, indexes, foreign
 * keys, and the way back prepared. Every step is done once and remembered; killed anywhere, it goes on.
 */
#ifndef GW_JOURNEY_LOAD_H
#define GW_JOURNEY_LOAD_H

#include "journey/journey.h"

/* Both directions follow when it returns true. *report adds up what this call did and skipped. */
GW_MUST_CHECK bool gw_load_run(struct gw_journey *, struct gw_copy_report *report, struct gw_error *);

#endif
