/*
 * What every unit test needs: cmocka with its prerequisites, a temporary folder, errors that are shown when a
 * call that must succeed fails. The banned functions are for src/ only; tests include this first.
 */
#ifndef GW_TEST_H
#define GW_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        if (!(call)) {                                                                                                 \
            print_error("%s: %s (%s) [%s] at %s\n", #call, err.message, gw_error_kind_name(err.kind), err.detail,      \
                        err.place);                                                                                    \
            fail();                                                                                                    \
        }                                                                                                              \
    } while (0)

#define assert_contains(text, part)                                                                                    \
    do {                                                                                                               \
        if (!strstr((text), (part))) {                                                                                 \
            print_error("\"%s\" does not contain \"%s\"\n", (text), (part));                                           \
            fail();                                                                                                    \
        }                                                                                                              \
    } while (0)

/* A new folder under $TMPDIR or /tmp; free the name after gw_test_rmdir. */
static inline char *gw_test_mkdir(void)
{
    const char *base = getenv("TMPDIR");
    char *path = NULL;
    assert_true(asprintf(&path, "%s/godwit-unit-XXXXXX", base && base[0] ? base : "/tmp") > 0);
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void gw_test_rmdir(char *path)
{
    struct gw_error err = {0};
    MUST(gw_remove_tree(path, &err));
    free(path);
}

/*
 * Runs this program again as "child FOLDER", which says on stdout, in records of `size` bytes, what is safe now, until it
 * dies: at the crash point (NULL: none), or killed after it said `kill_after` records and one more. The last record whose
 * writing was over is left in *last, which stays as it is when there was none.
 */
static inline void gw_test_kill_child(const char *folder, const char *crash_at, int kill_after, void *last, size_t size)
{
    char said[64];
    int out[2], status;
    assert_true(size <= sizeof said);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(out[1], STDOUT_FILENO);
        if (crash_at)
            setenv("GODWIT_CRASH_AT", crash_at, 1);
        execl("/proc/self/exe", "test", "child", folder, (char *)NULL);
        _exit(99);
    }
    close(out[1]);
    for (int count = 0; read(out[0], said, size) == (ssize_t)size; count++) {
        memcpy(last, said, size);
        if (count == kill_after)
            kill(child, SIGKILL);
    }
    close(out[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

#endif
