/* Batches of captured rows as a stream of changes. See capture.h. */
#include "store/capture/capture.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_WAIT_MS 2
#define IDLE_WAIT_MS 50
#define TRIM_EVERY_US 200000

struct gw_capture_stream {
    const struct gw_capture_source *source;
    void *own;
    struct gw_cancel *cancel;
    char *where;

    struct gw_capture_batch batch; /* being read, or the one read last */
    bool reading;
    uint64_t index; /* of its transactions: how many are handed out whole */
    uint64_t last;  /* the largest seq of the last of them */

    struct gw_capture_row row; /* read and not handed out yet */
    bool held;
    bool begun; /* BEGIN of the transaction at hand is handed out */
    uint64_t transaction, transaction_last;
    int64_t wall_us;
    uint64_t seq; /* of its newest row */

    bool place_due; /* the first event, where this begins, is still to come */
    int wait_ms;
    uint64_t acknowledged, trimmed; /* batch numbers */
    uint64_t ended;                 /* the newest batch that is handed out whole */
    uint64_t ended_order;
    int64_t trimmed_us;
};

/* ---- positions --------------------------------------------------------------------------------------------------- */

static void place(const struct gw_capture_batch *batch, uint64_t index, uint64_t last, struct gw_position *out)
{
    *out = (struct gw_position){.order = batch->before + 2 * index};
    snprintf(out->text, sizeof out->text, "%" PRIu64 "/%" PRIu64 "/%" PRIu64 "/%" PRIu64, batch->number, index, last,
             batch->stamp);
}

void gw_capture_end(const struct gw_capture_batch *batch, struct gw_position *out)
{
    place(batch, batch->transactions, UINT64_MAX, out);
}

struct place {
    uint64_t number, index, last, stamp;
};

static bool parse_place(const char *text, struct place *out)
{
    int end = 0;
    return sscanf(text, "%" SCNu64 "/%" SCNu64 "/%" SCNu64 "/%" SCNu64 "%n", &out->number, &out->index, &out->last,
                  &out->stamp, &end) == 4 &&
           text[end] == 0;
}

