/*
 * The codec on recorded bytes, without a server: frames cut anywhere, malformed ones, and what a column cannot hold.
 *
 * With GODWIT_TEST_TIME set, it also says what a row of 7 mixed columns costs both ways: 2,070 instructions (callgrind),
 * some 340 ns on a busy machine; at most 400 ns are wanted.
 */
#include "gw_test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/postgres/codec.h"

#include <math.h>

static struct gw_column mixed_columns[] = {
    {.name = "id", .type = "bigint", .type_id = 20, .binary_safe = true},
    {.name = "number", .type = "integer", .type_id = 23, .binary_safe = true},
    {.name = "price", .type = "numeric(10,2)", .type_id = 1700, .binary_safe = true},
    {.name = "name", .type = "text", .type_id = 25, .binary_safe = true},
    {.name = "made", .type = "timestamp with time zone", .type_id = 1184, .binary_safe = true},
    {.name = "active", .type = "boolean", .type_id = 16, .binary_safe = true},
    {.name = "rate", .type = "double precision", .type_id = 701, .binary_safe = true},
};
static const struct gw_collection mixed = {
    .space = "public", .name = "mixed", .column_count = 7, .columns = mixed_columns, .all_binary_safe = true};

/* Two rows as COPY (FORMAT binary) gave them: (-2, 7, 1234.50, 'caf\xc3\xa9', 2000-01-01 00:00:01+00, true, 0.5) and NULLs
 * behind (1). */
