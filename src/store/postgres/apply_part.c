/*
 * A part (rows of one table, one kind) as statements. Rows are cut into runs whose values are of the same form column
 * by column (text or binary; a stream that changed its mind, or a row read again, mixes them). A run goes
 *   by COPY           inserts, many or large;
 *   by arrays         one statement, a parameter a column, unnest() joined to the table by its key index;
 *   row by row        where arrays would not give the values back (arrays, composites), where a row is large, where
 *                     there are only one or two, and where there is no key: then the whole old row is compared by its
 *                     bytes and one of the equal rows is taken.
 * The row-by-row statements go out without waiting for one another.
 */
#include "store/postgres/apply.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_ROWS 2000
#define ARRAY_BYTES (1u << 20)
#define SINGLE_ROWS 2
#define COPY_ROWS 8000
#define SORT_ROWS 8
#define LARGE_ROW_BYTES (1u << 20)

enum form { FORM_ANY, FORM_TEXT, FORM_BINARY, FORM_LEFT_OUT };

struct run {
    const struct gw_part *part;
    const struct gw_collection *collection;
    const struct gw_pg_target *target;
    size_t from, count, bytes;
    bool moved;                       /* UPDATE: the key changes */
    bool flattened;                   /* a value of this run would not come back from an array */
    bool checked;                     /* the server compares the rows touched with the rows due */
    size_t unchecked_rows;            /* of the part, where it cannot: COPY, or two statements for a row */
    enum form *row_forms, *key_forms; /* by column; keys only where key_position */
};

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static enum form form_of(const struct gw_value *v)
{
    switch (v->kind) {
    case GW_VALUE_TEXT:
        return FORM_TEXT;
    case GW_VALUE_BINARY:
        return FORM_BINARY;
    case GW_VALUE_NULL:
        return FORM_ANY;
    case GW_VALUE_UNCHANGED:
    case GW_VALUE_ABSENT:
        return FORM_LEFT_OUT;
    }
    return FORM_LEFT_OUT;
}

static bool form_fits(enum form have, enum form more)
{
    return have == more || (have != FORM_LEFT_OUT && more == FORM_ANY) || (have == FORM_ANY && more != FORM_LEFT_OUT);
}

static bool uses_key(const struct run *run, size_t column)
{
    return run->collection->key_count == 0 || run->collection->columns[column].key_position > 0;
}

static bool fits(const struct run *run, const enum form *forms, const struct gw_row *row, bool key)
{
    for (size_t i = 0; i < run->collection->column_count; i++)
        if ((!key || uses_key(run, i)) && run->target->columns[i].written &&
            !form_fits(forms[i], form_of(&row->values[i])))
            return false;
    return true;
}

static void take_forms(struct run *run, enum form *forms, const struct gw_row *row, bool key, bool first)
{
    for (size_t i = 0; i < run->collection->column_count; i++) {
        enum form form = form_of(&row->values[i]);
        if (key && !uses_key(run, i))
            continue;
        if (first || form != FORM_ANY)
            forms[i] = form;
        if (form == FORM_BINARY && run->target->columns[i].written && !run->target->columns[i].unnests)
            run->flattened = true;
        run->bytes += row->values[i].len;
    }
}

static bool key_moves(const struct gw_collection *c, const struct gw_row *key, const struct gw_row *row)
{
    if (key->values == row->values)
        return false;
    for (size_t k = 0; k < c->key_count; k++) {
        const struct gw_value *now = &row->values[c->key[k]];
        if (form_of(now) != FORM_LEFT_OUT && !gw_value_equal(now, &key->values[c->key[k]]))
            return true;
    }
    return false;
}

