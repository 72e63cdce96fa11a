#include "journey/lease.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LOCK_MS = 10000,      /* a watchdog at work holds the lock for as long as it repairs */
    RENEW_LOCK_MS = 2000, /* longer than any other holder needs but a watchdog at work */
    READY_MS = 15000,
    LEASE_MAX_BYTES = 4096,
};

struct gw_lease {
    char *folder;
    struct gw_lease_record record;
    int watchdog; /* pidfd; -1 when the kernel has none */
};

/* ---- who and when ------------------------------------------------------------------------------------------------ */

/* Field 22 of /proc/PID/stat, behind the name in brackets, which may hold anything. 0 when there is no such process. */
static uint64_t started_at(pid_t pid)
{
    gw_autobuf struct gw_buf stat = {0};
    struct gw_error ignored;
    gw_autofree char *path = gw_asprintf("/proc/%d/stat", (int)pid);
    if (!gw_file_read(path, 65536, &stat, &ignored))
        return 0;
    const char *at = strrchr(gw_buf_text(&stat), ')');
    char state = 0;
    unsigned long long started = 0;
    if (!at || sscanf(at, ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state,
                      &started) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : started; /* a zombie does nothing any more */
}

static void boot_id(char out[40])
{
    gw_autobuf struct gw_buf text = {0};
    struct gw_error ignored;
    out[0] = 0;
    if (gw_file_read("/proc/sys/kernel/random/boot_id", 256, &text, &ignored))
        snprintf(out, 40, "%.36s", gw_buf_text(&text));
}

bool gw_lease_holder_alive(const struct gw_lease_record *record)
{
    char boot[40];
    boot_id(boot);
    return strcmp(boot, record->boot) == 0 && started_at(record->pid) == record->pid_started;
}

bool gw_lease_expired(const struct gw_lease_record *record)
{
    char boot[40];
    boot_id(boot);
    return strcmp(boot, record->boot) != 0 || gw_mono_us() >= record->deadline_us;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static const char *const state_names[] = {"none", "held", "taken over", "released"};

static bool parse(const json_t *object, struct gw_lease_record *out, struct gw_error *err)
{
    const char *state;
    const char *boot;
    int64_t token;
    int64_t pid;
    int64_t started;
    int64_t lease_ms;
    if (!gw_json_get_string(object, "state", &state, err) || !gw_json_get_string(object, "boot", &boot, err) ||
        !gw_json_get_int(object, "token", &token, err) || !gw_json_get_int(object, "pid", &pid, err) ||
        !gw_json_get_int(object, "pid_started", &started, err) ||
        !gw_json_get_int(object, "deadline_us", &out->deadline_us, err) ||
        !gw_json_get_int(object, "lease_ms", &lease_ms, err))
        return false;
    out->token = (uint64_t)token;
    out->pid = (pid_t)pid;
    out->pid_started = (uint64_t)started;
    out->lease_ms = (int)lease_ms;
    snprintf(out->boot, sizeof out->boot, "%s", boot);
    for (size_t i = 0; i < sizeof state_names / sizeof state_names[0]; i++)
        if (strcmp(state, state_names[i]) == 0)
            return (out->state = (enum gw_lease_state)i, true);
    return gw_fail(err, GW_ERR_CONFLICT, "the lease is in the state \"%s\", which this version does not know", state);
}

bool gw_lease_read(const char *folder, struct gw_lease_record *out, struct gw_error *err)
{
    gw_autofree char *path = gw_asprintf("%s/lease", folder);
    gw_autojson json_t *object = NULL;
    struct gw_lease_record record = {0};
    if (!gw_file_exists(path)) {
        *out = record;
        return true;
    }
    if (!gw_json_read_file(path, LEASE_MAX_BYTES, &object, err) || !parse(object, &record, err))
        return gw_error_place(err, "%s", path);
    *out = record;
    return true;
}

/* Not synced to disk: after a loss of power the boot id says that nothing in it counts any more. */
bool gw_lease_write(const char *folder, const struct gw_lease_record *record, struct gw_error *err)
{
    gw_autofree char *path = gw_asprintf("%s/lease", folder);
    gw_autofree char *next = gw_asprintf("%s/lease.new", folder);
    gw_autojson json_t *object = json_pack(
        "{s:s, s:I, s:I, s:I, s:s, s:I, s:i}", "state", state_names[record->state], "token", (json_int_t)record->token,
        "pid", (json_int_t)record->pid, "pid_started", (json_int_t)record->pid_started, "boot", record->boot,
        "deadline_us", (json_int_t)record->deadline_us, "lease_ms", record->lease_ms);
    gw_autobuf struct gw_buf text = {0};
    gw_json_dump(object, 0, &text);
    gw_buf_addc(&text, '\n');
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return gw_fail_errno(err, errno, "could not write %s", next);
    bool ok = gw_write_all(fd, gw_buf_text(&text), text.len, err);
    close(fd);
    if (ok && rename(next, path) != 0)
        ok = gw_fail_errno(err, errno, "could not replace %s", path);
    return ok;
}

bool gw_lease_lock(const char *folder, int timeout_ms, int *fd, struct gw_error *err)
{
    gw_autofree char *path = gw_asprintf("%s/lease.lock", folder);
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return gw_fail_errno(err, errno, "could not open %s", path);
    while (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            int why = errno;
            close(lock);
            return gw_fail_errno(err, why, "could not lock %s", path);
        }
        if (gw_left_ms(deadline_us) == 0) {
            close(lock);
            (void)gw_fail(err, GW_ERR_CONFLICT, "the watchdog is bringing traffic back");
            return gw_error_hint(err, "see watchdog.log in %s", folder);
        }
        gw_sleep_us(2000);
    }
    *fd = lock;
    return true;
}

void gw_lease_unlock(int fd)
{
    close(fd); /* the lock goes with it */
}

/* ---- the holder -------------------------------------------------------------------------------------------------- */

static bool begin(const char *folder, int lease_ms, struct gw_lease_record *record, struct gw_error *err)
{
    struct gw_lease_record old;
    int lock;
    if (!gw_lease_lock(folder, LOCK_MS, &lock, err))
        return false;
    bool ok = gw_lease_read(folder, &old, err);
    if (ok && old.state == GW_LEASE_HELD && gw_lease_holder_alive(&old) &&
        !(gw_lease_expired(&old) || old.pid == getpid())) {
        (void)gw_fail(err, GW_ERR_CONFLICT, "process %d holds the lease: it is parking traffic now", (int)old.pid);
        ok = gw_error_hint(err, "wait until it has finished; its lease runs out by itself should it hang");
    }
    if (ok) {
        *record = (struct gw_lease_record){.state = GW_LEASE_HELD,
                                           .token = old.token + 1,
                                           .pid = getpid(),
                                           .pid_started = started_at(getpid()),
                                           .deadline_us = gw_mono_us() + ((int64_t)lease_ms + READY_MS) * 1000,
                                           .lease_ms = lease_ms};
        boot_id(record->boot);
        ok = gw_lease_write(folder, record, err);
    }
    gw_lease_unlock(lock);
    return ok;
}

/* The watchdog says "ready PID" once it can reach the gate, and leaves itself behind as a process of its own. */
static bool start_watchdog(const char *folder, const char *file, int *pidfd, struct gw_error *err)
{
    const char *const argv[] = {"/proc/self/exe", "watchdog", "--lease", folder, "-f", file, NULL};
    /* A crash point is meant for us: the watchdog has its own, so that tests can kill either. */
    const char *crash = getenv("GODWIT_WATCHDOG_CRASH_AT"); /* NOLINT(concurrency-mt-unsafe): nobody sets it here */
    gw_autofree char *crash_at = gw_asprintf("GODWIT_CRASH_AT=%s", crash ? crash : "");
    const char *const environment[] = {crash_at, NULL};
    struct gw_process_run run = {.spec = {.argv = argv, .environment = environment}, .timeout_ms = READY_MS};
    struct gw_process_result result;
    int pid = 0;
    bool ok = gw_process_run(&run, NULL, &result, err) && gw_process_check(&result, "the watchdog", err);
    if (ok && (sscanf(gw_buf_text(&result.out), "ready %d", &pid) != 1 || pid <= 0))
        ok = gw_fail(err, GW_ERR_BUG, "the watchdog did not say that it is ready");
    gw_process_result_release(&result);
    if (!ok) {
        (void)gw_error_prefix(err, "traffic is not parked without a watchdog");
        return gw_error_hint(err, "see watchdog.log in %s", folder);
    }
    int fd = (int)syscall(SYS_pidfd_open, pid, 0u);
    if (fd < 0 && errno != ENOSYS)
        return gw_fail_errno(err, errno, "the watchdog (process %d) is gone already", pid);
    *pidfd = fd;
    return true;
}

bool gw_lease_take(const char *folder, const char *migration_file, int lease_ms, struct gw_lease **out,
                   struct gw_error *err)
{
    struct gw_lease_record record;
    gw_autofree char *file = realpath(migration_file, NULL);
    gw_autofree char *whole = realpath(folder, NULL);
    if (!file || !whole)
        return gw_fail_errno(err, errno, "could not find %s", file ? folder : migration_file);
    if (!begin(whole, lease_ms, &record, err))
        return false;
    struct gw_lease *lease = gw_zalloc(sizeof *lease);
    lease->folder = gw_strdup(whole);
    lease->record = record;
    lease->watchdog = -1;
    if (!start_watchdog(whole, file, &lease->watchdog, err) || !gw_lease_renew(lease, err)) {
        gw_lease_release(lease);
        return false;
    }
    *out = lease;
    return true;
}

/* Writes our record with a new state and a deadline `ms` from now, unless somebody has taken over. */
static bool put(struct gw_lease *lease, enum gw_lease_state state, int ms, struct gw_error *err)
{
    struct gw_lease_record now;
    int lock;
    if (!gw_lease_lock(lease->folder, RENEW_LOCK_MS, &lock, err))
        return false;
    bool ok = gw_lease_read(lease->folder, &now, err);
    if (ok && (now.token != lease->record.token || now.state != GW_LEASE_HELD)) {
        (void)gw_fail(err, GW_ERR_CONFLICT, "the lease ran out and the watchdog has brought traffic back");
        ok = gw_error_hint(err, "what took so long? see watchdog.log in %s; gate: lease is %d ms", lease->folder,
                           lease->record.lease_ms);
    }
    if (ok) {
        lease->record.state = state;
        lease->record.deadline_us = gw_mono_us() + (int64_t)ms * 1000;
        ok = gw_lease_write(lease->folder, &lease->record, err);
    }
    gw_lease_unlock(lock);
    return ok;
}

bool gw_lease_renew(struct gw_lease *lease, struct gw_error *err)
{
    if (!put(lease, GW_LEASE_HELD, lease->record.lease_ms, err))
        return false;
    struct pollfd watchdog = {.fd = lease->watchdog, .events = POLLIN};
    if (lease->watchdog >= 0 && poll(&watchdog, 1, 0) > 0) {
        (void)gw_fail(err, GW_ERR_RETRY,
                      "the watchdog has died: nobody would let traffic go on should this process die");
        return gw_error_hint(err, "see watchdog.log in %s", lease->folder);
    }
    return true;
}

static void end(struct gw_lease *lease, enum gw_lease_state state)
{
    struct gw_error err;
    if (!put(lease, state, 0, &err))
        gw_debug("lease: %s", err.message);
    if (lease->watchdog >= 0)
        close(lease->watchdog);
    free(lease->folder);
    free(lease);
}

void gw_lease_leave(struct gw_lease *lease)
{
    end(lease, GW_LEASE_HELD);
}

void gw_lease_release(struct gw_lease *lease)
{
    end(lease, GW_LEASE_RELEASED);
}
