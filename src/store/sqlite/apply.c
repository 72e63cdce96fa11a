/* Changes in: one statement a row, prepared once; and what empties a table. */
#include "store/sqlite/writer.h"

#include "base/mem.h"

static bool failed(struct gw_writer *writer, sqlite3_stmt *statement, int rc, const struct gw_lite_target *target,
                   struct gw_error *err)
{
    gw_lite_fail(writer->conn, rc, "a row cannot be written", err);
    sqlite3_reset(statement);
    return gw_error_prefix(err, "table %s", target->name);
}

static bool bind(sqlite3_stmt *statement, int place, const struct gw_value *value, const struct gw_lite_target *target,
                 size_t column, struct gw_error *err)
{
    return gw_lite_bind_value(statement, place, value) ||
           gw_fail(err, GW_ERR_CONFLICT, "a value of %s.%s that cannot be written", target->name,
                   target->table->columns[column].name);
}

/* ---- insert ---------------------------------------------------------------------------------------------------- */

static bool insert_row(struct gw_writer *writer, struct gw_lite_target *target, const struct gw_row *row,
                       uint64_t *touched, struct gw_error *err)
{
    for (size_t c = 0; c < target->columns && c < row->count; c++)
        if (!target->table->columns[c].generated && !bind(target->insert, (int)c + 1, &row->values[c], target, c, err))
            return false;
    int rc = sqlite3_step(target->insert);
    if (rc != SQLITE_DONE)
        return failed(writer, target->insert, rc, target, err);
    *touched += (uint64_t)sqlite3_changes(writer->conn->db);
    sqlite3_reset(target->insert);
    return true;
}

/* ---- which row ------------------------------------------------------------------------------------------------- */

void gw_lite_add_is(struct gw_buf *sql, const struct gw_lite_table *table, size_t column, size_t place)
{
    gw_lite_add_ident(sql, table->columns[column].name);
    gw_buf_addf(sql, " COLLATE BINARY IS ?%zu AND typeof(?%zu) = typeof(", place, place);
    gw_lite_add_ident(sql, table->columns[column].name);
    gw_buf_adds(sql, ")"); /* 1 is 1.0, and another value all the same */
}

/* Without a key: one of the rows that are equal in all columns, class by class. */
static void add_whole_row(struct gw_buf *sql, const struct gw_lite_target *target, size_t first)
{
    const struct gw_lite_table *table = target->table;
    gw_buf_addf(sql, "%s = (SELECT %s FROM main.", table->rowid, table->rowid);
    gw_lite_add_ident(sql, table->name);
    const char *and = " WHERE ";
    for (size_t c = 0; c < target->columns; c++) {
        if (table->columns[c].generated)
            continue;
        gw_buf_adds(sql, and);
        gw_lite_add_is(sql, table, c, first + c);
        and = " AND ";
    }
    gw_buf_adds(sql, " LIMIT 1)");
}

static bool add_which(struct gw_writer *writer, const struct gw_lite_target *target, struct gw_buf *sql,
                      struct gw_error *err)
{
    (void)writer;
    gw_buf_adds(sql, " WHERE ");
    if (target->table->key_count > 0)
        gw_lite_add_equals(sql, target->table, (int)target->columns + 1);
    else if (target->table->rowid)
        add_whole_row(sql, target, target->columns + 1);
    else
        return gw_fail(err, GW_ERR_UNSUPPORTED, "rows of %s cannot be told apart", target->name);
    return true;
}

/* The old key's values behind those of the row. */
static bool bind_which(sqlite3_stmt *statement, const struct gw_lite_target *target, const struct gw_row *key,
                       struct gw_error *err)
{
    const struct gw_lite_table *table = target->table;
    for (size_t i = 0; i < table->key_count; i++)
        if (table->key[i] >= key->count ||
            !bind(statement, (int)(target->columns + 1 + i), &key->values[table->key[i]], target, table->key[i], err))
            return table->key[i] < key->count ? false : gw_fail(err, GW_ERR_BUG, "a key of %s is cut", target->name);
    for (size_t c = 0; c < target->columns && table->key_count == 0; c++)
        if (!table->columns[c].generated &&
            !bind(statement, (int)(target->columns + 1 + c), &key->values[c], target, c, err))
            return false;
    return true;
}

/* ---- delete and update ----------------------------------------------------------------------------------------- */

static bool prepare_remove(struct gw_writer *writer, struct gw_lite_target *target, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    if (target->remove)
        return true;
    gw_buf_adds(&sql, "DELETE FROM main.");
    gw_lite_add_ident(&sql, target->table->name);
    return add_which(writer, target, &sql, err) &&
           gw_lite_prepare(writer->conn, gw_buf_text(&sql), &target->remove, err);
}

static bool remove_row(struct gw_writer *writer, struct gw_lite_target *target, const struct gw_row *key,
                       uint64_t *touched, struct gw_error *err)
{
    if (!bind_which(target->remove, target, key, err))
        return false;
    int rc = sqlite3_step(target->remove);
    if (rc != SQLITE_DONE)
        return failed(writer, target->remove, rc, target, err);
    *touched += (uint64_t)sqlite3_changes(writer->conn->db);
    sqlite3_reset(target->remove);
    return true;
}

