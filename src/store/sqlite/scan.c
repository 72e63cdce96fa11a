/* Rows of a range, and rows by their keys, as verify sees them. */
#include "store/sqlite/scan.h"

#include "base/mem.h"
#include "store/sqlite/capture.h"
#include "store/sqlite/keys.h"

#define LARGE_BYTES (64u << 10)

struct gw_scan {
    struct gw_lite_conn *conn;
    struct gw_lite_table *table;
    size_t columns;
    sqlite3_stmt *rows;
    struct gw_arena arena;
    bool by_key;      /* rows outlive the next one */
    uint32_t *copies; /* of the last fetch */
    size_t copies_capacity;
};

static bool scan_open(struct gw_store *base, struct gw_scan **out, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_connect(gw_lite_store_of(base), false, &conn, err))
        return false;
    if (!gw_lite_exec(conn, GW_LITE_READ_ONCE, err)) {
        gw_lite_disconnect(conn);
        return false;
    }
    struct gw_scan *scan = gw_zalloc(sizeof *scan);
    scan->conn = conn;
    *out = scan;
    return true;
}

static void let_go(struct gw_scan *scan)
{
    gw_lite_finalize(&scan->rows);
    gw_lite_table_free(scan->table);
    scan->table = NULL;
    gw_lite_rollback(scan->conn);
}

