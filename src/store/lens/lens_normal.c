#include "io/json.h"
#include "map/convert.h"
#include "store/lens/internal.h"

#include <string.h>

#define ROOM_KEEP_BYTES ((size_t)1 << 20)

/* 1.0 and 1.00 are one number: the scale is the column's, not the value's. */
static struct gw_datum normal_decimal(const struct gw_datum *datum)
{
    struct gw_datum out = *datum;
    const char *text = (const char *)datum->bytes;
    if (memchr(text, '.', out.len)) {
        while (out.len > 0 && text[out.len - 1] == '0')
            out.len--;
        if (out.len > 0 && text[out.len - 1] == '.')
            out.len--;
    }
    if (out.len == 2 && text[0] == '-' && text[1] == '0') {
        out.bytes++;
        out.len--;
    }
    return out;
}

static struct gw_datum normal_json(const struct gw_datum *datum, struct gw_buf *room)
{
    struct gw_error ignored;
    gw_buf_shrink(room, ROOM_KEEP_BYTES);
    if (!gw_json_canonical((const char *)datum->bytes, datum->len, room, &ignored))
        return *datum; /* not JSON after all: compared as it is */
    return gw_datum_of_bytes(GW_KIND_JSON, room->data, room->len);
}

static struct gw_datum normal_text(const struct gw_type *type, const struct gw_datum *datum)
{
    struct gw_datum out = *datum;
    out.kind = GW_KIND_TEXT;
    while (type->fixed && out.len > 0 && out.bytes[out.len - 1] == ' ')
        out.len--;
    return out;
}

static bool is_time(enum gw_kind kind)
{
    return kind == GW_KIND_DATE || kind == GW_KIND_TIME || kind == GW_KIND_TIMESTAMP || kind == GW_KIND_TIMESTAMPTZ;
}

/* Where any kind of value may stand in a column of times, a client writes a time as it likes: 12:00:05.250, or without a
 * zone. On a side that has such a type it is one and the same. */
static struct gw_datum normal_time(const struct gw_type *type, const struct gw_datum *datum, struct gw_arena *arena)
{
    struct gw_type strict = *type;
    struct gw_convert convert = {.to = &strict, .policy = GW_MAP_FAIL, .arena = arena};
    struct gw_datum out;
    strict.loose = false;
    strict.zero_dates = strict.infinities = true;
    return gw_map_convert(&convert, datum, &out) ? out : normal_text(type, datum);
}

struct gw_datum lens_normal(const struct gw_type *type, bool unlike, const struct gw_datum *datum,
                            struct gw_arena *arena, struct gw_buf *room)
{
    switch (datum->kind) {
    case GW_KIND_UINT64:
        if (datum->u64 <= INT64_MAX) {
            struct gw_datum out = {.kind = GW_KIND_INT64, .i64 = (int64_t)datum->u64};
            return out;
        }
        return *datum;
    case GW_KIND_DECIMAL:
        return normal_decimal(datum);
    case GW_KIND_JSON:
        return normal_json(datum, room);
    case GW_KIND_TEXT:
        if (unlike && type->loose && is_time(type->kind))
            return normal_time(type, datum, arena);
        return normal_text(type, datum);
    case GW_KIND_ENUM:
        return normal_text(type, datum);
    default:
        return *datum;
    }
}
