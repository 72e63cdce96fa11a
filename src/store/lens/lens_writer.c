/* Writing through the map: rows arrive in the source's own form, and leave in the target's. */
#include "base/mem.h"
#include "store/lens/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)256 << 10) /* so much is packed before it is put */
#define LARGE_BYTES ((size_t)1 << 20)   /* a row of more is packed and put while no other such row is */

/* Each worker that packs a large row holds it twice: one at a time in this process bounds that. */
static pthread_mutex_t large_rows = PTHREAD_MUTEX_INITIALIZER;

struct lens_pair { /* of one collection; opened when first met */
    struct gw_codec *from, *to;
};

struct lens_writer {
    struct lens *lens;
    struct gw_writer *inner;
    struct gw_map_run *run;
    struct gw_map_run *run_back; /* for keys that are listed; NULL until then */
    struct lens_pair *pairs;     /* by collection */
    struct gw_arena arena;
    struct gw_datum *in, *out; /* one row */
    size_t in_capacity, out_capacity;
    struct gw_buf why;

    /* the chunk at hand */
    const struct gw_collection *source;
    uint64_t chunk;
    struct gw_buf block;
    uint64_t block_rows, not_written;
};

static struct lens_writer *writer_of(struct gw_writer *writer)
{
    return (struct lens_writer *)(void *)writer;
}

static const struct gw_writer_facet *inner_writer(const struct lens_writer *w)
{
    return w->lens->inner->type->writer;
}

static struct gw_store *source_store(const struct lens *lens)
{
    return lens->options.sides[gw_side_other(lens->side)];
}

static const struct gw_codec_facet *codec_from(const struct lens_writer *w)
{
    return source_store(w->lens)->type->codec;
}

static const struct gw_codec_facet *codec_to(const struct lens_writer *w)
{
    return w->lens->inner->type->codec;
}

/* The codecs of a collection, and room for one row of it. */
static bool pair_of(struct lens_writer *w, const struct gw_collection *source, struct lens_pair **out,
                    struct gw_error *err)
{
    const struct gw_collection *target = lens_own(w->lens, source);
    struct lens_pair *pair = &w->pairs[source->id];
    if (!pair->from && !codec_from(w)->open(source_store(w->lens), source, &pair->from, err))
        return false;
    if (!pair->to && !codec_to(w)->open(w->lens->inner, target, &pair->to, err))
        return false;
    if (w->in_capacity < source->column_count)
        w->in = gw_realloc(w->in, (w->in_capacity = source->column_count) * sizeof *w->in);
    if (w->out_capacity < target->column_count)
        w->out = gw_realloc(w->out, (w->out_capacity = target->column_count) * sizeof *w->out);
    *out = pair;
    return true;
}

/* ---- session ----------------------------------------------------------------------------------------------------- */

static void lens_writer_close(struct gw_writer *writer)
{
    struct lens_writer *w = writer_of(writer);
    if (!w)
        return;
    size_t count = w->lens->options.schemas[GW_BLUE]->count;
    for (size_t i = 0; w->pairs && i < count; i++) {
        codec_from(w)->close(w->pairs[i].from);
        codec_to(w)->close(w->pairs[i].to);
    }
    inner_writer(w)->close(w->inner);
    gw_map_run_close(w->run);
    gw_map_run_close(w->run_back);
    gw_arena_release(&w->arena);
    gw_buf_release(&w->block);
    gw_buf_release(&w->why);
    free(w->pairs);
    free(w->in);
    free(w->out);
    free(w);
}

static bool lens_writer_open(struct gw_store *store, const char *stream, struct gw_writer **out, struct gw_error *err)
{
    struct lens_writer *w = gw_zalloc(sizeof *w);
    w->lens = lens_of(store);
    w->pairs = gw_calloc(w->lens->options.schemas[GW_BLUE]->count + 1, sizeof *w->pairs);
    if (!gw_map_run_open(w->lens->options.map, w->lens->back, &w->run, err) ||
        !inner_writer(w)->open(w->lens->inner, stream, &w->inner, err)) {
        lens_writer_close((struct gw_writer *)(void *)w);
        return false;
    }
    *out = (struct gw_writer *)(void *)w;
    return true;
}

