/*
 * Critical queries: each is run on both sides by the engine's own server, its answers are compared row by row, and the
 * times and plans of both are kept.
 *
 * Where both sides run one engine, a value is the same when its text is. Between engines it is what the text means:
 * numbers whatever their scale, times whatever their form, true and 1. A column may be given a tolerance.
 *
 * On a live pair the target is asked once it has applied what the source had when it answered. Answers that differ are
 * believed when the source, asked again, still answers the same, and that twice over; else the query is unresolved.
 * A query that writes, fails, takes too long or answers more than can be held is unresolved and says so, never equal.
 *
 * Threads: gw_queries_run blocks, on one thread.
 */
#ifndef GW_VERIFY_QUERIES_H
#define GW_VERIFY_QUERIES_H

#include "base/arena.h"
#include "model/query.h"
#include "verify/verify.h"

struct gw_queries_options {
    struct gw_store *source, *target; /* the sides themselves, no faces */
    const struct gw_named_queries *queries;
    const struct gw_verify_options *verify; /* wait_applied, cancel */
    int64_t timeout_ms;                     /* of one run */
};

/* Appends to report->queries and takes them into its verdict. False only when cancelled. */
GW_MUST_CHECK bool gw_queries_run(const struct gw_queries_options *, struct gw_verify_report *report,
                                  struct gw_error *err);
void gw_queries_release(struct gw_verify_report *report);
/* An array, what became slower first by calls times time; owned. */
json_t *gw_queries_json(const struct gw_verify_report *report);
void gw_queries_text(const struct gw_verify_report *report, struct gw_buf *out);

/* The queries a migration file could begin with: what took most of the side's time, as YAML. Appends. */
GW_MUST_CHECK bool gw_queries_seed(struct gw_store *, struct gw_buf *yaml, struct gw_error *err);

/* ---- answers (answer.c) ---- */
struct gw_answer_value {
    const char *text; /* NULL: NULL */
    size_t len;
};
struct gw_answer { /* of one run on one side */
    struct gw_arena arena;
    size_t columns, rows, capacity;
    char **names;
    struct gw_answer_value *values; /* rows * columns */
    uint64_t bytes;
};
void gw_answer_release(struct gw_answer *);
/* As a gw_query_visit, with the answer as its argument; GW_ERR_RESOURCE past what is held. */
GW_MUST_CHECK bool gw_answer_take(void *answer, const struct gw_query_row *, struct gw_error *);
struct gw_answer_form {
    bool ordered, one_engine;
    const struct gw_tolerance *tolerances;
    size_t tolerance_count;
    const struct gw_mask *mask;
};
/* False when they differ, with the first difference and the count in `what`. Sorts both unless the order counts. */
bool gw_answer_same(struct gw_answer *source, struct gw_answer *target, const struct gw_answer_form *,
                    struct gw_buf *what);
#endif
