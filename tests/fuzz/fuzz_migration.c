/*
 * Any bytes as a migration file: read or refused, with a place and without a crash. What is read is described, hashed
 * and written again, and the written file must be read, too.
 */
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

static void check_written(const struct gw_migration *migration)
{
    gw_autobuf struct gw_buf text = {0};
    gw_autobuf struct gw_buf blue = {0};
    gw_autobuf struct gw_buf green = {0};
    struct gw_error err = {0};
    struct gw_migration again;
    const struct gw_migration_side *side = migration->stores[0].side;
    gw_migration_strip_url(side[0].url, &blue);
    gw_migration_strip_url(side[1].url, &green);
    gw_migration_write_commented(migration->name, side[0].url, side[1].url, &text);
    bool read = gw_migration_parse(gw_buf_text(&text), text.len, "written.yaml", &again, &err);
    if (read)
        gw_migration_release(&again);
    /* Without their passwords two sides may be the same, or nothing; and a literal ${ in a URL is a variable again. */
    else if (strcmp(gw_buf_text(&blue), gw_buf_text(&green)) != 0 && blue.len && green.len &&
             !strstr(gw_buf_text(&text) + 1, "${") && strstr(err.place, "written"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_error err = {0};
    struct gw_migration migration;
    char *exact = malloc(size ? size : 1); /* no byte behind the end */
    memcpy(exact, data, size);
    if (gw_migration_parse(exact, size, "fuzz.yaml", &migration, &err)) {
        if (!gw_migration_name_valid(migration.name) || migration.store_count == 0)
            abort();
        check_written(&migration);
        gw_migration_release(&migration);
    } else if (err.kind == GW_ERR_NONE || err.kind == GW_ERR_BUG || !err.message[0] || !err.place[0]) {
        abort();
    }
    free(exact);
    return 0;
}
