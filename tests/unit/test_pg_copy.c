/* Chunks from one real server to another: GODWIT_TEST_BLUE and _GREEN as with_servers.py sets them; else skipped. */
#include "gw_test.h"

#include "base/mem.h"
#include "sql_embedded.h"
#include "store/postgres/conn.h"
#include "store/store.h"

#include <inttypes.h>
#include <sys/resource.h>

#define SPACE "copy test"

struct pair {
    struct gw_store *blue, *green;
    PGconn *blue_owner, *green_owner;
    uint64_t chunk;
};

static PGconn *owner_of(const char *variable)
{
    PGconn *conn = PQconnectdb(getenv(variable));
    if (PQstatus(conn) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(conn));
    PQclear(PQexec(conn, "SET client_min_messages = error"));
    return conn;
}

static void run(PGconn *conn, const char *sql)
{
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    PQclear(r);
}

static void run_both(struct pair *p, const char *sql)
{
    run(p->blue_owner, sql);
    run(p->green_owner, sql);
}

static char *value_of(PGconn *conn, const char *sql)
{
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    char *text = gw_strdup(PQgetvalue(r, 0, 0));
    PQclear(r);
    return text;
}

static struct gw_store *open_side(const char *variable, enum gw_side side)
{
    struct gw_error err;
    struct gw_store *store;
    struct gw_store_options options = {.url = getenv(variable), .migration = "copy test", .side = side};
    MUST(gw_store_open(&options, &store, &err));
    return store;
}

static int setup(void **state)
{
    if (!getenv("GODWIT_TEST_BLUE") || !getenv("GODWIT_TEST_GREEN"))
        return 0;
    struct pair *p = gw_zalloc(sizeof *p);
    struct gw_error err;
    PGconn *conn;
    p->blue = open_side("GODWIT_TEST_BLUE", GW_BLUE);
    p->green = open_side("GODWIT_TEST_GREEN", GW_GREEN);
    p->blue_owner = owner_of("GODWIT_TEST_BLUE_OWNER");
    p->green_owner = owner_of("GODWIT_TEST_GREEN_OWNER");
    p->chunk = 1000000;
    MUST(gw_pg_borrow(gw_pg_store_of(p->green), &conn, &err));
    MUST(gw_pg_exec(gw_pg_store_of(p->green), conn, gw_sql_home, &err));
    MUST(gw_pg_exec(gw_pg_store_of(p->green), conn, "DELETE FROM godwit.chunk WHERE id >= 1000000", &err));
    gw_pg_return(gw_pg_store_of(p->green), conn, false);
    PGconn *admin = owner_of("GODWIT_TEST_BLUE_ADMIN"), *green_admin = owner_of("GODWIT_TEST_GREEN_ADMIN");
    const char *sql = "DROP SCHEMA IF EXISTS \"" SPACE "\" CASCADE;"
                      "CREATE SCHEMA \"" SPACE "\" AUTHORIZATION app_owner";
    run(admin, sql);
    run(green_admin, sql);
    PQfinish(admin);
    PQfinish(green_admin);
    run_both(p, "SET search_path = \"" SPACE "\", public");
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    if (!p)
        return 0;
    run_both(p, "DROP SCHEMA \"" SPACE "\" CASCADE");
    gw_store_close(p->blue);
    gw_store_close(p->green);
    PQfinish(p->blue_owner);
    PQfinish(p->green_owner);
    free(p);
    return 0;
}

static struct pair *pair_of(void **state)
{
    if (!*state)
        skip();
    return *state;
}

/* ---- copying ----------------------------------------------------------------------------------------------------- */

struct outcome {
    uint64_t rows;
    size_t chunks;
    bool binary;
};

static void copy_chunk(struct pair *p, struct gw_reader *reader, struct gw_writer *writer,
                       const struct gw_collection *c, struct gw_checkpoint *checkpoint, struct outcome *o)
{
    const struct gw_reader_facet *rf = p->blue->type->reader;
    struct gw_error err;
    struct gw_block block = {0};
    bool already = true;
    uint64_t read = 0, loaded = 0;
    checkpoint->chunk = p->chunk++;
    checkpoint->collection = c->id;
    MUST(rf->begin(reader, c, &checkpoint->range, &checkpoint->mark, &err));
    assert_true(checkpoint->mark.high > 0);
    MUST(gw_pg_writer_facet.begin_chunk(writer, c, checkpoint, &already, &err));
    assert_false(already);
    do {
        MUST(rf->next(reader, &block, &err));
        read += block.rows;
        if (block.len > 0)
            MUST(gw_pg_writer_facet.put(writer, &block, &err));
    } while (block.len > 0);
    MUST(rf->end(reader, &err));
    MUST(gw_pg_writer_facet.commit_chunk(writer, &loaded, &err));
    assert_int_equal(read, loaded);
    o->rows += loaded;
    o->chunks++;
}

