/*
 * What foreign keys did on the source and its log leaves out (InnoDB's cascades). When a row of a parent goes or changes
 * its key, the rows of the children that the target still has under it are read again from the source, each as a one-row
 * chunk with its own mark: found, it is written as it is there; gone, it goes here, too, and so on down its own children.
 * It does not matter whether the parent's change itself applies: a child may have been copied before it all the same.
 *
 * Goes the careful way, row by row: parents that go are rare. Owned by the applier's thread.
 */
#ifndef GW_FOLLOW_CASCADE_H
#define GW_FOLLOW_CASCADE_H

#include "follow/applier.h"

/* Does this op set off what the log leaves out? */
bool follow_cascades(const struct gw_follow *f, const struct follow_op *op);
/* Brings one row, its key's values in key order, to what the source has at the op's transaction or later; *gone: it is not
 * there any more. In the open target transaction. */
GW_MUST_CHECK bool follow_renew(struct follow_applier *a, const struct follow_op *op, const struct gw_collection *,
                                const struct gw_row *key, bool *gone, struct gw_error *err);
/* In the open target transaction, behind what the op itself does. */
GW_MUST_CHECK bool follow_cascade(struct follow_applier *a, const struct follow_op *op, struct gw_error *err);

#endif
