#include "journey/watchdog.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "journey/journey.h"
#include "journey/lease.h"
#include "switch/switch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    TICK_MS = 50,
    SETTLE_MS = 1200, /* of the 2 s until traffic must flow again */
    ASK_MS = 300,     /* for one side's word, when settling did not work out in time */
    SETTLE_AGAIN_MS = 1000,
    SETTLE_LATE_MS = 30000, /* one late attempt */
    SETTLE_GIVE_UP_MS = 600000,
    OPEN_AGAIN_MS = 100, /* between attempts to let traffic go on */
    OPEN_GIVE_UP_MS = 600000,
    LOCK_MS = 2000,
    PARK_MS = 500,
};

struct watchdog {
    const struct gw_watchdog_options *options;
    const struct gw_watchdog_actions *actions;
    struct gw_gate *gate;
    struct gw_lease_record lease; /* as it was when we were started */
    int holder;                   /* pidfd; -1 when the holder is gone or the kernel has none */
};

/* ---- an attempt with an end -------------------------------------------------------------------------------------- */

/* Asks `target` to stop after `ms`, unless it is finished before. */
struct alarm_clock {
    struct gw_cancel target, finished;
    int ms;
    pthread_t thread;
};

static void *ring(void *arg)
{
    struct alarm_clock *alarm = arg;
    if (!gw_cancel_wait(&alarm->finished, alarm->ms))
        gw_cancel_ask(&alarm->target, SIGALRM);
    return NULL;
}

static bool alarm_start(struct alarm_clock *alarm, int ms, struct gw_error *err)
{
    alarm->ms = ms;
    if (!gw_cancel_init(&alarm->target, err))
        return false;
    if (!gw_cancel_init(&alarm->finished, err)) {
        gw_cancel_release(&alarm->target);
        return false;
    }
    int failed = pthread_create(&alarm->thread, NULL, ring, alarm);
    if (failed) {
        gw_cancel_release(&alarm->target);
        gw_cancel_release(&alarm->finished);
        return gw_fail_errno(err, failed, "could not start a thread");
    }
    return true;
}

static void alarm_stop(struct alarm_clock *alarm)
{
    gw_cancel_ask(&alarm->finished, 1);
    pthread_join(alarm->thread, NULL);
    gw_cancel_release(&alarm->target);
    gw_cancel_release(&alarm->finished);
}

/* ---- the owner --------------------------------------------------------------------------------------------------- */

static bool settle_once(struct watchdog *dog, int ms, enum gw_gate_target *owner, struct gw_error *err)
{
    struct alarm_clock alarm;
    gw_autobuf struct gw_buf done = {0};
    if (!alarm_start(&alarm, ms, err))
        return false;
    bool ok = dog->actions->settle(dog->actions->arg, &alarm.target, owner, &done, err);
    alarm_stop(&alarm);
    if (ok && done.len)
        gw_info("%s", gw_buf_text(&done));
    return ok;
}

static bool settle_in_time(struct watchdog *dog, int64_t deadline_us, enum gw_gate_target *owner)
{
    struct gw_error err;
    for (int left_ms = SETTLE_MS; left_ms > 0; left_ms = gw_left_ms(deadline_us)) {
        if (settle_once(dog, left_ms, owner, &err))
            return true;
        gw_log_error(&err);
        gw_sleep_us(OPEN_AGAIN_MS * 1000);
    }
    return false;
}

/* The word of the sides that can be reached; the higher epoch wins. None: traffic goes on where the gate points. */
static enum gw_gate_target best_guess(struct watchdog *dog)
{
    enum gw_gate_target best = GW_GATE_UNKNOWN;
    uint64_t best_epoch = 0;
    for (int side = 0; side < 2; side++) {
        struct alarm_clock alarm;
        struct gw_error err;
        enum gw_gate_target owner;
        uint64_t epoch;
        if (!alarm_start(&alarm, ASK_MS, &err))
            continue;
        bool ok = dog->actions->ask(dog->actions->arg, side, &alarm.target, &owner, &epoch, &err);
        alarm_stop(&alarm);
        if (!ok) {
            gw_log_error(&err);
        } else if (best == GW_GATE_UNKNOWN || epoch > best_epoch) {
            best = owner;
            best_epoch = epoch;
        }
    }
    return best;
}