static bool lost(const struct gw_capture_stream *s, struct gw_error *err, const char *why, const char *text)
{
    gw_fail(err, GW_ERR_LOST_POSITION, "what was captured no longer reaches back to our place %s: %s", text, why);
    gw_error_hint(err, "changes of this side are missing for good. Before the switch: godwit abort, then godwit copy."
                       " After it the way back is over: godwit finish --now --no-archive");
    return gw_error_place(err, "%s", s->where);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static bool begin_read(struct gw_capture_stream *s, struct gw_error *err)
{
    if (!s->source->read(s->own, &s->batch, s->last, err))
        return false;
    s->reading = true;
    s->held = s->begun = false;
    return true;
}

static bool find_place(struct gw_capture_stream *s, const struct gw_position *from, struct gw_error *err)
{
    struct gw_capture_batch oldest;
    struct place at;
    bool found;
    if (!s->source->oldest(s->own, &oldest, err))
        return false;
    s->trimmed = s->acknowledged = oldest.number;
    s->batch = oldest;
    s->index = oldest.transactions;
    if (from->order == 0)
        return true;
    if (!parse_place(from->text, &at))
        return gw_fail(err, GW_ERR_BUG, "\"%s\" is no place in what was captured", from->text);
    if (at.number < oldest.number)
        return lost(s, err, "it was trimmed", from->text);
    if (!s->source->find(s->own, at.number, &s->batch, &found, err))
        return false;
    if (!found || s->batch.stamp != at.stamp || s->batch.before + 2 * at.index != from->order ||
        at.index > s->batch.transactions)
        return lost(s, err, "the database is another one, or was restored to an earlier state", from->text);
    s->index = at.index;
    s->last = at.last;
    if (at.index == s->batch.transactions)
        return true;
    return at.number > oldest.number ? begin_read(s, err) : lost(s, err, "it was trimmed", from->text);
}

bool gw_capture_open(const struct gw_capture_source *source, void *own, const char *where, struct gw_cancel *cancel,
                     const struct gw_position *from, struct gw_capture_stream **out, struct gw_error *err)
{
    struct gw_capture_stream *s = gw_zalloc(sizeof *s);
    s->source = source;
    s->own = own;
    s->where = gw_strdup(where);
    s->cancel = cancel;
    s->place_due = true;
    s->wait_ms = BUSY_WAIT_MS;
    if (!find_place(s, from, err)) {
        gw_capture_close(s);
        return false;
    }
    *out = s;
    return true;
}

void gw_capture_close(struct gw_capture_stream *s)
{
    if (!s)
        return;
    free(s->where);
    free(s);
}

/* ---- handing out ------------------------------------------------------------------------------------------------- */

static void hand_out_begin(struct gw_capture_stream *s, struct gw_change *change)
{
    *change = (struct gw_change){.kind = GW_CHANGE_BEGIN,
                                 .transaction = s->row.transaction,
                                 .commit_wall_us = s->row.wall_us,
                                 .ours = s->row.ours};
    place(&s->batch, s->index, s->last, &change->position);
    change->position.order++;
    s->begun = true;
    s->transaction = s->row.transaction;
    s->transaction_last = s->row.last;
    s->wall_us = s->row.wall_us;
    s->seq = 0;
}

static void hand_out_commit(struct gw_capture_stream *s, struct gw_change *change)
{
    s->index++;
    s->last = s->transaction_last;
    s->begun = false;
    *change = (struct gw_change){.kind = GW_CHANGE_COMMIT,
                                 .transaction = s->transaction,
                                 .commit_wall_us = s->wall_us,
                                 .age_us = gw_wall_us() - s->wall_us};
    if (change->age_us < 0) /* another clock */
        change->age_us = 0;
    place(&s->batch, s->index, s->last, &change->position);
}

static bool hand_out_place(struct gw_capture_stream *s, struct gw_change *change)
{
    s->place_due = false;
    *change = (struct gw_change){.kind = GW_CHANGE_PROGRESS};
    place(&s->batch, s->index, s->index == s->batch.transactions ? UINT64_MAX : s->last, &change->position);
    return true;
}

/* What a source gives is checked: an order that is not the same every time would tear transactions at a resume. */
static bool check_row(const struct gw_capture_stream *s, struct gw_error *err)
{
    const struct gw_capture_row *row = &s->row;
    bool fine = row->seq <= row->last;
    if (s->begun && row->transaction == s->transaction)
        fine = fine && row->last == s->transaction_last && row->seq >= s->seq;
    else
        fine = fine && row->last > (s->begun ? s->transaction_last : s->last);
    if (fine)
        return true;
    gw_fail(err, GW_ERR_BUG, "captured rows out of order: transaction %" PRIu64 ", seq %" PRIu64 " of %" PRIu64,
            row->transaction, row->seq, row->last);
    return gw_error_place(err, "%s", s->where);
}

/* At the end of a batch: every transaction that was counted has come, or rows are missing. */
static bool end_batch(struct gw_capture_stream *s, struct gw_error *err)
{
    s->reading = false;
    s->ended = s->batch.number;
    s->ended_order = s->batch.before + 2 * s->batch.transactions;
    if (s->index == s->batch.transactions)
        return true;
    gw_fail(err, GW_ERR_LOST_POSITION,
            "batch %" PRIu64 " of captured rows holds %" PRIu64 " transactions, and %" PRIu64 " were there",
            s->batch.number, s->batch.transactions, s->index);
    gw_error_hint(err, "rows of the capture table were removed by somebody: godwit abort, then godwit copy");
    return gw_error_place(err, "%s", s->where);
}

/* The next event of the batch at hand; *got false: it is at its end. */
static bool next_of_batch(struct gw_capture_stream *s, struct gw_change *change, bool *got, struct gw_error *err)
{
    for (;;) {
        if (!s->held) {
            if (!s->source->row(s->own, &s->row, &s->held, err) || (s->held && !check_row(s, err)))
                return false;
            GW_CRASH_POINT("capture.row");
        }
        *got = true;
        bool other = !s->held || s->row.transaction != s->transaction;
        if (s->begun && other) {
            hand_out_commit(s, change);
            return true;
        }
        if (!s->held) {
            *got = false;
            return end_batch(s, err);
        }
        if (!s->begun) {
            hand_out_begin(s, change);
            return true;
        }
        s->held = false;
        s->seq = s->row.seq;
        if (s->row.change.kind) {
            *change = s->row.change;
            change->transaction = s->transaction;
            return true;
        }
    }
}

/* ---- between batches --------------------------------------------------------------------------------------------- */

static bool trim_if_due(struct gw_capture_stream *s, struct gw_error *err)
{
    if (s->acknowledged <= s->trimmed || gw_mono_us() - s->trimmed_us < TRIM_EVERY_US)
        return true;
    if (!s->source->trim(s->own, s->acknowledged, err))
        return false;
    GW_CRASH_POINT("capture.after_trim");
    s->trimmed = s->acknowledged;
    s->trimmed_us = gw_mono_us();
    return true;
}

static bool next_batch(struct gw_capture_stream *s, bool *got, struct gw_error *err)
{
    struct gw_capture_batch next;
    if (!trim_if_due(s, err) || !s->source->next(s->own, s->batch.number, &next, got, err))
        return false;
    if (!*got)
        return true;
    if (next.number != s->batch.number + 1 || next.before != s->batch.before + 2 * s->batch.transactions)
        return gw_fail(err, GW_ERR_BUG, "batch %" PRIu64 " of captured rows does not follow batch %" PRIu64,
                       next.number, s->batch.number);
    s->batch = next;
    s->index = s->last = 0;
    s->wait_ms = BUSY_WAIT_MS;
    GW_CRASH_POINT("capture.batch");
    return begin_read(s, err);
}

static bool nap(struct gw_capture_stream *s, int64_t deadline_us, struct gw_error *err)
{
    int left_ms = gw_left_ms(deadline_us);
    if (gw_cancel_wait(s->cancel, left_ms < s->wait_ms ? left_ms : s->wait_ms))
        return gw_cancel_fail(s->cancel, err);
    s->wait_ms = s->wait_ms * 2 < IDLE_WAIT_MS ? s->wait_ms * 2 : IDLE_WAIT_MS;
    return true;
}

bool gw_capture_next(struct gw_capture_stream *s, int timeout_ms, struct gw_change *change, bool *got,
                     struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000;
    *got = false;
    if (s->place_due) {
        *got = hand_out_place(s, change);
        return true;
    }
    for (;;) {
        bool more = false;
        if (s->reading) {
            if (!next_of_batch(s, change, got, err))
                return false;
            if (*got)
                return true;
        }
        if (!next_batch(s, &more, err))
            return false;
        if (more)
            continue;
        if (gw_left_ms(deadline_us) == 0)
            return true;
        if (!nap(s, deadline_us, err))
            return false;
    }
}

bool gw_capture_acknowledge(struct gw_capture_stream *s, const struct gw_position *position, struct gw_error *err)
{
    struct place at;
    if (position->order == 0)
        return true;
    if (!parse_place(position->text, &at))
        return gw_fail(err, GW_ERR_BUG, "\"%s\" is no place in what was captured", position->text);
    uint64_t whole = at.number > 0 ? at.number - 1 : 0;
    if (s->ended > 0 && position->order >= s->ended_order)
        whole = s->ended;
    if (whole > s->acknowledged)
        s->acknowledged = whole;
    return s->reading || trim_if_due(s, err);
}
