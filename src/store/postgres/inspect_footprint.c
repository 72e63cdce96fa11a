/*
 * What godwit makes on a side, and the script that removes it without godwit. The statements are those of home.sql,
 * fence.sql, fence.c, changes.c and changes_identity.c; a scenario test holds the two together: what is new in the
 * catalog after a copy is named here, and the script leaves nothing.
 */
#include "store/postgres/inspect.h"

#include "base/mem.h"
#include "io/json.h"
#include "sql_embedded.h"
#include "store/postgres/changes.h"
#include "store/postgres/schema_loose.h"

#include <stdlib.h>
#include <string.h>

struct footprint {
    struct gw_pg_store *store;
    const char *side;
    json_t *objects;
};

/* on_both: the other side gets the same, though its tables may not be there yet. */
static void add(struct footprint *f, bool on_both, const char *what, const char *sql, const char *undo)
{
    json_array_append_new(f->objects,
                          json_pack("{s:s, s:o, s:o, s:o, s:b}", "side", f->side, "what", gw_json_text(what), "sql",
                                    gw_json_text(sql), "undo", gw_json_text(undo), "on_both", on_both));
}

static void add_home(struct footprint *f)
{
    add(f, false, "schema godwit: who owns the data, positions, checkpoints, signals, notes, the fence's flag",
        gw_sql_home, "DROP SCHEMA godwit CASCADE;");
    add(f, false, "functions godwit.fence_check and godwit.fence_probe", gw_sql_fence, "DROP SCHEMA godwit CASCADE;");
}

static void add_log(struct footprint *f, const struct gw_schema *schema)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_autofree char *publication = gw_asprintf("publication %s", f->store->publication);
    gw_autofree char *slot =
        gw_asprintf("replication slot %s: keeps change log on disk until it is read or dropped", f->store->slot);
    gw_autofree char *no_publication = gw_asprintf("DROP PUBLICATION IF EXISTS %s;", f->store->publication);
    gw_autofree char *no_slot = gw_asprintf("SELECT pg_drop_replication_slot('%s');", f->store->slot);
    gw_buf_addf(&sql, "CREATE PUBLICATION %s FOR TABLE ONLY ", f->store->publication);
    for (size_t i = 0; i < schema->count; i++) {
        gw_pg_add_table(&sql, &schema->collections[i]);
        gw_buf_adds(&sql, ", ");
    }
    gw_buf_adds(&sql, "godwit.chunk, godwit.position, godwit.signal;");
    add(f, false, publication, gw_buf_text(&sql), no_publication);
    gw_buf_clear(&sql);
    gw_buf_addf(&sql, "CREATE_REPLICATION_SLOT %s LOGICAL pgoutput EXPORT_SNAPSHOT; -- on a replication connection",
                f->store->slot);
    add(f, false, slot, gw_buf_text(&sql), no_slot);
}

static void add_capture_trigger(struct footprint *f, const char *trigger, const char *table, const char *sql)
{
    gw_autofree char *what = gw_asprintf("trigger %s on %s", trigger, table);
    gw_autofree char *undo = gw_asprintf("DROP TRIGGER IF EXISTS \"%s\" ON %s;", trigger, table);
    add(f, false, what, sql, undo);
}

/* Of each table the trigger function, too: it names the key. */
static void add_capture(struct footprint *f, const struct gw_schema *schema)
{
    add(f, false, "what captures changes in the schema godwit: tables, sequences, functions", gw_sql_capture,
        "DROP SCHEMA godwit CASCADE;");
    for (size_t i = 0; i < schema->count; i++) {
        const struct gw_collection *c = &schema->collections[i];
        gw_autobuf struct gw_buf sql = {0}, table = {0}, function = {0};
        gw_pg_add_table(&table, c);
        gw_buf_addf(&function, "godwit.capture_%u", c->engine_id);
        gw_pg_capture_function_sql(c, gw_buf_text(&function), &sql);
        gw_buf_adds(&sql, ";\n");
        gw_pg_capture_trigger_sql(f->store, gw_buf_text(&table), gw_buf_text(&function), &sql);
        gw_buf_addc(&sql, ';');
        add_capture_trigger(f, GW_PG_CAPTURE_TRIGGER, gw_buf_text(&table), gw_buf_text(&sql));
        add_capture_trigger(f, GW_PG_CAPTURE_TRUNCATE, gw_buf_text(&table), "-- with the one before");
    }
}

