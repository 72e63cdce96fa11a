#include "journey/load.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
#include "journey/definitions.h"
#include "journey/mapping.h"
#include "journey/streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTLE_POLL_MS = 50, SETTLE_SAY_US = 5000000, FENCE_LOCK_MS = 5000 };

struct load {
    struct gw_journey *journey;
    struct gw_store *blue, *green;
    char *work_dir;
    struct gw_copy_report *report;
    struct gw_cancel stop; /* of the rows: the operator's, or that there is no use in going on, as failure says */
    bool failed;
    struct gw_error failure;
};

/* ---- the plan that is kept: which collections, with which shape ---- */

static bool keep_schema(struct load *load, struct gw_error *err)
{
    struct gw_journey *journey = load->journey;
    struct gw_schema now = {0};
    if (!gw_journey_read_schema(journey, err))
        return false;
    if (!load->blue->type->catalog->list(load->blue, &journey->store->filter, &now, err))
        return gw_error_prefix(err, "listing the tables of blue");
    bool ok = true;
    if (journey->schema.count == 0) {
        if (now.count == 0) {
            gw_schema_release(&now);
            (void)!gw_fail(err, GW_ERR_USER,
                           "there is nothing to move: blue has no tables that the include and exclude "
                           "patterns let through");
            return gw_error_hint(err, "godwit audit shows what is there, and what godwit's role may see");
        }
        ok = gw_state_put_schema(journey->state, &now, err) && gw_journey_read_schema(journey, err);
    }
    gw_schema_release(&now);
    return ok && gw_mapping_open(journey, err);
}

/* What adopt needs to know again, on both sides, so that losing this machine loses no migration. */
static bool note_plan(struct load *load, bool loaded, struct gw_error *err)
{
    struct gw_journey *journey = load->journey;
    gw_autojson json_t *collections = gw_mapping_schema_json(&journey->schema);
    gw_autojson json_t *plan = json_pack("{s:O, s:b}", "collections", collections, "loaded", loaded ? 1 : 0);
    if (journey->green_schema.count > 0)
        json_object_set_new(plan, "green", gw_mapping_schema_json(&journey->green_schema));
    gw_autobuf struct gw_buf text = {0};
    gw_json_dump(plan, 0, &text);
    return load->blue->type->ownership->note(load->blue, "plan", gw_buf_text(&text), err) &&
           load->green->type->ownership->note(load->green, "plan", gw_buf_text(&text), err);
}

static bool same_migration(struct load *load, struct gw_store *store, struct gw_error *err)
{
    struct gw_owner owner;
    bool installed;
    const char *id = gw_state_migration_id(load->journey->state);
    if (!store->type->ownership->get(store, &owner, &installed, err))
        return false;
    if (!installed || !strcmp(owner.migration_id, id))
        return true;
    (void)!gw_fail(err, GW_ERR_CONFLICT,
                   "%s already belongs to a migration named \"%s\" that this journal does not know",
                   gw_side_name(store->side), owner.migration);
    return gw_error_hint(err, "if it is this one and the journal was lost: godwit adopt. If it is an old one: godwit "
                              "abort with its own journal, or the break-glass SQL of godwit plan");
}

static bool sides_are_free(struct load *load, struct gw_error *err)
{
    return same_migration(load, load->blue, err) && same_migration(load, load->green, err);
}

static bool install_home(struct load *load, struct gw_error *err)
{
    const char *id = gw_state_migration_id(load->journey->state);
    return load->blue->type->ownership->install(load->blue, id, err) &&
           load->green->type->ownership->install(load->green, id, err) && note_plan(load, false, err);
}

/* ---- opening blue's log ---- */

static bool target_must_be_empty(struct load *load, struct gw_error *err)
{
    gw_autobuf struct gw_buf taken = {0};
    if (!gw_mapping_taken(load->journey, &taken, err))
        return false;
    if (taken.len == 0)
        return true;
    (void)!gw_fail(err, GW_ERR_CONFLICT, "green already has a table %s", gw_buf_text(&taken));
    return gw_error_hint(err, "green must not hold what is to be moved: drop it there, take another database, or "
                              "exclude the table");
}

