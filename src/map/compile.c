/* From definition and rules to a map. */
#include "base/mem.h"
#include "map/internal.h"
#include "model/setting.h"

#include <string.h>

const struct gw_column_rule *gw_map_column_rule(const struct gw_collection_rule *rule, const char *column)
{
    for (size_t i = 0; rule && i < rule->column_count; i++)
        if (strcmp(rule->columns[i].name, column) == 0)
            return &rule->columns[i];
    return NULL;
}

const char *gw_map_green_name(const struct gw_collection_rule *rule, const char *column)
{
    const struct gw_column_rule *found = gw_map_column_rule(rule, column);
    return found && found->rename ? found->rename : column;
}

void gw_map_name(const struct gw_table_definition *table, const char *column, struct gw_buf *out)
{
    if (table->space && table->space[0])
        gw_buf_addf(out, "%s.", table->space);
    gw_buf_adds(out, table->name);
    if (column)
        gw_buf_addf(out, ".%s", column);
}

static bool is_column_of(const struct gw_index_definition *index, const char *column)
{
    for (size_t i = 0; i < index->part_count; i++)
        if (index->parts[i].column && strcmp(index->parts[i].column, column) == 0)
            return true;
    return false;
}

/* A unique index without NULLs can stand in for a primary key. */
static bool can_be_key(const struct gw_table_definition *table, const struct gw_index_definition *index)
{
    if (index->kind != GW_INDEX_UNIQUE || index->where)
        return false;
    for (size_t i = 0; i < index->part_count; i++) {
        int column = index->parts[i].column ? gw_table_column(table, index->parts[i].column) : -1;
        if (column < 0 || !table->columns[column].not_null || index->parts[i].prefix)
            return false;
    }
    return true;
}

bool gw_map_in_key(const struct gw_table_definition *table, const char *column)
{
    bool primary = false;
    for (size_t i = 0; i < table->index_count; i++) {
        if (table->indexes[i].kind != GW_INDEX_PRIMARY)
            continue;
        primary = true;
        if (is_column_of(&table->indexes[i], column))
            return true;
    }
    for (size_t i = 0; !primary && i < table->index_count; i++)
        if (can_be_key(table, &table->indexes[i]) && is_column_of(&table->indexes[i], column))
            return true;
    return false;
}

bool gw_map_can_convert(enum gw_kind from, enum gw_kind to)
{
    bool number = from == GW_KIND_BOOL || from == GW_KIND_INT64 || from == GW_KIND_UINT64 || from == GW_KIND_DECIMAL ||
                  from == GW_KIND_TEXT || from == GW_KIND_ENUM || from == GW_KIND_BITS;
    if (from == to || from == GW_KIND_NULL || to == GW_KIND_NULL)
        return true;
    switch (to) {
    case GW_KIND_TEXT:
    case GW_KIND_JSON:
        return from != GW_KIND_GEOMETRY;
    case GW_KIND_ENUM:
        return from != GW_KIND_GEOMETRY && from != GW_KIND_ARRAY;
    case GW_KIND_BYTES:
        return from == GW_KIND_TEXT || from == GW_KIND_UUID || from == GW_KIND_JSON || from == GW_KIND_GEOMETRY;
    case GW_KIND_BOOL:
        return number || from == GW_KIND_FLOAT32 || from == GW_KIND_FLOAT64;
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
    case GW_KIND_DECIMAL:
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
        return number || from == GW_KIND_FLOAT32 || from == GW_KIND_FLOAT64 || from == GW_KIND_JSON;
    case GW_KIND_DATE:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        return from == GW_KIND_DATE || from == GW_KIND_TIMESTAMP || from == GW_KIND_TIMESTAMPTZ || from == GW_KIND_TEXT;
    case GW_KIND_TIME:
        return from == GW_KIND_INTERVAL || from == GW_KIND_TEXT;
    case GW_KIND_INTERVAL:
        return from == GW_KIND_TIME || from == GW_KIND_TEXT;
    case GW_KIND_UUID:
        return from == GW_KIND_BYTES || from == GW_KIND_TEXT;
    case GW_KIND_ARRAY:
        return from == GW_KIND_JSON || from == GW_KIND_TEXT;
    case GW_KIND_BITS:
        return from == GW_KIND_BOOL || from == GW_KIND_INT64 || from == GW_KIND_UINT64 || from == GW_KIND_TEXT;
    case GW_KIND_GEOMETRY:
        return from == GW_KIND_BYTES;
    default:
        return false;
    }
}

