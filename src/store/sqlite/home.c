#include "store/sqlite/home.h"

#include "base/crash.h"
#include "base/mem.h"
#include "sql_embedded.h"
#include "store/sqlite/writer.h"

bool gw_lite_read_owner(struct gw_lite_conn *conn, struct gw_owner *owner, bool *installed, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    *installed = false;
    if (!gw_lite_has_table(conn, "godwit_owner"))
        return true;
    if (!gw_lite_prepare(conn,
                         "SELECT owner, epoch, migration, migration_id, CAST((julianday('now') - changed_at) * 86400e6"
                         " AS INTEGER) FROM main.godwit_owner",
                         &statement, err) ||
        !gw_lite_step(conn, statement, installed, err))
        return false;
    if (!*installed)
        return true;
    *owner = (struct gw_owner){.owner = strcmp(gw_lite_column(statement, 0), "green") == 0 ? GW_GREEN : GW_BLUE,
                               .epoch = (uint64_t)sqlite3_column_int64(statement, 1),
                               .owned_for_us = sqlite3_column_int64(statement, 4)};
    snprintf(owner->migration, sizeof owner->migration, "%s", gw_lite_column(statement, 2));
    snprintf(owner->migration_id, sizeof owner->migration_id, "%s", gw_lite_column(statement, 3));
    return true;
}

/* ---- install --------------------------------------------------------------------------------------------------- */

bool gw_lite_check_wal(struct gw_lite_conn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf mode = {0};
    if (!gw_lite_text(conn, "PRAGMA main.journal_mode", &mode, NULL, err))
        return false;
    if (strcmp(gw_buf_text(&mode), "wal") == 0)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "%s is in journal mode %s: a reader would stop every writer", conn->store->path,
            gw_buf_text(&mode));
    gw_error_hint(err, "sqlite3 %s 'PRAGMA journal_mode=WAL' (once; it stays so)", conn->store->path);
    return gw_error_place(err, "%s", gw_side_name(conn->store->base.side));
}

/* A file without tables is ours to set up: the application has not begun with it. */
static bool set_up_wal(struct gw_lite_conn *conn, struct gw_error *err)
{
    int64_t objects = 0;
    if (!gw_lite_int(conn, "SELECT count(*) FROM main.sqlite_master", &objects, NULL, err))
        return false;
    if (objects == 0 && !gw_lite_exec(conn, "PRAGMA main.journal_mode=WAL", err))
        return false;
    return gw_lite_check_wal(conn, err);
}

static bool insert_owner(struct gw_lite_conn *conn, const char *migration_id, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    if (!gw_lite_prepare(conn,
                         "INSERT INTO main.godwit_owner (one, migration, migration_id, owner, epoch, changed_at)"
                         " VALUES (1, ?1, ?2, 'blue', 1, julianday('now'))",
                         &statement, err))
        return false;
    gw_lite_bind_text(statement, 1, conn->store->migration);
    gw_lite_bind_text(statement, 2, migration_id);
    return gw_lite_run(conn, statement, err);
}

static bool install_on(struct gw_lite_conn *conn, const char *migration_id, struct gw_error *err)
{
    struct gw_owner owner;
    bool installed;
    if (!set_up_wal(conn, err) || !gw_lite_begin_write(conn, err) || !gw_lite_exec(conn, gw_sql_lite_home, err) ||
        !gw_lite_read_owner(conn, &owner, &installed, err))
        return false;
    if (installed && strcmp(owner.migration_id, migration_id) != 0) {
        gw_fail(err, GW_ERR_CONFLICT, "this file already belongs to the migration \"%s\" (%s), not to %s",
                owner.migration, owner.migration_id, migration_id);
        gw_error_hint(err, "finish or abort that one first; if its state is lost, godwit adopt rebuilds it");
        return gw_error_place(err, "%s %s", gw_side_name(conn->store->base.side), conn->store->path);
    }
    if (!installed && !insert_owner(conn, migration_id, err))
        return false;
    return gw_lite_exec(conn, "COMMIT", err) && gw_lite_sync(conn->store, err);
}

static bool home_install(struct gw_store *base, const char *migration_id, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = install_on(conn, migration_id, err) || gw_error_prefix(err, "making the tables godwit_*");
    gw_lite_return(conn);
    return ok;
}

/* ---- owner ----------------------------------------------------------------------------------------------------- */

static bool home_get(struct gw_store *base, struct gw_owner *owner, bool *installed, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = gw_lite_read_owner(conn, owner, installed, err);
    gw_lite_return(conn);
    return ok;
}

