/* Sessions of a real server: opened, refused, lost, cancelled. Environment: see with_servers.py. */
#include "gw_test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "store/postgres/conn.h"
#include "store/store.h"

#include <pthread.h>

static struct gw_cancel cancel;

static int setup(void **state)
{
    struct gw_error err;
    MUST(gw_cancel_init(&cancel, &err));
    *state = getenv("GODWIT_TEST_BLUE");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gw_cancel_release(&cancel);
    return 0;
}

static const char *url_of(void **state)
{
    if (!*state)
        skip();
    return *state;
}

static struct gw_pg_store *open_store(const char *url, const char *password_command, struct gw_cancel *token)
{
    struct gw_error err;
    struct gw_store *store;
    struct gw_store_options options = {
        .url = url, .password_command = password_command, .migration = "Conn-Test", .cancel = token};
    MUST(gw_store_open(&options, &store, &err));
    return gw_pg_store_of(store);
}

static struct gw_error refusal(const char *url, const char *password_command)
{
    struct gw_error err = {0};
    struct gw_store *store;
    struct gw_store_options options = {
        .url = url, .password_command = password_command, .migration = "conn", .side = GW_GREEN};
    assert_false(gw_store_open(&options, &store, &err));
    return err;
}

/* The URL with another user, password and database; NULL keeps what is there (no password: none). */
static char *url_with(const char *url, const char *user, const char *password, const char *database)
{
    const char *at = strchr(url, '@'), *slash = strrchr(url, '/'), *query = strchr(slash, '?');
    size_t database_len = query ? (size_t)(query - slash) - 1 : strlen(slash + 1);
    return gw_asprintf("postgresql://%s%s%s%.*s/%.*s%s", user, password ? ":" : "", password ? password : "",
                       (int)(slash - at), at, database ? (int)strlen(database) : (int)database_len,
                       database ? database : slash + 1, query ? query : "");
}

static void identity_is_learned_at_open(void **state)
{
    struct gw_pg_store *store = open_store(url_of(state), NULL, NULL);
    const struct gw_identity *id = &store->base.identity;
    assert_true(id->version >= 130000);
    assert_contains(id->product, "PostgreSQL ");
    assert_string_equal(id->user, "godwit");
    assert_true(id->loopback);
    assert_false(id->in_recovery);
    assert_true(strlen(id->server) > 5);
    assert_null(strstr(id->address, "secret"));
    assert_true((id->capabilities & GW_CAN_TRANSACT) != 0);
    assert_true(strncmp(store->slot, "godwit_conn_test_", 17) == 0 && strlen(store->slot) < 64);
    gw_store_close(&store->base);
}

static void an_unreachable_server_is_refused_with_a_hint(void **state)
{
    url_of(state);
    struct gw_error err = refusal("postgresql://godwit:geheim@127.0.0.1:1/app", NULL);
    assert_int_equal(err.kind, GW_ERR_REFUSED);
    assert_contains(err.message, "refused");
    assert_contains(err.place, "green");
    assert_true(*err.hint != 0);
    assert_null(strstr(err.place, "geheim"));
    assert_null(strstr(err.message, "geheim"));
}

static void a_missing_database_is_refused(void **state)
{
    gw_autofree char *url = url_with(url_of(state), "postgres", NULL, "no_such_database");
    struct gw_error err = refusal(url, NULL);
    assert_int_equal(err.kind, GW_ERR_REFUSED);
    assert_contains(err.message, "no_such_database");
}

static void a_wrong_password_is_refused_and_a_command_gives_the_right_one(void **state)
{
    const char *url = url_of(state);
    const char *colon = strchr(url + strlen("postgresql://"), ':'), *at = strchr(url, '@');
    if (!colon || colon > at) /* the server asks for none */
        skip();
    gw_autofree char *wrong = url_with(url, "godwit", "wrong-secret", NULL);
    struct gw_error err = refusal(wrong, NULL);
    assert_int_equal(err.kind, GW_ERR_REFUSED);
    assert_contains(err.message, "28P01");
    assert_null(strstr(err.message, "wrong-secret"));
    gw_autofree char *none = url_with(url, "godwit", NULL, NULL);
    gw_autofree char *command = gw_asprintf("echo '%.*s'; echo more", (int)(at - colon - 1), colon + 1);
    gw_store_close(&open_store(none, command, NULL)->base);
    err = refusal(none, "echo oops >&2; exit 3");
    assert_contains(err.message, "password_command");
    assert_contains(err.detail, "oops");
    err = refusal(none, "true");
    assert_contains(err.message, "printed no password");
}

static void *ask_soon(void *arg)
{
    gw_sleep_us(200000);
    gw_cancel_ask(arg, 15);
    return NULL;
}

