/* JSON helpers, UTF-8, YAML. */
#include "gw_test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/json.h"
#include "io/utf8.h"
#include "io/yaml.h"

static void utf8_as_rfc_3629(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t good;
    } cases[] = {
        {"", 0},
        {"plain", 5},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9},
        {"a\x80", 1},
        {"a\xc0\xaf", 1},         /* overlong */
        {"a\xe0\x9f\xbf", 1},     /* overlong */
        {"a\xed\xa0\x80", 1},     /* surrogate */
        {"a\xf4\x90\x80\x80", 1}, /* above U+10FFFF */
        {"a\xf5\x80\x80\x80", 1},
        {"a\xe2\x82", 1}, /* cut */
        {"\xf4\x8f\xbf\xbf", 4},
        {"\xed\x9f\xbf", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = strlen(cases[i].bytes);
        char *exact = malloc(len ? len : 1); /* without a NUL behind: the sanitizer sees one byte too many */
        memcpy(exact, cases[i].bytes, len);
        assert_int_equal(gw_utf8_valid_prefix(exact, len), cases[i].good);
        free(exact);
    }
}

static void json_text_takes_any_bytes(void **state)
{
    (void)state;
    gw_autojson json_t *text = gw_json_text_len("a\0b\xff\xfe\xc3\xa9", 7);
    assert_string_equal(json_string_value(text), "a\xef\xbf\xbd"
                                                 "b\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9");
    gw_autojson json_t *none = gw_json_text(NULL);
    assert_true(json_is_null(none));
}

static void json_parse_and_get(void **state)
{
    (void)state;
    struct gw_error err = {0};
    const char *string;
    int64_t number;
    bool yes;
    json_t *found;
    gw_autojson json_t *value = NULL;
    static const char text[] = "{\"s\":\"x\",\"i\":9007199254740993,\"b\":true,\"a\":[1]}";
    MUST(gw_json_parse(text, strlen(text), "test", &value, &err));
    MUST(gw_json_get_string(value, "s", &string, &err));
    MUST(gw_json_get_int(value, "i", &number, &err));
    MUST(gw_json_get_bool(value, "b", &yes, &err));
    MUST(gw_json_get_array(value, "a", &found, &err));
    assert_string_equal(string, "x");
    assert_true(number == 9007199254740993);
    assert_true(yes);
    assert_false(gw_json_get_string(value, "i", &string, &err));
    assert_string_equal(err.message, "\"i\" must be a string");
    assert_false(gw_json_get_int(value, "none", &number, &err));
    assert_string_equal(err.message, "\"none\" is missing");
    assert_false(gw_json_get_bool(value, "s", &yes, &err));
    gw_autobuf struct gw_buf out = {0};
    gw_json_dump(value, 0, &out);
    assert_contains(gw_buf_text(&out), "\"s\": \"x\", \"i\": 9007199254740993");
    json_t *unused;
    assert_false(gw_json_parse("{\n  bad", 7, "file.json", &unused, &err));
    assert_contains(err.message, "file.json:2:");
}

static struct gw_yaml_node *parse(struct gw_yaml *yaml, const char *text)
{
    struct gw_error err = {0};
    MUST(gw_yaml_parse(text, strlen(text), "t.yaml", yaml, &err));
    return yaml->root;
}

static void yaml_tree_knows_where_it_stands(void **state)
{
    (void)state;
    struct gw_yaml yaml;
    struct gw_yaml_node *root = parse(&yaml, "# first\n"
                                             "a: 1\n"
                                             "\xc3\xa9: \"x\\ty\"\n"
                                             "list:\n"
                                             "  - one\n"
                                             "  - { k: 'v''w', n: ~ }\n"
                                             "text: |\n"
                                             "  two\n"
                                             "  lines\n"
                                             "empty:\n");
    assert_int_equal(root->kind, GW_YAML_MAPPING);
    assert_int_equal(root->count, 5);
    struct gw_yaml_node *node = gw_yaml_get(root, "a");
    assert_string_equal(node->text, "1");
    assert_int_equal(node->line, 2);
    assert_int_equal(node->column, 4);
    node = gw_yaml_get(root, "\xc3\xa9");
    assert_string_equal(node->text, "x\ty");
    assert_false(node->plain);
    assert_int_equal(node->line, 3);
    assert_int_equal(node->column, 4); /* characters, not bytes */
    node = gw_yaml_get(root, "list");
    assert_int_equal(node->kind, GW_YAML_SEQUENCE);
    assert_int_equal(node->count, 2);
    struct gw_yaml_node *value = gw_yaml_get(node->items[1], "k");
    assert_string_equal(value->text, "v'w");
    assert_int_equal(value->line, 6);
    assert_int_equal(value->column, 10);
    assert_true(gw_yaml_is_null(gw_yaml_get(node->items[1], "n")));
    assert_true(gw_yaml_is_null(gw_yaml_get(root, "empty")));
    assert_string_equal(gw_yaml_get(root, "text")->text, "two\nlines\n");
    assert_null(gw_yaml_get(root, "none"));
    gw_yaml_release(&yaml);
    assert_null(parse(&yaml, "# nothing\n"));
    gw_yaml_release(&yaml);
    assert_null(parse(&yaml, ""));
    gw_yaml_release(&yaml);
    root = parse(&yaml, "\xef\xbb\xbfwith: bom\r\nand: crlf\r\n");
    assert_string_equal(gw_yaml_get(root, "with")->text, "bom");
    assert_string_equal(gw_yaml_get(root, "and")->text, "crlf");
    gw_yaml_release(&yaml);
}

