#include "base/hash.h"

#include "base/mem.h"

#include <errno.h>
#include <sys/random.h>
#include <xxhash.h>

struct gw_hasher {
    XXH3_state_t *state;
};

struct gw_hash128 gw_hash128(const void *bytes, size_t len, uint64_t seed)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(bytes, len, seed);
    return (struct gw_hash128){.low = h.low64, .high = h.high64};
}

uint64_t gw_hash64(const void *bytes, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, len, seed);
}

struct gw_hasher *gw_hasher_new(uint64_t seed)
{
    struct gw_hasher *hasher = gw_zalloc(sizeof *hasher);
    hasher->state = XXH3_createState();
    if (!hasher->state)
        abort();
    gw_hasher_reset(hasher, seed);
    return hasher;
}

void gw_hasher_reset(struct gw_hasher *hasher, uint64_t seed)
{
    XXH3_128bits_reset_withSeed(hasher->state, seed);
}

void gw_hasher_add(struct gw_hasher *hasher, const void *bytes, size_t len)
{
    if (len)
        XXH3_128bits_update(hasher->state, bytes, len);
}

struct gw_hash128 gw_hasher_end(const struct gw_hasher *hasher)
{
    XXH128_hash_t h = XXH3_128bits_digest(hasher->state);
    return (struct gw_hash128){.low = h.low64, .high = h.high64};
}

void gw_hasher_free(struct gw_hasher *hasher)
{
    if (!hasher)
        return;
    XXH3_freeState(hasher->state);
    free(hasher);
}

uint64_t gw_random64(void)
{
    uint64_t v = 0;
    unsigned char *at = (unsigned char *)&v;
    size_t have = 0;
    while (have < sizeof v) {
        ssize_t got = getrandom(at + have, sizeof v - have, 0);
        if (got > 0)
            have += (size_t)got;
        else if (errno != EINTR)
            abort(); /* no kernel we run on is without getrandom: a guessable seed would be worse */
    }
    return v;
}
