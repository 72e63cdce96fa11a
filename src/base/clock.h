/*
 * Time. Durations and deadlines use the monotonic clock only: the wall clock may jump (and a test makes it jump).
 */
#ifndef GW_BASE_CLOCK_H
#define GW_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

int64_t gw_mono_us(void);
int64_t gw_wall_us(void);     /* since the Unix epoch; for display and records, never for deadlines */
void gw_sleep_us(int64_t us); /* survives EINTR */

/* A deadline: `int64_t deadline_us = gw_mono_us() + budget_ms * 1000;` */
int gw_left_ms(int64_t deadline_us); /* 0 when past, rounded up; for poll() */

/* Waits for `changed`, made for the monotonic clock, with `lock` held; at most so long. May wake up without reason. */
void gw_cond_wait_ms(pthread_cond_t *changed, pthread_mutex_t *lock, int ms);

/* "2026-11-22T07:00:00Z"; out must hold 32 bytes. */
void gw_wall_format(int64_t wall_us, char out[32]);

#endif
