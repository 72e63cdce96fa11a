/* A verify that was stopped is gone on with: what counts again, and what makes it begin anew. */
#include "verify_fake.h"

#include "state_kit.h"

#include <poll.h>

#define CHUNK 10
#define CHUNKS (ROWS / CHUNK)

struct world {
    char *folder;
    struct gw_state *state;
    struct fake_pair *pair;
    atomic_int left; /* reads of the source until it is stopped */
};

static struct world new_world(bool unlike)
{
    struct world world = {.folder = gw_test_mkdir(), .pair = fake_pair_new(true)};
    world.state = open_with(world.folder, true, true);
    fill_pair(world.pair, ROWS);
    world.pair->target.reversed = unlike;
    return world;
}

static void end_world(struct world *world)
{
    fake_pair_free(world->pair);
    gw_state_close(world->state);
    gw_test_rmdir(world->folder);
}

static bool is_noted(struct gw_state *state)
{
    struct gw_error err = {0};
    gw_autojson json_t *progress = NULL;
    MUST(gw_state_get(state, "verify.progress", &progress, &err));
    return progress != NULL;
}

/* Stops the run in the middle, once something of it is noted. */
static enum gw_error_kind stop_in_the_middle(struct fake_store *s, char what, void *arg)
{
    struct world *world = arg;
    (void)s;
    if (what != 'b' || atomic_fetch_sub(&world->left, 1) != 1)
        return GW_ERR_NONE;
    for (int i = 0; i < 10000 && !is_noted(world->state); i++)
        (void)!poll(NULL, 0, 1);
    assert_true(is_noted(world->state));
    gw_cancel_ask(&world->pair->cancel, 1);
    return GW_ERR_CANCELLED;
}

static struct gw_verify_options options_of(struct world *world)
{
    struct gw_verify_options options = fake_options(world->pair);
    options.chunk_rows = CHUNK;
    options.keeping = (struct gw_verify_keeping){
        .state = world->state, .folder = world->folder, .generation = "first", .max_age_ms = 60000, .every_ms = 1};
    return options;
}

static void run_half(struct world *world)
{
    struct gw_verify_options options = options_of(world);
    struct gw_verify_report report;
    struct gw_error err = {0};
    atomic_store(&world->left, CHUNKS * 3 / 4);
    world->pair->source.hook = stop_in_the_middle;
    world->pair->source.hook_arg = world;
    assert_false(gw_verify_run(&options, &report, &err));
    assert_int_equal(err.kind, GW_ERR_CANCELLED);
    world->pair->source.hook = NULL;
    gw_cancel_release(&world->pair->cancel);
    MUST(gw_cancel_init(&world->pair->cancel, &err));
    atomic_store(&world->pair->source.begins, 0);
}

/* Runs to the end; how many chunks of the source were read. */
static int run_on(const struct gw_verify_options *options, struct world *world, enum gw_verdict verdict,
                  const char *reason)
{
    struct gw_verify_report report = run_options(options);
    expect(&report, verdict, reason);
    assert_int_equal(report.collections[0].rows[0], ROWS);
    assert_int_equal(report.collections[0].rows[1], world->pair->target.count);
    int begins = atomic_load(&world->pair->source.begins);
    assert_int_equal(report.resumed_wall_us != 0, begins < CHUNKS);
    if (begins < CHUNKS)
        assert_int_equal(report.collections[0].rows_resumed, (CHUNKS - begins) * CHUNK);
    gw_verify_report_release(&report);
    return begins;
}

static void a_stopped_run_is_gone_on_with(void **state)
{
    (void)state;
    for (int unlike = 0; unlike < 2; unlike++) {
        struct world world = new_world(unlike);
        run_half(&world);
        struct gw_verify_options options = options_of(&world);
        assert_in_range(run_on(&options, &world, GW_VERDICT_EQUAL, ""), CHUNKS / 8, CHUNKS - 1);
        struct gw_error err = {0};
        MUST(gw_verify_forget(&options.keeping, options.schema, &err));
        assert_false(is_noted(world.state));
        atomic_store(&world.pair->source.begins, 0);
        assert_int_equal(run_on(&options, &world, GW_VERDICT_EQUAL, ""), CHUNKS);
        end_world(&world);
    }
}

