/* The home on a side: who owns, notes, and what of ours is still there. Tables: mysql_home.sql. */
#include "store/mysql/home.h"

#include "base/crash.h"
#include "base/mem.h"
#include "sql_embedded.h"
#include "store/mysql/capture.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const home_tables[] = {
    "godwit_probe_plain", "godwit_probe_captured", "godwit_loose", "godwit_locked",   "godwit_fence", "godwit_note",
    "godwit_seen",        "godwit_signal",         "godwit_chunk", "godwit_position", "godwit_owner"};

static bool place(struct gw_mysql_store *store, struct gw_error *err)
{
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

bool gw_mysql_table_there(struct gw_mysql_conn *conn, const char *name, bool *there, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_autobuf struct gw_buf text = {0};
    gw_buf_adds(&sql, "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ");
    gw_mysql_add_literal(&sql, name);
    return gw_mysql_query_text(conn, gw_buf_text(&sql), &text, there, err);
}

static bool read_owner(struct gw_mysql_conn *conn, struct gw_owner *owner, bool *installed, struct gw_error *err)
{
    MYSQL_RES *r;
    *installed = false;
    if (!gw_mysql_query(conn,
                        "SELECT owner, epoch, migration, migration_id,"
                        " TIMESTAMPDIFF(MICROSECOND, changed_at, UTC_TIMESTAMP(6)) FROM godwit_owner",
                        &r, err))
        return gw_mysql_no_such_table(conn, err);
    MYSQL_ROW row = mysql_fetch_row(r);
    if (row) {
        *installed = true;
        *owner = (struct gw_owner){.owner = strcmp(row[0], "green") == 0 ? GW_GREEN : GW_BLUE,
                                   .epoch = strtoull(row[1], NULL, 10),
                                   .owned_for_us = row[4] ? strtoll(row[4], NULL, 10) : 0};
        snprintf(owner->migration, sizeof owner->migration, "%s", row[2]);
        snprintf(owner->migration_id, sizeof owner->migration_id, "%s", row[3]);
    }
    mysql_free_result(r);
    return true;
}

/* ---- install --------------------------------------------------------------------------------------------------- */

static bool check_ours(struct gw_mysql_store *store, const struct gw_owner *owner, const char *migration_id,
                       struct gw_error *err)
{
    if (strcmp(owner->migration_id, migration_id) == 0)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "this database already belongs to the migration \"%s\" (%s), not to %s",
            owner->migration, owner->migration_id, migration_id);
    gw_error_hint(err, "finish or abort that one first; if its state is lost, godwit adopt rebuilds it");
    return place(store, err);
}

static bool install_with(struct gw_mysql_store *store, struct gw_mysql_conn *conn, const char *migration_id,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct gw_owner owner;
    bool installed;
    if (!read_owner(conn, &owner, &installed, err))
        return false;
    if (installed && !check_ours(store, &owner, migration_id, err))
        return false;
    gw_buf_adds(&sql, gw_sql_mysql_home);
    gw_buf_adds(&sql, "INSERT IGNORE INTO godwit_owner (one, owner, epoch, migration, migration_id, changed_at)"
                      " VALUES (1, 'blue', 1, ");
    gw_mysql_add_literal(&sql, store->migration);
    gw_buf_adds(&sql, ", ");
    gw_mysql_add_literal(&sql, migration_id);
    gw_buf_adds(&sql, ", UTC_TIMESTAMP(6))");
    if (!gw_mysql_exec_buf(conn, &sql, err))
        return gw_error_prefix(err, "making the tables godwit_*");
    /* Somebody else's may have been quicker. */
    if (!read_owner(conn, &owner, &installed, err))
        return false;
    if (!installed)
        return gw_fail(err, GW_ERR_CONFLICT, "godwit_owner is empty right after it was filled");
    return check_ours(store, &owner, migration_id, err);
}

static bool install(struct gw_store *base, const char *migration_id, struct gw_error *err)
{
    struct gw_mysql_store *store = gw_mysql_store_of(base);
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(store, &conn, err))
        return false;
    bool fine = install_with(store, conn, migration_id, err);
    gw_mysql_return(conn, !fine);
    return fine;
}

/* ---- owner and notes ------------------------------------------------------------------------------------------- */

static bool get(struct gw_store *base, struct gw_owner *owner, bool *installed, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = read_owner(conn, owner, installed, err);
    gw_mysql_return(conn, !fine);
    return fine;
}