static void scan_close(struct gw_scan *scan)
{
    if (!scan)
        return;
    let_go(scan);
    gw_lite_disconnect(scan->conn);
    gw_arena_release(&scan->arena);
    free(scan->copies);
    free(scan);
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

static struct gw_value canonical(struct gw_scan *scan, sqlite3_stmt *statement, int column)
{
    sqlite3_value *value = sqlite3_column_value(statement, column);
    int type = sqlite3_value_type(value);
    if (type == SQLITE_NULL)
        return (struct gw_value){.kind = GW_VALUE_NULL};
    if (type == SQLITE_TEXT) {
        const unsigned char *text = sqlite3_column_text(statement, column);
        uint32_t len = (uint32_t)sqlite3_column_bytes(statement, column);
        bool stays = !scan->by_key && len > LARGE_BYTES; /* where it is, until the next row: not copied */
        return (struct gw_value){.kind = GW_VALUE_TEXT,
                                 .len = len,
                                 .bytes =
                                     stays ? text : gw_arena_dup(&scan->arena, text ? (const void *)text : "", len)};
    }
    if (type == SQLITE_BLOB) {
        const void *blob = sqlite3_column_blob(statement, column);
        size_t len = (size_t)sqlite3_column_bytes(statement, column);
        unsigned char *bytes = gw_arena_alloc(&scan->arena, len + 2);
        bytes[0] = 'b';
        if (len > 0)
            memcpy(bytes + 1, blob, len);
        bytes[len + 1] = 0;
        return (struct gw_value){.kind = GW_VALUE_BINARY, .len = (uint32_t)len + 1, .bytes = bytes};
    }
    gw_autobuf struct gw_buf bytes = {0};
    if (type == SQLITE_INTEGER) {
        gw_buf_addc(&bytes, 'i');
        gw_buf_put64(&bytes, (uint64_t)sqlite3_column_int64(statement, column));
    } else {
        union {
            double real;
            uint64_t bits;
        } v = {.real = sqlite3_column_double(statement, column)};
        gw_buf_addc(&bytes, 'r');
        gw_buf_put64(&bytes, v.bits);
    }
    return (struct gw_value){.kind = GW_VALUE_BINARY,
                             .len = (uint32_t)bytes.len,
                             .bytes = gw_arena_dup(&scan->arena, bytes.data, bytes.len)};
}

static struct gw_row row_here(struct gw_scan *scan, sqlite3_stmt *statement)
{
    struct gw_value *values = gw_arena_alloc(&scan->arena, (scan->columns + 1) * sizeof *values);
    for (size_t c = 0; c < scan->columns; c++)
        values[c] = canonical(scan, statement, (int)c);
    return (struct gw_row){.count = (uint32_t)scan->columns, .values = values};
}

/* A key as `next` gave it. */
static bool bind_canonical(sqlite3_stmt *statement, int place, const struct gw_value *value)
{
    const char *bytes = (const char *)value->bytes;
    if (value->kind == GW_VALUE_TEXT)
        return sqlite3_bind_text64(statement, place, value->len > 0 ? bytes : "", value->len, SQLITE_STATIC,
                                   SQLITE_UTF8) == SQLITE_OK;
    if (value->kind != GW_VALUE_BINARY || value->len == 0)
        return sqlite3_bind_null(statement, place) == SQLITE_OK;
    if (bytes[0] == 'b')
        return sqlite3_bind_blob64(statement, place, bytes + 1, value->len - 1, SQLITE_STATIC) == SQLITE_OK;
    if (value->len != 9)
        return false;
    union {
        uint64_t bits;
        double real;
    } v = {.bits = gw_get64(value->bytes + 1)};
    return (bytes[0] == 'i' ? sqlite3_bind_int64(statement, place, (int64_t)v.bits)
                            : sqlite3_bind_double(statement, place, v.real)) == SQLITE_OK;
}

/* ---- a range --------------------------------------------------------------------------------------------------- */

static bool begin(struct gw_scan *scan, const struct gw_collection *collection, struct gw_position *at,
                  struct gw_error *err)
{
    int64_t newest = 0;
    let_go(scan);
    if (!gw_lite_exec(scan->conn, "BEGIN", err) || !gw_lite_newest(scan->conn, &newest, err) ||
        !gw_lite_table_for(scan->conn, collection, &scan->table, err))
        return false;
    gw_lite_position(newest + 1, at);
    scan->columns = collection->column_count;
    return true;
}

static void select_from(const struct gw_scan *scan, struct gw_buf *sql)
{
    gw_buf_adds(sql, "SELECT ");
    gw_lite_add_column_list(sql, scan->table, scan->columns);
    gw_buf_adds(sql, " FROM main.");
    gw_lite_add_ident(sql, scan->table->name);
}

static bool scan_begin(struct gw_scan *scan, const struct gw_collection *collection, const struct gw_range *range,
                       bool ordered, struct gw_position *at, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    bool keyed = collection->key_count > 0;
    if (!begin(scan, collection, at, err)) {
        let_go(scan);
        return false;
    }
    select_from(scan, &sql);
    if (keyed)
        gw_lite_add_range(&sql, scan->table, range);
    if (keyed && ordered)
        gw_lite_add_order(&sql, scan->table);
    if (gw_lite_prepare(scan->conn, gw_buf_text(&sql), &scan->rows, err) &&
        (!keyed || gw_lite_bind_range(scan->rows, range, err)))
        return true;
    let_go(scan);
    return false;
}

static bool scan_next(struct gw_scan *scan, struct gw_row *row, bool *end, struct gw_error *err)
{
    bool got = false;
    gw_arena_reset(&scan->arena);
    if (!gw_lite_step(scan->conn, scan->rows, &got, err))
        return false;
    *end = !got;
    if (!got)
        return true;
    scan->by_key = false;
    *row = row_here(scan, scan->rows);
    return true;
}

static bool scan_end(struct gw_scan *scan, struct gw_error *err)
{
    (void)err;
    let_go(scan);
    return true;
}

/* ---- by keys --------------------------------------------------------------------------------------------------- */

static bool fetch_key(struct gw_scan *scan, const struct gw_row *key, size_t index, struct gw_row *out,
                      struct gw_error *err)
{
    bool got = false;
    *out = (struct gw_row){0};
    scan->copies[index] = 0;
    sqlite3_reset(scan->rows);
    for (uint32_t i = 0; i < key->count; i++)
        if (!bind_canonical(scan->rows, (int)i + 1, &key->values[i]))
            return gw_fail(err, GW_ERR_BUG, "a key value of %s that no scan gave", scan->table->name);
    for (;;) {
        if (!gw_lite_step(scan->conn, scan->rows, &got, err))
            return false;
        if (!got)
            return true;
        if (scan->copies[index]++ == 0)
            *out = row_here(scan, scan->rows);
    }
}

static bool scan_fetch(struct gw_scan *scan, const struct gw_collection *collection, const struct gw_row *keys,
                       size_t key_count, struct gw_row *rows, struct gw_position *at, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    bool ok = begin(scan, collection, at, err);
    gw_arena_reset(&scan->arena);
    scan->by_key = true;
    if (ok) {
        select_from(scan, &sql);
        gw_buf_adds(&sql, " WHERE ");
        gw_lite_add_equals(&sql, scan->table, 1);
        ok = gw_lite_prepare(scan->conn, gw_buf_text(&sql), &scan->rows, err);
    }
    if (ok && key_count > scan->copies_capacity)
        scan->copies = gw_grow(scan->copies, &scan->copies_capacity, key_count, sizeof *scan->copies);
    for (size_t k = 0; ok && k < key_count; k++)
        ok = fetch_key(scan, &keys[k], k, &rows[k], err);
    let_go(scan);
    return ok;
}

/* Every SQLite orders alike what its own collations order. */
static bool scan_key_order(struct gw_scan *scan, const struct gw_collection *collection, struct gw_buf *name,
                           struct gw_error *err)
{
    struct gw_lite_table *table = NULL;
    if (!gw_lite_table_for(scan->conn, collection, &table, err))
        return false;
    for (size_t i = 0; i < table->key_count; i++)
        if (sqlite3_stricmp(table->key_collations[i], "binary") != 0)
            gw_buf_addf(name, "%s%s", name->len > 0 ? "," : "sqlite ", table->key_collations[i]);
    gw_lite_table_free(table);
    return true;
}

const struct gw_scan_facet gw_lite_scan = {
    .open = scan_open,
    .close = scan_close,
    .begin = scan_begin,
    .next = scan_next,
    .end = scan_end,
    .fetch = scan_fetch,
    .to_datum = gw_lite_scan_to_datum,
    .from_datum = gw_lite_scan_from_datum,
    .print = gw_lite_scan_print,
    .key_order = scan_key_order,
};
