/* The audit as Markdown: a table of contents, a table per section, the graph of foreign keys. */
#include "audit/audit.h"

#include "base/mem.h"
#include "io/markup.h"

#include <stdlib.h>
#include <string.h>

enum { GRAPH_EDGES_MOST = 200, LISTED_EDGES_MOST = 1000 };

static void print_table(const json_t *rows, struct gw_buf *out)
{
    json_t *first = json_array_get(rows, 0);
    const char *key;
    json_t *value, *row;
    size_t i;
    json_object_foreach(first, key, value)
    {
        gw_buf_addf(out, "| %s ", key);
    }
    gw_buf_adds(out, "|\n");
    json_object_foreach(first, key, value)
    {
        gw_buf_adds(out, json_is_number(value) ? "| ---: " : "| --- ");
    }
    gw_buf_adds(out, "|\n");
    json_array_foreach(rows, i, row)
    {
        json_object_foreach(first, key, value)
        {
            gw_autobuf struct gw_buf cell = {0};
            gw_audit_cell(key, json_object_get(row, key), &cell);
            gw_buf_adds(out, "| ");
            gw_markup_add_cell(out, gw_buf_text(&cell));
            gw_buf_addc(out, ' ');
        }
        gw_buf_adds(out, "|\n");
    }
}

/* ---- the graph --------------------------------------------------------------------------------------------------------- */

struct nodes {
    char **names; /* owned */
    size_t count, capacity;
};

static size_t node_of(struct nodes *nodes, const json_t *row, const char *space, const char *name)
{
    gw_autofree char *label = gw_asprintf("%s.%s", json_string_value(json_object_get(row, space)),
                                          json_string_value(json_object_get(row, name)));
    for (size_t i = 0; i < nodes->count; i++)
        if (strcmp(nodes->names[i], label) == 0)
            return i;
    nodes->names = gw_grow(nodes->names, &nodes->capacity, nodes->count, sizeof *nodes->names);
    nodes->names[nodes->count] = gw_strdup(label);
    return nodes->count++;
}

/* In a Mermaid label quotes are entities. */
static void add_label(const char *name, struct gw_buf *out)
{
    for (; *name; name++) {
        if (*name == '"')
            gw_buf_adds(out, "#quot;");
        else if ((unsigned char)*name >= 0x20)
            gw_buf_addc(out, *name);
    }
}

static void print_mermaid(const json_t *keys, struct gw_buf *out)
{
    struct nodes nodes = {0};
    gw_autobuf struct gw_buf edges = {0};
    json_t *row;
    size_t i;
    json_array_foreach(keys, i, row)
    {
        size_t from = node_of(&nodes, row, "schema", "table");
        size_t to = node_of(&nodes, row, "referenced_schema", "referenced_table");
        gw_buf_addf(&edges, "    t%zu --> t%zu\n", from, to);
    }
    gw_buf_adds(out, "```mermaid\ngraph LR\n");
    for (i = 0; i < nodes.count; i++) {
        gw_buf_addf(out, "    t%zu[\"", i);
        add_label(nodes.names[i], out);
        gw_buf_adds(out, "\"]\n");
        free(nodes.names[i]);
    }
    free(nodes.names);
    gw_buf_addf(out, "%s```\n\n", gw_buf_text(&edges));
}

/* Too large a graph is unreadable: then a list. */
static void print_graph(const json_t *keys, struct gw_buf *out)
{
    json_t *row;
    size_t i;
    gw_buf_adds(out, "An arrow leads from a table to the one it refers to.\n\n");
    if (json_array_size(keys) <= GRAPH_EDGES_MOST) {
        print_mermaid(keys, out);
        return;
    }
    json_array_foreach(keys, i, row)
    {
        if (i == LISTED_EDGES_MOST)
            break;
        gw_buf_addf(out, "- %s.%s → %s.%s\n", json_string_value(json_object_get(row, "schema")),
                    json_string_value(json_object_get(row, "table")),
                    json_string_value(json_object_get(row, "referenced_schema")),
                    json_string_value(json_object_get(row, "referenced_table")));
    }
    gw_buf_addc(out, '\n');
}

static void print_contents(const json_t *sections, struct gw_buf *out)
{
    const char *section;
    json_t *rows;
    gw_buf_adds(out, "## Contents\n\n");
    json_object_foreach((json_t *)(uintptr_t)sections, section, rows)
    {
        gw_autobuf struct gw_buf title = {0};
        if (json_array_size(rows) == 0)
            continue;
        gw_audit_title(section, &title);
        gw_buf_addf(out, "- [%s](#%s) (%zu)\n", gw_buf_text(&title), section, json_array_size(rows));
    }
    gw_buf_adds(out, "\nNothing found:");
    bool any = false;
    json_object_foreach((json_t *)(uintptr_t)sections, section, rows)
    {
        if (json_array_size(rows) > 0)
            continue;
        gw_autobuf struct gw_buf title = {0};
        gw_audit_title(section, &title);
        gw_buf_addf(out, "%s %s", any ? "," : "", gw_buf_text(&title));
        any = true;
    }
    gw_buf_adds(out, any ? ".\n" : " no section is empty.\n");
}

void gw_audit_markdown(const json_t *report, struct gw_buf *out)
{
    const json_t *server = json_object_get(report, "server");
    json_t *sections = json_object_get(report, "sections");
    const char *section;
    json_t *rows;
    gw_buf_addf(out, "# Audit of %s, %s\n\n%s at ", json_string_value(json_object_get(report, "migration")),
                json_string_value(json_object_get(report, "side")),
                json_string_value(json_object_get(server, "product")));
    gw_markup_add_cell(out, json_string_value(json_object_get(server, "address")));
    gw_buf_addf(out, ", taken at %s.\n\n", json_string_value(json_object_get(report, "taken_at")));
    print_contents(sections, out);
    json_object_foreach(sections, section, rows)
    {
        if (json_array_size(rows) == 0)
            continue;
        gw_buf_addf(out, "\n<a id=\"%s\"></a>\n\n## ", section);
        gw_audit_title(section, out);
        gw_buf_adds(out, "\n\n");
        if (strcmp(section, "foreign_keys") == 0)
            print_graph(rows, out);
        print_table(rows, out);
    }
}
