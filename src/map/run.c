/* Rows through the plan. */
#include "base/mem.h"
#include "map/case.h"
#include "map/decimal.h"
#include "map/internal.h"

#include <string.h>

enum outcome { DONE, ASIDE, FAILED };

struct row {
    struct gw_map_run *run;
    uint32_t collection;
    const struct gw_datum *in;
    const bool *stays; /* or NULL */
    bool is_update, keys_only;
    struct gw_buf *why;
    struct gw_error *err;
};

bool gw_map_run_open(const struct gw_map *map, bool back, struct gw_map_run **out, struct gw_error *err)
{
    struct gw_map_run *run = gw_zalloc(sizeof *run);
    run->map = map;
    run->back = back;
    run->hits = gw_calloc(map->blue.table_count + 1, sizeof(uint64_t *));
    if (map->function_count && !gw_lua_open(map, &run->lua, err)) {
        gw_map_run_close(run);
        return false;
    }
    *out = run;
    return true;
}

void gw_map_run_close(struct gw_map_run *run)
{
    if (!run)
        return;
    for (size_t i = 0; i < run->map->blue.table_count; i++)
        free(run->hits[i]);
    free(run->hits);
    gw_lua_close(run->lua);
    gw_buf_release(&run->scratch);
    gw_arena_release(&run->arena);
    free(run);
}

void gw_map_run_reset(struct gw_map_run *run)
{
    gw_arena_reset(&run->arena);
}

void gw_map_run_only_count(struct gw_map_run *run)
{
    run->only_count = true;
}

/* ---- losses ---- */

static size_t hit_index(int column, unsigned id)
{
    return (size_t)(column + 1) * GW_LOSS_COUNT + id;
}

static void count_hit(struct row *row, int column, enum gw_map_loss_id id)
{
    uint64_t **hits = &row->run->hits[row->collection];
    if (!*hits)
        *hits = gw_calloc(row->run->map->blue.tables[row->collection].column_count + 1, GW_LOSS_COUNT * sizeof **hits);
    (*hits)[hit_index(column, id)]++;
}

uint64_t gw_map_run_hits(const struct gw_map_run *run, uint32_t collection, int column, const char *id)
{
    if (collection >= run->map->blue.table_count || column < -1 || !run->hits[collection] ||
        column >= (int)run->map->blue.tables[collection].column_count)
        return 0;
    for (unsigned i = 0; i < GW_LOSS_COUNT; i++)
        if (strcmp(gw_map_loss_name((enum gw_map_loss_id)i), id) == 0)
            return run->hits[collection][hit_index(column, i)];
    return 0;
}

static void add_value(const struct gw_datum *value, struct gw_buf *out)
{
    gw_autobuf struct gw_buf text = {0};
    gw_datum_print(value, &text);
    size_t len = text.len;
    if (len > 60)
        for (len = 60; len > 0 && ((unsigned char)text.data[len] & 0xc0u) == 0x80u;)
            len--;
    gw_buf_adds(out, "\"");
    for (size_t i = 0; i < len; i++)
        gw_buf_addc(out, (unsigned char)text.data[i] < 0x20 ? '?' : text.data[i]);
    gw_buf_addf(out, "%s\"", len < text.len ? "..." : "");
}

/* "users.email: "..." does not fit varchar(255) (length)". What a rule hides is not shown. */
static void describe(struct row *row, const struct gw_map_step *step, const struct gw_datum *value,
                     enum gw_map_loss_id id, struct gw_buf *out)
{
    const struct gw_map *map = row->run->map;
    const struct gw_definition *to = row->run->back ? &map->blue : &map->green;
    gw_map_name(&to->tables[row->collection], step->name, out);
    gw_buf_adds(out, ": ");
    if (step->rule && (step->rule->hash || step->rule->mask))
        gw_buf_adds(out, "a value");
    else
        add_value(value, out);
    gw_buf_adds(out, " does not fit ");
    gw_type_print(step->to, out);
    gw_buf_addf(out, " (%s)", gw_map_loss_name(id));
}

