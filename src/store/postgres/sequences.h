/*
 * Sequences: no stream carries them, so they are set from one side to the other, in the pause and before.
 */
#ifndef GW_STORE_POSTGRES_SEQUENCES_H
#define GW_STORE_POSTGRES_SEQUENCES_H

#include "store/postgres/conn.h"

GW_MUST_CHECK bool gw_pg_sync_sequences(struct gw_store *from, struct gw_store *to, size_t *count, struct gw_error *);
GW_MUST_CHECK bool gw_pg_missing_sequences(struct gw_store *from, struct gw_store *to, struct gw_buf *lines,
                                           struct gw_error *);

#endif
