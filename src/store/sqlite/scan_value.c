/* What the canonical bytes of a value mean. */
#include "store/sqlite/scan.h"
#include "store/sqlite/types.h"

#include "base/mem.h"
#include "io/json.h"
#include "io/utf8.h"

#include <math.h>
#include <strings.h>

#define TREE_MOST_BYTES ((size_t)64 << 10)

struct meaning {
    enum gw_kind kind;
    int scale;
    bool numbers; /* the column makes numbers of texts that are some */
    bool texts;   /* the column makes texts of numbers */
};

static struct meaning meaning_of(const struct gw_column *column)
{
    struct gw_type type;
    gw_lite_type_of(column->type, &type);
    enum gw_lite_affinity affinity =
        strcasecmp(column->type, "any") == 0 ? GW_LITE_BLOB : gw_lite_affinity_of(column->type);
    struct meaning meaning = {.kind = type.kind,
                              .scale = type.scale,
                              .numbers = affinity != GW_LITE_TEXT && affinity != GW_LITE_BLOB,
                              .texts = affinity == GW_LITE_TEXT};
    gw_type_release(&type);
    return meaning;
}

static struct gw_datum said(enum gw_kind kind, struct gw_arena *arena, const char *text)
{
    return gw_datum_of_bytes(kind, gw_arena_strdup(arena, text), strlen(text));
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

/* The double in decimals, if they are exact under strtod and need no exponent. */
static bool decimals(double v, int scale, char *out, size_t size)
{
    if (!isfinite(v) || (v == 0 && signbit(v)) || fabs(v) >= 1e15)
        return false;
    int from = scale < 0 ? 0 : scale > 30 ? 30 : scale, to = scale < 0 ? 20 : from;
    for (int digits = from; digits <= to; digits++) {
        if (snprintf(out, size, "%.*f", digits, v) >= (int)size)
            return false;
        if (strtod(out, NULL) == v)
            return true;
    }
    return false;
}

static struct gw_datum number_datum(const struct meaning *meaning, bool real, int64_t i, double r,
                                    struct gw_arena *arena)
{
    char text[96];
    if (!real && meaning->kind == GW_KIND_BOOL && (i == 0 || i == 1))
        return (struct gw_datum){.kind = GW_KIND_BOOL, .boolean = i != 0};
    bool named = meaning->kind == GW_KIND_DECIMAL || meaning->kind == GW_KIND_JSON;
    if (named && meaning->numbers && !real) {
        int len = snprintf(text, sizeof text, "%lld", (long long)i);
        if (meaning->kind == GW_KIND_DECIMAL && meaning->scale > 0 && meaning->scale < 30)
            snprintf(text + len, sizeof text - (size_t)len, ".%0*d", meaning->scale, 0);
        return said(meaning->kind, arena, text);
    }
    if (named && meaning->numbers &&
        decimals(r, meaning->kind == GW_KIND_JSON ? -1 : meaning->scale, text, sizeof text))
        return said(meaning->kind, arena, text);
    return real ? (struct gw_datum){.kind = GW_KIND_FLOAT64, .f64 = r}
                : (struct gw_datum){.kind = GW_KIND_INT64, .i64 = i};
}

/* ---- texts ----------------------------------------------------------------------------------------------------- */

/* Digits at fixed places; -1: something else stands there. */
static int digits_at(const char *text, size_t count)
{
    int v = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        v = v * 10 + (text[i] - '0');
    }
    return v;
}

/* A year of four digits or more, "-0044" before year 0; then -mm-dd. */
static bool read_date(const char *text, size_t len, int64_t *days)
{
    bool before = len > 0 && text[0] == '-';
    size_t sign = before ? 1 : 0, digits = 0;
    while (sign + digits < len && text[sign + digits] >= '0' && text[sign + digits] <= '9')
        digits++;
    if (digits < 4 || digits > 7 || len != sign + digits + 6 || (digits > 4 && text[sign] == '0'))
        return false;
    const char *rest = text + sign + digits;
    int year = digits_at(text + sign, digits), month = digits_at(rest + 1, 2), day = digits_at(rest + 4, 2);
    if (rest[0] != '-' || rest[3] != '-' || month < 1 || day < 1 || (before && year == 0))
        return false;
    year = before ? -year : year;
    if (!gw_civil_exists(year, (unsigned)month, (unsigned)day))
        return false;
    *days = gw_days_from_civil(year, (unsigned)month, (unsigned)day);
    return true;
}

