#include "follow/batch.h"

#include "base/mem.h"

void follow_batch_clear(struct follow_batch *batch)
{
    batch->count = 0;
    batch->truncates = false;
    batch->careful = false;
    gw_arena_reset(&batch->arena);
}

void follow_batch_release(struct follow_batch *batch)
{
    free(batch->ops);
    gw_arena_release(&batch->arena);
    *batch = (struct follow_batch){0};
}

bool follow_has_bytes(const struct gw_value *value)
{
    return value->kind == GW_VALUE_TEXT || value->kind == GW_VALUE_BINARY;
}

struct gw_row follow_key_values(const struct gw_collection *collection, const struct gw_row *row,
                                struct gw_arena *arena)
{
    struct gw_value *values = gw_arena_alloc(arena, (collection->key_count + 1) * sizeof *values);
    for (size_t i = 0; i < collection->key_count; i++)
        values[i] = row->values[collection->key[i]];
    return (struct gw_row){.count = (uint32_t)collection->key_count, .values = values};
}

static struct gw_value taken_value(struct gw_arena *arena, const struct gw_value *value, bool copy)
{
    struct gw_value out = *value;
    if (copy && follow_has_bytes(value))
        out.bytes = gw_arena_dup(arena, value->bytes, value->len);
    return out;
}

/* The key columns of a row, all others absent. Without `copy` the values share the row's bytes. */
static struct gw_row key_row(const struct gw_collection *collection, const struct gw_row *row, struct gw_arena *arena,
                             bool copy)
{
    struct gw_value *values = gw_arena_zalloc(arena, (collection->column_count + 1) * sizeof *values);
    for (size_t c = 0; c < collection->column_count; c++)
        values[c].kind = GW_VALUE_ABSENT;
    for (size_t i = 0; i < collection->key_count; i++)
        values[collection->key[i]] = taken_value(arena, &row->values[collection->key[i]], copy);
    return (struct gw_row){.count = (uint32_t)collection->column_count, .values = values};
}

static bool misshapen(const struct gw_collection *collection, const char *what, struct gw_error *err)
{
    gw_fail(err, GW_ERR_CONFLICT, "a change of %s does not have the planned shape: %s", gw_collection_label(collection),
            what);
    return gw_error_hint(err, "its definition changed, or its replica identity");
}

static bool key_complete(const struct gw_collection *collection, const struct gw_row *row)
{
    for (size_t i = 0; i < collection->key_count; i++)
        if (!follow_has_bytes(&row->values[collection->key[i]]))
            return false;
    return true;
}

static bool row_partial(const struct gw_row *row)
{
    for (uint32_t c = 0; c < row->count; c++)
        if (row->values[c].kind == GW_VALUE_UNCHANGED)
            return true;
    return false;
}

static struct gw_row taken(struct gw_arena *arena, const struct gw_row *row, bool copy)
{
    if (copy)
        return gw_row_copy(arena, row);
    struct gw_value *values = gw_arena_dup(arena, row->values, row->count * sizeof *values);
    return (struct gw_row){.count = row->count, .values = values};
}

/* Values the new row leaves out and the old one carries (replica identity full). */
static void fill_unchanged(struct gw_row *row, const struct gw_row *old, struct gw_arena *arena, bool copy)
{
    for (uint32_t c = 0; c < row->count; c++)
        if (row->values[c].kind == GW_VALUE_UNCHANGED &&
            (follow_has_bytes(&old->values[c]) || old->values[c].kind == GW_VALUE_NULL))
            row->values[c] = taken_value(arena, &old->values[c], copy);
}

static bool make_update(const struct gw_collection *collection, const struct gw_change *change, struct gw_arena *arena,
                        bool copy, struct follow_op *op, struct gw_error *err)
{
    const struct gw_row *old = &change->old;
    op->row = taken(arena, &change->row, copy);
    if (old->count > 0) {
        if (old->count != collection->column_count)
            return misshapen(collection, "the old row has another number of columns", err);
        fill_unchanged(&op->row, old, arena, copy);
    }
    op->partial = row_partial(&op->row);
    if (collection->key_count == 0) {
        op->key = taken(arena, old, copy);
        return old->count > 0 ||
               misshapen(collection, "an update without its old row, in a collection without key", err);
    }
    if (!key_complete(collection, &op->row))
        return misshapen(collection, "the key is not in the row", err);
    if (old->count > 0 && key_complete(collection, old))
        for (size_t i = 0; i < collection->key_count; i++)
            op->moved |= !gw_value_equal(&old->values[collection->key[i]], &op->row.values[collection->key[i]]);
    /* A large old row is not worth its memory: of it only the key is kept. */
    op->key = key_row(collection, op->moved ? old : &op->row, arena, copy && op->moved);
    return true;
}

