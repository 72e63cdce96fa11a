#include "store/postgres/describe.h"

#include "base/mem.h"
#include "io/json.h"
#include "sql_embedded.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static char *text_at(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : gw_strdup(PQgetvalue(r, row, column));
}

static bool true_at(const PGresult *r, int row, int column)
{
    return *PQgetvalue(r, row, column) == 't';
}

/* ---- defaults ------------------------------------------------------------------------------------------------------- */

static bool is_now(const char *sql)
{
    static const char *const words[] = {"now()",
                                        "CURRENT_TIMESTAMP",
                                        "LOCALTIMESTAMP",
                                        "transaction_timestamp()",
                                        "statement_timestamp()",
                                        "clock_timestamp()",
                                        "CURRENT_DATE",
                                        "LOCALTIME"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        if (strncmp(sql, words[i], len) == 0 &&
            (!sql[len] || (sql[len] == '(' && isdigit((unsigned char)sql[len + 1]))))
            return true;
    }
    return false;
}

/* As the server writes them: the second since version 14. */
static bool is_now_utc(const char *sql)
{
    static const char *const words[] = {"timezone('utc'::text, now())",
                                        "timezone('UTC'::text, now())",
                                        "(now() AT TIME ZONE 'utc'::text)",
                                        "(now() AT TIME ZONE 'UTC'::text)",
                                        "timezone('utc'::text, CURRENT_TIMESTAMP)",
                                        "timezone('UTC'::text, CURRENT_TIMESTAMP)",
                                        "(CURRENT_TIMESTAMP AT TIME ZONE 'utc'::text)",
                                        "(CURRENT_TIMESTAMP AT TIME ZONE 'UTC'::text)"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(sql, words[i]) == 0)
            return true;
    return false;
}

static bool is_uuid(const char *sql)
{
    size_t len = strlen(sql);
    static const char v4[] = "uuid_generate_v4()";
    return strcmp(sql, "gen_random_uuid()") == 0 ||
           (len >= sizeof v4 - 1 && strcmp(sql + len - (sizeof v4 - 1), v4) == 0 && !strchr(sql, ' '));
}

/* "::integer", "::character varying(3)[]" to the end, or nothing. */
static bool is_cast(const char *at)
{
    while (*at == ')')
        at++;
    if (!*at)
        return true;
    if (at[0] != ':' || at[1] != ':')
        return false;
    for (at += 2; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("_ .\"(),[]", *at))
            return false;
    return true;
}

/* The value in 'it''s'::text, E'a\\b', 5, (-5), '-5'::integer; false when the expression is more than a constant. */
static bool constant_of(const char *sql, struct gw_buf *out)
{
    bool escapes = sql[0] == 'E' && sql[1] == '\'';
    const char *at = sql + escapes;
    if (*at == '\'') {
        for (at++; *at; at++) {
            if (*at == '\'' && at[1] != '\'')
                return is_cast(at + 1);
            if (*at == '\'' || (escapes && *at == '\\'))
                at++;
            gw_buf_addc(out, *at);
        }
        return false;
    }
    if (strcmp(sql, "true") == 0 || strcmp(sql, "false") == 0) {
        gw_buf_addc(out, *sql == 't' ? 't' : 'f');
        return true;
    }
    while (*at == '(')
        at++;
    size_t digits = strspn(at + (*at == '-'), "0123456789.");
    gw_buf_add(out, at, digits + (*at == '-'));
    return digits > 0 && is_cast(at + (*at == '-') + digits);
}

