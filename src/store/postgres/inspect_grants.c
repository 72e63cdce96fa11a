/*
 * The script that makes godwit's role and gives it what it needs. Somebody who may runs it by psql; nobody else's rights
 * change. What could be asked (owners, roles of the other side, version) stands in it in plain statements; what could not
 * be asked, the script finds out when it runs.
 *
 *   LOGIN REPLICATION            reads the change log (RDS: membership in rds_replication); not where triggers capture
 *   member of the owners         publication, replica identity, triggers of the fence; on green: makes what they own
 *   CREATE ON DATABASE           the schema godwit, the publication
 *   pg_monitor                   who is connected, for whom we wait, what the slot retains
 *   pg_signal_backend            ends a session that stands in the way, when the operator says so
 *   SET session_replication_role (15+) applies changes without firing triggers twice
 *   on green: CREATE on the schemas that are there, for the owners
 */
#include "store/postgres/inspect.h"

#include "base/mem.h"
#include "sql_embedded.h"

#include <stdlib.h>
#include <string.h>

struct script {
    struct gw_pg_store *store, *other; /* NULL: not reached */
    bool other_engine;                 /* what is on the other side has no roles that would be of use here */
    PGconn *conn, *other_conn;
    enum gw_side side;
    char *role, *database; /* owned; plain */
    char *role_ident;      /* owned; quoted */
    char *role_literal;    /* owned */
    enum gw_pg_flavour flavour;
    bool captured; /* by triggers: the log is not read */
    int version;   /* 0: not known */
    struct gw_buf *out;
};

static void script_release(struct script *s, bool broken)
{
    if (s->conn)
        gw_pg_return(s->store, s->conn, broken);
    if (s->other_conn)
        gw_pg_return(s->other, s->other_conn, broken);
    free(s->role);
    free(s->database);
    free(s->role_ident);
    free(s->role_literal);
}

static char *url_part(const char *url, const char *keyword)
{
    char *value = NULL;
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    for (PQconninfoOption *o = options; o && o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0 && o->val && *o->val)
            value = gw_strdup(o->val);
    PQconninfoFree(options);
    return value;
}

void gw_pg_inspect_who(const char *url, struct gw_store *store, char **user, char **database)
{
    if (store) {
        *user = gw_strdup(gw_pg_store_of(store)->session_user);
        *database = gw_strdup(store->identity.database);
        return;
    }
    *user = url_part(url, "user");
    *database = url_part(url, "dbname");
    if (!*user)
        *user = gw_strdup("godwit");
    if (!*database)
        *database = gw_strdup(*user);
}

static bool script_open(const struct gw_grants_ask *ask, struct script *s, struct gw_error *err)
{
    gw_autobuf struct gw_buf ident = {0}, literal = {0};
    s->side = ask->options->side;
    s->store = ask->store ? gw_pg_store_of(ask->store) : NULL;
    s->other_engine = ask->other && ask->other->type != &gw_store_postgres;
    s->other = ask->other && ask->other->type == &gw_store_postgres ? gw_pg_store_of(ask->other) : NULL;
    gw_pg_inspect_who(ask->options->url, ask->store, &s->role, &s->database);
    s->version = ask->store ? ask->store->identity.version : 0;
    gw_pg_add_ident(&ident, s->role);
    gw_pg_add_literal(&literal, s->role);
    s->role_ident = gw_buf_detach(&ident);
    s->role_literal = gw_buf_detach(&literal);
    s->captured =
        ask->options->capture == GW_CAPTURE_TRIGGER || (s->store && s->store->asked_capture == GW_CAPTURE_TRIGGER);
    return (!s->store ||
            (gw_pg_borrow(s->store, &s->conn, err) && gw_pg_flavour(s->store, s->conn, &s->flavour, err))) &&
           (!s->other || gw_pg_borrow(s->other, &s->other_conn, err));
}

static void add_header(struct script *s)
{
    gw_autobuf struct gw_buf database = {0};
    gw_pg_add_ident(&database, s->database);
    gw_buf_addf(s->out,
                "-- What godwit's role %s needs on %s, database %s%s%s.\n"
                "-- Run it in that database as %s. Running it again does no harm.\n",
                s->role_ident, gw_side_name(s->side), gw_buf_text(&database), s->store ? ", " : "",
                s->store ? s->store->base.identity.product : "",
                s->flavour == GW_PG_RDS ? "the master user (a member of rds_superuser)" : "a superuser");
    if (s->flavour == GW_PG_OWNER_ONLY)
        gw_buf_addf(
            s->out,
            "--\n-- %s owns the application's tables and can neither replicate nor grant, as providers give it that have\n"
            "-- no superuser for their users (Heroku Postgres, for one). That will do: godwit captures changes by triggers\n"
            "-- there, and this script only asks for what the role needs besides owning the tables. The application must\n"
            "-- log in as another role, because the fence lets this one pass.\n",
            s->role_ident);
    if (!s->store)
        gw_buf_adds(s->out,
                    "-- (The server could not be asked: what depends on it the script finds out when it runs.)\n");
}

