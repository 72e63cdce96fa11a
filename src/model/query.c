#include "model/query.h"

#include "base/mem.h"
#include "model/setting.h"
#include "model/setting_env.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum key { KEY_SQL, KEY_BLUE, KEY_GREEN, KEY_ORDERED, KEY_TOLERANCE, KEY_CALLS, KEY_RUNS, KEYS };

static const struct {
    const char *name, *type, *example, *help;
} keys[KEYS] = {
    [KEY_SQL] = {"sql", "text", "SELECT state, count(*) FROM orders GROUP BY state",
                 "One statement that reads, for both sides"},
    [KEY_BLUE] = {"blue", "text", "SELECT now_of(id) FROM users",
                  "The statement for blue, where the sides speak "
                  "different SQL"},
    [KEY_GREEN] = {"green", "text", "SELECT now_of(id) FROM people", "The statement for green"},
    [KEY_ORDERED] = {"ordered", "true or false; default: false", "true", "Whether the order of the rows counts"},
    [KEY_TOLERANCE] = {"tolerance", "mapping from column to number", "{ average: 0.001 }",
                       "By how much numbers of a column may be apart, or times in seconds"},
    [KEY_CALLS] = {"calls", "whole number; default: 1", "12000",
                   "How often the application asks it: what became slower is ranked by calls times time"},
    [KEY_RUNS] = {"runs", "whole number, 1 to 100; default: 5", "20", "How often it is run on each side for its times"},
};

static bool place(const struct gw_yaml *yaml, const struct gw_yaml_node *node, struct gw_error *err)
{
    return gw_yaml_place(yaml, node, err);
}

static bool read_text(const struct gw_yaml *yaml, const struct gw_yaml_node *node, const char *key, struct gw_buf *out,
                      struct gw_error *err)
{
    if (node->kind != GW_YAML_SCALAR || gw_yaml_is_null(node) || !*node->text) {
        gw_fail(err, GW_ERR_USER, "\"%s\" of a query must be a single value, this is %s", key,
                node->kind == GW_YAML_SCALAR ? "nothing" : gw_yaml_kind_name(node));
        return place(yaml, node, err);
    }
    return gw_setting_fill(node->text, GW_SETTING_TEXT, out, err) || place(yaml, node, err);
}

static bool read_number(const struct gw_yaml *yaml, const struct gw_yaml_node *node, const char *key, int64_t most,
                        int64_t *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    if (!read_text(yaml, node, key, &text, err))
        return false;
    if (!gw_setting_parse_int(gw_buf_text(&text), out, err))
        return gw_error_prefix(err, "\"%s\"", key) || place(yaml, node, err);
    if (*out >= 1 && *out <= most)
        return true;
    gw_fail(err, GW_ERR_USER, "%s is out of range for \"%s\"", gw_buf_text(&text), key);
    gw_error_hint(err, "whole number, 1 to %lld", (long long)most);
    return place(yaml, node, err);
}

static bool read_switch(const struct gw_yaml *yaml, const struct gw_yaml_node *node, bool *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    if (!read_text(yaml, node, "ordered", &text, err))
        return false;
    *out = strcmp(gw_buf_text(&text), "true") == 0;
    if (*out || strcmp(gw_buf_text(&text), "false") == 0)
        return true;
    gw_fail(err, GW_ERR_USER, "\"ordered\" is true or false, not \"%.80s\"", gw_buf_text(&text));
    return place(yaml, node, err);
}

static bool read_tolerance(const struct gw_yaml *yaml, const struct gw_yaml_node *node, struct gw_named_query *query,
                           struct gw_error *err)
{
    if (node->kind != GW_YAML_MAPPING || node->count == 0) {
        gw_fail(err, GW_ERR_USER, "\"tolerance\" must be a mapping from column to number");
        gw_error_hint(err, "for instance tolerance: { average: 0.001 }");
        return place(yaml, node, err);
    }
    query->tolerances = gw_calloc(node->count, sizeof *query->tolerances);
    for (size_t i = 0; i < node->count; i++) {
        gw_autobuf struct gw_buf text = {0};
        if (!read_text(yaml, node->items[i], "tolerance", &text, err))
            return false;
        char *end;
        double by = strtod(gw_buf_text(&text), &end);
        if (*end || end == gw_buf_text(&text) || !isfinite(by) || by < 0) {
            gw_fail(err, GW_ERR_USER, "the tolerance of %.60s must be a number from 0, not \"%.60s\"",
                    node->keys[i]->text, gw_buf_text(&text));
            return place(yaml, node->items[i], err);
        }
        query->tolerances[query->tolerance_count++] = (struct gw_tolerance){gw_strdup(node->keys[i]->text), by};
    }
    return true;
}

static bool read_key(const struct gw_yaml *yaml, enum key key, const struct gw_yaml_node *node,
                     struct gw_named_query *query, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    switch (key) {
    case KEY_SQL:
    case KEY_BLUE:
    case KEY_GREEN:
        if (!read_text(yaml, node, keys[key].name, &text, err))
            return false;
        if (key != KEY_GREEN)
            query->sql[0] = gw_strdup(gw_buf_text(&text));
        if (key != KEY_BLUE)
            query->sql[1] = gw_buf_detach(&text);
        return true;
    case KEY_ORDERED:
        return read_switch(yaml, node, &query->ordered, err);
    case KEY_TOLERANCE:
        return read_tolerance(yaml, node, query, err);
    case KEY_CALLS:
        return read_number(yaml, node, "calls", INT64_C(1000000000000), &query->calls, err);
    case KEY_RUNS:
        return read_number(yaml, node, "runs", 100, &query->runs, err);
    case KEYS:
        break;
    }
    return false;
}

