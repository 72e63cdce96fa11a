/* Verify between two real PostgreSQL servers: canonical values, collations, large values, rights, a live pair. */
#include "contract/pg_world.h"

#include "base/hash.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

static void both_owners(struct pg_world *w, const char *sql)
{
    pg_do(w->owner[0], sql);
    pg_do(w->owner[1], sql);
}

static struct gw_verify_options options_of(struct pg_world *w)
{
    return (struct gw_verify_options){
        .source = w->store[0], .target = w->store[1], .jobs = 2, .resettle_ms = 5000, .schema = pg_world_list(w, 0)};
}

static struct gw_verify_report run_options(const struct gw_verify_options *options)
{
    struct gw_error err = {0};
    struct gw_verify_report report = {0};
    MUST(gw_verify_run(options, &report, &err));
    return report;
}

/* Compares everything; `reason_part` is looked for in the first collection that is not equal. */
static struct gw_verify_report expect_options(const struct gw_verify_options *options, enum gw_verdict verdict,
                                              const char *reason_part)
{
    struct gw_verify_report report = run_options(options);
    bool found = !*reason_part;
    for (size_t i = 0; i < report.count; i++)
        found = found || strstr(report.collections[i].reason, reason_part);
    if (report.verdict != verdict || !found) {
        gw_autobuf struct gw_buf text = {0};
        gw_verify_report_text(&report, true, &text);
        print_error("wanted %s with \"%s\", got:\n%s", gw_verdict_name(verdict), reason_part, gw_buf_text(&text));
        fail();
    }
    return report;
}

static void expect(struct pg_world *w, enum gw_verdict verdict, const char *reason_part)
{
    struct gw_verify_options options = options_of(w);
    struct gw_verify_report report = expect_options(&options, verdict, reason_part);
    gw_verify_report_release(&report);
}

#define WORLD                                                                                                          \
    struct pg_world *w = *state;                                                                                       \
    if (!w)                                                                                                            \
    skip()

/* ---- values ------------------------------------------------------------------------------------------------------ */

static const char types_sql[] =
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');"
    "CREATE TYPE pair AS (a int, b text);"
    "CREATE DOMAIN email AS text CHECK (value LIKE '%@%');"
    "CREATE TABLE types (id bigint PRIMARY KEY, c_bool bool, c_int2 int2, c_int4 int4, c_float4 float4, c_float8 float8,"
    " c_numeric numeric, c_money money, c_text text, c_varchar varchar(40), c_char char(10), c_byte \"char\","
    " c_name name, c_bytea bytea, c_date date, c_time time, c_timetz timetz, c_stamp timestamp, c_stamptz timestamptz,"
    " c_interval interval, c_uuid uuid, c_json json, c_jsonb jsonb, c_inet inet, c_cidr cidr, c_mac macaddr,"
    " c_bit bit(5), c_varbit varbit, c_point point, c_path path, c_polygon polygon, c_circle circle, c_mood mood,"
    " c_pair pair, c_email email, c_ints int[], c_texts text[][], c_times timestamptz[], c_floats float8[],"
    " c_range int4range, c_tsrange tstzrange, c_tsvector tsvector, c_xml xml, c_oid oid, c_lsn pg_lsn,"
    " c_stored int GENERATED ALWAYS AS (c_int2::int * 2) STORED);"
    "INSERT INTO types VALUES"
    " (1, true, -32768, 2147483647, 0.36640625, 1e16, 1.50, 12.34, E'tab\\tand \\\\ and gr\303\274\303\237 \360\237\230\200',"
    "  'trailing  ', 'pad', 'x', 'a name', '\\xdeadbeef00', '0044-03-15 BC', '24:00', '12:00+05:30',"
    "  '2024-03-31 02:30:00.123456', '12024-02-29 23:59:60+02', '1 mon -2 days 03:04:05.6',"
    "  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"b\": 1, \"a\":  1.0, \"a\": 2}', '{\"b\": 1.0, \"a\": null}', '::1/64',"
    "  '10.0.0.0/8', '08:00:2b:01:02:03', B'10101', B'1', '(1,2)', '[(0,0),(1,1)]', '((0,0),(1,0),(1,1))', '<(0,0),2>',"
    "  'happy', '(1,\"a,b\")', 'a@b', '{1,NULL,3}', '{{a,\"\"},{NULL,\"NULL\"}}', '{2024-01-01 00:00+09}',"
    "  '{-0,NaN,0.1,5e-324}', '[1,5)', '[2024-01-01 00:00+09,)', 'a fat cat', '<a>b</a>', 42, '1/2A'),"
    " (2, false, 0, 0, 'NaN', '-Infinity', 'NaN', 0, '', '', '', '', '', '', 'infinity', '00:00', '00:00+00', '-infinity',"
    "  'infinity', '0', '00000000-0000-0000-0000-000000000000', 'null', 'null', '0.0.0.0/0', '::/0', '00:00:00:00:00:00',"
    "  B'00000', B'', '(0,0)', '((0,0))', '((0,0))', '<(0,0),0>', 'sad', '(,)', '@', '{}', '{}', '{}', '{}', 'empty',"
    "  'empty', '', '', 0, '0/0');"
    "INSERT INTO types (id) SELECT generate_series(3, 100)";

