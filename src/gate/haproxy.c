/*
 * HAProxy in TCP mode as the gate, over its stats socket. It passes bytes and knows no transactions: new connections can
 * be held, those that are there can only be closed.
 *
 * What holds new connections without an error, seen on 2.6: a server at its maxconn makes them wait in the backend's
 * queue, as long as `timeout queue` allows. All servers in maintenance closes them at once; lowering a frontend's
 * maxconn holds them, and raising it again aborts the process; lowering the global maxconn holds those of every other
 * service too. So: the owner's server gets maxconn 1 and one connection that is left on it until traffic is pointed.
 *
 * What runtime commands set is lost when HAProxy is reloaded: see state_file.
 */
#include "gate/haproxy.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/haproxy_socket.h"
#include "gate/types.h"
#include "io/process.h"
#include "model/setting.h"

#include <stdlib.h>
#include <string.h>

enum {
    RUNNING_MS = 1000,
    GONE_MS = 1000,
    TELL_AGAIN_MS = 200,
    LOOK_MS = 5,
    WRITE_STATE_MS = 5000,
    SUGGEST_AT_MOST = 3
};

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static bool ask(struct gw_hap_process *process, const char *commands, struct gw_cancel *cancel, struct gw_buf *answer,
                struct gw_error *err)
{
    return gw_hap_ask(process->socket, commands, GW_HAP_ANSWER_MS, cancel, answer, err);
}

static bool is_side(const struct gw_hap_gate *gate, const struct gw_hap_server *server, int side)
{
    if (gate->settings->server[side])
        return strcmp(server->name, gate->settings->server[side]) == 0;
    struct gw_gate_address wanted = gate->sides[side];
    struct gw_gate_address at = wanted; /* for its database, which HAProxy does not know */
    snprintf(at.host, sizeof at.host, "%s", server->host);
    snprintf(at.port, sizeof at.port, "%s", server->port);
    if (!wanted.port[0]) /* the engine's usual one, whichever that is */
        snprintf(wanted.port, sizeof wanted.port, "%s", at.port);
    return gate->has_address[side] && gw_gate_address_same_place(&at, &wanted);
}

/* "; did you mean app?", or all there are when none is near. */
static void suggest(const struct gw_hap_servers *all, const char *backend, const char *wrong, struct gw_buf *out)
{
    const char *nearest = NULL, *seen = "";
    unsigned best = SUGGEST_AT_MOST + 1;
    gw_autobuf struct gw_buf names = {0};
    for (size_t i = 0; i < all->count; i++) {
        const char *name = backend ? all->items[i].name : all->items[i].backend;
        if ((backend && strcmp(all->items[i].backend, backend) != 0) || strcmp(name, seen) == 0)
            continue;
        seen = name;
        unsigned far = gw_setting_distance(name, wrong);
        if (far < best) {
            best = far;
            nearest = name;
        }
        if (names.len < 200)
            gw_buf_addf(&names, "%s%s", names.len ? ", " : "", name);
    }
    if (nearest)
        gw_buf_addf(out, "did you mean %s? ", nearest);
    gw_buf_addf(out, "it has %s", names.len ? gw_buf_text(&names) : "none with a server");
}

