/* The collections in words that no engine owns. */
#include "base/mem.h"
#include "store/mysql/schema.h"
#include "store/mysql/types.h"

#include <stdlib.h>
#include <string.h>

static char *copy(const char *text)
{
    return text ? gw_strdup(text) : NULL;
}

/* ---- columns ---------------------------------------------------------------------------------------------------- */

/* MariaDB gives a default as an expression ('it''s', 5, current_timestamp()), MySQL as bare text. */
static void take_default(const char *text, const char *extra, bool is_mariadb, struct gw_column_definition *column)
{
    size_t len = text ? strlen(text) : 0;
    if (!text || strcasecmp(text, "NULL") == 0)
        return;
    if (strncasecmp(text, "current_timestamp", 17) == 0 || strncasecmp(text, "now(", 4) == 0) {
        column->default_kind = GW_DEFAULT_NOW;
        return;
    }
    if (strncasecmp(text, "utc_timestamp", 13) == 0 || strncasecmp(text, "utc_date", 8) == 0) {
        column->default_kind = GW_DEFAULT_NOW_UTC;
        return;
    }
    if (strcasecmp(text, "uuid()") == 0) {
        column->default_kind = GW_DEFAULT_UUID;
        return;
    }
    bool quoted = is_mariadb && len >= 2 && *text == '\'' && text[len - 1] == '\'';
    bool number = text[strspn(text, "0123456789.-")] == 0;
    if (is_mariadb ? !quoted && !number : strstr(extra, "DEFAULT_GENERATED") != NULL) {
        column->default_kind = GW_DEFAULT_SQL;
        column->default_sql = gw_strdup(text);
        return;
    }
    gw_autobuf struct gw_buf value = {0};
    for (size_t i = quoted; i < len - quoted; i++) {
        i += quoted && text[i] == '\'' && text[i + 1] == '\'';
        gw_buf_addc(&value, text[i]);
    }
    column->default_kind = GW_DEFAULT_VALUE;
    column->default_bytes = gw_buf_detach(&value);
    column->default_value = gw_datum_text(column->default_bytes);
}

static bool set_columns(struct gw_mysql_conn *conn, const struct gw_schema *schema, struct gw_definition *out,
                        struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!gw_mysql_query(conn,
                        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT, EXTRA, COLUMN_COMMENT,"
                        " COALESCE(/*!50706 GENERATION_EXPRESSION, */ /*M! GENERATION_EXPRESSION, */ ''),"
                        " COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()"
                        " ORDER BY TABLE_NAME, ORDINAL_POSITION",
                        &r, err))
        return false;
    while ((row = mysql_fetch_row(r))) {
        struct gw_table_definition *table = gw_definition_find(out, "", row[0]);
        const struct gw_collection *c = table ? gw_schema_find(schema, "", row[0]) : NULL;
        struct gw_mysql_form form;
        if (!c || table->column_count >= c->column_count)
            continue;
        const struct gw_column *planned = &c->columns[table->column_count];
        struct gw_column_definition *column = gw_table_add_column(table, row[1]);
        gw_mysql_form_parse(planned->type, &form);
        gw_mysql_type_of(&form, &column->type);
        gw_mysql_form_release(&form);
        column->sql_type = gw_strdup(planned->type);
        column->not_null = planned->not_null;
        column->counts = strstr(row[3], "auto_increment") != NULL;
        column->generated = planned->generated;
        column->generated_stored = strstr(row[3], "STORED") != NULL;
        column->generated_sql = row[5] && *row[5] ? gw_strdup(row[5]) : NULL;
        column->hidden = strstr(row[3], "INVISIBLE") != NULL;
        column->updates_to_now = strcasestr(row[3], "on update current_timestamp") != NULL;
        column->comment = row[4] && *row[4] ? gw_strdup(row[4]) : NULL;
        if (!column->generated)
            take_default(row[2], row[3], conn->store->is_mariadb, column);
    }
    mysql_free_result(r);
    return true;
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static enum gw_index_kind index_kind(const char *name, const char *type, bool unique)
{
    if (strcmp(name, "PRIMARY") == 0)
        return GW_INDEX_PRIMARY;
    if (strcmp(type, "FULLTEXT") == 0)
        return GW_INDEX_FULLTEXT;
    if (strcmp(type, "SPATIAL") == 0)
        return GW_INDEX_SPATIAL;
    return unique ? GW_INDEX_UNIQUE : GW_INDEX_PLAIN;
}

