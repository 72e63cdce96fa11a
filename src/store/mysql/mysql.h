/*
 * The MariaDB and MySQL engine: MariaDB 10.6 to 11, MySQL 8. Private to store/mysql/; others see store.h.
 *
 *   url.c       the address              conn.c      connections            column.c    forms of columns
 *   catalog.c   collections              describe.c  definitions            keys.c      ranges in SQL
 *   reader.c    chunks out               row.c       the blocks' format     load.c      chunks in
 *   apply.c     batches in               codec.c     canonical values       scan.c      verify's own reading
 *   home.c      owner, notes             fence.c     accounts, flag         sessions.c  census
 *   schema*.c   tables, indexes, keys    build.c     other engines' tables  inspect*.c  check, audit, grants
 *
 * One database per store; gw_collection.space is "" always. The home is tables named godwit_* in that database.
 */
#ifndef GW_STORE_MYSQL_MYSQL_H
#define GW_STORE_MYSQL_MYSQL_H

#include "store/idle.h"
#include "store/store.h"

struct gw_mysql_url; /* url.h */

struct gw_mysql_store {
    struct gw_store base; /* first */
    char *url;            /* as given */
    struct gw_mysql_url *address;
    char *password_command;
    char *migration;
    char *database;
    char account[160]; /* CURRENT_USER(): "godwit@%" */
    struct gw_cancel *cancel;
    struct gw_idle *pool; /* sessions for short calls, see conn.h */
    bool is_mariadb;
    bool fence_accounts;  /* the fence locks accounts, too */
    bool bulk;            /* takes arrays of parameters (MariaDB) */
    bool local_infile;    /* LOAD DATA LOCAL is allowed by the server */
    bool binlog;          /* a row binlog is written */
    bool binlog_snapshot; /* Binlog_snapshot_position is known for a consistent snapshot */
    size_t max_packet_bytes;
    struct gw_error binlog_why; /* capture by triggers: why not by the log; message may be empty */
};

static inline struct gw_mysql_store *gw_mysql_store_of(struct gw_store *store)
{
    return (struct gw_mysql_store *)store;
}

extern const struct gw_store_type gw_store_mysql;
extern const struct gw_catalog_facet gw_mysql_catalog;
extern const struct gw_inspect_facet gw_mysql_inspect;
extern const struct gw_reader_facet gw_mysql_reader;
extern const struct gw_writer_facet gw_mysql_writer_facet;
extern const struct gw_changes_facet gw_mysql_changes;
extern const struct gw_scan_facet gw_mysql_scan;
extern const struct gw_codec_facet gw_mysql_codec;
extern const struct gw_ownership_facet gw_mysql_ownership;
extern const struct gw_fence_facet gw_mysql_fence;
extern const struct gw_sessions_facet gw_mysql_sessions;
extern const struct gw_schema_facet gw_mysql_schema;
extern const struct gw_query_facet gw_mysql_query_facet;

#endif
