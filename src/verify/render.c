/* What the three forms of a report share, and two of them: Markdown, JUnit. */
#include "verify/render.h"

#include "io/markup.h"
#include "verify/cause.h"
#include "verify/verify.h"

#include <stdbool.h>
#include <string.h>

const char *gw_render_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

void gw_render_number(const json_t *object, const char *key, struct gw_buf *out)
{
    gw_cause_add_count(out, (uint64_t)json_integer_value(json_object_get(object, key)));
}

void gw_render_left_out(const json_t *object, struct gw_buf *out)
{
    const json_t *left_out = json_object_get(object, "left_out");
    gw_verify_left_out((uint64_t)json_integer_value(json_object_get(left_out, "quarantine")),
                       (uint64_t)json_integer_value(json_object_get(left_out, "filter")), out);
}

/* Why a collection is not equal, and what of it was not compared. */
void gw_render_why(const json_t *collection, struct gw_buf *out)
{
    const char *reason = gw_render_text(collection, "reason");
    gw_autobuf struct gw_buf left_out = {0};
    gw_render_left_out(collection, &left_out);
    gw_buf_addf(out, "%s%s%s", reason, *reason && left_out.len ? "; " : "", gw_buf_text(&left_out));
}

void gw_render_when(const json_t *report, struct gw_buf *out)
{
    gw_buf_addf(out, "%s, %.1f s, %s", gw_render_text(report, "began"),
                json_number_value(json_object_get(report, "seconds")),
                json_is_true(json_object_get(report, "live")) ? "while the source was written to and followed"
                                                              : "while nothing followed");
}

bool gw_render_is_definition(const json_t *rule)
{
    return strcmp(gw_render_text(rule, "kind"), "definition") == 0;
}

const char *gw_render_weight(const json_t *rule)
{
    return strcmp(gw_render_text(rule, "verdict"), "equal") == 0 ? "note" : gw_render_text(rule, "verdict");
}

void gw_render_since(const json_t *collection, struct gw_buf *out)
{
    const char *since = gw_render_text(collection, "different_since");
    const char *until = gw_render_text(collection, "equal_until");
    const char *between = gw_render_text(collection, "between");
    if (*since)
        gw_buf_addf(out, "; found different first at %s", since);
    if (*until)
        gw_buf_addf(out, ", still equal at %s", until);
    if (*between)
        gw_buf_addf(out, "; in between: %s", between);
}

void gw_render_times(const json_t *side, struct gw_buf *out)
{
    gw_buf_addf(out, "%.2f, %.2f", json_number_value(json_object_get(side, "p50_ms")),
                json_number_value(json_object_get(side, "p95_ms")));
}

const char *gw_render_found(const json_t *query)
{
    const char *what = gw_render_text(query, "what");
    return !*what && json_is_true(json_object_get(query, "slower")) ? "slower on the target" : what;
}

/* ---- Markdown ---------------------------------------------------------------------------------------------------- */

static void add_cell(struct gw_buf *out, const char *text)
{
    gw_buf_adds(out, "| ");
    gw_markup_add_cell(out, text);
    gw_buf_addc(out, ' ');
}

static void add_collections(const json_t *report, struct gw_buf *out)
{
    size_t i;
    json_t *c;
    gw_buf_adds(out, "| table | verdict | rows | missing | extra | changed | why |\n"
                     "| --- | --- | ---: | ---: | ---: | ---: | --- |\n");
    json_array_foreach(json_object_get(report, "collections"), i, c)
    {
        add_cell(out, gw_render_text(c, "collection"));
        add_cell(out, gw_render_text(c, "verdict"));
        gw_buf_adds(out, "| ");
        gw_render_number(json_object_get(c, "source"), "rows", out);
        static const char *const counts[] = {"missing", "extra", "changed"};
        for (size_t k = 0; k < 3; k++) {
            gw_buf_adds(out, " | ");
            gw_render_number(c, counts[k], out);
        }
        gw_buf_addc(out, ' ');
        gw_autobuf struct gw_buf why = {0};
        gw_render_why(c, &why);
        gw_render_since(c, &why);
        add_cell(out, gw_buf_text(&why));
        gw_buf_adds(out, "|\n");
    }
}

