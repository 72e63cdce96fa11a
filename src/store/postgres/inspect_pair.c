/* What only both sides together tell, and whether a pg_dump is at hand that can read blue. */
#include "store/postgres/inspect.h"

#include "base/mem.h"
#include "sql_embedded.h"
#include "store/postgres/schema_tools.h"

#include <string.h>

static void check_tools(struct gw_pg_store *blue, struct gw_findings *findings)
{
    struct gw_pg_tools tools = {0};
    struct gw_error why;
    if (gw_pg_tools_find(blue, &tools, &why))
        gw_pg_tools_release(&tools);
    else
        gw_findings_add(findings, GW_FINDING_BLOCKS, GW_BLUE, "pg-dump", why.hint,
                        "the schema is copied by pg_dump and pg_restore: %s%s%s", why.message, *why.detail ? "; " : "",
                        why.detail);
}

/* ---- questions to one side, looks at the other --------------------------------------------------------------------- */

/* The answer of the ask of this name; owned. */
static bool ask(struct gw_pg_store *blue, PGconn *conn, const char *what, struct gw_buf *answer, struct gw_error *err)
{
    struct gw_pg_section section;
    for (const char *at = gw_sql_inspect_pair; gw_pg_section_next(&at, &section);) {
        if (!section.ask || strcmp(section.id, what) != 0)
            continue;
        gw_autofree char *sql = gw_strndup(section.sql, section.len);
        return gw_pg_query_text(blue, conn, sql, 0, NULL, answer, NULL, err);
    }
    return gw_fail(err, GW_ERR_BUG, "no question named \"%s\"", what);
}

static bool look_all(struct gw_pg_store *blue, PGconn *from, struct gw_pg_store *green, PGconn *to,
                     const struct gw_filter *filter, struct gw_findings *findings, struct gw_error *err)
{
    struct gw_pg_section section;
    for (const char *at = gw_sql_inspect_pair; gw_pg_section_next(&at, &section);) {
        gw_autobuf struct gw_buf answer = {0};
        if (section.ask || !gw_pg_section_fits(&section, green))
            continue;
        if (!ask(blue, from, section.look, &answer, err) ||
            !gw_pg_section_find(green, to, &section, gw_buf_text(&answer), filter, findings, err))
            return gw_error_prefix(err, "checking \"%s\"", section.id);
    }
    return true;
}

static bool is_same_database(const struct gw_identity *blue, const struct gw_identity *green)
{
    return strcmp(blue->server, green->server) == 0 && strcmp(blue->database, green->database) == 0;
}

bool gw_pg_inspect_pair(struct gw_store *blue, struct gw_store *green, const struct gw_filter *filter,
                        struct gw_findings *findings, struct gw_error *err)
{
    struct gw_pg_store *b = gw_pg_store_of(blue), *g = gw_pg_store_of(green);
    PGconn *from, *to;
    if (is_same_database(&blue->identity, &green->identity)) {
        gw_findings_add(findings, GW_FINDING_BLOCKS, GW_GREEN, "same-database", "give green an address of its own",
                        "blue and green are the same database: %s", green->identity.address);
        return true;
    }
    if (strcmp(blue->identity.server, green->identity.server) == 0)
        gw_findings_add(findings, GW_FINDING_INFO, GW_GREEN, "same-server", "",
                        "blue and green are databases of one server: fit for a trial; a move gains nothing");
    check_tools(b, findings);
    if (!gw_pg_borrow(b, &from, err))
        return false;
    if (!gw_pg_borrow(g, &to, err)) {
        gw_pg_return(b, from, false);
        return false;
    }
    bool fine = gw_pg_inspect_begin(g, to, err) && look_all(b, from, g, to, filter, findings, err);
    gw_pg_return(g, to, !fine);
    gw_pg_return(b, from, !fine);
    return fine;
}
