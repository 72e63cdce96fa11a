#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

static int64_t clock_us(clockid_t which)
{
    struct timespec ts;
    clock_gettime(which, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t gw_mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

int64_t gw_wall_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

void gw_sleep_us(int64_t us)
{
    if (us <= 0)
        return;
    int64_t until_us = gw_mono_us() + us;
    struct timespec ts = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        ;
}

int gw_left_ms(int64_t deadline_us)
{
    int64_t left_us = deadline_us - gw_mono_us();
    if (left_us <= 0)
        return 0;
    int64_t left_ms = left_us / 1000 + (left_us % 1000 != 0);
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

void gw_wall_format(int64_t wall_us, char out[32])
{
    int64_t second = wall_us / 1000000;
    if (wall_us % 1000000 < 0)
        second--;
    time_t when = (time_t)second;
    struct tm tm;
    if (!gmtime_r(&when, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(out, 32, "(time out of range)");
}

void gw_cond_wait_ms(pthread_cond_t *changed, pthread_mutex_t *lock, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(changed, lock, &until);
}
