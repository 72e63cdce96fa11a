/* The statements of capture's triggers: each column as text by its type, whatever the session's settings. */
#include "store/mysql/capture.h"

#include "base/hash.h"
#include "base/mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const events[] = {"INSERT", "UPDATE", "DELETE"};
static const char ops[] = "IUD";

void gw_mysql_capture_trigger(const char *table, size_t event, char out[64])
{
    snprintf(out, 64, "godwit_capture_%c_%016llx", ops[event] | 32,
             (unsigned long long)gw_hash64(table, strlen(table), 0));
}

/* A key may be computed. */
bool gw_mysql_capture_writes(const struct gw_column *column)
{
    return !column->generated || column->key_position > 0;
}

char *gw_mysql_capture_columns(const struct gw_collection *c)
{
    json_t *names = json_array();
    for (size_t i = 0; i < c->column_count; i++)
        if (gw_mysql_capture_writes(&c->columns[i]))
            json_array_append_new(names, json_string(c->columns[i].name));
    char *text = json_dumps(names, JSON_COMPACT);
    json_decref(names);
    char *out = gw_strdup(text);
    free(text);
    return out;
}

/* ---- a value ------------------------------------------------------------------------------------------------------ */

bool gw_mysql_capture_is_plain(const struct gw_mysql_form *form)
{
    switch (form->kind) {
    case GW_MYSQL_DATE:
    case GW_MYSQL_TIME:
    case GW_MYSQL_DATETIME:
    case GW_MYSQL_TIMESTAMP:
        return true;
    default:
        return gw_mysql_is_number(form);
    }
}

static bool is_utf8(const struct gw_mysql_form *form)
{
    return strcmp(form->charset, "utf8mb4") == 0 || strcmp(form->charset, "utf8mb3") == 0 ||
           strcmp(form->charset, "ascii") == 0;
}

static void add_column(struct gw_buf *sql, const char *row, const struct gw_column *column)
{
    gw_buf_addf(sql, "%s.", row);
    gw_mysql_add_ident(sql, column->name);
}

/* As the reader selects it, and a text in UTF-8. */
static void add_expression(struct gw_buf *sql, const char *row, const struct gw_column *column,
                           const struct gw_mysql_form *form)
{
    switch (form->kind) {
    case GW_MYSQL_FLOAT: /* prints six digits; times one it is a double, which prints all */
    case GW_MYSQL_DOUBLE:
        add_column(sql, row, column);
        gw_buf_adds(sql, form->kind == GW_MYSQL_FLOAT || form->fixed_point ? "*1e0" : "");
        return;
    case GW_MYSQL_UUID:
    case GW_MYSQL_INET4:
    case GW_MYSQL_INET6:
    case GW_MYSQL_OTHER:
        gw_buf_adds(sql, "CAST(");
        add_column(sql, row, column);
        gw_buf_adds(sql, " AS CHAR CHARACTER SET utf8mb4)");
        return;
    default:
        break;
    }
    bool converted = *form->charset && form->value_kind == GW_VALUE_TEXT && !is_utf8(form);
    gw_buf_adds(sql, converted ? "CONVERT(" : "");
    add_column(sql, row, column);
    gw_buf_adds(sql, converted ? " USING utf8mb4)" : "");
}

/* UNIX_TIMESTAMP says NULL of the zero timestamp. */
static void add_timestamp(struct gw_buf *sql, const char *row, const struct gw_column *column)
{
    gw_buf_adds(sql, ",IFNULL(UNIX_TIMESTAMP(");
    add_column(sql, row, column);
    gw_buf_adds(sql, "),IF(");
    add_column(sql, row, column);
    gw_buf_adds(sql, " IS NULL,'~','0')),','");
}

static void add_value(struct gw_buf *sql, const char *row, const struct gw_column *column,
                      const struct gw_mysql_form *form)
{
    gw_autobuf struct gw_buf expression = {0};
    if (form->kind == GW_MYSQL_TIMESTAMP) {
        add_timestamp(sql, row, column);
        return;
    }
    add_expression(&expression, row, column, form);
    const char *text = gw_buf_text(&expression);
    if (gw_mysql_capture_is_plain(form))
        gw_buf_addf(sql, ",IFNULL(%s,'~'),','", text);
    else
        gw_buf_addf(sql, ",IFNULL(CONCAT(LENGTH(%s),':',%s),'~,')", text, text);
}

/* ---- an image ----------------------------------------------------------------------------------------------------- */

static void add_image(struct gw_buf *sql, const struct gw_collection *c, const struct gw_mysql_form *forms,
                      const char *row)
{
    gw_buf_adds(sql, "CONCAT(x''");
    for (size_t i = 0; i < c->column_count; i++)
        if (gw_mysql_capture_writes(&c->columns[i]))
            add_value(sql, row, &c->columns[i], &forms[i]);
    gw_buf_addc(sql, ')');
}

static void add_key(struct gw_buf *sql, const struct gw_collection *c, const struct gw_mysql_form *forms,
                    const char *row)
{
    gw_buf_adds(sql, "CONCAT(x''");
    for (size_t k = 0; k < c->key_count; k++)
        add_value(sql, row, &c->columns[c->key[k]], &forms[c->key[k]]);
    gw_buf_addc(sql, ')');
}

