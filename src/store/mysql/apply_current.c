/* Rows as they are in the open transaction: a SELECT for each that is wanted, many in one text. */
#include "store/mysql/reader.h"
#include "store/mysql/writer.h"

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
};

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
static bool take_rows(struct look *look, size_t number, bool *fine, struct gw_error *err)
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
    bool fine = true;
    gw_mysql_enter(conn);
    if (mysql_real_query(conn->my, sql->data, sql->len) != 0)
        return gw_mysql_fail(conn, "looking at rows", err);
    for (size_t i = 0; i < count; i++) {
        if (!take_rows(look, from + i, &fine, err))
            return false;
        int next = mysql_next_result(conn->my);
        if (next > 0)
            return gw_mysql_fail(conn, "looking at rows", err);
        if ((next < 0) != (i + 1 == count)) {
            conn->broken = true;
            return gw_fail(err, GW_ERR_BUG, "the server answered %zu of %zu statements", i + 1, count);
        }
    }
    return fine;
}

static bool look_for(struct look *look, const struct gw_row *wanted, size_t count, struct gw_error *err)
{
    struct gw_buf *sql = &look->w->text.sql;
    bool fine = true;
    for (size_t from = 0, to; fine && from < count && !look->enough; from = to) {
        for (to = from; fine && to < count && to - from < TEXT_ROWS && sql->len < TEXT_BYTES; to++)
            fine = add_select(look, &wanted[to], err);
        fine = fine && run(look, from, to - from, err);
        gw_buf_clear(sql);
    }
    return fine;
}

bool gw_mysql_current(struct gw_writer *writer, const struct gw_collection *c, const struct gw_row *wanted,
                      size_t count, gw_current_visit *visit, void *arg, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    struct look look = {.w = w, .c = c, .t = gw_mysql_target_of(w, c), .visit = visit, .arg = arg};
    if (!w->in_transaction)
        return gw_fail(err, GW_ERR_BUG, "rows are looked at outside of a transaction");
    if (gw_mysql_text_run(w, NULL, err) && look_for(&look, wanted, count, err))
        return true;
    w->failed = w->failed || w->conn->broken;
    return false;
}
