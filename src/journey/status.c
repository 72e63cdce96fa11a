#include "journey/status.h"

#include "base/clock.h"
#include "base/file.h"
#include "io/json.h"
#include "journey/streams.h"

#include <inttypes.h>
#include <string.h>

static void block(json_t *status, const char *text)
{
    json_array_append_new(json_object_get(status, "blocks"), gw_json_text(text));
}

static void add_stream(json_t *status, const struct gw_follow_status *follow, enum gw_side source)
{
    gw_autobuf struct gw_buf never = {0};
    gw_streams_convergence(follow, &never);
    json_t *stream = json_pack(
        "{s:s, s:b, s:b, s:b, s:I, s:I, s:I, s:f, s:f, s:I, s:s, s:s, s:I, s:I, s:I, s:s, s:s}", "stream",
        gw_stream_name(source), "receiving", follow->receiving, "applying", follow->applying, "caught_up",
        follow->caught_up, "lag_us", (json_int_t)follow->lag_us, "lag_bytes", (json_int_t)follow->lag_bytes, "lag_rows",
        (json_int_t)follow->lag_rows, "source_rows_per_second", follow->source_rows_per_second, "apply_rows_per_second",
        follow->apply_rows_per_second, "spool_bytes", (json_int_t)follow->spool_bytes, "received",
        follow->received.text, "applied", follow->applied_durable.text, "transactions",
        (json_int_t)follow->transactions, "foreign_writes", (json_int_t)follow->foreign_writes, "quarantined",
        (json_int_t)follow->quarantined, "convergence", gw_buf_text(&never), "blocked", follow->blocked);
    json_array_append_new(json_object_get(status, "streams"), stream);
    if (follow->block != GW_FOLLOW_FREE)
        block(status, follow->blocked[0] ? follow->blocked : follow->error.message);
    else if (follow->error.kind != GW_ERR_NONE)
        block(status, follow->error.message);
    if (never.len)
        block(status, gw_buf_text(&never));
}

/* Outside of a load and of a switch only one thing holds an applier back. */
static void add_held(json_t *status, const struct gw_follow_status *follow, enum gw_side source, enum gw_stage stage)
{
    gw_autobuf struct gw_buf line = {0};
    if (!follow->paused || (stage != GW_STAGE_FOLLOW && stage != GW_STAGE_RETAIN))
        return;
    gw_buf_addf(
        &line,
        "%s: nothing is applied until foreign keys and triggers are off %s; godwit run goes on with it and says "
        "who is in the way",
        gw_stream_name(source), gw_side_name(gw_side_other(source)));
    block(status, gw_buf_text(&line));
}

static void add_streams(struct gw_journey *journey, json_t *status, enum gw_stage stage)
{
    pthread_mutex_lock(&journey->lock);
    for (int side = 0; side < 2; side++) {
        if (!journey->follows[side])
            continue;
        struct gw_follow_status follow;
        gw_follow_status(journey->follows[side], &follow);
        add_stream(status, &follow, (enum gw_side)side);
        add_held(status, &follow, (enum gw_side)side, stage);
    }
    pthread_mutex_unlock(&journey->lock);
}

static bool add_verdict(struct gw_journey *journey, json_t *status, struct gw_error *err)
{
    gw_autojson json_t *verdicts = NULL;
    if (!gw_state_verdicts(journey->state, &verdicts, err) || !gw_journey_read_schema(journey, err))
        return false;
    int equal = 0, different = 0, unresolved = 0;
    json_int_t oldest_us = 0;
    size_t i;
    json_t *verdict;
    json_array_foreach(verdicts, i, verdict)
    {
        const char *word = json_string_value(json_object_get(verdict, "verdict"));
        json_int_t at = json_integer_value(json_object_get(verdict, "wall_us"));
        equal += word && !strcmp(word, "equal");
        different += word && !strcmp(word, "different");
        unresolved += word && !strcmp(word, "unresolved");
        if (at && (!oldest_us || at < oldest_us))
            oldest_us = at;
    }
    const char *word = different                                         ? "different"
                       : unresolved                                      ? "unresolved"
                       : equal && (size_t)equal == journey->schema.count ? "equal"
                                                                         : "none";
    json_object_set_new(status, "verdict",
                        json_pack("{s:s, s:i, s:i, s:i, s:I, s:I}", "verdict", word, "equal", equal, "different",
                                  different, "unresolved", unresolved, "tables", (json_int_t)journey->schema.count,
                                  "oldest_wall_us", oldest_us));
    if (different)
        block(status, "the last verify found differences: godwit verify");
    return true;
}

