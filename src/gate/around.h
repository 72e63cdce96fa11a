/*
 * Who is on a side without coming through the gate. The side's list of sessions and the gate's are not taken at one
 * moment, and a gate opens and closes sessions all the time: only who is around in each of several looks counts.
 */
#ifndef GW_GATE_AROUND_H
#define GW_GATE_AROUND_H

#include "gate/gate.h"
#include "store/store.h"

/* Owned array; none where the side or the gate cannot tell. One look when nobody is around, else some 0.2 s. */
GW_MUST_CHECK bool gw_gate_sessions_around(struct gw_gate *, struct gw_store *, struct gw_cancel *,
                                           struct gw_session_info **out, size_t *count, struct gw_error *);

#endif
