/* Collapses a batch to the net effect per key and writes it as parts. */
#include "base/hash.h"
#include "base/mem.h"
#include "follow/batch.h"

#define NET_NONE UINT32_MAX
#define TRUNCATE_KEYS 5000 /* of the target at a time */
#define REPLACE_APART 1000 /* batches */

enum net_state {
    NET_INSERT, /* was not there, is there */
    NET_UPDATE,
    NET_DELETE,
    NET_REPLACE, /* was there, went, came again */
    NET_GONE,    /* was not there, came and went */
};

struct net_entry {
    uint64_t hash;
    enum net_state state;
    uint32_t collection;
    uint32_t next; /* of the same collection, in the order of arrival */
    struct gw_row key, row;
};

struct follow_net {
    const struct gw_schema *schema;
    struct net_entry *entries;
    size_t count, capacity;
    uint32_t *slots;
    size_t slot_count;      /* power of two */
    uint32_t *first, *last; /* by collection */
    uint32_t *touched;      /* collections with entries or loose ops */
    size_t touched_count;
    bool *is_touched;
    const struct follow_op **loose; /* of collections without key, in order */
    size_t loose_count, loose_capacity;
    struct gw_row *keys, *rows; /* scratch of a part */
    size_t keys_capacity, rows_capacity;
    struct net_entry **order; /* scratch: a part's entries as they will be written */
    size_t order_capacity;
    unsigned apart; /* so many batches more delete and insert what went and came again */
};

struct follow_net *follow_net_new(const struct gw_schema *schema)
{
    struct follow_net *net = gw_zalloc(sizeof *net);
    net->schema = schema;
    net->first = gw_calloc(schema->count + 1, sizeof *net->first);
    net->last = gw_calloc(schema->count + 1, sizeof *net->last);
    net->touched = gw_calloc(schema->count + 1, sizeof *net->touched);
    net->is_touched = gw_calloc(schema->count + 1, sizeof *net->is_touched);
    return net;
}

void follow_net_replace_apart(struct follow_net *net)
{
    net->apart = REPLACE_APART;
}

void follow_net_free(struct follow_net *net)
{
    if (!net)
        return;
    free(net->entries);
    free(net->slots);
    free(net->first);
    free(net->last);
    free(net->touched);
    free(net->is_touched);
    free(net->loose);
    free(net->keys);
    free(net->rows);
    free(net->order);
    free(net);
}

static void net_clear(struct follow_net *net)
{
    for (size_t i = 0; i < net->touched_count; i++)
        net->is_touched[net->touched[i]] = false;
    net->touched_count = net->count = net->loose_count = 0;
    if (net->slot_count > 0)
        memset(net->slots, 0xff, net->slot_count * sizeof *net->slots);
}

/* Room for `ops` entries more, with at most half of the slots in use. */
static void net_reserve(struct follow_net *net, size_t ops)
{
    size_t wanted = 64;
    while (wanted < ops * 2)
        wanted *= 2;
    if (wanted <= net->slot_count)
        return;
    net->slots = gw_realloc(net->slots, wanted * sizeof *net->slots);
    net->slot_count = wanted;
    memset(net->slots, 0xff, wanted * sizeof *net->slots);
}

static void net_touch(struct follow_net *net, uint32_t collection)
{
    if (net->is_touched[collection])
        return;
    net->is_touched[collection] = true;
    net->touched[net->touched_count++] = collection;
    net->first[collection] = net->last[collection] = NET_NONE;
}

static uint64_t key_hash(const struct gw_collection *collection, const struct gw_row *row)
{
    uint64_t hash = collection->id * UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = 0; i < collection->key_count; i++) {
        const struct gw_value *value = &row->values[collection->key[i]];
        hash = gw_hash64(value->bytes, value->len, hash);
    }
    return hash;
}

static bool key_equal(const struct gw_collection *collection, const struct gw_row *a, const struct gw_row *b)
{
    for (size_t i = 0; i < collection->key_count; i++)
        if (!gw_value_equal(&a->values[collection->key[i]], &b->values[collection->key[i]]))
            return false;
    return true;
}

