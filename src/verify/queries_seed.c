/* What a migration file could name as critical queries: what the owner's server spends its time on. */
#include "base/mem.h"
#include "io/json.h"
#include "verify/cause.h"
#include "verify/queries.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS 20

struct seeding {
    struct gw_buf *yaml;
    size_t count, open;
};

/* Whether the server left values out of it: $1, ? */
static bool has_places(const char *sql)
{
    char quote = 0;
    for (; *sql; sql++) {
        if (quote)
            quote = *sql == quote ? 0 : quote;
        else if (strchr("'\"`", *sql))
            quote = *sql;
        else if (*sql == '?' || (*sql == '$' && isdigit((unsigned char)sql[1])))
            return true;
    }
    return false;
}

/* As YAML reads it in double quotes, on one line; "${" is the file's own. */
static void add_statement(struct gw_buf *out, const char *sql, size_t len)
{
    gw_autobuf struct gw_buf line = {0};
    for (size_t i = 0; i < len; i++) {
        if (sql[i] == '$' && i + 1 < len && sql[i + 1] == '{')
            gw_buf_addc(&line, '$');
        gw_buf_addc(&line, isspace((unsigned char)sql[i]) ? ' ' : sql[i]);
    }
    json_t *text = gw_json_text(gw_buf_text(&line));
    char *quoted = json_dumps(text, JSON_ENCODE_ANY);
    gw_buf_adds(out, quoted ? quoted : "\"\"");
    free(quoted);
    json_decref(text);
}

static bool add_seed(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    struct seeding *seeding = arg;
    struct gw_buf *out = seeding->yaml;
    (void)err;
    if (row->count < 3 || !row->values[0] || !row->values[1] || !row->values[2])
        return true;
    bool open = has_places(row->values[0]);
    const char *mark = open ? "#" : "";
    gw_buf_addf(out, "  # %s calls, %.1f ms each%s\n", row->values[1],
                strtod(row->values[2], NULL) / strtod(row->values[1], NULL),
                open ? "; put values in the places that the server left open, and take the '#' away" : "");
    gw_buf_addf(out, "  %squery_%zu:\n  %s  sql: ", mark, ++seeding->count, mark);
    add_statement(out, row->values[0], row->lens[0]);
    gw_buf_addf(out, "\n  %s  calls: %s\n", mark, row->values[1]);
    seeding->open += open;
    return true;
}

bool gw_queries_seed(struct gw_store *store, struct gw_buf *yaml, struct gw_error *err)
{
    struct seeding seeding = {.yaml = yaml};
    if (!store->type->query || !store->type->query->busiest) {
        gw_fail(err, GW_ERR_UNSUPPORTED, "%s keeps no statements that queries could be taken from",
                store->identity.product);
        return gw_error_hint(err, "write the queries of the application into godwit.yaml by hand: godwit config");
    }
    gw_buf_addf(yaml,
                "# What took most of the time on %s, for a store of godwit.yaml. The names are yours to choose.\n",
                gw_side_name(store->side));
    gw_buf_adds(yaml, "queries:\n");
    if (!store->type->query->busiest(store, SEEDS, add_seed, &seeding, err))
        return false;
    if (seeding.count)
        return true;
    gw_fail(err, GW_ERR_USER, "the server has kept no statement that reads and is not godwit's own");
    return gw_error_hint(err, "let the application work for a while, then ask again");
}
