/*
 * Values and rows as they flow.
 *
 * Same engine on both sides: a value keeps its engine's own bytes (GW_VALUE_NATIVE_*), undecoded. A row borrows its
 * bytes (from a library's buffer, an arena, a spool segment): who hands it out says how long it lives.
 */
#ifndef GW_MODEL_VALUE_H
#define GW_MODEL_VALUE_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum gw_value_kind {
    GW_VALUE_NULL = 0,
    GW_VALUE_UNCHANGED = 1, /* an update's stream did not carry it (PostgreSQL: unchanged TOAST) */
    GW_VALUE_TEXT = 2,      /* the engine's text form, in UTF-8 and fixed session settings (ISO dates, hex bytea) */
    GW_VALUE_BINARY = 3,    /* the engine's binary wire form */
    GW_VALUE_ABSENT = 4,    /* not part of this row at all: a key-only old row */
};

struct gw_value {
    enum gw_value_kind kind;
    uint32_t len;               /* bytes */
    const unsigned char *bytes; /* borrowed; NULL for the kinds without bytes */
};

struct gw_row {
    uint32_t count; /* columns, in the order of gw_collection.columns */
    struct gw_value *values;
};

bool gw_value_equal(const struct gw_value *a, const struct gw_value *b); /* kind and bytes */
/* Deep copies into the arena. */
struct gw_row gw_row_copy(struct gw_arena *arena, const struct gw_row *row);
struct gw_value gw_value_text(const char *text); /* borrows; NULL gives GW_VALUE_NULL */

/* A flat encoding (spool, checkpoints, state): count, then kind, length, bytes. Reading borrows from the cursor's
 * bytes and takes the values array from the arena; a malformed row sets cursor->bad. */
void gw_row_encode(struct gw_buf *out, const struct gw_row *row);
struct gw_row gw_row_decode(struct gw_cursor *in, struct gw_arena *arena);

#endif
