/*
 * What a report shows of customers' rows. Under `--private` a value is shown as the beginning of its HMAC-SHA-256 under
 * a key that is random for each run, unless one is given: equal values look alike within a report, and no more can be
 * learned from it. Words of a server may quote a value: what stands in quotes or behind "=" is held back.
 *
 * Threads: any; it is constant once made.
 */
#ifndef GW_VERIFY_MASK_H
#define GW_VERIFY_MASK_H

#include "base/buf.h"
#include "base/sha256.h"

#include <stdbool.h>
#include <stdint.h>

struct gw_mask {
    bool hides;      /* values */
    bool hides_keys; /* keys that are whole numbers or UUIDs, too: all others are hidden with the values */
    unsigned char key[GW_SHA256_BYTES];
    unsigned char identity_key[GW_SHA256_BYTES]; /* the journal's own: to know a row again; all zero: none */
};

/* `given`: the operator's key, or NULL for one of this run alone. */
void gw_mask_init(struct gw_mask *, bool hides, bool hides_keys, const char *given);
/* A value as it may be shown; mask NULL: as it is. `key`: it is (part of) a key. Appends. */
void gw_mask_add(const struct gw_mask *, bool key, const char *text, size_t len, struct gw_buf *out);
/* At most 60 bytes of it, never cut inside a character. */
void gw_mask_shown(const struct gw_mask *, bool key, const char *text, size_t len, struct gw_buf *out);
/* The same in place of an owned text. */
char *gw_mask_owned(const struct gw_mask *, bool key, char *text);
/* Words of an error that may hold values. Appends. */
void gw_mask_words(const struct gw_mask *, const char *words, struct gw_buf *out);
/* A number by which the journal knows a row of this collection again, from its key as it is; 0 without a key for it. */
uint64_t gw_mask_identity(const struct gw_mask *, const char *collection, const char *key);

#endif
