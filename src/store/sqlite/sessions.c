/* Who has the file open: processes, as the kernel shows them. SQLite itself knows nobody. */
#include "store/sqlite/conn.h"

#include "base/clock.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define END_PATIENCE_US 3000000

static bool has_open(const char *pid, const struct stat *file)
{
    gw_autofree char *folder = gw_asprintf("/proc/%s/fd", pid);
    DIR *fds = opendir(folder);
    bool found = false;
    if (!fds)
        return false; /* somebody else's process: not to be seen */
    for (struct dirent *entry = readdir(fds); entry && !found; entry = readdir(fds)) {
        struct stat st;
        found = isdigit((unsigned char)entry->d_name[0]) && fstatat(dirfd(fds), entry->d_name, &st, 0) == 0 &&
                st.st_dev == file->st_dev && st.st_ino == file->st_ino;
    }
    closedir(fds);
    return found;
}

static void describe_process(const char *pid, struct gw_session_info *out)
{
    gw_autofree char *path = gw_asprintf("/proc/%s/comm", pid);
    struct passwd found, *result = NULL;
    struct stat st;
    char room[2048];
    *out = (struct gw_session_info){.id = strtoll(pid, NULL, 10)};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, out->application, sizeof out->application - 1);
    if (fd >= 0)
        close(fd);
    out->application[len > 0 ? strcspn(out->application, "\n") : 0] = 0;
    if (stat(path, &st) == 0 && getpwuid_r(st.st_uid, &found, room, sizeof room, &result) == 0 && result)
        snprintf(out->user, sizeof out->user, "%s", found.pw_name);
    snprintf(out->address, sizeof out->address, "pid %.20s", pid);
    snprintf(out->state, sizeof out->state, "open");
}

static bool census(struct gw_store *base, struct gw_session_info **out, size_t *count, struct gw_error *err)
{
    struct stat file;
    size_t capacity = 0;
    const char *path = gw_lite_store_of(base)->path;
    *out = NULL;
    *count = 0;
    if (stat(path, &file) != 0)
        return gw_fail_errno(err, errno, "%s", path);
    DIR *processes = opendir("/proc");
    if (!processes)
        return gw_fail_errno(err, errno, "/proc");
    for (struct dirent *entry = readdir(processes); entry; entry = readdir(processes)) {
        if (!isdigit((unsigned char)entry->d_name[0]) || strtoll(entry->d_name, NULL, 10) == getpid() ||
            !has_open(entry->d_name, &file))
            continue;
        struct gw_session_info info;
        describe_process(entry->d_name, &info);
        if (strncmp(info.application, "godwit", 6) == 0) /* the runner, the watchdog, another command of ours */
            continue;
        *out = gw_grow(*out, &capacity, *count, sizeof **out);
        (*out)[(*count)++] = info;
    }
    closedir(processes);
    return true;
}

/* Politely: a process that ends in the middle of a transaction leaves it rolled back. */
static bool end_session(struct gw_store *base, int64_t id, struct gw_error *err)
{
    struct stat file;
    char pid[24];
    int64_t deadline_us = gw_mono_us() + END_PATIENCE_US;
    snprintf(pid, sizeof pid, "%lld", (long long)id);
    if (stat(gw_lite_store_of(base)->path, &file) != 0)
        return gw_fail_errno(err, errno, "%s", base->identity.address);
    if (id <= 1 || id == getpid() || !has_open(pid, &file))
        return gw_fail(err, GW_ERR_USER, "no session %s on %s", pid, base->identity.address);
    if (kill((pid_t)id, SIGTERM) != 0)
        return gw_fail_errno(err, errno, "ending process %s", pid);
    while (has_open(pid, &file)) {
        if (gw_mono_us() >= deadline_us)
            return gw_fail(err, GW_ERR_RETRY, "process %s was asked to end and has %s open still", pid,
                           base->identity.address);
        gw_sleep_us(20000);
    }
    return true;
}

const struct gw_sessions_facet gw_lite_sessions = {.census = census, .end = end_session};
