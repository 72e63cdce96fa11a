#include "journey/status_parts.h"

#include "base/clock.h"
#include "base/file.h"
#include "io/json.h"
#include "journey/quarantine.h"
#include "journey/streams.h"
#include "switch/switch.h"

#include <inttypes.h>
#include <string.h>

enum { QUARANTINED_SHOWN = 3 };

void status_block(json_t *status, const char *format, ...)
{
    gw_autobuf struct gw_buf line = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&line, format, args);
    va_end(args);
    json_array_append_new(json_object_get(status, "blocks"), gw_json_text(gw_buf_text(&line)));
}

/* One word for what this direction does. */
static const char *doing(const struct gw_follow_status *follow, bool never)
{
    if (follow->block == GW_FOLLOW_SCHEMA || follow->block == GW_FOLLOW_FAILED)
        return "stands still";
    if (!follow->receiving)
        return "not receiving";
    if (follow->paused || !follow->apply_allowed)
        return "received, not applied yet";
    return follow->caught_up ? "caught up" : never ? "falling behind" : "converging";
}

static void add_stream(json_t *status, const struct gw_follow_status *follow, enum gw_side source)
{
    gw_autobuf struct gw_buf never = {0};
    gw_streams_convergence(follow, source, &never);
    json_t *stream = json_pack(
        "{s:s, s:s, s:b, s:b, s:b, s:I, s:I, s:I, s:f, s:f, s:I, s:s, s:s, s:I, s:I, s:I, s:s, s:s}", "stream",
        gw_stream_name(source), "doing", doing(follow, never.len > 0), "receiving", follow->receiving, "applying",
        follow->applying, "caught_up", follow->caught_up, "lag_us", (json_int_t)follow->lag_us, "lag_bytes",
        (json_int_t)follow->lag_bytes, "lag_rows", (json_int_t)follow->lag_rows, "source_rows_per_second",
        follow->source_rows_per_second, "apply_rows_per_second", follow->apply_rows_per_second, "spool_bytes",
        (json_int_t)follow->spool_bytes, "received", follow->received.text, "applied", follow->applied_durable.text,
        "transactions", (json_int_t)follow->transactions, "foreign_writes", (json_int_t)follow->foreign_writes,
        "quarantined", (json_int_t)follow->quarantined, "convergence", gw_buf_text(&never), "blocked", follow->blocked);
    json_array_append_new(json_object_get(status, "streams"), stream);
    if (follow->block != GW_FOLLOW_FREE)
        status_block(status, "%s: %s", gw_stream_name(source),
                     follow->blocked[0] ? follow->blocked : follow->error.message);
    else if (follow->error.kind != GW_ERR_NONE)
        status_block(status, "%s: %s", gw_stream_name(source), follow->error.message);
    if (never.len)
        status_block(status, "%s: %s", gw_stream_name(source), gw_buf_text(&never));
}

/* Outside of a load and of a switch only one thing holds an applier back. */
static void add_held(json_t *status, const struct gw_follow_status *follow, enum gw_side source, enum gw_stage stage)
{
    if (!follow->paused || (stage != GW_STAGE_FOLLOW && stage != GW_STAGE_RETAIN))
        return;
    status_block(
        status,
        "%s: nothing is applied until foreign keys and triggers are off %s; godwit run goes on with it and says "
        "who is in the way",
        gw_stream_name(source), gw_side_name(gw_side_other(source)));
}

static void add_streams(struct status_view *view)
{
    struct gw_journey *journey = view->journey;
    pthread_mutex_lock(&journey->lock);
    for (int side = 0; side < 2; side++) {
        if (!journey->follows[side])
            continue;
        struct gw_follow_status follow;
        gw_follow_status(journey->follows[side], &follow);
        view->stopped[side] = follow.block == GW_FOLLOW_SCHEMA || follow.block == GW_FOLLOW_FAILED;
        add_stream(view->status, &follow, (enum gw_side)side);
        add_held(view->status, &follow, (enum gw_side)side, view->stage);
    }
    pthread_mutex_unlock(&journey->lock);
}

