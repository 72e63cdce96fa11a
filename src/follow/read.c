/* From the spool into a batch: follows the source's transactions, passes over our own, finds foreign writes. */
#include "base/clock.h"
#include "base/mem.h"
#include "follow/cascade.h"

#define READ_PILED_UP_MS 50                 /* a batch waits so long for more when nothing in it is urgent */
#define READ_BUSY_MS 5                      /* then the target is asked again whether it is done */
#define READ_BORROW_BYTES ((size_t)1 << 20) /* a change with more than this is not copied but written at once */

bool follow_is_canary(const char *token)
{
    return strncmp(token, "canary:", 7) == 0;
}

void follow_forget_tx(struct follow_applier *a)
{
    gw_buf_shrink(&a->tx.foreign_change, 65536);
    gw_buf_clear(&a->tx.foreign_change);
    a->tx = (struct follow_source_tx){.foreign_change = a->tx.foreign_change};
    a->counts = (struct follow_counts){0};
    a->signal_count = 0;
    a->schema_met = false;
}

static void meet_begin(struct follow_applier *a, const struct gw_change *change)
{
    gw_buf_clear(&a->tx.foreign_change);
    a->tx = (struct follow_source_tx){.inside = true,
                                      .ours = change->ours,
                                      .transaction = change->transaction,
                                      .order = change->position.order,
                                      .foreign_change = a->tx.foreign_change};
    snprintf(a->tx.text, sizeof a->tx.text, "%s", change->position.text);
    pthread_mutex_lock(&a->f->lock);
    a->tx.foreign = !a->f->source_owns && !change->ours;
    pthread_mutex_unlock(&a->f->lock);
}

/* Nobody may have told us yet: a watchdog can complete a flip while the switch in this process is frozen. What the
 * source itself says holds, for its fence goes down only behind its owner row. */
static bool ask_owner(struct follow_applier *a, struct gw_error *err)
{
    struct gw_store *source = a->f->options.source;
    struct gw_owner owner;
    bool installed;
    if (!source->type->ownership->get(source, &owner, &installed, err))
        return false;
    if (!installed || owner.owner != source->side)
        return true;
    gw_follow_set_source_owns(a->f, true);
    a->tx.foreign = false;
    return true;
}

static void meet_foreign(struct follow_applier *a, const struct gw_change *change)
{
    if (a->tx.foreign_rows++ > 0)
        return;
    gw_autobuf struct gw_buf key = {0};
    follow_print_key(a, change, &key);
    snprintf(a->tx.foreign_key, sizeof a->tx.foreign_key, "%s", gw_buf_text(&key));
    a->tx.foreign_collection = change->collection;
    gw_change_encode(&a->tx.foreign_change, change);
}

static bool meet_commit(struct follow_applier *a, const struct gw_change *change, struct gw_error *err)
{
    a->tx.inside = false;
    a->counts.commit_wall_us = change->commit_wall_us;
    if (a->tx.ours)
        a->counts.ours++;
    else if (!a->tx.foreign)
        a->counts.transactions++;
    if (!a->tx.foreign || a->tx.foreign_rows == 0)
        return true;
    a->counts.foreign++;
    char reason[200];
    snprintf(reason, sizeof reason,
             "%s is not the owner, and somebody else wrote there: %llu row%s in one transaction, this one first",
             gw_side_name(a->f->options.source->side), (unsigned long long)a->tx.foreign_rows,
             a->tx.foreign_rows == 1 ? "" : "s");
    return follow_quarantine(a, a->tx.foreign_collection, "foreign write", a->tx.foreign_key, reason,
                             a->tx.foreign_change.data, a->tx.foreign_change.len, false, err);
}

bool follow_is_as_planned(struct follow_applier *a, uint32_t collection, bool *same, struct gw_error *err)
{
    const struct gw_collection *planned = follow_collection_of(a->f, collection);
    struct gw_store *source = a->f->options.source;
    struct gw_filter all = {0};
    struct gw_schema now = {0};
    bool ok = source->type->catalog->list(source, &all, &now, err);
    const struct gw_collection *found = ok ? gw_schema_find(&now, planned->space, planned->name) : NULL;
    *same = found && gw_collection_same_shape(planned, found, NULL);
    gw_schema_release(&now);
    return ok;
}

