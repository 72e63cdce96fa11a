/*
 * The runner's lock: flock on <folder>/lock, which ends with the process however it ends; the file names the pid for
 * people. Who asks for the pid takes the lock shared for a moment, so a runner that meets it taken looks again before
 * it believes it.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "state/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#define LOOK_AGAIN_US 5000
#define LOOK_AGAIN_FOR_US 200000

static int read_pid(int fd)
{
    char text[32] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    if (got <= 0)
        return 0;
    char *end;
    long pid = strtol(text, &end, 10);
    return *end == '\n' && pid > 0 && pid < INT32_MAX ? (int)pid : 0;
}

static bool alive(int pid)
{
    return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

/* True: locked. False with *err empty: somebody else's. */
static bool try_lock(int fd, int *holder, struct gw_error *err)
{
    int64_t until_us = gw_mono_us() + LOOK_AGAIN_FOR_US;
    for (;;) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK && errno != EINTR)
            return gw_fail_errno(err, errno, "could not take the runner's lock");
        *holder = read_pid(fd);
        if (alive(*holder) || gw_mono_us() > until_us)
            return false;
        gw_sleep_us(LOOK_AGAIN_US);
    }
}

static bool write_pid(int fd, struct gw_error *err)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len)
        return true;
    return gw_fail_errno(err, errno, "could not write the runner's pid");
}

bool gw_state_lock(const char *folder, int *fd, struct gw_error *err)
{
    gw_autofree char *path = gw_asprintf("%s/lock", folder);
    int holder = 0;
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (opened < 0)
        return gw_fail_errno(err, errno, "could not open %s", path);
    gw_error_clear(err);
    if (try_lock(opened, &holder, err) && write_pid(opened, err)) {
        *fd = opened;
        return true;
    }
    close(opened);
    if (err->kind != GW_ERR_NONE)
        return gw_error_prefix(err, "%s", path);
    if (holder)
        gw_fail(err, GW_ERR_CONFLICT, "this migration has a live runner: pid %d", holder);
    else
        gw_fail(err, GW_ERR_CONFLICT, "another process holds %s", path);
    return gw_error_hint(err, "let it work and ask it with godwit status, or end it first (kill %d)", holder);
}

int gw_state_runner_pid(const char *folder)
{
    gw_autofree char *path = gw_asprintf("%s/lock", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    int pid = 0;
    int64_t until_us = gw_mono_us() + LOOK_AGAIN_FOR_US;
    while (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        pid = read_pid(fd);
        if (alive(pid) || gw_mono_us() > until_us)
            break;
        pid = 0; /* it has the lock and has not yet written who it is */
        gw_sleep_us(LOOK_AGAIN_US);
    }
    close(fd);
    return pid;
}
