/*
 * Chunks in: the checkpoint's row first, then the rows, in one transaction.
 *
 * By a prepared INSERT with many rows of values where the server knows that (bulk.c); large rows, and all rows elsewhere,
 * by LOAD DATA LOCAL from memory where the server allows it, else by statements of many rows. The text LOAD DATA reads is
 * declared utf8mb4: characters come out in each column's own set, and what is not well-formed stays as it is, so that
 * binary strings pass through unchanged (no byte of a character above 127 is one of ours: tab, newline, backslash, NUL).
 * LOCAL makes errors warnings and skips rows: any of both fails the chunk.
 */
#include "store/mysql/row.h"
#include "store/mysql/writer.h"

#include "base/crash.h"
#include "base/mem.h"

#include <errmsg.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_BYTES (4u << 20) /* gathered before the server gets it */
#define BULK_BYTES (1u << 20) /* the largest block that is copied once more for a bulk */

/* Which error came first is what counts. */
static bool fail_load(struct gw_mysql_writer *w)
{
    gw_mysql_writer_rollback(w);
    return false;
}

static void add_checkpoint_sql(const struct gw_checkpoint *checkpoint, struct gw_buf *sql)
{
    gw_autobuf struct gw_buf low = {0};
    gw_autobuf struct gw_buf high = {0};
    gw_autobuf struct gw_buf mark = {0};
    gw_bound_format(&checkpoint->range.low, &low);
    gw_bound_format(&checkpoint->range.high, &high);
    gw_mark_format(&checkpoint->mark, &mark);
    gw_buf_addf(sql,
                "INSERT IGNORE INTO godwit_chunk (id, collection, low, high, mark, row_count, bytes, loaded_at)"
                " VALUES (%llu, %u, ",
                (unsigned long long)checkpoint->chunk, checkpoint->collection);
    gw_mysql_add_text(sql, gw_buf_text(&low), low.len);
    gw_buf_adds(sql, ", ");
    gw_mysql_add_text(sql, gw_buf_text(&high), high.len);
    gw_buf_adds(sql, ", ");
    gw_mysql_add_text(sql, gw_buf_text(&mark), mark.len);
    gw_buf_addf(sql, ", %llu, %llu, UTC_TIMESTAMP(6))", (unsigned long long)checkpoint->rows,
                (unsigned long long)checkpoint->bytes);
}

bool gw_mysql_load_begin(struct gw_writer *writer, const struct gw_collection *c,
                         const struct gw_checkpoint *checkpoint, bool *already, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    gw_autobuf struct gw_buf sql = {0};
    uint64_t inserted = 0;
    if (w->in_transaction)
        return gw_fail(err, GW_ERR_BUG, "a chunk is begun while a transaction is open");
    w->chunk = checkpoint->chunk;
    w->put_bytes = w->loaded_rows = w->buffered_rows = 0;
    w->loading = c;
    gw_buf_clear(&w->load);
    gw_mysql_bulk_clear(w);
    add_checkpoint_sql(checkpoint, &sql);
    w->in_transaction = true;
    if (!gw_mysql_exec(w->conn, "START TRANSACTION", err) || !gw_mysql_exec_counted(w->conn, &sql, &inserted, err))
        return fail_load(w);
    *already = inserted == 0;
    if (*already) {
        gw_mysql_writer_rollback(w);
        return true;
    }
    GW_CRASH_POINT("load.after_checkpoint");
    w->in_chunk = true;
    return true;
}

/* ---- LOAD DATA from memory ------------------------------------------------------------------------------------- */

struct source {
    const char *at, *end;
};
static int source_init(void **data, const char *name, void *arg)
{
    (void)name;
    *data = arg;
    return 0;
}
static int source_read(void *data, char *buffer, unsigned int len)
{
    struct source *s = data;
    size_t left = (size_t)(s->end - s->at);
    size_t n = left < len ? left : len;
    if (n > 0)
        memcpy(buffer, s->at, n);
    s->at += n;
    return (int)n;
}
static void source_end(void *data)
{
    (void)data;
}
static int source_error(void *data, char *text, unsigned int len)
{
    (void)data;
    snprintf(text, len, "the rows cannot be read");
    return CR_UNKNOWN_ERROR;
}

/* A note that the server computed a value with more digits than the generated column keeps: so it does on the other side. */
static bool is_of_generated(const struct gw_collection *c, MYSQL_ROW warning)
{
    if (!warning[0] || strcmp(warning[0], "Note") != 0 || !warning[2])
        return false;
    for (size_t i = 0; i < c->column_count; i++) {
        gw_autofree char *quoted = gw_asprintf("'%s'", c->columns[i].name);
        if (c->columns[i].generated && strstr(warning[2], quoted))
            return true;
    }
    return false;
}

