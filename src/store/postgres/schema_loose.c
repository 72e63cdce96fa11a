#include "store/postgres/schema_loose.h"

#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
#include "sql_embedded.h"
#include "store/postgres/changes.h"
#include "store/postgres/ddl.h"
#include "store/postgres/schema_restore.h"

#include <stdlib.h>
#include <string.h>

/* Its `later` is through: nothing of the row is needed any more. */
static const char delete_done_sql[] = "DELETE FROM godwit.loose WHERE NOT off AND next >= jsonb_array_length(later)";

static const char forget_failed_sql[] = "UPDATE godwit.loose SET failed = NULL WHERE NOT off AND failed IS NOT NULL";

bool gw_pg_loose_there(struct gw_pg_store *store, PGconn *conn, bool *there, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    return gw_pg_query_text(store, conn, "SELECT to_regclass('godwit.loose')::text", 0, NULL, &text, there, err);
}

bool gw_pg_loose_look(struct gw_pg_store *store, PGconn *conn, const struct gw_schema *schema, PGresult **out,
                      struct gw_error *err)
{
    gw_autobuf struct gw_buf spaces = {0}, names = {0};
    gw_pg_array_tables(schema, &spaces, &names);
    bool replica = (store->base.identity.capabilities & GW_CAN_REPLICA_ROLE) != 0;
    const char *params[3] = {gw_buf_text(&spaces), gw_buf_text(&names), replica ? "true" : "false"};
    return gw_pg_query(store, conn, gw_sql_schema_firing, 3, params, out, err);
}

static bool place(struct gw_pg_store *store, struct gw_error *err)
{
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

/* ---- taking off ------------------------------------------------------------------------------------------------- */

/* What was put back and is not validated yet: what is to be put back stays as it was written down first. */
static bool take_off_again(struct gw_pg_store *store, PGconn *conn, size_t *count, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn,
                     "SELECT id, name, take_off FROM godwit.loose WHERE NOT off AND take_off <> '' ORDER BY id", 0,
                     NULL, &r, err))
        return false;
    bool fine = true;
    for (int row = 0; fine && row < PQntuples(r); row++) {
        gw_autofree char *sql = gw_asprintf("%s; UPDATE godwit.loose SET off = true, was_here = true, next = 0,"
                                            " failed = NULL WHERE id = %s",
                                            PQgetvalue(r, row, 2), PQgetvalue(r, row, 0));
        fine = gw_pg_ddl(store, conn, NULL, sql, err) || gw_error_prefix(err, "taking off %s", PQgetvalue(r, row, 1));
        *count += fine;
        GW_CRASH_POINT("schema.loosen.after_one");
    }
    PQclear(r);
    return fine;
}

static void add_row(struct gw_buf *sql, const char *name, bool was_here, const char *take_off, const char *put_back,
                    const char *later)
{
    const char *texts[] = {take_off, put_back, later};
    gw_buf_adds(sql, "INSERT INTO godwit.loose (name, was_here, off, take_off, put_back, later) VALUES (");
    gw_pg_add_literal(sql, name);
    gw_buf_addf(sql, ", %s, true", was_here ? "true" : "false");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        gw_buf_adds(sql, ", ");
        gw_pg_add_literal(sql, texts[i]);
    }
    gw_buf_adds(sql, ")");
}

static bool take_off(struct gw_pg_store *store, PGconn *conn, const PGresult *r, size_t *count, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    for (int row = 0; row < PQntuples(r); row++) {
        const char *name = PQgetvalue(r, row, 0);
        gw_buf_clear(&sql);
        add_row(&sql, name, true, PQgetvalue(r, row, 1), PQgetvalue(r, row, 2), PQgetvalue(r, row, 3));
        gw_buf_addf(&sql,
                    " ON CONFLICT (name) DO UPDATE SET was_here = true, off = true, take_off = excluded.take_off,"
                    " put_back = excluded.put_back, later = excluded.later, next = 0, failed = NULL; %s",
                    PQgetvalue(r, row, 1));
        if (!gw_pg_ddl(store, conn, NULL, gw_buf_text(&sql), err))
            return gw_error_prefix(err, "taking off %s", name);
        (*count)++;
        GW_CRASH_POINT("schema.loosen.after_one");
    }
    return true;
}

