/*
 * A sample of the rows: one block of 1,000 of each so many (see cutting.h). Where both sides order keys alike the
 * block's range is compared like any chunk, so a row that only the target has is found, too. Where they do not, the
 * block's rows are looked for on the other side by their keys, and blocks of either side are taken. A collection
 * without key is compared as a whole.
 *
 * What it is worth is said beside the verdict: how likely it is that so many rows that differ would have been missed.
 * It is never kept as a verdict that lets a switch begin.
 */
#ifndef GW_VERIFY_SAMPLE_H
#define GW_VERIFY_SAMPLE_H

#include "verify/task.h"

#define GW_SAMPLE_ROWS 1000

/* A block of one side against the rows of the other with the same keys. */
GW_MUST_CHECK bool gw_sample_compare(struct gw_verify_task *, struct gw_verify_pair *, const struct gw_verify_cut *,
                                     int side, struct gw_error *err);
/* The chance that not one of so many differing rows, or blocks of them, was looked at. */
double gw_sample_missed(const struct gw_verify_sample *, uint64_t rows);
/* From how many rows on that is at most one in a hundred. */
uint64_t gw_sample_sure(const struct gw_verify_sample *);
/* "1", "0.5%", "10 %" */
GW_MUST_CHECK bool gw_sample_parse(const char *text, struct gw_verify_sample *, struct gw_error *err);

#endif