static bool fail_unknown(const struct gw_hap_gate *gate, const struct gw_hap_process *process,
                         const struct gw_hap_servers *all, struct gw_error *err)
{
    static const char *const keys[2] = {"blue_server", "green_server"};
    const char *backend = gate->settings->backend;
    gw_autobuf struct gw_buf hint = {0};
    bool there = false;
    for (size_t i = 0; backend && i < all->count; i++)
        there = there || strcmp(all->items[i].backend, backend) == 0;
    if (backend && !there) {
        suggest(all, NULL, backend, &hint);
        (void)gw_fail(err, GW_ERR_USER, "HAProxy has no backend \"%s\" with a server (gate: backend)", backend);
        (void)gw_error_place(err, "%s", process->socket);
        return gw_error_hint(err, "%s", gw_buf_text(&hint));
    }
    for (int side = 0; side < 2; side++) {
        const char *name = gate->settings->server[side];
        bool found = false;
        for (size_t i = 0; i < all->count; i++)
            found = found ||
                    ((!backend || strcmp(all->items[i].backend, backend) == 0) && is_side(gate, &all->items[i], side));
        if (found)
            continue;
        char at[512];
        gw_gate_address_format(&gate->sides[side], at, sizeof at);
        if (name)
            (void)gw_fail(err, GW_ERR_USER, "HAProxy has no server \"%s\"%s%s (gate: %s)", name,
                          backend ? " in backend " : "", backend ? backend : "", keys[side]);
        else
            (void)gw_fail(err, GW_ERR_USER, "no server%s%s of HAProxy leads to %s (%s)", backend ? " in backend " : "",
                          backend ? backend : "", side == 0 ? "blue" : "green",
                          gate->has_address[side] ? at : "its URL does not say where it is");
        (void)gw_error_place(err, "%s", process->socket);
        if (backend)
            suggest(all, backend, name ? name : "", &hint);
        return gw_error_hint(err,
                             "add the server to the configuration, or name the one that is there with gate: %s%s%s",
                             keys[side], hint.len ? "; " : "", gw_buf_text(&hint));
    }
    (void)gw_fail(err, GW_ERR_USER, "no backend of HAProxy has a server for blue and one for green");
    (void)gw_error_place(err, "%s", process->socket);
    return gw_error_hint(err, "both sides must be servers of one backend, one of them disabled");
}

static bool fail_same_server(const struct gw_hap_process *process, struct gw_error *err)
{
    (void)gw_fail(err, GW_ERR_USER, "blue and green are the same server of HAProxy, %s/%s", process->backend,
                  process->names[0]);
    return gw_error_hint(err, "name them with gate: blue_server and green_server");
}

/* The backend that has a server for either side. */
static bool resolve(const struct gw_hap_gate *gate, struct gw_hap_process *process, const struct gw_hap_servers *all,
                    struct gw_error *err)
{
    size_t found = 0;
    for (size_t i = 0; i < all->count; i++) {
        const struct gw_hap_server *blue = &all->items[i];
        if ((gate->settings->backend && strcmp(blue->backend, gate->settings->backend) != 0) || !is_side(gate, blue, 0))
            continue;
        for (size_t j = 0; j < all->count; j++) {
            const struct gw_hap_server *green = &all->items[j];
            if (strcmp(green->backend, blue->backend) != 0 || !is_side(gate, green, 1))
                continue;
            if (found++ > 0) {
                (void)gw_fail(err, GW_ERR_USER, "HAProxy has blue and green more than once: %s/%s and %s, %s/%s and %s",
                              process->backend, process->names[0], process->names[1], blue->backend, blue->name,
                              green->name);
                process->names[0][0] = 0;
                return gw_error_hint(err,
                                     "name the ones that clients use with gate: backend, blue_server, green_server");
            }
            snprintf(process->backend, sizeof process->backend, "%s", blue->backend);
            snprintf(process->names[0], sizeof process->names[0], "%s", blue->name);
            snprintf(process->names[1], sizeof process->names[1], "%s", green->name);
        }
    }
    if (!found)
        return fail_unknown(gate, process, all, err);
    if (strcmp(process->names[0], process->names[1]) != 0)
        return true;
    (void)fail_same_server(process, err);
    process->names[0][0] = 0;
    return false;
}

static bool take_servers(struct gw_hap_process *process, const struct gw_hap_servers *all, struct gw_error *err)
{
    process->others[0] = 0;
    for (int side = 0; side < 2; side++) {
        const struct gw_hap_server *server = gw_hap_servers_find(all, process->backend, process->names[side]);
        if (!server) {
            (void)gw_fail(err, GW_ERR_CONFLICT, "HAProxy no longer has the server %s/%s", process->backend,
                          process->names[side]);
            (void)gw_error_place(err, "%s", process->socket);
            return gw_error_hint(err, "was its configuration changed? put the server back and reload HAProxy");
        }
        process->servers[side] = *server;
        if (server->limit != GW_HAP_PARKED_LIMIT)
            process->limits[side] = server->limit;
    }
    for (size_t i = 0; i < all->count; i++) {
        const struct gw_hap_server *server = &all->items[i];
        if (strcmp(server->backend, process->backend) == 0 && strcmp(server->name, process->names[0]) != 0 &&
            strcmp(server->name, process->names[1]) != 0 && gw_hap_is_running(server))
            snprintf(process->others, sizeof process->others, "%s", server->name);
    }
    return true;
}

