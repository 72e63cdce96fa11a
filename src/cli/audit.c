#include "audit/audit.h"
#include "base/buf.h"
#include "base/log.h"
#include "cli/commands.h"
#include "journey/journey.h"

#include <stdio.h>
#include <string.h>

static bool take(struct gw_journey *journey, enum gw_side side, json_t **report, struct gw_error *err)
{
    struct gw_error why;
    if (!gw_journey_connect_side(journey, side, err))
        return false;
    if (!gw_journey_connect_side(journey, gw_side_other(side), &why)) {
        if (why.kind == GW_ERR_CANCELLED) {
            *err = why;
            return false;
        }
        gw_warn("settings are not compared: %s", why.message);
    }
    struct gw_audit_options options = {.store = journey->sides[side],
                                       .other = journey->sides[gw_side_other(side)],
                                       .filter = &journey->store->filter,
                                       .migration = journey->migration.name};
    return gw_audit_take(&options, report, err);
}

static int usage(struct gw_cli *cli, const char *what, const char *value, const char *known)
{
    struct gw_error err;
    (void)!gw_fail(&err, GW_ERR_USER, "\"%s\" is no %s", value, what);
    (void)!gw_error_hint(&err, "known: %s", known);
    return gw_cli_fail(cli, &err);
}

static int audit(struct gw_cli *cli, const char *format, enum gw_side side)
{
    struct gw_journey *journey;
    struct gw_error err;
    json_t *report = NULL;
    gw_autobuf struct gw_buf text = {0};
    if (!gw_journey_open(cli->file, cli->cancel, &journey, &err))
        return gw_cli_fail(cli, &err);
    bool fine = take(journey, side, &report, &err);
    gw_journey_close(journey);
    if (!fine)
        return gw_cli_fail(cli, &err);
    if (strcmp(format, "json") == 0) {
        gw_cli_print_json(report);
        return GW_EXIT_YES;
    }
    if (strcmp(format, "md") == 0)
        gw_audit_markdown(report, &text);
    else
        gw_audit_text(report, &text);
    json_decref(report);
    fputs(gw_buf_text(&text), stdout);
    return GW_EXIT_YES;
}

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    const char *format = NULL, *side = "blue";
    const struct gw_option options[] = {
        {"format=FORMAT", 0, GW_OPTION_TEXT, &format, "text (default), json or md"},
        {"side=SIDE", 0, GW_OPTION_TEXT, &side, "blue (default) or green"},
    };
    int code = gw_cli_parse(cli, command, options, sizeof options / sizeof options[0], 0, 0);
    if (code >= 0)
        return code;
    if (!format)
        format = cli->json ? "json" : "text";
    cli->json = strcmp(format, "json") == 0;
    if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0 && strcmp(format, "md") != 0)
        return usage(cli, "format", format, "text, json, md");
    if (strcmp(side, "blue") != 0 && strcmp(side, "green") != 0)
        return usage(cli, "side", side, "blue, green");
    return audit(cli, format, strcmp(side, "green") == 0 ? GW_GREEN : GW_BLUE);
}

const struct gw_command gw_command_audit = {
    .name = "audit",
    .summary = "inventory, dependencies and risks of a side, as text, JSON or Markdown",
    .arguments = "",
    .description = "Reads only. What godwit's role may not see is listed, not left out.\n",
    .run = run,
};
