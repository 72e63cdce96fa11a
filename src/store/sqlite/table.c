#include "store/sqlite/table.h"

#include "base/mem.h"
#include "store/sqlite/tokens.h"

/* sqlite.org/datatype3.html, 3.1: in this order. */
enum gw_lite_affinity gw_lite_affinity_of(const char *type)
{
    static const struct {
        const char *part;
        enum gw_lite_affinity affinity;
    } rules[] = {{"int", GW_LITE_INTEGER}, {"char", GW_LITE_TEXT}, {"clob", GW_LITE_TEXT}, {"text", GW_LITE_TEXT},
                 {"blob", GW_LITE_BLOB},   {"real", GW_LITE_REAL}, {"floa", GW_LITE_REAL}, {"doub", GW_LITE_REAL}};
    if (!*type)
        return GW_LITE_BLOB;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (strcasestr(type, rules[i].part))
            return rules[i].affinity;
    return GW_LITE_NUMERIC;
}

static void unique_release(struct gw_lite_unique *unique)
{
    for (size_t i = 0; i < unique->count; i++)
        free(unique->collations[i]);
    free(unique->collations);
    free(unique->columns);
    free(unique->name);
}

void gw_lite_table_free(struct gw_lite_table *table)
{
    if (!table)
        return;
    for (size_t c = 0; c < table->column_count; c++) {
        free(table->columns[c].name);
        free(table->columns[c].type);
        free(table->columns[c].default_sql);
    }
    for (size_t i = 0; i < table->unique_count; i++)
        unique_release(&table->uniques[i]);
    for (size_t i = 0; i < table->key_count; i++)
        free(table->key_collations[i]);
    free(table->columns);
    free(table->uniques);
    free(table->key);
    free(table->key_collations);
    free(table->key_index);
    free(table->name);
    free(table->sql);
    free(table);
}

void gw_lite_add_key(struct gw_buf *out, const struct gw_lite_table *table, size_t i, const char *prefix)
{
    gw_buf_adds(out, prefix);
    gw_lite_add_ident(out, table->columns[table->key[i]].name);
    if ((int)table->key[i] != table->rowid_column) {
        gw_buf_adds(out, " COLLATE ");
        gw_lite_add_ident(out, table->key_collations[i]);
    }
}

/* ---- columns --------------------------------------------------------------------------------------------------- */

static bool load_columns(struct gw_lite_conn *conn, struct gw_lite_table *table, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    size_t capacity = 0;
    bool row = false;
    /* hidden: 2 and 3 are virtual and stored generated columns; strict tables say ANY where others say nothing. */
    if (!gw_lite_prepare(conn, "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)",
                         &statement, err))
        return false;
    gw_lite_bind_text(statement, 1, table->name);
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        int hidden = sqlite3_column_int(statement, 5);
        table->columns = gw_grow(table->columns, &capacity, table->column_count, sizeof *table->columns);
        struct gw_lite_column *column = &table->columns[table->column_count++];
        *column = (struct gw_lite_column){.name = gw_strdup(gw_lite_column(statement, 0)),
                                          .type = gw_strdup(gw_lite_column(statement, 1)),
                                          .not_null = sqlite3_column_int(statement, 2) != 0,
                                          .generated = hidden == 2 || hidden == 3,
                                          .generated_stored = hidden == 3,
                                          .primary = sqlite3_column_int(statement, 4)};
        if (sqlite3_column_type(statement, 3) != SQLITE_NULL)
            column->default_sql = gw_strdup(gw_lite_column(statement, 3));
        column->affinity = table->strict && sqlite3_stricmp(column->type, "any") == 0
                               ? GW_LITE_BLOB
                               : gw_lite_affinity_of(column->type);
    }
}