bool gw_map_constant(struct gw_map_compiler *compiler, const struct gw_yaml_node *node, const struct gw_type *to,
                     struct gw_datum *out, struct gw_error *err)
{
    struct gw_map *map = compiler->map;
    struct gw_convert convert = {.to = to, .policy = GW_MAP_FAIL, .arena = &map->arena};
    *out = gw_datum_null();
    if (gw_yaml_is_null(node))
        return true;
    struct gw_datum text = gw_datum_text(node->text);
    struct gw_datum value;
    if (!gw_map_convert(&convert, &text, &value)) {
        gw_autobuf struct gw_buf words = {0};
        gw_type_print(to, &words);
        gw_fail(err, GW_ERR_USER, "\"%.80s\" does not fit %s (%s)", node->text, gw_buf_text(&words),
                gw_map_loss_name(convert.loss));
        return gw_map_fail_at(map->rules, node, err);
    }
    *out = gw_datum_copy(&map->arena, &value);
    return true;
}

/* ---- which rule is whose ---- */

static bool names_table(const char *rule, const struct gw_table_definition *table, bool with_space)
{
    if (!with_space)
        return strcmp(rule, table->name) == 0;
    size_t len = table->space ? strlen(table->space) : 0;
    return len && strncmp(rule, table->space, len) == 0 && rule[len] == '.' && strcmp(rule + len + 1, table->name) == 0;
}

static bool fail_no_table(struct gw_map_compiler *c, const struct gw_collection_rule *rule, struct gw_error *err)
{
    const struct gw_definition *blue = &c->map->blue;
    const char *dot = strrchr(rule->name, '.');
    const char *name = dot ? dot + 1 : rule->name;
    const struct gw_table_definition *like = NULL;
    unsigned best = (unsigned)strlen(name) / 3 + 2;
    for (size_t i = 0; i < blue->table_count; i++) {
        unsigned edits = gw_setting_distance(name, blue->tables[i].name);
        if (edits < best) {
            best = edits;
            like = &blue->tables[i];
        }
    }
    gw_fail(err, GW_ERR_USER, "there is no collection %.100s among those that move", rule->name);
    if (like) {
        gw_autobuf struct gw_buf shown = {0};
        gw_map_name(like, NULL, &shown);
        gw_error_hint(err, "did you mean \"%s\"?", gw_buf_text(&shown));
    } else {
        gw_error_hint(err, "names are as on blue, schema.table where there are schemas; see include and exclude");
    }
    return gw_map_fail_at(c->map->rules, rule->place, err);
}

static bool fail_ambiguous(struct gw_map_compiler *c, const struct gw_collection_rule *rule, struct gw_error *err)
{
    gw_fail(err, GW_ERR_USER, "there is more than one collection %.100s", rule->name);
    gw_error_hint(err, "write schema.table");
    return gw_map_fail_at(c->map->rules, rule->place, err);
}

/* The table of a rule: by its full name, by name in the usual space, by name alone where there is but one. */
static bool find_table(struct gw_map_compiler *c, const struct gw_collection_rule *rule, size_t *out,
                       struct gw_error *err)
{
    const struct gw_definition *blue = &c->map->blue;
    size_t found = 0;
    for (size_t i = 0; i < blue->table_count; i++) {
        if (names_table(rule->name, &blue->tables[i], true)) {
            *out = i;
            return true;
        }
    }
    for (size_t i = 0; i < blue->table_count; i++) {
        const char *space = blue->tables[i].space ? blue->tables[i].space : "";
        if (!names_table(rule->name, &blue->tables[i], false))
            continue;
        if (strcmp(space, c->options->default_space[0] ? c->options->default_space[0] : "") == 0) {
            *out = i;
            return true;
        }
        *out = i;
        found++;
    }
    if (found == 1)
        return true;
    return found ? fail_ambiguous(c, rule, err) : fail_no_table(c, rule, err);
}

