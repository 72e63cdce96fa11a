/* The join of chunks and stream: each way known to lose or double a row, played by hand. */
#include "join_world.h"

#define ACCOUNT(id) ROW(id, "b" id, "note" id)

static void end_equal(struct world *w)
{
    world_catch_up(w->follow);
    assert_true(world_equal(w));
    assert_int_equal(world_quarantined(w, true), 0);
    world_free(w);
}

static void a_transaction_that_begins_first_and_commits_last_arrives(void **state)
{
    (void)state;
    struct world *w = world_ready("order");
    world_move(w);
    struct gw_memory_tx *first = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_insert(first, "account", ACCOUNT("1")));
    world_insert(w->blue_server, "account", ACCOUNT("2"));
    world_catch_up(w->follow);
    world_restart(w);
    world_follow(w);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    world_sql(gw_memory_insert(first, "account", ACCOUNT("3")));
    gw_memory_commit(first);
    world_catch_up(w->follow);
    assert_int_equal(gw_memory_rows(w->green_server, "account"), 3);
    end_equal(w);
}

static void a_commit_in_the_log_before_it_is_visible_is_neither_lost_nor_doubled(void **state)
{
    (void)state;
    struct world *w = world_ready("visible");
    for (int i = 0; i < 3; i++) {
        /* In the log before the chunk is read, seen by nobody until after it. */
        struct gw_memory_tx *hidden = gw_memory_begin(w->blue_server);
        world_sql(gw_memory_insert(hidden, "account", ROW(i == 0 ? "1" : i == 1 ? "5" : "9", "x", "y")));
        gw_memory_log_commit(hidden);
        world_insert(w->blue_server, "word", ROW(i == 0 ? "1" : i == 1 ? "2" : "3", "seen"));
        hand_load(w, "account", i == 0 ? NULL : i == 1 ? "4" : "8", i == 0 ? "4" : i == 1 ? "8" : NULL);
        gw_memory_make_visible(hidden);
    }
    world_finish_load(w);
    assert_int_equal(gw_memory_rows(w->green_server, "account"), 3);
    end_equal(w);
}

static void visibility_in_another_order_than_the_log_decides_by_the_mark(void **state)
{
    (void)state;
    struct world *w = world_ready("reorder");
    struct gw_memory_tx *a = gw_memory_begin(w->blue_server), *b = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_insert(a, "account", ACCOUNT("1")));
    world_sql(gw_memory_insert(b, "account", ACCOUNT("2")));
    gw_memory_log_commit(a);
    gw_memory_log_commit(b);
    gw_memory_make_visible(b); /* b is behind a in the log, and seen before it */
    hand_load(w, "account", NULL, NULL);
    assert_int_equal(gw_memory_rows(w->green_server, "account"), 1);
    gw_memory_make_visible(a);
    world_finish_load(w);
    assert_int_equal(gw_memory_rows(w->green_server, "account"), 2);
    end_equal(w);
}

static void a_chunk_read_earlier_does_not_overwrite_newer_rows(void **state)
{
    (void)state;
    struct world *w = world_ready("stale");
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    world_insert(w->blue_server, "account", ACCOUNT("2"));
    world_insert(w->blue_server, "account", ACCOUNT("3"));
    struct hand_chunk chunk;
    hand_read(w, "account", NULL, NULL, &chunk);
    world_insert(w->blue_server, "account", ACCOUNT("4"));
    world_update(w->blue_server, "account", ROW("1"), ROW(KEEP, "newer", KEEP));
    world_delete(w->blue_server, "account", ROW("2"));
    world_update(w->blue_server, "account", ROW("3"), ROW("30", KEEP, KEEP));
    hand_write(w, &chunk);
    world_finish_load(w);
    assert_int_equal(gw_memory_rows(w->green_server, "account"), 3);
    end_equal(w);
}

/* Two chunks, read before and after a change that touches both. */
static void a_key_that_moves_between_chunks_is_decided_one_by_one(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        bool low_first; /* which chunk is read before the change */
    } cases[] = {{"3", "7", true}, {"3", "7", false}, {"7", "3", true}, {"7", "3", false}};
    for (size_t i = 0; i < 4; i++) {
        for (int large = 0; large < 2; large++) {
            struct world *w = world_ready("move");
            hand_cut(w, "account", "5");
            world_insert(w->blue_server, "account", ROW(cases[i].from, "b", "a large value"));
            hand_load(w, "account", cases[i].low_first ? NULL : "5", cases[i].low_first ? "5" : NULL);
            world_update(w->blue_server, "account", ROW(cases[i].from),
                         ROW(cases[i].to, KEEP, large ? KEEP : "another large value"));
            struct hand_chunk other;
            hand_read(w, "account", cases[i].low_first ? "5" : NULL, cases[i].low_first ? NULL : "5", &other);
            hand_write(w, &other);
            world_finish_load(w);
            assert_int_equal(gw_memory_rows(w->green_server, "account"), 1);
            end_equal(w);
        }
    }
}

