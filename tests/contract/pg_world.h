/*
 * A pair of fresh databases on the servers that tests/support/with_servers.py starts, for tests of the PostgreSQL
 * engine alone. Without servers (GODWIT_TEST_BLUE not set) every test is skipped.
 */
#ifndef GW_PG_WORLD_H
#define GW_PG_WORLD_H

#include "unit/gw_test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/store.h"

#include <libpq-fe.h>
#include <time.h>

struct pg_world {
    char database[64];
    PGconn *admin[2]; /* superuser, in the test's database */
    PGconn *owner[2]; /* app_owner: makes the tables */
    struct gw_store *store[2];
    struct gw_schema schema; /* as listed last by pg_world_list */
};

/* How the stores of the next world are opened. */
static enum gw_capture pg_world_capture = GW_CAPTURE_LOG;

static const char *const pg_world_variables[2] = {"GODWIT_TEST_BLUE", "GODWIT_TEST_GREEN"};

/* The address of a role in the test's database. Owned. */
static inline char *pg_world_url(const struct pg_world *w, int side, const char *suffix)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", pg_world_variables[side], suffix);
    const char *url = getenv(name);
    assert_non_null(url);
    const char *slash = strrchr(url, '/');
    assert_non_null(slash);
    const char *rest = strchr(slash, '?');
    char *out = NULL;
    assert_true(asprintf(&out, "%.*s/%s%s", (int)(slash - url), url, w->database, rest ? rest : "") > 0);
    return out;
}

static inline PGresult *pg_run(PGconn *conn, const char *sql)
{
    PGresult *r = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        print_error("%s\n%s", sql, PQerrorMessage(conn));
        fail();
    }
    return r;
}

static inline void pg_do(PGconn *conn, const char *sql)
{
    PQclear(pg_run(conn, sql));
}

/* The SQLSTATE a statement fails with, "" when it does not. Static buffer. */
static inline const char *pg_fails(PGconn *conn, const char *sql)
{
    static char state[6];
    PGresult *r = PQexec(conn, sql);
    const char *got = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    snprintf(state, sizeof state, "%s", got ? got : "");
    PQclear(r);
    return state;
}

