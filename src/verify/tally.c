#include "verify/tally.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MIN_BITS 12u
#define MAX_BITS 20u
#define UNKNOWN_BITS 18u
#define GROUPS 64u
#define ROOM_WAIT_MS 5
#define LIST_MAX (1u << 17) /* rows of a chunk; of one that has grown beyond it every cell has a place */
#define LOOK_ROWS 50000u    /* rows of both sides whose keys stand in memory at a time */

static unsigned bits_for(int64_t rows_expected)
{
    unsigned bits = rows_expected < 0 ? UNKNOWN_BITS : MIN_BITS;
    while (bits < MAX_BITS && (INT64_C(2) << bits) < rows_expected)
        bits++;
    return bits;
}

bool gw_tally_make(struct gw_verify_task *task, struct gw_error *err)
{
    atomic_size_t *in_use = &task->shared->tally_bytes;
    unsigned bits = bits_for(task->collection->estimated_rows);
    size_t bytes = sizeof(struct gw_tally_cell) << bits;
    while (atomic_load(in_use) + bytes > sizeof(struct gw_tally_cell) << MAX_BITS)
        if (gw_cancel_wait(task->options->cancel, ROOM_WAIT_MS))
            return gw_cancel_fail(task->options->cancel, err);
        else if (atomic_load(&task->shared->stop))
            return gw_fail(err, GW_ERR_CANCELLED, "stopped");
    atomic_fetch_add(in_use, bytes);
    struct gw_tally *tally = gw_zalloc(sizeof *tally);
    tally->bits = bits;
    tally->cells = gw_calloc((size_t)1 << bits, sizeof *tally->cells);
    pthread_mutex_lock(&task->lock);
    task->tally = tally;
    pthread_mutex_unlock(&task->lock);
    return true;
}

void gw_tally_clear(struct gw_tally *tally)
{
    memset(tally->cells, 0, sizeof *tally->cells << tally->bits);
    memset(tally->totals, 0, sizeof tally->totals);
}

void gw_tally_drop(struct gw_verify_task *task)
{
    pthread_mutex_lock(&task->lock);
    struct gw_tally *tally = task->tally;
    task->tally = NULL;
    pthread_mutex_unlock(&task->lock);
    if (!tally)
        return;
    atomic_fetch_sub(&task->shared->tally_bytes, sizeof *tally->cells << tally->bits);
    free(tally->cells);
    free(tally);
}

static const struct gw_range *chunk_of(struct gw_verify_task *task, int side, size_t chunk)
{
    pthread_mutex_lock(&task->lock);
    const struct gw_range *range = &task->cuts[side].items[chunk]->range;
    pthread_mutex_unlock(&task->lock);
    return range;
}

static size_t cell_of(unsigned bits, struct gw_hash128 key)
{
    return (size_t)(key.high >> (64 - bits));
}

/* ---- a chunk ----------------------------------------------------------------------------------------------------- */

struct listed {
    uint64_t hash;
    uint32_t cell;
};
struct chunk_read { /* of one side: what it adds, once it is read to the end */
    const struct gw_collection *collection;
    unsigned bits;
    struct gw_digest total;
    struct gw_verify_span span;
    size_t count, capacity;
    struct listed *list;
    uint64_t *sums; /* of all cells, when there were too many rows for the list; else NULL */
};

static void empty_list(struct chunk_read *read)
{
    if (!read->sums)
        read->sums = gw_calloc((size_t)1 << read->bits, sizeof *read->sums);
    for (size_t i = 0; i < read->count; i++)
        read->sums[read->list[i].cell] += read->list[i].hash;
    read->count = 0;
}

static void visit_row(void *arg, struct gw_verify_side *side, const struct gw_row *row)
{
    struct chunk_read *read = arg;
    uint64_t bytes;
    struct gw_hash128 hash = gw_rowhash_row(&side->hash, row, &bytes);
    struct gw_hash128 key = gw_rowhash_key(&side->hash, read->collection, row);
    gw_digest_add(&read->total, hash, bytes);
    if (read->count == LIST_MAX)
        empty_list(read);
    read->list = gw_grow(read->list, &read->capacity, read->count, sizeof *read->list);
    read->list[read->count++] = (struct listed){hash.low, (uint32_t)cell_of(read->bits, key)};
}

static void add_to_cell(struct gw_tally_cell *cell, int side, uint64_t hash, uint64_t group)
{
    cell->sum += side == GW_VERIFY_SOURCE ? hash : 0 - hash;
    cell->seen[side] |= group;
}

