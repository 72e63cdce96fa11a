/* Applying changes to PostgreSQL: what the stream of one side says is what the other side has after it. */
#include "pg_world.h"

#define PATIENCE_US 20000000

/* ---- a follower of a few lines ----------------------------------------------------------------------------------- */

struct follower {
    struct pg_world *w;
    struct gw_stream *stream;
    struct gw_writer *writer;
    struct gw_position reached;
    struct gw_arena arena;
    struct gw_part part; /* neighbouring changes of one table and kind */
    struct gw_row *keys, *rows;
    size_t capacity, key_capacity;
    uint64_t text_values, binary_values; /* seen in the stream */
};

static const struct gw_writer_facet *writer_of(const struct follower *f)
{
    return f->w->store[GW_GREEN]->type->writer;
}

static void follower_open(struct follower *f, struct pg_world *w)
{
    struct gw_error err = {0};
    struct gw_position start;
    char barrier[240];
    *f = (struct follower){.w = w};
    pg_world_install(w, GW_BLUE);
    pg_world_install(w, GW_GREEN);
    pg_world_list(w, GW_BLUE);
    MUST(w->store[GW_BLUE]->type->changes->prepare(w->store[GW_BLUE], &w->schema, &start, barrier, &err));
    MUST(w->store[GW_BLUE]->type->changes->open(w->store[GW_BLUE], &w->schema, &start, &f->stream, &err));
    MUST(writer_of(f)->open(w->store[GW_GREEN], "blue>green", &f->writer, &err));
}

static void follower_close(struct follower *f)
{
    writer_of(f)->close(f->writer);
    f->w->store[GW_BLUE]->type->changes->close(f->stream);
    gw_arena_release(&f->arena);
    free(f->keys);
    free(f->rows);
}

static void flush(struct follower *f)
{
    struct gw_error err = {0};
    uint64_t touched = 0;
    if (f->part.count == 0)
        return;
    f->part.keys = f->keys;
    f->part.rows = f->rows;
    MUST(writer_of(f)->apply(f->writer, &f->part, &touched, &err));
    if (touched != f->part.count) {
        print_error("%s of %zu rows of %s touched %lu\n", gw_change_kind_name(f->part.kind), f->part.count,
                    f->part.collection->name, (unsigned long)touched);
        fail();
    }
    f->part.count = 0;
    gw_arena_reset(&f->arena);
}

static bool same_left_out(const struct gw_row *a, const struct gw_row *b)
{
    for (uint32_t i = 0; i < a->count; i++)
        if ((a->values[i].kind == GW_VALUE_UNCHANGED) != (b->values[i].kind == GW_VALUE_UNCHANGED))
            return false;
    return true;
}

/* distinct: may neighbours go together? (Not when one statement would meet a key twice.) */
static void follow_row(struct follower *f, const struct gw_change *c, bool distinct)
{
    const struct gw_collection *collection = &f->w->schema.collections[c->collection];
    if (f->part.count > 0 && (!distinct || f->part.collection != collection || f->part.kind != c->kind ||
                              (c->kind == GW_CHANGE_UPDATE && !same_left_out(&f->rows[0], &c->row))))
        flush(f);
    for (uint32_t i = 0; i < c->row.count; i++) {
        f->text_values += c->row.values[i].kind == GW_VALUE_TEXT;
        f->binary_values += c->row.values[i].kind == GW_VALUE_BINARY;
    }
    size_t at = f->part.count++;
    f->part.collection = collection;
    f->part.kind = c->kind;
    f->keys = gw_grow(f->keys, &f->key_capacity, at, sizeof *f->keys);
    f->rows = gw_grow(f->rows, &f->capacity, at, sizeof *f->rows);
    f->rows[at] = c->row.count ? gw_row_copy(&f->arena, &c->row) : (struct gw_row){0};
    f->keys[at] = c->old.count ? gw_row_copy(&f->arena, &c->old) : f->rows[at];
}

