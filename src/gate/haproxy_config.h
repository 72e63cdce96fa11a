/*
 * What matters of HAProxy's configuration file and cannot be asked for at its stats socket: how long a connection may wait
 * in the backend's queue, and whether a reload takes up the servers' state. Sections and defaults as HAProxy's
 * configuration manual has them ("defaults", "from"); everything else is passed over. Pure functions; any thread.
 */
#ifndef GW_GATE_HAPROXY_CONFIG_H
#define GW_GATE_HAPROXY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

struct gw_hap_config {
    bool has_backend;    /* a backend or listen section of that name */
    int64_t queue_ms;    /* timeout queue, else timeout connect; 0: for ever */
    bool by_connect;     /* it is timeout connect */
    bool loads_state;    /* load-server-state-from-file global or local */
    bool has_state_file; /* server-state-file in the global section, or the backend's own */
};

void gw_hap_config_parse(const char *text, const char *backend, struct gw_hap_config *out);

#endif
