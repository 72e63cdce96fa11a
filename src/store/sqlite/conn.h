/*
 * One connection to a database file: pragmas pinned, errors classified, every wait bounded by the store's cancel token.
 * Belongs to one thread at a time.
 *
 * A lock that is held too long is GW_ERR_RETRY; a constraint GW_ERR_CONFLICT; a file that cannot be opened, read or
 * written GW_ERR_REFUSED; a full or failing disk GW_ERR_RESOURCE.
 */
#ifndef GW_STORE_SQLITE_CONN_H
#define GW_STORE_SQLITE_CONN_H

#include "base/buf.h"
#include "store/sqlite/sqlite.h"

#include <sqlite3.h>

#define GW_LITE_LOCK_MS 20000 /* how long a write waits for other writers when nobody says otherwise */

struct gw_lite_conn {
    sqlite3 *db;
    struct gw_lite_store *store;
    int lock_ms;            /* how long to wait for a lock */
    int64_t lock_until_us;  /* of the wait at hand */
    int64_t steps_until_us; /* a statement that takes longer is ended (GW_ERR_RETRY); 0: none is */
    bool foreign;           /* behaves as an application's connection: triggers and foreign keys are on */
};

/* For a session that reads rows once: pages are not worth keeping, and each session would keep 2 MB of them. */
#define GW_LITE_READ_ONCE "PRAGMA cache_size = -256"

/* `foreign`: with triggers and foreign keys, as an application would have it (the fence's probe). */
GW_MUST_CHECK bool gw_lite_connect(struct gw_lite_store *, bool foreign, struct gw_lite_conn **out, struct gw_error *);
void gw_lite_disconnect(struct gw_lite_conn *); /* NULL is fine; rolls back */
/* A pooled connection for short calls of the store itself (any thread), with no transaction open. */
GW_MUST_CHECK bool gw_lite_borrow(struct gw_lite_store *, struct gw_lite_conn **out, struct gw_error *);
void gw_lite_return(struct gw_lite_conn *); /* NULL is fine; rolls back what is open */
/* What is behind borrow; sqlite.c makes it, and frees it when no connection is out. */
struct gw_idle *gw_lite_pool_new(void);

/* Any number of statements without results. */
GW_MUST_CHECK bool gw_lite_exec(struct gw_lite_conn *, const char *sql, struct gw_error *);
GW_MUST_CHECK bool gw_lite_execf(struct gw_lite_conn *, struct gw_error *, const char *format, ...) GW_PRINTF(3, 4);
/* Write transaction: takes the lock at once. */
/* Fails with GW_ERR_RETRY when the file was moved, removed or replaced since the connection was opened: what is written
 * through it nobody else would see. Asked at each begin of a write, and of each connection that waited idle. */
GW_MUST_CHECK bool gw_lite_check_place(struct gw_lite_conn *, struct gw_error *);
GW_MUST_CHECK bool gw_lite_begin_write(struct gw_lite_conn *, struct gw_error *);
void gw_lite_rollback(struct gw_lite_conn *);
/* What was committed so far, by whomever, is on disk when this returns. */
GW_MUST_CHECK bool gw_lite_sync(struct gw_lite_store *, struct gw_error *);

void gw_lite_finalize(sqlite3_stmt **statement);
#define gw_autostmt __attribute__((cleanup(gw_lite_finalize)))
GW_MUST_CHECK bool gw_lite_prepare(struct gw_lite_conn *, const char *sql, sqlite3_stmt **out, struct gw_error *);
/* *row false: done. */
GW_MUST_CHECK bool gw_lite_step(struct gw_lite_conn *, sqlite3_stmt *, bool *row, struct gw_error *);
/* A statement without rows: stepped to its end and reset. */
GW_MUST_CHECK bool gw_lite_run(struct gw_lite_conn *, sqlite3_stmt *, struct gw_error *);
void gw_lite_bind_text(sqlite3_stmt *, int place, const char *text); /* copied; NULL is NULL */
/* The first column of the first row; *found (may be NULL) false and *out untouched when there is none, or it is NULL. */
GW_MUST_CHECK bool gw_lite_int(struct gw_lite_conn *, const char *sql, int64_t *out, bool *found, struct gw_error *);
GW_MUST_CHECK bool gw_lite_text(struct gw_lite_conn *, const char *sql, struct gw_buf *out, bool *found,
                                struct gw_error *);
const char *gw_lite_column(sqlite3_stmt *, int column); /* text, "" for NULL; borrowed until the next step */

/* Fills err from the connection's last error. Returns false. */
bool gw_lite_fail(struct gw_lite_conn *, int rc, const char *doing, struct gw_error *);

void gw_lite_add_ident(struct gw_buf *, const char *name);   /* "quoted" always */
void gw_lite_add_literal(struct gw_buf *, const char *text); /* 'quoted' */
bool gw_lite_has_table(struct gw_lite_conn *, const char *name);
bool gw_lite_is_ours(const char *name); /* godwit_*, whatever its case */

#endif
