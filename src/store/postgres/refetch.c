/* A row read again: a one-row chunk with its own mark. */
#include "store/postgres/keys.h"
#include "store/postgres/reader.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static bool add_query(const struct gw_collection *c, struct gw_buf *sql)
{
    gw_buf_adds(sql, "SELECT ");
    size_t count = gw_pg_add_columns(sql, c);
    gw_buf_adds(sql, " FROM ONLY ");
    gw_pg_add_table(sql, c);
    gw_buf_adds(sql, " t WHERE ");
    for (size_t i = 0; i < c->key_count; i++) {
        const struct gw_column *column = &c->columns[c->key[i]];
        gw_buf_adds(sql, i ? " AND t." : "t.");
        gw_pg_add_ident(sql, column->name);
        gw_buf_addf(sql, " = $%zu::%s", i + 1, column->type);
    }
    return count > 0;
}

/* The key's values as parameters; text ones get their NUL from the arena. */
static bool send(struct gw_pg_reader *r, const struct gw_collection *c, const struct gw_row *key, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    const char **values = gw_arena_zalloc(&r->arena, c->key_count * sizeof *values);
    int *lengths = gw_arena_zalloc(&r->arena, c->key_count * sizeof *lengths);
    int *formats = gw_arena_zalloc(&r->arena, c->key_count * sizeof *formats);
    for (size_t i = 0; i < c->key_count; i++) {
        const struct gw_value *v = &key->values[i];
        if (v->kind != GW_VALUE_TEXT && v->kind != GW_VALUE_BINARY)
            return gw_fail(err, GW_ERR_BUG, "a key of %s to read again is not complete", gw_collection_label(c));
        values[i] = gw_arena_dup(&r->arena, v->bytes ? (const void *)v->bytes : "", v->len);
        lengths[i] = (int)v->len;
        formats[i] = v->kind == GW_VALUE_BINARY;
    }
    add_query(c, &sql);
    if (!PQsendQueryParams(r->conn, gw_buf_text(&sql), (int)c->key_count, NULL, values, lengths, formats,
                           c->all_binary_safe))
        return gw_pg_fail(r->store, r->conn, NULL, "reading a row again", err);
    return true;
}

static bool receive(struct gw_pg_reader *r, const struct gw_collection *c, struct gw_error *err)
{
    PGresult *result = NULL;
    while (gw_pg_next_result(r->store, r->conn, &result, err)) {
        if (!result)
            return true;
        if (PQresultStatus(result) != PGRES_TUPLES_OK) {
            gw_pg_fail(r->store, r->conn, result, "reading a row again", err);
            PQclear(result);
            return false;
        }
        if (PQntuples(result) > 1) {
            PQclear(result);
            return gw_fail(err, GW_ERR_CONFLICT, "%s has more than one row of the same key", gw_collection_label(c));
        }
        PQclear(r->refetched);
        r->refetched = result;
    }
    return false;
}

void gw_pg_take_row(const PGresult *result, int tuple, int field, const struct gw_collection *c,
                    struct gw_value *values)
{
    for (size_t i = 0; i < c->column_count; i++) {
        values[i] = (struct gw_value){.kind = c->columns[i].generated ? GW_VALUE_ABSENT : GW_VALUE_NULL};
        if (c->columns[i].generated)
            continue;
        if (!PQgetisnull(result, tuple, field)) {
            values[i].kind = c->all_binary_safe ? GW_VALUE_BINARY : GW_VALUE_TEXT;
            values[i].bytes = (const unsigned char *)PQgetvalue(result, tuple, field);
            values[i].len = (uint32_t)PQgetlength(result, tuple, field);
        }
        field++;
    }
}

static bool read_row(struct gw_pg_reader *r, const struct gw_collection *c, const struct gw_row *key,
                     struct gw_mark *mark, struct gw_error *err)
{
    struct gw_mark got = {0};
    int64_t toast_bytes;
    if (!gw_pg_reader_enter(r, c, &got, &toast_bytes, err))
        return false;
    if (!send(r, c, key, err) || !receive(r, c, err) || !gw_pg_reader_leave(r, err)) {
        gw_mark_release(&got);
        return false;
    }
    *mark = got;
    return true;
}

bool gw_pg_reader_refetch(struct gw_reader *reader, const struct gw_collection *c, const struct gw_row *key,
                          struct gw_mark *mark, bool *found, struct gw_row *row, struct gw_error *err)
{
    struct gw_pg_reader *r = gw_pg_reader_of(reader);
    struct gw_error ignored;
    if (c->key_kind == GW_KEY_NONE)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "a row of %s cannot be read again: the table has no key",
                       gw_collection_label(c));
    if (key->count != c->key_count)
        return gw_fail(err, GW_ERR_BUG, "a key of %s has %u values", gw_collection_label(c), key->count);
    gw_arena_reset(&r->arena);
    PQclear(r->refetched);
    r->refetched = NULL;
    if (!read_row(r, c, key, mark, err)) {
        if (r->in_transaction && PQtransactionStatus(r->conn) != PQTRANS_ACTIVE && PQstatus(r->conn) == CONNECTION_OK &&
            gw_pg_exec(r->store, r->conn, "ROLLBACK", &ignored))
            r->in_transaction = false;
        return false;
    }
    *found = PQntuples(r->refetched) == 1;
    if (*found) {
        row->count = (uint32_t)c->column_count;
        row->values = gw_arena_zalloc(&r->arena, c->column_count * sizeof *row->values);
        gw_pg_take_row(r->refetched, 0, 0, c, row->values);
    }
    return true;
}
