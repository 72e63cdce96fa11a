/* Capture by triggers against real servers: what is written is what is streamed, in an order that can be replayed. */
#include "pg_world.h"

#include <pthread.h>
#include <sys/resource.h>

#define PATIENCE_US 20000000

static int capture_setup(void **state)
{
    pg_world_capture = GW_CAPTURE_TRIGGER;
    return pg_world_setup(state);
}
#define CAPTURE_TEST(name) cmocka_unit_test_setup_teardown(name, capture_setup, pg_world_teardown)

static const struct gw_changes_facet *changes_of(const struct pg_world *w)
{
    return w->store[GW_BLUE]->type->changes;
}

static struct gw_stream *stream_from(struct pg_world *w, const struct gw_position *from)
{
    struct gw_error err = {0};
    struct gw_stream *s = NULL;
    MUST(changes_of(w)->open(w->store[GW_BLUE], &w->schema, from, &s, &err));
    return s;
}

static struct gw_position prepare(struct pg_world *w)
{
    struct gw_error err = {0};
    struct gw_position start;
    char barrier[240];
    pg_world_install(w, GW_BLUE);
    pg_world_list(w, GW_BLUE);
    MUST(changes_of(w)->prepare(w->store[GW_BLUE], &w->schema, &start, barrier, &err));
    assert_true(start.order > 0);
    return start;
}

static struct gw_change next_change(struct pg_world *w, struct gw_stream *s)
{
    struct gw_error err = {0};
    struct gw_change change = {0};
    bool got = false;
    int64_t deadline_us = gw_mono_us() + PATIENCE_US;
    do {
        assert_true(gw_mono_us() < deadline_us);
        MUST(changes_of(w)->next(s, 100, &change, &got, &err));
    } while (!got || change.kind == GW_CHANGE_PROGRESS);
    return change;
}

static void add_value(struct gw_buf *out, const struct gw_value *v)
{
    if (v->kind == GW_VALUE_NULL)
        gw_buf_adds(out, "~");
    else if (v->kind == GW_VALUE_ABSENT)
        gw_buf_adds(out, "-");
    else if (v->kind == GW_VALUE_BINARY && v->len == 4 && !v->bytes[0])
        gw_buf_addf(out, "%u", gw_get32(v->bytes));
    else
        gw_buf_add(out, v->bytes, v->len);
}

static void add_row(struct gw_buf *out, const struct gw_row *row)
{
    gw_buf_addc(out, '(');
    for (uint32_t i = 0; i < row->count; i++) {
        if (i)
            gw_buf_addc(out, ',');
        add_value(out, &row->values[i]);
    }
    gw_buf_addc(out, ')');
}

/* "I item(1,a)", "U item(1,-)->(2,a)", "D item(1,-)", "T item", "begin", "begin ours", "commit", "schema item ...". */
static void describe(const struct pg_world *w, const struct gw_change *c, struct gw_buf *out)
{
    static const char *const kinds[] = {
        [GW_CHANGE_BEGIN] = "begin", [GW_CHANGE_INSERT] = "I",      [GW_CHANGE_UPDATE] = "U",
        [GW_CHANGE_DELETE] = "D",    [GW_CHANGE_TRUNCATE] = "T",    [GW_CHANGE_COMMIT] = "commit",
        [GW_CHANGE_PROGRESS] = "",   [GW_CHANGE_SCHEMA] = "schema", [GW_CHANGE_SIGNAL] = "signal",
    };
    gw_buf_adds(out, kinds[c->kind]);
    if (c->kind == GW_CHANGE_BEGIN)
        gw_buf_adds(out, c->ours ? " ours" : "");
    else if (c->kind == GW_CHANGE_SIGNAL)
        gw_buf_addf(out, " %s", c->text);
    else if (c->kind == GW_CHANGE_SCHEMA)
        gw_buf_addf(out, "%s %s", c->carries_plan ? "+" : "", c->text);
    else if (c->kind != GW_CHANGE_COMMIT)
        gw_buf_addf(out, " %s", w->schema.collections[c->collection].name);
    if (c->old.count)
        add_row(out, &c->old);
    if (c->old.count && c->row.count)
        gw_buf_adds(out, "->");
    if (c->row.count)
        add_row(out, &c->row);
}

