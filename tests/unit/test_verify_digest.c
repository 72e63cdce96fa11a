/* Row hashes and digests: what must change them and what must not; the words for what rows have in common. */
#include "gw_test.h"

#include "base/mem.h"
#include "model/digest.h"
#include "verify/cause.h"
#include "verify/rowhash.h"

static struct gw_rowhash hasher(void)
{
    return (struct gw_rowhash){.seed = 42, .collection = 7};
}

static struct gw_hash128 hash_of(struct gw_rowhash *hash, size_t count, const char *const *texts)
{
    struct gw_value values[8];
    uint64_t bytes;
    for (size_t i = 0; i < count; i++)
        values[i] = gw_value_text(texts[i]);
    return gw_rowhash_row(hash, &(struct gw_row){(uint32_t)count, values}, &bytes);
}

static bool same(struct gw_hash128 a, struct gw_hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

static void digest_sees_values_swapped_between_rows(void **state)
{
    (void)state;
    struct gw_rowhash hash = hasher();
    struct gw_digest before = {0}, after = {0};
    gw_digest_add(&before, hash_of(&hash, 2, (const char *[]){"1", "alice"}), 6);
    gw_digest_add(&before, hash_of(&hash, 2, (const char *[]){"2", "bobby"}), 6);
    gw_digest_add(&after, hash_of(&hash, 2, (const char *[]){"1", "bobby"}), 6);
    gw_digest_add(&after, hash_of(&hash, 2, (const char *[]){"2", "alice"}), 6);
    assert_false(gw_digest_equal(&before, &after));
    gw_rowhash_release(&hash);
}

static void digest_counts_duplicates(void **state)
{
    (void)state;
    struct gw_rowhash hash = hasher();
    struct gw_hash128 row = hash_of(&hash, 1, (const char *[]){"x"});
    struct gw_digest none = {0}, two = {0}, three = {0};
    for (int i = 0; i < 3; i++) {
        if (i < 2)
            gw_digest_add(&two, row, 1);
        gw_digest_add(&three, row, 1);
    }
    assert_false(gw_digest_equal(&none, &two));
    assert_false(gw_digest_equal(&two, &three));
    two.rows = three.rows; /* and the sum alone tells, too */
    assert_false(gw_digest_equal(&two, &three));
    gw_rowhash_release(&hash);
}

static void hash_tells_null_from_every_sentinel(void **state)
{
    (void)state;
    const char *const texts[] = {NULL, "", "NULL", "<null>", "null", "\\N", "0"};
    struct gw_rowhash hash = hasher();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++)
            assert_int_equal(same(hash_of(&hash, 1, &texts[i]), hash_of(&hash, 1, &texts[j])), i == j);
    gw_rowhash_release(&hash);
}

static void hash_tells_where_a_value_ends(void **state)
{
    (void)state;
    struct gw_rowhash hash = hasher();
    assert_false(
        same(hash_of(&hash, 2, (const char *[]){"a|b", "c"}), hash_of(&hash, 2, (const char *[]){"a", "b|c"})));
    assert_false(same(hash_of(&hash, 2, (const char *[]){"ab", "c"}), hash_of(&hash, 2, (const char *[]){"a", "bc"})));
    assert_false(same(hash_of(&hash, 2, (const char *[]){"ab", ""}), hash_of(&hash, 2, (const char *[]){"", "ab"})));
    assert_false(
        same(hash_of(&hash, 3, (const char *[]){"a", NULL, "b"}), hash_of(&hash, 3, (const char *[]){NULL, "a", "b"})));
    assert_false(same(hash_of(&hash, 2, (const char *[]){"a", NULL}), hash_of(&hash, 1, (const char *[]){"a"})));
    gw_rowhash_release(&hash);
}

static void hash_depends_on_collection_and_seed(void **state)
{
    (void)state;
    struct gw_rowhash hash = hasher(), other = hasher(), seeded = hasher();
    other.collection = 8;
    seeded.seed = 43;
    const char *const row[] = {"1", "a"};
    assert_true(same(hash_of(&hash, 2, row), hash_of(&hash, 2, row)));
    assert_false(same(hash_of(&hash, 2, row), hash_of(&other, 2, row)));
    assert_false(same(hash_of(&hash, 2, row), hash_of(&seeded, 2, row)));
    gw_rowhash_release(&hash);
    gw_buf_release(&other.scratch);
    gw_buf_release(&seeded.scratch);
}

