/* Statements that only read: a snapshot of their own, in a transaction that can write nothing. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/mysql/conn.h"

#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>

#define MYSQL_WITH_TIMEOUT 50708

static void my_add_name(struct gw_buf *out, const char *space, const char *name)
{
    (void)space; /* one database */
    gw_mysql_add_ident(out, name);
}

/* A connection of its own, for good: that it takes one statement at a time, and that its time is short, shall not stay
 * with one that others use. */
static bool begin(struct gw_mysql_conn *conn, int64_t timeout_ms, struct gw_error *err)
{
    bool can_end = conn->store->is_mariadb || conn->store->base.identity.version >= MYSQL_WITH_TIMEOUT;
    if (timeout_ms > 0 && can_end) {
        bool set = conn->store->is_mariadb
                       ? gw_mysql_execf(conn, err, "SET max_statement_time = %.3f", (double)timeout_ms / 1e3)
                       : gw_mysql_execf(conn, err, "SET max_execution_time = %lld", (long long)timeout_ms);
        if (!set)
            return false;
    }
    if (!gw_mysql_exec(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", err))
        return false;
    gw_mysql_enter(conn);
    return mysql_set_server_option(conn->my, MYSQL_OPTION_MULTI_STATEMENTS_OFF) == 0 ||
           gw_mysql_fail(conn, "the query", err);
}

/* DDL ends a transaction that only reads before it begins, and is not stopped by it: what gives no rows is not run. */
static bool gives_rows(struct gw_mysql_conn *conn, const struct gw_buf *sql, struct gw_error *err)
{
    MYSQL_STMT *stmt = mysql_stmt_init(conn->my);
    gw_mysql_enter(conn);
    bool ok = mysql_stmt_prepare(stmt, gw_buf_text(sql), sql->len) == 0;
    if (!ok)
        gw_mysql_stmt_fail(conn, stmt, "the query", err);
    else if (mysql_stmt_field_count(stmt) == 0)
        ok = gw_fail(err, GW_ERR_USER, "the query is not one that reads");
    mysql_stmt_close(stmt);
    return ok;
}

/* What is written, or would end the transaction before it is, is the statement's fault; a time out passes. */
static bool fail(struct gw_mysql_conn *conn, struct gw_error *err)
{
    unsigned number = gw_mysql_errno(conn);
    if (number == ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION)
        err->kind = GW_ERR_USER;
    else if (number == ER_STATEMENT_TIMEOUT || number == 3024)
        err->kind = GW_ERR_RETRY;
    return false;
}

static bool read_all(struct gw_mysql_conn *conn, MYSQL_RES *r, const struct gw_query_limits *limits,
                     gw_query_visit *visit, void *arg, struct gw_error *err)
{
    unsigned fields = mysql_num_fields(r);
    const MYSQL_FIELD *field = mysql_fetch_fields(r);
    const char **names = gw_calloc(fields + 1, sizeof(char *)), **values = gw_calloc(fields + 1, sizeof(char *));
    size_t *lens = gw_calloc(fields + 1, sizeof *lens);
    bool ok = true;
    MYSQL_ROW row;
    for (unsigned i = 0; i < fields; i++)
        names[i] = field[i].name;
    for (uint64_t rows = 0; ok && (!limits->rows || rows < limits->rows) && (row = mysql_fetch_row(r)); rows++) {
        const unsigned long *row_lens = mysql_fetch_lengths(r);
        for (unsigned i = 0; i < fields; i++) {
            values[i] = row[i];
            lens[i] = row_lens[i];
        }
        struct gw_query_row out = {.count = fields, .names = names, .values = values, .lens = lens};
        ok = visit(arg, &out, err);
    }
    free(names);
    free(values);
    free(lens);
    return ok && (gw_mysql_rows_ended(conn, err) || fail(conn, err));
}

/* `verb` stands before it: MySQL does not say of an EXPLAIN that it gives rows. */
static bool run(struct gw_store *base, const char *verb, const char *sql, const struct gw_query_limits *limits,
                gw_query_visit *visit, void *arg, int64_t *took_us, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    gw_autobuf struct gw_buf asked = {0}, text = {0};
    MYSQL_RES *r;
    gw_buf_adds(&asked, sql);
    gw_buf_addf(&text, "%s%s", verb, sql);
    if (!gw_mysql_connect(gw_mysql_store_of(base), "query", &conn, err))
        return false;
    bool ok = gives_rows(conn, &asked, err) && begin(conn, limits->timeout_ms, err);
    int64_t began_us = gw_mono_us();
    if (ok)
        ok = gw_mysql_stream(conn, &text, &r, err) || fail(conn, err);
    if (ok) {
        ok = read_all(conn, r, limits, visit, arg, err);
        mysql_free_result(r);
    }
    if (took_us)
        *took_us = gw_mono_us() - began_us;
    gw_mysql_close(conn);
    return ok;
}

static bool my_run(struct gw_store *base, const char *sql, const struct gw_query_limits *limits, gw_query_visit *visit,
                   void *arg, int64_t *took_us, struct gw_error *err)
{
    return run(base, "", sql, limits, visit, arg, took_us, err);
}

static bool add_line(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    (void)err;
    for (size_t i = 0; i < row->count; i++)
        gw_buf_addf(arg, "%s%s=%s", i ? " " : "", row->names[i], row->values[i] ? row->values[i] : "");
    gw_buf_addc(arg, '\n');
    return true;
}

static bool my_explain(struct gw_store *base, const char *sql, const struct gw_query_limits *limits, struct gw_buf *out,
                       struct gw_error *err)
{
    return run(base, "EXPLAIN ", sql, limits, add_line, out, NULL, err);
}

/* ---- what the server spends its time on --------------------------------------------------------------------------- */

struct counted {
    gw_query_visit *visit;
    void *arg;
    uint64_t rows;
};

static bool count_row(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    struct counted *counted = arg;
    counted->rows++;
    return counted->visit(counted->arg, row, err);
}

/* The slow log has the statements with their values; the digests have them without. */
static bool my_busiest(struct gw_store *base, uint64_t most, gw_query_visit *visit, void *arg, struct gw_error *err)
{
    static const char *const sources[] = {
        "SELECT CONVERT(sql_text USING utf8mb4), count(*) AS calls, sum(time_to_sec(query_time) * 1000 "
        "+ microsecond(query_time) / 1000) AS ms FROM mysql.slow_log WHERE db = database() "
        "AND CONVERT(sql_text USING utf8mb4) REGEXP '^[[:space:](]*(select|with|SELECT|WITH)[[:space:]]' "
        "AND user_host NOT LIKE concat(substring_index(current_user(), '@', 1), '[%')",
        "SELECT digest_text, sum(count_star) AS calls, sum(sum_timer_wait) / 1000000000 AS ms "
        "FROM performance_schema.events_statements_summary_by_digest WHERE schema_name = database() "
        "AND digest_text REGEXP '^[[:space:](]*(select|with|SELECT|WITH)[[:space:]]'"};
    const struct gw_query_limits limits = {.timeout_ms = 60000};
    struct counted counted = {visit, arg, 0};
    for (size_t i = 0; i < sizeof sources / sizeof sources[0] && counted.rows == 0; i++) {
        gw_autofree char *sql =
            gw_asprintf("%s GROUP BY 1 ORDER BY 3 DESC LIMIT %llu", sources[i], (unsigned long long)most);
        /* What may not be read is as if it were not kept. */
        if (!my_run(base, sql, &limits, count_row, &counted, NULL, err) &&
            (counted.rows || err->kind == GW_ERR_CANCELLED))
            return false;
    }
    if (counted.rows)
        return true;
    gw_fail(err, GW_ERR_UNSUPPORTED, "this database keeps no statements that may be read");
    return gw_error_hint(err,
                         "SET GLOBAL log_output = 'TABLE', slow_query_log = 1, and GRANT SELECT ON mysql.slow_log to "
                         "godwit's account; or start the server with performance_schema = ON and grant SELECT there");
}

/* The server shows an account its own grants alone, unless it may read the tables of accounts. */
static bool my_rights(struct gw_store *base, gw_query_visit *visit, void *arg, struct gw_error *err)
{
    return my_run(
        base,
        "SELECT '', table_name, 'grant', grantee, group_concat(privilege_type ORDER BY privilege_type "
        "SEPARATOR ', ') FROM information_schema.table_privileges WHERE table_schema = database() "
        "AND grantee <> concat('\\'', replace(current_user(), '@', '\\'@\\''), '\\'') GROUP BY table_name, grantee "
        "UNION ALL SELECT '', '', 'role', grantee, '' FROM information_schema.user_privileges GROUP BY grantee",
        &(struct gw_query_limits){.timeout_ms = 60000}, visit, arg, NULL, err);
}

/* ---- statements that write, as ours -------------------------------------------------------------------------------- */

#define OURS                                                                                                           \
    "INSERT INTO godwit_position (stream, place, text, applied_at) VALUES ('operator', 0, '', UTC_TIMESTAMP(6)) "      \
    "ON DUPLICATE KEY UPDATE applied_at = UTC_TIMESTAMP(6)"

static bool write_one(struct gw_mysql_conn *conn, const char *sql, struct gw_query_done *done, struct gw_error *err)
{
    struct gw_error why;
    if (!gw_mysql_exec(conn, "SAVEPOINT one", err))
        return false;
    gw_autobuf struct gw_buf text = {0};
    gw_buf_adds(&text, sql);
    if (gw_mysql_exec_counted(conn, &text, &done->touched, &why)) {
        return gw_mysql_exec(conn, "RELEASE SAVEPOINT one", err);
    }
    *err = why;
    if (why.kind == GW_ERR_CANCELLED || why.kind == GW_ERR_RETRY) /* a deadlock has undone it all */
        return false;
    done->failed = true;
    snprintf(done->why, sizeof done->why, "%.190s", why.message);
    return gw_mysql_exec(conn, "ROLLBACK TO SAVEPOINT one", err);
}

static bool my_write_ours(struct gw_store *base, const char *const *statements, size_t count,
                          struct gw_query_done *done, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!gw_mysql_connect(gw_mysql_store_of(base), "repair", &conn, err))
        return false;
    bool ok = gw_mysql_exec(conn, "SET SESSION foreign_key_checks = 0, @godwit_ours = 1", err) &&
              gw_mysql_exec(conn, "START TRANSACTION", err) && gw_mysql_exec(conn, OURS, err);
    for (size_t i = 0; ok && i < count; i++)
        ok = write_one(conn, statements[i], &done[i], err);
    ok = ok && gw_mysql_exec(conn, "COMMIT", err);
    gw_mysql_close(conn); /* the server rolls back what is open */
    return ok;
}

const struct gw_query_facet gw_mysql_query_facet = {
    .add_name = my_add_name,
    .run = my_run,
    .explain = my_explain,
    .write_ours = my_write_ours,
    .ours_begin =
        "SET NAMES utf8mb4;\nSET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_BACKSLASH_ESCAPES', foreign_key_checks = 0, @godwit_ours = 1;\nSTART TRANSACTION;\n" OURS
        ";",
    .rights = my_rights,
    .busiest = my_busiest};
