/* What is made from the table of settings: documentation, JSON Schema, the commented file; and the table itself. */
#include "gw_test.h"

#include "base/mem.h"
#include "io/json.h"
#include "model/migration.h"
#include "model/rule_table.h"
#include "model/setting.h"

static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < gw_settings_count; i++) {
        const struct gw_setting *s = &gw_settings[i];
        assert_ptr_equal(gw_setting_find(s->path), s); /* no path twice */
        assert_false(gw_setting_is_group(s->path));
        assert_non_null(s->help);
        assert_true(s->help[strlen(s->help) - 1] != '.');
        assert_true(s->required || s->fallback || s->example);
        assert_false(s->required && s->fallback);
        assert_int_equal(s->in_store, strncmp(s->path, "stores.*.", 9) == 0);
        assert_int_equal(s->type == GW_SETTING_ENUM, s->choices[0] != NULL);
        if (s->type >= GW_SETTING_INT)
            assert_true(s->max > s->min);
    }
}

static void the_documentation_names_every_setting(void **state)
{
    (void)state;
    gw_autobuf struct gw_buf docs = {0};
    gw_setting_write_docs(&docs);
    for (size_t i = 0; i < gw_settings_count; i++) {
        gw_autofree char *heading = gw_asprintf("%s\n    %s.\n", gw_settings[i].path, gw_settings[i].help);
        assert_contains(gw_buf_text(&docs), heading);
    }
    assert_contains(gw_buf_text(&docs), "duration, 100ms to 10m; default: 5s");
    assert_contains(gw_buf_text(&docs), "for gate pgbouncer, hook and haproxy");
}

static const json_t *below(const json_t *schema, const char *key)
{
    const json_t *found = json_object_get(json_object_get(schema, "properties"), key);
    if (!found)
        found = json_array_get(json_object_get(schema, "anyOf"), 1);
    return found;
}

static void the_schema_names_every_setting(void **state)
{
    (void)state;
    gw_autojson json_t *schema = gw_setting_json_schema();
    assert_non_null(schema);
    for (size_t i = 0; i < gw_settings_count; i++) {
        gw_autofree char *path = gw_strdup(gw_settings[i].path);
        const json_t *at = schema;
        for (char *key = strtok(path, "."); key; key = strtok(NULL, ".")) {
            const json_t *mapping = at;
            if (!json_object_get(mapping, "properties"))
                mapping = json_array_get(json_object_get(mapping, "anyOf"), 1);
            const json_t *next = json_object_get(json_object_get(mapping, "properties"), key);
            if (strcmp(key, "*") == 0)
                next = json_object_iter_value(json_object_iter(json_object_get(mapping, "patternProperties")));
            if (!next)
                print_error("%s: no %s\n", gw_settings[i].path, key);
            assert_non_null(next);
            at = next;
        }
        assert_contains(json_string_value(json_object_get(at, "description")), gw_settings[i].help);
    }
    assert_false(json_is_true(json_object_get(schema, "additionalProperties")));
    gw_autobuf struct gw_buf text = {0};
    gw_json_dump(schema, 2, &text);
    assert_null(strstr(gw_buf_text(&text), "x-shorthand"));
    const json_t *stores = below(schema, "stores");
    assert_int_equal(json_integer_value(json_object_get(stores, "minProperties")), 1);
}

