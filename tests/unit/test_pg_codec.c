/* Values of a real server through the codec and back: GODWIT_TEST_BLUE and _GREEN as with_postgres.py sets them. */
#include "gw_test.h"

#include "base/mem.h"
#include "datum_random.h"
#include "sql_embedded.h"
#include "store/postgres/codec.h"

#include <inttypes.h>

#define SPACE "codec test"

struct world {
    struct gw_store *blue;
    PGconn *owner;
    uint64_t chunk;
};

/* ---- one side ------------------------------------------------------------------------------------------------------- */

static PGconn *connect_as(const char *variable)
{
    PGconn *conn = PQconnectdb(getenv(variable));
    if (PQstatus(conn) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(conn));
    PQclear(PQexec(conn, "SET client_min_messages = error; SET search_path = \"" SPACE "\", public"));
    return conn;
}

static void run(PGconn *conn, const char *sql)
{
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    PQclear(r);
}

static int setup(void **state)
{
    if (!getenv("GODWIT_TEST_BLUE"))
        return 0;
    struct world *w = gw_zalloc(sizeof *w);
    struct gw_error err;
    PGconn *conn, *admin = connect_as("GODWIT_TEST_BLUE_ADMIN");
    struct gw_store_options options = {.url = getenv("GODWIT_TEST_BLUE"), .migration = "codec test", .side = GW_BLUE};
    MUST(gw_store_open(&options, &w->blue, &err));
    MUST(gw_pg_borrow(gw_pg_store_of(w->blue), &conn, &err));
    MUST(gw_pg_exec(gw_pg_store_of(w->blue), conn, gw_sql_home, &err));
    MUST(gw_pg_exec(gw_pg_store_of(w->blue), conn, "DELETE FROM godwit.chunk WHERE id >= 7000000", &err));
    gw_pg_return(gw_pg_store_of(w->blue), conn, false);
    run(admin, "DROP SCHEMA IF EXISTS \"" SPACE "\" CASCADE; CREATE SCHEMA \"" SPACE "\" AUTHORIZATION app_owner");
    PQfinish(admin);
    w->owner = connect_as("GODWIT_TEST_BLUE_OWNER");
    w->chunk = 7000000;
    run(w->owner, "CREATE TYPE mood AS ENUM ('sad', 'it''s \"ok\"', 'h\xc3\xa4ppy');"
                  "CREATE DOMAIN price AS numeric(8,2) CHECK (VALUE >= 0);"
                  "CREATE TYPE pair AS (a int, b text);"
                  "CREATE TYPE float_range AS RANGE (subtype = float8)");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    if (!w)
        return 0;
    run(w->owner, "DROP SCHEMA \"" SPACE "\" CASCADE");
    gw_store_close(w->blue);
    PQfinish(w->owner);
    free(w);
    return 0;
}

static struct world *world_of(void **state)
{
    if (!*state)
        skip();
    return *state;
}

static void list(struct world *w, struct gw_schema *out)
{
    struct gw_error err;
    char *include[] = {(char *)SPACE ".*"};
    struct gw_filter filter = {.include_count = 1, .include = include};
    MUST(w->blue->type->catalog->list(w->blue, &filter, out, &err));
}

/* ---- through the codec ---------------------------------------------------------------------------------------------- */

struct taken {
    size_t count, columns;
    struct gw_datum *rows;
    struct gw_arena arena;
};

static void take(struct taken *t, const struct gw_datum *row)
{
    t->rows = gw_realloc(t->rows, (t->count + 1) * t->columns * sizeof *t->rows);
    for (size_t i = 0; i < t->columns; i++)
        t->rows[t->count * t->columns + i] = gw_datum_copy(&t->arena, &row[i]);
    t->count++;
}

static void release_taken(struct taken *t)
{
    free(t->rows);
    gw_arena_release(&t->arena);
}

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct gw_datum *)a)->i64, y = ((const struct gw_datum *)b)->i64;
    return (x > y) - (x < y);
}

