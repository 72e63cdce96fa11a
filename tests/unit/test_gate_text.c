/* The gate's texts: PgBouncer's ini and users file, addresses. */
#include "base/file.h"
#include "base/mem.h"
#include "gate/address.h"
#include "gate/pgbouncer_auth.h"
#include "gate/pgbouncer_ini.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static bool find(const char *text, const char *database, struct gw_pgb_entry *entry, int *count, struct gw_error *err)
{
    bool in_databases = false;
    return gw_pgb_ini_find(text, strlen(text), database, &in_databases, NULL, NULL, entry, count, err);
}

static void assert_address(const struct gw_gate_address *a, const char *host, const char *port, const char *dbname)
{
    assert_string_equal(a->host, host);
    assert_string_equal(a->port, port);
    assert_string_equal(a->dbname, dbname);
}

static void finds_the_line_under_databases_only(void **state)
{
    (void)state;
    struct gw_pgb_entry entry = {0};
    struct gw_error err;
    int count;
    const char *text = "app = host=before\n[databases]\n; app = host=comment\n#app = host=comment\n"
                       "  app = host=10.0.0.1 port=5433 dbname='the app'\t\r\napp2 = host=x\n[pgbouncer]\napp = 1\n";
    assert_true(find(text, "app", &entry, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(entry.line, 5);
    assert_address(&entry.address, "10.0.0.1", "5433", "the app");
    assert_true(find(text, "other", &entry, &count, &err));
    assert_int_equal(count, 0);
    assert_true(find("[databases]\na = host=1\na = host=2\n", "a", &entry, &count, &err));
    assert_int_equal(count, 2);
}

static void understands_quoting_and_defaults(void **state)
{
    (void)state;
    struct gw_pgb_entry entry = {0};
    struct gw_error err;
    int count;
    assert_true(find("[databases]\n\"my \"\"db\"\"\" = host = '/tmp/it''s' user=u", "my \"db\"", &entry, &count, &err));
    assert_int_equal(count, 1);
    assert_address(&entry.address, "/tmp/it's", "5432", "my \"db\"");
    assert_true(find("[databases]\napp =\n", "app", &entry, &count, &err));
    assert_address(&entry.address, "", "5432", "app");
}

static void refuses_what_pgbouncer_would_not_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"[databases]\napp = host\n", "[databases]\napp = host='x\n",
                                      "[databases]\nnonsense\n", "[databases]\napp = =x\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gw_pgb_entry entry = {0};
        struct gw_error err;
        int count;
        assert_false(find(bad[i], "app", &entry, &count, &err));
        assert_int_equal(err.kind, GW_ERR_USER);
        assert_non_null(strstr(err.message, "line 2"));
    }
}

static void rewritten(const char *text, const struct gw_gate_address *to, const char *expected)
{
    struct gw_pgb_entry entry = {0};
    struct gw_error err;
    int count;
    gw_autobuf struct gw_buf out = {0};
    assert_true(find(text, "app", &entry, &count, &err));
    assert_true(gw_pgb_ini_rewrite(text, strlen(text), &entry, to, &out, &err));
    assert_string_equal(gw_buf_text(&out), expected);
    /* and what was written says where it was to lead */
    assert_true(find(gw_buf_text(&out), "app", &entry, &count, &err));
    assert_true(gw_gate_address_equal(&entry.address, to));
}

static void rewrites_only_host_port_and_dbname(void **state)
{
    (void)state;
    struct gw_gate_address green = {.host = "10.0.0.2", .port = "6000", .dbname = "new"};
    struct gw_gate_address odd = {.host = "/tmp/it's here", .port = "5432", .dbname = "app"};
    rewritten("x\r\n[databases]\r\napp=user=u  host=old\tport=1 dbname='o''ld' pool_size=3  \r\n[pgbouncer]\r\n",
              &green,
              "x\r\n[databases]\r\napp=user=u  host=10.0.0.2\tport=6000 dbname=new pool_size=3  \r\n[pgbouncer]\r\n");
    rewritten("[databases]\napp = pool_size=3", &green,
              "[databases]\napp = host=10.0.0.2 port=6000 dbname=new pool_size=3");
    rewritten("[databases]\napp = host=old\n", &odd, "[databases]\napp = host='/tmp/it''s here'\n");
    rewritten("[databases]\napp =\n", &green, "[databases]\napp =host=10.0.0.2 port=6000 dbname=new \n");
}

