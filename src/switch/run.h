/*
 * A switch while it happens: shared by switch.c (order, journal, undo), steps.c (what each step does) and preflight.c.
 * Private to switch/.
 */
#ifndef GW_SWITCH_RUN_H
#define GW_SWITCH_RUN_H

#include "switch/switch.h"

struct gw_switch_run {
    const struct gw_switch_options *options;
    struct gw_switch_result *result;
    struct gw_store *from, *to;
    int64_t journal_run;
    int64_t parked_at_us, deadline_us; /* monotonic; the budget counts from the moment parking was asked for */
    struct gw_owner expected_from, expected_to;
    struct gw_position fence_at;
    struct gw_tighten *tighten; /* what puts foreign keys and triggers on the new owner; NULL: nothing is off */
    bool tighten_again;         /* it was lost after the flip */
    bool flipped;               /* the old owner's row says so: from here on only forward */
    bool won;                   /* a flip in doubt was decided by raising the epoch: the old owner's row is ours */
    bool left;                  /* not all was undone: the lease is left to the watchdog */
};

struct gw_switch_step {
    const char *name;  /* in the journal, behind "switch." */
    const char *words; /* for --dry-run; %1$s old owner, %2$s new owner */
    bool rehearsed;    /* done in a rehearsal too */
    GW_MUST_CHECK bool (*act)(struct gw_switch_run *, struct gw_error *);
    GW_MUST_CHECK bool (*undo)(struct gw_switch_run *, struct gw_error *); /* NULL: nothing to undo */
    bool (*needed)(const struct gw_switch_run *);                          /* NULL: always */
};

extern const struct gw_switch_step gw_switch_steps[];
extern const size_t gw_switch_step_count;

void gw_switch_say(const struct gw_switch_options *, const char *format, ...) GW_PRINTF(2, 3);

#endif
