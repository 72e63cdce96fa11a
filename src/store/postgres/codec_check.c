/* What a column can hold. The server would round a numeric, cut the spaces of a varchar, and fail a whole chunk for one
 * NUL byte: what does not fit is said here, of the one value. */
#include "store/postgres/codec.h"

#include "base/mem.h"
#include "io/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 80
#define LEAST_DAY INT64_C(-2451545)
#define MOST_DAY INT64_C(2145031948)
#define LEAST_US INT64_C(-211813488000000000)
#define MOST_US INT64_C(9223371331199999999)

static bool cannot(const struct gw_pg_coding *coding, const struct gw_datum *datum, const char *why,
                   struct gw_error *err)
{
    gw_autobuf struct gw_buf value = {0}, type = {0};
    struct gw_datum cut = *datum;
    bool bytes = gw_kind_has_bytes(datum->kind) && datum->kind != GW_KIND_ARRAY;
    if (bytes && cut.len > SHOWN_BYTES)
        for (cut.len = SHOWN_BYTES; cut.len > 0 && (cut.bytes[cut.len] & 0xc0) == 0x80;)
            cut.len--;
    gw_datum_print(&cut, &value);
    gw_type_print(&coding->type, &type);
    size_t whole = value.len;
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.data[i] < 0x20)
            value.data[i] = ' ';
    gw_fail(err, GW_ERR_CONFLICT, "column %s (%s) cannot hold %.*s%s: %s", coding->column ? coding->column : "?",
            gw_buf_text(&type), whole > SHOWN_BYTES * 2 ? SHOWN_BYTES * 2 : (int)whole, gw_buf_text(&value),
            cut.len < datum->len ? "..." : "", why);
    return gw_error_hint(err, "give the column another type on this side, or a policy for what does not fit");
}

/* ---- numbers -------------------------------------------------------------------------------------------------------- */

static bool to_int(const struct gw_datum *datum, struct gw_datum *out)
{
    *out = *datum;
    switch (datum->kind) {
    case GW_KIND_INT64:
        return true;
    case GW_KIND_UINT64:
        out->kind = GW_KIND_INT64;
        return datum->u64 <= INT64_MAX;
    case GW_KIND_BOOL:
        *out = (struct gw_datum){.kind = GW_KIND_INT64, .i64 = datum->boolean};
        return true;
    case GW_KIND_DECIMAL: {
        char text[32], *end;
        if (datum->len == 0 || datum->len >= sizeof text)
            return false;
        memcpy(text, datum->bytes, datum->len);
        text[datum->len] = 0;
        errno = 0;
        *out = (struct gw_datum){.kind = GW_KIND_INT64, .i64 = strtoll(text, &end, 10)};
        if (*end == '.')
            end += 1 + strspn(end + 1, "0");
        return errno == 0 && *end == 0;
    }
    default:
        return false;
    }
}

static bool check_int(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_datum *out,
                      struct gw_error *err)
{
    int64_t most = coding->width == 8 ? INT64_MAX : coding->width == 4 ? INT32_MAX : INT16_MAX;
    if (!to_int(datum, out))
        return cannot(coding, datum, "it is no integer of 64 bits", err);
    if (coding->code == GW_PG_CODE_OID) {
        out->kind = GW_KIND_UINT64;
        return (out->i64 >= 0 && out->i64 <= UINT32_MAX) || cannot(coding, datum, "it is out of range", err);
    }
    return (out->i64 <= most && out->i64 >= -most - 1) || cannot(coding, datum, "it is out of range", err);
}

static bool check_digits(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_error *err)
{
    const unsigned char *at = datum->bytes, *end = at + datum->len, *point;
    if (datum->len == 0 || (*at > '9' && *at != '-') || (datum->len > 1 && at[1] > '9')) {
        if (coding->type.precision && *datum->bytes != 'N')
            return cannot(coding, datum, "only numbers without limit are infinite", err);
        return true; /* whatever else it is, writing tells */
    }
    if (!coding->type.precision)
        return true;
    if (*at == '-')
        at++;
    while (at < end && *at == '0')
        at++;
    point = memchr(at, '.', (size_t)(end - at));
    size_t whole = (size_t)((point ? point : end) - at);
    if (whole > coding->type.precision - (unsigned)(coding->type.scale > 0 ? coding->type.scale : 0))
        return cannot(coding, datum, "it has too many digits before the point", err);
    for (const unsigned char *p = point ? point + 1 + coding->type.scale : end; p < end; p++)
        if (*p != '0')
            return cannot(coding, datum, "it has too many digits behind the point", err);
    for (size_t i = 0; i < coding->zeros && i < whole; i++)
        if (at[whole - 1 - i] != '0')
            return cannot(coding, datum, "it would be rounded", err);
    return true;
}

