/* The applier's commits: what is permanent on the target moves `reached` and the position row, and everybody hears. */
#include "base/clock.h"
#include "base/crash.h"
#include "follow/applier.h"

#define COMMIT_ROW_US 10000000 /* the position row follows at least this often where there is nothing to apply */
#define COMMIT_ROW_BYTES (INT64_C(64) << 20)
#define COMMIT_TRIM_US 200000

static const struct gw_writer_facet *writer_of(const struct follow_applier *a)
{
    return a->f->options.target->type->writer;
}

static void tokens_add(struct gw_follow *f, const char *token)
{
    snprintf(f->tokens[f->token_count++ % FOLLOW_TOKENS], sizeof f->tokens[0], "%s", token);
    snprintf(f->status.last_signal, sizeof f->status.last_signal, "%s", token);
}

static void counts_add(struct gw_follow *f, const struct follow_counts *counts)
{
    struct gw_follow_status *s = &f->status;
    for (size_t i = 0; i < GW_FOLLOW_KINDS; i++)
        s->changes[i] += counts->changes[i];
    s->transactions += counts->transactions;
    s->skipped_ours += counts->ours;
    s->foreign_writes += counts->foreign;
    s->quarantined += counts->quarantined;
    s->refetched += counts->refetched;
    f->applied_rows += counts->rows;
    if (counts->commit_wall_us > 0)
        f->applied_wall_us = counts->commit_wall_us;
}

/* Everybody hears how far we are. `counts`: of what was committed or passed. Signals are of what is at hand, and
 * through only when that is. */
static void publish(struct follow_applier *a, struct follow_counts *counts, bool at_hand)
{
    struct gw_follow *f = a->f;
    follow_join_passed(&a->join, a->reached.order);
    pthread_mutex_lock(&f->lock);
    counts_add(f, counts);
    f->status.applied = a->reached;
    f->status.skipped_seen = a->join.skipped;
    f->status.past_marks = !a->join.active;
    if (a->row_known_durable) {
        f->row_durable = a->row;
        f->status.applied_durable = a->reached;
        for (unsigned i = 0; at_hand && i < a->signal_count; i++)
            tokens_add(f, a->signals[i]);
        a->signal_count = at_hand ? 0 : a->signal_count;
    }
    follow_sample_rates(f);
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    *counts = (struct follow_counts){0};
    a->tries = 0;
}

bool follow_trim(struct follow_applier *a, struct gw_error *err)
{
    if (!a->row_known_durable || a->row.order == 0 || gw_mono_us() - a->trimmed_at_us < COMMIT_TRIM_US)
        return true;
    a->trimmed_at_us = gw_mono_us();
    return gw_spool_trim(a->f->spool, &a->row, err);
}

static bool somebody_waits(struct follow_applier *a)
{
    pthread_mutex_lock(&a->f->lock);
    bool waits = a->f->waiters > 0 || a->f->pause_wanted || a->f->stop;
    pthread_mutex_unlock(&a->f->lock);
    return waits;
}

static bool durable_due(const struct follow_applier *a)
{
    return gw_mono_us() - a->durable_at_us >= (int64_t)a->f->options.durable_ms * 1000;
}

static void note_committed(struct follow_applier *a, const struct gw_position *end, bool durable)
{
    a->row = *end;
    a->row_known_durable = durable;
    a->row_at_us = gw_mono_us();
    if (durable)
        a->durable_at_us = a->row_at_us;
    if (a->reached.order < end->order)
        a->reached = *end;
    pthread_mutex_lock(&a->f->lock);
    a->f->status.batches++;
    a->f->status.commits_durable += durable;
    pthread_mutex_unlock(&a->f->lock);
}

bool follow_commit(struct follow_applier *a, const struct gw_position *end, bool force_durable, struct gw_error *err)
{
    bool durable = force_durable || a->row_due || a->signal_count > 0 || durable_due(a) || somebody_waits(a);
    GW_CRASH_POINT("follow.apply.before_commit");
    a->error_of = FOLLOW_ERROR_DATA; /* deferred constraints speak up here */
    if (!writer_of(a)->commit(a->writer, durable, err))
        return false;
    a->error_of = FOLLOW_ERROR_SESSION;
    GW_CRASH_POINT("follow.apply.after_commit");
    a->row_due = false;
    note_committed(a, end, durable);
    if (a->left_out.healed && !follow_left_out_load(a, err))
        return false;
    publish(a, &a->counts, true);
    return follow_trim(a, err);
}

bool follow_commit_ahead(struct follow_applier *a, const struct gw_position *end, struct gw_error *err)
{
    bool durable = durable_due(a) || somebody_waits(a);
    GW_CRASH_POINT("follow.apply.before_commit");
    a->error_of = FOLLOW_ERROR_DATA;
    if (!writer_of(a)->commit_ahead(a->writer, durable, err))
        return false;
    a->error_of = FOLLOW_ERROR_SESSION;
    if (durable)
        a->durable_at_us = gw_mono_us();
    a->owed[a->owed_count++] =
        (struct follow_owed){.end = *end, .place = a->retry_place, .counts = a->counts, .durable = durable};
    a->counts = (struct follow_counts){0};
    return true;
}

bool follow_await(struct follow_applier *a, struct gw_error *err)
{
    a->error_of = FOLLOW_ERROR_DATA;
    if (!writer_of(a)->await(a->writer, err))
        return false;
    a->error_of = FOLLOW_ERROR_SESSION;
    GW_CRASH_POINT("follow.apply.after_commit");
    struct follow_owed oldest = a->owed[0];
    memmove(a->owed, a->owed + 1, --a->owed_count * sizeof *a->owed);
    note_committed(a, &oldest.end, oldest.durable);
    publish(a, &oldest.counts, false);
    return follow_trim(a, err);
}

bool follow_commit_position(struct follow_applier *a, struct gw_error *err)
{
    return writer_of(a)->begin(a->writer, &a->reached, err) && follow_commit(a, &a->reached, true, err);
}

bool follow_pass(struct follow_applier *a, const struct gw_position *end, struct gw_error *err)
{
    if (a->reached.order < end->order)
        a->reached = *end;
    bool far =
        (int64_t)(a->reached.order - a->row.order) > COMMIT_ROW_BYTES || gw_mono_us() - a->row_at_us > COMMIT_ROW_US;
    bool owed = !a->row_known_durable && (a->signal_count > 0 || durable_due(a) || somebody_waits(a));
    /* What was acknowledged while rows were copied is nowhere else but in the spool: as soon as we are past it, the
     * target has to say so. */
    pthread_mutex_lock(&a->f->lock);
    uint64_t spooled = a->f->spool_acknowledged;
    pthread_mutex_unlock(&a->f->lock);
    bool past_spooled = a->row.order < spooled && a->reached.order >= spooled;
    /* The operator may take an item out of quarantine: met again after a restart, it would be new. */
    if (a->row_due || past_spooled || (far && a->reached.order > a->row.order) || owed)
        return follow_commit_position(a, err);
    publish(a, &a->counts, true);
    return true;
}

bool follow_has_canary(const struct follow_applier *a)
{
    for (unsigned i = 0; i < a->signal_count; i++)
        if (follow_is_canary(a->signals[i]))
            return true;
    return false;
}

bool follow_note_canaries(struct follow_applier *a, struct gw_error *err)
{
    for (unsigned i = 0; i < a->signal_count; i++)
        if (follow_is_canary(a->signals[i]) && !writer_of(a)->note_signal(a->writer, a->signals[i], err))
            return false;
    return true;
}
