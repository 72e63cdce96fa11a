#include "plan/plan.h"

#include "base/buf.h"
#include "base/log.h"
#include "cli/commands.h"
#include "io/json.h"
#include "journey/journey.h"

#include <stdio.h>
#include <string.h>

static bool make(struct gw_journey *journey, json_t **plan, struct gw_error *err)
{
    struct gw_plan_stage stages[GW_STAGE_COUNT];
    struct gw_error gate;
    for (int stage = 0; stage < GW_STAGE_COUNT; stage++)
        stages[stage] = (struct gw_plan_stage){gw_stage_info((enum gw_stage)stage)->name,
                                               gw_stage_info((enum gw_stage)stage)->way_back};
    if (!gw_journey_connect(journey, err))
        return false;
    if (!gw_journey_open_gate(journey, &gate))
        gw_warn("the gate is left out of the plan: %s", gate.message);
    struct gw_plan_options options = {
        .sides = {journey->sides[GW_BLUE], journey->sides[GW_GREEN]},
        .settings = journey->store,
        .rules = journey->rules,
        .migration = journey->migration.name,
        .state_folder = journey->folder,
        .gate = journey->gate,
        .stages = stages,
        .stage_count = GW_STAGE_COUNT,
    };
    return gw_plan_make(&options, plan, err);
}

static int show(struct gw_cli *cli, json_t *plan)
{
    int code = gw_plan_is_safe(plan) ? GW_EXIT_YES : GW_EXIT_NO;
    if (cli->json) {
        json_object_set_new(plan, "exit", json_integer(code));
        gw_cli_print_json(json_incref(plan));
        return code;
    }
    gw_autobuf struct gw_buf text = {0};
    gw_plan_print(plan, &text);
    fputs(gw_buf_text(&text), stdout);
    return code;
}

/* The last resort works when nothing else does: it asks this side alone, and goes by the file where that is away, too. */
static bool write_break_glass(struct gw_journey *journey, enum gw_side side, struct gw_buf *out, struct gw_error *err)
{
    const struct gw_migration_side *settings = &journey->store->side[side];
    const struct gw_store_options options = {.url = settings->url, .migration = journey->migration.name, .side = side};
    const struct gw_store_type *type;
    struct gw_error why;
    if (!gw_store_type_for(settings->url, &type, err))
        return false;
    if (!type->inspect || !type->inspect->break_glass)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "the engine %s has no script to remove godwit by hand", type->name);
    if (!gw_journey_connect_side(journey, side, &why)) {
        if (why.kind == GW_ERR_CANCELLED) {
            *err = why;
            return false;
        }
        gw_warn("%s cannot be asked, the script is made by the migration file: %s", gw_side_name(side), why.message);
    }
    return type->inspect->break_glass(&options, journey->sides[side], out, err);
}

static int break_glass_of(struct gw_cli *cli, struct gw_journey *journey, enum gw_side side)
{
    gw_autobuf struct gw_buf script = {0};
    struct gw_error err;
    if (!write_break_glass(journey, side, &script, &err))
        return gw_cli_fail(cli, &err);
    if (cli->json)
        gw_cli_print_json(json_pack("{s:o}", gw_side_name(side), gw_json_text(gw_buf_text(&script))));
    else
        fputs(gw_buf_text(&script), stdout);
    return GW_EXIT_YES;
}

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    const char *break_glass = NULL;
    const struct gw_option options[] = {
        {"break-glass=SIDE", 0, GW_OPTION_TEXT, &break_glass,
         "blue or green: print only the script that removes godwit from it by hand"},
    };
    struct gw_journey *journey;
    struct gw_error err;
    gw_autojson json_t *plan = NULL;
    int code = gw_cli_parse(cli, command, options, 1, 0, 0);
    if (code >= 0)
        return code;
    if (break_glass && strcmp(break_glass, "blue") != 0 && strcmp(break_glass, "green") != 0) {
        (void)!gw_fail(&err, GW_ERR_USER, "\"%s\" is no side", break_glass);
        (void)!gw_error_hint(&err, "--break-glass blue, or --break-glass green");
        return gw_cli_fail(cli, &err);
    }
    if (!gw_journey_open(cli->file, cli->cancel, &journey, &err))
        return gw_cli_fail(cli, &err);
    if (break_glass)
        code = break_glass_of(cli, journey, strcmp(break_glass, "green") == 0 ? GW_GREEN : GW_BLUE);
    else
        code = make(journey, &plan, &err) ? show(cli, plan) : gw_cli_fail(cli, &err);
    gw_journey_close(journey);
    return code;
}

const struct gw_command gw_command_plan = {
    .name = "plan",
    .summary = "what moves and stays, estimates, what is made, the way back, break-glass SQL",
    .arguments = "",
    .description =
        "Makes nothing but a temporary table on green, to time it. Exit 0: the plan is safe; 1: something blocks, or\n"
        "a stage has no way back, with the reason.\n",
    .run = run,
};
