/*
 * The target table as it is on the target: types by its own OIDs (the source's mean nothing here), which columns are
 * written, and the operator by which the key's index compares.
 */
#include "store/postgres/apply.h"
#include "store/postgres/changes.h"
#include "store/postgres/keys.h"

#include "base/mem.h"
#include "sql_embedded.h"

#include <stdlib.h>
#include <string.h>

static void target_free(struct gw_pg_target *t)
{
    for (size_t i = 0; i < t->column_count; i++) {
        free(t->columns[i].cast);
        free(t->columns[i].equality);
    }
    free(t->columns);
    free(t->space);
    free(t->name);
    free(t);
}

void gw_pg_targets_forget(struct gw_pg_apply *a)
{
    for (size_t i = 0; i < a->target_count; i++)
        target_free(a->targets[i]);
    a->target_count = 0;
}

static void read_column(const PGresult *r, int row, struct gw_pg_target_column *column)
{
    bool there = !PQgetisnull(r, row, 0);
    bool composite = *PQgetvalue(r, row, 6) == 't';
    column->type_id = (uint32_t)strtoul(PQgetvalue(r, row, 0), NULL, 10);
    column->array_id = (uint32_t)strtoul(PQgetvalue(r, row, 1), NULL, 10);
    column->delimiter = *PQgetvalue(r, row, 2) ? *PQgetvalue(r, row, 2) : ',';
    column->cast = gw_strdup(PQgetvalue(r, row, 3));
    column->identity_always = *PQgetvalue(r, row, 4) == 'a';
    column->written = there && !*PQgetvalue(r, row, 5);
    column->unnests = column->array_id != 0 && !composite;
    column->equality = gw_strdup(PQgetvalue(r, row, 7));
}

static bool fail_missing(struct gw_pg_writer *w, const struct gw_collection *c, const char *column,
                         struct gw_error *err)
{
    gw_fail(err, GW_ERR_CONFLICT, "column %s of %s is not there on %s", column, gw_collection_label(c),
            gw_side_name(w->store->base.side));
    gw_error_hint(err, "the definitions of the two sides differ: add the column there, as it is on the other side");
    return gw_error_place(err, "%s %s", gw_side_name(w->store->base.side), w->store->base.identity.address);
}

static bool read_columns(struct gw_pg_writer *w, const struct gw_collection *c, const PGresult *r,
                         struct gw_pg_target *t, struct gw_error *err)
{
    if ((size_t)PQntuples(r) != c->column_count)
        return gw_fail(err, GW_ERR_BUG, "columns of %s: %d of %zu answered", gw_collection_label(c), PQntuples(r),
                       c->column_count);
    t->column_count = c->column_count;
    t->columns = gw_calloc(c->column_count ? c->column_count : 1, sizeof *t->columns);
    t->has_key_index = c->key_count > 0;
    for (size_t i = 0; i < c->column_count; i++) {
        struct gw_pg_target_column *column = &t->columns[i];
        read_column(r, (int)i, column);
        if (!column->type_id && !c->columns[i].generated)
            return fail_missing(w, c, c->columns[i].name, err);
        t->moves_identity = t->moves_identity || (column->identity_always && column->written);
        if (c->columns[i].key_position && !*column->equality)
            t->has_key_index = false;
    }
    return true;
}

static bool load(struct gw_pg_writer *w, const struct gw_collection *c, struct gw_pg_target *t, struct gw_error *err)
{
    gw_autobuf struct gw_buf names = {0}, keys = {0};
    gw_pg_array_open(&names);
    gw_pg_array_open(&keys);
    for (size_t i = 0; i < c->column_count; i++)
        gw_pg_array_add(&names, c->columns[i].name, strlen(c->columns[i].name));
    for (size_t k = 0; k < c->key_count; k++)
        gw_pg_array_add(&keys, c->columns[c->key[k]].name, strlen(c->columns[c->key[k]].name));
    gw_pg_array_close(&names);
    gw_pg_array_close(&keys);
    const char *params[4] = {c->space, c->name, gw_buf_text(&names), gw_buf_text(&keys)};
    PGresult *r;
    if (!gw_pg_query(w->store, w->conn, gw_sql_apply_table, 4, params, &r, err))
        return false;
    bool fine = read_columns(w, c, r, t, err);
    PQclear(r);
    return fine;
}

bool gw_pg_target_get(struct gw_pg_writer *w, const struct gw_collection *c, const struct gw_pg_target **out,
                      struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    for (size_t i = 0; i < a->target_count; i++) {
        struct gw_pg_target *t = a->targets[i];
        if (strcmp(t->name, c->name) == 0 && strcmp(t->space, c->space) == 0 && t->column_count == c->column_count) {
            *out = t;
            return true;
        }
    }
    if (!gw_pg_pipe_drain(w, err)) /* the question must not meet a transaction that a waiting ROLLBACK TO would mend */
        return false;
    struct gw_pg_target *t = gw_zalloc(sizeof *t);
    t->space = gw_strdup(c->space);
    t->name = gw_strdup(c->name);
    t->id = ++a->next_target;
    if (!load(w, c, t, err)) {
        target_free(t);
        return false;
    }
    a->targets = gw_grow(a->targets, &a->target_capacity, a->target_count, sizeof *a->targets);
    a->targets[a->target_count++] = t;
    *out = t;
    return true;
}
