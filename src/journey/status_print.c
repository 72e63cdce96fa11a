/* The status object as a person reads it. */
#include "journey/status.h"

#include "base/clock.h"
#include "base/file.h"

#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* The clock may have been set back meanwhile. */
static int64_t since_wall_us(int64_t at_us)
{
    int64_t passed_us = gw_wall_us() - at_us;
    return passed_us > 0 ? passed_us : 0;
}

static void print_head(const json_t *status, struct gw_buf *out)
{
    char since[16] = "";
    const char *owner = text_of(status, "owner");
    if (number_of(status, "since_us"))
        gw_format_duration(since_wall_us(number_of(status, "since_us")), since);
    gw_buf_addf(out, "%s   stage %s   owner %s", text_of(status, "migration"), text_of(status, "stage"),
                !strcmp(owner, "blue")    ? "BLUE"
                : !strcmp(owner, "green") ? "GREEN"
                                          : "UNKNOWN");
    if (since[0])
        gw_buf_addf(out, "   %s", since);
    if (number_of(status, "runner_pid"))
        gw_buf_addf(out, "   runner pid %" JSON_INTEGER_FORMAT " alive\n", number_of(status, "runner_pid"));
    else
        gw_buf_adds(out, "   no runner\n");
}

static void print_streams(const json_t *status, struct gw_buf *out)
{
    size_t i;
    json_t *stream;
    char limit[16];
    gw_format_bytes(number_of(status, "spool_limit_bytes"), limit);
    json_array_foreach(json_object_get(status, "streams"), i, stream)
    {
        char bytes[16], spool[16];
        gw_format_bytes(number_of(stream, "lag_bytes"), bytes);
        gw_format_bytes(number_of(stream, "spool_bytes"), spool);
        gw_buf_addf(out, "  %-10s lag %.1f s   %s   %" JSON_INTEGER_FORMAT " rows   %s   spool %s of %s\n",
                    text_of(stream, "stream"), (double)number_of(stream, "lag_us") / 1e6, bytes,
                    number_of(stream, "lag_rows"), text_of(stream, "doing"), spool, limit);
    }
}

static void print_load(const json_t *status, struct gw_buf *out)
{
    const json_t *load = json_object_get(status, "load");
    char bytes[16];
    if (!number_of(load, "chunks"))
        return;
    gw_format_bytes(number_of(load, "bytes"), bytes);
    gw_buf_addf(out,
                "  load       %" JSON_INTEGER_FORMAT " rows, %s, %" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT
                " chunks\n",
                number_of(load, "rows"), bytes, number_of(load, "chunks_loaded"), number_of(load, "chunks"));
}

static void print_verdict(const json_t *status, struct gw_buf *out)
{
    const json_t *verdict = json_object_get(status, "verdict");
    json_int_t at = number_of(verdict, "oldest_wall_us");
    if (!number_of(verdict, "tables"))
        return;
    gw_buf_addf(out, "  verdict    %s (%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT " tables equal",
                text_of(verdict, "verdict"), number_of(verdict, "equal"), number_of(verdict, "tables"));
    if (at) {
        char age[16];
        gw_format_duration(since_wall_us(at), age);
        gw_buf_addf(out, ", %s old", age);
    }
    gw_buf_adds(out, ")\n");
}

static void print_retained(const json_t *status, struct gw_buf *out)
{
    size_t i;
    json_t *kept;
    json_array_foreach(json_object_get(status, "retained"), i, kept)
    {
        char bytes[16], guard[16];
        gw_format_bytes(number_of(kept, "bytes"), bytes);
        gw_format_bytes(number_of(kept, "guard_bytes"), guard);
        gw_buf_addf(out, "  %-10s keeps %s of its change log for us", text_of(kept, "side"), bytes);
        if (number_of(kept, "guard_bytes") > 0)
            gw_buf_addf(out, ", guard at %s", guard);
        gw_buf_addf(out, "%s\n", json_is_true(json_object_get(kept, "lost")) ? ", and has LOST our place" : "");
    }
}

static void print_way_back(const json_t *status, struct gw_buf *out)
{
    const json_t *back = json_object_get(status, "go_back");
    if (!back)
        return;
    if (json_is_true(json_object_get(back, "possible")))
        gw_buf_addf(out, "  go back    %s      loses %" JSON_INTEGER_FORMAT " rows, takes %s\n",
                    text_of(back, "command"), number_of(back, "loses_rows"), text_of(back, "takes"));
    else
        gw_buf_addf(out, "  go back    NONE: %s\n", text_of(back, "why"));
}

/* Before and after the two stages in which the owner may change, what is in the way is in the way of all. */
static void print_blocks(const json_t *status, struct gw_buf *out)
{
    const json_t *blocks = json_object_get(status, "blocks");
    const char *stage = text_of(status, "stage");
    size_t i;
    json_t *line;
    if (json_array_size(blocks))
        gw_buf_addf(out, "  blocks%s:\n",
                    !strcmp(stage, "follow")   ? " switch"
                    : !strcmp(stage, "retain") ? " rollback"
                                               : "");
    json_array_foreach(blocks, i, line)
    {
        gw_buf_addf(out, "    %s\n", json_string_value(line));
    }
}

void gw_status_print(const json_t *status, struct gw_buf *out)
{
    print_head(status, out);
    print_load(status, out);
    print_streams(status, out);
    print_verdict(status, out);
    print_retained(status, out);
    print_way_back(status, out);
    print_blocks(status, out);
    if (text_of(status, "next")[0])
        gw_buf_addf(out, "next: %s\n", text_of(status, "next"));
}
