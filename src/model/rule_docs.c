/* What is made from the table of rules: documentation, the JSON Schema. */
#include "base/mem.h"
#include "model/rule_table.h"

#include <string.h>

static const char *type_words(enum gw_rule_type type)
{
    switch (type) {
    case GW_RULE_NAME:
        return "name";
    case GW_RULE_NAMES:
        return "list of names";
    case GW_RULE_TEXT:
        return "text";
    case GW_RULE_SECRET:
        return "text, never shown";
    case GW_RULE_DATA_TYPE:
        return "type: bool, int(8|16|24|32|64), unsigned(...), decimal(p,s), float, double, text, varchar(n), char(n), "
               "bytes(n), date, time(n), timestamp(n), timestamptz(n), interval, uuid, json, bits(n)";
    case GW_RULE_SWITCH:
        return "true or false";
    case GW_RULE_CHOICE:
        return "one of";
    case GW_RULE_CONSTANT:
        return "a value, or null";
    case GW_RULE_CONSTANTS:
        return "list of values";
    case GW_RULE_LOOKUP:
        return "mapping from value to value";
    case GW_RULE_LUA:
        return "Lua";
    }
    return "value";
}

static void describe(const struct gw_rule_key *key, struct gw_buf *out)
{
    gw_buf_adds(out, type_words(key->type));
    for (size_t i = 0; key->choices[i]; i++)
        gw_buf_addf(out, "%s %s", i ? "," : "", key->choices[i]);
}

void gw_rule_write_docs(struct gw_buf *out)
{
    for (size_t i = 0; i < gw_rule_key_count; i++) {
        const struct gw_rule_key *key = &gw_rule_keys[i];
        gw_buf_addf(out, "\nstores.*.collections.*.%s\n    %s.\n    ", key->path, key->help);
        describe(key, out);
        gw_buf_addf(out, "; for instance %s\n", key->example);
    }
}

/* ---- JSON Schema ---- */

static json_t *scalar_schema(void)
{
    return json_pack("{s:[s,s,s,s]}", "type", "string", "number", "boolean", "null");
}

static json_t *value_schema(const struct gw_rule_key *key)
{
    json_t *choices;
    switch (key->type) {
    case GW_RULE_SWITCH:
        return json_pack("{s:s}", "type", "boolean");
    case GW_RULE_CHOICE:
        choices = json_array();
        for (size_t i = 0; key->choices[i]; i++) {
            json_array_append_new(choices, json_string(key->choices[i]));
            if (strcmp(key->choices[i], "null") == 0)
                json_array_append_new(choices, json_null());
        }
        return json_pack("{s:o}", "enum", choices);
    case GW_RULE_CONSTANT:
        return scalar_schema();
    case GW_RULE_CONSTANTS:
        return json_pack("{s:s,s:o,s:i}", "type", "array", "items", scalar_schema(), "minItems", 1);
    case GW_RULE_NAMES:
        return json_pack("{s:s,s:{s:s},s:i}", "type", "array", "items", "type", "string", "minItems", 1);
    case GW_RULE_LOOKUP:
        return json_pack("{s:s,s:o,s:i}", "type", "object", "additionalProperties", scalar_schema(), "minProperties",
                         1);
    default:
        return json_pack("{s:s,s:i}", "type", "string", "minLength", 1);
    }
}

static json_t *mapping_schema(void)
{
    return json_pack("{s:s,s:b,s:{}}", "type", "object", "additionalProperties", 0, "properties");
}

/* The mapping one key deeper, made when it is not there yet; "*" is any name. */
static json_t *descend(json_t *mapping, const char *key)
{
    json_t *any = json_object_get(mapping, "additionalProperties");
    if (strcmp(key, "*") == 0) {
        if (!json_is_object(any)) {
            any = mapping_schema();
            json_object_set_new(mapping, "additionalProperties", any);
        }
        return any;
    }
    json_t *properties = json_object_get(mapping, "properties");
    json_t *found = json_object_get(properties, key);
    if (!found) {
        found = mapping_schema();
        json_object_set_new(properties, key, found);
    }
    /* Behind a shorthand the mapping is the second choice. */
    json_t *choices = json_object_get(found, "anyOf");
    return choices ? json_array_get(choices, 1) : found;
}

static void add_key(json_t *root, const struct gw_rule_key *key)
{
    gw_autobuf struct gw_buf words = {0};
    gw_autofree char *path = gw_strdup(key->path);
    json_t *mapping = root;
    json_t *parent = NULL;
    const char *group = NULL;
    char *name = path;
    for (char *dot = strchr(name, '.'); dot; dot = strchr(name, '.')) {
        *dot = 0;
        parent = mapping;
        group = name;
        mapping = descend(mapping, name);
        name = dot + 1;
    }
    json_t *schema = value_schema(key);
    gw_buf_addf(&words, "%s (", key->help);
    describe(key, &words);
    gw_buf_adds(&words, ")");
    json_object_set_new(schema, "description", json_string(gw_buf_text(&words)));
    json_object_set_new(json_object_get(mapping, "properties"), name, schema);
    if (key->shorthand && parent) {
        json_t *both = json_pack("{s:[O,O]}", "anyOf", schema, mapping);
        json_object_set_new(json_object_get(parent, "properties"), group, both);
    }
}

json_t *gw_rule_json_schema(void)
{
    json_t *collection = mapping_schema();
    for (size_t i = 0; i < gw_rule_key_count; i++)
        add_key(collection, &gw_rule_keys[i]);
    return json_pack("{s:s,s:o}", "type", "object", "additionalProperties", collection);
}
