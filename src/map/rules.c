/* The tree of rules as structs. The shape is checked already (model/rule_read.c); here is what keys say of each other. */
#include "base/mem.h"
#include "map/internal.h"

#include <string.h>

bool gw_map_fail_at(const struct gw_rules *rules, const struct gw_yaml_node *node, struct gw_error *err)
{
    return gw_yaml_place(&rules->yaml, node, err);
}

static struct gw_yaml_node *copy_tree(struct gw_arena *arena, const struct gw_yaml_node *from)
{
    struct gw_yaml_node *to = gw_arena_alloc(arena, sizeof *to);
    *to = *from;
    if (from->text)
        to->text = gw_arena_strdup(arena, from->text);
    if (from->kind == GW_YAML_SCALAR)
        return to;
    to->keys = gw_arena_zalloc(arena, (from->count + 1) * sizeof(struct gw_yaml_node *));
    to->items = gw_arena_zalloc(arena, (from->count + 1) * sizeof(struct gw_yaml_node *));
    for (size_t i = 0; i < from->count; i++) {
        if (from->kind == GW_YAML_MAPPING)
            to->keys[i] = copy_tree(arena, from->keys[i]);
        to->items[i] = copy_tree(arena, from->items[i]);
    }
    return to;
}

static const char *text_of(const struct gw_yaml_node *mapping, const char *key)
{
    const struct gw_yaml_node *node = gw_yaml_get(mapping, key);
    return node && node->kind == GW_YAML_SCALAR ? node->text : NULL;
}

static bool is_true(const struct gw_yaml_node *mapping, const char *key)
{
    const char *text = text_of(mapping, key);
    return text && strcmp(text, "true") == 0;
}

