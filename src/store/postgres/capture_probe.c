/* What one captured write costs on this server: single-row statements on a table of ours with the triggers and without,
 * in a transaction that is undone. */
#include "store/postgres/capture.h"
#include "store/postgres/inspect.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sql_embedded.h"

#include <string.h>

#define STATEMENTS 2000
#define ROUNDS 3

static bool make_tables(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct gw_column columns[] = {{.name = (char *)(uintptr_t) "id", .binary_safe = true, .key_position = 1}};
    uint32_t key = 0;
    const struct gw_collection c = {
        .column_count = 1, .columns = columns, .key_count = 1, .key = &key, .all_binary_safe = true};
    bool there;
    if (!gw_pg_exec(store, conn, "BEGIN; SET LOCAL lock_timeout = 2000", err) ||
        !gw_pg_capture_there(store, conn, &there, err))
        return false;
    if (!there)
        gw_buf_addf(&sql, "%s %s", gw_sql_home, gw_sql_capture);
    gw_buf_adds(&sql, "CREATE TABLE godwit.probe_plain (id bigint PRIMARY KEY, n bigint, v text, at timestamptz);"
                      "CREATE TABLE godwit.probe_captured (LIKE godwit.probe_plain INCLUDING ALL);");
    gw_pg_capture_function_sql(&c, "godwit.capture_probe", &sql);
    gw_buf_adds(&sql, ";");
    gw_pg_capture_trigger_sql(store, "godwit.probe_captured", "godwit.capture_probe", &sql);
    return gw_pg_exec(store, conn, gw_buf_text(&sql), err);
}

static bool write_rows(struct gw_pg_store *store, PGconn *conn, const char *table, int round, int64_t *took_us,
                       struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql,
                "DO $probe$ BEGIN FOR i IN %d..%d LOOP"
                " INSERT INTO godwit.%s VALUES (i, i * 7, 'a value as long as many are', clock_timestamp());"
                " UPDATE godwit.%s SET n = n + 1 WHERE id = i; END LOOP; END $probe$",
                round * STATEMENTS + 1, (round + 1) * STATEMENTS, table, table);
    int64_t began_us = gw_mono_us();
    if (!gw_pg_exec(store, conn, gw_buf_text(&sql), err))
        return false;
    *took_us = gw_mono_us() - began_us;
    return true;
}

/* The quickest of some rounds: what else the server does is not the triggers' doing. */
static bool measure(struct gw_pg_store *store, PGconn *conn, int64_t *plain_ns, int64_t *captured_ns,
                    struct gw_error *err)
{
    int64_t least[2] = {INT64_MAX, INT64_MAX};
    for (int round = 0; round < ROUNDS; round++)
        for (int with = 0; with < 2; with++) {
            int64_t took_us;
            if (!write_rows(store, conn, with ? "probe_captured" : "probe_plain", round, &took_us, err))
                return false;
            least[with] = took_us < least[with] ? took_us : least[with];
        }
    *plain_ns = least[0] * 1000 / STATEMENTS / 2;
    *captured_ns = least[1] * 1000 / STATEMENTS / 2;
    return true;
}

bool gw_pg_inspect_probe_capture(struct gw_store *base, int64_t *plain_ns, int64_t *captured_ns, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    *plain_ns = *captured_ns = 0;
    if (!gw_pg_captures(store))
        return true;
    if (!gw_pg_connect(store, GW_PG_PLAIN, "probe", &conn, err))
        return false;
    bool fine = make_tables(store, conn, err) && measure(store, conn, plain_ns, captured_ns, err);
    PQfinish(conn); /* undone with its transaction */
    return fine;
}
