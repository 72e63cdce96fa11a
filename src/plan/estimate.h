/*
 * How long the copy will take, from a sample that was really read on blue and one that was really written on green.
 */
#ifndef GW_PLAN_ESTIMATE_H
#define GW_PLAN_ESTIMATE_H

#include "plan/plan.h"

struct gw_plan_sizes {
    int64_t tables, unknown_rows /* of these: no statistics */, rows, bytes, index_bytes, chunks;
};

/* Adds the member "estimate". What could not be measured is null and said in "basis". */
GW_MUST_CHECK bool gw_plan_estimate(const struct gw_plan_options *, const struct gw_schema *,
                                    const struct gw_plan_sizes *, json_t *plan, struct gw_error *);

#endif
