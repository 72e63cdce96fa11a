/*
 * A fresh database on one of the MariaDB servers that tests/support/with_servers.py starts, for tests of that engine
 * alone; MYSQL_TEST: on one of MySQL. Without servers (GODWIT_TEST_MARIADB_BLUE, GODWIT_TEST_MYSQL_BLUE not set) every test is skipped.
 */
#ifndef GW_MARIA_WORLD_H
#define GW_MARIA_WORLD_H

#include "unit/gw_test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/store.h"

#include <mysql.h>

static enum gw_capture maria_world_capture; /* of the stores of this program */

struct maria_world {
    char database[64];
    MYSQL *admin; /* root, in the test's database */
    struct gw_cancel cancel;
    struct gw_store *store;
    struct gw_schema schema; /* as listed last by maria_world_list */
};

static const char *maria_world_server = "MARIADB"; /* whose turn it is: or "MYSQL" */

/* The address of a role in that database (NULL: as the environment has it). Owned. */
static inline char *maria_world_url(const char *suffix, const char *database)
{
    char name[64];
    snprintf(name, sizeof name, "GODWIT_TEST_%s_BLUE%s", maria_world_server, suffix);
    const char *url = getenv(name);
    assert_non_null(url);
    const char *slash = strrchr(url, '/'), *rest = strchr(slash, '?');
    return gw_asprintf("%.*s/%s%s", (int)(slash - url), url, database, rest ? rest : "");
}

/* root has no password: scheme://user[:word]@host:port/database */
static inline MYSQL *maria_connect(const char *database)
{
    char host[64], user[64] = "", word[64] = "";
    unsigned port = 0;
    gw_autofree char *url = maria_world_url("_ADMIN", "");
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

static inline void maria_drain(MYSQL *my, const char *sql)
{
    int more;
    do {
        mysql_free_result(mysql_store_result(my));
        more = mysql_next_result(my);
        if (more > 0)
            fail_msg("%s\n%s", sql, mysql_error(my));
    } while (more == 0);
}

/* One statement or several. */
static inline void maria_do(MYSQL *my, const char *sql)
{
    if (mysql_query(my, sql) != 0)
        fail_msg("%s\n%s", sql, mysql_error(my));
    maria_drain(my, sql);
}

static inline void maria_dof(MYSQL *my, const char *format, ...) GW_PRINTF(2, 3);
static inline void maria_dof(MYSQL *my, const char *format, ...)
{
    gw_autobuf struct gw_buf sql = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&sql, format, args);
    va_end(args);
    maria_do(my, gw_buf_text(&sql));
}

static inline int world_setup(void **state)
{
    static int number;
    struct gw_error err = {0};
    gw_autofree char *name = gw_asprintf("GODWIT_TEST_%s_BLUE", maria_world_server);
    if (!getenv(name))
        return 0;
    struct maria_world *w = gw_zalloc(sizeof *w);
    snprintf(w->database, sizeof w->database, "gw_%d_%d", (int)getpid(), ++number);
    MYSQL *first = maria_connect(NULL);
    maria_dof(first, "CREATE DATABASE %s CHARACTER SET utf8mb4", w->database);
    mysql_close(first);
    w->admin = maria_connect(w->database);
    maria_do(w->admin, "SET NAMES utf8mb4");
    MUST(gw_cancel_init(&w->cancel, &err));
    gw_autofree char *url = maria_world_url("", w->database);
    MUST(gw_store_open(
        &(struct gw_store_options){
            .url = url, .migration = w->database, .cancel = &w->cancel, .capture = maria_world_capture},
        &w->store, &err));
    MUST(w->store->type->ownership->install(w->store, "0123", &err));
    *state = w;
    return 0;
}

static inline int maria_world_setup(void **state)
{
    maria_world_server = "MARIADB";
    return world_setup(state);
}

static inline int mysql_world_setup(void **state)
{
    maria_world_server = "MYSQL";
    return world_setup(state);
}

static inline int maria_world_teardown(void **state)
{
    struct maria_world *w = *state;
    if (!w)
        return 0;
    gw_schema_release(&w->schema);
    gw_store_close(w->store);
    maria_dof(w->admin, "DROP DATABASE %s", w->database);
    mysql_close(w->admin);
    gw_cancel_release(&w->cancel);
    free(w);
    return 0;
}

static inline const struct gw_schema *maria_world_list(struct maria_world *w)
{
    static const struct gw_filter all;
    struct gw_error err = {0};
    gw_schema_release(&w->schema);
    MUST(w->store->type->catalog->list(w->store, &all, &w->schema, &err));
    for (size_t i = 0; i < w->schema.count; i++)
        w->schema.collections[i].id = (uint32_t)i;
    return &w->schema;
}

#define MARIA_TEST(name) cmocka_unit_test_setup_teardown(name, maria_world_setup, maria_world_teardown)
/* The same test on a server of MySQL. */
#define MYSQL_TEST(name)                                                                                               \
    {                                                                                                                  \
#name " (mysql)", name, mysql_world_setup, maria_world_teardown, NULL                                          \
    }
#define NEEDS_MARIADB(state)                                                                                           \
    if (!*(state))                                                                                                     \
        skip();

#endif
