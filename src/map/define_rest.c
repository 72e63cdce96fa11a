/* Green's defaults, keys, indexes, foreign keys, checks: what is certain is taken over, the rest is named. */
#include "base/mem.h"
#include "map/internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct rest {
    struct gw_map_compiler *c;
    uint32_t collection;
    const struct gw_table_definition *blue;
    struct gw_table_definition *green;
    const struct gw_collection_rule *rule;
};

static struct gw_map_loss *lose(struct rest *r, int column, enum gw_map_loss_id id, const char *format, ...)
    GW_PRINTF(4, 5);
static struct gw_map_loss *lose(struct rest *r, int column, enum gw_map_loss_id id, const char *format, ...)
{
    gw_autobuf struct gw_buf what = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&what, format, args);
    va_end(args);
    gw_map_add_loss(r->c->losses, r->collection, column, id, GW_MAP_FAIL, "%s", gw_buf_text(&what));
    return gw_map_last_loss(r->c->losses);
}

/* Columns are called as on blue: texts of the same engine stay true. */
static bool names_stay(const struct rest *r)
{
    for (size_t i = 0; r->rule && i < r->rule->column_count; i++)
        if (r->rule->columns[i].rename || r->rule->columns[i].drop || r->rule->columns[i].split_into)
            return false;
    return true;
}

/* An SQL text for green, or NULL when that it means the same is not certain. */
static char *take_sql(const struct rest *r, const char *sql)
{
    struct gw_buf out = {0};
    if (r->c->same_engine && names_stay(r) && strcmp(r->blue->name, r->green->name) == 0)
        return gw_strdup(sql);
    if (gw_map_portable_sql(sql, r->blue, r->green, r->rule, &out))
        return gw_buf_detach(&out);
    gw_buf_release(&out);
    return NULL;
}

/* Is the column on green what it was, but for its name? */
static bool is_unchanged(const struct gw_column_rule *rule)
{
    return !rule || !(rule->drop || rule->trim || rule->lower || rule->upper || rule->constant || rule->lookup ||
                      rule->mask || rule->hash || rule->lua || rule->split_into);
}

/* ---- defaults ---- */

static void take_value(struct rest *r, int column, const struct gw_column_definition *blue,
                       struct gw_column_definition *green)
{
    struct gw_arena arena = {0};
    struct gw_convert convert = {.to = &green->type, .policy = GW_MAP_FAIL, .arena = &arena};
    struct gw_datum value = {0};
    if (!gw_map_convert(&convert, &blue->default_value, &value)) {
        lose(r, column, GW_LOSS_DEFAULT, "the default of %s does not fit its type on green (%s): left out", blue->name,
             gw_map_loss_name(convert.loss));
    } else {
        green->default_kind = GW_DEFAULT_VALUE;
        green->default_value = value;
        if (gw_kind_has_bytes(value.kind)) {
            green->default_bytes = gw_memdup(value.len ? (const void *)value.bytes : "", value.len + !value.len);
            green->default_value.bytes = (const unsigned char *)green->default_bytes;
        }
    }
    gw_arena_release(&arena);
}

static bool holds_time(enum gw_kind kind)
{
    return kind == GW_KIND_DATE || kind == GW_KIND_TIME || kind == GW_KIND_TIMESTAMP || kind == GW_KIND_TIMESTAMPTZ;
}

/* "Now" is a moment where the column has a zone, and the clock of some place where it has none. */
static enum gw_default_kind now_for(const struct gw_column_definition *blue, const struct gw_column_definition *green,
                                    const struct gw_column_rule *rule)
{
    if (!holds_time(green->type.kind))
        return GW_DEFAULT_NONE;
    if (green->type.kind == GW_KIND_TIMESTAMPTZ)
        return GW_DEFAULT_NOW;
    if (blue->type.kind != GW_KIND_TIMESTAMPTZ)
        return blue->default_kind;
    bool elsewhere = rule && rule->zone && strcmp(gw_zone_name(rule->zone), "UTC") != 0;
    return elsewhere ? GW_DEFAULT_NONE : GW_DEFAULT_NOW_UTC;
}

