/* What a follower says of itself. */
#include "base/clock.h"
#include "follow/internal.h"

#define STATUS_SAMPLE_US 1000000
#define STATUS_QUARANTINE_US 1000000

void follow_sample_rates(struct gw_follow *f)
{
    int64_t now_us = gw_mono_us();
    const struct follow_sample *newest =
        f->sample_count > 0 ? &f->samples[(f->sample_count - 1) % FOLLOW_SAMPLES] : NULL;
    if (newest && now_us - newest->at_us < STATUS_SAMPLE_US)
        return;
    f->samples[f->sample_count++ % FOLLOW_SAMPLES] =
        (struct follow_sample){.at_us = now_us, .received_rows = f->received_rows, .applied_rows = f->applied_rows};
}

static void fill_rates(struct gw_follow *f, struct gw_follow_status *out)
{
    follow_sample_rates(f);
    unsigned oldest_at = f->sample_count > FOLLOW_SAMPLES ? f->sample_count - FOLLOW_SAMPLES : 0;
    const struct follow_sample *oldest = &f->samples[oldest_at % FOLLOW_SAMPLES];
    double seconds = (double)(gw_mono_us() - oldest->at_us) / 1e6;
    if (seconds > 0.05) {
        out->source_rows_per_second = (double)(f->received_rows - oldest->received_rows) / seconds;
        out->apply_rows_per_second = (double)(f->applied_rows - oldest->applied_rows) / seconds;
    }
    double gain = out->apply_rows_per_second - out->source_rows_per_second;
    out->seconds_left = out->lag_rows == 0 ? 0 : gain > 0 ? (int64_t)((double)out->lag_rows / gain) + 1 : -1;
}

static int64_t at_least_zero(int64_t n)
{
    return n > 0 ? n : 0;
}

static void fill_lag(const struct gw_follow *f, struct gw_follow_status *out)
{
    const struct gw_position *end =
        gw_position_before(&out->received, &out->source_end) ? &out->source_end : &out->received;
    bool behind = gw_position_before(&out->applied, &out->received);
    out->caught_up = !behind && f->source_idle && f->status.apply_allowed;
    out->lag_bytes = out->caught_up ? 0 : at_least_zero((int64_t)(end->order - out->applied.order));
    if (end->order <= out->applied.order)
        out->lag_bytes = 0;
    if (behind) {
        out->lag_rows = at_least_zero((int64_t)(f->received_rows - f->applied_rows) + f->backlog_rows);
        if (f->applied_wall_us > 0)
            out->lag_us = at_least_zero(f->received_wall_us - f->applied_wall_us);
    }
}

/* The state tells what is in quarantine, by whomever and whenever; asked at most once a second. */
static void look_at_quarantine(struct gw_follow *f)
{
    struct gw_quarantined *items = NULL;
    size_t count = 0;
    struct gw_error ignored;
    bool foreign = false, left_out = false, other = false;
    pthread_mutex_lock(&f->lock);
    bool fresh = f->quarantine_seen_us > 0 && gw_mono_us() - f->quarantine_seen_us < STATUS_QUARANTINE_US;
    pthread_mutex_unlock(&f->lock);
    if (fresh || !gw_state_quarantined(f->options.state, &items, &count, &ignored))
        return;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i].stream, f->stream) != 0)
            continue;
        bool is_foreign = strcmp(items[i].operation, "foreign write") == 0;
        foreign |= is_foreign;
        left_out |= items[i].left_out;
        other |= !is_foreign && !items[i].left_out;
    }
    gw_quarantined_free(items, count);
    pthread_mutex_lock(&f->lock);
    f->quarantine_seen_us = gw_mono_us();
    f->quarantine_foreign = foreign;
    f->quarantine_left_out = left_out;
    f->quarantine_other = other;
    pthread_mutex_unlock(&f->lock);
}

static void fill_block(const struct gw_follow *f, struct gw_follow_status *out)
{
    if (out->block != GW_FOLLOW_FREE)
        return;
    if (f->quarantine_foreign) {
        out->block = GW_FOLLOW_FOREIGN;
        snprintf(out->blocked, sizeof out->blocked,
                 "somebody wrote on %s, which is not the owner: it was not applied and is in quarantine. Find the "
                 "writer; godwit quarantine names the rows and how to mend them",
                 gw_side_name(f->options.source->side));
    } else if (f->quarantine_other) {
        out->block = GW_FOLLOW_QUARANTINED;
        snprintf(out->blocked, sizeof out->blocked,
                 "changes from %s could not be applied and are in quarantine; godwit quarantine names the rows and how "
                 "to mend them",
                 gw_side_name(f->options.source->side));
    } else if (f->quarantine_left_out) {
        out->block = GW_FOLLOW_LEFT_OUT;
        snprintf(
            out->blocked, sizeof out->blocked,
            "rows of %s did not fit the other side and are left out; mended on %s they go over by themselves; godwit "
            "quarantine names them",
            gw_side_name(f->options.source->side), gw_side_name(f->options.source->side));
    }
}

void gw_follow_status(struct gw_follow *f, struct gw_follow_status *out)
{
    look_at_quarantine(f);
    int64_t spool_bytes = gw_spool_bytes(f->spool), unread_bytes = gw_spool_unread_bytes(f->spool);
    pthread_mutex_lock(&f->lock);
    f->wants_horizon = true;
    if (unread_bytes == 0 || f->status.applied.order >= f->status.received.order)
        f->backlog_rows = 0;
    *out = f->status;
    out->applying = f->status.applying && !f->status.paused && f->status.block != GW_FOLLOW_SCHEMA &&
                    f->status.block != GW_FOLLOW_FAILED;
    out->spool_bytes = spool_bytes;
    out->spool_unread_bytes = unread_bytes;
    fill_lag(f, out);
    fill_rates(f, out);
    fill_block(f, out);
    pthread_mutex_unlock(&f->lock);
}
