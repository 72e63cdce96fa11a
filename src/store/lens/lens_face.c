/* A side as verify looks at it: green's collections, rows in canonical bytes as green should hold them. */
#include "base/mem.h"
#include "store/lens/internal.h"

#include <stdlib.h>
#include <string.h>

#define SHAPE GW_GREEN /* both faces show the collections of this side */
#define FETCH_BYTES ((size_t)4 << 20)
#define LARGE_BYTES ((size_t)1 << 20) /* rows of more than that are read by one scan of a side at a time */

struct lens_scan {
    struct lens *lens;
    struct gw_scan *inner;
    struct gw_map_run *run;      /* blue's face: rows forward */
    struct gw_map_run *run_back; /* ... and keys back */
    struct gw_map_run *asks;     /* green's face under a filter: whether a row belongs there */
    const struct gw_collection *shape, *own;
    const struct gw_table_definition *definition; /* of green */
    struct gw_arena arena, work;                  /* what is handed out; what one row's conversion needs */
    struct gw_buf bytes, room, why;
    struct gw_datum *in, *out;
    bool *compared; /* by column of the shape */
    size_t capacity;
    struct gw_row row;
    uint64_t by_policy, by_filter; /* rows since `begin` that are not shown */
    bool in_turn;                  /* it is this scan's turn to read large rows */
    bool bloated;                  /* the session has read large rows: its buffers are as large */
    size_t value_capacity;
    struct gw_row_version *versions; /* of the rows of the last fetch */
    size_t version_capacity;
};

static struct lens_scan *scan_of(struct gw_scan *scan)
{
    return (struct lens_scan *)(void *)scan;
}

static const struct gw_scan_facet *inner_scan(const struct lens_scan *s)
{
    return s->lens->inner->type->scan;
}

/* ---- catalog and reader ------------------------------------------------------------------------------------------ */

static void copy_collection(struct gw_collection *to, const struct gw_collection *from)
{
    gw_autobuf struct gw_buf json = {0};
    struct gw_error ignored;
    gw_collection_format(from, &json);
    *to = (struct gw_collection){0};
    (void)!gw_collection_parse(gw_buf_text(&json), to, &ignored);
    to->id = from->id;
}

/* What is there is shown in green's shape. Where it is not as planned any more the shape says so, and differs. */
static void show(const struct lens *lens, size_t i, const struct gw_collection *actual, struct gw_schema *out)
{
    struct gw_collection *shown = &out->collections[out->count++];
    gw_autobuf struct gw_buf difference = {0};
    copy_collection(shown, &lens->options.schemas[SHAPE]->collections[i]);
    shown->id = (uint32_t)i;
    shown->estimated_rows = actual->estimated_rows;
    shown->estimated_bytes = actual->estimated_bytes;
    shown->toast_bytes = actual->toast_bytes;
    if (gw_collection_same_shape(&lens->options.schemas[lens->side]->collections[i], actual, &difference) ||
        shown->column_count == 0)
        return;
    free(shown->columns[0].type);
    shown->columns[0].type = gw_asprintf("no longer as planned (%s)", gw_buf_text(&difference));
}

static bool face_list(struct gw_store *store, const struct gw_filter *filter, struct gw_schema *out,
                      struct gw_error *err)
{
    struct lens *lens = lens_of(store);
    const struct gw_schema *planned = lens->options.schemas[lens->side];
    struct gw_schema there = {0};
    if (!lens->inner->type->catalog->list(lens->inner, filter, &there, err))
        return false;
    *out = (struct gw_schema){.collections = gw_calloc(planned->count + 1, sizeof *out->collections)};
    for (size_t i = 0; i < planned->count; i++) {
        const struct gw_collection *actual =
            gw_schema_find(&there, planned->collections[i].space, planned->collections[i].name);
        if (actual)
            show(lens, i, actual, out);
    }
    gw_schema_release(&there);
    return true;
}

const struct gw_catalog_facet lens_face_catalog = {.list = face_list};

struct lens_reader {
    struct lens *lens;
    struct gw_reader *inner;
};

