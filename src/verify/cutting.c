#include "verify/cutting.h"

#include "base/hash.h"

#include <string.h>

#define ATTEMPTS 64 /* to find a block in a collection that has less than a group of them */

struct gw_cutting gw_cutting_of(struct gw_verify_task *task, struct gw_verify_pair *pair, int side)
{
    const struct gw_verify_cuts *cuts = &task->cuts[side];
    struct gw_cutting cutting = {
        .task = task, .pair = pair, .side = side, .last = cuts->last, .old_count = cuts->count};
    if (cuts->count && !cuts->last)
        cutting.low = gw_bound_copy(&cuts->items[cuts->count - 1]->range.high);
    return cutting;
}

void gw_cutting_release(struct gw_cutting *cutting)
{
    gw_bound_release(&cutting->low);
    gw_bound_release(&cutting->next);
}

static bool split(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct gw_cutting *cutting = arg;
    struct gw_verify_side *side = &pair->sides[cutting->side];
    gw_bound_release(&cutting->next);
    cutting->last = false;
    return gw_verify_side_reader(side, err) &&
           side->store->type->reader->split(side->reader, cutting->task->collection, &cutting->low, cutting->rows,
                                            &cutting->next, &cutting->last, err);
}

/* Goes on by so many rows; `chunk`: where they become one, else NULL. */
static bool step(struct gw_cutting *cutting, int64_t rows, size_t *chunk, struct gw_error *err)
{
    cutting->rows = rows;
    if (!gw_verify_pair_try(cutting->pair, split, cutting, err))
        return false;
    if (chunk) {
        struct gw_range range = {cutting->low, cutting->last ? (struct gw_bound){0} : gw_bound_copy(&cutting->next)};
        pthread_mutex_lock(&cutting->task->lock);
        *chunk = gw_verify_cut_add(cutting->task, cutting->side, &range, cutting->last);
        pthread_mutex_unlock(&cutting->task->lock);
    } else {
        gw_bound_release(&cutting->low);
    }
    cutting->low = cutting->next;
    cutting->next = (struct gw_bound){0};
    return true;
}

/* ---- a sample ---------------------------------------------------------------------------------------------------- */

/* Which block of the group: by the seed alone, so that a sample can be had again. */
static uint64_t block_of(const struct gw_cutting *cutting, uint32_t blocks)
{
    uint64_t place[4] = {cutting->task->out.id, (uint64_t)cutting->side, cutting->group, cutting->attempt};
    return gw_hash64(place, sizeof place, cutting->task->options->sample.seed) % blocks;
}

static bool begin_again(struct gw_cutting *cutting)
{
    if (!cutting->last || cutting->taken > 0)
        return false;
    gw_bound_release(&cutting->low);
    cutting->last = false;
    cutting->block = cutting->group = 0;
    cutting->attempt++;
    return true;
}

static bool next_of_sample(struct gw_cutting *cutting, size_t *chunk, struct gw_error *err)
{
    const struct gw_verify_sample *sample = &cutting->task->options->sample;
    int64_t rows = cutting->task->chunk_rows;
    while (!cutting->last || begin_again(cutting)) {
        uint64_t chosen = cutting->attempt < ATTEMPTS ? block_of(cutting, sample->one_of) : 0;
        if (chosen > 0 && !step(cutting, (int64_t)chosen * rows, NULL, err))
            return false;
        if (cutting->last)
            continue;
        if (!step(cutting, rows, chunk, err))
            return false;
        cutting->taken++;
        cutting->group++;
        int64_t rest = (int64_t)(sample->one_of - 1 - chosen) * rows;
        return cutting->last || rest == 0 || step(cutting, rest, NULL, err);
    }
    return true;
}

bool gw_cutting_next(struct gw_cutting *cutting, size_t *chunk, struct gw_error *err)
{
    const struct gw_verify_cuts *cuts = &cutting->task->cuts[cutting->side];
    *chunk = GW_VERIFY_NO_CHUNK;
    for (; cutting->old < cutting->old_count; cutting->old++)
        if (!cuts->items[cutting->old]->done) {
            *chunk = cutting->old++;
            return true;
        }
    if (cutting->task->options->sample.one_of > 1)
        return next_of_sample(cutting, chunk, err);
    return cutting->last || step(cutting, cutting->task->chunk_rows, chunk, err);
}
