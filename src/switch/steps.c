#include "switch/run.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"

/* How long a flip whose answer was lost is asked for: the lease lasts a second longer than the pause budget. */
enum { DOUBT_MS = 4000, DOUBT_PAUSE_MS = 100, MAKING_PAUSE_MS = 10 };

/* Milliseconds of the pause budget that are left; before parking the whole budget. */
static int left_ms(const struct gw_switch_run *run)
{
    return run->deadline_us ? gw_left_ms(run->deadline_us) : run->options->pause_budget_ms;
}

static bool over_budget(struct gw_switch_run *run, const char *doing, struct gw_error *err)
{
    gw_fail(err, GW_ERR_RETRY, "the pause budget of %d ms ran out while %s", run->options->pause_budget_ms, doing);
    return gw_error_hint(err, "traffic goes on where it was; try again when the load is lower, or raise "
                              "switch.pause_budget");
}

static bool somebody_else(const struct gw_store *store, const struct gw_owner *expected, const struct gw_owner *now,
                          struct gw_error *err)
{
    gw_fail(err, GW_ERR_CONFLICT, "the owner on %s is %s at epoch %llu, not %s at epoch %llu: somebody else decided",
            gw_side_name(store->side), gw_side_name(now->owner), (unsigned long long)now->epoch,
            gw_side_name(expected->owner), (unsigned long long)expected->epoch);
    return gw_error_hint(err, "the watchdog or another operator undid this switch; look at godwit status");
}

/* Out of the pause: what will be put on the new owner is made ready, and what comes from it is held back until the old
 * owner is without what would act on it. */
static bool hold(struct gw_switch_run *run, struct gw_error *err)
{
    const struct gw_switch_hooks *hooks = &run->options->hooks;
    const struct gw_schema_facet *schema = run->to->type->schema;
    if (schema && schema->tighten_open && !schema->tighten_open(run->to, &run->tighten, err))
        return false;
    return !hooks->hold_apply || hooks->hold_apply(hooks->arg, run->to->side, err);
}

static bool let_go(struct gw_switch_run *run, struct gw_error *err)
{
    (void)err;
    if (run->options->hooks.release_apply)
        run->options->hooks.release_apply(run->options->hooks.arg, run->to->side);
    return true;
}

static bool take_lease(struct gw_switch_run *run, struct gw_error *err)
{
    const struct gw_switch_hooks *hooks = &run->options->hooks;
    return !hooks->lease_take || hooks->lease_take(hooks->arg, run->options->lease_ms, err);
}

/* As long as something is left to bring back, the watchdog must not go. */
static bool release_lease(struct gw_switch_run *run, struct gw_error *err)
{
    const struct gw_switch_hooks *hooks = &run->options->hooks;
    (void)err;
    if (run->left && hooks->lease_leave)
        hooks->lease_leave(hooks->arg);
    else if (!run->left && hooks->lease_release)
        hooks->lease_release(hooks->arg);
    return true;
}

static bool park(struct gw_switch_run *run, struct gw_error *err)
{
    const struct gw_gate_type *gate = run->options->gate->type;
    if (gate->watch)
        gate->watch(run->options->gate, run->from);
    bool ok = !gate->prepare || gate->prepare(run->options->gate, err);
    if (ok) {
        run->parked_at_us = gw_mono_us();
        run->deadline_us = run->parked_at_us + (int64_t)run->options->pause_budget_ms * 1000;
        ok = gate->park(run->options->gate, left_ms(run), err);
    }
    if (gate->watch)
        gate->watch(run->options->gate, NULL);
    return ok;
}

static bool unpark_old(struct gw_switch_run *run, struct gw_error *err)
{
    struct gw_gate *gate = run->options->gate;
    if (!run->parked_at_us) /* it was not even asked to park */
        return true;
    if (run->left)
        return gw_fail(err, GW_ERR_RETRY, "traffic stays parked: where it may go is left to the watchdog");
    /* Where nothing was parked, nothing was pointed away either, and nobody has to be told to lead it back. */
    bool ok = (!gate->type->parks || gate->type->point(gate, gw_gate_target_of(run->options->from), err)) &&
              gate->type->unpark(gate, err);
    run->result->pause_us = gw_mono_us() - run->parked_at_us;
    return ok;
}