/* ---- load -------------------------------------------------------------------------------------------------------- */

static bool lens_begin_chunk(struct gw_writer *writer, const struct gw_collection *source,
                             const struct gw_checkpoint *checkpoint, bool *already, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    const struct gw_lens_options *options = &w->lens->options;
    struct lens_pair *pair;
    if (!pair_of(w, source, &pair, err))
        return false;
    codec_from(w)->restart(pair->from);
    w->source = source;
    w->chunk = checkpoint->chunk;
    w->block_rows = w->not_written = 0;
    gw_buf_clear(&w->block);
    if (!inner_writer(w)->begin_chunk(w->inner, lens_own(w->lens, source), checkpoint, already, err))
        return false;
    if (!*already && options->begins && !options->begins(options->set_aside_arg, w->chunk, err))
        return false;
    codec_to(w)->pack_first(pair->to, &w->block);
    return true;
}

static bool put_block(struct lens_writer *w, struct gw_error *err)
{
    if (w->block.len == 0)
        return true;
    struct gw_block block = {.bytes = w->block.data, .len = w->block.len, .rows = w->block_rows};
    bool ok = inner_writer(w)->put(w->inner, &block, err);
    gw_buf_shrink(&w->block, BLOCK_BYTES * 2);
    gw_buf_clear(&w->block);
    w->block_rows = 0;
    return ok;
}

static void print_key(const struct gw_collection *collection, const struct gw_datum *row, struct gw_buf *out)
{
    for (size_t i = 0; i < collection->key_count; i++) {
        gw_buf_addf(out, "%s%s=", i > 0 ? ", " : "", collection->columns[collection->key[i]].name);
        gw_datum_print(&row[collection->key[i]], out);
    }
}

static bool set_aside(struct lens_writer *w, struct gw_error *err)
{
    const struct gw_lens_options *options = &w->lens->options;
    gw_autobuf struct gw_buf key = {0};
    print_key(w->source, w->in, &key);
    if (!options->set_aside)
        return gw_fail(err, GW_ERR_CONFLICT, "%s", gw_buf_text(&w->why));
    return options->set_aside(options->set_aside_arg, w->chunk, w->source, gw_buf_text(&key), gw_buf_text(&w->why),
                              err);
}

static bool name_row(struct lens_writer *w, struct gw_error *err)
{
    gw_autobuf struct gw_buf key = {0};
    print_key(w->source, w->in, &key);
    return gw_error_place(err, "%s, %.200s", gw_collection_label(w->source), gw_buf_text(&key));
}

static size_t row_bytes(const struct lens_writer *w)
{
    size_t bytes = 0;
    for (size_t i = 0; i < w->source->column_count; i++)
        if (gw_kind_has_bytes(w->in[i].kind))
            bytes += w->in[i].len;
    return bytes;
}

static bool put_mapped(struct lens_writer *w, struct lens_pair *pair, struct gw_error *err)
{
    enum gw_map_verdict verdict;
    gw_buf_clear(&w->why);
    if (!gw_map_row(w->run, w->source->id, w->in, w->out, &verdict, &w->why, err))
        return name_row(w, err);
    if (verdict == GW_MAP_KEEP) {
        if (!codec_to(w)->pack(pair->to, w->out, &w->block, err))
            return name_row(w, err);
        w->block_rows++;
    } else {
        w->not_written++;
        if (verdict == GW_MAP_SET_ASIDE && !set_aside(w, err))
            return false;
    }
    gw_map_run_reset(w->run);
    return w->block.len < BLOCK_BYTES || put_block(w, err);
}

