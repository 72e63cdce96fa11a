/* The PostgreSQL change log against real servers: what is written is what is streamed. */
#include "pg_world.h"

#include "base/cancel.h"
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>

#define PATIENCE_US 10000000

/* ---- reading a stream ------------------------------------------------------------------------------------------ */

static struct gw_stream *stream_from(struct pg_world *w, const struct gw_position *from)
{
    struct gw_error err = {0};
    struct gw_stream *s;
    MUST(w->store[GW_BLUE]->type->changes->open(w->store[GW_BLUE], &w->schema, from, &s, &err));
    return s;
}

static struct gw_stream *prepared_stream(struct pg_world *w)
{
    struct gw_error err = {0};
    struct gw_position start;
    char barrier[240];
    pg_world_install(w, GW_BLUE);
    pg_world_list(w, GW_BLUE);
    MUST(w->store[GW_BLUE]->type->changes->prepare(w->store[GW_BLUE], &w->schema, &start, barrier, &err));
    assert_true(start.order > 0);
    assert_true(strlen(barrier) > 0);
    return stream_from(w, &start);
}

static void add_row(struct gw_buf *out, const struct gw_row *row)
{
    for (uint32_t i = 0; i < row->count; i++) {
        const struct gw_value *v = &row->values[i];
        if (i)
            gw_buf_addc(out, ',');
        switch (v->kind) {
        case GW_VALUE_NULL:
            gw_buf_adds(out, "~");
            break;
        case GW_VALUE_UNCHANGED:
            gw_buf_adds(out, "u");
            break;
        case GW_VALUE_ABSENT:
            gw_buf_adds(out, "-");
            break;
        case GW_VALUE_BINARY:
            if (v->len == 4)
                gw_buf_addf(out, "%d", (int)gw_get32(v->bytes));
            else if (v->len == 8 && v->bytes[0] == 0)
                gw_buf_addf(out, "%ld", (long)gw_get64(v->bytes));
            else if (v->len > 40 || memchr(v->bytes, 0, v->len))
                gw_buf_addf(out, "#%u", v->len);
            else
                gw_buf_add(out, v->bytes, v->len);
            break;
        case GW_VALUE_TEXT:
            if (v->len > 40)
                gw_buf_addf(out, "#%u", v->len);
            else
                gw_buf_add(out, v->bytes, v->len);
            break;
        }
    }
}

/* "I items(1,a)", "U items(1)->(2,a)", "D items(1,-)", "begin", "begin ours", "commit", "signal x", "schema ...". */
static void describe(const struct pg_world *w, const struct gw_change *c, struct gw_buf *out)
{
    const char *name = c->collection < w->schema.count ? w->schema.collections[c->collection].name : "?";
    switch (c->kind) {
    case GW_CHANGE_BEGIN:
        gw_buf_addf(out, "begin%s", c->ours ? " ours" : "");
        return;
    case GW_CHANGE_COMMIT:
        gw_buf_adds(out, "commit");
        return;
    case GW_CHANGE_TRUNCATE:
        gw_buf_addf(out, "T %s", name);
        return;
    case GW_CHANGE_SIGNAL:
        gw_buf_addf(out, "signal %s", c->text);
        return;
    case GW_CHANGE_SCHEMA:
        gw_buf_addf(out, "schema %s", c->text);
        return;
    case GW_CHANGE_PROGRESS:
        gw_buf_adds(out, "progress");
        return;
    default:
        break;
    }
    gw_buf_addf(out, "%c %s(", c->kind == GW_CHANGE_INSERT ? 'I' : c->kind == GW_CHANGE_UPDATE ? 'U' : 'D', name);
    if (c->old.count) {
        add_row(out, &c->old);
        gw_buf_adds(out, c->row.count ? ")->(" : "");
    }
    add_row(out, &c->row);
    gw_buf_addc(out, ')');
}

