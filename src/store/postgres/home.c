/* The home on a side: who owns, notes, and what of ours is still there. Tables: home.sql. */
#include "base/crash.h"
#include "base/mem.h"
#include "sql_embedded.h"
#include "store/postgres/capture.h"
#include "store/postgres/ddl.h"
#include "store/postgres/fence.h"
#include "store/postgres/schema_loose.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define INSTALL_LOCK "7453610203211" /* advisory: one install at a time */

static bool place(struct gw_pg_store *store, struct gw_error *err)
{
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

/* Relation there? ("" in the answer when not.) */
static bool exists(struct gw_pg_store *store, PGconn *conn, const char *relation, bool *there, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    return gw_pg_query_text(store, conn, "SELECT to_regclass($1)::text", 1, &relation, &text, there, err);
}

static bool read_owner(struct gw_pg_store *store, PGconn *conn, struct gw_owner *owner, bool *installed,
                       struct gw_error *err)
{
    bool there = false;
    PGresult *r;
    *installed = false;
    if (!exists(store, conn, "godwit.owner", &there, err))
        return false;
    if (!there)
        return true;
    if (!gw_pg_query(store, conn,
                     "SELECT owner, epoch, migration, migration_id,"
                     " (extract(epoch FROM clock_timestamp() - changed_at) * 1e6)::bigint FROM godwit.owner",
                     0, NULL, &r, err))
        return false;
    if (PQntuples(r) > 0) {
        *installed = true;
        *owner = (struct gw_owner){.owner = strcmp(PQgetvalue(r, 0, 0), "green") == 0 ? GW_GREEN : GW_BLUE,
                                   .epoch = strtoull(PQgetvalue(r, 0, 1), NULL, 10),
                                   .owned_for_us = strtoll(PQgetvalue(r, 0, 4), NULL, 10)};
        snprintf(owner->migration, sizeof owner->migration, "%s", PQgetvalue(r, 0, 2));
        snprintf(owner->migration_id, sizeof owner->migration_id, "%s", PQgetvalue(r, 0, 3));
    }
    PQclear(r);
    return true;
}

/* ---- install --------------------------------------------------------------------------------------------------- */

/* The fence tells our sessions by session_user, and what it compares with is the owner of what is made here. */
static bool check_role(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf role = {0};
    if (!gw_pg_query_text(store, conn, "SELECT CASE WHEN current_user <> session_user THEN current_user END", 0, NULL,
                          &role, NULL, err))
        return false;
    if (role.len == 0)
        return true;
    gw_fail(err, GW_ERR_REFUSED, "logged in as %s, but the session acts as %s", store->session_user,
            gw_buf_text(&role));
    gw_error_hint(err, "take the setting away: ALTER ROLE %s RESET role", store->session_user);
    return place(store, err);
}

static bool check_ours(struct gw_pg_store *store, const struct gw_owner *owner, const char *migration_id,
                       struct gw_error *err)
{
    if (strcmp(owner->migration_id, migration_id) == 0)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "this database already belongs to the migration \"%s\" (%s), not to %s",
            owner->migration, owner->migration_id, migration_id);
    gw_error_hint(err, "finish or abort that one first; if its state is lost, godwit adopt rebuilds it");
    return place(store, err);
}

static bool install_with(struct gw_pg_store *store, PGconn *conn, const char *migration_id, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct gw_owner owner;
    bool installed;
    if (!check_role(store, conn, err) || !read_owner(store, conn, &owner, &installed, err))
        return false;
    if (installed && !check_ours(store, &owner, migration_id, err))
        return false;
    gw_buf_addf(&sql, "BEGIN; SET LOCAL synchronous_commit = on; SELECT pg_advisory_xact_lock(" INSTALL_LOCK "); %s",
                gw_sql_home);
    gw_buf_adds(&sql, "INSERT INTO godwit.owner (owner, epoch, migration, migration_id) VALUES ('blue', 1, ");
    gw_pg_add_literal(&sql, store->migration);
    gw_buf_adds(&sql, ", ");
    gw_pg_add_literal(&sql, migration_id);
    gw_buf_adds(&sql, ") ON CONFLICT (one) DO NOTHING; COMMIT");
    if (!gw_pg_exec(store, conn, gw_buf_text(&sql), err))
        return gw_error_prefix(err, "making the schema godwit");
    /* Somebody else's may have been quicker. */
    if (!read_owner(store, conn, &owner, &installed, err))
        return false;
    if (!installed)
        return gw_fail(err, GW_ERR_CONFLICT, "godwit.owner is empty right after it was filled");
    return check_ours(store, &owner, migration_id, err);
}

