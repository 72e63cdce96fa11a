/* switch and rollback, and what is left to do after either was cut off. */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
#include "journey/enforce.h"
#include "journey/lease.h"
#include "journey/load.h"
#include "journey/streams.h"
#include "journey/verbs.h"
#include "switch/switch.h"

#include <stdlib.h>
#include <string.h>

enum { RECEIVING_MS = 10000 };

struct change_of_owner {
    struct gw_journey *journey;
    struct gw_lease *lease;
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

static bool add_verdicts(struct gw_journey *journey, struct gw_buf *lines, struct gw_error *err)
{
    gw_autojson json_t *verdicts = NULL;
    if (!gw_state_verdicts(journey->state, &verdicts, err))
        return false;
    size_t equal = 0, other = 0, i;
    json_t *verdict;
    json_array_foreach(verdicts, i, verdict)
    {
        const char *word = json_string_value(json_object_get(verdict, "verdict"));
        if (word && !strcmp(word, "equal"))
            equal++;
        else
            other++;
    }
    if (other)
        gw_buf_addf(lines, "%zu of %zu tables were not found equal by the last verify\n", other, equal + other);
    else if (equal < journey->schema.count)
        gw_buf_addf(lines, "%zu of %zu tables were never compared: godwit verify, or switch --unverified\n",
                    journey->schema.count - equal, journey->schema.count);
    return true;
}

static bool add_ddl(struct gw_journey *journey, enum gw_side from, struct gw_buf *lines, struct gw_error *err)
{
    const char *fact = from == GW_BLUE ? "fingerprint.blue" : "fingerprint.green";
    struct gw_store *store = journey->sides[from];
    gw_autojson json_t *kept = NULL;
    gw_autobuf struct gw_buf now = {0};
    if (!gw_state_get(journey->state, fact, &kept, err) ||
        !store->type->catalog->fingerprint(store, &journey->store->filter, &now, err))
        return false;
    if (kept && strcmp(json_string_value(kept), gw_buf_text(&now)) != 0)
        gw_buf_addf(lines,
                    "definitions on %s changed (DDL) since it was loaded; they did not come along. Make the same "
                    "change on %s, or godwit abort and begin again\n",
                    gw_side_name(from), gw_side_name(gw_side_other(from)));
    return true;
}

static bool blockers(void *arg, enum gw_side from, struct gw_buf *lines, struct gw_error *err)
{
    struct change_of_owner *change = arg;
    struct gw_journey *journey = change->journey;
    add_lag(journey, from, lines);
    add_blocked(journey, lines);
    return add_quarantine(journey, lines, err) && (change->unverified || add_verdicts(journey, lines, err)) &&
           add_ddl(journey, from, lines, err);
}

static bool hold(void *arg, enum gw_side source, struct gw_error *err)
{
    struct change_of_owner *change = arg;
    return gw_follow_pause_apply(change->journey->follows[source], err);
}

static void release(void *arg, enum gw_side source)
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
    return (struct gw_switch_options){.sides = {journey->sides[GW_BLUE], journey->sides[GW_GREEN]},
                                      .from = from,
                                      .schema = &journey->schema,
                                      .state = journey->state,
                                      .gate = journey->gate,
                                      .hooks = {.arg = change,
                                                .wait_applied = wait_applied,
                                                .blockers = blockers,
                                                .lease_take = lease_take,
                                                .lease_renew = lease_renew,
                                                .lease_release = lease_release,
                                                .hold = hold,
                                                .release = release,
                                                .owner_changed = owner_changed,
                                                .say = say},
                                      .cancel = journey->cancel,
                                      .pause_budget_ms = (int)journey->store->switch_.pause_budget_ms,
                                      .lock_timeout_ms = (int)journey->store->switch_.lock_timeout_ms,
                                      .lease_ms = lease_ms(journey),
                                      .ignore_sessions = json_is_true(json_object_get(arguments, "ignore_sessions")),
                                      .rehearse = json_is_true(json_object_get(arguments, "rehearse"))};
}

static bool keep_fingerprint(struct gw_journey *journey, enum gw_side owner, struct gw_error *err)
{
    gw_autobuf struct gw_buf print = {0};
    if (!journey->sides[owner]->type->catalog->fingerprint(journey->sides[owner], &journey->store->filter, &print, err))
        return false;
    gw_autojson json_t *value = gw_json_text(gw_buf_text(&print));
    return gw_state_put(journey->state, owner == GW_BLUE ? "fingerprint.blue" : "fingerprint.green", value, err);
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
                          const struct gw_buf *blocking, int predicted_ms)
{
    if (blocking->len)
        gw_journey_say(journey, "what blocks:\n%s", gw_buf_text(blocking));
    else
        gw_journey_say(journey, "nothing blocks; expected pause %d ms, budget %d ms", predicted_ms,
                       options->pause_budget_ms);
    if (!journey->gate->type->parks)
        gw_journey_say(journey,
                       "the gate \"%s\" cannot park traffic: writes to %s fail from the fence on until the "
                       "application is pointed at %s; expect an outage",
                       journey->gate->type->name, gw_side_name(options->from),
                       gw_side_name(gw_side_other(options->from)));
}

