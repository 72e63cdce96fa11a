/*
 * What the source's definitions consist of, one entry for each object, with the step in which it is made on the
 * target. Read from a pg_dump archive once and kept as a file in the scratch folder, so that every later step and every
 * resumed run makes the same things. A manifest is read-only once loaded.
 */
#ifndef GW_STORE_POSTGRES_SCHEMA_MANIFEST_H
#define GW_STORE_POSTGRES_SCHEMA_MANIFEST_H

#include "store/postgres/conn.h"

enum gw_pg_step {
    GW_PG_STEP_BEFORE,  /* before rows: schemas, types, functions, tables */
    GW_PG_STEP_INDEX,   /* primary keys, unique constraints, indexes: one collection's key first, the rest later */
    GW_PG_STEP_ATTACH,  /* what joins indexes of partitions, extended statistics: after all indexes */
    GW_PG_STEP_AFTER,   /* rules, policies, checks, comments */
    GW_PG_STEP_ENFORCE, /* foreign keys, triggers: act on the applier's changes unless it runs as replica */
    GW_PG_STEP_ALWAYS,  /* triggers that fire for a replica, too: only once the target is the owner */
    GW_PG_STEP_GRANT,   /* grants and default privileges */
    GW_PG_STEP_REFRESH, /* materialised views that hold rows */
    GW_PG_STEP_LEFT,    /* not made; named to the operator */
};

struct gw_pg_entry {
    enum gw_pg_step step;
    char *key;  /* "TABLE public orders": what it is recorded by on the target */
    char *type; /* "TABLE", "FK CONSTRAINT": the archive's word */
    char *sql;
    char *owner_sql;             /* "" or the statement that gives it its owner */
    char *then_sql;              /* "" or what follows in a transaction of its own: VALIDATE CONSTRAINT */
    char *space, *table, *index; /* GW_PG_STEP_INDEX: where it belongs; else "" */
    int64_t bytes;               /* size of that table on the source: large ones go first */
    uint32_t class_oid, oid;     /* on the source; only while the manifest is made */
};

struct gw_pg_manifest {
    size_t count, capacity;
    struct gw_pg_entry *entries; /* in an order in which they can be made */
    char *path;
};

void gw_pg_manifest_free(struct gw_pg_manifest *);
/* Dumps the source and writes the manifest into work_dir, unless there is one already. */
GW_MUST_CHECK bool gw_pg_manifest_make(struct gw_pg_store *source, const struct gw_filter *, const char *work_dir,
                                       struct gw_error *);
/* The manifest of work_dir, loaded once and kept by the store until it is closed. Borrowed. */
GW_MUST_CHECK bool gw_pg_manifest_get(struct gw_pg_store *target, const char *work_dir,
                                      const struct gw_pg_manifest **out, struct gw_error *);

/* schema_archive.c: takes the entries out of a script that pg_restore --verbose wrote. */
GW_MUST_CHECK bool gw_pg_archive_parse(const struct gw_buf *script, bool before_rows, struct gw_pg_manifest *,
                                       struct gw_error *);
struct gw_pg_entry *gw_pg_manifest_add(struct gw_pg_manifest *); /* zeroed */

#endif
