/* Runs and their steps, journaled before and after. */
#include "base/clock.h"
#include "base/mem.h"
#include "state/internal.h"

#include <stdio.h>
#include <stdlib.h>

struct run_job {
    int64_t run;
    const char *name, *detail;
    enum gw_step_status status;
    int64_t wall_us, changed;
    struct gw_step *steps; /* owned */
    size_t count, capacity;
};

static bool begin_run(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct run_job *job = arg;
    if (!gw_sqlite_do(db, NULL, err, "run_begin", "ti", job->name, job->wall_us))
        return false;
    job->run = gw_sqlite_last_id(db);
    return true;
}

bool gw_state_begin_run(struct gw_state *state, const char *what, int64_t *run, struct gw_error *err)
{
    struct run_job job = {.name = what, .wall_us = gw_wall_us()};
    if (!gw_state_write(state, true, begin_run, &job, err))
        return false;
    *run = job.run;
    return true;
}

static bool begin_step(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct run_job *job = arg;
    return gw_sqlite_do(db, NULL, err, "step_begin", "itiit", job->run, job->name, (int64_t)GW_STEP_BEGUN, job->wall_us,
                        job->detail);
}

bool gw_state_begin_step(struct gw_state *state, int64_t run, const char *name, const char *detail,
                         struct gw_error *err)
{
    struct run_job job = {.run = run, .name = name, .detail = detail, .wall_us = gw_wall_us()};
    if (strlen(name) >= sizeof((struct gw_step *)0)->name)
        return gw_fail(err, GW_ERR_BUG, "the step \"%s\" has too long a name", name);
    return gw_state_write(state, true, begin_step, &job, err);
}

static bool end_step(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct run_job *job = arg;
    if (!gw_sqlite_do(db, &job->changed, err, "step_end", "itiit", job->run, job->name, (int64_t)job->status,
                      job->wall_us, job->detail))
        return false;
    if (job->changed != 1)
        return gw_fail(err, GW_ERR_BUG, "the step %s of run %lld ends and never began", job->name, (long long)job->run);
    return true;
}

bool gw_state_end_step(struct gw_state *state, int64_t run, const char *name, enum gw_step_status status,
                       const char *detail, struct gw_error *err)
{
    struct run_job job = {.run = run, .name = name, .detail = detail, .status = status, .wall_us = gw_wall_us()};
    return gw_state_write(state, true, end_step, &job, err);
}

/* ---- steps inside a pause: noted without waiting for the disk ---- */

struct posted_step {
    struct gw_state_request request; /* first */
    struct run_job job;
    struct gw_error err;
    char name[sizeof((struct gw_step *)0)->name];
    char *detail;
};

static void release_posted(struct gw_state_request *request)
{
    struct posted_step *posted = (struct posted_step *)request;
    free(posted->detail);
    free(posted);
}

bool gw_state_note_step(struct gw_state *state, int64_t run, const char *name, enum gw_step_status status,
                        const char *detail, struct gw_error *err)
{
    struct posted_step *posted = gw_zalloc(sizeof *posted);
    posted->request = (struct gw_state_request){.job = status == GW_STEP_BEGUN ? begin_step : end_step,
                                                .arg = &posted->job,
                                                .err = &posted->err,
                                                .release = release_posted};
    snprintf(posted->name, sizeof posted->name, "%s", name);
    posted->detail = detail ? gw_strdup(detail) : NULL;
    posted->job = (struct run_job){
        .run = run, .name = posted->name, .detail = posted->detail, .status = status, .wall_us = gw_wall_us()};
    if (gw_state_post(state, &posted->request, err))
        return true;
    release_posted(&posted->request);
    return false;
}

static bool end_run(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct run_job *job = arg;
    if (!gw_sqlite_do(db, &job->changed, err, "run_end", "iit", job->run, job->wall_us, job->name))
        return false;
    return job->changed == 1 || gw_fail(err, GW_ERR_BUG, "run %lld ends and never began", (long long)job->run);
}

bool gw_state_end_run(struct gw_state *state, int64_t run, const char *outcome, struct gw_error *err)
{
    struct run_job job = {.run = run, .name = outcome, .wall_us = gw_wall_us()};
    return gw_state_write(state, true, end_run, &job, err);
}

static bool load_steps(struct gw_sqlite *db, struct run_job *job, struct gw_error *err)
{
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, "steps_of", "i", job->run))
        return false;
    for (;;) {
        if (!gw_sqlite_step(&query, &row, err))
            return false;
        if (!row)
            return true;
        job->steps = gw_grow(job->steps, &job->capacity, job->count, sizeof *job->steps);
        struct gw_step *step = &job->steps[job->count++];
        const char *name = gw_sqlite_text(&query, 0);
        *step = (struct gw_step){.run = job->run,
                                 .status = (enum gw_step_status)gw_sqlite_int(&query, 1),
                                 .began_wall_us = gw_sqlite_int(&query, 2),
                                 .ended_wall_us = gw_sqlite_int(&query, 3),
                                 .detail = gw_sqlite_dup(&query, 4)};
        snprintf(step->name, sizeof step->name, "%s", name ? name : "");
    }
}

static bool open_run(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct run_job *job = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, "run_open", "t", job->name) || !gw_sqlite_step(&query, &row, err))
        return false;
    if (!row)
        return true;
    job->run = gw_sqlite_int(&query, 0);
    return load_steps(db, job, err);
}

bool gw_state_open_run(struct gw_state *state, const char *what, int64_t *run, struct gw_step **steps, size_t *count,
                       struct gw_error *err)
{
    struct run_job job = {.name = what};
    if (!gw_state_read(state, open_run, &job, err)) {
        gw_steps_free(job.steps, job.count);
        return false;
    }
    *run = job.run;
    *steps = job.steps;
    *count = job.count;
    return true;
}

void gw_steps_free(struct gw_step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(steps[i].detail);
    free(steps);
}
