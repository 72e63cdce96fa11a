#include "demo/demo.h"

#include "cli/commands.h"

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    struct gw_demo_options demo = {.cancel = cli->cancel};
    const struct gw_option options[] = {
        {"picture=FILE", 0, GW_OPTION_TEXT, &demo.picture, "write the chart (SVG) here"},
        {"embedded", 0, GW_OPTION_FLAG, &demo.embedded, "move a SQLite file to another, with no server at all"},
        {"pg-bindir=FOLDER", 0, GW_OPTION_TEXT, &demo.pg_bindir, "folder of PostgreSQL's server programs"},
    };
    int code = gw_cli_parse(cli, command, options, sizeof options / sizeof options[0], 0, 0);
    if (code >= 0)
        return code;
    demo.json = cli->json;
    return gw_demo_main(&demo);
}

const struct gw_command gw_command_demo = {
    .name = "demo",
    .summary = "watch a live database move and move back, on throwaway servers",
    .arguments = "",
    .description =
        "Starts two PostgreSQL servers and a PgBouncer in a private folder, clients that write through it\n"
        "without pause, and moves their database with the real commands: copy, follow, verify, switch,\n"
        "rollback. Ends with a table; exit 0 means 0 failed, 0 lost. Under a minute. Ctrl-C leaves nothing.\n"
        "With --embedded the same journey on two SQLite files: nothing to install, no server.\n",
    .run = run,
};