static bool put_row(struct lens_writer *w, struct lens_pair *pair, struct gw_error *err)
{
    if (row_bytes(w) < LARGE_BYTES)
        return put_mapped(w, pair, err);
    pthread_mutex_lock(&large_rows);
    bool ok = put_mapped(w, pair, err);
    pthread_mutex_unlock(&large_rows);
    return ok;
}

static bool lens_put(struct gw_writer *writer, const struct gw_block *block, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    struct lens_pair *pair = &w->pairs[w->source->id];
    if (!codec_from(w)->feed(pair->from, block, err))
        return false;
    for (;;) {
        bool got;
        if (!codec_from(w)->row(pair->from, w->in, &got, err))
            return false;
        if (!got)
            return true;
        if (!put_row(w, pair, err))
            return false;
    }
}

static bool lens_commit_chunk(struct gw_writer *writer, uint64_t *rows, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    codec_to(w)->pack_last(w->pairs[w->source->id].to, &w->block);
    if (!put_block(w, err) || !inner_writer(w)->commit_chunk(w->inner, rows, err))
        return false;
    *rows += w->not_written;
    return true;
}

/* ---- apply ------------------------------------------------------------------------------------------------------- */

/* What is on green belongs on blue, whatever the filter says: a rollback must lose nothing that green was told. */
static bool filters(const struct lens *lens, const struct gw_collection *collection)
{
    return !lens->back && gw_map_filters(lens->options.map, collection->id);
}

struct mapped { /* a part in the target's terms; in the writer's arena */
    struct gw_part part;
    struct gw_row *keys, *rows;
    bool *leaves, *arrives; /* filtered: the old row may be there, the new one belongs there */
};

static bool map_whole(struct lens_writer *w, struct lens_pair *pair, uint32_t collection, bool update,
                      const struct gw_row *row, struct gw_row *out, bool *kept, struct gw_error *err)
{
    bool (*map)(struct gw_map_run *, uint32_t, const struct gw_datum *, struct gw_datum *, enum gw_map_verdict *,
                struct gw_buf *, struct gw_error *) = update ? gw_map_row_update : gw_map_row;
    enum gw_map_verdict verdict;
    gw_buf_clear(&w->why);
    if (!codec_from(w)->decode(pair->from, row, &w->arena, w->in, err) ||
        !map(w->run, collection, w->in, w->out, &verdict, &w->why, err))
        return false;
    if (verdict == GW_MAP_SET_ASIDE)
        return gw_fail(err, GW_ERR_CONFLICT, "%s", gw_buf_text(&w->why));
    *kept = verdict == GW_MAP_KEEP;
    return !*kept || codec_to(w)->encode(pair->to, w->out, &w->arena, out, err);
}

static bool map_key(struct lens_writer *w, struct lens_pair *pair, const struct gw_collection *source,
                    const struct gw_row *key, struct gw_row *out, bool *kept, struct gw_error *err)
{
    if (source->key_count == 0)
        return map_whole(w, pair, source->id, false, key, out, kept, err);
    *kept = true;
    return codec_from(w)->decode(pair->from, key, &w->arena, w->in, err) &&
           gw_map_key(w->run, source->id, w->in, w->out, err) &&
           codec_to(w)->encode(pair->to, w->out, &w->arena, out, err);
}

static bool map_part(struct lens_writer *w, const struct gw_part *part, struct mapped *out, struct gw_error *err)
{
    struct lens_pair *pair;
    if (!pair_of(w, part->collection, &pair, err))
        return false;
    *out = (struct mapped){.part = {.kind = part->kind, .collection = lens_own(w->lens, part->collection)}};
    out->keys = gw_arena_alloc(&w->arena, (part->count + 1) * sizeof *out->keys);
    out->rows = gw_arena_alloc(&w->arena, (part->count + 1) * sizeof *out->rows);
    out->leaves = gw_arena_zalloc(&w->arena, part->count + 1);
    out->arrives = gw_arena_zalloc(&w->arena, part->count + 1);
    /* Under a filter an update comes as a new row. */
    bool update = part->kind == GW_CHANGE_UPDATE && !filters(w->lens, part->collection);
    for (size_t i = 0; i < part->count; i++) {
        if (part->keys && !map_key(w, pair, part->collection, &part->keys[i], &out->keys[i], &out->leaves[i], err))
            return false;
        if (part->rows &&
            !map_whole(w, pair, part->collection->id, update, &part->rows[i], &out->rows[i], &out->arrives[i], err))
            return false;
    }
    return true;
}