/* The slot that holds this key's entry, or the free one where it would be. */
static size_t net_slot(const struct follow_net *net, uint32_t collection, const struct gw_row *row, uint64_t hash)
{
    const struct gw_collection *def = &net->schema->collections[collection];
    size_t slot = hash & (net->slot_count - 1);
    for (; net->slots[slot] != NET_NONE; slot = (slot + 1) & (net->slot_count - 1)) {
        const struct net_entry *entry = &net->entries[net->slots[slot]];
        if (entry->hash == hash && entry->collection == collection && key_equal(def, &entry->key, row))
            break;
    }
    return slot;
}

static const struct net_entry *net_look_up(const struct follow_net *net, uint32_t collection, const struct gw_row *row)
{
    size_t slot = net_slot(net, collection, row, key_hash(&net->schema->collections[collection], row));
    return net->slots[slot] == NET_NONE ? NULL : &net->entries[net->slots[slot]];
}

/* The entry of this key, or a new one with *fresh. `row` has the key's values in column layout. */
static struct net_entry *net_entry_of(struct follow_net *net, uint32_t collection, const struct gw_row *row,
                                      bool *fresh)
{
    uint64_t hash = key_hash(&net->schema->collections[collection], row);
    size_t slot = net_slot(net, collection, row, hash);
    *fresh = net->slots[slot] == NET_NONE;
    if (!*fresh)
        return &net->entries[net->slots[slot]];
    net->entries = gw_grow(net->entries, &net->capacity, net->count, sizeof *net->entries);
    uint32_t at = (uint32_t)net->count++;
    net->slots[slot] = at;
    net->entries[at] = (struct net_entry){.hash = hash, .collection = collection, .next = NET_NONE, .key = *row};
    net_touch(net, collection);
    if (net->first[collection] == NET_NONE)
        net->first[collection] = at;
    else
        net->entries[net->last[collection]].next = at;
    net->last[collection] = at;
    return &net->entries[at];
}

/* What the newer row leaves out stays as the earlier one had it. */
static void merge_row(struct gw_row *newer, const struct gw_row *earlier)
{
    for (uint32_t c = 0; c < newer->count; c++)
        if (newer->values[c].kind == GW_VALUE_UNCHANGED)
            newer->values[c] = earlier->values[c];
}

/* Each returns false when the batch cannot be collapsed: only the original order tells. */
static bool net_insert(struct follow_net *net, uint32_t collection, const struct gw_row *row)
{
    bool fresh = false;
    struct net_entry *entry = net_entry_of(net, collection, row, &fresh);
    if (!fresh && entry->state != NET_DELETE && entry->state != NET_GONE)
        return false;
    entry->state = fresh || entry->state == NET_GONE ? NET_INSERT : NET_REPLACE;
    entry->row = *row;
    return true;
}

static bool net_update(struct follow_net *net, uint32_t collection, const struct gw_row *key, struct gw_row *row)
{
    bool fresh = false;
    struct net_entry *entry = net_entry_of(net, collection, key, &fresh);
    if (fresh) {
        entry->state = NET_UPDATE;
    } else {
        if (entry->state == NET_DELETE || entry->state == NET_GONE)
            return false;
        merge_row(row, &entry->row);
    }
    entry->row = *row;
    return true;
}

static bool net_delete(struct follow_net *net, uint32_t collection, const struct gw_row *key)
{
    bool fresh = false;
    struct net_entry *entry = net_entry_of(net, collection, key, &fresh);
    if (!fresh && (entry->state == NET_DELETE || entry->state == NET_GONE))
        return false;
    entry->state = !fresh && entry->state == NET_INSERT ? NET_GONE : NET_DELETE;
    return true;
}

/* ---- writing ---- */

struct net_out {
    struct follow_net *net;
    struct gw_store *target;
    struct gw_writer *writer;
    bool careful;
};

