/* Verify on two made-up sides: still ones with every kind of difference, and live ones that move at the worst moment. */
#include "verify_fake.h"

/* ---- still pairs ------------------------------------------------------------------------------------------------- */

static void equal_sides_are_equal_and_covered(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, ROWS);
    struct gw_verify_report report = run(pair);
    expect(&report, GW_VERDICT_EQUAL, "");
    const struct gw_verify_collection *c = &report.collections[0];
    assert_int_equal(c->rows[0], ROWS);
    assert_int_equal(c->rows[1], ROWS);
    assert_int_equal(c->columns, FAKE_COLUMNS);
    assert_int_equal(c->chunks, ROWS / 100);
    assert_true(c->bytes[0] > ROWS * 20);
    assert_true(c->from[0].order > 0 && c->to[1].order > 0);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

static void swapped_values_are_found(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, ROWS);
    fake_set(&pair->target, 10, 1, "name 11");
    fake_set(&pair->target, 11, 1, "name 10");
    struct gw_verify_report report = run(pair);
    expect(&report, GW_VERDICT_DIFFERENT, "2 rows differ in name");
    assert_int_equal(report.collections[0].changed, 2);
    assert_int_equal(report.collections[0].difference_count, 2);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

static void every_null_like_pair_is_found(void **state)
{
    (void)state;
    const char *const texts[] = {NULL, "", "NULL", "<null>", "null"};
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < 5; j++) {
            struct fake_pair *pair = fake_pair_new(true);
            fake_add(&pair->source, 1, "a", texts[i], "z");
            fake_add(&pair->target, 1, "a", texts[j], "z");
            expect_run(pair, i == j ? GW_VERDICT_EQUAL : GW_VERDICT_DIFFERENT, i == j ? "" : "row differs in note");
            fake_pair_free(pair);
        }
}

static void value_shifted_by_a_column_is_found(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fake_add(&pair->source, 1, "a|b", "c", NULL);
    fake_add(&pair->target, 1, "a", "b|c", NULL);
    fake_add(&pair->source, 2, NULL, "x", "y");
    fake_add(&pair->target, 2, "x", NULL, "y");
    struct gw_verify_report report = run(pair);
    expect(&report, GW_VERDICT_DIFFERENT, "");
    assert_int_equal(report.collections[0].changed, 2);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

static void rows_outside_first_min_and_max_are_found(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, ROWS);
    fake_add(&pair->target, -5, "below", NULL, NULL);
    fake_add(&pair->target, ROWS + 500, "above", NULL, NULL);
    fake_delete(&pair->target, 500);
    struct gw_verify_report report = run(pair);
    expect(&report, GW_VERDICT_DIFFERENT, "1 row is missing on the target");
    assert_int_equal(report.collections[0].extra, 2);
    assert_int_equal(report.collections[0].missing, 1);
    assert_string_equal(report.collections[0].causes[1], "2 rows are on the target only");
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

static void the_same_shift_in_all_rows_is_named(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, 300);
    for (int64_t id = 1; id <= 300; id++)
        fake_set(&pair->target, id, 3, "2024-01-01 09:00:00");
    expect_run(pair, GW_VERDICT_DIFFERENT, "all 300 rows differ in made by +9 h: time zone");
    fake_pair_free(pair);
}

static void keyless_duplicates_are_found(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(false);
    for (int i = 0; i < 3; i++) {
        fake_add(&pair->source, 1, "same", NULL, NULL);
        fake_add(&pair->target, 1, "same", NULL, NULL);
        fake_add(&pair->source, 2, "other", NULL, NULL);
        fake_add(&pair->target, 2, "other", NULL, NULL);
    }
    expect_run(pair, GW_VERDICT_EQUAL, "");
    fake_add(&pair->target, 1, "same", NULL, NULL);
    fake_add(&pair->target, 1, "same", NULL, NULL);
    struct gw_verify_report report = run(pair);
    expect(&report, GW_VERDICT_DIFFERENT, "2 rows are on the target only");
    assert_string_equal(report.collections[0].differences[0].key, "id=1, name=same, note=NULL, made=NULL");
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

static void duplicate_keys_on_the_target_are_found(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, 50);
    fake_add(&pair->target, 7, "name 7", NULL, "2024-01-01 00:00:00");
    expect_run(pair, GW_VERDICT_DIFFERENT, "1 key has another number of rows on the target");
    fake_pair_free(pair);
}

