/* What is in the way, the way back, and what to do next: concluded from what status.c found. */
#include "journey/status_parts.h"

#include "base/clock.h"
#include "base/file.h"
#include "gate/around.h"
#include "io/json.h"
#include "journey/definitions.h"

#include <stdlib.h>
#include <string.h>

enum { SESSIONS_SHOWN = 5, STATEMENTS_PER_TABLE = 4, STATEMENTS_BESIDE = 20, TRIPS_PER_SWITCH = 12 };

/* ---- what would refuse the next change of owner ---- */

static void add_sessions(struct status_view *view, struct gw_gate *gate)
{
    struct gw_journey *journey = view->journey;
    struct gw_session_info *found = NULL;
    struct gw_error err;
    gw_autobuf struct gw_buf names = {0};
    size_t count = 0;
    if (!gw_gate_sessions_around(gate, journey->sides[view->owner], journey->cancel, &found, &count, &err)) {
        status_block(view->status, "who bypasses the gate is not known: %s", err.message);
        return;
    }
    for (size_t i = 0; i < count && i < SESSIONS_SHOWN; i++)
        gw_buf_addf(&names, "%s%s@%s (%s, pid %lld)", names.len ? ", " : "", found[i].user,
                    found[i].address[0] ? found[i].address : "local",
                    found[i].application[0] ? found[i].application : "no application_name", (long long)found[i].id);
    if (count > SESSIONS_SHOWN)
        gw_buf_addf(&names, " and %zu more", count - SESSIONS_SHOWN);
    if (count)
        status_block(view->status, "%zu session%s the gate: %s", count, count == 1 ? " bypasses" : "s bypass",
                     gw_buf_text(&names));
    free(found);
}

/* With a gate of our own: the journey's belongs to the thread that works a switch. */
static void add_bypassing(struct status_view *view)
{
    struct gw_journey *journey = view->journey;
    struct gw_gate *gate;
    struct gw_error err;
    if (!journey->sides[view->owner])
        return;
    if (!gw_gate_open(&journey->store->gate, journey->store->side[GW_BLUE].url, journey->store->side[GW_GREEN].url,
                      journey->cancel, &gate, &err)) {
        status_block(view->status, "the gate cannot be opened: %s", err.message);
        return;
    }
    add_sessions(view, gate);
    gw_gate_close(gate);
}

static void add_lag(struct status_view *view)
{
    struct gw_journey *journey = view->journey;
    int64_t limit_us = journey->store->switch_.max_lag_ms * 1000;
    struct gw_follow_status follow = {0};
    pthread_mutex_lock(&journey->lock);
    if (journey->follows[view->owner])
        gw_follow_status(journey->follows[view->owner], &follow);
    pthread_mutex_unlock(&journey->lock);
    if (follow.lag_us > limit_us)
        status_block(view->status, "%s lags %.1f s behind, switch.max_lag is %.1f s", gw_stream_name(view->owner),
                     (double)follow.lag_us / 1e6, (double)limit_us / 1e6);
}

static void add_verdict(struct status_view *view)
{
    gw_autobuf struct gw_buf line = {0};
    gw_verdicts_blocks(view->journey, &view->verdicts, view->stage == GW_STAGE_RETAIN ? GW_GREEN : GW_BLUE, &line);
    view->verdict_blocks = line.len > 0;
    if (line.len)
        status_block(view->status, "%s", gw_buf_text(&line));
}

static void add_definitions(struct status_view *view)
{
    struct gw_journey *journey = view->journey;
    struct gw_error err;
    bool changed = false;
    if (!journey->state || !journey->sides[view->owner])
        return;
    if (!gw_definitions_compare(journey, view->owner, &changed, &err))
        status_block(view->status, "definitions on %s cannot be looked at: %s", gw_side_name(view->owner), err.message);
    else if (changed)
        status_block(view->status, "definitions on %s changed (DDL), and no change log carries that. %s",
                     gw_side_name(view->owner), gw_definitions_way_on(view->owner));
}

void status_add_switch_blocks(struct status_view *view)
{
    if (view->stage != GW_STAGE_FOLLOW && view->stage != GW_STAGE_RETAIN)
        return;
    add_verdict(view);
    if (!view->owner_known)
        return;
    add_definitions(view);
    add_lag(view);
    add_bypassing(view);
}

/* ---- the way back ---- */

/* Takes the locks of each table once; measured by what the sides take to answer now. */
static void abort_takes(const struct status_view *view, struct gw_buf *takes, int64_t *takes_us)
{
    char text[16];
    size_t statements = view->journey->schema.count * STATEMENTS_PER_TABLE + STATEMENTS_BESIDE;
    *takes_us = view->round_trip_us * (int64_t)statements;
    if (!view->round_trip_us) {
        gw_buf_adds(takes, "a short lock on each table");
        return;
    }
    gw_format_duration(*takes_us, text);
    gw_buf_addf(takes, "about %s and a short lock on each table", text);
}

