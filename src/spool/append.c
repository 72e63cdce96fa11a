/* The tail of the spool: appending, writing to the kernel, new segments, cutting back. */
#include "base/clock.h"
#include "base/crash.h"
#include "base/hash.h"
#include "base/mem.h"
#include "spool/internal.h"

#include <errno.h>
#include <unistd.h>

/* A burst of small transactions need not pay a write() each: the reader takes them from memory. */
#define FLUSH_AT_MOST_EVERY_US 2000

bool gw_spool_flush_locked(struct gw_spool *spool, struct gw_error *err)
{
    GW_CRASH_POINT("spool.flush.before_write");
    if (spool->pending_len > 0 && !gw_pwrite_all(spool->fd, spool->pending, spool->pending_len, spool->written, err)) {
        gw_autofree char *path = gw_segment_path(spool->dir, gw_spool_last(spool)->number);
        return gw_error_prefix(err, "spool segment %s", path);
    }
    spool->written += (int64_t)spool->pending_len;
    spool->pending_len = 0;
    spool->flushed_mono_us = gw_mono_us();
    GW_CRASH_POINT("spool.flush.after_write");
    return true;
}

bool gw_spool_roll_locked(struct gw_spool *spool, struct gw_error *err)
{
    const struct gw_segment *last = gw_spool_last(spool);
    if (spool->pending_len && !gw_spool_flush_locked(spool, err))
        return false;
    /* Not only transactions: what was said between two of them belongs to the next COMMIT or PROGRESS as well. */
    bool boundary = !last || (spool->complete.segment == last->number && spool->complete.offset == last->bytes);
    struct gw_segment next = {.number = last ? last->number + 1 : 1,
                              .bytes = GW_SEGMENT_HEADER_BYTES,
                              .before_bytes = last ? last->bytes : 0,
                              .last_commit = spool->last_commit,
                              .base = spool->end,
                              .inside = !boundary};
    int fd;
    if (!gw_segment_create(spool->dir, spool->stream, &next, &fd, err))
        return false;
    GW_CRASH_POINT("spool.roll.after_create");
    if (spool->fd >= 0)
        close(spool->fd);
    spool->fd = fd;
    spool->written = GW_SEGMENT_HEADER_BYTES;
    spool->dir_changed = true;
    spool->total_bytes += next.bytes;
    spool->segments = gw_grow(spool->segments, &spool->capacity, spool->count, sizeof *spool->segments);
    spool->segments[spool->count++] = next;
    if (boundary)
        spool->complete = (struct gw_spool_place){.segment = next.number, .offset = GW_SEGMENT_HEADER_BYTES};
    return true;
}

/* ---- cut --------------------------------------------------------------------------------------------------------------- */

static bool remove_segments_after(struct gw_spool *spool, uint64_t number, struct gw_error *err)
{
    while (spool->count > 0 && gw_spool_last(spool)->number > number) { /* the newest first: no gap after a kill */
        gw_autofree char *path = gw_segment_path(spool->dir, gw_spool_last(spool)->number);
        if (unlink(path) != 0 && errno != ENOENT)
            return gw_fail_errno(err, errno, "could not remove the spool segment %s", path);
        spool->total_bytes -= gw_spool_last(spool)->bytes;
        spool->count--;
        GW_CRASH_POINT("spool.cut.after_unlink");
    }
    return true;
}

static bool cut_last(struct gw_spool *spool, bool reopen, struct gw_error *err)
{
    struct gw_segment *last = gw_spool_last(spool);
    if (reopen) {
        int fd;
        if (!gw_segment_open_file(spool->dir, last->number, &fd, err))
            return false;
        if (spool->fd >= 0)
            close(spool->fd);
        spool->fd = fd;
        spool->written = last->bytes;
        spool->pending_len = 0;
    }
    int64_t keep = spool->complete.offset;
    if (keep >= spool->written) {
        spool->pending_len = (size_t)(keep - spool->written);
    } else {
        GW_CRASH_POINT("spool.cut.before_truncate");
        if (ftruncate(spool->fd, keep) != 0) {
            gw_autofree char *path = gw_segment_path(spool->dir, last->number);
            return gw_fail_errno(err, errno, "could not cut the spool segment %s", path);
        }
        spool->written = keep;
        spool->pending_len = 0;
    }
    spool->total_bytes -= last->bytes - keep;
    last->bytes = keep;
    return true;
}

