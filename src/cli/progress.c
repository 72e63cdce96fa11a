#include "cli/progress.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

enum { CELLS = 24 };
#define PLAIN_FIRST_US 2000000
#define PLAIN_EVERY_US 10000000

static void draw(const char *line, double done, void *arg)
{
    char bar[CELLS + 4] = "";
    (void)arg;
    if (done >= 0) {
        int full = (int)(done * CELLS);
        bar[0] = '[';
        for (int i = 0; i < CELLS; i++)
            bar[i + 1] = i < full ? '#' : '.';
        bar[CELLS + 1] = ']';
        bar[CELLS + 2] = ' ';
    }
    char text[512];
    snprintf(text, sizeof text, "%s%s", bar, line);
    gw_log_status_line(text);
}

/* Called from one thread at a time, that which works the verb. */
static void say(const char *line, double done, void *arg)
{
    static _Atomic int64_t due_us;
    (void)arg;
    if (due_us == 0)
        due_us = gw_mono_us() + PLAIN_FIRST_US;
    if (gw_mono_us() < due_us)
        return;
    due_us = gw_mono_us() + PLAIN_EVERY_US;
    if (done >= 0)
        gw_info("%s (%.0f %%)", line, done * 100);
    else
        gw_info("%s", line);
}

void gw_cli_show_progress(struct gw_journey *journey)
{
    journey->progress = gw_log_is_terminal() ? draw : say;
}