/* The policy's word on a value that does not fit. */
static enum outcome settle(struct row *row, const struct gw_map_step *step, const struct gw_datum *value,
                           enum gw_map_loss_id id, struct gw_datum *out)
{
    gw_autobuf struct gw_buf what = {0};
    if (step->declared != GW_KIND_NULL && value->kind != step->declared)
        id = GW_LOSS_LOOSE;
    count_hit(row, step->column, id);
    *out = gw_datum_null();
    if (row->run->only_count || step->policy == GW_MAP_NULL)
        return DONE;
    describe(row, step, value, id, &what);
    if (step->policy == GW_MAP_QUARANTINE && !row->keys_only) {
        if (row->why)
            gw_buf_addf(row->why, "%s%s", row->why->len ? "; " : "", gw_buf_text(&what));
        return ASIDE;
    }
    gw_fail(row->err, GW_ERR_CONFLICT, "%s", gw_buf_text(&what));
    gw_error_hint(row->err,
                  "say in the rules of the collection what shall become of it: columns: { %s: { on_loss: "
                  "quarantine } } (or null, truncate, round), or another type",
                  step->column >= 0 ? row->run->map->blue.tables[row->collection].columns[step->column].name
                                    : step->name);
    return FAILED;
}

static enum outcome fit(struct row *row, const struct gw_map_step *step, const struct gw_datum *value,
                        struct gw_datum *out)
{
    struct gw_convert convert = {.to = step->to, .zone = step->zone, .policy = step->policy, .arena = &row->run->arena};
    if (!gw_map_convert(&convert, value, out))
        return settle(row, step, value, convert.loss, out);
    if (convert.loss != GW_LOSS_NONE)
        count_hit(row, step->column, convert.loss);
    return DONE;
}

/* ---- the steps that make a value ---- */

static bool is_missing(const struct gw_datum *value)
{
    return value->kind == GW_KIND_UNCHANGED || value->kind == GW_KIND_ABSENT;
}

static enum outcome fail_partial(struct row *row, const struct gw_map_step *step)
{
    const struct gw_map *map = row->run->map;
    gw_autobuf struct gw_buf name = {0};
    gw_map_name(&map->blue.tables[row->collection], step ? step->name : NULL, &name);
    gw_fail(row->err, GW_ERR_CONFLICT, "%s is made of columns that the change does not carry", gw_buf_text(&name));
    gw_error_hint(row->err, "the row must be read whole");
    return FAILED;
}

static bool is_textual(const struct gw_datum *value)
{
    return value->kind == GW_KIND_TEXT || value->kind == GW_KIND_ENUM || value->kind == GW_KIND_JSON;
}

static enum outcome look_up(struct row *row, const struct gw_map_step *step, struct gw_datum *value)
{
    const struct gw_map_lookup *lookup = step->lookup;
    const struct gw_datum *found = gw_map_look_up(lookup, value, &row->run->scratch);
    struct gw_datum none;
    if (found) {
        *value = *found;
        return DONE;
    }
    if (value->kind == GW_KIND_NULL)
        return DONE;
    switch (lookup->otherwise) {
    case OTHERWISE_NULL:
        *value = gw_datum_null();
        return DONE;
    case OTHERWISE_VALUE:
        *value = lookup->otherwise_value;
        return DONE;
    case OTHERWISE_KEEP:
        /* A value that the lookup makes of another could not be told from it on the way back. */
        if (!step->fits_lookup || !gw_map_look_up(lookup->inverse, value, &row->run->scratch))
            return DONE;
        break;
    case OTHERWISE_FAIL:
        break;
    }
    none = *value;
    enum outcome outcome = settle(row, step, &none, GW_LOSS_LOOKUP, value);
    return outcome;
}

static bool call_lua(struct row *row, const struct gw_map_step *step, const struct gw_datum *value,
                     struct gw_datum *out)
{
    return gw_lua_call(row->run->lua, step->lua, row->in, value, &row->run->arena, out, row->err);
}

/* A function that ends with an error is settled like a value that does not fit. */
static enum outcome settle_lua(struct row *row, const struct gw_map_step *step, struct gw_datum *out)
{
    count_hit(row, step->column, GW_LOSS_LUA);
    *out = gw_datum_null();
    if (row->run->only_count || step->policy == GW_MAP_NULL)
        return DONE;
    if (step->policy != GW_MAP_QUARANTINE || row->keys_only)
        return FAILED;
    if (row->why)
        gw_buf_addf(row->why, "%s%s", row->why->len ? "; " : "", row->err->message);
    return ASIDE;
}

static bool row_is_whole(const struct row *row)
{
    const struct gw_map *map = row->run->map;
    const struct gw_definition *from = row->run->back ? &map->green : &map->blue;
    for (size_t i = 0; i < from->tables[row->collection].column_count; i++)
        if (is_missing(&row->in[i]))
            return false;
    return true;
}

/* Lua that speaks of the row needs all of it. */
static bool may_call(struct row *row, const struct gw_map_step *step)
{
    return !row->run->map->functions[step->lua].uses_row || row_is_whole(row);
}

