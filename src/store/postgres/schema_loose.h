/*
 * What acts on the changes godwit applies, and therefore is not on a side while it follows: where the applier may run
 * as replica, triggers and rules that fire for a replica, too; where it may not, every foreign key, trigger and rule.
 *
 * godwit.loose holds what is off, each row written by the transaction that takes it off (or, for what was never made on
 * this side, by the end of the load): how it is put back, and what follows outside of any pause. A foreign key cannot
 * be disabled without superuser: it is dropped, added again NOT VALID, and validated later. One of a partitioned table
 * is added to the leaves, validated there, and joined by that of the partitioned table.
 *
 *   schema_loose.c    taking off, validating, putting back for good     schema_firing.sql   what acts here
 *   schema_tighten.c  putting on inside a pause                         schema_loose.sql    the table
 */
#ifndef GW_STORE_POSTGRES_SCHEMA_LOOSE_H
#define GW_STORE_POSTGRES_SCHEMA_LOOSE_H

#include "store/postgres/schema_manifest.h"

/* Is there a table godwit.loose? */
GW_MUST_CHECK bool gw_pg_loose_there(struct gw_pg_store *, PGconn *, bool *there, struct gw_error *);
/* What acts on the applier here: name, take_off, put_back, later (a JSON array). Owned. */
GW_MUST_CHECK bool gw_pg_loose_look(struct gw_pg_store *, PGconn *, const struct gw_schema *, PGresult **out,
                                    struct gw_error *);
/* Writes down entries of these steps (bits 1 << step) that are not made here yet: they are made when the side becomes
 * the owner. Idempotent. */
GW_MUST_CHECK bool gw_pg_loose_defer(struct gw_pg_store *, const struct gw_pg_manifest *, unsigned steps,
                                     struct gw_error *);
/* Before the home goes: puts back what was taken off here, and does what comes later. What cannot be validated stays as
 * it is, and is named in the log. */
GW_MUST_CHECK bool gw_pg_loose_restore(struct gw_pg_store *, PGconn *, struct gw_error *);

/* Members of the schema facet, as store.h says. */
GW_MUST_CHECK bool gw_pg_loosen(struct gw_store *, const struct gw_schema *, size_t *taken_off, struct gw_error *);
GW_MUST_CHECK bool gw_pg_validate(struct gw_store *, struct gw_buf *failed, size_t *done, struct gw_error *);
GW_MUST_CHECK bool gw_pg_tighten_open(struct gw_store *, struct gw_tighten **out, struct gw_error *);
GW_MUST_CHECK bool gw_pg_tighten(struct gw_tighten *, int timeout_ms, struct gw_error *);
GW_MUST_CHECK bool gw_pg_tighten_commit(struct gw_tighten *, struct gw_error *);
void gw_pg_tighten_close(struct gw_tighten *);

#endif
