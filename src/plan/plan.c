#include "plan/plan.h"

#include "base/mem.h"
#include "io/json.h"
#include "plan/estimate.h"
#include "store/lens_plan.h"

#include <stdlib.h>
#include <string.h>

struct planner {
    const struct gw_plan_options *options;
    json_t *plan; /* owned until it is handed out */
    struct gw_schema schema;
    struct gw_schema green_schema; /* with a map: what green's tables will be; count 0 without */
    struct gw_findings findings;
    struct gw_plan_sizes sizes;
    int predicted_park_ms;
};

static struct gw_store *blue_of(const struct planner *p)
{
    return p->options->sides[GW_BLUE];
}
static struct gw_store *green_of(const struct planner *p)
{
    return p->options->sides[GW_GREEN];
}

static void add_reason(struct planner *p, const char *format, ...) GW_PRINTF(2, 3);
static void add_reason(struct planner *p, const char *format, ...)
{
    gw_autobuf struct gw_buf text = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&text, format, args);
    va_end(args);
    json_array_append_new(json_object_get(p->plan, "reasons"), gw_json_text(gw_buf_text(&text)));
}

/* ---- what moves ------------------------------------------------------------------------------------------------------ */

static int64_t chunks_of(const struct planner *p, const struct gw_collection *c)
{
    const struct gw_migration_copy *copy = &p->options->settings->copy;
    if (c->key_kind == GW_KEY_NONE || c->estimated_rows <= 0)
        return 1;
    int64_t by_rows = (c->estimated_rows + copy->chunk_rows - 1) / copy->chunk_rows;
    int64_t by_bytes = (c->estimated_bytes + copy->chunk_bytes - 1) / copy->chunk_bytes;
    return by_rows > by_bytes ? by_rows : by_bytes;
}

static void describe_path(const struct gw_collection *c, bool same_engine, const char **path, struct gw_buf *why)
{
    *path = "passthrough";
    if (!same_engine) {
        *path = "decode";
        gw_buf_adds(why, "the engines differ");
        return;
    }
    for (size_t i = 0; i < c->column_count; i++) {
        const struct gw_column *column = &c->columns[i];
        if (column->binary_safe || column->generated)
            continue;
        *path = "decode(text)";
        gw_buf_addf(why, "%s%s is %s", why->len ? ", " : "", column->name, column->type);
    }
}

static const char *describe_key(const struct gw_collection *c)
{
    return c->key_kind == GW_KEY_PRIMARY ? "primary" : c->key_kind == GW_KEY_UNIQUE ? "unique" : "none";
}

static int64_t index_bytes_of(const json_t *inventory_tables, const struct gw_collection *c)
{
    size_t i;
    json_t *table;
    json_array_foreach((json_t *)(uintptr_t)inventory_tables, i, table)
    {
        const char *space = json_string_value(json_object_get(table, "schema"));
        const char *name = json_string_value(json_object_get(table, "name"));
        if (space && name && strcmp(space, c->space) == 0 && strcmp(name, c->name) == 0)
            return json_integer_value(json_object_get(table, "index_bytes"));
    }
    return 0;
}

static void add_table(struct planner *p, const struct gw_collection *c, const json_t *inventory_tables)
{
    gw_autobuf struct gw_buf why = {0};
    const char *path;
    int64_t chunks = chunks_of(p, c), index_bytes = index_bytes_of(inventory_tables, c);
    describe_path(c, !gw_lens_needed(blue_of(p), green_of(p), p->options->rules), &path, &why);
    p->sizes.tables++;
    p->sizes.chunks += chunks;
    p->sizes.rows += c->estimated_rows > 0 ? c->estimated_rows : 0;
    p->sizes.unknown_rows += c->estimated_rows < 0;
    p->sizes.bytes += c->estimated_bytes > 0 ? c->estimated_bytes : 0;
    p->sizes.index_bytes += index_bytes;
    json_array_append_new(json_object_get(p->plan, "tables"),
                          json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:s, s:s, s:o}", "schema", gw_json_text(c->space),
                                    "name", gw_json_text(c->name), "rows", (json_int_t)c->estimated_rows, "bytes",
                                    (json_int_t)c->estimated_bytes, "index_bytes", (json_int_t)index_bytes, "chunks",
                                    (json_int_t)chunks, "key", describe_key(c), "path", path, "why",
                                    gw_json_text(gw_buf_text(&why))));
}