static bool add_verdict(struct status_view *view, struct gw_error *err)
{
    struct gw_verdicts *verdicts = &view->verdicts;
    if (!gw_verdicts_read(view->journey, verdicts, err))
        return false;
    int64_t age_us = verdicts->oldest_wall_us ? gw_wall_us() - verdicts->oldest_wall_us : 0;
    json_object_set_new(view->status, "verdict",
                        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "verdict", verdicts->word, "equal",
                                  (json_int_t)verdicts->equal, "different", (json_int_t)verdicts->different,
                                  "unresolved", (json_int_t)verdicts->unresolved, "tables",
                                  (json_int_t)verdicts->tables, "oldest_wall_us", (json_int_t)verdicts->oldest_wall_us,
                                  "age_us", (json_int_t)(age_us > 0 ? age_us : 0), "max_age_us",
                                  (json_int_t)(view->journey->store->verify.max_age_ms * 1000)));
    return true;
}

static bool add_quarantine(struct status_view *view, struct gw_error *err)
{
    struct gw_quarantined *found = NULL;
    if (!gw_state_quarantined(view->journey->state, &found, &view->quarantined, err))
        return false;
    json_object_set_new(view->status, "quarantine", json_integer((json_int_t)view->quarantined));
    for (size_t i = 0; i < view->quarantined && i < QUARANTINED_SHOWN; i++) {
        gw_autobuf struct gw_buf line = {0};
        gw_quarantine_print(&found[i], &line);
        status_block(view->status, "in quarantine: %s", gw_buf_text(&line));
    }
    if (view->quarantined > QUARANTINED_SHOWN)
        status_block(view->status, "and %zu more in quarantine: godwit quarantine",
                     view->quarantined - QUARANTINED_SHOWN);
    gw_quarantined_free(found, view->quarantined);
    return true;
}

static bool add_load(struct status_view *view, struct gw_error *err)
{
    struct gw_load_totals load;
    if (!gw_state_load_totals(view->journey->state, &load, err))
        return false;
    json_object_set_new(view->status, "load",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "rows", (json_int_t)load.rows_loaded, "bytes",
                                  (json_int_t)load.bytes_loaded, "chunks", (json_int_t)load.chunks, "chunks_loaded",
                                  (json_int_t)load.chunks_loaded, "estimated_rows", (json_int_t)load.estimated_rows,
                                  "estimated_bytes", (json_int_t)load.estimated_bytes));
    return true;
}

static bool noted_lost(struct gw_journey *journey, enum gw_side side, bool *lost, struct gw_error *err)
{
    gw_autojson json_t *noted = NULL;
    if (!gw_state_get(journey->state, gw_streams_lost_fact(side), &noted, err))
        return false;
    *lost = json_is_true(noted);
    return true;
}

/* Asks a side what it retains for us; a side that does not answer blocks, and does not stop the rest of status. */
static bool add_side(struct status_view *view, enum gw_side side, struct gw_error *err)
{
    struct gw_error why;
    struct gw_journey *journey = view->journey;
    struct gw_retained kept;
    if (!noted_lost(journey, side, &view->lost[side], err))
        return false;
    if (!gw_journey_connect_side(journey, side, &why) ||
        !journey->sides[side]->type->changes->retained(journey->sides[side], &kept, &why)) {
        status_block(view->status, "%s cannot be asked: %s", gw_side_name(side), why.message);
    } else {
        view->lost[side] = view->lost[side] || kept.lost;
        json_array_append_new(json_object_get(view->status, "retained"),
                              json_pack("{s:s, s:I, s:I, s:I, s:b, s:b}", "side", gw_side_name(side), "bytes",
                                        (json_int_t)kept.bytes, "limit_bytes", (json_int_t)kept.limit_bytes,
                                        "guard_bytes", (json_int_t)journey->store->follow.wal_limit_bytes, "lost",
                                        view->lost[side], "reader_attached", kept.reader_attached));
    }
    if (view->lost[side])
        status_block(view->status, "%s no longer keeps its change log for godwit: the direction %s is lost",
                     gw_side_name(side), gw_stream_name(side));
    return true;
}