/* Everything up to and with the next signal "marker:NAME", "; " between, progress left out. */
static char *read_to_marker(struct pg_world *w, struct gw_stream *s, const char *name)
{
    struct gw_error err = {0};
    gw_autobuf struct gw_buf out = {0}, want = {0};
    int64_t deadline_us = gw_mono_us() + PATIENCE_US;
    gw_buf_addf(&want, "marker:%s", name);
    for (;;) {
        struct gw_change change;
        bool got;
        MUST(w->store[GW_BLUE]->type->changes->next(s, 1000, &change, &got, &err));
        if (gw_mono_us() > deadline_us) {
            print_error("marker %s did not come; so far: %s\n", name, gw_buf_text(&out));
            fail();
        }
        if (!got || change.kind == GW_CHANGE_PROGRESS)
            continue;
        if (change.kind == GW_CHANGE_SIGNAL && strcmp(change.text, gw_buf_text(&want)) == 0)
            break;
        if (out.len)
            gw_buf_adds(&out, "; ");
        describe(w, &change, &out);
    }
    /* Without the marker's own begin. */
    char *text = gw_buf_detach(&out);
    size_t len = strlen(text);
    if (len >= 7 && strcmp(text + len - 7, "; begin") == 0)
        text[len - 7] = 0;
    else if (strcmp(text, "begin") == 0)
        text[0] = 0;
    return text;
}

static void expect_stream(struct pg_world *w, struct gw_stream *s, const char *name, const char *expected)
{
    struct gw_error err = {0};
    gw_autobuf struct gw_buf token = {0};
    gw_buf_addf(&token, "marker:%s", name);
    MUST(w->store[GW_BLUE]->type->changes->signal(w->store[GW_BLUE], gw_buf_text(&token), &err));
    char *got = read_to_marker(w, s, name);
    const char *from = strncmp(got, "commit; ", 8) == 0 ? got + 8 : strcmp(got, "commit") == 0 ? got + 6 : got;
    assert_string_equal(from, expected);
    free(got);
}

/* ---- tests ----------------------------------------------------------------------------------------------------- */

static void rows_are_streamed_as_written(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    pg_do(w->owner[GW_BLUE], "CREATE TABLE items (id int PRIMARY KEY, name text, big text);"
                             "ALTER TABLE items ALTER big SET STORAGE EXTERNAL");
    struct gw_stream *s = prepared_stream(w);
    pg_do(w->owner[GW_BLUE], "INSERT INTO items VALUES (1, 'a', NULL), (2, 'b', repeat('x', 9000))");
    pg_do(w->owner[GW_BLUE], "UPDATE items SET name = 'c' WHERE id = 2");
    pg_do(w->owner[GW_BLUE], "UPDATE items SET id = 3 WHERE id = 2");
    pg_do(w->owner[GW_BLUE], "DELETE FROM items WHERE id = 1");
    pg_do(w->owner[GW_BLUE], "BEGIN; INSERT INTO items VALUES (9); ROLLBACK");
    pg_do(w->owner[GW_BLUE], "TRUNCATE items");
    expect_stream(w, s, "1",
                  "begin; I items(1,a,~); I items(2,b,#9000); commit; begin; U items(2,c,u); commit; "
                  "begin; U items(2,-,-)->(3,c,u); commit; begin; D items(1,-,-); commit; begin; T items; commit");
    w->store[GW_BLUE]->type->changes->close(s);
}

