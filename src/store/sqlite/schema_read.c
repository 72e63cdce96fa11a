/* The source's definitions, taken apart into steps. */
#include "store/sqlite/schema.h"

#include "base/mem.h"
#include "store/sqlite/tokens.h"

/* ---- UNIQUE taken out ------------------------------------------------------------------------------------------ */

struct cutting {
    struct gw_lite_tokens tokens;
    struct gw_lite_token token;
    const char *kept; /* all before it is in `out` */
    struct gw_buf *out;
};

static void advance(struct cutting *c)
{
    c->token = gw_lite_next_token(&c->tokens);
}

/* From `from` to before the token at hand goes. */
static void cut(struct cutting *c, const char *from)
{
    gw_buf_add(c->out, c->kept, (size_t)(from - c->kept));
    c->kept = c->token.at;
}

/* Behind UNIQUE: the columns of a table constraint. False: ON CONFLICT. */
static bool skip_unique(struct cutting *c)
{
    advance(c);
    if (gw_lite_token_is(&c->token, "(") && c->token.depth == 1) {
        do
            advance(c);
        while (c->token.kind != GW_LITE_END && !(gw_lite_token_is(&c->token, ")") && c->token.depth == 1));
        advance(c);
    }
    return !gw_lite_token_is(&c->token, "on");
}

/* One item of the table's list, from its first token to the comma or parenthesis behind it. `comma`: the one before. */
static bool cut_item(struct cutting *c, const char *comma)
{
    const char *named = NULL; /* where the CONSTRAINT before this one begins */
    bool first = true;
    while (c->token.kind != GW_LITE_END) {
        if (c->token.depth == 1 && gw_lite_token_is(&c->token, ","))
            return true;
        if (c->token.depth == 0 && gw_lite_token_is(&c->token, ")"))
            return true;
        if (c->token.depth == 1 && gw_lite_token_is(&c->token, "constraint")) {
            named = c->token.at;
            advance(c); /* its name */
            advance(c);
            continue;
        }
        if (c->token.depth == 1 && gw_lite_token_is(&c->token, "unique")) {
            const char *from = named ? named : c->token.at;
            bool whole = first && comma;
            if (!skip_unique(c))
                return false;
            cut(c, whole ? comma : from);
            named = NULL;
            continue;
        }
        named = NULL;
        first = false;
        advance(c);
    }
    return true;
}