static bool set_indexes(struct gw_mysql_conn *conn, struct gw_definition *out, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!gw_mysql_query(conn,
                        "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, INDEX_TYPE, COLLATION FROM"
                        " information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()"
                        " ORDER BY TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX",
                        &r, err))
        return false;
    struct gw_table_definition *table = NULL;
    while ((row = mysql_fetch_row(r))) {
        struct gw_table_definition *of = gw_definition_find(out, "", row[0]);
        if (!of)
            continue;
        struct gw_index_definition *index = of == table && of->index_count ? &of->indexes[of->index_count - 1] : NULL;
        if (!index || strcmp(index->name, row[1]) != 0) {
            index = gw_table_add_index(of, index_kind(row[1], row[5], *row[2] == '0'));
            index->name = gw_strdup(row[1]);
        }
        table = of;
        struct gw_index_part *part = gw_index_add_part(index, row[3]);
        bool whole = index->kind == GW_INDEX_SPATIAL || index->kind == GW_INDEX_FULLTEXT;
        part->prefix = row[4] && !whole ? (uint32_t)strtoul(row[4], NULL, 10) : 0;
        part->descending = row[6] && *row[6] == 'D';
    }
    mysql_free_result(r);
    return true;
}

static enum gw_reference_action action_of(const char *rule)
{
    return strcmp(rule, "CASCADE") == 0       ? GW_REFERENCE_CASCADE
           : strcmp(rule, "SET NULL") == 0    ? GW_REFERENCE_SET_NULL
           : strcmp(rule, "SET DEFAULT") == 0 ? GW_REFERENCE_SET_DEFAULT
           : strcmp(rule, "NO ACTION") == 0   ? GW_REFERENCE_NO_ACTION
                                              : GW_REFERENCE_RESTRICT;
}

static void add_name(char ***names, size_t count, const char *name)
{
    *names = gw_realloc(*names, (count + 1) * sizeof **names);
    (*names)[count] = gw_strdup(name);
}

static bool set_foreign_keys(struct gw_mysql_conn *conn, struct gw_definition *out, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!gw_mysql_query(conn,
                        "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_NAME,"
                        " k.REFERENCED_COLUMN_NAME, c.DELETE_RULE, c.UPDATE_RULE"
                        " FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS c"
                        " ON c.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND"
                        " c.TABLE_NAME = k.TABLE_NAME WHERE k.CONSTRAINT_SCHEMA = DATABASE()"
                        " ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION",
                        &r, err))
        return false;
    while ((row = mysql_fetch_row(r))) {
        struct gw_table_definition *table = gw_definition_find(out, "", row[0]);
        if (!table || !row[3])
            continue;
        struct gw_foreign_key *key =
            table->foreign_key_count ? &table->foreign_keys[table->foreign_key_count - 1] : NULL;
        if (!key || strcmp(key->name, row[1]) != 0) {
            key = gw_table_add_foreign_key(table);
            key->name = gw_strdup(row[1]);
            key->space = gw_strdup("");
            key->table = gw_strdup(row[3]);
            key->on_delete = action_of(row[5]);
            key->on_update = action_of(row[6]);
        }
        add_name(&key->columns, key->column_count, row[2]);
        add_name(&key->references, key->column_count++, row[4]);
    }
    mysql_free_result(r);
    return true;
}

