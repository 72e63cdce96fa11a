#include "store/mysql/scan_datum.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The word of a type, without what stands in parentheses. */
static bool is(const struct gw_column *column, const char *word)
{
    size_t len = strlen(word);
    return strncasecmp(column->type, word, len) == 0 && !strchr("abcdefghijklmnopqrstuvwxyz24", column->type[len] | 32);
}

static bool has(const struct gw_column *column, const char *words)
{
    return strstr(column->type, words) != NULL;
}

static enum gw_kind kind_of(const struct gw_column *column)
{
    static const struct {
        const char *word;
        enum gw_kind kind;
    } kinds[] = {
        {"tinyint", GW_KIND_INT64},
        {"smallint", GW_KIND_INT64},
        {"mediumint", GW_KIND_INT64},
        {"int", GW_KIND_INT64},
        {"bigint", GW_KIND_INT64},
        {"year", GW_KIND_INT64},
        {"decimal", GW_KIND_DECIMAL},
        {"float", GW_KIND_FLOAT32},
        {"double", GW_KIND_FLOAT64},
        {"bit", GW_KIND_BITS},
        {"date", GW_KIND_DATE},
        {"time", GW_KIND_TIME},
        {"datetime", GW_KIND_TIMESTAMP},
        {"timestamp", GW_KIND_TIMESTAMPTZ},
        {"enum", GW_KIND_ENUM},
        {"json", GW_KIND_JSON},
        {"uuid", GW_KIND_UUID},
        {"binary", GW_KIND_BYTES},
        {"varbinary", GW_KIND_BYTES},
        {"tinyblob", GW_KIND_BYTES},
        {"blob", GW_KIND_BYTES},
        {"mediumblob", GW_KIND_BYTES},
        {"longblob", GW_KIND_BYTES},
        {"point", GW_KIND_GEOMETRY},
        {"linestring", GW_KIND_GEOMETRY},
        {"polygon", GW_KIND_GEOMETRY},
        {"multipoint", GW_KIND_GEOMETRY},
        {"multilinestring", GW_KIND_GEOMETRY},
        {"multipolygon", GW_KIND_GEOMETRY},
        {"geometry", GW_KIND_GEOMETRY},
        {"geometrycollection", GW_KIND_GEOMETRY},
        {"geomcollection", GW_KIND_GEOMETRY},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (is(column, kinds[i].word)) {
            bool natural = kinds[i].kind == GW_KIND_INT64 && (has(column, " unsigned") || has(column, " zerofill"));
            return natural ? GW_KIND_UINT64 : kinds[i].kind;
        }
    return has(column, " json") ? GW_KIND_JSON : GW_KIND_TEXT;
}

static uint64_t big_endian(const struct gw_value *value)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < value->len; i++)
        n = n << 8 | value->bytes[i];
    return n;
}

static bool bad_value(const struct gw_column *column, const struct gw_value *value, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_CONFLICT, "column %s: \"%.*s\" is no %s", column->name,
                   value->len > 60 ? 60 : (int)value->len, (const char *)value->bytes, column->type);
}

/* What is in no calendar stands in it as the server writes it, with the fraction the column has. */
static struct gw_datum outside_calendar(enum gw_kind kind, const struct gw_column *column, const struct gw_value *value)
{
    const char *digits = strchr(column->type, '(');
    size_t scale = digits ? strtoul(digits + 1, NULL, 10) : 0;
    struct gw_datum datum = {.kind = kind, .len = value->len, .bytes = value->bytes};
    if (kind != GW_KIND_DATE && value->len == 26)
        datum.len = (uint32_t)(scale ? 20 + scale : 19);
    return datum;
}

static bool bits_datum(const struct gw_column *column, const struct gw_value *value, struct gw_arena *arena,
                       struct gw_datum *out)
{
    const char *open = strchr(column->type, '(');
    size_t count = open ? strtoul(open + 1, NULL, 10) : 1;
    uint64_t bits = big_endian(value);
    char *text = gw_arena_alloc(arena, count + 1);
    for (size_t i = 0; i < count; i++)
        text[i] = (bits >> (count - 1 - i)) & 1 ? '1' : '0';
    *out = gw_datum_of_bytes(GW_KIND_BITS, text, count);
    return true;
}

static bool uuid_datum(const struct gw_column *column, const struct gw_value *value, struct gw_arena *arena,
                       struct gw_datum *out, struct gw_error *err)
{
    unsigned char *bytes = gw_arena_zalloc(arena, 16);
    size_t n = 0;
    for (uint32_t i = 0; i < value->len; i++) {
        unsigned c = value->bytes[i];
        if (c == '-')
            continue;
        unsigned digit = c <= '9' ? c - '0' : (c | 32u) - 'a' + 10u;
        if (digit > 15 || n == 32)
            return bad_value(column, value, err);
        bytes[n / 2] = (unsigned char)((unsigned)bytes[n / 2] << 4 | digit);
        n++;
    }
    *out = gw_datum_of_bytes(GW_KIND_UUID, bytes, 16);
    return n == 32 || bad_value(column, value, err);
}

