#include "store/spread.h"

#include "base/mem.h"

#include <stdlib.h>

void gw_spread_next(const struct gw_spread *s, const struct gw_bound *low, int64_t rows, struct gw_bound *next,
                    bool *last)
{
    int64_t from = low->count > 0 ? strtoll(low->texts[0], NULL, 10) : s->least;
    double step = (double)rows * s->per_row;
    int64_t to;
    if (step < 1)
        step = 1;
    /* A tail of less than a fifth is not worth a chunk of its own. */
    *last = (double)from + step > (double)s->greatest - step / 5 || __builtin_add_overflow(from, (int64_t)step, &to);
    if (*last)
        return;
    next->count = 1;
    next->texts = gw_calloc(1, sizeof *next->texts);
    next->texts[0] = gw_asprintf("%lld", (long long)to);
}
