/* Cuts collections into chunks a little ahead of the workers, so that their size follows what was measured. */
#include "base/crash.h"
#include "base/mem.h"
#include "copy/run.h"

#include <string.h>

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
    while (s->ahead > 0 && s->run->waiting >= (int64_t)s->ahead && !s->run->stop)
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
    s->run->collections[id].waiting++;
    s->run->chunks_known++;
    s->run->waiting++;
    pthread_cond_broadcast(&s->run->changed);
    pthread_mutex_unlock(&s->run->lock);
    return true;
}

/* A collection being cut: where its next chunk begins. */
struct split_front {
    uint32_t id;
    struct gw_bound low;
};

/* One more chunk from front->low on, which then stands where the next begins. */
static bool split_step(struct splitter *s, struct split_front *front, bool *last, struct gw_error *err)
{
    struct gw_bound open = {0}, next = {0};
    struct copy_patience patience = {0};
    pthread_mutex_lock(&s->run->lock);
    int64_t rows = copy_wanted_rows(s->run, front->id);
    pthread_mutex_unlock(&s->run->lock);
    while (!split_once(s, front->id, &front->low, rows, &next, last, err))
        if (!copy_again(s->run, &patience, err))
            return false;
    struct gw_range range = {.low = front->low, .high = *last ? open : next};
    bool ok = split_add(s, front->id, &range, err);
    gw_bound_release(&front->low);
    front->low = next;
    return ok;
}

/* Where an earlier run stopped. */
static bool split_begin(struct splitter *s, struct split_front *front, struct gw_error *err)
{
    struct gw_chunk *chunks = NULL;
    size_t count = 0;
    if (!gw_state_chunks(s->run->options.state, front->id, &chunks, &count, err))
        return false;
    front->low = count > 0 ? gw_bound_copy(&chunks[count - 1].range.high) : (struct gw_bound){0};
    gw_chunks_free(chunks, count);
    return gw_state_set_load_status(s->run->options.state, front->id, GW_LOAD_SPLITTING, err);
}

static bool split_end(struct splitter *s, struct split_front *front, struct gw_error *err)
{
    gw_bound_release(&front->low);
    if (!gw_state_set_load_status(s->run->options.state, front->id, GW_LOAD_SPLIT, err))
        return false;
    pthread_mutex_lock(&s->run->lock);
    s->run->collections[front->id].status = GW_LOAD_SPLIT;
    pthread_mutex_unlock(&s->run->lock);
    /* The workers may have been faster. */
    return copy_finish_collection(s->run, front->id, err);
}

/* The front with the fewest chunks waiting, the earliest of several. */
static size_t split_hungriest(struct splitter *s, const struct split_front *fronts, size_t count)
{
    size_t best = 0;
    pthread_mutex_lock(&s->run->lock);
    for (size_t i = 1; i < count; i++)
        if (s->run->collections[fronts[i].id].waiting < s->run->collections[fronts[best].id].waiting)
            best = i;
    pthread_mutex_unlock(&s->run->lock);
    return best;
}

/* Cuts as many collections at once as there are workers, so that each can have a table to itself: sessions that load
 * the same table hold each other up where it grows. */
static bool split_all(struct splitter *s, const struct split_order *order, size_t count, struct gw_error *err)
{
    size_t most = s->ahead > 0 ? (size_t)s->run->options.jobs : 1, open = 0, next = 0;
    struct split_front *fronts = gw_calloc(most, sizeof *fronts);
    bool ok = true;
    while (ok && (open > 0 || next < count)) {
        while (ok && open < most && next < count) {
            fronts[open] = (struct split_front){.id = order[next++].id};
            ok = split_begin(s, &fronts[open++], err);
        }
        if (ok && !split_wait(s))
            ok = gw_fail(err, GW_ERR_CANCELLED, "stopped while splitting");
        size_t at = ok ? split_hungriest(s, fronts, open) : 0;
        bool last = false;
        ok = ok && split_step(s, &fronts[at], &last, err);
        if (ok && last) {
            ok = split_end(s, &fronts[at], err);
            memmove(&fronts[at], &fronts[at + 1], (--open - at) * sizeof *fronts);
        }
    }
    for (size_t i = 0; i < open; i++)
        gw_bound_release(&fronts[i].low);
    free(fronts);
    return ok;
}

bool copy_split(struct copy_run *run, uint64_t ahead, struct gw_error *err)
{
    struct splitter s = {.run = run, .ahead = ahead};
    size_t count = run->options.schema->count;
    size_t wanted = 0;
    struct split_order *order = gw_calloc(count + 1, sizeof *order);
    pthread_mutex_lock(&run->lock);
    for (uint32_t id = 0; id < count; id++)
        if (run->collections[id].status < GW_LOAD_SPLIT)
            order[wanted++] = (struct split_order){.id = id, .bytes = copy_collection_of(run, id)->estimated_bytes};
    pthread_mutex_unlock(&run->lock);
    qsort(order, wanted, sizeof *order, compare_order);
    bool ok = split_all(&s, order, wanted, err);
    if (s.reader)
        run->options.source->type->reader->close(s.reader);
    free(order);
    pthread_mutex_lock(&run->lock);
    run->split_done = true;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
    return ok;
}
