/*
 * How far a verb is: a bar that is drawn anew on a terminal, elsewhere a plain line now and then of what takes long.
 */
#ifndef GW_CLI_PROGRESS_H
#define GW_CLI_PROGRESS_H

#include "journey/journey.h"

void gw_cli_show_progress(struct gw_journey *);

#endif