static bool set_checks(struct gw_mysql_conn *conn, const struct gw_schema *schema, struct gw_definition *out,
                       struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!conn->store->is_mariadb && conn->store->base.identity.version < 80016)
        return true; /* it has none */
    if (!gw_mysql_query(
            conn,
            conn->store->is_mariadb
                ? "SELECT TABLE_NAME, CONSTRAINT_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS"
                  " WHERE CONSTRAINT_SCHEMA = DATABASE() ORDER BY 1, 2"
                : "SELECT t.TABLE_NAME, c.CONSTRAINT_NAME, c.CHECK_CLAUSE FROM"
                  " information_schema.CHECK_CONSTRAINTS c JOIN information_schema.TABLE_CONSTRAINTS t"
                  " USING (CONSTRAINT_SCHEMA, CONSTRAINT_NAME) WHERE c.CONSTRAINT_SCHEMA = DATABASE()"
                  " ORDER BY 1, 2",
            &r, err))
        return false;
    while ((row = mysql_fetch_row(r))) {
        struct gw_table_definition *table = gw_definition_find(out, "", row[0]);
        const struct gw_collection *c = table ? gw_schema_find(schema, "", row[0]) : NULL;
        int column = c ? gw_table_column(table, row[1]) : -1;
        bool json = column >= 0 && strstr(c->columns[column].type, " json") && strncmp(row[2], "json_valid(", 11) == 0;
        if (table && !json) /* which the type says already */
            gw_table_add_check(table, row[1], row[2]);
    }
    mysql_free_result(r);
    return true;
}

/* ---- the rest by name -------------------------------------------------------------------------------------------- */

static bool set_objects(struct gw_mysql_conn *conn, struct gw_definition *out, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!gw_mysql_query(conn,
                        "SELECT 'view', TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS"
                        " WHERE TABLE_SCHEMA = DATABASE()"
                        " UNION ALL SELECT 'trigger', TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS"
                        " WHERE TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME NOT LIKE 'godwit|_%' ESCAPE '|'"
                        " UNION ALL SELECT 'event', EVENT_NAME, EVENT_DEFINITION FROM information_schema.EVENTS"
                        " WHERE EVENT_SCHEMA = DATABASE()"
                        " UNION ALL SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME, ROUTINE_DEFINITION FROM"
                        " information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()"
                        " UNION ALL SELECT 'sequence', TABLE_NAME, NULL FROM information_schema.TABLES"
                        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'SEQUENCE'"
                        " AND TABLE_NAME NOT LIKE 'godwit|_%' ESCAPE '|'",
                        &r, err))
        return false;
    while ((row = mysql_fetch_row(r)))
        gw_definition_add_object(out, row[0], row[1], row[2] ? row[2] : "");
    mysql_free_result(r);
    return true;
}

static bool set_tables(struct gw_mysql_conn *conn, const struct gw_schema *schema, struct gw_definition *out,
                       struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    for (size_t i = 0; i < schema->count; i++) {
        struct gw_table_definition *table = gw_definition_add_table(out);
        table->space = gw_strdup("");
        table->name = gw_strdup(schema->collections[i].name);
    }
    if (!gw_mysql_query(conn,
                        "SELECT TABLE_NAME, TABLE_COMMENT FROM information_schema.TABLES"
                        " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_COMMENT <> ''",
                        &r, err))
        return false;
    while ((row = mysql_fetch_row(r))) {
        struct gw_table_definition *table = gw_definition_find(out, "", row[0]);
        if (table && !table->comment)
            table->comment = copy(row[1]);
    }
    mysql_free_result(r);
    return true;
}

bool gw_mysql_describe(struct gw_store *base, const struct gw_filter *filter, struct gw_definition *out,
                       struct gw_error *err)
{
    struct gw_definition definition = {.sql_of = gw_strdup(base->type->name)};
    struct gw_schema schema = {0};
    struct gw_mysql_conn *conn;
    bool fine = gw_mysql_borrow(gw_mysql_store_of(base), &conn, err);
    if (fine) {
        fine = gw_mysql_list(conn, filter, &schema, err) && set_tables(conn, &schema, &definition, err) &&
               set_columns(conn, &schema, &definition, err) && set_indexes(conn, &definition, err) &&
               set_foreign_keys(conn, &definition, err) && set_checks(conn, &schema, &definition, err) &&
               set_objects(conn, &definition, err);
        gw_mysql_return(conn, !fine);
    }
    gw_schema_release(&schema);
    if (!fine) {
        gw_definition_release(&definition);
        return false;
    }
    *out = definition;
    return true;
}
