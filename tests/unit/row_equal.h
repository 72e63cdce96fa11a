/* Two rows of the same values. */
#ifndef TESTS_UNIT_ROW_EQUAL_H
#define TESTS_UNIT_ROW_EQUAL_H

#include "model/value.h"

static inline bool row_equal(const struct gw_row *a, const struct gw_row *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!gw_value_equal(&a->values[i], &b->values[i]))
            return false;
    return true;
}

#endif
