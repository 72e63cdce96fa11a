/*
 * A part as statements.
 *
 *   INSERT   rows by the hundred in one statement
 *   DELETE   keys by the hundred in one statement
 *   UPDATE   MariaDB, integer keys: rows by the hundred, joined with a table of values; else a statement a row
 * A collection without key: a statement a row, that finds it by all its columns, byte by byte.
 * Rows that were found count, not those that were changed (CLIENT_FOUND_ROWS).
 */
#include "store/mysql/writer.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define STATEMENT_BYTES (256u << 10)
#define STATEMENT_ROWS 500
#define LARGE_TEXT_BYTES (4u << 20)
#define JOIN_FROM 3 /* rows from which on a join is worth it */

struct part_sql {
    struct gw_mysql_writer *w;
    const struct gw_part *part;
    const struct gw_collection *c;
    const struct gw_mysql_target *t;
    bool due;
    uint64_t *touched;
};

static struct gw_buf *sql_of(const struct part_sql *p)
{
    return &p->w->text.sql;
}

/* Ends a statement that must touch so many rows, and gets rid of the text when it is large. */
static bool end_statement(const struct part_sql *p, uint64_t rows, struct gw_error *err)
{
    gw_mysql_text_end(&p->w->text, GW_MYSQL_STATEMENT_ROWS, p->c);
    if (p->due)
        gw_mysql_text_due(&p->w->text, rows, GW_MYSQL_STATEMENT_DUE, p->c);
    if (p->w->text.sql.len < GW_MYSQL_TEXT_BYTES)
        return true;
    /* Of texts with large values there is one at a time. */
    bool large = p->w->text.sql.len > LARGE_TEXT_BYTES;
    return p->due && !large ? gw_mysql_text_send(p->w, err) : gw_mysql_text_run(p->w, p->touched, err);
}

static bool is_given(const struct gw_collection *c, size_t column, const struct gw_row *row)
{
    return !c->columns[column].generated && row->values[column].kind != GW_VALUE_UNCHANGED &&
           row->values[column].kind != GW_VALUE_ABSENT;
}

/* ---- finding rows ---------------------------------------------------------------------------------------------- */

static bool add_key_value(const struct part_sql *p, size_t k, const struct gw_row *key, struct gw_error *err)
{
    const struct gw_mysql_form *form = &p->t->forms[p->c->key[k]];
    const struct gw_value *value = &key->values[p->c->key[k]];
    if (value->kind != GW_VALUE_TEXT && value->kind != GW_VALUE_BINARY)
        return gw_fail(err, GW_ERR_BUG, "a change of %s has no key", gw_collection_label(p->c));
    if (gw_mysql_is_integer(form) || form->kind == GW_MYSQL_CHAR || form->kind == GW_MYSQL_VARCHAR) {
        gw_mysql_add_value(sql_of(p), form, value);
        return true;
    }
    gw_autofree char *text = gw_mysql_bound_of_value(form, value);
    return gw_mysql_add_bound(sql_of(p), form, text, err);
}

static bool add_where(const struct part_sql *p, const struct gw_row *key, struct gw_error *err)
{
    struct gw_buf *sql = sql_of(p);
    if (p->c->key_kind != GW_KEY_NONE) {
        for (size_t k = 0; k < p->c->key_count; k++) {
            gw_buf_adds(sql, k ? " AND " : "");
            gw_mysql_add_comparable(sql, &p->c->columns[p->c->key[k]], &p->t->forms[p->c->key[k]]);
            gw_buf_addc(sql, '=');
            if (!add_key_value(p, k, key, err))
                return false;
        }
        return true;
    }
    bool first = true;
    for (size_t i = 0; i < p->c->column_count; i++) {
        if (!is_given(p->c, i, key))
            continue;
        gw_buf_adds(sql, first ? "" : " AND ");
        gw_mysql_add_is(sql_of(p), p->c->columns[i].name, &p->t->forms[i], &key->values[i]);
        first = false;
    }
    return !first || gw_fail(err, GW_ERR_BUG, "a change of %s has no old row", gw_collection_label(p->c));
}