static bool install(struct gw_store *base, const char *migration_id, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = install_with(store, conn, migration_id, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

/* ---- owner and notes ------------------------------------------------------------------------------------------- */

static bool get(struct gw_store *base, struct gw_owner *owner, bool *installed, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = read_owner(store, conn, owner, installed, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

static bool compare_and_set(struct gw_store *base, const struct gw_owner *expected, enum gw_side owner, bool *done,
                            struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    gw_autobuf struct gw_buf sql = {0};
    PGresult *r = NULL;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    gw_buf_addf(&sql,
                "UPDATE godwit.owner SET owner = '%s', epoch = epoch + 1,"
                " changed_at = CASE WHEN owner = '%s' THEN changed_at ELSE clock_timestamp() END"
                " WHERE owner = '%s' AND epoch = %" PRIu64 " AND migration_id = ",
                gw_side_name(owner), gw_side_name(owner), gw_side_name(expected->owner), expected->epoch);
    gw_pg_add_literal(&sql, expected->migration_id);
    gw_buf_adds(&sql, " RETURNING epoch");
    /* synchronous_commit is the database's own default otherwise, and may be off. */
    bool fine =
        gw_pg_exec(store, conn, "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = 2000", err) &&
        gw_pg_query(store, conn, gw_buf_text(&sql), 0, NULL, &r, err);
    bool changed = fine && PQntuples(r) == 1;
    PQclear(r);
    GW_CRASH_POINT("postgres.owner.before_commit");
    fine = fine && gw_pg_exec(store, conn, "COMMIT", err);
    gw_pg_return(store, conn, !fine);
    if (fine)
        *done = changed;
    return fine;
}

static bool note(struct gw_store *base, const char *name, const char *json, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    const char *params[2] = {name, json};
    PGresult *r = NULL;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_query(store, conn,
                            "INSERT INTO godwit.note (name, json) VALUES ($1, $2)"
                            " ON CONFLICT (name) DO UPDATE SET json = excluded.json",
                            2, params, &r, err);
    PQclear(r);
    gw_pg_return(store, conn, !fine);
    return fine;
}

static bool noted(struct gw_store *base, const char *name, struct gw_buf *json, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    bool there = false;
    PGconn *conn;
    gw_buf_clear(json);
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = exists(store, conn, "godwit.note", &there, err);
    if (fine && there)
        fine = gw_pg_query_text(store, conn, "SELECT json FROM godwit.note WHERE name = $1", 1, &name, json, NULL, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

/* ---- removal --------------------------------------------------------------------------------------------------- */

/* The triggers first: while the schema goes, a writer must never meet a trigger whose function is gone. Replica
 * identities and what was taken off a follower are put back here as well, because what they were stands in the home. */
static bool uninstall(struct gw_store *base, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_loose_restore(store, conn, err) && gw_pg_fence_remove(store, conn, err) &&
                gw_pg_capture_drop(store, conn, err) && gw_pg_identity_restore(store, conn, err);
    GW_CRASH_POINT("postgres.uninstall.before_schema");
    fine = fine && gw_pg_ddl(store, conn, NULL, "DROP SCHEMA IF EXISTS godwit CASCADE", err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

static bool add_rows(struct gw_pg_store *store, PGconn *conn, const char *sql, const char *param, struct gw_buf *lines,
                     struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn, sql, param ? 1 : 0, &param, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        gw_buf_addf(lines, "%s\n", PQgetvalue(r, row, 0));
    PQclear(r);
    return true;
}

static bool leftovers(struct gw_store *base, struct gw_buf *lines, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    gw_buf_clear(lines);
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine =
        add_rows(store, conn,
                 "SELECT 'replication slot ' || slot_name FROM pg_replication_slots"
                 " WHERE slot_name = $1 AND database = current_database()",
                 store->slot, lines, err) &&
        add_rows(store, conn, "SELECT 'publication ' || pubname FROM pg_publication WHERE pubname = $1",
                 store->publication, lines, err) &&
        gw_pg_fence_left(store, conn, lines, err) && gw_pg_capture_left(store, conn, lines, err) &&
        gw_pg_identity_left(store, conn, lines, err) &&
        add_rows(store, conn, "SELECT 'schema godwit' FROM pg_namespace WHERE nspname = 'godwit'", NULL, lines, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

const struct gw_ownership_facet gw_pg_ownership = {
    .install = install,
    .get = get,
    .compare_and_set = compare_and_set,
    .note = note,
    .noted = noted,
    .uninstall = uninstall,
    .leftovers = leftovers,
    .by_hand = "log in as godwit's role and begin the transaction with\n"
               "  SET LOCAL godwit.ours = on;\n"
               "  INSERT INTO godwit.position (stream, \"order\", text) VALUES ('operator', 0, '')\n"
               "    ON CONFLICT (stream) DO UPDATE SET applied_at = clock_timestamp();\n",
};
