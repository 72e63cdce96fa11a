/* The applier: batches from the spool onto the target, and what to do when one does not go through. */
#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"
#include "follow/applier.h"

#define APPLY_IDLE_MS 25  /* how long a wait in the spool may last before stop and pause are looked at */
#define APPLY_SETTLE_MS 5 /* the same while something is not on the disk yet */
#define APPLY_BEHIND_BYTES (INT64_C(1) << 20) /* of the spool: more than what comes while a batch is written */
#define APPLY_UNDONE_MS 1000                  /* how often a definition that stopped us is looked at */

static const struct gw_writer_facet *writer_of(const struct follow_applier *a)
{
    return a->f->options.target->type->writer;
}

/* ---- sessions ---- */

static void sessions_close(struct follow_applier *a)
{
    writer_of(a)->close(a->writer);
    gw_spool_reader_close(a->reader);
    if (a->refetcher)
        a->f->options.source->type->reader->close(a->refetcher);
    a->writer = NULL;
    a->reader = NULL;
    a->refetcher = NULL;
    a->owed_count = 0;
    a->error_of = FOLLOW_ERROR_SESSION;
    follow_forget_tx(a);
}

/* The target knows how far it is; whatever we thought, we go on from there. */
static bool sessions_open(struct follow_applier *a, struct gw_error *err)
{
    struct gw_follow *f = a->f;
    if (!writer_of(a)->open(f->options.target, f->stream, &a->writer, err) ||
        !writer_of(a)->position(f->options.target, f->stream, &a->reached, err))
        return gw_error_place(err, "%s", f->options.target->identity.address);
    if (!follow_join_load_refetched(&a->join, a->reached.order, err) ||
        !gw_spool_reader_open(f->spool, &a->reached, &a->reader, err))
        return false;
    a->row = a->reached;
    a->row_known_durable = a->row.order == 0; /* what an earlier session did not wait for may not be on the disk */
    a->durable_at_us = a->row_at_us = gw_mono_us();
    follow_join_passed(&a->join, a->reached.order);
    if (!follow_left_out_load(a, err))
        return false;
    pthread_mutex_lock(&f->lock);
    f->status.applied = a->reached;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return true;
}

/* ---- the fast way ---- */

/* The batch cannot be written this way: back to where it began, and row by row up to where it would have ended. */
static bool go_careful(struct follow_applier *a, const struct gw_position *end, struct gw_error *err)
{
    writer_of(a)->rollback(a->writer);
    a->owed_count = 0;
    follow_net_replace_apart(a->net);
    pthread_mutex_lock(&a->f->lock);
    a->f->status.careful++;
    pthread_mutex_unlock(&a->f->lock);
    a->careful_until = end->order;
    follow_forget_tx(a);
    return gw_spool_seek(a->reader, a->retry_place, err);
}

/* Waits until at most `leave` batches are owed an answer. *dropped: one could not be written, and with it all behind it:
 * row by row from there. */
static bool settle(struct follow_applier *a, size_t leave, bool *dropped, struct gw_error *err)
{
    while (a->owed_count > leave) {
        if (follow_await(a, err))
            continue;
        if (a->error_of != FOLLOW_ERROR_DATA || !follow_is_about_data(err->kind))
            return false;
        struct gw_position end = a->owed[0].end;
        a->retry_place = a->owed[0].place;
        a->error_of = FOLLOW_ERROR_SESSION;
        *dropped = true;
        return go_careful(a, &end, err);
    }
    return true;
}

static bool write_batch(struct follow_applier *a, bool *careful, struct gw_error *err)
{
    a->error_of = FOLLOW_ERROR_DATA;
    bool ok = follow_batch_write(&a->batch, &a->join, a->net, a->f->options.target, a->writer, careful, err);
    if (!ok && follow_is_about_data(err->kind)) {
        *careful = true;
        ok = true;
    }
    a->error_of = FOLLOW_ERROR_SESSION;
    return ok;
}

