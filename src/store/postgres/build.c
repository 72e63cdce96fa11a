/*
 * Tables made from a definition of another engine, or of this one under rules. Each statement is made again by a killed
 * step without harm: IF NOT EXISTS, or a look before.
 *
 * An enum or set becomes text with a check: text compares and sorts as the application sees it, a label is added without
 * a new type, and nothing has to be there before the table.
 */
#include "store/postgres/build.h"

#include "base/crash.h"
#include "base/mem.h"
#include "sql_embedded.h"
#include "store/postgres/parallel.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct gw_pg_building building_of(struct gw_store *target, const struct gw_definition *definition,
                                         struct gw_buf *left)
{
    return (struct gw_pg_building){.store = gw_pg_store_of(target),
                                   .definition = definition,
                                   .own = definition->sql_of && strcmp(definition->sql_of, GW_PG_DIALECT) == 0,
                                   .left = left};
}

/* ---- columns -------------------------------------------------------------------------------------------------------- */

static bool can_be_identity(const struct gw_column_definition *column)
{
    return column->type.kind == GW_KIND_INT64;
}

bool gw_pg_can_count(const struct gw_table_definition *table, const struct gw_column_definition *column)
{
    (void)table;
    switch (column->type.kind) {
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
    case GW_KIND_DECIMAL:
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
        return true;
    default:
        return false;
    }
}

static void sequence_name(const struct gw_table_definition *table, const struct gw_column_definition *column,
                          struct gw_buf *out)
{
    gw_autobuf struct gw_buf name = {0};
    gw_buf_addf(&name, "%s_%s_seq", table->name, column->name);
    gw_pg_build_fit_name(&name);
    gw_pg_add_ident(out, gw_pg_build_space(table->space));
    gw_buf_addc(out, '.');
    gw_pg_add_ident(out, gw_buf_text(&name));
}

/* A constant as a literal of the column's type. */
static bool add_constant(const struct gw_column_definition *column, struct gw_buf *sql)
{
    struct gw_pg_coding coding = {0};
    struct gw_datum fitting;
    struct gw_error ignored;
    struct gw_arena arena = {0};
    gw_autobuf struct gw_buf text = {0}, name = {0};
    struct gw_type got;
    if (column->default_value.kind == GW_KIND_NULL)
        return false;
    if (!gw_pg_type_for(&column->type, &name, &got, &ignored))
        return false;
    gw_type_release(&got);
    gw_pg_coding_of_sql(&coding, gw_buf_text(&name));
    bool fine = gw_pg_check_datum(&coding, &column->default_value, &arena, &fitting, &ignored) &&
                gw_pg_write_text(&coding, &fitting, &text, &ignored);
    if (fine) {
        gw_pg_add_literal(sql, gw_buf_text(&text));
        gw_buf_addf(sql, "::%s", column->sql_type);
    }
    gw_pg_coding_release(&coding);
    gw_arena_release(&arena);
    return fine;
}

