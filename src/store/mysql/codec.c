/*
 * Rows as canonical values, and back. The forms of native values: column.h; of blocks: row.h.
 * A block of the reader holds whole rows; a row may still come in pieces (blocks that were cut elsewhere).
 */
#include "base/mem.h"
#include "store/mysql/keys.h"
#include "store/mysql/mysql.h"
#include "store/mysql/row.h"
#include "store/mysql/types.h"

#include <stdlib.h>
#include <string.h>

struct codec_column {
    struct gw_mysql_form form;
    enum gw_kind kind;
    bool generated;
    char *name;
};
struct gw_codec {
    size_t count;
    struct codec_column *columns;
    struct gw_buf left;            /* the beginning of a row whose end is to come */
    const unsigned char *at, *end; /* of the block that was fed */
    struct gw_arena arena;         /* of the row given out last */
    struct gw_buf scratch;
};

/* ---- native to canonical ---------------------------------------------------------------------------------------- */

static bool bad_value(const struct codec_column *column, const unsigned char *bytes, size_t len, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_CONFLICT, "column %s: \"%.*s\" is no %s", column->name, len > 60 ? 60 : (int)len,
                   (const char *)bytes, column->form.base);
}

static bool take_integer(const struct codec_column *column, const unsigned char *p, size_t len, struct gw_datum *out,
                         struct gw_error *err)
{
    const unsigned char *from = p, *end = p + len;
    bool negative = len > 0 && *p == '-';
    uint64_t n = 0;
    p += negative;
    if (p == end || end - p > 20)
        return bad_value(column, from, len, err);
    for (; p < end; p++) {
        unsigned digit = *p - (unsigned)'0';
        if (digit > 9)
            return bad_value(column, from, len, err);
        n = n * 10 + digit;
    }
    out->kind = column->kind;
    out->len = 0;
    out->u64 = negative ? -n : n;
    return true;
}

/* "-12.50": whole numbers below 2^53 and powers of ten up to 10^15 are doubles, so their quotient is rounded once, as the
 * text would be. False: another form, or more digits. */
static bool take_short_double(const unsigned char *p, size_t len, double *out)
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool negative = len > 0 && *p == '-', point = false;
    size_t count = 0, behind = 0;
    uint64_t n = 0;
    for (size_t i = negative; i < len; i++) {
        unsigned digit = p[i] - (unsigned)'0';
        if (digit <= 9) {
            n = n * 10 + digit;
            count++;
            behind += point;
        } else if (p[i] == '.' && !point) {
            point = true;
        } else {
            return false;
        }
    }
    if (count == 0 || count > 15)
        return false;
    double size = (double)n / powers[behind];
    *out = negative ? -size : size;
    return true;
}

static bool take_float(const struct codec_column *column, const unsigned char *p, size_t len, struct gw_datum *out,
                       struct gw_error *err)
{
    char text[64], *end;
    if (len == 0 || len >= sizeof text)
        return bad_value(column, p, len, err);
    memcpy(text, p, len);
    text[len] = 0;
    out->kind = column->kind;
    out->len = 0;
    if (column->kind == GW_KIND_FLOAT32)
        out->f32 = strtof(text, &end);
    else if (take_short_double(p, len, &out->f64))
        return true;
    else
        out->f64 = strtod(text, &end);
    return !*end || bad_value(column, p, len, err);
}

/* `count` digits; -1 when they are none. */
static int digits(const unsigned char *p, int count)
{
    int n = 0;
    for (int i = 0; i < count; i++) {
        unsigned digit = p[i] - (unsigned)'0';
        if (digit > 9)
            return -1;
        n = n * 10 + (int)digit;
    }
    return n;
}