/* :mm:ss, or that with six digits behind it that are not all 0. */
static bool read_minutes(const char *text, size_t len, int64_t *us)
{
    int part = 0;
    if ((len != 6 && len != 13) || text[0] != ':' || text[3] != ':')
        return false;
    int minute = digits_at(text + 1, 2), second = digits_at(text + 4, 2);
    if (minute < 0 || minute > 59 || second < 0 || second > 59)
        return false;
    if (len == 13 && (text[6] != '.' || (part = digits_at(text + 7, 6)) <= 0))
        return false;
    *us = ((int64_t)minute * 60 + second) * 1000000 + part;
    return true;
}

/* A time may be negative, and of more than a day: two digits of hours or as many as there are. */
static bool read_time(const char *text, size_t len, int64_t *us)
{
    bool negative = len > 0 && text[0] == '-';
    size_t sign = negative ? 1 : 0, digits = 0;
    while (sign + digits < len && text[sign + digits] >= '0' && text[sign + digits] <= '9')
        digits++;
    if (digits < 2 || digits > 9 || (digits > 2 && text[sign] == '0') ||
        !read_minutes(text + sign + digits, len - sign - digits, us))
        return false;
    *us += (int64_t)digits_at(text + sign, digits) * 3600 * 1000000;
    if (negative && *us == 0)
        return false;
    *us = negative ? -*us : *us;
    return true;
}

static bool read_timestamp(const char *text, size_t len, int64_t *us)
{
    const char *space = memchr(text, ' ', len);
    size_t date = space ? (size_t)(space - text) : 0;
    int64_t days = 0, whole;
    if (!space || len < date + 9 || text[date + 3] != ':' || !read_date(text, date, &days) ||
        !read_time(space + 1, len - date - 1, us) || *us < 0 || *us >= GW_DAY_US)
        return false;
    return !__builtin_mul_overflow(days, GW_DAY_US, &whole) && !__builtin_add_overflow(whole, *us, us);
}

static bool read_moment(enum gw_kind kind, const char *text, size_t len, int64_t *out)
{
    switch (kind) {
    case GW_KIND_DATE:
        return read_date(text, len, out);
    case GW_KIND_TIME:
        return read_time(text, len, out);
    case GW_KIND_TIMESTAMP:
        return read_timestamp(text, len, out);
    case GW_KIND_TIMESTAMPTZ:
        return len > 6 && memcmp(text + len - 6, "+00:00", 6) == 0 && read_timestamp(text, len - 6, out);
    default:
        return false;
    }
}

static bool read_uuid(const char *text, size_t len, unsigned char *out)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;
    if (len != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-')
        return false;
    for (size_t i = 0; i < 36; i++) {
        const char *digit = text[i] ? strchr(hex, text[i]) : NULL;
        if (i == 8 || i == 13 || i == 18 || i == 23)
            continue;
        if (!digit)
            return false;
        unsigned nibble = (unsigned)(digit - hex);
        out[at / 2] = (unsigned char)(at % 2 ? (unsigned)out[at / 2] | nibble : nibble << 4);
        at++;
    }
    return true;
}

/* An optional sign, digits, and perhaps a point with digits on both sides. */
static bool is_plain_decimal(const char *text, size_t len)
{
    static const char *const names[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < 3; i++)
        if (len == strlen(names[i]) && memcmp(text, names[i], len) == 0)
            return true;
    size_t points = 0, digits = 0;
    for (size_t i = len > 0 && text[0] == '-'; i < len; i++) {
        if (text[i] == '.' && digits > 0 && i + 1 < len)
            points++;
        else if (text[i] >= '0' && text[i] <= '9')
            digits++;
        else
            return false;
    }
    return digits > 0 && points <= 1;
}

/* A tree of a large document would be many times as large. */
static bool is_json(const char *text, size_t len)
{
    gw_autobuf struct gw_buf canonical = {0};
    struct gw_error ignored;
    if (len > TREE_MOST_BYTES)
        return gw_json_canonical(text, len, &canonical, &ignored);
    json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_decref(json);
    return json != NULL;
}