static bool add_tables(struct planner *p, struct gw_error *err)
{
    gw_autojson json_t *inventory = NULL;
    struct gw_store *blue = blue_of(p);
    if (!blue->type->catalog->list(blue, &p->options->settings->filter, &p->schema, err) ||
        !blue->type->inspect->inventory(blue, &p->options->settings->filter, &inventory, err))
        return false;
    for (size_t i = 0; i < p->schema.count; i++)
        add_table(p, &p->schema.collections[i], json_object_get(inventory, "tables"));
    json_object_set_new(p->plan, "totals",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "tables", (json_int_t)p->sizes.tables,
                                  "unknown_rows", (json_int_t)p->sizes.unknown_rows, "rows", (json_int_t)p->sizes.rows,
                                  "bytes", (json_int_t)p->sizes.bytes, "index_bytes", (json_int_t)p->sizes.index_bytes,
                                  "chunks", (json_int_t)p->sizes.chunks));
    return true;
}

/* ---- what is found, what stays ------------------------------------------------------------------------------------------ */

/* Every row of the columns that may lose something is looked at: a plan that says none is hit must be right. */
static bool look_through_map(struct planner *p, struct gw_error *err)
{
    gw_autobuf struct gw_buf words = {0};
    const struct gw_lens_look look = {.findings = &p->findings, .map = &words, .green = &p->green_schema};
    if (!gw_lens_look(blue_of(p), green_of(p), &p->options->settings->filter, p->options->rules, 0, &look, err))
        return false;
    json_object_set_new(p->plan, "map", gw_json_text(gw_buf_text(&words)));
    return true;
}

static bool take_findings(struct planner *p, struct gw_error *err)
{
    struct gw_store *blue = blue_of(p), *green = green_of(p);
    const struct gw_filter *filter = &p->options->settings->filter;
    if (!blue->type->inspect->check(blue, filter, &p->findings, err) ||
        !green->type->inspect->check(green, filter, &p->findings, err))
        return false;
    if (gw_lens_needed(blue, green, p->options->rules) && !look_through_map(p, err))
        return false;
    if (blue->type == green->type && !blue->identity.in_recovery && !green->identity.in_recovery &&
        !blue->type->inspect->check_pair(blue, green, filter, &p->findings, err))
        return false;
    for (size_t i = 0; i < p->findings.count; i++) {
        const struct gw_finding *f = &p->findings.items[i];
        if (f->severity == GW_FINDING_BLOCKS)
            add_reason(p, "%s: %s: %s", gw_side_name(f->side), f->id, f->what);
        if (f->stays_behind)
            json_array_append_new(
                json_object_get(p->plan, "stays_behind"),
                json_pack("{s:s, s:o, s:o}", "id", f->id, "what", gw_json_text(f->what), "fix", gw_json_text(f->fix)));
    }
    return true;
}

/* ---- what is made --------------------------------------------------------------------------------------------------------- */

/* `elsewhere` NULL: green's tables are not blue's, its own footprint has to do. */
static void take_objects(json_t *footprint, json_t *makes, json_t *elsewhere, const char *other_side)
{
    json_t *object;
    size_t i;
    json_array_foreach(json_object_get(footprint, "objects"), i, object)
    {
        bool on_both = json_is_true(json_object_get(object, "on_both"));
        json_t *mine = json_copy(object);
        json_object_del(mine, "on_both");
        json_array_append_new(makes, mine);
        if (!on_both || !elsewhere)
            continue;
        json_t *theirs = json_copy(mine);
        json_object_set_new(theirs, "side", json_string(other_side));
        json_array_append_new(elsewhere, theirs);
    }
}

static void add_local(struct planner *p)
{
    json_t *makes = json_object_get(p->plan, "makes");
    gw_autofree char *what = gw_asprintf("folder %s: journal, spool and quarantine, which hold rows; private (0700)",
                                         p->options->state_folder);
    json_array_append_new(makes, json_pack("{s:s, s:o, s:s, s:s}", "side", "here", "what", gw_json_text(what), "sql",
                                           "", "undo",
                                           "-- removed by godwit finish and godwit abort; by hand: delete the folder"));
    const struct gw_migration_gate *gate = &p->options->settings->gate;
    if (gate->type == GW_MIGRATION_GATE_PGBOUNCER) {
        gw_autofree char *line =
            gw_asprintf("the line of the moved database in %s, at each change of owner, then RELOAD",
                        gate->ini ? gate->ini : "the settings file (write_ini_command)");
        json_array_append_new(makes, json_pack("{s:s, s:o, s:s, s:s}", "side", "gate", "what", gw_json_text(line),
                                               "sql", "PAUSE; RELOAD; RESUME", "undo",
                                               "-- the line as it was, then RELOAD; and RESUME"));
    }
}

