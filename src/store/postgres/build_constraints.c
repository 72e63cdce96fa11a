/*
 * Foreign keys and checks, behind the rows: made for new rows first, then validated, each in a transaction of its own.
 *
 * Where the applier cannot run as replica, a side that follows has no foreign keys: they are written down in
 * godwit.loose as never made here, and made when this side becomes the owner (schema_loose.h).
 */
#include "store/postgres/build.h"

#include "base/crash.h"
#include "base/mem.h"
#include "sql_embedded.h"

#include <stdlib.h>
#include <string.h>

static const char *action_words(enum gw_reference_action action)
{
    switch (action) {
    case GW_REFERENCE_RESTRICT:
        return "RESTRICT";
    case GW_REFERENCE_CASCADE:
        return "CASCADE";
    case GW_REFERENCE_SET_NULL:
        return "SET NULL";
    case GW_REFERENCE_SET_DEFAULT:
        return "SET DEFAULT";
    default:
        return "NO ACTION";
    }
}

struct constraint {
    const struct gw_table_definition *table;
    struct gw_buf name, table_name, definition; /* name and table quoted */
    bool foreign_key, validate;
};

static void release(struct constraint *c)
{
    gw_buf_release(&c->name);
    gw_buf_release(&c->table_name);
    gw_buf_release(&c->definition);
}

static void add_names(struct gw_buf *out, char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        gw_buf_adds(out, i ? ", " : "");
        gw_pg_add_ident(out, names[i]);
    }
}

static void set_name(struct constraint *c, const char *wanted, const char *column, const char *ending)
{
    gw_autobuf struct gw_buf name = {0};
    if (wanted && *wanted)
        gw_buf_adds(&name, wanted);
    else
        gw_buf_addf(&name, "%s%s%s_%s", c->table->name, column ? "_" : "", column ? column : "", ending);
    gw_pg_build_fit_name(&name);
    gw_pg_add_ident(&c->name, gw_buf_text(&name));
}

static void foreign_key_of(const struct gw_foreign_key *key, struct constraint *out)
{
    struct gw_table_definition there = {.space = key->space, .name = key->table};
    out->foreign_key = true;
    out->validate = !key->not_valid;
    set_name(out, key->name, key->column_count ? key->columns[0] : NULL, "fkey");
    gw_buf_adds(&out->definition, "FOREIGN KEY (");
    add_names(&out->definition, key->columns, key->column_count);
    gw_buf_adds(&out->definition, ") REFERENCES ");
    gw_pg_build_table(&out->definition, &there);
    if (key->column_count && key->references[0] && *key->references[0]) { /* else the primary key is meant */
        gw_buf_adds(&out->definition, " (");
        add_names(&out->definition, key->references, key->column_count);
        gw_buf_addc(&out->definition, ')');
    }
    gw_buf_addf(&out->definition, " ON DELETE %s ON UPDATE %s", action_words(key->on_delete),
                action_words(key->on_update));
    gw_buf_adds(&out->definition, key->deferred     ? " DEFERRABLE INITIALLY DEFERRED"
                                  : key->deferrable ? " DEFERRABLE"
                                                    : "");
}

/* ---- making --------------------------------------------------------------------------------------------------------- */

static bool is_there(const struct gw_pg_building *b, PGconn *conn, const struct constraint *c, bool *there,
                     struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, found = {0};
    const char *params[] = {gw_buf_text(&c->table_name), gw_buf_text(&c->name)};
    gw_buf_adds(&sql, "SELECT convalidated FROM pg_constraint WHERE conrelid = $1::regclass AND quote_ident(conname) ="
                      " quote_ident((parse_ident($2))[1])");
    return gw_pg_query_text(b->store, conn, gw_buf_text(&sql), 2, params, &found, there, err);
}

/* Rows, keys or types that contradict are a person's matter; a lost connection is not. */
static bool can_be_left(const struct gw_error *err)
{
    return err->kind == GW_ERR_CONFLICT;
}

static bool drop(const struct gw_pg_building *b, PGconn *conn, const struct constraint *c, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", gw_buf_text(&c->table_name),
                gw_buf_text(&c->name));
    return gw_pg_exec(b->store, conn, gw_buf_text(&sql), err);
}

