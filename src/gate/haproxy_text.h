/*
 * What HAProxy's runtime API prints, as structs: `show servers state` (words in columns named by a "# " line), `show
 * stat` (CSV, the same way) and `show sess all` (a record of indented lines for each session). Columns are found by
 * name: versions add some. Formats: HAProxy's management guide, "Unix Socket commands".
 *
 * Pure functions; any thread.
 */
#ifndef GW_GATE_HAPROXY_TEXT_H
#define GW_GATE_HAPROXY_TEXT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define GW_HAP_NAME_BYTES 128

struct gw_hap_server {
    char backend[GW_HAP_NAME_BYTES], name[GW_HAP_NAME_BYTES];
    char host[256], port[16];
    unsigned op_state;    /* 2: running */
    unsigned admin_state; /* bits; see gw_hap_in_maintenance */
    int limit;            /* its maxconn; 0: none */
    int sessions;         /* connections it serves now */
    char mode[16];        /* of its backend: "tcp", "http" */
};
struct gw_hap_servers {
    struct gw_hap_server *items; /* owned */
    size_t count;
};

/* Of an answer that holds both `show servers state` and `show stat`, in any order; a server's line of the second
 * completes the one of the first. GW_ERR_UNSUPPORTED where a column is not there. */
GW_MUST_CHECK bool gw_hap_servers_parse(const char *text, struct gw_hap_servers *out, struct gw_error *err);
void gw_hap_servers_release(struct gw_hap_servers *);
const struct gw_hap_server *gw_hap_servers_find(const struct gw_hap_servers *, const char *backend, const char *name);
/* Held out of service by the operator, a tracked server or a name that does not resolve. Set in the configuration as
 * `disabled` alone does not count: that bit stays on when the server is made ready. */
bool gw_hap_in_maintenance(const struct gw_hap_server *);
bool gw_hap_is_running(
    const struct gw_hap_server *); /* takes connections: up, and neither in maintenance nor drained */

struct gw_hap_session {
    char id[32];                    /* for `shutdown session`; given to another one when it has ended */
    unsigned long number;           /* never given to another one */
    bool has_slot;                  /* counts towards its server's maxconn; those that had waited in the queue do not */
    char server[GW_HAP_NAME_BYTES]; /* "" while it waits for one */
    char address[64];               /* from where HAProxy has connected to the server: "10.0.0.7:41234"; "" */
};
/* Those of a backend. Owned array. A record that is cut off is left out. */
void gw_hap_sessions_parse(const char *text, const char *backend, struct gw_hap_session **out, size_t *count);

/* What commands that only act have to say: nothing but empty lines, or this in `out` (one line). */
bool gw_hap_said_nothing(const char *text, char *out, size_t size);

#endif