static enum outcome change(struct row *row, const struct gw_map_step *step, struct gw_datum *out)
{
    const struct gw_column_rule *rule = step->rule;
    struct gw_arena *arena = &row->run->arena;
    struct gw_datum value = row->in[step->source];
    if (is_missing(&value)) {
        *out = value;
        return DONE;
    }
    if (rule && rule->trim && is_textual(&value))
        (void)gw_map_trim(&value, &value);
    if (rule && (rule->lower || rule->upper) && is_textual(&value))
        gw_case_map(&value, rule->upper, arena, &value);
    if (step->lookup) {
        enum outcome outcome = look_up(row, step, &value);
        if (outcome != DONE) {
            *out = value;
            return outcome;
        }
    }
    if (rule && (rule->mask || rule->hash) && value.kind != GW_KIND_NULL) {
        struct gw_datum text;
        if (!gw_map_text_of(&value, arena, &text))
            text = gw_datum_of_bytes(GW_KIND_TEXT, value.bytes, value.len);
        if (rule->mask)
            gw_map_mask(rule->mask, &text, arena, &value);
        else
            gw_map_hash(rule->hash, &text, step->to->kind == GW_KIND_BYTES, arena, &value);
    }
    if (step->lua >= 0) {
        if (!may_call(row, step))
            return fail_partial(row, step);
        if (!call_lua(row, step, &value, &value))
            return settle_lua(row, step, out);
    }
    return fit(row, step, &value, out);
}

/* Are the columns there, all of them or none? None: *out is so, too. */
static enum outcome pieces_state(struct row *row, const struct gw_map_step *step, struct gw_datum *out, bool *none)
{
    size_t columns = 0;
    size_t missing = 0;
    size_t absent = 0;
    for (size_t i = 0; i < step->piece_count; i++) {
        if (step->pieces[i].column < 0)
            continue;
        columns++;
        missing += is_missing(&row->in[step->pieces[i].column]);
        absent += row->in[step->pieces[i].column].kind == GW_KIND_ABSENT;
    }
    *none = columns > 0 && missing == columns;
    if (*none)
        *out = (struct gw_datum){.kind = absent == columns ? GW_KIND_ABSENT : GW_KIND_UNCHANGED};
    return missing == 0 || *none ? DONE : fail_partial(row, step);
}

static enum outcome concat(struct row *row, const struct gw_map_step *step, struct gw_datum *out)
{
    gw_autobuf struct gw_buf text = {0};
    bool none;
    bool any = false;
    bool columns = false;
    enum outcome outcome = pieces_state(row, step, out, &none);
    if (outcome != DONE || none)
        return outcome;
    for (size_t i = 0; i < step->piece_count; i++) {
        struct gw_datum part;
        if (step->pieces[i].column < 0) {
            gw_buf_adds(&text, step->pieces[i].text);
            continue;
        }
        columns = true;
        const struct gw_datum *value = &row->in[step->pieces[i].column];
        if (value->kind == GW_KIND_NULL)
            continue;
        any = true;
        if (!gw_map_text_of(value, &row->run->arena, &part))
            return settle(row, step, value, GW_LOSS_KIND, out);
        gw_buf_add(&text, part.bytes, part.len);
    }
    struct gw_datum value = gw_datum_null();
    if (any || !columns)
        value = gw_datum_of_bytes(GW_KIND_TEXT, gw_arena_dup(&row->run->arena, gw_buf_text(&text), text.len), text.len);
    if (step->rule && step->rule->trim && value.kind == GW_KIND_TEXT)
        (void)gw_map_trim(&value, &value);
    if (step->rule && (step->rule->lower || step->rule->upper) && value.kind == GW_KIND_TEXT)
        gw_case_map(&value, step->rule->upper, &row->run->arena, &value);
    return fit(row, step, &value, out);
}

static enum outcome split(struct row *row, const struct gw_map_step *step, struct gw_datum *out)
{
    const struct gw_datum *value = &row->in[step->source];
    struct gw_datum part = *value;
    if (value->kind != GW_KIND_NULL && !is_missing(value)) {
        struct gw_datum text;
        if (!gw_map_text_of(value, &row->run->arena, &text))
            return settle(row, step, value, GW_LOSS_KIND, out);
        gw_map_split(&text, step->separator, step->part, step->part_count, &part);
    }
    return fit(row, step, &part, out);
}

