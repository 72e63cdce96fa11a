/* Capture by triggers against a real server: what is written is what is streamed, in an order that can be replayed. */
#include "contract/maria_world.h"

#include "base/arena.h"
#include "model/change.h"
#include "store/mysql/row.h"

#include <pthread.h>

#define PATIENCE_US 30000000

static int capture_setup(void **state)
{
    maria_world_capture = GW_CAPTURE_TRIGGER;
    return maria_world_setup(state);
}
#define CAPTURE_TEST(name) cmocka_unit_test_setup_teardown(name, capture_setup, maria_world_teardown)

static const struct gw_changes_facet *changes_of(const struct maria_world *w)
{
    return w->store->type->changes;
}

static struct gw_stream *stream_from(struct maria_world *w, const struct gw_position *from)
{
    struct gw_error err = {0};
    struct gw_stream *s = NULL;
    MUST(changes_of(w)->open(w->store, &w->schema, from, &s, &err));
    return s;
}

static struct gw_position prepare(struct maria_world *w)
{
    struct gw_error err = {0};
    struct gw_position start;
    char barrier[240];
    maria_world_list(w);
    MUST(changes_of(w)->prepare(w->store, &w->schema, &start, barrier, &err));
    assert_true(start.order > 0);
    return start;
}

static struct gw_change next_change(struct maria_world *w, struct gw_stream *s)
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

/* An application's session: app_owner, in the test's database. */
static MYSQL *app(struct maria_world *w)
{
    char host[64], user[64] = "", word[64] = "";
    unsigned port = 0;
    gw_autofree char *url = maria_world_url("_OWNER", "");
    const char *at = strstr(url, "://");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "://%63[^:@]:%63[^@]@%63[^:]:%u", user, word, host, &port), 4);
    MYSQL *my = mysql_init(NULL);
    if (!mysql_real_connect(my, host, user, word, w->database, port, NULL, CLIENT_MULTI_STATEMENTS))
        fail_msg("%s", mysql_error(my));
    return my;
}

/* 0, or the error's number. */
static unsigned attempt(MYSQL *my, const char *sql)
{
    int more = mysql_query(my, sql);
    while (more == 0) {
        mysql_free_result(mysql_store_result(my));
        more = mysql_next_result(my);
    }
    return more > 0 ? mysql_errno(my) : 0;
}

static void one_value(MYSQL *my, const char *sql, struct gw_buf *out)
{
    if (mysql_query(my, sql) != 0)
        fail_msg("%s\n%s", sql, mysql_error(my));
    MYSQL_RES *r = mysql_store_result(my);
    MYSQL_ROW row = mysql_fetch_row(r);
    gw_buf_clear(out);
    gw_buf_adds(out, row && row[0] ? row[0] : "");
    mysql_free_result(r);
}

static void add_row(struct gw_buf *out, const struct gw_row *row)
{
    gw_buf_addc(out, '(');
    for (uint32_t i = 0; i < row->count; i++) {
        const struct gw_value *v = &row->values[i];
        gw_buf_adds(out, i ? "|" : "");
        if (v->kind == GW_VALUE_TEXT)
            gw_buf_add(out, v->bytes, v->len);
        for (uint32_t b = 0; v->kind == GW_VALUE_BINARY && b < v->len; b++)
            gw_buf_addf(out, "%s%02x", b ? "" : "x", v->bytes[b]);
        if (v->kind != GW_VALUE_TEXT && v->kind != GW_VALUE_BINARY)
            gw_buf_addc(out, v->kind == GW_VALUE_NULL ? '~' : '-');
    }
    gw_buf_addc(out, ')');
}

static void describe(const struct maria_world *w, const struct gw_change *c, struct gw_buf *out)
{
    static const char *const kinds[] = {"", "begin", "I", "U", "D", "T", "commit", "", "schema", "signal"};
    gw_buf_adds(out, kinds[c->kind]);
    if (c->kind == GW_CHANGE_SCHEMA)
        gw_buf_addf(out, "%s %s", c->carries_plan ? "+" : "", c->text);
    else
        gw_buf_addf(out, " %s", w->schema.collections[c->collection].name);
    if (c->old.count)
        add_row(out, &c->old);
    if (c->old.count && c->row.count)
        gw_buf_adds(out, "->");
    if (c->row.count)
        add_row(out, &c->row);
}

