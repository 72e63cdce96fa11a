/* Green's definition and the losses that are named; rules that cannot be; the file that is written. */
#include "map_world.h"

#include "base/clock.h"

#define ORDERS "id unsigned(64)!; email varchar(40)!; note text; price decimal(10,2); state varchar(10)"

static void refused(const char *rules, const char *message, const char *hint, const char *place)
{
    struct world w = {0};
    world_table(&w, "orders", ORDERS);
    world_table(&w, "people", "id bigint!; name text");
    if (world_try(&w, rules)) {
        print_error("not refused: %s\n", rules);
        fail();
    }
    assert_int_equal(w.err.kind, GW_ERR_USER);
    assert_contains(w.err.message, message);
    if (hint)
        assert_contains(w.err.hint, hint);
    assert_contains(w.err.place, place);
    world_end(&w);
}

static void rules_that_cannot_be_are_refused_at_their_place(void **state)
{
    (void)state;
    refused("      order: { rename: x }\n", "no collection order", "did you mean \"orders\"?", "godwit.yaml:7:7");
    refused("      orders: { columns: { emial: { trim: true } } }\n", "orders has no column emial",
            "did you mean \"email\"?", "godwit.yaml:7:28");
    refused("      orders: { columns: { email: { lowr: true } } }\n", "the key \"lowr\" is unknown",
            "did you mean \"lower\"?", "godwit.yaml:7:37");
    refused("      orders: { columns: { price: { cast: int } } }\n", "the key \"cast\" is unknown",
            "did you mean \"type\"?", "godwit.yaml:7:");
    refused("      orders: { columns: { email: { on_loss: rond } } }\n", "\"rond\" is not a value",
            "known: fail, round", "godwit.yaml:7:");
    refused("      orders: { columns: { email: { rename: note } } }\n", "two columns note", "rename", "godwit.yaml:7:");
    refused("      orders: { rename: people }\n", "would both be people", "rename", "godwit.yaml:7:7");
    refused("      orders: { columns: { id: { hash: x, back: 1 } } }\n", "id is in the key of orders", "lookup",
            "godwit.yaml:7:");
    refused("      orders: { columns: { id: { drop: true } } }\n", "cannot be told apart", NULL, "godwit.yaml:7:");
    refused("      orders: { columns: { id: { type: int, on_loss: null } } }\n", "two keys could become one", NULL,
            "godwit.yaml:7:");
    refused("      orders: { columns: { id: { lua: \"return value\", back: { as_is: true } } } }\n",
            "is in the key of orders", NULL, "godwit.yaml:7:");
    refused("      orders: { columns: { email: { type: varchar(4), on_loss: null } } }\n", "email may not be NULL",
            NULL, "godwit.yaml:7:");
    refused("      orders: { columns: { email: { lower: true, upper: true } } }\n", "cannot be both", NULL,
            "godwit.yaml:7:");
    refused("      orders: { columns: { price: { trim: true } } }\n", "are for text", NULL, "godwit.yaml:7:");
    refused("      orders: { columns: { price: { type: \"decimal(99999)\" } } }\n", "is not a type", "decimal(10,2)",
            "godwit.yaml:7:");
    refused("      orders: { columns: { price: { type: interval } } }\n", "no way from decimal to interval", "lua",
            "godwit.yaml:7:");
    refused("      orders: { columns: { price: { lookup: { abc: 1 } } } }\n", "\"abc\" does not fit decimal(10,2)",
            NULL, "godwit.yaml:7:");
    refused("      orders: { columns: { price: { lookup: { 1: 1, 1.00: 2 } } } }\n", "two keys that are one value",
            NULL, "godwit.yaml:7:");
    refused("      orders: { columns: { note: { zone: Mars/Base } } }\n", "no time zone known", "Europe/Berlin",
            "godwit.yaml:7:");
    refused("      orders: { where: { column: state } }\n", "\"where\" needs a column", "not_in", "godwit.yaml:7:");
    refused("      orders: { add: { x: { concat: \"{emial}\" } } }\n", "there is no column \"emial\"", "braces",
            "godwit.yaml:7:");
    refused("      orders: { add: { x: { type: text } } }\n", "nothing says what is in it", "constant",
            "godwit.yaml:7:");
    refused("      orders: { columns: { note: { otherwise: keep } } }\n", "means nothing without", NULL,
            "godwit.yaml:7:");
    refused("      orders: { columns: { note: { lua: \"return ${X} +\" } } }\n", "this is not Lua", NULL,
            "godwit.yaml:7:");
    refused("      orders: { columns: { note: { hash: \"${MAP_TEST_NOT_SET}\" } } }\n", "MAP_TEST_NOT_SET is not set",
            "export", "godwit.yaml:7:");
}

