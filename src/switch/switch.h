/*
 * Switch and rollback: one bounded pause in which the owner changes. Rollback is this code with the sides exchanged.
 *
 * The steps are one table (steps.c): each has a name, what it does, and how it is undone. A step is journaled before
 * and after. Until the flip everything can be undone; from the flip on it is only carried forward. The truth about
 * where it stands is with the sides (godwit.owner and its epoch), so a killed switch is resolved by looking at them
 * (gw_switch_recover), from any machine.
 *
 * Never two writable sides: the new side's fence is up from the end of its load and is lowered only after the old
 * side's is up and the old owner row has been flipped by compare-and-set on the epoch. A switcher that calls off its
 * own switch before it tried to flip leaves the epoch as it is. Whoever undoes another's switch (the watchdog, the next
 * command) raises it first, and so does a switcher whose flip was not answered: then the old flip can not be committed
 * any more, or it is there and is carried forward. A fence is lowered only where the side's own row names it.
 *
 * Threads: one thread calls; the appliers run in theirs.
 */
#ifndef GW_SWITCH_SWITCH_H
#define GW_SWITCH_SWITCH_H

#include "base/buf.h"
#include "gate/gate.h"
#include "state/state.h"
#include "store/store.h"

struct gw_switch_hooks { /* what the stage needs of the rest of the journey; all called on the switching thread */
    void *arg;
    /* Blocks until changes of `from`'s log up to `at` are applied on the other side. */
    GW_MUST_CHECK bool (*wait_applied)(void *arg, enum gw_side from, const struct gw_position *at, int timeout_ms,
                                       bool *reached, struct gw_error *err);
    /* Reasons why the data may not move now: lag, verdict, quarantine, foreign writes; one line each, empty = none. */
    GW_MUST_CHECK bool (*blockers)(void *arg, enum gw_side from, struct gw_buf *lines, struct gw_error *err);
    /* The lease of the watchdog: taken before parking, renewed between steps, released after unparking. */
    GW_MUST_CHECK bool (*lease_take)(void *arg, int lease_ms, struct gw_error *err);
    GW_MUST_CHECK bool (*lease_renew)(void *arg, struct gw_error *err);
    void (*lease_release)(void *arg);
    /* It was taken and not all could be undone: nobody renews it any more, and the watchdog brings traffic back. */
    void (*lease_leave)(void *arg);
    /* Whether definitions on `from` changed since `blockers` looked, quick enough for the pause; `making`: sessions
     * that change them in transactions that have not ended. May be NULL. */
    GW_MUST_CHECK bool (*definitions)(void *arg, enum gw_side from, bool *changed, struct gw_buf *making,
                                      struct gw_error *err);
    /* From here on nothing of this side's log is applied on the other, until it is released; out of the pause. A side
     * that has owned may carry what would act on our changes: whoever takes that off it releases after a flip; a switch
     * that is undone releases by itself. May be NULL. */
    GW_MUST_CHECK bool (*hold_apply)(void *arg, enum gw_side source, struct gw_error *err);
    void (*release_apply)(void *arg, enum gw_side source);
    /* Called right after the flip: which log is the owner's now. */
    void (*owner_changed)(void *arg, enum gw_side owner);
    void (*say)(void *arg, const char *line);
};

struct gw_switch_options {
    struct gw_store *sides[2];
    enum gw_side from;                  /* the owner now */
    const struct gw_schema *schemas[2]; /* in each side's terms */
    struct gw_store *targets[2];        /* the sides as counters are carried to them (a lens, or the side) */
    struct gw_state *state;
    struct gw_gate *gate;
    struct gw_switch_hooks hooks;
    struct gw_cancel *cancel; /* wished before the flip: everything is undone. The caller holds it back meanwhile, for
                                 the sides and the followers must be of use until it is undone or done. */
    int pause_budget_ms;
    int lock_timeout_ms;
    int lease_ms;
    bool ignore_sessions; /* sessions around the gate do not block */
    bool rehearse;        /* all but the flip, then undone */
};

enum { GW_SWITCH_STEPS_MAX = 16 };
const char *gw_switch_step_name(size_t step); /* NULL behind the last */

struct gw_switch_result {
    bool flipped;
    bool undone;                          /* it was called off and traffic goes on where it was */
    bool in_doubt;                        /* the flip was asked for and never answered; gw_switch_recover finds out */
    int64_t pause_us;                     /* park asked to unpark done */
    int64_t step_us[GW_SWITCH_STEPS_MAX]; /* how long each step took, as gw_switch_step_name numbers them */
    uint64_t epoch;
    struct gw_position at; /* on the old owner */
};

/* What blocks, one line each (empty = ready), and the pause to expect. Touches nothing but a canary row on the side
 * that is to become the owner; what would be put on it is tried there, and undone. */
GW_MUST_CHECK bool gw_switch_preflight(const struct gw_switch_options *, struct gw_buf *blockers, int *predicted_ms,
                                       struct gw_error *);
/* The numbered steps in words, for --dry-run. */
void gw_switch_describe(const struct gw_switch_options *, struct gw_buf *out);
/* Does it. On false before the flip everything is undone, and traffic flows where it was (result->undone); what could
 * not be undone is left to the watchdog, and to gw_switch_recover. */
GW_MUST_CHECK bool gw_switch_run(const struct gw_switch_options *, struct gw_switch_result *, struct gw_error *);

/* Who owns, from both sides' rows: the higher epoch wins. *torn: only one side was flipped. */
GW_MUST_CHECK bool gw_switch_owner(struct gw_store *const sides[2], struct gw_owner *owner, bool *torn,
                                   struct gw_error *);
/* Brings both sides to one owner after a kill: carries a torn flip forward, otherwise undoes; raises the epoch where
 * it undoes; what is off the owner is put on; fence up on the other side, down on the owner; gate (may be NULL) pointed
 * at the owner and open.
 * Idempotent. */
GW_MUST_CHECK bool gw_switch_recover(struct gw_store *const sides[2], const struct gw_schema *const schemas[2],
                                     struct gw_gate *gate, enum gw_side *owner, struct gw_buf *done, struct gw_error *);

#endif
