/* A run: which collections, one thread that splits them into chunks, workers that compare chunks, the verdicts. */
#include "verify/verify.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "io/json.h"
#include "verify/cutting.h"
#include "verify/kept.h"
#include "verify/queries.h"
#include "verify/sample.h"
#include "verify/tally.h"

#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 32
#define CHUNK_ROWS_MAX 25000
#define CHUNK_ROWS_MIN 32
#define CHUNK_BYTES (INT64_C(8) << 20)
#define PROGRESS_EVERY_US 200000

struct run {
    const struct gw_verify_options *options;
    uint64_t seed;
    struct gw_schema schemas[2]; /* as the sides have them now */
    size_t count;
    struct gw_verify_task *tasks;
    struct gw_verify_task **order; /* the largest first */
    struct gw_queue *items;
    struct gw_kept *kept; /* NULL: nothing is kept */
    struct gw_verify_shared shared;
    pthread_mutex_t lock; /* below */
    bool failed;
    struct gw_error error;
    struct gw_verify_progress progress;
    int64_t progress_us;
};

struct item { /* `close`: the splitter is done with the task */
    struct gw_verify_task *task;
    bool close;
    struct gw_verify_cut *cut; /* NULL: the whole */
    int side;                  /* of the cut */
    size_t chunks[2];          /* of a tally */
};

/* Nothing more can be found out: everybody stops. The first reason is kept. */
static void fail_run(struct run *run, const struct gw_error *err)
{
    pthread_mutex_lock(&run->lock);
    if (!run->failed)
        run->error = *err;
    run->failed = true;
    pthread_mutex_unlock(&run->lock);
    atomic_store(&run->shared.stop, true);
    gw_queue_close(run->items);
}

static void show_progress(struct run *run, const struct gw_verify_task *task, bool closed)
{
    int64_t now_us = gw_mono_us();
    pthread_mutex_lock(&run->lock);
    struct gw_verify_progress *p = &run->progress;
    p->collection = task->out.name;
    p->collections_done += closed;
    p->chunks_done = atomic_load(&run->shared.chunks);
    p->rows = atomic_load(&run->shared.rows);
    p->bytes = atomic_load(&run->shared.bytes);
    p->suspects = atomic_load(&run->shared.suspects);
    if (run->options->progress &&
        (now_us - run->progress_us >= PROGRESS_EVERY_US || p->collections_done == p->collections)) {
        run->progress_us = now_us;
        run->options->progress(run->options->progress_arg, p);
    }
    pthread_mutex_unlock(&run->lock);
}

/* ---- what is compared -------------------------------------------------------------------------------------------- */

static const struct gw_column *find_column(const struct gw_collection *collection, const char *name)
{
    for (size_t i = 0; i < collection->column_count; i++)
        if (strcmp(collection->columns[i].name, name) == 0)
            return &collection->columns[i];
    return NULL;
}

/* "" when the columns are the same by name and type. */
static void compare_columns(const struct gw_collection *source, const struct gw_collection *target, struct gw_buf *out)
{
    for (size_t i = 0; i < source->column_count && !out->len; i++) {
        const struct gw_column *a = &source->columns[i], *b = find_column(target, a->name);
        if (!b)
            gw_buf_addf(out, "column %s is missing on the target", a->name);
        else if (strcmp(a->type, b->type) != 0)
            gw_buf_addf(out, "column %s is %s on the source and %s on the target", a->name, a->type, b->type);
    }
    for (size_t i = 0; i < target->column_count && !out->len; i++)
        if (!find_column(source, target->columns[i].name))
            gw_buf_addf(out, "column %s is on the target only", target->columns[i].name);
}

static void decide_now(struct gw_verify_task *task, enum gw_verdict verdict, const char *reason)
{
    task->closed = task->decided = true;
    task->out.verdict = verdict;
    free(task->out.reason);
    task->out.reason = gw_strdup(reason);
}

static int64_t chunk_rows(const struct gw_verify_options *options, const struct gw_collection *collection)
{
    if (options->sample.one_of > 1)
        return GW_SAMPLE_ROWS;
    if (options->chunk_rows > 0)
        return options->chunk_rows;
    if (collection->estimated_rows <= 0 || collection->estimated_bytes <= 0)
        return CHUNK_ROWS_MAX;
    int64_t rows = CHUNK_BYTES / (collection->estimated_bytes / collection->estimated_rows + 1);
    return rows > CHUNK_ROWS_MAX ? CHUNK_ROWS_MAX : rows < CHUNK_ROWS_MIN ? CHUNK_ROWS_MIN : rows;
}

