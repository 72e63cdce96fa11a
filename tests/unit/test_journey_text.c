/* What the journey says in words, and an error that crosses the runner's socket. */
#include "gw_test.h"

#include "base/buf.h"
#include "io/error_json.h"
#include "journey/status.h"
#include "journey/streams.h"

static struct gw_follow_status falling_behind(void)
{
    return (struct gw_follow_status){.applying = true,
                                     .lag_rows = 1234567,
                                     .seconds_left = -1,
                                     .source_rows_per_second = 9000.4,
                                     .apply_rows_per_second = 700};
}

static void a_direction_that_never_converges_says_so_with_its_rates_and_its_target(void **state)
{
    (void)state;
    struct gw_follow_status status = falling_behind();
    gw_autobuf struct gw_buf there = {0}, back = {0}, fast = {0};
    gw_streams_convergence(&status, GW_BLUE, &there);
    assert_contains(gw_buf_text(&there), "source 9,000 rows/s, apply 700: never. Give green more CPU");
    gw_streams_convergence(&status, GW_GREEN, &back);
    assert_contains(gw_buf_text(&back), "Give blue more CPU");
    assert_null(strstr(gw_buf_text(&back), "green"));
    status.source_rows_per_second = 1234567;
    gw_streams_convergence(&status, GW_BLUE, &fast);
    assert_contains(gw_buf_text(&fast), "source 1,234,567 rows/s");
}

static void what_converges_or_does_not_apply_at_all_is_not_said_to_be_too_slow(void **state)
{
    (void)state;
    gw_autobuf struct gw_buf out = {0};
    struct gw_follow_status status = falling_behind();
    status.seconds_left = 12;
    gw_streams_convergence(&status, GW_BLUE, &out);
    status = falling_behind();
    status.caught_up = true;
    gw_streams_convergence(&status, GW_BLUE, &out);
    status = falling_behind();
    status.lag_rows = 999;
    gw_streams_convergence(&status, GW_BLUE, &out);
    status = falling_behind();
    status.applying = false; /* held back, or blocked: its rate is 0 for another reason */
    gw_streams_convergence(&status, GW_BLUE, &out);
    status = falling_behind();
    status.source_rows_per_second = 107;
    status.apply_rows_per_second = 106; /* all that it gets, but for what a sample leaves out */
    gw_streams_convergence(&status, GW_BLUE, &out);
    assert_int_equal(out.len, 0);
}

static void an_error_is_the_same_at_the_other_end(void **state)
{
    (void)state;
    struct gw_error sent, got;
    (void)!gw_fail(&sent, GW_ERR_CONFLICT, "rows on %s", "blue");
    (void)!gw_error_detail(&sent, "key 1; \"x\"\n\xff");
    (void)!gw_error_hint(&sent, "repair them");
    (void)!gw_error_place(&sent, "blue h/d");
    json_t *object = gw_error_to_json(&sent);
    gw_error_from_json(object, &got);
    assert_int_equal(got.kind, sent.kind);
    assert_string_equal(got.message, sent.message);
    assert_contains(got.detail, "key 1; \"x\"\n");
    assert_string_equal(got.hint, sent.hint);
    assert_string_equal(got.place, sent.place);
    json_decref(object);
}

static void what_is_no_error_stays_none_and_an_unknown_kind_is_a_bug(void **state)
{
    (void)state;
    struct gw_error got;
    gw_error_from_json(NULL, &got);
    assert_int_equal(got.kind, GW_ERR_NONE);
    json_t *odd = json_pack("{s:i}", "kind", 4711);
    gw_error_from_json(odd, &got);
    assert_int_equal(got.kind, GW_ERR_BUG);
    json_decref(odd);
    struct gw_error none = {0};
    json_t *object = gw_error_to_json(&none);
    gw_error_from_json(object, &got);
    assert_int_equal(got.kind, GW_ERR_NONE);
    json_decref(object);
}

static void a_status_in_words_has_its_way_back_or_none(void **state)
{
    (void)state;
    gw_autobuf struct gw_buf some = {0}, none = {0};
    json_t *status = json_pack("{s:s, s:s, s:s, s:{s:s, s:b, s:i, s:s}, s:[s]}", "migration", "acme", "stage", "follow",
                               "owner", "blue", "go_back", "command", "godwit abort", "possible", 1, "loses_rows", 0,
                               "takes", "about 40 ms", "blocks", "lag");
    gw_status_print(status, &some);
    assert_contains(gw_buf_text(&some), "go back    godwit abort      loses 0 rows, takes about 40 ms");
    assert_contains(gw_buf_text(&some), "blocks switch:\n    lag\n");
    json_decref(status);
    status = json_pack("{s:s, s:s, s:s, s:{s:s, s:b, s:s}, s:[]}", "migration", "acme", "stage", "retain", "owner",
                       "unknown", "go_back", "command", "godwit rollback", "possible", 0, "why", "lost", "blocks");
    gw_status_print(status, &none);
    assert_contains(gw_buf_text(&none), "go back    NONE: lost");
    assert_contains(gw_buf_text(&none), "owner UNKNOWN");
    assert_null(strstr(gw_buf_text(&none), "blocks"));
    json_decref(status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_direction_that_never_converges_says_so_with_its_rates_and_its_target),
        cmocka_unit_test(what_converges_or_does_not_apply_at_all_is_not_said_to_be_too_slow),
        cmocka_unit_test(an_error_is_the_same_at_the_other_end),
        cmocka_unit_test(what_is_no_error_stays_none_and_an_unknown_kind_is_a_bug),
        cmocka_unit_test(a_status_in_words_has_its_way_back_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
