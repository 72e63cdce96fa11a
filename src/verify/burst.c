/* Rows that never stand still, sampled on both sides at once; see settle.h for what follows from it. */
#include "base/clock.h"
#include "base/mem.h"
#include "verify/settle.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BURSTS_ALIKE 2
#define SAMPLES_MAX 4096 /* of one row on one side */
#define OUTLAST_MS 3000

struct samples { /* of one row on one side */
    size_t count, capacity;
    struct gw_hash128 *hashes; /* low = high = 0: not there */
    struct gw_hash128 last;
    uint64_t *columns; /* hash of each column's value when first seen */
    bool *varies;
    bool present, absent; /* ever */
    struct gw_seen newest;
};

struct sampler {
    struct gw_settle *settle;
    int side;
    struct gw_suspect **suspects;
    size_t count;
    struct samples *samples;
    atomic_bool *stop;
    struct gw_position at; /* of the newest sample */
    struct gw_error err;
    bool ok;
};

static void sample_row(struct sampler *sampler, struct gw_verify_side *side, size_t i, const struct gw_row *row)
{
    struct samples *s = &sampler->samples[i];
    gw_seen_take(side, i, row, &s->newest);
    struct gw_hash128 hash = s->newest.present ? s->newest.hash : (struct gw_hash128){0, 0};
    bool first = !s->present && !s->absent;
    if (first || hash.low != s->last.low || hash.high != s->last.high) {
        if (s->count < SAMPLES_MAX) {
            s->hashes = gw_grow(s->hashes, &s->capacity, s->count, sizeof *s->hashes);
            s->hashes[s->count++] = hash;
        }
        s->last = hash;
        for (uint32_t c = 0; c < row->count; c++) {
            uint64_t value = gw_rowhash_value(&side->hash, c, &row->values[c]);
            s->varies[c] = s->varies[c] || (s->present && value != s->columns[c]);
            if (!s->present)
                s->columns[c] = value;
        }
    }
    s->present = s->present || row->count > 0;
    s->absent = s->absent || row->count == 0;
}

static bool sample_once(struct sampler *sampler, struct gw_error *err)
{
    struct gw_verify_side *side = &sampler->settle->pair->sides[sampler->side];
    struct gw_row keys[64] = {{0}}, rows[64] = {{0}};
    for (size_t i = 0; i < sampler->count; i++)
        keys[i] = *sampler->suspects[i]->key;
    if (!gw_settle_fetch(side, sampler->settle->task->collection, keys, sampler->count, rows, &sampler->at, err))
        return false;
    for (size_t i = 0; i < sampler->count; i++)
        sample_row(sampler, side, i, &rows[i]);
    return true;
}

static void *run_sampler(void *arg)
{
    struct sampler *sampler = arg;
    sampler->ok = true;
    while (sampler->ok && !atomic_load(sampler->stop))
        sampler->ok = sample_once(sampler, &sampler->err);
    return NULL;
}

static void init_sampler(struct sampler *sampler, struct gw_settle *settle, int side, struct gw_suspect **suspects,
                         size_t count, atomic_bool *stop)
{
    size_t columns = settle->task->collection->column_count;
    *sampler = (struct sampler){.settle = settle, .side = side, .suspects = suspects, .count = count, .stop = stop};
    sampler->samples = gw_calloc(count, sizeof *sampler->samples);
    for (size_t i = 0; i < count; i++) {
        sampler->samples[i].columns = gw_calloc(columns + 1, sizeof(uint64_t));
        sampler->samples[i].varies = gw_calloc(columns + 1, sizeof(bool));
    }
}

static void release_sampler(struct sampler *sampler)
{
    for (size_t i = 0; i < sampler->count; i++) {
        free(sampler->samples[i].hashes);
        free(sampler->samples[i].columns);
        free(sampler->samples[i].varies);
    }
    free(sampler->samples);
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

static int compare_hashes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct gw_hash128));
}

