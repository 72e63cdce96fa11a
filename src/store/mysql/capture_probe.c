/* What one captured write costs on this server: single-row statements on a table of ours with the triggers and without.
 * Tables cannot be made in a transaction here: they are dropped at the end, and named such that abort finds them. */
#include "store/mysql/capture.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sql_embedded.h"

#include <string.h>

#define STATEMENTS 1000
#define ROUNDS 3

static const char columns_sql[] =
    "(id bigint NOT NULL PRIMARY KEY, n bigint, v varchar(100) CHARACTER SET utf8mb4, at datetime(6)) ENGINE = InnoDB";

static bool make_tables(struct gw_mysql_store *store, struct gw_mysql_conn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct gw_column columns[] = {
        {.name = (char *)(uintptr_t) "id", .type = (char *)(uintptr_t) "bigint(20)", .key_position = 1},
        {.name = (char *)(uintptr_t) "n", .type = (char *)(uintptr_t) "bigint(20)"},
        {.name = (char *)(uintptr_t) "v",
         .type = (char *)(uintptr_t) "varchar(100) character set utf8mb4 collate utf8mb4_general_ci"},
        {.name = (char *)(uintptr_t) "at", .type = (char *)(uintptr_t) "datetime(6)"}};
    uint32_t key = 0;
    const struct gw_collection c = {.name = (char *)(uintptr_t) "godwit_probe_captured",
                                    .column_count = 4,
                                    .columns = columns,
                                    .key_count = 1,
                                    .key = &key};
    gw_buf_addf(&sql,
                "%s DROP TABLE IF EXISTS godwit_probe_plain, godwit_probe_captured; CREATE TABLE godwit_probe_plain %s;"
                "CREATE TABLE godwit_probe_captured %s",
                gw_sql_mysql_capture, columns_sql, columns_sql);
    if (!gw_mysql_exec_buf(conn, &sql, err))
        return false;
    for (size_t event = 0; event < 2; event++) {
        char name[64];
        gw_buf_clear(&sql);
        gw_mysql_capture_trigger(c.name, event, name);
        gw_mysql_capture_trigger_sql(store, &c, event, name, "0", NULL, NULL, &sql);
        if (!gw_mysql_exec_buf(conn, &sql, err))
            return false;
    }
    return true;
}

static bool write_rows(struct gw_mysql_conn *conn, const char *table, int64_t *took_us, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    for (int i = 1; i <= STATEMENTS; i++)
        gw_buf_addf(&sql,
                    "INSERT INTO %s VALUES (%d, %d, 'a value as long as many are', UTC_TIMESTAMP(6));"
                    "UPDATE %s SET n = n + 1 WHERE id = %d;",
                    table, i, i * 7, table, i);
    if (!gw_mysql_exec(conn, "START TRANSACTION", err))
        return false;
    int64_t began_us = gw_mono_us();
    bool fine = gw_mysql_exec_buf(conn, &sql, err);
    *took_us = gw_mono_us() - began_us;
    return fine && gw_mysql_exec(conn, "ROLLBACK", err);
}

/* The quickest of some rounds: what else the server does is not the triggers' doing. */
static bool measure(struct gw_mysql_conn *conn, int64_t *plain_ns, int64_t *captured_ns, struct gw_error *err)
{
    int64_t least[2] = {INT64_MAX, INT64_MAX};
    for (int round = 0; round < ROUNDS; round++)
        for (int with = 0; with < 2; with++) {
            int64_t took_us;
            if (!write_rows(conn, with ? "godwit_probe_captured" : "godwit_probe_plain", &took_us, err))
                return false;
            least[with] = took_us < least[with] ? took_us : least[with];
        }
    *plain_ns = least[0] * 1000 / STATEMENTS / 2;
    *captured_ns = least[1] * 1000 / STATEMENTS / 2;
    return true;
}

/* What was not there before the probe goes with it. */
static bool clean(struct gw_mysql_conn *conn, bool there, struct gw_error *err)
{
    return gw_mysql_exec(conn, "DROP TABLE IF EXISTS godwit_probe_plain, godwit_probe_captured", err) &&
           (there || gw_mysql_exec(conn,
                                   "DROP TABLE IF EXISTS godwit_capture, godwit_capture_batch, godwit_capture_cut,"
                                   " godwit_capture_table",
                                   err));
}

bool gw_mysql_capture_probe(struct gw_store *base, int64_t *plain_ns, int64_t *captured_ns, struct gw_error *err)
{
    struct gw_mysql_store *store = gw_mysql_store_of(base);
    struct gw_mysql_conn *conn;
    struct gw_error clean_error;
    bool there = false;
    *plain_ns = *captured_ns = 0;
    if (!gw_mysql_captures(store))
        return true;
    if (!gw_mysql_connect(store, "probe", &conn, err))
        return false;
    bool fine = gw_mysql_capture_there(conn, &there, err) && make_tables(store, conn, err) &&
                measure(conn, plain_ns, captured_ns, err);
    if (!conn->broken && !clean(conn, there, &clean_error) && fine) {
        *err = clean_error;
        fine = false;
    }
    gw_mysql_close(conn);
    return fine;
}
