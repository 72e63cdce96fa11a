/* Counters: sqlite_sequence behind AUTOINCREMENT; a plain rowid takes the largest there is and one more. */
#include "store/sqlite/schema.h"

#include "base/crash.h"
#include "base/mem.h"

static bool read_counter(struct gw_lite_conn *conn, const char *table, int64_t *last, bool *found, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    *found = false;
    if (!gw_lite_has_table(conn, "sqlite_sequence"))
        return true;
    gw_buf_adds(&sql, "SELECT seq FROM main.sqlite_sequence WHERE name = ");
    gw_lite_add_literal(&sql, table);
    return gw_lite_int(conn, gw_buf_text(&sql), last, found, err);
}

/* Never back. */
static bool write_counter(struct gw_lite_conn *conn, const char *table, int64_t last, struct gw_error *err)
{
    gw_autobuf struct gw_buf name = {0};
    bool found = false;
    int64_t now = 0;
    if (!read_counter(conn, table, &now, &found, err))
        return false;
    gw_lite_add_literal(&name, table);
    if (found)
        return now >= last || gw_lite_execf(conn, err, "UPDATE main.sqlite_sequence SET seq = %lld WHERE name = %s",
                                            (long long)last, gw_buf_text(&name));
    return gw_lite_execf(conn, err, "INSERT INTO main.sqlite_sequence (name, seq) VALUES (%s, %lld)",
                         gw_buf_text(&name), (long long)last);
}

struct held_counter {
    char *table;
    int64_t last;
};

static bool read_all(struct gw_lite_conn *conn, struct held_counter **out, size_t *count, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    size_t capacity = 0;
    bool row = false;
    if (!gw_lite_has_table(conn, "sqlite_sequence"))
        return true;
    if (!gw_lite_prepare(conn,
                         "SELECT name, seq FROM main.sqlite_sequence WHERE name NOT LIKE 'godwit\\_%' ESCAPE '\\'",
                         &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        *out = gw_grow(*out, &capacity, *count, sizeof **out);
        (*out)[(*count)++] = (struct held_counter){.table = gw_strdup(gw_lite_column(statement, 0)),
                                                   .last = sqlite3_column_int64(statement, 1)};
    }
}

static bool write_all(struct gw_lite_conn *conn, const struct held_counter *counters, size_t count, size_t *written,
                      struct gw_error *err)
{
    if (!gw_lite_begin_write(conn, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct gw_lite_table *table = NULL;
        if (!gw_lite_table_load(conn, counters[i].table, &table, err))
            return false;
        bool counts = table && table->autoincrement;
        gw_lite_table_free(table);
        if (counts && !write_counter(conn, counters[i].table, counters[i].last, err))
            return false;
        *written += counts;
    }
    return gw_lite_exec(conn, "COMMIT", err) && gw_lite_sync(conn->store, err);
}

bool gw_lite_sync_sequences(struct gw_store *from, struct gw_store *to, size_t *count, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    struct held_counter *counters = NULL;
    size_t held = 0;
    *count = 0;
    if (!gw_lite_borrow(gw_lite_store_of(from), &conn, err))
        return false;
    bool ok = read_all(conn, &counters, &held, err);
    gw_lite_return(conn);
    conn = NULL;
    ok = ok && gw_lite_borrow(gw_lite_store_of(to), &conn, err) && write_all(conn, counters, held, count, err);
    gw_lite_return(conn);
    for (size_t i = 0; i < held; i++)
        free(counters[i].table);
    free(counters);
    return ok;
}

/* ---- for other engines ----------------------------------------------------------------------------------------- */

/* An INTEGER PRIMARY KEY is given its number where an insert leaves it out. */
static bool counter_of(struct gw_lite_conn *conn, const struct gw_collection *collection, struct gw_counter *out,
                       bool *counts, struct gw_error *err)
{
    struct gw_lite_table *table = NULL;
    bool found = false;
    int64_t largest = 0, last = 0;
    if (!gw_lite_table_for(conn, collection, &table, err))
        return false;
    *counts = table->rowid_column >= 0;
    bool ok = true;
    if (*counts) {
        gw_autobuf struct gw_buf sql = {0};
        gw_buf_addf(&sql, "SELECT max(%s) FROM main.", table->rowid);
        gw_lite_add_ident(&sql, table->name);
        ok = gw_lite_int(conn, gw_buf_text(&sql), &largest, NULL, err) &&
             (!table->autoincrement || read_counter(conn, table->name, &last, &found, err));
        *out = (struct gw_counter){.collection = collection->id,
                                   .column = (uint32_t)table->rowid_column,
                                   .next = largest > last ? largest : last,
                                   .follows_rows = true};
        out->next += out->next < INT64_MAX;
    }
    gw_lite_table_free(table);
    return ok;
}

bool gw_lite_counters(struct gw_store *base, const struct gw_schema *schema, struct gw_counter **out, size_t *count,
                      struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    bool ok = true;
    *count = 0;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    *out = gw_calloc(schema->count + 1, sizeof **out);
    for (size_t i = 0; ok && i < schema->count; i++) {
        bool counts = false;
        ok = counter_of(conn, &schema->collections[i], &(*out)[*count], &counts, err);
        *count += ok && counts;
    }
    gw_lite_return(conn);
    if (ok)
        return true;
    free(*out);
    *out = NULL;
    *count = 0;
    return false;
}

static bool set_counters_on(struct gw_lite_conn *conn, const struct gw_schema *schema,
                            const struct gw_counter *counters, size_t count, struct gw_error *err)
{
    if (!gw_lite_begin_write(conn, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct gw_lite_table *table = NULL;
        bool ok = gw_lite_table_for(conn, &schema->collections[counters[i].collection], &table, err);
        if (ok && table->autoincrement && counters[i].next > 1)
            ok = write_counter(conn, table->name, counters[i].next - 1, err);
        gw_lite_table_free(table);
        if (!ok)
            return false;
    }
    GW_CRASH_POINT("lite.sequences.before_commit");
    return gw_lite_exec(conn, "COMMIT", err) && gw_lite_sync(conn->store, err);
}

bool gw_lite_set_counters(struct gw_store *base, const struct gw_schema *schema, const struct gw_counter *counters,
                          size_t count, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = set_counters_on(conn, schema, counters, count, err);
    gw_lite_return(conn);
    return ok;
}