/* The log keeps a relation as it was at each place, for ever: what was undone since is no reason to stop. */
static bool meet_schema(struct follow_applier *a, const struct gw_change *change, struct gw_error *err)
{
    bool same = false;
    if (change->carries_plan && !follow_is_as_planned(a, change->collection, &same, err))
        return false;
    if (same)
        return true;
    a->schema_met = true;
    a->schema_passable = change->carries_plan;
    a->schema_collection = change->collection;
    snprintf(a->schema_text, sizeof a->schema_text, "%s", change->text ? change->text : "");
    return true;
}

bool follow_meet(struct follow_applier *a, const struct gw_change *change, bool *row, bool *ends, struct gw_error *err)
{
    *row = *ends = false;
    if ((unsigned)change->kind < GW_FOLLOW_KINDS)
        a->counts.changes[change->kind]++;
    switch (change->kind) {
    case GW_CHANGE_BEGIN:
        meet_begin(a, change);
        return true;
    case GW_CHANGE_COMMIT:
        *ends = true;
        return meet_commit(a, change, err);
    case GW_CHANGE_PROGRESS:
        *ends = true;
        return true;
    case GW_CHANGE_SCHEMA:
        return meet_schema(a, change, err);
    case GW_CHANGE_SIGNAL:
        if (change->text && !a->tx.ours && a->signal_count < FOLLOW_SIGNALS)
            snprintf(a->signals[a->signal_count++], sizeof a->signals[0], "%s", change->text);
        return true;
    default:
        a->counts.rows++;
        if (a->tx.foreign && a->tx.foreign_rows == 0 && !ask_owner(a, err))
            return false;
        if (a->tx.foreign)
            meet_foreign(a, change);
        *row = !a->tx.ours && !a->tx.foreign;
        return true;
    }
}

/* The one change of the batch, read again: looking ahead has taken its memory away. */
static bool borrow_again(struct follow_applier *a, struct gw_error *err)
{
    struct gw_change change;
    bool got = false;
    follow_batch_clear(&a->batch);
    if (!gw_spool_seek(a->reader, a->borrowed_at, err) || !gw_spool_next(a->reader, 1000, &change, &got, err))
        return false;
    if (!got)
        return gw_fail(err, GW_ERR_BUG, "the spool no longer holds a change that was read from it");
    return follow_batch_add(&a->batch, a->f->options.schema, &change, a->tx.order, false, err);
}

bool follow_find_commit(struct follow_applier *a, struct gw_position *out, struct gw_error *err)
{
    struct gw_spool_place place = gw_spool_tell(a->reader);
    for (;;) {
        struct gw_change change;
        bool got = false;
        if (!gw_spool_next(a->reader, 1000, &change, &got, err))
            return false;
        if (!got)
            return gw_fail(err, GW_ERR_BUG, "the spool handed out a transaction without its COMMIT");
        if (change.kind == GW_CHANGE_COMMIT) {
            *out = change.position;
            return a->borrowed ? borrow_again(a, err) : gw_spool_seek(a->reader, place, err);
        }
        if (follow_stopped(a->f))
            return gw_fail(err, GW_ERR_CANCELLED, "stopped");
    }
}

static size_t row_bytes(const struct gw_row *row)
{
    size_t bytes = 0;
    for (uint32_t c = 0; c < row->count; c++)
        bytes += row->values[c].len;
    return bytes;
}

struct fill {
    struct follow_applier *a;
    bool one, any, borrowed;
    struct gw_position *end;
};

/* A batch that ends between transactions is sent while the one before is still being answered: for the rest of a
 * transaction that is not large there is room beyond the limit. */
