/*
 * PgBouncer as the gate: PAUSE parks, a new [databases] line and RELOAD point, RESUME lets go on.
 *
 * What its console does that one would not expect, seen on 1.18: PAUSE never answers when somebody else RESUMEs
 * meanwhile; RESUME of a database that is not paused is an error, PAUSE of a paused one is not; RELOAD of a broken
 * file says RELOAD. So PAUSE runs on a connection of its own, under our deadline, and everything is looked at in
 * SHOW DATABASES.
 */
#include "gate/pgbouncer.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/types.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 2000, LOOK_MS = 50, PAUSES_AT_MOST = 20, RESUMES_AT_MOST = 3 };

/* ---- console connections ----------------------------------------------------------------------------------------- */

static void hang_up(PGconn **conn)
{
    PQfinish(*conn);
    *conn = NULL;
}

static bool connect_console(struct gw_pgb_process *process, PGconn **conn, struct gw_cancel *cancel,
                            struct gw_error *err)
{
    if (*conn && PQstatus(*conn) == CONNECTION_OK)
        return true;
    hang_up(conn);
    return gw_console_connect(process->url, process->what, CONNECT_MS, cancel, conn, err);
}

bool gw_pgb_run(struct gw_pgb_process *process, const char *command, int timeout_ms, struct gw_cancel *cancel,
                PGresult **result, struct gw_error *err)
{
    for (int attempt = 0;; attempt++) {
        bool fresh = !process->control;
        if (!connect_console(process, &process->control, cancel, err))
            return false;
        if (gw_console_run(process->control, command, timeout_ms, cancel, result, err))
            return true;
        (void)gw_error_place(err, "%s", process->what);
        if (err->kind == GW_ERR_REFUSED)
            return false;
        /* Lost or without an answer: what is under way on it is unknown, so it is not used again. */
        bool lost = PQstatus(process->control) == CONNECTION_BAD;
        hang_up(&process->control);
        if (!lost || fresh || attempt > 0)
            return false;
    }
}

bool gw_pgb_line(struct gw_pgb_gate *gate, struct gw_pgb_process *process, struct gw_pgb_line *out,
                 struct gw_error *err)
{
    gw_autoresult PGresult *result = NULL;
    if (!gw_pgb_run(process, "SHOW DATABASES", GW_PGB_ANSWER_MS, NULL, &result, err))
        return false;
    *out = (struct gw_pgb_line){0};
    for (int row = 0; row < PQntuples(result); row++) {
        if (strcmp(gw_console_cell(result, row, "name"), gate->database) != 0)
            continue;
        out->found = true;
        snprintf(out->address.host, sizeof out->address.host, "%s", gw_console_cell(result, row, "host"));
        snprintf(out->address.port, sizeof out->address.port, "%s", gw_console_cell(result, row, "port"));
        snprintf(out->address.dbname, sizeof out->address.dbname, "%s", gw_console_cell(result, row, "database"));
        snprintf(out->pool_mode, sizeof out->pool_mode, "%s", gw_console_cell(result, row, "pool_mode"));
        out->paused = strcmp(gw_console_cell(result, row, "paused"), "0") != 0;
        out->disabled = strcmp(gw_console_cell(result, row, "disabled"), "1") == 0;
    }
    return true;
}

bool gw_pgb_config(struct gw_pgb_process *process, const char *key, char *out, size_t size, struct gw_error *err)
{
    gw_autoresult PGresult *result = NULL;
    if (!gw_pgb_run(process, "SHOW CONFIG", GW_PGB_ANSWER_MS, NULL, &result, err))
        return false;
    out[0] = 0;
    for (int row = 0; row < PQntuples(result); row++)
        if (strcmp(gw_console_cell(result, row, "key"), key) == 0)
            snprintf(out, size, "%s", gw_console_cell(result, row, "value"));
    return true;
}

enum gw_gate_target gw_pgb_side_of(const struct gw_pgb_gate *gate, const struct gw_gate_address *address)
{
    for (int side = 0; side < 2; side++)
        if (gw_gate_address_equal(address, &gate->sides[side]))
            return (enum gw_gate_target)side;
    bool blue = gw_gate_address_same_place(address, &gate->sides[GW_GATE_BLUE]);
    bool green = gw_gate_address_same_place(address, &gate->sides[GW_GATE_GREEN]);
    return blue == green ? GW_GATE_UNKNOWN : blue ? GW_GATE_BLUE : GW_GATE_GREEN; /* both: it could be either */
}

