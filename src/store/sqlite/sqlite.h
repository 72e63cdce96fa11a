/*
 * The SQLite engine: a database file in WAL mode, 3.35 or newer. Private to store/sqlite/; others see store.h.
 *
 *   conn.c      connections            table.c     what a table is made of   catalog*.c  collections, definitions
 *   reader.c    chunks out             writer.c    chunks and batches in     schema*.c   definitions on green
 *   capture.c   triggers that capture  changes.c   what they wrote, as a stream
 *   scan.c      verify's own reading   codec*.c    canonical values          home.c      owner, notes
 *   fence.c     flag and triggers      sessions.c  who has the file open     inspect*.c  check, audit
 *
 * We are a guest in a live application's file. Our connections run no triggers and enforce no foreign keys
 * (SQLITE_DBCONFIG_ENABLE_TRIGGER, PRAGMA foreign_keys): what we apply fires neither the application's triggers nor our
 * own capture and fence. So nothing of ours has to be told apart row by row: each transaction of ours writes one row into
 * the log itself.
 *
 * Our home is the tables godwit_* of the same file.
 */
#ifndef GW_STORE_SQLITE_SQLITE_H
#define GW_STORE_SQLITE_SQLITE_H

#include "store/idle.h"
#include "store/store.h"

struct gw_lite_conn;

struct gw_lite_store {
    struct gw_store base; /* first */
    char *path;           /* absolute */
    char *migration;
    struct gw_cancel *cancel;
    struct gw_idle *pool; /* sessions for short calls, see conn.h */
};

static inline struct gw_lite_store *gw_lite_store_of(struct gw_store *store)
{
    return (struct gw_lite_store *)store;
}

extern const struct gw_store_type gw_store_sqlite;
extern const struct gw_catalog_facet gw_lite_catalog;
extern const struct gw_inspect_facet gw_lite_inspect;
extern const struct gw_reader_facet gw_lite_reader;
extern const struct gw_writer_facet gw_lite_writer;
extern const struct gw_changes_facet gw_lite_changes;
extern const struct gw_scan_facet gw_lite_scan;
extern const struct gw_codec_facet gw_lite_codec;
extern const struct gw_ownership_facet gw_lite_ownership;
extern const struct gw_fence_facet gw_lite_fence;
extern const struct gw_sessions_facet gw_lite_sessions;
extern const struct gw_schema_facet gw_lite_schema;
extern const struct gw_query_facet gw_lite_query_facet;
/* query->write_ours */
GW_MUST_CHECK bool gw_lite_write_ours(struct gw_store *, const char *const *statements, size_t count,
                                      struct gw_query_done *, struct gw_error *);

#endif
