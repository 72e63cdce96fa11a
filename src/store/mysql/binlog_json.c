/*
 * MySQL's binary JSON to the text its server gives: "JSON binary format" in MySQL's json_binary.h. Offsets count from the
 * start of the object or array that holds them; a document nests at most 100 deep.
 */
#include "store/mysql/binlog_decoder.h"

#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

#define NESTING_MAX 101

enum {
    SMALL_OBJECT = 0,
    LARGE_OBJECT = 1,
    SMALL_ARRAY = 2,
    LARGE_ARRAY = 3,
    LITERAL = 4,
    INT16 = 5,
    UINT16 = 6,
    INT32 = 7,
    UINT32 = 8,
    INT64 = 9,
    UINT64 = 10,
    DOUBLE = 11,
    STRING = 12,
    OPAQUE = 15,
};

struct span {
    const unsigned char *bytes;
    size_t len;
};

struct printer {
    struct gw_buf *out;
    size_t most; /* offsets may lead to one place many times over: no text is that much longer than its bytes */
};

static bool print(struct printer *p, unsigned type, struct span in, unsigned depth);

static void print_quoted(struct gw_buf *out, const unsigned char *bytes, size_t len)
{
    static const char short_names[] = "btn?fr"; /* 8, 9, 10, -, 12, 13 */
    gw_buf_addc(out, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = bytes[i];
        if (c == '"' || c == '\\') {
            gw_buf_addc(out, '\\');
            gw_buf_addc(out, (char)c);
        } else if (c >= 8 && c <= 13 && c != 11) {
            gw_buf_addc(out, '\\');
            gw_buf_addc(out, short_names[c - 8]);
        } else if (c < 0x20) {
            gw_buf_addf(out, "\\u%04x", c);
        } else {
            gw_buf_addc(out, (char)c);
        }
    }
    gw_buf_addc(out, '"');
}

/* Seven bits a byte, the lowest first. */
static bool take_length(struct gw_cursor *in, size_t *len)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 5; i++) {
        unsigned byte = (unsigned)gw_take_le(in, 1);
        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *len = (size_t)v;
            return !in->bad && v <= UINT32_MAX;
        }
    }
    return false;
}

static void print_double(struct gw_buf *out, const unsigned char *bytes)
{
    char text[GW_BINLOG_VALUE_ROOM];
    uint64_t bits = gw_le64(bytes);
    double v;
    memcpy(&v, &bits, sizeof v);
    size_t len = (size_t)(gw_binlog_put_double(text, v) - text);
    gw_buf_add(out, text, len);
    if (!memchr(text, '.', len) && !memchr(text, 'e', len))
        gw_buf_adds(out, ".0");
}

static void print_time(struct gw_buf *out, unsigned type, int64_t packed)
{
    bool negative = type == GW_BINLOG_TIME && packed < 0;
    uint64_t all = (uint64_t)(negative ? -packed : packed), whole = all >> 24, parts = all & 0xffffff;
    uint64_t month = whole >> 22;
    if (type == GW_BINLOG_TIME) {
        gw_buf_addf(out, "\"%s%02u:%02u:%02u.%06u\"", negative ? "-" : "", (unsigned)(whole >> 12 & 1023),
                    (unsigned)(whole >> 6 & 63), (unsigned)(whole & 63), (unsigned)parts);
        return;
    }
    gw_buf_addf(out, "\"%04u-%02u-%02u", (unsigned)(month / 13 % 10000), (unsigned)(month % 13),
                (unsigned)(whole >> 17 & 31));
    if (type != GW_BINLOG_DATE)
        gw_buf_addf(out, " %02u:%02u:%02u.%06u", (unsigned)(whole >> 12 & 31), (unsigned)(whole >> 6 & 63),
                    (unsigned)(whole & 63), (unsigned)parts);
    gw_buf_addc(out, '"');
}

static void print_base64(struct gw_buf *out, unsigned type, const unsigned char *bytes, size_t len)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    gw_buf_addf(out, "\"base64:type%u:", type);
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t v =
            (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
        gw_buf_addc(out, letters[v >> 18]);
        gw_buf_addc(out, letters[v >> 12 & 63]);
        gw_buf_addc(out, left > 1 ? letters[v >> 6 & 63] : '=');
        gw_buf_addc(out, left > 2 ? letters[v & 63] : '=');
    }
    gw_buf_addc(out, '"');
}

