/* The facet: probes, and audit's sections. */
#include "store/mysql/inspect.h"
#include "store/mysql/capture.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/json.h"

#include <stdlib.h>
#include <string.h>

/* ---- audit ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *name, *sql;
} sections[] = {
    {"databases",
     "SELECT SCHEMA_NAME AS name, DEFAULT_CHARACTER_SET_NAME AS charset, DEFAULT_COLLATION_NAME AS collation,"
     " SCHEMA_NAME = DATABASE() AS is_this FROM information_schema.SCHEMATA ORDER BY 1"},
    {"tables", "SELECT '' AS `schema`, TABLE_NAME AS name, ENGINE AS engine, LOWER(TABLE_TYPE) AS kind,"
               " TABLE_ROWS AS `rows`, DATA_LENGTH AS bytes, INDEX_LENGTH AS index_bytes, TABLE_COLLATION AS collation,"
               " AUTO_INCREMENT AS next_number FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
               " AND TABLE_TYPE <> 'VIEW' AND TABLE_NAME NOT LIKE 'godwit|_%' ESCAPE '|'"
               " ORDER BY DATA_LENGTH DESC, TABLE_NAME"},
    {"indexes", "SELECT '' AS `schema`, TABLE_NAME AS `table`, INDEX_NAME AS name, NON_UNIQUE = 0 AS is_unique,"
                " INDEX_TYPE AS type, GROUP_CONCAT(COLUMN_NAME ORDER BY SEQ_IN_INDEX) AS columns FROM"
                " information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()"
                " AND TABLE_NAME NOT LIKE 'godwit|_%' ESCAPE '|'"
                " GROUP BY TABLE_NAME, INDEX_NAME, NON_UNIQUE, INDEX_TYPE ORDER BY 2, 3"},
    {"foreign_keys", "SELECT '' AS `schema`, TABLE_NAME AS `table`, CONSTRAINT_NAME AS name, '' AS referenced_schema,"
                     " REFERENCED_TABLE_NAME AS referenced_table, DELETE_RULE AS on_delete, UPDATE_RULE AS on_update"
                     " FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE()"
                     " ORDER BY 2, 3"},
    {"views", "SELECT TABLE_NAME AS name, DEFINER AS definer, SECURITY_TYPE AS security, IS_UPDATABLE AS updatable"
              " FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1"},
    {"routines", "SELECT ROUTINE_NAME AS name, ROUTINE_TYPE AS kind, DEFINER AS definer, SECURITY_TYPE AS security"
                 " FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() ORDER BY 1"},
    {"triggers", "SELECT TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS `table`, ACTION_TIMING AS timing,"
                 " EVENT_MANIPULATION AS event, DEFINER AS definer FROM information_schema.TRIGGERS"
                 " WHERE TRIGGER_SCHEMA = DATABASE() AND TRIGGER_NAME NOT LIKE 'godwit|_%' ESCAPE '|' ORDER BY 2, 1"},
    {"events", "SELECT EVENT_NAME AS name, STATUS AS status, EVENT_TYPE AS type, DEFINER AS definer FROM"
               " information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() ORDER BY 1"},
    {"settings", "SELECT LOWER(VARIABLE_NAME) AS name, VARIABLE_VALUE AS value, '' AS unit, '' AS `default` FROM"
                 " information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME IN ('SQL_MODE', 'TIME_ZONE',"
                 " 'CHARACTER_SET_SERVER', 'COLLATION_SERVER', 'BINLOG_FORMAT', 'BINLOG_ROW_IMAGE', 'LOG_BIN',"
                 " 'SYNC_BINLOG', 'INNODB_FLUSH_LOG_AT_TRX_COMMIT', 'INNODB_BUFFER_POOL_SIZE', 'MAX_ALLOWED_PACKET',"
                 " 'MAX_CONNECTIONS', 'LOWER_CASE_TABLE_NAMES', 'LOCAL_INFILE', 'READ_ONLY', 'EVENT_SCHEDULER',"
                 " 'TRANSACTION_ISOLATION', 'TX_ISOLATION', 'WAIT_TIMEOUT', 'INNODB_LOCK_WAIT_TIMEOUT',"
                 " 'EXPLICIT_DEFAULTS_FOR_TIMESTAMP', 'INNODB_STRICT_MODE', 'BINLOG_EXPIRE_LOGS_SECONDS') ORDER BY 1"},
    {"connections",
     "SELECT USER AS user, SUBSTRING_INDEX(HOST, ':', 1) AS host, COMMAND AS command, COUNT(*) AS sessions"
     " FROM information_schema.PROCESSLIST WHERE DB = DATABASE() GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1"},
};

static json_t *value_of(const MYSQL_FIELD *field, const char *text)
{
    if (!text)
        return json_null();
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
        if (strncmp(field->name, "is_", 3) == 0)
            return json_boolean(*text == '1');
        return json_integer(strtoll(text, NULL, 10));
    case MYSQL_TYPE_LONGLONG:
        return json_integer(strtoll(text, NULL, 10));
    default:
        return gw_json_text(text);
    }
}

static json_t *rows_of(MYSQL_RES *r)
{
    json_t *rows = json_array();
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(r))) {
        json_t *object = json_object();
        for (unsigned i = 0; i < mysql_num_fields(r); i++) {
            const MYSQL_FIELD *field = mysql_fetch_field_direct(r, i);
            json_object_set_new(object, field->name, value_of(field, row[i]));
        }
        json_array_append_new(rows, object);
    }
    return rows;
}

/* Tables say whether they move. */
static void add_moves(json_t *tables, const struct gw_filter *filter)
{
    size_t i;
    json_t *table;
    json_array_foreach(tables, i, table)
    {
        const char *name = json_string_value(json_object_get(table, "name"));
        json_object_set_new(table, "moves", json_boolean(!filter || gw_filter_match(filter, "", name)));
    }
}

