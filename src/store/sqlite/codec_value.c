/* One value, both ways. */
#include "store/sqlite/codec.h"

#include "base/mem.h"
#include "io/json.h"
#include "io/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

void gw_lite_form_of(const char *declared, struct gw_lite_form *out)
{
    gw_lite_type_of(declared, &out->type);
    out->affinity = strcasecmp(declared, "any") == 0 ? GW_LITE_BLOB : gw_lite_affinity_of(declared);
}

static struct gw_datum bytes_datum(enum gw_kind kind, const void *bytes, size_t len)
{
    return gw_datum_of_bytes(kind, len > 0 ? bytes : "", len);
}

static struct gw_datum arena_text(enum gw_kind kind, struct gw_arena *arena, const char *text)
{
    return gw_datum_of_bytes(kind, gw_arena_strdup(arena, text), strlen(text));
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

/* With so few digits that all is exact below 2^53: the quotient of two whole numbers is rounded as a text of it would be
 * read, so it is this double or no text with so many digits is. *known false: the number is too large for that. */
static bool print_exactly(double real, int scale, bool *known, char out[64])
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    char digits[24], *p = digits + sizeof digits, *to = out;
    *known = scale < 10 && fabs(real) * powers[scale] < 0x1p50;
    if (!*known)
        return false;
    int64_t whole = llround(real * powers[scale]);
    if ((double)whole / powers[scale] != real)
        return false;
    uint64_t n = whole < 0 ? (uint64_t)-whole : (uint64_t)whole;
    for (int place = 0; n > 0 || place <= scale; place++, n /= 10) {
        if (place == scale && scale > 0)
            *--p = '.';
        *--p = (char)('0' + n % 10);
    }
    if (whole < 0)
        *to++ = '-';
    memcpy(to, p, (size_t)(digits + sizeof digits - p));
    to[digits + sizeof digits - p] = 0;
    return true;
}

bool gw_lite_print_real(double real, int scale, char out[64])
{
    bool known;
    if (!isfinite(real) || (real == 0 && signbit(real)) || fabs(real) >= 1e15)
        return false;
    if (scale >= 0) {
        bool exact = print_exactly(real, scale, &known, out);
        if (known)
            return exact;
    }
    if (scale >= 0) {
        snprintf(out, 64, "%.*f", scale < 30 ? scale : 30, real);
        return strtod(out, NULL) == real;
    }
    for (int digits = 0; digits <= 20; digits++) {
        if (print_exactly(real, digits, &known, out))
            return true;
        if (known)
            continue;
        snprintf(out, 64, "%.*f", digits, real);
        if (strtod(out, NULL) == real)
            return true;
    }
    return false;
}

static struct gw_datum integer_datum(const struct gw_lite_form *form, int64_t v, struct gw_arena *arena)
{
    char text[128];
    if (form->type.kind == GW_KIND_BOOL && (v == 0 || v == 1))
        return (struct gw_datum){.kind = GW_KIND_BOOL, .boolean = v == 1};
    bool number = form->affinity != GW_LITE_TEXT && form->affinity != GW_LITE_BLOB;
    if (form->type.kind == GW_KIND_JSON && number) {
        snprintf(text, sizeof text, "%lld", (long long)v);
        return arena_text(GW_KIND_JSON, arena, text);
    }
    if (form->type.kind == GW_KIND_DECIMAL && number) {
        int scale = form->type.scale > 0 && form->type.scale < 30 ? form->type.scale : 0;
        snprintf(text, sizeof text, "%lld%s%.*s", (long long)v, scale > 0 ? "." : "", scale,
                 "000000000000000000000000000000");
        return arena_text(GW_KIND_DECIMAL, arena, text);
    }
    return (struct gw_datum){.kind = GW_KIND_INT64, .i64 = v};
}

static struct gw_datum real_datum(const struct gw_lite_form *form, double v, struct gw_arena *arena)
{
    char text[64];
    bool number = form->affinity == GW_LITE_NUMERIC;
    if (form->type.kind == GW_KIND_DECIMAL && number && gw_lite_print_real(v, form->type.scale, text))
        return arena_text(GW_KIND_DECIMAL, arena, text);
    if (form->type.kind == GW_KIND_JSON && number && gw_lite_print_real(v, -1, text))
        return arena_text(GW_KIND_JSON, arena, text);
    return (struct gw_datum){.kind = GW_KIND_FLOAT64, .f64 = v};
}

/* ---- texts ----------------------------------------------------------------------------------------------------- */

static void print_timestamp(int64_t us, struct gw_buf *out)
{
    gw_timestamp_print(us, ' ', us % 1000000 == 0 ? 0 : 6, out);
}

