/*
 * The journey as a table: which stages there are, which may follow which, which verbs a stage allows and what its way
 * back is. No other place in the code knows an order of stages.
 */
#ifndef GW_JOURNEY_STAGE_H
#define GW_JOURNEY_STAGE_H

#include "base/error.h"

#include <stdbool.h>

enum gw_stage {
    GW_STAGE_NEW,      /* nothing of ours on either side */
    GW_STAGE_COPY,     /* blue's log is open, rows are being loaded */
    GW_STAGE_FOLLOW,   /* green is complete and follows; the way back is prepared */
    GW_STAGE_SWITCH,   /* a flip is in progress; found after a kill it is resumed or undone, never left */
    GW_STAGE_RETAIN,   /* green owns, blue follows and can take over again */
    GW_STAGE_FINISH,   /* everything of ours is being removed for good */
    GW_STAGE_FINISHED, /* nothing of ours is left; green is on its own */
    GW_STAGE_ABORT,    /* everything of ours is being removed; blue stays the owner */
    GW_STAGE_ABORTED,
    GW_STAGE_COUNT,
};

enum gw_verb {
    GW_VERB_CHECK,
    GW_VERB_AUDIT,
    GW_VERB_PLAN,
    GW_VERB_COPY,
    GW_VERB_FOLLOW,
    GW_VERB_VERIFY,
    GW_VERB_QUARANTINE, /* taking items out of it; looking is always allowed */
    GW_VERB_RUN,
    GW_VERB_SWITCH,
    GW_VERB_ROLLBACK,
    GW_VERB_ABORT,
    GW_VERB_FINISH,
    GW_VERB_COUNT,
};

struct gw_stage_info {
    enum gw_stage stage;
    const char *name;     /* as status prints it and the journal keeps it */
    const char *meaning;  /* one line for a person */
    unsigned next;        /* bits of the stages that may follow */
    unsigned verbs;       /* bits of the verbs allowed */
    const char *way_back; /* the command that goes back, or NULL: there is none */
    const char *suggest;  /* what the operator probably wants next */
};

const struct gw_stage_info *gw_stage_info(enum gw_stage stage); /* never NULL */
/* "" is GW_STAGE_NEW; an unknown name (of a newer version) is GW_ERR_CONFLICT. */
GW_MUST_CHECK bool gw_stage_parse(const char *name, enum gw_stage *out, struct gw_error *err);
bool gw_stage_may_follow(enum gw_stage from, enum gw_stage to);
/* False with a message that says the stage, why not, and what is allowed there. */
GW_MUST_CHECK bool gw_stage_allows(enum gw_stage stage, enum gw_verb verb, struct gw_error *err);
const char *gw_verb_name(enum gw_verb verb);

#endif
