#include "spool/spool.h"

#include "base/crash.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "spool/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define SEGMENT_BYTES_DEFAULT ((int64_t)64 << 20)
/* Below this a segment would be mostly header; tests go down to here. */
#define SEGMENT_BYTES_LEAST ((int64_t)GW_SEGMENT_HEADER_BYTES + 64)

struct gw_segment *gw_spool_last(struct gw_spool *spool)
{
    return spool->count ? &spool->segments[spool->count - 1] : NULL;
}

size_t gw_spool_index(const struct gw_spool *spool, uint64_t number)
{
    if (spool->count == 0 || number < spool->segments[0].number)
        return spool->count;
    uint64_t index = number - spool->segments[0].number;
    return index < spool->count ? (size_t)index : spool->count;
}

bool gw_spool_damaged(const struct gw_spool *spool, uint64_t segment, int64_t offset, const char *why,
                      struct gw_error *err)
{
    gw_autofree char *path = gw_segment_path(spool->dir, segment);
    gw_fail(err, GW_ERR_CONFLICT, "the spool segment %s is damaged at offset %lld: %s", path, (long long)offset, why);
    return gw_error_hint(err, "a disk or a person changed this file: put it back as it was, or give the copy up and "
                              "begin again (godwit abort, then godwit copy); no change is skipped");
}

bool gw_spool_completes(const unsigned char *payload, size_t len, enum gw_change_kind *kind,
                        struct gw_position *position)
{
    if (payload[0] != GW_CHANGE_COMMIT && payload[0] != GW_CHANGE_PROGRESS)
        return false;
    struct gw_arena arena = {0};
    struct gw_cursor in = gw_cursor_of(payload, len);
    struct gw_change change;
    struct gw_error ignored;
    bool ok = gw_change_decode(&in, &arena, &change, &ignored);
    gw_arena_release(&arena);
    if (!ok)
        return false;
    *kind = change.kind;
    *position = change.position;
    return true;
}

/* ---- open and close ---------------------------------------------------------------------------------------------------- */

static struct gw_spool *spool_new(const struct gw_spool_options *options)
{
    struct gw_spool *spool = gw_zalloc(sizeof *spool);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&spool->lock, NULL);
    pthread_mutex_init(&spool->sync_lock, NULL);
    pthread_cond_init(&spool->more, &monotonic);
    pthread_condattr_destroy(&monotonic);
    spool->dir = gw_strdup(options->dir);
    spool->stream = gw_strdup(options->stream ? options->stream : "");
    spool->limit_bytes = options->limit_bytes;
    spool->segment_bytes = options->segment_bytes ? options->segment_bytes : SEGMENT_BYTES_DEFAULT;
    /* Only whole segments are given back: a spool of one segment could never make room. */
    if (spool->limit_bytes > 0 && spool->segment_bytes > spool->limit_bytes / 4)
        spool->segment_bytes = spool->limit_bytes / 4;
    if (spool->segment_bytes < SEGMENT_BYTES_LEAST)
        spool->segment_bytes = SEGMENT_BYTES_LEAST;
    spool->pending = gw_alloc(GW_SPOOL_PENDING_BYTES);
    spool->fd = -1;
    spool->dir_fd = -1;
    return spool;
}

static void spool_free(struct gw_spool *spool)
{
    if (spool->fd >= 0)
        close(spool->fd);
    if (spool->dir_fd >= 0)
        close(spool->dir_fd);
    pthread_cond_destroy(&spool->more);
    pthread_mutex_destroy(&spool->lock);
    pthread_mutex_destroy(&spool->sync_lock);
    free(spool->segments);
    free(spool->pending);
    free(spool->dir);
    free(spool->stream);
    free(spool);
}

