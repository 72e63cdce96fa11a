/* check on one side: the sections of inspect_check.sql, and what SQL alone cannot tell. */
#include "store/postgres/inspect.h"

#include "base/mem.h"
#include "sql_embedded.h"

#include <string.h>

#define NEWEST_TESTED 180000
#define NAMES_SHOWN 8

/* ---- the connection itself ---------------------------------------------------------------------------------------- */

static char *conninfo_value(PGconn *conn, const char *keyword)
{
    PQconninfoOption *options = PQconninfo(conn);
    char *value = NULL;
    for (PQconninfoOption *o = options; o && o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0 && o->val)
            value = gw_strdup(o->val);
    PQconninfoFree(options);
    return value;
}

static void check_tls(struct gw_pg_store *store, PGconn *conn, struct gw_findings *findings)
{
    const struct gw_identity *id = &store->base.identity;
    gw_autofree char *mode = conninfo_value(conn, "sslmode");
    if (id->loopback || (id->encrypted && mode && strcmp(mode, "verify-full") == 0))
        return;
    const char *fix = "add to the address: sslmode=verify-full&sslrootcert=/path/of/the/servers/ca.pem";
    if (!id->encrypted)
        gw_findings_add(findings, GW_FINDING_WARNING, store->base.side, "tls", fix,
                        "the connection to %s is not encrypted: rows and passwords can be read on the way",
                        id->address);
    else
        gw_findings_add(
            findings, GW_FINDING_WARNING, store->base.side, "tls", fix,
            "the connection to %s is encrypted, but sslmode is %s: who stands in between can pretend to be the"
            " server",
            id->address, mode ? mode : "prefer");
}

/* The change log is read by a connection of another kind, which pg_hba.conf and poolers may treat otherwise. */
static bool check_replication(struct gw_pg_store *store, struct gw_findings *findings, struct gw_error *err)
{
    gw_autobuf struct gw_buf fix = {0};
    struct gw_error why;
    PGconn *conn;
    PGresult *r = NULL;
    bool fine = gw_pg_connect(store, GW_PG_REPLICATION, "check", &conn, &why);
    if (fine) {
        fine = gw_pg_query(store, conn, "IDENTIFY_SYSTEM", 0, NULL, &r, &why);
        PQclear(r);
        PQfinish(conn);
    }
    if (fine)
        return true;
    if (why.kind == GW_ERR_CANCELLED) {
        *err = why;
        return false;
    }
    gw_buf_addf(&fix,
                "host %s %s ADDRESS scram-sha-256 -- in pg_hba.conf, then SELECT pg_reload_conf();"
                " and no pooler in between",
                store->base.identity.database, store->session_user);
    gw_findings_add(findings, GW_FINDING_BLOCKS, store->base.side, "replication-connection", gw_buf_text(&fix),
                    "a replication connection, by which the change log is read, was refused: %s", why.message);
    findings->items[findings->count - 1].breaks_way_back = store->base.side == GW_GREEN;
    return true;
}

static void check_version(struct gw_pg_store *store, struct gw_findings *findings)
{
    if (store->base.identity.version / 10000 > NEWEST_TESTED / 10000)
        gw_findings_add(findings, GW_FINDING_WARNING, store->base.side, "version",
                        "move a copy of the database first and verify it", "%s is newer than what was tested (%d)",
                        store->base.identity.product, NEWEST_TESTED / 10000);
}

/* ---- session_replication_role -------------------------------------------------------------------------------------- */

/* Blue has what it concerns, and a section for it; of green it is said before its tables are there. */
static void check_replica_role(struct gw_pg_store *store, struct gw_findings *findings)
{
    gw_autobuf struct gw_buf fix = {0};
    if (store->base.side == GW_BLUE || store->base.identity.capabilities & GW_CAN_REPLICA_ROLE)
        return;
    bool can_be_granted = store->base.identity.version >= 150000;
    if (can_be_granted) {
        gw_buf_adds(&fix, "GRANT SET ON PARAMETER session_replication_role TO ");
        gw_pg_add_ident(&fix, store->session_user);
        gw_buf_adds(&fix, "; -- by a superuser");
    } else {
        gw_buf_adds(&fix, "cannot be granted before version 15: a superuser as godwit's role, or a newer server");
    }
    gw_findings_add(
        findings, GW_FINDING_WARNING, store->base.side, "replica-role", gw_buf_text(&fix),
        "%s may not set session_replication_role: foreign keys and triggers would act on what godwit applies here;"
        " they are put on inside the pause of the switch, and the foreign keys are validated behind it",
        store->session_user);
}