/* Extends the run from run->from as far as rows fit. */
static void find_run(struct run *run, size_t max_rows, size_t max_bytes)
{
    const struct gw_part *part = run->part;
    run->count = run->bytes = 0;
    run->moved = run->flattened = false;
    for (size_t i = run->from; i < part->count && run->count < max_rows && run->bytes < max_bytes; i++) {
        const struct gw_row *key = part->kind == GW_CHANGE_INSERT ? NULL : &part->keys[i];
        const struct gw_row *row = part->kind == GW_CHANGE_DELETE ? NULL : &part->rows[i];
        bool first = run->count == 0, moves = key && row && key_moves(run->collection, key, row);
        if (!first && ((row && !fits(run, run->row_forms, row, false)) ||
                       (key && !fits(run, run->key_forms, key, true)) || moves != run->moved))
            return;
        if (row)
            take_forms(run, run->row_forms, row, false, first);
        if (key && key->values != (row ? row->values : NULL))
            take_forms(run, run->key_forms, key, true, first);
        else if (key)
            memcpy(run->key_forms, run->row_forms, run->collection->column_count * sizeof *run->key_forms);
        run->moved = moves;
        run->count++;
    }
}

static bool check_row(const struct gw_collection *c, const struct gw_row *row, struct gw_error *err)
{
    if (row->count == c->column_count)
        return true;
    return gw_fail(err, GW_ERR_BUG, "a row of %s has %u columns, not %zu", gw_collection_label(c), row->count,
                   c->column_count);
}

static bool check_part(const struct gw_part *part, const struct gw_pg_target *target, struct gw_error *err)
{
    const struct gw_collection *c = part->collection;
    for (size_t i = 0; i < part->count; i++) {
        if (part->kind != GW_CHANGE_DELETE && !check_row(c, &part->rows[i], err))
            return false;
        if (part->kind != GW_CHANGE_INSERT && !check_row(c, &part->keys[i], err))
            return false;
        if (part->kind != GW_CHANGE_INSERT)
            for (size_t k = 0; k < c->key_count; k++)
                if (!part->keys[i].values[c->key[k]].bytes)
                    return gw_fail(err, GW_ERR_BUG, "a change of %s comes without its key", gw_collection_label(c));
    }
    if (part->kind == GW_CHANGE_INSERT || c->key_count == 0 || target->has_key_index)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "%s has no unique index over its key: changes cannot find their rows",
            gw_collection_label(c));
    return gw_error_hint(err, "make the index that the other side has (%s)", c->key_index ? c->key_index : "its key");
}

/* ---- pieces of SQL ----------------------------------------------------------------------------------------------- */

static bool is_written(const struct run *run, size_t column)
{
    return run->target->columns[column].written && run->row_forms[column] != FORM_LEFT_OUT;
}

/* Columns an UPDATE gives a value to. The key's only when it changes; an identity that is ALWAYS never. */
static bool is_set(const struct run *run, size_t column)
{
    return is_written(run, column) && !run->target->columns[column].identity_always &&
           (run->moved || run->collection->columns[column].key_position == 0);
}

/* Otherwise an UPDATE only looks whether the row is there. */
static bool sets_any(const struct run *run)
{
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (is_set(run, i))
            return true;
    return false;
}

static void add_name(struct gw_buf *sql, const struct run *run, size_t column)
{
    gw_pg_add_ident(sql, run->collection->columns[column].name);
}

static void add_insert_head(struct gw_buf *sql, const struct run *run)
{
    bool any = false;
    gw_buf_adds(sql, "INSERT INTO ");
    gw_pg_add_table(sql, run->collection);
    gw_buf_adds(sql, " (");
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (is_written(run, i)) {
            gw_buf_adds(sql, any ? ", " : "");
            add_name(sql, run, i);
            any = true;
        }
    gw_buf_adds(sql, ") OVERRIDING SYSTEM VALUE ");
}

static bool writes_any(const struct run *run)
{
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (is_written(run, i))
            return true;
    return false;
}

/* ---- by arrays --------------------------------------------------------------------------------------------------- */

/* u.r3 or u.k3, as the column's own type. What does not unnest went as text. */
static void add_element(struct gw_buf *sql, const struct run *run, size_t column, char side)
{
    gw_buf_addf(sql, "u.%c%zu", side, column);
    if (!run->target->columns[column].unnests)
        gw_buf_addf(sql, "::%s", run->target->columns[column].cast);
}

static void add_array(struct gw_pg_apply *a, const struct run *run, size_t column, char side)
{
    const struct gw_pg_target_column *tc = &run->target->columns[column];
    const struct gw_row *rows = side == 'r' ? run->part->rows : run->part->keys;
    bool binary = (side == 'r' ? run->row_forms : run->key_forms)[column] == FORM_BINARY;
    struct gw_buf *out = gw_pg_parameter_buffer(a);
    gw_pg_array_build(out, rows + run->from, run->count, (uint32_t)column, binary, tc->type_id,
                      tc->unnests ? tc->delimiter : ',');
    gw_pg_parameter_add(a, out->data, out->len, binary, tc->unnests ? tc->array_id : 1009 /* text[] */);
}

