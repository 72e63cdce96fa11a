#include "verify/kept.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
#include "verify/tally.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_FACT "verify.run"
#define PROGRESS_FACT "verify.progress"
#define EVERY_MS 5000
#define SHARE_OF_TIME 20 /* noting may take one part in so many of it */

struct gw_kept {
    const struct gw_verify_keeping *keeping;
    char run[40];
    uint64_t seed;
    int64_t began_wall_us, since_wall_us;
    json_t *progress; /* of the run that is gone on with; NULL: none */
    pthread_mutex_t lock;
    bool noting; /* somebody is at it */
    int64_t next_us;
};

uint64_t gw_kept_seed(const struct gw_kept *kept)
{
    return kept ? kept->seed : gw_random64();
}

int64_t gw_kept_since_wall_us(const struct gw_kept *kept)
{
    return kept ? kept->since_wall_us : 0;
}

/* ---- small parts of the JSON --------------------------------------------------------------------------------------- */

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static uint64_t read_number(const json_t *array, size_t i)
{
    return (uint64_t)json_integer_value(json_array_get(array, i));
}

static json_t *spans_json(const struct gw_verify_span from[2])
{
    json_t *spans = json_array();
    for (int side = 0; side < 2; side++) {
        const struct gw_position *ends[] = {&from[side].from, &from[side].to};
        for (int end = 0; end < 2; end++) {
            json_array_append_new(spans, number(ends[end]->order));
            json_array_append_new(spans, gw_json_text(ends[end]->text));
        }
        json_array_append_new(spans, number(from[side].by_policy));
        json_array_append_new(spans, number(from[side].by_filter));
    }
    return spans;
}

static void read_spans(const json_t *spans, struct gw_verify_task *task)
{
    for (size_t side = 0; side < 2; side++) {
        struct gw_verify_span *span = &task->spans[side];
        for (size_t end = 0; end < 2; end++) {
            struct gw_position at = {.order = read_number(spans, side * 6 + end * 2)};
            const char *text = json_string_value(json_array_get(spans, side * 6 + end * 2 + 1));
            snprintf(at.text, sizeof at.text, "%s", text ? text : "");
            if (at.order)
                gw_verify_span_add(span, &at);
        }
        span->by_policy = read_number(spans, side * 6 + 4);
        span->by_filter = read_number(spans, side * 6 + 5);
        task->covering[side] = *span;
    }
}

/* Columns and key, by which the hash of a row and the bounds mean the same as before. */
static char *shape_of(const struct gw_collection *collection)
{
    gw_autobuf struct gw_buf shape = {0};
    for (size_t i = 0; i < collection->column_count; i++)
        gw_buf_addf(&shape, "%s\n%s\n", collection->columns[i].name, collection->columns[i].type);
    for (size_t i = 0; i < collection->key_count; i++)
        gw_buf_addf(&shape, "%" PRIu32 "\n", collection->key[i]);
    return gw_asprintf("%016" PRIx64, gw_hash64(gw_buf_text(&shape), shape.len, 0));
}

/* ---- beginning ----------------------------------------------------------------------------------------------------- */

static bool is_of(const json_t *run, const struct gw_verify_keeping *keeping, int64_t now_us)
{
    const char *generation = json_string_value(json_object_get(run, "generation"));
    int64_t began_us = json_integer_value(json_object_get(run, "began_wall_us"));
    return generation && strcmp(generation, keeping->generation) == 0 && began_us <= now_us &&
           now_us - began_us < keeping->max_age_ms * 1000;
}

static bool begin_anew(struct gw_kept *kept, struct gw_error *err)
{
    kept->seed = gw_random64();
    kept->began_wall_us = gw_wall_us();
    snprintf(kept->run, sizeof kept->run, "%016" PRIx64 "%016" PRIx64, gw_random64(), gw_random64());
    gw_autojson json_t *run = json_object();
    json_object_set_new(run, "run", json_string(kept->run));
    json_object_set_new(run, "generation", gw_json_text(kept->keeping->generation));
    json_object_set_new(run, "seed", number(kept->seed));
    json_object_set_new(run, "began_wall_us", json_integer(kept->began_wall_us));
    return gw_state_put(kept->keeping->state, RUN_FACT, run, err);
}

static bool take_up(struct gw_kept *kept, const json_t *run, struct gw_error *err)
{
    const char *name = json_string_value(json_object_get(run, "run"));
    json_t *progress = NULL;
    if (!name || !gw_state_get(kept->keeping->state, PROGRESS_FACT, &progress, err))
        return name ? false : begin_anew(kept, err);
    const char *of = json_string_value(json_object_get(progress, "run"));
    if (!of || strcmp(of, name) != 0) {
        json_decref(progress);
        return begin_anew(kept, err);
    }
    snprintf(kept->run, sizeof kept->run, "%s", name);
    kept->seed = (uint64_t)json_integer_value(json_object_get(run, "seed"));
    kept->began_wall_us = kept->since_wall_us = json_integer_value(json_object_get(run, "began_wall_us"));
    kept->progress = progress;
    return true;
}

