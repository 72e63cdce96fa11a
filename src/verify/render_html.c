/* The report as one page that needs nothing else: no script, no font, no address. */
#include "verify/render.h"

#include "io/markup.h"

#include <stdbool.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--line:#8884;--good:#1a7f37;--bad:#c62828;--open:#9a6700}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}"
    ".verdict{border-left:.5rem solid;padding:.6rem 1rem}.equal{color:var(--good)}.different{color:var(--bad)}"
    ".unresolved{color:var(--open)}p{margin:.3rem 0}"
    "table{border-collapse:collapse;width:100%;display:block;overflow-x:auto}"
    "th,td{text-align:left;padding:.3rem .7rem;border-bottom:1px solid var(--line);vertical-align:top}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-family:ui-monospace,monospace;font-size:.92em;"
    "overflow-wrap:anywhere}pre{font:12px/1.4 ui-monospace,monospace;white-space:pre-wrap;margin:.2rem 0}summary{cursor:"
    "pointer;opacity:.7}ul{margin:.3rem 0;padding-left:1.2rem}";

static void add_cell(struct gw_buf *out, const char *class, const char *text)
{
    gw_buf_addf(out, *class ? "<td class=\"%s\">" : "<td>", class);
    gw_markup_add_xml(out, text);
    gw_buf_adds(out, "</td>");
}

static void add_count(struct gw_buf *out, const json_t *object, const char *key)
{
    gw_buf_adds(out, "<td class=\"n\">");
    gw_render_number(object, key, out);
    gw_buf_adds(out, "</td>");
}

static void add_heads(struct gw_buf *out, const char *title, const char *const *heads)
{
    if (title)
        gw_buf_addf(out, "<h2>%s</h2>\n", title);
    gw_buf_adds(out, "<table><thead><tr>");
    for (; *heads; heads++)
        gw_buf_addf(out, "<th>%s</th>", *heads);
    gw_buf_adds(out, "</tr></thead><tbody>\n");
}

static void add_causes(struct gw_buf *out, const json_t *collection)
{
    size_t i;
    json_t *cause;
    gw_autobuf struct gw_buf since = {0};
    gw_buf_adds(out, "<td>");
    gw_autobuf struct gw_buf why = {0};
    gw_render_why(collection, &why);
    gw_markup_add_xml(out, gw_buf_text(&why));
    gw_render_since(collection, &since);
    gw_markup_add_xml(out, gw_buf_text(&since));
    json_array_foreach(json_object_get(collection, "causes"), i, cause)
    {
        if (i == 0) /* it is the reason */
            continue;
        gw_buf_adds(out, "<br>");
        gw_markup_add_xml(out, json_string_value(cause));
    }
    gw_buf_adds(out, "</td>");
}

static void add_collections(struct gw_buf *out, const json_t *report)
{
    static const char *const heads[] = {
        "table",         "verdict", "rows", "columns", "missing", "extra", "changed", "why", "position on the source",
        "on the target", NULL};
    size_t i;
    json_t *c;
    add_heads(out, "Tables", heads);
    json_array_foreach(json_object_get(report, "collections"), i, c)
    {
        gw_buf_adds(out, "<tr>");
        add_cell(out, "", gw_render_text(c, "collection"));
        add_cell(out, gw_render_text(c, "verdict"), gw_render_text(c, "verdict"));
        add_count(out, json_object_get(c, "source"), "rows");
        static const char *const counts[] = {"columns", "missing", "extra", "changed"};
        for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++)
            add_count(out, c, counts[k]);
        add_causes(out, c);
        add_cell(out, "", gw_render_text(json_object_get(c, "source"), "to"));
        add_cell(out, "", gw_render_text(json_object_get(c, "target"), "to"));
        gw_buf_adds(out, "</tr>\n");
    }
    gw_buf_adds(out, "</tbody></table>\n");
}

static void add_difference(struct gw_buf *out, const char *collection, const json_t *difference)
{
    size_t i;
    json_t *column;
    gw_buf_adds(out, "<tr>");
    add_cell(out, "", collection);
    gw_buf_adds(out, "<td><code>");
    gw_markup_add_xml(out, gw_render_text(difference, "key"));
    gw_buf_adds(out, "</code></td>");
    add_cell(out, "", gw_render_text(difference, "kind"));
    gw_buf_adds(out, "<td>");
    json_array_foreach(json_object_get(difference, "columns"), i, column)
    {
        gw_buf_adds(out, i ? "<br>" : "");
        gw_markup_add_xml(out, gw_render_text(column, "column"));
        gw_buf_adds(out, ": <code>");
        gw_markup_add_xml(out, gw_render_text(column, "source"));
        gw_buf_adds(out, "</code> → <code>");
        gw_markup_add_xml(out, gw_render_text(column, "target"));
        gw_buf_adds(out, "</code>");
    }
    gw_buf_adds(out, "</td>");
    add_cell(out, "", gw_render_text(difference, "first_seen"));
    gw_buf_adds(out, "</tr>\n");
}

static void add_differences(struct gw_buf *out, const json_t *report)
{
    static const char *const heads[] = {"table", "row", "what", "source → target", "first seen", NULL};
    size_t i, d;
    json_t *c, *difference;
    bool begun = false;
    json_array_foreach(json_object_get(report, "collections"), i, c)
    {
        json_array_foreach(json_object_get(c, "differences"), d, difference)
        {
            if (!begun)
                add_heads(out, "Rows that differ", heads);
            begun = true;
            add_difference(out, gw_render_text(c, "collection"), difference);
        }
    }
    gw_buf_adds(out, begun ? "</tbody></table>\n" : "");
}

