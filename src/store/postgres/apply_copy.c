/* Many or large rows by COPY, in pieces: libpq never holds more than one of them, however large a value is. */
#include "store/postgres/apply.h"

#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 65536

static bool drain(struct gw_pg_writer *w, struct gw_error *err)
{
    for (;;) {
        bool ready;
        int unsent = PQflush(w->conn);
        if (unsent == 0)
            return true;
        if (unsent < 0)
            return gw_pg_fail(w->store, w->conn, NULL, "copying rows in", err);
        if (!gw_pg_wait(w->store, w->conn, true, -1, &ready, err))
            return false;
        if (!PQconsumeInput(w->conn))
            return gw_pg_fail(w->store, w->conn, NULL, "copying rows in", err);
    }
}

static bool put(struct gw_pg_writer *w, const void *bytes, size_t len, struct gw_error *err)
{
    const char *at = bytes;
    while (len > 0) {
        size_t piece = len < PIECE_BYTES ? len : PIECE_BYTES;
        if (PQputCopyData(w->conn, at, (int)piece) < 0)
            return gw_pg_fail(w->store, w->conn, NULL, "copying rows in", err);
        if (!drain(w, err))
            return false;
        at += piece;
        len -= piece;
    }
    return true;
}

static bool put_buffer(struct gw_pg_writer *w, struct gw_buf *buffer, size_t at_least, struct gw_error *err)
{
    if (buffer->len < at_least)
        return true;
    bool fine = put(w, buffer->data, buffer->len, err);
    gw_buf_clear(buffer);
    return fine;
}

static void add_escaped(struct gw_buf *out, const struct gw_value *v)
{
    const unsigned char *from = v->bytes, *end = v->bytes + v->len;
    for (const unsigned char *p = from; p < end; p++) {
        char letter = *p == '\\' ? '\\' : *p == '\n' ? 'n' : *p == '\r' ? 'r' : *p == '\t' ? 't' : 0;
        if (!letter)
            continue;
        gw_buf_add(out, from, (size_t)(p - from));
        gw_buf_addc(out, '\\');
        gw_buf_addc(out, letter);
        from = p + 1;
    }
    gw_buf_add(out, from, (size_t)(end - from));
}

/* A large value does not go through the buffer whole. */
static bool put_value(struct gw_pg_writer *w, const struct gw_value *v, bool binary, struct gw_buf *out,
                      struct gw_error *err)
{
    if (v->kind != GW_VALUE_TEXT && v->kind != GW_VALUE_BINARY) { /* also what an update leaves out */
        if (binary)
            gw_buf_put32(out, UINT32_MAX);
        else
            gw_buf_adds(out, "\\N");
        return true;
    }
    if (binary) {
        gw_buf_put32(out, v->len);
        if (v->len >= PIECE_BYTES)
            return put_buffer(w, out, 1, err) && put(w, v->bytes, v->len, err);
        gw_buf_add(out, v->bytes, v->len);
        return true;
    }
    for (uint32_t at = 0; at < v->len; at += PIECE_BYTES) {
        struct gw_value piece = {.bytes = v->bytes + at, .len = v->len - at < PIECE_BYTES ? v->len - at : PIECE_BYTES};
        add_escaped(out, &piece);
        if (!put_buffer(w, out, PIECE_BYTES, err))
            return false;
    }
    return true;
}

static bool put_row(struct gw_pg_writer *w, const struct gw_pg_target *target, uint16_t width, const struct gw_row *row,
                    bool binary, struct gw_buf *out, struct gw_error *err)
{
    bool any = false;
    if (binary)
        gw_buf_put16(out, width);
    for (size_t i = 0; i < target->column_count; i++) {
        if (!target->columns[i].written)
            continue;
        if (any && !binary)
            gw_buf_addc(out, '\t');
        any = true;
        if (!put_value(w, &row->values[i], binary, out, err))
            return false;
    }
    if (!binary)
        gw_buf_addc(out, '\n');
    return put_buffer(w, out, PIECE_BYTES, err);
}