static void take_default(struct rest *r, int column, const struct gw_column_definition *blue,
                         struct gw_column_definition *green, const struct gw_column_rule *rule)
{
    switch (blue->default_kind) {
    case GW_DEFAULT_NONE:
        return;
    case GW_DEFAULT_VALUE:
        take_value(r, column, blue, green);
        return;
    case GW_DEFAULT_NOW:
    case GW_DEFAULT_NOW_UTC:
        green->default_kind = now_for(blue, green, rule);
        break;
    case GW_DEFAULT_UUID:
        if (green->type.kind == GW_KIND_UUID || (green->type.kind == blue->type.kind && r->c->same_engine))
            green->default_kind = GW_DEFAULT_UUID;
        break;
    case GW_DEFAULT_SQL:
        if (r->c->same_engine && blue->default_sql) {
            green->default_kind = GW_DEFAULT_SQL;
            green->default_sql = gw_strdup(blue->default_sql);
        }
        break;
    }
    if (green->default_kind == GW_DEFAULT_NONE)
        lose(r, column, GW_LOSS_DEFAULT, "the default of %s (%s) is left out on green", blue->name,
             blue->default_sql                       ? blue->default_sql
             : blue->default_kind == GW_DEFAULT_UUID ? "a random uuid"
                                                     : "now");
}

static bool can_count(const struct rest *r, const struct gw_column_definition *green)
{
    const struct gw_type *type = &green->type;
    if (r->c->options->green_can_count)
        return r->c->options->green_can_count(r->green, green);
    return type->kind == GW_KIND_INT64 || type->kind == GW_KIND_UINT64 ||
           (type->kind == GW_KIND_DECIMAL && type->scale == 0) || type->loose;
}

/* Behind the indexes: whether an engine counts may hang on them. */
static void take_counting(struct rest *r, int column, const struct gw_column_definition *blue,
                          struct gw_column_definition *green, const struct gw_column_rule *rule)
{
    green->counts = true;
    green->always_counts = blue->always_counts;
    if (can_count(r, green))
        return;
    green->counts = green->always_counts = false;
    bool said = rule && rule->has_type;
    lose(r, column, GW_LOSS_DEFAULT,
         said ? "%s counts on blue and not on green: %s cannot there%.0s"
              : "%s counts on blue, and %s on green cannot: an application that inserts without it would fail; say "
                "columns: { %s: { type: bigint } }, or that type to leave it so",
         blue->name, green->sql_type ? green->sql_type : "its type", blue->name)
        ->blocks = !said;
}

/* A condition is true or false in one engine, 1 or 0 in another: nothing that a column of numbers holds in both. */
static bool is_condition(const char *sql)
{
    static const char *const words[] = {"and", "or", "not", "is", "in", "between", NULL};
    for (const char *p = sql; *p; p++) {
        if (strchr("<>=!", *p))
            return true;
        size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        for (size_t i = 0; len && words[i]; i++)
            if (strlen(words[i]) == len && strncasecmp(words[i], p, len) == 0)
                return true;
        p += len ? len - 1 : 0;
    }
    return false;
}

/* The expression for green: the rule's, or blue's where both surely compute the same. NULL: neither. */
static char *generated_sql(const struct rest *r, const struct gw_column_definition *blue,
                           const struct gw_column_definition *green, const struct gw_column_rule *rule)
{
    if (rule && rule->generated)
        return gw_strdup(rule->generated);
    if (!blue->generated_sql || !is_unchanged(rule) || (rule && rule->has_type))
        return NULL;
    bool both_bool = blue->type.kind == GW_KIND_BOOL && green->type.kind == GW_KIND_BOOL;
    if (!r->c->same_engine && is_condition(blue->generated_sql) && !both_bool)
        return NULL;
    return take_sql(r, blue->generated_sql);
}