static int fraction_us(const unsigned char *p, size_t len)
{
    static const int scale[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    if (len == 0)
        return 0;
    if (*p != '.' || len > 7)
        return -1;
    int n = digits(p + 1, (int)len - 1);
    return n < 0 ? -1 : n * scale[len - 1];
}

/* "2024-02-29" with the fixed places of the server's texts; false: of no calendar. */
static bool take_date(const unsigned char *p, int64_t *days)
{
    int year = digits(p, 4), month = digits(p + 5, 2), day = digits(p + 8, 2);
    if (year < 0 || month < 1 || day < 1 || !gw_civil_exists(year, (unsigned)month, (unsigned)day))
        return false;
    *days = gw_days_from_civil(year, (unsigned)month, (unsigned)day);
    return true;
}

static bool take_calendar(const struct codec_column *column, const unsigned char *p, size_t len, struct gw_datum *out,
                          struct gw_error *err)
{
    int64_t days;
    bool date = column->kind == GW_KIND_DATE;
    if (date ? len != 10 : (len < 19 || len > 26))
        return bad_value(column, p, len, err);
    out->kind = column->kind;
    out->len = 0;
    int hour = date ? 0 : digits(p + 11, 2), minute = date ? 0 : digits(p + 14, 2);
    int second = date ? 0 : digits(p + 17, 2), fraction = date ? 0 : fraction_us(p + 19, len - 19);
    if (hour < 0 || minute < 0 || second < 0 || fraction < 0)
        return bad_value(column, p, len, err);
    if (!take_date(p, &days)) {
        out->len = (uint32_t)len;
        out->bytes = p;
        return true;
    }
    out->i64 = date ? days : days * GW_DAY_US + ((hour * INT64_C(60) + minute) * 60 + second) * 1000000 + fraction;
    return true;
}

static bool take_time(const struct codec_column *column, const unsigned char *p, size_t len, struct gw_datum *out,
                      struct gw_error *err)
{
    const unsigned char *from = p, *end = p + len;
    bool negative = len > 0 && *p == '-';
    p += negative;
    int width = end - p > 3 && p[2] == ':' ? 2 : 3;
    if (end - p < width + 6)
        return bad_value(column, from, len, err);
    int hour = digits(p, width), minute = digits(p + width + 1, 2), second = digits(p + width + 4, 2);
    int fraction = fraction_us(p + width + 6, (size_t)(end - p) - (size_t)width - 6);
    if (hour < 0 || minute < 0 || second < 0 || fraction < 0)
        return bad_value(column, from, len, err);
    int64_t us = ((hour * INT64_C(60) + minute) * 60 + second) * 1000000 + fraction;
    out->kind = GW_KIND_TIME;
    out->len = 0;
    out->i64 = negative ? -us : us;
    return true;
}

static void take_bits(const struct codec_column *column, const unsigned char *p, size_t len, struct gw_arena *arena,
                      struct gw_datum *out)
{
    size_t count = (size_t)column->form.length;
    char *text = gw_arena_alloc(arena, count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t bit = count - 1 - i, byte = bit / 8;
        text[i] = byte < len && (p[len - 1 - byte] >> (bit % 8)) & 1 ? '1' : '0';
    }
    *out = gw_datum_of_bytes(GW_KIND_BITS, text, count);
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_uuid(const struct codec_column *column, const unsigned char *p, size_t len, struct gw_arena *arena,
                      struct gw_datum *out, struct gw_error *err)
{
    unsigned char *bytes = gw_arena_alloc(arena, 16);
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        at += at < len && p[at] == '-';
        int high = at + 1 < len ? hex_value(p[at]) : -1, low = at + 1 < len ? hex_value(p[at + 1]) : -1;
        if (high < 0 || low < 0)
            return bad_value(column, p, len, err);
        bytes[i] = (unsigned char)(high << 4 | low);
        at += 2;
    }
    *out = gw_datum_of_bytes(GW_KIND_UUID, bytes, 16);
    return at == len || bad_value(column, p, len, err);
}

static void take_geometry(const unsigned char *p, size_t len, struct gw_arena *arena, struct gw_datum *out)
{
    unsigned char *bytes = gw_arena_dup(arena, p, len);
    if (len >= 4) {
        unsigned char srid[4] = {p[3], p[2], p[1], p[0]};
        memcpy(bytes, srid, 4);
    }
    *out = gw_datum_of_bytes(GW_KIND_GEOMETRY, bytes, len);
}

static bool take_value(const struct codec_column *column, const unsigned char *p, size_t len, struct gw_arena *arena,
                       struct gw_datum *out, struct gw_error *err)
{
    switch (column->kind) {
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
        return take_integer(column, p, len, out, err);
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
        return take_float(column, p, len, out, err);
    case GW_KIND_DATE:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        return take_calendar(column, p, len, out, err);
    case GW_KIND_TIME:
        return take_time(column, p, len, out, err);
    case GW_KIND_BITS:
        take_bits(column, p, len, arena, out);
        return true;
    case GW_KIND_UUID:
        return take_uuid(column, p, len, arena, out, err);
    case GW_KIND_GEOMETRY:
        take_geometry(p, len, arena, out);
        return true;
    default:
        out->kind = column->kind;
        out->len = (uint32_t)len;
        out->bytes = p;
        return true;
    }
}

/* ---- blocks apart ----------------------------------------------------------------------------------------------- */

static bool codec_feed(struct gw_codec *codec, const struct gw_block *block, struct gw_error *err)
{
    if (codec->at < codec->end && codec->left.len == 0)
        return gw_fail(err, GW_ERR_BUG, "a block is fed before the rows of the last one were taken");
    if (codec->left.len > 0) {
        gw_buf_add(&codec->left, block->bytes, block->len);
        codec->at = (const unsigned char *)codec->left.data;
        codec->end = codec->at + codec->left.len;
    } else {
        codec->at = block->bytes;
        codec->end = codec->at + block->len;
    }
    return true;
}

/* What is left is the beginning of a row: it is kept for the next block. */
static void keep_rest(struct gw_codec *codec, const unsigned char *from)
{
    size_t len = (size_t)(codec->end - from);
    if (codec->left.len > 0) {
        memmove(codec->left.data, from, len);
        codec->left.len = len;
    } else if (len > 0) {
        gw_buf_add(&codec->left, from, len);
    }
    codec->at = codec->end = NULL;
}

static bool codec_row(struct gw_codec *codec, struct gw_datum *out, bool *got, struct gw_error *err)
{
    const unsigned char *at = codec->at, *end = codec->end;
    *got = false;
    if (at == end) {
        gw_buf_clear(&codec->left);
        codec->at = codec->end = NULL;
        return true;
    }
    gw_arena_reset(&codec->arena);
    for (size_t i = 0; i < codec->count; i++) {
        const struct codec_column *column = &codec->columns[i];
        const unsigned char *bytes;
        size_t len;
        out[i].kind = GW_KIND_NULL;
        if (column->generated)
            continue;
        if (!gw_mysql_row_get(&at, end, &bytes, &len)) {
            keep_rest(codec, codec->at);
            return true;
        }
        if (bytes && !take_value(column, bytes, len, &codec->arena, &out[i], err))
            return false;
    }
    codec->at = at;
    *got = true;
    return true;
}

static void codec_restart(struct gw_codec *codec)
{
    gw_buf_clear(&codec->left);
    codec->at = codec->end = NULL;
}

static bool codec_decode(struct gw_codec *codec, const struct gw_row *row, struct gw_arena *arena, struct gw_datum *out,
                         struct gw_error *err)
{
    for (size_t i = 0; i < codec->count; i++) {
        struct gw_value value = i < row->count ? row->values[i] : (struct gw_value){.kind = GW_VALUE_ABSENT};
        switch (value.kind) {
        case GW_VALUE_NULL:
            out[i] = (struct gw_datum){.kind = GW_KIND_NULL};
            break;
        case GW_VALUE_UNCHANGED:
            out[i] = (struct gw_datum){.kind = GW_KIND_UNCHANGED};
            break;
        case GW_VALUE_ABSENT:
            out[i] = (struct gw_datum){.kind = GW_KIND_ABSENT};
            break;
        default:
            if (!take_value(&codec->columns[i], value.bytes, value.len, arena, &out[i], err))
                return false;
        }
    }
    return true;
}

/* ---- canonical to native ---------------------------------------------------------------------------------------- */

static bool cannot_hold(const struct codec_column *column, const struct gw_datum *datum, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    gw_datum_print(datum, &text);
    return gw_fail(err, GW_ERR_CONFLICT, "column %s (%s%s) cannot hold %s %.*s", column->name, column->form.base,
                   column->form.is_unsigned ? " unsigned" : "", gw_kind_name(datum->kind),
                   text.len > 80 ? 80 : (int)text.len, gw_buf_text(&text));
}

static void add_unsigned(struct gw_buf *out, uint64_t n, bool negative)
{
    char text[24], *p = text + sizeof text;
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    if (negative)
        *--p = '-';
    gw_buf_add(out, p, (size_t)(text + sizeof text - p));
}

static bool integer_fits(const struct gw_mysql_form *form, uint64_t n, bool negative)
{
    static const unsigned bits[] = {[GW_MYSQL_TINYINT] = 8,
                                    [GW_MYSQL_SMALLINT] = 16,
                                    [GW_MYSQL_MEDIUMINT] = 24,
                                    [GW_MYSQL_INT] = 32,
                                    [GW_MYSQL_BIGINT] = 64};
    if (form->kind == GW_MYSQL_YEAR)
        return !negative && (n == 0 || (n >= 1901 && n <= 2155));
    if (!gw_mysql_is_integer(form))
        return true;
    unsigned width = bits[form->kind];
    if (form->is_unsigned)
        return !negative && (width == 64 || n >> width == 0);
    return negative ? n <= UINT64_C(1) << (width - 1) : n < UINT64_C(1) << (width - 1);
}

static bool put_integer(const struct codec_column *column, const struct gw_datum *datum, struct gw_buf *out,
                        struct gw_error *err)
{
    bool negative = datum->kind == GW_KIND_INT64 && datum->i64 < 0;
    uint64_t n = datum->kind == GW_KIND_BOOL ? datum->boolean : negative ? -datum->u64 : datum->u64;
    if (!integer_fits(&column->form, n, negative))
        return cannot_hold(column, datum, err);
    if (column->form.kind == GW_MYSQL_YEAR && n == 0)
        gw_buf_adds(out, "0000"); /* a "0" would be the year 2000 */
    else
        add_unsigned(out, n, negative);
    return true;
}

/* They return where they ended. */
static char *put_digits(char *to, uint64_t n, int width)
{
    for (int i = width; i-- > 0; n /= 10)
        to[i] = (char)('0' + n % 10);
    return to + width;
}

static char *put_clock(char *to, int64_t us, unsigned scale)
{
    int64_t seconds = us / 1000000, fraction = us % 1000000;
    to = put_digits(to, (uint64_t)(seconds / 60 % 60), 2);
    *to++ = ':';
    to = put_digits(to, (uint64_t)(seconds % 60), 2);
    if (scale > 0) {
        static const int64_t divide[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
        *to++ = '.';
        /* cppcheck-suppress arrayIndexOutOfBoundsCond ; no time has more than 6 digits */
        to = put_digits(to, (uint64_t)(fraction / divide[scale]), (int)scale);
    }
    return to;
}

/* Digits behind what the column keeps would be rounded by the server, without a word. */
static bool keeps_fraction(int64_t us, unsigned scale)
{
    static const int64_t unit[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    return us % unit[scale > 6 ? 6 : scale] == 0;
}

static bool put_calendar(const struct codec_column *column, const struct gw_datum *datum, struct gw_buf *out,
                         struct gw_error *err)
{
    int64_t year, days = datum->i64, us = 0;
    char clock[40], *to = clock;
    unsigned month, day, scale = column->form.kind == GW_MYSQL_DATE ? 0 : column->form.scale;
    bool text = !gw_mysql_is_number(&column->form) &&
                (column->form.kind < GW_MYSQL_DATE || column->form.kind > GW_MYSQL_TIMESTAMP);
    if (datum->len > 0) {
        gw_buf_add(out, datum->bytes, datum->len);
        return true;
    }
    if (text)
        return gw_datum_print(datum, out), true;
    if (days == GW_DATUM_FOREVER || days == -GW_DATUM_FOREVER)
        return cannot_hold(column, datum, err);
    if (datum->kind != GW_KIND_DATE) {
        us = days % GW_DAY_US;
        us += us < 0 ? GW_DAY_US : 0;
        days = (days - us) / GW_DAY_US;
    }
    gw_civil_from_days(days, &year, &month, &day);
    if (year < 0 || year > 9999 || !keeps_fraction(us, scale) || (column->form.kind == GW_MYSQL_DATE && us != 0))
        return cannot_hold(column, datum, err);
    to = put_digits(to, (uint64_t)year, 4);
    *to++ = '-';
    to = put_digits(to, month, 2);
    *to++ = '-';
    to = put_digits(to, day, 2);
    if (column->form.kind != GW_MYSQL_DATE) {
        *to++ = ' ';
        to = put_digits(to, (uint64_t)(us / (INT64_C(3600) * 1000000)), 2);
        *to++ = ':';
        to = put_clock(to, us, scale);
    }
    gw_buf_add(out, clock, (size_t)(to - clock));
    return true;
}

static bool put_time(const struct codec_column *column, const struct gw_datum *datum, struct gw_buf *out,
                     struct gw_error *err)
{
    int64_t us = datum->i64 < 0 ? -datum->i64 : datum->i64, hours = us / (INT64_C(3600) * 1000000);
    char clock[40], *to = clock;
    if (column->form.kind != GW_MYSQL_TIME)
        return gw_time_print(datum->i64, -1, out), true;
    if (hours > 838 || !keeps_fraction(us, column->form.scale))
        return cannot_hold(column, datum, err);
    if (datum->i64 < 0)
        *to++ = '-';
    to = put_digits(to, (uint64_t)hours, hours > 99 ? 3 : 2);
    *to++ = ':';
    to = put_clock(to, us, column->form.scale);
    gw_buf_add(out, clock, (size_t)(to - clock));
    return true;
}

static bool put_bits(const struct codec_column *column, const struct gw_datum *datum, struct gw_buf *out,
                     struct gw_error *err)
{
    size_t wide = (size_t)(column->form.length + 7) / 8;
    if (column->form.kind != GW_MYSQL_BIT)
        return gw_buf_add(out, datum->bytes, datum->len), true;
    if (datum->len != column->form.length)
        return cannot_hold(column, datum, err);
    gw_buf_reserve(out, wide);
    unsigned char *bytes = (unsigned char *)out->data + out->len;
    memset(bytes, 0, wide + 1);
    for (size_t i = 0; i < datum->len; i++) {
        size_t bit = datum->len - 1 - i;
        if (datum->bytes[i] == '1')
            bytes[wide - 1 - bit / 8] |= (unsigned char)(1u << (bit % 8));
    }
    out->len += wide;
    return true;
}

static bool put_uuid(const struct codec_column *column, const struct gw_datum *datum, struct gw_buf *out)
{
    static const char hex[] = "0123456789abcdef";
    if (column->form.value_kind == GW_VALUE_BINARY)
        return gw_buf_add(out, datum->bytes, datum->len), true;
    for (uint32_t i = 0; i < datum->len; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            gw_buf_addc(out, '-');
        gw_buf_addc(out, hex[datum->bytes[i] >> 4]);
        gw_buf_addc(out, hex[datum->bytes[i] & 15]);
    }
    return true;
}

static bool put_float(const struct codec_column *column, const struct gw_datum *datum, struct gw_buf *out,
                      struct gw_error *err)
{
    char text[32];
    double number = datum->kind == GW_KIND_FLOAT32 ? (double)datum->f32 : datum->f64;
    if (!__builtin_isfinite(number))
        return cannot_hold(column, datum, err);
    bool narrow = datum->kind == GW_KIND_FLOAT32 && column->form.kind != GW_MYSQL_DOUBLE;
    if (column->form.kind == GW_MYSQL_FLOAT && (double)(float)number != number)
        return cannot_hold(column, datum, err);
    gw_buf_add(out, text, narrow ? gw_mysql_float_text(datum->f32, text) : gw_mysql_double_text(number, text));
    return true;
}

static size_t characters(const unsigned char *p, size_t len, bool *basic)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        count += (p[i] & 0xc0) != 0x80;
        if (p[i] >= 0xf0)
            *basic = false;
    }
    return count;
}

static bool is_label(const struct gw_mysql_form *form, const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < form->label_count; i++)
        if (strlen(form->labels[i]) == len && memcmp(form->labels[i], p, len) == 0)
            return true;
    return false;
}