/* ---- capture ------------------------------------------------------------------------------------------------------ */

/* By triggers, and why: what is asked for is as good as what cannot be otherwise, but it is said which it is. */
static void check_capture(struct gw_pg_store *store, struct gw_findings *findings)
{
    if (!gw_pg_captures(store))
        return;
    bool asked = store->asked_capture == GW_CAPTURE_TRIGGER;
    gw_findings_add(
        findings, asked ? GW_FINDING_INFO : GW_FINDING_WARNING, store->base.side, "capture",
        asked ? "nothing to do"
              : "nothing to do; or wal_level = logical and REPLICATION for godwit's role, and it reads the log",
        "changes of %s are captured by triggers, not read from its log (%s): each row that is written is written once more"
        " (godwit plan measures what that costs), and a session that writes one waits for nobody",
        gw_side_name(store->base.side), gw_buf_text(&store->why_captured));
}

/* ---- the home ----------------------------------------------------------------------------------------------------- */

static bool check_home(struct gw_pg_store *store, PGconn *conn, struct gw_findings *findings, struct gw_error *err)
{
    gw_autobuf struct gw_buf there = {0}, migration = {0};
    if (!gw_pg_query_text(store, conn,
                          "SELECT CASE WHEN EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid"
                          " AND c.relname = 'owner') THEN 'home' ELSE 'other' END"
                          " FROM pg_namespace n WHERE nspname = 'godwit'",
                          0, NULL, &there, NULL, err))
        return false;
    if (there.len == 0)
        return true;
    if (strcmp(gw_buf_text(&there), "other") == 0) {
        gw_findings_add(findings, GW_FINDING_BLOCKS, store->base.side, "home-taken",
                        "ALTER SCHEMA godwit RENAME TO something_else;",
                        "there is a schema named godwit that is not godwit's: it needs the name for itself");
        return true;
    }
    if (!gw_pg_query_text(store, conn, "SELECT migration FROM godwit.owner", 0, NULL, &migration, NULL, err)) {
        gw_findings_add(findings, GW_FINDING_BLOCKS, store->base.side, "home-taken",
                        "end that migration with its own role, or DROP SCHEMA godwit CASCADE; if nobody needs it",
                        "the schema godwit belongs to another role's migration: %s", err->message);
        gw_error_clear(err);
        return PQstatus(conn) == CONNECTION_OK;
    }
    if (strcmp(gw_buf_text(&migration), store->migration) != 0)
        gw_findings_add(
            findings, GW_FINDING_BLOCKS, store->base.side, "home-taken",
            "godwit abort or godwit finish with that migration's file; if it is lost, the break-glass SQL of"
            " godwit plan",
            "this database takes part in another migration, \"%s\"", gw_buf_text(&migration));
    return true;
}

/* ---- what the catalog tells of each table --------------------------------------------------------------------------- */

static void add_table(struct gw_buf *names, size_t *count, const struct gw_collection *c)
{
    if ((*count)++ < NAMES_SHOWN)
        gw_buf_addf(names, "%s%s", names->len ? ", " : "", gw_collection_label(c));
}

static void end_tables(struct gw_buf *names, size_t count)
{
    if (count > NAMES_SHOWN)
        gw_buf_addf(names, " and %zu more", count - NAMES_SHOWN);
}