static void take_constant(struct gw_column_definition *column, const struct gw_pg_coding *coding,
                          const struct gw_buf *text)
{
    struct gw_error ignored;
    struct gw_arena arena = {0};
    struct gw_datum datum;
    if (gw_pg_read_text(coding, gw_buf_text(text), (uint32_t)text->len, &arena, &datum, &ignored)) {
        column->default_kind = GW_DEFAULT_VALUE;
        column->default_value = datum;
        if (gw_kind_has_bytes(datum.kind) || datum.len) {
            column->default_bytes = gw_alloc((size_t)datum.len + 1);
            memcpy(column->default_bytes, datum.bytes, datum.len);
            column->default_bytes[datum.len] = 0;
            column->default_value.bytes = (const unsigned char *)column->default_bytes;
        }
    }
    gw_arena_release(&arena);
}

static void take_default(struct gw_column_definition *column, const struct gw_pg_coding *coding, const char *sql)
{
    gw_autobuf struct gw_buf text = {0};
    if (strncmp(sql, "NULL::", 6) == 0)
        return;
    if (column->counts && strncmp(sql, "nextval(", 8) == 0)
        return;
    if (is_now(sql))
        column->default_kind = GW_DEFAULT_NOW;
    else if (is_now_utc(sql) && column->type.kind == GW_KIND_TIMESTAMP)
        column->default_kind = GW_DEFAULT_NOW_UTC;
    else if (is_uuid(sql))
        column->default_kind = GW_DEFAULT_UUID;
    else if (constant_of(sql, &text))
        take_constant(column, coding, &text);
    if (column->default_kind == GW_DEFAULT_NONE) {
        column->default_kind = GW_DEFAULT_SQL;
        column->default_sql = gw_strdup(sql);
    }
}

/* ---- columns -------------------------------------------------------------------------------------------------------- */

struct described {
    struct gw_schema schema;
    struct gw_definition *out;
    struct gw_pg_types *types;
};

static struct gw_table_definition *table_of(const struct described *d, const char *oid)
{
    uint32_t wanted = (uint32_t)strtoul(oid, NULL, 10);
    for (size_t i = 0; i < d->schema.count; i++)
        if (d->schema.collections[i].engine_id == wanted)
            return &d->out->tables[i];
    return NULL;
}

static void add_tables(struct described *d)
{
    d->out->sql_of = gw_strdup(GW_PG_DIALECT);
    for (size_t i = 0; i < d->schema.count; i++) {
        const struct gw_collection *c = &d->schema.collections[i];
        struct gw_table_definition *table = gw_definition_add_table(d->out);
        table->space = gw_strdup(c->space);
        table->name = gw_strdup(c->name);
        for (size_t k = 0; k < c->column_count; k++) {
            const struct gw_column *from = &c->columns[k];
            struct gw_column_definition *to = gw_table_add_column(table, from->name);
            struct gw_pg_coding coding;
            gw_pg_coding_make(&coding, d->types, from->type_id, from->type);
            gw_type_copy(&to->type, &coding.type);
            gw_pg_coding_release(&coding);
            to->sql_type = gw_strdup(from->type);
            to->not_null = from->not_null;
            to->always_counts = from->identity_always;
        }
    }
}

/* A collation that takes different texts for equal says in its locale what it does not look at. */
static void take_collation(struct gw_type *type, const char *name, const char *vague_locale)
{
    if (name)
        type->collation = gw_strdup(name);
    if (!vague_locale)
        return;
    type->ignores_accents = strstr(vague_locale, "level1") && !strstr(vague_locale, "kc-true");
    type->ignores_case = strstr(vague_locale, "level1") || strstr(vague_locale, "level2");
}

