/* Opening and dropping the log: tables and triggers of capture. */
#include "store/sqlite/changes.h"

#include "base/crash.h"
#include "base/hash.h"
#include "base/mem.h"
#include "sql_embedded.h"
#include "store/sqlite/catalog.h"
#include "store/sqlite/home.h"

#include <jansson.h>

#define LOG_COLUMNS 5 /* of godwit_log before v0 */
#define REPLACED_COLUMNS 3

static bool count_columns(struct gw_lite_conn *conn, const char *table, int64_t *count, struct gw_error *err)
{
    gw_autofree char *sql = gw_asprintf("SELECT count(*) FROM pragma_table_info('%s')", table);
    return gw_lite_int(conn, sql, count, NULL, err);
}

static bool widen(struct gw_lite_conn *conn, const char *table, int64_t fixed, size_t width, struct gw_error *err)
{
    int64_t have = 0;
    if (!count_columns(conn, table, &have, err))
        return false;
    for (size_t v = (size_t)(have - fixed); v < width; v++)
        if (!gw_lite_execf(conn, err, "ALTER TABLE main.%s ADD COLUMN v%zu", table, v))
            return false;
    return true;
}

/* Can a statement on this table have another one on it inside? It has triggers of the application, and one of them, or of
 * those that they set off, names it. */
static bool may_nest(struct gw_lite_conn *conn, const char *table, bool *out, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_prepare(conn,
                         "SELECT EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'trigger' AND name NOT LIKE"
                         " 'godwit\\_%' ESCAPE '\\' AND tbl_name = ?1 COLLATE NOCASE) AND EXISTS (SELECT 1 FROM"
                         " main.sqlite_master WHERE type = 'trigger' AND name NOT LIKE 'godwit\\_%' ESCAPE '\\' AND"
                         " (length(sql) - length(replace(lower(sql), lower(?1), ''))) / length(?1) > (tbl_name = ?1"
                         " COLLATE NOCASE))",
                         &statement, err))
        return false;
    gw_lite_bind_text(statement, 1, table);
    if (!gw_lite_step(conn, statement, &row, err))
        return false;
    *out = sqlite3_column_int(statement, 0) != 0;
    return true;
}

/* The number of a table, by its name: given once and kept. */
static bool table_number(struct gw_lite_conn *conn, const struct gw_lite_table *table, int64_t *tab,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    bool found = false;
    gw_buf_adds(&sql, "SELECT tab FROM main.godwit_captured WHERE name = ");
    gw_lite_add_literal(&sql, table->name);
    if (!gw_lite_int(conn, gw_buf_text(&sql), tab, &found, err) || found)
        return found;
    return gw_lite_int(conn, "SELECT coalesce(max(tab), 0) + 1 FROM main.godwit_captured", tab, NULL, err);
}

/* Which columns the triggers write down, in their order: what the stream reads the log by. */
static bool record_layout(struct gw_lite_conn *conn, const struct gw_lite_table *table, int64_t tab,
                          struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    json_t *columns = json_array(), *old = json_array();
    for (size_t c = 0; c < table->column_count; c++) {
        if (table->columns[c].generated)
            continue;
        json_array_append_new(columns, json_string(table->columns[c].name));
        if (table->key_count == 0)
            json_array_append_new(old, json_string(table->columns[c].name));
    }
    for (size_t i = 0; i < table->key_count; i++)
        json_array_append_new(old, json_string(table->columns[table->key[i]].name));
    char *columns_text = json_dumps(columns, JSON_COMPACT), *old_text = json_dumps(old, JSON_COMPACT);
    json_decref(columns);
    json_decref(old);
    bool ok = gw_lite_prepare(conn,
                              "INSERT OR REPLACE INTO main.godwit_captured (tab, name, columns, old) VALUES (?1,"
                              " ?2, ?3, ?4)",
                              &statement, err);
    if (ok) {
        sqlite3_bind_int64(statement, 1, tab);
        gw_lite_bind_text(statement, 2, table->name);
        gw_lite_bind_text(statement, 3, columns_text);
        gw_lite_bind_text(statement, 4, old_text);
        ok = gw_lite_run(conn, statement, err);
    }
    free(columns_text);
    free(old_text);
    return ok;
}

static bool capture_table(struct gw_lite_conn *conn, const struct gw_lite_table *table, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    int64_t tab = 0;
    bool nested = false;
    size_t width = gw_lite_capture_width(table);
    if (width + LOG_COLUMNS > (size_t)sqlite3_limit(conn->db, SQLITE_LIMIT_COLUMN, -1)) {
        gw_fail(err, GW_ERR_UNSUPPORTED, "table %s has too many columns to write down its changes", table->name);
        return gw_error_hint(err, "leave it out: exclude: [%s]", table->name);
    }
    return widen(conn, "godwit_log", LOG_COLUMNS, width, err) &&
           widen(conn, "godwit_replaced", REPLACED_COLUMNS, width, err) && table_number(conn, table, &tab, err) &&
           may_nest(conn, table->name, &nested, err) &&
           gw_lite_capture_triggers(conn, table, (int)tab, nested, &sql, err) &&
           gw_lite_exec(conn, gw_buf_text(&sql), err) && record_layout(conn, table, tab, err);
}