static void tables_of_all_kinds_have_their_old_rows(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    pg_do(w->owner[GW_BLUE],
          "CREATE TABLE keyless (a int, b text);"
          "CREATE TABLE uniq (a text, b int NOT NULL, c int); CREATE UNIQUE INDEX uniq_b ON uniq (b);"
          "CREATE SCHEMA \"o.d\"; CREATE TABLE \"o.d\".\"Order\" (\"Kéy\" int PRIMARY KEY, "
          "g int GENERATED ALWAYS AS (\"Kéy\" * 2) STORED, v int);"
          "CREATE TABLE parted (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);"
          "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);"
          "CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (20);");
    struct gw_stream *s = prepared_stream(w);
    pg_do(w->owner[GW_BLUE], "INSERT INTO keyless VALUES (1, NULL), (1, NULL);"
                             "DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless);"
                             "UPDATE keyless SET b = 'x'");
    pg_do(w->owner[GW_BLUE], "INSERT INTO uniq VALUES ('a', 1, 2); UPDATE uniq SET b = 2; DELETE FROM uniq");
    pg_do(w->owner[GW_BLUE], "INSERT INTO \"o.d\".\"Order\" VALUES (1, DEFAULT, 3); DELETE FROM \"o.d\".\"Order\"");
    pg_do(w->owner[GW_BLUE], "INSERT INTO parted VALUES (1, 1); UPDATE parted SET id = 11; TRUNCATE parted");
    expect_stream(w, s, "1",
                  "begin; I keyless(1,~); I keyless(1,~); D keyless(1,~); U keyless(1,~)->(1,x); commit; "
                  "begin; I uniq(a,1,2); U uniq(-,1,-)->(a,2,2); D uniq(-,2,-); commit; "
                  "begin; I Order(1,-,3); D Order(1,-,-); commit; "
                  "begin; I parted_1(1,1); D parted_1(1,-); I parted_2(11,1); T parted_1; T parted_2; commit");
    w->store[GW_BLUE]->type->changes->close(s);

    /* The application's own UPDATE and DELETE went through on keyless tables; at the end all is as it was. */
    assert_string_equal(pg_value(w->owner[GW_BLUE], "SELECT string_agg(relname || relreplident::text, ' ' ORDER BY"
                                                    " relname) FROM pg_class WHERE relname IN ('keyless', 'uniq')"),
                        "keylessf uniqi");
    MUST(w->store[GW_BLUE]->type->changes->drop(w->store[GW_BLUE], &err));
    assert_string_equal(pg_value(w->owner[GW_BLUE], "SELECT string_agg(relname || relreplident::text, ' ' ORDER BY"
                                                    " relname) FROM pg_class WHERE relname IN ('keyless', 'uniq')"),
                        "keylessd uniqd");
    MUST(w->store[GW_BLUE]->type->changes->drop(w->store[GW_BLUE], &err));
    gw_autobuf struct gw_buf left = {0};
    MUST(w->store[GW_BLUE]->type->ownership->uninstall(w->store[GW_BLUE], &err));
    MUST(w->store[GW_BLUE]->type->ownership->uninstall(w->store[GW_BLUE], &err));
    MUST(w->store[GW_BLUE]->type->ownership->leftovers(w->store[GW_BLUE], &left, &err));
    assert_string_equal(gw_buf_text(&left), "");
}

static void our_own_transactions_are_told_from_others(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    pg_do(w->owner[GW_BLUE], "CREATE TABLE items (id int PRIMARY KEY)");
    struct gw_stream *s = prepared_stream(w);
    pg_do(w->admin[GW_BLUE], "BEGIN; INSERT INTO godwit.position VALUES ('green>blue', 1, '0/1');"
                             "INSERT INTO items VALUES (1); COMMIT");
    pg_do(w->admin[GW_BLUE], "BEGIN; INSERT INTO godwit.chunk VALUES (1, 1, '[]', '[]', '1:1:', 0, 0);"
                             "INSERT INTO items VALUES (2); COMMIT");
    pg_do(w->admin[GW_BLUE], "BEGIN; INSERT INTO items VALUES (3);"
                             "UPDATE godwit.position SET \"order\" = 2; COMMIT");
    pg_do(w->admin[GW_BLUE], "UPDATE godwit.position SET \"order\" = 3");
    expect_stream(w, s, "1",
                  "begin ours; I items(1); commit; begin ours; I items(2); commit; begin; I items(3); commit; "
                  "begin ours; commit");
    w->store[GW_BLUE]->type->changes->close(s);
}

static void a_changed_definition_is_said_before_its_rows(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    pg_do(w->owner[GW_BLUE], "CREATE TYPE mood AS ENUM ('sad', 'fine');"
                             "CREATE TABLE items (id int PRIMARY KEY, price numeric(10,2), m mood);"
                             "CREATE TABLE steady (id int PRIMARY KEY, n varchar(10))");
    struct gw_stream *s = prepared_stream(w);
    pg_do(w->owner[GW_BLUE], "INSERT INTO items VALUES (1, 2.50, 'fine'); INSERT INTO steady VALUES (1, 'x')");
    pg_do(w->owner[GW_BLUE], "ALTER TABLE items ADD note text; INSERT INTO items VALUES (2, 1, NULL, 'n')");
    pg_do(w->owner[GW_BLUE], "ANALYZE steady; INSERT INTO steady VALUES (2, 'y')");
    pg_do(w->owner[GW_BLUE], "ALTER TABLE steady ALTER n TYPE varchar(20); INSERT INTO steady VALUES (3, 'z')");
    pg_do(w->owner[GW_BLUE], "ALTER TABLE items DROP price; INSERT INTO items VALUES (3, 'sad')");
    struct gw_error err = {0};
    MUST(w->store[GW_BLUE]->type->changes->signal(w->store[GW_BLUE], "marker:1", &err));
    char *got = read_to_marker(w, s, "1");
    assert_contains(got, "; commit; schema public.items: column note text is new; begin; I items(2,");
    assert_contains(got, "schema public.steady: column n: character varying(10) became character varying(20); begin;");
    assert_contains(got, "schema public.items: column price is gone; column note text is new; begin; I items(3,-,sad)");
    assert_null(strstr(got, "schema public.steady: column n: character varying(10) became character varying(20); begin;"
                            " I steady(2"));
    free(got);
    w->store[GW_BLUE]->type->changes->close(s);
}