static bool face_reader_open(struct gw_store *store, struct gw_reader **out, struct gw_error *err)
{
    struct lens_reader *reader = gw_zalloc(sizeof *reader);
    reader->lens = lens_of(store);
    if (!reader->lens->inner->type->reader->open(reader->lens->inner, &reader->inner, err)) {
        free(reader);
        return false;
    }
    *out = (struct gw_reader *)(void *)reader;
    return true;
}

static void face_reader_close(struct gw_reader *base)
{
    struct lens_reader *reader = (struct lens_reader *)(void *)base;
    if (reader)
        reader->lens->inner->type->reader->close(reader->inner);
    free(reader);
}

static bool face_split(struct gw_reader *base, const struct gw_collection *collection, const struct gw_bound *low,
                       int64_t rows, struct gw_bound *next, bool *last, struct gw_error *err)
{
    struct lens_reader *reader = (struct lens_reader *)(void *)base;
    return reader->lens->inner->type->reader->split(reader->inner, lens_own(reader->lens, collection), low, rows, next,
                                                    last, err);
}

const struct gw_reader_facet lens_face_reader = {
    .open = face_reader_open, .close = face_reader_close, .split = face_split};

/* ---- scan -------------------------------------------------------------------------------------------------------- */

/* Who reads large rows: one scan at a time in this process, so that neither each worker nor each side holds some. Taken
 * and given by any thread. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t given;
    bool taken;
} turn = {.lock = PTHREAD_MUTEX_INITIALIZER, .given = PTHREAD_COND_INITIALIZER};

static void give_turn(struct lens_scan *s)
{
    if (!s->in_turn)
        return;
    pthread_mutex_lock(&turn.lock);
    turn.taken = s->in_turn = false;
    pthread_cond_broadcast(&turn.given);
    pthread_mutex_unlock(&turn.lock);
}

static size_t largest_row(const struct lens_scan *s)
{
    return atomic_load_explicit(&s->lens->largest[s->shape->id], memory_order_relaxed);
}

/* Nothing was met yet and no value can be small for certain: as if it had large rows. */
static bool may_be_large(const struct lens_scan *s, const struct gw_collection *collection)
{
    size_t largest = largest_row(s);
    return largest > LARGE_BYTES || (largest == 0 && collection->toast_bytes != 0);
}

/* Waits while another scan reads large rows, if this one may, too. Nothing else is waited for with the turn in hand, and
 * a scan that fails gives it at once: who waits for the other side's scan need not come to close this one. */
static void take_turn(struct lens_scan *s, const struct gw_collection *collection)
{
    if (s->in_turn || !may_be_large(s, collection))
        return;
    pthread_mutex_lock(&turn.lock);
    while (turn.taken && may_be_large(s, collection))
        pthread_cond_wait(&turn.given, &turn.lock);
    if (!turn.taken)
        turn.taken = s->in_turn = true;
    pthread_mutex_unlock(&turn.lock);
}

static void face_close(struct gw_scan *scan)
{
    struct lens_scan *s = scan_of(scan);
    if (!s)
        return;
    give_turn(s);
    if (s->inner)
        inner_scan(s)->close(s->inner);
    gw_map_run_close(s->run);
    gw_map_run_close(s->run_back);
    gw_map_run_close(s->asks);
    gw_arena_release(&s->arena);
    gw_arena_release(&s->work);
    gw_buf_release(&s->bytes);
    gw_buf_release(&s->room);
    gw_buf_release(&s->why);
    free(s->in);
    free(s->out);
    free(s->compared);
    free(s->row.values);
    free(s->versions);
    free(s);
}

static bool filters_any(const struct lens *lens)
{
    bool any = false;
    for (size_t i = 0; !any && i < lens->options.schemas[SHAPE]->count; i++)
        any = gw_map_filters(lens->options.map, (uint32_t)i);
    return any;
}

static bool ready(struct lens_scan *s, struct gw_error *err)
{
    if (s->inner)
        return true;
    if (!inner_scan(s)->open(s->lens->inner, &s->inner, err))
        return false;
    if (inner_scan(s)->whole_values)
        inner_scan(s)->whole_values(s->inner);
    return true;
}

