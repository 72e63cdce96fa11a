#include "store/mysql/fence_accounts.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"
#include "sql_embedded.h"

#include <mysqld_error.h>
#include <stdlib.h>
#include <string.h>

#define CANNOT_USER 1396 /* ER_CANNOT_USER: there is no such account any more */
#define LOOK_US 5000

struct account {
    char *user, *host;
    bool here, elsewhere, wide;
};
struct account_list {
    size_t count, capacity;
    struct account *items;
};

static void accounts_release(struct account_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].user);
        free(list->items[i].host);
    }
    free(list->items);
    *list = (struct account_list){0};
}

static struct account *accounts_add(struct account_list *list, char *user, char *host)
{
    list->items = gw_grow(list->items, &list->capacity, list->count, sizeof *list->items);
    list->items[list->count] = (struct account){.user = user, .host = host};
    return &list->items[list->count++];
}

/* 'user'@'host', as information_schema writes it: nothing in it is escaped. */
static struct account *add_grantee(struct account_list *list, const char *text)
{
    const char *at = NULL;
    for (const char *p = strstr(text, "'@'"); p; p = strstr(p + 1, "'@'"))
        at = p;
    size_t len = strlen(text);
    if (!at || len < 5)
        return accounts_add(list, gw_strdup(text), gw_strdup(""));
    return accounts_add(list, gw_strndup(text + 1, (size_t)(at - text) - 1),
                        gw_strndup(at + 3, (size_t)(text + len - at) - 4));
}

static bool list_accounts(struct gw_mysql_conn *conn, struct account_list *out, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    gw_autobuf struct gw_buf any = {0};
    /* Without this right the server tells of our own account alone, and says nothing. */
    if (!gw_mysql_query_text(conn, "SELECT COUNT(*) FROM mysql.db", &any, NULL, err))
        return gw_error_prefix(err, "looking for the accounts that may write");
    if (!gw_mysql_query(conn, gw_sql_mysql_accounts, &r, err))
        return false;
    while ((row = mysql_fetch_row(r))) {
        struct account *a = add_grantee(out, row[0]);
        a->here = *row[1] == '1';
        a->elsewhere = *row[2] == '1';
        a->wide = *row[3] == '1';
        if (strcmp(a->user, conn->store->base.identity.user) == 0)
            a->here = a->wide = false; /* ours: never */
    }
    mysql_free_result(r);
    return true;
}

/* A role has no host (MariaDB) or cannot log in at all. */
static bool is_ours_to_lock(const struct account *a)
{
    return a->here && !a->elsewhere && !a->wide && *a->host;
}

static void add_name(struct gw_buf *sql, const struct account *a)
{
    gw_mysql_add_literal(sql, a->user);
    gw_buf_addc(sql, '@');
    gw_mysql_add_literal(sql, a->host);
}

static bool is_locked(struct gw_mysql_conn *conn, const struct account *a, bool *locked, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, text = {0};
    gw_buf_adds(&sql, "SHOW CREATE USER ");
    add_name(&sql, a);
    *locked = false;
    if (!gw_mysql_query_text(conn, gw_buf_text(&sql), &text, NULL, err))
        return gw_mysql_errno(conn) == CANNOT_USER && !conn->broken;
    *locked = strstr(gw_buf_text(&text), " ACCOUNT LOCK") != NULL;
    return true;
}

bool gw_mysql_accounts_can(const struct gw_mysql_store *store, struct gw_error *err)
{
    if (store->base.identity.version >= (store->is_mariadb ? 100400 : 50706))
        return true;
    gw_fail(err, GW_ERR_UNSUPPORTED, "%s cannot lock an account", store->base.identity.product);
    return gw_error_hint(err, "fence: triggers for this side");
}

/* ---- lock ------------------------------------------------------------------------------------------------------- */

/* Where it may not be: replicas get it, too. */
static void stay_out_of_log(struct gw_mysql_conn *conn, bool out)
{
    struct gw_error ignored;
    (void)!gw_mysql_execf(conn, &ignored, "SET SESSION sql_log_bin = %d", !out);
}

static bool fail_lock(struct gw_error *err, const struct account *a)
{
    if (err->kind == GW_ERR_REFUSED)
        gw_error_hint(err, "GRANT CREATE USER ON *.* to godwit's account, or fence: triggers for this side");
    return gw_error_place(err, "'%s'@'%s'", a->user, a->host);
}