/* All changes up to a marker written now, one a line, without begin and commit. */
static const char *told(struct maria_world *w, struct gw_stream *s, struct gw_buf *out)
{
    static int markers;
    struct gw_error err = {0};
    char token[32];
    gw_buf_clear(out);
    snprintf(token, sizeof token, "marker:%d", ++markers);
    MUST(changes_of(w)->signal(w->store, token, &err));
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
    struct maria_world *w;
    int number;
    unsigned seed;
    pthread_t thread;
    int committed;
};

static int dice(struct writer *a, int sides)
{
    return (int)(rand_r(&a->seed) % (unsigned)sides);
}

/* One statement of the mix; conflicts, duplicates and deadlocks are part of it. False: the transaction is over. */
static bool act(struct writer *a, MYSQL *my)
{
    char sql[240];
    int key = 1 + dice(a, KEYS), other = 1 + dice(a, KEYS);
    switch (dice(a, 8)) {
    case 0:
    case 1:
        snprintf(sql, sizeof sql, "INSERT INTO kv VALUES (%d, %d, 'w%d.%u') ON DUPLICATE KEY UPDATE v = VALUES(v)", key,
                 key, a->number, a->seed);
        break;
    case 2:
        snprintf(sql, sizeof sql, "DELETE FROM kv WHERE id = %d", key);
        break;
    case 3: /* a key that moves, where the other one is free */
        snprintf(sql, sizeof sql, "UPDATE IGNORE kv SET id = %d, u = %d WHERE id = %d", other, other, key);
        break;
    case 4:
        snprintf(sql, sizeof sql, "UPDATE kv SET v = CONCAT(v, '+') WHERE id BETWEEN %d AND %d", key, key + 3);
        break;
    case 5: /* undone by itself */
        snprintf(sql, sizeof sql,
                 "SAVEPOINT s; UPDATE kv SET v = 'undone' WHERE id < %d; DELETE FROM kv WHERE id = %d; ROLLBACK TO s",
                 key, key);
        break;
    case 6: /* fires both triggers of a row */
        snprintf(sql, sizeof sql, "REPLACE INTO kv VALUES (%d, %d, 'replaced %d')", key, key, a->number);
        break;
    default:
        snprintf(sql, sizeof sql, "UPDATE kv SET u = -u WHERE id = %d; UPDATE kv SET u = -u WHERE id = %d", key, key);
        break;
    }
    unsigned code = attempt(my, sql);
    if (code != 0 && code != 1213 && code != 1205 && code != 1062 && code != 1146)
        fail_msg("%s\n%u %s", sql, code, mysql_error(my));
    return code == 0;
}