/* In blocks as they come, or cut into pieces of `piece` bytes. */
static void read_all(struct world *w, const struct gw_collection *c, size_t piece, struct taken *out)
{
    const struct gw_reader_facet *rf = w->blue->type->reader;
    const struct gw_codec_facet *cf = w->blue->type->codec;
    struct gw_error err;
    struct gw_reader *reader;
    struct gw_codec *codec;
    struct gw_range all = {0};
    struct gw_mark mark;
    struct gw_block block = {0};
    struct gw_datum row[64];
    uint64_t rows = 0;
    *out = (struct taken){.columns = c->column_count};
    MUST(rf->open(w->blue, &reader, &err));
    MUST(cf->open(w->blue, c, &codec, &err));
    MUST(rf->begin(reader, c, &all, &mark, &err));
    do {
        MUST(rf->next(reader, &block, &err));
        rows += block.rows;
        for (size_t at = 0; at < block.len; at += piece ? piece : block.len) {
            size_t len = !piece || block.len - at < piece ? block.len - at : piece;
            char *copy = gw_memdup((const char *)block.bytes + at, len); /* so that no byte behind it is there */
            struct gw_block part = {.bytes = copy, .len = len};
            bool got = true;
            MUST(cf->feed(codec, &part, &err));
            while (got) {
                MUST(cf->row(codec, row, &got, &err));
                if (got)
                    take(out, row);
            }
            memset(copy, 0xee, len);
            free(copy);
        }
    } while (block.len > 0);
    MUST(rf->end(reader, &err));
    assert_int_equal(out->count, rows);
    qsort(out->rows, out->count, out->columns * sizeof *out->rows, by_id);
    gw_mark_release(&mark);
    cf->close(codec);
    rf->close(reader);
}

static void write_all(struct world *w, const struct gw_collection *c, const struct taken *t)
{
    const struct gw_writer_facet *wf = w->blue->type->writer;
    const struct gw_codec_facet *cf = w->blue->type->codec;
    struct gw_error err;
    struct gw_writer *writer;
    struct gw_codec *codec;
    struct gw_checkpoint checkpoint = {.chunk = w->chunk++, .collection = c->id};
    bool already;
    uint64_t rows;
    MUST(gw_mark_parse("3:3:", &checkpoint.mark, &err));
    MUST(wf->open(w->blue, "blue>green", &writer, &err));
    MUST(cf->open(w->blue, c, &codec, &err));
    MUST(wf->begin_chunk(writer, c, &checkpoint, &already, &err));
    gw_autobuf struct gw_buf out = {0};
    cf->pack_first(codec, &out);
    for (size_t i = 0; i < t->count; i++)
        MUST(cf->pack(codec, t->rows + i * t->columns, &out, &err));
    cf->pack_last(codec, &out);
    struct gw_block block = {.bytes = out.data, .len = out.len, .rows = t->count};
    MUST(wf->put(writer, &block, &err));
    MUST(wf->commit_chunk(writer, &rows, &err));
    assert_int_equal(rows, t->count);
    gw_checkpoint_release(&checkpoint);
    cf->close(codec);
    wf->close(writer);
}

/* Every row of "from" stands in "to" byte by byte. */
static void assert_same_rows(struct world *w, const char *what)
{
    gw_autobuf struct gw_buf detail = {0};
    PGresult *r =
        PQexec(w->owner, "SELECT f::text, t::text FROM \"from\" f FULL JOIN \"to\" t USING (id)"
                         " WHERE f.*::record OPERATOR(pg_catalog.*<>) t.*::record OR f.id IS NULL OR t.id IS NULL");
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", what, PQerrorMessage(w->owner));
    for (int i = 0; i < PQntuples(r) && i < 5; i++)
        gw_buf_addf(&detail, "\n%.200s became %.200s", PQgetvalue(r, i, 0), PQgetvalue(r, i, 1));
    int count = PQntuples(r);
    PQclear(r);
    if (count)
        fail_msg("%s: %d rows changed:%s", what, count, gw_buf_text(&detail));
}

static const struct gw_collection *named(const struct gw_schema *schema, const char *name)
{
    const struct gw_collection *c = gw_schema_find(schema, SPACE, name);
    assert_non_null(c);
    return c;
}

/* ---- every type at its limits --------------------------------------------------------------------------------------- */

