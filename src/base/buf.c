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

void gw_buf_grow(struct gw_buf *buf, size_t more_bytes)
{
    size_t need;
    if (__builtin_add_overflow(buf->len, more_bytes, &need) || __builtin_add_overflow(need, 1, &need))
        need = SIZE_MAX; /* gw_realloc ends the process, with the size */
    if (need <= buf->capacity)
        return;
    /* The first time what is asked for: who knows how much comes need not hold twice that. */
    size_t next = buf->capacity ? buf->capacity : need;
    if (next < 64)
        next = 64;
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

void gw_buf_adds(struct gw_buf *buf, const char *text)
{
    gw_buf_add(buf, text, strlen(text));
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
