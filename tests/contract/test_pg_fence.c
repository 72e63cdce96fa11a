/* The fence, the home and the census of sessions on real servers, tried by the roles of an application. */
#include "pg_world.h"

#include <pthread.h>

static const char ddl[] =
    "CREATE TABLE items (id int PRIMARY KEY, v int); INSERT INTO items VALUES (1, 1);"
    "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);"
    "CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);"
    "CREATE TABLE parted_leaf PARTITION OF parted_low FOR VALUES FROM (0) TO (5);"
    "CREATE TABLE base (id int PRIMARY KEY); CREATE TABLE derived (PRIMARY KEY (id)) INHERITS (base);"
    "CREATE TABLE \"Odd.Näme\" (id int PRIMARY KEY);"
    "CREATE VIEW items_view AS SELECT * FROM items;"
    "CREATE FUNCTION add_item() RETURNS void LANGUAGE sql SECURITY DEFINER AS"
    " 'INSERT INTO public.items VALUES (99, 1)';"
    "GRANT EXECUTE ON FUNCTION add_item() TO app; GRANT SELECT, UPDATE, INSERT ON items_view TO app;";

static const char *const writes[] = {"INSERT INTO items VALUES (50, 1)",
                                     "UPDATE items SET v = 2 WHERE false",
                                     "DELETE FROM items",
                                     "TRUNCATE items",
                                     "INSERT INTO items_view VALUES (51, 1)",
                                     "SELECT add_item()",
                                     "INSERT INTO parted VALUES (1)",
                                     "INSERT INTO parted_low VALUES (1)",
                                     "INSERT INTO parted_leaf VALUES (1)",
                                     "UPDATE parted SET id = 2",
                                     "TRUNCATE parted",
                                     "DELETE FROM ONLY parted",
                                     "INSERT INTO base VALUES (1)",
                                     "UPDATE base SET id = 2",
                                     "INSERT INTO derived VALUES (1)",
                                     "INSERT INTO \"Odd.Näme\" VALUES (1)",
                                     "COPY items FROM PROGRAM 'true'",
                                     "WITH x AS (INSERT INTO items VALUES (60, 1) RETURNING *) SELECT * FROM x",
                                     "INSERT INTO items VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET v = 5",
                                     "PREPARE p AS INSERT INTO items VALUES (70, 1); EXECUTE p",
                                     "SET session_replication_role = replica; INSERT INTO items VALUES (80, 1)",
                                     "DO $$ BEGIN INSERT INTO public.items VALUES (90, 1); END $$"};

static const struct gw_fence_facet *fence_of(struct pg_world *w)
{
    return w->store[GW_BLUE]->type->fence;
}

static void make(struct pg_world *w)
{
    struct gw_error err = {0};
    pg_do(w->owner[GW_BLUE], ddl);
    pg_world_install(w, GW_BLUE);
    pg_world_list(w, GW_BLUE);
    MUST(fence_of(w)->install(w->store[GW_BLUE], &w->schema, &err));
}

static void raise_fence(struct pg_world *w, struct gw_position *at)
{
    struct gw_error err = {0};
    MUST(fence_of(w)->raise(w->store[GW_BLUE], &w->schema, 3000, at, &err));
}

static void assert_stopped(PGconn *conn, const char *who, const char *sql)
{
    const char *state = pg_fails(conn, sql);
    if (strcmp(state, "25006") != 0) {
        print_error("as %s: %s: SQLSTATE \"%s\", not stopped by the fence\n", who, sql, state);
        fail();
    }
    PQclear(PQexec(conn, "ROLLBACK"));
    PQclear(PQexec(conn, "DEALLOCATE ALL"));
    PQclear(PQexec(conn, "RESET session_replication_role"));
}

static bool app_may(const char *sql)
{
    return !strstr(sql, "replication_role") && !strstr(sql, "PROGRAM");
}