static bool are_labels(const struct gw_mysql_form *form, const unsigned char *p, size_t len)
{
    const unsigned char *end = p + len;
    if (form->kind == GW_MYSQL_ENUM)
        return is_label(form, p, len);
    while (p < end) {
        const unsigned char *comma = memchr(p, ',', (size_t)(end - p));
        size_t part = (size_t)((comma ? comma : end) - p);
        if (!is_label(form, p, part))
            return false;
        p += part + 1;
    }
    return true;
}

static bool text_fits(const struct gw_mysql_form *form, const struct gw_datum *datum)
{
    bool basic = true;
    size_t count;
    switch (form->kind) {
    case GW_MYSQL_CHAR: /* loses spaces at its end */
        if (datum->len > 0 && datum->bytes[datum->len - 1] == ' ')
            return false;
        __attribute__((fallthrough));
    case GW_MYSQL_VARCHAR:
        count = characters(datum->bytes, datum->len, &basic);
        return count <= form->length && (basic || strcmp(form->charset, "utf8mb3") != 0);
    case GW_MYSQL_TEXT:
        if (strcmp(form->charset, "utf8mb3") == 0)
            (void)characters(datum->bytes, datum->len, &basic);
        return basic && (datum->len <= form->length || strncmp(form->charset, "utf8", 4) != 0);
    case GW_MYSQL_ENUM:
    case GW_MYSQL_SET:
        return are_labels(form, datum->bytes, datum->len);
    case GW_MYSQL_BINARY:
        return datum->len == form->length;
    case GW_MYSQL_VARBINARY:
    case GW_MYSQL_BLOB:
        return datum->len <= form->length;
    default:
        return true;
    }
}

