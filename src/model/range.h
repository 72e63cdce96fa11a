/*
 * A half-open range of keys [low, high) as the source orders them. A bound is a tuple of the key columns' text forms;
 * an absent bound (count 0) is open. The chunks of a collection tile the whole key space: the first has no low, the
 * last no high, so rows outside the first minimum and maximum are never missed.
 */
#ifndef GW_MODEL_RANGE_H
#define GW_MODEL_RANGE_H

#include "base/error.h"
#include "model/value.h"

struct gw_bound {
    uint32_t count; /* key columns; 0: open */
    char **texts;   /* owned, text form of each key column */
};

struct gw_range {
    struct gw_bound low;  /* inclusive */
    struct gw_bound high; /* exclusive */
};

void gw_bound_release(struct gw_bound *bound);
struct gw_bound gw_bound_copy(const struct gw_bound *bound);
bool gw_bound_equal(const struct gw_bound *a, const struct gw_bound *b);
/* JSON array of strings, "[]" for open: how bounds stand in the state and in the target's checkpoints. */
void gw_bound_format(const struct gw_bound *bound, struct gw_buf *out);
GW_MUST_CHECK bool gw_bound_parse(const char *json, struct gw_bound *out, struct gw_error *err);
void gw_range_release(struct gw_range *range);

#endif