static void a_line_break_in_an_address_is_refused(void **state)
{
    (void)state;
    struct gw_gate_address evil = {.host = "x\n[pgbouncer]\nadmin_users=me", .port = "1", .dbname = "d"};
    struct gw_pgb_entry entry = {0};
    struct gw_error err;
    gw_autobuf struct gw_buf out = {0};
    int count;
    const char *text = "[databases]\napp = host=y\n";
    assert_true(find(text, "app", &entry, &count, &err));
    assert_false(gw_pgb_ini_rewrite(text, strlen(text), &entry, &evil, &out, &err));
    assert_int_equal(out.len, 0);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    struct gw_error err;
    gw_autofree char *path = gw_asprintf("%s/%s", folder, name);
    assert_true(gw_file_replace(path, text, strlen(text), &err));
}

static void includes_carry_the_section_both_ways(void **state)
{
    (void)state;
    char folder[] = "/tmp/godwit-ini-XXXXXX";
    struct gw_error err;
    struct gw_pgb_entry entry = {0};
    assert_non_null(mkdtemp(folder));
    gw_autofree char *main_ini = gw_asprintf("%s/main.ini", folder);
    write_file(folder, "main.ini", "[databases]\n%include part.ini\nafter = host=3\n");
    write_file(folder, "part.ini", "app = host=1\n");
    assert_true(gw_pgb_ini_locate(main_ini, "app", &entry, &err));
    assert_non_null(strstr(entry.path, "/part.ini"));
    gw_pgb_entry_release(&entry);
    assert_true(gw_pgb_ini_locate(main_ini, "after", &entry, &err));
    assert_int_equal(entry.line, 3);
    gw_pgb_entry_release(&entry);
    write_file(folder, "part.ini", "app = host=1\n[pgbouncer]\n");
    assert_false(gw_pgb_ini_locate(main_ini, "after", &entry, &err));
    write_file(folder, "part.ini", "app = host=1\n%include main.ini\n");
    assert_false(gw_pgb_ini_locate(main_ini, "app", &entry, &err)); /* a circle */
    assert_true(gw_remove_tree(folder, &err));
}

static void a_staged_file_keeps_the_mode(void **state)
{
    (void)state;
    char folder[] = "/tmp/godwit-ini-XXXXXX";
    struct gw_error err;
    struct stat st;
    char *staged = NULL;
    assert_non_null(mkdtemp(folder));
    gw_autofree char *path = gw_asprintf("%s/p.ini", folder);
    write_file(folder, "p.ini", "old");
    assert_int_equal(chmod(path, 0640), 0);
    assert_true(gw_pgb_ini_may_stage(path, &err));
    assert_true(gw_pgb_ini_stage(path, "new", 3, &staged, &err));
    assert_true(gw_pgb_ini_commit(path, staged, &err));
    assert_true(gw_pgb_ini_sync(path, &err));
    free(staged);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_size, 3);
    assert_true(gw_remove_tree(folder, &err));
}

static void finds_secrets_by_user(void **state)
{
    (void)state;
    char out[64];
    const char *text = "; comment\n\"a\" \"one\"\n\"b\"\"c\"   \"t\"\"wo\" \"x\"\n\"broken\n\"e\" \"\"\n";
    assert_true(gw_pgb_auth_secret(text, "a", out, sizeof out));
    assert_string_equal(out, "one");
    assert_true(gw_pgb_auth_secret(text, "b\"c", out, sizeof out));
    assert_string_equal(out, "t\"wo");
    assert_true(gw_pgb_auth_secret(text, "e", out, sizeof out));
    assert_string_equal(out, "");
    assert_false(gw_pgb_auth_secret(text, "broken", out, sizeof out));
    assert_false(gw_pgb_auth_secret(text, "nobody", out, sizeof out));
}

