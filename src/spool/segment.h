/*
 * A segment file: its name, its header, the note of how far it is known to be on disk.
 *
 * Header, 1,024 bytes, big-endian (offset: field):
 *     0: magic "GWSPOOL\n"        8: u32 version        12: u32 flags (1: begins inside a transaction)
 *    16: u64 number              24: u32 check of all but 28..43
 *    28: u32 check of 32..39     32: u64 synced: every byte before this offset has been fsynced
 *    44: u64 bytes of the segment before
 *    52: u64 order of the last COMMIT before it
 *    60: u64 order of the last COMMIT or PROGRESS before it, u8 length and text of that position
 *   320: u8 length and name of the stream
 * `synced` stands in the first disk sector with its own check, because it alone is written again.
 *
 * Private to spool/.
 */
#ifndef GW_SPOOL_SEGMENT_H
#define GW_SPOOL_SEGMENT_H

#include "base/error.h"
#include "model/position.h"

#include <stdint.h>

#define GW_SEGMENT_HEADER_BYTES 1024
#define GW_SEGMENT_VERSION 1
#define GW_RECORD_HEADER_BYTES 8

struct gw_segment {
    uint64_t number;
    int64_t bytes;           /* header included; of the last one: what is still in memory too */
    int64_t synced;          /* bytes known to be on disk */
    int64_t before_bytes;    /* of the segment before it; 0 when that is unknown */
    uint64_t last_commit;    /* order of the last COMMIT before it */
    struct gw_position base; /* the last COMMIT or PROGRESS before it */
    bool inside;             /* it begins inside a transaction */
};

enum gw_header_verdict { GW_HEADER_GOOD, GW_HEADER_TORN, GW_HEADER_ERROR };

char *gw_segment_path(const char *dir, uint64_t number); /* owned by the caller */
/* Opens for reading and writing. */
GW_MUST_CHECK bool gw_segment_open_file(const char *dir, uint64_t number, int *fd, struct gw_error *err);
/* A new file with its header; nothing is left behind on failure. */
GW_MUST_CHECK bool gw_segment_create(const char *dir, const char *stream, const struct gw_segment *segment, int *fd,
                                     struct gw_error *err);
/* TORN: the file ends before its header does, or holds nothing but zeros there: what a crash leaves of a new one. */
enum gw_header_verdict gw_segment_read_header(int fd, const char *dir, const char *stream, struct gw_segment *out,
                                              struct gw_error *err);
GW_MUST_CHECK bool gw_segment_write_synced(int fd, const char *dir, uint64_t number, int64_t synced,
                                           struct gw_error *err);
/* Numbers of the segments in a folder, ascending; owned. */
GW_MUST_CHECK bool gw_segment_list(const char *dir, uint64_t **numbers, size_t *count, struct gw_error *err);

GW_MUST_CHECK bool gw_pwrite_all(int fd, const void *bytes, size_t len, int64_t offset, struct gw_error *err);
/* Bytes got; fewer than len only at the end of the file. -1 with errno. */
int64_t gw_pread_full(int fd, void *bytes, size_t len, int64_t offset);
/* The check of a record's payload. */
uint32_t gw_record_check(const void *payload, size_t len);

#endif
