/* switch and rollback, and what is left to do after either was cut off. */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
#include "journey/definitions.h"
#include "journey/enforce.h"
#include "journey/lease.h"
#include "journey/load.h"
#include "journey/mapping.h"
#include "journey/streams.h"
#include "journey/verbs.h"
#include "journey/verdicts.h"
#include "switch/switch.h"

#include <stdlib.h>
#include <string.h>

enum { RECEIVING_MS = 10000 };

struct change_of_owner {
    struct gw_journey *journey;
    struct gw_lease *lease;
    struct gw_buf definitions; /* what a glance at the owner's saw when they were compared */
    bool unverified;
    bool leased;
};

/* ---- hooks ---- */

static bool wait_applied(void *arg, enum gw_side from, const struct gw_position *at, int timeout_ms, bool *reached,
                         struct gw_error *err)
{
    struct change_of_owner *change = arg;
    return gw_follow_wait_applied(change->journey->follows[from], at, timeout_ms, reached, err);
}

static void add_lag(struct gw_journey *journey, enum gw_side from, struct gw_buf *lines)
{
    struct gw_follow_status status;
    gw_follow_status(journey->follows[from], &status);
    int64_t limit_us = journey->store->switch_.max_lag_ms * 1000;
    if (status.lag_us > limit_us)
        gw_buf_addf(lines, "%s lags %.1f s behind, switch.max_lag is %.1f s\n", gw_stream_name(from),
                    (double)status.lag_us / 1e6, (double)limit_us / 1e6);
    gw_autobuf struct gw_buf never = {0};
    gw_streams_convergence(&status, from, &never);
    if (never.len)
        gw_buf_addf(lines, "%s\n", gw_buf_text(&never));
}

static void add_blocked(struct gw_journey *journey, struct gw_buf *lines)
{
    for (int side = 0; side < 2; side++) {
        struct gw_follow_status status;
        gw_follow_status(journey->follows[side], &status);
        if (status.block != GW_FOLLOW_FREE)
            gw_buf_addf(lines, "%s: %s\n", gw_stream_name((enum gw_side)side),
                        status.blocked[0] ? status.blocked : status.error.message);
        else if (!status.receiving)
            gw_buf_addf(lines, "%s does not run: %s\n", gw_stream_name((enum gw_side)side), status.error.message);
    }
}

static bool add_quarantine(struct gw_journey *journey, struct gw_buf *lines, struct gw_error *err)
{
    struct gw_quarantined *found = NULL;
    size_t count = 0;
    if (!gw_state_quarantined(journey->state, &found, &count, err))
        return false;
    if (count)
        gw_buf_addf(lines, "%zu changes are in quarantine, the first: %s of %s in %s: %s\n", count, found[0].operation,
                    found[0].key, found[0].collection, found[0].reason);
    gw_quarantined_free(found, count);
    return true;
}

static bool add_verdicts(struct gw_journey *journey, enum gw_side from, struct gw_buf *lines, struct gw_error *err)
{
    struct gw_verdicts verdicts;
    gw_autobuf struct gw_buf line = {0};
    if (!gw_verdicts_read(journey, &verdicts, err))
        return false;
    gw_verdicts_blocks(journey, &verdicts, from, &line);
    if (line.len)
        gw_buf_addf(lines, "%s\n", gw_buf_text(&line));
    return true;
}

/* A glance first: what comes behind it is seen by the next one. */
static bool add_ddl(struct change_of_owner *change, enum gw_side from, struct gw_buf *lines, struct gw_error *err)
{
    struct gw_store *store = change->journey->sides[from];
    gw_autobuf struct gw_buf making = {0};
    bool changed;
    gw_buf_clear(&change->definitions);
    if ((store->type->catalog->glance &&
         !store->type->catalog->glance(store, &change->definitions, &changed, &making, err)) ||
        !gw_definitions_compare(change->journey, from, &changed, err))
        return false;
    if (changed)
        gw_buf_addf(lines, "definitions on %s changed (DDL) and did not come along to %s. %s\n", gw_side_name(from),
                    gw_side_name(gw_side_other(from)), gw_definitions_way_on(from));
    return true;
}

