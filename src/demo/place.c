#include "demo/place.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 20, REAP_TRIES = 50, REAP_PAUSE_US = 100000 };

/* ---- the reaper ---- */

/* A process is the demo's if its command line names the folder, which nobody else has. */
static bool belongs(const char *pid, const char *folder)
{
    char path[300], line[4096];
    snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, line, sizeof line - 1);
    close(fd);
    for (ssize_t i = 0; i < got; i++) {
        if (!line[i])
            line[i] = ' ';
    }
    line[got > 0 ? got : 0] = 0;
    return strstr(line, folder) != NULL;
}

static bool end_leftovers(const char *folder)
{
    bool any = false;
    DIR *proc = opendir("/proc");
    if (!proc)
        return false;
    for (struct dirent *entry; (entry = readdir(proc));) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid <= 1 || pid == getpid() || !belongs(entry->d_name, folder))
            continue;
        any = true;
        kill((pid_t)pid, SIGKILL);
    }
    closedir(proc);
    return any;
}

static void reap(int fd, const char *folder)
{
    char byte;
    struct gw_error ignored;
    setsid();
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    while (read(fd, &byte, 1) < 0 && errno == EINTR) {
    }
    /* The servers got their own signal from the kernel; they have a moment to end in order. */
    for (int i = 0; i < REAP_TRIES && gw_file_exists(folder); i++) {
        bool running = i > 10 && end_leftovers(folder);
        if (!running && gw_remove_tree(folder, &ignored))
            break;
        gw_sleep_us(REAP_PAUSE_US);
    }
    _exit(0);
}

static bool start_reaper(struct gw_demo_place *place, struct gw_error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return gw_fail_errno(err, errno, "no pipe for the demo's reaper");
    pid_t pid = fork();
    if (pid < 0)
        return gw_fail_errno(err, errno, "no process for the demo's reaper");
    if (pid == 0) {
        close(ends[1]);
        reap(ends[0], place->folder);
    }
    close(ends[0]);
    place->alive_fd = ends[1];
    return true;
}

/* ---- folder and user ---- */

static bool choose_user(struct gw_demo_place *place, struct gw_error *err)
{
    static const char *const names[] = {"postgres", "nobody"};
    if (geteuid() != 0)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (getpwnam(names[i])) { /* NOLINT(concurrency-mt-unsafe): before any thread */
            snprintf(place->user, sizeof place->user, "%s", names[i]);
            return true;
        }
    }
    (void)!gw_fail(err, GW_ERR_UNSUPPORTED, "PostgreSQL does not run as root, and there is no user postgres or nobody");
    return gw_error_hint(err, "run the demo as an ordinary user");
}

bool gw_demo_place_make(struct gw_demo_place *place, struct gw_error *err)
{
    *place = (struct gw_demo_place){.folder = "/tmp/godwit-demo-XXXXXX", .alive_fd = -1};
    if (!choose_user(place, err))
        return false;
    if (!mkdtemp(place->folder))
        return gw_fail_errno(err, errno, "no folder for the demo in /tmp");
    if (chmod(place->folder, 0711) != 0)
        return gw_fail_errno(err, errno, "%s", place->folder);
    return start_reaper(place, err);
}

void gw_demo_place_remove(struct gw_demo_place *place)
{
    struct gw_error err;
    for (int i = 0; i < REAP_TRIES && !gw_remove_tree(place->folder, &err); i++)
        gw_sleep_us(REAP_PAUSE_US);
    if (place->alive_fd >= 0)
        close(place->alive_fd);
    place->alive_fd = -1;
}

bool gw_demo_place_give(const struct gw_demo_place *place, const char *path, struct gw_error *err)
{
    if (!place->user[0])
        return true;
    const struct passwd *user = getpwnam(place->user); /* NOLINT(concurrency-mt-unsafe): one thread sets up */
    if (!user || chown(path, user->pw_uid, user->pw_gid) != 0)
        return gw_fail_errno(err, errno, "giving %s to %s", path, place->user);
    return true;
}

bool gw_demo_place_folder(const struct gw_demo_place *place, const char *name, struct gw_error *err)
{
    gw_autofree char *path = gw_asprintf("%s/%s", place->folder, name);
    return gw_mkdir_private(path, err) && gw_demo_place_give(place, path, err);
}

bool gw_demo_free_port(int *port, struct gw_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
              getsockname(fd, (struct sockaddr *)&address, &len) == 0;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    *port = ntohs(address.sin_port);
    return ok || gw_fail_errno(err, saved, "no free port on loopback");
}

/* ---- programs ---- */

static void add_user_switch(const struct gw_demo_place *place, const char **full, size_t *n, char *reuid, char *regid,
                            size_t size)
{
    if (!place->user[0])
        return;
    snprintf(reuid, size, "--reuid=%s", place->user);
    const struct passwd *user = getpwnam(place->user); /* NOLINT(concurrency-mt-unsafe): one thread sets up */
    snprintf(regid, size, "--regid=%u", user ? (unsigned)user->pw_gid : 0);
    full[(*n)++] = reuid;
    full[(*n)++] = regid;
    full[(*n)++] = "--clear-groups";
}

static void add_arguments(const char **full, size_t n, const char *const *argv)
{
    for (size_t i = 0; argv[i] && i < ARGUMENTS_MAX; i++)
        full[n++] = argv[i];
    full[n] = NULL;
}

bool gw_demo_spawn(const struct gw_demo_place *place, const char *const *argv, const char *death_signal,
                   struct gw_process *process, struct gw_error *err)
{
    const char *full[ARGUMENTS_MAX + 8] = {"setpriv", "--pdeathsig", death_signal};
    char reuid[64], regid[64];
    size_t n = 3;
    add_user_switch(place, full, &n, reuid, regid, sizeof reuid);
    add_arguments(full, n, argv);
    struct gw_process_spec spec = {.argv = full, .folder = place->folder};
    return gw_process_spawn(&spec, 0, process, err);
}

bool gw_demo_run(const struct gw_demo_place *place, const char *const *argv, struct gw_cancel *cancel,
                 struct gw_error *err)
{
    const char *full[ARGUMENTS_MAX + 8] = {"setpriv"};
    char reuid[64], regid[64];
    size_t n = 1;
    add_user_switch(place, full, &n, reuid, regid, sizeof reuid);
    add_arguments(full, n, argv);
    struct gw_process_run run = {.spec = {.argv = full, .folder = place->folder, .die_with_us = true},
                                 .timeout_ms = 60000};
    struct gw_process_result result;
    bool ok = gw_process_run(&run, cancel, &result, err) && gw_process_check(&result, argv[0], err);
    gw_process_result_release(&result);
    return ok;
}
