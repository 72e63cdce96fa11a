#include "demo/kind.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "sql_embedded.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READY_MS = 30000, POLL_MS = 20, STOP_MS = 5000 };

static const char *const side_names[2] = {"blue", "green"};

/* ---- programs ---- */

static bool newest_bindir(char *out, size_t size)
{
    glob_t found;
    int best = -1;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) != 0)
        return false;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        int major = (int)strtol(found.gl_pathv[i] + strlen("/usr/lib/postgresql/"), NULL, 10);
        if (major > best) {
            best = major;
            snprintf(out, size, "%.*s", (int)(strlen(found.gl_pathv[i]) - strlen("/initdb")), found.gl_pathv[i]);
        }
    }
    globfree(&found);
    return best > 0;
}

static bool find_bindir(struct gw_demo_servers *servers, const char *bindir)
{
    if (bindir) {
        snprintf(servers->bindir, sizeof servers->bindir, "%s", bindir);
        gw_autofree char *initdb = gw_process_find("initdb", bindir);
        return initdb != NULL;
    }
    if (newest_bindir(servers->bindir, sizeof servers->bindir))
        return true;
    gw_autofree char *initdb = gw_process_find("initdb", NULL);
    if (!initdb)
        return false;
    snprintf(servers->bindir, sizeof servers->bindir, "%.*s", (int)(strlen(initdb) - strlen("/initdb")), initdb);
    return true;
}

static bool find_bouncer(struct gw_demo_servers *servers)
{
    gw_autofree char *path = gw_process_find("pgbouncer", NULL);
    gw_autofree char *other = path ? NULL : gw_process_find("pgbouncer", "/usr/sbin");
    const char *found = path ? path : other;
    if (!found)
        return false;
    snprintf(servers->pgbouncer, sizeof servers->pgbouncer, "%s", found);
    return true;
}

static bool find_programs(struct gw_demo_servers *servers, const char *bindir, struct gw_error *err)
{
    bool postgres = find_bindir(servers, bindir), bouncer = find_bouncer(servers);
    if (postgres && bouncer)
        return true;
    (void)!gw_fail(err, GW_ERR_UNSUPPORTED, "the demo needs %s%s%s, which %s not installed",
                   postgres ? "" : "PostgreSQL's server programs", !postgres && !bouncer ? " and " : "",
                   bouncer ? "" : "PgBouncer", !postgres && !bouncer ? "are" : "is");
    return gw_error_hint(err, "on Debian and Ubuntu: apt-get install postgresql pgbouncer");
}

/* ---- sessions ---- */

bool gw_demo_connect(const struct gw_demo_servers *servers, int side, const char *database, PGconn **out,
                     struct gw_error *err)
{
    gw_autofree char *conninfo =
        gw_asprintf("host=%s/%s port=%d user=postgres dbname=%s connect_timeout=10 client_encoding=UTF8",
                    servers->place->folder, side_names[side], servers->ports[side], database);
    PGconn *conn = PQconnectdb(conninfo);
    if (PQstatus(conn) == CONNECTION_OK) {
        *out = conn;
        return true;
    }
    (void)!gw_fail(err, GW_ERR_REFUSED, "the demo's %s does not answer", side_names[side]);
    (void)!gw_error_detail(err, "%s", PQerrorMessage(conn));
    PQfinish(conn);
    return false;
}

bool gw_demo_sql(PGconn *conn, const char *sql, struct gw_error *err)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (!ok) {
        (void)!gw_fail(err, GW_ERR_CONFLICT, "a statement of the demo failed");
        (void)!gw_error_detail(err, "%s", PQerrorMessage(conn));
    }
    PQclear(result);
    return ok;
}

bool gw_demo_number(PGconn *conn, const char *sql, long long *out, struct gw_error *err)
{
    PGresult *result = PQexec(conn, sql);
    bool ok = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    if (ok) {
        *out = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    } else {
        (void)!gw_fail(err, GW_ERR_CONFLICT, "a question of the demo was not answered");
        (void)!gw_error_detail(err, "%s", PQerrorMessage(conn));
    }
    PQclear(result);
    return ok;
}

/* ---- PostgreSQL ---- */