bool gw_hap_look(struct gw_hap_gate *gate, struct gw_hap_process *process, struct gw_cancel *cancel,
                 struct gw_error *err)
{
    gw_autobuf struct gw_buf answer = {0};
    struct gw_hap_servers all;
    bool known = process->names[0][0];
    gw_autofree char *commands =
        known ? gw_asprintf("show servers state %s;show stat %s 4 -1", process->backend, process->backend)
              : gw_strdup("show servers state;show stat");
    if (!ask(process, commands, cancel, &answer, err))
        return false;
    if (!gw_hap_servers_parse(gw_buf_text(&answer), &all, err))
        return gw_error_place(err, "%s", process->socket);
    bool ok = (known || resolve(gate, process, &all, err)) && take_servers(process, &all, err);
    gw_hap_servers_release(&all);
    return ok;
}

bool gw_hap_order(struct gw_hap_process *process, const char *commands, struct gw_cancel *cancel, struct gw_error *err)
{
    gw_autobuf struct gw_buf answer = {0};
    char said[200];
    if (!ask(process, commands, cancel, &answer, err))
        return false;
    if (gw_hap_said_nothing(gw_buf_text(&answer), said, sizeof said))
        return true;
    bool forbidden = strstr(said, "ermission denied") != NULL;
    (void)gw_fail(err, GW_ERR_REFUSED, "HAProxy refused %.*s: %s", (int)strcspn(commands, ";"), commands, said);
    (void)gw_error_place(err, "%s", process->socket);
    return gw_error_hint(err, forbidden ? "give the socket level admin: stats socket ... level admin, and reload"
                                        : "see HAProxy's log");
}

bool gw_hap_sessions(struct gw_hap_process *process, struct gw_cancel *cancel, struct gw_hap_session **out,
                     size_t *count, struct gw_error *err)
{
    gw_autobuf struct gw_buf answer = {0};
    if (!ask(process, "show sess all", cancel, &answer, err))
        return false;
    gw_hap_sessions_parse(gw_buf_text(&answer), process->backend, out, count);
    return true;
}

enum gw_gate_target gw_hap_target_of(const struct gw_hap_process *process)
{
    bool blue = !gw_hap_in_maintenance(&process->servers[0]), green = !gw_hap_in_maintenance(&process->servers[1]);
    return blue == green ? GW_GATE_UNKNOWN : blue ? GW_GATE_BLUE : GW_GATE_GREEN;
}

int gw_hap_limit_of(const struct gw_hap_process *process, int side)
{
    if (process->limits[side] >= 0)
        return process->limits[side];
    return process->limits[!side] >= 0 ? process->limits[!side] : 0;
}

static bool is_parked(const struct gw_hap_process *process)
{
    for (int side = 0; side < 2; side++)
        if (!gw_hap_in_maintenance(&process->servers[side]) && process->servers[side].limit == GW_HAP_PARKED_LIMIT)
            return true;
    return false;
}

static bool haproxy_state(struct gw_gate *base, bool *parked, enum gw_gate_target *target, struct gw_error *err)
{
    struct gw_hap_gate *gate = (struct gw_hap_gate *)base;
    enum gw_gate_target common = GW_GATE_UNKNOWN;
    bool any = false;
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_hap_process *process = &gate->processes[i];
        if (!gw_hap_look(gate, process, NULL, err))
            return false;
        enum gw_gate_target one = gw_hap_target_of(process);
        common = i == 0 || one == common ? one : GW_GATE_UNKNOWN;
        any = any || is_parked(process);
    }
    *parked = any;
    *target = common;
    return true;
}

static bool haproxy_prepare(struct gw_gate *base, struct gw_error *err)
{
    enum gw_gate_target now;
    bool parked;
    return haproxy_state(base, &parked, &now, err);
}

/* ---- unpark ------------------------------------------------------------------------------------------------------ */