static const struct {
    const char *type;
    const char *values; /* of a VALUES list, behind NULL */
} limits[] = {
    {"boolean", "(true), (false)"},
    {"smallint", "(-32768), (32767), (0)"},
    {"integer", "(-2147483648), (2147483647), (0)"},
    {"bigint", "(-9223372036854775808), (9223372036854775807), (0)"},
    {"oid", "(0), (4294967295)"},
    {"numeric", "(0), ('NaN'), (0.00), (-0.0001), (1e131071), (1e-16383), (-1e-16383), (repeat('9', 131072)::numeric),"
                "(('0.' || repeat('9', 16383))::numeric), (1.00), (10000), (9999.9999), (99990000), (0.00010000),"
                "(100000000.00000001), (12345), (1e4), (1.10), (-12345678.90123)"},
    {"numeric(10,2)", "('NaN'), (99999999.99), (-99999999.99), (0), (0.01)"},
    {"numeric(1000,1000)", "(1e-1000), (0)"},
    {"real",
     "('NaN'), ('Infinity'), ('-Infinity'), ('-0'), (0), (1e-45), (3.4028235e38), (0.1), (16777217), (1e6), (999999.9)"},
    {"double precision", "('NaN'), ('Infinity'), ('-Infinity'), ('-0'), (0), (5e-324), (1.7976931348623157e308), (0.1),"
                         "(0.36640625), (1e15), (1e16), (999999999999999.9), (0.0001), (0.00001), (9007199254740993)"},
    {"text",
     "(''), ('NULL'), (E'tab\\tnew\\nline\\\\ \\r \\b \\f \\v'), ('h\xc3\xa9 \xf0\x9f\x90\xa6'), ('\\N'), ('  '), (repeat('x', 100000))"},
    {"character varying(10)", "(''), ('\xf0\x9f\x90\xa6\xf0\x9f\x90\xa6'), ('a  '), (repeat('\xc3\xa9', 10))"},
    {"character(5)", "(''), ('ab'), ('\xc3\xa9'), ('abcde'), ('  x')"},
    {"bpchar", "(''), ('ab'), ('ab  ')"},
    {"name", "(''), ('x'), (repeat('n', 63))"},
    {"bytea", "(''), ('\\x00'), ('\\x00ff5c0a'), (decode(repeat('00ff', 20000), 'hex'))"},
    {"date",
     "('infinity'), ('-infinity'), ('4713-11-24 BC'), ('5874897-12-31'), ('2000-01-01'), ('0001-01-01'), ('0001-12-31 BC'),"
     "('0044-03-15 BC'), ('0005-02-29 BC'), ('1900-02-28'), ('2024-02-29')"},
    {"time", "('00:00'), ('24:00'), ('23:59:59.999999'), ('12:00:00.1')"},
    {"time(3) without time zone", "('12:00:00.123')"},
    {"time with time zone",
     "('00:00+00'), ('24:00-15:59'), ('12:30:00.000001+05:30'), ('12:30:00.5-00:19:32'), ('23:59:59.999999+15:59:59')"},
    {"timestamp",
     "('infinity'), ('-infinity'), ('4713-11-24 00:00:00 BC'), ('294276-12-31 23:59:59.999999'), ('2000-01-01'),"
     "('1999-12-31 23:59:59.999999'), ('0044-03-15 12:00 BC'), ('10000-01-01'), ('0001-01-01')"},
    {"timestamp with time zone",
     "('infinity'), ('-infinity'), ('4713-11-24 00:00:00+00 BC'), ('294276-12-31 23:59:59.999999+00'),"
     "('2000-01-01 00:00+13'), ('0044-03-15 12:00+00 BC'), ('2024-10-27 02:30:00.25 Europe/Berlin')"},
    {"interval",
     "('0'), ('1 year 2 mons 3 days 04:05:06.789'), ('-1 year -2 mons +3 days -04:05:06.789'), ('178000000 years'),"
     "('-178000000 years'), ('2147483647 days'), ('-2147483648 days'), ('2562047788 hours 54.775807 seconds'), ('-0.000001'),"
     "('-2562047788:00:54.77')"},
    {"uuid",
     "('00000000-0000-0000-0000-000000000000'), ('ffffffff-ffff-ffff-ffff-ffffffffffff'), ('01234567-89ab-cdef-0123-456789abcdef')"},
    {"json", "('{\"b\": 1,  \"a\":2, \"a\":3}'), ('\"\\u0000\"'), ('null'), (' [1.0, 1e400] ')"},
    {"jsonb", "('{\"b\": 1,  \"a\":2, \"a\":3}'), ('null'), ('[1.0, 1e400]'), ('\"\\\\u0000\"'), ('{}')"},
    {"bit(3)", "('000'), ('101')"},
    {"bit", "('0'), ('1')"},
    {"bit varying", "(''), ('1'), ('10101010'), ('101010101')"},
    {"bit varying(9)", "(''), ('101010101')"},
    {"integer[]", "('{}'), ('{1,NULL,3}'), ('{{1,2},{3,4}}'), ('[-2:0]={7,8,9}'), ('[0:0][5:6]={{1,NULL}}')"},
    {"text[]",
     "('{}'), (ARRAY['', 'NULL', NULL, 'a,b', '\"', E'\\\\', '{}', E' x\\n\\t']), (ARRAY[['a','b'],['c','d']])"},
    {"numeric(5,1)[]", "('{1.5,NaN,NULL,-9999.9}')"},
    {"timestamp with time zone[]", "(ARRAY['infinity'::timestamptz, '0044-03-15 12:00+00 BC'])"},
    {"bytea[]", "(ARRAY['\\x00ff'::bytea, NULL, ''])"},
    {"box[]", "('{(1,2),(3,4);(5,6),(7,8)}')"},
    {"jsonb[]", "(ARRAY['{\"a\": \"x,y\"}'::jsonb, NULL])"},
    {"uuid[]", "(ARRAY['01234567-89ab-cdef-0123-456789abcdef'::uuid])"},
    {"mood", "('sad'), ('it''s \"ok\"'), ('h\xc3\xa4ppy')"},
    {"mood[]", "(ARRAY['sad', NULL, 'it''s \"ok\"']::mood[])"},
    {"price", "(0), (999999.99)"},
    {"price[]", "(ARRAY[1.50, NULL]::price[])"},
    {"pair", "('(1,x)'), ('(,)'), ('(,\"a,\\\\b\")')"},
    {"inet", "('0.0.0.0'), ('10.1.2.3/8'), ('::'), ('2001:db8::1/64'), ('::ffff:1.2.3.4'), ('1:0:0:2::3')"},
    {"cidr", "('10.0.0.0/8'), ('1.2.3.4/32'), ('2001:db8::/32'), ('::/0'), ('0.0.0.0/0')"},
    {"macaddr", "('08:00:2b:01:02:03')"},
    {"macaddr8", "('08:00:2b:01:02:03:04:05')"},
    {"money", "('0'), ('-92233720368547758.08'), ('92233720368547758.07'), ('-0.01'), ('1234.5')"},
    {"point", "('(0,0)'), ('(-1.5,1e300)'), ('(NaN,Infinity)')"},
    {"lseg", "('[(0,0),(1.25,2)]')"},
    {"path", "('[(0,0),(1,1),(2,0)]'), ('((0,0),(1,1),(2,0))')"},
    {"box", "('(3,4),(1,2)')"},
    {"polygon", "('((0,0),(1,1),(2,0))')"},
    {"line", "('{1,-2.5,3}')"},
    {"circle", "('<(1,2),3.5>')"},
    {"int4range", "('empty'), ('(,)'), ('[1,)'), ('[1,5)')"},
    {"int8range", "('[-9223372036854775808,9223372036854775807)')"},
    {"numrange", "('(1.50,2.5]'), ('[NaN,)')"},
    {"tsrange", "('[2024-01-01 10:00,2024-01-02)'), ('[-infinity,infinity]'), ('[0044-03-15 12:00 BC,)')"},
    {"tstzrange", "('[2024-01-01 10:00+00,)')"},
    {"daterange", "('[2024-01-01,2024-01-02)')"},
    {"float_range", "('[0.1,1e300)')"},
    {"int4multirange", "('{}'), ('{[1,3),[5,)}')"},
    {"datemultirange", "('{[2024-01-01,2024-01-02),[2025-01-01,)}')"},
    {"tsvector", "(''), ('a:1A fat:2B,4C cat:5D rat'), ($$'it''s':1 'back\\\\slash' 'x y':16383$$)"},
    {"tsquery", "(''), ('fat:AB & (rat | !cat)'), ('a <-> (b <3> c:*) & !(d | e)'), ($$'it''s' <0> 'x'$$), ('!!a')"},
    {"xml", "('<a b=\"c\">&amp;</a>')"},
    {"\"char\"", "('a'), (''), ('\\200')"},
    {"xid", "('0'), ('4294967295')"},
    {"xid8", "('18446744073709551615')"},
    {"tid", "('(4294967295,65535)')"},
    {"pg_lsn", "('0/0'), ('FFFFFFFF/FFFFFFFF')"},
    {"pg_snapshot", "('10:20:10,14,15')"},
    {"jsonpath", "('$.a[*] ? (@ > 1)')"},
    {"regclass", "('pg_class')"},
};

