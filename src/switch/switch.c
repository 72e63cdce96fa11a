#include "switch/switch.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "switch/run.h"

#include <stdio.h>
#include <string.h>

/* How long steps behind the flip are tried again before the operator is called. */
enum { FORWARD_RETRY_MS = 30000, FORWARD_PAUSE_MS = 200 };

void gw_switch_say(const struct gw_switch_options *options, const char *format, ...)
{
    if (!options->hooks.say)
        return;
    gw_autobuf struct gw_buf line = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&line, format, args);
    va_end(args);
    options->hooks.say(options->hooks.arg, gw_buf_text(&line));
}

static const char *run_kind(const struct gw_switch_options *options)
{
    return options->rehearse ? "rehearsal" : options->from == GW_BLUE ? "switch" : "rollback";
}

void gw_switch_describe(const struct gw_switch_options *options, struct gw_buf *out)
{
    const char *from = gw_side_name(options->from), *to = gw_side_name(gw_side_other(options->from));
    int number = 0;
    for (size_t i = 0; i < gw_switch_step_count; i++) {
        const struct gw_switch_step *step = &gw_switch_steps[i];
        if (options->rehearse && !step->rehearsed)
            continue;
        gw_buf_addf(out, "%2d. ", ++number);
        for (const char *c = step->words; *c; c++) {
            if (!strncmp(c, "%1$s", 4) || !strncmp(c, "%2$s", 4)) {
                gw_buf_adds(out, c[1] == '1' ? from : to);
                c += 3;
            } else {
                gw_buf_addc(out, *c);
            }
        }
        gw_buf_addc(out, '\n');
    }
    if (options->rehearse)
        gw_buf_addf(out, "%2d. undo it all: the fence down, traffic on to %s\n", ++number, from);
    else
        gw_buf_addf(out, "%2d. take off %s what would act on changes from %s, then let it follow\n", ++number, from,
                    to);
}

const char *gw_switch_step_name(size_t step)
{
    return step < gw_switch_step_count ? gw_switch_steps[step].name : NULL;
}

static bool read_owner_rows(struct gw_switch_run *run, struct gw_error *err)
{
    bool installed;
    struct gw_store *const stores[2] = {run->from, run->to};
    struct gw_owner *const rows[2] = {&run->expected_from, &run->expected_to};
    for (int i = 0; i < 2; i++) {
        if (!stores[i]->type->ownership->get(stores[i], rows[i], &installed, err))
            return false;
        if (!installed || rows[i]->owner != run->from->side)
            return gw_fail(err, GW_ERR_CONFLICT, "%s does not say that %s owns the data", gw_side_name(stores[i]->side),
                           gw_side_name(run->from->side));
    }
    if (run->expected_from.epoch != run->expected_to.epoch)
        return gw_fail(err, GW_ERR_CONFLICT, "the sides are at different epochs (%llu and %llu): a flip was torn",
                       (unsigned long long)run->expected_from.epoch, (unsigned long long)run->expected_to.epoch);
    return true;
}

/* The journal only tells the story (the sides know the truth): it is not waited for, and its failure must not stop a
 * pause half-way. */
static void journal(struct gw_switch_run *run, const char *name, enum gw_step_status status, const char *detail)
{
    char full[64];
    struct gw_error ignored;
    snprintf(full, sizeof full, "switch.%s", name);
    if (!gw_state_note_step(run->options->state, run->journal_run, full, status, detail, &ignored))
        gw_warn("the journal could not be written: %s", ignored.message);
}

static bool renew_lease(struct gw_switch_run *run, struct gw_error *err)
{
    const struct gw_switch_hooks *hooks = &run->options->hooks;
    return !hooks->lease_renew || hooks->lease_renew(hooks->arg, err);
}

/* Behind the flip there is no way but forward: try again until it works or the operator is needed. */
static bool act_forward(struct gw_switch_run *run, const struct gw_switch_step *step, struct gw_error *err)
{
    int64_t deadline = gw_mono_us() + (int64_t)FORWARD_RETRY_MS * 1000;
    while (!step->act(run, err)) {
        if (gw_left_ms(deadline) == 0) {
            gw_error_prefix(err, "after the flip, step %s", step->name);
            return gw_error_hint(err, "%s owns the data already; repair what the message says, then run: godwit run",
                                 gw_side_name(run->to->side));
        }
        gw_switch_say(run->options, "step %s failed after the flip, trying again: %s", step->name, err->message);
        struct gw_error ignored;
        if (!renew_lease(run, &ignored))
            gw_debug("the lease could not be renewed: %s", ignored.message);
        gw_sleep_us(FORWARD_PAUSE_MS * 1000);
    }
    return true;
}

