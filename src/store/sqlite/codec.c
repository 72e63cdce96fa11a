/* Rows as canonical values, and back. */
#include "store/sqlite/codec.h"

#include "base/mem.h"
#include "store/sqlite/value.h"

#include <string.h>

struct gw_codec {
    const struct gw_collection *collection;
    struct gw_lite_form *forms;
    struct gw_cursor left; /* of the block that was fed: rows are whole in it, and it is not copied */
    struct gw_arena arena;
};

static bool codec_open(struct gw_store *base, const struct gw_collection *collection, struct gw_codec **out,
                       struct gw_error *err)
{
    (void)base;
    (void)err;
    struct gw_codec *codec = gw_zalloc(sizeof *codec);
    codec->collection = collection;
    codec->forms = gw_calloc(collection->column_count + 1, sizeof *codec->forms);
    for (size_t c = 0; c < collection->column_count; c++)
        gw_lite_form_of(collection->columns[c].type, &codec->forms[c]);
    *out = codec;
    return true;
}

static void codec_close(struct gw_codec *codec)
{
    if (!codec)
        return;
    for (size_t c = 0; c < codec->collection->column_count; c++)
        gw_type_release(&codec->forms[c].type);
    free(codec->forms);
    gw_arena_release(&codec->arena);
    free(codec);
}

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

static bool codec_feed(struct gw_codec *codec, const struct gw_block *block, struct gw_error *err)
{
    if (gw_cursor_left(&codec->left) > 0)
        return gw_fail(err, GW_ERR_BUG, "a block is fed before the last one is taken");
    codec->left = gw_cursor_of(block->bytes, block->len);
    return true;
}

static bool codec_row(struct gw_codec *codec, struct gw_datum *out, bool *got, struct gw_error *err)
{
    *got = gw_cursor_left(&codec->left) > 0;
    if (!*got)
        return true;
    struct gw_cursor in = codec->left;
    gw_arena_reset(&codec->arena);
    for (size_t c = 0; c < codec->collection->column_count; c++) {
        struct gw_lite_cell cell = gw_lite_unpack_cell(&in);
        if (in.bad)
            return gw_fail(err, GW_ERR_BUG, "a block of %s that is not made of rows",
                           gw_collection_label(codec->collection));
        out[c] = gw_lite_cell_to_datum(&codec->forms[c], &cell, &codec->arena);
    }
    codec->left = in;
    return true;
}