static void init_task(struct run *run, struct gw_verify_task *task, const struct gw_collection *planned)
{
    struct gw_collection *source =
        (struct gw_collection *)(uintptr_t)gw_schema_find(&run->schemas[0], planned->space, planned->name);
    const struct gw_collection *target = gw_schema_find(&run->schemas[1], planned->space, planned->name);
    *task = (struct gw_verify_task){.options = run->options, .shared = &run->shared, .collection = source};
    pthread_mutex_init(&task->lock, NULL);
    task->out.id = planned->id;
    task->out.name = gw_strdup(gw_collection_label(planned));
    task->out.verdict = GW_VERDICT_UNRESOLVED;
    task->out.reason = gw_strdup("not looked at");
    if (!source) {
        decide_now(task, GW_VERDICT_UNRESOLVED, "it is no longer on the source");
        return;
    }
    source->id = planned->id;
    task->out.columns = source->column_count;
    task->chunk_rows = chunk_rows(run->options, source);
    gw_cause_init(&task->cause, source->column_count);
    task->cause.masked = run->options->mask && run->options->mask->hides;
    gw_autobuf struct gw_buf shape = {0};
    if (target)
        compare_columns(source, target, &shape);
    else
        gw_buf_adds(&shape, "it is missing on the target");
    bool equal = false;
    if (!shape.len)
        gw_kept_restore_closed(run->kept, task, &equal);
    if (shape.len || equal)
        decide_now(task, equal ? GW_VERDICT_EQUAL : GW_VERDICT_DIFFERENT, equal ? "" : shape.data);
}

static int compare_sizes(const void *a, const void *b)
{
    const struct gw_verify_task *x = *(struct gw_verify_task *const *)a, *y = *(struct gw_verify_task *const *)b;
    int64_t left = x->collection ? x->collection->estimated_bytes : 0;
    int64_t right = y->collection ? y->collection->estimated_bytes : 0;
    return left > right ? -1 : left < right ? 1 : x->out.id < y->out.id ? -1 : 1;
}

static bool list_sides(struct run *run, struct gw_error *err)
{
    const struct gw_filter everything = {0};
    const struct gw_store *stores[] = {run->options->source, run->options->target};
    for (int i = 0; i < 2; i++)
        if (!stores[i]->type->catalog || !stores[i]->type->scan || !stores[i]->type->reader)
            return gw_fail(err, GW_ERR_UNSUPPORTED, "a store of type %s cannot be verified yet", stores[i]->type->name);
    return run->options->source->type->catalog->list(run->options->source, &everything, &run->schemas[0], err) &&
           run->options->target->type->catalog->list(run->options->target, &everything, &run->schemas[1], err);
}

static void init_tasks(struct run *run)
{
    const struct gw_schema *planned = run->options->schema;
    run->count = planned->count;
    run->tasks = gw_calloc(run->count + 1, sizeof *run->tasks);
    run->order = gw_calloc(run->count + 1, sizeof(struct gw_verify_task *));
    run->progress.collections = run->count;
    for (size_t i = 0; i < run->count; i++) {
        struct gw_verify_task *task = &run->tasks[i];
        init_task(run, task, &planned->collections[i]);
        run->order[i] = task;
        run->progress.collections_done += task->closed;
        if (task->collection && task->collection->estimated_rows > 0)
            run->progress.estimated_rows += task->collection->estimated_rows;
    }
    if (run->progress.estimated_rows == 0)
        run->progress.estimated_rows = -1;
    qsort(run->order, run->count, sizeof(struct gw_verify_task *), compare_sizes);
}

static void init_pair(struct run *run, struct gw_verify_pair *pair)
{
    *pair = (struct gw_verify_pair){.cancel = run->options->cancel};
    pair->sides[GW_VERIFY_SOURCE].store = run->options->source;
    pair->sides[GW_VERIFY_TARGET].store = run->options->target;
    pair->sides[0].hash.seed = pair->sides[1].hash.seed = run->seed;
}

/* ---- splitting --------------------------------------------------------------------------------------------------- */

struct ordering {
    const struct gw_collection *collection;
    bool same;
};

/* Chunks are cut as the source orders keys. Where the target orders them otherwise they would hold other rows there. */
static bool compare_order(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct ordering *work = arg;
    struct gw_buf names[2] = {{0}, {0}};
    bool ok = true;
    for (int i = 0; ok && i < 2; i++) {
        struct gw_verify_side *side = &pair->sides[i];
        if (side->store->type->scan->key_order)
            ok = side->store->type->scan->key_order(side->scan, work->collection, &names[i], err);
    }
    work->same = strcmp(gw_buf_text(&names[0]), gw_buf_text(&names[1])) == 0;
    gw_buf_release(&names[0]);
    gw_buf_release(&names[1]);
    return ok;
}