static void a_moved_row_without_its_large_value_is_read_again(void **state)
{
    (void)state;
    struct world *w = world_ready("again");
    hand_cut(w, "account", "5");
    world_insert(w->blue_server, "account", ROW("3", "b", "a large value"));
    hand_load(w, "account", "5", NULL); /* has not seen the move to 7 */
    world_update(w->blue_server, "account", ROW("3"), ROW("7", KEEP, KEEP));
    hand_load(w, "account", NULL, "5"); /* has seen it leave 3 */
    /* What comes later is in the row that is read again, and must not be applied on top of it. */
    world_update(w->blue_server, "account", ROW("7"), ROW(KEEP, "c", KEEP));
    world_update(w->blue_server, "account", ROW("7"), ROW(KEEP, "d", "the next large value"));
    world_finish_load(w);
    assert_int_equal(world_status(w->follow).refetched, 1);
    world_update(w->blue_server, "account", ROW("7"), ROW(KEEP, "e", KEEP));
    end_equal(w);
}

/* The row is gone on the target, and its change leaves out the large value. */
static void a_row_read_again_waits_until_its_transaction_is_visible(void **state)
{
    (void)state;
    struct world *w = world_ready("wait");
    world_insert(w->blue_server, "account", ROW("3", "b", "a large value"));
    world_move(w);
    world_delete(w->green_server, "account", ROW("3"));
    struct gw_memory_tx *hidden = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_update(hidden, "account", ROW("3"), ROW(KEEP, "c", KEEP)));
    gw_memory_log_commit(hidden); /* in the log, and a read would still give "b" */
    gw_sleep_us(30000);           /* let it try */
    gw_memory_make_visible(hidden);
    world_catch_up(w->follow);
    assert_int_equal(world_status(w->follow).refetched, 1);
    end_equal(w);
}

/* A world in which account 7 is on the way: it left the chunk that has seen it go, for one that has not seen it come.
 * `change`, if any, is made by the transaction that moved it. */
static struct world *world_with_a_row_to_read_again(const char *what, const char *also_changed_to)
{
    struct world *w = world_ready(what);
    hand_cut(w, "account", "5");
    world_insert(w->blue_server, "account", ROW("3", "b", "a large value"));
    hand_load(w, "account", "5", NULL);
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_update(tx, "account", ROW("3"), ROW("7", KEEP, KEEP)));
    if (also_changed_to)
        world_sql(gw_memory_update(tx, "account", ROW("7"), ROW(KEEP, also_changed_to, KEEP)));
    gw_memory_commit(tx);
    hand_load(w, "account", NULL, "5");
    return w;
}

static void a_row_read_again_is_not_changed_back_by_its_own_transaction(void **state)
{
    (void)state;
    struct world *w = world_with_a_row_to_read_again("back", "c");
    world_update(w->blue_server, "account", ROW("7"), ROW(KEEP, "d", KEEP)); /* seen by the read */
    world_finish_load(w);
    end_equal(w);
}

static void a_row_read_again_and_not_committed_is_read_once_more(void **state)
{
    (void)state;
    struct world *w = world_with_a_row_to_read_again("once-more", NULL);
    world_copy(w);
    WORLD_OK(gw_fault_set(w->green, "writer.commit:1=retry,writer.commit:2=cut", &err));
    world_finish_load(w);
    assert_true(world_status(w->follow).retries > 0);
    end_equal(w);
}

static void a_row_read_again_is_gone_when_the_collection_is_emptied(void **state)
{
    (void)state;
    struct world *w = world_with_a_row_to_read_again("emptied", NULL);
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_truncate(tx, "account"));
    gw_memory_commit(tx);
    world_insert(w->blue_server, "account", ROW("7", "new", "large"));
    world_update(w->blue_server, "account", ROW("7"), ROW(KEEP, "newer", KEEP));
    world_finish_load(w);
    assert_int_equal(gw_memory_rows(w->green_server, "account"), 1);
    end_equal(w);
}