static bool definitions(void *arg, enum gw_side from, bool *changed, struct gw_buf *making, struct gw_error *err)
{
    struct change_of_owner *change = arg;
    struct gw_store *store = change->journey->sides[from];
    bool moved = true;
    *changed = false;
    if (store->type->catalog->glance && !store->type->catalog->glance(store, &change->definitions, &moved, making, err))
        return false;
    return !moved || gw_definitions_compare(change->journey, from, changed, err);
}

static bool blockers(void *arg, enum gw_side from, struct gw_buf *lines, struct gw_error *err)
{
    struct change_of_owner *change = arg;
    struct gw_journey *journey = change->journey;
    add_lag(journey, from, lines);
    add_blocked(journey, lines);
    return add_quarantine(journey, lines, err) && (change->unverified || add_verdicts(journey, from, lines, err)) &&
           add_ddl(change, from, lines, err);
}

static bool hold_apply(void *arg, enum gw_side source, struct gw_error *err)
{
    struct change_of_owner *change = arg;
    return gw_follow_pause_apply(change->journey->follows[source], err);
}

static void release_apply(void *arg, enum gw_side source)
{
    struct change_of_owner *change = arg;
    gw_streams_release(change->journey, source);
}

static bool lease_take(void *arg, int lease_ms, struct gw_error *err)
{
    struct change_of_owner *change = arg;
    struct gw_journey *journey = change->journey;
    change->leased = gw_lease_take(journey->folder, journey->file, lease_ms, &change->lease, err);
    return change->leased;
}

static bool lease_renew(void *arg, struct gw_error *err)
{
    struct change_of_owner *change = arg;
    return !change->leased || gw_lease_renew(change->lease, err);
}

static void lease_release(void *arg)
{
    struct change_of_owner *change = arg;
    if (change->leased)
        gw_lease_release(change->lease);
    change->leased = false;
    change->lease = NULL;
}

static void lease_leave(void *arg)
{
    struct change_of_owner *change = arg;
    if (change->leased)
        gw_lease_leave(change->lease);
    change->leased = false;
    change->lease = NULL;
}

static void owner_changed(void *arg, enum gw_side owner)
{
    struct change_of_owner *change = arg;
    for (int side = 0; side < 2; side++)
        gw_follow_set_source_owns(change->journey->follows[side], side == (int)owner);
}

static void say(void *arg, const char *line)
{
    struct change_of_owner *change = arg;
    gw_journey_say(change->journey, "%s", line);
}

/* ---- the verb ---- */

/* Parking alone may take the whole budget, and the lease is renewed only between steps. */
static int lease_ms(const struct gw_journey *journey)
{
    int64_t least_ms = journey->store->switch_.pause_budget_ms + 1000;
    return (int)(journey->store->gate.lease_ms > least_ms ? journey->store->gate.lease_ms : least_ms);
}

static struct gw_switch_options options_of(struct change_of_owner *change, const json_t *arguments, enum gw_side from)
{
    struct gw_journey *journey = change->journey;
    change->unverified = json_is_true(json_object_get(arguments, "unverified"));
    return (struct gw_switch_options){
        .sides = {journey->sides[GW_BLUE], journey->sides[GW_GREEN]},
        .from = from,
        .schemas = {gw_journey_schema(journey, GW_BLUE), gw_journey_schema(journey, GW_GREEN)},
        .targets = {gw_mapping_target(journey, GW_BLUE), gw_mapping_target(journey, GW_GREEN)},
        .state = journey->state,
        .gate = journey->gate,
        .hooks = {.arg = change,
                  .wait_applied = wait_applied,
                  .blockers = blockers,
                  .lease_take = lease_take,
                  .lease_renew = lease_renew,
                  .lease_release = lease_release,
                  .lease_leave = lease_leave,
                  .definitions = definitions,
                  .hold_apply = hold_apply,
                  .release_apply = release_apply,
                  .owner_changed = owner_changed,
                  .say = say},
        .cancel = journey->cancel,
        .pause_budget_ms = (int)journey->store->switch_.pause_budget_ms,
        .lock_timeout_ms = (int)journey->store->switch_.lock_timeout_ms,
        .lease_ms = lease_ms(journey),
        .ignore_sessions = json_is_true(json_object_get(arguments, "ignore_sessions")),
        .rehearse = json_is_true(json_object_get(arguments, "rehearse"))};
}

