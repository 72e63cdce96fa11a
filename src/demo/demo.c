#include "demo/demo.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "demo/guard.h"
#include "demo/kind.h"
#include "demo/leftovers.h"
#include "demo/score.h"
#include "io/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENTS = 8,
    PER_SECOND = 240,
    CALM_MS = 2500, /* how long the picture shows each owner at work */
    FOLLOW_MS = 90000,
    COMMAND_MS = 60000,
    POLL_MS = 200,
};

struct demo {
    const struct gw_demo_options *options;
    struct gw_demo_place place;
    struct gw_demo_servers servers;
    struct gw_demo_clients *clients;
    struct gw_process runner;
    struct gw_demo_score score;
    char *self, *file, *secret; /* this binary; the migration file; GODWIT_DEMO_PASSWORD=... */
};

static void tell(const char *format, ...) GW_PRINTF(1, 2);
static void tell(const char *format, ...)
{
    gw_autobuf struct gw_buf line = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&line, format, args);
    va_end(args);
    fprintf(stderr, "demo: %s\n", gw_buf_text(&line));
}

/* ---- godwit itself, as an operator would run it ---- */

static bool write_migration(struct demo *demo, struct gw_error *err)
{
    const struct gw_demo_servers *servers = &demo->servers;
    gw_autobuf struct gw_buf text = {0};
    gw_buf_addf(&text, "migration: demo\nstate: %s/m/state\nstores:\n  main:\n", demo->place.folder);
    servers->kind->write_store(servers, &text);
    gw_autofree char *folder = gw_asprintf("%s/m", demo->place.folder);
    demo->file = gw_asprintf("%s/m/godwit.yaml", demo->place.folder);
    demo->secret = gw_asprintf("GODWIT_DEMO_PASSWORD=%s", servers->password);
    return gw_mkdir_private(folder, err) && gw_file_replace(demo->file, text.data, text.len, err);
}

static void say_line(const char *line, void *arg)
{
    (void)arg;
    fprintf(stderr, "      %s\n", line);
}

/* Runs one command, its messages indented; *answer is its JSON (may be NULL). */
static bool command(struct demo *demo, const char *const *words, bool quiet, json_t **answer, struct gw_error *err)
{
    const char *argv[12] = {demo->self, "-f", demo->file, "--json"};
    const char *environment[] = {demo->secret, NULL};
    for (size_t i = 0; i < 7 && words[i]; i++)
        argv[4 + i] = words[i];
    struct gw_process_run run = {.spec = {.argv = argv, .environment = environment, .die_with_us = true},
                                 .timeout_ms = COMMAND_MS,
                                 .on_message = quiet ? NULL : say_line};
    struct gw_process_result result;
    *answer = NULL;
    bool ok = gw_process_run(&run, demo->options->cancel, &result, err) && gw_process_check(&result, words[0], err) &&
              gw_json_parse(gw_buf_text(&result.out), result.out.len, words[0], answer, err);
    gw_process_result_release(&result);
    return ok;
}

static bool start_runner(struct demo *demo, struct gw_error *err)
{
    gw_autofree char *line = gw_asprintf("exec \"$0\" -f \"$1\" run >\"$1.log\" 2>&1");
    const char *argv[] = {"/bin/sh", "-c", line, demo->self, demo->file, NULL};
    const char *environment[] = {demo->secret, NULL};
    struct gw_process_spec spec = {.argv = argv, .environment = environment, .die_with_us = true};
    return gw_process_spawn(&spec, 0, &demo->runner, err);
}

static bool runner_died(struct demo *demo, struct gw_error *err)
{
    bool ended = false;
    struct gw_process_end end;
    struct gw_error ignored;
    if (!demo->runner.pid || !gw_process_wait(&demo->runner, 0, &ended, &end, &ignored) || !ended)
        return false;
    gw_autofree char *path = gw_asprintf("%s.log", demo->file);
    gw_autobuf struct gw_buf log = {0};
    (void)!gw_fail(err, GW_ERR_CONFLICT, "godwit run ended with exit code %d", end.code);
    if (gw_file_read(path, (size_t)1 << 20, &log, &ignored))
        (void)!gw_error_detail(err, "%s", log.len > 700 ? gw_buf_text(&log) + log.len - 700 : gw_buf_text(&log));
    return true;
}

static const char *verdict_of(const json_t *status)
{
    const char *word = json_string_value(json_object_get(json_object_get(status, "verdict"), "verdict"));
    return word ? word : "";
}

