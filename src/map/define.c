/* Green's tables and columns: names, and the types that green's engine makes of what goes into them. */
#include "base/mem.h"
#include "map/internal.h"

#include <string.h>
#include <strings.h>

struct definer {
    struct gw_map_compiler *c;
    uint32_t collection;
    const struct gw_table_definition *blue;
    struct gw_table_definition *green;
    const struct gw_collection_rule *rule;
    size_t wanted_count;
};

static bool fail_placed(struct definer *d, const struct gw_yaml_node *place, struct gw_error *err)
{
    return place ? gw_map_fail_at(d->c->map->rules, place, err) : false;
}

/* ---- names ---- */

static bool check_name(struct definer *d, const char *what, const char *name, const struct gw_yaml_node *place,
                       struct gw_error *err)
{
    const struct gw_map_options *options = d->c->options;
    size_t bytes = strlen(name);
    size_t characters = 0;
    for (const char *p = name; *p; p++)
        characters += ((unsigned char)*p & 0xc0u) != 0x80u;
    if ((!options->name_bytes || bytes <= options->name_bytes) &&
        (!options->name_characters || characters <= options->name_characters))
        return true;
    gw_fail(err, GW_ERR_USER, "the name of %s %.200s is too long for green", what, name);
    gw_error_hint(err, "give it a shorter one with a rule: rename");
    return fail_placed(d, place, err);
}

/* Where the table goes, and its name there. */
static void place_table(struct definer *d)
{
    const struct gw_map_options *options = d->c->options;
    const char *blue_space = d->blue->space ? d->blue->space : "";
    const char *usual_blue = options->default_space[0] ? options->default_space[0] : "";
    const char *usual = options->default_space[1] ? options->default_space[1] : "";
    const char *name = d->blue->name;
    const char *dot = d->rule && d->rule->rename && usual[0] ? strchr(d->rule->rename, '.') : NULL;
    if (dot) {
        d->green->space = gw_strndup(d->rule->rename, (size_t)(dot - d->rule->rename));
        d->green->name = gw_strdup(dot + 1);
        return;
    }
    if (d->rule && d->rule->rename)
        name = d->rule->rename;
    bool is_usual = strcmp(blue_space, usual_blue) == 0;
    d->green->space = gw_strdup(is_usual || !usual[0] ? usual : blue_space);
    if (is_usual || usual[0] || (d->rule && d->rule->rename))
        d->green->name = gw_strdup(name);
    else
        d->green->name = gw_asprintf("%s_%s", blue_space, name);
}

static bool check_tables(struct definer *d, struct gw_error *err)
{
    const struct gw_definition *green = &d->c->map->green;
    for (size_t i = 0; i + 1 < green->table_count; i++) {
        const struct gw_table_definition *other = &green->tables[i];
        bool same = strcmp(other->name, d->green->name) == 0 ||
                    (d->c->options->names_ignore_case && strcasecmp(other->name, d->green->name) == 0);
        if (!same || strcmp(other->space, d->green->space) != 0)
            continue;
        gw_autobuf struct gw_buf a = {0};
        gw_autobuf struct gw_buf b = {0};
        gw_map_name(&d->c->map->blue.tables[i], NULL, &a);
        gw_map_name(d->blue, NULL, &b);
        gw_fail(err, GW_ERR_USER, "%s and %s would both be %s on green", gw_buf_text(&a), gw_buf_text(&b),
                d->green->name);
        gw_error_hint(err, "give one of them another name with a rule: rename");
        const struct gw_collection_rule *rule = d->rule ? d->rule : d->c->rule_of[i];
        return fail_placed(d, rule ? rule->place : NULL, err);
    }
    return check_name(d, "collection", d->green->name, d->rule ? d->rule->place : NULL, err);
}

/* ---- types ---- */

static struct gw_type *next_wanted(struct definer *d)
{
    struct gw_type **list = &d->c->wanted[d->collection];
    *list = gw_realloc(*list, (d->wanted_count + 1) * sizeof **list);
    (*list)[d->wanted_count] = (struct gw_type){0};
    return &(*list)[d->wanted_count++];
}

static uint64_t longest_value(const struct gw_column_rule *rule)
{
    uint64_t most = 1;
    for (size_t i = 0; i < rule->lookup->count; i++)
        if (rule->lookup->items[i]->text && strlen(rule->lookup->items[i]->text) > most)
            most = strlen(rule->lookup->items[i]->text);
    if (rule->otherwise_value && rule->otherwise_value->text && strlen(rule->otherwise_value->text) > most)
        most = strlen(rule->otherwise_value->text);
    return most;
}

