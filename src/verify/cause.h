/*
 * Why rows differ, in words: what the pairs of differing values of a column have in common. Judged by the values' texts
 * as a person reads them, so it holds for any engine. One per collection; the caller locks.
 */
#ifndef GW_VERIFY_CAUSE_H
#define GW_VERIFY_CAUSE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gw_cause_kind {
    GW_CAUSE_TIME_SHIFT,   /* two times, always as far apart */
    GW_CAUSE_PRECISION,    /* the same time with fewer digits */
    GW_CAUSE_FLOAT4,       /* one is the other as a float of 4 bytes */
    GW_CAUSE_SCALE,        /* the same number written with another scale */
    GW_CAUSE_NUMBER_SHIFT, /* two numbers, always as far apart */
    GW_CAUSE_TRAILING_SPACE,
    GW_CAUSE_CASE,
    GW_CAUSE_EMPTY_OR_NULL, /* '' on one side, NULL on the other */
    GW_CAUSE_NULL_ON_TARGET,
    GW_CAUSE_NULL_ON_SOURCE,
    GW_CAUSE_CUT_OFF,        /* the target's is the beginning of the source's */
    GW_CAUSE_QUESTION_MARKS, /* '?' where the source has something beyond ASCII */
    GW_CAUSE_ORDER,          /* the same bytes in another order */
    GW_CAUSE_OTHER,
    GW_CAUSE_KINDS
};

struct gw_cause_column {
    uint64_t rows; /* that differ in it */
    uint64_t kinds[GW_CAUSE_KINDS];
    double shift; /* seconds, or the numbers' difference: target less source */
    bool shift_varies;
};

struct gw_cause {
    size_t count;
    struct gw_cause_column *columns; /* owned */
    bool masked;                     /* numbers are not said */
};

void gw_cause_init(struct gw_cause *, size_t columns);
void gw_cause_release(struct gw_cause *);
/* NULL: SQL NULL. The texts differ. */
void gw_cause_note(struct gw_cause *, size_t column, const char *source, const char *target);
/* "all 4,112 rows differ in created_at by +9 h: time zone"; false when nothing was noted for the column. */
bool gw_cause_words(const struct gw_cause *, size_t column, const char *name, uint64_t rows_compared, bool at_least,
                    struct gw_buf *out);
void gw_cause_add_count(struct gw_buf *out, uint64_t n); /* 4,112 */

#endif
