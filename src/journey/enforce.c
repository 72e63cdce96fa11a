#include "journey/enforce.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "journey/streams.h"

#include <signal.h>
#include <stdlib.h>

enum { AGAIN_MS = 5000 };

struct gw_enforcer {
    struct gw_journey *journey; /* the runner's: its schema, its followers, its events */
    struct gw_cancel cancel;
    pthread_t thread;
};

static bool loosen(struct gw_journey *journey, struct gw_store *follower, struct gw_error *err)
{
    const struct gw_schema_facet *schema = follower->type->schema;
    size_t count = 0;
    if (!schema || !schema->loosen)
        return true;
    if (!schema->loosen(follower, gw_journey_schema(journey, follower->side), &count, err))
        return gw_error_prefix(err, "taking off %s what would act on changes from %s", gw_side_name(follower->side),
                               gw_side_name(gw_side_other(follower->side)));
    if (count)
        gw_journey_say(journey, "%zu foreign keys, triggers and rules are off %s as long as it follows", count,
                       gw_side_name(follower->side));
    return true;
}

bool gw_enforce_follower(struct gw_journey *journey, enum gw_side owner, struct gw_error *err)
{
    if (!loosen(journey, journey->sides[gw_side_other(owner)], err))
        return false;
    gw_streams_release(journey, owner);
    return true;
}

static bool validate(struct gw_journey *journey, struct gw_store *owner, struct gw_buf *failed, struct gw_error *err)
{
    const struct gw_schema_facet *schema = owner->type->schema;
    size_t done = 0;
    if (!schema || !schema->validate)
        return true;
    if (!schema->validate(owner, failed, &done, err))
        return gw_error_prefix(err, "validating foreign keys on %s", gw_side_name(owner->side));
    if (done)
        gw_journey_say(journey, "foreign keys on %s are validated: %s", gw_side_name(owner->side),
                       failed->len ? gw_buf_text(failed) : "all");
    return true;
}

static bool tighten(struct gw_store *store, struct gw_error *err)
{
    const struct gw_schema_facet *schema = store->type->schema;
    struct gw_tighten *tighten = NULL;
    if (!schema || !schema->tighten_open)
        return true;
    if (!schema->tighten_open(store, &tighten, err))
        return false;
    if (!tighten)
        return true;
    bool ok = schema->tighten(tighten, AGAIN_MS, err) && schema->tighten_commit(tighten, err);
    schema->tighten_close(tighten);
    return ok;
}

bool gw_enforce_all(struct gw_journey *journey, enum gw_side side, struct gw_buf *failed, struct gw_error *err)
{
    struct gw_store *store = journey->sides[side];
    return tighten(store, err) && validate(journey, store, failed, err);
}

/* ---- beside the runner ------------------------------------------------------------------------------------------- */

static bool enforce_once(struct gw_enforcer *e, struct gw_journey *own, struct gw_error *err)
{
    enum gw_side owner;
    bool torn;
    gw_autobuf struct gw_buf failed = {0};
    if (!gw_journey_connect(own, err) || !gw_journey_owner(own, &owner, &torn, err))
        return false;
    if (torn)
        return true; /* whoever completes the flip comes by here again */
    if (!loosen(e->journey, own->sides[gw_side_other(owner)], err))
        return false;
    gw_streams_release(e->journey, owner);
    return validate(e->journey, own->sides[owner], &failed, err);
}

static void *enforce(void *arg)
{
    struct gw_enforcer *e = arg;
    struct gw_journey *own = NULL;
    struct gw_error err;
    if (!gw_journey_open(e->journey->file, &e->cancel, &own, &err)) {
        gw_log_error(&err);
        return NULL;
    }
    while (!enforce_once(e, own, &err) && !gw_cancel_asked(&e->cancel)) {
        gw_warn("%s; tried again in %d s%s%s", err.message, AGAIN_MS / 1000, err.detail[0] ? ": " : "", err.detail);
        if (gw_cancel_wait(&e->cancel, AGAIN_MS))
            break;
    }
    gw_journey_close(own);
    return NULL;
}

bool gw_enforcer_start(struct gw_journey *journey, struct gw_enforcer **out, struct gw_error *err)
{
    struct gw_enforcer *e = gw_zalloc(sizeof *e);
    e->journey = journey;
    if (!gw_cancel_init(&e->cancel, err)) {
        free(e);
        return false;
    }
    int failed = pthread_create(&e->thread, NULL, enforce, e);
    if (failed) {
        gw_cancel_release(&e->cancel);
        free(e);
        return gw_fail_errno(err, failed, "no thread for foreign keys and triggers");
    }
    *out = e;
    return true;
}

void gw_enforcer_stop(struct gw_enforcer *e)
{
    if (!e)
        return;
    gw_cancel_ask(&e->cancel, SIGTERM);
    pthread_join(e->thread, NULL);
    gw_cancel_release(&e->cancel);
    free(e);
}
