/* Definitions as the source gives them. */
#include "store/mysql/schema.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

/* ---- a table comes apart ---------------------------------------------------------------------------------------- */

/* The end of what begins at p: the comma, or the closing parenthesis, of its own depth. Texts have no backslashes that
 * escape (sql_mode NO_BACKSLASH_ESCAPES), so a doubled quote just ends and begins one. */
static const char *end_of_item(const char *p)
{
    int depth = 0;
    for (; *p; p++) {
        if (*p == '\'' || *p == '`' || *p == '"') {
            const char *close = strchr(p + 1, *p);
            if (!close)
                return p + strlen(p);
            p = close;
        } else if (*p == '(') {
            depth++;
        } else if (*p == ')' && depth-- == 0) {
            return p;
        } else if (*p == ',' && depth == 0) {
            return p;
        }
    }
    return p;
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* The first quoted name behind `p`; owned, "" when there is none. */
static char *name_in(const char *p, size_t len)
{
    gw_autobuf struct gw_buf name = {0};
    const char *end = p + len, *at = memchr(p, '`', len);
    for (at = at ? at + 1 : end; at < end && !(*at == '`' && at[1] != '`'); at++) {
        if (*at == '`')
            at++;
        gw_buf_addc(&name, *at);
    }
    return gw_buf_detach(&name);
}

/* The column that is AUTO_INCREMENT; owned, "" when there is none. */
static char *counting_column(const char *items)
{
    for (const char *p = items; *p && *p != ')';) {
        const char *end = end_of_item(p);
        gw_autofree char *item = gw_strndup(p + strspn(p, " \n"), (size_t)(end - p) - strspn(p, " \n"));
        if (*item == '`' && strstr(item, " AUTO_INCREMENT"))
            return name_in(item, strlen(item));
        p = *end == ',' ? end + 1 : end;
    }
    return gw_strdup("");
}

/* KEY `x` (`counting`, ...): it has to be there from the start. */
static bool begins_with_column(const char *item, const char *column)
{
    const char *open = strchr(item, '(');
    gw_autofree char *first = open ? name_in(open, strlen(open)) : gw_strdup("");
    return *column && strcmp(first, column) == 0;
}

static json_t *take_apart(const char *name, const char *sql)
{
    gw_autobuf struct gw_buf create = {0};
    json_t *indexes = json_array(), *foreign_keys = json_array();
    const char *p = strchr(sql, '(') + 1;
    gw_autofree char *counting = counting_column(p);
    bool first = true;
    gw_buf_adds(&create, "CREATE TABLE IF NOT EXISTS ");
    gw_mysql_add_ident(&create, name);
    gw_buf_adds(&create, " (");
    for (;;) {
        const char *end = end_of_item(p);
        size_t space = strspn(p, " \n");
        gw_autofree char *item = gw_strndup(p + space, (size_t)(end - p) - space);
        bool foreign = starts(item, "CONSTRAINT ") && strstr(item, "` FOREIGN KEY ");
        bool index = starts(item, "KEY ") || starts(item, "UNIQUE KEY ") || starts(item, "FULLTEXT KEY ") ||
                     starts(item, "SPATIAL KEY ");
        if (foreign || (index && !begins_with_column(item, counting))) {
            gw_autofree char *item_name = name_in(item, strlen(item));
            json_array_append_new(foreign ? foreign_keys : indexes,
                                  json_pack("{s:s, s:s}", "name", item_name, "sql", item));
        } else {
            gw_buf_addf(&create, "%s\n  ", first ? "" : ",");
            gw_buf_adds(&create, item);
            first = false;
        }
        p = end;
        if (*p != ',')
            break;
        p++;
    }
    gw_buf_addc(&create, '\n');
    gw_buf_adds(&create, p);
    return json_pack("{s:s, s:s, s:o, s:o}", "name", name, "create", gw_buf_text(&create), "indexes", indexes,
                     "foreign_keys", foreign_keys);
}

/* ---- taking ----------------------------------------------------------------------------------------------------- */

/* Column `column` of SHOW CREATE's only row; NULL fields are "". */
static bool show_create(struct gw_mysql_conn *conn, const char *kind, const char *name, MYSQL_RES **out, MYSQL_ROW *row,
                        struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "SHOW CREATE %s ", kind);
    gw_mysql_add_ident(&sql, name);
    if (!gw_mysql_query(conn, gw_buf_text(&sql), out, err))
        return gw_error_prefix(err, "reading the definition of %s %s", kind, name);
    *row = mysql_fetch_row(*out);
    if (*row)
        return true;
    mysql_free_result(*out);
    return gw_fail(err, GW_ERR_CONFLICT, "%s %s has no definition", kind, name);
}

