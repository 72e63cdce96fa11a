/* No gate: nothing is parked. Between the fence and the moment the application is led elsewhere, its writes fail, and
 * this says so. */
#include "base/log.h"
#include "base/mem.h"
#include "gate/address.h"
#include "gate/types.h"

#include <stdlib.h>

struct none_gate {
    struct gw_gate head;
    struct gw_gate_address sides[2];
};

static bool none_open(const struct gw_migration_gate *settings, const char *blue_url, const char *green_url,
                      struct gw_cancel *cancel, struct gw_gate **out, struct gw_error *err)
{
    const char *const urls[2] = {blue_url, green_url};
    struct none_gate *gate = gw_zalloc(sizeof *gate);
    (void)cancel;
    gate->head.type = &gw_gate_none;
    for (int side = 0; side < 2; side++)
        if (!gw_gate_address_of_side(settings, side, urls[side], &gate->sides[side], err))
            gate->sides[side] = (struct gw_gate_address){0}; /* only shown; the sides' own open says what is wrong */
    *out = &gate->head;
    return true;
}

static void none_close(struct gw_gate *gate)
{
    free(gate);
}

static bool none_preflight(struct gw_gate *gate, int budget_ms, struct gw_buf *findings, int *predicted_park_ms,
                           struct gw_error *err)
{
    (void)gate;
    (void)budget_ms;
    (void)findings;
    (void)err;
    *predicted_park_ms = 0;
    return true;
}

static bool none_park(struct gw_gate *gate, int timeout_ms, struct gw_error *err)
{
    (void)gate;
    (void)timeout_ms;
    (void)err;
    gw_warn("there is no gate: from now on the application's writes fail, until it is led to the new owner");
    return true;
}

static bool none_point(struct gw_gate *base, enum gw_gate_target target, struct gw_error *err)
{
    struct none_gate *gate = (struct none_gate *)base;
    (void)err;
    if (target == GW_GATE_UNKNOWN)
        return true;
    char where[512];
    gw_gate_address_format(&gate->sides[target], where, sizeof where);
    gw_warn("lead the application to %s (%s) now: until then its writes fail",
            target == GW_GATE_BLUE ? "blue" : "green", where);
    return true;
}

static bool none_unpark(struct gw_gate *gate, struct gw_error *err)
{
    (void)gate;
    (void)err;
    return true;
}

static bool none_state(struct gw_gate *gate, bool *parked, enum gw_gate_target *target, struct gw_error *err)
{
    (void)gate;
    (void)err;
    *parked = false;
    *target = GW_GATE_UNKNOWN;
    return true;
}

static bool none_costs(struct gw_gate *gate, struct gw_buf *lines, struct gw_error *err)
{
    (void)gate;
    (void)err;
    gw_buf_adds(lines, "an outage: from the fence on every write of the application fails, until it is led to the new "
                       "owner by hand\n");
    return true;
}

const struct gw_gate_type gw_gate_none = {
    .name = "none",
    .parks = false,
    .open = none_open,
    .close = none_close,
    .preflight = none_preflight,
    .costs = none_costs,
    .park = none_park,
    .point = none_point,
    .unpark = none_unpark,
    .state = none_state,
    .sessions = NULL,
};