static bool open_log(struct load *load, struct gw_error *err)
{
    struct gw_journey *journey = load->journey;
    struct gw_position start;
    char barrier[240] = "";
    gw_journey_say(journey, "opening blue's change log for %zu tables", journey->schema.count);
    if (!load->blue->type->changes->prepare(load->blue, &journey->schema, &start, barrier, err))
        return gw_error_prefix(err, "opening the change log of blue");
    GW_CRASH_POINT("load.after_prepare");
    gw_autojson json_t *fact = json_pack("{s:s, s:s}", "position", start.text, "barrier", barrier);
    return gw_state_put(journey->state, "log.blue", fact, err);
}

static bool wait_settled(struct load *load, struct gw_error *err)
{
    struct gw_journey *journey = load->journey;
    gw_autojson json_t *fact = NULL;
    const char *barrier;
    int64_t said_us = gw_mono_us();
    if (!gw_state_get(journey->state, "log.blue", &fact, err) || !gw_json_get_string(fact, "barrier", &barrier, err))
        return false;
    for (;;) {
        bool settled = false;
        gw_autobuf struct gw_buf who = {0};
        if (!load->blue->type->changes->settled(load->blue, barrier, &settled, &who, err))
            return false;
        if (settled)
            return true;
        if (gw_mono_us() - said_us > SETTLE_SAY_US) {
            gw_journey_say(journey, "waiting for transactions on blue that were open when its log was opened: %s",
                           gw_buf_text(&who));
            said_us = gw_mono_us();
        }
        if (gw_cancel_wait(journey->cancel, SETTLE_POLL_MS))
            return gw_cancel_fail(journey->cancel, err);
    }
}

/* ---- schema and rows ---- */

static bool create_schema(struct load *load, struct gw_error *err)
{
    gw_journey_say(load->journey, "creating the schema on green");
    struct gw_store *green = gw_mapping_target(load->journey, GW_GREEN);
    return green->type->schema->create(load->blue, green, &load->journey->store->filter, load->work_dir, err) &&
           gw_mapping_keep_green(load->journey, err);
}

/* Rows whose changes are lost are of no use. */
static void stop_in_vain(struct load *load)
{
    struct gw_cancel *cancel = load->journey->cancel;
    if (load->failed)
        return;
    if (gw_cancel_asked(cancel))
        gw_cancel_ask(&load->stop, atomic_load(&cancel->asked));
    load->failed = gw_streams_failed(load->journey, GW_BLUE, &load->failure);
    if (load->failed)
        gw_cancel_ask(&load->stop, 1);
}

static void on_copy_progress(const struct gw_copy_progress *progress, void *arg)
{
    struct load *load = arg;
    struct gw_journey *journey = load->journey;
    stop_in_vain(load);
    char bytes[16], rate[16];
    gw_format_bytes((int64_t)progress->bytes, bytes);
    gw_format_bytes((int64_t)progress->bytes_per_second, rate);
    double done = progress->estimated_rows > 0 ? (double)progress->rows / (double)progress->estimated_rows : -1;
    if (done > 1)
        done = 1;
    char left[24] = "";
    if (done > 0 && progress->rows_per_second > 0 && done < 1) {
        char text[16];
        double rows_left = (double)progress->estimated_rows * (1 - done);
        gw_format_duration((int64_t)(rows_left / (double)progress->rows_per_second * 1e6), text);
        snprintf(left, sizeof left, ", %s left", text);
    }
    gw_journey_progress(journey, done, "copy  %llu rows, %s, %s/s, %u/%u tables%s", (unsigned long long)progress->rows,
                        bytes, rate, progress->collections_loaded, progress->collections, left);
}

static bool copy_rows(struct load *load, struct gw_error *err)
{
    struct gw_journey *journey = load->journey;
    const struct gw_migration_copy *settings = &journey->store->copy;
    struct gw_copy_options options = {.source = load->blue,
                                      .target = gw_mapping_target(journey, GW_GREEN),
                                      .state = journey->state,
                                      .schema = &journey->schema,
                                      .work_dir = load->work_dir,
                                      .jobs = settings->jobs,
                                      .index_jobs = settings->index_jobs,
                                      .chunk_rows = settings->chunk_rows,
                                      .chunk_bytes = settings->chunk_bytes,
                                      .cancel = &load->stop,
                                      .progress = on_copy_progress,
                                      .progress_arg = load};
    if (!gw_cancel_init(&load->stop, err))
        return false;
    bool ok = gw_copy_rows(&options, load->report, err);
    gw_cancel_release(&load->stop);
    if (!ok && load->failed)
        *err = load->failure;
    gw_log_status_line(NULL);
    ok = ok && gw_mapping_keep_green(journey, err); /* it has keys now */
    char bytes[16], took[16];
    gw_format_bytes((int64_t)load->report->bytes, bytes);
    gw_format_duration(load->report->elapsed_us, took);
    gw_journey_say(journey, "copied %llu rows, %s in %llu chunks, %s; skipped %llu chunks (%llu rows) that were there",
                   (unsigned long long)load->report->rows, bytes, (unsigned long long)load->report->chunks_done, took,
                   (unsigned long long)load->report->chunks_skipped, (unsigned long long)load->report->rows_skipped);
    return ok;
}

