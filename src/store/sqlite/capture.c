#include "store/sqlite/capture.h"

#include "base/mem.h"
#include "store/sqlite/tokens.h"

#define NOTED "godwit_replaced" /* statements of a trigger take no aliases */
#define LARGE_TEXT "256"        /* characters from which on an unchanged value is worth a comparison */

struct made {
    const struct gw_lite_table *table;
    int tab;
    bool nested;
    struct gw_buf *out;
};

/* ---- pieces ---------------------------------------------------------------------------------------------------- */

static size_t plain_columns(const struct gw_lite_table *table)
{
    size_t count = 0;
    for (size_t c = 0; c < table->column_count; c++)
        count += !table->columns[c].generated;
    return count;
}

static size_t old_columns(const struct gw_lite_table *table)
{
    return table->key_count > 0 ? table->key_count : plain_columns(table);
}

size_t gw_lite_capture_width(const struct gw_lite_table *table)
{
    return plain_columns(table) + old_columns(table);
}

static void add_list(struct gw_buf *out, size_t from, size_t count, const char *prefix)
{
    for (size_t i = 0; i < count; i++)
        gw_buf_addf(out, ", %sv%zu", prefix, from + i);
}

/* ", NEW.a, NEW.b" of the old part: the key's columns, or all. */
static void add_old(const struct made *m, const char *prefix)
{
    const struct gw_lite_table *table = m->table;
    for (size_t i = 0; i < table->key_count; i++) {
        gw_buf_addf(m->out, ", %s", prefix);
        gw_lite_add_ident(m->out, table->columns[table->key[i]].name);
    }
    for (size_t c = 0; c < table->column_count && table->key_count == 0; c++) {
        if (table->columns[c].generated)
            continue;
        gw_buf_addf(m->out, ", %s", prefix);
        gw_lite_add_ident(m->out, table->columns[c].name);
    }
}

/* How a row is the same row: by its rowid, or by its key. "t.x = NEW.x". */
static void add_is(const struct made *m, const char *left, const char *right)
{
    const struct gw_lite_table *table = m->table;
    if (table->rowid) {
        gw_buf_addf(m->out, "%s.%s = %s.%s", left, strcmp(left, NOTED) == 0 ? "rid" : table->rowid, right,
                    strcmp(right, NOTED) == 0 ? "rid" : table->rowid);
        return;
    }
    for (size_t i = 0; i < table->key_count; i++) {
        const struct gw_lite_column *column = &table->columns[table->key[i]];
        gw_buf_adds(m->out, i > 0 ? " AND " : "");
        for (int side = 0; side < 2; side++) {
            const char *name = side == 0 ? left : right;
            gw_buf_addf(m->out, "%s%s.", side > 0 ? " = " : "", name);
            if (strcmp(name, NOTED) == 0)
                gw_buf_addf(m->out, "v%zu", i);
            else
                gw_lite_add_ident(m->out, column->name);
            if (side == 0) {
                gw_buf_adds(m->out, " COLLATE ");
                gw_lite_add_ident(m->out, table->key_collations[i]);
            }
        }
    }
}

static void begin_trigger(const struct made *m, const char *suffix, const char *when)
{
    gw_buf_addf(m->out, "DROP TRIGGER IF EXISTS main.godwit_log_%d_%s; CREATE TRIGGER main.godwit_log_%d_%s %s ON ",
                m->tab, suffix, m->tab, suffix, when);
    gw_lite_add_ident(m->out, m->table->name);
}

static void add_table_as(const struct made *m, const char *alias)
{
    gw_lite_add_ident(m->out, m->table->name);
    gw_buf_addf(m->out, " AS %s", alias);
}

/* ---- what may be replaced -------------------------------------------------------------------------------------- */

/* The expressions of an index, as its statement has them. */
static bool index_expressions(struct gw_lite_conn *conn, const char *index, struct gw_buf *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, text = {0};
    gw_buf_adds(&sql, "SELECT sql FROM main.sqlite_master WHERE type = 'index' AND name = ");
    gw_lite_add_literal(&sql, index);
    if (!gw_lite_text(conn, gw_buf_text(&sql), &text, NULL, err))
        return false;
    struct gw_lite_tokens tokens = {.at = gw_buf_text(&text)};
    const char *from = NULL;
    for (struct gw_lite_token t = gw_lite_next_token(&tokens); t.kind != GW_LITE_END; t = gw_lite_next_token(&tokens)) {
        if (gw_lite_token_is(&t, "(") && t.depth == 0 && !from)
            from = t.at + 1;
        if (gw_lite_token_is(&t, ")") && t.depth == 0) {
            gw_buf_add(out, from, (size_t)(t.at - from));
            return true;
        }
        /* ASC and DESC are no part of the expression. */
        if (from && t.depth == 1 && (gw_lite_token_is(&t, "asc") || gw_lite_token_is(&t, "desc"))) {
            gw_buf_add(out, from, (size_t)(t.at - from));
            from = t.at + t.len;
        }
    }
    return gw_fail(err, GW_ERR_UNSUPPORTED, "the definition of index %s cannot be read", index);
}

