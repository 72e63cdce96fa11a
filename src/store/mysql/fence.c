/*
 * The fence: BEFORE triggers on every table, that read a flag and refuse whoever is not godwit's account.
 *
 * The flag is what no snapshot hides: a transaction that is open in repeatable read sees it raised with its next
 * statement. In MariaDB it is a sequence, up when its next value is odd: kept by InnoDB, read as it is and not as it was,
 * and no hindrance to SAVEPOINT (a transaction that has read a transactional Aria table can have none). In MySQL, which has
 * no sequences, it is a row that is read locked, as it is now, up when `next_not_cached_value` is 1. To raise it, all tables are locked for reading: that waits
 * until every transaction that wrote one of them has ended, so no acknowledged commit is behind the place in the log that
 * is read then; who comes meanwhile waits and meets the flag. Locking accounts and ending their sessions would do it,
 * too, but reading goes on with this, and nobody's connection is cut. Where it is asked for (`fence: accounts`) it is done
 * before the flag is raised, and undone behind its lowering: see fence_accounts.h.
 *
 * What it does not stop: TRUNCATE and other DDL (the catalog's fingerprint tells), and who may drop a trigger (`holes`).
 * Sessions are told by the user name they logged in with. Cascades fire no triggers, but what they follow from does.
 */
#include "base/clock.h"
#include "base/crash.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/mysql/capture.h"
#include "store/mysql/fence_accounts.h"
#include "store/mysql/home.h"
#include "store/mysql/reader.h"

#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

static const char *const events[] = {"INSERT", "UPDATE", "DELETE"};

static bool place(struct gw_store *base, struct gw_error *err)
{
    return gw_error_place(err, "%s %s", gw_side_name(base->side), base->identity.address);
}

/* "godwit_fence_i_<hash of the table>" */
void gw_mysql_fence_trigger(const char *table, size_t event, char out[64])
{
    snprintf(out, 64, "godwit_fence_%c_%016llx", events[event][0] | 32,
             (unsigned long long)gw_hash64(table, strlen(table), 0));
}

/* ---- install ---------------------------------------------------------------------------------------------------- */

static bool make_flag(struct gw_mysql_conn *conn, struct gw_error *err)
{
    return gw_mysql_exec(conn,
                         conn->store->is_mariadb
                             ? "CREATE SEQUENCE IF NOT EXISTS godwit_fence START WITH 2 NOCACHE"
                             : "CREATE TABLE IF NOT EXISTS godwit_fence (one tinyint NOT NULL PRIMARY KEY,"
                               " next_not_cached_value tinyint NOT NULL) ENGINE = InnoDB;"
                               "INSERT IGNORE INTO godwit_fence VALUES (1, 0)",
                         err);
}

/* The flag's number, whether up or down; *found false where there is no flag. */
static bool read_number(struct gw_mysql_conn *conn, unsigned long long *number, bool *found, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    *number = 0;
    *found = gw_mysql_query_text(conn, "SELECT next_not_cached_value FROM godwit_fence", &text, NULL, err);
    if (!*found)
        return gw_mysql_no_such_table(conn, err);
    *number = strtoull(gw_buf_text(&text), NULL, 10);
    return true;
}

/* A sequence only goes up. The COMMIT after it puts it on disk: a sequence's own change waits for somebody's. */
static bool set_flag(struct gw_mysql_conn *conn, bool up, struct gw_error *err)
{
    unsigned long long number;
    bool found;
    if (!read_number(conn, &number, &found, err))
        return false;
    if (!found || (number % 2 == 1) == up)
        return found || !up || gw_fail(err, GW_ERR_CONFLICT, "the fence's flag is gone");
    if (!conn->store->is_mariadb)
        return gw_mysql_execf(conn, err, "UPDATE godwit_fence SET next_not_cached_value = %d", up);
    gw_autofree char *sql = gw_asprintf("SELECT SETVAL(godwit_fence, %llu, 0)", number + 1);
    gw_autobuf struct gw_buf text = {0};
    return gw_mysql_query_text(conn, sql, &text, NULL, err);
}

/* The triggers that are there, one "name" a line. */
static bool list_triggers(struct gw_mysql_conn *conn, struct gw_buf *names, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!gw_mysql_query(conn,
                        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()"
                        " AND TRIGGER_NAME LIKE 'godwit|_fence|_%' ESCAPE '|'",
                        &r, err))
        return false;
    gw_buf_adds(names, "\n");
    while ((row = mysql_fetch_row(r)))
        gw_buf_addf(names, "%s\n", row[0]);
    mysql_free_result(r);
    return true;
}