static void the_table_of_rules_is_in_docs_and_schema(void **state)
{
    (void)state;
    gw_autobuf struct gw_buf docs = {0};
    gw_autojson json_t *schema = gw_rule_json_schema();
    gw_setting_write_docs(&docs);
    for (size_t i = 0; i < gw_rule_key_count; i++) {
        const struct gw_rule_key *rule = &gw_rule_keys[i];
        gw_autofree char *heading = gw_asprintf("stores.*.collections.*.%s\n    %s.\n", rule->path, rule->help);
        gw_autofree char *path = gw_strdup(rule->path);
        const json_t *at = json_object_get(schema, "additionalProperties");
        assert_contains(gw_buf_text(&docs), heading);
        assert_int_equal(rule->type == GW_RULE_CHOICE, rule->choices[0] != NULL);
        for (char *key = strtok(path, "."); key; key = strtok(NULL, ".")) {
            const json_t *either = json_object_get(at, "anyOf");
            at = either ? json_array_get(either, 1) : at;
            at = strcmp(key, "*") == 0 ? json_object_get(at, "additionalProperties")
                                       : json_object_get(json_object_get(at, "properties"), key);
            assert_non_null(at);
        }
        assert_contains(json_string_value(json_object_get(at, "description")), rule->help);
    }
}

/* Every example of the table is a value of its key. */
static void examples_of_rules_can_be_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < gw_rule_key_count; i++) {
        const struct gw_rule_key *rule = &gw_rule_keys[i];
        gw_autobuf struct gw_buf text = {0};
        gw_autofree char *path = gw_strdup(rule->path);
        struct gw_error err = {0};
        struct gw_migration m;
        int indent = 8;
        setenv("HASH_KEY", "k", 1);
        gw_buf_adds(&text, "migration: a\nstores:\n  main:\n    blue: postgresql://a/b\n    green: postgresql://c/d\n"
                           "    collections:\n      users:\n");
        for (char *key = strtok(path, "."); key; key = strtok(NULL, "."), indent += 2)
            gw_buf_addf(&text, "%s%*s%s:", indent > 8 ? "\n" : "", indent, "", strcmp(key, "*") == 0 ? "name" : key);
        gw_buf_addf(&text, rule->type == GW_RULE_LUA ? " |\n%*s%s\n" : "%*s%s\n",
                    rule->type == GW_RULE_LUA ? indent : 1, "", rule->example);
        MUST(gw_migration_parse(gw_buf_text(&text), text.len, "godwit.yaml", &m, &err));
        assert_non_null(m.stores[0].collections.root);
        gw_migration_release(&m);
    }
}

static void the_commented_file_is_the_short_file(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_migration m;
    struct gw_migration plain;
    gw_autobuf struct gw_buf text = {0};
    static const char shortest[] = "migration: acme\nstores:\n  main:\n    blue: 'postgresql://u@h/d?sslmode=require'\n"
                                   "    green: \"host='a b' dbname=d\"\n";
    gw_migration_write_commented("acme", "postgresql://u:s3cret@h/d?password=s3cret&sslmode=require",
                                 "host='a b' password='s3 cret' dbname=d", &text);
    assert_null(strstr(text.data, "s3"));
    assert_null(strstr(text.data, "***"));
    MUST(gw_migration_parse(text.data, text.len, "/x/godwit.yaml", &m, &err));
    MUST(gw_migration_parse(shortest, strlen(shortest), "/x/godwit.yaml", &plain, &err));
    assert_string_equal(m.stores[0].side[0].url, plain.stores[0].side[0].url);
    assert_string_equal(m.stores[0].side[1].url, plain.stores[0].side[1].url);
    assert_int_equal(m.stores[0].copy.jobs, plain.stores[0].copy.jobs);
    assert_true(m.stores[0].retain_ms == plain.stores[0].retain_ms);
    gw_migration_release(&m);
    gw_migration_release(&plain);
    for (size_t i = 0; i < gw_settings_count; i++)
        assert_contains(text.data, strrchr(gw_settings[i].path, '.') ? strrchr(gw_settings[i].path, '.') + 1
                                                                     : gw_settings[i].path);
}

