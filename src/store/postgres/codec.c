/* The codec facet: a collection's rows come apart into canonical values and are put together again. */
#include "store/postgres/codec.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SIGNATURE "PGCOPY\n\377\r\n"
#define SIGNATURE_BYTES 11
#define HEADER_BYTES 19
#define FLAG_OIDS (1u << 16)
#define KEEP_BYTES ((size_t)1 << 20)

enum stage { AT_BEGINNING, IN_BINARY, IN_TEXT };

struct pg_codec {
    const struct gw_collection *collection;
    struct gw_pg_coding *columns; /* generated ones have a coding, too */
    size_t count, written;        /* columns, and those that are on the wire */
    bool binary;                  /* what we write: rows and blocks */

    enum stage stage;
    const char *at, *end;  /* what is left of the block fed last, or of pending */
    struct gw_buf pending; /* a row that a block ended in */
    struct gw_arena arena; /* of the row given out last */
    struct gw_buf value;   /* scratch */
    struct gw_arena scratch;
};

static struct pg_codec *codec_of(struct gw_codec *codec)
{
    return (struct pg_codec *)codec;
}

/* ---- open and close ------------------------------------------------------------------------------------------------- */

static void codec_close(struct gw_codec *base)
{
    struct pg_codec *c = codec_of(base);
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++)
        gw_pg_coding_release(&c->columns[i]);
    free(c->columns);
    gw_buf_release(&c->pending);
    gw_buf_release(&c->value);
    gw_arena_release(&c->arena);
    gw_arena_release(&c->scratch);
    free(c);
}