/* Client libraries keep their buffers for as long as a session lasts, and one that waits for its turn needs none. */
static void drop_bloated(struct lens_scan *s)
{
    if (!s->bloated)
        return;
    inner_scan(s)->close(s->inner);
    s->inner = NULL;
    gw_arena_release(&s->work);
    s->bloated = false;
}

/* It goes no further: another session will have to begin anew. */
static bool give_up(struct lens_scan *s)
{
    if (s->inner)
        inner_scan(s)->close(s->inner);
    s->inner = NULL;
    s->bloated = false;
    give_turn(s);
    return false;
}

static bool face_open(struct gw_store *store, struct gw_scan **out, struct gw_error *err)
{
    struct lens_scan *s = gw_zalloc(sizeof *s);
    s->lens = lens_of(store);
    bool mapped = s->lens->side != SHAPE;
    if ((!mapped && filters_any(s->lens) && !gw_map_run_open(s->lens->options.map, true, &s->asks, err)) ||
        (mapped && (!gw_map_run_open(s->lens->options.map, false, &s->run, err) ||
                    !gw_map_run_open(s->lens->options.map, true, &s->run_back, err))) ||
        !ready(s, err)) {
        face_close((struct gw_scan *)(void *)s);
        return false;
    }
    *out = (struct gw_scan *)(void *)s;
    return true;
}

/* What the owner's log does not bring to the other side (a rule keeps, drops or fills it there) stays as it was. */
static bool is_compared(const struct lens *lens, uint32_t collection, int column)
{
    const struct gw_map *map = lens->options.map;
    if (lens->options.owner == GW_BLUE)
        return gw_map_compares(map, collection, column, false);
    int blue = gw_map_column(map, collection, column, true);
    return blue >= 0 && gw_map_compares(map, collection, blue, true);
}

/* Room for a row of the collection, whichever side's is wider. */
static void take_collection(struct lens_scan *s, const struct gw_collection *collection)
{
    s->shape = &s->lens->options.schemas[SHAPE]->collections[collection->id];
    s->own = lens_own(s->lens, collection);
    s->definition = lens_definition(s->lens, SHAPE, collection->id);
    size_t wide = s->shape->column_count > s->own->column_count ? s->shape->column_count : s->own->column_count;
    if (s->capacity < wide) {
        s->capacity = wide;
        s->in = gw_realloc(s->in, wide * sizeof *s->in);
        s->out = gw_realloc(s->out, wide * sizeof *s->out);
    }
    if (s->value_capacity < s->shape->column_count) {
        s->value_capacity = s->shape->column_count;
        s->row.values = gw_realloc(s->row.values, s->value_capacity * sizeof *s->row.values);
        s->compared = gw_realloc(s->compared, s->value_capacity * sizeof *s->compared);
    }
    for (size_t i = 0; i < s->shape->column_count; i++)
        s->compared[i] = is_compared(s->lens, collection->id, (int)i);
    s->row.count = (uint32_t)s->shape->column_count;
}

static bool face_begin(struct gw_scan *scan, const struct gw_collection *collection, const struct gw_range *range,
                       bool ordered, struct gw_position *at, struct gw_error *err)
{
    struct lens_scan *s = scan_of(scan);
    take_collection(s, collection);
    take_turn(s, collection);
    s->by_policy = s->by_filter = 0;
    if (ready(s, err) && inner_scan(s)->begin(s->inner, s->own, range, ordered, at, err))
        return true;
    return give_up(s);
}

/* Rows that the filter leaves out are not shown on either face: whichever side owns, blue has them, and green has them
 * where green wrote them.
 *
 * A row that green cannot hold is shown with the reason in place of its values: it differs from whatever is there. */
static void show_misfit(struct lens_scan *s, const char *why)
{
    char *text = gw_asprintf("does not fit: %s", why);
    struct gw_datum datum = gw_datum_text(gw_arena_strdup(&s->work, text));
    for (size_t i = 0; i < s->shape->column_count; i++)
        if (s->shape->columns[i].key_position == 0)
            s->out[i] = datum;
    free(text);
}

