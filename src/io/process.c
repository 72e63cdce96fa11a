#include "io/process.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_GRACE_MS 2000
/* Without pidfd_open an end is noticed by looking this often. */
#define LOOK_MS 20

void gw_process_shell(const char *argv[4], const char *command)
{
    argv[0] = "/bin/sh";
    argv[1] = "-c";
    argv[2] = command;
    argv[3] = NULL;
}

static char *executable_in(const char *folder, size_t folder_len, const char *program)
{
    char *path = gw_asprintf("%.*s/%s", (int)folder_len, folder, program);
    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

char *gw_process_find(const char *program, const char *folder_or_null)
{
    if (strchr(program, '/'))
        return access(program, X_OK) == 0 ? gw_strdup(program) : NULL;
    if (folder_or_null)
        return executable_in(folder_or_null, strlen(folder_or_null), program);
    const char *path = getenv("PATH"); /* NOLINT(concurrency-mt-unsafe): nobody sets the environment here */
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    while (*path) {
        size_t len = strcspn(path, ":");
        char *found = len ? executable_in(path, len, program) : NULL;
        if (found)
            return found;
        path += len + (path[len] == ':');
    }
    return NULL;
}

static bool same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return strncmp(a, b, len) == 0 && b[len] == '=';
}

/* Our environment with the additions in it; the array is the caller's, the strings are borrowed. */
static const char **environment_with(const char *const *additions)
{
    size_t ours = 0;
    size_t more = 0;
    while (environ && environ[ours])
        ours++;
    while (additions && additions[more])
        more++;
    const char **all = gw_calloc(ours + more + 1, sizeof *all);
    size_t count = 0;
    for (size_t i = 0; i < ours; i++) {
        bool replaced = false;
        for (size_t j = 0; j < more; j++)
            replaced = replaced || same_name(additions[j], environ[i]);
        if (!replaced)
            all[count++] = environ[i];
    }
    for (size_t j = 0; j < more; j++)
        all[count++] = additions[j];
    return all;
}

/* All a child needs, prepared before the fork: between fork and exec only system calls are allowed. */
struct child_plan {
    const char *path, *folder;
    char *const *argv;
    char *const *environment;
    int in, out, err, report; /* report: write end of the pipe that tells why exec failed */
    bool die_with_us;
    pid_t parent;
};

static void __attribute__((noreturn)) child_fail(const struct child_plan *plan)
{
    int failed = errno;
    ssize_t ignored = write(plan->report, &failed, sizeof failed);
    (void)ignored;
    _exit(127);
}

static void __attribute__((noreturn)) child_main(const struct child_plan *plan)
{
    setpgid(0, 0);
    if (plan->die_with_us) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
            child_fail(plan);
        if (getppid() != plan->parent)
            _exit(127); /* it died before the kernel knew */
    }
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int signal_number = 1; signal_number < NSIG; signal_number++)
        sigaction(signal_number, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* All three are above 2 (see above_standard), so no dup2 overwrites one that is still needed. */
    if (dup2(plan->in, 0) < 0 || dup2(plan->out, 1) < 0 || dup2(plan->err, 2) < 0)
        child_fail(plan);
    syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC); /* ours are so anyway; this is for libraries */
    if (plan->folder && chdir(plan->folder) != 0)
        child_fail(plan);
    execve(plan->path, plan->argv, plan->environment);
    child_fail(plan);
}

/* A descriptor that is 0, 1 or 2 (we were started with those closed) is moved up. */
static int above_standard(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    int saved = errno;
    close(fd);
    errno = saved;
    return moved;
}

static bool make_pipe(int ends[2], struct gw_error *err)
{
    if (pipe2(ends, O_CLOEXEC) != 0) {
        ends[0] = ends[1] = -1;
        return gw_fail_errno(err, errno, "could not make a pipe");
    }
    ends[0] = above_standard(ends[0]);
    ends[1] = above_standard(ends[1]);
    if (ends[0] < 0 || ends[1] < 0)
        return gw_fail_errno(err, errno, "could not make a pipe");
    return true;
}

