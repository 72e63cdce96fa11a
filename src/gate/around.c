#include "gate/around.h"

#include <stdlib.h>
#include <string.h>

enum { LOOKS = 4, PAUSE_MS = 60 };

static bool is_listed(int64_t id, const int64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id)
            return true;
    }
    return false;
}

/* Sessions whose address is one from which the gate connects are its own. When none of those is known on the side,
 * addresses are translated on the way, and nothing can be told: none is left. */
static bool take_out_addresses(struct gw_gate *gate, struct gw_session_info *found, size_t *count, struct gw_error *err)
{
    char(*own)[64] = NULL;
    size_t own_count = 0, kept = 0, seen = *count;
    if (!gate->type->addresses(gate, &own, &own_count, err))
        return false;
    for (size_t i = 0; i < seen; i++) {
        bool is_own = false;
        for (size_t j = 0; j < own_count && !is_own; j++)
            is_own = strcmp(found[i].address, own[j]) == 0;
        if (!is_own)
            found[kept++] = found[i];
    }
    free(own);
    *count = own_count && kept == seen ? 0 : kept;
    return true;
}

static bool look(struct gw_gate *gate, struct gw_store *store, struct gw_session_info **out, size_t *count,
                 struct gw_error *err)
{
    struct gw_session_info *found = NULL;
    int64_t *own = NULL;
    size_t found_count = 0, own_count = 0, kept = 0;
    if (!store->type->sessions->census(store, &found, &found_count, err))
        return false;
    if (!gate->type->sessions) {
        bool ok = take_out_addresses(gate, found, &found_count, err);
        if (!ok)
            free(found);
        *out = ok ? found : NULL;
        *count = ok ? found_count : 0;
        return ok;
    }
    if (!gate->type->sessions(gate, &own, &own_count, err)) {
        free(found);
        return false;
    }
    for (size_t i = 0; i < found_count; i++) {
        if (!is_listed(found[i].id, own, own_count))
            found[kept++] = found[i];
    }
    free(own);
    *out = found;
    *count = kept;
    return true;
}

static size_t keep_those_in_both(struct gw_session_info *found, size_t count, const struct gw_session_info *again,
                                 size_t again_count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < again_count; j++) {
            if (again[j].id == found[i].id) {
                found[kept++] = again[j];
                break;
            }
        }
    }
    return kept;
}

bool gw_gate_sessions_around(struct gw_gate *gate, struct gw_store *store, struct gw_cancel *cancel,
                             struct gw_session_info **out, size_t *count, struct gw_error *err)
{
    *out = NULL;
    *count = 0;
    if (!store->type->sessions || (!gate->type->sessions && !gate->type->addresses))
        return true;
    struct gw_session_info *found = NULL;
    size_t kept = 0;
    if (!look(gate, store, &found, &kept, err))
        return false;
    for (int n = 1; kept && n < LOOKS; n++) {
        struct gw_session_info *again = NULL;
        size_t again_count = 0;
        bool ok = gw_cancel_wait(cancel, PAUSE_MS) ? gw_cancel_fail(cancel, err)
                                                   : look(gate, store, &again, &again_count, err);
        if (!ok) {
            free(found);
            return false;
        }
        kept = keep_those_in_both(found, kept, again, again_count);
        free(again);
    }
    *out = found;
    *count = kept;
    return true;
}