static void add_rules(struct gw_buf *out, const json_t *report)
{
    static const char *const heads[] = {"table", "what", "name", "verdict", "found", NULL};
    size_t i;
    json_t *rule;
    if (!json_array_size(json_object_get(report, "rules")))
        return;
    add_heads(out, "Keys, references and counters", heads);
    json_array_foreach(json_object_get(report, "rules"), i, rule)
    {
        if (gw_render_is_definition(rule))
            continue;
        gw_buf_adds(out, "<tr>");
        add_cell(out, "", gw_render_text(rule, "collection"));
        add_cell(out, "", gw_render_text(rule, "kind"));
        add_cell(out, "", gw_render_text(rule, "name"));
        add_cell(out, gw_render_text(rule, "verdict"), gw_render_text(rule, "verdict"));
        add_cell(out, "", gw_render_text(rule, "what"));
        gw_buf_adds(out, "</tr>\n");
    }
    gw_buf_adds(out, "</tbody></table>\n");
}

static void add_definitions(struct gw_buf *out, const json_t *report)
{
    static const char *const heads[] = {"table", "what", "source", "target", "", NULL};
    size_t i;
    json_t *rule;
    bool begun = false;
    json_array_foreach(json_object_get(report, "rules"), i, rule)
    {
        if (!gw_render_is_definition(rule) || !*gw_render_text(rule, "what"))
            continue;
        if (!begun)
            add_heads(out, "Definitions that differ", heads);
        begun = true;
        gw_buf_adds(out, "<tr>");
        add_cell(out, "", gw_render_text(rule, "collection"));
        add_cell(out, "", gw_render_text(rule, "name"));
        gw_buf_adds(out, "<td><code>");
        gw_markup_add_xml(out, gw_render_text(rule, "on_source"));
        gw_buf_adds(out, "</code></td><td><code>");
        gw_markup_add_xml(out, gw_render_text(rule, "on_target"));
        gw_buf_adds(out, "</code></td>");
        add_cell(out, gw_render_text(rule, "verdict"), gw_render_weight(rule));
        gw_buf_adds(out, "</tr>\n");
    }
    gw_buf_adds(out, begun ? "</tbody></table>\n" : "");
}

static void add_plans(struct gw_buf *out, const json_t *query)
{
    static const char *const sides[] = {"source", "target"};
    gw_buf_adds(out, "<details><summary>plans</summary>");
    for (size_t i = 0; i < 2; i++) {
        gw_buf_addf(out, "<p>%s</p><pre>", sides[i]);
        gw_markup_add_xml(out, gw_render_text(json_object_get(query, sides[i]), "plan"));
        gw_buf_adds(out, "</pre>");
    }
    gw_buf_adds(out, "</details>");
}

static void add_queries(struct gw_buf *out, const json_t *report)
{
    static const char *const heads[] = {"query", "verdict", "calls", "source p50, p95 ms", "target p50, p95 ms",
                                        "found", NULL};
    size_t i;
    json_t *query;
    if (!json_array_size(json_object_get(report, "queries")))
        return;
    add_heads(out, "Critical queries", heads);
    json_array_foreach(json_object_get(report, "queries"), i, query)
    {
        gw_buf_adds(out, "<tr>");
        add_cell(out, "", gw_render_text(query, "name"));
        add_cell(out, gw_render_text(query, "verdict"), gw_render_text(query, "verdict"));
        add_count(out, query, "calls");
        gw_buf_adds(out, "<td class=\"n\">");
        gw_render_times(json_object_get(query, "source"), out);
        gw_buf_adds(out, "</td><td class=\"n\">");
        gw_render_times(json_object_get(query, "target"), out);
        gw_buf_adds(out, "</td><td>");
        gw_markup_add_xml(out, gw_render_found(query));
        add_plans(out, query);
        gw_buf_adds(out, "</td></tr>\n");
    }
    gw_buf_adds(out, "</tbody></table>\n");
}

void gw_verify_html(const json_t *report, struct gw_buf *out)
{
    const char *verdict = gw_render_text(report, "verdict");
    gw_autobuf struct gw_buf when = {0};
    gw_render_when(report, &when);
    gw_buf_addf(out,
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                "<title>Verdict: %s</title><style>%s</style></head><body>\n"
                "<div class=\"verdict %s\"><h1>%s</h1></div>\n<p>",
                verdict, style, verdict, verdict);
    gw_buf_adds(out, "Tables: ");
    gw_render_number(report, "equal", out);
    gw_buf_adds(out, " equal, ");
    gw_render_number(report, "different", out);
    gw_buf_adds(out, " different, ");
    gw_render_number(report, "unresolved", out);
    gw_buf_adds(out, " unresolved; ");
    gw_render_number(report, "rows", out);
    gw_buf_adds(out, " rows compared.</p>\n<p>");
    gw_markup_add_xml(out, gw_buf_text(&when));
    gw_buf_adds(out, ".</p>\n<p>");
    gw_markup_add_xml(out, gw_render_text(report, "reason"));
    gw_buf_adds(out, "</p>\n");
    if (json_is_true(json_object_get(report, "private")))
        gw_buf_adds(out, "<p>" GW_RENDER_PRIVATE "</p>\n");
    add_collections(out, report);
    add_differences(out, report);
    add_rules(out, report);
    add_definitions(out, report);
    add_queries(out, report);
    gw_buf_adds(out, "</body></html>\n");
}