static bool any_shared(struct samples *source, const struct samples *target)
{
    qsort(source->hashes, source->count, sizeof *source->hashes, compare_hashes);
    for (size_t i = 0; i < target->count; i++)
        if (bsearch(&target->hashes[i], source->hashes, source->count, sizeof *source->hashes, compare_hashes))
            return true;
    return false;
}

/* What never changed on either side, and is not the same. */
static bool constant_difference(const struct samples *source, const struct samples *target, size_t columns)
{
    if (source->present && source->absent)
        return false;
    if (target->present && target->absent)
        return false;
    if (source->present != target->present)
        return true;
    for (size_t c = 0; source->present && c < columns; c++)
        if (!source->varies[c] && !target->varies[c] && source->columns[c] != target->columns[c])
            return true;
    return false;
}

static void judge_burst(struct gw_settle *settle, struct sampler *samplers, struct gw_suspect **suspects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct samples *source = &samplers[0].samples[i], *target = &samplers[1].samples[i];
        struct gw_suspect *suspect = suspects[i];
        if (any_shared(source, target)) {
            suspect->state = GW_SUSPECT_SETTLED;
            settle->open--;
        } else if (!constant_difference(source, target, settle->task->collection->column_count)) {
            suspect->bursts = 0;
        } else if (++suspect->bursts >= BURSTS_ALIKE) {
            suspect->state = GW_SUSPECT_DIFFERENT;
            suspect->kind = gw_suspect_kind(&source->newest, &target->newest);
            settle->open--;
        }
        suspect->a = source->newest;
    }
}

/* ---- the burst --------------------------------------------------------------------------------------------------- */

/* Both sides for a while; then, once all that the target may have shown is visible, the source a last time. */
static bool sample_both(struct gw_settle *settle, struct sampler samplers[2], int length_ms, atomic_bool *stop,
                        struct gw_error *err)
{
    pthread_t threads[2];
    int made[2];
    for (int i = 0; i < 2; i++) {
        made[i] = pthread_create(&threads[i], NULL, run_sampler, &samplers[i]);
        if (made[i] != 0)
            atomic_store(stop, true);
    }
    if (made[0] == 0 && made[1] == 0)
        (void)gw_cancel_wait(settle->pair->cancel, length_ms);
    atomic_store(stop, true);
    for (int i = 0; i < 2; i++)
        if (made[i] == 0)
            pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) {
        if (made[i] != 0)
            return gw_fail_errno(err, made[i], "cannot make a thread");
        if (!samplers[i].ok) {
            *err = samplers[i].err;
            return false;
        }
    }
    if (gw_cancel_asked(settle->pair->cancel))
        return gw_cancel_fail(settle->pair->cancel, err);
    return true;
}

struct bursting {
    struct gw_settle *settle;
    struct gw_suspect **suspects;
    size_t count;
    int length_ms;
};

static bool burst(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct bursting *work = arg;
    struct gw_settle *settle = work->settle;
    struct sampler samplers[2];
    atomic_bool stop = false;
    bool reached = true, visible = true;
    for (int i = 0; i < 2; i++)
        init_sampler(&samplers[i], settle, i, work->suspects, work->count, &stop);
    bool ok = sample_once(&samplers[0], err) &&
              gw_verify_wait_applied(settle->task, &samplers[0].at, gw_settle_left_ms(settle), &reached, err);
    if (ok && reached) {
        int left_ms = gw_settle_left_ms(settle);
        ok = sample_both(settle, samplers, work->length_ms, &stop, err) &&
             gw_verify_outlast(settle->task, pair, left_ms < OUTLAST_MS ? left_ms : OUTLAST_MS, &visible, err) &&
             sample_once(&samplers[0], err);
        if (ok && visible)
            judge_burst(settle, samplers, work->suspects, work->count);
        if (ok)
            settle->at = samplers[0].at;
    }
    for (int i = 0; i < 2; i++)
        release_sampler(&samplers[i]);
    return ok;
}

bool gw_settle_burst(struct gw_settle *settle, struct gw_suspect **suspects, size_t count, int length_ms,
                     struct gw_error *err)
{
    struct bursting work = {settle, suspects, count, length_ms};
    return gw_verify_pair_try(settle->pair, burst, &work, err);
}
