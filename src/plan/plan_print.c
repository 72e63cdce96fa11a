/* The plan for a person. */
#include "plan/plan.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { TABLES_SHOWN = 40, SAME_SHOWN = 3, SQL_SHOWN = 300 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static int64_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void print_tables(const json_t *plan, struct gw_buf *out)
{
    const json_t *totals = json_object_get(plan, "totals");
    json_t *tables = json_object_get(plan, "tables"), *table;
    char bytes[16], index[16];
    size_t i;
    gw_format_bytes(number_of(totals, "bytes"), bytes);
    gw_format_bytes(number_of(totals, "index_bytes"), index);
    gw_buf_addf(out, "\nWhat moves: %lld tables, ", (long long)number_of(totals, "tables"));
    if (number_of(totals, "unknown_rows") == 0)
        gw_buf_addf(out, "about %lld rows, ", (long long)number_of(totals, "rows"));
    gw_buf_addf(out, "%s and %s of indexes, in about %lld chunks\n", bytes, index,
                (long long)number_of(totals, "chunks"));
    if (number_of(totals, "unknown_rows") > 0)
        gw_buf_addf(out, "  (blue has no statistics of %lld of them yet: ANALYZE there gives their rows)\n",
                    (long long)number_of(totals, "unknown_rows"));
    json_array_foreach(tables, i, table)
    {
        if (i == TABLES_SHOWN) {
            gw_buf_addf(out, "  ... and %zu more (--json has all)\n", json_array_size(tables) - i);
            break;
        }
        int64_t rows = number_of(table, "rows");
        const char *space = text_of(table, "schema");
        gw_autofree char *name = gw_asprintf("%s%s%s", space, *space ? "." : "", text_of(table, "name"));
        gw_autofree char *count = rows < 0 ? gw_strdup("?") : gw_asprintf("%lld", (long long)rows);
        gw_format_bytes(number_of(table, "bytes"), bytes);
        gw_buf_addf(out, "  %-40s %12s rows %9s %6lld chunks  key %-8s %s%s%s%s\n", name, count, bytes,
                    (long long)number_of(table, "chunks"), text_of(table, "key"), text_of(table, "path"),
                    *text_of(table, "why") ? " (" : "", text_of(table, "why"), *text_of(table, "why") ? ")" : "");
    }
}

static void add_duration(const json_t *estimate, const char *key, struct gw_buf *out)
{
    char text[16];
    if (json_is_integer(json_object_get(estimate, key))) {
        gw_format_duration(number_of(estimate, key), text);
        gw_buf_adds(out, text);
    } else {
        gw_buf_adds(out, "unknown");
    }
}

static void add_about(const json_t *estimate, const char *key, struct gw_buf *out)
{
    gw_buf_adds(out, json_is_integer(json_object_get(estimate, key)) ? "about " : "");
    add_duration(estimate, key, out);
}

/* Only where triggers capture. */
static void add_captured(const json_t *estimate, const char *side, struct gw_buf *out)
{
    gw_autofree char *captured = gw_asprintf("captured_write_%s_ns", side);
    gw_autofree char *plain = gw_asprintf("plain_write_%s_ns", side);
    gw_autofree char *how = gw_asprintf("captured_write_%s_how", side);
    if (!json_is_integer(json_object_get(estimate, captured)))
        return;
    double with = (double)number_of(estimate, captured) / 1000, without = (double)number_of(estimate, plain) / 1000;
    gw_buf_addf(
        out,
        "A captured write costs %s %.1f us of the server's time more, %.1f instead of %.1f (a row of four columns,"
        " without its commit; measured %s)\n",
        side, with - without, with, without, text_of(estimate, how));
}

static void print_estimate(const json_t *plan, struct gw_buf *out)
{
    const json_t *estimate = json_object_get(plan, "estimate");
    char green[16], local[16], log[16];
    gw_buf_adds(out, "\nHow long, by measure: copy ");
    add_duration(estimate, "copy_least_us", out);
    gw_buf_adds(out, " to ");
    add_duration(estimate, "copy_most_us", out);
    gw_buf_adds(out, ", indexes ");
    add_about(estimate, "index_us", out);
    gw_buf_adds(out, ", verify ");
    add_about(estimate, "verify_us", out);
    gw_format_bytes(number_of(estimate, "green_disk_bytes"), green);
    gw_format_bytes(number_of(estimate, "local_disk_bytes"), local);
    gw_format_bytes(number_of(estimate, "blue_log_limit_bytes"), log);
    gw_buf_addf(
        out,
        "\n  %s\nDisk: green about %s and its log; blue at most %s of change log (follow.wal_limit); here at most"
        " %s (follow.spool_limit)\n",
        text_of(estimate, "basis"), green, log, local);
    add_captured(estimate, "blue", out);
    add_captured(estimate, "green", out);
}

static void print_map(const json_t *plan, struct gw_buf *out)
{
    const char *map = text_of(plan, "map");
    if (*map)
        gw_buf_addf(out, "\nWhat becomes of it:\n%s", map);
}

static void print_stays(const json_t *plan, struct gw_buf *out)
{
    json_t *stays = json_object_get(plan, "stays_behind"), *row;
    size_t i;
    gw_buf_adds(out, json_array_size(stays) ? "\nWhat stays behind:\n"
                                            : "\nWhat stays behind: nothing that was looked for\n");
    json_array_foreach(stays, i, row)
    {
        gw_buf_addf(out, "  %s: %s\n", text_of(row, "id"), text_of(row, "what"));
    }
}

