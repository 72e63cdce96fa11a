/* The journal: what is put in comes out, also after a restart; other journals and other runners are refused. */
#include "state_kit.h"

static void files_are_private_and_the_id_stays(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir(), *folder = in_folder(dir, "a/state");
    struct gw_error err = {0};
    mode_t before = umask(0);
    assert_false(gw_state_exists(folder));
    struct gw_state *state = open_with(folder, true, true);
    umask(before);
    assert_true(gw_state_exists(folder));
    char id[40];
    snprintf(id, sizeof id, "%s", gw_state_migration_id(state));
    assert_int_equal(strlen(id), 32);
    MUST(gw_state_event(state, "test", "so that there is a WAL", &err));
    struct stat st;
    const char *names[] = {"state.db", "state.db-wal", "state.db-shm", "lock"};
    for (size_t i = 0; i < 4; i++) {
        char *path = in_folder(folder, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        free(path);
    }
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    gw_state_close(state);
    state = open_with(folder, false, false);
    assert_string_equal(gw_state_migration_id(state), id);
    MUST(gw_state_set_migration_id(state, "0123456789abcdef", &err));
    assert_string_equal(gw_state_migration_id(state), "0123456789abcdef");
    gw_state_close(state);
    state = open_with(folder, true, true);
    assert_string_equal(gw_state_migration_id(state), "0123456789abcdef");
    gw_state_close(state);
    free(folder);
    gw_test_rmdir(dir);
}

static void facts_and_stage_survive(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    char stage[32];
    int64_t since, again;
    json_t *got = NULL;
    gw_autojson json_t *value = json_pack("{s:s, s:[i,i], s:n}", "name", "caf\xc3\xa9", "list", 1, 2, "none");
    struct gw_state *state = open_with(dir, true, true);
    MUST(gw_state_stage(state, stage, &since, &err));
    assert_string_equal(stage, "");
    MUST(gw_state_get(state, "plan", &got, &err));
    assert_null(got);
    MUST(gw_state_put(state, "plan", json_true(), &err));
    MUST(gw_state_put(state, "plan", value, &err));
    MUST(gw_state_set_stage(state, "copy", &err));
    MUST(gw_state_set_stage(state, "follow", &err));
    MUST(gw_state_stage(state, stage, &since, &err));
    MUST(gw_state_set_stage(state, "follow", &err)); /* again: since when does not move */
    gw_state_close(state);
    state = open_with(dir, false, false);
    MUST(gw_state_get(state, "plan", &got, &err));
    assert_true(json_equal(got, value));
    json_decref(got);
    MUST(gw_state_stage(state, stage, &again, &err));
    assert_string_equal(stage, "follow");
    assert_true(again == since && since > 0);
    MUST(gw_state_put(state, "plan", NULL, &err));
    MUST(gw_state_get(state, "plan", &got, &err));
    assert_null(got);
    gw_state_close(state);
    gw_test_rmdir(dir);
}

static void an_unfinished_run_is_found_again(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    int64_t first, second, found;
    struct gw_step *steps;
    size_t count;
    struct gw_state *state = open_with(dir, true, true);
    MUST(gw_state_begin_run(state, "switch", &first, &err));
    MUST(gw_state_begin_step(state, first, "switch.park", NULL, &err));
    MUST(gw_state_end_step(state, first, "switch.park", GW_STEP_DONE, "12 clients", &err));
    MUST(gw_state_end_run(state, first, "undone", &err));
    MUST(gw_state_open_run(state, "switch", &found, &steps, &count, &err));
    assert_int_equal(found, 0);
    assert_int_equal(count, 0);
    MUST(gw_state_begin_run(state, "switch", &second, &err));
    assert_true(second > first);
    MUST(gw_state_begin_step(state, second, "switch.park", "kept", &err));
    MUST(gw_state_end_step(state, second, "switch.park", GW_STEP_DONE, NULL, &err));
    MUST(gw_state_begin_step(state, second, "switch.fence", NULL, &err));
    gw_state_close(state);
    state = open_with(dir, false, true);
    MUST(gw_state_open_run(state, "copy", &found, &steps, &count, &err));
    assert_int_equal(found, 0);
    MUST(gw_state_open_run(state, "switch", &found, &steps, &count, &err));
    assert_int_equal(found, second);
    assert_int_equal(count, 2);
    assert_string_equal(steps[0].name, "switch.park");
    assert_int_equal(steps[0].status, GW_STEP_DONE);
    assert_string_equal(steps[0].detail, "kept");
    assert_true(steps[0].ended_wall_us >= steps[0].began_wall_us);
    assert_int_equal(steps[1].status, GW_STEP_BEGUN);
    assert_int_equal(steps[1].ended_wall_us, 0);
    assert_null(steps[1].detail);
    gw_steps_free(steps, count);
    MUST(gw_state_begin_step(state, second, "switch.park", NULL, &err)); /* resumed: begun again, in its place */
    MUST(gw_state_open_run(state, "switch", &found, &steps, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(steps[0].status, GW_STEP_BEGUN);
    assert_int_equal(steps[0].ended_wall_us, 0);
    gw_steps_free(steps, count);
    assert_false(gw_state_end_step(state, second, "switch.never", GW_STEP_DONE, NULL, &err));
    assert_int_equal(err.kind, GW_ERR_BUG);
    assert_false(gw_state_end_run(state, 999, "done", &err));
    assert_false(gw_state_begin_step(state, 999, "switch.park", NULL, &err));
    gw_state_close(state);
    gw_test_rmdir(dir);
}

static void the_schema_is_kept_and_another_one_refused(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_schema schema = sample_schema(), kept;
    struct gw_state *state = open_with(dir, true, true);
    MUST(gw_state_schema(state, &kept, &err));
    assert_int_equal(kept.count, 0);
    MUST(gw_state_put_schema(state, &schema, &err));
    MUST(gw_state_put_schema(state, &schema, &err));
    gw_state_close(state);
    state = open_with(dir, true, true);
    MUST(gw_state_schema(state, &kept, &err));
    assert_int_equal(kept.count, 3);
    assert_string_equal(kept.collections[1].name, "big");
    assert_int_equal(kept.collections[2].id, 2);
    assert_int_equal(kept.collections[2].estimated_bytes, 100);
    gw_schema_release(&kept);
    struct gw_column other = schema.collections[1].columns[0];
    struct gw_column *before = schema.collections[1].columns;
    other.type = "integer";
    schema.collections[1].columns = &other;
    assert_false(gw_state_put_schema(state, &schema, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, "public.big is not as it was planned: column id: bigint became integer");
    schema.collections[1].columns = before;
    schema.count = 2;
    assert_false(gw_state_put_schema(state, &schema, &err));
    assert_contains(err.message, "3 collections were planned and there are now 2");
    schema.count = 3;
    schema.collections[2].name = "renamed";
    assert_false(gw_state_put_schema(state, &schema, &err));
    assert_contains(err.message, "public.renamed");
    gw_state_close(state);
    gw_test_rmdir(dir);
}

static void a_name_that_is_not_utf8_is_refused_when_planned(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_schema schema = sample_schema(), kept;
    schema.collections[2].name = "caf\xe9";
    struct gw_state *state = open_with(dir, true, true);
    assert_false(gw_state_put_schema(state, &schema, &err));
    assert_int_equal(err.kind, GW_ERR_UNSUPPORTED);
    MUST(gw_state_schema(state, &kept, &err));
    assert_int_equal(kept.count, 0); /* all or none */
    gw_state_close(state);
    gw_test_rmdir(dir);
}

static void chunks_are_leased_once_where_the_fewest_work_longest_first(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_schema schema = sample_schema();
    struct gw_state *state = open_with(dir, true, true);
    MUST(gw_state_put_schema(state, &schema, &err));
    uint64_t small = add_chunk(state, 0, NULL, NULL);
    uint64_t big1 = add_chunk(state, 1, NULL, "100");
    uint64_t middle = add_chunk(state, 2, NULL, NULL);
    uint64_t big2 = add_chunk(state, 1, "100", "200");
    uint64_t big3 = add_chunk(state, 1, "200", NULL);
    uint64_t wanted[] = {big1, middle, small, big2, big3};
    struct gw_chunk chunk;
    bool got;
    for (size_t i = 0; i < 5; i++) {
        MUST(gw_state_lease_chunk(state, i % 2 ? "w1" : "w0", 60000, &chunk, &got, &err));
        assert_true(got);
        assert_int_equal(chunk.id, wanted[i]);
        if (chunk.id == big2) {
            assert_string_equal(chunk.range.low.texts[0], "100");
            assert_string_equal(chunk.range.high.texts[0], "200");
        }
        gw_chunk_release(&chunk);
    }
    MUST(gw_state_lease_chunk(state, "w2", 60000, &chunk, &got, &err));
    assert_false(got);
    MUST(gw_state_extend_lease(state, big2, "w1", 60000, &err));
    assert_false(gw_state_extend_lease(state, big2, "w0", 60000, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    MUST(gw_state_release_chunk(state, middle, &err));
    MUST(gw_state_lease_chunk(state, "w2", 60000, &chunk, &got, &err));
    assert_true(got && chunk.id == middle);
    gw_chunk_release(&chunk);
    struct gw_mark mark;
    MUST(gw_mark_parse("100:110:101,105", &mark, &err));
    MUST(gw_state_chunk_loaded(state, big1, &mark, 42, 4242, &err));
    assert_false(gw_state_extend_lease(state, big1, "w0", 60000, &err));
    MUST(gw_state_release_all_leases(state, &err));
    MUST(gw_state_lease_chunk(state, "w2", 60000, &chunk, &got, &err));
    assert_true(got && chunk.id == big2); /* never a loaded one again */
    gw_chunk_release(&chunk);
    gw_state_close(state);
    state = open_with(dir, false, true);
    struct gw_chunk *chunks;
    size_t count;
    MUST(gw_state_chunks(state, 1, &chunks, &count, &err));
    assert_int_equal(count, 3);
    assert_true(chunks[0].id == big1 && chunks[1].id == big2 && chunks[2].id == big3);
    assert_true(chunks[0].loaded && !chunks[1].loaded);
    assert_true(chunks[0].rows == 42 && chunks[0].bytes == 4242);
    assert_true(gw_mark_saw(&chunks[0].mark, 102) && !gw_mark_saw(&chunks[0].mark, 101));
    assert_int_equal(chunks[2].range.high.count, 0);
    gw_chunks_free(chunks, count);
    assert_false(gw_state_chunk_loaded(state, 999, &mark, 1, 1, &err));
    assert_int_equal(err.kind, GW_ERR_BUG);
    assert_false(gw_state_release_chunk(state, 0, &err));
    gw_mark_release(&mark);
    gw_state_close(state);
    gw_test_rmdir(dir);
}

static void a_lease_ends_by_its_time_and_with_its_boot(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_schema schema = sample_schema();
    struct gw_chunk chunk;
    bool got;
    struct gw_state *state = open_with(dir, true, true);
    MUST(gw_state_put_schema(state, &schema, &err));
    uint64_t id = add_chunk(state, 1, NULL, NULL);
    MUST(gw_state_lease_chunk(state, "w0", 0, &chunk, &got, &err));
    assert_true(got);
    gw_chunk_release(&chunk);
    MUST(gw_state_lease_chunk(state, "w1", 3600000, &chunk, &got, &err)); /* the first one ran out at once */
    assert_true(got);
    gw_chunk_release(&chunk);
    assert_false(gw_state_extend_lease(state, id, "w0", 1000, &err));
    MUST(gw_state_lease_chunk(state, "w2", 1000, &chunk, &got, &err));
    assert_false(got);
    gw_state_close(state);
    /* As after a reboot: the monotonic time of then means nothing, however far ahead it is. */
    run_sql(dir, "UPDATE chunk SET lease_boot = 'another', lease_mono_us = 9000000000000000");
    state = open_with(dir, true, true);
    assert_false(gw_state_extend_lease(state, id, "w1", 1000, &err));
    MUST(gw_state_lease_chunk(state, "w2", 1000, &chunk, &got, &err));
    assert_true(got);
    gw_chunk_release(&chunk);
    gw_state_close(state);
    gw_test_rmdir(dir);
}

static void totals_and_load_status_add_up(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_schema schema = sample_schema();
    struct gw_load_totals totals;
    enum gw_load_status status;
    struct gw_mark mark = {.low = 1, .high = 1};
    struct gw_state *state = open_with(dir, true, true);
    schema.collections[0].estimated_rows = -1; /* unknown is not minus one */
    MUST(gw_state_put_schema(state, &schema, &err));
    uint64_t one = add_chunk(state, 1, NULL, "5");
    add_chunk(state, 1, "5", NULL);
    MUST(gw_state_chunk_loaded(state, one, &mark, 7, 70, &err));
    MUST(gw_state_set_load_status(state, 0, GW_LOAD_LOADED, &err));
    MUST(gw_state_set_load_status(state, 1, GW_LOAD_SPLIT, &err));
    MUST(gw_state_set_load_status(state, 2, GW_LOAD_KEYED, &err));
    MUST(gw_state_load_status(state, 2, &status, &err));
    assert_int_equal(status, GW_LOAD_KEYED);
    assert_false(gw_state_set_load_status(state, 9, GW_LOAD_SPLIT, &err));
    assert_false(gw_state_load_status(state, 9, &status, &err));
    MUST(gw_state_load_totals(state, &totals, &err));
    assert_int_equal(totals.chunks, 2);
    assert_int_equal(totals.chunks_loaded, 1);
    assert_int_equal(totals.rows_loaded, 7);
    assert_int_equal(totals.bytes_loaded, 70);
    assert_int_equal(totals.collections, 3);
    assert_int_equal(totals.collections_loaded, 2);
    assert_int_equal(totals.estimated_rows, 110);
    assert_int_equal(totals.estimated_bytes, 1110);
    gw_state_close(state);
    gw_test_rmdir(dir);
}

static void a_chunk_is_restored_from_the_targets_checkpoint(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_schema schema = sample_schema();
    struct gw_state *state = open_with(dir, true, true);
    MUST(gw_state_put_schema(state, &schema, &err));
    uint64_t here = add_chunk(state, 1, NULL, "5"), next;
    char *texts[] = {"5"}, *other[] = {"6"};
    struct gw_chunk checkpoint = {.id = here,
                                  .collection = 1,
                                  .loaded = true,
                                  .rows = 3,
                                  .bytes = 30,
                                  .range.high = {.count = 1, .texts = texts},
                                  .mark = {.low = 4, .high = 4}};
    struct gw_chunk *chunks;
    size_t count;
    MUST(gw_state_restore_chunk(state, &checkpoint, &err)); /* the journal lagged behind */
    checkpoint.id = here + 7;
    checkpoint.range = (struct gw_range){.low = {.count = 1, .texts = texts}};
    MUST(gw_state_restore_chunk(state, &checkpoint, &err)); /* the journal was lost */
    next = add_chunk(state, 1, "9", NULL);
    assert_true(next > here + 7);
    MUST(gw_state_chunks(state, 1, &chunks, &count, &err));
    assert_int_equal(count, 3);
    assert_true(chunks[0].loaded && chunks[0].rows == 3 && chunks[1].loaded && !chunks[2].loaded);
    assert_string_equal(chunks[1].range.low.texts[0], "5");
    gw_chunks_free(chunks, count);
    checkpoint.range.low.texts = other;
    assert_false(gw_state_restore_chunk(state, &checkpoint, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    gw_state_close(state);
    gw_test_rmdir(dir);
}

static void quarantine_verdicts_and_events_are_kept(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_state *state = open_with(dir, true, true);
    struct gw_quarantined put = {.stream = "blue>green",
                                 .collection = "public.big",
                                 .operation = "update",
                                 .key = "id=7",
                                 .reason = "0 rows touched, 1 was due",
                                 .position = {.order = UINT64_MAX, .text = "F/F"}};
    struct gw_quarantined *all;
    size_t count;
    MUST(gw_state_quarantine(state, &put, "\0bytes", 6, &err));
    bool there = false;
    MUST(gw_state_is_quarantined(state, &put, &there, &err));
    assert_true(there);
    put.key = "id=8";
    MUST(gw_state_is_quarantined(state, &put, &there, &err));
    assert_false(there);
    put.chunk = 3;
    MUST(gw_state_quarantine(state, &put, NULL, 0, &err));
    MUST(gw_state_forget_left_out(state, 2, &err));
    MUST(gw_state_is_quarantined(state, &put, &there, &err));
    assert_true(there);
    MUST(gw_state_forget_left_out(state, 3, &err));
    MUST(gw_state_is_quarantined(state, &put, &there, &err));
    assert_false(there);
    put.chunk = 0;
    put.key = NULL;
    MUST(gw_state_quarantine(state, &put, NULL, 0, &err));
    MUST(gw_state_quarantined(state, &all, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(all[0].stream, "blue>green");
    assert_string_equal(all[0].reason, put.reason);
    assert_true(all[0].position.order == UINT64_MAX);
    assert_string_equal(all[0].position.text, "F/F");
    assert_true(all[0].wall_us > 0);
    assert_null(all[1].key);
    MUST(gw_state_clear_quarantine(state, all[0].id, &err));
    gw_quarantined_free(all, count);
    MUST(gw_state_quarantined(state, &all, &count, &err));
    assert_int_equal(count, 1);
    gw_quarantined_free(all, count);
    MUST(gw_state_clear_quarantine(state, 0, &err));
    MUST(gw_state_quarantined(state, &all, &count, &err));
    assert_int_equal(count, 0);
    gw_quarantined_free(all, count);

    gw_autojson json_t *first = json_pack("{s:s}", "verdict", "different"),
                       *second = json_pack("{s:s}", "verdict", "equal");
    gw_autojson json_t *verdicts = NULL, *events = NULL, *later = NULL;
    MUST(gw_state_put_verdict(state, 1, first, &err));
    MUST(gw_state_put_verdict(state, 1, second, &err));
    MUST(gw_state_put_verdict(state, 0, first, &err));
    MUST(gw_state_verdicts(state, &verdicts, &err));
    assert_int_equal(json_array_size(verdicts), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(verdicts, 1), "verdict")), "equal");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(verdicts, 1), "collection_id")), 1);

    MUST(gw_state_event(state, "stage", "copy began", &err));
    MUST(gw_state_event(state, "stage", "not UTF-8: \xff", &err));
    MUST(gw_state_events(state, 0, &events, &err));
    assert_int_equal(json_array_size(events), 2);
    int64_t id = json_integer_value(json_object_get(json_array_get(events, 0), "id"));
    MUST(gw_state_events(state, id, &later, &err));
    assert_int_equal(json_array_size(later), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(events, 0), "text")), "copy began");
    gw_state_close(state);
    gw_test_rmdir(dir);
}

static size_t quarantined(struct gw_state *state)
{
    struct gw_quarantined *all;
    size_t count;
    struct gw_error err = {0};
    MUST(gw_state_quarantined(state, &all, &count, &err));
    gw_quarantined_free(all, count);
    return count;
}

static void notes_of_rows_left_out_go_with_the_transaction_that_brings_them(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_state *state = open_with(dir, true, true);
    struct gw_quarantined put = {
        .stream = "blue>green", .collection = "public.big", .operation = "copy", .reason = "NUL"};
    put.left_out = true;
    for (int i = 0; i < 6; i++) {
        put.key = (char *[]){"id=1", "id=1", "id=2", "id=3", "id=3", "id=4"}[i];
        put.left_out = i != 4; /* somebody else's doing: is not mended by the row's coming over */
        put.chunk = i == 0 ? 7 : 0;
        MUST(gw_state_quarantine(state, &put, NULL, 0, &err));
    }
    MUST(gw_state_heal(state, "blue>green", "public.big", "id=1", 100, &err));
    MUST(gw_state_heal(state, "blue>green", "public.big", "id=3", 200, &err));
    MUST(gw_state_heal(state, "green>blue", "public.big", NULL, 50, &err));
    MUST(gw_state_heal(state, "blue>green", "public.other", NULL, 50, &err));
    assert_int_equal(quarantined(state), 6); /* nothing is committed yet */
    gw_state_close(state);
    state = open_with(dir, false, true);
    MUST(gw_state_healed(state, "blue>green", 150, &err));
    assert_int_equal(quarantined(state), 4);
    MUST(gw_state_healed(state, "blue>green", 300, &err)); /* the transaction at 200 was rolled back */
    assert_int_equal(quarantined(state), 4);
    MUST(gw_state_heal(state, "blue>green", "public.big", NULL, 310, &err));
    MUST(gw_state_healed(state, "blue>green", 310, &err));
    assert_int_equal(quarantined(state), 1);
    gw_state_close(state);
    gw_test_rmdir(dir);
}

/* ---- other journals, other runners -------------------------------------------------------------------------------------- */

static void another_migration_and_a_missing_journal_are_refused(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir(), *nowhere = in_folder(dir, "nowhere");
    assert_not_opened(nowhere, "acme", GW_ERR_USER, "no journal of the migration \"acme\"", "godwit adopt");
    assert_false(gw_file_exists(nowhere));
    gw_state_close(open_with(dir, true, true));
    assert_not_opened(dir, "other", GW_ERR_CONFLICT, "belongs to the migration \"acme\", not to \"other\"", "folder");
    free(nowhere);
    gw_test_rmdir(dir);
}

static void a_second_runner_is_refused_by_pid(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir(), words[64];
    struct gw_error err = {0};
    assert_int_equal(gw_state_runner_pid(dir), 0);
    pid_t child = hold_lock(dir);
    assert_int_equal(gw_state_runner_pid(dir), child);
    snprintf(words, sizeof words, "pid %d", (int)child);
    assert_not_opened(dir, "acme", GW_ERR_CONFLICT, words, "kill");
    struct gw_state *state = open_with(dir, false, false); /* looking is always allowed, writing too */
    MUST(gw_state_event(state, "note", "by another process", &err));
    gw_state_close(state);
    assert_int_equal(gw_state_runner_pid(dir), child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(gw_state_runner_pid(dir), 0);
    state = open_with(dir, false, true);
    assert_int_equal(gw_state_runner_pid(dir), getpid());
    gw_state_close(state);
    assert_int_equal(gw_state_runner_pid(dir), 0);
    gw_test_rmdir(dir);
}

static void overwrite(const char *folder, long offset, const char *bytes, size_t len)
{
    char *path = in_folder(folder, "state.db");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, offset), len);
    close(fd);
    free(path);
}

static void a_damaged_journal_points_to_adopt(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_schema schema = sample_schema();
    struct gw_state *state = open_with(dir, true, true);
    MUST(gw_state_put_schema(state, &schema, &err));
    for (int i = 0; i < 300; i++)
        add_chunk(state, 1, "a rather long key so that pages fill", "another rather long key");
    gw_state_close(state); /* the last connection moves the WAL into the file */
    char garbage[4096];
    memset(garbage, 0xa5, sizeof garbage);
    char *path = in_folder(dir, "state.db");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 20 * 4096);
    for (long page = 2; page < 20; page++) /* somewhere in the middle */
        overwrite(dir, page * 4096, garbage, sizeof garbage);
    assert_not_opened(dir, "acme", GW_ERR_CONFLICT, "state.db", "godwit adopt");
    overwrite(dir, 0, garbage, 100);
    assert_not_opened(dir, "acme", GW_ERR_CONFLICT, "state.db", "godwit adopt");
    assert_int_equal(truncate(path, 0), 0);
    assert_not_opened(dir, "acme", GW_ERR_CONFLICT, "is empty", "godwit adopt");
    run_sql(dir, "CREATE TABLE other (x)");
    assert_not_opened(dir, "acme", GW_ERR_CONFLICT, "not a journal of godwit", "godwit adopt");
    free(path);
    gw_test_rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_private_and_the_id_stays),
        cmocka_unit_test(facts_and_stage_survive),
        cmocka_unit_test(an_unfinished_run_is_found_again),
        cmocka_unit_test(the_schema_is_kept_and_another_one_refused),
        cmocka_unit_test(a_name_that_is_not_utf8_is_refused_when_planned),
        cmocka_unit_test(chunks_are_leased_once_where_the_fewest_work_longest_first),
        cmocka_unit_test(a_lease_ends_by_its_time_and_with_its_boot),
        cmocka_unit_test(totals_and_load_status_add_up),
        cmocka_unit_test(a_chunk_is_restored_from_the_targets_checkpoint),
        cmocka_unit_test(quarantine_verdicts_and_events_are_kept),
        cmocka_unit_test(notes_of_rows_left_out_go_with_the_transaction_that_brings_them),
        cmocka_unit_test(another_migration_and_a_missing_journal_are_refused),
        cmocka_unit_test(a_second_runner_is_refused_by_pid),
        cmocka_unit_test(a_damaged_journal_points_to_adopt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
