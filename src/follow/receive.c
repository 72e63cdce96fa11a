/*
 * The receiver: one stream of the source, appended to the spool. While rows are copied it acknowledges what the spool
 * has on disk; afterwards only what is durable on the target.
 */
#include "base/clock.h"
#include "base/crash.h"
#include "follow/internal.h"

#define RECEIVE_TIMEOUT_MS 25
#define RECEIVE_PILED_UP_US 1000000
#define RECEIVE_YIELD_MS 3000 /* well within what a server waits for a sign of life */
#define RECEIVE_SYNC_US 1000000
#define RECEIVE_KEEP_US 10000000
#define RECEIVE_KEEP_BYTES (INT64_C(64) << 20)
#define RECEIVE_HORIZON_US 1000000

struct receiver {
    struct gw_follow *f;
    struct gw_stream *stream;
    int64_t synced_us, horizon_us;
    uint64_t acknowledged;
    uint64_t rows; /* since the last COMMIT */
    int64_t commit_wall_us;
    unsigned tries;
    int yielded_ms; /* since the stream was last at its end */
};

static const struct gw_changes_facet *changes_of(const struct receiver *r)
{
    return r->f->options.source->type->changes;
}

static void receiver_close(struct receiver *r)
{
    if (r->stream)
        changes_of(r)->close(r->stream);
    r->stream = NULL;
    r->rows = 0;
    pthread_mutex_lock(&r->f->lock);
    r->f->status.receiving = false;
    r->f->source_idle = r->f->piled_up = false;
    pthread_mutex_unlock(&r->f->lock);
}

/* The spool is empty, gone with its disk, or lost its end in a power cut (while following only what the target has is
 * acknowledged, so the spool is not synced for it): what the target has, it need not get again. Nothing before that will
 * be in the spool, so the target must not fall back behind it: it is put on the target's disk first. */
static bool receiver_from_target(struct receiver *r, struct gw_position *from, struct gw_error *err)
{
    struct gw_store *target = r->f->options.target;
    const struct gw_writer_facet *facet = target->type->writer;
    struct gw_writer *writer = NULL;
    struct gw_position at;
    if (!facet->position(target, r->f->stream, &at, err))
        return false;
    if (at.order <= from->order)
        return true;
    /* The writer first: it refuses to begin when the row has moved since it was opened. */
    if (!facet->open(target, r->f->stream, &writer, err))
        return false;
    bool ok = facet->position(target, r->f->stream, from, err);
    if (ok && from->order > 0)
        ok = facet->begin(writer, from, err) && facet->commit(writer, true, err);
    facet->close(writer);
    return ok;
}

static bool receiver_open(struct receiver *r, struct gw_error *err)
{
    struct gw_follow *f = r->f;
    if (!gw_spool_cut(f->spool, err))
        return false;
    pthread_mutex_lock(&f->lock);
    bool following = f->following;
    pthread_mutex_unlock(&f->lock);
    struct gw_position from = gw_spool_end(f->spool);
    if ((from.order == 0 || following) && !receiver_from_target(r, &from, err))
        return gw_error_place(err, "%s", f->options.target->identity.address);
    if (!changes_of(r)->open(f->options.source, f->options.schema, &from, &r->stream, err))
        return gw_error_place(err, "%s", f->options.source->identity.address);
    r->acknowledged = 0; /* the new session has not been told */
    pthread_mutex_lock(&f->lock);
    f->status.receiving = true;
    pthread_mutex_unlock(&f->lock);
    return true;
}

static bool is_row(enum gw_change_kind kind)
{
    return kind == GW_CHANGE_INSERT || kind == GW_CHANGE_UPDATE || kind == GW_CHANGE_DELETE ||
           kind == GW_CHANGE_TRUNCATE;
}

static void receiver_account(struct receiver *r, const struct gw_change *change)
{
    r->rows += is_row(change->kind);
    if (change->kind != GW_CHANGE_COMMIT && change->kind != GW_CHANGE_PROGRESS)
        return;
    struct gw_follow *f = r->f;
    pthread_mutex_lock(&f->lock);
    f->status.received = change->position;
    f->received_rows += r->rows;
    f->source_idle = false;
    if (change->kind == GW_CHANGE_COMMIT) {
        f->received_wall_us = change->commit_wall_us;
        f->piled_up = change->age_us > RECEIVE_PILED_UP_US;
    }
    pthread_mutex_unlock(&f->lock);
    r->rows = 0;
}

/* Room beyond what was there when a transaction did not fit: it would not fit again, and be sent in vain. Nothing is
 * unread: there is nothing more to wait for. */
static bool receiver_has_room(struct gw_follow *f, int64_t kept_bytes)
{
    int64_t bytes = gw_spool_bytes(f->spool);
    bool enough = bytes <= f->options.spool_limit_bytes - f->options.spool_limit_bytes / 5;
    return enough && (bytes < kept_bytes || gw_spool_unread_bytes(f->spool) == 0);
}

/* The spool is full: the source keeps what follows, and the stream is opened again once there is room. Half a
 * transaction would never make any: nobody reads it and nothing trims it. The source sends it again whole. */
static bool receiver_wait_room(struct receiver *r, struct gw_error *err)
{
    struct gw_follow *f = r->f;
    receiver_close(r);
    if (!gw_spool_cut(f->spool, err))
        return false;
    follow_block(f, GW_FOLLOW_SPOOL_FULL,
                 "the spool has reached its limit: receiving waits, and the source keeps its log meanwhile");
    int64_t kept_bytes = gw_spool_bytes(f->spool);
    while (!follow_receiving_over(f) && !receiver_has_room(f, kept_bytes))
        (void)follow_pause_ms(f, 100);
    follow_block(f, GW_FOLLOW_FREE, NULL);
    return true;
}