/* All changes up to a marker written now, one a line, without begin and commit. */
static const char *told(struct pg_world *w, struct gw_stream *s, struct gw_buf *out)
{
    static int markers;
    struct gw_error err = {0};
    char token[32];
    gw_buf_clear(out);
    snprintf(token, sizeof token, "marker:%d", ++markers);
    MUST(changes_of(w)->signal(w->store[GW_BLUE], token, &err));
    for (;;) {
        struct gw_change c = next_change(w, s);
        if (c.kind == GW_CHANGE_SIGNAL && strcmp(c.text, token) == 0)
            break;
        if (c.kind == GW_CHANGE_BEGIN || c.kind == GW_CHANGE_COMMIT || c.kind == GW_CHANGE_SIGNAL)
            continue;
        describe(w, &c, out);
        gw_buf_addc(out, '\n');
    }
    assert_int_equal(next_change(w, s).kind, GW_CHANGE_COMMIT);
    return gw_buf_text(out);
}

/* ---- interleavings ---------------------------------------------------------------------------------------------- */

#define WRITERS 6
#define TRANSACTIONS 120
#define KEYS 30

struct writer {
    struct pg_world *w;
    int number;
    unsigned seed;
    pthread_t thread;
    int committed;
};

static int dice(struct writer *a, int sides)
{
    return (int)(rand_r(&a->seed) % (unsigned)sides);
}

/* One statement of the mix; conflicts and duplicates are part of it. False: the transaction is over. */
static bool act(struct writer *a, PGconn *conn)
{
    char sql[200];
    int key = 1 + dice(a, KEYS), other = 1 + dice(a, KEYS);
    switch (dice(a, 7)) {
    case 0:
    case 1:
        snprintf(sql, sizeof sql,
                 "INSERT INTO public.kv VALUES (%d, 'w%d.%u') ON CONFLICT (id) DO UPDATE SET v = excluded.v", key,
                 a->number, a->seed);
        break;
    case 2:
        snprintf(sql, sizeof sql, "DELETE FROM public.kv WHERE id = %d", key);
        break;
    case 3: /* a key that moves, where the other one is free */
        snprintf(sql, sizeof sql,
                 "UPDATE public.kv SET id = %d WHERE id = %d AND NOT EXISTS (SELECT FROM public.kv WHERE id = %d)",
                 other, key, other);
        break;
    case 4:
        snprintf(sql, sizeof sql, "UPDATE public.kv SET v = v || '+' WHERE id BETWEEN %d AND %d", key, key + 3);
        break;
    case 5: /* undone by itself */
        snprintf(sql, sizeof sql,
                 "SAVEPOINT s; UPDATE public.kv SET v = 'undone'; DELETE FROM public.kv WHERE id = %d;"
                 " ROLLBACK TO s",
                 key);
        break;
    default:
        snprintf(sql, sizeof sql, "SAVEPOINT s; UPDATE public.kv SET v = 'nested %d' WHERE id = %d; RELEASE s",
                 a->number, key);
        break;
    }
    return *pg_fails(conn, sql) == 0;
}