static void add_default(const struct gw_pg_building *b, const struct gw_table_definition *table,
                        const struct gw_column_definition *column, struct gw_buf *sql)
{
    gw_autobuf struct gw_buf value = {0};
    enum gw_kind kind = column->type.kind;
    bool moment = kind == GW_KIND_TIMESTAMP || kind == GW_KIND_TIMESTAMPTZ || kind == GW_KIND_DATE;
    switch (column->default_kind) {
    case GW_DEFAULT_NONE:
        return;
    case GW_DEFAULT_VALUE:
        if (add_constant(column, &value))
            break;
        gw_datum_print(&column->default_value, &value);
        gw_pg_build_left(b, table, "column %s has no default here: %s does not fit", column->name, gw_buf_text(&value));
        return;
    case GW_DEFAULT_NOW:
        gw_buf_adds(&value, moment ? "CURRENT_TIMESTAMP" : kind == GW_KIND_TIME ? "LOCALTIME" : "");
        break;
    case GW_DEFAULT_NOW_UTC:
        if (moment || kind == GW_KIND_TIME)
            gw_buf_addf(&value, "(CURRENT_TIMESTAMP AT TIME ZONE 'UTC')%s",
                        kind == GW_KIND_DATE   ? "::date"
                        : kind == GW_KIND_TIME ? "::time"
                                               : "");
        break;
    case GW_DEFAULT_UUID:
        gw_buf_adds(&value, kind == GW_KIND_UUID   ? "gen_random_uuid()"
                            : kind == GW_KIND_TEXT ? "gen_random_uuid()::text"
                                                   : "");
        break;
    case GW_DEFAULT_SQL:
        if (b->own)
            gw_buf_adds(&value, column->default_sql);
        break;
    }
    if (value.len)
        gw_buf_addf(sql, " DEFAULT %s", gw_buf_text(&value));
    else
        gw_pg_build_left(b, table, "column %s has no default here: %s", column->name,
                         column->default_sql ? column->default_sql : "its type has no such value");
}

static void add_counter(const struct gw_table_definition *table, const struct gw_column_definition *column,
                        struct gw_buf *sql)
{
    gw_autobuf struct gw_buf sequence = {0};
    if (can_be_identity(column)) {
        gw_buf_addf(sql, " GENERATED %s AS IDENTITY", column->always_counts ? "ALWAYS" : "BY DEFAULT");
        return;
    }
    sequence_name(table, column, &sequence);
    gw_buf_adds(sql, " DEFAULT nextval(");
    gw_pg_add_literal(sql, gw_buf_text(&sequence));
    gw_buf_adds(sql, "::regclass)");
}

static void add_column(const struct gw_pg_building *b, const struct gw_table_definition *table,
                       const struct gw_column_definition *column, struct gw_buf *sql)
{
    gw_pg_add_ident(sql, column->name);
    gw_buf_addf(sql, " %s", column->sql_type);
    if (b->own && column->type.collation)
        gw_buf_addf(sql, " COLLATE %s", column->type.collation);
    if (column->generated && b->own && column->generated_sql) {
        gw_buf_addf(sql, " GENERATED ALWAYS AS (%s) STORED", column->generated_sql);
    } else if (column->generated) {
        gw_pg_build_left(b, table, "column %s is plain and empty here: it was computed as %s", column->name,
                         column->generated_sql ? column->generated_sql : "(unknown)");
        return;
    } else if (column->counts) {
        add_counter(table, column, sql);
    } else {
        add_default(b, table, column, sql);
    }
    if (column->updates_to_now)
        gw_pg_build_left(b, table, "column %s is not set to the current time by updates here: a trigger would do it",
                         column->name);
    if (column->not_null)
        gw_buf_adds(sql, " NOT NULL");
}

static void add_comment(const char *what, const char *name, const char *comment, struct gw_buf *sql)
{
    if (!comment || !*comment)
        return;
    gw_buf_addf(sql, "COMMENT ON %s %s IS ", what, name);
    gw_pg_add_literal(sql, comment);
    gw_buf_adds(sql, ";\n");
}

/* The application's role has rights on what it owns: where the schema is somebody's whose rights we have, so are its
 * tables. A schema of pg_database_owner is the database owner's. */
static const char hand_over_sql[] =
    "DO $hand_over$ DECLARE o oid; t regclass := %s::regclass; BEGIN"
    " SELECT CASE WHEN r.rolname = 'pg_database_owner' THEN d.datdba ELSE n.nspowner END INTO o"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = n.nspowner,"
    " pg_database d WHERE c.oid = t AND d.datname = current_database();"
    " IF o <> (SELECT c.relowner FROM pg_class c WHERE c.oid = t) AND pg_has_role(o, 'USAGE')"
    " AND NOT EXISTS (SELECT FROM pg_roles WHERE oid = o AND rolsuper) THEN"
    " EXECUTE format('ALTER TABLE %%s OWNER TO %%I', t, (SELECT rolname FROM pg_roles WHERE oid = o)); END IF;"
    " END $hand_over$;\n";

