/*
 * The plan stage: what moves and what stays behind, how long it will take, what godwit makes on each side, the way back
 * from every stage, and the script that removes godwit by hand. Makes nothing but a temporary table on green, to time it.
 *
 * The plan is one JSON object; its text is made from it:
 *   migration, safe, reasons[]
 *   sides.{blue,green}.{product,address}
 *   tables[]       schema, name, rows, bytes, index_bytes, chunks, key, path (passthrough | decode(text)), why
 *   totals         tables, rows, bytes, index_bytes, chunks
 *   map            what each column becomes, in words; only with another engine, or rules
 *   estimate       rates that were measured, copy_least_us, copy_most_us, index_us, verify_us, green_disk_bytes, ...
 *   stays_behind[] id, what, fix
 *   makes[]        side, what, sql, undo
 *   way_back[]     stage, command, possible, loses_rows, takes, why
 *   break_glass.{blue,green}
 *
 * Threads: one. Ownership: options are borrowed for the call, the plan is the caller's.
 */
#ifndef GW_PLAN_PLAN_H
#define GW_PLAN_PLAN_H

#include "gate/gate.h"
#include "map/rules.h"
#include "model/migration.h"
#include "store/store.h"

#include <jansson.h>

struct gw_plan_stage {
    const char *name;     /* of the stage table */
    const char *way_back; /* its command, NULL: there is none by nature */
};

struct gw_plan_options {
    struct gw_store *sides[2];
    const struct gw_migration_store *settings;
    struct gw_rules *rules; /* by which rows change on their way; NULL: none */
    const char *migration;
    const char *state_folder;
    struct gw_gate *gate; /* may be NULL */
    const struct gw_plan_stage *stages;
    size_t stage_count;
};
GW_MUST_CHECK bool gw_plan_make(const struct gw_plan_options *, json_t **out, struct gw_error *);
bool gw_plan_is_safe(const json_t *plan);
void gw_plan_print(const json_t *plan, struct gw_buf *out);

#endif
