/* Transactions of the applier: the position row first, parts in order, commit with the position reached. */
#include "store/postgres/apply.h"
#include "store/postgres/changes.h"
#include "store/postgres/keys.h"

#include "base/crash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A statement's plan is made once, and must be the one that finds each row by the key's index: statistics of a table
 * that has just been loaded say nothing, and a plan made on them can scan the table for every batch. */
static const char settings_sql[] =
    "SET enable_hashjoin = off;SET enable_mergejoin = off;SET enable_seqscan = off;SET enable_bitmapscan = off;"
    "SET plan_cache_mode = force_generic_plan;"
    /* A commit that has to wait for the disk says so itself. */
    "SET synchronous_commit = off";

static bool fail_outside(struct gw_error *err)
{
    return gw_fail(err, GW_ERR_BUG, "a change is applied outside of a transaction");
}

static bool make_ready(struct gw_pg_writer *w, struct gw_error *err)
{
    if (!w->apply)
        w->apply = gw_zalloc(sizeof *w->apply);
    if (!w->apply->settings_made && !gw_pg_exec(w->store, w->conn, settings_sql, err))
        return false;
    w->apply->settings_made = true;
    return true;
}

static void wait_sql(struct gw_pg_writer *w, const char *sql)
{
    gw_pg_wait_behind(w->apply, (struct gw_pg_waiting){.kind = GW_PG_WAITING_SQL, .sql = sql});
}

static void forget_waiting(struct gw_pg_apply *a)
{
    for (size_t i = 0; i < a->waiting_count; i++)
        free(a->waiting[i].text);
    a->waiting_count = 0;
}

bool gw_pg_apply_begin(struct gw_writer *writer, const struct gw_position *reached, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    if (w->failed)
        return gw_fail(err, GW_ERR_RETRY, "the session of the applier is of no use any more");
    if (w->in_transaction)
        return gw_fail(err, GW_ERR_BUG, "a transaction is begun while one is open");
    if (!make_ready(w, err))
        return false;
    forget_waiting(w->apply); /* of a transaction that was given up before anything was sent */
    wait_sql(w, "BEGIN ISOLATION LEVEL READ COMMITTED");
    gw_pg_wait_behind(w->apply, (struct gw_pg_waiting){.kind = GW_PG_WAITING_POSITION, .position = *reached});
    w->apply->saved = false;
    w->in_transaction = true;
    w->order_begun = reached->order;
    return true;
}

bool gw_pg_apply_savepoint(struct gw_writer *writer, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    if (!w->in_transaction)
        return fail_outside(err);
    if (w->apply->saved)
        wait_sql(w, "RELEASE SAVEPOINT gw");
    wait_sql(w, "SAVEPOINT gw");
    w->apply->saved = true;
    return true;
}

bool gw_pg_apply_rollback_to(struct gw_writer *writer, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    if (!w->in_transaction || w->failed || !w->apply->saved)
        return gw_fail(err, GW_ERR_BUG, "there is no savepoint to go back to");
    wait_sql(w, "ROLLBACK TO SAVEPOINT gw");
    return true;
}

bool gw_pg_apply_note_signal(struct gw_writer *writer, const char *token, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    if (!w->in_transaction)
        return fail_outside(err);
    gw_pg_wait_behind(w->apply, (struct gw_pg_waiting){.kind = GW_PG_WAITING_SIGNAL, .text = gw_strdup(token)});
    return true;
}

static void wait_commit(struct gw_pg_writer *w, bool durable)
{
    if (durable)
        wait_sql(w, "SET LOCAL synchronous_commit = on");
    gw_pg_wait_behind(w->apply, (struct gw_pg_waiting){.kind = GW_PG_WAITING_COMMIT, .sql = "COMMIT"});
}

bool gw_pg_apply_commit(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    uint64_t unused = 0;
    if (!w->in_transaction)
        return fail_outside(err);
    GW_CRASH_POINT("postgres.apply.before_commit");
    wait_commit(w, durable);
    bool fine = gw_pg_pipe_open(w, err) && gw_pg_pipe_close(w, &unused, "committing", err);
    if (!fine && !w->failed) {
        gw_pg_writer_rollback(w);
        return false;
    }
    w->in_transaction = false;
    if (fine)
        w->order = w->order_begun;
    GW_CRASH_POINT("postgres.apply.after_commit");
    return fine;
}

/* Should this transaction fail, one begun behind it finds the position row elsewhere than where it expects it. */
bool gw_pg_apply_commit_ahead(struct gw_writer *writer, bool durable, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    if (!w->in_transaction)
        return fail_outside(err);
    GW_CRASH_POINT("postgres.apply.before_commit");
    wait_commit(w, durable);
    if (!gw_pg_pipe_open(w, err) || !gw_pg_pipe_ahead(w, w->order, err))
        return false;
    w->in_transaction = false;
    w->order = w->order_begun;
    GW_CRASH_POINT("postgres.apply.after_commit_sent");
    return true;
}

bool gw_pg_apply_await(struct gw_writer *writer, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    bool fine = gw_pg_pipe_await(w, err);
    GW_CRASH_POINT("postgres.apply.after_commit");
    return fine;
}

