/*
 * Stop, asked for by a signal, a deadline or a failing sibling. One token is shared by all threads of a task.
 * Threads poll gw_cancel_asked() at each step and put gw_cancel_fd() into their poll(); it becomes readable once
 * and stays so. Thread-safe and async-signal-safe to ask.
 */
#ifndef GW_BASE_CANCEL_H
#define GW_BASE_CANCEL_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdbool.h>

struct gw_cancel {
    atomic_int asked; /* 0, or the signal number or 1 */
    atomic_int wish;  /* as asked, and also while it is held back */
    atomic_int held;
    int fd; /* eventfd */
};

GW_MUST_CHECK bool gw_cancel_init(struct gw_cancel *cancel, struct gw_error *err);
void gw_cancel_release(struct gw_cancel *cancel);
void gw_cancel_ask(struct gw_cancel *cancel, int why); /* why != 0; the first one is kept */
bool gw_cancel_asked(const struct gw_cancel *cancel);  /* NULL is never asked */
/* Between these two nobody is told to stop, not even by a signal: for what must be carried through or undone. Whoever
 * holds it back looks at gw_cancel_wished() where he can still turn round. NULL is fine. Not nested. */
void gw_cancel_hold(struct gw_cancel *cancel);
void gw_cancel_let_go(struct gw_cancel *cancel);
bool gw_cancel_wished(const struct gw_cancel *cancel);
/* Sleeps up to ms, less when asked; returns true if asked. */
bool gw_cancel_wait(struct gw_cancel *cancel, int ms);
/* The calling thread's own token, beside the one of its task: whoever must end a thread that waits in a store asks it.
 * Stores look at both. Set by the thread itself; borrowed for the thread's life; NULL: none. */
void gw_cancel_set_own(struct gw_cancel *cancel);
struct gw_cancel *gw_cancel_own(void);
/* gw_fail with GW_ERR_CANCELLED, "stopped by SIGTERM" and the like. */
bool gw_cancel_fail(const struct gw_cancel *cancel, struct gw_error *err);

#endif
