/* The follower: batches, hazards, quarantine, both directions, acknowledgements, what blocks and what wakes. */
#include "join_world.h"

#define ACCOUNT(id) ROW(id, "b" id, "note" id)

static struct world *world_following(const char *what)
{
    struct world *w = world_ready(what);
    world_move(w);
    return w;
}

static void end_equal(struct world *w)
{
    world_catch_up(w->follow);
    assert_true(world_equal(w));
    assert_int_equal(world_quarantined(w, true), 0);
    world_free(w);
}

static void insert_many(struct gw_memory_tx *tx, int from, int to)
{
    for (int i = from; i < to; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        world_sql(gw_memory_insert(tx, "account", ROW(id, "some balance", "some large value")));
    }
}

static void a_transaction_larger_than_a_batch_is_applied_whole(void **state)
{
    (void)state;
    struct world *w = world_ready("big");
    w->batch_rows = 7;
    world_restart(w);
    world_follow(w);
    world_move(w);
    for (int round = 0; round < 3; round++) {
        struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
        insert_many(tx, round * 1000, round * 1000 + 1000); /* over several spool segments, too */
        gw_memory_commit(tx);
        uint64_t rows = 0;
        while ((rows = gw_memory_rows(w->green_server, "account")) < (uint64_t)(round + 1) * 1000) {
            assert_int_equal(rows % 1000, 0); /* never a part of it */
            gw_sleep_us(200);
        }
    }
    assert_true(world_status(w->follow).batches < 20);
    end_equal(w);
}

static void changes_of_a_key_collapse_to_their_net_effect(void **state)
{
    (void)state;
    struct world *w = world_following("net");
    WORLD_OK(gw_follow_pause_apply(w->follow, &err));
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    world_insert(w->blue_server, "account", ACCOUNT("2"));
    for (int i = 0; i < 50; i++)
        world_update(w->blue_server, "account", ROW("1"), ROW(KEEP, i % 2 ? "odd" : "even", KEEP));
    world_delete(w->blue_server, "account", ROW("2"));
    world_insert(w->blue_server, "account", ROW("2", "again", "x"));
    world_update(w->blue_server, "account", ROW("2"), ROW("3", KEEP, KEEP));
    world_insert(w->blue_server, "account", ACCOUNT("4"));
    world_delete(w->blue_server, "account", ROW("4"));
    world_insert(w->blue_server, "account", ROW("2", "third", "y"));
    WORLD_OK(gw_fault_set(w->green, "writer.apply:1000000=retry", &err)); /* only to count */
    uint64_t careful = world_status(w->follow).careful;
    while (world_status(w->follow).received.order < gw_memory_log_order(w->blue_server))
        gw_sleep_us(500); /* all in the spool, so that it can be one batch */
    gw_follow_resume_apply(w->follow);
    world_catch_up(w->follow);
    assert_int_equal(gw_fault_calls(w->green, "writer.apply"), 1); /* three rows inserted, 56 changes gone */
    assert_int_equal(world_status(w->follow).careful, careful);
    end_equal(w);
}

static void unique_values_that_swap_are_applied_in_the_original_order(void **state)
{
    (void)state;
    struct world *w = world_following("swap");
    world_insert(w->blue_server, "setting", ROW("a", "p1", "x"));
    world_insert(w->blue_server, "setting", ROW("b", "p2", "y"));
    world_catch_up(w->follow);
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_update(tx, "setting", ROW("a"), ROW(KEEP, NULL, KEEP)));
    world_sql(gw_memory_update(tx, "setting", ROW("b"), ROW(KEEP, "p1", KEEP)));
    world_sql(gw_memory_update(tx, "setting", ROW("a"), ROW(KEEP, "p2", KEEP)));
    gw_memory_commit(tx);
    world_catch_up(w->follow);
    assert_true(world_status(w->follow).careful > 0);
    end_equal(w);
}

static void come_again(struct world *w, const char *place_of_a, const char *place_of_b)
{
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_delete(tx, "setting", ROW("a")));
    world_sql(gw_memory_delete(tx, "setting", ROW("b")));
    world_sql(gw_memory_insert(tx, "setting", ROW("a", place_of_a, "x")));
    world_sql(gw_memory_insert(tx, "setting", ROW("b", place_of_b, "y")));
    gw_memory_commit(tx);
    world_catch_up(w->follow);
}

