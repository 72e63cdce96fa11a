#include "base/log.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "journey/runner.h"

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    struct gw_journey *journey;
    struct gw_error err;
    int code = gw_cli_parse(cli, command, NULL, 0, 0, 0);
    if (code >= 0)
        return code;
    if (!gw_journey_open(cli->file, cli->cancel, &journey, &err))
        return gw_cli_fail(cli, &err);
    gw_cli_show_progress(journey);
    gw_error_clear(&err);
    code = gw_runner_main(journey, &err);
    gw_log_status_line(NULL);
    if (code != GW_EXIT_YES && err.kind != GW_ERR_NONE)
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
