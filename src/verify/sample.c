#include "verify/sample.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_MOST 512

struct taking {
    struct gw_verify_task *task;
    const struct gw_verify_cut *cut;
    int side;
    struct gw_pass_rows rows[2]; /* the block, and what the other side has under its keys */
    struct gw_digest totals[2];
    struct gw_verify_span spans[2];
};

static void visit_row(void *arg, struct gw_verify_side *side, const struct gw_row *row)
{
    struct taking *taking = arg;
    uint64_t bytes;
    struct gw_hash128 key = gw_rowhash_key(&side->hash, taking->task->collection, row);
    gw_digest_add(&taking->totals[taking->side], gw_rowhash_row(&side->hash, row, &bytes), bytes);
    gw_pass_rows_add(&taking->rows[taking->side], taking->task->collection, taking->side, side, key, row);
}

static void take_other(struct taking *taking, struct gw_verify_side *side, size_t index, const struct gw_row *row)
{
    const struct gw_scan_facet *facet = side->store->type->scan;
    struct gw_row_version version = {.copies = 1};
    uint64_t bytes;
    int other = 1 - taking->side;
    if (row->count == 0)
        return;
    if (facet->version)
        facet->version(side->scan, index, &version);
    struct gw_hash128 key = gw_rowhash_key(&side->hash, taking->task->collection, row);
    for (uint32_t i = 0; i < version.copies; i++) {
        gw_digest_add(&taking->totals[other], gw_rowhash_row(&side->hash, row, &bytes), bytes);
        gw_pass_rows_add(&taking->rows[other], taking->task->collection, other, side, key, row);
    }
}

static bool fetch_others(struct taking *taking, struct gw_verify_side *side, const struct gw_row *keys, size_t count,
                         struct gw_error *err)
{
    struct gw_row rows[FETCH_MOST] = {{0}};
    struct gw_position at = {0};
    side->hash.collection = taking->task->collection->id;
    if (!gw_verify_side_scan(side, err) ||
        !side->store->type->scan->fetch(side->scan, taking->task->collection, keys, count, rows, &at, err))
        return false;
    gw_verify_span_add(&taking->spans[1 - taking->side], &at);
    for (size_t i = 0; i < count; i++)
        take_other(taking, side, i, &rows[i]);
    return true;
}

static bool look_for_others(struct taking *taking, struct gw_verify_side *side, struct gw_error *err)
{
    const struct gw_pass_rows *block = &taking->rows[taking->side];
    size_t most = gw_verify_fetch_rows(taking->task->collection), count = 0;
    struct gw_row keys[FETCH_MOST] = {{0}};
    struct gw_arena arena = {0};
    bool ok = true;
    most = most < FETCH_MOST ? most : FETCH_MOST;
    for (size_t i = 0; ok && i < block->capacity; i++) {
        const struct gw_pass_entry *entry = &block->entries[i];
        if (entry->count[taking->side] > 0) {
            struct gw_cursor in =
                gw_cursor_of(block->stored.data + entry->stored - 1, block->stored.len - (entry->stored - 1));
            keys[count++] = gw_row_decode(&in, &arena);
        }
        if (count > 0 && (count == most || i + 1 == block->capacity)) {
            ok = fetch_others(taking, side, keys, count, err);
            count = 0;
        }
    }
    gw_arena_release(&arena);
    return ok;
}

static bool take(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct taking *taking = arg;
    struct gw_verify_scope scope = {.collection = taking->task->collection, .range = &taking->cut->range};
    for (int side = 0; side < 2; side++) {
        gw_pass_rows_clear(&taking->rows[side]);
        taking->totals[side] = (struct gw_digest){0};
        taking->spans[side] = (struct gw_verify_span){.from = {0}};
    }
    return gw_verify_side_read(&pair->sides[taking->side], &scope, visit_row, taking, &taking->spans[taking->side],
                               err) &&
           look_for_others(taking, &pair->sides[1 - taking->side], err);
}

static bool compare_rows(struct taking *taking, struct gw_verify_pair *pair, struct gw_error *err)
{
    const struct gw_pass_rows *block = &taking->rows[taking->side];
    int other = 1 - taking->side;
    for (size_t i = 0; i < block->capacity; i++) {
        const struct gw_pass_entry *entry = &block->entries[i];
        if (entry->count[taking->side] == 0)
            continue;
        const struct gw_pass_entry *match = gw_pass_rows_find(&taking->rows[other], entry->key);
        if (match && match->count[other] == entry->count[taking->side] &&
            match->sum[other].low == entry->sum[taking->side].low &&
            match->sum[other].high == entry->sum[taking->side].high)
            continue;
        if (!gw_verify_suspect(taking->task, pair, block, entry, err))
            return false;
    }
    return true;
}

bool gw_sample_compare(struct gw_verify_task *task, struct gw_verify_pair *pair, const struct gw_verify_cut *cut,
                       int side, struct gw_error *err)
{
    struct taking taking = {.task = task, .cut = cut, .side = side};
    bool ok = gw_verify_pair_try(pair, take, &taking, err);
    if (ok) {
        gw_verify_take_coverage(task, taking.totals, taking.spans);
        ok = compare_rows(&taking, pair, err);
    }
    gw_pass_rows_release(&taking.rows[0]);
    gw_pass_rows_release(&taking.rows[1]);
    return ok;
}

/* ---- what it is worth -------------------------------------------------------------------------------------------- */

double gw_sample_missed(const struct gw_verify_sample *sample, uint64_t rows)
{
    return sample->one_of < 2 ? 0 : exp((double)rows * log1p(-1.0 / sample->one_of));
}

uint64_t gw_sample_sure(const struct gw_verify_sample *sample)
{
    return sample->one_of < 2 ? 1 : (uint64_t)ceil(log(0.01) / log1p(-1.0 / sample->one_of));
}

bool gw_sample_parse(const char *text, struct gw_verify_sample *sample, struct gw_error *err)
{
    char *end;
    double percent = strtod(text, &end);
    while (*end == ' ')
        end++;
    if (end == text || (*end && strcmp(end, "%") != 0) || !(percent >= 0.001 && percent <= 100)) {
        (void)!gw_fail(err, GW_ERR_USER, "a sample is of 0.001%% to 100%%, not \"%s\"", text);
        return gw_error_hint(err, "for instance --sample 1%%");
    }
    sample->one_of = (uint32_t)(100 / percent);
    return true;
}
