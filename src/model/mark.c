#include "model/mark.h"

#include "base/mem.h"

#include <stdbool.h>

void gw_mark_release(struct gw_mark *mark)
{
    free(mark->open);
    *mark = (struct gw_mark){0};
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

bool gw_mark_saw(const struct gw_mark *mark, uint64_t transaction)
{
    if (transaction < mark->low)
        return true;
    if (transaction >= mark->high)
        return false;
    if (mark->open_count == 0)
        return true;
    return bsearch(&transaction, mark->open, mark->open_count, sizeof *mark->open, compare_ids) == NULL;
}

/* One decimal number; moves *at behind it. False: no digit, or more than 64 bits hold. */
static bool parse_id(const char **at, uint64_t *out)
{
    const char *p = *at;
    uint64_t value = 0;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    *at = p;
    *out = value;
    return true;
}

static bool parse_open(const char *at, struct gw_mark *mark)
{
    size_t capacity = 0;
    if (*at == 0)
        return true;
    for (;;) {
        uint64_t id;
        if (!parse_id(&at, &id) || id < mark->low || id >= mark->high)
            return false;
        mark->open = gw_grow(mark->open, &capacity, mark->open_count, sizeof *mark->open);
        mark->open[mark->open_count++] = id;
        if (*at == 0)
            break;
        if (*at++ != ',')
            return false;
    }
    qsort(mark->open, mark->open_count, sizeof *mark->open, compare_ids);
    return true;
}

bool gw_mark_parse(const char *text, struct gw_mark *out, struct gw_error *err)
{
    struct gw_mark mark = {0};
    const char *at = text;
    bool ok = parse_id(&at, &mark.low) && *at == ':';
    at += ok;
    ok = ok && parse_id(&at, &mark.high) && *at == ':' && mark.low <= mark.high;
    at += ok;
    ok = ok && parse_open(at, &mark);
    if (!ok) {
        gw_mark_release(&mark);
        return gw_fail(err, GW_ERR_CONFLICT, "\"%.100s\" is not a mark: expected \"low:high:open,open,...\"", text);
    }
    *out = mark;
    return true;
}

void gw_mark_format(const struct gw_mark *mark, struct gw_buf *out)
{
    gw_buf_addf(out, "%llu:%llu:", (unsigned long long)mark->low, (unsigned long long)mark->high);
    for (size_t i = 0; i < mark->open_count; i++)
        gw_buf_addf(out, "%s%llu", i ? "," : "", (unsigned long long)mark->open[i]);
}

void gw_mark_copy(struct gw_mark *to, const struct gw_mark *from)
{
    *to = *from;
    to->open = from->open_count ? gw_memdup(from->open, from->open_count * sizeof *from->open) : NULL;
}
