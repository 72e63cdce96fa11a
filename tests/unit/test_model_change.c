/* The flat encoding of a change. */
#include "gw_test.h"
#include "row_equal.h"

#include "model/change.h"

static uint64_t seed = 0x9e3779b97f4a7c15ull;
static uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % below;
}

static unsigned char pool[20000];

static struct gw_row random_row(struct gw_arena *arena)
{
    struct gw_row row = {.count = rnd(6)};
    row.values = gw_arena_zalloc(arena, row.count * sizeof *row.values);
    for (uint32_t i = 0; i < row.count; i++) {
        row.values[i].kind = (enum gw_value_kind)rnd(5);
        if (row.values[i].kind == GW_VALUE_TEXT || row.values[i].kind == GW_VALUE_BINARY) {
            row.values[i].len = rnd(20) ? rnd(40) : rnd(sizeof pool);
            row.values[i].bytes = pool;
        }
    }
    return row;
}

static struct gw_change random_change(struct gw_arena *arena)
{
    struct gw_change change = {.kind = (enum gw_change_kind)(1 + rnd(9))};
    if (rnd(2))
        change.collection = rnd(UINT32_MAX);
    if (rnd(2))
        change.transaction = (uint64_t)rnd(UINT32_MAX) << 20;
    if (rnd(2)) {
        change.position.order = 1 + rnd(UINT32_MAX - 1);
        snprintf(change.position.text, sizeof change.position.text, "%X/%X", rnd(1000), rnd(100000));
    }
    if (rnd(2))
        change.commit_wall_us = -(int64_t)rnd(UINT32_MAX);
    *(change.kind == GW_CHANGE_SCHEMA ? &change.carries_plan : &change.ours) = rnd(2) == 0;
    if (rnd(2))
        change.old = random_row(arena);
    if (rnd(2))
        change.row = random_row(arena);
    if (rnd(3) == 0)
        change.text = rnd(2) ? "marker:abc" : "";
    return change;
}

static void assert_same(const struct gw_change *a, const struct gw_change *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->collection, b->collection);
    assert_true(a->transaction == b->transaction);
    assert_true(a->position.order == b->position.order);
    assert_string_equal(a->position.text, b->position.text);
    assert_true(a->commit_wall_us == b->commit_wall_us);
    assert_int_equal(a->ours, b->ours);
    assert_int_equal(a->carries_plan, b->carries_plan);
    assert_true(row_equal(&a->old, &b->old));
    assert_true(row_equal(&a->row, &b->row));
    assert_int_equal(a->text != NULL, b->text != NULL);
    if (a->text)
        assert_string_equal(a->text, b->text);
}

static bool gather(void *arg, const void *bytes, size_t len)
{
    gw_buf_add(arg, bytes, len);
    return true;
}

static void every_field_survives_and_pieces_are_the_same_bytes(void **state)
{
    (void)state;
    struct gw_arena arena = {0}, decoded = {0};
    for (size_t i = 0; i < sizeof pool; i++)
        pool[i] = (unsigned char)rnd(256);
    for (int round = 0; round < 3000; round++) {
        gw_arena_reset(&arena);
        gw_arena_reset(&decoded);
        struct gw_change change = random_change(&arena), back;
        gw_autobuf struct gw_buf whole = {0}, pieces = {0};
        struct gw_error err = {0};
        gw_change_encode(&whole, &change);
        assert_int_equal(whole.len, gw_change_encoded_size(&change));
        assert_true(gw_change_encode_pieces(&change, gather, &pieces));
        assert_int_equal(whole.len, pieces.len);
        assert_memory_equal(whole.data, pieces.data, whole.len);
        struct gw_cursor in = gw_cursor_of(whole.data, whole.len);
        MUST(gw_change_decode(&in, &decoded, &back, &err));
        assert_int_equal(gw_cursor_left(&in), 0);
        assert_same(&change, &back);
    }
    gw_arena_release(&arena);
    gw_arena_release(&decoded);
}

static void a_cut_change_is_refused_at_every_length(void **state)
{
    (void)state;
    struct gw_value values[] = {gw_value_text("key"), gw_value_text("value")};
    struct gw_change change = {.kind = GW_CHANGE_UPDATE,
                               .collection = 3,
                               .transaction = 77,
                               .commit_wall_us = 1,
                               .position = {.order = 5, .text = "0/5"},
                               .old = {.count = 1, .values = values},
                               .row = {.count = 2, .values = values},
                               .text = "words"};
    gw_autobuf struct gw_buf out = {0};
    struct gw_arena arena = {0};
    gw_change_encode(&out, &change);
    for (size_t len = 0; len < out.len; len++) {
        struct gw_change back;
        struct gw_error err = {0};
        struct gw_cursor in = gw_cursor_of(out.data, len);
        assert_false(gw_change_decode(&in, &arena, &back, &err));
        assert_int_equal(err.kind, GW_ERR_CONFLICT);
    }
    struct gw_change back;
    struct gw_error err = {0};
    out.data[0] = 42;
    struct gw_cursor in = gw_cursor_of(out.data, out.len);
    assert_false(gw_change_decode(&in, &arena, &back, &err));
    assert_contains(err.message, "42");
    gw_arena_release(&arena);
}

static bool refuse_second(void *arg, const void *bytes, size_t len)
{
    (void)bytes;
    (void)len;
    return ++*(int *)arg < 2;
}

static void pieces_stop_at_the_first_refusal(void **state)
{
    (void)state;
    struct gw_value values[4];
    for (int i = 0; i < 4; i++)
        values[i] = (struct gw_value){.kind = GW_VALUE_BINARY, .len = sizeof pool, .bytes = pool};
    struct gw_change change = {.kind = GW_CHANGE_INSERT, .row = {.count = 4, .values = values}};
    int calls = 0;
    assert_false(gw_change_encode_pieces(&change, refuse_second, &calls));
    assert_int_equal(calls, 2);
}

static void every_kind_has_a_name(void **state)
{
    (void)state;
    for (int kind = GW_CHANGE_BEGIN; kind <= GW_CHANGE_SIGNAL; kind++)
        assert_string_not_equal(gw_change_kind_name((enum gw_change_kind)kind), "unknown");
    assert_string_equal(gw_change_kind_name((enum gw_change_kind)0), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_survives_and_pieces_are_the_same_bytes),
        cmocka_unit_test(a_cut_change_is_refused_at_every_length),
        cmocka_unit_test(pieces_stop_at_the_first_refusal),
        cmocka_unit_test(every_kind_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
