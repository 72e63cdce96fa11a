/*
 * What the demo found: the clients' own record held against the databases, and the table at its end.
 */
#ifndef GW_DEMO_SCORE_H
#define GW_DEMO_SCORE_H

#include "demo/clients.h"
#include "demo/servers.h"

#include <jansson.h>

enum { GW_DEMO_STAGES_MAX = 12 };
struct gw_demo_stage { /* a mark in the picture and a line in the table */
    char name[32];
    int64_t began_us, ended_us; /* on the clients' time axis */
    int64_t worst_us;           /* the slowest request that ended in it */
    double pause_ms;            /* switch and rollback: what godwit measured; 0 otherwise */
};

struct gw_demo_score {
    uint64_t transactions, failed, acknowledged, lost, duplicated;
    int64_t longest_us; /* the slowest request of all */
    double longest_pause_ms;
    long long rows_compared, differences;
    bool money_kept; /* the sum of all balances is what it was */
    char verdict[16];
    struct gw_demo_stage stages[GW_DEMO_STAGES_MAX];
    size_t stage_count;
};

/* Looks for every acknowledged row on both sides, and counts the money. The clients have stopped. */
GW_MUST_CHECK bool gw_demo_score_take(struct gw_demo_score *score, const struct gw_demo_servers *servers,
                                      struct gw_demo_clients *clients, struct gw_error *err);
bool gw_demo_score_clean(const struct gw_demo_score *score); /* 0 failed, 0 lost, 0 duplicated, 0 differences */
void gw_demo_score_print(const struct gw_demo_score *score, const struct gw_demo_servers *servers, struct gw_buf *out);
json_t *gw_demo_score_json(const struct gw_demo_score *score, const struct gw_demo_servers *servers);

/* The chart: client latency and throughput over time, stages marked. */
GW_MUST_CHECK bool gw_demo_picture_write(const char *path, const struct gw_demo_score *score,
                                         struct gw_demo_clients *clients, struct gw_error *err);

#endif
