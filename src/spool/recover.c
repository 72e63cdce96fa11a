/*
 * What is there at open. Segments that are noted as wholly on disk are taken as they are (the reader checks every
 * record it reads); from the first other one on all records are checked, and the tail behind the last COMMIT or
 * PROGRESS is cut.
 */
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "spool/internal.h"
#include "spool/window.h"

#include <errno.h>
#include <unistd.h>

static bool any_synced_from(const struct gw_spool *spool, size_t index)
{
    for (size_t i = index; i < spool->count; i++)
        if (spool->segments[i].synced > 0)
            return true;
    return false;
}

/* Removes the segments from index on, the newest first. */
static bool drop_from(struct gw_spool *spool, size_t index, struct gw_error *err)
{
    while (spool->count > index) {
        gw_autofree char *path = gw_segment_path(spool->dir, spool->segments[spool->count - 1].number);
        if (unlink(path) != 0 && errno != ENOENT)
            return gw_fail_errno(err, errno, "could not remove the spool segment %s", path);
        spool->count--;
    }
    return true;
}

static bool load_header(struct gw_spool *spool, struct gw_segment *segment, bool *torn, struct gw_error *err)
{
    int fd;
    if (!gw_segment_open_file(spool->dir, segment->number, &fd, err))
        return false;
    enum gw_header_verdict verdict = gw_segment_read_header(fd, spool->dir, spool->stream, segment, err);
    close(fd);
    *torn = verdict == GW_HEADER_TORN;
    return verdict != GW_HEADER_ERROR;
}

static bool load_headers(struct gw_spool *spool, struct gw_error *err)
{
    size_t first_torn = spool->count;
    for (size_t i = 0; i < spool->count; i++) {
        bool torn = false;
        if (i > 0 && spool->segments[i].number != spool->segments[i - 1].number + 1) {
            gw_fail(err, GW_ERR_CONFLICT, "the spool %s has no segment between %llu and %llu", spool->dir,
                    (unsigned long long)spool->segments[i - 1].number, (unsigned long long)spool->segments[i].number);
            return gw_error_hint(err, "somebody removed files of it: put them back, or give the copy up and begin "
                                      "again (godwit abort, then godwit copy)");
        }
        if (!load_header(spool, &spool->segments[i], &torn, err))
            return false;
        if (torn && first_torn == spool->count)
            first_torn = i;
    }
    if (first_torn == spool->count)
        return true;
    if (any_synced_from(spool, first_torn))
        return gw_spool_damaged(spool, spool->segments[first_torn].number, 0, "it has no header", err);
    return drop_from(spool, first_torn, err);
}

/* Each segment knows how long the one before it was. */
static bool check_lengths(struct gw_spool *spool, struct gw_error *err)
{
    for (size_t i = 1; i < spool->count; i++) {
        const struct gw_segment *before = &spool->segments[i - 1];
        if (spool->segments[i].before_bytes == before->bytes)
            continue;
        if (any_synced_from(spool, i))
            return gw_spool_damaged(spool, before->number, before->bytes, "it has not the length it had", err);
        return drop_from(spool, i, err);
    }
    return true;
}

static bool load(struct gw_spool *spool, struct gw_error *err)
{
    gw_autofree uint64_t *numbers = NULL;
    size_t count;
    if (!gw_segment_list(spool->dir, &numbers, &count, err))
        return false;
    spool->segments = gw_calloc(count + 1, sizeof *spool->segments);
    spool->capacity = count + 1;
    for (size_t i = 0; i < count; i++)
        spool->segments[spool->count++].number = numbers[i];
    return load_headers(spool, err) && check_lengths(spool, err);
}

/* ---- scan -------------------------------------------------------------------------------------------------------------- */

struct scan {
    struct gw_spool *spool;
    struct gw_window window;
    int fd;
    uint64_t number;
    bool stopped; /* at a record that is torn: nothing behind it counts */
};

static int64_t scan_fill(void *arg, int64_t offset, void *bytes, size_t len, struct gw_error *err)
{
    const struct scan *scan = arg;
    int64_t got = gw_pread_full(scan->fd, bytes, len, offset);
    if (got < 0) {
        gw_autofree char *path = gw_segment_path(scan->spool->dir, scan->number);
        gw_fail_errno(err, errno, "could not read the spool segment %s", path);
    }
    return got;
}

