/*
 * What a read saw, against what the log tells: writers commit in groups, by XA, behind savepoints and not at all while
 * snapshots are taken. A snapshot sees a transaction if and only if its mark says so; none is told twice or not at all.
 */
#include "contract/maria_world.h"

#include "store/mysql/mysql.h"
#include "store/mysql/row.h"

#include <pthread.h>
#include <stdatomic.h>

#define WRITERS 4
#define SNAPSHOTS 150
#define PER_WRITER 100000
#define LONG_ENOUGH_US INT64_C(60000000)

struct writing {
    struct maria_world *w;
    unsigned number;
    atomic_bool *stop;
    pthread_t thread;
    unsigned used;       /* ids given out */
    unsigned char *kept; /* which of them were committed */
};

static unsigned next_random(unsigned *state)
{
    *state = *state * 1103515245u + 12345u;
    return *state >> 16;
}

static unsigned insert(struct writing *writing, MYSQL *my, bool kept)
{
    unsigned id = writing->used++;
    assert_true(id < PER_WRITER);
    writing->kept[id] = kept;
    maria_dof(my, "INSERT INTO t VALUES (%u, '%s')", writing->number * PER_WRITER + id, kept ? "kept" : "gone");
    return id;
}

/* Ended by the session that prepared it: what another one ends while the first is still going away, MariaDB 10.11 may log
 * as committed and keep prepared for ever. */
static void write_xa(struct writing *writing, MYSQL *my, unsigned round, bool kept)
{
    gw_autofree char *xid = gw_asprintf("'%s %u %u'", writing->w->database, writing->number, round);
    maria_dof(my, "XA START %s", xid);
    insert(writing, my, kept);
    insert(writing, my, kept);
    maria_dof(my, "XA END %s; XA PREPARE %s", xid, xid);
    maria_dof(my, "XA %s %s", kept ? "COMMIT" : "ROLLBACK", xid);
}

static void write_once(struct writing *writing, MYSQL *my, unsigned round, unsigned kind)
{
    switch (kind) {
    case 0:
        maria_do(my, "BEGIN");
        insert(writing, my, true);
        maria_do(my, "SAVEPOINT s");
        insert(writing, my, false);
        maria_do(my, "ROLLBACK TO s");
        insert(writing, my, true);
        maria_do(my, "COMMIT");
        break;
    case 1:
        maria_do(my, "BEGIN");
        insert(writing, my, false);
        maria_do(my, "ROLLBACK");
        break;
    case 2:
    case 3:
        write_xa(writing, my, round, kind == 2);
        gw_sleep_us(3000); /* so that ids last as long as there are snapshots */
        break;
    case 4:
        maria_do(my, "BEGIN");
        for (int i = 0; i < 20; i++)
            insert(writing, my, true);
        maria_do(my, "COMMIT");
        break;
    default:
        insert(writing, my, true);
    }
}

static void *write_main(void *arg)
{
    struct writing *writing = arg;
    unsigned random = writing->number + 7;
    MYSQL *my = maria_connect(writing->w->database);
    for (unsigned round = 0; !atomic_load(writing->stop) && writing->used + 32 < PER_WRITER; round++)
        write_once(writing, my, round, next_random(&random) % 9);
    mysql_close(my);
    mysql_thread_end();
    return NULL;
}

struct snapshot {
    struct gw_mark mark;
    unsigned char *seen; /* by id */
};

static void take_snapshot(struct maria_world *w, struct gw_reader *reader, struct snapshot *out)
{
    struct gw_error err = {0};
    const struct gw_reader_facet *reading = w->store->type->reader;
    struct gw_range all = {0};
    struct gw_block block;
    out->seen = gw_zalloc(WRITERS * PER_WRITER);
    MUST(reading->begin(reader, gw_schema_find(&w->schema, "", "t"), &all, &out->mark, &err));
    assert_true(out->mark.low == out->mark.high);
    for (;;) {
        MUST(reading->next(reader, &block, &err));
        if (block.len == 0)
            break;
        const unsigned char *at = block.bytes, *end = at + block.len, *bytes = NULL;
        size_t len = 0;
        while (at < end) {
            char id[24] = {0};
            assert_true(gw_mysql_row_get(&at, end, &bytes, &len) && len < sizeof id);
            memcpy(id, bytes, len);
            out->seen[strtoul(id, NULL, 10)] = 1;
            assert_true(gw_mysql_row_get(&at, end, &bytes, &len));
        }
    }
    MUST(reading->end(reader, &err));
}

