/* Rows as they are in the open transaction: by their keys, as arrays; by anything else, one query for each. */
#include "store/postgres/apply.h"
#include "store/postgres/keys.h"
#include "store/postgres/reader.h"

#include "base/mem.h"

#include <stdlib.h>

#define ARRAY_ROWS 2000

struct look {
    struct gw_pg_writer *w;
    const struct gw_collection *c;
    const struct gw_pg_target *target;
    const struct gw_row *wanted;
    struct gw_value *values; /* of the row at hand */
    gw_current_visit *visit;
    void *arg;
    bool enough;
};

static bool is_given(const struct look *look, const struct gw_row *wanted, size_t column)
{
    return look->target->columns[column].written && wanted->values[column].kind != GW_VALUE_ABSENT &&
           wanted->values[column].kind != GW_VALUE_UNCHANGED;
}

/* The whole key and nothing else, in a form that arrays give back. */
static bool is_key(const struct look *look, const struct gw_row *wanted)
{
    size_t given = 0;
    for (size_t i = 0; i < look->c->column_count; i++)
        given += is_given(look, wanted, i);
    for (size_t k = 0; k < look->c->key_count; k++) {
        size_t column = look->c->key[k];
        if (!wanted->values[column].bytes || !look->target->columns[column].unnests)
            return false;
    }
    return look->target->has_key_index && look->c->key_count > 0 && given == look->c->key_count;
}

static bool same_forms(const struct look *look, const struct gw_row *a, const struct gw_row *b)
{
    for (size_t k = 0; k < look->c->key_count; k++)
        if (a->values[look->c->key[k]].kind != b->values[look->c->key[k]].kind)
            return false;
    return true;
}

static void add_select(struct look *look, const char *number)
{
    struct gw_buf *sql = &look->w->apply->sql;
    gw_buf_clear(sql);
    gw_pg_parameters_clear(look->w->apply);
    gw_buf_addf(sql, "SELECT %s", number);
    for (size_t i = 0; i < look->c->column_count; i++)
        if (!look->c->columns[i].generated) {
            gw_buf_adds(sql, ", t.");
            gw_pg_add_ident(sql, look->c->columns[i].name);
        }
    gw_buf_adds(sql, " FROM ONLY ");
    gw_pg_add_table(sql, look->c);
    gw_buf_adds(sql, " AS t");
}

/* Rows [from, from + count), whose keys have the same forms. */
static void add_keys(struct look *look, size_t from, size_t count)
{
    struct gw_pg_apply *a = look->w->apply;
    gw_autobuf struct gw_buf names = {0}, condition = {0};
    gw_buf_adds(&a->sql, ", unnest(");
    for (size_t k = 0; k < look->c->key_count; k++) {
        uint32_t column = look->c->key[k];
        const struct gw_pg_target_column *tc = &look->target->columns[column];
        bool binary = look->wanted[from].values[column].kind == GW_VALUE_BINARY;
        struct gw_buf *array = gw_pg_parameter_buffer(a);
        gw_pg_array_build(array, look->wanted + from, count, column, binary, tc->type_id, tc->delimiter);
        gw_pg_parameter_add(a, array->data, array->len, binary, tc->array_id);
        gw_buf_addf(&a->sql, "%s$%zu", k ? ", " : "", k + 1);
        gw_buf_addf(&names, "k%zu, ", k);
        gw_buf_adds(&condition, k ? " AND t." : " WHERE t.");
        gw_pg_add_ident(&condition, look->c->columns[column].name);
        gw_buf_addf(&condition, " %s u.k%zu", tc->equality, k);
    }
    gw_buf_addf(&a->sql, ") WITH ORDINALITY AS u(%snumber)%s ORDER BY u.number", gw_buf_text(&names),
                gw_buf_text(&condition));
}