static void fill_limits(struct world *w, size_t i)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(
        &sql,
        "DROP TABLE IF EXISTS \"from\", \"to\";"
        "CREATE TABLE \"from\" (id int PRIMARY KEY, v %s, twice int GENERATED ALWAYS AS (id * 2) STORED, z int);"
        "CREATE TABLE \"to\" (LIKE \"from\" INCLUDING ALL);"
        "INSERT INTO \"from\" (id, v, z) SELECT row_number() OVER (), v::%s, 7 FROM (VALUES (NULL), %s) x(v)",
        limits[i].type, limits[i].type, limits[i].values);
    run(w->owner, gw_buf_text(&sql));
}

static void cross(struct world *w, bool text, size_t piece, const char *type)
{
    struct gw_schema schema = {0};
    struct taken rows;
    gw_autofree char *what = gw_asprintf("%s%s in pieces of %zu", type, text ? " as text" : "", piece);
    list(w, &schema);
    struct gw_collection *from = (struct gw_collection *)named(&schema, "from");
    struct gw_collection *to = (struct gw_collection *)named(&schema, "to");
    if (text)
        from->all_binary_safe = to->all_binary_safe = false;
    read_all(w, from, piece, &rows);
    assert_int_equal(rows.rows[2].kind, GW_KIND_NULL); /* generated */
    run(w->owner, "TRUNCATE \"to\"");
    write_all(w, to, &rows);
    assert_same_rows(w, what);
    release_taken(&rows);
    gw_schema_release(&schema);
}