static bool add_quarantine(struct gw_journey *journey, json_t *status, struct gw_error *err)
{
    struct gw_quarantined *found = NULL;
    size_t count = 0;
    if (!gw_state_quarantined(journey->state, &found, &count, err))
        return false;
    gw_quarantined_free(found, count);
    json_object_set_new(status, "quarantine", json_integer((json_int_t)count));
    if (count)
        block(status, "changes are in quarantine");
    return true;
}

static bool add_load(struct gw_journey *journey, json_t *status, struct gw_error *err)
{
    struct gw_load_totals load;
    if (!gw_state_load_totals(journey->state, &load, err))
        return false;
    json_object_set_new(status, "load",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "rows", (json_int_t)load.rows_loaded, "bytes",
                                  (json_int_t)load.bytes_loaded, "chunks", (json_int_t)load.chunks, "chunks_loaded",
                                  (json_int_t)load.chunks_loaded, "estimated_rows", (json_int_t)load.estimated_rows,
                                  "estimated_bytes", (json_int_t)load.estimated_bytes));
    return true;
}

/* Asks a side what it retains for us; a side that does not answer blocks, and does not stop the rest of status. */
static void add_side(struct gw_journey *journey, json_t *status, enum gw_side side)
{
    struct gw_error err;
    struct gw_store *store = journey->sides[side];
    struct gw_retained kept;
    if (!store) {
        return;
    }
    if (!store->type->changes->retained(store, &kept, &err)) {
        block(status, err.message);
        return;
    }
    json_array_append_new(json_object_get(status, "retained"),
                          json_pack("{s:s, s:I, s:I, s:b, s:b}", "side", gw_side_name(side), "bytes",
                                    (json_int_t)kept.bytes, "limit_bytes", (json_int_t)kept.limit_bytes, "lost",
                                    kept.lost, "reader_attached", kept.reader_attached));
    if (kept.lost) {
        gw_autobuf struct gw_buf line = {0};
        gw_buf_addf(&line, "%s no longer keeps its change log for godwit: the direction %s is lost", gw_side_name(side),
                    gw_stream_name(side));
        block(status, gw_buf_text(&line));
    }
}

static void add_owner(struct gw_journey *journey, json_t *status)
{
    enum gw_side owner;
    bool torn;
    struct gw_error err;
    if (!journey->sides[GW_BLUE] || !journey->sides[GW_GREEN])
        return;
    if (!gw_journey_owner(journey, &owner, &torn, &err)) {
        json_object_set_new(status, "owner", json_string("unknown"));
        return;
    }
    json_object_set_new(status, "owner", json_string(gw_side_name(owner)));
    if (torn)
        block(status, "a switch was cut off between its two flips: godwit run completes it");
}

static void add_way_back(json_t *status, enum gw_stage stage, bool runner)
{
    const struct gw_stage_info *info = gw_stage_info(stage);
    if (!info->way_back)
        return;
    /* Before the switch nothing was written on green; after it, all of it was followed: both ways lose no row. */
    json_object_set_new(status, "go_back",
                        json_pack("{s:s, s:i, s:s}", "command", info->way_back, "loses_rows", 0, "takes",
                                  stage == GW_STAGE_RETAIN ? "one pause" : "seconds"));
    if (stage == GW_STAGE_RETAIN && !runner)
        block(status, "no runner is alive: the way back is ageing; start godwit run");
    if (stage == GW_STAGE_SWITCH && !runner)
        block(status, "a switch was cut off: godwit run resolves it");
}

