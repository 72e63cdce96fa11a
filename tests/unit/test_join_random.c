/*
 * Copy and follow under random writers, with lost connections, crashes of the target and restarts of our own: the
 * two sides end up equal, whatever the order in which things become visible. Each seed is a world of its own.
 * GODWIT_SEEDS sets how many (default a few hundred in all), GODWIT_SEED the first.
 */
#include "join_world.h"

static uint64_t first_seed(void)
{
    const char *text = getenv("GODWIT_SEED");
    return text ? strtoull(text, NULL, 10) : 1;
}

static unsigned seed_count(unsigned share)
{
    const char *text = getenv("GODWIT_SEEDS");
    unsigned all = text ? (unsigned)strtoul(text, NULL, 10) : 100;
    return all * share / 100 > 0 ? all * share / 100 : 1;
}

enum trouble { NO_TROUBLE = 0, FAULTS = 1, CRASHES = 2, RESTARTS = 4, BACK = 8 };

static void set_faults(struct world *w, bool on, uint64_t seed)
{
    static const char *const blue_rules = "reader.next:p60=retry,reader.begin:p40=retry,reader.split:p40=retry,"
                                          "reader.end:p60=retry,changes.next:p300=retry,changes.locate:p30=retry,"
                                          "changes.open:p4=refused,reader.refetch:p5=retry";
    static const char *const green_rules =
        "writer.put:p60=retry,writer.commit_chunk:p30=cut,writer.begin_chunk:p40=retry,"
        "writer.commit:p20=cut,writer.apply:p100=retry,"
        "writer.commit:p50=retry,writer.begin:p80=retry,schema.create_key:p4=retry,"
        "writer.position:p8=retry,writer.await:p40=cut,writer.await:p60=retry";
    gw_fault_seed(w->blue, seed);
    gw_fault_seed(w->green, seed + 1);
    WORLD_OK(gw_fault_set(w->blue, on ? blue_rules : "", &err));
    WORLD_OK(gw_fault_set(w->green, on ? green_rules : "", &err));
}

struct disturber {
    struct world *w;
    struct rng rng;
    unsigned trouble;
    atomic_bool stop;
    pthread_t thread;
};

static void *disturb(void *arg)
{
    struct disturber *d = arg;
    while (!atomic_load(&d->stop)) {
        gw_sleep_us(500 + rng_below(&d->rng, 16000));
        unsigned what = rng_below(&d->rng, 6);
        if ((d->trouble & CRASHES) && what == 0)
            gw_memory_crash(d->w->green_server, rng_next(&d->rng));
        if ((d->trouble & FAULTS) && what == 1)
            gw_memory_drop_sessions(d->w->blue_server);
        if ((d->trouble & FAULTS) && what == 2)
            gw_memory_drop_sessions(d->w->green_server);
    }
    return NULL;
}

/* Copies, killed by the cancel token every now and then, until it is through. */
static void copy_with_restarts(struct world *w, struct rng *rng, unsigned trouble)
{
    for (int run = 0;; run++) {
        struct gw_copy_options options = world_copy_options(w);
        struct gw_copy_report report;
        struct gw_error err = {0};
        if ((trouble & RESTARTS) && run < 6)
            WORLD_OK(gw_fault_set(w->green, "writer.commit_chunk:2=conflict", &err));
        bool ok = gw_copy_rows(&options, &report, &err);
        if (ok)
            return;
        if (err.kind != GW_ERR_CONFLICT || run > 40) {
            print_error("copy: %s %s\n", err.message, err.place);
            abort();
        }
        if (trouble & RESTARTS) {
            world_restart(w);
            world_follow(w);
        }
        set_faults(w, trouble & FAULTS, rng_next(rng));
    }
}

static void restart_follow(struct world *w, struct rng *rng, unsigned trouble)
{
    if (rng_below(rng, 2))
        gw_memory_crash(w->green_server, rng_next(rng));
    world_restart(w);
    set_faults(w, trouble & FAULTS, rng_next(rng));
    world_follow(w);
    for (int i = 0;; i++) {
        struct gw_error err = {0};
        if (gw_follow_allow_apply(w->follow, w->state, &err))
            return;
        if (err.kind != GW_ERR_RETRY || i > 200) {
            print_error("allow: %s\n", err.message);
            abort();
        }
    }
}

