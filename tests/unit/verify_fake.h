/*
 * Two sides made of plain arrays, for verify alone: one collection, rows under a lock, a log from the source to the
 * target that is applied only when the test lets it, and hooks between any two reads. What a real follower and a real
 * server do by chance happens here on purpose.
 */
#ifndef GW_VERIFY_FAKE_H
#define GW_VERIFY_FAKE_H

#include "gw_test.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/store.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdatomic.h>

#define FAKE_COLUMNS 4 /* id, and three texts */

struct fake_row {
    int64_t id;
    char *values[FAKE_COLUMNS - 1]; /* NULL: SQL NULL */
    uint64_t version;
};

struct fake_store {
    struct gw_store base; /* first */
    pthread_mutex_t lock;
    struct gw_collection collection; /* as catalog->list gives it */
    bool missing;                    /* the catalog does not list it */
    size_t count, capacity;
    struct fake_row *rows; /* in no order */
    uint64_t position, next_version;
    uint64_t reversed; /* orders its keys downwards: another collation */
    bool no_versions;
    /* Called without the lock before a read: 'b' begin, 'f' fetch, 'o' open. False: the read fails with this kind. */
    enum gw_error_kind (*hook)(struct fake_store *, char what, void *arg);
    void *hook_arg;
    atomic_int invisible; /* > 0: a commit is in the log and not visible; outlasted says no */
    atomic_int begins, fetches;
};

struct gw_scan {
    struct fake_store *store;
    struct fake_row *rows; /* what the snapshot saw */
    size_t count, at;
    char *id_text;
    struct gw_value *values;
    struct gw_row_version *versions;
};
struct gw_reader {
    struct fake_store *store;
};

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static inline char *fake_dup(const char *text)
{
    return text ? gw_strdup(text) : NULL;
}

static inline void fake_free_row(struct fake_row *row)
{
    for (int i = 0; i < FAKE_COLUMNS - 1; i++)
        free(row->values[i]);
}

static inline struct fake_row *fake_find(struct fake_store *s, int64_t id)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->rows[i].id == id)
            return &s->rows[i];
    return NULL;
}

/* Adds a row (also where one with the key is: keyless). */
static inline void fake_add(struct fake_store *s, int64_t id, const char *a, const char *b, const char *c)
{
    pthread_mutex_lock(&s->lock);
    s->rows = gw_grow(s->rows, &s->capacity, s->count, sizeof *s->rows);
    s->rows[s->count++] = (struct fake_row){id, {fake_dup(a), fake_dup(b), fake_dup(c)}, ++s->next_version};
    s->position++;
    pthread_mutex_unlock(&s->lock);
}

static inline void fake_set(struct fake_store *s, int64_t id, int column, const char *value)
{
    pthread_mutex_lock(&s->lock);
    struct fake_row *row = fake_find(s, id);
    assert_non_null(row);
    free(row->values[column - 1]);
    row->values[column - 1] = fake_dup(value);
    row->version = ++s->next_version;
    s->position++;
    pthread_mutex_unlock(&s->lock);
}

static inline void fake_delete(struct fake_store *s, int64_t id)
{
    pthread_mutex_lock(&s->lock);
    struct fake_row *row = fake_find(s, id);
    assert_non_null(row);
    fake_free_row(row);
    *row = s->rows[--s->count];
    s->position++;
    pthread_mutex_unlock(&s->lock);
}

static inline uint64_t fake_position(struct fake_store *s)
{
    pthread_mutex_lock(&s->lock);
    uint64_t position = s->position;
    pthread_mutex_unlock(&s->lock);
    return position;
}

/* ---- facets ------------------------------------------------------------------------------------------------------ */

static inline struct fake_store *fake_of(struct gw_store *store)
{
    return (struct fake_store *)store;
}

static inline bool fake_hook(struct fake_store *s, char what, struct gw_error *err)
{
    enum gw_error_kind kind = s->hook ? s->hook(s, what, s->hook_arg) : GW_ERR_NONE;
    return kind == GW_ERR_NONE || gw_fail(err, kind, "made to fail at '%c'", what);
}

static inline bool fake_list(struct gw_store *store, const struct gw_filter *filter, struct gw_schema *out,
                             struct gw_error *err)
{
    struct fake_store *s = fake_of(store);
    gw_autobuf struct gw_buf json = {0};
    (void)filter;
    *out = (struct gw_schema){0};
    if (s->missing)
        return true;
    gw_collection_format(&s->collection, &json);
    out->collections = gw_calloc(1, sizeof *out->collections);
    out->count = 1;
    return gw_collection_parse(gw_buf_text(&json), out->collections, err);
}