static bool push(struct run *run, struct gw_verify_task *task, struct item item)
{
    struct item *copy = gw_memdup(&item, sizeof item);
    copy->task = task;
    if (!item.close) {
        pthread_mutex_lock(&task->lock);
        task->items_open++;
        pthread_mutex_unlock(&task->lock);
    }
    if (gw_queue_push(run->items, copy, 1))
        return true;
    free(copy);
    return false;
}

static bool has_failed(struct gw_verify_task *task)
{
    pthread_mutex_lock(&task->lock);
    bool failed = task->failed;
    pthread_mutex_unlock(&task->lock);
    return failed;
}

static bool goes_on(struct run *run, struct gw_verify_task *task)
{
    return !atomic_load(&run->shared.stop) && !has_failed(task);
}

static bool split_side(struct run *run, struct gw_verify_pair *pair, struct gw_verify_task *task, int side,
                       struct gw_error *err)
{
    struct gw_cutting cutting = gw_cutting_of(task, pair, side);
    bool ok = true;
    for (size_t chunk = 0; ok && goes_on(run, task);) {
        ok = gw_cutting_next(&cutting, &chunk, err);
        if (chunk == GW_VERIFY_NO_CHUNK ||
            (ok && !push(run, task, (struct item){.cut = task->cuts[side].items[chunk], .side = side})))
            break;
    }
    gw_cutting_release(&cutting);
    return ok;
}

/* Each side as it orders itself; an item is a chunk of each, as long as both have one. */
static bool split_apart(struct run *run, struct gw_verify_pair *pair, struct gw_verify_task *task, struct gw_error *err)
{
    struct gw_cutting cuttings[2] = {gw_cutting_of(task, pair, 0), gw_cutting_of(task, pair, 1)};
    bool ok = true;
    while (ok && goes_on(run, task)) {
        struct item item = {.chunks = {GW_VERIFY_NO_CHUNK, GW_VERIFY_NO_CHUNK}};
        for (int side = 0; ok && side < 2; side++)
            ok = gw_cutting_next(&cuttings[side], &item.chunks[side], err);
        if (ok && item.chunks[0] == GW_VERIFY_NO_CHUNK && item.chunks[1] == GW_VERIFY_NO_CHUNK)
            break;
        if (ok && !push(run, task, item))
            break;
    }
    gw_cutting_release(&cuttings[0]);
    gw_cutting_release(&cuttings[1]);
    return ok;
}

static bool split_task(struct run *run, struct gw_verify_pair *pair, struct gw_verify_task *task, struct gw_error *err)
{
    struct ordering ordering = {.collection = task->collection, .same = true};
    if (task->collection->key_count == 0)
        return push(run, task, (struct item){0}) || gw_fail(err, GW_ERR_CANCELLED, "stopped");
    if (!gw_verify_pair_try(pair, compare_order, &ordering, err))
        return false;
    if (!ordering.same && run->options->sample.one_of > 1) {
        task->by_keys = true;
        return split_side(run, pair, task, GW_VERIFY_SOURCE, err) && split_side(run, pair, task, GW_VERIFY_TARGET, err);
    }
    if (!ordering.same && !gw_tally_make(task, err))
        return false;
    gw_kept_restore_cuts(run->kept, task);
    return ordering.same ? split_side(run, pair, task, GW_VERIFY_SOURCE, err) : split_apart(run, pair, task, err);
}

static void *run_splitter(void *arg)
{
    struct run *run = arg;
    struct gw_verify_pair pair;
    struct gw_error err;
    init_pair(run, &pair);
    for (size_t i = 0; i < run->count && !atomic_load(&run->shared.stop); i++) {
        struct gw_verify_task *task = run->order[i];
        if (task->closed)
            continue;
        task->items_open = 1; /* ours, until it is split */
        if (!split_task(run, &pair, task, &err)) {
            gw_verify_task_fail(task, &err);
            if (err.kind == GW_ERR_CANCELLED || pair.unreachable)
                fail_run(run, &err);
        }
        push(run, task, (struct item){.close = true});
    }
    gw_queue_close(run->items);
    gw_verify_pair_release(&pair);
    return NULL;
}

/* ---- working ----------------------------------------------------------------------------------------------------- */

static void note_failure(struct run *run, struct gw_verify_pair *pair, struct gw_verify_task *task,
                         const struct gw_error *err)
{
    gw_verify_task_fail(task, err);
    if (err->kind == GW_ERR_CANCELLED || pair->unreachable)
        fail_run(run, err);
}

