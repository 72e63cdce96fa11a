/*
 * HAProxy's stats socket: one line of commands, separated by semicolons, one answer that ends with the connection. Every
 * wait has a deadline. Errors name the socket.
 */
#ifndef GW_GATE_HAPROXY_SOCKET_H
#define GW_GATE_HAPROXY_SOCKET_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/error.h"

#include <stdbool.h>

/* `where` is a path or host:port, each as it stands behind `stats socket` ("unix@", "ipv4@" and the like are taken
 * off). GW_ERR_REFUSED when nobody answers there, GW_ERR_RETRY past the deadline. cancel may be NULL. Appends. */
GW_MUST_CHECK bool gw_hap_ask(const char *where, const char *commands, int timeout_ms, struct gw_cancel *cancel,
                              struct gw_buf *answer, struct gw_error *err);

#endif