static void add_table(const struct gw_pg_building *b, const struct gw_table_definition *table, struct gw_buf *sql)
{
    gw_autobuf struct gw_buf name = {0}, literal = {0};
    gw_pg_build_table(&name, table);
    gw_pg_add_literal(&literal, gw_buf_text(&name));
    for (size_t i = 0; i < table->column_count; i++) {
        const struct gw_column_definition *column = &table->columns[i];
        if (!column->counts || column->generated || can_be_identity(column))
            continue;
        gw_buf_adds(sql, "CREATE SEQUENCE IF NOT EXISTS ");
        sequence_name(table, column, sql);
        gw_buf_adds(sql, ";\n");
    }
    gw_buf_addf(sql, "CREATE TABLE IF NOT EXISTS %s (", gw_buf_text(&name));
    for (size_t i = 0; i < table->column_count; i++) {
        gw_buf_adds(sql, i ? ", " : "");
        add_column(b, table, &table->columns[i], sql);
    }
    gw_buf_adds(sql, ");\n");
    add_comment("TABLE", gw_buf_text(&name), table->comment, sql);
    gw_buf_addf(sql, hand_over_sql, gw_buf_text(&literal));
    for (size_t i = 0; i < table->column_count; i++) {
        const struct gw_column_definition *column = &table->columns[i];
        gw_autobuf struct gw_buf of = {0};
        gw_buf_addf(&of, "%s.", gw_buf_text(&name));
        gw_pg_add_ident(&of, column->name);
        add_comment("COLUMN", gw_buf_text(&of), column->comment, sql);
        if (!column->counts || column->generated || can_be_identity(column))
            continue;
        gw_autobuf struct gw_buf sequence = {0}, sequence_literal = {0};
        sequence_name(table, column, &sequence);
        gw_pg_add_literal(&sequence_literal, gw_buf_text(&sequence));
        gw_buf_addf(sql,
                    "DO $give$ BEGIN EXECUTE format('ALTER SEQUENCE %s OWNER TO %%I', (SELECT r.rolname FROM"
                    " pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = %s::regclass)); END $give$;\n",
                    gw_buf_text(&sequence), gw_buf_text(&literal));
        gw_buf_addf(sql, "ALTER SEQUENCE %s OWNED BY %s;\n", gw_buf_text(&sequence), gw_buf_text(&of));
    }
}

/* A type that is not on this side: its texts are kept as text. */
static bool check_types(const struct gw_pg_building *b, PGconn *conn, struct gw_table_definition *table,
                        struct gw_error *err)
{
    for (size_t i = 0; i < table->column_count; i++) {
        struct gw_column_definition *column = &table->columns[i];
        gw_autobuf struct gw_buf found = {0};
        const char *param = column->sql_type;
        bool there;
        if (!strchr(column->sql_type, '.'))
            continue;
        if (!gw_pg_query_text(b->store, conn, "SELECT to_regtype($1)::text", 1, &param, &found, &there, err))
            return false;
        if (there && found.len)
            continue;
        gw_pg_build_left(b, table, "column %s is text here: there is no type %s", column->name, column->sql_type);
        free(column->sql_type);
        column->sql_type = gw_strdup("text");
    }
    return true;
}