static bool wait_following(struct demo *demo, struct gw_error *err)
{
    static const char *const status[] = {"status", NULL};
    int64_t deadline_us = gw_mono_us() + (int64_t)FOLLOW_MS * 1000;
    while (gw_left_ms(deadline_us) > 0) {
        gw_autojson json_t *answer = NULL;
        if (runner_died(demo, err))
            return false;
        if (command(demo, status, true, &answer, err) && strcmp(verdict_of(answer), "none") != 0 &&
            verdict_of(answer)[0])
            return true;
        if (gw_cancel_wait(demo->options->cancel, POLL_MS))
            return gw_cancel_fail(demo->options->cancel, err);
    }
    return gw_fail(err, GW_ERR_CONFLICT, "the runner did not get as far as a verdict within %d s", FOLLOW_MS / 1000);
}

/* ---- stages ---- */

static struct gw_demo_stage *begin_stage(struct demo *demo, const char *name)
{
    struct gw_demo_stage *stage = &demo->score.stages[demo->score.stage_count++];
    snprintf(stage->name, sizeof stage->name, "%s", name);
    stage->began_us = gw_demo_clients_elapsed_us(demo->clients);
    (void)gw_demo_clients_take_worst_us(demo->clients);
    return stage;
}

static void end_stage(struct demo *demo, struct gw_demo_stage *stage)
{
    stage->ended_us = gw_demo_clients_elapsed_us(demo->clients);
    stage->worst_us = gw_demo_clients_take_worst_us(demo->clients);
}

static bool calm(struct demo *demo, const char *name, struct gw_error *err)
{
    struct gw_demo_stage *stage = begin_stage(demo, name);
    bool asked = gw_cancel_wait(demo->options->cancel, CALM_MS);
    end_stage(demo, stage);
    return !asked || gw_cancel_fail(demo->options->cancel, err);
}

static bool move_owner(struct demo *demo, const char *verb, struct gw_error *err)
{
    const char *const words[] = {verb, "--yes", "--unverified", NULL};
    gw_autojson json_t *answer = NULL;
    struct gw_demo_stage *stage = begin_stage(demo, verb);
    bool ok = command(demo, words, false, &answer, err);
    stage->pause_ms = json_real_value(json_object_get(answer, "pause_ms"));
    gw_sleep_us(150000); /* requests that were parked end in this stage */
    end_stage(demo, stage);
    return ok;
}

static void read_verdict(struct demo *demo, const json_t *answer)
{
    size_t i;
    json_t *one;
    const char *verdict = json_string_value(json_object_get(answer, "verdict"));
    snprintf(demo->score.verdict, sizeof demo->score.verdict, "%s", verdict ? verdict : "none");
    demo->score.rows_compared = json_integer_value(json_object_get(answer, "rows"));
    json_array_foreach(json_object_get(answer, "collections"), i, one)
    {
        static const char *const kinds[] = {"missing", "extra", "changed", "duplicate", "unresolved"};
        for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
            demo->score.differences += json_integer_value(json_object_get(one, kinds[kind]));
    }
}

static bool verify(struct demo *demo, struct gw_error *err)
{
    static const char *const words[] = {"verify", NULL};
    gw_autojson json_t *answer = NULL;
    struct gw_demo_stage *stage = begin_stage(demo, "verify");
    bool ok = command(demo, words, false, &answer, err);
    end_stage(demo, stage);
    if (ok)
        read_verdict(demo, answer);
    return ok;
}

static bool load_and_follow(struct demo *demo, struct gw_error *err)
{
    tell("$ godwit run          (copies, follows, compares, then stays)");
    struct gw_demo_stage *stage = begin_stage(demo, "copy, follow, verify");
    bool ok = start_runner(demo, err) && wait_following(demo, err);
    end_stage(demo, stage);
    return ok;
}

static bool journey(struct demo *demo, struct gw_error *err)
{
    tell("%d clients write through %s, %d transactions a second; they will not stop", CLIENTS,
         demo->servers.kind->through, PER_SECOND);
    if (!calm(demo, "blue alone", err) || !load_and_follow(demo, err) || !calm(demo, "green follows", err))
        return false;
    tell("$ godwit switch       (green becomes the owner)");
    if (!move_owner(demo, "switch", err) || !calm(demo, "green owns", err))
        return false;
    tell("$ godwit rollback     (blue becomes the owner again, with everything written on green)");
    if (!move_owner(demo, "rollback", err) || !calm(demo, "blue owns", err))
        return false;
    tell("$ godwit verify       (every row on both sides, while the clients go on)");
    return verify(demo, err);
}

