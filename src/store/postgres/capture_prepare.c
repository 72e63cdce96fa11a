/* Capture by triggers: which way a side is captured, and its triggers made, checked and removed. */
#include "store/postgres/capture.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "sql_embedded.h"
#include "store/postgres/ddl.h"

#include <stdlib.h>
#include <string.h>

/* ---- which way --------------------------------------------------------------------------------------------------- */

/* What was begun stays: a position of the one says nothing to the other. */
static const char decide_sql[] =
    "SELECT CASE WHEN EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "   WHERE n.nspname = 'godwit' AND c.relname = 'capture_batch') THEN 'trigger'"
    " WHEN EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()) THEN 'log'"
    " ELSE '' END,"
    " CASE WHEN current_setting('wal_level') <> 'logical' THEN format('wal_level is %s', current_setting('wal_level'))"
    " WHEN NOT r.rolsuper AND NOT r.rolreplication AND NOT EXISTS (SELECT FROM pg_roles p"
    "   WHERE p.rolname = 'rds_replication' AND pg_has_role(r.oid, p.oid, 'USAGE'))"
    " THEN format('%I has no REPLICATION', r.rolname) ELSE '' END"
    " FROM pg_roles r WHERE r.rolname = session_user";

bool gw_pg_capture_decide(struct gw_pg_store *store, PGconn *conn, enum gw_capture asked, enum gw_capture *out,
                          struct gw_buf *why, struct gw_error *err)
{
    const char *params[1] = {store->slot};
    PGresult *r;
    if (!gw_pg_query(store, conn, decide_sql, 1, params, &r, err))
        return false;
    const char *there = PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "",
               *cannot = PQntuples(r) > 0 ? PQgetvalue(r, 0, 1) : "";
    enum gw_capture begun = strcmp(there, "trigger") == 0 ? GW_CAPTURE_TRIGGER : GW_CAPTURE_LOG;
    gw_buf_clear(why);
    *out = *there ? begun : asked != GW_CAPTURE_AUTO ? asked : *cannot ? GW_CAPTURE_TRIGGER : GW_CAPTURE_LOG;
    if (asked != GW_CAPTURE_AUTO && asked != *out)
        gw_warn(
            "%s: changes go on being captured by %s, as it was begun: abort the migration before capture is changed",
            gw_side_name(store->base.side), *out == GW_CAPTURE_TRIGGER ? "triggers" : "the log");
    if (*out == GW_CAPTURE_TRIGGER)
        gw_buf_adds(why, asked == GW_CAPTURE_TRIGGER ? "capture: trigger" : *cannot ? cannot : "it was begun so");
    PQclear(r);
    return true;
}

bool gw_pg_capture_there(struct gw_pg_store *store, PGconn *conn, bool *there, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    return gw_pg_query_text(store, conn, "SELECT to_regclass('godwit.capture_shape')::text", 0, NULL, &text, there,
                            err);
}

/* ---- statements of a table ---------------------------------------------------------------------------------------- */

static void add_key_record(struct gw_buf *sql, const struct gw_collection *c, const char *row)
{
    gw_buf_adds(sql, "pg_catalog.record_send(ROW(");
    for (size_t k = 0; k < c->key_count; k++) {
        gw_buf_addf(sql, "%s%s.", k ? ", " : "", row);
        gw_pg_add_ident(sql, c->columns[c->key[k]].name);
    }
    gw_buf_adds(sql, "))");
}

/* The bytes of text values are in the client's encoding: it is ours for the time being. A session of another encoding
 * gets its own back, by the block's end or by its failure. */
static void add_binary_body(struct gw_buf *sql, const struct gw_collection *c)
{
    gw_buf_adds(sql, "        IF encoding OPERATOR(pg_catalog.<>) 'UTF8' THEN\n"
                     "            PERFORM pg_catalog.set_config('client_encoding', 'UTF8', true);\n"
                     "        END IF;\n"
                     "        IF tg_op OPERATOR(pg_catalog.=) 'INSERT' THEN\n"
                     "            how := 'I'; is_now := pg_catalog.record_send(NEW);\n"
                     "        ELSIF tg_op OPERATOR(pg_catalog.=) 'UPDATE' THEN\n"
                     "            how := 'U'; is_now := pg_catalog.record_send(NEW);\n");
    if (c->key_count) {
        gw_buf_adds(sql, "            was := ");
        add_key_record(sql, c, "OLD");
        gw_buf_adds(sql, ";\n            IF was OPERATOR(pg_catalog.=) ");
        add_key_record(sql, c, "NEW");
        gw_buf_adds(sql, " THEN\n                was := NULL;\n            END IF;\n");
    } else {
        gw_buf_adds(sql, "            was := pg_catalog.record_send(OLD);\n");
    }
    gw_buf_adds(sql, "        ELSE\n            how := 'D'; was := ");
    if (c->key_count)
        add_key_record(sql, c, "OLD");
    else
        gw_buf_adds(sql, "pg_catalog.record_send(OLD)");
    gw_buf_adds(sql, ";\n        END IF;\n"
                     "        IF encoding OPERATOR(pg_catalog.<>) 'UTF8' THEN\n"
                     "            PERFORM pg_catalog.set_config('client_encoding', encoding, true);\n"
                     "        END IF;\n");
}

