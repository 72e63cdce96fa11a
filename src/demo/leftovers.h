/*
 * What the demo must not leave behind: processes, shared memory, its folder.
 *
 * "Ours" is decided by the kernel, not by names: a process that adopts orphans (gw_demo_adopt_orphans) stays the
 * ancestor of everything that was started below it, whoever died in between. An editor or a shell that merely has the
 * folder on its command line, or stands in it, is not touched.
 */
#ifndef GW_DEMO_LEFTOVERS_H
#define GW_DEMO_LEFTOVERS_H

#include "base/error.h"

/* From now on descendants whose parent dies become this process's children. */
void gw_demo_adopt_orphans(void);
/* Waits for every descendant to end: in order first, then interrupted, then killed. Then removes the System V shared
 * memory that a killed PostgreSQL left (it is named in line 7 of the postmaster.pid in its data directory, see
 * storage/ipc in the PostgreSQL documentation) and the folder. Takes up to 15 s. False says what is still there; the
 * folder stays as long as something runs. The calling process must have no child that it wants to keep. */
GW_MUST_CHECK bool gw_demo_leftovers_remove(const char *folder, struct gw_error *err);

#endif