static bool build_tables(const struct gw_pg_building *b, const struct gw_table_definition *only, PGconn *conn,
                         struct gw_error *err)
{
    for (size_t i = 0; i < b->definition->table_count; i++) {
        gw_autobuf struct gw_buf sql = {0};
        struct gw_table_definition table;
        if (only && strcmp(b->definition->tables[i].name, only->name) != 0)
            continue;
        gw_table_definition_copy(&table, &b->definition->tables[i]);
        bool fine = check_types(b, conn, &table, err);
        if (fine) {
            gw_buf_adds(&sql, "BEGIN;\n");
            if (strcmp(gw_pg_build_space(table.space), "public") != 0) {
                gw_buf_adds(&sql, "CREATE SCHEMA IF NOT EXISTS ");
                gw_pg_add_ident(&sql, table.space);
                gw_buf_adds(&sql, ";\n");
            }
            add_table(b, &table, &sql);
            gw_buf_adds(&sql, "COMMIT");
            fine = gw_pg_exec(b->store, conn, gw_buf_text(&sql), err);
        }
        if (!fine)
            gw_error_prefix(err, "making table %s.%s", gw_pg_build_space(table.space), table.name);
        gw_table_definition_release(&table);
        if (!fine)
            return false;
        GW_CRASH_POINT("build.after_table");
    }
    return true;
}

/* ---- indexes -------------------------------------------------------------------------------------------------------- */

static const struct gw_column_definition *column_named(const struct gw_table_definition *table, const char *name)
{
    int place = gw_table_column(table, name);
    return place < 0 ? NULL : &table->columns[place];
}

/* The first characters of a column tell rows apart as they did, in an expression. */
static void add_prefix(const struct gw_index_part *part, const struct gw_column_definition *column, struct gw_buf *sql)
{
    bool bytes = column->type.kind == GW_KIND_BYTES;
    gw_buf_adds(sql, bytes ? "substring(" : "left(");
    gw_pg_add_ident(sql, part->column);
    gw_buf_addf(sql, bytes ? " FROM 1 FOR %u)" : "::text, %u)", part->prefix);
}

static bool add_part(const struct gw_pg_building *b, const struct gw_table_definition *table,
                     const struct gw_index_part *part, struct gw_buf *sql)
{
    if (!part->column) {
        if (!b->own || !part->expression)
            return false;
        gw_buf_addf(sql, "(%s)", part->expression);
    } else {
        const struct gw_column_definition *column = column_named(table, part->column);
        if (!column)
            return false;
        bool whole = part->prefix == 0 || (column->type.length && column->type.length <= part->prefix);
        if (whole)
            gw_pg_add_ident(sql, part->column);
        else
            add_prefix(part, column, sql);
    }
    gw_buf_adds(sql, part->descending ? " DESC" : "");
    return true;
}

static bool add_parts(const struct gw_pg_building *b, const struct gw_table_definition *table,
                      const struct gw_index_definition *index, struct gw_buf *sql)
{
    for (size_t i = 0; i < index->part_count; i++) {
        gw_buf_adds(sql, i ? ", " : "");
        if (!add_part(b, table, &index->parts[i], sql))
            return false;
    }
    return index->part_count > 0;
}

static bool index_sql(const struct gw_pg_building *b, const struct gw_table_definition *table,
                      const struct gw_index_definition *index, struct gw_buf *sql)
{
    gw_autobuf struct gw_buf name = {0}, ident = {0}, table_name = {0}, parts = {0}, where = {0};
    if ((index->kind == GW_INDEX_OTHER && !b->own) || index->kind == GW_INDEX_FULLTEXT ||
        index->kind == GW_INDEX_SPATIAL || !add_parts(b, table, index, &parts) ||
        (index->where && !gw_pg_build_condition(b, table, index->where, &where)))
        return false;
    if (index->kind == GW_INDEX_OTHER && (!index->method || strstr(index->sql ? index->sql : "", "EXCLUDE")))
        return false;
    gw_pg_build_index_name(b, table, index, &name);
    gw_pg_add_ident(&ident, gw_buf_text(&name));
    gw_pg_build_table(&table_name, table);
    bool unique = index->kind == GW_INDEX_UNIQUE || index->kind == GW_INDEX_PRIMARY;
    gw_buf_addf(sql, "CREATE %sINDEX IF NOT EXISTS %s ON %s USING %s (%s)", unique ? "UNIQUE " : "",
                gw_buf_text(&ident), gw_buf_text(&table_name), b->own && index->method ? index->method : "btree",
                gw_buf_text(&parts));
    if (where.len)
        gw_buf_addf(sql, " WHERE %s", gw_buf_text(&where));
    return true;
}