/* ---- unpark ------------------------------------------------------------------------------------------------------ */

static bool resume(struct gw_pgb_gate *gate, struct gw_pgb_process *process, struct gw_error *err)
{
    char command[160];
    struct gw_error refused = {0};
    snprintf(command, sizeof command, "RESUME \"%s\"", gate->database);
    for (int attempt = 0; attempt < RESUMES_AT_MOST; attempt++) {
        struct gw_pgb_line line;
        if (!gw_pgb_line(gate, process, &line, err))
            return false;
        if (!line.found) {
            (void)gw_fail(err, GW_ERR_CONFLICT, "PgBouncer no longer has the database \"%s\"", gate->database);
            return gw_error_place(err, "%s", process->what);
        }
        if (!line.paused)
            return true;
        if (!gw_pgb_run(process, command, GW_PGB_ANSWER_MS, NULL, NULL, &refused) && refused.kind != GW_ERR_REFUSED)
            return (*err = refused, false); /* a refusal may mean that somebody was quicker: look again */
    }
    (void)gw_fail(err, GW_ERR_CONFLICT, "the database \"%s\" stays paused", gate->database);
    (void)gw_error_detail(err, "%s", refused.detail);
    (void)gw_error_place(err, "%s", process->what);
    return gw_error_hint(err, "look who else gives commands on this console; by hand: %s", command);
}

/* All processes, whatever one of them says; the first error is what is reported. */
static bool resume_all(struct gw_pgb_gate *gate, struct gw_error *err)
{
    struct gw_error one;
    bool ok = true;
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_pgb_process *process = &gate->processes[i];
        gw_pgb_free_logins(process);
        if (process->pausing) { /* a RESUME from elsewhere leaves a waiting PAUSE without an answer for ever */
            process->pausing = false;
            hang_up(&process->pauser);
        }
        if (!resume(gate, process, &one)) {
            if (ok)
                *err = one;
            ok = false;
        }
    }
    return ok;
}

static bool pgbouncer_unpark(struct gw_gate *base, struct gw_error *err)
{
    struct gw_pgb_gate *gate = (struct gw_pgb_gate *)base;
    GW_CRASH_POINT("gate.unpark.before_resume");
    bool ok = resume_all(gate, err);
    GW_CRASH_POINT("gate.unpark.after_resume");
    gw_pgb_unstage(gate);
    gw_pgb_sync(gate);
    return ok;
}

/* ---- park -------------------------------------------------------------------------------------------------------- */

static bool send_pause(struct gw_pgb_gate *gate, struct gw_pgb_process *process, struct gw_error *err)
{
    char command[160];
    snprintf(command, sizeof command, "PAUSE \"%s\"", gate->database);
    if (!connect_console(process, &process->pauser, gate->cancel, err))
        return false;
    process->pausing = true;
    return gw_console_send(process->pauser, command, err) || gw_error_place(err, "%s", process->what);
}

static bool take_pause_answer(struct gw_pgb_process *process, struct gw_error *err)
{
    gw_autoresult PGresult *result = NULL;
    bool answered = false;
    if (!gw_console_answer(process->pauser, &answered, &result, err))
        return gw_error_place(err, "%s", process->what);
    if (!answered)
        return true;
    process->pausing = false;
    if (PQresultStatus(result) == PGRES_COMMAND_OK)
        return true;
    (void)gw_console_fail(result, "PAUSE", err);
    return gw_error_place(err, "%s", process->what);
}

/* Parked by our word or not? A process that no longer is was resumed by somebody: PAUSE again. */
static bool pause_again_where_resumed(struct gw_pgb_gate *gate, int *pauses, struct gw_error *err)
{
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_pgb_process *process = &gate->processes[i];
        struct gw_pgb_line line;
        if (!gw_pgb_line(gate, process, &line, err))
            return false;
        if (line.paused)
            continue;
        if (++*pauses > PAUSES_AT_MOST) {
            (void)gw_fail(err, GW_ERR_CONFLICT, "somebody else keeps resuming database \"%s\"", gate->database);
            (void)gw_error_place(err, "%s", process->what);
            return gw_error_hint(err, "find who gives commands on this console (SHOW CLIENTS, database pgbouncer)");
        }
        gw_debug("%s: resumed by somebody else while parking; PAUSE again", process->what);
        process->pausing = false;
        hang_up(&process->pauser);
        if (!gw_pgb_wait_logins(gate, process, err) || !send_pause(gate, process, err))
            return false;
    }
    return true;
}