static void no_session_but_ours_writes_behind_the_fence(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    struct gw_position at;
    bool raised;
    PGconn *app = pg_connect_app(w, GW_BLUE);
    make(w);
    MUST(fence_of(w)->is_raised(w->store[GW_BLUE], &raised, &err));
    assert_false(raised);
    pg_do(app, "INSERT INTO public.items VALUES (2, 2)");
    MUST(fence_of(w)->install(w->store[GW_BLUE], &w->schema, &err)); /* again: nothing happens */

    /* Begun before, with a snapshot of its own and plans of its own. */
    PGconn *old = pg_connect_app(w, GW_BLUE);
    pg_do(old, "SET default_transaction_isolation = 'repeatable read'");
    pg_do(old, "PREPARE old AS INSERT INTO public.items VALUES (3, 3)");
    pg_do(old, "BEGIN; SELECT count(*) FROM public.items");
    raise_fence(w, &at);
    raise_fence(w, &at);
    MUST(fence_of(w)->is_raised(w->store[GW_BLUE], &raised, &err));
    assert_true(raised);
    assert_string_equal(pg_fails(old, "EXECUTE old"), "25006");
    PQfinish(old);

    pg_do(app, "SET search_path = public");
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        if (app_may(writes[i]))
            assert_stopped(app, "app", writes[i]);
        if (app_may(writes[i]))
            assert_stopped(w->owner[GW_BLUE], "table owner", writes[i]);
        assert_stopped(w->admin[GW_BLUE], "superuser", writes[i]);
    }
    pg_do(app, "SELECT * FROM items");
    assert_string_equal(pg_value(w->admin[GW_BLUE], "SELECT count(*) FROM items"), "2");

    /* Ours writes, also as a member of the owner. */
    PGconn *ours = pg_connect_as(w, GW_BLUE, "");
    pg_do(ours, "INSERT INTO public.items VALUES (4, 4); SET ROLE app_owner; UPDATE public.items SET v = 9;"
                "INSERT INTO public.parted VALUES (3); TRUNCATE public.base");
    PQfinish(ours);

    MUST(fence_of(w)->lower(w->store[GW_BLUE], &err));
    MUST(fence_of(w)->lower(w->store[GW_BLUE], &err));
    pg_do(app, "INSERT INTO items VALUES (5, 5); INSERT INTO parted VALUES (4)");
    PQfinish(app);

    gw_autobuf struct gw_buf left = {0};
    MUST(w->store[GW_BLUE]->type->ownership->leftovers(w->store[GW_BLUE], &left, &err));
    assert_contains(gw_buf_text(&left), "trigger godwit_fence on public.items");
    assert_contains(gw_buf_text(&left), "schema godwit");
    MUST(w->store[GW_BLUE]->type->ownership->uninstall(w->store[GW_BLUE], &err));
    MUST(w->store[GW_BLUE]->type->ownership->leftovers(w->store[GW_BLUE], &left, &err));
    assert_int_equal(left.len, 0);
    pg_do(w->owner[GW_BLUE], "INSERT INTO items VALUES (6, 6)");
}

static void a_session_that_claims_to_probe_gains_nothing(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_position at;
    PGconn *app = pg_connect_app(w, GW_BLUE);
    make(w);
    raise_fence(w, &at);
    pg_do(app, "SET search_path = public; SET godwit.probe = 'off'");
    assert_stopped(app, "app", "INSERT INTO items VALUES (50, 1)");
    pg_do(app, "SET godwit.probe = 'on'");
    assert_stopped(app, "app", "INSERT INTO items VALUES (50, 1)");
    assert_string_equal(pg_fails(app, "SELECT godwit.fence_probe('{}')"), "42501");
    /* An operator or table of its own in the way of the names our function uses. */
    pg_do(w->owner[GW_BLUE],
          "CREATE SCHEMA evil; CREATE FUNCTION evil.pg_sequence_last_value(regclass) RETURNS bigint LANGUAGE sql AS"
          " 'SELECT 1::bigint'; CREATE FUNCTION evil.no(bigint, int) RETURNS boolean LANGUAGE sql AS 'SELECT false';"
          "CREATE FUNCTION evil.no(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT false';"
          "CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = int, FUNCTION = evil.no);"
          "CREATE OPERATOR evil.<> (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.no);"
          "CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS 'SELECT NULL::text';"
          "GRANT USAGE ON SCHEMA evil TO app");
    pg_do(app, "SET search_path = evil, public, pg_catalog");
    assert_stopped(app, "app", "INSERT INTO items VALUES (50, 1)");
    PQfinish(app);
}

struct waiting_raise {
    struct pg_world *w;
    struct gw_position at;
    struct gw_error err;
    bool fine;
    int timeout_ms;
};