static void losses_are_named_and_count_rows(void **state)
{
    (void)state;
    struct world w = {0};
    struct gw_table_definition *t = world_table(&w, "orders", ORDERS);
    t->columns[1].type.ignores_case = true;
    struct gw_column_definition *kind = gw_table_add_column(t, "kind");
    kind->type = (struct gw_type){.kind = GW_KIND_ENUM, .label_count = 2, .labels = gw_calloc(2, sizeof(char *))};
    kind->type.labels[0] = gw_strdup("a");
    kind->type.labels[1] = gw_strdup("b");
    gw_table_add_column(t, "at")->type = (struct gw_type){.kind = GW_KIND_TIMESTAMP, .scale = 6, .zero_dates = true};
    gw_table_add_column(t, "odd")->type = (struct gw_type){.kind = GW_KIND_NULL};
    world_compile(&w, "      orders: { columns: { odd: { drop: true } } }\n");
    assert_true(world_loss(&w, "nul", 2)->counts_rows);
    assert_int_equal(world_loss(&w, "nul", 2)->policy, GW_MAP_FAIL);
    assert_contains(world_loss(&w, "unsigned", 0)->what, "negative");
    assert_false(world_loss(&w, "unsigned", 0)->counts_rows);
    assert_contains(world_loss(&w, "case", 1)->what, "'a' and 'A' differ");
    assert_contains(world_loss(&w, "enum", 5)->what, "none of the labels");
    assert_true(world_loss(&w, "zero-date", 6)->counts_rows);
    assert_null(world_loss(&w, "scale", 3));
    assert_null(world_loss(&w, "range", 3));
    world_forget(&w);
    world_compile(&w, NULL);
    assert_true(world_loss(&w, "type", 7)->blocks);
    world_end(&w);
}

static void an_index(struct gw_table_definition *t, enum gw_index_kind kind, const char *name, const char *column,
                     unsigned prefix, const char *where)
{
    struct gw_index_definition *index = gw_table_add_index(t, kind);
    index->name = gw_strdup(name);
    index->where = where ? gw_strdup(where) : NULL;
    gw_index_add_part(index, column)->prefix = prefix;
}