/* Takes the first '#' off every line that is not a comment for people. */
static void uncomment(const char *from, struct gw_buf *out, bool groups)
{
    while (*from) {
        size_t len = strcspn(from, "\n");
        size_t indent = strspn(from, " ");
        bool in_group = false;
        if (from[indent] == '#' && from[indent + 1] != ' ')
            in_group = indent == 4 && strncmp(from + indent, "#include", 8) != 0;
        else if (from[indent] == '#' && indent == 4 && from[indent + 2] == ' ')
            in_group = true;
        bool take = from[indent] == '#' && (in_group ? groups : from[indent + 1] != ' ');
        gw_buf_add(out, from, indent);
        gw_buf_add(out, from + indent + take, len - indent - take);
        gw_buf_addc(out, '\n');
        from += len + (from[len] == '\n');
    }
}

static void its_comments_can_be_taken_off(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_migration m;
    gw_autobuf struct gw_buf text = {0};
    gw_autobuf struct gw_buf open = {0};
    gw_migration_write_commented("acme", "postgresql://old/d", "postgresql://new/d", &text);
    uncomment(text.data, &open, true);
    assert_contains(open.data, "\n    copy:\n");
    assert_contains(open.data, "\n      jobs: 4\n");
    MUST(gw_migration_parse(open.data, open.len, "/x/godwit.yaml", &m, &err));
    assert_int_equal(m.stores[0].copy.jobs, 4);
    assert_int_equal(m.stores[0].filter.include_count, 1);
    assert_int_equal(m.stores[0].filter.exclude_count, 2);
    assert_string_equal(m.stores[0].side[0].password_command, "vault read -field=password database/creds/godwit");
    gw_migration_release(&m);
}

static void passwords_are_stripped(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"postgresql://u:s3cret@h/db", "postgresql://u@h/db"},
        {"postgresql://u@h/db", "postgresql://u@h/db"},
        {"postgresql:///db?password=s3cret", "postgresql:///db"},
        {"postgresql:///db?password=s3cret&a=b", "postgresql:///db?a=b"},
        {"postgresql:///db?a=b&password=s3cret", "postgresql:///db?a=b"},
        {"postgresql:///db?a=b&password=s3cret&c=d", "postgresql:///db?a=b&c=d"},
        {"postgresql://u:s3cret@h/db?sslpassword=x&password=y", "postgresql://u@h/db"},
        {"host=h password=s3cret dbname=d", "host=h dbname=d"},
        {"password=s3cret host=h", "host=h"},
        {"host=h password='s3 cret'", "host=h"},
        {"host=h password = 's3 cret' dbname=d", "host=h dbname=d"},
        {"password=s3cret", ""},
        {"service=prod", "service=prod"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gw_autobuf struct gw_buf out = {0};
        gw_migration_strip_url(cases[i][0], &out);
        assert_string_equal(gw_buf_text(&out), cases[i][1]);
    }
}

static void suggestions_are_near_and_not_wild(void **state)
{
    (void)state;
    char out[64];
    assert_string_equal(gw_setting_suggest("", "migratoin", out), "migration");
    assert_string_equal(gw_setting_suggest("stores.*", "swich", out), "switch");
    assert_string_equal(gw_setting_suggest("stores.*", "gren", out), "green");
    assert_string_equal(gw_setting_suggest("stores.*.copy", "chunk-rows", out), "chunk_rows");
    assert_null(gw_setting_suggest("stores.*.copy", "banana", out));
    assert_null(gw_setting_suggest("stores.*", "x", out));
    assert_null(gw_setting_suggest("stores", "main", out));
    char longer[300];
    memset(longer, 'a', sizeof longer - 1);
    longer[299] = 0;
    assert_null(gw_setting_suggest("", longer, out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(the_documentation_names_every_setting),
        cmocka_unit_test(the_schema_names_every_setting),
        cmocka_unit_test(the_table_of_rules_is_in_docs_and_schema),
        cmocka_unit_test(examples_of_rules_can_be_written),
        cmocka_unit_test(the_commented_file_is_the_short_file),
        cmocka_unit_test(its_comments_can_be_taken_off),
        cmocka_unit_test(passwords_are_stripped),
        cmocka_unit_test(suggestions_are_near_and_not_wild),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