static inline bool fake_scan_open(struct gw_store *store, struct gw_scan **out, struct gw_error *err)
{
    if (!fake_hook(fake_of(store), 'o', err))
        return false;
    *out = gw_zalloc(sizeof **out);
    (*out)->store = fake_of(store);
    return true;
}

static inline void fake_scan_clear(struct gw_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        fake_free_row(&scan->rows[i]);
    free(scan->rows);
    free(scan->id_text);
    free(scan->values);
    free(scan->versions);
    struct fake_store *store = scan->store;
    *scan = (struct gw_scan){.store = store};
}

static inline void fake_scan_close(struct gw_scan *scan)
{
    if (!scan)
        return;
    fake_scan_clear(scan);
    free(scan);
}

/* -1 before, 0 equal, 1 behind, as this store orders ids. */
static inline int fake_compare(const struct fake_store *s, int64_t a, int64_t b)
{
    int order = a < b ? -1 : a > b;
    return s->reversed ? -order : order;
}

static inline bool fake_in_range(const struct fake_store *s, int64_t id, const struct gw_range *range)
{
    if (range->low.count && fake_compare(s, id, strtoll(range->low.texts[0], NULL, 10)) < 0)
        return false;
    return !range->high.count || fake_compare(s, id, strtoll(range->high.texts[0], NULL, 10)) < 0;
}

static inline struct fake_row fake_copy(const struct fake_row *row)
{
    struct fake_row copy = {.id = row->id, .version = row->version};
    for (int i = 0; i < FAKE_COLUMNS - 1; i++)
        copy.values[i] = fake_dup(row->values[i]);
    return copy;
}

static inline void fake_fill(struct gw_value *values, char *id_text, const struct fake_row *row)
{
    snprintf(id_text, 24, "%lld", (long long)row->id);
    values[0] = gw_value_text(id_text);
    for (int i = 1; i < FAKE_COLUMNS; i++)
        values[i] = gw_value_text(row->values[i - 1]);
}

static inline void fake_at(struct fake_store *s, struct gw_position *at)
{
    *at = (struct gw_position){.order = s->position + 1};
    snprintf(at->text, sizeof at->text, "%llu", (unsigned long long)at->order);
}

static inline bool fake_begin(struct gw_scan *scan, const struct gw_collection *collection,
                              const struct gw_range *range, bool ordered, struct gw_position *at, struct gw_error *err)
{
    struct fake_store *s = scan->store;
    (void)collection;
    (void)ordered;
    atomic_fetch_add(&s->begins, 1);
    if (!fake_hook(s, 'b', err))
        return false;
    fake_scan_clear(scan);
    scan->values = gw_calloc(FAKE_COLUMNS, sizeof *scan->values);
    scan->id_text = gw_alloc(24);
    pthread_mutex_lock(&s->lock);
    size_t capacity = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!fake_in_range(s, s->rows[i].id, range))
            continue;
        scan->rows = gw_grow(scan->rows, &capacity, scan->count, sizeof *scan->rows);
        scan->rows[scan->count++] = fake_copy(&s->rows[i]);
    }
    fake_at(s, at);
    pthread_mutex_unlock(&s->lock);
    return true;
}

static inline bool fake_next(struct gw_scan *scan, struct gw_row *row, bool *end, struct gw_error *err)
{
    *end = scan->at >= scan->count;
    if (*end)
        return true;
    if (scan->at == 3 && !fake_hook(scan->store, 'n', err)) /* in the middle of the rows */
        return false;
    fake_fill(scan->values, scan->id_text, &scan->rows[scan->at++]);
    *row = (struct gw_row){FAKE_COLUMNS, scan->values};
    return true;
}

static inline bool fake_end(struct gw_scan *scan, struct gw_error *err)
{
    (void)scan;
    (void)err;
    return true;
}

