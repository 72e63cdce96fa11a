/* Since when rows differ: what an earlier verify found, by what the journal kept of it. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/json.h"
#include "verify/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDENTITY_FACT "verify.identity"
#define EVENTS_NAMED 3

bool gw_verify_identity_key(struct gw_state *state, unsigned char key[GW_SHA256_BYTES], struct gw_error *err)
{
    gw_autojson json_t *kept = NULL;
    if (!gw_state_get(state, IDENTITY_FACT, &kept, err))
        return false;
    if (!json_is_string(kept)) {
        char text[65];
        snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64, gw_random64(),
                 gw_random64(), gw_random64(), gw_random64());
        json_decref(kept);
        kept = json_string(text);
        if (!gw_state_put(state, IDENTITY_FACT, kept, err))
            return false;
    }
    gw_sha256(json_string_value(kept), json_string_length(kept), key);
    return true;
}

void gw_verify_note_seen(struct gw_verify_collection *collection, uint64_t identity)
{
    if (!identity || collection->seen_count == GW_VERIFY_SEEN_MAX)
        return;
    if (!collection->seen)
        collection->seen = gw_calloc(GW_VERIFY_SEEN_MAX, sizeof *collection->seen);
    collection->seen[collection->seen_count++] = (struct gw_verify_seen){.identity = identity};
}

static void identity_text(uint64_t identity, char out[20])
{
    snprintf(out, 20, "%016" PRIx64, identity);
}

json_t *gw_verify_seen_json(const struct gw_verify_collection *collection)
{
    json_t *json = json_object();
    for (size_t i = 0; i < collection->seen_count; i++) {
        char name[20];
        identity_text(collection->seen[i].identity, name);
        json_object_set_new(json, name, json_integer((json_int_t)collection->seen[i].first_wall_us));
    }
    return json;
}

static int64_t first_seen(const json_t *before, uint64_t identity, int64_t now_us)
{
    char name[20];
    identity_text(identity, name);
    const json_t *found = json_object_get(before, name);
    return found ? json_integer_value(found) : now_us;
}

/* What of godwit's own came between the two verifies; reports of verify itself are of many lines, or name a verdict. */
static char *between(const json_t *events, int64_t from_us, int64_t to_us)
{
    struct gw_buf out = {0};
    size_t i, named = 0;
    json_t *event;
    json_array_foreach((json_t *)(uintptr_t)events, i, event)
    {
        int64_t at_us = json_integer_value(json_object_get(event, "wall_us"));
        const char *text = json_string_value(json_object_get(event, "text"));
        const char *kind = json_string_value(json_object_get(event, "kind"));
        if (at_us <= from_us || at_us >= to_us || !text || strchr(text, '\n') || strstr(text, "verdict"))
            continue;
        if (named++ == EVENTS_NAMED)
            break;
        char at[32];
        gw_wall_format(at_us, at);
        gw_buf_addf(&out, "%s%s%.120s at %s", out.len ? ", " : "", kind && !strcmp(kind, "stage") ? "stage " : "", text,
                    at);
    }
    return out.len ? gw_buf_detach(&out) : NULL;
}

static void remember(struct gw_verify_collection *c, const json_t *before, const json_t *events, int64_t now_us)
{
    const json_t *seen = json_object_get(before, "seen");
    const char *word = json_string_value(json_object_get(before, "verdict"));
    int64_t at_us = json_integer_value(json_object_get(before, "wall_us"));
    c->checked_wall_us = now_us;
    for (size_t i = 0; i < c->seen_count; i++)
        c->seen[i].first_wall_us = first_seen(seen, c->seen[i].identity, now_us);
    for (size_t i = 0; i < c->difference_count; i++)
        if (c->differences[i].identity)
            c->differences[i].first_wall_us = first_seen(seen, c->differences[i].identity, now_us);
    if (c->verdict != GW_VERDICT_DIFFERENT)
        return;
    c->different_since_us = now_us;
    if (word && strcmp(word, "different") == 0) {
        int64_t since_us = json_integer_value(json_object_get(before, "different_since_us"));
        c->different_since_us = since_us ? since_us : at_us;
        c->equal_until_us = json_integer_value(json_object_get(before, "equal_until_us"));
        const char *kept = json_string_value(json_object_get(before, "between"));
        c->between = kept ? gw_strdup(kept) : NULL;
    } else if ((word && strcmp(word, "equal") == 0) ||
               json_object_get(before, "stale")) { /* it was equal when it was found */
        c->equal_until_us = at_us;
        c->between = between(events, at_us, now_us);
    }
}

bool gw_verify_remember(struct gw_verify_report *report, struct gw_state *state, struct gw_error *err)
{
    gw_autojson json_t *verdicts = NULL, *events = NULL;
    if (!gw_state_verdicts(state, &verdicts, err) || !gw_state_events(state, 0, &events, err))
        return false;
    for (size_t i = 0; i < report->count; i++) {
        size_t v;
        json_t *verdict, *before = NULL;
        json_array_foreach(verdicts, v, verdict)
        {
            if (json_integer_value(json_object_get(verdict, "collection_id")) == report->collections[i].id)
                before = verdict;
        }
        remember(&report->collections[i], before, events, report->began_wall_us);
    }
    return true;
}

void gw_verify_add_since(const struct gw_verify_collection *c, const char *indent, struct gw_buf *out)
{
    char since[32], until[32];
    if (c->verdict != GW_VERDICT_DIFFERENT || !c->different_since_us ||
        (c->different_since_us == c->checked_wall_us && !c->equal_until_us))
        return;
    gw_wall_format(c->different_since_us, since);
    gw_buf_addf(out, "%sfound different first at %s", indent, since);
    if (c->equal_until_us) {
        gw_wall_format(c->equal_until_us, until);
        gw_buf_addf(out, ", still equal at %s", until);
    }
    if (c->between)
        gw_buf_addf(out, "; in between: %s", c->between);
    gw_buf_addc(out, '\n');
}