static const unsigned char recorded[] = {
    'P',  'G',  'C',  'O',  'P',  'Y',  '\n', 0xff, '\r', '\n', 0,    0,    0,    0,    0,    0,    0,
    0,    0, /* header */
    0,    7,    0,    0,    0,    8,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0,    0,    0,
    4,    0,    0,    0,    7,    0,    0,    0,    12,   0,    2,    0,    0,    0,    0,    0,    2,
    0x04, 0xd2, 0x13, 0x88, 0,    0,    0,    5,    'c',  'a',  'f',  0xc3, 0xa9, 0,    0,    0,    8,
    0,    0,    0,    0,    0,    0x0f, 0x42, 0x40, 0,    0,    0,    1,    1,    0,    0,    0,    8,
    0x3f, 0xe0, 0,    0,    0,    0,    0,    0,    0,    7,    0,    0,    0,    8,    0,    0,    0,
    0,    0,    0,    0,    1,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct gw_codec *open_codec(void)
{
    struct gw_error err;
    struct gw_codec *codec;
    struct gw_store none = {0}; /* all types are built in: no server is asked */
    MUST(gw_pg_codec.open(&none, &mixed, &codec, &err));
    return codec;
}

static void is(const struct gw_datum *datum, enum gw_kind kind, const char *words)
{
    gw_autobuf struct gw_buf text = {0};
    gw_datum_print(datum, &text);
    assert_int_equal(datum->kind, kind);
    assert_string_equal(gw_buf_text(&text), words);
}

static void check_row(const struct gw_datum *row, size_t index)
{
    static const char *const words[] = {"-2", "7", "1234.50", "caf\xc3\xa9", "2000-01-01 00:00:01+00", "true", "0.5"};
    static const enum gw_kind kinds[] = {GW_KIND_INT64,       GW_KIND_INT64, GW_KIND_DECIMAL, GW_KIND_TEXT,
                                         GW_KIND_TIMESTAMPTZ, GW_KIND_BOOL,  GW_KIND_FLOAT64};
    if (index == 1)
        is(&row[0], GW_KIND_INT64, "1");
    for (size_t i = index; i < 7; i++)
        is(&row[i], index ? GW_KIND_NULL : kinds[i], index ? "NULL" : words[i]);
}

static void rows_come_out_however_the_blocks_are_cut(void **state)
{
    (void)state;
    struct gw_codec *codec = open_codec();
    struct gw_error err;
    for (size_t piece = 1; piece <= sizeof recorded; piece++) {
        struct gw_datum row[7];
        size_t rows = 0;
        for (size_t at = 0; at < sizeof recorded; at += piece) {
            size_t len = sizeof recorded - at < piece ? sizeof recorded - at : piece;
            void *copy = gw_memdup(recorded + at, len);
            struct gw_block block = {.bytes = copy, .len = len};
            bool got = true;
            MUST(gw_pg_codec.feed(codec, &block, &err));
            while (got) {
                MUST(gw_pg_codec.row(codec, row, &got, &err));
                if (got)
                    check_row(row, rows++);
            }
            free(copy);
        }
        assert_int_equal(rows, 2);
    }
    gw_pg_codec.close(codec);
}

/* Whatever byte is another: an error or other values, never a read past the end (the sanitizers look). */
static void damaged_frames_are_no_harm(void **state)
{
    (void)state;
    for (size_t at = 0; at < sizeof recorded; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct gw_codec *codec = open_codec();
            struct gw_error err;
            struct gw_datum row[7];
            unsigned char *copy = gw_memdup(recorded, sizeof recorded);
            copy[at] ^= (unsigned char)(1u << bit);
            struct gw_block block = {.bytes = copy, .len = sizeof recorded};
            bool got = true, fine = gw_pg_codec.feed(codec, &block, &err);
            for (int i = 0; fine && got && i < 100; i++)
                fine = gw_pg_codec.row(codec, row, &got, &err);
            free(copy);
            gw_pg_codec.close(codec);
        }
}

static void a_chunk_that_was_given_up_leaves_nothing(void **state)
{
    (void)state;
    struct gw_codec *codec = open_codec();
    struct gw_error err;
    struct gw_datum row[7];
    struct gw_block part = {.bytes = recorded, .len = 50}, whole = {.bytes = recorded, .len = sizeof recorded};
    bool got;
    MUST(gw_pg_codec.feed(codec, &part, &err));
    MUST(gw_pg_codec.row(codec, row, &got, &err));
    assert_false(got);
    gw_pg_codec.restart(codec);
    MUST(gw_pg_codec.feed(codec, &whole, &err));
    MUST(gw_pg_codec.row(codec, row, &got, &err));
    assert_true(got);
    check_row(row, 0);
    gw_pg_codec.close(codec);
}

static void packing_gives_the_same_bytes(void **state)
{
    (void)state;
    struct gw_codec *codec = open_codec(), *out_codec = open_codec();
    struct gw_error err;
    struct gw_datum row[7];
    struct gw_block whole = {.bytes = recorded, .len = sizeof recorded};
    bool got = true;
    gw_autobuf struct gw_buf out = {0};
    MUST(gw_pg_codec.feed(codec, &whole, &err));
    gw_pg_codec.pack_first(out_codec, &out);
    while (got) {
        MUST(gw_pg_codec.row(codec, row, &got, &err));
        if (got)
            MUST(gw_pg_codec.pack(out_codec, row, &out, &err));
    }
    gw_pg_codec.pack_last(out_codec, &out);
    assert_int_equal(out.len, sizeof recorded);
    assert_memory_equal(out.data, recorded, sizeof recorded);
    gw_pg_codec.close(codec);
    gw_pg_codec.close(out_codec);
}

/* ---- what does not fit ---------------------------------------------------------------------------------------------- */

static void refuses(const char *sql_type, struct gw_datum datum, const char *why)
{
    struct gw_pg_coding coding;
    struct gw_datum fitting;
    struct gw_error err = {0};
    struct gw_arena arena = {0};
    gw_pg_coding_of_sql(&coding, sql_type);
    coding.column = "here";
    if (gw_pg_check_datum(&coding, &datum, &arena, &fitting, &err))
        fail_msg("%s takes what it cannot hold (%s)", sql_type, why);
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, "column here");
    assert_contains(err.message, why);
    gw_pg_coding_release(&coding);
    gw_arena_release(&arena);
}

static struct gw_datum number(int64_t value)
{
    return (struct gw_datum){.kind = GW_KIND_INT64, .i64 = value};
}

static struct gw_datum decimal(const char *text)
{
    return gw_datum_of_bytes(GW_KIND_DECIMAL, text, strlen(text));
}