/* The parameters' places in unnest($1, $2, ...) AS u(k0, r1, ...), in the order they were added. */
struct arrays {
    struct gw_buf parameters, names;
};

static void add_column(struct gw_pg_apply *a, struct arrays *arrays, const struct run *run, size_t column, char side)
{
    add_array(a, run, column, side);
    gw_buf_addf(&arrays->parameters, "%s$%d", arrays->parameters.len ? ", " : "", a->parameter_count);
    gw_buf_addf(&arrays->names, "%s%c%zu", arrays->names.len ? ", " : "", side, column);
}

static void add_unnest(struct gw_buf *sql, const struct arrays *arrays)
{
    gw_buf_addf(sql, "unnest(%s) AS u(%s)", gw_buf_text(&arrays->parameters), gw_buf_text(&arrays->names));
}

static void add_key_join(struct gw_buf *sql, const struct run *run)
{
    const struct gw_collection *c = run->collection;
    gw_buf_adds(sql, " WHERE ");
    for (size_t k = 0; k < c->key_count; k++) {
        gw_buf_adds(sql, k ? " AND t." : "t.");
        add_name(sql, run, c->key[k]);
        gw_buf_addf(sql, " %s ", run->target->columns[c->key[k]].equality);
        add_element(sql, run, c->key[k], 'k');
    }
}

static void insert_arrays(struct gw_pg_apply *a, const struct run *run, struct arrays *arrays)
{
    bool any = false;
    add_insert_head(&a->sql, run);
    gw_buf_adds(&a->sql, "SELECT ");
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (is_written(run, i)) {
            gw_buf_adds(&a->sql, any ? ", " : "");
            add_element(&a->sql, run, i, 'r');
            add_column(a, arrays, run, i, 'r');
            any = true;
        }
    gw_buf_adds(&a->sql, " FROM ");
    add_unnest(&a->sql, arrays);
}

static void update_arrays(struct gw_pg_apply *a, const struct run *run, struct arrays *arrays)
{
    bool any = false;
    for (size_t k = 0; k < run->collection->key_count; k++)
        add_column(a, arrays, run, run->collection->key[k], 'k');
    gw_autobuf struct gw_buf set = {0};
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (is_set(run, i)) {
            gw_buf_adds(&set, any ? ", " : "");
            add_name(&set, run, i);
            gw_buf_adds(&set, " = ");
            add_element(&set, run, i, 'r');
            add_column(a, arrays, run, i, 'r');
            any = true;
        }
    /* Nothing but the key, and that stays: the row is only looked for. */
    gw_buf_adds(&a->sql, any ? "UPDATE ONLY " : "SELECT FROM ONLY ");
    gw_pg_add_table(&a->sql, run->collection);
    gw_buf_addf(&a->sql, any ? " AS t SET %s FROM " : " AS t, ", gw_buf_text(&set));
    add_unnest(&a->sql, arrays);
    add_key_join(&a->sql, run);
}

static void delete_arrays(struct gw_pg_apply *a, const struct run *run, struct arrays *arrays)
{
    for (size_t k = 0; k < run->collection->key_count; k++)
        add_column(a, arrays, run, run->collection->key[k], 'k');
    gw_buf_adds(&a->sql, "DELETE FROM ONLY ");
    gw_pg_add_table(&a->sql, run->collection);
    gw_buf_adds(&a->sql, " AS t USING ");
    add_unnest(&a->sql, arrays);
    add_key_join(&a->sql, run);
}

/* ---- how many rows? ---------------------------------------------------------------------------------------------- */

static void begin_statement(struct gw_pg_apply *a, const struct run *run)
{
    gw_buf_clear(&a->sql);
    gw_pg_parameters_clear(a);
    if (run->checked)
        gw_buf_adds(&a->sql, "WITH touched AS (");
}

/* Where fewer or more rows are touched than due, the statement divides by zero, and with it its transaction fails: so
 * its COMMIT can be sent before anybody has seen the count. */