/* What says which row it was: its key, all of it where there is no key. */
static void add_was(struct gw_buf *sql, const struct gw_collection *c, const struct gw_mysql_form *forms)
{
    if (c->key_count)
        add_key(sql, c, forms, "OLD");
    else
        add_image(sql, c, forms, "OLD");
}

static void add_moved_key(struct gw_buf *sql, const struct gw_collection *c, const struct gw_mysql_form *forms)
{
    gw_buf_adds(sql, "NULLIF(");
    add_key(sql, c, forms, "OLD");
    gw_buf_addc(sql, ',');
    add_key(sql, c, forms, "NEW");
    gw_buf_addc(sql, ')');
}

static void add_values(struct gw_buf *sql, const struct gw_collection *c, const struct gw_mysql_form *forms,
                       size_t event)
{
    if (event == 0)
        gw_buf_adds(sql, "NULL");
    else if (event == 1 && c->key_count)
        add_moved_key(sql, c, forms);
    else
        add_was(sql, c, forms);
    gw_buf_adds(sql, ", ");
    if (event == 2)
        gw_buf_adds(sql, "NULL");
    else
        add_image(sql, c, forms, "NEW");
}

static bool is_indexed(const struct gw_collection *c, size_t column, const bool *indexed)
{
    return c->columns[column].key_position > 0 || (indexed && indexed[column]);
}

/* "(OLD.`a` <=> NEW.`a` AND ...)" of the key's columns, or of all that an index holds. */
static void add_same(struct gw_buf *sql, const struct gw_collection *c, const bool *indexed, bool key_only)
{
    size_t count = 0;
    gw_buf_addc(sql, '(');
    for (size_t i = 0; i < c->column_count; i++) {
        if (key_only ? c->columns[i].key_position == 0 : !is_indexed(c, i, indexed))
            continue;
        gw_buf_adds(sql, count++ ? " AND " : "");
        add_column(sql, "OLD", &c->columns[i]);
        gw_buf_adds(sql, " <=> ");
        add_column(sql, "NEW", &c->columns[i]);
    }
    gw_buf_addc(sql, ')');
}

static void add_exists(struct gw_buf *sql, const struct gw_collection *c, const bool *indexed, const char *row,
                       bool key_only)
{
    size_t count = 0;
    gw_buf_adds(sql, "EXISTS (SELECT 1 FROM ");
    gw_mysql_add_table(sql, c);
    gw_buf_adds(sql, " godwit_row WHERE ");
    for (size_t i = 0; i < c->column_count; i++) {
        if (key_only ? c->columns[i].key_position == 0 : !is_indexed(c, i, indexed))
            continue;
        gw_buf_adds(sql, count++ ? " AND " : "");
        add_column(sql, "godwit_row", &c->columns[i]);
        gw_buf_adds(sql, c->columns[i].key_position > 0 ? " = " : " <=> ");
        add_column(sql, row, &c->columns[i]);
    }
    gw_buf_addc(sql, ')');
}

/* UPDATE IGNORE fires it for a row that it leaves alone. A transaction sees its own changes, whatever its snapshot. */
static void add_happened(struct gw_buf *sql, const struct gw_collection *c, const bool *indexed)
{
    gw_buf_adds(sql, " AND (");
    add_same(sql, c, indexed, false);
    gw_buf_adds(sql, " OR IF(");
    add_same(sql, c, indexed, true);
    gw_buf_addc(sql, ',');
    add_exists(sql, c, indexed, "NEW", false);
    gw_buf_adds(sql, ",NOT ");
    add_exists(sql, c, indexed, "OLD", true);
    gw_buf_adds(sql, "))");
}

/* Whoever is not of our name is captured whatever it says it is. */
void gw_mysql_capture_trigger_sql(const struct gw_mysql_store *store, const struct gw_collection *c, size_t event,
                                  const char *name, const char *rel, const char *first, const bool *indexed,
                                  struct gw_buf *sql)
{
    struct gw_mysql_form *forms = gw_mysql_forms_of(c);
    gw_buf_addf(sql, "CREATE TRIGGER %s AFTER %s ON ", name, events[event]);
    gw_mysql_add_table(sql, c);
    gw_buf_adds(sql, " FOR EACH ROW ");
    if (first) {
        gw_buf_adds(sql, "PRECEDES ");
        gw_mysql_add_ident(sql, first);
        gw_buf_addc(sql, ' ');
    }
    gw_buf_addf(sql,
                "BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION INSERT INTO godwit_capture (seq, rel, op)"
                " VALUES (UUID_SHORT(), %s, 'X');"
                " IF (@godwit_ours IS NULL OR SUBSTRING_INDEX(USER(), '@', 1) <> ",
                rel);
    gw_mysql_add_literal(sql, store->base.identity.user);
    gw_buf_addc(sql, ')');
    if (event == 1 && c->key_count)
        add_happened(sql, c, indexed);
    gw_buf_addf(sql, " THEN INSERT INTO godwit_capture (seq, rel, op, was, image) VALUES (UUID_SHORT(), %s, '%c', ",
                rel, ops[event]);
    add_values(sql, c, forms, event);
    gw_buf_adds(sql, "); END IF; END");
    gw_mysql_forms_free(forms, c->column_count);
}
