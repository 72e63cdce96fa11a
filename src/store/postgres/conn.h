/*
 * One connection to a PostgreSQL server through libpq: settings pinned, errors classified, every wait bounded by the
 * store's cancel token. Belongs to one thread at a time.
 *
 * A server that cannot be reached is GW_ERR_REFUSED at the first contact (gw_store_open) and GW_ERR_RETRY on a store
 * that was open: a resident runner waits for its server. A wrong password or a missing right is GW_ERR_REFUSED always.
 */
#ifndef GW_STORE_POSTGRES_CONN_H
#define GW_STORE_POSTGRES_CONN_H

#include "base/buf.h"
#include "store/postgres/postgres.h"

#include <libpq-fe.h>

enum gw_pg_purpose {
    GW_PG_PLAIN,       /* ordinary session */
    GW_PG_REPLICATION, /* replication=database: walsender commands */
};

/* Connects, sets application_name "godwit <what>", UTF8, ISO dates, UTC, hex bytea, extra_float_digits 3, empty
 * search_path, no timeouts of its own, keepalives on. `what` is a short word for pg_stat_activity. */
GW_MUST_CHECK bool gw_pg_connect(struct gw_pg_store *, enum gw_pg_purpose, const char *what, PGconn **out,
                                 struct gw_error *);
/* A pooled plain connection for short calls of the store itself (any thread); give it back with `broken` on error. */
GW_MUST_CHECK bool gw_pg_borrow(struct gw_pg_store *, PGconn **out, struct gw_error *);
void gw_pg_return(struct gw_pg_store *, PGconn *conn, bool broken);

/* What is behind borrow; postgres.c makes it, and frees it when no connection is out. */
struct gw_idle *gw_pg_pool_new(void);

/* Runs SQL that returns no rows (several statements allowed, simple protocol). */
GW_MUST_CHECK bool gw_pg_exec(struct gw_pg_store *, PGconn *, const char *sql, struct gw_error *);
/* One statement (without parameters: as gw_pg_exec, the last result) with text parameters (NULL entries are SQL NULL); *out owned: PQclear. */
GW_MUST_CHECK bool gw_pg_query(struct gw_pg_store *, PGconn *, const char *sql, int param_count,
                               const char *const *params, PGresult **out, struct gw_error *);
/* As gw_pg_query; the first column of the first row into out ("" when no row; *found tells, may be NULL). */
GW_MUST_CHECK bool gw_pg_query_text(struct gw_pg_store *, PGconn *, const char *sql, int param_count,
                                    const char *const *params, struct gw_buf *out, bool *found, struct gw_error *);
/* The next result of what was sent, without blocking past the cancel token; *out NULL when the command is over. A failed
 * statement is a result, too: look at PQresultStatus. */
GW_MUST_CHECK bool gw_pg_next_result(struct gw_pg_store *, PGconn *, PGresult **out, struct gw_error *);
/* Waits until the socket is readable (or writable too) or the cancel token is asked; then GW_ERR_CANCELLED, after
 * sending a cancel request to the server. timeout_ms < 0: no end; *ready false on timeout. On a connection in which
 * data may already be buffered ask PQisBusy or PQgetCopyData first. */
GW_MUST_CHECK bool gw_pg_wait(struct gw_pg_store *, PGconn *, bool for_write, int timeout_ms, bool *ready,
                              struct gw_error *);
/* Fills err from a failed result (may be NULL: then from the connection), classified by SQLSTATE: 40001 40P01 55P03
 * 57P01-03 08xxx -> RETRY; 28xxx 42501 3D000 -> REFUSED; 53100 -> RESOURCE; else CONFLICT. Returns false. */
bool gw_pg_fail(struct gw_pg_store *, PGconn *, const PGresult *, const char *doing, struct gw_error *);
const char *gw_pg_sqlstate(const PGresult *); /* "" when none */

void gw_pg_add_ident(struct gw_buf *, const char *name);                       /* "quoted" always */
void gw_pg_add_table(struct gw_buf *, const struct gw_collection *collection); /* "schema"."table" */
void gw_pg_add_literal(struct gw_buf *, const char *text);                     /* E'' where needed, any UTF-8 */

#endif
