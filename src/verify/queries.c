/* Critical queries: see queries.h. */
#include "verify/queries.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/json.h"
#include "verify/cause.h"

#include <stdlib.h>
#include <string.h>

#define BELIEVED 2 /* looks that say the same, on a live pair */
#define WAIT_MS 10000
#define PAUSE_US 100000
#define SETTLE_MS 5000
#define SLOWER_BY 1.25 /* and by more than what a clock and a network make of it */
#define SLOWER_LEAST_US 1000

enum { SOURCE, TARGET };
static const char *const side_words[] = {"source", "target"};

struct asking {
    const struct gw_queries_options *options;
    const struct gw_named_query *query;
    struct gw_verify_query *out;
    int64_t *took_us[2]; /* of each run */
    size_t taken[2], room;
    char *why; /* it could not be asked; owned */
};

static struct gw_store *store_of(const struct asking *asking, int side)
{
    return side == SOURCE ? asking->options->source : asking->options->target;
}

static bool drop_row(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    (void)arg, (void)row, (void)err;
    return true;
}

/* False when it could not be asked: asking->why says so, but where `err` is of the whole run. */
static bool ask(struct asking *asking, int side, struct gw_answer *answer, struct gw_error *err)
{
    struct gw_store *store = store_of(asking, side);
    struct gw_query_limits limits = {.timeout_ms = asking->options->timeout_ms, .plain_names = true};
    int64_t took_us = 0;
    if (store->type->query->run(store, asking->query->sql[store->side], &limits, answer ? gw_answer_take : drop_row,
                                answer, &took_us, err)) {
        if (asking->taken[side] < asking->room)
            asking->took_us[side][asking->taken[side]++] = took_us;
        return true;
    }
    gw_autobuf struct gw_buf words = {0};
    gw_mask_words(asking->options->verify->mask, err->message, &words);
    if (!asking->why)
        asking->why =
            gw_asprintf("on the %s: %s%s%s", side_words[side], gw_buf_text(&words), *err->hint ? "; " : "", err->hint);
    return false;
}

static bool catch_up(struct asking *asking, struct gw_error *err)
{
    const struct gw_verify_options *verify = asking->options->verify;
    struct gw_store *source = asking->options->source;
    struct gw_position at;
    bool reached = true;
    if (!verify->wait_applied)
        return true;
    if (!source->type->changes->horizon(source, &at, err) ||
        !verify->wait_applied(verify->wait_arg, &at, WAIT_MS, &reached, err)) {
        asking->why = gw_strdup(err->message);
        return false;
    }
    if (reached)
        return true;
    asking->why = gw_strdup("the target has not applied what the source had when it answered");
    return gw_fail(err, GW_ERR_RETRY, "%s", asking->why);
}

enum look { LOOK_SAME, LOOK_DIFFERENT, LOOK_MOVING, LOOK_FAILED };

/* The source, the target when it has got there, and where they differ the source once more. */
static enum look look_once(struct asking *asking, struct gw_buf *what, struct gw_error *err)
{
    struct gw_answer source = {0}, target = {0}, again = {0};
    struct gw_answer_form form = {.ordered = asking->query->ordered,
                                  .one_engine = asking->options->source->type == asking->options->target->type,
                                  .tolerances = asking->query->tolerances,
                                  .tolerance_count = asking->query->tolerance_count,
                                  .mask = asking->options->verify->mask};
    const struct gw_answer_form exact = {.ordered = form.ordered, .one_engine = form.one_engine};
    gw_autobuf struct gw_buf moved = {0};
    enum look look = LOOK_FAILED;
    if (ask(asking, SOURCE, &source, err) && catch_up(asking, err) && ask(asking, TARGET, &target, err)) {
        asking->out->rows[SOURCE] = source.rows;
        asking->out->rows[TARGET] = target.rows;
        if (gw_answer_same(&source, &target, &form, what))
            look = LOOK_SAME;
        else if (ask(asking, SOURCE, &again, err))
            look = gw_answer_same(&source, &again, &exact, &moved) ? LOOK_DIFFERENT : LOOK_MOVING;
    }
    gw_answer_release(&source);
    gw_answer_release(&target);
    gw_answer_release(&again);
    return look;
}

static void decide(struct asking *asking, enum gw_verdict verdict, const char *what)
{
    asking->out->verdict = verdict;
    free(asking->out->what);
    asking->out->what = gw_strdup(what);
}

/* A tolerance for a column that no answer has would be one for nothing. */
static void check_tolerances(struct asking *asking, const struct gw_answer *answer)
{
    for (size_t t = 0; t < asking->query->tolerance_count && answer->rows; t++) {
        bool found = false;
        for (size_t i = 0; i < answer->columns; i++)
            found = found || strcmp(answer->names[i], asking->query->tolerances[t].column) == 0;
        if (!found && !asking->why)
            asking->why = gw_asprintf("tolerance names the column %s, which the answer does not have",
                                      asking->query->tolerances[t].column);
    }
}

