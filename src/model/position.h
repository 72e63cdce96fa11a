/*
 * A place in a side's change log: LSN, GTID, resume token, capture sequence.
 * `order` decides before and after within one log; `text` is the engine's own form, which alone is handed back to it.
 */
#ifndef GW_MODEL_POSITION_H
#define GW_MODEL_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#define GW_POSITION_TEXT_MAX 240

struct gw_position {
    uint64_t order;                  /* 0: before everything */
    char text[GW_POSITION_TEXT_MAX]; /* "" when order is 0 */
};

static inline bool gw_position_before(const struct gw_position *a, const struct gw_position *b)
{
    return a->order < b->order;
}

#endif
