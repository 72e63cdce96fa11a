/* abort and finish: remove everything godwit made, on both sides and here, and prove that nothing is left. */
#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
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

/* Both are tried, and what cannot be cleaned now is named: a side that is gone must not keep the other from being free.
 * *left: bits of the sides where something of ours may be. */
static bool clean_sides(struct gw_journey *journey, enum gw_side first, unsigned *left, struct gw_error *err)
{
    const enum gw_side order[2] = {first, gw_side_other(first)};
    *left = 0;
    for (int i = 0; i < 2; i++) {
        struct gw_error why;
        if (gw_journey_connect_side(journey, order[i], &why) && clean_side(journey, order[i], &why))
            continue;
        if (why.kind == GW_ERR_CANCELLED) {
            *err = why;
            return false;
        }
        gw_log_error(&why);
        *left |= 1u << order[i];
    }
    return true;
}

/* A no that may be tried again: the journal stays in the stage that removes. */
static int say_what_is_left(struct gw_journey *journey, enum gw_verb verb, unsigned left, json_t **result,
                            struct gw_error *err)
{
    gw_autojson json_t *names = json_array();
    for (int side = 0; side < 2; side++)
        if (left & (1u << side))
            json_array_append_new(names, json_string(gw_side_name((enum gw_side)side)));
    const bool both = left == 3;
    const char *name = both ? "both sides" : gw_side_name(left & (1u << GW_BLUE) ? GW_BLUE : GW_GREEN);
    if (!both)
        gw_journey_say(journey, "nothing of godwit is left on %s",
                       gw_side_name(left & (1u << GW_BLUE) ? GW_GREEN : GW_BLUE));
    *result = json_pack("{s:b, s:O}", "nothing_left", 0, "left", names);
    (void)!gw_fail(err, GW_ERR_CONFLICT, "%s could not be cleaned: what godwit made there is there still", name);
    (void)!gw_error_hint(
        err,
        "godwit %s again once it answers, or the SQL of godwit plan --break-glass SIDE; gone for good: "
        "delete the folder %s",
        gw_verb_name(verb), journey->folder);
    return (int)gw_error_exit(err);
}

