/* The gates there are. A new one is a file with its descriptor, a line here and one in gate.c. */
#ifndef GW_GATE_TYPES_H
#define GW_GATE_TYPES_H

#include "gate/gate.h"

extern const struct gw_gate_type gw_gate_none;
extern const struct gw_gate_type gw_gate_pgbouncer;
extern const struct gw_gate_type gw_gate_hook;
extern const struct gw_gate_type gw_gate_haproxy;

#endif
