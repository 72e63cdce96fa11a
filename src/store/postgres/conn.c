/* Connections: opened with pinned settings, waited on with the cancel token, pooled for short calls. */
#include "store/postgres/conn.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/password.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONNECT_TIMEOUT_MS 10000
#define CANCEL_PATIENCE_S 1

/* ---- classification -------------------------------------------------------------------------------------------- */

const char *gw_pg_sqlstate(const PGresult *result)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    return state ? state : "";
}

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static enum gw_error_kind kind_of(const char *state)
{
    static const struct {
        const char *prefix;
        enum gw_error_kind kind;
    } table[] = {
        {"40", GW_ERR_RETRY},          {"55P03", GW_ERR_RETRY},   {"57014", GW_ERR_RETRY},   {"57P01", GW_ERR_RETRY},
        {"57P02", GW_ERR_RETRY},       {"57P03", GW_ERR_RETRY},   {"57P05", GW_ERR_RETRY},   {"25P03", GW_ERR_RETRY},
        {"25P04", GW_ERR_RETRY},       {"08", GW_ERR_RETRY},      {"53300", GW_ERR_RETRY},   {"28", GW_ERR_REFUSED},
        {"42501", GW_ERR_REFUSED},     {"3D000", GW_ERR_REFUSED}, {"57P04", GW_ERR_REFUSED}, {"53", GW_ERR_RESOURCE},
        {"0A000", GW_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (starts(state, table[i].prefix))
            return table[i].kind;
    return GW_ERR_CONFLICT;
}

static const char *hint_for(const char *state)
{
    if (starts(state, "53100"))
        return "make room on the server's disk, then run the same command again: it goes on where it stopped";
    if (starts(state, "53300"))
        return "raise max_connections, or end idle sessions";
    if (starts(state, "42501"))
        return "run the script that \"godwit check --grants\" prints for this side";
    if (starts(state, "28"))
        return "see the user, the password (.pgpass, password_command) and the server's pg_hba.conf";
    return NULL;
}

/* libpq's messages end in a newline; one line reads better. */
/* libpq says some things on several, indented lines: in the middle of our own they are one. Owned. */
static char *one_line(const char *text)
{
    gw_autobuf struct gw_buf out = {0};
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, "\n");
        gw_buf_add(&out, at, len);
        at += len;
        at += strspn(at, "\n\t ");
        if (*at)
            gw_buf_adds(&out, "; ");
    }
    return gw_buf_detach(&out);
}

/* The token that was asked: the store's, or that of the thread itself. NULL: neither. */
static const struct gw_cancel *asked(const struct gw_pg_store *store)
{
    if (gw_cancel_asked(store->cancel))
        return store->cancel;
    return gw_cancel_asked(gw_cancel_own()) ? gw_cancel_own() : NULL;
}

bool gw_pg_fail(struct gw_pg_store *store, PGconn *conn, const PGresult *result, const char *doing,
                struct gw_error *err)
{
    const char *state = gw_pg_sqlstate(result);
    const char *primary = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *detail = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : NULL;
    const char *hint = hint_for(state);
    bool lost = PQstatus(conn) == CONNECTION_BAD;

    if (asked(store) && (lost || starts(state, "57014")))
        return gw_cancel_fail(asked(store), err);
    if (!primary) {
        gw_autofree char *text = one_line(PQerrorMessage(conn));
        gw_fail(err, lost ? GW_ERR_RETRY : GW_ERR_CONFLICT, "%s: %s", doing,
                *text ? text : "the server answered out of turn");
    } else {
        enum gw_error_kind kind = kind_of(state);
        gw_fail(err, lost && kind == GW_ERR_CONFLICT ? GW_ERR_RETRY : kind, "%s: %s (SQLSTATE %s)", doing, primary,
                *state ? state : "none");
        const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
        const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
        if (detail || context)
            gw_error_detail(err, "%s%s%s", detail ? detail : "", detail && context ? "; " : "", context ? context : "");
        else if (table)
            gw_error_detail(err, "table %s", table);
    }
    if (hint)
        gw_error_hint(err, "%s", hint);
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

/* ---- waiting --------------------------------------------------------------------------------------------------- */

static void *send_cancel(void *arg)
{
    PGcancel *cancel = arg;
    char text[256];
    if (!PQcancel(cancel, text, (int)sizeof text))
        gw_debug("cancel request failed: %s", text);
    PQfreeCancel(cancel);
    return NULL;
}

/* A cancel request is a connection of its own and blocks: on a cut network for minutes. Hence a thread that is left
 * behind when it takes long. */
static void cancel_query(PGconn *conn)
{
    if (PQtransactionStatus(conn) != PQTRANS_ACTIVE)
        return;
    PGcancel *cancel = PQgetCancel(conn);
    if (!cancel)
        return;
    pthread_t thread;
    if (pthread_create(&thread, NULL, send_cancel, cancel) != 0) {
        PQfreeCancel(cancel);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CANCEL_PATIENCE_S;
    if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) != 0)
        pthread_detach(thread);
}

