/* A chunk, or a collection without key: digests on both sides; where they differ, the rows that do; then the verdict. */
#include "base/mem.h"
#include "verify/tally.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define GROUP_ROWS 50000u /* rows of both sides whose keys stand in memory at a time */

struct comparing {
    struct gw_verify_task *task;
    struct gw_verify_scope scope;
    struct gw_verify_cut *cut; /* NULL: all */
    struct gw_pass pass;
    struct gw_pass_rows rows;
    bool *chosen; /* NULL: all */
};

static bool read_digests(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct comparing *c = arg;
    return gw_pass_read(&c->pass, pair, &c->scope, err);
}

static bool read_rows(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct comparing *c = arg;
    return gw_pass_read_rows(&c->rows, &c->pass, c->chosen, pair, &c->scope, err);
}

void gw_verify_take_coverage(struct gw_verify_task *task, const struct gw_digest totals[2],
                             const struct gw_verify_span spans[2])
{
    atomic_fetch_add(&task->shared->chunks, 1);
    atomic_fetch_add(&task->shared->rows, totals[0].rows);
    atomic_fetch_add(&task->shared->bytes, totals[0].bytes);
    pthread_mutex_lock(&task->lock);
    for (int i = 0; i < 2; i++) {
        task->out.rows[i] += totals[i].rows;
        task->out.bytes[i] += totals[i].bytes;
        gw_verify_span_merge(&task->spans[i], &spans[i]);
    }
    task->out.chunks++;
    task->out.chunks_differing += !gw_digest_equal(&totals[0], &totals[1]);
    pthread_mutex_unlock(&task->lock);
}

/* A chunk whose digests are equal need not be read again by a run that goes on with this one. */
static void set_done(struct comparing *c)
{
    struct gw_verify_task *task = c->task;
    pthread_mutex_lock(&task->lock);
    for (int i = 0; i < 2; i++) {
        task->covered[i].rows += c->pass.total[i].rows;
        task->covered[i].bytes += c->pass.total[i].bytes;
        gw_verify_span_merge(&task->covering[i], &c->pass.spans[i]);
    }
    c->cut->done = true;
    pthread_mutex_unlock(&task->lock);
}

/* ---- suspects ---------------------------------------------------------------------------------------------------- */

static uint64_t proved(const struct gw_verify_collection *out)
{
    return out->missing + out->extra + out->changed + out->duplicate;
}

/* Takes the waiting suspects when there are enough (or all), and settles them. */
static bool settle_waiting(struct gw_verify_task *task, struct gw_verify_pair *pair, size_t least, struct gw_error *err)
{
    struct gw_verify_keys keys = {0};
    pthread_mutex_lock(&task->lock);
    if (task->suspects.count > 0 && task->suspects.count >= least) {
        keys = task->suspects;
        task->suspects = (struct gw_verify_keys){0};
    }
    pthread_mutex_unlock(&task->lock);
    bool ok = keys.count == 0 || gw_verify_settle(task, pair, &keys, err);
    gw_verify_keys_release(&keys);
    return ok;
}

/* How many keys are settled at a time: the places of their columns count too. */
static size_t batch_size(const struct gw_verify_task *task)
{
    size_t most = 200000 / (task->collection->key_count + 1) / 4;
    return most < GW_VERIFY_BATCH_MAX ? most : GW_VERIFY_BATCH_MAX;
}

static void add_suspect(struct gw_verify_task *task, const struct gw_pass_rows *rows, const struct gw_pass_entry *entry)
{
    struct gw_arena arena = {0};
    size_t offset = entry->stored - 1;
    struct gw_cursor in = gw_cursor_of(rows->stored.data + offset, rows->stored.len - offset);
    struct gw_row key = gw_row_decode(&in, &arena);
    atomic_fetch_add(&task->shared->suspects, 1);
    pthread_mutex_lock(&task->lock);
    task->out.suspects++;
    if (proved(&task->out) >= GW_VERIFY_EXAMINED_MAX)
        task->rows_unexamined++;
    else
        gw_verify_keys_add(&task->suspects, &key);
    pthread_mutex_unlock(&task->lock);
    gw_arena_release(&arena);
}