/* The primary key, or the unique index that stands in for it: over whole columns that are never NULL. */
static const struct gw_index_definition *key_of(const struct gw_table_definition *table)
{
    const struct gw_index_definition *key = NULL;
    for (size_t i = 0; i < table->index_count; i++) {
        const struct gw_index_definition *index = &table->indexes[i];
        bool fits = !index->where && index->part_count > 0;
        if (index->kind == GW_INDEX_PRIMARY)
            return index;
        for (size_t k = 0; k < index->part_count; k++) {
            const struct gw_column_definition *column =
                index->parts[k].column ? column_named(table, index->parts[k].column) : NULL;
            fits = fits && column && column->not_null && index->parts[k].prefix == 0;
        }
        if (!key && fits && index->kind == GW_INDEX_UNIQUE)
            key = index;
    }
    return key;
}

static bool has_whole_parts(const struct gw_index_definition *index)
{
    for (size_t i = 0; i < index->part_count; i++)
        if (!index->parts[i].column || index->parts[i].prefix)
            return false;
    return true;
}

static bool has_plain_index(const struct gw_table_definition *table)
{
    for (size_t i = 0; i < table->index_count; i++)
        if (table->indexes[i].kind == GW_INDEX_PLAIN)
            return true;
    return false;
}

/* Several indexes of a table are made beside one another, each then by one process: workers cost more than they bring
 * where a table is not large (measured on 1 M rows: 1.40 s of the server's processors with them, 1.22 s without). */
static bool build_beside(const struct gw_pg_building *b, PGconn *conn, const struct gw_table_definition *table,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, name = {0};
    PGresult *r;
    gw_pg_build_table(&name, table);
    gw_buf_adds(&sql, "SELECT set_config('max_parallel_maintenance_workers', '0', false) WHERE pg_relation_size(");
    gw_pg_add_literal(&sql, gw_buf_text(&name));
    gw_buf_adds(&sql, "::regclass) < 1::bigint << 30");
    if (!gw_pg_query(b->store, conn, gw_buf_text(&sql), 0, NULL, &r, err))
        return false;
    PQclear(r);
    return true;
}

static bool build_key(const struct gw_pg_building *b, PGconn *conn, const struct gw_table_definition *table,
                      struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, key_sql = {0}, name = {0}, ident = {0}, table_name = {0}, literal = {0},
                             parts = {0};
    const struct gw_index_definition *key = key_of(table);
    if (!key)
        return true;
    if (key->kind != GW_INDEX_PRIMARY || !has_whole_parts(key))
        return !index_sql(b, table, key, &sql) || gw_pg_exec(b->store, conn, gw_buf_text(&sql), err);
    gw_pg_build_index_name(b, table, key, &name);
    gw_pg_build_table(&table_name, table);
    gw_pg_add_literal(&literal, gw_buf_text(&table_name));
    for (size_t i = 0; i < key->part_count; i++) { /* a primary key has no direction */
        gw_buf_adds(&parts, i ? ", " : "");
        gw_pg_add_ident(&parts, key->parts[i].column);
    }
    gw_pg_add_ident(&ident, gw_buf_text(&name));
    gw_buf_addf(&sql, "CREATE UNIQUE INDEX IF NOT EXISTS %s ON %s (%s)", gw_buf_text(&ident), gw_buf_text(&table_name),
                gw_buf_text(&parts));
    /* As an index it keeps nobody from making the other ones beside it; to be the key takes the table for a moment. */
    gw_buf_addf(&key_sql,
                "DO $key$ BEGIN IF NOT EXISTS (SELECT FROM pg_constraint WHERE contype = 'p' AND conrelid ="
                " %s::regclass) THEN ALTER TABLE %s ADD CONSTRAINT %s PRIMARY KEY USING INDEX %s; END IF; END $key$",
                gw_buf_text(&literal), gw_buf_text(&table_name), gw_buf_text(&ident), gw_buf_text(&ident));
    if ((has_plain_index(table) && !build_beside(b, conn, table, err)) ||
        !gw_pg_exec(b->store, conn, gw_buf_text(&sql), err))
        return false;
    GW_CRASH_POINT("build.before_key");
    return gw_pg_exec(b->store, conn, gw_buf_text(&key_sql), err);
}

