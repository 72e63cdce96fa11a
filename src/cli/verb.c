#include "cli/verb.h"

#include "base/log.h"
#include "cli/progress.h"
#include "io/json.h"
#include "journey/runner.h"

#include <stdio.h>

static int answer(struct gw_cli *cli, struct gw_cli_verb *verb, int code, json_t *result,
                  const struct gw_error *failure)
{
    struct gw_error unkept;
    gw_log_status_line(NULL);
    if (failure->kind != GW_ERR_NONE)
        gw_log_error(failure);
    if (verb->keep && result && !verb->keep(result, verb->keep_arg, &unkept)) {
        gw_log_error(&unkept);
        code = code == GW_EXIT_YES ? (int)gw_error_exit(&unkept) : code;
    }
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
    gw_cli_show_progress(journey);
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