static bool map_row(struct lens_scan *s, bool *kept, struct gw_error *err)
{
    enum gw_map_verdict verdict;
    *kept = true;
    if (!s->run) {
        memcpy(s->out, s->in, s->own->column_count * sizeof *s->out);
        *kept = !s->asks || gw_map_belongs(s->asks, s->own->id, s->in);
        if (s->asks)
            gw_map_run_reset(s->asks);
        return true;
    }
    gw_map_run_reset(s->run);
    gw_buf_clear(&s->why);
    if (gw_map_row(s->run, s->own->id, s->in, s->out, &verdict, &s->why, err)) {
        *kept = verdict == GW_MAP_KEEP;
        s->by_policy += verdict == GW_MAP_SET_ASIDE;
        s->by_filter += verdict == GW_MAP_LEAVE_OUT;
        return true;
    }
    if (err->kind != GW_ERR_CONFLICT)
        return false;
    struct gw_error why = *err;
    if (!gw_map_key(s->run, s->own->id, s->in, s->out, err))
        return false;
    show_misfit(s, why.message);
    return true;
}

/* As green should hold it; of JSON that is a copy. */
static void write_value(struct lens_scan *s, size_t i, bool unlike, struct gw_value *value)
{
    struct gw_datum datum = lens_normal(&s->definition->columns[i].type, unlike, &s->out[i], &s->work, &s->room);
    *value = (struct gw_value){.kind = GW_VALUE_NULL};
    if (!s->compared[i] || datum.kind == GW_KIND_NULL || datum.kind == GW_KIND_ABSENT ||
        datum.kind == GW_KIND_UNCHANGED)
        return;
    gw_buf_clear(&s->bytes);
    lens_value_write(&s->bytes, &datum, s->shape->columns[i].key_position > 0);
    *value = (struct gw_value){.kind = GW_VALUE_BINARY,
                               .len = (uint32_t)s->bytes.len,
                               .bytes = gw_arena_dup(&s->arena, s->bytes.data, s->bytes.len)};
}

/* Canonical bytes of s->out, as one value a column; in the arena. */
static void write_values(struct lens_scan *s, struct gw_value *values)
{
    static pthread_mutex_t large_documents = PTHREAD_MUTEX_INITIALIZER; /* one copy at a time in this process */
    struct gw_store *const *sides = s->lens->options.sides;
    bool unlike = strcmp(sides[GW_BLUE]->type->name, sides[GW_GREEN]->type->name) != 0;
    for (size_t i = 0; i < s->shape->column_count; i++) {
        if (s->out[i].kind != GW_KIND_JSON || s->out[i].len < LARGE_BYTES) {
            write_value(s, i, unlike, &values[i]);
            continue;
        }
        pthread_mutex_lock(&large_documents);
        write_value(s, i, unlike, &values[i]);
        gw_buf_release(&s->room);
        pthread_mutex_unlock(&large_documents);
    }
}

static bool convert(struct lens_scan *s, const struct gw_row *row, struct gw_value *values, bool *kept,
                    struct gw_error *err)
{
    gw_arena_reset(&s->work);
    /* What a side computes by itself does not move: NULL, as in the rows that are copied and followed. */
    for (size_t i = 0; i < s->own->column_count; i++) {
        if (row->values[i].kind == GW_VALUE_NULL || s->own->columns[i].generated)
            s->in[i] = gw_datum_null();
        else if (!inner_scan(s)->to_datum(s->inner, &s->own->columns[i], &row->values[i], &s->work, &s->in[i], err))
            return gw_error_place(err, "%s, column %s", gw_collection_label(s->own), s->own->columns[i].name);
    }
    if (!map_row(s, kept, err))
        return false;
    if (*kept)
        write_values(s, values);
    return true;
}

/* Rows by key come so many at a time that no more than some megabytes of them are there, by the largest row met. */
static void note_size(struct lens_scan *s, const struct gw_row *row)
{
    atomic_uint *largest = &s->lens->largest[s->shape->id];
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < row->count; i++)
        bytes += row->values[i].len;
    if (bytes > UINT32_MAX)
        bytes = UINT32_MAX;
    s->bloated |= bytes > LARGE_BYTES;
    unsigned known = atomic_load_explicit(largest, memory_order_relaxed);
    while (bytes > known && !atomic_compare_exchange_weak(largest, &known, (unsigned)bytes))
        ;
}