static void *write_mix(void *arg)
{
    struct writer *a = arg;
    MYSQL *my = app(a->w);
    char sql[200];
    maria_do(my, "SET SESSION innodb_lock_wait_timeout = 2");
    if (a->number % 2)
        maria_do(my, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    for (int t = 0; t < TRANSACTIONS; t++) {
        bool xa = dice(a, 5) == 0, fine = true;
        snprintf(sql, sizeof sql, "XA START '%s-%d-%d'", a->w->database, a->number, t);
        maria_do(my, xa ? sql : "BEGIN");
        for (int n = 1 + dice(a, 4); n > 0 && fine; n--)
            fine = act(a, my);
        bool keep = fine && dice(a, 8) != 0;
        if (xa) {
            snprintf(sql, sizeof sql, "XA END '%s-%d-%d'", a->w->database, a->number, t);
            bool ended = attempt(my, sql) == 0; /* a deadlock has rolled it back already */
            snprintf(sql, sizeof sql, keep && ended ? "XA PREPARE '%s-%d-%d'" : "XA ROLLBACK '%s-%d-%d'",
                     a->w->database, a->number, t);
            keep = attempt(my, sql) == 0 && keep && ended;
            snprintf(sql, sizeof sql, "XA COMMIT '%s-%d-%d'", a->w->database, a->number, t);
        }
        if (keep || !xa)
            maria_do(my, xa ? sql : keep ? "COMMIT" : "ROLLBACK");
        a->committed += keep;
    }
    mysql_close(my);
    return NULL;
}

struct replica {
    char *v[KEYS + 1];
    unsigned transactions, reopened;
};

static int key_of(const struct gw_row *row)
{
    char text[16] = "";
    assert_int_equal(row->values[0].kind, GW_VALUE_TEXT);
    memcpy(text, row->values[0].bytes, row->values[0].len);
    int key = (int)strtol(text, NULL, 10);
    assert_true(key >= 1 && key <= KEYS);
    return key;
}

static void put(struct replica *r, const struct gw_row *row)
{
    int key = key_of(row);
    assert_null(r->v[key]); /* an insert of what is there: the order is wrong */
    r->v[key] = gw_strndup((const char *)row->values[2].bytes, row->values[2].len);
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
 * now and then what is through is acknowledged, and others cut, too. */
static void replay(struct maria_world *w, struct gw_position at, const char *marker, struct replica *r)
{
    struct gw_error err = {0};
    struct gw_stream *s = stream_from(w, &at);
    struct held held = {0};
    struct gw_position horizon;
    unsigned seed = 7, events = 0, leave_at = 50;
    for (bool end = false; !end;) {
        struct gw_change c = next_change(w, s);
        if (++events == leave_at) {
            changes_of(w)->close(s);
            gw_buf_clear(&held.bytes);
            held.count = 0;
            MUST(changes_of(w)->horizon(w->store, &horizon, &err));
            assert_false(gw_position_before(&horizon, &at));
            s = stream_from(w, &at);
            r->reopened++; /* ever later: what was cut at once is one transaction, however long */
            leave_at += (20 + rand_r(&seed) % 300) * r->reopened;
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
    apply_held(r, &held); /* what came with the marker */
    gw_buf_release(&held.bytes);
    changes_of(w)->close(s);
}

static void assert_replica(struct maria_world *w, const struct replica *r)
{
    gw_autobuf struct gw_buf mine = {0}, theirs = {0};
    for (int key = 1; key <= KEYS; key++)
        if (r->v[key])
            gw_buf_addf(&mine, "%s%d=%s", mine.len ? "\n" : "", key, r->v[key]);
    one_value(w->admin, "SELECT GROUP_CONCAT(id, '=', v ORDER BY id SEPARATOR '\\n') FROM kv", &theirs);
    assert_string_equal(gw_buf_text(&theirs), gw_buf_text(&mine));
}

/* The marker comes when all have written what they had to. */
static void *end_writers(void *arg)
{
    struct writer *writers = arg;
    struct gw_error err = {0};
    mysql_thread_init();
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    MUST(changes_of(writers->w)->signal(writers->w->store, "marker:end", &err));
    mysql_thread_end();
    return NULL;
}

static void what_six_writers_do_at_once_can_be_replayed(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    struct replica r = {0};
    struct writer writers[WRITERS];
    pthread_t end;
    int committed = 0;
    maria_do(w->admin, "CREATE TABLE kv (id int PRIMARY KEY, u int UNIQUE, v varchar(2000) NOT NULL)");
    struct gw_position at = prepare(w);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.w = w, .number = i, .seed = (unsigned)(i * 7919 + 1)};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_mix, &writers[i]), 0);
    }
    assert_int_equal(pthread_create(&end, NULL, end_writers, writers), 0);
    replay(w, at, "marker:end", &r);
    pthread_join(end, NULL);
    assert_replica(w, &r);
    for (int i = 0; i < WRITERS; i++)
        committed += writers[i].committed;
    assert_true(r.transactions > 3 && r.reopened > 2 && committed > WRITERS * 10);
    for (int key = 1; key <= KEYS; key++)
        free(r.v[key]);
}

