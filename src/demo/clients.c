#include "demo/clients.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "demo/kind.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACCOUNTS = 20000, IDS_PER_CLIENT = 100000000 };

struct client {
    struct gw_demo_clients *all;
    pthread_t thread;
    bool started;
    int number;
    uint64_t random, next_id;
    uint64_t *acknowledged;
    size_t count, capacity;
};

struct gw_demo_clients {
    const struct gw_demo_servers *servers;
    int count;
    int64_t began_us, pause_us;
    atomic_bool stop;
    pthread_mutex_t lock; /* guards what is below */
    uint64_t transactions, failed;
    int64_t worst_us;
    char failure[512];
    struct gw_demo_bin bins[GW_DEMO_BINS];
    size_t bin_count;
    uint64_t *acknowledged; /* of all, after stop */
    size_t acknowledged_count;
    struct client clients[];
};

static uint64_t draw(struct client *client, uint64_t below)
{
    client->random ^= client->random << 13; /* xorshift: fast and the same everywhere */
    client->random ^= client->random >> 7;
    client->random ^= client->random << 17;
    return client->random % below;
}

static void record(struct gw_demo_clients *all, int64_t took_us, const char *failure)
{
    pthread_mutex_lock(&all->lock);
    size_t at = (size_t)((gw_mono_us() - all->began_us) / (GW_DEMO_BIN_MS * 1000));
    if (at >= GW_DEMO_BINS)
        at = GW_DEMO_BINS - 1;
    if (at >= all->bin_count)
        all->bin_count = at + 1;
    struct gw_demo_bin *bin = &all->bins[at];
    all->transactions++;
    bin->transactions++;
    if (took_us > bin->worst_us)
        bin->worst_us = took_us;
    if (took_us > all->worst_us)
        all->worst_us = took_us;
    if (failure) {
        if (!all->failed)
            snprintf(all->failure, sizeof all->failure, "%s", failure);
        all->failed++;
        bin->failed++;
    }
    pthread_mutex_unlock(&all->lock);
}

static void acknowledge(struct client *client, uint64_t id)
{
    client->acknowledged = gw_grow(client->acknowledged, &client->capacity, client->count, sizeof id);
    client->acknowledged[client->count++] = id;
}

static void add_money(const struct client *client, struct gw_buf *sql, unsigned cents)
{
    if (client->all->servers->kind->in_cents)
        gw_buf_addf(sql, "%u", cents);
    else
        gw_buf_addf(sql, "%u.%02u", cents / 100, cents % 100);
}

static void add_share(const struct client *client, struct gw_buf *sql, char sign, unsigned cents, uint64_t account)
{
    gw_buf_addf(sql, "UPDATE accounts SET balance = balance %c ", sign);
    add_money(client, sql, cents);
    gw_buf_addf(sql, ", changed = %s WHERE id = %llu;", client->all->servers->kind->now, (unsigned long long)account);
}

/* Money moves, and the ledger says so: all or nothing. The lower account first, so that no two clients deadlock. */
static uint64_t transfer(struct client *client, struct gw_buf *sql)
{
    uint64_t a = 1 + draw(client, ACCOUNTS), b = 1 + draw(client, ACCOUNTS);
    if (a == b)
        b = a % ACCOUNTS + 1;
    uint64_t low = a < b ? a : b, high = a < b ? b : a, id = client->next_id++;
    unsigned cents = 1 + (unsigned)draw(client, 999);
    gw_buf_addf(sql, "%s; ", client->all->servers->kind->begin);
    add_share(client, sql, '-', cents, low);
    add_share(client, sql, '+', cents, high);
    gw_buf_addf(sql, "INSERT INTO ledger (id, source, target, amount) VALUES (%llu, %llu, %llu, ",
                (unsigned long long)id, (unsigned long long)low, (unsigned long long)high);
    add_money(client, sql, cents);
    gw_buf_adds(sql, "); COMMIT");
    return id;
}

static void order(struct client *client, struct gw_buf *sql)
{
    uint64_t account = 1 + draw(client, ACCOUNTS);
    switch (draw(client, 4)) {
    case 0:
        gw_buf_addf(
            sql,
            "UPDATE orders SET state = 'shipped', doc = %s WHERE id = (SELECT id FROM orders WHERE account = %llu AND"
            " state <> 'shipped' LIMIT 1)",
            client->all->servers->kind->shipped, (unsigned long long)account);
        break;
    case 1:
        gw_buf_addf(sql,
                    "DELETE FROM orders WHERE id = (SELECT id FROM orders WHERE account = %llu ORDER BY at LIMIT 1)",
                    (unsigned long long)account);
        break;
    default:
        gw_buf_addf(
            sql,
            "INSERT INTO orders (account, state, doc, total) VALUES (%llu, 'new', '{\"lines\": %llu, \"by\": %d}', "
            "%llu)",
            (unsigned long long)account, (unsigned long long)draw(client, 9), client->number,
            (unsigned long long)draw(client, 500));
    }
}

