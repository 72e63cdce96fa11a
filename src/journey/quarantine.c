#include "journey/quarantine.h"

#include "base/mem.h"
#include "io/json.h"
#include "journey/verbs.h"

#include <string.h>

/* How a person writes on the sides that items were to go to. */
static json_t *by_hand(const struct gw_journey *journey, const struct gw_quarantined *found, size_t count)
{
    json_t *words = json_object();
    for (int side = 0; side < 2; side++) {
        const struct gw_store_type *type;
        struct gw_error ignored;
        bool any = false;
        for (size_t i = 0; i < count; i++) {
            const char *to = strchr(found[i].stream, '>');
            any = any || (to && strcmp(to + 1, gw_side_name((enum gw_side)side)) == 0);
        }
        if (any && gw_store_type_for(journey->store->side[side].url, &type, &ignored) && type->ownership &&
            type->ownership->by_hand)
            json_object_set_new(words, gw_side_name((enum gw_side)side), json_string(type->ownership->by_hand));
    }
    return words;
}

bool gw_quarantine_list(struct gw_journey *journey, json_t **out, struct gw_error *err)
{
    struct gw_quarantined *found = NULL;
    size_t count = 0;
    if (!gw_journey_open_state(journey, GW_JOURNAL_READ, err) ||
        (journey->state && !gw_state_quarantined(journey->state, &found, &count, err)))
        return false;
    json_t *items = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(items,
                              json_pack("{s:I, s:s, s:o, s:o, s:o, s:o, s:s, s:I}", "id", (json_int_t)found[i].id,
                                        "stream", found[i].stream, "table", gw_json_text(found[i].collection),
                                        "operation", gw_json_text(found[i].operation), "key",
                                        gw_json_text(found[i].key), "reason", gw_json_text(found[i].reason), "position",
                                        found[i].position.text, "wall_us", (json_int_t)found[i].wall_us));
    *out = json_pack("{s:o, s:o}", "items", items, "by_hand", by_hand(journey, found, count));
    gw_quarantined_free(found, count);
    return true;
}

void gw_quarantine_print(const struct gw_quarantined *item, struct gw_buf *out)
{
    gw_buf_addf(out, "%s%s%s in %s: %s", item->operation, item->key[0] ? " of " : "", item->key, item->collection,
                item->reason);
}

static bool count_items(struct gw_journey *journey, int64_t id, size_t *count, bool *there, struct gw_error *err)
{
    struct gw_quarantined *found = NULL;
    *there = false;
    if (!gw_state_quarantined(journey->state, &found, count, err))
        return false;
    for (size_t i = 0; i < *count; i++)
        *there |= found[i].id == id;
    gw_quarantined_free(found, *count);
    return true;
}

/* The followers count foreign writes on their own. */
static void tell_followers(struct gw_journey *journey)
{
    pthread_mutex_lock(&journey->lock);
    for (int side = 0; side < 2; side++)
        if (journey->follows[side])
            gw_follow_forget_foreign(journey->follows[side]);
    pthread_mutex_unlock(&journey->lock);
}

int gw_verb_quarantine(struct gw_journey *journey, const json_t *arguments, json_t **result, struct gw_error *err)
{
    json_int_t id = json_integer_value(json_object_get(arguments, "clear"));
    size_t before = 0, after = 0;
    bool there;
    if (!gw_journey_open_state(journey, GW_JOURNAL_WORK, err) || !gw_journey_allows(journey, GW_VERB_QUARANTINE, err) ||
        !count_items(journey, id, &before, &there, err))
        return (int)gw_error_exit(err);
    if (id && !there) {
        (void)!gw_fail(err, GW_ERR_CONFLICT, "there is no item %lld in quarantine", (long long)id);
        (void)!gw_error_hint(err, "godwit quarantine lists what is");
        return (int)gw_error_exit(err);
    }
    if (!gw_state_clear_quarantine(journey->state, id, err) || !count_items(journey, id, &after, &there, err))
        return (int)gw_error_exit(err);
    tell_followers(journey);
    gw_journey_say(journey, "%zu taken out of quarantine, %zu left. next: godwit verify", before - after, after);
    *result = json_pack("{s:I, s:I}", "cleared", (json_int_t)(before - after), "left", (json_int_t)after);
    return GW_EXIT_YES;
}