static bool clean_up_sides(struct demo *demo, struct gw_error *err)
{
    static const char *const words[] = {"abort", "--yes", NULL};
    gw_autojson json_t *answer = NULL;
    tell("$ godwit abort        (removes everything godwit made, and proves it)");
    return command(demo, words, false, &answer, err);
}

/* The other side has what the owner had: only then are both looked through. */
static bool let_it_settle(struct demo *demo, struct gw_error *err)
{
    static const char *const words[] = {"follow", "--until", "caught-up", NULL};
    gw_autojson json_t *answer = NULL;
    gw_demo_clients_stop(demo->clients);
    gw_process_stop(&demo->runner, 10000);
    return command(demo, words, true, &answer, err);
}

static bool run(struct demo *demo, struct gw_error *err)
{
    return write_migration(demo, err) &&
           gw_demo_clients_start(&demo->servers, CLIENTS, PER_SECOND, &demo->clients, err) && journey(demo, err) &&
           let_it_settle(demo, err) && gw_demo_score_take(&demo->score, &demo->servers, demo->clients, err) &&
           clean_up_sides(demo, err);
}

static bool show(struct demo *demo, struct gw_error *err)
{
    if (demo->options->json) {
        gw_autojson json_t *json = gw_demo_score_json(&demo->score, &demo->servers);
        gw_autobuf struct gw_buf text = {0};
        gw_json_dump(json, 2, &text);
        puts(gw_buf_text(&text));
    } else {
        gw_autobuf struct gw_buf text = {0};
        gw_demo_score_print(&demo->score, &demo->servers, &text);
        fputs(gw_buf_text(&text), stdout);
    }
    if (demo->score.failed)
        tell("the first failure: %s", gw_demo_clients_failure(demo->clients));
    if (!demo->options->picture)
        return true;
    if (!gw_demo_picture_write(demo->options->picture, &demo->score, demo->clients, err))
        return false;
    tell("picture: %s", demo->options->picture);
    return true;
}

static void stop(struct demo *demo)
{
    struct gw_error err;
    gw_demo_clients_free(demo->clients);
    if (demo->runner.pid)
        gw_process_stop(&demo->runner, 3000);
    gw_process_release(&demo->runner);
    demo->servers.kind->stop(&demo->servers);
    if (gw_demo_leftovers_remove(demo->place.folder, &err))
        tell("nothing is left behind: all is stopped, %s removed", demo->place.folder);
    else
        gw_log_error(&err); /* the guard tries once more */
    free(demo->self);
    free(demo->file);
    free(demo->secret);
}

static int begin(struct demo *demo, struct gw_error *err)
{
    demo->servers.place = &demo->place;
    demo->servers.cancel = demo->options->cancel;
    demo->self = realpath("/proc/self/exe", NULL);
    if (!demo->self) {
        (void)!gw_fail(err, GW_ERR_BUG, "this binary's own path could not be found in /proc");
        return (int)gw_error_exit(err);
    }
    int64_t began_us = gw_mono_us();
    tell("%s in %s", demo->servers.kind->beginning, demo->place.folder);
    if (!demo->servers.kind->start(&demo->servers, err))
        return (int)gw_error_exit(err);
    char took[16];
    gw_format_duration(gw_mono_us() - began_us, took);
    tell("they are there (%s); blue holds the sample data, green is empty", took);
    if (!run(demo, err) || !show(demo, err))
        return (int)gw_error_exit(err);
    return gw_demo_score_clean(&demo->score) ? GW_EXIT_YES : GW_EXIT_NO;
}

int gw_demo_main(const struct gw_demo_options *options)
{
    struct demo demo = {.options = options};
    demo.servers.kind = options->embedded ? &gw_demo_kind_files : &gw_demo_kind_servers;
    struct gw_error err;
    int code = 0;
    gw_error_clear(&err);
    if (!demo.servers.kind->find(&demo.servers, options->pg_bindir, &err) || !gw_demo_place_choose(&demo.place, &err)) {
        gw_log_error(&err);
        return (int)gw_error_exit(&err);
    }
    if (!gw_demo_guard_start(demo.place.folder, options->cancel, &code))
        return code;
    if (!gw_demo_place_make(&demo.place, &err)) {
        gw_log_error(&err);
        return (int)gw_error_exit(&err);
    }
    code = begin(&demo, &err);
    if (err.kind != GW_ERR_NONE && code != GW_EXIT_YES)
        gw_log_error(&err);
    stop(&demo);
    return code;
}
