#include "verify/side.h"

#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>

#define PATIENCE_US INT64_C(60000000)

void gw_verify_span_add(struct gw_verify_span *span, const struct gw_position *at)
{
    if (span->from.order == 0 || gw_position_before(at, &span->from))
        span->from = *at;
    if (gw_position_before(&span->to, at))
        span->to = *at;
}

void gw_verify_span_merge(struct gw_verify_span *span, const struct gw_verify_span *more)
{
    if (more->from.order)
        gw_verify_span_add(span, &more->from);
    if (more->to.order)
        gw_verify_span_add(span, &more->to);
    span->by_policy += more->by_policy;
    span->by_filter += more->by_filter;
}

/* ---- sessions -------------------------------------------------------------------------------------------------- */

void gw_verify_pair_close(struct gw_verify_pair *pair)
{
    for (int i = 0; i < 2; i++) {
        struct gw_verify_side *side = &pair->sides[i];
        if (side->scan)
            side->store->type->scan->close(side->scan);
        if (side->reader)
            side->store->type->reader->close(side->reader);
        side->scan = NULL;
        side->reader = NULL;
    }
}

void gw_verify_pair_release(struct gw_verify_pair *pair)
{
    gw_verify_pair_close(pair);
    gw_rowhash_release(&pair->sides[0].hash);
    gw_rowhash_release(&pair->sides[1].hash);
}

bool gw_verify_side_scan(struct gw_verify_side *side, struct gw_error *err)
{
    return side->scan || side->store->type->scan->open(side->store, &side->scan, err);
}

bool gw_verify_side_reader(struct gw_verify_side *side, struct gw_error *err)
{
    return side->reader || side->store->type->reader->open(side->store, &side->reader, err);
}

static bool open_sessions(struct gw_verify_pair *pair, struct gw_error *err)
{
    bool ok = gw_verify_side_scan(&pair->sides[GW_VERIFY_SOURCE], err) &&
              gw_verify_side_scan(&pair->sides[GW_VERIFY_TARGET], err);
    pair->unreachable = !ok;
    return ok;
}

bool gw_verify_pair_try(struct gw_verify_pair *pair,
                        bool (*work)(struct gw_verify_pair *, void *arg, struct gw_error *err), void *arg,
                        struct gw_error *err)
{
    int64_t end_us = gw_mono_us() + PATIENCE_US;
    for (int pause_ms = 100;; pause_ms = pause_ms < 2000 ? pause_ms * 2 : 2000) {
        if (gw_cancel_asked(pair->cancel))
            return gw_cancel_fail(pair->cancel, err);
        if (open_sessions(pair, err) && work(pair, arg, err))
            return true;
        gw_verify_pair_close(pair);
        if (err->kind != GW_ERR_RETRY || gw_mono_us() >= end_us)
            return false;
        gw_debug("verify: %s; trying again", err->message);
        if (gw_cancel_wait(pair->cancel, pause_ms))
            return gw_cancel_fail(pair->cancel, err);
    }
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static void add_left_out(const struct gw_verify_side *side, struct gw_verify_span *span)
{
    uint64_t by_policy = 0, by_filter = 0;
    if (side->store->type->scan->left_out)
        side->store->type->scan->left_out(side->scan, &by_policy, &by_filter);
    span->by_policy += by_policy;
    span->by_filter += by_filter;
}

bool gw_verify_side_read(struct gw_verify_side *side, const struct gw_verify_scope *scope, gw_verify_visit *visit,
                         void *arg, struct gw_verify_span *span, struct gw_error *err)
{
    const struct gw_scan_facet *facet = side->store->type->scan;
    const struct gw_range everything = {0};
    struct gw_position at = {0};
    side->hash.collection = scope->collection->id;
    if (!gw_verify_side_scan(side, err) ||
        !facet->begin(side->scan, scope->collection, scope->range ? scope->range : &everything, false, &at, err))
        return false;
    gw_verify_span_add(span, &at);
    for (;;) {
        struct gw_row row;
        bool end;
        if (!facet->next(side->scan, &row, &end, err))
            return false;
        if (end) {
            add_left_out(side, span);
            return facet->end(side->scan, err);
        }
        visit(arg, side, &row);
    }
}

struct target_read {
    struct gw_verify_side *side;
    const struct gw_verify_scope *scope;
    gw_verify_visit *visit;
    void *arg;
    struct gw_verify_span *span;
    struct gw_error err;
    bool ok;
};

static void *read_target(void *arg)
{
    struct target_read *read = arg;
    read->ok = gw_verify_side_read(read->side, read->scope, read->visit, read->arg, read->span, &read->err);
    return NULL;
}

bool gw_verify_pair_read(struct gw_verify_pair *pair, const struct gw_verify_scope *const scopes[2],
                         gw_verify_visit *visit, void *args[2], struct gw_verify_span spans[2], struct gw_error *err)
{
    struct target_read target = {.side = &pair->sides[GW_VERIFY_TARGET],
                                 .scope = scopes[GW_VERIFY_TARGET],
                                 .visit = visit,
                                 .arg = args[GW_VERIFY_TARGET],
                                 .span = &spans[GW_VERIFY_TARGET]};
    pthread_t thread;
    int made = target.scope ? pthread_create(&thread, NULL, read_target, &target) : 0;
    if (made != 0)
        return gw_fail_errno(err, made, "cannot make a thread");
    bool ok =
        !scopes[GW_VERIFY_SOURCE] || gw_verify_side_read(&pair->sides[GW_VERIFY_SOURCE], scopes[GW_VERIFY_SOURCE],
                                                         visit, args[GW_VERIFY_SOURCE], &spans[GW_VERIFY_SOURCE], err);
    if (!target.scope)
        return ok;
    pthread_join(thread, NULL);
    if (ok && !target.ok)
        *err = target.err;
    return ok && target.ok;
}