/* The task's lock is held. */
static void add_chunk(struct gw_tally *tally, int side, size_t chunk, const struct chunk_read *read)
{
    uint64_t group = UINT64_C(1) << chunk % GROUPS;
    gw_digest_add_digest(&tally->totals[side], &read->total);
    for (size_t i = 0; i < read->count; i++)
        add_to_cell(&tally->cells[read->list[i].cell], side, read->list[i].hash, group);
    for (size_t i = 0; read->sums && i < (size_t)1 << tally->bits; i++)
        if (read->sums[i])
            add_to_cell(&tally->cells[i], side, read->sums[i], group);
}

struct item_read {
    struct gw_verify_scope scopes[2];
    bool wanted[2];
    struct chunk_read chunks[2];
};

static bool read_item(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct item_read *item = arg;
    const struct gw_verify_scope *scopes[2] = {NULL, NULL};
    struct gw_verify_span spans[2] = {{.from = {0}}, {.from = {0}}};
    for (int side = 0; side < 2; side++) {
        struct chunk_read *read = &item->chunks[side];
        free(read->sums);
        read->sums = NULL;
        read->count = 0;
        read->total = (struct gw_digest){0};
        scopes[side] = item->wanted[side] ? &item->scopes[side] : NULL;
    }
    if (!gw_verify_pair_read(pair, scopes, visit_row, (void *[2]){&item->chunks[0], &item->chunks[1]}, spans, err))
        return false;
    item->chunks[0].span = spans[0];
    item->chunks[1].span = spans[1];
    return true;
}

static void add_item(struct gw_verify_task *task, const struct item_read *item, const size_t chunks[2])
{
    const struct gw_digest *source = &item->chunks[GW_VERIFY_SOURCE].total;
    atomic_fetch_add(&task->shared->chunks, 1);
    atomic_fetch_add(&task->shared->rows, source->rows);
    atomic_fetch_add(&task->shared->bytes, source->bytes);
    pthread_mutex_lock(&task->lock);
    for (int side = 0; side < 2; side++) {
        if (!item->wanted[side])
            continue;
        const struct chunk_read *read = &item->chunks[side];
        add_chunk(task->tally, side, chunks[side], read);
        task->cuts[side].items[chunks[side]]->done = true;
        task->out.rows[side] += read->total.rows;
        task->out.bytes[side] += read->total.bytes;
        gw_verify_span_merge(&task->spans[side], &read->span);
    }
    task->out.chunks++;
    pthread_mutex_unlock(&task->lock);
}

bool gw_tally_read(struct gw_verify_task *task, struct gw_verify_pair *pair, const size_t chunks[2],
                   struct gw_error *err)
{
    struct item_read item = {0};
    for (int side = 0; side < 2; side++) {
        item.wanted[side] = chunks[side] != GW_VERIFY_NO_CHUNK;
        item.chunks[side] = (struct chunk_read){.collection = task->collection, .bits = task->tally->bits};
        item.scopes[side] = (struct gw_verify_scope){.collection = task->collection};
        if (item.wanted[side])
            item.scopes[side].range = chunk_of(task, side, chunks[side]);
    }
    bool ok = gw_verify_pair_try(pair, read_item, &item, err);
    if (ok)
        add_item(task, &item, chunks);
    for (int side = 0; side < 2; side++) {
        free(item.chunks[side].list);
        free(item.chunks[side].sums);
    }
    return ok;
}

/* ---- the rows that differ ------------------------------------------------------------------------------------------ */

struct looking {
    struct gw_verify_task *task;
    const struct gw_tally *tally; /* nobody adds to it any more */
    bool *chosen;                 /* cells */
    struct gw_pass_rows rows[2];
};
struct side_look {
    struct looking *looking;
    int side;
    uint64_t groups; /* of chunks that may hold rows of the chosen cells */
    bool any;
    struct gw_verify_side *of;
    struct gw_error err;
    bool ok;
};

static void visit_chosen(void *arg, struct gw_verify_side *side, const struct gw_row *row)
{
    struct side_look *look = arg;
    struct gw_hash128 key = gw_rowhash_key(&side->hash, look->looking->task->collection, row);
    if (look->looking->chosen[cell_of(look->looking->tally->bits, key)])
        gw_pass_rows_add(&look->looking->rows[look->side], look->looking->task->collection, look->side, side, key, row);
}

static void *look_at_side(void *arg)
{
    struct side_look *look = arg;
    const struct gw_verify_cuts *cuts = &look->looking->task->cuts[look->side];
    look->ok = true;
    for (size_t i = 0; look->ok && i < cuts->count; i++) {
        struct gw_verify_span span = {.from = {0}};
        struct gw_verify_scope scope = {.collection = look->looking->task->collection, .range = &cuts->items[i]->range};
        if (look->groups & UINT64_C(1) << i % GROUPS)
            look->ok = gw_verify_side_read(look->of, &scope, visit_chosen, look, &span, &look->err);
    }
    return NULL;
}