static void add_text_body(struct gw_buf *sql)
{
    gw_buf_adds(sql, "        IF tg_op OPERATOR(pg_catalog.=) 'INSERT' THEN\n"
                     "            how := 'i'; is_now := godwit.capture_text(NEW);\n"
                     "        ELSIF tg_op OPERATOR(pg_catalog.=) 'UPDATE' THEN\n"
                     "            how := 'u'; was := godwit.capture_text(OLD); is_now := godwit.capture_text(NEW);\n"
                     "        ELSE\n"
                     "            how := 'd'; was := godwit.capture_text(OLD);\n"
                     "        END IF;\n");
}

void gw_pg_capture_function_sql(const struct gw_collection *c, const char *name, struct gw_buf *sql)
{
    gw_buf_addf(sql,
                "CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $godwit$\n"
                "DECLARE\n"
                "    how \"char\"; was pg_catalog.bytea; is_now pg_catalog.bytea;\n"
                "    encoding pg_catalog.text := pg_catalog.current_setting('client_encoding');\n"
                "BEGIN\n"
                "    BEGIN\n",
                name);
    if (c->all_binary_safe)
        add_binary_body(sql, c);
    else
        add_text_body(sql);
    /* What is wrong is for the stream to say, the statement goes on. */
    gw_buf_adds(sql, "    EXCEPTION WHEN OTHERS THEN\n"
                     "        how := 'X'; was := NULL;\n"
                     "        is_now := sqlstate::pg_catalog.bytea;\n"
                     "    END;\n"
                     "    IF pg_catalog.pg_sequence_last_value('godwit.capture_turn'::pg_catalog.regclass)"
                     " OPERATOR(pg_catalog.=) 2 THEN\n"
                     "        INSERT INTO godwit.capture_2 (rel, op, old, new) VALUES (tg_relid, how, was, is_now);\n"
                     "    ELSE\n"
                     "        INSERT INTO godwit.capture_1 (rel, op, old, new) VALUES (tg_relid, how, was, is_now);\n"
                     "    END IF;\n"
                     "    RETURN NULL;\n"
                     "END\n"
                     "$godwit$");
}

/* Whoever is not of our role is captured whatever it says it is. */
void gw_pg_capture_trigger_sql(struct gw_pg_store *store, const char *table, const char *function, struct gw_buf *sql)
{
    gw_autobuf struct gw_buf when = {0};
    gw_buf_adds(&when, "WHEN (session_user <> ");
    gw_pg_add_literal(&when, store->session_user);
    gw_buf_adds(&when, " OR current_setting('godwit.ours', true) IS DISTINCT FROM 'on')");
    gw_buf_addf(sql,
                "CREATE TRIGGER \"" GW_PG_CAPTURE_TRIGGER "\" AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW %s"
                " EXECUTE FUNCTION %s(); ",
                table, gw_buf_text(&when), function);
    gw_buf_addf(sql,
                "CREATE TRIGGER \"" GW_PG_CAPTURE_TRUNCATE "\" AFTER TRUNCATE ON %s FOR EACH STATEMENT %s"
                " EXECUTE FUNCTION godwit.capture_truncate(); ",
                table, gw_buf_text(&when));
    gw_buf_addf(sql,
                "ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER \"" GW_PG_CAPTURE_TRIGGER
                "\", ENABLE ALWAYS TRIGGER \"" GW_PG_CAPTURE_TRUNCATE "\"",
                table);
}

/* ---- prepare ------------------------------------------------------------------------------------------------------ */

static const char touched_sql[] =
    "SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ' ORDER BY 1) FROM godwit.capture_table t"
    " JOIN pg_class c ON c.oid = t.rel JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE t.figure <> godwit.capture_figure(t.rel)";

bool gw_pg_capture_check(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf touched = {0};
    bool found;
    if (!gw_pg_query_text(store, conn, touched_sql, 0, NULL, &touched, &found, err))
        return false;
    return !found || touched.len == 0 ||
           gw_pg_lost(store, err,
                      "triggers of ours were dropped, disabled or made anew on %s; what was written meanwhile"
                      " was not captured",
                      gw_buf_text(&touched));
}

