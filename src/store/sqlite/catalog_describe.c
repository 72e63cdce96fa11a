/* The collections in words that no engine owns. */
#include "store/sqlite/codec.h"
#include "store/sqlite/schema.h"

#include "base/mem.h"
#include "store/sqlite/tokens.h"

#include <ctype.h>
#include <errno.h>

#define SAMPLE_ROWS "10000" /* that are looked at where the declared type does not say what is kept */

/* ---- types ----------------------------------------------------------------------------------------------------- */

static bool storage_class(struct gw_lite_conn *conn, const char *table, const char *column, struct gw_buf *out,
                          struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT typeof(v) FROM (SELECT ");
    gw_lite_add_ident(&sql, column);
    gw_buf_adds(&sql, " AS v FROM main.");
    gw_lite_add_ident(&sql, table);
    gw_buf_adds(&sql, " WHERE ");
    gw_lite_add_ident(&sql, column);
    gw_buf_adds(&sql, " IS NOT NULL LIMIT " SAMPLE_ROWS ") GROUP BY 1 ORDER BY count(*) DESC LIMIT 1");
    return gw_lite_text(conn, gw_buf_text(&sql), out, NULL, err);
}

static enum gw_kind kind_of_class(const char *class, enum gw_kind empty)
{
    return strcmp(class, "integer") == 0 ? GW_KIND_INT64
           : strcmp(class, "real") == 0  ? GW_KIND_FLOAT64
           : strcmp(class, "text") == 0  ? GW_KIND_TEXT
           : strcmp(class, "blob") == 0  ? GW_KIND_BYTES
                                         : empty;
}

/* A date that is kept as a number of seconds is a number; a column without a type is what most of its values are. */
static bool settle_kind(struct gw_lite_conn *conn, const struct gw_lite_table *table,
                        const struct gw_lite_column *column, struct gw_type *type, struct gw_error *err)
{
    bool moment = type->kind == GW_KIND_DATE || type->kind == GW_KIND_TIME || type->kind == GW_KIND_TIMESTAMP ||
                  type->kind == GW_KIND_TIMESTAMPTZ;
    gw_autobuf struct gw_buf class = {0};
    if (!moment && type->kind != GW_KIND_NULL && type->kind != GW_KIND_UUID)
        return true;
    if (!storage_class(conn, table->name, column->name, &class, err))
        return false;
    enum gw_kind kind = kind_of_class(gw_buf_text(&class), GW_KIND_NULL);
    if (type->kind == GW_KIND_NULL)
        type->kind = kind == GW_KIND_NULL ? GW_KIND_TEXT : kind;
    else if (kind != GW_KIND_TEXT && kind != GW_KIND_NULL)
        type->kind = kind;
    if (type->kind == GW_KIND_INT64)
        type->bits = 64;
    if (type->kind == GW_KIND_FLOAT64) /* -0.0 stays where the column has no affinity for numbers */
        type->infinities = type->no_nan = true;
    return true;
}

static bool describe_type(struct gw_lite_conn *conn, const struct gw_lite_table *table,
                          const struct gw_lite_column *column, struct gw_type *type, struct gw_error *err)
{
    const char *collation = NULL;
    gw_lite_type_of(column->type, type);
    if (!settle_kind(conn, table, column, type, err))
        return false;
    type->loose = !table->strict || sqlite3_stricmp(column->type, "any") == 0;
    if ((int)(column - table->columns) == table->rowid_column)
        type->loose = false; /* a rowid is an integer, always */
    sqlite3_table_column_metadata(conn->db, "main", table->name, column->name, NULL, &collation, NULL, NULL, NULL);
    if (type->kind == GW_KIND_TEXT && collation && sqlite3_stricmp(collation, "binary") != 0) {
        type->collation = gw_strdup(collation);
        type->ignores_case = sqlite3_stricmp(collation, "nocase") == 0;
        type->pads = sqlite3_stricmp(collation, "rtrim") == 0;
    }
    return true;
}

/* ---- defaults -------------------------------------------------------------------------------------------------- */

/* SQLite's clock is that of UTC unless it is asked for another. */
static bool is_now_utc(const char *sql)
{
    static const char *const words[] = {
        "current_timestamp",     "current_date",    "current_time",
        "(current_timestamp)",   "datetime('now')", "(datetime('now'))",
        "datetime('now','utc')", "date('now')",     "(strftime('%Y-%m-%d %H:%M:%S','now'))"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (sqlite3_stricmp(sql, words[i]) == 0)
            return true;
    return false;
}

static bool is_now(const char *sql)
{
    static const char *const words[] = {"datetime('now','localtime')", "datetime('now', 'localtime')",
                                        "date('now','localtime')",     "date('now', 'localtime')",
                                        "time('now','localtime')",     "time('now', 'localtime')"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (sqlite3_stricmp(sql, words[i]) == 0)
            return true;
    return false;
}

static void take_value(struct gw_column_definition *out, const struct gw_lite_form *form,
                       const struct gw_lite_cell *cell)
{
    struct gw_arena arena = {0};
    struct gw_datum datum = gw_lite_cell_to_datum(form, cell, &arena);
    out->default_kind = GW_DEFAULT_VALUE;
    out->default_value = datum;
    if (gw_kind_has_bytes(datum.kind)) {
        out->default_bytes = gw_strndup((const char *)datum.bytes, datum.len);
        out->default_value.bytes = (const unsigned char *)out->default_bytes;
    }
    gw_arena_release(&arena);
}

/* 'it''s' */
static bool is_string(const char *sql, struct gw_buf *out)
{
    size_t len = strlen(sql);
    if (len < 2 || sql[0] != '\'' || sql[len - 1] != '\'')
        return false;
    for (size_t i = 1; i + 1 < len; i++) {
        if (sql[i] == '\'' && (sql[++i] != '\'' || i + 1 >= len))
            return false;
        gw_buf_addc(out, sql[i]);
    }
    return true;
}

static void describe_default(const struct gw_lite_column *column, struct gw_column_definition *out)
{
    const char *sql = column->default_sql;
    gw_autobuf struct gw_buf text = {0};
    if (!sql || sqlite3_stricmp(sql, "null") == 0)
        return;
    struct gw_lite_form form;
    gw_lite_form_of(column->type, &form);
    char *end = NULL;
    errno = 0;
    long long integer = strtoll(sql, &end, 10);
    bool is_integer = *sql && !*end && errno == 0;
    double real = strtod(sql, &end);
    bool is_real = isdigit((unsigned char)sql[strspn(sql, "+-.")]) && !*end;
    if (is_now_utc(sql))
        out->default_kind = GW_DEFAULT_NOW_UTC;
    else if (is_now(sql))
        out->default_kind = GW_DEFAULT_NOW;
    else if (is_integer)
        take_value(out, &form, &(struct gw_lite_cell){.type = SQLITE_INTEGER, .integer = integer});
    else if (is_real)
        take_value(out, &form, &(struct gw_lite_cell){.type = SQLITE_FLOAT, .real = real});
    else if (sqlite3_stricmp(sql, "true") == 0 || sqlite3_stricmp(sql, "false") == 0)
        take_value(out, &form,
                   &(struct gw_lite_cell){.type = SQLITE_INTEGER, .integer = sqlite3_stricmp(sql, "true") == 0});
    else if (is_string(sql, &text))
        take_value(out, &form,
                   &(struct gw_lite_cell){.type = SQLITE_TEXT,
                                          .bytes = (const unsigned char *)gw_buf_text(&text),
                                          .len = (uint32_t)text.len});
    else
        out->default_kind = GW_DEFAULT_SQL;
    out->default_sql = gw_strdup(sql);
    gw_type_release(&form.type);
}

/* ---- out of the statement -------------------------------------------------------------------------------------- */

/* The text in the parentheses that come next. Owned; NULL: none come. */
static char *in_parentheses(struct gw_lite_tokens *tokens)
{
    struct gw_lite_token open = gw_lite_next_token(tokens), token;
    if (!gw_lite_token_is(&open, "("))
        return NULL;
    do
        token = gw_lite_next_token(tokens);
    while (token.kind != GW_LITE_END && !(gw_lite_token_is(&token, ")") && token.depth == open.depth));
    return gw_strndup(open.at + 1, (size_t)(token.at - open.at) - 1);
}

static char *plain_name(const struct gw_lite_token *token)
{
    if (token->kind == GW_LITE_WORD || token->len < 2)
        return gw_strndup(token->at, token->len);
    return gw_strndup(token->at + 1, token->len - 2);
}

/* CHECK and AS (...) of the columns: nothing but the statement has them. */
static void describe_statement(const struct gw_lite_table *table, struct gw_table_definition *out)
{
    struct gw_lite_tokens tokens = {.at = table->sql};
    char *named = NULL;
    size_t column = 0;
    for (struct gw_lite_token t = gw_lite_next_token(&tokens); t.kind != GW_LITE_END; t = gw_lite_next_token(&tokens)) {
        if (t.depth != 1)
            continue;
        column += gw_lite_token_is(&t, ",");
        if (gw_lite_token_is(&t, "constraint")) {
            struct gw_lite_token name = gw_lite_next_token(&tokens);
            free(named);
            named = plain_name(&name);
        } else if (gw_lite_token_is(&t, "check")) {
            gw_autofree char *sql = in_parentheses(&tokens);
            if (sql)
                (void)gw_table_add_check(out, named, sql);
            free(named);
            named = NULL;
        } else if (gw_lite_token_is(&t, "as") && column < out->column_count && out->columns[column].generated) {
            free(out->columns[column].generated_sql);
            out->columns[column].generated_sql = in_parentheses(&tokens);
        }
    }
    free(named);
}

/* ---- indexes and references ------------------------------------------------------------------------------------ */

/* The expressions of an index's parts, in order, and its condition; both out of its statement. */
static void split_index(const char *sql, struct gw_index_definition *index)
{
    struct gw_lite_tokens tokens = {.at = sql};
    const char *from = NULL;
    size_t part = 0;
    for (struct gw_lite_token t = gw_lite_next_token(&tokens); t.kind != GW_LITE_END; t = gw_lite_next_token(&tokens)) {
        bool ends = (t.depth == 1 && gw_lite_token_is(&t, ",")) || (t.depth == 0 && gw_lite_token_is(&t, ")"));
        if (t.depth == 0 && gw_lite_token_is(&t, "(") && !from) {
            from = t.at + 1;
        } else if (ends && from) {
            if (part < index->part_count && !index->parts[part].column)
                index->parts[part].expression = gw_strndup(from, (size_t)(t.at - from));
            part++;
            from = t.at + 1;
        } else if (t.depth == 0 && gw_lite_token_is(&t, "where")) {
            index->where = gw_strdup(t.at + t.len + strspn(t.at + t.len, " \t\r\n"));
            return;
        }
    }
}

static bool describe_parts(struct gw_lite_conn *conn, const struct gw_lite_table *table,
                           struct gw_index_definition *index, const char *name, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_prepare(conn, "SELECT cid, \"desc\" FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno", &statement,
                         err))
        return false;
    gw_lite_bind_text(statement, 1, name);
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        int column = sqlite3_column_int(statement, 0);
        struct gw_index_part *part = gw_index_add_part(
            index, column >= 0 && (size_t)column < table->column_count ? table->columns[column].name : NULL);
        part->descending = sqlite3_column_int(statement, 1) != 0;
    }
}

static bool describe_indexes(struct gw_lite_conn *conn, const struct gw_lite_table *table,
                             struct gw_table_definition *out, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (table->rowid_column >= 0)
        (void)gw_index_add_part(gw_table_add_index(out, GW_INDEX_PRIMARY), table->columns[table->rowid_column].name);
    if (!gw_lite_prepare(conn,
                         "SELECT l.name, l.origin, l.\"unique\", i.sql FROM pragma_index_list(?1) AS l LEFT JOIN"
                         " main.sqlite_master AS i ON i.type = 'index' AND i.name = l.name ORDER BY l.origin <> 'pk',"
                         " l.name",
                         &statement, err))
        return false;
    gw_lite_bind_text(statement, 1, table->name);
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        bool primary = strcmp(gw_lite_column(statement, 1), "pk") == 0, unique = sqlite3_column_int(statement, 2) != 0;
        /* A primary key that holds NULLs is none anywhere else. */
        enum gw_index_kind kind = primary && !table->null_in_key ? GW_INDEX_PRIMARY
                                  : unique                       ? GW_INDEX_UNIQUE
                                                                 : GW_INDEX_PLAIN;
        struct gw_index_definition *index = gw_table_add_index(out, kind);
        index->name = gw_strdup(gw_lite_column(statement, 0));
        if (!describe_parts(conn, table, index, index->name, err))
            return false;
        if (sqlite3_column_type(statement, 3) != SQLITE_NULL) {
            index->sql = gw_strdup(gw_lite_column(statement, 3));
            split_index(index->sql, index);
        }
    }
}