static void a_row_read_again_keeps_deciding_after_a_restart(void **state)
{
    (void)state;
    struct world *w = world_ready("decide");
    hand_cut(w, "account", "5");
    world_insert(w->blue_server, "account", ROW("3", "b", "a large value"));
    hand_load(w, "account", "5", NULL);
    world_update(w->blue_server, "account", ROW("3"), ROW("7", KEEP, KEEP));
    hand_load(w, "account", NULL, "5");
    world_copy(w);
    w->batch_rows = 1;
    world_update(w->blue_server, "account", ROW("7"), ROW("8", KEEP, KEEP));
    world_update(w->blue_server, "account", ROW("8"), ROW("7", "c", "second large value"));
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    for (int i = 0; i < 5; i++) {
        world_restart(w);
        world_follow(w);
        WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
        gw_sleep_us(2000);
    }
    world_wait_past_marks(w);
    world_update(w->blue_server, "account", ROW("7"), ROW(KEEP, "d", KEEP));
    end_equal(w);
}

static void truncate_empties_the_ranges_that_did_not_see_it(void **state)
{
    (void)state;
    struct world *w = world_ready("truncate");
    for (int i = 0; i < 9; i++)
        world_insert(w->blue_server, "word",
                     ROW(((const char *[]){"0", "1", "2", "3", "4", "5", "6", "7", "8"})[i], "old"));
    hand_load(w, "word", NULL, "3");
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_insert(tx, "word", ROW("20", "gone at once")));
    world_sql(gw_memory_truncate(tx, "word"));
    world_sql(gw_memory_insert(tx, "word", ROW("4", "new")));
    gw_memory_commit(tx);
    world_insert(w->blue_server, "word", ROW("1", "new"));
    hand_load(w, "word", "3", NULL); /* has seen it */
    world_insert(w->blue_server, "word", ROW("5", "newer"));
    world_finish_load(w);
    assert_int_equal(gw_memory_rows(w->green_server, "word"), 3);
    tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_truncate(tx, "word"));
    gw_memory_commit(tx);
    world_catch_up(w->follow);
    assert_int_equal(gw_memory_rows(w->green_server, "word"), 0);
    end_equal(w);
}

static void truncate_finds_its_rows_as_the_source_orders_them(void **state)
{
    (void)state;
    struct world *w = world_ready("collations");
    gw_memory_sort_backwards(w->green_server, "setting");
    static const char *const names[] = {"a", "c", "e", "g", "i"};
    for (int i = 0; i < 5; i++)
        world_insert(w->blue_server, "setting", ROW(names[i], names[i], "old"));
    hand_load(w, "setting", NULL, "d");
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_truncate(tx, "setting"));
    gw_memory_commit(tx);
    for (int i = 1; i < 5; i++)
        world_insert(w->blue_server, "setting", ROW(names[i], names[i], "new"));
    hand_load(w, "setting", "d", NULL); /* has seen it; on green these keys come before "d" */
    world_finish_load(w);
    assert_int_equal(gw_memory_rows(w->green_server, "setting"), 4);
    end_equal(w);
}

static void keys_are_located_in_the_order_of_the_source(void **state)
{
    (void)state;
    /* As bytes "10" is before "9": a key in the wrong chunk would be decided by the wrong mark. */
    struct world *w = world_ready("locate");
    world_insert(w->blue_server, "account", ACCOUNT("10"));
    hand_load(w, "account", NULL, "9");
    world_update(w->blue_server, "account", ROW("10"), ROW(KEEP, "seen by the second chunk", KEEP));
    world_insert(w->blue_server, "account", ACCOUNT("8"));
    world_insert(w->blue_server, "account", ACCOUNT("11"));
    world_delete(w->blue_server, "account", ROW("11"));
    hand_load(w, "account", "9", NULL);
    world_finish_load(w);
    end_equal(w);
}

static void a_unique_value_that_moved_between_chunks_fits_after_the_marks(void **state)
{
    (void)state;
    struct world *w = world_ready("unique");
    world_insert(w->blue_server, "setting", ROW("a", "p1", "x"));
    world_insert(w->blue_server, "setting", ROW("m", "p2", "y"));
    hand_load(w, "setting", NULL, "h");
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_update(tx, "setting", ROW("a"), ROW(KEEP, NULL, KEEP)));
    world_sql(gw_memory_update(tx, "setting", ROW("m"), ROW(KEEP, "p1", KEEP)));
    gw_memory_commit(tx);
    hand_load(w, "setting", "h", NULL);
    world_copy(w);
    struct gw_error err = {0};
    assert_false(w->green->type->schema->create_indexes(w->green, w->folder, 1, &err)); /* too early */
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    world_finish_load(w);
    WORLD_OK(w->green->type->schema->create_indexes(w->green, w->folder, 1, &err));
    end_equal(w);
}

