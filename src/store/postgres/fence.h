/*
 * The fence: what stops every session but godwit's from writing on a side. Statement triggers on every table, ENABLE
 * ALWAYS, installed beforehand; they look at a sequence, and raising the fence is setting it. See fence.c.
 */
#ifndef GW_STORE_POSTGRES_FENCE_H
#define GW_STORE_POSTGRES_FENCE_H

#include "store/postgres/conn.h"

/* Takes the triggers off, wherever they are. Idempotent. */
GW_MUST_CHECK bool gw_pg_fence_remove(struct gw_pg_store *, PGconn *, struct gw_error *);
/* Appends a line for each trigger of ours. */
GW_MUST_CHECK bool gw_pg_fence_left(struct gw_pg_store *, PGconn *, struct gw_buf *lines, struct gw_error *);

#endif
