/* Values, rows, digests, marks and bounds. */
#include "gw_test.h"
#include "row_equal.h"

#include "model/digest.h"
#include "model/mark.h"
#include "model/range.h"
#include "model/value.h"

static struct gw_value text(const char *s)
{
    return gw_value_text(s);
}

static struct gw_value plain(enum gw_value_kind kind)
{
    return (struct gw_value){.kind = kind};
}

static void values_compare_by_kind_and_bytes(void **state)
{
    (void)state;
    struct gw_value empty = text(""), null = text(NULL), word = text("NULL"), other = text("null");
    struct gw_value binary = {.kind = GW_VALUE_BINARY, .len = 4, .bytes = (const unsigned char *)"NULL"};
    struct gw_value with_nul_a = {.kind = GW_VALUE_BINARY, .len = 3, .bytes = (const unsigned char *)"a\0b"};
    struct gw_value with_nul_b = {.kind = GW_VALUE_BINARY, .len = 3, .bytes = (const unsigned char *)"a\0c"};
    assert_false(gw_value_equal(&empty, &null));
    assert_false(gw_value_equal(&word, &null));
    assert_false(gw_value_equal(&word, &other));
    assert_false(gw_value_equal(&word, &binary));
    assert_false(gw_value_equal(&with_nul_a, &with_nul_b));
    assert_true(gw_value_equal(&empty, &(struct gw_value){.kind = GW_VALUE_TEXT}));
    assert_true(gw_value_equal(&null, &(struct gw_value){.kind = GW_VALUE_NULL, .len = 7}));
}

static void a_row_survives_its_encoding(void **state)
{
    (void)state;
    struct gw_value values[] = {text("one"),
                                plain(GW_VALUE_NULL),
                                plain(GW_VALUE_UNCHANGED),
                                plain(GW_VALUE_ABSENT),
                                text(""),
                                {.kind = GW_VALUE_BINARY, .len = 5, .bytes = (const unsigned char *)"\0\1\2\3\4"}};
    struct gw_row row = {.count = 6, .values = values};
    gw_autobuf struct gw_buf out = {0};
    struct gw_arena arena = {0};
    gw_row_encode(&out, &row);
    struct gw_cursor in = gw_cursor_of(out.data, out.len);
    struct gw_row back = gw_row_decode(&in, &arena);
    assert_false(in.bad);
    assert_int_equal(gw_cursor_left(&in), 0);
    assert_true(row_equal(&row, &back));
    struct gw_row copy = gw_row_copy(&arena, &back);
    assert_true(row_equal(&copy, &row));
    memset(out.data, 0xff, out.len);
    assert_true(row_equal(&copy, &row)); /* deep */
    gw_arena_release(&arena);
}

static void a_cut_row_is_bad_at_every_length(void **state)
{
    (void)state;
    struct gw_value values[] = {text("one"), plain(GW_VALUE_NULL), text("three")};
    struct gw_row row = {.count = 3, .values = values};
    gw_autobuf struct gw_buf out = {0};
    struct gw_arena arena = {0};
    gw_row_encode(&out, &row);
    for (size_t len = 0; len < out.len; len++) {
        struct gw_cursor in = gw_cursor_of(out.data, len);
        struct gw_row back = gw_row_decode(&in, &arena);
        assert_true(in.bad);
        assert_int_equal(back.count, 0);
    }
    gw_arena_release(&arena);
}

static void a_lying_count_allocates_nothing(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    unsigned char bytes[] = {0xff, 0xff, 0xff, 0xff, 0, 0};
    struct gw_cursor in = gw_cursor_of(bytes, sizeof bytes);
    gw_row_decode(&in, &arena);
    assert_true(in.bad);
    assert_int_equal(arena.used_bytes, 0);
    unsigned char unknown_kind[] = {0, 0, 0, 1, 9};
    in = gw_cursor_of(unknown_kind, sizeof unknown_kind);
    gw_row_decode(&in, &arena);
    assert_true(in.bad);
    gw_arena_release(&arena);
}

static void a_digest_counts_duplicates_and_carries(void **state)
{
    (void)state;
    struct gw_hash128 a = {.low = UINT64_MAX, .high = 1}, b = {.low = 1, .high = UINT64_MAX};
    struct gw_digest once = {0}, twice = {0};
    gw_digest_add(&once, a, 10);
    gw_digest_add(&twice, a, 10);
    gw_digest_add(&twice, a, 10);
    assert_false(gw_digest_equal(&once, &twice));
    gw_digest_add(&once, a, 10);
    assert_true(gw_digest_equal(&once, &twice));
    assert_int_equal(once.bytes, 20);
    struct gw_digest ab = {0}, ba = {0};
    gw_digest_add(&ab, a, 1);
    gw_digest_add(&ab, b, 1);
    gw_digest_add(&ba, b, 5);
    gw_digest_add(&ba, a, 5);
    assert_true(gw_digest_equal(&ab, &ba));           /* coverage is not part of equality */
    assert_true(ab.sum.low == 0 && ab.sum.high == 1); /* UINT64_MAX + 1 carries: 1 + UINT64_MAX + 1 wraps to 1 */
}