static bool put_rows(struct gw_pg_writer *w, const struct gw_pg_target *target, const struct gw_row *rows, size_t count,
                     bool binary, struct gw_error *err)
{
    static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* signature, flags, extension */
    gw_autobuf struct gw_buf out = {0};
    uint16_t width = 0;
    for (size_t i = 0; i < target->column_count; i++)
        width = (uint16_t)(width + target->columns[i].written);
    if (binary)
        gw_buf_add(&out, head, 19);
    for (size_t i = 0; i < count; i++)
        if (!put_row(w, target, width, &rows[i], binary, &out, err))
            return false;
    if (binary)
        gw_buf_put16(&out, UINT16_MAX);
    return put_buffer(w, &out, 1, err);
}

static bool begin(struct gw_pg_writer *w, const struct gw_collection *c, const struct gw_pg_target *target,
                  const char *into, bool binary, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    bool any = false;
    PGresult *r;
    gw_buf_adds(&sql, "COPY ");
    if (into)
        gw_buf_adds(&sql, into);
    else
        gw_pg_add_table(&sql, c);
    for (size_t i = 0; i < c->column_count; i++)
        if (target->columns[i].written) {
            gw_buf_adds(&sql, any ? ", " : " (");
            gw_pg_add_ident(&sql, c->columns[i].name);
            any = true;
        }
    gw_buf_addf(&sql, ") FROM STDIN (FORMAT %s)", binary ? "binary" : "text");
    if (!gw_pg_query(w->store, w->conn, gw_buf_text(&sql), 0, NULL, &r, err))
        return false;
    bool ready = PQresultStatus(r) == PGRES_COPY_IN;
    PQclear(r);
    return ready || gw_fail(err, GW_ERR_BUG, "COPY into %s did not begin", gw_collection_label(c));
}

static bool finish(struct gw_pg_writer *w, uint64_t *touched, struct gw_error *err)
{
    PGresult *r, *more;
    if (PQputCopyEnd(w->conn, NULL) < 0)
        return gw_pg_fail(w->store, w->conn, NULL, "copying rows in", err);
    for (;;) {
        bool ready;
        int unsent = PQflush(w->conn);
        if (unsent == 0 && !PQisBusy(w->conn))
            break;
        if (unsent < 0)
            return gw_pg_fail(w->store, w->conn, NULL, "copying rows in", err);
        if (!gw_pg_wait(w->store, w->conn, unsent > 0, -1, &ready, err))
            return false;
        if (!PQconsumeInput(w->conn))
            return gw_pg_fail(w->store, w->conn, NULL, "copying rows in", err);
    }
    r = PQgetResult(w->conn);
    while ((more = PQgetResult(w->conn)) != NULL)
        PQclear(more);
    w->in_copy = false;
    bool fine = PQresultStatus(r) == PGRES_COMMAND_OK;
    if (fine)
        *touched += strtoull(PQcmdTuples(r), NULL, 10);
    else
        gw_pg_fail(w->store, w->conn, r, "copying rows in", err);
    PQclear(r);
    return fine;
}

bool gw_pg_apply_copy(struct gw_pg_writer *w, const struct gw_collection *c, const struct gw_pg_target *target,
                      const char *into, const struct gw_row *rows, size_t count, bool binary, uint64_t *touched,
                      struct gw_error *err)
{
    if (!begin(w, c, target, into, binary, err))
        return false;
    w->in_copy = true; /* until its end: a session that is left here is of no use */
    bool fine = PQsetnonblocking(w->conn, 1) == 0 && put_rows(w, target, rows, count, binary, err);
    if (!fine) {
        w->failed = true;
        return false;
    }
    fine = finish(w, touched, err);
    return PQsetnonblocking(w->conn, 0) == 0 && fine;
}
