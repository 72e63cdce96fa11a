/* Writing through the map: rows arrive in the source's own form, and leave in the target's. */
#include "base/mem.h"
#include "store/lens/writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)256 << 10) /* so much is packed before it is put */
#define LARGE_BYTES ((size_t)1 << 20)   /* a row of more is packed and put while no other such row is */

/* Each worker that packs a large row holds it twice: one at a time in this process bounds that. */
static pthread_mutex_t large_rows = PTHREAD_MUTEX_INITIALIZER;

/* The codecs of a collection, and room for one row of it. */
bool lens_pair_of(struct lens_writer *w, const struct gw_collection *source, struct lens_pair **out,
                  struct gw_error *err)
{
    const struct gw_collection *target = lens_own(w->lens, source);
    struct lens_pair *pair = &w->pairs[source->id];
    if (!pair->from && !lens_codec_from(w)->open(lens_source_store(w->lens), source, &pair->from, err))
        return false;
    if (!pair->to && !lens_codec_to(w)->open(w->lens->inner, target, &pair->to, err))
        return false;
    if (w->in_capacity < source->column_count) {
        w->in = gw_realloc(w->in, (w->in_capacity = source->column_count) * sizeof *w->in);
        w->was = gw_realloc(w->was, w->in_capacity * sizeof *w->was);
    }
    if (w->out_capacity < target->column_count)
        w->out = gw_realloc(w->out, (w->out_capacity = target->column_count) * sizeof *w->out);
    *out = pair;
    return true;
}

bool lens_open_back(struct lens_writer *w, struct gw_error *err)
{
    if (!w->run_back && !gw_map_run_open(w->lens->options.map, !w->lens->back, &w->run_back, err))
        return false;
    gw_map_run_reset(w->run_back);
    return true;
}

/* ---- session ----------------------------------------------------------------------------------------------------- */

static void lens_writer_close(struct gw_writer *writer)
{
    struct lens_writer *w = lens_writer_of(writer);
    if (!w)
        return;
    size_t count = w->lens->options.schemas[GW_BLUE]->count;
    for (size_t i = 0; w->pairs && i < count; i++) {
        lens_codec_from(w)->close(w->pairs[i].from);
        lens_codec_to(w)->close(w->pairs[i].to);
        lens_forms_release(&w->pairs[i].forms);
    }
    lens_inner_writer(w)->close(w->inner);
    gw_map_run_close(w->run);
    gw_map_run_close(w->run_back);
    gw_arena_release(&w->arena);
    gw_arena_release(&w->work);
    gw_buf_release(&w->rooms[0]);
    gw_buf_release(&w->rooms[1]);
    gw_buf_release(&w->block);
    gw_buf_release(&w->why);
    free(w->pairs);
    free(w->in);
    free(w->out);
    free(w->was);
    free(w);
}