/* ---- the pause to expect ---- */

static const char *pause_fact(enum gw_side from)
{
    return from == GW_BLUE ? "pause.blue" : "pause.green";
}

static void keep_pause(struct gw_journey *journey, const struct gw_switch_options *options,
                       const struct gw_switch_result *done)
{
    gw_autojson json_t *value =
        json_pack("{s:I, s:b}", "us", (json_int_t)done->pause_us, "rehearsed", options->rehearse);
    struct gw_error err;
    if (!gw_state_put(journey->state, pause_fact(options->from), value, &err))
        gw_warn("the journal could not be written: %s", err.message);
}

/* What the last one took, where it took longer than what can be measured beforehand. */
static bool expect_pause(struct gw_journey *journey, enum gw_side from, int *predicted_ms, const char **how,
                         struct gw_error *err)
{
    gw_autojson json_t *last = NULL;
    if (!gw_state_get(journey->state, pause_fact(from), &last, err))
        return false;
    int64_t last_ms = (json_integer_value(json_object_get(last, "us")) + 999) / 1000;
    *how = last ? "more than the last one took" : "the least, by round trips; a rehearsal says more";
    if (last_ms >= *predicted_ms) {
        *predicted_ms = (int)last_ms;
        *how = json_is_true(json_object_get(last, "rehearsed")) ? "the last rehearsal took that"
                                                                : "the last one took that";
    }
    return true;
}

static json_t *lines_json(const struct gw_buf *lines)
{
    json_t *array = json_array();
    const char *at = gw_buf_text(lines);
    while (*at) {
        size_t len = strcspn(at, "\n");
        if (len)
            json_array_append_new(array, gw_json_text_len(at, len));
        at += len + (at[len] == '\n');
    }
    return array;
}

static json_t *result_json(const struct gw_switch_options *options, const struct gw_switch_result *result,
                           int predicted_ms)
{
    gw_autojson json_t *steps = json_object();
    for (size_t i = 0; gw_switch_step_name(i); i++)
        json_object_set_new(steps, gw_switch_step_name(i), json_real((double)result->step_us[i] / 1e3));
    return json_pack("{s:s, s:b, s:b, s:f, s:i, s:O, s:I, s:s}", "owner",
                     gw_side_name(result->flipped ? gw_side_other(options->from) : options->from), "flipped",
                     result->flipped, "undone", result->undone, "pause_ms", (double)result->pause_us / 1e3,
                     "predicted_ms", predicted_ms, "steps_ms", steps, "epoch", (json_int_t)result->epoch, "at",
                     result->at.text);
}

static void say_preflight(struct gw_journey *journey, const struct gw_switch_options *options,
                          const struct gw_buf *blocking, int predicted_ms, const char *how)
{
    if (blocking->len)
        gw_journey_say(journey, "what blocks:\n%s", gw_buf_text(blocking));
    else
        gw_journey_say(journey, "nothing blocks; expected pause %d ms (%s), budget %d ms", predicted_ms, how,
                       options->pause_budget_ms);
    if (!journey->gate->type->parks)
        gw_journey_say(journey,
                       "the gate \"%s\" cannot park traffic: writes to %s fail from the fence on until the "
                       "application is pointed at %s; expect an outage",
                       journey->gate->type->name, gw_side_name(options->from),
                       gw_side_name(gw_side_other(options->from)));
}

static void say_costs(struct gw_journey *journey, struct gw_buf *costs)
{
    struct gw_error ignored;
    const struct gw_gate_type *type = journey->gate->type;
    if (type->costs && type->costs(journey->gate, costs, &ignored) && costs->len)
        gw_journey_say(journey, "what it costs the application's clients (gate %s):\n%s", type->name,
                       gw_buf_text(costs));
}

static int dry_run(struct gw_journey *journey, const struct gw_switch_options *options, const struct gw_buf *blocking,
                   int predicted_ms, json_t **result)
{
    gw_autobuf struct gw_buf steps = {0};
    gw_switch_describe(options, &steps);
    gw_journey_say(journey, "what would be done:\n%s", gw_buf_text(&steps));
    gw_autobuf struct gw_buf costs = {0};
    say_costs(journey, &costs);
    *result = json_pack("{s:o, s:o, s:i, s:o}", "steps", lines_json(&steps), "blocks", lines_json(blocking),
                        "predicted_ms", predicted_ms, "costs", lines_json(&costs));
    return blocking->len ? GW_EXIT_NO : GW_EXIT_YES;
}

