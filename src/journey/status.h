/*
 * What status says: from the journal, the live followers where this process runs them, and the sides where they answer.
 */
#ifndef GW_JOURNEY_STATUS_H
#define GW_JOURNEY_STATUS_H

#include "journey/journey.h"

/* Any thread, beside a verb that is being worked. *out owned:
 * {"migration","stage","meaning","since_us","owner" ("unknown" unless both sides answered),"runner_pid",
 *  "streams":[{"stream","doing","lag_us",...}],"verdict":{...},"load":{...},"spool_limit_bytes",
 *  "retained":[{"side","bytes","guard_bytes","lost",...}],"quarantine",
 *  "go_back":{"command","possible","loses_rows","takes","takes_us","why"},"blocks":[...],"next"}
 * "blocks": what would refuse the next change of owner, and what else needs the operator. Sides that are not open are
 * opened; who bypasses the gate is asked of it, by connections of its own. */
GW_MUST_CHECK bool gw_status_take(struct gw_journey *, json_t **out, struct gw_error *);
/* The same while everything is being removed: the journal is changing hands and is not asked. Owned. */
json_t *gw_status_ending(struct gw_journey *, enum gw_stage);
/* The object as DESIGN shows it, for a person. */
void gw_status_print(const json_t *status, struct gw_buf *out);
/* Something blocks: --check exits 1. */
bool gw_status_blocked(const json_t *status);

#endif
