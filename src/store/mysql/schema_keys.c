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

/* What stands behind a word in parentheses, "(`a`,`b`)"; owned, NULL when it is not there. */
static char *list_behind(const char *sql, const char *word, const char **rest)
{
    const char *at = strstr(sql, word);
    const char *open = at ? strchr(at + strlen(word), '(') : NULL;
    const char *close = open ? strchr(open, ')') : NULL;
    if (!close)
        return NULL;
    *rest = close + 1;
    return gw_strndup(open + 1, (size_t)(close - open) - 1);
}

/* `a`,`b` and `x`,`y` to c.`a` = p.`x` AND c.`b` = p.`y`, and c.`a` IS NOT NULL AND ... */
static void add_join(const char *children, const char *parents, struct gw_buf *join, struct gw_buf *given,
                     struct gw_buf *nulls)
{
    while (*children && *parents) {
        size_t c = strcspn(children, ","), p = strcspn(parents, ",");
        const char *and = join->len ? " AND " : "";
        gw_buf_addf(join, "%sc.%.*s = p.%.*s", and, (int)c, children + strspn(children, " "), (int)p,
                    parents + strspn(parents, " "));
        gw_buf_addf(given, "%sc.%.*s IS NOT NULL", and, (int)c, children + strspn(children, " "));
        gw_buf_addf(nulls, "%sc.%.*s = NULL", nulls->len ? ", " : "", (int)c, children + strspn(children, " "));
        children += c + (children[c] == ',');
        parents += p + (parents[p] == ',');
    }
}

/*
 * Rows whose parent was deleted on the source while this side had no foreign key yet: the delete came in the log, its
 * cascade did not. A key that cascades has no such rows on the source, so they are taken away as it does; in a
 * transaction of ours, marked by the position row.
 */
static bool remove_orphans(struct gw_mysql_conn *conn, const char *table, const char *sql, struct gw_error *err)
{
    bool deletes = strstr(sql, " ON DELETE CASCADE") != NULL;
    const char *rest = sql;
    uint64_t rows = 0;
    if (!deletes && !strstr(sql, " ON DELETE SET NULL"))
        return true;
    gw_autofree char *children = list_behind(sql, " FOREIGN KEY ", &rest);
    const char *references = strstr(rest, "REFERENCES ");
    const char *parent = references ? references + 11 : "";
    gw_autofree char *parent_name = gw_strndup(parent, strcspn(parent, "("));
    gw_autofree char *parents = list_behind(rest, "REFERENCES ", &rest);
    gw_autobuf struct gw_buf join = {0};
    gw_autobuf struct gw_buf given = {0};
    gw_autobuf struct gw_buf nulls = {0};
    gw_autobuf struct gw_buf name = {0};
    gw_autobuf struct gw_buf statement = {0};
    if (!children || !parents)
        return gw_fail(err, GW_ERR_BUG, "cannot read the foreign key %s", sql);
    add_join(children, parents, &join, &given, &nulls);
    gw_mysql_add_ident(&name, table);
    gw_buf_addf(&statement, "%s %s c LEFT JOIN %s p ON %s ", deletes ? "DELETE c FROM" : "UPDATE", gw_buf_text(&name),
                parent_name, gw_buf_text(&join));
    if (!deletes)
        gw_buf_addf(&statement, "SET %s ", gw_buf_text(&nulls));
    /* The first column of a key that is referred to is there where the row is. */
    gw_buf_addf(&statement, "WHERE %s AND p.%.*s IS NULL", gw_buf_text(&given), (int)strcspn(parents, ","), parents);
    if (!gw_mysql_exec(conn, "START TRANSACTION; UPDATE godwit_position SET applied_at = UTC_TIMESTAMP(6)", err))
        return false;
    conn->in_transaction = true;
    if (!gw_mysql_exec_counted(conn, &statement, &rows, err) || !gw_mysql_exec(conn, "COMMIT", err))
        return gw_error_place(err, "%s", table);
    conn->in_transaction = false;
    if (rows > 0)
        gw_info("%s: %llu rows whose parent was deleted meanwhile %s", table, (unsigned long long)rows,
                deletes ? "went with it" : "let go of it");
    return true;
}

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
        if (!remove_orphans(conn, name, text_of(key, "sql"), err) || !alter(conn, name, &what, err))
            return false;
    }
    return true;
}
