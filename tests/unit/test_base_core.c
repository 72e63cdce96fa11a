/* Errors, memory, buffers, cursors, arenas, clock, hash. */
#include "gw_test.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

#include <errno.h>

static void error_cuts_long_text_visibly(void **state)
{
    (void)state;
    struct gw_error err;
    char longer[2000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_false(gw_fail(&err, GW_ERR_USER, "%s", longer));
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_string_equal(err.message + sizeof err.message - 4, "...");
    /* Never half a character before the dots. */
    for (size_t i = 0; i + 2 < sizeof longer; i += 2)
        memcpy(longer + i, "\xc3\xa9", 2);
    gw_fail(&err, GW_ERR_USER, "a%s", longer);
    size_t len = strlen(err.message);
    assert_string_equal(err.message + len - 3, "...");
    assert_int_equal((unsigned char)err.message[len - 4], 0xa9);
}

static void error_keeps_the_innermost_place_and_wraps_itself(void **state)
{
    (void)state;
    struct gw_error err;
    gw_fail(&err, GW_ERR_RETRY, "deadlock");
    gw_error_detail(&err, "process %d", 7);
    gw_error_hint(&err, "try again");
    gw_error_place(&err, "main/green");
    gw_error_place(&err, "outer");
    gw_error_prefix(&err, "applying %s", "orders");
    assert_string_equal(err.message, "applying orders: deadlock");
    assert_string_equal(err.place, "main/green");
    assert_int_equal(err.kind, GW_ERR_RETRY);
    /* An error made out of itself must not read what it overwrites. */
    gw_fail(&err, GW_ERR_BUG, "wrapped: %s / %s", err.message, err.detail);
    assert_string_equal(err.message, "wrapped: applying orders: deadlock / process 7");
    assert_string_equal(err.detail, "");
}

static void error_kinds_map_to_exit_codes(void **state)
{
    (void)state;
    static const int wanted[] = {0, 4, 4, 2, 1, 1, 1, 5, 5, 70};
    for (int kind = GW_ERR_NONE; kind <= GW_ERR_BUG; kind++) {
        struct gw_error err = {.kind = (enum gw_error_kind)kind};
        assert_int_equal(gw_error_exit(&err), wanted[kind]);
        assert_string_not_equal(gw_error_kind_name(err.kind), "unknown");
    }
    struct gw_error err;
    gw_fail_errno(&err, ENOSPC, "writing %s", "spool");
    assert_int_equal(err.kind, GW_ERR_RESOURCE);
    assert_string_equal(err.message, "writing spool: No space left on device");
    assert_true(err.hint[0]);
}

static void buffer_grows_and_stays_text(void **state)
{
    (void)state;
    struct gw_buf buf = {0};
    assert_string_equal(gw_buf_text(&buf), "");
    for (int i = 0; i < 1000; i++)
        gw_buf_addf(&buf, "%d,", i);
    assert_int_equal(buf.len, strlen(buf.data));
    assert_int_equal(buf.len, 10 * 2 + 90 * 3 + 900 * 4);
    char big[5000];
    memset(big, 'y', sizeof big);
    big[4999] = 0;
    gw_buf_clear(&buf);
    gw_buf_addf(&buf, "<%s>", big);
    assert_int_equal(buf.len, 5001);
    gw_buf_shrink(&buf, 100);
    assert_true(buf.capacity <= 100);
    assert_string_equal(gw_buf_text(&buf), "");
    gw_buf_put16(&buf, 0x0102);
    gw_buf_put32(&buf, 0x03040506);
    gw_buf_put64(&buf, 0x0708090a0b0c0d0eULL);
    for (int i = 0; i < 14; i++)
        assert_int_equal(buf.data[i], i + 1);
    assert_int_equal(gw_get16(buf.data), 0x0102);
    assert_int_equal(gw_get32(buf.data + 2), 0x03040506);
    assert_true(gw_get64(buf.data + 6) == 0x0708090a0b0c0d0eULL);
    char *owned = gw_buf_detach(&buf);
    assert_null(buf.data);
    free(owned);
    owned = gw_buf_detach(&buf);
    assert_string_equal(owned, "");
    free(owned);
}

static void cursor_never_overruns(void **state)
{
    (void)state;
    /* Exactly as many bytes as said, from the heap: the sanitizer sees the first one too many. */
    for (size_t len = 0; len < 24; len++) {
        unsigned char *bytes = malloc(len ? len : 1);
        memset(bytes, 0x41, len);
        for (int first = 0; first < 6; first++) {
            struct gw_cursor c = gw_cursor_of(bytes, len);
            size_t taken = 0;
            for (int step = 0; !c.bad && step < 40; step++) {
                size_t left = gw_cursor_left(&c);
                static const size_t sizes[] = {1, 2, 4, 8, 3, 0};
                size_t size = sizes[(first + step) % 6];
                switch ((first + step) % 6) {
                case 0:
                    gw_cursor_u8(&c);
                    break;
                case 1:
                    gw_cursor_u16(&c);
                    break;
                case 2:
                    gw_cursor_u32(&c);
                    break;
                case 3:
                    gw_cursor_u64(&c);
                    break;
                case 4:
                    assert_int_equal(gw_cursor_bytes(&c, 3) != NULL, left >= 3);
                    break;
                default:
                    break;
                }
                assert_int_equal(c.bad, size > left);
                taken += c.bad ? 0 : size;
                assert_true(taken <= len);
            }
            assert_true(c.bad);
            assert_int_equal(gw_cursor_left(&c), 0);
            assert_int_equal(gw_cursor_u64(&c), 0);
            assert_null(gw_cursor_bytes(&c, 0));
            assert_null(gw_cursor_cstr(&c));
        }
        struct gw_cursor c = gw_cursor_of(bytes, len);
        assert_null(gw_cursor_cstr(&c)); /* no NUL within bounds */
        assert_true(c.bad);
        c = gw_cursor_of(bytes, len);
        assert_null(gw_cursor_bytes(&c, SIZE_MAX));
        free(bytes);
    }
    struct gw_cursor c = gw_cursor_of("ab\0c", 5);
    assert_string_equal(gw_cursor_cstr(&c), "ab");
    assert_string_equal(gw_cursor_cstr(&c), "c");
    assert_int_equal(gw_cursor_left(&c), 0);
    c = gw_cursor_of(NULL, 0);
    assert_int_equal(gw_cursor_left(&c), 0);
    assert_non_null(gw_cursor_bytes(&c, 0));
    assert_int_equal(gw_cursor_u8(&c), 0);
    assert_true(c.bad);
}

static void arena_is_aligned_and_bounded(void **state)
{
    (void)state;
    struct gw_arena arena = {0};
    for (int round = 0; round < 5; round++) {
        size_t total = 0;
        for (size_t i = 0; i < 3000; i++) {
            size_t size = i % 257;
            unsigned char *p = gw_arena_alloc(&arena, size);
            assert_int_equal((uintptr_t)p % 16, 0);
            memset(p, (int)i, size);
            total += size;
        }
        char *huge = gw_arena_zalloc(&arena, 3u << 20);
        assert_int_equal(huge[(3u << 20) - 1], 0);
        char *after = gw_arena_strdup(&arena, "after");
        assert_string_equal(after, "after");
        assert_string_equal(gw_arena_dup(&arena, "abc", 2), "ab");
        assert_true(arena.used_bytes >= total + (3u << 20));
        gw_arena_reset(&arena);
        assert_int_equal(arena.used_bytes, 0);
    }
    gw_arena_release(&arena);
    assert_null(arena.blocks);
}

static void memory_helpers(void **state)
{
    (void)state;
    int *numbers = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 100; i++) {
        numbers = gw_grow(numbers, &capacity, i, sizeof *numbers);
        assert_true(capacity > i);
        numbers[i] = (int)i;
    }
    assert_int_equal(numbers[99], 99);
    free(numbers);
    gw_autofree char *a = gw_asprintf("%s-%d", "x", 3);
    gw_autofree char *b = gw_strndup("hello", 3);
    gw_autofree char *c = gw_strndup("hi", 100);
    assert_string_equal(a, "x-3");
    assert_string_equal(b, "hel");
    assert_string_equal(c, "hi");
    gw_autofree void *none = gw_calloc(0, 8);
    assert_non_null(none);
}

