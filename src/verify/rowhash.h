/*
 * The hash of a row: collection, then per column its place, kind (NULL or not), length, bytes. Nothing can move from
 * one column, or one table, into the other without changing it. XXH3-128 with a seed drawn anew for each run.
 */
#ifndef GW_VERIFY_ROWHASH_H
#define GW_VERIFY_ROWHASH_H

#include "base/buf.h"
#include "base/hash.h"
#include "model/schema.h"
#include "model/value.h"

struct gw_rowhash {
    uint64_t seed;
    uint32_t collection;
    struct gw_buf scratch;
    struct gw_hasher *stream; /* for rows too large to be put together; made when one comes */
};
void gw_rowhash_release(struct gw_rowhash *hash);

/* *bytes: canonical bytes of the values (coverage). */
struct gw_hash128 gw_rowhash_row(struct gw_rowhash *, const struct gw_row *row, uint64_t *bytes);
/* Of the key columns alone; of the whole row where there is no key. */
struct gw_hash128 gw_rowhash_key(struct gw_rowhash *, const struct gw_collection *, const struct gw_row *row);
uint64_t gw_rowhash_value(const struct gw_rowhash *, uint32_t column, const struct gw_value *value);

#endif
