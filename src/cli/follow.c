#include "cli/commands.h"
#include "cli/verb.h"

#include <string.h>

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    const char *until = NULL;
    const struct gw_option options[] = {
        {"until=caught-up", 0, GW_OPTION_TEXT, &until,
         "caught-up: end when everything blue had at the time is on green"},
    };
    struct gw_error err;
    int code = gw_cli_parse(cli, command, options, 1, 0, 0);
    if (code >= 0)
        return code;
    if (until && strcmp(until, "caught-up") != 0) {
        (void)!gw_fail(&err, GW_ERR_USER, "--until knows caught-up, not \"%s\"", until);
        return gw_cli_fail(cli, &err);
    }
    json_t *arguments = json_object();
    if (until)
        json_object_set_new(arguments, "until", json_string(until));
    return gw_cli_verb_run(cli, (struct gw_cli_verb){.name = "follow", .work = gw_verb_follow, .arguments = arguments});
}

const struct gw_command gw_command_follow = {
    .name = "follow",
    .summary = "apply the owner's changes on the other side until stopped",
    .arguments = "",
    .description =
        "Runs the earlier stages it needs. Ctrl-C or SIGTERM stops it cleanly (exit 0); what was applied stays\n"
        "applied, and the next start goes on from there.\n",
    .run = run,
};