static struct outcome copy_table(struct pair *p, const struct gw_collection *c, int64_t rows_per_chunk)
{
    const struct gw_reader_facet *rf = p->blue->type->reader;
    struct gw_error err;
    struct gw_reader *reader;
    struct gw_writer *writer;
    struct gw_checkpoint checkpoint = {0};
    struct outcome o = {.binary = c->all_binary_safe};
    bool last = false;
    MUST(rf->open(p->blue, &reader, &err));
    MUST(gw_pg_writer_facet.open(p->green, "blue>green", &writer, &err));
    while (!last) {
        MUST(rf->split(reader, c, &checkpoint.range.low, rows_per_chunk, &checkpoint.range.high, &last, &err));
        copy_chunk(p, reader, writer, c, &checkpoint, &o);
        gw_mark_release(&checkpoint.mark);
        gw_bound_release(&checkpoint.range.low);
        checkpoint.range.low = checkpoint.range.high;
        checkpoint.range.high = (struct gw_bound){0};
    }
    gw_range_release(&checkpoint.range);
    rf->close(reader);
    gw_pg_writer_facet.close(writer);
    return o;
}

static void list(struct pair *p, const char *table, struct gw_schema *schema)
{
    struct gw_error err;
    char *include[] = {gw_asprintf("%s.%s", SPACE, table)};
    struct gw_filter filter = {.include_count = 1, .include = include};
    MUST(p->blue->type->catalog->list(p->blue, &filter, schema, &err));
    free(include[0]);
}