static void *write_mix(void *arg)
{
    struct writer *a = arg;
    PGconn *conn = pg_connect_app(a->w, GW_BLUE);
    char sql[160];
    for (int t = 0; t < TRANSACTIONS; t++) {
        pg_do(conn, dice(a, 3) ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ");
        bool fine = true;
        for (int n = 1 + dice(a, 4); n > 0 && fine; n--)
            fine = act(a, conn);
        if (!fine || dice(a, 8) == 0) {
            pg_do(conn, "ROLLBACK");
            continue;
        }
        if (dice(a, 5) == 0) {
            snprintf(sql, sizeof sql, "PREPARE TRANSACTION '%s-%d'", a->w->database, a->number);
            if (*pg_fails(conn, sql) != 0)
                continue;
            snprintf(sql, sizeof sql, "%s PREPARED '%s-%d'", dice(a, 4) ? "COMMIT" : "ROLLBACK", a->w->database,
                     a->number);
            pg_do(conn, sql);
        } else {
            pg_do(conn, "COMMIT");
        }
        a->committed++;
    }
    PQfinish(conn);
    return NULL;
}

struct replica {
    char *v[KEYS + 1];
    unsigned transactions, reopened;
};

static int key_of(const struct gw_row *row)
{
    assert_int_equal(row->values[0].kind, GW_VALUE_BINARY);
    int key = (int)gw_get32(row->values[0].bytes);
    assert_true(key >= 1 && key <= KEYS);
    return key;
}

static void put(struct replica *r, const struct gw_row *row)
{
    int key = key_of(row);
    assert_null(r->v[key]); /* an insert of what is there: the order is wrong */
    r->v[key] = gw_strndup((const char *)row->values[1].bytes, row->values[1].len);
}

static void take(struct replica *r, int key)
{
    assert_non_null(r->v[key]); /* what is not there was changed: lost, or the order is wrong */
    free(r->v[key]);
    r->v[key] = NULL;
}

static void apply(struct replica *r, const struct gw_change *c)
{
    if (c->kind == GW_CHANGE_UPDATE || c->kind == GW_CHANGE_DELETE)
        take(r, key_of(c->old.count ? &c->old : &c->row));
    if (c->kind == GW_CHANGE_INSERT || c->kind == GW_CHANGE_UPDATE)
        put(r, &c->row);
}

/* A copy of what the stream gave, taken up by COMMIT: what a killed process had. */
struct held {
    struct gw_buf bytes;
    size_t count;
};

static void apply_held(struct replica *r, struct held *held)
{
    struct gw_error err = {0};
    struct gw_arena arena = {0};
    struct gw_cursor in = gw_cursor_of(held->bytes.data, held->bytes.len);
    for (size_t i = 0; i < held->count; i++) {
        struct gw_change c;
        MUST(gw_change_decode(&in, &arena, &c, &err));
        apply(r, &c);
    }
    gw_arena_release(&arena);
    gw_buf_clear(&held->bytes);
    held->count = 0;
}

/* Reads to the marker; now and then the session is left in mid-transaction and another goes on behind the last commit,
 * and now and then what is through is acknowledged. */
static void replay(struct pg_world *w, struct gw_position at, const char *marker, struct replica *r)
{
    struct gw_error err = {0};
    struct gw_stream *s = stream_from(w, &at);
    struct held held = {0};
    unsigned seed = 7, events = 0, leave_at = 50;
    for (bool end = false; !end;) {
        struct gw_change c = next_change(w, s);
        if (++events == leave_at) {
            changes_of(w)->close(s);
            gw_buf_clear(&held.bytes);
            held.count = 0;
            s = stream_from(w, &at);
            leave_at += 20 + rand_r(&seed) % 300;
            r->reopened++;
            continue;
        }
        if (c.kind == GW_CHANGE_COMMIT) {
            assert_true(gw_position_before(&at, &c.position));
            at = c.position;
            apply_held(r, &held);
            r->transactions++;
            if (rand_r(&seed) % 10 == 0)
                MUST(changes_of(w)->acknowledge(s, &at, &err));
        } else if (c.kind == GW_CHANGE_SIGNAL) {
            end = strcmp(c.text, marker) == 0;
        } else if (c.kind != GW_CHANGE_BEGIN) {
            gw_change_encode(&held.bytes, &c);
            held.count++;
        }
    }
    gw_buf_release(&held.bytes);
    changes_of(w)->close(s);
}

static void assert_replica(struct pg_world *w, const struct replica *r)
{
    gw_autobuf struct gw_buf mine = {0};
    for (int key = 1; key <= KEYS; key++)
        if (r->v[key])
            gw_buf_addf(&mine, "%s%d=%s", mine.len ? "\n" : "", key, r->v[key]);
    assert_string_equal(pg_value(w->admin[GW_BLUE],
                                 "SELECT coalesce(string_agg(id || '=' || v, E'\\n' ORDER BY id), '')"
                                 " FROM public.kv"),
                        gw_buf_text(&mine));
}

/* The marker comes when all have written what they had to. */
static void *end_writers(void *arg)
{
    struct writer *writers = arg;
    struct gw_error err = {0};
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    MUST(changes_of(writers->w)->signal(writers->w->store[GW_BLUE], "marker:end", &err));
    return NULL;
}

static void what_six_writers_do_at_once_can_be_replayed(void **state)
{
    NEEDS_SERVERS(state);
    struct pg_world *w = *state;
    struct replica r = {0};
    struct writer writers[WRITERS];
    pthread_t end;
    char sql[160];
    pg_do(w->owner[GW_BLUE], "CREATE TABLE kv (id int PRIMARY KEY, v text NOT NULL)");
    /* They lock one another all the time, and the server would look for it once a second. */
    snprintf(sql, sizeof sql, "ALTER DATABASE \"%s\" SET deadlock_timeout = '20ms'", w->database);
    pg_do(w->admin[GW_BLUE], sql);
    struct gw_position at = prepare(w);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.w = w, .number = i, .seed = (unsigned)(i * 7919 + 1)};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_mix, &writers[i]), 0);
    }
    assert_int_equal(pthread_create(&end, NULL, end_writers, writers), 0);
    replay(w, at, "marker:end", &r);
    pthread_join(end, NULL);
    assert_replica(w, &r);
    assert_true(r.transactions > WRITERS && r.reopened > 2);
    for (int key = 1; key <= KEYS; key++)
        free(r.v[key]);
}

