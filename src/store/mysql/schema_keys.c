/* Indexes and foreign keys behind the rows. */
#include "base/log.h"
#include "base/mem.h"
#include "store/mysql/schema.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool exists(struct gw_mysql_conn *conn, const char *sql, const char *table, const char *name, bool *there,
                   struct gw_error *err)
{
    gw_autobuf struct gw_buf query = {0};
    gw_autobuf struct gw_buf text = {0};
    gw_buf_adds(&query, sql);
    gw_mysql_add_literal(&query, table);
    gw_buf_adds(&query, " AND n = ");
    gw_mysql_add_literal(&query, name);
    return gw_mysql_query_text(conn, gw_buf_text(&query), &text, there, err);
}

static bool index_there(struct gw_mysql_conn *conn, const char *table, const char *name, bool *there,
                        struct gw_error *err)
{
    return exists(conn,
                  "SELECT 1 FROM (SELECT TABLE_NAME AS t, INDEX_NAME AS n FROM information_schema.STATISTICS"
                  " WHERE TABLE_SCHEMA = DATABASE()) s WHERE t = ",
                  table, name, there, err);
}

/* InnoDB makes one full-text index at a time. */
static bool stands_alone(const char *sql)
{
    return *sql == 'F' || *sql == 'S'; /* FULLTEXT, SPATIAL; not KEY, UNIQUE */
}

static bool alter(struct gw_mysql_conn *conn, const char *table, const struct gw_buf *what, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    if (what->len == 0)
        return true;
    gw_buf_adds(&sql, "ALTER TABLE ");
    gw_mysql_add_ident(&sql, table);
    gw_buf_addf(&sql, " %s", gw_buf_text(what));
    return gw_mysql_exec_buf(conn, &sql, err) || gw_error_place(err, "%s", table);
}

bool gw_mysql_add_indexes(struct gw_mysql_conn *conn, const json_t *table, const char *only, struct gw_error *err)
{
    const char *name = text_of(table, "name");
    gw_autobuf struct gw_buf together = {0};
    const json_t *index;
    size_t i;
    json_array_foreach(json_object_get(table, "indexes"), i, index)
    {
        gw_autobuf struct gw_buf alone = {0};
        bool there = false;
        if (only && strcmp(only, text_of(index, "name")) != 0)
            continue;
        if (!index_there(conn, name, text_of(index, "name"), &there, err))
            return false;
        if (there)
            continue;
        bool single = stands_alone(text_of(index, "sql"));
        gw_buf_addf(single ? &alone : &together, "%sADD %s", !single && together.len ? ", " : "",
                    text_of(index, "sql"));
        if (!alter(conn, name, &alone, err))
            return false;
    }
    return alter(conn, name, &together, err);
}

/* ---- foreign keys ----------------------------------------------------------------------------------------------- */

bool gw_mysql_add_foreign_keys(struct gw_mysql_conn *conn, const json_t *table, struct gw_error *err)
{
    const char *name = text_of(table, "name");
    const json_t *key;
    size_t i;
    json_array_foreach(json_object_get(table, "foreign_keys"), i, key)
    {
        gw_autobuf struct gw_buf what = {0};
        bool there = false;
        if (!exists(conn,
                    "SELECT 1 FROM (SELECT TABLE_NAME AS t, CONSTRAINT_NAME AS n FROM"
                    " information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE()) s WHERE t = ",
                    name, text_of(key, "name"), &there, err))
            return false;
        if (there)
            continue;
        gw_buf_addf(&what, "ADD %s", text_of(key, "sql"));
        if (!alter(conn, name, &what, err))
            return false;
    }
    return true;
}
