/* Chunks out: short snapshots, each with the newest captured row it saw as its mark. */
#include "store/sqlite/capture.h"

#include "base/mem.h"
#include "store/sqlite/keys.h"
#include "store/sqlite/rows.h"
#include "store/sqlite/value.h"

#include <pthread.h>

#define BLOCK_BYTES ((size_t)128 << 10)
#define LARGE_BYTES ((size_t)1 << 20)

struct gw_reader {
    struct gw_lite_conn *conn;
    struct gw_lite_table *table;
    size_t columns; /* of the collection */
    sqlite3_stmt *rows;
    uint64_t read; /* of the chunk */
    bool at_end;
    struct gw_buf block;
    struct gw_arena arena;
};

static bool reader_open(struct gw_store *base, struct gw_reader **out, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_connect(gw_lite_store_of(base), false, &conn, err))
        return false;
    if (!gw_lite_exec(conn, GW_LITE_READ_ONCE, err)) {
        gw_lite_disconnect(conn);
        return false;
    }
    struct gw_reader *reader = gw_zalloc(sizeof *reader);
    reader->conn = conn;
    *out = reader;
    return true;
}

static void let_go(struct gw_reader *reader)
{
    gw_lite_finalize(&reader->rows);
    gw_lite_table_free(reader->table);
    reader->table = NULL;
    gw_lite_rollback(reader->conn);
}

static void reader_close(struct gw_reader *reader)
{
    if (!reader)
        return;
    let_go(reader);
    gw_lite_disconnect(reader->conn);
    gw_buf_release(&reader->block);
    gw_arena_release(&reader->arena);
    free(reader);
}

/* ---- split ----------------------------------------------------------------------------------------------------- */

static bool split(struct gw_reader *reader, const struct gw_bound *low, int64_t rows, struct gw_bound *next, bool *last,
                  struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf sql = {0};
    struct gw_range range = {.low = *low};
    bool row = false;
    gw_buf_adds(&sql, "SELECT ");
    gw_lite_add_key_list(&sql, reader->table);
    gw_buf_adds(&sql, " FROM main.");
    gw_lite_add_ident(&sql, reader->table->name);
    gw_lite_add_range(&sql, reader->table, &range);
    gw_lite_add_order(&sql, reader->table);
    gw_buf_addf(&sql, " LIMIT 1 OFFSET %lld", (long long)rows);
    if (!gw_lite_prepare(reader->conn, gw_buf_text(&sql), &statement, err) ||
        !gw_lite_bind_range(statement, &range, err) || !gw_lite_step(reader->conn, statement, &row, err))
        return false;
    *last = !row;
    *next = (struct gw_bound){0};
    if (!row)
        return true;
    next->count = (uint32_t)reader->table->key_count;
    next->texts = gw_calloc(next->count, sizeof *next->texts);
    for (uint32_t i = 0; i < next->count; i++)
        next->texts[i] = gw_lite_bound_text(statement, (int)i);
    return true;
}

static bool reader_split(struct gw_reader *reader, const struct gw_collection *collection, const struct gw_bound *low,
                         int64_t rows, struct gw_bound *next, bool *last, struct gw_error *err)
{
    *next = (struct gw_bound){0};
    *last = true;
    if (collection->key_count == 0)
        return true;
    bool ok = gw_lite_exec(reader->conn, "BEGIN", err) &&
              gw_lite_table_for(reader->conn, collection, &reader->table, err) &&
              split(reader, low, rows, next, last, err);
    let_go(reader);
    return ok;
}

/* ---- one chunk ------------------------------------------------------------------------------------------------- */

/* The mark is the first thing read: it makes the snapshot. A prefix of the log is what the snapshot saw. */
static bool begin_snapshot(struct gw_reader *reader, const struct gw_collection *collection, struct gw_mark *mark,
                           struct gw_error *err)
{
    int64_t newest = 0;
    if (!gw_lite_exec(reader->conn, "BEGIN", err) || !gw_lite_newest(reader->conn, &newest, err) ||
        !gw_lite_table_for(reader->conn, collection, &reader->table, err))
        return false;
    *mark = (struct gw_mark){.low = (uint64_t)newest + 1, .high = (uint64_t)newest + 1};
    reader->columns = collection->column_count;
    return true;
}

static bool select_rows(struct gw_reader *reader, const struct gw_range *range, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT ");
    gw_lite_add_column_list(&sql, reader->table, reader->columns);
    gw_buf_adds(&sql, " FROM main.");
    gw_lite_add_ident(&sql, reader->table->name);
    if (reader->table->key_count > 0) {
        gw_lite_add_range(&sql, reader->table, range);
        gw_lite_add_order(&sql, reader->table);
    }
    gw_buf_adds(&sql, " LIMIT -1 OFFSET coalesce(:read, 0)"); /* see let_large_go */
    reader->read = 0;
    return gw_lite_prepare(reader->conn, gw_buf_text(&sql), &reader->rows, err) &&
           (reader->table->key_count == 0 || gw_lite_bind_range(reader->rows, range, err));
}