static bool lock_folder(struct gw_spool *spool, struct gw_error *err)
{
    spool->dir_fd = open(spool->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (spool->dir_fd < 0)
        return gw_fail_errno(err, errno, "could not open the spool %s", spool->dir);
    if (flock(spool->dir_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno != EWOULDBLOCK)
        return gw_fail_errno(err, errno, "could not lock the spool %s", spool->dir);
    gw_fail(err, GW_ERR_CONFLICT, "the spool %s is in use by another process", spool->dir);
    return gw_error_hint(err, "end the other godwit of this migration first; godwit status names its pid");
}

bool gw_spool_open(const struct gw_spool_options *options, struct gw_spool **out, struct gw_error *err)
{
    if (!gw_mkdir_private(options->dir, err))
        return false;
    struct gw_spool *spool = spool_new(options);
    if (!lock_folder(spool, err) || !gw_spool_recover(spool, err)) {
        spool_free(spool);
        return false;
    }
    *out = spool;
    return true;
}

/* After a failed fsync: takes away what may be in the kernel's cache alone, so that the next one to open does not
 * mistake it for safe. Best effort. */
static void cut_unsafe(struct gw_spool *spool)
{
    size_t safe = 0;
    while (safe < spool->count && spool->segments[safe].synced == spool->segments[safe].bytes)
        safe++;
    for (size_t i = spool->count; i-- > safe;) {
        const struct gw_segment *segment = &spool->segments[i];
        gw_autofree char *path = gw_segment_path(spool->dir, segment->number);
        bool cut = segment->synced > GW_SEGMENT_HEADER_BYTES;
        if ((cut ? truncate(path, segment->synced) : unlink(path)) != 0)
            gw_warn("could not cut the spool segment %s back to what is on disk", path);
    }
}

void gw_spool_close(struct gw_spool *spool)
{
    if (!spool)
        return;
    struct gw_error ignored;
    struct gw_position safe;
    /* What cannot be kept now was never acknowledged: the source sends it again. */
    if (!spool->broken && !gw_spool_sync(spool, &safe, &ignored) && !spool->broken)
        gw_warn("the end of the spool %s could not be kept and will be received again: %s", spool->dir,
                ignored.message);
    if (spool->broken)
        cut_unsafe(spool);
    spool_free(spool);
}

/* ---- sizes ------------------------------------------------------------------------------------------------------------- */

struct gw_position gw_spool_end(struct gw_spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    struct gw_position end = spool->end;
    pthread_mutex_unlock(&spool->lock);
    return end;
}

int64_t gw_spool_bytes(struct gw_spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    int64_t bytes = spool->total_bytes;
    pthread_mutex_unlock(&spool->lock);
    return bytes;
}

int64_t gw_spool_unread_bytes(struct gw_spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    uint64_t segment = atomic_load(&spool->reader_segment);
    int64_t offset = atomic_load(&spool->reader_offset), unread = 0;
    for (size_t i = spool->count; i-- > 0 && spool->segments[i].number >= segment;) {
        int64_t read = spool->segments[i].number == segment ? offset : GW_SEGMENT_HEADER_BYTES;
        if (spool->segments[i].bytes > read)
            unread += spool->segments[i].bytes - read;
    }
    pthread_mutex_unlock(&spool->lock);
    return unread;
}

/* ---- sync -------------------------------------------------------------------------------------------------------------- */

/* One segment that is not wholly known to be on disk, and how far of it may be noted as such. */
struct unsynced {
    uint64_t number;
    int64_t upto;
};

static struct unsynced *list_unsynced(const struct gw_spool *spool, size_t *count)
{
    struct unsynced *list = gw_calloc(spool->count + 1, sizeof *list);
    for (size_t i = 0; i < spool->count; i++) {
        const struct gw_segment *segment = &spool->segments[i];
        /* What a cut may take away again is never noted: the file would be shorter than its note. */
        int64_t upto = segment->bytes;
        if (segment->number == spool->complete.segment)
            upto = spool->complete.offset;
        else if (segment->number > spool->complete.segment)
            upto = 0;
        if (segment->synced < upto)
            list[(*count)++] = (struct unsynced){.number = segment->number, .upto = upto};
    }
    return list;
}

static bool sync_file(const struct gw_spool *spool, const struct unsynced *segment, bool note, struct gw_error *err)
{
    gw_autofree char *path = gw_segment_path(spool->dir, segment->number);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true; /* trimmed meanwhile */
    if (fd < 0)
        return gw_fail_errno(err, errno, "could not open the spool segment %s", path);
    bool ok = !note || gw_segment_write_synced(fd, spool->dir, segment->number, segment->upto, err);
    if (ok && fdatasync(fd) != 0)
        ok = gw_fail_errno(err, errno, "could not sync the spool segment %s", path);
    close(fd);
    return ok;
}

/*
 * First the records, then the notes in the headers: a note says that every byte before it, in its own and in all
 * earlier segments, is on disk. The notes must be durable too before anything is acknowledged: they tell a torn tail
 * (cut, the source sends it again) from damage (refused).
 */
static bool sync_files(const struct gw_spool *spool, const struct unsynced *list, size_t count, bool dir_changed,
                       struct gw_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!sync_file(spool, &list[i], false, err))
            return false;
    if (dir_changed && !gw_sync_dir(spool->dir, err))
        return false;
    GW_CRASH_POINT("spool.sync.before_note");
    for (size_t i = 0; i < count; i++)
        if (!sync_file(spool, &list[i], true, err))
            return false;
    return true;
}

static void note_synced(struct gw_spool *spool, const struct unsynced *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t index = gw_spool_index(spool, list[i].number);
        if (index < spool->count)
            spool->segments[index].synced = list[i].upto;
    }
}