static bool fail_key(const struct gw_yaml *yaml, const struct gw_yaml_node *key, struct gw_error *err)
{
    gw_autobuf struct gw_buf known = {0};
    for (unsigned k = 0; k < KEYS; k++)
        gw_buf_addf(&known, "%s%s", k ? ", " : "", keys[k].name);
    gw_fail(err, GW_ERR_USER, "the key \"%.80s\" is unknown in a query", key->text);
    gw_error_hint(err, "known: %s", gw_buf_text(&known));
    return place(yaml, key, err);
}

static bool check_sql(const struct gw_yaml *yaml, const struct gw_yaml_node *node, struct gw_error *err)
{
    bool both = gw_yaml_get(node, "sql"), blue = gw_yaml_get(node, "blue"), green = gw_yaml_get(node, "green");
    if (both ? !blue && !green : blue && green)
        return true;
    gw_fail(err, GW_ERR_USER,
            both ? "a query has either \"sql\" or one statement for each side" : "a query lacks its statement");
    gw_error_hint(err, "write sql: for both sides, or blue: and green:");
    return place(yaml, node, err);
}

static bool read_query(const struct gw_yaml *yaml, const struct gw_yaml_node *node, struct gw_named_query *query,
                       struct gw_error *err)
{
    query->calls = 1;
    query->runs = 5;
    if (node->kind == GW_YAML_SCALAR && !gw_yaml_is_null(node))
        return read_key(yaml, KEY_SQL, node, query, err);
    if (node->kind != GW_YAML_MAPPING) {
        gw_fail(err, GW_ERR_USER, "the query %.60s must be a statement or a mapping", query->name);
        gw_error_hint(err, "for instance %.60s: { sql: \"SELECT count(*) FROM orders\" }", query->name);
        return place(yaml, node, err);
    }
    for (size_t i = 0; i < node->count; i++) {
        unsigned key = 0;
        while (key < KEYS && strcmp(keys[key].name, node->keys[i]->text) != 0)
            key++;
        if (key == KEYS)
            return fail_key(yaml, node->keys[i], err);
        if (!read_key(yaml, (enum key)key, node->items[i], query, err))
            return false;
    }
    return check_sql(yaml, node, err);
}

bool gw_named_queries_read(const struct gw_yaml *yaml, const struct gw_yaml_node *node, struct gw_named_queries *out,
                           struct gw_error *err)
{
    if (node->kind != GW_YAML_MAPPING || node->count == 0) {
        gw_fail(err, GW_ERR_USER, "\"queries\" must be a mapping from name to statement, this is %s",
                gw_yaml_kind_name(node));
        gw_error_hint(err, "for instance queries: { open_orders: \"SELECT count(*) FROM orders\" }");
        return place(yaml, node, err);
    }
    out->items = gw_calloc(node->count, sizeof *out->items);
    for (size_t i = 0; i < node->count; i++) {
        struct gw_named_query *query = &out->items[out->count++];
        query->name = gw_strdup(node->keys[i]->text);
        if (!read_query(yaml, node->items[i], query, err)) {
            gw_named_queries_release(out);
            return false;
        }
    }
    return true;
}

void gw_named_queries_release(struct gw_named_queries *queries)
{
    for (size_t i = 0; i < queries->count; i++) {
        struct gw_named_query *query = &queries->items[i];
        free(query->name);
        free(query->sql[0]);
        free(query->sql[1]);
        for (size_t t = 0; t < query->tolerance_count; t++)
            free(query->tolerances[t].column);
        free(query->tolerances);
    }
    free(queries->items);
    *queries = (struct gw_named_queries){0};
}

void gw_named_queries_write_docs(struct gw_buf *out)
{
    for (unsigned k = 0; k < KEYS; k++)
        gw_buf_addf(out, "\nstores.*.queries.*.%s\n    %s.\n    %s; for instance %s\n", keys[k].name, keys[k].help,
                    keys[k].type, keys[k].example);
}

json_t *gw_named_queries_json_schema(void)
{
    json_t *properties = json_object();
    for (unsigned k = 0; k < KEYS; k++) {
        json_t *schema = k == KEY_ORDERED     ? json_pack("{s:s}", "type", "boolean")
                         : k == KEY_TOLERANCE ? json_pack("{s:s,s:{s:s,s:i}}", "type", "object", "additionalProperties",
                                                          "type", "number", "minimum", 0)
                         : k >= KEY_CALLS     ? json_pack("{s:s,s:i}", "type", "integer", "minimum", 1)
                                              : json_pack("{s:s,s:i}", "type", "string", "minLength", 1);
        json_object_set_new(schema, "description", json_string(keys[k].help));
        json_object_set_new(properties, keys[k].name, schema);
    }
    json_t *query = json_pack("{s:s,s:b,s:o}", "type", "object", "additionalProperties", 0, "properties", properties);
    json_t *either = json_pack("{s:[{s:s},o]}", "anyOf", "type", "string", query);
    return json_pack("{s:s,s:o}", "type", "object", "additionalProperties", either);
}
