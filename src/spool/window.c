#include "spool/window.h"

#include "base/buf.h"
#include "base/mem.h"
#include "spool/segment.h"

void gw_window_init(struct gw_window *window, gw_window_fill *fill, void *arg)
{
    *window = (struct gw_window){.fill = fill, .arg = arg, .bytes = gw_alloc(GW_WINDOW_BYTES)};
}

void gw_window_release(struct gw_window *window)
{
    free(window->bytes);
    free(window->big);
    *window = (struct gw_window){0};
}

void gw_window_reset(struct gw_window *window)
{
    window->len = 0;
    window->offset = 0;
    free(window->big);
    window->big = NULL;
}

/* `need` bytes from `offset` on, out of the buffer. *at is NULL when the segment ends before. */
static bool window_bytes(struct gw_window *window, int64_t offset, size_t need, int64_t limit, const unsigned char **at,
                         struct gw_error *err)
{
    *at = NULL;
    if (offset < window->offset || offset > window->offset + (int64_t)window->len) {
        window->offset = offset;
        window->len = 0;
    }
    size_t skip = (size_t)(offset - window->offset);
    if (window->len - skip < need) {
        memmove(window->bytes, window->bytes + skip, window->len - skip);
        window->len -= skip;
        window->offset = offset;
        skip = 0;
    }
    while (window->len - skip < need) {
        int64_t from = window->offset + (int64_t)window->len, left = limit - from;
        size_t room = GW_WINDOW_BYTES - window->len;
        size_t want = left < (int64_t)room ? (left > 0 ? (size_t)left : 0) : room;
        int64_t got = want ? window->fill(window->arg, from, window->bytes + window->len, want, err) : 0;
        if (got < 0)
            return false;
        if (got == 0)
            return true;
        window->len += (size_t)got;
    }
    *at = window->bytes + skip;
    return true;
}

static bool big_bytes(struct gw_window *window, int64_t offset, size_t need, const unsigned char **at,
                      struct gw_error *err)
{
    *at = NULL;
    window->big = gw_alloc(need);
    size_t have = 0;
    if (offset >= window->offset && offset < window->offset + (int64_t)window->len) {
        size_t skip = (size_t)(offset - window->offset);
        have = window->len - skip;
        memcpy(window->big, window->bytes + skip, have);
    }
    while (have < need) {
        int64_t got = window->fill(window->arg, offset + (int64_t)have, window->big + have, need - have, err);
        if (got < 0)
            return false;
        if (got == 0)
            return true;
        have += (size_t)got;
    }
    *at = window->big;
    return true;
}

enum gw_record_verdict gw_window_record(struct gw_window *window, int64_t offset, int64_t limit,
                                        const unsigned char **payload, size_t *len, const char **why,
                                        struct gw_error *err)
{
    const unsigned char *at;
    free(window->big);
    window->big = NULL;
    if (offset >= limit)
        return GW_RECORD_END;
    if (!window_bytes(window, offset, GW_RECORD_HEADER_BYTES, limit, &at, err))
        return GW_RECORD_ERROR;
    *why = "it ends inside the head of a record";
    if (!at)
        return GW_RECORD_BAD;
    size_t need = gw_get32(at);
    uint32_t check = gw_get32(at + 4);
    *why = "a record's length is not possible";
    if (need < 2)
        return GW_RECORD_BAD;
    *why = "a record runs past the end";
    if ((int64_t)need > limit - offset - GW_RECORD_HEADER_BYTES)
        return GW_RECORD_BAD;
    int64_t begin = offset + GW_RECORD_HEADER_BYTES;
    bool ok = need <= GW_WINDOW_BYTES ? window_bytes(window, begin, need, limit, &at, err)
                                      : big_bytes(window, begin, need, &at, err);
    if (!ok)
        return GW_RECORD_ERROR;
    if (!at)
        return GW_RECORD_BAD;
    *why = "a record does not match its check";
    if (gw_record_check(at, need) != check)
        return GW_RECORD_BAD;
    *payload = at;
    *len = need;
    return GW_RECORD_GOOD;
}