/* One statement inside a DO block is indented and says itself why. */
static void add_role(struct script *s)
{
    gw_buf_addf(s->out,
                "\n-- The role. Its password never goes through a file: afterwards, in psql, \\password %s\n"
                "DO $godwit$ BEGIN\n"
                "    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %s) THEN\n"
                "        CREATE ROLE %s LOGIN;\n"
                "    END IF;\n"
                "END $godwit$;\n",
                s->role_ident, s->role_literal, s->role_ident);
}

static void add_replication(struct script *s)
{
    gw_buf_adds(s->out, "\n-- It reads the change log.\n");
    if (s->flavour == GW_PG_RDS) {
        gw_buf_addf(s->out, "GRANT rds_replication TO %s;\n", s->role_ident);
    } else if (s->store) {
        gw_buf_addf(s->out, "ALTER ROLE %s LOGIN REPLICATION;\n", s->role_ident);
    } else {
        gw_buf_addf(s->out,
                    "DO $godwit$ BEGIN\n"
                    "    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_replication') THEN\n"
                    "        GRANT rds_replication TO %s;\n"
                    "    ELSE\n"
                    "        ALTER ROLE %s LOGIN REPLICATION;\n"
                    "    END IF;\n"
                    "END $godwit$;\n",
                    s->role_ident, s->role_ident);
    }
}

static void add_common(struct script *s)
{
    gw_autobuf struct gw_buf database = {0};
    gw_pg_add_ident(&database, s->database);
    gw_buf_addf(s->out,
                "\n-- It makes a schema of its own%s.\n"
                "GRANT CONNECT, CREATE%s ON DATABASE %s TO %s;\n",
                s->captured ? "" : " and a publication", s->side == GW_GREEN ? ", TEMPORARY" : "",
                gw_buf_text(&database), s->role_ident);
    if (s->flavour == GW_PG_OWNER_ONLY)
        gw_buf_addf(
            s->out,
            "\n-- Of use where somebody can grant it, and not needed: to see what the sessions of others do, and to\n"
            "-- end one that stands in the way of a switch.\n"
            "-- GRANT pg_monitor, pg_signal_backend TO %s;\n",
            s->role_ident);
    else
        gw_buf_addf(s->out,
                    "\n-- It sees who is connected, and for whom it waits.\n"
                    "GRANT pg_monitor TO %s;\n"
                    "\n-- It ends a session that stands in the way of a switch, when you say so.\n"
                    "GRANT pg_signal_backend TO %s;\n",
                    s->role_ident, s->role_ident);
}

/* ---- applying as replica -------------------------------------------------------------------------------------------- */

static void add_replica_role(struct script *s)
{
    gw_buf_adds(s->out,
                "\n-- It applies changes that happened on the other side already: triggers must not fire again.\n");
    if (s->version > 0 && s->version < 150000) {
        gw_buf_addf(
            s->out,
            "-- NOT TO BE HAD on %s: SET session_replication_role can be granted from version 15 on. godwit does\n"
            "-- without: foreign keys and triggers are off here as long as this side follows.\n",
            s->store->base.identity.product);
        return;
    }
    if (s->version > 0 && s->flavour != GW_PG_RDS) {
        gw_buf_addf(s->out, "GRANT SET ON PARAMETER session_replication_role TO %s;\n", s->role_ident);
        return;
    }
    gw_buf_addf(
        s->out,
        "DO $godwit$ BEGIN\n"
        "    IF current_setting('server_version_num')::int >= 150000 THEN\n"
        "        EXECUTE format('GRANT SET ON PARAMETER session_replication_role TO %%I', %s);\n"
        "    ELSE\n"
        "        RAISE NOTICE 'SET session_replication_role cannot be granted before version 15; godwit does without';\n"
        "    END IF;\n"
        "EXCEPTION WHEN insufficient_privilege THEN\n"
        "    RAISE NOTICE 'SET session_replication_role cannot be granted here; godwit does without';\n"
        "END $godwit$;\n",
        s->role_literal);
}