static void a_row_that_went_and_came_again_is_updated(void **state)
{
    (void)state;
    struct world *w = world_following("again");
    world_insert(w->blue_server, "setting", ROW("a", "p1", "x"));
    world_insert(w->blue_server, "setting", ROW("b", "p2", "y"));
    world_catch_up(w->follow);
    uint64_t careful = world_status(w->follow).careful;
    WORLD_OK(gw_fault_set(w->green, "writer.apply:1000000=retry", &err)); /* only to count */
    come_again(w, "p3", "p4");
    assert_int_equal(gw_fault_calls(w->green, "writer.apply"), 1);
    assert_int_equal(world_status(w->follow).careful, careful);
    come_again(w, "p4", "p3"); /* an update of one would meet the other's */
    assert_int_equal(world_status(w->follow).careful, careful + 1);
    come_again(w, "p3", "p4"); /* known by now: deleted and inserted */
    assert_int_equal(world_status(w->follow).careful, careful + 1);
    end_equal(w);
}

/* line.part and setting.place reference account.id: carried out as InnoDB does, past the log. */
static struct world *world_with_foreign_keys(const char *what)
{
    static uint32_t id = 0, part = 0, place = 1;
    static struct gw_cascade cascades[2];
    struct world *w = world_ready(what);
    uint32_t account = gw_schema_find(&w->schema, "public", "account")->id;
    cascades[0] = (struct gw_cascade){.parent = account,
                                      .child = gw_schema_find(&w->schema, "public", "line")->id,
                                      .count = 1,
                                      .parent_columns = &id,
                                      .child_columns = &part};
    cascades[1] = (struct gw_cascade){.parent = account,
                                      .child = gw_schema_find(&w->schema, "public", "setting")->id,
                                      .count = 1,
                                      .parent_columns = &id,
                                      .child_columns = &place};
    w->cascades = cascades;
    w->cascade_count = 2;
    world_restart(w);
    world_follow(w);
    world_move(w);
    for (int i = 1; i <= 2; i++) {
        char key[8], name[8];
        snprintf(key, sizeof key, "%d", i);
        snprintf(name, sizeof name, "s%d", i);
        world_insert(w->blue_server, "account", ROW(key, "b", "n"));
        world_insert(w->blue_server, "line", ROW(key, "x", "1", "d", "p"));
        world_insert(w->blue_server, "line", ROW(key, "y", "2", "d", "p"));
        world_insert(w->blue_server, "setting", ROW(name, key, "v"));
    }
    world_catch_up(w->follow);
    return w;
}

static void what_a_foreign_key_did_past_the_log_is_made_good(void **state)
{
    (void)state;
    struct world *w = world_with_foreign_keys("cascade");
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_delete(tx, "account", ROW("1")));
    gw_memory_unlogged(tx, true);
    world_sql(gw_memory_delete(tx, "line", ROW("1", "x")));
    world_sql(gw_memory_delete(tx, "line", ROW("1", "y")));
    world_sql(gw_memory_update(tx, "setting", ROW("s1"), ROW(KEEP, NULL, KEEP)));
    gw_memory_unlogged(tx, false);
    world_sql(gw_memory_insert(tx, "account", ROW("3", "b", "n")));
    gw_memory_commit(tx);
    world_catch_up(w->follow);
    assert_int_equal(gw_memory_rows(w->green_server, "line"), 2);
    end_equal(w);
}

static void a_parents_key_that_moves_takes_its_children_along(void **state)
{
    (void)state;
    struct world *w = world_with_foreign_keys("cascade-move");
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_update(tx, "account", ROW("2"), ROW("20", KEEP, KEEP)));
    gw_memory_unlogged(tx, true);
    world_sql(gw_memory_update(tx, "line", ROW("2", "x"), ROW("20", KEEP, KEEP, KEEP, KEEP)));
    world_sql(gw_memory_update(tx, "line", ROW("2", "y"), ROW("20", KEEP, KEEP, KEEP, KEEP)));
    world_sql(gw_memory_update(tx, "setting", ROW("s2"), ROW(KEEP, "20", KEEP)));
    gw_memory_commit(tx);
    world_update(w->blue_server, "line", ROW("20", "x"), ROW(KEEP, KEEP, "later", KEEP, KEEP));
    world_catch_up(w->follow);
    end_equal(w);
}

