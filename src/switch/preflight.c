#include "base/clock.h"
#include "base/hash.h"
#include "gate/around.h"
#include "switch/run.h"

#include <stdio.h>
#include <stdlib.h>

/* How often a side is asked in the pause. The old owner: fence 5 and its commit, definitions 2, sequences 2, flip 2 and
 * its commit. The new one: sequences 3, flip 2 and its commit, open. */
enum { FROM_ANSWERS = 11, FROM_COMMITS = 2, TO_ANSWERS = 6, TO_COMMITS = 1 };
enum { TIGHTEN_TIMEOUT_MS = 2500 };
enum { CANARY_TIMEOUT_MS = 10000, CANARY_POLL_MS = 5, APPLY_TIMEOUT_MS = 10000 };

/* Sessions on the owner that do not come through the gate would see errors at the fence: named before. */
static bool add_bypassing_sessions(const struct gw_switch_options *options, struct gw_buf *blockers,
                                   struct gw_error *err)
{
    struct gw_session_info *found = NULL;
    size_t count = 0;
    if (options->ignore_sessions)
        return true;
    if (!gw_gate_sessions_around(options->gate, options->sides[options->from], options->cancel, &found, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct gw_session_info *session = &found[i];
        gw_buf_addf(blockers, "a session bypasses the gate: %s@%s (%s, pid %lld, %s)\n", session->user,
                    session->address[0] ? session->address : "local", session->application, (long long)session->id,
                    session->state);
    }
    if (count)
        gw_buf_adds(blockers, "(end such sessions, send them through the gate, or give --ignore-sessions: the fence "
                              "will refuse their writes)\n");
    free(found);
    return true;
}

/* The way back is proven by something that travelled it: a signal written on the side that is to become owner must
 * arrive, by apply, on the side that owns now. */
static bool send_canary(const struct gw_switch_options *options, struct gw_buf *blockers, struct gw_error *err)
{
    struct gw_store *from = options->sides[options->from], *to = options->sides[gw_side_other(options->from)];
    char token[64];
    snprintf(token, sizeof token, "canary:%016llx", (unsigned long long)gw_random64());
    if (!to->type->changes->signal(to, token, err))
        return false;
    int64_t deadline = gw_mono_us() + (int64_t)CANARY_TIMEOUT_MS * 1000;
    bool seen = false;
    while (!seen && gw_left_ms(deadline) > 0) {
        if (!from->type->changes->seen(from, token, &seen, err))
            return false;
        if (!seen && gw_cancel_wait(options->cancel, CANARY_POLL_MS))
            return gw_cancel_fail(options->cancel, err);
    }
    if (!seen)
        gw_buf_addf(blockers, "the way back is not proven: a canary written on %s did not arrive on %s within %d s\n",
                    gw_side_name(to->side), gw_side_name(from->side), CANARY_TIMEOUT_MS / 1000);
    return true;
}

/* One answer of a side, and one commit that is on its disk. */
static bool measure_side(struct gw_store *store, int64_t *answer_us, int64_t *commit_us, struct gw_error *err)
{
    struct gw_owner owner;
    bool installed;
    char token[64];
    snprintf(token, sizeof token, "marker:%016llx", (unsigned long long)gw_random64());
    int64_t began = gw_mono_us();
    if (!store->type->ownership->get(store, &owner, &installed, err))
        return false;
    *answer_us = (gw_mono_us() - began) / 2; /* it asks twice */
    began = gw_mono_us();
    if (!store->type->changes->signal(store, token, err))
        return false;
    *commit_us = gw_mono_us() - began;
    return true;
}

/* What a marker takes through the applier now, and what the sides take to answer as often as they are asked in the
 * pause. It is the least: what waits for a lock, and what the gate needs to turn round, is not in it. */
static bool measure(const struct gw_switch_options *options, int *predicted_ms, struct gw_error *err)
{
    struct gw_store *from = options->sides[options->from], *to = options->sides[gw_side_other(options->from)];
    struct gw_position at;
    int64_t answer_us[2], commit_us[2];
    bool reached;
    char token[64];
    snprintf(token, sizeof token, "marker:%016llx", (unsigned long long)gw_random64());
    int64_t began = gw_mono_us();
    /* The marker comes behind the position: an idle log passes a position only when something follows it. */
    if (!from->type->changes->horizon(from, &at, err) || !from->type->changes->signal(from, token, err) ||
        !options->hooks.wait_applied(options->hooks.arg, options->from, &at, APPLY_TIMEOUT_MS, &reached, err))
        return false;
    int64_t apply_us = gw_mono_us() - began;
    if (!measure_side(from, &answer_us[0], &commit_us[0], err) || !measure_side(to, &answer_us[1], &commit_us[1], err))
        return false;
    int64_t sides_us = FROM_ANSWERS * answer_us[0] + FROM_COMMITS * commit_us[0] + TO_ANSWERS * answer_us[1] +
                       TO_COMMITS * commit_us[1];
    *predicted_ms += (int)((apply_us + sides_us) / 1000) + 1;
    return true;
}

/* Foreign keys and triggers that are off the new owner are put on once for trial, while nothing waits for it: it shows
 * that they can be, and how long it takes. Longer than an autovacuum that is in the way is left alone by the server. */
static bool try_tighten(const struct gw_switch_options *options, struct gw_buf *blockers, int *predicted_ms,
                        struct gw_error *err)
{
    struct gw_store *to = options->sides[gw_side_other(options->from)];
    const struct gw_schema_facet *schema = to->type->schema;
    struct gw_tighten *tighten = NULL;
    if (!schema || !schema->tighten_open)
        return true;
    if (!schema->tighten_open(to, &tighten, err))
        return false;
    if (!tighten)
        return true;
    int64_t began = gw_mono_us();
    bool done = schema->tighten(tighten, TIGHTEN_TIMEOUT_MS, err);
    *predicted_ms += (int)((gw_mono_us() - began) * 3 / 2000) + 1; /* the commit and what it makes others do */
    schema->tighten_close(tighten);
    if (!done && err->kind == GW_ERR_CANCELLED)
        return false;
    if (!done)
        gw_buf_addf(blockers, "foreign keys and triggers cannot be put on %s: %s\n", gw_side_name(to->side),
                    err->message);
    gw_error_clear(err);
    return true;
}

/* What would only come to light in the pause: where the fence does not hold, and sequences that are not there. */
static bool add_gaps(const struct gw_switch_options *options, struct gw_buf *blockers, struct gw_error *err)
{
    for (int side = 0; side < 2; side++) {
        struct gw_store *store = options->sides[side];
        gw_autobuf struct gw_buf holes = {0};
        if (!store->type->fence->holes(store, options->schemas[store->side], &holes, err))
            return false;
        if (holes.len)
            gw_buf_addf(blockers, "the fence on %s has holes: %s\n", gw_side_name(store->side), gw_buf_text(&holes));
    }
    struct gw_store *from = options->sides[options->from], *to = options->sides[gw_side_other(options->from)];
    struct gw_store *target = options->targets[to->side];
    if (target->type->schema && target->type->schema->missing_sequences &&
        !target->type->schema->missing_sequences(from, target, blockers, err))
        return false;
    bool held;
    gw_autobuf struct gw_buf how = {0};
    if (!to->type->fence->prove(to, options->schemas[to->side], &held, &how, err))
        return false;
    if (!held)
        gw_buf_addf(blockers, "the fence on %s does not hold: %s\n", gw_side_name(to->side), gw_buf_text(&how));
    return true;
}

bool gw_switch_preflight(const struct gw_switch_options *options, struct gw_buf *blockers, int *predicted_ms,
                         struct gw_error *err)
{
    *predicted_ms = 0;
    const struct gw_gate_type *gate = options->gate->type;
    if (!gate->preflight(options->gate, options->pause_budget_ms, blockers, predicted_ms, err) ||
        !options->hooks.blockers(options->hooks.arg, options->from, blockers, err) ||
        !add_bypassing_sessions(options, blockers, err) || !add_gaps(options, blockers, err))
        return false;
    if (blockers->len) /* a lagging pair would only time out on the canary */
        return true;
    if (!send_canary(options, blockers, err) || !measure(options, predicted_ms, err) ||
        !try_tighten(options, blockers, predicted_ms, err))
        return false;
    if (*predicted_ms > options->pause_budget_ms)
        gw_buf_addf(blockers, "a pause of %d ms is to be expected, the budget is %d ms (switch.pause_budget)\n",
                    *predicted_ms, options->pause_budget_ms);
    return true;
}