static bool is_set(const struct gw_lite_target *target, const struct gw_row *row, size_t c)
{
    return !target->table->columns[c].generated && row->values[c].kind != GW_VALUE_UNCHANGED &&
           row->values[c].kind != GW_VALUE_ABSENT;
}

static void add_itself(struct gw_buf *sql, const struct gw_lite_table *table)
{
    size_t column = table->key_count > 0 ? table->key[0] : 0;
    while (table->columns[column].generated && column + 1 < table->column_count)
        column++;
    gw_lite_add_ident(sql, table->columns[column].name);
    gw_buf_adds(sql, " = ");
    gw_lite_add_ident(sql, table->columns[column].name);
}

static bool prepare_update(struct gw_writer *writer, struct gw_lite_target *target, const struct gw_row *row,
                           struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, mask = {0};
    const char *comma = "";
    gw_buf_adds(&sql, "UPDATE OR ABORT main.");
    gw_lite_add_ident(&sql, target->table->name);
    gw_buf_adds(&sql, " SET ");
    for (size_t c = 0; c < target->columns; c++) {
        gw_buf_addc(&mask, is_set(target, row, c) ? '1' : '0');
        if (!is_set(target, row, c))
            continue;
        gw_buf_adds(&sql, comma);
        gw_lite_add_ident(&sql, target->table->columns[c].name);
        gw_buf_addf(&sql, " = ?%zu", c + 1);
        comma = ", ";
    }
    if (!*comma) /* nothing to set: the row must be there all the same */
        add_itself(&sql, target->table);
    if (target->update && strcmp(gw_buf_text(&mask), gw_buf_text(&target->update_mask)) == 0)
        return true;
    gw_buf_clear(&target->update_mask);
    gw_buf_adds(&target->update_mask, gw_buf_text(&mask));
    return add_which(writer, target, &sql, err) &&
           gw_lite_prepare(writer->conn, gw_buf_text(&sql), &target->update, err);
}

static bool update_row(struct gw_writer *writer, struct gw_lite_target *target, const struct gw_row *key,
                       const struct gw_row *row, uint64_t *touched, struct gw_error *err)
{
    for (size_t c = 0; c < target->columns; c++)
        if (is_set(target, row, c) && !bind(target->update, (int)c + 1, &row->values[c], target, c, err))
            return false;
    if (!bind_which(target->update, target, key, err))
        return false;
    int rc = sqlite3_step(target->update);
    if (rc != SQLITE_DONE)
        return failed(writer, target->update, rc, target, err);
    *touched += (uint64_t)sqlite3_changes(writer->conn->db);
    sqlite3_reset(target->update);
    return true;
}

bool gw_lite_apply(struct gw_writer *writer, const struct gw_part *part, uint64_t *touched, struct gw_error *err)
{
    struct gw_lite_target *target = NULL;
    if (part->count == 0)
        return true;
    if (!gw_lite_target_for(writer, part->collection, &target, err))
        return false;
    bool ok = part->kind == GW_CHANGE_INSERT   ? gw_lite_prepare_insert(writer, target, err)
              : part->kind == GW_CHANGE_UPDATE ? prepare_update(writer, target, &part->rows[0], err)
                                               : prepare_remove(writer, target, err);
    for (size_t i = 0; ok && i < part->count; i++) {
        if (part->kind == GW_CHANGE_INSERT)
            ok = insert_row(writer, target, &part->rows[i], touched, err);
        else if (part->kind == GW_CHANGE_UPDATE)
            ok = update_row(writer, target, &part->keys[i], &part->rows[i], touched, err);
        else
            ok = remove_row(writer, target, &part->keys[i], touched, err);
    }
    return ok;
}

/* ---- whole tables and ranges ----------------------------------------------------------------------------------- */

bool gw_lite_truncate(struct gw_writer *writer, const struct gw_collection *const *collections, size_t count,
                      struct gw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct gw_lite_target *target = NULL;
        gw_autobuf struct gw_buf sql = {0};
        if (!writer->inside)
            return gw_fail(err, GW_ERR_BUG, "a write outside of a transaction");
        if (!gw_lite_target_for(writer, collections[i], &target, err))
            return false;
        gw_buf_adds(&sql, "DELETE FROM main.");
        gw_lite_add_ident(&sql, target->table->name);
        if (!gw_lite_exec(writer->conn, gw_buf_text(&sql), err))
            return false;
    }
    return true;
}

bool gw_lite_delete_range(struct gw_writer *writer, const struct gw_collection *collection,
                          const struct gw_range *range, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf sql = {0};
    struct gw_lite_target *target = NULL;
    if (!writer->inside)
        return gw_fail(err, GW_ERR_BUG, "a write outside of a transaction");
    if (!gw_lite_target_for(writer, collection, &target, err))
        return false;
    gw_buf_adds(&sql, "DELETE FROM main.");
    gw_lite_add_ident(&sql, target->table->name);
    gw_lite_add_range(&sql, target->table, range);
    return gw_lite_prepare(writer->conn, gw_buf_text(&sql), &statement, err) &&
           gw_lite_bind_range(statement, range, err) && gw_lite_run(writer->conn, statement, err);
}