/* What the rule makes of a value of `from`. */
static void result_type(const struct gw_column_rule *rule, const struct gw_type *from, struct gw_type *out)
{
    if (rule && rule->has_type) {
        gw_type_copy(out, &rule->type);
        return;
    }
    if (!rule || (!rule->lookup && !rule->mask && !rule->hash)) {
        gw_type_copy(out, from);
        return;
    }
    *out = (struct gw_type){.kind = GW_KIND_TEXT, .scale = -1};
    if (rule->hash) {
        out->length = 64;
    } else if (rule->mask) {
        out->length = from->kind == GW_KIND_TEXT ? from->length : 0;
    } else {
        bool text = from->kind == GW_KIND_TEXT || from->kind == GW_KIND_ENUM;
        uint64_t longest = longest_value(rule);
        if (!text) {
            gw_type_release(out);
            gw_type_copy(out, from);
            return;
        }
        out->length = rule->otherwise != OTHERWISE_KEEP                      ? longest
                      : from->kind == GW_KIND_TEXT && from->length == 0      ? 0
                      : from->kind == GW_KIND_TEXT && from->length > longest ? from->length
                      : from->kind == GW_KIND_ENUM                           ? 255
                                                                             : longest;
        out->ignores_case = from->ignores_case;
        out->ignores_accents = from->ignores_accents;
    }
    out->no_nul = true;
}

static bool is_textual(enum gw_kind kind)
{
    return kind == GW_KIND_TEXT || kind == GW_KIND_ENUM || kind == GW_KIND_JSON || kind == GW_KIND_NULL;
}

static bool check_transforms(struct definer *d, const struct gw_column_rule *rule, const struct gw_type *from,
                             struct gw_error *err)
{
    gw_autobuf struct gw_buf words = {0};
    if (!(rule->trim || rule->lower || rule->upper || rule->split_into) || is_textual(from->kind) || from->loose)
        return true;
    gw_type_print(from, &words);
    gw_fail(err, GW_ERR_USER, "column %.80s is %s: trim, lower, upper and split are for text", rule->name,
            gw_buf_text(&words));
    return fail_placed(d, rule->place, err);
}

/* How many parts the widest key or index has that this column of blue is in as a whole; 0: none. */
static size_t parts_of_key(const struct gw_table_definition *table, const char *column)
{
    size_t widest = 0;
    for (size_t i = 0; i < table->index_count; i++) {
        const struct gw_index_definition *index = &table->indexes[i];
        bool ordered =
            index->kind == GW_INDEX_PRIMARY || index->kind == GW_INDEX_UNIQUE || index->kind == GW_INDEX_PLAIN;
        for (size_t k = 0; ordered && k < index->part_count; k++)
            if (index->parts[k].column && index->parts[k].prefix == 0 && strcmp(index->parts[k].column, column) == 0 &&
                index->part_count > widest)
                widest = index->part_count;
    }
    return widest;
}

/* A text without an end has none of green's keys: there it is as long as a key may be. */
static bool bound_by_key(const struct definer *d, const struct gw_column_definition *blue, const struct gw_type *got,
                         struct gw_type *wanted)
{
    size_t parts = d->c->options->key_bytes && blue ? parts_of_key(d->blue, blue->name) : 0;
    bool text = got->kind == GW_KIND_TEXT, bytes = got->kind == GW_KIND_BYTES;
    bool endless = (text && got->length == 0) ||
                   (bytes && (got->length == 0 || got->length > d->c->options->key_bytes / (parts ? parts : 1)));
    if (parts == 0 || !endless || (wanted->kind != GW_KIND_TEXT && wanted->kind != GW_KIND_BYTES))
        return false;
    wanted->length = d->c->options->key_bytes / parts / (text ? 4 : 1);
    wanted->bytes = 0;
    return true;
}

