/* Rows as they are in the open transaction. */
#include "store/sqlite/writer.h"

static bool is_wanted(const struct gw_row *wanted, size_t column)
{
    return column < wanted->count && wanted->values[column].kind != GW_VALUE_ABSENT &&
           wanted->values[column].kind != GW_VALUE_UNCHANGED;
}

/* The whole key and nothing else: then its index finds the row. */
static bool is_key(const struct gw_lite_table *table, const struct gw_row *wanted)
{
    size_t given = 0;
    for (size_t c = 0; c < wanted->count; c++)
        given += is_wanted(wanted, c);
    for (size_t i = 0; i < table->key_count; i++)
        if (!is_wanted(wanted, table->key[i]))
            return false;
    return table->key_count > 0 && given == table->key_count;
}

static void add_select(struct gw_buf *sql, const struct gw_lite_target *target)
{
    gw_buf_adds(sql, "SELECT ");
    gw_lite_add_column_list(sql, target->table, target->columns);
    gw_buf_adds(sql, " FROM main.");
    gw_lite_add_ident(sql, target->table->name);
}

static bool prepare_look(struct gw_writer *writer, struct gw_lite_target *target, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    if (target->look)
        return true;
    add_select(&sql, target);
    gw_buf_adds(&sql, " WHERE ");
    gw_lite_add_equals(&sql, target->table, 1);
    return gw_lite_prepare(writer->conn, gw_buf_text(&sql), &target->look, err);
}

static bool prepare_like(struct gw_writer *writer, struct gw_lite_target *target, const struct gw_row *wanted,
                         sqlite3_stmt **out, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    const char *and = " WHERE ";
    add_select(&sql, target);
    for (size_t c = 0; c < target->columns; c++) {
        if (!is_wanted(wanted, c) || target->table->columns[c].generated)
            continue;
        gw_buf_adds(&sql, and);
        gw_lite_add_is(&sql, target->table, c, c + 1);
        and = " AND ";
    }
    return gw_lite_prepare(writer->conn, gw_buf_text(&sql), out, err);
}

static bool bind_wanted(sqlite3_stmt *statement, const struct gw_lite_target *target, const struct gw_row *wanted,
                        bool by_key, struct gw_error *err)
{
    const struct gw_lite_table *table = target->table;
    size_t count = by_key ? table->key_count : target->columns;
    for (size_t i = 0; i < count; i++) {
        size_t c = by_key ? table->key[i] : i;
        if (is_wanted(wanted, c) && (by_key || !table->columns[c].generated) &&
            !gw_lite_bind_value(statement, (int)i + 1, &wanted->values[c]))
            return gw_fail(err, GW_ERR_CONFLICT, "a value of %s.%s that cannot be looked for", target->name,
                           table->columns[c].name);
    }
    return true;
}

struct look {
    struct gw_writer *writer;
    const struct gw_lite_target *target;
    gw_current_visit *visit;
    void *arg;
    bool enough;
};

static bool visit_rows(struct look *look, sqlite3_stmt *statement, size_t wanted, struct gw_error *err)
{
    struct gw_arena *arena = &look->writer->keys_arena;
    for (bool got = true; !look->enough;) {
        if (!gw_lite_step(look->writer->conn, statement, &got, err))
            return false;
        if (!got)
            return true;
        gw_arena_reset(arena);
        size_t columns = look->target->columns;
        struct gw_value *values = gw_arena_alloc(arena, (columns + 1) * sizeof *values);
        for (size_t c = 0; c < columns; c++)
            values[c] = gw_lite_value_of(statement, (int)c, arena);
        struct gw_row row = {.count = (uint32_t)columns, .values = values};
        if (!look->visit(look->arg, wanted, &row, &look->enough, err))
            return false;
    }
    return true;
}

static bool look_for(struct look *look, struct gw_lite_target *target, const struct gw_row *wanted, size_t number,
                     struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *like = NULL;
    bool by_key = is_key(target->table, wanted);
    if (by_key ? !prepare_look(look->writer, target, err) : !prepare_like(look->writer, target, wanted, &like, err))
        return false;
    sqlite3_stmt *statement = by_key ? target->look : like;
    bool ok = bind_wanted(statement, target, wanted, by_key, err) && visit_rows(look, statement, number, err);
    sqlite3_reset(statement);
    return ok;
}

bool gw_lite_current(struct gw_writer *writer, const struct gw_collection *collection, const struct gw_row *wanted,
                     size_t count, gw_current_visit *visit, void *arg, struct gw_error *err)
{
    struct gw_lite_target *target = NULL;
    if (writer->owed.kind != GW_ERR_NONE) {
        *err = writer->owed;
        return false;
    }
    if (!writer->inside)
        return gw_fail(err, GW_ERR_BUG, "rows are looked at outside of a transaction");
    if (!gw_lite_target_for(writer, collection, &target, err))
        return false;
    struct look look = {.writer = writer, .target = target, .visit = visit, .arg = arg};
    for (size_t i = 0; i < count && !look.enough; i++)
        if (!look_for(&look, target, &wanted[i], i, err))
            return false;
    return true;
}
