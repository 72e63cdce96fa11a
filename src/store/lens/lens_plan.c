#include "store/lens_plan.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool gw_lens_needed(const struct gw_store *blue, const struct gw_store *green, struct gw_rules *rules)
{
    return blue->type != green->type || gw_rules_any(rules);
}

bool gw_lens_describe(struct gw_store *store, const struct gw_filter *filter, struct gw_definition *out,
                      struct gw_error *err)
{
    if (store->type->catalog->describe && store->type->codec)
        return store->type->catalog->describe(store, filter, out, err);
    return gw_fail(err, GW_ERR_UNSUPPORTED, "%s cannot be moved to another engine, or by rules, yet",
                   store->type->name);
}

bool gw_lens_compile(const struct gw_definition *blue_definition, const struct gw_store *blue,
                     const struct gw_store *green, struct gw_rules *rules, struct gw_map **out,
                     struct gw_map_losses *losses, struct gw_error *err)
{
    if (!green->type->codec || !green->type->schema->build)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "nothing can be moved to %s from another engine, or by rules, yet",
                       green->type->name);
    struct gw_map_options options = {.rules = rules,
                                     .blue = blue_definition,
                                     .green_engine = green->type->name,
                                     .default_space = {blue->type->default_space, green->type->default_space},
                                     .green_type_for = green->type->codec->type_for,
                                     .green_can_count = green->type->schema->can_count,
                                     .name_bytes = green->type->name_bytes,
                                     .key_bytes = green->type->key_bytes,
                                     .name_characters = green->type->name_characters,
                                     .names_ignore_case = green->type->names_ignore_case};
    return gw_map_compile(&options, out, losses, err);
}

/* ---- looking at the data ----------------------------------------------------------------------------------------- */

struct counting {
    struct gw_store *blue;
    struct gw_reader *reader;
    struct gw_map_run *run;
    uint64_t rows_most, rows;
    struct gw_datum *in, *out;
};

static bool count_block(struct counting *c, struct gw_codec *codec, const struct gw_collection *collection,
                        const struct gw_block *block, struct gw_error *err)
{
    const struct gw_codec_facet *facet = c->blue->type->codec;
    gw_autobuf struct gw_buf why = {0};
    if (!facet->feed(codec, block, err))
        return false;
    for (;;) {
        bool got;
        enum gw_map_verdict verdict;
        if (!facet->row(codec, c->in, &got, err))
            return false;
        if (!got)
            return true;
        c->rows++;
        gw_buf_clear(&why);
        gw_map_run_reset(c->run);
        if (!gw_map_row(c->run, collection->id, c->in, c->out, &verdict, &why, err))
            return false;
    }
}

static bool enough(const struct counting *c)
{
    return c->rows_most && c->rows >= c->rows_most;
}

static bool count_range(struct counting *c, struct gw_codec *codec, const struct gw_collection *collection,
                        const struct gw_range *range, struct gw_error *err)
{
    const struct gw_reader_facet *reader = c->blue->type->reader;
    struct gw_mark mark = {0};
    struct gw_block block;
    c->blue->type->codec->restart(codec);
    bool ok = reader->begin(c->reader, collection, range, &mark, err);
    do {
        ok = ok && reader->next(c->reader, &block, err) &&
             (block.len == 0 || count_block(c, codec, collection, &block, err));
    } while (ok && block.len > 0);
    gw_mark_release(&mark);
    return ok && reader->end(c->reader, err);
}

/* In chunks, each in a short transaction of its own. */
static bool count_collection(struct counting *c, const struct gw_collection *collection, struct gw_error *err)
{
    const struct gw_reader_facet *reader = c->blue->type->reader;
    struct gw_codec *codec = NULL;
    struct gw_range range = {0};
    bool last = false;
    c->rows = 0;
    bool ok = c->blue->type->codec->open(c->blue, collection, &codec, err);
    while (ok && !last && !enough(c)) {
        ok = reader->split(c->reader, collection, &range.low, 20000, &range.high, &last, err) &&
             count_range(c, codec, collection, &range, err);
        gw_bound_release(&range.low);
        range.low = range.high;
        range.high = (struct gw_bound){0};
    }
    c->blue->type->codec->close(codec);
    gw_range_release(&range);
    return ok || gw_error_place(err, "%s", gw_collection_label(collection));
}

