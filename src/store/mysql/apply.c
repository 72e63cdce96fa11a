/*
 * Batches in: the position row first, compare-and-set, then the parts, in one transaction.
 *
 * foreign_key_checks is off: a log with cascades in it (PostgreSQL's) would find its rows gone, and one without them
 * (the binlog) has been completed by the follower. The batch may have them in any order.
 */
#include "store/mysql/writer.h"

#include "base/crash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool fail_apply(struct gw_mysql_writer *w)
{
    if (w->conn->broken)
        w->failed = true;
    return false;
}

bool gw_mysql_apply_begin(struct gw_writer *writer, const struct gw_position *reached, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    struct gw_buf *sql = &w->text.sql;
    if (w->in_transaction)
        return gw_fail(err, GW_ERR_BUG, "a transaction is begun while another one is open");
    gw_mysql_text_add(&w->text, "START TRANSACTION");
    if (w->order == 0) {
        gw_buf_adds(sql, "INSERT IGNORE INTO godwit_position (stream, place, text, applied_at) VALUES (");
        gw_mysql_add_literal(sql, w->stream);
        gw_buf_addf(sql, ", %" PRIu64 ", ", reached->order);
        gw_mysql_add_literal(sql, reached->text);
        gw_buf_adds(sql, ", UTC_TIMESTAMP(6))");
    } else {
        gw_buf_addf(sql, "UPDATE godwit_position SET applied_at = UTC_TIMESTAMP(6), place = %" PRIu64 ", text = ",
                    reached->order);
        gw_mysql_add_literal(sql, reached->text);
        gw_buf_adds(sql, " WHERE stream = ");
        gw_mysql_add_literal(sql, w->stream);
        gw_buf_addf(sql, " AND place = %" PRIu64, w->order);
    }
    gw_mysql_text_end(&w->text, GW_MYSQL_STATEMENT_PLAIN, NULL);
    gw_mysql_text_due(&w->text, 1, GW_MYSQL_STATEMENT_POSITION, NULL);
    w->in_transaction = true;
    w->order_begun = reached->order;
    return true;
}

static bool need_transaction(const struct gw_mysql_writer *w, struct gw_error *err)
{
    return w->in_transaction || gw_fail(err, GW_ERR_BUG, "changes are applied outside a transaction");
}

bool gw_mysql_apply_part(struct gw_writer *writer, const struct gw_part *part, uint64_t *touched, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    uint64_t rows = 0;
    if (!need_transaction(w, err))
        return false;
    if (!gw_mysql_part_add(w, part, false, &rows, err) || !gw_mysql_text_run(w, &rows, err))
        return fail_apply(w);
    *touched = rows;
    return true;
}

bool gw_mysql_apply_send(struct gw_writer *writer, const struct gw_part *part, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    if (!need_transaction(w, err))
        return false;
    return gw_mysql_part_add(w, part, true, NULL, err) || fail_apply(w);
}

