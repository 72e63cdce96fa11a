/*
 * A connection to PgBouncer's admin console, where every wait has a deadline and can be cancelled: a console command
 * such as PAUSE may never answer.
 *
 * Owned by one thread. Simple protocol only, as the console has no other. Errors never carry the connection string.
 */
#ifndef GW_GATE_CONSOLE_H
#define GW_GATE_CONSOLE_H

#include "base/cancel.h"
#include "base/error.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* Connects within timeout_ms. `what` names it in errors ("PgBouncer's console 127.0.0.1:6432"). */
GW_MUST_CHECK bool gw_console_connect(const char *url, const char *what, int timeout_ms, struct gw_cancel *cancel,
                                      PGconn **out, struct gw_error *err);
/* Sends a command; its answer is fetched by gw_console_answer. */
GW_MUST_CHECK bool gw_console_send(PGconn *conn, const char *command, struct gw_error *err);
/* Takes what has come. *answered: the command is done; then *result is owned (PQclear) and its status is not looked
 * at. False when the connection is gone. Does not wait. */
GW_MUST_CHECK bool gw_console_answer(PGconn *conn, bool *answered, PGresult **result, struct gw_error *err);
/* Sends, waits, and fails unless the answer is a success. *result owned; may be NULL when not wanted. */
GW_MUST_CHECK bool gw_console_run(PGconn *conn, const char *command, int timeout_ms, struct gw_cancel *cancel,
                                  PGresult **result, struct gw_error *err);
/* Fills err from a result that is an error; returns false. */
bool gw_console_fail(const PGresult *result, const char *command, struct gw_error *err);

/* A cell by column name, "" when the column is not there (older versions) or NULL. Borrowed. */
const char *gw_console_cell(const PGresult *result, int row, const char *column);

void gw_console_cleanup(PGresult **result);
#define gw_autoresult __attribute__((cleanup(gw_console_cleanup)))

#endif
