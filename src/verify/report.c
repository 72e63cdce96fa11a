/* A report as JSON and as a table. */
#include "base/clock.h"
#include "base/file.h"
#include "io/json.h"
#include "verify/cause.h"
#include "verify/queries.h"
#include "verify/sample.h"
#include "verify/verify.h"

#include <inttypes.h>
#include <string.h>

const char *gw_verdict_name(enum gw_verdict verdict)
{
    static const char *const names[] = {"equal", "different", "unresolved"};
    return names[verdict];
}

enum gw_exit gw_verify_exit(const struct gw_verify_report *report)
{
    switch (report->verdict) {
    case GW_VERDICT_EQUAL:
        return GW_EXIT_YES;
    case GW_VERDICT_DIFFERENT:
        return GW_EXIT_NO;
    case GW_VERDICT_UNRESOLVED:
        break;
    }
    return GW_EXIT_UNRESOLVED;
}

static const char *kind_name(enum gw_verify_kind kind)
{
    static const char *const names[] = {[GW_VERIFY_MISSING] = "missing",
                                        [GW_VERIFY_EXTRA] = "extra",
                                        [GW_VERIFY_CHANGED] = "changed",
                                        [GW_VERIFY_DUPLICATE] = "duplicate"};
    return names[kind];
}

const char *gw_rule_kind_name(enum gw_rule_kind kind)
{
    static const char *const names[] = {
        [GW_RULE_REFERENCE] = "reference", [GW_RULE_UNIQUE] = "unique",   [GW_RULE_CONDITION] = "condition",
        [GW_RULE_INDEX] = "index",         [GW_RULE_COUNTER] = "counter", [GW_RULE_DEFINITION] = "definition"};
    return names[kind];
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *side_json(const struct gw_verify_collection *c, int side)
{
    json_t *json = json_object();
    json_object_set_new(json, "rows", number(c->rows[side]));
    json_object_set_new(json, "bytes", number(c->bytes[side]));
    json_object_set_new(json, "from", gw_json_text(c->from[side].text));
    json_object_set_new(json, "to", gw_json_text(c->to[side].text));
    return json;
}

static void set_time(json_t *json, const char *key, int64_t wall_us)
{
    char text[32];
    if (!wall_us)
        return;
    gw_wall_format(wall_us, text);
    json_object_set_new(json, key, json_string(text));
}

static json_t *difference_json(const struct gw_verify_difference *difference)
{
    json_t *json = json_object(), *columns = json_array();
    json_object_set_new(json, "kind", json_string(kind_name(difference->kind)));
    json_object_set_new(json, "key", gw_json_text(difference->key));
    set_time(json, "first_seen", difference->first_wall_us);
    for (size_t i = 0; i < difference->column_count; i++) {
        json_t *column = json_object();
        json_object_set_new(column, "column", gw_json_text(difference->columns[i].column));
        json_object_set_new(column, "source", gw_json_text(difference->columns[i].source));
        json_object_set_new(column, "target", gw_json_text(difference->columns[i].target));
        json_array_append_new(columns, column);
    }
    json_object_set_new(json, "columns", columns);
    return json;
}

static json_t *left_out_json(uint64_t by_policy, uint64_t by_filter)
{
    json_t *json = json_object();
    json_object_set_new(json, "quarantine", number(by_policy));
    json_object_set_new(json, "filter", number(by_filter));
    return json;
}

json_t *gw_verify_collection_json(const struct gw_verify_collection *c)
{
    json_t *json = json_object(), *causes = json_array(), *differences = json_array();
    json_object_set_new(json, "collection", gw_json_text(c->name));
    json_object_set_new(json, "verdict", json_string(gw_verdict_name(c->verdict)));
    json_object_set_new(json, "reason", gw_json_text(c->reason));
    json_object_set_new(json, "columns", number(c->columns));
    json_object_set_new(json, "source", side_json(c, 0));
    json_object_set_new(json, "target", side_json(c, 1));
    json_object_set_new(json, "chunks", number(c->chunks));
    json_object_set_new(json, "chunks_differing", number(c->chunks_differing));
    json_object_set_new(json, "suspects", number(c->suspects));
    json_object_set_new(json, "settled", number(c->settled));
    json_object_set_new(json, "missing", number(c->missing));
    json_object_set_new(json, "extra", number(c->extra));
    json_object_set_new(json, "changed", number(c->changed));
    json_object_set_new(json, "duplicate", number(c->duplicate));
    json_object_set_new(json, "unresolved", number(c->unresolved));
    json_object_set_new(json, "left_out", left_out_json(c->by_policy, c->by_filter));
    json_object_set_new(json, "at_least", json_boolean(c->at_least));
    for (size_t i = 0; i < c->cause_count; i++)
        json_array_append_new(causes, gw_json_text(c->causes[i]));
    json_object_set_new(json, "causes", causes);
    for (size_t i = 0; i < c->difference_count; i++)
        json_array_append_new(differences, difference_json(&c->differences[i]));
    json_object_set_new(json, "differences", differences);
    set_time(json, "different_since", c->different_since_us);
    set_time(json, "equal_until", c->equal_until_us);
    if (c->between)
        json_object_set_new(json, "between", gw_json_text(c->between));
    return json;
}

static void set_broken(json_t *json, const char *key, uint64_t broken)
{
    if (broken != GW_RULE_NOT_COUNTED)
        json_object_set_new(json, key, number(broken));
}

static json_t *rule_json(const struct gw_verify_rule *rule)
{
    json_t *json = json_object();
    json_object_set_new(json, "kind", json_string(gw_rule_kind_name(rule->kind)));
    json_object_set_new(json, "collection", gw_json_text(rule->collection));
    json_object_set_new(json, "name", gw_json_text(rule->name));
    json_object_set_new(json, "verdict", json_string(gw_verdict_name(rule->verdict)));
    json_object_set_new(json, "what", gw_json_text(rule->what));
    if (rule->on[0])
        json_object_set_new(json, "on_source", gw_json_text(rule->on[0]));
    if (rule->on[1])
        json_object_set_new(json, "on_target", gw_json_text(rule->on[1]));
    set_broken(json, "broken_on_source", rule->broken[0]);
    set_broken(json, "broken_on_target", rule->broken[1]);
    return json;
}

json_t *gw_verify_beside_json(const struct gw_verify_report *report)
{
    uint64_t counts[3] = {0};
    const char *first = "";
    for (size_t i = 0; i < report->query_count; i++) {
        const struct gw_verify_query *query = &report->queries[i];
        counts[query->verdict]++;
        if (query->verdict != GW_VERDICT_EQUAL && !*first)
            first = query->name;
    }
    return json_pack("{s:o, s:o, s:s}", "different", number(counts[GW_VERDICT_DIFFERENT]), "unresolved",
                     number(counts[GW_VERDICT_UNRESOLVED]), "what", first);
}

struct totals {
    uint64_t verdicts[3], rows, bytes, by_policy, by_filter, resumed;
};

static struct totals totals_of(const struct gw_verify_report *report)
{
    struct totals totals = {0};
    for (size_t i = 0; i < report->count; i++) {
        totals.verdicts[report->collections[i].verdict]++;
        totals.rows += report->collections[i].rows[0];
        totals.bytes += report->collections[i].bytes[0];
        totals.by_policy += report->collections[i].by_policy;
        totals.by_filter += report->collections[i].by_filter;
        totals.resumed += report->collections[i].rows_resumed;
    }
    return totals;
}

static json_t *sample_json(const struct gw_verify_sample *sample)
{
    json_t *json = json_object(), *missed = json_array();
    json_object_set_new(json, "one_of", json_integer(sample->one_of));
    json_object_set_new(json, "block_rows", json_integer(GW_SAMPLE_ROWS));
    json_object_set_new(json, "seed", number(sample->seed));
    for (uint64_t rows = 1; rows <= 1000; rows *= 10)
        json_array_append_new(
            missed, json_pack("{s:o, s:f}", "differing", number(rows), "probability", gw_sample_missed(sample, rows)));
    json_object_set_new(json, "missed", missed);
    json_object_set_new(json, "sure", number(gw_sample_sure(sample)));
    return json;
}

json_t *gw_verify_report_json(const struct gw_verify_report *report)
{
    json_t *json = json_object(), *collections = json_array();
    struct totals totals = totals_of(report);
    char began[32];
    gw_wall_format(report->began_wall_us, began);
    json_object_set_new(json, "verdict", json_string(gw_verdict_name(report->verdict)));
    json_object_set_new(json, "reason", gw_json_text(report->reason));
    json_object_set_new(json, "private", json_boolean(report->masked));
    json_object_set_new(json, "live", json_boolean(report->live));
    json_object_set_new(json, "began", json_string(began));
    if (report->sample.one_of > 1)
        json_object_set_new(json, "sample", sample_json(&report->sample));
    if (report->resumed_wall_us) {
        gw_wall_format(report->resumed_wall_us, began);
        json_object_set_new(json, "resumed", json_string(began));
        json_object_set_new(json, "rows_resumed", number(totals.resumed));
    }
    json_object_set_new(json, "seconds", json_real((double)report->elapsed_us / 1e6));
    for (int i = 0; i < 3; i++)
        json_object_set_new(json, gw_verdict_name((enum gw_verdict)i), number(totals.verdicts[i]));
    json_object_set_new(json, "rows", number(totals.rows));
    json_object_set_new(json, "bytes", number(totals.bytes));
    json_object_set_new(json, "left_out", left_out_json(totals.by_policy, totals.by_filter));
    for (size_t i = 0; i < report->count; i++)
        json_array_append_new(collections, gw_verify_collection_json(&report->collections[i]));
    json_object_set_new(json, "collections", collections);
    json_t *rules = json_array();
    for (size_t i = 0; i < report->rule_count; i++)
        json_array_append_new(rules, rule_json(&report->rules[i]));
    json_object_set_new(json, "rules", rules);
    json_object_set_new(json, "queries", gw_queries_json(report));
    return json;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void add_bytes(struct gw_buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double size = (double)bytes;
    unsigned unit = 0;
    for (; size >= 1000 && unit < 4; unit++)
        size /= 1000;
    gw_buf_addf(out, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

static void add_padded(struct gw_buf *out, const char *text, size_t width, bool right)
{
    size_t len = strlen(text);
    for (size_t i = len; right && i < width; i++)
        gw_buf_addc(out, ' ');
    gw_buf_adds(out, text);
    for (size_t i = len; !right && i < width; i++)
        gw_buf_addc(out, ' ');
}

static void add_difference(struct gw_buf *out, const struct gw_verify_difference *difference, int64_t now_us)
{
    gw_buf_addf(out, "      %-9s %s", kind_name(difference->kind), difference->key);
    if (difference->first_wall_us && difference->first_wall_us < now_us) {
        char first[32], now[32];
        gw_wall_format(difference->first_wall_us, first);
        gw_wall_format(now_us, now);
        gw_buf_addf(out, "   first seen %s, still there at %s", first, now);
    }
    gw_buf_addc(out, '\n');
    for (size_t i = 0; i < difference->column_count; i++)
        gw_buf_addf(out, "                %s: %s on the source, %s on the target\n", difference->columns[i].column,
                    difference->columns[i].source, difference->columns[i].target);
}

void gw_verify_left_out(uint64_t by_policy, uint64_t by_filter, struct gw_buf *out)
{
    uint64_t first = by_policy ? by_policy : by_filter;
    if (!first)
        return;
    gw_cause_add_count(out, first);
    gw_buf_addf(out, " row%s left out by %s", first == 1 ? "" : "s", by_policy ? "policy quarantine" : "the filter");
    if (!by_policy || !by_filter)
        return;
    gw_buf_adds(out, ", ");
    gw_cause_add_count(out, by_filter);
    gw_buf_adds(out, " by the filter");
}

static bool leaves_out(const struct gw_verify_collection *c)
{
    return c->by_policy || c->by_filter;
}

static void add_collection(struct gw_buf *out, const struct gw_verify_collection *c, size_t width)
{
    gw_autobuf struct gw_buf rows = {0}, bytes = {0};
    gw_cause_add_count(&rows, c->rows[0]);
    add_bytes(&bytes, c->bytes[0]);
    gw_buf_adds(out, "  ");
    add_padded(out, c->name, width, false);
    gw_buf_adds(out, "  ");
    add_padded(out, gw_verdict_name(c->verdict), 10, false);
    add_padded(out, gw_buf_text(&rows), 16, true);
    add_padded(out, gw_buf_text(&bytes), 11, true);
    gw_buf_addf(out, "  %s\n", c->verdict == GW_VERDICT_EQUAL ? "" : c->reason);
    if (leaves_out(c)) {
        gw_buf_adds(out, "    ");
        gw_verify_left_out(c->by_policy, c->by_filter, out);
        gw_buf_addc(out, '\n');
    }
    for (size_t i = 1; i < c->cause_count; i++)
        gw_buf_addf(out, "    %s\n", c->causes[i]);
    gw_verify_add_since(c, "    ", out);
    for (size_t i = 0; i < c->difference_count && i < 5; i++)
        add_difference(out, &c->differences[i], c->checked_wall_us);
}

static void add_rules(struct gw_buf *out, const struct gw_verify_report *report)
{
    size_t held = 0;
    for (size_t i = 0; i < report->rule_count; i++) {
        const struct gw_verify_rule *rule = &report->rules[i];
        held += rule->verdict == GW_VERDICT_EQUAL;
        if (*rule->what)
            gw_buf_addf(out, "  %s: %s %s: %s\n",
                        rule->verdict == GW_VERDICT_EQUAL ? "note" : gw_verdict_name(rule->verdict), rule->collection,
                        rule->name, rule->what);
    }
    if (!report->rule_count)
        return;
    gw_buf_adds(out, "keys, references, counters and definitions: ");
    gw_cause_add_count(out, held);
    gw_buf_adds(out, " of ");
    gw_cause_add_count(out, report->rule_count);
    gw_buf_adds(out, " hold\n");
}

void gw_verify_report_text(const struct gw_verify_report *report, bool all, struct gw_buf *out)
{
    struct totals totals = totals_of(report);
    size_t width = 20;
    for (size_t i = 0; i < report->count; i++) {
        size_t len = strlen(report->collections[i].name);
        width = len > width && len <= 60 ? len : width;
    }
    for (size_t i = 0; i < report->count; i++)
        if (all || report->collections[i].verdict != GW_VERDICT_EQUAL || report->collections[i].by_policy)
            add_collection(out, &report->collections[i], width);
    add_rules(out, report);
    gw_queries_text(report, out);
    if (totals.resumed) {
        char age[16];
        gw_format_duration(report->began_wall_us - report->resumed_wall_us, age);
        gw_cause_add_count(out, totals.resumed);
        gw_buf_addf(out, " rows were read by a verify that began %s before this one and did not end\n", age);
    }
    if (report->sample.one_of > 1)
        gw_buf_addf(
            out,
            "a sample: one row of %" PRIu32 ", in blocks of %d, --seed %" PRIu64 ". It misses one row that differs"
            " with %.1f %%, ten of them with %.1f %%, %" PRIu64 " with less than 1 %% (rows of one block count as"
            " one); no switch begins on it\n",
            report->sample.one_of, GW_SAMPLE_ROWS, report->sample.seed, 100 * gw_sample_missed(&report->sample, 1),
            100 * gw_sample_missed(&report->sample, 10), gw_sample_sure(&report->sample));
    gw_buf_addf(out, "verdict: %s%s", gw_verdict_name(report->verdict),
                report->sample.one_of > 1 ? " in the sample" : "");
    if (report->reason[0])
        gw_buf_addf(out, " (%s)", report->reason);
    gw_buf_adds(out, "; ");
    gw_cause_add_count(out, totals.verdicts[GW_VERDICT_EQUAL]);
    gw_buf_adds(out, " of ");
    gw_cause_add_count(out, report->count);
    gw_buf_adds(out, " collections equal");
    if (totals.verdicts[GW_VERDICT_DIFFERENT]) {
        gw_buf_adds(out, ", ");
        gw_cause_add_count(out, totals.verdicts[GW_VERDICT_DIFFERENT]);
        gw_buf_adds(out, " different");
    }
    if (totals.verdicts[GW_VERDICT_UNRESOLVED]) {
        gw_buf_adds(out, ", ");
        gw_cause_add_count(out, totals.verdicts[GW_VERDICT_UNRESOLVED]);
        gw_buf_adds(out, " unresolved");
    }
    if (totals.by_policy || totals.by_filter) {
        gw_buf_adds(out, "; ");
        gw_verify_left_out(totals.by_policy, totals.by_filter, out);
    }
    gw_buf_adds(out, "; ");
    gw_cause_add_count(out, totals.rows);
    gw_buf_adds(out, " rows, ");
    add_bytes(out, totals.bytes);
    gw_buf_addf(out, " a side in %.1f s\n", (double)report->elapsed_us / 1e6);
}
