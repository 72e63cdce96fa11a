#include "model/change.h"

/*
 * The encoding: kind (1 byte), which fields follow (1 byte), then those fields in the order of the flags. Fields that
 * are zero or empty are left out.
 *
 *   collection u32 | transaction u64 | position: order u64, text length u8, text | commit time u64 | old row | row |
 *   text: length u32 with its NUL, bytes, NUL
 *
 * Rows as in value.h. Integers are big-endian.
 */
enum {
    HAS_COLLECTION = 1,
    HAS_TRANSACTION = 2,
    HAS_POSITION = 4,
    HAS_TIME = 8,
    IS_OURS = 16,
    HAS_OLD = 32,
    HAS_ROW = 64,
    HAS_TEXT = 128,
};

/* Where pieces gather that are too small to be handed out one by one. */
#define STAGE_BYTES ((size_t)4096)

struct put {
    unsigned char *begin, *at, *end;
    gw_change_piece *each; /* NULL: begin..end has room for all */
    void *arg;
    bool failed;
};

static void put_slow(struct put *put, const void *bytes, size_t len)
{
    if (put->failed || !put->each) {
        put->failed = true;
        return;
    }
    if (put->at > put->begin && !put->each(put->arg, put->begin, (size_t)(put->at - put->begin)))
        put->failed = true;
    put->at = put->begin;
    if (put->failed || len == 0)
        return;
    if (len >= STAGE_BYTES) {
        put->failed = !put->each(put->arg, bytes, len);
        return;
    }
    memcpy(put->at, bytes, len);
    put->at += len;
}

static inline void put_bytes(struct put *put, const void *bytes, size_t len)
{
    if (len > (size_t)(put->end - put->at)) {
        put_slow(put, bytes, len);
        return;
    }
    if (len)
        memcpy(put->at, bytes, len);
    put->at += len;
}

static inline void put8(struct put *put, unsigned v)
{
    unsigned char byte = (unsigned char)v;
    put_bytes(put, &byte, 1);
}

static inline void put32(struct put *put, uint32_t v)
{
    gw_put32(&v, v);
    put_bytes(put, &v, sizeof v);
}

static inline void put64(struct put *put, uint64_t v)
{
    gw_put64(&v, v);
    put_bytes(put, &v, sizeof v);
}

static inline bool has_bytes(const struct gw_value *value)
{
    return value->kind == GW_VALUE_TEXT || value->kind == GW_VALUE_BINARY;
}

static void put_row(struct put *put, const struct gw_row *row)
{
    put32(put, row->count);
    for (uint32_t i = 0; i < row->count; i++) {
        const struct gw_value *value = &row->values[i];
        put8(put, (unsigned)value->kind);
        if (!has_bytes(value))
            continue;
        put32(put, value->len);
        put_bytes(put, value->bytes, value->len);
    }
}

static size_t row_size(const struct gw_row *row)
{
    size_t size = sizeof(uint32_t) + row->count;
    for (uint32_t i = 0; i < row->count; i++)
        if (has_bytes(&row->values[i]))
            size += sizeof(uint32_t) + row->values[i].len;
    return size;
}

static unsigned flags_of(const struct gw_change *change)
{
    unsigned flags = 0;
    if (change->collection)
        flags |= HAS_COLLECTION;
    if (change->transaction)
        flags |= HAS_TRANSACTION;
    if (change->position.order || change->position.text[0])
        flags |= HAS_POSITION;
    if (change->commit_wall_us)
        flags |= HAS_TIME;
    if (change->ours || change->carries_plan)
        flags |= IS_OURS;
    if (change->old.count)
        flags |= HAS_OLD;
    if (change->row.count)
        flags |= HAS_ROW;
    if (change->text)
        flags |= HAS_TEXT;
    return flags;
}

static size_t position_len(const struct gw_position *position)
{
    return strnlen(position->text, GW_POSITION_TEXT_MAX - 1);
}

size_t gw_change_encoded_size(const struct gw_change *change)
{
    unsigned flags = flags_of(change);
    size_t size = 2;
    if (flags & HAS_COLLECTION)
        size += sizeof(uint32_t);
    if (flags & HAS_TRANSACTION)
        size += sizeof(uint64_t);
    if (flags & HAS_POSITION)
        size += sizeof(uint64_t) + 1 + position_len(&change->position);
    if (flags & HAS_TIME)
        size += sizeof(uint64_t);
    if (flags & HAS_OLD)
        size += row_size(&change->old);
    if (flags & HAS_ROW)
        size += row_size(&change->row);
    if (flags & HAS_TEXT)
        size += sizeof(uint32_t) + strlen(change->text) + 1;
    return size;
}

