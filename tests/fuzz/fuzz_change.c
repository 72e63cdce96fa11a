/* Any bytes as a stored change: decoded or refused, never trusted; what is decoded survives another round. */
#include "model/change.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_arena arena = {0};
    struct gw_error err;
    struct gw_change change, again;
    gw_autobuf struct gw_buf first = {0}, second = {0};
    struct gw_cursor in = gw_cursor_of(data, size);
    if (gw_change_decode(&in, &arena, &change, &err)) {
        gw_change_encode(&first, &change);
        if (first.len != gw_change_encoded_size(&change) || first.len > size)
            abort();
        in = gw_cursor_of(first.data, first.len);
        if (!gw_change_decode(&in, &arena, &again, &err) || gw_cursor_left(&in) != 0)
            abort();
        gw_change_encode(&second, &again);
        if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
            abort();
    }
    gw_arena_release(&arena);
    return 0;
}
