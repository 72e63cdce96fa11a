/*
 * Replica identities: what the log says of an old row. A table with a primary key has it by default; one with only a
 * unique index is told to use that; one without key needs FULL before it enters a publication, or the application's own
 * UPDATE and DELETE would fail. Each change of ours is written down first, in the same transaction.
 */
#include "store/postgres/changes.h"
#include "store/postgres/ddl.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define NOTE "replica-identity" /* {"quoted table": "clause that was in force", ...} */

/* Every table of ours with what is in force now, in the clause that would set it, and what is wanted. `p` the primary
 * key's index, `i` the identity's. A key with its own index named is preferred to the default. */
static const char look_sql[] =
    "SELECT format('%I.%I', n.nspname, c.relname),"
    "  CASE c.relreplident WHEN 'd' THEN 'DEFAULT' WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL'"
    "    ELSE format('USING INDEX %I', i.relname) END,"
    "  c.relreplident,"
    "  coalesce(p.relname, ''), coalesce(i.relname, ''), w.ord"
    " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY w(space, name, ord)"
    " JOIN pg_namespace n ON n.nspname = w.space"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name"
    " LEFT JOIN pg_index pi ON pi.indrelid = c.oid AND pi.indisprimary"
    " LEFT JOIN pg_class p ON p.oid = pi.indexrelid"
    " LEFT JOIN pg_index ii ON ii.indrelid = c.oid AND ii.indisreplident"
    " LEFT JOIN pg_class i ON i.oid = ii.indexrelid"
    " ORDER BY w.ord";

/* The clause this table needs; "" when what is in force will do. FULL always tells rows apart. */
static void wanted_clause(const struct gw_collection *c, const PGresult *r, int row, struct gw_buf *out)
{
    char now = *PQgetvalue(r, row, 2);
    const char *primary = PQgetvalue(r, row, 3), *identity = PQgetvalue(r, row, 4);
    gw_buf_clear(out);
    if (now == 'f')
        return;
    if (c->key_kind == GW_KEY_NONE) {
        gw_buf_adds(out, "FULL");
    } else if (c->key_kind == GW_KEY_PRIMARY) {
        bool covered = (now == 'd' && *primary) || (now == 'i' && *primary && strcmp(primary, identity) == 0);
        if (!covered)
            gw_buf_adds(out, "DEFAULT");
    } else if (!(now == 'i' && c->key_index && strcmp(c->key_index, identity) == 0)) {
        gw_buf_adds(out, "USING INDEX ");
        gw_pg_add_ident(out, c->key_index ? c->key_index : "");
    }
}

/* The first word of ours about a table is the one that counts: what was in force before us. */
static void add_note(struct gw_buf *sql, const char *table, const char *clause)
{
    gw_buf_adds(sql, "INSERT INTO godwit.note AS n (name, json) VALUES ('" NOTE "', jsonb_build_object(");
    gw_pg_add_literal(sql, table);
    gw_buf_adds(sql, "::text, ");
    gw_pg_add_literal(sql, clause);
    gw_buf_adds(sql, "::text)::text) ON CONFLICT (name) DO UPDATE"
                     " SET json = (excluded.json::jsonb || n.json::jsonb)::text; ");
}

bool gw_pg_identity_set(struct gw_pg_store *store, PGconn *conn, const struct gw_schema *schema, struct gw_error *err)
{
    gw_autobuf struct gw_buf spaces = {0}, names = {0}, clause = {0}, sql = {0};
    gw_pg_array_tables(schema, &spaces, &names);
    const char *params[2] = {gw_buf_text(&spaces), gw_buf_text(&names)};
    PGresult *r;
    if (!gw_pg_query(store, conn, look_sql, 2, params, &r, err))
        return false;
    bool fine = true;
    for (int row = 0; row < PQntuples(r) && fine; row++) {
        const char *table = PQgetvalue(r, row, 0);
        size_t at = strtoul(PQgetvalue(r, row, 5), NULL, 10) - 1;
        wanted_clause(&schema->collections[at], r, row, &clause);
        if (clause.len == 0)
            continue;
        gw_buf_clear(&sql);
        gw_buf_addf(&sql, "ALTER TABLE %s REPLICA IDENTITY %s; ", table, gw_buf_text(&clause));
        add_note(&sql, table, PQgetvalue(r, row, 1));
        fine = gw_pg_ddl(store, conn, table, gw_buf_text(&sql), err);
        if (fine)
            gw_info("replica identity of %s: %s, was %s (put back at the end)", table, gw_buf_text(&clause),
                    PQgetvalue(r, row, 1));
    }
    PQclear(r);
    return fine;
}

