#include "base/crash.h"

#ifdef GW_CRASH_POINTS

#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

/* The linker gives the bounds of a section whose name is a C identifier. Weak: a binary may have no crash point. */
extern const char *const __start_gw_crash_names[] __attribute__((weak, visibility("hidden")));
extern const char *const __stop_gw_crash_names[] __attribute__((weak, visibility("hidden")));

static struct {
    char crash_name[128];
    long crash_count;
    char hold_name[128];
    char hold_path[512], reached_path[530];
} crash_plan;
static atomic_long crash_reached;
static pthread_once_t crash_once = PTHREAD_ONCE_INIT;

static void crash_plan_read(void)
{
    const char *crash = getenv("GODWIT_CRASH_AT"); /* NOLINT(concurrency-mt-unsafe): once */
    const char *hold = getenv("GODWIT_HOLD_AT");   /* NOLINT(concurrency-mt-unsafe): once */
    crash_plan.crash_count = 1;
    if (crash) {
        snprintf(crash_plan.crash_name, sizeof crash_plan.crash_name, "%s", crash);
        char *colon = strchr(crash_plan.crash_name, ':');
        if (colon) {
            *colon = 0;
            crash_plan.crash_count = strtol(colon + 1, NULL, 10);
        }
    }
    const char *equals = hold ? strchr(hold, '=') : NULL;
    if (equals) {
        snprintf(crash_plan.hold_name, sizeof crash_plan.hold_name, "%.*s", (int)(equals - hold), hold);
        snprintf(crash_plan.hold_path, sizeof crash_plan.hold_path, "%s", equals + 1);
        snprintf(crash_plan.reached_path, sizeof crash_plan.reached_path, "%s.reached", crash_plan.hold_path);
    }
}

void gw_crash_point(const char *name)
{
    pthread_once(&crash_once, crash_plan_read);
    if (crash_plan.crash_name[0] && strcmp(name, crash_plan.crash_name) == 0 &&
        atomic_fetch_add(&crash_reached, 1) + 1 == crash_plan.crash_count)
        raise(SIGKILL);
    if (crash_plan.hold_name[0] && strcmp(name, crash_plan.hold_name) == 0 && access(crash_plan.hold_path, F_OK) == 0) {
        int fd = open(crash_plan.reached_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd);
        while (access(crash_plan.hold_path, F_OK) == 0)
            gw_sleep_us(2000);
    }
}

static bool crash_seen_before(const char *const *at)
{
    for (const char *const *p = __start_gw_crash_names; p < at; p++)
        if (*p && strcmp(*p, *at) == 0)
            return true;
    return false;
}

void gw_crash_each(void (*each)(const char *name, void *arg), void *arg)
{
    if (!__start_gw_crash_names)
        return;
    for (const char *const *p = __start_gw_crash_names; p < __stop_gw_crash_names; p++)
        if (*p && !crash_seen_before(p))
            each(*p, arg);
}

#else

void gw_crash_each(void (*each)(const char *name, void *arg), void *arg)
{
    (void)each;
    (void)arg;
}

#endif
