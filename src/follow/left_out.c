#include "follow/left_out.h"

#include "base/crash.h"
#include "base/hash.h"
#include "base/mem.h"
#include "follow/applier.h"
#include "follow/cascade.h"

void follow_left_out_release(struct follow_applier *a)
{
    struct follow_left_out *l = &a->left_out;
    const struct gw_store *source = a->f->options.source;
    for (size_t i = 0; l->codecs && i < a->f->options.schema->count; i++)
        source->type->codec->close(l->codecs[i]);
    free(l->codecs);
    free(l->no_codec);
    free(l->rows);
    gw_arena_release(&l->arena);
    *l = (struct follow_left_out){0};
}

/* ---- keys in words ---- */

static struct gw_codec *codec_of(struct follow_applier *a, const struct gw_collection *collection)
{
    struct follow_left_out *l = &a->left_out;
    struct gw_store *source = a->f->options.source;
    struct gw_error ignored;
    if (!source->type->codec)
        return NULL;
    if (!l->codecs) {
        l->codecs = gw_calloc(a->f->options.schema->count + 1, sizeof(struct gw_codec *));
        l->no_codec = gw_calloc(a->f->options.schema->count + 1, sizeof *l->no_codec);
    }
    if (!l->codecs[collection->id] && !l->no_codec[collection->id] &&
        !source->type->codec->open(source, collection, &l->codecs[collection->id], &ignored)) {
        l->codecs[collection->id] = NULL;
        l->no_codec[collection->id] = true;
    }
    return l->codecs[collection->id];
}

/* Text sent in binary is text. */
static bool holds_text(const struct gw_column *column, const struct gw_value *value)
{
    return value->kind == GW_VALUE_TEXT || strcmp(column->type, "text") == 0 ||
           strncmp(column->type, "character", 9) == 0;
}

static void print_native(const struct gw_store *source, const struct gw_column *column, const struct gw_value *value,
                         struct gw_buf *out)
{
    if (!follow_has_bytes(value))
        return;
    if (holds_text(column, value))
        gw_buf_add(out, value->bytes, value->len);
    else if (source->type->scan && source->type->scan->print)
        source->type->scan->print(column, value, out);
}

/* The key alone: of a row the rest may be long. */
static bool decode_key(struct follow_applier *a, const struct gw_collection *collection, const struct gw_row *row,
                       struct gw_datum *out)
{
    struct gw_codec *codec = codec_of(a, collection);
    struct gw_error ignored;
    if (!codec)
        return false;
    struct gw_row key = follow_key_row(collection, row, &a->left_out.arena);
    return a->f->options.source->type->codec->decode(codec, &key, &a->left_out.arena, out, &ignored);
}

void follow_print_row_key(struct follow_applier *a, const struct gw_collection *collection, const struct gw_row *row,
                          struct gw_buf *out)
{
    struct gw_datum *data = gw_arena_zalloc(&a->left_out.arena, (collection->column_count + 1) * sizeof *data);
    bool decoded = decode_key(a, collection, row, data);
    for (size_t i = 0; i < collection->key_count; i++) {
        uint32_t at = collection->key[i];
        gw_buf_addf(out, "%s%s=", i > 0 ? ", " : "", collection->columns[at].name);
        if (decoded)
            gw_datum_print(&data[at], out);
        else
            print_native(a->f->options.source, &collection->columns[at], &row->values[at], out);
    }
    gw_arena_reset(&a->left_out.arena);
}

/* ---- which rows ---- */