static inline bool fake_fetch(struct gw_scan *scan, const struct gw_collection *collection, const struct gw_row *keys,
                              size_t count, struct gw_row *rows, struct gw_position *at, struct gw_error *err)
{
    struct fake_store *s = scan->store;
    (void)collection;
    atomic_fetch_add(&s->fetches, 1);
    if (!fake_hook(s, 'f', err))
        return false;
    fake_scan_clear(scan);
    scan->values = gw_calloc(count * FAKE_COLUMNS + 1, sizeof *scan->values);
    scan->id_text = gw_alloc(24 * count + 1);
    scan->versions = gw_calloc(count + 1, sizeof *scan->versions);
    scan->rows = gw_calloc(count + 1, sizeof *scan->rows);
    pthread_mutex_lock(&s->lock);
    int64_t least = 0, most = 0;
    for (size_t i = 0; i < s->count; i++) {
        least = s->rows[i].id < least ? s->rows[i].id : least;
        most = s->rows[i].id > most ? s->rows[i].id : most;
    }
    uint32_t *places = gw_calloc((size_t)(most - least) + 1, sizeof *places); /* of the last row with the id, plus 1 */
    uint32_t *copies = gw_calloc((size_t)(most - least) + 1, sizeof *copies);
    for (size_t i = 0; i < s->count; i++) {
        places[s->rows[i].id - least] = (uint32_t)i + 1;
        copies[s->rows[i].id - least]++;
    }
    for (size_t k = 0; k < count; k++) {
        gw_autofree char *text = gw_strndup((const char *)keys[k].values[0].bytes, keys[k].values[0].len);
        int64_t id = strtoll(text, NULL, 10);
        rows[k] = (struct gw_row){0};
        if (id < least || id > most || !places[id - least])
            continue;
        const struct fake_row *row = &s->rows[places[id - least] - 1];
        scan->rows[scan->count] = fake_copy(row);
        fake_fill(scan->values + k * FAKE_COLUMNS, scan->id_text + 24 * k, &scan->rows[scan->count++]);
        rows[k] = (struct gw_row){FAKE_COLUMNS, scan->values + k * FAKE_COLUMNS};
        scan->versions[k].copies = copies[id - least];
        scan->versions[k].id[0] = s->no_versions ? 0 : row->version;
    }
    free(places);
    free(copies);
    fake_at(s, at);
    pthread_mutex_unlock(&s->lock);
    return true;
}

static inline void fake_print(const struct gw_column *column, const struct gw_value *value, struct gw_buf *out)
{
    (void)column;
    if (value->kind == GW_VALUE_NULL)
        gw_buf_adds(out, "NULL");
    else
        gw_buf_add(out, value->bytes, value->len);
}

static inline bool fake_key_order(struct gw_scan *scan, const struct gw_collection *collection, struct gw_buf *name,
                                  struct gw_error *err)
{
    (void)collection;
    (void)err;
    gw_buf_adds(name, scan->store->reversed ? "downwards" : "");
    return true;
}

static inline void fake_version(const struct gw_scan *scan, size_t index, struct gw_row_version *out)
{
    *out = scan->versions[index];
}

static inline bool fake_running(struct gw_scan *scan, struct gw_buf *token, struct gw_error *err)
{
    (void)err;
    if (atomic_load(&scan->store->invisible) > 0)
        gw_buf_adds(token, "1");
    return true;
}

static inline bool fake_outlasted(struct gw_scan *scan, const char *token, bool *outlasted, struct gw_error *err)
{
    (void)err;
    *outlasted = !*token || atomic_load(&scan->store->invisible) == 0;
    return true;
}

static inline bool fake_reader_open(struct gw_store *store, struct gw_reader **out, struct gw_error *err)
{
    (void)err;
    *out = gw_zalloc(sizeof **out);
    (*out)->store = fake_of(store);
    return true;
}

static inline void fake_reader_close(struct gw_reader *reader)
{
    free(reader);
}

static inline int fake_compare_ids(const void *a, const void *b, void *store)
{
    return fake_compare(store, *(const int64_t *)a, *(const int64_t *)b);
}

static inline bool fake_split(struct gw_reader *reader, const struct gw_collection *collection,
                              const struct gw_bound *low, int64_t rows, struct gw_bound *next, bool *last,
                              struct gw_error *err)
{
    struct fake_store *s = reader->store;
    (void)collection;
    if (!fake_hook(s, 's', err))
        return false;
    pthread_mutex_lock(&s->lock);
    int64_t *ids = gw_calloc(s->count + 1, sizeof *ids);
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++)
        if (fake_in_range(s, s->rows[i].id, &(struct gw_range){.low = *low}))
            ids[count++] = s->rows[i].id;
    qsort_r(ids, count, sizeof *ids, fake_compare_ids, s);
    pthread_mutex_unlock(&s->lock);
    *last = (int64_t)count <= rows;
    *next = (struct gw_bound){0};
    if (!*last) {
        next->texts = gw_calloc(1, sizeof *next->texts);
        next->texts[0] = gw_asprintf("%lld", (long long)ids[rows]);
        next->count = 1;
    }
    free(ids);
    return true;
}

static const struct gw_catalog_facet fake_catalog = {.list = fake_list};
static const struct gw_reader_facet fake_reader = {
    .open = fake_reader_open, .close = fake_reader_close, .split = fake_split};
static const struct gw_scan_facet fake_scan = {.open = fake_scan_open,
                                               .close = fake_scan_close,
                                               .begin = fake_begin,
                                               .next = fake_next,
                                               .end = fake_end,
                                               .fetch = fake_fetch,
                                               .print = fake_print,
                                               .key_order = fake_key_order,
                                               .version = fake_version,
                                               .running = fake_running,
                                               .outlasted = fake_outlasted};