/* The target's own order is the other way round: ranges would hold other rows there. */
static void sides_that_order_keys_differently_make_no_phantoms(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, ROWS);
    pair->target.reversed = true;
    struct gw_verify_report report = run(pair);
    expect(&report, GW_VERDICT_EQUAL, "");
    assert_int_equal(report.collections[0].suspects, 0);
    gw_verify_report_release(&report);
    fake_set(&pair->target, 321, 1, "other");
    fake_add(&pair->target, 5000, "extra", NULL, NULL);
    report = run(pair);
    expect(&report, GW_VERDICT_DIFFERENT, "1 row is on the target only");
    assert_int_equal(report.collections[0].suspects, 2);
    assert_int_equal(report.collections[0].changed, 1);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

/* One chunk of the source has 200 rows, and 60,000 on the target: more than we prove one by one. */
static void a_range_with_far_too_many_rows_is_looked_at_in_groups(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, 200);
    for (int64_t id = 0; id < 60000; id++)
        fake_add(&pair->target, 1000 + id, "x", NULL, NULL);
    struct gw_verify_options options = fake_options(pair);
    options.resettle_ms = 120000;
    struct gw_verify_report report = run_options(&options);
    expect(&report, GW_VERDICT_DIFFERENT, "rows are on the target only");
    const struct gw_verify_collection *c = &report.collections[0];
    assert_true(c->at_least);
    assert_true(c->extra >= 10000 && c->extra < 60000);
    assert_int_equal(c->missing + c->changed + c->unresolved, 0);
    assert_int_equal(c->rows[1], 60200);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

/* ---- what was not looked at -------------------------------------------------------------------------------------- */

static void nothing_compared_is_never_equal(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    struct gw_verify_report report = run(pair); /* no row on either side */
    assert_int_equal(report.verdict, GW_VERDICT_UNRESOLVED);
    assert_contains(report.reason, "no row was compared");
    gw_verify_report_release(&report);

    struct gw_verify_options options = fake_options(pair);
    struct gw_schema none = {0};
    options.schema = &none;
    report = run_options(&options);
    assert_int_equal(report.verdict, GW_VERDICT_UNRESOLVED);
    assert_int_equal(gw_verify_exit(&report), GW_EXIT_UNRESOLVED);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

static void a_missing_collection_is_different(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, 10);
    pair->target.missing = true;
    expect_run(pair, GW_VERDICT_DIFFERENT, "missing on the target");
    pair->source.missing = true;
    expect_run(pair, GW_VERDICT_UNRESOLVED, "no longer on the source");
    fake_pair_free(pair);
}

static void another_column_type_is_different(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, 10);
    free(pair->target.collection.columns[2].type);
    pair->target.collection.columns[2].type = gw_strdup("bigint");
    expect_run(pair, GW_VERDICT_DIFFERENT, "column note is text on the source and bigint on the target");
    fake_pair_free(pair);
}

struct failures {
    char what;
    enum gw_error_kind kind;
    atomic_int left;
};

static enum gw_error_kind fail_some(struct fake_store *store, char what, void *arg)
{
    struct failures *failures = arg;
    (void)store;
    if (what == failures->what && atomic_fetch_sub(&failures->left, 1) > 0)
        return failures->kind;
    return GW_ERR_NONE;
}

