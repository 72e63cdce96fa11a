#include "journey/stage.h"

#include "base/buf.h"

#include <string.h>

#define S(x) (1u << GW_STAGE_##x)
#define V(x) (1u << GW_VERB_##x)
#define LOOKING (V(CHECK) | V(AUDIT) | V(PLAN))
#define WORKING (LOOKING | V(COPY) | V(FOLLOW) | V(VERIFY) | V(QUARANTINE) | V(RUN))

static const struct gw_stage_info table[GW_STAGE_COUNT] = {
    {GW_STAGE_NEW, "new", "nothing has been made on either side", S(COPY) | S(ABORT),
     LOOKING | V(COPY) | V(FOLLOW) | V(VERIFY) | V(RUN) | V(ABORT), "godwit abort", "godwit check"},
    {GW_STAGE_COPY, "copy", "blue's change log is open and rows are being loaded into green", S(FOLLOW) | S(ABORT),
     WORKING | V(ABORT), "godwit abort", "godwit run"},
    {GW_STAGE_FOLLOW, "follow", "green is complete and follows blue", S(SWITCH) | S(ABORT),
     WORKING | V(SWITCH) | V(ABORT), "godwit abort", "godwit switch --rehearse"},
    {GW_STAGE_SWITCH, "switch", "the owner is being changed", S(FOLLOW) | S(RETAIN),
     V(RUN) | V(FOLLOW) | V(SWITCH) | V(ROLLBACK), "godwit run", "godwit run"},
    {GW_STAGE_RETAIN, "retain", "green owns the data and blue follows it", S(SWITCH) | S(FINISH),
     WORKING | V(ROLLBACK) | V(FINISH), "godwit rollback", "godwit run"},
    {GW_STAGE_FINISH, "finish", "what godwit made is being removed", S(FINISHED), V(FINISH), NULL, "godwit finish"},
    {GW_STAGE_FINISHED, "finished", "the move is done and nothing of godwit is left", 0, V(FINISH) | V(AUDIT), NULL,
     NULL},
    {GW_STAGE_ABORT, "abort", "what godwit made is being removed; blue stays the owner", S(ABORTED), V(ABORT),
     "godwit abort", "godwit abort"},
    {GW_STAGE_ABORTED, "aborted", "the migration was called off; blue was never touched by it again", S(COPY),
     LOOKING | V(COPY) | V(FOLLOW) | V(VERIFY) | V(RUN) | V(ABORT), NULL, "godwit run"},
};

static const char *const verbs[GW_VERB_COUNT] = {"check",      "audit", "plan",   "copy",     "follow", "verify",
                                                 "quarantine", "run",   "switch", "rollback", "abort",  "finish"};

const struct gw_stage_info *gw_stage_info(enum gw_stage stage)
{
    return &table[stage];
}

const char *gw_verb_name(enum gw_verb verb)
{
    return verbs[verb];
}

bool gw_stage_parse(const char *name, enum gw_stage *out, struct gw_error *err)
{
    if (!name[0]) {
        *out = GW_STAGE_NEW;
        return true;
    }
    for (size_t i = 0; i < GW_STAGE_COUNT; i++) {
        if (!strcmp(table[i].name, name)) {
            *out = table[i].stage;
            return true;
        }
    }
    gw_fail(err, GW_ERR_CONFLICT, "the journal says stage \"%s\", which this version does not know", name);
    return gw_error_hint(err, "use the godwit version that began this migration, or a newer one");
}

bool gw_stage_may_follow(enum gw_stage from, enum gw_stage to)
{
    return table[from].next & (1u << to);
}

bool gw_stage_allows(enum gw_stage stage, enum gw_verb verb, struct gw_error *err)
{
    if (table[stage].verbs & (1u << verb))
        return true;
    gw_autobuf struct gw_buf allowed = {0};
    for (int v = 0; v < GW_VERB_COUNT; v++) {
        if (table[stage].verbs & (1u << v))
            gw_buf_addf(&allowed, "%s%s", allowed.len ? ", " : "", verbs[v]);
    }
    gw_fail(err, GW_ERR_CONFLICT, "%s is not possible in stage %s: %s", verbs[verb], table[stage].name,
            table[stage].meaning);
    return gw_error_hint(err, "possible now: %s", gw_buf_text(&allowed));
}
