/* audit: the sections of inspect_inventory.sql as JSON. */
#include "store/postgres/inspect.h"

#include "base/mem.h"
#include "io/json.h"
#include "sql_embedded.h"

#include <stdlib.h>
#include <string.h>

enum {
    TYPE_BOOL = 16,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_OID = 26,
    TYPE_FLOAT4 = 700,
    TYPE_FLOAT8 = 701,
    TYPE_NUMERIC = 1700
};

static json_t *value_at(const PGresult *r, int row, int column)
{
    const char *text = PQgetvalue(r, row, column);
    if (PQgetisnull(r, row, column))
        return json_null();
    switch (PQftype(r, column)) {
    case TYPE_BOOL:
        return json_boolean(*text == 't');
    case TYPE_INT8:
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_OID:
        return json_integer(strtoll(text, NULL, 10));
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
    case TYPE_NUMERIC:
        return json_real(strtod(text, NULL));
    default:
        return gw_json_text(text);
    }
}

static json_t *rows_of(const PGresult *r)
{
    json_t *rows = json_array();
    for (int row = 0; row < PQntuples(r); row++) {
        json_t *object = json_object();
        for (int column = 0; column < PQnfields(r); column++)
            json_object_set_new(object, PQfname(r, column), value_at(r, row, column));
        json_array_append_new(rows, object);
    }
    return rows;
}

/* Tables say whether they move: the filter of the migration, and what moves at all. */
static void add_moves(json_t *tables, const struct gw_filter *filter)
{
    size_t i;
    json_t *table;
    json_array_foreach(tables, i, table)
    {
        const char *kind = json_string_value(json_object_get(table, "kind"));
        const char *persistence = json_string_value(json_object_get(table, "persistence"));
        bool moves = strcmp(kind, "foreign") != 0 && strcmp(persistence, "logged") == 0 &&
                     (!filter || gw_filter_match(filter, json_string_value(json_object_get(table, "schema")),
                                                 json_string_value(json_object_get(table, "name"))));
        json_object_set_new(table, "moves", json_boolean(moves));
    }
}

/* The statement with the needed relation in it; "" when that is not there. */
static bool prepare_sql(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_section *section,
                        struct gw_buf *sql, struct gw_error *err)
{
    gw_autobuf struct gw_buf relation = {0};
    gw_autofree char *text = gw_strndup(section->sql, section->len);
    const char *name = section->needs;
    if (!section->needs[0]) {
        gw_buf_adds(sql, text);
        return true;
    }
    if (!gw_pg_query_text(store, conn,
                          "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c"
                          " JOIN pg_namespace n ON n.oid = c.relnamespace"
                          " WHERE (n.nspname || '.' || c.relname = $1 OR c.relname = $1)"
                          " AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')"
                          " ORDER BY 1 LIMIT 1",
                          1, &name, &relation, NULL, err))
        return false;
    const char *mark = strstr(text, "@relation@");
    if (relation.len && mark)
        gw_buf_addf(sql, "%.*s%s%s", (int)(mark - text), text, gw_buf_text(&relation), mark + strlen("@relation@"));
    return true;
}

/* What could not be read is told in "not_read", never left out in silence. */
static bool add_section(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_section *section,
                        const struct gw_filter *filter, json_t *inventory, json_t *not_read, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    PGresult *r = NULL;
    bool fine = prepare_sql(store, conn, section, &sql, err) &&
                (sql.len == 0 || gw_pg_query(store, conn, gw_buf_text(&sql), 0, NULL, &r, err));
    if (!fine) {
        if (err->kind == GW_ERR_RETRY || err->kind == GW_ERR_CANCELLED || PQstatus(conn) != CONNECTION_OK)
            return false;
        json_array_append_new(not_read,
                              json_pack("{s:s, s:o}", "section", section->id, "why", gw_json_text(err->message)));
        gw_error_clear(err);
    }
    json_t *rows = r ? rows_of(r) : json_array();
    if (strcmp(section->id, "tables") == 0)
        add_moves(rows, filter);
    json_object_set_new(inventory, section->id, rows);
    PQclear(r);
    return true;
}

bool gw_pg_inspect_inventory(struct gw_store *base, const struct gw_filter *filter, json_t **out, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    json_t *inventory = json_object(), *not_read = json_array();
    struct gw_pg_section section;
    PGconn *conn;
    bool fine = gw_pg_borrow(store, &conn, err);
    if (fine) {
        for (const char *at = gw_sql_inspect_inventory; fine && gw_pg_section_next(&at, &section);)
            fine = !gw_pg_section_fits(&section, store) ||
                   add_section(store, conn, &section, filter, inventory, not_read, err);
        gw_pg_return(store, conn, !fine);
    }
    json_object_set_new(inventory, "not_read", not_read);
    if (!fine) {
        json_decref(inventory);
        return false;
    }
    *out = inventory;
    return true;
}
