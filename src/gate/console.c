#include "gate/console.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* Waits for the socket; false only when cancelled. A timeout shows in *left_ms of the caller's deadline. */
static bool wait_socket(PGconn *conn, short events, int64_t deadline_us, struct gw_cancel *cancel, struct gw_error *err)
{
    struct pollfd fds[2] = {{.fd = PQsocket(conn), .events = events},
                            {.fd = cancel ? cancel->fd : -1, .events = POLLIN}};
    if (gw_cancel_asked(cancel))
        return gw_cancel_fail(cancel, err);
    if (poll(fds, 2, gw_left_ms(deadline_us)) < 0 && errno != EINTR)
        return gw_fail_errno(err, errno, "could not wait for a socket");
    if (gw_cancel_asked(cancel))
        return gw_cancel_fail(cancel, err);
    return true;
}

/* libpq's messages end in a line break, and may span lines. */
static void first_line(const char *message, char *out, size_t size)
{
    snprintf(out, size, "%.*s", (int)strcspn(message, "\n"), message);
}

static bool fail_connect(PGconn *conn, const char *what, struct gw_error *err)
{
    char words[512];
    first_line(PQerrorMessage(conn), words, sizeof words);
    (void)gw_fail(err, GW_ERR_REFUSED, "could not connect to %s", what);
    (void)gw_error_detail(err, "%s", words);
    return gw_error_hint(err, "check gate: admin, that PgBouncer runs, and that the user stands in admin_users");
}

bool gw_console_connect(const char *url, const char *what, int timeout_ms, struct gw_cancel *cancel, PGconn **out,
                        struct gw_error *err)
{
    /* The console takes no statement_timeout, options and the like: only what it knows is sent. */
    const char *const keys[] = {"dbname", "fallback_application_name", "client_encoding", NULL};
    const char *const values[] = {url, "godwit gate", "UTF8", NULL};
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    PGconn *conn = PQconnectStartParams(keys, values, 1);
    if (!conn)
        return gw_fail(err, GW_ERR_RESOURCE, "out of memory for a connection to %s", what);
    PostgresPollingStatusType need = PGRES_POLLING_WRITING;
    while (PQstatus(conn) != CONNECTION_BAD && need != PGRES_POLLING_OK && need != PGRES_POLLING_FAILED) {
        if (!wait_socket(conn, need == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_us, cancel, err)) {
            PQfinish(conn);
            return false;
        }
        if (gw_left_ms(deadline_us) == 0) {
            PQfinish(conn);
            return gw_fail(err, GW_ERR_RETRY, "no answer from %s within %d ms", what, timeout_ms);
        }
        need = PQconnectPoll(conn);
    }
    if (PQstatus(conn) != CONNECTION_OK) {
        (void)fail_connect(conn, what, err);
        PQfinish(conn);
        return false;
    }
    *out = conn;
    return true;
}

static bool fail_lost(PGconn *conn, struct gw_error *err)
{
    char words[512];
    first_line(PQerrorMessage(conn), words, sizeof words);
    (void)gw_fail(err, GW_ERR_RETRY, "lost the connection to PgBouncer's console");
    return gw_error_detail(err, "%s", words);
}

bool gw_console_send(PGconn *conn, const char *command, struct gw_error *err)
{
    return PQsendQuery(conn, command) == 1 || fail_lost(conn, err);
}

bool gw_console_answer(PGconn *conn, bool *answered, PGresult **result, struct gw_error *err)
{
    *answered = false;
    if (PQconsumeInput(conn) != 1)
        return fail_lost(conn, err);
    if (PQisBusy(conn))
        return true;
    PGresult *last = NULL;
    PGresult *next;
    while ((next = PQgetResult(conn)) != NULL) { /* one result, and the end right behind it */
        PQclear(last);
        last = next;
    }
    if (PQstatus(conn) == CONNECTION_BAD) {
        PQclear(last);
        return fail_lost(conn, err);
    }
    *answered = true;
    *result = last;
    return true;
}

bool gw_console_fail(const PGresult *result, const char *command, struct gw_error *err)
{
    char words[512];
    first_line(PQresultErrorMessage(result), words, sizeof words);
    (void)gw_fail(err, GW_ERR_REFUSED, "PgBouncer refused %s", command);
    return gw_error_detail(err, "%s", words);
}

bool gw_console_run(PGconn *conn, const char *command, int timeout_ms, struct gw_cancel *cancel, PGresult **result,
                    struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    PGresult *answer = NULL;
    bool answered = false;
    if (!gw_console_send(conn, command, err))
        return false;
    while (!answered) {
        if (!gw_console_answer(conn, &answered, &answer, err))
            return false;
        if (answered)
            break;
        if (gw_left_ms(deadline_us) == 0)
            return gw_fail(err, GW_ERR_RETRY, "PgBouncer did not answer %s within %d ms", command, timeout_ms);
        if (!wait_socket(conn, POLLIN, deadline_us, cancel, err))
            return false;
    }
    ExecStatusType status = PQresultStatus(answer);
    bool ok = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    if (!ok)
        (void)gw_console_fail(answer, command, err);
    if (ok && result)
        *result = answer;
    else
        PQclear(answer);
    return ok;
}

const char *gw_console_cell(const PGresult *result, int row, const char *column)
{
    int field = PQfnumber(result, column);
    if (field < 0 || row >= PQntuples(result))
        return "";
    return PQgetvalue(result, row, field);
}

void gw_console_cleanup(PGresult **result)
{
    PQclear(*result);
}