bool gw_kept_open(const struct gw_verify_options *options, struct gw_kept **out, struct gw_error *err)
{
    *out = NULL;
    if (!options->keeping.state || options->keeping.max_age_ms <= 0 || options->sample.one_of > 1)
        return true;
    struct gw_kept *kept = gw_zalloc(sizeof *kept);
    kept->keeping = &options->keeping;
    pthread_mutex_init(&kept->lock, NULL);
    gw_autojson json_t *run = NULL;
    bool ok = gw_state_get(options->keeping.state, RUN_FACT, &run, err) &&
              (is_of(run, kept->keeping, gw_wall_us()) ? take_up(kept, run, err) : begin_anew(kept, err));
    int64_t every_ms = options->keeping.every_ms > 0 ? options->keeping.every_ms : EVERY_MS;
    kept->next_us = gw_mono_us() + every_ms * 1000;
    if (ok)
        *out = kept;
    else
        gw_kept_close(kept);
    return ok;
}

void gw_kept_close(struct gw_kept *kept)
{
    if (!kept)
        return;
    json_decref(kept->progress);
    pthread_mutex_destroy(&kept->lock);
    free(kept);
}

/* ---- going on ------------------------------------------------------------------------------------------------------ */

/* What is kept of a collection that has the same shape; NULL: nothing. */
static const json_t *find(const struct gw_kept *kept, const struct gw_verify_task *task)
{
    char id[16];
    snprintf(id, sizeof id, "%" PRIu32, task->out.id);
    const json_t *json = kept ? json_object_get(json_object_get(kept->progress, "collections"), id) : NULL;
    const char *shape = json_string_value(json_object_get(json, "shape"));
    gw_autofree char *now = shape && task->collection ? shape_of(task->collection) : NULL;
    return now && strcmp(now, shape) == 0 ? json : NULL;
}

static void read_coverage(const json_t *json, struct gw_verify_task *task)
{
    const json_t *counts = json_object_get(json, "coverage");
    struct gw_verify_collection *out = &task->out;
    for (size_t side = 0; side < 2; side++) {
        out->rows[side] = read_number(counts, side);
        out->bytes[side] = read_number(counts, 2 + side);
        task->covered[side] = (struct gw_digest){.rows = out->rows[side], .bytes = out->bytes[side]};
    }
    out->chunks = read_number(counts, 4);
    out->suspects = out->settled = read_number(counts, 5);
    out->rows_resumed = out->rows[0];
    atomic_fetch_add(&task->shared->chunks, out->chunks);
    atomic_fetch_add(&task->shared->rows, out->rows[0]);
    atomic_fetch_add(&task->shared->bytes, out->bytes[0]);
    read_spans(json_object_get(json, "spans"), task);
}

void gw_kept_restore_closed(struct gw_kept *kept, struct gw_verify_task *task, bool *equal)
{
    const json_t *json = find(kept, task);
    *equal = json_is_true(json_object_get(json, "equal"));
    if (!*equal)
        return;
    read_coverage(json, task);
    for (int side = 0; side < 2; side++) {
        task->out.from[side] = task->spans[side].from;
        task->out.to[side] = task->spans[side].to;
        task->out.by_policy += task->spans[side].by_policy;
        task->out.by_filter += task->spans[side].by_filter;
    }
}

/* A bound as text; NULL, and anything else that we did not write, is no bound. */
static bool read_bound(const json_t *text, struct gw_bound *bound)
{
    struct gw_error err;
    const char *json = json_string_value(text);
    return json && gw_bound_parse(json, bound, &err);
}

static bool read_cuts(const json_t *json, struct gw_verify_task *task, int side)
{
    const json_t *bounds = json_object_get(json, "bounds");
    const char *done = json_string_value(json_object_get(json, "done"));
    bool last = json_is_true(json_object_get(json, "last"));
    size_t count = done ? strlen(done) : 0;
    if (count == 0 || json_array_size(bounds) != count + 1)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct gw_range range = {{0}, {0}};
        if (!read_bound(json_array_get(bounds, i), &range.low) ||
            !read_bound(json_array_get(bounds, i + 1), &range.high)) {
            gw_range_release(&range);
            return false;
        }
        gw_verify_cut_add(task, side, &range, last && i + 1 == count);
        task->cuts[side].items[i]->done = done[i] == '1';
    }
    return true;
}

