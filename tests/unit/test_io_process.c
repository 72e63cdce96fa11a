/* Child processes: output and its bounds, environment, time, cancel, groups, descriptors. */
#include "gw_test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "io/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static struct gw_process_run shell(const char *argv[4], const char *command)
{
    gw_process_shell(argv, command);
    return (struct gw_process_run){.spec.argv = argv};
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* Does a process of this pid run? A zombie of somebody else's does not count. */
static bool runs(pid_t pid)
{
    gw_autofree char *path = gw_asprintf("/proc/%d/stat", (int)pid);
    gw_autobuf struct gw_buf stat = {0};
    struct gw_error err;
    if (!gw_file_read(path, 4096, &stat, &err))
        return false;
    const char *behind = strrchr(stat.data, ')');
    return behind && behind[2] != 'Z' && behind[2] != 'X';
}

static bool ends_soon(pid_t pid)
{
    int64_t deadline_us = gw_mono_us() + 20000000;
    while (runs(pid) && gw_left_ms(deadline_us) > 0)
        gw_sleep_us(2000);
    return !runs(pid);
}

static void output_exit_code_and_input(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_process_result result;
    const char *argv[4];
    struct gw_process_run run = shell(argv, "cat; echo oops >&2; exit 3");
    run.input = "to\0you";
    run.input_len = 6;
    MUST(gw_process_run(&run, NULL, &result, &err));
    assert_int_equal(result.end.code, 3);
    assert_int_equal(result.end.signal, 0);
    assert_int_equal(result.out.len, 6);
    assert_memory_equal(result.out.data, "to\0you", 6);
    assert_string_equal(gw_buf_text(&result.messages), "oops\n");
    assert_false(gw_process_check(&result, "the hook", &err));
    assert_string_equal(err.message, "the hook ended with exit code 3");
    assert_string_equal(err.detail, "oops");
    gw_process_result_release(&result);
    run = shell(argv, "kill -TERM $$");
    MUST(gw_process_run(&run, NULL, &result, &err));
    assert_int_equal(result.end.signal, SIGTERM);
    assert_int_equal(result.end.code, 128 + SIGTERM);
    assert_false(gw_process_check(&result, "x", &err));
    assert_string_equal(err.message, "x was ended by SIGTERM");
    gw_process_result_release(&result);
}

static void a_megabyte_each_way(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_process_result result;
    const char *argv[4];
    char *bytes = malloc(1000000);
    memset(bytes, 'z', 1000000);
    struct gw_process_run run = shell(argv, "cat; head -c 300000 /dev/zero | tr '\\0' m >&2; echo last >&2");
    run.input = bytes;
    run.input_len = 1000000;
    MUST(gw_process_run(&run, NULL, &result, &err));
    assert_int_equal(result.out.len, 1000000);
    assert_memory_equal(result.out.data, bytes, 1000000);
    assert_true(result.messages.len <= 65536);
    assert_string_equal(result.messages.data + result.messages.len - 5, "last\n"); /* of stderr the end is kept */
    gw_process_result_release(&result);
    run.max_out_bytes = 999999;
    assert_false(gw_process_run(&run, NULL, &result, &err));
    assert_contains(err.message, "more than 999999 bytes");
    gw_process_result_release(&result);
    free(bytes);
}

static void environment_and_folder(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_process_result result;
    const char *argv[4];
    const char *const environment[] = {"GW_TEST_A=new value", "GW_TEST_B=2", NULL};
    setenv("GW_TEST_A", "old", 1);
    setenv("GW_TEST_AB", "other", 1);
    struct gw_process_run run =
        shell(argv, "echo \"$GW_TEST_A $GW_TEST_B $GW_TEST_AB\"; env | grep -c ^GW_TEST_A=; pwd");
    run.spec.environment = environment;
    run.spec.folder = "/";
    MUST(gw_process_run(&run, NULL, &result, &err));
    assert_string_equal(gw_buf_text(&result.out), "new value 2 other\n1\n/\n");
    gw_process_result_release(&result);
}

static void what_cannot_be_started_is_said(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_process_result result;
    const char *const missing[] = {"godwit-no-such-program", NULL};
    struct gw_process_run run = {.spec.argv = missing};
    assert_false(gw_process_run(&run, NULL, &result, &err));
    assert_int_equal(err.kind, GW_ERR_USER);
    assert_contains(err.message, "godwit-no-such-program");
    const char *const fine[] = {"true", NULL};
    run.spec.argv = fine;
    run.spec.folder = "/nonexistent";
    assert_false(gw_process_run(&run, NULL, &result, &err));
    assert_contains(err.message, "could not start true: No such file");
    assert_null(gw_process_find("true", "/nonexistent"));
    gw_autofree char *found = gw_process_find("true", NULL);
    assert_non_null(found);
}

static void timeout_kills_the_whole_group(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_process_result result;
    const char *argv[4];
    /* Both ignore SIGTERM, so that SIGKILL must come; the grandchild's pid goes to stdout. */
    struct gw_process_run run = shell(argv, "trap '' TERM; sleep 300 & echo $!; wait; wait");
    run.timeout_ms = 300;
    assert_false(gw_process_run(&run, NULL, &result, &err));
    assert_int_equal(err.kind, GW_ERR_RETRY);
    assert_contains(err.message, "did not end within 300 ms");
    pid_t grandchild = (pid_t)strtol(gw_buf_text(&result.out), NULL, 10);
    assert_true(grandchild > 1);
    assert_true(ends_soon(grandchild));
    gw_process_result_release(&result);
}

static void *ask(void *cancel)
{
    gw_sleep_us(50000);
    gw_cancel_ask(cancel, SIGINT);
    return NULL;
}

static void cancel_stops_it(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_process_result result;
    struct gw_cancel cancel;
    const char *argv[4];
    pthread_t thread;
    MUST(gw_cancel_init(&cancel, &err));
    struct gw_process_run run = shell(argv, "sleep 300");
    pthread_create(&thread, NULL, ask, &cancel);
    int64_t before = gw_mono_us();
    assert_false(gw_process_run(&run, &cancel, &result, &err));
    assert_int_equal(err.kind, GW_ERR_CANCELLED);
    assert_true(gw_mono_us() - before < 60000000);
    pthread_join(thread, NULL);
    gw_process_result_release(&result);
    gw_cancel_release(&cancel);
}

static void a_daemon_left_behind_does_not_hold_us(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_process_result result;
    const char *argv[4];
    struct gw_process_run run = shell(argv, "sleep 300 & echo $!");
    run.timeout_ms = 60000;
    MUST(gw_process_run(&run, NULL, &result, &err));
    assert_int_equal(result.end.code, 0);
    assert_true(result.took_us < 30000000);
    pid_t daemon = (pid_t)strtol(gw_buf_text(&result.out), NULL, 10);
    assert_true(runs(daemon));
    kill(daemon, SIGKILL);
    gw_process_result_release(&result);
}

static void collect(const char *text, void *arg)
{
    gw_buf_addf(arg, "[%s]", text);
}

static void messages_come_line_by_line(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_process_result result;
    gw_autobuf struct gw_buf lines = {0};
    const char *argv[4];
    struct gw_process_run run = shell(argv, "printf 'one\\ntwo' >&2; printf ' more\\nend' >&2");
    run.on_message = collect;
    run.on_message_arg = &lines;
    MUST(gw_process_run(&run, NULL, &result, &err));
    assert_string_equal(gw_buf_text(&lines), "[one][two more][end]");
    gw_process_result_release(&result);
}

static void no_descriptor_leaks_either_way(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_process_result result;
    const char *argv[4];
    int before = open_descriptors();
    int mine = dup(0); /* not close-on-exec, on purpose */
    signal(SIGPIPE, SIG_IGN);
    struct gw_process_run run = shell(argv, "ls /proc/self/fd | wc -l; yes | head -1; grep SigIgn /proc/self/status");
    run.timeout_ms = 20000;
    MUST(gw_process_run(&run, NULL, &result, &err));
    signal(SIGPIPE, SIG_DFL);
    close(mine);
    /* 0, 1, 2, and the one with which ls reads the folder. Ended signals are default again, SIGPIPE too. */
    assert_string_equal(gw_buf_text(&result.out), "4\ny\nSigIgn:\t0000000000000000\n");
    gw_process_result_release(&result);
    const char *const missing[] = {"/nonexistent/program", NULL};
    run = (struct gw_process_run){.spec.argv = missing, .input = "x", .input_len = 1};
    assert_false(gw_process_run(&run, NULL, &result, &err));
    assert_int_equal(open_descriptors(), before);
}

static bool read_line(int fd, char *out, size_t size)
{
    size_t len = 0;
    int64_t deadline_us = gw_mono_us() + 20000000;
    while (len + 1 < size && gw_left_ms(deadline_us) > 0) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        poll(&pfd, 1, gw_left_ms(deadline_us));
        if (read(fd, out + len, 1) != 1)
            continue;
        if (out[len] == '\n')
            break;
        len++;
    }
    out[len] = 0;
    return len > 0;
}