static void sides_with_other_settings_are_equal(void **state)
{
    WORLD;
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(
        &sql,
        "ALTER DATABASE %1$s SET timezone = 'Asia/Tokyo'; ALTER DATABASE %1$s SET datestyle = 'German';"
        "ALTER DATABASE %1$s SET intervalstyle = 'sql_standard'; ALTER DATABASE %1$s SET bytea_output = 'escape';"
        "ALTER DATABASE %1$s SET extra_float_digits = -15; ALTER DATABASE %1$s SET xmlbinary = 'hex';"
        "ALTER DATABASE %1$s SET client_encoding = 'LATIN1'; ALTER DATABASE %1$s SET search_path = 'pg_catalog'",
        w->database);
    pg_do(w->admin[1], sql.data);
    both_owners(w, types_sql);
    /* The stores were opened before: sessions of verify are new ones, under the new defaults. */
    struct gw_verify_options options = options_of(w);
    struct gw_verify_report report = expect_options(&options, GW_VERDICT_EQUAL, "");
    assert_int_equal(report.collections[0].rows[1], 100);
    assert_int_equal(report.collections[0].columns, 46);
    assert_int_equal(report.collections[0].suspects, 0);
    gw_verify_report_release(&report);
}

/* Each column by itself, back and forth: nothing that changes is overlooked. */
static void a_change_in_any_type_is_found(void **state)
{
    WORLD;
    static const char *const changes[][2] = {{"c_bool", "false"},
                                             {"c_int4", "2147483646"},
                                             {"c_float4", "0.3664062"},
                                             {"c_float8", "1e16 + 2"},
                                             {"c_numeric", "1.5"},
                                             {"c_money", "12.35"},
                                             {"c_text", "c_text || ' '"},
                                             {"c_varchar", "'trailing '"},
                                             {"c_char", "'pad.'"},
                                             {"c_byte", "'y'"},
                                             {"c_name", "'A name'"},
                                             {"c_bytea", "'\\xdeadbeef01'"},
                                             {"c_date", "'0045-03-15 BC'"},
                                             {"c_time", "'00:00'"},
                                             {"c_timetz", "'11:30+05'"},
                                             {"c_stamp", "'2024-03-31 02:30:00.123457'"},
                                             {"c_stamptz", "c_stamptz + interval '9 hours'"},
                                             {"c_interval", "'1 mon -2 days 03:04:05.601'"},
                                             {"c_uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'"},
                                             {"c_json", "'{\"b\": 1, \"a\": 1.0, \"a\": 2}'"},
                                             {"c_jsonb", "'{\"b\": 1, \"a\": null}'"},
                                             {"c_inet", "'::1/65'"},
                                             {"c_cidr", "'10.0.0.0/9'"},
                                             {"c_mac", "'08:00:2b:01:02:04'"},
                                             {"c_bit", "B'10100'"},
                                             {"c_varbit", "B'10'"},
                                             {"c_point", "'(1,-0)'"},
                                             {"c_path", "'((0,0),(1,1))'"},
                                             {"c_polygon", "'((0,0),(1,0),(1,2))'"},
                                             {"c_circle", "'<(0,0),3>'"},
                                             {"c_mood", "'ok'"},
                                             {"c_pair", "'(1,)'"},
                                             {"c_email", "'A@b'"},
                                             {"c_ints", "'{1,0,3}'"},
                                             {"c_texts", "'{{a,\"\"},{\"NULL\",NULL}}'"},
                                             {"c_times", "'{2024-01-01 00:00+08}'"},
                                             {"c_floats", "'{0,NaN,0.1,5e-324}'"},
                                             {"c_range", "'[1,6)'"},
                                             {"c_tsrange", "'(,)'"},
                                             {"c_tsvector", "'a fat cow'"},
                                             {"c_xml", "'<a>b</a >'"},
                                             {"c_oid", "43"},
                                             {"c_lsn", "'1/2B'"},
                                             {"c_text", "NULL"},
                                             {"c_pair", "'(,)'"},
                                             {"c_pair", "NULL"}};
    both_owners(w, types_sql);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char sql[300], words[80];
        snprintf(sql, sizeof sql, "UPDATE types SET %s = %s WHERE id = 1", changes[i][0], changes[i][1]);
        pg_do(w->owner[1], sql);
        snprintf(words, sizeof words, "1 row differs in %s", changes[i][0]);
        expect(w, GW_VERDICT_DIFFERENT, words);
        pg_do(w->owner[0], sql); /* now the source has it too */
    }
    expect(w, GW_VERDICT_EQUAL, "");
}