static void every_type_at_its_limits_survives_the_codec(void **state)
{
    struct world *w = world_of(state);
    bool new_enough = w->blue->identity.version >= 140000;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (!new_enough && strstr(limits[i].type, "multirange"))
            continue;
        fill_limits(w, i);
        cross(w, false, 0, limits[i].type);
        cross(w, true, 0, limits[i].type);
        cross(w, false, 307, limits[i].type);
        cross(w, true, 307, limits[i].type);
    }
}

/* The same value has the same datum whichever form it came in. */
static void both_forms_give_the_same_data(void **state)
{
    struct world *w = world_of(state);
    bool new_enough = w->blue->identity.version >= 140000;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct gw_schema schema = {0};
        struct taken binary, text;
        if (!new_enough && strstr(limits[i].type, "multirange"))
            continue;
        fill_limits(w, i);
        list(w, &schema);
        struct gw_collection *from = (struct gw_collection *)named(&schema, "from");
        read_all(w, from, 0, &binary);
        from->all_binary_safe = false;
        read_all(w, from, 0, &text);
        assert_int_equal(binary.count, text.count);
        for (size_t k = 0; k < binary.count * binary.columns; k++)
            if (!gw_datum_equal(&binary.rows[k], &text.rows[k])) {
                gw_autobuf struct gw_buf a = {0}, b = {0};
                gw_datum_print(&binary.rows[k], &a);
                gw_datum_print(&text.rows[k], &b);
                fail_msg("%s: %.200s in binary, %.200s in text", limits[i].type, gw_buf_text(&a), gw_buf_text(&b));
            }
        release_taken(&binary);
        release_taken(&text);
        gw_schema_release(&schema);
    }
}

/* Verify's own reading, by rows and by key. */
static void scan_all(struct world *w, const struct gw_collection *c, struct taken *out)
{
    const struct gw_scan_facet *sf = w->blue->type->scan;
    struct gw_error err;
    struct gw_scan *scan;
    struct gw_range all = {0};
    struct gw_position at;
    struct gw_row row, found;
    struct gw_arena arena = {0};
    bool end = false;
    *out = (struct taken){.columns = c->column_count};
    MUST(sf->open(w->blue, &scan, &err));
    sf->whole_values(scan);
    MUST(sf->begin(scan, c, &all, true, &at, &err));
    for (;;) {
        struct gw_datum data[64];
        MUST(sf->next(scan, &row, &end, &err));
        if (end)
            break;
        for (size_t i = 0; i < c->column_count; i++)
            MUST(sf->to_datum(scan, &c->columns[i], &row.values[i], &arena, &data[i], &err));
        take(out, data);
    }
    MUST(sf->end(scan, &err));
    for (size_t k = 0; k < out->count; k++) {
        struct gw_value key;
        MUST(
            sf->from_datum(scan, &c->columns[c->key[0]], &out->rows[k * out->columns + c->key[0]], &arena, &key, &err));
        struct gw_row key_row = {.count = 1, .values = &key};
        MUST(sf->fetch(scan, c, &key_row, 1, &found, &at, &err));
        if (found.count == 0) {
            gw_autobuf struct gw_buf text = {0};
            gw_datum_print(&out->rows[k * out->columns + c->key[0]], &text);
            fail_msg("no row of the key %.200s (%s)", gw_buf_text(&text), c->columns[c->key[0]].type);
        }
    }
    gw_arena_release(&arena);
    sf->close(scan);
}

