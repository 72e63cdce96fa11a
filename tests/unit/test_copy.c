/* The copy stage: edges of chunks, errors in every place, and going on after anything. */
#include "join_world.h"

#include "copy/run.h"

/* What a run does before it loads: the journal is put right, and every collection is cut into chunks. */
static uint64_t plan_chunks(const struct gw_copy_options *options)
{
    struct copy_run run;
    WORLD_OK(copy_run_init(&run, options, &err));
    WORLD_OK(copy_reconcile(&run, &err) && copy_split(&run, 0, &err));
    uint64_t chunks = run.chunks_known;
    copy_run_release(&run);
    return chunks;
}

static struct gw_copy_report reconcile(const struct gw_copy_options *options)
{
    struct copy_run run;
    WORLD_OK(copy_run_init(&run, options, &err));
    WORLD_OK(copy_reconcile(&run, &err));
    struct gw_copy_report report = run.report;
    copy_run_release(&run);
    return report;
}

static struct gw_error copy_fails(struct world *w, struct gw_copy_report *report)
{
    struct gw_copy_options options = world_copy_options(w);
    options.retry_ms = 300;
    struct gw_error err = {0};
    assert_false(gw_copy_rows(&options, report, &err));
    return err;
}

static void fill_accounts(struct world *w, int count)
{
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    for (int i = 0; i < count; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i * 3 - 20);
        world_sql(gw_memory_insert(tx, "account", ROW(id, "b", "n")));
    }
    gw_memory_commit(tx);
}

static struct world *world_with_accounts(const char *what, int count)
{
    struct world *w = world_new(what);
    fill_accounts(w, count);
    world_prepare(w);
    return w;
}

static void end_equal(struct world *w)
{
    assert_true(world_equal(w));
    world_free(w);
}

static void chunks_tile_the_key_space(void **state)
{
    (void)state;
    static const char *const ids[] = {
        "-9223372036854775808", "-9223372036854775807", "-1", "0", "1", "2", "9", "10", "99", "100", "1000000000000",
        "9223372036854775806",  "9223372036854775807"};
    static const char *const codes[] = {"", "a", "aa", "ab", "b", "\xc3\xa4", "zz"};
    for (int rows = 1; rows <= 14; rows += rows < 5 ? 1 : 9) {
        struct world *w = world_new("tile");
        for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
            world_insert(w->blue_server, "account", ROW(ids[i], "b", "n"));
        for (size_t i = 0; i < 7; i++) /* the same prefix for all */
            world_insert(w->blue_server, "line", ROW("7", codes[i], "1", "d", "p"));
        world_insert(w->blue_server, "word", ROW("5", "a single row"));
        world_prepare(w);
        w->chunk_rows = rows;
        struct gw_copy_report report = world_copy(w);
        assert_int_equal(report.rows, 13 + 7 + 1);
        struct gw_chunk *chunks = NULL;
        size_t count = 0;
        WORLD_OK(gw_state_chunks(w->state, world_collection(w, "account")->id, &chunks, &count, &err));
        assert_int_equal(count, (13 + rows - 1) / rows);
        assert_int_equal(chunks[0].range.low.count, 0);
        assert_int_equal(chunks[count - 1].range.high.count, 0);
        for (size_t i = 1; i < count; i++)
            assert_true(gw_bound_equal(&chunks[i - 1].range.high, &chunks[i].range.low));
        gw_chunks_free(chunks, count);
        end_equal(w);
    }
}

/* Cut one behind the other, the first chunk of the second would come behind the last of the first. */
static void collections_are_cut_in_turn(void **state)
{
    (void)state;
    struct world *w = world_with_accounts("turn", 60);
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    for (int i = 0; i < 60; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        world_sql(gw_memory_insert(tx, "word", ROW(id, "w")));
    }
    gw_memory_commit(tx);
    w->chunk_rows = 4;
    assert_int_equal(world_copy(w).rows, 120);
    uint64_t first[2], last[2];
    static const char *const tables[] = {"account", "word"};
    for (int i = 0; i < 2; i++) {
        struct gw_chunk *chunks = NULL;
        size_t count = 0;
        WORLD_OK(gw_state_chunks(w->state, world_collection(w, tables[i])->id, &chunks, &count, &err));
        assert_true(count >= 10);
        first[i] = chunks[0].id;
        last[i] = chunks[count - 1].id;
        gw_chunks_free(chunks, count);
    }
    assert_true(first[0] < last[1] && first[1] < last[0]);
    end_equal(w);
}