static void unchanged_large_values_survive(void **state)
{
    (void)state;
    struct world *w = world_ready("large");
    world_insert(w->blue_server, "line", ROW("1", "a", "n", "document", "picture"));
    world_insert(w->blue_server, "line", ROW("2", "a", "n", "document 2", "picture 2"));
    world_move(w);
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_update(tx, "line", ROW("1", "a"), ROW(KEEP, KEEP, "m", KEEP, KEEP)));
    world_sql(gw_memory_update(tx, "line", ROW("1", "a"), ROW(KEEP, KEEP, KEEP, "changed", KEEP)));
    world_sql(gw_memory_update(tx, "line", ROW("2", "a"), ROW("3", KEEP, KEEP, KEEP, KEEP)));
    world_sql(gw_memory_update(tx, "line", ROW("3", "a"), ROW("4", "b", "o", KEEP, "changed")));
    gw_memory_commit(tx);
    end_equal(w);
}

static void rows_without_key_are_told_apart_by_all_columns(void **state)
{
    (void)state;
    struct world *w = world_ready("nokey");
    for (int i = 0; i < 3; i++)
        world_insert(w->blue_server, "ledger", ROW("twin", "1"));
    world_insert(w->blue_server, "ledger", ROW("null", NULL));
    world_insert(w->blue_server, "ledger", ROW("null", NULL));
    world_move(w);
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_delete(tx, "ledger", ROW("twin", "1")));
    world_sql(gw_memory_delete(tx, "ledger", ROW("null", NULL)));
    world_sql(gw_memory_insert(tx, "ledger", ROW("twin", "2")));
    world_sql(gw_memory_update(tx, "ledger", ROW("twin", "2"), ROW(KEEP, "1")));
    world_sql(gw_memory_delete(tx, "ledger", ROW("twin", "1")));
    gw_memory_commit(tx);
    world_catch_up(w->follow);
    assert_int_equal(gw_memory_rows(w->green_server, "ledger"), 3);
    end_equal(w);
}

static void a_log_opened_behind_a_hidden_commit_is_not_settled(void **state)
{
    (void)state;
    struct world *w = world_new("settled");
    struct gw_memory_tx *hidden = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_insert(hidden, "account", ACCOUNT("1")));
    gw_memory_log_commit(hidden); /* in neither the stream to come nor a read now */
    struct gw_position start;
    char barrier[240];
    bool settled = true;
    gw_autobuf struct gw_buf who = {0};
    WORLD_OK(w->blue->type->changes->prepare(w->blue, &w->schema, &start, barrier, &err));
    WORLD_OK(w->blue->type->changes->settled(w->blue, barrier, &settled, &who, &err));
    assert_false(settled);
    assert_contains(gw_buf_text(&who), "transaction");
    gw_memory_make_visible(hidden);
    WORLD_OK(w->blue->type->changes->settled(w->blue, barrier, &settled, &who, &err));
    assert_true(settled);
    world_prepare(w);
    world_follow(w);
    world_move(w);
    end_equal(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_that_begins_first_and_commits_last_arrives),
        cmocka_unit_test(a_commit_in_the_log_before_it_is_visible_is_neither_lost_nor_doubled),
        cmocka_unit_test(visibility_in_another_order_than_the_log_decides_by_the_mark),
        cmocka_unit_test(a_chunk_read_earlier_does_not_overwrite_newer_rows),
        cmocka_unit_test(a_key_that_moves_between_chunks_is_decided_one_by_one),
        cmocka_unit_test(a_moved_row_without_its_large_value_is_read_again),
        cmocka_unit_test(a_row_read_again_waits_until_its_transaction_is_visible),
        cmocka_unit_test(a_row_read_again_is_not_changed_back_by_its_own_transaction),
        cmocka_unit_test(a_row_read_again_and_not_committed_is_read_once_more),
        cmocka_unit_test(a_row_read_again_is_gone_when_the_collection_is_emptied),
        cmocka_unit_test(a_row_read_again_keeps_deciding_after_a_restart),
        cmocka_unit_test(truncate_empties_the_ranges_that_did_not_see_it),
        cmocka_unit_test(truncate_finds_its_rows_as_the_source_orders_them),
        cmocka_unit_test(keys_are_located_in_the_order_of_the_source),
        cmocka_unit_test(a_unique_value_that_moved_between_chunks_fits_after_the_marks),
        cmocka_unit_test(unchanged_large_values_survive),
        cmocka_unit_test(rows_without_key_are_told_apart_by_all_columns),
        cmocka_unit_test(a_log_opened_behind_a_hidden_commit_is_not_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