static void one_transaction(struct client *client, void *session, struct gw_buf *sql)
{
    char why[GW_DEMO_WHY_MAX] = "";
    gw_buf_clear(sql);
    bool is_money = draw(client, 2) == 0;
    uint64_t id = 0;
    if (is_money)
        id = transfer(client, sql);
    else
        order(client, sql);
    int64_t began_us = gw_mono_us();
    bool ok = client->all->servers->kind->run(session, gw_buf_text(sql), why);
    record(client->all, gw_mono_us() - began_us, ok ? NULL : why);
    if (ok && is_money)
        acknowledge(client, id);
}

static void *client_main(void *arg)
{
    struct client *client = arg;
    struct gw_demo_clients *all = client->all;
    const struct gw_demo_kind *kind = all->servers->kind;
    gw_autobuf struct gw_buf sql = {0};
    char why[GW_DEMO_WHY_MAX] = "";
    void *session = kind->connect(all->servers, why);
    if (!session)
        record(all, 0, why);
    int64_t next_us = gw_mono_us() + all->pause_us * client->number / all->count;
    while (!atomic_load(&all->stop) && kind->alive(session)) {
        int64_t wait_us = next_us - gw_mono_us();
        if (wait_us > 0)
            gw_sleep_us(wait_us);
        next_us += all->pause_us;
        one_transaction(client, session, &sql);
    }
    kind->disconnect(session);
    return NULL;
}

bool gw_demo_clients_start(const struct gw_demo_servers *servers, int count, int per_second,
                           struct gw_demo_clients **out, struct gw_error *err)
{
    struct gw_demo_clients *all = gw_zalloc(sizeof *all + (size_t)count * sizeof all->clients[0]);
    all->servers = servers;
    all->count = count;
    all->began_us = gw_mono_us();
    all->pause_us = (int64_t)count * 1000000 / per_second;
    pthread_mutex_init(&all->lock, NULL);
    *out = all;
    for (int i = 0; i < count; i++) {
        struct client *client = &all->clients[i];
        *client = (struct client){.all = all, .number = i, .random = gw_random64() | 1};
        client->next_id = 1 + (uint64_t)i * IDS_PER_CLIENT;
        int failed = pthread_create(&client->thread, NULL, client_main, client);
        if (failed)
            return gw_fail_errno(err, failed, "no thread for a client of the demo");
        client->started = true;
    }
    return true;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void gw_demo_clients_stop(struct gw_demo_clients *all)
{
    atomic_store(&all->stop, true);
    size_t total = 0, at = 0;
    for (int i = 0; i < all->count; i++) {
        if (all->clients[i].started)
            pthread_join(all->clients[i].thread, NULL);
        all->clients[i].started = false;
        total += all->clients[i].count;
    }
    if (all->acknowledged)
        return;
    all->acknowledged = gw_calloc(total + 1, sizeof *all->acknowledged);
    for (int i = 0; i < all->count; i++) {
        for (size_t n = 0; n < all->clients[i].count; n++)
            all->acknowledged[at++] = all->clients[i].acknowledged[n];
    }
    all->acknowledged_count = total;
    qsort(all->acknowledged, total, sizeof *all->acknowledged, by_id);
}

void gw_demo_clients_free(struct gw_demo_clients *all)
{
    if (!all)
        return;
    gw_demo_clients_stop(all);
    for (int i = 0; i < all->count; i++)
        free(all->clients[i].acknowledged);
    pthread_mutex_destroy(&all->lock);
    free(all->acknowledged);
    free(all);
}

uint64_t gw_demo_clients_transactions(struct gw_demo_clients *all)
{
    pthread_mutex_lock(&all->lock);
    uint64_t n = all->transactions;
    pthread_mutex_unlock(&all->lock);
    return n;
}

uint64_t gw_demo_clients_failed(struct gw_demo_clients *all)
{
    pthread_mutex_lock(&all->lock);
    uint64_t n = all->failed;
    pthread_mutex_unlock(&all->lock);
    return n;
}

const char *gw_demo_clients_failure(struct gw_demo_clients *all)
{
    return all->failure;
}

int64_t gw_demo_clients_take_worst_us(struct gw_demo_clients *all)
{
    pthread_mutex_lock(&all->lock);
    int64_t worst_us = all->worst_us;
    all->worst_us = 0;
    pthread_mutex_unlock(&all->lock);
    return worst_us;
}

int64_t gw_demo_clients_elapsed_us(struct gw_demo_clients *all)
{
    return gw_mono_us() - all->began_us;
}

const uint64_t *gw_demo_clients_acknowledged(struct gw_demo_clients *all, size_t *count)
{
    *count = all->acknowledged_count;
    return all->acknowledged;
}

const struct gw_demo_bin *gw_demo_clients_bins(struct gw_demo_clients *all, size_t *count)
{
    *count = all->bin_count;
    return all->bins;
}
