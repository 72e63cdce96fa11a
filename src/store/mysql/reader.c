/* Chunks out: a short transaction each, rows passed on as the server gives them. */
#include "store/mysql/reader.h"

#include "base/crash.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/mysql/row.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 65536

/* ---- session --------------------------------------------------------------------------------------------------- */

static void end_rows(struct gw_mysql_reader *r)
{
    if (!r->rows)
        return;
    gw_mysql_enter(r->conn);
    mysql_free_result(r->rows); /* reads what is left */
    r->rows = NULL;
}

static void reader_close(struct gw_reader *reader)
{
    struct gw_mysql_reader *r = gw_mysql_reader_of(reader);
    if (!r)
        return;
    /* The rest of a chunk that is given up is not waited for: the connection ends. */
    if (r->rows)
        r->rows->handle = NULL;
    end_rows(r);
    gw_mysql_close(r->conn);
    gw_mysql_close(r->locker);
    gw_mysql_forms_free(r->forms, r->field_count);
    free(r->fields);
    gw_buf_release(&r->block);
    gw_arena_release(&r->arena);
    free(r);
}

static bool refuse_standby(struct gw_mysql_store *store, struct gw_error *err)
{
    gw_fail(err, GW_ERR_UNSUPPORTED, "server is read-only: a replica, whose owner is another server");
    gw_error_hint(err, "give the address of the primary");
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

static bool reader_open(struct gw_store *base, struct gw_reader **out, struct gw_error *err)
{
    struct gw_mysql_store *store = gw_mysql_store_of(base);
    if (base->identity.in_recovery)
        return refuse_standby(store, err);
    struct gw_mysql_reader *r = gw_zalloc(sizeof *r);
    r->store = store;
    if (!gw_mysql_connect(store, "copy", &r->conn, err)) {
        free(r);
        return false;
    }
    *out = (struct gw_reader *)r;
    return true;
}

static uint64_t shape_of(const struct gw_collection *c)
{
    uint64_t hash = gw_hash64(c->name, strlen(c->name), c->column_count);
    for (size_t i = 0; i < c->column_count; i++)
        hash = gw_hash64(c->columns[i].type, strlen(c->columns[i].type), hash + c->columns[i].generated);
    return hash;
}

void gw_mysql_reader_know(struct gw_mysql_reader *r, const struct gw_collection *c)
{
    uint64_t shape = shape_of(c);
    if (r->collection == c && r->shape == shape)
        return;
    gw_mysql_forms_free(r->forms, r->field_count);
    r->collection = c;
    r->shape = shape;
    r->forms = gw_mysql_forms_of(c);
    r->field_count = c->column_count;
    free(r->fields);
    r->fields = gw_calloc(c->column_count + 1, sizeof *r->fields);
    r->written_count = 0;
    for (size_t i = 0; i < c->column_count; i++)
        if (!c->columns[i].generated)
            r->fields[r->written_count++] = i;
}

/* The transaction is given back so that the next chunk can begin; what failed has been said. */
static bool give_up(struct gw_mysql_reader *r)
{
    struct gw_error ignored;
    if (!r->conn->broken)
        end_rows(r);
    if (r->rows) {
        r->rows->handle = NULL;
        end_rows(r);
    }
    if (r->in_transaction && !r->conn->broken && !gw_mysql_exec(r->conn, "ROLLBACK", &ignored))
        r->conn->broken = true;
    r->in_transaction = false;
    r->state = GW_MYSQL_READ_NOTHING;
    return false;
}

/* ---- a chunk --------------------------------------------------------------------------------------------------- */

static bool begin_rows(struct gw_mysql_reader *r, const struct gw_collection *c, const struct gw_range *range,
                       struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT ");
    gw_mysql_add_select(&sql, c, r->forms);
    gw_buf_adds(&sql, " FROM ");
    gw_mysql_add_table(&sql, c);
    gw_mysql_add_force(&sql, c);
    gw_buf_adds(&sql, " WHERE ");
    return gw_mysql_add_range(&sql, c, r->forms, range, err) && gw_mysql_stream(r->conn, &sql, &r->rows, err);
}

static bool reader_begin(struct gw_reader *reader, const struct gw_collection *c, const struct gw_range *range,
                         struct gw_mark *mark, struct gw_error *err)
{
    struct gw_mysql_reader *r = gw_mysql_reader_of(reader);
    struct gw_mark got = {0};
    if (r->state != GW_MYSQL_READ_NOTHING || r->in_transaction)
        give_up(r);
    gw_mysql_reader_know(r, c);
    if (r->written_count == 0)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "%s has no column that is not computed", gw_collection_label(c));
    if (!gw_mysql_reader_enter(r, c, &got, err))
        return give_up(r);
    GW_CRASH_POINT("reader.after_mark");
    if (!begin_rows(r, c, range, err))
        return give_up(r);
    r->state = GW_MYSQL_READ_ROWS;
    *mark = got;
    return true;
}

void gw_mysql_native(const struct gw_mysql_form *form, const char **text, size_t *len, char number[32])
{
    if (form->kind == GW_MYSQL_FLOAT) {
        *len = gw_mysql_float_text((float)strtod(*text, NULL), number);
        *text = number;
    } else if (form->zerofill && gw_mysql_is_number(form)) {
        while (*len > 1 && **text == '0' && (*text)[1] >= '0' && (*text)[1] <= '9')
            (*text)++, (*len)--;
    }
}

static void put_value(struct gw_buf *out, const struct gw_mysql_form *form, const char *text, size_t len)
{
    char number[32];
    gw_mysql_native(form, &text, &len, number);
    gw_mysql_row_put(out, text, len);
}

