/*
 * Cutting a side of a collection into chunks, one after the other, behind what an earlier run has cut. For a sample: of
 * each so many blocks of rows that follow one another, one is a chunk, by chance; the others are walked over by the
 * server. So each row has the same chance, and no part of the keys is left out.
 * Belongs to the thread that splits.
 */
#ifndef GW_VERIFY_CUTTING_H
#define GW_VERIFY_CUTTING_H

#include "verify/task.h"

#define GW_VERIFY_NO_CHUNK SIZE_MAX

struct gw_cutting {
    struct gw_verify_task *task;
    struct gw_verify_pair *pair;
    int side;
    struct gw_bound low, next;
    bool last;
    size_t old, old_count; /* chunks that an earlier run has cut, to be gone through */
    int64_t rows;          /* of the step that is being made */
    uint64_t block, group; /* of a sample */
    unsigned attempt;
    size_t taken;
};

struct gw_cutting gw_cutting_of(struct gw_verify_task *, struct gw_verify_pair *, int side);
void gw_cutting_release(struct gw_cutting *);
/* The next chunk that has to be read: its number; GW_VERIFY_NO_CHUNK: there is none. */
GW_MUST_CHECK bool gw_cutting_next(struct gw_cutting *, size_t *chunk, struct gw_error *err);

#endif