static const char *field(MYSQL_RES *r, MYSQL_ROW row, const char *name)
{
    for (unsigned i = 0; i < mysql_num_fields(r); i++)
        if (strcasecmp(mysql_fetch_field_direct(r, i)->name, name) == 0)
            return row[i];
    return NULL;
}

bool gw_mysql_take_object(struct gw_mysql_conn *conn, const char *kind, const char *name, json_t **out,
                          struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!show_create(conn, kind, name, &r, &row, err))
        return false;
    static const char *const texts[] = {"SQL Original Statement", "Create View",     "Create Event",
                                        "Create Procedure",       "Create Function", "Create Table"};
    const char *sql = NULL, *mode = field(r, row, "sql_mode"), *charset = field(r, row, "character_set_client");
    const char *collation = field(r, row, "collation_connection");
    for (size_t i = 0; !sql && i < sizeof texts / sizeof texts[0]; i++)
        sql = field(r, row, texts[i]);
    bool fine = sql != NULL;
    if (fine)
        *out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "kind", kind, "name", name, "sql", sql, "sql_mode",
                         mode ? mode : "", "charset", charset ? charset : "utf8mb4", "collation",
                         collation ? collation : "utf8mb4_general_ci");
    mysql_free_result(r);
    if (!fine) {
        gw_fail(err, GW_ERR_REFUSED, "the definition of %s %s is not shown to this account", kind, name);
        return gw_error_hint(err, "run the script that \"godwit check --grants\" prints for this side");
    }
    return true;
}

static bool take_objects(struct gw_mysql_conn *conn, const char *kind, const char *names_sql, json_t *into,
                         struct gw_error *err)
{
    MYSQL_RES *names;
    MYSQL_ROW row;
    bool fine = true;
    if (!gw_mysql_query(conn, names_sql, &names, err))
        return false;
    while (fine && (row = mysql_fetch_row(names))) {
        json_t *object = NULL;
        fine = gw_mysql_take_object(conn, kind, row[0], &object, err);
        if (fine)
            json_array_append_new(into, object);
    }
    mysql_free_result(names);
    return fine;
}

static bool take_tables(struct gw_mysql_conn *conn, const struct gw_filter *filter, json_t *into, struct gw_error *err)
{
    struct gw_schema schema = {0};
    if (!gw_mysql_list(conn, filter, &schema, err))
        return false;
    bool fine = true;
    for (size_t i = 0; fine && i < schema.count; i++) {
        MYSQL_RES *r;
        MYSQL_ROW row;
        fine = show_create(conn, "TABLE", schema.collections[i].name, &r, &row, err);
        if (fine) {
            json_array_append_new(into, take_apart(schema.collections[i].name, row[1]));
            mysql_free_result(r);
        }
    }
    gw_schema_release(&schema);
    return fine;
}

bool gw_mysql_definitions_take(struct gw_mysql_conn *conn, const struct gw_filter *filter, json_t **out,
                               struct gw_error *err)
{
    json_t *all = json_pack("{s:[], s:[], s:[], s:[], s:[], s:[]}", "tables", "views", "routines", "triggers", "events",
                            "sequences");
    bool fine =
        take_tables(conn, filter, json_object_get(all, "tables"), err) &&
        take_objects(conn, "VIEW",
                     "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1",
                     json_object_get(all, "views"), err) &&
        take_objects(conn, "FUNCTION",
                     "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()"
                     " AND ROUTINE_TYPE = 'FUNCTION' ORDER BY 1",
                     json_object_get(all, "routines"), err) &&
        take_objects(conn, "PROCEDURE",
                     "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()"
                     " AND ROUTINE_TYPE = 'PROCEDURE' ORDER BY 1",
                     json_object_get(all, "routines"), err) &&
        take_objects(conn, "TRIGGER",
                     "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()"
                     " AND TRIGGER_NAME NOT LIKE 'godwit|_%' ESCAPE '|'"
                     " ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER",
                     json_object_get(all, "triggers"), err) &&
        take_objects(conn, "EVENT",
                     "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() ORDER BY 1",
                     json_object_get(all, "events"), err) &&
        (!conn->store->is_mariadb ||
         take_objects(conn, "SEQUENCE",
                      "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
                      " AND TABLE_TYPE = 'SEQUENCE' AND TABLE_NAME NOT LIKE 'godwit|_%' ESCAPE '|' ORDER BY 1",
                      json_object_get(all, "sequences"), err));
    if (!fine) {
        json_decref(all);
        return false;
    }
    *out = all;
    return true;
}

