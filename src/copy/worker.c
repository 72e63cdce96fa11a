/*
 * A worker: leases a chunk, reads it, relays its blocks to the target, commits rows and checkpoint together, journals.
 * An error is never an end: a chunk is loaded when its commit was answered, or the target has its checkpoint.
 */
#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"
#include "copy/run.h"

struct copy_worker {
    struct copy_run *run;
    char name[48];
    struct gw_reader *reader;
    struct gw_writer *writer;
    int64_t lease_until_us;
};

static void worker_close(struct copy_worker *worker)
{
    worker->run->options.source->type->reader->close(worker->reader);
    worker->run->options.target->type->writer->close(worker->writer);
    worker->reader = NULL;
    worker->writer = NULL;
}

static bool worker_open(struct copy_worker *worker, struct gw_error *err)
{
    const struct gw_copy_options *o = &worker->run->options;
    if (!worker->reader && !o->source->type->reader->open(o->source, &worker->reader, err))
        return false;
    if (!worker->writer && !o->target->type->writer->open(o->target, worker->run->stream, &worker->writer, err))
        return false;
    pthread_mutex_lock(&worker->run->lock);
    worker->run->connected = true;
    pthread_mutex_unlock(&worker->run->lock);
    return true;
}

static bool worker_keep_lease(struct copy_worker *worker, uint64_t chunk, struct gw_error *err)
{
    int64_t now_us = gw_mono_us();
    if (now_us + (int64_t)COPY_LEASE_MS * 500 < worker->lease_until_us)
        return true;
    worker->lease_until_us = now_us + (int64_t)COPY_LEASE_MS * 1000;
    return gw_state_extend_lease(worker->run->options.state, chunk, worker->name, COPY_LEASE_MS, err);
}

/* Blocks from the reader to the writer, none kept. */
static bool worker_relay(struct copy_worker *worker, struct gw_chunk *chunk, struct gw_error *err)
{
    const struct gw_reader_facet *reader = worker->run->options.source->type->reader;
    const struct gw_writer_facet *writer = worker->run->options.target->type->writer;
    chunk->rows = chunk->bytes = 0;
    for (;;) {
        struct gw_block block;
        if (!reader->next(worker->reader, &block, err))
            return false;
        if (block.len == 0)
            return true;
        if (!writer->put(worker->writer, &block, err))
            return false;
        chunk->rows += block.rows;
        chunk->bytes += block.len;
        GW_CRASH_POINT("copy.chunk.between_blocks");
        if (copy_run_stopped(worker->run))
            return gw_fail(err, GW_ERR_CANCELLED, "stopped inside a chunk, which will be loaded again");
        if (!worker_keep_lease(worker, chunk->id, err))
            return false;
    }
}

