/*
 * Errors: what happened, where, and what to do about it.
 *
 * A function that can fail returns bool and takes `struct gw_error *err` last; on false, *err is filled and
 * no output has been touched. The caller must look (GW_MUST_CHECK). Retry policy reads only `kind`.
 * An error is a plain value of fixed size: copy it freely, nothing to release. Too long text is cut, never lost
 * silently: it ends in "...".
 *
 *     if (!gw_spool_append(spool, record, err))
 *         return false;                                   // pass it on as it is
 *     return gw_fail(err, GW_ERR_USER, "key \"%s\" is unknown", key);
 */
#ifndef GW_BASE_ERROR_H
#define GW_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#define GW_MUST_CHECK __attribute__((warn_unused_result))
#define GW_PRINTF(format_arg, first_arg) __attribute__((format(printf, format_arg, first_arg)))

enum gw_error_kind {
    GW_ERR_NONE = 0,
    GW_ERR_RETRY,         /* passing: connection lost, deadlock, serialization failure, server starting; try again */
    GW_ERR_REFUSED,       /* a server answered no: password, rights, unknown database; or cannot be reached at all */
    GW_ERR_USER,          /* the migration file or the command line is wrong */
    GW_ERR_CONFLICT,      /* data or state is not as it must be: foreign write, 0 rows where 1 was due, other epoch */
    GW_ERR_LOST_POSITION, /* the change log no longer holds what we need: slot dropped, WAL removed */
    GW_ERR_UNSUPPORTED,   /* cannot be moved by this version; says what and why */
    GW_ERR_RESOURCE,      /* disk full, file limit, memory bound: nothing lost, resumable once there is room */
    GW_ERR_CANCELLED,     /* the operator or a deadline stopped it; resumable */
    GW_ERR_BUG,           /* an invariant of ours is broken */
};

struct gw_error {
    enum gw_error_kind kind;
    char message[768];
    char detail[768]; /* the server's own words, a row's key; may be empty */
    char hint[768];   /* what the operator should do; may be empty */
    char place[160];  /* store, side, collection or file:line:col; may be empty */
};

/* Fills *err (clearing the rest) and returns false, so that `return gw_fail(...)` reads well. */
bool gw_fail(struct gw_error *err, enum gw_error_kind kind, const char *format, ...) GW_PRINTF(3, 4);
/* As gw_fail, and appends strerror(errno_value). ENOSPC, EDQUOT and EMFILE become GW_ERR_RESOURCE. */
bool gw_fail_errno(struct gw_error *err, int errno_value, const char *format, ...) GW_PRINTF(3, 4);
/* Adds to an error already filled; each returns false. A place already set is kept (the innermost knows best). */
bool gw_error_detail(struct gw_error *err, const char *format, ...) GW_PRINTF(2, 3);
bool gw_error_hint(struct gw_error *err, const char *format, ...) GW_PRINTF(2, 3);
bool gw_error_place(struct gw_error *err, const char *format, ...) GW_PRINTF(2, 3);
/* Puts "what we were doing: " before the message. */
bool gw_error_prefix(struct gw_error *err, const char *format, ...) GW_PRINTF(2, 3);

void gw_error_clear(struct gw_error *err);
const char *gw_error_kind_name(enum gw_error_kind kind);

/* The exit codes of DESIGN: 0 yes, 1 the answer is no, 2 usage, 3 unresolved, 4 unreachable, 5 interrupted, 70 bug. */
enum gw_exit {
    GW_EXIT_YES = 0,
    GW_EXIT_NO = 1,
    GW_EXIT_USAGE = 2,
    GW_EXIT_UNRESOLVED = 3,
    GW_EXIT_UNREACHABLE = 4,
    GW_EXIT_INTERRUPTED = 5,
    GW_EXIT_BUG = 70,
};
enum gw_exit gw_error_exit(const struct gw_error *err);

#endif
