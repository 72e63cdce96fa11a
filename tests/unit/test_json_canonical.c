/* JSON texts of one meaning have one form, and those of different meaning different ones. */
#include "gw_test.h"

#include "io/json.h"

static void becomes(const char *text, size_t len, const char *wanted)
{
    struct gw_error err = {0};
    gw_autobuf struct gw_buf out = {0}, again = {0};
    MUST(gw_json_canonical(text, len, &out, &err));
    assert_string_equal(gw_buf_text(&out), wanted);
    MUST(gw_json_canonical(out.data, out.len, &again, &err));
    assert_string_equal(gw_buf_text(&again), wanted);
}

static void equal_texts_have_one_form(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {" { \"b\" : 1 , \"a\" : [ 1 , 2 ] } ", "{\"a\":[1,2],\"b\":1}"},
        {"{\"a\":1,\"b\":2,\"a\":{\"z\":[],\"z\":{}}}", "{\"a\":{\"z\":{}},\"b\":2}"},
        {"{\"\\u0061\":1,\"a\":2}", "{\"a\":2}"},
        {"{\"ab\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"ab\":1}"},
        {"\t[\n]\r", "[]"},
        {"{}", "{}"},
        {"[{\"b\":{\"d\":1,\"c\":2},\"a\":0},{\"y\":1,\"x\":2}]",
         "[{\"a\":0,\"b\":{\"c\":2,\"d\":1}},{\"x\":2,\"y\":1}]"},
        {"\"\\/\\u00e9\\ud83d\\ude00\\n\\u0000\\\"\"", "\"/\xc3\xa9\xf0\x9f\x98\x80\\u000a\\u0000\\\"\""},
        {"\"\\ud83d\\u0041 \\udc00\"", "\"\\ud83dA \\udc00\""},
        {"\"\x7f\"", "\"\x7f\""},
        {"true", "true"},
        {"null", "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        becomes(cases[i][0], strlen(cases[i][0]), cases[i][1]);
}

static void numbers_count_by_their_value(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"0", "0"},
        {"-0", "0"},
        {"0.00e5", "0"},
        {"1.0", "1"},
        {"10e-1", "1"},
        {"0.1E1", "1"},
        {"100", "100"},
        {"1e2", "100"},
        {"-12.3400", "-12.34"},
        {"0.000001", "0.000001"},
        {"0.0000001", "1e-7"},
        {"1e20", "100000000000000000000"},
        {"1e21", "1e21"},
        {"12345678901234567890123456789.5", "1.23456789012345678901234567895e28"},
        {"9007199254740993", "9007199254740993"},
        {"0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"},
        {"1e0000000000000000000001", "10"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        becomes(cases[i][0], strlen(cases[i][0]), cases[i][1]);
    struct gw_error err = {0};
    gw_autobuf struct gw_buf out = {0};
    assert_false(gw_json_canonical("1e1234567890123456", 18, &out, &err));
    assert_int_equal(err.kind, GW_ERR_UNSUPPORTED);
}

static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",    " ",          "{",  "[1,]", "{\"a\"}",  "{\"a\":}", "{a:1}",     "[1 2]",  "01",          "1.",
        ".5",  "+1",         "1e", "-",    "\"",       "\"\\x\"",  "\"\\u00\"", "\"\n\"", "nul",         "truefalse",
        "1 2", "{\"a\":1,}", "[",  "NaN",  "\"\xff\"", "'a'",      "{\"a\":1",  "[1",     "\"\\u12g4\"", "-Infinity"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gw_error err = {0};
        gw_autobuf struct gw_buf out = {0};
        gw_buf_adds(&out, "kept");
        assert_false(gw_json_canonical(wrong[i], strlen(wrong[i]), &out, &err));
        assert_int_equal(err.kind, GW_ERR_CONFLICT);
        assert_string_equal(gw_buf_text(&out), "kept");
    }
    struct gw_error err = {0};
    gw_autobuf struct gw_buf out = {0};
    assert_false(gw_json_canonical("1\0", 2, &out, &err));
}

static void deep_nesting_is_bounded(void **state)
{
    (void)state;
    struct gw_error err = {0};
    gw_autobuf struct gw_buf text = {0}, out = {0};
    for (int i = 0; i < 4000; i++)
        gw_buf_adds(&text, "{\"a\":");
    gw_buf_adds(&text, "1");
    for (int i = 0; i < 4000; i++)
        gw_buf_adds(&text, "}");
    MUST(gw_json_canonical(text.data, text.len, &out, &err));
    assert_string_equal(gw_buf_text(&out), gw_buf_text(&text));
    gw_buf_clear(&text);
    for (int i = 0; i < 100000; i++)
        gw_buf_adds(&text, "[");
    assert_false(gw_json_canonical(text.data, text.len, &out, &err));
    assert_int_equal(err.kind, GW_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_texts_have_one_form),
        cmocka_unit_test(numbers_count_by_their_value),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(deep_nesting_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