static bool counts_rows_of(const struct gw_map_losses *losses, uint32_t collection)
{
    for (size_t i = 0; i < losses->count; i++)
        if (losses->items[i].collection == collection && losses->items[i].counts_rows)
            return true;
    return false;
}

static size_t most_columns(const struct gw_map *map)
{
    const struct gw_definition *sides[] = {gw_map_blue_definition(map), gw_map_definition(map)};
    size_t most = 1;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < sides[side]->table_count; i++)
            if (sides[side]->tables[i].column_count > most)
                most = sides[side]->tables[i].column_count;
    return most;
}

static bool count_all(struct counting *c, const struct gw_schema *schema, const struct gw_map_losses *losses,
                      bool *complete, struct gw_error *err)
{
    *complete = true;
    for (size_t i = 0; i < schema->count; i++) {
        if (!counts_rows_of(losses, (uint32_t)i))
            continue;
        if (!count_collection(c, &schema->collections[i], err))
            return false;
        *complete = *complete && !enough(c);
    }
    return true;
}

bool gw_lens_count_hits(struct gw_store *blue, const struct gw_schema *schema, const struct gw_map *map,
                        const struct gw_map_losses *losses, uint64_t rows_most, uint64_t *hits, bool *complete,
                        struct gw_error *err)
{
    size_t columns = most_columns(map);
    struct counting c = {.blue = blue,
                         .rows_most = rows_most,
                         .in = gw_calloc(columns, sizeof *c.in),
                         .out = gw_calloc(columns, sizeof *c.out)};
    bool ok = gw_map_run_open(map, false, &c.run, err);
    if (ok)
        gw_map_run_only_count(c.run);
    ok = ok && blue->type->reader->open(blue, &c.reader, err) && count_all(&c, schema, losses, complete, err);
    for (size_t i = 0; ok && i < losses->count; i++)
        hits[i] = losses->items[i].counts_rows ? gw_map_run_hits(c.run, losses->items[i].collection,
                                                                 losses->items[i].column, losses->items[i].id)
                                               : 0;
    blue->type->reader->close(c.reader);
    gw_map_run_close(c.run);
    free(c.in);
    free(c.out);
    return ok;
}

/* ---- findings ---------------------------------------------------------------------------------------------------- */

static void where(const struct gw_map *map, const struct gw_map_loss *loss, struct gw_buf *out)
{
    if (loss->collection == GW_MAP_NO_COLLECTION)
        return;
    const struct gw_table_definition *table = &gw_map_blue_definition(map)->tables[loss->collection];
    gw_buf_addf(out, "%s%s%s", table->space, *table->space ? "." : "", table->name);
    if (loss->column >= 0)
        gw_buf_addf(out, ".%s", table->columns[loss->column].name);
}

static const char *fix_of(const struct gw_map_loss *loss, uint64_t hits)
{
    if (loss->breaks_way_back)
        return "say in the rule how the column is filled on blue (back:), or accept that there is no way back for it";
    if (loss->counts_rows && loss->policy == GW_MAP_FAIL && hits)
        return "change those rows on blue, give the column a wider type (type:), or choose what happens to them "
               "(on_loss: round, truncate, null or quarantine)";
    return "";
}

/* Told once, with the columns it is said of: a schema of any size has hundreds of those. */
static void add_shared(const struct gw_map *map, const struct gw_map_losses *losses, size_t first,
                       struct gw_findings *findings)
{
    enum { NAMED_AT_MOST = 12 };
    const struct gw_map_loss *loss = &losses->items[first];
    gw_autobuf struct gw_buf names = {0};
    gw_autofree char *id = gw_asprintf("map-%s", loss->id);
    size_t count = 0;
    for (size_t i = first; i < losses->count; i++) {
        if (!gw_map_loss_is_shared(&losses->items[i]) || gw_map_loss_first(losses, i) != first)
            continue;
        if (count < NAMED_AT_MOST) {
            gw_buf_adds(&names, count ? ", " : "");
            where(map, &losses->items[i], &names);
        }
        count++;
    }
    if (count > NAMED_AT_MOST)
        gw_buf_addf(&names, " and %zu more (godwit plan names them)", count - NAMED_AT_MOST);
    gw_findings_add(findings, GW_FINDING_INFO, GW_BLUE, id, "", "%s: %zu column%s: %s", loss->what + loss->sentence,
                    count, count == 1 ? "" : "s", gw_buf_text(&names));
}

