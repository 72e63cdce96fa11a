/*
 * For the tests of map/: rules from text, a table of blue's in words ("id bigint!; name varchar(20)"), and an engine for
 * green that has no unsigned numbers, enums, zero dates or NUL bytes in text.
 */
#ifndef MAP_WORLD_H
#define MAP_WORLD_H

#include "gw_test.h"

#include "base/mem.h"
#include "map/internal.h"
#include "model/migration.h"

static inline bool strict_type_for(const struct gw_type *wanted, struct gw_buf *sql_type, struct gw_type *got,
                                   struct gw_error *err)
{
    (void)err;
    gw_type_copy(got, wanted);
    if (wanted->kind == GW_KIND_UINT64) {
        if (wanted->bits == 64 || wanted->bits == 0)
            *got = (struct gw_type){.kind = GW_KIND_DECIMAL, .precision = 20};
        else
            *got = (struct gw_type){.kind = GW_KIND_INT64, .bits = wanted->bits < 32 ? 32 : 64};
    } else if (wanted->kind == GW_KIND_ENUM) {
        gw_type_release(got);
        *got = (struct gw_type){.kind = GW_KIND_TEXT, .scale = -1};
    } else if (wanted->kind == GW_KIND_ARRAY) {
        gw_type_release(got);
        *got = (struct gw_type){.kind = GW_KIND_JSON};
    }
    got->zero_dates = false;
    got->ignores_case = false;
    got->ignores_accents = false;
    got->no_nul = got->kind == GW_KIND_TEXT || got->kind == GW_KIND_JSON;
    gw_type_print(got, sql_type);
    return true;
}

struct world {
    struct gw_definition blue;
    struct gw_rules *rules;
    struct gw_map *map;
    struct gw_map_losses losses;
    struct gw_map_run *run[2];
    struct gw_error err;
};

/* "id bigint!" : name, type in the words of the rules, '!' for NOT NULL; the first column is the primary key. */
static inline struct gw_table_definition *world_table(struct world *w, const char *name, const char *columns)
{
    struct gw_error err = {0};
    struct gw_table_definition *table = gw_definition_add_table(&w->blue);
    table->space = gw_strdup("");
    table->name = gw_strdup(name);
    gw_autofree char *copy = gw_strdup(columns);
    char *rest = NULL;
    for (char *item = strtok_r(copy, ";", &rest); item; item = strtok_r(NULL, ";", &rest)) {
        item += strspn(item, " ");
        size_t len = strcspn(item, " ");
        gw_autofree char *column_name = gw_strndup(item, len);
        char *type = item + len + 1;
        struct gw_column_definition *column = gw_table_add_column(table, column_name);
        size_t end = strlen(type);
        column->not_null = end && type[end - 1] == '!';
        if (column->not_null)
            type[end - 1] = 0;
        MUST(gw_map_parse_type(type, &column->type, &err));
    }
    struct gw_index_definition *key = gw_table_add_index(table, GW_INDEX_PRIMARY);
    key->name = gw_strdup("PRIMARY");
    gw_index_add_part(key, table->columns[0].name);
    return table;
}

static inline bool world_rules(struct world *w, const char *rules)
{
    struct gw_migration migration;
    gw_autobuf struct gw_buf text = {0};
    gw_buf_adds(&text,
                "migration: acme\nstores:\n  main:\n    blue: postgresql://old/a\n    green: postgresql://new/a\n");
    if (rules)
        gw_buf_addf(&text, "    collections:\n%s", rules);
    if (!gw_migration_parse(gw_buf_text(&text), text.len, "godwit.yaml", &migration, &w->err))
        return false;
    bool ok = gw_rules_parse(&migration.stores[0].collections, &w->rules, &w->err);
    gw_migration_release(&migration);
    return ok;
}

static inline bool world_try(struct world *w, const char *rules)
{
    struct gw_map_options options = {
        .blue = &w->blue,
        .green_engine = "strict",
        .default_space = {"", "public"},
        .green_type_for = strict_type_for,
        .name_bytes = 63,
    };
    if (!w->blue.sql_of)
        w->blue.sql_of = gw_strdup("loose");
    if (!world_rules(w, rules))
        return false;
    options.rules = w->rules;
    return gw_map_compile(&options, &w->map, &w->losses, &w->err);
}

static inline void world_compile(struct world *w, const char *rules)
{
    struct gw_error err = {0};
    bool fine = world_try(w, rules);
    err = w->err;
    MUST(fine);
    MUST(gw_map_run_open(w->map, false, &w->run[0], &err));
    MUST(gw_map_run_open(w->map, true, &w->run[1], &err));
}

static inline void world_forget(struct world *w)
{
    gw_map_run_close(w->run[0]);
    gw_map_run_close(w->run[1]);
    gw_map_free(w->map);
    gw_map_losses_release(&w->losses);
    gw_rules_free(w->rules);
    w->rules = NULL;
    w->map = NULL;
    w->run[0] = w->run[1] = NULL;
}

static inline void world_end(struct world *w)
{
    world_forget(w);
    gw_definition_release(&w->blue);
    *w = (struct world){0};
}

static inline const struct gw_map_loss *world_loss(const struct world *w, const char *id, int column)
{
    for (size_t i = 0; i < w->losses.count; i++)
        if (strcmp(w->losses.items[i].id, id) == 0 && w->losses.items[i].column == column)
            return &w->losses.items[i];
    return NULL;
}

/* One value forward or back, of a table whose columns count from 0; the others are NULL. */
static inline enum gw_map_verdict world_row(struct world *w, bool back, const struct gw_datum *in, struct gw_datum *out)
{
    struct gw_error err = {0};
    enum gw_map_verdict verdict;
    gw_autobuf struct gw_buf why = {0};
    MUST(gw_map_row(w->run[back], 0, in, out, &verdict, &why, &err));
    if (verdict == GW_MAP_SET_ASIDE)
        assert_true(why.len > 0);
    return verdict;
}

static inline struct gw_datum integer(int64_t value)
{
    return (struct gw_datum){.kind = GW_KIND_INT64, .i64 = value};
}

static inline struct gw_datum words(const char *text)
{
    return gw_datum_text(text);
}

static inline struct gw_datum as(enum gw_kind kind, const char *text)
{
    return gw_datum_of_bytes(kind, text, strlen(text));
}

static inline struct gw_datum bare(enum gw_kind kind)
{
    return (struct gw_datum){.kind = kind};
}

static inline struct gw_datum moment(enum gw_kind kind, const char *text)
{
    struct gw_datum datum = {.kind = kind};
    bool fine = kind == GW_KIND_DATE   ? gw_date_parse(text, strlen(text), &datum.i64)
                : kind == GW_KIND_TIME ? gw_time_parse(text, strlen(text), &datum.i64)
                                       : gw_timestamp_parse(text, strlen(text), &datum.i64);
    assert_true(fine);
    return datum;
}

static inline void is_same(const struct gw_datum *value, struct gw_datum expected)
{
    if (!gw_datum_equal(value, &expected)) {
        gw_autobuf struct gw_buf a = {0};
        gw_autobuf struct gw_buf b = {0};
        gw_datum_print(value, &a);
        gw_datum_print(&expected, &b);
        print_error("%s \"%s\" is not %s \"%s\"\n", gw_kind_name(value->kind), gw_buf_text(&a),
                    gw_kind_name(expected.kind), gw_buf_text(&b));
        fail();
    }
}

#endif