/* A generated column comes as NULL from its side: green computes it as well, or a rule says what is in it. */
static bool take_generated(struct rest *r, int column, const struct gw_column_definition *blue,
                           struct gw_column_definition *green, const struct gw_column_rule *rule, struct gw_error *err)
{
    if (!blue->generated && rule && rule->generated) {
        gw_fail(err, GW_ERR_USER, "column %.80s: blue does not compute it: \"generated\" is for columns that it does",
                blue->name);
        return gw_map_fail_at(r->c->map->rules, rule->place, err);
    }
    if (!blue->generated || (rule && (rule->constant || rule->lua)))
        return true;
    char *sql = generated_sql(r, blue, green, rule);
    green->generated = sql != NULL;
    green->generated_stored = sql && blue->generated_stored;
    green->generated_sql = sql;
    r->c->computed[r->collection][r->c->map->green_of[r->collection][column]] = sql != NULL;
    if (!sql)
        lose(
            r, column, GW_LOSS_GENERATED,
            "%s is generated on blue (%s), and whether green would compute the same is not certain. One of these lines "
            "under columns: says it: \"%s: { generated: '...' }\" with the expression in green's SQL; \"%s: { lua: 'return "
            "...' }\" for a plain column that godwit fills until the switch, and your application after it; \"%s: { drop: "
            "true }\"",
            blue->name, blue->generated_sql ? blue->generated_sql : "", blue->name, blue->name, blue->name)
            ->blocks = true;
    else if (rule && rule->generated)
        lose(r, column, GW_LOSS_GENERATED,
             "%s is computed by green itself, as the rule says: its values are not compared", blue->name);
    return true;
}

static bool take_columns(struct rest *r, struct gw_error *err)
{
    for (size_t i = 0; i < r->blue->column_count; i++) {
        const struct gw_column_definition *blue = &r->blue->columns[i];
        const struct gw_column_rule *rule = gw_map_column_rule(r->rule, blue->name);
        int at = r->c->map->green_of[r->collection][i];
        if (at < 0 || (rule && rule->split_into))
            continue;
        struct gw_column_definition *green = &r->green->columns[at];
        if (!take_generated(r, (int)i, blue, green, rule, err))
            return false;
        if (green->generated)
            continue;
        if (is_unchanged(rule))
            take_default(r, (int)i, blue, green, rule);
        else if (blue->default_kind != GW_DEFAULT_NONE)
            lose(r, (int)i, GW_LOSS_DEFAULT, "the default of %s is left out: its values are changed on the way",
                 blue->name);
        green->updates_to_now = blue->updates_to_now && r->c->same_engine;
        if (blue->updates_to_now && !r->c->same_engine)
            lose(r, (int)i, GW_LOSS_DEFAULT, "%s is set to the time of each update by blue, and not by green",
                 blue->name);
    }
    return true;
}

static void take_counters(struct rest *r)
{
    for (size_t i = 0; i < r->blue->column_count; i++) {
        const struct gw_column_definition *blue = &r->blue->columns[i];
        const struct gw_column_rule *rule = gw_map_column_rule(r->rule, blue->name);
        int at = r->c->map->green_of[r->collection][i];
        if (blue->counts && at >= 0 && !(rule && rule->split_into))
            take_counting(r, (int)i, blue, &r->green->columns[at], rule);
    }
}

/* ---- names of indexes and constraints ---- */

/* On one engine they are of a table, on another of all: a name is given once. */
static bool is_taken(const struct rest *r, const char *name)
{
    const struct gw_definition *green = &r->c->map->green;
    for (size_t i = 0; i < green->table_count; i++) {
        const struct gw_table_definition *table = &green->tables[i];
        if (strcasecmp(table->name, name) == 0)
            return true;
        for (size_t j = 0; j < table->index_count; j++)
            if (table->indexes[j].name && strcasecmp(table->indexes[j].name, name) == 0)
                return true;
        for (size_t j = 0; j < table->foreign_key_count; j++)
            if (table->foreign_keys[j].name && strcasecmp(table->foreign_keys[j].name, name) == 0)
                return true;
        for (size_t j = 0; j < table->check_count; j++)
            if (table->checks[j].name && strcasecmp(table->checks[j].name, name) == 0)
                return true;
    }
    return false;
}