static bool decimal_fits(const struct gw_mysql_form *form, const struct gw_datum *datum)
{
    const unsigned char *p = datum->bytes, *end = p + datum->len;
    size_t whole = 0, behind = 0;
    if (form->kind != GW_MYSQL_DECIMAL)
        return true;
    p += p < end && *p == '-';
    while (p < end && *p == '0')
        p++;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        whole++;
    if (p < end && *p != '.')
        return false;
    for (size_t place = 1; ++p < end; place++) {
        if (*p < '0' || *p > '9')
            return false;
        if (*p != '0')
            behind = place;
    }
    return behind <= form->scale && whole <= form->precision - form->scale;
}

/* Appends the value's native bytes. */
static bool put_value(const struct codec_column *column, const struct gw_datum *datum, struct gw_buf *out,
                      struct gw_error *err)
{
    switch (datum->kind) {
    case GW_KIND_BOOL:
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
        return put_integer(column, datum, out, err);
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
        return put_float(column, datum, out, err);
    case GW_KIND_DATE:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        return put_calendar(column, datum, out, err);
    case GW_KIND_TIME:
        return put_time(column, datum, out, err);
    case GW_KIND_BITS:
        return put_bits(column, datum, out, err);
    case GW_KIND_UUID:
        return put_uuid(column, datum, out);
    case GW_KIND_INTERVAL:
    case GW_KIND_ARRAY:
        gw_datum_print(datum, out);
        return true;
    case GW_KIND_GEOMETRY:
        for (uint32_t i = 0; i < datum->len && i < 4; i++)
            gw_buf_addc(out, (char)datum->bytes[datum->len < 4 ? i : 3 - i]);
        if (datum->len > 4)
            gw_buf_add(out, datum->bytes + 4, datum->len - 4);
        return true;
    case GW_KIND_DECIMAL:
        if (!decimal_fits(&column->form, datum))
            return cannot_hold(column, datum, err);
        gw_buf_add(out, datum->bytes, datum->len);
        return true;
    case GW_KIND_TEXT:
    case GW_KIND_BYTES:
    case GW_KIND_JSON:
    case GW_KIND_ENUM:
        if (!text_fits(&column->form, datum))
            return cannot_hold(column, datum, err);
        gw_buf_add(out, datum->bytes, datum->len);
        return true;
    default:
        return cannot_hold(column, datum, err);
    }
}