/* Of the plan: oid, quoted name, whether our triggers are on it. */
static const char tables_sql[] = "SELECT c.oid, format('%I.%I', n.nspname, c.relname), t.rel IS NOT NULL"
                                 " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY w(space, name, ord)"
                                 " LEFT JOIN pg_namespace n ON n.nspname = w.space"
                                 " LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name"
                                 " LEFT JOIN godwit.capture_table t ON t.rel = c.oid ORDER BY w.ord";

/* Triggers left by a preparation that was killed are made anew; those that are noted are as they were made. */
static bool prepare_table(struct gw_pg_store *store, PGconn *conn, const struct gw_collection *c, const char *oid,
                          const char *table, bool noted, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, function = {0};
    gw_buf_addf(&function, "godwit.capture_%s", oid);
    gw_pg_capture_function_sql(c, gw_buf_text(&function), &sql);
    gw_buf_addf(&sql, "; REVOKE ALL ON FUNCTION %s() FROM PUBLIC", gw_buf_text(&function));
    if (noted)
        return gw_pg_exec(store, conn, gw_buf_text(&sql), err);
    gw_buf_addf(&sql,
                "; DROP TRIGGER IF EXISTS \"" GW_PG_CAPTURE_TRIGGER "\" ON %s; DROP TRIGGER IF EXISTS"
                " \"" GW_PG_CAPTURE_TRUNCATE "\" ON %s; ",
                table, table);
    gw_pg_capture_trigger_sql(store, table, gw_buf_text(&function), &sql);
    gw_buf_addf(&sql, "; INSERT INTO godwit.capture_table (rel, space, name, figure) VALUES (%s, ", oid);
    gw_pg_add_literal(&sql, c->space);
    gw_buf_adds(&sql, ", ");
    gw_pg_add_literal(&sql, c->name);
    gw_buf_addf(&sql, ", godwit.capture_figure(%s))", oid);
    return gw_pg_ddl(store, conn, table, gw_buf_text(&sql), err);
}

static bool prepare_tables(struct gw_pg_store *store, PGconn *conn, const struct gw_schema *schema,
                           struct gw_error *err)
{
    gw_autobuf struct gw_buf spaces = {0}, names = {0};
    gw_pg_array_tables(schema, &spaces, &names);
    const char *params[2] = {gw_buf_text(&spaces), gw_buf_text(&names)};
    PGresult *r;
    if (!gw_pg_query(store, conn, tables_sql, 2, params, &r, err))
        return false;
    bool fine = true;
    for (int row = 0; fine && row < PQntuples(r); row++) {
        const struct gw_collection *c = &schema->collections[row];
        if (PQgetisnull(r, row, 0))
            fine = gw_fail(err, GW_ERR_CONFLICT, "table %s is not there: its changes cannot be captured",
                           gw_collection_label(c));
        else
            fine = prepare_table(store, conn, c, PQgetvalue(r, row, 0), PQgetvalue(r, row, 1),
                                 *PQgetvalue(r, row, 2) == 't', err);
        GW_CRASH_POINT("postgres.capture.table");
    }
    PQclear(r);
    return fine;
}

/* Where it begins: behind the triggers. Whoever wrote before them has ended, because making them waited for it. */
static const char begin_sql[] =
    "WITH first AS (INSERT INTO godwit.capture_batch (number, before, transactions, snapshot, stamp, figure)"
    " SELECT 0, 2, 0, pg_current_snapshot(), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, ''"
    " WHERE NOT EXISTS (SELECT FROM godwit.capture_batch) RETURNING number)"
    " INSERT INTO godwit.capture_shape (rel, batch, shape) SELECT s.rel, b.number, s.shape"
    " FROM godwit.capture_shape_now s, (SELECT number FROM first UNION ALL (SELECT number FROM godwit.capture_batch"
    " ORDER BY number DESC LIMIT 1)) b"
    " WHERE NOT EXISTS (SELECT FROM godwit.capture_shape h WHERE h.rel = s.rel) ON CONFLICT DO NOTHING";

