/* The steps of one collection, to green and back. */
#include "base/mem.h"
#include "map/internal.h"

#include <string.h>

struct planner {
    struct gw_map_compiler *c;
    uint32_t collection;
    const struct gw_table_definition *blue, *green;
    const struct gw_collection_rule *rule;
    struct gw_map_table *there, *back;
};

static bool fail_rule(struct planner *p, const struct gw_yaml_node *place, struct gw_error *err)
{
    return gw_map_fail_at(p->c->map->rules, place, err);
}

static struct gw_map_loss *lose(struct planner *p, int column, enum gw_map_loss_id id, const char *format, ...)
    GW_PRINTF(4, 5);
static struct gw_map_loss *lose(struct planner *p, int column, enum gw_map_loss_id id, const char *format, ...)
{
    gw_autobuf struct gw_buf what = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&what, format, args);
    va_end(args);
    gw_map_add_loss(p->c->losses, p->collection, column, id, GW_MAP_FAIL, "%s", gw_buf_text(&what));
    return gw_map_last_loss(p->c->losses);
}

static bool transforms(const struct gw_column_rule *rule)
{
    return rule && (rule->trim || rule->lower || rule->upper || rule->lookup || rule->mask || rule->hash || rule->lua);
}

/* Nothing but a lookup that can be undone. */
static bool can_be_undone(const struct gw_column_rule *rule, const struct gw_map_lookup *lookup)
{
    return !(rule->trim || rule->lower || rule->upper || rule->mask || rule->hash || rule->lua) &&
           (!rule->lookup || (lookup && lookup->inverse));
}

static void name_lua(struct planner *p, int column, const struct gw_column_rule *rule)
{
    struct gw_map_loss *loss =
        lose(p, column, GW_LOSS_LUA, "rows for which the Lua of %s ends with an error", rule->name);
    loss->policy = rule->policy;
    loss->counts_rows = true;
}

/* ---- to green ---- */

static bool change_step(struct planner *p, struct gw_map_step *step, const struct gw_column_rule *rule,
                        const struct gw_type *from, const struct gw_type *wanted, struct gw_error *err)
{
    step->kind = STEP_CHANGE;
    step->rule = rule;
    if (rule->lookup && !gw_map_lookup_make(p->c, rule, from, wanted, step->to, &step->lookup, err))
        return false;
    step->fits_lookup = step->lookup && step->lookup->inverse && rule->otherwise == OTHERWISE_KEEP;
    if (rule->lua)
        name_lua(p, step->column, rule);
    return !rule->lua || gw_map_function(p->c, p->collection, false, rule->name, rule->lua, &step->lua, err);
}

static bool constant_step(struct planner *p, struct gw_map_step *step, const struct gw_yaml_node *node,
                          struct gw_error *err)
{
    step->kind = STEP_CONSTANT;
    step->has_constant = true;
    return gw_map_constant(p->c, node, step->to, &step->constant, err);
}

static struct gw_map_step *begin_step(struct planner *p, size_t green, int column, const struct gw_column_rule *rule)
{
    struct gw_map_step *step = &p->there->steps[green];
    *step = (struct gw_map_step){
        .source = column,
        .column = column,
        .name = p->green->columns[green].name,
        .to = &p->green->columns[green].type,
        .zone = rule ? rule->zone : NULL,
        .policy = rule ? rule->policy : GW_MAP_FAIL,
        .lua = -1,
        .exact = true,
    };
    if (column >= 0 && p->blue->columns[column].type.loose)
        step->declared = p->blue->columns[column].type.kind;
    return step;
}

static void split_steps(struct planner *p, int column, const struct gw_column_rule *rule)
{
    size_t first = (size_t)p->c->map->green_of[p->collection][column];
    for (size_t i = 0; i < rule->split_into->count; i++) {
        struct gw_map_step *step = begin_step(p, first + i, column, rule);
        step->kind = STEP_SPLIT;
        step->part = i;
        step->part_count = rule->split_into->count;
        step->separator = rule->separator;
    }
}

