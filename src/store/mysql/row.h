/*
 * The engine's blocks: rows one behind the other, each the values of the written columns in their order, each value its
 * length and its bytes. Length: one byte below 251; 251 is NULL; 252, 253, 254 and then two, three, eight bytes,
 * little-endian (the protocol's own "length-encoded string"). Values are native ones, see column.h.
 */
#ifndef GW_STORE_MYSQL_ROW_H
#define GW_STORE_MYSQL_ROW_H

#include "base/buf.h"

#include <stdbool.h>
#include <string.h>

#define GW_MYSQL_ROW_NULL 251

static inline void gw_mysql_row_put_null(struct gw_buf *out)
{
    gw_buf_addc(out, (char)GW_MYSQL_ROW_NULL);
}

static inline void gw_mysql_row_put(struct gw_buf *out, const void *bytes, size_t len)
{
    gw_buf_reserve(out, len + 10);
    unsigned char *to = (unsigned char *)out->data + out->len;
    unsigned char *from = to;
    size_t length_bytes = len < 251 ? 0 : len < 65536 ? 2 : len < 16777216 ? 3 : 8;
    *to++ = (unsigned char)(length_bytes == 0 ? len : length_bytes == 8 ? 254 : 250 + length_bytes);
    for (size_t i = 0; i < length_bytes; i++)
        *to++ = (unsigned char)((uint64_t)len >> (8 * i));
    if (len > 0)
        memcpy(to, bytes, len);
    out->len += (size_t)(to - from) + len;
    out->data[out->len] = 0;
}

/* False: the bytes end within it. A NULL has *bytes NULL. */
static inline bool gw_mysql_row_get(const unsigned char **at, const unsigned char *end, const unsigned char **bytes,
                                    size_t *len)
{
    const unsigned char *p = *at;
    if (p >= end)
        return false;
    unsigned first = *p++;
    uint64_t n = first;
    if (first == GW_MYSQL_ROW_NULL) {
        *bytes = NULL;
        *len = 0;
        *at = p;
        return true;
    }
    if (first > GW_MYSQL_ROW_NULL) {
        size_t length_bytes = first == 252 ? 2 : first == 253 ? 3 : 8;
        if ((size_t)(end - p) < length_bytes)
            return false;
        n = 0;
        for (size_t i = 0; i < length_bytes; i++)
            n |= (uint64_t)p[i] << (8 * i);
        p += length_bytes;
    }
    if ((uint64_t)(end - p) < n)
        return false;
    *bytes = p;
    *len = (size_t)n;
    *at = p + n;
    return true;
}

#endif
