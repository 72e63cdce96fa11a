/* Files, sizes and durations in words, log lines, redaction. */
#include "gw_test.h"

#include "base/log.h"
#include "base/mem.h"

#include <fcntl.h>
#include <sys/stat.h>

static int dirs(void **state)
{
    *state = gw_test_mkdir();
    return 0;
}

static int dirs_gone(void **state)
{
    gw_test_rmdir(*state);
    return 0;
}

static void mkdir_private_makes_parents(void **state)
{
    struct gw_error err = {0};
    gw_autofree char *deep = gw_asprintf("%s/a/b//c/", (char *)*state);
    MUST(gw_mkdir_private(deep, &err));
    MUST(gw_mkdir_private(deep, &err));
    struct stat st;
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    gw_autofree char *file = gw_asprintf("%s/file", (char *)*state);
    MUST(gw_file_replace(file, "x", 1, &err));
    assert_false(gw_mkdir_private(file, &err));
    assert_int_equal(err.kind, GW_ERR_USER);
    assert_contains(err.message, "not a folder");
}

static void replace_is_atomic_private_and_leaves_nothing(void **state)
{
    struct gw_error err = {0};
    gw_autofree char *dir = gw_asprintf("%s/r", (char *)*state);
    gw_autofree char *path = gw_asprintf("%s/f", dir);
    MUST(gw_mkdir_private(dir, &err));
    MUST(gw_file_replace(path, "first", 5, &err));
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(reader >= 0);
    MUST(gw_file_replace(path, "second one", 10, &err));
    char bytes[32] = {0};
    assert_int_equal(read(reader, bytes, sizeof bytes), 5); /* who has it open keeps the old one whole */
    assert_string_equal(bytes, "first");
    close(reader);
    gw_autobuf struct gw_buf read_back = {0};
    MUST(gw_file_read(path, 10, &read_back, &err));
    assert_string_equal(gw_buf_text(&read_back), "second one");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* No temporary sibling stays, also when the rename fails. */
    gw_autofree char *folder = gw_asprintf("%s/folder", dir);
    MUST(gw_mkdir_private(folder, &err));
    assert_false(gw_file_replace(folder, "x", 1, &err));
    MUST(gw_remove_tree(folder, &err));
    MUST(gw_remove_tree(path, &err));
    assert_int_equal(rmdir(dir), 0);
}

static void read_is_bounded_and_says_what_is_missing(void **state)
{
    struct gw_error err = {0};
    gw_autofree char *path = gw_asprintf("%s/big", (char *)*state);
    MUST(gw_file_replace(path, "0123456789", 10, &err));
    gw_autobuf struct gw_buf out = {0};
    assert_false(gw_file_read(path, 9, &out, &err));
    assert_int_equal(err.kind, GW_ERR_USER);
    assert_int_equal(out.len, 0);
    assert_false(gw_file_read("/dev/zero", 100000, &out, &err)); /* says it has 0 bytes, and never ends */
    assert_int_equal(err.kind, GW_ERR_USER);
    assert_false(gw_file_read("/nonexistent/file", 9, &out, &err));
    assert_int_equal(err.kind, GW_ERR_USER);
    assert_contains(err.message, "/nonexistent/file");
    assert_false(gw_file_read("/", 9, &out, &err));
    assert_contains(err.message, "folder");
}

static void write_to_a_full_disk_is_a_resource_error(void **state)
{
    (void)state;
    struct gw_error err = {0};
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_false(gw_write_all(fd, "x", 1, &err));
    close(fd);
    assert_int_equal(err.kind, GW_ERR_RESOURCE);
    assert_true(err.hint[0]);
}

static void remove_tree_follows_no_symlink(void **state)
{
    struct gw_error err = {0};
    gw_autofree char *keep = gw_asprintf("%s/keep", (char *)*state);
    gw_autofree char *kept = gw_asprintf("%s/kept", keep);
    gw_autofree char *tree = gw_asprintf("%s/tree", (char *)*state);
    gw_autofree char *deep = gw_asprintf("%s/x/y/z", tree);
    gw_autofree char *link = gw_asprintf("%s/x/link", tree);
    MUST(gw_mkdir_private(keep, &err));
    MUST(gw_file_replace(kept, "", 0, &err));
    MUST(gw_mkdir_private(deep, &err));
    assert_int_equal(symlink(keep, link), 0);
    MUST(gw_remove_tree(tree, &err));
    MUST(gw_remove_tree(tree, &err));
    assert_false(gw_file_exists(tree));
    assert_true(gw_file_exists(kept));
}

