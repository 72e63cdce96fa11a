#include "base/file.h"

#include "base/hash.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The folder a path is in; owned by the caller. */
static char *parent_of(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    if (len == 0)
        return gw_strdup(".");
    while (len > 1 && path[len - 1] == '/')
        len--;
    return gw_strndup(path, len);
}

bool gw_sync_dir(const char *path, struct gw_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return gw_fail_errno(err, errno, "could not open the folder %s", path);
    int failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    /* Some file systems have no fsync for folders and say EINVAL: nothing more can be done there. */
    if (failed && failed != EINVAL)
        return gw_fail_errno(err, failed, "could not sync the folder %s", path);
    return true;
}

bool gw_mkdir_private(const char *path, struct gw_error *err)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return true;
        return gw_fail(err, GW_ERR_USER, "%s is there and is not a folder", path);
    }
    if (errno != ENOENT)
        return gw_fail_errno(err, errno, "could not look at %s", path);
    gw_autofree char *parent = parent_of(path);
    if (strcmp(parent, path) != 0 && !gw_mkdir_private(parent, err))
        return false;
    if (mkdir(path, 0700) != 0) {
        if (errno == EEXIST)
            return gw_mkdir_private(path, err); /* somebody else was quicker */
        return gw_fail_errno(err, errno, "could not make the folder %s", path);
    }
    return gw_sync_dir(parent, err);
}

bool gw_write_all(int fd, const void *bytes, size_t len, struct gw_error *err)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t written = write(fd, at, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return gw_fail_errno(err, errno, "could not write %zu bytes", len);
        at += written;
        len -= (size_t)written;
    }
    return true;
}

static bool write_and_sync(int fd, const char *path, const void *bytes, size_t len, struct gw_error *err)
{
    if (!gw_write_all(fd, bytes, len, err))
        return gw_error_prefix(err, "%s", path);
    if (fsync(fd) != 0)
        return gw_fail_errno(err, errno, "could not sync %s", path);
    return true;
}

bool gw_file_replace(const char *path, const void *bytes, size_t len, struct gw_error *err)
{
    gw_autofree char *parent = parent_of(path);
    gw_autofree char *temporary = gw_asprintf("%s.new-%016llx", path, (unsigned long long)gw_random64());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return gw_fail_errno(err, errno, "could not make %s", temporary);
    bool ok = write_and_sync(fd, path, bytes, len, err);
    if (close(fd) != 0 && ok)
        ok = gw_fail_errno(err, errno, "could not write %s", path);
    if (ok && rename(temporary, path) != 0)
        ok = gw_fail_errno(err, errno, "could not replace %s", path);
    if (!ok) {
        unlink(temporary);
        return false;
    }
    return gw_sync_dir(parent, err);
}