static void close_if_open(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Forks with all signals blocked: a handler of ours must not run in the child. */
static pid_t fork_child(const struct child_plan *plan)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        child_main(plan);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

/* What the child says before it has become the program: nothing, or an errno. */
static int read_report(int fd)
{
    int failed = 0;
    ssize_t got;
    do
        got = read(fd, &failed, sizeof failed);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof failed ? failed : 0;
}

static bool start(const struct gw_process_spec *spec, struct child_plan *plan, pid_t *pid, struct gw_error *err)
{
    int report[2];
    gw_autofree char *path = gw_process_find(spec->argv[0], NULL);
    if (!path) {
        gw_fail(err, GW_ERR_USER, "the program %s is not there or cannot be executed", spec->argv[0]);
        return gw_error_hint(err, "install it, or put its folder into PATH");
    }
    if (!make_pipe(report, err)) {
        close_if_open(&report[0]);
        close_if_open(&report[1]);
        return false;
    }
    gw_autofree const char **environment = environment_with(spec->environment);
    plan->path = path;
    plan->folder = spec->folder;
    plan->argv = (char *const *)(uintptr_t)spec->argv;
    plan->environment = (char *const *)(uintptr_t)environment;
    plan->report = report[1];
    plan->die_with_us = spec->die_with_us;
    plan->parent = getpid();
    *pid = fork_child(plan);
    int failed = *pid < 0 ? errno : 0;
    close(report[1]);
    if (*pid > 0) {
        setpgid(*pid, *pid); /* by both: whoever comes first */
        failed = read_report(report[0]);
        if (failed)
            waitpid(*pid, NULL, 0);
    }
    close(report[0]);
    if (failed)
        return gw_fail_errno(err, failed, "could not start %s", spec->argv[0]);
    return true;
}

static int open_pidfd(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0u);
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd < 0 ? -1 : fd;
}

