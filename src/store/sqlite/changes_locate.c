/* Which chunk holds a key, as this file orders keys: SQLite itself compares, over a temporary table of the bounds. */
#include "store/sqlite/changes.h"
#include "store/sqlite/keys.h"
#include "store/sqlite/value.h"

static const char *const affinity_names[] = {"BLOB", "TEXT", "NUMERIC", "INTEGER", "REAL"};

static bool make_bounds(struct gw_lite_conn *conn, const struct gw_lite_table *table, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, keys = {0};
    gw_buf_adds(&sql, "PRAGMA temp_store=MEMORY; DROP TABLE IF EXISTS temp.godwit_bound; CREATE TABLE temp.godwit_bound"
                      " (n INTEGER PRIMARY KEY");
    for (size_t i = 0; i < table->key_count; i++) {
        gw_buf_addf(&sql, ", k%zu %s COLLATE ", i, affinity_names[table->columns[table->key[i]].affinity]);
        gw_lite_add_ident(&sql, table->key_collations[i]);
        gw_buf_addf(&keys, "%sk%zu", i > 0 ? ", " : "", i);
    }
    gw_buf_addf(&sql, "); CREATE INDEX temp.godwit_bound_keys ON godwit_bound (%s)", gw_buf_text(&keys));
    return gw_lite_exec(conn, gw_buf_text(&sql), err);
}

static bool fill_bounds(struct gw_lite_conn *conn, size_t key_count, const struct gw_bound *bounds, size_t count,
                        struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "INSERT INTO temp.godwit_bound VALUES (?1");
    for (size_t i = 0; i < key_count; i++)
        gw_buf_addf(&sql, ", ?%zu", i + 2);
    gw_buf_adds(&sql, ")");
    if (!gw_lite_prepare(conn, gw_buf_text(&sql), &statement, err))
        return false;
    for (size_t b = 0; b < count; b++) {
        sqlite3_bind_int64(statement, 1, (int64_t)b + 1);
        for (uint32_t i = 0; i < bounds[b].count; i++)
            if (!gw_lite_bind_bound(statement, (int)i + 2, bounds[b].texts[i], err))
                return false;
        if (!gw_lite_run(conn, statement, err))
            return false;
    }
    return true;
}

static bool find_keys(struct gw_lite_conn *conn, size_t columns, const struct gw_row *keys, size_t count,
                      uint32_t *chunk, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf left = {0}, right = {0}, order = {0}, sql = {0};
    for (size_t i = 0; i < columns; i++) {
        gw_buf_addf(&left, "%sk%zu", i > 0 ? ", " : "", i);
        gw_buf_addf(&right, "%s?%zu", i > 0 ? ", " : "", i + 1);
        gw_buf_addf(&order, "%sk%zu DESC", i > 0 ? ", " : "", i);
    }
    gw_buf_addf(&sql, "SELECT n FROM temp.godwit_bound WHERE (%s) <= (%s) ORDER BY %s LIMIT 1", gw_buf_text(&left),
                gw_buf_text(&right), gw_buf_text(&order));
    if (!gw_lite_prepare(conn, gw_buf_text(&sql), &statement, err))
        return false;
    for (size_t k = 0; k < count; k++) {
        bool row = false;
        for (uint32_t i = 0; i < keys[k].count; i++)
            if (!gw_lite_bind_value(statement, (int)i + 1, &keys[k].values[i]))
                return gw_fail(err, GW_ERR_BUG, "a key value that is none");
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        chunk[k] = row ? (uint32_t)sqlite3_column_int64(statement, 0) : 0;
        sqlite3_reset(statement);
    }
    return true;
}

bool gw_lite_locate(struct gw_store *base, const struct gw_collection *collection, const struct gw_bound *bounds,
                    size_t bound_count, const struct gw_row *keys, size_t key_count, uint32_t *chunk,
                    struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    struct gw_lite_table *table = NULL;
    struct gw_error ignored;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = gw_lite_table_for(conn, collection, &table, err) && make_bounds(conn, table, err) &&
              gw_lite_exec(conn, "BEGIN", err) && fill_bounds(conn, collection->key_count, bounds, bound_count, err) &&
              find_keys(conn, collection->key_count, keys, key_count, chunk, err);
    gw_lite_rollback(conn);
    (void)!gw_lite_exec(conn, "DROP TABLE IF EXISTS temp.godwit_bound", &ignored);
    gw_lite_table_free(table);
    gw_lite_return(conn);
    return ok;
}
