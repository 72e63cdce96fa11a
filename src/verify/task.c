#include "verify/task.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define STALLED_WAIT_MS 1000
#define FETCH_BYTES (4 << 20)
#define FETCH_ROWS_MAX 512
#define FETCH_ROWS_LARGE_MAX 32 /* of a collection that may hold large values */

void gw_verify_keys_add(struct gw_verify_keys *keys, const struct gw_row *key)
{
    keys->rows = gw_grow(keys->rows, &keys->capacity, keys->count, sizeof *keys->rows);
    keys->rows[keys->count++] = gw_row_copy(&keys->arena, key);
}

void gw_verify_keys_release(struct gw_verify_keys *keys)
{
    gw_arena_release(&keys->arena);
    free(keys->rows);
    *keys = (struct gw_verify_keys){0};
}

size_t gw_verify_cut_add(struct gw_verify_task *task, int side, const struct gw_range *range, bool last)
{
    struct gw_verify_cuts *cuts = &task->cuts[side];
    const struct gw_verify_cut cut = {.range = *range};
    cuts->items = gw_grow(cuts->items, &cuts->capacity, cuts->count, sizeof(struct gw_verify_cut *));
    cuts->items[cuts->count] = gw_memdup(&cut, sizeof cut);
    cuts->last = last;
    return cuts->count++;
}

void gw_verify_cuts_release(struct gw_verify_task *task)
{
    for (int side = 0; side < 2; side++) {
        struct gw_verify_cuts *cuts = &task->cuts[side];
        for (size_t i = 0; i < cuts->count; i++) {
            gw_range_release(&cuts->items[i]->range);
            free(cuts->items[i]);
        }
        free(cuts->items);
        *cuts = (struct gw_verify_cuts){0};
    }
}

void gw_verify_task_fail(struct gw_verify_task *task, const struct gw_error *error)
{
    pthread_mutex_lock(&task->lock);
    if (!task->failed)
        task->error = *error;
    task->failed = true;
    pthread_mutex_unlock(&task->lock);
}

void gw_verify_task_why(struct gw_verify_task *task, const char *why)
{
    if (!task->unresolved_why[0])
        snprintf(task->unresolved_why, sizeof task->unresolved_why, "%s", why);
}

size_t gw_verify_fetch_rows(const struct gw_collection *collection)
{
    int64_t width = 256;
    if (collection->estimated_rows > 0 && collection->estimated_bytes > 0)
        width = collection->estimated_bytes / collection->estimated_rows + 1;
    int64_t rows = FETCH_BYTES / width;
    int64_t most = collection->toast_bytes > 0 ? FETCH_ROWS_LARGE_MAX : FETCH_ROWS_MAX;
    return (size_t)(rows > most ? most : rows < 4 ? 4 : rows);
}

void gw_verify_key_text(const struct gw_verify_side *side, const struct gw_collection *collection,
                        const struct gw_row *key, const struct gw_mask *mask, struct gw_buf *out)
{
    for (size_t i = 0; i < collection->key_count && i < key->count; i++) {
        const struct gw_column *column = &collection->columns[collection->key[i]];
        gw_autobuf struct gw_buf text = {0};
        gw_buf_addf(out, "%s%s=", i ? ", " : "", column->name);
        side->store->type->scan->print(column, &key->values[i], &text);
        gw_mask_add(mask, true, gw_buf_text(&text), text.len, out);
    }
}

bool gw_verify_wait_applied(struct gw_verify_task *task, const struct gw_position *at, int timeout_ms, bool *reached,
                            struct gw_error *err)
{
    const struct gw_verify_options *options = task->options;
    char why[400];
    *reached = true;
    if (!options->wait_applied)
        return true;
    *reached = false;
    if (atomic_load(&task->shared->stalled) && timeout_ms > STALLED_WAIT_MS)
        timeout_ms = STALLED_WAIT_MS;
    struct gw_error problem = {0};
    if (options->wait_applied(options->wait_arg, at, timeout_ms, reached, &problem)) {
        atomic_store(&task->shared->stalled, !*reached);
        if (*reached)
            return true;
        snprintf(why, sizeof why, "the target had not applied the source's %s within %.1f s", at->text,
                 (double)timeout_ms / 1000);
    } else {
        if (gw_cancel_asked(options->cancel) || problem.kind == GW_ERR_CANCELLED) {
            *err = problem;
            return false;
        }
        *reached = false;
        snprintf(why, sizeof why, "changes are not being applied: %.300s", problem.message);
    }
    pthread_mutex_lock(&task->lock);
    gw_verify_task_why(task, why);
    pthread_mutex_unlock(&task->lock);
    return true;
}

struct outlast {
    int64_t end_us;
    struct gw_cancel *cancel;
    bool settled;
};

static bool outlast(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct outlast *work = arg;
    struct gw_verify_side *source = &pair->sides[GW_VERIFY_SOURCE];
    const struct gw_scan_facet *facet = source->store->type->scan;
    gw_autobuf struct gw_buf token = {0};
    if (!facet->running(source->scan, &token, err))
        return false;
    for (int pause_ms = 1;; pause_ms = pause_ms < 50 ? pause_ms * 2 : 50) {
        if (!facet->outlasted(source->scan, gw_buf_text(&token), &work->settled, err))
            return false;
        if (work->settled || gw_mono_us() >= work->end_us)
            return true;
        if (gw_cancel_wait(work->cancel, pause_ms))
            return gw_cancel_fail(work->cancel, err);
    }
}

bool gw_verify_outlast(struct gw_verify_task *task, struct gw_verify_pair *pair, int timeout_ms, bool *settled,
                       struct gw_error *err)
{
    const struct gw_scan_facet *facet = pair->sides[GW_VERIFY_SOURCE].store->type->scan;
    *settled = true;
    if (!task->options->wait_applied || !facet->running || !facet->outlasted)
        return true;
    struct outlast work = {gw_mono_us() + (int64_t)timeout_ms * 1000, task->options->cancel, false};
    if (!gw_verify_pair_try(pair, outlast, &work, err))
        return false;
    *settled = work.settled;
    return true;
}
