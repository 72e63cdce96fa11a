/* The writer's session, and the table of load and apply. */
#include "store/mysql/writer.h"

#include "base/hash.h"
#include "base/mem.h"
#include "store/mysql/home.h"

#include <stdlib.h>
#include <string.h>

static uint64_t shape_of(const struct gw_collection *c)
{
    uint64_t hash = gw_hash64(c->name, strlen(c->name), c->column_count);
    for (size_t i = 0; i < c->column_count; i++)
        hash = gw_hash64(c->columns[i].type, strlen(c->columns[i].type), hash + c->columns[i].generated);
    return hash;
}

const struct gw_mysql_target *gw_mysql_target_of(struct gw_mysql_writer *w, const struct gw_collection *c)
{
    uint64_t shape = shape_of(c);
    for (size_t i = 0; i < w->target_count; i++)
        if (w->targets[i]->shape == shape && strcmp(w->targets[i]->name, c->name) == 0)
            return w->targets[i];
    struct gw_mysql_target *t = gw_zalloc(sizeof *t);
    t->name = gw_strdup(c->name);
    t->shape = shape;
    t->column_count = c->column_count;
    t->forms = gw_mysql_forms_of(c);
    t->integer_key = c->key_kind != GW_KEY_NONE;
    for (size_t i = 0; i < c->key_count; i++)
        t->integer_key = t->integer_key && gw_mysql_is_integer(&t->forms[c->key[i]]);
    w->targets = gw_grow(w->targets, &w->target_capacity, w->target_count, sizeof(void *));
    w->targets[w->target_count++] = t;
    return t;
}

static void writer_close(struct gw_writer *writer)
{
    struct gw_mysql_writer *w = gw_mysql_writer_of(writer);
    if (!w)
        return;
    gw_mysql_pipe_free(w);
    for (size_t i = 0; i < w->target_count; i++) {
        gw_mysql_forms_free(w->targets[i]->forms, w->targets[i]->column_count);
        free(w->targets[i]->name);
        free(w->targets[i]);
    }
    free(w->targets);
    mysql_free_result(w->keys);
    free(w->key_rows);
    free(w->key_values);
    gw_mysql_text_release(&w->text);
    gw_buf_release(&w->load);
    gw_arena_release(&w->arena);
    gw_mysql_close(w->conn); /* the server rolls back what is open */
    gw_mysql_bulk_free(w);
    free(w);
}

static bool writer_open(struct gw_store *base, const char *stream, struct gw_writer **out, struct gw_error *err)
{
    struct gw_mysql_writer *w = gw_zalloc(sizeof *w);
    struct gw_position position;
    w->store = gw_mysql_store_of(base);
    snprintf(w->stream, sizeof w->stream, "%s", stream);
    if (!gw_mysql_connect(w->store, "apply", &w->conn, err) ||
        !gw_mysql_exec(w->conn, "SET SESSION foreign_key_checks = 0, @godwit_ours = 1", err) ||
        !gw_mysql_position_read(w->conn, stream, &position, err)) {
        writer_close((struct gw_writer *)w);
        return false;
    }
    w->order = position.order;
    w->bulk_can = w->store->max_packet_bytes >= GW_MYSQL_BULK_PACKET_BYTES && gw_mysql_bulk_can(w);
    *out = (struct gw_writer *)w;
    return true;
}

static void clear_text(struct gw_mysql_writer *w)
{
    gw_buf_clear(&w->text.sql);
    w->text.count = 0;
    w->text.commits = false;
}

void gw_mysql_writer_rollback(struct gw_mysql_writer *w)
{
    struct gw_error ignored;
    struct gw_position position;
    gw_mysql_pipe_abandon(w);
    clear_text(w);
    w->in_chunk = w->in_transaction = w->saved = false;
    gw_buf_clear(&w->load);
    gw_mysql_bulk_clear(w);
    /* What was committed ahead may be there or not: the row says. */
    if (w->conn->broken || !gw_mysql_exec(w->conn, "ROLLBACK", &ignored) ||
        !gw_mysql_position_read(w->conn, w->stream, &position, &ignored)) {
        w->failed = true;
        return;
    }
    w->order = position.order;
}

static void writer_rollback(struct gw_writer *writer)
{
    gw_mysql_writer_rollback(gw_mysql_writer_of(writer));
}

static bool position(struct gw_store *base, const char *stream, struct gw_position *out, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = gw_mysql_position_read(conn, stream, out, err);
    gw_mysql_return(conn, !fine);
    return fine;
}

/* Generated columns are in neither. */
static bool updates_all(struct gw_writer *writer, const struct gw_collection *c)
{
    (void)writer, (void)c;
    return true;
}

const struct gw_writer_facet gw_mysql_writer_facet = {
    .open = writer_open,
    .close = writer_close,
    .begin_chunk = gw_mysql_load_begin,
    .put = gw_mysql_load_put,
    .commit_chunk = gw_mysql_load_commit,
    .begin = gw_mysql_apply_begin,
    .apply = gw_mysql_apply_part,
    .send = gw_mysql_apply_send,
    .truncate = gw_mysql_apply_truncate,
    .delete_range = gw_mysql_apply_delete_range,
    .list_keys = gw_mysql_apply_list_keys,
    .find = gw_mysql_apply_find,
    .current = gw_mysql_current,
    .note_signal = gw_mysql_apply_note_signal,
    .savepoint = gw_mysql_apply_savepoint,
    .rollback_to = gw_mysql_apply_rollback_to,
    .commit = gw_mysql_apply_commit,
    .commit_ahead = gw_mysql_apply_commit_ahead,
    .await = gw_mysql_apply_await,
    .busy = gw_mysql_apply_busy,
    .updates_all = updates_all,
    .rollback = writer_rollback,
    .position = position,
    .checkpoints = gw_mysql_load_checkpoints,
};