/* `count` digits; -1 when they are none. */
static int digits_of(const char *p, int count)
{
    int n = 0;
    for (int i = 0; i < count; i++) {
        unsigned digit = (unsigned)((unsigned char)p[i] - '0');
        if (digit > 9)
            return -1;
        n = n * 10 + (int)digit;
    }
    return n;
}

/* "2024-02-29 12:30:00", what nearly all of them are; false: another form, or none. */
static bool parse_plain_timestamp(const char *text, size_t len, int64_t *v)
{
    if (len != 19 || text[4] != '-' || text[7] != '-' || text[10] != ' ' || text[13] != ':' || text[16] != ':')
        return false;
    int year = digits_of(text, 4), month = digits_of(text + 5, 2), day = digits_of(text + 8, 2);
    int hour = digits_of(text + 11, 2), minute = digits_of(text + 14, 2), second = digits_of(text + 17, 2);
    if (year < 1 || month < 1 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 ||
        second > 59 || !gw_civil_exists(year, (unsigned)month, (unsigned)day))
        return false;
    *v = gw_days_from_civil(year, (unsigned)month, (unsigned)day) * GW_DAY_US +
         ((hour * INT64_C(60) + minute) * 60 + second) * 1000000;
    return true;
}

/* As `encode` writes it? Then it is this value, else another one that means the same. */
static bool parse_time_like(enum gw_kind kind, const char *text, size_t len, int64_t *v)
{
    gw_autobuf struct gw_buf again = {0};
    if (kind == GW_KIND_TIMESTAMP && parse_plain_timestamp(text, len, v))
        return true;
    if (kind == GW_KIND_DATE) {
        if (!gw_date_parse(text, len, v))
            return false;
        gw_date_print(*v, &again);
    } else if (kind == GW_KIND_TIME) {
        if (!gw_time_parse(text, len, v))
            return false;
        gw_time_print(*v, *v % 1000000 == 0 ? 0 : 6, &again);
    } else {
        size_t zone = kind == GW_KIND_TIMESTAMPTZ ? 6 : 0;
        if (len < zone || memcmp(text + len - zone, "+00:00", zone) != 0 || !gw_timestamp_parse(text, len - zone, v))
            return false;
        print_timestamp(*v, &again);
        if (zone > 0)
            gw_buf_adds(&again, "+00:00");
    }
    return again.len == len && memcmp(again.data, text, len) == 0;
}

static bool parse_uuid(const char *text, size_t len, unsigned char out[16])
{
    size_t nibbles = 0;
    if (len != 36)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-')
                return false;
            continue;
        }
        unsigned char c = (unsigned char)text[i];
        if (!isdigit(c) && !(c >= 'a' && c <= 'f'))
            return false;
        unsigned v = isdigit(c) ? c - (unsigned)'0' : c - (unsigned)'a' + 10;
        out[nibbles / 2] = (unsigned char)(nibbles % 2 == 0 ? v << 4 : out[nibbles / 2] | v);
        nibbles++;
    }
    return true;
}

static bool is_decimal(const char *text, size_t len)
{
    size_t i = len > 0 && text[0] == '-', digits = 0;
    if ((len == 3 && memcmp(text, "NaN", 3) == 0) || (len == 8 && memcmp(text, "Infinity", 8) == 0) ||
        (len == 9 && memcmp(text, "-Infinity", 9) == 0))
        return true;
    for (; i < len && isdigit((unsigned char)text[i]); i++)
        digits++;
    if (digits == 0)
        return false;
    if (i < len && text[i] == '.' && i + 1 < len)
        for (i++; i < len && isdigit((unsigned char)text[i]);)
            i++;
    return i == len;
}

static bool is_json(const char *text, size_t len)
{
    json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_decref(value);
    return value != NULL;
}

static struct gw_datum text_datum(const struct gw_lite_form *form, const unsigned char *bytes, size_t len,
                                  struct gw_arena *arena)
{
    const char *text = len > 0 ? (const char *)bytes : "";
    int64_t v = 0;
    if (gw_utf8_valid_prefix(text, len) != len)
        return bytes_datum(GW_KIND_BYTES, text, len);
    switch (form->type.kind) {
    case GW_KIND_DATE:
    case GW_KIND_TIME:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        if (parse_time_like(form->type.kind, text, len, &v))
            return (struct gw_datum){.kind = form->type.kind, .i64 = v};
        break;
    case GW_KIND_UUID: {
        unsigned char uuid[16] = {0};
        if (parse_uuid(text, len, uuid))
            return gw_datum_of_bytes(GW_KIND_UUID, gw_arena_dup(arena, uuid, 16), 16);
        break;
    }
    case GW_KIND_DECIMAL:
        if (form->affinity == GW_LITE_TEXT && is_decimal(text, len))
            return bytes_datum(GW_KIND_DECIMAL, text, len);
        break;
    case GW_KIND_JSON:
        if (is_json(text, len))
            return bytes_datum(GW_KIND_JSON, text, len);
        break;
    default:
        break;
    }
    return bytes_datum(GW_KIND_TEXT, text, len);
}

