/* What is made from the table of settings: descriptions, documentation, the JSON Schema. */
#include "base/mem.h"
#include "model/query.h"
#include "model/rule_table.h"
#include "model/setting.h"

/* 60000 ms as "1m", 50000000000 bytes as "50GB": the largest unit without a rest. */
static void add_amount(int64_t value, enum gw_setting_type type, struct gw_buf *out)
{
    static const struct {
        const char *name;
        int64_t size;
    } times[] = {{"d", 86400000000LL}, {"h", 3600000000LL}, {"m", 60000000}, {"s", 1000000}, {"ms", 1000}, {"us", 1}},
      sizes[] = {{"TB", 1000000000000}, {"GB", 1000000000}, {"MB", 1000000}, {"kB", 1000}, {"B", 1}};
    if (value != 0 && (type == GW_SETTING_MS || type == GW_SETTING_US)) {
        int64_t us = type == GW_SETTING_MS ? value * 1000 : value;
        for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
            if (us % times[i].size == 0) {
                gw_buf_addf(out, "%lld%s", (long long)(us / times[i].size), times[i].name);
                return;
            }
        }
    }
    for (size_t i = 0; value != 0 && type == GW_SETTING_BYTES && i < sizeof sizes / sizeof sizes[0]; i++) {
        if (value % sizes[i].size == 0) {
            gw_buf_addf(out, "%lld%s", (long long)(value / sizes[i].size), sizes[i].name);
            return;
        }
    }
    gw_buf_addf(out, "%lld", (long long)value);
}

static const char *type_words(enum gw_setting_type type)
{
    switch (type) {
    case GW_SETTING_NAME:
        return "name";
    case GW_SETTING_TEXT:
        return "text";
    case GW_SETTING_PATH:
        return "path";
    case GW_SETTING_COMMAND:
        return "shell command";
    case GW_SETTING_URL:
        return "URL or key=value pairs";
    case GW_SETTING_URLS:
        return "URL or list of URLs";
    case GW_SETTING_PATTERNS:
        return "list of patterns";
    case GW_SETTING_TEXTS:
        return "text or list of texts";
    case GW_SETTING_RULES:
        return "mapping from collection to its rules";
    case GW_SETTING_QUERIES:
        return "mapping from name to statement, or to its keys";
    case GW_SETTING_ENUM:
        return "one of";
    case GW_SETTING_INT:
    case GW_SETTING_COUNT:
        return "whole number";
    case GW_SETTING_BYTES:
        return "size";
    case GW_SETTING_MS:
    case GW_SETTING_US:
        return "duration";
    }
    return "value";
}

void gw_setting_describe_type(const struct gw_setting *setting, struct gw_buf *out)
{
    gw_buf_adds(out, type_words(setting->type));
    if (setting->type == GW_SETTING_ENUM) {
        for (size_t i = 0; setting->choices[i]; i++)
            gw_buf_addf(out, "%s %s", i ? "," : "", setting->choices[i]);
    } else if (setting->max > 0) {
        gw_buf_adds(out, ", ");
        add_amount(setting->min, setting->type, out);
        gw_buf_adds(out, " to ");
        add_amount(setting->max, setting->type, out);
    }
}

/* "; for gate pgbouncer, hook and haproxy" */
static void add_gates(unsigned gates, struct gw_buf *out)
{
    const char *const *names = gw_setting_find("stores.*.gate.type")->choices;
    const char *before = "; for gate ";
    for (unsigned i = 0; names[i]; i++) {
        if (!(gates & (1u << i)))
            continue;
        gw_buf_addf(out, "%s%s", before, names[i]);
        unsigned rest = gates >> (i + 1);
        before = rest & (rest - 1) ? ", " : " and ";
    }
}

void gw_setting_describe(const struct gw_setting *setting, struct gw_buf *out)
{
    gw_setting_describe_type(setting, out);
    if (setting->gates)
        add_gates(setting->gates, out);
    if (setting->required)
        gw_buf_adds(out, "; required");
    else if (setting->fallback || setting->fallback_words)
        gw_buf_addf(out, "; default: %s", setting->fallback ? setting->fallback : setting->fallback_words);
}

void gw_setting_write_docs(struct gw_buf *out)
{
    for (size_t i = 0; i < gw_settings_count; i++) {
        const struct gw_setting *setting = &gw_settings[i];
        gw_buf_addf(out, "%s%s\n    %s.\n    ", i ? "\n" : "", setting->path, setting->help);
        gw_setting_describe(setting, out);
        gw_buf_addc(out, '\n');
    }
    gw_rule_write_docs(out);
    gw_named_queries_write_docs(out);
}

/* ---- JSON Schema ---- */

#define NAME_PATTERN "^[a-z0-9][a-z0-9_-]{0,62}$"
#define ENV_PATTERN "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}"

static json_t *string_schema(const char *pattern)
{
    json_t *schema = json_pack("{s:s}", "type", "string");
    if (pattern)
        json_object_set_new(schema, "pattern", json_string(pattern));
    return schema;
}

/* A value of this type, or text with ${NAME} in it. */
static json_t *or_environment(json_t *schema)
{
    return json_pack("{s:[o,o]}", "anyOf", schema, string_schema(ENV_PATTERN));
}

static json_t *enum_schema(const struct gw_setting *setting)
{
    json_t *choices = json_array();
    for (size_t i = 0; setting->choices[i]; i++)
        json_array_append_new(choices, json_string(setting->choices[i]));
    return or_environment(json_pack("{s:o}", "enum", choices));
}