static bool compare_and_set(struct gw_store *base, const struct gw_owner *expected, enum gw_side owner, bool *done,
                            struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    uint64_t rows = 0;
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    /* Assignments are made from left to right: what is compared with the old owner comes before it. */
    gw_buf_addf(&sql,
                "UPDATE godwit_owner SET changed_at = IF(owner = '%s', changed_at, UTC_TIMESTAMP(6)),"
                " owner = '%s', epoch = epoch + 1 WHERE one = 1 AND owner = '%s' AND epoch = %" PRIu64
                " AND migration_id = ",
                gw_side_name(owner), gw_side_name(owner), gw_side_name(expected->owner), expected->epoch);
    gw_mysql_add_literal(&sql, expected->migration_id);
    bool fine = gw_mysql_exec(conn, "SET SESSION innodb_lock_wait_timeout = 2; START TRANSACTION", err);
    conn->in_transaction = fine;
    fine = fine && gw_mysql_exec_counted(conn, &sql, &rows, err);
    GW_CRASH_POINT("mysql.owner.before_commit");
    fine = fine && gw_mysql_exec(conn, "COMMIT; SET SESSION innodb_lock_wait_timeout = DEFAULT", err);
    if (fine)
        conn->in_transaction = false;
    gw_mysql_return(conn, !fine);
    if (fine)
        *done = rows == 1;
    return fine;
}

static bool note(struct gw_store *base, const char *name, const char *json, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    gw_buf_adds(&sql, "REPLACE INTO godwit_note (name, json) VALUES (");
    gw_mysql_add_literal(&sql, name);
    gw_buf_adds(&sql, ", ");
    gw_mysql_add_literal(&sql, json);
    gw_buf_adds(&sql, ")");
    bool fine = gw_mysql_exec_buf(conn, &sql, err);
    gw_mysql_return(conn, !fine);
    return fine;
}

static bool noted(struct gw_store *base, const char *name, struct gw_buf *json, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct gw_mysql_conn *conn;
    gw_buf_clear(json);
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    gw_buf_adds(&sql, "SELECT json FROM godwit_note WHERE name = ");
    gw_mysql_add_literal(&sql, name);
    bool fine = gw_mysql_query_text(conn, gw_buf_text(&sql), json, NULL, err) || gw_mysql_no_such_table(conn, err);
    gw_mysql_return(conn, !fine);
    return fine;
}

bool gw_mysql_position_read(struct gw_mysql_conn *conn, const char *stream, struct gw_position *out,
                            struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    MYSQL_RES *r;
    *out = (struct gw_position){0};
    gw_buf_adds(&sql, "SELECT place, text FROM godwit_position WHERE stream = ");
    gw_mysql_add_literal(&sql, stream);
    if (!gw_mysql_query(conn, gw_buf_text(&sql), &r, err))
        return gw_mysql_no_such_table(conn, err);
    MYSQL_ROW row = mysql_fetch_row(r);
    if (row) {
        out->order = strtoull(row[0], NULL, 10);
        snprintf(out->text, sizeof out->text, "%s", row[1]);
    }
    mysql_free_result(r);
    return true;
}

/* ---- removal --------------------------------------------------------------------------------------------------- */

/* The fence first: while the tables go, no trigger of ours may look for them. The owner's row goes last. */
static bool uninstall(struct gw_store *base, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = gw_mysql_loose_restore(conn, err) && gw_mysql_fence_remove(conn, err);
    GW_CRASH_POINT("mysql.uninstall.before_tables");
    for (size_t i = 0; fine && i < sizeof home_tables / sizeof home_tables[0]; i++)
        fine = gw_mysql_execf(conn, err, "DROP TABLE IF EXISTS %s", home_tables[i]);
    gw_mysql_return(conn, !fine);
    return fine;
}

static bool leftovers(struct gw_store *base, struct gw_buf *lines, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    MYSQL_RES *r = NULL;
    gw_buf_clear(lines);
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = gw_mysql_fence_left(conn, lines, err) && gw_mysql_capture_left(conn, lines, err) &&
                gw_mysql_query(conn,
                               "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
                               " AND TABLE_NAME LIKE 'godwit|_%' ESCAPE '|' ORDER BY 1",
                               &r, err);
    MYSQL_ROW row;
    while (fine && (row = mysql_fetch_row(r)))
        gw_buf_addf(lines, "table %s\n", row[0]);
    mysql_free_result(r);
    gw_mysql_return(conn, !fine);
    return fine;
}

const struct gw_ownership_facet gw_mysql_ownership = {
    .install = install,
    .get = get,
    .compare_and_set = compare_and_set,
    .note = note,
    .noted = noted,
    .uninstall = uninstall,
    .leftovers = leftovers,
    .by_hand = "log in as godwit's account and begin the transaction with\n"
               "  INSERT INTO godwit_position (stream, place, text, applied_at) VALUES ('operator', 0, '', NOW(6))\n"
               "    ON DUPLICATE KEY UPDATE applied_at = NOW(6);\n",
};