static bool fill(struct gw_mysql_reader *r, struct gw_block *block, struct gw_error *err)
{
    unsigned count = mysql_num_fields(r->rows);
    gw_buf_shrink(&r->block, BLOCK_BYTES * 4);
    while (r->block.len < BLOCK_BYTES) {
        MYSQL_ROW row = mysql_fetch_row(r->rows);
        if (!row) {
            if (!gw_mysql_rows_ended(r->conn, err))
                return false;
            r->state = GW_MYSQL_READ_DONE;
            break;
        }
        const unsigned long *lengths = mysql_fetch_lengths(r->rows);
        for (unsigned i = 0; i < count; i++)
            if (row[i])
                put_value(&r->block, &r->forms[r->fields[i]], row[i], lengths[i]);
            else
                gw_mysql_row_put_null(&r->block);
        block->rows++;
    }
    block->bytes = r->block.data;
    block->len = r->block.len;
    return true;
}

static bool reader_next(struct gw_reader *reader, struct gw_block *block, struct gw_error *err)
{
    struct gw_mysql_reader *r = gw_mysql_reader_of(reader);
    struct gw_block got = {0};
    if (r->state == GW_MYSQL_READ_NOTHING)
        return gw_fail(err, GW_ERR_BUG, "no chunk is open");
    gw_mysql_enter(r->conn);
    if (r->state == GW_MYSQL_READ_ROWS && !fill(r, &got, err))
        return give_up(r);
    *block = got;
    return true;
}

static bool reader_end(struct gw_reader *reader, struct gw_error *err)
{
    struct gw_mysql_reader *r = gw_mysql_reader_of(reader);
    if (r->state != GW_MYSQL_READ_DONE)
        return gw_fail(err, GW_ERR_BUG, "a chunk is ended before it was read to its end");
    end_rows(r);
    r->state = GW_MYSQL_READ_NOTHING;
    return gw_mysql_reader_leave(r, err);
}

/* ---- refetch --------------------------------------------------------------------------------------------------- */

static bool add_key_equals(struct gw_buf *sql, struct gw_mysql_reader *r, const struct gw_collection *c,
                           const struct gw_row *key, struct gw_error *err)
{
    for (size_t i = 0; i < c->key_count; i++) {
        const struct gw_mysql_form *form = &r->forms[c->key[i]];
        gw_autofree char *text = gw_mysql_bound_of_value(form, &key->values[i]);
        gw_buf_adds(sql, i ? " AND " : "");
        gw_mysql_add_comparable(sql, &c->columns[c->key[i]], form);
        gw_buf_addc(sql, '=');
        if (!gw_mysql_add_bound(sql, form, text, err))
            return false;
    }
    return true;
}

void gw_mysql_take_row(const struct gw_collection *c, const struct gw_mysql_form *forms, MYSQL_ROW row,
                       const unsigned long *lengths, struct gw_arena *arena, struct gw_row *out)
{
    struct gw_value *values = gw_arena_zalloc(arena, (c->column_count + 1) * sizeof *values);
    for (size_t i = 0, n = 0; i < c->column_count; i++) {
        char number[32];
        if (c->columns[i].generated) {
            values[i].kind = GW_VALUE_ABSENT;
            continue;
        }
        if (row[n]) {
            const char *text = row[n];
            size_t len = lengths[n];
            gw_mysql_native(&forms[i], &text, &len, number);
            values[i] = (struct gw_value){
                .kind = forms[i].value_kind, .len = (uint32_t)len, .bytes = gw_arena_dup(arena, text, len)};
        }
        n++;
    }
    *out = (struct gw_row){.count = (uint32_t)c->column_count, .values = values};
}

static bool select_row(struct gw_mysql_reader *r, const struct gw_collection *c, const struct gw_row *key, bool *found,
                       struct gw_row *row, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    MYSQL_RES *result;
    gw_buf_adds(&sql, "SELECT ");
    gw_mysql_add_select(&sql, c, r->forms);
    gw_buf_adds(&sql, " FROM ");
    gw_mysql_add_table(&sql, c);
    gw_mysql_add_force(&sql, c);
    gw_buf_adds(&sql, " WHERE ");
    if (!add_key_equals(&sql, r, c, key, err) || !gw_mysql_query(r->conn, gw_buf_text(&sql), &result, err))
        return false;
    MYSQL_ROW got = mysql_fetch_row(result);
    *found = got != NULL;
    if (got)
        gw_mysql_take_row(c, r->forms, got, mysql_fetch_lengths(result), &r->arena, row);
    bool unique = mysql_num_rows(result) <= 1;
    mysql_free_result(result);
    return unique || gw_fail(err, GW_ERR_CONFLICT, "%s has more than one row of the same key", gw_collection_label(c));
}

static bool reader_refetch(struct gw_reader *reader, const struct gw_collection *c, const struct gw_row *key,
                           struct gw_mark *mark, bool *found, struct gw_row *row, struct gw_error *err)
{
    struct gw_mysql_reader *r = gw_mysql_reader_of(reader);
    struct gw_mark got = {0};
    if (c->key_kind == GW_KEY_NONE)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "a row of %s cannot be read again: the table has no key",
                       gw_collection_label(c));
    if (r->state != GW_MYSQL_READ_NOTHING || r->in_transaction)
        give_up(r);
    gw_mysql_reader_know(r, c);
    gw_arena_reset(&r->arena);
    if (!gw_mysql_reader_enter(r, c, &got, err) || !select_row(r, c, key, found, row, err) ||
        !gw_mysql_reader_leave(r, err))
        return give_up(r);
    *mark = got;
    return true;
}

const struct gw_reader_facet gw_mysql_reader = {
    .open = reader_open,
    .close = reader_close,
    .split = gw_mysql_reader_split,
    .begin = reader_begin,
    .next = reader_next,
    .end = reader_end,
    .refetch = reader_refetch,
};
