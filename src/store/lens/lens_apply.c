/* Parts of a batch through the map. */
#include "base/mem.h"
#include "store/lens/writer.h"

#include <stdlib.h>

/* What is on green belongs on blue, whatever the filter says: a rollback must lose nothing that green was told. */
static bool filters(const struct lens *lens, const struct gw_collection *collection)
{
    return !lens->back && gw_map_filters(lens->options.map, collection->id);
}

static bool encode_mapped(struct lens_writer *w, struct lens_pair *pair, enum gw_map_verdict verdict,
                          struct gw_row *out, bool *kept, struct gw_error *err)
{
    if (verdict == GW_MAP_SET_ASIDE)
        return gw_fail(err, GW_ERR_CONFLICT, "%s", gw_buf_text(&w->why));
    *kept = verdict == GW_MAP_KEEP;
    return !*kept || lens_codec_to(w)->encode(pair->to, w->out, &w->arena, out, err);
}

static bool map_whole(struct lens_writer *w, struct lens_pair *pair, uint32_t collection, const struct gw_row *row,
                      struct gw_row *out, bool *kept, struct gw_error *err)
{
    enum gw_map_verdict verdict = GW_MAP_KEEP;
    gw_buf_clear(&w->why);
    return lens_codec_from(w)->decode(pair->from, row, &w->arena, w->in, err) &&
           gw_map_row(w->run, collection, w->in, w->out, &verdict, &w->why, err) &&
           encode_mapped(w, pair, verdict, out, kept, err);
}

/* Row `at` of an UPDATE, without what stays as it is. */
static bool map_updated(struct lens_writer *w, struct lens_pair *pair, const struct gw_part *part,
                        struct lens_mapped *mapped, size_t at, struct gw_error *err)
{
    enum gw_map_verdict verdict = GW_MAP_KEEP;
    struct gw_row *out = &mapped->rows[at];
    const struct gw_value *holds = mapped->holds[at];
    gw_buf_clear(&w->why);
    if (!lens_codec_from(w)->decode(pair->from, &part->rows[at], &w->arena, w->in, err) ||
        !gw_map_row_update(w->run, part->collection->id, w->in, mapped->stays[at], w->out, &verdict, &w->why, err) ||
        !encode_mapped(w, pair, verdict, out, &mapped->arrives[at], err))
        return false;
    for (size_t c = 0; holds && c < out->count; c++)
        if (holds[c].kind != GW_VALUE_ABSENT)
            out->values[c] = holds[c];
    return true;
}

static bool map_key(struct lens_writer *w, struct lens_pair *pair, const struct gw_collection *source,
                    const struct gw_row *key, struct gw_row *out, bool *kept, struct gw_error *err)
{
    if (source->key_count == 0)
        return map_whole(w, pair, source->id, key, out, kept, err);
    *kept = true;
    return lens_codec_from(w)->decode(pair->from, key, &w->arena, w->in, err) &&
           gw_map_key(w->run, source->id, w->in, w->out, err) &&
           lens_codec_to(w)->encode(pair->to, w->out, &w->arena, out, err);
}

/* Of an old row that has no form on the target nothing is known but what it is on the source. */
static void forget_key(struct lens_writer *w, const struct gw_collection *source, struct gw_row *out)
{
    uint32_t count = (uint32_t)lens_own(w->lens, source)->column_count;
    *out = (struct gw_row){.count = count, .values = gw_arena_alloc(&w->arena, count * sizeof *out->values)};
    for (uint32_t c = 0; c < count; c++)
        out->values[c] = (struct gw_value){.kind = GW_VALUE_ABSENT};
}

static bool map_keys(struct lens_writer *w, struct lens_pair *pair, const struct gw_part *part, struct lens_mapped *out,
                     struct gw_error *err)
{
    bool searches = part->collection->key_count == 0 && lens_forms_of(w, part->collection)->searches;
    for (size_t i = 0; part->keys && i < part->count; i++) {
        if (map_key(w, pair, part->collection, &part->keys[i], &out->keys[i], &out->leaves[i], err))
            continue;
        if (!searches || err->kind != GW_ERR_CONFLICT)
            return false;
        gw_error_clear(err);
        forget_key(w, part->collection, &out->keys[i]);
    }
    return true;
}

/* Rows without key by what they are on the source. */
static bool search_rows(struct lens_writer *w, struct lens_pair *pair, const struct gw_part *part,
                        struct lens_mapped *mapped, struct gw_error *err)
{
    for (size_t i = 0; i < part->count; i++) {
        bool found = false;
        if (!lens_search(w, pair, part, mapped, i, &found, err))
            return false;
        if (!found && !mapped->leaves[i])
            return gw_fail(err, GW_ERR_CONFLICT, "the row to change is not on the target");
    }
    return true;
}

static bool look_first(struct lens_writer *w, struct lens_pair *pair, const struct gw_part *part,
                       struct lens_mapped *mapped, struct gw_error *err)
{
    const struct lens_forms *forms = lens_forms_of(w, part->collection);
    if (part->kind == GW_CHANGE_INSERT || filters(w->lens, part->collection))
        return true;
    if (part->collection->key_count == 0)
        return !forms->searches || search_rows(w, pair, part, mapped, err);
    return part->kind != GW_CHANGE_UPDATE || !forms->keeps || lens_keep_forms(w, pair, part, mapped, err);
}

