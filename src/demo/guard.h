/*
 * The demo in two processes, so that one is left to clean up whichever of them dies, and how.
 *
 * The worker is the demo; it has a session of its own. The guard is the process that was started: it waits, passes
 * signals on (the first one as it is, the second ends the worker at once) and gives back the worker's exit code. When
 * the guard dies, the worker is told by the kernel and stops as on Ctrl-C. When the worker dies, everything it had
 * started becomes the guard's, which ends it and removes the folder.
 */
#ifndef GW_DEMO_GUARD_H
#define GW_DEMO_GUARD_H

#include "base/cancel.h"
#include "base/error.h"

/* Forks; before any thread is started and before the folder is made. True in the worker, which goes on; in the guard
 * it returns false once all is over, with *code the exit code. Also false, said on stderr, when there is no fork.
 * `folder` is the name the worker will use, which nobody else has. `cancel` lives until the end of the process. */
bool gw_demo_guard_start(const char *folder, struct gw_cancel *cancel, int *code);

#endif
