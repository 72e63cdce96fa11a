#include "journey/streams.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
#include "journey/enforce.h"
#include "journey/guard.h"
#include "journey/mapping.h"

#include <stdlib.h>
#include <string.h>

static void publish(struct gw_journey *journey, enum gw_side source, struct gw_follow *follow)
{
    pthread_mutex_lock(&journey->lock);
    journey->follows[source] = follow;
    pthread_mutex_unlock(&journey->lock);
}

const char *gw_streams_lost_fact(enum gw_side source)
{
    return source == GW_BLUE ? "lost.blue" : "lost.green";
}

/* What a log no longer holds is known to later commands, too, until a stream is opened that finds its place. */
static bool note_lost(struct gw_journey *journey, enum gw_side source, bool lost, struct gw_error *err)
{
    gw_autojson json_t *noted = NULL;
    if (!gw_state_get(journey->state, gw_streams_lost_fact(source), &noted, err))
        return false;
    return json_is_true(noted) == lost ||
           gw_state_put(journey->state, gw_streams_lost_fact(source), lost ? json_true() : json_false(), err);
}

static void note_if_lost(struct gw_journey *journey, enum gw_side source)
{
    struct gw_follow_status status;
    struct gw_error err;
    if (!journey->follows[source])
        return;
    gw_follow_status(journey->follows[source], &status);
    bool lost = status.block == GW_FOLLOW_FAILED && status.error.kind == GW_ERR_LOST_POSITION;
    if (lost && !note_lost(journey, source, true, &err))
        gw_warn("that the direction %s is lost could not be noted: %s", gw_stream_name(source), err.message);
}

bool gw_streams_start_one(struct gw_journey *journey, enum gw_side source, bool source_owns, struct gw_error *err)
{
    if (journey->follows[source])
        return true;
    const struct gw_migration_follow *settings = &journey->store->follow;
    gw_autofree char *spool = gw_asprintf("%s/spool-%s", journey->folder, gw_side_name(source));
    struct gw_follow_options options = {.source = journey->sides[source],
                                        .target = gw_mapping_target(journey, gw_side_other(source)),
                                        .state = journey->state,
                                        .schema = gw_journey_schema(journey, source),
                                        .stream = gw_stream_name(source),
                                        .spool_dir = spool,
                                        .spool_limit_bytes = settings->spool_limit_bytes,
                                        .source_owns = source_owns,
                                        .batch_rows = settings->batch_rows,
                                        .batch_delay_ms = (int)(settings->batch_delay_us / 1000),
                                        .owner_behind = &journey->owner_behind,
                                        .cancel = journey->cancel};
    struct gw_follow *follow;
    if (!gw_mapping_cascades(journey, source, &options.cascades, &options.cascade_count, err) ||
        !note_lost(journey, source, false, err))
        return false;
    if (!gw_follow_start(&options, &follow, err))
        return gw_error_prefix(err, "following %s", gw_stream_name(source));
    publish(journey, source, follow);
    return journey->guard || gw_guard_start(journey, &journey->guard, err);
}

void gw_streams_release(struct gw_journey *journey, enum gw_side source)
{
    pthread_mutex_lock(&journey->lock);
    if (journey->follows[source])
        gw_follow_resume_apply(journey->follows[source]);
    pthread_mutex_unlock(&journey->lock);
}

/* Nothing is applied on a side that would answer it. When that takes longer the runner goes on with it. */
static bool follow_owner(struct gw_journey *journey, enum gw_side owner, struct gw_error *err)
{
    struct gw_error why;
    if (gw_enforce_follower(journey, owner, &why))
        return true;
    if (why.kind != GW_ERR_RETRY) {
        *err = why;
        return false;
    }
    gw_warn("%s: nothing is applied yet: %s%s%s", gw_stream_name(owner), why.message, why.detail[0] ? "; " : "",
            why.detail);
    return true;
}

bool gw_streams_start(struct gw_journey *journey, struct gw_error *err)
{
    enum gw_side owner;
    bool torn;
    if (!gw_journey_read_schema(journey, err) || !gw_mapping_open(journey, err) ||
        !gw_journey_owner(journey, &owner, &torn, err))
        return false;
    for (int side = 0; side < 2; side++) {
        enum gw_side source = (enum gw_side)side;
        if (journey->follows[source])
            continue;
        /* Only blue's rows were loaded in chunks; the way back began behind the load. */
        if (!gw_streams_start_one(journey, source, source == owner, err) ||
            !gw_follow_pause_apply(journey->follows[source], err) ||
            !gw_follow_allow_apply(journey->follows[source], source == GW_BLUE ? journey->state : NULL, err))
            return false;
    }
    gw_streams_release(journey, gw_side_other(owner));
    return follow_owner(journey, owner, err);
}

static bool both_receive(struct gw_journey *journey)
{
    for (int side = 0; side < 2; side++) {
        struct gw_follow_status status;
        gw_follow_status(journey->follows[side], &status);
        if (!status.receiving && status.block == GW_FOLLOW_FREE)
            return false;
    }
    return true;
}

bool gw_streams_wait_receiving(struct gw_journey *journey, int timeout_ms, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    while (!both_receive(journey) && gw_left_ms(deadline_us) > 0) {
        if (gw_cancel_wait(journey->cancel, 10))
            return gw_cancel_fail(journey->cancel, err);
    }
    return true;
}

void gw_streams_stop_one(struct gw_journey *journey, enum gw_side source)
{
    struct gw_follow *follow = journey->follows[source];
    note_if_lost(journey, source);
    publish(journey, source, NULL);
    gw_follow_stop(follow);
}

