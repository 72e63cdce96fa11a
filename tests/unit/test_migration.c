/* The migration file: what it means, and what is wrong with each kind of bad one. */
#include "gw_test.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model/migration.h"

#include <errno.h>
#include <sys/stat.h>

#define SIDES                                                                                                          \
    "    blue: postgresql://godwit@old.internal/app\n"                                                                 \
    "    green: postgresql://godwit@new.internal/app\n"
#define HEAD "migration: acme\nstores:\n  main:\n" SIDES

static struct gw_migration parse(const char *text)
{
    struct gw_error err = {0};
    struct gw_migration m;
    MUST(gw_migration_parse(text, strlen(text), "/etc/godwit.yaml", &m, &err));
    return m;
}

static void the_shortest_file_has_all_defaults(void **state)
{
    (void)state;
    struct gw_migration m = parse(HEAD);
    assert_string_equal(m.name, "acme");
    assert_string_equal(m.file, "/etc/godwit.yaml");
    assert_string_equal(m.state, "/etc/.godwit");
    assert_string_equal(m.state_folder, "/etc/.godwit/acme");
    assert_int_equal(m.store_count, 1);
    const struct gw_migration_store *s = &m.stores[0];
    assert_string_equal(s->name, "main");
    assert_int_equal(s->line, 3);
    assert_string_equal(s->side[0].url, "postgresql://godwit@old.internal/app");
    assert_string_equal(s->side[1].url, "postgresql://godwit@new.internal/app");
    assert_string_equal(s->side[0].scheme, "postgresql");
    assert_null(s->side[0].password_command);
    assert_null(s->side[0].pg_bindir);
    assert_int_equal(s->filter.include_count, 0);
    assert_int_equal(s->filter.exclude_count, 0);
    assert_int_equal(s->gate.type, GW_MIGRATION_GATE_NONE);
    assert_int_equal(s->gate.lease_ms, 5000);
    assert_int_equal(s->gate.reload_timeout_ms, 5000);
    assert_int_equal(s->copy.jobs, 4);
    assert_int_equal(s->copy.chunk_rows, 25000);
    assert_int_equal(s->copy.chunk_bytes, 64000000);
    assert_int_equal(s->copy.index_jobs, 2);
    assert_true(s->follow.spool_limit_bytes == 50000000000);
    assert_true(s->follow.wal_limit_bytes == 20000000000);
    assert_int_equal(s->follow.batch_rows, 60000);
    assert_int_equal(s->follow.batch_delay_us, 0);
    assert_int_equal(s->verify.jobs, 2);
    assert_int_equal(s->verify.resettle_ms, 5000);
    assert_int_equal(s->switch_.pause_budget_ms, 5000);
    assert_int_equal(s->switch_.lock_timeout_ms, 2000);
    assert_int_equal(s->switch_.drain_timeout_ms, 2000);
    assert_int_equal(s->switch_.max_lag_ms, 2000);
    assert_true(s->retain_ms == 30LL * 86400 * 1000);
    gw_migration_release(&m);
}

