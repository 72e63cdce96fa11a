#include "demo/guard.h"

#include "base/log.h"
#include "demo/leftovers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GUARD_DIED = SIGUSR1 }; /* to the worker; the signals of a terminal mean something else when they come twice */

static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP};
static volatile sig_atomic_t worker_pid, signals_passed;
static struct gw_cancel *worker_cancel;

/* ---- the worker ---- */

static void on_guard_died(int number)
{
    (void)number;
    gw_cancel_ask(worker_cancel, SIGTERM);
}

static void be_worker(pid_t guard, struct gw_cancel *cancel, const sigset_t *mask)
{
    struct sigaction action = {.sa_handler = on_guard_died};
    worker_cancel = cancel;
    setsid();
    gw_demo_adopt_orphans();
    sigaction(GUARD_DIED, &action, NULL);
    prctl(PR_SET_PDEATHSIG, GUARD_DIED);
    if (getppid() != guard)
        gw_cancel_ask(cancel, SIGTERM); /* it died before the kernel knew */
    sigprocmask(SIG_SETMASK, mask, NULL);
}

/* ---- the guard ---- */

static void pass_on(int number)
{
    int saved = errno;
    kill((pid_t)worker_pid, signals_passed ? SIGKILL : number);
    signals_passed = 1;
    errno = saved;
}

static int wait_for_worker(pid_t pid)
{
    int status = 0;
    pid_t got;
    do
        got = waitpid(pid, &status, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0 || WIFEXITED(status))
        return got < 0 ? GW_EXIT_BUG : WEXITSTATUS(status);
    int number = WTERMSIG(status);
    fprintf(stderr, "demo: ended by SIG%s; cleaning up\n", sigabbrev_np(number) ? sigabbrev_np(number) : "?");
    return number == SIGKILL || number == SIGTERM ? GW_EXIT_INTERRUPTED : GW_EXIT_BUG;
}

static int be_guard(pid_t pid, const char *folder, const sigset_t *mask)
{
    struct sigaction action = {.sa_handler = pass_on};
    struct stat there;
    struct gw_error err;
    worker_pid = pid;
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaction(passed_on[i], &action, NULL);
    sigprocmask(SIG_SETMASK, mask, NULL);
    int code = wait_for_worker(pid);
    action.sa_handler = SIG_IGN; /* what is left to do is short and must be done */
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaction(passed_on[i], &action, NULL);
    /* A folder of somebody else's would be one that the worker could not make. */
    bool ours = lstat(folder, &there) != 0 || (S_ISDIR(there.st_mode) && there.st_uid == geteuid());
    if (ours && !gw_demo_leftovers_remove(folder, &err))
        gw_log_error(&err);
    return code;
}

bool gw_demo_guard_start(const char *folder, struct gw_cancel *cancel, int *code)
{
    sigset_t blocked, before;
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaddset(&blocked, passed_on[i]);
    sigaddset(&blocked, GUARD_DIED);
    fflush(NULL);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    gw_demo_adopt_orphans();
    pid_t guard = getpid(), pid = fork();
    if (pid == 0) {
        be_worker(guard, cancel, &before);
        return true;
    }
    if (pid > 0) {
        *code = be_guard(pid, folder, &before);
        return false;
    }
    struct gw_error err;
    (void)!gw_fail_errno(&err, errno, "no process for the demo");
    sigprocmask(SIG_SETMASK, &before, NULL);
    gw_log_error(&err);
    *code = (int)gw_error_exit(&err);
    return false;
}
