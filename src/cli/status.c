#include "journey/status.h"
#include "base/buf.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "io/json.h"
#include "journey/runner.h"

#include <stdio.h>
#include <unistd.h>

enum { WATCH_MS = 1000 };

/* The live runner knows more (lag, rates); without one the journal and the sides are asked. */
static bool take(struct gw_journey *journey, json_t **status, struct gw_error *err)
{
    bool alive;
    int code;
    struct gw_error failure;
    if (!gw_runner_ask(journey, "status", NULL, &alive, &code, status, &failure, err))
        return false;
    if (alive && failure.kind == GW_ERR_NONE)
        return true;
    if (alive) {
        *err = failure;
        return false;
    }
    return gw_journey_open_state(journey, GW_JOURNAL_READ, err) && gw_status_take(journey, status, err);
}

static int show_once(struct gw_cli *cli, bool clear, bool check)
{
    struct gw_journey *journey;
    struct gw_error err;
    gw_autojson json_t *status = NULL;
    gw_error_clear(&err);
    if (!gw_journey_open(cli->file, cli->cancel, &journey, &err))
        return gw_cli_fail(cli, &err);
    bool ok = take(journey, &status, &err);
    gw_journey_close(journey);
    if (!ok)
        return gw_cli_fail(cli, &err);
    if (cli->json) {
        gw_cli_print_json(json_incref(status));
    } else {
        gw_autobuf struct gw_buf text = {0};
        gw_status_print(status, &text);
        printf("%s%s", clear ? "\033[H\033[2J" : "", gw_buf_text(&text));
        fflush(stdout);
    }
    return check && gw_status_blocked(status) ? GW_EXIT_NO : GW_EXIT_YES;
}

/* The journal's events, oldest first. A live runner is not needed for that. */
static bool read_history(struct gw_journey *journey, json_t **events, struct gw_error *err)
{
    if (!gw_journey_open_state(journey, GW_JOURNAL_READ, err))
        return false;
    if (journey->state)
        return gw_state_events(journey->state, 0, events, err);
    *events = json_array();
    return true;
}

static void print_history(const json_t *events)
{
    size_t i;
    json_t *event;
    json_array_foreach(events, i, event)
    {
        char when[32];
        gw_wall_format(json_integer_value(json_object_get(event, "wall_us")), when);
        printf("%s  %-6s %s\n", when, json_string_value(json_object_get(event, "kind")),
               json_string_value(json_object_get(event, "text")));
    }
}

static int show_history(struct gw_cli *cli)
{
    struct gw_journey *journey;
    struct gw_error err;
    json_t *events = NULL;
    if (!gw_journey_open(cli->file, cli->cancel, &journey, &err))
        return gw_cli_fail(cli, &err);
    bool ok = read_history(journey, &events, &err);
    gw_journey_close(journey);
    if (!ok)
        return gw_cli_fail(cli, &err);
    if (cli->json) {
        gw_cli_print_json(json_pack("{s:o}", "events", events));
        return GW_EXIT_YES;
    }
    print_history(events);
    json_decref(events);
    return GW_EXIT_YES;
}

static int run(struct gw_cli *cli, const struct gw_command *command)
{
    bool watch = false, check = false, history = false;
    const struct gw_option options[] = {
        {"watch", 'w', GW_OPTION_FLAG, &watch, "again every second, until Ctrl-C"},
        {"check", 0, GW_OPTION_FLAG, &check, "exit 1 when something blocks"},
        {"history", 0, GW_OPTION_FLAG, &history, "what happened when, from the journal"},
    };
    int code = gw_cli_parse(cli, command, options, sizeof options / sizeof options[0], 0, 0);
    if (code >= 0)
        return code;
    if (history)
        return show_history(cli);
    do {
        code = show_once(cli, watch && isatty(STDOUT_FILENO), check);
    } while (watch && code <= GW_EXIT_NO && !gw_cancel_wait(cli->cancel, WATCH_MS));
    return code;
}

const struct gw_command gw_command_status = {
    .name = "status",
    .summary = "stage, owner, lag, verdicts, way back, what blocks, next command",
    .arguments = "",
    .description = "Asks the live runner, or else the journal and both sides.\n",
    .run = run,
};
