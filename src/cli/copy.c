#include "cli/commands.h"
#include "cli/verb.h"

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    int code = gw_cli_parse(cli, command, NULL, 0, 0, 0);
    if (code >= 0)
        return code;
    return gw_cli_verb_run(cli, (struct gw_cli_verb){.name = "copy", .work = gw_verb_copy, .arguments = json_object()});
}

const struct gw_command gw_command_copy = {
    .name = "copy",
    .summary = "copy schema and rows to green, with all indexes; resumes",
    .arguments = "",
    .description =
        "Opens blue's change log, creates the schema on green, copies the rows in checkpointed chunks, builds\n"
        "indexes and foreign keys, and prepares the way back. Killed at any moment, the same command goes on\n"
        "and says how much it skipped. When it ends, blue keeps its change log for godwit: go on with\n"
        "`godwit run` (or `godwit abort`).\n",
    .run = run,
};
