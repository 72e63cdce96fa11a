/*
 * Is PgBouncer ready for a switch? Everything that would make parking hang, reach only some of the clients, drop them,
 * or leave them unable to log in on the other side is found here, each with its fix.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "gate/pgbouncer.h"
#include "gate/pgbouncer_auth.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct preflight {
    struct gw_pgb_gate *gate;
    struct gw_buf *findings;
    int budget_ms;
    int predicted_ms;
    enum gw_gate_target now; /* where the first process leads */
};

static int64_t number(const char *text)
{
    return strtoll(text, NULL, 10);
}

static bool config_number(struct gw_pgb_process *process, const char *key, int64_t *out, struct gw_error *err)
{
    char value[64];
    if (!gw_pgb_config(process, key, value, sizeof value, err))
        return false;
    *out = number(value);
    return true;
}

/* ---- all processes ----------------------------------------------------------------------------------------------- */

static bool is_local(const struct gw_pgb_process *process)
{
    const char *address = PQhostaddr(process->control);
    return !address || !address[0] || strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static bool by_socket(const struct gw_pgb_process *process)
{
    const char *host = PQhost(process->control);
    return host && host[0] == '/';
}

/* How many listening sockets the port has on its busiest address: one for each process of a so_reuseport set.
 * /proc/net/tcp: "sl local_address rem_address st ...", the address and port in hex, 0A = LISTEN. */
static int listeners(int64_t port)
{
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    int most = 0;
    for (size_t t = 0; t < 2; t++) {
        gw_autobuf struct gw_buf text = {0};
        struct gw_error ignored;
        char addresses[64][33];
        int counts[64];
        int known = 0;
        if (!gw_file_read(tables[t], 64u << 20, &text, &ignored))
            continue;
        for (const char *at = gw_buf_text(&text); *at; at += strcspn(at, "\n"), at += *at == '\n') {
            char address[33];
            unsigned at_port;
            unsigned state;
            if (sscanf(at, " %*d: %32[0-9A-F]:%4X %*[0-9A-F]:%*4X %2X", address, &at_port, &state) != 3 ||
                state != 0x0A || at_port != port)
                continue;
            int i = 0;
            while (i < known && strcmp(addresses[i], address) != 0)
                i++;
            if (i == known) {
                if (known == 64)
                    continue;
                snprintf(addresses[known], sizeof addresses[0], "%s", address);
                counts[known++] = 0;
            }
            counts[i]++;
            most = counts[i] > most ? counts[i] : most;
        }
    }
    return most;
}

static bool count_peers(struct gw_pgb_process *process, int *peers, struct gw_error *err)
{
    gw_autoresult PGresult *result = NULL;
    *peers = 0;
    if (gw_pgb_run(process, "SHOW PEERS", GW_PGB_ANSWER_MS, NULL, &result, err)) {
        *peers = PQntuples(result);
        return true;
    }
    return err->kind == GW_ERR_REFUSED; /* 1.18 and older have no peers */
}

static bool check_processes(struct preflight *flight, struct gw_error *err)
{
    struct gw_pgb_gate *gate = flight->gate;
    struct gw_pgb_process *first = &gate->processes[0];
    int64_t shared;
    int64_t port;
    int peers;
    char addresses[512];
    if (!gw_pgb_config(first, "listen_addr", addresses, sizeof addresses, err))
        return false;
    if (!config_number(first, "so_reuseport", &shared, err) || !config_number(first, "listen_port", &port, err) ||
        !count_peers(first, &peers, err))
        return false;
    int seen = is_local(first) && addresses[0] ? listeners(port) : 0; /* unix sockets cannot be shared */
    int there = seen > peers ? seen : peers;
    if (there > (int)gate->process_count)
        gw_buf_addf(flight->findings,
                    "%d PgBouncer processes share port %lld, and gate: admin names %zu: a PAUSE would not reach the "
                    "others; list the console of each, by its own unix socket\n",
                    there, (long long)port, gate->process_count);
    else if (shared && gate->process_count == 1 && there < 1)
        gw_buf_adds(flight->findings,
                    "so_reuseport is on and gate: admin names one console: list the console of each process, by its "
                    "own unix socket (or turn so_reuseport off)\n");
    for (size_t i = 0; shared && there > 1 && i < gate->process_count; i++)
        if (!by_socket(&gate->processes[i]))
            gw_buf_addf(flight->findings,
                        "%s may be any of the processes on port %lld (so_reuseport): name each by its own unix "
                        "socket\n",
                        gate->processes[i].what, (long long)port);
    return true;
}

static bool identify(struct gw_pgb_process *process, struct gw_buf *out, struct gw_error *err)
{
    static const char *const keys[] = {"unix_socket_dir", "pidfile", "listen_addr", "listen_port", "peer_id"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        char value[512];
        if (!gw_pgb_config(process, keys[k], value, sizeof value, err))
            return false;
        gw_buf_addf(out, "%s=%s\n", keys[k], value);
    }
    gw_buf_addf(out, "at=%s", is_local(process) ? "" : PQhostaddr(process->control));
    return true;
}

static bool check_distinct(struct preflight *flight, struct gw_error *err)
{
    struct gw_pgb_gate *gate = flight->gate;
    for (size_t i = 1; i < gate->process_count; i++) {
        gw_autobuf struct gw_buf one = {0};
        if (!identify(&gate->processes[i], &one, err))
            return false;
        for (size_t j = 0; j < i; j++) {
            gw_autobuf struct gw_buf other = {0};
            if (!identify(&gate->processes[j], &other, err))
                return false;
            if (strcmp(gw_buf_text(&one), gw_buf_text(&other)) == 0)
                gw_buf_addf(flight->findings, "%s and %s are the same process: list each process once\n",
                            gate->processes[j].what, gate->processes[i].what);
        }
    }
    return true;
}

/* ---- one process ------------------------------------------------------------------------------------------------- */

static bool check_pool_mode(struct preflight *flight, struct gw_pgb_process *process, const struct gw_pgb_line *line,
                            struct gw_error *err)
{
    char mode[32];
    if (!gw_pgb_config(process, "pool_mode", mode, sizeof mode, err))
        return false;
    bool session = strcmp(line->pool_mode[0] ? line->pool_mode : mode, "session") == 0;
    gw_autoresult PGresult *pools = NULL;
    if (!gw_pgb_run(process, "SHOW POOLS", GW_PGB_ANSWER_MS, NULL, &pools, err))
        return false;
    char who[128] = "";
    for (int row = 0; row < PQntuples(pools); row++) /* a user's own pool_mode overrides the database's */
        if (strcmp(gw_console_cell(pools, row, "database"), flight->gate->database) == 0 &&
            strcmp(gw_console_cell(pools, row, "pool_mode"), "session") == 0)
            snprintf(who, sizeof who, " for user %s", gw_console_cell(pools, row, "user"));
    if (session || who[0])
        gw_buf_addf(flight->findings,
                    "session pooling%s: PAUSE waits until every client has gone; set pool_mode = transaction (the "
                    "application must not rely on session state) and RELOAD\n",
                    who);
    return true;
}

static bool check_timeouts(struct preflight *flight, struct gw_pgb_process *process, struct gw_error *err)
{
    static const char *const keys[] = {"query_wait_timeout", "client_login_timeout"};
    int64_t least_s = (2 * (int64_t)flight->budget_ms + 999) / 1000;
    for (size_t k = 0; k < 2; k++) {
        int64_t limit_s;
        if (!config_number(process, keys[k], &limit_s, err))
            return false;
        if (limit_s > 0 && limit_s * 1000 <= 2 * (int64_t)flight->budget_ms)
            gw_buf_addf(flight->findings,
                        "%s is %lld s: clients parked for the pause budget of %d ms could be dropped; set it above "
                        "%lld, or lower switch: pause_budget\n",
                        keys[k], (long long)limit_s, flight->budget_ms, (long long)least_s);
    }
    int64_t retry_s;
    if (!config_number(process, "server_login_retry", &retry_s, err))
        return false;
    if (retry_s > 1)
        gw_info("gate: server_login_retry is %lld s: should one login on the new side fail, clients wait so long for "
                "the next; 1 is better",
                (long long)retry_s);
    return true;
}

/* Everything but SHOW needs admin_users. A database that cannot exist makes RESUME say which of the two it is. */
static bool check_rights(struct preflight *flight, struct gw_pgb_process *process, struct gw_error *err)
{
    struct gw_error refused;
    if (gw_pgb_run(process, "RESUME \"godwit no such database\"", GW_PGB_ANSWER_MS, NULL, NULL, &refused))
        return true;
    if (refused.kind != GW_ERR_REFUSED)
        return (*err = refused, false);
    if (strstr(refused.detail, "admin access"))
        gw_buf_addf(flight->findings, "%s: the user may look but not PAUSE; add it to admin_users and RELOAD\n",
                    process->what);
    return true;
}

static bool check_ini(struct preflight *flight, struct gw_pgb_process *process, const struct gw_pgb_line *line,
                      struct gw_error *err)
{
    struct gw_pgb_entry entry = {0};
    struct gw_error why;
    (void)err;
    if (!gw_pgb_locate(flight->gate, process, &entry, &why)) {
        gw_buf_addf(flight->findings, "PgBouncer's settings: %s%s%s%s%s%s\n", why.message, why.place[0] ? " (" : "",
                    why.place, why.place[0] ? ")" : "", why.hint[0] ? ": " : "", why.hint);
        return true;
    }
    /* The proof that this is the file PgBouncer reads, and that RELOAD brings no other address in. */
    if (!gw_gate_address_equal(&entry.address, &line->address)) {
        char written[512];
        char is[512];
        gw_gate_address_format(&entry.address, written, sizeof written);
        gw_gate_address_format(&line->address, is, sizeof is);
        gw_buf_addf(flight->findings,
                    "%s:%d says \"%s\" leads to %s, but PgBouncer leads to %s: either it reads another file (SHOW "
                    "CONFIG, conffile), or the file was changed without RELOAD\n",
                    entry.path, entry.line, flight->gate->database, written, is);
    }
    if (!flight->gate->settings->write_ini_command && !gw_pgb_ini_may_stage(entry.path, &why))
        gw_buf_addf(flight->findings, "%s: %s\n", why.message, why.hint);
    gw_pgb_entry_release(&entry);
    return true;
}

static bool check_target(struct preflight *flight, struct gw_pgb_process *process, const struct gw_pgb_line *line)
{
    struct gw_pgb_gate *gate = flight->gate;
    enum gw_gate_target now = gw_pgb_side_of(gate, &line->address);
    if (now == GW_GATE_UNKNOWN) {
        char is[512];
        char blue[512];
        char green[512];
        gw_gate_address_format(&line->address, is, sizeof is);
        gw_gate_address_format(&gate->sides[0], blue, sizeof blue);
        gw_gate_address_format(&gate->sides[1], green, sizeof green);
        gw_buf_addf(flight->findings,
                    "%s: database \"%s\" leads to %s, which is neither blue (%s) nor green (%s): should these be the "
                    "same server by another name, say so with gate: blue and gate: green\n",
                    process->what, gate->database, is, blue, green);
    }
    if (process == &gate->processes[0])
        flight->now = now;
    else if (now != flight->now)
        gw_buf_addf(flight->findings, "%s leads elsewhere than the other processes\n", process->what);
    return true;
}

/* Another name for the same database would go on writing on the old side, into the fence. */
static bool check_aliases(struct preflight *flight, struct gw_pgb_process *process, const struct gw_pgb_line *line,
                          struct gw_error *err)
{
    gw_autoresult PGresult *result = NULL;
    if (!gw_pgb_run(process, "SHOW DATABASES", GW_PGB_ANSWER_MS, NULL, &result, err))
        return false;
    for (int row = 0; row < PQntuples(result); row++) {
        const char *name = gw_console_cell(result, row, "name");
        if (strcmp(name, flight->gate->database) == 0 ||
            strcmp(gw_console_cell(result, row, "host"), line->address.host) != 0 ||
            strcmp(gw_console_cell(result, row, "port"), line->address.port) != 0 ||
            strcmp(gw_console_cell(result, row, "database"), line->address.dbname) != 0)
            continue;
        gw_buf_addf(flight->findings,
                    "PgBouncer's database \"%s\" leads to the same place as \"%s\" and would not be switched: let "
                    "clients use one name, or remove that line\n",
                    name, flight->gate->database);
    }
    return true;
}

/* ---- how long parking will take ---------------------------------------------------------------------------------- */

/* "2026-11-22 07:25:45 UTC" to seconds on some clock; only differences are used. -1 when it is something else. */
static int64_t console_time(const char *text)
{
    struct tm tm = {0};
    return strptime(text, "%Y-%m-%d %H:%M:%S", &tm) ? (int64_t)timegm(&tm) : -1;
}

/* PgBouncer's own clock: the newest request of all is ours, just now. */
static bool console_now(struct gw_pgb_process *process, int64_t *now_s, struct gw_error *err)
{
    gw_autoresult PGresult *clients = NULL;
    if (!gw_pgb_run(process, "SHOW CLIENTS", GW_PGB_ANSWER_MS, NULL, &clients, err))
        return false;
    *now_s = -1;
    for (int row = 0; row < PQntuples(clients); row++) {
        int64_t at_s = console_time(gw_console_cell(clients, row, "request_time"));
        *now_s = at_s > *now_s ? at_s : *now_s;
    }
    return true;
}

static bool predict(struct preflight *flight, struct gw_pgb_process *process, struct gw_error *err)
{
    gw_autoresult PGresult *stats = NULL;
    gw_autoresult PGresult *servers = NULL;
    int64_t now_s;
    if (!gw_pgb_run(process, "SHOW STATS", GW_PGB_ANSWER_MS, NULL, &stats, err) ||
        !gw_pgb_run(process, "SHOW SERVERS", GW_PGB_ANSWER_MS, NULL, &servers, err) ||
        !console_now(process, &now_s, err))
        return false;
    int64_t longest_ms = 1;
    for (int row = 0; row < PQntuples(stats); row++)
        if (strcmp(gw_console_cell(stats, row, "database"), flight->gate->database) == 0) {
            int64_t twice_ms = 2 * number(gw_console_cell(stats, row, "avg_xact_time")) / 1000;
            longest_ms = twice_ms > longest_ms ? twice_ms : longest_ms;
        }
    for (int row = 0; row < PQntuples(servers); row++) {
        if (strcmp(gw_console_cell(servers, row, "database"), flight->gate->database) != 0 ||
            strcmp(gw_console_cell(servers, row, "state"), "active") != 0)
            continue;
        /* What has run for so long is expected to run as long again. */
        int64_t age_ms = (now_s - console_time(gw_console_cell(servers, row, "request_time"))) * 1000;
        if (now_s < 0 || age_ms < 1000)
            continue;
        longest_ms = age_ms > longest_ms ? age_ms : longest_ms;
        if (age_ms > flight->budget_ms)
            gw_buf_addf(flight->findings,
                        "a transaction of user %s has not asked or ended for %lld s (server process %s): parking "
                        "would wait for it; wait until it ends, or end it\n",
                        gw_console_cell(servers, row, "user"), (long long)(age_ms / 1000),
                        gw_console_cell(servers, row, "remote_pid"));
    }
    if (longest_ms > flight->predicted_ms)
        flight->predicted_ms = longest_ms > 1000000 ? 1000000 : (int)longest_ms;
    return true;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bool check_process(struct preflight *flight, struct gw_pgb_process *process, struct gw_error *err)
{
    struct gw_pgb_line line;
    if (!gw_pgb_line(flight->gate, process, &line, err))
        return false;
    if (!line.found) {
        gw_buf_addf(flight->findings,
                    "%s has no database \"%s\": name the one clients connect to with gate: database, with a line of "
                    "its own under [databases]\n",
                    process->what, flight->gate->database);
        return true;
    }
    if (line.disabled)
        gw_buf_addf(flight->findings, "database \"%s\" is disabled: ENABLE \"%s\"\n", flight->gate->database,
                    flight->gate->database);
    if (line.paused)
        gw_buf_addf(flight->findings, "database \"%s\" is paused already, by somebody else: RESUME \"%s\"\n",
                    flight->gate->database, flight->gate->database);
    return check_rights(flight, process, err) && check_target(flight, process, &line) &&
           check_pool_mode(flight, process, &line, err) && check_timeouts(flight, process, err) &&
           check_ini(flight, process, &line, err) && check_aliases(flight, process, &line, err) &&
           predict(flight, process, err);
}

bool gw_pgb_preflight(struct gw_gate *base, int budget_ms, struct gw_buf *findings, int *predicted_park_ms,
                      struct gw_error *err)
{
    struct preflight flight = {
        .gate = (struct gw_pgb_gate *)base, .findings = findings, .budget_ms = budget_ms, .now = GW_GATE_UNKNOWN};
    for (size_t i = 0; i < flight.gate->process_count; i++)
        if (!check_process(&flight, &flight.gate->processes[i], err))
            return false;
    if (!check_processes(&flight, err) || !check_distinct(&flight, err))
        return false;
    if (flight.now != GW_GATE_UNKNOWN) {
        enum gw_gate_target to = flight.now == GW_GATE_BLUE ? GW_GATE_GREEN : GW_GATE_BLUE;
        if (!gw_pgb_check_auth(flight.gate, to, findings, err))
            return false;
    }
    *predicted_park_ms = flight.predicted_ms;
    return true;
}
