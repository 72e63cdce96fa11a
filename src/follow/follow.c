#include "follow/follow.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "follow/internal.h"

#include <inttypes.h>
#include <time.h>

#define FOLLOW_PATIENCE_US 1000000 /* for threads that are told to stop, before what they wait for is cancelled */

/* ---- shared small things ---- */

bool follow_stopped(struct gw_follow *f)
{
    if (gw_cancel_asked(f->options.cancel))
        return true;
    pthread_mutex_lock(&f->lock);
    bool stop = f->stop;
    pthread_mutex_unlock(&f->lock);
    return stop;
}

bool follow_receiving_over(struct gw_follow *f)
{
    pthread_mutex_lock(&f->lock);
    bool over = f->given_up;
    pthread_mutex_unlock(&f->lock);
    return over || follow_stopped(f);
}

void follow_thread_ends(struct gw_follow *f)
{
    pthread_mutex_lock(&f->lock);
    f->running--;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

void follow_wait(struct gw_follow *f, int ms)
{
    gw_cond_wait_ms(&f->changed, &f->lock, ms);
}

bool follow_pause_ms(struct gw_follow *f, int ms)
{
    int64_t until_us = gw_mono_us() + (int64_t)ms * 1000;
    pthread_mutex_lock(&f->lock);
    while (!f->stop && !gw_cancel_asked(f->options.cancel) && gw_left_ms(until_us) > 0)
        follow_wait(f, gw_left_ms(until_us) < 100 ? gw_left_ms(until_us) : 100);
    bool stop = f->stop || gw_cancel_asked(f->options.cancel);
    pthread_mutex_unlock(&f->lock);
    return stop;
}

/* A resident follower outlives restarts, cut networks and full disks: it keeps trying, and the status says so. */
bool follow_passing(enum gw_error_kind kind)
{
    return kind == GW_ERR_RETRY || kind == GW_ERR_REFUSED || kind == GW_ERR_RESOURCE;
}

bool follow_is_about_data(enum gw_error_kind kind)
{
    return kind == GW_ERR_CONFLICT || kind == GW_ERR_UNSUPPORTED || kind == GW_ERR_USER;
}

int follow_backoff_ms(const struct gw_follow *f, unsigned tries)
{
    int64_t ms = INT64_C(10) << (tries < 12 ? tries : 12);
    return ms < f->options.retry_max_ms ? (int)ms : f->options.retry_max_ms;
}

void follow_note_error(struct gw_follow *f, const struct gw_error *err)
{
    pthread_mutex_lock(&f->lock);
    f->status.error = *err;
    if (err->kind != GW_ERR_NONE)
        f->status.error_wall_us = gw_wall_us();
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

void follow_block(struct gw_follow *f, enum gw_follow_block block, const char *why)
{
    pthread_mutex_lock(&f->lock);
    bool worse = f->status.block == GW_FOLLOW_FAILED || f->status.block == GW_FOLLOW_SCHEMA;
    if (!worse || block == GW_FOLLOW_FAILED) {
        f->status.block = block;
        snprintf(f->status.blocked, sizeof f->status.blocked, "%s", why ? why : "");
    }
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* The journal knows whether changes were ever applied in this direction. */
static void following_fact(const struct gw_follow *f, char out[64])
{
    snprintf(out, 64, "follow.%s.following", f->stream);
}

static bool following_get(struct gw_follow *f, struct gw_error *err)
{
    char name[64];
    json_t *fact = NULL;
    following_fact(f, name);
    if (!gw_state_get(f->options.state, name, &fact, err))
        return false;
    f->following = json_is_true(fact);
    json_decref(fact);
    return true;
}

static bool following_put(struct gw_follow *f, struct gw_error *err)
{
    char name[64];
    following_fact(f, name);
    return gw_state_put(f->options.state, name, json_true(), err);
}

/* ---- start and stop ---- */

static void options_copy(struct gw_follow *f, const struct gw_follow_options *options)
{
    f->options = *options;
    struct gw_follow_options *o = &f->options;
    if (options->stream)
        snprintf(f->stream, sizeof f->stream, "%s", options->stream);
    else
        snprintf(f->stream, sizeof f->stream, "%s>%s", gw_side_name(o->source->side), gw_side_name(o->target->side));
    o->stream = f->stream;
    o->spool_dir = gw_strdup(options->spool_dir);
    o->batch_rows = o->batch_rows > 0 ? o->batch_rows : 60000;
    o->batch_bytes = o->batch_bytes > 0 ? o->batch_bytes : INT64_C(16) << 20;
    o->durable_ms = o->durable_ms > 0 ? o->durable_ms : 2000;
    o->retry_max_ms = o->retry_max_ms > 0 ? o->retry_max_ms : 5000;
    f->source_owns = o->source_owns;
}

static void follow_free(struct gw_follow *f)
{
    gw_spool_close(f->spool);
    gw_cancel_release(&f->halt);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
    free((char *)f->options.spool_dir);
    free(f);
}

static bool start_threads(struct gw_follow *f, struct gw_error *err)
{
    f->running = 1;
    int failed = pthread_create(&f->receiver, NULL, follow_receive, f);
    f->receiver_started = failed == 0;
    if (!failed) {
        pthread_mutex_lock(&f->lock);
        f->running++;
        pthread_mutex_unlock(&f->lock);
        failed = pthread_create(&f->applier, NULL, follow_apply, f);
        f->applier_started = failed == 0;
    }
    if (failed)
        follow_thread_ends(f);
    return failed == 0 || gw_fail_errno(err, failed, "cannot start a thread");
}

bool gw_follow_start(const struct gw_follow_options *options, struct gw_follow **out, struct gw_error *err)
{
    if (!options->source->type->changes || !options->target->type->writer)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "%s cannot be followed by %s", options->source->type->name,
                       options->target->type->name);
    struct gw_follow *f = gw_zalloc(sizeof *f);
    options_copy(f, options);
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->changed, &attr);
    pthread_condattr_destroy(&attr);
    struct gw_spool_options spool = {.dir = f->options.spool_dir,
                                     .stream = f->stream,
                                     .segment_bytes = options->spool_segment_bytes,
                                     .limit_bytes = options->spool_limit_bytes};
    f->halt.fd = -1;
    if (!gw_cancel_init(&f->halt, err) || !following_get(f, err) || !gw_spool_open(&spool, &f->spool, err)) {
        follow_free(f);
        return false;
    }
    f->status.received = gw_spool_end(f->spool);
    f->spool_acknowledged = f->status.received.order; /* by an earlier process */
    f->backlog_rows = gw_spool_bytes(f->spool) / 100;
    if (!start_threads(f, err)) {
        gw_follow_stop(f);
        return false;
    }
    *out = f;
    return true;
}

void gw_follow_stop(struct gw_follow *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->changed);
    int64_t patience_us = gw_mono_us() + FOLLOW_PATIENCE_US;
    while (f->running > 0 && gw_left_ms(patience_us) > 0)
        follow_wait(f, gw_left_ms(patience_us));
    bool stuck = f->running > 0;
    pthread_mutex_unlock(&f->lock);
    if (stuck)
        gw_cancel_ask(&f->halt, 1);
    if (f->receiver_started)
        pthread_join(f->receiver, NULL);
    if (f->applier_started)
        pthread_join(f->applier, NULL);
    follow_free(f);
}

