/* The binary wire form of values. */
#include "store/postgres/codec.h"

#include <string.h>

bool gw_pg_refuse(const struct gw_pg_coding *coding, const char *what, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_CONFLICT, "column %s: %s", coding->column ? coding->column : "?", what);
}

/* ---- reading -------------------------------------------------------------------------------------------------------- */

static bool read_int(const struct gw_pg_coding *coding, const unsigned char *bytes, uint32_t len, struct gw_datum *out,
                     struct gw_error *err)
{
    if (len != coding->width)
        return gw_pg_refuse(coding, "an integer of another length", err);
    out->kind = GW_KIND_INT64;
    if (len == 8)
        out->i64 = (int64_t)gw_get64(bytes);
    else
        out->i64 = len == 4 ? (int32_t)gw_get32(bytes) : (int16_t)gw_get16(bytes);
    return true;
}

static void read_date(const unsigned char *bytes, struct gw_datum *out)
{
    int32_t days = (int32_t)gw_get32(bytes);
    out->kind = GW_KIND_DATE;
    out->i64 = days == INT32_MAX ? GW_DATUM_FOREVER : days == INT32_MIN ? -GW_DATUM_FOREVER : days;
}

static void read_interval(const unsigned char *bytes, struct gw_datum *out)
{
    out->kind = GW_KIND_INTERVAL;
    out->interval.us = (int64_t)gw_get64(bytes);
    out->interval.days = (int32_t)gw_get32(bytes + 8);
    out->interval.months = (int32_t)gw_get32(bytes + 12);
}

static bool read_bits(const struct gw_pg_coding *coding, const unsigned char *bytes, uint32_t len,
                      struct gw_arena *arena, struct gw_datum *out, struct gw_error *err)
{
    uint32_t count = len >= 4 ? gw_get32(bytes) : 0;
    if (len < 4 || ((uint64_t)count + 7) / 8 != len - 4)
        return gw_pg_refuse(coding, "a bit string of another length", err);
    char *text = gw_arena_alloc(arena, count);
    for (uint32_t i = 0; i < count; i++)
        text[i] = (bytes[4 + i / 8] >> (7 - i % 8)) & 1 ? '1' : '0';
    *out = gw_datum_of_bytes(GW_KIND_BITS, text, count);
    return true;
}

/* char(n): the spaces that fill it are no part of the value. */
static uint32_t without_padding(const struct gw_pg_coding *coding, const unsigned char *bytes, uint32_t len)
{
    if (coding->type.fixed)
        while (len > 0 && bytes[len - 1] == ' ')
            len--;
    return len;
}

static bool read_foreign(const struct gw_pg_coding *coding, const unsigned char *bytes, uint32_t len,
                         struct gw_arena *arena, struct gw_datum *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    if (!gw_pg_foreign_read(coding, bytes, len, &text, err))
        return false;
    *out = gw_datum_of_bytes(GW_KIND_TEXT, gw_arena_dup(arena, text.data, text.len), text.len);
    return true;
}

static bool read_fixed(const struct gw_pg_coding *coding, const unsigned char *bytes, uint32_t len,
                       struct gw_datum *out, struct gw_error *err)
{
    static const uint8_t lengths[] = {[GW_PG_CODE_BOOL] = 1,      [GW_PG_CODE_OID] = 4,       [GW_PG_CODE_FLOAT4] = 4,
                                      [GW_PG_CODE_FLOAT8] = 8,    [GW_PG_CODE_DATE] = 4,      [GW_PG_CODE_TIME] = 8,
                                      [GW_PG_CODE_TIMESTAMP] = 8, [GW_PG_CODE_INTERVAL] = 16, [GW_PG_CODE_UUID] = 16};
    if (len != lengths[coding->code])
        return gw_pg_refuse(coding, "a value of another length", err);
    out->kind = coding->type.kind;
    switch (coding->code) {
    case GW_PG_CODE_BOOL:
        out->boolean = bytes[0] != 0;
        break;
    case GW_PG_CODE_OID:
        out->u64 = gw_get32(bytes);
        break;
    case GW_PG_CODE_FLOAT4: {
        uint32_t bits = gw_get32(bytes);
        memcpy(&out->f32, &bits, sizeof bits);
        break;
    }
    case GW_PG_CODE_DATE:
        read_date(bytes, out);
        break;
    case GW_PG_CODE_INTERVAL:
        read_interval(bytes, out);
        break;
    case GW_PG_CODE_UUID:
        out->len = 16;
        out->bytes = bytes;
        break;
    default: /* FLOAT8's bits are a number's, too */
        out->i64 = (int64_t)gw_get64(bytes);
        if (coding->code == GW_PG_CODE_TIMESTAMP && out->i64 == INT64_MIN)
            out->i64 = -GW_DATUM_FOREVER;
    }
    return true;
}