static void what_a_column_cannot_hold_is_said(void **state)
{
    (void)state;
    struct gw_datum moment = {.kind = GW_KIND_TIMESTAMP, .i64 = 1};
    struct gw_datum zero = gw_datum_of_bytes(GW_KIND_DATE, "0000-00-00", 10);
    struct gw_datum time = {.kind = GW_KIND_TIME, .i64 = -1};
    struct gw_datum far = {.kind = GW_KIND_DATE, .i64 = INT64_C(3000000000)};
    struct gw_datum real = {.kind = GW_KIND_FLOAT64, .f64 = 0.1};
    refuses("smallint", number(32768), "out of range");
    refuses("integer", number(INT64_C(-2147483649)), "out of range");
    refuses("bigint", (struct gw_datum){.kind = GW_KIND_UINT64, .u64 = UINT64_MAX}, "no integer of 64 bits");
    refuses("bigint", decimal("1.5"), "no integer of 64 bits");
    refuses("numeric(10,2)", decimal("1.234"), "too many digits behind");
    refuses("numeric(10,2)", decimal("123456789.00"), "too many digits before");
    refuses("numeric(10,2)", decimal("Infinity"), "infinite");
    refuses("text", gw_datum_of_bytes(GW_KIND_TEXT, "a\0b", 3), "NUL");
    refuses("text", gw_datum_of_bytes(GW_KIND_TEXT, "12345678\0", 9), "NUL");
    refuses("text", gw_datum_text("caf\xe9"), "not UTF-8");
    refuses("character varying(3)", gw_datum_text("abc "), "too long");
    refuses("character varying(3)", gw_datum_text("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"), "too long");
    refuses("jsonb", gw_datum_of_bytes(GW_KIND_JSON, "\"\\u0000\"", 8), "NUL");
    refuses("bit(3)", gw_datum_of_bytes(GW_KIND_BITS, "01", 2), "number of bits");
    refuses("date", zero, "calendar");
    refuses("date", far, "out of range");
    refuses("time without time zone", time, "no time of a day");
    refuses("timestamp(3) without time zone", moment, "digits of a second");
    refuses("timestamp with time zone", moment, "another kind");
    refuses("real", real, "rounded");
    refuses("uuid", gw_datum_text("x"), "no uuid");
    refuses("boolean", number(2), "neither");
}

/* ---- time ----------------------------------------------------------------------------------------------------------- */

static void a_row_costs_little(void **state)
{
    (void)state;
    size_t rounds = getenv("GODWIT_TEST_TIME") ? 200000 : 100;
    struct gw_codec *codec = open_codec(), *out_codec = open_codec();
    struct gw_error err;
    struct gw_datum row[7];
    gw_autobuf struct gw_buf in = {0}, out = {0};
    const unsigned char *tuple = recorded + 19;
    size_t tuple_len = 76; /* the first of the two */
    gw_buf_add(&in, recorded, 19);
    for (int i = 0; i < 600; i++)
        gw_buf_add(&in, tuple, tuple_len);
    gw_buf_put16(&in, UINT16_MAX);
    size_t rows = 0;
    int64_t begin_us = gw_mono_us();
    while (rows < rounds * 10) {
        struct gw_block block = {.bytes = in.data, .len = in.len};
        bool got = true;
        gw_buf_clear(&out);
        MUST(gw_pg_codec.feed(codec, &block, &err));
        while (got) {
            MUST(gw_pg_codec.row(codec, row, &got, &err));
            if (!got)
                break;
            MUST(gw_pg_codec.pack(out_codec, row, &out, &err));
            rows++;
        }
    }
    int64_t took_us = gw_mono_us() - begin_us;
    if (rounds > 1000)
        print_message("%.0f ns a row of 7 columns, both ways\n", (double)took_us * 1000 / (double)rows);
    assert_true(out.len > 0 && rows % 600 == 0);
    gw_pg_codec.close(codec);
    gw_pg_codec.close(out_codec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_out_however_the_blocks_are_cut), cmocka_unit_test(damaged_frames_are_no_harm),
        cmocka_unit_test(a_chunk_that_was_given_up_leaves_nothing), cmocka_unit_test(packing_gives_the_same_bytes),
        cmocka_unit_test(what_a_column_cannot_hold_is_said),        cmocka_unit_test(a_row_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
