/* Verify's decoder of COPY BINARY, its hash of large values and its printing: no server needed. */
#include "gw_test.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "store/postgres/scan_copy.h"
#include "store/postgres/scan_form.h"
#include "store/postgres/scan_print.h"

/* ---- COPY BINARY ------------------------------------------------------------------------------------------------- */

static void put_header(struct gw_buf *out)
{
    gw_buf_add(out, "PGCOPY\n\377\r\n\0", 11);
    gw_buf_put32(out, 0);
    gw_buf_put32(out, 0);
}

static void put_field(struct gw_buf *out, const char *text)
{
    gw_buf_put32(out, text ? (uint32_t)strlen(text) : UINT32_MAX);
    if (text)
        gw_buf_adds(out, text);
}

static void put_row(struct gw_buf *out, const char *a, const char *b)
{
    gw_buf_put16(out, 2);
    put_field(out, a);
    put_field(out, b);
}

static void put_three_rows(struct gw_buf *out)
{
    put_header(out);
    put_row(out, "one", NULL);
    put_row(out, "", "a longer value than the others");
    put_row(out, NULL, "3");
    gw_buf_put16(out, UINT16_MAX);
}

/* All rows as text, fed `step` bytes at a time; the outcome of the last step. */
static enum gw_pg_copy_step decode(const struct gw_buf *bytes, size_t step, struct gw_buf *out, struct gw_error *err)
{
    struct gw_pg_copy copy = {0};
    char *piece = NULL; /* a copy of just these bytes, so that reading past them is seen */
    size_t at = 0;
    enum gw_pg_copy_step last;
    gw_pg_copy_begin(&copy, 2);
    while ((last = gw_pg_copy_next(&copy, err)) == GW_PG_COPY_ROW || (last == GW_PG_COPY_MORE && at < bytes->len)) {
        if (last == GW_PG_COPY_MORE) {
            size_t len = bytes->len - at < step ? bytes->len - at : step;
            free(piece);
            piece = gw_memdup(bytes->data + at, len);
            gw_pg_copy_feed(&copy, piece, len);
            at += len;
            continue;
        }
        for (int i = 0; i < 2; i++)
            if (copy.fields[i].bytes)
                gw_buf_addf(out, "[%.*s]", (int)copy.fields[i].len, (const char *)copy.fields[i].bytes);
            else
                gw_buf_adds(out, "[NULL]");
    }
    free(piece);
    gw_pg_copy_release(&copy);
    return last;
}

static void rows_come_out_however_the_bytes_are_cut(void **state)
{
    (void)state;
    gw_autobuf struct gw_buf bytes = {0};
    struct gw_error err;
    put_three_rows(&bytes);
    for (size_t step = 1; step <= bytes.len; step++) {
        gw_autobuf struct gw_buf out = {0};
        assert_int_equal(decode(&bytes, step, &out, &err), GW_PG_COPY_END);
        assert_string_equal(gw_buf_text(&out), "[one][NULL][][a longer value than the others][NULL][3]");
    }
}

static void bytes_that_end_early_are_not_an_end(void **state)
{
    (void)state;
    gw_autobuf struct gw_buf bytes = {0};
    struct gw_error err;
    put_three_rows(&bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        gw_autobuf struct gw_buf out = {0};
        struct gw_buf cut = {.data = bytes.data, .len = len};
        assert_int_equal(decode(&cut, 7, &out, &err), GW_PG_COPY_MORE);
    }
}

static void malformed_bytes_are_refused(void **state)
{
    (void)state;
    struct gw_error err;
    for (int kind = 0; kind < 6; kind++) {
        gw_autobuf struct gw_buf bytes = {0}, out = {0};
        put_three_rows(&bytes);
        switch (kind) {
        case 0: /* signature */
            bytes.data[6] = 'x';
            break;
        case 1: /* OIDs */
            bytes.data[12] = 1;
            break;
        case 2: /* an unknown critical flag */
            bytes.data[11] = 1;
            break;
        case 3: /* another number of fields */
            bytes.data[20] = 3;
            break;
        case 4: /* a negative length that is not NULL's */
            bytes.data[21] = (char)0xff;
            break;
        default: /* bytes behind the trailer */
            gw_buf_addc(&bytes, 'x');
        }
        assert_int_equal(decode(&bytes, bytes.len, &out, &err), GW_PG_COPY_BAD);
        assert_int_equal(err.kind, GW_ERR_CONFLICT);
    }
}