static void add_differences(const json_t *report, struct gw_buf *out)
{
    size_t i, d, k;
    json_t *c, *difference, *column;
    bool begun = false;
    json_array_foreach(json_object_get(report, "collections"), i, c)
    {
        json_array_foreach(json_object_get(c, "differences"), d, difference)
        {
            if (!begun)
                gw_buf_adds(out,
                            "\n## Rows that differ\n\n| table | row | what | column | source | target | first seen |\n"
                            "| --- | --- | --- | --- | --- | --- | --- |\n");
            begun = true;
            json_t *columns = json_object_get(difference, "columns");
            size_t lines = json_array_size(columns) ? json_array_size(columns) : 1;
            for (k = 0; k < lines; k++) {
                column = json_array_get(columns, k);
                add_cell(out, gw_render_text(c, "collection"));
                add_cell(out, gw_render_text(difference, "key"));
                add_cell(out, gw_render_text(difference, "kind"));
                add_cell(out, gw_render_text(column, "column"));
                add_cell(out, gw_render_text(column, "source"));
                add_cell(out, gw_render_text(column, "target"));
                add_cell(out, k == 0 ? gw_render_text(difference, "first_seen") : "");
                gw_buf_adds(out, "|\n");
            }
        }
    }
}

static void add_rules(const json_t *report, struct gw_buf *out)
{
    size_t i;
    json_t *rule;
    if (!json_array_size(json_object_get(report, "rules")))
        return;
    gw_buf_adds(out, "\n## Keys, references and counters\n\n| table | what | name | verdict | found |\n"
                     "| --- | --- | --- | --- | --- |\n");
    json_array_foreach(json_object_get(report, "rules"), i, rule)
    {
        if (gw_render_is_definition(rule))
            continue;
        static const char *const cells[] = {"collection", "kind", "name", "verdict", "what"};
        for (size_t k = 0; k < sizeof cells / sizeof cells[0]; k++)
            add_cell(out, gw_render_text(rule, cells[k]));
        gw_buf_adds(out, "|\n");
    }
}

static void add_definitions(const json_t *report, struct gw_buf *out)
{
    size_t i;
    json_t *rule;
    bool begun = false;
    json_array_foreach(json_object_get(report, "rules"), i, rule)
    {
        static const char *const cells[] = {"collection", "name", "on_source", "on_target"};
        if (!gw_render_is_definition(rule) || !*gw_render_text(rule, "what"))
            continue;
        if (!begun)
            gw_buf_adds(out, "\n## Definitions that differ\n\n| table | what | source | target | |\n"
                             "| --- | --- | --- | --- | --- |\n");
        begun = true;
        for (size_t k = 0; k < sizeof cells / sizeof cells[0]; k++)
            add_cell(out, gw_render_text(rule, cells[k]));
        add_cell(out, gw_render_weight(rule));
        gw_buf_adds(out, "|\n");
    }
}

static void add_queries(const json_t *report, struct gw_buf *out)
{
    size_t i;
    json_t *query;
    if (!json_array_size(json_object_get(report, "queries")))
        return;
    gw_buf_adds(out, "\n## Critical queries\n\n"
                     "| query | verdict | calls | source p50, p95 ms | target p50, p95 ms | found |\n"
                     "| --- | --- | ---: | ---: | ---: | --- |\n");
    json_array_foreach(json_object_get(report, "queries"), i, query)
    {
        add_cell(out, gw_render_text(query, "name"));
        add_cell(out, gw_render_text(query, "verdict"));
        gw_buf_adds(out, "| ");
        gw_render_number(query, "calls", out);
        gw_buf_adds(out, " | ");
        gw_render_times(json_object_get(query, "source"), out);
        gw_buf_adds(out, " | ");
        gw_render_times(json_object_get(query, "target"), out);
        gw_buf_addc(out, ' ');
        add_cell(out, gw_render_found(query));
        gw_buf_adds(out, "|\n");
    }
}