/* What stands behind the last parenthesis, and the one word that makes a rowid a counter. */
static void look_at_sql(struct gw_lite_table *table)
{
    struct gw_lite_tokens tokens = {.at = table->sql};
    bool behind = false;
    for (struct gw_lite_token token = gw_lite_next_token(&tokens); token.kind != GW_LITE_END;
         token = gw_lite_next_token(&tokens)) {
        if (gw_lite_token_is(&token, ")") && token.depth == 0)
            behind = true;
        table->autoincrement |= token.depth == 1 && gw_lite_token_is(&token, "autoincrement");
        table->without_rowid |= behind && gw_lite_token_is(&token, "rowid");
        table->strict |= behind && gw_lite_token_is(&token, "strict");
    }
}

static int column_place(const struct gw_lite_table *table, const char *name)
{
    for (size_t c = 0; c < table->column_count; c++)
        if (sqlite3_stricmp(table->columns[c].name, name) == 0)
            return (int)c;
    return -1;
}

/* ---- unique indexes -------------------------------------------------------------------------------------------- */

static bool load_unique_columns(struct gw_lite_conn *conn, struct gw_lite_unique *unique, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    size_t capacity = 0, texts_capacity = 0;
    bool row = false;
    if (!gw_lite_prepare(conn, "SELECT cid, coll FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno", &statement,
                         err))
        return false;
    gw_lite_bind_text(statement, 1, unique->name);
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        int cid = sqlite3_column_int(statement, 0);
        unique->expressions |= cid == -2;
        unique->columns = gw_grow(unique->columns, &capacity, unique->count, sizeof *unique->columns);
        unique->collations = gw_grow(unique->collations, &texts_capacity, unique->count, sizeof *unique->collations);
        unique->columns[unique->count] = cid < 0 ? UINT32_MAX : (uint32_t)cid;
        unique->collations[unique->count++] = gw_strdup(gw_lite_column(statement, 1));
    }
}

static bool load_uniques(struct gw_lite_conn *conn, struct gw_lite_table *table, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_prepare(conn,
                         "SELECT name, origin, partial FROM pragma_index_list(?1) WHERE \"unique\" ORDER BY origin <>"
                         " 'pk', partial, name",
                         &statement, err))
        return false;
    gw_lite_bind_text(statement, 1, table->name);
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        table->uniques = gw_grow(table->uniques, &table->unique_capacity, table->unique_count, sizeof *table->uniques);
        struct gw_lite_unique *unique = &table->uniques[table->unique_count++];
        const char *origin = gw_lite_column(statement, 1);
        *unique = (struct gw_lite_unique){.name = gw_strdup(gw_lite_column(statement, 0)),
                                          .primary = strcmp(origin, "pk") == 0,
                                          .constraint = strcmp(origin, "c") != 0,
                                          .partial = sqlite3_column_int(statement, 2) != 0};
        if (!load_unique_columns(conn, unique, err))
            return false;
    }
}

/* ---- the key --------------------------------------------------------------------------------------------------- */

static void find_rowid(struct gw_lite_table *table)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};
    bool index_of_primary = false;
    size_t primaries = 0;
    table->rowid_column = -1;
    if (table->without_rowid)
        return;
    for (size_t i = 0; i < table->unique_count; i++)
        index_of_primary |= table->uniques[i].primary;
    for (size_t c = 0; c < table->column_count; c++)
        primaries += table->columns[c].primary > 0;
    for (size_t c = 0; c < table->column_count; c++)
        if (table->columns[c].primary == 1 && primaries == 1 && !index_of_primary)
            table->rowid_column = (int)c;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !table->rowid; i++)
        if (column_place(table, names[i]) < 0 || column_place(table, names[i]) == table->rowid_column)
            table->rowid = names[i];
}

static void take_key(struct gw_lite_table *table, enum gw_key_kind kind, const struct gw_lite_unique *unique)
{
    table->key_kind = kind;
    table->key_count = unique ? unique->count : 1;
    table->key = gw_calloc(table->key_count, sizeof *table->key);
    table->key_collations = gw_calloc(table->key_count, sizeof *table->key_collations);
    for (size_t i = 0; i < table->key_count; i++) {
        table->key[i] = unique ? unique->columns[i] : (uint32_t)table->rowid_column;
        table->key_collations[i] = gw_strdup(unique ? unique->collations[i] : "BINARY");
    }
    table->key_index = unique ? gw_strdup(unique->name) : NULL;
}

