#include "follow/cascade.h"

#include "base/crash.h"
#include "base/mem.h"

#define CASCADE_DEPTH 16 /* a chain of foreign keys longer than this is a circle */

static bool is_parent(const struct gw_follow *f, uint32_t collection)
{
    for (size_t i = 0; i < f->options.cascade_count; i++)
        if (f->options.cascades[i].parent == collection)
            return true;
    return false;
}

bool follow_cascades(const struct gw_follow *f, const struct follow_op *op)
{
    bool goes = op->kind == GW_CHANGE_DELETE || (op->kind == GW_CHANGE_UPDATE && op->moved);
    return goes && is_parent(f, op->collection);
}

/* The child's row as far as the parent's key tells it; false where the change does not carry what is referenced. */
static bool child_like(const struct gw_cascade *cascade, const struct gw_collection *child, const struct gw_row *parent,
                       struct gw_arena *arena, struct gw_row *out)
{
    struct gw_value *values = gw_arena_alloc(arena, (child->column_count + 1) * sizeof *values);
    for (size_t c = 0; c < child->column_count; c++)
        values[c] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    for (size_t i = 0; i < cascade->count; i++) {
        values[cascade->child_columns[i]] = parent->values[cascade->parent_columns[i]];
        if (!follow_has_bytes(&values[cascade->child_columns[i]]))
            return false;
    }
    *out = (struct gw_row){.count = (uint32_t)child->column_count, .values = values};
    return true;
}

/* Keys found on the target, kept beyond the next call. */
static bool find_children(struct follow_applier *a, const struct gw_collection *child, const struct gw_row *like,
                          struct gw_row **keys, size_t *count, struct gw_error *err)
{
    const struct gw_writer_facet *writer = a->f->options.target->type->writer;
    const struct gw_row *found = NULL;
    if (!writer->find)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "the target cannot look for the rows that a foreign key changed");
    if (!writer->find(a->writer, child, like, &found, count, err))
        return false;
    *keys = gw_arena_alloc(&a->batch.arena, (*count + 1) * sizeof **keys);
    for (size_t i = 0; i < *count; i++)
        (*keys)[i] = gw_row_copy(&a->batch.arena, &found[i]);
    return true;
}

static struct gw_row in_places(const struct gw_collection *c, const struct gw_row *key, struct gw_arena *arena)
{
    struct gw_value *values = gw_arena_alloc(arena, (c->column_count + 1) * sizeof *values);
    for (size_t i = 0; i < c->column_count; i++)
        values[i] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    for (size_t i = 0; i < c->key_count; i++)
        values[c->key[i]] = key->values[i];
    return (struct gw_row){.count = (uint32_t)c->column_count, .values = values};
}

static bool delete_child(struct follow_applier *a, const struct gw_collection *child, const struct gw_row *key,
                         struct gw_error *err)
{
    uint64_t touched; /* none: a foreign key of the target's own was faster */
    struct gw_row places = in_places(child, key, &a->batch.arena);
    struct gw_part part = {
        .kind = GW_CHANGE_DELETE, .collection = child, .count = 1, .keys = &places, .may_miss = true};
    return a->f->options.target->type->writer->apply(a->writer, &part, &touched, err);
}

static bool cascade_from(struct follow_applier *a, const struct follow_op *op, uint32_t parent,
                         const struct gw_row *old, const struct gw_row *moved, unsigned depth, struct gw_error *err);