static bool map_rows(struct lens_writer *w, struct lens_pair *pair, const struct gw_part *part, struct lens_mapped *out,
                     struct gw_error *err)
{
    /* Under a filter an update comes as a new row. */
    bool update = part->kind == GW_CHANGE_UPDATE && !filters(w->lens, part->collection);
    bool any = false;
    for (size_t i = 0; part->rows && i < part->count; i++) {
        any |= out->stays[i] != NULL;
        if (!(update ? map_updated(w, pair, part, out, i, err)
                     : map_whole(w, pair, part->collection->id, &part->rows[i], &out->rows[i], &out->arrives[i], err)))
            return false;
    }
    if (any && part->count > 1)
        lens_put_in_order(w, out, part->count);
    return true;
}

static bool map_part(struct lens_writer *w, const struct gw_part *part, struct lens_mapped *out, struct gw_error *err)
{
    struct lens_pair *pair;
    if (!lens_pair_of(w, part->collection, &pair, err))
        return false;
    *out = (struct lens_mapped){.part = {.kind = part->kind, .collection = lens_own(w->lens, part->collection)}};
    out->keys = gw_arena_alloc(&w->arena, (part->count + 1) * sizeof *out->keys);
    out->rows = gw_arena_alloc(&w->arena, (part->count + 1) * sizeof *out->rows);
    out->leaves = gw_arena_zalloc(&w->arena, part->count + 1);
    out->arrives = gw_arena_zalloc(&w->arena, part->count + 1);
    out->stays = gw_arena_zalloc(&w->arena, (part->count + 1) * sizeof *out->stays);
    out->holds = gw_arena_zalloc(&w->arena, (part->count + 1) * sizeof *out->holds);
    return map_keys(w, pair, part, out, err) && look_first(w, pair, part, out, err) &&
           map_rows(w, pair, part, out, err);
}

static bool write_inner(struct lens_writer *w, const struct gw_part *part, bool send, uint64_t *touched,
                        struct gw_error *err)
{
    uint64_t count = 0;
    if (part->count == 0)
        return true;
    if (send)
        return lens_inner_writer(w)->send(w->inner, part, err);
    if (!lens_inner_writer(w)->apply(w->inner, part, &count, err))
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
static bool write_filtered(struct lens_writer *w, const struct gw_part *part, struct lens_mapped *mapped, bool send,
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
static bool write_runs(struct lens_writer *w, const struct gw_part *part, struct lens_mapped *mapped, bool send,
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

/* A row that was not there by its key, in another form of the key. */
static bool try_otherwise(struct lens_writer *w, const struct gw_part *part, struct lens_mapped *mapped,
                          uint64_t *touched, struct gw_error *err)
{
    struct lens_pair *pair = &w->pairs[part->collection->id];
    bool found = false;
    if (part->kind == GW_CHANGE_INSERT || part->collection->key_count == 0 || part->count != 1 || *touched > 0 ||
        !pair->forms.key_free)
        return true;
    if (!lens_search(w, pair, part, mapped, 0, &found, err))
        return false;
    return !found || (map_rows(w, pair, part, mapped, err) && write_runs(w, part, mapped, false, touched, err));
}

static bool write_part(struct lens_writer *w, const struct gw_part *part, bool send, uint64_t *touched,
                       struct gw_error *err)
{
    struct lens_mapped mapped;
    bool ok = map_part(w, part, &mapped, err);
    if (ok && filters(w->lens, part->collection))
        ok = write_filtered(w, part, &mapped, send, touched, err);
    else
        ok = ok && write_runs(w, part, &mapped, send, touched, err) &&
             (send || try_otherwise(w, part, &mapped, touched, err));
    gw_arena_reset(&w->arena);
    gw_map_run_reset(w->run);
    return ok;
}

bool lens_apply(struct gw_writer *writer, const struct gw_part *part, uint64_t *touched, struct gw_error *err)
{
    *touched = 0;
    return write_part(lens_writer_of(writer), part, false, touched, err);
}

bool lens_send(struct gw_writer *writer, const struct gw_part *part, struct gw_error *err)
{
    uint64_t unused = 0;
    return write_part(lens_writer_of(writer), part, true, &unused, err);
}

bool lens_whole_rows(struct gw_writer *writer, const struct gw_collection *collection)
{
    const struct lens *lens = lens_writer_of(writer)->lens;
    return filters(lens, collection) || gw_map_needs_whole_rows(lens->options.map, collection->id, lens->back);
}

bool lens_keeps_form(struct gw_writer *writer, const struct gw_collection *collection)
{
    struct lens_writer *w = lens_writer_of(writer);
    return !filters(w->lens, collection) && lens_forms_of(w, collection)->keeps;
}

static bool left_behind(const struct gw_collection *collection, struct gw_error *err)
{
    gw_fail(err, GW_ERR_CONFLICT, "%s was truncated on green, and on blue it holds rows that where left behind",
            gw_collection_label(collection));
    return gw_error_hint(err, "delete on blue what green had, as godwit's role, then clear the item");
}

bool lens_truncate(struct gw_writer *writer, const struct gw_collection *const *collections, size_t count,
                   struct gw_error *err)
{
    struct lens_writer *w = lens_writer_of(writer);
    for (size_t i = 0; w->lens->back && i < count; i++)
        if (gw_map_filters(w->lens->options.map, collections[i]->id))
            return left_behind(lens_own(w->lens, collections[i]), err);
    const struct gw_collection **own = gw_calloc(count + 1, sizeof *own);
    for (size_t i = 0; i < count; i++)
        own[i] = lens_own(w->lens, collections[i]);
    bool ok = lens_inner_writer(w)->truncate(w->inner, own, count, err);
    free(own);
    return ok;
}