static void a_child_that_stays(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_process process;
    struct gw_process_end end;
    bool ended = true;
    char line[64];
    const char *argv[4];
    gw_process_shell(argv, "while read word; do echo got $word; done; exit 9");
    struct gw_process_spec spec = {.argv = argv};
    MUST(gw_process_spawn(&spec, GW_PROCESS_IN | GW_PROCESS_OUT, &process, &err));
    assert_int_equal(process.err_fd, -1);
    MUST(gw_write_all(process.in_fd, "hello\n", 6, &err));
    assert_true(read_line(process.out_fd, line, sizeof line));
    assert_string_equal(line, "got hello");
    MUST(gw_process_wait(&process, 0, &ended, &end, &err));
    assert_false(ended);
    close(process.in_fd);
    process.in_fd = -1;
    MUST(gw_process_wait(&process, 20000, &ended, &end, &err));
    assert_true(ended);
    assert_int_equal(end.code, 9);
    assert_int_equal(process.pid, 0);
    gw_process_release(&process);
    gw_process_shell(argv, "sleep 300 & echo $!; wait");
    MUST(gw_process_spawn(&spec, GW_PROCESS_OUT, &process, &err));
    assert_true(read_line(process.out_fd, line, sizeof line));
    pid_t pid = process.pid;
    gw_process_stop(&process, 5000);
    assert_false(runs(pid));
    assert_true(ends_soon((pid_t)strtol(line, NULL, 10)));
    gw_process_release(&process);
}

