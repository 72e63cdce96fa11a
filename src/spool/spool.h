/*
 * The spool: the change log kept on local disk between the thread that receives it and the thread that applies it.
 *
 * Files: <dir>/<20-digit number>.spool, segments of about segment_bytes. A segment begins with a header (magic,
 * version, stream name, the position of the last COMMIT or PROGRESS before it, how far it is known to be on disk; see
 * segment.h); then records: u32 length, u32 check (XXH3-128 of the payload, low 32 bits), payload = gw_change_encode.
 * A record never spans segments; a transaction may. All integers are big-endian.
 *
 * After a crash gw_spool_open cuts what follows the last complete COMMIT or PROGRESS: the source sends it again from
 * gw_spool_end(). What the last gw_spool_sync had put on disk must be there, whole: damage in it is GW_ERR_CONFLICT,
 * with file and offset, and never skipped. Behind that, where nothing was acknowledged on the strength of it, a torn
 * record (a power cut leaves such) ends the spool and all behind it is received again.
 *
 * Memory: two buffers of 256 KiB; a larger record is written straight from the change and read into memory of its size.
 *
 * Threads: one appender, one reader at a time, any number asking for sizes, syncing and trimming.
 */
#ifndef GW_SPOOL_SPOOL_H
#define GW_SPOOL_SPOOL_H

#include "base/cancel.h"
#include "base/error.h"
#include "model/change.h"

struct gw_spool;
struct gw_spool_reader;

struct gw_spool_options {
    const char *dir;       /* made private if missing */
    const char *stream;    /* "blue>green": another stream's spool is refused */
    int64_t segment_bytes; /* default 64 MiB when 0 */
    int64_t limit_bytes;   /* of all segments; 0: none */
};

GW_MUST_CHECK bool gw_spool_open(const struct gw_spool_options *, struct gw_spool **out, struct gw_error *);
void gw_spool_close(struct gw_spool *);

/* Appends one change. *full: the limit is reached and nothing was written: the caller stops receiving (and keeps
 * answering the source) until the reader has freed room. A transaction already begun may pass the limit by up to
 * 10 %: it must not tear; one that can never fit is GW_ERR_RESOURCE. A PROGRESS that says nothing new is left out.
 * Readable as soon as its COMMIT or PROGRESS is appended. Written to the kernel then too, unless that was done less
 * than 2 ms ago; at the latest when 256 KiB are pending. On failure the change is not in the spool. */
GW_MUST_CHECK bool gw_spool_append(struct gw_spool *, const struct gw_change *, bool *full, struct gw_error *);
/* Drops what follows the last complete COMMIT or PROGRESS: the stream broke inside a transaction, which the source
 * sends again whole. */
GW_MUST_CHECK bool gw_spool_cut(struct gw_spool *, struct gw_error *);
/* Everything appended so far is on disk. After a failure of the disk itself the spool takes nothing more: close it and
 * open it again. Returns in *safe the last COMMIT/PROGRESS position that is. */
GW_MUST_CHECK bool gw_spool_sync(struct gw_spool *, struct gw_position *safe, struct gw_error *);
/* Last complete COMMIT or PROGRESS: where receiving resumes. order 0 when empty. */
struct gw_position gw_spool_end(struct gw_spool *);
/* Bytes on disk, and bytes not yet read by the reader. */
int64_t gw_spool_bytes(struct gw_spool *);
int64_t gw_spool_unread_bytes(struct gw_spool *);

/* Reads from the first transaction whose COMMIT position is after `from` (order 0: everything). GW_ERR_LOST_POSITION
 * when trimming has taken some of that. */
GW_MUST_CHECK bool gw_spool_reader_open(struct gw_spool *, const struct gw_position *from, struct gw_spool_reader **out,
                                        struct gw_error *);
void gw_spool_reader_close(struct gw_spool_reader *);
/* Next change, never of a transaction whose COMMIT is not in the spool yet; waits up to timeout_ms for more; *got false
 * on timeout (timeout_ms < 0: none). The change borrows until the next call. */
GW_MUST_CHECK bool gw_spool_next(struct gw_spool_reader *, int timeout_ms, struct gw_change *, bool *got,
                                 struct gw_error *);
/* True when a next change is there without waiting. */
bool gw_spool_ready(struct gw_spool_reader *);
/* A bookmark of the place before the next change, and back to it (a failed batch is read again, carefully). */
struct gw_spool_place {
    uint64_t segment;
    int64_t offset;
};
struct gw_spool_place gw_spool_tell(struct gw_spool_reader *);
GW_MUST_CHECK bool gw_spool_seek(struct gw_spool_reader *, struct gw_spool_place, struct gw_error *);
/* Segments wholly before `applied` (durable on the target) may go. */
GW_MUST_CHECK bool gw_spool_trim(struct gw_spool *, const struct gw_position *applied, struct gw_error *);

#endif
