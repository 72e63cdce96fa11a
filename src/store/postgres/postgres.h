/*
 * The PostgreSQL engine: servers 13 to 18. Private to store/postgres/; others see store.h.
 *
 *   conn.c      connections            catalog.c   collections, fingerprint
 *   reader.c    chunks out             load.c      chunks in              schema.c    pg_dump/pg_restore sections
 *   changes.c   slot, publication      pgoutput.c  decoder                apply.c     batches in
 *   scan.c      verify's own reading   fence.c     flag and triggers      home.c      owner, notes, signals
 *   inspect*.c  check, audit, grants   sessions.c  census                 codec*.c    rows as canonical values
 */
#ifndef GW_STORE_POSTGRES_POSTGRES_H
#define GW_STORE_POSTGRES_POSTGRES_H

#include "store/idle.h"
#include "store/store.h"

#include <pthread.h>

struct gw_pg_manifest; /* schema_manifest.c */

struct gw_pg_store {
    struct gw_store base; /* first */
    char *url;
    char *password_command;
    char *bindir;
    char *migration;
    struct gw_cancel *cancel;
    char slot[64];        /* "godwit_<migration>_<database oid>_<side>", [a-z0-9_], at most 63 bytes */
    char publication[64]; /* the same */
    char session_user[64];
    enum gw_capture asked_capture;
    struct gw_buf why_captured; /* by triggers: why, "" for the log */
    struct gw_idle *pool;       /* sessions for short calls, see conn.h */
    pthread_mutex_t manifest_lock;
    struct gw_pg_manifest *manifest; /* the source's definitions, once a step needed them here */
};

static inline struct gw_pg_store *gw_pg_store_of(struct gw_store *store)
{
    return (struct gw_pg_store *)store;
}

/* What a table's columns are called in SQL, shared by reader, load, apply and scan. */
struct gw_pg_writer; /* load.c and apply.c share one writer session: writer.h */

extern const struct gw_store_type gw_store_postgres;
extern const struct gw_catalog_facet gw_pg_catalog;
extern const struct gw_inspect_facet gw_pg_inspect;
extern const struct gw_reader_facet gw_pg_reader;
extern const struct gw_writer_facet gw_pg_writer_facet;
extern const struct gw_changes_facet gw_pg_changes;
extern const struct gw_scan_facet gw_pg_scan;
extern const struct gw_codec_facet gw_pg_codec;
extern const struct gw_ownership_facet gw_pg_ownership;
extern const struct gw_fence_facet gw_pg_fence;
extern const struct gw_sessions_facet gw_pg_sessions;
extern const struct gw_schema_facet gw_pg_schema;
extern const struct gw_query_facet gw_pg_query_facet;

#endif
