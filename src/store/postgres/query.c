/* Statements that only read: a snapshot of their own, in a transaction that can write nothing. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/postgres/conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MOST 1664 /* the server's own limit */

static void pg_add_name(struct gw_buf *out, const char *space, const char *name)
{
    if (space && *space) {
        gw_pg_add_ident(out, space);
        gw_buf_addc(out, '.');
    }
    gw_pg_add_ident(out, name);
}

static bool begin(struct gw_pg_store *store, PGconn *conn, const struct gw_query_limits *limits, struct gw_error *err)
{
    gw_autofree char *sql = gw_asprintf("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                                        "SET LOCAL statement_timeout = %lld%s",
                                        (long long)limits->timeout_ms,
                                        limits->plain_names ? ";SET LOCAL search_path = \"$user\", public" : "");
    return gw_pg_exec(store, conn, sql, err);
}

struct reading {
    const struct gw_query_limits *limits;
    gw_query_visit *visit;
    void *arg;
    uint64_t rows;
};

static bool hand_out(struct reading *reading, const PGresult *r, struct gw_error *err)
{
    const char *names[FIELDS_MOST], *values[FIELDS_MOST];
    size_t lens[FIELDS_MOST];
    int fields = PQnfields(r) < FIELDS_MOST ? PQnfields(r) : FIELDS_MOST;
    for (int row = 0; row < PQntuples(r); row++) {
        if (reading->limits->rows && reading->rows >= reading->limits->rows)
            return true;
        for (int i = 0; i < fields; i++) {
            names[i] = PQfname(r, i);
            values[i] = PQgetisnull(r, row, i) ? NULL : PQgetvalue(r, row, i);
            lens[i] = (size_t)PQgetlength(r, row, i);
        }
        struct gw_query_row out = {.count = (size_t)fields, .names = names, .values = values, .lens = lens};
        reading->rows++;
        if (!reading->visit(reading->arg, &out, err))
            return false;
    }
    return true;
}

/* 25006: the transaction is read only. */
static bool fail(struct gw_pg_store *store, PGconn *conn, const PGresult *r, struct gw_error *err)
{
    gw_pg_fail(store, conn, r, "the query", err);
    if (strcmp(gw_pg_sqlstate(r), "25006") == 0)
        err->kind = GW_ERR_USER;
    return false;
}

/* The whole answer is read, also behind an error of the caller's: the connection goes back to the others. */
static bool read_all(struct gw_pg_store *store, PGconn *conn, struct reading *reading, struct gw_error *err)
{
    PGresult *r;
    bool ok = true;
    for (;;) {
        struct gw_error later;
        if (!gw_pg_next_result(store, conn, &r, ok ? err : &later))
            return false;
        if (!r)
            return ok;
        ExecStatusType status = PQresultStatus(r);
        if (ok && (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK))
            ok = hand_out(reading, r, err);
        else if (ok && status != PGRES_COMMAND_OK)
            ok = fail(store, conn, r, err);
        PQclear(r);
    }
}

static bool pg_run(struct gw_store *base, const char *sql, const struct gw_query_limits *limits, gw_query_visit *visit,
                   void *arg, int64_t *took_us, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    struct reading reading = {.limits = limits, .visit = visit, .arg = arg};
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool ok = begin(store, conn, limits, err);
    int64_t began_us = gw_mono_us();
    /* The extended protocol takes one statement, never several. */
    if (ok && (!PQsendQueryParams(conn, sql, 0, NULL, NULL, NULL, NULL, 0) || !PQsetSingleRowMode(conn)))
        ok = gw_pg_fail(store, conn, NULL, "the query", err);
    ok = ok && read_all(store, conn, &reading, err);
    if (took_us)
        *took_us = gw_mono_us() - began_us;
    struct gw_error later;
    bool ended = gw_pg_exec(store, conn, "ROLLBACK", &later);
    gw_pg_return(store, conn, !ended);
    return ok;
}

static bool add_line(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    (void)err;
    gw_buf_addf(arg, "%s\n", row->values[0] ? row->values[0] : "");
    return true;
}

static bool pg_explain(struct gw_store *base, const char *sql, const struct gw_query_limits *limits, struct gw_buf *out,
                       struct gw_error *err)
{
    gw_autofree char *explain = gw_asprintf("EXPLAIN %s", sql);
    return pg_run(base, explain, limits, add_line, out, NULL, err);
}

/* ---- what the server spends its time on --------------------------------------------------------------------------- */

struct where {
    struct gw_buf view;
    bool old; /* before PostgreSQL 13: one time for planning and running */
};

static bool take_where(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    struct where *where = arg;
    (void)err;
    pg_add_name(&where->view, row->values[0], "pg_stat_statements");
    where->old = strcmp(row->values[1], "t") == 0;
    return true;
}

