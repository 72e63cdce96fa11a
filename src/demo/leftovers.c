#include "demo/leftovers.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
    PAUSE_US = 20000,
    QUIET_MS = 500,      /* servers have had their signal from the kernel, an initdb's server its end of input */
    INTERRUPT_MS = 3000, /* then an interrupt, and after this time no more questions */
    GIVE_UP_MS = 13000,
};

void gw_demo_adopt_orphans(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* ---- processes ---- */

struct process {
    pid_t pid, parent;
    bool ours;
};

struct processes {
    struct process *all;
    size_t count, capacity;
};

/* proc_pid_stat(5): "pid (name) state parent ...", where the name may hold anything. */
static bool read_process(const char *name, struct process *out)
{
    char path[64], text[512];
    char *end;
    long pid = strtol(name, &end, 10);
    if (pid <= 1 || *end)
        return false;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t got = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[got] = 0;
    const char *after = strrchr(text, ')');
    if (!after || strlen(after) < 5 || after[2] == 'Z' || after[2] == 'X')
        return false;
    *out = (struct process){.pid = (pid_t)pid, .parent = (pid_t)strtol(after + 4, NULL, 10)};
    return true;
}

/* Marks what descends from this process, by as many passes as the family has generations. */
static void mark_descendants(struct processes *processes)
{
    pid_t self = getpid();
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < processes->count; i++) {
            struct process *one = &processes->all[i];
            bool ours = one->parent == self;
            for (size_t j = 0; !ours && !one->ours && j < processes->count; j++)
                ours = processes->all[j].ours && processes->all[j].pid == one->parent;
            more = more || (ours && !one->ours);
            one->ours = one->ours || ours;
        }
    }
}

/* Signals the children only, or all descendants; returns how many there are. */
static int signal_descendants(int number, bool children_only)
{
    struct processes processes = {0};
    int count = 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    for (struct dirent *entry; (entry = readdir(proc));) { /* NOLINT(concurrency-mt-unsafe): a DIR of our own */
        struct process one;
        if (!read_process(entry->d_name, &one))
            continue;
        processes.all = gw_grow(processes.all, &processes.capacity, processes.count, sizeof one);
        processes.all[processes.count++] = one;
    }
    closedir(proc);
    mark_descendants(&processes);
    for (size_t i = 0; i < processes.count; i++) {
        const struct process *one = &processes.all[i];
        if (!one->ours)
            continue;
        count++;
        if (!children_only || one->parent == getpid())
            kill(one->pid, number);
    }
    free(processes.all);
    return count;
}

/* As long as one descendant lives, this process has a child: the kernel's answer has no gap that a fork could use. */
static bool childless(void)
{
    pid_t got;
    do
        got = waitpid(-1, NULL, WNOHANG);
    while (got > 0 || (got < 0 && errno == EINTR));
    return got < 0 && errno == ECHILD;
}

static bool end_descendants(struct gw_error *err)
{
    int64_t began_us = gw_mono_us();
    bool interrupted = false;
    while (!childless()) {
        int64_t took_ms = (gw_mono_us() - began_us) / 1000;
        if (took_ms > GIVE_UP_MS)
            return gw_fail(err, GW_ERR_CONFLICT, "%d processes of the demo do not end", signal_descendants(0, false));
        if (took_ms > INTERRUPT_MS) {
            signal_descendants(SIGKILL, false);
        } else if (took_ms > QUIET_MS && !interrupted) {
            signal_descendants(SIGINT, true);
            interrupted = true;
        }
        gw_sleep_us(PAUSE_US);
    }
    return true;
}

/* ---- shared memory ---- */

/* Line 7: key and id. The segment goes only if nobody uses it and it belongs to the owner of the data directory. */
static void remove_segment(const char *pid_file)
{
    gw_autobuf struct gw_buf text = {0};
    struct gw_error ignored;
    struct stat owner;
    struct shmid_ds segment;
    unsigned long key;
    int id;
    if (stat(pid_file, &owner) != 0 || !gw_file_read(pid_file, 4096, &text, &ignored))
        return;
    const char *line = gw_buf_text(&text);
    for (int i = 1; line && i < 7; i++) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (!line || sscanf(line, "%lu %d", &key, &id) != 2) /* NOLINT(cert-err34-c): two numbers of PostgreSQL's own */
        return;
    if (shmctl(id, IPC_STAT, &segment) != 0 || segment.shm_nattch != 0 || segment.shm_perm.uid != owner.st_uid ||
        (unsigned)segment.shm_perm.__key != (unsigned)key)
        return;
    shmctl(id, IPC_RMID, NULL);
}

static void remove_shared_memory(const char *folder)
{
    glob_t found;
    gw_autofree char *pattern = gw_asprintf("%s/*/data/postmaster.pid", folder);
    if (glob(pattern, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        remove_segment(found.gl_pathv[i]);
    globfree(&found);
}

bool gw_demo_leftovers_remove(const char *folder, struct gw_error *err)
{
    if (!end_descendants(err))
        return gw_error_hint(err, "end them yourself, then remove %s", folder);
    remove_shared_memory(folder);
    return gw_remove_tree(folder, err);
}