static void codec_restart(struct gw_codec *codec)
{
    codec->left = gw_cursor_of(NULL, 0);
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

static bool cell_of(const struct gw_value *value, struct gw_lite_cell *out)
{
    *out = (struct gw_lite_cell){.type = SQLITE_TEXT, .bytes = value->bytes, .len = value->len};
    if (value->kind == GW_VALUE_TEXT)
        return true;
    if (value->len == 0)
        return false;
    out->bytes++;
    out->len--;
    if (value->bytes[0] == GW_LITE_CLASS_BLOB) {
        out->type = SQLITE_BLOB;
        return true;
    }
    if (value->len != 9)
        return false;
    uint64_t bits = gw_get64(value->bytes + 1);
    out->type = value->bytes[0] == GW_LITE_CLASS_INTEGER ? SQLITE_INTEGER : SQLITE_FLOAT;
    out->integer = (int64_t)bits;
    memcpy(&out->real, &bits, sizeof bits);
    return value->bytes[0] == GW_LITE_CLASS_INTEGER || value->bytes[0] == GW_LITE_CLASS_REAL;
}

static bool codec_decode(struct gw_codec *codec, const struct gw_row *row, struct gw_arena *arena, struct gw_datum *out,
                         struct gw_error *err)
{
    for (uint32_t c = 0; c < row->count && c < codec->collection->column_count; c++) {
        const struct gw_value *value = &row->values[c];
        struct gw_lite_cell cell;
        if (value->kind == GW_VALUE_NULL)
            out[c] = gw_datum_null();
        else if (value->kind == GW_VALUE_UNCHANGED || value->kind == GW_VALUE_ABSENT)
            out[c] = (struct gw_datum){.kind = value->kind == GW_VALUE_UNCHANGED ? GW_KIND_UNCHANGED : GW_KIND_ABSENT};
        else if (cell_of(value, &cell))
            out[c] = gw_lite_cell_to_datum(&codec->forms[c], &cell, arena);
        else
            return gw_fail(err, GW_ERR_BUG, "a value of %s.%s that is none", gw_collection_label(codec->collection),
                           codec->collection->columns[c].name);
    }
    return true;
}

static struct gw_value value_of(const struct gw_lite_cell *cell, struct gw_arena *arena)
{
    switch (cell->type) {
    case SQLITE_INTEGER:
        return gw_lite_value_integer(cell->integer, arena);
    case SQLITE_FLOAT:
        return gw_lite_value_real(cell->real, arena);
    case SQLITE_BLOB:
        return gw_lite_value_blob(cell->bytes, cell->len, arena);
    case SQLITE_TEXT:
        return (struct gw_value){.kind = GW_VALUE_TEXT, .len = cell->len, .bytes = cell->bytes};
    default:
        return (struct gw_value){.kind = GW_VALUE_NULL};
    }
}

static bool codec_encode(struct gw_codec *codec, const struct gw_datum *data, struct gw_arena *arena,
                         struct gw_row *out, struct gw_error *err)
{
    size_t count = codec->collection->column_count;
    struct gw_value *values = gw_arena_alloc(arena, (count + 1) * sizeof *values);
    for (size_t c = 0; c < count; c++) {
        struct gw_lite_cell cell;
        if (data[c].kind == GW_KIND_UNCHANGED || data[c].kind == GW_KIND_ABSENT) {
            values[c] =
                (struct gw_value){.kind = data[c].kind == GW_KIND_UNCHANGED ? GW_VALUE_UNCHANGED : GW_VALUE_ABSENT};
            continue;
        }
        if (!gw_lite_datum_to_cell(&codec->forms[c], codec->collection->columns[c].name, &data[c], arena, &cell, err))
            return gw_error_place(err, "%s", gw_collection_label(codec->collection));
        values[c] = value_of(&cell, arena);
    }
    *out = (struct gw_row){.count = (uint32_t)count, .values = values};
    return true;
}

/* ---- as SQL ------------------------------------------------------------------------------------------------------ */

static void add_hex(struct gw_buf *out, const unsigned char *bytes, size_t len)
{
    gw_buf_adds(out, "X'");
    for (size_t i = 0; i < len; i++)
        gw_buf_addf(out, "%02x", bytes[i]);
    gw_buf_addc(out, '\'');
}

/* A text with a NUL byte has no literal: by its bytes. */
static void add_cell(struct gw_buf *out, const struct gw_lite_cell *cell)
{
    switch (cell->type) {
    case SQLITE_INTEGER:
        gw_buf_addf(out, "%lld", (long long)cell->integer);
        break;
    case SQLITE_FLOAT:
        if (cell->real - cell->real != 0)
            gw_buf_adds(out, cell->real > 0 ? "9e999" : "-9e999");
        else
            gw_buf_addf(out, "%.17e", cell->real);
        break;
    case SQLITE_TEXT:
        if (memchr(cell->bytes, 0, cell->len)) {
            gw_buf_adds(out, "CAST(");
            add_hex(out, cell->bytes, cell->len);
            gw_buf_adds(out, " AS TEXT)");
            break;
        }
        gw_buf_addc(out, '\'');
        for (size_t i = 0; i < cell->len; i++) {
            gw_buf_addc(out, (char)cell->bytes[i]);
            if (cell->bytes[i] == '\'')
                gw_buf_addc(out, '\'');
        }
        gw_buf_addc(out, '\'');
        break;
    case SQLITE_BLOB:
        add_hex(out, cell->bytes, cell->len);
        break;
    default:
        gw_buf_adds(out, "NULL");
    }
}

static bool codec_write_sql(struct gw_codec *codec, size_t column, const struct gw_datum *datum, struct gw_buf *out,
                            struct gw_error *err)
{
    struct gw_lite_cell cell;
    gw_arena_reset(&codec->arena);
    if (!gw_lite_datum_to_cell(&codec->forms[column], codec->collection->columns[column].name, datum, &codec->arena,
                               &cell, err))
        return gw_error_place(err, "%s", gw_collection_label(codec->collection));
    add_cell(out, &cell);
    return true;
}

/* The class counts, too, and no collation of the column has a say. */
static bool codec_write_same(struct gw_codec *codec, size_t column, const struct gw_datum *datum, struct gw_buf *out,
                             struct gw_error *err)
{
    static const char *const classes[] = {[SQLITE_INTEGER] = "integer",
                                          [SQLITE_FLOAT] = "real",
                                          [SQLITE_TEXT] = "text",
                                          [SQLITE_BLOB] = "blob",
                                          [SQLITE_NULL] = "null"};
    struct gw_lite_cell cell;
    const char *name = codec->collection->columns[column].name;
    gw_arena_reset(&codec->arena);
    if (!gw_lite_datum_to_cell(&codec->forms[column], name, datum, &codec->arena, &cell, err))
        return gw_error_place(err, "%s", gw_collection_label(codec->collection));
    gw_lite_add_ident(out, name);
    gw_buf_adds(out, " COLLATE BINARY IS ");
    add_cell(out, &cell);
    gw_buf_adds(out, " AND typeof(");
    gw_lite_add_ident(out, name);
    gw_buf_addf(out, ") = '%s'", classes[cell.type]);
    return true;
}

static void codec_pack_nothing(struct gw_codec *codec, struct gw_buf *out)
{
    (void)codec;
    (void)out;
}

static bool codec_pack(struct gw_codec *codec, const struct gw_datum *data, struct gw_buf *out, struct gw_error *err)
{
    size_t before = out->len;
    gw_arena_reset(&codec->arena);
    for (size_t c = 0; c < codec->collection->column_count; c++) {
        struct gw_lite_cell cell = {.type = SQLITE_NULL};
        if (!codec->collection->columns[c].generated &&
            !gw_lite_datum_to_cell(&codec->forms[c], codec->collection->columns[c].name, &data[c], &codec->arena, &cell,
                                   err)) {
            out->len = before;
            return gw_error_place(err, "%s", gw_collection_label(codec->collection));
        }
        gw_lite_pack_cell(out, &cell);
    }
    return true;
}

const struct gw_codec_facet gw_lite_codec = {
    .type_for = gw_lite_type_for,
    .open = codec_open,
    .close = codec_close,
    .feed = codec_feed,
    .row = codec_row,
    .restart = codec_restart,
    .decode = codec_decode,
    .encode = codec_encode,
    .write_sql = codec_write_sql,
    .write_same = codec_write_same,
    .pack_first = codec_pack_nothing,
    .pack = codec_pack,
    .pack_last = codec_pack_nothing,
};