/* A chunk's mark and the stream together give the table as it is at the end, whenever the chunk was read. */
static void what_a_mark_saw_and_what_it_did_not_are_all_there_is(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    struct gw_error err = {0};
    struct replica r = {0};
    struct writer writers[WRITERS];
    pthread_t end;
    struct gw_reader *reader;
    struct gw_mark mark;
    struct gw_range all = {0};
    struct gw_block block;
    maria_do(w->admin, "CREATE TABLE kv (id int PRIMARY KEY, u int UNIQUE, v varchar(2000) NOT NULL)");
    struct gw_position at = prepare(w);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.w = w, .number = i, .seed = (unsigned)(i * 104729 + 3)};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_mix, &writers[i]), 0);
    }
    assert_int_equal(pthread_create(&end, NULL, end_writers, writers), 0);
    const struct gw_reader_facet *reading = w->store->type->reader;
    MUST(reading->open(w->store, &reader, &err));
    uint64_t seen_rows = 0;
    for (int64_t until_us = gw_mono_us() + PATIENCE_US; seen_rows < 10 && gw_mono_us() < until_us;) {
        for (int key = 1; key <= KEYS; key++) {
            free(r.v[key]);
            r.v[key] = NULL;
        }
        seen_rows = 0;
        MUST(reading->begin(reader, &w->schema.collections[0], &all, &mark, &err));
        do {
            MUST(reading->next(reader, &block, &err));
            const unsigned char *p = block.bytes, *stop = p + block.len;
            while (block.len && p < stop) {
                struct gw_value values[3] = {{0}};
                for (int i = 0; i < 3; i++) {
                    const unsigned char *bytes = NULL;
                    size_t len = 0;
                    assert_true(gw_mysql_row_get(&p, stop, &bytes, &len));
                    values[i] = (struct gw_value){.kind = GW_VALUE_TEXT, .bytes = bytes, .len = (uint32_t)len};
                }
                put(&r, &(struct gw_row){.count = 3, .values = values});
                seen_rows++;
            }
        } while (block.len > 0);
        MUST(reading->end(reader, &err));
    }
    reading->close(reader);
    struct gw_stream *s = stream_from(w, &at);
    for (bool through = false, done = false; !done;) {
        struct gw_change c = next_change(w, s);
        through = through || (c.kind == GW_CHANGE_SIGNAL && strcmp(c.text, "marker:end") == 0);
        done = through && c.kind == GW_CHANGE_COMMIT;
        if (c.kind >= GW_CHANGE_INSERT && c.kind <= GW_CHANGE_DELETE && !gw_mark_saw(&mark, c.transaction))
            apply(&r, &c);
    }
    changes_of(w)->close(s);
    pthread_join(end, NULL);
    assert_replica(w, &r);
    for (int key = 1; key <= KEYS; key++)
        free(r.v[key]);
}

/* ---- values and settings ---------------------------------------------------------------------------------------- */

static const char types_sql[] =
    "CREATE TABLE all_types (id int AUTO_INCREMENT PRIMARY KEY, ti tinyint unsigned, bi bigint unsigned, de decimal(20,4) zerofill,"
    " f float, d double, f2 float(7,3), b bit(17), y year, da date, t time(3), dt datetime(6), ts timestamp(3) NULL, ts0"
    " timestamp NULL, c char(5), l varchar(40) CHARACTER SET latin1, u16 varchar(40) CHARACTER SET utf16, v varchar(40), x"
    " text, bin binary(4), vb varbinary(20), bl mediumblob, e enum('a','b,c','\xc3\xa4') CHARACTER SET latin1, s set('p','q'"
    ") , j json, g geometry, u uuid, i6 inet6, gen int AS (ti * 2) STORED) CHARACTER SET utf8mb4";