static void a_renamed_table_is_said_and_what_came_before_is_there(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    const struct gw_changes_facet *changes = w->store[GW_BLUE]->type->changes;
    pg_do(w->owner[GW_BLUE], "CREATE TABLE items (id int PRIMARY KEY); CREATE TABLE gone (id int PRIMARY KEY);"
                             "CREATE TABLE taken (id int PRIMARY KEY)");
    struct gw_stream *s = prepared_stream(w), *again;
    struct gw_position start = {0};
    changes->close(s);
    pg_do(w->owner[GW_BLUE], "INSERT INTO items VALUES (1); INSERT INTO gone VALUES (1)");
    pg_do(w->owner[GW_BLUE], "ALTER TABLE items RENAME TO things; DROP TABLE gone");
    pg_do(w->owner[GW_BLUE], "INSERT INTO things VALUES (2)");
    for (int round = 0; round < 2; round++) {
        s = stream_from(w, &start);
        char token[20];
        snprintf(token, sizeof token, "marker:%d", round);
        MUST(changes->signal(w->store[GW_BLUE], token, &err));
        char *got = read_to_marker(w, s, token + 7);
        assert_contains(got, "begin; I items(1); I gone(1); commit; schema public.items: the table is now called "
                             "public.things; begin");
        free(got);
        changes->close(s);
    }
    /* First seen under its new name. */
    struct gw_position after;
    MUST(changes->horizon(w->store[GW_BLUE], &after, &err));
    s = stream_from(w, &after);
    pg_do(w->owner[GW_BLUE], "INSERT INTO things VALUES (3)");
    MUST(changes->signal(w->store[GW_BLUE], "marker:9", &err));
    char *got = read_to_marker(w, s, "9");
    assert_contains(got, "schema public.items: the table is now called public.things");
    free(got);
    changes->close(s);

    char sql[200];
    snprintf(sql, sizeof sql, "ALTER PUBLICATION %.64s DROP TABLE taken",
             pg_value(w->admin[GW_BLUE], "SELECT pubname FROM pg_publication WHERE pubname ~ '^godwit_'"));
    pg_do(w->admin[GW_BLUE], sql);
    assert_false(changes->open(w->store[GW_BLUE], &w->schema, &start, &again, &err));
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
    assert_contains(err.message, "public.taken");
    assert_null(strstr(err.message, "public.gone"));
}

static void transactions_have_their_full_numbers(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    pg_do(w->owner[GW_BLUE], "CREATE TABLE items (id bigint PRIMARY KEY)");
    struct gw_stream *s = prepared_stream(w);
    pg_do(w->owner[GW_BLUE], "BEGIN; INSERT INTO items SELECT pg_current_xact_id()::text::bigint; SAVEPOINT a;"
                             "INSERT INTO items VALUES (1); COMMIT");
    bool seen = false;
    while (!seen) {
        struct gw_change c;
        bool got;
        MUST(w->store[GW_BLUE]->type->changes->next(s, 5000, &c, &got, &err));
        assert_true(got);
        if (c.kind == GW_CHANGE_INSERT) {
            const struct gw_value *v = &c.row.values[0];
            assert_int_equal(v->kind == GW_VALUE_BINARY ? gw_get64(v->bytes)
                                                        : strtoull((const char *)v->bytes, NULL, 10),
                             c.transaction);
            seen = true;
        }
    }
    w->store[GW_BLUE]->type->changes->close(s);
}

