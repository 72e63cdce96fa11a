/*
 * What the contract suite needs of an engine besides the contract itself: a pair of empty sides, and an application
 * that writes on them. One kit an engine; contract.c runs every test over every kit.
 *
 * Each pair has two tables on blue: item (id bigint key, v text, big text kept out of line) and loose (a text, b text,
 * no key). A row is an array of texts; NULL is SQL NULL, kit_keep leaves a column as it is.
 */
#ifndef CONTRACT_ENGINES_H
#define CONTRACT_ENGINES_H

#include "contract/pg_world.h"

#include "store/memory/memory.h"

struct pair {
    const struct kit *kit;
    struct gw_store *store[2];
    struct gw_schema schema; /* of blue */
    char work_dir[128];
    void *own;
    struct gw_buf gathered; /* changes that were read before they are asked for (one_writer) */
    size_t gathered_at;
    struct gw_arena gathered_arena;
};

enum kit_result { KIT_DONE, KIT_DUPLICATE, KIT_FENCED };

struct kit {
    const char *name;
    bool (*available)(void);
    void (*open)(struct pair *);
    void (*close)(struct pair *);
    void (*created)(struct pair *);          /* the tables are on green: the application may write there, too */
    void *(*begin)(struct pair *, int side); /* an application's transaction */
    enum kit_result (*insert)(void *tx, const char *table, const char *const *row);
    enum kit_result (*update)(void *tx, const char *table, const char *const *key, const char *const *row);
    enum kit_result (*remove)(void *tx, const char *table, const char *const *key);
    enum kit_result (*truncate)(void *tx, const char *table);
    void (*commit)(void *tx);
    void (*rollback)(void *tx);
    void (*dump)(struct pair *, int side, const char *table, struct gw_buf *out); /* sorted lines */
    const char *space; /* where the tables are; NULL: "public" */
    /* Writers come one after the other; what commits between two looks at the log may come as one transaction, its rows
     * with numbers of their own. */
    bool one_writer;
    bool old_server;        /* one that knows neither WITH nor a limit for the time of a statement */
    bool waits_for_writers; /* a reader begins when no transaction that wrote its table is left */
    bool lists_no_keys; /* the server in the tests is too old for it: no temporary table in a transaction with GTIDs */
    /* As above, but writers do go on side by side: what a look sees is one transaction. */
    bool by_looks;
};

static const char kit_keep[] = "(keep)";

/* ---- memory ---- */

static bool memory_available(void)
{
    return true;
}

struct memory_own {
    char name[2][64];
    struct gw_memory *server[2];
};

static void memory_open(struct pair *pair)
{
    static int number;
    struct memory_own *own = gw_zalloc(sizeof *own);
    number++;
    for (int side = 0; side < 2; side++) {
        struct gw_error err = {0};
        char url[96];
        snprintf(own->name[side], sizeof own->name[side], "contract-%d-%d", number, side);
        snprintf(url, sizeof url, "memory://%s", own->name[side]);
        own->server[side] = gw_memory_server(own->name[side]);
        MUST(gw_store_memory.open(
            &(struct gw_store_options){.url = url, .migration = "contract", .side = (enum gw_side)side},
            &pair->store[side], &err));
    }
    gw_memory_create_table(own->server[0], "item",
                           (struct gw_memory_column[]){{.name = "id", .type = "bigint", .key = true},
                                                       {.name = "v", .type = "text"},
                                                       {.name = "big", .type = "text", .large = true}},
                           3);
    gw_memory_create_table(own->server[0], "loose",
                           (struct gw_memory_column[]){{.name = "a", .type = "text"}, {.name = "b", .type = "text"}},
                           2);
    pair->own = own;
}

static void memory_close(struct pair *pair)
{
    struct memory_own *own = pair->own;
    for (int side = 0; side < 2; side++) {
        gw_store_close(pair->store[side]);
        gw_memory_forget(own->name[side]);
    }
    free(own);
}

static void memory_created(struct pair *pair)
{
    (void)pair;
}

static void *memory_begin(struct pair *pair, int side)
{
    return gw_memory_begin(((struct memory_own *)pair->own)->server[side]);
}

static enum kit_result memory_result(enum gw_memory_result result)
{
    assert_true(result != GW_MEMORY_MISSING && result != GW_MEMORY_BLOCKED);
    return result == GW_MEMORY_DONE ? KIT_DONE : result == GW_MEMORY_FENCED ? KIT_FENCED : KIT_DUPLICATE;
}

