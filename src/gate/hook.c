/*
 * The operator's own commands as the gate: park, point, unpark, probe, each run by /bin/sh -c with a deadline.
 *
 * They find in their environment GODWIT_STEP (park, point, unpark, probe), GODWIT_TARGET (blue or green; point),
 * GODWIT_TIMEOUT_MS, and GODWIT_BLUE_HOST, _PORT, _DB and the same for GREEN. Nothing secret. Exit code 0 means done;
 * anything else failed, and the end of stderr is shown. Doing a step twice must be fine, also at the same time: the
 * watchdog may, while an operator's command does. probe prints words: blue or green, and parked when traffic is held
 * back (open otherwise, or nothing).
 */
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/address.h"
#include "gate/types.h"
#include "io/process.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { COMMAND_MS = 10000, FIXED_VARIABLES = 6, VARIABLES = 10 };

struct hook_gate {
    struct gw_gate head;
    const struct gw_migration_gate *settings; /* borrowed */
    struct gw_cancel *cancel;
    char *addresses[FIXED_VARIABLES]; /* "GODWIT_BLUE_HOST=..." and so on; owned */
};

/* Output of park, point and unpark belongs to the operator's log; probe's to us. */
static bool run_hook(struct hook_gate *gate, const char *step, const char *command, enum gw_gate_target target,
                     int timeout_ms, struct gw_cancel *cancel, struct gw_buf *out, struct gw_error *err)
{
    if (!command) {
        (void)gw_fail(err, GW_ERR_USER, "the hook gate has no command for %s", step);
        return gw_error_hint(err, "set gate: %s", step);
    }
    gw_autofree char *step_text = gw_asprintf("GODWIT_STEP=%s", step);
    gw_autofree char *target_text = gw_asprintf("GODWIT_TARGET=%s", gw_gate_target_name(target));
    gw_autofree char *timeout_text = gw_asprintf("GODWIT_TIMEOUT_MS=%d", timeout_ms);
    const char *environment[VARIABLES] = {step_text, target_text, timeout_text};
    for (int i = 0; i < FIXED_VARIABLES; i++)
        environment[3 + i] = gate->addresses[i];
    const char *argv[4];
    gw_process_shell(argv, command);
    struct gw_process_run run = {.spec = {.argv = argv, .environment = environment}, .timeout_ms = timeout_ms};
    struct gw_process_result result;
    gw_autofree char *what = gw_asprintf("gate: %s command", step);
    bool ok = gw_process_run(&run, cancel, &result, err) ? gw_process_check(&result, what, err)
                                                         : gw_error_prefix(err, "%s", what);
    if (ok && out)
        gw_buf_add(out, gw_buf_text(&result.out), result.out.len);
    else if (ok && result.out.len)
        gw_debug("%s: %.*s", what, (int)strcspn(gw_buf_text(&result.out), "\n"), gw_buf_text(&result.out));
    gw_process_result_release(&result);
    return ok;
}

/* ---- the contract ------------------------------------------------------------------------------------------------ */

static void hook_close(struct gw_gate *base)
{
    struct hook_gate *gate = (struct hook_gate *)base;
    for (int i = 0; i < FIXED_VARIABLES; i++)
        free(gate->addresses[i]);
    free(gate);
}

static bool hook_open(const struct gw_migration_gate *settings, const char *blue_url, const char *green_url,
                      struct gw_cancel *cancel, struct gw_gate **out, struct gw_error *err)
{
    static const char *const names[2] = {"BLUE", "GREEN"};
    const char *const urls[2] = {blue_url, green_url};
    struct hook_gate *gate = gw_zalloc(sizeof *gate);
    gate->head.type = &gw_gate_hook;
    gate->settings = settings;
    gate->cancel = cancel;
    for (int side = 0; side < 2; side++) {
        struct gw_gate_address address;
        if (!gw_gate_address_of_side(settings, side, urls[side], &address, err)) {
            hook_close(&gate->head);
            return false;
        }
        gate->addresses[3 * side] = gw_asprintf("GODWIT_%s_HOST=%s", names[side], address.host);
        gate->addresses[3 * side + 1] = gw_asprintf("GODWIT_%s_PORT=%s", names[side], address.port);
        gate->addresses[3 * side + 2] = gw_asprintf("GODWIT_%s_DB=%s", names[side], address.dbname);
    }
    *out = &gate->head;
    return true;
}

static bool parse_probe(const struct gw_buf *out, bool *parked, enum gw_gate_target *target, struct gw_error *err)
{
    bool held = false;
    enum gw_gate_target side = GW_GATE_UNKNOWN;
    for (const char *at = gw_buf_text(out); *at;) {
        size_t len = 0;
        while (at[len] && !isspace((unsigned char)at[len]))
            len++;
        if (len == 6 && memcmp(at, "parked", 6) == 0) {
            held = true;
        } else if (len == 4 && memcmp(at, "blue", 4) == 0) {
            side = GW_GATE_BLUE;
        } else if (len == 5 && memcmp(at, "green", 5) == 0) {
            side = GW_GATE_GREEN;
        } else if (len && !(len == 4 && memcmp(at, "open", 4) == 0)) {
            (void)gw_fail(err, GW_ERR_USER, "gate: probe printed \"%.*s\"", (int)(len > 40 ? 40 : len), at);
            return gw_error_hint(err, "it should print blue or green, and parked or open");
        }
        at += len + (at[len] != 0);
    }
    *parked = held;
    *target = side;
    return true;
}