static void a_stream_goes_on_where_it_was_acknowledged(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    const struct gw_changes_facet *changes = w->store[GW_BLUE]->type->changes;
    pg_do(w->owner[GW_BLUE], "CREATE TABLE items (id int PRIMARY KEY)");
    struct gw_stream *s = prepared_stream(w);
    pg_do(w->owner[GW_BLUE], "INSERT INTO items VALUES (1)");
    pg_do(w->owner[GW_BLUE], "INSERT INTO items VALUES (2)");
    struct gw_position first = {0};
    while (!first.order) {
        struct gw_change c;
        bool got;
        MUST(changes->next(s, 5000, &c, &got, &err));
        if (got && c.kind == GW_CHANGE_COMMIT)
            first = c.position;
    }
    struct gw_stream *second;
    changes->close(s);
    s = stream_from(w, &first);
    expect_stream(w, s, "1", "begin; I items(2); commit");
    MUST(changes->acknowledge(s, &first, &err));
    changes->close(s);

    /* Acknowledged past a place, the log does not have it any more: said, never skipped. */
    struct gw_position end;
    s = stream_from(w, &first);
    expect_stream(w, s, "2", "begin; I items(2); commit; begin; signal marker:1; commit");
    MUST(changes->horizon(w->store[GW_BLUE], &end, &err));
    MUST(changes->acknowledge(s, &end, &err));
    char confirmed[200];
    snprintf(
        confirmed, sizeof confirmed,
        "SELECT 1 FROM pg_replication_slots WHERE database = current_database() AND confirmed_flush_lsn >= '%.40s'",
        end.text);
    for (int i = 0; i < 200 && !*pg_value(w->admin[GW_BLUE], confirmed); i++) {
        struct gw_change c;
        bool got;
        MUST(changes->next(s, 50, &c, &got, &err));
    }
    assert_string_equal(pg_value(w->admin[GW_BLUE], confirmed), "1");
    changes->close(s);
    for (int i = 0; i < 500 && *pg_value(w->admin[GW_BLUE], "SELECT 1 FROM pg_replication_slots WHERE database ="
                                                            " current_database() AND active");
         i++)
        gw_sleep_us(10000);
    assert_false(changes->open(w->store[GW_BLUE], &w->schema, &first, &second, &err));
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
    assert_contains(err.message, "behind our");

    struct gw_position future = {.order = end.order + (1u << 30)};
    snprintf(future.text, sizeof future.text, "%X/%X", (unsigned)(future.order >> 32), (unsigned)future.order);
    assert_false(changes->open(w->store[GW_BLUE], &w->schema, &future, &second, &err));
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);

    pg_do(w->admin[GW_BLUE], "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                             " WHERE database = current_database()");
    assert_false(changes->open(w->store[GW_BLUE], &w->schema, &end, &second, &err));
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
    assert_contains(err.message, "is not there");
    struct gw_retained kept;
    MUST(changes->retained(w->store[GW_BLUE], &kept, &err));
    assert_true(kept.lost);
}

static void a_second_reader_is_refused(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    const struct gw_changes_facet *changes = w->store[GW_BLUE]->type->changes;
    pg_do(w->owner[GW_BLUE], "CREATE TABLE items (id int PRIMARY KEY)");
    struct gw_stream *s = prepared_stream(w);
    struct gw_retained kept;
    MUST(changes->retained(w->store[GW_BLUE], &kept, &err));
    assert_true(kept.reader_attached);
    assert_false(kept.lost);
    assert_true(kept.bytes >= 0);
    changes->close(s);

    /* A reader that is not of this process: another program with the same role. */
    char *url = pg_world_url(w, GW_BLUE, "");
    const char *keys[] = {"dbname", "replication", NULL};
    const char *values[] = {url, "database", NULL};
    PGconn *other = PQconnectdbParams(keys, values, 1);
    free(url);
    char sql[300];
    const char *name = pg_value(w->admin[GW_BLUE], "SELECT pubname FROM pg_publication WHERE pubname ~ '^godwit_'");
    snprintf(sql, sizeof sql, "START_REPLICATION SLOT %.64s LOGICAL 0/0 (proto_version '1', publication_names '%.64s')",
             name, name);
    PGresult *r = NULL;
    for (int i = 0; i < 100; i++) {
        r = PQexec(other, sql);
        if (PQresultStatus(r) == PGRES_COPY_BOTH)
            break;
        PQclear(r);
        gw_sleep_us(20000);
    }
    assert_int_equal(PQresultStatus(r), PGRES_COPY_BOTH);
    PQclear(r);
    struct gw_position start = {0};
    assert_false(changes->open(w->store[GW_BLUE], &w->schema, &start, &s, &err));
    assert_int_equal(err.kind, GW_ERR_RETRY); /* it never answers: the server will end it */
    assert_contains(err.message, "another session");
    PQfinish(other);
}

