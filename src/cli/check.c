#include "check/check.h"
#include "base/buf.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "io/json.h"
#include "journey/journey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a side that cannot be reached says must not hide what the other says. A cancelled check is none. */
static bool connect_both(struct gw_journey *journey, struct gw_error refused[2], struct gw_error *err)
{
    for (int side = 0; side < 2; side++) {
        gw_error_clear(&refused[side]);
        if (gw_journey_connect_side(journey, (enum gw_side)side, &refused[side]))
            continue;
        if (refused[side].kind == GW_ERR_CANCELLED || refused[side].kind == GW_ERR_USER) {
            *err = refused[side];
            return false;
        }
    }
    return true;
}

static void use_bindir(struct gw_journey *journey, const char *bindir)
{
    for (int side = 0; side < 2; side++) {
        struct gw_migration_side *settings = &journey->migration.stores[0].side[side];
        free(settings->pg_bindir);
        settings->pg_bindir = gw_strdup(bindir);
    }
}

/* ---- the scripts ----------------------------------------------------------------------------------------------------- */

static bool write_script(struct gw_journey *journey, enum gw_side side, struct gw_buf *out, struct gw_error *err)
{
    const struct gw_migration_side *settings = &journey->store->side[side];
    const struct gw_store_type *type;
    struct gw_store_options options = {.url = settings->url, .migration = journey->migration.name, .side = side};
    struct gw_grants_ask ask = {
        .options = &options, .store = journey->sides[side], .other = journey->sides[gw_side_other(side)]};
    if (!gw_store_type_for(settings->url, &type, err))
        return false;
    if (!type->inspect || !type->inspect->grants_for)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "the engine %s has no rights to be given", type->name);
    return type->inspect->grants_for(&ask, out, err);
}

static int print_scripts(struct gw_cli *cli, struct gw_journey *journey, const char *only)
{
    gw_autojson json_t *object = json_object();
    struct gw_error err;
    for (int side = 0; side < 2; side++) {
        gw_autobuf struct gw_buf script = {0};
        if (only && strcmp(only, gw_side_name((enum gw_side)side)) != 0)
            continue;
        if (!write_script(journey, (enum gw_side)side, &script, &err))
            return gw_cli_fail(cli, &err);
        json_object_set_new(object, gw_side_name((enum gw_side)side), gw_json_text(gw_buf_text(&script)));
        if (!cli->json)
            printf("%s%s", side && !only ? "\n\n" : "", gw_buf_text(&script));
    }
    if (cli->json)
        gw_cli_print_json(json_incref(object));
    return GW_EXIT_YES;
}

/* ---- the check --------------------------------------------------------------------------------------------------------- */

static int check(struct gw_cli *cli, struct gw_journey *journey, const struct gw_error refused[2])
{
    struct gw_error err, gate_refused;
    struct gw_check_report report;
    gw_error_clear(&gate_refused);
    bool gate = gw_journey_open_gate(journey, &gate_refused);
    struct gw_check_options options = {
        .sides = {journey->sides[GW_BLUE], journey->sides[GW_GREEN]},
        .refused = {&refused[GW_BLUE], &refused[GW_GREEN]},
        .filter = &journey->store->filter,
        .rules = journey->rules,
        .gate = journey->gate,
        .gate_refused = gate ? NULL : &gate_refused,
        .cancel = cli->cancel,
        .pause_budget_ms = (int)journey->store->switch_.pause_budget_ms,
        .migration = journey->migration.name,
        .state_folder = journey->folder,
        .spool_limit_bytes = journey->store->follow.spool_limit_bytes,
    };
    if (!gw_check_run(&options, &report, &err))
        return gw_cli_fail(cli, &err);
    int code = (int)gw_check_exit(&report);
    if (cli->json) {
        gw_cli_print_json(gw_check_json(&report));
    } else {
        gw_autobuf struct gw_buf text = {0};
        gw_check_print(&report, &text);
        fputs(gw_buf_text(&text), stdout);
    }
    gw_check_report_release(&report);
    return code;
}

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    bool grants = false;
    const char *side = NULL, *bindir = NULL;
    const struct gw_option options[] = {
        {"grants", 0, GW_OPTION_FLAG, &grants,
         "print the SQL scripts that give godwit's role what it needs, one per side"},
        {"side=SIDE", 0, GW_OPTION_TEXT, &side, "with --grants: blue or green alone"},
        {"pg-bindir=FOLDER", 0, GW_OPTION_TEXT, &bindir,
         "look for pg_dump in this folder (pg_bindir in the file, for all commands)"},
    };
    struct gw_error err, refused[2];
    struct gw_journey *journey;
    int code = gw_cli_parse(cli, command, options, sizeof options / sizeof options[0], 0, 0);
    if (code >= 0)
        return code;
    if (side && strcmp(side, "blue") != 0 && strcmp(side, "green") != 0) {
        (void)!gw_fail(&err, GW_ERR_USER, "\"%s\" is no side", side);
        (void)!gw_error_hint(&err, "--side blue, or --side green");
        return gw_cli_fail(cli, &err);
    }
    if (!gw_journey_open(cli->file, cli->cancel, &journey, &err))
        return gw_cli_fail(cli, &err);
    if (bindir)
        use_bindir(journey, bindir);
    if (!connect_both(journey, refused, &err))
        code = gw_cli_fail(cli, &err);
    else
        code = grants ? print_scripts(cli, journey, side) : check(cli, journey, refused);
    gw_journey_close(journey);
    return code;
}

const struct gw_command gw_command_check = {
    .name = "check",
    .summary = "rights, settings, what would go wrong; each finding with its fix",
    .arguments = "",
    .description =
        "Looks at both sides, the gate and this machine, and changes nothing. Exit 0: nothing blocks; 1: something\n"
        "does; 4: a side cannot be reached.\n"
        "godwit check --grants prints one SQL script per side that makes godwit's role; run blue's first, then ask\n"
        "again: green's names the roles it takes over from blue.\n",
    .run = run,
};