/* TRUNCATE commits by itself, without our position row. */
bool gw_mysql_apply_truncate(struct gw_writer *writer, const struct gw_collection *const *collections, size_t count,
                             struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    if (!need_transaction(w, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        gw_buf_adds(&w->text.sql, "DELETE FROM ");
        gw_mysql_add_table(&w->text.sql, collections[i]);
        gw_mysql_text_end(&w->text, GW_MYSQL_STATEMENT_PLAIN, collections[i]);
    }
    return gw_mysql_text_run(w, NULL, err) || fail_apply(w);
}

bool gw_mysql_apply_delete_range(struct gw_writer *writer, const struct gw_collection *c, const struct gw_range *range,
                                 struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    const struct gw_mysql_target *t = gw_mysql_target_of(w, c);
    if (!need_transaction(w, err))
        return false;
    gw_autobuf struct gw_buf condition = {0};
    if (!gw_mysql_add_range(&condition, c, t->forms, range, err))
        return false;
    gw_buf_adds(&w->text.sql, "DELETE FROM ");
    gw_mysql_add_table(&w->text.sql, c);
    gw_buf_addf(&w->text.sql, " WHERE %s", gw_buf_text(&condition));
    gw_mysql_text_end(&w->text, GW_MYSQL_STATEMENT_PLAIN, c);
    return gw_mysql_text_run(w, NULL, err) || fail_apply(w);
}

/* ---- keys ------------------------------------------------------------------------------------------------------ */

/* All keys as they are now, in a table of this session's own that no log sees; handed out in pages. */
static bool gather_keys(struct gw_mysql_writer *w, const struct gw_collection *c, struct gw_error *err)
{
    struct gw_buf *sql = &w->text.sql;
    gw_mysql_text_add(&w->text, "DROP TEMPORARY TABLE IF EXISTS godwit_keys");
    gw_buf_adds(sql, "CREATE TEMPORARY TABLE godwit_keys (godwit_number bigint NOT NULL AUTO_INCREMENT PRIMARY KEY) "
                     "ENGINE = InnoDB SELECT ");
    gw_mysql_add_key(sql, c);
    gw_buf_adds(sql, " FROM ");
    gw_mysql_add_table(sql, c);
    gw_buf_adds(sql, " ORDER BY ");
    gw_mysql_add_key(sql, c);
    gw_mysql_text_end(&w->text, GW_MYSQL_STATEMENT_PLAIN, c);
    w->listed = 0;
    return gw_mysql_text_run(w, NULL, err);
}

static void take_keys(struct gw_mysql_writer *w, const struct gw_collection *c, const struct gw_mysql_target *t)
{
    size_t rows = (size_t)mysql_num_rows(w->keys), columns = c->key_count;
    w->key_rows = gw_realloc(w->key_rows, (rows + 1) * sizeof *w->key_rows);
    w->key_values = gw_realloc(w->key_values, (rows * columns + 1) * sizeof *w->key_values);
    for (size_t i = 0; i < rows; i++) {
        MYSQL_ROW row = mysql_fetch_row(w->keys);
        const unsigned long *lengths = mysql_fetch_lengths(w->keys);
        struct gw_value *values = w->key_values + i * columns;
        w->listed = strtoull(row[0], NULL, 10);
        for (size_t k = 0; k < columns; k++) {
            const struct gw_mysql_form *form = &t->forms[c->key[k]];
            const char *text = row[k + 1];
            size_t len = lengths[k + 1];
            while (form->zerofill && gw_mysql_is_number(form) && len > 1 && *text == '0')
                text++, len--;
            values[k] =
                (struct gw_value){.kind = form->value_kind, .len = (uint32_t)len, .bytes = (const unsigned char *)text};
        }
        w->key_rows[i] = (struct gw_row){.count = (uint32_t)columns, .values = values};
    }
}

static void add_key_columns(struct gw_buf *sql, const struct gw_collection *c, const struct gw_mysql_target *t)
{
    for (size_t i = 0; i < c->key_count; i++) {
        gw_mysql_add_ident(sql, c->columns[c->key[i]].name);
        gw_buf_adds(sql, t->forms[c->key[i]].kind == GW_MYSQL_FLOAT ? "*1e0" : "");
        gw_buf_adds(sql, i + 1 < c->key_count ? "," : "");
    }
}

bool gw_mysql_apply_list_keys(struct gw_writer *writer, const struct gw_collection *c, bool first, size_t most,
                              const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    gw_autobuf struct gw_buf sql = {0};
    if (!need_transaction(w, err) || c->key_kind == GW_KEY_NONE)
        return w->in_transaction && gw_fail(err, GW_ERR_BUG, "%s has no key to list", gw_collection_label(c));
    mysql_free_result(w->keys);
    w->keys = NULL;
    if (first ? !gather_keys(w, c, err) : !gw_mysql_text_run(w, NULL, err))
        return fail_apply(w);
    gw_buf_adds(&sql, "SELECT godwit_number,");
    add_key_columns(&sql, c, gw_mysql_target_of(w, c));
    gw_buf_addf(&sql, " FROM godwit_keys WHERE godwit_number > %" PRIu64 " ORDER BY godwit_number LIMIT %zu", w->listed,
                most);
    if (!gw_mysql_query(w->conn, gw_buf_text(&sql), &w->keys, err))
        return fail_apply(w);
    take_keys(w, c, gw_mysql_target_of(w, c));
    *keys = w->key_rows;
    *count = (size_t)mysql_num_rows(w->keys);
    return true;
}

bool gw_mysql_apply_find(struct gw_writer *writer, const struct gw_collection *c, const struct gw_row *like,
                         const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    struct gw_buf *text = &w->text.sql;
    uint64_t listed = w->listed; /* list_keys may be under way */
    *count = 0;
    if (!need_transaction(w, err) || c->key_kind == GW_KEY_NONE)
        return w->in_transaction && gw_fail(err, GW_ERR_BUG, "%s has no key to find", gw_collection_label(c));
    mysql_free_result(w->keys);
    w->keys = NULL;
    if (!gw_mysql_text_run(w, NULL, err))
        return fail_apply(w);
    gw_buf_adds(text, "SELECT 0,");
    add_key_columns(text, c, gw_mysql_target_of(w, c));
    gw_buf_adds(text, " FROM ");
    gw_mysql_add_table(text, c);
    gw_buf_adds(text, " WHERE ");
    bool fine = gw_mysql_add_like(w, c, like, err) && gw_mysql_query(w->conn, gw_buf_text(text), &w->keys, err);
    gw_buf_clear(text);
    if (!fine)
        return fail_apply(w);
    take_keys(w, c, gw_mysql_target_of(w, c));
    w->listed = listed;
    *keys = w->key_rows;
    *count = (size_t)mysql_num_rows(w->keys);
    return true;
}

/* ---- signals, savepoints, ends --------------------------------------------------------------------------------- */

bool gw_mysql_apply_note_signal(struct gw_writer *writer, const char *token, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    if (!need_transaction(w, err))
        return false;
    gw_buf_adds(&w->text.sql, "INSERT IGNORE INTO godwit_seen (token, at) VALUES (");
    gw_mysql_add_literal(&w->text.sql, token);
    gw_buf_adds(&w->text.sql, ", UTC_TIMESTAMP(6))");
    gw_mysql_text_end(&w->text, GW_MYSQL_STATEMENT_PLAIN, NULL);
    return true;
}

bool gw_mysql_apply_savepoint(struct gw_writer *writer, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    if (!need_transaction(w, err))
        return false;
    gw_mysql_text_add(&w->text, "SAVEPOINT godwit");
    /* What comes after it may fail, what came before may not. */
    return gw_mysql_text_run(w, NULL, err) || fail_apply(w);
}

bool gw_mysql_apply_rollback_to(struct gw_writer *writer, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    gw_mysql_pipe_abandon(w);
    gw_buf_clear(&w->text.sql);
    w->text.count = 0;
    return gw_mysql_exec(w->conn, "ROLLBACK TO SAVEPOINT godwit", err) || fail_apply(w);
}

bool gw_mysql_apply_commit(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    (void)durable;
    if (!need_transaction(w, err))
        return false;
    GW_CRASH_POINT("apply.before_commit");
    gw_mysql_text_add(&w->text, "COMMIT");
    if (!gw_mysql_text_run(w, NULL, err))
        return fail_apply(w);
    w->in_transaction = false;
    w->order = w->order_begun;
    GW_CRASH_POINT("apply.after_commit");
    return true;
}

bool gw_mysql_apply_commit_ahead(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    (void)durable;
    if (!need_transaction(w, err))
        return false;
    if (w->ahead_count == GW_COMMITS_AHEAD)
        return gw_fail(err, GW_ERR_BUG, "more commits are owed than may be");
    GW_CRASH_POINT("apply.before_commit");
    gw_mysql_text_add(&w->text, "COMMIT");
    w->text.commits = true;
    if (!gw_mysql_text_send(w, err))
        return fail_apply(w);
    w->ahead_count++;
    w->in_transaction = false;
    w->order = w->order_begun;
    return true;
}

bool gw_mysql_apply_await(struct gw_writer *writer, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    if (w->ahead_count == 0)
        return gw_fail(err, GW_ERR_BUG, "nothing is owed");
    if (!gw_mysql_pipe_await(w, err))
        return fail_apply(w);
    w->ahead_count--;
    GW_CRASH_POINT("apply.after_commit");
    return true;
}

bool gw_mysql_apply_busy(struct gw_writer *writer)
{
    return gw_mysql_pipe_busy(gw_mysql_writer_of(writer));
}