static bool out_part(struct net_out *out, enum gw_change_kind kind, uint32_t collection, size_t count,
                     struct gw_error *err)
{
    if (count == 0 || out->careful)
        return true;
    struct gw_part part = {.kind = kind,
                           .collection = &out->net->schema->collections[collection],
                           .count = count,
                           .keys = kind == GW_CHANGE_INSERT ? NULL : out->net->keys,
                           .rows = kind == GW_CHANGE_DELETE ? NULL : out->net->rows};
    return out->target->type->writer->send(out->writer, &part, err) ||
           gw_error_place(err, "%s, %s of %zu", gw_collection_label(part.collection), gw_change_kind_name(kind), count);
}

static void scratch_put(struct follow_net *net, size_t at, const struct gw_row *key, const struct gw_row *row)
{
    net->keys = gw_grow(net->keys, &net->keys_capacity, at, sizeof *net->keys);
    net->rows = gw_grow(net->rows, &net->rows_capacity, at, sizeof *net->rows);
    net->keys[at] = *key;
    net->rows[at] = *row;
}

/* Where keys are near each other, so are their rows, mostly: shorter ones first, for numbers are written as text. */
static int compare_keys(const struct net_entry *a, const struct net_entry *b)
{
    for (uint32_t c = 0; c < a->key.count; c++) {
        const struct gw_value *left = &a->key.values[c], *right = &b->key.values[c];
        if (!follow_has_bytes(left) || !follow_has_bytes(right))
            continue; /* no column of the key */
        int order =
            left->len != right->len ? (left->len < right->len ? -1 : 1) : memcmp(left->bytes, right->bytes, left->len);
        if (order != 0)
            return order;
    }
    return a < b ? -1 : a > b;
}

static int by_key(const void *a, const void *b)
{
    return compare_keys(*(struct net_entry *const *)a, *(struct net_entry *const *)b);
}

/* The entries of these two states into net->order. */
static size_t gather(struct follow_net *net, uint32_t collection, enum net_state state, enum net_state other)
{
    size_t count = 0;
    for (uint32_t i = net->first[collection]; i != NET_NONE; i = net->entries[i].next) {
        if (net->entries[i].state != state && net->entries[i].state != other)
            continue;
        net->order = gw_grow(net->order, &net->order_capacity, count, sizeof(struct net_entry *));
        net->order[count++] = &net->entries[i];
    }
    return count;
}

/* Is what went and came again updated to its new row, in one go? */
static bool out_replaces(const struct net_out *out, uint32_t collection)
{
    const struct gw_writer_facet *writer = out->target->type->writer;
    return out->net->apart == 0 && writer->updates_all &&
           writer->updates_all(out->writer, &out->net->schema->collections[collection]);
}

static bool out_state(struct net_out *out, uint32_t collection, enum gw_change_kind kind, enum net_state state,
                      struct gw_error *err)
{
    struct follow_net *net = out->net;
    size_t count = gather(net, collection, state, out_replaces(out, collection) ? state : NET_REPLACE);
    if (count > 1)
        qsort(net->order, count, sizeof(struct net_entry *), by_key);
    for (size_t i = 0; i < count; i++)
        scratch_put(net, i, &net->order[i]->key, &net->order[i]->row);
    return out_part(out, kind, collection, count, err);
}

static int compare_left_out(const struct gw_row *a, const struct gw_row *b)
{
    for (uint32_t c = 0; c < a->count; c++) {
        int left = a->values[c].kind == GW_VALUE_UNCHANGED, right = b->values[c].kind == GW_VALUE_UNCHANGED;
        if (left != right)
            return left - right;
    }
    return 0;
}

static int compare_updates(const void *a, const void *b)
{
    const struct net_entry *left = *(struct net_entry *const *)a, *right = *(struct net_entry *const *)b;
    int order = compare_left_out(&left->row, &right->row);
    return order != 0 ? order : compare_keys(left, right);
}

