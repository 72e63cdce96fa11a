/*
 * Random canonical values of a type, for property tests of codecs and maps: values that any column of this type holds,
 * those at the edges more often than others. Deterministic: the same seed gives the same values.
 *
 *     struct datum_random random = {.seed = 42};
 *     struct gw_datum datum = datum_random(&random, &type, &arena);
 *
 * What only one engine reads (gw_type.foreign) and geometries are NULL.
 */
#ifndef GW_TEST_DATUM_RANDOM_H
#define GW_TEST_DATUM_RANDOM_H

#include "base/buf.h"
#include "model/type.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct datum_random {
    uint64_t seed;
    bool ascii_only;
};

static inline uint64_t datum_random_next(struct datum_random *r)
{
    uint64_t z = r->seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint64_t datum_random_below(struct datum_random *r, uint64_t bound)
{
    return bound ? datum_random_next(r) % bound : 0;
}

/* Between the two, both included; the ends and 0 often. */
static inline int64_t datum_random_between(struct datum_random *r, int64_t least, int64_t most)
{
    uint64_t width = (uint64_t)most - (uint64_t)least;
    switch (datum_random_below(r, 8)) {
    case 0:
        return least;
    case 1:
        return most;
    case 2:
        return least <= 0 && most >= 0 ? 0 : least;
    case 3: { /* of any size */
        int64_t small = (int64_t)(datum_random_next(r) >> datum_random_below(r, 64));
        if (small >= least && small <= most)
            return small;
        break;
    }
    default:
        break;
    }
    return (int64_t)((uint64_t)least + (width == UINT64_MAX ? datum_random_next(r) : datum_random_below(r, width + 1)));
}

static inline struct gw_datum datum_random_decimal(struct datum_random *r, const struct gw_type *type,
                                                   struct gw_arena *arena)
{
    unsigned most = type->precision ? type->precision : 40;
    int scale = type->scale >= 0 ? type->scale : (int)datum_random_below(r, 20);
    unsigned whole = (unsigned)datum_random_below(r, (most > (unsigned)scale ? most - (unsigned)scale : 0) + 1);
    char *text = gw_arena_alloc(arena, (size_t)whole + (size_t)scale + 8);
    size_t len = 0;
    bool any = false, nines = datum_random_below(r, 6) == 0, zeros = datum_random_below(r, 6) == 0;
    if (type->infinities && datum_random_below(r, 20) == 0) {
        static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
        const char *word = words[datum_random_below(r, 3)];
        return gw_datum_of_bytes(GW_KIND_DECIMAL, word, strlen(word));
    }
    text[len++] = '-';
    for (unsigned i = 0; i < whole; i++) {
        unsigned digit = nines ? 9 : (unsigned)datum_random_below(r, 10);
        if (i == 0 && digit == 0)
            digit = 1;
        any = any || digit;
        text[len++] = (char)('0' + digit);
    }
    if (whole == 0)
        text[len++] = '0';
    if (scale > 0)
        text[len++] = '.';
    for (int i = 0; i < scale; i++) {
        unsigned digit = nines ? 9 : zeros ? 0 : (unsigned)datum_random_below(r, 10);
        any = any || digit;
        text[len++] = (char)('0' + digit);
    }
    bool negative = any && datum_random_below(r, 2);
    return gw_datum_of_bytes(GW_KIND_DECIMAL, text + !negative, len - !negative);
}

static inline void datum_random_character(struct datum_random *r, const struct gw_type *type, struct gw_buf *out)
{
    static const char *const special[] = {" ", "'", "\"", "\\",  "\t", "\n",   "\r",  "\b",
                                          ",", "{", "}",  "\\N", "%",  "\x7f", "\x01"};
    static const char *const wide[] = {"\xc3\xa9",     "\xc3\x9f",     "\xe2\x82\xac",
                                       "\xef\xbf\xbf", "\xed\x9f\xbf", "\xcc\x81"};
    static const char *const astral[] = {"\xf0\x9f\x90\xa6", "\xf4\x8f\xbf\xbf"};
    unsigned kind = (unsigned)datum_random_below(r, r->ascii_only ? 8 : 12);
    if (kind < 6)
        gw_buf_addc(out, (char)('!' + datum_random_below(r, '~' - '!' + 1)));
    else if (kind < 8)
        gw_buf_addc(out, special[datum_random_below(r, sizeof special / sizeof *special)][0]);
    else if (kind < 11 || type->basic_plane)
        gw_buf_adds(out, wide[datum_random_below(r, sizeof wide / sizeof *wide)]);
    else
        gw_buf_adds(out, astral[datum_random_below(r, 2)]);
}

static inline struct gw_datum datum_random_keep(enum gw_kind kind, const struct gw_buf *bytes, struct gw_arena *arena)
{
    return gw_datum_of_bytes(kind, gw_arena_dup(arena, bytes->data, bytes->len), bytes->len);
}

/* Without trailing spaces where they do not count. */
static inline struct gw_datum datum_random_text(struct datum_random *r, const struct gw_type *type,
                                                struct gw_arena *arena)
{
    gw_autobuf struct gw_buf text = {0};
    uint64_t most = type->length ? type->length : 60, count;
    if (type->bytes && most > type->bytes / 4)
        most = type->bytes / 4;
    count = (uint64_t)datum_random_between(r, 0, (int64_t)(most < 300 ? most : 300));
    for (uint64_t i = 0; i < count; i++)
        datum_random_character(r, type, &text);
    if (type->fixed || type->pads)
        while (text.len && (text.data[text.len - 1] == ' '))
            text.len--;
    return datum_random_keep(type->kind, &text, arena);
}

static inline struct gw_datum datum_random_bytes(struct datum_random *r, const struct gw_type *type,
                                                 struct gw_arena *arena)
{
    uint64_t most = type->length ? type->length : 200;
    uint64_t count = type->fixed ? most : (uint64_t)datum_random_between(r, 0, (int64_t)(most < 300 ? most : 300));
    unsigned char *bytes = gw_arena_alloc(arena, count);
    for (uint64_t i = 0; i < count; i++)
        bytes[i] = type->kind == GW_KIND_BITS ? (unsigned char)('0' + datum_random_below(r, 2))
                                              : (unsigned char)(datum_random_next(r) >> datum_random_below(r, 57));
    return gw_datum_of_bytes(type->kind, bytes, count);
}

static inline void datum_random_json(struct datum_random *r, unsigned depth, struct gw_buf *out)
{
    static const char *const leaves[] = {
        "null", "true", "false", "0", "-1.50", "1e3", "\"\"", "\"a \\\"b\\\" \\\\ \\u00e9\"", "12345678901234567890.5",
        "[]",   "{}"};
    uint64_t kind = datum_random_below(r, depth > 3 ? 1 : 3), count = datum_random_below(r, 4);
    if (kind == 0) {
        gw_buf_adds(out, leaves[datum_random_below(r, sizeof leaves / sizeof *leaves)]);
        return;
    }
    gw_buf_addc(out, kind == 1 ? '[' : '{');
    for (uint64_t i = 0; i < count; i++) {
        gw_buf_adds(out, i ? ", " : "");
        if (kind == 2)
            gw_buf_addf(out, "\"k%" PRIu64 "\": ", i);
        datum_random_json(r, depth + 1, out);
    }
    gw_buf_addc(out, kind == 1 ? ']' : '}');
}

static inline int64_t datum_random_moment(struct datum_random *r, const struct gw_type *type, int64_t least,
                                          int64_t most)
{
    static const int64_t unit[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    if (type->least || type->most) {
        least = type->least;
        most = type->most;
    }
    if (type->infinities && datum_random_below(r, 20) == 0)
        return datum_random_below(r, 2) ? GW_DATUM_FOREVER : -GW_DATUM_FOREVER;
    int64_t value = datum_random_between(r, least, most);
    if (type->kind != GW_KIND_DATE && type->scale >= 0 && type->scale < 6)
        value -= value % unit[type->scale];
    return value < least ? value + unit[type->scale < 0 ? 6 : type->scale] : value;
}

static inline struct gw_datum datum_random(struct datum_random *r, const struct gw_type *type, struct gw_arena *arena);

static inline struct gw_datum datum_random_array(struct datum_random *r, const struct gw_type *type,
                                                 struct gw_arena *arena)
{
    gw_autobuf struct gw_buf flat = {0};
    uint32_t dimensions = (uint32_t)datum_random_below(r, 4), lengths[3] = {0};
    int32_t lowers[3] = {0};
    uint64_t count = dimensions ? 1 : 0;
    for (uint32_t i = 0; i < dimensions; i++) {
        lengths[i] = 1 + (uint32_t)datum_random_below(r, 3);
        lowers[i] = datum_random_below(r, 2) ? 1 : (int32_t)datum_random_between(r, -5, 5);
        count *= lengths[i];
    }
    gw_datum_array_begin(&flat, dimensions, lengths, lowers);
    for (uint64_t i = 0; i < count; i++) {
        struct gw_datum element =
            datum_random_below(r, 5) == 0 ? gw_datum_null() : datum_random(r, type->element, arena);
        gw_datum_write(&flat, &element);
    }
    return datum_random_keep(GW_KIND_ARRAY, &flat, arena);
}

static inline struct gw_datum datum_random_number(struct datum_random *r, const struct gw_type *type)
{
    unsigned bits = type->bits ? type->bits : 64;
    struct gw_datum datum = {.kind = type->kind};
    uint64_t any = datum_random_next(r);
    switch (type->kind) {
    case GW_KIND_BOOL:
        datum.boolean = any & 1;
        break;
    case GW_KIND_INT64:
        datum.i64 = datum_random_between(r, INT64_MIN >> (64 - bits), INT64_MAX >> (64 - bits));
        break;
    case GW_KIND_UINT64:
        datum.u64 = any % 8 == 0 ? UINT64_MAX >> (64 - bits) : (any >> (64 - bits)) >> datum_random_below(r, bits);
        break;
    case GW_KIND_FLOAT32: { /* any bits that are a number, and those that are none where they may be */
        uint32_t half = any % 10 == 0 ? (any & 16 ? 0x80000000u : 0) : (uint32_t)(any >> 32);
        if ((half & 0x7f800000u) == 0x7f800000u)
            half = type->infinities ? (half & 1 ? 0x7fc00000u : half & 0xff800000u) : 0x00000001u;
        memcpy(&datum.f32, &half, sizeof half);
        break;
    }
    default: {
        uint64_t whole = any % 10 == 0 ? (any & 16 ? UINT64_C(1) << 63 : 0) : datum_random_next(r);
        if ((whole & UINT64_C(0x7ff0000000000000)) == UINT64_C(0x7ff0000000000000))
            whole = !type->infinities ? 1
                    : whole & 1       ? UINT64_C(0x7ff8000000000000)
                                      : whole & UINT64_C(0xfff0000000000000);
        memcpy(&datum.f64, &whole, sizeof whole);
    }
    }
    return datum;
}

static inline struct gw_datum datum_random(struct datum_random *r, const struct gw_type *type, struct gw_arena *arena)
{
    gw_autobuf struct gw_buf json = {0};
    struct gw_datum datum = {.kind = type->kind};
    switch (type->kind) {
    case GW_KIND_BOOL:
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
        return datum_random_number(r, type);
    case GW_KIND_DECIMAL:
        return datum_random_decimal(r, type, arena);
    case GW_KIND_TEXT:
        return type->foreign ? gw_datum_null() : datum_random_text(r, type, arena);
    case GW_KIND_BYTES:
    case GW_KIND_BITS:
        return datum_random_bytes(r, type, arena);
    case GW_KIND_DATE:
        datum.i64 = datum_random_moment(r, type, -730119, 2921939);
        return datum;
    case GW_KIND_TIME:
        datum.i64 = datum_random_moment(r, type, 0, GW_DAY_US - 1);
        return datum;
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        datum.i64 = datum_random_moment(r, type, -730119 * GW_DAY_US, 2921940 * GW_DAY_US - 1);
        return datum;
    case GW_KIND_INTERVAL:
        datum.interval.months = (int32_t)datum_random_between(r, -1200, 1200);
        datum.interval.days = (int32_t)datum_random_between(r, INT32_MIN, INT32_MAX);
        datum.interval.us = datum_random_between(r, INT64_MIN / 2, INT64_MAX / 2);
        return datum;
    case GW_KIND_UUID:
        return datum_random_bytes(r, &(struct gw_type){.kind = GW_KIND_UUID, .length = 16, .fixed = true}, arena);
    case GW_KIND_JSON:
        datum_random_json(r, 0, &json);
        return datum_random_keep(GW_KIND_JSON, &json, arena);
    case GW_KIND_ENUM: {
        const char *label = type->label_count ? type->labels[datum_random_below(r, type->label_count)] : "";
        return gw_datum_of_bytes(GW_KIND_ENUM, label, strlen(label));
    }
    case GW_KIND_ARRAY:
        return datum_random_array(r, type, arena);
    default:
        return gw_datum_null();
    }
}

#endif