/* ---- keys ------------------------------------------------------------------------------------------------------ */

/* The rows behind the last key that was given: what is changed meanwhile by this transaction lies before it. (A key that
 * is inserted behind it would be listed, too; who lists deletes.) */
static bool select_keys(struct gw_writer *writer, const struct gw_lite_table *table, bool first, size_t most,
                        sqlite3_stmt **out, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT ");
    gw_lite_add_key_list(&sql, table);
    gw_buf_adds(&sql, " FROM main.");
    gw_lite_add_ident(&sql, table->name);
    if (!first) {
        gw_buf_adds(&sql, " WHERE (");
        for (size_t i = 0; i < table->key_count; i++) {
            gw_buf_adds(&sql, i > 0 ? ", " : "");
            gw_lite_add_key(&sql, table, i, "");
        }
        gw_buf_adds(&sql, ") > (");
        for (size_t i = 0; i < table->key_count; i++)
            gw_buf_addf(&sql, "%s?%zu", i > 0 ? ", " : "", i + 1);
        gw_buf_adds(&sql, ")");
    }
    gw_lite_add_order(&sql, table);
    gw_buf_addf(&sql, " LIMIT %zu", most);
    if (!gw_lite_prepare(writer->conn, gw_buf_text(&sql), out, err))
        return false;
    for (uint32_t i = 0; !first && i < writer->last_key.count; i++)
        if (!gw_lite_bind_value(*out, (int)i + 1, &writer->last_key.values[i]))
            return gw_fail(err, GW_ERR_BUG, "a key of %s that is none", table->name);
    return true;
}

/* The keys a statement finds, into the session's own memory. */
static bool take_keys(struct gw_writer *writer, const struct gw_lite_table *table, sqlite3_stmt *statement,
                      size_t *count, struct gw_error *err)
{
    gw_arena_reset(&writer->keys_arena);
    for (bool row = true;;) {
        if (!gw_lite_step(writer->conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        writer->keys = gw_grow(writer->keys, &writer->keys_capacity, *count, sizeof *writer->keys);
        struct gw_value *values = gw_arena_alloc(&writer->keys_arena, table->key_count * sizeof(struct gw_value));
        for (size_t i = 0; i < table->key_count; i++)
            values[i] = gw_lite_value_of(statement, (int)i, &writer->keys_arena);
        writer->keys[(*count)++] = (struct gw_row){.count = (uint32_t)table->key_count, .values = values};
    }
}

bool gw_lite_list_keys(struct gw_writer *writer, const struct gw_collection *collection, bool first, size_t most,
                       const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    struct gw_lite_target *target = NULL;
    *count = 0;
    *keys = writer->keys;
    if (!writer->inside)
        return gw_fail(err, GW_ERR_BUG, "keys are listed outside of a transaction");
    if (!gw_lite_target_for(writer, collection, &target, err) ||
        !select_keys(writer, target->table, first, most, &statement, err))
        return false;
    if (!take_keys(writer, target->table, statement, count, err))
        return false;
    if (*count > 0) {
        gw_arena_reset(&writer->last_arena);
        writer->last_key = gw_row_copy(&writer->last_arena, &writer->keys[*count - 1]);
    }
    *keys = writer->keys;
    return true;
}

bool gw_lite_find(struct gw_writer *writer, const struct gw_collection *collection, const struct gw_row *like,
                  const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf sql = {0};
    struct gw_lite_target *target = NULL;
    const char *and = " WHERE ";
    *count = 0;
    if (!writer->inside)
        return gw_fail(err, GW_ERR_BUG, "rows are looked for outside of a transaction");
    if (!gw_lite_target_for(writer, collection, &target, err))
        return false;
    gw_buf_adds(&sql, "SELECT ");
    gw_lite_add_key_list(&sql, target->table);
    gw_buf_adds(&sql, " FROM main.");
    gw_lite_add_ident(&sql, target->table->name);
    for (uint32_t c = 0; c < like->count && c < target->columns; c++) {
        if (like->values[c].kind == GW_VALUE_ABSENT || like->values[c].kind == GW_VALUE_UNCHANGED)
            continue;
        gw_buf_adds(&sql, and);
        gw_lite_add_ident(&sql, target->table->columns[c].name);
        gw_buf_addf(&sql, " IS ?%u", c + 1);
        and = " AND ";
    }
    if (!gw_lite_prepare(writer->conn, gw_buf_text(&sql), &statement, err))
        return false;
    for (uint32_t c = 0; c < like->count && c < target->columns; c++)
        if (like->values[c].kind != GW_VALUE_ABSENT && like->values[c].kind != GW_VALUE_UNCHANGED &&
            !bind(statement, (int)c + 1, &like->values[c], target, c, err))
            return false;
    bool ok = take_keys(writer, target->table, statement, count, err);
    *keys = writer->keys;
    return ok;
}
