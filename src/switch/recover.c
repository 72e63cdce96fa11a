#include "switch/switch.h"

#include "base/crash.h"

/* Rows that others change under us are read again and decided anew, but not for ever. */
enum { TIGHTEN_MS = 5000, TIGHTEN_TRIES = 3, DECIDE_TRIES = 20 };

static bool read_rows(struct gw_store *const sides[2], struct gw_owner rows[2], struct gw_error *err)
{
    for (int side = 0; side < 2; side++) {
        bool installed;
        if (!sides[side]->type->ownership->get(sides[side], &rows[side], &installed, err))
            return false;
        if (!installed) {
            gw_fail(err, GW_ERR_CONFLICT, "%s does not say who owns the data: godwit's schema is missing there",
                    gw_side_name((enum gw_side)side));
            return gw_error_hint(err, "was it removed by hand? `godwit abort` removes the rest");
        }
    }
    return true;
}

bool gw_switch_owner(struct gw_store *const sides[2], struct gw_owner *owner, bool *torn, struct gw_error *err)
{
    struct gw_owner rows[2];
    if (!read_rows(sides, rows, err))
        return false;
    *owner = rows[rows[GW_GREEN].epoch > rows[GW_BLUE].epoch ? GW_GREEN : GW_BLUE];
    *torn = rows[GW_BLUE].epoch != rows[GW_GREEN].epoch;
    return true;
}

static bool keeps_changing(struct gw_error *err)
{
    gw_fail(err, GW_ERR_RETRY, "the owner rows change while they are being brought to one");
    return gw_error_hint(err, "is a switch under way from another machine? look at godwit status");
}

/* The side with the lower epoch follows, step by step, to the row of the other. Returns with equal epochs. */
static bool carry_forward(struct gw_store *const sides[2], struct gw_owner rows[2], struct gw_buf *done,
                          struct gw_error *err)
{
    for (int misses = 0; rows[GW_BLUE].epoch != rows[GW_GREEN].epoch;) {
        enum gw_side low = rows[GW_BLUE].epoch < rows[GW_GREEN].epoch ? GW_BLUE : GW_GREEN;
        enum gw_side owner = rows[gw_side_other(low)].owner;
        bool set;
        if (!sides[low]->type->ownership->compare_and_set(sides[low], &rows[low], owner, &set, err))
            return false;
        if (set)
            gw_buf_addf(done, "completed the flip on %s: the owner is %s\n", gw_side_name(low), gw_side_name(owner));
        else if (++misses == DECIDE_TRIES)
            return keeps_changing(err);
        if (!read_rows(sides, rows, err))
            return false;
    }
    if (rows[GW_BLUE].owner == rows[GW_GREEN].owner)
        return true;
    return gw_fail(err, GW_ERR_CONFLICT, "blue says that %s owns the data and green that %s does, both at epoch %llu",
                   gw_side_name(rows[GW_BLUE].owner), gw_side_name(rows[GW_GREEN].owner),
                   (unsigned long long)rows[GW_BLUE].epoch);
}

/* A switch that is undone raises the epoch on both sides: a frozen switcher that wakes up fails at its own flip. *won
 * false: the row was changed before us (its flip was committed after all, or somebody else undid it); nothing is. */
static bool undo(struct gw_store *const sides[2], struct gw_owner rows[2], bool *won, struct gw_buf *done,
                 struct gw_error *err)
{
    enum gw_side owner = rows[GW_BLUE].owner;
    if (!sides[owner]->type->ownership->compare_and_set(sides[owner], &rows[owner], owner, won, err) ||
        !read_rows(sides, rows, err) || (*won && !carry_forward(sides, rows, done, err)))
        return false;
    if (*won)
        gw_buf_addf(done, "ended a switch that was cut off: %s owns the data\n", gw_side_name(owner));
    return true;
}

/* One owner, equal epochs, and whoever was in the middle of a switch can not flip any more. A fence that is up on the
 * owner is the sign of a switch, unless the flip was just carried forward: then it is the new owner's. */
