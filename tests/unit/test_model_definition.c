/* Types and definitions: deep copies, what is found, and their words. */
#include "gw_test.h"

#include "base/mem.h"
#include "model/definition.h"

static void words_of(const struct gw_type *type, const char *words)
{
    gw_autobuf struct gw_buf out = {0};
    gw_type_print(type, &out);
    assert_string_equal(gw_buf_text(&out), words);
}

static void a_type_has_words(void **state)
{
    (void)state;
    char *labels[] = {"new", "done"};
    struct gw_type element = {.kind = GW_KIND_INT64, .bits = 32};
    words_of(&(struct gw_type){.kind = GW_KIND_INT64, .bits = 24}, "int24");
    words_of(&(struct gw_type){.kind = GW_KIND_UINT64}, "uint64");
    words_of(&(struct gw_type){.kind = GW_KIND_DECIMAL, .precision = 10, .scale = 2}, "decimal(10,2)");
    words_of(&(struct gw_type){.kind = GW_KIND_DECIMAL, .scale = -1}, "decimal");
    words_of(&(struct gw_type){.kind = GW_KIND_TEXT, .length = 255, .ignores_case = true},
             "text up to 255 characters, ignores case");
    words_of(&(struct gw_type){.kind = GW_KIND_TEXT, .length = 1, .fixed = true, .pads = true},
             "text of 1 character, trailing spaces do not count");
    words_of(&(struct gw_type){.kind = GW_KIND_TEXT, .bytes = 65535}, "text up to 65535 bytes");
    words_of(&(struct gw_type){.kind = GW_KIND_BYTES, .length = 16, .fixed = true}, "bytes of 16 bytes");
    words_of(&(struct gw_type){.kind = GW_KIND_TIMESTAMP, .scale = 3}, "timestamp(3)");
    words_of(&(struct gw_type){.kind = GW_KIND_DATE, .zero_dates = true}, "date, with dates of no calendar");
    words_of(&(struct gw_type){.kind = GW_KIND_ENUM, .label_count = 2, .labels = labels}, "enum('new','done')");
    words_of(&(struct gw_type){.kind = GW_KIND_ENUM, .label_count = 2, .labels = labels, .is_set = true},
             "set('new','done')");
    words_of(&(struct gw_type){.kind = GW_KIND_ARRAY, .element = &element}, "array of int32");
    words_of(&(struct gw_type){.kind = GW_KIND_TEXT, .foreign = "inet"}, "text in the form of inet");
    words_of(&(struct gw_type){0}, "unknown");
}

static void fill(struct gw_definition *definition)
{
    definition->sql_of = gw_strdup("some");
    struct gw_table_definition *other = gw_definition_add_table(definition);
    other->space = gw_strdup("public");
    other->name = gw_strdup("other");
    struct gw_table_definition *table = gw_definition_add_table(definition);
    table->space = gw_strdup("public");
    table->name = gw_strdup("order");
    table->comment = gw_strdup("what is owed");
    gw_table_add_column(table, "id")->counts = true;
    struct gw_column_definition *column = gw_table_add_column(table, "state");
    column->type.kind = GW_KIND_ENUM;
    column->type.label_count = 1;
    column->type.labels = gw_calloc(1, sizeof *column->type.labels);
    column->type.labels[0] = gw_strdup("new");
    column->default_kind = GW_DEFAULT_VALUE;
    column->default_bytes = gw_strdup("new");
    column->default_value = gw_datum_of_bytes(GW_KIND_ENUM, column->default_bytes, 3);
    struct gw_column_definition *array = gw_table_add_column(table, "tags");
    array->type.kind = GW_KIND_ARRAY;
    array->type.element = gw_zalloc(sizeof *array->type.element);
    array->type.element->kind = GW_KIND_TEXT;
    array->type.element->collation = gw_strdup("C");
    struct gw_index_definition *index = gw_table_add_index(table, GW_INDEX_UNIQUE);
    index->name = gw_strdup("one_state");
    index->where = gw_strdup("id > 3");
    gw_index_add_part(index, "state");
    gw_index_add_part(index, NULL)->expression = gw_strdup("lower(state)");
    struct gw_foreign_key *key = gw_table_add_foreign_key(table);
    key->column_count = 1;
    key->columns = gw_calloc(1, sizeof *key->columns);
    key->references = gw_calloc(1, sizeof *key->references);
    key->columns[0] = gw_strdup("id");
    key->references[0] = gw_strdup("id");
    key->table = gw_strdup("other");
    gw_table_add_check(table, "positive", "id > 0");
    gw_definition_add_object(definition, "view", "public.all_orders", "SELECT 1");
}

static void a_copy_shares_nothing(void **state)
{
    (void)state;
    struct gw_definition definition = {0};
    struct gw_table_definition copy;
    fill(&definition);
    gw_table_definition_copy(&copy, gw_definition_find(&definition, "public", "order"));
    gw_definition_release(&definition);
    assert_null(definition.tables);
    assert_string_equal(copy.comment, "what is owed");
    assert_int_equal(gw_table_column(&copy, "state"), 1);
    assert_int_equal(gw_table_column(&copy, "State"), -1);
    assert_string_equal(copy.columns[1].type.labels[0], "new");
    assert_memory_equal(copy.columns[1].default_value.bytes, "new", 3);
    assert_ptr_equal(copy.columns[1].default_value.bytes, copy.columns[1].default_bytes);
    assert_string_equal(copy.columns[2].type.element->collation, "C");
    assert_string_equal(copy.indexes[0].parts[1].expression, "lower(state)");
    assert_null(copy.indexes[0].parts[1].column);
    assert_string_equal(copy.foreign_keys[0].references[0], "id");
    assert_string_equal(copy.checks[0].sql, "id > 0");
    for (int i = 0; i < 9; i++) { /* a copy grows as its original would */
        gw_table_add_column(&copy, "more");
        gw_index_add_part(&copy.indexes[0], "more");
        gw_table_add_check(&copy, NULL, "true");
    }
    assert_int_equal(copy.column_count, 12);
    assert_string_equal(copy.columns[11].name, "more");
    gw_table_definition_release(&copy);
}

static void a_table_is_found_by_its_exact_name(void **state)
{
    (void)state;
    struct gw_definition definition = {0};
    fill(&definition);
    assert_non_null(gw_definition_find(&definition, "public", "order"));
    assert_null(gw_definition_find(&definition, "public", "Order"));
    assert_null(gw_definition_find(&definition, "", "order"));
    assert_int_equal(definition.object_count, 1);
    gw_definition_release(&definition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_has_words),
        cmocka_unit_test(a_copy_shares_nothing),
        cmocka_unit_test(a_table_is_found_by_its_exact_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