static enum outcome join(struct row *row, const struct gw_map_step *step, struct gw_datum *out)
{
    gw_autobuf struct gw_buf text = {0};
    bool none;
    size_t count = 0;
    enum outcome outcome = pieces_state(row, step, out, &none);
    if (outcome != DONE || none)
        return outcome;
    for (size_t i = 0; i < step->piece_count; i++) {
        const struct gw_datum *value = &row->in[step->pieces[i].column];
        struct gw_datum part;
        if (value->kind == GW_KIND_NULL || !gw_map_text_of(value, &row->run->arena, &part))
            continue;
        if (count++)
            gw_buf_adds(&text, step->separator);
        gw_buf_add(&text, part.bytes, part.len);
    }
    struct gw_datum value = gw_datum_null();
    if (count)
        value = gw_datum_of_bytes(GW_KIND_TEXT, gw_arena_dup(&row->run->arena, gw_buf_text(&text), text.len), text.len);
    return fit(row, step, &value, out);
}

static enum outcome from_row(struct row *row, const struct gw_map_step *step, struct gw_datum *out)
{
    struct gw_datum value;
    const struct gw_datum *source = step->source >= 0 ? &row->in[step->source] : NULL;
    if (!may_call(row, step))
        return fail_partial(row, step);
    if (source && is_missing(source)) {
        *out = *source;
        return DONE;
    }
    if (!call_lua(row, step, source, &value))
        return settle_lua(row, step, out);
    return fit(row, step, &value, out);
}

static enum outcome nothing(struct row *row, const struct gw_map_step *step, struct gw_datum *out)
{
    if (row->is_update) {
        *out = (struct gw_datum){.kind = GW_KIND_UNCHANGED};
        return DONE;
    }
    if (step->has_constant || row->run->only_count) {
        *out = step->has_constant ? step->constant : gw_datum_null();
        return DONE;
    }
    gw_fail(row->err, GW_ERR_CONFLICT, "a new row of green has nothing for %s of blue, which may not be NULL",
            step->name);
    gw_error_hint(row->err, "say in the rules of the column what a new row gets: back: ...");
    return FAILED;
}

static enum outcome take_step(struct row *row, const struct gw_map_step *step, struct gw_datum *out)
{
    switch (step->kind) {
    case STEP_COPY:
        *out = row->in[step->source];
        return DONE;
    case STEP_FIT:
        return fit(row, step, &row->in[step->source], out);
    case STEP_CHANGE:
        return change(row, step, out);
    case STEP_CONSTANT:
        *out = step->constant;
        return DONE;
    case STEP_CONCAT:
        return concat(row, step, out);
    case STEP_SPLIT:
        return split(row, step, out);
    case STEP_JOIN:
        return join(row, step, out);
    case STEP_LUA:
        return from_row(row, step, out);
    case STEP_NOTHING:
        return nothing(row, step, out);
    case STEP_COMPUTED:
        *out = gw_datum_null();
        return DONE;
    }
    return DONE;
}

/* ---- the filter ---- */

/* The same value; of decimals whatever their scale. */
static bool is_one(const struct gw_datum *a, const struct gw_datum *b)
{
    struct gw_decimal x;
    struct gw_decimal y;
    if (a->kind == GW_KIND_DECIMAL && b->kind == GW_KIND_DECIMAL &&
        gw_decimal_parse((const char *)a->bytes, a->len, &x) && gw_decimal_parse((const char *)b->bytes, b->len, &y))
        return gw_decimal_compare(&x, &y) == 0;
    return gw_datum_equal(a, b);
}

bool gw_map_lets_through(const struct gw_map_table *table, const struct gw_datum *value)
{
    bool found = false;
    for (size_t i = 0; !found && i < table->filter_count; i++)
        found = is_one(value, &table->filter_values[i]);
    return found != table->filter_not;
}

static bool passes(struct row *row, const struct gw_map_table *table, bool *moves)
{
    *moves = true;
    if (!table->filters)
        return true;
    if (table->filter_lua >= 0) {
        struct gw_datum answer;
        if (!row_is_whole(row))
            return fail_partial(row, NULL) == DONE;
        if (!gw_lua_call(row->run->lua, table->filter_lua, row->in, NULL, &row->run->arena, &answer, row->err))
            return false;
        *moves = answer.kind != GW_KIND_NULL && !(answer.kind == GW_KIND_BOOL && !answer.boolean);
        return true;
    }
    const struct gw_datum *value = &row->in[table->filter_column];
    if (is_missing(value))
        return fail_partial(row, NULL) == DONE;
    *moves = gw_map_lets_through(table, value);
    return true;
}

/* ---- rows ---- */