static bool wait_some(struct gw_pgb_gate *gate, int timeout_ms, struct gw_error *err)
{
    struct pollfd *fds = gw_calloc(gate->process_count + 1, sizeof *fds);
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_pgb_process *process = &gate->processes[i];
        fds[i] = (struct pollfd){.fd = process->pausing ? PQsocket(process->pauser) : -1, .events = POLLIN};
    }
    fds[gate->process_count] = (struct pollfd){.fd = gate->cancel ? gate->cancel->fd : -1, .events = POLLIN};
    int got = poll(fds, gate->process_count + 1, timeout_ms);
    int failed = got < 0 && errno != EINTR ? errno : 0;
    free(fds);
    if (failed)
        return gw_fail_errno(err, failed, "could not wait for PgBouncer");
    return !gw_cancel_asked(gate->cancel) || gw_cancel_fail(gate->cancel, err);
}

static size_t still_pausing(const struct gw_pgb_gate *gate)
{
    size_t count = 0;
    for (size_t i = 0; i < gate->process_count; i++)
        count += gate->processes[i].pausing;
    return count;
}

/* Who holds it up: the server sessions that are in a transaction. */
static bool fail_not_drained(struct gw_pgb_gate *gate, int timeout_ms, struct gw_error *err)
{
    gw_autobuf struct gw_buf who = {0};
    int count = 0;
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_error ignored;
        gw_autoresult PGresult *servers = NULL;
        if (!gw_pgb_run(&gate->processes[i], "SHOW SERVERS", GW_PGB_ANSWER_MS, NULL, &servers, &ignored))
            continue;
        for (int row = 0; row < PQntuples(servers); row++) {
            if (strcmp(gw_console_cell(servers, row, "database"), gate->database) != 0 ||
                strcmp(gw_console_cell(servers, row, "state"), "active") != 0)
                continue;
            if (count++ < 5)
                gw_buf_addf(&who, "%suser %s, server process %s, last query at %s", who.len ? "; " : "",
                            gw_console_cell(servers, row, "user"), gw_console_cell(servers, row, "remote_pid"),
                            gw_console_cell(servers, row, "request_time"));
        }
    }
    (void)gw_fail(err, GW_ERR_RETRY, "transactions still run through the gate after %d ms: traffic goes on as before",
                  timeout_ms);
    (void)gw_error_detail(err, "%d in a transaction: %s", count, gw_buf_text(&who));
    return gw_error_hint(err, "wait until they have ended, or end them; then try again");
}

static void free_logins(struct gw_pgb_gate *gate)
{
    for (size_t i = 0; i < gate->process_count; i++)
        gw_pgb_free_logins(&gate->processes[i]);
}

static bool quiet_logins(struct gw_pgb_gate *gate, struct gw_error *err)
{
    for (size_t i = 0; i < gate->process_count; i++)
        if (!gw_pgb_hold_logins(gate, &gate->processes[i], err))
            return false;
    GW_CRASH_POINT("gate.park.holding");
    for (size_t i = 0; i < gate->process_count; i++)
        if (!gw_pgb_wait_logins(gate, &gate->processes[i], err))
            return false;
    return true;
}

static bool pause_all(struct gw_pgb_gate *gate, int timeout_ms, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    int64_t look_us = gw_mono_us() + LOOK_MS * 1000;
    int pauses = 0;
    if (!quiet_logins(gate, err))
        return false;
    for (size_t i = 0; i < gate->process_count; i++)
        if (!send_pause(gate, &gate->processes[i], err))
            return false;
    GW_CRASH_POINT("gate.park.pausing");
    for (;;) {
        for (size_t i = 0; i < gate->process_count; i++)
            if (gate->processes[i].pausing && !take_pause_answer(&gate->processes[i], err))
                return false;
        bool all = still_pausing(gate) == 0;
        if (all || gw_left_ms(look_us) == 0) {
            if (!pause_again_where_resumed(gate, &pauses, err))
                return false;
            look_us = gw_mono_us() + LOOK_MS * 1000;
            if (all && still_pausing(gate) == 0)
                return true;
        }
        int left_ms = gw_left_ms(deadline_us);
        if (left_ms == 0)
            return fail_not_drained(gate, timeout_ms, err);
        int next_ms = gw_left_ms(look_us);
        if (!wait_some(gate, next_ms < left_ms ? next_ms : left_ms, err))
            return false;
    }
}

