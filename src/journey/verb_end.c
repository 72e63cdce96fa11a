/* abort and finish: remove everything godwit made, on both sides and here, and prove that nothing is left. */
#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "journey/enforce.h"
#include "journey/streams.h"
#include "journey/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* On abort green's tables stay as they are: they were ours to fill, but dropping tables is never ours to do. */
static bool clean_side(struct gw_journey *journey, enum gw_side side, struct gw_error *err)
{
    struct gw_store *store = journey->sides[side];
    if (store->type->changes && !store->type->changes->drop(store, err))
        return gw_error_prefix(err, "closing the change log of %s", gw_side_name(side));
    GW_CRASH_POINT("end.after_drop");
    if (!store->type->ownership->uninstall(store, err))
        return gw_error_prefix(err, "removing godwit's objects from %s", gw_side_name(side));
    gw_autobuf struct gw_buf left = {0};
    if (!store->type->ownership->leftovers(store, &left, err))
        return false;
    if (left.len == 0)
        return true;
    (void)!gw_fail(err, GW_ERR_CONFLICT, "something of godwit is still on %s", gw_side_name(side));
    (void)!gw_error_detail(err, "%s", gw_buf_text(&left));
    return gw_error_hint(err, "remove it by hand with the break-glass SQL of godwit plan");
}

static char *old_folder(const struct gw_journey *journey)
{
    return gw_asprintf("%s.over", journey->folder);
}

/* A journal that knows nothing but how it ended, ready beside the old one. */
static bool make_last_journal(struct gw_journey *journey, const char *folder, enum gw_stage end, struct gw_error *err)
{
    const struct gw_state_options options = {
        .folder = folder, .migration = journey->migration.name, .create = true, .exclusive = true};
    struct gw_state *state;
    if (!gw_remove_tree(folder, err) || !gw_state_open(&options, &state, err))
        return false;
    bool ok = gw_state_set_stage(state, gw_stage_info(end)->name, err) &&
              gw_state_event(state, "stage", gw_stage_info(end)->name, err);
    gw_state_close(state);
    return ok;
}

/* The journal and the spool held customers' keys and rows. The two folders change places in one step: killed anywhere,
 * there is a journal that says either that the end has begun or that it is over. */
static bool replace_journal(struct gw_journey *journey, enum gw_stage end, struct gw_error *err)
{
    gw_autofree char *other = old_folder(journey);
    if (!make_last_journal(journey, other, end, err))
        return false;
    GW_CRASH_POINT("end.before_exchange");
    gw_state_close(journey->state);
    journey->state = NULL;
    if (renameat2(AT_FDCWD, other, AT_FDCWD, journey->folder, RENAME_EXCHANGE) != 0)
        return gw_fail_errno(err, errno, "could not put %s in the place of %s", other, journey->folder);
    GW_CRASH_POINT("end.after_exchange");
    return gw_remove_tree(other, err) && gw_journey_open_state(journey, GW_JOURNAL_WORK, err);
}

/* What a kill right after the exchange left behind. */
static bool remove_old_journal(struct gw_journey *journey, struct gw_error *err)
{
    gw_autofree char *other = old_folder(journey);
    return gw_remove_tree(other, err);
}

static bool end_migration(struct gw_journey *journey, enum gw_stage during, enum gw_stage end, enum gw_side first,
                          struct gw_error *err)
{
    gw_streams_stop(journey);
    if (!gw_journey_enter(journey, during, err))
        return false;
    if (!clean_side(journey, first, err) || !clean_side(journey, gw_side_other(first), err))
        return false;
    GW_CRASH_POINT("end.before_journal");
    return replace_journal(journey, end, err);
}

/* The side that stays in service: all it is to enforce, it enforces. */
static bool complete_side(struct gw_journey *journey, enum gw_side side, bool must, struct gw_error *err)
{
    gw_autobuf struct gw_buf failed = {0};
    if (!gw_enforce_all(journey, side, &failed, err))
        return false;
    if (failed.len == 0)
        return true;
    if (!must) {
        gw_journey_say(journey, "foreign keys on %s that its rows contradict stay NOT VALID:\n%s", gw_side_name(side),
                       gw_buf_text(&failed));
        return true;
    }
    (void)!gw_fail(err, GW_ERR_CONFLICT, "rows on %s contradict its foreign keys", gw_side_name(side));
    (void)!gw_error_detail(err, "%s", gw_buf_text(&failed));
    return gw_error_hint(err, "repair the rows, or drop the foreign keys; then godwit finish again");
}

static bool begin(struct gw_journey *journey, enum gw_verb verb, struct gw_error *err)
{
    return gw_journey_open_state(journey, GW_JOURNAL_WORK, err) && gw_journey_allows(journey, verb, err) &&
           gw_journey_connect(journey, err);
}