static void every_setting_arrives(void **state)
{
    (void)state;
    struct gw_migration m =
        parse("migration: a-1_b\n"
              "state: /var/lib/godwit\n"
              "stores:\n"
              "  main:\n"
              "    blue: { url: 'host=old dbname=app', password_command: 'echo ${HOME}' }\n"
              "    green:\n"
              "      url: POSTGRES://godwit:secret@new/app\n"
              "      pg_bindir: bin16\n"
              "    include: [ 'public.*', orders ]\n"
              "    exclude: 'audit.*'\n"
              "    pg_bindir: /usr/lib/postgresql/15/bin\n"
              "    gate:\n"
              "      type: pgbouncer\n"
              "      admin:\n"
              "        - postgresql://godwit@127.0.0.1:6432/pgbouncer\n"
              "        - host=/run/b2 dbname=pgbouncer\n"
              "      ini: pgbouncer.ini\n"
              "      database: application\n"
              "      reload_timeout: 1.5s\n"
              "      lease: 750ms\n"
              "    copy: { jobs: 8, chunk_rows: 1000, chunk_bytes: 1 MiB, index_jobs: \"3\" }\n"
              "    follow: { spool_limit: 1.5GB, wal_limit: 5gb, batch_rows: 7, batch_delay: 500us,\n"
              "              ddl: stop, truncate: apply }\n"
              "    verify: { jobs: 1, resettle: 0 }\n"
              "    switch: { pause_budget: 1s, lock_timeout: 900ms, max_lag: 1m }\n"
              "    retain: 2h\n"
              "    capture: trigger\n");
    const struct gw_migration_store *s = &m.stores[0];
    assert_string_equal(m.state_folder, "/var/lib/godwit/a-1_b");
    assert_string_equal(s->side[0].scheme, "conninfo");
    assert_string_equal(s->side[0].password_command, "echo ${HOME}"); /* the shell's business */
    assert_string_equal(s->side[1].scheme, "postgres");
    assert_string_equal(s->side[1].shown, "POSTGRES://godwit:***@new/app");
    assert_string_equal(s->side[0].pg_bindir, "/usr/lib/postgresql/15/bin");
    assert_string_equal(s->side[1].pg_bindir, "/etc/bin16");
    assert_int_equal(s->filter.include_count, 2);
    assert_string_equal(s->filter.include[1], "orders");
    assert_int_equal(s->filter.exclude_count, 1);
    assert_string_equal(s->filter.exclude[0], "audit.*");
    assert_int_equal(s->gate.type, GW_MIGRATION_GATE_PGBOUNCER);
    assert_int_equal(s->gate.admin_count, 2);
    assert_string_equal(s->gate.admin[1], "host=/run/b2 dbname=pgbouncer");
    assert_string_equal(s->gate.ini, "/etc/pgbouncer.ini");
    assert_string_equal(s->gate.database, "application");
    assert_int_equal(s->gate.reload_timeout_ms, 1500);
    assert_int_equal(s->gate.lease_ms, 750);
    assert_int_equal(s->copy.jobs, 8);
    assert_int_equal(s->copy.chunk_rows, 1000);
    assert_int_equal(s->copy.chunk_bytes, 1048576);
    assert_int_equal(s->copy.index_jobs, 3);
    assert_true(s->follow.spool_limit_bytes == 1500000000);
    assert_true(s->follow.wal_limit_bytes == 5000000000);
    assert_int_equal(s->follow.batch_rows, 7);
    assert_int_equal(s->follow.batch_delay_us, 500);
    assert_int_equal(s->verify.jobs, 1);
    assert_int_equal(s->verify.resettle_ms, 0);
    assert_int_equal(s->switch_.pause_budget_ms, 1000);
    assert_int_equal(s->switch_.lock_timeout_ms, 900);
    assert_int_equal(s->switch_.drain_timeout_ms, 1000); /* a default gives way to the budget */
    assert_int_equal(s->switch_.max_lag_ms, 60000);
    assert_true(s->retain_ms == 7200000);
    gw_migration_release(&m);
    m = parse(HEAD "    gate: { type: hook, park: p, point: q, unpark: \"u \\\"x\\\"\", probe: r }\n  other:\n" SIDES);
    assert_int_equal(m.store_count, 2);
    assert_int_equal(m.stores[0].gate.type, GW_MIGRATION_GATE_HOOK);
    assert_string_equal(m.stores[0].gate.unpark, "u \"x\"");
    assert_int_equal(m.stores[1].gate.type, GW_MIGRATION_GATE_NONE); /* stores do not share what was given */
    gw_migration_release(&m);
}

struct bad {
    const char *text, *place, *message, *hint;
};

