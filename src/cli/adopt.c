#include "journey/adopt.h"
#include "cli/commands.h"
#include "journey/verbs.h"

static int adopt(struct gw_cli *cli, struct gw_journey *journey)
{
    struct gw_error err;
    enum gw_stage stage;
    if (!gw_adopt(journey, &stage, &err) || !gw_verbs_recover(journey, &err) ||
        !gw_journey_stage(journey, &stage, &err))
        return gw_cli_fail(cli, &err);
    gw_journey_say(journey, "adopted: the journal is rebuilt from both sides, stage %s. next: godwit run",
                   gw_stage_info(stage)->name);
    if (cli->json)
        gw_cli_print_json(json_pack("{s:s}", "stage", gw_stage_info(stage)->name));
    return GW_EXIT_YES;
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
    code = adopt(cli, journey);
    gw_journey_close(journey);
    return code;
}

const struct gw_command gw_command_adopt = {
    .name = "adopt",
    .summary = "rebuild a lost journal from what both sides know",
    .arguments = "",
    .description =
        "After the runner's machine was lost: on a new one, with the same migration file, `godwit adopt` and\n"
        "then `godwit run`. Works once the load is complete; before that, begin again.\n",
    .run = run,
};