static bool borrows(const struct gw_datum *datum)
{
    return datum->kind == GW_KIND_TEXT || datum->kind == GW_KIND_BYTES || datum->kind == GW_KIND_JSON ||
           datum->kind == GW_KIND_ENUM;
}

static bool codec_encode(struct gw_codec *codec, const struct gw_datum *data, struct gw_arena *arena,
                         struct gw_row *out, struct gw_error *err)
{
    struct gw_value *values = gw_arena_zalloc(arena, (codec->count + 1) * sizeof *values);
    for (size_t i = 0; i < codec->count; i++) {
        const struct codec_column *column = &codec->columns[i];
        const struct gw_datum *datum = &data[i];
        if (datum->kind == GW_KIND_UNCHANGED || datum->kind == GW_KIND_ABSENT) {
            values[i].kind = datum->kind == GW_KIND_ABSENT ? GW_VALUE_ABSENT : GW_VALUE_UNCHANGED;
            continue;
        }
        if (datum->kind == GW_KIND_NULL)
            continue;
        values[i].kind = column->form.value_kind;
        if (borrows(datum)) {
            if (!text_fits(&column->form, datum))
                return cannot_hold(column, datum, err);
            values[i].bytes = datum->bytes;
            values[i].len = datum->len;
            continue;
        }
        gw_buf_clear(&codec->scratch);
        if (!put_value(column, datum, &codec->scratch, err))
            return false;
        values[i].len = (uint32_t)codec->scratch.len;
        values[i].bytes = gw_arena_dup(arena, gw_buf_text(&codec->scratch), codec->scratch.len);
    }
    *out = (struct gw_row){.count = (uint32_t)codec->count, .values = values};
    return true;
}