static bool raise_fence(struct gw_switch_run *run, struct gw_error *err)
{
    int limit = left_ms(run) < run->options->lock_timeout_ms ? left_ms(run) : run->options->lock_timeout_ms;
    if (limit <= 0)
        return over_budget(run, "waiting to raise the fence", err);
    if (!run->from->type->fence->raise(run->from, run->options->schemas[run->from->side], limit, &run->fence_at, err))
        return false;
    run->result->at = run->fence_at;
    return true;
}

/* Only as long as the row is as it was when the switch began: whoever changed it since decides about the fence. */
static bool lower_old_fence(struct gw_switch_run *run, struct gw_error *err)
{
    struct gw_owner now;
    bool installed;
    if (!run->from->type->ownership->get(run->from, &now, &installed, err))
        return false;
    if (!installed || now.owner != run->from->side || now.epoch != run->expected_from.epoch + (run->won ? 1 : 0))
        return somebody_else(run->from, &run->expected_from, &now, err);
    return run->from->type->fence->lower(run->from, err);
}

/* Behind the fence: what was made since the preflight has none and does not follow. Whoever is still at it is waited
 * for like a writer. */
static bool compare_definitions(struct gw_switch_run *run, struct gw_error *err)
{
    const struct gw_switch_options *options = run->options;
    int limit = left_ms(run) < options->lock_timeout_ms ? left_ms(run) : options->lock_timeout_ms;
    int64_t deadline_us = gw_mono_us() + (int64_t)limit * 1000;
    for (;;) {
        gw_autobuf struct gw_buf making = {0};
        bool changed = false;
        if (!options->hooks.definitions(options->hooks.arg, options->from, &changed, &making, err))
            return false;
        if (changed) {
            gw_fail(err, GW_ERR_CONFLICT, "definitions on %s changed (DDL) while the switch was on its way",
                    gw_side_name(options->from));
            return gw_error_hint(err, "they did not come along to %s; godwit switch --dry-run says more",
                                 gw_side_name(run->to->side));
        }
        if (!making.len)
            return left_ms(run) > 0 || over_budget(run, "definitions were being compared", err);
        if (gw_left_ms(deadline_us) == 0) {
            gw_fail(err, GW_ERR_CONFLICT, "definitions on %s are being changed (DDL) by transactions that do not end",
                    gw_side_name(options->from));
            gw_error_detail(err, "by %s", gw_buf_text(&making));
            return gw_error_hint(err, "end these sessions or let them finish, then try again");
        }
        gw_sleep_us(MAKING_PAUSE_MS * 1000);
    }
}

static bool has_definitions(const struct gw_switch_run *run)
{
    return run->options->hooks.definitions != NULL;
}

static bool drain(struct gw_switch_run *run, struct gw_error *err)
{
    const struct gw_switch_hooks *hooks = &run->options->hooks;
    bool reached = false;
    if (!hooks->wait_applied(hooks->arg, run->options->from, &run->fence_at, left_ms(run), &reached, err))
        return false;
    if (!reached)
        return over_budget(run, "the last changes were being applied", err);
    return true;
}

static bool sync_sequences(struct gw_switch_run *run, struct gw_error *err)
{
    size_t count;
    struct gw_store *to = run->options->targets[run->to->side];
    const struct gw_schema_facet *schema = to->type->schema;
    if (schema && schema->sync_sequences && !schema->sync_sequences(run->from, to, &count, err))
        return false;
    return left_ms(run) > 0 || over_budget(run, "sequences were being set", err);
}

static bool is_loose(const struct gw_switch_run *run)
{
    return run->tighten || run->tighten_again;
}

