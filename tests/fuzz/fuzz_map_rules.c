/*
 * Any text as the rules of a collection: refused with a place, or a map that takes rows both ways without a crash. What
 * is mapped there and back is what it was where the map says that it compares.
 */
#include "base/mem.h"
#include "map/map.h"
#include "model/migration.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libfyaml 0.7.12 loses a buffer of 4 kB on a quoted scalar with very many ''; a migration file is read once. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml";
}

enum { COLUMNS = 6 };

static bool type_for(const struct gw_type *wanted, struct gw_buf *sql_type, struct gw_type *got, struct gw_error *err)
{
    (void)err;
    gw_type_copy(got, wanted);
    if (got->kind == GW_KIND_TEXT)
        got->no_nul = true;
    gw_type_print(got, sql_type);
    return true;
}

static void describe(struct gw_definition *blue)
{
    static const struct gw_type types[COLUMNS] = {
        {.kind = GW_KIND_INT64, .bits = 64},
        {.kind = GW_KIND_TEXT, .length = 40},
        {.kind = GW_KIND_DECIMAL, .precision = 10, .scale = 2},
        {.kind = GW_KIND_TIMESTAMP, .scale = 6},
        {.kind = GW_KIND_BOOL},
        {.kind = GW_KIND_BYTES},
    };
    static const char *const names[COLUMNS] = {"id", "name", "price", "at", "ok", "raw"};
    struct gw_table_definition *table = gw_definition_add_table(blue);
    blue->sql_of = gw_strdup("one");
    table->space = gw_strdup("");
    table->name = gw_strdup("t");
    for (size_t i = 0; i < COLUMNS; i++)
        gw_type_copy(&gw_table_add_column(table, names[i])->type, &types[i]);
    gw_index_add_part(gw_table_add_index(table, GW_INDEX_PRIMARY), "id");
}

static void check_error(const struct gw_error *err)
{
    if (err->kind == GW_ERR_NONE || err->kind == GW_ERR_BUG || !err->message[0])
        abort();
}

static void take_rows(const struct gw_map *map)
{
    struct gw_datum in[COLUMNS] = {{.kind = GW_KIND_INT64, .i64 = 42},
                                   gw_datum_text("Ann Lee"),
                                   gw_datum_of_bytes(GW_KIND_DECIMAL, "12.50", 5),
                                   {.kind = GW_KIND_TIMESTAMP, .i64 = 1},
                                   {.kind = GW_KIND_BOOL, .boolean = true},
                                   gw_datum_of_bytes(GW_KIND_BYTES, "a\0b", 3)};
    size_t count = gw_map_definition(map)->tables[0].column_count;
    struct gw_datum *there = gw_calloc(count + 1, sizeof *there);
    struct gw_datum back[COLUMNS];
    struct gw_map_run *runs[2] = {NULL, NULL};
    struct gw_error err = {0};
    enum gw_map_verdict verdict;
    bool open = gw_map_run_open(map, false, &runs[0], &err) && gw_map_run_open(map, true, &runs[1], &err);
    if (!open)
        check_error(&err);
    if (open && !gw_map_row(runs[0], 0, in, there, &verdict, NULL, &err)) {
        check_error(&err);
    } else if (open && verdict == GW_MAP_KEEP) {
        if (!gw_map_row(runs[1], 0, there, back, &verdict, NULL, &err))
            check_error(&err);
        else
            for (int i = 0; i < COLUMNS; i++)
                if (verdict == GW_MAP_KEEP && gw_map_compares(map, 0, i, true) && !gw_datum_equal(&in[i], &back[i]))
                    abort();
        if (!gw_map_key(runs[0], 0, in, there, &err) ||
            !gw_map_row_update(runs[0], 0, in, NULL, there, &verdict, NULL, &err))
            check_error(&err);
    }
    gw_map_run_close(runs[0]);
    gw_map_run_close(runs[1]);
    free(there);
}

static void compile(struct gw_rules *rules)
{
    struct gw_definition blue = {0};
    struct gw_map_losses losses = {0};
    struct gw_map *map;
    struct gw_error err = {0};
    gw_autobuf struct gw_buf text = {0};
    describe(&blue);
    struct gw_map_options options = {.rules = rules,
                                     .blue = &blue,
                                     .green_engine = "two",
                                     .default_space = {"", "public"},
                                     .green_type_for = type_for,
                                     .name_bytes = 63};
    if (gw_map_compile(&options, &map, &losses, &err)) {
        gw_map_print(map, 0, &text);
        gw_map_write_commented(map, &losses, &text);
        take_rows(map);
        gw_map_losses_release(&losses);
        gw_map_free(map);
    } else {
        check_error(&err);
        if (!err.place[0])
            abort();
    }
    gw_definition_release(&blue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "migration: acme\nstores:\n  main:\n    blue: postgresql://old/a\n"
                               "    green: postgresql://new/a\n    collections:\n      t:\n";
    struct gw_error err = {0};
    struct gw_migration migration;
    struct gw_rules *rules;
    struct gw_buf text = {0};
    gw_buf_adds(&text, head);
    gw_buf_add(&text, data, size);
    if (gw_migration_parse(gw_buf_text(&text), text.len, "fuzz.yaml", &migration, &err)) {
        if (gw_rules_parse(&migration.stores[0].collections, &rules, &err)) {
            compile(rules);
            gw_rules_free(rules);
        } else {
            check_error(&err);
        }
        gw_migration_release(&migration);
    } else {
        check_error(&err);
    }
    gw_buf_release(&text);
    return 0;
}
