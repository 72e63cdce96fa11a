/* What the parts of the spool share. Private to spool/. */
#ifndef GW_SPOOL_INTERNAL_H
#define GW_SPOOL_INTERNAL_H

#include "spool/segment.h"
#include "spool/spool.h"

#include <pthread.h>
#include <stdatomic.h>

/* Appended records gather here before they are written. */
#define GW_SPOOL_PENDING_BYTES ((size_t)256 << 10)

/*
 * `lock` guards everything but what only one thread touches. The appender alone changes the tail (fd, written,
 * pending), with the lock held; while it writes a huge record past the pending bytes it does so without the lock
 * (`writing`), into a place nobody else looks at.
 */
struct gw_spool {
    pthread_mutex_t lock;
    pthread_cond_t more; /* `complete` moved on */
    pthread_mutex_t sync_lock;
    char *dir, *stream;
    int dir_fd; /* holds the flock */
    int64_t segment_bytes, limit_bytes;

    struct gw_segment *segments; /* ascending, without gaps; the last one is appended to */
    size_t count, capacity;
    int64_t total_bytes;
    bool dir_changed; /* a file was made since the folder was last fsynced */

    int fd;          /* the last segment; -1 when there is none */
    int64_t written; /* bytes of it that the kernel has; the rest is in pending */
    unsigned char *pending;
    size_t pending_len;
    int64_t flushed_mono_us;

    struct gw_spool_place complete; /* behind the last COMMIT or PROGRESS; segment 0: nothing yet */
    struct gw_position end;         /* its position */
    uint64_t last_commit;           /* order of the last COMMIT */
    bool inside;                    /* a transaction has begun */
    uint64_t begin_segment;         /* where */
    bool writing;
    bool broken; /* an fsync failed: what the kernel still holds may never reach the disk */
    struct gw_error broken_why;

    bool reader_open;
    int reader_waits;
    _Atomic uint64_t reader_segment; /* how far the reader is; 0: none was ever open */
    _Atomic int64_t reader_offset;
};

struct gw_segment *gw_spool_last(struct gw_spool *spool);
/* Index of a segment, or count when it is not (or no longer) there. */
size_t gw_spool_index(const struct gw_spool *spool, uint64_t number);
/* Writes the pending bytes. On failure they stay pending and nothing has changed. */
GW_MUST_CHECK bool gw_spool_flush_locked(struct gw_spool *spool, struct gw_error *err);
/* Ends the last segment and begins another. */
GW_MUST_CHECK bool gw_spool_roll_locked(struct gw_spool *spool, struct gw_error *err);
/* Cuts the files after `complete`. */
GW_MUST_CHECK bool gw_spool_cut_locked(struct gw_spool *spool, struct gw_error *err);
/* Finds what is there at open and cuts the torn tail. */
GW_MUST_CHECK bool gw_spool_recover(struct gw_spool *spool, struct gw_error *err);
/* "damaged at offset N: why", with the hint; false. */
GW_MUST_CHECK bool gw_spool_damaged(const struct gw_spool *spool, uint64_t segment, int64_t offset, const char *why,
                                    struct gw_error *err);
/* True, with kind and position, when the payload is a COMMIT or PROGRESS; false on other kinds and on bad bytes. */
bool gw_spool_completes(const unsigned char *payload, size_t len, enum gw_change_kind *kind,
                        struct gw_position *position);

#endif