bool gw_status_take(struct gw_journey *journey, json_t **out, struct gw_error *err)
{
    enum gw_stage stage;
    char name[32] = "";
    int64_t since_us = 0;
    if (!gw_journey_stage(journey, &stage, err) ||
        (journey->state && !gw_state_stage(journey->state, name, &since_us, err)))
        return false;
    int runner = gw_state_runner_pid(journey->folder);
    const struct gw_stage_info *info = gw_stage_info(stage);
    gw_autojson json_t *status =
        json_pack("{s:s, s:s, s:s, s:I, s:s, s:i, s:[], s:[], s:[]}", "migration", journey->migration.name, "stage",
                  info->name, "meaning", info->meaning, "since_us", (json_int_t)since_us, "owner",
                  stage == GW_STAGE_FINISHED ? "green" : "blue", "runner_pid", runner, "streams", "retained", "blocks");
    if (journey->state && (!add_load(journey, status, err) || !add_verdict(journey, status, err) ||
                           !add_quarantine(journey, status, err)))
        return false;
    if (stage == GW_STAGE_COPY || stage == GW_STAGE_FOLLOW || stage == GW_STAGE_SWITCH || stage == GW_STAGE_RETAIN) {
        add_owner(journey, status);
        add_side(journey, status, GW_BLUE);
        if (stage != GW_STAGE_COPY)
            add_side(journey, status, GW_GREEN);
    }
    add_streams(journey, status, stage);
    add_way_back(status, stage, runner != 0);
    json_object_set_new(status, "next", gw_json_text(info->suggest));
    *out = json_incref(status);
    return true;
}

json_t *gw_status_ending(struct gw_journey *journey, enum gw_stage stage)
{
    const struct gw_stage_info *info = gw_stage_info(stage);
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:i, s:[], s:[], s:[]}", "migration", journey->migration.name, "stage",
                     info->name, "meaning", info->meaning, "since_us", (json_int_t)0, "owner",
                     stage == GW_STAGE_FINISH ? "green" : "blue", "runner_pid", gw_state_runner_pid(journey->folder),
                     "streams", "retained", "blocks");
}

bool gw_status_blocked(const json_t *status)
{
    return json_array_size(json_object_get(status, "blocks")) > 0;
}

/* ---- for a person ---- */

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
    json_array_foreach(json_object_get(status, "streams"), i, stream)
    {
        char bytes[16], spool[16];
        gw_format_bytes(number_of(stream, "lag_bytes"), bytes);
        gw_format_bytes(number_of(stream, "spool_bytes"), spool);
        gw_buf_addf(out, "  %-10s lag %.1f s   %s   %" JSON_INTEGER_FORMAT " rows   %s   spool %s\n",
                    text_of(stream, "stream"), (double)number_of(stream, "lag_us") / 1e6, bytes,
                    number_of(stream, "lag_rows"),
                    json_is_true(json_object_get(stream, "caught_up")) ? "caught up" : "converging", spool);
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
        char bytes[16];
        gw_format_bytes(number_of(kept, "bytes"), bytes);
        gw_buf_addf(out, "  %-10s keeps %s of its change log for us%s\n", text_of(kept, "side"), bytes,
                    json_is_true(json_object_get(kept, "lost")) ? ", and has LOST our place" : "");
    }
}

void gw_status_print(const json_t *status, struct gw_buf *out)
{
    print_head(status, out);
    print_load(status, out);
    print_streams(status, out);
    print_verdict(status, out);
    print_retained(status, out);
    const json_t *back = json_object_get(status, "go_back");
    if (back)
        gw_buf_addf(out, "  go back    %s      loses %" JSON_INTEGER_FORMAT " rows, takes %s\n",
                    text_of(back, "command"), number_of(back, "loses_rows"), text_of(back, "takes"));
    const json_t *blocks = json_object_get(status, "blocks");
    size_t i;
    json_t *line;
    if (json_array_size(blocks))
        gw_buf_adds(out, "  blocks:\n");
    json_array_foreach(blocks, i, line) gw_buf_addf(out, "    %s\n", json_string_value(line));
    if (text_of(status, "next")[0])
        gw_buf_addf(out, "next: %s\n", text_of(status, "next"));
}
