#include "gate/gate.h"

#include "gate/types.h"

bool gw_gate_open(const struct gw_migration_gate *settings, const char *blue_url, const char *green_url,
                  struct gw_cancel *cancel, struct gw_gate **out, struct gw_error *err)
{
    static const struct gw_gate_type *const types[] = {
        [GW_MIGRATION_GATE_NONE] = &gw_gate_none,
        [GW_MIGRATION_GATE_PGBOUNCER] = &gw_gate_pgbouncer,
        [GW_MIGRATION_GATE_HOOK] = &gw_gate_hook,
        [GW_MIGRATION_GATE_HAPROXY] = &gw_gate_haproxy,
    };
    if ((size_t)settings->type >= sizeof types / sizeof types[0])
        return gw_fail(err, GW_ERR_BUG, "gate type %d is not known", (int)settings->type);
    const struct gw_gate_type *type = types[settings->type];
    return type->open(settings, blue_url, green_url, cancel, out, err) || gw_error_prefix(err, "gate %s", type->name);
}

void gw_gate_close(struct gw_gate *gate)
{
    if (gate)
        gate->type->close(gate);
}

const char *gw_gate_target_name(enum gw_gate_target target)
{
    return target == GW_GATE_BLUE ? "blue" : target == GW_GATE_GREEN ? "green" : "";
}