static int after_switch(struct gw_journey *journey, const struct gw_switch_options *options,
                        const struct gw_switch_result *done, struct gw_error *err)
{
    if (options->rehearse) {
        gw_journey_say(journey, "rehearsed: a pause of %.0f ms, all undone, %s still owns the data",
                       (double)done->pause_us / 1e3, gw_side_name(options->from));
        if (!gw_journey_enter(journey, options->from == GW_BLUE ? GW_STAGE_FOLLOW : GW_STAGE_RETAIN, err))
            return (int)gw_error_exit(err);
        return GW_EXIT_YES;
    }
    enum gw_side owner = gw_side_other(options->from);
    gw_journey_say(journey, "switched: %s owns the data now (epoch %llu), the pause was %.0f ms; %s follows",
                   gw_side_name(owner), (unsigned long long)done->epoch, (double)done->pause_us / 1e3,
                   gw_side_name(options->from));
    if (!gw_definitions_keep(journey, owner, err) ||
        !gw_journey_enter(journey, owner == GW_GREEN ? GW_STAGE_RETAIN : GW_STAGE_FOLLOW, err))
        return (int)gw_error_exit(err);
    struct gw_error why;
    if (!gw_enforce_follower(journey, owner, &why)) /* the owner has changed all the same */
        gw_warn("%s does not follow yet, godwit run goes on with it: %s", gw_side_name(options->from), why.message);
    return GW_EXIT_YES;
}

/* What a switch left half done: the owner as the sides say, and the followers here as it demands. */
static bool bring_to_one(struct gw_journey *journey, struct gw_error *err)
{
    return gw_verbs_recover(journey, err) && gw_streams_start(journey, err);
}

static int flip_held(struct gw_journey *journey, const struct gw_switch_options *options, int predicted_ms,
                     json_t **result, struct gw_error *err)
{
    struct gw_switch_result done;
    if (!gw_journey_enter(journey, GW_STAGE_SWITCH, err)) /* a rehearsal that is cut off must be undone, too */
        return (int)gw_error_exit(err);
    bool ok = gw_switch_run(options, &done, err);
    *result = result_json(options, &done, predicted_ms);
    if (ok) {
        keep_pause(journey, options, &done);
        return after_switch(journey, options, &done, err);
    }
    /* A missed budget or a lock not had in time is "no", not "unreachable". */
    bool is_no = err->kind == GW_ERR_RETRY && !done.flipped && !done.in_doubt;
    int code = is_no ? GW_EXIT_NO : (int)gw_error_exit(err);
    struct gw_error ignored;
    if (done.undone &&
        !gw_journey_enter(journey, options->from == GW_BLUE ? GW_STAGE_FOLLOW : GW_STAGE_RETAIN, &ignored))
        gw_warn("%s", ignored.message);
    if (done.undone)
        gw_journey_say(journey, "called off: everything is undone, %s owns the data as before",
                       gw_side_name(options->from));
    else if (!bring_to_one(journey, &ignored)) /* the watchdog tries it, too; the next command again */
        gw_log_error(&ignored);
    return code;
}

/* A signal in the middle must neither stop the undoing nor what comes after the flip. */
static int flip(struct gw_journey *journey, const struct gw_switch_options *options, int predicted_ms, json_t **result,
                struct gw_error *err)
{
    gw_cancel_hold(journey->cancel);
    int code = flip_held(journey, options, predicted_ms, result, err);
    gw_cancel_let_go(journey->cancel);
    return code;
}