static void clock_counts_and_formats(void **state)
{
    (void)state;
    int64_t before = gw_mono_us();
    gw_sleep_us(2000);
    assert_true(gw_mono_us() - before >= 2000);
    assert_int_equal(gw_left_ms(gw_mono_us() - 1), 0);
    assert_in_range(gw_left_ms(gw_mono_us() + 5000 * 1000), 4000, 5000);
    assert_int_equal(gw_left_ms(INT64_MAX), INT32_MAX);
    char out[32];
    gw_wall_format(1795330800LL * 1000000, out);
    assert_string_equal(out, "2026-11-22T07:00:00Z");
    gw_wall_format(-1, out);
    assert_string_equal(out, "1969-12-31T23:59:59Z");
}

static void hash_streams_as_it_hashes_at_once(void **state)
{
    (void)state;
    char bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 31);
    struct gw_hasher *hasher = gw_hasher_new(7);
    for (size_t piece = 1; piece < 700; piece += 97) {
        gw_hasher_reset(hasher, 7);
        for (size_t at = 0; at < sizeof bytes; at += piece)
            gw_hasher_add(hasher, bytes + at, at + piece > sizeof bytes ? sizeof bytes - at : piece);
        struct gw_hash128 streamed = gw_hasher_end(hasher);
        struct gw_hash128 once = gw_hash128(bytes, sizeof bytes, 7);
        assert_true(streamed.low == once.low && streamed.high == once.high);
    }
    gw_hasher_free(hasher);
    assert_true(gw_hash128("a", 1, 1).low != gw_hash128("a", 1, 2).low);
    assert_true(gw_hash64("a", 1, 1) != gw_hash64("b", 1, 1));
    assert_true(gw_random64() != gw_random64());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_cuts_long_text_visibly),
        cmocka_unit_test(error_keeps_the_innermost_place_and_wraps_itself),
        cmocka_unit_test(error_kinds_map_to_exit_codes),
        cmocka_unit_test(buffer_grows_and_stays_text),
        cmocka_unit_test(cursor_never_overruns),
        cmocka_unit_test(arena_is_aligned_and_bounded),
        cmocka_unit_test(memory_helpers),
        cmocka_unit_test(clock_counts_and_formats),
        cmocka_unit_test(hash_streams_as_it_hashes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
