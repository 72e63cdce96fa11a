/* Connections to a database file. */
#include "store/sqlite/conn.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define BUSY_NAP_US 500
#define BUSY_NAP_MOST_US 10000
#define PROGRESS_STEPS 50000

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static enum gw_error_kind kind_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_SCHEMA:
        return GW_ERR_RETRY;
    case SQLITE_INTERRUPT:
        return GW_ERR_CANCELLED;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY:
    case SQLITE_NOTADB:
        return GW_ERR_REFUSED;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
        return GW_ERR_RESOURCE;
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
        return GW_ERR_BUG;
    default:
        return GW_ERR_CONFLICT;
    }
}

static bool cancelled(const struct gw_lite_store *store)
{
    return gw_cancel_asked(store->cancel) || gw_cancel_asked(gw_cancel_own());
}

bool gw_lite_fail(struct gw_lite_conn *conn, int rc, const char *doing, struct gw_error *err)
{
    struct gw_lite_store *store = conn->store;
    if (((rc & 0xff) == SQLITE_INTERRUPT || (rc & 0xff) == SQLITE_BUSY) && cancelled(store))
        return gw_cancel_fail(gw_cancel_asked(store->cancel) ? store->cancel : gw_cancel_own(), err);
    if ((rc & 0xff) == SQLITE_INTERRUPT && conn->steps_until_us)
        return gw_fail(err, GW_ERR_RETRY, "%s: it takes too long", doing);
    int extended = conn->db ? sqlite3_extended_errcode(conn->db) : rc;
    if ((extended & 0xff) != (rc & 0xff))
        extended = rc;
    gw_fail(err, kind_of(rc), "%s: %s", doing, conn->db ? sqlite3_errmsg(conn->db) : sqlite3_errstr(rc));
    gw_error_detail(err, "%s (%d)", sqlite3_errstr(extended), extended);
    if ((rc & 0xff) == SQLITE_BUSY)
        gw_error_hint(err, "another connection holds the write lock of this file: end its transaction");
    else if ((rc & 0xff) == SQLITE_READONLY)
        gw_error_hint(err, "godwit's user must be able to write the file, its -wal and -shm, and its folder");
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->path);
}

/* ---- waiting --------------------------------------------------------------------------------------------------- */

static int on_busy(void *arg, int count)
{
    struct gw_lite_conn *conn = arg;
    if (count == 0)
        conn->lock_until_us = gw_mono_us() + (int64_t)conn->lock_ms * 1000;
    if (gw_mono_us() >= conn->lock_until_us || cancelled(conn->store))
        return 0;
    int64_t nap_us = BUSY_NAP_US * (int64_t)(count < 8 ? count + 1 : 16);
    gw_sleep_us(nap_us < BUSY_NAP_MOST_US ? nap_us : BUSY_NAP_MOST_US);
    return 1;
}

