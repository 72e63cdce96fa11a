/*
 * What a chunk's read saw: enough to decide for any transaction of the change log whether the read had its effects.
 *
 * Transactions are numbered by the engine (PostgreSQL: 64-bit xid; SQLite: capture sequence; a log that is ordered as
 * it becomes visible: the offset itself, with low == high and none open). A transaction was seen if and only if
 * id < low, or id < high and id is not among `open`. Log order is not visibility order: never compare positions.
 * Text form: "low:high:open,open,..." (as pg_snapshot prints it).
 */
#ifndef GW_MODEL_MARK_H
#define GW_MODEL_MARK_H

#include "base/buf.h"
#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct gw_mark {
    uint64_t low, high;
    size_t open_count;
    uint64_t *open; /* sorted ascending; owned */
};

void gw_mark_release(struct gw_mark *mark);
bool gw_mark_saw(const struct gw_mark *mark, uint64_t transaction);
GW_MUST_CHECK bool gw_mark_parse(const char *text, struct gw_mark *out, struct gw_error *err);
void gw_mark_format(const struct gw_mark *mark, struct gw_buf *out);
void gw_mark_copy(struct gw_mark *to, const struct gw_mark *from);

#endif
