#include "follow/join.h"

#include "base/mem.h"
#include "io/json.h"

#include <inttypes.h>

#define JOIN_LOOK_AT_ALL 64 /* so few marks are looked at one by one before the source is asked */

void follow_join_init(struct follow_join *join, struct gw_store *source, struct gw_store *target,
                      const struct gw_schema *schema, struct gw_state *state, const char *stream)
{
    *join = (struct follow_join){.source = source, .target = target, .schema = schema, .state = state};
    snprintf(join->fact, sizeof join->fact, "follow.%s.refetched", stream);
}

static void maps_free(struct follow_join *join)
{
    for (size_t i = 0; join->maps && i < join->schema->count; i++) {
        gw_chunks_free(join->maps[i].chunks, join->maps[i].count);
        free(join->maps[i].bounds);
    }
    free(join->maps);
    join->maps = NULL;
    join->active = false;
}

static void refetched_release(struct follow_refetched *row)
{
    gw_buf_release(&row->key);
    gw_mark_release(&row->mark);
}

static void refetched_drop_all(struct follow_join *join)
{
    for (size_t i = 0; i < join->refetched_count; i++)
        refetched_release(&join->refetched[i]);
    join->refetched_count = 0;
}

void follow_join_release(struct follow_join *join)
{
    maps_free(join);
    refetched_drop_all(join);
    free(join->refetched);
    join->refetched = NULL;
}

static void map_fill(struct follow_map *map)
{
    map->low = UINT64_MAX;
    map->high = 0;
    map->bounds = gw_calloc(map->count + 1, sizeof *map->bounds);
    for (size_t i = 0; i < map->count; i++) {
        const struct gw_mark *mark = &map->chunks[i].mark;
        map->low = mark->low < map->low ? mark->low : map->low;
        map->high = mark->high > map->high ? mark->high : map->high;
        if (i > 0)
            map->bounds[i - 1] = map->chunks[i].range.low;
    }
}

static bool map_load(struct follow_join *join, struct gw_state *chunks, uint32_t id, struct gw_error *err)
{
    const struct gw_collection *collection = &join->schema->collections[id];
    struct follow_map *map = &join->maps[id];
    enum gw_load_status status;
    if (!gw_state_load_status(chunks, id, &status, err) || !gw_state_chunks(chunks, id, &map->chunks, &map->count, err))
        return false;
    for (size_t i = 0; i < map->count; i++)
        if (!map->chunks[i].loaded)
            status = GW_LOAD_SPLIT;
    if (status != GW_LOAD_KEYED || map->count == 0)
        return gw_fail(err, GW_ERR_CONFLICT, "changes cannot be applied yet: %s is not loaded and keyed",
                       gw_collection_label(collection));
    map_fill(map);
    return true;
}

bool follow_join_load(struct follow_join *join, struct gw_state *chunks, uint64_t horizon_order, struct gw_error *err)
{
    maps_free(join);
    join->maps = gw_calloc(join->schema->count + 1, sizeof *join->maps);
    for (uint32_t id = 0; id < join->schema->count; id++) {
        if (!map_load(join, chunks, id, err)) {
            maps_free(join);
            return false;
        }
    }
    join->active = true;
    join->horizon_order = horizon_order;
    return true;
}

bool follow_join_extent(struct gw_state *chunks, const struct gw_schema *schema, uint64_t *high, uint64_t *count,
                        struct gw_error *err)
{
    *high = *count = 0;
    for (uint32_t id = 0; id < schema->count; id++) {
        struct gw_chunk *items = NULL;
        size_t item_count = 0;
        if (!gw_state_chunks(chunks, id, &items, &item_count, err))
            return false;
        *count += item_count;
        for (size_t i = 0; i < item_count; i++)
            if (items[i].mark.high > *high)
                *high = items[i].mark.high;
        gw_chunks_free(items, item_count);
    }
    return true;
}

void follow_join_passed(struct follow_join *join, uint64_t order)
{
    if (join->active && order > join->horizon_order)
        maps_free(join);
    for (size_t i = 0; i < join->refetched_count;) {
        if (order > join->refetched[i].until_order) {
            refetched_release(&join->refetched[i]);
            join->refetched[i] = join->refetched[--join->refetched_count];
        } else {
            i++;
        }
    }
}

/* ---- rows read again ---- */

static json_t *refetched_json(const struct follow_refetched *row)
{
    gw_autobuf struct gw_buf mark = {0}, key = {0};
    gw_mark_format(&row->mark, &mark);
    for (size_t i = 0; i < row->key.len; i++)
        gw_buf_addf(&key, "%02x", (unsigned char)row->key.data[i]);
    return json_pack("{s:I,s:s,s:s,s:s,s:s}", "collection", (json_int_t)row->collection, "key", gw_buf_text(&key),
                     "mark", gw_buf_text(&mark), "from", "", "until", "");
}