/* A change that is not as planned: the careful way puts it into quarantine. */
static bool fill_failed(struct follow_applier *a, bool *careful)
{
    *careful = a->error_of == FOLLOW_ERROR_DATA;
    a->error_of = FOLLOW_ERROR_SESSION;
    return *careful;
}

/* A transaction larger than a batch: in several parts, inside one transaction of the target. */
static bool write_rest(struct follow_applier *a, struct gw_position *end, bool *careful, struct gw_error *err)
{
    enum follow_fill fill = FOLLOW_FILL_INSIDE;
    while (fill == FOLLOW_FILL_INSIDE && !*careful) {
        GW_CRASH_POINT("follow.apply.inside_transaction");
        if (follow_stopped(a->f))
            return gw_fail(err, GW_ERR_CANCELLED, "stopped inside a transaction, which will be applied again");
        if (!follow_fill(a, 1000, true, end, &fill, err))
            return fill_failed(a, careful);
        if (a->schema_met)
            return true;
        if (!write_batch(a, careful, err))
            return false;
    }
    return true;
}

/* The batch at hand goes the careful way, unless one before it has to. */
static bool give_up(struct follow_applier *a, const struct gw_position *end, struct gw_error *err)
{
    bool dropped = false;
    return settle(a, 0, &dropped, err) && (dropped || go_careful(a, end, err));
}

/* One batch as one transaction of the target. `ahead`: its answer is owed. */
static bool round_write(struct follow_applier *a, enum follow_fill fill, bool ahead, struct gw_position *end,
                        struct gw_error *err)
{
    bool careful = false;
    if (fill == FOLLOW_FILL_INSIDE && !follow_find_commit(a, end, err))
        return false;
    if (!writer_of(a)->begin(a->writer, end, err))
        return false;
    GW_CRASH_POINT("follow.apply.after_begin");
    if (!write_batch(a, &careful, err))
        return false;
    if (fill == FOLLOW_FILL_INSIDE && !careful && !write_rest(a, end, &careful, err))
        return false;
    if (careful)
        return give_up(a, end, err);
    if (a->schema_met && a->tx.inside) {
        writer_of(a)->rollback(a->writer);
        return true;
    }
    if (!follow_note_canaries(a, err))
        return false;
    bool ok = ahead ? follow_commit_ahead(a, end, err) : follow_commit(a, end, false, err);
    return !ok && a->error_of == FOLLOW_ERROR_DATA && follow_is_about_data(err->kind) ? give_up(a, end, err) : ok;
}

/* What is more than rows of whole transactions, or what somebody waits for, is not sent behind what may fail. */
static bool may_go_ahead(const struct follow_applier *a, enum follow_fill fill)
{
    return fill == FOLLOW_FILL_END && a->batch.count > 0 && !a->batch.truncates && !a->borrowed && !a->schema_met &&
           !a->row_due && a->signal_count == 0;
}

static bool fill_and_write(struct follow_applier *a, int timeout_ms, struct gw_error *err)
{
    struct gw_position end = {0};
    enum follow_fill fill;
    bool dropped = false;
    a->retry_place = gw_spool_tell(a->reader);
    if (!follow_fill(a, timeout_ms, false, &end, &fill, err)) {
        struct gw_error why = *err;
        bool careful = false;
        if (!fill_failed(a, &careful))
            return false;
        if (!settle(a, 0, &dropped, err) || dropped)
            return dropped;
        *err = why;
        return follow_find_commit(a, &end, err) && go_careful(a, &end, err);
    }
    bool ahead = may_go_ahead(a, fill);
    if (!ahead && (!settle(a, 0, &dropped, err) || dropped))
        return dropped;
    if (a->schema_met && a->tx.inside) /* what is before its transaction is applied first */
        return end.order == 0 || go_careful(a, &end, err);
    if (fill == FOLLOW_FILL_NOTHING) {
        bool settled = a->row_known_durable && a->reached.order == a->row.order;
        return (settled || follow_pass(a, &a->reached, err)) && follow_trim(a, err);
    }
    if (a->batch.count > 0 || follow_has_canary(a))
        return round_write(a, fill, ahead, &end, err);
    return end.order == 0 || follow_pass(a, &end, err);
}