static void dies_with_us_where_asked(void **state)
{
    (void)state;
    int ends[2];
    char line[64];
    assert_int_equal(pipe(ends), 0);
    pid_t middle = fork();
    assert_true(middle >= 0);
    if (middle == 0) {
        struct gw_error err = {0};
        struct gw_process process;
        const char *argv[] = {"sleep", "300", NULL};
        struct gw_process_spec spec = {.argv = argv, .die_with_us = true};
        if (!gw_process_spawn(&spec, 0, &process, &err))
            _exit(1);
        dprintf(ends[1], "%d\n", (int)process.pid);
        raise(SIGKILL);
    }
    close(ends[1]);
    assert_true(read_line(ends[0], line, sizeof line));
    close(ends[0]);
    waitpid(middle, NULL, 0);
    assert_true(ends_soon((pid_t)strtol(line, NULL, 10)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_exit_code_and_input),
        cmocka_unit_test(a_megabyte_each_way),
        cmocka_unit_test(environment_and_folder),
        cmocka_unit_test(what_cannot_be_started_is_said),
        cmocka_unit_test(timeout_kills_the_whole_group),
        cmocka_unit_test(cancel_stops_it),
        cmocka_unit_test(a_daemon_left_behind_does_not_hold_us),
        cmocka_unit_test(messages_come_line_by_line),
        cmocka_unit_test(no_descriptor_leaks_either_way),
        cmocka_unit_test(a_child_that_stays),
        cmocka_unit_test(dies_with_us_where_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
