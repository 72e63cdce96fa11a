/* The stage's entry points: starts the threads, reports, and joins them. */
#include "copy/copy.h"

#include "base/clock.h"
#include "base/mem.h"
#include "copy/run.h"

#define COPY_SAMPLES 16 /* of a quarter of a second each: rates are of the last 4 s */

struct copy_thread {
    struct copy_run *run;
    pthread_t id;
    int number;
    enum { COPY_SPLITS, COPY_WORKS, COPY_BUILDS } what;
    bool started;
};

static void *thread_main(void *arg)
{
    struct copy_thread *thread = arg;
    struct copy_run *run = thread->run;
    struct gw_error err;
    if (thread->what == COPY_WORKS)
        copy_work(run, thread->number);
    else if (thread->what == COPY_BUILDS)
        copy_build_indexes(run);
    else if (!copy_split(run, (uint64_t)run->options.jobs * 2 + 2, &err))
        copy_run_fail(run, &err);
    pthread_mutex_lock(&run->lock);
    run->threads--;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
    return NULL;
}

struct copy_meter {
    struct {
        int64_t at_us;
        uint64_t rows, bytes;
    } samples[COPY_SAMPLES];
    unsigned count;
};

static void meter_add(struct copy_meter *meter, struct gw_copy_progress *p)
{
    unsigned at = meter->count % COPY_SAMPLES;
    unsigned oldest = meter->count < COPY_SAMPLES ? 0 : (meter->count + 1) % COPY_SAMPLES;
    meter->samples[at].at_us = gw_mono_us();
    meter->samples[at].rows = p->rows;
    meter->samples[at].bytes = p->bytes;
    int64_t us = meter->samples[at].at_us - meter->samples[oldest].at_us;
    if (us > 0) {
        p->rows_per_second = (p->rows - meter->samples[oldest].rows) * 1000000 / (uint64_t)us;
        p->bytes_per_second = (p->bytes - meter->samples[oldest].bytes) * 1000000 / (uint64_t)us;
    }
    meter->count++;
}

/* With the lock held. */
static void progress_fill(struct copy_run *run, struct gw_copy_progress *p)
{
    *p = (struct gw_copy_progress){
        .chunks_known = run->chunks_known,
        .chunks_loaded = run->chunks_loaded,
        .rows = run->rows,
        .bytes = run->bytes,
        .collections = (uint32_t)run->options.schema->count,
        .retries = run->report.retries,
        .elapsed_us = gw_mono_us() - run->began_us,
        .splitting = !run->split_done,
    };
    for (uint32_t id = 0; id < run->options.schema->count; id++) {
        const struct gw_collection *collection = copy_collection_of(run, id);
        p->collections_loaded += run->collections[id].status >= GW_LOAD_LOADED;
        p->collections_keyed += run->collections[id].status >= GW_LOAD_KEYED;
        if (p->estimated_rows >= 0)
            p->estimated_rows = collection->estimated_rows < 0 ? -1 : p->estimated_rows + collection->estimated_rows;
        if (p->estimated_bytes >= 0)
            p->estimated_bytes =
                collection->estimated_bytes < 0 ? -1 : p->estimated_bytes + collection->estimated_bytes;
    }
}

static void report_progress(struct copy_run *run, struct copy_meter *meter)
{
    if (!run->options.progress)
        return;
    struct gw_copy_progress progress;
    pthread_mutex_lock(&run->lock);
    progress_fill(run, &progress);
    pthread_mutex_unlock(&run->lock);
    meter_add(meter, &progress);
    run->options.progress(&progress, run->options.progress_arg);
}

/* Until every thread has ended; the caller's progress is shown from here. */
static void copy_watch(struct copy_run *run)
{
    struct copy_meter meter = {0};
    int64_t shown_us = 0;
    pthread_mutex_lock(&run->lock);
    while (run->threads > 0) {
        copy_run_wait(run, 100);
        pthread_mutex_unlock(&run->lock);
        (void)copy_run_stopped(run); /* passes a cancel on */
        if (gw_mono_us() - shown_us >= 250000) {
            report_progress(run, &meter);
            shown_us = gw_mono_us();
        }
        pthread_mutex_lock(&run->lock);
    }
    pthread_mutex_unlock(&run->lock);
    report_progress(run, &meter);
}

static void copy_run_threads(struct copy_run *run)
{
    size_t count = 1 + (size_t)run->options.jobs + (size_t)run->options.index_jobs;
    struct copy_thread *threads = gw_calloc(count, sizeof *threads);
    for (size_t i = 0; i < count; i++) {
        threads[i].run = run;
        threads[i].number = (int)i;
        threads[i].what = i == 0 ? COPY_SPLITS : i <= (size_t)run->options.jobs ? COPY_WORKS : COPY_BUILDS;
        pthread_mutex_lock(&run->lock);
        run->threads++;
        pthread_mutex_unlock(&run->lock);
        int failed = pthread_create(&threads[i].id, NULL, thread_main, &threads[i]);
        threads[i].started = failed == 0;
        if (failed) {
            struct gw_error err;
            gw_fail_errno(&err, failed, "cannot start a thread");
            pthread_mutex_lock(&run->lock);
            run->threads--;
            pthread_mutex_unlock(&run->lock);
            copy_run_fail(run, &err);
        }
    }
    copy_watch(run);
    for (size_t i = 0; i < count; i++)
        if (threads[i].started)
            pthread_join(threads[i].id, NULL);
    free(threads);
}

bool gw_copy_rows(const struct gw_copy_options *options, struct gw_copy_report *report, struct gw_error *err)
{
    struct copy_run run;
    *report = (struct gw_copy_report){0};
    if (!copy_run_init(&run, options, err))
        return false;
    bool ok = copy_reconcile(&run, err);
    if (ok) {
        copy_run_threads(&run);
        ok = !run.failed;
        if (!ok)
            *err = run.error;
    }
    *report = run.report;
    report->elapsed_us = gw_mono_us() - run.began_us;
    copy_run_release(&run);
    return ok;
}
