/*
 * Any values into any type: converted or lost by name, without a crash. What is converted exactly fits the type, and
 * converting it once more changes nothing.
 */
#include "map/convert.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(const struct gw_datum *value, const struct gw_type *type, enum gw_map_policy policy,
                 struct gw_arena *arena)
{
    struct gw_convert convert = {.to = type, .policy = policy, .arena = arena};
    struct gw_datum once;
    struct gw_datum twice;
    if (!gw_map_convert(&convert, value, &once)) {
        if (convert.loss == GW_LOSS_NONE || strcmp(gw_map_loss_name(convert.loss), "unknown") == 0)
            abort();
        return;
    }
    if (once.kind != type->kind && once.kind != GW_KIND_NULL && once.kind != GW_KIND_UNCHANGED &&
        once.kind != GW_KIND_ABSENT)
        abort();
    if (type->kind == GW_KIND_TEXT && type->length && once.kind == GW_KIND_TEXT && once.len > type->length * 4 &&
        gw_kind_has_bytes(value->kind) && value->len == once.len && convert.loss == GW_LOSS_LENGTH)
        abort();
    convert.policy = GW_MAP_FAIL;
    if (!gw_map_convert(&convert, &once, &twice) || !gw_datum_equal(&once, &twice))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *labels[] = {"a", "b"};
    struct gw_type element = {.kind = GW_KIND_INT64, .bits = 32};
    const struct gw_type types[] = {
        {.kind = GW_KIND_BOOL},
        {.kind = GW_KIND_INT64, .bits = 16},
        {.kind = GW_KIND_INT64, .bits = 64},
        {.kind = GW_KIND_UINT64, .bits = 24},
        {.kind = GW_KIND_UINT64, .bits = 64},
        {.kind = GW_KIND_DECIMAL, .precision = 10, .scale = 3},
        {.kind = GW_KIND_DECIMAL, .scale = -1, .infinities = true},
        {.kind = GW_KIND_FLOAT32},
        {.kind = GW_KIND_FLOAT64},
        {.kind = GW_KIND_TEXT},
        {.kind = GW_KIND_TEXT, .length = 5, .bytes = 9, .no_nul = true, .basic_plane = true},
        {.kind = GW_KIND_BYTES, .length = 4},
        {.kind = GW_KIND_DATE, .least = -100000, .most = 100000},
        {.kind = GW_KIND_TIME, .scale = 3, .least = 0, .most = GW_DAY_US},
        {.kind = GW_KIND_TIMESTAMP, .scale = 0},
        {.kind = GW_KIND_TIMESTAMPTZ, .scale = 6, .infinities = true, .zero_dates = true},
        {.kind = GW_KIND_INTERVAL, .scale = 6},
        {.kind = GW_KIND_UUID},
        {.kind = GW_KIND_JSON, .no_nul = true},
        {.kind = GW_KIND_ARRAY, .element = &element},
        {.kind = GW_KIND_ENUM, .label_count = 2, .labels = labels},
        {.kind = GW_KIND_ENUM, .label_count = 2, .labels = labels, .is_set = true},
        {.kind = GW_KIND_BITS, .length = 6, .fixed = true},
        {.kind = GW_KIND_GEOMETRY},
    };
    struct gw_arena arena = {0};
    if (size < 1)
        return 0;
    enum gw_map_policy policy = (enum gw_map_policy)(data[0] % 5);
    struct gw_cursor in = gw_cursor_of(data + 1, size - 1);
    while (gw_cursor_left(&in) > 0) {
        struct gw_datum value = gw_datum_read(&in);
        if (in.bad)
            break;
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            take(&value, &types[i], policy, &arena);
        gw_arena_reset(&arena);
    }
    gw_arena_release(&arena);
    return 0;
}