static bool pg_busiest(struct gw_store *base, uint64_t most, gw_query_visit *visit, void *arg, struct gw_error *err)
{
    struct where where = {0};
    const struct gw_query_limits limits = {.timeout_ms = 60000};
    bool ok = pg_run(base,
                     "SELECT n.nspname, current_setting('server_version_num')::int < 130000 FROM pg_extension e "
                     "JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'",
                     &limits, take_where, &where, NULL, err);
    if (ok && !where.view.len) {
        gw_fail(err, GW_ERR_UNSUPPORTED, "this database keeps no statements: pg_stat_statements is not there");
        ok = gw_error_hint(err, "put pg_stat_statements into shared_preload_libraries, restart the server, run CREATE "
                                "EXTENSION pg_stat_statements, and GRANT pg_read_all_stats to godwit's role");
    }
    if (ok) {
        const char *time = where.old ? "total_time" : "total_exec_time";
        gw_autofree char *sql = gw_asprintf(
            "SELECT query, sum(calls)::bigint, sum(%s) FROM %s s JOIN pg_database d ON d.oid = s.dbid "
            "WHERE d.datname = current_database() AND s.userid <> (SELECT oid FROM pg_roles WHERE rolname = current_user) "
            "AND query ~* '^[[:space:](]*(select|with|values|table)[[:space:]]' AND query !~ 'pg_catalog[.]' "
            "GROUP BY query ORDER BY 3 DESC LIMIT %llu",
            time, gw_buf_text(&where.view), (unsigned long long)most);
        ok = pg_run(base, sql, &limits, visit, arg, NULL, err);
    }
    gw_buf_release(&where.view);
    return ok;
}

static bool pg_rights(struct gw_store *base, gw_query_visit *visit, void *arg, struct gw_error *err)
{
    return pg_run(
        base,
        "SELECT n.nspname, c.relname, 'owner', pg_get_userbyid(c.relowner)::text, '' "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' "
        "UNION ALL SELECT n.nspname, c.relname, 'grant', "
        "CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END, "
        "string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a "
        "WHERE c.relkind IN ('r', 'p') AND a.grantee <> c.relowner "
        "AND a.grantee <> (SELECT oid FROM pg_roles WHERE rolname = session_user) GROUP BY 1, 2, 3, 4 "
        "UNION ALL SELECT '', '', 'role', rolname, '' FROM pg_roles UNION ALL SELECT '', '', 'role', 'PUBLIC', ''",
        &(struct gw_query_limits){.timeout_ms = 60000}, visit, arg, NULL, err);
}

/* ---- statements that write, as ours -------------------------------------------------------------------------------- */

#define OURS_BEGIN                                                                                                     \
    "BEGIN;\n"                                                                                                         \
    "SET LOCAL godwit.ours = on;\n"                                                                                    \
    "INSERT INTO godwit.position (stream, \"order\", text) VALUES ('operator', 0, '')\n"                               \
    "  ON CONFLICT (stream) DO UPDATE SET applied_at = clock_timestamp();"

static bool write_one(struct gw_pg_store *store, PGconn *conn, const char *sql, struct gw_query_done *done,
                      struct gw_error *err)
{
    struct gw_error why;
    PGresult *r = NULL;
    if (!gw_pg_exec(store, conn, "SAVEPOINT one", err))
        return false;
    if (gw_pg_query(store, conn, sql, 0, NULL, &r, &why)) {
        done->touched = strtoull(PQcmdTuples(r), NULL, 10);
        PQclear(r);
        return gw_pg_exec(store, conn, "RELEASE SAVEPOINT one", err);
    }
    *err = why;
    if (why.kind == GW_ERR_CANCELLED || PQstatus(conn) != CONNECTION_OK)
        return false;
    done->failed = true;
    snprintf(done->why, sizeof done->why, "%.190s", why.message);
    return gw_pg_exec(store, conn, "ROLLBACK TO SAVEPOINT one; RELEASE SAVEPOINT one", err);
}

static bool pg_write_ours(struct gw_store *base, const char *const *statements, size_t count,
                          struct gw_query_done *done, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    struct gw_error later;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool ok = gw_pg_exec(store, conn, OURS_BEGIN, err);
    if (ok && (base->identity.capabilities & GW_CAN_REPLICA_ROLE))
        ok = gw_pg_exec(store, conn, "SET LOCAL session_replication_role = replica", err);
    for (size_t i = 0; ok && i < count; i++)
        ok = write_one(store, conn, statements[i], &done[i], err);
    ok = ok && gw_pg_exec(store, conn, "COMMIT", err);
    bool ended = ok || gw_pg_exec(store, conn, "ROLLBACK", &later);
    gw_pg_return(store, conn, !ended);
    return ok;
}

const struct gw_query_facet gw_pg_query_facet = {.add_name = pg_add_name,
                                                 .run = pg_run,
                                                 .explain = pg_explain,
                                                 .write_ours = pg_write_ours,
                                                 .ours_begin = OURS_BEGIN,
                                                 .insert_words = " OVERRIDING SYSTEM VALUE",
                                                 .rights = pg_rights,
                                                 .busiest = pg_busiest};
