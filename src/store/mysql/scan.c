/*
 * Verify's own way to read: rows of a range in one short snapshot, rows by key. By prepared statements, whose answers
 * come in the binary protocol: nothing of it passes through the reader, the column forms or the codec. What the bytes
 * of a value are: scan_datum.h; decided by what the server says of each column of its answer.
 */
#include "base/mem.h"
#include "store/mysql/capture.h"
#include "store/mysql/reader.h"
#include "store/mysql/scan_datum.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 256        /* a value's buffer at first; a longer one is fetched again */
#define KEEP_BYTES (64u << 10) /* a longer buffer goes with its row */
#define BINARY_CHARSET 63

struct scan_column {
    enum enum_field_types type; /* of the answer */
    bool is_unsigned, is_binary;
    union {
        long long number;
        float f32;
        double f64;
        MYSQL_TIME time;
    } value;
    struct gw_buf bytes;
    unsigned long len;
    my_bool is_null, truncated;
};

struct gw_scan {
    struct gw_mysql_store *store;
    struct gw_mysql_conn *conn;
    MYSQL_STMT *stmt;
    bool reading;
    bool by_key; /* rows outlive the next one */
    bool moved;  /* buffers that the library does not know of yet */
    struct scan_column *columns;
    MYSQL_BIND *binds;
    size_t column_count; /* of the collection */
    size_t field_count;  /* of the answer: without generated columns */
    const struct gw_collection *collection;
    struct gw_value *values;
    struct gw_arena arena;
};

/* ---- session --------------------------------------------------------------------------------------------------- */

static void drop_statement(struct gw_scan *scan)
{
    if (scan->stmt) {
        gw_mysql_enter(scan->conn);
        mysql_stmt_close(scan->stmt);
    }
    scan->stmt = NULL;
}

static void drop_columns(struct gw_scan *scan)
{
    for (size_t i = 0; i < scan->field_count; i++)
        gw_buf_release(&scan->columns[i].bytes);
    free(scan->columns);
    free(scan->binds);
    free(scan->values);
    scan->columns = NULL;
    scan->binds = NULL;
    scan->values = NULL;
    scan->field_count = 0;
}

static void drop_connection(struct gw_scan *scan)
{
    drop_statement(scan);
    gw_mysql_close(scan->conn);
    scan->conn = NULL;
    scan->reading = false;
}

static bool ready_connection(struct gw_scan *scan, struct gw_error *err)
{
    if (scan->conn && (scan->conn->broken || scan->reading))
        drop_connection(scan);
    return scan->conn || gw_mysql_connect(scan->store, "verify", &scan->conn, err);
}

static bool scan_open(struct gw_store *base, struct gw_scan **out, struct gw_error *err)
{
    struct gw_scan *scan = gw_zalloc(sizeof *scan);
    scan->store = gw_mysql_store_of(base);
    if (!ready_connection(scan, err)) {
        free(scan);
        return false;
    }
    *out = scan;
    return true;
}

static void scan_close(struct gw_scan *scan)
{
    if (!scan)
        return;
    drop_connection(scan);
    drop_columns(scan);
    gw_arena_release(&scan->arena);
    free(scan);
}

static bool fail(struct gw_scan *scan, struct gw_error *err)
{
    if (scan->stmt && mysql_stmt_errno(scan->stmt))
        gw_mysql_stmt_fail(scan->conn, scan->stmt, "reading to compare", err);
    else
        gw_mysql_fail(scan->conn, "reading to compare", err);
    return gw_error_place(err, "%s", scan->collection ? gw_collection_label(scan->collection) : "");
}

/* ---- statements ------------------------------------------------------------------------------------------------ */

static void add_select(struct gw_buf *sql, const struct gw_collection *c)
{
    bool first = true;
    gw_buf_adds(sql, "SELECT ");
    for (size_t i = 0; i < c->column_count; i++) {
        if (c->columns[i].generated)
            continue;
        gw_buf_adds(sql, first ? "" : ", ");
        first = false;
        gw_mysql_add_ident(sql, c->columns[i].name);
    }
    gw_buf_adds(sql, first ? "1 FROM " : " FROM ");
    gw_mysql_add_table(sql, c);
    gw_mysql_add_force(sql, c);
}