/* ---- owners --------------------------------------------------------------------------------------------------------- */

#define NOT_OURS                                                                                                       \
    "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit')"                                        \
    " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid"              \
    " AND d.deptype = 'e')"

static const char owners_sql[] =
    "SELECT quote_ident(r.rolname), count(*), r.rolsuper FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_roles r ON r.oid = c.relowner WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND " NOT_OURS
    " AND r.rolname <> session_user GROUP BY 1, 3 ORDER BY 3, 1";

static bool add_owners_known(struct script *s, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(s->store, s->conn, owners_sql, 0, NULL, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++) {
        const char *owner = PQgetvalue(r, row, 0), *count = PQgetvalue(r, row, 1);
        if (*PQgetvalue(r, row, 2) == 't')
            gw_buf_addf(
                s->out,
                "-- The superuser %s owns %s tables, views or sequences. Membership in it would make godwit a\n"
                "-- superuser; better give them to a role without such rights: REASSIGN does not work for it, but\n"
                "-- ALTER TABLE ... OWNER TO ... for each (godwit check lists them).\n",
                owner, count);
        else
            gw_buf_addf(s->out, "GRANT %s TO %s; -- owns %s tables, views or sequences\n", owner, s->role_ident, count);
    }
    if (PQntuples(r) == 0)
        gw_buf_adds(s->out, "-- (nothing is there yet)\n");
    PQclear(r);
    return true;
}

static void add_owners_unknown(struct script *s)
{
    gw_buf_addf(
        s->out,
        "DO $godwit$ DECLARE owner name; BEGIN\n"
        "    FOR owner IN SELECT DISTINCT r.rolname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace\n"
        "        JOIN pg_roles r ON r.oid = c.relowner\n"
        "        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT r.rolsuper AND r.rolname <> %s\n"
        "        AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit')\n"
        "    LOOP\n"
        "        EXECUTE format('GRANT %%I TO %%I', owner, %s);\n"
        "        RAISE NOTICE '%% is now a member of the table owner %%', %s, owner;\n"
        "    END LOOP;\n"
        "END $godwit$;\n",
        s->role_literal, s->role_literal, s->role_literal);
}

static bool add_owners(struct script *s, struct gw_error *err)
{
    gw_buf_adds(s->out,
                "\n-- It acts on the application's tables as their owners do: publication, replica identity, fence.\n");
    if (s->store)
        return add_owners_known(s, err);
    add_owners_unknown(s);
    return true;
}

/* ---- green: roles and schemas of blue -------------------------------------------------------------------------------- */

static bool ask_blue(struct script *s, const char *what, const char *sql, PGresult **out, struct gw_error *err)
{
    struct gw_pg_section section;
    for (const char *at = gw_sql_inspect_pair; gw_pg_section_next(&at, &section);) {
        gw_autobuf struct gw_buf answer = {0};
        if (!section.ask || strcmp(section.id, what) != 0)
            continue;
        gw_autofree char *question = gw_strndup(section.sql, section.len);
        if (!gw_pg_query_text(s->other, s->other_conn, question, 0, NULL, &answer, NULL, err))
            return false;
        const char *param = gw_buf_text(&answer);
        return gw_pg_query(s->other, s->other_conn, sql, 1, &param, out, err);
    }
    return gw_fail(err, GW_ERR_BUG, "no question named \"%s\"", what);
}

static bool add_blue_roles(struct script *s, struct gw_error *err)
{
    PGresult *r;
    if (!ask_blue(s, "roles",
                  "SELECT quote_ident(name), quote_literal(name), login, owns FROM jsonb_to_recordset($1::jsonb)"
                  " AS b(name text, login boolean, super boolean, owns boolean) WHERE NOT super",
                  &r, err))
        return false;
    gw_buf_adds(s->out,
                "\n-- The roles that own things on blue or are granted something there, and membership in the owners.\n"
                "-- (Passwords do not come along: \\password, or pg_dumpall --roles-only by a superuser.)\n");
    for (int row = 0; row < PQntuples(r); row++) {
        const char *name = PQgetvalue(r, row, 0);
        gw_buf_addf(s->out,
                    "DO $godwit$ BEGIN\n"
                    "    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %s) THEN\n"
                    "        CREATE ROLE %s %s;\n"
                    "    END IF;\n"
                    "END $godwit$;\n",
                    PQgetvalue(r, row, 1), name, *PQgetvalue(r, row, 2) == 't' ? "LOGIN" : "NOLOGIN");
        if (*PQgetvalue(r, row, 3) == 't')
            gw_buf_addf(s->out, "GRANT %s TO %s;\n", name, s->role_ident);
    }
    PQclear(r);
    return true;
}