/* The new row's values under the names of the columns, so that an index's expression means the new row. */
static void add_new_row(const struct made *m)
{
    gw_buf_adds(m->out, "(SELECT ");
    for (size_t c = 0; c < m->table->column_count; c++) {
        gw_buf_adds(m->out, c > 0 ? ", NEW." : "NEW.");
        gw_lite_add_ident(m->out, m->table->columns[c].name);
        gw_buf_adds(m->out, " AS ");
        gw_lite_add_ident(m->out, m->table->columns[c].name);
    }
    gw_buf_adds(m->out, ")");
}

static bool add_matches(struct gw_lite_conn *conn, const struct made *m, const struct gw_lite_unique *unique,
                        struct gw_error *err)
{
    gw_autobuf struct gw_buf expressions = {0};
    if (unique->expressions) {
        if (!index_expressions(conn, unique->name, &expressions, err))
            return false;
        gw_buf_addf(m->out, "(%s) = (SELECT %s FROM ", gw_buf_text(&expressions), gw_buf_text(&expressions));
        add_new_row(m);
        gw_buf_adds(m->out, ")");
        return true;
    }
    for (size_t i = 0; i < unique->count; i++) {
        gw_buf_adds(m->out, i > 0 ? " AND t." : "t.");
        gw_lite_add_ident(m->out, m->table->columns[unique->columns[i]].name);
        gw_buf_adds(m->out, " COLLATE ");
        gw_lite_add_ident(m->out, unique->collations[i]);
        gw_buf_adds(m->out, " = NEW.");
        gw_lite_add_ident(m->out, m->table->columns[unique->columns[i]].name);
    }
    return true;
}

static void begin_note(const struct made *m)
{
    gw_buf_adds(m->out, "INSERT INTO " NOTED " (tab, rid");
    add_list(m->out, 0, old_columns(m->table), "");
    gw_buf_addf(m->out, ") SELECT %d, %s%s", m->tab, m->table->rowid ? "t." : "NULL",
                m->table->rowid ? m->table->rowid : "");
    add_old(m, "t.");
    gw_buf_adds(m->out, " FROM ");
    add_table_as(m, "t");
    gw_buf_adds(m->out, " WHERE ");
}

/* " AND NOT (t is the row that is updated)" */
static void add_not_itself(const struct made *m, bool update)
{
    if (!update)
        return;
    gw_buf_adds(m->out, " AND NOT (");
    add_is(m, "t", "OLD");
    gw_buf_adds(m->out, ")");
}

/* Nearly no statement has anything in its way: then nothing but these lookups is done. */
static bool add_guard(struct gw_lite_conn *conn, const struct made *m, bool update, struct gw_error *err)
{
    const char * or = " WHEN ";
    if (!m->nested) {
        gw_buf_addf(m->out, "%sEXISTS (SELECT 1 FROM " NOTED " WHERE tab = %d)", or, m->tab);
        or = " OR ";
    }
    for (size_t i = 0; i < m->table->unique_count + (m->table->rowid != NULL); i++) {
        gw_buf_addf(m->out, "%sEXISTS (SELECT 1 FROM ", or);
        add_table_as(m, "t");
        gw_buf_adds(m->out, " WHERE ");
        if (i == m->table->unique_count)
            gw_buf_addf(m->out, "t.%s = NEW.%s", m->table->rowid, m->table->rowid);
        else if (!add_matches(conn, m, &m->table->uniques[i], err))
            return false;
        add_not_itself(m, update);
        gw_buf_adds(m->out, ")");
        or = " OR ";
    }
    return true;
}

static bool add_notes(struct gw_lite_conn *conn, const struct made *m, bool update, struct gw_error *err)
{
    if (!m->nested) { /* what is still there of a statement that replaced nothing */
        gw_buf_addf(m->out, "DELETE FROM " NOTED " WHERE tab = %d AND EXISTS (SELECT 1 FROM ", m->tab);
        add_table_as(m, "t");
        gw_buf_adds(m->out, " WHERE ");
        add_is(m, "t", NOTED);
        gw_buf_adds(m->out, "); ");
    }
    for (size_t i = 0; i < m->table->unique_count + (m->table->rowid != NULL); i++) {
        begin_note(m);
        if (i == m->table->unique_count)
            gw_buf_addf(m->out, "t.%s = NEW.%s", m->table->rowid, m->table->rowid);
        else if (!add_matches(conn, m, &m->table->uniques[i], err))
            return false;
        add_not_itself(m, update);
        gw_buf_adds(m->out, "; ");
    }
    return true;
}