static void a_row_that_is_not_there_goes_into_quarantine_and_blocks(void **state)
{
    (void)state;
    struct world *w = world_following("missing");
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    world_insert(w->blue_server, "account", ACCOUNT("2"));
    world_catch_up(w->follow);
    world_delete(w->green_server, "account", ROW("1")); /* behind our back */
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_update(tx, "account", ROW("1"), ROW(KEEP, "changed", "all of it")));
    world_sql(gw_memory_update(tx, "account", ROW("2"), ROW(KEEP, "changed", KEEP)));
    gw_memory_commit(tx);
    world_delete(w->blue_server, "account", ROW("1"));
    world_insert(w->blue_server, "account", ACCOUNT("3"));
    world_catch_up(w->follow);
    assert_true(world_equal(w)); /* the rest went on, and the delete makes it good here */
    struct gw_follow_status s = world_status(w->follow);
    assert_int_equal(s.quarantined, 2);
    assert_int_equal(s.block, GW_FOLLOW_QUARANTINED);
    assert_contains(s.blocked, "quarantine");
    struct gw_quarantined *items = NULL;
    size_t count = 0;
    WORLD_OK(gw_state_quarantined(w->state, &items, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(items[0].key, "id=1");
    assert_contains(items[0].reason, "not on the target");
    gw_quarantined_free(items, count);
    /* Again from an older position: the same things are not put there twice. */
    WORLD_OK(gw_state_clear_quarantine(w->state, 0, &err));
    gw_sleep_us(1100000); /* the status looks once a second */
    assert_int_equal(world_status(w->follow).block, GW_FOLLOW_FREE);
    world_free(w);
}

static void quarantine_holds_a_change_once_however_often_it_is_tried(void **state)
{
    (void)state;
    struct world *w = world_following("once");
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    world_catch_up(w->follow);
    world_delete(w->green_server, "account", ROW("1"));
    WORLD_OK(gw_fault_set(w->green, "writer.commit:2=retry,writer.commit:3=retry", &err));
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    world_sql(gw_memory_delete(tx, "account", ROW("1")));
    world_sql(gw_memory_insert(tx, "account", ACCOUNT("2")));
    gw_memory_commit(tx);
    world_catch_up(w->follow);
    assert_int_equal(world_quarantined(w, false), 1);
    assert_true(world_equal(w));
    world_free(w);
}

static void a_conflict_at_commit_puts_the_transaction_into_quarantine(void **state)
{
    (void)state;
    struct world *w = world_following("commit");
    WORLD_OK(gw_fault_set(w->green, "writer.commit:1=conflict,writer.commit:2=conflict", &err));
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    world_insert(w->blue_server, "account", ACCOUNT("2"));
    world_catch_up(w->follow);
    assert_int_equal(world_quarantined(w, false), 1);
    assert_int_equal(gw_memory_rows(w->green_server, "account"), 1);
    world_free(w);
}

static void a_changed_definition_stops_applying_and_nothing_else(void **state)
{
    (void)state;
    struct world *w = world_following("ddl");
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    gw_memory_alter(w->blue_server, "account", "column price was added to public.account");
    world_insert(w->blue_server, "account", ACCOUNT("2"));
    bool reached = true;
    struct gw_error err = {0};
    assert_false(gw_follow_wait_caught_up(w->follow, 10000, &reached, &err));
    assert_false(reached);
    struct gw_follow_status s = world_status(w->follow);
    assert_int_equal(s.block, GW_FOLLOW_SCHEMA);
    assert_contains(s.blocked, "column price was added");
    assert_contains(s.blocked, "godwit abort");
    assert_false(s.applying);
    assert_true(s.receiving);
    assert_int_equal(gw_memory_rows(w->green_server, "account"), 1); /* what came before it is there */
    /* A restart does not slip past it. */
    world_restart(w);
    world_follow(w);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    assert_false(gw_follow_wait_caught_up(w->follow, 10000, &reached, &err));
    assert_int_equal(world_status(w->follow).block, GW_FOLLOW_SCHEMA);
    assert_int_equal(gw_memory_rows(w->green_server, "account"), 1);
    world_free(w);
}

static void what_we_applied_ourselves_is_never_sent_back(void **state)
{
    (void)state;
    struct world *w = world_following("echo");
    world_start_back(w);
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    world_update(w->blue_server, "account", ROW("1"), ROW(KEEP, "c", KEEP));
    world_catch_up(w->follow);
    world_catch_up(w->back);
    struct gw_follow_status s = world_status(w->back);
    assert_true(s.skipped_ours > 0);
    assert_int_equal(s.foreign_writes, 0);
    assert_int_equal(s.transactions, 0);
    /* No ping-pong: once it is quiet the logs stop growing. */
    uint64_t blue = gw_memory_log_order(w->blue_server), green = gw_memory_log_order(w->green_server);
    gw_sleep_us(400000);
    assert_int_equal(gw_memory_log_order(w->blue_server), blue);
    assert_true(gw_memory_log_order(w->green_server) - green < 300); /* at most the last position's own commit */
    end_equal(w);
}

static void a_foreign_write_is_reported_and_never_applied(void **state)
{
    (void)state;
    struct world *w = world_following("foreign");
    world_start_back(w);
    world_catch_up(w->back);
    world_insert(w->green_server, "account", ACCOUNT("666"));
    world_catch_up(w->back);
    struct gw_follow_status s = world_status(w->back);
    assert_int_equal(s.foreign_writes, 1);
    assert_int_equal(s.block, GW_FOLLOW_FOREIGN);
    assert_contains(s.blocked, "green");
    assert_int_equal(gw_memory_rows(w->blue_server, "account"), 0);
    assert_int_equal(world_quarantined(w, false), 1);
    /* Still said after a restart. */
    world_restart(w);
    world_follow(w);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    world_start_back(w);
    world_catch_up(w->back);
    assert_int_equal(world_status(w->back).block, GW_FOLLOW_FOREIGN);
    assert_int_equal(world_quarantined(w, false), 1);
    world_free(w);
}

static void a_canary_travels_the_way_back(void **state)
{
    (void)state;
    struct world *w = world_following("canary");
    world_start_back(w);
    bool seen = false, reached = false;
    WORLD_OK(w->green->type->changes->signal(w->green, "canary:1", &err));
    WORLD_OK(gw_follow_wait_signal(w->back, "canary:1", 10000, &reached, &err));
    assert_true(reached);
    WORLD_OK(w->blue->type->changes->seen(w->blue, "canary:1", &seen, &err));
    assert_true(seen);
    WORLD_OK(w->green->type->changes->signal(w->green, "marker:2", &err));
    WORLD_OK(gw_follow_wait_signal(w->back, "marker:2", 10000, &reached, &err));
    WORLD_OK(w->blue->type->changes->seen(w->blue, "marker:2", &seen, &err));
    assert_true(reached);
    assert_false(seen);
    assert_int_equal(world_status(w->back).foreign_writes, 0);
    end_equal(w);
}

static void flip_row(struct gw_store *store, enum gw_side owner)
{
    struct gw_owner row;
    bool installed = false, done = false;
    WORLD_OK(store->type->ownership->get(store, &row, &installed, &err));
    assert_true(installed);
    WORLD_OK(store->type->ownership->compare_and_set(store, &row, owner, &done, &err));
    assert_true(done);
}

static void the_owner_can_change_and_change_again(void **state)
{
    (void)state;
    struct world *w = world_following("flip");
    struct gw_position at;
    bool reached = false;
    world_start_back(w);
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    for (int round = 0; round < 4; round++) {
        bool to_green = round % 2 == 0;
        struct gw_memory *old_owner = to_green ? w->blue_server : w->green_server;
        struct gw_memory *new_owner = to_green ? w->green_server : w->blue_server;
        struct gw_store *old_store = to_green ? w->blue : w->green, *new_store = to_green ? w->green : w->blue;
        struct gw_follow *drained = to_green ? w->follow : w->back, *opened = to_green ? w->back : w->follow;
        WORLD_OK(old_store->type->fence->raise(old_store, &w->schema, 1000, &at, &err));
        struct gw_memory_tx *late = gw_memory_begin(old_owner);
        assert_int_equal(gw_memory_insert(late, "account", ACCOUNT("99")), GW_MEMORY_FENCED);
        gw_memory_rollback(late);
        WORLD_OK(old_store->type->changes->signal(old_store, "marker:drain", &err));
        WORLD_OK(gw_follow_wait_applied(drained, &at, 10000, &reached, &err));
        assert_true(reached);
        world_catch_up(opened);
        gw_follow_set_source_owns(drained, false);
        gw_follow_set_source_owns(opened, true);
        flip_row(old_store, new_store->side);
        flip_row(new_store, new_store->side);
        WORLD_OK(new_store->type->fence->lower(new_store, &err));
        char id[8];
        snprintf(id, sizeof id, "%d", 10 + round);
        world_insert(new_owner, "account", ROW(id, "x", "y"));
        world_update(new_owner, "account", ROW("1"), ROW(KEEP, id, KEEP));
        world_catch_up(opened);
        assert_true(world_equal(w));
    }
    assert_int_equal(world_status(w->follow).foreign_writes + world_status(w->back).foreign_writes, 0);
    assert_int_equal(world_quarantined(w, true), 0);
    world_free(w);
}

static void a_lost_machine_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    struct world *w = world_following("ack");
    for (int i = 0; i < 5; i++) {
        struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
        insert_many(tx, i * 100, i * 100 + 100);
        gw_memory_commit(tx);
        gw_sleep_us(3000);
        gw_memory_crash(w->green_server, 1); /* what did not wait for the disk */
        world_restart(w);
        WORLD_OK(gw_remove_tree(w->spool_dir, &err)); /* and our own disk */
        world_follow(w);
        WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    }
    end_equal(w);
}