static bool reader_begin(struct gw_reader *reader, const struct gw_collection *collection, const struct gw_range *range,
                         struct gw_mark *mark, struct gw_error *err)
{
    let_go(reader);
    reader->at_end = false;
    if (begin_snapshot(reader, collection, mark, err) && select_rows(reader, range, err))
        return true;
    let_go(reader);
    return false;
}

/* The library keeps the values of a row until the next step, which comes when the block has gone its way: of a large row
 * that is a second copy for all that time. The same statement from here on gives the same rows: the snapshot stands. */
static bool let_large_go(struct gw_reader *reader, struct gw_error *err)
{
    sqlite3_reset(reader->rows);
    int place = sqlite3_bind_parameter_index(reader->rows, ":read");
    return sqlite3_bind_int64(reader->rows, place, (int64_t)reader->read) == SQLITE_OK ||
           gw_fail(err, GW_ERR_BUG, "the rows of %s have no place to go on from", reader->table->name);
}

static bool is_large(const struct gw_reader *reader)
{
    size_t bytes = 0;
    for (size_t c = 0; c < reader->columns; c++) {
        int type = sqlite3_column_type(reader->rows, (int)c);
        if (type == SQLITE_TEXT || type == SQLITE_BLOB) /* the length of a number would make a text of it */
            bytes += (size_t)sqlite3_column_bytes(reader->rows, (int)c);
    }
    return bytes >= LARGE_BYTES;
}

static bool take_row(struct gw_reader *reader, struct gw_error *err)
{
    static pthread_mutex_t large_rows = PTHREAD_MUTEX_INITIALIZER; /* there twice: one at a time in this process */
    bool large = is_large(reader), ok = true;
    if (large)
        pthread_mutex_lock(&large_rows);
    for (size_t c = 0; c < reader->columns; c++)
        gw_lite_pack_column(&reader->block, reader->rows, (int)c);
    reader->read++;
    if (large) {
        ok = let_large_go(reader, err);
        pthread_mutex_unlock(&large_rows);
    }
    return ok;
}

static bool reader_next(struct gw_reader *reader, struct gw_block *block, struct gw_error *err)
{
    *block = (struct gw_block){0};
    gw_buf_shrink(&reader->block, BLOCK_BYTES * 2);
    while (!reader->at_end && reader->block.len < BLOCK_BYTES) {
        bool row = false;
        if (!gw_lite_step(reader->conn, reader->rows, &row, err))
            return false;
        if (!row) {
            reader->at_end = true;
            break;
        }
        if (!take_row(reader, err))
            return false;
        block->rows++;
    }
    block->bytes = reader->block.data;
    block->len = reader->block.len;
    return true;
}

static bool reader_end(struct gw_reader *reader, struct gw_error *err)
{
    (void)err;
    let_go(reader);
    return true;
}

/* ---- refetch --------------------------------------------------------------------------------------------------- */

static bool fetch_one(struct gw_reader *reader, const struct gw_row *key, bool *found, struct gw_row *row,
                      struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT ");
    gw_lite_add_column_list(&sql, reader->table, reader->columns);
    gw_buf_adds(&sql, " FROM main.");
    gw_lite_add_ident(&sql, reader->table->name);
    gw_buf_adds(&sql, " WHERE ");
    gw_lite_add_equals(&sql, reader->table, 1);
    if (!gw_lite_prepare(reader->conn, gw_buf_text(&sql), &statement, err))
        return false;
    for (uint32_t i = 0; i < key->count; i++)
        if (!gw_lite_bind_value(statement, (int)i + 1, &key->values[i]))
            return gw_fail(err, GW_ERR_BUG, "a key value of %s that is none", reader->table->name);
    if (!gw_lite_step(reader->conn, statement, found, err))
        return false;
    if (!*found)
        return true;
    gw_arena_reset(&reader->arena);
    struct gw_value *values = gw_arena_alloc(&reader->arena, reader->columns * sizeof *values);
    for (size_t c = 0; c < reader->columns; c++)
        values[c] = gw_lite_value_of(statement, (int)c, &reader->arena);
    *row = (struct gw_row){.count = (uint32_t)reader->columns, .values = values};
    return true;
}

static bool reader_refetch(struct gw_reader *reader, const struct gw_collection *collection, const struct gw_row *key,
                           struct gw_mark *mark, bool *found, struct gw_row *row, struct gw_error *err)
{
    let_go(reader);
    if (collection->key_count == 0)
        return gw_fail(err, GW_ERR_BUG, "%s has no key to fetch a row by", gw_collection_label(collection));
    bool ok = begin_snapshot(reader, collection, mark, err) && fetch_one(reader, key, found, row, err);
    let_go(reader);
    return ok;
}

const struct gw_reader_facet gw_lite_reader = {
    .open = reader_open,
    .close = reader_close,
    .split = reader_split,
    .begin = reader_begin,
    .next = reader_next,
    .end = reader_end,
    .refetch = reader_refetch,
};
