/* Many threads on one journal, and two processes: every chunk is leased to one worker, every write is there. */
#include "gw_test.h"

#include "state/state.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define CHUNKS 400
#define WORKERS 6

struct shared {
    struct gw_state *state;
    atomic_int leased[CHUNKS + 1];
    atomic_int failed;
};

struct worker {
    struct shared *shared;
    char name[16];
    pthread_t thread;
};

static struct gw_state *open_journal(const char *folder, bool exclusive)
{
    struct gw_error err = {0};
    struct gw_state *state;
    struct gw_state_options options = {.folder = folder, .migration = "acme", .create = true, .exclusive = exclusive};
    MUST(gw_state_open(&options, &state, &err));
    return state;
}

static void prepare(struct gw_state *state)
{
    struct gw_error err = {0};
    struct gw_column id = {.name = "id", .type = "bigint"};
    struct gw_collection big = {
        .space = "public", .name = "big", .column_count = 1, .columns = &id, .key_kind = GW_KEY_NONE};
    struct gw_schema schema = {.count = 1, .collections = &big};
    struct gw_range range = {0};
    uint64_t chunk;
    MUST(gw_state_put_schema(state, &schema, &err));
    for (int i = 0; i < CHUNKS; i++)
        MUST(gw_state_add_chunk(state, 0, &range, &chunk, &err));
    assert_int_equal(chunk, CHUNKS);
}

static bool work_once(struct worker *worker, bool *more, struct gw_error *err)
{
    struct gw_state *state = worker->shared->state;
    struct gw_chunk chunk;
    struct gw_mark mark = {.low = 5, .high = 5};
    if (!gw_state_lease_chunk(state, worker->name, 60000, &chunk, more, err) || !*more)
        return !err->message[0];
    uint64_t id = chunk.id;
    gw_chunk_release(&chunk);
    atomic_fetch_add(&worker->shared->leased[id], 1);
    if (!gw_state_extend_lease(state, id, worker->name, 60000, err) ||
        !gw_state_chunk_loaded(state, id, &mark, 10, 100, err))
        return false;
    return id % 40 != 0 || gw_state_event(state, "chunk", worker->name, err);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct gw_error err = {0};
    bool more = true;
    while (more)
        if (!work_once(worker, &more, &err)) {
            atomic_fetch_add(&worker->shared->failed, 1);
            break;
        }
    return NULL;
}

/* Reads while the others write: the totals only grow, and are never half of a chunk. */
static void *watch(void *arg)
{
    struct worker *worker = arg;
    struct gw_error err = {0};
    struct gw_load_totals totals = {0};
    uint64_t before = 0;
    while (before < CHUNKS && !atomic_load(&worker->shared->failed)) {
        if (!gw_state_load_totals(worker->shared->state, &totals, &err) || totals.chunks_loaded < before ||
            totals.rows_loaded != totals.chunks_loaded * 10) {
            atomic_fetch_add(&worker->shared->failed, 1);
            break;
        }
        before = totals.chunks_loaded;
    }
    return NULL;
}

/* A failing write among good ones takes none of them with it. */
static void *fail_often(void *arg)
{
    struct worker *worker = arg;
    struct gw_mark mark = {0};
    for (int i = 0; i < 200; i++) {
        struct gw_error err = {0};
        if (gw_state_chunk_loaded(worker->shared->state, 1000000, &mark, 0, 0, &err) || err.kind != GW_ERR_BUG)
            atomic_fetch_add(&worker->shared->failed, 1);
    }
    return NULL;
}

static void every_chunk_is_leased_to_one_worker(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    static struct shared shared;
    struct worker workers[WORKERS + 2];
    struct gw_error err = {0};
    struct gw_load_totals totals;
    shared.state = open_journal(dir, true);
    prepare(shared.state);
    for (int i = 0; i < WORKERS + 2; i++) {
        workers[i].shared = &shared;
        snprintf(workers[i].name, sizeof workers[i].name, "w%d", i);
        void *(*const main)(void *) = i < WORKERS ? work : i == WORKERS ? watch : fail_often;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, main, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS + 2; i++)
        pthread_join(workers[i].thread, NULL);
    assert_int_equal(shared.failed, 0);
    for (int i = 1; i <= CHUNKS; i++)
        assert_int_equal(shared.leased[i], 1);
    MUST(gw_state_load_totals(shared.state, &totals, &err));
    assert_int_equal(totals.chunks_loaded, CHUNKS);
    gw_state_close(shared.state);
    gw_test_rmdir(dir);
}

static void two_processes_write_to_one_journal(void **unused)
{
    (void)unused;
    char *dir = gw_test_mkdir();
    gw_state_close(open_journal(dir, true));
    fflush(NULL);
    pid_t child = fork();
    struct gw_state *state = open_journal(dir, false);
    for (int i = 0; i < 100; i++) {
        struct gw_error err = {0};
        if (!gw_state_event(state, child ? "parent" : "child", "x", &err)) {
            fprintf(stderr, "%s\n", err.message);
            if (child == 0)
                _exit(1);
            fail();
        }
    }
    gw_state_close(state);
    if (child == 0)
        _exit(0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct gw_error err = {0};
    json_t *events;
    state = open_journal(dir, false);
    MUST(gw_state_events(state, 0, &events, &err));
    assert_int_equal(json_array_size(events), 200);
    json_decref(events);
    gw_state_close(state);
    gw_test_rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chunk_is_leased_to_one_worker),
        cmocka_unit_test(two_processes_write_to_one_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