static bool write_settings(struct gw_demo_servers *servers, int side, struct gw_error *err)
{
    const char *folder = servers->place->folder, *name = side_names[side];
    /* postgresql.conf keeps what initdb found out about this machine. */
    gw_autofree char *conf = gw_asprintf("%s/%s/data/postgresql.auto.conf", folder, name);
    gw_autofree char *hba = gw_asprintf("%s/%s/data/pg_hba.conf", folder, name);
    gw_autobuf struct gw_buf text = {0};
    gw_buf_addf(&text,
                "port = %d\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '%s/%s'\n"
                "wal_level = logical\nmax_connections = 60\nmax_wal_senders = 10\nmax_replication_slots = 10\n"
                "shared_buffers = 64MB\nmax_wal_size = 1GB\npassword_encryption = 'scram-sha-256'\n"
                "log_min_messages = panic\nautovacuum_naptime = 60s\n",
                servers->ports[side], folder, name);
    static const char rules[] = "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
                                "host replication all 127.0.0.1/32 scram-sha-256\n";
    return gw_file_replace(conf, text.data, text.len, err) && gw_demo_place_give(servers->place, conf, err) &&
           gw_file_replace(hba, rules, sizeof rules - 1, err) && gw_demo_place_give(servers->place, hba, err);
}

static bool start_postgres(struct gw_demo_servers *servers, int side, struct gw_error *err)
{
    const char *folder = servers->place->folder, *name = side_names[side];
    gw_autofree char *initdb = gw_asprintf("%s/initdb", servers->bindir);
    gw_autofree char *postgres = gw_asprintf("%s/postgres", servers->bindir);
    gw_autofree char *data = gw_asprintf("%s/%s/data", folder, name);
    const char *init[] = {initdb,      "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8",
                          "--no-sync", NULL};
    const char *start[] = {postgres, "-D", data, NULL};
    if (gw_cancel_asked(servers->cancel))
        return gw_cancel_fail(servers->cancel, err);
    /* The port last: what is free now may not be so after initdb. */
    return gw_demo_place_folder(servers->place, name, err) && gw_demo_run(servers->place, init, err) &&
           gw_demo_free_port(&servers->ports[side], err) && write_settings(servers, side, err) &&
           gw_demo_spawn(servers->place, start, "QUIT", &servers->postgres[side], err);
}

static bool still_runs(struct gw_demo_servers *servers, int side, struct gw_error *err)
{
    bool ended = false;
    struct gw_process_end end;
    if (!gw_process_wait(&servers->postgres[side], 0, &ended, &end, err))
        return false;
    if (!ended)
        return true;
    (void)!gw_fail(err, GW_ERR_REFUSED, "the demo's %s, a PostgreSQL server, ended with exit code %d as it began",
                   side_names[side], end.code);
    return gw_error_hint(err,
                         "does PostgreSQL start on this machine at all? Try pg_createcluster, or initdb and pg_ctl");
}

static bool wait_ready(struct gw_demo_servers *servers, int side, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)READY_MS * 1000;
    PGconn *conn = NULL;
    while (!gw_demo_connect(servers, side, "postgres", &conn, err)) {
        if (gw_left_ms(deadline_us) == 0)
            return false;
        if (!still_runs(servers, side, err))
            return false;
        if (gw_cancel_wait(servers->cancel, POLL_MS))
            return gw_cancel_fail(servers->cancel, err);
    }
    snprintf(servers->version, sizeof servers->version, "%.20s", PQparameterStatus(conn, "server_version"));
    servers->version[strcspn(servers->version, " ")] = 0;
    PQfinish(conn);
    return true;
}

static bool make_roles(struct gw_demo_servers *servers, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    for (const char *c = gw_sql_demo_roles; *c; c++) {
        if (!strncmp(c, "%1$s", 4)) {
            gw_buf_adds(&sql, servers->password);
            c += 3;
        } else {
            gw_buf_addc(&sql, *c);
        }
    }
    if (PQserverVersion(conn) >= 150000)
        gw_buf_adds(&sql, "GRANT SET ON PARAMETER session_replication_role TO godwit;");
    return gw_demo_sql(conn, gw_buf_text(&sql), err) &&
           gw_demo_sql(conn, "CREATE DATABASE app OWNER app_owner TEMPLATE template0", err) &&
           gw_demo_sql(conn, "GRANT CREATE ON DATABASE app TO godwit", err);
}