/* ---- what is written ---------------------------------------------------------------------------------------------- */

static void every_way_to_write_is_captured(void **state)
{
    NEEDS_SERVERS(state);
    struct pg_world *w = *state;
    gw_autobuf struct gw_buf out = {0};
    pg_do(
        w->owner[GW_BLUE],
        "CREATE TABLE item (id int PRIMARY KEY, v text);"
        "CREATE TABLE loose (a text, b text);"
        "CREATE TABLE parts (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);"
        "CREATE TABLE made (id int PRIMARY KEY, n int, twice int GENERATED ALWAYS AS (n * 2) STORED);"
        "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN UPDATE public.item SET v = ''by a trigger'' WHERE id = NEW.id AND NEW.v = ''again''; RETURN NULL; END';"
        "CREATE TRIGGER aaa AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION again()");
    struct gw_position start = prepare(w);
    struct gw_stream *s = stream_from(w, &start);
    PGconn *app = pg_connect_app(w, GW_BLUE);
    pg_do(app, "INSERT INTO public.item VALUES (1, 'a'), (2, NULL); UPDATE public.item SET v = 'b' WHERE id = 1;"
               "UPDATE public.item SET id = 3 WHERE id = 2; DELETE FROM public.item WHERE id = 1;"
               "INSERT INTO public.item VALUES (4, 'again')");
    assert_string_equal(told(w, s, &out), "I item(1,a)\nI item(2,~)\nU item(1,b)\nU item(2,-)->(3,~)\nD item(1,-)\n"
                                          "I item(4,again)\nU item(4,by a trigger)\n");
    pg_do(app,
          "INSERT INTO public.loose VALUES ('x', NULL); UPDATE public.loose SET b = 'y'; DELETE FROM public.loose");
    assert_string_equal(told(w, s, &out), "I loose(x,~)\nU loose(x,~)->(x,y)\nD loose(x,y)\n");
    pg_do(app, "INSERT INTO public.parts VALUES (1, 'p'); UPDATE public.parts SET id = 11; TRUNCATE public.parts");
    assert_string_equal(told(w, s, &out), "I parts_1(1,p)\nD parts_1(1,-)\nI parts_2(11,p)\nT parts_1\nT parts_2\n");
    pg_do(app, "INSERT INTO public.made (id, n) VALUES (1, 2)");
    assert_string_equal(told(w, s, &out), "I made(1,2,-)\n");
    PQclear(PQexec(app, "COPY public.loose FROM STDIN"));
    assert_int_equal(PQputCopyData(app, "c\td\n", 4), 1);
    assert_int_equal(PQputCopyEnd(app, NULL), 1);
    for (PGresult *r = PQgetResult(app); r; r = PQgetResult(app))
        PQclear(r);
    assert_string_equal(told(w, s, &out), "I loose(c,d)\n");
    pg_do(w->admin[GW_BLUE],
          "SET session_replication_role = replica; UPDATE public.item SET v = 'replica' WHERE id = 3");
    assert_string_equal(told(w, s, &out), "U item(3,replica)\n");
    changes_of(w)->close(s);
    PQfinish(app);
}

