/* What rows that are known to differ look like: the columns, the values in words, and what they have in common. */
#include "base/mem.h"
#include "verify/settle.h"

#include <stdlib.h>
#include <string.h>

static char *print_value(const struct gw_verify_side *side, const struct gw_column *column,
                         const struct gw_value *value)
{
    struct gw_buf text = {0};
    side->store->type->scan->print(column, value, &text);
    return gw_buf_detach(&text);
}

static char *masked(const struct gw_verify_task *task, const struct gw_value *value, char *text)
{
    return value->kind == GW_VALUE_NULL ? text : gw_mask_owned(task->options->mask, false, text);
}

static struct gw_verify_difference *add_difference(struct gw_verify_collection *out, enum gw_verify_kind kind,
                                                   char *key)
{
    if (!out->differences)
        out->differences = gw_calloc(GW_VERIFY_SHOWN_MAX, sizeof *out->differences);
    struct gw_verify_difference *difference = &out->differences[out->difference_count++];
    *difference = (struct gw_verify_difference){.kind = kind, .key = key};
    return difference;
}

/* Notes each column that differs; `difference` may be NULL (enough are shown). */
static void note_columns(struct gw_verify_task *task, struct gw_verify_pair *pair, const struct gw_row *source,
                         const struct gw_row *target, struct gw_verify_difference *difference)
{
    const struct gw_collection *collection = task->collection;
    if (difference)
        difference->columns = gw_calloc(source->count + 1, sizeof *difference->columns);
    for (uint32_t i = 0; i < source->count && i < target->count; i++) {
        const struct gw_value *a = &source->values[i], *b = &target->values[i];
        if (gw_value_equal(a, b))
            continue;
        const struct gw_column *column = &collection->columns[i];
        char *a_text = print_value(&pair->sides[GW_VERIFY_SOURCE], column, a);
        char *b_text = print_value(&pair->sides[GW_VERIFY_TARGET], column, b);
        gw_cause_note(&task->cause, i, a->kind == GW_VALUE_NULL ? NULL : a_text,
                      b->kind == GW_VALUE_NULL ? NULL : b_text);
        if (difference) {
            difference->columns[difference->column_count++] = (struct gw_verify_column_pair){
                gw_strdup(column->name), masked(task, a, a_text), masked(task, b, b_text)};
        } else {
            free(a_text);
            free(b_text);
        }
    }
}

/* A face's values are data already. */
static void hand_out(struct gw_settle *settle, const struct gw_row *key)
{
    struct gw_verify_side *side = &settle->pair->sides[GW_VERIFY_SOURCE];
    const struct gw_collection *collection = settle->task->collection;
    const struct gw_scan_facet *scan = side->store->type->scan;
    struct gw_arena arena = {0};
    struct gw_datum *data = gw_arena_zalloc(&arena, (key->count + 1) * sizeof *data);
    struct gw_error ignored;
    bool ok = true;
    for (uint32_t i = 0; ok && i < key->count; i++) {
        struct gw_cursor in = gw_cursor_of(key->values[i].bytes, key->values[i].len);
        if (scan->to_datum)
            ok = scan->to_datum(side->scan, &collection->columns[collection->key[i]], &key->values[i], &arena, &data[i],
                                &ignored);
        else
            data[i] = gw_datum_read(&in);
        ok = ok && !in.bad;
    }
    if (ok)
        settle->task->options->found_row(settle->task->options->found_arg, collection->id, data, key->count);
    gw_arena_release(&arena);
}

static void note_row(struct gw_settle *settle, const struct gw_suspect *suspect, const struct gw_row *source,
                     const struct gw_row *target)
{
    struct gw_verify_task *task = settle->task;
    const struct gw_verify_side *side = &settle->pair->sides[GW_VERIFY_SOURCE];
    const struct gw_mask *mask = task->options->mask;
    struct gw_verify_difference *difference = NULL;
    gw_autobuf struct gw_buf plain = {0};
    gw_verify_key_text(side, task->collection, suspect->key, NULL, &plain);
    uint64_t identity = gw_mask_identity(mask, task->out.name, gw_buf_text(&plain));
    gw_verify_note_seen(&task->out, identity);
    if (task->out.difference_count < GW_VERIFY_SHOWN_MAX) {
        struct gw_buf key = {0};
        gw_verify_key_text(side, task->collection, suspect->key, mask, &key);
        difference = add_difference(&task->out, suspect->kind, gw_buf_detach(&key));
        difference->identity = identity;
    }
    if (task->options->found_row)
        hand_out(settle, suspect->key);
    if (suspect->kind == GW_VERIFY_CHANGED && source->count && target->count)
        note_columns(task, settle->pair, source, target, difference);
}

struct describing {
    struct gw_settle *settle;
    const struct gw_suspect **batch;
    size_t count;
};

static bool describe_batch(struct gw_verify_pair *pair, void *arg, struct gw_error *err)
{
    struct describing *work = arg;
    struct gw_verify_task *task = work->settle->task;
    struct gw_row keys[512] = {{0}}, source[512] = {{0}}, target[512] = {{0}};
    struct gw_position at;
    for (size_t i = 0; i < work->count; i++)
        keys[i] = *work->batch[i]->key;
    if (!gw_settle_fetch(&pair->sides[GW_VERIFY_SOURCE], task->collection, keys, work->count, source, &at, err) ||
        !gw_settle_fetch(&pair->sides[GW_VERIFY_TARGET], task->collection, keys, work->count, target, &at, err))
        return false;
    pthread_mutex_lock(&task->lock);
    for (size_t i = 0; i < work->count; i++)
        note_row(work->settle, work->batch[i], &source[i], &target[i]);
    pthread_mutex_unlock(&task->lock);
    return true;
}

bool gw_settle_describe(struct gw_settle *settle, struct gw_error *err)
{
    const struct gw_suspect *batch[512];
    size_t count = 0, most = gw_verify_fetch_rows(settle->task->collection);
    for (size_t i = 0; i < settle->count; i++) {
        if (settle->suspects[i].state == GW_SUSPECT_DIFFERENT)
            batch[count++] = &settle->suspects[i];
        if (count > 0 && (count == most || i + 1 == settle->count)) {
            struct describing work = {settle, batch, count};
            if (!gw_verify_pair_try(settle->pair, describe_batch, &work, err))
                return false;
            count = 0;
        }
    }
    return true;
}
