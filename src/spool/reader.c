#include "base/clock.h"
#include "base/mem.h"
#include "spool/internal.h"
#include "spool/window.h"

#include <errno.h>
#include <unistd.h>

struct gw_spool_reader {
    struct gw_spool *spool;
    struct gw_spool_place place; /* of the next record */
    struct gw_spool_place until; /* what was complete when last looked at */
    int fd;                      /* of fd_segment; -1 when none is open */
    uint64_t fd_segment;
    int64_t segment_end;       /* of place.segment, as far as it may be read */
    struct gw_position behind; /* what comes up to here is passed over; order 0: no more */
    struct gw_window window;
    struct gw_arena arena;
};

static bool same_place(struct gw_spool_place a, struct gw_spool_place b)
{
    return a.segment == b.segment && a.offset == b.offset;
}

/* Takes a look at how far may be read, and steps over the end of a segment. With the lock held. */
static void look_locked(struct gw_spool_reader *reader)
{
    const struct gw_spool *spool = reader->spool;
    reader->until = spool->complete;
    if (spool->count == 0)
        return;
    if (reader->place.segment <
        spool->segments[0].number) /* nothing was there yet, or all of it was applied and went */
        reader->place =
            (struct gw_spool_place){.segment = spool->segments[0].number, .offset = GW_SEGMENT_HEADER_BYTES};
    size_t index = gw_spool_index(spool, reader->place.segment);
    while (index + 1 < spool->count && reader->place.segment < reader->until.segment &&
           reader->place.offset >= spool->segments[index].bytes) {
        index++;
        reader->place =
            (struct gw_spool_place){.segment = spool->segments[index].number, .offset = GW_SEGMENT_HEADER_BYTES};
    }
    reader->segment_end =
        reader->place.segment == reader->until.segment ? reader->until.offset : spool->segments[index].bytes;
    atomic_store(&reader->spool->reader_segment, reader->place.segment);
    atomic_store(&reader->spool->reader_offset, reader->place.offset);
}

static void look(struct gw_spool_reader *reader)
{
    pthread_mutex_lock(&reader->spool->lock);
    look_locked(reader);
    pthread_mutex_unlock(&reader->spool->lock);
}

/* Is there a record at `place` that may be read, as far as is known without the lock? */
static bool has_known(const struct gw_spool_reader *reader)
{
    return !same_place(reader->place, reader->until) && reader->place.offset < reader->segment_end;
}

