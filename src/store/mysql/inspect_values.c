/* check, both sides of one engine: values that stand on blue and that the strict session of a writer does not take. */
#include "base/mem.h"
#include "store/mysql/inspect.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_LOOKED_AT 1000000 /* of a table */

struct enums { /* of one table; owned */
    char *table;
    char **columns;
    size_t count, capacity;
};

static void enums_release(struct enums *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->columns[i]);
    free(e->columns);
    free(e->table);
    *e = (struct enums){0};
}

static void add_question(const struct enums *e, struct gw_buf *sql)
{
    gw_buf_adds(sql, "SELECT COUNT(*)");
    for (size_t i = 0; i < e->count; i++)
        gw_buf_addf(sql, ", COALESCE(SUM(c%zu = 0), 0)", i);
    gw_buf_adds(sql, " FROM (SELECT ");
    for (size_t i = 0; i < e->count; i++) {
        gw_buf_adds(sql, i ? ", " : "");
        gw_mysql_add_ident(sql, e->columns[i]);
        gw_buf_addf(sql, " + 0 AS c%zu", i);
    }
    gw_buf_adds(sql, " FROM ");
    gw_mysql_add_ident(sql, e->table);
    gw_buf_addf(sql, " LIMIT %d) AS looked_at", ROWS_LOOKED_AT);
}

static void add_finding(const struct enums *e, size_t column, const char *rows, bool complete,
                        struct gw_findings *findings)
{
    gw_autofree char *fix =
        gw_asprintf("UPDATE `%s` SET `%s` = ... WHERE `%s` = 0; -- or ALTER TABLE ... MODIFY with a label ''", e->table,
                    e->columns[column], e->columns[column]);
    gw_findings_add(findings, GW_FINDING_BLOCKS, GW_BLUE, "enum-error-value", fix,
                    "%s.%s: %s%s row%s the error value of its ENUM (index 0, shown as ''), which no strict session "
                    "writes: copying and following stop there",
                    e->table, e->columns[column], complete ? "" : "at least ", rows,
                    strcmp(rows, "1") == 0 ? " holds" : "s hold");
}

static bool count_in(struct gw_mysql_conn *blue, const struct enums *e, struct gw_findings *findings,
                     struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    MYSQL_RES *r;
    if (e->count == 0)
        return true;
    add_question(e, &sql);
    if (!gw_mysql_query(blue, gw_buf_text(&sql), &r, err))
        return gw_error_place(err, "%s", e->table);
    MYSQL_ROW row = mysql_fetch_row(r);
    bool complete = row && row[0] && strtoll(row[0], NULL, 10) < ROWS_LOOKED_AT;
    for (size_t i = 0; row && i < e->count; i++)
        if (row[i + 1] && strcmp(row[i + 1], "0") != 0)
            add_finding(e, i, row[i + 1], complete, findings);
    mysql_free_result(r);
    return true;
}

static bool look_for_enums(struct gw_mysql_conn *blue, const struct gw_filter *filter, struct gw_findings *findings,
                           struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    struct enums e = {0};
    if (!gw_mysql_query(blue,
                        "SELECT c.TABLE_NAME, c.COLUMN_NAME FROM information_schema.COLUMNS c"
                        " JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)"
                        " WHERE c.TABLE_SCHEMA = DATABASE() AND c.DATA_TYPE = 'enum' AND t.TABLE_TYPE = 'BASE TABLE'"
                        " AND LEFT(c.TABLE_NAME, 7) <> 'godwit_' ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION",
                        &r, err))
        return false;
    bool ok = true;
    while (ok && (row = mysql_fetch_row(r))) {
        if (!gw_filter_match(filter, "", row[0]))
            continue;
        if (e.table && strcmp(e.table, row[0]) != 0) {
            ok = count_in(blue, &e, findings, err);
            enums_release(&e);
        }
        if (!e.table)
            e.table = gw_strdup(row[0]);
        e.columns = gw_grow(e.columns, &e.capacity, e.count, sizeof *e.columns);
        e.columns[e.count++] = gw_strdup(row[1]);
    }
    ok = ok && count_in(blue, &e, findings, err);
    enums_release(&e);
    mysql_free_result(r);
    return ok;
}

bool gw_mysql_check_values(struct gw_store *base, const struct gw_filter *filter, struct gw_findings *findings,
                           struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = look_for_enums(conn, filter, findings, err);
    gw_mysql_return(conn, !fine);
    return fine;
}
