/*
 * Is HAProxy ready for a switch, and what will one cost? It closes the clients' connections, and that is said in
 * figures.
 */
#include "base/clock.h"
#include "base/file.h"
#include "gate/haproxy.h"
#include "gate/haproxy_config.h"
#include "gate/haproxy_socket.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONFIG_MAX_BYTES = 16 << 20 };

struct preflight {
    struct gw_hap_gate *gate;
    struct gw_buf *findings;
    enum gw_gate_target now; /* where the first process leads */
};

/* The value of "Name: value" in `show info`, "" when it is not there. */
static void info_value(const char *text, const char *name, char *out, size_t size)
{
    size_t len = strlen(name);
    out[0] = 0;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, name, len) == 0 && strncmp(line + len, ": ", 2) == 0)
            snprintf(out, size, "%.*s", (int)strcspn(line + len + 2, "\r\n"), line + len + 2);
}

static bool identify(struct gw_hap_gate *gate, struct gw_hap_process *process, char *out, size_t size,
                     struct gw_buf *findings, struct gw_error *err)
{
    gw_autobuf struct gw_buf answer = {0};
    char pid[32], node[128], processes[16];
    if (!gw_hap_ask(process->socket, "show info", GW_HAP_ANSWER_MS, gate->cancel, &answer, err))
        return false;
    info_value(gw_buf_text(&answer), "Pid", pid, sizeof pid);
    info_value(gw_buf_text(&answer), "node", node, sizeof node);
    info_value(gw_buf_text(&answer), "Nbproc", processes, sizeof processes);
    if (findings && strtol(processes, NULL, 10) > (long)gate->process_count)
        gw_buf_addf(
            findings,
            "HAProxy runs with nbproc %s: list the stats socket of each process in gate: socket, or use threads\n",
            processes);
    snprintf(out, size, "%s@%s", pid, node);
    return true;
}

static bool check_distinct(struct preflight *flight, struct gw_error *err)
{
    struct gw_hap_gate *gate = flight->gate;
    for (size_t i = 0; i < gate->process_count; i++) {
        char one[192], other[192];
        if (!identify(gate, &gate->processes[i], one, sizeof one, i == 0 ? flight->findings : NULL, err))
            return false;
        for (size_t j = 0; j < i; j++) {
            if (!identify(gate, &gate->processes[j], other, sizeof other, NULL, err))
                return false;
            if (strcmp(one, other) == 0)
                gw_buf_addf(flight->findings, "%s and %s are the same process: list each HAProxy once\n",
                            gate->processes[j].socket, gate->processes[i].socket);
        }
    }
    return true;
}

static bool check_level(struct preflight *flight, struct gw_hap_process *process, struct gw_error *err)
{
    gw_autobuf struct gw_buf answer = {0};
    char said[64];
    if (!gw_hap_ask(process->socket, "show cli level", GW_HAP_ANSWER_MS, flight->gate->cancel, &answer, err))
        return false;
    (void)gw_hap_said_nothing(gw_buf_text(&answer), said, sizeof said);
    if (strcmp(said, "admin") != 0)
        gw_buf_addf(
            flight->findings,
            "%s gives level %s, which may look but not switch: add \"level admin\" to its stats socket line and "
            "reload HAProxy\n",
            process->socket, said);
    return true;
}

static void check_servers(struct preflight *flight, const struct gw_hap_process *process)
{
    struct gw_buf *out = flight->findings;
    const struct gw_hap_server *servers = process->servers;
    bool first = process == &flight->gate->processes[0];
    enum gw_gate_target now = gw_hap_target_of(process);
    if (servers[0].mode[0] && strcmp(servers[0].mode, "tcp") != 0)
        gw_buf_addf(out, "backend %s is in mode %s: set mode tcp\n", process->backend, servers[0].mode);
    if (now == GW_GATE_UNKNOWN)
        gw_buf_addf(out,
                    "%s: servers %s and %s of backend %s are both %s: let one of them take connections and the other "
                    "not (set server %s/%s state maint or ready)\n",
                    process->socket, process->names[0], process->names[1], process->backend,
                    gw_hap_in_maintenance(&servers[0]) ? "in maintenance" : "in service", process->backend,
                    process->names[1]);
    else if (!gw_hap_is_running(&servers[now]))
        gw_buf_addf(out, "%s: server %s/%s does not take connections (down or drained)\n", process->socket,
                    process->backend, process->names[now]);
    if (first)
        flight->now = now;
    else if (now != flight->now)
        gw_buf_addf(out, "%s leads elsewhere than the other HAProxys\n", process->socket);
    if (process->others[0])
        gw_buf_addf(out,
                    "backend %s also leads to server %s, which a switch would not turn off: set server %s/%s state "
                    "maint, or take it out of the backend\n",
                    process->backend, process->others, process->backend, process->others);
    for (int side = 0; side < 2; side++)
        if (servers[side].limit == GW_HAP_PARKED_LIMIT)
            gw_buf_addf(
                out,
                "server %s/%s has maxconn %d, by which godwit knows parked traffic: set maxconn server %s/%s to "
                "what it should be\n",
                process->backend, process->names[side], servers[side].limit, process->backend, process->names[side]);
}