static bool prepare_database(struct gw_demo_servers *servers, int side, struct gw_error *err)
{
    PGconn *conn = NULL, *app = NULL;
    bool ok = gw_demo_connect(servers, side, "postgres", &conn, err) && make_roles(servers, conn, err) &&
              gw_demo_connect(servers, side, "app", &app, err) &&
              gw_demo_sql(app, "ALTER SCHEMA public OWNER TO app_owner", err) &&
              (side == 1 || gw_demo_sql(app, gw_sql_demo_data, err));
    PQfinish(app);
    PQfinish(conn);
    return ok;
}

/* ---- PgBouncer ---- */

static bool write_bouncer(struct gw_demo_servers *servers, struct gw_error *err)
{
    const char *folder = servers->place->folder;
    gw_autofree char *ini = gw_asprintf("%s/gate/pgbouncer.ini", folder);
    gw_autofree char *users = gw_asprintf("%s/gate/users.txt", folder);
    gw_autobuf struct gw_buf text = {0}, list = {0};
    gw_buf_addf(&text,
                "[databases]\napp = host=127.0.0.1 port=%d dbname=app\n\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
                "listen_port = %d\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = %s\nadmin_users = gate\n"
                "pool_mode = transaction\nmax_client_conn = 100\ndefault_pool_size = 12\nquery_wait_timeout = 60\n"
                "server_login_retry = 1\nlogfile = %s/gate/log\npidfile = %s/gate/pid\n",
                servers->ports[0], servers->gate_port, users, folder, folder);
    gw_buf_addf(&list, "\"app\" \"%s\"\n\"gate\" \"%s\"\n", servers->password, servers->password);
    return gw_demo_place_folder(servers->place, "gate", err) && gw_file_replace(ini, text.data, text.len, err) &&
           gw_demo_place_give(servers->place, ini, err) && gw_file_replace(users, list.data, list.len, err) &&
           gw_demo_place_give(servers->place, users, err);
}

static bool wait_bouncer(struct gw_demo_servers *servers, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)READY_MS * 1000;
    gw_autofree char *conninfo = gw_asprintf("host=127.0.0.1 port=%d user=gate password=%s dbname=pgbouncer",
                                             servers->gate_port, servers->password);
    for (;;) {
        PGconn *conn = PQconnectdb(conninfo);
        bool ok = PQstatus(conn) == CONNECTION_OK;
        if (ok) {
            PGresult *version = PQexec(conn, "SHOW VERSION");
            if (PQntuples(version) == 1)
                snprintf(servers->pgbouncer_version, sizeof servers->pgbouncer_version, "%s",
                         PQgetvalue(version, 0, 0));
            PQclear(version);
        }
        PQfinish(conn);
        if (ok)
            return true;
        if (gw_left_ms(deadline_us) == 0)
            return gw_fail(err, GW_ERR_REFUSED, "the demo's PgBouncer does not answer");
        if (gw_cancel_wait(servers->cancel, POLL_MS))
            return gw_cancel_fail(servers->cancel, err);
    }
}

static bool start_bouncer(struct gw_demo_servers *servers, struct gw_error *err)
{
    gw_autofree char *ini = gw_asprintf("%s/gate/pgbouncer.ini", servers->place->folder);
    const char *argv[] = {servers->pgbouncer, "-q", ini, NULL};
    return gw_demo_free_port(&servers->gate_port, err) && write_bouncer(servers, err) &&
           gw_demo_spawn(servers->place, argv, "KILL", &servers->bouncer, err) && wait_bouncer(servers, err);
}

static bool servers_start(struct gw_demo_servers *servers, struct gw_error *err)
{
    snprintf(servers->password, sizeof servers->password, "%016llx%016llx", (unsigned long long)gw_random64(),
             (unsigned long long)gw_random64());
    return start_postgres(servers, 0, err) && start_postgres(servers, 1, err) && wait_ready(servers, 0, err) &&
           wait_ready(servers, 1, err) && prepare_database(servers, 0, err) && prepare_database(servers, 1, err) &&
           start_bouncer(servers, err);
}

static void servers_stop(struct gw_demo_servers *servers)
{
    struct gw_process *const all[] = {&servers->bouncer, &servers->postgres[0], &servers->postgres[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i]->pid)
            gw_process_signal(all[i], SIGQUIT);
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool ended = false;
        struct gw_process_end end;
        struct gw_error ignored;
        if (all[i]->pid && (!gw_process_wait(all[i], STOP_MS, &ended, &end, &ignored) || !ended))
            gw_process_stop(all[i], 100);
        gw_process_release(all[i]);
    }
}