static void keys_indexes_and_constraints_come_along(void **state)
{
    (void)state;
    struct world w = {0};
    world_table(&w, "orders", ORDERS);
    world_table(&w, "people", "id bigint!; name text; order_id unsigned(64)");
    struct gw_table_definition *orders = &w.blue.tables[0];
    struct gw_table_definition *people = &w.blue.tables[1];
    an_index(orders, GW_INDEX_UNIQUE, "by_email", "email", 0, NULL);
    an_index(people, GW_INDEX_PLAIN, "by_email", "name", 10, NULL);
    an_index(people, GW_INDEX_FULLTEXT, "words", "name", 0, NULL);
    an_index(orders, GW_INDEX_PLAIN, "cheap", "price", 0, "`price` < 10 and `state` is not null");
    an_index(orders, GW_INDEX_UNIQUE, "strange", "price", 0, "lower(state) = 'x'");
    orders->columns[0].counts = true;
    orders->columns[4].default_kind = GW_DEFAULT_SQL;
    orders->columns[4].default_sql = gw_strdup("concat('a', 'b')");
    orders->columns[3].default_kind = GW_DEFAULT_VALUE;
    orders->columns[3].default_bytes = gw_strdup("1.50");
    orders->columns[3].default_value = as(GW_KIND_DECIMAL, orders->columns[3].default_bytes);
    struct gw_foreign_key *key = gw_table_add_foreign_key(people);
    key->name = gw_strdup("of_order");
    key->columns = gw_calloc(1, sizeof(char *));
    key->references = gw_calloc(1, sizeof(char *));
    key->columns[0] = gw_strdup("order_id");
    key->references[0] = gw_strdup("id");
    key->column_count = 1;
    key->space = gw_strdup("");
    key->table = gw_strdup("orders");
    key->on_delete = GW_REFERENCE_CASCADE;
    gw_table_add_check(orders, "sane", "((`price` >= 0) and (`state` in ('a','b')))");
    gw_table_add_check(orders, "odd", "json_valid(`note`)");
    gw_definition_add_object(&w.blue, "virtual table", "v", "create view v");
    world_compile(&w, "      orders: { rename: sales, columns: { id: { rename: key }, price: { rename: cost } } }\n");

    const struct gw_definition *green = gw_map_definition(w.map);
    const struct gw_table_definition *sales = &green->tables[0];
    assert_string_equal(sales->space, "public");
    assert_string_equal(sales->indexes[0].name, "sales_pkey");
    assert_string_equal(sales->indexes[0].parts[0].column, "key");
    assert_int_equal(sales->index_count, 3);
    assert_string_equal(sales->indexes[1].name, "by_email");
    assert_string_equal(sales->indexes[2].where, "cost < 10 AND state IS NOT NULL");
    assert_true(sales->columns[0].type.kind == GW_KIND_DECIMAL);
    assert_true(sales->columns[0].counts); /* a whole decimal does */
    is_same(&sales->columns[3].default_value, as(GW_KIND_DECIMAL, "1.50"));
    assert_int_equal(sales->columns[4].default_kind, GW_DEFAULT_NONE);
    assert_int_equal(sales->check_count, 1);
    assert_string_equal(sales->checks[0].sql, "( ( cost >= 0 ) AND ( state IN ( 'a' , 'b' ) ) )");
    /* An index name is one for all on green. */
    assert_string_equal(green->tables[1].indexes[1].name, "people_by_email");
    assert_int_equal(green->tables[1].indexes[1].parts[0].prefix, 0);
    assert_string_equal(green->tables[1].foreign_keys[0].table, "sales");
    assert_string_equal(green->tables[1].foreign_keys[0].references[0], "key");
    static const char *const named[] = {"prefix", "index", "name", "default", "check", "virtual-table"};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        bool found = false;
        for (size_t j = 0; j < w.losses.count; j++)
            found = found || strcmp(w.losses.items[j].id, named[i]) == 0;
        if (!found)
            print_error("%s is not named\n", named[i]);
        assert_true(found);
    }
    world_end(&w);
}

static void only_what_is_certain_is_taken_over(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *portable;
    } cases[] = {
        {"((price > (0)::numeric))", "( ( price > ( 0 ) ) )"},
        {"CHECK ((price >= 1))", "( ( price >= 1 ) )"},
        {"((state)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
         "( ( state ) IN ( 'a' , 'b' ) )"},
        {"state = ANY (ARRAY['a'::text, 'b'::text])", "state IN ( 'a' , 'b' )"},
        {"`state` <> 'x' or not (`price` between 1 and 2)", "state <> 'x' OR NOT ( price BETWEEN 1 AND 2 )"},
        {"\"note\" is null", "note IS NULL"},
        {"price != -1.5", "price <> - 1.5"},
        {"price / 2 > 1", NULL},
        {"price::integer > 1", NULL},
        {"length(note) > 1", NULL},
        {"state like 'a%'", NULL},
        {"state = 'it''s'", NULL},
        {"state = 'a\\b'", NULL},
        {"note -- x", NULL},
        {"unknown = 1", NULL},
        {"price = 1; drop table x", NULL},
        {"state ~ 'a'", NULL},
        {"state || 'a' = 'b'", NULL},
        {"email = 'a'", NULL}, /* 'A' as well, on blue alone */
        {"email is not null", "email IS NOT NULL"},
        {"", NULL},
    };
    struct world w = {0};
    struct gw_table_definition *t = world_table(&w, "orders", ORDERS);
    t->columns[1].type.ignores_case = true;
    world_compile(&w, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gw_autobuf struct gw_buf out = {0};
        bool fine = gw_map_portable_sql(cases[i].sql, &w.map->blue.tables[0], &w.map->green.tables[0], NULL, &out);
        if (fine != (cases[i].portable != NULL))
            print_error("%s: %s\n", cases[i].sql, gw_buf_text(&out));
        assert_int_equal(fine, cases[i].portable != NULL);
        if (fine)
            assert_string_equal(gw_buf_text(&out), cases[i].portable);
    }
    world_end(&w);
}