static bool geometry_datum(const struct gw_value *value, struct gw_arena *arena, struct gw_datum *out)
{
    unsigned char *bytes = gw_arena_dup(arena, value->bytes, value->len);
    for (int i = 0; value->len >= 4 && i < 4; i++)
        bytes[i] = value->bytes[3 - i];
    *out = gw_datum_of_bytes(GW_KIND_GEOMETRY, bytes, value->len);
    return true;
}

static bool number_datum(enum gw_kind kind, const struct gw_column *column, const struct gw_value *value,
                         struct gw_arena *arena, struct gw_datum *out, struct gw_error *err)
{
    char *end, *text = gw_arena_dup(arena, value->bytes, value->len);
    *out = (struct gw_datum){.kind = kind};
    if (kind == GW_KIND_INT64)
        out->i64 = strtoll(text, &end, 10);
    else
        out->u64 = strtoull(text, &end, 10);
    return (*text && !*end) || bad_value(column, value, err);
}

static bool float_datum(enum gw_kind kind, const struct gw_column *column, const struct gw_value *value,
                        struct gw_datum *out, struct gw_error *err)
{
    uint64_t bits = big_endian(value);
    uint32_t half = (uint32_t)bits;
    *out = (struct gw_datum){.kind = kind};
    if (value->len != (kind == GW_KIND_FLOAT32 ? 4 : 8))
        return bad_value(column, value, err);
    if (kind == GW_KIND_FLOAT32)
        memcpy(&out->f32, &half, 4);
    else
        memcpy(&out->f64, &bits, 8);
    return true;
}

bool gw_mysql_scan_to_datum(struct gw_scan *scan, const struct gw_column *column, const struct gw_value *value,
                            struct gw_arena *arena, struct gw_datum *out, struct gw_error *err)
{
    enum gw_kind kind = kind_of(column);
    const char *text = (const char *)value->bytes;
    int64_t number = 0;
    (void)scan;
    if (value->kind != GW_VALUE_TEXT && value->kind != GW_VALUE_BINARY) {
        *out = (struct gw_datum){.kind = value->kind == GW_VALUE_NULL        ? GW_KIND_NULL
                                         : value->kind == GW_VALUE_UNCHANGED ? GW_KIND_UNCHANGED
                                                                             : GW_KIND_ABSENT};
        return true;
    }
    bool real = true;
    switch (kind) {
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
        return number_datum(kind, column, value, arena, out, err);
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
        return float_datum(kind, column, value, out, err);
    case GW_KIND_BITS:
        return bits_datum(column, value, arena, out);
    case GW_KIND_UUID:
        return uuid_datum(column, value, arena, out, err);
    case GW_KIND_GEOMETRY:
        return geometry_datum(value, arena, out);
    case GW_KIND_DATE:
        real = gw_date_parse(text, value->len, &number);
        break;
    case GW_KIND_TIME:
        if (!gw_time_parse(text, value->len, &number))
            return bad_value(column, value, err);
        break;
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        real = gw_timestamp_parse(text, value->len, &number);
        break;
    default:
        *out = gw_datum_of_bytes(kind, value->bytes, value->len);
        return true;
    }
    *out = real ? (struct gw_datum){.kind = kind, .i64 = number} : outside_calendar(kind, column, value);
    return true;
}

/* ---- back ------------------------------------------------------------------------------------------------------ */

static struct gw_value of_buf(const struct gw_buf *buf, struct gw_arena *arena, enum gw_value_kind kind)
{
    return (struct gw_value){
        .kind = kind, .len = (uint32_t)buf->len, .bytes = gw_arena_dup(arena, gw_buf_text(buf), buf->len)};
}

static void add_bits(const struct gw_datum *datum, struct gw_buf *out)
{
    size_t lead = (8 - datum->len % 8) % 8;
    unsigned byte = 0;
    for (size_t i = 0; i < datum->len; i++) {
        byte = byte << 1 | (datum->bytes[i] == '1');
        if ((i + lead) % 8 == 7) {
            gw_buf_addc(out, (char)byte);
            byte = 0;
        }
    }
}

