/* Collections: labels, patterns, JSON, and what counts as another shape. */
#include "gw_test.h"

#include "model/schema.h"

static struct gw_collection sample(void)
{
    static struct gw_column columns[3];
    static uint32_t key[2] = {1, 0};
    columns[0] = (struct gw_column){
        .name = "id", .type = "bigint", .type_id = 20, .not_null = true, .binary_safe = true, .key_position = 2};
    columns[1] = (struct gw_column){
        .name = "Tenant \"x\"", .type = "integer", .type_id = 23, .key_position = 1, .identity_always = true};
    columns[2] = (struct gw_column){.name = "total", .type = "numeric(10,2)", .type_id = 1700, .generated = true};
    return (struct gw_collection){.id = 7,
                                  .space = "public",
                                  .name = "orders",
                                  .column_count = 3,
                                  .columns = columns,
                                  .key_kind = GW_KEY_UNIQUE,
                                  .key_count = 2,
                                  .key = key,
                                  .key_index = "orders_key",
                                  .estimated_rows = -1,
                                  .estimated_bytes = 8192,
                                  .toast_bytes = 1,
                                  .engine_id = 16400,
                                  .parent = "public.all_orders",
                                  .identity = "index",
                                  .all_binary_safe = true};
}

static void a_collection_survives_json(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_collection before = sample(), back;
    gw_autobuf struct gw_buf json = {0}, again = {0};
    gw_collection_format(&before, &json);
    MUST(gw_collection_parse(gw_buf_text(&json), &back, &err));
    gw_collection_format(&back, &again);
    assert_string_equal(gw_buf_text(&json), gw_buf_text(&again));
    assert_int_equal(back.id, 7);
    assert_int_equal(back.key_kind, GW_KEY_UNIQUE);
    assert_int_equal(back.key_count, 2);
    assert_int_equal(back.key[0], 1);
    assert_int_equal(back.estimated_rows, -1);
    assert_int_equal(back.engine_id, 16400);
    assert_string_equal(back.parent, "public.all_orders");
    assert_string_equal(back.columns[1].name, "Tenant \"x\"");
    assert_true(back.columns[1].identity_always);
    assert_false(back.columns[1].generated);
    assert_true(back.columns[2].generated);
    assert_int_equal(back.columns[0].key_position, 2);
    assert_true(gw_collection_same_shape(&before, &back, NULL));
    gw_collection_release(&back);
}

