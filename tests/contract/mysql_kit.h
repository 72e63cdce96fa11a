/*
 * The contract suite's kits of MariaDB and MySQL: a database of its own on each of the two servers, the application as app_owner,
 * each transaction a connection of its own. Included by engines.h.
 */
#ifndef CONTRACT_MYSQL_KIT_H
#define CONTRACT_MYSQL_KIT_H

#include <mysql.h>

struct mysql_own {
    char database[64];
    MYSQL *admin[2];
};

static const char *mysql_kit_server = "MARIADB"; /* whose turn it is */

static bool mariadb_kit_available(void)
{
    return getenv("GODWIT_TEST_MARIADB_BLUE") != NULL;
}

static bool mysql_kit_available(void)
{
    return getenv("GODWIT_TEST_MYSQL_BLUE") != NULL;
}

/* The address of a role in a database. Owned. */
static char *mysql_kit_url(int side, const char *suffix, const char *database)
{
    char name[64];
    snprintf(name, sizeof name, "GODWIT_TEST_%s_%s%s", mysql_kit_server, side == 0 ? "BLUE" : "GREEN", suffix);
    const char *url = getenv(name);
    assert_non_null(url);
    const char *slash = strrchr(url, '/'), *rest = strchr(slash, '?');
    return gw_asprintf("%.*s/%s%s", (int)(slash - url), url, database, rest ? rest : "");
}

static MYSQL *mysql_kit_connect(int side, const char *suffix, const char *database)
{
    char host[64], user[64] = "", word[64] = "";
    unsigned port = 0;
    gw_autofree char *url = mysql_kit_url(side, suffix, "");
    const char *at = strstr(url, "://");
    assert_non_null(at);
    if (sscanf(at, "://%63[^:@]:%63[^@]@%63[^:]:%u", user, word, host, &port) != 4 &&
        sscanf(at, "://%63[^@]@%63[^:]:%u", user, host, &port) != 3)
        fail_msg("cannot take apart %s", url);
    MYSQL *my = mysql_init(NULL);
    if (!mysql_real_connect(my, host, user, word, database, port, NULL, CLIENT_MULTI_STATEMENTS))
        fail_msg("%s", mysql_error(my));
    return my;
}

static void mysql_kit_do(MYSQL *my, const char *sql)
{
    int more;
    if (mysql_query(my, sql) != 0)
        fail_msg("%s\n%s", sql, mysql_error(my));
    do {
        mysql_free_result(mysql_store_result(my));
        more = mysql_next_result(my);
        if (more > 0)
            fail_msg("%s\n%s", sql, mysql_error(my));
    } while (more == 0);
}

static void mysql_kit_pair(struct pair *pair, enum gw_capture capture)
{
    static int number;
    struct mysql_own *own = gw_zalloc(sizeof *own);
    snprintf(own->database, sizeof own->database, "gw_kit_%d_%d", (int)getpid(), ++number);
    for (int side = 0; side < 2; side++) {
        struct gw_error err = {0};
        gw_autofree char *url = mysql_kit_url(side, "", own->database);
        gw_autofree char *create = gw_asprintf("CREATE DATABASE %s CHARACTER SET utf8mb4", own->database);
        MYSQL *first = mysql_kit_connect(side, "_ADMIN", NULL);
        mysql_kit_do(first, create);
        mysql_close(first);
        own->admin[side] = mysql_kit_connect(side, "_ADMIN", own->database);
        if (side == 0)
            mysql_kit_do(own->admin[0], "CREATE TABLE item (id bigint PRIMARY KEY, v text, big longtext);"
                                        "CREATE TABLE loose (a text, b text)");
        MUST(gw_store_open(
            &(struct gw_store_options){
                .url = url, .migration = own->database, .side = (enum gw_side)side, .capture = capture},
            &pair->store[side], &err));
    }
    pair->own = own;
}

static void mariadb_kit_open(struct pair *pair)
{
    mysql_kit_server = "MARIADB";
    mysql_kit_pair(pair, GW_CAPTURE_AUTO);
}

static void mysql_kit_open(struct pair *pair)
{
    mysql_kit_server = "MYSQL";
    mysql_kit_pair(pair, GW_CAPTURE_AUTO);
}

static void mysql_triggers_open(struct pair *pair)
{
    mysql_kit_server = "MARIADB";
    mysql_kit_pair(pair, GW_CAPTURE_TRIGGER);
}

static void mysql_kit_close(struct pair *pair)
{
    struct mysql_own *own = pair->own;
    gw_autofree char *drop = gw_asprintf("DROP DATABASE %s", own->database);
    for (int side = 0; side < 2; side++) {
        gw_store_close(pair->store[side]);
        mysql_kit_do(own->admin[side], drop);
        mysql_close(own->admin[side]);
    }
    free(own);
}