/* SQLite lets NULL into a PRIMARY KEY that does not say NOT NULL, any number of times. */
static bool may_hold_null(struct gw_lite_conn *conn, const struct gw_lite_table *table,
                          const struct gw_lite_unique *unique, bool look, bool *out, struct gw_error *err)
{
    *out = false;
    if (unique->primary && table->without_rowid)
        return true;
    for (size_t i = 0; i < unique->count && !*out; i++) {
        const struct gw_lite_column *column = &table->columns[unique->columns[i]];
        if (column->not_null)
            continue;
        gw_autobuf struct gw_buf sql = {0};
        int64_t one = 0;
        gw_buf_adds(&sql, "SELECT 1 FROM ");
        gw_lite_add_ident(&sql, table->name);
        gw_buf_adds(&sql, " WHERE ");
        gw_lite_add_ident(&sql, column->name);
        gw_buf_adds(&sql, " IS NULL LIMIT 1");
        if (!look)
            *out = true;
        else if (!gw_lite_int(conn, gw_buf_text(&sql), &one, out, err))
            return false;
    }
    return true;
}

static bool find_key(struct gw_lite_conn *conn, struct gw_lite_table *table, struct gw_error *err)
{
    table->key_kind = GW_KEY_NONE;
    if (table->rowid_column >= 0) {
        take_key(table, GW_KEY_PRIMARY, NULL);
        return true;
    }
    for (size_t i = 0; i < table->unique_count; i++) {
        const struct gw_lite_unique *unique = &table->uniques[i];
        bool nulls = false;
        if (unique->partial || unique->expressions)
            continue;
        if (!may_hold_null(conn, table, unique, unique->primary, &nulls, err))
            return false;
        table->null_in_key |= unique->primary && nulls;
        if (nulls)
            continue;
        take_key(table, unique->primary ? GW_KEY_PRIMARY : GW_KEY_UNIQUE, unique);
        return true;
    }
    return true;
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

static bool load(struct gw_lite_conn *conn, struct gw_lite_table *table, struct gw_error *err)
{
    look_at_sql(table);
    if (!load_columns(conn, table, err) || !load_uniques(conn, table, err))
        return false;
    find_rowid(table);
    return find_key(conn, table, err);
}

bool gw_lite_table_load(struct gw_lite_conn *conn, const char *name, struct gw_lite_table **out, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    *out = NULL;
    if (!gw_lite_prepare(conn,
                         "SELECT name, sql FROM main.sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
                         &statement, err))
        return false;
    gw_lite_bind_text(statement, 1, name);
    if (!gw_lite_step(conn, statement, &row, err))
        return false;
    if (!row)
        return true;
    struct gw_lite_table *table = gw_zalloc(sizeof *table);
    table->name = gw_strdup(gw_lite_column(statement, 0));
    table->sql = gw_strdup(gw_lite_column(statement, 1));
    if (!load(conn, table, err)) {
        gw_lite_table_free(table);
        return false;
    }
    *out = table;
    return true;
}

bool gw_lite_table_for(struct gw_lite_conn *conn, const struct gw_collection *collection, struct gw_lite_table **out,
                       struct gw_error *err)
{
    if (!gw_lite_table_load(conn, collection->name, out, err))
        return false;
    if (!*out)
        return gw_fail(err, GW_ERR_CONFLICT, "table %s is not in %s", gw_collection_label(collection),
                       conn->store->path);
    bool same = (*out)->column_count >= collection->column_count;
    for (size_t c = 0; same && c < collection->column_count; c++)
        same = strcmp((*out)->columns[c].name, collection->columns[c].name) == 0;
    if (same)
        return true;
    gw_lite_table_free(*out);
    *out = NULL;
    return gw_fail(err, GW_ERR_CONFLICT, "table %s no longer has the columns that were planned",
                   gw_collection_label(collection));
}
