#include "verify/settle.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS_WITHOUT_VERSIONS 3
#define OUTLAST_MS 3000
#define BURST_FROM_ROUND 3
#define BURST_ROWS 64
#define BURST_MS 100
#define BURST_MAX_MS 1600

int gw_settle_left_ms(const struct gw_settle *settle)
{
    return gw_left_ms(settle->end_us);
}

/* ---- what was seen ----------------------------------------------------------------------------------------------- */

bool gw_seen_equal(const struct gw_seen *a, const struct gw_seen *b)
{
    if (a->present != b->present)
        return false;
    return !a->present ||
           (a->hash.low == b->hash.low && a->hash.high == b->hash.high && a->version.copies == b->version.copies);
}

static bool has_version(const struct gw_seen *seen)
{
    return seen->version.id[0] || seen->version.id[1];
}

static bool same_version(const struct gw_seen *a, const struct gw_seen *b)
{
    if (!gw_seen_equal(a, b))
        return false;
    return !a->present || (a->version.id[0] == b->version.id[0] && a->version.id[1] == b->version.id[1]);
}

void gw_seen_take(struct gw_verify_side *side, size_t index, const struct gw_row *row, struct gw_seen *out)
{
    const struct gw_scan_facet *facet = side->store->type->scan;
    uint64_t bytes;
    *out = (struct gw_seen){0};
    if (row->count == 0)
        return;
    out->present = true;
    out->hash = gw_rowhash_row(&side->hash, row, &bytes);
    if (facet->version)
        facet->version(side->scan, index, &out->version);
    else
        out->version.copies = 1;
}

enum gw_verify_kind gw_suspect_kind(const struct gw_seen *source, const struct gw_seen *target)
{
    if (!target->present)
        return GW_VERIFY_MISSING;
    if (!source->present)
        return GW_VERIFY_EXTRA;
    return source->version.copies != target->version.copies ? GW_VERIFY_DUPLICATE : GW_VERIFY_CHANGED;
}

bool gw_settle_fetch(struct gw_verify_side *side, const struct gw_collection *collection, const struct gw_row *keys,
                     size_t count, struct gw_row *rows, struct gw_position *at, struct gw_error *err)
{
    side->hash.collection = collection->id;
    return gw_verify_side_scan(side, err) &&
           side->store->type->scan->fetch(side->scan, collection, keys, count, rows, at, err);
}

/* ---- reading all open suspects ----------------------------------------------------------------------------------- */

struct reading {
    struct gw_settle *settle;
    int side;
    size_t offset; /* of the struct gw_seen in the suspect */
    struct gw_position at;
};

static bool read_batch(struct reading *reading, struct gw_verify_side *side, struct gw_suspect **batch, size_t count,
                       struct gw_error *err)
{
    struct gw_row keys[512] = {{0}}, rows[512] = {{0}};
    struct gw_position at = {0};
    for (size_t i = 0; i < count; i++)
        keys[i] = *batch[i]->key;
    if (!gw_settle_fetch(side, reading->settle->task->collection, keys, count, rows, &at, err))
        return false;
    for (size_t i = 0; i < count; i++)
        gw_seen_take(side, i, &rows[i], (struct gw_seen *)((char *)batch[i] + reading->offset));
    if (gw_position_before(&reading->at, &at))
        reading->at = at;
    return true;
}

static bool read_all(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct reading *reading = arg;
    struct gw_settle *settle = reading->settle;
    struct gw_suspect *batch[512];
    size_t most = gw_verify_fetch_rows(settle->task->collection), count = 0;
    reading->at = (struct gw_position){0};
    for (size_t i = 0; i < settle->count; i++) {
        if (settle->suspects[i].state == GW_SUSPECT_OPEN)
            batch[count++] = &settle->suspects[i];
        if (count > 0 && (count == most || i + 1 == settle->count)) {
            if (gw_cancel_asked(pair->cancel))
                return gw_cancel_fail(pair->cancel, err);
            if (!read_batch(reading, &pair->sides[reading->side], batch, count, err))
                return false;
            count = 0;
        }
    }
    return true;
}

