/* audit's sections, what we make on a side, and the script that removes it without godwit. */
#include "store/sqlite/inspect.h"

#include "base/mem.h"
#include "io/json.h"
#include "sql_embedded.h"
#include "store/sqlite/changes.h"

/* ---- inventory ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *section, *sql;
} sections[] = {
    {"settings", "SELECT 'journal_mode' AS name, journal_mode AS value, 'delete' AS \"default\", NULL AS unit FROM"
                 " pragma_journal_mode UNION ALL SELECT 'encoding', encoding, 'UTF-8', NULL FROM pragma_encoding UNION"
                 " ALL SELECT 'page_size', page_size, 4096, 'bytes' FROM pragma_page_size UNION ALL SELECT"
                 " 'auto_vacuum', auto_vacuum, 0, NULL FROM pragma_auto_vacuum UNION ALL SELECT 'user_version',"
                 " user_version, 0, NULL FROM pragma_user_version UNION ALL SELECT 'application_id', application_id, 0,"
                 " NULL FROM pragma_application_id"},
    {"indexes",
     "SELECT '' AS schema, m.tbl_name AS \"table\", l.name AS name, l.\"unique\" AS is_unique, l.origin = 'pk'"
     " AS is_primary, l.partial AS is_partial, coalesce(i.sql, '') AS definition FROM main.sqlite_master AS m"
     " JOIN pragma_index_list(m.name) AS l LEFT JOIN main.sqlite_master AS i ON i.type = 'index' AND i.name ="
     " l.name WHERE m.type = 'table' AND m.name NOT LIKE 'godwit\\_%' ESCAPE '\\' AND m.name NOT LIKE"
     " 'sqlite\\_%' ESCAPE '\\' ORDER BY 2, 3"},
    {"foreign_keys",
     "SELECT '' AS schema, m.name AS \"table\", '' AS name, '' AS referenced_schema, f.\"table\" AS referenced_table,"
     " lower(f.on_delete) AS on_delete, lower(f.on_update) AS on_update, group_concat(f.\"from\", ', ') AS columns FROM"
     " main.sqlite_master AS m JOIN pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table' GROUP BY m.name, f.id"
     " ORDER BY 2, f.id"},
    {"views", "SELECT '' AS schema, name, sql AS definition FROM main.sqlite_master WHERE type = 'view' ORDER BY 2"},
    {"triggers",
     "SELECT '' AS schema, tbl_name AS \"table\", name, sql AS definition FROM main.sqlite_master WHERE type"
     " = 'trigger' AND name NOT LIKE 'godwit\\_%' ESCAPE '\\' ORDER BY 2, 3"},
    {"virtual_tables",
     "SELECT '' AS schema, name, sql AS definition FROM main.sqlite_master WHERE type = 'table' AND sql"
     " LIKE 'create virtual%' ORDER BY 2"},
};

static json_t *cell(sqlite3_stmt *statement, int column)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
        return json_null();
    case SQLITE_INTEGER:
        return strncmp(sqlite3_column_name(statement, column), "is_", 3) == 0
                   ? json_boolean(sqlite3_column_int(statement, column))
                   : json_integer(sqlite3_column_int64(statement, column));
    default:
        return gw_json_text(gw_lite_column(statement, column));
    }
}

static bool add_section(struct gw_lite_conn *conn, json_t *out, const char *section, const char *sql,
                        struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    json_t *rows = json_array();
    bool row = false;
    json_object_set_new(out, section, rows);
    if (!gw_lite_prepare(conn, sql, &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        json_t *object = json_object();
        for (int c = 0; c < sqlite3_column_count(statement); c++)
            json_object_set_new(object, sqlite3_column_name(statement, c), cell(statement, c));
        json_array_append_new(rows, object);
    }
}

static bool add_tables(struct gw_store *base, const struct gw_filter *filter, json_t *out, struct gw_error *err)
{
    struct gw_schema schema;
    json_t *rows = json_array();
    json_object_set_new(out, "tables", rows);
    if (!base->type->catalog->list(base, NULL, &schema, err))
        return false;
    for (size_t i = 0; i < schema.count; i++) {
        const struct gw_collection *c = &schema.collections[i];
        json_array_append_new(rows, json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:b, s:b}", "schema", "", "name",
                                              gw_json_text(c->name), "kind", "table", "rows",
                                              (json_int_t)c->estimated_rows, "bytes", (json_int_t)c->estimated_bytes,
                                              "index_bytes", (json_int_t)0, "columns", (json_int_t)c->column_count,
                                              "has_primary_key", c->key_kind == GW_KEY_PRIMARY, "moves",
                                              !filter || gw_filter_match(filter, "", c->name)));
    }
    gw_schema_release(&schema);
    return true;
}

bool gw_lite_inventory(struct gw_store *base, const struct gw_filter *filter, json_t **out, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    json_t *all = json_object();
    bool ok = add_tables(base, filter, all, err) && gw_lite_borrow(gw_lite_store_of(base), &conn, err);
    for (size_t i = 0; ok && i < sizeof sections / sizeof sections[0]; i++)
        ok = add_section(conn, all, sections[i].section, sections[i].sql, err);
    gw_lite_return(conn);
    if (!ok) {
        json_decref(all);
        return false;
    }
    *out = all;
    return true;
}

/* ---- what we make ---------------------------------------------------------------------------------------------- */