bool gw_lite_without_uniques(const char *sql, struct gw_buf *out)
{
    struct cutting c = {.tokens = {.at = sql}, .kept = sql, .out = out};
    const char *comma = NULL;
    do
        advance(&c);
    while (c.token.kind != GW_LITE_END && !(gw_lite_token_is(&c.token, "(") && c.token.depth == 0));
    while (c.token.kind != GW_LITE_END) {
        advance(&c);
        if (!cut_item(&c, comma)) {
            gw_buf_clear(out);
            gw_buf_adds(out, sql);
            return false;
        }
        if (!gw_lite_token_is(&c.token, ","))
            break;
        comma = c.token.at;
    }
    gw_buf_adds(out, c.kept);
    return true;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static bool name_taken(struct gw_lite_conn *conn, const char *name)
{
    gw_autobuf struct gw_buf sql = {0};
    struct gw_error ignored;
    int64_t one = 0;
    bool found = false;
    gw_buf_adds(&sql, "SELECT 1 FROM main.sqlite_master WHERE name = ");
    gw_lite_add_literal(&sql, name);
    gw_buf_adds(&sql, " COLLATE NOCASE");
    return gw_lite_int(conn, gw_buf_text(&sql), &one, &found, &ignored) && found;
}

/* The index that stands in for a constraint. */
static void unique_statement(struct gw_lite_conn *conn, const struct gw_lite_table *table,
                             const struct gw_lite_unique *unique, struct gw_buf *name, struct gw_buf *sql)
{
    gw_buf_adds(name, table->name);
    for (size_t i = 0; i < unique->count; i++)
        gw_buf_addf(name, "_%s", table->columns[unique->columns[i]].name);
    gw_buf_adds(name, "_unique");
    while (name_taken(conn, gw_buf_text(name)))
        gw_buf_adds(name, "_");
    gw_buf_adds(sql, "CREATE UNIQUE INDEX ");
    gw_lite_add_ident(sql, gw_buf_text(name));
    gw_buf_adds(sql, " ON ");
    gw_lite_add_ident(sql, table->name);
    for (size_t i = 0; i < unique->count; i++) {
        gw_buf_adds(sql, i > 0 ? ", " : " (");
        gw_lite_add_ident(sql, table->columns[unique->columns[i]].name);
        gw_buf_adds(sql, " COLLATE ");
        gw_lite_add_ident(sql, unique->collations[i]);
    }
    gw_buf_adds(sql, ")");
}

static void add_index(json_t *indexes, const char *table, const char *name, const char *sql)
{
    json_array_append_new(indexes, json_pack("{s:s,s:s,s:s}", "table", table, "name", name, "sql", sql));
}

static void read_table(struct gw_lite_conn *conn, const struct gw_lite_table *table, json_t *tables, json_t *indexes)
{
    gw_autobuf struct gw_buf sql = {0};
    bool cut_out = gw_lite_without_uniques(table->sql, &sql);
    json_t *entry = json_pack("{s:s,s:s}", "name", table->name, "sql", gw_buf_text(&sql));
    for (size_t i = 0; i < table->unique_count; i++) {
        const struct gw_lite_unique *unique = &table->uniques[i];
        gw_autobuf struct gw_buf name = {0}, statement = {0};
        if (unique->primary || !unique->constraint || !cut_out)
            continue;
        unique_statement(conn, table, unique, &name, &statement);
        if (table->key_index && strcmp(table->key_index, unique->name) == 0) {
            json_object_set_new(entry, "key", json_string(gw_buf_text(&statement)));
            json_object_set_new(entry, "key_name", json_string(gw_buf_text(&name)));
        } else {
            add_index(indexes, table->name, gw_buf_text(&name), gw_buf_text(&statement));
        }
    }
    json_array_append_new(tables, entry);
}

static json_t *entry_of(json_t *tables, const char *name)
{
    size_t i;
    json_t *entry;
    json_array_foreach(tables, i,
                       entry) if (strcmp(json_string_value(json_object_get(entry, "name")), name) == 0) return entry;
    return NULL;
}

/* Indexes of the tables that move; and all views and triggers. */
static bool read_others(struct gw_lite_conn *conn, json_t *tables, json_t *indexes, json_t *others,
                        struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_prepare(
            conn,
            "SELECT type, name, (SELECT t.name FROM main.sqlite_master AS t WHERE t.type = 'table' AND"
            " t.name = m.tbl_name COLLATE NOCASE), sql FROM main.sqlite_master AS m WHERE type IN ('index',"
            " 'view', 'trigger') AND sql IS NOT NULL AND name NOT LIKE 'godwit\\_%' ESCAPE '\\' ORDER BY"
            " type = 'trigger', rowid",
            &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        const char *type = gw_lite_column(statement, 0), *name = gw_lite_column(statement, 1);
        gw_autofree char *table = gw_strdup(gw_lite_column(statement, 2));
        const char *sql = gw_lite_column(statement, 3);
        json_t *entry = entry_of(tables, table);
        if (strcmp(type, "index") == 0 && entry) {
            add_index(indexes, table, name, sql);
        } else if (strcmp(type, "view") == 0 || (strcmp(type, "trigger") == 0 && (entry || !*table))) {
            json_array_append_new(others, json_pack("{s:s,s:s,s:s}", "type", type, "name", name, "sql", sql));
        }
    }
}

/* A unique index of its own that is the key goes to the table, before the others. */
static void take_keys(const struct gw_lite_names *names, struct gw_lite_table *const *loaded, json_t *tables,
                      json_t *indexes)
{
    for (size_t t = 0; t < names->count; t++) {
        json_t *entry = entry_of(tables, names->items[t]);
        if (!loaded[t] || !loaded[t]->key_index || loaded[t]->key_kind != GW_KEY_UNIQUE || !entry)
            continue;
        for (size_t i = json_array_size(indexes); i-- > 0;) {
            json_t *index = json_array_get(indexes, i);
            if (strcmp(json_string_value(json_object_get(index, "name")), loaded[t]->key_index) != 0)
                continue;
            json_object_set(entry, "key", json_object_get(index, "sql"));
            json_object_set(entry, "key_name", json_object_get(index, "name"));
            json_array_remove(indexes, i);
        }
    }
}

bool gw_lite_read_definitions(struct gw_lite_conn *conn, const struct gw_filter *filter, json_t **out,
                              struct gw_error *err)
{
    struct gw_lite_names names = {0};
    json_t *tables = json_array(), *indexes = json_array(), *others = json_array();
    int64_t user_version = 0, application_id = 0;
    bool ok = gw_lite_exec(conn, "BEGIN", err) && gw_lite_list_tables(conn, filter, &names, err) &&
              gw_lite_int(conn, "PRAGMA main.user_version", &user_version, NULL, err) &&
              gw_lite_int(conn, "PRAGMA main.application_id", &application_id, NULL, err);
    struct gw_lite_table **loaded = gw_calloc(names.count + 1, sizeof *loaded);
    for (size_t i = 0; ok && i < names.count; i++) {
        ok = gw_lite_table_load(conn, names.items[i], &loaded[i], err);
        if (ok && loaded[i])
            read_table(conn, loaded[i], tables, indexes);
    }
    ok = ok && read_others(conn, tables, indexes, others, err);
    if (ok)
        take_keys(&names, loaded, tables, indexes);
    gw_lite_rollback(conn);
    for (size_t i = 0; i < names.count; i++)
        gw_lite_table_free(loaded[i]);
    free(loaded);
    gw_lite_names_release(&names);
    *out = json_pack("{s:o,s:o,s:o,s:I,s:I}", "tables", tables, "indexes", indexes, "others", others, "user_version",
                     (json_int_t)user_version, "application_id", (json_int_t)application_id);
    if (ok)
        return true;
    json_decref(*out);
    *out = NULL;
    return false;
}