/* Applies everything up to a marker written now. */
static void follow(struct follower *f, bool distinct)
{
    struct gw_error err = {0};
    struct pg_world *w = f->w;
    static int number;
    char token[32];
    bool done = false;
    int64_t deadline_us = gw_mono_us() + PATIENCE_US;
    snprintf(token, sizeof token, "marker:%d", ++number);
    MUST(w->store[GW_BLUE]->type->changes->signal(w->store[GW_BLUE], token, &err));
    while (!done) {
        struct gw_change c;
        bool got;
        MUST(w->store[GW_BLUE]->type->changes->next(f->stream, 1000, &c, &got, &err));
        assert_true(gw_mono_us() < deadline_us);
        if (!got)
            continue;
        switch (c.kind) {
        case GW_CHANGE_BEGIN:
            MUST(writer_of(f)->begin(f->writer, &c.position, &err));
            break;
        case GW_CHANGE_COMMIT:
            flush(f);
            f->reached = c.position;
            MUST(writer_of(f)->commit(f->writer, false, &err));
            break;
        case GW_CHANGE_SIGNAL:
            flush(f);
            MUST(writer_of(f)->note_signal(f->writer, c.text, &err));
            if (strcmp(c.text, token) == 0) {
                MUST(writer_of(f)->commit(f->writer, true, &err));
                done = true;
            }
            break;
        case GW_CHANGE_TRUNCATE: {
            const struct gw_collection *collection = &w->schema.collections[c.collection];
            flush(f);
            MUST(writer_of(f)->truncate(f->writer, &collection, 1, &err));
            break;
        }
        case GW_CHANGE_SCHEMA:
            print_error("%s\n", c.text);
            fail();
            break;
        case GW_CHANGE_PROGRESS:
            break;
        default:
            follow_row(f, &c, distinct);
            break;
        }
    }
    bool seen;
    MUST(w->store[GW_GREEN]->type->changes->seen(w->store[GW_GREEN], token, &seen, &err));
    assert_true(seen);
    /* The marker's own commit event is still to come. */
    for (bool committed = false; !committed;) {
        struct gw_change c;
        bool got;
        MUST(w->store[GW_BLUE]->type->changes->next(f->stream, 1000, &c, &got, &err));
        committed = got && c.kind == GW_CHANGE_COMMIT;
    }
}

static void both(struct pg_world *w, const char *sql)
{
    pg_do(w->owner[GW_BLUE], sql);
    pg_do(w->owner[GW_GREEN], sql);
}

static void assert_equal_tables(struct pg_world *w, const char *table)
{
    char sql[300];
    snprintf(
        sql, sizeof sql,
        "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")), '') FROM"
        " %s t",
        table);
    char *blue = strdup(pg_value(w->owner[GW_BLUE], sql));
    const char *green = pg_value(w->owner[GW_GREEN], sql);
    if (strcmp(blue, green) != 0) {
        snprintf(sql, sizeof sql, "SELECT string_agg(t::text, E'\\n') FROM (SELECT * FROM %s t LIMIT 3) t", table);
        print_error("%s: blue %s, green %s\n", table, blue, green);
        print_error("blue:\n%s\n", pg_value(w->owner[GW_BLUE], sql));
        print_error("green:\n%s\n", pg_value(w->owner[GW_GREEN], sql));
        fail();
    }
    free(blue);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static const char types_ddl[] =
    "CREATE TYPE mood AS ENUM ('sad', 'so so', 'fine');"
    "CREATE TYPE pair AS (a int, b text);"
    "CREATE DOMAIN small AS int CHECK (VALUE < 100000);"
    "CREATE DOMAIN ints AS int[];"
    "CREATE DOMAIN dpair AS pair;"
    "CREATE TABLE %s (id bigint PRIMARY KEY, i2 int2, n numeric, n2 numeric(12,3), f4 float4, f8 float8, t text,"
    " v varchar(40), c char(7), b bytea, js json, jb jsonb, d date, ts timestamp, tz timestamptz, iv interval, u uuid,"
    " bo boolean, bi bit(5), vb varbit, ip inet, cd cidr, mac macaddr, m mood, sm small, r int4range, bx box, pt point,"
    " tv tsvector, ch \"char\", nm name%s);";