static void add_finding(const struct gw_map *map, const struct gw_map_loss *loss, const uint64_t *hits, bool complete,
                        struct gw_findings *findings)
{
    gw_autobuf struct gw_buf what = {0};
    gw_autofree char *id = gw_asprintf("map-%s", loss->id);
    bool hit = hits && *hits > 0;
    if (loss->counts_rows && hits && !hit && !loss->blocks && !loss->breaks_way_back)
        return; /* plan names it with the column */
    where(map, loss, &what);
    gw_buf_addf(&what, "%s%s", what.len ? ": " : "", loss->what);
    if (loss->counts_rows && hits)
        gw_buf_addf(&what, "; %s%" PRIu64 " row%s hit%s%s", complete || !*hits ? "" : "at least ", *hits,
                    *hits == 1 ? " is" : "s are",
                    hit        ? ", policy "
                    : complete ? ""
                               : " in those looked at",
                    hit ? gw_map_policy_name(loss->policy) : "");
    bool blocks = loss->blocks || (hit && loss->policy == GW_MAP_FAIL);
    gw_findings_add(findings,
                    blocks                         ? GW_FINDING_BLOCKS
                    : hit || loss->breaks_way_back ? GW_FINDING_WARNING
                                                   : GW_FINDING_INFO,
                    GW_BLUE, id, fix_of(loss, hits ? *hits : 0), "%s", gw_buf_text(&what));
    findings->items[findings->count - 1].breaks_way_back = loss->breaks_way_back;
    findings->items[findings->count - 1].stays_behind = loss->collection == GW_MAP_NO_COLLECTION;
}

void gw_lens_findings(const struct gw_map *map, const struct gw_map_losses *losses, const uint64_t *hits, bool complete,
                      struct gw_findings *findings)
{
    for (size_t i = 0; i < losses->count; i++) {
        if (!gw_map_loss_is_shared(&losses->items[i]))
            add_finding(map, &losses->items[i], hits ? &hits[i] : NULL, complete, findings);
        else if (gw_map_loss_first(losses, i) == i)
            add_shared(map, losses, i, findings);
    }
}

/* ---- the map in words -------------------------------------------------------------------------------------------- */

static bool is_hit(const struct gw_map_loss *loss, uint64_t hits)
{
    return !loss->counts_rows || hits > 0;
}

/* What no row is hit by, and what is shared, is named on the column's own line, the rest below it. */
static void add_ids(const struct gw_map_losses *losses, const uint64_t *hits, uint32_t collection, int column,
                    bool shared, struct gw_buf *out)
{
    bool any = false;
    for (size_t i = 0; i < losses->count; i++) {
        const struct gw_map_loss *loss = &losses->items[i];
        if (loss->collection != collection || loss->column != column ||
            (shared ? !gw_map_loss_is_shared(loss) : is_hit(loss, hits[i])))
            continue;
        gw_buf_addf(out, "%s%s", any ? ", " : shared ? "; differs: " : "; no row hit by: ", loss->id);
        any = true;
    }
}

static void add_hit(const struct gw_map_losses *losses, const uint64_t *hits, uint32_t collection, int column,
                    struct gw_buf *out)
{
    for (size_t i = 0; i < losses->count; i++) {
        const struct gw_map_loss *loss = &losses->items[i];
        if (loss->collection != collection || loss->column != column || !is_hit(loss, hits[i]) ||
            gw_map_loss_is_shared(loss))
            continue;
        gw_buf_addf(out, "        %s: %s", loss->id, loss->what);
        if (loss->counts_rows)
            gw_buf_addf(out, "; %" PRIu64 " row%s hit, policy %s", hits[i], hits[i] == 1 ? "" : "s",
                        gw_map_policy_name(loss->policy));
        gw_buf_addc(out, '\n');
    }
}