/* Done and not committed: undone it is gone at once, and whoever dies here leaves nothing of it. */
static bool enforce(struct gw_switch_run *run, struct gw_error *err)
{
    int limit = left_ms(run) < run->options->lock_timeout_ms ? left_ms(run) : run->options->lock_timeout_ms;
    if (limit <= 0)
        return over_budget(run, "foreign keys and triggers were to be put on", err);
    return run->to->type->schema->tighten(run->tighten, limit, err) &&
           (left_ms(run) > 0 || over_budget(run, "foreign keys and triggers were put on", err));
}

static bool give_up_tighten(struct gw_switch_run *run, struct gw_error *err)
{
    (void)err;
    if (run->tighten)
        run->to->type->schema->tighten_close(run->tighten);
    run->tighten = NULL;
    return true;
}

/* Behind the flip. A session that was lost before it committed is made again. */
static bool commit_tighten(struct gw_switch_run *run, struct gw_error *err)
{
    const struct gw_schema_facet *schema = run->to->type->schema;
    if (run->tighten_again) {
        if (!give_up_tighten(run, err) || !schema->tighten_open(run->to, &run->tighten, err) ||
            (run->tighten && !schema->tighten(run->tighten, run->options->lock_timeout_ms, err)))
            return false;
    }
    run->tighten_again = run->tighten && !schema->tighten_commit(run->tighten, err);
    return !run->tighten_again && give_up_tighten(run, err);
}

/* One attempt. An answer that was lost is looked for in the row: *in_doubt when that does not tell, for a commit may
 * still be on its way (it waits for a standby, say) and the row show as before. */
static bool flip_row(struct gw_store *store, const struct gw_owner *expected, enum gw_side owner, bool *in_doubt,
                     struct gw_error *err)
{
    bool done = false, installed = false;
    struct gw_error failed, unread;
    struct gw_owner now;
    *in_doubt = false;
    gw_error_clear(&failed);
    if (store->type->ownership->compare_and_set(store, expected, owner, &done, &failed) && done)
        return true;
    bool asked = failed.kind != GW_ERR_NONE;
    if (!store->type->ownership->get(store, &now, &installed, &unread)) {
        *in_doubt = asked;
        *err = asked ? failed : unread;
        return false;
    }
    if (installed && now.owner == owner && now.epoch > expected->epoch)
        return true;
    *in_doubt = asked && installed && now.epoch == expected->epoch;
    if (!*in_doubt)
        return somebody_else(store, expected, &now, err);
    *err = failed;
    return false;
}

/* The epoch was raised without a flip, by us or by the watchdog: the flip can not come any more. The other row goes
 * along. */
static bool flip_is_off(struct gw_switch_run *run, struct gw_error *err)
{
    bool done, installed;
    struct gw_owner now;
    run->won = true;
    if (!run->to->type->ownership->compare_and_set(run->to, &run->expected_to, run->from->side, &done, err))
        return false;
    if (done)
        return true;
    if (!run->to->type->ownership->get(run->to, &now, &installed, err))
        return false;
    return (installed && now.owner == run->from->side && now.epoch == run->expected_to.epoch + 1) ||
           somebody_else(run->to, &run->expected_to, &now, err);
}

/* The row's own order of changes decides: either the flip is there when ours is refused, or ours came first and it is
 * refused for good. Returns true when the switch goes on. */
static bool settle_doubt(struct gw_switch_run *run, struct gw_error *err)
{
    struct gw_error why = *err, tried;
    int64_t deadline_us = gw_mono_us() + (int64_t)DOUBT_MS * 1000;
    gw_switch_say(run->options, "the answer of the flip on %s was lost (%s): asking for it",
                  gw_side_name(run->from->side), why.message);
    do {
        bool done = false, installed = false;
        struct gw_owner now;
        gw_error_clear(&tried);
        if (run->from->type->ownership->compare_and_set(run->from, &run->expected_from, run->from->side, &done,
                                                        &tried) &&
            run->from->type->ownership->get(run->from, &now, &installed, &tried) && installed) {
            if (now.owner == run->to->side)
                return true;
            if (now.epoch != run->expected_from.epoch + 1)
                return somebody_else(run->from, &run->expected_from, &now, err);
            run->left = !flip_is_off(run, &tried);
            *err = run->left ? tried : why;
            return false;
        }
        gw_debug("asking for the flip: %s", tried.message);
        gw_sleep_us(DOUBT_PAUSE_MS * 1000);
    } while (gw_left_ms(deadline_us) > 0);
    run->left = run->result->in_doubt = true;
    gw_fail(err, why.kind, "whether %s still owns the data is not known: the answer of the flip was lost",
            gw_side_name(run->from->side));
    gw_error_detail(err, "%s", why.message);
    return gw_error_hint(err, "its fence stays up until it is known; the watchdog, and godwit run or switch, find out");
}