static bool check_numeric(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_arena *arena,
                          struct gw_datum *out, struct gw_error *err)
{
    *out = *datum;
    if (datum->kind == GW_KIND_INT64 || datum->kind == GW_KIND_UINT64) {
        char *text = gw_arena_alloc(arena, 24);
        int len = datum->kind == GW_KIND_INT64 ? snprintf(text, 24, "%" PRId64, datum->i64)
                                               : snprintf(text, 24, "%" PRIu64, datum->u64);
        *out = gw_datum_of_bytes(GW_KIND_DECIMAL, text, (size_t)len);
    } else if (datum->kind != GW_KIND_DECIMAL) {
        return cannot(coding, datum, "it is no decimal number", err);
    }
    return check_digits(coding, out, err);
}

static bool check_float(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_datum *out,
                        struct gw_error *err)
{
    bool single = coding->code == GW_PG_CODE_FLOAT4;
    *out = (struct gw_datum){.kind = single ? GW_KIND_FLOAT32 : GW_KIND_FLOAT64};
    if (datum->kind == out->kind) {
        *out = *datum;
        return true;
    }
    if (datum->kind == GW_KIND_FLOAT32) {
        out->f64 = (double)datum->f32;
        return true;
    }
    if (datum->kind == GW_KIND_FLOAT64) {
        out->f32 = (float)datum->f64;
        return isnan(datum->f64) || (double)out->f32 == datum->f64 || cannot(coding, datum, "it would be rounded", err);
    }
    return cannot(coding, datum, "it is no float", err);
}

static bool check_bool(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_datum *out,
                       struct gw_error *err)
{
    *out = *datum;
    if (datum->kind == GW_KIND_BOOL)
        return true;
    bool number = datum->kind == GW_KIND_INT64 || datum->kind == GW_KIND_UINT64;
    *out = (struct gw_datum){.kind = GW_KIND_BOOL, .boolean = number && datum->u64 == 1};
    return (number && datum->u64 <= 1) || cannot(coding, datum, "it is neither true nor false", err);
}

/* ---- text ----------------------------------------------------------------------------------------------------------- */

/* *ascii: no byte above 0x7f. False: there is a NUL. */
static bool look_at(const unsigned char *bytes, size_t len, bool *ascii)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
    uint64_t high = 0;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        high |= word;
        if ((word - ones) & ~word & highs)
            return false;
    }
    for (; i < len; i++) {
        high |= bytes[i];
        if (bytes[i] == 0)
            return false;
    }
    *ascii = (high & highs) == 0;
    return true;
}

static size_t count_characters(const unsigned char *bytes, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += (bytes[i] & 0xc0) != 0x80;
    return count;
}

static bool check_text(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_error *err)
{
    bool ascii;
    uint32_t len = datum->len;
    if (!look_at(datum->bytes, len, &ascii))
        return cannot(coding, datum, "there is a NUL byte in it", err);
    if (!ascii && gw_utf8_valid_prefix((const char *)datum->bytes, len) != len)
        return cannot(coding, datum, "it is not UTF-8", err);
    uint64_t most = coding->type.length;
    if (most && coding->type.fixed)
        while (len > most && datum->bytes[len - 1] == ' ')
            len--;
    if (most && len > most && (ascii || count_characters(datum->bytes, len) > most))
        return cannot(coding, datum, "it is too long", err);
    return (!coding->type.bytes || len <= coding->type.bytes) || cannot(coding, datum, "it is too long", err);
}

/* jsonb keeps strings as text, and text has no NUL: \u0000 behind an even number of backslashes. */
static bool check_jsonb(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_error *err)
{
    const unsigned char *at = datum->bytes, *end = at + datum->len;
    while (at < end && (at = memmem(at, (size_t)(end - at), "\\u0000", 6)) != NULL) {
        size_t before = 0;
        while (at - before > datum->bytes && at[-1 - (ptrdiff_t)before] == '\\')
            before++;
        if (before % 2 == 0)
            return cannot(coding, datum, "there is a NUL in one of its strings", err);
        at += 6;
    }
    return true;
}

static bool check_bits(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_error *err)
{
    uint64_t most = coding->type.length;
    for (uint32_t i = 0; i < datum->len; i++)
        if (datum->bytes[i] != '0' && datum->bytes[i] != '1')
            return cannot(coding, datum, "it is no bit string", err);
    if (most && (datum->len > most || (coding->type.fixed && datum->len != most)))
        return cannot(coding, datum, "it has another number of bits", err);
    return true;
}

/* ---- times ---------------------------------------------------------------------------------------------------------- */