static bool forward_column(struct planner *p, int column, struct gw_error *err)
{
    const struct gw_column_definition *blue = &p->blue->columns[column];
    const struct gw_column_rule *rule = gw_map_column_rule(p->rule, blue->name);
    int at = p->c->map->green_of[p->collection][column];
    if (at < 0)
        return true;
    if (rule && rule->split_into) {
        split_steps(p, column, rule);
        return true;
    }
    struct gw_map_step *step = begin_step(p, (size_t)at, column, rule);
    if (p->c->computed[p->collection][at])
        step->kind = STEP_COMPUTED;
    else if (rule && rule->constant)
        return constant_step(p, step, rule->constant, err);
    else if (transforms(rule))
        return change_step(p, step, rule, &blue->type, &p->c->wanted[p->collection][at], err);
    else
        step->kind = gw_map_same_type(&blue->type, step->to) ? STEP_COPY : STEP_FIT;
    return true;
}

/* "{first_name} {last_name}" in pieces. */
static bool read_concat(struct planner *p, struct gw_map_step *step, const struct gw_column_rule *rule,
                        struct gw_error *err)
{
    struct gw_arena *arena = &p->c->map->arena;
    gw_autobuf struct gw_buf text = {0};
    step->kind = STEP_CONCAT;
    step->pieces = gw_arena_zalloc(arena, (strlen(rule->concat) + 1) * sizeof *step->pieces);
    for (const char *at = rule->concat;; at++) {
        bool brace = *at == '{' && at[1] != '{';
        if ((brace || !*at) && text.len) {
            step->pieces[step->piece_count++] = (struct gw_map_part){-1, gw_arena_strdup(arena, gw_buf_text(&text))};
            gw_buf_clear(&text);
        }
        if (!*at)
            break;
        if (!brace) {
            gw_buf_addc(&text, *at);
            at += *at == '{';
            continue;
        }
        size_t len = strcspn(at + 1, "}");
        gw_autofree char *name = gw_strndup(at + 1, len);
        int column = gw_table_column(p->blue, name);
        if (at[1 + len] != '}' || column < 0) {
            gw_fail(err, GW_ERR_USER, "concat of %.80s: there is no column \"%.80s\"", rule->name, name);
            gw_error_hint(err, "write columns of blue in braces, and {{ for a brace");
            return fail_rule(p, rule->place, err);
        }
        step->pieces[step->piece_count++] = (struct gw_map_part){column, NULL};
        at += len + 1;
    }
    return true;
}

static bool forward_added(struct planner *p, size_t green, const struct gw_column_rule *rule, struct gw_error *err)
{
    struct gw_map_step *step = begin_step(p, green, -1, rule);
    step->source = rule->column ? gw_table_column(p->blue, rule->column) : -1;
    if (rule->constant)
        return constant_step(p, step, rule->constant, err);
    if (rule->concat) {
        step->rule = rule;
        return read_concat(p, step, rule, err);
    }
    if (!rule->column) {
        step->kind = STEP_LUA;
        name_lua(p, -1, rule);
        return gw_map_function(p->c, p->collection, false, rule->name, rule->lua, &step->lua, err);
    }
    const struct gw_type *from = &p->blue->columns[step->source].type;
    if (transforms(rule))
        return change_step(p, step, rule, from, &p->c->wanted[p->collection][green], err);
    step->kind = gw_map_same_type(from, step->to) ? STEP_COPY : STEP_FIT;
    return true;
}

/* ---- and back ---- */

static struct gw_map_step *begin_back(struct planner *p, int column, const struct gw_column_rule *rule)
{
    struct gw_map_step *step = &p->back->steps[column];
    bool same = !rule || !rule->policy || rule->policy == GW_MAP_QUARANTINE;
    *step = (struct gw_map_step){
        .source = p->c->map->green_of[p->collection][column],
        .column = column,
        .name = p->blue->columns[column].name,
        .to = &p->blue->columns[column].type,
        .zone = rule ? rule->zone : NULL,
        /* What was rounded on the way there is not rounded again on the way back: blue is as it was. */
        .policy = same && rule ? rule->policy : GW_MAP_FAIL,
        .lua = -1,
    };
    return step;
}