static bool out_updates(struct net_out *out, uint32_t collection, struct gw_error *err)
{
    struct follow_net *net = out->net;
    size_t count = gather(net, collection, NET_UPDATE, out_replaces(out, collection) ? NET_REPLACE : NET_UPDATE);
    if (count > 1)
        qsort(net->order, count, sizeof(struct net_entry *), compare_updates);
    for (size_t from = 0; from < count;) {
        size_t to = from;
        for (; to < count && (to == from || compare_left_out(&net->order[from]->row, &net->order[to]->row) == 0); to++)
            scratch_put(net, to - from, &net->order[to]->key, &net->order[to]->row);
        if (!out_part(out, GW_CHANGE_UPDATE, collection, to - from, err))
            return false;
        from = to;
    }
    return true;
}

/* A collection without key: in order, and only neighbouring inserts together. */
static bool out_loose(struct net_out *out, uint32_t collection, struct gw_error *err)
{
    struct follow_net *net = out->net;
    size_t pending = 0;
    static const struct gw_row none;
    for (size_t i = 0; i < net->loose_count; i++) {
        const struct follow_op *op = net->loose[i];
        if (op->collection != collection)
            continue;
        if (op->kind == GW_CHANGE_INSERT) {
            scratch_put(net, pending++, &none, &op->row);
            continue;
        }
        if (!out_part(out, GW_CHANGE_INSERT, collection, pending, err))
            return false;
        pending = 0;
        scratch_put(net, 0, &op->key, &op->row);
        if (!out_part(out, op->kind, collection, 1, err))
            return false;
    }
    return out_part(out, GW_CHANGE_INSERT, collection, pending, err);
}

static bool out_all(struct net_out *out, struct gw_error *err)
{
    struct follow_net *net = out->net;
    for (size_t i = 0; i < net->touched_count; i++) {
        uint32_t collection = net->touched[i];
        bool ok = net->schema->collections[collection].key_count == 0
                      ? out_loose(out, collection, err)
                      : out_state(out, collection, GW_CHANGE_DELETE, NET_DELETE, err) &&
                            out_updates(out, collection, err) &&
                            out_state(out, collection, GW_CHANGE_INSERT, NET_INSERT, err);
        if (!ok)
            return false;
    }
    net_clear(net);
    return true;
}

/* ---- barriers ---- */

/* A key that moves while the target's own old row has what is to stay (values that were left out, their form): it is
 * updated there. */
static bool out_moved(struct net_out *out, const struct follow_op *op, struct gw_error *err)
{
    if (!out_all(out, err))
        return false;
    scratch_put(out->net, 0, &op->key, &op->row);
    return out_part(out, GW_CHANGE_UPDATE, op->collection, 1, err);
}

/* ---- TRUNCATE in mid-copy ---- */

struct truncation {
    struct follow_join *join;
    const struct follow_op *op;
    const struct gw_collection *collection;
    struct gw_store *target;
    struct gw_writer *writer;
};

static bool read_order(struct gw_store *store, const struct gw_collection *collection, struct gw_buf *name,
                       struct gw_error *err)
{
    struct gw_scan *scan = NULL;
    if (!store->type->scan->open(store, &scan, err))
        return false;
    bool ok = store->type->scan->key_order(scan, collection, name, err);
    store->type->scan->close(scan);
    return ok;
}

/* Is a range of the source's keys the same rows on the target? Only what is proven counts. */
static bool same_order(const struct truncation *t, bool *same, struct gw_error *err)
{
    gw_autobuf struct gw_buf source = {0}, target = {0};
    struct gw_store *from = t->join->source;
    *same = false;
    if (!from->type->scan || !from->type->scan->key_order || from->type != t->target->type)
        return true;
    if (!read_order(from, t->collection, &source, err) || !read_order(t->target, t->collection, &target, err))
        return false;
    *same = strcmp(gw_buf_text(&source), gw_buf_text(&target)) == 0;
    return true;
}

static bool delete_ranges(const struct truncation *t, struct gw_error *err)
{
    const struct follow_map *map = &t->join->maps[t->op->collection];
    for (size_t c = 0; c < map->count; c++)
        if (!gw_mark_saw(&map->chunks[c].mark, t->op->transaction) &&
            !t->target->type->writer->delete_range(t->writer, t->collection, &map->chunks[c].range, err))
            return false;
    return true;
}