void gw_follow_give_up(struct gw_follow *f, const struct gw_error *why)
{
    pthread_mutex_lock(&f->lock);
    f->given_up = true;
    pthread_mutex_unlock(&f->lock);
    follow_note_error(f, why);
    follow_block(f, GW_FOLLOW_FAILED, why->message);
}

/* ---- permission to apply ---- */

static void fact_name(const struct gw_follow *f, char out[64])
{
    snprintf(out, 64, "follow.%s.horizon", f->stream);
}

/* The horizon an earlier process took is good when no chunk was loaded after it. */
static bool horizon_kept(struct gw_follow *f, uint64_t high, uint64_t count, bool *good, struct gw_error *err)
{
    char name[64], extent[64];
    json_t *fact = NULL;
    fact_name(f, name);
    *good = false;
    if (!gw_state_get(f->options.state, name, &fact, err))
        return false;
    snprintf(extent, sizeof extent, "%" PRIu64 "/%" PRIu64, high, count);
    const char *kept_extent = json_string_value(json_object_get(fact, "chunks"));
    const char *order = json_string_value(json_object_get(fact, "order"));
    if (order && kept_extent && strcmp(kept_extent, extent) == 0) {
        *good = true;
        f->horizon_order = strtoull(order, NULL, 10);
    }
    json_decref(fact);
    return true;
}

