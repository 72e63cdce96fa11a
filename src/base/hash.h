/*
 * XXH3-128 behind a small face: row digests (verify), record checksums (spool), hash tables (batches).
 */
#ifndef GW_BASE_HASH_H
#define GW_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct gw_hash128 {
    uint64_t low, high;
};

struct gw_hash128 gw_hash128(const void *bytes, size_t len, uint64_t seed);
uint64_t gw_hash64(const void *bytes, size_t len, uint64_t seed);

/* Streaming, for values that come in pieces. */
struct gw_hasher;
struct gw_hasher *gw_hasher_new(uint64_t seed);
void gw_hasher_reset(struct gw_hasher *hasher, uint64_t seed);
void gw_hasher_add(struct gw_hasher *hasher, const void *bytes, size_t len);
struct gw_hash128 gw_hasher_end(const struct gw_hasher *hasher);
void gw_hasher_free(struct gw_hasher *hasher);

/* Unpredictable bytes from the kernel. */
uint64_t gw_random64(void);

#endif