static void floats_are_compared_by_bits_and_numerics_with_scale(void **state)
{
    WORLD;
    both_owners(w, "CREATE TABLE f (id int PRIMARY KEY, v float8, n numeric); INSERT INTO f VALUES (1, 0, 1.0)");
    pg_do(w->owner[1], "UPDATE f SET v = '-0'");
    expect(w, GW_VERDICT_DIFFERENT, "differs in v");
    pg_do(w->owner[0], "UPDATE f SET v = '-0'");
    pg_do(w->owner[1], "UPDATE f SET n = 1.00");
    expect(w, GW_VERDICT_DIFFERENT, "differs in n in the scale only");
}

static void a_time_zone_shift_is_named(void **state)
{
    WORLD;
    both_owners(
        w, "CREATE TABLE t (id int PRIMARY KEY, created_at timestamptz);"
           "INSERT INTO t SELECT i, timestamptz '2024-01-01' + i * interval '37 min' FROM generate_series(1, 4112) i");
    pg_do(w->owner[1], "UPDATE t SET created_at = created_at + interval '9 hours'");
    expect(w, GW_VERDICT_DIFFERENT, "all 4,112 rows differ in created_at by +9 h: time zone");
}

/* An OID crosses as a number and names something else there. */
static void regclass_is_compared_by_name(void **state)
{
    WORLD;
    pg_do(w->owner[1], "CREATE TABLE in_between (a int); CREATE TABLE more (a int); DROP TABLE in_between, more");
    both_owners(w, "CREATE TABLE named (a int); CREATE TABLE r (id int PRIMARY KEY, c regclass);"
                   "INSERT INTO r VALUES (1, 'named'); DROP TYPE IF EXISTS mood");
    expect(w, GW_VERDICT_EQUAL, "");
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "UPDATE r SET c = %s::oid::regclass", pg_value(w->owner[0], "SELECT 'named'::regclass::oid"));
    pg_do(w->owner[1], gw_buf_text(&sql)); /* what a binary copy does */
    bool same = strcmp(pg_value(w->owner[1], "SELECT c = 'named'::regclass FROM r"), "t") == 0;
    assert_false(same);
    expect(w, GW_VERDICT_DIFFERENT, "1 row differs in c");
}

