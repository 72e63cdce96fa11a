/*
 * The watchdog: a process of its own that lets parked traffic go on when whoever parked it dies or falls silent.
 *
 * `godwit watchdog --lease FOLDER -f FILE` is started by gw_lease_take before traffic is parked. It says "ready PID" on
 * stdout and leaves itself behind: a session of its own, output to FOLDER/watchdog.log, deaf to SIGINT, SIGHUP and
 * SIGTERM, not tied to its parent's life. It ends when the lease is released.
 *
 * When the holder has died (noticed at once) or its deadline has passed, the watchdog takes the lease over, brings both
 * sides to one owner (which also makes a frozen holder fail at its flip), points the gate at the owner and lets traffic
 * go on, within 2 s. Where a side cannot be reached in that time, traffic goes on to the owner the reachable side
 * names, or where the gate points: a fence that is up there gives clients errors rather than two owners. It then keeps
 * trying to bring the sides to one.
 *
 * Threads: the main one, and one that ends attempts which take too long.
 */
#ifndef GW_JOURNEY_WATCHDOG_H
#define GW_JOURNEY_WATCHDOG_H

#include "base/cancel.h"
#include "gate/gate.h"

#include <stdbool.h>

/* What the watchdog does to the migration; a test puts its own in. Every call opens what it needs anew. */
struct gw_watchdog_actions {
    void *arg;
    /* The gate, open; kept for the watchdog's life. */
    GW_MUST_CHECK bool (*open_gate)(void *arg, struct gw_gate **out, struct gw_error *err);
    /* Both sides to one owner, fences as they must be, the epoch raised where a flip is undone. Idempotent. */
    GW_MUST_CHECK bool (*settle)(void *arg, struct gw_cancel *cancel, enum gw_gate_target *owner, struct gw_buf *done,
                                 struct gw_error *err);
    /* The owner by what one side alone says; nothing is changed. */
    GW_MUST_CHECK bool (*ask)(void *arg, int side, struct gw_cancel *cancel, enum gw_gate_target *owner,
                              uint64_t *epoch, struct gw_error *err);
};

struct gw_watchdog_options {
    const char *folder;                        /* of the lease */
    const char *file;                          /* the migration file */
    bool foreground;                           /* stay: no session of its own, no log file, no "ready" */
    const struct gw_watchdog_actions *actions; /* NULL: those of a journey */
};

/* Returns the process's exit code: 0 the lease was released or traffic goes on, 4 it could not be made to. */
int gw_watchdog_main(const struct gw_watchdog_options *options);

#endif