static bool wait_for_more(struct gw_spool_reader *reader, int timeout_ms)
{
    struct gw_spool *spool = reader->spool;
    int64_t until_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    struct timespec deadline = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    pthread_mutex_lock(&spool->lock);
    look_locked(reader);
    while (!has_known(reader) && timeout_ms != 0) {
        spool->reader_waits++;
        int rc = timeout_ms < 0 ? pthread_cond_wait(&spool->more, &spool->lock)
                                : pthread_cond_timedwait(&spool->more, &spool->lock, &deadline);
        spool->reader_waits--;
        look_locked(reader);
        if (rc == ETIMEDOUT)
            break;
    }
    pthread_mutex_unlock(&spool->lock);
    return has_known(reader);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------------- */

/* The newest records may be in memory alone: the lock decides where they are. */
static int64_t reader_fill(void *arg, int64_t offset, void *bytes, size_t len, struct gw_error *err)
{
    const struct gw_spool_reader *reader = arg;
    struct gw_spool *spool = reader->spool;
    int64_t in_file = INT64_MAX;
    pthread_mutex_lock(&spool->lock);
    const struct gw_segment *last = gw_spool_last(spool);
    if (last && last->number == reader->fd_segment) {
        in_file = spool->written;
        if (offset >= in_file) {
            size_t skip = (size_t)(offset - in_file);
            size_t take = skip < spool->pending_len ? spool->pending_len - skip : 0;
            take = take < len ? take : len;
            memcpy(bytes, spool->pending + skip, take);
            pthread_mutex_unlock(&spool->lock);
            return (int64_t)take;
        }
    }
    pthread_mutex_unlock(&spool->lock);
    if ((int64_t)len > in_file - offset)
        len = (size_t)(in_file - offset);
    int64_t got = gw_pread_full(reader->fd, bytes, len, offset);
    if (got < 0) {
        gw_autofree char *path = gw_segment_path(spool->dir, reader->fd_segment);
        gw_fail_errno(err, errno, "could not read the spool segment %s", path);
    }
    return got;
}

static bool open_segment(struct gw_spool_reader *reader, struct gw_error *err)
{
    if (reader->fd >= 0 && reader->fd_segment == reader->place.segment)
        return true;
    int fd;
    if (!gw_segment_open_file(reader->spool->dir, reader->place.segment, &fd, err))
        return false;
    if (reader->fd >= 0)
        close(reader->fd);
    reader->fd = fd;
    reader->fd_segment = reader->place.segment;
    gw_window_reset(&reader->window);
    return true;
}

/* The record at place, which has_known() promised; place moves behind it. */
static bool read_record(struct gw_spool_reader *reader, const unsigned char **payload, size_t *len,
                        struct gw_error *err)
{
    const char *why = NULL;
    if (!open_segment(reader, err))
        return false;
    switch (gw_window_record(&reader->window, reader->place.offset, reader->segment_end, payload, len, &why, err)) {
    case GW_RECORD_GOOD:
        break;
    case GW_RECORD_ERROR:
        return false;
    case GW_RECORD_BAD:
    case GW_RECORD_END:
        return gw_spool_damaged(reader->spool, reader->place.segment, reader->place.offset,
                                why ? why : "it ends too early", err);
    }
    reader->place.offset += (int64_t)*len + GW_RECORD_HEADER_BYTES;
    return true;
}

/* ---- open -------------------------------------------------------------------------------------------------------------- */

static bool gone(const struct gw_spool *spool, const struct gw_position *from, struct gw_error *err)
{
    gw_fail(err, GW_ERR_LOST_POSITION, "the spool %s no longer holds the changes right after %s: it begins at %s",
            spool->dir, from->text, spool->segments[0].base.text);
    return gw_error_hint(err, "the target has gone back behind what was removed as applied: the collections must be "
                              "copied again (godwit abort, then godwit copy)");
}

/* The first segment that can hold the transaction after `from`: see internal.h for what base and inside mean. */
static bool start_segment(const struct gw_spool *spool, const struct gw_position *from, size_t *out,
                          struct gw_error *err)
{
    size_t at = spool->count;
    if (from->order > 0 && from->order < spool->segments[0].last_commit)
        return gone(spool, from, err);
    while (at > 0 && spool->segments[at - 1].base.order > from->order)
        at--;
    at = at > 0 ? at - 1 : 0;
    if (from->order == 0) {
        *out = 0;
        return true;
    }
    if (spool->segments[at].inside) {
        uint64_t base = spool->segments[at].base.order;
        while (at > 0 && spool->segments[at].base.order == base)
            at--;
    }
    *out = at;
    return true;
}

/* Moves place behind the last COMMIT or PROGRESS that is not after `from`. *passed: something after it is there. */
static bool skip_to(struct gw_spool_reader *reader, const struct gw_position *from, bool inside, bool *passed,
                    struct gw_error *err)
{
    struct gw_spool_place start = reader->place;
    *passed = false;
    for (look(reader); has_known(reader); look(reader)) {
        const unsigned char *payload;
        size_t len;
        enum gw_change_kind kind;
        struct gw_position position;
        if (!read_record(reader, &payload, &len, err))
            return false;
        if (!gw_spool_completes(payload, len, &kind, &position))
            continue;
        bool tail = inside; /* of a transaction whose beginning was removed as applied */
        inside = false;
        if (tail && from->order > 0 && kind == GW_CHANGE_COMMIT && position.order > from->order)
            return gone(reader->spool, from, err);
        *passed = !tail && position.order > from->order;
        if (*passed)
            break;
        start = reader->place;
        if (tail && from->order == 0)
            break;
    }
    reader->place = start;
    return true;
}

static bool find_start(struct gw_spool_reader *reader, const struct gw_position *from, struct gw_error *err)
{
    struct gw_spool *spool = reader->spool;
    size_t index = 0;
    bool inside = false, ok = true, skip = false, passed;
    pthread_mutex_lock(&spool->lock);
    if (spool->count == 0) {
        reader->place = (struct gw_spool_place){0};
        reader->behind = *from;
    } else if (from->order >= spool->end.order && from->order > 0) {
        /* The target can be ahead of us: what it applied from our memory was lost with the process that had it, and
         * will be received again. */
        reader->place = spool->complete;
        reader->behind = *from;
    } else {
        ok = start_segment(spool, from, &index, err);
        inside = ok && spool->segments[index].inside;
        skip = ok && (from->order > 0 || inside);
        reader->place =
            (struct gw_spool_place){.segment = spool->segments[index].number, .offset = GW_SEGMENT_HEADER_BYTES};
    }
    pthread_mutex_unlock(&spool->lock);
    return ok && (!skip || skip_to(reader, from, inside, &passed, err));
}

static void reader_free(struct gw_spool_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    gw_window_release(&reader->window);
    gw_arena_release(&reader->arena);
    free(reader);
}

bool gw_spool_reader_open(struct gw_spool *spool, const struct gw_position *from, struct gw_spool_reader **out,
                          struct gw_error *err)
{
    pthread_mutex_lock(&spool->lock);
    bool taken = spool->reader_open;
    spool->reader_open = true;
    pthread_mutex_unlock(&spool->lock);
    if (taken)
        return gw_fail(err, GW_ERR_BUG, "the spool %s has a reader already", spool->dir);
    struct gw_spool_reader *reader = gw_zalloc(sizeof *reader);
    reader->spool = spool;
    reader->fd = -1;
    gw_window_init(&reader->window, reader_fill, reader);
    if (!find_start(reader, from, err)) {
        gw_spool_reader_close(reader);
        return false;
    }
    look(reader);
    *out = reader;
    return true;
}

void gw_spool_reader_close(struct gw_spool_reader *reader)
{
    if (!reader)
        return;
    struct gw_spool *spool = reader->spool;
    reader_free(reader);
    pthread_mutex_lock(&spool->lock);
    spool->reader_open = false;
    pthread_mutex_unlock(&spool->lock);
}

/* ---- read -------------------------------------------------------------------------------------------------------------- */

/* Passes over what came again and had been applied before. *ready: there is a record to hand out. */
static bool catch_up(struct gw_spool_reader *reader, int timeout_ms, bool *ready, struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    bool passed = false;
    while (!passed) {
        int left_ms = timeout_ms < 0 ? -1 : gw_left_ms(deadline_us);
        *ready = has_known(reader) || wait_for_more(reader, left_ms);
        if (!*ready)
            return true;
        if (!skip_to(reader, &reader->behind, false, &passed, err))
            return false;
    }
    reader->behind.order = 0;
    look(reader);
    return true;
}

bool gw_spool_next(struct gw_spool_reader *reader, int timeout_ms, struct gw_change *change, bool *got,
                   struct gw_error *err)
{
    const unsigned char *payload;
    size_t len;
    bool ready = false;
    gw_arena_reset(&reader->arena);
    if (reader->behind.order > 0 && !catch_up(reader, timeout_ms, &ready, err))
        return false;
    if (reader->behind.order == 0)
        ready = has_known(reader) || wait_for_more(reader, timeout_ms);
    if (!ready) {
        *got = false;
        return true;
    }
    struct gw_spool_place before = reader->place;
    if (!read_record(reader, &payload, &len, err))
        return false;
    struct gw_cursor in = gw_cursor_of(payload, len);
    if (!gw_change_decode(&in, &reader->arena, change, err) || gw_cursor_left(&in) != 0) {
        reader->place = before;
        return gw_spool_damaged(reader->spool, before.segment, before.offset, "a record does not hold a change", err);
    }
    atomic_store_explicit(&reader->spool->reader_segment, reader->place.segment, memory_order_relaxed);
    atomic_store_explicit(&reader->spool->reader_offset, reader->place.offset, memory_order_relaxed);
    *got = true;
    return true;
}

bool gw_spool_ready(struct gw_spool_reader *reader)
{
    if (!has_known(reader))
        look(reader);
    return has_known(reader);
}

struct gw_spool_place gw_spool_tell(struct gw_spool_reader *reader)
{
    return reader->place;
}

bool gw_spool_seek(struct gw_spool_reader *reader, struct gw_spool_place place, struct gw_error *err)
{
    struct gw_spool *spool = reader->spool;
    pthread_mutex_lock(&spool->lock);
    size_t index = gw_spool_index(spool, place.segment);
    /* Place 0 is the beginning of a spool that was still empty. */
    bool there = place.segment == 0 ? spool->count == 0 || spool->segments[0].number == 1
                                    : index < spool->count && place.offset <= spool->segments[index].bytes;
    if (there) {
        reader->place = place;
        look_locked(reader);
    }
    pthread_mutex_unlock(&spool->lock);
    if (!there)
        return gw_fail(err, GW_ERR_BUG, "segment %llu, offset %lld is no place in the spool %s",
                       (unsigned long long)place.segment, (long long)place.offset, spool->dir);
    return true;
}
