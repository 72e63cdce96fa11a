#include "copy/run.h"

#include "base/clock.h"
#include "base/mem.h"

#include <time.h>
#include <unistd.h>

bool copy_run_init(struct copy_run *run, const struct gw_copy_options *options, struct gw_error *err)
{
    *run = (struct copy_run){.options = *options, .began_us = gw_mono_us()};
    struct gw_copy_options *o = &run->options;
    o->jobs = o->jobs > 0 ? o->jobs : 2;
    o->index_jobs = o->index_jobs > 0 ? o->index_jobs : 1;
    o->chunk_rows = o->chunk_rows > 0 ? o->chunk_rows : 50000;
    o->chunk_bytes = o->chunk_bytes > 0 ? o->chunk_bytes : INT64_C(32) << 20;
    o->chunk_us = o->chunk_us > 0 ? o->chunk_us : 5000000;
    o->retry_ms = o->retry_ms > 0 ? o->retry_ms : 120000;
    if (!o->source->type->reader || !o->target->type->writer)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "rows cannot be copied from %s to %s", o->source->type->name,
                       o->target->type->name);
    snprintf(run->stream, sizeof run->stream, "%s>%s", gw_side_name(o->source->side), gw_side_name(o->target->side));
    snprintf(run->worker_prefix, sizeof run->worker_prefix, "copy-%d", (int)getpid());
    run->collections = gw_calloc(o->schema->count + 1, sizeof *run->collections);
    pthread_mutex_init(&run->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&run->changed, &attr);
    pthread_condattr_destroy(&attr);
    return true;
}

void copy_run_release(struct copy_run *run)
{
    free(run->collections);
    pthread_mutex_destroy(&run->lock);
    pthread_cond_destroy(&run->changed);
}

void copy_run_fail(struct copy_run *run, const struct gw_error *err)
{
    pthread_mutex_lock(&run->lock);
    if (!run->failed) {
        run->failed = run->stop = true;
        run->error = *err;
    }
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

bool copy_run_stopped(struct copy_run *run)
{
    if (gw_cancel_asked(run->options.cancel)) {
        struct gw_error err;
        gw_cancel_fail(run->options.cancel, &err);
        copy_run_fail(run, &err);
    }
    pthread_mutex_lock(&run->lock);
    bool stop = run->stop;
    pthread_mutex_unlock(&run->lock);
    return stop;
}

void copy_run_wait(struct copy_run *run, int ms)
{
    gw_cond_wait_ms(&run->changed, &run->lock, ms);
}

/* A server that restarts answers "refused" for a while: that passes, too, once it had answered otherwise. */
static bool copy_may_pass(struct copy_run *run, enum gw_error_kind kind)
{
    pthread_mutex_lock(&run->lock);
    bool connected = run->connected;
    pthread_mutex_unlock(&run->lock);
    return kind == GW_ERR_RETRY || (kind == GW_ERR_REFUSED && connected);
}

bool copy_again(struct copy_run *run, struct copy_patience *patience, const struct gw_error *err)
{
    if (!copy_may_pass(run, err->kind))
        return false;
    int64_t now_us = gw_mono_us();
    if (patience->failing_since_us == 0)
        patience->failing_since_us = now_us;
    if (now_us - patience->failing_since_us > (int64_t)run->options.retry_ms * 1000)
        return false;
    int pause_ms = 20 << (patience->tries < 7 ? patience->tries : 7); /* 20 ms to 2.5 s */
    patience->tries++;
    pthread_mutex_lock(&run->lock);
    run->report.retries++;
    int64_t until_us = now_us + (int64_t)pause_ms * 1000;
    while (!run->stop && gw_left_ms(until_us) > 0)
        copy_run_wait(run, gw_left_ms(until_us));
    pthread_mutex_unlock(&run->lock);
    return !copy_run_stopped(run);
}