/* ---- as SQL ------------------------------------------------------------------------------------------------------ */

/* `bytes` is the scratch that it may be in. */
static bool native_value(struct gw_codec *codec, const struct codec_column *column, const struct gw_datum *datum,
                         struct gw_value *out, struct gw_error *err)
{
    *out = (struct gw_value){.kind = datum->kind == GW_KIND_NULL ? GW_VALUE_NULL : column->form.value_kind};
    if (datum->kind == GW_KIND_NULL)
        return true;
    gw_buf_clear(&codec->scratch);
    if (borrows(datum)) {
        if (!text_fits(&column->form, datum))
            return cannot_hold(column, datum, err);
        gw_buf_add(&codec->scratch, datum->bytes, datum->len);
    } else if (!put_value(column, datum, &codec->scratch, err)) {
        return false;
    }
    out->bytes = (const unsigned char *)gw_buf_text(&codec->scratch);
    out->len = (uint32_t)codec->scratch.len;
    return true;
}

static bool codec_write_sql(struct gw_codec *codec, size_t i, const struct gw_datum *datum, struct gw_buf *out,
                            struct gw_error *err)
{
    struct gw_value value;
    if (!native_value(codec, &codec->columns[i], datum, &value, err))
        return false;
    gw_mysql_add_value(out, &codec->columns[i].form, &value);
    return true;
}

