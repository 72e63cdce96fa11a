/* Sides that order their keys differently: cells of key hashes, what is read again, and what is read halfway. */
#include "verify_fake.h"

static struct fake_pair *unlike_pair(int64_t rows)
{
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, rows);
    pair->target.reversed = true;
    return pair;
}

static void every_kind_of_difference_is_found(void **state)
{
    (void)state;
    struct fake_pair *pair = unlike_pair(ROWS);
    fake_set(&pair->target, 10, 1, "name 11");
    fake_set(&pair->target, 11, 1, "name 10");
    fake_delete(&pair->target, 500);
    fake_add(&pair->target, -5, "below", NULL, NULL);
    fake_add(&pair->target, ROWS + 5, "above", NULL, NULL);
    fake_add(&pair->target, 700, "name 700", NULL, "2024-01-01 00:00:00");
    struct gw_verify_report report = run(pair);
    expect(&report, GW_VERDICT_DIFFERENT, "1 row is missing on the target");
    const struct gw_verify_collection *c = &report.collections[0];
    assert_int_equal(c->missing, 1);
    assert_int_equal(c->extra, 2);
    assert_int_equal(c->changed, 2);
    assert_int_equal(c->duplicate, 1);
    assert_int_equal(c->suspects, 6);
    assert_int_equal(c->rows[0], ROWS);
    assert_int_equal(c->rows[1], ROWS + 2);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

/* Of 100 chunks a side, and as many read again as share a group with the row's cell. */
static void for_one_row_little_is_read_again(void **state)
{
    (void)state;
    struct fake_pair *pair = unlike_pair(10 * ROWS);
    pair->source.collection.estimated_rows = 10 * ROWS;
    fake_set(&pair->target, 4321, 2, "different");
    struct gw_verify_report report = run(pair);
    expect(&report, GW_VERDICT_DIFFERENT, "1 row differs in note");
    assert_int_equal(report.collections[0].suspects, 1);
    assert_int_equal(report.collections[0].chunks, 100);
    assert_in_range(atomic_load(&pair->source.begins), 101, 140);
    assert_in_range(atomic_load(&pair->target.begins), 101, 140);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

struct broken_off {
    atomic_int left;
};
static enum gw_error_kind break_off(struct fake_store *s, char what, void *arg)
{
    struct broken_off *broken = arg;
    (void)s;
    return what == 'n' && atomic_fetch_sub(&broken->left, 1) > 0 ? GW_ERR_RETRY : GW_ERR_NONE;
}

static void what_was_read_halfway_counts_for_nothing(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct fake_pair *pair = unlike_pair(ROWS);
        struct broken_off broken = {3};
        struct fake_store *store = side ? &pair->target : &pair->source;
        store->hook = break_off;
        store->hook_arg = &broken;
        struct gw_verify_report report = run(pair);
        expect(&report, GW_VERDICT_EQUAL, "");
        assert_int_equal(report.collections[0].suspects, 0);
        assert_int_equal(report.collections[0].rows[0], ROWS);
        assert_int_equal(report.collections[0].rows[1], ROWS);
        gw_verify_report_release(&report);
        fake_pair_free(pair);
    }
}

/* More rows in one chunk than a list holds: its sums come from an array. */
static void a_chunk_that_has_grown_counts_whole(void **state)
{
    (void)state;
    struct fake_pair *pair = unlike_pair(140000);
    struct gw_verify_options options = fake_options(pair);
    options.chunk_rows = 200000;
    struct gw_verify_report report = run_options(&options);
    expect(&report, GW_VERDICT_EQUAL, "");
    assert_int_equal(report.collections[0].chunks, 1);
    gw_verify_report_release(&report);
    fake_set(&pair->target, 139999, 3, NULL);
    report = run_options(&options);
    expect(&report, GW_VERDICT_DIFFERENT, "row differs in made");
    assert_int_equal(report.collections[0].suspects, 1);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

/* All differ: proved one by one up to a limit, the rest is counted. */
static void many_differences_end(void **state)
{
    (void)state;
    struct fake_pair *pair = unlike_pair(ROWS);
    for (int64_t id = 0; id < 30000; id++)
        fake_add(&pair->target, 10000 + id, "x", NULL, NULL);
    struct gw_verify_options options = fake_options(pair);
    options.resettle_ms = 120000;
    options.chunk_rows = 5000;
    struct gw_verify_report report = run_options(&options);
    expect(&report, GW_VERDICT_DIFFERENT, "rows are on the target only");
    assert_true(report.collections[0].at_least);
    assert_true(report.collections[0].extra >= 10000);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

/* The applier lags by some changes while the sides are read; it catches up when the suspects wait for it. */
static bool catch_up(void *arg, const struct gw_position *position, int timeout_ms, bool *reached, struct gw_error *err)
{
    struct fake_pair *pair = arg;
    (void)position;
    (void)timeout_ms;
    (void)err;
    for (int64_t id = 100; id < 120; id++)
        fake_set(&pair->target, id, 1, "changed");
    *reached = true;
    return true;
}

static void rows_in_flight_are_not_different(void **state)
{
    (void)state;
    struct fake_pair *pair = unlike_pair(ROWS);
    for (int64_t id = 100; id < 120; id++)
        fake_set(&pair->source, id, 1, "changed");
    struct gw_verify_options options = fake_options(pair);
    options.wait_applied = catch_up;
    options.wait_arg = pair;
    struct gw_verify_report report = run_options(&options);
    expect(&report, GW_VERDICT_EQUAL, "");
    assert_int_equal(report.collections[0].settled, 20);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

static enum gw_error_kind deny(struct fake_store *s, char what, void *arg)
{
    (void)s;
    (void)arg;
    return what == 'n' ? GW_ERR_REFUSED : GW_ERR_NONE;
}

static void a_side_that_cannot_be_read_is_unresolved(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct fake_pair *pair = unlike_pair(ROWS);
        (side ? &pair->target : &pair->source)->hook = deny;
        expect_run(pair, GW_VERDICT_UNRESOLVED, "could not be read");
        fake_pair_free(pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_difference_is_found),
        cmocka_unit_test(for_one_row_little_is_read_again),
        cmocka_unit_test(what_was_read_halfway_counts_for_nothing),
        cmocka_unit_test(a_chunk_that_has_grown_counts_whole),
        cmocka_unit_test(many_differences_end),
        cmocka_unit_test(rows_in_flight_are_not_different),
        cmocka_unit_test(a_side_that_cannot_be_read_is_unresolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