static bool end_statement(struct gw_pg_writer *w, const struct run *run, uint64_t due, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    char text[24];
    if (!run->checked)
        return gw_pg_pipe_run(w, GW_PG_PIPE_COUNTS, err);
    snprintf(text, sizeof text, "%" PRIu64, due);
    gw_pg_parameter_add(a, text, strlen(text), false, 20 /* bigint */);
    gw_buf_addf(&a->sql, "%s) SELECT 1 / (count(*) %s $%d)::int FROM touched",
                run->part->kind == GW_CHANGE_UPDATE && !sets_any(run) ? "" : " RETURNING 1",
                run->part->may_miss ? "<=" : "=", a->parameter_count);
    return gw_pg_pipe_run(w, GW_PG_PIPE_PLAIN, err);
}

static bool send_arrays(struct gw_pg_writer *w, struct run *run, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    struct arrays arrays = {0};
    begin_statement(a, run);
    if (run->part->kind == GW_CHANGE_INSERT)
        insert_arrays(a, run, &arrays);
    else if (run->part->kind == GW_CHANGE_UPDATE)
        update_arrays(a, run, &arrays);
    else
        delete_arrays(a, run, &arrays);
    gw_buf_release(&arrays.parameters);
    gw_buf_release(&arrays.names);
    return end_statement(w, run, run->count, err);
}

/* ---- row by row -------------------------------------------------------------------------------------------------- */

static void add_value(struct gw_pg_apply *a, const struct run *run, size_t at, size_t column, char side)
{
    const struct gw_row *row = side == 'r' ? &run->part->rows[at] : &run->part->keys[at];
    const struct gw_value *v = &row->values[column];
    gw_pg_parameter_add(a, v->bytes, v->len, v->kind == GW_VALUE_BINARY, run->target->columns[column].type_id);
    gw_buf_addf(&a->sql, "$%d", a->parameter_count);
}

static void add_key_match(struct gw_pg_apply *a, const struct run *run, size_t at)
{
    const struct gw_collection *c = run->collection;
    gw_buf_adds(&a->sql, " WHERE ");
    for (size_t k = 0; k < c->key_count; k++) {
        gw_buf_adds(&a->sql, k ? " AND t." : "t.");
        add_name(&a->sql, run, c->key[k]);
        gw_buf_addf(&a->sql, " %s ", run->target->columns[c->key[k]].equality);
        add_value(a, run, at, c->key[k], 'k');
    }
}

/* Without key: one of the rows that are equal byte by byte, so that NULL equals NULL and 1.0 is not 1.00. */
static void add_whole_match(struct gw_pg_apply *a, const struct run *run, size_t at)
{
    bool any = false;
    gw_autobuf struct gw_buf names = {0};
    gw_buf_adds(&a->sql, " WHERE t.ctid = (SELECT s.ctid FROM ONLY ");
    gw_pg_add_table(&a->sql, run->collection);
    gw_buf_adds(&a->sql, " AS s WHERE ROW(");
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (run->target->columns[i].written && run->key_forms[i] != FORM_LEFT_OUT) {
            gw_buf_adds(&names, any ? ", s." : "s.");
            add_name(&names, run, i);
            any = true;
        }
    gw_buf_addf(&a->sql, "%s)::record OPERATOR(pg_catalog.*=) ROW(", gw_buf_text(&names));
    any = false;
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (run->target->columns[i].written && run->key_forms[i] != FORM_LEFT_OUT) {
            gw_buf_adds(&a->sql, any ? ", " : "");
            add_value(a, run, at, i, 'k');
            any = true;
        }
    gw_buf_adds(&a->sql, ")::record LIMIT 1)");
}

static void add_match(struct gw_pg_apply *a, const struct run *run, size_t at)
{
    if (run->collection->key_count > 0)
        add_key_match(a, run, at);
    else
        add_whole_match(a, run, at);
}