static int fd_of(const struct gw_cancel *cancel)
{
    return cancel ? cancel->fd : -1;
}

/* Polls the socket and the cancel tokens. events: POLLIN, POLLOUT. */
static bool poll_socket(struct gw_pg_store *store, PGconn *conn, short events, int timeout_ms, bool *ready,
                        struct gw_error *err)
{
    struct pollfd fds[3] = {{.fd = PQsocket(conn), .events = events},
                            {.fd = fd_of(store->cancel), .events = POLLIN},
                            {.fd = fd_of(gw_cancel_own()), .events = POLLIN}};
    int64_t deadline_us = timeout_ms < 0 ? 0 : gw_mono_us() + (int64_t)timeout_ms * 1000;

    *ready = false;
    for (;;) {
        const struct gw_cancel *stop = asked(store);
        if (stop) {
            cancel_query(conn);
            return gw_cancel_fail(stop, err);
        }
        if (fds[0].fd < 0)
            return gw_pg_fail(store, conn, NULL, "waiting for the server", err);
        int got = poll(fds, 3, timeout_ms < 0 ? -1 : gw_left_ms(deadline_us));
        if (got < 0 && errno != EINTR)
            return gw_fail_errno(err, errno, "cannot wait for a connection");
        if (got > 0 && fds[0].revents) {
            *ready = true;
            return true;
        }
        if (timeout_ms >= 0 && gw_left_ms(deadline_us) == 0)
            return true;
    }
}

bool gw_pg_wait(struct gw_pg_store *store, PGconn *conn, bool for_write, int timeout_ms, bool *ready,
                struct gw_error *err)
{
    short events = (short)(for_write ? POLLIN | POLLOUT : POLLIN);
    return poll_socket(store, conn, events, timeout_ms, ready, err);
}

/* ---- connecting ------------------------------------------------------------------------------------------------ */

static void take_notice(void *arg, const PGresult *result)
{
    (void)arg;
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (text)
        gw_debug("server says: %s", text);
}

/* The five characters behind "FATAL:  " in a verbose message; false when the failure has none (no server spoke). */
static bool sqlstate_in(const char *message, char state[6])
{
    for (const char *p = strstr(message, ":  "); p; p = strstr(p + 1, ":  ")) {
        const char *code = p + 3;
        size_t n = 0;
        while (n < 5 && (isdigit((unsigned char)code[n]) || isupper((unsigned char)code[n])))
            n++;
        if (n == 5 && code[5] == ':') {
            memcpy(state, code, 5);
            state[5] = 0;
            return true;
        }
    }
    return false;
}

/* A store that was opened before may lose its server and get it back; at the first contact it is simply not there. */
static bool fail_connect(struct gw_pg_store *store, PGconn *conn, const char *why, struct gw_error *err)
{
    gw_autofree char *text = gw_strdup(why ? why : PQerrorMessage(conn));
    char state[6] = "";
    bool answered = sqlstate_in(text, state);
    bool opened = store->base.identity.version != 0;
    char *location = strstr(text, "\nLOCATION:");
    if (location)
        *location = 0;
    gw_autofree char *line = one_line(text);
    if (answered) {
        gw_fail(err, kind_of(state) == GW_ERR_CONFLICT ? GW_ERR_REFUSED : kind_of(state), "cannot connect: %s", line);
        if (hint_for(state))
            gw_error_hint(err, "%s", hint_for(state));
    } else {
        bool auth = strstr(text, "fe_sendauth") || strstr(text, "no password supplied");
        gw_fail(err, opened && !auth ? GW_ERR_RETRY : GW_ERR_REFUSED, "cannot connect: %s", line);
        gw_error_hint(err, "%s",
                      auth ? "give a password: .pgpass, PGPASSWORD or password_command"
                           : "see that the server runs, and the host, port and sslmode of the address");
    }
    char url[160];
    gw_redact_url(store->url, url, sizeof url);
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), opened ? store->base.identity.address : url);
}

static int connect_timeout_ms(PGconn *conn)
{
    int timeout_ms = CONNECT_TIMEOUT_MS;
    PQconninfoOption *options = PQconninfo(conn);
    for (PQconninfoOption *o = options; o && o->keyword; o++)
        if (strcmp(o->keyword, "connect_timeout") == 0 && o->val && *o->val) {
            long seconds = strtol(o->val, NULL, 10);
            if (seconds > 0 && seconds < 3600)
                timeout_ms = (int)seconds * 1000;
        }
    PQconninfoFree(options);
    return timeout_ms;
}

