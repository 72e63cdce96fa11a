#include "journey/verdicts.h"

#include "base/clock.h"
#include "base/file.h"
#include "io/json.h"
#include "verify/verify.h"

#include <stdio.h>
#include <string.h>

enum { CLOCK_SLACK_US = 60 * 1000000 };

static bool read_beside(struct gw_journey *journey, struct gw_verdicts *out, struct gw_error *err)
{
    gw_autojson json_t *beside = NULL;
    if (!gw_state_get(journey->state, GW_VERIFY_BESIDE, &beside, err))
        return false;
    const char *what = json_string_value(json_object_get(beside, "what"));
    out->beside_different = (size_t)json_integer_value(json_object_get(beside, "different"));
    out->beside_unresolved = (size_t)json_integer_value(json_object_get(beside, "unresolved"));
    snprintf(out->beside, sizeof out->beside, "%s", what ? what : "");
    return true;
}

bool gw_verdicts_read(struct gw_journey *journey, struct gw_verdicts *out, struct gw_error *err)
{
    gw_autojson json_t *verdicts = NULL;
    if (!gw_state_verdicts(journey->state, &verdicts, err) || !gw_journey_read_schema(journey, err))
        return false;
    *out = (struct gw_verdicts){.tables = journey->schema.count};
    size_t i;
    json_t *verdict;
    json_array_foreach(verdicts, i, verdict)
    {
        const char *word = json_string_value(json_object_get(verdict, "verdict"));
        int64_t at_us = json_integer_value(json_object_get(verdict, "wall_us"));
        out->equal += word && !strcmp(word, "equal");
        out->different += word && !strcmp(word, "different");
        out->unresolved += word && !strcmp(word, "unresolved");
        if (at_us && (!out->oldest_wall_us || at_us < out->oldest_wall_us))
            out->oldest_wall_us = at_us;
    }
    if (!read_beside(journey, out, err))
        return false;
    out->word = out->different || out->beside_different     ? "different"
                : out->unresolved || out->beside_unresolved ? "unresolved"
                : out->equal && out->equal == out->tables   ? "equal"
                                                            : "none";
    return true;
}

/* A clock that was set back tells no age: then the verdict is taken for too old as well. */
static bool too_old(const struct gw_journey *journey, const struct gw_verdicts *verdicts, int64_t *age_us)
{
    *age_us = gw_wall_us() - verdicts->oldest_wall_us;
    return verdicts->oldest_wall_us &&
           (*age_us > journey->store->verify.max_age_ms * 1000 || *age_us < -CLOCK_SLACK_US);
}

void gw_verdicts_blocks(const struct gw_journey *journey, const struct gw_verdicts *verdicts, enum gw_side owner,
                        struct gw_buf *line)
{
    size_t compared = verdicts->equal + verdicts->different + verdicts->unresolved;
    const char *without = owner == GW_BLUE ? "godwit switch --unverified" : "godwit rollback --unverified";
    int64_t age_us;
    if (verdicts->different) {
        gw_buf_addf(line, "the last verify found differences in %zu of %zu tables: godwit verify, or %s",
                    verdicts->different, verdicts->tables, without);
    } else if (verdicts->unresolved) {
        gw_buf_addf(line, "the last verify left %zu of %zu tables unresolved: godwit verify, or %s",
                    verdicts->unresolved, verdicts->tables, without);
    } else if (compared < verdicts->tables) {
        gw_buf_addf(line, "%zu of %zu tables were never compared: godwit verify, or %s", verdicts->tables - compared,
                    verdicts->tables, without);
    } else if (verdicts->beside_different || verdicts->beside_unresolved) {
        gw_buf_addf(line, "the last verify found %s beside the tables, the first: %s: godwit verify, or %s",
                    verdicts->beside_different ? "differences" : "what stayed unresolved", verdicts->beside, without);
    } else if (owner == GW_BLUE && too_old(journey, verdicts, &age_us)) {
        char age[16], limit[16];
        if (age_us < 0) {
            gw_buf_addf(line,
                        "the verdict is of a time that this machine's clock has yet to reach: godwit verify, or %s",
                        without);
            return;
        }
        gw_format_duration(age_us, age);
        gw_format_duration(journey->store->verify.max_age_ms * 1000, limit);
        gw_buf_addf(line, "the verdict is %s old, and verify.max_age is %s: godwit verify, or %s", age, limit, without);
    }
}
