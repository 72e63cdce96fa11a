/* What the files of status share: status.c takes, status_blocks.c says what is in the way, status_print.c prints. */
#ifndef GW_JOURNEY_STATUS_PARTS_H
#define GW_JOURNEY_STATUS_PARTS_H

#include "journey/status.h"
#include "journey/verdicts.h"

/* What was found out while the object was filled, for what is concluded from it. */
struct status_view {
    struct gw_journey *journey;
    json_t *status; /* being filled */
    enum gw_stage stage;
    bool runner;
    bool owner_known;
    enum gw_side owner;
    int64_t owned_for_us;  /* by the owner's own clock */
    int64_t round_trip_us; /* one to each side; 0: not measured */
    bool lost[2];          /* the change log of this side no longer has our place */
    bool stopped[2];       /* following this side's log stands still until somebody acts */
    struct gw_verdicts verdicts;
    bool verdict_blocks; /* not equal, or too old */
    size_t quarantined;
    bool rehearsed; /* the next change of owner was rehearsed, or done before */
};

void status_block(json_t *status, const char *format, ...) GW_PRINTF(2, 3);

/* What would refuse the next change of owner: lag, verdict, sessions around the gate. */
void status_add_switch_blocks(struct status_view *);
/* "go_back": the command, what it loses and takes, or why there is none. */
GW_MUST_CHECK bool status_add_way_back(struct status_view *, struct gw_error *);
/* "next": what the operator should do now. */
void status_add_next(struct status_view *);

#endif
