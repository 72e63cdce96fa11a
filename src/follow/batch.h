/*
 * A batch: changes of neighbouring source transactions, read from the spool into an arena, then decided, collapsed to
 * their net effect per key, and written as few large statements.
 *
 * Within a collection the parts go deletes, updates, inserts; updates that leave out the same columns go together.
 * What cannot be put in that order without looking (a key that moves and leaves a value out, TRUNCATE) is a barrier:
 * everything before it is written first. Owned by the applier's thread; an op borrows from the arena, or, when it is
 * large, from the spool reader until its next call.
 */
#ifndef GW_FOLLOW_BATCH_H
#define GW_FOLLOW_BATCH_H

#include "follow/join.h"

struct follow_op {
    enum gw_change_kind kind; /* INSERT, UPDATE, DELETE, TRUNCATE */
    bool moved;               /* UPDATE of a key: a delete of the old and an insert of the new, decided one by one */
    bool partial;             /* row has UNCHANGED columns */
    uint32_t collection;
    uint64_t transaction, order;                  /* order: of the commit record */
    struct gw_row key;                            /* UPDATE, DELETE: column layout, as gw_part.keys */
    struct gw_row row;                            /* INSERT, UPDATE */
    enum follow_verdict old_verdict, new_verdict; /* INSERT: new; DELETE: old; UPDATE: both */
};

struct follow_batch {
    struct gw_arena arena;
    struct follow_op *ops;
    size_t count, capacity;
    bool truncates; /* a TRUNCATE is in it */
    bool careful;   /* something in it has to be read again from the source: row by row */
};

bool follow_has_bytes(const struct gw_value *value); /* it is there, and not NULL */
void follow_batch_clear(struct follow_batch *batch);
void follow_batch_release(struct follow_batch *batch);

/* Turns a row event or TRUNCATE into an op. `copy` false: the op borrows the change's bytes. GW_ERR_CONFLICT when the
 * event does not have the planned shape. */
GW_MUST_CHECK bool follow_op_make(const struct gw_schema *schema, const struct gw_change *change, uint64_t order,
                                  struct gw_arena *arena, bool copy, struct follow_op *out, struct gw_error *err);
GW_MUST_CHECK bool follow_batch_add(struct follow_batch *batch, const struct gw_schema *schema,
                                    const struct gw_change *change, uint64_t order, bool copy, struct gw_error *err);
/* The key's values in key order, for questions and refetches; the array is of the arena. */
struct gw_row follow_key_values(const struct gw_collection *collection, const struct gw_row *row,
                                struct gw_arena *arena);
/* The key columns in their places, all others absent; shares the row's bytes. */
struct gw_row follow_key_row(const struct gw_collection *collection, const struct gw_row *row, struct gw_arena *arena);
/* Fills in all verdicts of `count` ops. */
GW_MUST_CHECK bool follow_decide_ops(struct follow_join *join, struct follow_op *ops, size_t count,
                                     struct gw_arena *arena, struct gw_error *err);

struct follow_net; /* reusable memory of the collapse */
struct follow_net *follow_net_new(const struct gw_schema *schema);
void follow_net_free(struct follow_net *net);
/* A batch could not be written: its rows may have handed unique values around. For some time what went and came again is
 * deleted and inserted, where the order of deletes before all else saves most of such batches. */
void follow_net_replace_apart(struct follow_net *net);

/*
 * Decides and writes the batch into the open target transaction. *careful: it cannot be done this way (rows touched
 * fewer than due, an order that only the original one satisfies, a row to be read again): roll back and go row by row.
 * The server's conflicts come as errors, to be treated alike.
 */
GW_MUST_CHECK bool follow_batch_write(struct follow_batch *batch, struct follow_join *join, struct follow_net *net,
                                      struct gw_store *target, struct gw_writer *writer, bool *careful,
                                      struct gw_error *err);
/* The op leaves out values and the target cannot do without them: the row has to be read again. */
bool follow_wants_whole(const struct gw_store *target, struct gw_writer *writer, const struct gw_collection *collection,
                        const struct follow_op *op);
/* A TRUNCATE as the marks decide: all, nothing, or the ranges that did not see it. */
GW_MUST_CHECK bool follow_truncate(struct follow_join *join, const struct follow_op *ops, size_t count,
                                   struct gw_store *target, struct gw_writer *writer, struct gw_error *err);

#endif