static void wait_acknowledged(struct world *w)
{
    struct gw_retained retained;
    int64_t deadline_us = gw_mono_us() + 10000000;
    do {
        WORLD_OK(w->blue->type->changes->retained(w->blue, &retained, &err));
        gw_sleep_us(2000);
    } while (retained.bytes > 0 && gw_mono_us() < deadline_us);
    assert_int_equal(retained.bytes, 0);
}

static void what_was_acknowledged_while_loading_is_safe_once_it_is_passed(void **state)
{
    (void)state;
    struct world *w = world_ready("passed");
    for (int i = 0; i < 3; i++) { /* nothing of it will have to be applied: the chunk sees it all */
        char id[8];
        snprintf(id, sizeof id, "%d", i);
        world_insert(w->blue_server, "account", ROW(id, "b", "n"));
    }
    wait_acknowledged(w);
    world_copy(w);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    world_wait_past_marks(w);
    WORLD_OK(gw_remove_tree(w->spool_dir, &err));
    world_restart(w);
    world_follow(w);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    world_insert(w->blue_server, "account", ACCOUNT("9"));
    end_equal(w);
}

/* The spool is lost, the stream begins at what the target says, and then the target falls back behind that. */
static void a_new_spool_begins_at_what_is_on_the_targets_disk(void **state)
{
    (void)state;
    struct world *w = world_following("fallback");
    world_stop(w);
    w->durable_ms = 1000000; /* nothing waits for the disk by itself */
    world_follow(w);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    world_catch_up(w->follow);
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    int64_t deadline_us = gw_mono_us() + 10000000;
    while (gw_memory_rows(w->green_server, "account") == 0 && gw_mono_us() < deadline_us)
        gw_sleep_us(500);
    /* Killed: no last commit on the way out. */
    WORLD_OK(gw_fault_set(w->green, "writer.open:p1=refused,writer.begin:p1=retry", &err));
    world_restart(w);
    WORLD_OK(gw_remove_tree(w->spool_dir, &err));
    world_follow(w);
    while (!world_status(w->follow).receiving && gw_mono_us() < deadline_us)
        gw_sleep_us(500);
    gw_memory_crash(w->green_server, 0);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    end_equal(w);
}