static const char types_row_sql[] =
    "INSERT INTO all_types (ti, bi, de, f, d, f2, b, y, da, t, dt, ts, ts0, c, l, u16, v, x, bin, vb, bl, e, s, j, g, u, i6)"
    " VALUES (255, 18446744073709551615, 12.5, 0.1, 0.1, 1234.567, b'10000000011111111', 2024, '2024-02-29', '-838:59:59',"
    " '9999-12-31 23:59:59.999999', '2026-10-25 01:30:00.125', '2026-10-25 00:30:00', 'a ', 'h\xc3\xa4"
    "', 'z\xe2\x82\xac', 'a:1,~', '', 'a', x'00ff3a2c', x'7e2c3a00', '\xc3\xa4"
    "', 'p', '{\"a\": [1, null]}', ST_GeomFromText('POINT(1 2)', 4326), '123e4567-e89b-12d3-a456-426655440000', '::1'),"
    " (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,"
    " NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
    " (0, 0, -0.0001, -3.4e38, -1.7e308, -0.001, 0, 0, '0000-00-00', '00:00:00', '0000-00-00 00:00:00', 0, 0, '', '', '',"
    " '\xf0\x9f\x98\x80', '~', '', '', '', '', '', '\"\"', ST_GeomFromText('LINESTRING(0 0,1 1)'), NULL, NULL)";

/* Rows as the reader gives them: what a copied row and a captured one have in common is all of it. */
static void add_read_rows(struct maria_world *w, const struct gw_collection *c, struct gw_buf *out)
{
    struct gw_error err = {0};
    struct gw_reader *reader;
    struct gw_mark mark;
    const struct gw_reader_facet *reading = w->store->type->reader;
    MUST(reading->open(w->store, &reader, &err));
    for (int id = 1; id <= 3; id++) {
        char text[8];
        struct gw_row row;
        bool found = false;
        snprintf(text, sizeof text, "%d", id);
        struct gw_value value = gw_value_text(text);
        struct gw_row key = {.count = 1, .values = &value};
        MUST(reading->refetch(reader, c, &key, &mark, &found, &row, &err));
        assert_true(found);
        gw_buf_addf(out, "I all_types");
        add_row(out, &row);
        gw_buf_addc(out, '\n');
    }
    reading->close(reader);
}

static void every_type_is_captured_as_it_is_copied(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    gw_autobuf struct gw_buf text = {0}, read = {0};
    MYSQL *my = app(w);
    maria_do(my, "SET NAMES utf8mb4; SET SESSION sql_mode = 'ALLOW_INVALID_DATES'");
    maria_do(my, types_sql);
    struct gw_position at = prepare(w);
    struct gw_stream *s = stream_from(w, &at);
    maria_do(my, types_row_sql);
    told(w, s, &text);
    add_read_rows(w, &w->schema.collections[0], &read);
    assert_string_equal(gw_buf_text(&text), gw_buf_text(&read));
    changes_of(w)->close(s);
    mysql_close(my);
}