static const char types_fill[] =
    "INSERT INTO %s (id, i2, n, n2, f4, f8, t, v, c, b, js, jb, d, ts, tz, iv, u, bo, bi, vb, ip, cd, mac, m, sm, r, bx,"
    " pt, tv, ch, nm) SELECT x, x %% 32000, CASE x %% 4 WHEN 0 THEN 'NaN' WHEN 1 THEN 1.50 ELSE x / 7.0 END,"
    " x / 1000.0, x / 3.0::float4, CASE x %% 3 WHEN 0 THEN '-Infinity' WHEN 1 THEN '-0' ELSE x / 7.0::float8 END,"
    " CASE x %% 6 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'NULL' WHEN 3 THEN E'q\"\\\\ {},\\n\\t\\r\\'é😀' ELSE"
    " repeat('x', x %% 50) END, 'v' || x, 'c' || x %% 10, CASE WHEN x %% 2 = 0 THEN decode('00ff5c0a', 'hex') END,"
    " '{\"b\": 1,  \"a\":[1,2]}', '{\"k\": [1.0, null, \"\\\"\"]}', '2024-02-29'::date + x, 'infinity',"
    " '2024-03-31 02:30:00+01'::timestamptz + x * interval '1 hour', x * interval '1 month 2 days 3.5 sec',"
    " md5(x::text)::uuid, x %% 2 = 0, B'10101', B'1', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03',"
    " (ARRAY['sad','so so','fine']::mood[])[1 + x %% 3], x, int4range(x, x + 5), box(point(x, 1), point(2, 3)),"
    " point(x, 0.1), to_tsvector('simple', 'a b c'), 'z', 'name' FROM generate_series(%d, %d) x;";

/* Types whose values a binary stream would carry wrongly make the whole stream text: both kinds of stream are tried. */
static void every_type(struct pg_world *w, bool text)
{
    struct follower f;
    gw_autobuf struct gw_buf ddl = {0}, sql = {0};
    const char *more = text ? ", pa pair, dp dpair, il int[], dl ints, rc regclass, mo mood[]" : ", il int[], dl ints";
    gw_buf_addf(&ddl, types_ddl, "kinds", more);
    both(w, gw_buf_text(&ddl));
    follower_open(&f, w);
    /* One, a few, some, many: single statements, arrays, COPY. */
    int ends[] = {1, 2, 9, 120, 700};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        gw_buf_clear(&sql);
        gw_buf_addf(&sql, types_fill, "kinds", i ? ends[i - 1] + 1 : 1, ends[i]);
        pg_do(w->owner[GW_BLUE], gw_buf_text(&sql));
        pg_do(w->owner[GW_BLUE],
              text ? "UPDATE kinds SET il = ARRAY[[1,2],[3,NULL]], dl = '{}', pa = ROW(1, E'x\"'), dp = (2, NULL),"
                     " rc = 'pg_class', mo = CASE id % 3 WHEN 0 THEN NULL WHEN 1 THEN ARRAY['sad', NULL]::mood[]"
                     " ELSE '{}' END WHERE id % 2 = 0"
                   : "UPDATE kinds SET il = ARRAY[[1,2],[3,NULL]], dl = '{}' WHERE id % 2 = 0");
        follow(&f, true);
        assert_equal_tables(w, "kinds");
    }
    pg_do(w->owner[GW_BLUE], "UPDATE kinds SET t = reverse(t), n = n + 1, m = 'fine', bx = NULL");
    pg_do(w->owner[GW_BLUE], "UPDATE kinds SET jb = jb || '{\"x\": true}', tz = tz + interval '1 day' WHERE id < 30");
    pg_do(w->owner[GW_BLUE], "UPDATE kinds SET id = -id WHERE id BETWEEN 40 AND 45");
    follow(&f, true);
    assert_equal_tables(w, "kinds");
    pg_do(w->owner[GW_BLUE], "DELETE FROM kinds WHERE id % 3 = 0");
    pg_do(w->owner[GW_BLUE], "DELETE FROM kinds WHERE id = 1");
    follow(&f, true);
    assert_equal_tables(w, "kinds");
    text = text || w->store[GW_BLUE]->identity.version < 140000;
    assert_true((f.text_values > 0) == text);
    assert_true((f.binary_values > 0) == !text);
    follower_close(&f);
}

static void every_type_arrives_by_a_binary_stream(void **state)
{
    NEEDS_SERVERS(state)
    every_type(*state, false);
}

static void every_type_arrives_by_a_text_stream(void **state)
{
    NEEDS_SERVERS(state)
    every_type(*state, true);
}