static bool pausing(struct follow_applier *a)
{
    pthread_mutex_lock(&a->f->lock);
    bool pausing = a->f->pause_wanted || a->f->stop;
    pthread_mutex_unlock(&a->f->lock);
    return pausing;
}

/* While the target works on one batch the next is read and sent. When there is none, the answers are what we wait for. */
static bool round_fast(struct follow_applier *a, int timeout_ms, struct gw_error *err)
{
    struct gw_error first;
    bool dropped = false;
    if (a->owed_count == GW_COMMITS_AHEAD || (a->owed_count > 0 && (pausing(a) || !gw_spool_ready(a->reader))))
        return settle(a, a->owed_count - 1, &dropped, err);
    if (fill_and_write(a, timeout_ms, err))
        return true;
    if (a->owed_count == 0)
        return false;
    /* It may have failed only because one before it did. */
    if (settle(a, 0, &dropped, &first))
        return dropped;
    *err = first;
    return false;
}

/* ---- the thread ---- */

/* What can be done depends on who owns: before the switch a copy can begin anew, after it only the way back is at stake. */
static void block_on_schema(struct follow_applier *a)
{
    struct gw_follow *f = a->f;
    enum gw_side source = f->options.source->side;
    char text[512];
    pthread_mutex_lock(&f->lock);
    enum gw_side owner = f->source_owns ? source : gw_side_other(source);
    pthread_mutex_unlock(&f->lock);
    const char *undo = a->schema_passable ? "Undo it there (drop what was added) and applying goes on; or " : "";
    const char *way_on = owner == GW_BLUE
                             ? "begin anew with it: godwit abort, then godwit copy"
                             : "the way back is over, and the migration ends: godwit finish --now --no-archive";
    snprintf(text, sizeof text, "a definition changed on %s: %.200s. Applying stopped before it; nothing is lost. %s%s",
             gw_side_name(source), a->schema_text, undo, way_on);
    follow_block(f, GW_FOLLOW_SCHEMA, text);
}

/* True: the definition is as planned again, and everything begins where the target is. */
static bool await_undone(struct follow_applier *a)
{
    struct gw_follow *f = a->f;
    bool same = false;
    sessions_close(a);
    while (a->schema_passable && !same) {
        struct gw_error ignored;
        if (follow_pause_ms(f, APPLY_UNDONE_MS) || follow_stopped(f))
            return false;
        if (!follow_is_as_planned(a, a->schema_collection, &same, &ignored))
            same = false;
    }
    if (!same)
        return false;
    pthread_mutex_lock(&f->lock);
    f->status.block = GW_FOLLOW_FREE;
    f->status.blocked[0] = 0;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return true;
}

static bool apply_round(struct follow_applier *a, struct gw_error *err)
{
    if (!a->writer && !sessions_open(a, err))
        return false;
    int timeout_ms = a->row_known_durable ? APPLY_IDLE_MS : APPLY_SETTLE_MS;
    if (a->careful_until > a->reached.order)
        return follow_careful(a, timeout_ms, err);
    return round_fast(a, timeout_ms, err);
}

/* What does not pass by itself ends applying, and says so; the thread stays to be stopped. */
static bool apply_recover(struct follow_applier *a, struct gw_error *err)
{
    struct gw_follow *f = a->f;
    sessions_close(a);
    if (follow_stopped(f))
        return false;
    gw_error_prefix(err, "applying changes (%s)", f->stream);
    follow_note_error(f, err);
    if (!follow_passing(err->kind)) {
        follow_block(f, GW_FOLLOW_FAILED, err->message);
        return false;
    }
    pthread_mutex_lock(&f->lock);
    f->status.retries++;
    pthread_mutex_unlock(&f->lock);
    return !follow_pause_ms(f, follow_backoff_ms(f, a->tries++));
}