static bool read_chosen(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct looking *looking = arg;
    struct side_look looks[2];
    for (int side = 0; side < 2; side++) {
        gw_pass_rows_clear(&looking->rows[side]);
        looks[side] = (struct side_look){.looking = looking, .side = side, .of = &pair->sides[side]};
        for (size_t i = 0; i < (size_t)1 << looking->tally->bits; i++)
            looks[side].groups |= looking->chosen[i] ? looking->tally->cells[i].seen[side] : 0;
    }
    pthread_t thread;
    int made = pthread_create(&thread, NULL, look_at_side, &looks[GW_VERIFY_TARGET]);
    if (made != 0)
        return gw_fail_errno(err, made, "cannot make a thread");
    look_at_side(&looks[GW_VERIFY_SOURCE]);
    pthread_join(thread, NULL);
    if (!looks[0].ok || !looks[1].ok)
        *err = looks[looks[0].ok ? 1 : 0].err;
    return looks[0].ok && looks[1].ok;
}

/* A row of one side whose like the other has not is a suspect. */
static bool compare_rows(struct looking *looking, struct gw_verify_pair *pair, struct gw_error *err)
{
    for (int side = 0; side < 2; side++) {
        const struct gw_pass_rows *rows = &looking->rows[side], *others = &looking->rows[1 - side];
        for (size_t i = 0; i < rows->capacity; i++) {
            const struct gw_pass_entry *entry = &rows->entries[i];
            if (entry->count[side] == 0)
                continue;
            const struct gw_pass_entry *other = gw_pass_rows_find(others, entry->key);
            bool same = other && other->count[1 - side] == entry->count[side] &&
                        other->sum[1 - side].low == entry->sum[side].low &&
                        other->sum[1 - side].high == entry->sum[side].high;
            if (same || (other && side == GW_VERIFY_TARGET)) /* seen from the source */
                continue;
            if (!gw_verify_suspect(looking->task, pair, rows, entry, err))
                return false;
        }
    }
    return true;
}

static bool look_at_cells(struct looking *looking, struct gw_verify_pair *pair, uint64_t rows, struct gw_error *err)
{
    if (gw_verify_enough_proved(looking->task)) {
        pthread_mutex_lock(&looking->task->lock);
        looking->task->rows_unexamined += rows;
        pthread_mutex_unlock(&looking->task->lock);
        return true;
    }
    return gw_verify_pair_try(pair, read_chosen, looking, err) && compare_rows(looking, pair, err);
}

/* Cells that differ, in groups whose rows fit in memory by the mean of a cell. */
static bool look_at_all(struct looking *looking, struct gw_verify_pair *pair, struct gw_error *err)
{
    const struct gw_tally *tally = looking->tally;
    size_t cells = (size_t)1 << tally->bits, differing = 0;
    uint64_t all = tally->totals[0].rows + tally->totals[1].rows;
    size_t most = (size_t)(LOOK_ROWS / (all / cells + 1)) + 1;
    for (size_t next = 0; next < cells;) {
        size_t chosen = 0;
        memset(looking->chosen, 0, cells * sizeof *looking->chosen);
        for (; next < cells && chosen < most; next++) {
            looking->chosen[next] = tally->cells[next].sum != 0;
            chosen += looking->chosen[next];
        }
        differing += chosen;
        if (chosen > 0 && !look_at_cells(looking, pair, chosen * (all / cells + 1), err))
            return false;
    }
    pthread_mutex_lock(&looking->task->lock);
    looking->task->out.chunks_differing = differing;
    pthread_mutex_unlock(&looking->task->lock);
    return differing > 0 || gw_fail(err, GW_ERR_BUG, "the sides of %s differ as a whole and in no part of it",
                                    gw_collection_label(looking->task->collection));
}

bool gw_tally_look(struct gw_verify_task *task, struct gw_verify_pair *pair, struct gw_error *err)
{
    const struct gw_tally *tally = task->tally;
    if (gw_digest_equal(&tally->totals[0], &tally->totals[1]))
        return true;
    struct looking looking = {.task = task, .tally = tally};
    looking.chosen = gw_calloc((size_t)1 << tally->bits, sizeof *looking.chosen);
    bool ok = look_at_all(&looking, pair, err);
    gw_pass_rows_release(&looking.rows[0]);
    gw_pass_rows_release(&looking.rows[1]);
    free(looking.chosen);
    return ok;
}
