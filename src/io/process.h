/*
 * Child processes: pg_dump, pg_restore, the operator's hook and password commands, the watchdog.
 *
 * A child gets a process group of its own, a default signal state, and no descriptor of ours but its 0, 1 and 2.
 * No shell is involved unless asked for with gw_process_shell(). A program that needs a secret gets it by environment
 * or stdin, never in argv. Functions are thread-safe; a struct gw_process belongs to one thread at a time.
 */
#ifndef GW_IO_PROCESS_H
#define GW_IO_PROCESS_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gw_process_spec {
    const char *const *argv;        /* NULL-terminated; argv[0] without '/' is looked for in PATH */
    const char *const *environment; /* "NAME=value" in addition to or instead of ours; NULL-terminated, or NULL */
    const char *folder;             /* working directory, or NULL for ours */
    /* The kernel kills the child when the *thread* that spawned it ends: spawn such children from a thread that
     * lives as long as they shall. */
    bool die_with_us;
};

/* "/bin/sh -c COMMAND", for hooks. Fills argv, which the caller provides; command is borrowed. */
void gw_process_shell(const char *argv[4], const char *command);
/* The path of a program: in `folder` when that is given, otherwise in PATH. Owned by the caller; NULL when not there. */
char *gw_process_find(const char *program, const char *folder_or_null);

/* How a child ended. */
struct gw_process_end {
    int code;   /* exit code; 128 + signal when a signal ended it */
    int signal; /* 0, or the signal */
};

struct gw_process_result {
    struct gw_process_end end;
    struct gw_buf out;      /* stdout, whole */
    struct gw_buf messages; /* stderr; of more than the bound only the end */
    int64_t took_us;
};

struct gw_process_run {
    struct gw_process_spec spec;
    const void *input; /* stdin; NULL for /dev/null */
    size_t input_len;
    int timeout_ms;                                  /* 0: none. Past it the group gets SIGTERM, 2 s later SIGKILL */
    size_t max_out_bytes;                            /* more on stdout stops the child and is an error; 0 means 1 MiB */
    size_t max_messages_bytes;                       /* 0 means 64 KiB */
    void (*on_message)(const char *line, void *arg); /* each line of stderr as it comes (progress), or NULL */
    void *on_message_arg;
};

/* Runs a child until it ends. True when it ran, whatever its exit code (see gw_process_check); false when it could not
 * be started, ran out of time, said too much or was cancelled. A grandchild that stays behind and holds the pipes does
 * not delay the return. Release the result in both cases. */
GW_MUST_CHECK bool gw_process_run(const struct gw_process_run *run, struct gw_cancel *cancel,
                                  struct gw_process_result *result, struct gw_error *err);
void gw_process_result_release(struct gw_process_result *result);
/* False unless it ended with code 0: "what ended with exit code 3", the end of its stderr as detail. */
GW_MUST_CHECK bool gw_process_check(const struct gw_process_result *result, const char *what, struct gw_error *err);

/* A child that stays. Its three pipe ends are ours, non-blocking and close-on-exec; -1 where not asked for (then the
 * child's stdin is /dev/null, and its stdout and stderr are our stderr). */
struct gw_process {
    pid_t pid; /* 0 when none or reaped */
    int pidfd; /* readable when it has ended (for poll); -1 on kernels without */
    int in_fd, out_fd, err_fd;
};
enum gw_process_pipes { GW_PROCESS_IN = 1, GW_PROCESS_OUT = 2, GW_PROCESS_ERR = 4 };

/* gw_process_spawn also reports that the program could not be executed. */
GW_MUST_CHECK bool gw_process_spawn(const struct gw_process_spec *spec, unsigned pipes, struct gw_process *process,
                                    struct gw_error *err);
/* Waits up to timeout_ms (< 0: without end); *ended says whether it has. An ended child is reaped: pid is 0 then. */
GW_MUST_CHECK bool gw_process_wait(struct gw_process *process, int timeout_ms, bool *ended, struct gw_process_end *end,
                                   struct gw_error *err);
void gw_process_signal(const struct gw_process *process, int signal); /* to its whole group */
/* SIGTERM, up to grace_ms of patience, SIGKILL; reaps. */
void gw_process_stop(struct gw_process *process, int grace_ms);
/* Closes our ends. A child still running is left to itself: stop it first, or let it go on purpose. */
void gw_process_release(struct gw_process *process);

#endif
