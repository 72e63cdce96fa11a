#include "journey/definitions.h"

#include "io/json.h"

#include <string.h>

static const char *fact_of(enum gw_side side)
{
    return side == GW_BLUE ? "fingerprint.blue" : "fingerprint.green";
}

static bool take(struct gw_journey *journey, enum gw_side side, struct gw_buf *print, struct gw_error *err)
{
    struct gw_store *store = journey->sides[side];
    const struct gw_filter all = {0}; /* the file's patterns mean blue's names */
    const struct gw_filter *filter =
        side == GW_GREEN && journey->green_schema.count > 0 ? &all : &journey->store->filter;
    return store->type->catalog->fingerprint(store, filter, print, err);
}

bool gw_definitions_keep(struct gw_journey *journey, enum gw_side side, struct gw_error *err)
{
    gw_autobuf struct gw_buf print = {0};
    if (!take(journey, side, &print, err))
        return false;
    gw_autojson json_t *value = gw_json_text(gw_buf_text(&print)), *name = gw_json_text(gw_side_name(side));
    return gw_state_put(journey->state, fact_of(side), value, err) &&
           gw_state_put(journey->state, "fingerprint.owner", name, err);
}

/* Where no owner was noted (adopted, or by an earlier version) it counts as kept for blue. */
bool gw_definitions_keep_new(struct gw_journey *journey, enum gw_side owner, struct gw_error *err)
{
    gw_autojson json_t *of = NULL;
    if (!gw_state_get(journey->state, "fingerprint.owner", &of, err))
        return false;
    const char *name = json_is_string(of) ? json_string_value(of) : gw_side_name(GW_BLUE);
    return strcmp(name, gw_side_name(owner)) == 0 || gw_definitions_keep(journey, owner, err);
}

bool gw_definitions_compare(struct gw_journey *journey, enum gw_side side, bool *changed, struct gw_error *err)
{
    gw_autojson json_t *kept = NULL;
    gw_autobuf struct gw_buf now = {0};
    if (!gw_state_get(journey->state, fact_of(side), &kept, err) || !take(journey, side, &now, err))
        return false;
    *changed = json_is_string(kept) && strcmp(json_string_value(kept), gw_buf_text(&now)) != 0;
    return true;
}

const char *gw_definitions_way_on(enum gw_side owner)
{
    return owner == GW_BLUE
               ? "Undo the change on blue; if rows followed and it is more than an added column: godwit abort, "
                 "then godwit copy"
               : "Undo the change on green; if rows followed and it is more than an added column, the way "
                 "back is over: godwit finish --now --no-archive";
}
