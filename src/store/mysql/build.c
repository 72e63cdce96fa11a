/*
 * Another engine's definition made here, column by column as codec->type_for said (sql_type). The primary key comes with
 * its table: rows are kept in its order, and an AUTO_INCREMENT column cannot be without. All else is added later.
 *
 * A key cannot hold a text without end: such a column is made a VARCHAR or VARBINARY as long as the key allows, which is
 * said in `left`; a value that does not fit is an error, never cut.
 */
#include "base/crash.h"
#include "base/mem.h"
#include "store/mysql/column.h"
#include "store/mysql/home.h"
#include "store/mysql/schema.h"

#include <stdlib.h>
#include <string.h>

struct build {
    struct gw_mysql_conn *conn;
    const struct gw_definition *definition;
    bool same_dialect; /* texts of SQL are ours */
    struct gw_buf *left;
};

static bool is_text_without_end(const struct gw_mysql_form *form)
{
    return form->kind == GW_MYSQL_TEXT || form->kind == GW_MYSQL_BLOB;
}

/* How many parts the widest key has that this column is in; 0: it is in none. */
static size_t widest_key(const struct gw_table_definition *table, const char *column)
{
    size_t widest = 0;
    for (size_t i = 0; i < table->index_count; i++) {
        const struct gw_index_definition *index = &table->indexes[i];
        if (index->kind != GW_INDEX_PRIMARY && index->kind != GW_INDEX_UNIQUE && index->kind != GW_INDEX_PLAIN)
            continue;
        for (size_t k = 0; k < index->part_count; k++)
            if (index->parts[k].column && index->parts[k].prefix == 0 && strcmp(index->parts[k].column, column) == 0 &&
                index->part_count > widest)
                widest = index->part_count;
    }
    return widest;
}

static void add_type(struct build *b, const struct gw_table_definition *table,
                     const struct gw_column_definition *column, struct gw_buf *sql)
{
    struct gw_mysql_form form;
    size_t parts = widest_key(table, column->name);
    gw_mysql_form_parse(column->sql_type ? column->sql_type : "longtext", &form);
    if (parts > 0 && is_text_without_end(&form)) {
        bool bytes = form.kind == GW_MYSQL_BLOB;
        size_t length = GW_MYSQL_KEY_BYTES / parts / (bytes ? 1 : 4);
        gw_buf_addf(sql, "%s(%zu)", bytes ? "varbinary" : "varchar", length);
        if (!bytes)
            gw_buf_addf(sql, " character set %s collate %s", *form.charset ? form.charset : "utf8mb4",
                        *form.collation ? form.collation : "utf8mb4_bin");
        gw_buf_addf(b->left, "column %s of %s is in a key: it holds %zu %s at most\n", column->name, table->name,
                    length, bytes ? "bytes" : "characters");
    } else {
        gw_buf_adds(sql, column->sql_type ? column->sql_type : "longtext");
        size_t len = sql->len;
        if (len > 5 && strcmp(sql->data + len - 5, " json") == 0) { /* MariaDB's: the alias brings the check */
            const char *from = column->sql_type;
            sql->len -= strlen(from);
            sql->data[sql->len] = 0;
            gw_buf_adds(sql, "json");
        }
    }
    gw_mysql_form_release(&form);
}

static void add_default_value(const struct gw_datum *datum, struct gw_buf *sql)
{
    gw_autobuf struct gw_buf text = {0};
    switch (datum->kind) {
    case GW_KIND_NULL:
        gw_buf_adds(sql, "NULL");
        break;
    case GW_KIND_BOOL:
        gw_buf_adds(sql, datum->boolean ? "1" : "0");
        break;
    case GW_KIND_BYTES:
        gw_mysql_add_hex(sql, datum->bytes, datum->len);
        break;
    case GW_KIND_BITS:
        gw_buf_addf(sql, "b'%.*s'", (int)datum->len, (const char *)datum->bytes);
        break;
    default:
        gw_datum_print(datum, &text);
        gw_mysql_add_text(sql, gw_buf_text(&text), text.len);
    }
}