/* ---- traffic ----------------------------------------------------------------------------------------------------- */

static bool open_gate_once(struct watchdog *dog, enum gw_gate_target owner, struct gw_error *err)
{
    const struct gw_gate_type *type = dog->gate->type;
    bool parked;
    enum gw_gate_target now;
    if (!type->state(dog->gate, &parked, &now, err))
        return false;
    if (owner == GW_GATE_UNKNOWN)
        owner = now;
    if (owner != now && !parked && !type->park(dog->gate, PARK_MS, err))
        gw_log_error(err); /* moved under running transactions, then: the fence is between them and harm */
    GW_CRASH_POINT("watchdog.before_point");
    /* Also when it points there already: whoever died may have been in the middle of changing that. */
    if (owner != GW_GATE_UNKNOWN && !type->point(dog->gate, owner, err))
        return false;
    GW_CRASH_POINT("watchdog.before_unpark");
    return type->unpark(dog->gate, err);
}

/* The lease's folder is gone: the migration was removed, and nothing is left to bring back. */
static bool is_abandoned(const struct watchdog *dog)
{
    struct gw_lease_record now;
    struct gw_error ignored;
    return gw_lease_read(dog->options->folder, &now, &ignored) && now.state == GW_LEASE_NONE;
}

/* However long it takes: nobody else will do it. */
static bool open_gate(struct watchdog *dog, enum gw_gate_target owner)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)OPEN_GIVE_UP_MS * 1000;
    struct gw_error err;
    while (!open_gate_once(dog, owner, &err)) {
        gw_log_error(&err);
        if (gw_left_ms(deadline_us) == 0 || is_abandoned(dog))
            return false;
        gw_sleep_us(OPEN_AGAIN_MS * 1000);
    }
    return true;
}

static bool settle_late(struct watchdog *dog, enum gw_gate_target opened_to)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)SETTLE_GIVE_UP_MS * 1000;
    enum gw_gate_target owner;
    struct gw_error err;
    while (!settle_once(dog, SETTLE_LATE_MS, &owner, &err)) {
        gw_log_error(&err);
        if (is_abandoned(dog))
            return false;
        if (gw_left_ms(deadline_us) == 0) {
            gw_warn("giving up: bring the sides to one owner with godwit run, once both can be reached");
            return false;
        }
        gw_sleep_us(SETTLE_AGAIN_MS * 1000);
    }
    return owner == opened_to || open_gate(dog, owner);
}

/* Called with the lease locked and ours. */
static bool bring_back(struct watchdog *dog)
{
    int64_t began_us = gw_mono_us();
    enum gw_gate_target owner = GW_GATE_UNKNOWN;
    bool settled = settle_in_time(dog, began_us + (int64_t)SETTLE_MS * 1000, &owner);
    if (!settled)
        owner = best_guess(dog);
    bool opened = open_gate(dog, owner);
    if (opened)
        gw_info("traffic goes on to %s, %lld ms after the lease ran out",
                owner == GW_GATE_UNKNOWN ? "where the gate points" : gw_gate_target_name(owner),
                (long long)((gw_mono_us() - began_us) / 1000));
    return (settled || settle_late(dog, owner)) && opened;
}

/* ---- the lease --------------------------------------------------------------------------------------------------- */

static bool is_ours(const struct watchdog *dog, const struct gw_lease_record *now)
{
    return now->state == GW_LEASE_HELD && now->token == dog->lease.token;
}

static bool ran_out(const struct gw_lease_record *now)
{
    return !gw_lease_holder_alive(now) || gw_lease_expired(now);
}

/* *over: the lease has been dealt with, by us or by its holder. */
static bool take_over(struct watchdog *dog, bool *over, struct gw_error *err)
{
    struct gw_lease_record now;
    int lock;
    if (!gw_lease_lock(dog->options->folder, LOCK_MS, &lock, err))
        return false;
    bool ok = gw_lease_read(dog->options->folder, &now, err);
    *over = ok && !is_ours(dog, &now);
    if (ok && is_ours(dog, &now) && ran_out(&now)) {
        gw_warn("process %d %s while it held the lease: letting traffic go on", (int)now.pid,
                !gw_lease_holder_alive(&now) ? "died" : "fell silent, or left it");
        now.state = GW_LEASE_TAKEN_OVER;
        now.token++;
        ok = gw_lease_write(dog->options->folder, &now, err);
        if (!ok) /* traffic comes first; the lock keeps the holder out meanwhile */
            gw_log_error(err);
        ok = bring_back(dog) || gw_fail(err, GW_ERR_RETRY, "not everything could be brought back");
        *over = true;
    }
    gw_lease_unlock(lock);
    return ok;
}