static void no_setting_of_a_session_changes_what_is_captured(void **state)
{
    NEEDS_MARIADB(state);
    static const char *const settings[] = {"SET time_zone = '+05:45'",
                                           "SET time_zone = 'SYSTEM'",
                                           "SET sql_mode = 'ANSI,PIPES_AS_CONCAT'",
                                           "SET NAMES latin1",
                                           "SET collation_connection = utf16_bin",
                                           "SET timestamp = 1",
                                           "SET sql_auto_is_null = 1",
                                           "SET insert_id = 900",
                                           "SET @godwit_ours = 1",
                                           "SET foreign_key_checks = 0",
                                           "SET sql_log_bin = 1",
                                           "SET sql_select_limit = 1",
                                           "SET div_precision_increment = 0",
                                           "SET sql_mode = 'PAD_CHAR_TO_FULL_LENGTH'",
                                           "SET lc_time_names = 'de_DE'"};
    struct maria_world *w = *state;
    gw_autobuf struct gw_buf text = {0};
    MYSQL *plain = app(w);
    maria_do(
        plain,
        "CREATE TABLE s (ts timestamp(3) NULL, dt datetime, c char(4), v varchar(20), d double, id int PRIMARY KEY)"
        " CHARACTER SET utf8mb4");
    struct gw_position at = prepare(w);
    struct gw_stream *s = stream_from(w, &at);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        MYSQL *my = app(w);
        attempt(my, settings[i]); /* those that an application may not make are not made */
        maria_do(my,
                 "INSERT INTO s VALUES (FROM_UNIXTIME(1774747800.125), '2026-01-02 03:04:05', 'a', x'c3a4', 0.1, 1)");
        maria_do(my, "DELETE FROM s WHERE id = 1");
        mysql_close(my);
        told(w, s, &text);
        if (strcmp(gw_buf_text(&text), "I s(2026-03-29 01:30:00.125|2026-01-02 03:04:05|a|\xc3\xa4|0.1|1)\n"
                                       "D s(-|-|-|-|-|1)\n") != 0)
            fail_msg("%s: %s", settings[i], gw_buf_text(&text));
    }
    changes_of(w)->close(s);
    mysql_close(plain);
}

/* What the application gets to see of it: nothing. */
static void the_application_does_not_notice(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    gw_autobuf struct gw_buf text = {0};
    MYSQL *my = app(w);
    maria_do(my, "CREATE TABLE a (id int AUTO_INCREMENT PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY)");
    prepare(w);
    for (int i = 1; i <= 3; i++) {
        maria_do(my, "INSERT INTO b SELECT COUNT(*) FROM b");
        assert_int_equal(mysql_insert_id(my), 0);
        assert_int_equal(mysql_query(my, "INSERT INTO a (v) VALUES (1)"), 0);
        assert_int_equal(mysql_insert_id(my), i);
        assert_int_equal(mysql_affected_rows(my), 1);
        one_value(my, "SELECT LAST_INSERT_ID()", &text);
        assert_int_equal(strtol(gw_buf_text(&text), NULL, 10), i);
    }
    assert_int_equal(mysql_query(my, "UPDATE a SET v = 2"), 0);
    assert_int_equal(mysql_affected_rows(my), 3);
    mysql_close(my);
}

/* ---- what triggers do not see, and what is done to them ---------------------------------------------------------- */

static void a_column_that_is_gone_stops_the_stream_and_no_statement(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    gw_autobuf struct gw_buf text = {0};
    maria_do(w->admin, "CREATE TABLE a (id int PRIMARY KEY, v int)");
    struct gw_position at = prepare(w);
    struct gw_stream *s = stream_from(w, &at);
    maria_do(w->admin, "INSERT INTO a VALUES (1, 1); ALTER TABLE a ADD COLUMN more int");
    maria_do(w->admin, "INSERT INTO a VALUES (2, 2, 2)");
    told(w, s, &text);
    assert_non_null(strstr(gw_buf_text(&text), "schema+ a: "));
    assert_non_null(strstr(gw_buf_text(&text), "I a(2|2)\n"));
    maria_do(w->admin, "ALTER TABLE a DROP COLUMN v; INSERT INTO a VALUES (3, 3)");
    told(w, s, &text);
    assert_non_null(strstr(gw_buf_text(&text), "schema a: "));
    assert_null(strstr(gw_buf_text(&text), "I a"));
    changes_of(w)->close(s);
}

static void a_column_of_another_type_is_told_before_its_rows(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    gw_autobuf struct gw_buf text = {0};
    maria_do(w->admin, "CREATE TABLE a (id int PRIMARY KEY, at datetime)");
    struct gw_position from = prepare(w);
    struct gw_stream *s = stream_from(w, &from);
    maria_do(w->admin, "INSERT INTO a VALUES (1, '2026-01-01 00:00:00')");
    assert_string_equal(told(w, s, &text), "I a(1|2026-01-01 00:00:00)\n");
    maria_do(w->admin, "ALTER TABLE a MODIFY at timestamp; INSERT INTO a VALUES (2, '2026-01-01 00:00:00')");
    told(w, s, &text);
    assert_non_null(strstr(gw_buf_text(&text), "schema a: "));
    assert_null(strstr(gw_buf_text(&text), "I a"));
    changes_of(w)->close(s);
}

