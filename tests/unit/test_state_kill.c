/* The journal after an upgrade, on a full disk, and killed at any moment. */
#include "state_kit.h"

/* ---- formats ------------------------------------------------------------------------------------------------------------ */

static void a_journal_of_format_1_is_upgraded_in_place(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir(), *path = in_folder(dir, "state.db");
    struct gw_error err = {0};
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    gw_autobuf struct gw_buf json = {0};
    struct gw_schema schema = sample_schema();
    run_sql(dir, gw_sql_state_format_1);
    run_sql(dir, "INSERT INTO meta VALUES ('format', '1'), ('migration', 'acme'), ('migration_id', 'feed')");
    run_sql(dir, "INSERT INTO stage VALUES (1, 'copy', 123); INSERT INTO fact VALUES ('plan', '{\"safe\":true}')");
    for (uint32_t i = 0; i < 3; i++) {
        gw_buf_clear(&json);
        gw_collection_format(&schema.collections[i], &json);
        char *sql = sqlite3_mprintf("INSERT INTO collection VALUES (%u, %Q, 2, 5, %u)", i, gw_buf_text(&json), i);
        run_sql(dir, sql);
        sqlite3_free(sql);
    }
    run_sql(dir, "INSERT INTO chunk VALUES (1, 1, '[]', '[\"5\"]', 1, '7:7:', 3, 30, NULL, NULL);"
                 "INSERT INTO chunk VALUES (2, 1, '[\"5\"]', '[]', 0, NULL, 0, 0, 'w0', 9000000000000000)");
    struct gw_state *state = open_with(dir, false, true);
    char stage[32];
    int64_t since;
    struct gw_schema kept;
    struct gw_chunk chunk;
    bool got;
    assert_string_equal(gw_state_migration_id(state), "feed");
    MUST(gw_state_stage(state, stage, &since, &err));
    assert_string_equal(stage, "copy");
    assert_int_equal(since, 123);
    MUST(gw_state_schema(state, &kept, &err));
    assert_int_equal(kept.count, 3);
    gw_schema_release(&kept);
    MUST(gw_state_put_schema(state, &schema, &err));
    MUST(gw_state_lease_chunk(state, "w1", 1000, &chunk, &got, &err)); /* an old lease names no boot: void */
    assert_true(got && chunk.id == 2);
    gw_chunk_release(&chunk);
    gw_state_close(state);
    gw_state_close(open_with(dir, false, true)); /* and not a second time */
    free(path);
    gw_test_rmdir(dir);
}

static void an_older_journal_with_a_live_runner_is_left_alone(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_state *state;
    struct gw_state_options options = {.folder = dir, .migration = "acme"};
    pid_t child = hold_lock(dir);
    run_sql(dir, "UPDATE meta SET value = '1' WHERE name = 'format'");
    assert_false(gw_state_open(&options, &state, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, "older godwit");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    gw_test_rmdir(dir);
}

static void a_newer_format_is_refused_in_clear_words(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    gw_state_close(open_with(dir, true, true));
    run_sql(dir, "UPDATE meta SET value = '99' WHERE name = 'format'");
    assert_not_opened(dir, "acme", GW_ERR_CONFLICT, "has format 99, this godwit knows up to 4", "newer godwit");
    run_sql(dir, "UPDATE meta SET value = 'x' WHERE name = 'format'");
    assert_not_opened(dir, "acme", GW_ERR_CONFLICT, "not a journal", "adopt");
    gw_test_rmdir(dir);
}

/* ---- disk and kill -------------------------------------------------------------------------------------------------------- */

static int fill_the_disk(const char *folder)
{
    struct gw_error err = {0};
    struct gw_load_totals totals;
    struct gw_schema schema = sample_schema();
    struct gw_range range = {0};
    uint64_t id = 0, added = 0;
    signal(SIGXFSZ, SIG_IGN);
    struct gw_state *state = open_with(folder, true, true);
    MUST(gw_state_put_schema(state, &schema, &err));
    struct rlimit limit = {.rlim_cur = 200000, .rlim_max = RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 10;
    while (added < 100000 && gw_state_add_chunk(state, 1, &range, &id, &err))
        added++;
    if (added == 100000 || added == 0 || err.kind != GW_ERR_RESOURCE || !strstr(err.message, "state.db"))
        return 11;
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 12;
    if (!gw_state_add_chunk(state, 1, &range, &id, &err) || !gw_state_load_totals(state, &totals, &err))
        return 13;
    gw_state_close(state);
    return totals.chunks == added + 1 ? 0 : 14;
}

static void a_full_disk_is_said_and_the_journal_goes_on(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(fill_the_disk(dir));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    gw_test_rmdir(dir);
}

/* The child: journals steps without end and says each one on stdout once the call has returned. */
static int child_main(const char *folder)
{
    struct gw_error err = {0};
    int64_t run;
    struct gw_state *state = open_with(folder, true, true);
    MUST(gw_state_begin_run(state, "switch", &run, &err));
    for (int32_t i = 0;; i++) {
        char name[32];
        snprintf(name, sizeof name, "step.%d", i);
        MUST(gw_state_begin_step(state, run, name, NULL, &err));
        if (write(STDOUT_FILENO, &i, sizeof i) != sizeof i)
            return 1;
    }
}

/* The last step that the child said is journaled, or -1. */
static int32_t run_child(const char *folder, const char *crash_at, int kill_after)
{
    int32_t last = -1;
    gw_test_kill_child(folder, crash_at, kill_after, &last, sizeof last);
    return last;
}

static void assert_journaled(const char *folder, int32_t last)
{
    struct gw_error err = {0};
    int64_t run;
    struct gw_step *steps;
    size_t count;
    struct gw_state *state = open_with(folder, true, true);
    MUST(gw_state_open_run(state, "switch", &run, &steps, &count, &err));
    assert_true((int32_t)count >= last + 1 && (int32_t)count <= last + 2);
    gw_steps_free(steps, count);
    if (run)
        MUST(gw_state_end_run(state, run, "killed", &err));
    gw_state_close(state);
}

static void crash_at_point(const char *name, void *arg)
{
    char at[160];
    if (strncmp(name, "state.", 6) != 0)
        return;
    for (int count = 1; count < 4; count++) {
        char *dir = gw_test_mkdir();
        if (count > 1 && strstr(name, "upgrade")) { /* reached once in a process */
            gw_test_rmdir(dir);
            break;
        }
        snprintf(at, sizeof at, "%s:%d", name, count);
        assert_journaled(dir, run_child(dir, at, INT32_MAX));
        gw_test_rmdir(dir);
    }
    ++*(int *)arg;
}

static void killed_at_any_moment_no_step_is_forgotten(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    for (int round = 0; round < 5; round++)
        assert_journaled(dir, run_child(dir, NULL, round * 7));
    gw_test_rmdir(dir);
    int visited = 0;
    gw_crash_each(crash_at_point, &visited);
#ifdef GW_CRASH_POINTS
    assert_true(visited >= 3);
#endif
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "child") == 0)
        return child_main(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_journal_of_format_1_is_upgraded_in_place),
        cmocka_unit_test(an_older_journal_with_a_live_runner_is_left_alone),
        cmocka_unit_test(a_newer_format_is_refused_in_clear_words),
        cmocka_unit_test(a_full_disk_is_said_and_the_journal_goes_on),
        cmocka_unit_test(killed_at_any_moment_no_step_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
