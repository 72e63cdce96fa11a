/* The map in words. */
#include "base/mem.h"
#include "map/internal.h"

#include <string.h>

static void add_rule(const struct gw_column_rule *rule, struct gw_buf *out)
{
    static const char *const masks[] = {"", "all", "last4", "first1", "email"};
    if (!rule)
        return;
    gw_buf_adds(out, rule->trim ? " trim" : "");
    gw_buf_adds(out, rule->lower ? " lower" : rule->upper ? " upper" : "");
    if (rule->lookup)
        gw_buf_addf(out, " lookup of %zu", rule->lookup->count);
    if (rule->mask)
        gw_buf_addf(out, " mask %s", masks[rule->mask]);
    gw_buf_adds(out, rule->hash ? " hash" : "");
    gw_buf_adds(out, rule->lua ? " lua" : "");
    if (rule->zone)
        gw_buf_addf(out, " zone %s", gw_zone_name(rule->zone));
    if (rule->has_policy)
        gw_buf_addf(out, " on_loss %s", gw_map_policy_name(rule->policy));
}

static const struct gw_collection_rule *rule_of(const struct gw_map *map, uint32_t collection)
{
    const struct gw_table_definition *blue = &map->blue.tables[collection];
    const char *space = blue->space ? blue->space : "";
    size_t len = strlen(space);
    for (size_t i = 0; map->rules && i < map->rules->count; i++) {
        const char *name = map->rules->collections[i].name;
        bool full =
            len && strncmp(name, space, len) == 0 && name[len] == '.' && strcmp(name + len + 1, blue->name) == 0;
        if (full || strcmp(name, blue->name) == 0)
            return &map->rules->collections[i];
    }
    return NULL;
}

static void add_green(const struct gw_column_definition *green, struct gw_buf *out)
{
    gw_buf_addf(out, "%s ", green->name);
    if (green->sql_type)
        gw_buf_adds(out, green->sql_type);
    else
        gw_type_print(&green->type, out);
}

static void print_column(const struct gw_map *map, uint32_t collection, size_t column,
                         const struct gw_collection_rule *rules, struct gw_buf *out)
{
    const struct gw_column_definition *blue = &map->blue.tables[collection].columns[column];
    const struct gw_column_rule *rule = gw_map_column_rule(rules, blue->name);
    int at = map->green_of[collection][column];
    gw_buf_addf(out, "%s ", blue->name);
    if (blue->sql_type)
        gw_buf_adds(out, blue->sql_type);
    else
        gw_type_print(&blue->type, out);
    if (at < 0) {
        gw_buf_adds(out, " -> dropped\n");
        return;
    }
    gw_buf_adds(out, " -> ");
    size_t count = rule && rule->split_into ? rule->split_into->count : 1;
    for (size_t i = 0; i < count; i++) {
        gw_buf_adds(out, i ? ", " : "");
        add_green(&map->green.tables[collection].columns[(size_t)at + i], out);
    }
    gw_buf_adds(out, rule && rule->split_into ? " split" : rule && rule->constant ? " constant" : "");
    add_rule(rule, out);
    gw_buf_addc(out, '\n');
}

void gw_map_print(const struct gw_map *map, uint32_t collection, struct gw_buf *out)
{
    const struct gw_table_definition *green = &map->green.tables[collection];
    const struct gw_collection_rule *rule = rule_of(map, collection);
    for (size_t i = 0; i < map->blue.tables[collection].column_count; i++)
        print_column(map, collection, i, rule, out);
    for (size_t i = 0; rule && i < rule->added_count; i++) {
        const struct gw_column_rule *added = &rule->added[i];
        gw_buf_adds(out, "new -> ");
        add_green(&green->columns[green->column_count - rule->added_count + i], out);
        gw_buf_adds(out, added->constant ? " constant" : added->concat ? " concat" : "");
        if (added->column)
            gw_buf_addf(out, " from %s", added->column);
        add_rule(added, out);
        gw_buf_addc(out, '\n');
    }
    if (rule && rule->where)
        gw_buf_adds(out, rule->where_lua ? "rows by lua\n" : "rows by where\n");
}

/* ---- for the migration file ---- */

/* A YAML key as it must be written. */
static void add_key(const char *name, struct gw_buf *out)
{
    bool plain = name[0] &&
                 strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == strlen(name) &&
                 !strchr("0123456789.", name[0]);
    if (plain && strcmp(name, "null") != 0 && strcmp(name, "true") != 0 && strcmp(name, "false") != 0) {
        gw_buf_adds(out, name);
        return;
    }
    gw_buf_addc(out, '"');
    for (const char *p = name; *p; p++) {
        if (*p == '"' || *p == '\\')
            gw_buf_addf(out, "\\%c", *p);
        else if ((unsigned char)*p < 0x20 || *p == 0x7f)
            gw_buf_addf(out, "\\x%02x", (unsigned char)*p);
        else if (*p == '$' && p[1] == '{')
            gw_buf_adds(out, "$$");
        else
            gw_buf_addc(out, *p);
    }
    gw_buf_addc(out, '"');
}

