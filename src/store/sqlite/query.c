/* Statements that only read: one statement is one snapshot, and the library tells whether it would write. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/sqlite/conn.h"
#include "store/sqlite/sqlite.h"

#include <stdlib.h>
#include <string.h>

static void lite_add_name(struct gw_buf *out, const char *space, const char *name)
{
    (void)space; /* one file */
    gw_lite_add_ident(out, name);
}

static bool prepare(struct gw_lite_conn *conn, const char *sql, sqlite3_stmt **out, struct gw_error *err)
{
    const char *rest = "";
    int rc = sqlite3_prepare_v2(conn->db, sql, -1, out, &rest);
    if (rc != SQLITE_OK)
        return gw_lite_fail(conn, rc, "the query", err);
    if (rest[strspn(rest, "; \t\r\n")])
        return gw_fail(err, GW_ERR_USER, "the query is more than one statement");
    if (*out && sqlite3_stmt_readonly(*out) && sqlite3_column_count(*out) > 0)
        return true;
    return gw_fail(err, GW_ERR_USER, "the query is not one that reads");
}

static bool read_all(struct gw_lite_conn *conn, sqlite3_stmt *statement, const struct gw_query_limits *limits,
                     gw_query_visit *visit, void *arg, struct gw_error *err)
{
    int fields = sqlite3_column_count(statement);
    const char **names = gw_calloc((size_t)fields + 1, sizeof(char *));
    const char **values = gw_calloc((size_t)fields + 1, sizeof(char *));
    size_t *lens = gw_calloc((size_t)fields + 1, sizeof *lens);
    bool ok = true, more = true;
    for (int i = 0; i < fields; i++)
        names[i] = sqlite3_column_name(statement, i);
    for (uint64_t rows = 0; ok && (!limits->rows || rows < limits->rows); rows++) {
        ok = gw_lite_step(conn, statement, &more, err);
        if (!ok || !more)
            break;
        for (int i = 0; i < fields; i++) {
            values[i] = (const char *)sqlite3_column_text(statement, i);
            lens[i] = (size_t)sqlite3_column_bytes(statement, i);
        }
        struct gw_query_row out = {.count = (size_t)fields, .names = names, .values = values, .lens = lens};
        ok = visit(arg, &out, err);
    }
    free(names);
    free(values);
    free(lens);
    return ok;
}

static bool lite_run(struct gw_store *base, const char *sql, const struct gw_query_limits *limits,
                     gw_query_visit *visit, void *arg, int64_t *took_us, struct gw_error *err)
{
    struct gw_lite_conn *conn;
    gw_autostmt sqlite3_stmt *statement = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    int64_t began_us = gw_mono_us();
    conn->steps_until_us = limits->timeout_ms > 0 ? began_us + limits->timeout_ms * 1000 : 0;
    bool ok = prepare(conn, sql, &statement, err) && read_all(conn, statement, limits, visit, arg, err);
    conn->steps_until_us = 0;
    if (took_us)
        *took_us = gw_mono_us() - began_us;
    gw_lite_finalize(&statement);
    gw_lite_return(conn);
    return ok;
}

static bool add_line(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    (void)err;
    gw_buf_addf(arg, "%s\n", row->count > 3 && row->values[3] ? row->values[3] : "");
    return true;
}

static bool lite_explain(struct gw_store *base, const char *sql, const struct gw_query_limits *limits,
                         struct gw_buf *out, struct gw_error *err)
{
    gw_autofree char *explain = gw_asprintf("EXPLAIN QUERY PLAN %s", sql);
    return lite_run(base, explain, limits, add_line, out, NULL, err);
}

const struct gw_query_facet gw_lite_query_facet = {.add_name = lite_add_name,
                                                   .run = lite_run,
                                                   .explain = lite_explain,
                                                   .write_ours = gw_lite_write_ours,
                                                   .ours_begin = ".dbconfig enable_trigger off\nBEGIN;"};