static bool codec_write_same(struct gw_codec *codec, size_t i, const struct gw_datum *datum, struct gw_buf *out,
                             struct gw_error *err)
{
    struct gw_value value;
    if (!native_value(codec, &codec->columns[i], datum, &value, err))
        return false;
    gw_mysql_add_is(out, codec->columns[i].name, &codec->columns[i].form, &value);
    return true;
}

static bool codec_pack(struct gw_codec *codec, const struct gw_datum *data, struct gw_buf *out, struct gw_error *err)
{
    size_t from = out->len;
    for (size_t i = 0; i < codec->count; i++) {
        const struct codec_column *column = &codec->columns[i];
        const struct gw_datum *datum = &data[i];
        bool fine = true;
        if (column->generated)
            continue;
        if (datum->kind == GW_KIND_NULL) {
            gw_mysql_row_put_null(out);
        } else if (borrows(datum)) {
            fine = text_fits(&column->form, datum) || cannot_hold(column, datum, err);
            if (fine)
                gw_mysql_row_put(out, datum->bytes, datum->len);
        } else {
            gw_buf_clear(&codec->scratch);
            fine = put_value(column, datum, &codec->scratch, err);
            if (fine)
                gw_mysql_row_put(out, gw_buf_text(&codec->scratch), codec->scratch.len);
        }
        if (!fine) {
            out->len = from; /* nothing of a row that does not fit stays behind */
            return false;
        }
    }
    return true;
}