static char *cells_path(const struct gw_kept *kept, const struct gw_verify_task *task, int turn)
{
    return gw_asprintf("%s/verify-%" PRIu32 ".%d", kept->keeping->folder, task->out.id, turn);
}

static bool read_cells(const struct gw_kept *kept, const json_t *json, struct gw_verify_task *task)
{
    struct gw_tally *tally = task->tally;
    const json_t *totals = json_object_get(json, "totals");
    size_t bytes = sizeof *tally->cells << tally->bits;
    tally->turn = (int)json_integer_value(json_object_get(json, "turn"));
    gw_autofree char *path = cells_path(kept, task, tally->turn);
    gw_autobuf struct gw_buf cells = {0};
    struct gw_error err;
    if (json_integer_value(json_object_get(json, "bits")) != tally->bits || !gw_file_read(path, bytes, &cells, &err) ||
        cells.len != bytes)
        return false;
    const char *sum = json_string_value(json_object_get(json, "sum"));
    gw_autofree char *now = gw_asprintf("%016" PRIx64, gw_hash64(cells.data, bytes, 0));
    if (!sum || strcmp(sum, now) != 0)
        return false;
    memcpy(tally->cells, cells.data, bytes);
    for (size_t side = 0; side < 2; side++)
        tally->totals[side] = (struct gw_digest){
            .rows = read_number(totals, side * 4),
            .bytes = read_number(totals, side * 4 + 1),
            .sum = {.low = read_number(totals, side * 4 + 2), .high = read_number(totals, side * 4 + 3)}};
    return true;
}

void gw_kept_restore_cuts(struct gw_kept *kept, struct gw_verify_task *task)
{
    const json_t *json = find(kept, task);
    bool apart = task->tally != NULL;
    const json_t *sides = json_object_get(json, "sides");
    if (!json || json_is_true(json_object_get(json, "apart")) != apart || json_array_size(sides) != 1u + apart)
        return;
    pthread_mutex_lock(&task->lock);
    bool ok = !apart || read_cells(kept, json, task);
    for (int side = 0; ok && side < 1 + apart; side++)
        ok = read_cuts(json_array_get(sides, (size_t)side), task, side);
    if (ok) {
        read_coverage(json, task);
    } else {
        gw_verify_cuts_release(task);
        if (apart)
            gw_tally_clear(task->tally);
    }
    pthread_mutex_unlock(&task->lock);
}

/* ---- noting -------------------------------------------------------------------------------------------------------- */

static json_t *bound_json(const struct gw_bound *bound)
{
    gw_autobuf struct gw_buf text = {0};
    gw_bound_format(bound, &text);
    return json_string(gw_buf_text(&text));
}

/* Each chunk begins where the one before it ends. */
static json_t *cuts_json(const struct gw_verify_cuts *cuts)
{
    json_t *json = json_object(), *bounds = json_array();
    gw_autobuf struct gw_buf done = {0};
    for (size_t i = 0; i < cuts->count; i++) {
        json_array_append_new(bounds, bound_json(&cuts->items[i]->range.low));
        gw_buf_addc(&done, cuts->items[i]->done ? '1' : '0');
    }
    if (cuts->count)
        json_array_append_new(bounds, bound_json(&cuts->items[cuts->count - 1]->range.high));
    json_object_set_new(json, "bounds", bounds);
    json_object_set_new(json, "done", json_string(gw_buf_text(&done)));
    json_object_set_new(json, "last", json_boolean(cuts->last));
    return json;
}

static bool add_cells(const struct gw_kept *kept, struct gw_verify_task *task, json_t *json, struct gw_error *err)
{
    struct gw_tally *tally = task->tally;
    size_t bytes = sizeof *tally->cells << tally->bits;
    int turn = 1 - tally->turn;
    gw_autofree char *path = cells_path(kept, task, turn);
    gw_autofree char *sum = gw_asprintf("%016" PRIx64, gw_hash64(tally->cells, bytes, 0));
    if (!gw_file_replace(path, tally->cells, bytes, err))
        return false;
    tally->turn = turn;
    json_t *totals = json_array();
    for (int side = 0; side < 2; side++) {
        json_array_append_new(totals, number(tally->totals[side].rows));
        json_array_append_new(totals, number(tally->totals[side].bytes));
        json_array_append_new(totals, number(tally->totals[side].sum.low));
        json_array_append_new(totals, number(tally->totals[side].sum.high));
    }
    json_object_set_new(json, "totals", totals);
    json_object_set_new(json, "bits", json_integer(tally->bits));
    json_object_set_new(json, "turn", json_integer(turn));
    json_object_set_new(json, "sum", json_string(sum));
    return true;
}

