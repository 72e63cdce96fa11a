/*
 * DDL on tables that are in production: each statement in a short transaction of its own, which waits for its lock only
 * briefly (everybody else queues behind a waiting lock), says on whom it waits, and tries again.
 */
#ifndef GW_STORE_POSTGRES_DDL_H
#define GW_STORE_POSTGRES_DDL_H

#include "store/postgres/conn.h"

/* table: "schema"."name" quoted, to say who holds it; NULL: the statement takes several. GW_ERR_RETRY when the lock
 * was not to be had for a minute. The connection has no transaction open after it, whatever the outcome. */
GW_MUST_CHECK bool gw_pg_ddl(struct gw_pg_store *, PGconn *, const char *table, const char *sql, struct gw_error *);

/* The columns gw_pg_add_session reads, of pg_stat_activity as `a`; and the words it makes of such a row:
 * pid 411 (app@10.0.0.9, "billing", idle in transaction for 12 s). */
#define GW_PG_SESSION_COLUMNS                                                                                          \
    "a.pid, coalesce(a.usename, ''), coalesce(host(a.client_addr), 'local'), coalesce(a.application_name, ''),"        \
    " coalesce(a.state, ''), coalesce(extract(epoch FROM clock_timestamp() - a.xact_start) * 1000000, 0)::bigint"
void gw_pg_add_session(struct gw_buf *, const PGresult *, int row);
/* All rows, ", " between them. */
void gw_pg_add_sessions(struct gw_buf *, const PGresult *);

#endif