static void add_default(struct build *b, const struct gw_table_definition *table,
                        const struct gw_column_definition *column, struct gw_buf *sql)
{
    struct gw_mysql_form form;
    gw_mysql_form_parse(column->sql_type ? column->sql_type : "longtext", &form);
    bool expression = is_text_without_end(&form) || form.kind == GW_MYSQL_JSON || form.kind == GW_MYSQL_GEOMETRY;
    bool time = form.kind == GW_MYSQL_DATETIME || form.kind == GW_MYSQL_TIMESTAMP;
    switch (column->default_kind) {
    case GW_DEFAULT_VALUE:
        gw_buf_adds(sql, expression ? " DEFAULT (" : " DEFAULT ");
        add_default_value(&column->default_value, sql);
        gw_buf_adds(sql, expression ? ")" : "");
        break;
    case GW_DEFAULT_NOW:
        if (time)
            gw_buf_addf(sql, form.scale ? " DEFAULT CURRENT_TIMESTAMP(%u)" : " DEFAULT CURRENT_TIMESTAMP", form.scale);
        else if (form.kind == GW_MYSQL_DATE)
            gw_buf_adds(sql, " DEFAULT (CURRENT_DATE)");
        else
            gw_buf_addf(b->left, "default (now) of column %s of %s\n", column->name, table->name);
        break;
    case GW_DEFAULT_NOW_UTC:
        if (form.kind == GW_MYSQL_DATETIME)
            gw_buf_addf(sql, " DEFAULT (UTC_TIMESTAMP(%u))", form.scale);
        else if (form.kind == GW_MYSQL_DATE)
            gw_buf_adds(sql, " DEFAULT (UTC_DATE())");
        else
            gw_buf_addf(b->left, "default (now, in UTC) of column %s of %s\n", column->name, table->name);
        break;
    case GW_DEFAULT_UUID:
        gw_buf_adds(sql, " DEFAULT (UUID())");
        break;
    case GW_DEFAULT_SQL:
        if (b->same_dialect && column->default_sql)
            gw_buf_addf(sql, " DEFAULT (%s)", column->default_sql);
        else
            gw_buf_addf(b->left, "default of column %s of %s: %s\n", column->name, table->name,
                        column->default_sql ? column->default_sql : "");
        break;
    default:
        if (form.kind == GW_MYSQL_TIMESTAMP && !column->not_null)
            gw_buf_adds(sql, " DEFAULT NULL");
    }
    if (column->updates_to_now && time)
        gw_buf_addf(sql, form.scale ? " ON UPDATE CURRENT_TIMESTAMP(%u)" : " ON UPDATE CURRENT_TIMESTAMP", form.scale);
    gw_mysql_form_release(&form);
}

static void add_column(struct build *b, const struct gw_table_definition *table,
                       const struct gw_column_definition *column, bool counts, struct gw_buf *sql)
{
    gw_mysql_add_ident(sql, column->name);
    gw_buf_addc(sql, ' ');
    add_type(b, table, column, sql);
    if (column->generated && b->same_dialect && column->generated_sql) {
        gw_buf_addf(sql, " GENERATED ALWAYS AS (%s) %s", column->generated_sql,
                    column->generated_stored ? "STORED" : "VIRTUAL");
    } else {
        gw_buf_adds(sql, column->not_null ? " NOT NULL" : " NULL");
        if (column->generated)
            gw_buf_addf(b->left, "column %s of %s was computed, here it is stored: %s\n", column->name, table->name,
                        column->generated_sql ? column->generated_sql : "");
        if (counts)
            gw_buf_adds(sql, " AUTO_INCREMENT");
        else if (!column->counts)
            add_default(b, table, column, sql);
    }
    if (column->hidden)
        gw_buf_adds(sql, " INVISIBLE");
    if (column->comment && *column->comment) {
        gw_buf_adds(sql, " COMMENT ");
        gw_mysql_add_literal(sql, column->comment);
    }
}

static bool add_parts(struct build *b, const struct gw_table_definition *table, const struct gw_index_definition *index,
                      struct gw_buf *sql)
{
    gw_buf_adds(sql, " (");
    for (size_t i = 0; i < index->part_count; i++) {
        const struct gw_index_part *part = &index->parts[i];
        if (!part->column) {
            gw_buf_addf(b->left, "index %s of %s is over an expression: %s\n", index->name ? index->name : "",
                        table->name, part->expression ? part->expression : "");
            return false;
        }
        gw_buf_adds(sql, i ? ", " : "");
        gw_mysql_add_ident(sql, part->column);
        if (part->prefix)
            gw_buf_addf(sql, "(%u)", part->prefix);
        gw_buf_adds(sql, part->descending ? " DESC" : "");
    }
    gw_buf_addc(sql, ')');
    return true;
}

