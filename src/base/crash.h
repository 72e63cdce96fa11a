/*
 * Named crash points: places where a test can end the process as kill -9 would, or hold it.
 *
 *     GW_CRASH_POINT("copy.chunk.before_commit");
 *
 * GODWIT_CRASH_AT="name" or "name:3" (the third time it is reached) raises SIGKILL there.
 * GODWIT_HOLD_AT="name=/path": the thread waits there as long as the file /path exists (for deterministic races); it
 * creates /path.reached first, so that the test knows.
 * Compiled out of a release build (meson option crash_points). `godwit --crash-points` in a test build lists all
 * names, collected in a linker section, so that a test can visit every one.
 */
#ifndef GW_BASE_CRASH_H
#define GW_BASE_CRASH_H

#ifdef GW_CRASH_POINTS
void gw_crash_point(const char *name);
#define GW_CRASH_POINT(name)                                                                                           \
    do {                                                                                                               \
        static const char *const gw_crash_name __attribute__((section("gw_crash_names"), used)) = name;                \
        gw_crash_point(gw_crash_name);                                                                                 \
    } while (0)
#else
#define GW_CRASH_POINT(name) ((void)0)
#endif
/* Calls each(name, arg) for every crash point in the binary; none in a release. */
void gw_crash_each(void (*each)(const char *name, void *arg), void *arg);

#endif
