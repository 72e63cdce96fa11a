#include "journey/runner.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/error_json.h"
#include "io/json.h"
#include "io/unix_socket.h"
#include "journey/enforce.h"
#include "journey/load.h"
#include "journey/status.h"
#include "journey/streams.h"
#include "journey/verbs.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SEND_MS = 2000, REQUEST_MS = 2000, POLL_MS = 250, PATIENCE_MS = 1000, GUESTS = 16 };

/* A verb is worked on a thread of its own, so that status goes on. One at a time. */
struct work {
    struct gw_unix_connection client;
    pthread_t thread;
    atomic_bool running, ended;
    gw_verb_function *verb;
    json_t *arguments;
    char name[32];
    pthread_mutex_t send_lock; /* lines come from any thread */
    bool client_gone;
};

/* Who has connected, on a thread of its own: neither one that asks nothing nor a status that waits for a silent side
 * holds up the others. A request for a verb is left to the serving thread. */
struct guest {
    struct runner *runner;
    struct gw_unix_connection client;
    pthread_t thread;
    json_t *request; /* for a verb; NULL: answered, or gone */
    atomic_bool ended;
    bool used;
    int64_t patient_until_us; /* for work that is about to end; 0: it has not met any */
};

struct runner {
    struct gw_journey *journey;
    struct gw_unix_listener listener;
    struct work work;
    struct guest guests[GUESTS];
    int wake;                     /* an eventfd: a guest has ended */
    atomic_int ending;            /* GW_STAGE_ABORT or GW_STAGE_FINISH while that verb is worked, else 0 */
    pthread_rwlock_t changing;    /* held by a status that is taken, and against them by a verb that ends the journal */
    struct gw_enforcer *enforcer; /* beside us while no verb is worked */
    bool enforce_due;
    bool over;          /* aborted or finished, or as far as it went: nothing left to run for */
    atomic_bool failed; /* its own first work failed for good: `failure` says how */
    struct gw_error failure;
};

static const struct {
    const char *name;
    gw_verb_function *verb;
} verbs[] = {
    {"copy", gw_verb_copy},         {"verify", gw_verb_verify},         {"switch", gw_verb_switch},
    {"rollback", gw_verb_rollback}, {"abort", gw_verb_abort},           {"finish", gw_verb_finish},
    {"follow", gw_verb_follow},     {"quarantine", gw_verb_quarantine},
};

static void send_to_client(struct work *work, json_t *message)
{
    struct gw_error err;
    pthread_mutex_lock(&work->send_lock);
    if (!work->client_gone && !gw_unix_send(&work->client, message, SEND_MS, NULL, &err))
        work->client_gone = true;
    pthread_mutex_unlock(&work->send_lock);
    json_decref(message);
}

static void forward_line(enum gw_log_level level, const char *line, void *arg)
{
    struct work *work = arg;
    json_t *text = gw_json_text(line);
    send_to_client(work, json_pack("{s:o, s:i}", "line", text, "level", (int)level));
}

static void wake(struct runner *runner)
{
    const uint64_t one = 1;
    if (write(runner->wake, &one, sizeof one) < 0)
        gw_debug("the runner is woken by its clock");
}

/* The last thing that the thread of some work does. */
static void end_work(struct runner *runner)
{
    atomic_store(&runner->work.ended, true);
    wake(runner);
}

static void *work_verb(void *arg)
{
    struct runner *runner = arg;
    struct work *work = &runner->work;
    struct gw_error err;
    json_t *result = NULL;
    gw_error_clear(&err);
    gw_log_tee(forward_line, work);
    bool ends = atomic_load(&runner->ending) != 0;
    if (ends)
        pthread_rwlock_wrlock(&runner->changing);
    int code = work->verb(runner->journey, work->arguments, &result, &err);
    if (ends)
        pthread_rwlock_unlock(&runner->changing);
    gw_log_tee(NULL, NULL);
    json_t *answer = json_pack("{s:i}", "exit", code);
    if (err.kind != GW_ERR_NONE)
        json_object_set_new(answer, "error", gw_error_to_json(&err));
    if (result)
        json_object_set_new(answer, "result", result);
    send_to_client(work, answer);
    end_work(runner);
    return NULL;
}

static void reap_work(struct runner *runner, bool wait)
{
    struct work *work = &runner->work;
    if (!atomic_load(&work->running) || (!wait && !atomic_load(&work->ended)))
        return;
    pthread_join(work->thread, NULL);
    if (work->client.fd >= 0)
        gw_unix_close(&work->client);
    work->client.fd = -1;
    json_decref(work->arguments);
    work->arguments = NULL;
    atomic_store(&work->running, false);
    atomic_store(&runner->ending, 0);
    runner->enforce_due = true;
    struct gw_error err;
    enum gw_stage stage;
    if (gw_journey_stage(runner->journey, &stage, &err))
        runner->over = stage == GW_STAGE_FINISHED || stage == GW_STAGE_ABORTED || stage == GW_STAGE_FINISH ||
                       stage == GW_STAGE_ABORT; /* nothing is followed any more, even where something is left */
}

