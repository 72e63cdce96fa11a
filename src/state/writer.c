/*
 * One thread writes. What is waiting when it looks becomes one transaction, each request in a savepoint of its own:
 * callers that come together share the sync, and one that fails takes none of the others with it.
 */
#include "base/crash.h"
#include "base/log.h"
#include "state/internal.h"

static bool set_synchronous(struct gw_state *state, bool full, struct gw_error *err)
{
    if (state->synchronous_full == (int)full)
        return true;
    if (!gw_sqlite_script(state->writer, full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err))
        return false;
    state->synchronous_full = full;
    return true;
}

/* False: the transaction as a whole is gone. */
static bool run_one(struct gw_state *state, struct gw_state_request *request, struct gw_error *err)
{
    if (!gw_sqlite_script(state->writer, "SAVEPOINT one", err))
        return false;
    request->ok = request->job(state->writer, request->arg, request->err);
    if (gw_sqlite_idle(state->writer)) { /* SQLite gave the transaction up: a full disk does that */
        *err = *request->err;
        return false;
    }
    const char *end = request->ok ? "RELEASE one" : "ROLLBACK TO one; RELEASE one";
    return gw_sqlite_script(state->writer, end, err);
}

static bool run_all(struct gw_state *state, struct gw_state_request *batch, struct gw_error *err)
{
    bool durable = false;
    for (struct gw_state_request *request = batch; request; request = request->next)
        durable = durable || request->durable;
    if (!set_synchronous(state, durable, err) || !gw_sqlite_script(state->writer, "BEGIN IMMEDIATE", err))
        return false;
    bool ok = true;
    for (struct gw_state_request *request = batch; ok && request; request = request->next)
        ok = run_one(state, request, err);
    GW_CRASH_POINT("state.write.before_commit");
    ok = ok && gw_sqlite_script(state->writer, "COMMIT", err);
    GW_CRASH_POINT("state.write.after_commit");
    struct gw_error ignored;
    if (!ok && !gw_sqlite_idle(state->writer) && !gw_sqlite_script(state->writer, "ROLLBACK", &ignored))
        state->synchronous_full = -1;
    return ok;
}

static void run_batch(struct gw_state *state, struct gw_state_request *batch)
{
    struct gw_error err = {0};
    if (run_all(state, batch, &err))
        return;
    for (struct gw_state_request *request = batch; request; request = request->next) {
        if (request->ok || request->err->kind == GW_ERR_NONE)
            *request->err = err;
        request->ok = false;
    }
}

static void end_posted(struct gw_state_request *request)
{
    if (!request->ok)
        gw_warn("the journal could not be written: %s", request->err->message);
    request->release(request);
}

static void *writer_main(void *arg)
{
    struct gw_state *state = arg;
    pthread_mutex_lock(&state->write_lock);
    for (;;) {
        while (!state->first && !state->closing)
            pthread_cond_wait(&state->asked, &state->write_lock);
        struct gw_state_request *batch = state->first;
        if (!batch)
            break;
        state->first = NULL;
        state->last = &state->first;
        pthread_mutex_unlock(&state->write_lock);
        run_batch(state, batch);
        pthread_mutex_lock(&state->write_lock);
        for (struct gw_state_request *request = batch, *next; request; request = next) {
            next = request->next; /* gone as soon as its caller sees `done` */
            if (request->release)
                end_posted(request);
            else
                request->done = true;
        }
        pthread_cond_broadcast(&state->answered);
    }
    pthread_mutex_unlock(&state->write_lock);
    return NULL;
}

/* Under write_lock. */
static bool enqueue(struct gw_state *state, struct gw_state_request *request, struct gw_error *err)
{
    if (!state->thread_runs) {
        int rc = pthread_create(&state->thread, NULL, writer_main, state);
        if (rc != 0)
            return gw_fail_errno(err, rc, "could not start the journal's writer");
        state->thread_runs = true;
    }
    *state->last = request;
    state->last = &request->next;
    pthread_cond_signal(&state->asked);
    return true;
}

bool gw_state_write(struct gw_state *state, bool durable, gw_state_job *job, void *arg, struct gw_error *err)
{
    struct gw_state_request request = {.job = job, .arg = arg, .err = err, .durable = durable};
    gw_error_clear(err);
    pthread_mutex_lock(&state->write_lock);
    bool queued = enqueue(state, &request, err);
    while (queued && !request.done)
        pthread_cond_wait(&state->answered, &state->write_lock);
    pthread_mutex_unlock(&state->write_lock);
    return queued && (request.ok || gw_state_explain(err));
}

bool gw_state_post(struct gw_state *state, struct gw_state_request *request, struct gw_error *err)
{
    pthread_mutex_lock(&state->write_lock);
    bool queued = enqueue(state, request, err);
    pthread_mutex_unlock(&state->write_lock);
    return queued;
}

void gw_state_writer_stop(struct gw_state *state)
{
    pthread_mutex_lock(&state->write_lock);
    state->closing = true;
    bool runs = state->thread_runs;
    pthread_cond_signal(&state->asked);
    pthread_mutex_unlock(&state->write_lock);
    if (runs)
        pthread_join(state->thread, NULL);
}

bool gw_state_read(struct gw_state *state, gw_state_job *job, void *arg, struct gw_error *err)
{
    struct gw_error ignored;
    pthread_mutex_lock(&state->read_lock);
    bool ok = gw_sqlite_script(state->reader, "BEGIN", err) && job(state->reader, arg, err);
    bool ended = gw_sqlite_idle(state->reader) || gw_sqlite_script(state->reader, "COMMIT", ok ? err : &ignored);
    pthread_mutex_unlock(&state->read_lock);
    return (ok && ended) || gw_state_explain(err);
}