static char *fresh_name(const struct rest *r, const char *wanted, const char *kind)
{
    unsigned limit = r->c->options->name_bytes        ? r->c->options->name_bytes
                     : r->c->options->name_characters ? r->c->options->name_characters
                                                      : 63;
    gw_autofree char *base = NULL;
    if (wanted && r->c->same_engine)
        return gw_strdup(wanted);
    if (wanted && strlen(wanted) <= limit && !is_taken(r, wanted))
        return gw_strdup(wanted);
    base = wanted ? gw_asprintf("%s_%s", r->green->name, wanted) : gw_asprintf("%s_%s", r->green->name, kind);
    for (unsigned i = 0;; i++) {
        char end[16] = "";
        if (i)
            snprintf(end, sizeof end, "_%u", i);
        size_t keep = strlen(base);
        if (keep + strlen(end) > limit)
            keep = limit - strlen(end);
        while (keep > 0 && ((unsigned char)base[keep] & 0xc0u) == 0x80u)
            keep--;
        char *name = gw_asprintf("%.*s%s", (int)keep, base, end);
        if (!is_taken(r, name))
            return name;
        free(name);
    }
}

/* ---- indexes ---- */

/* Green's columns of an index; false when one is not there as it was. */
static bool index_fits(struct rest *r, const struct gw_index_definition *blue)
{
    for (size_t i = 0; i < blue->part_count; i++) {
        const struct gw_column_rule *rule =
            blue->parts[i].column ? gw_map_column_rule(r->rule, blue->parts[i].column) : NULL;
        if (rule && (rule->drop || rule->split_into))
            return false;
        if (!blue->parts[i].column && !(r->c->same_engine && names_stay(r)))
            return false;
    }
    return true;
}

static const char *index_kind(enum gw_index_kind kind)
{
    switch (kind) {
    case GW_INDEX_PRIMARY:
        return "primary key";
    case GW_INDEX_UNIQUE:
        return "unique index";
    case GW_INDEX_FULLTEXT:
        return "full text index";
    case GW_INDEX_SPATIAL:
        return "spatial index";
    case GW_INDEX_PLAIN:
    case GW_INDEX_OTHER:
        break;
    }
    return "index";
}

/* Why the index is left out, or NULL. */
static const char *why_not(struct rest *r, const struct gw_index_definition *blue)
{
    bool usual = !blue->method || strcasecmp(blue->method, "btree") == 0;
    if (!index_fits(r, blue))
        return "it has an expression, or a column that is not on green";
    if (r->c->same_engine)
        return NULL;
    if (blue->kind == GW_INDEX_FULLTEXT || blue->kind == GW_INDEX_SPATIAL || blue->kind == GW_INDEX_OTHER)
        return "green's engine has its own kind of it";
    /* Hash indexes serve what any index serves. */
    if (!usual && strcasecmp(blue->method, "hash") != 0)
        return "green's engine has no such method";
    if (blue->kind == GW_INDEX_UNIQUE)
        for (size_t i = 0; i < blue->part_count; i++)
            if (blue->parts[i].prefix)
                return NULL;
    return NULL;
}

static void take_index(struct rest *r, const struct gw_index_definition *blue)
{
    const char *shown = blue->name ? blue->name : "";
    const char *why = why_not(r, blue);
    char *where = NULL;
    if (!why && blue->where) {
        where = take_sql(r, blue->where);
        if (!where && blue->kind == GW_INDEX_UNIQUE)
            why = "it is for some rows alone, and whether green would mean the same ones is not certain";
        else if (!where)
            lose(r, -1, GW_LOSS_INDEX, "index %s is for some rows alone on blue, on green for all", shown);
    }
    if (why) {
        struct gw_map_loss *loss =
            lose(r, -1, GW_LOSS_INDEX, "%s %s is left for a person: %s", index_kind(blue->kind), shown, why);
        loss->blocks = blue->kind == GW_INDEX_PRIMARY;
        return;
    }
    bool own = blue->kind != GW_INDEX_PRIMARY || r->c->same_engine;
    char *name = fresh_name(r, own ? blue->name : NULL, blue->kind == GW_INDEX_PRIMARY ? "pkey" : "idx");
    if (blue->kind != GW_INDEX_PRIMARY && blue->name && strcmp(name, blue->name) != 0)
        lose(r, -1, GW_LOSS_NAME, "index %s is called %s on green", shown, name);
    struct gw_index_definition *green = gw_table_add_index(r->green, blue->kind);
    green->name = name;
    green->where = where;
    green->method = r->c->same_engine && blue->method ? gw_strdup(blue->method) : NULL;
    for (size_t i = 0; i < blue->part_count; i++) {
        const struct gw_index_part *from = &blue->parts[i];
        struct gw_index_part *to =
            gw_index_add_part(green, from->column ? gw_map_green_name(r->rule, from->column) : NULL);
        to->expression = from->expression ? gw_strdup(from->expression) : NULL;
        to->descending = from->descending;
        to->prefix = r->c->same_engine ? from->prefix : 0;
        if (from->prefix && !r->c->same_engine)
            lose(r, -1, GW_LOSS_PREFIX, "%s %s covers the first %u characters of %s on blue, and all of it on green%s",
                 index_kind(blue->kind), shown, from->prefix, from->column,
                 blue->kind == GW_INDEX_UNIQUE ? ", so that more values are unique there" : "");
    }
}