static void answer_and_close(struct gw_unix_connection *client, json_t *message)
{
    struct gw_error err;
    if (!gw_unix_send(client, message, SEND_MS, NULL, &err))
        gw_debug("a client went away: %s", err.message);
    json_decref(message);
    gw_unix_close(client);
}

static void refuse(struct gw_unix_connection *client, struct gw_error *err)
{
    answer_and_close(client, json_pack("{s:i, s:o}", "exit", (int)gw_error_exit(err), "error", gw_error_to_json(err)));
}

/* Several at a time. While everything is being removed the journal changes hands: then it is not asked. */
static void answer_status(struct runner *runner, struct gw_unix_connection *client)
{
    struct gw_error err;
    json_t *status = NULL;
    int ending = atomic_load(&runner->ending);
    if (ending || pthread_rwlock_tryrdlock(&runner->changing) != 0) {
        enum gw_stage stage = ending == GW_STAGE_FINISH ? GW_STAGE_FINISH : GW_STAGE_ABORT;
        status = gw_status_ending(runner->journey, stage);
    } else {
        bool ok = gw_status_take(runner->journey, &status, &err);
        pthread_rwlock_unlock(&runner->changing);
        if (!ok) {
            refuse(client, &err);
            return;
        }
    }
    answer_and_close(client, json_pack("{s:i, s:o}", "exit", 0, "result", status));
}

static void begin_work(struct runner *runner, struct gw_unix_connection *client, const char *name, json_t *arguments)
{
    struct work *work = &runner->work;
    struct gw_error err;
    work->verb = NULL;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (!strcmp(verbs[i].name, name))
            work->verb = verbs[i].verb;
    }
    if (!work->verb) {
        (void)!gw_fail(&err, GW_ERR_USER, "the runner does not know the verb \"%s\"", name);
        (void)!gw_error_hint(&err, "is the running godwit an older version?");
        refuse(client, &err);
        return;
    }
    snprintf(work->name, sizeof work->name, "%s", name);
    work->client = *client;
    work->client_gone = false;
    work->arguments = json_incref(arguments ? arguments : json_object());
    gw_enforcer_stop(runner->enforcer);
    runner->enforcer = NULL;
    atomic_store(&runner->ending, work->verb == gw_verb_abort    ? GW_STAGE_ABORT
                                  : work->verb == gw_verb_finish ? GW_STAGE_FINISH
                                                                 : 0);
    atomic_store(&work->ended, false);
    atomic_store(&work->running, true);
    int failed = pthread_create(&work->thread, NULL, work_verb, runner);
    if (failed) {
        atomic_store(&work->running, false);
        atomic_store(&runner->ending, 0);
        json_decref(work->arguments);
        work->arguments = NULL;
        (void)!gw_fail_errno(&err, failed, "no thread for %s", name);
        refuse(&work->client, &err);
        work->client.fd = -1;
    }
}

static void *receive_guest(void *arg)
{
    struct guest *guest = arg;
    struct runner *runner = guest->runner;
    struct gw_error err;
    enum gw_unix_event event;
    json_t *request = NULL;
    const char *verb;
    if (!gw_unix_receive(&guest->client, REQUEST_MS, runner->journey->cancel, &event, &request, &err) ||
        event != GW_UNIX_MESSAGE || !gw_json_get_string(request, "verb", &verb, &err)) {
        gw_unix_close(&guest->client);
    } else if (!strcmp(verb, "status")) {
        answer_status(runner, &guest->client);
    } else {
        guest->request = json_incref(request);
    }
    json_decref(request);
    atomic_store(&guest->ended, true);
    wake(runner);
    return NULL;
}

static void accept_guest(struct runner *runner)
{
    struct gw_error err;
    struct gw_unix_connection client;
    struct guest *guest = runner->guests;
    bool accepted;
    if (!gw_unix_accept(&runner->listener, &client, &accepted, &err) || !accepted)
        return;
    while (guest < runner->guests + GUESTS && guest->used)
        guest++;
    if (guest == runner->guests + GUESTS) {
        (void)!gw_fail(&err, GW_ERR_RETRY, "the runner is being asked by %d others", GUESTS);
        refuse(&client, &err);
        return;
    }
    *guest = (struct guest){.runner = runner, .client = client, .used = true};
    int failed = pthread_create(&guest->thread, NULL, receive_guest, guest);
    if (failed) {
        guest->used = false;
        (void)!gw_fail_errno(&err, failed, "no thread for a request");
        refuse(&client, &err);
    }
}