struct gw_datum gw_lite_cell_to_datum(const struct gw_lite_form *form, const struct gw_lite_cell *cell,
                                      struct gw_arena *arena)
{
    switch (cell->type) {
    case SQLITE_INTEGER:
        return integer_datum(form, cell->integer, arena);
    case SQLITE_FLOAT:
        return real_datum(form, cell->real, arena);
    case SQLITE_TEXT:
        return text_datum(form, cell->bytes, cell->len, arena);
    case SQLITE_BLOB:
        return bytes_datum(GW_KIND_BYTES, cell->bytes, cell->len);
    default:
        return gw_datum_null();
    }
}

/* ---- and back -------------------------------------------------------------------------------------------------- */

static bool refuse(const char *column, const struct gw_datum *datum, const char *why, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    gw_datum_print(datum, &text);
    return gw_fail(err, GW_ERR_CONFLICT, "column %s cannot hold %.60s: %s", column, gw_buf_text(&text), why);
}

static void text_cell(struct gw_arena *arena, const void *bytes, size_t len, struct gw_lite_cell *out)
{
    *out = (struct gw_lite_cell){
        .type = SQLITE_TEXT, .bytes = gw_arena_dup(arena, len > 0 ? bytes : "", len), .len = (uint32_t)len};
}

/* Would SQLite make a number of this text, storing it in such a column? */
static bool becomes_number(const struct gw_lite_form *form, const char *text, size_t len)
{
    if (form->affinity == GW_LITE_TEXT || form->affinity == GW_LITE_BLOB || len == 0 || len > 400 ||
        memchr(text, 0, len))
        return false;
    char copy[401], *end = NULL;
    memcpy(copy, text, len);
    copy[len] = 0;
    const char *from = copy + strspn(copy, " \t\n\v\f\r");
    if (!*from || strspn(from, "+-.0123456789eE \t\n\v\f\r") != strlen(from))
        return false;
    strtod(from, &end);
    return end[strspn(end, " \t\n\v\f\r")] == 0 && end != from;
}

static size_t significant_len(const char *text, size_t len)
{
    if (memchr(text, '.', len)) {
        while (len > 0 && text[len - 1] == '0')
            len--;
        if (len > 0 && text[len - 1] == '.')
            len--;
    }
    return len;
}

/* Zeros at the end do not count: the column's scale says how many there are. */
static bool same_number(const struct gw_datum *a, const struct gw_datum *b)
{
    size_t a_len = significant_len((const char *)a->bytes, a->len);
    size_t b_len = significant_len((const char *)b->bytes, b->len);
    return a_len == b_len && memcmp(a->bytes, b->bytes, a_len) == 0;
}

static bool decimal_cell(const struct gw_lite_form *form, const char *column, const struct gw_datum *datum,
                         struct gw_arena *arena, struct gw_lite_cell *out, struct gw_error *err)
{
    text_cell(arena, datum->bytes, datum->len, out);
    if (form->affinity == GW_LITE_TEXT || form->affinity == GW_LITE_BLOB)
        return true;
    const char *text = (const char *)out->bytes;
    if (!isdigit((unsigned char)text[datum->len > 0 ? datum->len - 1 : 0]))
        return true; /* NaN, Infinity: a text in any column */
    size_t len = significant_len(text, datum->len);
    gw_autofree char *number = gw_strndup(text, len);
    struct gw_lite_cell cell = {.type = SQLITE_INTEGER};
    errno = 0;
    cell.integer = strtoll(number, NULL, 10);
    if (strchr(number, '.') || errno == ERANGE)
        cell = (struct gw_lite_cell){.type = SQLITE_FLOAT, .real = strtod(number, NULL)};
    struct gw_lite_form as_decimal = *form;
    as_decimal.type.kind = GW_KIND_DECIMAL;
    if (form->type.kind != GW_KIND_DECIMAL)
        as_decimal.type.scale = -1;
    as_decimal.affinity = GW_LITE_NUMERIC;
    struct gw_datum again = gw_lite_cell_to_datum(&as_decimal, &cell, arena);
    if (again.kind != GW_KIND_DECIMAL || !same_number(&again, datum))
        return refuse(column, datum, "it would be kept as a double, with other digits", err);
    *out = cell;
    return true;
}