static void spaces_fold_into_names_where_there_are_none(void **state)
{
    (void)state;
    struct world w = {0};
    struct gw_error err = {0};
    struct gw_map *map = NULL;
    const char *const spaces[] = {"public", "crm", "public"};
    const char *const names[] = {"users", "users", "crm_users"};
    for (int i = 0; i < 3; i++) {
        struct gw_table_definition *t = world_table(&w, names[i], "id bigint!");
        free(t->space);
        t->space = gw_strdup(spaces[i]);
    }
    struct gw_map_options options = {
        .blue = &w.blue, .green_engine = "strict", .default_space = {"public", ""}, .green_type_for = strict_type_for};
    assert_false(gw_map_compile(&options, &map, &w.losses, &err));
    assert_contains(err.message, "crm.users and public.crm_users would both be crm_users");
    gw_definition_release(&w.blue);
    w.blue = (struct gw_definition){0};
    for (int i = 0; i < 2; i++) {
        struct gw_table_definition *t = world_table(&w, names[i], "id bigint!");
        free(t->space);
        t->space = gw_strdup(spaces[i]);
    }
    MUST(gw_map_compile(&options, &map, &w.losses, &err));
    assert_string_equal(gw_map_definition(map)->tables[0].name, "users");
    assert_string_equal(gw_map_definition(map)->tables[1].name, "crm_users");
    gw_map_free(map);
    gw_map_losses_release(&w.losses);
    options.name_bytes = 8;
    assert_false(gw_map_compile(&options, &map, &w.losses, &err));
    assert_contains(err.message, "too long");
    world_end(&w);
}

static void green_computes_what_a_rule_says(void **state)
{
    (void)state;
    struct world w = {0};
    struct gw_table_definition *t = world_table(&w, "people", "id bigint!; a bigint; b bigint; c bool; name text");
    for (size_t i = 2; i < 5; i++)
        t->columns[i].generated = true;
    t->columns[2].generated_sql = gw_strdup("`a` > 5"); /* 1 or 0 on blue; here a bigint could not be that */
    t->columns[3].generated_sql = gw_strdup("`a` > 5");
    t->columns[4].generated_sql = gw_strdup("concat(`a`)");
    world_compile(&w, "      people: { columns: { name: { generated: a::text, rename: title } } }\n");
    const struct gw_table_definition *green = &gw_map_definition(w.map)->tables[0];
    assert_true(world_loss(&w, "generated", 2)->blocks);
    assert_non_null(strstr(world_loss(&w, "generated", 2)->what, "b: { drop: true }"));
    assert_string_equal(green->columns[3].generated_sql, "a > 5");
    assert_string_equal(green->columns[4].generated_sql, "a::text");
    assert_string_equal(green->columns[4].name, "title");
    assert_false(world_loss(&w, "generated", 4)->blocks);
    world_forget(&w);
    assert_false(world_try(&w, "      people: { columns: { a: { generated: \"1\" } } }\n"));
    assert_int_equal(w.err.kind, GW_ERR_USER);
    world_forget(&w);
    assert_false(world_try(&w, "      people: { columns: { b: { generated: \"1\", lower: true } } }\n"));
    world_end(&w);
}

static void a_generated_column_is_computed_again_or_blocks(void **state)
{
    (void)state;
    struct world w = {0};
    struct gw_table_definition *t = world_table(&w, "orders", ORDERS "; twice decimal(10,2); half decimal(10,2)");
    t->columns[5].generated = t->columns[6].generated = true;
    t->columns[5].generated_sql = gw_strdup("`price` + `price`");
    t->columns[6].generated_sql = gw_strdup("`price` / 2");
    world_compile(&w, NULL);
    const struct gw_table_definition *green = &gw_map_definition(w.map)->tables[0];
    assert_true(green->columns[5].generated);
    assert_string_equal(green->columns[5].generated_sql, "price + price");
    assert_null(world_loss(&w, "generated", 5));
    assert_true(world_loss(&w, "generated", 6)->blocks);
    world_forget(&w);
    world_compile(&w,
                  "      orders: { columns: { half: { lua: \"return decimal.round(decimal.mul(row.price, '0.5'), 2)\","
                  " back: { keep: true } } } }\n");
    assert_null(world_loss(&w, "generated", 6));
    struct gw_datum out[7];
    struct gw_datum in[7] = {integer(1), words("a"), words("b"), as(GW_KIND_DECIMAL, "3.00"), words("c")};
    in[0].kind = GW_KIND_UINT64;
    world_row(&w, false, in, out);
    is_same(&out[5], bare(GW_KIND_NULL));
    is_same(&out[6], as(GW_KIND_DECIMAL, "1.50"));
    world_end(&w);
}