static void a_wrong_collection_is_refused_by_field(void **state)
{
    (void)state;
    const char *wrong[][2] = {
        {"[]", "space"},
        {"{", "JSON"},
        {"{\"space\":\"a\",\"name\":\"b\",\"key_kind\":\"none\",\"key\":[]}", "columns"},
        {"{\"space\":\"a\",\"name\":\"b\",\"columns\":[{}],\"key_kind\":\"none\",\"key\":[]}", "name"},
        {"{\"space\":\"a\",\"name\":\"b\",\"columns\":[],\"key_kind\":\"odd\",\"key\":[]}", "key_kind"},
        {"{\"space\":\"a\",\"name\":\"b\",\"columns\":[],\"key_kind\":\"primary\",\"key\":[0]}", "key"},
        {"{\"space\":\"a\",\"name\":\"b\",\"columns\":[],\"key_kind\":\"none\",\"key\":[],\"engine_id\":-1}",
         "engine_id"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gw_error err = {0};
        struct gw_collection out = {0};
        assert_false(gw_collection_parse(wrong[i][0], &out, &err));
        assert_int_equal(err.kind, GW_ERR_CONFLICT);
        if (i > 0)
            assert_contains(err.message, wrong[i][1]);
        assert_null(out.columns);
    }
}

static void labels_quote_only_where_needed(void **state)
{
    (void)state;
    const char *cases[][3] = {{"public", "orders", "public.orders"},
                              {"", "orders_2", "orders_2"},
                              {"My.App", "or\"der", "\"My.App\".\"or\"\"der\""},
                              {"public", "Order", "public.\"Order\""},
                              {"public", "2x", "public.\"2x\""}};
    const char *kept[5];
    for (size_t i = 0; i < 5; i++) {
        struct gw_collection c = {.space = (char *)cases[i][0], .name = (char *)cases[i][1]};
        kept[i] = gw_collection_label(&c);
    }
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(kept[i], cases[i][2]);
    char name[2000];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    struct gw_collection c = {.space = "s", .name = name};
    const char *label = gw_collection_label(&c);
    assert_string_equal(label + strlen(label) - 3, "...");
}

static void find_takes_exact_names(void **state)
{
    (void)state;
    struct gw_collection all[] = {
        {.space = "a", .name = "t"}, {.space = "b", .name = "t"}, {.space = "b", .name = "T"}};
    struct gw_schema schema = {.count = 3, .collections = all};
    assert_ptr_equal(gw_schema_find(&schema, "b", "t"), &all[1]);
    assert_ptr_equal(gw_schema_find(&schema, "b", "T"), &all[2]);
    assert_null(gw_schema_find(&schema, "B", "t"));
}

static void shapes_differ_in_words(void **state)
{
    (void)state;
    struct gw_collection a = sample();
    struct gw_column columns[3];
    memcpy(columns, a.columns, sizeof columns);
    struct gw_collection b = a;
    b.columns = columns;
    b.engine_id = 99;
    columns[0].type_id = 4;
    columns[1].not_null = true;
    assert_true(gw_collection_same_shape(&a, &b, NULL));

    gw_autobuf struct gw_buf words = {0};
    columns[2].type = "bigint";
    assert_false(gw_collection_same_shape(&a, &b, &words));
    assert_string_equal(gw_buf_text(&words), "column total: numeric(10,2) became bigint");

    gw_buf_clear(&words);
    columns[2] = a.columns[2];
    columns[2].name = "sum";
    assert_false(gw_collection_same_shape(&a, &b, &words));
    assert_string_equal(gw_buf_text(&words), "column total is gone; column sum numeric(10,2) is new");

    gw_buf_clear(&words);
    columns[2] = a.columns[2];
    columns[2].generated = false;
    assert_false(gw_collection_same_shape(&a, &b, &words));
    assert_string_equal(gw_buf_text(&words), "column total is no longer generated");

    gw_buf_clear(&words);
    columns[1] = a.columns[2];
    columns[2] = a.columns[1];
    b.key = (uint32_t[]){2, 0};
    assert_false(gw_collection_same_shape(&a, &b, &words));
    assert_contains(gw_buf_text(&words), "another order");

    gw_buf_clear(&words);
    memcpy(columns, a.columns, sizeof columns);
    b.key = (uint32_t[]){0};
    b.key_count = 1;
    b.key_kind = GW_KEY_PRIMARY;
    assert_false(gw_collection_same_shape(&a, &b, &words));
    assert_string_equal(gw_buf_text(&words), "the key: unique (Tenant \"x\", id) became primary (id)");
}

static bool matches(const char *include, const char *exclude, const char *space, const char *name)
{
    char *in[] = {(char *)include}, *out[] = {(char *)exclude};
    struct gw_filter filter = {
        .include_count = include != NULL, .include = in, .exclude_count = exclude != NULL, .exclude = out};
    return gw_filter_match(&filter, space, name);
}

static void patterns_match_as_documented(void **state)
{
    (void)state;
    assert_true(matches(NULL, NULL, "public", "x"));
    assert_true(matches("public.*", NULL, "public", "x"));
    assert_false(matches("public.*", NULL, "public2", "x"));
    assert_true(matches("orders", NULL, "any", "orders"));
    assert_false(matches("orders", NULL, "any", "orders2"));
    assert_true(matches("order?", NULL, "any", "orders"));
    assert_true(matches("caf?", NULL, "any", "caf\xc3\xa9"));
    assert_false(matches("caf?", NULL, "any", "caf"));
    assert_true(matches("*_log", NULL, "any", "a_log_log"));
    assert_false(matches("*_log", NULL, "any", "a_log_x"));
    assert_true(matches("a*b*c", NULL, "any", "aXbYbZc"));
    assert_true(matches("my.app.orders", NULL, "my.app", "orders"));
    assert_true(matches("my.app.orders", NULL, "my", "app.orders"));
    assert_false(matches("app*.orders", NULL, "app", "x.orders")); /* * stays within a name */
    assert_false(matches("public.*", "public.audit*", "public", "audit_1"));
    assert_true(matches("public.*", "public.audit*", "public", "orders"));
    assert_false(matches(NULL, "*.*", "a", "b"));
    assert_false(matches("Orders", NULL, "a", "orders"));
    assert_true(matches("*", NULL, "a", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_collection_survives_json),     cmocka_unit_test(a_wrong_collection_is_refused_by_field),
        cmocka_unit_test(labels_quote_only_where_needed), cmocka_unit_test(find_takes_exact_names),
        cmocka_unit_test(shapes_differ_in_words),         cmocka_unit_test(patterns_match_as_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