bool gw_verify_suspect(struct gw_verify_task *task, struct gw_verify_pair *pair, const struct gw_pass_rows *rows,
                       const struct gw_pass_entry *entry, struct gw_error *err)
{
    add_suspect(task, rows, entry);
    return settle_waiting(task, pair, batch_size(task), err);
}

static bool look_at_rows(struct comparing *c, struct gw_verify_pair *pair, struct gw_error *err)
{
    if (!gw_verify_pair_try(pair, read_rows, c, err))
        return false;
    for (size_t i = 0; i < c->rows.capacity; i++) {
        const struct gw_pass_entry *entry = &c->rows.entries[i];
        if (gw_pass_entry_differs(entry) && !gw_verify_suspect(c->task, pair, &c->rows, entry, err))
            return false;
    }
    return true;
}

bool gw_verify_enough_proved(struct gw_verify_task *task)
{
    pthread_mutex_lock(&task->lock);
    bool enough = proved(&task->out) >= GW_VERIFY_EXAMINED_MAX;
    pthread_mutex_unlock(&task->lock);
    return enough;
}

/* Buckets that differ, in groups whose rows fit in memory. */
static bool look_at_buckets(struct comparing *c, struct gw_verify_pair *pair, struct gw_error *err)
{
    size_t buckets = gw_pass_buckets(&c->pass);
    bool ok = true;
    c->chosen = gw_calloc(buckets, sizeof *c->chosen);
    for (size_t next = 0; ok && next < buckets;) {
        uint64_t rows = 0;
        memset(c->chosen, 0, buckets * sizeof *c->chosen);
        for (; next < buckets; next++) {
            uint64_t in_bucket = gw_pass_bucket_rows(&c->pass, next);
            if (gw_pass_bucket_equal(&c->pass, next))
                continue;
            if (rows > 0 && rows + in_bucket > GROUP_ROWS)
                break;
            c->chosen[next] = true;
            rows += in_bucket;
        }
        if (rows > 0 && gw_verify_enough_proved(c->task)) {
            pthread_mutex_lock(&c->task->lock);
            c->task->rows_unexamined += rows;
            pthread_mutex_unlock(&c->task->lock);
        } else if (rows > 0) {
            ok = look_at_rows(c, pair, err);
        }
    }
    free(c->chosen);
    c->chosen = NULL;
    return ok;
}

static uint64_t most_rows(const struct gw_pass *pass)
{
    return pass->total[0].rows > pass->total[1].rows ? pass->total[0].rows : pass->total[1].rows;
}

/* A range with far more rows than a chunk should have is read once more into buckets first. */
static bool drill_down(struct comparing *c, struct gw_verify_pair *pair, struct gw_error *err)
{
    if (gw_verify_enough_proved(c->task)) {
        pthread_mutex_lock(&c->task->lock);
        c->task->rows_unexamined += most_rows(&c->pass);
        pthread_mutex_unlock(&c->task->lock);
        return true;
    }
    if (c->pass.bits == 0 && most_rows(&c->pass) > GROUP_ROWS) {
        uint64_t rows = most_rows(&c->pass);
        gw_pass_release(&c->pass);
        gw_pass_init(&c->pass, (int64_t)rows, true);
        if (!gw_verify_pair_try(pair, read_digests, c, err))
            return false;
    }
    return c->pass.bits == 0 ? look_at_rows(c, pair, err) : look_at_buckets(c, pair, err);
}

bool gw_verify_compare(struct gw_verify_task *task, struct gw_verify_pair *pair, struct gw_verify_cut *cut,
                       struct gw_error *err)
{
    struct comparing c = {
        .task = task, .cut = cut, .scope = {.collection = task->collection, .range = cut ? &cut->range : NULL}};
    gw_pass_init(&c.pass, task->collection->estimated_rows, task->collection->key_count == 0);
    bool ok = gw_verify_pair_try(pair, read_digests, &c, err);
    if (ok) {
        gw_verify_take_coverage(task, c.pass.total, c.pass.spans);
        if (cut && gw_pass_equal(&c.pass))
            set_done(&c);
        if (!gw_pass_equal(&c.pass))
            ok = task->collection->key_count == 0 ? gw_verify_settle_keyless(task, pair, &c.pass, err)
                                                  : drill_down(&c, pair, err);
    }
    gw_pass_release(&c.pass);
    gw_pass_rows_release(&c.rows);
    return ok;
}