static bool horizon_take(struct gw_follow *f, uint64_t high, uint64_t count, struct gw_error *err)
{
    struct gw_store *source = f->options.source;
    struct gw_position horizon;
    if (!source->type->changes->horizon(source, &horizon, err))
        return false;
    char name[64], order[24], extent[64];
    fact_name(f, name);
    snprintf(order, sizeof order, "%" PRIu64, horizon.order);
    snprintf(extent, sizeof extent, "%" PRIu64 "/%" PRIu64, high, count);
    json_t *fact = json_pack("{s:s,s:s,s:s}", "order", order, "text", horizon.text, "chunks", extent);
    bool ok = gw_state_put(f->options.state, name, fact, err);
    json_decref(fact);
    f->horizon_order = horizon.order;
    return ok;
}

static bool marker_write(struct gw_follow *f, const char *what, char token[128], struct gw_error *err)
{
    struct gw_store *source = f->options.source;
    snprintf(token, 128, "marker:%s:%016" PRIx64, what, gw_random64());
    return source->type->changes->signal(source, token, err);
}

static bool allow_by_marks(struct gw_follow *f, struct gw_state *chunks, struct gw_error *err)
{
    struct gw_position at;
    uint64_t high = 0, count = 0;
    bool good = false;
    char token[128];
    struct follow_join probe;
    if (!f->options.target->type->writer->position(f->options.target, f->stream, &at, err) ||
        !follow_join_extent(chunks, f->options.schema, &high, &count, err) || !horizon_kept(f, high, count, &good, err))
        return false;
    if (good && at.order > f->horizon_order)
        return true; /* an earlier process came past all marks */
    follow_join_init(&probe, f->options.source, f->options.target, f->options.schema, f->options.state, f->stream);
    bool ready = follow_join_load(&probe, chunks, 0, err);
    follow_join_release(&probe);
    if (!ready || (!good && !horizon_take(f, high, count, err)) || !marker_write(f, "horizon", token, err))
        return false;
    f->chunks = chunks;
    f->has_horizon = true;
    return true;
}

bool gw_follow_allow_apply(struct gw_follow *f, struct gw_state *chunks, struct gw_error *err)
{
    pthread_mutex_lock(&f->lock);
    bool allowed = f->allowed;
    pthread_mutex_unlock(&f->lock);
    if (allowed)
        return true;
    if ((chunks && !allow_by_marks(f, chunks, err)) || !following_put(f, err))
        return gw_error_prefix(err, "starting to apply (%s)", f->stream);
    pthread_mutex_lock(&f->lock);
    f->allowed = f->following = true;
    f->status.apply_allowed = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return true;
}

/* ---- waits ---- */