bool gw_pg_read_binary(const struct gw_pg_coding *coding, const unsigned char *bytes, uint32_t len,
                       struct gw_arena *arena, struct gw_datum *out, struct gw_error *err)
{
    out->len = 0;
    switch (coding->code) {
    case GW_PG_CODE_INT:
        return read_int(coding, bytes, len, out, err);
    case GW_PG_CODE_NUMERIC:
        return gw_pg_numeric_read(coding, bytes, len, arena, out, err);
    case GW_PG_CODE_TEXT:
        *out = gw_datum_of_bytes(GW_KIND_TEXT, bytes, without_padding(coding, bytes, len));
        return true;
    case GW_PG_CODE_BYTEA:
    case GW_PG_CODE_JSON:
    case GW_PG_CODE_ENUM:
        *out = gw_datum_of_bytes(coding->type.kind, bytes, len);
        return true;
    case GW_PG_CODE_JSONB:
        if (len < 1 || bytes[0] != 1)
            return gw_pg_refuse(coding, "jsonb of an unknown version", err);
        *out = gw_datum_of_bytes(GW_KIND_JSON, bytes + 1, len - 1);
        return true;
    case GW_PG_CODE_BITS:
        return read_bits(coding, bytes, len, arena, out, err);
    case GW_PG_CODE_ARRAY:
        return gw_pg_array_read_binary(coding, bytes, len, arena, out, err);
    case GW_PG_CODE_GEOMETRY:
    case GW_PG_CODE_FOREIGN:
        return read_foreign(coding, bytes, len, arena, out, err);
    default:
        return read_fixed(coding, bytes, len, out, err);
    }
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

static void put16(struct gw_buf *out, uint16_t value)
{
    gw_buf_reserve(out, sizeof value);
    value = __builtin_bswap16(value);
    memcpy(out->data + out->len, &value, sizeof value);
    out->len += sizeof value;
}

static void put32(struct gw_buf *out, uint32_t value)
{
    gw_buf_reserve(out, sizeof value);
    value = __builtin_bswap32(value);
    memcpy(out->data + out->len, &value, sizeof value);
    out->len += sizeof value;
}

static void put64(struct gw_buf *out, uint64_t value)
{
    gw_buf_reserve(out, sizeof value);
    value = __builtin_bswap64(value);
    memcpy(out->data + out->len, &value, sizeof value);
    out->len += sizeof value;
}

static void write_int(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_buf *out)
{
    if (coding->width == 8)
        put64(out, datum->u64);
    else if (coding->width == 4)
        put32(out, (uint32_t)datum->u64);
    else
        put16(out, (uint16_t)datum->u64);
}

static void write_date(const struct gw_datum *datum, struct gw_buf *out)
{
    int32_t days = datum->i64 == GW_DATUM_FOREVER    ? INT32_MAX
                   : datum->i64 == -GW_DATUM_FOREVER ? INT32_MIN
                                                     : (int32_t)datum->i64;
    put32(out, (uint32_t)days);
}

static void write_bits(const struct gw_datum *datum, struct gw_buf *out)
{
    put32(out, datum->len);
    for (uint32_t i = 0; i < datum->len; i += 8) {
        unsigned byte = 0;
        for (uint32_t k = i; k < i + 8; k++)
            byte = byte << 1 | (k < datum->len && datum->bytes[k] == '1');
        gw_buf_addc(out, (char)byte);
    }
}

bool gw_pg_write_binary(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_buf *out,
                        struct gw_error *err)
{
    switch (coding->code) {
    case GW_PG_CODE_BOOL:
        gw_buf_addc(out, datum->boolean ? 1 : 0);
        return true;
    case GW_PG_CODE_INT:
        write_int(coding, datum, out);
        return true;
    case GW_PG_CODE_OID:
        put32(out, (uint32_t)datum->u64);
        return true;
    case GW_PG_CODE_NUMERIC:
        return gw_pg_numeric_write(coding, datum->bytes, datum->len, out, err);
    case GW_PG_CODE_FLOAT4: {
        uint32_t bits;
        memcpy(&bits, &datum->f32, sizeof bits);
        put32(out, bits);
        return true;
    }
    case GW_PG_CODE_DATE:
        write_date(datum, out);
        return true;
    case GW_PG_CODE_TIMESTAMP:
        put64(out, datum->i64 == -GW_DATUM_FOREVER ? (uint64_t)INT64_MIN : datum->u64);
        return true;
    case GW_PG_CODE_FLOAT8: /* its bits */
    case GW_PG_CODE_TIME:
        put64(out, datum->u64);
        return true;
    case GW_PG_CODE_INTERVAL:
        put64(out, (uint64_t)datum->interval.us);
        put32(out, (uint32_t)datum->interval.days);
        put32(out, (uint32_t)datum->interval.months);
        return true;
    case GW_PG_CODE_JSONB:
        gw_buf_addc(out, 1);
        gw_buf_add(out, datum->bytes, datum->len);
        return true;
    case GW_PG_CODE_BITS:
        write_bits(datum, out);
        return true;
    case GW_PG_CODE_ARRAY:
        return gw_pg_array_write_binary(coding, datum, out, err);
    case GW_PG_CODE_TEXT:
    case GW_PG_CODE_BYTEA:
    case GW_PG_CODE_UUID:
    case GW_PG_CODE_JSON:
    case GW_PG_CODE_ENUM:
        gw_buf_add(out, datum->bytes, datum->len);
        return true;
    case GW_PG_CODE_GEOMETRY:
    case GW_PG_CODE_FOREIGN:
        break;
    }
    return gw_fail(err, GW_ERR_BUG, "column %s has no binary form of ours", coding->column ? coding->column : "?");
}
