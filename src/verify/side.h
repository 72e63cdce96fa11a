/*
 * The two sides of a comparison as one worker holds them: a scan session each (and a reader for splitting), and
 * reading a scope of rows through a visitor. Belongs to one worker; while both sides are read at once, each side
 * belongs to one thread.
 */
#ifndef GW_VERIFY_SIDE_H
#define GW_VERIFY_SIDE_H

#include "base/cancel.h"
#include "store/store.h"
#include "verify/rowhash.h"

enum { GW_VERIFY_SOURCE = 0, GW_VERIFY_TARGET = 1 };

struct gw_verify_side {
    struct gw_store *store;
    struct gw_scan *scan;     /* opened on first use */
    struct gw_reader *reader; /* opened on first use */
    struct gw_rowhash hash;
};

struct gw_verify_pair {
    struct gw_verify_side sides[2];
    struct gw_cancel *cancel;
    bool unreachable; /* the last failure was of opening a session: nothing can be read at all */
};

struct gw_verify_scope { /* rows to read, in one snapshot */
    const struct gw_collection *collection;
    const struct gw_range *range; /* NULL: everything */
};

struct gw_verify_span { /* the positions of the snapshots that were read */
    struct gw_position from, to;
    uint64_t by_policy, by_filter; /* rows there that are not to be on the other side */
};
void gw_verify_span_add(struct gw_verify_span *, const struct gw_position *at);
void gw_verify_span_merge(struct gw_verify_span *, const struct gw_verify_span *);

typedef void gw_verify_visit(void *arg, struct gw_verify_side *, const struct gw_row *row);

void gw_verify_pair_close(struct gw_verify_pair *); /* the sessions; the pair can be used again */
void gw_verify_pair_release(struct gw_verify_pair *);
GW_MUST_CHECK bool gw_verify_side_scan(struct gw_verify_side *, struct gw_error *err);   /* ->scan is open */
GW_MUST_CHECK bool gw_verify_side_reader(struct gw_verify_side *, struct gw_error *err); /* ->reader is open */

/* Every row of the scope. */
GW_MUST_CHECK bool gw_verify_side_read(struct gw_verify_side *, const struct gw_verify_scope *, gw_verify_visit *,
                                       void *arg, struct gw_verify_span *, struct gw_error *err);
/* Both sides at once, the target in a thread of its own. args[side]; scopes[side] NULL: nothing of this side. */
GW_MUST_CHECK bool gw_verify_pair_read(struct gw_verify_pair *, const struct gw_verify_scope *const scopes[2],
                                       gw_verify_visit *, void *args[2], struct gw_verify_span spans[2],
                                       struct gw_error *err);

/* Runs `work` until it succeeds or fails for good: what passes is tried again on new sessions, for a minute. `work`
 * begins anew each time. */
GW_MUST_CHECK bool gw_verify_pair_try(struct gw_verify_pair *,
                                      bool (*work)(struct gw_verify_pair *, void *arg, struct gw_error *err), void *arg,
                                      struct gw_error *err);

#endif