static bool read_seen(struct gw_settle *settle, int side, size_t offset, struct gw_position *at, struct gw_error *err)
{
    struct reading reading = {.settle = settle, .side = side, .offset = offset};
    if (!gw_verify_pair_try(settle->pair, read_all, &reading, err))
        return false;
    if (at)
        *at = reading.at;
    return true;
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

static void set_state(struct gw_settle *settle, struct gw_suspect *suspect, enum gw_suspect_state state)
{
    suspect->state = state;
    settle->open--;
}

static void set_different(struct gw_settle *settle, struct gw_suspect *suspect)
{
    suspect->kind = gw_suspect_kind(&suspect->b, &suspect->t);
    set_state(settle, suspect, GW_SUSPECT_DIFFERENT);
}

/* `visible`: everything that had been applied when T was read is visible in B. */
static void judge(struct gw_settle *settle, struct gw_suspect *suspect, bool visible)
{
    if (gw_seen_equal(&suspect->t, &suspect->a) || gw_seen_equal(&suspect->t, &suspect->b)) {
        set_state(settle, suspect, GW_SUSPECT_SETTLED);
        return;
    }
    if (!visible || !same_version(&suspect->a, &suspect->b)) {
        suspect->stable = 0;
        suspect->extra_before = false;
        return;
    }
    suspect->stable++;
    bool versions = has_version(&suspect->b) || (has_version(&suspect->t) && !suspect->b.present);
    if (!versions) {
        if (suspect->stable >= ROUNDS_WITHOUT_VERSIONS)
            set_different(settle, suspect);
    } else if (suspect->b.present) {
        set_different(settle, suspect);
    } else if (suspect->extra_before && same_version(&suspect->t_before, &suspect->t)) {
        set_different(settle, suspect);
    } else {
        suspect->extra_before = true;
        suspect->t_before = suspect->t;
    }
}

static int outlast_ms(const struct gw_settle *settle)
{
    int left_ms = gw_settle_left_ms(settle);
    return left_ms < OUTLAST_MS ? left_ms : OUTLAST_MS;
}

/* *reached false: the target did not get to where the source was; nothing more can be found out. */
static bool do_round(struct gw_settle *settle, bool first, bool *reached, struct gw_error *err)
{
    bool visible;
    if (first && !read_seen(settle, GW_VERIFY_SOURCE, offsetof(struct gw_suspect, a), &settle->at, err))
        return false;
    if (!gw_verify_wait_applied(settle->task, &settle->at, gw_settle_left_ms(settle), reached, err))
        return false;
    if (!*reached)
        return true;
    if (!read_seen(settle, GW_VERIFY_TARGET, offsetof(struct gw_suspect, t), NULL, err) ||
        !gw_verify_outlast(settle->task, settle->pair, outlast_ms(settle), &visible, err) ||
        !read_seen(settle, GW_VERIFY_SOURCE, offsetof(struct gw_suspect, b), &settle->at, err))
        return false;
    for (size_t i = 0; i < settle->count; i++) {
        struct gw_suspect *suspect = &settle->suspects[i];
        if (suspect->state != GW_SUSPECT_OPEN)
            continue;
        judge(settle, suspect, visible);
        suspect->a = suspect->b;
    }
    return true;
}

/* The rows that will not stand still, some at a time. */
static bool burst_all(struct gw_settle *settle, int length_ms, struct gw_error *err)
{
    struct gw_suspect *some[BURST_ROWS];
    size_t count = 0, most = gw_verify_fetch_rows(settle->task->collection);
    if (most > BURST_ROWS)
        most = BURST_ROWS;
    for (size_t i = 0; i < settle->count; i++) {
        if (settle->suspects[i].state == GW_SUSPECT_OPEN)
            some[count++] = &settle->suspects[i];
        if (count > 0 && (count == most || i + 1 == settle->count)) {
            if (gw_settle_left_ms(settle) == 0)
                return true;
            if (!gw_settle_burst(settle, some, count, length_ms, err))
                return false;
            count = 0;
        }
    }
    return true;
}

static bool settle_all(struct gw_settle *settle, struct gw_error *err)
{
    int burst_ms = BURST_MS;
    bool reached = true;
    for (unsigned round = 0; settle->open > 0; round++) {
        if (round >= 2 && gw_settle_left_ms(settle) == 0)
            break;
        if (!do_round(settle, round == 0, &reached, err))
            return false;
        if (!reached)
            return true; /* why: said by the wait */
        if (settle->open > 0 && round + 1 >= BURST_FROM_ROUND) {
            if (!burst_all(settle, burst_ms, err))
                return false;
            burst_ms = burst_ms < BURST_MAX_MS ? burst_ms * 2 : BURST_MAX_MS;
        } else if (settle->open > 0 && round > 0 && gw_cancel_wait(settle->pair->cancel, 5)) {
            return gw_cancel_fail(settle->pair->cancel, err);
        }
    }
    return true;
}

/* ---- outcome ----------------------------------------------------------------------------------------------------- */

static void take_counts(struct gw_settle *settle)
{
    struct gw_verify_task *task = settle->task;
    struct gw_verify_collection *out = &task->out;
    uint64_t *const by_kind[] = {[GW_VERIFY_MISSING] = &out->missing,
                                 [GW_VERIFY_EXTRA] = &out->extra,
                                 [GW_VERIFY_CHANGED] = &out->changed,
                                 [GW_VERIFY_DUPLICATE] = &out->duplicate};
    pthread_mutex_lock(&task->lock);
    for (size_t i = 0; i < settle->count; i++) {
        const struct gw_suspect *suspect = &settle->suspects[i];
        out->settled += suspect->state == GW_SUSPECT_SETTLED;
        out->unresolved += suspect->state == GW_SUSPECT_OPEN;
        if (suspect->state == GW_SUSPECT_DIFFERENT)
            ++*by_kind[suspect->kind];
    }
    if (settle->open > 0)
        gw_verify_task_why(task, "rows were still changing when the time to settle them was over");
    pthread_mutex_unlock(&task->lock);
}

bool gw_verify_settle(struct gw_verify_task *task, struct gw_verify_pair *pair, const struct gw_verify_keys *keys,
                      struct gw_error *err)
{
    int64_t resettle_ms = task->options->resettle_ms > 0 ? task->options->resettle_ms : 30000;
    struct gw_settle settle = {.task = task,
                               .pair = pair,
                               .end_us = gw_mono_us() + resettle_ms * 1000,
                               .count = keys->count,
                               .suspects = gw_calloc(keys->count + 1, sizeof *settle.suspects),
                               .open = keys->count};
    for (size_t i = 0; i < keys->count; i++)
        settle.suspects[i].key = &keys->rows[i];
    bool ok = settle_all(&settle, err);
    if (ok)
        take_counts(&settle);
    ok = ok && gw_settle_describe(&settle, err);
    free(settle.suspects);
    return ok;
}