/* What is not applied yet comes first, then a pause like the last one. */
static bool rollback_takes(const struct status_view *view, struct gw_buf *takes, int64_t *takes_us,
                           struct gw_error *err)
{
    gw_autojson json_t *there = NULL, *back = NULL;
    struct gw_follow_status follow = {0};
    struct gw_journey *journey = view->journey;
    char text[16], drain[16];
    if (!gw_state_get(journey->state, "pause.green", &back, err) ||
        !gw_state_get(journey->state, "pause.blue", &there, err))
        return false;
    const json_t *last = json_object_get(back ? back : there, "us");
    pthread_mutex_lock(&journey->lock);
    if (journey->follows[GW_GREEN])
        gw_follow_status(journey->follows[GW_GREEN], &follow);
    pthread_mutex_unlock(&journey->lock);
    *takes_us = last ? json_integer_value(last) : view->round_trip_us * TRIPS_PER_SWITCH;
    gw_format_duration(*takes_us, text);
    gw_buf_addf(takes, last ? "a pause like the last one, %s" : "a pause of at least %s by the round trips", text);
    if (follow.lag_rows > 0 && follow.seconds_left > 0) {
        gw_format_duration(follow.seconds_left * 1000000, drain);
        *takes_us += follow.seconds_left * 1000000;
        gw_buf_addf(takes, ", once %s of changes are applied", drain);
    } else if (!view->runner) {
        gw_buf_adds(takes, ", once what was written since the runner ended is applied");
    }
    return true;
}

static const char *why_no_rollback(const struct status_view *view)
{
    if (view->lost[GW_GREEN])
        return "green's change log no longer has our place: what was written on green since then cannot reach blue. "
               "Only godwit finish is left";
    if (view->stopped[GW_GREEN])
        return "green>blue stands still, see what blocks";
    if (!view->owner_known)
        return "a side cannot be asked";
    return NULL;
}

static bool rollback_row(struct status_view *view, struct gw_error *err)
{
    gw_autobuf struct gw_buf takes = {0};
    const char *why = why_no_rollback(view);
    int64_t takes_us = 0;
    if (why) {
        json_object_set_new(view->status, "go_back",
                            json_pack("{s:s, s:b, s:n, s:n, s:n, s:s}", "command", "godwit rollback", "possible", 0,
                                      "loses_rows", "takes", "takes_us", "why", why));
        status_block(view->status, "rollback is impossible: %s", why);
        return true;
    }
    if (!rollback_takes(view, &takes, &takes_us, err))
        return false;
    /* All that green was written is applied on blue before the owner changes. */
    json_object_set_new(view->status, "go_back",
                        json_pack("{s:s, s:b, s:i, s:o, s:I, s:s}", "command", "godwit rollback", "possible", 1,
                                  "loses_rows", 0, "takes", gw_json_text(gw_buf_text(&takes)), "takes_us",
                                  (json_int_t)takes_us, "why", ""));
    return true;
}

bool status_add_way_back(struct status_view *view, struct gw_error *err)
{
    const struct gw_stage_info *info = gw_stage_info(view->stage);
    gw_autobuf struct gw_buf takes = {0};
    int64_t takes_us = 0;
    if (view->stage == GW_STAGE_RETAIN && !view->runner)
        status_block(view->status, "no runner is alive: the way back is ageing; start godwit run");
    if (view->stage == GW_STAGE_SWITCH && !view->runner)
        status_block(view->status, "a switch was cut off: godwit run resolves it");
    if (view->stage == GW_STAGE_RETAIN)
        return rollback_row(view, err);
    if (!info->way_back || view->stage == GW_STAGE_NEW)
        return true;
    if (view->stage == GW_STAGE_SWITCH) {
        takes_us = view->journey->store->switch_.pause_budget_ms * 1000;
        gw_buf_adds(&takes, "the pause budget at most");
    } else {
        abort_takes(view, &takes, &takes_us);
    }
    /* Before the switch nothing was written on green. */
    json_object_set_new(view->status, "go_back",
                        json_pack("{s:s, s:b, s:i, s:o, s:I, s:s}", "command", info->way_back, "possible", 1,
                                  "loses_rows", 0, "takes", gw_json_text(gw_buf_text(&takes)), "takes_us",
                                  (json_int_t)takes_us, "why", ""));
    return true;
}

/* ---- next ---- */

static const char *next_in_follow(const struct status_view *view)
{
    if (view->lost[GW_BLUE] || view->stopped[GW_BLUE])
        return "godwit abort, then begin again: see what blocks";
    if (!view->runner)
        return "godwit run";
    if (view->verdict_blocks)
        return "godwit verify";
    if (json_array_size(json_object_get(view->status, "blocks")))
        return "what blocks first, then godwit switch --rehearse";
    return view->rehearsed ? "godwit switch" : gw_stage_info(view->stage)->suggest;
}

static void next_in_retain(const struct status_view *view, struct gw_buf *out)
{
    int64_t left_us = view->journey->store->retain_ms * 1000 - view->owned_for_us;
    char left[16];
    if (view->lost[GW_GREEN] || (view->owner_known && left_us <= 0))
        gw_buf_adds(out, view->lost[GW_GREEN] ? "godwit finish --now" : "godwit finish");
    else if (!view->runner)
        gw_buf_adds(out, "godwit run");
    else if (!view->owner_known)
        gw_buf_adds(out, "see what blocks");
    else {
        gw_format_duration(left_us, left);
        gw_buf_addf(out, "godwit rollback, or godwit finish in %s", left);
    }
}

void status_add_next(struct status_view *view)
{
    gw_autobuf struct gw_buf next = {0};
    const char *suggest = gw_stage_info(view->stage)->suggest;
    if (view->stage == GW_STAGE_FOLLOW)
        gw_buf_adds(&next, next_in_follow(view));
    else if (view->stage == GW_STAGE_RETAIN)
        next_in_retain(view, &next);
    else if (view->stage == GW_STAGE_COPY && view->runner)
        gw_buf_adds(&next, "godwit status --watch, until the copy is complete");
    else if (suggest)
        gw_buf_adds(&next, suggest);
    json_object_set_new(view->status, "next", gw_json_text(gw_buf_text(&next)));
}
