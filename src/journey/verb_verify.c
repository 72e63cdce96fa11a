/* verify: the pair as it stands, live where a follower runs. */
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
#include "journey/load.h"
#include "journey/mapping.h"
#include "journey/streams.h"
#include "journey/verbs.h"
#include "journey/wanted.h"
#include "verify/queries.h"
#include "verify/repair.h"
#include "verify/rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAY_BACK_MS = 5000, REST_MS = 500, REST_POLL_MS = 5 };

struct live {
    struct gw_journey *journey;
    enum gw_side owner;
    bool masked;              /* --private */
    bool apply;               /* --apply */
    const char *repair_file;  /* --repair */
    struct gw_repair *repair; /* of the comparison at hand; NULL: none */
    struct gw_verify_sample sample;
};

/* An idle log passes a position only when something comes after it, so something is written first. */
static bool wait_applied(void *arg, const struct gw_position *position, int timeout_ms, bool *reached,
                         struct gw_error *err)
{
    struct live *live = arg;
    struct gw_store *source = live->journey->sides[live->owner];
    char token[64];
    snprintf(token, sizeof token, "marker:%016llx", (unsigned long long)gw_random64());
    return source->type->changes->signal(source, token, err) &&
           gw_follow_wait_applied(live->journey->follows[live->owner], position, timeout_ms, reached, err);
}

static void on_progress(void *arg, const struct gw_verify_progress *progress)
{
    struct live *live = arg;
    char bytes[16];
    gw_format_bytes((int64_t)progress->bytes, bytes);
    double done = progress->estimated_rows > 0 ? (double)progress->rows / (double)progress->estimated_rows : -1;
    gw_journey_progress(live->journey, done > 1 ? 1 : done, "verify  %llu rows, %s, %zu/%zu tables, %llu suspects",
                        (unsigned long long)progress->rows, bytes, progress->collections_done, progress->collections,
                        (unsigned long long)progress->suspects);
}

/* What has to hold among the rows of the side that follows. */
static bool compare_rules(struct live *live, const struct gw_verify_options *verify, struct gw_verify_report *report,
                          struct gw_error *err)
{
    struct gw_journey *journey = live->journey;
    enum gw_side owner = live->owner, other = gw_side_other(owner);
    struct gw_definition wanted[2] = {{0}, {0}};
    if (!gw_wanted_describe(journey, owner, wanted, err))
        return false;
    struct gw_rules_options options = {
        .source = journey->sides[owner],
        .target = journey->sides[other],
        .wanted = {&wanted[owner], &wanted[other]},
        .schemas = {gw_journey_schema(journey, owner), gw_journey_schema(journey, other)},
        .verify = verify,
        .mapped = journey->map != NULL,
        .timeout_ms = journey->store->verify.statement_timeout_ms,
    };
    bool ok = wanted[owner].table_count == 0 || gw_rules_run(&options, report, err);
    gw_definition_release(&wanted[GW_BLUE]);
    gw_definition_release(&wanted[GW_GREEN]);
    return ok;
}

static bool compare_queries(struct live *live, const struct gw_verify_options *verify, struct gw_verify_report *report,
                            struct gw_error *err)
{
    struct gw_journey *journey = live->journey;
    struct gw_queries_options options = {.source = journey->sides[live->owner],
                                         .target = journey->sides[gw_side_other(live->owner)],
                                         .queries = &journey->store->queries,
                                         .verify = verify,
                                         .timeout_ms = journey->store->verify.statement_timeout_ms};
    return options.queries->count == 0 || gw_queries_run(&options, report, err);
}

static uint32_t id_of(const struct gw_schema *schema, const char *label)
{
    for (size_t i = 0; i < schema->count; i++)
        if (strcmp(gw_collection_label(&schema->collections[i]), label) == 0)
            return schema->collections[i].id;
    return UINT32_MAX;
}

static int by_row(const void *a, const void *b)
{
    const struct gw_quarantined *left = a, *right = b;
    int order = strcmp(left->collection, right->collection);
    return order ? order : strcmp(left->key, right->key);
}

/* Rows that did not fit and whose notes are there: a row may have several. */
static bool take_quarantined(const struct live *live, struct gw_verify_report *report, struct gw_error *err)
{
    struct gw_quarantined *items = NULL;
    size_t count = 0, kept = 0;
    if (!gw_state_quarantined(live->journey->state, &items, &count, err))
        return false;
    struct gw_quarantined *notes = gw_calloc(count + 1, sizeof *notes); /* borrows */
    for (size_t i = 0; i < count; i++)
        if (items[i].left_out && strcmp(items[i].stream, gw_stream_name(live->owner)) == 0)
            notes[kept++] = items[i];
    qsort(notes, kept, sizeof *notes, by_row);
    const struct gw_schema *schema = gw_journey_schema(live->journey, live->owner);
    for (size_t from = 0, to; from < kept; from = to) {
        uint64_t rows = 1;
        for (to = from + 1; to < kept && strcmp(notes[from].collection, notes[to].collection) == 0; to++)
            rows += by_row(&notes[to - 1], &notes[to]) != 0;
        gw_verify_take_quarantined(report, id_of(schema, notes[from].collection), rows);
    }
    free(notes);
    gw_quarantined_free(items, count);
    return true;
}