static struct gw_datum text_meaning(const struct meaning *meaning, const struct gw_value *value, struct gw_arena *arena)
{
    const char *text = value->len > 0 ? (const char *)value->bytes : "";
    size_t len = value->len;
    int64_t moment = 0;
    if (gw_utf8_valid_prefix(text, len) != len)
        return gw_datum_of_bytes(GW_KIND_BYTES, text, len);
    if (read_moment(meaning->kind, text, len, &moment))
        return (struct gw_datum){.kind = meaning->kind, .i64 = moment};
    if (meaning->kind == GW_KIND_UUID) {
        unsigned char *uuid = gw_arena_zalloc(arena, 16);
        if (read_uuid(text, len, uuid))
            return gw_datum_of_bytes(GW_KIND_UUID, uuid, 16);
    }
    if (meaning->kind == GW_KIND_DECIMAL && meaning->texts && is_plain_decimal(text, len))
        return gw_datum_of_bytes(GW_KIND_DECIMAL, text, len);
    if (meaning->kind == GW_KIND_JSON && is_json(text, len))
        return gw_datum_of_bytes(GW_KIND_JSON, text, len);
    return gw_datum_of_bytes(GW_KIND_TEXT, text, len);
}

bool gw_lite_scan_to_datum(struct gw_scan *scan, const struct gw_column *column, const struct gw_value *value,
                           struct gw_arena *arena, struct gw_datum *out, struct gw_error *err)
{
    (void)scan;
    if (value->kind == GW_VALUE_NULL) {
        *out = gw_datum_null();
        return true;
    }
    struct meaning meaning = meaning_of(column);
    if (value->kind == GW_VALUE_TEXT) {
        *out = text_meaning(&meaning, value, arena);
        return true;
    }
    if (value->kind != GW_VALUE_BINARY || value->len == 0)
        return gw_fail(err, GW_ERR_BUG, "column %s: no value that a scan gives", column->name);
    if (value->bytes[0] == 'b') {
        *out = gw_datum_of_bytes(GW_KIND_BYTES, value->bytes + 1, value->len - 1);
        return true;
    }
    if (value->len != 9 || (value->bytes[0] != 'i' && value->bytes[0] != 'r'))
        return gw_fail(err, GW_ERR_BUG, "column %s: no value that a scan gives", column->name);
    uint64_t bits = gw_get64(value->bytes + 1);
    double real;
    memcpy(&real, &bits, sizeof real);
    *out = number_datum(&meaning, value->bytes[0] == 'r', (int64_t)bits, real, arena);
    return true;
}

/* ---- a key, to fetch by ---------------------------------------------------------------------------------------- */

static void letter_value(char letter, uint64_t bits, struct gw_arena *arena, struct gw_value *out)
{
    unsigned char *bytes = gw_arena_alloc(arena, 9);
    bytes[0] = (unsigned char)letter;
    for (int i = 0; i < 8; i++)
        bytes[1 + i] = (unsigned char)(bits >> (56 - 8 * i));
    *out = (struct gw_value){.kind = GW_VALUE_BINARY, .len = 9, .bytes = bytes};
}

static void text_value(const char *text, size_t len, struct gw_arena *arena, struct gw_value *out)
{
    *out = (struct gw_value){.kind = GW_VALUE_TEXT, .len = (uint32_t)len, .bytes = gw_arena_dup(arena, text, len)};
}

static void decimal_value(const struct meaning *meaning, const struct gw_datum *datum, struct gw_arena *arena,
                          struct gw_value *out)
{
    gw_autofree char *text = gw_strndup(datum->len > 0 ? (const char *)datum->bytes : "", datum->len);
    if (!meaning->numbers) {
        text_value(text, datum->len, arena, out);
        return;
    }
    char *end = NULL;
    char *point = strchr(text, '.');
    if (!point || strspn(point + 1, "0") == strlen(point + 1)) {
        letter_value('i', (uint64_t)strtoll(text, &end, 10), arena, out);
        return;
    }
    double real = strtod(text, NULL);
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    letter_value('r', bits, arena, out);
}