static bool loosen_with(struct gw_pg_store *store, PGconn *conn, const struct gw_schema *schema, size_t *count,
                        struct gw_error *err)
{
    PGresult *r;
    bool there;
    if (!gw_pg_loose_there(store, conn, &there, err) || (there && !take_off_again(store, conn, count, err)) ||
        !gw_pg_loose_look(store, conn, schema, &r, err))
        return false;
    bool fine = PQntuples(r) == 0 || there || gw_pg_exec(store, conn, gw_sql_schema_loose, err);
    fine = fine && take_off(store, conn, r, count, err);
    PQclear(r);
    return fine;
}

bool gw_pg_loosen(struct gw_store *base, const struct gw_schema *schema, size_t *taken_off, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    size_t count = 0;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = loosen_with(store, conn, schema, &count, err);
    gw_pg_return(store, conn, !fine);
    if (!fine)
        return place(store, err);
    *taken_off = count;
    return true;
}

/* ---- what was never made here ------------------------------------------------------------------------------------ */

/* The definition behind "ADD CONSTRAINT name ", without the semicolon; NULL when the statement is of another form. */
static char *definition_of(const char *sql)
{
    const char *at = strstr(sql, "\n    ADD CONSTRAINT ");
    size_t len = strlen(sql);
    if (!at || len == 0 || sql[len - 1] != ';')
        return NULL;
    at += strlen("\n    ADD CONSTRAINT ");
    if (*at == '"') {
        for (at++; *at && !(at[0] == '"' && at[1] != '"'); at++)
            at += at[0] == '"';
        at += *at == '"';
    } else {
        at += strcspn(at, " ");
    }
    return *at == ' ' ? gw_strndup(at + 1, (size_t)(sql + len - 1 - (at + 1))) : NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* As schema_firing.sql says it of one that is there: leaves first, the partitioned table's own behind all of them. */
static const char partitioned_sql[] =
    "SELECT coalesce(string_agg(format('ALTER TABLE ONLY %s DROP CONSTRAINT IF EXISTS %I', leaf, $2::text), '; '), ''),"
    " coalesce(string_agg(format('ALTER TABLE ONLY %s ADD CONSTRAINT %I %s NOT VALID', leaf, $2::text, $3::text), '; '), ''),"
    " coalesce(jsonb_agg(format('ALTER TABLE ONLY %s VALIDATE CONSTRAINT %I', leaf, $2::text)), '[]')"
    "   || jsonb_build_array($4::text)"
    " FROM (SELECT relid::regclass AS leaf FROM pg_partition_tree($1::regclass) WHERE isleaf ORDER BY relid) x";

static bool add_partitioned(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_entry *e, const char *table,
                            const char *drop, struct gw_buf *sql, struct gw_error *err)
{
    gw_autofree char *definition = definition_of(e->sql);
    if (!definition)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "%s has an unknown form: %.120s", e->key, e->sql);
    const char *params[4] = {table, e->index, definition, e->sql};
    PGresult *r;
    if (!gw_pg_query(store, conn, partitioned_sql, 4, params, &r, err))
        return false;
    const char *leaves = PQgetvalue(r, 0, 0);
    gw_autofree char *take_off = gw_asprintf("%s%s%s", drop, *leaves ? "; " : "", leaves);
    add_row(sql, e->key, false, take_off, PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 2));
    PQclear(r);
    return true;
}

