/*
 * Puts the journal right with what the target remembers. The target is the truth about what is loaded: a checkpoint
 * row is written in the transaction that loads its chunk. The journal may lag behind it (killed between the two), may
 * have lost its newest entries (power), or all of them (adopt).
 */
#include "base/mem.h"
#include "copy/run.h"

struct reconcile {
    struct copy_run *run;
    struct gw_checkpoint *checkpoints;
    size_t checkpoint_count;
    uint64_t *ids; /* every id in use, sorted */
    size_t id_count, id_capacity;
};

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static bool id_used(const struct reconcile *rec, uint64_t id)
{
    return rec->id_count > 0 && bsearch(&id, rec->ids, rec->id_count, sizeof id, compare_ids);
}

static void id_add(struct reconcile *rec, uint64_t id)
{
    rec->ids = gw_grow(rec->ids, &rec->id_capacity, rec->id_count, sizeof *rec->ids);
    rec->ids[rec->id_count++] = id;
}

static bool reconcile_ids(struct reconcile *rec, struct gw_error *err)
{
    for (size_t i = 0; i < rec->checkpoint_count; i++)
        id_add(rec, rec->checkpoints[i].chunk);
    for (uint32_t c = 0; c < rec->run->options.schema->count; c++) {
        struct gw_chunk *chunks = NULL;
        size_t count = 0;
        if (!gw_state_chunks(rec->run->options.state, c, &chunks, &count, err))
            return false;
        for (size_t i = 0; i < count; i++)
            id_add(rec, chunks[i].id);
        gw_chunks_free(chunks, count);
    }
    if (rec->id_count > 0)
        qsort(rec->ids, rec->id_count, sizeof *rec->ids, compare_ids);
    return true;
}

static bool same_range(const struct gw_range *a, const struct gw_range *b)
{
    return gw_bound_equal(&a->low, &b->low) && gw_bound_equal(&a->high, &b->high);
}

static bool restore(struct reconcile *rec, const struct gw_checkpoint *checkpoint, struct gw_error *err)
{
    struct gw_chunk chunk = {
        .id = checkpoint->chunk,
        .collection = checkpoint->collection,
        .range = checkpoint->range,
        .loaded = true,
        .mark = checkpoint->mark,
        .rows = checkpoint->rows,
        .bytes = checkpoint->bytes,
    };
    rec->run->report.restored++;
    return gw_state_restore_chunk(rec->run->options.state, &chunk, err);
}

static bool forget_loaded(struct reconcile *rec, const struct gw_chunk *chunk, struct gw_error *err)
{
    struct gw_chunk waiting = *chunk;
    waiting.loaded = false;
    waiting.mark = (struct gw_mark){0};
    waiting.rows = waiting.bytes = 0;
    rec->run->report.lost++;
    return gw_state_restore_chunk(rec->run->options.state, &waiting, err);
}

/* One chunk of the journal against the target's row, NULL when it has none. */
static bool reconcile_chunk(struct reconcile *rec, const struct gw_chunk *chunk, const struct gw_checkpoint *checkpoint,
                            struct gw_error *err)
{
    if (!checkpoint)
        return chunk->loaded ? forget_loaded(rec, chunk, err) : true;
    if (chunk->collection != checkpoint->collection || !same_range(&chunk->range, &checkpoint->range)) {
        gw_fail(err, GW_ERR_CONFLICT, "chunk %llu is another one in the journal than on the target",
                (unsigned long long)chunk->id);
        return gw_error_hint(err, "the journal belongs to another load: run godwit adopt, or empty the target");
    }
    if (chunk->loaded)
        return true;
    rec->run->report.restored++;
    return gw_state_chunk_loaded(rec->run->options.state, chunk->id, &checkpoint->mark, checkpoint->rows,
                                 checkpoint->bytes, err);
}

