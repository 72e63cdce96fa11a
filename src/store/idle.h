/*
 * Sessions that nobody uses just now, kept for the next call of a store that needs one: a few, the last one given first.
 * Any thread. What a session is only the engine knows.
 */
#ifndef GW_STORE_IDLE_H
#define GW_STORE_IDLE_H

#include <stdbool.h>

struct gw_idle;

/* `alive`: whether an idle session can still be used (NULL: always); `close`: ends one, and NULL is fine for it. */
struct gw_idle *gw_idle_new(bool (*alive)(void *session), void (*close)(void *session));
/* Closes what is kept. None may be out. NULL is fine. */
void gw_idle_free(struct gw_idle *);
/* One that is alive, the caller's from now on, or NULL. Those that died meanwhile are closed. */
void *gw_idle_take(struct gw_idle *);
/* Keeps it, or closes it where enough are kept. */
void gw_idle_give(struct gw_idle *, void *session);

#endif