static bool fail_no_column(struct gw_map_compiler *c, const struct gw_table_definition *table, const char *name,
                           const struct gw_yaml_node *place, struct gw_error *err)
{
    const char *like = NULL;
    unsigned best = (unsigned)strlen(name) / 3 + 2;
    gw_autobuf struct gw_buf shown = {0};
    for (size_t i = 0; i < table->column_count; i++) {
        unsigned edits = gw_setting_distance(name, table->columns[i].name);
        if (edits < best) {
            best = edits;
            like = table->columns[i].name;
        }
    }
    gw_map_name(table, NULL, &shown);
    gw_fail(err, GW_ERR_USER, "%s has no column %.80s", gw_buf_text(&shown), name);
    if (like)
        gw_error_hint(err, "did you mean \"%s\"?", like);
    return gw_map_fail_at(c->map->rules, place, err);
}

static bool match_rules(struct gw_map_compiler *c, struct gw_error *err)
{
    struct gw_rules *rules = c->map->rules;
    for (size_t i = 0; rules && i < rules->count; i++) {
        const struct gw_collection_rule *rule = &rules->collections[i];
        size_t table = 0;
        if (!find_table(c, rule, &table, err))
            return false;
        if (c->rule_of[table]) {
            gw_fail(err, GW_ERR_USER, "%.100s has rules already, as %.100s", rule->name, c->rule_of[table]->name);
            return gw_map_fail_at(rules, rule->place, err);
        }
        c->rule_of[table] = rule;
        const struct gw_table_definition *blue = &c->map->blue.tables[table];
        for (size_t j = 0; j < rule->column_count; j++)
            if (gw_table_column(blue, rule->columns[j].name) < 0)
                return fail_no_column(c, blue, rule->columns[j].name, rule->columns[j].place, err);
        for (size_t j = 0; j < rule->added_count; j++)
            if (rule->added[j].column && gw_table_column(blue, rule->added[j].column) < 0)
                return fail_no_column(c, blue, rule->added[j].column, rule->added[j].place, err);
        if (rule->where_column && gw_table_column(blue, rule->where_column) < 0)
            return fail_no_column(c, blue, rule->where_column, rule->where, err);
    }
    return true;
}

bool gw_map_function(struct gw_map_compiler *compiler, uint32_t table, bool back, const char *column,
                     const struct gw_yaml_node *node, int *out, struct gw_error *err)
{
    struct gw_map *map = compiler->map;
    gw_autobuf struct gw_buf name = {0};
    gw_map_name(&map->blue.tables[table], column, &name);
    if (back)
        gw_buf_adds(&name, " (back)");
    if (!gw_lua_check(node->text, gw_buf_text(&name), err))
        return gw_map_fail_at(map->rules, node, err);
    map->functions = gw_grow(map->functions, &map->function_capacity, map->function_count, sizeof *map->functions);
    *out = (int)map->function_count;
    map->functions[map->function_count++] = (struct gw_map_lua){
        .code = node->text,
        .name = gw_buf_detach(&name),
        .uses_row = strstr(node->text, "row") != NULL,
        .table = table,
        .back = back,
    };
    return true;
}

/* ---- lookups ---- */