static void a_running_query_is_cancelled_on_the_server_too(void **state)
{
    struct gw_error err;
    struct gw_cancel token;
    PGconn *conn;
    pthread_t thread;
    MUST(gw_cancel_init(&token, &err));
    struct gw_pg_store *store = open_store(url_of(state), NULL, &token);
    struct gw_pg_store *other = open_store(url_of(state), NULL, NULL);
    MUST(gw_pg_borrow(store, &conn, &err));
    int64_t begun_us = gw_mono_us();
    pthread_create(&thread, NULL, ask_soon, &token);
    assert_false(gw_pg_exec(store, conn, "SELECT pg_sleep(31)", &err));
    assert_int_equal(err.kind, GW_ERR_CANCELLED);
    assert_true(gw_mono_us() - begun_us < 5000000);
    pthread_join(thread, NULL);
    gw_pg_return(store, conn, true);
    PGconn *watcher;
    MUST(gw_pg_borrow(other, &watcher, &err));
    for (int64_t deadline_us = gw_mono_us() + 5000000;;) {
        gw_autobuf struct gw_buf count = {0};
        MUST(gw_pg_query_text(other, watcher,
                              "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(31)'"
                              " AND state = 'active'",
                              0, NULL, &count, NULL, &err));
        if (strcmp(gw_buf_text(&count), "0") == 0)
            break;
        assert_true(gw_mono_us() < deadline_us);
        gw_sleep_us(20000);
    }
    gw_pg_return(other, watcher, false);
    gw_store_close(&store->base);
    gw_store_close(&other->base);
    gw_cancel_release(&token);
}

static void run(struct gw_pg_store *store, PGconn *conn, const char *sql)
{
    struct gw_error err;
    MUST(gw_pg_exec(store, conn, sql, &err));
}

static void terminate(struct gw_pg_store *store, PGconn *victim)
{
    struct gw_error err;
    PGconn *conn;
    gw_autofree char *sql = gw_asprintf("SELECT pg_terminate_backend(%d, 5000)", PQbackendPID(victim));
    if (store->base.identity.version < 140000) {
        free(sql);
        sql = gw_asprintf("SELECT pg_terminate_backend(%d); SELECT pg_sleep(0.2)", PQbackendPID(victim));
    }
    MUST(gw_pg_connect(store, GW_PG_PLAIN, "test", &conn, &err));
    run(store, conn, sql);
    PQfinish(conn);
}

static void a_lost_session_is_worth_a_retry_and_not_lent_again(void **state)
{
    struct gw_pg_store *store = open_store(url_of(state), NULL, NULL);
    struct gw_error err;
    PGconn *conn, *next;
    MUST(gw_pg_borrow(store, &conn, &err));
    terminate(store, conn);
    assert_false(gw_pg_exec(store, conn, "SELECT 1", &err));
    assert_int_equal(err.kind, GW_ERR_RETRY);
    gw_pg_return(store, conn, true);
    MUST(gw_pg_borrow(store, &conn, &err));
    int pid = PQbackendPID(conn);
    gw_pg_return(store, conn, false);
    MUST(gw_pg_borrow(store, &next, &err));
    assert_int_equal(PQbackendPID(next), pid);
    gw_pg_return(store, next, false);
    terminate(store, next);
    MUST(gw_pg_borrow(store, &conn, &err));
    assert_true(PQbackendPID(conn) != pid);
    run(store, conn, "SELECT 1");
    gw_pg_return(store, conn, false);
    gw_store_close(&store->base);
}