static const struct gw_index_definition *primary_of(const struct gw_table_definition *table)
{
    for (size_t i = 0; i < table->index_count; i++)
        if (table->indexes[i].kind == GW_INDEX_PRIMARY)
            return &table->indexes[i];
    return NULL;
}

/* One column of a table, and the first of its key. */
bool gw_mysql_can_count(const struct gw_table_definition *table, const struct gw_column_definition *column)
{
    const struct gw_index_definition *primary = primary_of(table);
    const char *first_key = primary && primary->part_count ? primary->parts[0].column : NULL;
    enum gw_kind kind = column->type.kind;
    return first_key && strcmp(first_key, column->name) == 0 &&
           (kind == GW_KIND_INT64 || kind == GW_KIND_UINT64 || kind == GW_KIND_FLOAT32 || kind == GW_KIND_FLOAT64);
}

static bool build_table(struct build *b, const struct gw_table_definition *table, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    const struct gw_index_definition *primary = primary_of(table);
    bool there;
    if (!gw_mysql_table_there(b->conn, table->name, &there, err))
        return false;
    if (there)
        return true;
    gw_buf_adds(&sql, "CREATE TABLE ");
    gw_mysql_add_ident(&sql, table->name);
    gw_buf_adds(&sql, " (");
    for (size_t i = 0; i < table->column_count; i++) {
        const struct gw_column_definition *column = &table->columns[i];
        bool counts = column->counts && gw_mysql_can_count(table, column);
        if (column->counts && !counts)
            gw_buf_addf(b->left, "column %s of %s gets no next number: only the first column of the primary key can\n",
                        column->name, table->name);
        gw_buf_adds(&sql, i ? ",\n  " : "\n  ");
        add_column(b, table, column, counts, &sql);
    }
    gw_autobuf struct gw_buf key = {0};
    if (primary && add_parts(b, table, primary, &key))
        gw_buf_addf(&sql, ",\n  PRIMARY KEY%s", gw_buf_text(&key));
    for (size_t i = 0; i < table->check_count; i++) {
        if (b->same_dialect)
            gw_buf_addf(&sql, ",\n  CHECK (%s)", table->checks[i].sql);
        else
            gw_buf_addf(b->left, "check %s of %s: %s\n", table->checks[i].name ? table->checks[i].name : "",
                        table->name, table->checks[i].sql);
    }
    gw_buf_adds(&sql, "\n) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4");
    if (table->comment && *table->comment) {
        gw_buf_adds(&sql, " COMMENT ");
        gw_mysql_add_literal(&sql, table->comment);
    }
    if (!gw_mysql_exec_buf(b->conn, &sql, err))
        return gw_error_place(err, "%s", table->name);
    GW_CRASH_POINT("mysql.build.after_table");
    return true;
}

/* ---- indexes and foreign keys, in the form of schema_keys.c ------------------------------------------------------ */

static json_t *indexes_of(struct build *b, const struct gw_table_definition *table, bool unique_only)
{
    json_t *all = json_array();
    for (size_t i = 0; i < table->index_count; i++) {
        const struct gw_index_definition *index = &table->indexes[i];
        gw_autobuf struct gw_buf sql = {0};
        gw_autofree char *name = index->name ? gw_strndup(index->name, 64) : gw_asprintf("index_%zu", i);
        if (index->kind == GW_INDEX_PRIMARY || (unique_only && (index->kind != GW_INDEX_UNIQUE || index->where)))
            continue;
        if (index->where || index->kind == GW_INDEX_OTHER) {
            gw_buf_addf(b->left, "index %s of %s, which is %s here%s%s\n", name, table->name,
                        index->where ? "not to be had for a part of the rows" : "of a kind that is not known",
                        index->sql ? ": " : "", index->sql ? index->sql : "");
            continue;
        }
        gw_buf_addf(&sql, "%sKEY ",
                    index->kind == GW_INDEX_UNIQUE     ? "UNIQUE "
                    : index->kind == GW_INDEX_FULLTEXT ? "FULLTEXT "
                    : index->kind == GW_INDEX_SPATIAL  ? "SPATIAL "
                                                       : "");
        gw_mysql_add_ident(&sql, name);
        if (add_parts(b, table, index, &sql))
            json_array_append_new(all, json_pack("{s:s, s:s}", "name", name, "sql", gw_buf_text(&sql)));
    }
    return json_pack("{s:s, s:o}", "name", table->name, "indexes", all);
}

