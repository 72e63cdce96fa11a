#include "map/case.h"

#include "map/case_table.h"

#include <string.h>

static uint32_t other_case(uint32_t c, bool upper)
{
    const struct case_range *ranges = upper ? to_upper : to_lower;
    size_t low = 0;
    size_t high = upper ? sizeof to_upper / sizeof to_upper[0] : sizeof to_lower / sizeof to_lower[0];
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct case_range *r = &ranges[middle];
        if (c < r->first)
            high = middle;
        else if (c > r->last)
            low = middle + 1;
        else
            return (c - r->first) % r->step == 0 ? (uint32_t)((int32_t)c + r->delta) : c;
    }
    return c;
}

/* Its bytes; 0 for what is no character. */
static size_t decode(const unsigned char *p, size_t left, uint32_t *c)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = *p < 0x80 ? 1 : *p < 0xc0 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf8 ? 4 : 0;
    if (len == 0 || len > left)
        return 0;
    *c = len == 1 ? *p : *p & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0u) != 0x80u)
            return 0;
        *c = *c << 6 | (p[i] & 0x3fu);
    }
    return *c >= least[len] ? len : 0;
}

static size_t encode(uint32_t c, unsigned char *out)
{
    if (c < 0x80) {
        out[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (unsigned char)(0xc0u | c >> 6);
        out[1] = (unsigned char)(0x80u | (c & 0x3fu));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (unsigned char)(0xe0u | c >> 12);
        out[1] = (unsigned char)(0x80u | (c >> 6 & 0x3fu));
        out[2] = (unsigned char)(0x80u | (c & 0x3fu));
        return 3;
    }
    out[0] = (unsigned char)(0xf0u | c >> 18);
    out[1] = (unsigned char)(0x80u | (c >> 12 & 0x3fu));
    out[2] = (unsigned char)(0x80u | (c >> 6 & 0x3fu));
    out[3] = (unsigned char)(0x80u | (c & 0x3fu));
    return 4;
}

void gw_case_map(const struct gw_datum *in, bool upper, struct gw_arena *arena, struct gw_datum *out)
{
    /* A character's other case has up to three bytes where it has two. */
    unsigned char *to = gw_arena_alloc(arena, (size_t)in->len * 2 + 4);
    size_t len = 0;
    for (size_t i = 0; i < in->len;) {
        unsigned char byte = in->bytes[i];
        uint32_t c;
        if (byte < 0x80) {
            if (upper && byte >= 'a' && byte <= 'z')
                byte = (unsigned char)(byte - 32);
            else if (!upper && byte >= 'A' && byte <= 'Z')
                byte = (unsigned char)(byte + 32);
            to[len++] = byte;
            i++;
            continue;
        }
        size_t size = decode(in->bytes + i, in->len - i, &c);
        if (size == 0) {
            to[len++] = byte;
            i++;
            continue;
        }
        len += encode(other_case(c, upper), to + len);
        i += size;
    }
    *out = *in;
    out->bytes = to;
    out->len = (uint32_t)len;
}