/* ---- foreign keys ---- */

static void take_foreign_key(struct rest *r, const struct gw_foreign_key *blue)
{
    struct gw_map *map = r->c->map;
    const char *space = blue->space ? blue->space : r->blue->space;
    const struct gw_table_definition *parent = gw_definition_find(&map->blue, space, blue->table);
    const char *shown = blue->name ? blue->name : "";
    if (!parent) {
        lose(r, -1, GW_LOSS_FOREIGN_KEY, "foreign key %s is left out: %s does not move", shown, blue->table);
        return;
    }
    size_t at = (size_t)(parent - map->blue.tables);
    const struct gw_collection_rule *parent_rule = r->c->rule_of[at];
    for (size_t i = 0; i < blue->column_count; i++) {
        const struct gw_column_rule *own = gw_map_column_rule(r->rule, blue->columns[i]);
        const struct gw_column_rule *other = gw_map_column_rule(parent_rule, blue->references[i]);
        bool there = !(own && (own->drop || own->split_into)) && !(other && (other->drop || other->split_into));
        if (!there || is_unchanged(own) != is_unchanged(other)) {
            lose(r, -1, GW_LOSS_FOREIGN_KEY, "foreign key %s is left out: rules change its columns on one end", shown);
            return;
        }
    }
    char *name = fresh_name(r, blue->name, "fkey");
    struct gw_foreign_key *green = gw_table_add_foreign_key(r->green);
    green->name = name;
    green->column_count = blue->column_count;
    green->columns = gw_calloc(blue->column_count + 1, sizeof(char *));
    green->references = gw_calloc(blue->column_count + 1, sizeof(char *));
    for (size_t i = 0; i < blue->column_count; i++) {
        green->columns[i] = gw_strdup(gw_map_green_name(r->rule, blue->columns[i]));
        green->references[i] = gw_strdup(gw_map_green_name(parent_rule, blue->references[i]));
    }
    green->space = gw_strdup(map->green.tables[at].space);
    green->table = gw_strdup(map->green.tables[at].name);
    green->on_delete = blue->on_delete;
    green->on_update = blue->on_update;
    green->not_valid = blue->not_valid;
    green->deferrable = blue->deferrable;
    green->deferred = blue->deferred;
}

static void take_check(struct rest *r, const struct gw_check_definition *blue)
{
    char *sql = take_sql(r, blue->sql);
    if (!sql) {
        lose(r, -1, GW_LOSS_CHECK, "check %s%sis left for a person: %s", blue->name ? blue->name : "",
             blue->name && *blue->name ? " " : "", blue->sql);
        return;
    }
    gw_autofree char *name = fresh_name(r, blue->name, "check");
    gw_table_add_check(r->green, name, sql);
    free(sql);
}

bool gw_map_define_rest(struct gw_map_compiler *compiler, struct gw_error *err)
{
    struct gw_map *map = compiler->map;
    for (size_t i = 0; i < map->blue.table_count; i++) {
        struct rest r = {compiler, (uint32_t)i, &map->blue.tables[i], &map->green.tables[i], compiler->rule_of[i]};
        if (!take_columns(&r, err))
            return false;
        for (size_t j = 0; j < r.blue->index_count; j++)
            take_index(&r, &r.blue->indexes[j]);
        take_counters(&r);
        for (size_t j = 0; j < r.blue->foreign_key_count; j++)
            take_foreign_key(&r, &r.blue->foreign_keys[j]);
        for (size_t j = 0; j < r.blue->check_count; j++)
            take_check(&r, &r.blue->checks[j]);
    }
    return true;
}