static bool torn_record(struct scan *scan, size_t index, int64_t offset, const char *why, struct gw_error *err)
{
    const struct gw_spool *spool = scan->spool;
    const struct gw_segment *segment = &spool->segments[index];
    if (offset < segment->synced || any_synced_from(spool, index + 1))
        return gw_spool_damaged(spool, segment->number, offset, why, err);
    gw_info("the spool %s ends torn in segment %llu at offset %lld (%s): received again from %s", spool->dir,
            (unsigned long long)segment->number, (long long)offset, why,
            spool->end.order ? spool->end.text : "its beginning");
    scan->stopped = true;
    return true;
}

static bool scan_records(struct scan *scan, size_t index, struct gw_error *err)
{
    struct gw_spool *spool = scan->spool;
    const struct gw_segment *segment = &spool->segments[index];
    int64_t offset = GW_SEGMENT_HEADER_BYTES;
    for (;;) {
        const unsigned char *payload;
        const char *why;
        size_t len;
        enum gw_change_kind kind;
        struct gw_position position;
        switch (gw_window_record(&scan->window, offset, segment->bytes, &payload, &len, &why, err)) {
        case GW_RECORD_END:
            return true;
        case GW_RECORD_ERROR:
            return false;
        case GW_RECORD_BAD:
            return torn_record(scan, index, offset, why, err);
        case GW_RECORD_GOOD:
            break;
        }
        offset += (int64_t)len + GW_RECORD_HEADER_BYTES;
        if (!gw_spool_completes(payload, len, &kind, &position))
            continue;
        spool->end = position;
        spool->complete = (struct gw_spool_place){.segment = segment->number, .offset = offset};
        if (kind == GW_CHANGE_COMMIT)
            spool->last_commit = position.order;
    }
}

static bool scan_segment(struct scan *scan, size_t index, struct gw_error *err)
{
    scan->number = scan->spool->segments[index].number;
    if (!gw_segment_open_file(scan->spool->dir, scan->number, &scan->fd, err))
        return false;
    gw_window_reset(&scan->window);
    bool ok = scan_records(scan, index, err);
    close(scan->fd);
    return ok;
}

static bool scan_from(struct gw_spool *spool, size_t first, struct gw_error *err)
{
    struct scan scan = {.spool = spool};
    const struct gw_segment *segment = &spool->segments[first];
    spool->end = segment->base;
    spool->last_commit = segment->last_commit;
    if (!segment->inside)
        spool->complete = (struct gw_spool_place){.segment = segment->number, .offset = GW_SEGMENT_HEADER_BYTES};
    gw_window_init(&scan.window, scan_fill, &scan);
    bool ok = true;
    for (size_t i = first; ok && i < spool->count && !scan.stopped; i++) {
        /* A segment that begins at a boundary is one itself: the end of the one before and its first byte are one. */
        if (!spool->segments[i].inside && spool->segments[i].base.order == spool->end.order)
            spool->complete =
                (struct gw_spool_place){.segment = spool->segments[i].number, .offset = GW_SEGMENT_HEADER_BYTES};
        ok = scan_segment(&scan, i, err);
    }
    gw_window_release(&scan.window);
    return ok;
}

/* The only transaction that is left began in a segment trimmed long ago and its end was lost: nothing here is of use
 * but the position. */
static bool begin_anew(struct gw_spool *spool, struct gw_error *err)
{
    const struct gw_segment *last = gw_spool_last(spool);
    size_t old = spool->count;
    spool->complete = (struct gw_spool_place){.segment = last->number, .offset = last->bytes};
    if (!gw_spool_roll_locked(spool, err))
        return false;
    for (size_t i = 0; i < old; i++) {
        gw_autofree char *path = gw_segment_path(spool->dir, spool->segments[i].number);
        if (unlink(path) != 0 && errno != ENOENT)
            return gw_fail_errno(err, errno, "could not remove the spool segment %s", path);
        spool->total_bytes -= spool->segments[i].bytes;
    }
    spool->segments[0] = spool->segments[old];
    spool->count = 1;
    return true;
}

bool gw_spool_recover(struct gw_spool *spool, struct gw_error *err)
{
    if (!load(spool, err))
        return false;
    if (spool->count == 0)
        return true;
    size_t first = spool->count - 1;
    while (first > 0 && spool->segments[first - 1].synced != spool->segments[first - 1].bytes)
        first--;
    if (!scan_from(spool, first, err))
        return false;
    for (size_t i = 0; i < spool->count; i++)
        spool->total_bytes += spool->segments[i].bytes;
    if (spool->complete.segment != 0)
        return gw_spool_cut_locked(spool, err);
    if (first > 0)
        return gw_spool_damaged(spool, spool->segments[first].number, GW_SEGMENT_HEADER_BYTES,
                                "the end of the transaction it begins in is gone", err);
    return begin_anew(spool, err);
}