bool gw_spool_cut_locked(struct gw_spool *spool, struct gw_error *err)
{
    const struct gw_segment *last = gw_spool_last(spool);
    if (!last || spool->complete.segment == 0)
        return true;
    bool other = last->number != spool->complete.segment || spool->fd < 0;
    if (other && spool->fd >= 0 && last->number != spool->complete.segment) {
        spool->pending_len = 0; /* belongs to a segment that goes */
        close(spool->fd);
        spool->fd = -1;
    }
    if (!remove_segments_after(spool, spool->complete.segment, err) || !cut_last(spool, other, err))
        return false;
    spool->inside = false;
    return true;
}

bool gw_spool_cut(struct gw_spool *spool, struct gw_error *err)
{
    pthread_mutex_lock(&spool->sync_lock); /* a sync must not note bytes as safe that go away here */
    pthread_mutex_lock(&spool->lock);
    bool ok = gw_spool_cut_locked(spool, err);
    pthread_mutex_unlock(&spool->lock);
    pthread_mutex_unlock(&spool->sync_lock);
    return ok;
}

/* ---- append ------------------------------------------------------------------------------------------------------------ */

struct large_write {
    struct gw_hasher *hasher;
    int fd;
    int64_t offset;
    struct gw_error *err;
};

static bool hash_piece(void *arg, const void *bytes, size_t len)
{
    gw_hasher_add(((struct large_write *)arg)->hasher, bytes, len);
    return true;
}

static bool write_piece(void *arg, const void *bytes, size_t len)
{
    struct large_write *large = arg;
    if (!gw_pwrite_all(large->fd, bytes, len, large->offset, large->err))
        return false;
    large->offset += (int64_t)len;
    return true;
}

static void record_head(unsigned char head[GW_RECORD_HEADER_BYTES], size_t len, uint32_t check)
{
    uint32_t words[2] = {__builtin_bswap32((uint32_t)len), __builtin_bswap32(check)};
    memcpy(head, words, sizeof words);
}

/* Without the lock: straight from the caller's memory to the kernel, so that a huge value is never held twice. */
static bool write_large(struct gw_spool *spool, const struct gw_change *change, size_t len, struct gw_error *err)
{
    unsigned char head[GW_RECORD_HEADER_BYTES];
    struct large_write large = {
        .hasher = gw_hasher_new(0), .fd = spool->fd, .offset = spool->written + GW_RECORD_HEADER_BYTES, .err = err};
    bool ok = gw_change_encode_pieces(change, hash_piece, &large);
    record_head(head, len, (uint32_t)gw_hasher_end(large.hasher).low);
    gw_hasher_free(large.hasher);
    ok = ok && gw_pwrite_all(spool->fd, head, sizeof head, spool->written, err) &&
         gw_change_encode_pieces(change, write_piece, &large);
    if (ok)
        return true;
    /* Give the disk back what the half record took. */
    if (ftruncate(spool->fd, spool->written) != 0)
        gw_error_detail(err, "and the half-written record could not be taken back: %s", strerror(errno));
    return gw_error_prefix(err, "could not append a change of %zu bytes to the spool %s", len, spool->dir);
}

static bool append_large(struct gw_spool *spool, const struct gw_change *change, size_t len, struct gw_error *err)
{
    if (spool->pending_len && !gw_spool_flush_locked(spool, err))
        return false;
    spool->writing = true;
    pthread_mutex_unlock(&spool->lock);
    bool ok = write_large(spool, change, len, err);
    pthread_mutex_lock(&spool->lock);
    spool->writing = false;
    if (ok)
        spool->written += (int64_t)len + GW_RECORD_HEADER_BYTES;
    return ok;
}

static bool append_small(struct gw_spool *spool, const struct gw_change *change, size_t len, struct gw_error *err)
{
    size_t record = len + GW_RECORD_HEADER_BYTES;
    if (spool->pending_len + record > GW_SPOOL_PENDING_BYTES && !gw_spool_flush_locked(spool, err))
        return false;
    unsigned char *at = spool->pending + spool->pending_len;
    gw_change_encode_into(at + GW_RECORD_HEADER_BYTES, len, change);
    record_head(at, len, gw_record_check(at + GW_RECORD_HEADER_BYTES, len));
    spool->pending_len += record;
    bool completes = change->kind == GW_CHANGE_COMMIT || change->kind == GW_CHANGE_PROGRESS;
    if (completes && gw_mono_us() - spool->flushed_mono_us >= FLUSH_AT_MOST_EVERY_US &&
        !gw_spool_flush_locked(spool, err)) {
        spool->pending_len -= record;
        return false;
    }
    return true;
}