static bool finish_connect(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)connect_timeout_ms(conn) * 1000;
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK) {
        bool ready;
        if (status == PGRES_POLLING_FAILED || PQstatus(conn) == CONNECTION_BAD)
            return fail_connect(store, conn, NULL, err);
        if (!poll_socket(store, conn, status == PGRES_POLLING_READING ? POLLIN : POLLOUT, gw_left_ms(deadline_us),
                         &ready, err))
            return false;
        if (!ready)
            return fail_connect(store, conn, "no answer within connect_timeout", err);
        status = PQconnectPoll(conn);
    }
    return true;
}

/* Values must read and write the same on any server, whatever a role or a database has as its default. */
static bool pin_settings(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(
        &sql,
        "SET statement_timeout = 0;SET client_encoding = 'UTF8';SET datestyle = 'ISO, YMD';SET intervalstyle = 'postgres';"
        "SET timezone = 'UTC';SET bytea_output = 'hex';SET extra_float_digits = 3;"
        "SET xmloption = 'content';SET standard_conforming_strings = on;SET array_nulls = on;"
        "SET transform_null_equals = off;SET lc_monetary = 'C';SET lc_numeric = 'C';"
        "SET search_path = '';SET row_security = off;SET jit = off;SET client_min_messages = warning;"
        "SET default_transaction_isolation = 'read committed';SET default_transaction_read_only = off;"
        "SET default_transaction_deferrable = off;SET lock_timeout = 0;"
        "SET idle_in_transaction_session_timeout = 0;SET synchronize_seqscans = off;");
    if (PQserverVersion(conn) >= 140000)
        gw_buf_adds(&sql, "SET idle_session_timeout = 0;");
    if (PQserverVersion(conn) >= 170000)
        gw_buf_adds(&sql, "SET transaction_timeout = 0;");
    return gw_pg_exec(store, conn, gw_buf_text(&sql), err);
}

static void add_option(const char **keys, const char **values, size_t *count, const char *key, const char *value)
{
    keys[*count] = key;
    values[(*count)++] = value;
}

bool gw_pg_connect(struct gw_pg_store *store, enum gw_pg_purpose purpose, const char *what, PGconn **out,
                   struct gw_error *err)
{
    const char *keys[12] = {0};
    const char *values[12] = {0};
    size_t count = 0;
    char name[64];
    gw_autobuf struct gw_buf password = {0};

    if (asked(store))
        return gw_cancel_fail(asked(store), err);
    if (store->password_command &&
        !gw_store_password(&store->base, store->password_command, store->cancel, &password, err))
        return false;
    snprintf(name, sizeof name, "godwit %s", what);
    add_option(keys, values, &count, "keepalives_idle", "30"); /* before the address: what it says wins */
    add_option(keys, values, &count, "keepalives_interval", "10");
    add_option(keys, values, &count, "keepalives_count", "3");
    add_option(keys, values, &count, "tcp_user_timeout", "60000");
    add_option(keys, values, &count, "dbname", store->url);
    if (password.len > 0)
        add_option(keys, values, &count, "password", gw_buf_text(&password));
    add_option(keys, values, &count, "application_name", name);
    add_option(keys, values, &count, "client_encoding", "UTF8");
    if (purpose == GW_PG_REPLICATION)
        add_option(keys, values, &count, "replication", "database");

    PGconn *conn = PQconnectStartParams(keys, values, 1);
    if (!conn)
        return gw_fail(err, GW_ERR_RESOURCE, "no memory for a connection");
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE); /* the only way to the SQLSTATE of a refused connection */
    bool done = finish_connect(store, conn, err);
    if (password.data)
        explicit_bzero(password.data, password.len);
    PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    PQsetNoticeReceiver(conn, take_notice, NULL);
    if (!done || !pin_settings(store, conn, err)) {
        PQfinish(conn);
        return false;
    }
    *out = conn;
    return true;
}

/* ---- running SQL ----------------------------------------------------------------------------------------------- */

bool gw_pg_next_result(struct gw_pg_store *store, PGconn *conn, PGresult **out, struct gw_error *err)
{
    for (;;) {
        int unsent = PQflush(conn);
        bool ready;
        if (unsent < 0)
            break;
        if (unsent == 0 && !PQisBusy(conn)) {
            *out = PQgetResult(conn);
            return true;
        }
        if (!gw_pg_wait(store, conn, unsent > 0, -1, &ready, err))
            return false;
        if (!PQconsumeInput(conn))
            break;
    }
    return gw_pg_fail(store, conn, NULL, "talking to the server", err);
}