struct gw_row follow_key_row(const struct gw_collection *collection, const struct gw_row *row, struct gw_arena *arena)
{
    return key_row(collection, row, arena, false);
}

bool follow_op_make(const struct gw_schema *schema, const struct gw_change *change, uint64_t order,
                    struct gw_arena *arena, bool copy, struct follow_op *out, struct gw_error *err)
{
    if (change->collection >= schema->count)
        return gw_fail(err, GW_ERR_CONFLICT, "a change of a collection that is not in the plan (%u)",
                       change->collection);
    const struct gw_collection *collection = &schema->collections[change->collection];
    *out = (struct follow_op){
        .kind = change->kind, .collection = change->collection, .transaction = change->transaction, .order = order};
    bool wants_row = change->kind == GW_CHANGE_INSERT || change->kind == GW_CHANGE_UPDATE;
    if (wants_row && change->row.count != collection->column_count)
        return misshapen(collection, "the row has another number of columns", err);
    if (change->kind == GW_CHANGE_UPDATE)
        return make_update(collection, change, arena, copy, out, err);
    if (change->kind == GW_CHANGE_INSERT) {
        out->row = taken(arena, &change->row, copy);
        return (!row_partial(&out->row) && key_complete(collection, &out->row)) ||
               misshapen(collection, "an insert that leaves out values", err);
    }
    if (change->kind == GW_CHANGE_DELETE) {
        if (change->old.count != collection->column_count || !key_complete(collection, &change->old))
            return misshapen(collection, "a delete without its key", err);
        out->key = collection->key_count > 0 ? key_row(collection, &change->old, arena, copy)
                                             : taken(arena, &change->old, copy);
    }
    return true;
}

bool follow_batch_add(struct follow_batch *batch, const struct gw_schema *schema, const struct gw_change *change,
                      uint64_t order, bool copy, struct gw_error *err)
{
    batch->ops = gw_grow(batch->ops, &batch->capacity, batch->count, sizeof *batch->ops);
    if (!follow_op_make(schema, change, order, &batch->arena, copy, &batch->ops[batch->count], err))
        return false;
    batch->truncates |= change->kind == GW_CHANGE_TRUNCATE;
    batch->count++;
    return true;
}

/* ---- decisions ---- */

static struct follow_question ask(const struct follow_op *op, const struct gw_collection *collection,
                                  const struct gw_row *row, enum follow_verdict *verdict, struct gw_arena *arena)
{
    return (struct follow_question){.collection = op->collection,
                                    .transaction = op->transaction,
                                    .order = op->order,
                                    .key = follow_key_values(collection, row, arena),
                                    .verdict = verdict};
}

/* Nothing to look up: all verdicts are to apply. */
static bool nothing_to_ask(const struct follow_join *join)
{
    return !join->active && join->refetched_count == 0;
}

bool follow_decide_ops(struct follow_join *join, struct follow_op *ops, size_t count, struct gw_arena *arena,
                       struct gw_error *err)
{
    if (nothing_to_ask(join)) {
        for (size_t i = 0; i < count; i++)
            ops[i].old_verdict = ops[i].new_verdict = FOLLOW_APPLY;
        return true;
    }
    struct follow_question *questions = gw_calloc(count * 2 + 1, sizeof *questions);
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) {
        struct follow_op *op = &ops[i];
        const struct gw_collection *collection = &join->schema->collections[op->collection];
        if (op->kind == GW_CHANGE_TRUNCATE)
            continue;
        if (op->kind != GW_CHANGE_INSERT)
            questions[asked++] = ask(op, collection, &op->key, &op->old_verdict, arena);
        if (op->kind == GW_CHANGE_INSERT || op->moved)
            questions[asked++] = ask(op, collection, &op->row, &op->new_verdict, arena);
    }
    bool ok = follow_join_decide(join, questions, asked, err);
    for (size_t i = 0; ok && i < count; i++)
        if (ops[i].kind == GW_CHANGE_UPDATE && !ops[i].moved)
            ops[i].new_verdict = ops[i].old_verdict;
    free(questions);
    return ok;
}
