/*
 * Parking: new connections wait in the backend's queue, and those that are there are closed, each as soon as the owner
 * says that it is between two transactions. What is still in one when the drain time is over is closed all the same.
 *
 * One idle connection of each process is kept: it fills the server's maxconn of 1, so that nobody comes through. HAProxy
 * does not count those that had waited in its queue (seen on 2.6); where all had, the first client that comes back gets
 * through to the old owner, and its connection is the one that is kept. Should a client write on a kept one, it meets
 * the fence.
 */
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/haproxy.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 5 };

struct drain {
    struct gw_hap_gate *gate;
    int64_t drain_us, end_us; /* until when transactions are waited for, and all of it lasts */
    int closed, cut;          /* connections; those that were not known to be between transactions */
    char (*kept)[32];         /* of each process: the session that stays; "" */
};

enum activity { IDLE, BUSY, NOT_KNOWN };

struct census {
    bool asked;
    struct gw_session_info *items; /* owned */
    size_t count;
};

/* Without the owner's word (the watchdog's repair) all count as idle: there is nothing to wait for. */
static enum activity activity_of(const struct census *census, const struct gw_hap_session *session)
{
    if (!census->asked)
        return IDLE;
    for (size_t i = 0; i < census->count; i++)
        if (session->address[0] && strcmp(census->items[i].address, session->address) == 0)
            return census->items[i].transaction_age_us > 0 ? BUSY : IDLE;
    return NOT_KNOWN; /* logging in, in another database, or behind a translation of addresses */
}

static bool take_census(struct drain *drain, struct census *census, struct gw_error *err)
{
    struct gw_store *owner = drain->gate->owner;
    *census = (struct census){0};
    if (!owner || !owner->type->sessions || !owner->type->sessions->census)
        return true;
    census->asked = true;
    return owner->type->sessions->census(owner, &census->items, &census->count, err);
}

/* *left: connections that are still to go. */
static bool drain_process(struct drain *drain, size_t index, const struct census *census, bool over, size_t *left,
                          struct gw_error *err)
{
    struct gw_hap_process *process = &drain->gate->processes[index];
    enum gw_gate_target side = gw_hap_target_of(process);
    struct gw_hap_session *sessions = NULL;
    size_t count = 0;
    char *kept = drain->kept[index];
    bool kept_is_there = false;
    gw_autobuf struct gw_buf commands = {0};
    *left = 0;
    if (!gw_hap_sessions(process, drain->gate->cancel, &sessions, &count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        kept_is_there = kept_is_there || strcmp(sessions[i].id, kept) == 0;
    if (!kept_is_there)
        kept[0] = 0;
    for (size_t i = 0; i < count; i++) {
        const struct gw_hap_session *session = &sessions[i];
        if (!session->server[0] || (side != GW_GATE_UNKNOWN && strcmp(session->server, process->names[side]) != 0))
            continue;
        enum activity activity = activity_of(census, session);
        if (activity == IDLE && !kept[0] && session->has_slot)
            snprintf(kept, sizeof drain->kept[0], "%s", session->id);
        if (activity == IDLE && strcmp(session->id, kept) == 0)
            continue;
        (*left)++;
        if (activity != IDLE && !over)
            continue;
        if (!gw_hap_add_shut(process, session, &commands))
            continue;
        drain->closed++;
        drain->cut += activity != IDLE;
    }
    free(sessions);
    return gw_hap_shut(process, &commands, err);
}

/* Until no connection is left but the kept ones. What comes through where none is kept is one client at a time. */
static bool drain_all(struct drain *drain, struct gw_error *err)
{
    for (bool finished = false; !finished;) {
        struct census census;
        bool over = gw_left_ms(drain->drain_us) == 0;
        size_t left = 0;
        bool ok = take_census(drain, &census, err);
        for (size_t i = 0; ok && i < drain->gate->process_count; i++) {
            size_t one;
            ok = drain_process(drain, i, &census, over, &one, err);
            left += one;
        }
        free(census.items);
        if (!ok)
            return false;
        finished = left == 0 || over; /* over: all were told to end */
        if (!finished && gw_left_ms(drain->end_us) == 0)
            return gw_fail(err, GW_ERR_RETRY, "%zu connections through HAProxy do not end", left);
        if (!finished && gw_cancel_wait(drain->gate->cancel, LOOK_MS))
            return gw_cancel_fail(drain->gate->cancel, err);
    }
    return true;
}

static bool hold_new(struct gw_hap_gate *gate, struct gw_error *err)
{
    for (size_t i = 0; i < gate->process_count; i++) {
        struct gw_hap_process *process = &gate->processes[i];
        gw_autobuf struct gw_buf commands = {0};
        if (!gw_hap_look(gate, process, gate->cancel, err))
            return false;
        for (int side = 0; side < 2; side++)
            if (!gw_hap_in_maintenance(&process->servers[side]))
                gw_buf_addf(&commands, "%sset maxconn server %s/%s %d", commands.len ? ";" : "", process->backend,
                            process->names[side], GW_HAP_PARKED_LIMIT);
        if (commands.len && !gw_hap_order(process, gw_buf_text(&commands), gate->cancel, err))
            return false;
        GW_CRASH_POINT("gate.park.holding");
    }
    return true;
}

bool gw_hap_park(struct gw_gate *base, int timeout_ms, struct gw_error *err)
{
    struct gw_hap_gate *gate = (struct gw_hap_gate *)base;
    int64_t began_us = gw_mono_us();
    int64_t drain_ms = gate->settings->drain_ms < timeout_ms / 2 ? gate->settings->drain_ms : timeout_ms / 2;
    struct drain drain = {
        .gate = gate, .drain_us = began_us + drain_ms * 1000, .end_us = began_us + (int64_t)timeout_ms * 1000};
    struct gw_error undo;
    drain.kept = gw_calloc(gate->process_count, sizeof *drain.kept);
    bool ok = hold_new(gate, err) && drain_all(&drain, err);
    free(drain.kept);
    if (ok) {
        GW_CRASH_POINT("gate.park.parked");
        gw_info("gate: closed %d connections of clients, %d of them in the middle of something", drain.closed,
                drain.cut);
        return true;
    }
    if (!gw_hap_unpark(base, &undo)) {
        gw_log_error(&undo);
        return gw_error_prefix(err, "parking failed, and so did letting traffic go on (%s)", undo.message);
    }
    return false;
}
