#include "cli/commands.h"
#include "cli/verb.h"

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    int code = gw_cli_parse(cli, command, NULL, 0, 0, 0);
    if (code >= 0)
        return code;
    return gw_cli_verb_run(cli,
                           (struct gw_cli_verb){.name = "verify", .work = gw_verb_verify, .arguments = json_object()});
}

const struct gw_command gw_command_verify = {
    .name = "verify",
    .summary = "compare both sides: equal, different or unresolved",
    .arguments = "",
    .description =
        "Reads every row on both sides by a path of its own and compares digests; where they differ, rows and\n"
        "columns, read again until they stand still. Works on a live pair. Exit 0 equal, 1 different,\n"
        "3 unresolved. --json gives the whole report.\n",
    .run = run,
};
