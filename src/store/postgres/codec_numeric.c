/* numeric: digits of base 10,000 with a weight, and the scale it shows. */
#include "store/postgres/codec.h"

#include <string.h>

#define HEADER_BYTES 8
#define NEGATIVE 0x4000
#define NOT_A_NUMBER 0xC000
#define INFINITE 0xD000
#define MINUS_INFINITE 0xF000
#define MOST_WHOLE 131072 /* digits before the point */
#define MOST_SCALE 16383

static const char pairs[] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

static char *put_four(char *at, unsigned value)
{
    memcpy(at, pairs + (value / 100) * 2, 2);
    memcpy(at + 2, pairs + (value % 100) * 2, 2);
    return at + 4;
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

static bool special(unsigned sign, struct gw_datum *out)
{
    const char *word = sign == NOT_A_NUMBER ? "NaN" : sign == INFINITE ? "Infinity" : "-Infinity";
    *out = gw_datum_of_bytes(GW_KIND_DECIMAL, word, strlen(word));
    return true;
}

/* The digit of weight w, 0 where there is none. */
static inline unsigned digit_at(const unsigned char *digits, int count, int index)
{
    const unsigned char *at = digits + (size_t)index * 2;
    return index >= 0 && index < count ? (unsigned)at[0] << 8 | at[1] : 0;
}

static char *put_whole(char *at, const unsigned char *digits, int count, int weight)
{
    if (weight < 0) {
        *at++ = '0';
        return at;
    }
    char first[4];
    put_four(first, digit_at(digits, count, 0));
    int skip = 0;
    while (skip < 3 && first[skip] == '0')
        skip++;
    memcpy(at, first + skip, (size_t)(4 - skip));
    at += 4 - skip;
    for (int i = 1; i <= weight; i++)
        at = put_four(at, digit_at(digits, count, i));
    return at;
}

bool gw_pg_numeric_read(const struct gw_pg_coding *coding, const unsigned char *bytes, uint32_t len,
                        struct gw_arena *arena, struct gw_datum *out, struct gw_error *err)
{
    if (len < HEADER_BYTES)
        return gw_pg_refuse(coding, "a numeric of too few bytes", err);
    int count = gw_get16(bytes), weight = (int16_t)gw_get16(bytes + 2), scale = gw_get16(bytes + 6);
    unsigned sign = gw_get16(bytes + 4);
    const unsigned char *digits = bytes + HEADER_BYTES;
    if (sign == NOT_A_NUMBER || sign == INFINITE || sign == MINUS_INFINITE)
        return special(sign, out);
    if (len != HEADER_BYTES + (uint32_t)count * 2 || scale > MOST_SCALE || (sign != 0 && sign != NEGATIVE))
        return gw_pg_refuse(coding, "a malformed numeric", err);
    for (int i = 0; i < count; i++)
        if (digit_at(digits, count, i) > 9999)
            return gw_pg_refuse(coding, "a malformed numeric", err);
    size_t room = (weight < 0 ? 1 : ((size_t)weight + 1) * 4) + (size_t)scale + 8;
    char *text = gw_arena_alloc(arena, room), *at = text;
    if (sign == NEGATIVE)
        *at++ = '-';
    at = put_whole(at, digits, count, weight);
    if (scale > 0) {
        *at++ = '.';
        char *end = at + scale;
        for (int i = weight + 1; at < end; i++)
            at = put_four(at, digit_at(digits, count, i)); /* room for three more than shown */
        at = end;
    }
    *out = gw_datum_of_bytes(GW_KIND_DECIMAL, text, (size_t)(at - text));
    return true;
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

static bool write_special(const struct gw_pg_coding *coding, const unsigned char *text, uint32_t len,
                          struct gw_buf *out, struct gw_error *err)
{
    unsigned sign;
    if (len == 3 && memcmp(text, "NaN", 3) == 0)
        sign = NOT_A_NUMBER;
    else if (len == 8 && memcmp(text, "Infinity", 8) == 0)
        sign = INFINITE;
    else if (len == 9 && memcmp(text, "-Infinity", 9) == 0)
        sign = MINUS_INFINITE;
    else
        return gw_pg_refuse(coding, "a decimal that is none", err);
    gw_buf_put32(out, 0);
    gw_buf_put32(out, sign << 16);
    return true;
}

struct shape {
    const unsigned char *whole, *fraction;
    uint32_t whole_len, scale;
    bool negative;
};

static bool take_shape(const unsigned char *text, uint32_t len, struct shape *out)
{
    const unsigned char *at = text, *end = text + len;
    *out = (struct shape){0};
    if (at < end && *at == '-') {
        out->negative = true;
        at++;
    }
    while (at < end && *at == '0' && at + 1 < end && at[1] != '.')
        at++;
    out->whole = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    out->whole_len = (uint32_t)(at - out->whole);
    if (out->whole_len == 0)
        return false;
    if (out->whole_len == 1 && *out->whole == '0')
        out->whole_len = 0;
    if (at == end)
        return true;
    if (*at++ != '.' || at == end)
        return false;
    out->fraction = at;
    out->scale = (uint32_t)(end - at);
    for (; at < end; at++)
        if (*at < '0' || *at > '9')
            return false;
    return true;
}

static unsigned four_of(const unsigned char *at)
{
    return (unsigned)(at[0] - '0') * 1000 + (unsigned)(at[1] - '0') * 100 + (unsigned)(at[2] - '0') * 10 +
           (unsigned)(at[3] - '0');
}

static void put16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

/* Digit groups, with zeros of both ends left out. *weight: of the first that stays. */
static unsigned char *put_groups(unsigned char *at, const struct shape *s, int *weight)
{
    unsigned char *start = at;
    uint32_t head = s->whole_len % 4, i = 0;
    bool any = false;
    int next = (int)((s->whole_len + 3) / 4) - 1;
    *weight = 0;
    while (i < s->whole_len || i - s->whole_len < s->scale) {
        unsigned value = 0;
        if (i == 0 && head) {
            for (; i < head; i++)
                value = value * 10 + (unsigned)(s->whole[i] - '0');
        } else if (i < s->whole_len) {
            value = four_of(s->whole + i);
            i += 4;
        } else {
            uint32_t from = i - s->whole_len, left = s->scale - from;
            unsigned char four[4] = {'0', '0', '0', '0'};
            memcpy(four, s->fraction + from, left < 4 ? left : 4);
            value = four_of(four);
            i += 4;
        }
        if (value && !any) {
            any = true;
            *weight = next;
        }
        if (any) {
            put16(at, value);
            at += 2;
        }
        next--;
    }
    while (at > start && at[-1] == 0 && at[-2] == 0)
        at -= 2;
    return at;
}

bool gw_pg_numeric_write(const struct gw_pg_coding *coding, const unsigned char *text, uint32_t len, struct gw_buf *out,
                         struct gw_error *err)
{
    struct shape s;
    int weight;
    if (!take_shape(text, len, &s))
        return write_special(coding, text, len, out, err);
    if (s.whole_len > MOST_WHOLE || s.scale > MOST_SCALE)
        return gw_fail(err, GW_ERR_CONFLICT, "column %s cannot hold a number of %u digits, %u of them behind the point",
                       coding->column ? coding->column : "?", s.whole_len + s.scale, s.scale);
    gw_buf_reserve(out, HEADER_BYTES + ((size_t)s.whole_len / 4 + s.scale / 4 + 2) * 2);
    unsigned char *header = (unsigned char *)out->data + out->len;
    unsigned char *end = put_groups(header + HEADER_BYTES, &s, &weight);
    unsigned count = (unsigned)(end - header - HEADER_BYTES) / 2;
    put16(header, count);
    put16(header + 2, (unsigned)(uint16_t)(int16_t)(count ? weight : 0));
    put16(header + 4, s.negative && count ? NEGATIVE : 0);
    put16(header + 6, s.scale);
    out->len += (size_t)(end - header);
    out->data[out->len] = 0;
    return true;
}