static bool read_oldest(struct gw_pg_store *store, PGconn *conn, struct gw_position *start, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn,
                     "SELECT number, before, transactions, stamp FROM godwit.capture_batch ORDER BY number LIMIT 1", 0,
                     NULL, &r, err))
        return false;
    bool found = PQntuples(r) == 1;
    struct gw_capture_batch batch = {0};
    if (found)
        batch = (struct gw_capture_batch){.number = strtoull(PQgetvalue(r, 0, 0), NULL, 10),
                                          .before = strtoull(PQgetvalue(r, 0, 1), NULL, 10),
                                          .transactions = strtoull(PQgetvalue(r, 0, 2), NULL, 10),
                                          .stamp = strtoull(PQgetvalue(r, 0, 3), NULL, 10)};
    PQclear(r);
    gw_capture_end(&batch, start);
    return found || gw_fail(err, GW_ERR_CONFLICT, "the place where capture begins is gone right after it was made");
}

bool gw_pg_capture_prepare(struct gw_pg_store *store, PGconn *conn, const struct gw_schema *schema,
                           struct gw_position *start, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "BEGIN; SELECT pg_advisory_xact_lock(7453610203211); %s COMMIT", gw_sql_capture);
    if (!gw_pg_exec(store, conn, gw_buf_text(&sql), err))
        return gw_error_prefix(err, "making what captures changes");
    return gw_pg_capture_check(store, conn, err) && prepare_tables(store, conn, schema, err) &&
           gw_pg_exec(store, conn, begin_sql, err) &&
           gw_pg_exec(store, conn,
                      "INSERT INTO godwit.note (name, json) VALUES ('" GW_PG_CAPTURE_NOTE "', '\"open\"')"
                      " ON CONFLICT (name) DO NOTHING",
                      err) &&
           read_oldest(store, conn, start, err);
}

/* ---- removal ------------------------------------------------------------------------------------------------------ */

static bool list_triggers(struct gw_pg_store *store, PGconn *conn, PGresult **out, struct gw_error *err)
{
    return gw_pg_query(store, conn,
                       "SELECT DISTINCT format('%I.%I', n.nspname, c.relname) FROM pg_trigger t"
                       " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
                       " WHERE t.tgname IN ('" GW_PG_CAPTURE_TRIGGER "', '" GW_PG_CAPTURE_TRUNCATE "') ORDER BY 1",
                       0, NULL, out, err);
}

/* The triggers first: a writer must never meet one whose function or table is gone. */
static const char drop_sql[] =
    "DO $drop$ DECLARE f record; BEGIN"
    " FOR f IN SELECT tgname, tgrelid::regclass AS rel FROM pg_trigger WHERE tgname = 'godwit_capture_home' LOOP"
    "  EXECUTE format('DROP TRIGGER %I ON %s', f.tgname, f.rel); END LOOP;"
    " DROP VIEW IF EXISTS godwit.capture_shape_now;"
    " FOR f IN SELECT p.oid::regprocedure AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
    "  WHERE n.nspname = 'godwit' AND p.proname LIKE 'capture\\_%' LOOP"
    "  EXECUTE format('DROP FUNCTION %s', f.name); END LOOP;"
    " DROP TABLE IF EXISTS godwit.capture_1, godwit.capture_2, godwit.capture, godwit.capture_batch,"
    "  godwit.capture_looked, godwit.capture_table, godwit.capture_shape;"
    " DROP SEQUENCE IF EXISTS godwit.capture_seq, godwit.capture_turn;"
    " DELETE FROM godwit.note WHERE name = '" GW_PG_CAPTURE_NOTE "';"
    " END $drop$";

bool gw_pg_capture_drop(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf there = {0};
    PGresult *r;
    if (!list_triggers(store, conn, &r, err))
        return false;
    bool fine = true, is_there = false;
    for (int row = 0; row < PQntuples(r) && fine; row++) {
        gw_autobuf struct gw_buf sql = {0};
        const char *table = PQgetvalue(r, row, 0);
        gw_buf_addf(&sql,
                    "DROP TRIGGER IF EXISTS \"" GW_PG_CAPTURE_TRIGGER "\" ON %s; DROP TRIGGER IF EXISTS"
                    " \"" GW_PG_CAPTURE_TRUNCATE "\" ON %s",
                    table, table);
        fine = gw_pg_ddl(store, conn, table, gw_buf_text(&sql), err);
        GW_CRASH_POINT("postgres.capture.drop");
    }
    PQclear(r);
    fine = fine && gw_pg_query_text(store, conn, "SELECT to_regclass('godwit.capture_seq')::text", 0, NULL, &there,
                                    &is_there, err);
    return fine && (!is_there || gw_pg_ddl(store, conn, NULL, drop_sql, err));
}

bool gw_pg_capture_left(struct gw_pg_store *store, PGconn *conn, struct gw_buf *lines, struct gw_error *err)
{
    PGresult *r;
    if (!list_triggers(store, conn, &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        gw_buf_addf(lines, "capture triggers on %s\n", PQgetvalue(r, row, 0));
    PQclear(r);
    return true;
}