static void json_set_order(json_t *object, const char *name, uint64_t order)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, order); /* JSON's integers are signed */
    json_object_set_new(object, name, json_string(text));
}

static bool refetched_save(struct follow_join *join, struct gw_error *err)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < join->refetched_count; i++) {
        json_t *row = refetched_json(&join->refetched[i]);
        json_set_order(row, "from", join->refetched[i].from_order);
        json_set_order(row, "until", join->refetched[i].until_order);
        json_array_append_new(rows, row);
    }
    /* Before the target commits: marks of what was rolled back are told by their place. */
    gw_autobuf struct gw_buf text = {0};
    gw_json_dump(rows, 0, &text);
    bool ok = join->target->type->ownership->note(join->target, join->fact, gw_buf_text(&text), err) &&
              gw_state_put(join->state, join->fact, rows, err);
    json_decref(rows);
    return ok;
}

/* The state's, or what the target knows where the state is a new one. */
static bool refetched_get(struct follow_join *join, json_t **rows, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    if (!gw_state_get(join->state, join->fact, rows, err))
        return false;
    if (*rows)
        return true;
    if (!join->target->type->ownership->noted(join->target, join->fact, &text, err))
        return false;
    return text.len == 0 ||
           gw_json_parse(gw_buf_text(&text), text.len, "the rows read again, noted on the target", rows, err);
}

static bool hex_read(const char *hex, struct gw_buf *out)
{
    size_t len = strlen(hex);
    for (size_t i = 0; i + 1 < len; i += 2) {
        char pair[3] = {hex[i], hex[i + 1], 0}, *end = NULL;
        gw_buf_addc(out, (char)strtoul(pair, &end, 16));
        if (*end)
            return false;
    }
    return len % 2 == 0;
}

static bool refetched_read(struct follow_join *join, const json_t *item, struct gw_error *err)
{
    const char *mark = json_string_value(json_object_get(item, "mark"));
    const char *key = json_string_value(json_object_get(item, "key"));
    const char *from = json_string_value(json_object_get(item, "from"));
    const char *until = json_string_value(json_object_get(item, "until"));
    struct follow_refetched row = {.collection = (uint32_t)json_integer_value(json_object_get(item, "collection"))};
    if (!mark || !key || !from || !until || !hex_read(key, &row.key)) {
        gw_buf_release(&row.key);
        return gw_fail(err, GW_ERR_CONFLICT, "the journal's rows read again are not as they were written");
    }
    row.from_order = strtoull(from, NULL, 10);
    row.until_order = strtoull(until, NULL, 10);
    if (!gw_mark_parse(mark, &row.mark, err)) {
        gw_buf_release(&row.key);
        return false;
    }
    join->refetched =
        gw_grow(join->refetched, &join->refetched_capacity, join->refetched_count, sizeof *join->refetched);
    join->refetched[join->refetched_count++] = row;
    return true;
}