/* ---- kept in the work folder ------------------------------------------------------------------------------------ */

static char *path_in(const char *work_dir)
{
    return gw_asprintf("%s/mysql-schema.json", work_dir);
}

bool gw_mysql_definitions_save(const char *work_dir, const json_t *definitions, struct gw_error *err)
{
    gw_autofree char *path = path_in(work_dir);
    gw_autofree char *temporary = gw_asprintf("%s.new", path);
    if (json_dump_file(definitions, temporary, JSON_INDENT(1)) != 0)
        return gw_fail(err, GW_ERR_RESOURCE, "cannot write %s", temporary);
    if (rename(temporary, path) != 0)
        return gw_fail(err, GW_ERR_RESOURCE, "cannot rename %s", temporary);
    return true;
}

bool gw_mysql_definitions_load(const char *work_dir, json_t **out, struct gw_error *err)
{
    gw_autofree char *path = path_in(work_dir);
    json_error_t why;
    *out = json_load_file(path, 0, &why);
    return *out ||
           gw_fail(err, GW_ERR_CONFLICT, "cannot read the definitions that were taken (%s): %s", path, why.text);
}

/* ---- making ----------------------------------------------------------------------------------------------------- */

char *gw_mysql_without_definer(const char *sql)
{
    gw_autobuf struct gw_buf out = {0};
    const char *from = strstr(sql, "DEFINER=");
    const char *p = from ? from + 8 : NULL;
    for (int part = 0; p && part < 2; part++) {
        const char *end = *p == '`' ? strchr(p + 1, '`') : p + strcspn(p, "@ ") - 1;
        p = end ? end + 1 + (part == 0 && end[1] == '@') : NULL;
    }
    if (!p)
        return gw_strdup(sql);
    gw_buf_add(&out, sql, (size_t)(from - sql));
    gw_buf_adds(&out, p + strspn(p, " "));
    return gw_buf_detach(&out);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* What was made before is left alone. */
static bool is_there(const struct gw_mysql_conn *conn)
{
    unsigned code = gw_mysql_errno(conn);
    return !conn->broken && (code == ER_TABLE_EXISTS_ERROR || code == ER_SP_ALREADY_EXISTS ||
                             code == ER_TRG_ALREADY_EXISTS || code == ER_EVENT_ALREADY_EXISTS);
}

bool gw_mysql_make_object(struct gw_mysql_conn *conn, const json_t *object, struct gw_error *err)
{
    gw_autobuf struct gw_buf settings = {0};
    struct gw_error back_error;
    gw_buf_adds(&settings, "SET SESSION character_set_client = ");
    gw_buf_adds(&settings, text_of(object, "charset"));
    gw_buf_addf(&settings, ", collation_connection = %s, sql_mode = ", text_of(object, "collation"));
    gw_mysql_add_literal(&settings, text_of(object, "sql_mode"));
    gw_autofree char *bare = gw_mysql_without_definer(text_of(object, "sql"));
    bool fine =
        gw_mysql_exec_buf(conn, &settings, err) && (gw_mysql_exec(conn, text_of(object, "sql"), err) || is_there(conn));
    if (!fine && !conn->broken && err->kind == GW_ERR_REFUSED && strcmp(bare, text_of(object, "sql")) != 0) {
        fine = gw_mysql_exec(conn, bare, err) || is_there(conn);
        if (fine)
            gw_warn("%s %s: its definer cannot be set by this account, it has godwit's", text_of(object, "kind"),
                    text_of(object, "name"));
    }
    static const char pinned[] =
        "SET SESSION character_set_client = utf8mb4, collation_connection = utf8mb4_bin, sql_mode = "
        "'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION'";
    if (!conn->broken && !gw_mysql_exec(conn, pinned, &back_error)) {
        conn->broken = true;
        if (fine)
            *err = back_error;
        return false;
    }
    return fine || gw_error_prefix(err, "making %s %s", text_of(object, "kind"), text_of(object, "name"));
}