static void check_keys(const struct gw_schema *schema, enum gw_side side, bool captured, struct gw_findings *findings)
{
    gw_autobuf struct gw_buf keyless = {0}, text = {0}, silent = {0}, fix = {0};
    size_t keyless_count = 0, text_count = 0, silent_count = 0;
    for (size_t i = 0; i < schema->count; i++) {
        const struct gw_collection *c = &schema->collections[i];
        if (c->key_kind == GW_KEY_NONE) {
            add_table(&keyless, &keyless_count, c);
            if (keyless_count <= NAMES_SHOWN) {
                gw_buf_adds(&fix, fix.len ? "\nALTER TABLE " : "ALTER TABLE ");
                gw_pg_add_table(&fix, c);
                gw_buf_adds(&fix, " ADD PRIMARY KEY (...); -- optional: columns that are unique and never null");
            }
        } else if (strcmp(c->identity, "nothing") == 0) {
            add_table(&silent, &silent_count, c);
        }
        if (!c->all_binary_safe)
            add_table(&text, &text_count, c);
    }
    end_tables(&keyless, keyless_count);
    end_tables(&text, text_count);
    end_tables(&silent, silent_count);
    if (keyless_count)
        gw_findings_add(
            findings, GW_FINDING_WARNING, side, "keyless", gw_buf_text(&fix),
            "tables without a key: %s. %s and copies it under one snapshot, not in chunks", gw_buf_text(&keyless),
            captured
                ? "godwit writes down the whole old row of each UPDATE and DELETE on such a table"
                : "godwit sets REPLICA IDENTITY FULL on such a table while it works (UPDATE and DELETE write more WAL)");
    if (silent_count && !captured)
        gw_findings_add(findings, GW_FINDING_INFO, side, "identity-nothing", "nothing to do",
                        "tables with REPLICA IDENTITY NOTHING: %s. godwit changes that while it works and puts it back",
                        gw_buf_text(&silent));
    if (text_count)
        gw_findings_add(findings, GW_FINDING_INFO, side, "text-path", "nothing to do",
                        "tables with columns whose binary form holds numbers of this server are copied as text: %s",
                        gw_buf_text(&text));
}

static bool check_tables(struct gw_pg_store *store, const struct gw_filter *filter, struct gw_findings *findings,
                         struct gw_error *err)
{
    struct gw_schema schema = {0};
    if (store->base.side != GW_BLUE)
        return true;
    if (!gw_pg_catalog.list(&store->base, filter, &schema, err))
        return false;
    if (schema.count == 0)
        gw_findings_add(findings, GW_FINDING_BLOCKS, GW_BLUE, "nothing-to-move",
                        "look at the include and exclude patterns, and at the database's name in blue's address",
                        "no table of blue is let through by the include and exclude patterns");
    check_keys(&schema, GW_BLUE, gw_pg_captures(store), findings);
    gw_schema_release(&schema);
    return true;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

static bool run_sections(struct gw_pg_store *store, PGconn *conn, const struct gw_filter *filter,
                         struct gw_findings *findings, struct gw_error *err)
{
    struct gw_pg_section section;
    for (const char *at = gw_sql_inspect_check; gw_pg_section_next(&at, &section);)
        if (gw_pg_section_fits(&section, store) &&
            !gw_pg_section_find(store, conn, &section, NULL, filter, findings, err))
            return gw_error_prefix(err, "checking \"%s\"", section.id);
    return true;
}

bool gw_pg_inspect_check(struct gw_store *base, const struct gw_filter *filter, struct gw_findings *findings,
                         struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    if (base->identity.in_recovery) {
        gw_findings_add(findings, GW_FINDING_BLOCKS, base->side, "standby", "give the address of the primary",
                        "%s is a standby: it can neither be written to nor safely followed", base->identity.address);
        return true;
    }
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    check_version(store, findings);
    check_tls(store, conn, findings);
    check_replica_role(store, findings);
    check_capture(store, findings);
    bool fine = (gw_pg_captures(store) || check_replication(store, findings, err)) &&
                gw_pg_inspect_begin(store, conn, err) && check_home(store, conn, findings, err) &&
                run_sections(store, conn, filter, findings, err) && check_tables(store, filter, findings, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}
