/*
 * What status says: from the journal, the live followers where this process runs them, and the sides where they answer.
 */
#ifndef GW_JOURNEY_STATUS_H
#define GW_JOURNEY_STATUS_H

#include "journey/journey.h"

/* Any thread, beside a verb that is being worked. *out owned:
 * {"migration","stage","meaning","since_us","owner","runner_pid","streams":[...],"verdict":{...},"spool_bytes",
 *  "retained":[...],"quarantine","go_back":{"command","loses_rows","takes"},"blocks":[...],"next"} */
GW_MUST_CHECK bool gw_status_take(struct gw_journey *, json_t **out, struct gw_error *);
/* The same while everything is being removed: the journal is changing hands and is not asked. Owned. */
json_t *gw_status_ending(struct gw_journey *, enum gw_stage);
/* The object as DESIGN shows it, for a person. */
void gw_status_print(const json_t *status, struct gw_buf *out);
/* Something blocks: --check exits 1. */
bool gw_status_blocked(const json_t *status);

#endif