static void no_setting_of_a_session_changes_what_is_captured(void **state)
{
    NEEDS_SERVERS(state);
    struct pg_world *w = *state;
    gw_autobuf struct gw_buf out = {0};
    pg_do(
        w->owner[GW_BLUE],
        "CREATE TABLE plain (id int PRIMARY KEY, v text); CREATE TABLE coded (id int PRIMARY KEY, r regclass, f float8,"
        " d date, b bytea, v text, i interval)");
    struct gw_position start = prepare(w);
    struct gw_stream *s = stream_from(w, &start);
    PGconn *app = pg_connect_app(w, GW_BLUE);
    pg_do(app, "SET client_encoding = 'LATIN1'");
    pg_do(app, "INSERT INTO public.plain VALUES (1, E'gr\xfcn')");
    assert_string_equal(PQparameterStatus(app, "client_encoding"), "LATIN1");
    assert_string_equal(told(w, s, &out), "I plain(1,gr\xc3\xbcn)\n");
    pg_do(
        app,
        "SET client_encoding = 'UTF8'; SET datestyle = 'SQL, DMY'; SET extra_float_digits = -10;"
        " SET bytea_output = 'escape'; SET search_path = public; SET intervalstyle = 'iso_8601';"
        " INSERT INTO public.coded VALUES (1, 'plain', 0.1::float8 + 0.2, '2020-02-03', '\\x5c01', 'a \"b\\ (,)',"
        " '1 day'); UPDATE public.coded SET d = NULL, v = ''; UPDATE public.coded SET id = 2; DELETE FROM public.coded");
    assert_string_equal(told(w, s, &out),
                        "I coded(1,public.plain,0.30000000000000004,2020-02-03,\\x5c01,a \"b\\ (,),1 day)\n"
                        "U coded(1,public.plain,0.30000000000000004,~,\\x5c01,,1 day)\n"
                        "U coded(1,-,-,-,-,-,-)->(2,public.plain,0.30000000000000004,~,\\x5c01,,1 day)\n"
                        "D coded(2,-,-,-,-,-,-)\n");
    pg_do(app, "SET godwit.ours = 'on'; UPDATE public.plain SET v = 'not hidden'");
    assert_string_equal(told(w, s, &out), "U plain(1,not hidden)\n");
    /* Operators of the application's own are not ours to run. */
    pg_do(w->owner[GW_BLUE], "CREATE SCHEMA evil; GRANT USAGE ON SCHEMA evil TO app;"
                             "CREATE FUNCTION evil.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS"
                             " 'BEGIN RAISE EXCEPTION ''run as %'', current_user; END';"
                             "CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq);"
                             "CREATE FUNCTION evil.eqb(bytea, bytea) RETURNS boolean LANGUAGE plpgsql AS"
                             " 'BEGIN RAISE EXCEPTION ''run as %'', current_user; END';"
                             "CREATE OPERATOR evil.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = evil.eqb)");
    PQfinish(app);
    app = pg_connect_app(w, GW_BLUE);
    pg_do(
        app,
        "SET search_path = evil, pg_catalog; UPDATE public.plain SET v = 'fine'; INSERT INTO public.coded VALUES (7)");
    assert_string_equal(told(w, s, &out), "U plain(1,fine)\nI coded(7,~,~,~,~,~,~)\n");
    changes_of(w)->close(s);
    PQfinish(app);
}

