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
};

static void *watch(void *arg)
{
    struct gw_guard *guard = arg;
    gw_cancel_set_own(&guard->cancel);
    while (!gw_cancel_wait(&guard->cancel, LOOK_MS)) {
        struct gw_error err;
        if (!gw_streams_guard(guard->journey, &err) && err.kind != GW_ERR_CANCELLED)
            gw_warn("the disk guard could not look: %s", err.message);
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