static bool build_keys(const struct gw_pg_building *b, PGconn *conn, const struct gw_table_definition *only,
                       struct gw_error *err)
{
    for (size_t i = 0; i < b->definition->table_count; i++) {
        const struct gw_table_definition *table = &b->definition->tables[i];
        if (only && (strcmp(table->name, only->name) != 0 ||
                     strcmp(gw_pg_build_space(table->space), gw_pg_build_space(only->space)) != 0))
            continue;
        if (!build_key(b, conn, table, err))
            return gw_error_prefix(err, "making the key of %s.%s", gw_pg_build_space(table->space), table->name);
        GW_CRASH_POINT("build.after_key");
    }
    return true;
}

struct index_work {
    const struct gw_pg_building *b;
    size_t count;
    struct {
        const struct gw_table_definition *table;
        char *sql;
        char *failed; /* for a person: what the server said */
    } * items;
};

/* Too long for an index, or no way to compare: a person's work, and no reason to stop. */
static bool can_be_left(const struct gw_error *err)
{
    return strstr(err->message, "(SQLSTATE 54000)") || strstr(err->message, "(SQLSTATE 42704)") ||
           strstr(err->message, "(SQLSTATE 42883)") || strstr(err->message, "(SQLSTATE 0A000)");
}

static bool make_index(struct gw_pg_store *store, PGconn *conn, size_t i, void *arg, struct gw_error *err)
{
    struct index_work *work = arg;
    if (gw_pg_exec(store, conn, work->items[i].sql, err))
        return true;
    if (!can_be_left(err))
        return gw_error_detail(err, "%s", work->items[i].sql);
    work->items[i].failed = gw_strdup(err->message);
    gw_error_clear(err);
    return true;
}

static void list_indexes(struct index_work *work, const struct gw_definition *definition)
{
    for (size_t i = 0; i < definition->table_count; i++) {
        const struct gw_table_definition *table = &definition->tables[i];
        const struct gw_index_definition *key = key_of(table);
        for (size_t k = 0; k < table->index_count; k++) {
            const struct gw_index_definition *index = &table->indexes[k];
            gw_autobuf struct gw_buf sql = {0};
            if (index == key)
                continue;
            if (!index_sql(work->b, table, index, &sql)) {
                gw_pg_build_left(work->b, table, "index %s is not made: %s", index->name ? index->name : "without name",
                                 index->sql                         ? index->sql
                                 : index->kind == GW_INDEX_FULLTEXT ? "full text; see to_tsvector and gin"
                                                                    : "its meaning here is not certain");
                continue;
            }
            work->items = gw_realloc(work->items, (work->count + 1) * sizeof *work->items);
            work->items[work->count].table = table;
            work->items[work->count].failed = NULL;
            work->items[work->count++].sql = gw_buf_detach(&sql);
        }
    }
}

