#include "cli/commands.h"
#include "cli/verb.h"

static int run_abort(struct gw_cli *cli, const struct gw_command *command)
{
    bool yes = false;
    const struct gw_option options[] = {
        {"yes", 'y', GW_OPTION_FLAG, &yes, "do not ask for the migration's name"},
    };
    int code = gw_cli_parse(cli, command, options, 1, 0, 0);
    if (code >= 0)
        return code;
    return gw_cli_verb_run(cli, (struct gw_cli_verb){.name = "abort",
                                                     .work = gw_verb_abort,
                                                     .arguments = json_object(),
                                                     .confirm = "This calls the migration off and removes what godwit "
                                                                "made on both sides; blue stays the owner.",
                                                     .yes = yes});
}

static int run_finish(struct gw_cli *cli, const struct gw_command *command)
{
    bool yes = false, now = false, no_archive = false;
    const struct gw_option options[] = {
        {"now", 0, GW_OPTION_FLAG, &now, "before the retention period is over"},
        {"no-archive", 0, GW_OPTION_FLAG, &no_archive, "without a last archive of blue (this version cannot make one)"},
        {"yes", 'y', GW_OPTION_FLAG, &yes, "do not ask for the migration's name"},
    };
    int code = gw_cli_parse(cli, command, options, sizeof options / sizeof options[0], 0, 0);
    if (code >= 0)
        return code;
    return gw_cli_verb_run(
        cli, (struct gw_cli_verb){.name = "finish",
                                  .work = gw_verb_finish,
                                  .arguments = json_pack("{s:b, s:b}", "now", now, "no_archive", no_archive),
                                  .confirm = "This gives the way back up for good.",
                                  .yes = yes});
}

const struct gw_command gw_command_abort = {
    .name = "abort",
    .summary = "call the migration off before the switch; removes everything godwit left",
    .arguments = "",
    .description =
        "Removes slot, publication, triggers, the schema godwit and the local state, and proves that nothing is\n"
        "left. The tables copied to green stay there. After a switch: godwit rollback first.\n",
    .run = run_abort,
};
const struct gw_command gw_command_finish = {
    .name = "finish",
    .summary = "end the way back and remove everything godwit left (the one irreversible command)",
    .arguments = "",
    .description = "Only after the retention period, or with --now. Removes everything of godwit's on both sides and\n"
                   "proves it. Blue's data stays where it is, no longer followed.\n",
    .run = run_finish,
};