static bool has_line(const struct gw_buf *lines, const char *line)
{
    gw_autofree char *wanted = gw_asprintf("\n%s\n", line);
    return strstr(gw_buf_text(lines), wanted) != NULL;
}

static bool make_trigger(struct gw_mysql_conn *conn, const struct gw_collection *c, size_t event, const char *name,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "CREATE TRIGGER %s BEFORE %s ON ", name, events[event]);
    gw_mysql_add_table(&sql, c);
    gw_buf_adds(&sql, " FOR EACH ROW BEGIN IF (SUBSTRING_INDEX(USER(), '@', 1) <> ");
    gw_mysql_add_literal(&sql, conn->store->base.identity.user);
    /* The flag is a statement of its own: one with a table in it costs several us for each row, also where it is not
     * evaluated, and every row we apply comes by. */
    gw_buf_adds(&sql, " OR @godwit_probe IS NOT NULL) THEN IF (SELECT next_not_cached_value % 2 FROM godwit_fence");
    gw_buf_adds(&sql, conn->store->is_mariadb ? "" : " LOCK IN SHARE MODE");
    gw_buf_adds(&sql, ") = 1 THEN"
                      " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'godwit: this side does not own the data now';"
                      " END IF; END IF; END");
    if (gw_mysql_exec_buf(conn, &sql, err))
        return true;
    if (gw_mysql_errno(conn) == ER_TRG_ALREADY_EXISTS)
        return true;
    if (gw_mysql_errno(conn) == ER_BINLOG_CREATE_ROUTINE_NEED_SUPER) {
        gw_fail(err, GW_ERR_REFUSED, "triggers cannot be made while the binlog is written, without a setting");
        gw_error_hint(err, "SET GLOBAL log_bin_trust_function_creators = 1");
    }
    return gw_error_place(err, "%s", c->name);
}

static bool fence_install(struct gw_store *base, const struct gw_schema *schema, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    gw_autobuf struct gw_buf there = {0};
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = make_flag(conn, err) && list_triggers(conn, &there, err);
    for (size_t i = 0; fine && i < schema->count; i++)
        for (size_t event = 0; fine && event < 3; event++) {
            char name[64];
            gw_mysql_fence_trigger(schema->collections[i].name, event, name);
            fine = has_line(&there, name) || make_trigger(conn, &schema->collections[i], event, name, err);
            GW_CRASH_POINT("mysql.fence.install");
        }
    gw_mysql_return(conn, !fine);
    return fine || place(base, err);
}

static bool read_flag(struct gw_mysql_conn *conn, bool *raised, struct gw_error *err)
{
    unsigned long long number;
    bool found;
    bool fine = read_number(conn, &number, &found, err);
    *raised = fine && number % 2 == 1;
    return fine;
}

/* ---- raise and lower -------------------------------------------------------------------------------------------- */

static bool lock_all(struct gw_mysql_conn *conn, const struct gw_schema *schema, int timeout_ms, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    int seconds = (timeout_ms + 999) / 1000;
    gw_buf_addf(&sql, "SET SESSION lock_wait_timeout = %d; LOCK TABLES godwit_fence WRITE", seconds < 1 ? 1 : seconds);
    for (size_t i = 0; i < schema->count; i++) {
        gw_buf_adds(&sql, ", ");
        gw_mysql_add_table(&sql, &schema->collections[i]);
        gw_buf_adds(&sql, " READ");
    }
    return gw_mysql_exec_buf(conn, &sql, err) || gw_error_prefix(err, "waiting for writers");
}

/* With the tables locked, so that whoever wrote has ended. */
static bool log_end(struct gw_mysql_conn *conn, struct gw_position *at, struct gw_error *err)
{
    if (gw_mysql_captures(conn->store))
        return gw_mysql_capture_horizon(conn->store, at, err);
    return !conn->store->binlog || gw_mysql_log_end(conn, at, err);
}

static bool raise_with(struct gw_mysql_conn *conn, const struct gw_schema *schema, int timeout_ms,
                       struct gw_position *at, struct gw_error *err)
{
    struct gw_position behind = {0};
    bool fine = lock_all(conn, schema, timeout_ms, err) && set_flag(conn, true, err) && log_end(conn, &behind, err);
    GW_CRASH_POINT("mysql.fence.before_unlock");
    fine = fine && gw_mysql_exec(conn, "UNLOCK TABLES", err);
    if (fine)
        *at = behind;
    return fine;
}

/* The fence could not be raised: the accounts are as they were. Whoever cannot be reached now finds them in
 * godwit_locked, and `is_raised` says so. */