static void go_back(struct world *w, struct rng *rng)
{
    struct gw_position start;
    char barrier[240];
    WORLD_OK(w->green->type->changes->prepare(w->green, &w->schema, &start, barrier, &err));
    struct gw_follow_options options = world_follow_options(w, false);
    WORLD_OK(gw_follow_start(&options, &w->back, &err));
    WORLD_OK(gw_follow_allow_apply(w->back, NULL, &err));
    world_catch_up(w->follow);
    world_catch_up(w->back);
    gw_follow_set_source_owns(w->follow, false);
    gw_follow_set_source_owns(w->back, true);
    struct writer writer;
    writer_init(&writer, w->green_server, rng_next(rng));
    writer_run(&writer, 800);
    world_catch_up(w->back);
    world_catch_up(w->follow);
}

static void check_end(struct world *w, uint64_t seed)
{
    bool equal = world_equal(w);
    size_t quarantined = world_quarantined(w, true);
    if (!equal || quarantined > 0) {
        struct gw_follow_status s;
        gw_follow_status(w->follow, &s);
        print_error("seed %llu: equal %d, quarantined %zu, blocked \"%s\"\n", (unsigned long long)seed, equal,
                    quarantined, s.blocked);
        abort();
    }
}

static void run_seed(uint64_t seed, unsigned trouble)
{
    struct rng rng = {seed * 7919 + trouble};
    struct world *w = world_new("random");
    gw_memory_chaos(w->blue_server, seed, 20 + rng_below(&rng, 200));
    gw_memory_chaos(w->green_server, seed + 1, 20 + rng_below(&rng, 200));
    w->batch_rows = 1 + rng_below(&rng, 60);
    w->chunk_rows = 2 + rng_below(&rng, 20);
    struct writer writer;
    writer_init(&writer, w->blue_server, seed);
    writer.keys = 10 + rng_below(&rng, 60);
    writer.pace_us = 20 + rng_below(&rng, 3) * 50;
    writer_run(&writer, 400);
    writer_start(&writer);
    world_prepare(w);
    struct disturber d = {.w = w, .rng = {seed + 99}, .trouble = trouble};
    set_faults(w, trouble & FAULTS, seed);
    world_follow(w);
    assert_int_equal(pthread_create(&d.thread, NULL, disturb, &d), 0);
    copy_with_restarts(w, &rng, trouble);
    restart_follow(w, &rng, trouble);
    world_wait_past_marks(w);
    for (unsigned i = 0; (trouble & RESTARTS) && i < 2; i++)
        restart_follow(w, &rng, trouble);
    atomic_store(&d.stop, true);
    pthread_join(d.thread, NULL);
    set_faults(w, false, 0);
    WORLD_OK(w->green->type->schema->create_indexes(w->green, w->folder, 1, &err));
    gw_sleep_us(rng_below(&rng, 20000));
    writer_stop(&writer);
    world_catch_up(w->follow);
    check_end(w, seed);
    if (trouble & BACK) {
        go_back(w, &rng);
        check_end(w, seed);
    }
    world_free(w);
}

static void run_seeds(unsigned share, unsigned trouble)
{
    for (unsigned i = 0; i < seed_count(share); i++)
        run_seed(first_seed() + i, trouble);
}

static void sides_are_equal_under_random_writers(void **state)
{
    (void)state;
    run_seeds(30, BACK);
}

static void sides_are_equal_when_connections_break(void **state)
{
    (void)state;
    run_seeds(30, FAULTS);
}

static void sides_are_equal_when_the_target_crashes(void **state)
{
    (void)state;
    run_seeds(20, CRASHES);
}

static void sides_are_equal_after_restarts_and_everything_else(void **state)
{
    (void)state;
    run_seeds(20, FAULTS | CRASHES | RESTARTS | BACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sides_are_equal_under_random_writers),
        cmocka_unit_test(sides_are_equal_when_connections_break),
        cmocka_unit_test(sides_are_equal_when_the_target_crashes),
        cmocka_unit_test(sides_are_equal_after_restarts_and_everything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
