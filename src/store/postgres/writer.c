/* The writer's session: opened as replica where the side can, and the table of load and apply. */
#include "store/postgres/writer.h"

#include "base/mem.h"

#include <stdlib.h>

static bool prepare_session(struct gw_pg_writer *w, struct gw_error *err)
{
    if (!gw_pg_exec(w->store, w->conn, "SET synchronous_commit = on", err))
        return false;
    w->replica = (w->store->base.identity.capabilities & GW_CAN_REPLICA_ROLE) != 0;
    return !w->replica || gw_pg_exec(w->store, w->conn, "SET session_replication_role = replica", err);
}

/* Before the caller asks for the position: what moves it in between is found at the first begin. */
static bool note_position(struct gw_pg_writer *w, struct gw_error *err)
{
    struct gw_position position;
    if (!gw_pg_position_read(w->store, w->conn, w->stream, &position, err))
        return false;
    w->order = position.order;
    return true;
}

static void writer_close(struct gw_writer *writer)
{
    struct gw_pg_writer *w = gw_pg_writer_of(writer);
    if (!w)
        return;
    gw_pg_apply_release(w);
    PQfinish(w->conn); /* the server rolls back what is open */
    free(w);
}

static bool writer_open(struct gw_store *base, const char *stream, struct gw_writer **out, struct gw_error *err)
{
    struct gw_pg_writer *w = gw_zalloc(sizeof *w);
    w->store = gw_pg_store_of(base);
    snprintf(w->stream, sizeof w->stream, "%s", stream);
    if (!gw_pg_connect(w->store, GW_PG_PLAIN, "apply", &w->conn, err) || !prepare_session(w, err) ||
        !note_position(w, err)) {
        PQfinish(w->conn);
        free(w);
        return false;
    }
    *out = (struct gw_writer *)w;
    return true;
}

void gw_pg_writer_rollback(struct gw_pg_writer *w)
{
    struct gw_error ignored;
    w->loading = NULL;
    gw_pg_pipe_abandon(w);
    if (PQtransactionStatus(w->conn) == PQTRANS_IDLE) {
        w->in_transaction = false;
        return;
    }
    if (w->in_copy) {
        /* The rows on their way would have to be sent to the end before the server listens: leave instead. */
        w->failed = true;
        return;
    }
    if (!gw_pg_exec(w->store, w->conn, "ROLLBACK", &ignored))
        w->failed = true;
    w->in_transaction = false;
}

static void writer_rollback(struct gw_writer *writer)
{
    gw_pg_writer_rollback(gw_pg_writer_of(writer));
}

const struct gw_writer_facet gw_pg_writer_facet = {
    .open = writer_open,
    .close = writer_close,
    .begin_chunk = gw_pg_load_begin,
    .put = gw_pg_load_put,
    .commit_chunk = gw_pg_load_commit,
    .begin = gw_pg_apply_begin,
    .apply = gw_pg_apply_part,
    .send = gw_pg_apply_send,
    .truncate = gw_pg_apply_truncate,
    .delete_range = gw_pg_apply_delete_range,
    .list_keys = gw_pg_apply_list_keys,
    .find = gw_pg_apply_find,
    .current = gw_pg_apply_current,
    .note_signal = gw_pg_apply_note_signal,
    .savepoint = gw_pg_apply_savepoint,
    .rollback_to = gw_pg_apply_rollback_to,
    .commit = gw_pg_apply_commit,
    .commit_ahead = gw_pg_apply_commit_ahead,
    .await = gw_pg_apply_await,
    .rollback = writer_rollback,
    .position = gw_pg_apply_position,
    .checkpoints = gw_pg_load_checkpoints,
};
