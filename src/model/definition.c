#include "model/definition.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- release -------------------------------------------------------------------------------------------------------- */

static void release_column(struct gw_column_definition *column)
{
    gw_type_release(&column->type);
    free(column->name);
    free(column->sql_type);
    free(column->default_bytes);
    free(column->default_sql);
    free(column->generated_sql);
    free(column->comment);
}

static void release_index(struct gw_index_definition *index)
{
    for (size_t i = 0; i < index->part_count; i++) {
        free(index->parts[i].column);
        free(index->parts[i].expression);
    }
    free(index->parts);
    free(index->name);
    free(index->where);
    free(index->method);
    free(index->sql);
}

static void release_foreign_key(struct gw_foreign_key *key)
{
    for (size_t i = 0; i < key->column_count; i++) {
        free(key->columns[i]);
        free(key->references[i]);
    }
    free(key->columns);
    free(key->references);
    free(key->name);
    free(key->space);
    free(key->table);
}

void gw_table_definition_release(struct gw_table_definition *table)
{
    for (size_t i = 0; i < table->column_count; i++)
        release_column(&table->columns[i]);
    for (size_t i = 0; i < table->index_count; i++)
        release_index(&table->indexes[i]);
    for (size_t i = 0; i < table->foreign_key_count; i++)
        release_foreign_key(&table->foreign_keys[i]);
    for (size_t i = 0; i < table->check_count; i++) {
        free(table->checks[i].name);
        free(table->checks[i].sql);
    }
    free(table->columns);
    free(table->indexes);
    free(table->foreign_keys);
    free(table->checks);
    free(table->space);
    free(table->name);
    free(table->comment);
    *table = (struct gw_table_definition){0};
}

void gw_definition_release(struct gw_definition *definition)
{
    for (size_t i = 0; i < definition->table_count; i++)
        gw_table_definition_release(&definition->tables[i]);
    for (size_t i = 0; i < definition->object_count; i++) {
        free(definition->objects[i].kind);
        free(definition->objects[i].name);
        free(definition->objects[i].sql);
    }
    free(definition->tables);
    free(definition->objects);
    free(definition->sql_of);
    *definition = (struct gw_definition){0};
}

/* ---- copy ----------------------------------------------------------------------------------------------------------- */

static char *dup(const char *text)
{
    return text ? gw_strdup(text) : NULL;
}

/* The default's bytes move with it: a datum with bytes points into default_bytes, one without has none. */
static void copy_default(struct gw_column_definition *to, const struct gw_column_definition *from)
{
    to->default_bytes = NULL;
    if (from->default_kind != GW_DEFAULT_VALUE ||
        (!gw_kind_has_bytes(from->default_value.kind) && from->default_value.len == 0))
        return;
    char *bytes = gw_alloc((size_t)from->default_value.len + 1);
    if (from->default_value.len)
        memcpy(bytes, from->default_value.bytes, from->default_value.len);
    bytes[from->default_value.len] = 0;
    to->default_bytes = bytes;
    to->default_value.bytes = (const unsigned char *)bytes;
}

static void copy_column(struct gw_column_definition *to, const struct gw_column_definition *from)
{
    *to = *from;
    to->name = dup(from->name);
    gw_type_copy(&to->type, &from->type);
    to->sql_type = dup(from->sql_type);
    to->default_sql = dup(from->default_sql);
    to->generated_sql = dup(from->generated_sql);
    to->comment = dup(from->comment);
    copy_default(to, from);
}

static void copy_index(struct gw_index_definition *to, const struct gw_index_definition *from)
{
    *to = *from;
    to->name = dup(from->name);
    to->where = dup(from->where);
    to->method = dup(from->method);
    to->sql = dup(from->sql);
    to->parts = from->part_count ? gw_calloc(from->part_count, sizeof *to->parts) : NULL;
    for (size_t i = 0; i < from->part_count; i++) {
        to->parts[i] = from->parts[i];
        to->parts[i].column = dup(from->parts[i].column);
        to->parts[i].expression = dup(from->parts[i].expression);
    }
}

static void copy_foreign_key(struct gw_foreign_key *to, const struct gw_foreign_key *from)
{
    *to = *from;
    to->name = dup(from->name);
    to->space = dup(from->space);
    to->table = dup(from->table);
    to->columns = from->column_count ? gw_calloc(from->column_count, sizeof *to->columns) : NULL;
    to->references = from->column_count ? gw_calloc(from->column_count, sizeof *to->references) : NULL;
    for (size_t i = 0; i < from->column_count; i++) {
        to->columns[i] = dup(from->columns[i]);
        to->references[i] = dup(from->references[i]);
    }
}

