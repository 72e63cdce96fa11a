/*
 * The careful way: source transactions one by one as they were, each change behind a savepoint. A batch comes here
 * when its net effect cannot be written (unique values that are swapped, fewer rows touched than due, a row that has
 * to be read again). What fails even so goes into quarantine with its reason.
 */
#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"
#include "follow/applier.h"
#include "follow/cascade.h"

#define CAREFUL_VISIBLE_MS 30000 /* how long a refetch waits for its transaction to become visible */

static const struct gw_writer_facet *writer_of(const struct follow_applier *a)
{
    return a->f->options.target->type->writer;
}

/* ---- quarantine ---- */

bool follow_quarantine(struct follow_applier *a, uint32_t collection, const char *operation, const char *key,
                       const char *reason, const void *change, size_t len, bool left_out, struct gw_error *err)
{
    struct gw_follow *f = a->f;
    struct gw_quarantined item = {.position = {.order = a->tx.order}, .wall_us = gw_wall_us(), .left_out = left_out};
    snprintf(item.stream, sizeof item.stream, "%s", f->stream);
    snprintf(item.position.text, sizeof item.position.text, "%s", a->tx.text);
    item.collection = gw_strdup(
        collection < f->options.schema->count ? gw_collection_label(follow_collection_of(f, collection)) : "(unknown)");
    item.operation = gw_strdup(operation);
    item.key = gw_strdup(key);
    item.reason = gw_strdup(reason);
    bool already = false;
    bool ok = gw_state_is_quarantined(f->options.state, &item, &already, err) &&
              (already || gw_state_quarantine(f->options.state, &item, change, len, err));
    if (ok && left_out)
        follow_left_out_add(a, item.collection, key);
    free(item.collection);
    free(item.operation);
    free(item.key);
    free(item.reason);
    a->counts.quarantined += ok && !already;
    a->row_due |= ok;
    pthread_mutex_lock(&f->lock);
    f->quarantine_seen_us = 0; /* the next status looks again */
    pthread_mutex_unlock(&f->lock);
    return ok;
}

void follow_print_key(struct follow_applier *a, const struct gw_change *change, struct gw_buf *out)
{
    if (change->collection >= a->f->options.schema->count)
        return;
    const struct gw_collection *collection = follow_collection_of(a->f, change->collection);
    const struct gw_row *row = change->old.count > 0 ? &change->old : &change->row;
    if (row->count == collection->column_count)
        follow_print_row_key(a, collection, row, out);
}

static bool quarantine_change(struct follow_applier *a, const struct gw_change *change, const char *reason,
                              bool left_out, struct gw_error *err)
{
    gw_autobuf struct gw_buf bytes = {0}, key = {0};
    gw_change_encode(&bytes, change);
    follow_print_key(a, change, &key);
    return follow_quarantine(a, change->collection, gw_change_kind_name(change->kind), gw_buf_text(&key), reason,
                             bytes.data, bytes.len, left_out, err);
}

/* ---- one change ---- */

static bool apply_one(struct follow_applier *a, enum gw_change_kind kind, const struct follow_op *op,
                      const struct gw_row *row, uint64_t *touched, struct gw_error *err)
{
    struct gw_part part = {.kind = kind,
                           .collection = follow_collection_of(a->f, op->collection),
                           .count = 1,
                           .keys = kind == GW_CHANGE_INSERT ? NULL : &op->key,
                           .rows = kind == GW_CHANGE_DELETE ? NULL : row};
    return writer_of(a)->apply(a->writer, &part, touched, err);
}

/* Somebody else's doing on the target: mending the row on the source does not make that good. */
static bool none_touched(struct follow_applier *a, const struct follow_op *op, struct gw_error *err)
{
    a->missed = true;
    return gw_fail(err, GW_ERR_CONFLICT, "the row to %s is not on the target",
                   op->kind == GW_CHANGE_DELETE ? "delete" : "change");
}

