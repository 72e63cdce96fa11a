/*
 * Rows that the target lacks, or has as they were, because they did not fit: set aside while copying, or refused while
 * following. When such a row changes on the source it is read again there and written as it is now, as a one-row chunk with
 * its own mark, and its notes leave the quarantine with that transaction; gone there, it goes here, too. What still does
 * not fit adds a note.
 *
 * Goes the careful way, row by row. Rows of collections without a key are not told apart and stay as they are. Owned by
 * the applier's thread.
 */
#ifndef GW_FOLLOW_LEFT_OUT_H
#define GW_FOLLOW_LEFT_OUT_H

#include "follow/batch.h"

struct follow_applier;

struct follow_left_out {
    uint64_t *rows; /* sorted hashes of what has a note: a few more than have one do no harm */
    size_t count, capacity;
    struct gw_codec **codecs; /* of the source, by collection, as they are needed */
    bool *no_codec;
    struct gw_arena arena;
    bool healed; /* the transaction at hand brings some over */
};

void follow_left_out_release(struct follow_applier *a);
/* Reads the notes again; those of rows that are on the target by now go. `a->reached` must be durable there. */
GW_MUST_CHECK bool follow_left_out_load(struct follow_applier *a, struct gw_error *err);
/* A note was made. */
void follow_left_out_add(struct follow_applier *a, const char *collection, const char *key);
/* Has a row that this op touches a note? */
bool follow_left_out_met(struct follow_applier *a, const struct follow_op *op);
/* Writes the op's rows as the source has them now, in the open target transaction. */
GW_MUST_CHECK bool follow_left_out_renew(struct follow_applier *a, const struct follow_op *op, struct gw_error *err);
/* The op is written, its notes will go with the transaction. */
GW_MUST_CHECK bool follow_left_out_heal(struct follow_applier *a, const struct follow_op *op, struct gw_error *err);
/* The source's key, in the words in which the copy sets rows aside. `row` is in column layout. Appends. */
void follow_print_row_key(struct follow_applier *a, const struct gw_collection *collection, const struct gw_row *row,
                          struct gw_buf *out);

#endif