static int keep_watch(struct watchdog *dog)
{
    struct gw_error err;
    for (;;) {
        struct gw_lease_record now;
        bool over = false;
        if (!gw_lease_read(dog->options->folder, &now, &err)) {
            gw_log_error(&err); /* unreadable: as good as silent */
            now = dog->lease;
        }
        if (!is_ours(dog, &now))
            return 0;
        if (ran_out(&now)) {
            bool ok = take_over(dog, &over, &err);
            if (!ok)
                gw_log_error(&err);
            if (over)
                return ok ? 0 : (int)GW_EXIT_UNREACHABLE;
        }
        struct pollfd holder = {.fd = dog->holder, .events = POLLIN};
        int tick_ms = now.deadline_us > gw_mono_us() ? gw_left_ms(now.deadline_us) : TICK_MS;
        if (poll(&holder, 1, tick_ms < TICK_MS ? tick_ms : TICK_MS) > 0)
            gw_sleep_us(1000); /* it has ended; until /proc says so too */
    }
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

static bool prepare(struct watchdog *dog, struct gw_error *err)
{
    bool parked;
    enum gw_gate_target target;
    if (!gw_lease_read(dog->options->folder, &dog->lease, err))
        return false;
    if (dog->lease.state != GW_LEASE_HELD)
        return gw_fail(err, GW_ERR_CONFLICT, "nobody holds the lease in %s", dog->options->folder);
    dog->holder = (int)syscall(SYS_pidfd_open, dog->lease.pid, 0u);
    return dog->actions->open_gate(dog->actions->arg, &dog->gate, err) &&
           dog->gate->type->state(dog->gate, &parked, &target, err);
}

static bool log_to_file(const char *folder, struct gw_error *err)
{
    gw_autofree char *path = gw_asprintf("%s/watchdog.log", folder);
    int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0)
        return gw_fail_errno(err, errno, "could not open %s", path);
    bool ok = dup2(null, 0) == 0 && dup2(log, 1) == 1 && dup2(log, 2) == 2;
    int why = errno;
    if (null > 2)
        close(null);
    if (log > 2)
        close(log);
    if (!ok)
        return gw_fail_errno(err, why, "could not redirect output to %s", path);
    gw_log_init(GW_LOG_DEBUG); /* with times; what is in it is read after something went wrong */
    return true;
}

static void be_deaf(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    static const int signals[] = {SIGINT, SIGHUP, SIGTERM, SIGQUIT, SIGPIPE, SIGTSTP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &ignore, NULL);
}

static int watch(struct watchdog *dog)
{
    int code = keep_watch(dog);
    gw_gate_close(dog->gate);
    if (dog->holder >= 0)
        close(dog->holder);
    return code;
}

static void report(int fd, const struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    struct gw_error ignored;
    gw_buf_addf(&text, "%s%s%s\n", err->message, err->detail[0] ? ": " : "", err->detail);
    if (!gw_write_all(fd, gw_buf_text(&text), text.len, &ignored))
        gw_log_error(err);
}

/* In the child: says how it went over the pipe, then watches. */
static int stay_behind(struct watchdog *dog, int ready_fd)
{
    struct gw_error err;
    char ready[32];
    setsid();
    be_deaf();
    if (!log_to_file(dog->options->folder, &err) || !prepare(dog, &err)) {
        gw_log_error(&err);
        report(ready_fd, &err);
        return (int)gw_error_exit(&err);
    }
    int len = snprintf(ready, sizeof ready, "ready %d\n", (int)getpid());
    if (!gw_write_all(ready_fd, ready, (size_t)len, &err)) {
        gw_log_error(&err);
        return GW_EXIT_BUG;
    }
    close(ready_fd);
    gw_info("watching process %d (lease of %d ms, token %llu)", (int)dog->lease.pid, dog->lease.lease_ms,
            (unsigned long long)dog->lease.token);
    int code = watch(dog);
    gw_info("done, exit code %d", code);
    return code;
}