static bool fill_full(const struct fill *fill, bool boundary)
{
    const struct gw_follow_options *o = &fill->a->f->options;
    const struct follow_batch *batch = &fill->a->batch;
    int64_t rows = boundary ? o->batch_rows : o->batch_rows + o->batch_rows / 4;
    int64_t bytes = boundary ? o->batch_bytes : o->batch_bytes + o->batch_bytes / 4;
    return fill->borrowed || (int64_t)batch->count >= rows || (int64_t)batch->arena.used_bytes >= bytes ||
           fill->a->signal_count >= FOLLOW_SIGNALS;
}

/* A large change must be the only thing in the batch: it borrows the reader's memory. Then it is read again. */
static bool fill_take(struct fill *fill, const struct gw_change *change, struct gw_spool_place before, bool *again,
                      struct gw_error *err)
{
    struct follow_applier *a = fill->a;
    bool large = row_bytes(&change->row) + row_bytes(&change->old) > READ_BORROW_BYTES;
    *again = large && a->batch.count > 0;
    if (*again)
        return gw_spool_seek(a->reader, before, err);
    bool row = false, ends = false;
    if (!follow_meet(a, change, &row, &ends, err))
        return false;
    if (ends)
        *fill->end = change->position;
    if (!row)
        return true;
    fill->borrowed = large;
    a->error_of = FOLLOW_ERROR_DATA;
    bool ok = follow_batch_add(&a->batch, a->f->options.schema, change, a->tx.order, !large, err);
    if (!ok)
        return false;
    a->error_of = FOLLOW_ERROR_SESSION;
    const struct follow_op *op = &a->batch.ops[a->batch.count - 1];
    a->batch.careful |= follow_cascades(a->f, op) || follow_left_out_met(a, op);
    a->borrowed = large;
    a->borrowed_at = before;
    return true;
}

/* What is sent while the target is at work only waits there: meanwhile it may become more, and changes of one key one. */
static bool target_busy(const struct follow_applier *a)
{
    const struct gw_writer_facet *writer = a->f->options.target->type->writer;
    return a->piled_up && a->owed_count > 0 && writer->busy && writer->busy(a->writer) && !follow_stopped(a->f);
}

bool follow_fill(struct follow_applier *a, int timeout_ms, bool one, struct gw_position *end, enum follow_fill *out,
                 struct gw_error *err)
{
    struct fill fill = {.a = a, .one = one, .end = end};
    int delay_ms = a->piled_up ? READ_PILED_UP_MS : a->f->options.batch_delay_ms;
    int64_t delay_until_us = gw_mono_us() + (int64_t)delay_ms * 1000;
    follow_batch_clear(&a->batch);
    a->borrowed = false;
    *out = FOLLOW_FILL_NOTHING;
    for (;;) {
        struct gw_spool_place before = gw_spool_tell(a->reader);
        struct gw_change change;
        bool got = false, again = false;
        int wait_ms = a->tx.inside ? 1000 : !fill.any ? timeout_ms : gw_left_ms(delay_until_us);
        bool may_wait = fill.any && !a->tx.inside && wait_ms == 0 && target_busy(a);
        if (!gw_spool_next(a->reader, may_wait ? READ_BUSY_MS : wait_ms, &change, &got, err))
            return false;
        if (!got && a->tx.inside)
            return gw_fail(err, GW_ERR_BUG, "the spool handed out a transaction without its COMMIT");
        if (!got && may_wait)
            continue;
        if (!got) {
            *out = fill.any ? FOLLOW_FILL_END : FOLLOW_FILL_NOTHING;
            return true;
        }
        if (!fill_take(&fill, &change, before, &again, err))
            return false;
        fill.any = true;
        bool boundary = !a->tx.inside && !again;
        if (again || fill_full(&fill, boundary)) {
            *out = a->tx.inside ? FOLLOW_FILL_INSIDE : FOLLOW_FILL_END;
            return true;
        }
        if (boundary && (a->schema_met || (one && change.kind == GW_CHANGE_COMMIT) ||
                         (!gw_spool_ready(a->reader) && gw_left_ms(delay_until_us) == 0 && !target_busy(a)))) {
            *out = FOLLOW_FILL_END;
            return true;
        }
    }
}