static bool inventory(struct gw_store *base, const struct gw_filter *filter, json_t **out, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    json_t *all = json_object(), *not_read = json_array();
    bool fine = gw_mysql_borrow(gw_mysql_store_of(base), &conn, err);
    if (!fine) {
        json_decref(all);
        json_decref(not_read);
        return false;
    }
    for (size_t i = 0; fine && i < sizeof sections / sizeof sections[0]; i++) {
        MYSQL_RES *r = NULL;
        struct gw_error why;
        if (gw_mysql_query(conn, sections[i].sql, &r, &why)) {
            json_object_set_new(all, sections[i].name, rows_of(r));
            mysql_free_result(r);
            continue;
        }
        json_object_set_new(all, sections[i].name, json_array());
        json_array_append_new(not_read,
                              json_pack("{s:s, s:o}", "section", sections[i].name, "why", gw_json_text(why.message)));
        fine = !conn->broken;
        if (!fine)
            *err = why;
    }
    gw_mysql_return(conn, !fine);
    add_moves(json_object_get(all, "tables"), filter);
    json_object_set_new(all, "not_read", not_read);
    if (!fine) {
        json_decref(all);
        return false;
    }
    *out = all;
    return true;
}

/* ---- probes ----------------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool measure_trips(struct gw_mysql_conn *conn, int count, int64_t *median_us, struct gw_error *err)
{
    gw_autofree int64_t *times = gw_calloc((size_t)count + 1, sizeof *times);
    for (int i = 0; i < count; i++) {
        int64_t began_us = gw_mono_us();
        if (!gw_mysql_exec(conn, "DO 0", err))
            return false;
        times[i] = gw_mono_us() - began_us;
    }
    qsort(times, (size_t)count, sizeof *times, by_size);
    *median_us = count > 0 ? times[count / 2] : 0;
    return true;
}

static int64_t rate(int64_t bytes, int64_t took_us)
{
    return took_us > 0 ? bytes * 1000000 / took_us : 0;
}

static bool probe(struct gw_store *base, int round_trips, int64_t sample_bytes, int64_t *round_trip_us,
                  int64_t *bytes_per_second, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    gw_autobuf struct gw_buf text = {0};
    int64_t median_us = 0, piece = 262144, read_bytes = 0;
    if (!gw_mysql_connect(gw_mysql_store_of(base), "probe", &conn, err))
        return false;
    bool fine = measure_trips(conn, round_trips, &median_us, err);
    int64_t began_us = gw_mono_us();
    while (fine && read_bytes < sample_bytes) {
        fine = gw_mysql_query_text(conn, "SELECT REPEAT('x', 262144)", &text, NULL, err);
        read_bytes += piece;
    }
    int64_t took_us = gw_mono_us() - began_us;
    gw_mysql_close(conn);
    if (fine) {
        *round_trip_us = median_us;
        *bytes_per_second = rate(read_bytes, took_us);
    }
    return fine;
}

static bool fill_probe(struct gw_mysql_conn *conn, int64_t sample_bytes, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_autofree char *row = gw_zalloc(201);
    memset(row, 'x', 200);
    for (int64_t done = 0, key = 0; done < sample_bytes;) {
        gw_buf_clear(&sql);
        gw_buf_adds(&sql, "INSERT INTO godwit_probe VALUES ");
        for (int i = 0; i < 1000; i++, key++, done += 208)
            gw_buf_addf(&sql, "%s(%lld,'%s')", i ? "," : "", (long long)(key * 7919 % 1000003), row);
        if (!gw_mysql_exec_buf(conn, &sql, err))
            return false;
    }
    return true;
}

static bool probe_write(struct gw_store *base, int64_t sample_bytes, int64_t *bytes_per_second,
                        int64_t *index_bytes_per_second, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!gw_mysql_connect(gw_mysql_store_of(base), "probe", &conn, err))
        return false;
    int64_t began_us = gw_mono_us(), loaded_us = 0, indexed_us = 0;
    bool fine = gw_mysql_exec(conn, "CREATE TEMPORARY TABLE godwit_probe (k bigint, v text) ENGINE = InnoDB", err) &&
                fill_probe(conn, sample_bytes, err);
    loaded_us = gw_mono_us();
    fine = fine && gw_mysql_exec(conn, "ALTER TABLE godwit_probe ADD INDEX (k)", err);
    indexed_us = gw_mono_us();
    gw_mysql_close(conn); /* the table goes with it */
    if (fine) {
        *bytes_per_second = rate(sample_bytes, loaded_us - began_us);
        *index_bytes_per_second = rate(sample_bytes, indexed_us - loaded_us);
    }
    return fine;
}

const struct gw_inspect_facet gw_mysql_inspect = {
    .check = gw_mysql_check,
    .check_pair = gw_mysql_check_pair,
    .check_values = gw_mysql_check_values,
    .grants = gw_mysql_grants,
    .grants_for = gw_mysql_grants_for,
    .inventory = inventory,
    .footprint = gw_mysql_footprint,
    .break_glass = gw_mysql_break_glass,
    .probe = probe,
    .probe_write = probe_write,
    .probe_capture = gw_mysql_capture_probe,
    .probe_write_how = "into a temporary table and an index on it (its redo log and binlog are not in that)",
    .probe_capture_how = "on tables made for it and dropped again, its rows undone",
};