static void wait_acknowledged_past(struct world *w, uint64_t order)
{
    struct gw_retained retained = {0};
    int64_t deadline_us = gw_mono_us() + 10000000;
    do {
        gw_sleep_us(2000);
        WORLD_OK(w->blue->type->changes->retained(w->blue, &retained, &err));
    } while (gw_memory_log_order(w->blue_server) - (uint64_t)retained.bytes <= order && gw_mono_us() < deadline_us);
    assert_true(gw_memory_log_order(w->blue_server) - (uint64_t)retained.bytes > order);
}

/* What was not synced is gone after a power cut: the source has dropped it, and the target has it. */
static void a_spool_that_lost_its_end_goes_on_from_the_target(void **state)
{
    (void)state;
    struct world *w = world_following("older");
    char old[260];
    snprintf(old, sizeof old, "%s.old", w->spool_dir);
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    world_catch_up(w->follow);
    uint64_t old_end = world_status(w->follow).received.order;
    world_restart(w);
    assert_int_equal(rename(w->spool_dir, old), 0);
    world_follow(w);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    world_insert(w->blue_server, "account", ACCOUNT("2"));
    world_catch_up(w->follow);
    wait_acknowledged_past(w, old_end);
    world_restart(w);
    WORLD_OK(gw_remove_tree(w->spool_dir, &err));
    assert_int_equal(rename(old, w->spool_dir), 0);
    world_follow(w);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    world_insert(w->blue_server, "account", ACCOUNT("3"));
    bool reached = false;
    WORLD_OK(gw_follow_wait_caught_up(w->follow, 10000, &reached, &err));
    assert_true(reached);
    end_equal(w);
}