static void a_table_that_is_altered_goes_on_being_written_and_says_so(void **state)
{
    NEEDS_SERVERS(state);
    struct pg_world *w = *state;
    gw_autobuf struct gw_buf out = {0};
    pg_do(w->owner[GW_BLUE], "CREATE TABLE item (id int PRIMARY KEY, a text, b text)");
    struct gw_position start = prepare(w);
    struct gw_stream *s = stream_from(w, &start);
    PGconn *owner = w->owner[GW_BLUE];
    /* Rows before it, in its own transaction and behind it: each in its own columns. */
    pg_do(owner, "INSERT INTO item VALUES (1, 'a', 'b'); BEGIN; ALTER TABLE item ADD c int; UPDATE item SET c = 9;"
                 " COMMIT; INSERT INTO item VALUES (2, 'a', 'b', 8)");
    assert_string_equal(told(w, s, &out), "I item(1,a,b)\nschema+ public.item: column c integer is new\n"
                                          "U item(1,a,b)\nI item(2,a,b)\n");
    pg_do(owner, "ALTER TABLE item DROP c; UPDATE item SET a = 'back' WHERE id = 2");
    assert_string_equal(told(w, s, &out), "U item(2,back,b)\n");
    pg_do(owner, "ALTER TABLE item RENAME b TO other; UPDATE item SET a = 'renamed' WHERE id = 2");
    assert_string_equal(told(w, s, &out), "schema public.item: column b is gone; column other text is new\n"
                                          "U item(2,renamed,-)\n");
    pg_do(owner, "ALTER TABLE item RENAME other TO b; UPDATE item SET a = 'planned' WHERE id = 2");
    assert_string_equal(told(w, s, &out), "U item(2,planned,b)\n");
    /* Columns that look alike, between two cuts: never taken one for the other. */
    pg_do(owner, "UPDATE item SET a = 'last' WHERE id = 2; ALTER TABLE item DROP a; ALTER TABLE item ADD a text;"
                 " INSERT INTO item (id, b, a) VALUES (3, 'b', 'a')");
    assert_string_equal(told(w, s, &out),
                        "schema public.item: a row was changed in between two changes of the table's columns, and which"
                        " value belongs to which column is not known\n"
                        "schema public.item: a row was changed in between two changes of the table's columns, and which"
                        " value belongs to which column is not known\n");
    pg_do(owner, "INSERT INTO item (id, b, a) VALUES (4, 'is b', 'is a'); ALTER TABLE item RENAME TO thing;"
                 " DELETE FROM thing WHERE id = 3");
    assert_string_equal(told(w, s, &out), "schema public.item: the table is now called public.thing\n"
                                          "I item(4,is a,is b)\nD item(3,-,-)\n");
    /* A type without a binary form, and a key that is gone: the application does not notice. */
    pg_do(owner,
          "ALTER TABLE thing ADD x aclitem; UPDATE thing SET x = makeaclitem(10, 10, 'SELECT', false) WHERE id = 4;"
          " ALTER TABLE thing DROP x, DROP id; UPDATE thing SET a = 'no key'");
    assert_non_null(
        strstr(told(w, s, &out), "schema public.item: a row could not be written down when it was changed"));
    changes_of(w)->close(s);
}

/* ---- what is kept ------------------------------------------------------------------------------------------------- */

static int64_t retained(struct pg_world *w)
{
    struct gw_error err = {0};
    struct gw_retained kept;
    MUST(changes_of(w)->retained(w->store[GW_BLUE], &kept, &err));
    assert_false(kept.lost);
    return kept.bytes;
}

/* Some megabytes written, read and acknowledged. */
static void write_and_acknowledge(struct pg_world *w, struct gw_stream *s, PGconn *app)
{
    struct gw_error err = {0};
    gw_autobuf struct gw_buf out = {0};
    struct gw_change change;
    bool got;
    pg_do(app, "INSERT INTO public.item SELECT i, repeat('x', 500) FROM generate_series(1, 8000) i;"
               " TRUNCATE public.item");
    told(w, s, &out);
    struct gw_position at;
    MUST(changes_of(w)->horizon(w->store[GW_BLUE], &at, &err));
    MUST(changes_of(w)->acknowledge(s, &at, &err));
    MUST(changes_of(w)->next(s, 250, &change, &got, &err));
    MUST(changes_of(w)->acknowledge(s, &at, &err));
}

