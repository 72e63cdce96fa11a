/*
 * The quarantine for the operator: what is in it, line by line, and taking out what was mended.
 */
#ifndef GW_JOURNEY_QUARANTINE_H
#define GW_JOURNEY_QUARANTINE_H

#include "journey/journey.h"

/* {"items":[{"id","stream","table","operation","key","reason","position","wall_us"}...],
 * "by_hand":{"blue","green"}: how a person writes on the sides that items were to go to}; owned. Needs no side, and the
 * journal for reading alone: empty without one. */
GW_MUST_CHECK bool gw_quarantine_list(struct gw_journey *, json_t **out, struct gw_error *err);
/* One item in one line: "update of id=3 in public.items: the row to change is not on the target". */
void gw_quarantine_print(const struct gw_quarantined *, struct gw_buf *out);

#endif