/* What blue's tables get and green's will get too is known from blue alone. */
static bool add_footprints(struct planner *p, struct gw_error *err)
{
    json_t *makes = json_object_get(p->plan, "makes");
    gw_autojson json_t *elsewhere = json_array();
    for (int side = 0; side < 2; side++) {
        struct gw_store *store = p->options->sides[side];
        gw_autojson json_t *footprint = NULL;
        const struct gw_schema *schema = side == GW_GREEN && p->green_schema.count ? &p->green_schema : &p->schema;
        if (!store->type->inspect->footprint(store, schema, &footprint, err))
            return false;
        take_objects(footprint, makes, p->green_schema.count ? NULL : elsewhere,
                     gw_side_name(gw_side_other((enum gw_side)side)));
        json_object_set(json_object_get(p->plan, "break_glass"), gw_side_name((enum gw_side)side),
                        json_object_get(footprint, "break_glass"));
    }
    json_array_extend(makes, elsewhere);
    add_local(p);
    return true;
}

/* ---- the way back ------------------------------------------------------------------------------------------------------------ */

/* What going back costs, stage by stage. The commands are the stage table's. */
static const struct {
    const char *stage, *loses, *takes;
} costs[] = {
    {"new", "0 rows", "nothing to undo"},
    {"copy", "0 rows of blue; what was copied to green stays there until it is dropped",
     "seconds, each table locked briefly"},
    {"follow", "0 rows of blue; the copy on green stays until it is dropped", "seconds, each table locked briefly"},
    {"switch", "0 rows: past the pause budget, or killed, it is undone by itself", "the pause budget at most"},
    {"retain", "0 rows: blue follows green", "one pause, like the switch"},
    {"finish", "the way back itself: this is the one step that cannot be undone", "-"},
};

/* Why there would be no way back once green owns; NULL when there is one. */
static const struct gw_finding *what_breaks(const struct planner *p)
{
    for (size_t i = 0; i < p->findings.count; i++) {
        const struct gw_finding *f = &p->findings.items[i];
        if (f->breaks_way_back)
            return f;
    }
    return NULL;
}

static void describe_pause(const struct planner *p, struct gw_buf *out)
{
    const json_t *estimate = json_object_get(p->plan, "estimate");
    int64_t trips_us = json_integer_value(json_object_get(estimate, "round_trip_blue_us")) +
                       json_integer_value(json_object_get(estimate, "round_trip_green_us"));
    int park_ms = p->predicted_park_ms > 0 ? p->predicted_park_ms : 0;
    gw_buf_addf(out, "one pause, about %lld ms by the round trips%s, %lld ms at most (switch.pause_budget)",
                (long long)(trips_us * 6 / 1000 + park_ms + 5),
                p->predicted_park_ms >= 0 ? " and what the gate runs now" : "",
                (long long)p->options->settings->switch_.pause_budget_ms);
}

static void add_way_back(struct planner *p, const struct gw_plan_stage *stage)
{
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++) {
        gw_autobuf struct gw_buf takes = {0}, why = {0};
        if (strcmp(costs[i].stage, stage->name) != 0)
            continue;
        bool owner_changes = strcmp(stage->name, "retain") == 0, end = strcmp(stage->name, "finish") == 0;
        const struct gw_finding *breaks = owner_changes ? what_breaks(p) : NULL;
        if (breaks) {
            gw_buf_addf(&why, "%s: %s: %s", gw_side_name(breaks->side), breaks->id, breaks->what);
            add_reason(p, "stage %s would have no way back: %s", stage->name, breaks->what);
        } else if (owner_changes) {
            gw_buf_adds(&why,
                        "until the schema is changed on green other than by additions, and as long as godwit runs");
        }
        if (owner_changes)
            describe_pause(p, &takes);
        else
            gw_buf_adds(&takes, costs[i].takes);
        json_t *row = json_pack("{s:s, s:o, s:b, s:s, s:o, s:o}", "stage", stage->name, "command",
                                gw_json_text(stage->way_back), "possible", !breaks && !end, "loses", costs[i].loses,
                                "takes", gw_json_text(gw_buf_text(&takes)), "why", gw_json_text(gw_buf_text(&why)));
        json_object_set_new(row, "loses_rows", end || breaks ? json_null() : json_integer(0));
        json_array_append_new(json_object_get(p->plan, "way_back"), row);
    }
}

