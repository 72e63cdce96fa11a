#include "journey/wanted.h"

#include "base/mem.h"
#include "verify/rules.h"

#include <stdlib.h>
#include <string.h>

static void copy_tables(const struct gw_definition *from, struct gw_definition *to)
{
    to->sql_of = from->sql_of ? gw_strdup(from->sql_of) : gw_strdup("");
    for (size_t i = 0; i < from->table_count; i++)
        gw_table_definition_copy(gw_definition_add_table(to), &from->tables[i]);
}

/* Without a map both sides are made alike: as the owner is now, in the order of the plan. */
static bool describe_owner(struct gw_journey *journey, enum gw_side owner, struct gw_definition wanted[2],
                           struct gw_error *err)
{
    struct gw_store *side = journey->sides[owner];
    struct gw_definition now = {0};
    if (!side->type->catalog->describe)
        return true;
    if (!side->type->catalog->describe(side, &journey->store->filter, &now, err))
        return false;
    wanted[owner].sql_of = gw_strdup(now.sql_of ? now.sql_of : side->type->name);
    bool complete = true;
    for (size_t i = 0; complete && i < journey->schema.count; i++) {
        const struct gw_collection *planned = &journey->schema.collections[i];
        const struct gw_table_definition *found = gw_definition_find(&now, planned->space, planned->name);
        complete = found != NULL; /* it is gone: the comparison of rows has said so */
        if (found)
            gw_table_definition_copy(gw_definition_add_table(&wanted[owner]), found);
    }
    gw_definition_release(&now);
    if (!complete)
        gw_definition_release(&wanted[owner]);
    else
        copy_tables(&wanted[owner], &wanted[gw_side_other(owner)]);
    return true;
}

/* ---- declared in the migration file alone ------------------------------------------------------------------------ */

static char *green_column(const struct gw_map *map, const struct gw_definition *blue, const struct gw_definition *green,
                          size_t table, const char *column)
{
    int place = gw_table_column(&blue->tables[table], column);
    int there = place < 0 ? -1 : gw_map_column(map, (uint32_t)table, place, false);
    return there < 0 ? NULL : gw_strdup(green->tables[table].columns[there].name);
}

/* Blue's last foreign key of a table in green's names; false where a column of it is not on green as one. */
static bool translate_key(const struct gw_map *map, struct gw_definition *blue, struct gw_definition *green,
                          size_t table)
{
    const struct gw_table_definition *from = &blue->tables[table];
    const struct gw_foreign_key *key = &from->foreign_keys[from->foreign_key_count - 1];
    const struct gw_table_definition *parent = gw_definition_find(blue, key->space, key->table);
    size_t parent_place = (size_t)(parent - blue->tables);
    struct gw_foreign_key *copy = gw_table_add_foreign_key(&green->tables[table]);
    *copy = (struct gw_foreign_key){.name = gw_strdup(key->name),
                                    .columns = gw_calloc(key->column_count + 1, sizeof(char *)),
                                    .references = gw_calloc(key->column_count + 1, sizeof(char *)),
                                    .space = gw_strdup(green->tables[parent_place].space),
                                    .table = gw_strdup(green->tables[parent_place].name),
                                    .not_valid = true};
    bool there = true;
    for (size_t i = 0; i < key->column_count; i++) {
        copy->columns[i] = green_column(map, blue, green, table, key->columns[i]);
        copy->references[i] = green_column(map, blue, green, parent_place, key->references[i]);
        copy->column_count = i + 1;
        there = there && copy->columns[i] && copy->references[i];
    }
    return there;
}

static bool declare(struct gw_journey *journey, const char *text, struct gw_definition wanted[2], struct gw_error *err)
{
    const char *space = journey->sides[GW_BLUE]->type->default_space;
    if (!journey->map)
        return gw_rules_declare(text, space, &wanted[GW_BLUE], err) &&
               gw_rules_declare(text, space, &wanted[GW_GREEN], err);
    size_t *before = gw_calloc(wanted[GW_BLUE].table_count + 1, sizeof *before);
    for (size_t i = 0; i < wanted[GW_BLUE].table_count; i++)
        before[i] = wanted[GW_BLUE].tables[i].foreign_key_count;
    bool ok = gw_rules_declare(text, space, &wanted[GW_BLUE], err);
    for (size_t i = 0; ok && i < wanted[GW_BLUE].table_count; i++)
        if (wanted[GW_BLUE].tables[i].foreign_key_count > before[i] &&
            !translate_key(journey->map, &wanted[GW_BLUE], &wanted[GW_GREEN], i))
            ok = gw_fail(err, GW_ERR_USER, "the reference \"%.120s\": the rules leave a column of it away", text);
    free(before);
    return ok;
}

bool gw_wanted_describe(struct gw_journey *journey, enum gw_side owner, struct gw_definition wanted[2],
                        struct gw_error *err)
{
    const struct gw_migration_verify *verify = &journey->store->verify;
    bool ok = true;
    if (journey->map) {
        copy_tables(gw_map_blue_definition(journey->map), &wanted[GW_BLUE]);
        copy_tables(gw_map_definition(journey->map), &wanted[GW_GREEN]);
    } else {
        ok = describe_owner(journey, owner, wanted, err);
    }
    for (size_t i = 0; ok && wanted[owner].table_count && i < verify->reference_count; i++)
        ok = declare(journey, verify->references[i], wanted, err);
    if (!ok) {
        gw_definition_release(&wanted[GW_BLUE]);
        gw_definition_release(&wanted[GW_GREEN]);
    }
    return ok;
}