/* Reads all results of what was sent; the last one (or the first failed one) stays in *last. */
static bool drain(struct gw_pg_store *store, PGconn *conn, PGresult **last, struct gw_error *err)
{
    PGresult *kept = NULL;
    for (;;) {
        PGresult *result = NULL;
        if (!gw_pg_next_result(store, conn, &result, err)) {
            PQclear(kept);
            return false;
        }
        if (!result)
            break;
        ExecStatusType status = PQresultStatus(result);
        bool failed = kept && PQresultStatus(kept) == PGRES_FATAL_ERROR;
        if (failed) {
            PQclear(result);
        } else {
            PQclear(kept);
            kept = result;
        }
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
            break;
    }
    *last = kept;
    return true;
}

static bool ended_well(const PGresult *result)
{
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        return true;
    default:
        return false;
    }
}

/* "running SELECT ...": enough of the statement to know which it was. */
static void describe(const char *sql, char out[100])
{
    size_t skip = strspn(sql, " \t\r\n");
    size_t len = strcspn(sql + skip, "\r\n");
    snprintf(out, 100, "running \"%.*s\"", len > 72 ? 72 : (int)len, sql + skip);
}

bool gw_pg_query(struct gw_pg_store *store, PGconn *conn, const char *sql, int param_count, const char *const *params,
                 PGresult **out, struct gw_error *err)
{
    char doing[100];
    PGresult *result = NULL;
    int sent = param_count > 0 ? PQsendQueryParams(conn, sql, param_count, NULL, params, NULL, NULL, 0)
                               : PQsendQuery(conn, sql);
    describe(sql, doing);
    if (!sent)
        return gw_pg_fail(store, conn, NULL, doing, err);
    if (!drain(store, conn, &result, err))
        return false;
    if (!result || !ended_well(result)) {
        gw_pg_fail(store, conn, result, doing, err);
        PQclear(result);
        return false;
    }
    *out = result;
    return true;
}

bool gw_pg_exec(struct gw_pg_store *store, PGconn *conn, const char *sql, struct gw_error *err)
{
    PGresult *result;
    if (!gw_pg_query(store, conn, sql, 0, NULL, &result, err))
        return false;
    PQclear(result);
    return true;
}

bool gw_pg_query_text(struct gw_pg_store *store, PGconn *conn, const char *sql, int param_count,
                      const char *const *params, struct gw_buf *out, bool *found, struct gw_error *err)
{
    PGresult *result;
    if (!gw_pg_query(store, conn, sql, param_count, params, &result, err))
        return false;
    bool have = PQntuples(result) > 0 && PQnfields(result) > 0 && !PQgetisnull(result, 0, 0);
    gw_buf_clear(out);
    if (have)
        gw_buf_add(out, PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0));
    if (found)
        *found = have;
    PQclear(result);
    return true;
}

/* ---- pool ------------------------------------------------------------------------------------------------------ */

/* Nothing is due on an idle connection: if there is something to read, it is the server's farewell. */
static bool still_alive(void *session)
{
    PGconn *conn = session;
    struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
    return PQstatus(conn) == CONNECTION_OK && fd.fd >= 0 && poll(&fd, 1, 0) == 0;
}

static void close_idle(void *session)
{
    PQfinish(session);
}

struct gw_idle *gw_pg_pool_new(void)
{
    return gw_idle_new(still_alive, close_idle);
}

bool gw_pg_borrow(struct gw_pg_store *store, PGconn **out, struct gw_error *err)
{
    *out = gw_idle_take(store->pool);
    return *out || gw_pg_connect(store, GW_PG_PLAIN, "control", out, err);
}

void gw_pg_return(struct gw_pg_store *store, PGconn *conn, bool broken)
{
    if (!conn)
        return;
    if (broken || PQstatus(conn) != CONNECTION_OK || PQtransactionStatus(conn) != PQTRANS_IDLE)
        PQfinish(conn);
    else
        gw_idle_give(store->pool, conn);
}

/* ---- SQL text -------------------------------------------------------------------------------------------------- */

static void add_doubled(struct gw_buf *out, const char *text, char quote, bool backslashes)
{
    for (const char *p = text; *p; p++) {
        if (*p == quote || (backslashes && *p == '\\'))
            gw_buf_addc(out, *p);
        gw_buf_addc(out, *p);
    }
}

void gw_pg_add_ident(struct gw_buf *out, const char *name)
{
    gw_buf_addc(out, '"');
    add_doubled(out, name, '"', false);
    gw_buf_addc(out, '"');
}

void gw_pg_add_table(struct gw_buf *out, const struct gw_collection *collection)
{
    gw_pg_add_ident(out, collection->space);
    gw_buf_addc(out, '.');
    gw_pg_add_ident(out, collection->name);
}

void gw_pg_add_literal(struct gw_buf *out, const char *text)
{
    bool escaped = strchr(text, '\\') != NULL;
    gw_buf_adds(out, escaped ? "E'" : "'");
    add_doubled(out, text, '\'', escaped);
    gw_buf_addc(out, '\'');
}
