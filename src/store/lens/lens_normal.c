#include "io/json.h"
#include "store/lens/internal.h"

#include <string.h>

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

static struct gw_datum normal_json(const struct gw_datum *datum, struct gw_arena *arena)
{
    gw_autobuf struct gw_buf text = {0};
    struct gw_error ignored;
    if (!gw_json_canonical((const char *)datum->bytes, datum->len, &text, &ignored))
        return *datum; /* not JSON after all: compared as it is */
    return gw_datum_of_bytes(GW_KIND_JSON, gw_arena_dup(arena, text.data, text.len), text.len);
}

static struct gw_datum normal_text(const struct gw_type *type, const struct gw_datum *datum)
{
    struct gw_datum out = *datum;
    out.kind = GW_KIND_TEXT;
    while (type->fixed && out.len > 0 && out.bytes[out.len - 1] == ' ')
        out.len--;
    return out;
}

struct gw_datum lens_normal(const struct gw_type *type, const struct gw_datum *datum, struct gw_arena *arena)
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
        return normal_json(datum, arena);
    case GW_KIND_TEXT:
    case GW_KIND_ENUM:
        return normal_text(type, datum);
    default:
        return *datum;
    }
}
