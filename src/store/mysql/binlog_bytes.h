/*
 * Little-endian bytes, as the binlog has them: bounded reading over struct gw_cursor (base/buf.h), and its packed
 * integers. Once a read would pass the end, `bad` is set and everything gives 0 or NULL.
 */
#ifndef GW_STORE_MYSQL_BINLOG_BYTES_H
#define GW_STORE_MYSQL_BINLOG_BYTES_H

#include "base/buf.h"

#include <stdbool.h>
#include <string.h>

static inline uint64_t gw_le(const unsigned char *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline uint16_t gw_le16(const unsigned char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap16(v);
}

static inline uint32_t gw_le32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap32(v);
}

static inline uint64_t gw_le64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? v : __builtin_bswap64(v);
}

/* Big-endian of 1 to 8 bytes: temporal values and decimals are stored so that their bytes sort. */
static inline uint64_t gw_be(const unsigned char *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

/* As gw_cursor_bytes, without a call. */
static inline const unsigned char *gw_take(struct gw_cursor *c, size_t len)
{
    const unsigned char *at = c->at;
    if (__builtin_expect(c->bad || (size_t)(c->end - at) < len, 0)) {
        c->bad = 1;
        return NULL;
    }
    c->at = at + len;
    return at;
}

static inline uint64_t gw_take_le(struct gw_cursor *c, unsigned bytes)
{
    const unsigned char *p = gw_take(c, bytes);
    return p ? gw_le(p, bytes) : 0;
}

/* A length-encoded integer: one byte below 251, else 252, 253 or 254 and 2, 3 or 8 bytes. */
static inline uint64_t gw_take_packed(struct gw_cursor *c)
{
    unsigned first = (unsigned)gw_take_le(c, 1);
    if (first < 251)
        return first;
    if (first == 251 || first == 255) {
        c->bad = 1;
        return 0;
    }
    return gw_take_le(c, first == 252 ? 2 : first == 253 ? 3 : 8);
}

#endif
