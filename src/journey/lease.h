/*
 * The lease of whoever parks traffic: a small private file in the migration's folder, <folder>/lease, that says who
 * holds it, until when (monotonic clock, good for one boot of one machine) and with which token. The watchdog
 * (watchdog.h) is started with it and lets traffic go on when the holder dies or falls silent.
 *
 * The token grows by one with every taker, the watchdog's own takeover included: a holder that was frozen and
 * overtaken fails at its next renew, and at the compare-and-set of the owner's epoch, which the watchdog raises.
 *
 * Threads: one thread holds a lease. Renewing takes some tens of microseconds: it waits for no disk.
 */
#ifndef GW_JOURNEY_LEASE_H
#define GW_JOURNEY_LEASE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct gw_lease;

/* Takes the lease and starts the watchdog, which must say that it is ready. GW_ERR_CONFLICT while another live process
 * holds it. lease_ms: how long the longest step may take without a renew. */
GW_MUST_CHECK bool gw_lease_take(const char *folder, const char *migration_file, int lease_ms, struct gw_lease **out,
                                 struct gw_error *err);
/* Another lease_ms from now. GW_ERR_CONFLICT when the watchdog has taken over: undo, and do not flip. GW_ERR_RETRY when
 * the watchdog itself is gone. */
GW_MUST_CHECK bool gw_lease_renew(struct gw_lease *lease, struct gw_error *err);
/* Not all could be undone, and nobody renews it any more: the watchdog takes over at once. Frees the lease. */
void gw_lease_leave(struct gw_lease *lease);
/* Traffic flows: the watchdog may go. Frees the lease. */
void gw_lease_release(struct gw_lease *lease);

/* ---- for the watchdog -------------------------------------------------------------------------------------------- */

enum gw_lease_state { GW_LEASE_NONE, GW_LEASE_HELD, GW_LEASE_TAKEN_OVER, GW_LEASE_RELEASED };
struct gw_lease_record {
    enum gw_lease_state state;
    uint64_t token;
    pid_t pid;
    uint64_t pid_started; /* clock ticks since boot: tells a reused pid */
    char boot[40];        /* boot id: a monotonic deadline means nothing in another boot */
    int64_t deadline_us;
    int lease_ms;
};
/* A missing file is GW_LEASE_NONE. */
GW_MUST_CHECK bool gw_lease_read(const char *folder, struct gw_lease_record *out, struct gw_error *err);
GW_MUST_CHECK bool gw_lease_write(const char *folder, const struct gw_lease_record *record, struct gw_error *err);
/* Serialises takers, renewals and the watchdog's takeover; held by the watchdog for as long as it repairs. *fd to
 * gw_lease_unlock. GW_ERR_CONFLICT when it is not free within timeout_ms. */
GW_MUST_CHECK bool gw_lease_lock(const char *folder, int timeout_ms, int *fd, struct gw_error *err);
void gw_lease_unlock(int fd);
bool gw_lease_holder_alive(const struct gw_lease_record *record);
bool gw_lease_expired(const struct gw_lease_record *record); /* past its deadline, or of another boot */

#endif
