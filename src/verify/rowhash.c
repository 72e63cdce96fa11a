#include "verify/rowhash.h"

#include <string.h>

#define SCRATCH_KEEP_BYTES (1u << 20)
#define SCRATCH_MOST_BYTES (64u << 10) /* of a row that is put together; a larger one is hashed where it lies */

struct column_head {
    uint32_t place;
    uint32_t kind;
    uint32_t len;
};

/* Room for these values and their heads; the bytes go in by pointer: this runs for every value of both sides. */
static unsigned char *begin(struct gw_rowhash *hash, uint32_t what, uint64_t bytes, size_t columns)
{
    struct gw_buf *buf = &hash->scratch;
    uint32_t head[2] = {what, hash->collection};
    if (buf->capacity > SCRATCH_KEEP_BYTES) /* after a huge key */
        gw_buf_shrink(buf, SCRATCH_KEEP_BYTES);
    buf->len = 0;
    gw_buf_reserve(buf, sizeof head + columns * sizeof(struct column_head) + bytes);
    memcpy(buf->data, head, sizeof head);
    return (unsigned char *)buf->data + sizeof head;
}

static inline unsigned char *add(unsigned char *at, uint32_t place, const struct gw_value *value)
{
    struct column_head head = {place, (uint32_t)value->kind, value->len};
    memcpy(at, &head, sizeof head);
    at += sizeof head;
    if (value->len)
        memcpy(at, value->bytes, value->len);
    return at + value->len;
}

static struct gw_hash128 finish(const struct gw_rowhash *hash, const unsigned char *end)
{
    return gw_hash128(hash->scratch.data, (size_t)(end - (const unsigned char *)hash->scratch.data), hash->seed);
}

/* The same hash, of the same bytes in the same order. */
static struct gw_hash128 hash_in_place(struct gw_rowhash *hash, const struct gw_row *row)
{
    uint32_t head[2] = {0, hash->collection};
    if (!hash->stream)
        hash->stream = gw_hasher_new(hash->seed);
    gw_hasher_reset(hash->stream, hash->seed);
    gw_hasher_add(hash->stream, head, sizeof head);
    for (uint32_t i = 0; i < row->count; i++) {
        const struct gw_value *value = &row->values[i];
        struct column_head column = {i, (uint32_t)value->kind, value->len};
        gw_hasher_add(hash->stream, &column, sizeof column);
        gw_hasher_add(hash->stream, value->bytes, value->len);
    }
    return gw_hasher_end(hash->stream);
}

void gw_rowhash_release(struct gw_rowhash *hash)
{
    gw_buf_release(&hash->scratch);
    gw_hasher_free(hash->stream);
    hash->stream = NULL;
}

struct gw_hash128 gw_rowhash_row(struct gw_rowhash *hash, const struct gw_row *row, uint64_t *bytes)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < row->count; i++)
        sum += row->values[i].len;
    *bytes = sum;
    if (sum > SCRATCH_MOST_BYTES)
        return hash_in_place(hash, row);
    unsigned char *at = begin(hash, 0, sum, row->count);
    for (uint32_t i = 0; i < row->count; i++)
        at = add(at, i, &row->values[i]);
    return finish(hash, at);
}

struct gw_hash128 gw_rowhash_key(struct gw_rowhash *hash, const struct gw_collection *collection,
                                 const struct gw_row *row)
{
    uint64_t bytes;
    if (collection->key_count == 0) {
        struct gw_hash128 whole = gw_rowhash_row(hash, row, &bytes);
        whole.low = ~whole.low; /* the row's own hash is what is summed under this key */
        return whole;
    }
    bytes = 0;
    for (size_t i = 0; i < collection->key_count; i++)
        bytes += row->values[collection->key[i]].len;
    unsigned char *at = begin(hash, 1, bytes, collection->key_count);
    for (size_t i = 0; i < collection->key_count; i++)
        at = add(at, collection->key[i], &row->values[collection->key[i]]);
    return finish(hash, at);
}

uint64_t gw_rowhash_value(const struct gw_rowhash *hash, uint32_t column, const struct gw_value *value)
{
    uint64_t seed = hash->seed ^ (uint64_t)column * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)value->kind << 56;
    return gw_hash64(value->bytes, value->len, seed);
}