static void an_idle_log_gets_to_its_end(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    const struct gw_changes_facet *changes = w->store[GW_BLUE]->type->changes;
    pg_do(w->owner[GW_BLUE], "CREATE TABLE items (id int PRIMARY KEY)");
    struct gw_stream *s = prepared_stream(w);
    pg_do(w->owner[GW_BLUE], "CREATE TABLE elsewhere (id int)");
    for (int i = 0; i < 20; i++) {
        pg_do(w->owner[GW_BLUE], "INSERT INTO elsewhere SELECT generate_series(1, 100)");
        struct gw_position end, at = {0};
        MUST(changes->horizon(w->store[GW_BLUE], &end, &err));
        int64_t deadline_us = gw_mono_us() + PATIENCE_US;
        while (gw_position_before(&at, &end)) {
            struct gw_change c;
            bool got;
            MUST(changes->next(s, 100, &c, &got, &err));
            if (got) {
                assert_int_equal(c.kind, GW_CHANGE_PROGRESS);
                assert_false(gw_position_before(&c.position, &at));
                at = c.position;
            }
            assert_true(gw_mono_us() < deadline_us);
        }
    }
    changes->close(s);
}

static void settled_waits_for_what_was_in_progress(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    const struct gw_changes_facet *changes = w->store[GW_BLUE]->type->changes;
    struct gw_position start, again;
    char barrier[240], later[240];
    bool settled;
    gw_autobuf struct gw_buf who = {0};
    pg_do(w->owner[GW_BLUE], "CREATE TABLE items (id int PRIMARY KEY)");
    pg_world_install(w, GW_BLUE);
    pg_world_list(w, GW_BLUE);
    MUST(changes->prepare(w->store[GW_BLUE], &w->schema, &start, barrier, &err));
    /* In progress when it is prepared the second time: the slot is there already and does not wait. */
    pg_do(w->owner[GW_BLUE], "BEGIN; INSERT INTO items VALUES (1)");
    pg_do(w->admin[GW_BLUE], "BEGIN; INSERT INTO items VALUES (2); PREPARE TRANSACTION 'settle'");
    MUST(changes->prepare(w->store[GW_BLUE], &w->schema, &again, later, &err));
    assert_int_equal(start.order, again.order);
    MUST(changes->settled(w->store[GW_BLUE], later, &settled, &who, &err));
    assert_false(settled);
    assert_contains(gw_buf_text(&who), "app_owner");
    assert_contains(gw_buf_text(&who), "settle");
    pg_do(w->owner[GW_BLUE], "COMMIT");
    MUST(changes->settled(w->store[GW_BLUE], later, &settled, &who, &err));
    assert_false(settled);
    pg_do(w->admin[GW_BLUE], "COMMIT PREPARED 'settle'");
    MUST(changes->settled(w->store[GW_BLUE], later, &settled, &who, &err));
    assert_true(settled);
    assert_int_equal(who.len, 0);
}

/* ---- waiting for others ------------------------------------------------------------------------------------------ */

static _Atomic bool said_who;

static void listen_for_pid(enum gw_log_level level, const char *line, void *arg)
{
    (void)level;
    if (strstr(line, "waits for transactions in progress") && strstr(line, arg))
        said_who = true;
}

struct preparing {
    struct pg_world *w;
    struct gw_store *store;
    struct gw_error err;
    bool fine;
};

static void *prepare_in_thread(void *arg)
{
    struct preparing *p = arg;
    struct gw_position start;
    char barrier[240];
    p->fine = p->store->type->changes->prepare(p->store, &p->w->schema, &start, barrier, &p->err);
    return NULL;
}

