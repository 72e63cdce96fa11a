/* The spool as its callers see it: append, read, resume, cut, trim, limits. */
#include "spool_kit.h"

#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static size_t count_segments(const char *dir, uint64_t *lowest)
{
    DIR *folder = opendir(dir);
    assert_non_null(folder);
    size_t count = 0;
    *lowest = UINT64_MAX;
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL)
        if (strstr(entry->d_name, ".spool")) {
            uint64_t number = strtoull(entry->d_name, NULL, 10);
            *lowest = number < *lowest ? number : *lowest;
            count++;
        }
    closedir(folder);
    return count;
}

static void an_empty_spool_has_nothing(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_spool *spool = kit_open(dir, 0, 0);
    struct gw_position end = gw_spool_end(spool), safe;
    assert_int_equal(end.order, 0);
    assert_int_equal(gw_spool_bytes(spool), 0);
    MUST(gw_spool_sync(spool, &safe, &err));
    assert_int_equal(safe.order, 0);
    MUST(gw_spool_cut(spool, &err));
    MUST(gw_spool_trim(spool, &safe, &err));
    kit_assert_holds(spool, 0, 0, 0);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

static void a_reader_opened_before_the_first_change_gets_it(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_spool *spool = kit_open(dir, 0, 0);
    struct gw_spool_reader *reader;
    struct gw_position from = {0};
    MUST(gw_spool_reader_open(spool, &from, &reader, &err));
    struct gw_spool_place place = gw_spool_tell(reader);
    kit_append_whole(spool, 0);
    kit_assert_reads(reader, 0, 1);
    MUST(gw_spool_seek(reader, place, &err));
    kit_assert_reads(reader, 0, 1);
    gw_spool_reader_close(reader);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

static void nothing_of_an_open_transaction_is_read(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_spool *spool = kit_open(dir, 2000, 0);
    struct gw_spool_reader *reader;
    struct gw_position from = {0};
    struct gw_change change;
    struct gw_value values[2];
    unsigned char bytes[256];
    bool got;
    uint64_t n = 0;
    while (kit_events(n) < 30)
        n++;
    MUST(gw_spool_reader_open(spool, &from, &reader, &err));
    for (uint64_t i = 0; i < kit_events(n) + 1; i++) {
        change = kit_event(n, i, values, bytes);
        kit_append(spool, &change);
        assert_false(gw_spool_ready(reader));
        MUST(gw_spool_next(reader, 0, &change, &got, &err));
        assert_false(got);
    }
    assert_int_equal(gw_spool_end(spool).order, 0);
    change = kit_event(n, kit_events(n) + 1, values, bytes);
    kit_append(spool, &change);
    assert_true(gw_spool_ready(reader));
    kit_assert_reads(reader, n, n + 1);
    assert_int_equal(gw_spool_end(spool).order, kit_commit_order(n));
    gw_spool_reader_close(reader);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

static void it_resumes_where_it_ended(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_spool *spool = kit_open(dir, 3000, 0);
    for (uint64_t n = 0; n < 40; n++)
        kit_append_whole(spool, n);
    kit_append_part(spool, 40, 1);
    gw_spool_close(spool);
    spool = kit_open(dir, 3000, 0);
    struct gw_position end = gw_spool_end(spool);
    assert_int_equal(kit_next(&end), 40);
    for (uint64_t n = 40; n < 50; n++)
        kit_append_whole(spool, n);
    kit_assert_holds(spool, 0, 0, 50);
    kit_assert_holds(spool, kit_commit_order(20), 21, 50);
    kit_assert_holds(spool, kit_commit_order(20) + 3, 21, 50);
    kit_assert_holds(spool, kit_commit_order(20) - 1, 20, 50);
    kit_assert_holds(spool, kit_commit_order(49), 50, 50);
    kit_assert_holds(spool, kit_commit_order(90), 50, 50);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

/* The target applied from the memory of a process that was killed before it wrote: the source sends that again. */
static void what_the_target_has_already_is_passed_over(void **state)
{
    (void)state;
    struct gw_error err = {0};
    for (uint64_t there = 0; there <= 12; there += 6) {
        char *dir = gw_test_mkdir();
        struct gw_spool *spool = kit_open(dir, 3000, 0);
        struct gw_spool_reader *reader;
        struct gw_change change;
        bool got;
        for (uint64_t n = 0; n < there; n++)
            kit_append_whole(spool, n);
        struct gw_position from = kit_position(kit_commit_order(20));
        MUST(gw_spool_reader_open(spool, &from, &reader, &err));
        for (uint64_t n = there; n <= 20; n++) {
            kit_append_whole(spool, n);
            MUST(gw_spool_next(reader, 0, &change, &got, &err));
            assert_false(got);
        }
        for (uint64_t n = 21; n < 30; n++)
            kit_append_whole(spool, n);
        kit_assert_reads(reader, 21, 30);
        gw_spool_reader_close(reader);
        gw_spool_close(spool);
        gw_test_rmdir(dir);
    }
}

static void a_cut_drops_the_open_transaction_only(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_spool *spool = kit_open(dir, 1500, 0);
    uint64_t big = 3;
    while (kit_events(big) < 30)
        big++;
    for (uint64_t n = 0; n < big; n++)
        kit_append_whole(spool, n);
    int64_t bytes = gw_spool_bytes(spool);
    for (uint64_t part = 1; part < kit_events(big) + 2; part++) {
        kit_append_part(spool, big, part);
        MUST(gw_spool_cut(spool, &err));
        assert_int_equal(gw_spool_bytes(spool), bytes);
        kit_assert_holds(spool, 0, 0, big);
    }
    MUST(gw_spool_cut(spool, &err));
    kit_append_whole(spool, big);
    kit_assert_holds(spool, 0, 0, big + 1);
    gw_spool_close(spool);
    spool = kit_open(dir, 1500, 0);
    kit_assert_holds(spool, 0, 0, big + 1);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

static void what_is_out_of_order_is_refused(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    bool full;
    struct gw_spool *spool = kit_open(dir, 0, 0);
    struct gw_change insert = {.kind = GW_CHANGE_INSERT}, begin = {.kind = GW_CHANGE_BEGIN},
                     progress = {.kind = GW_CHANGE_PROGRESS, .position = kit_position(5)},
                     commit = {.kind = GW_CHANGE_COMMIT, .position = kit_position(9)};
    assert_false(gw_spool_append(spool, &insert, &full, &err));
    assert_int_equal(err.kind, GW_ERR_BUG);
    assert_false(gw_spool_append(spool, &commit, &full, &err));
    kit_append(spool, &begin);
    assert_false(gw_spool_append(spool, &begin, &full, &err));
    assert_false(gw_spool_append(spool, &progress, &full, &err));
    kit_append(spool, &commit);
    int64_t bytes = gw_spool_bytes(spool);
    kit_append(spool, &progress); /* older than the end: says nothing */
    assert_int_equal(gw_spool_bytes(spool), bytes);
    kit_append(spool, &begin);
    assert_false(gw_spool_append(spool, &commit, &full, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, "0/9");
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

static void the_limit_stops_between_transactions(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_value values[2];
    unsigned char bytes[256];
    bool full = false;
    struct gw_spool *spool = kit_open(dir, 0, 40000);
    uint64_t n = 0;
    for (; !full; n++)
        for (uint64_t i = 0; i < kit_events(n) + 2; i++) {
            struct gw_change change = kit_event(n, i, values, bytes);
            MUST(gw_spool_append(spool, &change, &full, &err));
            if (full) {
                assert_int_equal(i, 0);
                break;
            }
        }
    n--;
    assert_true(n > 20);
    int64_t held = gw_spool_bytes(spool);
    assert_true(held > 30000 && held <= 44000);
    kit_assert_holds(spool, 0, 0, n);
    struct gw_position applied = kit_position(kit_commit_order(n - 1));
    MUST(gw_spool_trim(spool, &applied, &err));
    assert_true(gw_spool_bytes(spool) < held / 2);
    kit_append_whole(spool, n);
    kit_assert_holds(spool, applied.order, n, n + 1);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

static void a_transaction_that_can_never_fit_is_an_error(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    static unsigned char block[3000];
    struct gw_value value = {.kind = GW_VALUE_BINARY, .len = sizeof block, .bytes = block};
    struct gw_change begin = {.kind = GW_CHANGE_BEGIN}, insert = {.kind = GW_CHANGE_INSERT};
    insert.row = (struct gw_row){.count = 1, .values = &value};
    struct gw_spool *spool = kit_open(dir, 0, 40000);
    kit_append(spool, &begin);
    bool full = false, ok = true;
    for (int i = 0; i < 100 && ok && !full; i++)
        ok = gw_spool_append(spool, &insert, &full, &err);
    assert_false(full);
    assert_false(ok);
    assert_int_equal(err.kind, GW_ERR_RESOURCE);
    assert_contains(err.hint, "limit");
    assert_true(gw_spool_bytes(spool) <= 44000);
    MUST(gw_spool_cut(spool, &err));
    kit_append_whole(spool, 1);
    kit_assert_holds(spool, 0, 1, 2);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

static void trimming_keeps_what_is_not_applied(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_spool *spool = kit_open(dir, 1300, 0);
    const uint64_t last = 120;
    for (uint64_t n = 0; n < last; n++)
        kit_append_whole(spool, n);
    uint64_t lowest;
    size_t before = count_segments(dir, &lowest);
    for (uint64_t n = 0; n < last; n += 3) {
        struct gw_position applied = kit_position(kit_commit_order(n));
        MUST(gw_spool_trim(spool, &applied, &err));
        kit_assert_holds(spool, applied.order, n + 1, last);
        if (n % 10 == 0) {
            gw_spool_close(spool);
            spool = kit_open(dir, 1300, 0);
            kit_assert_holds(spool, applied.order, n + 1, last);
        }
    }
    assert_true(before > 30);
    assert_true(count_segments(dir, &lowest) < 8);
    struct gw_position early = kit_position(kit_commit_order(5));
    struct gw_spool_reader *reader;
    assert_false(gw_spool_reader_open(spool, &early, &reader, &err));
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
    struct gw_position end = gw_spool_end(spool);
    MUST(gw_spool_trim(spool, &end, &err));
    assert_int_equal(count_segments(dir, &lowest), 1);
    gw_spool_close(spool);
    spool = kit_open(dir, 1300, 0);
    assert_int_equal(gw_spool_end(spool).order, end.order);
    kit_append_whole(spool, last);
    kit_assert_holds(spool, end.order, last, last + 1);
    kit_assert_holds(spool, 0, last, last + 1);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

static void a_reader_outlives_trimming(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_spool *spool = kit_open(dir, 1300, 0);
    struct gw_spool_reader *reader;
    struct gw_position from = {0};
    MUST(gw_spool_reader_open(spool, &from, &reader, &err));
    for (uint64_t n = 0; n < 200; n++) {
        kit_append_whole(spool, n);
        kit_assert_reads(reader, n, n + 1);
        assert_false(gw_spool_ready(reader));
        assert_int_equal(gw_spool_unread_bytes(spool), 0);
        struct gw_position applied = gw_spool_end(spool);
        MUST(gw_spool_trim(spool, &applied, &err));
    }
    uint64_t lowest;
    assert_true(count_segments(dir, &lowest) < 4);
    assert_true(lowest > 20);
    gw_spool_reader_close(reader);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

static void a_place_can_be_gone_back_to(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_spool *spool = kit_open(dir, 1500, 0);
    struct gw_spool_place places[60];
    struct gw_spool_reader *reader;
    struct gw_position from = {0};
    for (uint64_t n = 0; n < 60; n++)
        kit_append_whole(spool, n);
    MUST(gw_spool_reader_open(spool, &from, &reader, &err));
    struct gw_change change;
    bool got = true;
    while (got) {
        struct gw_spool_place place = gw_spool_tell(reader);
        MUST(gw_spool_next(reader, 0, &change, &got, &err));
        if (got && change.kind == GW_CHANGE_BEGIN)
            places[change.transaction] = place;
    }
    for (uint64_t n = 60; n-- > 0;) {
        MUST(gw_spool_seek(reader, places[n], &err));
        kit_assert_reads(reader, n, 60);
    }
    assert_false(gw_spool_seek(reader, (struct gw_spool_place){.segment = 9999, .offset = 1024}, &err));
    assert_int_equal(err.kind, GW_ERR_BUG);
    assert_int_equal(gw_spool_unread_bytes(spool), 0);
    gw_spool_reader_close(reader);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

static void another_stream_a_second_opener_and_a_second_reader_are_refused(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_spool *spool = kit_open(dir, 0, 0), *other;
    kit_append_whole(spool, 0);
    struct gw_spool_options options = {.dir = dir, .stream = "green>blue"};
    assert_false(gw_spool_open(&options, &other, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, "in use");
    struct gw_spool_reader *reader, *second;
    struct gw_position from = {0};
    MUST(gw_spool_reader_open(spool, &from, &reader, &err));
    assert_false(gw_spool_reader_open(spool, &from, &second, &err));
    gw_spool_reader_close(reader);
    gw_spool_close(spool);
    assert_false(gw_spool_open(&options, &other, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, "blue>green");
    MUST(gw_remove_tree(dir, &err));
    MUST(gw_spool_open(&options, &other, &err));
    gw_spool_close(other);
    gw_test_rmdir(dir);
}

static void files_are_private(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir(), path[512];
    snprintf(path, sizeof path, "%s/spool/in", dir);
    struct gw_spool *spool = kit_open(path, 0, 0);
    kit_append_whole(spool, 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(path, sizeof path, "%s/spool/in/%020d.spool", dir, 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

static void large_values_pass_whole(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    const size_t sizes[] = {(256 << 10) - 40, (256 << 10) - 19, 256 << 10, (256 << 10) + 1, 5 << 20};
    unsigned char *bytes = malloc(5 << 20);
    for (size_t i = 0; i < 5 << 20; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    struct gw_spool *spool = kit_open(dir, 1 << 20, 0);
    for (size_t i = 0; i < 5; i++) {
        struct gw_value values[2] = {{.kind = GW_VALUE_TEXT, .len = 3, .bytes = bytes},
                                     {.kind = GW_VALUE_BINARY, .len = (uint32_t)sizes[i], .bytes = bytes}};
        struct gw_change begin = {.kind = GW_CHANGE_BEGIN}, insert = {.kind = GW_CHANGE_INSERT, .transaction = i};
        struct gw_change commit = {.kind = GW_CHANGE_COMMIT, .position = kit_position(10 + i)};
        insert.row = (struct gw_row){.count = 2, .values = values};
        kit_append(spool, &begin);
        kit_append(spool, &insert);
        kit_append(spool, &commit);
    }
    for (int round = 0; round < 2; round++) {
        struct gw_spool_reader *reader;
        struct gw_position from = {0};
        struct gw_change change;
        bool got;
        MUST(gw_spool_reader_open(spool, &from, &reader, &err));
        for (size_t i = 0; i < 5; i++)
            for (int event = 0; event < 3; event++) {
                MUST(gw_spool_next(reader, 0, &change, &got, &err));
                assert_true(got);
                if (change.kind != GW_CHANGE_INSERT)
                    continue;
                assert_int_equal(change.row.values[1].len, sizes[i]);
                assert_memory_equal(change.row.values[1].bytes, bytes, sizes[i]);
            }
        gw_spool_reader_close(reader);
        gw_spool_close(spool);
        spool = kit_open(dir, 1 << 20, 0);
    }
    gw_spool_close(spool);
    free(bytes);
    gw_test_rmdir(dir);
}

static long peak_kb(void)
{
    gw_autobuf struct gw_buf status = {0};
    struct gw_error err = {0};
    MUST(gw_file_read("/proc/self/status", 1 << 16, &status, &err));
    const char *line = strstr(gw_buf_text(&status), "VmHWM:");
    assert_non_null(line);
    return strtol(line + 6, NULL, 10);
}

static void reset_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    assert_non_null(file);
    fputs("5", file);
    fclose(file);
}

static void a_huge_value_is_held_once_by_its_reader_and_never_by_the_spool(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* they keep freed memory */
#endif
    const uint32_t len = 96 << 20;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_spool *spool = kit_open(dir, 0, 0);
    unsigned char *bytes = malloc(len);
    memset(bytes, 7, len);
    struct gw_value value = {.kind = GW_VALUE_BINARY, .len = len, .bytes = bytes};
    struct gw_change begin = {.kind = GW_CHANGE_BEGIN}, insert = {.kind = GW_CHANGE_INSERT}, change;
    struct gw_change commit = {.kind = GW_CHANGE_COMMIT, .position = kit_position(9)};
    insert.row = (struct gw_row){.count = 1, .values = &value};
    reset_peak();
    long before = peak_kb();
    kit_append(spool, &begin);
    kit_append(spool, &insert);
    kit_append(spool, &commit);
    assert_true(peak_kb() - before < 4096);
    free(bytes);
    reset_peak();
    before = peak_kb();
    struct gw_spool_reader *reader;
    struct gw_position from = {0};
    bool got = true;
    MUST(gw_spool_reader_open(spool, &from, &reader, &err));
    for (int i = 0; i < 3; i++) {
        MUST(gw_spool_next(reader, 0, &change, &got, &err));
        assert_true(got);
    }
    assert_in_range(peak_kb() - before, 90 << 10, 100 << 10);
    gw_spool_reader_close(reader);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

/* A file size limit stands in for a full disk; in a child, because the limit is the process's. */
static int write_until_full(const char *dir)
{
    struct gw_error err = {0};
    struct gw_position safe;
    signal(SIGXFSZ, SIG_IGN);
    struct gw_spool *spool = kit_open(dir, 0, 0);
    struct rlimit limit = {.rlim_cur = 300000, .rlim_max = RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 10;
    uint64_t n = 0;
    bool full, ok = true;
    for (; ok && n < 100000; n++) {
        struct gw_value values[2];
        unsigned char bytes[256];
        for (uint64_t i = 0; ok && i < kit_events(n) + 2; i++) {
            struct gw_change change = kit_event(n, i, values, bytes);
            ok = gw_spool_append(spool, &change, &full, &err);
        }
    }
    if (ok || err.kind != GW_ERR_RESOURCE || !strstr(err.message, dir))
        return 11;
    n--;
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || !gw_spool_cut(spool, &err) || !gw_spool_sync(spool, &safe, &err))
        return 12;
    if (kit_next(&safe) != n)
        return 13;
    for (uint64_t more = n; more < n + 10; more++)
        kit_append_whole(spool, more);
    kit_assert_holds(spool, 0, 0, n + 10);
    gw_spool_close(spool);
    return 0;
}

/* A COMMIT that could not be written is not in the spool: the same one can be appended again. */
static int commit_twice(const char *dir)
{
    struct gw_error err = {0};
    struct gw_value values[2];
    unsigned char bytes[256];
    bool full;
    signal(SIGXFSZ, SIG_IGN);
    struct gw_spool *spool = kit_open(dir, 0, 0);
    kit_append_part(spool, 0, kit_events(0) + 1);
    struct gw_change commit = kit_event(0, kit_events(0) + 1, values, bytes);
    struct rlimit limit = {.rlim_cur = 1024, .rlim_max = RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 10;
    usleep(3000); /* long enough since the last write for a COMMIT to be written at once */
    if (gw_spool_append(spool, &commit, &full, &err) || err.kind != GW_ERR_RESOURCE)
        return 11;
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 12;
    kit_append(spool, &commit);
    kit_append_whole(spool, 1);
    kit_assert_holds(spool, 0, 0, 2);
    gw_spool_close(spool);
    return 0;
}

static void a_full_disk_is_said_and_nothing_is_lost(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    int (*const histories[])(const char *) = {write_until_full, commit_twice};
    for (size_t i = 0; i < 2; i++) {
        struct gw_error err = {0};
        MUST(gw_remove_tree(dir, &err));
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
            _exit(histories[i](dir));
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    gw_test_rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_spool_has_nothing),
        cmocka_unit_test(a_reader_opened_before_the_first_change_gets_it),
        cmocka_unit_test(nothing_of_an_open_transaction_is_read),
        cmocka_unit_test(it_resumes_where_it_ended),
        cmocka_unit_test(what_the_target_has_already_is_passed_over),
        cmocka_unit_test(a_cut_drops_the_open_transaction_only),
        cmocka_unit_test(what_is_out_of_order_is_refused),
        cmocka_unit_test(the_limit_stops_between_transactions),
        cmocka_unit_test(a_transaction_that_can_never_fit_is_an_error),
        cmocka_unit_test(trimming_keeps_what_is_not_applied),
        cmocka_unit_test(a_reader_outlives_trimming),
        cmocka_unit_test(a_place_can_be_gone_back_to),
        cmocka_unit_test(another_stream_a_second_opener_and_a_second_reader_are_refused),
        cmocka_unit_test(files_are_private),
        cmocka_unit_test(large_values_pass_whole),
        cmocka_unit_test(a_huge_value_is_held_once_by_its_reader_and_never_by_the_spool),
        cmocka_unit_test(a_full_disk_is_said_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
