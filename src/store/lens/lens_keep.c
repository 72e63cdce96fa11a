/*
 * The form of what an update leaves alone. The map makes one form of a value: 0 of a boolean, a document without its
 * spaces. The row on the target may hold the same value in another one ('f', spaces and all), in columns that nobody
 * touched, for a change carries the row whole. So the row is looked at before it is updated, and mapped to the terms of
 * the source: what is there what the change says stays as it is.
 *
 * Likewise a row without key is told by what it is on the other side.
 */
#include "base/mem.h"
#include "store/lens/writer.h"

#include <stdlib.h>
#include <string.h>

/* ---- which columns ----------------------------------------------------------------------------------------------- */

static void add_sources(struct lens_forms *forms, size_t count)
{
    for (size_t s = 0; s < count; s++)
        forms->compared[s] |= forms->scratch[s];
}

static void note_column(struct lens_writer *w, struct lens_forms *forms, uint32_t collection, size_t t)
{
    const struct lens *lens = w->lens;
    const struct gw_map *map = lens->options.map;
    const struct gw_collection *own = &lens->options.schemas[lens->side]->collections[collection];
    const struct gw_column_definition *definition = &lens_definition(lens, lens->side, collection)->columns[t];
    size_t sources = lens->options.schemas[gw_side_other(lens->side)]->collections[collection].column_count;
    enum gw_map_form form = gw_map_form(map, collection, (int)t, lens->back);
    bool key = own->columns[t].key_position > 0;
    memset(forms->scratch, 0, sources);
    if (own->columns[t].generated)
        return;
    bool made = gw_map_sources(map, collection, (int)t, lens->back, forms->scratch);
    forms->searches |= own->key_count == 0 && (!made || form != GW_MAP_FORM_KEPT);
    forms->exact[t] = made && form == GW_MAP_FORM_KEPT;
    forms->usual[t] = made && form != GW_MAP_FORM_FREE;
    forms->touches[t] = definition->updates_to_now;
    /* What nothing is made of is left out, and then the engine writes it. */
    bool touched = !made && definition->updates_to_now;
    if (!touched && (!made || form == GW_MAP_FORM_KEPT))
        return;
    forms->key_free |= key;
    /* A key that was found by its value is that value, but where 1 and 1.0 are both. */
    forms->free[t] = !key || definition->type.loose;
    forms->keeps |= forms->free[t];
    add_sources(forms, sources);
}

const struct lens_forms *lens_forms_of(struct lens_writer *w, const struct gw_collection *source)
{
    struct lens_forms *forms = &w->pairs[source->id].forms;
    size_t columns = lens_own(w->lens, source)->column_count, sources = source->column_count;
    if (forms->known)
        return forms;
    forms->known = true;
    if (!lens_inner_writer(w)->current)
        return forms;
    bool *room = gw_calloc(4 * columns + 3 * sources + 1, sizeof *room);
    *forms = (struct lens_forms){.known = true,
                                 .free = room,
                                 .touches = room + columns,
                                 .exact = room + 2 * columns,
                                 .usual = room + 3 * columns,
                                 .compared = room + 4 * columns,
                                 .same = room + 4 * columns + sources,
                                 .scratch = room + 4 * columns + 2 * sources};
    for (size_t t = 0; t < columns; t++)
        note_column(w, forms, source->id, t);
    return forms;
}

void lens_forms_release(struct lens_forms *forms)
{
    free(forms->free);
}

/* ---- a row as it is, in the terms of the source ------------------------------------------------------------------- */

struct look {
    struct lens_writer *w;
    struct lens_pair *pair;
    const struct gw_part *part;
    struct lens_mapped *mapped;
    size_t at; /* search: the row of the part that is looked for */
    bool found;
};