static bool is_askable(struct asking *asking, struct gw_error *err)
{
    struct gw_answer answer = {0};
    bool ok = ask(asking, SOURCE, &answer, err);
    if (ok)
        check_tolerances(asking, &answer);
    gw_answer_release(&answer);
    return ok && !asking->why;
}

static void settle(struct asking *asking, struct gw_error *err)
{
    const struct gw_verify_options *verify = asking->options->verify;
    int64_t settle_ms = verify->resettle_ms > 0 ? verify->resettle_ms : SETTLE_MS;
    int64_t until_us = gw_mono_us() + settle_ms * 1000;
    int different = 0, needed = verify->wait_applied ? BELIEVED : 1;
    for (;;) {
        gw_autobuf struct gw_buf what = {0};
        enum look look = look_once(asking, &what, err);
        if (look == LOOK_FAILED)
            return;
        if (look == LOOK_SAME) {
            decide(asking, GW_VERDICT_EQUAL, "");
            return;
        }
        different = look == LOOK_DIFFERENT ? different + 1 : 0;
        if (different >= needed) {
            decide(asking, GW_VERDICT_DIFFERENT, gw_buf_text(&what));
            return;
        }
        if (look == LOOK_MOVING && gw_mono_us() > until_us) {
            decide(asking, GW_VERDICT_UNRESOLVED,
                   "the source's answer did not stand still while the target was waited for: let the query name what "
                   "does not change meanwhile, or raise verify.resettle");
            return;
        }
        gw_sleep_us(PAUSE_US);
    }
}

/* ---- times and plans --------------------------------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The time that `percent` of the runs did not exceed. */
static int64_t percentile(const int64_t *sorted, size_t count, unsigned percent)
{
    return count ? sorted[(count * percent + 99) / 100 - 1] : 0;
}

static void take_times(struct asking *asking, struct gw_error *err)
{
    struct gw_verify_query *out = asking->out;
    while (asking->taken[SOURCE] < asking->room || asking->taken[TARGET] < asking->room)
        for (int side = SOURCE; side <= TARGET; side++)
            if (asking->taken[side] < asking->room && !ask(asking, side, NULL, err))
                return;
    for (int side = SOURCE; side <= TARGET; side++) {
        qsort(asking->took_us[side], asking->taken[side], sizeof(int64_t), compare_times);
        out->p50_us[side] = percentile(asking->took_us[side], asking->taken[side], 50);
        out->p95_us[side] = percentile(asking->took_us[side], asking->taken[side], 95);
    }
    out->slower = (double)out->p50_us[TARGET] > (double)out->p50_us[SOURCE] * SLOWER_BY &&
                  out->p50_us[TARGET] - out->p50_us[SOURCE] > SLOWER_LEAST_US;
}