bool gw_mysql_add_like(struct gw_mysql_writer *w, const struct gw_collection *c, const struct gw_row *like,
                       struct gw_error *err)
{
    struct part_sql p = {.w = w, .c = c, .t = gw_mysql_target_of(w, c)};
    bool first = true;
    for (size_t i = 0; i < c->column_count; i++) {
        if (!is_given(c, i, like))
            continue;
        gw_buf_adds(sql_of(&p), first ? "" : " AND ");
        gw_mysql_add_is(sql_of(&p), c->columns[i].name, &p.t->forms[i], &like->values[i]);
        first = false;
    }
    return !first || gw_fail(err, GW_ERR_BUG, "rows of %s are looked for by no value", gw_collection_label(c));
}

static bool is_key(const struct gw_collection *c, const struct gw_row *wanted)
{
    size_t given = 0;
    for (size_t i = 0; i < c->column_count; i++)
        given += is_given(c, i, wanted);
    for (size_t k = 0; k < c->key_count; k++)
        if (!is_given(c, c->key[k], wanted) || wanted->values[c->key[k]].kind == GW_VALUE_NULL)
            return false;
    return c->key_count > 0 && given == c->key_count;
}

bool gw_mysql_add_wanted(struct gw_mysql_writer *w, const struct gw_collection *c, const struct gw_row *wanted,
                         struct gw_error *err)
{
    struct part_sql p = {.w = w, .c = c, .t = gw_mysql_target_of(w, c)};
    bool any = false;
    for (size_t i = 0; i < c->column_count; i++)
        any |= is_given(c, i, wanted);
    if (is_key(c, wanted))
        return add_where(&p, wanted, err);
    if (any)
        return gw_mysql_add_like(w, c, wanted, err);
    gw_buf_adds(sql_of(&p), "TRUE");
    return true;
}

/* ---- INSERT ---------------------------------------------------------------------------------------------------- */

static void add_insert_head(const struct part_sql *p)
{
    gw_buf_adds(sql_of(p), "INSERT INTO ");
    gw_mysql_add_table(sql_of(p), p->c);
    gw_buf_adds(sql_of(p), " (");
    gw_mysql_add_columns(sql_of(p), p->c);
    gw_buf_adds(sql_of(p), ") VALUES ");
}

static bool add_inserts(const struct part_sql *p, struct gw_error *err)
{
    for (size_t i = 0; i < p->part->count;) {
        size_t from = sql_of(p)->len, first_row = i;
        add_insert_head(p);
        for (; i < p->part->count && i - first_row < STATEMENT_ROWS && sql_of(p)->len - from < STATEMENT_BYTES; i++) {
            const struct gw_row *row = &p->part->rows[i];
            char before = '(';
            gw_buf_adds(sql_of(p), i > first_row ? "," : "");
            for (size_t k = 0; k < p->c->column_count; k++) {
                if (p->c->columns[k].generated)
                    continue;
                if (!is_given(p->c, k, row))
                    return gw_fail(err, GW_ERR_BUG, "an inserted row of %s lacks a value", gw_collection_label(p->c));
                gw_buf_addc(sql_of(p), before);
                before = ',';
                gw_mysql_add_value(sql_of(p), &p->t->forms[k], &row->values[k]);
            }
            gw_buf_addc(sql_of(p), ')');
        }
        if (!end_statement(p, i - first_row, err))
            return false;
    }
    return true;
}

/* ---- DELETE ---------------------------------------------------------------------------------------------------- */