static bool set_on(struct gw_lite_conn *conn, const struct gw_owner *expected, enum gw_side owner, bool *done,
                   struct gw_error *err)
{
    struct gw_owner now;
    bool installed;
    if (!gw_lite_begin_write(conn, err) || !gw_lite_read_owner(conn, &now, &installed, err))
        return false;
    *done = installed && now.owner == expected->owner && now.epoch == expected->epoch;
    if (!*done)
        return true;
    if (!gw_lite_execf(conn, err,
                       "UPDATE main.godwit_owner SET owner = '%s', epoch = epoch + 1, changed_at = julianday('now')",
                       gw_side_name(owner)))
        return false;
    GW_CRASH_POINT("lite.owner.before_commit");
    return gw_lite_exec(conn, "COMMIT", err) && gw_lite_sync(conn->store, err);
}

static bool home_compare_and_set(struct gw_store *base, const struct gw_owner *expected, enum gw_side owner, bool *done,
                                 struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = set_on(conn, expected, owner, done, err);
    gw_lite_return(conn);
    return ok;
}

/* ---- notes ----------------------------------------------------------------------------------------------------- */

static bool note_on(struct gw_lite_conn *conn, const char *name, const char *json, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    if (!gw_lite_prepare(conn, "INSERT OR REPLACE INTO main.godwit_note (name, json) VALUES (?1, ?2)", &statement, err))
        return false;
    gw_lite_bind_text(statement, 1, name);
    gw_lite_bind_text(statement, 2, json);
    return gw_lite_run(conn, statement, err);
}

static bool home_note(struct gw_store *base, const char *name, const char *json, struct gw_error *err)
{
    struct gw_lite_conn *conn = gw_lite_own_write(gw_lite_store_of(base));
    if (conn) /* durable with the rows it is about, and not there without them */
        return note_on(conn, name, json, err);
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = gw_lite_begin_write(conn, err) && note_on(conn, name, json, err) && gw_lite_exec(conn, "COMMIT", err) &&
              gw_lite_sync(conn->store, err);
    gw_lite_return(conn);
    return ok;
}

static bool home_noted(struct gw_store *base, const char *name, struct gw_buf *json, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT json FROM main.godwit_note WHERE name = ");
    gw_lite_add_literal(&sql, name);
    bool ok = !gw_lite_has_table(conn, "godwit_note") || gw_lite_text(conn, gw_buf_text(&sql), json, NULL, err);
    gw_lite_return(conn);
    return ok;
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

/* What is ours and not of the log's. */
static const char ours_sql[] =
    "SELECT type, name, tbl_name FROM main.sqlite_master WHERE name LIKE 'godwit\\_%' ESCAPE '\\'";
static const char not_of_log_sql[] =
    " AND (name LIKE 'godwit\\_fence\\_%' ESCAPE '\\' OR (type = 'table' AND name NOT IN ('godwit_log',"
    " 'godwit_replaced', 'godwit_captured', 'godwit_capture')))";

static bool uninstall_on(struct gw_lite_conn *conn, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf sql = {0}, drop = {0};
    bool row = false;
    gw_buf_addf(&sql, "%s%s ORDER BY type DESC", ours_sql, not_of_log_sql); /* triggers before tables */
    if (!gw_lite_begin_write(conn, err) || !gw_lite_prepare(conn, gw_buf_text(&sql), &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            break;
        gw_buf_addf(&drop, "DROP %s IF EXISTS main.", gw_lite_column(statement, 0));
        gw_lite_add_ident(&drop, gw_lite_column(statement, 1));
        gw_buf_adds(&drop, ";");
    }
    gw_lite_finalize(&statement);
    if (!gw_lite_exec(conn, gw_buf_text(&drop), err))
        return false;
    GW_CRASH_POINT("lite.uninstall.before_commit");
    return gw_lite_exec(conn, "COMMIT", err) && gw_lite_sync(conn->store, err);
}

static bool home_uninstall(struct gw_store *base, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = uninstall_on(conn, err) || gw_error_prefix(err, "dropping the tables godwit_*");
    gw_lite_return(conn);
    return ok;
}

static bool leftovers_on(struct gw_lite_conn *conn, struct gw_buf *lines, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_prepare(conn, ours_sql, &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        gw_buf_addf(lines, "%s %s", gw_lite_column(statement, 0), gw_lite_column(statement, 1));
        if (strcmp(gw_lite_column(statement, 0), "trigger") == 0)
            gw_buf_addf(lines, " on %s", gw_lite_column(statement, 2));
        gw_buf_adds(lines, "\n");
    }
}

static bool home_leftovers(struct gw_store *base, struct gw_buf *lines, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = leftovers_on(conn, lines, err);
    gw_lite_return(conn);
    return ok;
}

const struct gw_ownership_facet gw_lite_ownership = {
    .install = home_install,
    .get = home_get,
    .compare_and_set = home_compare_and_set,
    .note = home_note,
    .noted = home_noted,
    .uninstall = home_uninstall,
    .leftovers = home_leftovers,
    .by_hand = "open the file by sqlite3, as the user that godwit runs as, and begin with\n"
               "  .dbconfig enable_trigger off\n"
               "Triggers of the application do not fire then, either.\n",
};
