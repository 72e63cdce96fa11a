/*
 * A collection without key whose digests differ: rows cannot be read again one by one, so the whole is read again, in
 * buckets of rows by their hash. A round: the source's buckets A, at P; wait until the target has applied past P; the
 * target's T; wait until what was in the log then is visible; the source's B. A bucket where T equals A or B is done.
 * One where A equals B and T differs is different when the next round finds all three the same again (a row that came
 * and went in between would have to come again). What still moves when the time is over is unresolved.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "verify/task.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_ROUNDS 3
#define OUTLAST_MS 3000
#define GROUP_ROWS 50000

enum bucket_state { BUCKET_OPEN, BUCKET_SUSPECT, BUCKET_DONE, BUCKET_DIFFERENT };

struct keyless {
    struct gw_verify_task *task;
    struct gw_verify_pair *pair;
    struct gw_verify_scope scope;
    struct gw_pass *pass;         /* [0]: A, then B; [1]: T */
    struct gw_digest *before;     /* A of the round */
    struct gw_digest *suspect[2]; /* what made a bucket suspect */
    unsigned char *states;        /* enum bucket_state */
    size_t buckets, open, different;
    int64_t end_us;
};

struct side_work {
    struct keyless *keyless;
    int side;
};

static bool read_side(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct side_work *work = arg;
    return gw_pass_read_side(work->keyless->pass, pair, &work->keyless->scope, work->side, err);
}

static bool read_again(struct keyless *keyless, int side, struct gw_error *err)
{
    struct side_work work = {keyless, side};
    return gw_verify_pair_try(keyless->pair, read_side, &work, err);
}

static void judge_bucket(struct keyless *keyless, size_t i, bool visible)
{
    const struct gw_digest *a = &keyless->before[i], *b = &keyless->pass->buckets[0][i],
                           *t = &keyless->pass->buckets[1][i];
    if (keyless->states[i] >= BUCKET_DONE)
        return;
    if (gw_digest_equal(t, a) || gw_digest_equal(t, b)) {
        keyless->states[i] = BUCKET_DONE;
        keyless->open--;
        return;
    }
    if (!visible || !gw_digest_equal(a, b)) {
        keyless->states[i] = BUCKET_OPEN;
        return;
    }
    bool again = keyless->states[i] == BUCKET_SUSPECT && gw_digest_equal(&keyless->suspect[0][i], b) &&
                 gw_digest_equal(&keyless->suspect[1][i], t);
    keyless->suspect[0][i] = *b;
    keyless->suspect[1][i] = *t;
    keyless->states[i] = again ? BUCKET_DIFFERENT : BUCKET_SUSPECT;
    keyless->different += again;
    keyless->open -= again;
}

static bool do_round(struct keyless *keyless, bool *reached, struct gw_error *err)
{
    struct gw_pass *pass = keyless->pass;
    bool visible;
    int left_ms = gw_left_ms(keyless->end_us);
    memcpy(keyless->before, pass->buckets[0], keyless->buckets * sizeof *keyless->before);
    struct gw_position at = pass->spans[0].to;
    if (!gw_verify_wait_applied(keyless->task, &at, left_ms > 1000 ? left_ms : 1000, reached, err))
        return false;
    if (!*reached)
        return true;
    if (!read_again(keyless, GW_VERIFY_TARGET, err) ||
        !gw_verify_outlast(keyless->task, keyless->pair, OUTLAST_MS, &visible, err) ||
        !read_again(keyless, GW_VERIFY_SOURCE, err))
        return false;
    for (size_t i = 0; i < keyless->buckets; i++)
        judge_bucket(keyless, i, visible);
    return true;
}

/* ---- what is missing and what is too much ------------------------------------------------------------------------ */

static void show_row(struct keyless *keyless, const struct gw_pass_rows *rows, const struct gw_pass_entry *entry)
{
    struct gw_verify_task *task = keyless->task;
    struct gw_verify_collection *out = &task->out;
    if (out->difference_count >= GW_VERIFY_SHOWN_MAX || !entry->stored)
        return;
    struct gw_arena arena = {0};
    struct gw_buf text = {0};
    size_t offset = entry->stored - 1;
    struct gw_cursor in = gw_cursor_of(rows->stored.data + offset, rows->stored.len - offset);
    struct gw_row row = gw_row_decode(&in, &arena);
    for (uint32_t i = 0; i < row.count && i < task->collection->column_count; i++) {
        const struct gw_column *column = &task->collection->columns[i];
        gw_autobuf struct gw_buf value = {0};
        gw_buf_addf(&text, "%s%s=", i ? ", " : "", column->name);
        keyless->pair->sides[0].store->type->scan->print(column, &row.values[i], &value);
        gw_mask_add(task->options->mask, false, gw_buf_text(&value), value.len, &text);
    }
    gw_arena_release(&arena);
    if (!out->differences)
        out->differences = gw_calloc(GW_VERIFY_SHOWN_MAX, sizeof *out->differences);
    out->differences[out->difference_count++] = (struct gw_verify_difference){
        .kind = entry->count[0] > entry->count[1] ? GW_VERIFY_MISSING : GW_VERIFY_EXTRA, .key = gw_buf_detach(&text)};
}