static void finish_item(struct run *run, struct gw_verify_pair *pair, struct gw_verify_task *task)
{
    struct gw_error err;
    pthread_mutex_lock(&task->lock);
    bool last = --task->items_open == 0;
    pthread_mutex_unlock(&task->lock);
    if (!last || atomic_load(&run->shared.stop))
        return;
    if (!gw_verify_close_task(task, pair, &err))
        note_failure(run, pair, task, &err);
    task->closed = true;
    show_progress(run, task, true);
}

static void work_on(struct run *run, struct gw_verify_pair *pair, struct item *item)
{
    struct gw_verify_task *task = item->task;
    struct gw_error err;
    if (!item->close && !atomic_load(&run->shared.stop) && !has_failed(task)) {
        bool ok = task->tally     ? gw_tally_read(task, pair, item->chunks, &err)
                  : task->by_keys ? gw_sample_compare(task, pair, item->cut, item->side, &err)
                                  : gw_verify_compare(task, pair, item->cut, &err);
        if (!ok)
            note_failure(run, pair, task, &err);
        show_progress(run, task, false);
    }
    finish_item(run, pair, task);
    gw_kept_note(run->kept, run->tasks, run->count);
}

static void *run_worker(void *arg)
{
    struct run *run = arg;
    struct gw_verify_pair pair;
    init_pair(run, &pair);
    for (bool closed = false; !closed;) {
        struct item *item = gw_queue_pop(run->items, -1, &closed);
        if (!item)
            continue;
        work_on(run, &pair, item);
        free(item);
    }
    gw_verify_pair_release(&pair);
    return NULL;
}

static bool run_threads(struct run *run, struct gw_error *err)
{
    int jobs = run->options->jobs < 1 ? 1 : run->options->jobs > JOBS_MAX ? JOBS_MAX : run->options->jobs;
    pthread_t splitter, workers[JOBS_MAX];
    int made = pthread_create(&splitter, NULL, run_splitter, run);
    if (made != 0)
        return gw_fail_errno(err, made, "cannot make a thread");
    int started = 0;
    while (started < jobs && (made = pthread_create(&workers[started], NULL, run_worker, run)) == 0)
        started++;
    if (started == 0) {
        gw_fail_errno(&run->error, made, "cannot make a thread");
        struct gw_error error = run->error;
        fail_run(run, &error);
    }
    for (int i = 0; i < started; i++)
        pthread_join(workers[i], NULL);
    pthread_join(splitter, NULL);
    if (run->failed)
        *err = run->error;
    return !run->failed;
}

/* ---- the report -------------------------------------------------------------------------------------------------- */

static void decide_all(struct gw_verify_report *report)
{
    size_t different = 0, unresolved = 0;
    uint64_t rows = 0;
    for (size_t i = 0; i < report->count; i++) {
        different += report->collections[i].verdict == GW_VERDICT_DIFFERENT;
        unresolved += report->collections[i].verdict == GW_VERDICT_UNRESOLVED;
        rows += report->collections[i].rows[0] + report->collections[i].rows[1];
    }
    report->verdict = different                               ? GW_VERDICT_DIFFERENT
                      : unresolved || !report->count || !rows ? GW_VERDICT_UNRESOLVED
                                                              : GW_VERDICT_EQUAL;
    if (!report->count)
        snprintf(report->reason, sizeof report->reason, "there was no collection to compare");
    else if (!different && !unresolved && !rows)
        snprintf(report->reason, sizeof report->reason, "no row was compared: all collections are empty on both sides");
}

void gw_verify_take_quarantined(struct gw_verify_report *report, uint32_t collection, uint64_t rows)
{
    for (size_t i = 0; rows > 0 && i < report->count; i++) {
        struct gw_verify_collection *c = &report->collections[i];
        if (c->id != collection || c->verdict != GW_VERDICT_EQUAL)
            continue;
        gw_autobuf struct gw_buf reason = {0};
        gw_cause_add_count(&reason, rows);
        gw_buf_addf(&reason, " row%s did not fit the target, and wait%s in quarantine", rows == 1 ? "" : "s",
                    rows == 1 ? "s" : "");
        free(c->reason);
        c->reason = gw_buf_detach(&reason);
        c->verdict = GW_VERDICT_UNRESOLVED;
        report->verdict = report->verdict == GW_VERDICT_EQUAL ? GW_VERDICT_UNRESOLVED : report->verdict;
    }
}