/* Green holds nothing of it: what a new row gets. */
static void nothing_step(struct planner *p, struct gw_map_step *step, int column)
{
    const struct gw_column_definition *blue = &p->blue->columns[column];
    step->kind = STEP_NOTHING;
    step->source = -1;
    if (step->has_constant)
        return;
    if (blue->default_kind == GW_DEFAULT_VALUE) {
        step->constant = gw_datum_copy(&p->c->map->arena, &blue->default_value);
        step->has_constant = true;
    } else if (!blue->not_null) {
        step->constant = gw_datum_null();
        step->has_constant = true;
    }
}

static void name_nothing(struct planner *p, const struct gw_map_step *step, int column, const char *why)
{
    const char *name = p->blue->columns[column].name;
    const struct gw_column_rule *rule = gw_map_column_rule(p->rule, name);
    gw_autobuf struct gw_buf value = {0};
    if (step->has_constant)
        gw_datum_print(&step->constant, &value);
    struct gw_map_loss *loss =
        lose(p, column, rule && rule->drop ? GW_LOSS_DROP : GW_LOSS_NO_INVERSE,
             "%s %s: on the way back an update leaves it as it is on blue, and a new row gets %s", name, why,
             step->has_constant ? gw_buf_text(&value) : "nothing, though it must have a value: say with back: what");
    loss->breaks_way_back = !step->has_constant || !(rule && (rule->drop || rule->back));
}

static void join_step(struct planner *p, struct gw_map_step *step, const struct gw_column_rule *rule)
{
    step->kind = STEP_JOIN;
    step->separator = rule->separator;
    step->piece_count = rule->split_into->count;
    step->pieces = gw_arena_zalloc(&p->c->map->arena, step->piece_count * sizeof *step->pieces);
    for (size_t i = 0; i < step->piece_count; i++)
        step->pieces[i].column = step->source + (int)i;
    step->source = -1;
    step->exact = true;
}

static void fit_step(struct planner *p, struct gw_map_step *step)
{
    const struct gw_type *from = &p->green->columns[step->source].type;
    step->kind = gw_map_same_type(from, step->to) ? STEP_COPY : STEP_FIT;
}

/* What `back:` says. */
static bool back_step(struct planner *p, struct gw_map_step *step, int column, const struct gw_column_rule *rule,
                      struct gw_error *err)
{
    if (rule->back_lua) {
        step->kind = STEP_LUA;
        return gw_map_function(p->c, p->collection, true, rule->name, rule->back_lua, &step->lua, err);
    }
    if (rule->back_column) {
        step->source = gw_table_column(p->green, rule->back_column);
        if (step->source < 0) {
            gw_fail(err, GW_ERR_USER, "back of %.80s: green's %.80s has no column %.80s", rule->name, p->green->name,
                    rule->back_column);
            return fail_rule(p, rule->back, err);
        }
    }
    if (rule->back_as_is || rule->back_column) {
        fit_step(p, step);
        return true;
    }
    if (rule->back_constant) {
        step->has_constant = true;
        if (!gw_map_constant(p->c, rule->back_constant, step->to, &step->constant, err))
            return false;
    }
    nothing_step(p, step, column);
    name_nothing(p, step, column, rule->drop ? "is dropped" : "is not made from green");
    return true;
}