static void rows_outside_the_first_minimum_and_maximum_are_copied(void **state)
{
    (void)state;
    struct world *w = world_with_accounts("outside", 30);
    struct gw_copy_options options = world_copy_options(w);
    assert_true(plan_chunks(&options) >= 3);
    world_insert(w->blue_server, "account", ROW("-1000", "b", "n"));
    world_insert(w->blue_server, "account", ROW("1000", "b", "n"));
    world_copy(w);
    end_equal(w);
}

static void an_error_in_a_chunk_is_not_its_end(void **state)
{
    (void)state;
    static const char *const calls[] = {"reader.begin", "reader.next", "reader.end", "reader.split"};
    for (size_t c = 0; c < 4; c++) {
        for (int k = 1; k <= 5; k++) {
            struct world *w = world_with_accounts("passing", 40);
            char rule[64];
            snprintf(rule, sizeof rule, "%s:%d=retry", calls[c], k);
            WORLD_OK(gw_fault_set(w->blue, rule, &err));
            struct gw_copy_report report = world_copy(w);
            assert_int_equal(gw_fault_injected(w->blue), 1);
            assert_int_equal(report.rows, 40);
            assert_true(report.retries > 0);
            end_equal(w);
        }
    }
}

/* What decides about changes is what the loaded rows saw, and not a read that came to nothing. */
static void assert_marks_are_the_targets(struct world *w)
{
    struct gw_checkpoint *checkpoints = NULL;
    size_t count = 0, same = 0;
    WORLD_OK(w->green->type->writer->checkpoints(w->green, &checkpoints, &count, &err));
    for (size_t i = 0; i < count; i++) {
        struct gw_chunk *chunks = NULL;
        size_t chunk_count = 0;
        gw_autobuf struct gw_buf target = {0}, journal = {0};
        WORLD_OK(gw_state_chunks(w->state, checkpoints[i].collection, &chunks, &chunk_count, &err));
        for (size_t c = 0; c < chunk_count; c++)
            if (chunks[c].id == checkpoints[i].chunk)
                gw_mark_format(&chunks[c].mark, &journal);
        gw_chunks_free(chunks, chunk_count);
        gw_mark_format(&checkpoints[i].mark, &target);
        same += strcmp(gw_buf_text(&target), gw_buf_text(&journal)) == 0;
        gw_checkpoint_release(&checkpoints[i]);
    }
    free(checkpoints);
    assert_true(count > 0);
    assert_int_equal(same, count);
}

static void a_lost_commit_acknowledgement_loads_nothing_twice(void **state)
{
    (void)state;
    for (int k = 1; k <= 6; k++) {
        struct world *w = world_with_accounts("cut", 40);
        char rule[64];
        snprintf(rule, sizeof rule, "writer.commit_chunk:%d=cut", k);
        WORLD_OK(gw_fault_set(w->green, rule, &err));
        world_copy(w);
        assert_int_equal(gw_fault_injected(w->green), 1);
        assert_marks_are_the_targets(w);
        end_equal(w);
    }
}

static void an_error_that_does_not_pass_ends_the_copy_and_it_goes_on(void **state)
{
    (void)state;
    static const char *const rules[] = {"writer.put:3=conflict", "writer.begin_chunk:2=resource",
                                        "writer.commit_chunk:2=conflict", "schema.create_key:1=conflict",
                                        "reader.next:4=conflict"};
    for (size_t i = 0; i < 5; i++) {
        struct world *w = world_with_accounts("lasting", 60);
        bool source = strncmp(rules[i], "reader", 6) == 0;
        WORLD_OK(gw_fault_set(source ? w->blue : w->green, rules[i], &err));
        struct gw_copy_report first;
        struct gw_error err = copy_fails(w, &first);
        assert_true(err.kind == GW_ERR_CONFLICT || err.kind == GW_ERR_RESOURCE);
        assert_true(strlen(err.place) > 0);
        world_restart(w);
        struct gw_copy_report second = world_copy(w);
        assert_int_equal(first.chunks_done, second.chunks_skipped);
        assert_int_equal(first.rows + second.rows, 60);
        end_equal(w);
    }
}