bool gw_mysql_load_warnings(struct gw_mysql_writer *w, bool all, struct gw_error *err)
{
    MYSQL_RES *r;
    gw_autofree char *info = gw_strdup(mysql_info(w->conn->my) ? mysql_info(w->conn->my) : "");
    if (!gw_mysql_query(w->conn, "SHOW WARNINGS", &r, err))
        return false;
    MYSQL_ROW row;
    do
        row = mysql_fetch_row(r);
    while (row && is_of_generated(w->loading, row));
    if (!row && all) {
        mysql_free_result(r);
        return true;
    }
    gw_fail(err, GW_ERR_CONFLICT, "rows of %s do not fit: %s", gw_collection_label(w->loading),
            row ? row[2] : "rows were skipped");
    gw_error_detail(err, "%s", info);
    mysql_free_result(r);
    return gw_error_place(err, "%s", gw_collection_label(w->loading));
}

static bool load_data(struct gw_mysql_writer *w, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct source source = {.at = gw_buf_text(&w->load), .end = gw_buf_text(&w->load) + w->load.len};
    uint64_t rows = 0;
    gw_buf_adds(&sql, "LOAD DATA LOCAL INFILE 'godwit' INTO TABLE ");
    gw_mysql_add_table(&sql, w->loading);
    gw_buf_adds(&sql, " CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' (");
    gw_mysql_add_columns(&sql, w->loading);
    gw_buf_adds(&sql, ")");
    mysql_set_local_infile_handler(w->conn->my, source_init, source_read, source_end, source_error, &source);
    bool fine = gw_mysql_exec_counted(w->conn, &sql, &rows, err);
    if (!fine)
        return gw_error_place(err, "%s", gw_collection_label(w->loading));
    bool all = rows == w->buffered_rows;
    if ((mysql_warning_count(w->conn->my) > 0 || !all) && !gw_mysql_load_warnings(w, all, err))
        return false;
    w->loaded_rows += rows;
    return true;
}

static void add_escaped(struct gw_buf *out, const unsigned char *bytes, size_t len)
{
    static const char names[256] = {['\\'] = '\\', ['\t'] = 't', ['\n'] = 'n', [0] = '0'};
    gw_buf_reserve(out, len * 2 + 1);
    char *to = out->data + out->len;
    for (size_t i = 0; i < len; i++) {
        char name = names[bytes[i]];
        if (name) {
            *to++ = '\\';
            *to++ = name;
        } else {
            *to++ = (char)bytes[i];
        }
    }
    out->len = (size_t)(to - out->data);
    *to = 0;
}

static bool bad_block(struct gw_mysql_writer *w, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_BUG, "a block of %s ends within a row", gw_collection_label(w->loading));
}

static bool gather_text(struct gw_mysql_writer *w, const unsigned char **at, const unsigned char *end,
                        const struct gw_collection *c, struct gw_error *err)
{
    bool first = true;
    for (size_t i = 0; i < c->column_count; i++) {
        const unsigned char *bytes = NULL;
        size_t len;
        if (c->columns[i].generated)
            continue;
        if (!gw_mysql_row_get(at, end, &bytes, &len))
            return bad_block(w, err);
        if (!first)
            gw_buf_addc(&w->load, '\t');
        first = false;
        if (bytes)
            add_escaped(&w->load, bytes, len);
        else
            gw_buf_adds(&w->load, "\\N");
    }
    gw_buf_addc(&w->load, '\n');
    w->buffered_rows++;
    return true;
}

/* ---- statements of many rows ----------------------------------------------------------------------------------- */

static bool gather_statement(struct gw_mysql_writer *w, const unsigned char **at, const unsigned char *end,
                             const struct gw_collection *c, const struct gw_mysql_target *t, struct gw_error *err)
{
    bool first = true;
    if (w->load.len == 0) {
        gw_buf_adds(&w->load, "INSERT INTO ");
        gw_mysql_add_table(&w->load, c);
        gw_buf_adds(&w->load, " (");
        gw_mysql_add_columns(&w->load, c);
        gw_buf_adds(&w->load, ") VALUES (");
    } else {
        gw_buf_adds(&w->load, ",(");
    }
    for (size_t i = 0; i < c->column_count; i++) {
        struct gw_value value = {0};
        size_t len;
        if (c->columns[i].generated)
            continue;
        if (!gw_mysql_row_get(at, end, &value.bytes, &len))
            return bad_block(w, err);
        value.len = (uint32_t)len;
        value.kind = value.bytes ? t->forms[i].value_kind : GW_VALUE_NULL;
        if (!first)
            gw_buf_addc(&w->load, ',');
        first = false;
        gw_mysql_add_value(&w->load, &t->forms[i], &value);
    }
    gw_buf_addc(&w->load, ')');
    w->buffered_rows++;
    return true;
}