static void keys_of_all_kinds_find_their_rows(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct follower f;
    both(w, "CREATE TYPE mood AS ENUM ('sad', 'fine'); CREATE SCHEMA \"S.1\";"
            "CREATE TABLE \"S.1\".\"order\" (\"Kéy \"\"x\" text, m mood, n numeric, v int,"
            " PRIMARY KEY (n, \"Kéy \"\"x\", m));"
            "CREATE TABLE arrays (k int[] PRIMARY KEY, v int);"
            "CREATE TABLE uniq (a text, b varchar(9) COLLATE \"en-x-icu\" NOT NULL, c char(4) NOT NULL);"
            "CREATE UNIQUE INDEX uniq_i ON uniq (c, b);"
            "CREATE TABLE only_key (a int, b date, PRIMARY KEY (a, b))");
    follower_open(&f, w);
    const char *insert[] = {
        "INSERT INTO \"S.1\".\"order\" SELECT 'k' || x, 'sad', x / 2.0, x FROM generate_series(1, 20) x",
        "INSERT INTO arrays SELECT ARRAY[x, x], x FROM generate_series(1, 20) x",
        "INSERT INTO uniq SELECT 'x', 'b' || x, 'c' || x FROM generate_series(1, 20) x",
        "INSERT INTO only_key SELECT x, '2020-01-01' FROM generate_series(1, 20) x",
        "UPDATE \"S.1\".\"order\" SET v = -v",
        "UPDATE arrays SET v = -v",
        "UPDATE uniq SET a = b",
        "UPDATE only_key SET b = b",
        "UPDATE \"S.1\".\"order\" SET m = 'fine', n = n + 100 WHERE v > -5",
        "UPDATE arrays SET k = k || 7 WHERE v < -10",
        "UPDATE uniq SET c = upper(c)",
        "UPDATE only_key SET b = 'infinity' WHERE a = 3",
        "DELETE FROM \"S.1\".\"order\" WHERE v < -15",
        "DELETE FROM arrays WHERE v > -3",
        "DELETE FROM uniq WHERE b > 'b5'",
        "DELETE FROM only_key WHERE a > 4"};
    const char *tables[] = {"\"S.1\".\"order\"", "arrays", "uniq", "only_key"};
    for (size_t i = 0; i < sizeof insert / sizeof *insert; i++) {
        pg_do(w->owner[GW_BLUE], insert[i]);
        follow(&f, true);
        for (size_t t = 0; t < 4; t++)
            assert_equal_tables(w, tables[t]);
    }
    follower_close(&f);
}

static void equal_rows_without_key_are_told_apart_by_number(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct follower f;
    both(w, "CREATE TABLE loose (a int, n numeric, j json, t text, p point)");
    follower_open(&f, w);
    pg_do(w->owner[GW_BLUE], "INSERT INTO loose SELECT 1, n, '{\"a\": 1}', NULL, '(1,2)' FROM unnest(ARRAY[1.0, 1.00,"
                             " 1.0, NULL]) n");
    pg_do(w->owner[GW_BLUE], "DELETE FROM loose WHERE ctid = (SELECT min(ctid) FROM loose)");
    follow(&f, true);
    assert_equal_tables(w, "loose");
    pg_do(w->owner[GW_BLUE], "UPDATE loose SET a = 2 WHERE ctid = (SELECT min(ctid) FROM loose)");
    pg_do(w->owner[GW_BLUE], "UPDATE loose SET t = repeat(md5(random()::text), 500) WHERE n IS NULL");
    follow(&f, true);
    pg_do(w->owner[GW_BLUE], "ALTER TABLE loose ALTER t SET STORAGE EXTERNAL; UPDATE loose SET t = repeat('y', 9000);"
                             "UPDATE loose SET a = 5; DELETE FROM loose WHERE n = 1.00");
    follow(&f, true);
    assert_equal_tables(w, "loose");
    follower_close(&f);
}