/* Of one value there may be several forms on this side, too: as verify sees them. */
static bool is_same(struct lens_writer *w, uint32_t collection, size_t s)
{
    const struct lens *lens = w->lens;
    const struct gw_datum *was = &w->was[s], *is = &w->in[s];
    if (gw_datum_equal(was, is))
        return is->kind != GW_KIND_UNCHANGED && is->kind != GW_KIND_ABSENT;
    const struct gw_type *type = &lens_definition(lens, gw_side_other(lens->side), collection)->columns[s].type;
    bool unlike = strcmp(lens->inner->type->name, lens_source_store(lens)->type->name) != 0;
    struct gw_datum a = lens_normal(type, unlike, was, &w->work, &w->rooms[0]);
    struct gw_datum b = lens_normal(type, unlike, is, &w->work, &w->rooms[1]);
    return gw_datum_equal(&a, &b);
}

/* The row into w->was; *told false: it has no form on the other side. */
static bool take_row(struct look *look, const struct gw_row *row, bool *told, struct gw_error *err)
{
    struct lens_writer *w = look->w;
    enum gw_map_verdict verdict = GW_MAP_SET_ASIDE;
    gw_arena_reset(&w->work);
    gw_map_run_reset(w->run_back);
    *told = lens_codec_to(w)->decode(look->pair->to, row, &w->work, w->out, err) &&
            gw_map_row(w->run_back, look->part->collection->id, w->out, w->was, &verdict, NULL, err);
    if (!*told && err->kind != GW_ERR_CONFLICT)
        return false;
    if (!*told)
        gw_error_clear(err);
    *told = *told && verdict != GW_MAP_SET_ASIDE;
    return true;
}

static bool is_kept(struct look *look, size_t t)
{
    const struct lens_writer *w = look->w;
    const struct lens_forms *forms = &look->pair->forms;
    const struct gw_collection *source = look->part->collection;
    bool same = true;
    memset(forms->scratch, 0, source->column_count);
    (void)gw_map_sources(w->lens->options.map, source->id, (int)t, w->lens->back, forms->scratch);
    for (size_t s = 0; same && s < source->column_count; s++)
        same = !forms->scratch[s] || forms->same[s];
    return same;
}

/* The engine would write the time of the update into such a column: what it holds is written. */
static void hold(struct look *look, size_t at, size_t t, const struct gw_row *row)
{
    struct gw_arena *arena = &look->w->arena;
    struct gw_value **holds = &look->mapped->holds[at];
    if (!*holds) {
        *holds = gw_arena_alloc(arena, row->count * sizeof **holds);
        for (size_t c = 0; c < row->count; c++)
            (*holds)[c] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    }
    (*holds)[t] = gw_row_copy(arena, &(struct gw_row){.count = 1, .values = &row->values[t]}).values[0];
}

/* What is there what the change says stays. */
static bool keep_row(struct look *look, size_t at, const struct gw_row *row, struct gw_error *err)
{
    struct lens_writer *w = look->w;
    struct lens_forms *forms = &look->pair->forms;
    const struct gw_collection *source = look->part->collection;
    if (!forms->keeps)
        return true;
    if (!lens_codec_from(w)->decode(look->pair->from, &look->part->rows[at], &w->work, w->in, err))
        return false;
    for (size_t s = 0; s < source->column_count; s++)
        forms->same[s] = forms->compared[s] && is_same(w, source->id, s);
    bool *stays = gw_arena_zalloc(&w->arena, row->count + 1);
    for (size_t t = 0; t < row->count; t++) {
        stays[t] = forms->free[t] && is_kept(look, t);
        if (stays[t] && forms->touches[t])
            hold(look, at, t, row);
    }
    look->mapped->stays[at] = stays;
    return true;
}

static bool visit_updated(void *arg, size_t at, const struct gw_row *row, bool *enough, struct gw_error *err)
{
    struct look *look = arg;
    bool told = false;
    (void)enough;
    return take_row(look, row, &told, err) && (!told || keep_row(look, at, row, err));
}

/* ---- in the order of what is left out ------------------------------------------------------------------------------ */

struct place {
    const struct gw_row *row;
    size_t at;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    for (uint32_t c = 0; c < left->row->count; c++) {
        int first = left->row->values[c].kind == GW_VALUE_UNCHANGED;
        int second = right->row->values[c].kind == GW_VALUE_UNCHANGED;
        if (first != second)
            return first - second;
    }
    return left->at < right->at ? -1 : left->at > right->at;
}

