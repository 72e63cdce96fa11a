/*
 * What acts on the changes godwit applies, and therefore is not on a side while it follows: triggers and events. The
 * server has no way to switch a trigger off, so it is dropped; godwit_loose holds how it was made. Foreign keys stay:
 * the applier's session does not check them.
 *
 * DDL commits by itself: "on" is made step by step and can be taken back (close) until tighten_commit empties the table.
 */
#include "base/log.h"
#include "base/mem.h"
#include "store/mysql/home.h"
#include "store/mysql/schema.h"

#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

struct gw_tighten {
    struct gw_mysql_conn *conn;
    json_t *objects; /* array, in order */
    size_t made;     /* of them are on */
    bool committed;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool keep(struct gw_mysql_conn *conn, const json_t *object, size_t number, struct gw_error *err)
{
    static const char *const columns[] = {"kind", "name", "sql_mode", "charset", "collation", "sql"};
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "INSERT IGNORE INTO godwit_loose (kind, name, sql_mode, charset, collation, definition, number)"
                      " VALUES (");
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        gw_mysql_add_literal(&sql, text_of(object, columns[i]));
        gw_buf_adds(&sql, ", ");
    }
    gw_buf_addf(&sql, "%zu)", number);
    return gw_mysql_exec_buf(conn, &sql, err);
}

bool gw_mysql_loose_defer(struct gw_mysql_conn *conn, const json_t *definitions, struct gw_error *err)
{
    static const char *const kinds[] = {"triggers", "events"};
    for (size_t k = 0; k < 2; k++) {
        const json_t *object;
        size_t i;
        json_array_foreach(json_object_get(definitions, kinds[k]), i, object)
        {
            if (!keep(conn, object, i, err))
                return false;
        }
    }
    return true;
}

/* ---- off -------------------------------------------------------------------------------------------------------- */

static bool drop_object(struct gw_mysql_conn *conn, const char *kind, const char *name, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "DROP %s IF EXISTS ", kind);
    gw_mysql_add_ident(&sql, name);
    return gw_mysql_exec_buf(conn, &sql, err);
}

static bool take_off(struct gw_mysql_conn *conn, const char *kind, const char *names_sql, size_t *count,
                     struct gw_error *err)
{
    MYSQL_RES *names;
    MYSQL_ROW row;
    bool fine = gw_mysql_query(conn, names_sql, &names, err);
    if (!fine)
        return false;
    for (size_t number = 0; fine && (row = mysql_fetch_row(names)); number++) {
        json_t *object = NULL;
        fine = gw_mysql_take_object(conn, kind, row[0], &object, err) && keep(conn, object, number, err) &&
               drop_object(conn, kind, row[0], err);
        json_decref(object);
        *count += fine;
    }
    mysql_free_result(names);
    return fine;
}

static const char triggers_sql[] =
    "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()"
    " AND TRIGGER_NAME NOT LIKE 'godwit|_%' ESCAPE '|'"
    " ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER";
static const char events_sql[] =
    "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() AND STATUS = 'ENABLED'";

bool gw_mysql_loosen(struct gw_store *base, const struct gw_schema *schema, size_t *taken_off, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    size_t count = 0;
    (void)schema;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine =
        take_off(conn, "TRIGGER", triggers_sql, &count, err) && take_off(conn, "EVENT", events_sql, &count, err);
    gw_mysql_return(conn, !fine);
    if (fine)
        *taken_off = count;
    return fine;
}

/* ---- on --------------------------------------------------------------------------------------------------------- */

static bool load_loose(struct gw_mysql_conn *conn, json_t **out, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    *out = json_array();
    if (!gw_mysql_query(conn,
                        "SELECT kind, name, sql_mode, charset, collation, definition FROM godwit_loose"
                        " ORDER BY kind = 'EVENT', number, name",
                        &r, err))
        return gw_mysql_no_such_table(conn, err);
    while ((row = mysql_fetch_row(r)))
        json_array_append_new(*out,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "kind", row[0], "name", row[1], "sql_mode",
                                        row[2], "charset", row[3], "collation", row[4], "sql", row[5]));
    mysql_free_result(r);
    return true;
}

bool gw_mysql_tighten_open(struct gw_store *base, struct gw_tighten **out, struct gw_error *err)
{
    struct gw_tighten *t = gw_zalloc(sizeof *t);
    *out = NULL;
    if (!gw_mysql_connect(gw_mysql_store_of(base), "tighten", &t->conn, err) ||
        !load_loose(t->conn, &t->objects, err)) {
        gw_mysql_tighten_close(t);
        return false;
    }
    if (json_array_size(t->objects) > 0)
        *out = t;
    else
        gw_mysql_tighten_close(t);
    return true;
}

bool gw_mysql_tighten(struct gw_tighten *t, int timeout_ms, struct gw_error *err)
{
    int seconds = (timeout_ms + 999) / 1000;
    if (!gw_mysql_execf(t->conn, err, "SET SESSION lock_wait_timeout = %d", seconds < 1 ? 1 : seconds))
        return false;
    for (t->made = 0; t->made < json_array_size(t->objects); t->made++)
        if (!gw_mysql_make_object(t->conn, json_array_get(t->objects, t->made), err))
            return false;
    return true;
}

bool gw_mysql_tighten_commit(struct gw_tighten *t, struct gw_error *err)
{
    if (!gw_mysql_exec(t->conn, "DELETE FROM godwit_loose", err))
        return false;
    t->committed = true;
    return true;
}

void gw_mysql_tighten_close(struct gw_tighten *t)
{
    struct gw_error err;
    if (!t)
        return;
    for (size_t i = 0; t->conn && !t->committed && i < t->made; i++) {
        const json_t *object = json_array_get(t->objects, i);
        if (!drop_object(t->conn, text_of(object, "kind"), text_of(object, "name"), &err))
            gw_warn("%s %s stays on a side that follows: %s", text_of(object, "kind"), text_of(object, "name"),
                    err.message);
    }
    json_decref(t->objects);
    gw_mysql_close(t->conn);
    free(t);
}

/* Nothing is left for later: foreign keys were never off. */
bool gw_mysql_validate(struct gw_store *base, struct gw_buf *failed, size_t *done, struct gw_error *err)
{
    (void)base, (void)failed, (void)err;
    *done = 0;
    return true;
}

bool gw_mysql_loose_restore(struct gw_mysql_conn *conn, struct gw_error *err)
{
    json_t *objects;
    bool fine = load_loose(conn, &objects, err);
    for (size_t i = 0; fine && i < json_array_size(objects); i++)
        fine = gw_mysql_make_object(conn, json_array_get(objects, i), err);
    if (fine && json_array_size(objects) > 0)
        fine = gw_mysql_exec(conn, "DELETE FROM godwit_loose", err);
    json_decref(objects);
    return fine;
}