static json_t *list_schema(void)
{
    return json_pack("{s:[o,{s:s,s:o,s:i}]}", "anyOf", string_schema(NULL), "type", "array", "items",
                     string_schema(NULL), "minItems", 1);
}

static json_t *value_schema(const struct gw_setting *setting)
{
    switch (setting->type) {
    case GW_SETTING_NAME:
        return or_environment(string_schema(NAME_PATTERN));
    case GW_SETTING_TEXT:
    case GW_SETTING_PATH:
    case GW_SETTING_COMMAND:
    case GW_SETTING_URL:
        return json_pack("{s:s,s:i}", "type", "string", "minLength", 1);
    case GW_SETTING_URLS:
    case GW_SETTING_PATTERNS:
    case GW_SETTING_TEXTS:
        return list_schema();
    case GW_SETTING_RULES:
        return gw_rule_json_schema();
    case GW_SETTING_QUERIES:
        return gw_named_queries_json_schema();
    case GW_SETTING_ENUM:
        return enum_schema(setting);
    case GW_SETTING_INT:
    case GW_SETTING_COUNT:
        return or_environment(json_pack("{s:s,s:I,s:I}", "type", "integer", "minimum", (json_int_t)setting->min,
                                        "maximum", (json_int_t)setting->max));
    case GW_SETTING_BYTES:
        return or_environment(string_schema("^[0-9]+(\\.[0-9]+)? *([kKmMgGtT]i?)?[bB]$"));
    case GW_SETTING_MS:
    case GW_SETTING_US:
        return or_environment(string_schema("^([0-9]+(\\.[0-9]+)? *(us|ms|s|m|min|h|d)|0)$"));
    }
    return json_object();
}

static void describe_value(const struct gw_setting *setting, json_t *schema)
{
    struct gw_buf words = {0};
    gw_buf_addf(&words, "%s (", setting->help);
    gw_setting_describe_type(setting, &words);
    gw_buf_adds(&words, ")");
    json_object_set_new(schema, "description", json_string(gw_buf_text(&words)));
    gw_buf_release(&words);
    if (setting->fallback && (setting->type == GW_SETTING_INT || setting->type == GW_SETTING_COUNT))
        json_object_set_new(schema, "default", json_integer(strtoll(setting->fallback, NULL, 10)));
    else if (setting->fallback)
        json_object_set_new(schema, "default", json_string(setting->fallback));
    if (setting->example && !strchr("[{", setting->example[0]))
        json_object_set_new(schema, "examples", json_pack("[s]", setting->example));
}

static json_t *mapping_schema(void)
{
    return json_pack("{s:s,s:b,s:{}}", "type", "object", "additionalProperties", 0, "properties");
}

/* The mapping one key deeper, made when it is not there yet. */
static json_t *descend(json_t *mapping, const char *key)
{
    bool any = strcmp(key, "*") == 0;
    if (any && !json_object_get(mapping, "patternProperties"))
        json_object_set_new(mapping, "patternProperties", json_object());
    json_t *holder = json_object_get(mapping, any ? "patternProperties" : "properties");
    const char *name = any ? NAME_PATTERN : key;
    json_t *found = json_object_get(holder, name);
    if (!found) {
        found = mapping_schema();
        json_object_set_new(holder, name, found);
    }
    return found;
}

static void require(json_t *mapping, const char *key)
{
    json_t *required = json_object_get(mapping, "required");
    if (!required) {
        required = json_array();
        json_object_set_new(mapping, "required", required);
    }
    for (size_t i = 0; i < json_array_size(required); i++)
        if (strcmp(json_string_value(json_array_get(required, i)), key) == 0)
            return;
    json_array_append_new(required, json_string(key));
}

static void add_setting(json_t *root, const struct gw_setting *setting)
{
    json_t *mapping = root;
    gw_autofree char *path = gw_strdup(setting->path);
    char *key = path;
    for (char *dot = strchr(key, '.'); dot; dot = strchr(key, '.')) {
        *dot = 0;
        if (setting->required && strcmp(key, "*") != 0)
            require(mapping, key);
        mapping = descend(mapping, key);
        key = dot + 1;
    }
    if (setting->required)
        require(mapping, key);
    json_t *schema = value_schema(setting);
    describe_value(setting, schema);
    json_object_set_new(json_object_get(mapping, "properties"), key, schema);
    if (setting->shorthand)
        json_object_set(mapping, "x-shorthand", schema);
}

/* A mapping with a shorthand may be that value alone, too. */
static void apply_shorthands(json_t *holder)
{
    const char *name;
    json_t *schema;
    void *next;
    json_object_foreach_safe(holder, next, name, schema)
    {
        json_t *below = json_object_get(schema, "properties");
        if (below)
            apply_shorthands(below);
        below = json_object_get(schema, "patternProperties");
        if (below)
            apply_shorthands(below);
        json_t *shorthand = json_object_get(schema, "x-shorthand");
        if (!shorthand)
            continue;
        json_t *plain = json_deep_copy(shorthand);
        json_t *mapping = json_copy(schema);
        json_object_del(mapping, "x-shorthand");
        json_object_set_new(holder, name, json_pack("{s:[o,o]}", "anyOf", plain, mapping));
    }
}

json_t *gw_setting_json_schema(void)
{
    json_t *root = mapping_schema();
    for (size_t i = 0; i < gw_settings_count; i++)
        add_setting(root, &gw_settings[i]);
    apply_shorthands(json_object_get(root, "properties"));
    json_object_set_new(root, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    json_object_set_new(root, "title", json_string("godwit migration file"));
    json_t *stores = json_object_get(json_object_get(root, "properties"), "stores");
    json_object_set_new(stores, "minProperties", json_integer(1));
    return root;
}
