/*
 * What each side has to be made of: the planned tables as the owner defines them, or, with a map, as the map makes them;
 * and what the migration file declares beside them.
 */
#ifndef GW_JOURNEY_WANTED_H
#define GW_JOURNEY_WANTED_H

#include "journey/journey.h"

/* wanted[side], owned; table i of the one is table i of the other, and of the planned schema. No tables where the owner's
 * engine cannot be described. With a map it must be open. */
GW_MUST_CHECK bool gw_wanted_describe(struct gw_journey *, enum gw_side owner, struct gw_definition wanted[2],
                                      struct gw_error *err);

#endif