static void columns_the_server_fills_are_given_the_sources_values(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct follower f;
    both(w, "CREATE TABLE ids (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int,"
            " g int GENERATED ALWAYS AS (v * 2) STORED);"
            "CREATE TABLE ids2 (k int PRIMARY KEY, s int GENERATED ALWAYS AS IDENTITY, big text, v int);"
            "ALTER TABLE ids2 ALTER big SET STORAGE EXTERNAL;"
            "CREATE TABLE ids3 (k int, s int GENERATED BY DEFAULT AS IDENTITY (START 50) PRIMARY KEY)");
    follower_open(&f, w);
    pg_do(w->owner[GW_BLUE], "SELECT nextval(pg_get_serial_sequence('ids', 'id')) FROM generate_series(1, 9);"
                             "INSERT INTO ids (v) SELECT x FROM generate_series(1, 5) x; UPDATE ids SET v = v + 1;"
                             "INSERT INTO ids3 (k) SELECT x FROM generate_series(1, 300) x;"
                             "UPDATE ids3 SET s = s + 1000 WHERE k < 3");
    pg_do(w->owner[GW_BLUE],
          "INSERT INTO ids2 (k, big, v) SELECT x, repeat('b', 8000), 1 FROM generate_series(1, 5) x");
    follow(&f, true);
    pg_do(w->owner[GW_BLUE], "UPDATE ids2 SET v = 2 WHERE k > 2");
    pg_do(w->owner[GW_BLUE], "UPDATE ids2 SET s = DEFAULT, v = 3 WHERE k IN (2, 4)");
    pg_do(w->owner[GW_BLUE], "UPDATE ids SET id = DEFAULT WHERE v = 3");
    pg_do(w->owner[GW_BLUE], "UPDATE ids2 SET k = k + 10 WHERE k = 5");
    follow(&f, true);
    assert_equal_tables(w, "ids");
    assert_equal_tables(w, "ids2");
    assert_equal_tables(w, "ids3");
    follower_close(&f);
}

static void unchanged_large_values_stay(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct follower f;
    both(w, "CREATE TABLE big (id int PRIMARY KEY, t text NOT NULL, b bytea, v int);"
            "ALTER TABLE big ALTER t SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL");
    follower_open(&f, w);
    pg_do(w->owner[GW_BLUE], "INSERT INTO big SELECT x, repeat('t', 5000 + x), decode(repeat('00ff', 4000), 'hex'), 0"
                             " FROM generate_series(1, 10) x");
    pg_do(w->owner[GW_BLUE],
          "INSERT INTO big VALUES (99, repeat('0123456789', 800000), decode(repeat('5c0a09', 1000000),"
          " 'hex'), 0)");
    pg_do(w->owner[GW_BLUE], "UPDATE big SET v = id");
    pg_do(w->owner[GW_BLUE], "UPDATE big SET id = id + 100, v = -1 WHERE id < 4");
    pg_do(w->owner[GW_BLUE], "UPDATE big SET t = t || 'more' WHERE id = 99");
    follow(&f, true);
    assert_equal_tables(w, "big");
    follower_close(&f);
}

/* Every set of columns that an update leaves out is a statement of its own, on the server as well. */
static void a_long_life_of_many_shapes_does_not_pile_up_statements(void **state)
{
    NEEDS_SERVERS(state)
    enum { COLUMNS = 11, SHAPES = 2047 };
    struct pg_world *w = *state;
    struct gw_error err = {0};
    gw_autobuf struct gw_buf columns = {0};
    for (int c = 1; c <= COLUMNS; c++)
        gw_buf_addf(&columns, ", c%d int DEFAULT 0", c);
    gw_autofree char *make = gw_asprintf("CREATE TABLE wide (k int PRIMARY KEY%s)", gw_buf_text(&columns));
    both(w, make);
    pg_do(w->owner[GW_GREEN],
          "CREATE TABLE prepared (n bigint); INSERT INTO wide (k) VALUES (1);"
          "CREATE FUNCTION note_prepared() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO"
          " public.prepared SELECT count(*) FROM pg_prepared_statements; RETURN NEW; END $$;"
          "CREATE TRIGGER note AFTER UPDATE ON wide FOR EACH ROW EXECUTE FUNCTION note_prepared();"
          "ALTER TABLE wide ENABLE ALWAYS TRIGGER note");
    pg_world_install(w, GW_GREEN);
    pg_world_list(w, GW_BLUE);
    const struct gw_writer_facet *writer = w->store[GW_GREEN]->type->writer;
    struct gw_writer *session;
    MUST(writer->open(w->store[GW_GREEN], "blue>green", &session, &err));
    for (unsigned shape = 1; shape <= SHAPES; shape++) {
        struct gw_position at = {.order = shape, .text = "0/1"};
        struct gw_value values[COLUMNS + 1] = {gw_value_text("1")}, key[COLUMNS + 1] = {gw_value_text("1")};
        for (int c = 1; c <= COLUMNS; c++) {
            key[c] = (struct gw_value){.kind = GW_VALUE_ABSENT};
            values[c] = shape & 1u << (c - 1) ? gw_value_text("7") : (struct gw_value){.kind = GW_VALUE_UNCHANGED};
        }
        struct gw_row row = {COLUMNS + 1, values}, keys = {COLUMNS + 1, key};
        struct gw_part part = {.kind = GW_CHANGE_UPDATE,
                               .collection = pg_world_find(w, "public", "wide"),
                               .count = 1,
                               .keys = &keys,
                               .rows = &row};
        MUST(writer->begin(session, &at, &err));
        MUST(writer->send(session, &part, &err));
        MUST(writer->commit_ahead(session, false, &err));
        if (shape > 1)
            MUST(writer->await(session, &err));
    }
    MUST(writer->await(session, &err));
    writer->close(session);
    assert_string_equal(pg_value(w->owner[GW_GREEN], "SELECT count(*) FROM prepared"), "2047");
    assert_string_equal(pg_value(w->owner[GW_GREEN], "SELECT max(n) < 1100 FROM prepared"), "t");
}

