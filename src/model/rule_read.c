/* The tree of rules: checked against the table of keys, and copied. */
#include "base/mem.h"
#include "model/rule_table.h"
#include "model/setting_env.h"

#include <string.h>

struct reader {
    const struct gw_yaml *yaml;
    struct gw_yaml *out;
};

static const struct gw_rule_key *find(const char *path)
{
    for (size_t i = 0; i < gw_rule_key_count; i++)
        if (strcmp(gw_rule_keys[i].path, path) == 0)
            return &gw_rule_keys[i];
    return NULL;
}

static bool is_below(const char *path, const char *group)
{
    size_t len = strlen(group);
    return len == 0 || (strncmp(path, group, len) == 0 && path[len] == '.');
}

static bool is_group(const char *path)
{
    for (size_t i = 0; i < gw_rule_key_count; i++)
        if (is_below(gw_rule_keys[i].path, path))
            return true;
    return false;
}

static const struct gw_rule_key *shorthand_of(const char *group)
{
    for (size_t i = 0; i < gw_rule_key_count; i++)
        if (gw_rule_keys[i].shorthand && is_below(gw_rule_keys[i].path, group))
            return &gw_rule_keys[i];
    return NULL;
}

static const char *last_key(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static bool fail_at(const struct reader *reader, const struct gw_yaml_node *node, struct gw_error *err)
{
    return gw_yaml_place(reader->yaml, node, err);
}

static struct gw_yaml_node *copy_node(struct reader *reader, const struct gw_yaml_node *from)
{
    struct gw_yaml_node *to = gw_arena_alloc(&reader->out->arena, sizeof *to);
    *to = *from;
    to->keys = gw_arena_zalloc(&reader->out->arena, (from->count + 1) * sizeof(struct gw_yaml_node *));
    to->items = gw_arena_zalloc(&reader->out->arena, (from->count + 1) * sizeof(struct gw_yaml_node *));
    if (from->text)
        to->text = gw_arena_strdup(&reader->out->arena, from->text);
    return to;
}

/* ---- values ---- */

static bool fail_shape(const struct reader *reader, const struct gw_rule_key *key, const struct gw_yaml_node *node,
                       const char *wanted, struct gw_error *err)
{
    gw_fail(err, GW_ERR_USER, "\"%s\" must be %s, this is %s", last_key(key->path), wanted, gw_yaml_kind_name(node));
    gw_error_hint(err, "for instance %s: %s", last_key(key->path), key->example);
    return fail_at(reader, node, err);
}

static bool fail_empty(const struct reader *reader, const char *path, const struct gw_yaml_node *node,
                       struct gw_error *err)
{
    gw_fail(err, GW_ERR_USER, "the value of \"%s\" is missing", last_key(path));
    gw_error_hint(err, "write it behind the colon, or remove the key");
    return fail_at(reader, node, err);
}

/* A scalar with ${NAME} filled in; what was filled is text, whatever it looks like. */
static bool read_scalar(struct reader *reader, const struct gw_rule_key *key, const struct gw_yaml_node *node,
                        struct gw_yaml_node **out, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    /* "on_loss: null" is the word. */
    bool word = key->type == GW_RULE_CHOICE && node->kind == GW_YAML_SCALAR && node->text[0];
    bool constant =
        word || key->type == GW_RULE_CONSTANT || key->type == GW_RULE_CONSTANTS || key->type == GW_RULE_LOOKUP;
    if (node->kind != GW_YAML_SCALAR)
        return fail_shape(reader, key, node, "a single value", err);
    if (!constant && gw_yaml_is_null(node))
        return fail_empty(reader, key->path, node, err);
    *out = copy_node(reader, node);
    if (key->type == GW_RULE_LUA)
        return true;
    if (!gw_setting_fill(node->text, GW_SETTING_TEXT, &text, err))
        return fail_at(reader, node, err);
    if (!constant && !text.len)
        return fail_empty(reader, key->path, node, err);
    if (strcmp(gw_buf_text(&text), node->text) != 0)
        (*out)->plain = false;
    (*out)->text = gw_arena_strdup(&reader->out->arena, gw_buf_text(&text));
    return true;
}

static bool check_choice(const struct reader *reader, const struct gw_rule_key *key, const struct gw_yaml_node *node,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf known = {0};
    for (int i = 0; key->choices[i]; i++) {
        if (strcmp(key->choices[i], node->text) == 0)
            return true;
        gw_buf_addf(&known, "%s%s", i ? ", " : "", key->choices[i]);
    }
    gw_fail(err, GW_ERR_USER, "\"%.80s\" is not a value of \"%s\"", node->text, last_key(key->path));
    gw_error_hint(err, "known: %s", gw_buf_text(&known));
    return fail_at(reader, node, err);
}

static bool check_switch(const struct reader *reader, const struct gw_rule_key *key, const struct gw_yaml_node *node,
                         struct gw_error *err)
{
    if (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0)
        return true;
    gw_fail(err, GW_ERR_USER, "\"%s\" is true or false, not \"%.80s\"", last_key(key->path), node->text);
    return fail_at(reader, node, err);
}

static bool read_list(struct reader *reader, const struct gw_rule_key *key, const struct gw_yaml_node *node,
                      struct gw_yaml_node **out, struct gw_error *err)
{
    if (node->kind != GW_YAML_SEQUENCE || node->count == 0)
        return fail_shape(reader, key, node, "a list with at least one value", err);
    *out = copy_node(reader, node);
    for (size_t i = 0; i < node->count; i++)
        if (!read_scalar(reader, key, node->items[i], &(*out)->items[i], err))
            return false;
    return true;
}

static bool read_lookup(struct reader *reader, const struct gw_rule_key *key, const struct gw_yaml_node *node,
                        struct gw_yaml_node **out, struct gw_error *err)
{
    if (node->kind != GW_YAML_MAPPING || node->count == 0)
        return fail_shape(reader, key, node, "a mapping with at least one value", err);
    *out = copy_node(reader, node);
    for (size_t i = 0; i < node->count; i++)
        if (!read_scalar(reader, key, node->keys[i], &(*out)->keys[i], err) ||
            !read_scalar(reader, key, node->items[i], &(*out)->items[i], err))
            return false;
    return true;
}

static bool read_value(struct reader *reader, const struct gw_rule_key *key, const struct gw_yaml_node *node,
                       struct gw_yaml_node **out, struct gw_error *err)
{
    switch (key->type) {
    case GW_RULE_NAMES:
    case GW_RULE_CONSTANTS:
        return read_list(reader, key, node, out, err);
    case GW_RULE_LOOKUP:
        return read_lookup(reader, key, node, out, err);
    case GW_RULE_CHOICE:
        return read_scalar(reader, key, node, out, err) && check_choice(reader, key, *out, err);
    case GW_RULE_SWITCH:
        return read_scalar(reader, key, node, out, err) && check_switch(reader, key, *out, err);
    default:
        return read_scalar(reader, key, node, out, err);
    }
}

/* ---- keys ---- */

static void add_known(const char *group, struct gw_buf *out)
{
    size_t skip = *group ? strlen(group) + 1 : 0;
    char before[64] = "";
    for (size_t i = 0; i < gw_rule_key_count; i++) {
        char key[64];
        if (!is_below(gw_rule_keys[i].path, group))
            continue;
        snprintf(key, sizeof key, "%.*s", (int)strcspn(gw_rule_keys[i].path + skip, "."), gw_rule_keys[i].path + skip);
        if (strcmp(key, before) != 0)
            gw_buf_addf(out, "%s%s", before[0] ? ", " : "", key);
        snprintf(before, sizeof before, "%s", key);
    }
}

static const char *suggest(const char *group, const char *wrong, char out[64])
{
    size_t skip = *group ? strlen(group) + 1 : 0;
    unsigned best = (unsigned)(strlen(wrong) / 3) + 2;
    const char *found = NULL;
    if (strcmp(wrong, "cast") == 0)
        wrong = "type";
    for (size_t i = 0; i < gw_rule_key_count; i++) {
        char key[64];
        if (!is_below(gw_rule_keys[i].path, group))
            continue;
        snprintf(key, sizeof key, "%.*s", (int)strcspn(gw_rule_keys[i].path + skip, "."), gw_rule_keys[i].path + skip);
        unsigned edits = gw_setting_distance(wrong, key);
        if (edits < strlen(key) && edits < best) {
            best = edits;
            snprintf(out, 64, "%s", key);
            found = out;
        }
    }
    return found;
}

static bool fail_unknown(const struct reader *reader, const char *group, const struct gw_yaml_node *key,
                         struct gw_error *err)
{
    char like[64];
    gw_autobuf struct gw_buf known = {0};
    add_known(group, &known);
    gw_fail(err, GW_ERR_USER, "the key \"%.80s\" is unknown in the rules of %s", key->text,
            !*group                           ? "a collection"
            : strcmp(group, "columns.*") == 0 ? "a column"
            : strcmp(group, "add.*") == 0     ? "an added column"
                                              : last_key(group));
    if (suggest(group, key->text, like))
        gw_error_hint(err, "did you mean \"%s\"?", like);
    else
        gw_error_hint(err, "known: %s", gw_buf_text(&known));
    return fail_at(reader, key, err);
}

static bool read_group(struct reader *reader, const char *group, const struct gw_yaml_node *node,
                       struct gw_yaml_node **out, struct gw_error *err);

static bool read_below(struct reader *reader, const char *group, const char *path, const struct gw_yaml_node *key,
                       const struct gw_yaml_node *value, struct gw_yaml_node **out, struct gw_error *err)
{
    const struct gw_rule_key *known = find(path);
    const struct gw_rule_key *shorthand = shorthand_of(path);
    if (known)
        return read_value(reader, known, value, out, err);
    if (!is_group(path))
        return fail_unknown(reader, group, key, err);
    if (value->kind == GW_YAML_SCALAR && shorthand)
        return read_value(reader, shorthand, value, out, err);
    if (gw_yaml_is_null(value))
        return fail_empty(reader, key->text, value, err);
    if (value->kind != GW_YAML_MAPPING) {
        gw_fail(err, GW_ERR_USER, "\"%.80s\" must be a mapping, this is %s", key->text, gw_yaml_kind_name(value));
        return fail_at(reader, value, err);
    }
    return read_group(reader, path, value, out, err);
}

/* A mapping of keys, or of names where the table has "*". */
static bool read_group(struct reader *reader, const char *group, const struct gw_yaml_node *node,
                       struct gw_yaml_node **out, struct gw_error *err)
{
    gw_autofree char *any = gw_asprintf("%s.*", group);
    bool names = is_group(any);
    *out = copy_node(reader, node);
    for (size_t i = 0; i < node->count; i++) {
        const struct gw_yaml_node *key = node->keys[i];
        gw_autofree char *path = names    ? gw_strdup(any)
                                 : *group ? gw_asprintf("%s.%.64s", group, key->text)
                                          : gw_asprintf("%.64s", key->text);
        (*out)->keys[i] = copy_node(reader, key);
        if (!names && strpbrk(key->text, ".*"))
            return fail_unknown(reader, group, key, err);
        if (!read_below(reader, group, path, key, node->items[i], &(*out)->items[i], err))
            return false;
    }
    return true;
}

static bool read_collections(struct reader *reader, const struct gw_yaml_node *node, struct gw_error *err)
{
    if (gw_yaml_is_null(node))
        return fail_empty(reader, "collections", node, err);
    if (node->kind != GW_YAML_MAPPING) {
        gw_fail(err, GW_ERR_USER, "\"collections\" must be a mapping, this is %s", gw_yaml_kind_name(node));
        gw_error_hint(err, "for instance collections: { users: { rename: people } }");
        return fail_at(reader, node, err);
    }
    struct gw_yaml_node *root = copy_node(reader, node);
    reader->out->root = root;
    for (size_t i = 0; i < node->count; i++) {
        root->keys[i] = copy_node(reader, node->keys[i]);
        if (gw_yaml_is_null(node->items[i]) || node->items[i]->kind != GW_YAML_MAPPING) {
            gw_fail(err, GW_ERR_USER, "the rules of collection %.80s must be a mapping", node->keys[i]->text);
            gw_error_hint(err, "for instance %.80s: { rename: people }", node->keys[i]->text);
            return fail_at(reader, node->items[i], err);
        }
        if (!read_group(reader, "", node->items[i], &root->items[i], err))
            return gw_error_prefix(err, "collection %.80s", node->keys[i]->text);
    }
    return true;
}

bool gw_rule_read(const struct gw_yaml *yaml, const struct gw_yaml_node *node, struct gw_yaml *out,
                  struct gw_error *err)
{
    *out = (struct gw_yaml){0};
    struct reader reader = {.yaml = yaml, .out = out};
    out->file = gw_arena_strdup(&out->arena, yaml->file);
    if (read_collections(&reader, node, err))
        return true;
    gw_yaml_release(out);
    return false;
}