static void sizes_and_durations_in_words(void **state)
{
    (void)state;
    char out[16];
    static const struct {
        int64_t value;
        const char *words;
    } sizes[] = {
        {0, "0 B"},          {999, "999 B"},        {1000, "1.0 kB"},
        {12345, "12 kB"},    {999499, "999 kB"},    {999500, "1.0 MB"},
        {9949999, "9.9 MB"}, {9950001, "10 MB"},    {1100000000, "1.1 GB"},
        {-2500, "-2.5 kB"},  {INT64_MAX, "9.2 EB"}, {INT64_MIN, "-9.2 EB"},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        gw_format_bytes(sizes[i].value, out);
        assert_string_equal(out, sizes[i].words);
    }
    static const struct {
        int64_t us;
        const char *words;
    } times[] = {
        {0, "0.0 ms"},
        {400, "0.4 ms"},
        {12000, "12 ms"},
        {999499, "999 ms"},
        {999500, "1.0 s"},
        {3400000, "3.4 s"},
        {42000000, "42 s"},
        {59600000, "1m00s"},
        {252000000, "4m12s"},
        {8040000000, "2h14m"},
        {30LL * 86400 * 1000000, "30d0h"},
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        gw_format_duration(times[i].us, out);
        assert_string_equal(out, times[i].words);
    }
    gw_format_duration(INT64_MIN, out); /* must only not overrun */
    assert_true(gw_disk_free_bytes("/tmp") > 0);
    assert_int_equal(gw_disk_free_bytes("/nonexistent"), -1);
}

static void secrets_are_redacted(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"postgresql://u:s3cret@h/db", "postgresql://u:***@h/db"},
        {"postgresql://u@h:5432/db", "postgresql://u@h:5432/db"},
        {"postgresql://h:5432/db?application_name=a@b", "postgresql://h:5432/db?application_name=a@b"},
        {"postgresql://u:s3/cr@et@h/db", "postgresql://u:***@h/db"},
        {"postgresql://u:s3?cret@h/db", "postgresql://u:***@h/db"},
        {"postgresql://:s3cret@h/db", "postgresql://:***@h/db"},
        {"postgresql://u:@h/db", "postgresql://u:***@h/db"},
        {"postgresql://u:s3cret@h1:1,h2:2/db", "postgresql://u:***@h1:1,h2:2/db"},
        {"postgresql://h1:1,h2:2/db?x=@", "postgresql://h1:1,h2:2/db?x=@"},
        {"postgresql:///db?user=u&password=s3cret&sslmode=require",
         "postgresql:///db?user=u&password=***&sslmode=require"},
        {"postgresql:///db?p%61ssword=s3cret", "postgresql:///db?p%61ssword=***"},
        {"postgresql:///db?sslpassword=s3cret&passfile=/x", "postgresql:///db?sslpassword=***&passfile=/x"},
        {"host=h password=s3cret dbname=d", "host=h password=*** dbname=d"},
        {"host=h password = 's3 \\' cret' dbname=d", "host=h password = *** dbname=d"},
        {"password=s3\\ cret dbname=x://y", "password=*** dbname=x://y"},
        {"service=prod", "service=prod"},
        {"password='s3cret", "password=***"},
        {"/path/to/file.db", "/path/to/file.db"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[256];
        gw_redact_url(cases[i][0], out, sizeof out);
        assert_string_equal(out, cases[i][1]);
        char *tight = malloc(5);
        gw_redact_url(cases[i][0], tight, 5);
        assert_true(strlen(tight) <= 4);
        free(tight);
    }
}

struct seen {
    struct gw_buf text;
    int lines;
};

static void see(enum gw_log_level level, const char *line, void *arg)
{
    struct seen *seen = arg;
    (void)level;
    gw_buf_addf(&seen->text, "%s\n", line);
    seen->lines++;
    gw_warn("a tee that logs does not call itself");
}

static void log_messages_are_teed_as_said(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct gw_error err;
    gw_log_init(GW_LOG_INFO);
    gw_log_tee(see, &seen);
    gw_debug("not seen %d", 1);
    gw_info("bell \a escape \033[31m tab\t end");
    gw_fail(&err, GW_ERR_USER, "wrong");
    gw_error_hint(&err, "do this\nand that");
    gw_error_place(&err, "f:1:2");
    gw_log_error(&err);
    gw_log_tee(NULL, NULL);
    gw_info("after");
    assert_int_equal(seen.lines, 2);
    assert_string_equal(gw_buf_text(&seen.text),
                        "bell \a escape \033[31m tab\t end\n" /* as it was said: whoever prints it makes it safe */
                        "wrong\nat: f:1:2\nhint: do this\nand that\n");
    gw_buf_release(&seen.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mkdir_private_makes_parents),
        cmocka_unit_test(replace_is_atomic_private_and_leaves_nothing),
        cmocka_unit_test(read_is_bounded_and_says_what_is_missing),
        cmocka_unit_test(write_to_a_full_disk_is_a_resource_error),
        cmocka_unit_test(remove_tree_follows_no_symlink),
        cmocka_unit_test(sizes_and_durations_in_words),
        cmocka_unit_test(secrets_are_redacted),
        cmocka_unit_test(log_messages_are_teed_as_said),
    };
    return cmocka_run_group_tests(tests, dirs, dirs_gone);
}