bool gw_lite_capture_amiss(struct gw_lite_conn *conn, const char *name, struct gw_buf *why, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    int64_t count = 0, tab = 0;
    bool found = false;
    gw_buf_adds(&sql, "SELECT tab FROM main.godwit_captured WHERE name = ");
    gw_lite_add_literal(&sql, name);
    if (!gw_lite_int(conn, gw_buf_text(&sql), &tab, &found, err))
        return false;
    gw_buf_clear(&sql);
    gw_buf_addf(
        &sql,
        "SELECT count(*) FROM main.sqlite_master WHERE type = 'trigger' AND name IN ('godwit_log_%lld_bi',"
        " 'godwit_log_%lld_ai', 'godwit_log_%lld_bu', 'godwit_log_%lld_au', 'godwit_log_%lld_ad') AND tbl_name = ",
        (long long)tab, (long long)tab, (long long)tab, (long long)tab, (long long)tab);
    gw_lite_add_literal(&sql, name);
    gw_buf_adds(&sql, " COLLATE NOCASE");
    if (!gw_lite_int(conn, gw_buf_text(&sql), &count, NULL, err))
        return false;
    if (!found || count != 5)
        gw_buf_adds(why, "its capture triggers are gone (the table was dropped or made anew)");
    return true;
}

/* ---- prepare --------------------------------------------------------------------------------------------------- */

static bool start_capture(struct gw_lite_conn *conn, struct gw_error *err)
{
    int64_t there = 0;
    if (!gw_lite_exec(conn, gw_sql_lite_capture, err) || !widen(conn, "godwit_log", LOG_COLUMNS, 1, err) ||
        !gw_lite_int(conn, "SELECT count(*) FROM main.godwit_capture", &there, NULL, err))
        return false;
    if (there > 0)
        return true;
    if (!gw_lite_log(conn, GW_LITE_LOG_START, NULL, err))
        return false;
    int64_t start = sqlite3_last_insert_rowid(conn->db) + 1;
    return gw_lite_execf(
        conn, err, "INSERT INTO main.godwit_capture (one, life, start, trimmed) VALUES (1, '%016llx', %lld, %lld)",
        (unsigned long long)gw_random64(), (long long)start, (long long)start);
}

static bool prepare_on(struct gw_lite_conn *conn, const struct gw_schema *schema, int64_t *start, struct gw_error *err)
{
    if (!gw_lite_check_wal(conn, err) || !gw_lite_begin_write(conn, err) || !start_capture(conn, err))
        return false;
    for (size_t i = 0; i < schema->count; i++) {
        struct gw_lite_table *table = NULL;
        bool ok = gw_lite_table_for(conn, &schema->collections[i], &table, err) && capture_table(conn, table, err);
        gw_lite_table_free(table);
        if (!ok)
            return false;
    }
    if (!gw_lite_int(conn, "SELECT start FROM main.godwit_capture", start, NULL, err))
        return false;
    GW_CRASH_POINT("lite.prepare.before_commit");
    return gw_lite_exec(conn, "COMMIT", err) && gw_lite_sync(conn->store, err);
}

bool gw_lite_prepare_capture(struct gw_store *base, const struct gw_schema *schema, struct gw_position *start,
                             char barrier[240], struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    int64_t next = 0;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = prepare_on(conn, schema, &next, err) || gw_error_prefix(err, "making the triggers that capture");
    gw_lite_return(conn);
    if (!ok)
        return false;
    gw_lite_position(next, start);
    /* The commit of the triggers had the write lock: no writer was in the middle of anything, and who only read before
     * it gets SQLITE_BUSY_SNAPSHOT at its first write. */
    snprintf(barrier, 240, "none");
    return true;
}

/* ---- drop ------------------------------------------------------------------------------------------------------ */

static bool drop_on(struct gw_lite_conn *conn, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf drop = {0};
    bool row = false;
    if (!gw_lite_begin_write(conn, err) ||
        !gw_lite_prepare(conn,
                         "SELECT name FROM main.sqlite_master WHERE type = 'trigger' AND name LIKE 'godwit\\_log\\_%'"
                         " ESCAPE '\\'",
                         &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            break;
        gw_buf_adds(&drop, "DROP TRIGGER IF EXISTS main.");
        gw_lite_add_ident(&drop, gw_lite_column(statement, 0));
        gw_buf_adds(&drop, ";");
    }
    gw_lite_finalize(&statement);
    gw_buf_adds(&drop, "DROP TABLE IF EXISTS main.godwit_log; DROP TABLE IF EXISTS main.godwit_replaced;"
                       "DROP TABLE IF EXISTS main.godwit_captured; DROP TABLE IF EXISTS main.godwit_capture");
    if (!gw_lite_exec(conn, gw_buf_text(&drop), err))
        return false;
    GW_CRASH_POINT("lite.drop.before_commit");
    return gw_lite_exec(conn, "COMMIT", err) && gw_lite_sync(conn->store, err);
}

bool gw_lite_drop_capture(struct gw_store *base, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = drop_on(conn, err) || gw_error_prefix(err, "dropping the triggers that capture");
    gw_lite_return(conn);
    return ok;
}
