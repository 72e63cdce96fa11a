/*
 * The join of chunks and stream (rule 3): whether a change applies to a key is decided by the mark of the chunk that
 * holds the key, and by nothing else. A change applies if and only if that mark did not see its transaction.
 *
 * Behind the horizon, taken after the last chunk's mark, no mark can have seen anything. A row that was read again
 * from the source has a mark of its own, that decides for its key from there on; those are kept in the state and, for
 * whoever adopts the migration without it, in the target's home.
 *
 * Owned by the applier's thread.
 */
#ifndef GW_FOLLOW_JOIN_H
#define GW_FOLLOW_JOIN_H

#include "model/change.h"
#include "state/state.h"
#include "store/store.h"

enum follow_verdict { FOLLOW_UNKNOWN = 0, FOLLOW_APPLY, FOLLOW_SKIP };

struct follow_map { /* the chunks of one collection */
    struct gw_chunk *chunks;
    size_t count;
    struct gw_bound *bounds; /* low bounds of all but the first; borrowed from chunks */
    uint64_t low, high;      /* all marks saw what is below low, none what is at high or above */
};

struct follow_refetched {
    uint32_t collection;
    struct gw_buf key; /* gw_row_encode of the key's values in key order */
    struct gw_mark mark;
    uint64_t from_order;  /* decides from the transaction on for which it was read, in what follows there */
    uint64_t until_order; /* and not from here on: a horizon taken after its mark, or the collection was emptied */
};

struct follow_join {
    struct gw_store *source, *target;
    const struct gw_schema *schema;
    struct gw_state *state;
    char fact[64]; /* name of the refetched rows in the state */
    bool active;   /* marks matter still */
    uint64_t horizon_order;
    struct follow_map *maps; /* by collection; NULL when nothing was loaded */
    struct follow_refetched *refetched;
    size_t refetched_count, refetched_capacity;
    uint64_t skipped; /* verdicts SKIP, ever */
};

/* One decision to make: `key` holds the key's values in key order. */
struct follow_question {
    uint32_t collection;
    uint64_t transaction, order; /* of the transaction's commit record */
    struct gw_row key;
    enum follow_verdict *verdict;
};

void follow_join_init(struct follow_join *join, struct gw_store *source, struct gw_store *target,
                      const struct gw_schema *schema, struct gw_state *state, const char *stream);
void follow_join_release(struct follow_join *join);
/* Loads the chunks and the refetched rows. Every collection must be keyed. */
GW_MUST_CHECK bool follow_join_load(struct follow_join *join, struct gw_state *chunks, uint64_t horizon_order,
                                    struct gw_error *err);
/* Largest number any mark saw as used, and how many chunks: tells whether a horizon was taken after all of them. */
GW_MUST_CHECK bool follow_join_extent(struct gw_state *chunks, const struct gw_schema *schema, uint64_t *high,
                                      uint64_t *count, struct gw_error *err);
/* Those of transactions that are applied, that is before `applied_order`: what comes again is read again. */
GW_MUST_CHECK bool follow_join_load_refetched(struct follow_join *join, uint64_t applied_order, struct gw_error *err);
/* The transaction at `order`, and what follows, was rolled back: forgets what was read again for it. */
void follow_join_rolled_back(struct follow_join *join, uint64_t order);
/* Everything before `order` is handled: forgets what no longer matters. */
void follow_join_passed(struct follow_join *join, uint64_t order);

/* Decides all of them, asking the source about keys only where marks disagree. */
GW_MUST_CHECK bool follow_join_decide(struct follow_join *join, struct follow_question *questions, size_t count,
                                      struct gw_error *err);
/* For a whole collection (TRUNCATE): APPLY or SKIP when all marks agree, else UNKNOWN: then per chunk. */
enum follow_verdict follow_join_whole(struct follow_join *join, uint32_t collection, uint64_t transaction,
                                      uint64_t order);
/* The collection was emptied by this transaction: what was read again before it no longer stands there. */
GW_MUST_CHECK bool follow_join_emptied(struct follow_join *join, uint32_t collection, uint64_t order,
                                       struct gw_error *err);
/* A row was read again with this mark (copied) for a transaction at `order`. Written into the state. */
GW_MUST_CHECK bool follow_join_refetched(struct follow_join *join, uint32_t collection, const struct gw_row *key,
                                         const struct gw_mark *mark, uint64_t order, uint64_t until_order,
                                         struct gw_error *err);

#endif