/* A lock on the target, a silent network: whoever stops the follower does not wait for that to end. */
static void a_stop_ends_what_hangs_on_the_target(void **state)
{
    (void)state;
    struct world *w = world_following("hang");
    WORLD_OK(gw_fault_set(w->green, "writer.apply:1=hang", &err));
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    int64_t deadline_us = gw_mono_us() + 10000000;
    while (gw_fault_calls(w->green, "writer.apply") == 0 && gw_mono_us() < deadline_us)
        gw_sleep_us(500);
    assert_int_equal(gw_fault_calls(w->green, "writer.apply"), 1);
    int64_t begun_us = gw_mono_us();
    world_stop(w);
    assert_in_range(gw_mono_us() - begun_us, 500000, 5000000); /* it is given the time to end by itself */
    world_follow(w);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    end_equal(w);
}

static void a_place_that_is_given_up_is_said_and_nothing_more_received(void **state)
{
    (void)state;
    struct world *w = world_following("given-up");
    struct gw_error why = {0};
    gw_fail(&why, GW_ERR_LOST_POSITION, "too much was kept");
    gw_follow_give_up(w->follow, &why);
    struct gw_position far = {.order = UINT64_MAX};
    struct gw_error err = {0};
    bool reached = false;
    assert_false(gw_follow_wait_applied(w->follow, &far, 10000, &reached, &err));
    assert_contains(err.message, "too much was kept");
    int64_t deadline_us = gw_mono_us() + 10000000;
    while (world_status(w->follow).receiving && gw_mono_us() < deadline_us)
        gw_sleep_us(500);
    assert_false(world_status(w->follow).receiving);
    assert_int_equal(world_status(w->follow).block, GW_FOLLOW_FAILED);
    world_free(w);
}

static void while_loading_only_what_the_spool_has_on_disk_is_acknowledged(void **state)
{
    (void)state;
    struct world *w = world_ready("spooled");
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    wait_acknowledged(w); /* after a sync, without anything being applied */
    assert_int_equal(gw_memory_rows(w->green_server, "account"), 0);
    world_restart(w);
    world_follow(w); /* the spool has it, the source no longer does */
    world_move(w);
    end_equal(w);
}

static void a_full_spool_lets_the_source_keep_its_log(void **state)
{
    (void)state;
    struct world *w = world_ready("full");
    world_stop(w);
    w->spool_limit_bytes = 60000;
    world_follow(w);
    world_copy(w);
    for (int i = 0; i < 40; i++) {
        struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
        insert_many(tx, i * 50, i * 50 + 50);
        gw_memory_commit(tx);
    }
    int64_t deadline_us = gw_mono_us() + 10000000;
    while (world_status(w->follow).block != GW_FOLLOW_SPOOL_FULL && gw_mono_us() < deadline_us)
        gw_sleep_us(2000);
    assert_int_equal(world_status(w->follow).block, GW_FOLLOW_SPOOL_FULL);
    assert_true(world_status(w->follow).spool_bytes < 70000);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    world_wait_past_marks(w);
    end_equal(w);
}

