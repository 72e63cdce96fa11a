#include "base/buf.h"

#include "base/mem.h"

void gw_buf_release(struct gw_buf *buf)
{
    free(buf->data);
    *buf = (struct gw_buf){0};
}

void gw_buf_clear(struct gw_buf *buf)
{
    buf->len = 0;
    if (buf->data)
        buf->data[0] = 0;
}

void gw_buf_shrink(struct gw_buf *buf, size_t keep_bytes)
{
    gw_buf_clear(buf);
    if (buf->capacity <= keep_bytes)
        return;
    if (keep_bytes == 0) {
        gw_buf_release(buf);
        return;
    }
    buf->data = gw_realloc(buf->data, keep_bytes);
    buf->capacity = keep_bytes;
    buf->data[0] = 0;
}

void gw_buf_reserve(struct gw_buf *buf, size_t more_bytes)
{
    size_t need;
    if (__builtin_add_overflow(buf->len, more_bytes, &need) || __builtin_add_overflow(need, 1, &need))
        need = SIZE_MAX; /* gw_realloc ends the process, with the size */
    if (need <= buf->capacity)
        return;
    size_t next = buf->capacity < 64 ? 64 : buf->capacity;
    /* Doubling small buffers; big ones grow by a quarter, so that a value of some hundred MB does not take twice that. */
    while (next < need) {
        size_t step = next < (size_t)16 << 20 ? next : next / 4;
        if (__builtin_add_overflow(next, step, &next)) {
            next = need;
            break;
        }
    }
    buf->data = gw_realloc(buf->data, next);
    buf->capacity = next;
    buf->data[buf->len] = 0;
}

void gw_buf_add(struct gw_buf *buf, const void *bytes, size_t len)
{
    gw_buf_reserve(buf, len);
    if (len)
        memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = 0;
}

void gw_buf_adds(struct gw_buf *buf, const char *text)
{
    gw_buf_add(buf, text, strlen(text));
}

void gw_buf_addc(struct gw_buf *buf, char c)
{
    gw_buf_add(buf, &c, 1);
}

void gw_buf_addf(struct gw_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(buf, format, args);
    va_end(args);
}

void gw_buf_vaddf(struct gw_buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    gw_buf_reserve(buf, 63);
    size_t room = buf->capacity - buf->len;
    int wanted = vsnprintf(buf->data + buf->len, room, format, args);
    if (wanted >= 0 && (size_t)wanted >= room) {
        gw_buf_reserve(buf, (size_t)wanted);
        wanted = vsnprintf(buf->data + buf->len, buf->capacity - buf->len, format, again);
    }
    va_end(again);
    if (wanted > 0)
        buf->len += (size_t)wanted;
    buf->data[buf->len] = 0;
}

void gw_buf_put16(struct gw_buf *buf, uint16_t v)
{
    v = __builtin_bswap16(v);
    gw_buf_add(buf, &v, sizeof v);
}

void gw_buf_put32(struct gw_buf *buf, uint32_t v)
{
    v = __builtin_bswap32(v);
    gw_buf_add(buf, &v, sizeof v);
}

void gw_buf_put64(struct gw_buf *buf, uint64_t v)
{
    v = __builtin_bswap64(v);
    gw_buf_add(buf, &v, sizeof v);
}

const char *gw_buf_text(const struct gw_buf *buf)
{
    return buf->data ? buf->data : "";
}

char *gw_buf_detach(struct gw_buf *buf)
{
    char *data = buf->data ? buf->data : gw_strdup("");
    *buf = (struct gw_buf){0};
    return data;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "gw_get* and gw_buf_put* swap bytes unconditionally");

uint16_t gw_get16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

uint32_t gw_get32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

uint64_t gw_get64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

struct gw_cursor gw_cursor_of(const void *bytes, size_t len)
{
    /* An empty cursor over NULL must still have valid, equal pointers. */
    static const unsigned char nothing[1];
    const unsigned char *at = bytes ? bytes : nothing;
    return (struct gw_cursor){.at = at, .end = at + (bytes ? len : 0), .bad = bytes == NULL && len != 0};
}

size_t gw_cursor_left(const struct gw_cursor *c)
{
    return c->bad ? 0 : (size_t)(c->end - c->at);
}

const unsigned char *gw_cursor_bytes(struct gw_cursor *c, size_t len)
{
    if (c->bad || len > (size_t)(c->end - c->at)) {
        c->bad = 1;
        return NULL;
    }
    const unsigned char *p = c->at;
    c->at += len;
    return p;
}

uint8_t gw_cursor_u8(struct gw_cursor *c)
{
    const unsigned char *p = gw_cursor_bytes(c, 1);
    return p ? *p : 0;
}

uint16_t gw_cursor_u16(struct gw_cursor *c)
{
    const unsigned char *p = gw_cursor_bytes(c, 2);
    return p ? gw_get16(p) : 0;
}

uint32_t gw_cursor_u32(struct gw_cursor *c)
{
    const unsigned char *p = gw_cursor_bytes(c, 4);
    return p ? gw_get32(p) : 0;
}

uint64_t gw_cursor_u64(struct gw_cursor *c)
{
    const unsigned char *p = gw_cursor_bytes(c, 8);
    return p ? gw_get64(p) : 0;
}

const char *gw_cursor_cstr(struct gw_cursor *c)
{
    if (c->bad)
        return NULL;
    const unsigned char *nul = memchr(c->at, 0, (size_t)(c->end - c->at));
    if (!nul) {
        c->bad = 1;
        return NULL;
    }
    const char *text = (const char *)c->at;
    c->at = nul + 1;
    return text;
}