static void moment_value(const struct gw_datum *datum, struct gw_arena *arena, struct gw_value *out)
{
    gw_autobuf struct gw_buf text = {0};
    int digits = datum->i64 % 1000000 == 0 ? 0 : 6;
    if (datum->kind == GW_KIND_DATE)
        gw_date_print(datum->i64, &text);
    else if (datum->kind == GW_KIND_TIME)
        gw_time_print(datum->i64, digits, &text);
    else
        gw_timestamp_print(datum->i64, ' ', digits, &text);
    if (datum->kind == GW_KIND_TIMESTAMPTZ)
        gw_buf_adds(&text, "+00:00");
    text_value(gw_buf_text(&text), text.len, arena, out);
}

bool gw_lite_scan_from_datum(struct gw_scan *scan, const struct gw_column *column, const struct gw_datum *datum,
                             struct gw_arena *arena, struct gw_value *out, struct gw_error *err)
{
    (void)scan;
    struct meaning meaning = meaning_of(column);
    gw_autobuf struct gw_buf text = {0};
    uint64_t bits;
    double real;
    switch (datum->kind) {
    case GW_KIND_NULL:
        *out = (struct gw_value){.kind = GW_VALUE_NULL};
        return true;
    case GW_KIND_BOOL:
        letter_value('i', datum->boolean, arena, out);
        return true;
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
        letter_value('i', datum->u64, arena, out);
        return true;
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
        real = datum->kind == GW_KIND_FLOAT32 ? (double)datum->f32 : datum->f64;
        memcpy(&bits, &real, sizeof bits);
        letter_value('r', bits, arena, out);
        return true;
    case GW_KIND_DECIMAL:
        decimal_value(&meaning, datum, arena, out);
        return true;
    case GW_KIND_BYTES:
    case GW_KIND_GEOMETRY:
        gw_buf_addc(&text, 'b');
        gw_buf_add(&text, datum->bytes, datum->len);
        *out = (struct gw_value){
            .kind = GW_VALUE_BINARY, .len = (uint32_t)text.len, .bytes = gw_arena_dup(arena, text.data, text.len)};
        return true;
    case GW_KIND_DATE:
    case GW_KIND_TIME:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        if (datum->len == 0 && datum->i64 != GW_DATUM_FOREVER && datum->i64 != -GW_DATUM_FOREVER) {
            moment_value(datum, arena, out);
            return true;
        }
        break;
    case GW_KIND_JSON:
        if (meaning.numbers && is_plain_decimal((const char *)datum->bytes, datum->len)) {
            decimal_value(&meaning, datum, arena, out);
            return true;
        }
        text_value((const char *)datum->bytes, datum->len, arena, out);
        return true;
    case GW_KIND_TEXT:
    case GW_KIND_ENUM:
    case GW_KIND_BITS:
        text_value(datum->len > 0 ? (const char *)datum->bytes : "", datum->len, arena, out);
        return true;
    case GW_KIND_UNCHANGED:
    case GW_KIND_ABSENT:
        return gw_fail(err, GW_ERR_BUG, "column %s: a key value that is not there", column->name);
    default:
        break;
    }
    gw_datum_print(datum, &text);
    text_value(gw_buf_text(&text), text.len, arena, out);
    return true;
}

/* ---- for a person ---------------------------------------------------------------------------------------------- */

void gw_lite_scan_print(const struct gw_column *column, const struct gw_value *value, struct gw_buf *out)
{
    static const char digits[] = "0123456789abcdef";
    (void)column;
    if (value->kind == GW_VALUE_TEXT) {
        gw_buf_add(out, value->bytes, value->len);
        return;
    }
    if (value->kind != GW_VALUE_BINARY || value->len == 0) {
        gw_buf_adds(out, value->kind == GW_VALUE_NULL ? "NULL" : "?");
        return;
    }
    uint64_t bits = value->len == 9 ? gw_get64(value->bytes + 1) : 0;
    double real;
    memcpy(&real, &bits, sizeof real);
    switch (value->bytes[0]) { /* a scan's letter, or the number by which the stream and the reader tell classes */
    case 'i':
    case 1:
        gw_buf_addf(out, "%lld", (long long)(int64_t)bits);
        break;
    case 'r':
    case 2:
        gw_buf_addf(out, "%.17g", real);
        break;
    default:
        gw_buf_adds(out, "x'");
        for (uint32_t i = 1; i < value->len; i++) {
            gw_buf_addc(out, digits[value->bytes[i] >> 4]);
            gw_buf_addc(out, digits[value->bytes[i] & 15]);
        }
        gw_buf_addc(out, '\'');
    }
}