static void verify_reads_the_same_data_its_own_way(void **state)
{
    struct world *w = world_of(state);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct gw_schema schema = {0};
        struct taken decoded, scanned;
        if (w->blue->identity.version < 140000 && strstr(limits[i].type, "multirange"))
            continue;
        fill_limits(w, i);
        list(w, &schema);
        struct gw_collection *from = (struct gw_collection *)named(&schema, "from");
        read_all(w, from, 0, &decoded);
        scan_all(w, from, &scanned);
        assert_int_equal(decoded.count, scanned.count);
        for (size_t k = 1; k < decoded.count * decoded.columns; k += decoded.columns)
            if (!gw_datum_equal(&decoded.rows[k], &scanned.rows[k])) {
                gw_autobuf struct gw_buf a = {0}, b = {0};
                gw_datum_print(&decoded.rows[k], &a);
                gw_datum_print(&scanned.rows[k], &b);
                fail_msg("%s: %.200s by the codec, %.200s by verify", limits[i].type, gw_buf_text(&a), gw_buf_text(&b));
            }
        release_taken(&decoded);
        release_taken(&scanned);
        gw_schema_release(&schema);
    }
}

static void verify_finds_rows_by_keys_of_another_engine(void **state)
{
    struct world *w = world_of(state);
    static const char *const keys[] = {"bigint",
                                       "numeric",
                                       "numeric(10,2)",
                                       "text",
                                       "character varying(10)",
                                       "character(5)",
                                       "bytea",
                                       "date",
                                       "timestamp",
                                       "timestamp with time zone",
                                       "uuid",
                                       "boolean",
                                       "double precision",
                                       "mood",
                                       "price",
                                       "oid"};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        bool wanted = false;
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            wanted = wanted || strcmp(keys[k], limits[i].type) == 0;
        if (!wanted)
            continue;
        struct gw_schema schema = {0};
        struct taken scanned;
        fill_limits(w, i);
        run(w->owner,
            "DELETE FROM \"from\" f WHERE v IS NULL OR octet_length(v::text) > 1000 OR EXISTS (SELECT FROM \"from\" o"
            " WHERE o.v = f.v AND o.id < f.id); ALTER TABLE \"from\" DROP CONSTRAINT from_pkey, ADD PRIMARY KEY (v)");
        list(w, &schema);
        scan_all(w, named(&schema, "from"), &scanned);
        assert_true(scanned.count > 1);
        release_taken(&scanned);
        gw_schema_release(&schema);
    }
}

/* ---- random values -------------------------------------------------------------------------------------------------- */

static const char random_table[] =
    "DROP TABLE IF EXISTS \"from\", \"to\"; CREATE TABLE \"to\" (id int PRIMARY KEY, b boolean, i2 smallint, i4 int, i8 bigint, o oid,"
    " n numeric, n2 numeric(12,3), f4 real, f8 float8, t text, v varchar(20), c char(7), y bytea, d date, tm time, tm3 time(3),"
    " ts timestamp, tz timestamptz, tz0 timestamptz(0), iv interval, u uuid, j json, bt bit(11), vb varbit(40), m mood,"
    " ai int[], at text[], an numeric(12,3)[], atz timestamptz[], av varchar(20)[], ab bytea[], af float8[], am mood[])";

static void random_rows(struct world *w, const struct gw_collection *c, uint64_t seed, size_t count, struct taken *out)
{
    struct datum_random random = {.seed = seed};
    struct gw_pg_types *types = NULL;
    struct gw_error err;
    gw_autobuf struct gw_buf oids = {0};
    PGconn *conn;
    struct gw_datum row[64];
    for (size_t i = 0; i < c->column_count; i++)
        gw_buf_addf(&oids, "%c%u", i ? ',' : '{', c->columns[i].type_id);
    gw_buf_addc(&oids, '}');
    MUST(gw_pg_borrow(gw_pg_store_of(w->blue), &conn, &err));
    MUST(gw_pg_types_load(gw_pg_store_of(w->blue), conn, gw_buf_text(&oids), &types, &err));
    gw_pg_return(gw_pg_store_of(w->blue), conn, false);
    *out = (struct taken){.columns = c->column_count};
    for (size_t k = 0; k < count; k++) {
        row[0] = (struct gw_datum){.kind = GW_KIND_INT64, .i64 = (int64_t)k};
        for (size_t i = 1; i < c->column_count; i++) {
            struct gw_pg_coding coding;
            gw_pg_coding_make(&coding, types, c->columns[i].type_id, c->columns[i].type);
            struct gw_datum datum =
                datum_random_below(&random, 8) ? datum_random(&random, &coding.type, &out->arena) : gw_datum_null();
            row[i] = gw_datum_copy(&out->arena, &datum); /* a label is the type's */
            gw_pg_coding_release(&coding);
        }
        take(out, row);
    }
    gw_pg_types_free(types);
}

