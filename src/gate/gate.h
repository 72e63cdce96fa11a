/*
 * The gate: where the application's traffic goes through. A gate can park traffic (clients wait, connections stay),
 * point it at a side, and let it go on.
 *
 * Lease: whoever parks holds a lease; the watchdog (a process of its own, on the gate's host, see watchdog.h) points
 * traffic at the owner and unparks when the lease runs out, however the parker died.
 *
 * park, point and unpark are idempotent here even where the gate's own commands are not (PgBouncer's RESUME).
 * Threads: one thread at a time; each call opens or keeps its own admin connections.
 */
#ifndef GW_GATE_GATE_H
#define GW_GATE_GATE_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/error.h"
#include "model/migration.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

enum gw_gate_target { GW_GATE_BLUE = 0, GW_GATE_GREEN = 1, GW_GATE_UNKNOWN = 2 };
static inline enum gw_gate_target gw_gate_target_of(enum gw_side side)
{
    return side == GW_BLUE ? GW_GATE_BLUE : GW_GATE_GREEN;
}
const char *gw_gate_target_name(enum gw_gate_target); /* "blue", "green", "" */

struct gw_gate;

struct gw_gate_type {
    const char *name;
    bool parks; /* false: clients see an outage while the switch lasts; said before */
    GW_MUST_CHECK bool (*open)(const struct gw_migration_gate *, const char *blue_url, const char *green_url,
                               struct gw_cancel *, struct gw_gate **out, struct gw_error *);
    void (*close)(struct gw_gate *);
    /* Preflight: reachable, all processes of a so_reuseport set known, pooling mode allows parking, timeouts longer
     * than twice the budget, ini writable. One line per finding in *findings, empty = ready. *predicted_park_ms from
     * what the gate's clients are doing now. */
    GW_MUST_CHECK bool (*preflight)(struct gw_gate *, int budget_ms, struct gw_buf *findings, int *predicted_park_ms,
                                    struct gw_error *);
    /* What a switch costs the application's clients, and what it leaves to the operator: one sentence a line, in
     * figures of now where the gate can be asked. */
    GW_MUST_CHECK bool (*costs)(struct gw_gate *, struct gw_buf *lines, struct gw_error *);
    /* The side that traffic goes to now, for a gate that cannot see transactions itself: park asks it (its sessions
     * facet) which connections are between two. Called before prepare and park by their thread; borrowed until it is
     * called again with NULL. Optional. */
    void (*watch)(struct gw_gate *, struct gw_store *owner);
    /* Everything slow that park, point and unpark need, done before the pause begins. Optional: NULL where there is
     * nothing; park does what was not prepared. */
    GW_MUST_CHECK bool (*prepare)(struct gw_gate *, struct gw_error *);
    /* Returns when no transaction is running through the gate any more (drained), or GW_ERR_RETRY past the deadline
     * with traffic flowing again as before. */
    GW_MUST_CHECK bool (*park)(struct gw_gate *, int timeout_ms, struct gw_error *);
    GW_MUST_CHECK bool (*point)(struct gw_gate *, enum gw_gate_target, struct gw_error *);
    GW_MUST_CHECK bool (*unpark)(struct gw_gate *, struct gw_error *);
    GW_MUST_CHECK bool (*state)(struct gw_gate *, bool *parked, enum gw_gate_target *target, struct gw_error *);
    /* Backend process ids of the server sessions the gate itself holds, to tell them from sessions that bypass it.
     * NULL where the gate cannot know. Owned array. */
    GW_MUST_CHECK bool (*sessions)(struct gw_gate *, int64_t **ids, size_t *count, struct gw_error *);
    /* Where it does not know process ids: from which addresses ("10.0.0.7:41234") its connections to a side come, as
     * struct gw_session_info has them. Optional. Owned array. */
    GW_MUST_CHECK bool (*addresses)(struct gw_gate *, char (**addresses)[64], size_t *count, struct gw_error *);
};

struct gw_gate {
    const struct gw_gate_type *type;
};

GW_MUST_CHECK bool gw_gate_open(const struct gw_migration_gate *, const char *blue_url, const char *green_url,
                                struct gw_cancel *, struct gw_gate **out, struct gw_error *);
void gw_gate_close(struct gw_gate *);

#endif
