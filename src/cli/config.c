#include "base/buf.h"
#include "cli/commands.h"
#include "model/setting.h"

#include <stdio.h>

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    bool schema = false;
    const struct gw_option options[] = {
        {"schema", 0, GW_OPTION_FLAG, &schema, "the JSON Schema of the migration file, for editors"},
    };
    int code = gw_cli_parse(cli, command, options, 1, 0, 0);
    if (code >= 0)
        return code;
    if (schema || cli->json) {
        gw_cli_print_json(gw_setting_json_schema());
        return GW_EXIT_YES;
    }
    gw_autobuf struct gw_buf text = {0};
    gw_setting_write_docs(&text);
    fputs(gw_buf_text(&text), stdout);
    return GW_EXIT_YES;
}

const struct gw_command gw_command_config = {
    .name = "config",
    .summary = "every setting of the migration file, with type, default and meaning",
    .arguments = "",
    .description = "Reads no file and asks no server.\n",
    .run = run,
};