static void set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Spawns with in_fd (owned, or -1 for /dev/null or a pipe as asked for) as stdin. */
static bool spawn_with_input(const struct gw_process_spec *spec, unsigned pipes, int in_fd, struct gw_process *process,
                             struct gw_error *err)
{
    int in[2] = {in_fd, -1};
    int out[2] = {-1, -1};
    int messages[2] = {-1, -1};
    *process = (struct gw_process){.pidfd = -1, .in_fd = -1, .out_fd = -1, .err_fd = -1};
    bool ok = true;
    if (pipes & GW_PROCESS_IN)
        ok = make_pipe(in, err);
    else if (in_fd < 0)
        in[0] = above_standard(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (ok && (pipes & GW_PROCESS_OUT))
        ok = make_pipe(out, err);
    else if (ok)
        out[1] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (ok && (pipes & GW_PROCESS_ERR))
        ok = make_pipe(messages, err);
    else if (ok)
        messages[1] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (ok && out[1] < 0 && messages[1] < 0) /* our stderr is closed */
        out[1] = above_standard(open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (ok && messages[1] < 0)
        messages[1] = fcntl(out[1], F_DUPFD_CLOEXEC, 3);
    if (ok && out[1] < 0)
        out[1] = fcntl(messages[1], F_DUPFD_CLOEXEC, 3);
    if (ok && (in[0] < 0 || out[1] < 0 || messages[1] < 0))
        ok = gw_fail_errno(err, errno, "could not open the standard descriptors of %s", spec->argv[0]);
    struct child_plan plan = {.in = in[0], .out = out[1], .err = messages[1]};
    ok = ok && start(spec, &plan, &process->pid, err);
    close_if_open(&in[0]);
    close_if_open(&out[1]);
    close_if_open(&messages[1]);
    process->in_fd = in[1];
    process->out_fd = out[0];
    process->err_fd = messages[0];
    if (!ok) {
        process->pid = 0;
        gw_process_release(process);
        return false;
    }
    process->pidfd = open_pidfd(process->pid);
    set_nonblocking(process->in_fd);
    set_nonblocking(process->out_fd);
    set_nonblocking(process->err_fd);
    return true;
}

bool gw_process_spawn(const struct gw_process_spec *spec, unsigned pipes, struct gw_process *process,
                      struct gw_error *err)
{
    return spawn_with_input(spec, pipes, -1, process, err);
}

static struct gw_process_end end_of(int status)
{
    if (WIFSIGNALED(status))
        return (struct gw_process_end){.code = 128 + WTERMSIG(status), .signal = WTERMSIG(status)};
    return (struct gw_process_end){.code = WEXITSTATUS(status)};
}

static bool look(struct gw_process *process, bool *ended, struct gw_process_end *end, struct gw_error *err)
{
    int status = 0;
    pid_t got;
    do
        got = waitpid(process->pid, &status, WNOHANG);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return gw_fail_errno(err, errno, "could not wait for process %d", (int)process->pid);
    *ended = got == process->pid;
    if (*ended) {
        process->pid = 0;
        *end = end_of(status);
    }
    return true;
}

bool gw_process_wait(struct gw_process *process, int timeout_ms, bool *ended, struct gw_process_end *end,
                     struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    *ended = false;
    if (process->pid == 0)
        return gw_fail(err, GW_ERR_BUG, "waited for a process that is not there");
    for (;;) {
        if (!look(process, ended, end, err))
            return false;
        int left_ms = timeout_ms < 0 ? 60000 : gw_left_ms(deadline_us);
        if (*ended || left_ms == 0)
            return true;
        struct pollfd pfd = {.fd = process->pidfd, .events = POLLIN};
        if (process->pidfd < 0 && left_ms > LOOK_MS)
            left_ms = LOOK_MS;
        poll(&pfd, 1, left_ms);
    }
}

void gw_process_signal(const struct gw_process *process, int signal_number)
{
    if (process->pid > 0)
        kill(-process->pid, signal_number);
}

void gw_process_stop(struct gw_process *process, int grace_ms)
{
    struct gw_error ignored;
    struct gw_process_end end;
    bool ended = false;
    if (process->pid <= 0)
        return;
    pid_t group = process->pid;
    gw_process_signal(process, SIGTERM);
    gw_process_signal(process, SIGCONT);
    if (grace_ms > 0 && !gw_process_wait(process, grace_ms, &ended, &end, &ignored))
        ended = false;
    kill(-group, SIGKILL); /* also what the child itself left behind */
    if (!ended && !gw_process_wait(process, -1, &ended, &end, &ignored))
        process->pid = 0;
}

void gw_process_release(struct gw_process *process)
{
    close_if_open(&process->in_fd);
    close_if_open(&process->out_fd);
    close_if_open(&process->err_fd);
    close_if_open(&process->pidfd);
}

/* ---- run until it ends ---- */

struct running {
    const struct gw_process_run *run;
    struct gw_process process;
    struct gw_process_result *result;
    struct gw_buf line; /* of stderr, not yet ended */
    int64_t deadline_us;
    size_t max_out, max_messages;
};

/* stdin as a file in memory: no pump, and no SIGPIPE when the child does not read it. */
static bool input_file(const struct gw_process_run *run, int *fd, struct gw_error *err)
{
    *fd = -1;
    if (!run->input)
        return true;
    *fd = above_standard(memfd_create("godwit-input", MFD_CLOEXEC));
    if (*fd < 0)
        return gw_fail_errno(err, errno, "could not make a file in memory");
    if (gw_write_all(*fd, run->input, run->input_len, err) && lseek(*fd, 0, SEEK_SET) == 0)
        return true;
    close_if_open(fd);
    return gw_error_prefix(err, "input for %s", run->spec.argv[0]);
}

static void add_message(struct running *running, const char *bytes, size_t len)
{
    struct gw_buf *messages = &running->result->messages;
    gw_buf_add(messages, bytes, len);
    if (messages->len > running->max_messages) {
        size_t drop = messages->len - running->max_messages / 2;
        memmove(messages->data, messages->data + drop, messages->len - drop + 1);
        messages->len -= drop;
    }
    if (!running->run->on_message)
        return;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\n' && running->line.len < 8192) {
            gw_buf_addc(&running->line, bytes[i]);
            continue;
        }
        running->run->on_message(gw_buf_text(&running->line), running->run->on_message_arg);
        gw_buf_clear(&running->line);
    }
}