bool gw_verify_keep(const struct gw_verify_report *report, struct gw_state *state, struct gw_error *err)
{
    for (size_t i = 0; i < report->count; i++) {
        if (report->sample.one_of > 1 && report->collections[i].verdict != GW_VERDICT_DIFFERENT)
            continue; /* a sample lets no switch begin */
        gw_autojson json_t *json = gw_verify_collection_json(&report->collections[i]);
        json_object_set_new(json, "seen", gw_verify_seen_json(&report->collections[i]));
        json_object_set_new(json, "different_since_us", json_integer(report->collections[i].different_since_us));
        json_object_set_new(json, "equal_until_us", json_integer(report->collections[i].equal_until_us));
        if (!gw_state_put_verdict(state, report->collections[i].id, json, err))
            return false;
    }
    if (report->sample.one_of > 1)
        return true;
    gw_autojson json_t *beside = gw_verify_beside_json(report);
    return gw_state_put(state, GW_VERIFY_BESIDE, beside, err);
}

static void release_collection(struct gw_verify_collection *collection)
{
    free(collection->name);
    free(collection->reason);
    for (size_t i = 0; i < collection->cause_count; i++)
        free(collection->causes[i]);
    free(collection->causes);
    for (size_t i = 0; i < collection->difference_count; i++) {
        struct gw_verify_difference *difference = &collection->differences[i];
        free(difference->key);
        for (size_t c = 0; c < difference->column_count; c++) {
            free(difference->columns[c].column);
            free(difference->columns[c].source);
            free(difference->columns[c].target);
        }
        free(difference->columns);
    }
    free(collection->differences);
    free(collection->seen);
    free(collection->between);
}

void gw_verify_report_release(struct gw_verify_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        release_collection(&report->collections[i]);
    free(report->collections);
    for (size_t i = 0; i < report->rule_count; i++) {
        free(report->rules[i].collection);
        free(report->rules[i].name);
        free(report->rules[i].what);
        free(report->rules[i].on[0]);
        free(report->rules[i].on[1]);
    }
    free(report->rules);
    gw_queries_release(report);
    *report = (struct gw_verify_report){0};
}

/* It may have an error's words in it; where rows differ it has none but ours. */
static void mask_reason(const struct gw_mask *mask, struct gw_verify_collection *collection)
{
    struct gw_buf words = {0};
    if (collection->cause_count && strcmp(collection->reason, collection->causes[0]) == 0)
        return;
    gw_mask_words(mask, collection->reason, &words);
    free(collection->reason);
    collection->reason = gw_buf_detach(&words);
}

static void take_report(struct run *run, struct gw_verify_report *report)
{
    report->count = run->count;
    report->collections = gw_calloc(run->count + 1, sizeof *report->collections);
    for (size_t i = 0; i < run->count; i++) {
        report->collections[i] = run->tasks[i].out;
        if (report->masked && report->collections[i].verdict != GW_VERDICT_EQUAL)
            mask_reason(run->options->mask, &report->collections[i]);
        run->tasks[i].out = (struct gw_verify_collection){0};
    }
    decide_all(report);
}

static void release_run(struct run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        release_collection(&run->tasks[i].out);
        gw_cause_release(&run->tasks[i].cause);
        gw_verify_keys_release(&run->tasks[i].suspects);
        gw_tally_drop(&run->tasks[i]);
        gw_verify_cuts_release(&run->tasks[i]);
        pthread_mutex_destroy(&run->tasks[i].lock);
    }
    free(run->tasks);
    free(run->order);
    gw_schema_release(&run->schemas[0]);
    gw_schema_release(&run->schemas[1]);
    if (run->items)
        gw_queue_free(run->items, free);
    pthread_mutex_destroy(&run->lock);
}

bool gw_verify_run(const struct gw_verify_options *options, struct gw_verify_report *out, struct gw_error *err)
{
    struct run run = {.options = options};
    struct gw_verify_report report = {.live = options->wait_applied != NULL,
                                      .began_wall_us = gw_wall_us(),
                                      .sample = options->sample,
                                      .masked = options->mask && options->mask->hides};
    int64_t began_us = gw_mono_us();
    pthread_mutex_init(&run.lock, NULL);
    bool ok = list_sides(&run, err) && gw_kept_open(options, &run.kept, err);
    if (ok) {
        run.seed = gw_kept_seed(run.kept);
        init_tasks(&run);
        run.items = gw_queue_new((size_t)(options->jobs > 0 ? options->jobs : 1) * 4);
        ok = run_threads(&run, err);
    }
    if (ok) {
        take_report(&run, &report);
        report.elapsed_us = gw_mono_us() - began_us;
        report.resumed_wall_us = gw_kept_since_wall_us(run.kept);
        *out = report;
    }
    gw_kept_close(run.kept);
    release_run(&run);
    return ok;
}
