/*
 * Reading a scope of both sides into digests, buckets of digests, or rows by their keys' hashes.
 *
 * Memory: digests are nothing; buckets are 64 bytes each for both sides; rows are looked at one group of buckets at a
 * time, so that a range with millions of rows that nobody expected does not grow us.
 */
#ifndef GW_VERIFY_PASS_H
#define GW_VERIFY_PASS_H

#include "model/digest.h"
#include "verify/side.h"

/* ---- digests ----------------------------------------------------------------------------------------------------- */
struct gw_pass {
    struct gw_digest total[2];
    unsigned bits; /* 2^bits buckets by the key's hash; 0: none kept */
    struct gw_digest *buckets[2];
    struct gw_verify_span spans[2];
};
void gw_pass_init(struct gw_pass *, int64_t rows_expected, bool with_buckets);
void gw_pass_release(struct gw_pass *);
bool gw_pass_equal(const struct gw_pass *);
size_t gw_pass_buckets(const struct gw_pass *); /* 1 when none are kept: all is one */
bool gw_pass_bucket_equal(const struct gw_pass *, size_t bucket);
uint64_t gw_pass_bucket_rows(const struct gw_pass *, size_t bucket); /* of both sides */
/* Begins anew; both sides at once, or one (the other stays). */
GW_MUST_CHECK bool gw_pass_read(struct gw_pass *, struct gw_verify_pair *, const struct gw_verify_scope *,
                                struct gw_error *err);
GW_MUST_CHECK bool gw_pass_read_side(struct gw_pass *, struct gw_verify_pair *, const struct gw_verify_scope *,
                                     int side, struct gw_error *err);

/* ---- rows -------------------------------------------------------------------------------------------------------- */
struct gw_pass_entry {
    struct gw_hash128 key; /* of the whole row where there is no key */
    uint64_t count[2];
    struct gw_hash128 sum[2];
    size_t stored; /* offset of the stored key (or row) plus 1; 0: none */
};
struct gw_pass_rows {
    size_t count, capacity;        /* capacity: a power of two */
    struct gw_pass_entry *entries; /* a slot is free while both counts are 0 */
    struct gw_buf stored;          /* gw_row_encode of the key columns, or of the whole row */
};
void gw_pass_rows_clear(struct gw_pass_rows *); /* no rows; the room stays */
void gw_pass_rows_release(struct gw_pass_rows *);
/* A row of side `place`, whose key has this hash. */
void gw_pass_rows_add(struct gw_pass_rows *, const struct gw_collection *, int place, struct gw_verify_side *,
                      struct gw_hash128 key, const struct gw_row *);
const struct gw_pass_entry *gw_pass_rows_find(const struct gw_pass_rows *, struct gw_hash128 key); /* or NULL */
/* Rows of the chosen buckets (chosen[bucket], NULL: all), the source first, then the target. Begins anew. */
GW_MUST_CHECK bool gw_pass_read_rows(struct gw_pass_rows *, const struct gw_pass *, const bool *chosen,
                                     struct gw_verify_pair *, const struct gw_verify_scope *, struct gw_error *err);
bool gw_pass_entry_differs(const struct gw_pass_entry *);

#endif