/* Takes what is there; closes at the end. False when stdout is more than allowed. */
static bool take(struct running *running, int *fd, bool is_out, struct gw_error *err)
{
    char bytes[16384];
    while (*fd >= 0) {
        ssize_t got = read(*fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return true;
        if (got <= 0) {
            close_if_open(fd);
            return true;
        }
        if (!is_out) {
            add_message(running, bytes, (size_t)got);
            continue;
        }
        if (running->result->out.len + (size_t)got > running->max_out)
            return gw_fail(err, GW_ERR_USER, "%s wrote more than %zu bytes to its standard output",
                           running->run->spec.argv[0], running->max_out);
        gw_buf_add(&running->result->out, bytes, (size_t)got);
    }
    return true;
}

static bool drain(struct running *running, struct gw_error *err)
{
    return take(running, &running->process.out_fd, true, err) && take(running, &running->process.err_fd, false, err);
}

static bool check_time(const struct running *running, struct gw_cancel *cancel, struct gw_error *err)
{
    if (gw_cancel_asked(cancel)) {
        gw_cancel_fail(cancel, err);
        return gw_error_prefix(err, "%s", running->run->spec.argv[0]);
    }
    if (running->run->timeout_ms > 0 && gw_left_ms(running->deadline_us) == 0) {
        char limit[16];
        gw_format_duration((int64_t)running->run->timeout_ms * 1000, limit);
        return gw_fail(err, GW_ERR_RETRY, "%s did not end within %s and was stopped", running->run->spec.argv[0],
                       limit);
    }
    return true;
}

static bool run_to_end(struct running *running, struct gw_cancel *cancel, struct gw_error *err)
{
    struct gw_process *process = &running->process;
    bool ended = false;
    while (!ended) {
        struct pollfd fds[4] = {
            {.fd = process->out_fd, .events = POLLIN},
            {.fd = process->err_fd, .events = POLLIN},
            {.fd = process->pidfd, .events = POLLIN},
            {.fd = cancel ? cancel->fd : -1, .events = POLLIN},
        };
        int wait_ms = running->run->timeout_ms > 0 ? gw_left_ms(running->deadline_us) : 60000;
        if (process->pidfd < 0 && wait_ms > LOOK_MS)
            wait_ms = LOOK_MS;
        if (poll(fds, 4, wait_ms) < 0 && errno != EINTR)
            return gw_fail_errno(err, errno, "could not wait for %s", running->run->spec.argv[0]);
        if (!drain(running, err) || !gw_process_wait(process, 0, &ended, &running->result->end, err))
            return false;
        if (!ended && !check_time(running, cancel, err))
            return false;
    }
    return drain(running, err); /* what it wrote last */
}

bool gw_process_run(const struct gw_process_run *run, struct gw_cancel *cancel, struct gw_process_result *result,
                    struct gw_error *err)
{
    int in_fd;
    *result = (struct gw_process_result){0};
    if (gw_cancel_asked(cancel))
        return gw_cancel_fail(cancel, err);
    struct running running = {
        .run = run,
        .result = result,
        .max_out = run->max_out_bytes ? run->max_out_bytes : (size_t)1 << 20,
        .max_messages = run->max_messages_bytes ? run->max_messages_bytes : (size_t)64 << 10,
    };
    int64_t began_us = gw_mono_us();
    running.deadline_us = began_us + (int64_t)run->timeout_ms * 1000;
    if (!input_file(run, &in_fd, err) ||
        !spawn_with_input(&run->spec, GW_PROCESS_OUT | GW_PROCESS_ERR, in_fd, &running.process, err))
        return false;
    bool ok = run_to_end(&running, cancel, err);
    if (!ok)
        gw_process_stop(&running.process, STOP_GRACE_MS);
    if (running.line.len)
        run->on_message(gw_buf_text(&running.line), run->on_message_arg);
    gw_buf_release(&running.line);
    gw_process_release(&running.process);
    result->took_us = gw_mono_us() - began_us;
    return ok;
}

void gw_process_result_release(struct gw_process_result *result)
{
    gw_buf_release(&result->out);
    gw_buf_release(&result->messages);
}

bool gw_process_check(const struct gw_process_result *result, const char *what, struct gw_error *err)
{
    if (result->end.code == 0)
        return true;
    if (result->end.signal)
        gw_fail(err, GW_ERR_REFUSED, "%s was ended by SIG%s", what, sigabbrev_np(result->end.signal));
    else
        gw_fail(err, GW_ERR_REFUSED, "%s ended with exit code %d", what, result->end.code);
    /* The last lines hold the reason; cut at the front, at a line. */
    const char *words = gw_buf_text(&result->messages);
    size_t len = result->messages.len;
    while (len > 0 && (words[len - 1] == '\n' || words[len - 1] == ' '))
        len--;
    size_t from = 0;
    if (len >= sizeof err->detail) {
        from = len - sizeof err->detail + 1;
        const char *newline = memchr(words + from, '\n', len - from);
        if (newline)
            from = (size_t)(newline - words) + 1;
    }
    return gw_error_detail(err, "%.*s", (int)(len - from), words + from);
}
