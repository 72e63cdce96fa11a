/* The contract suite's kit of SQLite: two files in WAL mode, each writer a connection of its own. Included by engines.h. */
#ifndef CONTRACT_SQLITE_KIT_H
#define CONTRACT_SQLITE_KIT_H

#include <sqlite3.h>

struct sqlite_own {
    char path[2][200];
};

static bool sqlite_available(void)
{
    return true;
}

static sqlite3 *sqlite_connect(const char *path)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 20000);
    return db;
}

static void sqlite_do(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        print_error("%s: %s\n", sql, sqlite3_errmsg(db));
        fail();
    }
}

static void sqlite_open(struct pair *pair)
{
    struct sqlite_own *own = gw_zalloc(sizeof *own);
    for (int side = 0; side < 2; side++) {
        struct gw_error err = {0};
        snprintf(own->path[side], sizeof own->path[side], "%s/side%d.db", pair->work_dir, side);
        sqlite3 *db = sqlite_connect(own->path[side]);
        sqlite_do(db, "PRAGMA journal_mode=WAL");
        if (side == 0)
            sqlite_do(db, "CREATE TABLE item (id bigint PRIMARY KEY NOT NULL, v text, big text);"
                          "CREATE TABLE loose (a text, b text)");
        sqlite3_close(db);
        MUST(gw_store_open(
            &(struct gw_store_options){.url = own->path[side], .migration = "contract", .side = (enum gw_side)side},
            &pair->store[side], &err));
    }
    pair->own = own;
}

static void sqlite_close(struct pair *pair)
{
    gw_store_close(pair->store[0]);
    gw_store_close(pair->store[1]);
    free(pair->own);
}

static void sqlite_created(struct pair *pair)
{
    (void)pair;
}

static void *sqlite_begin(struct pair *pair, int side)
{
    sqlite3 *db = sqlite_connect(((struct sqlite_own *)pair->own)->path[side]);
    sqlite_do(db, "BEGIN");
    return db;
}

static enum kit_result sqlite_exec(sqlite3 *db, const char *sql, int count, const char *const *values)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        print_error("%s: %s\n", sql, sqlite3_errmsg(db));
        fail();
    }
    for (int i = 0; i < count; i++)
        sqlite3_bind_text(statement, i + 1, values[i], -1, SQLITE_TRANSIENT);
    int rc = sqlite3_step(statement);
    enum kit_result result = KIT_DONE;
    if (rc != SQLITE_DONE) {
        bool fenced = strstr(sqlite3_errmsg(db), "godwit") != NULL;
        if (!fenced && sqlite3_errcode(db) != SQLITE_CONSTRAINT) {
            print_error("%s: %s\n", sql, sqlite3_errmsg(db));
            fail();
        }
        result = fenced ? KIT_FENCED : KIT_DUPLICATE;
    }
    sqlite3_finalize(statement);
    return result;
}

static enum kit_result sqlite_insert(void *tx, const char *table, const char *const *row)
{
    bool item = strcmp(table, "item") == 0;
    return sqlite_exec(tx, item ? "INSERT INTO item VALUES (?1, ?2, ?3)" : "INSERT INTO loose VALUES (?1, ?2)",
                       item ? 3 : 2, row);
}

static enum kit_result sqlite_update(void *tx, const char *table, const char *const *key, const char *const *row)
{
    static const char *const names[2][3] = {{"id", "v", "big"}, {"a", "b", NULL}};
    bool item = strcmp(table, "item") == 0;
    const char *values[8];
    int count = 0;
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "UPDATE %s SET ", table);
    for (int c = 0; c < (item ? 3 : 2); c++) {
        if (row[c] == kit_keep)
            continue;
        values[count++] = row[c];
        gw_buf_addf(&sql, "%s%s = ?%d", count > 1 ? ", " : "", names[!item][c], count);
    }
    gw_buf_addf(&sql, " WHERE rowid = (SELECT min(rowid) FROM %s WHERE ", table);
    for (int c = 0; c < (item ? 1 : 2); c++) {
        values[count++] = key[c];
        gw_buf_addf(&sql, "%s%s IS ?%d", c > 0 ? " AND " : "", names[!item][c], count);
    }
    gw_buf_adds(&sql, ")");
    return sqlite_exec(tx, gw_buf_text(&sql), count, values);
}

static enum kit_result sqlite_remove(void *tx, const char *table, const char *const *key)
{
    bool item = strcmp(table, "item") == 0;
    return sqlite_exec(tx,
                       item
                           ? "DELETE FROM item WHERE id = ?1"
                           : "DELETE FROM loose WHERE rowid = (SELECT min(rowid) FROM loose WHERE a IS ?1 AND b IS ?2)",
                       item ? 1 : 2, key);
}

static enum kit_result sqlite_truncate(void *tx, const char *table)
{
    char sql[64];
    snprintf(sql, sizeof sql, "DELETE FROM %s", table);
    return sqlite_exec(tx, sql, 0, NULL);
}

static void sqlite_commit(void *tx)
{
    sqlite_do(tx, "COMMIT");
    sqlite3_close(tx);
}

static void sqlite_rollback(void *tx)
{
    if (!sqlite3_get_autocommit(tx)) /* the fence has done it */
        sqlite_do(tx, "ROLLBACK");
    sqlite3_close(tx);
}

static void sqlite_dump(struct pair *pair, int side, const char *table, struct gw_buf *out)
{
    bool item = strcmp(table, "item") == 0;
    sqlite3 *db = sqlite_connect(((struct sqlite_own *)pair->own)->path[side]);
    sqlite3_stmt *statement = NULL;
    const char *sql = item ? "SELECT id || '|' || coalesce(v, '\\N') || '|' || coalesce(big, '\\N') AS line FROM item"
                             " ORDER BY line"
                           : "SELECT coalesce(a, '\\N') || '|' || coalesce(b, '\\N') AS line FROM loose ORDER BY line";
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW)
        gw_buf_addf(out, "%s\n", sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

#endif
