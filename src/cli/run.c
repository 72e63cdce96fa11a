#include "base/log.h"
#include "cli/commands.h"
#include "journey/runner.h"

#include <stdio.h>

static void draw(const char *line, double done, void *arg)
{
    (void)arg;
    char text[512];
    if (done >= 0)
        snprintf(text, sizeof text, "%3.0f%%  %s", done * 100, line);
    else
        snprintf(text, sizeof text, "%s", line);
    gw_log_status_line(text);
}

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    struct gw_journey *journey;
    struct gw_error err;
    int code = gw_cli_parse(cli, command, NULL, 0, 0, 0);
    if (code >= 0)
        return code;
    if (!gw_journey_open(cli->file, cli->cancel, &journey, &err))
        return gw_cli_fail(cli, &err);
    journey->progress = gw_log_is_terminal() ? draw : NULL;
    gw_error_clear(&err);
    code = gw_runner_main(journey, &err);
    gw_log_status_line(NULL);
    if (err.kind != GW_ERR_NONE)
        gw_log_error(&err);
    gw_journey_close(journey);
    return code;
}

const struct gw_command gw_command_run = {
    .name = "run",
    .summary = "the journey up to where you decide; then stays and keeps both sides together",
    .arguments = "",
    .description =
        "Resident: copies, follows and verifies, then waits for `godwit switch`, `rollback`, `verify`, `abort`\n"
        "and `finish`, which talk to it over a Unix socket in the state folder. Keep it running until finish:\n"
        "after a switch it is what keeps the way back open. A systemd unit ships with godwit.\n",
    .run = run,
};