void gw_table_definition_copy(struct gw_table_definition *to, const struct gw_table_definition *from)
{
    *to = *from;
    to->space = dup(from->space);
    to->name = dup(from->name);
    to->comment = dup(from->comment);
    to->columns = from->column_count ? gw_calloc(from->column_count, sizeof *to->columns) : NULL;
    to->indexes = from->index_count ? gw_calloc(from->index_count, sizeof *to->indexes) : NULL;
    to->foreign_keys = from->foreign_key_count ? gw_calloc(from->foreign_key_count, sizeof *to->foreign_keys) : NULL;
    to->checks = from->check_count ? gw_calloc(from->check_count, sizeof *to->checks) : NULL;
    for (size_t i = 0; i < from->column_count; i++)
        copy_column(&to->columns[i], &from->columns[i]);
    for (size_t i = 0; i < from->index_count; i++)
        copy_index(&to->indexes[i], &from->indexes[i]);
    for (size_t i = 0; i < from->foreign_key_count; i++)
        copy_foreign_key(&to->foreign_keys[i], &from->foreign_keys[i]);
    for (size_t i = 0; i < from->check_count; i++)
        to->checks[i] =
            (struct gw_check_definition){.name = dup(from->checks[i].name), .sql = dup(from->checks[i].sql)};
}

/* ---- making --------------------------------------------------------------------------------------------------------- */

/* Room for one more, zeroed. No capacity is kept: tables have few parts, and copies are as long as what they copy. */
static void *add_item(void *items, size_t *count, size_t size)
{
    items = gw_realloc(items, (*count + 1) * size);
    memset((char *)items + *count * size, 0, size);
    ++*count;
    return items;
}

struct gw_table_definition *gw_definition_add_table(struct gw_definition *definition)
{
    definition->tables = add_item(definition->tables, &definition->table_count, sizeof *definition->tables);
    return &definition->tables[definition->table_count - 1];
}

struct gw_object_definition *gw_definition_add_object(struct gw_definition *definition, const char *kind,
                                                      const char *name, const char *sql)
{
    definition->objects = add_item(definition->objects, &definition->object_count, sizeof *definition->objects);
    struct gw_object_definition *object = &definition->objects[definition->object_count - 1];
    *object = (struct gw_object_definition){.kind = dup(kind), .name = dup(name), .sql = dup(sql)};
    return object;
}

struct gw_column_definition *gw_table_add_column(struct gw_table_definition *table, const char *name)
{
    table->columns = add_item(table->columns, &table->column_count, sizeof *table->columns);
    table->columns[table->column_count - 1].name = dup(name);
    return &table->columns[table->column_count - 1];
}

struct gw_index_definition *gw_table_add_index(struct gw_table_definition *table, enum gw_index_kind kind)
{
    table->indexes = add_item(table->indexes, &table->index_count, sizeof *table->indexes);
    table->indexes[table->index_count - 1].kind = kind;
    return &table->indexes[table->index_count - 1];
}

struct gw_index_part *gw_index_add_part(struct gw_index_definition *index, const char *column)
{
    index->parts = add_item(index->parts, &index->part_count, sizeof *index->parts);
    index->parts[index->part_count - 1].column = dup(column);
    return &index->parts[index->part_count - 1];
}

struct gw_foreign_key *gw_table_add_foreign_key(struct gw_table_definition *table)
{
    table->foreign_keys = add_item(table->foreign_keys, &table->foreign_key_count, sizeof *table->foreign_keys);
    return &table->foreign_keys[table->foreign_key_count - 1];
}

struct gw_check_definition *gw_table_add_check(struct gw_table_definition *table, const char *name, const char *sql)
{
    table->checks = add_item(table->checks, &table->check_count, sizeof *table->checks);
    struct gw_check_definition *check = &table->checks[table->check_count - 1];
    *check = (struct gw_check_definition){.name = dup(name), .sql = dup(sql)};
    return check;
}

/* ---- finding -------------------------------------------------------------------------------------------------------- */

struct gw_table_definition *gw_definition_find(const struct gw_definition *definition, const char *space,
                                               const char *name)
{
    for (size_t i = 0; i < definition->table_count; i++) {
        struct gw_table_definition *table = &definition->tables[i];
        if (strcmp(table->name, name) == 0 && strcmp(table->space ? table->space : "", space ? space : "") == 0)
            return table;
    }
    return NULL;
}

int gw_table_column(const struct gw_table_definition *table, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}
