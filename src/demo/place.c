#include "demo/place.h"

#include "base/crash.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 20 };

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

/* A unix socket's name has 107 bytes; what the demo adds to this may be as long as the rest. */
#define LONGEST_TMPDIR 32

/* $TMPDIR where the servers can live in it, else /tmp. */
static const char *temporary(const struct gw_demo_place *place)
{
    const char *named = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): before any thread */
    struct stat st;
    if (!named || named[0] != '/' || strlen(named) > LONGEST_TMPDIR || stat(named, &st) != 0)
        return "/tmp";
    bool passable = !place->user[0] || (st.st_mode & S_IXOTH);
    return passable ? named : "/tmp";
}

bool gw_demo_place_choose(struct gw_demo_place *place, struct gw_error *err)
{
    *place = (struct gw_demo_place){0};
    if (!choose_user(place, err))
        return false;
    snprintf(place->folder, sizeof place->folder, "%s/godwit-demo-%012llx", temporary(place),
             (unsigned long long)(gw_random64() >> 16));
    return true;
}

bool gw_demo_place_make(struct gw_demo_place *place, struct gw_error *err)
{
    if (mkdir(place->folder, 0700) != 0)
        return gw_fail_errno(err, errno, "no folder %s for the demo", place->folder);
    GW_CRASH_POINT("demo.folder_made");
    if (chmod(place->folder, 0711) != 0)
        return gw_fail_errno(err, errno, "%s", place->folder);
    return true;
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
    for (size_t i = 0; i < ARGUMENTS_MAX && argv[i]; i++)
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

bool gw_demo_run(const struct gw_demo_place *place, const char *const *argv, struct gw_error *err)
{
    /* Said to the kernel after the change of user, which would undo it. */
    const char *full[ARGUMENTS_MAX + 8] = {"setpriv", "--pdeathsig", "KILL"};
    char reuid[64], regid[64];
    size_t n = 3;
    add_user_switch(place, full, &n, reuid, regid, sizeof reuid);
    add_arguments(full, n, argv);
    struct gw_process_run run = {.spec = {.argv = full, .folder = place->folder, .die_with_us = true},
                                 .timeout_ms = 60000};
    struct gw_process_result result;
    bool ok = gw_process_run(&run, NULL, &result, err) && gw_process_check(&result, argv[0], err);
    gw_process_result_release(&result);
    return ok;
}