/* Up to the first place where names begin to differ: "trigger godwit_fence on ". */
static size_t kind_length(const char *what)
{
    const char *on = strstr(what, " on "), *of = strstr(what, " of ");
    const char *end = on && (!of || on < of) ? on : of;
    return end ? (size_t)(end - what) : strlen(what);
}

static bool same_kind(const json_t *a, const json_t *b)
{
    const char *x = text_of(a, "what"), *y = text_of(b, "what");
    size_t len = kind_length(x);
    return strcmp(text_of(a, "side"), text_of(b, "side")) == 0 && len == kind_length(y) && strncmp(x, y, len) == 0;
}

static void print_object(const json_t *object, struct gw_buf *out)
{
    const char *sql = text_of(object, "sql");
    size_t lines = 0;
    gw_buf_addf(out, "  %s: %s\n", text_of(object, "side"), text_of(object, "what"));
    for (const char *p = sql; *p; p++)
        lines += *p == '\n';
    if (*sql && lines == 0 && strlen(sql) <= SQL_SHOWN)
        gw_buf_addf(out, "      %s\n", sql);
    else if (*sql)
        gw_buf_addf(out, "      (%zu characters of SQL: --json has them)\n", strlen(sql));
    gw_buf_addf(out, "      undo: %s\n", text_of(object, "undo"));
}

static void print_makes(const json_t *plan, struct gw_buf *out)
{
    static const char *const sides[] = {"blue", "green", "gate", "here"};
    json_t *makes = json_object_get(plan, "makes"), *object, *before = NULL;
    gw_buf_adds(out, "\nWhat godwit makes, and how it is undone:\n");
    for (size_t s = 0; s < sizeof sides / sizeof sides[0]; s++) {
        size_t i, run = 0;
        json_array_foreach(makes, i, object)
        {
            if (strcmp(text_of(object, "side"), sides[s]) != 0)
                continue;
            run = before && same_kind(before, object) ? run + 1 : 0;
            before = object;
            if (run < SAME_SHOWN)
                print_object(object, out);
            else if (run == SAME_SHOWN)
                gw_buf_addf(out, "  %s: ... and so on for each table (--json has all)\n", sides[s]);
        }
    }
}

static void print_way_back(const json_t *plan, struct gw_buf *out)
{
    json_t *rows = json_object_get(plan, "way_back"), *row;
    size_t i;
    gw_buf_adds(out, "\nThe way back:\n");
    json_array_foreach(rows, i, row)
    {
        bool possible = json_is_true(json_object_get(row, "possible"));
        gw_buf_addf(out, "  %-7s %-16s loses %s; takes %s\n", text_of(row, "stage"),
                    possible ? text_of(row, "command") : "NONE", text_of(row, "loses"), text_of(row, "takes"));
        if (*text_of(row, "why"))
            gw_buf_addf(out, "          %s\n", text_of(row, "why"));
    }
}

static void print_gate(const json_t *plan, struct gw_buf *out)
{
    const json_t *gate = json_object_get(plan, "gate");
    json_t *costs = json_object_get(gate, "costs"), *cost;
    size_t i;
    if (!json_array_size(costs))
        return;
    gw_buf_addf(out, "\nWhat a switch costs the application's clients (gate %s):\n", text_of(gate, "type"));
    json_array_foreach(costs, i, cost) gw_buf_addf(out, "  - %s\n", json_string_value(cost));
}

static void print_break_glass(const json_t *plan, struct gw_buf *out)
{
    const char *side;
    json_t *script;
    gw_buf_adds(out, "\nBreak glass, to remove godwit without godwit (alone: godwit plan --break-glass SIDE):\n");
    json_object_foreach(json_object_get(plan, "break_glass"), side, script)
    {
        gw_buf_addf(out, "\n%s\n", json_string_value(script));
    }
}

void gw_plan_print(const json_t *plan, struct gw_buf *out)
{
    const json_t *sides = json_object_get(plan, "sides");
    const json_t *blue = json_object_get(sides, "blue"), *green = json_object_get(sides, "green");
    json_t *reasons = json_object_get(plan, "reasons"), *reason;
    size_t i;
    gw_buf_addf(out, "%s   from %s at %s to %s at %s\n", text_of(plan, "migration"), text_of(blue, "product"),
                text_of(blue, "address"), text_of(green, "product"), text_of(green, "address"));
    print_tables(plan, out);
    print_map(plan, out);
    print_estimate(plan, out);
    print_stays(plan, out);
    print_makes(plan, out);
    print_way_back(plan, out);
    print_gate(plan, out);
    print_break_glass(plan, out);
    if (gw_plan_is_safe(plan)) {
        gw_buf_adds(out, "\nThe plan is safe: every stage before finish has a way back. next: godwit run\n");
        return;
    }
    gw_buf_adds(out, "\nThe plan is NOT safe:\n");
    json_array_foreach(reasons, i, reason)
    {
        gw_buf_addf(out, "  %s\n", json_string_value(reason));
    }
    gw_buf_adds(out, "next: mend that (godwit check has the statements), then godwit plan\n");
}