static void begin_requested(struct runner *runner, struct guest *guest, bool over)
{
    struct gw_error err;
    reap_work(runner, false);
    if (over || runner->over) {
        (void)!gw_fail(&err, GW_ERR_CANCELLED, "the runner is about to end");
        (void)!gw_error_hint(&err, "the same command again, once it has ended");
        refuse(&guest->client, &err);
    } else if (atomic_load(&runner->work.running)) {
        (void)!gw_fail(&err, GW_ERR_CONFLICT, "the runner is busy with %s", runner->work.name);
        (void)!gw_error_hint(&err, "wait for it to end; godwit status --watch");
        refuse(&guest->client, &err);
    } else {
        begin_work(runner, &guest->client, json_string_value(json_object_get(guest->request, "verb")),
                   json_object_get(guest->request, "arguments"));
    }
}

/* Who was answered comes back faster than the work is cleared away: so a request waits for a moment before it is told
 * that the runner is busy. */
static bool waits_a_moment(struct runner *runner, struct guest *guest)
{
    int64_t now_us = gw_mono_us();
    reap_work(runner, false);
    if (!guest->request || !atomic_load(&runner->work.running))
        return false;
    if (!guest->patient_until_us)
        guest->patient_until_us = now_us + PATIENCE_MS * INT64_C(1000);
    return now_us < guest->patient_until_us;
}

/* over: nothing is begun any more, and all are waited for. */
static void attend_guests(struct runner *runner, bool over)
{
    for (struct guest *guest = runner->guests; guest < runner->guests + GUESTS; guest++) {
        if (!guest->used || (!over && (!atomic_load(&guest->ended) || waits_a_moment(runner, guest))))
            continue;
        pthread_join(guest->thread, NULL);
        if (guest->request)
            begin_requested(runner, guest, over);
        json_decref(guest->request);
        guest->used = false;
    }
}

/* After each verb: it may have left something to take off or to validate. */
static void enforce(struct runner *runner)
{
    struct gw_error err;
    if (!runner->enforce_due || runner->enforcer || runner->over || atomic_load(&runner->failed) ||
        atomic_load(&runner->work.running))
        return;
    runner->enforce_due = false;
    if (!gw_enforcer_start(runner->journey, &runner->enforcer, &err))
        gw_log_error(&err);
}

static void serve(struct runner *runner)
{
    struct gw_journey *journey = runner->journey;
    uint64_t ignored;
    while (!gw_cancel_asked(journey->cancel) && !runner->over && !atomic_load(&runner->failed)) {
        struct pollfd fds[3] = {{.fd = runner->listener.fd, .events = POLLIN},
                                {.fd = runner->wake, .events = POLLIN},
                                {.fd = journey->cancel->fd, .events = POLLIN}};
        int ready = poll(fds, 3, POLL_MS);
        if (ready > 0 && (fds[1].revents & POLLIN) && read(runner->wake, &ignored, sizeof ignored) < 0)
            gw_debug("nothing to be woken for");
        attend_guests(runner, false);
        if (ready > 0 && (fds[0].revents & POLLIN))
            accept_guest(runner);
        reap_work(runner, false);
        enforce(runner);
    }
    gw_enforcer_stop(runner->enforcer);
    runner->enforcer = NULL;
    attend_guests(runner, true);
    reap_work(runner, true);
}

static bool take_the_journey(struct gw_journey *journey, struct gw_error *err)
{
    return gw_journey_open_state(journey, GW_JOURNAL_WORK, err) && gw_journey_connect(journey, err) &&
           gw_verbs_recover(journey, err) && gw_journey_allows(journey, GW_VERB_RUN, err);
}

/* Verified as part of the way, so that the operator finds an answer waiting; a "no" does not stop the runner. */
static void verify_once(struct gw_journey *journey)
{
    struct gw_error err;
    gw_autojson json_t *verdicts = NULL, *result = NULL, *none = json_object();
    gw_error_clear(&err);
    if (!gw_state_verdicts(journey->state, &verdicts, &err) || json_array_size(verdicts) > 0)
        return;
    if (gw_verb_verify(journey, none, &result, &err) != GW_EXIT_YES && err.kind != GW_ERR_NONE)
        gw_log_error(&err);
}