/* Known only when both rows were read: of one alone a flip that was cut off cannot be told. */
static void add_owner(struct status_view *view)
{
    struct gw_journey *journey = view->journey;
    struct gw_owner row;
    bool torn, installed;
    struct gw_error err;
    int64_t began_us = gw_mono_us();
    json_object_set_new(view->status, "owner", json_string("unknown"));
    if (!journey->sides[GW_BLUE] || !journey->sides[GW_GREEN])
        return;
    if (!gw_switch_owner(journey->sides, &row, &torn, &err) ||
        !journey->sides[row.owner]->type->ownership->get(journey->sides[row.owner], &row, &installed, &err)) {
        if (err.kind == GW_ERR_CONFLICT)
            status_block(view->status, "%s", err.message);
        return;
    }
    view->owner_known = true;
    view->owner = row.owner;
    view->owned_for_us = row.owned_for_us;
    view->round_trip_us = (gw_mono_us() - began_us) / 6; /* two statements each time */
    json_object_set_new(view->status, "owner", json_string(gw_side_name(row.owner)));
    if (torn)
        status_block(view->status, "a switch was cut off between its two flips: godwit run completes it");
}

static bool add_sides(struct status_view *view, struct gw_error *err)
{
    if (view->stage != GW_STAGE_COPY && view->stage != GW_STAGE_FOLLOW && view->stage != GW_STAGE_SWITCH &&
        view->stage != GW_STAGE_RETAIN)
        return true;
    if (!add_side(view, GW_BLUE, err) || (view->stage != GW_STAGE_COPY && !add_side(view, GW_GREEN, err)))
        return false;
    if (view->stage != GW_STAGE_COPY)
        add_owner(view);
    return true;
}

static bool read_rehearsed(struct status_view *view, struct gw_error *err)
{
    gw_autojson json_t *pause = NULL;
    if (!gw_state_get(view->journey->state, "pause.blue", &pause, err))
        return false;
    view->rehearsed = pause != NULL;
    return true;
}

static bool fill(struct status_view *view, struct gw_error *err)
{
    struct gw_journey *journey = view->journey;
    if (journey->state &&
        (!add_load(view, err) || !add_verdict(view, err) || !add_quarantine(view, err) || !read_rehearsed(view, err)))
        return false;
    if (!add_sides(view, err))
        return false;
    add_streams(view);
    status_add_switch_blocks(view);
    if (!status_add_way_back(view, err))
        return false;
    status_add_next(view);
    return true;
}

bool gw_status_take(struct gw_journey *journey, json_t **out, struct gw_error *err)
{
    struct status_view view = {.journey = journey, .verdicts = {.word = "none"}};
    char name[32] = "";
    int64_t since_us = 0;
    if (!gw_journey_stage(journey, &view.stage, err) ||
        (journey->state && !gw_state_stage(journey->state, name, &since_us, err)))
        return false;
    int runner = gw_state_runner_pid(journey->folder);
    view.runner = runner != 0;
    const struct gw_stage_info *info = gw_stage_info(view.stage);
    gw_autojson json_t *status = json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:i, s:[], s:[], s:I, s:[]}", "migration", journey->migration.name, "stage",
        info->name, "meaning", info->meaning, "since_us", (json_int_t)since_us, "owner",
        view.stage == GW_STAGE_FINISHED || view.stage == GW_STAGE_FINISH ? "green" : "blue", "runner_pid", runner,
        "streams", "retained", "spool_limit_bytes", (json_int_t)journey->store->follow.spool_limit_bytes, "blocks");
    view.status = status;
    if (!fill(&view, err))
        return false;
    *out = json_incref(status);
    return true;
}

json_t *gw_status_ending(struct gw_journey *journey, enum gw_stage stage)
{
    const struct gw_stage_info *info = gw_stage_info(stage);
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:i, s:[], s:[], s:[]}", "migration", journey->migration.name, "stage",
                     info->name, "meaning", info->meaning, "since_us", (json_int_t)0, "owner",
                     stage == GW_STAGE_FINISH ? "green" : "blue", "runner_pid", gw_state_runner_pid(journey->folder),
                     "streams", "retained", "blocks");
}

bool gw_status_blocked(const json_t *status)
{
    return json_array_size(json_object_get(status, "blocks")) > 0;
}