/* A check that rows contradict goes: it would stop each change of such a row. A foreign key stays, for new rows. */
static bool validate(const struct gw_pg_building *b, PGconn *conn, const struct constraint *c, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql, "ALTER TABLE %s VALIDATE CONSTRAINT %s", gw_buf_text(&c->table_name), gw_buf_text(&c->name));
    if (gw_pg_exec(b->store, conn, gw_buf_text(&sql), err))
        return true;
    if (!can_be_left(err))
        return false;
    gw_pg_build_left(b, c->table, "%s %s %s: %s", c->foreign_key ? "foreign key" : "check", gw_buf_text(&c->name),
                     c->foreign_key ? "counts for new rows only" : "is not made", err->message);
    gw_error_clear(err);
    return c->foreign_key || drop(b, conn, c, err);
}

static bool make(const struct gw_pg_building *b, PGconn *conn, const struct constraint *c, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    bool there;
    if (!is_there(b, conn, c, &there, err))
        return false;
    gw_buf_addf(&sql, "ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", gw_buf_text(&c->table_name),
                gw_buf_text(&c->name), gw_buf_text(&c->definition));
    if (!there && !gw_pg_exec(b->store, conn, gw_buf_text(&sql), err)) {
        if (!can_be_left(err))
            return false;
        gw_pg_build_left(b, c->table, "%s is not made: %s", gw_buf_text(&sql), err->message);
        gw_error_clear(err);
        return true;
    }
    GW_CRASH_POINT("build.after_constraint");
    return !c->validate || validate(b, conn, c, err);
}

/* What a follower must not have: it is put on by tightening, and validated later. */
static bool defer(const struct gw_pg_building *b, PGconn *conn, const struct constraint *c, struct gw_error *err)
{
    gw_autobuf struct gw_buf name = {0}, take_off = {0}, put_back = {0}, later = {0};
    bool there;
    if (!is_there(b, conn, c, &there, err) || there)
        return there;
    gw_buf_addf(&name, "FK CONSTRAINT %s %s", gw_buf_text(&c->table_name), gw_buf_text(&c->name));
    gw_buf_addf(&take_off, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", gw_buf_text(&c->table_name),
                gw_buf_text(&c->name));
    gw_buf_addf(&put_back, "ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", gw_buf_text(&c->table_name),
                gw_buf_text(&c->name), gw_buf_text(&c->definition));
    if (c->validate)
        gw_buf_addf(&later, "ALTER TABLE %s VALIDATE CONSTRAINT %s", gw_buf_text(&c->table_name),
                    gw_buf_text(&c->name));
    const char *params[] = {gw_buf_text(&name), gw_buf_text(&take_off), gw_buf_text(&put_back), gw_buf_text(&later)};
    PGresult *r;
    if (!gw_pg_exec(b->store, conn, gw_sql_schema_loose, err) ||
        !gw_pg_query(
            b->store, conn,
            "INSERT INTO godwit.loose (name, was_here, off, take_off, put_back, later) VALUES ($1, false, true,"
            " $2, $3, CASE WHEN $4::text = '' THEN '[]'::jsonb ELSE jsonb_build_array($4::text) END)"
            " ON CONFLICT (name) DO NOTHING",
            4, params, &r, err))
        return false;
    PQclear(r);
    return true;
}

/* ---- which ---------------------------------------------------------------------------------------------------------- */

static void add_label_check(const struct gw_column_definition *column, struct constraint *out)
{
    const struct gw_type *type = &column->type;
    set_name(out, NULL, column->name, "check");
    gw_buf_adds(&out->definition, "CHECK (");
    if (type->is_set)
        gw_buf_adds(&out->definition, "string_to_array(");
    gw_pg_add_ident(&out->definition, column->name);
    gw_buf_adds(&out->definition, type->is_set ? ", ',') <@ ARRAY[" : " IN (");
    for (size_t i = 0; i < type->label_count; i++) {
        gw_buf_adds(&out->definition, i ? ", " : "");
        gw_pg_add_literal(&out->definition, type->labels[i]);
    }
    gw_buf_adds(&out->definition, type->is_set ? "]::text[])" : "))");
}

