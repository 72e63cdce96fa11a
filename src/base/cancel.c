#include "base/cancel.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool gw_cancel_init(struct gw_cancel *cancel, struct gw_error *err)
{
    atomic_init(&cancel->asked, 0);
    atomic_init(&cancel->wish, 0);
    atomic_init(&cancel->held, 0);
    cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (cancel->fd < 0)
        return gw_fail_errno(err, errno, "could not make an event descriptor");
    return true;
}

void gw_cancel_release(struct gw_cancel *cancel)
{
    if (cancel->fd >= 0)
        close(cancel->fd);
    cancel->fd = -1;
}

/* Called from signal handlers: only atomics and write(2), and errno as it was. */
static void tell(struct gw_cancel *cancel)
{
    int saved = errno;
    int none = 0;
    if (atomic_compare_exchange_strong(&cancel->asked, &none, atomic_load(&cancel->wish))) {
        uint64_t one = 1;
        ssize_t written;
        do
            written = write(cancel->fd, &one, sizeof one);
        while (written < 0 && errno == EINTR);
    }
    errno = saved;
}

/* The wish is noted before `held` is read, and `held` is cleared before the wish is: one of the two sees the other. */
void gw_cancel_ask(struct gw_cancel *cancel, int why)
{
    int none = 0;
    atomic_compare_exchange_strong(&cancel->wish, &none, why ? why : 1);
    if (!atomic_load(&cancel->held))
        tell(cancel);
}

void gw_cancel_hold(struct gw_cancel *cancel)
{
    if (cancel)
        atomic_store(&cancel->held, 1);
}

void gw_cancel_let_go(struct gw_cancel *cancel)
{
    if (!cancel)
        return;
    atomic_store(&cancel->held, 0);
    if (atomic_load(&cancel->wish))
        tell(cancel);
}

bool gw_cancel_wished(const struct gw_cancel *cancel)
{
    return cancel && atomic_load(&cancel->wish) != 0;
}

bool gw_cancel_asked(const struct gw_cancel *cancel)
{
    return cancel && atomic_load(&cancel->asked) != 0;
}

bool gw_cancel_wait(struct gw_cancel *cancel, int ms)
{
    if (!cancel) {
        gw_sleep_us((int64_t)ms * 1000);
        return false;
    }
    int64_t deadline_us = gw_mono_us() + (int64_t)ms * 1000;
    while (!gw_cancel_asked(cancel)) {
        struct pollfd pfd = {.fd = cancel->fd, .events = POLLIN};
        int left_ms = gw_left_ms(deadline_us);
        if (left_ms == 0)
            break;
        if (poll(&pfd, 1, left_ms) < 0 && errno != EINTR)
            break;
    }
    return gw_cancel_asked(cancel);
}

static _Thread_local struct gw_cancel *own;

void gw_cancel_set_own(struct gw_cancel *cancel)
{
    own = cancel;
}

struct gw_cancel *gw_cancel_own(void)
{
    return own;
}

bool gw_cancel_fail(const struct gw_cancel *cancel, struct gw_error *err)
{
    int why = cancel ? atomic_load(&cancel->wish) : 0;
    const char *name = why > 1 ? sigabbrev_np(why) : NULL;
    if (name)
        return gw_fail(err, GW_ERR_CANCELLED, "stopped by SIG%s", name);
    return gw_fail(err, GW_ERR_CANCELLED, "stopped");
}