static void insert_row(struct gw_pg_apply *a, const struct run *run, size_t at)
{
    bool any = false;
    if (!writes_any(run)) {
        gw_buf_adds(&a->sql, "INSERT INTO ");
        gw_pg_add_table(&a->sql, run->collection);
        gw_buf_adds(&a->sql, " DEFAULT VALUES");
        return;
    }
    add_insert_head(&a->sql, run);
    gw_buf_adds(&a->sql, "VALUES (");
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (is_written(run, i)) {
            gw_buf_adds(&a->sql, any ? ", " : "");
            add_value(a, run, at, i, 'r');
            any = true;
        }
    gw_buf_addc(&a->sql, ')');
}

static void update_row(struct gw_pg_apply *a, const struct run *run, size_t at)
{
    bool any = false;
    gw_buf_adds(&a->sql, "UPDATE ONLY ");
    gw_pg_add_table(&a->sql, run->collection);
    gw_buf_adds(&a->sql, " AS t SET ");
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (is_set(run, i)) {
            gw_buf_adds(&a->sql, any ? ", " : "");
            add_name(&a->sql, run, i);
            gw_buf_adds(&a->sql, " = ");
            add_value(a, run, at, i, 'r');
            any = true;
        }
    if (!any) {
        gw_buf_clear(&a->sql);
        gw_buf_adds(&a->sql, "SELECT FROM ONLY ");
        gw_pg_add_table(&a->sql, run->collection);
        gw_buf_adds(&a->sql, " AS t");
    }
    add_match(a, run, at);
}

static void delete_row(struct gw_pg_apply *a, const struct run *run, size_t at)
{
    gw_buf_adds(&a->sql, "DELETE FROM ONLY ");
    gw_pg_add_table(&a->sql, run->collection);
    gw_buf_adds(&a->sql, " AS t");
    add_match(a, run, at);
}

/* ---- identity columns that are ALWAYS ---------------------------------------------------------------------------- */

/* Such a column takes a value only in an INSERT. */
static bool identity_may_change(const struct run *run)
{
    if (run->part->kind != GW_CHANGE_UPDATE || !run->target->moves_identity)
        return false;
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (run->target->columns[i].identity_always && is_written(run, i) &&
            (run->moved || run->collection->columns[i].key_position == 0))
            return true;
    return false;
}

/* AND (t."n" IS [NOT] DISTINCT FROM $5 ...) for these columns. */
static void add_identity_condition(struct gw_pg_apply *a, const struct run *run, size_t at, bool distinct)
{
    bool any = false;
    gw_buf_adds(&a->sql, " AND (");
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (run->target->columns[i].identity_always && is_written(run, i)) {
            gw_buf_adds(&a->sql, !any ? "t." : distinct ? " OR t." : " AND t.");
            add_name(&a->sql, run, i);
            gw_buf_adds(&a->sql, distinct ? " IS DISTINCT FROM " : " IS NOT DISTINCT FROM ");
            add_value(a, run, at, i, 'r');
            any = true;
        }
    gw_buf_addc(&a->sql, ')');
}