/* An error in the middle of the rows is not their end. */
static void a_passing_error_is_tried_again(void **state)
{
    (void)state;
    const char whats[] = {'b', 'n', 's', 'f', 'o'};
    for (size_t i = 0; i < sizeof whats; i++)
        for (int side = 0; side < 2; side++) {
            struct fake_pair *pair = fake_pair_new(true);
            struct failures failures = {whats[i], GW_ERR_RETRY, 2};
            fill_pair(pair, ROWS);
            fake_set(&pair->target, 5, 1, "wrong");
            struct fake_store *store = side ? &pair->target : &pair->source;
            store->hook = fail_some;
            store->hook_arg = &failures;
            struct gw_verify_report report = run(pair);
            expect(&report, GW_VERDICT_DIFFERENT, "1 row differs in name");
            assert_int_equal(report.collections[0].rows[0], ROWS);
            assert_int_equal(report.collections[0].rows[1], ROWS);
            gw_verify_report_release(&report);
            fake_pair_free(pair);
        }
}

static void what_cannot_be_read_is_unresolved(void **state)
{
    (void)state;
    const char whats[] = {'b', 'n', 's'};
    for (size_t i = 0; i < sizeof whats; i++) {
        struct fake_pair *pair = fake_pair_new(true);
        struct failures failures = {whats[i], GW_ERR_REFUSED, 1000000};
        fill_pair(pair, ROWS);
        pair->source.hook = fail_some;
        pair->source.hook_arg = &failures;
        expect_run(pair, GW_VERDICT_UNRESOLVED, "could not be read: made to fail");
        fake_pair_free(pair);
    }
}

static void a_side_that_cannot_be_reached_is_an_error(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_verify_report report = {0};
    struct fake_pair *pair = fake_pair_new(true);
    struct failures failures = {'o', GW_ERR_REFUSED, 1000000};
    fill_pair(pair, ROWS);
    pair->target.hook = fail_some;
    pair->target.hook_arg = &failures;
    struct gw_verify_options options = fake_options(pair);
    assert_false(gw_verify_run(&options, &report, &err));
    assert_int_equal(gw_error_exit(&err), GW_EXIT_UNREACHABLE);
    assert_int_equal(report.count, 0);
    fake_pair_free(pair);
}

static enum gw_error_kind ask_cancel(struct fake_store *store, char what, void *arg)
{
    (void)store;
    if (what == 'n')
        gw_cancel_ask(arg, 15);
    return GW_ERR_NONE;
}

static void cancelling_stops_it(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_verify_report report = {0};
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, ROWS);
    pair->source.hook = ask_cancel;
    pair->source.hook_arg = &pair->cancel;
    struct gw_verify_options options = fake_options(pair);
    assert_false(gw_verify_run(&options, &report, &err));
    assert_int_equal(err.kind, GW_ERR_CANCELLED);
    fake_pair_free(pair);
}

/* ---- live pairs -------------------------------------------------------------------------------------------------- */

static bool always_applied(void *arg, const struct gw_position *position, int timeout_ms, bool *reached,
                           struct gw_error *err)
{
    (void)arg;
    (void)position;
    (void)timeout_ms;
    (void)err;
    *reached = true;
    return true;
}

static bool never_applied(void *arg, const struct gw_position *position, int timeout_ms, bool *reached,
                          struct gw_error *err)
{
    (void)arg;
    (void)position;
    (void)timeout_ms;
    (void)err;
    *reached = false;
    return true;
}

static bool blocked_apply(void *arg, const struct gw_position *position, int timeout_ms, bool *reached,
                          struct gw_error *err)
{
    (void)arg;
    (void)position;
    (void)timeout_ms;
    *reached = false;
    return gw_fail(err, GW_ERR_CONFLICT, "a column was added");
}

static void a_stalled_applier_makes_it_unresolved(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, ROWS);
    fake_set(&pair->source, 5, 1, "changed on the source only");
    fake_add(&pair->source, 5000, "new on the source", NULL, NULL);
    struct gw_verify_options options = fake_options(pair);
    options.resettle_ms = 100;
    options.wait_applied = never_applied;
    struct gw_verify_report report = run_options(&options);
    expect(&report, GW_VERDICT_UNRESOLVED, "had not applied");
    assert_int_equal(report.collections[0].unresolved, 2);
    gw_verify_report_release(&report);
    options.wait_applied = blocked_apply;
    report = run_options(&options);
    expect(&report, GW_VERDICT_UNRESOLVED, "a column was added");
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