static bool reconcile_collection(struct reconcile *rec, uint32_t id, struct gw_error *err)
{
    struct gw_chunk *chunks = NULL;
    size_t count = 0, at = 0;
    if (!gw_state_chunks(rec->run->options.state, id, &chunks, &count, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < rec->checkpoint_count; i++) {
        const struct gw_checkpoint *checkpoint = &rec->checkpoints[i];
        if (checkpoint->collection != id)
            continue;
        for (; ok && at < count && chunks[at].id < checkpoint->chunk; at++)
            ok = reconcile_chunk(rec, &chunks[at], NULL, err);
        if (ok && at < count && chunks[at].id == checkpoint->chunk)
            ok = reconcile_chunk(rec, &chunks[at++], checkpoint, err);
        else if (ok)
            ok = restore(rec, checkpoint, err);
    }
    for (; ok && at < count; at++)
        ok = reconcile_chunk(rec, &chunks[at], NULL, err);
    gw_chunks_free(chunks, count);
    return ok;
}

/* Ids are given in key order: whatever stood in a gap had an id between its neighbours', which is free again. */
static bool fill_gap(struct reconcile *rec, uint32_t collection, const struct gw_chunk *before,
                     const struct gw_chunk *after, struct gw_error *err)
{
    uint64_t id = before ? before->id + 1 : 1;
    while (id < after->id && id_used(rec, id))
        id++;
    if (id >= after->id)
        return gw_fail(err, GW_ERR_CONFLICT, "the chunks of %s do not tile its keys before chunk %llu",
                       gw_collection_label(copy_collection_of(rec->run, collection)), (unsigned long long)after->id);
    struct gw_chunk gap = {
        .id = id,
        .collection = collection,
        .range = {.low = before ? before->range.high : (struct gw_bound){0}, .high = after->range.low},
    };
    if (!gw_state_restore_chunk(rec->run->options.state, &gap, err))
        return false;
    id_add(rec, id);
    qsort(rec->ids, rec->id_count, sizeof *rec->ids, compare_ids);
    return true;
}

static bool fill_gaps(struct reconcile *rec, uint32_t id, struct gw_error *err)
{
    struct gw_chunk *chunks = NULL;
    size_t count = 0;
    if (!gw_state_chunks(rec->run->options.state, id, &chunks, &count, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        const struct gw_chunk *before = i > 0 ? &chunks[i - 1] : NULL;
        bool tiled =
            before ? gw_bound_equal(&before->range.high, &chunks[i].range.low) : chunks[i].range.low.count == 0;
        if (!tiled)
            ok = fill_gap(rec, id, before, &chunks[i], err);
    }
    gw_chunks_free(chunks, count);
    return ok;
}

/* Where the collection stands, from its chunks; the journal's word counts only where the chunks bear it out. */
static bool settle_status(struct copy_run *run, uint32_t id, struct gw_error *err)
{
    struct gw_chunk *chunks = NULL;
    size_t count = 0;
    enum gw_load_status journal;
    if (!gw_state_load_status(run->options.state, id, &journal, err) ||
        !gw_state_chunks(run->options.state, id, &chunks, &count, err))
        return false;
    struct copy_collection *collection = &run->collections[id];
    collection->chunks = count;
    for (size_t i = 0; i < count; i++) {
        if (!chunks[i].loaded)
            continue;
        collection->loaded++;
        run->report.chunks_skipped++;
        run->report.rows_skipped += chunks[i].rows;
        run->report.bytes_skipped += chunks[i].bytes;
    }
    bool split = count > 0 && chunks[count - 1].range.high.count == 0;
    enum gw_load_status status = count == 0 ? GW_LOAD_WAITING : split ? GW_LOAD_SPLIT : GW_LOAD_SPLITTING;
    if (split && collection->loaded == count)
        status = journal >= GW_LOAD_LOADED ? journal : GW_LOAD_LOADED;
    collection->status = status;
    run->chunks_known += count;
    run->chunks_loaded += collection->loaded;
    collection->waiting = (int64_t)(count - collection->loaded);
    run->waiting += collection->waiting;
    gw_chunks_free(chunks, count);
    return status == journal || gw_state_set_load_status(run->options.state, id, status, err);
}

static bool read_checkpoints(struct copy_run *run, struct reconcile *rec, struct gw_error *err)
{
    struct copy_patience patience = {0};
    const struct gw_writer_facet *writer = run->options.target->type->writer;
    while (!writer->checkpoints(run->options.target, &rec->checkpoints, &rec->checkpoint_count, err))
        if (!copy_again(run, &patience, err))
            return false;
    for (size_t i = 0; i < rec->checkpoint_count; i++)
        if (rec->checkpoints[i].collection >= run->options.schema->count)
            return gw_fail(err, GW_ERR_CONFLICT, "the target has chunks of a collection that is not in the plan (%u)",
                           rec->checkpoints[i].collection);
    return true;
}

bool copy_reconcile(struct copy_run *run, struct gw_error *err)
{
    struct reconcile rec = {.run = run};
    bool ok = gw_state_release_all_leases(run->options.state, err) && read_checkpoints(run, &rec, err) &&
              reconcile_ids(&rec, err);
    for (uint32_t id = 0; ok && id < run->options.schema->count; id++)
        ok = reconcile_collection(&rec, id, err) && fill_gaps(&rec, id, err) && settle_status(run, id, err);
    for (size_t i = 0; i < rec.checkpoint_count; i++)
        gw_checkpoint_release(&rec.checkpoints[i]);
    free(rec.checkpoints);
    free(rec.ids);
    run->rows = run->report.rows_skipped;
    run->bytes = run->report.bytes_skipped;
    return ok || gw_error_prefix(err, "reconciling the journal with the target");
}