static bool decide(struct gw_store *const sides[2], enum gw_side *owner, struct gw_buf *done, struct gw_error *err)
{
    struct gw_owner rows[2];
    if (!read_rows(sides, rows, err))
        return false;
    for (int tries = 0; tries < DECIDE_TRIES; tries++) {
        bool carried = rows[GW_BLUE].epoch != rows[GW_GREEN].epoch, raised, won = true;
        if (!carry_forward(sides, rows, done, err))
            return false;
        *owner = rows[GW_BLUE].owner;
        if (!sides[*owner]->type->fence->is_raised(sides[*owner], &raised, err) ||
            (raised && !carried && !undo(sides, rows, &won, done, err)))
            return false;
        if (won && rows[GW_BLUE].owner == *owner)
            return true;
    }
    return keeps_changing(err);
}

/* The owner enforces what it is to enforce before it is opened: a flip may have been cut off before that. */
static bool enforce_once(struct gw_store *owner, struct gw_buf *done, struct gw_error *err)
{
    const struct gw_schema_facet *schema = owner->type->schema;
    struct gw_tighten *tighten = NULL;
    if (!schema->tighten_open(owner, &tighten, err))
        return false;
    if (!tighten)
        return true;
    bool ok = schema->tighten(tighten, TIGHTEN_MS, err) && schema->tighten_commit(tighten, err);
    schema->tighten_close(tighten);
    if (ok)
        gw_buf_addf(done, "put foreign keys and triggers on the owner, %s\n", gw_side_name(owner->side));
    return ok;
}

/* The watchdog and the next command may do it at one time, and whoever comes later ends the other's session. */
static bool enforce(struct gw_store *owner, struct gw_buf *done, struct gw_error *err)
{
    if (!owner->type->schema || !owner->type->schema->tighten_open)
        return true;
    for (int tries = 1; !enforce_once(owner, done, err); tries++) {
        if (err->kind != GW_ERR_RETRY || tries == TIGHTEN_TRIES)
            return false;
    }
    return true;
}

static bool settle_fences(struct gw_store *const sides[2], const struct gw_schema *const schemas[2], enum gw_side owner,
                          struct gw_buf *done, struct gw_error *err)
{
    struct gw_store *other = sides[gw_side_other(owner)];
    bool raised;
    if (!other->type->fence->is_raised(other, &raised, err))
        return false;
    if (!raised) {
        struct gw_position at;
        if (!other->type->fence->raise(other, schemas[other->side], 5000, &at, err))
            return false;
        gw_buf_addf(done, "raised the fence on %s\n", gw_side_name(other->side));
    }
    if (!sides[owner]->type->fence->is_raised(sides[owner], &raised, err))
        return false;
    if (!raised)
        return true;
    if (!sides[owner]->type->fence->lower(sides[owner], err))
        return false;
    gw_buf_addf(done, "lowered the fence on the owner, %s\n", gw_side_name(owner));
    return true;
}

bool gw_switch_recover(struct gw_store *const sides[2], const struct gw_schema *const schemas[2], struct gw_gate *gate,
                       enum gw_side *owner, struct gw_buf *done, struct gw_error *err)
{
    if (!decide(sides, owner, done, err))
        return false;
    GW_CRASH_POINT("switch.recover.before_fences");
    if (!enforce(sides[*owner], done, err) || !settle_fences(sides, schemas, *owner, done, err))
        return false;
    if (!gate)
        return true;
    bool parked;
    enum gw_gate_target target, wanted = gw_gate_target_of(*owner);
    if (!gate->type->state(gate, &parked, &target, err))
        return false;
    if (target == wanted && !parked)
        return true;
    gw_buf_addf(done, "let the gate's traffic go on to %s\n", gw_side_name(*owner));
    return gate->type->point(gate, wanted, err) && gate->type->unpark(gate, err);
}
