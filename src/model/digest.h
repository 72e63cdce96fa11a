/*
 * Digest of a set of rows: how many, and the sum of their 128-bit hashes modulo 2^128. Independent of order,
 * counts duplicates (unlike XOR), not linear in the values (unlike CRC). Seeded at random per run.
 */
#ifndef GW_MODEL_DIGEST_H
#define GW_MODEL_DIGEST_H

#include "base/hash.h"

#include <stdbool.h>

struct gw_digest {
    uint64_t rows;
    uint64_t bytes; /* canonical bytes hashed: coverage, not part of equality */
    struct gw_hash128 sum;
};

void gw_digest_add(struct gw_digest *digest, struct gw_hash128 row_hash, uint64_t bytes);
void gw_digest_add_digest(struct gw_digest *digest, const struct gw_digest *more);
bool gw_digest_equal(const struct gw_digest *a, const struct gw_digest *b);

#endif