static bool write_inner(struct lens_writer *w, const struct gw_part *part, bool send, uint64_t *touched,
                        struct gw_error *err)
{
    uint64_t count = 0;
    if (part->count == 0)
        return true;
    if (send)
        return inner_writer(w)->send(w->inner, part, err);
    if (!inner_writer(w)->apply(w->inner, part, &count, err))
        return false;
    *touched += count;
    return true;
}

static size_t keep_only(struct gw_row *rows, const bool *kept, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (kept[i])
            rows[n++] = rows[i];
    return n;
}

/* Which rows the target has is not known without looking: the old ones go if they are there, the new ones come. */
static bool write_filtered(struct lens_writer *w, const struct gw_part *part, struct mapped *mapped, bool send,
                           uint64_t *touched, struct gw_error *err)
{
    uint64_t unused = 0;
    struct gw_part gone = {.kind = GW_CHANGE_DELETE,
                           .collection = mapped->part.collection,
                           .keys = mapped->keys,
                           .may_miss = part->collection->key_count > 0};
    struct gw_part come = {.kind = GW_CHANGE_INSERT, .collection = mapped->part.collection, .rows = mapped->rows};
    gone.count = part->keys ? keep_only(mapped->keys, mapped->leaves, part->count) : 0;
    come.count = part->rows ? keep_only(mapped->rows, mapped->arrives, part->count) : 0;
    *touched += part->count;
    return write_inner(w, &gone, send, &unused, err) && write_inner(w, &come, send, &unused, err);
}

static bool same_unchanged(const struct gw_row *a, const struct gw_row *b)
{
    for (uint32_t c = 0; c < a->count; c++)
        if ((a->values[c].kind == GW_VALUE_UNCHANGED) != (b->values[c].kind == GW_VALUE_UNCHANGED))
            return false;
    return true;
}

/* Updates of a part leave out the same columns on the target, too; where a rule made them differ they go in runs. */
static bool write_runs(struct lens_writer *w, const struct gw_part *part, struct mapped *mapped, bool send,
                       uint64_t *touched, struct gw_error *err)
{
    for (size_t from = 0, count; from < part->count; from += count) {
        count = 1;
        if (part->kind == GW_CHANGE_UPDATE)
            while (from + count < part->count && same_unchanged(&mapped->rows[from], &mapped->rows[from + count]))
                count++;
        else
            count = part->count;
        mapped->part.count = count;
        mapped->part.keys = part->keys ? mapped->keys + from : NULL;
        mapped->part.rows = part->rows ? mapped->rows + from : NULL;
        mapped->part.may_miss = part->may_miss;
        if (!write_inner(w, &mapped->part, send, touched, err))
            return false;
    }
    return true;
}

static bool write_part(struct lens_writer *w, const struct gw_part *part, bool send, uint64_t *touched,
                       struct gw_error *err)
{
    struct mapped mapped;
    bool ok = map_part(w, part, &mapped, err) &&
              (filters(w->lens, part->collection) ? write_filtered(w, part, &mapped, send, touched, err)
                                                  : write_runs(w, part, &mapped, send, touched, err));
    gw_arena_reset(&w->arena);
    gw_map_run_reset(w->run);
    return ok;
}

static bool lens_apply(struct gw_writer *writer, const struct gw_part *part, uint64_t *touched, struct gw_error *err)
{
    *touched = 0;
    return write_part(writer_of(writer), part, false, touched, err);
}