/* Key NULL: of the collection, for whoever empties it. */
static uint64_t hash_of(const char *collection, const char *key)
{
    uint64_t hash = gw_hash64(collection, strlen(collection), 0);
    return key ? gw_hash64(key, strlen(key), hash) : hash;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void add_hash(struct follow_left_out *l, uint64_t hash)
{
    l->rows = gw_grow(l->rows, &l->capacity, l->count, sizeof *l->rows);
    l->rows[l->count++] = hash;
}

static void sort(struct follow_left_out *l)
{
    if (l->count > 1)
        qsort(l->rows, l->count, sizeof *l->rows, by_value);
}

void follow_left_out_add(struct follow_applier *a, const char *collection, const char *key)
{
    struct follow_left_out *l = &a->left_out;
    add_hash(l, hash_of(collection, key));
    add_hash(l, hash_of(collection, NULL));
    sort(l);
}

bool follow_left_out_load(struct follow_applier *a, struct gw_error *err)
{
    struct follow_left_out *l = &a->left_out;
    struct gw_follow *f = a->f;
    struct gw_quarantined *items = NULL;
    size_t count = 0;
    l->count = 0;
    l->healed = false;
    if (!gw_state_healed(f->options.state, f->stream, a->reached.order, err) ||
        !gw_state_quarantined(f->options.state, &items, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!items[i].left_out || strcmp(items[i].stream, f->stream) != 0)
            continue;
        add_hash(l, hash_of(items[i].collection, items[i].key));
        add_hash(l, hash_of(items[i].collection, NULL));
    }
    sort(l);
    gw_quarantined_free(items, count);
    pthread_mutex_lock(&f->lock);
    f->quarantine_seen_us = 0; /* the next status looks again */
    pthread_mutex_unlock(&f->lock);
    return true;
}

static bool has(const struct follow_left_out *l, uint64_t hash)
{
    return bsearch(&hash, l->rows, l->count, sizeof hash, by_value) != NULL;
}

static bool row_has(struct follow_applier *a, const struct gw_collection *collection, const struct gw_row *row)
{
    gw_autobuf struct gw_buf key = {0};
    follow_print_row_key(a, collection, row, &key);
    return has(&a->left_out, hash_of(gw_collection_label(collection), gw_buf_text(&key)));
}

bool follow_left_out_met(struct follow_applier *a, const struct follow_op *op)
{
    const struct gw_collection *collection = follow_collection_of(a->f, op->collection);
    if (a->left_out.count == 0 || !has(&a->left_out, hash_of(gw_collection_label(collection), NULL)))
        return false;
    if (op->kind == GW_CHANGE_TRUNCATE)
        return true;
    if (collection->key_count == 0)
        return false;
    return (op->kind != GW_CHANGE_INSERT && row_has(a, collection, &op->key)) ||
           (op->kind != GW_CHANGE_DELETE && row_has(a, collection, &op->row));
}

/* ---- bringing them over ---- */

static bool renew(struct follow_applier *a, const struct follow_op *op, const struct gw_row *row, struct gw_error *err)
{
    const struct gw_collection *collection = follow_collection_of(a->f, op->collection);
    struct gw_row key = follow_key_values(collection, row, &a->batch.arena);
    bool gone;
    return follow_renew(a, op, collection, &key, &gone, err);
}

bool follow_left_out_renew(struct follow_applier *a, const struct follow_op *op, struct gw_error *err)
{
    bool old = op->kind == GW_CHANGE_DELETE || op->moved;
    return (!old || renew(a, op, &op->key, err)) && (op->kind == GW_CHANGE_DELETE || renew(a, op, &op->row, err));
}

static bool heal(struct follow_applier *a, const struct follow_op *op, const struct gw_row *row, struct gw_error *err)
{
    const struct gw_collection *collection = follow_collection_of(a->f, op->collection);
    gw_autobuf struct gw_buf key = {0};
    if (row)
        follow_print_row_key(a, collection, row, &key);
    return gw_state_heal(a->f->options.state, a->f->stream, gw_collection_label(collection),
                         row ? gw_buf_text(&key) : NULL, op->order, err);
}

bool follow_left_out_heal(struct follow_applier *a, const struct follow_op *op, struct gw_error *err)
{
    bool ok = true;
    if (op->kind == GW_CHANGE_TRUNCATE) {
        if (follow_join_whole(&a->join, op->collection, op->transaction, op->order) != FOLLOW_APPLY)
            return true;
        ok = heal(a, op, NULL, err);
    } else {
        ok = (op->kind == GW_CHANGE_INSERT || heal(a, op, &op->key, err)) &&
             (op->kind == GW_CHANGE_DELETE || heal(a, op, &op->row, err));
    }
    GW_CRASH_POINT("follow.left_out.after_heal");
    a->left_out.healed |= ok;
    a->row_due |= ok; /* the notes go when the row is durably there */
    return ok;
}
