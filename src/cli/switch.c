#include "cli/commands.h"
#include "cli/verb.h"

#include <string.h>

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    bool dry = false, rehearse = false, yes = false, sessions = false, unverified = false;
    const struct gw_option options[] = {
        {"dry-run", 0, GW_OPTION_FLAG, &dry,
         "print the numbered steps, the expected pause and what blocks; do nothing"},
        {"rehearse", 0, GW_OPTION_FLAG, &rehearse,
         "do it all but the flip, and undo it: a real pause, no change of owner"},
        {"yes", 'y', GW_OPTION_FLAG, &yes, "do not ask for the migration's name"},
        {"ignore-sessions", 0, GW_OPTION_FLAG, &sessions,
         "sessions around the gate do not block (their writes will fail)"},
        {"unverified", 0, GW_OPTION_FLAG, &unverified, "go on without an equal verdict of godwit verify"},
    };
    int code = gw_cli_parse(cli, command, options, sizeof options / sizeof options[0], 0, 0);
    if (code >= 0)
        return code;
    bool back = !strcmp(command->name, "rollback");
    const char *confirm = back ? "This moves the traffic back to blue." : "This moves the traffic to green.";
    return gw_cli_verb_run(cli, (struct gw_cli_verb){
                                    .name = command->name,
                                    .work = back ? gw_verb_rollback : gw_verb_switch,
                                    .arguments = json_pack("{s:b, s:b, s:b, s:b}", "dry_run", dry, "rehearse", rehearse,
                                                           "ignore_sessions", sessions, "unverified", unverified),
                                    .confirm = dry || rehearse ? NULL : confirm,
                                    .yes = yes,
                                });
}

#define STEPS                                                                                                            \
    "Preflight, park the traffic at the gate, drain, raise the fence, apply the last changes, set sequences, flip the\n" \
    "owner, let the traffic go on: within switch.pause_budget, or everything is undone and traffic goes on where it\n"   \
    "was. Exit 1 when something blocks, with what blocks.\n"

const struct gw_command gw_command_switch = {
    .name = "switch",
    .summary = "make green the owner, within one bounded pause",
    .arguments = "",
    .description = STEPS,
    .run = run,
};
const struct gw_command gw_command_rollback = {
    .name = "rollback",
    .summary = "make blue the owner again, with every row written on green",
    .arguments = "",
    .description = STEPS,
    .run = run,
};
