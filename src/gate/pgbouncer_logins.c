/*
 * No PAUSE while PgBouncer logs in to a server.
 *
 * PAUSE cuts off a login that is under way, and PgBouncer takes that for a server that refuses: after RESUME it opens
 * no connection for server_login_retry (15 s by default), and clients that ask meanwhile are dropped ("server login has
 * been failing"). Seen on 1.18 in most of back-to-back switches. So, just before PAUSE, new logins are held back by
 * lowering the limits at run time, and those under way are waited for: a few milliseconds. Clients notice nothing but
 * that wait. The limits are put back while paused; RELOAD would put them back too, so a killed godwit leaves nothing.
 */
#include "base/clock.h"
#include "base/log.h"
#include "gate/pgbouncer.h"

#include <string.h>

enum { LOGINS_MS = 1000, LOOK_US = 500 };

/* A database's own pool_size or max_db_connections goes before one of these, hardly ever before both. */
static const char *const limits[GW_PGB_LIMITS] = {"default_pool_size", "max_db_connections"};
static const char held[] = "1"; /* the least: with a server connection there is no room for another */

static bool set_limit(struct gw_pgb_process *process, const char *key, const char *value, struct gw_cancel *cancel,
                      struct gw_error *err)
{
    char command[160];
    snprintf(command, sizeof command, "SET %s = '%s'", key, value);
    return gw_pgb_run(process, command, GW_PGB_ANSWER_MS, cancel, NULL, err);
}

static bool read_limits(struct gw_pgb_process *process, struct gw_error *err)
{
    for (int i = 0; i < GW_PGB_LIMITS; i++) {
        if (!gw_pgb_config(process, limits[i], process->limits[i], sizeof process->limits[i], err))
            return false;
        if (!process->limits[i][0]) {
            (void)gw_fail(err, GW_ERR_UNSUPPORTED, "this PgBouncer has no setting %s", limits[i]);
            return gw_error_place(err, "%s", process->what);
        }
    }
    return true;
}

static bool count_logins(struct gw_pgb_gate *gate, struct gw_pgb_process *process, int *logins, struct gw_error *err)
{
    gw_autoresult PGresult *pools = NULL;
    if (!gw_pgb_run(process, "SHOW POOLS", GW_PGB_ANSWER_MS, gate->cancel, &pools, err))
        return false;
    *logins = 0;
    for (int row = 0; row < PQntuples(pools); row++)
        if (strcmp(gw_console_cell(pools, row, "database"), gate->database) == 0 &&
            strcmp(gw_console_cell(pools, row, "sv_login"), "0") != 0)
            (*logins)++;
    return true;
}

bool gw_pgb_hold_logins(struct gw_pgb_gate *gate, struct gw_pgb_process *process, struct gw_error *err)
{
    if (process->holding)
        return true;
    if (!read_limits(process, err))
        return false;
    process->holding = true;
    for (int i = 0; i < GW_PGB_LIMITS; i++)
        if (!set_limit(process, limits[i], held, gate->cancel, err))
            return false;
    return true;
}

bool gw_pgb_wait_logins(struct gw_pgb_gate *gate, struct gw_pgb_process *process, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + LOGINS_MS * 1000;
    for (;;) {
        int logins;
        if (!count_logins(gate, process, &logins, err))
            return false;
        if (logins == 0)
            return true;
        if (gw_left_ms(deadline_us) == 0) {
            (void)gw_fail(err, GW_ERR_RETRY, "PgBouncer has been logging in to a server for %d ms", LOGINS_MS);
            (void)gw_error_place(err, "%s", process->what);
            return gw_error_hint(err, "see PgBouncer's log: does the server it leads to take connections?");
        }
        gw_sleep_us(LOOK_US);
    }
}

void gw_pgb_free_logins(struct gw_pgb_process *process)
{
    struct gw_error err;
    if (!process->holding)
        return;
    bool left_by_other = true; /* a godwit that was killed in the middle: what the limits were, the file knows */
    for (int i = 0; i < GW_PGB_LIMITS; i++)
        left_by_other = left_by_other && strcmp(process->limits[i], held) == 0;
    bool ok = true;
    for (int i = 0; ok && !left_by_other && i < GW_PGB_LIMITS; i++)
        ok = set_limit(process, limits[i], process->limits[i], NULL, &err);
    if (left_by_other)
        ok = gw_pgb_run(process, "RELOAD", GW_PGB_ANSWER_MS, NULL, NULL, &err);
    process->holding = !ok;
    if (!ok)
        gw_log_error(&err);
}