static struct gw_row key_as_columns(const struct gw_collection *collection, const struct gw_row *key,
                                    struct gw_value *room)
{
    for (size_t c = 0; c < collection->column_count; c++)
        room[c] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    for (size_t k = 0; k < collection->key_count; k++)
        room[collection->key[k]] = key->values[k];
    return (struct gw_row){.count = (uint32_t)collection->column_count, .values = room};
}

/* Of these keys of the target deletes those whose chunk did not see the TRUNCATE, as the source places them. */
static bool delete_located(const struct truncation *t, const struct gw_row *keys, size_t count, struct gw_error *err)
{
    const struct follow_map *map = &t->join->maps[t->op->collection];
    struct gw_store *source = t->join->source;
    size_t columns = t->collection->column_count, gone = 0;
    uint64_t touched = 0;
    uint32_t *chunks = gw_calloc(count, sizeof *chunks);
    struct gw_row *rows = gw_calloc(count, sizeof *rows);
    struct gw_value *values = gw_calloc(count * columns, sizeof *values);
    bool ok =
        source->type->changes->locate(source, t->collection, map->bounds, map->count - 1, keys, count, chunks, err);
    for (size_t i = 0; ok && i < count; i++) {
        if (chunks[i] >= map->count)
            ok = gw_fail(err, GW_ERR_BUG, "key located in chunk %u of %zu", chunks[i], map->count);
        else if (!gw_mark_saw(&map->chunks[chunks[i]].mark, t->op->transaction)) {
            rows[gone] = key_as_columns(t->collection, &keys[i], &values[gone * columns]);
            gone++;
        }
    }
    struct gw_part part = {.kind = GW_CHANGE_DELETE, .collection = t->collection, .count = gone, .keys = rows};
    ok = ok && (gone == 0 || t->target->type->writer->apply(t->writer, &part, &touched, err));
    if (ok && touched != gone)
        ok = gw_fail(err, GW_ERR_CONFLICT, "%llu of %zu rows of %s were deleted for a TRUNCATE",
                     (unsigned long long)touched, gone, gw_collection_label(t->collection));
    free(chunks);
    free(rows);
    free(values);
    return ok;
}

static bool delete_by_key(const struct truncation *t, struct gw_error *err)
{
    for (bool first = true;; first = false) {
        const struct gw_row *keys = NULL;
        size_t count = 0;
        if (!t->target->type->writer->list_keys(t->writer, t->collection, first, TRUNCATE_KEYS, &keys, &count, err))
            return false;
        if (count == 0)
            return true;
        if (!delete_located(t, keys, count, err))
            return false;
    }
}

/* Some chunks saw it and some did not. */
static bool truncate_part(const struct truncation *t, struct gw_error *err)
{
    bool same = false;
    return same_order(t, &same, err) && (same ? delete_ranges(t, err) : delete_by_key(t, err));
}

bool follow_truncate(struct follow_join *join, const struct follow_op *ops, size_t count, struct gw_store *target,
                     struct gw_writer *writer, struct gw_error *err)
{
    const struct gw_collection **whole = gw_calloc(count, sizeof *whole);
    size_t whole_count = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        struct truncation t = {.join = join,
                               .op = &ops[i],
                               .collection = &join->schema->collections[ops[i].collection],
                               .target = target,
                               .writer = writer};
        enum follow_verdict verdict = follow_join_whole(join, ops[i].collection, ops[i].transaction, ops[i].order);
        if (verdict == FOLLOW_APPLY)
            whole[whole_count++] = t.collection;
        else if (verdict == FOLLOW_UNKNOWN)
            ok = truncate_part(&t, err);
    }
    if (ok && whole_count > 0)
        ok = target->type->writer->truncate(writer, whole, whole_count, err);
    for (size_t i = 0; ok && i < count; i++)
        ok = follow_join_emptied(join, ops[i].collection, ops[i].order, err);
    free(whole);
    return ok;
}

/* ---- the batch ---- */