/* Between rounds: waits for permission, takes a pause. False: stop. */
static bool apply_permitted(struct follow_applier *a, struct gw_error *err, bool *ok)
{
    struct gw_follow *f = a->f;
    *ok = true;
    pthread_mutex_lock(&f->lock);
    bool pause = f->pause_wanted && f->allowed;
    pthread_mutex_unlock(&f->lock);
    if (pause && a->owed_count > 0)
        return !follow_stopped(f);
    if (pause && a->writer && !a->row_known_durable)
        *ok = follow_commit_position(a, err);
    pthread_mutex_lock(&f->lock);
    while (*ok && !f->stop && (!f->allowed || f->pause_wanted)) {
        if (f->pause_wanted && !f->status.paused) {
            f->status.paused = true;
            pthread_cond_broadcast(&f->changed);
        }
        follow_wait(f, 1000);
    }
    if (!f->pause_wanted)
        f->status.paused = false;
    f->status.applying = f->allowed && !f->stop;
    bool go_on = !f->stop;
    pthread_mutex_unlock(&f->lock);
    return go_on && !gw_cancel_asked(f->options.cancel);
}

static bool apply_prepare(struct follow_applier *a, struct gw_error *err)
{
    struct gw_follow *f = a->f;
    follow_join_init(&a->join, f->options.source, f->options.target, f->options.schema, f->options.state, f->stream);
    a->net = follow_net_new(f->options.schema);
    bool ok = !f->has_horizon || follow_join_load(&a->join, f->chunks, f->horizon_order, err);
    pthread_mutex_lock(&f->lock);
    f->status.past_marks = !a->join.active;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return ok;
}

/* What is a second old may get a little older for the sake of larger batches, and the other direction gives way. */
static void note_piled_up(struct follow_applier *a, bool applying)
{
    struct gw_follow *f = a->f;
    pthread_mutex_lock(&f->lock);
    bool owns = f->source_owns;
    a->piled_up = applying && f->piled_up;
    pthread_mutex_unlock(&f->lock);
    bool behind = a->piled_up || (applying && gw_spool_unread_bytes(f->spool) > APPLY_BEHIND_BYTES);
    if (owns && f->options.owner_behind)
        atomic_store(f->options.owner_behind, behind);
}

static void apply_loop(struct follow_applier *a)
{
    struct gw_error err = {0};
    bool ok = true, prepared = false, in_error = false;
    while (apply_permitted(a, &err, &ok)) {
        if (ok && !prepared)
            ok = prepared = apply_prepare(a, &err);
        note_piled_up(a, ok);
        ok = ok && apply_round(a, &err);
        if (ok && in_error)
            follow_note_error(a->f, &(struct gw_error){.kind = GW_ERR_NONE});
        in_error = !ok;
        if (ok && a->schema_met) {
            block_on_schema(a);
            if (!await_undone(a))
                return;
        }
        if (!ok && !apply_recover(a, &err))
            return;
    }
    note_piled_up(a, false);
    /* What is committed and not on the disk yet would come again: not wrong, but slow. */
    bool dropped = false;
    if (a->writer && a->owed_count > 0 && !settle(a, 0, &dropped, &err))
        sessions_close(a);
    if (a->writer && !a->row_known_durable && !follow_commit_position(a, &err))
        follow_note_error(a->f, &err);
}

void *follow_apply(void *arg)
{
    struct follow_applier a = {.f = arg};
    gw_cancel_set_own(&a.f->halt);
    apply_loop(&a);
    sessions_close(&a);
    follow_join_release(&a.join);
    follow_left_out_release(&a);
    follow_batch_release(&a.batch);
    follow_net_free(a.net);
    gw_buf_release(&a.tx.foreign_change);
    pthread_mutex_lock(&a.f->lock);
    a.f->status.applying = false;
    pthread_mutex_unlock(&a.f->lock);
    follow_thread_ends(a.f);
    return NULL;
}