void gw_verify_markdown(const json_t *report, struct gw_buf *out)
{
    gw_buf_addf(out, "# Verdict: %s\n\n", gw_render_text(report, "verdict"));
    gw_render_when(report, out);
    gw_buf_adds(out, ". ");
    gw_render_number(report, "rows", out);
    gw_buf_adds(out, " rows compared.");
    gw_buf_adds(out, json_is_true(json_object_get(report, "private")) ? " " GW_RENDER_PRIVATE "\n\n" : "\n\n");
    add_collections(report, out);
    add_differences(report, out);
    add_rules(report, out);
    add_definitions(report, out);
    add_queries(report, out);
}

/* ---- JUnit ------------------------------------------------------------------------------------------------------- */

static void add_attribute(struct gw_buf *out, const char *name, const char *text)
{
    gw_buf_addf(out, " %s=\"", name);
    gw_markup_add_xml(out, text);
    gw_buf_addc(out, '"');
}

static void add_case(struct gw_buf *out, const char *class, const char *name, const char *verdict, const char *why)
{
    bool failed = strcmp(verdict, "different") == 0, unresolved = strcmp(verdict, "unresolved") == 0;
    gw_buf_adds(out, "    <testcase");
    add_attribute(out, "classname", class);
    add_attribute(out, "name", name);
    if (!failed && !unresolved) {
        gw_buf_adds(out, "/>\n");
        return;
    }
    gw_buf_addf(out, "><%s", failed ? "failure" : "error");
    add_attribute(out, "type", verdict);
    add_attribute(out, "message", why);
    gw_buf_adds(out, "/></testcase>\n");
}

struct tally {
    size_t cases, failures, errors;
};

static void count_verdicts(const json_t *items, struct tally *tally)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)items, i, item)
    {
        tally->cases++;
        tally->failures += strcmp(gw_render_text(item, "verdict"), "different") == 0;
        tally->errors += strcmp(gw_render_text(item, "verdict"), "unresolved") == 0;
    }
}

void gw_verify_junit(const json_t *report, struct gw_buf *out)
{
    struct tally tally = {0};
    size_t i;
    json_t *item;
    count_verdicts(json_object_get(report, "collections"), &tally);
    count_verdicts(json_object_get(report, "rules"), &tally);
    count_verdicts(json_object_get(report, "queries"), &tally);
    /* A comparison that looked at nothing is no green run, whoever only counts failures. */
    bool nothing = strcmp(gw_render_text(report, "verdict"), "unresolved") == 0 && !tally.errors && !tally.failures;
    gw_buf_adds(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"godwit verify\"");
    gw_buf_addf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"0\" time=\"%.3f\"",
                tally.cases + nothing, tally.failures, tally.errors + nothing,
                json_number_value(json_object_get(report, "seconds")));
    add_attribute(out, "timestamp", gw_render_text(report, "began"));
    gw_buf_adds(out, ">\n");
    json_array_foreach(json_object_get(report, "collections"), i, item)
    {
        add_case(out, "rows", gw_render_text(item, "collection"), gw_render_text(item, "verdict"),
                 gw_render_text(item, "reason"));
    }
    json_array_foreach(json_object_get(report, "rules"), i, item)
    {
        gw_autobuf struct gw_buf name = {0};
        gw_buf_addf(&name, "%s %s", gw_render_text(item, "collection"), gw_render_text(item, "name"));
        add_case(out, gw_render_text(item, "kind"), gw_buf_text(&name), gw_render_text(item, "verdict"),
                 gw_render_text(item, "what"));
    }
    json_array_foreach(json_object_get(report, "queries"), i, item)
    {
        add_case(out, "query", gw_render_text(item, "name"), gw_render_text(item, "verdict"),
                 gw_render_text(item, "what"));
    }
    if (nothing)
        add_case(out, "rows", "everything", "unresolved", gw_render_text(report, "reason"));
    gw_buf_adds(out, "  </testsuite>\n</testsuites>\n");
}