static void put_change(struct put *put, const struct gw_change *change)
{
    unsigned flags = flags_of(change);
    put8(put, (unsigned)change->kind);
    put8(put, flags);
    if (flags & HAS_COLLECTION)
        put32(put, change->collection);
    if (flags & HAS_TRANSACTION)
        put64(put, change->transaction);
    if (flags & HAS_POSITION) {
        size_t len = position_len(&change->position);
        put64(put, change->position.order);
        put8(put, (unsigned)len);
        put_bytes(put, change->position.text, len);
    }
    if (flags & HAS_TIME)
        put64(put, (uint64_t)change->commit_wall_us);
    if (flags & HAS_OLD)
        put_row(put, &change->old);
    if (flags & HAS_ROW)
        put_row(put, &change->row);
    if (flags & HAS_TEXT) {
        size_t len = strlen(change->text) + 1;
        put32(put, (uint32_t)len);
        put_bytes(put, change->text, len);
    }
}

void gw_change_encode_into(unsigned char *bytes, size_t len, const struct gw_change *change)
{
    struct put put = {.begin = bytes, .at = bytes, .end = bytes + len};
    put_change(&put, change);
}

void gw_change_encode(struct gw_buf *out, const struct gw_change *change)
{
    size_t size = gw_change_encoded_size(change);
    gw_buf_reserve(out, size);
    gw_change_encode_into((unsigned char *)out->data + out->len, size, change);
    out->len += size;
    out->data[out->len] = 0;
}

bool gw_change_encode_pieces(const struct gw_change *change, gw_change_piece *each, void *arg)
{
    unsigned char stage[STAGE_BYTES];
    struct put put = {.begin = stage, .at = stage, .end = stage + sizeof stage, .each = each, .arg = arg};
    put_change(&put, change);
    put_slow(&put, NULL, 0);
    return !put.failed;
}

static void decode_position(struct gw_cursor *in, struct gw_position *position)
{
    position->order = gw_cursor_u64(in);
    size_t len = gw_cursor_u8(in);
    const unsigned char *text = gw_cursor_bytes(in, len);
    if (!text || len >= GW_POSITION_TEXT_MAX || memchr(text, 0, len) != NULL) {
        in->bad = 1;
        return;
    }
    memcpy(position->text, text, len);
}

static const char *decode_text(struct gw_cursor *in)
{
    size_t len = gw_cursor_u32(in);
    const unsigned char *text = gw_cursor_bytes(in, len);
    if (!text || len == 0 || memchr(text, 0, len) != text + len - 1) {
        in->bad = 1;
        return NULL;
    }
    return (const char *)text;
}

bool gw_change_decode(struct gw_cursor *in, struct gw_arena *arena, struct gw_change *out, struct gw_error *err)
{
    size_t size = gw_cursor_left(in);
    struct gw_change change = {.kind = (enum gw_change_kind)gw_cursor_u8(in)};
    unsigned flags = gw_cursor_u8(in);
    if (!in->bad && (change.kind < GW_CHANGE_BEGIN || change.kind > GW_CHANGE_SIGNAL))
        return gw_fail(err, GW_ERR_CONFLICT, "a stored change has the unknown kind %d", (int)change.kind);
    if (flags & HAS_COLLECTION)
        change.collection = gw_cursor_u32(in);
    if (flags & HAS_TRANSACTION)
        change.transaction = gw_cursor_u64(in);
    if (flags & HAS_POSITION)
        decode_position(in, &change.position);
    if (flags & HAS_TIME)
        change.commit_wall_us = (int64_t)gw_cursor_u64(in);
    change.ours = (flags & IS_OURS) != 0 && change.kind != GW_CHANGE_SCHEMA;
    change.carries_plan = (flags & IS_OURS) != 0 && change.kind == GW_CHANGE_SCHEMA;
    if (flags & HAS_OLD)
        change.old = gw_row_decode(in, arena);
    if (flags & HAS_ROW)
        change.row = gw_row_decode(in, arena);
    if (flags & HAS_TEXT)
        change.text = decode_text(in);
    if (in->bad)
        return gw_fail(err, GW_ERR_CONFLICT, "a stored change of %zu bytes is malformed", size);
    *out = change;
    return true;
}

const char *gw_change_kind_name(enum gw_change_kind kind)
{
    switch (kind) {
    case GW_CHANGE_BEGIN:
        return "begin";
    case GW_CHANGE_INSERT:
        return "insert";
    case GW_CHANGE_UPDATE:
        return "update";
    case GW_CHANGE_DELETE:
        return "delete";
    case GW_CHANGE_TRUNCATE:
        return "truncate";
    case GW_CHANGE_COMMIT:
        return "commit";
    case GW_CHANGE_PROGRESS:
        return "progress";
    case GW_CHANGE_SCHEMA:
        return "schema";
    case GW_CHANGE_SIGNAL:
        return "signal";
    }
    return "unknown";
}