static void *raise_in_thread(void *arg)
{
    struct waiting_raise *r = arg;
    r->fine = fence_of(r->w)->raise(r->w->store[GW_BLUE], &r->w->schema, r->timeout_ms, &r->at, &r->err);
    return NULL;
}

static void wait_for(PGconn *conn, const char *sql)
{
    int64_t deadline_us = gw_mono_us() + 10000000;
    while (strcmp(pg_value(conn, sql), "t") != 0) {
        assert_true(gw_mono_us() < deadline_us);
        gw_sleep_us(5000);
    }
}

static void raising_waits_for_writers_and_gives_up_in_time(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    PGconn *app = pg_connect_app(w, GW_BLUE);
    bool raised;
    make(w);
    pg_do(app, "SET search_path = public; SET application_name = 'billing'; BEGIN; INSERT INTO items VALUES (10, 10)");
    struct gw_position at;
    int64_t start_us = gw_mono_us();
    assert_false(fence_of(w)->raise(w->store[GW_BLUE], &w->schema, 700, &at, &err));
    assert_true(gw_mono_us() - start_us < 3000000);
    assert_int_equal(err.kind, GW_ERR_RETRY);
    assert_contains(err.detail, "billing");
    MUST(fence_of(w)->is_raised(w->store[GW_BLUE], &raised, &err));
    assert_false(raised);

    struct waiting_raise r = {.w = w, .timeout_ms = 8000};
    pthread_t thread;
    pthread_create(&thread, NULL, raise_in_thread, &r);
    wait_for(w->admin[GW_BLUE], "SELECT count(*) > 0 FROM pg_locks WHERE mode = 'ExclusiveLock' AND NOT granted AND"
                                " relation = 'items'::regclass");
    pg_do(app, "INSERT INTO items VALUES (11, 11); COMMIT");
    pthread_join(thread, NULL);
    if (!r.fine)
        print_error("%s (%s)\n", r.err.message, r.err.detail);
    assert_true(r.fine);
    assert_string_equal(pg_value(w->admin[GW_BLUE], "SELECT count(*) FROM items WHERE id IN (10, 11)"), "2");
    assert_stopped(app, "app", "INSERT INTO items VALUES (12, 12)");
    PQfinish(app);
}

static void a_prepared_transaction_holds_the_fence_up(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    struct gw_position at;
    make(w);
    pg_do(w->admin[GW_BLUE], "BEGIN; INSERT INTO items VALUES (10, 10); PREPARE TRANSACTION 'fence_test'");
    bool raised = fence_of(w)->raise(w->store[GW_BLUE], &w->schema, 500, &at, &err);
    pg_do(w->admin[GW_BLUE], "COMMIT PREPARED 'fence_test'");
    assert_false(raised);
    assert_contains(err.detail, "fence_test");
    raise_fence(w, &at);
}

/* What was committed before lies before the position, and the stream gets there at once though nothing else happens. */
static void the_stream_reaches_the_fence_promptly(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    const struct gw_changes_facet *changes = w->store[GW_BLUE]->type->changes;
    struct gw_position start, at;
    char barrier[240];
    struct gw_stream *s;
    make(w);
    MUST(changes->prepare(w->store[GW_BLUE], &w->schema, &start, barrier, &err));
    MUST(changes->open(w->store[GW_BLUE], &w->schema, &start, &s, &err));
    int64_t worst_us = 0;
    for (int round = 0; round < 10; round++) {
        char sql[100];
        snprintf(sql, sizeof sql, "SET synchronous_commit = off; INSERT INTO items VALUES (%d, 0)", 1000 + round);
        pg_do(w->owner[GW_BLUE], sql);
        int64_t start_us = gw_mono_us();
        raise_fence(w, &at);
        bool row = false;
        struct gw_position reached = {0};
        while (gw_position_before(&reached, &at)) {
            struct gw_change c;
            bool got;
            MUST(changes->next(s, 5000, &c, &got, &err));
            assert_true(got);
            row = row || c.kind == GW_CHANGE_INSERT;
            if (c.kind == GW_CHANGE_COMMIT || c.kind == GW_CHANGE_PROGRESS)
                reached = c.position;
        }
        assert_true(row);
        if (gw_mono_us() - start_us > worst_us)
            worst_us = gw_mono_us() - start_us;
        MUST(fence_of(w)->lower(w->store[GW_BLUE], &err));
    }
    print_message("raise and reach, worst of 10: %.1f ms\n", (double)worst_us / 1000);
    assert_true(worst_us < 1000000);
    changes->close(s);
}