static void add_limit(const struct gw_hap_process *process, int side, struct gw_buf *commands)
{
    if (process->servers[side].limit != GW_HAP_PARKED_LIMIT)
        return;
    if (process->limits[side] < 0)
        gw_warn("gate: what maxconn server %s/%s had before it was parked is not known: it gets %d, as the other one; "
                "correct it with: set maxconn server %s/%s N",
                process->backend, process->names[side], gw_hap_limit_of(process, side), process->backend,
                process->names[side]);
    gw_buf_addf(commands, "%sset maxconn server %s/%s %d", commands->len ? ";" : "", process->backend,
                process->names[side], gw_hap_limit_of(process, side));
}

static bool unpark_process(struct gw_hap_gate *gate, struct gw_hap_process *process, struct gw_error *err)
{
    gw_autobuf struct gw_buf commands = {0};
    if (!gw_hap_look(gate, process, NULL, err))
        return false;
    for (int side = 0; side < 2; side++)
        add_limit(process, side, &commands);
    return !commands.len || gw_hap_order(process, gw_buf_text(&commands), NULL, err);
}

/* All processes, whatever one of them says; the first error is what is reported. */
bool gw_hap_unpark(struct gw_gate *base, struct gw_error *err)
{
    struct gw_hap_gate *gate = (struct gw_hap_gate *)base;
    struct gw_error one;
    bool ok = true;
    GW_CRASH_POINT("gate.unpark.before_resume");
    for (size_t i = 0; i < gate->process_count; i++) {
        if (unpark_process(gate, &gate->processes[i], &one))
            continue;
        if (ok)
            *err = one;
        ok = false;
    }
    GW_CRASH_POINT("gate.unpark.after_resume");
    return ok;
}

/* ---- point ------------------------------------------------------------------------------------------------------- */

/* Its health checks, when it has some, must agree before the other one stops taking connections: without any server
 * HAProxy closes what comes. */
static bool make_ready(struct gw_hap_gate *gate, struct gw_hap_process *process, int side, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + RUNNING_MS * 1000;
    gw_autobuf struct gw_buf commands = {0};
    gw_buf_addf(&commands, "set server %s/%s state ready", process->backend, process->names[side]);
    add_limit(process, side, &commands);
    if (!gw_hap_order(process, gw_buf_text(&commands), NULL, err))
        return false;
    for (;;) {
        if (!gw_hap_look(gate, process, NULL, err))
            return false;
        if (gw_hap_is_running(&process->servers[side]))
            return true;
        if (gw_left_ms(deadline_us) == 0)
            break;
        gw_sleep_us(LOOK_MS * 1000);
    }
    (void)gw_fail(err, GW_ERR_RETRY, "HAProxy's health checks say that server %s/%s is down", process->backend,
                  process->names[side]);
    (void)gw_error_place(err, "%s", process->socket);
    return gw_error_hint(err, "see `show servers state` and HAProxy's log; can it reach that side?");
}

bool gw_hap_add_shut(struct gw_hap_process *process, const struct gw_hap_session *session, struct gw_buf *commands)
{
    struct gw_hap_told *told = NULL;
    int64_t now_us = gw_mono_us();
    for (size_t i = 0; i < process->told_count && !told; i++)
        if (process->told[i].number == session->number)
            told = &process->told[i];
    if (told && now_us - told->at_us < TELL_AGAIN_MS * 1000)
        return false;
    if (!told) {
        process->told = gw_grow(process->told, &process->told_capacity, process->told_count, sizeof *process->told);
        told = &process->told[process->told_count++];
    }
    *told = (struct gw_hap_told){session->number, now_us};
    gw_buf_addf(commands, "%sshutdown session %s", commands->len ? ";" : "", session->id);
    return true;
}

/* A session that went by itself makes HAProxy say so: what is left shows in the next look. */
bool gw_hap_shut(struct gw_hap_process *process, const struct gw_buf *commands, struct gw_error *err)
{
    gw_autobuf struct gw_buf ignored = {0};
    return !commands->len || ask(process, gw_buf_text(commands), NULL, &ignored, err);
}

