/* A way through the log: events one after the other, and where each begins. */
#include "store/mysql/changes_stream.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define FILE_BEGINS 4 /* behind the magic */

static bool learn_charsets(struct gw_mysql_source *source, struct gw_error *err)
{
    const char *question;
    struct gw_mysql_conn *conn;
    if (!gw_binlog_ask_charset(source->decoder, &question))
        return true;
    if (!gw_mysql_borrow(source->store, &conn, err))
        return false;
    bool fine = true;
    do {
        gw_autobuf struct gw_buf answer = {0};
        fine = gw_mysql_query_text(conn, question, &answer, NULL, err) &&
               gw_binlog_answer_charset(source->decoder, gw_buf_text(&answer), answer.len, err);
    } while (fine && gw_binlog_ask_charset(source->decoder, &question));
    gw_mysql_return(conn, !fine);
    return fine;
}

bool gw_mysql_source_open(struct gw_mysql_source *source, struct gw_mysql_store *store, const struct gw_schema *schema,
                          const char *what, const char *file, uint64_t pos, const char *lock, struct gw_error *err)
{
    *source = (struct gw_mysql_source){.store = store, .pos = pos};
    snprintf(source->file, sizeof source->file, "%s", file);
    source->decoder = gw_binlog_new(schema, store->database);
    if (pos > UINT32_MAX) { /* the command has room for 32 bits */
        source->from = pos;
        pos = source->pos = FILE_BEGINS;
    }
    return learn_charsets(source, err) && gw_binlog_dump_open(store, what, source->file, pos, lock, &source->dump, err);
}

void gw_mysql_source_close(struct gw_mysql_source *source)
{
    gw_binlog_dump_close(source->dump);
    gw_binlog_free(source->decoder);
    *source = (struct gw_mysql_source){0};
}

bool gw_mysql_source_reopen(struct gw_mysql_source *source, const char *what, const char *lock, struct gw_error *err)
{
    gw_binlog_dump_close(source->dump);
    source->dump = NULL;
    uint64_t pos = source->pos;
    source->from = pos > UINT32_MAX ? pos : 0;
    if (source->from)
        pos = source->pos = FILE_BEGINS;
    return gw_binlog_dump_open(source->store, what, source->file, pos, lock, &source->dump, err);
}

bool gw_mysql_source_shed(struct gw_mysql_source *source, const char *what, const char *lock, struct gw_error *err)
{
    return !source->dump->swollen || gw_mysql_source_reopen(source, what, lock, err);
}

/* 32 bits of an offset that has more: the first one that is not before where we are. */
static uint64_t widen(uint64_t near, uint32_t low)
{
    uint64_t wide = (near & ~(uint64_t)UINT32_MAX) | low;
    return wide < near ? wide + (UINT64_C(1) << 32) : wide;
}

static bool follow_rotation(struct gw_mysql_source *source, const struct gw_binlog_event *e, struct gw_error *err)
{
    struct gw_binlog_place place;
    if (!gw_binlog_rotate(e, &place, err))
        return false;
    if (strcmp(source->file, place.file) != 0) {
        source->made = 0;
        source->from = 0;
        memcpy(source->file, place.file, sizeof source->file);
        source->pos = place.pos;
    }
    return true;
}

bool gw_mysql_source_next(struct gw_mysql_source *source, int64_t deadline_us, struct gw_binlog_event *e,
                          uint64_t *start, bool *got, struct gw_error *err)
{
    const unsigned char *bytes;
    size_t len;
    do {
        *got = false;
        if (!gw_binlog_dump_next(source->dump, deadline_us, &bytes, &len, err))
            return false;
        if (len == 0)
            return true;
        if (!gw_binlog_event(source->decoder, bytes, len, e, err))
            return gw_error_place(err, "%s %s", gw_side_name(source->store->base.side), source->file);
        *got = true;
        *start = source->pos;
        if (e->type == GW_BINLOG_ROTATE && !follow_rotation(source, e, err))
            return false;
        if (e->type == GW_BINLOG_FORMAT_DESCRIPTION)
            source->made = e->timestamp;
        bool in_file = e->log_pos != 0 && e->type != GW_BINLOG_ROTATE && e->type != GW_BINLOG_HEARTBEAT &&
                       e->type != GW_BINLOG_HEARTBEAT_V2 && !(e->flags & GW_BINLOG_ARTIFICIAL);
        if (in_file) {
            uint64_t end = widen(source->pos, e->log_pos);
            if (end < source->pos + e->length)
                return gw_fail(err, GW_ERR_CONFLICT, "an event of the binlog ends at %llu, before where it begins",
                               (unsigned long long)end);
            *start = end - e->length;
            source->pos = end;
        }
    } while (source->pos < source->from && e->log_pos != 0);
    return true;
}