/* As texts, which every type has: not every one has an equality. */
static void add_likeness(struct look *look, const struct gw_row *wanted)
{
    struct gw_pg_apply *a = look->w->apply;
    bool any = false;
    for (size_t i = 0; i < look->c->column_count; i++) {
        const struct gw_value *v = &wanted->values[i];
        if (!is_given(look, wanted, i))
            continue;
        gw_buf_adds(&a->sql, any ? " AND t." : " WHERE t.");
        any = true;
        gw_pg_add_ident(&a->sql, look->c->columns[i].name);
        if (v->kind == GW_VALUE_NULL) {
            gw_buf_adds(&a->sql, " IS NULL");
            continue;
        }
        gw_pg_parameter_add(a, v->bytes, v->len, v->kind == GW_VALUE_BINARY, look->target->columns[i].type_id);
        gw_buf_addf(&a->sql, "::text OPERATOR(pg_catalog.=) $%d::text", a->parameter_count);
    }
}

static bool take_rows(struct look *look, const PGresult *result, size_t from, struct gw_error *err)
{
    for (int tuple = 0; tuple < PQntuples(result) && !look->enough; tuple++) {
        struct gw_row row = {.count = (uint32_t)look->c->column_count, .values = look->values};
        size_t number = strtoul(PQgetvalue(result, tuple, 0), NULL, 10);
        gw_pg_take_row(result, tuple, 1, look->c, look->values);
        if (!look->visit(look->arg, from + number - 1, &row, &look->enough, err))
            return false;
    }
    return true;
}

static bool receive(struct look *look, size_t from, struct gw_error *err)
{
    struct gw_pg_writer *w = look->w;
    bool fine = true;
    for (;;) {
        PGresult *result = NULL;
        struct gw_error ignored;
        if (!gw_pg_next_result(w->store, w->conn, &result, fine ? err : &ignored))
            return false;
        if (!result)
            return fine;
        ExecStatusType status = PQresultStatus(result);
        if (fine && status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK)
            fine = gw_pg_fail(w->store, w->conn, result, "looking at rows", err);
        fine = fine && take_rows(look, result, from, err);
        PQclear(result);
    }
}

/* `one_by_one`: a look without key may find the whole table.
 * libpq goes on like that for what is sent first in pipeline mode, until something is sent outside of it. */
static bool run(struct look *look, size_t from, bool one_by_one, struct gw_error *err)
{
    struct gw_pg_writer *w = look->w;
    struct gw_pg_apply *a = w->apply;
    if (PQsendQueryParams(w->conn, gw_buf_text(&a->sql), a->parameter_count, a->types, a->values, a->lengths,
                          a->formats, look->c->all_binary_safe) != 1 ||
        (one_by_one && PQsetSingleRowMode(w->conn) != 1))
        return gw_pg_fail(w->store, w->conn, NULL, "looking at rows", err);
    return receive(look, from, err) && (!one_by_one || gw_pg_exec(w->store, w->conn, "SELECT 1", err));
}

static bool look_for(struct look *look, size_t count, struct gw_error *err)
{
    for (size_t from = 0, to; from < count && !look->enough; from = to) {
        to = from + 1;
        bool by_key = is_key(look, &look->wanted[from]);
        if (by_key) {
            while (to < count && to - from < ARRAY_ROWS && is_key(look, &look->wanted[to]) &&
                   same_forms(look, &look->wanted[from], &look->wanted[to]))
                to++;
            add_select(look, "u.number::text"); /* also among binary columns */
            add_keys(look, from, to - from);
        } else {
            add_select(look, "'1'::text");
            add_likeness(look, &look->wanted[from]);
        }
        if (!run(look, from, !by_key, err))
            return false;
    }
    return true;
}

bool gw_pg_apply_current(struct gw_writer *writer, const struct gw_collection *c, const struct gw_row *wanted,
                         size_t count, gw_current_visit *visit, void *arg, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    struct look look = {.w = w, .c = c, .wanted = wanted, .visit = visit, .arg = arg};
    if (!w->in_transaction)
        return gw_fail(err, GW_ERR_BUG, "rows are looked at outside of a transaction");
    bool fine = gw_pg_target_get(w, c, &look.target, err) && gw_pg_pipe_drain(w, err);
    if (fine) {
        look.values = gw_calloc(c->column_count + 1, sizeof *look.values);
        fine = look_for(&look, count, err);
        free(look.values);
    }
    w->failed = w->failed || PQstatus(w->conn) != CONNECTION_OK;
    return fine;
}