static void yaml_refuses_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place, *message;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", "t.yaml:3:1", "the key \"a\" is there twice, first in line 1"},
        {"x: { a: 1, \"a\": 2 }\n", "t.yaml:1:12", "there twice"},
        {"a: \xff\n", "t.yaml:1:4", "byte 0xff is not UTF-8"},
        {"a: 1\n\xc3\xa9\xc3\xa9: \xe9t\xe9\n", "t.yaml:2:5", "byte 0xe9 is not UTF-8"},
        {"a: \x01\n", "t.yaml:1:4", "control character (0x01)"},
        {"a: &x 1\nb: *x\n", "t.yaml:1:", "anchors"},
        {"b: *x\n", "t.yaml:1:", "aliases"},
        {"a: !!str 1\n", "t.yaml:1:", "tags"},
        {"a: \"\\0\"\n", "t.yaml:1:4", "\\0"},
        {"---\na: 1\n---\nb: 1\n", "t.yaml:3:1", "second document"},
        {"? [a, b]\n: 1\n", "t.yaml:1:3", "a key must be a plain word, this is a list"},
        {"a: [1, 2\n", "t.yaml:", "not valid YAML"},
        {"a: 1\n b: 2\n", "t.yaml:1:", "not valid YAML"},
        {"a:\n\t- b\n", "t.yaml:2:", "not valid YAML"},
        {"%YAML 3.0\n---\na: 1\n", "t.yaml:1:", "not valid YAML"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gw_error err = {0};
        struct gw_yaml yaml;
        if (gw_yaml_parse(cases[i].text, strlen(cases[i].text), "t.yaml", &yaml, &err)) {
            print_error("accepted: %s\n", cases[i].text);
            fail();
        }
        assert_int_equal(err.kind, GW_ERR_USER);
        assert_contains(err.message, cases[i].message);
        assert_memory_equal(err.place, cases[i].place, strlen(cases[i].place));
    }
}

/* Text that is short or cheap to write and would be dear to read. */
static void hostile(const char *piece, size_t times, const char *end)
{
    struct gw_error err = {0};
    struct gw_yaml yaml;
    gw_autobuf struct gw_buf text = {0};
    for (size_t i = 0; i < times; i++)
        gw_buf_addf(&text, "%s", piece);
    gw_buf_adds(&text, end);
    int64_t before = gw_mono_us();
    bool accepted = gw_yaml_parse(text.data, text.len, "t.yaml", &yaml, &err);
    int64_t took_us = gw_mono_us() - before;
    if (accepted)
        gw_yaml_release(&yaml);
    if (accepted || took_us > 5000000) {
        print_error("%s x %zu: %s, %lld ms\n", piece, times, accepted ? "accepted" : err.message,
                    (long long)took_us / 1000);
        fail();
    }
    assert_true(err.place[0]);
}

static void yaml_bounds_depth_nodes_and_size(void **state)
{
    (void)state;
    hostile("[", 100000, "");
    hostile("{a: ", 100000, "");
    hostile("- ", 100000, "x\n");
    hostile("- x\n", 200000, "");
    hostile("? ", 100000, "");
    hostile("a: &a [*a,*a]\n", 50000, "");
    hostile("0123456789abcdef", 100000, ": 1\n");
    gw_autobuf struct gw_buf keys = {0};
    struct gw_error err = {0};
    struct gw_yaml yaml;
    for (int i = 0; i < 20000; i++)
        gw_buf_addf(&keys, "key%d: 1\n", i);
    int64_t before = gw_mono_us();
    MUST(gw_yaml_parse(keys.data, keys.len, "t.yaml", &yaml, &err));
    assert_int_equal(yaml.root->count, 20000);
    assert_true(gw_mono_us() - before < 5000000);
    gw_yaml_release(&yaml);
}

static void a_huge_file_is_refused_at_once(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_yaml yaml;
    char *folder = gw_test_mkdir();
    gw_autofree char *path = gw_asprintf("%s/huge.yaml", folder);
    MUST(gw_file_replace(path, "", 0, &err));
    assert_int_equal(truncate(path, 100000000), 0);
    int64_t before = gw_mono_us();
    assert_false(gw_yaml_load(path, &yaml, &err));
    assert_true(gw_mono_us() - before < 1000000);
    assert_int_equal(err.kind, GW_ERR_USER);
    assert_contains(err.message, "100000000 bytes");
    gw_test_rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_as_rfc_3629),
        cmocka_unit_test(json_text_takes_any_bytes),
        cmocka_unit_test(json_parse_and_get),
        cmocka_unit_test(yaml_tree_knows_where_it_stands),
        cmocka_unit_test(yaml_refuses_with_the_place),
        cmocka_unit_test(yaml_bounds_depth_nodes_and_size),
        cmocka_unit_test(a_huge_file_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
