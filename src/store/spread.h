/*
 * How the keys of a collection with a single integer key lie: where they are dense, bounds of chunks are worked out
 * instead of asked for. An engine's reader learns it once.
 */
#ifndef GW_STORE_SPREAD_H
#define GW_STORE_SPREAD_H

#include "model/range.h"

struct gw_spread {
    uint64_t table; /* hash of its name */
    bool dense;
    int64_t least, greatest;
    double per_row; /* key distance from row to row */
};

/* The bound about `rows` rows behind `low` (open: the least key), the caller's; *last: there is none. */
void gw_spread_next(const struct gw_spread *s, const struct gw_bound *low, int64_t rows, struct gw_bound *next,
                    bool *last);

#endif