/* ---- large values ------------------------------------------------------------------------------------------------ */

static void expect_sha256(const char *text, size_t repeat, const char *hex)
{
    gw_autobuf struct gw_buf bytes = {0}, out = {0};
    unsigned char digest[GW_SHA256_BYTES];
    for (size_t i = 0; i < repeat; i++)
        gw_buf_adds(&bytes, text);
    gw_sha256(gw_buf_text(&bytes), bytes.len, digest);
    for (int i = 0; i < GW_SHA256_BYTES; i++)
        gw_buf_addf(&out, "%02x", digest[i]);
    assert_string_equal(gw_buf_text(&out), hex);
}

/* The examples of FIPS 180-2, and lengths around the padding's edges by the same value computed in two ways below. */
static void sha256_is_that_of_the_standard(void **state)
{
    (void)state;
    expect_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_sha256("abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect_sha256("aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void a_hash_says_length_and_slices(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    struct gw_value whole, text;
    size_t len = (size_t)GW_FORM_SLICE + 5;
    unsigned char *bytes = gw_alloc(len), digest[GW_SHA256_BYTES];
    memset(bytes, 'x', len);
    gw_pg_form_hash(true, bytes, (uint32_t)len, &arena, &whole);
    assert_int_equal(whole.len, 8 + 2 * GW_SHA256_BYTES);
    assert_int_equal(gw_get64(whole.bytes), len);
    gw_sha256(bytes + GW_FORM_SLICE, 5, digest);
    assert_memory_equal(whole.bytes + 8 + GW_SHA256_BYTES, digest, sizeof digest);
    assert_true(gw_pg_form_is_hash(true, &whole));
    /* Text is cut by characters: two bytes each, it is one slice. */
    for (size_t i = 0; i + 1 < len; i += 2)
        memcpy(bytes + i, "\xc3\xa4", 2);
    gw_pg_form_hash(false, bytes, (uint32_t)len - 1, &arena, &text);
    assert_int_equal(text.len, 8 + GW_SHA256_BYTES);
    assert_true(gw_pg_form_is_hash(false, &text));
    free(bytes);
    gw_arena_release(&arena);
}

static void types_that_hold_what_belongs_to_a_server_go_as_text(void **state)
{
    (void)state;
    assert_int_equal(gw_pg_form_of_type(23, 'b'), GW_FORM_BINARY);  /* int4 */
    assert_int_equal(gw_pg_form_of_type(2205, 'b'), GW_FORM_TEXT);  /* regclass */
    assert_int_equal(gw_pg_form_of_type(2206, 'b'), GW_FORM_TEXT);  /* regtype */
    assert_int_equal(gw_pg_form_of_type(1007, 'b'), GW_FORM_TEXT);  /* int4[] */
    assert_int_equal(gw_pg_form_of_type(3802, 'b'), GW_FORM_JSONB); /* jsonb */
    assert_int_equal(gw_pg_form_of_type(16400, 'b'), GW_FORM_TEXT); /* an extension's */
    assert_int_equal(gw_pg_form_of_type(23, 'd'), GW_FORM_TEXT);    /* a domain */
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

static void expect_print(uint32_t oid, const char *bytes, uint32_t len, const char *words)
{
    gw_autobuf struct gw_buf out = {0};
    const struct gw_column column = {.type_id = oid};
    const struct gw_value value = {GW_VALUE_BINARY, len, (const unsigned char *)bytes};
    gw_pg_print(&column, &value, &out);
    assert_string_equal(gw_buf_text(&out), words);
}
#define PRINT(oid, bytes, words) expect_print(oid, bytes, sizeof bytes - 1, words)

static void binary_values_are_printed_in_words(void **state)
{
    (void)state;
    PRINT(16, "\1", "true");
    PRINT(21, "\xff\xfe", "-2");
    PRINT(23, "\0\0\x04\xd2", "1234");
    PRINT(20, "\x80\0\0\0\0\0\0\0", "-9223372036854775808");
    PRINT(700, "\x3e\xbb\x99\x9a", "0.36640626");
    PRINT(701, "\x80\0\0\0\0\0\0\0", "-0");
    PRINT(701, "\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1");
    PRINT(1082, "\0\0\0\0", "2000-01-01");
    PRINT(1082, "\0\0\0\x3b", "2000-02-29");
    PRINT(1082, "\x7f\xff\xff\xff", "infinity");
    PRINT(1082, "\xff\xf4\xdb\xf9", "0001-01-01");
    PRINT(1082, "\xff\xf4\xdb\xf8", "0001-12-31 BC");
    PRINT(1114, "\0\0\0\0\0\0\0\0", "2000-01-01 00:00:00");
    PRINT(1184, "\xff\xff\xff\xff\xff\xff\xff\xff", "1999-12-31 23:59:59.999999+00");
    PRINT(1184, "\x80\0\0\0\0\0\0\0", "-infinity");
    PRINT(1083, "\0\0\0\x0a\xb6\x09\xa5\x81", "12:46:43.758465");
    PRINT(1186, "\0\0\0\0\x0f\x42\x40\0\0\0\0\2\0\0\0\x0d", "13 mon 2 days 00:04:16"); /* 256 s */
    PRINT(1266, "\0\0\0\0\0\0\0\0\xff\xff\xe3\xe0", "00:00:00+02:00");
    PRINT(2950, "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", "00010203-0405-0607-0809-0a0b0c0d0e0f");
    PRINT(869, "\2\x18\0\4\xc0\xa8\1\7", "192.168.1.7/24");
    PRINT(17, "\xde\xad", "\\xdead");
    PRINT(1700, "\0\2\0\0\0\0\0\2\0\1\x13\x88", "1.50");
    PRINT(1700, "\0\1\0\0\x40\0\0\1\0\7", "-7.0");
    PRINT(1700, "\0\1\0\2\0\0\0\0\0\3", "300000000");
    PRINT(1700, "\0\1\xff\xfe\0\0\0\6\x03\xe8", "0.000010");
    PRINT(1700, "\0\0\0\0\xc0\0\0\0", "NaN");
    PRINT(99999, "\1\2", "\\x0102");
}

static void malformed_values_print_without_harm(void **state)
{
    (void)state;
    const uint32_t oids[] = {16, 20, 21, 23, 700, 701, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 2950, 869, 3802, 25};
    for (size_t i = 0; i < sizeof oids / sizeof *oids; i++)
        for (uint32_t len = 0; len < 40; len++)
            for (int kind = GW_VALUE_NULL; kind <= GW_VALUE_ABSENT; kind++) {
                gw_autobuf struct gw_buf out = {0};
                gw_autofree unsigned char *bytes = gw_alloc(len + 1);
                memset(bytes, (int)(i * 37 + len * 11) | 0x81, len);
                const struct gw_column column = {.type_id = oids[i]};
                const struct gw_value value = {(enum gw_value_kind)kind, len, bytes};
                gw_pg_print(&column, &value, &out);
            }
}

static void long_values_are_cut_when_printed(void **state)
{
    (void)state;
    gw_autobuf struct gw_buf out = {0}, text = {0};
    for (int i = 0; i < 1000; i++)
        gw_buf_adds(&text, "\xc3\xa4");
    const struct gw_column column = {.type_id = 25};
    const struct gw_value value = {GW_VALUE_TEXT, (uint32_t)text.len, (const unsigned char *)text.data};
    gw_pg_print(&column, &value, &out);
    assert_contains(gw_buf_text(&out), "\xa4... (2000 bytes)");
    assert_true(out.len < 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_out_however_the_bytes_are_cut),
        cmocka_unit_test(bytes_that_end_early_are_not_an_end),
        cmocka_unit_test(malformed_bytes_are_refused),
        cmocka_unit_test(sha256_is_that_of_the_standard),
        cmocka_unit_test(a_hash_says_length_and_slices),
        cmocka_unit_test(types_that_hold_what_belongs_to_a_server_go_as_text),
        cmocka_unit_test(binary_values_are_printed_in_words),
        cmocka_unit_test(malformed_values_print_without_harm),
        cmocka_unit_test(long_values_are_cut_when_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