static int compare_entries(const void *a, const void *b)
{
    const struct gw_map_lookup_entry *x = a;
    const struct gw_map_lookup_entry *y = b;
    size_t both = x->key_len < y->key_len ? x->key_len : y->key_len;
    int order = memcmp(x->key, y->key, both);
    return order ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

static void set_key(struct gw_map_lookup_entry *entry, const struct gw_datum *key)
{
    struct gw_buf flat = {0};
    gw_datum_write(&flat, key);
    entry->key_len = flat.len;
    entry->key = (unsigned char *)gw_buf_detach(&flat);
}

/* Sorted; false when a key is there twice. */
static bool sort_entries(struct gw_map_lookup *lookup)
{
    qsort(lookup->entries, lookup->count, sizeof *lookup->entries, compare_entries);
    for (size_t i = 1; i < lookup->count; i++)
        if (compare_entries(&lookup->entries[i - 1], &lookup->entries[i]) == 0)
            return false;
    return true;
}

void gw_map_lookup_free(struct gw_map_lookup *lookup)
{
    if (!lookup)
        return;
    for (size_t i = 0; i < lookup->count; i++)
        free(lookup->entries[i].key);
    free(lookup->entries);
    gw_map_lookup_free(lookup->inverse);
    free(lookup);
}

/* From what green gives back to what blue had. */
static struct gw_map_lookup *invert(const struct gw_datum *keys, const struct gw_datum *values, size_t count,
                                    enum gw_rule_otherwise otherwise)
{
    struct gw_map_lookup *inverse = gw_zalloc(sizeof *inverse);
    bool null_key = false;
    bool null_value = false;
    inverse->entries = gw_calloc(count, sizeof *inverse->entries);
    inverse->count = count;
    inverse->otherwise = otherwise;
    for (size_t i = 0; i < count; i++) {
        set_key(&inverse->entries[i], &values[i]);
        inverse->entries[i].value = keys[i];
        null_key = null_key || keys[i].kind == GW_KIND_NULL;
        null_value = null_value || values[i].kind == GW_KIND_NULL;
    }
    bool told_apart = otherwise == OTHERWISE_FAIL || otherwise == OTHERWISE_KEEP;
    if (sort_entries(inverse) && told_apart && (!null_value || null_key))
        return inverse;
    gw_map_lookup_free(inverse);
    return NULL;
}

bool gw_map_lookup_make(struct gw_map_compiler *compiler, const struct gw_column_rule *rule, const struct gw_type *from,
                        const struct gw_type *to, const struct gw_type *green, const struct gw_map_lookup **out,
                        struct gw_error *err)
{
    struct gw_map *map = compiler->map;
    const struct gw_yaml_node *node = rule->lookup;
    struct gw_map_lookup *lookup = gw_zalloc(sizeof *lookup);
    map->lookups = gw_grow(map->lookups, &map->lookup_capacity, map->lookup_count, sizeof(struct gw_map_lookup *));
    map->lookups[map->lookup_count++] = lookup;
    lookup->entries = gw_calloc(node->count, sizeof *lookup->entries);
    lookup->otherwise = rule->otherwise;
    struct gw_datum *keys = gw_arena_zalloc(&map->arena, node->count * sizeof *keys);
    struct gw_datum *values = gw_arena_zalloc(&map->arena, node->count * sizeof *values);
    for (size_t i = 0; i < node->count; i++) {
        struct gw_map_lookup_entry *entry = &lookup->entries[i];
        if (!gw_map_constant(compiler, node->keys[i], from, &keys[i], err) ||
            !gw_map_constant(compiler, node->items[i], to, &entry->value, err) ||
            !gw_map_constant(compiler, node->items[i], green, &values[i], err))
            return gw_error_prefix(err, "lookup of %.80s", rule->name);
        set_key(entry, &keys[i]);
        lookup->count++;
    }
    if (!sort_entries(lookup)) {
        gw_fail(err, GW_ERR_USER, "the lookup of %.80s has two keys that are one value", rule->name);
        return gw_map_fail_at(map->rules, node, err);
    }
    if (rule->otherwise_value && !gw_map_constant(compiler, rule->otherwise_value, to, &lookup->otherwise_value, err))
        return false;
    lookup->inverse = invert(keys, values, node->count, rule->otherwise);
    *out = lookup;
    return true;
}

/* ---- the whole ---- */

static void copy_definition(struct gw_definition *to, const struct gw_definition *from)
{
    to->sql_of = from->sql_of ? gw_strdup(from->sql_of) : NULL;
    for (size_t i = 0; i < from->table_count; i++)
        gw_table_definition_copy(gw_definition_add_table(to), &from->tables[i]);
    for (size_t i = 0; i < from->object_count; i++)
        gw_definition_add_object(to, from->objects[i].kind, from->objects[i].name, from->objects[i].sql);
}

static void name_objects(struct gw_map_compiler *c)
{
    const struct gw_definition *blue = &c->map->blue;
    for (size_t i = 0; i < blue->object_count; i++) {
        const struct gw_object_definition *object = &blue->objects[i];
        gw_map_add_loss(c->losses, GW_MAP_NO_COLLECTION, -1, GW_LOSS_OBJECT, GW_MAP_FAIL,
                        "%s %s is left for a person to port", object->kind, object->name);
        struct gw_map_loss *loss = gw_map_last_loss(c->losses);
        free(loss->id);
        loss->id = gw_strdup(object->kind);
        for (char *p = loss->id; *p; p++)
            if (*p == ' ')
                *p = '-';
    }
}

static void release_compiler(struct gw_map_compiler *c)
{
    for (size_t i = 0; c->wanted && i < c->map->blue.table_count; i++) {
        size_t count = i < c->map->green.table_count ? c->map->green.tables[i].column_count : 0;
        for (size_t j = 0; c->wanted[i] && j < count; j++)
            gw_type_release(&c->wanted[i][j]);
        free(c->wanted[i]);
    }
    free(c->wanted);
    free(c->rule_of);
}

static bool compile(struct gw_map_compiler *c, struct gw_error *err)
{
    struct gw_map *map = c->map;
    size_t count = map->blue.table_count;
    c->rule_of = gw_calloc(count + 1, sizeof(struct gw_collection_rule *));
    c->wanted = gw_calloc(count + 1, sizeof(struct gw_type *));
    c->computed = gw_arena_zalloc(&map->arena, (count + 1) * sizeof(bool *));
    map->green_of = gw_arena_zalloc(&map->arena, (count + 1) * sizeof(int *));
    for (int back = 0; back < 2; back++)
        map->tables[back] = gw_arena_zalloc(&map->arena, (count + 1) * sizeof(struct gw_map_table));
    if (!match_rules(c, err) || !gw_map_define(c, err) || !gw_map_define_rest(c, err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!gw_map_plan(c, (uint32_t)i, err))
            return false;
    name_objects(c);
    return true;
}

bool gw_map_compile(const struct gw_map_options *options, struct gw_map **out, struct gw_map_losses *losses,
                    struct gw_error *err)
{
    struct gw_map *map = gw_zalloc(sizeof *map);
    struct gw_map_losses found = {0};
    struct gw_map_compiler compiler = {.options = options, .map = map, .losses = &found};
    map->rules = gw_rules_ref(options->rules);
    map->green_engine = gw_strdup(options->green_engine ? options->green_engine : "");
    copy_definition(&map->blue, options->blue);
    map->green.sql_of = gw_strdup(map->green_engine);
    compiler.same_engine = map->blue.sql_of && strcmp(map->blue.sql_of, map->green_engine) == 0;
    bool ok = compile(&compiler, err);
    release_compiler(&compiler);
    if (ok) {
        *out = map;
        *losses = found;
        return true;
    }
    gw_map_losses_release(&found);
    gw_map_free(map);
    return false;
}

void gw_map_free(struct gw_map *map)
{
    if (!map)
        return;
    for (size_t i = 0; i < map->function_count; i++)
        free(map->functions[i].name);
    free(map->functions);
    for (size_t i = 0; i < map->lookup_count; i++)
        gw_map_lookup_free(map->lookups[i]);
    free(map->lookups);
    free(map->green_engine);
    gw_definition_release(&map->blue);
    gw_definition_release(&map->green);
    gw_arena_release(&map->arena);
    gw_rules_free(map->rules);
    free(map);
}

const struct gw_definition *gw_map_definition(const struct gw_map *map)
{
    return &map->green;
}

const struct gw_definition *gw_map_blue_definition(const struct gw_map *map)
{
    return &map->blue;
}

bool gw_map_filters(const struct gw_map *map, uint32_t collection)
{
    return map->tables[0][collection].filters;
}

bool gw_map_needs_whole_rows(const struct gw_map *map, uint32_t collection, bool back)
{
    return map->tables[back][collection].needs_whole;
}

int gw_map_column(const struct gw_map *map, uint32_t collection, int column, bool back)
{
    const struct gw_map_table *table = &map->tables[back][collection];
    for (size_t i = 0; i < table->count; i++) {
        const struct gw_map_step *step = &table->steps[i];
        bool whole = step->kind == STEP_COPY || step->kind == STEP_FIT || step->kind == STEP_CHANGE;
        if (whole && step->source == column)
            return (int)i;
    }
    return -1;
}

bool gw_map_compares(const struct gw_map *map, uint32_t collection, int column, bool back)
{
    const struct gw_map_table *table = &map->tables[back][collection];
    return column >= 0 && (size_t)column < table->count && table->steps[column].exact;
}