static void a_mark_says_what_it_saw(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_mark mark;
    MUST(gw_mark_parse("100:110:103,101,109", &mark, &err));
    assert_true(gw_mark_saw(&mark, 0));
    assert_true(gw_mark_saw(&mark, 99));
    for (uint64_t id = 100; id < 110; id++)
        assert_int_equal(gw_mark_saw(&mark, id), id != 101 && id != 103 && id != 109);
    assert_false(gw_mark_saw(&mark, 110));
    assert_false(gw_mark_saw(&mark, UINT64_MAX));
    struct gw_mark copy;
    gw_mark_copy(&copy, &mark);
    gw_mark_release(&mark);
    gw_autobuf struct gw_buf out = {0};
    gw_mark_format(&copy, &out);
    assert_string_equal(gw_buf_text(&out), "100:110:101,103,109");
    gw_mark_release(&copy);
    MUST(gw_mark_parse("18446744073709551614:18446744073709551615:", &mark, &err));
    assert_true(gw_mark_saw(&mark, UINT64_MAX - 1));
    assert_false(gw_mark_saw(&mark, UINT64_MAX));
    gw_mark_release(&mark);
}

static void what_is_no_mark_is_refused(void **state)
{
    (void)state;
    const char *wrong[] = {"",        "1",      "1:2",    ":2:",    "1::",  "5:4:",  "1:2:3",
                           "1:9:0",   "1:9:2,", "1:9:,2", "1:9:2 ", "a:b:", "-1:2:", "1:18446744073709551616:",
                           "1:9:2,,3"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gw_error err = {0};
        struct gw_mark mark = {0};
        assert_false(gw_mark_parse(wrong[i], &mark, &err));
        assert_int_equal(err.kind, GW_ERR_CONFLICT);
        assert_null(mark.open);
    }
}

static void bounds_survive_json(void **state)
{
    (void)state;
    const char *cases[][2] = {{"1", "2"},
                              {"", "\"quoted\" \\ back"},
                              {"\n\t\x01", "\xc3\xa9\xf0\x9f\x90\xa6"},
                              {"\xff\xfe", "plain"},
                              {"caf\xe9", "hex:6161"},
                              {"[]", "null"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gw_error err = {0};
        char *texts[2] = {(char *)cases[i][0], (char *)cases[i][1]};
        struct gw_bound bound = {.count = 2, .texts = texts}, back, copy;
        gw_autobuf struct gw_buf json = {0};
        gw_bound_format(&bound, &json);
        MUST(gw_bound_parse(gw_buf_text(&json), &back, &err));
        assert_true(gw_bound_equal(&bound, &back));
        copy = gw_bound_copy(&back);
        gw_bound_release(&back);
        assert_true(gw_bound_equal(&bound, &copy));
        gw_bound_release(&copy);
    }
    struct gw_error err = {0};
    struct gw_bound open = {0}, back;
    gw_autobuf struct gw_buf json = {0};
    gw_bound_format(&open, &json);
    assert_string_equal(gw_buf_text(&json), "[]");
    MUST(gw_bound_parse("[]", &back, &err));
    assert_int_equal(back.count, 0);
}

static void what_is_no_bound_is_refused(void **state)
{
    (void)state;
    const char *wrong[] = {"",
                           "{}",
                           "[1]",
                           "[null]",
                           "[\"a\",2]",
                           "[\"a\"",
                           "[\"\\u0000hex:0\"]",
                           "[\"\\u0000hex:zz\"]",
                           "[\"\\u0000\"]",
                           "[\"\\u0000hex:00\"]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gw_error err = {0};
        struct gw_bound bound = {0};
        assert_false(gw_bound_parse(wrong[i], &bound, &err));
        assert_int_equal(err.kind, GW_ERR_CONFLICT);
        assert_null(bound.texts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_compare_by_kind_and_bytes),
        cmocka_unit_test(a_row_survives_its_encoding),
        cmocka_unit_test(a_cut_row_is_bad_at_every_length),
        cmocka_unit_test(a_lying_count_allocates_nothing),
        cmocka_unit_test(a_digest_counts_duplicates_and_carries),
        cmocka_unit_test(a_mark_says_what_it_saw),
        cmocka_unit_test(what_is_no_mark_is_refused),
        cmocka_unit_test(bounds_survive_json),
        cmocka_unit_test(what_is_no_bound_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
