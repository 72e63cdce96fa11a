#include "cli/verb.h"

#include "base/log.h"
#include "io/json.h"
#include "journey/runner.h"

#include <stdio.h>

static void draw_progress(const char *line, double done, void *arg)
{
    (void)arg;
    enum { CELLS = 24 };
    char bar[CELLS + 3] = "";
    if (done >= 0) {
        int full = (int)(done * CELLS);
        bar[0] = '[';
        for (int i = 0; i < CELLS; i++)
            bar[i + 1] = i < full ? '#' : '.';
        bar[CELLS + 1] = ']';
    }
    char text[512];
    snprintf(text, sizeof text, "%s %s", bar, line);
    gw_log_status_line(text);
}

static int answer(struct gw_cli *cli, struct gw_cli_verb *verb, int code, json_t *result,
                  const struct gw_error *failure)
{
    gw_log_status_line(NULL);
    if (failure->kind != GW_ERR_NONE)
        gw_log_error(failure);
    if (cli->json) {
        json_t *object = result ? json_copy(result) : json_object();
        json_object_set_new(object, "exit", json_integer(code));
        if (failure->kind != GW_ERR_NONE) {
            json_object_set_new(object, "error", gw_json_text(failure->message));
            json_object_set_new(object, "hint", gw_json_text(failure->hint));
        }
        gw_cli_print_json(object);
    } else if (verb->print && result) {
        verb->print(result, code);
    }
    return code;
}

static int ask_or_work(struct gw_cli *cli, struct gw_journey *journey, struct gw_cli_verb *verb)
{
    struct gw_error err, failure;
    gw_autojson json_t *result = NULL;
    bool alive;
    int code = 0;
    gw_error_clear(&err);
    gw_error_clear(&failure);
    if (!gw_cli_confirm(journey->migration.name, verb->confirm, verb->yes || !verb->confirm, &err) ||
        !gw_runner_ask(journey, verb->name, verb->arguments, &alive, &code, &result, &failure, &err))
        return gw_cli_fail(cli, &err);
    if (alive)
        return answer(cli, verb, code, result, &failure);
    journey->progress = gw_log_is_terminal() ? draw_progress : NULL;
    code = verb->work(journey, verb->arguments, &result, &failure);
    return answer(cli, verb, code, result, &failure);
}

int gw_cli_verb_run(struct gw_cli *cli, struct gw_cli_verb verb)
{
    struct gw_error err;
    struct gw_journey *journey;
    int code;
    if (!gw_journey_open(cli->file, cli->cancel, &journey, &err)) {
        code = gw_cli_fail(cli, &err);
    } else {
        code = ask_or_work(cli, journey, &verb);
        gw_journey_close(journey);
    }
    json_decref(verb.arguments);
    return code;
}
