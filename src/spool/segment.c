#include "spool/segment.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "GWSPOOL\n"
#define NAME_DIGITS 20
#define NAME_SUFFIX ".spool"
#define FLAG_INSIDE 1u

enum {
    AT_VERSION = 8,
    AT_FLAGS = 12,
    AT_NUMBER = 16,
    AT_CHECK = 24,
    AT_SYNCED_CHECK = 28,
    AT_SYNCED = 32,
    AT_BEFORE_BYTES = 44,
    AT_LAST_COMMIT = 52,
    AT_BASE = 60,
    AT_STREAM = 320,
};

char *gw_segment_path(const char *dir, uint64_t number)
{
    return gw_asprintf("%s/%0*llu%s", dir, NAME_DIGITS, (unsigned long long)number, NAME_SUFFIX);
}

uint32_t gw_record_check(const void *payload, size_t len)
{
    return (uint32_t)gw_hash128(payload, len, 0).low;
}

bool gw_pwrite_all(int fd, const void *bytes, size_t len, int64_t offset, struct gw_error *err)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t written = pwrite(fd, at, len, offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return gw_fail_errno(err, errno, "could not write %zu bytes", len);
        at += written;
        offset += written;
        len -= (size_t)written;
    }
    return true;
}

int64_t gw_pread_full(int fd, void *bytes, size_t len, int64_t offset)
{
    size_t have = 0;
    while (have < len) {
        ssize_t got = pread(fd, (char *)bytes + have, len - have, offset + (int64_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (int64_t)have;
}

bool gw_segment_open_file(const char *dir, uint64_t number, int *fd, struct gw_error *err)
{
    gw_autofree char *path = gw_segment_path(dir, number);
    int opened = open(path, O_RDWR | O_CLOEXEC);
    if (opened < 0)
        return gw_fail_errno(err, errno, "could not open the spool segment %s", path);
    *fd = opened;
    return true;
}

/* ---- header ---------------------------------------------------------------------------------------------------------- */

static uint32_t synced_check(uint64_t synced)
{
    return (uint32_t)gw_hash64(&synced, sizeof synced, 0);
}

static uint32_t header_check(const unsigned char *header)
{
    unsigned char copy[GW_SEGMENT_HEADER_BYTES];
    memcpy(copy, header, sizeof copy);
    memset(copy + AT_CHECK, 0, AT_BEFORE_BYTES - AT_CHECK);
    return (uint32_t)gw_hash64(copy, sizeof copy, 0);
}

static void header_encode(unsigned char *out, const char *stream, const struct gw_segment *segment)
{
    memset(out, 0, GW_SEGMENT_HEADER_BYTES);
    memcpy(out, MAGIC, sizeof MAGIC - 1);
    gw_put32(out + AT_VERSION, GW_SEGMENT_VERSION);
    gw_put32(out + AT_FLAGS, segment->inside ? FLAG_INSIDE : 0);
    gw_put64(out + AT_NUMBER, segment->number);
    gw_put64(out + AT_BEFORE_BYTES, (uint64_t)segment->before_bytes);
    gw_put64(out + AT_LAST_COMMIT, segment->last_commit);
    gw_put64(out + AT_BASE, segment->base.order);
    size_t len = strnlen(segment->base.text, sizeof segment->base.text - 1);
    out[AT_BASE + 8] = (unsigned char)len;
    memcpy(out + AT_BASE + 9, segment->base.text, len);
    len = strnlen(stream, 255);
    out[AT_STREAM] = (unsigned char)len;
    memcpy(out + AT_STREAM + 1, stream, len);
    gw_put32(out + AT_CHECK, header_check(out));
    gw_put64(out + AT_SYNCED, (uint64_t)segment->synced);
    gw_put32(out + AT_SYNCED_CHECK, synced_check((uint64_t)segment->synced));
}

bool gw_segment_create(const char *dir, const char *stream, const struct gw_segment *segment, int *fd,
                       struct gw_error *err)
{
    unsigned char header[GW_SEGMENT_HEADER_BYTES];
    gw_autofree char *path = gw_segment_path(dir, segment->number);
    header_encode(header, stream, segment);
    int made = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (made < 0)
        return gw_fail_errno(err, errno, "could not make the spool segment %s", path);
    if (!gw_pwrite_all(made, header, sizeof header, 0, err)) {
        gw_error_prefix(err, "spool segment %s", path);
        close(made);
        unlink(path);
        return false;
    }
    *fd = made;
    return true;
}

bool gw_segment_write_synced(int fd, const char *dir, uint64_t number, int64_t synced, struct gw_error *err)
{
    unsigned char bytes[AT_SYNCED + 8 - AT_SYNCED_CHECK];
    gw_put32(bytes, synced_check((uint64_t)synced));
    gw_put64(bytes + (AT_SYNCED - AT_SYNCED_CHECK), (uint64_t)synced);
    if (gw_pwrite_all(fd, bytes, sizeof bytes, AT_SYNCED_CHECK, err))
        return true;
    gw_autofree char *path = gw_segment_path(dir, number);
    return gw_error_prefix(err, "spool segment %s", path);
}

static bool all_zero(const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i])
            return false;
    return true;
}

static bool damaged(struct gw_error *err, const char *path, const char *what)
{
    gw_fail(err, GW_ERR_CONFLICT, "the spool segment %s is damaged: %s", path, what);
    return gw_error_hint(err, "a disk or a person changed this file: put it back as it was, or give the copy up and "
                              "begin again (godwit abort, then godwit copy); it is not used as it is");
}

static bool header_decode(const unsigned char *in, const char *path, const char *stream, struct gw_segment *out,
                          struct gw_error *err)
{
    if (memcmp(in, MAGIC, sizeof MAGIC - 1) != 0)
        return damaged(err, path, "it does not begin as a spool segment does");
    uint32_t version = gw_get32(in + AT_VERSION);
    if (version > GW_SEGMENT_VERSION) {
        gw_fail(err, GW_ERR_CONFLICT, "the spool segment %s has format %u, this godwit knows up to %d", path, version,
                GW_SEGMENT_VERSION);
        return gw_error_hint(err, "use the newer godwit that wrote it");
    }
    if (gw_get32(in + AT_CHECK) != header_check(in))
        return damaged(err, path, "its header does not match its check");
    out->number = gw_get64(in + AT_NUMBER);
    out->inside = (gw_get32(in + AT_FLAGS) & FLAG_INSIDE) != 0;
    out->before_bytes = (int64_t)gw_get64(in + AT_BEFORE_BYTES);
    out->last_commit = gw_get64(in + AT_LAST_COMMIT);
    out->base.order = gw_get64(in + AT_BASE);
    size_t len = in[AT_BASE + 8];
    if (len >= GW_POSITION_TEXT_MAX)
        return damaged(err, path, "its header is malformed");
    memcpy(out->base.text, in + AT_BASE + 9, len);
    uint64_t synced = gw_get64(in + AT_SYNCED);
    if (gw_get32(in + AT_SYNCED_CHECK) != synced_check(synced))
        return damaged(err, path, "the note of what is on disk does not match its check");
    out->synced = (int64_t)synced;
    size_t stream_len = strnlen(stream, 255);
    if (in[AT_STREAM] != stream_len || memcmp(in + AT_STREAM + 1, stream, stream_len) != 0) {
        gw_fail(err, GW_ERR_CONFLICT, "the spool segment %s belongs to the stream \"%.*s\", not to \"%s\"", path,
                (int)in[AT_STREAM], (const char *)in + AT_STREAM + 1, stream);
        return gw_error_hint(err, "each stream has a folder of its own; name the right one, or remove this one");
    }
    return true;
}

enum gw_header_verdict gw_segment_read_header(int fd, const char *dir, const char *stream, struct gw_segment *out,
                                              struct gw_error *err)
{
    unsigned char header[GW_SEGMENT_HEADER_BYTES] = {0};
    gw_autofree char *path = gw_segment_path(dir, out->number);
    uint64_t number = out->number;
    struct stat st;
    int64_t got = gw_pread_full(fd, header, sizeof header, 0);
    if (got < 0 || fstat(fd, &st) != 0) {
        gw_fail_errno(err, errno, "could not read the spool segment %s", path);
        return GW_HEADER_ERROR;
    }
    if (got < (int64_t)sizeof header || all_zero(header, sizeof header)) {
        gw_fail(err, GW_ERR_CONFLICT, "the spool segment %s has no header", path);
        return GW_HEADER_TORN;
    }
    if (!header_decode(header, path, stream, out, err))
        return GW_HEADER_ERROR;
    out->bytes = st.st_size;
    if (out->number != number) {
        damaged(err, path, "its name and its header give different numbers");
        return GW_HEADER_ERROR;
    }
    if (out->bytes < out->synced) {
        gw_autofree char *what = gw_asprintf("it ends at offset %lld, and %lld bytes of it had been on disk",
                                             (long long)out->bytes, (long long)out->synced);
        damaged(err, path, what);
        return GW_HEADER_ERROR;
    }
    return GW_HEADER_GOOD;
}

/* ---- folder ---------------------------------------------------------------------------------------------------------- */

static bool parse_name(const char *name, uint64_t *number)
{
    if (strlen(name) != NAME_DIGITS + sizeof NAME_SUFFIX - 1 || strcmp(name + NAME_DIGITS, NAME_SUFFIX) != 0)
        return false;
    uint64_t value = 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9' || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(name[i] - '0'), &value))
            return false;
    }
    *number = value;
    return value > 0;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

bool gw_segment_list(const char *dir, uint64_t **numbers, size_t *count, struct gw_error *err)
{
    DIR *folder = opendir(dir);
    if (!folder)
        return gw_fail_errno(err, errno, "could not list the spool %s", dir);
    uint64_t *list = NULL;
    size_t have = 0, capacity = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        uint64_t number;
        if (!parse_name(entry->d_name, &number))
            continue;
        list = gw_grow(list, &capacity, have, sizeof *list);
        list[have++] = number;
    }
    closedir(folder);
    if (have)
        qsort(list, have, sizeof *list, compare_numbers);
    *numbers = list;
    *count = have;
    return true;
}