static void take_column(const struct described *d, const PGresult *r, int row)
{
    struct gw_table_definition *table = table_of(d, PQgetvalue(r, row, 0));
    int place = table ? gw_table_column(table, PQgetvalue(r, row, 1)) : -1;
    if (place < 0)
        return;
    struct gw_column_definition *column = &table->columns[place];
    const struct gw_column *listed = &d->schema.collections[table - d->out->tables].columns[place];
    char generated = *PQgetvalue(r, row, 3);
    column->counts = true_at(r, row, 8) || *PQgetvalue(r, row, 2) != 0;
    column->generated = generated != 0;
    column->generated_stored = generated == 's';
    take_collation(&column->type, PQgetisnull(r, row, 5) ? NULL : PQgetvalue(r, row, 5),
                   PQgetisnull(r, row, 6) ? NULL : PQgetvalue(r, row, 6));
    column->comment = text_at(r, row, 7);
    if (PQgetisnull(r, row, 4))
        return;
    if (column->generated) {
        column->generated_sql = text_at(r, row, 4);
        return;
    }
    struct gw_pg_coding coding;
    gw_pg_coding_make(&coding, d->types, listed->type_id, listed->type);
    take_default(column, &coding, PQgetvalue(r, row, 4));
    gw_pg_coding_release(&coding);
}

/* ---- indexes and constraints ---------------------------------------------------------------------------------------- */

static char *member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? gw_strdup(text) : NULL;
}

static bool take_index(const struct described *d, const PGresult *r, int row, struct gw_error *err)
{
    struct gw_table_definition *table = table_of(d, PQgetvalue(r, row, 0));
    gw_autojson json_t *parts = NULL;
    const char *method = PQgetvalue(r, row, 4);
    if (!table)
        return true;
    if (!gw_json_parse(PQgetvalue(r, row, 8), strlen(PQgetvalue(r, row, 8)), "an index", &parts, err))
        return false;
    enum gw_index_kind kind = true_at(r, row, 2)                                            ? GW_INDEX_PRIMARY
                              : true_at(r, row, 7)                                          ? GW_INDEX_OTHER
                              : true_at(r, row, 3)                                          ? GW_INDEX_UNIQUE
                              : strcmp(method, "btree") == 0 || strcmp(method, "hash") == 0 ? GW_INDEX_PLAIN
                                                                                            : GW_INDEX_OTHER;
    struct gw_index_definition *index = gw_table_add_index(table, kind);
    index->name = text_at(r, row, 1);
    index->method = strcmp(method, "btree") == 0 ? NULL : gw_strdup(method);
    index->sql = text_at(r, row, 5);
    index->where = text_at(r, row, 6);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *from = json_array_get(parts, i);
        const char *column = json_string_value(json_object_get(from, "column"));
        struct gw_index_part *part = gw_index_add_part(index, column);
        part->expression = member(from, "expression");
        part->descending = json_is_true(json_object_get(from, "descending"));
    }
    return true;
}

static enum gw_reference_action action_of(char letter)
{
    switch (letter) {
    case 'r':
        return GW_REFERENCE_RESTRICT;
    case 'c':
        return GW_REFERENCE_CASCADE;
    case 'n':
        return GW_REFERENCE_SET_NULL;
    case 'd':
        return GW_REFERENCE_SET_DEFAULT;
    default:
        return GW_REFERENCE_NO_ACTION;
    }
}

static bool take_names(const char *json, char ***out, size_t *count, struct gw_error *err)
{
    gw_autojson json_t *names = NULL;
    if (!gw_json_parse(json, strlen(json), "a foreign key", &names, err))
        return false;
    *count = json_array_size(names);
    *out = gw_calloc(*count + 1, sizeof **out);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = gw_strdup(json_string_value(json_array_get(names, i)));
    return true;
}

static bool take_constraint(const struct described *d, const PGresult *r, int row, struct gw_error *err)
{
    struct gw_table_definition *table = table_of(d, PQgetvalue(r, row, 0));
    size_t references;
    if (!table)
        return true;
    if (*PQgetvalue(r, row, 1) == 'c') {
        gw_table_add_check(table, PQgetvalue(r, row, 2), PQgetvalue(r, row, 4));
        return true;
    }
    struct gw_foreign_key *key = gw_table_add_foreign_key(table);
    key->name = text_at(r, row, 2);
    key->not_valid = !true_at(r, row, 3);
    key->space = text_at(r, row, 5);
    key->table = text_at(r, row, 6);
    key->on_delete = action_of(*PQgetvalue(r, row, 7));
    key->on_update = action_of(*PQgetvalue(r, row, 8));
    key->deferrable = true_at(r, row, 11);
    key->deferred = true_at(r, row, 12);
    return take_names(PQgetvalue(r, row, 9), &key->columns, &key->column_count, err) &&
           take_names(PQgetvalue(r, row, 10), &key->references, &references, err);
}