static void a_probe_and_holes_tell_whether_it_holds(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    struct gw_position at;
    bool held;
    gw_autobuf struct gw_buf text = {0};
    pg_do(w->owner[GW_BLUE], "CREATE TABLE excluded_since_ever (id int)");
    make(w);
    struct gw_store *blue = w->store[GW_BLUE];
    MUST(fence_of(w)->prove(blue, &w->schema, &held, &text, &err));
    assert_false(held);
    raise_fence(w, &at);
    MUST(fence_of(w)->prove(blue, &w->schema, &held, &text, &err));
    assert_true(held);
    assert_contains(gw_buf_text(&text), "stopped on all");
    assert_string_equal(pg_value(w->admin[GW_BLUE], "SELECT count(*) FROM items"), "1");
    MUST(fence_of(w)->holes(blue, &w->schema, &text, &err));
    assert_string_equal(gw_buf_text(&text), "");

    pg_do(w->owner[GW_BLUE], "ALTER TABLE items DISABLE TRIGGER godwit_fence");
    MUST(fence_of(w)->prove(blue, &w->schema, &held, &text, &err));
    assert_false(held);
    assert_contains(gw_buf_text(&text), "public.items");
    pg_do(w->owner[GW_BLUE], "DROP TRIGGER godwit_fence ON parted; CREATE TABLE late (id int);"
                             "CREATE TABLE parted_new PARTITION OF parted FOR VALUES FROM (20) TO (30)");
    MUST(fence_of(w)->holes(blue, &w->schema, &text, &err));
    assert_contains(gw_buf_text(&text), "trigger on public.items is disabled");
    assert_contains(gw_buf_text(&text), "trigger on public.parted is missing");
    assert_contains(gw_buf_text(&text), "table public.late was made after");
    assert_contains(gw_buf_text(&text), "table public.parted_new was made after");
    assert_null(strstr(gw_buf_text(&text), "excluded_since_ever"));

    /* A fence with a hole is not raised. */
    MUST(fence_of(w)->lower(blue, &err));
    assert_false(fence_of(w)->raise(blue, &w->schema, 1000, &at, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    MUST(fence_of(w)->install(blue, &w->schema, &err));
    raise_fence(w, &at);
    MUST(fence_of(w)->prove(blue, &w->schema, &held, &text, &err));
    assert_true(held);
    /* A read-only default is somebody else's "no": it proves nothing of the fence. */
    MUST(fence_of(w)->lower(blue, &err));
    pg_do(w->owner[GW_BLUE], "DROP TABLE late, parted_new");
}

static void the_owner_changes_hands_once(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    struct gw_store *blue = w->store[GW_BLUE];
    const struct gw_ownership_facet *home = blue->type->ownership;
    struct gw_owner owner, now;
    bool installed, done;
    gw_autobuf struct gw_buf json = {0};
    MUST(home->get(blue, &owner, &installed, &err));
    assert_false(installed);
    MUST(home->noted(blue, "plan", &json, &err));
    assert_int_equal(json.len, 0);
    pg_world_install(w, GW_BLUE);
    pg_world_install(w, GW_BLUE);
    MUST(home->get(blue, &owner, &installed, &err));
    assert_true(installed);
    assert_int_equal(owner.owner, GW_BLUE);
    assert_int_equal(owner.epoch, 1);
    assert_string_equal(owner.migration, w->database);
    assert_string_equal(owner.migration_id, "0123");
    assert_false(home->install(blue, "4567", &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, w->database);

    MUST(home->compare_and_set(blue, &owner, GW_GREEN, &done, &err));
    assert_true(done);
    MUST(home->compare_and_set(blue, &owner, GW_GREEN, &done, &err));
    assert_false(done);
    MUST(home->get(blue, &now, &installed, &err));
    assert_int_equal(now.owner, GW_GREEN);
    assert_int_equal(now.epoch, 2);
    MUST(home->compare_and_set(blue, &now, GW_BLUE, &done, &err));
    assert_true(done);

    MUST(home->note(blue, "plan", "{\"a\": \"it's \\\\ é\"}", &err));
    MUST(home->note(blue, "plan", "{\"b\": 1}", &err));
    MUST(home->noted(blue, "plan", &json, &err));
    assert_string_equal(gw_buf_text(&json), "{\"b\": 1}");
    MUST(home->uninstall(blue, &err));
    MUST(home->get(blue, &now, &installed, &err));
    assert_false(installed);
}

/* A flip that is under way, or whose commit hangs, holds the row. */
static void the_fence_waits_for_a_change_of_owner(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    struct gw_position at;
    bool raised = false, done = true;
    struct gw_owner row;
    bool installed;
    make(w);
    raise_fence(w, &at);
    const struct gw_ownership_facet *home = w->store[GW_BLUE]->type->ownership;
    MUST(home->get(w->store[GW_BLUE], &row, &installed, &err));
    PGconn *flip = w->admin[GW_BLUE];
    pg_do(flip, "BEGIN; UPDATE godwit.owner SET owner = 'green', epoch = epoch + 1");
    assert_false(fence_of(w)->lower(w->store[GW_BLUE], &err));
    assert_int_equal(err.kind, GW_ERR_RETRY);
    assert_false(home->compare_and_set(w->store[GW_BLUE], &row, GW_BLUE, &done, &err));
    assert_int_equal(err.kind, GW_ERR_RETRY);
    pg_do(flip, "COMMIT");
    assert_false(fence_of(w)->lower(w->store[GW_BLUE], &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    MUST(fence_of(w)->is_raised(w->store[GW_BLUE], &raised, &err));
    assert_true(raised);
}

static void sessions_of_others_are_counted_and_ended(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    struct gw_store *blue = w->store[GW_BLUE];
    struct gw_session_info *sessions;
    size_t count;
    PGconn *app = pg_connect_app(w, GW_BLUE), *operator= pg_connect_as(w, GW_BLUE, "");
    pg_do(app, "SET application_name = 'cron'; BEGIN; SELECT 1");
    MUST(blue->type->sessions->census(blue, &sessions, &count, &err));
    bool seen_app = false, seen_operator = false;
    for (size_t i = 0; i < count; i++) {
        seen_app =
            seen_app ||
            (sessions[i].id == PQbackendPID(app) && strcmp(sessions[i].user, "app") == 0 &&
             strcmp(sessions[i].application, "cron") == 0 && strncmp(sessions[i].address, "127.0.0.1:", 10) == 0 &&
             strcmp(sessions[i].state, "idle in transaction") == 0 && sessions[i].transaction_age_us > 0);
        seen_operator = seen_operator || sessions[i].id == PQbackendPID(operator);
        assert_null(strstr(sessions[i].application, "godwit"));
    }
    assert_true(seen_app);
    assert_true(seen_operator); /* godwit's role by hand: the fence would let it pass */
    assert_int_equal(count, 4); /* and the test's owner and superuser */
    free(sessions);
    MUST(blue->type->sessions->end(blue, PQbackendPID(app), &err));
    (void)pg_fails(app, "SELECT 1");
    assert_int_equal(PQstatus(app), CONNECTION_BAD);
    MUST(blue->type->sessions->end(blue, PQbackendPID(app), &err)); /* gone already */
    assert_false(blue->type->sessions->end(blue, PQbackendPID(w->admin[GW_BLUE]), &err));
    assert_int_equal(err.kind, GW_ERR_REFUSED);
    assert_contains(err.hint, "pg_signal_backend");
    PQfinish(app);
    PQfinish(operator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PG_TEST(no_session_but_ours_writes_behind_the_fence),
        PG_TEST(a_session_that_claims_to_probe_gains_nothing),
        PG_TEST(raising_waits_for_writers_and_gives_up_in_time),
        PG_TEST(a_prepared_transaction_holds_the_fence_up),
        PG_TEST(the_stream_reaches_the_fence_promptly),
        PG_TEST(a_probe_and_holes_tell_whether_it_holds),
        PG_TEST(the_owner_changes_hands_once),
        PG_TEST(the_fence_waits_for_a_change_of_owner),
        PG_TEST(sessions_of_others_are_counted_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