/* Half a transaction that takes most of the spool must not be what receiving waits to see gone. */
static void a_transaction_that_fills_the_spool_halfway_is_received_again(void **state)
{
    (void)state;
    struct world *w = world_ready("half");
    world_stop(w);
    w->spool_limit_bytes = 60000; /* four segments */
    world_move(w);
    WORLD_OK(gw_follow_pause_apply(w->follow, &err));
    int rows = 0;
    for (; world_status(w->follow).spool_bytes < 16000; rows += 10) { /* more than a segment, to be applied first */
        struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
        insert_many(tx, rows, rows + 10);
        gw_memory_commit(tx);
        while (world_status(w->follow).received.order < gw_memory_log_order(w->blue_server))
            gw_sleep_us(500);
    }
    int64_t row_bytes = world_status(w->follow).spool_bytes / rows;
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    insert_many(tx, rows, rows + (int)(63000 / row_bytes)); /* fits alone, and not beside what is there */
    gw_memory_commit(tx);
    int64_t deadline_us = gw_mono_us() + 10000000;
    while (world_status(w->follow).block != GW_FOLLOW_SPOOL_FULL && gw_mono_us() < deadline_us)
        gw_sleep_us(2000);
    assert_int_equal(world_status(w->follow).block, GW_FOLLOW_SPOOL_FULL);
    gw_follow_resume_apply(w->follow);
    bool reached = false;
    WORLD_OK(gw_follow_wait_caught_up(w->follow, 10000, &reached, &err));
    assert_true(reached);
    end_equal(w);
}

static void a_pause_leaves_nothing_open_and_nothing_undurable(void **state)
{
    (void)state;
    struct world *w = world_following("pause");
    struct writer writer;
    writer_init(&writer, w->blue_server, 5);
    writer_start(&writer);
    for (int i = 0; i < 5; i++) {
        gw_sleep_us(3000);
        WORLD_OK(gw_follow_pause_apply(w->follow, &err));
        assert_true(world_status(w->follow).paused);
        gw_autobuf struct gw_buf before = {0}, after = {0};
        gw_memory_dump(w->green_server, "account", &before);
        gw_memory_crash(w->green_server, 0); /* everything that did not wait for the disk is gone */
        gw_memory_dump(w->green_server, "account", &after);
        assert_string_equal(gw_buf_text(&before), gw_buf_text(&after));
        gw_follow_resume_apply(w->follow);
    }
    writer_stop(&writer);
    end_equal(w);
}

static void a_waiter_wakes_within_milliseconds(void **state)
{
    (void)state;
    struct world *w = world_following("wake");
    int64_t total_us = 0;
    for (int i = 0; i < 50; i++) {
        char token[32];
        bool reached = false;
        snprintf(token, sizeof token, "marker:%d", i);
        world_insert(w->blue_server, "ledger", ROW("x", "1"));
        int64_t began_us = gw_mono_us();
        WORLD_OK(w->blue->type->changes->signal(w->blue, token, &err));
        WORLD_OK(gw_follow_wait_signal(w->follow, token, 10000, &reached, &err));
        assert_true(reached);
        total_us += gw_mono_us() - began_us;
    }
    print_message("a signal takes %lld us on average\n", (long long)(total_us / 50));
    assert_true(total_us / 50 < 50000); /* on a busy machine; a poll with a sleep would be at 100 ms and more */
    end_equal(w);
}

static void a_wait_says_when_its_time_is_over(void **state)
{
    (void)state;
    struct world *w = world_following("timeout");
    struct gw_position never = {.order = UINT64_MAX};
    bool reached = true;
    WORLD_OK(gw_follow_wait_applied(w->follow, &never, 30, &reached, &err));
    assert_false(reached);
    end_equal(w);
}

