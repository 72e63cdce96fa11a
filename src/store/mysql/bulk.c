/*
 * Rows in by one prepared INSERT with many rows of values (COM_STMT_BULK_EXECUTE, MariaDB 10.2 on): the server parses
 * neither a statement nor a text for them, which is a third of its work for a load.
 *
 * Values are bound as the strings that they are natively (column.h), those that are bytes as bytes.
 */
#include "store/mysql/row.h"
#include "store/mysql/writer.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define GATHER_BYTES ((size_t)256 << 10) /* run when so much is gathered */
#define PLACES 32768                     /* values that are bound at once */

struct gw_mysql_bulk {
    MYSQL_STMT *statement;
    const struct gw_mysql_target *target; /* whose statement it is */
    unsigned columns;                     /* that are written */
    uint32_t most;                        /* rows at once */
    MYSQL_BIND *binds;
    char **at;
    unsigned long *lengths;
    char *indicators;
    struct gw_buf rows; /* gathered blocks */
};

static void forget(struct gw_mysql_bulk *b)
{
    if (b->statement)
        mysql_stmt_close(b->statement);
    free(b->binds);
    free(b->at);
    free(b->lengths);
    free(b->indicators);
    *b = (struct gw_mysql_bulk){.rows = b->rows};
}

void gw_mysql_bulk_free(struct gw_mysql_writer *w)
{
    if (!w->bulk)
        return;
    forget(w->bulk);
    gw_buf_release(&w->bulk->rows);
    free(w->bulk);
    w->bulk = NULL;
}

void gw_mysql_bulk_clear(struct gw_mysql_writer *w)
{
    if (w->bulk)
        gw_buf_clear(&w->bulk->rows);
}

bool gw_mysql_bulk_can(struct gw_mysql_writer *w)
{
    unsigned long more = 0; /* the upper half of the capabilities */
    return mariadb_connection(w->conn->my) &&
           mariadb_get_infov(w->conn->my, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &more) == 0 &&
           (more & (MARIADB_CLIENT_STMT_BULK_OPERATIONS >> 32)) != 0;
}

/* ---- the statement --------------------------------------------------------------------------------------------- */

static void make_room(struct gw_mysql_bulk *b, const struct gw_collection *c, const struct gw_mysql_target *t)
{
    for (size_t i = 0; i < c->column_count; i++)
        b->columns += !c->columns[i].generated;
    b->most = b->columns > PLACES / 16 ? 16 : PLACES / b->columns;
    size_t places = (size_t)b->most * b->columns;
    b->binds = gw_calloc(b->columns, sizeof *b->binds);
    b->at = gw_calloc(places, sizeof *b->at);
    b->lengths = gw_calloc(places, sizeof *b->lengths);
    b->indicators = gw_calloc(places, 1);
    for (size_t i = 0, n = 0; i < c->column_count; i++) {
        if (c->columns[i].generated)
            continue;
        MYSQL_BIND *bind = &b->binds[n];
        bind->buffer_type = t->forms[i].value_kind == GW_VALUE_BINARY ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING;
        bind->buffer = b->at + n * b->most;
        bind->length = b->lengths + n * b->most;
        bind->u.indicator = b->indicators + n * b->most;
        n++;
    }
}

static bool prepare(struct gw_mysql_writer *w, struct gw_error *err)
{
    struct gw_mysql_bulk *b = w->bulk;
    const struct gw_mysql_target *target = gw_mysql_target_of(w, w->loading);
    gw_autobuf struct gw_buf sql = {0};
    if (b->target == target)
        return true;
    forget(b);
    make_room(b, w->loading, target);
    gw_buf_adds(&sql, "INSERT INTO ");
    gw_mysql_add_table(&sql, w->loading);
    gw_buf_adds(&sql, " (");
    gw_mysql_add_columns(&sql, w->loading);
    gw_buf_adds(&sql, ") VALUES (");
    for (unsigned i = 0; i < b->columns; i++)
        gw_buf_adds(&sql, i ? ",?" : "?");
    gw_buf_addc(&sql, ')');
    gw_mysql_enter(w->conn);
    b->statement = mysql_stmt_init(w->conn->my);
    if (!b->statement)
        return gw_fail(err, GW_ERR_RESOURCE, "no memory for a statement");
    if (mysql_stmt_prepare(b->statement, gw_buf_text(&sql), sql.len) != 0)
        return gw_mysql_stmt_fail(w->conn, b->statement, "preparing a load", err);
    b->target = target;
    return true;
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

/* Places the values of as many rows as fit; false: the bytes end within a row. */
static bool place_rows(struct gw_mysql_bulk *b, const unsigned char **at, const unsigned char *end, uint32_t *rows)
{
    for (*rows = 0; *at < end && *rows < b->most; (*rows)++) {
        for (size_t i = 0; i < b->columns; i++) {
            size_t place = i * b->most + *rows, len;
            const unsigned char *bytes;
            if (!gw_mysql_row_get(at, end, &bytes, &len))
                return false;
            b->at[place] = (char *)(uintptr_t)(bytes ? bytes : (const unsigned char *)"");
            b->lengths[place] = len;
            b->indicators[place] = bytes ? STMT_INDICATOR_NONE : STMT_INDICATOR_NULL;
        }
    }
    return true;
}

static bool execute(struct gw_mysql_writer *w, uint32_t rows, struct gw_error *err)
{
    struct gw_mysql_bulk *b = w->bulk;
    unsigned count = rows;
    gw_mysql_enter(w->conn);
    if (mysql_stmt_attr_set(b->statement, STMT_ATTR_ARRAY_SIZE, &count) != 0 ||
        mysql_stmt_bind_param(b->statement, b->binds) != 0 || mysql_stmt_execute(b->statement) != 0) {
        gw_mysql_stmt_fail(w->conn, b->statement, "loading rows", err);
        return gw_error_place(err, "%s", gw_collection_label(w->loading));
    }
    uint64_t loaded = mysql_stmt_affected_rows(b->statement);
    if ((mysql_stmt_warning_count(b->statement) > 0 || loaded != rows) &&
        !gw_mysql_load_warnings(w, loaded == rows, err))
        return false;
    w->loaded_rows += loaded;
    return true;
}

bool gw_mysql_bulk_flush(struct gw_mysql_writer *w, struct gw_error *err)
{
    struct gw_mysql_bulk *b = w->bulk;
    if (!b || b->rows.len == 0)
        return true;
    if (!prepare(w, err))
        return false;
    const unsigned char *at = (const unsigned char *)b->rows.data, *end = at + b->rows.len;
    while (at < end) {
        uint32_t rows;
        if (!place_rows(b, &at, end, &rows))
            return gw_fail(err, GW_ERR_BUG, "a block of %s ends within a row", gw_collection_label(w->loading));
        if (!execute(w, rows, err))
            return false;
    }
    gw_buf_clear(&b->rows);
    return true;
}

bool gw_mysql_bulk_put(struct gw_mysql_writer *w, const struct gw_block *block, struct gw_error *err)
{
    if (!w->bulk)
        w->bulk = gw_zalloc(sizeof *w->bulk);
    gw_buf_add(&w->bulk->rows, block->bytes, block->len);
    return w->bulk->rows.len < GATHER_BYTES || gw_mysql_bulk_flush(w, err);
}