static bool print_opaque(struct gw_buf *out, struct gw_cursor in)
{
    unsigned type = (unsigned)gw_take_le(&in, 1);
    size_t len;
    if (in.bad || !take_length(&in, &len))
        return false;
    const unsigned char *bytes = gw_take(&in, len);
    if (!bytes)
        return false;
    switch (type) {
    case GW_BINLOG_NEWDECIMAL: {
        if (len < 2 || bytes[0] > 65 || bytes[1] > bytes[0])
            return false;
        struct gw_binlog_column column = {.type = GW_BINLOG_NEWDECIMAL, .size = bytes[0], .digits = bytes[1]};
        struct gw_cursor number = gw_cursor_of(bytes + 2, len - 2);
        char room[GW_BINLOG_VALUE_ROOM];
        struct gw_arena none = {0};
        struct gw_value value;
        struct gw_error ignored;
        if (!gw_binlog_value(&column, &number, room, &none, &value, &ignored))
            return false;
        gw_buf_add(out, value.bytes, value.len);
        return true;
    }
    case GW_BINLOG_DATE:
    case GW_BINLOG_TIME:
    case GW_BINLOG_DATETIME:
    case GW_BINLOG_TIMESTAMP:
        if (len != 8)
            return false;
        print_time(out, type, (int64_t)gw_le64(bytes));
        return true;
    default:
        print_base64(out, type, bytes, len);
        return true;
    }
}

static bool is_inline(unsigned type, bool large)
{
    return type == LITERAL || type == INT16 || type == UINT16 || (large && (type == INT32 || type == UINT32));
}

static bool print_members(struct printer *p, struct span in, bool large, bool object, unsigned depth)
{
    unsigned width = large ? 4 : 2;
    struct gw_cursor head = gw_cursor_of(in.bytes, in.len);
    uint64_t count = gw_take_le(&head, width), size = gw_take_le(&head, width);
    if (head.bad || size > in.len || size < 2 * width || count > in.len)
        return false;
    struct gw_cursor keys = gw_cursor_of(head.at, (size_t)size - 2 * width);
    const unsigned char *at = object ? gw_take(&keys, (size_t)count * (width + 2)) : keys.at;
    struct gw_cursor values = keys;
    if (!at)
        return false;
    gw_buf_addc(p->out, object ? '{' : '[');
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0)
            gw_buf_adds(p->out, ", ");
        if (object) {
            uint64_t offset = gw_le(at, width), len = gw_le16(at + width);
            at += width + 2;
            if (offset > size || len > size - offset)
                return false;
            print_quoted(p->out, in.bytes + offset, (size_t)len);
            gw_buf_adds(p->out, ": ");
        }
        unsigned type = (unsigned)gw_take_le(&values, 1);
        const unsigned char *slot = gw_take(&values, width);
        if (!slot)
            return false;
        uint64_t offset = gw_le(slot, width);
        struct span value = {slot, width};
        if (!is_inline(type, large)) {
            if (offset >= size)
                return false;
            value = (struct span){in.bytes + offset, (size_t)(size - offset)};
        }
        if (!print(p, type, value, depth + 1))
            return false;
    }
    gw_buf_addc(p->out, object ? '}' : ']');
    return true;
}

static bool print_number(struct gw_buf *out, unsigned type, struct span in)
{
    static const uint8_t bytes[] = {
        [INT16] = 2, [UINT16] = 2, [INT32] = 4, [UINT32] = 4, [INT64] = 8, [UINT64] = 8, [DOUBLE] = 8};
    unsigned len = bytes[type];
    char text[24];
    if (in.len < len)
        return false;
    if (type == DOUBLE) {
        print_double(out, in.bytes);
        return true;
    }
    uint64_t v = gw_le(in.bytes, len);
    unsigned shift = 64 - 8 * len;
    bool is_signed = type == INT16 || type == INT32 || type == INT64;
    char *end = is_signed ? gw_binlog_put_i64(text, (int64_t)(v << shift) >> shift) : gw_binlog_put_u64(text, v);
    gw_buf_add(out, text, (size_t)(end - text));
    return true;
}

static bool print(struct printer *p, unsigned type, struct span in, unsigned depth)
{
    static const char *const literals[] = {"null", "true", "false"};
    struct gw_cursor cursor = gw_cursor_of(in.bytes, in.len);
    size_t len;
    if (depth > NESTING_MAX || p->out->len > p->most)
        return false;
    switch (type) {
    case SMALL_OBJECT:
    case LARGE_OBJECT:
        return print_members(p, in, type == LARGE_OBJECT, true, depth);
    case SMALL_ARRAY:
    case LARGE_ARRAY:
        return print_members(p, in, type == LARGE_ARRAY, false, depth);
    case LITERAL:
        if (in.len < 1 || *in.bytes > 2)
            return false;
        gw_buf_adds(p->out, literals[*in.bytes]);
        return true;
    case STRING: {
        const unsigned char *text = take_length(&cursor, &len) ? gw_take(&cursor, len) : NULL;
        if (!text)
            return false;
        print_quoted(p->out, text, len);
        return true;
    }
    case OPAQUE:
        return print_opaque(p->out, cursor);
    default:
        return type >= INT16 && type <= DOUBLE && print_number(p->out, type, in);
    }
}

bool gw_binlog_json(const unsigned char *bytes, size_t len, struct gw_buf *out)
{
    struct printer p = {.out = out, .most = out->len + len * 24 + 1024};
    return len > 0 && print(&p, *bytes, (struct span){bytes + 1, len - 1}, 0);
}