/* The first value of the first row as text; static buffer. */
static inline const char *pg_value(PGconn *conn, const char *sql)
{
    static char value[4096];
    PGresult *r = pg_run(conn, sql);
    snprintf(value, sizeof value, "%s", PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
    PQclear(r);
    return value;
}

static inline PGconn *pg_connect_as(const struct pg_world *w, int side, const char *suffix)
{
    char *url = pg_world_url(w, side, suffix);
    PGconn *conn = PQconnectdb(url);
    free(url);
    if (PQstatus(conn) != CONNECTION_OK) {
        print_error("%s", PQerrorMessage(conn));
        fail();
    }
    return conn;
}

/* As the application's role, which has no right on anything of ours. */
static inline PGconn *pg_connect_app(const struct pg_world *w, int side)
{
    const char *keys[] = {"dbname", "user", "password", NULL};
    char *url = pg_world_url(w, side, "_ADMIN");
    const char *values[] = {url, "app", "app-secret", NULL};
    PGconn *conn = PQconnectdbParams(keys, values, 1);
    free(url);
    if (PQstatus(conn) != CONNECTION_OK) {
        print_error("%s", PQerrorMessage(conn));
        fail();
    }
    pg_do(conn, "SET client_min_messages = error");
    return conn;
}

static inline void pg_world_open_side(struct pg_world *w, int side)
{
    struct gw_error err = {0};
    char sql[200], variable[64];
    snprintf(variable, sizeof variable, "%s_ADMIN", pg_world_variables[side]);
    PGconn *conn = PQconnectdb(getenv(variable));
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s OWNER app_owner TEMPLATE template0", w->database);
    pg_do(conn, sql);
    snprintf(sql, sizeof sql, "GRANT CREATE ON DATABASE %s TO godwit", w->database);
    pg_do(conn, sql);
    PQfinish(conn);
    w->admin[side] = pg_connect_as(w, side, "_ADMIN");
    pg_do(w->admin[side], "SET client_min_messages = error; GRANT ALL ON SCHEMA public TO app_owner;"
                          "GRANT USAGE ON SCHEMA public TO app");
    w->owner[side] = pg_connect_as(w, side, "_OWNER");
    pg_do(w->owner[side], "SET client_min_messages = error;"
                          "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLES TO app");
    char *url = pg_world_url(w, side, "");
    MUST(gw_store_open(
        &(struct gw_store_options){
            .url = url, .migration = w->database, .side = (enum gw_side)side, .capture = pg_world_capture},
        &w->store[side], &err));
    free(url);
}

static inline int pg_world_setup(void **state)
{
    if (!getenv("GODWIT_TEST_BLUE"))
        return 0;
    static int number;
    struct pg_world *w = gw_zalloc(sizeof *w);
    snprintf(w->database, sizeof w->database, "w%d_%d", (int)getpid(), ++number);
    pg_world_open_side(w, GW_BLUE);
    pg_world_open_side(w, GW_GREEN);
    *state = w;
    return 0;
}

static inline void pg_world_close_side(struct pg_world *w, int side)
{
    char sql[300];
    gw_store_close(w->store[side]);
    PQfinish(w->owner[side]);
    pg_do(w->admin[side], "DO $$ DECLARE x record; BEGIN FOR x IN SELECT gid FROM pg_prepared_xacts WHERE database ="
                          " current_database() LOOP RAISE EXCEPTION 'prepared transaction % left', x.gid; END LOOP;"
                          " END $$");
    snprintf(sql, sizeof sql,
             "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = '%s' AND active",
             w->database);
    pg_do(w->admin[side], sql);
    for (int i = 0; i < 500 && strcmp(pg_value(w->admin[side], "SELECT count(*) FROM pg_replication_slots WHERE"
                                                               " database = current_database() AND active"),
                                      "0") != 0;
         i++)
        gw_sleep_us(10000);
    pg_do(w->admin[side], "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                          " WHERE database = current_database()");
    PQfinish(w->admin[side]);
    char variable[64];
    snprintf(variable, sizeof variable, "%s_ADMIN", pg_world_variables[side]);
    PGconn *conn = PQconnectdb(getenv(variable));
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s WITH (FORCE)", w->database);
    pg_do(conn, sql);
    PQfinish(conn);
}

static inline int pg_world_teardown(void **state)
{
    struct pg_world *w = *state;
    if (!w)
        return 0;
    gw_schema_release(&w->schema);
    pg_world_close_side(w, GW_BLUE);
    pg_world_close_side(w, GW_GREEN);
    free(w);
    return 0;
}

/* Lists a side's collections anew; ids are places. */
static inline const struct gw_schema *pg_world_list(struct pg_world *w, int side)
{
    struct gw_error err = {0};
    struct gw_filter all = {0};
    gw_schema_release(&w->schema);
    MUST(w->store[side]->type->catalog->list(w->store[side], &all, &w->schema, &err));
    for (size_t i = 0; i < w->schema.count; i++)
        w->schema.collections[i].id = (uint32_t)i;
    return &w->schema;
}

static inline const struct gw_collection *pg_world_find(const struct pg_world *w, const char *space, const char *name)
{
    const struct gw_collection *c = gw_schema_find(&w->schema, space, name);
    assert_non_null(c);
    return c;
}

static inline void pg_world_install(struct pg_world *w, int side)
{
    struct gw_error err = {0};
    MUST(w->store[side]->type->ownership->install(w->store[side], "0123", &err));
}

#define PG_TEST(name) cmocka_unit_test_setup_teardown(name, pg_world_setup, pg_world_teardown)
#define NEEDS_SERVERS(state)                                                                                           \
    if (!*(state))                                                                                                     \
        skip();

#endif