/* Without a probe nothing is known: parked, nowhere, so that whoever repairs points and unparks. */
static bool hook_state(struct gw_gate *base, bool *parked, enum gw_gate_target *target, struct gw_error *err)
{
    struct hook_gate *gate = (struct hook_gate *)base;
    gw_autobuf struct gw_buf out = {0};
    if (!gate->settings->probe) {
        *parked = true;
        *target = GW_GATE_UNKNOWN;
        return true;
    }
    return run_hook(gate, "probe", gate->settings->probe, GW_GATE_UNKNOWN, COMMAND_MS, NULL, &out, err) &&
           parse_probe(&out, parked, target, err);
}

static bool hook_preflight(struct gw_gate *base, int budget_ms, struct gw_buf *findings, int *predicted_park_ms,
                           struct gw_error *err)
{
    struct hook_gate *gate = (struct hook_gate *)base;
    const struct gw_migration_gate *settings = gate->settings;
    const char *const commands[] = {settings->park, settings->point, settings->unpark};
    static const char *const names[] = {"park", "point", "unpark"};
    bool parked;
    enum gw_gate_target target;
    *predicted_park_ms = 0;
    for (size_t i = 0; i < 3; i++)
        if (!commands[i])
            gw_buf_addf(findings, "the hook gate has no command for %s: set gate: %s\n", names[i], names[i]);
    if (!settings->probe) {
        gw_info("gate: without a probe command godwit cannot see where traffic goes; it trusts the others' exit codes");
        return true;
    }
    int64_t began_us = gw_mono_us();
    struct gw_error failed;
    (void)err;
    if (!hook_state(base, &parked, &target, &failed)) {
        gw_buf_addf(findings, "%s%s%s\n", failed.message, failed.detail[0] ? ": " : "", failed.detail);
        return true;
    }
    if (parked)
        gw_buf_adds(findings, "the gate is parked already: run its unpark command\n");
    if (target == GW_GATE_UNKNOWN)
        gw_buf_adds(findings, "the gate's probe says neither blue nor green\n");
    /* park, point and unpark run in the pause; what the probe takes is the best that is known of such a command. */
    *predicted_park_ms = (int)(3 * (gw_mono_us() - began_us) / 1000);
    if (*predicted_park_ms > budget_ms)
        gw_buf_addf(findings, "the gate's commands are slow: three like its probe take %d ms of a budget of %d ms\n",
                    *predicted_park_ms, budget_ms);
    return true;
}

static bool hook_unpark(struct gw_gate *base, struct gw_error *err)
{
    struct hook_gate *gate = (struct hook_gate *)base;
    GW_CRASH_POINT("gate.unpark.before_resume");
    return run_hook(gate, "unpark", gate->settings->unpark, GW_GATE_UNKNOWN, COMMAND_MS, NULL, NULL, err);
}

static bool hook_park(struct gw_gate *base, int timeout_ms, struct gw_error *err)
{
    struct hook_gate *gate = (struct hook_gate *)base;
    struct gw_error undo;
    if (run_hook(gate, "park", gate->settings->park, GW_GATE_UNKNOWN, timeout_ms, gate->cancel, NULL, err)) {
        GW_CRASH_POINT("gate.park.parked");
        return true;
    }
    if (!hook_unpark(base, &undo)) {
        gw_log_error(&undo);
        return gw_error_prefix(err, "parking failed, and so did letting traffic go on (%s)", undo.message);
    }
    return false;
}

static bool hook_point(struct gw_gate *base, enum gw_gate_target target, struct gw_error *err)
{
    struct hook_gate *gate = (struct hook_gate *)base;
    bool parked;
    enum gw_gate_target now;
    GW_CRASH_POINT("gate.point.before_hook");
    if (!run_hook(gate, "point", gate->settings->point, target, COMMAND_MS, NULL, NULL, err))
        return false;
    if (!gate->settings->probe)
        return true;
    if (!hook_state(base, &parked, &now, err))
        return false;
    if (now == target)
        return true;
    (void)gw_fail(err, GW_ERR_CONFLICT, "the gate's point command said done, but its probe says \"%s\", not \"%s\"",
                  gw_gate_target_name(now), gw_gate_target_name(target));
    return gw_error_hint(err, "compare gate: point and gate: probe");
}

static bool hook_costs(struct gw_gate *gate, struct gw_buf *lines, struct gw_error *err)
{
    (void)gate;
    (void)err;
    gw_buf_adds(lines, "what the park command does to clients is what a switch costs them: where it lets them wait, a "
                       "pause; where it ends or refuses connections, they have to connect again and to repeat what "
                       "they had not committed\n");
    gw_buf_adds(lines,
                "a park command that comes back before the last transaction has ended leaves it to the fence: it "
                "waits for transactions that write, and refuses what comes after\n");
    return true;
}

const struct gw_gate_type gw_gate_hook = {
    .name = "hook",
    .parks = true,
    .open = hook_open,
    .close = hook_close,
    .preflight = hook_preflight,
    .costs = hook_costs,
    .park = hook_park,
    .point = hook_point,
    .unpark = hook_unpark,
    .state = hook_state,
    .sessions = NULL,
};
