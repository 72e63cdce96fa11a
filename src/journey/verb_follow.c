/* copy and follow: the load, and staying behind the owner. */
#include "base/clock.h"
#include "base/log.h"
#include "journey/load.h"
#include "journey/streams.h"
#include "journey/verbs.h"

#include <string.h>

enum { LOOK_MS = 250 };

static json_t *report_json(const struct gw_copy_report *report)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "chunks", (json_int_t)report->chunks_done,
                     "chunks_skipped", (json_int_t)report->chunks_skipped, "rows", (json_int_t)report->rows,
                     "rows_skipped", (json_int_t)report->rows_skipped, "bytes", (json_int_t)report->bytes, "retries",
                     (json_int_t)report->retries, "keys_created", (json_int_t)report->keys_created, "elapsed_us",
                     (json_int_t)report->elapsed_us);
}

static bool begin(struct gw_journey *journey, enum gw_verb verb, struct gw_error *err)
{
    return gw_journey_open_state(journey, GW_JOURNAL_WORK, err) && gw_journey_connect(journey, err) &&
           gw_verbs_recover(journey, err) && gw_journey_allows(journey, verb, err);
}

int gw_verb_copy(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    (void)arguments;
    struct gw_copy_report report = {0};
    if (!begin(journey, GW_VERB_COPY, err) || !gw_load_run(journey, &report, err))
        return (int)gw_error_exit(err);
    *result = report_json(&report);
    return GW_EXIT_YES;
}

static enum gw_side owner_side(struct gw_journey *journey, struct gw_error *err, bool *ok)
{
    enum gw_side owner = GW_BLUE;
    bool torn;
    *ok = gw_journey_owner(journey, &owner, &torn, err);
    return owner;
}

static void say_progress(struct gw_journey *journey, enum gw_side owner)
{
    struct gw_follow_status status;
    gw_follow_status(journey->follows[owner], &status);
    gw_autobuf struct gw_buf never = {0};
    gw_streams_convergence(&status, owner, &never);
    gw_journey_progress(journey, -1, "follow %s  lag %.1f s, %lld bytes, %lld rows  %s", gw_stream_name(owner),
                        (double)status.lag_us / 1e6, (long long)status.lag_bytes, (long long)status.lag_rows,
                        never.len          ? gw_buf_text(&never)
                        : status.caught_up ? "caught up"
                                           : "converging");
}

int gw_verb_follow(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    const char *until = json_string_value(json_object_get(arguments, "until"));
    struct gw_copy_report report = {0};
    bool ok;
    if (!begin(journey, GW_VERB_FOLLOW, err) || !gw_load_run(journey, &report, err))
        return (int)gw_error_exit(err);
    enum gw_side owner = owner_side(journey, err, &ok);
    if (!ok)
        return (int)gw_error_exit(err);
    bool caught_up = false;
    while (!caught_up) {
        if (!gw_streams_healthy(journey, false, err))
            return (int)gw_error_exit(err);
        say_progress(journey, owner);
        if (until) {
            /* Looked at again behind the wait: what went into quarantine meanwhile is not on the other side. */
            if (!gw_follow_wait_caught_up(journey->follows[owner], LOOK_MS, &caught_up, err) ||
                !gw_streams_healthy(journey, caught_up, err))
                return (int)gw_error_exit(err);
        } else if (gw_cancel_wait(journey->cancel, LOOK_MS)) {
            break; /* stopped cleanly is what follow is for */
        }
    }
    struct gw_follow_status status;
    gw_follow_status(journey->follows[owner], &status);
    gw_log_status_line(NULL);
    *result = json_pack("{s:s, s:s, s:I, s:I, s:b}", "stream", gw_stream_name(owner), "applied",
                        status.applied_durable.text, "transactions", (json_int_t)status.transactions, "lag_us",
                        (json_int_t)status.lag_us, "caught_up", caught_up || status.caught_up);
    return GW_EXIT_YES;
}