/* Lossy sums forget small parts once they are large: a million rows, any order, one bit. */
static void digest_of_a_million_rows_is_exact_in_any_order(void **state)
{
    (void)state;
    enum { N = 1000000 };
    struct gw_digest up = {0}, down = {0}, off = {0};
    for (uint64_t i = 0; i < N; i++) {
        struct gw_hash128 hash = gw_hash128(&i, sizeof i, 5);
        gw_digest_add(&up, hash, 8);
        uint64_t j = N - 1 - i;
        hash = gw_hash128(&j, sizeof j, 5);
        gw_digest_add(&down, hash, 8);
        if (j == 77)
            hash.low ^= 1;
        gw_digest_add(&off, hash, 8);
    }
    assert_true(gw_digest_equal(&up, &down));
    assert_false(gw_digest_equal(&up, &off));
    assert_int_equal(up.bytes, 8 * (uint64_t)N);
}

/* ---- causes ------------------------------------------------------------------------------------------------------ */

static void expect_cause(const char *const (*pairs)[2], size_t count, uint64_t compared, const char *words)
{
    struct gw_cause cause;
    gw_autobuf struct gw_buf out = {0};
    gw_cause_init(&cause, 2);
    for (size_t i = 0; i < count; i++)
        gw_cause_note(&cause, 1, pairs[i][0], pairs[i][1]);
    assert_true(gw_cause_words(&cause, 1, "created_at", compared, false, &out));
    assert_string_equal(gw_buf_text(&out), words);
    assert_false(gw_cause_words(&cause, 0, "id", compared, false, &out));
    gw_cause_release(&cause);
}
#define CAUSE(compared, words, ...)                                                                                    \
    do {                                                                                                               \
        const char *const pairs[][2] = {__VA_ARGS__};                                                                  \
        expect_cause(pairs, sizeof pairs / sizeof *pairs, compared, words);                                            \
    } while (0)

static void cause_is_said_in_words(void **state)
{
    (void)state;
    CAUSE(2, "all 2 rows differ in created_at by +9 h: time zone", {"2024-02-29 20:00:00+00", "2024-03-01 05:00:00+00"},
          {"1999-12-31 23:00:00+00", "2000-01-01 08:00:00+00"});
    CAUSE(9, "2 rows differ in created_at by -1 d", {"2024-03-01", "2024-02-29"}, {"2001-01-01", "2000-12-31"});
    CAUSE(9, "2 rows differ in created_at", {"2024-03-01", "2024-02-29"}, {"2001-01-01", "2000-12-30"});
    CAUSE(9, "1 row differs in created_at in fractions of a second: precision",
          {"2024-02-29 20:00:00.123456", "2024-02-29 20:00:00.123"});
    CAUSE(9, "1 row differs in created_at in trailing spaces only", {"a", "a  "});
    CAUSE(9, "1 row differs in created_at in upper and lower case only", {"Ab", "aB"});
    CAUSE(9, "1 row differs in created_at: empty text on one side, NULL on the other", {"", NULL});
    CAUSE(9, "1 row differs in created_at: NULL on the target", {"x", NULL});
    CAUSE(9, "1 row differs in created_at: NULL on the source", {NULL, "x"});
    CAUSE(9, "1 row differs in created_at: cut off on the target", {"a long text", "a long"});
    CAUSE(9, "1 row differs in created_at: question marks on the target, encoding", {"gr\xc3\xbc\xc3\x9f", "gr?"});
    CAUSE(9, "1 row differs in created_at in the scale only (1.0 and 1.00)", {"1.0", "1.00"});
    CAUSE(9, "2 rows differ in created_at by +5", {"10", "15"}, {"-3", "2"});
    CAUSE(9, "2 rows differ in created_at", {"10", "15"}, {"abc", "xyz"});
    CAUSE(4112, "1 row differs in created_at", {"abc", "xyz"});
}

static void counts_are_grouped(void **state)
{
    (void)state;
    gw_autobuf struct gw_buf out = {0};
    gw_cause_add_count(&out, 7);
    gw_buf_addc(&out, ' ');
    gw_cause_add_count(&out, 4112);
    gw_buf_addc(&out, ' ');
    gw_cause_add_count(&out, 1000023);
    assert_string_equal(gw_buf_text(&out), "7 4,112 1,000,023");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest_sees_values_swapped_between_rows),
        cmocka_unit_test(digest_counts_duplicates),
        cmocka_unit_test(hash_tells_null_from_every_sentinel),
        cmocka_unit_test(hash_tells_where_a_value_ends),
        cmocka_unit_test(hash_depends_on_collection_and_seed),
        cmocka_unit_test(digest_of_a_million_rows_is_exact_in_any_order),
        cmocka_unit_test(cause_is_said_in_words),
        cmocka_unit_test(counts_are_grouped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