static enum gw_reference_action action_of(const char *text)
{
    return sqlite3_stricmp(text, "cascade") == 0       ? GW_REFERENCE_CASCADE
           : sqlite3_stricmp(text, "set null") == 0    ? GW_REFERENCE_SET_NULL
           : sqlite3_stricmp(text, "set default") == 0 ? GW_REFERENCE_SET_DEFAULT
           : sqlite3_stricmp(text, "restrict") == 0    ? GW_REFERENCE_RESTRICT
                                                       : GW_REFERENCE_NO_ACTION;
}

/* REFERENCES t without columns means its primary key. */
static bool referenced_column(struct gw_lite_conn *conn, const char *table, int place, char **out, struct gw_error *err)
{
    struct gw_lite_table *parent = NULL;
    if (!gw_lite_table_load(conn, table, &parent, err))
        return false;
    for (size_t c = 0; parent && c < parent->column_count && !*out; c++)
        if (parent->columns[c].primary == place + 1)
            *out = gw_strdup(parent->columns[c].name);
    if (!*out)
        *out = gw_strdup("rowid");
    gw_lite_table_free(parent);
    return true;
}

static bool describe_references(struct gw_lite_conn *conn, const struct gw_lite_table *table,
                                struct gw_table_definition *out, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    struct gw_foreign_key *key = NULL;
    bool row = false;
    int id = -1;
    if (!gw_lite_prepare(conn,
                         "SELECT id, seq, \"table\", \"from\", \"to\", on_update, on_delete FROM"
                         " pragma_foreign_key_list(?1) ORDER BY id, seq",
                         &statement, err))
        return false;
    gw_lite_bind_text(statement, 1, table->name);
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        if (!key || sqlite3_column_int(statement, 0) != id) {
            id = sqlite3_column_int(statement, 0);
            key = gw_table_add_foreign_key(out);
            key->space = gw_strdup("");
            key->table = gw_strdup(gw_lite_column(statement, 2));
            key->on_update = action_of(gw_lite_column(statement, 5));
            key->on_delete = action_of(gw_lite_column(statement, 6));
        }
        key->columns = gw_realloc(key->columns, (key->column_count + 1) * sizeof *key->columns);
        key->references = gw_realloc(key->references, (key->column_count + 1) * sizeof *key->references);
        key->columns[key->column_count] = gw_strdup(gw_lite_column(statement, 3));
        key->references[key->column_count] =
            sqlite3_column_type(statement, 4) != SQLITE_NULL ? gw_strdup(gw_lite_column(statement, 4)) : NULL;
        key->column_count++;
        if (!key->references[key->column_count - 1] &&
            !referenced_column(conn, key->table, sqlite3_column_int(statement, 1),
                               &key->references[key->column_count - 1], err))
            return false;
    }
}

