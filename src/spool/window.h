/*
 * Records of one segment, one after the other, through a buffer of fixed size; a record larger than it gets memory of
 * its own for as long as it is the current one. Private to spool/.
 */
#ifndef GW_SPOOL_WINDOW_H
#define GW_SPOOL_WINDOW_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define GW_WINDOW_BYTES ((size_t)256 << 10)

/* Gives up to `len` bytes of the segment from `offset` on: the bytes got, at least 1; 0 at its end; -1 with *err. */
typedef int64_t gw_window_fill(void *arg, int64_t offset, void *bytes, size_t len, struct gw_error *err);

struct gw_window {
    gw_window_fill *fill;
    void *arg;
    unsigned char *bytes; /* GW_WINDOW_BYTES */
    int64_t offset;       /* in the segment, of bytes[0] */
    size_t len;
    unsigned char *big; /* the current record when it does not fit */
};

enum gw_record_verdict {
    GW_RECORD_GOOD,
    GW_RECORD_END,  /* the limit is reached */
    GW_RECORD_BAD,  /* torn or damaged: *why says how */
    GW_RECORD_ERROR /* could not be read: *err */
};

void gw_window_init(struct gw_window *window, gw_window_fill *fill, void *arg);
void gw_window_release(struct gw_window *window);
void gw_window_reset(struct gw_window *window); /* another segment, or bytes that changed */
/* The record at `offset` of a segment that ends at `limit`. The payload is borrowed until the next call. */
enum gw_record_verdict gw_window_record(struct gw_window *window, int64_t offset, int64_t limit,
                                        const unsigned char **payload, size_t *len, const char **why,
                                        struct gw_error *err);

#endif