static bool lens_writer_open(struct gw_store *store, const char *stream, struct gw_writer **out, struct gw_error *err)
{
    struct lens_writer *w = gw_zalloc(sizeof *w);
    w->lens = lens_of(store);
    w->pairs = gw_calloc(w->lens->options.schemas[GW_BLUE]->count + 1, sizeof *w->pairs);
    if (!gw_map_run_open(w->lens->options.map, w->lens->back, &w->run, err) ||
        !lens_inner_writer(w)->open(w->lens->inner, stream, &w->inner, err)) {
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
    struct lens_writer *w = lens_writer_of(writer);
    const struct gw_lens_options *options = &w->lens->options;
    struct lens_pair *pair;
    if (!lens_pair_of(w, source, &pair, err))
        return false;
    lens_codec_from(w)->restart(pair->from);
    w->source = source;
    w->chunk = checkpoint->chunk;
    w->block_rows = w->not_written = 0;
    gw_buf_clear(&w->block);
    if (!lens_inner_writer(w)->begin_chunk(w->inner, lens_own(w->lens, source), checkpoint, already, err))
        return false;
    if (!*already && options->begins && !options->begins(options->set_aside_arg, w->chunk, err))
        return false;
    lens_codec_to(w)->pack_first(pair->to, &w->block);
    return true;
}

static bool put_block(struct lens_writer *w, struct gw_error *err)
{
    if (w->block.len == 0)
        return true;
    struct gw_block block = {.bytes = w->block.data, .len = w->block.len, .rows = w->block_rows};
    bool ok = lens_inner_writer(w)->put(w->inner, &block, err);
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
        if (!lens_codec_to(w)->pack(pair->to, w->out, &w->block, err))
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
    struct lens_writer *w = lens_writer_of(writer);
    struct lens_pair *pair = &w->pairs[w->source->id];
    if (!lens_codec_from(w)->feed(pair->from, block, err))
        return false;
    for (;;) {
        bool got;
        if (!lens_codec_from(w)->row(pair->from, w->in, &got, err))
            return false;
        if (!got)
            return true;
        if (!put_row(w, pair, err))
            return false;
    }
}

static bool lens_commit_chunk(struct gw_writer *writer, uint64_t *rows, struct gw_error *err)
{
    struct lens_writer *w = lens_writer_of(writer);
    lens_codec_to(w)->pack_last(w->pairs[w->source->id].to, &w->block);
    if (!put_block(w, err) || !lens_inner_writer(w)->commit_chunk(w->inner, rows, err))
        return false;
    *rows += w->not_written;
    return true;
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
    if (!lens_codec_to(w)->decode(pair->to, &places, &w->arena, w->out, err) ||
        !gw_map_key(w->run_back, source->id, w->out, w->in, err) ||
        !lens_codec_from(w)->encode(pair->from, w->in, &w->arena, &row, err))
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
    if (!lens_open_back(w, err))
        return false;
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
    struct lens_writer *w = lens_writer_of(writer);
    const struct gw_row *listed;
    struct lens_pair *pair;
    gw_arena_reset(&w->arena);
    return lens_pair_of(w, source, &pair, err) &&
           lens_inner_writer(w)->list_keys(w->inner, lens_own(w->lens, source), first, most, &listed, count, err) &&
           listed_keys(w, pair, source, listed, *count, keys, err);
}

static bool lens_find(struct gw_writer *writer, const struct gw_collection *source, const struct gw_row *like,
                      const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    struct lens_writer *w = lens_writer_of(writer);
    enum gw_map_verdict verdict;
    const struct gw_row *listed;
    struct gw_row own;
    struct lens_pair *pair;
    if (!lens_inner_writer(w)->find)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "%s cannot look for the rows that a foreign key changed",
                       w->lens->inner->type->name);
    gw_arena_reset(&w->arena);
    gw_map_run_reset(w->run);
    return lens_pair_of(w, source, &pair, err) && lens_codec_from(w)->decode(pair->from, like, &w->arena, w->in, err) &&
           gw_map_row(w->run, source->id, w->in, w->out, &verdict, NULL, err) &&
           lens_codec_to(w)->encode(pair->to, w->out, &w->arena, &own, err) &&
           lens_inner_writer(w)->find(w->inner, lens_own(w->lens, source), &own, &listed, count, err) &&
           listed_keys(w, pair, source, listed, *count, keys, err);
}

/* ---- what passes through ----------------------------------------------------------------------------------------- */

static bool lens_begin(struct gw_writer *writer, const struct gw_position *reached, struct gw_error *err)
{
    struct lens_writer *w = lens_writer_of(writer);
    return lens_inner_writer(w)->begin(w->inner, reached, err);
}

static bool lens_note_signal(struct gw_writer *writer, const char *token, struct gw_error *err)
{
    struct lens_writer *w = lens_writer_of(writer);
    return lens_inner_writer(w)->note_signal(w->inner, token, err);
}

static bool lens_savepoint(struct gw_writer *writer, struct gw_error *err)
{
    struct lens_writer *w = lens_writer_of(writer);
    return lens_inner_writer(w)->savepoint(w->inner, err);
}

static bool lens_rollback_to(struct gw_writer *writer, struct gw_error *err)
{
    struct lens_writer *w = lens_writer_of(writer);
    return lens_inner_writer(w)->rollback_to(w->inner, err);
}

static bool lens_commit(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    struct lens_writer *w = lens_writer_of(writer);
    return lens_inner_writer(w)->commit(w->inner, durable, err);
}

static bool lens_commit_ahead(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    struct lens_writer *w = lens_writer_of(writer);
    return lens_inner_writer(w)->commit_ahead(w->inner, durable, err);
}

static bool lens_await(struct gw_writer *writer, struct gw_error *err)
{
    struct lens_writer *w = lens_writer_of(writer);
    return lens_inner_writer(w)->await(w->inner, err);
}

static bool lens_busy(struct gw_writer *writer)
{
    struct lens_writer *w = lens_writer_of(writer);
    return lens_inner_writer(w)->busy && lens_inner_writer(w)->busy(w->inner);
}

static void lens_rollback(struct gw_writer *writer)
{
    struct lens_writer *w = lens_writer_of(writer);
    lens_inner_writer(w)->rollback(w->inner);
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
    .keeps_form = lens_keeps_form,
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
