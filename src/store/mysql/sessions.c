/*
 * Who is connected: clients of this database that are not ours. A session is ours by the account's user name; it takes
 * the right PROCESS to see those of others.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "store/mysql/conn.h"

#include <inttypes.h>
#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

#define END_PATIENCE_US 3000000

static const char census_sql[] =
    "SELECT p.ID, p.USER, p.HOST, p.COMMAND, COALESCE(TIMESTAMPDIFF(MICROSECOND, t.trx_started, NOW(6)), 0)"
    " FROM information_schema.PROCESSLIST p LEFT JOIN information_schema.INNODB_TRX t ON t.trx_mysql_thread_id = p.ID"
    " WHERE p.DB = DATABASE() AND p.ID <> CONNECTION_ID() AND p.USER NOT IN ('system user', 'event_scheduler')"
    " AND p.USER <> SUBSTRING_INDEX(USER(), '@', 1) ORDER BY p.ID";

static bool census(struct gw_store *base, struct gw_session_info **out, size_t *count, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    MYSQL_RES *r = NULL;
    MYSQL_ROW row;
    size_t n = 0;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = gw_mysql_query(conn, census_sql, &r, err);
    gw_mysql_return(conn, !fine);
    if (!fine)
        return false;
    *out = gw_calloc((size_t)mysql_num_rows(r) + 1, sizeof **out);
    while ((row = mysql_fetch_row(r))) {
        struct gw_session_info *session = &(*out)[n++];
        session->id = strtoll(row[0], NULL, 10);
        session->transaction_age_us = strtoll(row[4], NULL, 10);
        snprintf(session->user, sizeof session->user, "%s", row[1]);
        snprintf(session->address, sizeof session->address, "%s", row[2]);
        snprintf(session->state, sizeof session->state, "%s",
                 strcmp(row[3], "Sleep") != 0      ? "active"
                 : session->transaction_age_us > 0 ? "idle in transaction"
                                                   : "idle");
    }
    mysql_free_result(r);
    *count = n;
    return true;
}

/* Asks the server to end it and waits until it has gone, because its locks go with it. */
static bool end_with(struct gw_mysql_conn *conn, int64_t id, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + END_PATIENCE_US;
    gw_autofree char *look = gw_asprintf("SELECT 1 FROM information_schema.PROCESSLIST WHERE ID = %" PRId64, id);
    gw_autobuf struct gw_buf text = {0};
    bool there = true;
    if (!gw_mysql_execf(conn, err, "KILL %" PRId64, id)) {
        if (gw_mysql_errno(conn) == ER_NO_SUCH_THREAD)
            return true;
        if (err->kind == GW_ERR_REFUSED)
            gw_error_hint(err, "GRANT CONNECTION ADMIN ON *.* TO godwit's account (MySQL: CONNECTION_ADMIN)");
        return gw_error_prefix(err, "ending the session %" PRId64, id);
    }
    while (gw_mysql_query_text(conn, look, &text, &there, err)) {
        if (!there)
            return true;
        if (gw_mono_us() > deadline_us)
            return gw_fail(err, GW_ERR_RETRY, "the session %" PRId64 " was told to end, and is still there", id);
        gw_sleep_us(5000);
    }
    return false;
}

static bool end(struct gw_store *base, int64_t id, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = end_with(conn, id, err);
    gw_mysql_return(conn, !fine);
    return fine;
}

const struct gw_sessions_facet gw_mysql_sessions = {.census = census, .end = end};