static bool flip_old(struct gw_switch_run *run, struct gw_error *err)
{
    bool in_doubt;
    GW_CRASH_POINT("switch.before_flip");
    if (!flip_row(run->from, &run->expected_from, run->to->side, &in_doubt, err) &&
        !(in_doubt && settle_doubt(run, err)))
        return false;
    run->flipped = true;
    GW_CRASH_POINT("switch.between_flips");
    return true;
}

static bool flip_new(struct gw_switch_run *run, struct gw_error *err)
{
    bool in_doubt;
    if (!flip_row(run->to, &run->expected_to, run->to->side, &in_doubt, err))
        return false; /* tried again, in doubt or not */
    run->result->epoch = run->expected_to.epoch + 1;
    return true;
}

/* The followers learn first whose log is the owner's now: what is written once the fence is down is no foreign write. */
static bool open_new(struct gw_switch_run *run, struct gw_error *err)
{
    if (run->options->hooks.owner_changed)
        run->options->hooks.owner_changed(run->options->hooks.arg, run->to->side);
    return run->to->type->fence->lower(run->to, err);
}

static bool point_new(struct gw_switch_run *run, struct gw_error *err)
{
    return run->options->gate->type->point(run->options->gate, gw_gate_target_of(run->to->side), err);
}

static bool unpark_new(struct gw_switch_run *run, struct gw_error *err)
{
    if (!run->options->gate->type->unpark(run->options->gate, err))
        return false;
    run->result->pause_us = gw_mono_us() - run->parked_at_us;
    return true;
}

const struct gw_switch_step gw_switch_steps[] = {
    {"hold", "hold back what comes from %2$s; make ready the foreign keys and triggers that are off there", true, hold,
     let_go, NULL},
    {"lease", "start the watchdog, which lets traffic go on should this process die", true, take_lease, release_lease,
     NULL},
    {"park", "park traffic at the gate and wait until no transaction runs through it", true, park, unpark_old, NULL},
    {"fence", "raise the fence on %1$s: no session but godwit's writes there", true, raise_fence, lower_old_fence,
     NULL},
    {"definitions", "look whether definitions on %1$s are as they were", true, compare_definitions, NULL,
     has_definitions},
    {"drain", "apply the last changes of %1$s on %2$s, up to the fence", true, drain, NULL, NULL},
    {"sequences", "set the sequences of %2$s to where those of %1$s stand", true, sync_sequences, NULL, NULL},
    {"enforce", "put the foreign keys and triggers that are off %2$s on again; they count from the flip on", true,
     enforce, give_up_tighten, is_loose},
    {"flip", "flip the owner on %1$s to %2$s (compare-and-set on the epoch); from here on only forward", false,
     flip_old, NULL, NULL},
    {"enforced", "commit the foreign keys and triggers of %2$s", false, commit_tighten, NULL, is_loose},
    {"flip_new", "flip the owner on %2$s", false, flip_new, NULL, NULL},
    {"open", "lower the fence on %2$s", false, open_new, NULL, NULL},
    {"point", "point the gate at %2$s", false, point_new, NULL, NULL},
    {"unpark", "let traffic go on", false, unpark_new, NULL, NULL},
    {"release", "release the watchdog", false, release_lease, NULL, NULL},
};
const size_t gw_switch_step_count = sizeof gw_switch_steps / sizeof gw_switch_steps[0];