/* Asks green's engine, and says what may be lost. `column` is blue's, or -1. */
static bool set_type(struct definer *d, struct gw_column_definition *green, const struct gw_column_definition *blue,
                     int column, const struct gw_type *from, const struct gw_column_rule *rule, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql_type = {0};
    struct gw_type *wanted = next_wanted(d);
    bool as_it_is = d->c->same_engine && blue && blue->sql_type &&
                    (!rule || (!rule->has_type && !rule->lookup && !rule->mask && !rule->hash));
    result_type(rule, from, wanted);
    /* Asked for as a document to work with, not as a text to be kept to the letter. */
    if (!d->c->same_engine && wanted->kind == GW_KIND_JSON)
        wanted->no_nul = true;
    if (as_it_is) {
        gw_type_copy(&green->type, from);
        green->sql_type = gw_strdup(blue->sql_type);
        if (from->error_value)
            gw_map_type_losses(d->c->losses, d->collection, column, from, green, rule ? rule->policy : GW_MAP_FAIL);
        return true;
    }
    if (wanted->kind == GW_KIND_NULL && !wanted->loose) {
        gw_map_add_loss(d->c->losses, d->collection, column, GW_LOSS_TYPE, GW_MAP_FAIL,
                        "%s is of a type that is not known: name one with a rule: type", green->name);
        gw_map_last_loss(d->c->losses)->blocks = true;
        gw_map_last_loss(d->c->losses)->counts_rows = false;
        gw_type_copy(&green->type, wanted);
        return true;
    }
    if (!d->c->options->green_type_for(wanted, &sql_type, &green->type, err)) {
        gw_error_prefix(err, "column %s", green->name);
        return fail_placed(d, rule ? rule->place : NULL, err);
    }
    if (bound_by_key(d, blue, &green->type, wanted)) {
        gw_buf_clear(&sql_type);
        gw_type_release(&green->type);
        if (!d->c->options->green_type_for(wanted, &sql_type, &green->type, err))
            return gw_error_prefix(err, "column %s", green->name);
    }
    green->sql_type = gw_buf_detach(&sql_type);
    /* Behind a transform the values are of the wanted type; without one, of blue's. */
    bool changed = rule && (rule->lookup || rule->mask || rule->hash || rule->lua || rule->constant || rule->concat);
    const struct gw_type *values = changed ? wanted : from;
    if (gw_map_can_convert(values->kind, green->type.kind) || values->loose) {
        gw_map_type_losses(d->c->losses, d->collection, column, values, green, rule ? rule->policy : GW_MAP_FAIL);
        return true;
    }
    if (rule && rule->type_node) {
        gw_fail(err, GW_ERR_USER, "column %.80s: there is no way from %s to %s", rule->name, gw_kind_name(values->kind),
                gw_kind_name(green->type.kind));
        gw_error_hint(err, "make the value with lua: ...");
        return fail_placed(d, rule->type_node, err);
    }
    gw_map_add_loss(d->c->losses, d->collection, column, GW_LOSS_KIND, GW_MAP_FAIL,
                    "%s: green has no type for %s; drop the column or name a type", green->name,
                    gw_kind_name(values->kind));
    gw_map_last_loss(d->c->losses)->blocks = true;
    gw_map_last_loss(d->c->losses)->counts_rows = false;
    return true;
}

/* ---- columns ---- */

static struct gw_column_definition *add_column(struct definer *d, const char *name, const struct gw_yaml_node *place,
                                               struct gw_error *err)
{
    for (size_t i = 0; i < d->green->column_count; i++) {
        const char *other = d->green->columns[i].name;
        if (strcmp(other, name) != 0 && (!d->c->options->names_ignore_case || strcasecmp(other, name) != 0))
            continue;
        gw_fail(err, GW_ERR_USER, "%.100s would have two columns %.80s on green", d->green->name, name);
        gw_error_hint(err, "give one of them another name with a rule: rename");
        fail_placed(d, place ? place : d->rule ? d->rule->place : NULL, err);
        return NULL;
    }
    if (!check_name(d, "column", name, place, err))
        return NULL;
    return gw_table_add_column(d->green, name);
}

static bool split_column(struct definer *d, const struct gw_column_definition *blue, int column,
                         const struct gw_column_rule *rule, struct gw_error *err)
{
    struct gw_type part = {.kind = GW_KIND_TEXT, .scale = -1, .length = blue->type.length};
    for (size_t i = 0; i < rule->split_into->count; i++) {
        const struct gw_yaml_node *name = rule->split_into->items[i];
        struct gw_column_definition *green = add_column(d, name->text, name, err);
        struct gw_column_rule bare = {.policy = rule->policy, .name = rule->name, .place = rule->place};
        if (!green || !set_type(d, green, NULL, column, &part, &bare, err))
            return false;
    }
    return true;
}