static bool add_foreign_key(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_entry *e, struct gw_buf *sql,
                            struct gw_error *err)
{
    gw_autobuf struct gw_buf table = {0}, drop = {0};
    gw_pg_add_ident(&table, e->space);
    gw_buf_addc(&table, '.');
    gw_pg_add_ident(&table, e->table);
    gw_buf_addf(&drop, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS ", gw_buf_text(&table));
    gw_pg_add_ident(&drop, e->index);
    if (!*e->then_sql && !ends_with(e->sql, " NOT VALID;"))
        return add_partitioned(store, conn, e, gw_buf_text(&table), gw_buf_text(&drop), sql, err);
    gw_autojson json_t *later = json_array();
    gw_autobuf struct gw_buf text = {0};
    if (*e->then_sql)
        json_array_append_new(later, gw_json_text(e->then_sql));
    gw_json_dump(later, 0, &text);
    add_row(sql, e->key, false, gw_buf_text(&drop), e->sql, gw_buf_text(&text));
    return true;
}

static bool is_comment(const struct gw_pg_entry *e)
{
    return strcmp(e->type, "COMMENT") == 0 || strcmp(e->type, "SECURITY LABEL") == 0;
}

/* A comment is no part of the pause, and what it is about may have been left out: it is only tried, later. */
static void add_comment(const struct gw_pg_entry *e, struct gw_buf *sql)
{
    gw_autojson json_t *later = json_array();
    gw_autobuf struct gw_buf text = {0};
    json_array_append_new(later, gw_json_text(e->sql));
    gw_json_dump(later, 0, &text);
    add_row(sql, e->key, false, "", "", gw_buf_text(&text));
}

static bool add_entry(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_entry *e, struct gw_buf *sql,
                      struct gw_error *err)
{
    gw_autobuf struct gw_buf put_back = {0};
    if (strcmp(e->type, "FK CONSTRAINT") == 0) {
        if (!add_foreign_key(store, conn, e, sql, err))
            return false;
    } else if (is_comment(e)) {
        add_comment(e, sql);
    } else {
        gw_buf_addf(&put_back, "%s\n%s", e->sql, e->owner_sql);
        add_row(sql, e->key, false, "", gw_buf_text(&put_back), "[]");
    }
    gw_buf_adds(sql, " ON CONFLICT (name) DO NOTHING;\n");
    return true;
}

static bool defer_with(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_manifest *m, unsigned steps,
                       struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    const struct gw_pg_entry **missing;
    size_t count, kept = 0;
    if (!gw_pg_restore_missing(store, conn, m, steps, &missing, &count, err))
        return false;
    bool any = false, fine = true;
    for (size_t i = 0; i < count; i++)
        any = any || !is_comment(missing[i]);
    for (size_t i = 0; fine && any && i < count; i++, kept++)
        fine = add_entry(store, conn, missing[i], &sql, err);
    free(missing);
    if (!fine || kept == 0)
        return fine;
    return gw_pg_exec(store, conn, gw_sql_schema_loose, err) && gw_pg_exec(store, conn, gw_buf_text(&sql), err);
}

bool gw_pg_loose_defer(struct gw_pg_store *store, const struct gw_pg_manifest *m, unsigned steps, struct gw_error *err)
{
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = defer_with(store, conn, m, steps, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

/* ---- what comes later -------------------------------------------------------------------------------------------- */

static bool is_only_tried(const char *statement)
{
    return strncmp(statement, "COMMENT ", 8) == 0 || strncmp(statement, "SECURITY LABEL ", 15) == 0;
}

static bool note_failure(struct gw_pg_store *store, PGconn *conn, const char *id, const char *message,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "UPDATE godwit.loose SET failed = ");
    gw_pg_add_literal(&sql, message);
    gw_buf_addf(&sql, " WHERE id = %s", id);
    return gw_pg_exec(store, conn, gw_buf_text(&sql), err);
}

/* One statement and the step forward, in one transaction. */
static bool do_next(struct gw_pg_store *store, PGconn *conn, const char *id, const char *name, const char *statement,
                    struct gw_error *err)
{
    gw_autobuf struct gw_buf step = {0}, sql = {0};
    size_t len = strlen(statement);
    gw_buf_addf(&step, "UPDATE godwit.loose SET next = next + 1 WHERE id = %s; %s", id, delete_done_sql);
    gw_buf_addf(&sql, "%.*s; %s", (int)(len && statement[len - 1] == ';' ? len - 1 : len), statement,
                gw_buf_text(&step));
    if (gw_pg_ddl(store, conn, NULL, gw_buf_text(&sql), err))
        return true;
    if (err->kind == GW_ERR_RETRY || err->kind == GW_ERR_CANCELLED || PQstatus(conn) != CONNECTION_OK)
        return gw_error_prefix(err, "%s", name);
    if (is_only_tried(statement) || strstr(err->message, "(SQLSTATE 42704)")) { /* gone: nothing to validate */
        gw_debug("%s: %s", name, err->message);
        return gw_pg_exec(store, conn, gw_buf_text(&step), err);
    }
    gw_warn("%s stays as it is: %s", name, err->message);
    gw_autofree char *message = gw_strdup(err->message);
    return note_failure(store, conn, id, message, err);
}

static bool do_later(struct gw_pg_store *store, PGconn *conn, size_t *done, struct gw_error *err)
{
    for (;;) {
        PGresult *r;
        if (!gw_pg_query(store, conn,
                         "SELECT id, name, later ->> next FROM godwit.loose WHERE NOT off AND failed IS NULL"
                         " AND next < jsonb_array_length(later) ORDER BY id LIMIT 1",
                         0, NULL, &r, err))
            return false;
        if (PQntuples(r) == 0) {
            PQclear(r);
            return true;
        }
        bool fine = do_next(store, conn, PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1), PQgetvalue(r, 0, 2), err);
        PQclear(r);
        if (!fine)
            return false;
        (*done)++;
        GW_CRASH_POINT("schema.validate.after_one");
    }
}

static bool add_failed(struct gw_pg_store *store, PGconn *conn, struct gw_buf *failed, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn, "SELECT name, failed FROM godwit.loose WHERE failed IS NOT NULL ORDER BY id", 0, NULL,
                     &r, err))
        return false;
    for (int row = 0; row < PQntuples(r); row++)
        gw_buf_addf(failed, "%s: %s\n", PQgetvalue(r, row, 0), PQgetvalue(r, row, 1));
    PQclear(r);
    return true;
}