static int dry_run(struct gw_journey *journey, const struct gw_switch_options *options, const struct gw_buf *blocking,
                   int predicted_ms, json_t **result)
{
    gw_autobuf struct gw_buf steps = {0};
    gw_switch_describe(options, &steps);
    gw_journey_say(journey, "what would be done:\n%s", gw_buf_text(&steps));
    *result = json_pack("{s:o, s:o, s:i}", "steps", lines_json(&steps), "blocks", lines_json(blocking), "predicted_ms",
                        predicted_ms);
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
    if (!keep_fingerprint(journey, owner, err) ||
        !gw_journey_enter(journey, owner == GW_GREEN ? GW_STAGE_RETAIN : GW_STAGE_FOLLOW, err))
        return (int)gw_error_exit(err);
    struct gw_error why;
    if (!gw_enforce_follower(journey, owner, &why)) /* the owner has changed all the same */
        gw_warn("%s does not follow yet, godwit run goes on with it: %s", gw_side_name(options->from), why.message);
    return GW_EXIT_YES;
}

static int flip_held(struct gw_journey *journey, const struct gw_switch_options *options, int predicted_ms,
                     json_t **result, struct gw_error *err)
{
    struct gw_switch_result done;
    if (!gw_journey_enter(journey, GW_STAGE_SWITCH, err)) /* a rehearsal that is cut off must be undone, too */
        return (int)gw_error_exit(err);
    bool ok = gw_switch_run(options, &done, err);
    *result = result_json(options, &done, predicted_ms);
    if (ok)
        return after_switch(journey, options, &done, err);
    int code = (int)gw_error_exit(err);
    struct gw_error ignored;
    if (done.undone &&
        !gw_journey_enter(journey, options->from == GW_BLUE ? GW_STAGE_FOLLOW : GW_STAGE_RETAIN, &ignored))
        gw_warn("%s", ignored.message);
    if (done.undone)
        gw_journey_say(journey, "called off: everything is undone, %s owns the data as before",
                       gw_side_name(options->from));
    /* A missed budget or a lock not had in time is "no", not "unreachable". */
    return done.undone && err->kind == GW_ERR_RETRY ? GW_EXIT_NO : code;
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
    struct gw_switch_options options = options_of(&change, arguments, from);
    gw_autobuf struct gw_buf blocking = {0};
    int predicted_ms;
    bool caught_up;
    if (!gw_follow_wait_caught_up(journey->follows[from], options.pause_budget_ms, &caught_up, err) ||
        !gw_switch_preflight(&options, &blocking, &predicted_ms, err))
        return (int)gw_error_exit(err);
    gw_error_clear(err); /* what a probe was refused on the way is no failure of ours */
    say_preflight(journey, &options, &blocking, predicted_ms);
    if (json_is_true(json_object_get(arguments, "dry_run")))
        return dry_run(journey, &options, &blocking, predicted_ms, result);
    if (blocking.len) {
        *result = json_pack("{s:o}", "blocks", lines_json(&blocking));
        return GW_EXIT_NO;
    }
    return flip(journey, &options, predicted_ms, result, err);
}

int gw_verb_switch(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    return change_owner(journey, GW_BLUE, GW_VERB_SWITCH, arguments, result, err);
}

int gw_verb_rollback(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    return change_owner(journey, GW_GREEN, GW_VERB_ROLLBACK, arguments, result, err);
}

bool gw_verbs_recover(struct gw_journey *journey, struct gw_error *err)
{
    enum gw_stage stage;
    if (!gw_journey_stage(journey, &stage, err))
        return false;
    if (stage != GW_STAGE_SWITCH)
        return true;
    if (!gw_journey_connect(journey, err) || !gw_journey_open_gate(journey, err) ||
        !gw_journey_read_schema(journey, err))
        return false;
    enum gw_side owner;
    gw_autobuf struct gw_buf done = {0};
    if (!gw_switch_recover(journey->sides, &journey->schema, journey->gate, &owner, &done, err))
        return gw_error_prefix(err, "resolving a switch that was cut off");
    gw_journey_say(journey, "a switch was cut off; %s owns the data. %s", gw_side_name(owner), gw_buf_text(&done));
    return keep_fingerprint(journey, owner, err) &&
           gw_journey_enter(journey, owner == GW_GREEN ? GW_STAGE_RETAIN : GW_STAGE_FOLLOW, err);
}