static void mysql_kit_created(struct pair *pair)
{
    (void)pair;
}

static void *mysql_kit_begin(struct pair *pair, int side)
{
    struct mysql_own *own = pair->own;
    MYSQL *my = mysql_kit_connect(side, "_OWNER", own->database);
    mysql_kit_do(my, "SET NAMES utf8mb4; SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'; BEGIN");
    return my;
}

static enum kit_result mysql_kit_exec(MYSQL *my, const struct gw_buf *sql)
{
    if (mysql_real_query(my, sql->data, sql->len) == 0)
        return KIT_DONE;
    unsigned code = mysql_errno(my);
    if (code != 1062 && !strstr(mysql_error(my), "godwit"))
        print_error("%s: %s\n", sql->data, mysql_error(my));
    return code == 1062 ? KIT_DUPLICATE : KIT_FENCED;
}

static void mysql_kit_value(struct gw_buf *sql, const char *value)
{
    if (!value) {
        gw_buf_adds(sql, "NULL");
        return;
    }
    gw_buf_addc(sql, '\'');
    for (; *value; value++) {
        gw_buf_adds(sql, *value == '\'' ? "'" : "");
        gw_buf_addc(sql, *value);
    }
    gw_buf_addc(sql, '\'');
}

static enum kit_result mysql_kit_insert(void *tx, const char *table, const char *const *row)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "INSERT INTO %s VALUES (", table);
    for (int c = 0; c < (strcmp(table, "item") == 0 ? 3 : 2); c++) {
        gw_buf_adds(&sql, c > 0 ? ", " : "");
        mysql_kit_value(&sql, row[c]);
    }
    gw_buf_adds(&sql, ")");
    return mysql_kit_exec(tx, &sql);
}

static void mysql_kit_where(struct gw_buf *sql, const char *table, const char *const *key)
{
    static const char *const names[2][2] = {{"id", NULL}, {"a", "b"}};
    bool item = strcmp(table, "item") == 0;
    for (int c = 0; c < (item ? 1 : 2); c++) {
        gw_buf_addf(sql, "%s%s <=> ", c > 0 ? " AND " : " WHERE ", names[!item][c]);
        mysql_kit_value(sql, key[c]);
    }
    gw_buf_adds(sql, " LIMIT 1");
}

static enum kit_result mysql_kit_update(void *tx, const char *table, const char *const *key, const char *const *row)
{
    static const char *const names[2][3] = {{"id", "v", "big"}, {"a", "b", NULL}};
    bool item = strcmp(table, "item") == 0, first = true;
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "UPDATE %s SET ", table);
    for (int c = 0; c < (item ? 3 : 2); c++) {
        if (row[c] == kit_keep)
            continue;
        gw_buf_addf(&sql, "%s%s = ", first ? "" : ", ", names[!item][c]);
        first = false;
        mysql_kit_value(&sql, row[c]);
    }
    mysql_kit_where(&sql, table, key);
    return mysql_kit_exec(tx, &sql);
}

static enum kit_result mysql_kit_remove(void *tx, const char *table, const char *const *key)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "DELETE FROM %s", table);
    mysql_kit_where(&sql, table, key);
    return mysql_kit_exec(tx, &sql);
}

static enum kit_result mysql_kit_truncate(void *tx, const char *table)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "TRUNCATE %s", table);
    return mysql_kit_exec(tx, &sql);
}

static void mysql_kit_commit(void *tx)
{
    mysql_kit_do(tx, "COMMIT");
    mysql_close(tx);
}

static void mysql_kit_rollback(void *tx)
{
    mysql_kit_do(tx, "ROLLBACK");
    mysql_close(tx);
}

static void mysql_kit_dump(struct pair *pair, int side, const char *table, struct gw_buf *out)
{
    struct mysql_own *own = pair->own;
    const char *sql =
        strcmp(table, "item") == 0
            ? "SELECT CONCAT_WS('|', id, COALESCE(v, '\\\\N'), COALESCE(MD5(big), '\\\\N')) COLLATE utf8mb4_bin AS l"
              " FROM item ORDER BY l"
            : "SELECT CONCAT_WS('|', COALESCE(a, '\\\\N'), COALESCE(b, '\\\\N')) COLLATE utf8mb4_bin AS l FROM loose"
              " ORDER BY l";
    mysql_kit_do(own->admin[side], "SET NAMES utf8mb4");
    if (mysql_query(own->admin[side], sql) != 0)
        fail_msg("%s", mysql_error(own->admin[side]));
    MYSQL_RES *r = mysql_store_result(own->admin[side]);
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(r)))
        gw_buf_addf(out, "%s\n", row[0]);
    mysql_free_result(r);
}

#endif