/* Why a wait can never end well; with the lock held. */
static bool wait_hopeless(struct gw_follow *f, struct gw_error *err)
{
    if (f->stop || gw_cancel_asked(f->options.cancel)) {
        gw_fail(err, GW_ERR_CANCELLED, "the follower (%s) is stopping", f->stream);
        return true;
    }
    /* The error itself says what to do; by now it may have been followed by another one. */
    if (f->status.block == GW_FOLLOW_FAILED && strcmp(f->status.error.message, f->status.blocked) == 0) {
        *err = f->status.error;
        gw_error_prefix(err, "the follower (%s) stands still", f->stream);
        return true;
    }
    if (f->status.block == GW_FOLLOW_SCHEMA || f->status.block == GW_FOLLOW_FAILED) {
        gw_fail(err, GW_ERR_CONFLICT, "the follower (%s) stands still: %s", f->stream, f->status.blocked);
        return true;
    }
    return false;
}

typedef bool follow_condition(const struct gw_follow *f, const void *arg);

static bool wait_for(struct gw_follow *f, follow_condition *condition, const void *arg, int timeout_ms, bool *reached,
                     struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000;
    bool hopeless = false;
    pthread_mutex_lock(&f->lock);
    f->waiters++;
    while (!(*reached = condition(f, arg)) && (timeout_ms < 0 || gw_left_ms(deadline_us) > 0)) {
        hopeless = wait_hopeless(f, err);
        if (hopeless)
            break;
        int left_ms = timeout_ms < 0 ? 200 : gw_left_ms(deadline_us);
        follow_wait(f, left_ms < 200 ? left_ms : 200);
    }
    f->waiters--;
    pthread_mutex_unlock(&f->lock);
    return *reached || !hopeless;
}

static bool position_durable(const struct gw_follow *f, const void *arg)
{
    const struct gw_position *position = arg;
    return f->status.applied_durable.order >= position->order;
}

bool gw_follow_wait_applied(struct gw_follow *f, const struct gw_position *position, int timeout_ms, bool *reached,
                            struct gw_error *err)
{
    return wait_for(f, position_durable, position, timeout_ms, reached, err);
}

static bool token_seen(const struct gw_follow *f, const void *arg)
{
    for (unsigned i = 0; i < FOLLOW_TOKENS && i < f->token_count; i++)
        if (strcmp(f->tokens[i], arg) == 0)
            return true;
    return false;
}

bool gw_follow_wait_signal(struct gw_follow *f, const char *token, int timeout_ms, bool *reached, struct gw_error *err)
{
    return wait_for(f, token_seen, token, timeout_ms, reached, err);
}

static bool marks_passed(const struct gw_follow *f, const void *arg)
{
    (void)arg;
    return f->status.apply_allowed && f->status.past_marks;
}

bool gw_follow_wait_past_marks(struct gw_follow *f, int timeout_ms, bool *reached, struct gw_error *err)
{
    return wait_for(f, marks_passed, NULL, timeout_ms, reached, err);
}

bool gw_follow_wait_caught_up(struct gw_follow *f, int timeout_ms, bool *reached, struct gw_error *err)
{
    char token[128];
    return marker_write(f, "caught-up", token, err) && gw_follow_wait_signal(f, token, timeout_ms, reached, err);
}

static bool is_paused(const struct gw_follow *f, const void *arg)
{
    (void)arg;
    return f->status.paused || !f->allowed;
}

bool gw_follow_pause_apply(struct gw_follow *f, struct gw_error *err)
{
    bool paused = false;
    pthread_mutex_lock(&f->lock);
    f->pause_wanted = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return wait_for(f, is_paused, NULL, -1, &paused, err);
}

void gw_follow_resume_apply(struct gw_follow *f)
{
    pthread_mutex_lock(&f->lock);
    f->pause_wanted = false;
    f->status.paused = false;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* ---- ownership ---- */

void gw_follow_set_source_owns(struct gw_follow *f, bool owns)
{
    pthread_mutex_lock(&f->lock);
    f->source_owns = owns;
    pthread_mutex_unlock(&f->lock);
}

void gw_follow_forget_foreign(struct gw_follow *f)
{
    pthread_mutex_lock(&f->lock);
    f->status.foreign_writes = 0;
    f->quarantine_seen_us = 0;
    pthread_mutex_unlock(&f->lock);
}