static bool connect_all(struct gw_pgb_gate *gate, struct gw_error *err)
{
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_pgb_process *process = &gate->processes[i];
        if (!gw_pgb_run(process, "SHOW VERSION", GW_PGB_ANSWER_MS, gate->cancel, NULL, err) ||
            !connect_console(process, &process->pauser, gate->cancel, err))
            return false;
    }
    return true;
}

static bool pgbouncer_state(struct gw_gate *base, bool *parked, enum gw_gate_target *target, struct gw_error *err);

/* Connections, the new text of the ini file beside it on disk, and no login under way. */
static bool pgbouncer_prepare(struct gw_gate *base, struct gw_error *err)
{
    struct gw_pgb_gate *gate = (struct gw_pgb_gate *)base;
    enum gw_gate_target now;
    bool parked;
    if (!connect_all(gate, err) || !pgbouncer_state(base, &parked, &now, err))
        return false;
    if (now != GW_GATE_UNKNOWN)
        gw_pgb_stage(gate, now == GW_GATE_BLUE ? GW_GATE_GREEN : GW_GATE_BLUE);
    if (quiet_logins(gate, err)) /* last: it holds until park */
        return true;
    free_logins(gate);
    gw_pgb_unstage(gate);
    return false;
}

static bool pgbouncer_park(struct gw_gate *base, int timeout_ms, struct gw_error *err)
{
    struct gw_pgb_gate *gate = (struct gw_pgb_gate *)base;
    if (!connect_all(gate, err)) {
        free_logins(gate);
        return false;
    }
    if (pause_all(gate, timeout_ms, err)) {
        free_logins(gate);
        GW_CRASH_POINT("gate.park.parked");
        return true;
    }
    struct gw_error undo;
    if (!resume_all(gate, &undo)) {
        gw_log_error(&undo);
        return gw_error_prefix(err, "parking failed, and so did letting traffic go on (%s)", undo.message);
    }
    gw_pgb_unstage(gate);
    return false;
}

/* ---- state ------------------------------------------------------------------------------------------------------- */

static bool pgbouncer_state(struct gw_gate *base, bool *parked, enum gw_gate_target *target, struct gw_error *err)
{
    struct gw_pgb_gate *gate = (struct gw_pgb_gate *)base;
    enum gw_gate_target common = GW_GATE_UNKNOWN;
    bool any = false;
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_pgb_line line;
        if (!gw_pgb_line(gate, &gate->processes[i], &line, err))
            return false;
        enum gw_gate_target one = line.found ? gw_pgb_side_of(gate, &line.address) : GW_GATE_UNKNOWN;
        common = i == 0 || one == common ? one : GW_GATE_UNKNOWN;
        any = any || line.paused;
        if (one != GW_GATE_UNKNOWN)
            gate->sides[one] = line.address; /* the same place in the operator's own words: going back writes those */
    }
    *parked = any;
    *target = common;
    return true;
}