static void applying_too_early_is_refused(void **state)
{
    (void)state;
    struct world *w = world_ready("early");
    struct gw_error err = {0};
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    assert_false(gw_follow_allow_apply(w->follow, w->state, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, "not loaded and keyed");
    world_move(w);
    end_equal(w);
}

static void a_lost_position_is_said_and_not_skipped(void **state)
{
    (void)state;
    struct world *w = world_following("lost");
    world_insert(w->blue_server, "account", ACCOUNT("1"));
    world_catch_up(w->follow);
    world_stop(w);
    WORLD_OK(w->blue->type->changes->drop(w->blue, &err)); /* behind our back */
    world_follow(w);
    int64_t deadline_us = gw_mono_us() + 5000000;
    while (world_status(w->follow).block != GW_FOLLOW_FAILED && gw_mono_us() < deadline_us)
        gw_sleep_us(1000);
    struct gw_follow_status s = world_status(w->follow);
    assert_int_equal(s.block, GW_FOLLOW_FAILED);
    assert_int_equal(s.error.kind, GW_ERR_LOST_POSITION);
    world_free(w);
}

static void the_status_counts_what_is_behind(void **state)
{
    (void)state;
    struct world *w = world_following("status");
    WORLD_OK(gw_follow_pause_apply(w->follow, &err));
    struct gw_memory_tx *tx = gw_memory_begin(w->blue_server);
    insert_many(tx, 0, 100);
    gw_memory_commit(tx);
    int64_t deadline_us = gw_mono_us() + 5000000;
    while (world_status(w->follow).lag_rows < 100 && gw_mono_us() < deadline_us)
        gw_sleep_us(1000);
    struct gw_follow_status s = world_status(w->follow);
    assert_int_equal(s.lag_rows, 100);
    assert_true(s.lag_bytes > 1000);
    assert_false(s.caught_up);
    assert_false(s.applying);
    assert_int_equal(s.seconds_left, -1);
    gw_follow_resume_apply(w->follow);
    world_catch_up(w->follow);
    deadline_us = gw_mono_us() + 5000000;
    while (!world_status(w->follow).caught_up && gw_mono_us() < deadline_us)
        gw_sleep_us(1000);
    s = world_status(w->follow);
    assert_true(s.caught_up);
    assert_int_equal(s.lag_rows, 0);
    assert_int_equal(s.lag_bytes, 0);
    assert_int_equal(s.changes[GW_CHANGE_INSERT], 100);
    end_equal(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_larger_than_a_batch_is_applied_whole),
        cmocka_unit_test(changes_of_a_key_collapse_to_their_net_effect),
        cmocka_unit_test(unique_values_that_swap_are_applied_in_the_original_order),
        cmocka_unit_test(a_row_that_went_and_came_again_is_updated),
        cmocka_unit_test(what_a_foreign_key_did_past_the_log_is_made_good),
        cmocka_unit_test(a_parents_key_that_moves_takes_its_children_along),
        cmocka_unit_test(a_row_that_is_not_there_goes_into_quarantine_and_blocks),
        cmocka_unit_test(quarantine_holds_a_change_once_however_often_it_is_tried),
        cmocka_unit_test(a_conflict_at_commit_puts_the_transaction_into_quarantine),
        cmocka_unit_test(a_changed_definition_stops_applying_and_nothing_else),
        cmocka_unit_test(what_we_applied_ourselves_is_never_sent_back),
        cmocka_unit_test(a_foreign_write_is_reported_and_never_applied),
        cmocka_unit_test(a_canary_travels_the_way_back),
        cmocka_unit_test(the_owner_can_change_and_change_again),
        cmocka_unit_test(a_lost_machine_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(what_was_acknowledged_while_loading_is_safe_once_it_is_passed),
        cmocka_unit_test(a_new_spool_begins_at_what_is_on_the_targets_disk),
        cmocka_unit_test(a_spool_that_lost_its_end_goes_on_from_the_target),
        cmocka_unit_test(a_stop_ends_what_hangs_on_the_target),
        cmocka_unit_test(a_place_that_is_given_up_is_said_and_nothing_more_received),
        cmocka_unit_test(while_loading_only_what_the_spool_has_on_disk_is_acknowledged),
        cmocka_unit_test(a_full_spool_lets_the_source_keep_its_log),
        cmocka_unit_test(a_transaction_that_fills_the_spool_halfway_is_received_again),
        cmocka_unit_test(a_pause_leaves_nothing_open_and_nothing_undurable),
        cmocka_unit_test(a_waiter_wakes_within_milliseconds),
        cmocka_unit_test(a_wait_says_when_its_time_is_over),
        cmocka_unit_test(applying_too_early_is_refused),
        cmocka_unit_test(a_lost_position_is_said_and_not_skipped),
        cmocka_unit_test(the_status_counts_what_is_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