static void awkward_names_are_read(void **state)
{
    WORLD;
    both_owners(
        w,
        "CREATE SCHEMA \"a.b\"; CREATE TABLE \"a.b\".\"order\" (\"Key \"\"1\"\"\" int, \"w\303\244hrung, %s {x}\" text,"
        " PRIMARY KEY (\"Key \"\"1\"\"\")); INSERT INTO \"a.b\".\"order\" VALUES (1, 'x'), (2, E'it''s \\\\')");
    expect(w, GW_VERDICT_EQUAL, "");
    pg_do(w->owner[1], "UPDATE \"a.b\".\"order\" SET \"w\303\244hrung, %s {x}\" = 'y' WHERE \"Key \"\"1\"\"\" = 2");
    expect(w, GW_VERDICT_DIFFERENT, "1 row differs in w\303\244hrung, %s {x}");
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static void keys_under_another_collation_make_no_phantoms(void **state)
{
    WORLD;
    const char *insert =
        "INSERT INTO k SELECT x || i, i FROM unnest(ARRAY['a-b','aB','ab','A1','_z','\303\244','Z']) x,"
        " generate_series(1, 300) i";
    pg_do(w->owner[0], "CREATE TABLE k (k text COLLATE \"C\" PRIMARY KEY, v int)");
    pg_do(w->owner[1], "CREATE TABLE k (k text COLLATE \"und-x-icu\" PRIMARY KEY, v int)");
    both_owners(w, insert);
    struct gw_verify_options options = options_of(w);
    options.chunk_rows = 100;
    struct gw_verify_report report = expect_options(&options, GW_VERDICT_EQUAL, "");
    assert_int_equal(report.collections[0].suspects, 0);
    assert_int_equal(report.collections[0].rows[1], 2100);
    gw_verify_report_release(&report);
    pg_do(w->owner[1], "UPDATE k SET k = 'Ab7' WHERE k = 'aB7'");
    report = expect_options(&options, GW_VERDICT_DIFFERENT, "missing on the target");
    assert_int_equal(report.collections[0].missing, 1);
    assert_int_equal(report.collections[0].extra, 1);
    gw_verify_report_release(&report);
}

static void composite_keys_and_their_edges_are_covered(void **state)
{
    WORLD;
    both_owners(w, "CREATE TABLE c (a int, b text, c numeric, v text, PRIMARY KEY (a, b, c));"
                   "INSERT INTO c SELECT i % 7 - 3, 'b' || i % 5, i, 'v' FROM generate_series(-500, 500) i;"
                   "INSERT INTO c VALUES (-2147483648, '', 0, 'least'), (2147483647, 'zz', 'NaN', 'most')");
    struct gw_verify_options options = options_of(w);
    options.chunk_rows = 10;
    struct gw_verify_report report = expect_options(&options, GW_VERDICT_EQUAL, "");
    assert_int_equal(report.collections[0].rows[0], 1003);
    assert_int_equal(report.collections[0].rows[1], 1003);
    assert_true(report.collections[0].chunks >= 100);
    gw_verify_report_release(&report);
    pg_do(w->owner[1], "UPDATE c SET v = 'x' WHERE a = 2147483647; DELETE FROM c WHERE a = -2147483648;"
                       "INSERT INTO c VALUES (-2147483648, 'below', -1, '')");
    report = expect_options(&options, GW_VERDICT_DIFFERENT, "");
    assert_int_equal(report.collections[0].changed, 1);
    assert_int_equal(report.collections[0].missing, 1);
    assert_int_equal(report.collections[0].extra, 1);
    gw_verify_report_release(&report);
}

static void tables_without_key_count_their_duplicates(void **state)
{
    WORLD;
    both_owners(w, "CREATE TABLE n (a int, b text); INSERT INTO n SELECT i % 10, NULL FROM generate_series(1, 1000) i");
    expect(w, GW_VERDICT_EQUAL, "");
    pg_do(w->owner[1], "INSERT INTO n VALUES (3, NULL), (3, NULL)");
    expect(w, GW_VERDICT_DIFFERENT, "2 rows are on the target only");
    pg_do(w->owner[0], "INSERT INTO n VALUES (3, NULL), (4, '')");
    expect(w, GW_VERDICT_DIFFERENT, "1 row is missing on the target");
}

/* ---- large values ------------------------------------------------------------------------------------------------ */

static long peak_kb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* The same value compressed on one side and not on the other, and around the bound; then one byte at the very end. */
static void large_values_are_compared_by_hash(void **state)
{
    WORLD;
    both_owners(w, "CREATE TABLE big (id int PRIMARY KEY, b bytea, t text, j jsonb, a text[])");
    pg_do(w->owner[0], "ALTER TABLE big ALTER b SET STORAGE EXTERNAL, ALTER t SET STORAGE EXTERNAL");
    both_owners(w, "INSERT INTO big VALUES (1, decode(repeat('00ff', 200000), 'hex'), repeat(U&'\\00e4bc', 150000),"
                   "   jsonb_build_object('x', repeat('y', 300000)), ARRAY[repeat('z', 300000), NULL]);"
                   "INSERT INTO big SELECT 100 + i, decode(repeat('ab', 262144 + i), 'hex'), repeat('t', 262144 + i),"
                   "   to_jsonb(repeat('j', 262142 + i)), ARRAY[repeat('a', 262142 + i)] FROM generate_series(-2, 2) i;"
                   "INSERT INTO big VALUES (200, '', '', '{}', '{}'), (201, NULL, NULL, NULL, NULL)");
    expect(w, GW_VERDICT_EQUAL, "");
    static const char *const changes[][2] = {{"b", "set_byte(b, length(b) - 1, 7) WHERE id = 1"},
                                             {"t", "left(t, -1) || 'd' WHERE id = 1"},
                                             {"j", "to_jsonb(repeat('j', 262143)) WHERE id = 100"},
                                             {"a", "ARRAY[a[1], ''] WHERE id = 1"},
                                             {"b", "b || '\\x00' WHERE id = 100"},
                                             {"t", "left(t, -1) WHERE id = 101"}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char sql[200], words[80];
        snprintf(sql, sizeof sql, "UPDATE big SET %s = %s", changes[i][0], changes[i][1]);
        pg_do(w->owner[1], sql);
        snprintf(words, sizeof words, "1 row differs in %s", changes[i][0]);
        expect(w, GW_VERDICT_DIFFERENT, words);
        pg_do(w->owner[0], sql);
    }
    expect(w, GW_VERDICT_EQUAL, "");
}

/* More than one slice of bytes, and of characters of two bytes; none of it stands in our memory. */
static void huge_values_take_little_memory(void **state)
{
    WORLD;
    both_owners(w, "CREATE TABLE huge (id int PRIMARY KEY, b bytea, t text);"
                   "INSERT INTO huge VALUES (1, decode(repeat('00ff', 9000000), 'hex'), NULL),"
                   " (2, NULL, repeat(U&'\\00e4', 17000000))");
    long before_kb = peak_kb();
    expect(w, GW_VERDICT_EQUAL, "");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(peak_kb() - before_kb < 16 * 1024);
#else
    (void)before_kb;
#endif
    pg_do(w->owner[1], "UPDATE huge SET b = set_byte(b, length(b) - 1, 7) WHERE id = 1");
    expect(w, GW_VERDICT_DIFFERENT, "1 row differs in b");
}

/* ---- what cannot be read ----------------------------------------------------------------------------------------- */

static void rows_hidden_by_row_security_are_not_equal(void **state)
{
    WORLD;
    both_owners(w, "CREATE TABLE s (id int PRIMARY KEY); INSERT INTO s VALUES (1), (2);"
                   "ALTER TABLE s ENABLE ROW LEVEL SECURITY; ALTER TABLE s FORCE ROW LEVEL SECURITY;"
                   "CREATE POLICY p ON s USING (id = 1)");
    expect(w, GW_VERDICT_UNRESOLVED, "could not be read");
}

static void a_table_without_rights_is_unresolved_and_others_are_compared(void **state)
{
    WORLD;
    both_owners(w, "CREATE TABLE open (id int PRIMARY KEY); INSERT INTO open VALUES (1)");
    pg_do(w->admin[0], "CREATE TABLE closed (id int PRIMARY KEY)");
    pg_do(w->admin[1], "CREATE TABLE closed (id int PRIMARY KEY)");
    struct gw_verify_options options = options_of(w);
    struct gw_verify_report report = expect_options(&options, GW_VERDICT_UNRESOLVED, "permission denied");
    for (size_t i = 0; i < report.count; i++)
        assert_int_equal(report.collections[i].verdict,
                         strstr(report.collections[i].name, "open") ? GW_VERDICT_EQUAL : GW_VERDICT_UNRESOLVED);
    gw_verify_report_release(&report);
}

static void a_missing_table_and_another_type_are_different(void **state)
{
    WORLD;
    both_owners(w, "CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)");
    pg_do(w->owner[0], "CREATE TABLE b (id int PRIMARY KEY, v int)");
    expect(w, GW_VERDICT_DIFFERENT, "missing on the target");
    pg_do(w->owner[1], "CREATE TABLE b (id int PRIMARY KEY, v bigint)");
    expect(w, GW_VERDICT_DIFFERENT, "column v is integer on the source and bigint on the target");
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

struct watch {
    struct pg_world *world;
    atomic_bool stop;
    unsigned seen;    /* different transactions of verify on the source */
    double longest_s; /* a transaction of verify */
};

static void *watch_snapshots(void *arg)
{
    struct watch *watch = arg;
    PGconn *conn = pg_connect_as(watch->world, 0, "_ADMIN");
    char last[64] = "";
    while (!atomic_load(&watch->stop)) {
        PGresult *r = PQexec(conn, "SELECT xact_start, extract(epoch FROM clock_timestamp() - xact_start)"
                                   " FROM pg_stat_activity WHERE application_name = 'godwit verify'"
                                   " AND backend_xmin IS NOT NULL AND datname = current_database()"
                                   " ORDER BY xact_start LIMIT 1");
        if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1) {
            double age_s = strtod(PQgetvalue(r, 0, 1), NULL);
            watch->longest_s = age_s > watch->longest_s ? age_s : watch->longest_s;
            watch->seen += strcmp(last, PQgetvalue(r, 0, 0)) != 0;
            snprintf(last, sizeof last, "%s", PQgetvalue(r, 0, 0));
        }
        PQclear(r);
    }
    PQfinish(conn);
    return NULL;
}

static void no_snapshot_lives_longer_than_a_chunk(void **state)
{
    WORLD;
    both_owners(w, "CREATE TABLE l (id int PRIMARY KEY, v text);"
                   "INSERT INTO l SELECT i, repeat('x', 100) FROM generate_series(1, 200000) i; ANALYZE l");
    struct watch watch = {.world = w};
    pthread_t thread;
    pthread_create(&thread, NULL, watch_snapshots, &watch);
    struct gw_verify_options options = options_of(w);
    options.chunk_rows = 2000;
    int64_t began_us = gw_mono_us();
    struct gw_verify_report report = expect_options(&options, GW_VERDICT_EQUAL, "");
    double took_s = (double)(gw_mono_us() - began_us) / 1e6;
    atomic_store(&watch.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(report.collections[0].chunks, 100);
    gw_verify_report_release(&report);
    assert_true(watch.seen >= 3);
    if (watch.longest_s > took_s / 3)
        print_error("oldest snapshot %.3f s of %.3f s\n", watch.longest_s, took_s);
    assert_true(watch.longest_s <= took_s / 3);
}

/* ---- a live pair ------------------------------------------------------------------------------------------------- */

/* PostgreSQL's own subscription follows; its feedback says how far it has applied. */
struct live {
    struct pg_world *world;
    PGconn *feedback, *writer;
    pthread_mutex_t lock;
    pthread_t thread;
    atomic_bool stop;
    atomic_ulong writes;
    char subscription[80];
};

static bool wait_subscription(void *arg, const struct gw_position *position, int timeout_ms, bool *reached,
                              struct gw_error *err)
{
    struct live *live = arg;
    char sql[512];
    int64_t end_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    (void)err;
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM pg_stat_replication WHERE application_name = '%s'"
             " AND replay_lsn >= '%s'",
             live->subscription, position->text);
    do {
        pthread_mutex_lock(&live->lock);
        *reached = strcmp(pg_value(live->feedback, sql), "1") == 0;
        pthread_mutex_unlock(&live->lock);
        if (!*reached)
            gw_sleep_us(2000);
    } while (!*reached && gw_mono_us() < end_us);
    return true;
}

/* One hot row, others at random, inserts, deletes, key changes. */
static void *write_on(void *arg)
{
    struct live *live = arg;
    for (unsigned long n = 0; !atomic_load(&live->stop); n++) {
        char sql[400];
        unsigned id = 1 + (unsigned)(gw_random64() % 2000);
        switch (n % 6) {
        case 0:
            snprintf(sql, sizeof sql, "UPDATE acc SET v = v + 1 WHERE id = %u", id);
            break;
        case 1:
            snprintf(sql, sizeof sql, "INSERT INTO acc VALUES (%lu, 0, 'new') ON CONFLICT DO NOTHING", 10000 + n);
            break;
        case 2:
            snprintf(sql, sizeof sql, "DELETE FROM acc WHERE id = %lu", 10000 + n - 200);
            break;
        case 3:
            snprintf(sql, sizeof sql, "UPDATE acc SET id = id + 1000000 WHERE id = %lu", 10000 + n - 100);
            break;
        default:
            snprintf(sql, sizeof sql, "UPDATE acc SET v = v + 1 WHERE id = 1");
        }
        pg_do(live->writer, sql);
        atomic_fetch_add(&live->writes, 1);
    }
    return NULL;
}

static void start_live(struct live *live, struct pg_world *w)
{
    gw_autobuf struct gw_buf sql = {0};
    *live =
        (struct live){.world = w, .feedback = pg_connect_as(w, 0, "_ADMIN"), .writer = pg_connect_as(w, 0, "_OWNER")};
    pthread_mutex_init(&live->lock, NULL);
    both_owners(w, "CREATE TABLE acc (id bigint PRIMARY KEY, v int, t text)");
    pg_do(w->owner[0], "INSERT INTO acc SELECT i, 0, 'row ' || i FROM generate_series(1, 5000) i");
    pg_do(w->admin[0], "CREATE PUBLICATION p FOR TABLE acc");
    snprintf(live->subscription, sizeof live->subscription, "s_%s", w->database);
    gw_autofree char *url = pg_world_url(w, 0, "_ADMIN");
    gw_buf_addf(&sql, "CREATE SUBSCRIPTION %s CONNECTION '%s' PUBLICATION p", live->subscription, url);
    pg_do(w->admin[1], sql.data);
    for (int i = 0;
         strcmp(pg_value(w->admin[1], "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'"), "0"); i++) {
        assert_true(i < 3000);
        gw_sleep_us(10000);
    }
    pthread_create(&live->thread, NULL, write_on, live);
    while (atomic_load(&live->writes) < 100)
        gw_sleep_us(1000);
}

static void stop_live(struct live *live)
{
    gw_autobuf struct gw_buf sql = {0};
    atomic_store(&live->stop, true);
    pthread_join(live->thread, NULL);
    PQfinish(live->writer);
    PQfinish(live->feedback);
    gw_buf_addf(&sql, "DROP SUBSCRIPTION %s", live->subscription);
    pg_do(live->world->admin[1], sql.data);
    pthread_mutex_destroy(&live->lock);
}

static struct gw_verify_options live_options(struct live *live)
{
    struct gw_verify_options options = options_of(live->world);
    options.chunk_rows = 500;
    options.resettle_ms = 20000;
    options.wait_applied = wait_subscription;
    options.wait_arg = live;
    return options;
}

static void a_live_pair_is_equal_and_a_planted_error_is_found(void **state)
{
    WORLD;
    struct live live;
    start_live(&live, w);
    struct gw_verify_options options = live_options(&live);
    uint64_t settled = 0;
    for (int i = 0; i < 5; i++) {
        struct gw_verify_report report = expect_options(&options, GW_VERDICT_EQUAL, "");
        settled += report.collections[0].settled;
        gw_verify_report_release(&report);
    }
    assert_true(settled > 0); /* else it was not live */

    /* In the hot row, in a column the source does not change: whole rows are applied, so it heals; in a quiet row it
     * stays, and so does a row too many and one too few. */
    pg_do(w->admin[1], "UPDATE acc SET t = 'planted' WHERE id = 4000; DELETE FROM acc WHERE id = 4001;"
                       "INSERT INTO acc VALUES (-7, 0, 'planted')");
    struct gw_verify_report report = expect_options(&options, GW_VERDICT_DIFFERENT, "");
    assert_int_equal(report.collections[0].changed, 1);
    assert_int_equal(report.collections[0].missing, 1);
    assert_int_equal(report.collections[0].extra, 1);
    assert_int_equal(report.collections[0].unresolved, 0);
    gw_verify_report_release(&report);
    stop_live(&live);
}

static void a_hot_row_with_a_planted_error_is_found(void **state)
{
    WORLD;
    struct live live;
    start_live(&live, w);
    /* On the target a trigger spoils the hot row again at each change that is applied. */
    pg_do(w->admin[1], "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " IF new.id = 1 THEN new.t := 'planted'; END IF; RETURN new; END $$;"
                       "CREATE TRIGGER spoil BEFORE UPDATE ON acc FOR EACH ROW EXECUTE FUNCTION spoil();"
                       "ALTER TABLE acc ENABLE ALWAYS TRIGGER spoil");
    unsigned long from = atomic_load(&live.writes);
    while (atomic_load(&live.writes) < from + 100)
        gw_sleep_us(1000);
    struct gw_verify_options options = live_options(&live);
    struct gw_verify_report report = expect_options(&options, GW_VERDICT_DIFFERENT, "");
    assert_int_equal(report.collections[0].changed, 1);
    assert_string_equal(report.collections[0].differences[0].key, "id=1");
    gw_verify_report_release(&report);
    stop_live(&live);
}

static void a_frozen_subscription_is_unresolved(void **state)
{
    WORLD;
    struct live live;
    gw_autobuf struct gw_buf sql = {0};
    start_live(&live, w);
    gw_buf_addf(&sql, "ALTER SUBSCRIPTION %s DISABLE", live.subscription);
    pg_do(w->admin[1], sql.data);
    unsigned long from = atomic_load(&live.writes);
    while (atomic_load(&live.writes) < from + 300)
        gw_sleep_us(1000);
    struct gw_verify_options options = live_options(&live);
    options.resettle_ms = 500;
    struct gw_verify_report report = expect_options(&options, GW_VERDICT_UNRESOLVED, "had not applied");
    assert_true(report.collections[0].unresolved > 0);
    gw_verify_report_release(&report);
    stop_live(&live);
}

#define T(f) cmocka_unit_test_setup_teardown(f, pg_world_setup, pg_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sides_with_other_settings_are_equal),
        T(a_change_in_any_type_is_found),
        T(floats_are_compared_by_bits_and_numerics_with_scale),
        T(a_time_zone_shift_is_named),
        T(regclass_is_compared_by_name),
        T(awkward_names_are_read),
        T(keys_under_another_collation_make_no_phantoms),
        T(composite_keys_and_their_edges_are_covered),
        T(tables_without_key_count_their_duplicates),
        T(large_values_are_compared_by_hash),
        T(huge_values_take_little_memory),
        T(rows_hidden_by_row_security_are_not_equal),
        T(a_table_without_rights_is_unresolved_and_others_are_compared),
        T(a_missing_table_and_another_type_are_different),
        T(no_snapshot_lives_longer_than_a_chunk),
        T(a_live_pair_is_equal_and_a_planted_error_is_found),
        T(a_hot_row_with_a_planted_error_is_found),
        T(a_frozen_subscription_is_unresolved),
    };
    cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
