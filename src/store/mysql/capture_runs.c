/* Sets of numbers, as runs. */
#include "store/mysql/capture.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOST_RANGES 32

void gw_mysql_runs_release(struct gw_mysql_runs *runs)
{
    free(runs->items);
    *runs = (struct gw_mysql_runs){0};
}

static void append_run(struct gw_mysql_runs *runs, uint64_t from, uint64_t to)
{
    struct gw_mysql_run *last = runs->count ? &runs->items[runs->count - 1] : NULL;
    if (last && from <= last->to + 1) {
        last->to = to > last->to ? to : last->to;
        return;
    }
    runs->items = gw_grow(runs->items, &runs->capacity, runs->count, sizeof *runs->items);
    runs->items[runs->count++] = (struct gw_mysql_run){from, to};
}

void gw_mysql_runs_append(struct gw_mysql_runs *runs, uint64_t seq)
{
    append_run(runs, seq, seq);
}

void gw_mysql_runs_join(struct gw_mysql_runs *runs, const struct gw_mysql_runs *more)
{
    struct gw_mysql_runs all = {0};
    size_t i = 0, k = 0;
    while (i < runs->count || k < more->count) {
        bool first = k >= more->count || (i < runs->count && runs->items[i].from < more->items[k].from);
        const struct gw_mysql_run *run = first ? &runs->items[i++] : &more->items[k++];
        append_run(&all, run->from, run->to);
    }
    gw_mysql_runs_release(runs);
    *runs = all;
}

bool gw_mysql_runs_have(const struct gw_mysql_runs *runs, uint64_t seq)
{
    size_t low = 0, high = runs->count; /* the runs that begin at or before it */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (runs->items[middle].from <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && runs->items[low - 1].to >= seq;
}

size_t gw_mysql_runs_take(struct gw_mysql_runs *runs, uint64_t *out, size_t most)
{
    size_t taken = 0, through = 0;
    while (taken < most && through < runs->count) {
        struct gw_mysql_run *run = &runs->items[through];
        out[taken++] = run->from;
        if (run->from++ == run->to)
            through++;
    }
    runs->count -= through;
    if (runs->count > 0)
        memmove(runs->items, runs->items + through, runs->count * sizeof *runs->items);
    return taken;
}

void gw_mysql_runs_format(const struct gw_mysql_runs *runs, struct gw_buf *out)
{
    uint64_t end = 0;
    for (size_t i = 0; i < runs->count; i++) {
        const struct gw_mysql_run *run = &runs->items[i];
        gw_buf_addf(out, "%s%" PRIu64 ",%" PRIu64, i ? ";" : "", run->from - end, run->to - run->from + 1);
        end = run->to;
    }
}

bool gw_mysql_runs_parse(const char *text, struct gw_mysql_runs *out, struct gw_error *err)
{
    uint64_t end = 0;
    *out = (struct gw_mysql_runs){0};
    while (*text) {
        char *rest;
        uint64_t gap = strtoull(text, &rest, 10), length = 0;
        if (rest > text && *rest == ',') {
            text = rest + 1;
            length = strtoull(text, &rest, 10);
        }
        if (gap == 0 || length == 0 || rest == text || (*rest && *rest != ';')) {
            gw_mysql_runs_release(out);
            return gw_fail(err, GW_ERR_CONFLICT, "the numbers of a batch in godwit_capture_batch cannot be read");
        }
        append_run(out, end + gap, end + gap + length - 1);
        end += gap + length - 1;
        text = *rest ? rest + 1 : rest;
    }
    return true;
}

/* Only runs that are worth a range of their own are left out: rows of the others are read, and known again. */
void gw_mysql_runs_outside(const struct gw_mysql_runs *runs, struct gw_buf *sql)
{
    uint64_t least = 1, from = 0;
    for (size_t count = runs->count; count > MOST_RANGES; least *= 2) {
        count = 0;
        for (size_t i = 0; i < runs->count; i++)
            count += runs->items[i].to - runs->items[i].from >= least;
    }
    for (size_t i = 0; i < runs->count; i++) {
        const struct gw_mysql_run *run = &runs->items[i];
        if (least > 1 && run->to - run->from < least / 2)
            continue;
        if (run->from > from)
            gw_buf_addf(sql, "seq BETWEEN %" PRIu64 " AND %" PRIu64 " OR ", from, run->from - 1);
        from = run->to + 1;
    }
    gw_buf_addf(sql, "seq >= %" PRIu64, from);
}
