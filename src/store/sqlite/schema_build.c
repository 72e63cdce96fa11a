/*
 * Another engine's definition made here. SQLite adds no constraint to a table that is there, so CREATE TABLE carries what
 * cannot wait: the primary key and the foreign keys (our connections enforce none), while unique and other indexes wait
 * for their phase.
 */
#include "store/sqlite/schema.h"

#include "base/crash.h"
#include "base/mem.h"

/* ---- pieces ---------------------------------------------------------------------------------------------------- */

static const struct gw_index_definition *primary_of(const struct gw_table_definition *table)
{
    for (size_t i = 0; i < table->index_count; i++)
        if (table->indexes[i].kind == GW_INDEX_PRIMARY)
            return &table->indexes[i];
    return NULL;
}

/* The one column that can be the rowid, and so count. */
static bool is_rowid(const struct gw_table_definition *table, const struct gw_column_definition *column)
{
    const struct gw_index_definition *primary = primary_of(table);
    return primary && primary->part_count == 1 && primary->parts[0].column &&
           strcmp(primary->parts[0].column, column->name) == 0 && column->type.kind == GW_KIND_INT64 && column->counts;
}

bool gw_lite_can_count(const struct gw_table_definition *table, const struct gw_column_definition *column)
{
    return is_rowid(table, column);
}

static const char *clock_of(const struct gw_column_definition *column)
{
    return column->type.kind == GW_KIND_DATE ? "date" : column->type.kind == GW_KIND_TIME ? "time" : "datetime";
}

static void add_default(const struct gw_column_definition *column, bool own, struct gw_buf *sql, struct gw_buf *left,
                        const char *table)
{
    gw_autobuf struct gw_buf text = {0};
    switch (column->default_kind) {
    case GW_DEFAULT_NOW:
        if (column->type.kind != GW_KIND_TIMESTAMPTZ) {
            gw_buf_addf(sql, " DEFAULT (%s('now', 'localtime'))", clock_of(column));
            return;
        }
        gw_buf_adds(sql, " DEFAULT CURRENT_TIMESTAMP");
        return;
    case GW_DEFAULT_NOW_UTC:
        gw_buf_adds(sql, column->type.kind == GW_KIND_DATE   ? " DEFAULT CURRENT_DATE"
                         : column->type.kind == GW_KIND_TIME ? " DEFAULT CURRENT_TIME"
                                                             : " DEFAULT CURRENT_TIMESTAMP");
        return;
    case GW_DEFAULT_VALUE:
        if (column->default_value.kind == GW_KIND_BOOL)
            gw_buf_addf(sql, " DEFAULT %d", column->default_value.boolean);
        else if (column->default_value.kind == GW_KIND_INT64)
            gw_buf_addf(sql, " DEFAULT %lld", (long long)column->default_value.i64);
        else if (column->default_value.kind != GW_KIND_NULL) {
            gw_datum_print(&column->default_value, &text);
            gw_buf_adds(sql, " DEFAULT ");
            gw_lite_add_literal(sql, gw_buf_text(&text));
        }
        return;
    case GW_DEFAULT_SQL:
        if (own)
            gw_buf_addf(sql, " DEFAULT (%s)", column->default_sql);
        else
            gw_buf_addf(left, "default of %s.%s: %s\n", table, column->name, column->default_sql);
        return;
    case GW_DEFAULT_UUID:
        gw_buf_addf(left, "default of %s.%s: a random uuid\n", table, column->name);
        return;
    default:
        return;
    }
}

static void add_column(const struct gw_table_definition *table, const struct gw_column_definition *column, bool own,
                       struct gw_buf *sql, struct gw_buf *left)
{
    gw_lite_add_ident(sql, column->name);
    if (is_rowid(table, column)) {
        gw_buf_adds(sql, " INTEGER PRIMARY KEY AUTOINCREMENT");
        return;
    }
    gw_buf_addf(sql, " %s", column->sql_type ? column->sql_type : "");
    if (own && column->type.collation) {
        gw_buf_adds(sql, " COLLATE ");
        gw_lite_add_ident(sql, column->type.collation);
    }
    if (column->generated && own && column->generated_sql)
        gw_buf_addf(sql, " GENERATED ALWAYS AS (%s) %s", column->generated_sql,
                    column->generated_stored ? "STORED" : "VIRTUAL");
    else if (column->generated)
        gw_buf_addf(left, "column %s.%s is an ordinary one here; there it is computed: %s\n", table->name, column->name,
                    column->generated_sql ? column->generated_sql : "");
    if (column->not_null)
        gw_buf_adds(sql, " NOT NULL");
    add_default(column, own, sql, left, table->name);
}