/* One line of a comment for people: no control character ends it early. */
static void add_words(const char *text, struct gw_buf *out)
{
    for (const char *p = text; *p; p++)
        gw_buf_addc(out, (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p);
}

static void write_losses(const struct gw_map_losses *losses, uint32_t collection, int column, const char *indent,
                         struct gw_buf *out)
{
    for (size_t i = 0; i < losses->count; i++) {
        const struct gw_map_loss *loss = &losses->items[i];
        if (loss->collection != collection || loss->column != column || (loss->counts_rows && !loss->blocks) ||
            gw_map_loss_is_shared(loss))
            continue;
        gw_buf_addf(out, "    #%s# %s%s: ", indent, loss->blocks ? "BLOCKS " : "", loss->id);
        add_words(loss->what, out);
        gw_buf_addc(out, '\n');
    }
}

/* By their ids alone: what may not fit (check and plan say it in words, and count), or what is shared. */
static void write_ids(const struct gw_map_losses *losses, uint32_t collection, int column, bool shared,
                      struct gw_buf *out)
{
    bool any = false;
    for (size_t i = 0; i < losses->count; i++) {
        const struct gw_map_loss *loss = &losses->items[i];
        if (loss->collection != collection || loss->column != column ||
            !(shared ? gw_map_loss_is_shared(loss) : loss->counts_rows))
            continue;
        gw_buf_addf(out, "%s%s", any ? ", " : shared ? "; differs: " : "; may not fit: ", loss->id);
        any = true;
    }
}

static void write_column(const struct gw_map *map, const struct gw_map_losses *losses, uint32_t collection, int column,
                         struct gw_buf *out)
{
    const struct gw_table_definition *blue = &map->blue.tables[collection];
    const struct gw_column_definition *from = &blue->columns[column];
    int at = map->green_of[collection][column];
    const struct gw_map_loss *first = NULL;
    for (size_t i = 0; i < losses->count && !first; i++)
        if (losses->items[i].collection == collection && losses->items[i].column == column &&
            losses->items[i].counts_rows)
            first = &losses->items[i];
    gw_buf_adds(out, "    #      ");
    add_key(from->name, out);
    gw_buf_adds(out, ": {");
    if (at < 0) {
        gw_buf_adds(out, " drop: true ");
    } else {
        const char *name = map->green.tables[collection].columns[at].name;
        bool renamed = strcmp(name, from->name) != 0;
        if (renamed) {
            gw_buf_adds(out, " rename: ");
            add_key(name, out);
        }
        if (first)
            gw_buf_addf(out, "%s on_loss: %s", renamed ? "," : "", gw_map_policy_name(first->policy));
        gw_buf_adds(out, renamed || first ? " " : "");
    }
    gw_buf_adds(out, "} # ");
    add_words(from->sql_type ? from->sql_type : gw_kind_name(from->type.kind), out);
    if (at >= 0) {
        gw_buf_adds(out, " -> ");
        add_words(map->green.tables[collection].columns[at].sql_type
                      ? map->green.tables[collection].columns[at].sql_type
                      : gw_kind_name(map->green.tables[collection].columns[at].type.kind),
                  out);
    }
    write_ids(losses, collection, column, false, out);
    write_ids(losses, collection, column, true, out);
    gw_buf_addc(out, '\n');
    write_losses(losses, collection, column, "        ", out);
}

void gw_map_write_commented(const struct gw_map *map, const struct gw_map_losses *losses, struct gw_buf *out)
{
    gw_buf_adds(
        out,
        "\n    # Collections as they will be on green, column by column. A value that does not fit stops the move and "
        "is named;\n    # on_loss says otherwise (round, truncate, null, quarantine). godwit check counts the "
        "rows that do not fit,\n    # and says why. Remove the first '#' of the lines you change and of those they "
        "stand under.\n");
    gw_map_write_legend(losses, "    # Where a column differs, ", out);
    gw_buf_adds(out, "    #collections:\n");
    for (uint32_t i = 0; i < map->blue.table_count; i++) {
        const struct gw_table_definition *blue = &map->blue.tables[i];
        gw_autobuf struct gw_buf name = {0};
        gw_map_name(blue, NULL, &name);
        gw_buf_adds(out, "    #  ");
        add_key(gw_buf_text(&name), out);
        gw_buf_adds(out, ":\n    #    rename: ");
        add_key(map->green.tables[i].name, out);
        gw_buf_addc(out, '\n');
        write_losses(losses, i, -1, "    ", out);
        gw_buf_adds(out, "    #    columns:\n");
        for (size_t j = 0; j < blue->column_count; j++)
            write_column(map, losses, i, (int)j, out);
    }
    for (size_t i = 0; i < losses->count; i++) {
        if (losses->items[i].collection != GW_MAP_NO_COLLECTION)
            continue;
        gw_buf_adds(out, "    #  # ");
        add_words(losses->items[i].what, out);
        gw_buf_addc(out, '\n');
    }
}