static bool lock_one(struct gw_mysql_conn *conn, const struct account *a, struct gw_error *err)
{
    gw_autobuf struct gw_buf note = {0}, lock = {0};
    bool locked = false;
    if (!is_locked(conn, a, &locked, err))
        return fail_lock(err, a);
    if (locked)
        return true;
    gw_buf_adds(&note, "INSERT IGNORE INTO godwit_locked (user, host, at) VALUES (");
    gw_mysql_add_literal(&note, a->user);
    gw_buf_adds(&note, ", ");
    gw_mysql_add_literal(&note, a->host);
    gw_buf_adds(&note, ", UTC_TIMESTAMP(6))");
    gw_buf_adds(&lock, "/* godwit */ ALTER USER ");
    add_name(&lock, a);
    gw_buf_adds(&lock, " ACCOUNT LOCK");
    if (!gw_mysql_exec_buf(conn, &note, err))
        return false;
    GW_CRASH_POINT("mysql.fence.account_noted");
    return gw_mysql_exec_buf(conn, &lock, err) || (gw_mysql_errno(conn) == CANNOT_USER && !conn->broken) ||
           fail_lock(err, a);
}

/* ---- their sessions --------------------------------------------------------------------------------------------- */

static bool list_locked(struct gw_mysql_conn *conn, struct account_list *out, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!gw_mysql_query(conn, "SELECT user, host FROM godwit_locked", &r, err))
        return gw_mysql_no_such_table(conn, err);
    while ((row = mysql_fetch_row(r)))
        accounts_add(out, gw_strdup(row[0]), gw_strdup(row[1]));
    mysql_free_result(r);
    return true;
}

/* Sessions are told by the user name they came with: theirs are those of users all of whose accounts are locked by us.
 * A condition on PROCESSLIST; empty: there are none. */
static bool their_sessions(struct gw_mysql_conn *conn, struct gw_buf *condition, struct gw_error *err)
{
    struct account_list locked = {0}, all = {0};
    bool fine = list_locked(conn, &locked, err) && list_accounts(conn, &all, err);
    for (size_t i = 0; fine && i < locked.count; i++) {
        bool shared = false;
        for (size_t k = 0; k < all.count; k++)
            shared =
                shared || (strcmp(all.items[k].user, locked.items[i].user) == 0 && !is_ours_to_lock(&all.items[k]));
        if (shared)
            continue;
        gw_buf_adds(condition, condition->len ? ", " : "ID <> CONNECTION_ID() AND USER IN (");
        gw_mysql_add_literal(condition, locked.items[i].user);
    }
    if (condition->len)
        gw_buf_addc(condition, ')');
    accounts_release(&locked);
    accounts_release(&all);
    return fine;
}

static bool end_all(struct gw_mysql_conn *conn, MYSQL_RES *r, struct gw_error *err)
{
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(r)))
        if (!gw_mysql_execf(conn, err, "KILL CONNECTION %s", row[0]) && gw_mysql_errno(conn) != ER_NO_SUCH_THREAD) {
            if (err->kind == GW_ERR_REFUSED)
                gw_error_hint(err, "GRANT CONNECTION ADMIN ON *.* TO godwit's account (MySQL: CONNECTION_ADMIN)");
            return gw_error_prefix(err, "ending the sessions of locked accounts");
        }
    return true;
}

/* Again and again: one that was just logging in when its account was locked comes late. */
static bool end_sessions(struct gw_mysql_conn *conn, int64_t deadline_us, struct gw_error *err)
{
    gw_autobuf struct gw_buf condition = {0}, sql = {0};
    if (!their_sessions(conn, &condition, err))
        return false;
    if (condition.len == 0)
        return true;
    gw_buf_addf(&sql, "SELECT ID FROM information_schema.PROCESSLIST WHERE %s", gw_buf_text(&condition));
    for (;;) {
        MYSQL_RES *r;
        if (!gw_mysql_query(conn, gw_buf_text(&sql), &r, err))
            return false;
        bool gone = mysql_num_rows(r) == 0, fine = end_all(conn, r, err);
        mysql_free_result(r);
        if (gone || !fine)
            return fine;
        if (gw_mono_us() > deadline_us)
            return gw_fail(err, GW_ERR_RETRY, "sessions of locked accounts were told to end, and are still there");
        gw_sleep_us(LOOK_US);
    }
}

bool gw_mysql_accounts_lock(struct gw_mysql_conn *conn, int64_t deadline_us, struct gw_error *err)
{
    struct account_list all = {0};
    if (!gw_mysql_accounts_can(conn->store, err) || !list_accounts(conn, &all, err))
        return false;
    stay_out_of_log(conn, true);
    bool fine = true;
    for (size_t i = 0; fine && i < all.count; i++)
        fine = !is_ours_to_lock(&all.items[i]) || lock_one(conn, &all.items[i], err);
    stay_out_of_log(conn, false);
    GW_CRASH_POINT("mysql.fence.accounts_locked");
    accounts_release(&all);
    return fine && end_sessions(conn, deadline_us, err);
}

