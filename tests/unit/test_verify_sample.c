/* A sample: which rows, what it finds, and what it is worth. */
#include "verify_fake.h"

#include "state_kit.h"
#include "verify/sample.h"

static struct gw_verify_options sampled(struct fake_pair *pair, uint32_t one_of, uint64_t seed)
{
    struct gw_verify_options options = fake_options(pair);
    options.jobs = 1; /* what is found first is shown first */
    options.sample = (struct gw_verify_sample){one_of, seed};
    return options;
}

static void a_sample_is_of_its_size_and_had_again_by_its_seed(void **state)
{
    (void)state;
    for (int unlike = 0; unlike < 2; unlike++) {
        struct fake_pair *pair = fake_pair_new(true);
        fill_pair(pair, 100 * GW_SAMPLE_ROWS);
        pair->target.reversed = unlike;
        for (int64_t id = 500; id < 100 * GW_SAMPLE_ROWS; id += GW_SAMPLE_ROWS) /* one wrong row in each block */
            fake_set(&pair->target, id, 1, "wrong");
        char *first[2] = {NULL, NULL};
        for (uint64_t seed = 1; seed < 3; seed++)
            for (int again = 0; again < 2; again++) {
                struct gw_verify_options options = sampled(pair, 10, seed);
                struct gw_verify_report report = run_options(&options);
                expect(&report, GW_VERDICT_DIFFERENT, "differ in name");
                const struct gw_verify_collection *c = &report.collections[0];
                assert_in_range(c->rows[0], 8 * GW_SAMPLE_ROWS, unlike ? 22 * GW_SAMPLE_ROWS : 11 * GW_SAMPLE_ROWS);
                assert_in_range(c->changed, 8, unlike ? 22 : 11);
                gw_autofree char *key = gw_strdup(c->differences[0].key);
                if (again)
                    assert_string_equal(key, first[seed - 1]);
                else
                    first[seed - 1] = gw_strdup(key);
                gw_verify_report_release(&report);
            }
        assert_string_not_equal(first[0], first[1]);
        free(first[0]);
        free(first[1]);
        fake_pair_free(pair);
    }
}

/* With many seeds each row is looked at some time, at either end too, and what only the target has is found. */
static void no_row_is_out_of_reach(void **state)
{
    (void)state;
    const int64_t rows = 7 * GW_SAMPLE_ROWS / 2;
    const int64_t places[] = {-5, 1, GW_SAMPLE_ROWS, rows, rows + 5};
    for (int unlike = 0; unlike < 2; unlike++)
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            struct fake_pair *pair = fake_pair_new(true);
            unsigned found = 0;
            fill_pair(pair, rows);
            pair->target.reversed = unlike;
            if (places[i] < 1 || places[i] > rows)
                fake_add(&pair->target, places[i], "extra", NULL, NULL);
            else
                fake_set(&pair->target, places[i], 1, "wrong");
            for (uint64_t seed = 0; seed < 60; seed++) {
                struct gw_verify_options options = sampled(pair, 4, seed);
                struct gw_verify_report report = run_options(&options);
                assert_true(report.collections[0].rows[0] > 0);
                assert_true(report.verdict != GW_VERDICT_UNRESOLVED);
                found += report.verdict == GW_VERDICT_DIFFERENT;
                gw_verify_report_release(&report);
            }
            assert_in_range(found, 4, 56);
            fake_pair_free(pair);
        }
}

static void a_small_collection_is_looked_at_as_a_whole(void **state)
{
    (void)state;
    for (int unlike = 0; unlike < 2; unlike++) {
        struct fake_pair *pair = fake_pair_new(true);
        fill_pair(pair, 50);
        pair->target.reversed = unlike;
        fake_delete(&pair->target, 50);
        fake_add(&pair->target, 51, "extra", NULL, NULL);
        struct gw_verify_options options = sampled(pair, 1000, 7);
        struct gw_verify_report report = run_options(&options);
        expect(&report, GW_VERDICT_DIFFERENT, "1 row is missing on the target");
        assert_int_equal(report.collections[0].extra, 1);
        assert_int_equal(report.collections[0].missing, 1);
        gw_verify_report_release(&report);
        fake_pair_free(pair);
    }
}

static void an_equal_sample_is_not_kept_and_a_difference_is(void **state)
{
    (void)state;
    char *folder = gw_test_mkdir();
    struct gw_state *journal = open_with(folder, true, true);
    struct fake_pair *pair = fake_pair_new(true);
    struct gw_error err = {0};
    fill_pair(pair, 50);
    for (int different = 0; different < 2; different++) {
        if (different)
            fake_set(&pair->target, 7, 1, "wrong");
        struct gw_verify_options options = sampled(pair, 2, 1);
        struct gw_verify_report report = run_options(&options);
        MUST(gw_verify_keep(&report, journal, &err));
        gw_autojson json_t *verdicts = NULL;
        MUST(gw_state_verdicts(journal, &verdicts, &err));
        assert_int_equal(json_array_size(verdicts), different);
        gw_autobuf struct gw_buf text = {0};
        gw_verify_report_text(&report, false, &text);
        assert_contains(gw_buf_text(&text), "a sample: one row of 2, in blocks of 1000, --seed 1.");
        assert_contains(gw_buf_text(&text), different ? "verdict: different in the sample" : "verdict: equal in the");
        gw_verify_report_release(&report);
    }
    fake_pair_free(pair);
    gw_state_close(journal);
    gw_test_rmdir(folder);
}

static void what_a_sample_is_worth(void **state)
{
    (void)state;
    struct gw_verify_sample sample = {0};
    struct gw_error err;
    MUST(gw_sample_parse("1%", &sample, &err));
    assert_int_equal(sample.one_of, 100);
    assert_true(gw_sample_missed(&sample, 1) > 0.9899 && gw_sample_missed(&sample, 1) < 0.9901);
    assert_true(gw_sample_missed(&sample, 100) > 0.366 && gw_sample_missed(&sample, 100) < 0.3661);
    assert_int_equal(gw_sample_sure(&sample), 459);
    MUST(gw_sample_parse("0.5 %", &sample, &err));
    assert_int_equal(sample.one_of, 200);
    MUST(gw_sample_parse("30", &sample, &err));
    assert_int_equal(sample.one_of, 3);
    const char *const wrong[] = {"", "%", "0", "-1", "101%", "nan", "1%%", "1x", "0.0001"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(gw_sample_parse(wrong[i], &sample, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_is_of_its_size_and_had_again_by_its_seed),
        cmocka_unit_test(no_row_is_out_of_reach),
        cmocka_unit_test(a_small_collection_is_looked_at_as_a_whole),
        cmocka_unit_test(an_equal_sample_is_not_kept_and_a_difference_is),
        cmocka_unit_test(what_a_sample_is_worth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
