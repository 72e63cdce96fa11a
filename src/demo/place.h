/*
 * The demo's folder, and what makes sure that nothing stays behind.
 */
#ifndef GW_DEMO_PLACE_H
#define GW_DEMO_PLACE_H

#include "base/error.h"
#include "io/process.h"

struct gw_demo_place {
    char folder[64]; /* /tmp/godwit-demo-XXXXXX, 0711: the servers' user passes through */
    char user[32];   /* whom the servers run as, "" for ourselves */
    int alive_fd;    /* the reaper waits for its other end */
};

/* Makes the folder and starts the reaper: a process that, when we are gone in whatever way, ends what still runs in the
 * folder and removes it. Before any thread is started. */
GW_MUST_CHECK bool gw_demo_place_make(struct gw_demo_place *place, struct gw_error *err);
void gw_demo_place_remove(struct gw_demo_place *place);
/* A folder <place>/<name> that the servers' user owns. */
GW_MUST_CHECK bool gw_demo_place_folder(const struct gw_demo_place *place, const char *name, struct gw_error *err);
GW_MUST_CHECK bool gw_demo_place_give(const struct gw_demo_place *place, const char *path, struct gw_error *err);
/* A TCP port on loopback that is free now. */
GW_MUST_CHECK bool gw_demo_free_port(int *port, struct gw_error *err);

/* Runs a server program as the servers' user; argv is NULL-ended and at most 20 long. The child dies with us, by
 * `death_signal` ("QUIT" for PostgreSQL: an immediate shutdown that leaves no shared memory). */
GW_MUST_CHECK bool gw_demo_spawn(const struct gw_demo_place *place, const char *const *argv, const char *death_signal,
                                 struct gw_process *process, struct gw_error *err);
GW_MUST_CHECK bool gw_demo_run(const struct gw_demo_place *place, const char *const *argv, struct gw_cancel *cancel,
                               struct gw_error *err);

#endif