static bool read_to_end(int fd, const char *path, size_t max_bytes, struct gw_buf *out, struct gw_error *err)
{
    for (;;) {
        gw_buf_reserve(out, 16384);
        ssize_t got = read(fd, out->data + out->len, out->capacity - out->len - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return gw_fail_errno(err, errno, "could not read %s", path);
        out->len += (size_t)got;
        out->data[out->len] = 0;
        if (out->len > max_bytes)
            return gw_fail(err, GW_ERR_USER, "%s is larger than the %zu bytes allowed", path, max_bytes);
        if (got == 0)
            return true;
    }
}

bool gw_file_read(const char *path, size_t max_bytes, struct gw_buf *out, struct gw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return gw_fail_errno(err, errno, "could not open %s", path);
    struct stat st;
    bool ok = true;
    if (fstat(fd, &st) != 0)
        ok = gw_fail_errno(err, errno, "could not look at %s", path);
    else if (S_ISDIR(st.st_mode))
        ok = gw_fail(err, GW_ERR_USER, "%s is a folder, not a file", path);
    else if (st.st_size > 0 && (size_t)st.st_size > max_bytes)
        ok = gw_fail(err, GW_ERR_USER, "%s has %lld bytes, more than the %zu allowed", path, (long long)st.st_size,
                     max_bytes);
    struct gw_buf read = {0};
    if (ok)
        ok = read_to_end(fd, path, max_bytes, &read, err);
    close(fd);
    if (ok)
        gw_buf_add(out, gw_buf_text(&read), read.len);
    gw_buf_release(&read);
    return ok;
}

static bool remove_inside(int dir_fd, const char *shown, struct gw_error *err);

static bool remove_entry(int parent_fd, const char *name, const char *shown, struct gw_error *err)
{
    if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return gw_fail_errno(err, errno, "could not remove %s", shown);
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return gw_fail_errno(err, errno, "could not open %s to remove it", shown);
    if (!remove_inside(fd, shown, err)) /* closes fd */
        return false;
    if (unlinkat(parent_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return gw_fail_errno(err, errno, "could not remove the folder %s", shown);
    return true;
}

static bool remove_inside(int dir_fd, const char *shown, struct gw_error *err)
{
    DIR *dir = fdopendir(dir_fd);
    if (!dir) {
        int saved = errno;
        close(dir_fd);
        return gw_fail_errno(err, saved, "could not list %s", shown);
    }
    bool ok = true;
    struct dirent *entry;
    while (ok && (errno = 0, entry = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): a DIR of our own */
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        gw_autofree char *below = gw_asprintf("%s/%s", shown, entry->d_name);
        ok = remove_entry(dirfd(dir), entry->d_name, below, err);
    }
    if (ok && errno != 0)
        ok = gw_fail_errno(err, errno, "could not list %s", shown);
    closedir(dir);
    return ok;
}

bool gw_remove_tree(const char *path, struct gw_error *err)
{
    return remove_entry(AT_FDCWD, path, path, err);
}

bool gw_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int64_t gw_disk_free_bytes(const char *path)
{
    struct statvfs vfs;
    if (statvfs(path, &vfs) != 0)
        return -1;
    uint64_t bytes;
    if (__builtin_mul_overflow((uint64_t)vfs.f_bavail, (uint64_t)vfs.f_frsize, &bytes) || bytes > INT64_MAX)
        return INT64_MAX;
    return (int64_t)bytes;
}

void gw_format_bytes(int64_t bytes, char out[16])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    const char *sign = bytes < 0 ? "-" : "";
    double value = bytes < 0 ? -(double)bytes : (double)bytes;
    unsigned unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    if (unit > 0 && value < 9.95)
        snprintf(out, 16, "%s%.1f %s", sign, value, units[unit]);
    else
        snprintf(out, 16, "%s%d %s", sign, (int)(value + 0.5), units[unit]);
}

void gw_format_duration(int64_t us, char out[16])
{
    char text[64];
    const char *sign = us < 0 ? "-" : "";
    int64_t value = us < 0 ? -(us + 1) + 1 : us;
    int64_t second = (value + 500000) / 1000000;
    unsigned tenth = value < 9950000 ? (unsigned)((value + 50000) / 100000) % 100u : 0;
    if (value < 9950)
        snprintf(text, sizeof text, "%s%.1f ms", sign, (double)value / 1000);
    else if (value < 999500)
        snprintf(text, sizeof text, "%s%d ms", sign, (int)((value + 500) / 1000));
    else if (value < 9950000)
        snprintf(text, sizeof text, "%s%u.%u s", sign, tenth / 10, tenth % 10);
    else if (second < 60)
        snprintf(text, sizeof text, "%s%u s", sign, (unsigned)second % 60u);
    else if (second < 3600)
        snprintf(text, sizeof text, "%s%lldm%02llds", sign, (long long)(second / 60), (long long)(second % 60));
    else if (second < 48 * 3600)
        snprintf(text, sizeof text, "%s%lldh%02lldm", sign, (long long)(second / 3600), (long long)(second / 60 % 60));
    else
        snprintf(text, sizeof text, "%s%lldd%lldh", sign, (long long)(second / 86400), (long long)(second / 3600 % 24));
    snprintf(out, 16, "%.15s", text);
}