/* The row is taken out and put in again, with what the stream left out as it was. */
static void replace_row(struct gw_pg_apply *a, const struct run *run, size_t at)
{
    bool any = false;
    gw_buf_adds(&a->sql, "WITH gone AS (DELETE FROM ONLY ");
    gw_pg_add_table(&a->sql, run->collection);
    gw_buf_adds(&a->sql, " AS t");
    add_match(a, run, at);
    add_identity_condition(a, run, at, true);
    gw_buf_adds(&a->sql, " RETURNING t.*) INSERT INTO ");
    gw_pg_add_table(&a->sql, run->collection);
    gw_buf_adds(&a->sql, " (");
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (run->target->columns[i].written) {
            gw_buf_adds(&a->sql, any ? ", " : "");
            add_name(&a->sql, run, i);
            any = true;
        }
    gw_buf_adds(&a->sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    any = false;
    for (size_t i = 0; i < run->collection->column_count; i++) {
        if (!run->target->columns[i].written)
            continue;
        gw_buf_adds(&a->sql, any ? ", " : "");
        any = true;
        if (is_written(run, i)) {
            add_value(a, run, at, i, 'r');
        } else {
            gw_buf_adds(&a->sql, "gone.");
            add_name(&a->sql, run, i);
        }
    }
    gw_buf_adds(&a->sql, " FROM gone");
}

/* One of the two finds the row: only both together tell how many were touched. */
static bool send_identity_row(struct gw_pg_writer *w, struct run *run, size_t at, struct gw_error *err)
{
    bool checked = run->checked;
    run->checked = false;
    run->unchecked_rows += checked;
    begin_statement(w->apply, run);
    update_row(w->apply, run, at);
    add_identity_condition(w->apply, run, at, false);
    bool fine = end_statement(w, run, 1, err);
    begin_statement(w->apply, run);
    if (fine)
        replace_row(w->apply, run, at);
    fine = fine && end_statement(w, run, 1, err);
    run->checked = checked;
    return fine;
}

static bool send_rows(struct gw_pg_writer *w, struct run *run, struct gw_error *err)
{
    bool identity = identity_may_change(run);
    for (size_t at = run->from; at < run->from + run->count; at++) {
        if (identity) {
            if (!send_identity_row(w, run, at, err))
                return false;
            continue;
        }
        begin_statement(w->apply, run);
        if (run->part->kind == GW_CHANGE_INSERT)
            insert_row(w->apply, run, at);
        else if (run->part->kind == GW_CHANGE_UPDATE)
            update_row(w->apply, run, at);
        else
            delete_row(w->apply, run, at);
        if (!end_statement(w, run, 1, err))
            return false;
    }
    return true;
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static bool left_out_in_insert(const struct run *run, struct gw_error *err)
{
    for (size_t i = 0; i < run->collection->column_count; i++)
        if (run->target->columns[i].written && run->part->rows[run->from].values[i].kind == GW_VALUE_UNCHANGED) {
            gw_fail(err, GW_ERR_BUG, "an insert into %s without a value for %s", gw_collection_label(run->collection),
                    run->collection->columns[i].name);
            return true;
        }
    return false;
}

/* COPY takes one form for all columns; into the table itself also a value for each. */
static bool may_copy(const struct run *run, bool *binary)
{
    enum form all = FORM_ANY;
    for (size_t i = 0; i < run->collection->column_count; i++) {
        if (!run->target->columns[i].written)
            continue;
        enum form form = run->row_forms[i];
        if (form == FORM_LEFT_OUT && run->part->kind == GW_CHANGE_UPDATE)
            continue;
        if (form == FORM_LEFT_OUT || (form != FORM_ANY && all != FORM_ANY && form != all))
            return false;
        if (form != FORM_ANY)
            all = form;
    }
    *binary = all == FORM_BINARY;
    return all != FORM_ANY;
}

static bool copy_if_better(struct gw_pg_writer *w, struct run *run, bool *copied, uint64_t *touched,
                           struct gw_error *err)
{
    bool binary;
    *copied = false;
    if (run->part->kind != GW_CHANGE_INSERT)
        return true;
    find_run(run, SIZE_MAX, SIZE_MAX);
    if (left_out_in_insert(run, err))
        return false;
    if ((run->count < COPY_ROWS && run->bytes < LARGE_ROW_BYTES) || !may_copy(run, &binary))
        return true;
    if (w->apply->open && !gw_pg_pipe_close(w, touched, "applying changes", err))
        return false;
    *copied = true;
    run->unchecked_rows += run->checked ? run->count : 0;
    return gw_pg_pipe_drain(w, err) && gw_pg_apply_copy(w, run->collection, run->target, NULL,
                                                        run->part->rows + run->from, run->count, binary, touched, err);
}

/* An update with a large value goes by COPY into a temporary table and from there, because a parameter would be held
 * whole, twice, by libpq. */
static bool may_stage(struct gw_pg_writer *w, const struct run *run, bool *binary, bool *stage, struct gw_error *err)
{
    gw_autobuf struct gw_buf answer = {0};
    *stage = false;
    if (run->part->kind != GW_CHANGE_UPDATE || run->bytes / run->count < LARGE_ROW_BYTES || run->moved ||
        run->collection->key_count == 0 || identity_may_change(run) || !may_copy(run, binary))
        return true;
    if (w->apply->stage != GW_PG_STAGE_UNKNOWN) {
        *stage = w->apply->stage == GW_PG_STAGE_YES;
        return true;
    }
    if (!gw_pg_pipe_drain(w, err) ||
        !gw_pg_query_text(w->store, w->conn, "SELECT has_database_privilege(current_database(), 'TEMP')", 0, NULL,
                          &answer, NULL, err))
        return false;
    w->apply->stage = *gw_buf_text(&answer) == 't' ? GW_PG_STAGE_YES : GW_PG_STAGE_NO;
    *stage = w->apply->stage == GW_PG_STAGE_YES;
    return true;
}

static void add_staged_update(struct gw_buf *sql, const struct run *run, const char *stage)
{
    const struct gw_collection *c = run->collection;
    bool any = false;
    gw_buf_adds(sql, "UPDATE ONLY ");
    gw_pg_add_table(sql, c);
    gw_buf_adds(sql, " AS t SET ");
    for (size_t i = 0; i < c->column_count; i++)
        if (is_set(run, i)) {
            gw_buf_adds(sql, any ? ", " : "");
            add_name(sql, run, i);
            gw_buf_adds(sql, " = s.");
            add_name(sql, run, i);
            any = true;
        }
    gw_buf_addf(sql, " FROM %s AS s WHERE ", stage);
    for (size_t k = 0; k < c->key_count; k++) {
        gw_buf_adds(sql, k ? " AND t." : "t.");
        add_name(sql, run, c->key[k]);
        gw_buf_addf(sql, " %s s.", run->target->columns[c->key[k]].equality);
        add_name(sql, run, c->key[k]);
    }
}

static bool send_staged(struct gw_pg_writer *w, const struct run *run, bool binary, uint64_t *touched,
                        struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    char stage[64];
    uint64_t unused = 0;
    PGresult *r;
    snprintf(stage, sizeof stage, "pg_temp.godwit_stage_%" PRIu64, run->target->id);
    gw_buf_addf(&sql, "CREATE TEMP TABLE IF NOT EXISTS %s ON COMMIT DELETE ROWS AS SELECT * FROM ONLY ", stage);
    gw_pg_add_table(&sql, run->collection);
    gw_buf_addf(&sql, " WITH NO DATA; TRUNCATE %s", stage);
    if (!gw_pg_pipe_drain(w, err) || !gw_pg_exec(w->store, w->conn, gw_buf_text(&sql), err) ||
        !gw_pg_apply_copy(w, run->collection, run->target, stage, run->part->rows + run->from, run->count, binary,
                          &unused, err))
        return false;
    gw_buf_clear(&sql);
    add_staged_update(&sql, run, stage);
    if (!gw_pg_query(w->store, w->conn, gw_buf_text(&sql), 0, NULL, &r, err))
        return false;
    *touched += strtoull(PQcmdTuples(r), NULL, 10);
    PQclear(r);
    return true;
}

static bool send_run(struct gw_pg_writer *w, struct run *run, uint64_t *touched, struct gw_error *err)
{
    bool copied, binary, staged;
    if (!copy_if_better(w, run, &copied, touched, err))
        return false;
    if (copied)
        return true;
    find_run(run, ARRAY_ROWS, ARRAY_BYTES);
    if (run->bytes >= LARGE_ROW_BYTES && w->apply->open && !gw_pg_pipe_close(w, touched, "applying changes", err))
        return false;
    if (!may_stage(w, run, &binary, &staged, err))
        return false;
    if (staged) {
        run->unchecked_rows += run->checked ? run->count : 0;
        return send_staged(w, run, binary, touched, err);
    }
    bool keyless = run->part->kind != GW_CHANGE_INSERT && run->collection->key_count == 0;
    bool single = keyless || run->flattened || run->count <= SINGLE_ROWS ||
                  run->bytes / run->count >= LARGE_ROW_BYTES || identity_may_change(run) ||
                  (run->part->kind == GW_CHANGE_INSERT && !writes_any(run));
    return gw_pg_pipe_open(w, err) && (single ? send_rows(w, run, err) : send_arrays(w, run, err));
}

static bool send_all(struct gw_pg_writer *w, struct run *run, uint64_t *touched, struct gw_error *err)
{
    for (run->from = 0; run->from < run->part->count; run->from += run->count)
        if (!send_run(w, run, touched, err))
            return false;
    return true;
}

/* ---- order -------------------------------------------------------------------------------------------------------- */

static int compare_values(const struct gw_value *a, const struct gw_value *b)
{
    uint32_t len = a->len < b->len ? a->len : b->len;
    int order = len ? memcmp(a->bytes, b->bytes, len) : 0;
    return order ? order : a->len < b->len ? -1 : a->len > b->len;
}

struct placed {
    const struct gw_value *key; /* of the first key column */
    const struct gw_row *old, *row;
};

static int compare_placed(const void *a, const void *b)
{
    return compare_values(((const struct placed *)a)->key, ((const struct placed *)b)->key);
}

/* Rows whose keys are neighbours mostly lie on the same pages of index and table: found in that order they cost half.
 * Keys are distinct within a part, so the order is ours to choose. *sorted borrows from the part's rows. */
static bool sort_part(const struct gw_part *part, struct gw_part *sorted)
{
    const struct gw_collection *c = part->collection;
    *sorted = *part;
    if (part->kind == GW_CHANGE_INSERT || c->key_count == 0 || part->count < SORT_ROWS)
        return false;
    struct placed *placed = gw_calloc(part->count, sizeof *placed);
    for (size_t i = 0; i < part->count; i++)
        placed[i] = (struct placed){
            .key = &part->keys[i].values[c->key[0]], .old = &part->keys[i], .row = part->rows ? &part->rows[i] : NULL};
    qsort(placed, part->count, sizeof *placed, compare_placed);
    struct gw_row *keys = gw_calloc(part->count, sizeof *keys);
    struct gw_row *rows = part->rows ? gw_calloc(part->count, sizeof *rows) : NULL;
    for (size_t i = 0; i < part->count; i++) {
        keys[i] = *placed[i].old;
        if (rows)
            rows[i] = *placed[i].row;
    }
    free(placed);
    sorted->keys = keys;
    sorted->rows = rows;
    return true;
}

/* Whether they were touched is known here, not on the server. */
static bool settle_unchecked(struct gw_pg_writer *w, const struct run *run, uint64_t touched, struct gw_error *err)
{
    if (w->apply->open && !gw_pg_pipe_close(w, &touched, "applying changes", err))
        return false;
    return touched == run->unchecked_rows ||
           gw_fail(err, GW_ERR_CONFLICT, "%" PRIu64 " of %zu rows were touched", touched, run->unchecked_rows);
}

static bool apply_or_send(struct gw_pg_writer *w, const struct gw_part *part, bool send, uint64_t *touched,
                          struct gw_error *err)
{
    const struct gw_collection *c = part->collection;
    struct gw_part sorted;
    struct run run = {.part = &sorted, .collection = c, .checked = send};
    struct gw_error ignored;
    uint64_t unused = 0;
    if (!gw_pg_target_get(w, c, &run.target, err) || !check_part(part, run.target, err))
        return gw_error_place(err, "%s", gw_collection_label(c));
    bool owned = sort_part(part, &sorted);
    run.row_forms = gw_calloc(c->column_count + 1, sizeof *run.row_forms);
    run.key_forms = gw_calloc(c->column_count + 1, sizeof *run.key_forms);
    bool fine = send_all(w, &run, touched, err);
    if (send && fine && run.unchecked_rows > 0)
        fine = settle_unchecked(w, &run, *touched, err);
    if (!send && w->apply->open && !w->failed) /* an error while sending is the one that counts */
        fine = gw_pg_pipe_close(w, fine ? touched : &unused, "applying changes", fine ? err : &ignored) && fine;
    free(run.row_forms);
    free(run.key_forms);
    if (owned) {
        free((void *)(uintptr_t)sorted.keys);
        free((void *)(uintptr_t)sorted.rows);
    }
    return fine || gw_error_place(err, "%s, %s", gw_side_name(w->store->base.side), gw_collection_label(c));
}

bool gw_pg_apply_part(struct gw_writer *writer, const struct gw_part *part, uint64_t *touched, struct gw_error *err)
{
    uint64_t count = 0;
    if (!apply_or_send(gw_pg_writer_of(writer), part, false, &count, err))
        return false;
    *touched = count;
    return true;
}

bool gw_pg_apply_send(struct gw_writer *writer, const struct gw_part *part, struct gw_error *err)
{
    uint64_t counted_here = 0;
    return apply_or_send(gw_pg_writer_of(writer), part, true, &counted_here, err);
}