bool follow_renew(struct follow_applier *a, const struct follow_op *op, const struct gw_collection *child,
                  const struct gw_row *key, bool *gone, struct gw_error *err)
{
    struct gw_store *source = a->f->options.source;
    struct follow_op asked = {.collection = child->id, .transaction = op->transaction, .order = op->order};
    struct gw_mark mark = {0};
    struct gw_row row = {0};
    struct gw_position horizon;
    uint64_t touched = 0;
    bool found = false;
    if (!follow_read_again(a, &asked, key, &mark, &found, &row, err)) {
        gw_mark_release(&mark);
        return false;
    }
    struct gw_part part = {.kind = GW_CHANGE_INSERT, .collection = child, .count = 1, .rows = &row};
    GW_CRASH_POINT("follow.cascade.after_read");
    bool ok = delete_child(a, child, key, err) && source->type->changes->horizon(source, &horizon, err) &&
              (!found || a->f->options.target->type->writer->apply(a->writer, &part, &touched, err)) &&
              follow_join_refetched(&a->join, child->id, key, &mark, op->order, horizon.order, err);
    GW_CRASH_POINT("follow.cascade.after_child");
    gw_mark_release(&mark);
    a->counts.refetched += ok;
    *gone = !found;
    return ok;
}

/* The child's key after the parent's has moved, where it holds the reference; false where it does not. */
static bool moved_key(const struct gw_cascade *cascade, const struct gw_collection *child, const struct gw_row *key,
                      const struct gw_row *moved, struct gw_arena *arena, struct gw_row *out)
{
    bool holds = false;
    *out = gw_row_copy(arena, key);
    for (size_t i = 0; i < child->key_count; i++)
        for (size_t k = 0; k < cascade->count; k++)
            if (child->key[i] == cascade->child_columns[k]) {
                out->values[i] = moved->values[cascade->parent_columns[k]];
                holds = true;
            }
    return holds;
}

static bool cascade_child(struct follow_applier *a, const struct follow_op *op, const struct gw_cascade *cascade,
                          const struct gw_row *key, const struct gw_row *moved, unsigned depth, struct gw_error *err)
{
    const struct gw_collection *child = follow_collection_of(a->f, cascade->child);
    struct gw_row next, places, next_places;
    bool gone, next_gone, follows = moved && moved_key(cascade, child, key, moved, &a->batch.arena, &next);
    if (!follow_renew(a, op, child, key, &gone, err) ||
        (follows && !follow_renew(a, op, child, &next, &next_gone, err)))
        return false;
    if (!gone)
        return true;
    places = in_places(child, key, &a->batch.arena);
    if (follows)
        next_places = in_places(child, &next, &a->batch.arena);
    return cascade_from(a, op, child->id, &places, follows ? &next_places : NULL, depth + 1, err);
}

static bool cascade_one(struct follow_applier *a, const struct follow_op *op, const struct gw_cascade *cascade,
                        const struct gw_row *old, const struct gw_row *moved, unsigned depth, struct gw_error *err)
{
    const struct gw_collection *child = follow_collection_of(a->f, cascade->child);
    struct gw_row like, *keys = NULL;
    size_t count = 0;
    if (!child_like(cascade, child, old, &a->batch.arena, &like))
        return gw_fail(err, GW_ERR_CONFLICT,
                       "a foreign key of %s references more than the key of %s, which the change does not carry",
                       gw_collection_label(child), gw_collection_label(follow_collection_of(a->f, cascade->parent)));
    if (!find_children(a, child, &like, &keys, &count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!cascade_child(a, op, cascade, &keys[i], moved, depth, err))
            return false;
    return true;
}

static bool cascade_from(struct follow_applier *a, const struct follow_op *op, uint32_t parent,
                         const struct gw_row *old, const struct gw_row *moved, unsigned depth, struct gw_error *err)
{
    if (depth > CASCADE_DEPTH)
        return gw_fail(err, GW_ERR_CONFLICT, "foreign keys lead in a circle from %s",
                       gw_collection_label(follow_collection_of(a->f, parent)));
    for (size_t i = 0; i < a->f->options.cascade_count; i++) {
        const struct gw_cascade *cascade = &a->f->options.cascades[i];
        if (cascade->parent == parent && !cascade_one(a, op, cascade, old, moved, depth, err))
            return false;
    }
    return true;
}

bool follow_cascade(struct follow_applier *a, const struct follow_op *op, struct gw_error *err)
{
    return cascade_from(a, op, op->collection, &op->key, op->moved ? &op->row : NULL, 0, err);
}