/* ---- tables that are changed ---------------------------------------------------------------------------------------- */

/* The clause in force, and whether it is by an index that is not the primary key's. */
static const char identity_sql[] =
    "SELECT n.nspname, c.relname, CASE c.relreplident WHEN 'd' THEN 'DEFAULT' WHEN 'n' THEN 'NOTHING'"
    " WHEN 'f' THEN 'FULL' ELSE format('USING INDEX %I', x.relname) END, coalesce(x.relname, ''),"
    " coalesce(i.indisprimary, false) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisreplident LEFT JOIN pg_class x ON x.oid = i.indexrelid"
    " WHERE c.relkind = 'r'";

static void wanted_identity(const struct gw_collection *c, const char *now, const char *index, bool primary,
                            struct gw_buf *out)
{
    gw_buf_clear(out);
    if (strcmp(now, "FULL") == 0)
        return;
    if (c->key_kind == GW_KEY_NONE) {
        gw_buf_adds(out, "FULL");
    } else if (c->key_kind == GW_KEY_PRIMARY) {
        if (strcmp(now, "DEFAULT") != 0 && !primary)
            gw_buf_adds(out, "DEFAULT");
    } else if (c->key_index && strcmp(index, c->key_index) != 0) {
        gw_buf_adds(out, "USING INDEX ");
        gw_pg_add_ident(out, c->key_index);
    }
}

static bool add_identities(struct footprint *f, PGconn *conn, const struct gw_schema *schema, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(f->store, conn, identity_sql, 0, NULL, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++) {
        const struct gw_collection *c = gw_schema_find(schema, PQgetvalue(r, row, 0), PQgetvalue(r, row, 1));
        gw_autobuf struct gw_buf wanted = {0}, table = {0};
        if (!c)
            continue;
        wanted_identity(c, PQgetvalue(r, row, 2), PQgetvalue(r, row, 3), *PQgetvalue(r, row, 4) == 't', &wanted);
        if (wanted.len == 0)
            continue;
        gw_pg_add_table(&table, c);
        gw_autofree char *what =
            gw_asprintf("replica identity of %s: UPDATE and DELETE write more WAL with FULL", gw_collection_label(c));
        gw_autofree char *sql =
            gw_asprintf("ALTER TABLE %s REPLICA IDENTITY %s;", gw_buf_text(&table), gw_buf_text(&wanted));
        gw_autofree char *undo =
            gw_asprintf("ALTER TABLE %s REPLICA IDENTITY %s;", gw_buf_text(&table), PQgetvalue(r, row, 2));
        add(f, true, what, sql, undo);
    }
    PQclear(r);
    return true;
}