static void reads_addresses_of_urls(void **state)
{
    (void)state;
    struct gw_gate_address a;
    struct gw_error err;
    unsetenv("PGPORT");
    assert_true(gw_gate_address_of_url("postgresql://u:secret@db.internal:6000/app", &a, &err));
    assert_address(&a, "db.internal", "6000", "app");
    assert_true(gw_gate_address_of_url("host=/run/pg dbname=app", &a, &err));
    assert_address(&a, "/run/pg", "5432", "app");
    assert_true(gw_gate_address_of_url("mysql://u:p%40w@[::1]:3307/a%2db?ssl-mode=required", &a, &err));
    assert_address(&a, "::1", "3307", "a-b");
    assert_true(gw_gate_address_of_url("mysql://u@db.internal/app", &a, &err));
    assert_address(&a, "db.internal", "", "app");
    assert_true(gw_gate_address_of_url("sqlite:///srv/app%20a.db", &a, &err));
    assert_address(&a, "", "", "/srv/app a.db");
    assert_true(gw_gate_address_of_url("sqlite:app.db", &a, &err));
    assert_address(&a, "", "", "app.db");
    assert_false(gw_gate_address_of_url("postgresql://a,b/app", &a, &err));
    assert_non_null(strstr(err.hint, "gate: blue"));
    assert_false(gw_gate_address_of_url("postgresql://u:secret@[bad/app", &a, &err));
    assert_null(strstr(err.message, "secret"));
}

static void parses_addresses_of_settings(void **state)
{
    (void)state;
    struct gw_gate_address a = {.host = "h", .port = "1", .dbname = "d"};
    struct gw_error err;
    assert_true(gw_gate_address_parse("other", "k", &a, &err));
    assert_address(&a, "other", "1", "d");
    assert_true(gw_gate_address_parse("[::1]:7000/app", "k", &a, &err));
    assert_address(&a, "::1", "7000", "app");
    assert_true(gw_gate_address_parse("/tmp/x:7001/b", "k", &a, &err));
    assert_address(&a, "/tmp/x", "7001", "b");
    static const char *const bad[] = {"", ":5", "h:x", "h:123456", "/tmp/x/app", "[::1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(gw_gate_address_parse(bad[i], "k", &a, &err));
    assert_address(&a, "/tmp/x", "7001", "b");
}

static void tells_the_same_place_by_other_names(void **state)
{
    (void)state;
    struct gw_gate_address number = {.host = "127.0.0.1", .port = "5432", .dbname = "app"};
    struct gw_gate_address name = {.host = "localhost", .port = "5432", .dbname = "app"};
    struct gw_gate_address socket = {.host = "/run/postgresql", .port = "5432", .dbname = "app"};
    struct gw_gate_address port = {.host = "127.0.0.1", .port = "5433", .dbname = "app"};
    struct gw_gate_address far = {.host = "192.0.2.7", .port = "5432", .dbname = "app"};
    assert_true(gw_gate_address_same_place(&number, &name));
    assert_true(gw_gate_address_same_place(&number, &socket));
    assert_false(gw_gate_address_same_place(&number, &port));
    assert_false(gw_gate_address_same_place(&number, &far));
    assert_false(gw_gate_address_same_place(&socket, &far));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_line_under_databases_only),
        cmocka_unit_test(understands_quoting_and_defaults),
        cmocka_unit_test(refuses_what_pgbouncer_would_not_read),
        cmocka_unit_test(rewrites_only_host_port_and_dbname),
        cmocka_unit_test(a_line_break_in_an_address_is_refused),
        cmocka_unit_test(includes_carry_the_section_both_ways),
        cmocka_unit_test(a_staged_file_keeps_the_mode),
        cmocka_unit_test(finds_secrets_by_user),
        cmocka_unit_test(reads_addresses_of_urls),
        cmocka_unit_test(parses_addresses_of_settings),
        cmocka_unit_test(tells_the_same_place_by_other_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