/* Which transaction inserted each id; a stream that has to be opened anew is, behind its last commit. */
static void read_log(struct maria_world *w, struct gw_position from, uint64_t *transaction_of)
{
    struct gw_error err = {0};
    struct gw_stream *stream = NULL;
    gw_autofree uint64_t *open = gw_calloc(1000, sizeof *open);
    size_t open_count = 0;
    uint64_t number = 0;
    bool over = false;
    int64_t deadline_us = gw_mono_us() + LONG_ENOUGH_US;
    MUST(w->store->type->changes->signal(w->store, "marker:end", &err));
    while (!over) {
        struct gw_change change;
        bool got = false;
        assert_true(gw_mono_us() < deadline_us);
        if (!stream)
            MUST(w->store->type->changes->open(w->store, &w->schema, &from, &stream, &err));
        if (!w->store->type->changes->next(stream, 100, &change, &got, &err)) {
            assert_int_equal(err.kind, GW_ERR_RETRY);
            w->store->type->changes->close(stream);
            stream = NULL;
            continue;
        }
        if (!got)
            continue;
        if (change.kind == GW_CHANGE_BEGIN) {
            assert_true(change.transaction >= number);
            assert_int_equal(change.position.order, change.transaction);
            number = change.transaction;
            open_count = 0;
        } else if (change.kind == GW_CHANGE_INSERT) {
            char id[24] = {0};
            memcpy(id, change.row.values[0].bytes, change.row.values[0].len);
            assert_true(open_count < 1000);
            open[open_count++] = strtoull(id, NULL, 10);
        } else if (change.kind == GW_CHANGE_COMMIT) {
            assert_true(change.position.order > number);
            for (size_t i = 0; i < open_count; i++) {
                assert_int_equal(transaction_of[open[i]], 0); /* not told before */
                transaction_of[open[i]] = number;
            }
            from = change.position;
        }
        over = change.kind == GW_CHANGE_SIGNAL;
    }
    w->store->type->changes->close(stream);
}

static void check_against(const struct writing *writings, const struct snapshot *snapshots,
                          const uint64_t *transaction_of)
{
    size_t kept = 0, between = 0, wrong = 0;
    for (unsigned n = 0; n < WRITERS; n++)
        for (unsigned i = 0; i < writings[n].used; i++) {
            size_t id = n * PER_WRITER + i;
            assert_int_equal(transaction_of[id] != 0, writings[n].kept[i]);
            kept += writings[n].kept[i];
            for (unsigned s = 0; s < SNAPSHOTS; s++) {
                bool saw = writings[n].kept[i] && gw_mark_saw(&snapshots[s].mark, transaction_of[id]);
                if (saw != (snapshots[s].seen[id] != 0)) {
                    print_error("id %zu of transaction %llx, mark %llx: %s\n", id,
                                (unsigned long long)transaction_of[id], (unsigned long long)snapshots[s].mark.low,
                                saw ? "not seen" : "seen");
                    wrong++;
                }
                between += s > 0 && saw && !gw_mark_saw(&snapshots[s - 1].mark, transaction_of[id]);
            }
        }
    print_message("%zu rows, %zu first seen by a later snapshot\n", kept, between);
    assert_int_equal(wrong, 0);
    assert_true(kept > 50 && between > 20);
}

static void run(struct maria_world *w, const char *columns)
{
    struct gw_error err = {0};
    struct writing writings[WRITERS] = {0};
    struct snapshot snapshots[SNAPSHOTS] = {0};
    struct gw_reader *reader = NULL;
    struct gw_position start;
    char barrier[240];
    atomic_bool stop = false;
    maria_dof(w->admin, "CREATE TABLE t (%s)", columns);
    maria_world_list(w);
    MUST(w->store->type->changes->prepare(w->store, &w->schema, &start, barrier, &err));
    for (unsigned n = 0; n < WRITERS; n++) {
        writings[n] = (struct writing){.w = w, .number = n, .stop = &stop, .kept = gw_zalloc(PER_WRITER)};
        assert_int_equal(pthread_create(&writings[n].thread, NULL, write_main, &writings[n]), 0);
    }
    MUST(w->store->type->reader->open(w->store, &reader, &err));
    for (unsigned s = 0; s < SNAPSHOTS; s++) {
        if (s % 40 == 39)
            maria_do(w->admin, "FLUSH BINARY LOGS");
        take_snapshot(w, reader, &snapshots[s]);
    }
    atomic_store(&stop, true);
    for (unsigned n = 0; n < WRITERS; n++)
        pthread_join(writings[n].thread, NULL);
    w->store->type->reader->close(reader);
    gw_autofree uint64_t *transaction_of = gw_calloc(WRITERS * PER_WRITER, sizeof *transaction_of);
    read_log(w, start, transaction_of);
    check_against(writings, snapshots, transaction_of);
    for (unsigned s = 0; s < SNAPSHOTS; s++) {
        gw_mark_release(&snapshots[s].mark);
        free(snapshots[s].seen);
    }
    for (unsigned n = 0; n < WRITERS; n++)
        free(writings[n].kept);
}

static void a_mark_says_exactly_what_its_snapshot_saw(void **state)
{
    NEEDS_MARIADB(state);
    run(*state, "id int PRIMARY KEY, v varchar(10)");
}

/* Commits wait for each other, so that many are written at once. */
static void so_it_does_when_commits_come_in_groups(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    maria_do(w->admin, "SET GLOBAL binlog_commit_wait_count = 3, GLOBAL binlog_commit_wait_usec = 5000");
    run(w, "id int PRIMARY KEY, v varchar(10)");
    maria_do(w->admin, "SET GLOBAL binlog_commit_wait_count = 0, GLOBAL binlog_commit_wait_usec = 100000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MARIA_TEST(a_mark_says_exactly_what_its_snapshot_saw),
        MYSQL_TEST(a_mark_says_exactly_what_its_snapshot_saw),
        MARIA_TEST(so_it_does_when_commits_come_in_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
