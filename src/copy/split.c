/* Cuts collections into chunks a little ahead of the workers, so that their size follows what was measured. */
#include "base/crash.h"
#include "base/mem.h"
#include "copy/run.h"

void copy_note_size(struct copy_collection *collection, uint64_t rows, uint64_t bytes, int64_t us)
{
    if (rows == 0)
        return;
    double bytes_per_row = (double)bytes / (double)rows, us_per_row = (double)us / (double)rows;
    double old = collection->us_per_row > 0 ? 0.5 : 0;
    collection->bytes_per_row = old * collection->bytes_per_row + (1 - old) * bytes_per_row;
    collection->us_per_row = old * collection->us_per_row + (1 - old) * us_per_row;
}

int64_t copy_wanted_rows(const struct copy_run *run, uint32_t id)
{
    const struct copy_collection *measured = &run->collections[id];
    const struct gw_collection *collection = copy_collection_of(run, id);
    double rows = (double)run->options.chunk_rows, bytes_per_row = measured->bytes_per_row;
    if (bytes_per_row <= 0 && collection->estimated_rows > 0 && collection->estimated_bytes > 0)
        bytes_per_row = (double)collection->estimated_bytes / (double)collection->estimated_rows;
    if (bytes_per_row > 0 && rows * bytes_per_row > (double)run->options.chunk_bytes)
        rows = (double)run->options.chunk_bytes / bytes_per_row;
    if (measured->us_per_row > 0 && rows * measured->us_per_row > (double)run->options.chunk_us)
        rows = (double)run->options.chunk_us / measured->us_per_row;
    double least = run->options.chunk_rows < 16 ? (double)run->options.chunk_rows : 16;
    return (int64_t)(rows > least ? rows : least);
}

struct split_order {
    uint32_t id;
    int64_t bytes;
};

static int compare_order(const void *a, const void *b)
{
    const struct split_order *left = a, *right = b;
    if (left->bytes != right->bytes)
        return left->bytes > right->bytes ? -1 : 1;
    return left->id < right->id ? -1 : left->id > right->id;
}

struct splitter {
    struct copy_run *run;
    struct gw_reader *reader;
    uint64_t ahead;
};

static bool split_once(struct splitter *s, uint32_t id, const struct gw_bound *low, int64_t rows, struct gw_bound *next,
                       bool *last, struct gw_error *err)
{
    const struct gw_store *source = s->run->options.source;
    const struct gw_reader_facet *facet = source->type->reader;
    if (!s->reader && !facet->open(s->run->options.source, &s->reader, err))
        return false;
    if (facet->split(s->reader, copy_collection_of(s->run, id), low, rows, next, last, err))
        return true;
    facet->close(s->reader);
    s->reader = NULL;
    return gw_error_place(err, "%s, %s", source->identity.address, gw_collection_label(copy_collection_of(s->run, id)));
}

/* Waits until the workers need more; false when the run ends. */
static bool split_wait(struct splitter *s)
{
    pthread_mutex_lock(&s->run->lock);
    while (s->ahead > 0 && s->run->waiting >= s->ahead && !s->run->stop)
        copy_run_wait(s->run, 200);
    pthread_mutex_unlock(&s->run->lock);
    return !copy_run_stopped(s->run);
}

static bool split_add(struct splitter *s, uint32_t id, const struct gw_range *range, struct gw_error *err)
{
    uint64_t chunk = 0;
    GW_CRASH_POINT("copy.split.before_add");
    if (!gw_state_add_chunk(s->run->options.state, id, range, &chunk, err))
        return false;
    GW_CRASH_POINT("copy.split.after_add");
    pthread_mutex_lock(&s->run->lock);
    s->run->collections[id].chunks++;
    s->run->chunks_known++;
    s->run->waiting++;
    pthread_cond_broadcast(&s->run->changed);
    pthread_mutex_unlock(&s->run->lock);
    return true;
}

/* One more chunk from `*low` on, which then stands where the next begins. */
static bool split_step(struct splitter *s, uint32_t id, struct gw_bound *low, bool *last, struct gw_error *err)
{
    struct gw_bound next = {0};
    struct copy_patience patience = {0};
    pthread_mutex_lock(&s->run->lock);
    int64_t rows = copy_wanted_rows(s->run, id);
    pthread_mutex_unlock(&s->run->lock);
    while (!split_once(s, id, low, rows, &next, last, err))
        if (!copy_again(s->run, &patience, err))
            return false;
    struct gw_range range = {.low = *low, .high = *last ? (struct gw_bound){0} : next};
    bool ok = split_add(s, id, &range, err);
    gw_bound_release(low);
    *low = next;
    return ok;
}

/* Where an earlier run stopped. */
static bool split_resume(struct splitter *s, uint32_t id, struct gw_bound *low, struct gw_error *err)
{
    struct gw_chunk *chunks = NULL;
    size_t count = 0;
    if (!gw_state_chunks(s->run->options.state, id, &chunks, &count, err))
        return false;
    *low = count > 0 ? gw_bound_copy(&chunks[count - 1].range.high) : (struct gw_bound){0};
    gw_chunks_free(chunks, count);
    return true;
}

static bool split_collection(struct splitter *s, uint32_t id, struct gw_error *err)
{
    struct gw_bound low = {0};
    if (!split_resume(s, id, &low, err) || !gw_state_set_load_status(s->run->options.state, id, GW_LOAD_SPLITTING, err))
        return false;
    bool last = false, ok = true;
    while (ok && !last) {
        if (!split_wait(s)) {
            gw_bound_release(&low);
            return gw_fail(err, GW_ERR_CANCELLED, "stopped while splitting");
        }
        ok = split_step(s, id, &low, &last, err);
    }
    gw_bound_release(&low);
    if (!ok || !gw_state_set_load_status(s->run->options.state, id, GW_LOAD_SPLIT, err))
        return false;
    pthread_mutex_lock(&s->run->lock);
    s->run->collections[id].status = GW_LOAD_SPLIT;
    pthread_mutex_unlock(&s->run->lock);
    /* The workers may have been faster. */
    return copy_finish_collection(s->run, id, err);
}

bool copy_split(struct copy_run *run, uint64_t ahead, struct gw_error *err)
{
    struct splitter s = {.run = run, .ahead = ahead};
    size_t count = run->options.schema->count;
    struct split_order *order = gw_calloc(count + 1, sizeof *order);
    for (uint32_t id = 0; id < count; id++)
        order[id] = (struct split_order){.id = id, .bytes = copy_collection_of(run, id)->estimated_bytes};
    qsort(order, count, sizeof *order, compare_order);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        pthread_mutex_lock(&run->lock);
        bool wanted = run->collections[order[i].id].status < GW_LOAD_SPLIT;
        pthread_mutex_unlock(&run->lock);
        if (wanted)
            ok = split_collection(&s, order[i].id, err);
    }
    if (s.reader)
        run->options.source->type->reader->close(s.reader);
    free(order);
    pthread_mutex_lock(&run->lock);
    run->split_done = true;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
    return ok;
}