static size_t rows_at_a_time(const struct lens_scan *s)
{
    size_t largest = largest_row(s);
    return largest > FETCH_BYTES ? 1 : FETCH_BYTES / (largest + 1) + 1;
}

static bool face_next(struct gw_scan *scan, struct gw_row *row, bool *end, struct gw_error *err)
{
    struct lens_scan *s = scan_of(scan);
    for (;;) {
        struct gw_row native;
        bool kept;
        gw_arena_reset(&s->arena);
        if (!inner_scan(s)->next(s->inner, &native, end, err))
            return give_up(s);
        if (*end)
            return true;
        note_size(s, &native);
        if (!convert(s, &native, s->row.values, &kept, err))
            return give_up(s);
        if (!kept)
            continue;
        *row = s->row;
        return true;
    }
}

static bool face_end(struct gw_scan *scan, struct gw_error *err)
{
    struct lens_scan *s = scan_of(scan);
    bool ok = inner_scan(s)->end(s->inner, err);
    drop_bloated(s);
    give_turn(s);
    return ok;
}

static void face_left_out(const struct gw_scan *scan, uint64_t *by_policy, uint64_t *by_filter)
{
    const struct lens_scan *s = (const struct lens_scan *)(const void *)scan;
    *by_policy = s->by_policy;
    *by_filter = s->by_filter;
}

/* ---- rows by key ------------------------------------------------------------------------------------------------- */

/* A key in green's canonical bytes as this side's scan takes it. */
static bool own_key(struct lens_scan *s, const struct gw_row *key, struct gw_row *out, struct gw_error *err)
{
    struct gw_datum *from = s->run_back ? s->out : s->in;
    for (size_t i = 0; i < s->shape->column_count; i++)
        from[i] = (struct gw_datum){.kind = GW_KIND_ABSENT};
    for (size_t i = 0; i < s->shape->key_count; i++) {
        struct gw_cursor in = gw_cursor_of(key->values[i].bytes, key->values[i].len);
        from[s->shape->key[i]] = gw_datum_read(&in);
    }
    if (s->run_back && !gw_map_key(s->run_back, s->own->id, s->out, s->in, err))
        return false;
    out->count = (uint32_t)s->own->key_count;
    out->values = gw_arena_alloc(&s->arena, (s->own->key_count + 1) * sizeof *out->values);
    for (size_t i = 0; i < s->own->key_count; i++) {
        uint32_t column = s->own->key[i];
        if (!inner_scan(s)->from_datum(s->inner, &s->own->columns[column], &s->in[column], &s->arena, &out->values[i],
                                       err))
            return false;
    }
    return true;
}