/* Takes the first '#' off each line. */
static void uncomment(const char *from, struct gw_buf *out)
{
    while (*from) {
        size_t len = strcspn(from, "\n");
        size_t indent = strspn(from, " ");
        bool words = indent == len || (from[indent + 1] == ' ' && from[indent + 2] != ' ');
        gw_buf_add(out, from, indent);
        gw_buf_add(out, from + indent + !words, len - indent - !words);
        gw_buf_addc(out, '\n');
        from += len + (from[len] == '\n');
    }
}

static void the_written_map_is_the_map(void **state)
{
    (void)state;
    struct world w = {0};
    gw_autobuf struct gw_buf text = {0};
    gw_autobuf struct gw_buf file = {0};
    gw_autobuf struct gw_buf open = {0};
    world_table(&w, "orders", ORDERS);
    world_table(&w, "odd name: #1", "id bigint!; \"x\" text; null text; at date");
    gw_definition_add_object(&w.blue, "view", "totals\n- x", "select");
    world_compile(&w, NULL);
    gw_map_write_commented(w.map, &w.losses, &text);
    assert_contains(gw_buf_text(&text), "may not fit: nul");
    assert_contains(gw_buf_text(&text), "view totals - x");
    gw_migration_write_commented_map("acme", "postgresql://old/a", "postgresql://new/a", gw_buf_text(&text), &file);
    struct gw_migration migration;
    struct gw_error err = {0};
    MUST(gw_migration_parse(gw_buf_text(&file), file.len, "godwit.yaml", &migration, &err));
    assert_null(migration.stores[0].collections.root);
    gw_migration_release(&migration);
    gw_buf_clear(&file);
    gw_buf_adds(&file,
                "migration: acme\nstores:\n  main:\n    blue: postgresql://old/a\n    green: postgresql://new/a\n");
    uncomment(gw_buf_text(&text), &open);
    gw_buf_adds(&file, gw_buf_text(&open));
    MUST(gw_migration_parse(gw_buf_text(&file), file.len, "godwit.yaml", &migration, &err));
    struct gw_rules *rules;
    MUST(gw_rules_parse(&migration.stores[0].collections, &rules, &err));
    assert_true(gw_rules_any(rules));
    assert_int_equal(rules->count, 2);
    gw_rules_free(rules);
    gw_migration_release(&migration);
    gw_buf_clear(&text);
    gw_map_print(w.map, 0, &text);
    assert_contains(gw_buf_text(&text), "id uint64 -> id decimal(20,0)\n");
    world_end(&w);
}

/* Seven identity columns take well under 100 ns; the bound is for a busy machine and sanitizers. */
static void identity_rows_are_fast(void **state)
{
    (void)state;
    enum { ROWS = 200000 };
    struct world w = {0};
    struct gw_error err = {0};
    enum gw_map_verdict verdict;
    world_table(&w, "t", "a bigint!; b varchar(20); c text; d decimal(10,2); e timestamp; f bool; g double");
    world_compile(&w, "      t: { columns: { b: { rename: bb } } }\n");
    struct gw_datum in[7] = {integer(1),
                             words("b"),
                             words("c"),
                             as(GW_KIND_DECIMAL, "1.00"),
                             moment(GW_KIND_TIMESTAMP, "2024-01-01 00:00:00"),
                             {.kind = GW_KIND_BOOL},
                             {.kind = GW_KIND_FLOAT64}};
    struct gw_datum out[7];
    int64_t best = INT64_MAX;
    for (int round = 0; round < 5; round++) {
        int64_t begin = gw_mono_us();
        for (int i = 0; i < ROWS; i++)
            MUST(gw_map_row(w.run[0], 0, in, out, &verdict, NULL, &err));
        int64_t took = gw_mono_us() - begin;
        best = took < best ? took : best;
    }
    print_message("%.1f ns a row\n", (double)best * 1000 / ROWS);
    assert_true(best * 1000 / ROWS < 20000);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_that_cannot_be_are_refused_at_their_place),
        cmocka_unit_test(losses_are_named_and_count_rows),
        cmocka_unit_test(keys_indexes_and_constraints_come_along),
        cmocka_unit_test(only_what_is_certain_is_taken_over),
        cmocka_unit_test(spaces_fold_into_names_where_there_are_none),
        cmocka_unit_test(a_generated_column_is_computed_again_or_blocks),
        cmocka_unit_test(green_computes_what_a_rule_says),
        cmocka_unit_test(the_written_map_is_the_map),
        cmocka_unit_test(identity_rows_are_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