void gw_streams_stop(struct gw_journey *journey)
{
    gw_guard_stop(journey->guard);
    journey->guard = NULL;
    gw_streams_stop_one(journey, GW_BLUE);
    gw_streams_stop_one(journey, GW_GREEN);
}

bool gw_streams_healthy(struct gw_journey *journey, bool over, struct gw_error *err)
{
    for (int side = 0; side < 2; side++) {
        if (!journey->follows[side])
            continue;
        struct gw_follow_status status;
        gw_follow_status(journey->follows[side], &status);
        if (status.block == GW_FOLLOW_FREE || status.block == GW_FOLLOW_SPOOL_FULL ||
            (status.block == GW_FOLLOW_LEFT_OUT && !over))
            continue;
        if (status.block == GW_FOLLOW_FAILED && status.error.kind != GW_ERR_NONE) {
            *err = status.error;
            return gw_error_place(err, "%s", gw_stream_name((enum gw_side)side));
        }
        (void)!gw_fail(err, GW_ERR_CONFLICT, "%s: %s", gw_stream_name((enum gw_side)side), status.blocked);
        return false;
    }
    return true;
}

bool gw_streams_failed(struct gw_journey *journey, enum gw_side source, struct gw_error *why)
{
    struct gw_follow_status status = {0};
    pthread_mutex_lock(&journey->lock);
    if (journey->follows[source])
        gw_follow_status(journey->follows[source], &status);
    pthread_mutex_unlock(&journey->lock);
    if (status.block != GW_FOLLOW_FAILED)
        return false;
    *why = status.error;
    if (why->kind == GW_ERR_NONE || strcmp(why->message, status.blocked) != 0)
        (void)!gw_fail(why, GW_ERR_LOST_POSITION, "%s", status.blocked);
    return true;
}

/* False when there is none, or none any more. */
static bool give_up(struct gw_journey *journey, enum gw_side side, const struct gw_error *why)
{
    pthread_mutex_lock(&journey->lock);
    bool follows = journey->follows[side] != NULL;
    if (follows)
        gw_follow_give_up(journey->follows[side], why);
    pthread_mutex_unlock(&journey->lock);
    return follows;
}

static bool guard_one(struct gw_journey *journey, enum gw_side side, enum gw_stage stage, struct gw_error *err)
{
    int64_t limit = journey->store->follow.wal_limit_bytes;
    struct gw_store *store = journey->sides[side];
    struct gw_retained retained;
    if (!store->type->changes->retained(store, &retained, err))
        return false;
    if (retained.lost || limit <= 0 || retained.bytes <= limit)
        return true;
    char kept[16], allowed[16];
    gw_format_bytes(retained.bytes, kept);
    gw_format_bytes(limit, allowed);
    struct gw_error why = {0};
    gw_fail(
        &why, GW_ERR_LOST_POSITION,
        "disk guard: %s kept %s of its change log for godwit, over the limit of %s (follow.wal_limit); our place in "
        "it was given up so that %s does not fill its disk. The direction %s is lost: %s",
        gw_side_name(side), kept, allowed, gw_side_name(side), gw_stream_name(side),
        stage == GW_STAGE_RETAIN ? "there is no way back any more, only godwit finish"
                                 : "godwit abort, and begin again with room");
    if (!give_up(journey, side, &why))
        return true;
    if (!store->type->changes->drop(store, err))
        return false;
    gw_journey_say(journey, "%s", why.message);
    return note_lost(journey, side, true, err);
}

static bool followed(struct gw_journey *journey, enum gw_side side)
{
    pthread_mutex_lock(&journey->lock);
    bool yes = journey->follows[side] != NULL;
    pthread_mutex_unlock(&journey->lock);
    return yes;
}

bool gw_streams_guard(struct gw_journey *journey, struct gw_error *err)
{
    enum gw_stage stage;
    if (!gw_journey_stage(journey, &stage, err))
        return false;
    if (stage != GW_STAGE_COPY && stage != GW_STAGE_FOLLOW && stage != GW_STAGE_RETAIN)
        return true;
    for (int side = 0; side < 2; side++) {
        if (followed(journey, (enum gw_side)side) && !guard_one(journey, (enum gw_side)side, stage, err))
            return false;
    }
    return true;
}

static void add_rate(struct gw_buf *out, double rate)
{
    char digits[32];
    int len = snprintf(digits, sizeof digits, "%.0f", rate);
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            gw_buf_addc(out, ',');
        gw_buf_addc(out, digits[i]);
    }
}

/* Samples end in mid-batch: an applier that takes all it gets seems a little slower at times. */
#define KEEPS_PACE 0.95

void gw_streams_convergence(const struct gw_follow_status *status, enum gw_side source, struct gw_buf *out)
{
    const char *target = gw_side_name(gw_side_other(source));
    if (!status->applying || status->caught_up || status->lag_rows < 1000 || status->seconds_left >= 0)
        return;
    if (status->source_rows_per_second <= 0 && status->apply_rows_per_second <= 0)
        return; /* it has only begun: nothing is known of either */
    if (status->apply_rows_per_second > KEEPS_PACE * status->source_rows_per_second)
        return;
    gw_buf_adds(out, "source ");
    add_rate(out, status->source_rows_per_second);
    gw_buf_adds(out, " rows/s, apply ");
    add_rate(out, status->apply_rows_per_second);
    gw_buf_addf(
        out,
        ": never. Give %s more CPU and faster disk, drop indexes on %s that can be made after the move, or raise "
        "follow.batch_rows",
        target, target);
}
