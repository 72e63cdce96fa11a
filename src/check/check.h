/*
 * The check stage: what would go wrong, before anything is made. Asks each side's inspect facet, both together, the gate
 * and this machine; changes nothing.
 *
 * A side that could not be reached does not stop the rest from being looked at.
 * Threads: one. Ownership: the options are borrowed for the call; the report is the caller's.
 *
 *     struct gw_check_report report;
 *     if (!gw_check_run(&options, &report, err)) return false;
 *     gw_check_print(&report, &text);
 *     gw_check_report_release(&report);
 */
#ifndef GW_CHECK_CHECK_H
#define GW_CHECK_CHECK_H

#include "gate/gate.h"
#include "map/rules.h"
#include "store/store.h"

#include <jansson.h>

struct gw_check_options {
    struct gw_store *sides[2];         /* NULL: not reached, see refused */
    const struct gw_error *refused[2]; /* why; NULL with a store */
    const struct gw_filter *filter;
    struct gw_rules *rules;              /* by which rows change on their way; NULL: none */
    struct gw_gate *gate;                /* NULL: could not be opened, see gate_refused */
    const struct gw_error *gate_refused; /* NULL: fine */
    struct gw_cancel *cancel;
    int pause_budget_ms;
    const char *migration;
    const char *state_folder; /* this migration's; may not be there yet */
    int64_t spool_limit_bytes;
};

struct gw_check_side {
    bool reached;
    char product[96], address[192], user[128];
    bool measured;
    int64_t round_trip_us, bytes_per_second;
};

struct gw_check_report {
    char migration[64];
    struct gw_check_side sides[2];
    struct gw_findings findings; /* blocks first */
    size_t blocks, warnings;
    int predicted_park_ms; /* by the gate; -1 not known */
};

GW_MUST_CHECK bool gw_check_run(const struct gw_check_options *, struct gw_check_report *out, struct gw_error *);
void gw_check_report_release(struct gw_check_report *);

void gw_check_print(const struct gw_check_report *, struct gw_buf *out);
json_t *gw_check_json(const struct gw_check_report *); /* owned by the caller */
enum gw_exit gw_check_exit(const struct gw_check_report *);

#endif