static bool pgbouncer_sessions(struct gw_gate *base, int64_t **ids, size_t *count, struct gw_error *err)
{
    struct gw_pgb_gate *gate = (struct gw_pgb_gate *)base;
    int64_t *found = NULL;
    size_t used = 0;
    size_t capacity = 0;
    for (size_t i = 0; i < gate->process_count; i++) {
        gw_autoresult PGresult *servers = NULL;
        if (!gw_pgb_run(&gate->processes[i], "SHOW SERVERS", GW_PGB_ANSWER_MS, gate->cancel, &servers, err)) {
            free(found);
            return false;
        }
        for (int row = 0; row < PQntuples(servers); row++) {
            int64_t id = strtoll(gw_console_cell(servers, row, "remote_pid"), NULL, 10);
            if (id == 0 || strcmp(gw_console_cell(servers, row, "database"), gate->database) != 0)
                continue;
            found = gw_grow(found, &capacity, used, sizeof *found);
            found[used++] = id;
        }
    }
    *ids = found;
    *count = used;
    return true;
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

static void pgbouncer_close(struct gw_gate *base)
{
    struct gw_pgb_gate *gate = (struct gw_pgb_gate *)base;
    free_logins(gate); /* prepared, and never parked */
    gw_pgb_unstage(gate);
    for (size_t i = 0; i < gate->process_count; i++) {
        PQfinish(gate->processes[i].control);
        PQfinish(gate->processes[i].pauser);
        free(gate->processes[i].ini);
        free(gate->staged[i].path);
    }
    free(gate->processes);
    free(gate->staged);
    free(gate);
}

static bool set_addresses(struct gw_pgb_gate *gate, const char *const urls[2], struct gw_error *err)
{
    for (int side = 0; side < 2; side++)
        if (!gw_gate_address_of_side(gate->settings, side, urls[side], &gate->sides[side], err))
            return false;
    const char *database = gate->settings->database ? gate->settings->database : gate->sides[GW_GATE_BLUE].dbname;
    /* The console's grammar has no way to write a quote inside a quoted name. */
    if (strchr(database, '"') || strlen(database) >= sizeof gate->database)
        return gw_fail(err, GW_ERR_USER, "PgBouncer's console cannot be told about a database named %s", database);
    snprintf(gate->database, sizeof gate->database, "%s", database);
    if (gw_gate_address_equal(&gate->sides[0], &gate->sides[1]))
        return gw_fail(err, GW_ERR_USER, "blue and green have the same address: the gate could not tell them apart");
    return true;
}

static bool pgbouncer_open(const struct gw_migration_gate *settings, const char *blue_url, const char *green_url,
                           struct gw_cancel *cancel, struct gw_gate **out, struct gw_error *err)
{
    if (settings->admin_count == 0) {
        (void)gw_fail(err, GW_ERR_USER, "the pgbouncer gate has no console");
        return gw_error_hint(err, "set gate: admin to the URL of PgBouncer's database \"pgbouncer\"");
    }
    struct gw_pgb_gate *gate = gw_zalloc(sizeof *gate);
    gate->head.type = &gw_gate_pgbouncer;
    gate->settings = settings;
    const char *const urls[2] = {blue_url, green_url};
    gate->cancel = cancel;
    gate->process_count = settings->admin_count;
    gate->processes = gw_calloc(gate->process_count, sizeof *gate->processes);
    gate->staged = gw_calloc(gate->process_count, sizeof *gate->staged);
    for (size_t i = 0; i < gate->process_count; i++) {
        char shown[120];
        gate->processes[i].url = settings->admin[i];
        gw_redact_url(settings->admin[i], shown, sizeof shown);
        snprintf(gate->processes[i].what, sizeof gate->processes[i].what, "PgBouncer's console %s", shown);
    }
    if (!set_addresses(gate, urls, err)) {
        pgbouncer_close(&gate->head);
        return false;
    }
    *out = &gate->head;
    return true;
}

static bool pgbouncer_point(struct gw_gate *base, enum gw_gate_target target, struct gw_error *err)
{
    return gw_pgb_point((struct gw_pgb_gate *)base, target, err);
}

static bool pgbouncer_costs(struct gw_gate *gate, struct gw_buf *lines, struct gw_error *err)
{
    (void)gate;
    (void)err;
    gw_buf_adds(lines,
                "clients wait while traffic is parked; their connections stay, and no query fails as long as the "
                "pause is shorter than their own timeouts\n");
    return true;
}

const struct gw_gate_type gw_gate_pgbouncer = {
    .name = "pgbouncer",
    .parks = true,
    .open = pgbouncer_open,
    .close = pgbouncer_close,
    .preflight = gw_pgb_preflight,
    .costs = pgbouncer_costs,
    .prepare = pgbouncer_prepare,
    .park = pgbouncer_park,
    .point = pgbouncer_point,
    .unpark = pgbouncer_unpark,
    .state = pgbouncer_state,
    .sessions = pgbouncer_sessions,
};