static void what_is_acknowledged_takes_no_room(void **state)
{
    NEEDS_SERVERS(state);
    struct pg_world *w = *state;
    int64_t most = 0;
    pg_do(w->owner[GW_BLUE], "CREATE TABLE item (id int PRIMARY KEY, v text)");
    struct gw_position start = prepare(w);
    struct gw_stream *s = stream_from(w, &start);
    PGconn *app = pg_connect_app(w, GW_BLUE);
    for (int i = 0; i < 14; i++) {
        write_and_acknowledge(w, s, app);
        int64_t bytes = retained(w);
        most = bytes > most ? bytes : most;
    }
    print_message("most kept: %lld MB of %d written\n", (long long)most >> 20, 14 * 5);
    assert_true(most < 40 << 20);
    assert_string_equal(pg_value(w->admin[GW_BLUE], "SELECT count(*) < 10 FROM godwit.capture_batch"), "t");
    changes_of(w)->close(s);
    PQfinish(app);
    /* What was acknowledged cannot be had again, and that is said. */
    struct gw_error err = {0};
    assert_false(changes_of(w)->open(w->store[GW_BLUE], &w->schema, &start, &s, &err));
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
}

static long resident_kb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void a_large_transaction_is_never_held_whole(void **state)
{
    NEEDS_SERVERS(state);
    struct pg_world *w = *state;
    unsigned rows = 0;
    pg_do(w->owner[GW_BLUE], "CREATE TABLE item (id int PRIMARY KEY, v text)");
    struct gw_position start = prepare(w);
    struct gw_stream *s = stream_from(w, &start);
    PGconn *app = pg_connect_app(w, GW_BLUE);
    pg_do(app, "INSERT INTO public.item SELECT i, repeat('x', 500) FROM generate_series(1, 100000) i");
    long before_kb = resident_kb();
    for (enum gw_change_kind kind = GW_CHANGE_BEGIN; kind != GW_CHANGE_COMMIT; rows += kind == GW_CHANGE_INSERT)
        kind = next_change(w, s).kind;
    assert_int_equal(rows, 100000);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
    assert_true(resident_kb() - before_kb < 8 << 10);
#else
    (void)before_kb;
#endif
    changes_of(w)->close(s);
    PQfinish(app);
}

static void touched_triggers_are_a_lost_position(void **state)
{
    NEEDS_SERVERS(state);
    struct pg_world *w = *state;
    struct gw_error err = {0};
    struct gw_stream *s = NULL;
    struct gw_change change;
    bool got;
    pg_do(w->owner[GW_BLUE], "CREATE TABLE item (id int PRIMARY KEY, v text)");
    struct gw_position start = prepare(w);
    s = stream_from(w, &start);
    pg_do(w->owner[GW_BLUE],
          "ALTER TABLE item DISABLE TRIGGER \"!godwit_capture\"; INSERT INTO item VALUES (1, 'unseen');"
          " ALTER TABLE item ENABLE ALWAYS TRIGGER \"!godwit_capture\"");
    int64_t deadline_us = gw_mono_us() + PATIENCE_US;
    while (changes_of(w)->next(s, 100, &change, &got, &err))
        assert_true(gw_mono_us() < deadline_us);
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
    assert_contains(err.message, "item");
    changes_of(w)->close(s);
    assert_false(changes_of(w)->open(w->store[GW_BLUE], &w->schema, &start, &s, &err));
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
    char barrier[240];
    assert_false(changes_of(w)->prepare(w->store[GW_BLUE], &w->schema, &start, barrier, &err));
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAPTURE_TEST(what_six_writers_do_at_once_can_be_replayed),
        CAPTURE_TEST(every_way_to_write_is_captured),
        CAPTURE_TEST(no_setting_of_a_session_changes_what_is_captured),
        CAPTURE_TEST(a_table_that_is_altered_goes_on_being_written_and_says_so),
        CAPTURE_TEST(what_is_acknowledged_takes_no_room),
        CAPTURE_TEST(a_large_transaction_is_never_held_whole),
        CAPTURE_TEST(touched_triggers_are_a_lost_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