struct group_work {
    struct keyless *keyless;
    struct gw_pass_rows rows;
    bool *chosen;
};

static bool read_group(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct group_work *work = arg;
    return gw_pass_read_rows(&work->rows, work->keyless->pass, work->chosen, pair, &work->keyless->scope, err);
}

/* The buckets that differ, as many as fit, looked at row by row. */
static bool count_rows(struct keyless *keyless, struct gw_error *err)
{
    struct gw_verify_task *task = keyless->task;
    struct group_work work = {.keyless = keyless, .chosen = gw_calloc(keyless->buckets, sizeof(bool))};
    uint64_t rows = 0, left_out = 0;
    for (size_t i = 0; i < keyless->buckets; i++) {
        if (keyless->states[i] != BUCKET_DIFFERENT)
            continue;
        uint64_t in_bucket = gw_pass_bucket_rows(keyless->pass, i);
        work.chosen[i] = rows == 0 || rows + in_bucket <= GROUP_ROWS;
        rows += work.chosen[i] ? in_bucket : 0;
        left_out += !work.chosen[i];
    }
    bool ok = gw_verify_pair_try(keyless->pair, read_group, &work, err);
    pthread_mutex_lock(&task->lock);
    for (size_t i = 0; ok && i < work.rows.capacity; i++) {
        const struct gw_pass_entry *entry = &work.rows.entries[i];
        if (entry->count[0] > entry->count[1])
            task->out.missing += entry->count[0] - entry->count[1];
        else
            task->out.extra += entry->count[1] - entry->count[0];
        if (entry->count[0] != entry->count[1])
            show_row(keyless, &work.rows, entry);
    }
    if (ok && task->out.missing + task->out.extra == 0)
        task->out.changed++; /* it differed twice and moved on since: still not the same */
    task->out.at_least = task->out.at_least || left_out > 0;
    pthread_mutex_unlock(&task->lock);
    gw_pass_rows_release(&work.rows);
    free(work.chosen);
    return ok;
}

static bool settle_all(struct keyless *keyless, struct gw_error *err)
{
    bool reached = true;
    if (!read_again(keyless, GW_VERIFY_SOURCE, err))
        return false;
    for (unsigned round = 0; keyless->open > 0; round++) {
        if (round >= LEAST_ROUNDS && gw_left_ms(keyless->end_us) == 0)
            break;
        if (!do_round(keyless, &reached, err))
            return false;
        if (!reached)
            break;
    }
    return keyless->different == 0 || count_rows(keyless, err);
}

bool gw_verify_settle_keyless(struct gw_verify_task *task, struct gw_verify_pair *pair, struct gw_pass *pass,
                              struct gw_error *err)
{
    int64_t resettle_ms = task->options->resettle_ms > 0 ? task->options->resettle_ms : 30000;
    size_t buckets = gw_pass_buckets(pass);
    struct keyless keyless = {
        .task = task,
        .pair = pair,
        .pass = pass,
        .buckets = buckets,
        .scope = {.collection = task->collection},
        .before = gw_calloc(buckets, sizeof(struct gw_digest)),
        .suspect = {gw_calloc(buckets, sizeof(struct gw_digest)), gw_calloc(buckets, sizeof(struct gw_digest))},
        .states = gw_calloc(buckets, 1),
        .open = buckets,
        .end_us = gw_mono_us() + resettle_ms * 1000};
    uint64_t rows = 0;
    for (size_t i = 0; i < buckets; i++) {
        if (gw_pass_bucket_equal(pass, i)) {
            keyless.states[i] = BUCKET_DONE;
            keyless.open--;
        } else {
            rows += pass->buckets[0][i].rows > pass->buckets[1][i].rows
                        ? pass->buckets[0][i].rows - pass->buckets[1][i].rows
                        : pass->buckets[1][i].rows - pass->buckets[0][i].rows;
        }
    }
    bool ok = settle_all(&keyless, err);
    pthread_mutex_lock(&task->lock);
    task->out.suspects += rows > 0 ? rows : 1;
    if (ok && keyless.open > 0) {
        task->out.unresolved += keyless.open;
        gw_verify_task_why(task, "rows were still changing when the time to settle them was over");
    }
    if (ok && keyless.open == 0 && keyless.different == 0)
        task->out.settled += rows > 0 ? rows : 1;
    pthread_mutex_unlock(&task->lock);
    free(keyless.before);
    free(keyless.suspect[0]);
    free(keyless.suspect[1]);
    free(keyless.states);
    return ok;
}