static int decide_and_flip(struct change_of_owner *change, const json_t *arguments, enum gw_side from, json_t **result,
                           struct gw_error *err)
{
    struct gw_journey *journey = change->journey;
    struct gw_switch_options options = options_of(change, arguments, from);
    gw_autobuf struct gw_buf blocking = {0};
    int predicted_ms;
    const char *how;
    bool caught_up;
    if (!gw_follow_wait_caught_up(journey->follows[from], options.pause_budget_ms, &caught_up, err) ||
        !gw_switch_preflight(&options, &blocking, &predicted_ms, err) ||
        !expect_pause(journey, from, &predicted_ms, &how, err))
        return (int)gw_error_exit(err);
    gw_error_clear(err); /* what a probe was refused on the way is no failure of ours */
    say_preflight(journey, &options, &blocking, predicted_ms, how);
    if (json_is_true(json_object_get(arguments, "dry_run")))
        return dry_run(journey, &options, &blocking, predicted_ms, result);
    if (blocking.len) {
        *result = json_pack("{s:o}", "blocks", lines_json(&blocking));
        return GW_EXIT_NO;
    }
    return flip(journey, &options, predicted_ms, result, err);
}

static int change_owner(struct gw_journey *journey, enum gw_side from, enum gw_verb verb, const json_t *arguments,
                        json_t **result, struct gw_error *err)
{
    struct change_of_owner change = {.journey = journey};
    struct gw_copy_report ignored;
    if (!gw_journey_open_state(journey, GW_JOURNAL_WORK, err) || !gw_journey_connect(journey, err) ||
        !gw_verbs_recover(journey, err) || !gw_journey_allows(journey, verb, err) ||
        !gw_journey_open_gate(journey, err) || !gw_load_run(journey, &ignored, err) ||
        !gw_streams_wait_receiving(journey, RECEIVING_MS, err))
        return (int)gw_error_exit(err);
    int code = decide_and_flip(&change, arguments, from, result, err);
    lease_leave(&change);
    gw_buf_release(&change.definitions);
    return code;
}
int gw_verb_switch(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    return change_owner(journey, GW_BLUE, GW_VERB_SWITCH, arguments, result, err);
}

int gw_verb_rollback(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    return change_owner(journey, GW_GREEN, GW_VERB_ROLLBACK, arguments, result, err);
}

/* The journal is in a switch, or the sides say otherwise than it does: a flip was torn, or one came to light later. */
static bool is_astray(struct gw_journey *journey, enum gw_stage stage, bool *astray, struct gw_error *err)
{
    *astray = stage == GW_STAGE_SWITCH;
    if (stage != GW_STAGE_FOLLOW && stage != GW_STAGE_RETAIN)
        return true;
    enum gw_side owner;
    bool torn;
    if (!gw_journey_connect(journey, err) || !gw_journey_owner(journey, &owner, &torn, err))
        return false;
    *astray = torn || owner != (stage == GW_STAGE_FOLLOW ? GW_BLUE : GW_GREEN);
    return true;
}

/* Followers that run already: what they held back is let go when the streams are started. */
static void tell_followers(struct gw_journey *journey, enum gw_side owner)
{
    for (int side = 0; side < 2; side++) {
        if (journey->follows[side])
            gw_follow_set_source_owns(journey->follows[side], side == (int)owner);
    }
}

bool gw_verbs_recover(struct gw_journey *journey, struct gw_error *err)
{
    enum gw_stage stage;
    bool astray;
    if (!gw_journey_stage(journey, &stage, err) || !is_astray(journey, stage, &astray, err))
        return false;
    if (!astray)
        return true;
    if (!gw_journey_connect(journey, err) || !gw_journey_open_gate(journey, err) ||
        !gw_journey_read_schema(journey, err) ||
        (stage != GW_STAGE_SWITCH && !gw_journey_enter(journey, GW_STAGE_SWITCH, err)))
        return false;
    enum gw_side owner;
    gw_autobuf struct gw_buf done = {0};
    const struct gw_schema *const schemas[2] = {gw_journey_schema(journey, GW_BLUE),
                                                gw_journey_schema(journey, GW_GREEN)};
    if (!gw_switch_recover(journey->sides, schemas, journey->gate, &owner, &done, err))
        return gw_error_prefix(err, "resolving a switch that was cut off");
    gw_journey_say(journey, "a switch was cut off; %s owns the data. %s", gw_side_name(owner), gw_buf_text(&done));
    tell_followers(journey, owner);
    return gw_definitions_keep_new(journey, owner, err) &&
           gw_journey_enter(journey, owner == GW_GREEN ? GW_STAGE_RETAIN : GW_STAGE_FOLLOW, err);
}