/* Copies a table by chunks and compares what both sides hold, as text. */
static struct outcome check_copy(struct pair *p, const char *table, int64_t rows_per_chunk)
{
    struct gw_schema schema;
    gw_autobuf struct gw_buf sql = {0};
    list(p, table, &schema);
    if (schema.count != 1)
        fail_msg("%s: %zu tables listed", table, schema.count);
    run_both(p, "SET extra_float_digits = 3");
    struct outcome o = copy_table(p, &schema.collections[0], rows_per_chunk);
    gw_buf_adds(&sql, "SELECT count(*) || ' ' || coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '')"
                      " FROM ");
    gw_pg_add_table(&sql, &schema.collections[0]);
    gw_buf_adds(&sql, " t");
    gw_autofree char *blue = value_of(p->blue_owner, gw_buf_text(&sql));
    gw_autofree char *green = value_of(p->green_owner, gw_buf_text(&sql));
    assert_string_equal(blue, green);
    assert_int_equal(o.rows, strtoull(blue, NULL, 10));
    gw_schema_release(&schema);
    return o;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void copy_keeps_every_built_in_type(void **state)
{
    struct pair *p = pair_of(state);
    run_both(
        p, "CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"', 'happy');"
           "CREATE DOMAIN positive AS int CHECK (value > 0);"
           "CREATE DOMAIN twice AS positive;"
           "CREATE TYPE textrange AS RANGE (subtype = text);"
           "CREATE TABLE matrix (id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric,"
           " n2 numeric(10,2), t text, v varchar(20), c char(10), \"c1\" \"char\", nm name, by bytea, d date, ti time,"
           " tz timetz, ts timestamp, tstz timestamptz(3), iv interval, u uuid, j json, jb jsonb, jp jsonpath,"
           " inet inet, cidr cidr, mac macaddr, mac8 macaddr8, bt bit(5), vb varbit, tsv tsvector, tsq tsquery,"
           " pt point, ln line, ls lseg, bx box, pa path, po polygon, ci circle, m money, o oid, xi xid, x8 xid8,"
           " l pg_lsn, snap pg_snapshot, ia int[], ta text[], i2d int[], r int4range, nr numrange, tr tstzrange,"
           " mr int4multirange, e mood, dom twice, ur textrange, ra int8range[])");
    run(p->blue_owner,
        "INSERT INTO matrix VALUES (-2147483648, true, -32768, 9223372036854775807, 'NaN', '-Infinity', 'NaN', 1.50,"
        " E'tab\\tnew\\nline \\\\ \\u00e9\\U0001F600', 'v', 'c', 'x', 'n', '\\x00ff5c0a', '-infinity', '24:00', '12:00+14',"
        " 'infinity', '2026-01-01 00:00:00.123+09', '1 year -3 mons 04:05:06.789', gen_random_uuid(),"
        " '{\"a\": 1, \"a\" :2}', '{\"b\": [1.0, null]}', '$.a[*] ? (@ > 1)', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03',"
        " '08:00:2b:01:02:03:04:05', B'10101', B'1', 'a:1A b:2', 'a & !b', '(1,2)', '{1,2,3}', '[(0,0),(1,1)]',"
        " '((0,0),(1,1))', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(0,0),1>', -12.34, 4294967295, '3', '4',"
        " '16/B374D848', '10:20:10,14', '{1,NULL,3}', '{\"a,b\",\"\",NULL}', '[0:1][2:3]={{1,2},{3,4}}', '[1,5)', '(,1.5]',"
        " 'empty', '{[1,2),[5,6)}', 'it''s \"ok\"', 7, '[a,b)', '{\"[1,2)\",empty}');"
        "INSERT INTO matrix (id, f8, f4, n, t) VALUES (0, 5e-324, 1e-45, '-Infinity', ''), (1, -0.0, 'Infinity', 1e-100, NULL),"
        " (2147483647, 0.1, 0.1, 123456789012345678901234567890.123456789, repeat('x', 100000))");
    struct outcome o = check_copy(p, "matrix", 2);
    assert_true(o.binary);
    assert_true(o.chunks >= 2);
}

static void copy_passes_what_holds_an_oid_as_text(void **state)
{
    struct pair *p = pair_of(state);
    run(p->green_owner, "CREATE TABLE oids_apart (a int); CREATE TABLE oids_apart2 (a int)");
    run_both(p, "CREATE TYPE pair AS (a int, b text);"
                "CREATE TYPE colour AS ENUM ('red', 'green');"
                "CREATE TABLE target_table (id int);"
                "CREATE TABLE holders (id int PRIMARY KEY, rc regclass, co pair, en colour[], x xml, rt regtype,"
                " acl aclitem, ca pair[], txt text)");
    run(p->blue_owner,
        "INSERT INTO holders VALUES (1, 'target_table', '(1,\"x,y\")', '{red,green}', '<a>b</a>', 'colour',"
        " 'app_owner=r/app_owner', '{\"(1,a)\"}', E'a\\\\b\\tc\\nd\\re'); INSERT INTO holders VALUES (2)");
    struct outcome o = check_copy(p, "holders", 100);
    assert_false(o.binary);
}

static void copy_tiles_composite_keys_without_gaps(void **state)
{
    struct pair *p = pair_of(state);
    run_both(p, "CREATE TABLE composite (a text, b numeric, c bytea, v int, PRIMARY KEY (b, a, c))");
    run(p->blue_owner, "INSERT INTO composite SELECT k, n, decode(lpad(to_hex(i), 4, '0'), 'hex'), i"
                       " FROM unnest(ARRAY['', 'a-b', 'aB', 'ab', 'A1', '_z', '\"', '''', E'\\\\', 'é']) k,"
                       " unnest(ARRAY['NaN', '1.0', '-5', '1e20']::numeric[]) n, generate_series(0, 6) i");
    struct outcome o = check_copy(p, "composite", 7);
    assert_int_equal(o.rows, 280);
    assert_int_equal(o.chunks, 40);
}

static void copy_interpolates_dense_keys_and_misses_nothing(void **state)
{
    struct pair *p = pair_of(state);
    run_both(p, "CREATE TABLE dense (id bigint PRIMARY KEY, v text)");
    run(p->blue_owner,
        "INSERT INTO dense SELECT i, i FROM generate_series(-5000, 5000) i WHERE i % 7 <> 0; ANALYZE dense;"
        "INSERT INTO dense VALUES (9223372036854775806, 'far'), (-9223372036854775808, 'least')");
    struct outcome o = check_copy(p, "dense", 1000);
    assert_true(o.chunks >= 8);
    run_both(p, "CREATE TABLE denser (id int PRIMARY KEY, v text)");
    run(p->blue_owner, "INSERT INTO denser SELECT i, i FROM generate_series(-5000, 5000) i WHERE i % 7 <> 0;"
                       "ANALYZE denser; INSERT INTO denser VALUES (2147483647, 'far'), (-2147483648, 'least')");
    o = check_copy(p, "denser", 1000);
    assert_true(o.chunks >= 8);
}

static void copy_orders_keys_as_their_type_does(void **state)
{
    struct pair *p = pair_of(state);
    PGresult *r = PQexec(p->blue_owner, "CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public");
    bool there = PQresultStatus(r) == PGRES_COMMAND_OK;
    PQclear(r);
    if (!there)
        skip();
    run(p->green_owner, "CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public");
    run_both(p, "CREATE TABLE folded (k citext, n int, PRIMARY KEY (k, n))");
    run(p->blue_owner, "INSERT INTO folded SELECT CASE WHEN i % 2 = 0 THEN upper(to_hex(i)) ELSE to_hex(i) END, i"
                       " FROM generate_series(1, 500) i");
    struct outcome o = check_copy(p, "folded", 9);
    assert_int_equal(o.rows, 500);
    assert_false(o.binary);
}

static void copy_takes_any_identifier(void **state)
{
    struct pair *p = pair_of(state);
    run_both(p, "CREATE TABLE \"order\" (\"select\" int PRIMARY KEY, \"Quo\"\"ted\" text, \"sp ace.dot\" int,"
                " \"été_ünïcödé_très_long_nom_de_colonne_qui_va_jusquà\" int, \"back\\slash'\" text)");
    run(p->blue_owner, "INSERT INTO \"order\" SELECT i, i, i, i, i FROM generate_series(1, 50) i");
    assert_int_equal(check_copy(p, "order", 20).rows, 50);
    run_both(p, "CREATE TABLE \"we.ird \"\"%s'; --\" (id text PRIMARY KEY)");
    run(p->blue_owner, "INSERT INTO \"we.ird \"\"%s'; --\" VALUES ('a''b'), (E'c\\\\d')");
    assert_int_equal(check_copy(p, "we.ird*", 1).rows, 2);
}

static void copy_leaves_generated_columns_to_the_target(void **state)
{
    struct pair *p = pair_of(state);
    run_both(
        p,
        "CREATE TABLE made (g int GENERATED ALWAYS AS (a * 2) STORED, id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " a int, d int GENERATED BY DEFAULT AS IDENTITY)");
    run(p->blue_owner, "INSERT INTO made (a) SELECT i FROM generate_series(1, 30) i");
    assert_int_equal(check_copy(p, "made", 10).rows, 30);
}

static void copy_takes_tables_without_key_rows_or_columns(void **state)
{
    struct pair *p = pair_of(state);
    run_both(p, "CREATE TABLE keyless (a int, b text); CREATE TABLE empty (id int PRIMARY KEY);"
                "CREATE TABLE empty_text (id regclass); CREATE TABLE no_columns ();"
                "CREATE TABLE only_made (a int GENERATED ALWAYS AS (1) STORED)");
    run(p->blue_owner, "INSERT INTO keyless SELECT 1, 'same' FROM generate_series(1, 20);"
                       "INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;"
                       "INSERT INTO only_made DEFAULT VALUES");
    struct outcome o = check_copy(p, "keyless", 5);
    assert_int_equal(o.rows, 20);
    assert_int_equal(o.chunks, 1);
    assert_int_equal(check_copy(p, "empty", 5).rows, 0);
    assert_int_equal(check_copy(p, "empty_text", 5).rows, 0);
    assert_int_equal(check_copy(p, "no_columns", 5).rows, 2);
    assert_int_equal(check_copy(p, "only_made", 5).rows, 1);
}

static void copy_lists_leaf_partitions(void **state)
{
    struct pair *p = pair_of(state);
    struct gw_schema schema;
    run_both(p, "CREATE TABLE parted (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
                "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')"
                " PARTITION BY HASH (id);"
                "CREATE TABLE parted_1a PARTITION OF parted_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
                "CREATE TABLE parted_1b PARTITION OF parted_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
                "CREATE TABLE parted_x PARTITION OF parted DEFAULT;"
                "CREATE UNLOGGED TABLE parted_not_logged (id int)");
    run(p->blue_owner, "INSERT INTO parted SELECT i, '2026-01-15'::date + i FROM generate_series(1, 100) i");
    list(p, "parted*", &schema);
    assert_int_equal(schema.count, 3);
    for (size_t i = 0; i < schema.count; i++) {
        assert_string_equal(schema.collections[i].parent, SPACE ".parted");
        assert_int_equal(schema.collections[i].key_count, 2);
        assert_int_equal(schema.collections[i].key_kind, GW_KEY_PRIMARY);
    }
    gw_schema_release(&schema);
    check_copy(p, "parted_1a", 3);
    check_copy(p, "parted_1b", 3);
    assert_true(check_copy(p, "parted_x", 10).chunks > 1);
}

static void list_picks_a_key_that_holds(void **state)
{
    struct pair *p = pair_of(state);
    struct gw_schema schema;
    run(p->blue_owner, "CREATE TABLE keys_1 (a int NOT NULL, b int, c int NOT NULL, d int NOT NULL);"
                       "CREATE UNIQUE INDEX k1_nullable ON keys_1 (b);"
                       "CREATE UNIQUE INDEX k1_partial ON keys_1 (a) WHERE c > 0;"
                       "CREATE UNIQUE INDEX k1_expression ON keys_1 ((a + 1));"
                       "ALTER TABLE keys_1 ADD CONSTRAINT k1_deferred UNIQUE (d) DEFERRABLE;"
                       "CREATE TABLE keys_2 (LIKE keys_1);"
                       "CREATE UNIQUE INDEX k2_wide ON keys_2 (c, a) INCLUDE (b);"
                       "CREATE TABLE keys_3 (LIKE keys_2); CREATE UNIQUE INDEX k3_narrow ON keys_3 (d);"
                       "CREATE UNIQUE INDEX k3_named ON keys_3 (c, a);"
                       "ALTER TABLE keys_3 REPLICA IDENTITY USING INDEX k3_named");
    list(p, "keys_*", &schema);
    assert_int_equal(schema.count, 3);
    assert_int_equal(schema.collections[0].key_kind, GW_KEY_NONE);
    assert_int_equal(schema.collections[1].key_kind, GW_KEY_UNIQUE);
    assert_int_equal(schema.collections[1].key_count, 2);
    assert_string_equal(schema.collections[1].columns[schema.collections[1].key[0]].name, "c");
    assert_string_equal(schema.collections[1].columns[schema.collections[1].key[1]].name, "a");
    assert_string_equal(schema.collections[2].key_index, "k3_named");
    assert_string_equal(schema.collections[2].identity, "index");
    gw_schema_release(&schema);
}

static void copy_cuts_big_values_in_slices(void **state)
{
    struct pair *p = pair_of(state);
    run_both(p, "CREATE TABLE big (id int PRIMARY KEY, raw bytea, packed bytea, t text, j jsonb, a int[], small text);"
                "ALTER TABLE big ALTER raw SET STORAGE EXTERNAL;"
                "CREATE TABLE big_text (id regclass, b bytea, t text, small text)");
    run(p->blue_owner,
        "INSERT INTO big SELECT i, CASE WHEN i % 3 = 0 THEN decode(repeat(md5(i::text), 300000), 'hex') END,"
        " CASE WHEN i % 4 = 0 THEN decode(repeat('00ff5c', 3000000), 'hex') END,"
        " CASE WHEN i % 5 = 0 THEN repeat(E'\\u00e9\\t\\n\\\\x', 900000) ELSE 'short' END,"
        " CASE WHEN i % 6 = 0 THEN jsonb_build_object('k', repeat('long \"text\" ', 1500000)) ELSE '{}' END,"
        " CASE WHEN i % 7 = 0 THEN (SELECT array_agg(g) FROM generate_series(1, 800000) g) END, 's' || i"
        " FROM generate_series(1, 14) i;"
        "INSERT INTO big_text VALUES ('pg_class', decode(repeat(md5('x'), 200000), 'hex'), repeat(E'a\\tb\\\\\\n\\r', 700000),"
        " E'x\\ty'), ('pg_type', '\\x5c', 'short', NULL), (NULL, NULL, repeat('z', 3000000), E'\\\\N')");
    assert_true(check_copy(p, "big", 5).binary);
    assert_false(check_copy(p, "big_text", 5).binary);
}

static void a_huge_value_costs_little_memory(void **state)
{
    struct pair *p = pair_of(state);
    struct rusage before, after;
    run_both(p, "CREATE TABLE huge (id int PRIMARY KEY, v bytea); ALTER TABLE huge ALTER v SET STORAGE EXTERNAL");
    run(p->blue_owner, "INSERT INTO huge SELECT 1, convert_to(repeat('0123456789abcdef', 16000000), 'UTF8')");
    getrusage(RUSAGE_SELF, &before);
    struct gw_schema schema;
    list(p, "huge", &schema);
    copy_table(p, &schema.collections[0], 10);
    gw_schema_release(&schema);
    getrusage(RUSAGE_SELF, &after);
    gw_autofree char *green = value_of(p->green_owner, "SELECT md5(v) FROM huge");
    gw_autofree char *blue = value_of(p->blue_owner, "SELECT md5(v) FROM huge");
    assert_string_equal(blue, green);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed */
    assert_true(after.ru_maxrss - before.ru_maxrss < 32 * 1024);
#endif
    run_both(p, "DROP TABLE huge");
}

static void a_loaded_chunk_is_not_loaded_again(void **state)
{
    struct pair *p = pair_of(state);
    struct gw_error err;
    struct gw_writer *writer;
    struct gw_schema schema;
    struct gw_checkpoint checkpoint = {.chunk = p->chunk++, .collection = 77}, *all;
    size_t count;
    uint64_t rows;
    bool already;
    run_both(p, "CREATE TABLE once (id regclass)");
    list(p, "once", &schema);
    checkpoint.range.low = (struct gw_bound){.count = 2, .texts = gw_calloc(2, sizeof(char *))};
    checkpoint.range.low.texts[0] = gw_strdup("it's \\ \"é\"");
    checkpoint.range.low.texts[1] = gw_strdup("");
    MUST(gw_mark_parse("10:20:12,15", &checkpoint.mark, &err));
    MUST(gw_pg_writer_facet.open(p->green, "blue>green", &writer, &err));
    MUST(gw_pg_writer_facet.begin_chunk(writer, &schema.collections[0], &checkpoint, &already, &err));
    assert_false(already);
    struct gw_block block = {.bytes = "pg_class\n\\N\n", .len = 12};
    MUST(gw_pg_writer_facet.put(writer, &block, &err));
    MUST(gw_pg_writer_facet.commit_chunk(writer, &rows, &err));
    assert_int_equal(rows, 2);
    MUST(gw_pg_writer_facet.begin_chunk(writer, &schema.collections[0], &checkpoint, &already, &err));
    assert_true(already);
    MUST(gw_pg_writer_facet.checkpoints(p->green, &all, &count, &err));
    assert_true(count > 0);
    struct gw_checkpoint *mine = &all[count - 1];
    assert_int_equal(mine->chunk, checkpoint.chunk);
    assert_int_equal(mine->collection, 77);
    assert_int_equal(mine->rows, 2);
    assert_int_equal(mine->bytes, 12);
    assert_true(gw_bound_equal(&mine->range.low, &checkpoint.range.low));
    assert_int_equal(mine->range.high.count, 0);
    assert_true(gw_mark_saw(&mine->mark, 14) && !gw_mark_saw(&mine->mark, 15) && !gw_mark_saw(&mine->mark, 20));
    for (size_t i = 0; i < count; i++)
        gw_checkpoint_release(&all[i]);
    free(all);
    gw_checkpoint_release(&checkpoint);
    gw_pg_writer_facet.close(writer);
    gw_schema_release(&schema);
}

static void a_bad_row_fails_the_chunk_and_leaves_nothing(void **state)
{
    struct pair *p = pair_of(state);
    struct gw_error err;
    struct gw_writer *writer;
    struct gw_schema schema;
    struct gw_checkpoint checkpoint = {.chunk = p->chunk++};
    bool already;
    uint64_t rows;
    run_both(p, "CREATE TABLE refuses (id regclass)");
    list(p, "refuses", &schema);
    MUST(gw_pg_writer_facet.open(p->green, "blue>green", &writer, &err));
    MUST(gw_pg_writer_facet.begin_chunk(writer, &schema.collections[0], &checkpoint, &already, &err));
    struct gw_block block = {.bytes = "pg_class\nno_such_table\n", .len = 23};
    MUST(gw_pg_writer_facet.put(writer, &block, &err));
    assert_false(gw_pg_writer_facet.commit_chunk(writer, &rows, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_non_null(strstr(err.message, "no_such_table"));
    assert_non_null(strstr(err.detail, "line 2"));
    /* The same session goes on. */
    MUST(gw_pg_writer_facet.begin_chunk(writer, &schema.collections[0], &checkpoint, &already, &err));
    assert_false(already);
    gw_pg_writer_facet.close(writer);
    gw_autofree char *left = value_of(p->green_owner, "SELECT count(*) FROM refuses");
    assert_string_equal(left, "0");
    gw_schema_release(&schema);
}

static void a_chunk_of_a_changed_table_is_refused(void **state)
{
    struct pair *p = pair_of(state);
    struct gw_error err;
    struct gw_reader *reader;
    struct gw_schema schema;
    struct gw_range whole = {0};
    struct gw_mark mark;
    run_both(p, "CREATE TABLE retyped (id int PRIMARY KEY, v int)");
    list(p, "retyped", &schema);
    MUST(p->blue->type->reader->open(p->blue, &reader, &err));
    run(p->blue_owner, "ALTER TABLE retyped ALTER v TYPE real");
    assert_false(p->blue->type->reader->begin(reader, &schema.collections[0], &whole, &mark, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_non_null(strstr(err.detail, "v real"));
    run(p->blue_owner, "ALTER TABLE retyped ALTER v TYPE int");
    MUST(p->blue->type->reader->begin(reader, &schema.collections[0], &whole, &mark, &err));
    gw_mark_release(&mark);
    p->blue->type->reader->close(reader);
    gw_schema_release(&schema);
}

static void a_row_is_read_again_with_its_mark(void **state)
{
    struct pair *p = pair_of(state);
    struct gw_error err;
    struct gw_reader *reader;
    struct gw_schema schema;
    struct gw_mark mark;
    struct gw_row row;
    bool found;
    run_both(p,
             "CREATE TABLE again (g int GENERATED ALWAYS AS (b) STORED, a text, b int, v bytea, PRIMARY KEY (b, a))");
    run(p->blue_owner, "INSERT INTO again (a, b, v) VALUES ('x''y', 7, '\\x00'), ('x', 7, NULL)");
    list(p, "again", &schema);
    unsigned char seven[4] = {0, 0, 0, 7};
    struct gw_value values[2] = {{.kind = GW_VALUE_BINARY, .len = 4, .bytes = seven}, gw_value_text("x'y")};
    struct gw_row key = {.count = 2, .values = values};
    MUST(p->blue->type->reader->open(p->blue, &reader, &err));
    MUST(p->blue->type->reader->refetch(reader, &schema.collections[0], &key, &mark, &found, &row, &err));
    assert_true(found);
    assert_int_equal(row.count, 4);
    assert_int_equal(row.values[0].kind, GW_VALUE_ABSENT);
    assert_int_equal(row.values[3].kind, GW_VALUE_BINARY);
    assert_int_equal(row.values[3].len, 1);
    gw_mark_release(&mark);
    values[1] = gw_value_text("nobody");
    MUST(p->blue->type->reader->refetch(reader, &schema.collections[0], &key, &mark, &found, &row, &err));
    assert_false(found);
    gw_mark_release(&mark);
    p->blue->type->reader->close(reader);
    gw_schema_release(&schema);
}

static void fingerprint_changes_with_ddl_and_with_nothing_else(void **state)
{
    struct pair *p = pair_of(state);
    struct gw_error err;
    gw_autobuf struct gw_buf first = {0};
    gw_autobuf struct gw_buf now = {0};
    char *include[] = {gw_strdup(SPACE ".fp*")};
    struct gw_filter filter = {.include_count = 1, .include = include};
    const struct gw_catalog_facet *catalog = p->blue->type->catalog;
    gw_autobuf struct gw_buf making = {0};
    bool moved = true;
    run(p->blue_owner, "CREATE TABLE fp (id serial PRIMARY KEY, v text DEFAULT 'a'); CREATE INDEX fp_v ON fp (v)");
    MUST(catalog->fingerprint(p->blue, &filter, &first, &err));
    run(p->blue_owner, "INSERT INTO fp (v) SELECT 'x' FROM generate_series(1, 1000); ANALYZE fp");
    run(p->blue_owner, "VACUUM FULL fp");
    run(p->blue_owner, "REINDEX INDEX fp_v; ALTER TABLE fp REPLICA IDENTITY FULL; CREATE TEMP TABLE scratch (a int);"
                       "CREATE TABLE other_than_fp (a int); TRUNCATE fp");
    MUST(catalog->fingerprint(p->blue, &filter, &now, &err));
    assert_string_equal(gw_buf_text(&first), gw_buf_text(&now));
    gw_autobuf struct gw_buf still = {0};
    MUST(catalog->glance(p->blue, &still, &moved, &making, &err));
    run(p->blue_owner, "INSERT INTO fp (v) VALUES ('y'); ANALYZE fp");
    run(p->blue_owner, "VACUUM fp");
    MUST(catalog->glance(p->blue, &still, &moved, &making, &err));
    assert_false(moved);
    assert_string_equal(gw_buf_text(&making), "");
    static const char *const ddl[] = {
        "ALTER TABLE fp ALTER v SET DEFAULT 'b'",
        "ALTER TABLE fp ADD w int",
        "CREATE INDEX fp_w ON fp (w)",
        "ALTER TABLE fp ADD CONSTRAINT fp_check CHECK (w > 0)",
        "CREATE VIEW some_view AS SELECT 1 AS a",
        "CREATE OR REPLACE VIEW some_view AS SELECT 2 AS a",
        "CREATE FUNCTION fp_f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION fp_f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "CREATE TABLE fp_new (a int)",
        "ALTER SEQUENCE fp_id_seq INCREMENT 2",
        "CREATE TYPE fp_type AS ENUM ('a')",
        "ALTER TYPE fp_type ADD VALUE 'b'",
        "CREATE FUNCTION fp_t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER fp_trigger AFTER INSERT ON fp EXECUTE FUNCTION fp_t()",
        "DROP TABLE fp_new",
    };
    for (size_t i = 0; i < sizeof ddl / sizeof ddl[0]; i++) {
        gw_autobuf struct gw_buf seen = {0};
        MUST(catalog->glance(p->blue, &seen, &moved, &making, &err));
        run(p->blue_owner, ddl[i]);
        MUST(catalog->glance(p->blue, &seen, &moved, &making, &err));
        if (!moved)
            fail_msg("a glance does not notice: %s", ddl[i]);
        gw_buf_clear(&first);
        gw_buf_add(&first, now.data, now.len);
        MUST(catalog->fingerprint(p->blue, &filter, &now, &err));
        if (strcmp(gw_buf_text(&first), gw_buf_text(&now)) == 0)
            fail_msg("not noticed: %s", ddl[i]);
    }
    run(p->blue_owner, "BEGIN; CREATE TABLE fp_unseen (a int)");
    MUST(catalog->glance(p->blue, &still, &moved, &making, &err));
    assert_non_null(strstr(gw_buf_text(&making), "app_owner"));
    run(p->blue_owner, "ROLLBACK");
    free(include[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_keeps_every_built_in_type),
        cmocka_unit_test(copy_passes_what_holds_an_oid_as_text),
        cmocka_unit_test(copy_tiles_composite_keys_without_gaps),
        cmocka_unit_test(copy_interpolates_dense_keys_and_misses_nothing),
        cmocka_unit_test(copy_orders_keys_as_their_type_does),
        cmocka_unit_test(copy_takes_any_identifier),
        cmocka_unit_test(copy_leaves_generated_columns_to_the_target),
        cmocka_unit_test(copy_takes_tables_without_key_rows_or_columns),
        cmocka_unit_test(copy_lists_leaf_partitions),
        cmocka_unit_test(list_picks_a_key_that_holds),
        cmocka_unit_test(copy_cuts_big_values_in_slices),
        cmocka_unit_test(a_huge_value_costs_little_memory),
        cmocka_unit_test(a_loaded_chunk_is_not_loaded_again),
        cmocka_unit_test(a_bad_row_fails_the_chunk_and_leaves_nothing),
        cmocka_unit_test(a_chunk_of_a_changed_table_is_refused),
        cmocka_unit_test(a_row_is_read_again_with_its_mark),
        cmocka_unit_test(fingerprint_changes_with_ddl_and_with_nothing_else),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
