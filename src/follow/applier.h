/*
 * The applier's own state; private to apply.c, careful.c, commit.c and read.c. Owned by the applier's thread.
 */
#ifndef GW_FOLLOW_APPLIER_H
#define GW_FOLLOW_APPLIER_H

#include "follow/internal.h"
#include "follow/left_out.h"

struct follow_counts { /* of the target transaction at hand; added to the status when it is committed */
    uint64_t changes[GW_FOLLOW_KINDS];
    uint64_t rows; /* row events read, applied or not */
    uint64_t transactions, ours, foreign, quarantined, refetched;
    int64_t commit_wall_us; /* newest */
};

struct follow_source_tx { /* the transaction of the source that is being read */
    bool inside, ours, foreign;
    uint64_t transaction, order; /* order of its commit record */
    char text[240];              /* that place in the engine's words */
    char foreign_key[200];
    struct gw_buf foreign_change; /* its first, encoded: what goes into quarantine */
    uint64_t foreign_rows;
    uint32_t foreign_collection;
};

#define FOLLOW_SIGNALS 16

struct follow_owed { /* a batch that was sent with its COMMIT, and not answered yet */
    struct gw_position end;
    struct gw_spool_place place; /* where it begins */
    struct follow_counts counts;
    bool durable;
};

struct follow_applier {
    struct gw_follow *f;
    struct gw_spool_reader *reader;
    struct gw_writer *writer;
    struct gw_reader *refetcher;
    struct follow_join join;
    struct follow_batch batch;
    struct follow_net *net;
    struct follow_left_out left_out;
    struct follow_source_tx tx;
    struct follow_counts counts;
    char signals[FOLLOW_SIGNALS][128]; /* met in what is at hand */
    unsigned signal_count;
    struct follow_owed owed[GW_COMMITS_AHEAD];
    size_t owed_count;
    struct gw_position reached; /* everything up to here is committed on the target, or needed nothing there */
    struct gw_position row;     /* the position row there */
    bool row_known_durable;
    int64_t durable_at_us; /* last commit that waited for the disk */
    int64_t row_at_us, trimmed_at_us;
    uint64_t careful_until; /* up to this order row by row */
    uint64_t whole_order;   /* the transaction with this order goes into quarantine as a whole */
    char whole_reason[400];
    struct gw_spool_place retry_place; /* where the careful way begins */
    struct gw_spool_place borrowed_at; /* of the one change in the batch, which is the reader's own memory */
    bool borrowed;
    bool missed;   /* the careful op at hand found no row on the target */
    bool row_due;  /* something is in quarantine now: the target has to say that we are past it */
    bool piled_up; /* what is applied is not of the last second */
    bool schema_met;
    bool schema_passable; /* once the definition is as planned again */
    uint32_t schema_collection;
    char schema_text[400];
    unsigned tries;
    enum { FOLLOW_ERROR_SESSION, FOLLOW_ERROR_DATA } error_of; /* DATA: another order or quarantine may help */
};

/* ---- read.c: from the spool into the batch ---- */
enum follow_fill {
    FOLLOW_FILL_NOTHING, /* nothing came within the time */
    FOLLOW_FILL_END,     /* the batch ends between transactions */
    FOLLOW_FILL_INSIDE,  /* it is full inside a transaction */
};
/* `one`: stop at the first COMMIT. */
GW_MUST_CHECK bool follow_fill(struct follow_applier *a, int timeout_ms, bool one, struct gw_position *end,
                               enum follow_fill *out, struct gw_error *err);
/* The position of the next COMMIT, without moving. */
GW_MUST_CHECK bool follow_find_commit(struct follow_applier *a, struct gw_position *out, struct gw_error *err);
/* What every change needs, whichever way it goes: transaction state, signals, foreign writes. *row: it is a row event
 * or TRUNCATE that has to be applied. *ends: a COMMIT or PROGRESS, whose position is in the change. */
GW_MUST_CHECK bool follow_meet(struct follow_applier *a, const struct gw_change *change, bool *row, bool *ends,
                               struct gw_error *err);
/* Is the definition on the source the planned one, now? */
GW_MUST_CHECK bool follow_is_as_planned(struct follow_applier *a, uint32_t collection, bool *same,
                                        struct gw_error *err);
bool follow_is_canary(const char *token);
void follow_forget_tx(struct follow_applier *a);

/* ---- commit.c ---- */
/* The open target transaction becomes permanent, `reached` moves, and everybody hears of it. */
GW_MUST_CHECK bool follow_commit(struct follow_applier *a, const struct gw_position *end, bool force_durable,
                                 struct gw_error *err);
/* The same without waiting for the answer: to be awaited in order. */
GW_MUST_CHECK bool follow_commit_ahead(struct follow_applier *a, const struct gw_position *end, struct gw_error *err);
GW_MUST_CHECK bool follow_await(struct follow_applier *a, struct gw_error *err);
/* Writes nothing but the position row: what was committed before it reaches the disk with it. */
GW_MUST_CHECK bool follow_commit_position(struct follow_applier *a, struct gw_error *err);
/* As follow_commit, where nothing had to be written. */
GW_MUST_CHECK bool follow_pass(struct follow_applier *a, const struct gw_position *end, struct gw_error *err);
GW_MUST_CHECK bool follow_note_canaries(struct follow_applier *a, struct gw_error *err);
bool follow_has_canary(const struct follow_applier *a);
GW_MUST_CHECK bool follow_trim(struct follow_applier *a, struct gw_error *err); /* what is durable leaves the spool */

/* ---- careful.c ---- */
/* One source transaction, row by row, each behind a savepoint; what fails goes into quarantine. */
GW_MUST_CHECK bool follow_careful(struct follow_applier *a, int timeout_ms, struct gw_error *err);
GW_MUST_CHECK bool follow_quarantine(struct follow_applier *a, uint32_t collection, const char *operation,
                                     const char *key, const char *reason, const void *change, size_t len, bool left_out,
                                     struct gw_error *err);
/* A row as the source has it now, once the source shows the op's transaction; key: the key's values in key order. The row
 * lives until the next call, the mark is the caller's. */
GW_MUST_CHECK bool follow_read_again(struct follow_applier *a, const struct follow_op *op, const struct gw_row *key,
                                     struct gw_mark *mark, bool *found, struct gw_row *row, struct gw_error *err);
/* The key of a row event for people: text as it is, binary in hex. */
void follow_print_key(struct follow_applier *a, const struct gw_change *change, struct gw_buf *out);

#endif
