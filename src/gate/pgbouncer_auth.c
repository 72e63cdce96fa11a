#include "gate/pgbouncer_auth.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <poll.h>
#include <string.h>

#define USERS_MAX_BYTES (16u << 20)
enum { LOGIN_MS = 5000 };

/* ---- auth_file --------------------------------------------------------------------------------------------------- */

/* One "quoted ""text""" from *at; false when there is none or it does not fit. */
static bool quoted(const char **at, char *out, size_t size)
{
    const char *p = *at;
    size_t used = 0;
    while (*p == ' ' || *p == '\t')
        p++;
    if (*p != '"')
        return false;
    for (p++; *p && *p != '\n'; p++) {
        if (*p == '"' && p[1] != '"')
            break;
        if (*p == '"')
            p++;
        if (used + 1 >= size)
            return false;
        out[used++] = *p;
    }
    if (*p != '"')
        return false;
    out[used] = 0;
    *at = p + 1;
    return true;
}

bool gw_pgb_auth_secret(const char *text, const char *user, char *out, size_t size)
{
    char name[256];
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *at = line;
        if (quoted(&at, name, sizeof name) && strcmp(name, user) == 0 && quoted(&at, out, size))
            return true;
    }
    return false;
}

/* ---- one login --------------------------------------------------------------------------------------------------- */

