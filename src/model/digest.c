#include "model/digest.h"

/* Modulo 2^128: the carry of the low half goes into the high half, that of the high half is dropped. */
static void add128(struct gw_hash128 *sum, struct gw_hash128 more)
{
    uint64_t carry = __builtin_add_overflow(sum->low, more.low, &sum->low) ? 1 : 0;
    sum->high += more.high + carry;
}

void gw_digest_add(struct gw_digest *digest, struct gw_hash128 row_hash, uint64_t bytes)
{
    digest->rows++;
    digest->bytes += bytes;
    add128(&digest->sum, row_hash);
}

void gw_digest_add_digest(struct gw_digest *digest, const struct gw_digest *more)
{
    digest->rows += more->rows;
    digest->bytes += more->bytes;
    add128(&digest->sum, more->sum);
}

bool gw_digest_equal(const struct gw_digest *a, const struct gw_digest *b)
{
    return a->rows == b->rows && a->sum.low == b->sum.low && a->sum.high == b->sum.high;
}