static bool lens_send(struct gw_writer *writer, const struct gw_part *part, struct gw_error *err)
{
    uint64_t unused = 0;
    return write_part(writer_of(writer), part, true, &unused, err);
}

static bool lens_whole_rows(struct gw_writer *writer, const struct gw_collection *collection)
{
    const struct lens *lens = writer_of(writer)->lens;
    return filters(lens, collection) || gw_map_needs_whole_rows(lens->options.map, collection->id, lens->back);
}

static bool left_behind(const struct gw_collection *collection, struct gw_error *err)
{
    gw_fail(err, GW_ERR_CONFLICT, "%s was truncated on green, and on blue it holds rows that where left behind",
            gw_collection_label(collection));
    return gw_error_hint(err, "delete on blue what green had, as godwit's role, then clear the item");
}

static bool lens_truncate(struct gw_writer *writer, const struct gw_collection *const *collections, size_t count,
                          struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    for (size_t i = 0; w->lens->back && i < count; i++)
        if (gw_map_filters(w->lens->options.map, collections[i]->id))
            return left_behind(lens_own(w->lens, collections[i]), err);
    const struct gw_collection **own = gw_calloc(count + 1, sizeof *own);
    for (size_t i = 0; i < count; i++)
        own[i] = lens_own(w->lens, collections[i]);
    bool ok = inner_writer(w)->truncate(w->inner, own, count, err);
    free(own);
    return ok;
}

static bool lens_delete_range(struct gw_writer *writer, const struct gw_collection *collection,
                              const struct gw_range *range, struct gw_error *err)
{
    (void)writer;
    (void)range;
    return gw_fail(err, GW_ERR_BUG, "%s: two engines do not order keys alike", gw_collection_label(collection));
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static bool list_key(struct lens_writer *w, struct lens_pair *pair, const struct gw_collection *source,
                     const struct gw_row *key, struct gw_row *out, struct gw_error *err)
{
    const struct gw_collection *own = lens_own(w->lens, source);
    struct gw_row places = {.count = (uint32_t)own->column_count, .values = NULL}, row;
    places.values = gw_arena_alloc(&w->arena, own->column_count * sizeof *places.values);
    for (size_t c = 0; c < own->column_count; c++)
        places.values[c] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    for (size_t i = 0; i < own->key_count; i++)
        places.values[own->key[i]] = key->values[i];
    if (!codec_to(w)->decode(pair->to, &places, &w->arena, w->out, err) ||
        !gw_map_key(w->run_back, source->id, w->out, w->in, err) ||
        !codec_from(w)->encode(pair->from, w->in, &w->arena, &row, err))
        return false;
    out->count = (uint32_t)source->key_count;
    out->values = gw_arena_alloc(&w->arena, (source->key_count + 1) * sizeof *out->values);
    for (size_t i = 0; i < source->key_count; i++)
        out->values[i] = row.values[source->key[i]];
    return true;
}

static bool listed_keys(struct lens_writer *w, struct lens_pair *pair, const struct gw_collection *source,
                        const struct gw_row *listed, size_t count, const struct gw_row **keys, struct gw_error *err)
{
    if (!w->run_back && !gw_map_run_open(w->lens->options.map, !w->lens->back, &w->run_back, err))
        return false;
    gw_map_run_reset(w->run_back);
    struct gw_row *out = gw_arena_alloc(&w->arena, (count + 1) * sizeof *out);
    for (size_t i = 0; i < count; i++)
        if (!list_key(w, pair, source, &listed[i], &out[i], err))
            return false;
    *keys = out;
    return true;
}

static bool lens_list_keys(struct gw_writer *writer, const struct gw_collection *source, bool first, size_t most,
                           const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    const struct gw_row *listed;
    struct lens_pair *pair;
    gw_arena_reset(&w->arena);
    return pair_of(w, source, &pair, err) &&
           inner_writer(w)->list_keys(w->inner, lens_own(w->lens, source), first, most, &listed, count, err) &&
           listed_keys(w, pair, source, listed, *count, keys, err);
}

static bool lens_find(struct gw_writer *writer, const struct gw_collection *source, const struct gw_row *like,
                      const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    enum gw_map_verdict verdict;
    const struct gw_row *listed;
    struct gw_row own;
    struct lens_pair *pair;
    if (!inner_writer(w)->find)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "%s cannot look for the rows that a foreign key changed",
                       w->lens->inner->type->name);
    gw_arena_reset(&w->arena);
    gw_map_run_reset(w->run);
    return pair_of(w, source, &pair, err) && codec_from(w)->decode(pair->from, like, &w->arena, w->in, err) &&
           gw_map_row(w->run, source->id, w->in, w->out, &verdict, NULL, err) &&
           codec_to(w)->encode(pair->to, w->out, &w->arena, &own, err) &&
           inner_writer(w)->find(w->inner, lens_own(w->lens, source), &own, &listed, count, err) &&
           listed_keys(w, pair, source, listed, *count, keys, err);
}