static void bind_column(struct scan_column *column, const MYSQL_FIELD *field, MYSQL_BIND *bind)
{
    column->type = field->type;
    column->is_unsigned = (field->flags & UNSIGNED_FLAG) != 0;
    column->is_binary = field->type == MYSQL_TYPE_BIT || field->type == MYSQL_TYPE_GEOMETRY;
    bind->length = &column->len;
    bind->is_null = &column->is_null;
    bind->error = &column->truncated;
    bind->is_unsigned = column->is_unsigned;
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = &column->value.number;
        break;
    case MYSQL_TYPE_FLOAT:
    case MYSQL_TYPE_DOUBLE:
        bind->buffer_type = field->type;
        bind->buffer = &column->value;
        break;
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_TIME:
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP:
        bind->buffer_type = field->type;
        bind->buffer = &column->value.time;
        break;
    default:
        column->is_binary =
            column->is_binary || (field->charsetnr == BINARY_CHARSET && field->type != MYSQL_TYPE_NEWDECIMAL);
        gw_buf_reserve(&column->bytes, FIRST_BYTES);
        bind->buffer_type = MYSQL_TYPE_STRING;
        bind->buffer = column->bytes.data;
        bind->buffer_length = FIRST_BYTES;
    }
}

static bool prepare(struct gw_scan *scan, const struct gw_collection *c, const struct gw_buf *sql, struct gw_error *err)
{
    drop_statement(scan);
    drop_columns(scan);
    gw_mysql_enter(scan->conn);
    scan->collection = c;
    scan->column_count = c->column_count;
    scan->values = gw_calloc(c->column_count + 1, sizeof *scan->values);
    scan->stmt = mysql_stmt_init(scan->conn->my);
    if (!scan->stmt || mysql_stmt_prepare(scan->stmt, sql->data, sql->len) != 0)
        return fail(scan, err);
    MYSQL_RES *meta = mysql_stmt_result_metadata(scan->stmt);
    if (!meta)
        return fail(scan, err);
    scan->field_count = mysql_num_fields(meta);
    scan->columns = gw_calloc(scan->field_count + 1, sizeof *scan->columns);
    scan->binds = gw_calloc(scan->field_count + 1, sizeof *scan->binds);
    for (unsigned i = 0; i < scan->field_count; i++)
        bind_column(&scan->columns[i], mysql_fetch_field_direct(meta, i), &scan->binds[i]);
    mysql_free_result(meta);
    return mysql_stmt_bind_result(scan->stmt, scan->binds) == 0 || fail(scan, err);
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

static struct gw_value text_of(struct gw_scan *scan, const char *text, int len)
{
    return (struct gw_value){
        .kind = GW_VALUE_TEXT, .len = (uint32_t)len, .bytes = gw_arena_dup(&scan->arena, text, (size_t)len)};
}

static struct gw_value time_of(struct gw_scan *scan, const struct scan_column *column)
{
    const MYSQL_TIME *t = &column->value.time;
    char text[64];
    int len;
    if (column->type == MYSQL_TYPE_DATE)
        len = snprintf(text, sizeof text, "%04u-%02u-%02u", t->year, t->month, t->day);
    else if (column->type == MYSQL_TYPE_TIME)
        len = snprintf(text, sizeof text, "%s%02u:%02u:%02u.%06lu", t->neg ? "-" : "", t->day * 24 + t->hour, t->minute,
                       t->second, t->second_part);
    else
        len = snprintf(text, sizeof text, "%04u-%02u-%02u %02u:%02u:%02u.%06lu", t->year, t->month, t->day, t->hour,
                       t->minute, t->second, t->second_part);
    return text_of(scan, text, len);
}

static void make_room(struct gw_scan *scan, size_t field, size_t bytes)
{
    struct scan_column *column = &scan->columns[field];
    gw_buf_release(&column->bytes); /* what is in it need not be carried over */
    gw_buf_reserve(&column->bytes, bytes);
    scan->binds[field].buffer = column->bytes.data;
    scan->binds[field].buffer_length = bytes;
    scan->moved = true;
}

/* Before the next row: after a large one buffers are as small as at first. The library forgets where in a row its values
 * are when it is told of other buffers, so that has to wait until all of a row is taken. */
static bool settle_buffers(struct gw_scan *scan, struct gw_error *err)
{
    for (size_t i = 0; i < scan->field_count; i++)
        if (scan->columns[i].bytes.capacity > KEEP_BYTES)
            make_room(scan, i, FIRST_BYTES);
    if (scan->moved && mysql_stmt_bind_result(scan->stmt, scan->binds) != 0)
        return fail(scan, err);
    scan->moved = false;
    return true;
}

/* A value that was longer than its buffer comes again, whole. */
static bool whole(struct gw_scan *scan, size_t field, struct gw_error *err)
{
    struct scan_column *column = &scan->columns[field];
    if (column->len <= scan->binds[field].buffer_length)
        return true;
    make_room(scan, field, column->len);
    return mysql_stmt_fetch_column(scan->stmt, &scan->binds[field], (unsigned)field, 0) == 0 || fail(scan, err);
}

/* Lives as long as the row. A long one stays where it is: it is not copied for that. */
static const unsigned char *bytes_of(struct gw_scan *scan, const struct scan_column *column)
{
    if (scan->by_key || column->len <= KEEP_BYTES)
        return gw_arena_dup(&scan->arena, column->bytes.data, column->len);
    return (const unsigned char *)column->bytes.data;
}

static bool take_value(struct gw_scan *scan, size_t field, struct gw_value *out, struct gw_error *err)
{
    struct scan_column *column = &scan->columns[field];
    char text[32];
    uint32_t half;
    uint64_t bits;
    unsigned char bytes[8];
    *out = (struct gw_value){.kind = GW_VALUE_NULL};
    if (column->is_null)
        return true;
    switch (scan->binds[field].buffer_type) {
    case MYSQL_TYPE_LONGLONG:
        *out =
            text_of(scan, text,
                    column->is_unsigned ? snprintf(text, sizeof text, "%llu", (unsigned long long)column->value.number)
                                        : snprintf(text, sizeof text, "%lld", column->value.number));
        return true;
    case MYSQL_TYPE_FLOAT:
        memcpy(&half, &column->value.f32, 4);
        for (int i = 0; i < 4; i++)
            bytes[i] = (unsigned char)(half >> (24 - 8 * i));
        *out = (struct gw_value){.kind = GW_VALUE_BINARY, .len = 4, .bytes = gw_arena_dup(&scan->arena, bytes, 4)};
        return true;
    case MYSQL_TYPE_DOUBLE:
        memcpy(&bits, &column->value.f64, 8);
        for (int i = 0; i < 8; i++)
            bytes[i] = (unsigned char)(bits >> (56 - 8 * i));
        *out = (struct gw_value){.kind = GW_VALUE_BINARY, .len = 8, .bytes = gw_arena_dup(&scan->arena, bytes, 8)};
        return true;
    case MYSQL_TYPE_STRING:
        if (!whole(scan, field, err))
            return false;
        *out = (struct gw_value){.kind = column->is_binary ? GW_VALUE_BINARY : GW_VALUE_TEXT,
                                 .len = (uint32_t)column->len,
                                 .bytes = bytes_of(scan, column)};
        return true;
    default:
        *out = time_of(scan, column);
        return true;
    }
}

/* The next row of the statement into values[0..column_count). */
static bool next_row(struct gw_scan *scan, struct gw_value *values, bool *end, struct gw_error *err)
{
    gw_mysql_enter(scan->conn);
    if (!settle_buffers(scan, err))
        return false;
    int got = mysql_stmt_fetch(scan->stmt);
    *end = got == MYSQL_NO_DATA;
    if (*end)
        return true;
    if (got != 0 && got != MYSQL_DATA_TRUNCATED)
        return fail(scan, err);
    size_t field = 0;
    for (size_t i = 0; i < scan->column_count; i++) {
        values[i] = (struct gw_value){.kind = GW_VALUE_ABSENT};
        if (!scan->collection->columns[i].generated && !take_value(scan, field++, &values[i], err))
            return false;
    }
    return true;
}

/* ---- a range --------------------------------------------------------------------------------------------------- */

/* What the snapshot saw is before `at`: MariaDB knows the place of the snapshot itself, elsewhere it is read after it. */
static bool begin_snapshot(struct gw_scan *scan, struct gw_position *at, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    gw_autofree char *file = NULL;
    uint64_t offset = 0;
    *at = (struct gw_position){0};
    if (!gw_mysql_exec(scan->conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", err))
        return false;
    if (gw_mysql_captures(scan->store)) /* all that the snapshot saw is before a cut that is taken now */
        return gw_mysql_capture_horizon(scan->store, at, err);
    if (!scan->store->binlog)
        return true;
    if (!scan->store->binlog_snapshot)
        return gw_mysql_log_end(scan->conn, at, err);
    if (!gw_mysql_query(scan->conn, "SHOW STATUS LIKE 'Binlog\\_snapshot\\_%'", &r, err))
        return false;
    while ((row = mysql_fetch_row(r))) {
        if (strcasecmp(row[0], "Binlog_snapshot_file") == 0 && !file)
            file = gw_strdup(row[1]);
        else if (strcasecmp(row[0], "Binlog_snapshot_position") == 0)
            offset = strtoull(row[1], NULL, 10);
    }
    mysql_free_result(r);
    if (file && *file)
        gw_mysql_position_of(file, offset, at);
    return true;
}

static bool scan_begin(struct gw_scan *scan, const struct gw_collection *c, const struct gw_range *range, bool ordered,
                       struct gw_position *at, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct gw_position seen;
    add_select(&sql, c);
    gw_buf_adds(&sql, " WHERE ");
    struct gw_mysql_form *forms = gw_mysql_forms_of(c);
    bool fine = gw_mysql_add_range(&sql, c, forms, range, err);
    gw_mysql_forms_free(forms, c->column_count);
    if (ordered && c->key_kind != GW_KEY_NONE) {
        gw_buf_adds(&sql, " ORDER BY ");
        gw_mysql_add_key(&sql, c);
    }
    if (!fine || !ready_connection(scan, err))
        return false;
    scan->reading = true;
    gw_mysql_enter(scan->conn);
    if (!prepare(scan, c, &sql, err) || !begin_snapshot(scan, &seen, err) ||
        (mysql_stmt_execute(scan->stmt) != 0 && !fail(scan, err))) {
        drop_connection(scan);
        return false;
    }
    *at = seen;
    return true;
}

static bool scan_next(struct gw_scan *scan, struct gw_row *row, bool *end, struct gw_error *err)
{
    if (!scan->reading)
        return gw_fail(err, GW_ERR_BUG, "no range is being read");
    gw_arena_reset(&scan->arena);
    scan->by_key = false;
    if (!next_row(scan, scan->values, end, err)) {
        drop_connection(scan);
        return false;
    }
    *row = (struct gw_row){.count = *end ? 0 : (uint32_t)scan->column_count, .values = scan->values};
    return true;
}

static bool scan_end(struct gw_scan *scan, struct gw_error *err)
{
    if (!scan->conn)
        return true;
    gw_mysql_enter(scan->conn);
    mysql_stmt_free_result(scan->stmt);
    drop_statement(scan);
    scan->reading = false;
    if (gw_mysql_exec(scan->conn, "COMMIT", err))
        return true;
    drop_connection(scan);
    return false;
}

/* ---- rows by key ----------------------------------------------------------------------------------------------- */

static void bind_key(const struct gw_column *column, const struct gw_value *value, struct gw_arena *arena,
                     MYSQL_BIND *bind)
{
    struct gw_datum datum;
    struct gw_error ignored;
    uint64_t bits = 0;
    *bind = (MYSQL_BIND){.buffer_type = value->kind == GW_VALUE_BINARY ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING,
                         .buffer = (void *)(uintptr_t)value->bytes,
                         .buffer_length = value->len};
    if (!gw_mysql_scan_to_datum(NULL, column, value, arena, &datum, &ignored))
        return;
    switch (datum.kind) {
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
        bind->is_unsigned = datum.kind == GW_KIND_UINT64;
        bits = datum.u64;
        break;
    case GW_KIND_BITS:
        bind->is_unsigned = 1;
        for (uint32_t i = 0; i < datum.len; i++)
            bits = bits << 1 | (datum.bytes[i] == '1');
        break;
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64: {
        double number = datum.kind == GW_KIND_FLOAT32 ? (double)datum.f32 : datum.f64;
        bind->buffer_type = MYSQL_TYPE_DOUBLE;
        bind->buffer = gw_arena_dup(arena, &number, sizeof number);
        return;
    }
    case GW_KIND_DECIMAL:
        bind->buffer_type = MYSQL_TYPE_NEWDECIMAL;
        return;
    default:
        return;
    }
    bind->buffer_type = MYSQL_TYPE_LONGLONG;
    bind->buffer = gw_arena_dup(arena, &bits, sizeof bits);
}

static bool fetch_one(struct gw_scan *scan, const struct gw_collection *c, const struct gw_row *key, MYSQL_BIND *params,
                      struct gw_row *row, struct gw_error *err)
{
    bool end;
    for (size_t k = 0; k < c->key_count; k++)
        bind_key(&c->columns[c->key[k]], &key->values[k], &scan->arena, &params[k]);
    gw_mysql_enter(scan->conn);
    if (mysql_stmt_bind_param(scan->stmt, params) != 0 || mysql_stmt_execute(scan->stmt) != 0)
        return fail(scan, err);
    struct gw_value *values = gw_arena_zalloc(&scan->arena, (c->column_count + 1) * sizeof *values);
    if (!next_row(scan, values, &end, err))
        return false;
    *row = (struct gw_row){.count = end ? 0 : (uint32_t)c->column_count, .values = values};
    mysql_stmt_free_result(scan->stmt);
    return true;
}

static bool fetch_all(struct gw_scan *scan, const struct gw_collection *c, const struct gw_row *keys, size_t key_count,
                      struct gw_row *rows, struct gw_position *at, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    add_select(&sql, c);
    gw_buf_adds(&sql, " WHERE ");
    for (size_t k = 0; k < c->key_count; k++) {
        gw_buf_adds(&sql, k ? " AND " : "");
        gw_mysql_add_ident(&sql, c->columns[c->key[k]].name);
        gw_buf_adds(&sql, " = ?");
    }
    gw_mysql_enter(scan->conn);
    if (!prepare(scan, c, &sql, err) || !begin_snapshot(scan, at, err))
        return false;
    gw_autofree MYSQL_BIND *params = gw_calloc(c->key_count, sizeof *params);
    for (size_t i = 0; i < key_count; i++)
        if (!fetch_one(scan, c, &keys[i], params, &rows[i], err))
            return false;
    drop_statement(scan);
    return gw_mysql_exec(scan->conn, "COMMIT", err);
}

static bool scan_fetch(struct gw_scan *scan, const struct gw_collection *c, const struct gw_row *keys, size_t key_count,
                       struct gw_row *rows, struct gw_position *at, struct gw_error *err)
{
    if (c->key_kind == GW_KEY_NONE)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "%s has no key to look rows up by", gw_collection_label(c));
    if (!ready_connection(scan, err))
        return false;
    gw_arena_reset(&scan->arena);
    scan->by_key = true;
    struct gw_position seen = {0};
    if (!fetch_all(scan, c, keys, key_count, rows, &seen, err)) {
        drop_connection(scan);
        return false;
    }
    *at = seen;
    return true;
}

/* ---- order ----------------------------------------------------------------------------------------------------- */

/* Numbers, times and bytes are in one order everywhere; texts in that of their collation, labels in that of the type. */
static bool scan_key_order(struct gw_scan *scan, const struct gw_collection *c, struct gw_buf *name,
                           struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_autobuf struct gw_buf one = {0};
    gw_buf_clear(name);
    if (!ready_connection(scan, err))
        return false;
    for (size_t k = 0; k < c->key_count; k++) {
        bool found = false;
        gw_buf_clear(&sql);
        gw_buf_adds(&sql, "SELECT CONCAT(COLLATION_NAME, IF(DATA_TYPE IN ('enum', 'set'), COLUMN_TYPE, '')) FROM"
                          " information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ");
        gw_mysql_add_literal(&sql, c->name);
        gw_buf_adds(&sql, " AND COLUMN_NAME = ");
        gw_mysql_add_literal(&sql, c->columns[c->key[k]].name);
        if (!gw_mysql_query_text(scan->conn, gw_buf_text(&sql), &one, &found, err))
            return false;
        if (found)
            gw_buf_addf(name, "%s%s",
                        name->len                 ? ", "
                        : scan->store->is_mariadb ? "MariaDB "
                                                  : "MySQL ",
                        gw_buf_text(&one));
    }
    return true;
}

const struct gw_scan_facet gw_mysql_scan = {
    .open = scan_open,
    .close = scan_close,
    .begin = scan_begin,
    .next = scan_next,
    .end = scan_end,
    .fetch = scan_fetch,
    .to_datum = gw_mysql_scan_to_datum,
    .from_datum = gw_mysql_scan_from_datum,
    .print = gw_mysql_scan_print,
    .key_order = scan_key_order,
};
