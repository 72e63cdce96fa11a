#include "store/postgres/scan_copy.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static const char signature[11] = "PGCOPY\n\377\r\n";

#define FLAG_OIDS (1u << 16)
#define FLAGS_CRITICAL 0xffff0000u
#define MAX_ROW_BYTES (512u << 20) /* large values come hashed: a longer row is not one we asked for */

void gw_pg_copy_begin(struct gw_pg_copy *copy, uint16_t field_count)
{
    if (field_count > copy->field_count || !copy->fields)
        copy->fields = gw_realloc(copy->fields, ((size_t)field_count + 1) * sizeof *copy->fields);
    copy->field_count = field_count;
    copy->at = gw_cursor_of(NULL, 0);
    gw_buf_shrink(&copy->pending, 1 << 20);
    copy->in_pending = copy->header_read = copy->ended = false;
}

void gw_pg_copy_release(struct gw_pg_copy *copy)
{
    free(copy->fields);
    gw_buf_release(&copy->pending);
    *copy = (struct gw_pg_copy){0};
}

void gw_pg_copy_feed(struct gw_pg_copy *copy, const void *bytes, size_t len)
{
    copy->in_pending = copy->pending.len > 0;
    if (!copy->in_pending) {
        copy->at = gw_cursor_of(bytes, len);
        return;
    }
    gw_buf_add(&copy->pending, bytes, len);
    copy->at = gw_cursor_of(copy->pending.data, copy->pending.len);
}

/* Keeps the beginning of a row that has not come whole yet. */
static enum gw_pg_copy_step keep_rest(struct gw_pg_copy *copy, struct gw_error *err)
{
    size_t left = gw_cursor_left(&copy->at);
    if (left > MAX_ROW_BYTES) {
        gw_fail(err, GW_ERR_RESOURCE, "a row of more than %u bytes came from COPY", MAX_ROW_BYTES);
        return GW_PG_COPY_BAD;
    }
    if (copy->in_pending) {
        if (left)
            memmove(copy->pending.data, copy->at.at, left);
        copy->pending.len = left;
        copy->in_pending = false;
    } else if (left) { /* nothing is pending: else it would have been fed from there */
        gw_buf_add(&copy->pending, copy->at.at, left);
    }
    copy->at = gw_cursor_of(NULL, 0);
    return GW_PG_COPY_MORE;
}

static enum gw_pg_copy_step bad(struct gw_error *err, const char *what)
{
    gw_fail(err, GW_ERR_CONFLICT, "the server's COPY BINARY is not as documented: %s", what);
    return GW_PG_COPY_BAD;
}

static enum gw_pg_copy_step read_header(struct gw_pg_copy *copy, struct gw_error *err)
{
    struct gw_cursor in = copy->at;
    const unsigned char *magic = gw_cursor_bytes(&in, sizeof signature);
    uint32_t flags = gw_cursor_u32(&in);
    uint32_t extension = gw_cursor_u32(&in);
    if (!in.bad && (extension > 1u << 20))
        return bad(err, "header extension too long");
    gw_cursor_bytes(&in, extension);
    if (in.bad)
        return keep_rest(copy, err);
    if (memcmp(magic, signature, sizeof signature) != 0)
        return bad(err, "no signature");
    if (flags & FLAG_OIDS)
        return bad(err, "it carries OIDs");
    if (flags & FLAGS_CRITICAL)
        return bad(err, "unknown flags");
    copy->header_read = true;
    copy->at = in;
    return GW_PG_COPY_ROW;
}

static inline uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* By pointers, not by the cursor's calls: this runs for every value of both sides. */
static enum gw_pg_copy_step read_row(struct gw_pg_copy *copy, struct gw_error *err)
{
    const unsigned char *p = copy->at.at, *end = copy->at.end;
    if (end - p < 2)
        return keep_rest(copy, err);
    unsigned count = (unsigned)p[0] << 8 | p[1];
    p += 2;
    if (count == UINT16_MAX) {
        if (p != end)
            return bad(err, "bytes behind its trailer");
        copy->ended = true;
        copy->at.at = p;
        return GW_PG_COPY_END;
    }
    if (count != copy->field_count)
        return bad(err, "a row has another number of fields than was asked for");
    for (struct gw_pg_copy_field *field = copy->fields, *last = field + count; field < last; field++) {
        if (end - p < 4)
            return keep_rest(copy, err);
        uint32_t len = get32(p);
        p += 4;
        *field = (struct gw_pg_copy_field){0};
        if (len == UINT32_MAX)
            continue;
        if (len > (uint32_t)INT32_MAX)
            return bad(err, "a negative length");
        if ((size_t)(end - p) < len)
            return keep_rest(copy, err);
        *field = (struct gw_pg_copy_field){p, len};
        p += len;
    }
    copy->at.at = p;
    return GW_PG_COPY_ROW;
}

enum gw_pg_copy_step gw_pg_copy_next(struct gw_pg_copy *copy, struct gw_error *err)
{
    if (copy->ended)
        return gw_cursor_left(&copy->at) ? bad(err, "bytes behind its trailer") : GW_PG_COPY_END;
    if (!copy->header_read) {
        enum gw_pg_copy_step step = read_header(copy, err);
        if (step != GW_PG_COPY_ROW)
            return step;
    }
    return read_row(copy, err);
}