static void retrying_ends_when_its_time_is_over(void **state)
{
    (void)state;
    struct world *w = world_with_accounts("patience", 10);
    WORLD_OK(gw_fault_set(w->blue, "reader.next:p1=retry", &err));
    struct gw_copy_report report;
    assert_int_equal(copy_fails(w, &report).kind, GW_ERR_RETRY);
    assert_true(report.retries > 2);
    WORLD_OK(gw_fault_set(w->blue, "", &err));
    world_copy(w);
    end_equal(w);
}

static void an_unreachable_server_is_refused_at_once_and_waited_for_later(void **state)
{
    (void)state;
    struct world *w = world_with_accounts("reach", 60);
    struct gw_copy_report report;
    WORLD_OK(gw_fault_set(w->green, "writer.open:p1=refused", &err));
    assert_int_equal(copy_fails(w, &report).kind, GW_ERR_REFUSED);
    WORLD_OK(gw_fault_set(w->green, "writer.put:4=retry,writer.open:3=refused,writer.open:4=refused", &err));
    world_copy(w);
    end_equal(w);
}

static void a_journal_behind_the_target_is_put_right(void **state)
{
    (void)state;
    struct world *w = world_with_accounts("behind", 40);
    WORLD_OK(gw_fault_set(
        w->green, "writer.commit_chunk:3=cut,writer.begin_chunk:4=conflict,writer.begin_chunk:5=conflict", &err));
    struct gw_copy_report report;
    copy_fails(w, &report);
    world_restart(w);
    struct gw_copy_options options = world_copy_options(w);
    report = reconcile(&options);
    assert_int_equal(report.restored, 1);
    assert_int_equal(report.lost, 0);
    assert_int_equal(world_copy(w).rows + report.rows_skipped, 40);
    end_equal(w);
}

static void a_lost_journal_is_made_again_from_the_target(void **state)
{
    (void)state;
    for (int keep = 0; keep < 6; keep++) {
        struct world *w = world_with_accounts("adopt", 60);
        char rules[128];
        /* Chunks are loaded out of order by two workers, and one in the middle fails. */
        snprintf(rules, sizeof rules, "writer.begin_chunk:%d=conflict", keep + 2);
        WORLD_OK(gw_fault_set(w->green, rules, &err));
        struct gw_copy_report first;
        copy_fails(w, &first);
        gw_state_close(w->state);
        WORLD_OK(gw_remove_tree(w->folder, &err));
        world_open_state(w);
        WORLD_OK(gw_state_put_schema(w->state, &w->schema, &err));
        WORLD_OK(gw_fault_set(w->green, "", &err));
        struct gw_copy_report second = world_copy(w);
        assert_int_equal(second.restored, first.chunks_done);
        assert_int_equal(second.rows + second.rows_skipped, 60);
        end_equal(w);
    }
}

static void a_chunk_the_target_lost_is_loaded_again(void **state)
{
    (void)state;
    struct world *w = world_with_accounts("lost", 40);
    world_copy(w);
    struct gw_filter all = {0};
    /* The operator made a new, empty target. */
    gw_store_close(w->green);
    char name[96];
    snprintf(name, sizeof name, "%s-green", w->name);
    gw_memory_forget(name);
    w->green_server = gw_memory_server(name);
    w->green = world_open_store(w, "green", GW_GREEN);
    WORLD_OK(w->green->type->ownership->install(w->green, "m1", &err));
    WORLD_OK(w->blue->type->schema->create(w->blue, w->green, &all, w->folder, &err));
    struct gw_copy_report report = world_copy(w);
    assert_true(report.lost > 0);
    assert_int_equal(report.rows, 40);
    end_equal(w);
}

static void nothing_is_loaded_twice_by_a_second_copy(void **state)
{
    (void)state;
    struct world *w = world_with_accounts("twice", 40);
    struct gw_copy_report first = world_copy(w), second = world_copy(w);
    assert_int_equal(first.chunks_skipped, 0);
    assert_int_equal(second.chunks_done, 0);
    assert_int_equal(second.chunks_skipped, first.chunks_done);
    assert_int_equal(second.keys_created, 0);
    end_equal(w);
}