/* The row as the source has it now, once the source shows this transaction: a commit is in the log before it is seen. */
bool follow_read_again(struct follow_applier *a, const struct follow_op *op, const struct gw_row *key,
                       struct gw_mark *mark, bool *found, struct gw_row *row, struct gw_error *err)
{
    struct gw_store *source = a->f->options.source;
    int64_t deadline_us = gw_mono_us() + (int64_t)CAREFUL_VISIBLE_MS * 1000;
    if (!a->refetcher && !source->type->reader->open(source, &a->refetcher, err))
        return false;
    for (int wait_ms = 1;; wait_ms = wait_ms < 100 ? wait_ms * 2 : 100) {
        if (!source->type->reader->refetch(a->refetcher, follow_collection_of(a->f, op->collection), key, mark, found,
                                           row, err))
            return false;
        if (gw_mark_saw(mark, op->transaction))
            return true;
        gw_mark_release(mark);
        if (gw_left_ms(deadline_us) == 0)
            return gw_fail(err, GW_ERR_RETRY, "transaction %llu is in the source's log and not visible yet",
                           (unsigned long long)op->transaction);
        if (follow_pause_ms(a->f, wait_ms))
            return gw_fail(err, GW_ERR_CANCELLED, "stopped");
    }
}

/* A one-row chunk with its own mark, which decides for this key from here on. */
static bool refetch(struct follow_applier *a, const struct follow_op *op, struct gw_error *err)
{
    struct gw_store *source = a->f->options.source;
    struct gw_row key = follow_key_values(follow_collection_of(a->f, op->collection), &op->row, &a->batch.arena);
    struct gw_mark mark = {0};
    struct gw_row row = {0};
    struct gw_position horizon;
    bool found = false;
    uint64_t touched = 0;
    if (!follow_read_again(a, op, &key, &mark, &found, &row, err)) {
        gw_mark_release(&mark);
        return false;
    }
    GW_CRASH_POINT("follow.refetch.after_read");
    bool ok = source->type->changes->horizon(source, &horizon, err) &&
              (!found || apply_one(a, GW_CHANGE_INSERT, op, &row, &touched, err)) &&
              follow_join_refetched(&a->join, op->collection, &key, &mark, op->order, horizon.order, err);
    gw_mark_release(&mark);
    a->counts.refetched += ok;
    return ok;
}

static bool careful_update(struct follow_applier *a, const struct follow_op *op, struct gw_error *err)
{
    bool leaves = op->old_verdict == FOLLOW_APPLY, arrives = op->new_verdict == FOLLOW_APPLY;
    uint64_t touched = 0;
    if (!leaves && arrives) {
        if (op->partial)
            return refetch(a, op, err);
        return apply_one(a, GW_CHANGE_INSERT, op, &op->row, &touched, err);
    }
    bool again =
        arrives && follow_wants_whole(a->f->options.target, a->writer, follow_collection_of(a->f, op->collection), op);
    if (!apply_one(a, arrives && !again ? GW_CHANGE_UPDATE : GW_CHANGE_DELETE, op, &op->row, &touched, err))
        return false;
    if (again || (touched == 0 && arrives && op->partial))
        return refetch(a, op, err);
    return touched == 1 || none_touched(a, op, err);
}

static bool careful_op(struct follow_applier *a, struct follow_op *op, struct gw_error *err)
{
    uint64_t touched = 0;
    switch (op->kind) {
    case GW_CHANGE_TRUNCATE:
        return follow_truncate(&a->join, op, 1, a->f->options.target, a->writer, err);
    case GW_CHANGE_UPDATE:
        return careful_update(a, op, err);
    case GW_CHANGE_INSERT:
        return apply_one(a, GW_CHANGE_INSERT, op, &op->row, &touched, err) &&
               (touched == 1 ||
                gw_fail(err, GW_ERR_CONFLICT, "the row was not inserted, and the target did not say why"));
    default:
        return apply_one(a, GW_CHANGE_DELETE, op, NULL, &touched, err) && (touched == 1 || none_touched(a, op, err));
    }
}

static bool wants_nothing(const struct follow_op *op)
{
    if (op->kind == GW_CHANGE_TRUNCATE)
        return false;
    return op->old_verdict != FOLLOW_APPLY && op->new_verdict != FOLLOW_APPLY;
}

static bool write_op(struct follow_applier *a, struct follow_op *op, bool cascades, struct gw_error *err)
{
    bool nothing = wants_nothing(op);
    bool left_out = !nothing && follow_left_out_met(a, op);
    bool again = left_out && op->kind != GW_CHANGE_TRUNCATE;
    a->missed = false;
    return (nothing || (again ? follow_left_out_renew(a, op, err) : careful_op(a, op, err))) &&
           (!cascades || follow_cascade(a, op, err)) && (!left_out || follow_left_out_heal(a, op, err));
}