static void an_error_leaves_the_transaction_usable_behind_a_savepoint(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    struct gw_position at = {.order = 7, .text = "0/7"}, read;
    uint64_t touched = 0;
    both(w, "CREATE TABLE items (id int PRIMARY KEY, v int UNIQUE); CREATE TABLE fresh (id int PRIMARY KEY)");
    pg_world_install(w, GW_GREEN);
    pg_world_list(w, GW_GREEN);
    pg_do(w->owner[GW_GREEN], "INSERT INTO items VALUES (1, 1), (2, 2)");
    const struct gw_writer_facet *writer = w->store[GW_GREEN]->type->writer;
    struct gw_writer *session;
    MUST(writer->open(w->store[GW_GREEN], "blue>green", &session, &err));

    struct gw_value one[2] = {gw_value_text("3"), gw_value_text("1")},
                    two[2] = {gw_value_text("3"), gw_value_text("3")};
    struct gw_value missing[2] = {gw_value_text("77"), gw_value_text("5")};
    struct gw_row duplicate = {2, one}, good = {2, two}, nowhere = {2, missing}, only = {1, two};
    struct gw_part part = {
        .kind = GW_CHANGE_INSERT, .collection = pg_world_find(w, "public", "items"), .count = 1, .rows = &duplicate};
    MUST(writer->begin(session, &at, &err));
    MUST(writer->savepoint(session, &err));
    assert_false(writer->apply(session, &part, &touched, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, "23505");
    MUST(writer->rollback_to(session, &err));
    /* A table met for the first time here. */
    struct gw_part other = {
        .kind = GW_CHANGE_INSERT, .collection = pg_world_find(w, "public", "fresh"), .count = 1, .rows = &only};
    MUST(writer->apply(session, &other, &touched, &err));
    for (int i = 0; i < 3; i++) {
        MUST(writer->savepoint(session, &err));
        part.rows = &duplicate;
        assert_false(writer->apply(session, &part, &touched, &err));
        MUST(writer->rollback_to(session, &err));
    }
    part.rows = &good;
    MUST(writer->apply(session, &part, &touched, &err));
    assert_int_equal(touched, 1);
    part = (struct gw_part){
        .kind = GW_CHANGE_UPDATE, .collection = part.collection, .count = 1, .keys = &nowhere, .rows = &nowhere};
    MUST(writer->apply(session, &part, &touched, &err));
    assert_int_equal(touched, 0);
    part.kind = GW_CHANGE_DELETE;
    MUST(writer->apply(session, &part, &touched, &err));
    assert_int_equal(touched, 0);
    MUST(writer->commit(session, true, &err));
    MUST(writer->position(w->store[GW_GREEN], "blue>green", &read, &err));
    assert_int_equal(read.order, 7);
    assert_string_equal(read.text, "0/7");
    assert_string_equal(pg_value(w->owner[GW_GREEN], "SELECT count(*) FROM items"), "3");

    /* Without savepoint the whole transaction is gone, and a commit of it says so. */
    at.order = 8;
    part = (struct gw_part){.kind = GW_CHANGE_INSERT, .collection = part.collection, .count = 1, .rows = &duplicate};
    MUST(writer->begin(session, &at, &err));
    assert_false(writer->apply(session, &part, &touched, &err));
    assert_false(writer->commit(session, false, &err));
    assert_contains(err.message, "rolled back");
    MUST(writer->begin(session, &at, &err));
    assert_false(writer->apply(session, &part, &touched, &err));
    assert_false(writer->commit(session, true, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    MUST(writer->begin(session, &at, &err));
    writer->rollback(session);
    MUST(writer->begin(session, &at, &err));
    MUST(writer->apply(session, &other, &touched, &err) || err.kind == GW_ERR_CONFLICT ? true : false);
    writer->rollback(session);
    MUST(writer->position(w->store[GW_GREEN], "blue>green", &read, &err));
    assert_int_equal(read.order, 7);
    MUST(writer->position(w->store[GW_GREEN], "green>blue", &read, &err));
    assert_int_equal(read.order, 0);
    writer->close(session);
}

static void truncate_reaches_tables_with_foreign_keys(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct follower f;
    struct gw_error err = {0};
    both(w,
         "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent);"
         "CREATE TABLE range (a int, b text, PRIMARY KEY (a, b))");
    follower_open(&f, w);
    pg_do(w->owner[GW_BLUE], "INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1, 1); DELETE FROM child;"
                             "INSERT INTO range SELECT x, 'b' FROM generate_series(1, 10) x");
    follow(&f, true);
    pg_do(w->owner[GW_BLUE], "TRUNCATE parent, child");
    pg_do(w->owner[GW_BLUE], "INSERT INTO parent VALUES (3)");
    follow(&f, true);
    assert_equal_tables(w, "parent");
    /* Deletes are all that a foreign key from outside of the list leaves. */
    const struct gw_collection *parent = pg_world_find(w, "public", "parent");
    MUST(writer_of(&f)->begin(f.writer, &f.reached, &err));
    MUST(writer_of(&f)->truncate(f.writer, &parent, 1, &err));
    char *low[] = {"3", "b"}, *high[] = {"7", "a"};
    struct gw_range range = {.low = {2, low}, .high = {2, high}};
    MUST(writer_of(&f)->delete_range(f.writer, pg_world_find(w, "public", "range"), &range, &err));
    MUST(writer_of(&f)->commit(f.writer, true, &err));
    assert_string_equal(pg_value(w->owner[GW_GREEN], "SELECT count(*) FROM parent"), "0");
    assert_string_equal(pg_value(w->owner[GW_GREEN], "SELECT string_agg(a::text, ',' ORDER BY a) FROM range"),
                        "1,2,7,8,9,10");
    follower_close(&f);
}

static void a_table_without_its_key_index_is_refused(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    struct gw_position at = {.order = 7, .text = "0/7"};
    struct gw_writer *session;
    uint64_t touched;
    pg_do(w->owner[GW_BLUE], "CREATE TABLE items (id int PRIMARY KEY)");
    pg_do(w->owner[GW_GREEN], "CREATE TABLE items (id int)");
    pg_world_install(w, GW_GREEN);
    pg_world_list(w, GW_BLUE);
    const struct gw_writer_facet *writer = w->store[GW_GREEN]->type->writer;
    MUST(writer->open(w->store[GW_GREEN], "blue>green", &session, &err));
    struct gw_value one[1] = {gw_value_text("3")};
    struct gw_row row = {1, one};
    struct gw_part part = {
        .kind = GW_CHANGE_DELETE, .collection = pg_world_find(w, "public", "items"), .count = 1, .keys = &row};
    MUST(writer->begin(session, &at, &err));
    assert_false(writer->apply(session, &part, &touched, &err));
    assert_contains(err.message, "no unique index");
    writer->close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PG_TEST(every_type_arrives_by_a_binary_stream),
        PG_TEST(every_type_arrives_by_a_text_stream),
        PG_TEST(keys_of_all_kinds_find_their_rows),
        PG_TEST(equal_rows_without_key_are_told_apart_by_number),
        PG_TEST(columns_the_server_fills_are_given_the_sources_values),
        PG_TEST(unchanged_large_values_stay),
        PG_TEST(an_error_leaves_the_transaction_usable_behind_a_savepoint),
        PG_TEST(a_long_life_of_many_shapes_does_not_pile_up_statements),
        PG_TEST(truncate_reaches_tables_with_foreign_keys),
        PG_TEST(a_table_without_its_key_index_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
