/*
 * The runner: the resident process of a migration (`godwit run`), and how commands talk to it.
 *
 * It holds the journal's lock, takes the journey up to where the operator decides, keeps both directions following,
 * watches the sides' disks, and works one verb at a time for clients of its Unix socket (<folder>/runner.sock). A
 * client sends {"verb","arguments"}; it gets {"line","level"} for every line said, then {"exit","result","error"}.
 * "status" is answered at once, beside a verb that is being worked.
 */
#ifndef GW_JOURNEY_RUNNER_H
#define GW_JOURNEY_RUNNER_H

#include "journey/journey.h"

/* Returns when stopped by a signal, when finished or aborted, or when it cannot go on. */
int gw_runner_main(struct gw_journey *, struct gw_error *err);

/* Asks a live runner. *alive false when there is none (then nothing else is set). Lines are printed as they come.
 * *code is the verb's exit code; a failure of the verb is in *failure (kind GW_ERR_NONE otherwise). */
GW_MUST_CHECK bool gw_runner_ask(struct gw_journey *, const char *verb, const json_t *arguments, bool *alive, int *code,
                                 json_t **result, struct gw_error *failure, struct gw_error *err);

#endif