static void check_state_file(struct preflight *flight)
{
    const char *path = flight->gate->settings->state_file;
    if (!path)
        return;
    if (flight->gate->process_count > 1)
        gw_buf_adds(flight->findings,
                    "gate: state_file is the file of one HAProxy, and gate: socket lists several: set "
                    "write_state_command instead, which finds the socket in GODWIT_SOCKET\n");
    const char *slash = strrchr(path, '/');
    char folder[4096];
    snprintf(folder, sizeof folder, "%.*s", slash && slash > path ? (int)(slash - path) : 1, slash ? path : ".");
    if (access(folder, W_OK | X_OK) != 0)
        gw_buf_addf(flight->findings,
                    "%s cannot be written here: set gate: write_state_command, or let godwit's user write in %s\n",
                    path, folder);
}

/* What the stats socket does not tell. */
static void check_config(struct preflight *flight, int budget_ms)
{
    const struct gw_migration_gate *settings = flight->gate->settings;
    const char *backend = flight->gate->processes[0].backend;
    gw_autobuf struct gw_buf text = {0};
    struct gw_hap_config config;
    struct gw_error why;
    if (!settings->config)
        return;
    if (!gw_file_read(settings->config, CONFIG_MAX_BYTES, &text, &why)) {
        gw_buf_addf(flight->findings, "gate: config: %s (%s): let godwit's user read it, or leave the key out\n",
                    why.message, why.detail);
        return;
    }
    gw_hap_config_parse(gw_buf_text(&text), backend, &config);
    if (!config.has_backend) {
        gw_buf_addf(flight->findings, "%s has no backend %s: name the file that HAProxy reads it from\n",
                    settings->config, backend);
        return;
    }
    if (config.queue_ms > 0 && config.queue_ms <= 2 * (int64_t)budget_ms)
        gw_buf_addf(flight->findings,
                    "%s of backend %s is %lld ms: clients parked for the pause budget of %d ms could be dropped; set "
                    "timeout queue above %d ms, or lower switch: pause_budget\n",
                    config.by_connect ? "timeout connect, which stands for timeout queue," : "timeout queue", backend,
                    (long long)config.queue_ms, budget_ms, 2 * budget_ms);
    if ((settings->state_file || settings->write_state_command) && (!config.loads_state || !config.has_state_file))
        gw_buf_addf(
            flight->findings,
            "HAProxy would not read the state that godwit keeps for a reload: add %s%s%s to its configuration\n",
            config.has_state_file ? "" : "server-state-file in the global section",
            config.has_state_file || config.loads_state ? "" : " and ",
            config.loads_state ? "" : "load-server-state-from-file global in the backend");
}

/* Looking, and one order: what parking is made of, besides what it waits for. */
bool gw_hap_preflight(struct gw_gate *base, int budget_ms, struct gw_buf *findings, int *predicted_park_ms,
                      struct gw_error *err)
{
    struct preflight flight = {.gate = (struct gw_hap_gate *)base, .findings = findings, .now = GW_GATE_UNKNOWN};
    int64_t began_us = gw_mono_us();
    for (size_t i = 0; i < flight.gate->process_count; i++)
        if (!gw_hap_look(flight.gate, &flight.gate->processes[i], flight.gate->cancel, err))
            return false;
    *predicted_park_ms = (int)(6 * (gw_mono_us() - began_us) / 1000) + 1;
    for (size_t i = 0; i < flight.gate->process_count; i++) {
        check_servers(&flight, &flight.gate->processes[i]);
        if (!check_level(&flight, &flight.gate->processes[i], err))
            return false;
    }
    check_state_file(&flight);
    check_config(&flight, budget_ms);
    if (*predicted_park_ms > budget_ms)
        gw_buf_addf(findings, "HAProxy's stats sockets are slow: parking takes %d ms of a budget of %d ms\n",
                    *predicted_park_ms, budget_ms);
    return check_distinct(&flight, err);
}

bool gw_hap_costs(struct gw_gate *base, struct gw_buf *lines, struct gw_error *err)
{
    struct gw_hap_gate *gate = (struct gw_hap_gate *)base;
    int open = 0;
    for (size_t i = 0; i < gate->process_count; i++) {
        if (!gw_hap_look(gate, &gate->processes[i], gate->cancel, err))
            return false;
        open += gate->processes[i].servers[0].sessions + gate->processes[i].servers[1].sessions;
    }
    gw_buf_addf(lines,
                "every connection through HAProxy is closed (%d are open now), at a switch, at its rehearsal and at a "
                "rollback: a client has to connect again and to repeat what it had not committed\n",
                open);
    gw_buf_addf(
        lines,
        "a transaction gets %lld ms to end (gate: drain); one that is still open then is ended by the closing of "
        "its connection, and a COMMIT under way leaves its client without an answer\n",
        (long long)gate->settings->drain_ms);
    gw_buf_adds(lines, "new connections wait and see no error, as long as the pause is shorter than HAProxy's timeout "
                       "queue (timeout connect where it has none) and the client's own connect timeout\n");
    gw_buf_adds(lines,
                "one connection of each HAProxy is kept until traffic is pointed: should its client write in the "
                "pause, the fence refuses it\n");
    if (!gate->settings->state_file && !gate->settings->write_state_command)
        gw_buf_adds(lines,
                    "where traffic goes is kept in HAProxy's memory alone: after a switch a reload or restart of "
                    "HAProxy leads it back to the side that does not own, whose fence refuses every write; set "
                    "gate: state_file, or turn `disabled` round in its configuration right after the switch\n");
    return true;
}