/* ---- the verdict ------------------------------------------------------------------------------------------------- */

static void add_cause(struct gw_verify_collection *out, const char *text)
{
    size_t capacity = out->cause_count;
    out->causes = gw_realloc(out->causes, (capacity + 1) * sizeof *out->causes);
    out->causes[out->cause_count++] = gw_strdup(text);
}

static void add_count_cause(struct gw_verify_collection *out, uint64_t rows, const char *one, const char *many)
{
    gw_autobuf struct gw_buf text = {0};
    if (rows == 0)
        return;
    gw_buf_adds(&text, out->at_least ? "at least " : "");
    gw_cause_add_count(&text, rows);
    gw_buf_addf(&text, " %s", rows == 1 ? one : many);
    add_cause(out, text.data);
}

static void add_causes(struct gw_verify_task *task)
{
    struct gw_verify_collection *out = &task->out;
    add_count_cause(out, out->missing, "row is missing on the target", "rows are missing on the target");
    add_count_cause(out, out->extra, "row is on the target only", "rows are on the target only");
    add_count_cause(out, out->duplicate, "key has another number of rows on the target",
                    "keys have another number of rows on the target");
    uint64_t changed = 0;
    for (size_t i = 0; i < task->collection->column_count; i++) {
        gw_autobuf struct gw_buf text = {0};
        if (gw_cause_words(&task->cause, i, task->collection->columns[i].name, out->rows[0], out->at_least, &text)) {
            add_cause(out, text.data);
            changed++;
        }
    }
    if (changed == 0)
        add_count_cause(out, out->changed, "row differs", "rows differ");
}

static void decide(struct gw_verify_task *task)
{
    struct gw_verify_collection *out = &task->out;
    gw_autobuf struct gw_buf reason = {0};
    for (int i = 0; i < 2; i++) {
        out->from[i] = task->spans[i].from;
        out->to[i] = task->spans[i].to;
        out->by_policy += task->spans[i].by_policy;
        out->by_filter += task->spans[i].by_filter;
    }
    out->at_least = out->at_least || task->rows_unexamined > 0;
    add_causes(task);
    if (proved(out) > 0) {
        out->verdict = GW_VERDICT_DIFFERENT;
        gw_buf_adds(&reason, out->cause_count ? out->causes[0] : "rows differ");
        if (task->failed)
            gw_buf_addf(&reason, "; not all could be read: %.300s", task->error.message);
    } else if (task->failed) {
        out->verdict = GW_VERDICT_UNRESOLVED;
        gw_buf_addf(&reason, "could not be read: %.500s", task->error.message);
    } else if (out->unresolved > 0 || task->rows_unexamined > 0 || out->chunks == 0) {
        out->verdict = GW_VERDICT_UNRESOLVED;
        gw_buf_adds(&reason, out->chunks == 0          ? "not looked at"
                             : task->unresolved_why[0] ? task->unresolved_why
                                                       : "rows were still changing");
    } else {
        out->verdict = GW_VERDICT_EQUAL;
    }
    task->decided = true;
    free(out->reason);
    out->reason = gw_buf_detach(&reason);
}

bool gw_verify_close_task(struct gw_verify_task *task, struct gw_verify_pair *pair, struct gw_error *err)
{
    bool ok = task->failed || ((!task->tally || gw_tally_look(task, pair, err)) && settle_waiting(task, pair, 1, err));
    if (!ok)
        gw_verify_task_fail(task, err);
    pthread_mutex_lock(&task->lock);
    if (task->failed)
        task->out.unresolved += task->suspects.count; /* those nobody settled */
    decide(task);
    gw_verify_keys_release(&task->suspects);
    pthread_mutex_unlock(&task->lock);
    gw_tally_drop(task);
    return ok;
}