static void write_store(const struct gw_demo_servers *servers, struct gw_buf *yaml)
{
    gw_buf_addf(yaml,
                "    blue:  postgresql://godwit:${GODWIT_DEMO_PASSWORD}@127.0.0.1:%d/app\n"
                "    green: postgresql://godwit:${GODWIT_DEMO_PASSWORD}@127.0.0.1:%d/app\n"
                "    gate:\n      type: pgbouncer\n"
                "      admin: postgresql://gate:${GODWIT_DEMO_PASSWORD}@127.0.0.1:%d/pgbouncer\n"
                "      ini: %s/gate/pgbouncer.ini\n      database: app\n    copy: { jobs: 2 }\n    pg_bindir: %s\n",
                servers->ports[0], servers->ports[1], servers->gate_port, servers->place->folder, servers->bindir);
}

static void title(const struct gw_demo_servers *servers, struct gw_buf *out)
{
    gw_buf_addf(out, "PostgreSQL %s to PostgreSQL %s through %s", servers->version, servers->version,
                servers->pgbouncer_version);
}

/* ---- clients ---- */

static void *connect_client(const struct gw_demo_servers *servers, char why[GW_DEMO_WHY_MAX])
{
    gw_autofree char *conninfo =
        gw_asprintf("host=127.0.0.1 port=%d user=app password=%s dbname=app connect_timeout=10", servers->gate_port,
                    servers->password);
    PGconn *conn = PQconnectdb(conninfo);
    if (PQstatus(conn) == CONNECTION_OK)
        return conn;
    snprintf(why, GW_DEMO_WHY_MAX, "%s", PQerrorMessage(conn));
    PQfinish(conn);
    return NULL;
}

static bool run_client(void *session, const char *sql, char why[GW_DEMO_WHY_MAX])
{
    PGresult *result = PQexec(session, sql);
    bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!ok)
        snprintf(why, GW_DEMO_WHY_MAX, "%s", PQerrorMessage(session));
    PQclear(result);
    return ok;
}

static bool client_alive(void *session)
{
    return session && PQstatus(session) == CONNECTION_OK;
}

static void disconnect_client(void *session)
{
    PQfinish(session);
}

/* ---- what is there at the end ---- */

static bool ledger(const struct gw_demo_servers *servers, int side, uint64_t **ids, size_t *count, struct gw_error *err)
{
    PGconn *conn = NULL;
    if (!gw_demo_connect(servers, side, "app", &conn, err))
        return false;
    PGresult *rows = PQexec(conn, "SELECT id FROM ledger WHERE id > 0 ORDER BY id");
    bool ok = PQresultStatus(rows) == PGRES_TUPLES_OK;
    if (!ok) {
        (void)!gw_fail(err, GW_ERR_CONFLICT, "the ledger could not be read");
        (void)!gw_error_detail(err, "%s", PQerrorMessage(conn));
    }
    *count = (size_t)PQntuples(rows);
    *ids = gw_calloc(*count + 1, sizeof **ids);
    for (size_t i = 0; i < *count; i++)
        (*ids)[i] = strtoull(PQgetvalue(rows, (int)i, 0), NULL, 10);
    PQclear(rows);
    PQfinish(conn);
    return ok;
}

static bool money(const struct gw_demo_servers *servers, int side, bool *kept, struct gw_error *err)
{
    PGconn *conn = NULL;
    long long wrong = 1;
    if (!gw_demo_connect(servers, side, "app", &conn, err))
        return false;
    bool ok = gw_demo_number(conn, "SELECT (sum(balance) <> 1000 * count(*))::int FROM accounts", &wrong, err);
    PQfinish(conn);
    *kept = wrong == 0;
    return ok;
}

const struct gw_demo_kind gw_demo_kind_servers = {
    .beginning = "starting two throwaway PostgreSQL servers (blue, green) and a PgBouncer",
    .through = "PgBouncer",
    .find = find_programs,
    .start = servers_start,
    .stop = servers_stop,
    .write_store = write_store,
    .title = title,
    .connect = connect_client,
    .run = run_client,
    .alive = client_alive,
    .disconnect = disconnect_client,
    .begin = "BEGIN",
    .now = "now()",
    .shipped = "doc || '{\"shipped\": true}'",
    .ledger = ledger,
    .money = money,
};