/* A row with a key whose change could not be written: when it changes again on the source, it is read again. */
static bool is_left_out(const struct follow_applier *a, const struct follow_op *op)
{
    return !a->missed && op->kind != GW_CHANGE_TRUNCATE && follow_collection_of(a->f, op->collection)->key_count > 0;
}

static bool careful_begin(struct follow_applier *a, bool *open, const struct gw_position *commit, struct gw_error *err)
{
    if (*open)
        return true;
    *open = writer_of(a)->begin(a->writer, commit, err);
    return *open;
}

static bool careful_change(struct follow_applier *a, const struct gw_change *change, bool *open,
                           const struct gw_position *commit, struct gw_error *err)
{
    struct follow_op op;
    gw_arena_reset(&a->batch.arena);
    if (a->whole_order == a->tx.order)
        return true;
    if (!follow_op_make(a->f->options.schema, change, a->tx.order, &a->batch.arena, false, &op, err))
        return follow_is_about_data(err->kind) && quarantine_change(a, change, err->message, false, err);
    if (!follow_decide_ops(&a->join, &op, 1, &a->batch.arena, err))
        return false;
    bool cascades = follow_cascades(a->f, &op);
    if (wants_nothing(&op) && !cascades)
        return true;
    if (!careful_begin(a, open, commit, err) || !writer_of(a)->savepoint(a->writer, err))
        return false;
    GW_CRASH_POINT("follow.careful.after_savepoint");
    if (write_op(a, &op, cascades, err))
        return true;
    if (!follow_is_about_data(err->kind))
        return false;
    struct gw_error why = *err;
    if (why.detail[0])
        gw_error_prefix(&why, "%s", why.detail);
    return writer_of(a)->rollback_to(a->writer, err) &&
           quarantine_change(a, change, why.message, is_left_out(a, &op), err);
}

/* ---- one transaction ---- */

static bool careful_commit(struct follow_applier *a, bool *open, const struct gw_position *end,
                           struct gw_spool_place place, struct gw_error *err)
{
    if (a->whole_order == a->tx.order && a->whole_order != 0 &&
        !follow_quarantine(a, UINT32_MAX, "transaction", "", a->whole_reason, NULL, 0, false, err))
        return false;
    if (!*open && !follow_has_canary(a))
        return follow_pass(a, end, err);
    if (!careful_begin(a, open, end, err) || !follow_note_canaries(a, err))
        return false;
    bool refetched = a->counts.refetched > 0;
    if (follow_commit(a, end, false, err)) {
        if (refetched)
            GW_CRASH_POINT("follow.refetch.after_commit");
        return true;
    }
    if (!follow_is_about_data(err->kind) || a->error_of != FOLLOW_ERROR_DATA)
        return false;
    /* No single change is at fault that we could name: the transaction as a whole goes into quarantine. */
    a->whole_order = a->tx.order;
    snprintf(a->whole_reason, sizeof a->whole_reason, "its transaction could not be committed: %.300s", err->message);
    writer_of(a)->rollback(a->writer);
    follow_join_rolled_back(&a->join, a->tx.order);
    follow_forget_tx(a);
    return follow_left_out_load(a, err) && gw_spool_seek(a->reader, place, err);
}

bool follow_careful(struct follow_applier *a, int timeout_ms, struct gw_error *err)
{
    struct gw_spool_place place = gw_spool_tell(a->reader);
    struct gw_position commit = {0};
    bool open = false;
    for (bool first = true;; first = false) {
        struct gw_change change;
        bool got = false, row = false, ends = false;
        if (!gw_spool_next(a->reader, first ? timeout_ms : 1000, &change, &got, err))
            return false;
        if (!got)
            return first || gw_fail(err, GW_ERR_BUG, "the spool handed out a transaction without its COMMIT");
        if (!follow_meet(a, &change, &row, &ends, err))
            return false;
        if (change.kind == GW_CHANGE_BEGIN && !follow_find_commit(a, &commit, err))
            return false;
        if (a->schema_met) {
            writer_of(a)->rollback(a->writer);
            return true;
        }
        if (row && !careful_change(a, &change, &open, &commit, err))
            return false;
        if (ends)
            return careful_commit(a, &open, &change.position, place, err);
        if (follow_stopped(a->f))
            return gw_fail(err, GW_ERR_CANCELLED, "stopped inside a transaction, which will be applied again");
    }
}