static enum kit_result memory_insert(void *tx, const char *table, const char *const *row)
{
    return memory_result(gw_memory_insert(tx, table, row));
}

static enum kit_result memory_update(void *tx, const char *table, const char *const *key, const char *const *row)
{
    const char *values[3];
    for (size_t c = 0; c < (strcmp(table, "item") == 0 ? 3 : 2); c++)
        values[c] = row[c] == kit_keep ? gw_memory_keep : row[c];
    return memory_result(gw_memory_update(tx, table, key, values));
}

static enum kit_result memory_remove(void *tx, const char *table, const char *const *key)
{
    return memory_result(gw_memory_delete(tx, table, key));
}

static enum kit_result memory_truncate(void *tx, const char *table)
{
    return memory_result(gw_memory_truncate(tx, table));
}

static void memory_commit(void *tx)
{
    gw_memory_commit(tx);
}

static void memory_rollback(void *tx)
{
    gw_memory_rollback(tx);
}

static void memory_dump(struct pair *pair, int side, const char *table, struct gw_buf *out)
{
    gw_memory_dump(((struct memory_own *)pair->own)->server[side], table, out);
}

/* ---- PostgreSQL ---- */

static bool postgres_available(void)
{
    return getenv("GODWIT_TEST_BLUE") != NULL;
}

static void postgres_open(struct pair *pair)
{
    void *state = NULL;
    pg_world_setup(&state);
    struct pg_world *w = state;
    pair->own = w;
    pair->store[0] = w->store[0];
    pair->store[1] = w->store[1];
    pg_do(w->owner[0], "CREATE TABLE item (id bigint PRIMARY KEY, v text, big text);"
                       "ALTER TABLE item ALTER big SET STORAGE EXTERNAL;"
                       "CREATE TABLE loose (a text, b text)");
}

static void triggers_open(struct pair *pair)
{
    pg_world_capture = GW_CAPTURE_TRIGGER;
    postgres_open(pair);
    pg_world_capture = GW_CAPTURE_LOG;
}

static void postgres_close(struct pair *pair)
{
    void *state = pair->own;
    pg_world_teardown(&state);
}

/* Rights come with the last step of the schema, which these tests do not reach. */
static void postgres_created(struct pair *pair)
{
    struct pg_world *w = pair->own;
    pg_do(w->admin[1], "GRANT SELECT, INSERT, UPDATE, DELETE ON public.item, public.loose TO app");
}

static void *postgres_begin(struct pair *pair, int side)
{
    PGconn *conn = pg_connect_app(pair->own, side);
    pg_do(conn, "BEGIN");
    return conn;
}

static enum kit_result postgres_exec(PGconn *conn, const char *sql, int count, const char *const *values)
{
    PGresult *r = PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    enum kit_result result = KIT_DONE;
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK) {
        if (strcmp(state, "23505") == 0)
            result = KIT_DUPLICATE;
        else
            result = KIT_FENCED;
        if (result == KIT_FENCED && !strstr(PQresultErrorMessage(r), "godwit"))
            print_error("%s: %s", sql, PQresultErrorMessage(r));
    }
    PQclear(r);
    return result;
}

static enum kit_result postgres_insert(void *tx, const char *table, const char *const *row)
{
    bool item = strcmp(table, "item") == 0;
    return postgres_exec(
        tx, item ? "INSERT INTO public.item VALUES ($1, $2, $3)" : "INSERT INTO public.loose VALUES ($1, $2)",
        item ? 3 : 2, row);
}

static enum kit_result postgres_update(void *tx, const char *table, const char *const *key, const char *const *row)
{
    static const char *const names[2][3] = {{"id", "v", "big"}, {"a", "b", NULL}};
    bool item = strcmp(table, "item") == 0;
    const char *values[8];
    int count = 0;
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "UPDATE public.%s SET ", table);
    for (int c = 0; c < (item ? 3 : 2); c++) {
        if (row[c] == kit_keep)
            continue;
        values[count++] = row[c];
        gw_buf_addf(&sql, "%s%s = $%d", count > 1 ? ", " : "", names[!item][c], count);
    }
    gw_buf_adds(&sql, " WHERE ctid = (SELECT min(ctid) FROM public.");
    gw_buf_addf(&sql, "%s WHERE ", table);
    for (int c = 0; c < (item ? 1 : 2); c++) {
        values[count++] = key[c];
        gw_buf_addf(&sql, "%s%s IS NOT DISTINCT FROM $%d", c > 0 ? " AND " : "", names[!item][c], count);
    }
    gw_buf_adds(&sql, ")");
    return postgres_exec(tx, gw_buf_text(&sql), count, values);
}

