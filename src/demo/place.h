/*
 * The demo's folder, and the programs that run in it. What makes sure that nothing stays behind: guard.h.
 */
#ifndef GW_DEMO_PLACE_H
#define GW_DEMO_PLACE_H

#include "base/error.h"
#include "io/process.h"

struct gw_demo_place {
    char folder[64]; /* $TMPDIR/godwit-demo-<random>, 0711: the servers' user passes through */
    char user[32];   /* whom the servers run as, "" for ourselves */
};

/* Only thinks of a name and a user. The name is random, known to the guard before the folder is there. */
GW_MUST_CHECK bool gw_demo_place_choose(struct gw_demo_place *place, struct gw_error *err);
GW_MUST_CHECK bool gw_demo_place_make(struct gw_demo_place *place, struct gw_error *err);
/* A folder <place>/<name> that the servers' user owns. */
GW_MUST_CHECK bool gw_demo_place_folder(const struct gw_demo_place *place, const char *name, struct gw_error *err);
GW_MUST_CHECK bool gw_demo_place_give(const struct gw_demo_place *place, const char *path, struct gw_error *err);
/* A TCP port on loopback that is free now. */
GW_MUST_CHECK bool gw_demo_free_port(int *port, struct gw_error *err);

/* Runs a server program as the servers' user; argv is NULL-ended and at most 20 long. The child dies with us, by
 * `death_signal` ("QUIT" for PostgreSQL: an immediate shutdown that leaves no shared memory). */
GW_MUST_CHECK bool gw_demo_spawn(const struct gw_demo_place *place, const char *const *argv, const char *death_signal,
                                 struct gw_process *process, struct gw_error *err);
/* For initdb: runs it to its end, which takes a second or two, and is not cancelled: the server that it starts leaves
 * its shared memory behind when it gets a signal. It ends in order when its input ends, as it does when initdb dies. */
GW_MUST_CHECK bool gw_demo_run(const struct gw_demo_place *place, const char *const *argv, struct gw_error *err);

#endif