static bool add_triggers(struct footprint *f, PGconn *conn, const struct gw_schema *schema, struct gw_error *err)
{
    gw_autobuf struct gw_buf spaces = {0}, names = {0};
    PGresult *r;
    gw_pg_array_tables(schema, &spaces, &names);
    const char *params[2] = {gw_buf_text(&spaces), gw_buf_text(&names)};
    if (!gw_pg_query(f->store, conn, gw_sql_fence_tables, 2, params, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++) {
        const char *table = PQgetvalue(r, row, 0);
        gw_autofree char *what = gw_asprintf("trigger godwit_fence on %s", table);
        gw_autofree char *sql = gw_asprintf(
            "CREATE TRIGGER godwit_fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT"
            " EXECUTE FUNCTION godwit.fence_check(); ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER godwit_fence;",
            table, table);
        gw_autofree char *undo = gw_asprintf("DROP TRIGGER IF EXISTS godwit_fence ON %s;", table);
        add(f, true, what, sql, undo);
    }
    PQclear(r);
    return true;
}

/* What would act on our changes here: off as long as this side follows, which blue does after a switch. */
static bool add_loose(struct footprint *f, PGconn *conn, const struct gw_schema *schema, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_loose_look(f->store, conn, schema, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++) {
        gw_autofree char *what = gw_asprintf("%s off %s as long as it follows; put back by rollback, abort and finish",
                                             PQgetvalue(r, row, 0), f->side);
        gw_autofree char *sql = gw_asprintf("%s;", PQgetvalue(r, row, 1));
        gw_autojson json_t *later = NULL;
        gw_autobuf struct gw_buf undo = {0};
        json_t *statement;
        size_t i;
        const char *put_back = PQgetvalue(r, row, 2), *text = PQgetvalue(r, row, 3);
        if (!gw_json_parse(text, strlen(text), "what comes later", &later, err)) {
            PQclear(r);
            return false;
        }
        gw_buf_addf(&undo, "%s%s", put_back, *put_back ? ";" : "");
        json_array_foreach(later, i, statement) gw_buf_addf(&undo, " %s;", json_string_value(statement));
        add(f, false, what, sql, gw_buf_text(&undo));
    }
    PQclear(r);
    return true;
}

static void add_green(struct footprint *f)
{
    add(f, false, "everything blue's schema is made of, with the rows: what the move is for",
        "blue's definitions (as pg_dump --schema-only gives them, or as the map has them); then COPY ... FROM STDIN",
        "-- what was copied stays: drop the tables or the database by hand");
    add(f, false,
        f->store->base.identity.capabilities & GW_CAN_REPLICA_ROLE
            ? "triggers and rules that fire for a replica, too: in the pause of a switch; off as long as green follows"
            : "foreign keys, triggers and rules: in the pause of a switch, NOT VALID and validated behind it; off as long"
              " as green follows",
        "ALTER TABLE ... ADD CONSTRAINT ... FOREIGN KEY ... NOT VALID; CREATE TRIGGER ...; in one transaction",
        "-- stays, as the tables do");
}

static void add_sessions(struct footprint *f)
{
    add(f, false, "no setting of the server, of the database or of a role; only of godwit's own sessions",
        f->store->base.identity.capabilities & GW_CAN_REPLICA_ROLE ? "SET session_replication_role = replica;" : "",
        "-- ends with the session");
}

/* ---- by hand --------------------------------------------------------------------------------------------------------- */

/* Needs no server to be written: a database holds one migration at most, so what is ours is known by its form. */
struct glass {
    enum gw_side side;
    const char *migration, *database, *user; /* "": not known */
    struct gw_buf *out;
};

/* As make_name in postgres.c writes them. */
static void add_our_name(const struct glass *g, const char *column)
{
    gw_buf_addf(g->out, "%s ~ '^godwit_[a-z0-9_]+_%s$'", column, gw_side_name(g->side));
}

static void add_our_slot(const struct glass *g)
{
    gw_buf_adds(g->out, "database = current_database() AND ");
    add_our_name(g, "slot_name");
}

static void add_break_glass_log(const struct glass *g)
{
    gw_buf_adds(g->out, "\n-- 1. The slot, which is what fills the disk; whoever reads it is ended first.\n"
                        "DO $godwit$ BEGIN\n"
                        "    FOR attempt IN 1..100 LOOP\n"
                        "        PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots\n"
                        "            WHERE active AND ");
    add_our_slot(g);
    gw_buf_adds(g->out, ";\n        EXIT WHEN NOT EXISTS (SELECT FROM pg_replication_slots WHERE active AND ");
    add_our_slot(g);
    gw_buf_adds(g->out, ");\n"
                        "        PERFORM pg_sleep(0.1);\n"
                        "    END LOOP;\n"
                        "    PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots\n        WHERE ");
    add_our_slot(g);
    gw_buf_adds(g->out, ";\n"
                        "END $godwit$;\n"
                        "\n-- 2. The publication.\n"
                        "SELECT format('DROP PUBLICATION %I', pubname) FROM pg_publication\n    WHERE ");
    add_our_name(g, "pubname");
    gw_buf_adds(g->out, " \\gexec\n");
}

static void add_break_glass_fence(struct gw_buf *out)
{
    gw_buf_adds(
        out,
        "\n-- 4. The fence: lowered, then off every table, one short transaction each.\n"
        "--    From here on whoever may write can write here. Be sure that the application writes on one side only.\n"
        "DO $godwit$ BEGIN\n"
        "    IF to_regclass('godwit.fence') IS NOT NULL THEN\n"
        "        PERFORM setval('godwit.fence', 1);\n"
        "    END IF;\n"
        "END $godwit$;\n"
        "SELECT format('DROP TRIGGER godwit_fence ON %I.%I', n.nspname, c.relname)\n"
        "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace\n"
        "WHERE t.tgname = 'godwit_fence' ORDER BY 1 \\gexec\n"
        "\n-- And the triggers that capture changes, where the log is not read.\n"
        "SELECT format('DROP TRIGGER %I ON %I.%I', t.tgname, n.nspname, c.relname)\n"
        "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace\n"
        "WHERE t.tgname IN ('" GW_PG_CAPTURE_TRIGGER "', '" GW_PG_CAPTURE_TRUNCATE "') ORDER BY 1 \\gexec\n");
}

static void add_break_glass_loose(struct gw_buf *out)
{
    gw_buf_adds(
        out,
        "\n-- 3. What was taken off here while this side followed is put back; foreign keys are validated, which reads\n"
        "--    their tables. What rows contradict stays NOT VALID, with an error that says so.\n"
        "SELECT to_regclass('godwit.loose') IS NOT NULL AS loose \\gset\n"
        "\\if :loose\n"
        "SELECT format('%s; UPDATE godwit.loose SET off = false, next = 0 WHERE id = %s',\n"
        "    coalesce(nullif(put_back, ''), 'SELECT WHERE false'), id)\n"
        "FROM godwit.loose WHERE off AND was_here ORDER BY id \\gexec\n"
        "SELECT format('%s; UPDATE godwit.loose SET next = %s WHERE id = %s', rtrim(s.statement, ';'), s.ord, l.id)\n"
        "FROM godwit.loose l, jsonb_array_elements_text(l.later) WITH ORDINALITY s(statement, ord)\n"
        "WHERE NOT l.off AND s.ord > l.next ORDER BY l.id, s.ord \\gexec\n"
        "\\endif\n");
}

static void add_break_glass_home(struct gw_buf *out)
{
    gw_buf_adds(
        out,
        "\n-- 5. Replica identities as they were, and the schema they are written down in: both or none.\n"
        "DO $godwit$ DECLARE was record; is_left boolean := false; BEGIN\n"
        "    IF EXISTS (SELECT FROM pg_trigger WHERE tgname IN ('godwit_fence', '" GW_PG_CAPTURE_TRIGGER "',\n"
        "            '" GW_PG_CAPTURE_TRUNCATE "')) THEN\n"
        "        RAISE EXCEPTION 'a trigger of godwit is left: a lock was not to be had, run this script again';\n"
        "    END IF;\n"
        "    IF to_regclass('godwit.loose') IS NOT NULL THEN\n"
        "        EXECUTE 'SELECT EXISTS (SELECT FROM godwit.loose WHERE off AND was_here)' INTO is_left;\n"
        "    END IF;\n"
        "    IF is_left THEN\n"
        "        RAISE EXCEPTION 'a foreign key or trigger is still off, see godwit.loose: run this script again';\n"
        "    END IF;\n"
        "    IF to_regclass('godwit.note') IS NOT NULL THEN\n"
        "        FOR was IN EXECUTE 'SELECT j.key AS name, j.value AS clause FROM godwit.note,'\n"
        "            ' jsonb_each_text(json::jsonb) j WHERE note.name = ''replica-identity'''\n"
        "        LOOP\n"
        "            IF to_regclass(was.name) IS NOT NULL THEN\n"
        "                EXECUTE format('ALTER TABLE %s REPLICA IDENTITY %s', was.name, was.clause);\n"
        "            END IF;\n"
        "        END LOOP;\n"
        "    END IF;\n"
        "    DROP SCHEMA IF EXISTS godwit CASCADE;\n"
        "END $godwit$;\n");
}

static void add_break_glass_proof(const struct glass *g)
{
    gw_buf_adds(g->out, "\n-- 6. What is left of godwit (no rows: nothing).\n"
                        "SELECT 'slot ' || slot_name AS left_behind FROM pg_replication_slots\n    WHERE ");
    add_our_slot(g);
    gw_buf_adds(g->out, "\nUNION ALL SELECT 'publication ' || pubname FROM pg_publication WHERE ");
    add_our_name(g, "pubname");
    gw_buf_adds(g->out,
                "\nUNION ALL SELECT 'trigger on ' || tgrelid::regclass FROM pg_trigger WHERE tgname ~ '^!?godwit'\n"
                "UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname = 'godwit';\n");
}

static void write_break_glass(const struct glass *g)
{
    gw_autobuf struct gw_buf database = {0};
    gw_pg_add_ident(&database, g->database);
    gw_buf_addf(
        g->out,
        "-- Break glass: removes what godwit made on %s for the migration %s, without godwit.\n"
        "-- Stop every godwit first. Run it by psql in database %s, as %s or a superuser. It may be run again.\n"
        "-- The application's tables stay as they are. What was not moved yet is not moved any more.\n"
        "SET lock_timeout = '2s';\n"
        "SET client_min_messages = warning;\n",
        gw_side_name(g->side), g->migration, gw_buf_text(&database), g->user);
    add_break_glass_log(g);
    add_break_glass_loose(g->out);
    add_break_glass_fence(g->out);
    add_break_glass_home(g->out);
    add_break_glass_proof(g);
}

bool gw_pg_inspect_break_glass(const struct gw_store_options *options, struct gw_store *store, struct gw_buf *out,
                               struct gw_error *err)
{
    (void)err;
    gw_autofree char *user = NULL, *database = NULL;
    gw_pg_inspect_who(options->url, store, &user, &database);
    const struct glass glass = {
        .side = options->side, .migration = options->migration, .database = database, .user = user, .out = out};
    write_break_glass(&glass);
    return true;
}

bool gw_pg_inspect_footprint(struct gw_store *base, const struct gw_schema *schema, json_t **out, struct gw_error *err)
{
    struct footprint f = {.store = gw_pg_store_of(base), .side = gw_side_name(base->side), .objects = json_array()};
    gw_autobuf struct gw_buf script = {0};
    PGconn *conn;
    bool fine = gw_pg_borrow(f.store, &conn, err);
    if (fine) {
        add_home(&f);
        if (gw_pg_captures(f.store))
            add_capture(&f, schema);
        else
            add_log(&f, schema);
        if (base->side == GW_BLUE)
            fine = (gw_pg_captures(f.store) || add_identities(&f, conn, schema, err)) &&
                   add_triggers(&f, conn, schema, err) && add_loose(&f, conn, schema, err);
        else
            add_green(&f);
        add_sessions(&f);
        gw_pg_return(f.store, conn, !fine);
    }
    if (!fine) {
        json_decref(f.objects);
        return false;
    }
    const struct glass glass = {.side = base->side,
                                .migration = f.store->migration,
                                .database = base->identity.database,
                                .user = f.store->session_user,
                                .out = &script};
    write_break_glass(&glass);
    *out = json_pack("{s:o, s:o}", "objects", f.objects, "break_glass", gw_json_text(gw_buf_text(&script)));
    return true;
}