static void add_names(struct gw_buf *sql, char *const *names, size_t count)
{
    gw_buf_adds(sql, " (");
    for (size_t i = 0; i < count; i++) {
        gw_buf_adds(sql, i > 0 ? ", " : "");
        gw_lite_add_ident(sql, names[i]);
    }
    gw_buf_adds(sql, ")");
}

static void add_primary(const struct gw_table_definition *table, struct gw_buf *sql)
{
    const struct gw_index_definition *primary = primary_of(table);
    if (!primary)
        return;
    for (size_t c = 0; c < table->column_count; c++)
        if (is_rowid(table, &table->columns[c]))
            return;
    gw_buf_adds(sql, ", PRIMARY KEY (");
    for (size_t i = 0; i < primary->part_count; i++) {
        gw_buf_adds(sql, i > 0 ? ", " : "");
        gw_lite_add_ident(sql, primary->parts[i].column ? primary->parts[i].column : "");
    }
    gw_buf_adds(sql, ")");
}

static void add_references(const struct gw_table_definition *table, struct gw_buf *sql)
{
    static const char *const actions[] = {"NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"};
    for (size_t i = 0; i < table->foreign_key_count; i++) {
        const struct gw_foreign_key *key = &table->foreign_keys[i];
        gw_buf_adds(sql, ", FOREIGN KEY");
        add_names(sql, key->columns, key->column_count);
        gw_buf_adds(sql, " REFERENCES ");
        gw_lite_add_ident(sql, key->table);
        add_names(sql, key->references, key->column_count);
        gw_buf_addf(sql, " ON DELETE %s ON UPDATE %s", actions[key->on_delete], actions[key->on_update]);
        gw_buf_adds(sql, key->deferred ? " DEFERRABLE INITIALLY DEFERRED" : key->deferrable ? " DEFERRABLE" : "");
    }
}

static void add_checks(const struct gw_table_definition *table, bool own, struct gw_buf *sql, struct gw_buf *left)
{
    for (size_t i = 0; i < table->check_count; i++) {
        if (own)
            gw_buf_addf(sql, ", CHECK (%s)", table->checks[i].sql);
        else
            gw_buf_addf(left, "check of %s: %s\n", table->name, table->checks[i].sql);
    }
}

/* ---- phases ---------------------------------------------------------------------------------------------------- */

static bool build_table(struct gw_lite_conn *conn, const struct gw_table_definition *table, bool own,
                        struct gw_buf *left, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    bool there = false;
    if (!gw_lite_has_object(conn, "table", table->name, &there, err) || there)
        return there;
    gw_buf_adds(&sql, "CREATE TABLE main.");
    gw_lite_add_ident(&sql, table->name);
    gw_buf_adds(&sql, " (");
    for (size_t c = 0; c < table->column_count; c++) {
        gw_buf_adds(&sql, c > 0 ? ", " : "");
        add_column(table, &table->columns[c], own, &sql, left);
    }
    add_primary(table, &sql);
    add_references(table, &sql);
    add_checks(table, own, &sql, left);
    gw_buf_adds(&sql, ")");
    return gw_lite_exec(conn, gw_buf_text(&sql), err) || gw_error_prefix(err, "making table %s", table->name);
}

/* One namespace for the indexes of all tables. */
static void index_name(const struct gw_table_definition *table, const struct gw_index_definition *index, size_t number,
                       struct gw_buf *out)
{
    bool usable = index->name && *index->name && sqlite3_strnicmp(index->name, "sqlite_", 7) != 0 &&
                  !gw_lite_is_ours(index->name);
    if (usable)
        gw_buf_addf(out, "%s", index->name);
    else
        gw_buf_addf(out, "%s_index_%zu", table->name, number + 1);
}