/* ---- from the last chunk to a green that is complete ---- */

static bool apply_past_marks(struct load *load, struct gw_error *err)
{
    struct gw_follow *follow = load->journey->follows[GW_BLUE];
    bool reached = false;
    if (!gw_follow_allow_apply(follow, load->journey->state, err))
        return false;
    while (!reached) {
        struct gw_follow_status status;
        if (!gw_follow_wait_past_marks(follow, 500, &reached, err))
            return false;
        gw_follow_status(follow, &status);
        gw_journey_progress(load->journey, -1, "apply  %lld rows behind", (long long)status.lag_rows);
    }
    gw_log_status_line(NULL);
    return true;
}

static bool make_indexes(struct load *load, struct gw_error *err)
{
    gw_journey_say(load->journey, "creating indexes on green");
    struct gw_store *green = gw_mapping_target(load->journey, GW_GREEN);
    return green->type->schema->create_indexes(green, load->work_dir, load->journey->store->copy.index_jobs, err);
}

static bool finish_schema(struct load *load, struct gw_error *err)
{
    gw_journey_say(load->journey, "creating foreign keys and triggers on green, refreshing views");
    struct gw_store *green = gw_mapping_target(load->journey, GW_GREEN);
    if (!green->type->schema->finish(green, load->work_dir, err))
        return false;
    size_t count = 0;
    return green->type->schema->sync_sequences(load->blue, green, &count, err);
}

static bool analyze(struct load *load, struct gw_error *err)
{
    return load->green->type->schema->analyze(load->green, gw_journey_schema(load->journey, GW_GREEN),
                                              load->journey->store->copy.index_jobs, err);
}

/* Everything slow that a switch needs is made now, long before its pause. */
static bool prepare_way_back(struct load *load, struct gw_error *err)
{
    struct gw_journey *journey = load->journey;
    struct gw_position start, at;
    char barrier[240];
    const struct gw_schema *greens = gw_journey_schema(journey, GW_GREEN);
    gw_journey_say(journey, "preparing the way back: fences, and green's change log");
    if (!load->blue->type->fence->install(load->blue, &journey->schema, err) ||
        !load->green->type->fence->install(load->green, greens, err) ||
        !load->green->type->fence->raise(load->green, greens, FENCE_LOCK_MS, &at, err))
        return gw_error_prefix(err, "preparing the fences");
    GW_CRASH_POINT("load.before_green_log");
    if (!load->green->type->changes->prepare(load->green, greens, &start, barrier, err))
        return gw_error_prefix(err, "opening the change log of green");
    return true;
}

static bool keep_fingerprint(struct load *load, struct gw_error *err)
{
    return gw_definitions_keep(load->journey, GW_BLUE, err);
}

/* The definitions must be those that were planned when the load ends: what changed in between did not come along. */
static bool same_fingerprint(struct load *load, struct gw_error *err)
{
    bool changed;
    if (!gw_definitions_compare(load->journey, GW_BLUE, &changed, err))
        return false;
    if (!changed)
        return true;
    (void)!gw_fail(err, GW_ERR_CONFLICT, "the definitions on blue changed while its rows were being copied (DDL)");
    return gw_error_hint(err, "no change log carries DDL: godwit abort, and begin again once the schema rests");
}

static bool note_loaded(struct load *load, struct gw_error *err)
{
    return note_plan(load, true, err);
}

struct load_step {
    const char *name;
    bool (*act)(struct load *, struct gw_error *);
};