static bool shut_all_of(struct gw_hap_process *process, int side, struct gw_error *err)
{
    gw_autobuf struct gw_buf commands = {0};
    struct gw_hap_session *sessions = NULL;
    size_t count = 0;
    if (!gw_hap_sessions(process, NULL, &sessions, &count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(sessions[i].server, process->names[side]) == 0)
            (void)gw_hap_add_shut(process, &sessions[i], &commands);
    free(sessions);
    return gw_hap_shut(process, &commands, err);
}

/* One by one: `shutdown sessions server` of 2.6 misses the connections that had waited in the queue, which are all of
 * them after a switch. Connections that were being made when the server stopped taking new ones come late: again, until
 * none is left. */
static bool close_rest(struct gw_hap_gate *gate, struct gw_hap_process *process, int side, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + GONE_MS * 1000;
    gw_autofree char *stop = gw_asprintf("set server %s/%s state maint", process->backend, process->names[side]);
    if (!gw_hap_order(process, stop, NULL, err))
        return false;
    for (;;) {
        if (!shut_all_of(process, side, err) || !gw_hap_look(gate, process, NULL, err))
            return false;
        if (process->servers[side].sessions == 0)
            break;
        if (gw_left_ms(deadline_us) == 0) {
            (void)gw_fail(err, GW_ERR_RETRY, "%d connections to server %s/%s do not end",
                          process->servers[side].sessions, process->backend, process->names[side]);
            return gw_error_place(err, "%s", process->socket);
        }
        gw_sleep_us(LOOK_MS * 1000);
    }
    gw_autobuf struct gw_buf limit = {0};
    add_limit(process, side, &limit);
    return !limit.len || gw_hap_order(process, gw_buf_text(&limit), NULL, err);
}

static bool run_state_command(struct gw_hap_gate *gate, const struct gw_hap_process *process, const struct gw_buf *text,
                              struct gw_error *err)
{
    gw_autofree char *where = gw_asprintf("GODWIT_SOCKET=%s", process->socket);
    const char *const environment[] = {where, NULL};
    const char *argv[4];
    gw_process_shell(argv, gate->settings->write_state_command);
    struct gw_process_run run = {.spec = {.argv = argv, .environment = environment},
                                 .input = gw_buf_text(text),
                                 .input_len = text->len,
                                 .timeout_ms = WRITE_STATE_MS};
    struct gw_process_result result;
    bool ok = gw_process_run(&run, NULL, &result, err) && gw_process_check(&result, "gate: write_state_command", err);
    gw_process_result_release(&result);
    return ok;
}

/* Traffic flows already: that this failed is said, and does not hold anything up. */
static void write_state(struct gw_hap_gate *gate, struct gw_hap_process *process)
{
    const struct gw_migration_gate *settings = gate->settings;
    gw_autobuf struct gw_buf text = {0};
    struct gw_error err;
    if (!settings->state_file && !settings->write_state_command)
        return;
    bool ok = ask(process, "show servers state", NULL, &text, &err);
    if (ok && settings->state_file)
        ok = gw_file_replace(settings->state_file, gw_buf_text(&text), text.len, &err);
    if (ok && settings->write_state_command)
        ok = run_state_command(gate, process, &text, &err);
    if (ok)
        return;
    gw_log_error(&err);
    gw_warn("gate: HAProxy's state was not kept: until its configuration or its state file says so too, a reload of "
            "HAProxy leads traffic back to the side that no longer owns");
}

static bool haproxy_point(struct gw_gate *base, enum gw_gate_target target, struct gw_error *err)
{
    struct gw_hap_gate *gate = (struct gw_hap_gate *)base;
    if (target == GW_GATE_UNKNOWN)
        return gw_fail(err, GW_ERR_BUG, "the gate was told to point nowhere");
    GW_CRASH_POINT("gate.point.before_ready");
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_hap_process *process = &gate->processes[i];
        if (!gw_hap_look(gate, process, NULL, err))
            return false;
        bool was_there = gw_hap_target_of(process) == target;
        if (!make_ready(gate, process, (int)target, err))
            return false;
        GW_CRASH_POINT("gate.point.both_ready");
        if (!close_rest(gate, process, !target, err))
            return false;
        if (!was_there)
            write_state(gate, process);
    }
    GW_CRASH_POINT("gate.point.done");
    return true;
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

static void haproxy_watch(struct gw_gate *base, struct gw_store *owner)
{
    ((struct gw_hap_gate *)base)->owner = owner;
}

static bool haproxy_addresses(struct gw_gate *base, char (**out)[64], size_t *count, struct gw_error *err)
{
    struct gw_hap_gate *gate = (struct gw_hap_gate *)base;
    char(*found)[64] = NULL;
    size_t capacity = 0;
    *count = 0;
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_hap_session *sessions = NULL;
        size_t session_count = 0;
        if (!gw_hap_look(gate, &gate->processes[i], gate->cancel, err) ||
            !gw_hap_sessions(&gate->processes[i], gate->cancel, &sessions, &session_count, err)) {
            free(found);
            return false;
        }
        for (size_t s = 0; s < session_count; s++) {
            if (!sessions[s].address[0])
                continue;
            found = gw_grow(found, &capacity, *count, sizeof *found);
            memcpy(found[(*count)++], sessions[s].address, sizeof *found);
        }
        free(sessions);
    }
    *out = found;
    return true;
}