/* Some keys, and what is known of their rows before the next ones push it out of the inner scan. */
static bool fetch_some(struct lens_scan *s, const struct gw_row *keys, size_t count, struct gw_row *rows,
                       struct gw_row_version *versions, struct gw_position *at, struct gw_error *err)
{
    struct gw_row *own = gw_arena_alloc(&s->arena, (count + 1) * sizeof *own);
    if (s->run_back)
        gw_map_run_reset(s->run_back);
    for (size_t i = 0; i < count; i++)
        if (!own_key(s, &keys[i], &own[i], err))
            return false;
    if (!inner_scan(s)->fetch(s->inner, s->own, own, count, rows, at, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        bool kept = false;
        struct gw_value *values = gw_arena_alloc(&s->arena, (s->shape->column_count + 1) * sizeof *values);
        versions[i] = (struct gw_row_version){.copies = 1};
        if (inner_scan(s)->version)
            inner_scan(s)->version(s->inner, i, &versions[i]);
        if (rows[i].count == 0)
            continue;
        note_size(s, &rows[i]);
        if (!convert(s, &rows[i], values, &kept, err))
            return false;
        rows[i] = kept ? (struct gw_row){.count = s->row.count, .values = values} : (struct gw_row){0};
    }
    return true;
}

static bool fetch_all(struct lens_scan *s, const struct gw_row *keys, size_t key_count, struct gw_row *rows,
                      struct gw_position *at, struct gw_error *err)
{
    gw_arena_reset(&s->arena);
    if (s->version_capacity < key_count) {
        s->version_capacity = key_count;
        s->versions = gw_realloc(s->versions, key_count * sizeof *s->versions);
    }
    *at = (struct gw_position){0};
    for (size_t done = 0; done < key_count;) {
        size_t most = rows_at_a_time(s), count = key_count - done < most ? key_count - done : most;
        struct gw_position seen;
        if (!fetch_some(s, keys + done, count, rows + done, s->versions + done, &seen, err))
            return false;
        if (done == 0 || gw_position_before(at, &seen)) /* behind all that any of them saw */
            *at = seen;
        done += count;
    }
    return true;
}

static bool face_fetch(struct gw_scan *scan, const struct gw_collection *collection, const struct gw_row *keys,
                       size_t key_count, struct gw_row *rows, struct gw_position *at, struct gw_error *err)
{
    struct lens_scan *s = scan_of(scan);
    take_collection(s, collection);
    take_turn(s, collection);
    bool ok = ready(s, err) && fetch_all(s, keys, key_count, rows, at, err);
    drop_bloated(s);
    give_turn(s);
    return ok;
}

/* ---- words, order, versions -------------------------------------------------------------------------------------- */

static void face_print(const struct gw_column *column, const struct gw_value *value, struct gw_buf *out)
{
    (void)column;
    lens_value_print(value, out);
}

static bool whole_number(enum gw_kind kind)
{
    return kind == GW_KIND_INT64 || kind == GW_KIND_UINT64;
}

/* Whole numbers are ordered alike everywhere, and written alike in bounds; of nothing else that is certain. */
static bool face_key_order(struct gw_scan *scan, const struct gw_collection *collection, struct gw_buf *name,
                           struct gw_error *err)
{
    struct lens_scan *s = scan_of(scan);
    (void)err;
    take_collection(s, collection);
    const struct gw_collection *blue = &s->lens->options.schemas[GW_BLUE]->collections[collection->id];
    const struct gw_table_definition *blues = lens_definition(s->lens, GW_BLUE, collection->id);
    bool numbers = s->shape->key_count > 0 && s->shape->key_count == blue->key_count;
    for (size_t i = 0; numbers && i < s->shape->key_count; i++)
        numbers =
            whole_number(s->definition->columns[s->shape->key[i]].type.kind) &&
            whole_number(blues->columns[blue->key[i]].type.kind) && !blues->columns[blue->key[i]].type.loose &&
            !s->definition->columns[s->shape->key[i]].type.loose &&
            gw_map_column(s->lens->options.map, collection->id, (int)blue->key[i], false) == (int)s->shape->key[i];
    gw_buf_adds(name, numbers ? "whole numbers" : gw_side_name(s->lens->side));
    return true;
}

static void face_version(const struct gw_scan *scan, size_t index, struct gw_row_version *out)
{
    *out = ((const struct lens_scan *)(const void *)scan)->versions[index];
}

static bool face_running(struct gw_scan *scan, struct gw_buf *token, struct gw_error *err)
{
    struct lens_scan *s = scan_of(scan);
    return !inner_scan(s)->running || (ready(s, err) && inner_scan(s)->running(s->inner, token, err));
}

static bool face_outlasted(struct gw_scan *scan, const char *token, bool *outlasted, struct gw_error *err)
{
    struct lens_scan *s = scan_of(scan);
    *outlasted = true;
    return !inner_scan(s)->outlasted || (ready(s, err) && inner_scan(s)->outlasted(s->inner, token, outlasted, err));
}

const struct gw_scan_facet lens_face_scan = {
    .open = face_open,
    .close = face_close,
    .begin = face_begin,
    .next = face_next,
    .end = face_end,
    .left_out = face_left_out,
    .fetch = face_fetch,
    .print = face_print,
    .key_order = face_key_order,
    .version = face_version,
    .running = face_running,
    .outlasted = face_outlasted,
};