/* The runner's own first work: the load, the first verify. Status is served beside it. */
static void *go_ahead(void *arg)
{
    struct runner *runner = arg;
    struct gw_journey *journey = runner->journey;
    struct gw_copy_report report;
    struct gw_error err;
    enum gw_stage stage;
    gw_error_clear(&runner->failure);
    if (!gw_load_run(journey, &report, &runner->failure)) {
        atomic_store(&runner->failed, true);
    } else {
        verify_once(journey);
        if (!gw_cancel_asked(journey->cancel) && gw_journey_stage(journey, &stage, &err))
            gw_journey_say(journey, "stage %s; the runner stays and keeps both sides together. next: %s",
                           gw_stage_info(stage)->name,
                           stage == GW_STAGE_RETAIN ? "godwit rollback, or godwit finish after the retention period"
                                                    : gw_stage_info(stage)->suggest);
    }
    end_work(runner);
    return NULL;
}

static bool start_ahead(struct runner *runner, struct gw_error *err)
{
    struct work *work = &runner->work;
    snprintf(work->name, sizeof work->name, "copy and verify");
    atomic_store(&work->running, true);
    int failed = pthread_create(&work->thread, NULL, go_ahead, runner);
    if (!failed)
        return true;
    atomic_store(&work->running, false);
    return gw_fail_errno(err, failed, "no thread for the runner");
}

int gw_runner_main(struct gw_journey *journey, struct gw_error *err)
{
    struct runner runner = {.journey = journey, .work.client.fd = -1, .wake = -1};
    pthread_mutex_init(&runner.work.send_lock, NULL);
    pthread_rwlock_init(&runner.changing, NULL);
    gw_autofree char *path = gw_asprintf("%s/runner.sock", journey->folder);
    if (!take_the_journey(journey, err) || !gw_unix_listen(path, &runner.listener, err))
        return (int)gw_error_exit(err);
    runner.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool started =
        runner.wake >= 0 ? start_ahead(&runner, err) : gw_fail_errno(err, errno, "no eventfd for the runner");
    if (started)
        serve(&runner);
    gw_unix_listener_close(&runner.listener);
    gw_streams_stop(journey);
    if (runner.wake >= 0)
        close(runner.wake);
    pthread_rwlock_destroy(&runner.changing);
    pthread_mutex_destroy(&runner.work.send_lock);
    if (!started)
        return (int)gw_error_exit(err);
    if (atomic_load(&runner.failed)) {
        *err = runner.failure;
        return (int)gw_error_exit(err);
    }
    if (!runner.over)
        gw_journey_say(journey, "the runner stopped cleanly; godwit run goes on where it was");
    return GW_EXIT_YES;
}

/* ---- the client's side ---- */

static bool converse(struct gw_journey *journey, struct gw_unix_connection *runner, int *code, json_t **result,
                     struct gw_error *failure, struct gw_error *err)
{
    for (;;) {
        enum gw_unix_event event;
        gw_autojson json_t *message = NULL;
        if (!gw_unix_receive(runner, -1, journey->cancel, &event, &message, err)) {
            if (err->kind == GW_ERR_CANCELLED)
                (void)!gw_error_hint(err, "the runner goes on with it; godwit status shows how far it is");
            return false;
        }
        if (event == GW_UNIX_CLOSED) {
            (void)!gw_fail(err, GW_ERR_CANCELLED, "the runner ended before it answered");
            return gw_error_hint(err, "godwit run resumes or undoes what it was doing; godwit status");
        }
        const char *line = json_string_value(json_object_get(message, "line"));
        if (line) {
            gw_log((enum gw_log_level)json_integer_value(json_object_get(message, "level")), "%s", line);
            continue;
        }
        const json_t *code_said = json_object_get(message, "exit");
        if (!json_is_integer(code_said))
            return gw_fail(err, GW_ERR_BUG, "the runner answered without an exit code");
        *code = (int)json_integer_value(code_said);
        *result = json_incref(json_object_get(message, "result"));
        gw_error_from_json(json_object_get(message, "error"), failure);
        return true;
    }
}

bool gw_runner_ask(struct gw_journey *journey, const char *verb, const json_t *arguments, bool *alive, int *code,
                   json_t **result, struct gw_error *failure, struct gw_error *err)
{
    struct gw_unix_connection runner;
    gw_autofree char *path = gw_asprintf("%s/runner.sock", journey->folder);
    *alive = false;
    if (gw_state_runner_pid(journey->folder) == 0)
        return true;
    if (!gw_unix_connect(path, REQUEST_MS, &runner, err))
        return err->kind ==
               GW_ERR_RETRY; /* another command works in the foreground: it holds the lock, nobody listens */
    *alive = true;
    gw_autojson json_t *request = json_pack("{s:s}", "verb", verb);
    if (arguments)
        json_object_set(request, "arguments", (json_t *)arguments);
    bool ok = gw_unix_send(&runner, request, SEND_MS, journey->cancel, err) &&
              converse(journey, &runner, code, result, failure, err);
    gw_unix_close(&runner);
    return ok;
}