static bool back_column(struct planner *p, int column, struct gw_error *err)
{
    const struct gw_column_definition *blue = &p->blue->columns[column];
    const struct gw_column_rule *rule = gw_map_column_rule(p->rule, blue->name);
    struct gw_map_step *step = begin_back(p, column, rule);
    const struct gw_map_step *there = step->source >= 0 ? &p->there->steps[step->source] : NULL;
    if (blue->generated) {
        step->kind = STEP_COMPUTED;
        return true;
    }
    if (rule && rule->back)
        return back_step(p, step, column, rule, err);
    if (rule && rule->split_into) {
        join_step(p, step, rule);
        return true;
    }
    if (!there || rule == NULL || (!transforms(rule) && !rule->constant)) {
        const struct gw_type *from = there ? &p->green->columns[step->source].type : NULL;
        if (there && !gw_map_can_convert(from->kind, blue->type.kind) && !blue->type.loose) {
            nothing_step(p, step, column);
            name_nothing(p, step, column, "cannot be made from its type on green; say with back: how it is filled");
        } else if (there) {
            fit_step(p, step);
            step->exact = !rule || rule->policy == GW_MAP_FAIL || rule->policy == GW_MAP_QUARANTINE;
        } else {
            nothing_step(p, step, column);
            name_nothing(p, step, column, "is dropped");
        }
        return true;
    }
    if (!rule->constant && can_be_undone(rule, there->lookup)) {
        step->kind = STEP_CHANGE;
        step->lookup = there->lookup->inverse;
        step->exact = true;
        return true;
    }
    nothing_step(p, step, column);
    name_nothing(p, step, column, "cannot be made from what it is on green; say with back: how it is filled");
    return true;
}

/* ---- keys ---- */

static bool check_key(struct planner *p, int column, struct gw_error *err)
{
    const struct gw_column_definition *blue = &p->blue->columns[column];
    const struct gw_column_rule *rule = gw_map_column_rule(p->rule, blue->name);
    const struct gw_map_step *back = &p->back->steps[column];
    if (!rule || !gw_map_in_key(p->blue, blue->name))
        return true;
    const char *why = NULL;
    if (rule->drop)
        why = "without it rows cannot be told apart";
    else if (rule->policy == GW_MAP_ROUND || rule->policy == GW_MAP_TRUNCATE || rule->policy == GW_MAP_NULL)
        why = "two keys could become one; on_loss can be fail or quarantine";
    else if (!back->exact && !blue->generated)
        why = "what it becomes cannot be turned back, so that a row could not be found on the other side";
    else if (rule->split_into)
        why = "it would be several columns";
    if (!why)
        return true;
    gw_fail(err, GW_ERR_USER, "%.80s is in the key of %.80s: %s", blue->name, p->blue->name, why);
    gw_error_hint(err, "leave the key as it is: rename, type and a lookup of distinct values are fine");
    return fail_rule(p, rule->place, err);
}

static bool check_nulls(struct planner *p, struct gw_error *err)
{
    for (size_t i = 0; i < p->there->count; i++) {
        const struct gw_map_step *step = &p->there->steps[i];
        const struct gw_column_rule *rule =
            step->column >= 0 ? gw_map_column_rule(p->rule, p->blue->columns[step->column].name) : NULL;
        bool to_null = step->policy == GW_MAP_NULL;
        if (to_null && rule && !rule->back && p->blue->columns[step->column].not_null) {
            gw_fail(err, GW_ERR_USER,
                    "%.80s may not be NULL on blue, and on_loss makes it so on green: what does blue get?", rule->name);
            gw_error_hint(err, "back: { keep: true } leaves blue's value; back: { lua: \"return value or '...'\" } says"
                               " what NULL becomes there");
            return fail_rule(p, rule->place, err);
        }
        bool null = to_null || (rule && rule->lookup && rule->otherwise == OTHERWISE_NULL) ||
                    (step->kind == STEP_CONSTANT && step->constant.kind == GW_KIND_NULL);
        if (!null || !p->green->columns[i].not_null)
            continue;
        gw_fail(err, GW_ERR_USER, "%s may not be NULL, and a rule makes it so", p->green->columns[i].name);
        if (rule)
            return fail_rule(p, rule->place, err);
        return false;
    }
    return true;
}

/* ---- rows that move ---- */