static bool has_home(struct gw_journey *journey, bool *home, struct gw_error *err)
{
    struct gw_owner owner;
    bool blue, green;
    if (!journey->sides[GW_BLUE]->type->ownership->get(journey->sides[GW_BLUE], &owner, &blue, err) ||
        !journey->sides[GW_GREEN]->type->ownership->get(journey->sides[GW_GREEN], &owner, &green, err))
        return false;
    *home = blue && green;
    return true;
}

static int aborted_already(struct gw_journey *journey, json_t **result, struct gw_error *err)
{
    if (!remove_old_journal(journey, err))
        return (int)gw_error_exit(err);
    gw_journey_say(journey, "aborted already: nothing of godwit is left");
    *result = json_pack("{s:b, s:s}", "nothing_left", 1, "owner", "blue");
    return GW_EXIT_YES;
}

int gw_verb_abort(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    (void)arguments;
    enum gw_side owner;
    bool home, torn;
    enum gw_stage stage;
    if (!begin(journey, GW_VERB_ABORT, err) || !gw_journey_stage(journey, &stage, err) ||
        !has_home(journey, &home, err))
        return (int)gw_error_exit(err);
    if (stage == GW_STAGE_ABORTED)
        return aborted_already(journey, result, err);
    if (home && !gw_journey_owner(journey, &owner, &torn, err))
        return (int)gw_error_exit(err);
    if (home && (owner != GW_BLUE || torn)) {
        (void)!gw_fail(err, GW_ERR_CONFLICT, "green owns the data: aborting now would lose what was written there");
        (void)!gw_error_hint(err, "godwit rollback first, then godwit abort");
        return (int)gw_error_exit(err);
    }
    if ((home && !complete_side(journey, GW_BLUE, false, err)) ||
        !end_migration(journey, GW_STAGE_ABORT, GW_STAGE_ABORTED, GW_BLUE, err))
        return (int)gw_error_exit(err);
    gw_journey_say(journey, "aborted: nothing of godwit is left on blue or green; blue owns its data as before");
    gw_journey_say(journey, "the tables copied to green are still there; drop them before another try");
    *result = json_pack("{s:b, s:s}", "nothing_left", 1, "owner", "blue");
    return GW_EXIT_YES;
}

/* The retention period counts from the last flip, by the journal. */
static bool retention_over(struct gw_journey *journey, struct gw_error *err)
{
    char stage[32];
    int64_t since_us;
    if (!gw_state_stage(journey->state, stage, &since_us, err))
        return false;
    int64_t left_us = since_us + journey->store->retain_ms * 1000 - gw_wall_us();
    if (left_us <= 0 || strcmp(stage, gw_stage_info(GW_STAGE_RETAIN)->name) != 0)
        return true;
    char text[16];
    gw_format_duration(left_us, text);
    (void)!gw_fail(err, GW_ERR_CONFLICT,
                   "the retention period lasts another %s: until then blue follows and godwit "
                   "rollback goes back",
                   text);
    return gw_error_hint(err, "to give the way back up now: godwit finish --now");
}

int gw_verb_finish(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    if (!begin(journey, GW_VERB_FINISH, err))
        return (int)gw_error_exit(err);
    enum gw_stage stage;
    if (!gw_journey_stage(journey, &stage, err))
        return (int)gw_error_exit(err);
    if (stage == GW_STAGE_FINISHED) {
        if (!remove_old_journal(journey, err))
            return (int)gw_error_exit(err);
        gw_journey_say(journey, "finished already: nothing of godwit is left");
        *result = json_pack("{s:b, s:s}", "nothing_left", 1, "owner", "green");
        return GW_EXIT_YES;
    }
    if (!json_is_true(json_object_get(arguments, "now")) && !retention_over(journey, err))
        return (int)gw_error_exit(err);
    if (!json_is_true(json_object_get(arguments, "no_archive"))) {
        (void)!gw_fail(err, GW_ERR_UNSUPPORTED, "this version cannot archive blue before it lets go of it");
        (void)!gw_error_hint(err, "make a backup of blue yourself, then: godwit finish --no-archive");
        return (int)gw_error_exit(err);
    }
    if (!complete_side(journey, GW_GREEN, true, err) ||
        !end_migration(journey, GW_STAGE_FINISH, GW_STAGE_FINISHED, GW_GREEN, err))
        return (int)gw_error_exit(err);
    gw_journey_say(journey, "finished: green is on its own, nothing of godwit is left on either side");
    *result = json_pack("{s:b, s:s}", "nothing_left", 1, "owner", "green");
    return GW_EXIT_YES;
}