static const struct gw_store_type fake_type = {.contract = GW_STORE_CONTRACT,
                                               .name = "fake",
                                               .catalog = &fake_catalog,
                                               .reader = &fake_reader,
                                               .scan = &fake_scan};

/* ---- a pair ------------------------------------------------------------------------------------------------------ */

struct fake_pair {
    struct fake_store source, target;
    struct gw_schema schema; /* as planned */
    struct gw_cancel cancel;
};

static inline void fake_store_init(struct fake_store *s, enum gw_side side, bool keyed)
{
    static const char *const names[FAKE_COLUMNS] = {"id", "name", "note", "made"};
    *s = (struct fake_store){.base = {.type = &fake_type, .side = side}};
    pthread_mutex_init(&s->lock, NULL);
    struct gw_collection *c = &s->collection;
    *c = (struct gw_collection){.space = gw_strdup("public"),
                                .name = gw_strdup("people"),
                                .column_count = FAKE_COLUMNS,
                                .key_kind = keyed ? GW_KEY_PRIMARY : GW_KEY_NONE,
                                .key_count = keyed ? 1 : 0,
                                .estimated_rows = -1,
                                .estimated_bytes = -1};
    c->columns = gw_calloc(FAKE_COLUMNS, sizeof *c->columns);
    for (int i = 0; i < FAKE_COLUMNS; i++) {
        c->columns[i].name = gw_strdup(names[i]);
        c->columns[i].type = gw_strdup(i ? "text" : "bigint");
        c->columns[i].key_position = keyed && i == 0;
    }
    c->key = gw_calloc(1, sizeof *c->key);
    c->identity = gw_strdup("default");
}

static inline void fake_store_release(struct fake_store *s)
{
    for (size_t i = 0; i < s->count; i++)
        fake_free_row(&s->rows[i]);
    free(s->rows);
    gw_collection_release(&s->collection);
    pthread_mutex_destroy(&s->lock);
}

static inline struct fake_pair *fake_pair_new(bool keyed)
{
    struct gw_error err = {0};
    struct fake_pair *pair = gw_zalloc(sizeof *pair);
    fake_store_init(&pair->source, GW_BLUE, keyed);
    fake_store_init(&pair->target, GW_GREEN, keyed);
    MUST(fake_list(&pair->source.base, NULL, &pair->schema, &err));
    MUST(gw_cancel_init(&pair->cancel, &err));
    return pair;
}

static inline void fake_pair_free(struct fake_pair *pair)
{
    fake_store_release(&pair->source);
    fake_store_release(&pair->target);
    gw_schema_release(&pair->schema);
    gw_cancel_release(&pair->cancel);
    free(pair);
}

static inline struct gw_verify_options fake_options(struct fake_pair *pair)
{
    return (struct gw_verify_options){.source = &pair->source.base,
                                      .target = &pair->target.base,
                                      .schema = &pair->schema,
                                      .jobs = 2,
                                      .chunk_rows = 100,
                                      .resettle_ms = 3000,
                                      .cancel = &pair->cancel};
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

#define ROWS 1000

static inline void fill_pair(struct fake_pair *pair, int64_t rows)
{
    for (int64_t id = 1; id <= rows; id++) {
        char name[32];
        snprintf(name, sizeof name, "name %lld", (long long)id);
        fake_add(&pair->source, id, name, NULL, "2024-01-01 00:00:00");
        fake_add(&pair->target, id, name, NULL, "2024-01-01 00:00:00");
    }
}

static inline struct gw_verify_report run_options(const struct gw_verify_options *options)
{
    struct gw_error err = {0};
    struct gw_verify_report report = {0};
    MUST(gw_verify_run(options, &report, &err));
    return report;
}

static inline struct gw_verify_report run(struct fake_pair *pair)
{
    struct gw_verify_options options = fake_options(pair);
    return run_options(&options);
}

static inline void expect(struct gw_verify_report *report, enum gw_verdict verdict, const char *reason_part)
{
    const struct gw_verify_collection *c = &report->collections[0];
    if (report->verdict != verdict || !strstr(c->reason, reason_part)) {
        gw_autobuf struct gw_buf text = {0};
        gw_verify_report_text(report, true, &text);
        print_error("wanted %s with \"%s\", got:\n%s", gw_verdict_name(verdict), reason_part, gw_buf_text(&text));
        fail();
    }
    static const enum gw_exit exits[] = {GW_EXIT_YES, GW_EXIT_NO, GW_EXIT_UNRESOLVED};
    assert_int_equal(gw_verify_exit(report), exits[verdict]);
}

static inline void expect_run(struct fake_pair *pair, enum gw_verdict verdict, const char *reason_part)
{
    struct gw_verify_report report = run(pair);
    expect(&report, verdict, reason_part);
    gw_verify_report_release(&report);
}

#endif
