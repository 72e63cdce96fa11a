#include "journey/guard.h"

#include "base/log.h"
#include "base/mem.h"
#include "journey/streams.h"

#include <signal.h>
#include <stdlib.h>

enum { LOOK_MS = 5000 };

struct gw_guard {
    struct gw_journey *journey;
    struct gw_cancel cancel;
    pthread_t thread;
    enum gw_follow_block told[2];
};

/* Nobody looks at status all night: what stands still is said where the runner's words go. */
static void tell_blocks(struct gw_guard *guard)
{
    for (int side = 0; side < 2; side++) {
        struct gw_follow_status status = {0};
        pthread_mutex_lock(&guard->journey->lock);
        if (guard->journey->follows[side])
            gw_follow_status(guard->journey->follows[side], &status);
        pthread_mutex_unlock(&guard->journey->lock);
        if (status.block == guard->told[side])
            continue;
        guard->told[side] = status.block;
        if (status.block == GW_FOLLOW_FREE)
            gw_journey_say(guard->journey, "%s goes on", gw_stream_name((enum gw_side)side));
        else
            gw_journey_say(guard->journey, "%s stands still: %s", gw_stream_name((enum gw_side)side), status.blocked);
    }
}

static void *watch(void *arg)
{
    struct gw_guard *guard = arg;
    gw_cancel_set_own(&guard->cancel);
    while (!gw_cancel_wait(&guard->cancel, LOOK_MS)) {
        struct gw_error err;
        if (!gw_streams_guard(guard->journey, &err) && err.kind != GW_ERR_CANCELLED)
            gw_warn("the disk guard could not look: %s", err.message);
        tell_blocks(guard);
    }
    return NULL;
}

bool gw_guard_start(struct gw_journey *journey, struct gw_guard **out, struct gw_error *err)
{
    struct gw_guard *guard = gw_zalloc(sizeof *guard);
    guard->journey = journey;
    if (!gw_cancel_init(&guard->cancel, err)) {
        free(guard);
        return false;
    }
    int failed = pthread_create(&guard->thread, NULL, watch, guard);
    if (failed) {
        gw_cancel_release(&guard->cancel);
        free(guard);
        return gw_fail_errno(err, failed, "no thread for the disk guard");
    }
    *out = guard;
    return true;
}

void gw_guard_stop(struct gw_guard *guard)
{
    if (!guard)
        return;
    gw_cancel_ask(&guard->cancel, SIGTERM);
    pthread_join(guard->thread, NULL);
    gw_cancel_release(&guard->cancel);
    free(guard);
}