static void a_stalled_applier_makes_a_keyless_collection_unresolved(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(false);
    fill_pair(pair, 100);
    fake_set(&pair->source, 5, 1, "changed on the source only");
    struct gw_verify_options options = fake_options(pair);
    options.resettle_ms = 100;
    options.wait_applied = never_applied;
    struct gw_verify_report report = run_options(&options);
    expect(&report, GW_VERDICT_UNRESOLVED, "had not applied");
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

/* The target gets the change while the suspects wait for it. */
static bool apply_late(void *arg, const struct gw_position *position, int timeout_ms, bool *reached,
                       struct gw_error *err)
{
    struct fake_pair *pair = arg;
    (void)position;
    (void)timeout_ms;
    (void)err;
    if (fake_find(&pair->target, 5)->values[0][0] != 'c') {
        fake_set(&pair->target, 5, 1, "changed");
        fake_delete(&pair->target, 6);
        fake_add(&pair->target, 5000, "new", NULL, NULL);
    }
    *reached = true;
    return true;
}

static void rows_in_flight_are_not_different(void **state)
{
    (void)state;
    for (int keyed = 0; keyed < 2; keyed++) {
        struct fake_pair *pair = fake_pair_new(keyed);
        fill_pair(pair, ROWS);
        fake_set(&pair->source, 5, 1, "changed");
        fake_delete(&pair->source, 6);
        fake_add(&pair->source, 5000, "new", NULL, NULL);
        struct gw_verify_options options = fake_options(pair);
        options.wait_applied = apply_late;
        options.wait_arg = pair;
        struct gw_verify_report report = run_options(&options);
        expect(&report, GW_VERDICT_EQUAL, "");
        assert_true(report.collections[0].settled > 0);
        gw_verify_report_release(&report);
        fake_pair_free(pair);
    }
}

/* The source's row goes there and back between two reads of it, and the target is read in the middle. */
struct there_and_back {
    struct fake_pair *pair;
    atomic_int target_fetches;
    bool by_delete;
};

static enum gw_error_kind toggle(struct fake_store *store, char what, void *arg)
{
    struct there_and_back *t = arg;
    struct fake_store *source = &t->pair->source;
    if (what != 'f')
        return GW_ERR_NONE;
    if (store == &t->pair->target && t->by_delete) {
        fake_add(source, 7000, "comes and goes", NULL, NULL);
        fake_delete(source, 7000);
        if (atomic_fetch_add(&t->target_fetches, 1) < 4) { /* as the target had it in between */
            if (fake_find(store, 7000))
                fake_delete(store, 7000);
            fake_add(store, 7000, "comes and goes", NULL, NULL);
        } else if (fake_find(store, 7000)) {
            fake_delete(store, 7000);
        }
    } else if (store == &t->pair->target) {
        fake_set(source, 5, 1, "there");
        fake_set(source, 5, 1, "name 5");
        fake_set(store, 5, 1, atomic_fetch_add(&t->target_fetches, 1) < 4 ? "there" : "name 5");
    }
    return GW_ERR_NONE;
}

static void a_row_that_goes_there_and_back_is_not_different(void **state)
{
    (void)state;
    for (int by_delete = 0; by_delete < 2; by_delete++) {
        struct fake_pair *pair = fake_pair_new(true);
        struct there_and_back t = {.pair = pair, .by_delete = by_delete};
        fill_pair(pair, 50);
        if (by_delete)
            fake_add(&pair->target, 7000, "comes and goes", NULL, NULL);
        else
            fake_set(&pair->target, 5, 1, "there");
        pair->target.hook = toggle;
        pair->target.hook_arg = &t;
        struct gw_verify_options options = fake_options(pair);
        options.wait_applied = always_applied;
        struct gw_verify_report report = run_options(&options);
        expect(&report, GW_VERDICT_EQUAL, "");
        assert_int_equal(report.collections[0].settled, 1);
        gw_verify_report_release(&report);
        fake_pair_free(pair);
    }
}

/* A commit behind a slow synchronous standby: applied on the target, not yet visible on the source. */
struct slow_commit {
    struct fake_pair *pair;
    atomic_int polls;
};

static enum gw_error_kind become_visible(struct fake_store *store, char what, void *arg)
{
    struct slow_commit *slow = arg;
    if (what == 'f' && store == &slow->pair->source && atomic_fetch_add(&slow->polls, 1) == 5) {
        fake_set(&slow->pair->source, 5, 1, "committed");
        fake_add(&slow->pair->source, 6000, "inserted", NULL, NULL);
        atomic_store(&slow->pair->source.invisible, 0);
    }
    return GW_ERR_NONE;
}

static void a_commit_that_is_not_visible_yet_is_not_different(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    struct slow_commit slow = {.pair = pair};
    fill_pair(pair, 50);
    fake_set(&pair->target, 5, 1, "committed");
    fake_add(&pair->target, 6000, "inserted", NULL, NULL);
    atomic_store(&pair->source.invisible, 1);
    pair->source.hook = become_visible;
    pair->source.hook_arg = &slow;
    struct gw_verify_options options = fake_options(pair);
    options.wait_applied = always_applied;
    options.resettle_ms = 20000;
    struct gw_verify_report report = run_options(&options);
    expect(&report, GW_VERDICT_EQUAL, "");
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

/* ---- a hot row --------------------------------------------------------------------------------------------------- */

struct hot {
    struct fake_pair *pair;
    pthread_t thread;
    atomic_bool stop;
    atomic_ullong applied; /* as fake_at() counts */
};

static bool wait_hot(void *arg, const struct gw_position *position, int timeout_ms, bool *reached, struct gw_error *err)
{
    struct hot *hot = arg;
    int64_t end_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    (void)err;
    while (!(*reached = atomic_load(&hot->applied) >= position->order) && gw_mono_us() < end_us)
        gw_sleep_us(500);
    return true;
}

/* A thousand updates a second of one row; the target sets that one column of its row some later. */
static void *keep_hot(void *arg)
{
    struct hot *hot = arg;
    char values[8][32] = {{0}};
    uint64_t positions[8] = {0};
    for (uint64_t n = 0; !atomic_load(&hot->stop); n++) {
        snprintf(values[n % 8], sizeof values[0], "counter %llu", (unsigned long long)n);
        fake_set(&hot->pair->source, 5, 1, values[n % 8]);
        positions[n % 8] = fake_position(&hot->pair->source) + 1;
        if (n >= 5) {
            fake_set(&hot->pair->target, 5, 1, values[(n - 5) % 8]);
            atomic_store(&hot->applied, positions[(n - 5) % 8]);
        }
        gw_sleep_us(1000);
    }
    return NULL;
}

static struct gw_verify_report run_hot(struct fake_pair *pair)
{
    struct hot hot = {.pair = pair};
    struct gw_verify_options options = fake_options(pair);
    options.wait_applied = wait_hot;
    options.wait_arg = &hot;
    options.resettle_ms = 20000;
    pthread_create(&hot.thread, NULL, keep_hot, &hot);
    while (fake_position(&pair->target) < 60) /* 50 rows were added: it runs */
        gw_sleep_us(1000);
    struct gw_verify_report report = run_options(&options);
    atomic_store(&hot.stop, true);
    pthread_join(hot.thread, NULL);
    return report;
}

static void a_hot_row_is_no_false_alarm(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, 50);
    struct gw_verify_report report = run_hot(pair);
    expect(&report, GW_VERDICT_EQUAL, "");
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

static void an_error_planted_in_a_hot_row_is_found(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, 50);
    fake_set(&pair->target, 5, 2, "planted");
    struct gw_verify_report report = run_hot(pair);
    expect(&report, GW_VERDICT_DIFFERENT, "");
    assert_int_equal(report.collections[0].changed, 1);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

static void without_versions_it_takes_more_rounds_and_is_right(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, 50);
    pair->source.no_versions = pair->target.no_versions = true;
    fake_set(&pair->target, 5, 2, "planted");
    fake_add(&pair->target, 99, "extra", NULL, NULL);
    struct gw_verify_options options = fake_options(pair);
    options.wait_applied = always_applied;
    struct gw_verify_report report = run_options(&options);
    expect(&report, GW_VERDICT_DIFFERENT, "");
    assert_int_equal(report.collections[0].changed, 1);
    assert_int_equal(report.collections[0].extra, 1);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

/* ---- the report -------------------------------------------------------------------------------------------------- */

static void the_report_names_rows_and_columns(void **state)
{
    (void)state;
    struct fake_pair *pair = fake_pair_new(true);
    fill_pair(pair, ROWS);
    fake_set(&pair->target, 42, 1, "name 42 ");
    struct gw_verify_report report = run(pair);
    expect(&report, GW_VERDICT_DIFFERENT, "1 row differs in name in trailing spaces only");
    gw_autobuf struct gw_buf text = {0};
    gw_verify_report_text(&report, false, &text);
    assert_contains(gw_buf_text(&text), "changed   id=42");
    assert_contains(gw_buf_text(&text), "verdict: different; 0 of 1 collections equal, 1 different");
    json_t *json = gw_verify_report_json(&report);
    json_t *collection = json_array_get(json_object_get(json, "collections"), 0);
    json_t *difference = json_array_get(json_object_get(collection, "differences"), 0);
    assert_string_equal(json_string_value(json_object_get(json, "verdict")), "different");
    assert_string_equal(json_string_value(json_object_get(difference, "key")), "id=42");
    json_t *column = json_array_get(json_object_get(difference, "columns"), 0);
    assert_string_equal(json_string_value(json_object_get(column, "target")), "name 42 ");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(collection, "source"), "rows")), ROWS);
    json_decref(json);
    gw_verify_report_release(&report);
    fake_pair_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_sides_are_equal_and_covered),
        cmocka_unit_test(swapped_values_are_found),
        cmocka_unit_test(every_null_like_pair_is_found),
        cmocka_unit_test(value_shifted_by_a_column_is_found),
        cmocka_unit_test(rows_outside_first_min_and_max_are_found),
        cmocka_unit_test(the_same_shift_in_all_rows_is_named),
        cmocka_unit_test(keyless_duplicates_are_found),
        cmocka_unit_test(duplicate_keys_on_the_target_are_found),
        cmocka_unit_test(sides_that_order_keys_differently_make_no_phantoms),
        cmocka_unit_test(a_range_with_far_too_many_rows_is_looked_at_in_groups),
        cmocka_unit_test(nothing_compared_is_never_equal),
        cmocka_unit_test(a_missing_collection_is_different),
        cmocka_unit_test(another_column_type_is_different),
        cmocka_unit_test(a_passing_error_is_tried_again),
        cmocka_unit_test(what_cannot_be_read_is_unresolved),
        cmocka_unit_test(a_side_that_cannot_be_reached_is_an_error),
        cmocka_unit_test(cancelling_stops_it),
        cmocka_unit_test(a_stalled_applier_makes_it_unresolved),
        cmocka_unit_test(a_stalled_applier_makes_a_keyless_collection_unresolved),
        cmocka_unit_test(rows_in_flight_are_not_different),
        cmocka_unit_test(a_row_that_goes_there_and_back_is_not_different),
        cmocka_unit_test(a_commit_that_is_not_visible_yet_is_not_different),
        cmocka_unit_test(a_hot_row_is_no_false_alarm),
        cmocka_unit_test(an_error_planted_in_a_hot_row_is_found),
        cmocka_unit_test(without_versions_it_takes_more_rounds_and_is_right),
        cmocka_unit_test(the_report_names_rows_and_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