/* The server is asked only for what is not built in: a codec of plain tables can be had without it. */
static bool load_types(struct gw_pg_store *store, const struct gw_collection *collection, struct gw_pg_types **out,
                       struct gw_error *err)
{
    gw_autobuf struct gw_buf oids = {0};
    PGconn *conn;
    for (size_t i = 0; i < collection->column_count; i++)
        if (!gw_pg_type_is_known(collection->columns[i].type_id))
            gw_buf_addf(&oids, "%c%u", oids.len ? ',' : '{', collection->columns[i].type_id);
    if (oids.len == 0)
        return true;
    gw_buf_addc(&oids, '}');
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_types_load(store, conn, gw_buf_text(&oids), out, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

static bool codec_open(struct gw_store *base, const struct gw_collection *collection, struct gw_codec **out,
                       struct gw_error *err)
{
    struct gw_pg_types *types = NULL;
    if (!load_types(gw_pg_store_of(base), collection, &types, err))
        return gw_error_place(err, "%s %s", gw_side_name(base->side), base->identity.address);
    struct pg_codec *c = gw_zalloc(sizeof *c);
    c->collection = collection;
    c->count = collection->column_count;
    c->columns = gw_calloc(c->count + 1, sizeof *c->columns);
    c->binary = collection->all_binary_safe;
    for (size_t i = 0; i < c->count; i++) {
        const struct gw_column *column = &collection->columns[i];
        gw_pg_coding_make(&c->columns[i], types, column->type_id, column->type);
        for (struct gw_pg_coding *coding = &c->columns[i]; coding; coding = coding->element)
            coding->column = column->name;
        if (!column->generated) {
            c->written++;
            c->binary = c->binary && c->columns[i].writes_binary;
        }
    }
    gw_pg_types_free(types);
    *out = (struct gw_codec *)c;
    return true;
}

static bool place(const struct pg_codec *c, struct gw_error *err)
{
    return gw_error_place(err, "%s", gw_collection_label(c->collection));
}

/* ---- blocks in ------------------------------------------------------------------------------------------------------ */

static void codec_restart(struct gw_codec *base)
{
    struct pg_codec *c = codec_of(base);
    c->stage = AT_BEGINNING;
    c->at = c->end = NULL;
    gw_buf_shrink(&c->pending, KEEP_BYTES);
}

static bool codec_feed(struct gw_codec *base, const struct gw_block *block, struct gw_error *err)
{
    struct pg_codec *c = codec_of(base);
    if (c->at != c->end) {
        gw_fail(err, GW_ERR_BUG, "a block is fed before all rows of the one before were taken");
        return place(c, err);
    }
    if (c->pending.len == 0) {
        c->at = block->bytes;
        c->end = c->at + block->len;
        return true;
    }
    gw_buf_add(&c->pending, block->bytes, block->len);
    c->at = c->pending.data;
    c->end = c->at + c->pending.len;
    return true;
}

/* What is left is the beginning of a row: it waits for the next block. Pending itself may be what is left. */
static void keep_rest(struct pg_codec *c, const char *from)
{
    size_t left = (size_t)(c->end - from);
    bool in_pending = c->pending.len > 0 && from >= c->pending.data && from <= c->pending.data + c->pending.len;
    if (in_pending) {
        if (from > c->pending.data)
            memmove(c->pending.data, from, left);
        c->pending.len = left;
        if (left == 0)
            gw_buf_shrink(&c->pending, KEEP_BYTES);
    } else {
        gw_buf_add(&c->pending, from, left);
    }
    c->at = c->end = NULL;
}

/* *known false: more bytes are needed. */
static bool begin(struct pg_codec *c, bool *known, struct gw_error *err)
{
    size_t left = (size_t)(c->end - c->at), compared = left < SIGNATURE_BYTES ? left : SIGNATURE_BYTES;
    *known = true;
    if (memcmp(c->at, SIGNATURE, compared) != 0) {
        c->stage = IN_TEXT;
        return true;
    }
    uint32_t extension = left < HEADER_BYTES ? 0 : gw_get32(c->at + SIGNATURE_BYTES + 4);
    if (left < HEADER_BYTES || left - HEADER_BYTES < extension) {
        *known = false;
        return true;
    }
    if (gw_get32(c->at + SIGNATURE_BYTES) & FLAG_OIDS)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "rows with OIDs");
    c->at += HEADER_BYTES + extension;
    c->stage = IN_BINARY;
    return true;
}

/* ---- the plainest values -------------------------------------------------------------------------------------------- */

/* A row is mostly made of these: they are read and written here, without a call, if nothing about them is unusual. */

static inline bool take_plain(const struct gw_pg_coding *coding, const char *at, uint32_t len, struct gw_datum *out)
{
    out->kind = coding->type.kind;
    out->len = 0;
    switch (coding->code) {
    case GW_PG_CODE_INT:
        if (len != coding->width || len < 4)
            return false;
        out->i64 = len == 8 ? (int64_t)gw_get64(at) : (int32_t)gw_get32(at);
        return true;
    case GW_PG_CODE_TIMESTAMP:
    case GW_PG_CODE_FLOAT8:
        if (len != 8)
            return false;
        out->u64 = gw_get64(at);
        return coding->code == GW_PG_CODE_FLOAT8 || out->i64 != INT64_MIN;
    case GW_PG_CODE_BOOL:
        if (len != 1)
            return false;
        out->boolean = *at != 0;
        return true;
    case GW_PG_CODE_TEXT:
        out->len = len;
        out->bytes = (const unsigned char *)at;
        return !coding->type.fixed;
    default:
        return false;
    }
}

static inline char *store32(char *at, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static inline char *store64(char *at, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

#define PLAIN_BYTES 12 /* a length and 8 bytes */
#define PLAIN_LEAST_US INT64_C(-211813488000000000)
#define PLAIN_MOST_US INT64_C(9223371331199999999)

static inline bool pack_plain(const struct gw_pg_coding *coding, const struct gw_datum *datum, struct gw_buf *out)
{
    if (datum->kind != coding->type.kind)
        return false;
    if (out->capacity - out->len <= PLAIN_BYTES)
        gw_buf_reserve(out, PLAIN_BYTES);
    char *at = out->data + out->len;
    switch (coding->code) {
    case GW_PG_CODE_INT:
        if (coding->width == 8)
            at = store64(store32(at, 8), datum->u64);
        else if (coding->width == 4 && datum->i64 == (int32_t)datum->i64)
            at = store32(store32(at, 4), (uint32_t)datum->i64);
        else
            return false;
        break;
    case GW_PG_CODE_TIMESTAMP:
        if (datum->len || coding->type.scale != 6 || datum->i64 < PLAIN_LEAST_US || datum->i64 > PLAIN_MOST_US)
            return false;
        at = store64(store32(at, 8), datum->u64);
        break;
    case GW_PG_CODE_FLOAT8:
        at = store64(store32(at, 8), datum->u64);
        break;
    case GW_PG_CODE_BOOL:
        at = store32(at, 1);
        *at++ = datum->boolean ? 1 : 0;
        break;
    default:
        return false;
    }
    out->len = (size_t)(at - out->data);
    *at = 0;
    return true;
}

/* ---- rows of the binary form ---------------------------------------------------------------------------------------- */

/* Is all of the row there? */
static bool whole_tuple(const struct pg_codec *c)
{
    const char *at = c->at + 2;
    for (size_t i = 0; i < c->written; i++) {
        if (c->end - at < 4)
            return false;
        uint32_t len = gw_get32(at);
        at += 4;
        if (len == UINT32_MAX)
            continue;
        if ((size_t)(c->end - at) < len)
            return false;
        at += len;
    }
    return true;
}

static bool take_tuple(struct pg_codec *c, struct gw_datum *out, struct gw_error *err)
{
    const char *at = c->at + 2;
    for (size_t i = 0; i < c->count; i++) {
        if (c->collection->columns[i].generated) {
            out[i] = gw_datum_null();
            continue;
        }
        uint32_t len = gw_get32(at);
        at += 4;
        if (len == UINT32_MAX) {
            out[i] = (struct gw_datum){.kind = GW_KIND_NULL};
            continue;
        }
        if (!take_plain(&c->columns[i], at, len, &out[i]) &&
            !gw_pg_read_binary(&c->columns[i], (const unsigned char *)at, len, &c->arena, &out[i], err))
            return false;
        at += len;
    }
    c->at = at;
    return true;
}

static bool binary_row(struct pg_codec *c, struct gw_datum *out, bool *got, struct gw_error *err)
{
    if (c->end - c->at < 2) {
        keep_rest(c, c->at);
        return true;
    }
    uint16_t count = gw_get16(c->at);
    if (count == UINT16_MAX) { /* the end of the chunk */
        c->at += 2;
        c->stage = AT_BEGINNING;
        if (c->at != c->end)
            return gw_fail(err, GW_ERR_CONFLICT, "bytes behind the end of a chunk");
        keep_rest(c, c->at);
        return true;
    }
    if (count != c->written)
        return gw_fail(err, GW_ERR_CONFLICT, "a row of %u columns where %zu were due", count, c->written);
    if (!whole_tuple(c)) {
        keep_rest(c, c->at);
        return true;
    }
    *got = true;
    return take_tuple(c, out, err);
}

/* ---- rows of the text form ------------------------------------------------------------------------------------------ */

static char unescaped(char c)
{
    static const char names[] = "bfnrtv", codes[] = "\b\f\n\r\t\v";
    const char *found = c ? strchr(names, c) : NULL;
    return found ? codes[found - names] : c;
}

/* A field without what the form escapes; borrowed from the block where nothing was. */
static const char *unescape(struct pg_codec *c, const char *from, size_t len, size_t *out_len)
{
    const char *slash = memchr(from, '\\', len), *end = from + len;
    *out_len = len;
    if (!slash)
        return from;
    char *text = gw_arena_alloc(&c->arena, len), *to = text;
    for (const char *at = from; at < end;) {
        size_t plain = (size_t)((slash ? slash : end) - at);
        memcpy(to, at, plain);
        to += plain;
        at += plain;
        if (at + 1 >= end)
            break;
        *to++ = unescaped(at[1]);
        at += 2;
        slash = memchr(at, '\\', (size_t)(end - at));
    }
    *out_len = (size_t)(to - text);
    return text;
}

static bool take_field(struct pg_codec *c, size_t column, const char *from, size_t len, struct gw_datum *out,
                       struct gw_error *err)
{
    if (len == 2 && from[0] == '\\' && from[1] == 'N') {
        *out = gw_datum_null();
        return true;
    }
    size_t plain;
    const char *text = unescape(c, from, len, &plain);
    return gw_pg_read_text(&c->columns[column], text, (uint32_t)plain, &c->arena, out, err);
}

static bool text_row(struct pg_codec *c, struct gw_datum *out, bool *got, struct gw_error *err)
{
    const char *line_end = memchr(c->at, '\n', (size_t)(c->end - c->at));
    if (!line_end) {
        keep_rest(c, c->at);
        return true;
    }
    const char *at = c->at;
    size_t seen = 0;
    for (size_t i = 0; i < c->count; i++) {
        out[i] = gw_datum_null();
        if (c->collection->columns[i].generated)
            continue;
        if (at > line_end)
            break;
        const char *tab = memchr(at, '\t', (size_t)(line_end - at)), *stop = tab ? tab : line_end;
        if (!take_field(c, i, at, (size_t)(stop - at), &out[i], err))
            return false;
        at = stop + 1;
        seen++;
    }
    if (seen != c->written || (c->written && at != line_end + 1))
        return gw_fail(err, GW_ERR_CONFLICT, "a row of another number of columns than %zu", c->written);
    c->at = line_end + 1;
    *got = true;
    return true;
}

static bool codec_row(struct gw_codec *base, struct gw_datum *out, bool *got, struct gw_error *err)
{
    struct pg_codec *c = codec_of(base);
    bool known = true;
    *got = false;
    if (c->arena.used_bytes)
        gw_arena_reset(&c->arena);
    if (c->at == c->end) {
        if (c->pending.len && c->at)
            keep_rest(c, c->at);
        return true;
    }
    if (c->stage == AT_BEGINNING && !begin(c, &known, err))
        return place(c, err);
    if (!known) {
        keep_rest(c, c->at);
        return true;
    }
    if (c->at == c->end) {
        keep_rest(c, c->at);
        return true;
    }
    bool fine = c->stage == IN_BINARY ? binary_row(c, out, got, err) : text_row(c, out, got, err);
    return fine || place(c, err);
}

/* ---- single rows ---------------------------------------------------------------------------------------------------- */

static bool decode_value(const struct gw_pg_coding *coding, const struct gw_value *value, struct gw_arena *arena,
                         struct gw_datum *out, struct gw_error *err)
{
    switch (value->kind) {
    case GW_VALUE_NULL:
        *out = gw_datum_null();
        return true;
    case GW_VALUE_UNCHANGED:
        *out = (struct gw_datum){.kind = GW_KIND_UNCHANGED};
        return true;
    case GW_VALUE_ABSENT:
        *out = (struct gw_datum){.kind = GW_KIND_ABSENT};
        return true;
    case GW_VALUE_TEXT:
        return gw_pg_read_text(coding, (const char *)value->bytes, value->len, arena, out, err);
    case GW_VALUE_BINARY:
        return gw_pg_read_binary(coding, value->bytes, value->len, arena, out, err);
    }
    return gw_fail(err, GW_ERR_BUG, "a value of an unknown kind");
}

static bool codec_decode(struct gw_codec *base, const struct gw_row *row, struct gw_arena *arena, struct gw_datum *out,
                         struct gw_error *err)
{
    struct pg_codec *c = codec_of(base);
    if (row->count != c->count) {
        gw_fail(err, GW_ERR_BUG, "a row of %u columns, not %zu", row->count, c->count);
        return place(c, err);
    }
    for (size_t i = 0; i < c->count; i++)
        if (!decode_value(&c->columns[i], &row->values[i], arena, &out[i], err))
            return place(c, err);
    return true;
}

static bool encode_value(struct pg_codec *c, const struct gw_pg_coding *coding, const struct gw_datum *datum,
                         struct gw_arena *arena, struct gw_value *out, struct gw_error *err)
{
    struct gw_datum fitting;
    gw_buf_clear(&c->value);
    if (!gw_pg_check_datum(coding, datum, arena, &fitting, err))
        return false;
    bool fine = c->binary ? gw_pg_write_binary(coding, &fitting, &c->value, err)
                          : gw_pg_write_text(coding, &fitting, &c->value, err);
    if (!fine)
        return false;
    if (c->value.len > UINT32_MAX)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "column %s: a value of more than 4 GiB", coding->column);
    /* Of a large value there is no copy where it is the same in both. */
    bool same = c->value.len > KEEP_BYTES && gw_kind_has_bytes(fitting.kind) && fitting.len == c->value.len &&
                memcmp(fitting.bytes, c->value.data, fitting.len) == 0;
    *out = (struct gw_value){.kind = c->binary ? GW_VALUE_BINARY : GW_VALUE_TEXT,
                             .len = (uint32_t)c->value.len,
                             .bytes = same ? fitting.bytes : gw_arena_dup(arena, c->value.data, c->value.len)};
    gw_buf_shrink(&c->value, KEEP_BYTES);
    return true;
}

static bool codec_encode(struct gw_codec *base, const struct gw_datum *row, struct gw_arena *arena, struct gw_row *out,
                         struct gw_error *err)
{
    struct pg_codec *c = codec_of(base);
    struct gw_value *values = gw_arena_zalloc(arena, c->count * sizeof *values);
    for (size_t i = 0; i < c->count; i++) {
        if (row[i].kind == GW_KIND_UNCHANGED)
            values[i].kind = GW_VALUE_UNCHANGED;
        else if (row[i].kind == GW_KIND_ABSENT || c->collection->columns[i].generated)
            values[i].kind = GW_VALUE_ABSENT;
        else if (row[i].kind != GW_KIND_NULL && !encode_value(c, &c->columns[i], &row[i], arena, &values[i], err))
            return place(c, err);
    }
    *out = (struct gw_row){.count = (uint32_t)c->count, .values = values};
    return true;
}

/* ---- as SQL -------------------------------------------------------------------------------------------------------- */

static bool codec_write_sql(struct gw_codec *base, size_t column, const struct gw_datum *datum, struct gw_buf *out,
                            struct gw_error *err)
{
    struct pg_codec *c = codec_of(base);
    const struct gw_pg_coding *coding = &c->columns[column];
    struct gw_datum fitting;
    gw_autobuf struct gw_buf text = {0};
    if (datum->kind == GW_KIND_NULL) {
        gw_buf_adds(out, "NULL");
        return true;
    }
    gw_arena_reset(&c->scratch);
    if (!gw_pg_check_datum(coding, datum, &c->scratch, &fitting, err) ||
        !gw_pg_write_text(coding, &fitting, &text, err))
        return place(c, err);
    gw_pg_add_literal(out, gw_buf_text(&text));
    return true;
}

/* By its text: types without "=" have one, and what "=" takes for the same (1.0 and 1.00) does not. */
static bool codec_write_same(struct gw_codec *base, size_t column, const struct gw_datum *datum, struct gw_buf *out,
                             struct gw_error *err)
{
    struct pg_codec *c = codec_of(base);
    const struct gw_column *of = &c->collection->columns[column];
    bool key = of->key_position > 0; /* by its index; the rest sees to it that nothing else is like it */
    gw_pg_add_ident(out, of->name);
    if (datum->kind == GW_KIND_NULL) {
        gw_buf_adds(out, " IS NULL");
        return true;
    }
    gw_buf_adds(out, key ? " = " : "::text = (");
    if (!codec_write_sql(base, column, datum, out, err))
        return false;
    if (!key)
        gw_buf_addf(out, "::%s)::text", of->type);
    return true;
}

/* ---- blocks out ----------------------------------------------------------------------------------------------------- */

static void codec_pack_first(struct gw_codec *base, struct gw_buf *out)
{
    if (!codec_of(base)->binary)
        return;
    gw_buf_add(out, SIGNATURE, SIGNATURE_BYTES);
    gw_buf_put32(out, 0); /* flags */
    gw_buf_put32(out, 0); /* no extension */
}

static void codec_pack_last(struct gw_codec *base, struct gw_buf *out)
{
    if (codec_of(base)->binary)
        gw_buf_put16(out, UINT16_MAX);
}

static bool pack_binary(struct pg_codec *c, const struct gw_pg_coding *coding, const struct gw_datum *datum,
                        struct gw_buf *out, struct gw_error *err)
{
    struct gw_datum fitting;
    size_t at = out->len;
    if (pack_plain(coding, datum, out))
        return true;
    gw_buf_put32(out, UINT32_MAX);
    if (datum->kind == GW_KIND_NULL)
        return true;
    if (!gw_pg_check_datum(coding, datum, &c->scratch, &fitting, err) ||
        !gw_pg_write_binary(coding, &fitting, out, err))
        return false;
    size_t len = out->len - at - 4;
    if (len > INT32_MAX)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "column %s: a value of %zu bytes", coding->column, len);
    uint32_t swapped = __builtin_bswap32((uint32_t)len);
    memcpy(out->data + at, &swapped, sizeof swapped);
    return true;
}

static void add_escaped(struct gw_buf *out, const char *bytes, size_t len)
{
    const char *from = bytes, *end = bytes + len;
    for (const char *at = bytes; at < end; at++) {
        char escape = *at == '\\' ? '\\' : *at == '\n' ? 'n' : *at == '\r' ? 'r' : *at == '\t' ? 't' : 0;
        if (!escape)
            continue;
        char pair[2] = {'\\', escape};
        gw_buf_add(out, from, (size_t)(at - from));
        gw_buf_add(out, pair, 2);
        from = at + 1;
    }
    gw_buf_add(out, from, (size_t)(end - from));
}

static bool pack_text(struct pg_codec *c, const struct gw_pg_coding *coding, const struct gw_datum *datum,
                      struct gw_buf *out, struct gw_error *err)
{
    struct gw_datum fitting;
    if (datum->kind == GW_KIND_NULL) {
        gw_buf_adds(out, "\\N");
        return true;
    }
    gw_buf_clear(&c->value);
    if (!gw_pg_check_datum(coding, datum, &c->scratch, &fitting, err) ||
        !gw_pg_write_text(coding, &fitting, &c->value, err))
        return false;
    add_escaped(out, c->value.data, c->value.len);
    gw_buf_shrink(&c->value, KEEP_BYTES);
    return true;
}

static bool pack_columns(struct pg_codec *c, const struct gw_datum *row, struct gw_buf *out, struct gw_error *err)
{
    bool first = true;
    if (c->binary)
        gw_buf_put16(out, (uint16_t)c->written);
    for (size_t i = 0; i < c->count; i++) {
        if (c->collection->columns[i].generated)
            continue;
        if (row[i].kind == GW_KIND_UNCHANGED || row[i].kind == GW_KIND_ABSENT)
            return gw_fail(err, GW_ERR_BUG, "column %s is missing in a row to be loaded",
                           c->collection->columns[i].name);
        if (!c->binary && !first)
            gw_buf_addc(out, '\t');
        first = false;
        if (c->binary ? !pack_binary(c, &c->columns[i], &row[i], out, err)
                      : !pack_text(c, &c->columns[i], &row[i], out, err))
            return false;
    }
    if (!c->binary)
        gw_buf_addc(out, '\n');
    return true;
}

static bool codec_pack(struct gw_codec *base, const struct gw_datum *row, struct gw_buf *out, struct gw_error *err)
{
    struct pg_codec *c = codec_of(base);
    size_t before = out->len;
    if (c->scratch.used_bytes)
        gw_arena_reset(&c->scratch);
    if (pack_columns(c, row, out, err))
        return true;
    out->len = before; /* the row is not in the block: whoever sets it aside goes on */
    if (out->data)
        out->data[before] = 0;
    return place(c, err);
}

const struct gw_codec_facet gw_pg_codec = {
    .type_for = gw_pg_type_for,
    .open = codec_open,
    .close = codec_close,
    .feed = codec_feed,
    .row = codec_row,
    .restart = codec_restart,
    .decode = codec_decode,
    .encode = codec_encode,
    .write_sql = codec_write_sql,
    .write_same = codec_write_same,
    .pack_first = codec_pack_first,
    .pack = codec_pack,
    .pack_last = codec_pack_last,
};
