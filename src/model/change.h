/*
 * One event of a change log. A stream is: BEGIN, any number of row events and truncates, COMMIT; between
 * transactions PROGRESS ("the log holds nothing for us before this position") and SCHEMA.
 *
 * A change borrows its bytes from the stream or the spool until the next one is read.
 */
#ifndef GW_MODEL_CHANGE_H
#define GW_MODEL_CHANGE_H

#include "base/error.h"
#include "model/position.h"
#include "model/value.h"

enum gw_change_kind {
    GW_CHANGE_BEGIN = 1,
    GW_CHANGE_INSERT = 2,
    GW_CHANGE_UPDATE = 3,
    GW_CHANGE_DELETE = 4,
    GW_CHANGE_TRUNCATE = 5, /* one event per collection */
    GW_CHANGE_COMMIT = 6,
    GW_CHANGE_PROGRESS = 7,
    GW_CHANGE_SCHEMA = 8, /* the collection is no longer as it was planned; `text` says how. Blocks by policy. */
    GW_CHANGE_SIGNAL = 9, /* a row godwit wrote to be seen in the log: `text` is its token ("marker:..", "canary:..") */
};

struct gw_change {
    enum gw_change_kind kind;
    uint32_t collection;         /* gw_collection.id; for row events, TRUNCATE, SCHEMA */
    uint64_t transaction;        /* the engine's number, widened to 64 bits; the same for all events of one */
    struct gw_position position; /* BEGIN: its commit record; COMMIT: behind its commit record, what is acknowledged
                                    and resumed from; PROGRESS: as said above. Row events: empty. */
    int64_t commit_wall_us;      /* BEGIN and COMMIT: the source's clock */
    int64_t age_us;              /* COMMIT: how long ago that was when it was sent, by the same clock; not encoded */
    bool ours;                   /* BEGIN: applied by godwit (its position row came first; the stream looks ahead by
                                    one event before it hands out BEGIN, so this is always decided) */
    bool carries_plan;           /* SCHEMA: rows still hold every planned column as planned, and more: what is more is
                                    left out of them. Passed once the definition is the planned one again */
    struct gw_row old;           /* UPDATE: the old key when it changed (or the whole old row), else count 0.
                                    DELETE: the key (others ABSENT) or the whole old row */
    struct gw_row row;           /* INSERT, UPDATE: the new row, UNCHANGED where the stream left a value out */
    const char *text;            /* SCHEMA, SIGNAL: NUL-terminated, borrowed */
};

/* The flat encoding of the spool. Decoding borrows from the cursor and the arena. */
void gw_change_encode(struct gw_buf *out, const struct gw_change *change);
GW_MUST_CHECK bool gw_change_decode(struct gw_cursor *in, struct gw_arena *arena, struct gw_change *out,
                                    struct gw_error *err);
/* Bytes gw_change_encode would add. */
size_t gw_change_encoded_size(const struct gw_change *change);
/* The same bytes into memory of exactly that size. */
void gw_change_encode_into(unsigned char *bytes, size_t len, const struct gw_change *change);
/* The same encoding handed out in pieces, large values by reference: a huge change is never held twice. False as soon
 * as `each` gave false. */
typedef bool gw_change_piece(void *arg, const void *bytes, size_t len);
GW_MUST_CHECK bool gw_change_encode_pieces(const struct gw_change *change, gw_change_piece *each, void *arg);
const char *gw_change_kind_name(enum gw_change_kind kind);

#endif
