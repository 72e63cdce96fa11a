/* The collections of a file, and a text that changes with any definition. */
#include "store/sqlite/schema.h"

#include "base/hash.h"
#include "base/mem.h"

void gw_lite_names_add(struct gw_lite_names *names, const char *name)
{
    names->items = gw_grow(names->items, &names->capacity, names->count, sizeof *names->items);
    names->items[names->count++] = gw_strdup(name);
}

void gw_lite_names_release(struct gw_lite_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct gw_lite_names){0};
}

/* A virtual table keeps its rows in ordinary tables of its own: they are its module's business. From 3.37 on SQLite says
 * which; where it does not (or does not know the module), they are known by the names the modules give them. */
#define NOT_SHADOW                                                                                                     \
    " AND NOT EXISTS (SELECT 1 FROM main.sqlite_master AS v WHERE v.type = 'table' AND v.sql LIKE 'create virtual%'"   \
    "  AND substr(m.name, 1, length(v.name) + 1) = v.name || '_' COLLATE NOCASE"                                       \
    "  AND lower(substr(m.name, length(v.name) + 2)) IN ('data', 'idx', 'content', 'docsize', 'config', 'segments',"   \
    "   'segdir', 'stat', 'node', 'parent', 'rowid'))"
static const char tables_sql[] = "SELECT m.name FROM main.sqlite_master AS m WHERE m.type = 'table'"
                                 " AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND m.name NOT LIKE 'godwit\\_%' ESCAPE"
                                 " '\\' AND m.sql NOT LIKE 'create virtual%'" NOT_SHADOW;
static const char not_shadow_sql[] =
    " AND m.name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow')";

