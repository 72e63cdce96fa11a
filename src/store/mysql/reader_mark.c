/* Begin, and the mark: see reader.h. */
#include "store/mysql/reader.h"

#include "base/mem.h"
#include "store/mysql/binlog.h"
#include "store/mysql/capture.h"
#include "store/mysql/changes.h"

#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_TRIES 120
#define LOCK_REST_MS 250
#define XA_TRIES 200

void gw_mysql_position_of(const char *file, uint64_t offset, struct gw_position *out)
{
    struct gw_binlog_place place = {.pos = offset};
    snprintf(place.file, sizeof place.file, "%s", file);
    gw_binlog_place_format(&place, out);
}

static bool no_binlog(struct gw_mysql_store *store, struct gw_error *err)
{
    *err = store->binlog_why;
    if (err->kind == GW_ERR_NONE)
        gw_fail(err, GW_ERR_UNSUPPORTED, "the server's binlog has no position");
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

bool gw_mysql_log_end(struct gw_mysql_conn *conn, struct gw_position *out, struct gw_error *err)
{
    MYSQL_RES *r;
    if (!gw_mysql_query(conn, gw_mysql_log_status(conn), &r, err))
        return false;
    MYSQL_ROW row = mysql_fetch_row(r);
    if (row)
        gw_mysql_position_of(row[0], strtoull(row[1], NULL, 10), out);
    mysql_free_result(r);
    return row || no_binlog(conn->store, err);
}

static bool take_snapshot(struct gw_mysql_reader *r, struct gw_position *at, struct gw_error *err)
{
    MYSQL_RES *rows;
    gw_autofree char *file = NULL;
    uint64_t offset = 0;
    if (!gw_mysql_exec(r->conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", err))
        return false;
    r->in_transaction = true;
    if (!gw_mysql_query(r->conn, "SHOW STATUS LIKE 'Binlog\\_snapshot\\_%'", &rows, err))
        return false;
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(rows))) {
        if (strcasecmp(row[0], "Binlog_snapshot_file") == 0 && !file)
            file = gw_strdup(row[1]);
        else if (strcasecmp(row[0], "Binlog_snapshot_position") == 0)
            offset = strtoull(row[1], NULL, 10);
    }
    mysql_free_result(rows);
    if (!file || !*file)
        return no_binlog(r->store, err);
    gw_mysql_position_of(file, offset, at);
    return true;
}

/* A snapshot that an XA COMMIT may have been under way around is given up, and the next one tried. */
static bool snapshot_position(struct gw_mysql_reader *r, struct gw_position *at, struct gw_error *err)
{
    for (int tries = 0; tries < XA_TRIES; tries++) {
        struct gw_mysql_xa_look before, after;
        if (!gw_mysql_xa_commits(r->conn, &before, err))
            return false;
        if (!before.running) {
            if (!take_snapshot(r, at, err) || !gw_mysql_xa_commits(r->conn, &after, err))
                return false;
            if (after.count == before.count)
                return true;
            if (!gw_mysql_reader_leave(r, err))
                return false;
        }
        if (gw_cancel_wait(r->store->cancel, tries % 8))
            return gw_cancel_fail(r->store->cancel, err);
    }
    gw_fail(err, GW_ERR_RETRY, "no moment without an XA COMMIT in %d tries: a snapshot would not fit the binlog",
            XA_TRIES);
    return gw_error_place(err, "%s %s", gw_side_name(r->store->base.side), r->store->base.identity.address);
}

/* While the lock is waited for, whoever wants to write the table waits behind it: so it is asked for again and again, for
 * a moment each time. */
static bool lock_table(struct gw_mysql_reader *r, const struct gw_collection *c, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "LOCK TABLES ");
    gw_mysql_add_table(&sql, c);
    gw_buf_adds(&sql, " READ");
    for (int tries = 1; !gw_mysql_exec_buf(r->locker, &sql, err); tries++) {
        if (gw_mysql_errno(r->locker) != ER_LOCK_WAIT_TIMEOUT || tries == LOCK_TRIES)
            return gw_error_prefix(err, "waiting for writers");
        if (gw_cancel_wait(r->store->cancel, LOCK_REST_MS))
            return gw_cancel_fail(r->store->cancel, err);
    }
    return true;
}

static bool locked_position(struct gw_mysql_reader *r, const struct gw_collection *c, struct gw_position *at,
                            struct gw_error *err)
{
    struct gw_error unlock_error;
    /* Without autocommit InnoDB is asked for the lock, too, which is given when no transaction that wrote is left; the
     * server's own lock alone waits for statements in old versions. */
    if (!r->locker &&
        (!gw_mysql_connect(r->store, "copy lock", &r->locker, err) ||
         !gw_mysql_exec(r->locker, "SET SESSION autocommit = 0, lock_wait_timeout = 1, innodb_lock_wait_timeout = 1",
                        err)))
        return false;
    bool fine =
        lock_table(r, c, err) && gw_mysql_exec(r->conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", err);
    r->in_transaction = fine;
    fine = fine && gw_mysql_log_end(r->conn, at, err);
    if (!gw_mysql_exec(r->locker, "UNLOCK TABLES", &unlock_error) && fine) {
        *err = unlock_error;
        fine = false;
    }
    return fine;
}

/* The snapshot is a cut of what triggers captured. */
static bool captured_mark(struct gw_mysql_reader *r, const struct gw_collection *c, struct gw_mark *mark,
                          struct gw_error *err)
{
    if (!r->locker && !gw_mysql_connect(r->store, "copy lock", &r->locker, err))
        return false;
    r->in_transaction = true;
    return gw_mysql_capture_enter(r->conn, r->locker, mark, err) ||
           gw_error_prefix(err, "beginning to read %s", gw_collection_label(c));
}

bool gw_mysql_reader_enter(struct gw_mysql_reader *r, const struct gw_collection *c, struct gw_mark *mark,
                           struct gw_error *err)
{
    struct gw_position at = {0};
    if (gw_mysql_captures(r->store))
        return captured_mark(r, c, mark, err);
    if (!r->store->binlog)
        return no_binlog(r->store, err);
    bool fine = r->store->binlog_snapshot ? snapshot_position(r, &at, err) : locked_position(r, c, &at, err);
    if (!fine)
        return gw_error_prefix(err, "beginning to read %s", gw_collection_label(c));
    *mark = (struct gw_mark){.low = at.order, .high = at.order};
    return true;
}

bool gw_mysql_reader_leave(struct gw_mysql_reader *r, struct gw_error *err)
{
    r->in_transaction = false;
    return gw_mysql_exec(r->conn, "COMMIT", err);
}