/* ---- all ------------------------------------------------------------------------------------------------------------ */

static bool query_each(struct gw_pg_store *store, PGconn *conn, const char *sql, const char *oids, PGresult **out,
                       struct gw_error *err)
{
    return gw_pg_query(store, conn, sql, oids ? 1 : 0, &oids, out, err);
}

static bool describe_tables(struct described *d, struct gw_pg_store *store, PGconn *conn, const char *oids,
                            struct gw_error *err)
{
    PGresult *r;
    if (!query_each(store, conn, gw_sql_describe_columns, oids, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        take_column(d, r, row);
    PQclear(r);
    if (!query_each(store, conn, gw_sql_describe_indexes, oids, &r, err))
        return false;
    bool fine = true;
    for (int row = 0; fine && row < PQntuples(r); row++)
        fine = take_index(d, r, row, err);
    PQclear(r);
    if (!fine || !query_each(store, conn, gw_sql_describe_constraints, oids, &r, err))
        return false;
    for (int row = 0; fine && row < PQntuples(r); row++)
        fine = take_constraint(d, r, row, err);
    PQclear(r);
    if (!fine || !query_each(store, conn,
                             "SELECT oid, obj_description(oid, 'pg_class') FROM pg_class"
                             " WHERE oid = ANY ($1::oid[])",
                             oids, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        if (!PQgetisnull(r, row, 1)) {
            struct gw_table_definition *table = table_of(d, PQgetvalue(r, row, 0));
            if (table)
                table->comment = text_at(r, row, 1);
        }
    PQclear(r);
    return true;
}

static bool describe_with(struct described *d, struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf tables = {0}, types = {0};
    PGresult *r;
    for (size_t i = 0; i < d->schema.count; i++) {
        gw_buf_addf(&tables, "%c%u", i ? ',' : '{', d->schema.collections[i].engine_id);
        for (size_t k = 0; k < d->schema.collections[i].column_count; k++)
            if (!gw_pg_type_is_known(d->schema.collections[i].columns[k].type_id))
                gw_buf_addf(&types, "%c%u", types.len ? ',' : '{', d->schema.collections[i].columns[k].type_id);
    }
    gw_buf_adds(&tables, tables.len ? "}" : "{}");
    gw_buf_adds(&types, types.len ? "}" : "{}");
    if (!gw_pg_types_load(store, conn, gw_buf_text(&types), &d->types, err))
        return false;
    add_tables(d);
    if (!describe_tables(d, store, conn, gw_buf_text(&tables), err) ||
        !query_each(store, conn, gw_sql_describe_objects, NULL, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        gw_definition_add_object(d->out, PQgetvalue(r, row, 0), PQgetvalue(r, row, 1), PQgetvalue(r, row, 2));
    PQclear(r);
    return true;
}

bool gw_pg_describe(struct gw_store *base, const struct gw_filter *filter, struct gw_definition *out,
                    struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    struct gw_definition definition = {0};
    struct described d = {.out = &definition};
    PGconn *conn;
    if (!base->type->catalog->list(base, filter, &d.schema, err))
        return false;
    bool fine = gw_pg_borrow(store, &conn, err);
    if (fine) {
        fine = describe_with(&d, store, conn, err);
        gw_pg_return(store, conn, !fine);
    }
    gw_pg_types_free(d.types);
    gw_schema_release(&d.schema);
    if (!fine) {
        gw_definition_release(&definition);
        return gw_error_place(err, "%s %s", gw_side_name(base->side), base->identity.address);
    }
    *out = definition;
    return true;
}