static int leave_behind(struct watchdog *dog)
{
    int ends[2];
    struct gw_error err;
    char said[1024];
    size_t len = 0;
    ssize_t got;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        (void)gw_fail_errno(&err, errno, "could not make a pipe");
        gw_log_error(&err);
        return GW_EXIT_BUG;
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        _exit(stay_behind(dog, ends[1]));
    }
    close(ends[1]);
    while (child > 0 && len < sizeof said - 1 &&
           ((got = read(ends[0], said + len, sizeof said - 1 - len)) > 0 || (got < 0 && errno == EINTR)))
        len += got > 0 ? (size_t)got : 0;
    close(ends[0]);
    said[len] = 0;
    bool ready = strncmp(said, "ready ", 6) == 0;
    fprintf(ready ? stdout : stderr, "%s", len ? said : "the watchdog did not start\n");
    fflush(stdout);
    return ready ? 0 : (int)GW_EXIT_UNREACHABLE;
}

/* ---- a journey's actions ----------------------------------------------------------------------------------------- */

struct journey_actions {
    const char *file;
    struct gw_journey *gate_journey; /* owns the gate */
};

static bool journey_open_gate(void *arg, struct gw_gate **out, struct gw_error *err)
{
    struct journey_actions *actions = arg;
    if (!actions->gate_journey && !gw_journey_open(actions->file, NULL, &actions->gate_journey, err))
        return false;
    const struct gw_migration_store *store = actions->gate_journey->store;
    return gw_gate_open(&store->gate, store->side[GW_BLUE].url, store->side[GW_GREEN].url, NULL, out, err);
}

static bool journey_settle(void *arg, struct gw_cancel *cancel, enum gw_gate_target *owner, struct gw_buf *done,
                           struct gw_error *err)
{
    struct journey_actions *actions = arg;
    struct gw_journey *journey;
    enum gw_side side;
    if (!gw_journey_open(actions->file, cancel, &journey, err))
        return false;
    bool ok = gw_journey_open_state(journey, GW_JOURNAL_READ, err) && gw_journey_connect(journey, err) &&
              gw_journey_read_schema(journey, err);
    if (ok) {
        const struct gw_schema *const schemas[2] = {gw_journey_schema(journey, GW_BLUE),
                                                    gw_journey_schema(journey, GW_GREEN)};
        ok = gw_switch_recover(journey->sides, schemas, NULL, &side, done, err);
    }
    gw_journey_close(journey);
    if (ok)
        *owner = gw_gate_target_of(side);
    return ok;
}

static bool journey_ask(void *arg, int number, struct gw_cancel *cancel, enum gw_gate_target *owner, uint64_t *epoch,
                        struct gw_error *err)
{
    struct journey_actions *actions = arg;
    struct gw_journey *journey;
    enum gw_side side = number == 0 ? GW_BLUE : GW_GREEN;
    struct gw_owner row;
    bool installed;
    if (!gw_journey_open(actions->file, cancel, &journey, err))
        return false;
    bool ok = gw_journey_connect_side(journey, side, err) &&
              journey->sides[side]->type->ownership->get(journey->sides[side], &row, &installed, err);
    if (ok && !installed)
        ok = gw_fail(err, GW_ERR_CONFLICT, "%s does not say who owns the data", gw_side_name(side));
    gw_journey_close(journey);
    if (ok) {
        *owner = gw_gate_target_of(row.owner);
        *epoch = row.epoch;
    }
    return ok;
}

int gw_watchdog_main(const struct gw_watchdog_options *options)
{
    struct journey_actions journey = {.file = options->file};
    const struct gw_watchdog_actions ours = {
        .arg = &journey, .open_gate = journey_open_gate, .settle = journey_settle, .ask = journey_ask};
    struct watchdog dog = {.options = options, .actions = options->actions ? options->actions : &ours, .holder = -1};
    if (!options->foreground)
        return leave_behind(&dog);
    struct gw_error err;
    int code;
    if (prepare(&dog, &err)) {
        code = watch(&dog);
    } else {
        gw_log_error(&err);
        code = (int)gw_error_exit(&err);
    }
    gw_journey_close(journey.gate_journey);
    return code;
}
