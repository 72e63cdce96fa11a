/*
 * What the threads of one gw_copy_rows share; private to copy/. `lock` guards all that is not constant; `changed` is
 * signalled whenever a chunk is added, leased or loaded, a collection moves on, or the run ends.
 */
#ifndef GW_COPY_RUN_H
#define GW_COPY_RUN_H

#include "copy/copy.h"

#include <pthread.h>

#define COPY_LEASE_MS 60000

struct copy_collection {
    enum gw_load_status status;
    uint64_t chunks, loaded;
    int64_t waiting; /* chunks neither leased nor loaded; below 0 when one was leased before it was counted */
    double bytes_per_row, us_per_row; /* as measured, 0 unknown */
    bool finishing;                   /* a thread journals that it is loaded */
    bool key_taken;                   /* a builder is at it */
    size_t indexes_taken;             /* builders are at these, or have them */
    bool indexes_end;                 /* there are no more */
};

struct copy_run {
    struct gw_copy_options options; /* with defaults filled in; constant */
    char stream[32];
    char worker_prefix[32];
    int64_t began_us;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct copy_collection *collections;
    bool stop; /* by failure or cancel: every thread ends at its next step */
    bool failed;
    struct gw_error error; /* the first */
    bool split_done;
    bool connected;   /* a session could be opened: from now on "unreachable" may pass */
    unsigned threads; /* still running */
    int64_t waiting;  /* of all collections */
    uint64_t chunks_known, chunks_loaded, rows, bytes; /* all runs */
    struct gw_copy_report report;
};

GW_MUST_CHECK bool copy_run_init(struct copy_run *run, const struct gw_copy_options *options, struct gw_error *err);
void copy_run_release(struct copy_run *run);

/* Ends the run with this error, unless it has ended before. */
void copy_run_fail(struct copy_run *run, const struct gw_error *err);
bool copy_run_stopped(struct copy_run *run);
void copy_run_wait(struct copy_run *run, int ms); /* for `changed`; with the lock held */
static inline const struct gw_collection *copy_collection_of(const struct copy_run *run, uint32_t id)
{
    return &run->options.schema->collections[id];
}

/* Tries and tries again. `failing_since_us` 0 at the start and after every success; true: try again, after a pause
 * that this made; false: *err is final. */
struct copy_patience {
    int64_t failing_since_us;
    int tries;
};
bool copy_again(struct copy_run *run, struct copy_patience *patience, const struct gw_error *err);

GW_MUST_CHECK bool copy_reconcile(struct copy_run *run, struct gw_error *err); /* reconcile.c */
/* split.c: all collections, at most `ahead` chunks before the workers (0: without bound). */
GW_MUST_CHECK bool copy_split(struct copy_run *run, uint64_t ahead, struct gw_error *err);
/* Note a chunk's size and time, for the size of the next. With the lock held. */
void copy_note_size(struct copy_collection *collection, uint64_t rows, uint64_t bytes, int64_t us);
int64_t copy_wanted_rows(const struct copy_run *run, uint32_t collection); /* with the lock held */
/* worker.c, indexes.c: the bodies of threads. */
void copy_work(struct copy_run *run, int number);
void copy_build_indexes(struct copy_run *run);
/* When all chunks of a split collection are loaded, journals that; then the builders take it. */
GW_MUST_CHECK bool copy_finish_collection(struct copy_run *run, uint32_t id, struct gw_error *err);

#endif