bool follow_join_load_refetched(struct follow_join *join, uint64_t applied_order, struct gw_error *err)
{
    json_t *rows = NULL;
    refetched_drop_all(join);
    if (!refetched_get(join, &rows, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < json_array_size(rows); i++)
        ok = refetched_read(join, json_array_get(rows, i), err);
    json_decref(rows);
    if (ok)
        follow_join_rolled_back(join, applied_order);
    return ok;
}

void follow_join_rolled_back(struct follow_join *join, uint64_t order)
{
    for (size_t i = 0; i < join->refetched_count;) {
        if (join->refetched[i].from_order >= order) {
            refetched_release(&join->refetched[i]);
            join->refetched[i] = join->refetched[--join->refetched_count];
        } else {
            i++;
        }
    }
}

static struct follow_refetched *refetched_find(struct follow_join *join, uint32_t collection, const struct gw_row *key)
{
    if (join->refetched_count == 0)
        return NULL;
    gw_autobuf struct gw_buf bytes = {0};
    gw_row_encode(&bytes, key);
    for (size_t i = 0; i < join->refetched_count; i++) {
        struct follow_refetched *row = &join->refetched[i];
        if (row->collection == collection && row->key.len == bytes.len &&
            memcmp(row->key.data, bytes.data, bytes.len) == 0)
            return row;
    }
    return NULL;
}

bool follow_join_refetched(struct follow_join *join, uint32_t collection, const struct gw_row *key,
                           const struct gw_mark *mark, uint64_t order, uint64_t until_order, struct gw_error *err)
{
    struct follow_refetched *row = refetched_find(join, collection, key);
    if (!row) {
        join->refetched =
            gw_grow(join->refetched, &join->refetched_capacity, join->refetched_count, sizeof *join->refetched);
        row = &join->refetched[join->refetched_count++];
        *row = (struct follow_refetched){.collection = collection};
        gw_row_encode(&row->key, key);
    }
    gw_mark_release(&row->mark);
    gw_mark_copy(&row->mark, mark);
    row->from_order = order;
    row->until_order = until_order;
    return refetched_save(join, err);
}

bool follow_join_emptied(struct follow_join *join, uint32_t collection, uint64_t order, struct gw_error *err)
{
    bool changed = false;
    for (size_t i = 0; i < join->refetched_count; i++) {
        struct follow_refetched *row = &join->refetched[i];
        if (row->collection == collection && row->from_order < order && row->until_order > order) {
            row->until_order = order;
            changed = true;
        }
    }
    return !changed || refetched_save(join, err);
}

/* ---- decisions ---- */

static enum follow_verdict verdict_of(const struct gw_mark *mark, uint64_t transaction)
{
    return gw_mark_saw(mark, transaction) ? FOLLOW_SKIP : FOLLOW_APPLY;
}

enum follow_verdict follow_join_whole(struct follow_join *join, uint32_t collection, uint64_t transaction,
                                      uint64_t order)
{
    if (!join->active || order >= join->horizon_order)
        return FOLLOW_APPLY;
    const struct follow_map *map = &join->maps[collection];
    if (transaction >= map->high)
        return FOLLOW_APPLY;
    if (transaction < map->low)
        return FOLLOW_SKIP;
    enum follow_verdict first = verdict_of(&map->chunks[0].mark, transaction);
    if (join->schema->collections[collection].key_count == 0)
        return first; /* read under one snapshot, however many pieces */
    if (map->count > JOIN_LOOK_AT_ALL)
        return FOLLOW_UNKNOWN;
    for (size_t i = 1; i < map->count; i++)
        if (verdict_of(&map->chunks[i].mark, transaction) != first)
            return FOLLOW_UNKNOWN;
    return first;
}

static enum follow_verdict quick(struct follow_join *join, const struct follow_question *question)
{
    if (join->refetched_count > 0 && question->key.count > 0) {
        const struct follow_refetched *row = refetched_find(join, question->collection, &question->key);
        if (row && question->order >= row->from_order && question->order < row->until_order)
            return verdict_of(&row->mark, question->transaction);
    }
    return follow_join_whole(join, question->collection, question->transaction, question->order);
}

/* Asks the source which chunk holds each key of this collection's open questions. */
static bool locate(struct follow_join *join, uint32_t collection, struct follow_question *questions, size_t count,
                   struct gw_error *err)
{
    const struct follow_map *map = &join->maps[collection];
    size_t asked = 0;
    struct follow_question **open = gw_calloc(count, sizeof *open);
    struct gw_row *keys = gw_calloc(count, sizeof *keys);
    uint32_t *chunks = gw_calloc(count, sizeof *chunks);
    for (size_t i = 0; i < count; i++) {
        if (questions[i].collection != collection || *questions[i].verdict != FOLLOW_UNKNOWN)
            continue;
        keys[asked] = questions[i].key;
        open[asked++] = &questions[i];
    }
    bool ok = join->source->type->changes->locate(join->source, &join->schema->collections[collection], map->bounds,
                                                  map->count - 1, keys, asked, chunks, err);
    for (size_t i = 0; ok && i < asked; i++) {
        if (chunks[i] >= map->count)
            ok = gw_fail(err, GW_ERR_BUG, "key located in chunk %u of %zu", chunks[i], map->count);
        else
            *open[i]->verdict = verdict_of(&map->chunks[chunks[i]].mark, open[i]->transaction);
    }
    free(open);
    free(keys);
    free(chunks);
    return ok;
}

bool follow_join_decide(struct follow_join *join, struct follow_question *questions, size_t count, struct gw_error *err)
{
    size_t unknown = 0;
    for (size_t i = 0; i < count; i++) {
        *questions[i].verdict = quick(join, &questions[i]);
        unknown += *questions[i].verdict == FOLLOW_UNKNOWN;
    }
    for (size_t i = 0; i < count && unknown > 0; i++)
        if (*questions[i].verdict == FOLLOW_UNKNOWN &&
            !locate(join, questions[i].collection, questions + i, count - i, err))
            return false;
    for (size_t i = 0; i < count; i++)
        join->skipped += *questions[i].verdict == FOLLOW_SKIP;
    return true;
}