static bool check_scale(const struct gw_pg_coding *coding, const struct gw_datum *datum, int64_t us,
                        struct gw_error *err)
{
    static const int64_t unit[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    int scale = coding->type.scale;
    if (scale < 0 || scale > 5 || us % unit[scale] == 0)
        return true;
    return cannot(coding, datum, "it has more digits of a second than the column", err);
}

static bool check_moment(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_error *err)
{
    bool date = coding->code == GW_PG_CODE_DATE;
    if (datum->kind != coding->type.kind)
        return cannot(coding, datum, "it is of another kind", err);
    if (datum->len)
        return cannot(coding, datum, "it is in no calendar", err);
    if (datum->i64 == GW_DATUM_FOREVER || datum->i64 == -GW_DATUM_FOREVER)
        return true;
    if (datum->i64 < (date ? LEAST_DAY : LEAST_US) || datum->i64 > (date ? MOST_DAY : MOST_US))
        return cannot(coding, datum, "it is out of range", err);
    return date || check_scale(coding, datum, datum->i64, err);
}

static bool check_time(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_error *err)
{
    if (datum->kind != GW_KIND_TIME)
        return cannot(coding, datum, "it is of another kind", err);
    if (datum->i64 < 0 || datum->i64 > GW_DAY_US)
        return cannot(coding, datum, "it is no time of a day", err);
    return check_scale(coding, datum, datum->i64, err);
}

static bool check_interval(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_datum *out,
                           struct gw_error *err)
{
    *out = *datum;
    if (datum->kind == GW_KIND_TIME)
        *out = (struct gw_datum){.kind = GW_KIND_INTERVAL, .interval = {0, 0, datum->i64}};
    else if (datum->kind != GW_KIND_INTERVAL)
        return cannot(coding, datum, "it is no interval", err);
    return check_scale(coding, datum, out->interval.us, err);
}

/* ---- all ------------------------------------------------------------------------------------------------------------ */

static bool check_elements(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_arena *arena,
                           struct gw_datum *out, struct gw_error *err)
{
    struct gw_datum_array array;
    gw_autobuf struct gw_buf flat = {0};
    if (datum->kind != GW_KIND_ARRAY)
        return cannot(coding, datum, "it is no array", err);
    if (!gw_datum_array_open(datum, &array, err))
        return false;
    gw_datum_array_begin(&flat, array.count ? array.dimensions : 0, array.lengths, array.lowers);
    for (uint64_t i = 0; i < array.count; i++) {
        struct gw_datum element = gw_datum_read(&array.elements), fitting = element;
        if (array.elements.bad)
            return gw_pg_refuse(coding, "a malformed array", err);
        if (element.kind != GW_KIND_NULL && !gw_pg_check_datum(coding->element, &element, arena, &fitting, err))
            return false;
        gw_datum_write(&flat, &fitting);
    }
    *out = gw_datum_of_bytes(GW_KIND_ARRAY, gw_arena_dup(arena, flat.data, flat.len), flat.len);
    return true;
}

static bool one_of(enum gw_kind kind, enum gw_kind a, enum gw_kind b, enum gw_kind c)
{
    return kind == a || kind == b || kind == c;
}

bool gw_pg_check_datum(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_arena *arena,
                       struct gw_datum *changed, struct gw_error *err)
{
    enum gw_kind kind = datum->kind;
    *changed = *datum;
    switch (coding->code) {
    case GW_PG_CODE_BOOL:
        return check_bool(coding, datum, changed, err);
    case GW_PG_CODE_INT:
    case GW_PG_CODE_OID:
        return check_int(coding, datum, changed, err);
    case GW_PG_CODE_NUMERIC:
        return check_numeric(coding, datum, arena, changed, err);
    case GW_PG_CODE_FLOAT4:
    case GW_PG_CODE_FLOAT8:
        return check_float(coding, datum, changed, err);
    case GW_PG_CODE_TEXT:
    case GW_PG_CODE_FOREIGN:
    case GW_PG_CODE_ENUM:
        if (!one_of(kind, GW_KIND_TEXT, GW_KIND_ENUM, GW_KIND_JSON))
            return cannot(coding, datum, "it is no text", err);
        changed->kind = coding->type.kind;
        return check_text(coding, datum, err);
    case GW_PG_CODE_JSON:
    case GW_PG_CODE_JSONB:
        if (!one_of(kind, GW_KIND_JSON, GW_KIND_TEXT, GW_KIND_JSON))
            return cannot(coding, datum, "it is no JSON", err);
        changed->kind = GW_KIND_JSON;
        return check_text(coding, datum, err) && (coding->code == GW_PG_CODE_JSON || check_jsonb(coding, datum, err));
    case GW_PG_CODE_BYTEA:
    case GW_PG_CODE_GEOMETRY:
        if (!one_of(kind, GW_KIND_BYTES, GW_KIND_GEOMETRY, GW_KIND_BYTES))
            return cannot(coding, datum, "it is of another kind", err);
        changed->kind = coding->type.kind;
        return coding->code == GW_PG_CODE_BYTEA || datum->len >= 9 || cannot(coding, datum, "it is no geometry", err);
    case GW_PG_CODE_DATE:
    case GW_PG_CODE_TIMESTAMP:
        return check_moment(coding, datum, err);
    case GW_PG_CODE_TIME:
        return check_time(coding, datum, err);
    case GW_PG_CODE_INTERVAL:
        return check_interval(coding, datum, changed, err);
    case GW_PG_CODE_UUID:
        return (kind == GW_KIND_UUID && datum->len == 16) || cannot(coding, datum, "it is no uuid", err);
    case GW_PG_CODE_BITS:
        return kind == GW_KIND_BITS ? check_bits(coding, datum, err)
                                    : cannot(coding, datum, "it is no bit string", err);
    case GW_PG_CODE_ARRAY:
        return check_elements(coding, datum, arena, changed, err);
    }
    return gw_fail(err, GW_ERR_BUG, "a column of unknown coding");
}
