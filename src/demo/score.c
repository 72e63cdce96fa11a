#include "demo/score.h"

#include "base/file.h"
#include "base/mem.h"
#include "demo/kind.h"

#include <stdlib.h>

/* Both lists are sorted; a row of the clients that is not in the table is lost. */
static bool count_lost(const struct gw_demo_servers *servers, int side, const uint64_t *wanted, size_t count,
                       uint64_t *lost, uint64_t *duplicated, struct gw_error *err)
{
    uint64_t *ids = NULL, previous = 0;
    size_t at = 0, total = 0;
    bool ok = servers->kind->ledger(servers, side, &ids, &total, err);
    for (size_t i = 0; ok && i < count; i++) {
        while (at < total && ids[at] < wanted[i])
            at++;
        if (at == total || ids[at] != wanted[i])
            ++*lost;
    }
    for (size_t i = 0; ok && i < total; i++) {
        *duplicated += ids[i] == previous;
        previous = ids[i];
    }
    free(ids);
    return ok;
}

bool gw_demo_score_take(struct gw_demo_score *score, const struct gw_demo_servers *servers,
                        struct gw_demo_clients *clients, struct gw_error *err)
{
    size_t count;
    const uint64_t *wanted = gw_demo_clients_acknowledged(clients, &count);
    score->transactions = gw_demo_clients_transactions(clients);
    score->failed = gw_demo_clients_failed(clients);
    score->acknowledged = count;
    score->money_kept = true;
    for (int side = 0; side < 2; side++) {
        bool kept = false;
        if (!count_lost(servers, side, wanted, count, &score->lost, &score->duplicated, err) ||
            !servers->kind->money(servers, side, &kept, err))
            return false;
        score->money_kept = score->money_kept && kept;
    }
    for (size_t i = 0; i < score->stage_count; i++) {
        if (score->stages[i].worst_us > score->longest_us)
            score->longest_us = score->stages[i].worst_us;
        if (score->stages[i].pause_ms > score->longest_pause_ms)
            score->longest_pause_ms = score->stages[i].pause_ms;
    }
    return true;
}

bool gw_demo_score_clean(const struct gw_demo_score *score)
{
    return score->failed == 0 && score->lost == 0 && score->duplicated == 0 && score->differences == 0 &&
           score->money_kept && score->acknowledged > 0 && score->rows_compared > 0;
}

void gw_demo_score_print(const struct gw_demo_score *score, const struct gw_demo_servers *servers, struct gw_buf *out)
{
    gw_buf_adds(out, "\n  ");
    servers->kind->title(servers, out);
    gw_buf_adds(out, "\n\n");
    gw_buf_addf(out, "  transactions          %10llu\n", (unsigned long long)score->transactions);
    gw_buf_addf(out, "  failed                %10llu\n", (unsigned long long)score->failed);
    gw_buf_addf(out, "  acknowledged rows     %10llu   looked for on both sides at the end\n",
                (unsigned long long)score->acknowledged);
    gw_buf_addf(out, "  lost                  %10llu\n", (unsigned long long)score->lost);
    gw_buf_addf(out, "  duplicated            %10llu\n", (unsigned long long)score->duplicated);
    gw_buf_addf(out, "  longest pause         %7.0f ms   parked at the gate, all of it between requests\n",
                score->longest_pause_ms);
    gw_buf_addf(out, "  slowest request       %7.0f ms\n", (double)score->longest_us / 1e3);
    gw_buf_addf(out, "  rows compared         %10lld   verdict %s\n", score->rows_compared, score->verdict);
    gw_buf_addf(out, "  differences           %10lld\n", score->differences);
    gw_buf_addf(out, "  sum of all balances   %10s\n\n", score->money_kept ? "kept" : "CHANGED");
    for (size_t i = 0; i < score->stage_count; i++) {
        const struct gw_demo_stage *stage = &score->stages[i];
        gw_buf_addf(out, "  %-21s %8.1f s   slowest request %4.0f ms", stage->name,
                    (double)(stage->ended_us - stage->began_us) / 1e6, (double)stage->worst_us / 1e3);
        if (stage->pause_ms > 0)
            gw_buf_addf(out, ", pause %.0f ms", stage->pause_ms);
        gw_buf_addc(out, '\n');
    }
}

json_t *gw_demo_score_json(const struct gw_demo_score *score, const struct gw_demo_servers *servers)
{
    json_t *stages = json_array();
    for (size_t i = 0; i < score->stage_count; i++) {
        const struct gw_demo_stage *stage = &score->stages[i];
        json_array_append_new(stages, json_pack("{s:s, s:f, s:f, s:f}", "stage", stage->name, "seconds",
                                                (double)(stage->ended_us - stage->began_us) / 1e6, "slowest_ms",
                                                (double)stage->worst_us / 1e3, "pause_ms", stage->pause_ms));
    }
    gw_autobuf struct gw_buf moved = {0};
    servers->kind->title(servers, &moved);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:s, s:b, s:o}", "moved",
                     gw_buf_text(&moved), "postgresql", servers->version, "pgbouncer", servers->pgbouncer_version,
                     "transactions", (json_int_t)score->transactions, "failed", (json_int_t)score->failed,
                     "acknowledged", (json_int_t)score->acknowledged, "lost", (json_int_t)score->lost, "duplicated",
                     (json_int_t)score->duplicated, "longest_pause_ms", score->longest_pause_ms, "slowest_request_ms",
                     (double)score->longest_us / 1e3, "rows_compared", (json_int_t)score->rows_compared, "differences",
                     (json_int_t)score->differences, "verdict", score->verdict, "money_kept", score->money_kept,
                     "stages", stages);
}