static void give_back(struct gw_mysql_store *store)
{
    struct gw_mysql_conn *conn;
    struct gw_error why;
    if (!gw_mysql_connect(store, "fence", &conn, &why))
        return;
    if (!gw_mysql_accounts_unlock(conn, &why))
        gw_warn("accounts stay locked: %s", why.message);
    gw_mysql_close(conn);
}

static bool fence_raise(struct gw_store *base, const struct gw_schema *schema, int lock_timeout_ms,
                        struct gw_position *at, struct gw_error *err)
{
    struct gw_mysql_store *store = gw_mysql_store_of(base);
    struct gw_mysql_conn *conn;
    int64_t deadline_us = gw_mono_us() + (int64_t)lock_timeout_ms * 1000;
    bool was_raised = false;
    if (!gw_mysql_connect(store, "fence", &conn, err))
        return false;
    bool fine = read_flag(conn, &was_raised, err) &&
                (!store->fence_accounts || gw_mysql_accounts_lock(conn, deadline_us, err)) &&
                raise_with(conn, schema, lock_timeout_ms, at, err);
    gw_mysql_close(conn); /* whatever it had locked is free */
    if (!fine && !was_raised && store->fence_accounts)
        give_back(store);
    return fine || place(base, err);
}

/* With the owner's row locked, so that a flip that is under way is waited for. */
static bool lower_with(struct gw_mysql_conn *conn, enum gw_side side, struct gw_error *err)
{
    gw_autobuf struct gw_buf owner = {0};
    bool found = false;
    if (!gw_mysql_exec(conn, "SET SESSION innodb_lock_wait_timeout = 5; START TRANSACTION", err))
        return false;
    if (!gw_mysql_query_text(conn, "SELECT owner FROM godwit_owner WHERE one = 1 FOR UPDATE", &owner, &found, err))
        return gw_mysql_no_such_table(conn, err);
    if (found && strcmp(gw_buf_text(&owner), gw_side_name(side)) != 0) {
        gw_fail(err, GW_ERR_CONFLICT, "the fence stays up: %s owns the data by this side's own word",
                gw_buf_text(&owner));
        return false;
    }
    if (!set_flag(conn, false, err))
        return false;
    GW_CRASH_POINT("mysql.fence.before_commit");
    return gw_mysql_exec(conn, "COMMIT", err);
}

static bool fence_lower(struct gw_store *base, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!gw_mysql_connect(gw_mysql_store_of(base), "fence", &conn, err))
        return false;
    bool fine = lower_with(conn, base->side, err) && gw_mysql_accounts_unlock(conn, err);
    gw_mysql_close(conn);
    return fine || place(base, err);
}

/* A raise or a lowering that was cut off with the flag down has accounts locked. On the side that owns they are to be given
 * back, as a fence that is up; on the other one the fence is to be raised, and is not. */
static bool has_accounts_to_give_back(struct gw_mysql_conn *conn, enum gw_side side, bool *has, struct gw_error *err)
{
    gw_autobuf struct gw_buf owner = {0};
    bool any = false;
    *has = false;
    if (!gw_mysql_accounts_locked(conn, &any, err))
        return false;
    if (!any)
        return true;
    if (!gw_mysql_query_text(conn, "SELECT owner FROM godwit_owner WHERE one = 1", &owner, NULL, err))
        return false;
    *has = strcmp(gw_buf_text(&owner), gw_side_name(side)) == 0;
    return true;
}

static bool fence_is_raised(struct gw_store *base, bool *raised, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = read_flag(conn, raised, err);
    if (fine && !*raised)
        fine = has_accounts_to_give_back(conn, base->side, raised, err);
    gw_mysql_return(conn, !fine);
    return fine;
}

/* ---- proof ------------------------------------------------------------------------------------------------------ */

/* Writes as somebody else would, in a transaction that is undone: the first row is deleted; in an empty table nothing
 * is, and another one has to tell. */
static bool probe_table(struct gw_mysql_conn *conn, const struct gw_collection *c, bool *tried, bool *stopped,
                        struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    uint64_t rows = 0;
    gw_buf_adds(&sql, "DELETE FROM ");
    gw_mysql_add_table(&sql, c);
    gw_buf_adds(&sql, " LIMIT 1");
    bool written = gw_mysql_exec_counted(conn, &sql, &rows, err);
    *stopped = !written && gw_mysql_errno(conn) == ER_SIGNAL_EXCEPTION && !conn->broken;
    *tried = *stopped || rows > 0;
    return written || *stopped;
}