/* Extensions that are not trusted only a superuser can make. */
static bool add_blue_extensions(struct script *s, struct gw_error *err)
{
    PGresult *r;
    if (!ask_blue(
            s, "extensions",
            "SELECT quote_ident(b.name), quote_ident(n.nspname), n.nspname IN ('public', 'pg_catalog')"
            " FROM jsonb_to_recordset($1::jsonb) AS b(name text) JOIN pg_extension x ON x.extname = b.name"
            " JOIN pg_namespace n ON n.oid = x.extnamespace"
            " WHERE NOT EXISTS (SELECT FROM pg_available_extension_versions v WHERE v.name = b.name AND v.trusted)",
            &r, err))
        return false;
    if (PQntuples(r) > 0)
        gw_buf_adds(s->out, "\n-- Extensions of blue that only a superuser can make.\n");
    for (int row = 0; row < PQntuples(r); row++) {
        if (*PQgetvalue(r, row, 2) != 't')
            gw_buf_addf(s->out, "CREATE SCHEMA IF NOT EXISTS %s;\n", PQgetvalue(r, row, 1));
        gw_buf_addf(s->out, "CREATE EXTENSION IF NOT EXISTS %s SCHEMA %s;\n", PQgetvalue(r, row, 0),
                    PQgetvalue(r, row, 1));
    }
    PQclear(r);
    return true;
}

static bool add_blue_schemas(struct script *s, struct gw_error *err)
{
    PGresult *r;
    if (!ask_blue(
            s, "schemas",
            "SELECT quote_literal(space), quote_ident(space), string_agg(DISTINCT quote_ident(owner), ', '"
            " ORDER BY quote_ident(owner)) FROM jsonb_to_recordset($1::jsonb)"
            " AS b(space text, owner text, super boolean) WHERE NOT super AND owner <> session_user GROUP BY 1, 2",
            &r, err))
        return false;
    gw_buf_adds(s->out,
                "\n-- They may create in the schemas that are there already (others are made with their owners).\n");
    for (int row = 0; row < PQntuples(r); row++)
        gw_buf_addf(s->out,
                    "DO $godwit$ BEGIN\n"
                    "    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = %s) THEN\n"
                    "        GRANT USAGE, CREATE ON SCHEMA %s TO %s, %s;\n"
                    "    END IF;\n"
                    "END $godwit$;\n",
                    PQgetvalue(r, row, 0), PQgetvalue(r, row, 1), s->role_ident, PQgetvalue(r, row, 2));
    PQclear(r);
    return true;
}

static bool add_green(struct script *s, struct gw_error *err)
{
    if (s->other_engine) {
        gw_buf_addf(
            s->out,
            "\n-- It makes the tables here, and owns them.\n"
            "GRANT USAGE, CREATE ON SCHEMA public TO %s;\n"
            "-- So that the application may use them from the switch on (app: what it logs in as here):\n"
            "-- GRANT USAGE ON SCHEMA public TO app;\n"
            "-- ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA public\n"
            "--     GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app;\n"
            "-- ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO app;\n",
            s->role_ident, s->role_ident, s->role_ident);
        return true;
    }
    if (!s->other) {
        gw_buf_addf(
            s->out,
            "\n-- Blue could not be asked for its roles. Once its script has run: godwit check --grants again, and\n"
            "-- this place names the roles that have to be on green.\n"
            "GRANT USAGE, CREATE ON SCHEMA public TO %s;\n",
            s->role_ident);
        return true;
    }
    return add_blue_roles(s, err) && add_blue_extensions(s, err) && add_blue_schemas(s, err);
}

bool gw_pg_inspect_grants_for(const struct gw_grants_ask *ask, struct gw_buf *sql, struct gw_error *err)
{
    struct script script = {.out = sql};
    bool fine = script_open(ask, &script, err);
    if (fine) {
        script.captured = script.captured || script.flavour == GW_PG_OWNER_ONLY;
        add_header(&script);
        if (script.flavour != GW_PG_OWNER_ONLY)
            add_role(&script);
        if (!script.captured)
            add_replication(&script);
        add_common(&script);
        if (script.flavour != GW_PG_OWNER_ONLY)
            add_replica_role(&script);
        fine = script.side == GW_GREEN ? add_green(&script, err) : add_owners(&script, err);
        if (fine && script.side == GW_GREEN && script.store)
            fine = add_owners(&script, err);
    }
    script_release(&script, !fine);
    return fine;
}