/* The place of a word among others, -1 when it is not given. */
static int choice(const struct gw_yaml_node *mapping, const char *key, const char *const *words, int count)
{
    const char *text = text_of(mapping, key);
    for (int i = 0; text && i < count; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    return -1;
}

static void read_back(struct gw_column_rule *rule, const struct gw_yaml_node *back)
{
    rule->back = back;
    if (!back)
        return;
    if (back->kind == GW_YAML_SCALAR) {
        rule->back_constant = back;
        return;
    }
    rule->back_constant = gw_yaml_get(back, "constant");
    rule->back_lua = gw_yaml_get(back, "lua");
    rule->back_column = text_of(back, "column");
    rule->back_as_is = is_true(back, "as_is");
    rule->back_keep = is_true(back, "keep");
}

static bool read_typed(struct gw_rules *rules, struct gw_column_rule *rule, const struct gw_yaml_node *node,
                       struct gw_error *err)
{
    rule->type_node = gw_yaml_get(node, "type");
    rule->zone_node = gw_yaml_get(node, "zone");
    if (rule->type_node && !gw_map_parse_type(rule->type_node->text, &rule->type, err))
        return gw_map_fail_at(rules, rule->type_node, err);
    rule->has_type = rule->type_node != NULL;
    if (rule->zone_node && !gw_zone_open(rule->zone_node->text, &rule->zone, err))
        return gw_map_fail_at(rules, rule->zone_node, err);
    return true;
}

static bool read_column(struct gw_rules *rules, struct gw_column_rule *rule, const struct gw_yaml_node *name,
                        const struct gw_yaml_node *node, struct gw_error *err)
{
    static const char *const otherwise[] = {"fail", "null", "keep"};
    static const char *const masks[] = {"", "all", "last4", "first1", "email"};
    static const char *const policies[] = {"fail", "round", "truncate", "null", "quarantine"};
    rule->place = name;
    rule->name = name->text;
    rule->rename = text_of(node, "rename");
    rule->drop = is_true(node, "drop");
    rule->trim = is_true(node, "trim");
    rule->lower = is_true(node, "lower");
    rule->upper = is_true(node, "upper");
    rule->constant = gw_yaml_get(node, "constant");
    rule->lookup = gw_yaml_get(node, "lookup");
    rule->otherwise_value = gw_yaml_get(node, "otherwise_value");
    rule->lua = gw_yaml_get(node, "lua");
    rule->hash = text_of(node, "hash");
    rule->column = text_of(node, "column");
    rule->concat = text_of(node, "concat");
    rule->generated = text_of(node, "generated");
    const struct gw_yaml_node *split = gw_yaml_get(node, "split");
    rule->separator = split ? text_of(split, "separator") : NULL;
    rule->split_into = split ? gw_yaml_get(split, "into") : NULL;
    int found = choice(node, "otherwise", otherwise, 3);
    rule->otherwise = rule->otherwise_value ? OTHERWISE_VALUE
                      : found < 0           ? OTHERWISE_FAIL
                                            : (enum gw_rule_otherwise)found;
    found = choice(node, "mask", masks, 5);
    rule->mask = found < 0 ? MASK_NONE : (enum gw_rule_mask)found;
    found = choice(node, "on_loss", policies, 5);
    rule->has_policy = found >= 0;
    rule->policy = found < 0 ? GW_MAP_FAIL : (enum gw_map_policy)found;
    read_back(rule, gw_yaml_get(node, "back"));
    if (split && (!rule->separator || !rule->split_into)) {
        gw_fail(err, GW_ERR_USER, "the split of %s needs \"separator\" and \"into\"", rule->name);
        return gw_map_fail_at(rules, split, err);
    }
    if ((rule->otherwise_value || gw_yaml_get(node, "otherwise")) && !rule->lookup) {
        gw_fail(err, GW_ERR_USER, "\"otherwise\" means nothing without \"lookup\"");
        return gw_map_fail_at(rules, name, err);
    }
    return read_typed(rules, rule, node, err);
}

static bool fail_rule(struct gw_rules *rules, const struct gw_column_rule *rule, struct gw_error *err, const char *what,
                      const char *hint)
{
    gw_fail(err, GW_ERR_USER, "column %.80s: %s", rule->name, what);
    if (hint)
        gw_error_hint(err, "%s", hint);
    return gw_map_fail_at(rules, rule->place, err);
}

static bool changes(const struct gw_column_rule *rule)
{
    return rule->trim || rule->lower || rule->upper || rule->lookup || rule->mask || rule->hash || rule->lua;
}

static bool check_column(struct gw_rules *rules, const struct gw_column_rule *rule, struct gw_error *err)
{
    int backs =
        (rule->back_constant != NULL) + (rule->back_lua != NULL) + (rule->back_column != NULL) + rule->back_as_is;
    if (rule->lower && rule->upper)
        return fail_rule(rules, rule, err, "lower and upper cannot be both", NULL);
    if (rule->drop && (rule->rename || rule->constant || changes(rule) || rule->has_type || rule->split_into))
        return fail_rule(rules, rule, err, "a dropped column cannot be changed as well",
                         "what depends on it goes under \"add\"");
    if (rule->generated && (rule->drop || rule->constant || changes(rule) || rule->split_into || rule->back))
        return fail_rule(rules, rule, err, "what green computes is not made by a rule as well",
                         "with generated go rename and type alone");
    if (rule->drop && rule->back_as_is)
        return fail_rule(rules, rule, err, "a dropped column is not on green: it cannot come back as it is", NULL);
    if (rule->constant && changes(rule))
        return fail_rule(rules, rule, err, "a constant is not changed: write what it shall be", NULL);
    if (rule->split_into && (changes(rule) || rule->constant || rule->rename || rule->has_type))
        return fail_rule(rules, rule, err, "a column that is split has no other rule", NULL);
    if (rule->split_into && rule->split_into->count < 2)
        return fail_rule(rules, rule, err, "a split needs at least two columns to go into", NULL);
    if (rule->hash && rule->mask)
        return fail_rule(rules, rule, err, "mask and hash cannot be both", NULL);
    if (backs > 1)
        return fail_rule(rules, rule, err, "\"back\" says more than one thing",
                         "one of constant, column, lua, as_is; keep goes with constant");
    if (rule->back && backs == 0 && !rule->back_keep)
        return fail_rule(rules, rule, err, "\"back\" says nothing", "one of constant, column, lua, as_is, keep");
    return true;
}

static bool check_added(struct gw_rules *rules, const struct gw_column_rule *rule, struct gw_error *err)
{
    int sources = (rule->constant != NULL) + (rule->column != NULL) + (rule->concat != NULL);
    bool from_lua = sources == 0 && rule->lua;
    if (sources > 1)
        return fail_rule(rules, rule, err, "more than one of constant, column, concat says what is in it", NULL);
    if (sources == 0 && !from_lua)
        return fail_rule(rules, rule, err, "nothing says what is in it", "one of constant, column, concat, lua");
    if (from_lua && !rule->has_type)
        return fail_rule(rules, rule, err, "what Lua returns needs a type", "add for instance type: text");
    if (from_lua && (rule->trim || rule->lower || rule->upper || rule->lookup || rule->mask || rule->hash))
        return fail_rule(rules, rule, err, "what Lua returns is not changed further",
                         "do it in the Lua, or name a column");
    if ((rule->constant || rule->concat) &&
        (rule->lookup || rule->mask || rule->hash || rule->lua || (rule->constant && changes(rule))))
        return fail_rule(rules, rule, err, "only a column can be changed on", "begin with \"column\"");
    if (rule->lower && rule->upper)
        return fail_rule(rules, rule, err, "lower and upper cannot be both", NULL);
    return true;
}

static bool read_columns(struct gw_rules *rules, const struct gw_yaml_node *node, bool added,
                         struct gw_column_rule **out, size_t *count, struct gw_error *err)
{
    if (!node)
        return true;
    *out = gw_calloc(node->count + 1, sizeof **out);
    for (size_t i = 0; i < node->count; i++) {
        struct gw_column_rule *rule = &(*out)[(*count)++];
        if (!read_column(rules, rule, node->keys[i], node->items[i], err))
            return false;
        if (added ? !check_added(rules, rule, err) : !check_column(rules, rule, err))
            return false;
    }
    return true;
}

static bool read_where(struct gw_rules *rules, struct gw_collection_rule *rule, struct gw_error *err)
{
    const struct gw_yaml_node *where = rule->where;
    if (!where)
        return true;
    rule->where_column = text_of(where, "column");
    rule->where_in = gw_yaml_get(where, "in");
    rule->where_not_in = gw_yaml_get(where, "not_in");
    rule->where_lua = gw_yaml_get(where, "lua");
    bool listed = rule->where_column && !rule->where_in != !rule->where_not_in && !rule->where_lua;
    bool lua = rule->where_lua && !rule->where_column && !rule->where_in && !rule->where_not_in;
    if (listed || lua)
        return true;
    gw_fail(err, GW_ERR_USER, "\"where\" needs a column with either in or not_in, or lua");
    gw_error_hint(err, "for instance where: { column: state, not_in: [deleted] }");
    return gw_map_fail_at(rules, where, err);
}

static bool read_collection(struct gw_rules *rules, struct gw_collection_rule *rule, const struct gw_yaml_node *name,
                            const struct gw_yaml_node *node, struct gw_error *err)
{
    rule->place = name;
    rule->name = name->text;
    rule->rename = text_of(node, "rename");
    rule->where = gw_yaml_get(node, "where");
    return read_where(rules, rule, err) &&
           read_columns(rules, gw_yaml_get(node, "columns"), false, &rule->columns, &rule->column_count, err) &&
           read_columns(rules, gw_yaml_get(node, "add"), true, &rule->added, &rule->added_count, err);
}

bool gw_rules_parse(const struct gw_yaml *collections, struct gw_rules **out, struct gw_error *err)
{
    struct gw_rules *rules = gw_zalloc(sizeof *rules);
    rules->references = 1;
    bool ok = true;
    if (collections->root) {
        rules->yaml.file = gw_arena_strdup(&rules->yaml.arena, collections->file);
        struct gw_yaml_node *root = copy_tree(&rules->yaml.arena, collections->root);
        rules->yaml.root = root;
        rules->collections = gw_calloc(root->count + 1, sizeof *rules->collections);
        for (size_t i = 0; ok && i < root->count; i++) {
            ok = read_collection(rules, &rules->collections[rules->count++], root->keys[i], root->items[i], err);
            if (!ok)
                gw_error_prefix(err, "collection %.80s", root->keys[i]->text);
        }
    }
    if (ok)
        *out = rules;
    else
        gw_rules_free(rules);
    return ok;
}

struct gw_rules *gw_rules_ref(struct gw_rules *rules)
{
    if (rules)
        rules->references++;
    return rules;
}

static void release_columns(struct gw_column_rule *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        gw_type_release(&columns[i].type);
        gw_zone_free(columns[i].zone);
    }
    free(columns);
}

void gw_rules_free(struct gw_rules *rules)
{
    if (!rules || --rules->references > 0)
        return;
    for (size_t i = 0; i < rules->count; i++) {
        release_columns(rules->collections[i].columns, rules->collections[i].column_count);
        release_columns(rules->collections[i].added, rules->collections[i].added_count);
    }
    free(rules->collections);
    gw_yaml_release(&rules->yaml);
    free(rules);
}

bool gw_rules_any(const struct gw_rules *rules)
{
    return rules && rules->count > 0;
}