static bool end_migration(struct gw_journey *journey, enum gw_stage during, enum gw_stage end, enum gw_side first,
                          unsigned *left, struct gw_error *err)
{
    gw_streams_stop(journey);
    if (!gw_journey_enter(journey, during, err) || !clean_sides(journey, first, left, err))
        return false;
    if (*left)
        return true;
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

/* What each side says of itself. */
struct said {
    bool asked, home;
    struct gw_owner owner;
    struct gw_error why; /* when it could not be asked */
};

static bool ask_side(struct gw_journey *journey, enum gw_side side, struct said *said, struct gw_error *err)
{
    *said = (struct said){0};
    said->asked =
        gw_journey_connect_side(journey, side, &said->why) &&
        journey->sides[side]->type->ownership->get(journey->sides[side], &said->owner, &said->home, &said->why);
    if (!said->asked && said->why.kind == GW_ERR_CANCELLED) {
        *err = said->why;
        return false;
    }
    return true;
}

/* Neither side is needed to begin with; gone are those that do not answer. */
static bool begin(struct gw_journey *journey, enum gw_verb verb, struct said said[2], struct gw_error *err)
{
    if (!gw_journey_open_state(journey, GW_JOURNAL_WORK, err) || !gw_journey_allows(journey, verb, err) ||
        !ask_side(journey, GW_BLUE, &said[GW_BLUE], err) || !ask_side(journey, GW_GREEN, &said[GW_GREEN], err))
        return false;
    if (said[GW_BLUE].asked && said[GW_GREEN].asked)
        return gw_journey_connect(journey, err); /* refuses two that are one */
    if (said[GW_BLUE].asked || said[GW_GREEN].asked)
        return true;
    *err = said[GW_BLUE].why;
    enum gw_stage stage;
    struct gw_error ignored;
    if (gw_journey_stage(journey, &stage, &ignored) && stage == GW_STAGE_NEW)
        (void)!gw_error_hint(err,
                             "nothing was begun from %s, so there is nothing here to call off; whether a side holds "
                             "something of another godwit it cannot say now",
                             journey->folder);
    return false;
}

/* The old owner's row is flipped first, so a side that calls itself the owner is the owner, and of two rows the newer
 * one counts. `stays` is to be the owner; a side that is clean already says nothing. */
static bool owns(const struct said said[2], enum gw_side stays)
{
    const struct said *own = &said[stays], *other = &said[gw_side_other(stays)];
    if (own->home && own->owner.owner != stays)
        return false;
    if (!other->home || other->owner.owner == stays)
        return true;
    return own->home && own->owner.epoch > other->owner.epoch;
}

static int aborted_already(struct gw_journey *journey, json_t **result, struct gw_error *err)
{
    if (!remove_old_journal(journey, err))
        return (int)gw_error_exit(err);
    gw_journey_say(journey, "aborted already: nothing of godwit is left");
    *result = json_pack("{s:b, s:s}", "nothing_left", 1, "owner", "blue");
    return GW_EXIT_YES;
}

static int abort_it(struct gw_journey *journey, const struct said said[2], json_t **result, struct gw_error *err)
{
    unsigned left;
    if (!owns(said, GW_BLUE)) {
        (void)!gw_fail(err, GW_ERR_CONFLICT, "green owns the data: aborting now would lose what was written there");
        (void)!gw_error_hint(err, "godwit rollback first, then godwit abort");
        return (int)gw_error_exit(err);
    }
    if ((said[GW_BLUE].home && !complete_side(journey, GW_BLUE, false, err)) ||
        !end_migration(journey, GW_STAGE_ABORT, GW_STAGE_ABORTED, GW_BLUE, &left, err))
        return (int)gw_error_exit(err);
    if (left)
        return say_what_is_left(journey, GW_VERB_ABORT, left, result, err);
    gw_journey_say(journey, "aborted: nothing of godwit is left on blue or green; blue owns its data as before");
    gw_journey_say(journey, "the tables copied to green are still there; drop them before another try");
    *result = json_pack("{s:b, s:s}", "nothing_left", 1, "owner", "blue");
    return GW_EXIT_YES;
}

int gw_verb_abort(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    (void)arguments;
    struct said said[2];
    enum gw_stage stage;
    if (!gw_journey_open_state(journey, GW_JOURNAL_WORK, err) || !gw_journey_stage(journey, &stage, err))
        return (int)gw_error_exit(err);
    if (stage == GW_STAGE_ABORTED)
        return aborted_already(journey, result, err);
    if (!begin(journey, GW_VERB_ABORT, said, err))
        return (int)gw_error_exit(err);
    return abort_it(journey, said, result, err);
}

/* Counted from the last change of owner by green's own clock: neither a rehearsal nor this machine's clock moves it. */
static bool retention_over(struct gw_journey *journey, const struct said *green, struct gw_error *err)
{
    int64_t left_us = journey->store->retain_ms * 1000 - green->owner.owned_for_us;
    if (!green->home || left_us <= 0)
        return true;
    char text[16];
    gw_format_duration(left_us, text);
    (void)!gw_fail(err, GW_ERR_CONFLICT,
                   "the retention period lasts another %s: until then blue follows and godwit "
                   "rollback goes back",
                   text);
    return gw_error_hint(err, "to give the way back up now: godwit finish --now");
}

/* green stays in service: it has to answer, and to be the owner by what the sides say, whatever the journal says. */
static bool may_finish(struct gw_journey *journey, const json_t *arguments, const struct said said[2],
                       struct gw_error *err)
{
    if (!said[GW_GREEN].asked) {
        *err = said[GW_GREEN].why;
        return false;
    }
    if (!owns(said, GW_GREEN)) {
        (void)!gw_fail(err, GW_ERR_CONFLICT, "blue owns the data, by what the sides say; this journal is not theirs");
        return gw_error_hint(err, "move %s away and godwit adopt rebuilds it", journey->folder);
    }
    if (!json_is_true(json_object_get(arguments, "now")) && !retention_over(journey, &said[GW_GREEN], err))
        return false;
    if (json_is_true(json_object_get(arguments, "no_archive")))
        return true;
    (void)!gw_fail(err, GW_ERR_UNSUPPORTED, "this version cannot archive blue before it lets go of it");
    return gw_error_hint(err, "make a backup of blue yourself, then: godwit finish --no-archive");
}

static int finished_already(struct gw_journey *journey, json_t **result, struct gw_error *err)
{
    if (!remove_old_journal(journey, err))
        return (int)gw_error_exit(err);
    gw_journey_say(journey, "finished already: nothing of godwit is left");
    *result = json_pack("{s:b, s:s}", "nothing_left", 1, "owner", "green");
    return GW_EXIT_YES;
}

int gw_verb_finish(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    struct said said[2];
    enum gw_stage stage;
    unsigned left;
    if (!gw_journey_open_state(journey, GW_JOURNAL_WORK, err) || !gw_journey_stage(journey, &stage, err))
        return (int)gw_error_exit(err);
    if (stage == GW_STAGE_FINISHED)
        return finished_already(journey, result, err);
    if (!begin(journey, GW_VERB_FINISH, said, err) || !may_finish(journey, arguments, said, err) ||
        (said[GW_GREEN].home && !complete_side(journey, GW_GREEN, true, err)) ||
        !end_migration(journey, GW_STAGE_FINISH, GW_STAGE_FINISHED, GW_GREEN, &left, err))
        return (int)gw_error_exit(err);
    if (left)
        return say_what_is_left(journey, GW_VERB_FINISH, left, result, err);
    gw_journey_say(journey, "finished: green is on its own, nothing of godwit is left on either side");
    *result = json_pack("{s:b, s:s}", "nothing_left", 1, "owner", "green");
    return GW_EXIT_YES;
}
