/*
 * What a crash leaves of a spool: a tail torn at any byte is cut and received again, damage in what had been synced is
 * refused, a process killed at any moment loses nothing that it had called safe.
 */
#include "spool_kit.h"

#include "base/crash.h"
#include "base/log.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char *segment_path(const char *dir, unsigned number)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%020u.spool", dir, number) > 0);
    return path;
}

static void read_file(const char *path, struct gw_buf *out)
{
    struct gw_error err = {0};
    gw_buf_clear(out);
    MUST(gw_file_read(path, 64 << 20, out, &err));
}

static void write_file(const char *path, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

/* Leaves a spool as a killed process does: written, not synced, not closed. */
static void write_and_die(const char *dir, int64_t segment_bytes, uint64_t whole, uint64_t part)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct gw_spool *spool = kit_open(dir, segment_bytes, 0);
        for (uint64_t n = 0; n < whole; n++)
            kit_append_whole(spool, n);
        if (part)
            kit_append_part(spool, whole, part);
        /* A PROGRESS after a pause is written to the kernel at once, and all before it. */
        usleep(3000);
        if (!part) {
            struct gw_change last = {.kind = GW_CHANGE_PROGRESS,
                                     .position = kit_position(kit_commit_order(whole - 1) + 5)};
            kit_append(spool, &last);
        }
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

/* Opens what is there, checks that it is whole transactions from 0 on, continues it and checks again. */
static uint64_t assert_continues(const char *dir, int64_t segment_bytes, uint64_t least, uint64_t most)
{
    struct gw_spool *spool = kit_open(dir, segment_bytes, 0);
    struct gw_position end = gw_spool_end(spool);
    uint64_t next = kit_next(&end);
    assert_true(next >= least && next <= most);
    kit_assert_holds(spool, 0, 0, next);
    for (uint64_t n = next; n < next + 3; n++)
        kit_append_whole(spool, n);
    kit_assert_holds(spool, 0, 0, next + 3);
    gw_spool_close(spool);
    return next;
}

static void a_tail_torn_at_any_byte_is_cut(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir(), *path = segment_path(dir, 1);
    gw_autobuf struct gw_buf whole = {0};
    write_and_die(dir, 0, 8, 0);
    read_file(path, &whole);
    assert_true(whole.len > 1500 && whole.len < 20000);
    uint64_t before = 0;
    for (size_t len = 0; len <= whole.len; len++) {
        write_file(path, whole.data, len);
        uint64_t next = assert_continues(dir, 0, before, 8);
        before = next;
    }
    assert_int_equal(before, 8);
    free(path);
    gw_test_rmdir(dir);
}

static void a_tail_torn_in_the_second_segment_is_cut(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir(), *first = segment_path(dir, 1), *second = segment_path(dir, 2);
    gw_autobuf struct gw_buf one = {0}, two = {0};
    uint64_t n = 0; /* the transaction that spans the two */
    while (kit_events(n) < 30)
        n++;
    write_and_die(dir, 4000, n + 1, 0);
    read_file(first, &one);
    read_file(second, &two);
    assert_true(one.len > 1100);
    for (size_t len = 0; len <= two.len; len += 1 + len / 97) {
        char *third = segment_path(dir, 3);
        unlink(third);
        free(third);
        write_file(first, one.data, one.len);
        write_file(second, two.data, len);
        assert_continues(dir, 4000, 0, n + 1);
    }
    free(first);
    free(second);
    gw_test_rmdir(dir);
}

/* A power cut may keep the newer segment and lose the end of the older: nothing of it had been acknowledged. */
static void an_unsynced_hole_is_cut_with_all_behind_it(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir(), *first = segment_path(dir, 1);
    gw_autobuf struct gw_buf one = {0};
    write_and_die(dir, 3000, 60, 0);
    read_file(first, &one);
    memset(one.data + 2000, 0, 100);
    write_file(first, one.data, one.len);
    assert_continues(dir, 3000, 0, 40);
    free(first);
    gw_test_rmdir(dir);
}

static void assert_refused(const char *dir, const char *name, const char *words)
{
    struct gw_error err = {0};
    struct gw_spool *spool;
    struct gw_spool_options options = {.dir = dir, .stream = "blue>green", .segment_bytes = 3000};
    assert_false(gw_spool_open(&options, &spool, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, name);
    assert_contains(err.message, words);
    assert_true(err.hint[0] != 0);
}

static void a_flipped_bit_in_what_was_synced_is_refused_at_its_place(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir(), *path = segment_path(dir, 1);
    gw_autobuf struct gw_buf whole = {0};
    struct gw_spool *spool = kit_open(dir, 0, 0);
    for (uint64_t n = 0; n < 12; n++)
        kit_append_whole(spool, n);
    gw_spool_close(spool); /* syncs */
    read_file(path, &whole);
    for (size_t at = 0; at < whole.len; at += at < 1024 ? 1 : 7) {
        if (at >= 40 && at < 44)
            continue; /* nothing is kept there */
        whole.data[at] ^= 0x10;
        write_file(path, whole.data, whole.len);
        assert_refused(dir, "00000000000000000001.spool", at < 1024 ? "" : "damaged at offset ");
        whole.data[at] ^= 0x10;
    }
    write_file(path, whole.data, whole.len);
    spool = kit_open(dir, 0, 0);
    kit_assert_holds(spool, 0, 0, 12);
    gw_spool_close(spool);
    free(path);
    gw_test_rmdir(dir);
}

static void the_offset_named_is_that_of_the_damaged_record(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir(), *path = segment_path(dir, 1), words[64];
    struct gw_error err = {0};
    struct gw_spool_reader *reader;
    struct gw_position from = {0};
    gw_autobuf struct gw_buf whole = {0};
    struct gw_spool *spool = kit_open(dir, 0, 0);
    for (uint64_t n = 0; n < 12; n++)
        kit_append_whole(spool, n);
    MUST(gw_spool_reader_open(spool, &from, &reader, &err));
    struct gw_change change;
    bool got;
    for (int i = 0; i < 9; i++)
        MUST(gw_spool_next(reader, 0, &change, &got, &err));
    struct gw_spool_place place = gw_spool_tell(reader);
    gw_spool_reader_close(reader);
    gw_spool_close(spool);
    read_file(path, &whole);
    whole.data[place.offset + 9] ^= 1;
    write_file(path, whole.data, whole.len);
    snprintf(words, sizeof words, "offset %lld:", (long long)place.offset);
    assert_refused(dir, "00000000000000000001.spool", words);
    free(path);
    gw_test_rmdir(dir);
}

static void a_reader_refuses_damage_in_an_older_segment(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir(), *path = segment_path(dir, 2);
    struct gw_error err = {0};
    gw_autobuf struct gw_buf whole = {0};
    struct gw_spool *spool = kit_open(dir, 3000, 0);
    for (uint64_t n = 0; n < 40; n++)
        kit_append_whole(spool, n);
    gw_spool_close(spool);
    read_file(path, &whole);
    whole.data[whole.len / 2 + 500] ^= 4;
    write_file(path, whole.data, whole.len);
    spool = kit_open(dir, 3000, 0); /* not looked at: it was synced as a whole */
    struct gw_spool_reader *reader;
    struct gw_position from = {0};
    struct gw_change change;
    bool got = true, ok = true;
    MUST(gw_spool_reader_open(spool, &from, &reader, &err));
    while (ok && got)
        ok = gw_spool_next(reader, 0, &change, &got, &err);
    assert_false(ok);
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, "00000000000000000002.spool");
    assert_contains(err.message, "offset");
    ok = gw_spool_next(reader, 0, &change, &got, &err);
    assert_false(ok); /* and does not step over it when asked again */
    gw_spool_reader_close(reader);
    gw_spool_close(spool);
    free(path);
    gw_test_rmdir(dir);
}

static void missing_shortened_and_newer_files_are_refused(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir(), *second = segment_path(dir, 2), *first = segment_path(dir, 1);
    gw_autobuf struct gw_buf one = {0}, two = {0};
    struct gw_spool *spool = kit_open(dir, 3000, 0);
    for (uint64_t n = 0; n < 40; n++)
        kit_append_whole(spool, n);
    gw_spool_close(spool);
    read_file(first, &one);
    read_file(second, &two);
    unlink(second);
    assert_refused(dir, dir, "no segment between 1 and 3");
    write_file(second, two.data, two.len - 1);
    assert_refused(dir, "00000000000000000002.spool", "had been on disk");
    write_file(second, two.data, 100);
    assert_refused(dir, "00000000000000000002.spool", "no header");
    two.data[11]++;
    write_file(second, two.data, two.len);
    assert_refused(dir, "00000000000000000002.spool", "format 2");
    two.data[11]--;
    gw_buf_addc(&two, 0);
    write_file(second, two.data, two.len);
    assert_refused(dir, "00000000000000000002.spool", "length");
    free(first);
    free(second);
    gw_test_rmdir(dir);
}

/* ---- killed in the middle ------------------------------------------------------------------------------------------- */

/* The child: appends without end, syncs now and then and says on stdout what is safe, trims, cuts, goes on. */
static int child_main(const char *dir)
{
    struct gw_error err = {0};
    struct gw_spool *spool = kit_open(dir, 3000, 0);
    struct gw_position safe, end = gw_spool_end(spool);
    for (uint64_t n = kit_next(&end);; n++) {
        uint64_t hash = kit_hash(n, 50);
        if (hash % 4 == 0) {
            kit_append_part(spool, n, hash % 30);
            MUST(gw_spool_cut(spool, &err));
            end = gw_spool_end(spool);
            if (kit_next(&end) > n)
                continue;
        }
        kit_append_whole(spool, n);
        if (hash % 3 == 0) {
            MUST(gw_spool_sync(spool, &safe, &err));
            if (write(STDOUT_FILENO, &safe.order, sizeof safe.order) != sizeof safe.order)
                return 1;
        }
        if (hash % 9 == 0 && n > 30) {
            struct gw_position applied = kit_position(kit_commit_order(n - 30));
            MUST(gw_spool_trim(spool, &applied, &err));
        }
    }
}

/* The order up to which the child said that it is safe. */
static uint64_t run_child(const char *dir, const char *crash_at, int kill_after)
{
    uint64_t safe = 0;
    gw_test_kill_child(dir, crash_at, kill_after, &safe, sizeof safe);
    return safe;
}

static uint64_t assert_nothing_safe_is_lost(const char *dir, uint64_t safe)
{
    struct gw_spool *spool = kit_open(dir, 3000, 0);
    struct gw_position end = gw_spool_end(spool), safe_position = kit_position(safe);
    assert_true(end.order >= safe);
    uint64_t first = safe > kit_commit_order(31) ? kit_next(&safe_position) - 30 : 0;
    kit_assert_holds(spool, first ? kit_commit_order(first - 1) : 0, first, kit_next(&end));
    gw_spool_close(spool);
    return end.order;
}

static void killed_at_any_moment_nothing_safe_is_lost(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    uint64_t end = 0;
    for (int round = 0; round < 12; round++) {
        uint64_t safe = run_child(dir, NULL, (int)(kit_hash((uint64_t)round, 60) % 40));
        end = assert_nothing_safe_is_lost(dir, safe > end ? safe : end);
    }
    assert_true(end > kit_commit_order(100));
    gw_test_rmdir(dir);
}

struct named_points {
    char *dir;
    uint64_t end;
    int visited;
};

static void crash_at_point(const char *name, void *arg)
{
    struct named_points *points = arg;
    if (strncmp(name, "spool.", 6) != 0)
        return;
    for (int count = 1; count <= 12; count += 11) {
        char at[160];
        snprintf(at, sizeof at, "%s:%d", name, count);
        uint64_t safe = run_child(points->dir, at, 1000000);
        points->end = assert_nothing_safe_is_lost(points->dir, safe > points->end ? safe : points->end);
    }
    points->visited++;
}

static void killed_at_every_named_point_nothing_safe_is_lost(void **state)
{
    (void)state;
    struct named_points points = {.dir = gw_test_mkdir()};
    gw_crash_each(crash_at_point, &points);
#ifdef GW_CRASH_POINTS
    assert_true(points.visited >= 6);
#else
    (void)crash_at_point;
#endif
    gw_test_rmdir(points.dir);
}

/* ---- property ----------------------------------------------------------------------------------------------------------- */

static void any_history_reads_back_as_it_was_written(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        char *dir = gw_test_mkdir();
        struct gw_error err = {0};
        int64_t segment_bytes = 1100 + (int64_t)(kit_hash(seed, 70) % 3000);
        struct gw_spool *spool = kit_open(dir, segment_bytes, 0);
        struct gw_position safe;
        uint64_t trimmed = 0;
        for (uint64_t n = 0, step = 0; n < 90; step++) {
            uint64_t what = kit_hash(seed, 1000 + step) % 20, pick = kit_hash(seed, 5000 + step);
            if (what < 12) {
                kit_append_whole(spool, n++);
            } else if (what < 14) {
                if (kit_append_part(spool, n, pick % 33))
                    n++;
                MUST(gw_spool_cut(spool, &err));
            } else if (what < 15) {
                MUST(gw_spool_sync(spool, &safe, &err));
                assert_int_equal(kit_next(&safe), n);
            } else if (what < 16) {
                bool whole = kit_append_part(spool, n, pick % 33);
                n += whole;
                gw_spool_close(spool);
                spool = kit_open(dir, segment_bytes, 0);
            } else if (what < 17 && n > 0) {
                uint64_t upto = pick % n;
                struct gw_position applied = kit_position(kit_commit_order(upto));
                MUST(gw_spool_trim(spool, &applied, &err));
                trimmed = upto + 1 > trimmed ? upto + 1 : trimmed;
            } else if (n > trimmed) {
                uint64_t from = trimmed + pick % (n - trimmed);
                kit_assert_holds(spool, from ? kit_commit_order(from - 1) + pick % 4 : 0, from, n);
            }
            struct gw_position end = gw_spool_end(spool);
            assert_int_equal(kit_next(&end), n);
        }
        gw_spool_close(spool);
        gw_test_rmdir(dir);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "child") == 0)
        return child_main(argv[2]);
    gw_log_init(GW_LOG_WARN);
    /* Thousands of syncs: what is tested is what is in the files, not the disk. */
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tail_torn_at_any_byte_is_cut),
        cmocka_unit_test(a_tail_torn_in_the_second_segment_is_cut),
        cmocka_unit_test(an_unsynced_hole_is_cut_with_all_behind_it),
        cmocka_unit_test(a_flipped_bit_in_what_was_synced_is_refused_at_its_place),
        cmocka_unit_test(the_offset_named_is_that_of_the_damaged_record),
        cmocka_unit_test(a_reader_refuses_damage_in_an_older_segment),
        cmocka_unit_test(missing_shortened_and_newer_files_are_refused),
        cmocka_unit_test(killed_at_any_moment_nothing_safe_is_lost),
        cmocka_unit_test(killed_at_every_named_point_nothing_safe_is_lost),
        cmocka_unit_test(any_history_reads_back_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