/* ---- truncate and ranges ----------------------------------------------------------------------------------------- */

static void add_tables(struct gw_buf *sql, const struct gw_collection *const *collections, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        gw_buf_adds(sql, i ? ", ONLY " : " ONLY ");
        gw_pg_add_table(sql, collections[i]);
    }
}

static bool delete_all(struct gw_pg_writer *w, const struct gw_collection *const *collections, size_t count,
                       struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "ROLLBACK TO SAVEPOINT gw_truncate");
    for (size_t i = 0; i < count; i++) {
        gw_buf_adds(&sql, "; DELETE FROM ONLY ");
        gw_pg_add_table(&sql, collections[i]);
    }
    gw_buf_adds(&sql, "; RELEASE SAVEPOINT gw_truncate");
    return gw_pg_exec(w->store, w->conn, gw_buf_text(&sql), err);
}

/* All listed at once, because foreign keys among them are then no hindrance. One that points at them from elsewhere is,
 * in any role: then the rows are deleted. */
bool gw_pg_apply_truncate(struct gw_writer *writer, const struct gw_collection *const *collections, size_t count,
                          struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    gw_autobuf struct gw_buf sql = {0};
    if (!w->in_transaction)
        return fail_outside(err);
    if (count == 0)
        return true;
    if (!gw_pg_pipe_drain(w, err))
        return false;
    gw_buf_adds(&sql, "SAVEPOINT gw_truncate; TRUNCATE");
    add_tables(&sql, collections, count);
    gw_buf_adds(&sql, "; RELEASE SAVEPOINT gw_truncate");
    if (gw_pg_exec(w->store, w->conn, gw_buf_text(&sql), err))
        return true;
    if (err->kind != GW_ERR_UNSUPPORTED) {
        w->failed = w->failed || PQstatus(w->conn) != CONNECTION_OK;
        return false;
    }
    return delete_all(w, collections, count, err);
}

/* In the order of this side's own collation: the caller knows that it is the source's. */
bool gw_pg_apply_delete_range(struct gw_writer *writer, const struct gw_collection *collection,
                              const struct gw_range *range, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    gw_autobuf struct gw_buf sql = {0};
    uint64_t unused = 0;
    if (!w->in_transaction)
        return fail_outside(err);
    if (!gw_pg_pipe_drain(w, err) || !gw_pg_enter_key_schemas(w->store, w->conn, collection, err))
        return false;
    gw_buf_adds(&sql, "DELETE FROM ONLY ");
    gw_pg_add_table(&sql, collection);
    gw_buf_adds(&sql, " WHERE ");
    gw_pg_add_range(&sql, collection, range);
    return gw_pg_pipe_open(w, err) && gw_pg_pipe_sql(w, gw_buf_text(&sql), GW_PG_PIPE_PLAIN, err) &&
           gw_pg_pipe_close(w, &unused, "deleting a range", err);
}

static bool declare_keys(struct gw_pg_writer *w, const struct gw_collection *collection, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "DECLARE godwit_keys NO SCROLL CURSOR FOR SELECT ");
    gw_pg_add_key(&sql, collection, "");
    gw_buf_adds(&sql, " FROM ONLY ");
    gw_pg_add_table(&sql, collection);
    return gw_pg_exec(w->store, w->conn, gw_buf_text(&sql), err);
}

/* The rows of `listed` as keys. */
static void take_keys(struct gw_pg_apply *a, size_t key_count)
{
    size_t count = (size_t)PQntuples(a->listed);
    a->keys = gw_grow(a->keys, &a->keys_capacity, count, sizeof *a->keys);
    a->key_values = gw_grow(a->key_values, &a->key_values_capacity, count * key_count, sizeof *a->key_values);
    for (size_t i = 0; i < count; i++) {
        struct gw_value *values = &a->key_values[i * key_count];
        for (size_t k = 0; k < key_count; k++)
            values[k] = (struct gw_value){.kind = GW_VALUE_TEXT,
                                          .len = (uint32_t)PQgetlength(a->listed, (int)i, (int)k),
                                          .bytes = (const void *)PQgetvalue(a->listed, (int)i, (int)k)};
        a->keys[i] = (struct gw_row){.count = (uint32_t)key_count, .values = values};
    }
}

/* The cursor keeps the snapshot it was opened with, whatever is deleted meanwhile. */
bool gw_pg_apply_list_keys(struct gw_writer *writer, const struct gw_collection *collection, bool first, size_t most,
                           const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    char sql[64];
    *count = 0;
    if (!w->in_transaction)
        return fail_outside(err);
    PQclear(w->apply->listed);
    w->apply->listed = NULL;
    snprintf(sql, sizeof sql, "FETCH %zu FROM godwit_keys", most);
    if (!gw_pg_pipe_drain(w, err) || (first && !declare_keys(w, collection, err)) ||
        !gw_pg_query(w->store, w->conn, sql, 0, NULL, &w->apply->listed, err)) {
        w->failed = w->failed || PQstatus(w->conn) != CONNECTION_OK;
        return false;
    }
    take_keys(w->apply, collection->key_count);
    *keys = w->apply->keys;
    *count = (size_t)PQntuples(w->apply->listed);
    return *count > 0 || gw_pg_exec(w->store, w->conn, "CLOSE godwit_keys", err);
}