static int on_progress(void *arg)
{
    const struct gw_lite_conn *conn = arg;
    return cancelled(conn->store) || (conn->steps_until_us && gw_mono_us() >= conn->steps_until_us);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static bool settle(struct gw_lite_conn *conn, struct gw_error *err)
{
    sqlite3_extended_result_codes(conn->db, 1);
    sqlite3_busy_handler(conn->db, on_busy, conn);
    sqlite3_progress_handler(conn->db, PROGRESS_STEPS, on_progress, conn);
    sqlite3_db_config(conn->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, conn->foreign, NULL);
    /* Large rows and the whole chunk of a load stay out of memory: pages are spilled into the WAL. */
    return gw_lite_exec(conn,
                        conn->foreign ? "PRAGMA foreign_keys=ON"
                                      : "PRAGMA foreign_keys=OFF; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-8000;"
                                        " PRAGMA case_sensitive_like=OFF",
                        err);
}

bool gw_lite_connect(struct gw_lite_store *store, bool foreign, struct gw_lite_conn **out, struct gw_error *err)
{
    struct gw_lite_conn *conn = gw_zalloc(sizeof *conn);
    conn->store = store;
    conn->foreign = foreign;
    conn->lock_ms = GW_LITE_LOCK_MS;
    /* Not SQLITE_OPEN_CREATE: a mistyped path must not become a database. */
    int rc = sqlite3_open_v2(store->path, &conn->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    bool ok = rc == SQLITE_OK ? settle(conn, err) : gw_lite_fail(conn, rc, "opening the database file", err);
    if (!ok) {
        gw_lite_disconnect(conn);
        return false;
    }
    *out = conn;
    return true;
}

void gw_lite_disconnect(struct gw_lite_conn *conn)
{
    if (!conn)
        return;
    gw_lite_rollback(conn);
    sqlite3_close_v2(conn->db);
    free(conn);
}

static void close_idle(void *session)
{
    gw_lite_disconnect(session);
}

static bool has_moved(const struct gw_lite_conn *conn)
{
    int moved = 0;
    return sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

static bool is_in_place(void *session)
{
    return !has_moved(session);
}

struct gw_idle *gw_lite_pool_new(void)
{
    return gw_idle_new(is_in_place, close_idle);
}

bool gw_lite_borrow(struct gw_lite_store *store, struct gw_lite_conn **out, struct gw_error *err)
{
    *out = gw_idle_take(store->pool);
    return *out || gw_lite_connect(store, false, out, err);
}

void gw_lite_return(struct gw_lite_conn *conn)
{
    if (!conn)
        return;
    gw_lite_rollback(conn);
    conn->lock_ms = GW_LITE_LOCK_MS;
    gw_idle_give(conn->store->pool, conn);
}

/* ---- statements ------------------------------------------------------------------------------------------------ */

bool gw_lite_exec(struct gw_lite_conn *conn, const char *sql, struct gw_error *err)
{
    int rc = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK || gw_lite_fail(conn, rc, "a statement failed", err);
}

bool gw_lite_execf(struct gw_lite_conn *conn, struct gw_error *err, const char *format, ...)
{
    gw_autobuf struct gw_buf sql = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&sql, format, args);
    va_end(args);
    return gw_lite_exec(conn, gw_buf_text(&sql), err);
}

bool gw_lite_check_place(struct gw_lite_conn *conn, struct gw_error *err)
{
    if (!has_moved(conn))
        return true;
    gw_fail(err, GW_ERR_RETRY, "the file that was opened as %s was moved, removed or replaced", conn->store->path);
    gw_error_hint(err, "put it back with its -wal; if it was restored from a backup: godwit abort, then godwit copy");
    return gw_error_place(err, "%s", gw_side_name(conn->store->base.side));
}

bool gw_lite_begin_write(struct gw_lite_conn *conn, struct gw_error *err)
{
    return gw_lite_check_place(conn, err) && gw_lite_exec(conn, "BEGIN IMMEDIATE", err);
}

void gw_lite_rollback(struct gw_lite_conn *conn)
{
    if (conn->db && !sqlite3_get_autocommit(conn->db))
        sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
}

/* SQLite takes no locks on the -wal file, so that closing another descriptor of it loses none (POSIX drops all locks of a
 * process on a file with the first descriptor closed: never do this with the database or its -shm). A WAL that is gone
 * was written into the database and synced by whoever did so. */
bool gw_lite_sync(struct gw_lite_store *store, struct gw_error *err)
{
    gw_autofree char *wal = gw_asprintf("%s-wal", store->path);
    int fd = open(wal, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true;
    if (fd < 0)
        return gw_fail_errno(err, errno, "opening %s", wal);
    bool ok = fdatasync(fd) == 0 || gw_fail_errno(err, errno, "writing %s to the disk", wal);
    close(fd);
    return ok;
}

void gw_lite_finalize(sqlite3_stmt **statement)
{
    sqlite3_finalize(*statement);
    *statement = NULL;
}

bool gw_lite_prepare(struct gw_lite_conn *conn, const char *sql, sqlite3_stmt **out, struct gw_error *err)
{
    sqlite3_finalize(*out);
    *out = NULL;
    int rc = sqlite3_prepare_v2(conn->db, sql, -1, out, NULL);
    return rc == SQLITE_OK || gw_lite_fail(conn, rc, "a statement cannot be prepared", err);
}

bool gw_lite_step(struct gw_lite_conn *conn, sqlite3_stmt *statement, bool *row, struct gw_error *err)
{
    int rc = sqlite3_step(statement);
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return true;
    gw_lite_fail(conn, rc, "a statement failed", err);
    sqlite3_reset(statement);
    return false;
}

bool gw_lite_run(struct gw_lite_conn *conn, sqlite3_stmt *statement, struct gw_error *err)
{
    bool row = true;
    while (row)
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
    sqlite3_reset(statement);
    return true;
}

void gw_lite_bind_text(sqlite3_stmt *statement, int place, const char *text)
{
    if (text)
        sqlite3_bind_text(statement, place, text, -1, SQLITE_TRANSIENT);
    else
        sqlite3_bind_null(statement, place);
}

const char *gw_lite_column(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return text ? text : "";
}

bool gw_lite_int(struct gw_lite_conn *conn, const char *sql, int64_t *out, bool *found, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_prepare(conn, sql, &statement, err) || !gw_lite_step(conn, statement, &row, err))
        return false;
    bool there = row && sqlite3_column_type(statement, 0) != SQLITE_NULL;
    if (there)
        *out = sqlite3_column_int64(statement, 0);
    if (found)
        *found = there;
    return true;
}

bool gw_lite_text(struct gw_lite_conn *conn, const char *sql, struct gw_buf *out, bool *found, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_prepare(conn, sql, &statement, err) || !gw_lite_step(conn, statement, &row, err))
        return false;
    bool there = row && sqlite3_column_type(statement, 0) != SQLITE_NULL;
    if (there)
        gw_buf_adds(out, gw_lite_column(statement, 0));
    if (found)
        *found = there;
    return true;
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

static void add_quoted(struct gw_buf *out, const char *text, char quote)
{
    gw_buf_addc(out, quote);
    for (; *text; text++) {
        if (*text == quote)
            gw_buf_addc(out, quote);
        gw_buf_addc(out, *text);
    }
    gw_buf_addc(out, quote);
}

void gw_lite_add_ident(struct gw_buf *out, const char *name)
{
    add_quoted(out, name, '"');
}

void gw_lite_add_literal(struct gw_buf *out, const char *text)
{
    add_quoted(out, text, '\'');
}

bool gw_lite_has_table(struct gw_lite_conn *conn, const char *name)
{
    return sqlite3_table_column_metadata(conn->db, "main", name, NULL, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
}

bool gw_lite_is_ours(const char *name)
{
    return sqlite3_strnicmp(name, "godwit_", 7) == 0;
}