/* Blocks have neither head nor tail. */
static void codec_pack_edge(struct gw_codec *codec, struct gw_buf *out)
{
    (void)codec, (void)out;
}

/* ---- session ---------------------------------------------------------------------------------------------------- */

static void codec_close(struct gw_codec *codec)
{
    if (!codec)
        return;
    for (size_t i = 0; i < codec->count; i++) {
        gw_mysql_form_release(&codec->columns[i].form);
        free(codec->columns[i].name);
    }
    free(codec->columns);
    gw_buf_release(&codec->left);
    gw_buf_release(&codec->scratch);
    gw_arena_release(&codec->arena);
    free(codec);
}

static bool codec_open(struct gw_store *store, const struct gw_collection *c, struct gw_codec **out,
                       struct gw_error *err)
{
    (void)store, (void)err;
    struct gw_codec *codec = gw_zalloc(sizeof *codec);
    codec->count = c->column_count;
    codec->columns = gw_calloc(c->column_count + 1, sizeof *codec->columns);
    for (size_t i = 0; i < c->column_count; i++) {
        struct codec_column *column = &codec->columns[i];
        gw_mysql_form_parse(c->columns[i].type, &column->form);
        column->kind = gw_mysql_kind_of(&column->form);
        column->generated = c->columns[i].generated;
        column->name = gw_strdup(c->columns[i].name);
    }
    *out = codec;
    return true;
}

const struct gw_codec_facet gw_mysql_codec = {
    .type_for = gw_mysql_type_for,
    .open = codec_open,
    .close = codec_close,
    .feed = codec_feed,
    .row = codec_row,
    .restart = codec_restart,
    .decode = codec_decode,
    .encode = codec_encode,
    .write_sql = codec_write_sql,
    .write_same = codec_write_same,
    .pack_first = codec_pack_edge,
    .pack = codec_pack,
    .pack_last = codec_pack_edge,
};