static void add_object(json_t *objects, const char *side, bool on_both, const char *what, const char *sql,
                       const char *undo)
{
    json_array_append_new(objects, json_pack("{s:s, s:o, s:o, s:o, s:b}", "side", side, "what", gw_json_text(what),
                                             "sql", gw_json_text(sql), "undo", gw_json_text(undo), "on_both", on_both));
}

static void add_triggers(json_t *objects, const char *side, const struct gw_collection *collection)
{
    gw_autofree char *capture =
        gw_asprintf("five triggers godwit_log_* on %s: they write down what changes. Until they are"
                    " gone, ALTER TABLE ... DROP COLUMN fails on it",
                    collection->name);
    gw_autofree char *fence =
        gw_asprintf("three triggers godwit_fence_* on %s: they stop writers while the flag is up", collection->name);
    add_object(objects, side, true, capture,
               "CREATE TRIGGER godwit_log_<n>_ai AFTER INSERT ON ... (and bi, bu, au, ad)",
               "DROP TRIGGER godwit_log_<n>_ai; ...");
    add_object(objects, side, true, fence,
               "CREATE TRIGGER godwit_fence_i_... BEFORE INSERT ON ... RAISE(ROLLBACK, ...)",
               "DROP TRIGGER godwit_fence_i_...; ...");
}

bool gw_lite_footprint(struct gw_store *base, const struct gw_schema *schema, json_t **out, struct gw_error *err)
{
    gw_autobuf struct gw_buf glass = {0};
    const char *side = gw_side_name(base->side);
    json_t *objects = json_array();
    struct gw_store_options options = {
        .url = base->identity.address, .migration = gw_lite_store_of(base)->migration, .side = base->side};
    add_object(objects, side, false,
               "tables godwit_owner, _position, _chunk, _seen, _note, _fence: who owns the data,"
               " positions, checkpoints, signals, notes, the fence's flag",
               gw_sql_lite_home, "DROP TABLE godwit_owner; ...");
    add_object(objects, side, false,
               "tables godwit_log, _replaced, _captured, _capture: what was changed; trimmed as it is"
               " applied",
               gw_sql_lite_capture, "DROP TABLE godwit_log; ...");
    for (size_t i = 0; i < schema->count; i++)
        add_triggers(objects, side, &schema->collections[i]);
    if (!gw_lite_break_glass(&options, base, &glass, err)) {
        json_decref(objects);
        return false;
    }
    *out = json_pack("{s:o, s:o}", "objects", objects, "break_glass", gw_json_text(gw_buf_text(&glass)));
    return true;
}

/* The shell cannot loop over names, so one shell writes the statements for another. */
bool gw_lite_break_glass(const struct gw_store_options *options, struct gw_store *store, struct gw_buf *out,
                         struct gw_error *err)
{
    (void)err;
    const char *path = store ? store->identity.address : options->url;
    gw_buf_addf(
        out,
        "-- Break glass: removes what godwit made on %s for the migration %s, without godwit.\n"
        "-- Stop every godwit first. Run it by: sqlite3 %s < FILE. It may be run again.\n"
        "-- The application's tables stay as they are. From here on whoever may write can write here: be sure that\n"
        "-- the application writes on one side only.\n"
        ".bail on\n.timeout 10000\n.headers off\n.mode list\n"
        ".once '|sqlite3 -bail -cmd \".timeout 10000\" \"%s\"'\n"
        "SELECT statement FROM (\n"
        "    SELECT 0 AS step, 'BEGIN IMMEDIATE;' AS statement\n"
        "    UNION ALL SELECT 1, 'DROP TRIGGER \"' || replace(name, '\"', '\"\"') || '\";' FROM sqlite_master\n"
        "        WHERE type = 'trigger' AND name LIKE 'godwit\\_%%' ESCAPE '\\'\n"
        "    UNION ALL SELECT 2, 'DROP TABLE \"' || replace(name, '\"', '\"\"') || '\";' FROM sqlite_master\n"
        "        WHERE type = 'table' AND name LIKE 'godwit\\_%%' ESCAPE '\\'\n"
        "    UNION ALL SELECT 3, 'COMMIT;'\n"
        ") ORDER BY step;\n"
        "-- What is left of godwit (no rows: nothing).\n"
        "SELECT type || ' ' || name FROM sqlite_master WHERE name LIKE 'godwit\\_%%' ESCAPE '\\';\n",
        gw_side_name(options->side), options->migration ? options->migration : "", path, path);
    return true;
}