/* What was noted and is gone. */
static void add_gone(const struct made *m)
{
    gw_autobuf struct gw_buf gone = {0};
    struct made condition = *m;
    condition.out = &gone;
    gw_buf_addf(&gone, "tab = %d AND ((", m->tab);
    add_is(&condition, NOTED, "NEW");
    gw_buf_adds(&gone, ") OR NOT EXISTS (SELECT 1 FROM ");
    add_table_as(&condition, "t");
    gw_buf_adds(&gone, " WHERE ");
    add_is(&condition, "t", NOTED);
    gw_buf_adds(&gone, "))");
    /* Two indexes may have noted one row. */
    gw_buf_adds(m->out, "INSERT INTO godwit_log (at, kind, tab");
    add_list(m->out, 0, old_columns(m->table), "");
    gw_buf_addf(m->out, ") SELECT julianday('now'), %d, %d", GW_LITE_LOG_DELETE, m->tab);
    add_list(m->out, 0, old_columns(m->table), "");
    gw_buf_addf(m->out, " FROM " NOTED " WHERE id IN (SELECT min(id) FROM " NOTED " WHERE %s GROUP BY rid",
                gw_buf_text(&gone));
    for (size_t i = 0; i < m->table->key_count && !m->table->rowid; i++) {
        gw_buf_addf(m->out, ", v%zu COLLATE ", i);
        gw_lite_add_ident(m->out, m->table->key_collations[i]);
    }
    gw_buf_addf(m->out, "); DELETE FROM " NOTED " WHERE %s; ", gw_buf_text(&gone));
}

/* A statement inside of another one: its row may be in the other one's way. */
static void add_note_of_new(const struct made *m)
{
    if (!m->nested)
        return;
    gw_buf_adds(m->out, "INSERT INTO " NOTED " (tab, rid");
    add_list(m->out, 0, old_columns(m->table), "");
    gw_buf_addf(m->out, ") VALUES (%d, %s%s", m->tab, m->table->rowid ? "NEW." : "NULL",
                m->table->rowid ? m->table->rowid : "");
    add_old(m, "NEW.");
    gw_buf_adds(m->out, "); ");
}

/* The row itself went another way: it was not replaced. */
static void add_forget(const struct made *m)
{
    gw_buf_addf(m->out, "DELETE FROM " NOTED " WHERE tab = %d AND ", m->tab);
    add_is(m, NOTED, "OLD");
    gw_buf_adds(m->out, "; ");
}

/* ---- the triggers ---------------------------------------------------------------------------------------------- */

static void add_log(const struct made *m, enum gw_lite_log_kind kind, size_t values)
{
    gw_buf_addf(m->out, "INSERT INTO godwit_log (at, kind, tab%s", kind == GW_LITE_LOG_UPDATE ? ", same" : "");
    add_list(m->out, 0, values, "");
    gw_buf_addf(m->out, ") VALUES (julianday('now'), %d, %d", kind, m->tab);
}

static bool make_insert(struct gw_lite_conn *conn, const struct made *m, struct gw_error *err)
{
    begin_trigger(m, "bi", "BEFORE INSERT");
    if (!add_guard(conn, m, false, err))
        return false;
    gw_buf_adds(m->out, " BEGIN ");
    if (!add_notes(conn, m, false, err))
        return false;
    gw_buf_adds(m->out, "END; ");
    begin_trigger(m, "ai", "AFTER INSERT");
    gw_buf_adds(m->out, " BEGIN ");
    add_gone(m);
    add_log(m, GW_LITE_LOG_INSERT, plain_columns(m->table));
    for (size_t c = 0; c < m->table->column_count; c++) {
        if (m->table->columns[c].generated)
            continue;
        gw_buf_adds(m->out, ", NEW.");
        gw_lite_add_ident(m->out, m->table->columns[c].name);
    }
    gw_buf_adds(m->out, "); ");
    add_note_of_new(m);
    gw_buf_adds(m->out, "END; ");
    return true;
}

/* Without a key all of the old row is told: nothing may be left out of the new one. */
static bool may_be_same(const struct gw_lite_table *table, size_t c)
{
    const struct gw_lite_column *column = &table->columns[c];
    bool in_key = table->key_count == 0;
    for (size_t i = 0; i < table->key_count; i++)
        in_key |= table->key[i] == c;
    return !in_key && !column->generated && column->affinity != GW_LITE_INTEGER && column->affinity != GW_LITE_REAL;
}