void lens_put_in_order(struct lens_writer *w, struct lens_mapped *mapped, size_t count)
{
    struct place *places = gw_arena_alloc(&w->arena, (count + 1) * sizeof *places);
    struct gw_row *keys = gw_arena_alloc(&w->arena, (count + 1) * sizeof *keys);
    struct gw_row *rows = gw_arena_alloc(&w->arena, (count + 1) * sizeof *rows);
    for (size_t i = 0; i < count; i++)
        places[i] = (struct place){.row = &mapped->rows[i], .at = i};
    qsort(places, count, sizeof *places, compare_places);
    for (size_t i = 0; i < count; i++) {
        keys[i] = mapped->keys[places[i].at];
        rows[i] = mapped->rows[places[i].at];
    }
    mapped->keys = keys;
    mapped->rows = rows;
}

bool lens_keep_forms(struct lens_writer *w, struct lens_pair *pair, const struct gw_part *part,
                     struct lens_mapped *mapped, struct gw_error *err)
{
    struct look look = {.w = w, .pair = pair, .part = part, .mapped = mapped};
    return lens_open_back(w, err) &&
           lens_inner_writer(w)->current(w->inner, lens_own(w->lens, part->collection), mapped->keys, part->count,
                                         visit_updated, &look, err);
}

/* ---- a row by what it is on the other side ------------------------------------------------------------------------- */

/* The old row of the part against the one that is there: by all that the change carries of it. */
static bool is_meant(struct look *look, bool *meant, struct gw_error *err)
{
    struct lens_writer *w = look->w;
    const struct gw_collection *source = look->part->collection;
    *meant = true;
    if (!lens_codec_from(w)->decode(look->pair->from, &look->part->keys[look->at], &w->work, w->in, err))
        return false;
    for (size_t s = 0; *meant && s < source->column_count; s++) {
        bool given = w->in[s].kind != GW_KIND_ABSENT && w->in[s].kind != GW_KIND_UNCHANGED;
        if (given && !source->columns[s].generated)
            *meant = is_same(w, source->id, s);
    }
    return true;
}

static bool visit_candidate(void *arg, size_t number, const struct gw_row *row, bool *enough, struct gw_error *err)
{
    struct look *look = arg;
    struct lens_writer *w = look->w;
    const struct gw_collection *own = lens_own(w->lens, look->part->collection);
    bool told = false, meant = false;
    (void)number;
    if (!take_row(look, row, &told, err) || (told && !is_meant(look, &meant, err)))
        return false;
    if (!meant)
        return true;
    *enough = look->found = true;
    struct gw_row *key = &look->mapped->keys[look->at];
    *key = gw_row_copy(&w->arena, row);
    for (size_t t = 0; t < own->column_count; t++)
        if (own->columns[t].generated || (own->key_count > 0 && own->columns[t].key_position == 0))
            key->values[t] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    return look->part->kind != GW_CHANGE_UPDATE || keep_row(look, look->at, row, err);
}

/* Among the rows that have these values of it. */
static bool search_by(struct look *look, const bool *given, struct gw_error *err)
{
    struct lens_writer *w = look->w;
    const struct gw_collection *own = lens_own(w->lens, look->part->collection);
    struct gw_row wanted = gw_row_copy(&w->arena, &look->mapped->keys[look->at]);
    for (size_t t = 0; t < own->column_count; t++)
        if (!given[t])
            wanted.values[t] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    return lens_inner_writer(w)->current(w->inner, own, &wanted, 1, visit_candidate, look, err);
}

bool lens_search(struct lens_writer *w, struct lens_pair *pair, const struct gw_part *part, struct lens_mapped *mapped,
                 size_t at, bool *found, struct gw_error *err)
{
    const struct lens_forms *forms = &pair->forms;
    size_t columns = lens_own(w->lens, part->collection)->column_count;
    struct look look = {.w = w, .pair = pair, .part = part, .mapped = mapped, .at = at};
    bool ok = lens_open_back(w, err) && search_by(&look, forms->usual, err);
    if (ok && !look.found && memcmp(forms->usual, forms->exact, columns) != 0)
        ok = search_by(&look, forms->exact, err);
    *found = look.found;
    return ok;
}
