#include "journey/watchdog.h"
#include "cli/commands.h"

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    const char *folder = NULL;
    bool foreground = false;
    const struct gw_option options[] = {
        {"lease=FOLDER", 0, GW_OPTION_TEXT, &folder, "folder of the lease: the migration's state folder"},
        {"foreground", 0, GW_OPTION_FLAG, &foreground, "stay in the foreground"},
    };
    struct gw_error err;
    int code = gw_cli_parse(cli, command, options, 2, 0, 0);
    if (code >= 0)
        return code;
    if (!folder) {
        (void)!gw_fail(&err, GW_ERR_USER, "watchdog needs --lease FOLDER; a switch starts it by itself");
        return gw_cli_fail(cli, &err);
    }
    const struct gw_watchdog_options watchdog = {.folder = folder, .file = cli->file, .foreground = foreground};
    return gw_watchdog_main(&watchdog);
}

const struct gw_command gw_command_watchdog = {
    .name = "watchdog",
    .summary = "lets parked traffic go on when a switch dies (a switch starts it by itself)",
    .arguments = "",
    .description = "Its own process: ends when the lease is released.\n",
    .run = run,
    .hidden = true,
};