static bool add_delete_keys(const struct part_sql *p, size_t *at, struct gw_error *err)
{
    size_t from = sql_of(p)->len, first = *at;
    bool one = p->c->key_count == 1;
    gw_buf_adds(sql_of(p), "DELETE FROM ");
    gw_mysql_add_table(sql_of(p), p->c);
    gw_buf_adds(sql_of(p), " WHERE ");
    if (one) {
        gw_mysql_add_comparable(sql_of(p), &p->c->columns[p->c->key[0]], &p->t->forms[p->c->key[0]]);
        gw_buf_adds(sql_of(p), " IN (");
    }
    for (; *at < p->part->count && *at - first < STATEMENT_ROWS && sql_of(p)->len - from < STATEMENT_BYTES; (*at)++) {
        gw_buf_adds(sql_of(p), *at == first ? "" : one ? "," : " OR ");
        gw_buf_adds(sql_of(p), one ? "" : "(");
        if (one ? !add_key_value(p, 0, &p->part->keys[*at], err) : !add_where(p, &p->part->keys[*at], err))
            return false;
        gw_buf_adds(sql_of(p), one ? "" : ")");
    }
    gw_buf_adds(sql_of(p), one ? ")" : "");
    return end_statement(p, *at - first, err);
}

static bool add_deletes(const struct part_sql *p, struct gw_error *err)
{
    for (size_t i = 0; i < p->part->count;) {
        if (p->c->key_kind != GW_KEY_NONE) {
            if (!add_delete_keys(p, &i, err))
                return false;
            continue;
        }
        gw_buf_adds(sql_of(p), "DELETE FROM ");
        gw_mysql_add_table(sql_of(p), p->c);
        gw_buf_adds(sql_of(p), " WHERE ");
        if (!add_where(p, &p->part->keys[i++], err))
            return false;
        gw_buf_adds(sql_of(p), " LIMIT 1");
        if (!end_statement(p, 1, err))
            return false;
    }
    return true;
}

/* ---- UPDATE ---------------------------------------------------------------------------------------------------- */

/* Whether the key is the same in both, so that it need not be set. */
static bool key_stays(const struct part_sql *p)
{
    for (size_t i = 0; i < p->part->count; i++)
        for (size_t k = 0; k < p->c->key_count; k++)
            if (!gw_value_equal(&p->part->keys[i].values[p->c->key[k]], &p->part->rows[i].values[p->c->key[k]]))
                return false;
    return true;
}

static bool is_set(const struct part_sql *p, size_t column, const struct gw_row *row, bool stays)
{
    return is_given(p->c, column, row) && !(stays && p->c->columns[column].key_position > 0);
}

static bool add_update(const struct part_sql *p, size_t i, bool stays, struct gw_error *err)
{
    const struct gw_row *row = &p->part->rows[i];
    bool first = true;
    gw_buf_adds(sql_of(p), "UPDATE ");
    gw_mysql_add_table(sql_of(p), p->c);
    gw_buf_adds(sql_of(p), " SET ");
    for (size_t k = 0; k < p->c->column_count; k++) {
        if (!is_set(p, k, row, stays))
            continue;
        gw_buf_adds(sql_of(p), first ? "" : ",");
        first = false;
        gw_mysql_add_ident(sql_of(p), p->c->columns[k].name);
        gw_buf_addc(sql_of(p), '=');
        gw_mysql_add_value(sql_of(p), &p->t->forms[k], &row->values[k]);
    }
    if (first) { /* nothing to set: the row must be there all the same */
        gw_mysql_add_ident(sql_of(p), p->c->columns[p->c->key_count ? p->c->key[0] : 0].name);
        gw_buf_addc(sql_of(p), '=');
        gw_mysql_add_ident(sql_of(p), p->c->columns[p->c->key_count ? p->c->key[0] : 0].name);
    }
    gw_buf_adds(sql_of(p), " WHERE ");
    if (!add_where(p, &p->part->keys[i], err))
        return false;
    gw_buf_adds(sql_of(p), p->c->key_kind == GW_KEY_NONE ? " LIMIT 1" : "");
    return end_statement(p, 1, err);
}