/* The order of a stream: what is wrong here is the stream's fault, and would be found too late by the reader. */
static bool check_order(const struct gw_spool *spool, const struct gw_change *change, bool *skip, struct gw_error *err)
{
    const char *name = gw_change_kind_name(change->kind);
    switch (change->kind) {
    case GW_CHANGE_BEGIN:
        if (spool->inside)
            return gw_fail(err, GW_ERR_BUG, "a transaction begins inside another in the stream %s", spool->stream);
        return true;
    case GW_CHANGE_PROGRESS:
        if (spool->inside)
            return gw_fail(err, GW_ERR_BUG, "progress inside a transaction in the stream %s", spool->stream);
        *skip = change->position.order <= spool->end.order; /* says nothing new */
        return true;
    case GW_CHANGE_SCHEMA:
    case GW_CHANGE_SIGNAL:
        return true;
    case GW_CHANGE_COMMIT:
        if (spool->inside && change->position.order <= spool->end.order)
            return gw_fail(err, GW_ERR_CONFLICT, "the stream %s went back: a commit at %s after %s", spool->stream,
                           change->position.text, spool->end.text);
        break;
    default:
        break;
    }
    if (!spool->inside)
        return gw_fail(err, GW_ERR_BUG, "%s outside a transaction in the stream %s", name, spool->stream);
    return true;
}

static bool check_room(const struct gw_spool *spool, int64_t record, bool *full, struct gw_error *err)
{
    int64_t wanted = spool->total_bytes + record, limit = spool->limit_bytes;
    if (limit <= 0 || wanted <= limit || (spool->inside && wanted <= limit + limit / 10))
        return true;
    if (spool->inside && spool->begin_segment == spool->segments[0].number) {
        gw_fail(err, GW_ERR_RESOURCE, "one transaction needs more than the %lld bytes the spool %s may take",
                (long long)limit, spool->dir);
        return gw_error_hint(err, "raise the spool's limit in the migration file and start again: nothing is lost");
    }
    *full = true;
    return true;
}

static void appended(struct gw_spool *spool, const struct gw_change *change, int64_t record)
{
    struct gw_segment *last = gw_spool_last(spool);
    last->bytes += record;
    spool->total_bytes += record;
    if (change->kind == GW_CHANGE_BEGIN) {
        spool->inside = true;
        spool->begin_segment = last->number;
        return;
    }
    if (change->kind != GW_CHANGE_COMMIT && change->kind != GW_CHANGE_PROGRESS)
        return;
    spool->inside = false;
    spool->end = change->position;
    if (change->kind == GW_CHANGE_COMMIT)
        spool->last_commit = change->position.order;
    spool->complete = (struct gw_spool_place){.segment = last->number, .offset = last->bytes};
    if (spool->reader_waits)
        pthread_cond_broadcast(&spool->more);
}

static bool append_locked(struct gw_spool *spool, const struct gw_change *change, size_t len, bool *full,
                          struct gw_error *err)
{
    bool skip = false;
    int64_t record = (int64_t)len + GW_RECORD_HEADER_BYTES;
    if (spool->broken) {
        *err = spool->broken_why;
        return false;
    }
    if (!check_order(spool, change, &skip, err) || !check_room(spool, record, full, err))
        return false;
    if (skip || *full)
        return true;
    const struct gw_segment *last = gw_spool_last(spool);
    bool roll = !last || (last->bytes > GW_SEGMENT_HEADER_BYTES && last->bytes + record > spool->segment_bytes);
    if (roll && !gw_spool_roll_locked(spool, err))
        return false;
    bool small = (size_t)record <= GW_SPOOL_PENDING_BYTES;
    if (small ? !append_small(spool, change, len, err) : !append_large(spool, change, len, err))
        return false;
    appended(spool, change, record);
    return true;
}

bool gw_spool_append(struct gw_spool *spool, const struct gw_change *change, bool *full, struct gw_error *err)
{
    size_t len = gw_change_encoded_size(change);
    *full = false;
    if (len > UINT32_MAX)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "one change has %zu bytes, the spool takes up to 4 GB", len);
    pthread_mutex_lock(&spool->lock);
    bool ok = append_locked(spool, change, len, full, err);
    pthread_mutex_unlock(&spool->lock);
    return ok;
}