static void a_cancel_stops_it_and_it_goes_on(void **state)
{
    (void)state;
    struct world *w = world_with_accounts("cancel", 40);
    gw_cancel_ask(&w->cancel, 15);
    struct gw_copy_report report;
    assert_int_equal(copy_fails(w, &report).kind, GW_ERR_CANCELLED);
    world_restart(w);
    world_copy(w);
    end_equal(w);
}

struct seen_progress {
    unsigned calls;
    struct gw_copy_progress last;
};

static void see_progress(const struct gw_copy_progress *progress, void *arg)
{
    struct seen_progress *seen = arg;
    assert_true(progress->chunks_loaded >= seen->last.chunks_loaded);
    seen->calls++;
    seen->last = *progress;
}

static void progress_ends_with_everything(void **state)
{
    (void)state;
    struct world *w = world_with_accounts("progress", 100);
    struct seen_progress seen = {0};
    struct gw_copy_options options = world_copy_options(w);
    struct gw_copy_report report;
    options.progress = see_progress;
    options.progress_arg = &seen;
    WORLD_OK(gw_copy_rows(&options, &report, &err));
    assert_true(seen.calls > 0);
    assert_int_equal(seen.last.rows, 100);
    assert_int_equal(seen.last.chunks_loaded, seen.last.chunks_known);
    assert_int_equal(seen.last.collections_keyed, WORLD_TABLES);
    assert_false(seen.last.splitting);
    end_equal(w);
}

static void chunks_follow_the_size_of_their_rows(void **state)
{
    (void)state;
    struct world *w = world_with_accounts("size", 2000);
    struct gw_copy_options options = world_copy_options(w);
    struct gw_copy_report report;
    options.chunk_rows = 100;
    options.chunk_bytes = 1000; /* a row takes some 40: after the first chunks they are small */
    options.jobs = 1;
    WORLD_OK(gw_copy_rows(&options, &report, &err));
    assert_int_equal(report.rows, 2000);
    assert_true(report.chunks_done > 30);
    end_equal(w);
}

static void a_target_with_another_loads_chunks_is_refused(void **state)
{
    (void)state;
    struct world *w = world_with_accounts("other", 40);
    world_copy(w);
    gw_state_close(w->state);
    WORLD_OK(gw_remove_tree(w->folder, &err));
    world_open_state(w);
    WORLD_OK(gw_state_put_schema(w->state, &w->schema, &err));
    struct gw_range range = {.high = hand_bound("12345")};
    uint64_t id = 0;
    WORLD_OK(gw_state_add_chunk(w->state, world_collection(w, "account")->id, &range, &id, &err));
    gw_range_release(&range);
    struct gw_copy_report report;
    struct gw_error err = copy_fails(w, &report);
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.hint, "adopt");
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_tile_the_key_space),
        cmocka_unit_test(collections_are_cut_in_turn),
        cmocka_unit_test(rows_outside_the_first_minimum_and_maximum_are_copied),
        cmocka_unit_test(an_error_in_a_chunk_is_not_its_end),
        cmocka_unit_test(a_lost_commit_acknowledgement_loads_nothing_twice),
        cmocka_unit_test(an_error_that_does_not_pass_ends_the_copy_and_it_goes_on),
        cmocka_unit_test(retrying_ends_when_its_time_is_over),
        cmocka_unit_test(an_unreachable_server_is_refused_at_once_and_waited_for_later),
        cmocka_unit_test(a_journal_behind_the_target_is_put_right),
        cmocka_unit_test(a_lost_journal_is_made_again_from_the_target),
        cmocka_unit_test(a_chunk_the_target_lost_is_loaded_again),
        cmocka_unit_test(nothing_is_loaded_twice_by_a_second_copy),
        cmocka_unit_test(a_cancel_stops_it_and_it_goes_on),
        cmocka_unit_test(progress_ends_with_everything),
        cmocka_unit_test(chunks_follow_the_size_of_their_rows),
        cmocka_unit_test(a_target_with_another_loads_chunks_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