/* As PgBouncer would log in. *conn is owned and open on true; on false `why` has the server's words. */
static bool try_login(const struct gw_gate_address *to, const char *user, const char *password,
                      struct gw_cancel *cancel, PGconn **conn, char *why, size_t why_size)
{
    const char *const keys[] = {"host", "port", "dbname", "user", "password", "fallback_application_name", NULL};
    const char *const values[] = {to->host, to->port, to->dbname, user, password, "godwit gate check", NULL};
    int64_t deadline_us = gw_mono_us() + (int64_t)LOGIN_MS * 1000;
    PGconn *made = PQconnectStartParams(keys, values, 0);
    PostgresPollingStatusType need = PGRES_POLLING_WRITING;
    while (PQstatus(made) != CONNECTION_BAD && need != PGRES_POLLING_OK && need != PGRES_POLLING_FAILED &&
           gw_left_ms(deadline_us) > 0 && !gw_cancel_asked(cancel)) {
        struct pollfd fd = {.fd = PQsocket(made), .events = need == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        poll(&fd, 1, gw_left_ms(deadline_us));
        need = PQconnectPoll(made);
    }
    if (PQstatus(made) == CONNECTION_OK) {
        *conn = made;
        return true;
    }
    const char *words = PQerrorMessage(made);
    if (words[0])
        snprintf(why, why_size, "%.*s", (int)strcspn(words, "\n"), words);
    else
        snprintf(why, why_size, "no answer within %d s", LOGIN_MS / 1000);
    PQfinish(made);
    return false;
}

enum secret_kind { SECRET_PLAIN, SECRET_MD5, SECRET_SCRAM };

static enum secret_kind kind_of(const char *secret)
{
    if (strncmp(secret, "SCRAM-SHA-256$", 14) == 0)
        return SECRET_SCRAM;
    if (strncmp(secret, "md5", 3) == 0 && strlen(secret) == 35 && strspn(secret + 3, "0123456789abcdef") == 32)
        return SECRET_MD5;
    return SECRET_PLAIN;
}

/* ---- the users of the pool --------------------------------------------------------------------------------------- */

struct auth {
    struct gw_pgb_gate *gate;
    struct gw_pgb_process *process;
    enum gw_gate_target target;
    const char *side; /* name of the target */
    struct gw_buf users;
    char auth_user[128];
    struct gw_buf *findings;
};

static void check_password(struct auth *auth, const char *user, const char *secret, const char *from)
{
    char why[512];
    PGconn *conn = NULL;
    switch (kind_of(secret)) {
    case SECRET_SCRAM:
        gw_info("gate: PgBouncer logs user %s in by the SCRAM secret in %s: this works on %s only if pg_authid has "
                "exactly the same secret there (same salt and iterations); copy it, do not set the password again",
                user, from, auth->side);
        return;
    case SECRET_MD5:
        gw_info("gate: PgBouncer logs user %s in by the md5 secret in %s: this works on %s only with an md5 password "
                "there",
                user, from, auth->side);
        return;
    case SECRET_PLAIN:
        break;
    }
    if (try_login(&auth->gate->sides[auth->target], user, secret, auth->gate->cancel, &conn, why, sizeof why)) {
        PQfinish(conn);
        return;
    }
    char to[512];
    gw_gate_address_format(&auth->gate->sides[auth->target], to, sizeof to);
    gw_buf_addf(auth->findings,
                "user %s cannot log in on %s (%s) with the password PgBouncer has for it in %s: %s; clients would fail "
                "after the switch\n",
                user, auth->side, to, from, why);
}

/* auth_query runs on the side PgBouncer leads to: it must be there, and give a row for the clients' users. */
static void check_auth_query(struct auth *auth, const char *user, const char *secret)
{
    char why[512];
    char query[1024];
    PGconn *conn = NULL;
    struct gw_error err;
    if (!gw_pgb_config(auth->process, "auth_query", query, sizeof query, &err))
        return;
    if (!try_login(&auth->gate->sides[auth->target], auth->auth_user, secret, auth->gate->cancel, &conn, why,
                   sizeof why)) {
        gw_buf_addf(auth->findings, "auth_user %s cannot log in on %s: %s\n", auth->auth_user, auth->side, why);
        return;
    }
    const char *const values[] = {user};
    PGresult *result = PQexecParams(conn, query, 1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        const char *words = PQresultErrorMessage(result);
        gw_buf_addf(auth->findings, "auth_query fails on %s: %.*s\n", auth->side, (int)strcspn(words, "\n"), words);
    } else if (PQntuples(result) == 0) {
        gw_buf_addf(auth->findings, "auth_query knows no user %s on %s: its clients could not log in\n", user,
                    auth->side);
    }
    PQclear(result);
    PQfinish(conn);
}

static void check_user(struct auth *auth, const char *user, const char *auth_file)
{
    char secret[1024];
    if (gw_pgb_auth_secret(gw_buf_text(&auth->users), user, secret, sizeof secret))
        check_password(auth, user, secret, auth_file);
    else if (auth->auth_user[0] &&
             gw_pgb_auth_secret(gw_buf_text(&auth->users), auth->auth_user, secret, sizeof secret) &&
             kind_of(secret) == SECRET_PLAIN)
        check_auth_query(auth, user, secret);
    else
        gw_info("gate: whether user %s can log in on %s through PgBouncer could not be checked: its secret is not in "
                "a file godwit can read",
                user, auth->side);
    explicit_bzero(secret, sizeof secret);
}

/* A user fixed in the database's line is the only one that ever logs in. */
static bool check_forced_user(struct auth *auth, bool *forced)
{
    struct gw_pgb_entry entry = {0};
    struct gw_error ignored;
    gw_autobuf struct gw_buf text = {0};
    char user[128];
    char password[512];
    *forced = false;
    if (!gw_pgb_locate(auth->gate, auth->process, &entry, &ignored))
        return false; /* a finding of its own */
    if (gw_file_read(entry.path, USERS_MAX_BYTES, &text, &ignored)) {
        (void)!gw_pgb_ini_value(gw_buf_text(&text), &entry, "auth_user", auth->auth_user, sizeof auth->auth_user);
        *forced = gw_pgb_ini_value(gw_buf_text(&text), &entry, "user", user, sizeof user);
        if (*forced && gw_pgb_ini_value(gw_buf_text(&text), &entry, "password", password, sizeof password))
            check_password(auth, user, password, entry.path);
        explicit_bzero(password, sizeof password);
        if (text.data)
            explicit_bzero(text.data, text.len);
    }
    gw_pgb_entry_release(&entry);
    return true;
}

static bool check_pool_users(struct auth *auth, const char *auth_file, struct gw_error *err)
{
    gw_autoresult PGresult *pools = NULL;
    if (!gw_pgb_run(auth->process, "SHOW POOLS", GW_PGB_ANSWER_MS, NULL, &pools, err))
        return false;
    int checked = 0;
    for (int row = 0; row < PQntuples(pools) && checked < 20; row++) {
        const char *user = gw_console_cell(pools, row, "user");
        if (strcmp(gw_console_cell(pools, row, "database"), auth->gate->database) != 0 ||
            strcmp(user, auth->auth_user) == 0)
            continue;
        check_user(auth, user, auth_file);
        checked++;
    }
    if (checked == 0)
        gw_info("gate: no client has used PgBouncer's database \"%s\" yet: logins on %s were not checked",
                auth->gate->database, auth->side);
    return true;
}

bool gw_pgb_check_auth(struct gw_pgb_gate *gate, enum gw_gate_target target, struct gw_buf *findings,
                       struct gw_error *err)
{
    struct auth auth = {.gate = gate,
                        .process = &gate->processes[0],
                        .target = target,
                        .side = target == GW_GATE_BLUE ? "blue" : "green",
                        .findings = findings};
    char auth_file[1024];
    bool forced;
    struct gw_error ignored;
    if (!gw_pgb_config(auth.process, "auth_file", auth_file, sizeof auth_file, err) ||
        !gw_pgb_config(auth.process, "auth_user", auth.auth_user, sizeof auth.auth_user, err))
        return false;
    if (!check_forced_user(&auth, &forced) || forced)
        return true;
    if (auth_file[0] && !gw_file_read(auth_file, USERS_MAX_BYTES, &auth.users, &ignored))
        gw_debug("gate: %s", ignored.message);
    bool ok = check_pool_users(&auth, auth_file, err);
    if (auth.users.data)
        explicit_bzero(auth.users.data, auth.users.len);
    gw_buf_release(&auth.users);
    return ok;
}