/* SELECT key FROM t WHERE c = $1 AND ...: values of either form, typed as the target's columns are. */
static bool find_query(struct gw_pg_writer *w, const struct gw_collection *collection,
                       const struct gw_pg_target *target, const struct gw_row *like, PGresult **out,
                       struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    const char *values[32];
    int lengths[32], formats[32], count = 0;
    Oid types[32];
    gw_buf_adds(&sql, "SELECT ");
    gw_pg_add_key(&sql, collection, "");
    gw_buf_adds(&sql, " FROM ONLY ");
    gw_pg_add_table(&sql, collection);
    for (uint32_t i = 0; i < like->count; i++) {
        if (like->values[i].kind == GW_VALUE_ABSENT)
            continue;
        if (count == 32)
            return gw_fail(err, GW_ERR_UNSUPPORTED, "a condition on more than 32 columns");
        values[count] = (const char *)like->values[i].bytes;
        lengths[count] = (int)like->values[i].len;
        formats[count] = like->values[i].kind == GW_VALUE_BINARY;
        types[count] = target->columns[i].type_id;
        gw_buf_adds(&sql, count++ ? " AND " : " WHERE ");
        gw_pg_add_ident(&sql, collection->columns[i].name);
        gw_buf_addf(&sql, " = $%d", count);
    }
    if (PQsendQueryParams(w->conn, gw_buf_text(&sql), count, types, values, lengths, formats, 0) != 1)
        return gw_pg_fail(w->store, w->conn, NULL, "looking for rows", err);
    PGresult *more = NULL;
    if (!gw_pg_next_result(w->store, w->conn, out, err))
        return false;
    bool fine = *out && PQresultStatus(*out) == PGRES_TUPLES_OK;
    if (!fine)
        gw_pg_fail(w->store, w->conn, *out, "looking for rows", err);
    do {
        PQclear(more);
        more = NULL;
    } while (fine && (fine = gw_pg_next_result(w->store, w->conn, &more, err)) && more);
    return fine;
}

bool gw_pg_apply_find(struct gw_writer *writer, const struct gw_collection *collection, const struct gw_row *like,
                      const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    const struct gw_pg_target *target;
    *count = 0;
    if (!w->in_transaction)
        return fail_outside(err);
    PQclear(w->apply->listed);
    w->apply->listed = NULL;
    if (!gw_pg_target_get(w, collection, &target, err) || !gw_pg_pipe_drain(w, err) ||
        !gw_pg_enter_key_schemas(w->store, w->conn, collection, err) ||
        !find_query(w, collection, target, like, &w->apply->listed, err)) {
        w->failed = w->failed || PQstatus(w->conn) != CONNECTION_OK;
        return false;
    }
    take_keys(w->apply, collection->key_count);
    *keys = w->apply->keys;
    *count = (size_t)PQntuples(w->apply->listed);
    return true;
}

/* ---- position and release ---------------------------------------------------------------------------------------- */

bool gw_pg_position_read(struct gw_pg_store *store, PGconn *conn, const char *stream, struct gw_position *out,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf there = {0};
    bool found;
    PGresult *r;
    *out = (struct gw_position){0};
    if (!gw_pg_query_text(store, conn, "SELECT to_regclass('godwit.position')::text", 0, NULL, &there, &found, err))
        return false;
    if (!found)
        return true;
    if (!gw_pg_query(store, conn, "SELECT \"order\", text FROM godwit.position WHERE stream = $1", 1, &stream, &r, err))
        return false;
    if (PQntuples(r) > 0) {
        out->order = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
        snprintf(out->text, sizeof out->text, "%s", PQgetvalue(r, 0, 1));
    }
    PQclear(r);
    return true;
}

bool gw_pg_apply_position(struct gw_store *base, const char *stream, struct gw_position *out, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    struct gw_position position;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_position_read(store, conn, stream, &position, err);
    gw_pg_return(store, conn, !fine);
    if (fine)
        *out = position;
    return fine;
}

void gw_pg_apply_release(struct gw_pg_writer *w)
{
    struct gw_pg_apply *a = w->apply;
    if (!a)
        return;
    forget_waiting(a);
    free(a->waiting);
    free(a->entries);
    for (size_t i = 0; i < a->statement_count; i++)
        free(a->statements[i]);
    free(a->statements);
    gw_pg_targets_forget(a);
    free(a->targets);
    PQclear(a->listed);
    free(a->keys);
    free(a->key_values);
    gw_buf_release(&a->sql);
    for (size_t i = 0; i < a->array_count; i++)
        gw_buf_release(&a->arrays[i]);
    free(a->arrays);
    free(a->values);
    free(a->lengths);
    free(a->formats);
    free(a->types);
    free(a);
    w->apply = NULL;
}