bool gw_lite_list_tables(struct gw_lite_conn *conn, const struct gw_filter *filter, struct gw_lite_names *out,
                         struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf sql = {0};
    bool row = false;
    gw_buf_addf(&sql, "%s%s ORDER BY m.name COLLATE BINARY", tables_sql,
                sqlite3_libversion_number() >= 3037000 ? not_shadow_sql : "");
    if (!gw_lite_prepare(conn, gw_buf_text(&sql), &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        const char *name = gw_lite_column(statement, 0);
        if (!filter || gw_filter_match(filter, "", name))
            gw_lite_names_add(out, name);
    }
}

/* ---- collections ----------------------------------------------------------------------------------------------- */

void gw_lite_to_collection(const struct gw_lite_table *table, struct gw_collection *out)
{
    *out = (struct gw_collection){.space = gw_strdup(""),
                                  .name = gw_strdup(table->name),
                                  .column_count = table->column_count,
                                  .columns = gw_calloc(table->column_count + 1, sizeof *out->columns),
                                  .key_kind = table->key_kind,
                                  .key_count = table->key_count,
                                  .key = gw_calloc(table->column_count + 1, sizeof *out->key),
                                  .key_index = table->key_index ? gw_strdup(table->key_index) : NULL,
                                  .estimated_rows = -1,
                                  .estimated_bytes = -1,
                                  .toast_bytes = 1, /* any value may be large: nothing keeps lengths */
                                  .all_binary_safe = true};
    for (size_t c = 0; c < table->column_count; c++)
        out->columns[c] = (struct gw_column){.name = gw_strdup(table->columns[c].name),
                                             .type = gw_strdup(table->columns[c].type),
                                             .not_null = table->columns[c].not_null,
                                             .generated = table->columns[c].generated,
                                             .binary_safe = true};
    for (size_t i = 0; i < table->key_count; i++) {
        out->key[i] = table->key[i];
        out->columns[table->key[i]].key_position = (int)i + 1;
    }
}

/* No row takes less than so many bytes of the file. */
static int64_t rows_that_fit(struct gw_lite_conn *conn)
{
    enum { LEAST_ROW_BYTES = 4 };
    int64_t bytes = 0;
    struct gw_error ignored;
    bool found = false;
    if (!gw_lite_int(conn, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", &bytes, &found,
                     &ignored) ||
        !found)
        return INT64_MAX;
    return bytes / LEAST_ROW_BYTES;
}

/* From ANALYZE where it was run, else from the span of the rowids: both cost nothing. */
static void estimate(struct gw_lite_conn *conn, const struct gw_lite_table *table, struct gw_collection *out)
{
    struct gw_error ignored;
    gw_autobuf struct gw_buf sql = {0};
    bool found = false;
    if (gw_lite_has_table(conn, "sqlite_stat1")) {
        gw_buf_adds(&sql, "SELECT max(CAST(stat AS INTEGER)) FROM main.sqlite_stat1 WHERE tbl = ");
        gw_lite_add_literal(&sql, table->name);
        if (gw_lite_int(conn, gw_buf_text(&sql), &out->estimated_rows, &found, &ignored) && found)
            return;
    }
    gw_buf_clear(&sql);
    if (!table->rowid) { /* no cheap way but to count, up to a point */
        gw_buf_adds(&sql, "SELECT count(*) FROM (SELECT 1 FROM main.");
        gw_lite_add_ident(&sql, table->name);
        gw_buf_adds(&sql, " LIMIT 100000)");
        if (!gw_lite_int(conn, gw_buf_text(&sql), &out->estimated_rows, &found, &ignored))
            out->estimated_rows = -1;
        return;
    }
    gw_buf_addf(&sql, "SELECT max(%s) FROM main.", table->rowid);
    gw_lite_add_ident(&sql, table->name);
    int64_t most = 0, least = 0;
    if (!gw_lite_int(conn, gw_buf_text(&sql), &most, &found, &ignored))
        return;
    gw_buf_clear(&sql);
    gw_buf_addf(&sql, "SELECT min(%s) FROM main.", table->rowid);
    gw_lite_add_ident(&sql, table->name);
    if (found && gw_lite_int(conn, gw_buf_text(&sql), &least, &found, &ignored))
        out->estimated_rows = found ? (int64_t)((uint64_t)most - (uint64_t)least) + 1 : 0;
    else
        out->estimated_rows = 0;
    if (out->estimated_rows < 0 || out->estimated_rows > rows_that_fit(conn))
        out->estimated_rows = -1; /* keys far apart: nothing is known */
}

/* The file's size goes by the rows there are estimated to be: nothing cheaper knows a table's pages. */
static void estimate_bytes(struct gw_lite_conn *conn, struct gw_schema *schema)
{
    struct gw_error ignored;
    int64_t pages = 0, page_bytes = 0, rows = 0;
    if (!gw_lite_int(conn, "PRAGMA page_count", &pages, NULL, &ignored) ||
        !gw_lite_int(conn, "PRAGMA page_size", &page_bytes, NULL, &ignored))
        return;
    for (size_t i = 0; i < schema->count; i++)
        rows += schema->collections[i].estimated_rows > 0 && rows < INT64_MAX / 2 &&
                        schema->collections[i].estimated_rows < INT64_MAX / 4
                    ? schema->collections[i].estimated_rows
                    : 0;
    for (size_t i = 0; i < schema->count && rows > 0; i++) {
        struct gw_collection *collection = &schema->collections[i];
        if (collection->estimated_rows >= 0)
            collection->estimated_bytes =
                (int64_t)((double)pages * (double)page_bytes * (double)collection->estimated_rows / (double)rows);
    }
}

static bool list_on(struct gw_lite_conn *conn, const struct gw_filter *filter, struct gw_schema *out,
                    struct gw_error *err)
{
    struct gw_lite_names names = {0};
    bool ok = gw_lite_list_tables(conn, filter, &names, err);
    out->collections = gw_calloc(names.count + 1, sizeof *out->collections);
    for (size_t i = 0; ok && i < names.count; i++) {
        struct gw_lite_table *table = NULL;
        ok = gw_lite_table_load(conn, names.items[i], &table, err);
        if (ok && table) {
            struct gw_collection *collection = &out->collections[out->count];
            gw_lite_to_collection(table, collection);
            estimate(conn, table, collection);
            collection->id = (uint32_t)out->count++;
        }
        gw_lite_table_free(table);
    }
    gw_lite_names_release(&names);
    if (ok)
        estimate_bytes(conn, out);
    return ok;
}

static bool catalog_list(struct gw_store *base, const struct gw_filter *filter, struct gw_schema *out,
                         struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    struct gw_schema schema = {0};
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = gw_lite_exec(conn, "BEGIN", err) && list_on(conn, filter, &schema, err);
    gw_lite_return(conn);
    if (ok)
        *out = schema;
    else
        gw_schema_release(&schema);
    return ok;
}

/* ---- fingerprint ----------------------------------------------------------------------------------------------- */

/* Everything SQLite keeps of definitions, less what is ours and its own. */
static bool fingerprint_on(struct gw_lite_conn *conn, const struct gw_filter *filter, struct gw_hasher *hasher,
                           struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_prepare(conn,
                         "SELECT type, name, tbl_name, sql FROM main.sqlite_master WHERE name NOT LIKE 'godwit\\_%'"
                         " ESCAPE '\\' AND tbl_name NOT LIKE 'godwit\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%'"
                         " ESCAPE '\\' ORDER BY type, name COLLATE BINARY",
                         &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        if (filter && strcmp(gw_lite_column(statement, 0), "view") != 0 &&
            !gw_filter_match(filter, "", gw_lite_column(statement, 2)))
            continue;
        for (int c = 0; c < 4; c++)
            gw_hasher_add(hasher, gw_lite_column(statement, c), strlen(gw_lite_column(statement, c)) + 1);
    }
}

static bool catalog_fingerprint(struct gw_store *base, const struct gw_filter *filter, struct gw_buf *out,
                                struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    struct gw_hasher *hasher = gw_hasher_new(0);
    bool ok = fingerprint_on(conn, filter, hasher, err);
    struct gw_hash128 hash = gw_hasher_end(hasher);
    gw_hasher_free(hasher);
    gw_lite_return(conn);
    if (ok)
        gw_buf_addf(out, "%016llx%016llx", (unsigned long long)hash.high, (unsigned long long)hash.low);
    return ok;
}

/* The schema cookie grows with every statement that changes a definition. Who is in the middle of one holds the only
 * write lock there is, and cannot be told from who writes rows: nobody else commits meanwhile. */
static bool catalog_glance(struct gw_store *base, struct gw_buf *seen, bool *moved, struct gw_buf *making,
                           struct gw_error *err)
{
    (void)making;
    struct gw_lite_conn *conn = NULL;
    int64_t cookie = 0;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = gw_lite_int(conn, "PRAGMA main.schema_version", &cookie, NULL, err);
    gw_lite_return(conn);
    if (!ok)
        return false;
    char now[32];
    snprintf(now, sizeof now, "%lld", (long long)cookie);
    *moved = seen->len > 0 && strcmp(gw_buf_text(seen), now) != 0;
    if (seen->len == 0)
        gw_buf_adds(seen, now);
    return true;
}

const struct gw_catalog_facet gw_lite_catalog = {
    .list = catalog_list,
    .fingerprint = catalog_fingerprint,
    .glance = catalog_glance,
    .describe = gw_lite_describe,
};