static bool prove_with(struct gw_mysql_conn *conn, const struct gw_schema *schema, bool *held, struct gw_buf *how,
                       struct gw_error *err)
{
    size_t tried_count = 0;
    bool raised = false, fine = read_flag(conn, &raised, err) &&
                                gw_mysql_exec(conn, "SET @godwit_probe = 1, SESSION foreign_key_checks = 0", err);
    *held = raised;
    for (size_t i = 0; fine && *held && i < schema->count && tried_count < 3; i++) {
        bool tried = false, stopped = false;
        struct gw_error undo_error;
        fine = gw_mysql_exec(conn, "START TRANSACTION", err) &&
               probe_table(conn, &schema->collections[i], &tried, &stopped, err);
        if (!conn->broken && !gw_mysql_exec(conn, "ROLLBACK", &undo_error) && fine) {
            *err = undo_error;
            fine = false;
        }
        tried_count += tried;
        if (tried && !stopped) {
            *held = false;
            gw_buf_addf(how, "a delete from %s as another session went through, and was undone\n",
                        gw_collection_label(&schema->collections[i]));
        } else if (tried) {
            gw_buf_addf(how, "a delete from %s as another session was stopped\n",
                        gw_collection_label(&schema->collections[i]));
        }
    }
    if (fine && !raised)
        gw_buf_adds(how, "the fence is down\n");
    else if (fine && tried_count == 0)
        gw_buf_adds(how, "all tables are empty: only the triggers were looked at\n");
    return fine;
}

static bool missing_triggers(struct gw_mysql_conn *conn, const struct gw_schema *schema, struct gw_buf *lines,
                             struct gw_error *err)
{
    gw_autobuf struct gw_buf there = {0};
    if (!list_triggers(conn, &there, err))
        return false;
    for (size_t i = 0; i < schema->count; i++)
        for (size_t event = 0; event < 3; event++) {
            char name[64];
            gw_mysql_fence_trigger(schema->collections[i].name, event, name);
            if (!has_line(&there, name))
                gw_buf_addf(lines, "%s has no trigger of ours before %s\n",
                            gw_collection_label(&schema->collections[i]), events[event]);
        }
    return true;
}

static bool fence_prove(struct gw_store *base, const struct gw_schema *schema, bool *held, struct gw_buf *how,
                        struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    gw_autobuf struct gw_buf missing = {0};
    gw_buf_clear(how);
    if (!gw_mysql_connect(gw_mysql_store_of(base), "probe", &conn, err))
        return false;
    bool fine = prove_with(conn, schema, held, how, err) && missing_triggers(conn, schema, &missing, err) &&
                (!gw_mysql_store_of(base)->fence_accounts || gw_mysql_accounts_open(conn, &missing, err));
    gw_mysql_close(conn);
    if (fine && missing.len > 0) {
        *held = false;
        gw_buf_adds(how, gw_buf_text(&missing));
    }
    return fine || place(base, err);
}

static bool fence_holes(struct gw_store *base, const struct gw_schema *schema, struct gw_buf *lines,
                        struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    gw_buf_clear(lines);
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool raised = false, fine = missing_triggers(conn, schema, lines, err) && read_flag(conn, &raised, err) &&
                                (!raised || !conn->store->fence_accounts || gw_mysql_accounts_open(conn, lines, err));
    gw_mysql_return(conn, !fine);
    return fine;
}

/* ---- removal ---------------------------------------------------------------------------------------------------- */

bool gw_mysql_fence_remove(struct gw_mysql_conn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf there = {0};
    if (!gw_mysql_accounts_unlock(conn, err) || !list_triggers(conn, &there, err))
        return false;
    for (const char *p = gw_buf_text(&there) + 1; *p;) {
        size_t len = strcspn(p, "\n");
        if (!gw_mysql_execf(conn, err, "DROP TRIGGER IF EXISTS %.*s", (int)len, p))
            return false;
        p += len + 1;
    }
    return true;
}

bool gw_mysql_fence_left(struct gw_mysql_conn *conn, struct gw_buf *lines, struct gw_error *err)
{
    gw_autobuf struct gw_buf there = {0};
    if (!list_triggers(conn, &there, err))
        return false;
    for (const char *p = gw_buf_text(&there) + 1; *p;) {
        size_t len = strcspn(p, "\n");
        gw_buf_addf(lines, "trigger %.*s\n", (int)len, p);
        p += len + 1;
    }
    return true;
}

const struct gw_fence_facet gw_mysql_fence = {
    .install = fence_install,
    .raise = fence_raise,
    .lower = fence_lower,
    .is_raised = fence_is_raised,
    .prove = fence_prove,
    .holes = fence_holes,
};