static void errors_are_told_apart(void **state)
{
    static const struct {
        const char *sql;
        enum gw_error_kind kind;
    } cases[] = {
        {"SELECT 1/0", GW_ERR_CONFLICT},
        {"SELECT * FROM pg_authid", GW_ERR_REFUSED},
        {"SELECT 1 FROM no_such_table", GW_ERR_CONFLICT},
        {"DO $$BEGIN RAISE SQLSTATE '53100'; END$$", GW_ERR_RESOURCE},
        {"DO $$BEGIN RAISE SQLSTATE '40P01'; END$$", GW_ERR_RETRY},
        {"DO $$BEGIN RAISE SQLSTATE '0A000'; END$$", GW_ERR_UNSUPPORTED},
    };
    struct gw_pg_store *store = open_store(url_of(state), NULL, NULL);
    struct gw_error err;
    PGconn *conn;
    MUST(gw_pg_borrow(store, &conn, &err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_false(gw_pg_exec(store, conn, cases[i].sql, &err));
        if (err.kind != cases[i].kind)
            fail_msg("%s: %s", cases[i].sql, gw_error_kind_name(err.kind));
        assert_contains(err.message, "SQLSTATE");
        assert_contains(err.place, "blue");
    }
    gw_pg_return(store, conn, false);
    gw_store_close(&store->base);
}

static void settings_are_pinned_whatever_the_address_says(void **state)
{
    gw_autofree char *url =
        gw_asprintf("%s%coptions=-c%%20datestyle%%3DGerman%%20-c%%20timezone%%3DAsia/Tokyo%%20-c%%20"
                    "bytea_output%%3Descape%%20-c%%20default_transaction_read_only%%3Don%%20-c%%20"
                    "statement_timeout%%3D30",
                    url_of(state), strchr(url_of(state), '?') ? '&' : '?');
    struct gw_pg_store *store = open_store(url, NULL, NULL);
    struct gw_error err;
    PGconn *conn;
    gw_autobuf struct gw_buf text = {0};
    MUST(gw_pg_connect(store, GW_PG_PLAIN, "test", &conn, &err));
    MUST(gw_pg_query_text(
        store, conn,
        "SELECT pg_sleep(0.05)::text || '2026-01-02'::date || ' ' || '2026-01-01 00:00+00'::timestamptz"
        " || ' ' || '\\x00ff'::bytea::text || ' ' || current_setting('search_path') || ' ' ||"
        " current_setting('transaction_read_only') || ' ' || current_setting('application_name')",
        0, NULL, &text, NULL, &err));
    assert_string_equal(gw_buf_text(&text), "2026-01-02 2026-01-01 00:00:00+00 \\x00ff \"\" off godwit test");
    PQfinish(conn);
    gw_store_close(&store->base);
}

static void a_replication_session_runs_its_commands(void **state)
{
    struct gw_pg_store *store = open_store(url_of(state), NULL, NULL);
    struct gw_error err;
    PGconn *conn;
    PGresult *r;
    MUST(gw_pg_connect(store, GW_PG_REPLICATION, "stream", &conn, &err));
    MUST(gw_pg_query(store, conn, "IDENTIFY_SYSTEM", 0, NULL, &r, &err));
    assert_int_equal(PQntuples(r), 1);
    PQclear(r);
    PQfinish(conn);
    gw_store_close(&store->base);
}

static void an_error_in_a_chunk_is_never_its_end(void **state)
{
    struct gw_pg_store *store = open_store(url_of(state), NULL, NULL);
    const struct gw_reader_facet *f = store->base.type->reader;
    struct gw_column column = {.name = "oid", .type = "oid", .binary_safe = true};
    struct gw_collection c = {
        .space = "godwit_conn", .name = "many", .column_count = 1, .columns = &column, .all_binary_safe = true};
    struct gw_range whole = {0};
    struct gw_error err;
    struct gw_reader *reader;
    struct gw_mark mark;
    struct gw_block block;
    PGconn *conn;
    MUST(gw_pg_borrow(store, &conn, &err));
    run(store, conn,
        "DROP SCHEMA IF EXISTS godwit_conn CASCADE; CREATE SCHEMA godwit_conn;"
        "CREATE TABLE godwit_conn.many AS SELECT i::oid AS oid FROM generate_series(1, 2000000) i");
    MUST(f->open(&store->base, &reader, &err));
    MUST(f->begin(reader, &c, &whole, &mark, &err));
    MUST(f->next(reader, &block, &err));
    assert_true(block.rows > 100);
    gw_mark_release(&mark);
    gw_autobuf struct gw_buf ended = {0};
    MUST(gw_pg_query_text(store, conn,
                          "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                          " WHERE application_name = 'godwit copy' AND query ~ 'godwit_conn'",
                          0, NULL, &ended, NULL, &err));
    assert_string_equal(gw_buf_text(&ended), "1");
    bool fine = true;
    while (fine && block.len > 0)
        fine = f->next(reader, &block, &err);
    assert_false(fine);
    assert_int_equal(err.kind, GW_ERR_RETRY);
    f->close(reader);
    run(store, conn, "DROP SCHEMA godwit_conn CASCADE");
    gw_pg_return(store, conn, false);
    gw_store_close(&store->base);
}

static void names_and_literals_are_quoted(void **state)
{
    (void)state;
    gw_autobuf struct gw_buf out = {0};
    gw_pg_add_ident(&out, "a\"b.c");
    gw_pg_add_literal(&out, "it's");
    gw_pg_add_literal(&out, "a\\'b");
    assert_string_equal(gw_buf_text(&out), "\"a\"\"b.c\"'it''s'E'a\\\\''b'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_is_learned_at_open),
        cmocka_unit_test(an_unreachable_server_is_refused_with_a_hint),
        cmocka_unit_test(a_missing_database_is_refused),
        cmocka_unit_test(a_wrong_password_is_refused_and_a_command_gives_the_right_one),
        cmocka_unit_test(a_running_query_is_cancelled_on_the_server_too),
        cmocka_unit_test(a_lost_session_is_worth_a_retry_and_not_lent_again),
        cmocka_unit_test(errors_are_told_apart),
        cmocka_unit_test(settings_are_pinned_whatever_the_address_says),
        cmocka_unit_test(a_replication_session_runs_its_commands),
        cmocka_unit_test(an_error_in_a_chunk_is_never_its_end),
        cmocka_unit_test(names_and_literals_are_quoted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