/* Rows: table, clause, and whether the table is still there. No rows when there is no home. */
static bool read_note(struct gw_pg_store *store, PGconn *conn, PGresult **out, struct gw_error *err)
{
    gw_autobuf struct gw_buf home = {0};
    if (!gw_pg_query_text(store, conn, "SELECT coalesce(to_regclass('godwit.note')::text, '')", 0, NULL, &home, NULL,
                          err))
        return false;
    const char *sql = home.len ? "SELECT j.key, j.value, to_regclass(j.key) IS NOT NULL FROM godwit.note,"
                                 " jsonb_each_text(json::jsonb) j WHERE name = '" NOTE "' ORDER BY 1"
                               : "SELECT 1 WHERE false";
    return gw_pg_query(store, conn, sql, 0, NULL, out, err);
}

static bool note_text(struct gw_pg_store *store, struct gw_buf *json, bool *home, struct gw_error *err)
{
    gw_autobuf struct gw_buf table = {0};
    PGconn *conn;
    bool noted;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_query_text(store, conn, "SELECT to_regclass('godwit.note')::text", 0, NULL, &table, home, err);
    if (fine && *home)
        fine = gw_pg_query_text(store, conn, "SELECT json FROM godwit.note WHERE name = '" NOTE "'", 0, NULL, json,
                                &noted, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

bool gw_pg_identity_inherit(struct gw_pg_store *source, struct gw_pg_store *target, struct gw_error *err)
{
    gw_autobuf struct gw_buf json = {0}, ours = {0};
    bool home;
    PGconn *conn;
    PGresult *r = NULL;
    if (!note_text(source, &json, &home, err))
        return false;
    if (json.len == 0)
        return true;
    if (!note_text(target, &ours, &home, err))
        return false;
    if (!home)
        return true;
    if (!gw_pg_borrow(target, &conn, err))
        return false;
    const char *params[1] = {gw_buf_text(&json)};
    bool fine = gw_pg_query(target, conn,
                            "INSERT INTO godwit.note AS n (name, json) VALUES ('" NOTE "', $1) ON CONFLICT (name)"
                            " DO UPDATE SET json = (excluded.json::jsonb || n.json::jsonb)::text",
                            1, params, &r, err);
    PQclear(r);
    gw_pg_return(target, conn, !fine);
    return fine;
}

bool gw_pg_identity_restore(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    PGresult *r;
    if (!read_note(store, conn, &r, err))
        return false;
    bool fine = true;
    for (int row = 0; row < PQntuples(r) && fine; row++) {
        const char *table = PQgetvalue(r, row, 0);
        gw_buf_clear(&sql);
        if (*PQgetvalue(r, row, 2) == 't')
            gw_buf_addf(&sql, "ALTER TABLE %s REPLICA IDENTITY %s; ", table, PQgetvalue(r, row, 1));
        gw_buf_adds(&sql, "UPDATE godwit.note SET json = (json::jsonb - ");
        gw_pg_add_literal(&sql, table);
        gw_buf_adds(&sql, "::text)::text WHERE name = '" NOTE "'");
        fine = gw_pg_ddl(store, conn, table, gw_buf_text(&sql), err);
    }
    PQclear(r);
    return fine;
}

bool gw_pg_identity_left(struct gw_pg_store *store, PGconn *conn, struct gw_buf *lines, struct gw_error *err)
{
    PGresult *r;
    if (!read_note(store, conn, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        if (*PQgetvalue(r, row, 2) == 't')
            gw_buf_addf(lines, "replica identity of %s is ours (was %s)\n", PQgetvalue(r, row, 0),
                        PQgetvalue(r, row, 1));
    PQclear(r);
    return true;
}