static bool make_mask(struct live *live, struct gw_mask *mask, struct gw_error *err)
{
    const struct gw_migration_verify *verify = &live->journey->store->verify;
    gw_mask_init(mask, live->masked || verify->private_ == GW_MIGRATION_PRIVATE_ON,
                 verify->show_keys == GW_MIGRATION_SHOW_NONE, verify->private_key);
    return gw_verify_identity_key(live->journey->state, mask->identity_key, err);
}

/* Words of a side may quote what a row holds. */
static void mask_error(const struct gw_mask *mask, struct gw_error *err)
{
    gw_autobuf struct gw_buf words = {0};
    if (!mask->hides)
        return;
    gw_mask_words(mask, err->message, &words);
    snprintf(err->message, sizeof err->message, "%s", gw_buf_text(&words));
    err->detail[0] = 0;
}

/* What an earlier run found counts as long as all of this is the same. */
static bool add_generation(struct gw_journey *journey, enum gw_side side, struct gw_buf *out, struct gw_error *err)
{
    struct gw_owner owner = {0};
    bool installed = false;
    struct gw_store *store = journey->sides[side];
    if (!store->type->ownership->get(store, &owner, &installed, err))
        return false;
    gw_buf_addf(out, "%s %s %" PRIu64 " %016" PRIx64 " %s", GW_VERSION, gw_side_name(owner.owner), owner.epoch,
                journey->file_hash, gw_state_migration_id(journey->state));
    for (int i = 0; i < 2; i++)
        gw_buf_addf(out, " %s/%s %d", journey->sides[i]->identity.server, journey->sides[i]->identity.database,
                    journey->sides[i]->identity.version);
    return true;
}

/* The other side's log begins with what we applied there since it was read last. Read beside the scans, its large values
 * would be held in memory together with theirs: so they come first, and the stream may make its buffers small again, as
 * it does when nothing comes. What cannot be waited for is no reason not to compare. */
static void wait_way_back(struct live *live)
{
    struct gw_follow *back = live->journey->follows[gw_side_other(live->owner)];
    struct gw_error ignored;
    struct gw_follow_status status = {0};
    bool reached = false;
    if (back && !gw_follow_wait_caught_up(back, WAY_BACK_MS, &reached, &ignored))
        gw_debug("the way back is not waited for");
    for (int ms = 0; reached && !status.caught_up && ms < REST_MS; ms += REST_POLL_MS) {
        gw_follow_status(back, &status);
        if (!status.caught_up && gw_cancel_wait(live->journey->cancel, REST_POLL_MS))
            return;
    }
}

static bool compare(struct live *live, struct gw_verify_report *report, struct gw_error *err)
{
    struct gw_mask mask;
    struct gw_journey *journey = live->journey;
    struct gw_store *source, *target;
    gw_autobuf struct gw_buf generation = {0};
    if (!make_mask(live, &mask, err) || !gw_mapping_faces(journey, live->owner, &source, &target, err) ||
        !add_generation(journey, live->owner, &generation, err))
        return false;
    /* The faces of a mapped pair both show green's collections. */
    struct gw_verify_options options = {.source = source,
                                        .target = target,
                                        .schema = gw_journey_schema(journey, GW_GREEN),
                                        .jobs = journey->store->verify.jobs,
                                        .resettle_ms = journey->store->verify.resettle_ms,
                                        .wait_applied = wait_applied,
                                        .wait_arg = live,
                                        .progress = on_progress,
                                        .progress_arg = live,
                                        .cancel = journey->cancel,
                                        .mask = &mask,
                                        .sample = live->sample,
                                        .found_row = live->repair ? gw_repair_note : NULL,
                                        .found_arg = live->repair,
                                        .keeping = {.state = journey->state,
                                                    .folder = journey->folder,
                                                    .generation = gw_buf_text(&generation),
                                                    .max_age_ms = journey->store->verify.resume_ms,
                                                    .every_ms = journey->store->verify.checkpoint_ms}};
    if (live->repair) /* every row is to be found by this run */
        options.keeping.generation = NULL, options.keeping.state = NULL;
    wait_way_back(live);
    bool ok = gw_verify_run(&options, report, err);
    if (ok && options.sample.one_of > 1)
        ok = gw_verify_remember(report, journey->state, err) && gw_verify_keep(report, journey->state, err);
    else if (ok && (!compare_rules(live, &options, report, err) || !take_quarantined(live, report, err) ||
                    !compare_queries(live, &options, report, err) || !gw_verify_remember(report, journey->state, err) ||
                    !gw_verify_keep(report, journey->state, err) ||
                    !gw_verify_forget(&options.keeping, options.schema, err))) {
        gw_verify_report_release(report);
        ok = false;
    }
    if (!ok)
        mask_error(&mask, err);
    gw_log_status_line(NULL);
    return ok;
}