/* A new row of green must not be one on blue that was never to be on green. */
static void name_left_out(struct planner *p)
{
    const struct gw_map_step *back = &p->back->steps[p->there->filter_column];
    gw_autobuf struct gw_buf value = {0};
    if (back->kind != STEP_NOTHING || !back->has_constant || gw_map_lets_through(p->there, &back->constant))
        return;
    gw_datum_print(&back->constant, &value);
    lose(
        p, p->there->filter_column, GW_LOSS_FILTER,
        "a new row of green gets %s in %s on blue, and where leaves such rows out: say with back: a value that it lets "
        "through",
        back->constant.kind == GW_KIND_NULL ? "NULL" : gw_buf_text(&value), back->name)
        ->breaks_way_back = true;
}

static bool plan_filter(struct planner *p, struct gw_error *err)
{
    const struct gw_collection_rule *rule = p->rule;
    struct gw_map_table *there = p->there;
    there->filter_column = -1;
    there->filter_lua = -1;
    if (!rule || !rule->where)
        return true;
    there->filters = true;
    lose(
        p, -1, GW_LOSS_FILTER,
        "rows are left out by where: they stay on blue and are not on green; once green owns, blue follows all that is "
        "written there, and the rows that where leaves out are not compared");
    if (rule->where_lua)
        return gw_map_function(p->c, p->collection, false, "where", rule->where_lua, &there->filter_lua, err);
    const struct gw_yaml_node *list = rule->where_in ? rule->where_in : rule->where_not_in;
    there->filter_not = rule->where_in == NULL;
    there->filter_column = gw_table_column(p->blue, rule->where_column);
    there->filter_count = list->count;
    there->filter_values = gw_arena_zalloc(&p->c->map->arena, list->count * sizeof *there->filter_values);
    for (size_t i = 0; i < list->count; i++)
        if (!gw_map_constant(p->c, list->items[i], &p->blue->columns[there->filter_column].type,
                             &there->filter_values[i], err))
            return gw_error_prefix(err, "where of %.80s", p->blue->name);
    name_left_out(p);
    return true;
}

static void sum_up(struct planner *p, struct gw_map_table *table, size_t columns_in)
{
    table->plain = table->count == columns_in;
    for (size_t i = 0; i < table->count; i++) {
        const struct gw_map_step *step = &table->steps[i];
        table->plain = table->plain && step->kind == STEP_COPY && step->source == (int)i;
        if (step->lua >= 0 && p->c->map->functions[step->lua].uses_row)
            table->needs_whole = true;
        if (step->kind == STEP_JOIN || (step->kind == STEP_CONCAT && step->piece_count > 1))
            table->needs_whole = true;
    }
    if (table->filters) {
        table->plain = false;
        table->needs_whole = true;
    }
}

bool gw_map_plan(struct gw_map_compiler *compiler, uint32_t collection, struct gw_error *err)
{
    struct gw_map *map = compiler->map;
    struct planner p = {
        .c = compiler,
        .collection = collection,
        .blue = &map->blue.tables[collection],
        .green = &map->green.tables[collection],
        .rule = compiler->rule_of[collection],
        .there = &map->tables[0][collection],
        .back = &map->tables[1][collection],
    };
    p.there->count = p.green->column_count;
    p.back->count = p.blue->column_count;
    p.there->steps = gw_arena_zalloc(&map->arena, (p.there->count + 1) * sizeof *p.there->steps);
    p.back->steps = gw_arena_zalloc(&map->arena, (p.back->count + 1) * sizeof *p.back->steps);
    for (size_t i = 0; i < p.blue->column_count; i++)
        if (!forward_column(&p, (int)i, err))
            return false;
    size_t added = p.rule ? p.rule->added_count : 0;
    for (size_t i = 0; i < added; i++)
        if (!forward_added(&p, p.green->column_count - added + i, &p.rule->added[i], err))
            return false;
    for (size_t i = 0; i < p.blue->column_count; i++)
        if (!back_column(&p, (int)i, err))
            return false;
    for (size_t i = 0; i < p.blue->column_count; i++)
        if (!check_key(&p, (int)i, err))
            return false;
    if (!check_nulls(&p, err) || !plan_filter(&p, err))
        return false;
    sum_up(&p, p.there, p.blue->column_count);
    sum_up(&p, p.back, p.green->column_count);
    return true;
}