static void add_action(struct gw_buf *sql, const char *when, enum gw_reference_action action)
{
    static const char *const words[] = {[GW_REFERENCE_NO_ACTION] = NULL,
                                        [GW_REFERENCE_RESTRICT] = "RESTRICT",
                                        [GW_REFERENCE_CASCADE] = "CASCADE",
                                        [GW_REFERENCE_SET_NULL] = "SET NULL",
                                        [GW_REFERENCE_SET_DEFAULT] = NULL};
    if (words[action])
        gw_buf_addf(sql, " ON %s %s", when, words[action]);
}

static json_t *foreign_keys_of(struct build *b, const struct gw_table_definition *table)
{
    json_t *all = json_array();
    for (size_t i = 0; i < table->foreign_key_count; i++) {
        const struct gw_foreign_key *key = &table->foreign_keys[i];
        gw_autobuf struct gw_buf sql = {0};
        gw_autofree char *name = key->name ? gw_strndup(key->name, 64) : gw_asprintf("%s_key_%zu", table->name, i);
        if (key->on_delete == GW_REFERENCE_SET_DEFAULT || key->on_update == GW_REFERENCE_SET_DEFAULT)
            gw_buf_addf(b->left, "foreign key %s of %s: SET DEFAULT is not kept\n", name, table->name);
        if (key->deferred)
            gw_buf_addf(b->left, "foreign key %s of %s: checked row by row here, not at the end of a transaction\n",
                        name, table->name);
        gw_buf_adds(&sql, "CONSTRAINT ");
        gw_mysql_add_ident(&sql, name);
        gw_buf_adds(&sql, " FOREIGN KEY (");
        for (size_t k = 0; k < key->column_count; k++) {
            gw_buf_adds(&sql, k ? "," : "");
            gw_mysql_add_ident(&sql, key->columns[k]);
        }
        gw_buf_adds(&sql, ") REFERENCES ");
        gw_mysql_add_ident(&sql, key->table);
        gw_buf_adds(&sql, " (");
        for (size_t k = 0; k < key->column_count; k++) {
            gw_buf_adds(&sql, k ? "," : "");
            gw_mysql_add_ident(&sql, key->references[k]);
        }
        gw_buf_addc(&sql, ')');
        add_action(&sql, "DELETE", key->on_delete);
        add_action(&sql, "UPDATE", key->on_update);
        json_array_append_new(all, json_pack("{s:s, s:s}", "name", name, "sql", gw_buf_text(&sql)));
    }
    return json_pack("{s:s, s:o}", "name", table->name, "foreign_keys", all);
}

static bool build_one(struct build *b, const struct gw_table_definition *table, enum gw_build_phase phase,
                      struct gw_error *err)
{
    if (phase == GW_BUILD_TABLES)
        return build_table(b, table, err);
    if (phase == GW_BUILD_KEY && primary_of(table))
        return true;
    json_t *json =
        phase == GW_BUILD_CONSTRAINTS ? foreign_keys_of(b, table) : indexes_of(b, table, phase == GW_BUILD_KEY);
    bool fine = phase == GW_BUILD_CONSTRAINTS ? gw_mysql_add_foreign_keys(b->conn, json, err)
                                              : gw_mysql_add_indexes(b->conn, json, NULL, err);
    json_decref(json);
    return fine;
}

bool gw_mysql_build(struct gw_store *base, const struct gw_definition *definition, enum gw_build_phase phase,
                    const struct gw_table_definition *only, int jobs, struct gw_buf *left, struct gw_error *err)
{
    struct build b = {.definition = definition,
                      .same_dialect = definition->sql_of && strcmp(definition->sql_of, base->type->name) == 0,
                      .left = left};
    (void)jobs;
    if (!gw_mysql_connect(gw_mysql_store_of(base), "build", &b.conn, err))
        return false;
    bool fine = gw_mysql_exec(b.conn, "SET SESSION foreign_key_checks = 0", err);
    if (only)
        fine = fine && build_one(&b, only, phase, err);
    for (size_t i = 0; fine && !only && i < definition->table_count; i++)
        fine = build_one(&b, &definition->tables[i], phase, err);
    if (fine && !only && phase == GW_BUILD_CONSTRAINTS)
        for (size_t i = 0; i < definition->object_count; i++)
            gw_buf_addf(left, "%s %s\n", definition->objects[i].kind, definition->objects[i].name);
    gw_mysql_close(b.conn);
    return fine;
}