/* What counts of a chunk that is not done is looked at again. */
static json_t *coverage_json(const struct gw_verify_task *task, bool equal)
{
    bool whole = equal || task->tally;
    uint64_t done = 0;
    for (size_t i = 0; i < task->cuts[0].count; i++)
        done += task->cuts[0].items[i]->done;
    json_t *json = json_array();
    for (int side = 0; side < 2; side++)
        json_array_append_new(json, number(whole ? task->out.rows[side] : task->covered[side].rows));
    for (int side = 0; side < 2; side++)
        json_array_append_new(json, number(whole ? task->out.bytes[side] : task->covered[side].bytes));
    json_array_append_new(json, number(whole ? task->out.chunks : done));
    json_array_append_new(json, number(equal ? task->out.settled : 0));
    return json;
}

/* NULL: nothing to keep of it. Lock held. */
static json_t *task_json(const struct gw_kept *kept, struct gw_verify_task *task, struct gw_error *err)
{
    bool equal = task->decided && task->out.verdict == GW_VERDICT_EQUAL;
    if (!task->collection || task->failed || (!equal && (task->decided || task->cuts[0].count == 0)))
        return NULL;
    gw_autofree char *shape = shape_of(task->collection);
    json_t *json = json_object();
    json_object_set_new(json, "shape", json_string(shape));
    json_object_set_new(json, "coverage", coverage_json(task, equal));
    json_object_set_new(json, "spans", spans_json(equal || task->tally ? task->spans : task->covering));
    json_object_set_new(json, "equal", json_boolean(equal));
    if (equal)
        return json;
    json_t *sides = json_array();
    json_object_set_new(json, "apart", json_boolean(task->tally != NULL));
    json_array_append_new(sides, cuts_json(&task->cuts[0]));
    if (task->tally)
        json_array_append_new(sides, cuts_json(&task->cuts[1]));
    json_object_set_new(json, "sides", sides);
    if (task->tally && !add_cells(kept, task, json, err)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static bool note(struct gw_kept *kept, struct gw_verify_task *tasks, size_t count, struct gw_error *err)
{
    gw_autojson json_t *progress = json_object();
    json_t *collections = json_object();
    json_object_set_new(progress, "run", json_string(kept->run));
    json_object_set_new(progress, "collections", collections);
    err->kind = GW_ERR_NONE;
    for (size_t i = 0; i < count && err->kind == GW_ERR_NONE; i++) {
        char id[16];
        snprintf(id, sizeof id, "%" PRIu32, tasks[i].out.id);
        pthread_mutex_lock(&tasks[i].lock);
        json_t *json = task_json(kept, &tasks[i], err);
        pthread_mutex_unlock(&tasks[i].lock);
        if (json)
            json_object_set_new(collections, id, json);
    }
    GW_CRASH_POINT("verify.keep.before_commit");
    if (err->kind != GW_ERR_NONE || !gw_state_put(kept->keeping->state, PROGRESS_FACT, progress, err))
        return false;
    GW_CRASH_POINT("verify.keep.after_commit");
    return true;
}

void gw_kept_note(struct gw_kept *kept, struct gw_verify_task *tasks, size_t count)
{
    if (!kept)
        return;
    int64_t began_us = gw_mono_us();
    pthread_mutex_lock(&kept->lock);
    bool ours = !kept->noting && began_us >= kept->next_us;
    kept->noting = kept->noting || ours;
    pthread_mutex_unlock(&kept->lock);
    if (!ours)
        return;
    struct gw_error err;
    if (!note(kept, tasks, count, &err))
        gw_warn("verify: how far it is could not be noted: %s", err.message);
    int64_t every_ms = kept->keeping->every_ms > 0 ? kept->keeping->every_ms : EVERY_MS;
    int64_t now_us = gw_mono_us(), pause_us = (now_us - began_us) * SHARE_OF_TIME;
    pthread_mutex_lock(&kept->lock);
    kept->next_us = now_us + (pause_us > every_ms * 1000 ? pause_us : every_ms * 1000);
    kept->noting = false;
    pthread_mutex_unlock(&kept->lock);
}

bool gw_verify_forget(const struct gw_verify_keeping *keeping, const struct gw_schema *schema, struct gw_error *err)
{
    const struct gw_kept kept = {.keeping = keeping};
    if (!keeping->state)
        return true;
    for (size_t i = 0; i < schema->count; i++)
        for (int turn = 0; turn < 2; turn++) {
            const struct gw_verify_task task = {.out = {.id = schema->collections[i].id}};
            gw_autofree char *path = cells_path(&kept, &task, turn);
            unlink(path); /* most were never there */
        }
    return gw_state_put(keeping->state, RUN_FACT, NULL, err) && gw_state_put(keeping->state, PROGRESS_FACT, NULL, err);
}