static void wait_until_slot_waits(struct pg_world *w)
{
    int64_t deadline_us = gw_mono_us() + PATIENCE_US;
    while (strcmp(pg_value(w->admin[GW_BLUE], "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                                              " WHERE a.backend_type = 'walsender' AND NOT l.granted"),
                  "t") != 0) {
        assert_true(gw_mono_us() < deadline_us);
        gw_sleep_us(5000);
    }
}

static void opening_waits_for_transactions_and_says_whose(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    char pid[32];
    pthread_t thread;
    pg_do(w->owner[GW_BLUE], "CREATE TABLE items (id int PRIMARY KEY)");
    pg_world_install(w, GW_BLUE);
    pg_world_list(w, GW_BLUE);
    pg_do(w->owner[GW_BLUE], "BEGIN; SELECT pg_current_xact_id()");
    snprintf(pid, sizeof pid, "pid %d (app_owner", PQbackendPID(w->owner[GW_BLUE]));
    gw_log_tee(listen_for_pid, pid);
    struct preparing p = {.w = w, .store = w->store[GW_BLUE]};
    pthread_create(&thread, NULL, prepare_in_thread, &p);
    int64_t deadline_us = gw_mono_us() + PATIENCE_US;
    while (!said_who) {
        assert_true(gw_mono_us() < deadline_us);
        gw_sleep_us(10000);
    }
    pg_do(w->owner[GW_BLUE], "INSERT INTO items VALUES (1); COMMIT");
    pthread_join(thread, NULL);
    gw_log_tee(NULL, NULL);
    assert_true(p.fine);
}

static void opening_can_be_cancelled_and_leaves_no_slot(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    struct gw_error err = {0};
    struct gw_cancel cancel;
    struct preparing p = {.w = w};
    pthread_t thread;
    MUST(gw_cancel_init(&cancel, &err));
    pg_do(w->owner[GW_BLUE], "CREATE TABLE items (id int PRIMARY KEY)");
    pg_world_install(w, GW_BLUE);
    pg_world_list(w, GW_BLUE);
    char *url = pg_world_url(w, GW_BLUE, "");
    MUST(gw_store_open(&(struct gw_store_options){.url = url, .migration = w->database, .cancel = &cancel}, &p.store,
                       &err));
    free(url);
    pg_do(w->owner[GW_BLUE], "BEGIN; INSERT INTO items VALUES (1)");
    pthread_create(&thread, NULL, prepare_in_thread, &p);
    wait_until_slot_waits(w);
    int64_t start_us = gw_mono_us();
    gw_cancel_ask(&cancel, 1);
    pthread_join(thread, NULL);
    assert_true(gw_mono_us() - start_us < 3000000);
    assert_false(p.fine);
    assert_int_equal(p.err.kind, GW_ERR_CANCELLED);
    pg_do(w->owner[GW_BLUE], "COMMIT");
    gw_store_close(p.store);
    gw_cancel_release(&cancel);
    int64_t deadline_us = gw_mono_us() + PATIENCE_US;
    while (
        *pg_value(w->admin[GW_BLUE], "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"))
        assert_true(gw_mono_us() < deadline_us);
}

/* ---- locate ---------------------------------------------------------------------------------------------------- */

/* The table's rows in the source's own order are cut into chunks; every key must be found where the order puts it. */
static void check_locate(struct pg_world *w, const char *table, size_t chunk_rows, bool binary)
{
    struct gw_error err = {0};
    const struct gw_collection *c = pg_world_find(w, "public", table);
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT ");
    for (size_t k = 0; k < c->key_count; k++)
        gw_buf_addf(&sql, "%s\"%s\"", k ? ", " : "", c->columns[c->key[k]].name);
    gw_buf_addf(&sql, " FROM %s ORDER BY ", table);
    for (size_t k = 0; k < c->key_count; k++)
        gw_buf_addf(&sql, "%s\"%s\"", k ? ", " : "", c->columns[c->key[k]].name);
    PGresult *text = PQexecParams(w->owner[GW_BLUE], gw_buf_text(&sql), 0, NULL, NULL, NULL, NULL, 0);
    PGresult *bytes = PQexecParams(w->owner[GW_BLUE], gw_buf_text(&sql), 0, NULL, NULL, NULL, NULL, 1);
    size_t rows = (size_t)PQntuples(text), bounds = 0;
    assert_true(rows > chunk_rows);
    struct gw_bound *bound = gw_calloc(rows, sizeof *bound);
    struct gw_row *key = gw_calloc(rows, sizeof *key);
    uint32_t *chunk = gw_calloc(rows, sizeof *chunk);
    for (size_t i = 0; i < rows; i++) {
        key[i] = (struct gw_row){.count = (uint32_t)c->key_count,
                                 .values = gw_calloc(c->key_count, sizeof(struct gw_value))};
        if (i > 0 && i % chunk_rows == 0)
            bound[bounds++] =
                (struct gw_bound){.count = (uint32_t)c->key_count, .texts = gw_calloc(c->key_count, sizeof(char *))};
        for (size_t k = 0; k < c->key_count; k++) {
            PGresult *r = binary ? bytes : text;
            key[i].values[k] = (struct gw_value){.kind = binary ? GW_VALUE_BINARY : GW_VALUE_TEXT,
                                                 .len = (uint32_t)PQgetlength(r, (int)i, (int)k),
                                                 .bytes = (unsigned char *)PQgetvalue(r, (int)i, (int)k)};
            if (i > 0 && i % chunk_rows == 0)
                bound[bounds - 1].texts[k] = PQgetvalue(text, (int)i, (int)k);
        }
    }
    MUST(w->store[GW_BLUE]->type->changes->locate(w->store[GW_BLUE], c, bound, bounds, key, rows, chunk, &err));
    for (size_t i = 0; i < rows; i++)
        if (chunk[i] != i / chunk_rows) {
            print_error("%s: key %s is in chunk %zu, not %u\n", table, PQgetvalue(text, (int)i, 0), i / chunk_rows,
                        chunk[i]);
            fail();
        }
    for (size_t i = 0; i < rows; i++)
        free(key[i].values);
    for (size_t i = 0; i < bounds; i++)
        free(bound[i].texts);
    free(bound);
    free(key);
    free(chunk);
    PQclear(text);
    PQclear(bytes);
}

static void keys_are_located_as_the_source_orders_them(void **state)
{
    NEEDS_SERVERS(state)
    struct pg_world *w = *state;
    const char *words = "unnest(ARRAY['a-b', 'aB', 'ab', 'A1', '_z', 'é', 'e', 'E', 'f', 'co-op', 'coop', 'Co', '', "
                        "'\"q\\', ' '])";
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(
        &sql,
        "CREATE TABLE ints (id bigint PRIMARY KEY); INSERT INTO ints SELECT x * 37 FROM"
        " generate_series(-500, 500) x UNION SELECT 9223372036854775807 UNION SELECT -9223372036854775808;"
        "CREATE TABLE uuids (id uuid PRIMARY KEY); INSERT INTO uuids SELECT gen_random_uuid() FROM"
        " generate_series(1, 300);"
        "CREATE TABLE pairs (b smallint, a int, PRIMARY KEY (a, b)); INSERT INTO pairs SELECT x %% 7, x / 7 - 20"
        " FROM generate_series(1, 300) x;"
        "CREATE TABLE c_text (id text COLLATE \"C\" PRIMARY KEY); INSERT INTO c_text SELECT %s;"
        "CREATE TABLE icu (id varchar(20) COLLATE \"en-x-icu\" PRIMARY KEY); INSERT INTO icu SELECT %s;"
        "CREATE TABLE mixed (a text COLLATE \"en-x-icu\", b numeric, c date, PRIMARY KEY (a, b, c));"
        "INSERT INTO mixed SELECT w, n, d FROM (SELECT %s AS w) w, unnest(ARRAY[-1.5, 1.0, 10, 9]) n,"
        " unnest(ARRAY['2020-01-01', 'infinity', '0001-01-01 BC']::date[]) d;"
        "CREATE TYPE mood AS ENUM ('z', 'a', 'm'); CREATE TABLE moods (m mood, f float8, PRIMARY KEY (m, f));"
        "INSERT INTO moods SELECT m, f FROM unnest(ARRAY['z','a','m']::mood[]) m,"
        " unnest(ARRAY[0, 'NaN', '-Infinity', 1.5]::float8[]) f;"
        "CREATE TABLE raw (id bytea PRIMARY KEY); INSERT INTO raw SELECT decode(md5(x::text), 'hex') FROM"
        " generate_series(1, 2500) x;",
        words, words, words);
    pg_do(w->owner[GW_BLUE], gw_buf_text(&sql));
    pg_world_list(w, GW_BLUE);
    const char *tables[] = {"ints", "uuids", "pairs", "c_text", "icu", "mixed", "moods", "raw"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (int binary = 0; binary < 2; binary++) {
            check_locate(w, tables[i], 1, binary);
            check_locate(w, tables[i], 3, binary);
            check_locate(w, tables[i], 10, binary);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PG_TEST(rows_are_streamed_as_written),
        PG_TEST(tables_of_all_kinds_have_their_old_rows),
        PG_TEST(our_own_transactions_are_told_from_others),
        PG_TEST(a_changed_definition_is_said_before_its_rows),
        PG_TEST(a_renamed_table_is_said_and_what_came_before_is_there),
        PG_TEST(transactions_have_their_full_numbers),
        PG_TEST(a_stream_goes_on_where_it_was_acknowledged),
        PG_TEST(a_second_reader_is_refused),
        PG_TEST(an_idle_log_gets_to_its_end),
        PG_TEST(settled_waits_for_what_was_in_progress),
        PG_TEST(opening_waits_for_transactions_and_says_whose),
        PG_TEST(opening_can_be_cancelled_and_leaves_no_slot),
        PG_TEST(keys_are_located_as_the_source_orders_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