/* A paragraph: the tables' names, then gw_map_print's lines, the first of which are of blue's columns in order. */
static void add_words(const struct gw_map *map, const struct gw_map_losses *losses, const uint64_t *hits,
                      uint32_t collection, struct gw_buf *out)
{
    const struct gw_table_definition *blue = &gw_map_blue_definition(map)->tables[collection];
    const struct gw_table_definition *green = &gw_map_definition(map)->tables[collection];
    gw_autobuf struct gw_buf lines = {0};
    gw_map_print(map, collection, &lines);
    gw_buf_addf(out, "  %s%s%s -> %s%s%s\n", blue->space, *blue->space ? "." : "", blue->name, green->space,
                *green->space ? "." : "", green->name);
    add_hit(losses, hits, collection, -1, out);
    const char *at = gw_buf_text(&lines);
    for (int column = 0; *at; column++) {
        size_t len = strcspn(at, "\n");
        bool own = (size_t)column < blue->column_count;
        gw_buf_addf(out, "    %.*s", (int)len, at);
        if (own) {
            add_ids(losses, hits, collection, column, false, out);
            add_ids(losses, hits, collection, column, true, out);
        }
        gw_buf_addc(out, '\n');
        if (own)
            add_hit(losses, hits, collection, column, out);
        at += len + (at[len] == '\n');
    }
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static void schema_to_be(const struct gw_map *map, struct gw_schema *out)
{
    const struct gw_definition *definition = gw_map_definition(map);
    out->collections = gw_calloc(definition->table_count + 1, sizeof *out->collections);
    out->count = definition->table_count;
    for (size_t i = 0; i < definition->table_count; i++) {
        const struct gw_table_definition *table = &definition->tables[i];
        struct gw_collection *c = &out->collections[i];
        *c = (struct gw_collection){.id = (uint32_t)i,
                                    .space = gw_strdup(table->space),
                                    .name = gw_strdup(table->name),
                                    .column_count = table->column_count,
                                    .columns = gw_calloc(table->column_count + 1, sizeof *c->columns),
                                    .key_kind = GW_KEY_NONE,
                                    .identity = gw_strdup("")};
        for (size_t k = 0; k < table->column_count; k++) {
            c->columns[k].name = gw_strdup(table->columns[k].name);
            c->columns[k].type = gw_strdup(table->columns[k].sql_type ? table->columns[k].sql_type : "");
        }
    }
}

static bool look_at_rows(struct gw_store *blue, const struct gw_filter *filter, const struct gw_map *map,
                         const struct gw_map_losses *losses, uint64_t rows_most, const struct gw_lens_look *out,
                         struct gw_error *err)
{
    struct gw_schema schema = {0};
    bool complete = true;
    uint64_t *hits = gw_calloc(losses->count + 1, sizeof *hits);
    bool ok = blue->type->catalog->list(blue, filter, &schema, err) &&
              gw_lens_count_hits(blue, &schema, map, losses, rows_most, hits, &complete, err);
    if (ok)
        gw_lens_findings(map, losses, hits, complete, out->findings);
    for (uint32_t i = 0; ok && out->map && i < schema.count; i++)
        add_words(map, losses, hits, i, out->map);
    if (ok && out->map)
        gw_map_write_legend(losses, "  where a column differs, ", out->map);
    gw_schema_release(&schema);
    free(hits);
    return ok;
}

bool gw_lens_look(struct gw_store *blue, struct gw_store *green, const struct gw_filter *filter, struct gw_rules *rules,
                  uint64_t rows_most, const struct gw_lens_look *out, struct gw_error *err)
{
    struct gw_definition definition = {0};
    struct gw_map_losses losses = {0};
    struct gw_map *map = NULL;
    bool ok = gw_lens_describe(blue, filter, &definition, err) &&
              gw_lens_compile(&definition, blue, green, rules, &map, &losses, err) &&
              look_at_rows(blue, filter, map, &losses, rows_most, out, err);
    if (ok && out->green)
        schema_to_be(map, out->green);
    gw_map_free(map);
    gw_map_losses_release(&losses);
    gw_definition_release(&definition);
    return ok;
}