static void add_same(struct gw_buf *out, const char *name)
{
    gw_autobuf struct gw_buf quoted = {0};
    gw_lite_add_ident(&quoted, name);
    const char *q = gw_buf_text(&quoted);
    gw_buf_addf(out,
                "length(NEW.%s) > " LARGE_TEXT " AND typeof(NEW.%s) = typeof(OLD.%s) AND NEW.%s = OLD.%s COLLATE"
                " BINARY",
                q, q, q, q, q);
}

/* 'places of large values that are as they were' */
static void add_same_places(const struct made *m)
{
    size_t place = 0, added = 0;
    gw_buf_adds(m->out, ", ");
    for (size_t c = 0; c < m->table->column_count; c++) {
        if (may_be_same(m->table, c)) {
            gw_buf_adds(m->out, added++ > 0 ? " || CASE WHEN " : "CASE WHEN ");
            add_same(m->out, m->table->columns[c].name);
            gw_buf_addf(m->out, " THEN '%zu,' ELSE '' END", place);
        }
        place += !m->table->columns[c].generated;
    }
    if (added == 0)
        gw_buf_adds(m->out, "NULL");
}

static bool make_update(struct gw_lite_conn *conn, const struct made *m, struct gw_error *err)
{
    begin_trigger(m, "bu", "BEFORE UPDATE");
    if (!add_guard(conn, m, true, err))
        return false;
    gw_buf_adds(m->out, " BEGIN ");
    if (!add_notes(conn, m, true, err))
        return false;
    gw_buf_adds(m->out, "END; ");
    begin_trigger(m, "au", "AFTER UPDATE");
    gw_buf_adds(m->out, " BEGIN ");
    add_forget(m);
    add_gone(m);
    add_log(m, GW_LITE_LOG_UPDATE, gw_lite_capture_width(m->table));
    add_same_places(m);
    for (size_t c = 0; c < m->table->column_count; c++) {
        const char *name = m->table->columns[c].name;
        if (m->table->columns[c].generated)
            continue;
        gw_buf_adds(m->out, ", ");
        if (may_be_same(m->table, c)) {
            gw_buf_adds(m->out, "CASE WHEN ");
            add_same(m->out, name);
            gw_buf_adds(m->out, " THEN NULL ELSE NEW.");
            gw_lite_add_ident(m->out, name);
            gw_buf_adds(m->out, " END");
        } else {
            gw_buf_adds(m->out, "NEW.");
            gw_lite_add_ident(m->out, name);
        }
    }
    add_old(m, "OLD.");
    gw_buf_adds(m->out, "); ");
    add_note_of_new(m);
    gw_buf_adds(m->out, "END; ");
    return true;
}

static void make_delete(const struct made *m)
{
    begin_trigger(m, "ad", "AFTER DELETE");
    gw_buf_adds(m->out, " BEGIN ");
    add_forget(m);
    add_log(m, GW_LITE_LOG_DELETE, old_columns(m->table));
    add_old(m, "OLD.");
    gw_buf_adds(m->out, "); END; ");
}

bool gw_lite_capture_triggers(struct gw_lite_conn *conn, const struct gw_lite_table *table, int tab, bool nested,
                              struct gw_buf *sql, struct gw_error *err)
{
    struct made m = {.table = table, .tab = tab, .nested = nested, .out = sql};
    if (!table->rowid && !table->without_rowid) {
        gw_fail(err, GW_ERR_UNSUPPORTED,
                "table %s has columns called rowid, _rowid_ and oid: its rows cannot be told apart", table->name);
        return gw_error_hint(err, "rename one of them, or leave the table out: exclude: [%s]", table->name);
    }
    if (!make_insert(conn, &m, err) || !make_update(conn, &m, err))
        return false;
    make_delete(&m);
    return true;
}

/* ---- the log --------------------------------------------------------------------------------------------------- */

bool gw_lite_newest(struct gw_lite_conn *conn, int64_t *seq, struct gw_error *err)
{
    *seq = 0;
    return !gw_lite_has_table(conn, "godwit_log") ||
           gw_lite_int(conn, "SELECT max(seq) FROM main.godwit_log", seq, NULL, err);
}

bool gw_lite_log(struct gw_lite_conn *conn, enum gw_lite_log_kind kind, const char *text, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    if (!gw_lite_prepare(conn, "INSERT INTO main.godwit_log (at, kind, v0) VALUES (julianday('now'), ?1, ?2)",
                         &statement, err))
        return false;
    sqlite3_bind_int(statement, 1, (int)kind);
    gw_lite_bind_text(statement, 2, text);
    return gw_lite_run(conn, statement, err);
}

void gw_lite_position(int64_t next, struct gw_position *out)
{
    *out = (struct gw_position){.order = (uint64_t)next};
    snprintf(out->text, sizeof out->text, "%lld", (long long)next);
}
