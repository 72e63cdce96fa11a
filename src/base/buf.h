/*
 * A growing byte buffer, always NUL-terminated behind len so that text can be read as a C string.
 * Zero-initialise (`struct gw_buf b = {0};`), gw_buf_release when done; gw_buf_clear keeps the memory.
 * Not thread-safe; owned by whoever declared it.
 */
#ifndef GW_BASE_BUF_H
#define GW_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct gw_buf {
    char *data; /* NULL while nothing was ever added: use gw_buf_text() to read as a string */
    size_t len; /* bytes, without the NUL */
    size_t capacity;
};

void gw_buf_release(struct gw_buf *buf);
void gw_buf_clear(struct gw_buf *buf);
/* Clears, and gives memory above keep_bytes back (after one huge value the buffer must not stay huge). */
void gw_buf_shrink(struct gw_buf *buf, size_t keep_bytes);
void gw_buf_grow(struct gw_buf *buf, size_t more_bytes); /* as reserve, which looks first */
void gw_buf_adds(struct gw_buf *buf, const char *text);
void gw_buf_addf(struct gw_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void gw_buf_vaddf(struct gw_buf *buf, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
const char *gw_buf_text(const struct gw_buf *buf); /* borrowed; "" when empty */
char *gw_buf_detach(struct gw_buf *buf);           /* owned by the caller, never NULL; buf is empty after it */
#define gw_autobuf __attribute__((cleanup(gw_buf_release)))

/* What follows is called for every value of every row: inline. */
static inline void gw_buf_reserve(struct gw_buf *buf, size_t more_bytes)
{
    if (buf->capacity <= buf->len || more_bytes >= buf->capacity - buf->len)
        gw_buf_grow(buf, more_bytes);
}

static inline void gw_buf_add(struct gw_buf *buf, const void *bytes, size_t len)
{
    gw_buf_reserve(buf, len);
    if (len)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = 0;
}

static inline void gw_buf_addc(struct gw_buf *buf, char c)
{
    gw_buf_reserve(buf, 1);
    buf->data[buf->len++] = c;
    buf->data[buf->len] = 0;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "gw_get* and gw_put* swap bytes unconditionally");

/* Big-endian integers, as PostgreSQL's and most wire formats have them. */
static inline void gw_put32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

static inline void gw_put64(void *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

static inline void gw_buf_put16(struct gw_buf *buf, uint16_t v)
{
    v = __builtin_bswap16(v);
    gw_buf_add(buf, &v, sizeof v);
}

static inline void gw_buf_put32(struct gw_buf *buf, uint32_t v)
{
    gw_put32(&v, v);
    gw_buf_add(buf, &v, sizeof v);
}

static inline void gw_buf_put64(struct gw_buf *buf, uint64_t v)
{
    gw_put64(&v, v);
    gw_buf_add(buf, &v, sizeof v);
}

/* Reading big-endian bytes without alignment. */
static inline uint16_t gw_get16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t gw_get32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t gw_get64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

/* A bounded reader over borrowed bytes: once it would run past the end, `bad` is set and all reads give 0 or NULL.
 * Every decoder of foreign bytes uses this, so that no length field is trusted. */
struct gw_cursor {
    const unsigned char *at, *end;
    int bad;
};
struct gw_cursor gw_cursor_of(const void *bytes, size_t len);
size_t gw_cursor_left(const struct gw_cursor *c);

/* Borrowed, NULL when too short. */
static inline const unsigned char *gw_cursor_bytes(struct gw_cursor *c, size_t len)
{
    if (c->bad || len > (size_t)(c->end - c->at)) {
        c->bad = 1;
        return NULL;
    }
    const unsigned char *p = c->at;
    c->at += len;
    return p;
}

static inline uint8_t gw_cursor_u8(struct gw_cursor *c)
{
    const unsigned char *p = gw_cursor_bytes(c, 1);
    return p ? *p : 0;
}

static inline uint16_t gw_cursor_u16(struct gw_cursor *c)
{
    const unsigned char *p = gw_cursor_bytes(c, 2);
    return p ? gw_get16(p) : 0;
}

static inline uint32_t gw_cursor_u32(struct gw_cursor *c)
{
    const unsigned char *p = gw_cursor_bytes(c, 4);
    return p ? gw_get32(p) : 0;
}

static inline uint64_t gw_cursor_u64(struct gw_cursor *c)
{
    const unsigned char *p = gw_cursor_bytes(c, 8);
    return p ? gw_get64(p) : 0;
}

const char *gw_cursor_cstr(struct gw_cursor *c); /* NUL-terminated within bounds, or NULL */

#endif