/* The target has it already: a commit whose answer was lost, or a journal that lagged. Its mark counts, not ours. */
static bool worker_take_checkpoint(struct copy_worker *worker, struct gw_chunk *chunk, struct gw_error *err)
{
    struct gw_store *target = worker->run->options.target;
    struct gw_checkpoint *checkpoints = NULL;
    size_t count = 0;
    bool found = false;
    if (!target->type->writer->checkpoints(target, &checkpoints, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (checkpoints[i].chunk == chunk->id) {
            found = true;
            gw_mark_release(&chunk->mark);
            gw_mark_copy(&chunk->mark, &checkpoints[i].mark);
            chunk->rows = checkpoints[i].rows;
            chunk->bytes = checkpoints[i].bytes;
        }
        gw_checkpoint_release(&checkpoints[i]);
    }
    free(checkpoints);
    return found || gw_fail(err, GW_ERR_RETRY, "the checkpoint of chunk %llu was there and is gone",
                            (unsigned long long)chunk->id);
}

/* Rows were lost between two servers that both said yes: the chunk stands on the target, so it must not pass. */
static bool worker_short(struct copy_worker *worker, const struct gw_chunk *chunk, uint64_t loaded,
                         struct gw_error *err)
{
    const struct gw_collection *collection = copy_collection_of(worker->run, chunk->collection);
    gw_fail(err, GW_ERR_CONFLICT, "chunk %llu of %s: %llu rows were read and %llu loaded",
            (unsigned long long)chunk->id, gw_collection_label(collection), (unsigned long long)chunk->rows,
            (unsigned long long)loaded);
    gw_error_hint(err, "look for triggers, rules or policies on the target that drop rows; then empty the target");
    struct gw_quarantined item = {.wall_us = gw_wall_us()};
    snprintf(item.stream, sizeof item.stream, "%s", worker->run->stream);
    item.collection = gw_strdup(gw_collection_label(collection));
    item.operation = gw_strdup("copy");
    item.key = gw_asprintf("chunk %llu", (unsigned long long)chunk->id);
    item.reason = gw_strdup(err->message);
    struct gw_error ignored;
    if (!gw_state_quarantine(worker->run->options.state, &item, NULL, 0, &ignored))
        gw_error_detail(err, "and it could not be put into quarantine: %s", ignored.message);
    free(item.collection);
    free(item.operation);
    free(item.key);
    free(item.reason);
    return false;
}

static bool worker_move(struct copy_worker *worker, struct gw_chunk *chunk, bool *already, struct gw_error *err)
{
    const struct gw_copy_options *o = &worker->run->options;
    const struct gw_collection *collection = copy_collection_of(worker->run, chunk->collection);
    gw_mark_release(&chunk->mark);
    if (!o->source->type->reader->begin(worker->reader, collection, &chunk->range, &chunk->mark, err))
        return false;
    GW_CRASH_POINT("copy.chunk.after_mark");
    struct gw_checkpoint checkpoint = {
        .chunk = chunk->id, .collection = chunk->collection, .range = chunk->range, .mark = chunk->mark};
    if (!o->target->type->writer->begin_chunk(worker->writer, collection, &checkpoint, already, err))
        return false;
    GW_CRASH_POINT("copy.chunk.after_begin");
    if (*already)
        return o->source->type->reader->end(worker->reader, err) && worker_take_checkpoint(worker, chunk, err);
    uint64_t loaded = 0;
    if (!worker_relay(worker, chunk, err) || !o->source->type->reader->end(worker->reader, err))
        return false;
    GW_CRASH_POINT("copy.chunk.before_commit");
    if (!o->target->type->writer->commit_chunk(worker->writer, &loaded, err))
        return false;
    GW_CRASH_POINT("copy.chunk.after_commit");
    return loaded == chunk->rows || worker_short(worker, chunk, loaded, err);
}

static bool worker_account(struct copy_worker *worker, const struct gw_chunk *chunk, bool already, int64_t us,
                           struct gw_error *err)
{
    struct copy_run *run = worker->run;
    if (!gw_state_chunk_loaded(run->options.state, chunk->id, &chunk->mark, chunk->rows, chunk->bytes, err))
        return false;
    GW_CRASH_POINT("copy.chunk.after_journal");
    pthread_mutex_lock(&run->lock);
    run->collections[chunk->collection].loaded++;
    run->chunks_loaded++;
    run->rows += chunk->rows;
    run->bytes += chunk->bytes;
    run->report.chunks_done++;
    run->report.rows += chunk->rows;
    run->report.bytes += chunk->bytes;
    if (!already)
        copy_note_size(&run->collections[chunk->collection], chunk->rows, chunk->bytes, us);
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
    return copy_finish_collection(run, chunk->collection, err);
}

static bool worker_load(struct copy_worker *worker, struct gw_chunk *chunk, struct gw_error *err)
{
    struct copy_patience patience = {0};
    for (;;) {
        bool already = false;
        int64_t began_us = gw_mono_us();
        if (worker_open(worker, err) && worker_move(worker, chunk, &already, err))
            return worker_account(worker, chunk, already, gw_mono_us() - began_us, err);
        worker_close(worker);
        gw_error_place(err, "%s, chunk %llu", gw_collection_label(copy_collection_of(worker->run, chunk->collection)),
                       (unsigned long long)chunk->id);
        struct gw_error lease_err;
        if (!copy_again(worker->run, &patience, err) || !worker_keep_lease(worker, chunk->id, &lease_err))
            return false;
    }
}

/* The next chunk; *got false when every chunk is loaded, or the run ends. */
static bool worker_lease(struct copy_worker *worker, struct gw_chunk *chunk, bool *got, struct gw_error *err)
{
    struct copy_run *run = worker->run;
    *got = false;
    while (!copy_run_stopped(run)) {
        if (!gw_state_lease_chunk(run->options.state, worker->name, COPY_LEASE_MS, chunk, got, err))
            return false;
        worker->lease_until_us = gw_mono_us() + (int64_t)COPY_LEASE_MS * 1000;
        pthread_mutex_lock(&run->lock);
        if (*got) {
            run->waiting--;
            run->collections[chunk->collection].waiting--;
        }
        bool finished = run->split_done && run->chunks_loaded >= run->chunks_known;
        if (*got)
            pthread_cond_broadcast(&run->changed);
        else if (!finished && run->waiting <= 0)
            copy_run_wait(run, 200);
        pthread_mutex_unlock(&run->lock);
        if (*got || finished)
            return true;
    }
    return true;
}

void copy_work(struct copy_run *run, int number)
{
    struct copy_worker worker = {.run = run};
    snprintf(worker.name, sizeof worker.name, "%s-%d", run->worker_prefix, number);
    struct gw_error err;
    bool ok = true, got = true;
    while (ok && got) {
        struct gw_chunk chunk = {0};
        ok = worker_lease(&worker, &chunk, &got, &err);
        if (!ok || !got)
            break;
        GW_CRASH_POINT("copy.chunk.after_lease");
        ok = worker_load(&worker, &chunk, &err);
        if (!ok) {
            struct gw_error ignored;
            if (!gw_state_release_chunk(run->options.state, chunk.id, &ignored))
                gw_error_detail(&err, "its lease stays until it runs out: %s", ignored.message);
        }
        gw_chunk_release(&chunk);
    }
    if (!ok)
        copy_run_fail(run, &err);
    worker_close(&worker);
}