static bool build_indexes(const struct gw_pg_building *b, int jobs, struct gw_error *err)
{
    struct index_work work = {.b = b};
    list_indexes(&work, b->definition);
    struct gw_pg_parallel run = {.store = b->store,
                                 .what = "schema",
                                 .count = work.count,
                                 .jobs = jobs > 0 ? jobs : 1,
                                 .each = make_index,
                                 .arg = &work};
    bool fine = work.count == 0 || gw_pg_parallel_run(&run, err);
    for (size_t i = 0; i < work.count; i++) {
        if (work.items[i].failed)
            gw_pg_build_left(b, work.items[i].table, "%s: %s", work.items[i].sql, work.items[i].failed);
        free(work.items[i].failed);
        free(work.items[i].sql);
    }
    free(work.items);
    return fine;
}

/* ---- one index of a table, before the others -------------------------------------------------------------------------- */

/* The statement for the nth index that rows of any kind may have; false: there are not so many. */
static bool nth_index_sql(const struct gw_pg_building *b, const struct gw_table_definition *table, size_t nth,
                          struct gw_buf *sql)
{
    const struct gw_index_definition *key = key_of(table);
    for (size_t i = 0; i < table->index_count; i++) {
        const struct gw_index_definition *index = &table->indexes[i];
        gw_buf_clear(sql);
        if (index != key && index->kind == GW_INDEX_PLAIN && index_sql(b, table, index, sql) && nth-- == 0)
            return true;
    }
    return false;
}

bool gw_pg_build_index(struct gw_store *target, const struct gw_definition *definition,
                       const struct gw_table_definition *table, size_t nth, bool *more, struct gw_error *err)
{
    gw_autobuf struct gw_buf left = {0}, sql = {0}, next = {0};
    struct gw_pg_building b = building_of(target, definition, &left);
    PGconn *conn;
    *more = nth_index_sql(&b, table, nth, &sql);
    if (!*more)
        return true;
    bool last = !nth_index_sql(&b, table, nth + 1, &next); /* soon nothing of this table is made beside it */
    if (!gw_pg_connect(b.store, GW_PG_PLAIN, "schema", &conn, err))
        return false;
    bool fine = gw_pg_exec(b.store, conn, "SET client_min_messages = warning", err) &&
                (last || build_beside(&b, conn, table, err)) &&
                (gw_pg_exec(b.store, conn, gw_buf_text(&sql), err) || can_be_left(err));
    PQfinish(conn);
    if (!fine)
        return gw_error_place(err, "%s %s", gw_side_name(target->side), target->identity.address);
    gw_error_clear(err);
    GW_CRASH_POINT("build.after_index");
    return true;
}

/* ---- phases --------------------------------------------------------------------------------------------------------- */

static bool build_with(const struct gw_pg_building *b, PGconn *conn, enum gw_build_phase phase,
                       const struct gw_table_definition *only, int jobs, struct gw_error *err)
{
    switch (phase) {
    case GW_BUILD_TABLES:
        return gw_pg_exec(b->store, conn, gw_sql_schema_restore, err) && build_tables(b, only, conn, err);
    case GW_BUILD_KEY:
        return build_keys(b, conn, only, err);
    case GW_BUILD_INDEXES:
        return build_indexes(b, jobs, err);
    case GW_BUILD_CONSTRAINTS:
        return gw_pg_build_constraints(b, conn, err);
    }
    return gw_fail(err, GW_ERR_BUG, "an unknown phase of building");
}

bool gw_pg_build(struct gw_store *target, const struct gw_definition *definition, enum gw_build_phase phase,
                 const struct gw_table_definition *only, int jobs, struct gw_buf *left, struct gw_error *err)
{
    struct gw_pg_building b = building_of(target, definition, left);
    PGconn *conn;
    if (!gw_pg_connect(b.store, GW_PG_PLAIN, "schema", &conn, err))
        return false;
    bool fine = gw_pg_exec(b.store, conn, "SET client_min_messages = warning", err) &&
                build_with(&b, conn, phase, only, jobs, err);
    PQfinish(conn);
    return fine || gw_error_place(err, "%s %s", gw_side_name(target->side), target->identity.address);
}