static bool build_index(struct gw_lite_conn *conn, const struct gw_table_definition *table, size_t number, bool own,
                        struct gw_buf *left, struct gw_error *err)
{
    const struct gw_index_definition *index = &table->indexes[number];
    gw_autobuf struct gw_buf sql = {0}, name = {0};
    bool unique = index->kind == GW_INDEX_UNIQUE, there = false;
    bool known = index->kind == GW_INDEX_UNIQUE || index->kind == GW_INDEX_PLAIN;
    index_name(table, index, number, &name);
    for (size_t i = 0; i < index->part_count; i++)
        known = known && (own || (index->parts[i].column && !(unique && index->parts[i].prefix > 0)));
    if (!known || (index->where && !own)) {
        gw_buf_addf(left, "index %s on %s: %s\n", gw_buf_text(&name), table->name, index->sql ? index->sql : "");
        return true;
    }
    if (!gw_lite_has_object(conn, "index", gw_buf_text(&name), &there, err))
        return false;
    if (there) { /* of this table already, or another table's of that name */
        gw_autobuf struct gw_buf ask = {0}, on = {0};
        gw_buf_adds(&ask, "SELECT tbl_name FROM main.sqlite_master WHERE type = 'index' AND name = ");
        gw_lite_add_literal(&ask, gw_buf_text(&name));
        gw_buf_adds(&ask, " COLLATE NOCASE");
        if (!gw_lite_text(conn, gw_buf_text(&ask), &on, NULL, err))
            return false;
        if (sqlite3_stricmp(gw_buf_text(&on), table->name) == 0)
            return true;
        gw_buf_clear(&name);
        gw_buf_addf(&name, "%s_index_%zu", table->name, number + 1);
    }
    gw_buf_addf(&sql, "CREATE %sINDEX IF NOT EXISTS main.", unique ? "UNIQUE " : "");
    gw_lite_add_ident(&sql, gw_buf_text(&name));
    gw_buf_adds(&sql, " ON ");
    gw_lite_add_ident(&sql, table->name);
    for (size_t i = 0; i < index->part_count; i++) {
        gw_buf_adds(&sql, i > 0 ? ", " : " (");
        if (index->parts[i].column)
            gw_lite_add_ident(&sql, index->parts[i].column);
        else
            gw_buf_adds(&sql, index->parts[i].expression ? index->parts[i].expression : "NULL");
        gw_buf_adds(&sql, index->parts[i].descending ? " DESC" : "");
    }
    gw_buf_adds(&sql, ")");
    if (index->where)
        gw_buf_addf(&sql, " WHERE %s", index->where);
    return gw_lite_exec(conn, gw_buf_text(&sql), err) || gw_error_prefix(err, "making index %s", gw_buf_text(&name));
}

/* Without a primary key the first unique index over columns that are never NULL is what rows are told apart by. */
static bool is_key(const struct gw_table_definition *table, const struct gw_index_definition *index)
{
    bool fit = index->kind == GW_INDEX_UNIQUE && !index->where;
    for (size_t i = 0; fit && i < index->part_count; i++) {
        int column = index->parts[i].column ? gw_table_column(table, index->parts[i].column) : -1;
        fit = column >= 0 && table->columns[column].not_null && index->parts[i].prefix == 0;
    }
    return fit;
}

static bool build_phase(struct gw_lite_conn *conn, const struct gw_definition *definition, enum gw_build_phase phase,
                        const struct gw_table_definition *table, struct gw_buf *left, struct gw_error *err)
{
    bool own = definition->sql_of && strcmp(definition->sql_of, gw_store_sqlite.name) == 0;
    if (phase == GW_BUILD_TABLES)
        return build_table(conn, table, own, left, err);
    for (size_t i = 0; i < table->index_count; i++) {
        if (table->indexes[i].kind == GW_INDEX_PRIMARY)
            continue;
        if (phase == GW_BUILD_KEY && (primary_of(table) || !is_key(table, &table->indexes[i])))
            continue;
        if ((phase == GW_BUILD_KEY || phase == GW_BUILD_INDEXES) && !build_index(conn, table, i, own, left, err))
            return false;
    }
    return true; /* foreign keys and checks are in the table from the start */
}

bool gw_lite_build(struct gw_store *target, const struct gw_definition *definition, enum gw_build_phase phase,
                   const struct gw_table_definition *only, int jobs, struct gw_buf *left, struct gw_error *err)
{
    (void)jobs;
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(target), &conn, err))
        return false;
    bool ok = gw_lite_begin_write(conn, err);
    for (size_t i = 0; ok && i < definition->table_count; i++) {
        const struct gw_table_definition *table = &definition->tables[i];
        if (!only || strcmp(only->name, table->name) == 0)
            ok = build_phase(conn, definition, phase, table, left, err);
    }
    GW_CRASH_POINT("lite.build.before_commit");
    ok = ok && gw_lite_exec(conn, "COMMIT", err) && gw_lite_sync(conn->store, err);
    gw_lite_return(conn);
    return ok;
}