static bool receiver_acknowledge(struct receiver *r, const struct gw_position *position, struct gw_error *err)
{
    if (position->order <= r->acknowledged)
        return true;
    GW_CRASH_POINT("follow.receive.before_acknowledge");
    if (!changes_of(r)->acknowledge(r->stream, position, err))
        return false;
    r->acknowledged = position->order;
    return true;
}

/* Nothing is acknowledged on the strength of this: it only spares the next start reading all of a large backlog. */
static bool receiver_keep(struct receiver *r, struct gw_error *err)
{
    struct gw_position unused;
    if (gw_mono_us() - r->synced_us < RECEIVE_KEEP_US)
        return true;
    r->synced_us = gw_mono_us();
    return gw_spool_unread_bytes(r->f->spool) < RECEIVE_KEEP_BYTES || gw_spool_sync(r->f->spool, &unused, err);
}

static bool receiver_feed_back(struct receiver *r, struct gw_error *err)
{
    struct gw_follow *f = r->f;
    pthread_mutex_lock(&f->lock);
    bool following = f->following;
    struct gw_position safe = f->row_durable;
    pthread_mutex_unlock(&f->lock);
    if (following)
        return receiver_keep(r, err) && receiver_acknowledge(r, &safe, err);
    if (gw_mono_us() - r->synced_us < RECEIVE_SYNC_US)
        return true;
    r->synced_us = gw_mono_us();
    GW_CRASH_POINT("follow.receive.before_sync");
    if (!gw_spool_sync(f->spool, &safe, err))
        return false;
    pthread_mutex_lock(&f->lock);
    if (f->following || safe.order <= f->spool_acknowledged) /* permission may have come meanwhile */
        safe = f->row_durable;
    else
        f->spool_acknowledged = safe.order;
    pthread_mutex_unlock(&f->lock);
    return receiver_acknowledge(r, &safe, err);
}

/* Where the source's log ends, for the lag; only when somebody looks at it, and never more than once a second. */
static bool receiver_look_ahead(struct receiver *r, struct gw_error *err)
{
    struct gw_follow *f = r->f;
    struct gw_position end;
    pthread_mutex_lock(&f->lock);
    bool wanted = f->wants_horizon;
    pthread_mutex_unlock(&f->lock);
    if (!wanted || gw_mono_us() - r->horizon_us < RECEIVE_HORIZON_US)
        return true;
    r->horizon_us = gw_mono_us();
    if (!changes_of(r)->horizon(f->options.source, &end, err))
        return false;
    pthread_mutex_lock(&f->lock);
    f->status.source_end = end;
    f->wants_horizon = false;
    pthread_mutex_unlock(&f->lock);
    return true;
}

/* What comes from the side that does not own are our own transactions: nobody waits for them, and while the owner's
 * have piled up the machines' time is better spent there. */
static bool receiver_yields(struct receiver *r)
{
    struct gw_follow *f = r->f;
    pthread_mutex_lock(&f->lock);
    bool owns = f->source_owns;
    pthread_mutex_unlock(&f->lock);
    if (owns || !f->options.owner_behind || !atomic_load(f->options.owner_behind) || r->yielded_ms >= RECEIVE_YIELD_MS)
        return false;
    r->yielded_ms += RECEIVE_TIMEOUT_MS;
    (void)follow_pause_ms(f, RECEIVE_TIMEOUT_MS);
    return true;
}

static bool receiver_step(struct receiver *r, struct gw_error *err)
{
    struct gw_change change;
    bool got = false, full = false;
    if (receiver_yields(r))
        return true;
    if (!changes_of(r)->next(r->stream, RECEIVE_TIMEOUT_MS, &change, &got, err))
        return false;
    if (got) {
        GW_CRASH_POINT("follow.receive.before_append");
        if (!gw_spool_append(r->f->spool, &change, &full, err))
            return false;
        if (full)
            return receiver_wait_room(r, err);
        receiver_account(r, &change);
        r->tries = 0;
        if (change.kind != GW_CHANGE_COMMIT && change.kind != GW_CHANGE_PROGRESS)
            return true; /* feedback between transactions is often enough */
    } else {
        r->yielded_ms = 0;
        pthread_mutex_lock(&r->f->lock);
        r->f->source_idle = true;
        r->f->piled_up = false;
        pthread_cond_broadcast(&r->f->changed);
        pthread_mutex_unlock(&r->f->lock);
    }
    return receiver_feed_back(r, err) && receiver_look_ahead(r, err);
}

void *follow_receive(void *arg)
{
    struct receiver r = {.f = arg};
    struct gw_follow *f = r.f;
    gw_cancel_set_own(&f->halt);
    while (!follow_receiving_over(f)) {
        struct gw_error err = {0};
        bool opening = !r.stream;
        if ((opening ? receiver_open(&r, &err) : receiver_step(&r, &err))) {
            if (opening && r.tries > 0)
                follow_note_error(f, &(struct gw_error){.kind = GW_ERR_NONE});
            continue;
        }
        receiver_close(&r);
        if (follow_receiving_over(f))
            break;
        gw_error_prefix(&err, "receiving changes (%s)", f->stream);
        follow_note_error(f, &err);
        if (!follow_passing(err.kind)) {
            follow_block(f, GW_FOLLOW_FAILED, err.message);
            break;
        }
        pthread_mutex_lock(&f->lock);
        f->status.retries++;
        pthread_mutex_unlock(&f->lock);
        (void)follow_pause_ms(f, follow_backoff_ms(f, r.tries++));
    }
    receiver_close(&r);
    follow_thread_ends(f);
    return NULL;
}
