/*
 * Rows with a value too big to pass through libpq whole (it would hold it twice): found within a chunk, left out of its
 * COPY, and streamed behind it as COPY frames of our own making, each big value in pieces cut by the server.
 *
 * Works in the reader's transaction, on its connection. Owned by the reader.
 */
#ifndef GW_STORE_POSTGRES_SLICES_H
#define GW_STORE_POSTGRES_SLICES_H

#include "store/postgres/conn.h"

struct gw_pg_slices;

struct gw_pg_slices *gw_pg_slices_new(struct gw_pg_store *, PGconn *);
void gw_pg_slices_free(struct gw_pg_slices *); /* NULL is fine */
/* Finds the big rows of the range; *count of them. Collection is borrowed until the next call of find. */
GW_MUST_CHECK bool gw_pg_slices_find(struct gw_pg_slices *, const struct gw_collection *, const struct gw_range *,
                                     size_t *count, struct gw_error *);
/* Appends the condition that a row is not a big one. */
void gw_pg_slices_add_exclusion(const struct gw_pg_slices *, struct gw_buf *where);
/* The next piece of frames into `out` (cleared first; at most about 2 MiB); empty at the end. *rows: rows ending in it.
 * Without the COPY header and trailer. */
GW_MUST_CHECK bool gw_pg_slices_next(struct gw_pg_slices *, struct gw_buf *out, uint64_t *rows, struct gw_error *);

#endif