bool follow_wants_whole(const struct gw_store *target, struct gw_writer *writer, const struct gw_collection *collection,
                        const struct follow_op *op)
{
    const struct gw_writer_facet *facet = target->type->writer;
    return op->partial && facet->whole_rows && facet->whole_rows(writer, collection);
}

/* What the moved row leaves out may be in an earlier change of the same batch. */
static void fill_from_batch(struct follow_net *net, struct follow_op *op)
{
    const struct net_entry *entry = net_look_up(net, op->collection, &op->key);
    if (!entry || entry->state == NET_DELETE || entry->state == NET_GONE)
        return;
    merge_row(&op->row, &entry->row);
    op->partial = false;
    for (uint32_t c = 0; c < op->row.count; c++)
        op->partial |= op->row.values[c].kind == GW_VALUE_UNCHANGED;
}

static bool keeps_form(const struct net_out *out, uint32_t collection)
{
    const struct gw_writer_facet *writer = out->target->type->writer;
    return writer->keeps_form && writer->keeps_form(out->writer, &out->net->schema->collections[collection]);
}

static bool take_moved(struct net_out *out, struct follow_op *op, struct gw_error *err)
{
    struct follow_net *net = out->net;
    bool leaves = op->old_verdict == FOLLOW_APPLY, arrives = op->new_verdict == FOLLOW_APPLY;
    if (op->partial && leaves)
        fill_from_batch(net, op);
    if (arrives && leaves && (op->partial || keeps_form(out, op->collection)))
        return out_moved(out, op, err);
    if (arrives && op->partial) {
        out->careful = true; /* the old row is not on the target: it has to be read again */
        return true;
    }
    if (leaves)
        out->careful |= !net_delete(net, op->collection, &op->key);
    if (arrives && !out->careful)
        out->careful |= !net_insert(net, op->collection, &op->row);
    return true;
}

static bool take_op(struct net_out *out, struct follow_op *op, struct gw_error *err)
{
    struct follow_net *net = out->net;
    if (follow_wants_whole(out->target, out->writer, &net->schema->collections[op->collection], op)) {
        out->careful = true;
        return true;
    }
    if (op->moved)
        return take_moved(out, op, err);
    if ((op->kind == GW_CHANGE_INSERT ? op->new_verdict : op->old_verdict) != FOLLOW_APPLY)
        return true;
    if (net->schema->collections[op->collection].key_count == 0) {
        net_touch(net, op->collection);
        net->loose = gw_grow(net->loose, &net->loose_capacity, net->loose_count, sizeof(struct follow_op *));
        net->loose[net->loose_count++] = op;
        return true;
    }
    bool fits = op->kind == GW_CHANGE_INSERT   ? net_insert(net, op->collection, &op->row)
                : op->kind == GW_CHANGE_UPDATE ? net_update(net, op->collection, &op->key, &op->row)
                                               : net_delete(net, op->collection, &op->key);
    out->careful |= !fits;
    return true;
}

bool follow_batch_write(struct follow_batch *batch, struct follow_join *join, struct follow_net *net,
                        struct gw_store *target, struct gw_writer *writer, bool *careful, struct gw_error *err)
{
    struct net_out out = {.net = net, .target = target, .writer = writer};
    *careful = batch->careful;
    if (batch->careful)
        return true;
    net->apart -= net->apart > 0;
    net_clear(net);
    net_reserve(net, batch->count * 2);
    bool ok = follow_decide_ops(join, batch->ops, batch->count, &batch->arena, err);
    for (size_t i = 0; ok && i < batch->count && !out.careful;) {
        size_t run = 0;
        while (i + run < batch->count && batch->ops[i + run].kind == GW_CHANGE_TRUNCATE &&
               batch->ops[i + run].transaction == batch->ops[i].transaction)
            run++;
        if (run > 0) {
            ok = out_all(&out, err) && (out.careful || follow_truncate(join, &batch->ops[i], run, target, writer, err));
            i += run;
        } else {
            ok = take_op(&out, &batch->ops[i++], err);
        }
    }
    if (ok && !out.careful)
        ok = out_all(&out, err);
    *careful = out.careful;
    return ok;
}
