/*
 * What the journal has of the verdicts of verify, in one place: for the switch that asks for them and the status that
 * shows them.
 */
#ifndef GW_JOURNEY_VERDICTS_H
#define GW_JOURNEY_VERDICTS_H

#include "journey/journey.h"

struct gw_verdicts {
    size_t tables, equal, different, unresolved; /* of `tables` the rest was never compared */
    int64_t oldest_wall_us;                      /* 0: there is none */
    size_t beside_different, beside_unresolved;  /* of no table: critical queries */
    char beside[64];                             /* the first of these */
    const char *word;                            /* "equal", "different", "unresolved", "none" */
};

GW_MUST_CHECK bool gw_verdicts_read(struct gw_journey *, struct gw_verdicts *, struct gw_error *);
/* Why these do not let traffic move, one line without its end; "" when they do. `direction`: the side that owns now. A
 * way back is not closed by age: it may be needed faster than a verdict is had. */
void gw_verdicts_blocks(const struct gw_journey *, const struct gw_verdicts *, enum gw_side owner, struct gw_buf *line);

#endif
