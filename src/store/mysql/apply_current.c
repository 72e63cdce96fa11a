/*
 * Rows as they are in the open transaction: by keys that are one whole number in one SELECT for hundreds, told apart by
 * their key; by anything else a SELECT for each, many in one text.
 */
#include "store/mysql/reader.h"
#include "store/mysql/writer.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_ROWS 500
#define TEXT_BYTES (256u << 10)

struct look {
    struct gw_mysql_writer *w;
    const struct gw_collection *c;
    const struct gw_mysql_target *t;
    gw_current_visit *visit;
    void *arg;
    bool enough;
    bool by_number;
    const struct gw_row **sorted; /* by_number: the wanted ones of the text, by their key */
    const struct gw_row *wanted;
};

/* ---- keys that are one whole number ---------------------------------------------------------------------------- */

static bool is_number(const struct look *look, const struct gw_row *wanted)
{
    bool only = look->t->integer_key && look->c->key_count == 1;
    for (size_t i = 0; only && i < look->c->column_count; i++) {
        enum gw_value_kind kind = wanted->values[i].kind;
        only = i == look->c->key[0] ? kind == GW_VALUE_TEXT : kind == GW_VALUE_ABSENT;
    }
    return only;
}

static int compare_values(const struct gw_value *a, const struct gw_value *b)
{
    return a->len != b->len ? (a->len < b->len ? -1 : 1) : memcmp(a->bytes, b->bytes, a->len);
}

static int compare_wanted(const void *a, const void *b, void *arg)
{
    uint32_t column = *(const uint32_t *)arg;
    const struct gw_row *left = *(const struct gw_row *const *)a, *right = *(const struct gw_row *const *)b;
    return compare_values(&left->values[column], &right->values[column]);
}

static void add_numbers(struct look *look, size_t from, size_t count)
{
    struct gw_buf *sql = &look->w->text.sql;
    uint32_t column = look->c->key[0];
    gw_buf_adds(sql, "SELECT ");
    gw_mysql_add_select(sql, look->c, look->t->forms);
    gw_buf_adds(sql, " FROM ");
    gw_mysql_add_table(sql, look->c);
    gw_buf_adds(sql, " WHERE ");
    gw_mysql_add_ident(sql, look->c->columns[column].name);
    for (size_t i = 0; i < count; i++) {
        look->sorted[i] = &look->wanted[from + i];
        gw_buf_adds(sql, i ? "," : " IN (");
        gw_mysql_add_value(sql, &look->t->forms[column], &look->wanted[from + i].values[column]);
    }
    gw_buf_addc(sql, ')');
    qsort_r(look->sorted, count, sizeof(struct gw_row *), compare_wanted, &column);
}

/* Which of the wanted this row is. */
static bool find_number(const struct look *look, const struct gw_row *row, size_t count, size_t *number)
{
    uint32_t column = look->c->key[0];
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_values(&look->sorted[middle]->values[column], &row->values[column]);
        if (order == 0) {
            *number = (size_t)(look->sorted[middle] - look->wanted);
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static bool add_select(struct look *look, const struct gw_row *wanted, struct gw_error *err)
{
    struct gw_buf *sql = &look->w->text.sql;
    gw_buf_adds(sql, sql->len ? ";SELECT " : "SELECT ");
    gw_mysql_add_select(sql, look->c, look->t->forms);
    gw_buf_adds(sql, " FROM ");
    gw_mysql_add_table(sql, look->c);
    gw_buf_adds(sql, " WHERE ");
    return gw_mysql_add_wanted(look->w, look->c, wanted, err);
}

/* The rows of one of them; what is not wanted any more is read all the same, so that the next answer can come. */
static bool take_rows(struct look *look, size_t number, size_t count, bool *fine, struct gw_error *err)
{
    struct gw_mysql_conn *conn = look->w->conn;
    MYSQL_RES *result = mysql_use_result(conn->my);
    if (!result)
        return gw_mysql_fail(conn, "looking at rows", err);
    for (MYSQL_ROW row; (row = mysql_fetch_row(result));) {
        struct gw_row got;
        if (!*fine || look->enough)
            continue;
        gw_arena_reset(&look->w->arena);
        gw_mysql_take_row(look->c, look->t->forms, row, mysql_fetch_lengths(result), &look->w->arena, &got);
        if (look->by_number && !find_number(look, &got, count, &number))
            *fine = gw_fail(err, GW_ERR_BUG, "the server gave a row of %s that was not asked for",
                            gw_collection_label(look->c));
        else
            *fine = look->visit(look->arg, number, &got, &look->enough, err);
    }
    bool ended = mysql_errno(conn->my) == 0 || gw_mysql_fail(conn, "looking at rows", err);
    mysql_free_result(result);
    return ended;
}

static bool run(struct look *look, size_t from, size_t count, struct gw_error *err)
{
    struct gw_mysql_conn *conn = look->w->conn;
    struct gw_buf *sql = &look->w->text.sql;
    size_t answers = look->by_number ? 1 : count;
    bool fine = true;
    gw_mysql_enter(conn);
    if (mysql_real_query(conn->my, sql->data, sql->len) != 0)
        return gw_mysql_fail(conn, "looking at rows", err);
    for (size_t i = 0; i < answers; i++) {
        if (!take_rows(look, from + i, count, &fine, err))
            return false;
        int next = mysql_next_result(conn->my);
        if (next > 0)
            return gw_mysql_fail(conn, "looking at rows", err);
        if ((next < 0) != (i + 1 == answers)) {
            conn->broken = true;
            return gw_fail(err, GW_ERR_BUG, "the server answered %zu of %zu statements", i + 1, answers);
        }
    }
    return fine;
}

static bool look_for(struct look *look, size_t count, struct gw_error *err)
{
    struct gw_buf *sql = &look->w->text.sql;
    bool fine = true;
    for (size_t from = 0, to; fine && from < count && !look->enough; from = to) {
        for (to = from; fine && to < count && to - from < TEXT_ROWS && sql->len < TEXT_BYTES; to++)
            fine = look->by_number || add_select(look, &look->wanted[to], err);
        if (look->by_number)
            add_numbers(look, from, to - from);
        fine = fine && run(look, from, to - from, err);
        gw_buf_clear(sql);
    }
    return fine;
}

bool gw_mysql_current(struct gw_writer *writer, const struct gw_collection *c, const struct gw_row *wanted,
                      size_t count, gw_current_visit *visit, void *arg, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    const struct gw_row *sorted[TEXT_ROWS];
    struct look look = {
        .w = w, .c = c, .t = gw_mysql_target_of(w, c), .visit = visit, .arg = arg, .sorted = sorted, .wanted = wanted};
    if (!w->in_transaction)
        return gw_fail(err, GW_ERR_BUG, "rows are looked at outside of a transaction");
    look.by_number = count > 1;
    for (size_t i = 0; i < count && look.by_number; i++)
        look.by_number = is_number(&look, &wanted[i]);
    if (gw_mysql_text_run(w, NULL, err) && look_for(&look, count, err))
        return true;
    w->failed = w->failed || w->conn->broken;
    return false;
}