/* One row of the values; the first one names the columns. */
static void add_joined_row(const struct part_sql *p, size_t i, bool names)
{
    size_t n = 0;
    for (size_t k = 0; k < p->c->key_count; k++, n++) {
        gw_buf_adds(sql_of(p), n ? "," : "");
        gw_mysql_add_value(sql_of(p), &p->t->forms[p->c->key[k]], &p->part->keys[i].values[p->c->key[k]]);
        if (names)
            gw_buf_addf(sql_of(p), " v%zu", n);
    }
    for (size_t k = 0; k < p->c->column_count; k++) {
        const struct gw_value *value = &p->part->rows[i].values[k];
        const struct gw_mysql_form *form = &p->t->forms[k];
        if (!is_set(p, k, &p->part->rows[i], true))
            continue;
        gw_buf_addc(sql_of(p), ',');
        /* As texts they keep all digits: a common type of many numbers might not. */
        if (value->kind == GW_VALUE_TEXT && !gw_mysql_is_integer(form))
            gw_mysql_add_text(sql_of(p), value->len ? (const char *)value->bytes : "", value->len);
        else
            gw_mysql_add_value(sql_of(p), form, value);
        if (names)
            gw_buf_addf(sql_of(p), " v%zu", n);
        n++;
    }
}

static bool add_joined_updates(const struct part_sql *p, size_t *at, struct gw_error *err)
{
    struct gw_buf *sql = sql_of(p);
    size_t from = sql->len, first = *at, n = p->c->key_count;
    gw_buf_adds(sql, "UPDATE ");
    gw_mysql_add_table(sql, p->c);
    gw_buf_adds(sql, " t JOIN (SELECT ");
    add_joined_row(p, (*at)++, true);
    for (; *at < p->part->count && *at - first < STATEMENT_ROWS && sql->len - from < STATEMENT_BYTES; (*at)++) {
        gw_buf_adds(sql, *at == first + 1 ? " UNION ALL VALUES (" : ",(");
        add_joined_row(p, *at, false);
        gw_buf_addc(sql, ')');
    }
    gw_buf_adds(sql, ") v ON ");
    for (size_t k = 0; k < p->c->key_count; k++) {
        gw_buf_adds(sql, k ? " AND t." : "t.");
        gw_mysql_add_ident(sql, p->c->columns[p->c->key[k]].name);
        gw_buf_addf(sql, "=v.v%zu", k);
    }
    gw_buf_adds(sql, " SET ");
    bool none = true;
    for (size_t k = 0; k < p->c->column_count; k++) {
        if (!is_set(p, k, &p->part->rows[first], true))
            continue;
        gw_buf_adds(sql, none ? "t." : ",t.");
        none = false;
        gw_mysql_add_ident(sql, p->c->columns[k].name);
        gw_buf_addf(sql, "=v.v%zu", n++);
    }
    return end_statement(p, *at - first, err);
}

/* A table of values has no type that BIT or a geometry would take from it for certain. */
static bool joins(const struct part_sql *p, bool stays)
{
    bool sets = false;
    if (!p->w->store->bulk || !p->t->integer_key || !stays || p->part->count < JOIN_FROM)
        return false;
    for (size_t k = 0; k < p->c->column_count; k++) {
        enum gw_mysql_kind kind = p->t->forms[k].kind;
        if (!is_set(p, k, &p->part->rows[0], true))
            continue;
        sets = true;
        if (kind == GW_MYSQL_BIT || kind == GW_MYSQL_GEOMETRY || kind == GW_MYSQL_OTHER)
            return false;
    }
    return sets;
}

static bool add_updates(const struct part_sql *p, struct gw_error *err)
{
    bool stays = key_stays(p), by_join = joins(p, stays);
    for (size_t i = 0; i < p->part->count;)
        if (by_join ? !add_joined_updates(p, &i, err) : !add_update(p, i++, stays, err))
            return false;
    return true;
}

bool gw_mysql_part_add(struct gw_mysql_writer *w, const struct gw_part *part, bool due, uint64_t *touched,
                       struct gw_error *err)
{
    struct part_sql p = {.w = w,
                         .part = part,
                         .c = part->collection,
                         .t = gw_mysql_target_of(w, part->collection),
                         .due = due,
                         .touched = touched};
    switch (part->kind) {
    case GW_CHANGE_INSERT:
        return add_inserts(&p, err);
    case GW_CHANGE_UPDATE:
        return add_updates(&p, err);
    case GW_CHANGE_DELETE:
        return add_deletes(&p, err);
    default:
        return gw_fail(err, GW_ERR_BUG, "a part of kind %s", gw_change_kind_name(part->kind));
    }
}
