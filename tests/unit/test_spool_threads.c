/* One thread appends, one reads and trims, one syncs: at once, over many small segments. */
#include "spool_kit.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>

#define TRANSACTIONS 4000

struct shared {
    struct gw_spool *spool;
    atomic_bool done;
    atomic_bool failed;
    struct gw_error err;
};

/* Asserts may not be used outside the test's own thread. */
static bool append_when_there_is_room(struct shared *shared, uint64_t n, uint64_t i)
{
    struct gw_value values[2];
    unsigned char bytes[256];
    struct gw_change change = kit_event(n, i, values, bytes);
    bool full = true;
    for (;;) {
        if (!gw_spool_append(shared->spool, &change, &full, &shared->err))
            return false;
        if (!full)
            return true;
        gw_sleep_us(200); /* where a receiver keeps answering its source: here there is none */
    }
}

static bool append_transaction(struct shared *shared, uint64_t n)
{
    if (kit_hash(n, 80) % 10 == 0) /* the stream breaks inside the transaction and sends it again */
        if (!append_when_there_is_room(shared, n, 0) || !gw_spool_cut(shared->spool, &shared->err))
            return false;
    for (uint64_t i = 0; i < kit_events(n) + 2; i++)
        if (!append_when_there_is_room(shared, n, i))
            return false;
    return true;
}

static void *append_all(void *arg)
{
    struct shared *shared = arg;
    for (uint64_t n = 0; n < TRANSACTIONS; n++)
        if (!append_transaction(shared, n)) {
            atomic_store(&shared->failed, true);
            break;
        }
    return NULL;
}

static void *sync_until_done(void *arg)
{
    struct shared *shared = arg;
    struct gw_error err = {0};
    struct gw_position safe, before = {0};
    while (!atomic_load(&shared->done)) {
        if (!gw_spool_sync(shared->spool, &safe, &err) || safe.order < before.order) {
            atomic_store(&shared->failed, true);
            return NULL;
        }
        before = safe;
        (void)gw_spool_bytes(shared->spool);
        (void)gw_spool_unread_bytes(shared->spool);
        gw_sleep_us(500);
    }
    return NULL;
}

static void read_all(struct shared *shared)
{
    struct gw_error err = {0};
    struct gw_spool_reader *reader;
    struct gw_position from = {0};
    struct gw_change change;
    bool got;
    MUST(gw_spool_reader_open(shared->spool, &from, &reader, &err));
    uint64_t n = 0, i = 0;
    while (n < TRANSACTIONS) {
        MUST(gw_spool_next(reader, 20000, &change, &got, &err));
        assert_true(got);
        kit_assert_event(&change, n, i++);
        if (change.kind != GW_CHANGE_COMMIT)
            continue;
        if (kit_hash(n, 81) % 8 == 0)
            MUST(gw_spool_trim(shared->spool, &change.position, &err));
        n++;
        i = 0;
    }
    assert_false(gw_spool_ready(reader));
    gw_spool_reader_close(reader);
}

static void run(int64_t segment_bytes, int64_t limit_bytes)
{
    char *dir = gw_test_mkdir();
    pthread_t appender, syncer;
    struct shared shared = {.spool = kit_open(dir, segment_bytes, limit_bytes)};
    assert_int_equal(pthread_create(&appender, NULL, append_all, &shared), 0);
    assert_int_equal(pthread_create(&syncer, NULL, sync_until_done, &shared), 0);
    read_all(&shared);
    pthread_join(appender, NULL);
    atomic_store(&shared.done, true);
    pthread_join(syncer, NULL);
    if (shared.failed)
        print_error("%s\n", shared.err.message);
    assert_false(shared.failed);
    gw_spool_close(shared.spool);
    gw_test_rmdir(dir);
}

static void appender_reader_and_syncer_agree(void **state)
{
    (void)state;
    run(0, 0);
}

static void they_agree_over_small_segments(void **state)
{
    (void)state;
    run(2000, 0);
}

static void they_agree_while_the_spool_is_often_full(void **state)
{
    (void)state;
    run(4000, 60000);
}

static void a_reader_gives_up_when_its_time_is_over(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    struct gw_spool *spool = kit_open(dir, 0, 0);
    struct gw_spool_reader *reader;
    struct gw_position from = {0};
    struct gw_change change;
    bool got = true;
    MUST(gw_spool_reader_open(spool, &from, &reader, &err));
    int64_t began_us = gw_mono_us();
    MUST(gw_spool_next(reader, 30, &change, &got, &err));
    assert_false(got);
    assert_in_range(gw_mono_us() - began_us, 29000, 20000000);
    gw_spool_reader_close(reader);
    gw_spool_close(spool);
    gw_test_rmdir(dir);
}

int main(void)
{
    if (access("/dev/shm", W_OK) == 0) /* thousands of syncs */
        setenv("TMPDIR", "/dev/shm", 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appender_reader_and_syncer_agree),
        cmocka_unit_test(they_agree_over_small_segments),
        cmocka_unit_test(they_agree_while_the_spool_is_often_full),
        cmocka_unit_test(a_reader_gives_up_when_its_time_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
