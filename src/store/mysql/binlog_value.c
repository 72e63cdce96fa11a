/*
 * One value of a row image to the form the reader gives it in. What a type of column looks like in the binlog:
 * "Row event column values" in MySQL's replication protocol; times and decimals are stored so that their bytes sort.
 */
#include "store/mysql/binlog_decoder.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

/* ---- digits ---- */

static const char two_digits[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142"
    "43444546474849505152535455565758596061626364656667686970717273747576777879808182838485"
    "8687888990919293949596979899";

char *gw_binlog_put_u64(char *at, uint64_t v)
{
    char back[20];
    unsigned n = sizeof back;
    while (v >= 100) {
        n -= 2;
        memcpy(back + n, two_digits + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        n -= 2;
        memcpy(back + n, two_digits + v * 2, 2);
    } else {
        back[--n] = (char)('0' + v);
    }
    memcpy(at, back + n, sizeof back - n);
    return at + sizeof back - n;
}

char *gw_binlog_put_i64(char *at, int64_t v)
{
    if (v >= 0)
        return gw_binlog_put_u64(at, (uint64_t)v);
    *at = '-';
    return gw_binlog_put_u64(at + 1, 0 - (uint64_t)v);
}

char *gw_binlog_put_padded(char *at, uint64_t v, unsigned digits)
{
    unsigned i = digits;
    uint32_t low = (uint32_t)v; /* nine digits at most, but for a year that is none */
    for (; i >= 2; i -= 2) {
        memcpy(at + i - 2, two_digits + low % 100 * 2, 2);
        low /= 100;
    }
    if (i == 1)
        *at = (char)('0' + low % 10);
    return at + digits;
}

static char *put_two(char *at, unsigned v)
{
    memcpy(at, two_digits + (v < 100 ? v : 0) * 2, 2);
    return at + 2;
}

static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

/* digits * 10^-places, without zeros at its end. */
static char *put_fraction(char *at, uint64_t digits, unsigned places)
{
    uint64_t scale = (uint64_t)powers[places];
    at = gw_binlog_put_u64(at, digits / scale);
    if (places == 0)
        return at;
    *at++ = '.';
    return gw_binlog_put_padded(at, digits % scale, places);
}

/* m / 10^k with m of at most 15 digits is rounded once, to the number that its decimal text stands for: where that is v,
 * the text is one of v, and the smallest k makes it the shortest. All else takes the long way. */
char *gw_binlog_put_double(char *at, double v)
{
    double size = fabs(v);
    if (size == 0 && !signbit(v)) {
        *at = '0';
        return at + 1;
    }
    if (size >= 1e-4 && size < 1e15) {
        for (unsigned places = 0; places < 10; places++) {
            double digits = size * powers[places];
            if (digits >= 1e15)
                break;
            double whole = nearbyint(digits);
            if (whole / powers[places] == size) {
                if (v < 0)
                    *at++ = '-';
                return put_fraction(at, (uint64_t)whole, places);
            }
        }
    }
    return at + gw_mysql_double_text(v, at);
}

char *gw_binlog_put_float(char *at, float v)
{
    double size = fabs((double)v);
    if (size == 0 && !signbit(v)) {
        *at = '0';
        return at + 1;
    }
    if (size >= 1e-4 && size < 1e6) {
        for (unsigned places = 0; places < 10; places++) {
            double whole = nearbyint(size * powers[places]);
            if (whole >= 1e6)
                break;
            if ((float)(whole / powers[places]) == (float)size) {
                if (v < 0)
                    *at++ = '-';
                return put_fraction(at, (uint64_t)whole, places);
            }
        }
    }
    return at + gw_mysql_float_text(v, at);
}

/* ---- numbers ---- */

static void text_to(struct gw_value *out, const char *room, const char *end)
{
    *out =
        (struct gw_value){.kind = GW_VALUE_TEXT, .len = (uint32_t)(end - room), .bytes = (const unsigned char *)room};
}

static bool put_integer(const struct gw_binlog_column *c, struct gw_cursor *in, unsigned bytes, char *room,
                        struct gw_value *out)
{
    const unsigned char *p = gw_take(in, bytes);
    if (!p)
        return false;
    uint64_t v = bytes == 4 ? gw_le32(p) : bytes == 8 ? gw_le64(p) : gw_le(p, bytes);
    unsigned shift = 64 - 8 * bytes;
    text_to(out, room,
            c->is_unsigned ? gw_binlog_put_u64(room, v) : gw_binlog_put_i64(room, (int64_t)(v << shift) >> shift));
    return true;
}

static bool put_real(struct gw_cursor *in, unsigned bytes, char *room, struct gw_value *out)
{
    const unsigned char *p = gw_take(in, bytes);
    if (!p)
        return false;
    if (bytes == 4) {
        uint32_t bits = gw_le32(p);
        float v;
        memcpy(&v, &bits, sizeof v);
        text_to(out, room, gw_binlog_put_float(room, v));
    } else {
        uint64_t bits = gw_le64(p);
        double v;
        memcpy(&v, &bits, sizeof v);
        text_to(out, room, gw_binlog_put_double(room, v));
    }
    return true;
}

/* Nine digits to four bytes, fewer to fewer; the first bit says "not negative", and a negative number has all bits the
 * other way round. */
static const uint8_t digit_bytes[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};

static unsigned decimal_bytes(const struct gw_binlog_column *c)
{
    unsigned whole = c->size - c->digits, part = c->digits;
    return whole / 9 * 4 + digit_bytes[whole % 9] + part / 9 * 4 + digit_bytes[part % 9];
}

static bool put_decimal(const struct gw_binlog_column *c, struct gw_cursor *in, char *room, struct gw_value *out)
{
    unsigned whole = c->size - c->digits, part = c->digits, len = decimal_bytes(c);
    unsigned char bytes[40];
    const unsigned char *p = len <= sizeof bytes ? gw_take(in, len) : NULL;
    if (!p)
        return false;
    unsigned char flip = *p & 0x80 ? 0 : 0xff;
    for (unsigned i = 0; i < len; i++)
        bytes[i] = p[i] ^ flip;
    bytes[0] ^= 0x80;
    p = bytes;
    char digits[80], *at = digits;
    for (unsigned left = whole; left > 0;) {
        unsigned n = left % 9 ? left % 9 : 9;
        at = gw_binlog_put_padded(at, gw_be(p, digit_bytes[n]), n);
        p += digit_bytes[n];
        left -= n;
    }
    const char *first = digits;
    while (first < at - 1 && *first == '0')
        first++;
    char *end = room;
    if (flip)
        *end++ = '-';
    if (first == at)
        *end++ = '0';
    memcpy(end, first, (size_t)(at - first));
    end += at - first;
    if (part > 0)
        *end++ = '.';
    for (unsigned left = part; left > 0;) {
        unsigned n = left < 9 ? left : 9;
        end = gw_binlog_put_padded(end, gw_be(p, digit_bytes[n]), n);
        p += digit_bytes[n];
        left -= n;
    }
    text_to(out, room, end);
    return true;
}

/* ---- times ---- */

static char *put_date(char *at, unsigned year, unsigned month, unsigned day)
{
    at = put_two(at, year / 100 % 100);
    at = put_two(at, year % 100);
    *at++ = '-';
    at = put_two(at, month);
    *at++ = '-';
    return put_two(at, day);
}

static char *put_clock(char *at, unsigned hour, unsigned minute, unsigned second)
{
    if (hour > 99)
        *at++ = (char)('0' + hour / 100 % 10);
    at = put_two(at, hour % 100);
    *at++ = ':';
    at = put_two(at, minute);
    *at++ = ':';
    return put_two(at, second);
}

static unsigned fraction_bytes(unsigned digits)
{
    return (digits + 1) / 2;
}

/* `raw` counts hundredths, ten-thousandths or millionths, by the bytes it has. */
static char *put_parts(char *at, uint64_t raw, unsigned digits)
{
    if (digits == 0)
        return at;
    *at++ = '.';
    return gw_binlog_put_padded(at, digits % 2 ? raw / 10 : raw, digits);
}

static bool put_old_date(struct gw_cursor *in, char *room, struct gw_value *out)
{
    const unsigned char *p = gw_take(in, 3);
    if (!p)
        return false;
    unsigned v = (unsigned)gw_le(p, 3);
    text_to(out, room, put_date(room, v >> 9, v >> 5 & 15, v & 31));
    return true;
}

static bool put_old_time(struct gw_cursor *in, char *room, struct gw_value *out)
{
    const unsigned char *p = gw_take(in, 3);
    if (!p)
        return false;
    int64_t v = (int64_t)(gw_le(p, 3) << 40) >> 40;
    char *at = room;
    if (v < 0)
        *at++ = '-';
    unsigned size = (unsigned)(v < 0 ? -v : v);
    text_to(out, room, put_clock(at, size / 10000, size / 100 % 100, size % 100));
    return true;
}

static bool put_old_datetime(struct gw_cursor *in, char *room, struct gw_value *out)
{
    const unsigned char *p = gw_take(in, 8);
    if (!p)
        return false;
    uint64_t v = gw_le64(p) % UINT64_C(100000000000000);
    unsigned date = (unsigned)(v / 1000000), clock = (unsigned)(v % 1000000);
    char *at = put_date(room, date / 10000, date / 100 % 100, date % 100);
    *at++ = ' ';
    text_to(out, room, put_clock(at, clock / 10000, clock / 100 % 100, clock % 100));
    return true;
}

static bool put_datetime(const struct gw_binlog_column *c, struct gw_cursor *in, char *room, struct gw_value *out)
{
    const unsigned char *p = gw_take(in, 5 + fraction_bytes(c->digits));
    if (!p)
        return false;
    uint64_t v =
        gw_be(p, 5) & UINT64_C(0x7fffffffff); /* year * 13 + month: 17 bits, day 5, hour 5, minute 6, second 6 */
    unsigned month = (unsigned)(v >> 22), clock = (unsigned)(v & 0x3fffff);
    char *at = put_date(room, month / 13, month % 13, clock >> 17);
    *at++ = ' ';
    at = put_clock(at, clock >> 12 & 31, clock >> 6 & 63, clock & 63);
    text_to(out, room, put_parts(at, gw_be(p + 5, fraction_bytes(c->digits)), c->digits));
    return true;
}

static bool put_time(const struct gw_binlog_column *c, struct gw_cursor *in, char *room, struct gw_value *out)
{
    unsigned parts = fraction_bytes(c->digits);
    const unsigned char *p = gw_take(in, 3 + parts);
    if (!p)
        return false;
    /* All of it is one number: sign, unused, hour 10 bits, minute 6, second 6, then the fraction. */
    int64_t v = (int64_t)gw_be(p, 3 + parts) - (int64_t)(UINT64_C(0x800000) << (8 * parts));
    char *at = room;
    if (v < 0)
        *at++ = '-';
    uint64_t size = (uint64_t)(v < 0 ? -v : v);
    unsigned whole = (unsigned)(size >> (8 * parts));
    at = put_clock(at, whole >> 12 & 1023, whole >> 6 & 63, whole & 63);
    text_to(out, room, put_parts(at, size & ((UINT64_C(1) << (8 * parts)) - 1), c->digits));
    return true;
}

/* Days since 1970 to a date; the calendar's 400 years begin in March. */
static void civil(uint32_t days, unsigned *year, unsigned *month, unsigned *day)
{
    uint32_t z = days + 719468, era = z / 146097, of_era = z - era * 146097;
    uint32_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint32_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *day = of_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = y + era * 400 + (*month <= 2);
}

static bool put_timestamp(const struct gw_binlog_column *c, struct gw_cursor *in, bool old, char *room,
                          struct gw_value *out)
{
    unsigned parts = old ? 0 : fraction_bytes(c->digits);
    const unsigned char *p = gw_take(in, 4 + parts);
    if (!p)
        return false;
    uint32_t seconds = old ? gw_le32(p) : gw_get32(p);
    uint64_t fraction = gw_be(p + 4, parts);
    unsigned year = 0, month = 0, day = 0;
    if (seconds || fraction)
        civil(seconds / 86400, &year, &month, &day);
    char *at = put_date(room, year, month, day);
    *at++ = ' ';
    at = put_clock(at, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    text_to(out, room, put_parts(at, fraction, old ? 0 : c->digits));
    return true;
}

static bool put_year(struct gw_cursor *in, char *room, struct gw_value *out)
{
    const unsigned char *p = gw_take(in, 1);
    if (!p)
        return false;
    text_to(out, room, gw_binlog_put_padded(room, *p ? 1900u + *p : 0, 4));
    return true;
}

/* ---- strings ---- */

static const unsigned char *take_string(const struct gw_binlog_column *c, struct gw_cursor *in, size_t *len)
{
    *len = (size_t)gw_take_le(in, c->size);
    return gw_take(in, *len);
}

static void bytes_to(struct gw_value *out, const unsigned char *bytes, size_t len)
{
    *out = (struct gw_value){.kind = GW_VALUE_BINARY, .len = (uint32_t)len, .bytes = bytes};
}

/* The log has BINARY(n) without the zeros at its end. */
static void pad(const struct gw_binlog_column *c, const unsigned char *bytes, size_t len, struct gw_arena *arena,
                struct gw_value *out)
{
    size_t whole = c->form->length;
    if (len >= whole) {
        bytes_to(out, bytes, len);
        return;
    }
    unsigned char *padded = gw_arena_zalloc(arena, whole);
    memcpy(padded, bytes, len);
    bytes_to(out, padded, whole);
}

/* A UUID as it is written (its index has it otherwise), an IP address as it is on the network; without zeros at the end. */
static void put_address(const struct gw_binlog_column *c, const unsigned char *bytes, size_t len, char *room,
                        struct gw_value *out)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char whole[16] = {0};
    memcpy(whole, bytes, len < 16 ? len : 16);
    if (c->form->kind != GW_MYSQL_UUID) {
        *room = 0;
        inet_ntop(c->form->kind == GW_MYSQL_INET4 ? AF_INET : AF_INET6, whole, room, GW_BINLOG_VALUE_ROOM);
        text_to(out, room, room + strlen(room));
        return;
    }
    char *at = room;
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex[whole[i] >> 4];
        *at++ = hex[whole[i] & 15];
    }
    text_to(out, room, at);
}

static bool text_of(const struct gw_binlog_column *c, const unsigned char *bytes, size_t len, struct gw_arena *arena,
                    struct gw_value *out, struct gw_error *err)
{
    if (c->utf8)
        *out = (struct gw_value){.kind = GW_VALUE_TEXT, .len = (uint32_t)len, .bytes = bytes};
    else if (!gw_binlog_charset_convert(c->charset, bytes, len, arena, out, err))
        return false;
    if (c->type == GW_BINLOG_STRING) /* CHAR has no spaces at its end */
        while (out->len > 0 && out->bytes[out->len - 1] == ' ')
            out->len--;
    return true;
}

static bool put_string(const struct gw_binlog_column *c, struct gw_cursor *in, char *room, struct gw_arena *arena,
                       struct gw_value *out, struct gw_error *err)
{
    size_t len;
    const unsigned char *bytes = take_string(c, in, &len);
    if (!bytes)
        return gw_binlog_bad(err, "a value reaches past its event");
    if (c->charset)
        return text_of(c, bytes, len, arena, out, err);
    enum gw_mysql_kind kind = c->form ? c->form->kind : GW_MYSQL_OTHER;
    if (kind == GW_MYSQL_BINARY)
        pad(c, bytes, len, arena, out);
    else if (kind == GW_MYSQL_UUID || kind == GW_MYSQL_INET4 || kind == GW_MYSQL_INET6)
        put_address(c, bytes, len, room, out);
    else
        bytes_to(out, bytes, len);
    return true;
}

/* MariaDB's COMPRESSED columns: nothing for an empty one; a first byte 0 and the plain bytes; or a byte that tells how
 * long the length is (and whether the zlib stream has its header), the length, the stream. */
static bool put_compressed(const struct gw_binlog_column *c, struct gw_cursor *in, struct gw_arena *arena,
                           struct gw_value *out, struct gw_error *err)
{
    size_t len;
    const unsigned char *bytes = take_string(c, in, &len);
    if (!bytes)
        return gw_binlog_bad(err, "a value reaches past its event");
    if (len > 0 && *bytes == 0) {
        bytes++;
        len--;
    } else if (len > 0) {
        unsigned head = *bytes, digits = head & 7;
        uint64_t whole = len > digits ? gw_be(bytes + 1, digits) : UINT64_MAX;
        if (head >> 4 != 8 || digits > 4 || whole / 1100 > len)
            return gw_binlog_bad(err, "a compressed value");
        unsigned char *plain = gw_arena_alloc(arena, (size_t)whole + 1);
        z_stream zip = {.next_in = (Bytef *)bytes + 1 + digits,
                        .avail_in = (uInt)(len - 1 - digits),
                        .next_out = plain,
                        .avail_out = (uInt)whole};
        bool fine = inflateInit2(&zip, head & 8 ? -MAX_WBITS : MAX_WBITS) == Z_OK;
        int end = fine ? inflate(&zip, Z_FINISH) : Z_DATA_ERROR;
        if (fine)
            inflateEnd(&zip);
        if (end != Z_STREAM_END || zip.avail_out != 0)
            return gw_binlog_bad(err, "a compressed value");
        bytes = plain;
        len = (size_t)whole;
    }
    if (c->charset)
        return text_of(c, bytes, len, arena, out, err);
    bytes_to(out, bytes, len);
    return true;
}

/* ---- labels, JSON ---- */

static bool put_enum(const struct gw_binlog_column *c, struct gw_cursor *in, struct gw_value *out, struct gw_error *err)
{
    const unsigned char *p = gw_take(in, c->size);
    if (!p)
        return gw_binlog_bad(err, "a value reaches past its event");
    uint64_t number = gw_le(p, c->size);
    if (number > 0 && (!c->form || number > c->form->label_count))
        return gw_fail(err, GW_ERR_CONFLICT, "the binlog has label number %u of an enum with %zu labels",
                       (unsigned)number, c->form ? c->form->label_count : 0);
    *out = gw_value_text(number ? c->form->labels[number - 1] : "");
    return true;
}

static bool put_set(const struct gw_binlog_column *c, struct gw_cursor *in, struct gw_arena *arena,
                    struct gw_value *out, struct gw_error *err)
{
    const unsigned char *p = gw_take(in, c->size);
    if (!p)
        return gw_binlog_bad(err, "a value reaches past its event");
    uint64_t bits = gw_le(p, c->size);
    size_t count = c->form ? c->form->label_count : 0, len = 0;
    if (count < 64 && bits >> count)
        return gw_fail(err, GW_ERR_CONFLICT, "the binlog has labels of a set that has only %zu", count);
    for (size_t i = 0; i < count; i++)
        if (bits >> i & 1)
            len += strlen(c->form->labels[i]) + 1;
    char *text = gw_arena_alloc(arena, len + 1), *at = text;
    for (size_t i = 0; i < count; i++) {
        if (!(bits >> i & 1))
            continue;
        if (at > text)
            *at++ = ',';
        size_t label = strlen(c->form->labels[i]);
        memcpy(at, c->form->labels[i], label);
        at += label;
    }
    text_to(out, text, at);
    return true;
}

static bool put_json(const struct gw_binlog_column *c, struct gw_cursor *in, struct gw_arena *arena,
                     struct gw_value *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    size_t len;
    const unsigned char *bytes = take_string(c, in, &len);
    if (!bytes)
        return gw_binlog_bad(err, "a value reaches past its event");
    if (len == 0) /* what an old server made of no value where none may be missing */
        gw_buf_adds(&text, "null");
    else if (!gw_binlog_json(bytes, len, &text) || text.len > UINT32_MAX)
        return gw_binlog_bad(err, "JSON");
    const char *copy = gw_arena_dup(arena, gw_buf_text(&text), text.len);
    text_to(out, copy, copy + text.len);
    return true;
}

/* ---- all of them ---- */

static bool put_fixed(const struct gw_binlog_column *c, struct gw_cursor *in, char *room, struct gw_value *out)
{
    switch (c->type) {
    case GW_BINLOG_TINY:
        return put_integer(c, in, 1, room, out);
    case GW_BINLOG_SHORT:
        return put_integer(c, in, 2, room, out);
    case GW_BINLOG_INT24:
        return put_integer(c, in, 3, room, out);
    case GW_BINLOG_LONG:
        return put_integer(c, in, 4, room, out);
    case GW_BINLOG_LONGLONG:
        return put_integer(c, in, 8, room, out);
    case GW_BINLOG_FLOAT:
        return put_real(in, 4, room, out);
    case GW_BINLOG_DOUBLE:
        return put_real(in, 8, room, out);
    case GW_BINLOG_NEWDECIMAL:
        return put_decimal(c, in, room, out);
    case GW_BINLOG_DATE:
    case GW_BINLOG_NEWDATE:
        return put_old_date(in, room, out);
    case GW_BINLOG_TIME:
        return put_old_time(in, room, out);
    case GW_BINLOG_DATETIME:
        return put_old_datetime(in, room, out);
    case GW_BINLOG_TIMESTAMP:
        return put_timestamp(c, in, true, room, out);
    case GW_BINLOG_TIME2:
        return put_time(c, in, room, out);
    case GW_BINLOG_DATETIME2:
        return put_datetime(c, in, room, out);
    case GW_BINLOG_TIMESTAMP2:
        return put_timestamp(c, in, false, room, out);
    case GW_BINLOG_YEAR:
        return put_year(in, room, out);
    default: { /* BIT */
        const unsigned char *p = gw_take(in, c->size);
        bytes_to(out, p, c->size);
        return p != NULL;
    }
    }
}

bool gw_binlog_value(const struct gw_binlog_column *c, struct gw_cursor *in, char *room, struct gw_arena *arena,
                     struct gw_value *out, struct gw_error *err)
{
    switch (c->type) {
    case GW_BINLOG_STRING:
    case GW_BINLOG_VARCHAR:
    case GW_BINLOG_BLOB:
    case GW_BINLOG_GEOMETRY:
    case GW_BINLOG_VECTOR:
        return put_string(c, in, room, arena, out, err);
    case GW_BINLOG_VARCHAR_COMPRESSED:
    case GW_BINLOG_BLOB_COMPRESSED:
        return put_compressed(c, in, arena, out, err);
    case GW_BINLOG_ENUM:
        return put_enum(c, in, out, err);
    case GW_BINLOG_SET:
        return put_set(c, in, arena, out, err);
    case GW_BINLOG_JSON:
        return put_json(c, in, arena, out, err);
    default:
        return put_fixed(c, in, room, out) || gw_binlog_bad(err, "a value reaches past its event");
    }
}

void gw_binlog_value_skip(const struct gw_binlog_column *c, struct gw_cursor *in)
{
    static const uint8_t fixed[20] = {
        [GW_BINLOG_TINY] = 1,     [GW_BINLOG_SHORT] = 2,     [GW_BINLOG_INT24] = 3,    [GW_BINLOG_LONG] = 4,
        [GW_BINLOG_LONGLONG] = 8, [GW_BINLOG_FLOAT] = 4,     [GW_BINLOG_DOUBLE] = 8,   [GW_BINLOG_DATE] = 3,
        [GW_BINLOG_NEWDATE] = 3,  [GW_BINLOG_TIME] = 3,      [GW_BINLOG_DATETIME] = 8, [GW_BINLOG_TIMESTAMP] = 4,
        [GW_BINLOG_TIME2] = 3,    [GW_BINLOG_DATETIME2] = 5, [GW_BINLOG_YEAR] = 1,     [GW_BINLOG_TIMESTAMP2] = 4,
    };
    size_t len;
    switch (c->type) {
    case GW_BINLOG_TIME2:
    case GW_BINLOG_DATETIME2:
    case GW_BINLOG_TIMESTAMP2:
        gw_take(in, fixed[c->type] + fraction_bytes(c->digits));
        return;
    case GW_BINLOG_NEWDECIMAL:
        gw_take(in, decimal_bytes(c));
        return;
    case GW_BINLOG_BIT:
    case GW_BINLOG_ENUM:
    case GW_BINLOG_SET:
        gw_take(in, c->size);
        return;
    default:
        if (c->type < sizeof fixed && fixed[c->type])
            gw_take(in, fixed[c->type]);
        else
            take_string(c, in, &len);
    }
}