static enum kit_result postgres_remove(void *tx, const char *table, const char *const *key)
{
    bool item = strcmp(table, "item") == 0;
    return postgres_exec(
        tx,
        item ? "DELETE FROM public.item WHERE id = $1"
             : "DELETE FROM public.loose WHERE ctid = (SELECT min(ctid) FROM public.loose WHERE a IS NOT"
               " DISTINCT FROM $1 AND b IS NOT DISTINCT FROM $2)",
        item ? 1 : 2, key);
}

static enum kit_result postgres_truncate(void *tx, const char *table)
{
    char sql[64];
    snprintf(sql, sizeof sql, "TRUNCATE public.%s", table);
    return postgres_exec(tx, sql, 0, NULL);
}

static void postgres_commit(void *tx)
{
    pg_do(tx, "COMMIT");
    PQfinish(tx);
}

static void postgres_rollback(void *tx)
{
    pg_do(tx, "ROLLBACK");
    PQfinish(tx);
}

static void postgres_dump(struct pair *pair, int side, const char *table, struct gw_buf *out)
{
    struct pg_world *w = pair->own;
    char sql[200];
    if (strcmp(table, "item") == 0)
        snprintf(
            sql, sizeof sql,
            "SELECT concat_ws('|', id, coalesce(v, '\\N'), coalesce(md5(big), '\\N')) COLLATE \"C\" FROM public.item ORDER BY 1");
    else
        snprintf(
            sql, sizeof sql,
            "SELECT concat_ws('|', coalesce(a, '\\N'), coalesce(b, '\\N')) COLLATE \"C\" FROM public.loose ORDER BY 1");
    PGresult *r = pg_run(w->admin[side], sql);
    for (int i = 0; i < PQntuples(r); i++)
        gw_buf_addf(out, "%s\n", PQgetvalue(r, i, 0));
    PQclear(r);
}

#include "contract/mysql_kit.h"
#include "contract/sqlite_kit.h"

static const struct kit kits[] = {
    {"memory", memory_available, memory_open, memory_close, memory_created, memory_begin, memory_insert, memory_update,
     memory_remove, memory_truncate, memory_commit, memory_rollback, memory_dump, .space = NULL},
    {"postgresql", postgres_available, postgres_open, postgres_close, postgres_created, postgres_begin, postgres_insert,
     postgres_update, postgres_remove, postgres_truncate, postgres_commit, postgres_rollback, postgres_dump,
     .space = NULL},
    {"postgresql by triggers", postgres_available, triggers_open, postgres_close, postgres_created, postgres_begin,
     postgres_insert, postgres_update, postgres_remove, postgres_truncate, postgres_commit, postgres_rollback,
     postgres_dump, .space = NULL},
    {"mysql", mysql_kit_available, mysql_kit_open, mysql_kit_close, mysql_kit_created, mysql_kit_begin,
     mysql_kit_insert, mysql_kit_update, mysql_kit_remove, mysql_kit_truncate, mysql_kit_commit, mysql_kit_rollback,
     mysql_kit_dump, .space = "", .waits_for_writers = true, .lists_no_keys = true, .old_server = true},
    {"mariadb", mariadb_kit_available, mariadb_kit_open, mysql_kit_close, mysql_kit_created, mysql_kit_begin,
     mysql_kit_insert, mysql_kit_update, mysql_kit_remove, mysql_kit_truncate, mysql_kit_commit, mysql_kit_rollback,
     mysql_kit_dump, .space = ""},
    {"mariadb by triggers", mariadb_kit_available, mysql_triggers_open, mysql_kit_close, mysql_kit_created,
     mysql_kit_begin, mysql_kit_insert, mysql_kit_update, mysql_kit_remove, mysql_kit_truncate, mysql_kit_commit,
     mysql_kit_rollback, mysql_kit_dump, .space = "", .by_looks = true},
    {"sqlite", sqlite_available, sqlite_open, sqlite_close, sqlite_created, sqlite_begin, sqlite_insert, sqlite_update,
     sqlite_remove, sqlite_truncate, sqlite_commit, sqlite_rollback, sqlite_dump, .space = "", .one_writer = true},
};

#endif