static bool printed_cell(const struct gw_datum *datum, struct gw_arena *arena, struct gw_lite_cell *out)
{
    gw_autobuf struct gw_buf text = {0};
    if ((datum->kind == GW_KIND_DATE || datum->kind == GW_KIND_TIMESTAMP || datum->kind == GW_KIND_TIMESTAMPTZ) &&
        datum->len > 0) {
        /* In no calendar; its text lies behind the same pointer as every kind's bytes. */
        gw_buf_add(&text, datum->bytes, datum->len);
    } else if ((datum->kind == GW_KIND_TIMESTAMP || datum->kind == GW_KIND_TIMESTAMPTZ) &&
               datum->i64 != GW_DATUM_FOREVER && datum->i64 != -GW_DATUM_FOREVER) {
        print_timestamp(datum->i64, &text);
        if (datum->kind == GW_KIND_TIMESTAMPTZ)
            gw_buf_adds(&text, "+00:00");
    } else if (datum->kind == GW_KIND_TIME) {
        gw_time_print(datum->i64, datum->i64 % 1000000 == 0 ? 0 : 6, &text);
    } else {
        gw_datum_print(datum, &text);
    }
    text_cell(arena, gw_buf_text(&text), text.len, out);
    return true;
}

static bool real_cell(const struct gw_lite_form *form, const char *column, const struct gw_datum *datum,
                      struct gw_lite_cell *out, struct gw_error *err)
{
    double v = datum->kind == GW_KIND_FLOAT32 ? (double)datum->f32 : datum->f64;
    if (isnan(v))
        return refuse(column, datum, "SQLite stores NaN as NULL", err);
    if (v == 0 && signbit(v) && form->affinity != GW_LITE_BLOB && form->affinity != GW_LITE_TEXT)
        return refuse(column, datum, "SQLite stores -0.0 as 0.0", err);
    *out = (struct gw_lite_cell){.type = SQLITE_FLOAT, .real = v};
    return true;
}

bool gw_lite_datum_to_cell(const struct gw_lite_form *form, const char *column, const struct gw_datum *datum,
                           struct gw_arena *arena, struct gw_lite_cell *out, struct gw_error *err)
{
    switch (datum->kind) {
    case GW_KIND_NULL:
        *out = (struct gw_lite_cell){.type = SQLITE_NULL};
        return true;
    case GW_KIND_BOOL:
        *out = (struct gw_lite_cell){.type = SQLITE_INTEGER, .integer = datum->boolean};
        return true;
    case GW_KIND_UINT64:
        if (datum->u64 > INT64_MAX) {
            gw_autobuf struct gw_buf text = {0};
            gw_datum_print(datum, &text);
            text_cell(arena, text.data, text.len, out);
            return form->affinity == GW_LITE_TEXT || form->affinity == GW_LITE_BLOB ||
                   refuse(column, datum, "SQLite's integers end at 9223372036854775807", err);
        }
        *out = (struct gw_lite_cell){.type = SQLITE_INTEGER, .integer = (int64_t)datum->u64};
        return true;
    case GW_KIND_INT64:
        *out = (struct gw_lite_cell){.type = SQLITE_INTEGER, .integer = datum->i64};
        return true;
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
        return real_cell(form, column, datum, out, err);
    case GW_KIND_DECIMAL:
        return decimal_cell(form, column, datum, arena, out, err);
    case GW_KIND_BYTES:
    case GW_KIND_GEOMETRY:
        *out = (struct gw_lite_cell){
            .type = SQLITE_BLOB,
            .bytes = gw_arena_dup(arena, datum->len > 0 ? datum->bytes : (const void *)"", datum->len),
            .len = datum->len};
        return true;
    case GW_KIND_JSON:
        text_cell(arena, datum->bytes, datum->len, out);
        if (becomes_number(form, (const char *)out->bytes, out->len))
            return decimal_cell(form, column, datum, arena, out, err);
        return true;
    case GW_KIND_TEXT:
    case GW_KIND_ENUM:
    case GW_KIND_BITS:
        text_cell(arena, datum->bytes, datum->len, out);
        return !becomes_number(form, (const char *)out->bytes, out->len) ||
               refuse(column, datum, "SQLite would store this text as a number", err);
    case GW_KIND_UNCHANGED:
    case GW_KIND_ABSENT:
        return gw_fail(err, GW_ERR_BUG, "a value that is not there, for column %s", column);
    default:
        return printed_cell(datum, arena, out);
    }
}