static bool act(struct gw_switch_run *run, const struct gw_switch_step *step, struct gw_error *err)
{
    if (run->flipped)
        return act_forward(run, step, err);
    if (gw_cancel_wished(run->options->cancel))
        return gw_cancel_fail(run->options->cancel, err);
    if (run->parked_at_us && !renew_lease(run, err))
        return false;
    return step->act(run, err);
}

static bool undo_from(struct gw_switch_run *run, size_t last, struct gw_error *err)
{
    bool all = true;
    for (size_t i = last + 1; i-- > 0;) {
        const struct gw_switch_step *step = &gw_switch_steps[i];
        struct gw_error failure;
        if (!step->undo || (step->needed && !step->needed(run)))
            continue;
        if (step->undo(run, &failure)) {
            journal(run, step->name, GW_STEP_UNDONE, NULL);
        } else {
            gw_error_prefix(&failure, "undoing step %s", step->name);
            gw_log_error(&failure);
            if (all)
                *err = failure;
            all = false;
            run->left = true;
        }
    }
    return all;
}

/* Who owns the data is not known: nothing is undone that would let anybody write. */
static void leave(struct gw_switch_run *run)
{
    const struct gw_switch_hooks *hooks = &run->options->hooks;
    if (hooks->lease_leave)
        hooks->lease_leave(hooks->arg);
}

static bool call_off(struct gw_switch_run *run, size_t failed_step, struct gw_error *err)
{
    struct gw_error undo_error;
    if (run->left) {
        leave(run);
        return false;
    }
    run->result->undone = undo_from(run, failed_step, &undo_error);
    if (!run->result->undone)
        gw_error_detail(err, "%s%sand undoing it failed: %s; the watchdog lets traffic go on", err->detail,
                        err->detail[0] ? "; " : "", undo_error.message);
    return false;
}

static bool do_steps(struct gw_switch_run *run, struct gw_error *err)
{
    size_t last = 0;
    for (size_t i = 0; i < gw_switch_step_count; i++) {
        const struct gw_switch_step *step = &gw_switch_steps[i];
        if (run->options->rehearse && !step->rehearsed)
            break;
        last = i;
        if (step->needed && !step->needed(run))
            continue;
        journal(run, step->name, GW_STEP_BEGUN, NULL);
        int64_t began_us = gw_mono_us();
        bool ok = act(run, step, err);
        run->result->step_us[i] = gw_mono_us() - began_us;
        if (!ok) {
            journal(run, step->name, GW_STEP_FAILED, err->message);
            return run->flipped ? false : call_off(run, i, err);
        }
        journal(run, step->name, GW_STEP_DONE, NULL);
        GW_CRASH_POINT("switch.after_step");
    }
    if (!run->options->rehearse)
        return true;
    if (!undo_from(run, last, err))
        return false;
    run->result->undone = true;
    return true;
}

bool gw_switch_run(const struct gw_switch_options *options, struct gw_switch_result *result, struct gw_error *err)
{
    memset(result, 0, sizeof *result);
    struct gw_switch_run run = {.options = options,
                                .result = result,
                                .from = options->sides[options->from],
                                .to = options->sides[gw_side_other(options->from)]};
    if (!read_owner_rows(&run, err) || !gw_state_begin_run(options->state, run_kind(options), &run.journal_run, err))
        return false;
    bool ok = do_steps(&run, err);
    if (run.tighten)
        run.to->type->schema->tighten_close(run.tighten);
    result->flipped = run.flipped;
    struct gw_error ignored;
    if (!run.flipped || ok) {
        const char *outcome = ok ? (options->rehearse ? "rehearsed" : "flipped") : "undone";
        if ((ok || result->undone) && !gw_state_end_run(options->state, run.journal_run, outcome, &ignored))
            gw_warn("the journal could not be written: %s", ignored.message);
    }
    return ok;
}