/* Wherever it is, in what was read before or after: the chunk that differed is not one that is done. */
static void what_differed_before_is_found_after(void **state)
{
    (void)state;
    for (int unlike = 0; unlike < 2; unlike++)
        for (int64_t id = 5; id < ROWS; id += 330) {
            struct world world = new_world(unlike);
            fake_set(&world.pair->target, id, 1, "wrong");
            fake_add(&world.pair->target, -id, "extra", NULL, NULL);
            run_half(&world);
            struct gw_verify_options options = options_of(&world);
            struct gw_verify_report report = run_options(&options);
            expect(&report, GW_VERDICT_DIFFERENT, "1 row is on the target only");
            assert_int_equal(report.collections[0].changed, 1);
            assert_int_equal(report.collections[0].extra, 1);
            assert_true(report.resumed_wall_us != 0);
            gw_verify_report_release(&report);
            end_world(&world);
        }
}

static void another_generation_begins_anew(void **state)
{
    (void)state;
    struct world world = new_world(false);
    run_half(&world);
    struct gw_verify_options options = options_of(&world);
    options.keeping.generation = "second";
    assert_int_equal(run_on(&options, &world, GW_VERDICT_EQUAL, ""), CHUNKS);
    end_world(&world);
}

static void what_is_too_old_begins_anew(void **state)
{
    (void)state;
    struct world world = new_world(false);
    run_half(&world);
    struct gw_verify_options options = options_of(&world);
    options.keeping.max_age_ms = 1;
    assert_int_equal(run_on(&options, &world, GW_VERDICT_EQUAL, ""), CHUNKS);
    end_world(&world);
}

static void a_change_in_quarantine_begins_anew(void **state)
{
    (void)state;
    for (int cleared = 0; cleared < 2; cleared++) {
        struct world world = new_world(false);
        struct gw_error err = {0};
        run_half(&world);
        struct gw_quarantined put = {.stream = "blue>green", .operation = "update", .key = "id=7", .reason = "none"};
        if (cleared)
            MUST(gw_state_clear_quarantine(world.state, 0, &err));
        else
            MUST(gw_state_quarantine(world.state, &put, NULL, 0, &err));
        struct gw_verify_options options = options_of(&world);
        assert_int_equal(run_on(&options, &world, GW_VERDICT_EQUAL, ""), CHUNKS);
        end_world(&world);
    }
}

/* Of this collection nothing is taken up, though the run is gone on with. */
static void expect_anew(struct world *world)
{
    struct gw_verify_options options = options_of(world);
    struct gw_verify_report report = run_options(&options);
    expect(&report, GW_VERDICT_EQUAL, "");
    assert_int_equal(report.collections[0].rows_resumed, 0);
    assert_int_equal(atomic_load(&world->pair->source.begins), CHUNKS);
    gw_verify_report_release(&report);
    end_world(world);
}

static void other_columns_begin_anew(void **state)
{
    (void)state;
    struct world world = new_world(false);
    run_half(&world);
    struct fake_store *stores[] = {&world.pair->source, &world.pair->target};
    for (int i = 0; i < 2; i++) {
        free(stores[i]->collection.columns[2].type);
        stores[i]->collection.columns[2].type = gw_strdup("varchar");
    }
    expect_anew(&world);
}

/* The sums of a tally that were damaged, or are of another moment, are not taken. */
static void damaged_cells_begin_anew(void **state)
{
    (void)state;
    struct world world = new_world(true);
    run_half(&world);
    for (int turn = 0; turn < 2; turn++) {
        gw_autofree char *path = gw_asprintf("%s/verify-0.%d", world.folder, turn);
        FILE *file = fopen(path, "r+");
        if (!file)
            continue;
        assert_int_equal(fseek(file, 24L * 777, SEEK_SET), 0);
        assert_int_equal(fputc('x', file), 'x');
        assert_int_equal(fclose(file), 0);
    }
    expect_anew(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_run_is_gone_on_with),      cmocka_unit_test(what_differed_before_is_found_after),
        cmocka_unit_test(another_generation_begins_anew),     cmocka_unit_test(what_is_too_old_begins_anew),
        cmocka_unit_test(a_change_in_quarantine_begins_anew), cmocka_unit_test(other_columns_begin_anew),
        cmocka_unit_test(damaged_cells_begin_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
