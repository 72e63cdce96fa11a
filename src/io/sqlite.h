/*
 * SQLite, as the journal uses it: a connection, scripts, and queries by name out of a .sql text, prepared once.
 *
 * In such a text a query is headed by a line "-- :name"; it ends at the next such line.
 *
 *     gw_autoquery struct gw_sqlite_query q = {0};
 *     if (!gw_sqlite_start(db, &q, err, "chunks_of", "i", (int64_t)collection))
 *         return false;
 *     bool row;
 *     while (gw_sqlite_step(&q, &row, err) && row)
 *         use(gw_sqlite_int(&q, 0));
 *
 * Bind letters: i int64_t, t const char * (NULL: NULL), b const void * and size_t.
 * Errors: damage is GW_ERR_CONFLICT, a full or failing disk GW_ERR_RESOURCE, a lock held too long GW_ERR_RETRY, a wrong
 * statement or a broken constraint GW_ERR_BUG. A connection belongs to one thread at a time.
 */
#ifndef GW_IO_SQLITE_H
#define GW_IO_SQLITE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct gw_sqlite;
struct sqlite3_stmt;

/* The file must be there (it is never made here, so that its mode is the caller's); empty is an empty database. */
GW_MUST_CHECK bool gw_sqlite_open(const char *path, struct gw_sqlite **out, struct gw_error *err);
void gw_sqlite_close(struct gw_sqlite *db); /* NULL is fine */
/* The text is borrowed for the connection's life. */
void gw_sqlite_use_queries(struct gw_sqlite *db, const char *text);
/* Any number of statements without results. */
GW_MUST_CHECK bool gw_sqlite_script(struct gw_sqlite *db, const char *sql, struct gw_error *err);
/* No transaction is open: also after an error that made SQLite end one. */
bool gw_sqlite_idle(struct gw_sqlite *db);

struct gw_sqlite_query {
    struct gw_sqlite *db;
    struct sqlite3_stmt *statement;
    const char *name;
};
void gw_sqlite_finish(struct gw_sqlite_query *query);
#define gw_autoquery __attribute__((cleanup(gw_sqlite_finish)))
GW_MUST_CHECK bool gw_sqlite_start(struct gw_sqlite *db, struct gw_sqlite_query *query, struct gw_error *err,
                                   const char *name, const char *binds, ...);
GW_MUST_CHECK bool gw_sqlite_step(struct gw_sqlite_query *query, bool *row, struct gw_error *err);
/* A query without rows, whole. *changed (may be NULL): rows it changed. */
GW_MUST_CHECK bool gw_sqlite_do(struct gw_sqlite *db, int64_t *changed, struct gw_error *err, const char *name,
                                const char *binds, ...);
int64_t gw_sqlite_last_id(struct gw_sqlite *db);

/* Columns of the current row, from 0. Texts are borrowed until the next step. */
int64_t gw_sqlite_int(struct gw_sqlite_query *query, int column);
const char *gw_sqlite_text(struct gw_sqlite_query *query, int column); /* NULL for NULL */
char *gw_sqlite_dup(struct gw_sqlite_query *query, int column);        /* owned; NULL for NULL */

#endif