/* What the switch costs the clients that come through the gate; what cannot be asked now is left out. */
static void add_costs(struct planner *p, struct gw_gate *gate)
{
    gw_autobuf struct gw_buf lines = {0};
    struct gw_error ignored;
    json_t *list = json_array();
    if (gate->type->costs && gate->type->costs(gate, &lines, &ignored))
        for (const char *at = gw_buf_text(&lines); *at; at += *at == '\n') {
            size_t len = strcspn(at, "\n");
            if (len)
                json_array_append_new(list, json_stringn(at, len));
            at += len;
        }
    json_object_set_new(p->plan, "gate", json_pack("{s:s, s:o}", "type", gate->type->name, "costs", list));
}

static bool predict_park(struct planner *p, struct gw_error *err)
{
    struct gw_gate *gate = p->options->gate;
    gw_autobuf struct gw_buf lines = {0};
    p->predicted_park_ms = -1;
    if (gate)
        add_costs(p, gate);
    if (!gate || !gate->type->parks)
        return true;
    if (!gate->type->preflight(gate, (int)p->options->settings->switch_.pause_budget_ms, &lines, &p->predicted_park_ms,
                               err)) {
        if (err->kind == GW_ERR_CANCELLED)
            return false;
        add_reason(p, "the gate could not be asked: %s", err->message);
        p->predicted_park_ms = -1;
        return true;
    }
    for (const char *at = gw_buf_text(&lines); *at;) {
        size_t len = strcspn(at, "\n");
        if (len)
            add_reason(p, "gate: %.*s", (int)len, at);
        at += len + (at[len] == '\n');
    }
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------------ */

static bool fill(struct planner *p, struct gw_error *err)
{
    if (!take_findings(p, err) || !add_tables(p, err) ||
        !gw_plan_estimate(p->options, &p->schema, &p->sizes, p->plan, err) || !add_footprints(p, err) ||
        !predict_park(p, err))
        return false;
    for (size_t i = 0; i < p->options->stage_count; i++)
        add_way_back(p, &p->options->stages[i]);
    json_object_set_new(p->plan, "safe", json_boolean(json_array_size(json_object_get(p->plan, "reasons")) == 0));
    return true;
}

bool gw_plan_make(const struct gw_plan_options *options, json_t **out, struct gw_error *err)
{
    struct planner p = {.options = options};
    const struct gw_identity *blue = &options->sides[GW_BLUE]->identity, *green = &options->sides[GW_GREEN]->identity;
    for (int side = 0; side < 2; side++) {
        const struct gw_store_type *type = options->sides[side]->type;
        if (!type->inspect || !type->inspect->footprint || !type->catalog)
            return gw_fail(err, GW_ERR_UNSUPPORTED, "a move with the engine %s cannot be planned", type->name);
    }
    p.plan =
        json_pack("{s:s, s:b, s:[], s:{s:{s:o, s:o}, s:{s:o, s:o}}, s:[], s:[], s:[], s:[], s:{}}", "migration",
                  options->migration, "safe", 0, "reasons", "sides", "blue", "product", gw_json_text(blue->product),
                  "address", gw_json_text(blue->address), "green", "product", gw_json_text(green->product), "address",
                  gw_json_text(green->address), "tables", "stays_behind", "makes", "way_back", "break_glass");
    bool fine = fill(&p, err);
    gw_schema_release(&p.schema);
    gw_schema_release(&p.green_schema);
    gw_findings_release(&p.findings);
    if (!fine) {
        json_decref(p.plan);
        return false;
    }
    *out = p.plan;
    return true;
}

bool gw_plan_is_safe(const json_t *plan)
{
    return json_is_true(json_object_get(plan, "safe"));
}
