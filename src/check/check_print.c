/* The report of check for a person, and as JSON. */
#include "check/check.h"

#include "base/file.h"
#include "io/json.h"

#include <stdio.h>
#include <string.h>

static const char *const severities[] = {"info", "warning", "blocks"};

static void print_side(const struct gw_check_side *side, const char *name, struct gw_buf *out)
{
    char trip[16], rate[16];
    if (!side->reached) {
        gw_buf_addf(out, "  %-6s not reached\n", name);
        return;
    }
    gw_buf_addf(out, "  %-6s %s at %s as %s", name, side->product, side->address, side->user);
    if (side->measured) {
        if (side->round_trip_us < 1000)
            snprintf(trip, sizeof trip, "%d us", (int)side->round_trip_us);
        else
            gw_format_duration(side->round_trip_us, trip);
        gw_format_bytes(side->bytes_per_second, rate);
        gw_buf_addf(out, ", round trip %s, %s/s", trip, rate);
    }
    gw_buf_addc(out, '\n');
}

/* Text broken at spaces; a fix is never broken, so that it can be copied. */
static void print_wrapped(const char *text, int indent, struct gw_buf *out)
{
    enum { WIDTH = 110 };
    size_t width = (size_t)(WIDTH - indent);
    while (*text) {
        size_t len = strlen(text);
        if (len > width) {
            len = width;
            while (len > 0 && text[len] != ' ')
                len--;
            if (len == 0)
                len = strcspn(text, " ");
        }
        gw_buf_addf(out, "%*s%.*s\n", indent, "", (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
}

static void print_fix(const char *fix, struct gw_buf *out)
{
    for (bool first = true; *fix; first = false) {
        size_t len = strcspn(fix, "\n");
        gw_buf_addf(out, "      %s%.*s\n", first ? "fix: " : "     ", (int)len, fix);
        fix += len + (fix[len] == '\n');
    }
}

static void print_group(const struct gw_check_report *report, enum gw_severity severity, const char *title,
                        struct gw_buf *out)
{
    bool titled = false;
    for (size_t i = 0; i < report->findings.count; i++) {
        const struct gw_finding *finding = &report->findings.items[i];
        if (finding->severity != severity)
            continue;
        if (!titled)
            gw_buf_addf(out, "\n%s\n", title);
        titled = true;
        gw_buf_addf(out, "  %s: %s\n", gw_side_name(finding->side), finding->id);
        print_wrapped(finding->what, 6, out);
        print_fix(finding->fix, out);
    }
}

void gw_check_print(const struct gw_check_report *report, struct gw_buf *out)
{
    gw_buf_addf(out, "%s\n", report->migration);
    print_side(&report->sides[GW_BLUE], "blue", out);
    print_side(&report->sides[GW_GREEN], "green", out);
    print_group(report, GW_FINDING_BLOCKS, "What blocks:", out);
    print_group(report, GW_FINDING_WARNING, "To be known before it begins:", out);
    print_group(report, GW_FINDING_INFO, "For information:", out);
    if (report->blocks)
        gw_buf_addf(out, "\n%zu block, %zu warn. next: mend what blocks, then godwit check\n", report->blocks,
                    report->warnings);
    else
        gw_buf_addf(out, "\nnothing blocks, %zu warn. next: godwit plan\n", report->warnings);
}

static json_t *side_json(const struct gw_check_side *side)
{
    if (!side->reached)
        return json_pack("{s:b}", "reached", 0);
    json_t *object = json_pack("{s:b, s:o, s:o, s:o}", "reached", 1, "product", gw_json_text(side->product), "address",
                               gw_json_text(side->address), "user", gw_json_text(side->user));
    json_object_set_new(object, "round_trip_us", side->measured ? json_integer(side->round_trip_us) : json_null());
    json_object_set_new(object, "bytes_per_second",
                        side->measured ? json_integer(side->bytes_per_second) : json_null());
    return object;
}

json_t *gw_check_json(const struct gw_check_report *report)
{
    json_t *findings = json_array();
    for (size_t i = 0; i < report->findings.count; i++) {
        const struct gw_finding *f = &report->findings.items[i];
        json_array_append_new(findings,
                              json_pack("{s:s, s:s, s:s, s:o, s:o, s:b, s:b}", "severity", severities[f->severity],
                                        "side", gw_side_name(f->side), "id", f->id, "what", gw_json_text(f->what),
                                        "fix", gw_json_text(f->fix), "breaks_way_back", f->breaks_way_back,
                                        "stays_behind", f->stays_behind));
    }
    return json_pack("{s:s, s:i, s:I, s:I, s:{s:o, s:o}, s:o, s:o}", "migration", report->migration, "exit",
                     (int)gw_check_exit(report), "blocks", (json_int_t)report->blocks, "warnings",
                     (json_int_t)report->warnings, "sides", "blue", side_json(&report->sides[GW_BLUE]), "green",
                     side_json(&report->sides[GW_GREEN]), "predicted_park_ms",
                     report->predicted_park_ms >= 0 ? json_integer(report->predicted_park_ms) : json_null(), "findings",
                     findings);
}