static void add_time_texts(const struct gw_datum *datum, struct gw_buf *out)
{
    if (datum->kind != GW_KIND_TIME && datum->len > 0) {
        gw_buf_add(out, datum->bytes, datum->len);
        if (datum->kind != GW_KIND_DATE)
            gw_buf_adds(out, &".000000"[datum->len > 19 ? datum->len - 19 : 0]);
    } else if (datum->kind == GW_KIND_DATE) {
        gw_date_print(datum->i64, out);
    } else if (datum->kind == GW_KIND_TIME) {
        gw_time_print(datum->i64, 6, out);
    } else {
        gw_timestamp_print(datum->i64, ' ', 6, out);
    }
}

bool gw_mysql_scan_from_datum(struct gw_scan *scan, const struct gw_column *column, const struct gw_datum *datum,
                              struct gw_arena *arena, struct gw_value *out, struct gw_error *err)
{
    enum gw_value_kind kind = GW_VALUE_TEXT;
    uint32_t half;
    uint64_t bits;
    (void)scan;
    gw_autobuf struct gw_buf text = {0};
    switch (datum->kind) {
    case GW_KIND_NULL:
    case GW_KIND_UNCHANGED:
    case GW_KIND_ABSENT:
        *out = (struct gw_value){.kind = datum->kind == GW_KIND_NULL        ? GW_VALUE_NULL
                                         : datum->kind == GW_KIND_UNCHANGED ? GW_VALUE_UNCHANGED
                                                                            : GW_VALUE_ABSENT};
        return true;
    case GW_KIND_BOOL:
        gw_buf_adds(&text, datum->boolean ? "1" : "0");
        break;
    case GW_KIND_INT64:
        gw_buf_addf(&text, "%lld", (long long)datum->i64);
        break;
    case GW_KIND_UINT64:
        gw_buf_addf(&text, "%llu", (unsigned long long)datum->u64);
        break;
    case GW_KIND_FLOAT32:
        memcpy(&half, &datum->f32, 4);
        gw_buf_put32(&text, half);
        kind = GW_VALUE_BINARY;
        break;
    case GW_KIND_FLOAT64:
        memcpy(&bits, &datum->f64, 8);
        gw_buf_put64(&text, bits);
        kind = GW_VALUE_BINARY;
        break;
    case GW_KIND_DATE:
    case GW_KIND_TIME:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        add_time_texts(datum, &text);
        break;
    case GW_KIND_BITS:
        if (kind_of(column) == GW_KIND_BITS) {
            add_bits(datum, &text);
            kind = GW_VALUE_BINARY;
        } else {
            gw_buf_add(&text, datum->bytes, datum->len);
        }
        break;
    case GW_KIND_UUID:
        for (uint32_t i = 0; i < datum->len; i++)
            gw_buf_addf(&text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", datum->bytes[i]);
        break;
    case GW_KIND_GEOMETRY:
        for (uint32_t i = 0; i < datum->len; i++)
            gw_buf_addc(&text, (char)datum->bytes[i < 4 ? 3 - i : i]);
        kind = GW_VALUE_BINARY;
        break;
    case GW_KIND_BYTES:
        *out = (struct gw_value){.kind = GW_VALUE_BINARY, .len = datum->len, .bytes = datum->bytes};
        return true;
    case GW_KIND_INTERVAL:
    case GW_KIND_ARRAY:
        gw_datum_print(datum, &text);
        break;
    default:
        *out = (struct gw_value){.kind = GW_VALUE_TEXT, .len = datum->len, .bytes = datum->bytes};
        return true;
    }
    (void)err;
    *out = of_buf(&text, arena, kind);
    return true;
}

void gw_mysql_scan_print(const struct gw_column *column, const struct gw_value *value, struct gw_buf *out)
{
    enum gw_kind kind = kind_of(column);
    float f;
    double d;
    uint64_t bits;
    if (value->kind == GW_VALUE_NULL) {
        gw_buf_adds(out, "NULL");
    } else if (value->kind == GW_VALUE_TEXT) {
        gw_buf_add(out, value->bytes, value->len);
    } else if (value->kind == GW_VALUE_BINARY && kind == GW_KIND_FLOAT32 && value->len == 4) {
        uint32_t half = (uint32_t)big_endian(value);
        memcpy(&f, &half, 4);
        gw_buf_addf(out, "%.9g", (double)f);
    } else if (value->kind == GW_VALUE_BINARY && kind == GW_KIND_FLOAT64 && value->len == 8) {
        bits = big_endian(value);
        memcpy(&d, &bits, 8);
        gw_buf_addf(out, "%.17g", d);
    } else {
        gw_buf_adds(out, "0x");
        for (uint32_t i = 0; i < value->len && i < 64; i++)
            gw_buf_addf(out, "%02x", value->bytes[i]);
        gw_buf_adds(out, value->len > 64 ? "..." : "");
    }
}
