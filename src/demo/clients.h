/*
 * The live workload: clients that go through the gate, never stop, and write down every ledger row that was
 * acknowledged. Each moves money between two accounts with its ledger row in one transaction, or places or changes an
 * order.
 */
#ifndef GW_DEMO_CLIENTS_H
#define GW_DEMO_CLIENTS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct gw_demo_clients;

enum { GW_DEMO_BIN_MS = 100, GW_DEMO_BINS = 3000 };
struct gw_demo_bin { /* what ended in one tenth of a second */
    uint32_t transactions, failed;
    int64_t worst_us;
};

/* The servers are borrowed for life. */
struct gw_demo_servers;
GW_MUST_CHECK bool gw_demo_clients_start(const struct gw_demo_servers *servers, int count, int per_second,
                                         struct gw_demo_clients **out, struct gw_error *err);
void gw_demo_clients_stop(struct gw_demo_clients *clients); /* joins; keeps what was measured */
void gw_demo_clients_free(struct gw_demo_clients *clients); /* NULL is fine; stops */

uint64_t gw_demo_clients_transactions(struct gw_demo_clients *clients);
uint64_t gw_demo_clients_failed(struct gw_demo_clients *clients);
/* The first failure in the server's words; "" when there is none. */
const char *gw_demo_clients_failure(struct gw_demo_clients *clients);
/* The worst latency since the last call. */
int64_t gw_demo_clients_take_worst_us(struct gw_demo_clients *clients);
int64_t gw_demo_clients_elapsed_us(struct gw_demo_clients *clients); /* since the start: the chart's time axis */

/* After stop: the acknowledged ledger ids, sorted; borrowed. */
const uint64_t *gw_demo_clients_acknowledged(struct gw_demo_clients *clients, size_t *count);
const struct gw_demo_bin *gw_demo_clients_bins(struct gw_demo_clients *clients, size_t *count);

#endif
