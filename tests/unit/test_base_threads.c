/* What threads share: the queue and the cancel token. */
#include "gw_test.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define PRODUCERS 3
#define CONSUMERS 2
#define ITEMS 20000

struct item {
    int producer, number;
    size_t bytes;
};

struct shop {
    struct gw_queue *queue;
    atomic_long taken[PRODUCERS];
    atomic_int too_many_bytes;
    atomic_int producer;
};

static void *produce(void *arg)
{
    struct shop *shop = arg;
    int me = atomic_fetch_add(&shop->producer, 1);
    for (int i = 1; i <= ITEMS; i++) {
        struct item *item = malloc(sizeof *item);
        *item = (struct item){.producer = me, .number = i, .bytes = (size_t)(i % 100)};
        if (i == ITEMS / 2)
            item->bytes = 5000; /* more than the whole bound */
        if (!gw_queue_push(shop->queue, item, item->bytes)) {
            free(item);
            return (void *)1;
        }
    }
    return NULL;
}

static void *consume(void *arg)
{
    struct shop *shop = arg;
    bool closed = false;
    int last[PRODUCERS] = {0};
    while (!closed) {
        size_t bytes = gw_queue_bytes(shop->queue);
        if (bytes > 1000 && bytes != 5000)
            atomic_fetch_add(&shop->too_many_bytes, 1);
        struct item *item = gw_queue_pop(shop->queue, 50, &closed);
        if (!item)
            continue;
        if (item->number <= last[item->producer])
            atomic_fetch_add(&shop->too_many_bytes, 1000000); /* out of order */
        last[item->producer] = item->number;
        atomic_fetch_add(&shop->taken[item->producer], item->number);
        free(item);
    }
    return NULL;
}

static void queue_carries_all_in_order_within_its_bound(void **state)
{
    (void)state;
    struct shop shop = {.queue = gw_queue_new(1000)};
    pthread_t producers[PRODUCERS];
    pthread_t consumers[CONSUMERS];
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(pthread_create(&producers[i], NULL, produce, &shop), 0);
    for (int i = 0; i < CONSUMERS; i++)
        assert_int_equal(pthread_create(&consumers[i], NULL, consume, &shop), 0);
    for (int i = 0; i < PRODUCERS; i++) {
        void *failed;
        pthread_join(producers[i], &failed);
        assert_null(failed);
    }
    gw_queue_close(shop.queue);
    for (int i = 0; i < CONSUMERS; i++)
        pthread_join(consumers[i], NULL);
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(shop.taken[i], (long)ITEMS * (ITEMS + 1) / 2);
    assert_int_equal(shop.too_many_bytes, 0);
    assert_int_equal(gw_queue_bytes(shop.queue), 0);
    gw_queue_free(shop.queue, free);
}

static void *push_one(void *arg)
{
    static int item;
    return gw_queue_push(arg, &item, 10) ? (void *)1 : NULL;
}

static void close_wakes_producers_and_drains(void **state)
{
    (void)state;
    struct gw_queue *queue = gw_queue_new(10);
    pthread_t waiting;
    void *pushed;
    bool closed = true;
    int64_t before = gw_mono_us();
    assert_null(gw_queue_pop(queue, 20, &closed));
    assert_false(closed);
    assert_true(gw_mono_us() - before >= 20000);
    assert_null(gw_queue_pop(queue, 0, &closed));
    assert_true(gw_queue_push(queue, strdup("first"), 10));
    assert_int_equal(pthread_create(&waiting, NULL, push_one, queue), 0);
    gw_queue_close(queue);
    pthread_join(waiting, &pushed);
    assert_null(pushed);
    char *item = gw_queue_pop(queue, -1, &closed);
    assert_string_equal(item, "first");
    free(item);
    assert_false(closed);
    assert_null(gw_queue_pop(queue, -1, &closed));
    assert_true(closed);
    gw_queue_free(queue, free);
}

static void *ask_later(void *arg)
{
    gw_sleep_us(20000);
    gw_cancel_ask(arg, SIGTERM);
    gw_cancel_ask(arg, SIGINT);
    return NULL;
}

static void cancel_wakes_and_keeps_the_first_reason(void **state)
{
    (void)state;
    struct gw_error err;
    struct gw_cancel cancel;
    pthread_t asker;
    MUST(gw_cancel_init(&cancel, &err));
    assert_false(gw_cancel_wait(&cancel, 5));
    assert_false(gw_cancel_asked(NULL));
    assert_false(gw_cancel_wait(NULL, 1));
    assert_int_equal(pthread_create(&asker, NULL, ask_later, &cancel), 0);
    int64_t before = gw_mono_us();
    assert_true(gw_cancel_wait(&cancel, 60000));
    assert_true(gw_mono_us() - before < 30000000);
    pthread_join(asker, NULL);
    assert_true(gw_cancel_wait(&cancel, 60000)); /* stays so */
    assert_false(gw_cancel_fail(&cancel, &err));
    assert_string_equal(err.message, "stopped by SIGTERM");
    assert_int_equal(err.kind, GW_ERR_CANCELLED);
    gw_cancel_release(&cancel);
}

#ifdef GW_CRASH_POINTS
static void count_points(const char *name, void *arg)
{
    if (strcmp(name, "test.base.here") == 0)
        ++*(int *)arg;
}

static void reach(void)
{
    GW_CRASH_POINT("test.base.here");
}

static int child_reaches(int times)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("GODWIT_CRASH_AT", "test.base.here:3", 1);
        for (int i = 0; i < times; i++)
            reach();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void crash_point_kills_at_the_nth_time(void **state)
{
    (void)state;
    int listed = 0;
    gw_crash_each(count_points, &listed);
    assert_int_equal(listed, 1);
    assert_true(WIFEXITED(child_reaches(2)));
    int status = child_reaches(3);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void hold_point_waits_until_let_go(void **state)
{
    (void)state;
    char *dir = gw_test_mkdir();
    struct gw_error err = {0};
    gw_autofree char *hold = gw_asprintf("%s/hold", dir);
    gw_autofree char *reached = gw_asprintf("%s.reached", hold);
    gw_autofree char *setting = gw_asprintf("test.base.here=%s", hold);
    MUST(gw_file_replace(hold, "", 0, &err));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("GODWIT_HOLD_AT", setting, 1);
        reach();
        _exit(7);
    }
    int64_t deadline_us = gw_mono_us() + 20000000;
    while (!gw_file_exists(reached) && gw_left_ms(deadline_us) > 0)
        gw_sleep_us(1000);
    assert_true(gw_file_exists(reached));
    int status;
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    unlink(hold);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    gw_test_rmdir(dir);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_carries_all_in_order_within_its_bound),
        cmocka_unit_test(close_wakes_producers_and_drains),
        cmocka_unit_test(cancel_wakes_and_keeps_the_first_reason),
#ifdef GW_CRASH_POINTS
        cmocka_unit_test(crash_point_kills_at_the_nth_time),
        cmocka_unit_test(hold_point_waits_until_let_go),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