static void assert_lost(struct maria_world *w, struct gw_position at)
{
    struct gw_error err = {0};
    struct gw_stream *s = NULL;
    assert_false(changes_of(w)->open(w->store, &w->schema, &at, &s, &err));
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
}

static void a_trigger_that_was_dropped_loses_the_place(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    gw_autobuf struct gw_buf name = {0};
    maria_do(w->admin, "CREATE TABLE a (id int PRIMARY KEY, v int)");
    struct gw_position at = prepare(w);
    changes_of(w)->close(stream_from(w, &at));
    one_value(w->admin,
              "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()"
              " AND TRIGGER_NAME LIKE 'godwit_capture_i%'",
              &name);
    maria_dof(w->admin, "DROP TRIGGER %s", gw_buf_text(&name));
    assert_lost(w, at);
    /* And one that was put back, too. */
    maria_dof(w->admin,
              "CREATE TRIGGER %s AFTER INSERT ON a FOR EACH ROW INSERT INTO godwit_capture (rel, op) VALUES (1, 'X')",
              gw_buf_text(&name));
    assert_lost(w, at);
}

static void a_truncate_is_noticed_where_a_number_goes_back(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    gw_autobuf struct gw_buf text = {0};
    maria_do(w->admin, "CREATE TABLE a (id int AUTO_INCREMENT PRIMARY KEY, v int);"
                       "INSERT INTO a (v) VALUES (1), (2), (3)");
    struct gw_position at = prepare(w);
    struct gw_stream *s = stream_from(w, &at);
    assert_string_equal(told(w, s, &text), "");
    maria_do(w->admin, "TRUNCATE a");
    /* Told with whatever comes next. */
    for (int64_t until_us = gw_mono_us() + PATIENCE_US; !strstr(told(w, s, &text), "schema a: its AUTO_INCREMENT");)
        assert_true(gw_mono_us() < until_us);
    changes_of(w)->close(s);
}

/* Ours goes before the application's, so that what that one writes elsewhere comes behind what it follows from. */
static void triggers_of_the_application_come_behind_ours(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    gw_autobuf struct gw_buf text = {0};
    maria_do(w->admin,
             "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int,"
             " FOREIGN KEY (p) REFERENCES parent (id));"
             "CREATE TRIGGER t1 BEFORE INSERT ON parent FOR EACH ROW SET NEW.id = NEW.id + 100;"
             "CREATE TRIGGER t2 AFTER INSERT ON parent FOR EACH ROW INSERT INTO child VALUES (NEW.id, NEW.id)");
    struct gw_position at = prepare(w);
    struct gw_stream *s = stream_from(w, &at);
    maria_do(w->admin, "INSERT INTO parent VALUES (1)");
    assert_string_equal(told(w, s, &text), "I parent(101)\nI child(101|101)\n");
    changes_of(w)->close(s);
}

static void what_is_ours_is_told_apart(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    struct gw_error err = {0};
    gw_autobuf struct gw_buf text = {0};
    struct gw_writer *writer;
    const struct gw_writer_facet *writing = w->store->type->writer;
    maria_do(w->admin, "CREATE TABLE a (id int PRIMARY KEY, v int)");
    struct gw_position at = prepare(w);
    struct gw_stream *s = stream_from(w, &at);
    MUST(writing->open(w->store, "green>blue", &writer, &err));
    struct gw_value values[2] = {gw_value_text("1"), gw_value_text("2")};
    struct gw_row row = {.count = 2, .values = values};
    struct gw_part part = {.kind = GW_CHANGE_INSERT, .collection = &w->schema.collections[0], .count = 1, .rows = &row};
    uint64_t touched = 0;
    struct gw_position reached = {.order = 5, .text = "5"};
    MUST(writing->begin(writer, &reached, &err));
    MUST(writing->apply(writer, &part, &touched, &err));
    MUST(writing->commit(writer, true, &err));
    writing->close(writer);
    struct gw_change c = next_change(w, s);
    assert_true(c.kind == GW_CHANGE_BEGIN && c.ours);
    assert_int_equal(next_change(w, s).kind, GW_CHANGE_COMMIT);
    maria_do(w->admin, "SET @godwit_ours = 1; INSERT INTO a VALUES (2, 2)"); /* who is not us may say so */
    assert_string_equal(told(w, s, &text), "I a(2|2)\n");
    changes_of(w)->close(s);
}