static bool sync_all(struct gw_spool *spool, struct gw_position *safe, struct gw_error *err)
{
    size_t count = 0;
    pthread_mutex_lock(&spool->lock);
    if (spool->broken) {
        *err = spool->broken_why;
        pthread_mutex_unlock(&spool->lock);
        return false;
    }
    bool ok = spool->pending_len == 0 || gw_spool_flush_locked(spool, err);
    struct gw_position end = spool->end;
    bool dir_changed = spool->dir_changed;
    gw_autofree struct unsynced *list = ok ? list_unsynced(spool, &count) : NULL;
    pthread_mutex_unlock(&spool->lock);
    if (!ok)
        return false;

    ok = sync_files(spool, list, count, dir_changed, err);

    pthread_mutex_lock(&spool->lock);
    if (ok) {
        note_synced(spool, list, count);
        if (dir_changed)
            spool->dir_changed = false;
        *safe = end;
    } else {
        /* After a failed fsync the kernel may drop the pages and call the next one a success: never ask again. */
        gw_error_hint(err, "check the disk, then start again: what is not safely here is received again");
        spool->broken = true;
        spool->broken_why = *err;
    }
    pthread_mutex_unlock(&spool->lock);
    return ok;
}

bool gw_spool_sync(struct gw_spool *spool, struct gw_position *safe, struct gw_error *err)
{
    pthread_mutex_lock(&spool->sync_lock);
    bool ok = sync_all(spool, safe, err);
    pthread_mutex_unlock(&spool->sync_lock);
    return ok;
}

/* ---- trim -------------------------------------------------------------------------------------------------------------- */

/*
 * How many segments from the first on hold nothing but transactions up to `applied`. A transaction that begins in one
 * segment and commits in a later one keeps the former until it is applied.
 */
static size_t trimmable(const struct gw_spool *spool, const struct gw_position *applied)
{
    size_t at = spool->count;
    while (at > 0 && spool->segments[at - 1].base.order > applied->order)
        at--;
    if (at == 0)
        return 0;
    at--; /* the last segment whose base is applied */
    if (!spool->segments[at].inside)
        return at;
    /* It begins inside a transaction, which begins behind the COMMIT or PROGRESS that is its base: where that is. */
    uint64_t base = spool->segments[at].base.order;
    while (at > 0 && spool->segments[at].base.order == base)
        at--;
    return at;
}

/* The last segment cannot go while it is appended to: when all of it is applied and it is not small, begin another. */
static bool roll_applied(struct gw_spool *spool, const struct gw_position *applied, struct gw_error *err)
{
    const struct gw_segment *last = gw_spool_last(spool);
    if (!last || spool->inside || spool->writing || spool->end.order > applied->order)
        return true;
    if (spool->complete.segment != last->number || spool->complete.offset != last->bytes)
        return true;
    if (last->bytes < spool->segment_bytes / 2)
        return true;
    return gw_spool_roll_locked(spool, err);
}

bool gw_spool_trim(struct gw_spool *spool, const struct gw_position *applied, struct gw_error *err)
{
    pthread_mutex_lock(&spool->lock);
    if (!roll_applied(spool, applied, err)) {
        pthread_mutex_unlock(&spool->lock);
        return false;
    }
    size_t count = trimmable(spool, applied);
    gw_autofree uint64_t *numbers = gw_calloc(count + 1, sizeof *numbers);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = spool->segments[i].number;
        spool->total_bytes -= spool->segments[i].bytes;
    }
    if (count) {
        memmove(spool->segments, spool->segments + count, (spool->count - count) * sizeof *spool->segments);
        spool->count -= count;
    }
    pthread_mutex_unlock(&spool->lock);

    bool ok = true;
    for (size_t i = 0; i < count; i++) { /* the oldest first: what is left after a kill has no gap */
        gw_autofree char *path = gw_segment_path(spool->dir, numbers[i]);
        if (unlink(path) != 0 && errno != ENOENT && ok)
            ok = gw_fail_errno(err, errno, "could not remove the spool segment %s", path);
        GW_CRASH_POINT("spool.trim.after_unlink");
    }
    return ok;
}