static bool build_checks(const struct gw_pg_building *b, PGconn *conn, const struct gw_table_definition *table,
                         struct gw_error *err)
{
    bool fine = true;
    for (size_t i = 0; fine && i < table->check_count; i++) {
        struct constraint c = {.table = table, .validate = true};
        gw_autobuf struct gw_buf condition = {0};
        if (!gw_pg_build_condition(b, table, table->checks[i].sql, &condition)) {
            gw_pg_build_left(b, table, "check %s is not made, its meaning here is not certain: %s",
                             table->checks[i].name ? table->checks[i].name : "", table->checks[i].sql);
            continue;
        }
        gw_pg_build_table(&c.table_name, table);
        set_name(&c, table->checks[i].name, NULL, "check");
        gw_buf_addf(&c.definition, "CHECK (%s)", gw_buf_text(&condition));
        fine = make(b, conn, &c, err);
        release(&c);
    }
    for (size_t i = 0; fine && i < table->column_count; i++) {
        struct constraint c = {.table = table, .validate = true};
        const struct gw_column_definition *column = &table->columns[i];
        if (column->type.kind != GW_KIND_TEXT || column->type.label_count == 0)
            continue;
        gw_pg_build_table(&c.table_name, table);
        add_label_check(column, &c);
        fine = make(b, conn, &c, err);
        release(&c);
    }
    return fine;
}

static bool build_foreign_keys(const struct gw_pg_building *b, PGconn *conn, const struct gw_table_definition *table,
                               struct gw_error *err)
{
    bool fine = true, replica = (b->store->base.identity.capabilities & GW_CAN_REPLICA_ROLE) != 0;
    for (size_t i = 0; fine && i < table->foreign_key_count; i++) {
        struct constraint c = {.table = table};
        gw_pg_build_table(&c.table_name, table);
        foreign_key_of(&table->foreign_keys[i], &c);
        fine = replica ? make(b, conn, &c, err) : defer(b, conn, &c, err);
        release(&c);
    }
    return fine;
}

/* ---- rights --------------------------------------------------------------------------------------------------------- */

static bool name_rights(const struct gw_pg_building *b, PGconn *conn, struct gw_error *err)
{
    for (size_t i = 0; i < b->definition->table_count; i++) {
        const struct gw_table_definition *table = &b->definition->tables[i];
        gw_autobuf struct gw_buf name = {0}, ours = {0};
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = strcmp(gw_pg_build_space(b->definition->tables[k].space), gw_pg_build_space(table->space)) == 0;
        if (seen)
            continue;
        gw_pg_build_table(&name, table);
        const char *param = gw_buf_text(&name);
        if (!gw_pg_query_text(b->store, conn,
                              "SELECT 'yes' FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner"
                              " WHERE c.oid = $1::regclass AND r.rolname = current_user",
                              1, &param, &ours, &seen, err))
            return false;
        if (!seen) /* handed over to the schema's owner */
            continue;
        gw_autobuf struct gw_buf space = {0};
        gw_pg_add_ident(&space, gw_pg_build_space(table->space));
        gw_pg_build_left(b, NULL,
                         "rights: the application's role needs GRANT USAGE ON SCHEMA %s TO role; GRANT SELECT, INSERT,"
                         " UPDATE, DELETE ON ALL TABLES IN SCHEMA %s TO role; GRANT USAGE, SELECT ON ALL SEQUENCES IN"
                         " SCHEMA %s TO role",
                         gw_buf_text(&space), gw_buf_text(&space), gw_buf_text(&space));
    }
    return true;
}

bool gw_pg_build_constraints(const struct gw_pg_building *b, PGconn *conn, struct gw_error *err)
{
    bool fine = true;
    for (size_t i = 0; fine && i < b->definition->table_count; i++)
        fine = build_checks(b, conn, &b->definition->tables[i], err);
    for (size_t i = 0; fine && i < b->definition->table_count; i++)
        fine = build_foreign_keys(b, conn, &b->definition->tables[i], err);
    return fine && name_rights(b, conn, err);
}