/* Only what follows is written to, and only rows that this comparison has proved different. */
static bool compare_and_repair(struct live *live, struct gw_verify_report *report, json_t **repaired,
                               struct gw_error *err)
{
    struct gw_journey *journey = live->journey;
    enum gw_side owner = live->owner, other = gw_side_other(owner);
    struct gw_verify_options waiting = {.wait_applied = wait_applied, .wait_arg = live};
    struct gw_repair_options options = {
        .source = journey->sides[owner],
        .target = journey->sides[other],
        .schemas = {gw_journey_schema(journey, owner), gw_journey_schema(journey, other)},
        .map = journey->map,
        .verify = &waiting,
    };
    gw_autobuf struct gw_buf text = {0};
    if (!gw_repair_open(&options, &live->repair, err))
        return false;
    bool ok = compare(live, report, err);
    struct gw_repair *repair = live->repair;
    live->repair = NULL;
    bool made = ok && gw_repair_make(repair, err) && gw_repair_write(repair, live->repair_file, err) &&
                (!live->apply || gw_repair_apply(repair, err));
    if (made) {
        gw_repair_text(repair, live->repair_file, &text);
        gw_journey_say(journey, "%s", gw_buf_text(&text));
        *repaired = gw_repair_json(repair);
    }
    if (ok && (!made || live->apply))
        gw_verify_report_release(report);
    gw_repair_close(repair);
    return made && (!live->apply || compare(live, report, err));
}

static int say_report(struct gw_journey *journey, struct gw_verify_report *report, json_t **result)
{
    gw_autobuf struct gw_buf text = {0};
    gw_verify_report_text(report, false, &text);
    gw_journey_say(journey, "%s", gw_buf_text(&text));
    *result = gw_verify_report_json(report);
    int code = (int)gw_verify_exit(report);
    gw_verify_report_release(report);
    return code;
}

/* Asks the owner alone: nothing is copied or compared for it. */
static int seed_queries(struct gw_journey *journey, json_t **result, struct gw_error *err)
{
    gw_autobuf struct gw_buf yaml = {0};
    enum gw_side owner;
    bool torn;
    if (!gw_journey_connect(journey, err))
        return (int)gw_error_exit(err);
    struct gw_error none;
    if (!gw_journey_owner(journey, &owner, &torn, &none))
        owner = GW_BLUE;
    if (!gw_queries_seed(journey->sides[owner], &yaml, err))
        return (int)gw_error_exit(err);
    *result = json_pack("{s:o}", "yaml", gw_json_text(gw_buf_text(&yaml)));
    return GW_EXIT_YES;
}

int gw_verb_verify(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    if (json_is_true(json_object_get(arguments, "seed_queries")))
        return seed_queries(journey, result, err);
    struct live live = {
        .journey = journey,
        .masked = json_is_true(json_object_get(arguments, "private")),
        .sample = {.one_of = (uint32_t)json_integer_value(json_object_get(arguments, "sample_one_of")),
                   .seed = (uint64_t)json_integer_value(json_object_get(arguments, "sample_seed"))},
        .apply = json_is_true(json_object_get(arguments, "apply")),
        .repair_file = json_string_value(json_object_get(arguments, "repair")),
    };
    struct gw_copy_report copied;
    struct gw_verify_report report;
    gw_autojson json_t *repaired = NULL;
    bool torn;
    if (!gw_journey_open_state(journey, GW_JOURNAL_WORK, err) || !gw_journey_connect(journey, err) ||
        !gw_verbs_recover(journey, err) || !gw_journey_allows(journey, GW_VERB_VERIFY, err) ||
        !gw_load_run(journey, &copied, err) || !gw_journey_owner(journey, &live.owner, &torn, err) ||
        !(live.repair_file ? compare_and_repair(&live, &report, &repaired, err) : compare(&live, &report, err)))
        return (int)gw_error_exit(err);
    int code = say_report(journey, &report, result);
    if (repaired)
        json_object_set(*result, "repair", repaired);
    return code;
}
