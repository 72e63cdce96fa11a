/*
 * Inside the haproxy gate: what its files share. One struct per open gate, used by one thread.
 *
 * haproxy.c: state, point, unpark; haproxy_park.c: park; haproxy_check.c: preflight and what a switch costs;
 * haproxy_socket.c: the stats socket; haproxy_text.c: what it prints.
 */
#ifndef GW_GATE_HAPROXY_H
#define GW_GATE_HAPROXY_H

#include "gate/address.h"
#include "gate/gate.h"
#include "gate/haproxy_text.h"

/* The stats socket answers within milliseconds; this is for a process that hangs or a network that drops. */
#define GW_HAP_ANSWER_MS 1000
/* A server's maxconn while parked: with one connection on it every new one waits in the backend's queue. (None at all
 * would mean no limit, in HAProxy.) */
#define GW_HAP_PARKED_LIMIT 1

struct gw_hap_told {
    unsigned long number;
    int64_t at_us;
};

struct gw_hap_process {
    const char *socket; /* as the settings name it; borrowed */
    char backend[GW_HAP_NAME_BYTES];
    char names[2][GW_HAP_NAME_BYTES]; /* of the servers, by side; "" until they were looked for */
    struct gw_hap_server servers[2];  /* as last seen */
    char others[GW_HAP_NAME_BYTES];   /* another server of the backend that takes connections; "" */
    struct gw_hap_told *told;         /* sessions that were told to end; owned */
    size_t told_count, told_capacity;
    int limits[2]; /* maxconn as it was when it was not parked; -1: not seen */
};

struct gw_hap_gate {
    struct gw_gate head;
    const struct gw_migration_gate *settings; /* borrowed */
    struct gw_cancel *cancel;
    struct gw_store *owner; /* see watch in gate.h; NULL */
    struct gw_gate_address sides[2];
    bool has_address[2];
    struct gw_hap_process *processes;
    size_t process_count;
};

/* Sees how a process stands; on the first call finds backend and servers by the settings. cancel may be NULL. */
GW_MUST_CHECK bool gw_hap_look(struct gw_hap_gate *, struct gw_hap_process *, struct gw_cancel *cancel,
                               struct gw_error *);
/* Commands that have nothing to say when all is well. What lets traffic go on must not be cancelled: NULL. */
GW_MUST_CHECK bool gw_hap_order(struct gw_hap_process *, const char *commands, struct gw_cancel *cancel,
                                struct gw_error *);
/* The connections of the backend. Owned array. */
GW_MUST_CHECK bool gw_hap_sessions(struct gw_hap_process *, struct gw_cancel *cancel, struct gw_hap_session **,
                                   size_t *count, struct gw_error *);
/* Adds the command that ends a session, once: its id belongs to somebody else as soon as it has ended, and a client that
 * came back must not be cut off in its stead. False when it was told so just now. */
bool gw_hap_add_shut(struct gw_hap_process *, const struct gw_hap_session *, struct gw_buf *commands);
/* Runs them: that one is not there any more is no error. */
GW_MUST_CHECK bool gw_hap_shut(struct gw_hap_process *, const struct gw_buf *commands, struct gw_error *);
/* Which side takes connections; unknown when both or neither does. */
enum gw_gate_target gw_hap_target_of(const struct gw_hap_process *);
/* What unpark gives the server back. */
int gw_hap_limit_of(const struct gw_hap_process *, int side);

GW_MUST_CHECK bool gw_hap_park(struct gw_gate *, int timeout_ms, struct gw_error *);
GW_MUST_CHECK bool gw_hap_unpark(struct gw_gate *, struct gw_error *);
GW_MUST_CHECK bool gw_hap_preflight(struct gw_gate *, int budget_ms, struct gw_buf *findings, int *predicted_park_ms,
                                    struct gw_error *);
GW_MUST_CHECK bool gw_hap_costs(struct gw_gate *, struct gw_buf *lines, struct gw_error *);

#endif
