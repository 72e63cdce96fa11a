#include "verify/rowhash.h"

#include <string.h>

#define SCRATCH_KEEP_BYTES (1u << 20)

struct column_head {
    uint32_t place;
    uint32_t kind;
    uint32_t len;
};

static void begin(struct gw_rowhash *hash, uint32_t what)
{
    gw_buf_shrink(&hash->scratch, SCRATCH_KEEP_BYTES);
    uint32_t head[2] = {what, hash->collection};
    gw_buf_add(&hash->scratch, head, sizeof head);
}

static void add(struct gw_rowhash *hash, uint32_t place, const struct gw_value *value)
{
    struct column_head head = {place, (uint32_t)value->kind, value->len};
    struct gw_buf *buf = &hash->scratch;
    gw_buf_reserve(buf, sizeof head + value->len + 1);
    memcpy(buf->data + buf->len, &head, sizeof head);
    buf->len += sizeof head;
    if (value->len) {
        memcpy(buf->data + buf->len, value->bytes, value->len);
        buf->len += value->len;
    }
}

struct gw_hash128 gw_rowhash_row(struct gw_rowhash *hash, const struct gw_row *row, uint64_t *bytes)
{
    uint64_t sum = 0;
    begin(hash, 0);
    for (uint32_t i = 0; i < row->count; i++) {
        add(hash, i, &row->values[i]);
        sum += row->values[i].len;
    }
    *bytes = sum;
    return gw_hash128(hash->scratch.data, hash->scratch.len, hash->seed);
}

struct gw_hash128 gw_rowhash_key(struct gw_rowhash *hash, const struct gw_collection *collection,
                                 const struct gw_row *row)
{
    begin(hash, 1);
    if (collection->key_count == 0)
        for (uint32_t i = 0; i < row->count; i++)
            add(hash, i, &row->values[i]);
    for (size_t i = 0; i < collection->key_count; i++)
        add(hash, collection->key[i], &row->values[collection->key[i]]);
    return gw_hash128(hash->scratch.data, hash->scratch.len, hash->seed);
}

uint64_t gw_rowhash_value(const struct gw_rowhash *hash, uint32_t column, const struct gw_value *value)
{
    uint64_t seed = hash->seed ^ (uint64_t)column * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)value->kind << 56;
    return gw_hash64(value->bytes, value->len, seed);
}
