/*
 * A collection whose two sides order its keys differently (two engines, another collation): no range of the one side
 * holds the rows of a range of the other. So each side is cut as it orders itself, chunk by chunk, each in a short
 * snapshot of its own and by any worker, and every row is added to a cell that both sides share, chosen by the hash of
 * its key: a sum of row hashes that does not depend on the order, the source's minus the target's. When all is read,
 * the 128-bit digests of both sides decide; where they differ, cells that are not zero hold rows that do.
 *
 * A cell also remembers in which of 64 groups of chunks it was seen, on each side: only these are read again for the
 * rows of the cells that differ, one group of cells after the other. These rows are suspects and settled by their
 * keys like all others. A row that was written between the reads of the two sides is one of them.
 *
 * Memory: 24 bytes a cell, a cell for two rows, at most 2^20 of them (24 MiB) for all collections at a time; with more
 * rows than that more chunks are read again. A row needs 16 bytes until its chunk is read to the end: what is read halfway counts for nothing.
 *
 * Threads: any; the task's lock guards it.
 */
#ifndef GW_VERIFY_TALLY_H
#define GW_VERIFY_TALLY_H

#include "verify/cutting.h"

struct gw_tally_cell {
    uint64_t sum;     /* of row hashes: the source's minus the target's */
    uint64_t seen[2]; /* groups of chunks that had rows in it */
};
struct gw_tally {
    unsigned bits; /* 2^bits cells */
    struct gw_tally_cell *cells;
    struct gw_digest totals[2];
    int turn; /* of the files it is kept in, see kept.h */
};

/* Gives the task its tally, once there is room for it beside those of other collections. Fails only when cancelled. */
GW_MUST_CHECK bool gw_tally_make(struct gw_verify_task *, struct gw_error *err);
void gw_tally_drop(struct gw_verify_task *); /* none is fine */

void gw_tally_clear(struct gw_tally *);
/* Reads a chunk (the number of its cut) of each side at once (GW_VERIFY_NO_CHUNK: none of that side) and adds it. */
GW_MUST_CHECK bool gw_tally_read(struct gw_verify_task *, struct gw_verify_pair *, const size_t chunks[2],
                                 struct gw_error *err);
/* When all chunks of both sides are added: the rows that differ become suspects. */
GW_MUST_CHECK bool gw_tally_look(struct gw_verify_task *, struct gw_verify_pair *, struct gw_error *err);

#endif
