/*
 * What each command does to a migration, the same in the runner and in the foreground. Each takes its arguments as
 * JSON, says what it does line by line (log and events), and gives an exit code and a JSON result (owned, may be NULL).
 * On a failure the error is filled and the exit code is gw_error_exit(err).
 */
#ifndef GW_JOURNEY_VERBS_H
#define GW_JOURNEY_VERBS_H

#include "journey/journey.h"

typedef int gw_verb_function(struct gw_journey *, const json_t *arguments, json_t **result, struct gw_error *err);

gw_verb_function gw_verb_copy;       /* {} */
gw_verb_function gw_verb_follow;     /* {"until":"caught-up"} or {} */
gw_verb_function gw_verb_verify;     /* {"collections":[...]} */
gw_verb_function gw_verb_quarantine; /* {"clear": 0 for all, or an item's id} */
gw_verb_function gw_verb_switch;     /* {"dry_run","rehearse","ignore_sessions","unverified": bool} */
gw_verb_function gw_verb_rollback;   /* the same */
gw_verb_function gw_verb_abort;      /* {} */
gw_verb_function gw_verb_finish;     /* {"now","no_archive"} */

/* Brings a switch that was cut off to one owner, if there is one; called before every verb and by the runner. */
GW_MUST_CHECK bool gw_verbs_recover(struct gw_journey *, struct gw_error *err);

#endif
