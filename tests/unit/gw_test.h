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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

#endif