static void refuse(const struct bad *bad)
{
    struct gw_error err = {0};
    struct gw_migration m = {0};
    if (gw_migration_parse(bad->text, strlen(bad->text), "f.yaml", &m, &err)) {
        print_error("accepted:\n%s\n", bad->text);
        fail();
    }
    if (!strstr(err.message, bad->message) || strncmp(err.place, bad->place, strlen(bad->place)) != 0 ||
        (bad->hint && !strstr(err.hint, bad->hint))) {
        print_error("%s\ngives %s: %s (%s)\nnot   %s: %s (%s)\n", bad->text, err.place, err.message, err.hint,
                    bad->place, bad->message, bad->hint ? bad->hint : "");
        fail();
    }
    assert_int_equal(err.kind, GW_ERR_USER);
    assert_int_equal(gw_error_exit(&err), GW_EXIT_USAGE);
    assert_null(m.name); /* untouched */
}

static void bad_files_are_refused_with_place_and_hint(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        /* unknown key */
        {HEAD "    copi: {}\n", "f.yaml:6:5", "the key \"copi\" is unknown", "did you mean \"copy\"?"},
        {HEAD "    copy: { jbos: 3 }\n", "f.yaml:6:13", "the key \"jbos\" is unknown in copy",
         "did you mean \"jobs\"?"},
        {"migraton: x\n", "f.yaml:1:1", "the key \"migraton\" is unknown", "did you mean \"migration\"?"},
        {HEAD "pause_budget: 3s\n", "f.yaml:6:1", "unknown", "it belongs at stores.*.switch.pause_budget"},
        {HEAD "    zzzzzz: 3s\n", "f.yaml:6:5", "unknown", "godwit config"},
        {HEAD "    gate.type: none\n", "f.yaml:6:5", "unknown", NULL},
        {HEAD "    '*': none\n", "f.yaml:6:5", "unknown", NULL},
        {"'stores.*.copy.jobs': 3\n", "f.yaml:1:1", "unknown", NULL},
        /* wrong type */
        {HEAD "    copy: { jobs: many }\n", "f.yaml:6:19", "\"many\" is not a whole number", "digits"},
        {HEAD "    copy: { jobs: 1e3 }\n", "f.yaml:6:19", "not a whole number", NULL},
        {HEAD "    copy: { jobs: [1] }\n", "f.yaml:6:19", "\"jobs\" must be a single value, this is a list",
         "whole number, 1 to 64"},
        {HEAD "    copy: 3\n", "f.yaml:6:11", "\"copy\" must be a mapping, this is a value", NULL},
        {HEAD "    retain: 30\n", "f.yaml:6:13", "\"30\" is not a duration", "30d"},
        {HEAD "    retain: 30 days\n", "f.yaml:6:13", "not a duration", NULL},
        {HEAD "    retain: -1d\n", "f.yaml:6:13", "not a duration", NULL},
        {HEAD "    retain: 99999999999999999d\n", "f.yaml:6:13", "not a duration", NULL},
        {HEAD "    copy: { chunk_bytes: 64 }\n", "f.yaml:6:26", "\"64\" is not a size", "64MB"},
        {HEAD "    copy: { chunk_bytes: 64XB }\n", "f.yaml:6:26", "not a size", NULL},
        {HEAD "    switch: { max_lag: 1500us }\n", "f.yaml:6:24", "finer than a millisecond", NULL},
        {HEAD "    include: { a: b }\n", "f.yaml:6:14", "\"include\" must be a list", NULL},
        {HEAD "    include: [ [x] ]\n", "f.yaml:6:16", "must be a single value", NULL},
        {HEAD "    include: []\n", "f.yaml:6:14", "at least one value", NULL},
        {HEAD "    gate: nginx\n", "f.yaml:6:11", "\"nginx\" is not a value of \"type\"",
         "none, pgbouncer, hook, haproxy"},
        {"stores: postgresql://a/b\n", "f.yaml:1:9", "\"stores\" must be a mapping, this is a value", NULL},
        {"stores: [a]\n", "f.yaml:1:9", "\"stores\" must be a mapping", NULL},
        {"- a\n", "f.yaml:1:1", "must hold keys and values, this is a list", NULL},
        {"migration: acme\nstores:\n  main: x\n", "f.yaml:3:9", "store main must be a mapping", NULL},
        {"migration: Acme\n", "f.yaml:1:12", "\"Acme\" is not a name for a migration", "small letters"},
        {"migration: -x\n", "f.yaml:1:12", "not a name", NULL},
        {"migration: ../x\n", "f.yaml:1:12", "not a name", NULL},
        {"migration: a2345678901234567890123456789012345678901234567890123456789012345\n", "f.yaml:1:12", "not a name",
         NULL},
        {"migration: acme\nstores:\n  Main:\n" SIDES, "f.yaml:3:3", "\"Main\" is not a name for a store", NULL},
        {"migration: acme\nstores:\n  main:\n    blue: old.internal\n", "f.yaml:4:11",
         "\"url\" is neither a URL nor key=value pairs nor a path", "postgresql://"},
        {"migration: acme\nstores:\n  main:\n    blue: \"postgresql://a\\nb/c\"\n", "f.yaml:4:11", "control character",
         NULL},
        /* missing */
        {"", "f.yaml", "the file is empty", "godwit init"},
        {"# only words\n", "f.yaml", "the file is empty", NULL},
        {"migration:\nstores: {}\n", "f.yaml:1:", "the value of \"migration\" is missing", NULL},
        {"migration: acme\n", "f.yaml:1:1", "\"stores\" is missing", "blue"},
        {"migration: acme\nstores: {}\n", "f.yaml:2:9", "\"stores\" is missing", NULL},
        {"migration: acme\nstores:\n", "f.yaml:2:", "the value of \"stores\" is missing", NULL},
        {"migration: acme\nstores:\n  main:\n", "f.yaml:3:", "store main must be a mapping", NULL},
        {"stores:\n  main:\n" SIDES, "f.yaml:1:1", "\"migration\" is missing", "migration: acme"},
        {"migration: acme\nstores:\n  main:\n    blue: postgresql://a/b\n", "f.yaml:4:5", "\"green\" is missing",
         "green: postgresql://"},
        {"migration: acme\nstores:\n  main:\n    blue: { pg_bindir: x }\n    green: postgresql://a/b\n", "f.yaml:4:5",
         "\"blue\" is missing", NULL},
        {HEAD "    copy: { jobs: }\n", "f.yaml:6:", "the value of \"jobs\" is missing", NULL},
        {HEAD "    copy:\n", "f.yaml:6:", "the value of \"copy\" is missing", NULL},
        {HEAD "    gate: { type: pgbouncer, ini: x }\n", "f.yaml:6:19", "gate type pgbouncer needs \"admin\"", NULL},
        {HEAD "    gate: { type: pgbouncer, admin: 'host=x' }\n", "f.yaml:6:19", "needs \"ini\"", NULL},
        {HEAD "    gate: haproxy\n", "f.yaml:6:11", "gate type haproxy needs \"socket\"", NULL},
        {HEAD "    gate: { type: haproxy, socket: [/a, /b], ini: x }\n", "f.yaml:6:51",
         "\"ini\" means nothing for gate type haproxy", "pgbouncer"},
        {HEAD "    gate: { type: hook, park: x, point: y }\n", "f.yaml:6:19", "needs \"unpark\"", NULL},
        {HEAD "    include: ['']\n", "f.yaml:6:15", "the value of \"include\" is missing", NULL},
        /* twice */
        {HEAD "migration: b\n", "f.yaml:6:1", "the key \"migration\" is there twice, first in line 1", "remove"},
        {HEAD "    blue: postgresql://x/y\n", "f.yaml:6:5", "the key \"blue\" is there twice", NULL},
        /* not text */
        {HEAD "    include: \xff\xfe\n", "f.yaml:6:14", "byte 0xff is not UTF-8", "UTF-8"},
        {"\xff\xfem\0i\0", "f.yaml:1:1", "not UTF-8", NULL},
        /* out of range */
        {HEAD "    copy: { jobs: 0 }\n", "f.yaml:6:19", "0 is out of range for \"jobs\"", "1 to 64"},
        {HEAD "    copy: { jobs: 65 }\n", "f.yaml:6:19", "65 is out of range", NULL},
        {HEAD "    copy: { jobs: -4 }\n", "f.yaml:6:19", "-4 is out of range", NULL},
        {HEAD "    copy: { jobs: 99999999999999999999 }\n", "f.yaml:6:19", "not a whole number", NULL},
        {HEAD "    switch: { pause_budget: 50ms }\n", "f.yaml:6:29", "out of range", "duration, 100ms to 10m"},
        {HEAD "    follow: { spool_limit: 9kB }\n", "f.yaml:6:28", "out of range", NULL},
        /* what one key says about another */
        {HEAD "    switch: { pause_budget: 1s, drain_timeout: 3s }\n", "f.yaml:6:48",
         "\"drain_timeout\" is longer than the pause budget of 1000 ms", "pause_budget"},
        {HEAD "    gate: { type: none, park: x }\n", "f.yaml:6:31", "\"park\" means nothing for gate type none",
         "set type to hook"},
        {HEAD "    gate: { lease: 2s }\n", "f.yaml:6:20", "\"lease\" means nothing for gate type none", NULL},
        {"migration: acme\nstores:\n  main:\n    blue: postgresql://a/b\n    green: postgresql://a/b\n", "f.yaml:5:12",
         "blue and green of store main are the same", NULL},
        /* what YAML could do */
        {HEAD "    include: &x [a]\n    exclude: *x\n", "f.yaml:6:", "anchors", NULL},
        {HEAD "  <<: { a: b }\n", "f.yaml:6:3", "not a name for a store", NULL},
        {HEAD "---\nmigration: b\n", "f.yaml:6:1", "second document", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuse(&cases[i]);
}

static char *blue_url_of(const char *yaml_value)
{
    gw_autofree char *text =
        gw_asprintf("migration: acme\nstores:\n  main:\n    blue: %s\n    green: x://y\n", yaml_value);
    struct gw_migration m = parse(text);
    char *url = gw_strdup(m.stores[0].side[0].url);
    gw_migration_release(&m);
    return url;
}

static void environment_is_filled_in_and_never_parsed_again(void **state)
{
    (void)state;
    setenv("GW_TEST_PW", "p@ss/w:rd?x=1&y #'%\\ ${HOME}\xc3\xa9", 1);
    setenv("GW_TEST_URL", "postgresql://u:a%40b@h/db?sslmode=require", 1);
    setenv("GW_TEST_EMPTY", "", 1);
    static const char *const cases[][2] = {
        {"postgresql://u:${GW_TEST_PW}@h/db",
         "postgresql://u:p%40ss%2Fw%3Ard%3Fx%3D1%26y%20%23%27%25%5C%20%24%7BHOME%7D%C3%A9@h/db"},
        {"\"host=h password=${GW_TEST_PW} dbname=d\"",
         "host=h password=p@ss/w:rd?x=1&y\\ #\\'%\\\\\\ ${HOME}\xc3\xa9 dbname=d"},
        {"\"host=h password='${GW_TEST_PW}' dbname=d\"",
         "host=h password='p@ss/w:rd?x=1&y #\\'%\\\\ ${HOME}\xc3\xa9' dbname=d"},
        {"\"host=h password='it\\\\'s ${GW_TEST_PW}'\"",
         "host=h password='it\\'s p@ss/w:rd?x=1&y #\\'%\\\\ ${HOME}\xc3\xa9'"},
        {"\"password=${GW_TEST_EMPTY} host=h\"", "password='' host=h"},
        {"${GW_TEST_URL}", "postgresql://u:a%40b@h/db?sslmode=require"},
        {"postgresql://u:$${GW_TEST_PW}@h/db", "postgresql://u:${GW_TEST_PW}@h/db"},
        {"postgresql://u:$x$@h/db", "postgresql://u:$x$@h/db"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gw_autofree char *url = blue_url_of(cases[i][0]);
        assert_string_equal(url, cases[i][1]);
    }
    setenv("GW_TEST_JOBS", "12", 1);
    setenv("GW_TEST_BAD", "12]\nretain: 1d", 1);
    struct gw_migration m = parse(HEAD "    copy: { jobs: \"${GW_TEST_JOBS}\" }\n    retain: ${GW_TEST_JOBS}d\n");
    assert_int_equal(m.stores[0].copy.jobs, 12);
    assert_true(m.stores[0].retain_ms == 12LL * 86400000);
    gw_migration_release(&m);
    static const struct bad wrong[] = {
        {HEAD "    retain: ${GW_TEST_MISSING}\n", "f.yaml:6:13", "the environment variable GW_TEST_MISSING is not set",
         "export GW_TEST_MISSING"},
        {HEAD "    retain: ${GW_TEST_EMPTY}\n", "f.yaml:6:13", "the value of \"retain\" is missing", NULL},
        {HEAD "    retain: ${1x}\n", "f.yaml:6:13", "is not ${NAME}", "$${"},
        {HEAD "    retain: ${OPEN\n", "f.yaml:6:13", "is not ${NAME}", NULL},
        {HEAD "    retain: ${A:-b}\n", "f.yaml:6:13", "is not ${NAME}", NULL},
        {HEAD "    copy: { jobs: \"${GW_TEST_BAD}\" }\n", "f.yaml:6:19", "control character", NULL},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        refuse(&wrong[i]);
}

static void secrets_stay_out_of_errors(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "migration: acme\nstores:\n  main:\n    blue: \"u:s3cret@h/db\"\n    green: x://y\n",
        "migration: acme\nstores:\n  main:\n    blue: postgresql://u:s3cret@h/db\n    green: postgresql://u:s3cret@h/db\n",
        "migration: acme\nstores:\n  main:\n    blue: { url: \"postgresql://u:s3cret@h\\n/db\" }\n    green: x://y\n",
        "migration: acme\nstores:\n  main:\n    blue: [ \"postgresql://u:s3cret@h/db\" ]\n",
        HEAD "    gate: { type: pgbouncer, ini: x, admin: [ \"u:s3cret\" ] }\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct gw_error err = {0};
        struct gw_migration m;
        assert_false(gw_migration_parse(texts[i], strlen(texts[i]), "f.yaml", &m, &err));
        assert_null(strstr(err.message, "s3cret"));
        assert_null(strstr(err.detail, "s3cret"));
        assert_null(strstr(err.hint, "s3cret"));
    }
}

static void files_are_loaded_beside_themselves(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_migration m = {0};
    char *folder = gw_test_mkdir();
    gw_autofree char *path = gw_asprintf("%s/godwit.yaml", folder);
    gw_autofree char *wanted = gw_asprintf("%s/.godwit/acme", folder);
    assert_false(gw_migration_load(path, &m, &err));
    assert_int_equal(err.kind, GW_ERR_USER);
    assert_contains(err.hint, "godwit init");
    MUST(gw_file_replace(path, HEAD, strlen(HEAD), &err));
    MUST(gw_migration_load(path, &m, &err));
    assert_string_equal(m.state_folder, wanted);
    gw_migration_release(&m);
    /* 100 MB are refused, quickly. */
    assert_int_equal(truncate(path, 100000000), 0);
    int64_t before = gw_mono_us();
    assert_false(gw_migration_load(path, &m, &err));
    assert_true(gw_mono_us() - before < 1000000);
    assert_int_equal(err.kind, GW_ERR_USER);
    assert_contains(err.message, "100000000 bytes");
    assert_false(gw_migration_load(folder, &m, &err));
    assert_contains(err.message, "folder");
    gw_test_rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shortest_file_has_all_defaults),
        cmocka_unit_test(every_setting_arrives),
        cmocka_unit_test(bad_files_are_refused_with_place_and_hint),
        cmocka_unit_test(environment_is_filled_in_and_never_parsed_again),
        cmocka_unit_test(secrets_stay_out_of_errors),
        cmocka_unit_test(files_are_loaded_beside_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