static bool insert_rows(struct gw_mysql_writer *w, struct gw_error *err)
{
    uint64_t rows = 0;
    if (!gw_mysql_exec_counted(w->conn, &w->load, &rows, err))
        return gw_error_place(err, "%s", gw_collection_label(w->loading));
    if (rows != w->buffered_rows)
        return gw_fail(err, GW_ERR_CONFLICT, "%s took %llu rows of %llu", gw_collection_label(w->loading),
                       (unsigned long long)rows, (unsigned long long)w->buffered_rows);
    w->loaded_rows += rows;
    return true;
}

static bool flush(struct gw_mysql_writer *w, struct gw_error *err)
{
    if (!gw_mysql_bulk_flush(w, err))
        return false;
    if (w->buffered_rows == 0)
        return true;
    bool fine = w->store->local_infile ? load_data(w, err) : insert_rows(w, err);
    w->buffered_rows = 0;
    gw_buf_clear(&w->load);
    gw_buf_shrink(&w->load, LOAD_BYTES * 2);
    return fine;
}

static size_t flush_bytes(const struct gw_mysql_writer *w)
{
    size_t most = w->store->max_packet_bytes / 2;
    if (w->store->local_infile)
        return LOAD_BYTES;
    return most < GW_MYSQL_TEXT_BYTES ? most : GW_MYSQL_TEXT_BYTES;
}

bool gw_mysql_load_put(struct gw_writer *writer, const struct gw_block *block, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    const unsigned char *at = block->bytes, *end = at + block->len;
    if (!w->in_chunk)
        return gw_fail(err, GW_ERR_BUG, "rows are put outside a chunk");
    w->put_bytes += block->len;
    if (w->bulk_can && block->len <= BULK_BYTES)
        return gw_mysql_bulk_put(w, block, err) || fail_load(w);
    const struct gw_mysql_target *target = gw_mysql_target_of(w, w->loading);
    size_t most = flush_bytes(w);
    while (at < end) {
        bool fine = w->store->local_infile ? gather_text(w, &at, end, w->loading, err)
                                           : gather_statement(w, &at, end, w->loading, target, err);
        if (!fine || (w->load.len >= most && !flush(w, err)))
            return fail_load(w);
    }
    return true;
}

bool gw_mysql_load_commit(struct gw_writer *writer, uint64_t *rows, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    if (!w->in_chunk)
        return gw_fail(err, GW_ERR_BUG, "no chunk is open to be committed");
    if (!flush(w, err))
        return fail_load(w);
    GW_CRASH_POINT("load.before_commit");
    if (!gw_mysql_execf(w->conn, err, "UPDATE godwit_chunk SET row_count = %llu, bytes = %llu WHERE id = %llu; COMMIT",
                        (unsigned long long)w->loaded_rows, (unsigned long long)w->put_bytes,
                        (unsigned long long)w->chunk))
        return fail_load(w);
    w->in_chunk = w->in_transaction = false;
    GW_CRASH_POINT("load.after_commit");
    *rows = w->loaded_rows;
    return true;
}

/* ---- checkpoints ----------------------------------------------------------------------------------------------- */

static bool take_checkpoint(MYSQL_ROW row, struct gw_checkpoint *out, struct gw_error *err)
{
    out->chunk = strtoull(row[0], NULL, 10);
    out->collection = (uint32_t)strtoul(row[1], NULL, 10);
    out->rows = strtoull(row[5], NULL, 10);
    out->bytes = strtoull(row[6], NULL, 10);
    return gw_bound_parse(row[2], &out->range.low, err) && gw_bound_parse(row[3], &out->range.high, err) &&
           gw_mark_parse(row[4], &out->mark, err);
}

static bool query_checkpoints(struct gw_mysql_store *store, MYSQL_RES **out, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    *out = NULL;
    if (!gw_mysql_borrow(store, &conn, err))
        return false;
    bool fine =
        gw_mysql_query(conn, "SELECT id, collection, low, high, mark, row_count, bytes FROM godwit_chunk ORDER BY id",
                       out, err) ||
        (gw_mysql_errno(conn) == 1146 /* no such table */ && !conn->broken);
    gw_mysql_return(conn, !fine);
    return fine;
}

bool gw_mysql_load_checkpoints(struct gw_store *base, struct gw_checkpoint **out, size_t *count, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!query_checkpoints(gw_mysql_store_of(base), &r, err))
        return false;
    size_t rows = r ? (size_t)mysql_num_rows(r) : 0, n = 0;
    struct gw_checkpoint *all = gw_calloc(rows + 1, sizeof *all);
    bool fine = true;
    while (fine && r && (row = mysql_fetch_row(r)))
        fine = take_checkpoint(row, &all[n++], err);
    mysql_free_result(r);
    if (!fine) {
        for (size_t i = 0; i < rows; i++)
            gw_checkpoint_release(&all[i]);
        free(all);
        return false;
    }
    *out = all;
    *count = rows;
    return true;
}