/* ---- what passes through ----------------------------------------------------------------------------------------- */

static bool lens_begin(struct gw_writer *writer, const struct gw_position *reached, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    return inner_writer(w)->begin(w->inner, reached, err);
}

static bool lens_note_signal(struct gw_writer *writer, const char *token, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    return inner_writer(w)->note_signal(w->inner, token, err);
}

static bool lens_savepoint(struct gw_writer *writer, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    return inner_writer(w)->savepoint(w->inner, err);
}

static bool lens_rollback_to(struct gw_writer *writer, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    return inner_writer(w)->rollback_to(w->inner, err);
}

static bool lens_commit(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    return inner_writer(w)->commit(w->inner, durable, err);
}

static bool lens_commit_ahead(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    return inner_writer(w)->commit_ahead(w->inner, durable, err);
}

static bool lens_await(struct gw_writer *writer, struct gw_error *err)
{
    struct lens_writer *w = writer_of(writer);
    return inner_writer(w)->await(w->inner, err);
}

static bool lens_busy(struct gw_writer *writer)
{
    struct lens_writer *w = writer_of(writer);
    return inner_writer(w)->busy && inner_writer(w)->busy(w->inner);
}

static void lens_rollback(struct gw_writer *writer)
{
    struct lens_writer *w = writer_of(writer);
    inner_writer(w)->rollback(w->inner);
}

static bool lens_position(struct gw_store *store, const char *stream, struct gw_position *out, struct gw_error *err)
{
    struct gw_store *inner = lens_of(store)->inner;
    return inner->type->writer->position(inner, stream, out, err);
}

static bool lens_checkpoints(struct gw_store *store, struct gw_checkpoint **out, size_t *count, struct gw_error *err)
{
    struct gw_store *inner = lens_of(store)->inner;
    return inner->type->writer->checkpoints(inner, out, count, err);
}

const struct gw_writer_facet lens_writer_facet = {
    .open = lens_writer_open,
    .close = lens_writer_close,
    .begin_chunk = lens_begin_chunk,
    .put = lens_put,
    .commit_chunk = lens_commit_chunk,
    .begin = lens_begin,
    .apply = lens_apply,
    .send = lens_send,
    .whole_rows = lens_whole_rows,
    .truncate = lens_truncate,
    .delete_range = lens_delete_range,
    .list_keys = lens_list_keys,
    .find = lens_find,
    .note_signal = lens_note_signal,
    .savepoint = lens_savepoint,
    .rollback_to = lens_rollback_to,
    .commit = lens_commit,
    .commit_ahead = lens_commit_ahead,
    .await = lens_await,
    .busy = lens_busy,
    .rollback = lens_rollback,
    .position = lens_position,
    .checkpoints = lens_checkpoints,
};
