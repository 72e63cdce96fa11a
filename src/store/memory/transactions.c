/* Transactions, marks, and the log they are written into. Everything with the server's lock held. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/memory/engine.h"

enum mem_tx_status mem_status(const struct gw_memory *server, uint64_t xid)
{
    return (enum mem_tx_status)server->status[xid - server->first_xid];
}

static void set_status(struct gw_memory *server, uint64_t xid, enum mem_tx_status status)
{
    server->status[xid - server->first_xid] = (unsigned char)status;
}

bool mem_visible(const struct gw_memory *server, const struct mem_version *version, const struct gw_mark *mark)
{
    if (version->xmin == 0 || mem_status(server, version->xmin) == MEM_ABORTED || !gw_mark_saw(mark, version->xmin))
        return false;
    return version->xmax == 0 || mem_status(server, version->xmax) == MEM_ABORTED || !gw_mark_saw(mark, version->xmax);
}

void mem_take_mark(struct gw_memory *server, struct gw_mark *out)
{
    size_t count = 0;
    for (const struct gw_memory_tx *tx = server->running; tx; tx = tx->next)
        count++;
    *out = (struct gw_mark){.low = server->next_xid, .high = server->next_xid};
    out->open = gw_calloc(count + 1, sizeof *out->open);
    for (const struct gw_memory_tx *tx = server->running; tx; tx = tx->next) {
        size_t at = out->open_count++;
        for (; at > 0 && out->open[at - 1] > tx->xid; at--)
            out->open[at] = out->open[at - 1];
        out->open[at] = tx->xid;
    }
    if (out->open_count > 0)
        out->low = out->open[0];
}

struct gw_memory_tx *mem_begin(struct gw_memory *server, bool ours)
{
    struct gw_memory_tx *tx = gw_zalloc(sizeof *tx);
    tx->server = server;
    tx->xid = server->next_xid++;
    tx->ours = ours;
    size_t at = (size_t)(tx->xid - server->first_xid);
    server->status = gw_grow(server->status, &server->status_capacity, at, sizeof *server->status);
    server->ended_at = gw_grow(server->ended_at, &server->ended_capacity, at, sizeof *server->ended_at);
    server->ended_at[at] = 0;
    set_status(server, tx->xid, MEM_RUNNING);
    tx->next = server->running;
    server->running = tx;
    return tx;
}

void gw_memory_unlogged(struct gw_memory_tx *tx, bool unlogged)
{
    tx->unlogged = unlogged;
}

void mem_add_change(struct gw_memory_tx *tx, const struct gw_change *change)
{
    struct gw_change numbered = *change;
    if (tx->unlogged)
        return;
    numbered.transaction = tx->xid;
    gw_change_encode(&tx->changes, &numbered);
}

static void tx_end(struct gw_memory_tx *tx)
{
    struct gw_memory *server = tx->server;
    for (struct gw_memory_tx **link = &server->running; *link; link = &(*link)->next) {
        if (*link == tx) {
            *link = tx->next;
            break;
        }
    }
    for (struct mem_table *table = server->tables; table; table = table->next)
        if (table->exclusive == tx->xid)
            table->exclusive = 0;
    gw_buf_release(&tx->changes);
    free(tx->undo);
    free(tx);
    pthread_cond_broadcast(&server->changed);
}

void mem_log_commit(struct gw_memory_tx *tx, bool durable)
{
    struct gw_memory *server = tx->server;
    uint64_t begin = server->lsn + 8 + mem_random(server) % 64;
    server->lsn = begin + 8 + tx->changes.len;
    tx->lsn = server->lsn;
    set_status(server, tx->xid, MEM_LOGGED);
    server->ended_at[tx->xid - server->first_xid] = tx->lsn;
    if (server->prepared) {
        size_t len = tx->changes.len;
        server->log = gw_grow(server->log, &server->log_capacity, server->log_count, sizeof *server->log);
        server->log[server->log_count++] = (struct mem_log_entry){
            .begin = begin,
            .end = tx->lsn,
            .xid = tx->xid,
            .ours = tx->ours,
            .wall_us = gw_wall_us(),
            .len = len,
            .changes = gw_buf_detach(&tx->changes),
        };
    }
    if (durable)
        server->flushed = server->lsn;
    pthread_cond_broadcast(&server->changed);
}

void mem_make_visible(struct gw_memory_tx *tx)
{
    set_status(tx->server, tx->xid, MEM_COMMITTED);
    tx_end(tx);
}

void mem_rollback(struct gw_memory_tx *tx)
{
    set_status(tx->server, tx->xid, MEM_ABORTED);
    tx_end(tx);
}
