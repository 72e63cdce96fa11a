#include "store/store.h"

#include "base/mem.h"

#include <stdarg.h>

const char *gw_side_name(enum gw_side side)
{
    return side == GW_BLUE ? "blue" : "green";
}

void gw_findings_add(struct gw_findings *findings, enum gw_severity severity, enum gw_side side, const char *id,
                     const char *fix, const char *what_format, ...)
{
    findings->items = gw_grow(findings->items, &findings->capacity, findings->count, sizeof *findings->items);
    struct gw_buf what = {0};
    va_list args;
    va_start(args, what_format);
    gw_buf_vaddf(&what, what_format, args);
    va_end(args);
    findings->items[findings->count++] = (struct gw_finding){
        .severity = severity,
        .side = side,
        .id = gw_strdup(id),
        .what = gw_buf_detach(&what),
        .fix = gw_strdup(fix ? fix : ""),
    };
}

void gw_findings_release(struct gw_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->items[i].id);
        free(findings->items[i].what);
        free(findings->items[i].fix);
    }
    free(findings->items);
    *findings = (struct gw_findings){0};
}

void gw_checkpoint_release(struct gw_checkpoint *checkpoint)
{
    gw_range_release(&checkpoint->range);
    gw_mark_release(&checkpoint->mark);
    *checkpoint = (struct gw_checkpoint){0};
}