static bool do_once(struct load *load, int64_t run, const struct load_step *step, struct gw_error *err)
{
    struct gw_journey *journey = load->journey;
    bool done;
    char name[64];
    snprintf(name, sizeof name, "load.%s", step->name);
    if (gw_cancel_asked(journey->cancel))
        return gw_cancel_fail(journey->cancel, err);
    if (!gw_journey_is_done(journey, step->name, &done, err))
        return false;
    if (done)
        return true;
    if (!gw_state_begin_step(journey->state, run, name, NULL, err))
        return false;
    GW_CRASH_POINT("load.before_step");
    if (!step->act(load, err)) {
        struct gw_error ignored;
        if (!gw_state_end_step(journey->state, run, name, GW_STEP_FAILED, err->message, &ignored))
            gw_debug("the journal could not be written: %s", ignored.message);
        return false;
    }
    GW_CRASH_POINT("load.after_step");
    return gw_state_end_step(journey->state, run, name, GW_STEP_DONE, NULL, err) &&
           gw_journey_set_done(journey, step->name, err);
}

static bool do_all(struct load *load, int64_t run, const struct load_step *steps, size_t count, struct gw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (!do_once(load, run, &steps[i], err))
            return false;
    }
    return true;
}

static bool load_everything(struct load *load, int64_t run, struct gw_error *err)
{
    static const struct load_step before_stream[] = {
        {"sides-free", sides_are_free}, {"schema-kept", keep_schema},      {"target-empty", target_must_be_empty},
        {"home", install_home},         {"fingerprint", keep_fingerprint}, {"log", open_log}};
    static const struct load_step before_apply[] = {
        {"settled", wait_settled}, {"schema", create_schema}, {"rows", copy_rows}};
    static const struct load_step complete[] = {
        {"indexes", make_indexes},      {"constraints", finish_schema}, {"same-definitions", same_fingerprint},
        {"way-back", prepare_way_back}, {"noted", note_loaded},         {"analyze", analyze}};
    struct gw_journey *journey = load->journey;
    /* A load that goes on knows its tables from the journal: a step must never see none of them. */
    if (!gw_journey_read_schema(journey, err) || (journey->schema.count > 0 && !gw_mapping_open(journey, err)) ||
        !do_all(load, run, before_stream, sizeof before_stream / sizeof *before_stream, err) ||
        !gw_journey_read_schema(journey, err) || !gw_mapping_open(journey, err) ||
        !gw_journey_enter(journey, GW_STAGE_COPY, err) || !gw_streams_start_one(journey, GW_BLUE, true, err) ||
        !do_all(load, run, before_apply, sizeof before_apply / sizeof *before_apply, err) ||
        !apply_past_marks(load, err) || !gw_follow_pause_apply(journey->follows[GW_BLUE], err))
        return false;
    bool ok = do_all(load, run, complete, sizeof complete / sizeof *complete, err);
    gw_follow_resume_apply(journey->follows[GW_BLUE]);
    return ok && gw_streams_start(journey, err) && !gw_streams_failed(journey, GW_BLUE, err) &&
           gw_journey_enter(journey, GW_STAGE_FOLLOW, err);
}

/* An interrupted load leaves its run open; the same run goes on. */
static bool open_run(struct gw_journey *journey, int64_t *run, struct gw_error *err)
{
    struct gw_step *steps = NULL;
    size_t count = 0;
    if (!gw_state_open_run(journey->state, "load", run, &steps, &count, err))
        return false;
    gw_steps_free(steps, count);
    return *run != 0 || gw_state_begin_run(journey->state, "load", run, err);
}

bool gw_load_run(struct gw_journey *journey, struct gw_copy_report *report, struct gw_error *err)
{
    enum gw_stage stage;
    int64_t run;
    memset(report, 0, sizeof *report);
    if (!gw_journey_stage(journey, &stage, err))
        return false;
    if (stage != GW_STAGE_NEW && stage != GW_STAGE_COPY && stage != GW_STAGE_ABORTED)
        return gw_streams_start(journey, err);
    if (!open_run(journey, &run, err))
        return false;
    struct load load = {.journey = journey, .blue = journey->sides[GW_BLUE], .green = journey->sides[GW_GREEN]};
    load.report = report;
    load.work_dir = gw_asprintf("%s/work", journey->folder);
    bool ok = gw_mkdir_private(load.work_dir, err) && load_everything(&load, run, err) &&
              gw_state_end_run(journey->state, run, "loaded", err);
    free(load.work_dir);
    return ok;
}