/* ---- unlock ----------------------------------------------------------------------------------------------------- */

static bool unlock_one(struct gw_mysql_conn *conn, const struct account *a, struct gw_error *err)
{
    gw_autobuf struct gw_buf unlock = {0}, forget = {0};
    gw_buf_adds(&unlock, "/* godwit */ ALTER USER ");
    add_name(&unlock, a);
    gw_buf_adds(&unlock, " ACCOUNT UNLOCK");
    gw_buf_adds(&forget, "DELETE FROM godwit_locked WHERE user = ");
    gw_mysql_add_literal(&forget, a->user);
    gw_buf_adds(&forget, " AND host = ");
    gw_mysql_add_literal(&forget, a->host);
    if (!gw_mysql_exec_buf(conn, &unlock, err) && (gw_mysql_errno(conn) != CANNOT_USER || conn->broken))
        return fail_lock(err, a);
    GW_CRASH_POINT("mysql.fence.account_unlocked");
    return gw_mysql_exec_buf(conn, &forget, err);
}

bool gw_mysql_accounts_unlock(struct gw_mysql_conn *conn, struct gw_error *err)
{
    struct account_list locked = {0};
    bool fine = list_locked(conn, &locked, err);
    if (locked.count > 0)
        stay_out_of_log(conn, true);
    for (size_t i = 0; fine && i < locked.count; i++)
        fine = unlock_one(conn, &locked.items[i], err);
    if (locked.count > 0)
        stay_out_of_log(conn, false);
    accounts_release(&locked);
    return fine;
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

bool gw_mysql_accounts_locked(struct gw_mysql_conn *conn, bool *any, struct gw_error *err)
{
    struct account_list locked = {0};
    bool fine = list_locked(conn, &locked, err);
    *any = locked.count > 0;
    accounts_release(&locked);
    return fine;
}

static bool add_open_sessions(struct gw_mysql_conn *conn, struct gw_buf *lines, struct gw_error *err)
{
    gw_autobuf struct gw_buf condition = {0}, sql = {0};
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!their_sessions(conn, &condition, err))
        return false;
    if (condition.len == 0)
        return true;
    gw_buf_addf(&sql, "SELECT USER, HOST FROM information_schema.PROCESSLIST WHERE %s", gw_buf_text(&condition));
    if (!gw_mysql_query(conn, gw_buf_text(&sql), &r, err))
        return false;
    while ((row = mysql_fetch_row(r)))
        gw_buf_addf(lines, "the locked account %s has a session from %s\n", row[0], row[1]);
    mysql_free_result(r);
    return true;
}

bool gw_mysql_accounts_open(struct gw_mysql_conn *conn, struct gw_buf *lines, struct gw_error *err)
{
    struct account_list all = {0};
    bool fine = list_accounts(conn, &all, err);
    for (size_t i = 0; fine && i < all.count; i++) {
        bool locked = true;
        fine = !is_ours_to_lock(&all.items[i]) || is_locked(conn, &all.items[i], &locked, err);
        if (fine && !locked)
            gw_buf_addf(lines, "the account '%s'@'%s' is not locked\n", all.items[i].user, all.items[i].host);
    }
    accounts_release(&all);
    return fine && add_open_sessions(conn, lines, err);
}

/* MySQL keeps roles as accounts that nobody can log in to. */
static void add_roles(struct gw_mysql_conn *conn, struct gw_buf *lines)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    struct gw_error ignored;
    if (conn->store->is_mariadb || conn->store->base.identity.version < 80000 ||
        !gw_mysql_query(conn, "SELECT DISTINCT FROM_USER FROM mysql.role_edges ORDER BY 1", &r, &ignored))
        return;
    while ((row = mysql_fetch_row(r)))
        gw_buf_addf(lines, "whoever takes the role %s\n", row[0]);
    mysql_free_result(r);
}

bool gw_mysql_accounts_beyond(struct gw_mysql_conn *conn, struct gw_buf *lines, struct gw_error *err)
{
    struct account_list all = {0};
    if (!list_accounts(conn, &all, err))
        return false;
    for (size_t i = 0; i < all.count; i++) {
        const struct account *a = &all.items[i];
        if ((!a->here && !a->wide) || is_ours_to_lock(a))
            continue;
        if (!*a->host)
            gw_buf_addf(lines, "whoever takes the role %s\n", a->user);
        else
            gw_buf_addf(lines, "'%s'@'%s', which has rights %s\n", a->user, a->host,
                        a->wide ? "on the whole server" : "in other databases, too");
    }
    accounts_release(&all);
    add_roles(conn, lines);
    return true;
}