/* Whether and when a check is put off only the statement says. pragma_foreign_key_list counts from the last one back. */
static void read_deferrals(const struct gw_lite_table *table, struct gw_table_definition *out)
{
    struct gw_lite_tokens tokens = {.at = table->sql};
    struct gw_foreign_key *key = NULL;
    size_t seen = 0;
    bool negated = false;
    for (;;) {
        struct gw_lite_token token = gw_lite_next_token(&tokens);
        if (token.kind == GW_LITE_END)
            return;
        if (gw_lite_token_is(&token, "REFERENCES"))
            key = ++seen <= out->foreign_key_count ? &out->foreign_keys[out->foreign_key_count - seen] : NULL;
        else if (token.depth == 1 && token.kind == GW_LITE_OTHER && *token.at == ',')
            key = NULL;
        if (key && gw_lite_token_is(&token, "DEFERRABLE"))
            key->deferrable = !negated;
        if (key && gw_lite_token_is(&token, "DEFERRED"))
            key->deferred = key->deferrable;
        negated = gw_lite_token_is(&token, "NOT");
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

static bool describe_table(struct gw_lite_conn *conn, const struct gw_lite_table *table, struct gw_definition *out,
                           struct gw_error *err)
{
    struct gw_table_definition *made = gw_definition_add_table(out);
    made->space = gw_strdup("");
    made->name = gw_strdup(table->name);
    for (size_t c = 0; c < table->column_count; c++) {
        const struct gw_lite_column *column = &table->columns[c];
        struct gw_column_definition *definition = gw_table_add_column(made, column->name);
        definition->sql_type = gw_strdup(column->type);
        definition->not_null = column->not_null || (int)c == table->rowid_column ||
                               (column->primary > 0 && table->key_kind == GW_KEY_PRIMARY);
        definition->counts = (int)c == table->rowid_column;
        definition->generated = column->generated;
        definition->generated_stored = column->generated_stored;
        if (!describe_type(conn, table, column, &definition->type, err))
            return false;
        describe_default(column, definition);
    }
    describe_statement(table, made);
    if (!describe_indexes(conn, table, made, err) || !describe_references(conn, table, made, err))
        return false;
    read_deferrals(table, made);
    return true;
}

static bool describe_objects(struct gw_lite_conn *conn, struct gw_definition *out, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_prepare(
            conn,
            "SELECT iif(type = 'table', 'virtual table', type), name, sql FROM main.sqlite_master WHERE"
            " (type IN ('view', 'trigger') OR (type = 'table' AND sql LIKE 'create virtual%')) AND name NOT"
            " LIKE 'godwit\\_%' ESCAPE '\\' ORDER BY 1, 2",
            &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        (void)gw_definition_add_object(out, gw_lite_column(statement, 0), gw_lite_column(statement, 1),
                                       gw_lite_column(statement, 2));
    }
}

static bool describe_on(struct gw_lite_conn *conn, const struct gw_filter *filter, struct gw_definition *out,
                        struct gw_error *err)
{
    struct gw_lite_names names = {0};
    bool ok = gw_lite_exec(conn, "BEGIN", err) && gw_lite_list_tables(conn, filter, &names, err);
    for (size_t i = 0; ok && i < names.count; i++) {
        struct gw_lite_table *table = NULL;
        ok = gw_lite_table_load(conn, names.items[i], &table, err) && (!table || describe_table(conn, table, out, err));
        gw_lite_table_free(table);
    }
    gw_lite_names_release(&names);
    return ok && describe_objects(conn, out, err);
}

bool gw_lite_describe(struct gw_store *base, const struct gw_filter *filter, struct gw_definition *out,
                      struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    struct gw_definition made = {.sql_of = gw_strdup(gw_store_sqlite.name)};
    bool ok = gw_lite_borrow(gw_lite_store_of(base), &conn, err) && describe_on(conn, filter, &made, err);
    gw_lite_return(conn);
    if (ok)
        *out = made;
    else
        gw_definition_release(&made);
    return ok;
}