static void assert_same_data(const struct gw_collection *c, const struct taken *a, const struct taken *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count * a->columns; i++)
        if (!gw_datum_equal(&a->rows[i], &b->rows[i])) {
            gw_autobuf struct gw_buf x = {0}, y = {0};
            gw_datum_print(&a->rows[i], &x);
            gw_datum_print(&b->rows[i], &y);
            fail_msg("row %zu, column %s: %.300s became %.300s", i / a->columns, c->columns[i % a->columns].name,
                     gw_buf_text(&x), gw_buf_text(&y));
        }
}

static void random_values_come_back_from_the_server(void **state)
{
    struct world *w = world_of(state);
    for (int text = 0; text < 2; text++) {
        struct gw_schema schema = {0};
        struct taken sent, back;
        run(w->owner, random_table);
        if (!text) /* an array of enums would make all of it text */
            run(w->owner, "ALTER TABLE \"to\" DROP am");
        list(w, &schema);
        struct gw_collection *to = (struct gw_collection *)named(&schema, "to");
        assert_int_equal(to->all_binary_safe, !text);
        random_rows(w, to, 20 + (uint64_t)text, 400, &sent);
        write_all(w, to, &sent);
        read_all(w, to, 0, &back);
        assert_same_data(to, &sent, &back);
        release_taken(&back);
        read_all(w, to, 997, &back);
        assert_same_data(to, &sent, &back);
        release_taken(&back);
        scan_all(w, to, &back);
        qsort(back.rows, back.count, back.columns * sizeof *back.rows, by_id);
        assert_same_data(to, &sent, &back);
        release_taken(&back);
        release_taken(&sent);
        gw_schema_release(&schema);
    }
}

/* ---- single rows ---------------------------------------------------------------------------------------------------- */

static void rows_are_applied_and_read_again(void **state)
{
    struct world *w = world_of(state);
    const struct gw_writer_facet *wf = w->blue->type->writer;
    const struct gw_codec_facet *cf = w->blue->type->codec;
    for (int text = 0; text < 2; text++) {
        struct gw_schema schema = {0};
        struct gw_error err;
        struct gw_writer *writer;
        struct gw_reader *reader;
        struct gw_codec *codec;
        struct taken sent;
        struct gw_arena arena = {0};
        uint64_t touched = 0;
        run(w->owner, random_table);
        if (!text)
            run(w->owner, "ALTER TABLE \"to\" DROP am");
        list(w, &schema);
        struct gw_collection *to = (struct gw_collection *)named(&schema, "to");
        random_rows(w, to, 90 + (uint64_t)text, 60, &sent);
        MUST(wf->open(w->blue, "blue>green", &writer, &err));
        MUST(cf->open(w->blue, to, &codec, &err));
        struct gw_row *rows = gw_calloc(sent.count, sizeof *rows);
        for (size_t i = 0; i < sent.count; i++)
            MUST(cf->encode(codec, sent.rows + i * sent.columns, &arena, &rows[i], &err));
        struct gw_position reached = {.order = 1};
        MUST(wf->position(w->blue, "blue>green", &reached, &err));
        reached.order++;
        struct gw_part part = {.kind = GW_CHANGE_INSERT, .collection = to, .count = sent.count, .rows = rows};
        MUST(wf->begin(writer, &reached, &err));
        MUST(wf->apply(writer, &part, &touched, &err));
        MUST(wf->commit(writer, true, &err));
        assert_int_equal(touched, sent.count);
        MUST(w->blue->type->reader->open(w->blue, &reader, &err));
        for (size_t i = 0; i < sent.count; i++) {
            struct gw_row key = {.count = 1, .values = &rows[i].values[0]}, row;
            struct gw_mark mark;
            struct gw_datum back[64];
            bool found;
            MUST(w->blue->type->reader->refetch(reader, to, &key, &mark, &found, &row, &err));
            gw_mark_release(&mark);
            assert_true(found);
            MUST(cf->decode(codec, &row, &arena, back, &err));
            struct taken one = {.count = 1, .columns = sent.columns, .rows = sent.rows + i * sent.columns};
            assert_same_data(to, &one, &(struct taken){.count = 1, .columns = sent.columns, .rows = back});
        }
        w->blue->type->reader->close(reader);
        wf->close(writer);
        cf->close(codec);
        free(rows);
        gw_arena_release(&arena);
        release_taken(&sent);
        gw_schema_release(&schema);
    }
}