bool gw_pg_validate(struct gw_store *base, struct gw_buf *failed, size_t *done, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    size_t count = 0;
    bool there;
    PGconn *conn;
    gw_buf_clear(failed);
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_loose_there(store, conn, &there, err);
    if (fine && there)
        fine = gw_pg_exec(store, conn, forget_failed_sql, err) && do_later(store, conn, &count, err) &&
               add_failed(store, conn, failed, err);
    gw_pg_return(store, conn, !fine);
    if (!fine)
        return place(store, err);
    *done = count;
    return true;
}

/* ---- for good ---------------------------------------------------------------------------------------------------- */

static bool put_back(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn, "SELECT id, name, put_back FROM godwit.loose WHERE off AND was_here ORDER BY id", 0,
                     NULL, &r, err))
        return false;
    bool fine = true;
    for (int row = 0; fine && row < PQntuples(r); row++) {
        const char *statement = PQgetvalue(r, row, 2);
        gw_autofree char *sql = gw_asprintf("%s%sUPDATE godwit.loose SET off = false, next = 0, failed = NULL"
                                            " WHERE id = %s; %s",
                                            statement, *statement ? "; " : "", PQgetvalue(r, row, 0), delete_done_sql);
        fine = gw_pg_ddl(store, conn, NULL, sql, err) || gw_error_prefix(err, "putting back %s", PQgetvalue(r, row, 1));
        GW_CRASH_POINT("schema.restore.after_one");
    }
    PQclear(r);
    return fine;
}

bool gw_pg_loose_restore(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    size_t done = 0;
    bool there;
    if (!gw_pg_loose_there(store, conn, &there, err))
        return false;
    if (!there)
        return true;
    return (put_back(store, conn, err) && gw_pg_exec(store, conn, forget_failed_sql, err) &&
            do_later(store, conn, &done, err)) ||
           place(store, err);
}