static bool map_row(struct row *row, struct gw_datum *out, enum gw_map_verdict *verdict)
{
    const struct gw_map_table *table = &row->run->map->tables[row->run->back][row->collection];
    bool moves;
    *verdict = GW_MAP_KEEP;
    if (table->plain && !row->stays) {
        memcpy(out, row->in, table->count * sizeof *out);
        return true;
    }
    if (!passes(row, table, &moves))
        return false;
    if (!moves) {
        *verdict = GW_MAP_LEAVE_OUT;
        return true;
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct gw_map_step *step = &table->steps[i];
        if (row->stays && row->stays[i]) {
            out[i] = (struct gw_datum){.kind = GW_KIND_UNCHANGED};
            continue;
        }
        if (step->kind == STEP_COPY) {
            out[i] = row->in[step->source];
            continue;
        }
        enum outcome outcome = take_step(row, step, &out[i]);
        if (outcome == FAILED)
            return false;
        if (outcome == ASIDE)
            *verdict = GW_MAP_SET_ASIDE;
    }
    return true;
}

bool gw_map_row(struct gw_map_run *run, uint32_t collection, const struct gw_datum *in, struct gw_datum *out,
                enum gw_map_verdict *verdict, struct gw_buf *why, struct gw_error *err)
{
    struct row row = {.run = run, .collection = collection, .in = in, .why = why, .err = err};
    return map_row(&row, out, verdict);
}

bool gw_map_row_update(struct gw_map_run *run, uint32_t collection, const struct gw_datum *in, const bool *stays,
                       struct gw_datum *out, enum gw_map_verdict *verdict, struct gw_buf *why, struct gw_error *err)
{
    struct row row = {
        .run = run, .collection = collection, .in = in, .stays = stays, .is_update = true, .why = why, .err = err};
    return map_row(&row, out, verdict);
}

/* Of a key only what is made from its columns alone can be told. */
static bool is_of_one(const struct gw_map_step *step, const struct gw_map *map)
{
    if (step->kind == STEP_CHANGE)
        return step->lua < 0 || !map->functions[step->lua].uses_row;
    return step->kind == STEP_COPY || step->kind == STEP_FIT || step->kind == STEP_SPLIT;
}

bool gw_map_key(struct gw_map_run *run, uint32_t collection, const struct gw_datum *in, struct gw_datum *out,
                struct gw_error *err)
{
    const struct gw_map_table *table = &run->map->tables[run->back][collection];
    struct row row = {.run = run, .collection = collection, .in = in, .keys_only = true, .err = err};
    if (table->plain) {
        memcpy(out, in, table->count * sizeof *out);
        return true;
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct gw_map_step *step = &table->steps[i];
        out[i] = (struct gw_datum){.kind = GW_KIND_ABSENT};
        bool whole = step->kind == STEP_JOIN && row_is_whole(&row);
        if (!whole && (!is_of_one(step, run->map) || in[step->source].kind == GW_KIND_ABSENT))
            continue;
        if (run->back && !step->exact)
            continue;
        if (take_step(&row, step, &out[i]) == FAILED)
            return false;
    }
    return true;
}

/* ---- the filter, asked of a row of green ---- */

/* What blue holds for this row in a column, where green's row alone says it; else ABSENT. */
static struct gw_datum back_on_blue(struct row *row, int column)
{
    const struct gw_map_step *step = &row->run->map->tables[1][row->collection].steps[column];
    struct gw_datum value;
    if (!step->exact || take_step(row, step, &value) != DONE)
        return (struct gw_datum){.kind = GW_KIND_ABSENT};
    return value;
}

static bool lua_lets_through(struct row *row, const struct gw_map_table *table)
{
    size_t count = row->run->map->blue.tables[row->collection].column_count;
    struct gw_datum *blue = gw_arena_zalloc(&row->run->arena, (count + 1) * sizeof *blue);
    struct gw_datum answer;
    for (size_t i = 0; i < count; i++)
        blue[i] = back_on_blue(row, (int)i);
    if (!gw_lua_call(row->run->lua, table->filter_lua, blue, NULL, &row->run->arena, &answer, row->err) ||
        gw_lua_missed(row->run->lua))
        return true;
    return answer.kind != GW_KIND_NULL && !(answer.kind == GW_KIND_BOOL && !answer.boolean);
}

bool gw_map_belongs(struct gw_map_run *run, uint32_t collection, const struct gw_datum *green)
{
    const struct gw_map_table *table = &run->map->tables[0][collection];
    struct gw_error ignored;
    struct row row = {.run = run, .collection = collection, .in = green, .err = &ignored};
    if (!table->filters)
        return true;
    gw_error_clear(&ignored);
    if (table->filter_lua >= 0)
        return lua_lets_through(&row, table);
    struct gw_datum value = back_on_blue(&row, table->filter_column);
    return is_missing(&value) || gw_map_lets_through(table, &value);
}