/* ---- types ---------------------------------------------------------------------------------------------------------- */

static void an_own_type_comes_out_as_it_is(void **state)
{
    struct world *w = world_of(state);
    static const char *const otherwise[][2] = {{"oid", "bigint"},         {"bit", "bit(1)"},
                                               {"mood", "text"},          {"mood[]", "text[]"},
                                               {"price", "numeric(8,2)"}, {"price[]", "numeric(8,2)[]"},
                                               {"bit", "bit(1)"},         {"name", "text"}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (w->blue->identity.version < 140000 && strstr(limits[i].type, "multirange"))
            continue;
        fill_limits(w, i);
        struct gw_schema schema = {0};
        struct gw_error err;
        struct gw_type got;
        struct gw_pg_types *types;
        gw_autobuf struct gw_buf sql = {0}, oid = {0};
        PGconn *conn;
        list(w, &schema);
        const struct gw_column *column = &named(&schema, "from")->columns[1];
        gw_buf_addf(&oid, "{%u}", column->type_id);
        MUST(gw_pg_borrow(gw_pg_store_of(w->blue), &conn, &err));
        MUST(gw_pg_types_load(gw_pg_store_of(w->blue), conn, gw_buf_text(&oid), &types, &err));
        gw_pg_return(gw_pg_store_of(w->blue), conn, false);
        struct gw_pg_coding coding;
        gw_pg_coding_make(&coding, types, column->type_id, column->type);
        MUST(gw_pg_codec.type_for(&coding.type, &sql, &got, &err));
        const char *wanted = column->type;
        for (size_t k = 0; k < sizeof otherwise / sizeof *otherwise; k++)
            if (strcmp(limits[i].type, otherwise[k][0]) == 0)
                wanted = otherwise[k][1];
        assert_string_equal(gw_buf_text(&sql), wanted);
        if (wanted == column->type)
            assert_int_equal(got.kind, coding.type.kind);
        gw_type_release(&got);
        gw_pg_coding_release(&coding);
        gw_pg_types_free(types);
        gw_schema_release(&schema);
    }
}

static void a_type_known_without_asking_is_the_server_s(void **state)
{
    struct world *w = world_of(state);
    PGresult *r = PQexec(w->owner, "SELECT t.oid, format_type(t.oid, NULL), t.typarray FROM pg_type t"
                                   " WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b','r','m')"
                                   " AND t.typcategory <> 'A' AND t.oid < 16384");
    for (int i = 0; i < PQntuples(r); i++) {
        uint32_t oid = (uint32_t)strtoul(PQgetvalue(r, i, 0), NULL, 10);
        uint32_t array = (uint32_t)strtoul(PQgetvalue(r, i, 2), NULL, 10);
        if (!gw_pg_type_is_known(oid))
            continue;
        struct gw_pg_coding coding, of_array;
        gw_pg_coding_make(&coding, NULL, oid, PQgetvalue(r, i, 1));
        gw_pg_coding_make(&of_array, NULL, array, NULL);
        if (coding.type.foreign)
            assert_string_equal(coding.type.foreign, PQgetvalue(r, i, 1));
        assert_int_equal(of_array.code, GW_PG_CODE_ARRAY);
        assert_int_equal(of_array.element->type_id, oid);
        gw_pg_coding_release(&coding);
        gw_pg_coding_release(&of_array);
    }
    assert_true(PQntuples(r) > 50);
    PQclear(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_at_its_limits_survives_the_codec),
        cmocka_unit_test(both_forms_give_the_same_data),
        cmocka_unit_test(verify_reads_the_same_data_its_own_way),
        cmocka_unit_test(verify_finds_rows_by_keys_of_another_engine),
        cmocka_unit_test(random_values_come_back_from_the_server),
        cmocka_unit_test(rows_are_applied_and_read_again),
        cmocka_unit_test(an_own_type_comes_out_as_it_is),
        cmocka_unit_test(a_type_known_without_asking_is_the_server_s),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
