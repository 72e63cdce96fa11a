/*
 * Makes the manifest's entries on the target, each once: it is recorded in godwit.restored by the transaction that makes
 * it, so a killed step is simply run again.
 */
#ifndef GW_STORE_POSTGRES_SCHEMA_RESTORE_H
#define GW_STORE_POSTGRES_SCHEMA_RESTORE_H

#include "store/postgres/schema_manifest.h"

/* What was made otherwise than on the source, said once at the end of a step. Thread-safe. */
struct gw_pg_restore_notes {
    pthread_mutex_t lock;
    size_t owners, grants, existing, comments;
    char first_owner[200], first_grant[200], first_existing[200];
};
void gw_pg_restore_notes_init(struct gw_pg_restore_notes *);
void gw_pg_restore_notes_say(struct gw_pg_restore_notes *, const struct gw_pg_store *); /* logs, and releases */

/* The table of records; before anything else. */
GW_MUST_CHECK bool gw_pg_restore_prepare(struct gw_pg_store *target, struct gw_error *);
/* All entries of these steps (bits 1 << step) in the manifest's order, largest table first when jobs > 1. */
GW_MUST_CHECK bool gw_pg_restore_steps(struct gw_pg_store *target, const struct gw_pg_manifest *, unsigned steps,
                                       int jobs, struct gw_pg_restore_notes *, struct gw_error *);
/* One entry, on a session of its own. */
GW_MUST_CHECK bool gw_pg_restore_one(struct gw_pg_store *target, const struct gw_pg_entry *,
                                     struct gw_pg_restore_notes *, struct gw_error *);
/* Entries of these steps that are not made yet, in order. Owned array. */
GW_MUST_CHECK bool gw_pg_restore_missing(struct gw_pg_store *target, PGconn *, const struct gw_pg_manifest *,
                                         unsigned steps, const struct gw_pg_entry ***out, size_t *count,
                                         struct gw_error *);
/* What follows entries already made (VALIDATE CONSTRAINT), `jobs` at a time. */
GW_MUST_CHECK bool gw_pg_restore_then(struct gw_pg_store *target, const struct gw_pg_manifest *, int jobs,
                                      struct gw_error *);

#endif