static void dropping_it_leaves_nothing(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    struct gw_error err = {0};
    gw_autobuf struct gw_buf left = {0};
    maria_do(w->admin, "CREATE TABLE a (id int PRIMARY KEY, v int)");
    prepare(w);
    MUST(w->store->type->ownership->leftovers(w->store, &left, &err));
    assert_non_null(strstr(gw_buf_text(&left), "trigger godwit_capture_"));
    for (int i = 0; i < 2; i++)
        MUST(changes_of(w)->drop(w->store, &err));
    MUST(w->store->type->ownership->uninstall(w->store, &err));
    MUST(w->store->type->ownership->leftovers(w->store, &left, &err));
    assert_string_equal(gw_buf_text(&left), "");
    maria_do(w->admin, "INSERT INTO a VALUES (1, 1)");
}

static void what_is_acknowledged_is_trimmed(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    struct gw_error err = {0};
    gw_autobuf struct gw_buf text = {0}, count = {0};
    maria_do(w->admin, "CREATE TABLE a (id int PRIMARY KEY, v int)");
    struct gw_position at = prepare(w), first = at;
    struct gw_stream *s = stream_from(w, &at);
    MYSQL *open = app(w);
    maria_do(open, "BEGIN; INSERT INTO a VALUES (100000, 0)"); /* waits for nobody, and nobody for it */
    maria_do(w->admin, "INSERT INTO a SELECT seq, seq FROM seq_1_to_3000");
    told(w, s, &text);
    for (int64_t until_us = gw_mono_us() + PATIENCE_US;;) {
        struct gw_change change;
        bool got = false;
        MUST(changes_of(w)->horizon(w->store, &at, &err));
        MUST(changes_of(w)->acknowledge(s, &at, &err));
        MUST(changes_of(w)->next(s, 20, &change, &got, &err));
        one_value(w->admin, "SELECT COUNT(*) FROM godwit_capture", &count);
        if (strcmp(gw_buf_text(&count), "0") == 0)
            break;
        assert_true(gw_mono_us() < until_us);
    }
    maria_do(open, "COMMIT");
    mysql_close(open);
    assert_string_equal(told(w, s, &text), "I a(100000|0)\n");
    changes_of(w)->close(s);
    assert_lost(w, first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CAPTURE_TEST(what_six_writers_do_at_once_can_be_replayed),
        CAPTURE_TEST(what_a_mark_saw_and_what_it_did_not_are_all_there_is),
        CAPTURE_TEST(every_type_is_captured_as_it_is_copied),
        CAPTURE_TEST(no_setting_of_a_session_changes_what_is_captured),
        CAPTURE_TEST(the_application_does_not_notice),
        CAPTURE_TEST(a_column_that_is_gone_stops_the_stream_and_no_statement),
        CAPTURE_TEST(a_column_of_another_type_is_told_before_its_rows),
        CAPTURE_TEST(a_trigger_that_was_dropped_loses_the_place),
        CAPTURE_TEST(a_truncate_is_noticed_where_a_number_goes_back),
        CAPTURE_TEST(triggers_of_the_application_come_behind_ours),
        CAPTURE_TEST(what_is_ours_is_told_apart),
        CAPTURE_TEST(dropping_it_leaves_nothing),
        CAPTURE_TEST(what_is_acknowledged_is_trimmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