static bool take_column(struct definer *d, size_t column, struct gw_error *err)
{
    const struct gw_column_definition *blue = &d->blue->columns[column];
    const struct gw_column_rule *rule = gw_map_column_rule(d->rule, blue->name);
    d->c->map->green_of[d->collection][column] = -1;
    if (rule && !check_transforms(d, rule, &blue->type, err))
        return false;
    if (rule && rule->drop)
        return true;
    d->c->map->green_of[d->collection][column] = (int)d->green->column_count;
    if (rule && rule->split_into)
        return split_column(d, blue, (int)column, rule, err);
    const char *name = rule && rule->rename ? rule->rename : blue->name;
    struct gw_column_definition *green = add_column(d, name, rule ? rule->place : NULL, err);
    if (!green)
        return false;
    /* What becomes NULL where it does not fit needs room for it; a key's columns are refused later on. */
    green->not_null = blue->not_null && !(rule && rule->has_policy && rule->policy == GW_MAP_NULL);
    green->hidden = blue->hidden;
    green->comment = blue->comment ? gw_strdup(blue->comment) : NULL;
    return set_type(d, green, blue, (int)column, &blue->type, rule, err);
}

/* A type for what a rule makes without a column of blue. */
static void added_type(struct definer *d, const struct gw_column_rule *rule, struct gw_type *out)
{
    int source = rule->column ? gw_table_column(d->blue, rule->column) : -1;
    if (source >= 0) {
        gw_type_copy(out, &d->blue->columns[source].type);
        return;
    }
    *out = (struct gw_type){.kind = GW_KIND_TEXT, .scale = -1};
    const struct gw_yaml_node *constant = rule->constant;
    if (!constant || !constant->plain || gw_yaml_is_null(constant))
        return;
    const char *digits = constant->text + (constant->text[0] == '-' ? 1 : 0);
    if (strcmp(constant->text, "true") == 0 || strcmp(constant->text, "false") == 0)
        out->kind = GW_KIND_BOOL;
    else if (digits[0] && digits[strspn(digits, "0123456789")] == '\0' && strlen(constant->text) < 18)
        *out = (struct gw_type){.kind = GW_KIND_INT64, .bits = 64};
}

static bool add_new(struct definer *d, const struct gw_column_rule *rule, struct gw_error *err)
{
    struct gw_type from = {0};
    struct gw_column_definition *green = add_column(d, rule->name, rule->place, err);
    if (!green)
        return false;
    added_type(d, rule, &from);
    bool fine = check_transforms(d, rule, &from, err) && set_type(d, green, NULL, -1, &from, rule, err);
    gw_type_release(&from);
    if (fine)
        gw_map_add_loss(d->c->losses, d->collection, -1, GW_LOSS_ADDED, GW_MAP_FAIL,
                        "column %s is green's alone: the way back does not carry what is written there", rule->name);
    return fine;
}

static bool define_table(struct definer *d, struct gw_error *err)
{
    struct gw_map *map = d->c->map;
    place_table(d);
    if (!check_tables(d, err))
        return false;
    d->green->comment = d->blue->comment ? gw_strdup(d->blue->comment) : NULL;
    map->green_of[d->collection] = gw_arena_zalloc(&map->arena, (d->blue->column_count + 1) * sizeof(int));
    for (size_t i = 0; i < d->blue->column_count; i++)
        if (!take_column(d, i, err))
            return false;
    for (size_t i = 0; d->rule && i < d->rule->added_count; i++)
        if (!add_new(d, &d->rule->added[i], err))
            return false;
    d->c->computed[d->collection] = gw_arena_zalloc(&map->arena, (d->green->column_count + 1) * sizeof(bool));
    if (d->green->column_count > 0)
        return true;
    gw_fail(err, GW_ERR_USER, "nothing is left of %s: all its columns are dropped", d->blue->name);
    gw_error_hint(err, "leave it behind with exclude");
    return fail_placed(d, d->rule ? d->rule->place : NULL, err);
}

bool gw_map_define(struct gw_map_compiler *compiler, struct gw_error *err)
{
    struct gw_map *map = compiler->map;
    for (size_t i = 0; i < map->blue.table_count; i++) {
        struct definer d = {
            .c = compiler,
            .collection = (uint32_t)i,
            .blue = &map->blue.tables[i],
            .green = gw_definition_add_table(&map->green),
            .rule = compiler->rule_of[i],
        };
        if (!define_table(&d, err))
            return false;
    }
    return true;
}