static void haproxy_close(struct gw_gate *base)
{
    struct gw_hap_gate *gate = (struct gw_hap_gate *)base;
    for (size_t i = 0; i < gate->process_count; i++)
        free(gate->processes[i].told);
    free(gate->processes);
    free(gate);
}

/* They become part of a line of commands. */
static bool check_name(const char *name, const char *key, struct gw_error *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:";
    if (!name || (name[0] && name[strspn(name, letters)] == 0 && strlen(name) < GW_HAP_NAME_BYTES))
        return true;
    return gw_fail(err, GW_ERR_USER, "gate: %s: \"%s\" is no name that HAProxy would take", key, name);
}

static bool take_settings(struct gw_hap_gate *gate, const char *const urls[2], struct gw_error *err)
{
    const struct gw_migration_gate *settings = gate->settings;
    for (int side = 0; side < 2; side++) {
        struct gw_error ignored;
        gate->has_address[side] = gw_gate_address_of_side(settings, side, urls[side], &gate->sides[side],
                                                          settings->server[side] ? &ignored : err);
        if (!gate->has_address[side] && !settings->server[side]) {
            (void)gw_error_prefix(err, "which server of HAProxy is %s", side == 0 ? "blue" : "green");
            return gw_error_hint(err, "name it with gate: %s", side == 0 ? "blue_server" : "green_server");
        }
    }
    return check_name(settings->backend, "backend", err) && check_name(settings->server[0], "blue_server", err) &&
           check_name(settings->server[1], "green_server", err);
}

static bool haproxy_open(const struct gw_migration_gate *settings, const char *blue_url, const char *green_url,
                         struct gw_cancel *cancel, struct gw_gate **out, struct gw_error *err)
{
    const char *const urls[2] = {blue_url, green_url};
    struct gw_hap_gate *gate = gw_zalloc(sizeof *gate);
    gate->head.type = &gw_gate_haproxy;
    gate->settings = settings;
    gate->cancel = cancel;
    gate->process_count = settings->socket_count;
    gate->processes = gw_calloc(gate->process_count ? gate->process_count : 1, sizeof *gate->processes);
    for (size_t i = 0; i < gate->process_count; i++)
        gate->processes[i] = (struct gw_hap_process){.socket = settings->socket[i], .limits = {-1, -1}};
    if (gate->process_count == 0)
        (void)gw_fail(err, GW_ERR_USER, "the haproxy gate has no socket: set gate: socket");
    if (gate->process_count == 0 || !take_settings(gate, urls, err)) {
        haproxy_close(&gate->head);
        return false;
    }
    *out = &gate->head;
    return true;
}

const struct gw_gate_type gw_gate_haproxy = {
    .name = "haproxy",
    .parks = true,
    .open = haproxy_open,
    .close = haproxy_close,
    .preflight = gw_hap_preflight,
    .costs = gw_hap_costs,
    .watch = haproxy_watch,
    .prepare = haproxy_prepare,
    .park = gw_hap_park,
    .point = haproxy_point,
    .unpark = gw_hap_unpark,
    .state = haproxy_state,
    .addresses = haproxy_addresses,
};