static void take_plans(struct asking *asking)
{
    for (int side = SOURCE; side <= TARGET; side++) {
        struct gw_store *store = store_of(asking, side);
        struct gw_error why;
        struct gw_query_limits limits = {.timeout_ms = asking->options->timeout_ms, .plain_names = true};
        struct gw_buf plan = {0};
        if (!store->type->query->explain(store, asking->query->sql[store->side], &limits, &plan, &why)) {
            gw_buf_clear(&plan);
            gw_buf_addf(&plan, "could not be had: %s", why.message);
        }
        free(asking->out->plans[side]);
        asking->out->plans[side] = gw_buf_detach(&plan);
    }
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static bool run_query(const struct gw_queries_options *options, const struct gw_named_query *query,
                      struct gw_verify_query *out, struct gw_error *err)
{
    struct asking asking = {.options = options, .query = query, .out = out, .room = (size_t)query->runs};
    struct gw_error why;
    gw_error_clear(&why);
    asking.took_us[SOURCE] = gw_calloc(asking.room, sizeof(int64_t));
    asking.took_us[TARGET] = gw_calloc(asking.room, sizeof(int64_t));
    if (is_askable(&asking, &why)) {
        settle(&asking, &why);
        if (!asking.why)
            take_times(&asking, &why);
        if (!asking.why)
            take_plans(&asking);
    }
    if (asking.why)
        decide(&asking, GW_VERDICT_UNRESOLVED, asking.why);
    free(asking.why);
    free(asking.took_us[SOURCE]);
    free(asking.took_us[TARGET]);
    if (why.kind != GW_ERR_CANCELLED)
        return true;
    *err = why;
    return false;
}

static void take_verdict(struct gw_verify_report *report, const struct gw_verify_query *query)
{
    if (query->verdict == GW_VERDICT_DIFFERENT)
        report->verdict = GW_VERDICT_DIFFERENT;
    else if (query->verdict == GW_VERDICT_UNRESOLVED && report->verdict == GW_VERDICT_EQUAL)
        report->verdict = GW_VERDICT_UNRESOLVED;
}

bool gw_queries_run(const struct gw_queries_options *options, struct gw_verify_report *report, struct gw_error *err)
{
    bool can = options->source->type->query && options->target->type->query;
    report->queries = gw_calloc(options->queries->count + 1, sizeof *report->queries);
    for (size_t i = 0; i < options->queries->count; i++) {
        const struct gw_named_query *query = &options->queries->items[i];
        struct gw_verify_query *out = &report->queries[report->query_count++];
        *out = (struct gw_verify_query){.name = gw_strdup(query->name),
                                        .verdict = GW_VERDICT_UNRESOLVED,
                                        .what = gw_strdup("an engine of the two has no queries"),
                                        .calls = query->calls,
                                        .runs = query->runs,
                                        .plans = {gw_strdup(""), gw_strdup("")}};
        if (can && !run_query(options, query, out, err))
            return false;
        take_verdict(report, out);
    }
    return true;
}

void gw_queries_release(struct gw_verify_report *report)
{
    for (size_t i = 0; i < report->query_count; i++) {
        free(report->queries[i].name);
        free(report->queries[i].what);
        free(report->queries[i].plans[SOURCE]);
        free(report->queries[i].plans[TARGET]);
    }
    free(report->queries);
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* What all calls lose on the target, in us. */
static double lost_us(const struct gw_verify_query *query)
{
    return (double)query->calls * (double)(query->p50_us[TARGET] - query->p50_us[SOURCE]);
}

static int compare_lost(const void *a, const void *b)
{
    const struct gw_verify_query *x = *(const struct gw_verify_query *const *)a;
    const struct gw_verify_query *y = *(const struct gw_verify_query *const *)b;
    if (x->slower != y->slower)
        return x->slower ? -1 : 1;
    double left = lost_us(x), right = lost_us(y);
    return left > right ? -1 : left < right ? 1 : strcmp(x->name, y->name);
}

static const struct gw_verify_query **ranked(const struct gw_verify_report *report)
{
    const struct gw_verify_query **list = gw_calloc(report->query_count + 1, sizeof(struct gw_verify_query *));
    for (size_t i = 0; i < report->query_count; i++)
        list[i] = &report->queries[i];
    qsort(list, report->query_count, sizeof(struct gw_verify_query *), compare_lost);
    return list;
}

static json_t *side_json(const struct gw_verify_query *query, int side)
{
    return json_pack("{s:I, s:f, s:f, s:o}", "rows", (json_int_t)query->rows[side], "p50_ms",
                     (double)query->p50_us[side] / 1e3, "p95_ms", (double)query->p95_us[side] / 1e3, "plan",
                     gw_json_text(query->plans[side]));
}

json_t *gw_queries_json(const struct gw_verify_report *report)
{
    json_t *json = json_array();
    const struct gw_verify_query **list = ranked(report);
    for (size_t i = 0; i < report->query_count; i++) {
        const struct gw_verify_query *query = list[i];
        json_array_append_new(json, json_pack("{s:o, s:s, s:o, s:I, s:I, s:b, s:f, s:o, s:o}", "name",
                                              gw_json_text(query->name), "verdict", gw_verdict_name(query->verdict),
                                              "what", gw_json_text(query->what), "calls", (json_int_t)query->calls,
                                              "runs", (json_int_t)query->runs, "slower", query->slower, "lost_ms",
                                              lost_us(query) / 1e3, "source", side_json(query, SOURCE), "target",
                                              side_json(query, TARGET)));
    }
    free(list);
    return json;
}

void gw_queries_text(const struct gw_verify_report *report, struct gw_buf *out)
{
    size_t same = 0;
    const struct gw_verify_query **list = ranked(report);
    for (size_t i = 0; i < report->query_count; i++) {
        const struct gw_verify_query *query = list[i];
        same += query->verdict == GW_VERDICT_EQUAL;
        if (query->verdict != GW_VERDICT_EQUAL)
            gw_buf_addf(out, "  %s: query %s: %s\n", gw_verdict_name(query->verdict), query->name, query->what);
        if (query->slower)
            gw_buf_addf(out, "  note: query %s takes %.1f ms on the target, %.1f ms on the source (p50 of %lld runs)\n",
                        query->name, (double)query->p50_us[TARGET] / 1e3, (double)query->p50_us[SOURCE] / 1e3,
                        (long long)query->runs);
    }
    free(list);
    if (report->query_count)
        gw_buf_addf(out, "queries: %zu of %zu answer the same\n", same, report->query_count);
}
