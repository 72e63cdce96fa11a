/*
 * One connection to a MariaDB or MySQL server through libmariadb: settings pinned, errors classified, every wait bounded
 * by the store's cancel token (and the thread's own). Belongs to one thread at a time.
 *
 * The library's calls block; while one of them waits for the socket it calls back, and the call back watches the tokens.
 * It knows the connection by a thread-local: whoever calls the library by himself on `conn->my` puts gw_mysql_enter()
 * before it (the functions here do it themselves).
 *
 * A server that cannot be reached is GW_ERR_REFUSED at the first contact (gw_store_open) and GW_ERR_RETRY on a store
 * that was open: a resident runner waits for its server. A wrong password or a missing right is GW_ERR_REFUSED always.
 */
#ifndef GW_STORE_MYSQL_CONN_H
#define GW_STORE_MYSQL_CONN_H

#include "base/buf.h"
#include "store/mysql/mysql.h"

#include <mysql.h>

struct gw_mysql_conn {
    struct gw_mysql_store *store;
    MYSQL *my;
    unsigned long id;
    bool broken;         /* only closing is useful */
    bool in_transaction; /* as whoever owns it says; a borrowed one is given back without */
};

/* Connects and pins: utf8mb4 (collation utf8mb4_bin), time zone +00:00, autocommit, REPEATABLE READ, sql_mode
 * STRICT_ALL_TABLES, ALLOW_INVALID_DATES, NO_AUTO_VALUE_ON_ZERO, NO_BACKSLASH_ESCAPES, NO_ENGINE_SUBSTITUTION, no
 * timeouts of statements, found rows counted (not changed ones), several statements in a text allowed. */
GW_MUST_CHECK bool gw_mysql_connect(struct gw_mysql_store *, const char *what, struct gw_mysql_conn **out,
                                    struct gw_error *);
/* Ends at the server, too, what a cancelled call left running there. NULL is fine. */
void gw_mysql_close(struct gw_mysql_conn *);
/* A pooled connection for short calls of the store itself (any thread); give it back with `broken` on error. */
GW_MUST_CHECK bool gw_mysql_borrow(struct gw_mysql_store *, struct gw_mysql_conn **out, struct gw_error *);
void gw_mysql_return(struct gw_mysql_conn *, bool broken);
/* What is behind borrow; mysql.c makes it, and frees it when no connection is out. */
struct gw_idle *gw_mysql_pool_new(void);

/* This thread's next calls of the library are on this connection. */
void gw_mysql_enter(struct gw_mysql_conn *);
/* Runs one statement or several; rows are thrown away. */
GW_MUST_CHECK bool gw_mysql_exec(struct gw_mysql_conn *, const char *sql, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_exec_buf(struct gw_mysql_conn *, const struct gw_buf *sql, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_execf(struct gw_mysql_conn *, struct gw_error *, const char *format, ...) GW_PRINTF(3, 4);
/* As exec of one statement; *rows: found by it (UPDATE: also those that stayed as they were). */
GW_MUST_CHECK bool gw_mysql_exec_counted(struct gw_mysql_conn *, const struct gw_buf *sql, uint64_t *rows,
                                         struct gw_error *);
/* One statement; its rows, all of them here; owned: mysql_free_result. */
GW_MUST_CHECK bool gw_mysql_query(struct gw_mysql_conn *, const char *sql, MYSQL_RES **out, struct gw_error *);
/* As they come: mysql_fetch_row, then gw_mysql_rows_ended says whether its NULL was the end. */
GW_MUST_CHECK bool gw_mysql_stream(struct gw_mysql_conn *, const struct gw_buf *sql, MYSQL_RES **out,
                                   struct gw_error *);
GW_MUST_CHECK bool gw_mysql_rows_ended(struct gw_mysql_conn *, struct gw_error *);
/* The first column of the first row into out ("" when no row or NULL; *found tells, may be NULL). */
GW_MUST_CHECK bool gw_mysql_query_text(struct gw_mysql_conn *, const char *sql, struct gw_buf *out, bool *found,
                                       struct gw_error *);
/* Fills err from the connection (or the statement, may be NULL), classified; marks a lost connection broken. False. */
bool gw_mysql_fail(struct gw_mysql_conn *, const char *doing, struct gw_error *);
bool gw_mysql_stmt_fail(struct gw_mysql_conn *, MYSQL_STMT *, const char *doing, struct gw_error *);
/* The statement that tells where the binlog ends, in this server's words. */
const char *gw_mysql_log_status(const struct gw_mysql_conn *);
/* The error number of the server's last answer on it. */
unsigned gw_mysql_errno(const struct gw_mysql_conn *);
/* Did the last statement fail because a table is not there? Then *err is cleared: nothing of ours is an answer, too. */
GW_MUST_CHECK bool gw_mysql_no_such_table(const struct gw_mysql_conn *, struct gw_error *err);

void gw_mysql_add_ident(struct gw_buf *, const char *name);             /* `quoted` always */
void gw_mysql_add_text(struct gw_buf *, const void *text, size_t len);  /* 'quoted', no backslashes */
void gw_mysql_add_literal(struct gw_buf *, const char *text);           /* the same */
void gw_mysql_add_hex(struct gw_buf *, const void *bytes, size_t len);  /* X'00ff' */
void gw_mysql_add_table(struct gw_buf *, const struct gw_collection *); /* `name` */

#endif
