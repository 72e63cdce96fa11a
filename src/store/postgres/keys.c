#include "store/postgres/keys.h"

#include <string.h>

size_t gw_pg_add_columns(struct gw_buf *out, const struct gw_collection *collection)
{
    size_t count = 0;
    for (size_t i = 0; i < collection->column_count; i++) {
        if (collection->columns[i].generated)
            continue;
        if (count++ > 0)
            gw_buf_addc(out, ',');
        gw_pg_add_ident(out, collection->columns[i].name);
    }
    return count;
}

void gw_pg_add_key(struct gw_buf *out, const struct gw_collection *collection, const char *prefix)
{
    for (size_t i = 0; i < collection->key_count; i++) {
        if (i > 0)
            gw_buf_addc(out, ',');
        gw_buf_adds(out, prefix);
        gw_pg_add_ident(out, collection->columns[collection->key[i]].name);
    }
}

void gw_pg_add_value(struct gw_buf *out, const struct gw_column *column, const char *text)
{
    gw_pg_add_literal(out, text);
    gw_buf_adds(out, "::");
    gw_buf_adds(out, column->type);
}

static void add_comparison(struct gw_buf *out, const struct gw_collection *collection, const char *operator,
                           const struct gw_bound * bound)
{
    gw_buf_addc(out, '(');
    gw_pg_add_key(out, collection, "");
    gw_buf_addf(out, ") %s (", operator);
    for (uint32_t i = 0; i < bound->count; i++) {
        if (i > 0)
            gw_buf_addc(out, ',');
        gw_pg_add_value(out, &collection->columns[collection->key[i]], bound->texts[i]);
    }
    gw_buf_addc(out, ')');
}

void gw_pg_add_range(struct gw_buf *out, const struct gw_collection *collection, const struct gw_range *range)
{
    if (range->low.count > 0)
        add_comparison(out, collection, ">=", &range->low);
    if (range->low.count > 0 && range->high.count > 0)
        gw_buf_adds(out, " AND ");
    if (range->high.count > 0)
        add_comparison(out, collection, "<", &range->high);
    if (range->low.count == 0 && range->high.count == 0)
        gw_buf_adds(out, "true");
}

/* Only built-in types are named without a schema. */
static bool is_built_in(const struct gw_column *column)
{
    return strchr(column->type, '.') == NULL;
}

static const char schemas_sql[] =
    "WITH RECURSIVE base AS ("
    " SELECT oid, typbasetype FROM pg_type WHERE oid = ANY ($1::regtype[])"
    " UNION ALL SELECT t.oid, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.typbasetype)"
    "SELECT string_agg(DISTINCT quote_ident(n.nspname), ',')"
    " FROM base b"
    " JOIN pg_opclass c ON c.opcintype = b.oid AND c.opcdefault"
    " JOIN pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'"
    " JOIN pg_amop a ON a.amopfamily = c.opcfamily AND a.amoplefttype = b.oid AND a.amoprighttype = b.oid"
    " JOIN pg_operator o ON o.oid = a.amopopr"
    " JOIN pg_namespace n ON n.oid = o.oprnamespace"
    " WHERE n.nspname <> 'pg_catalog'";

bool gw_pg_enter_key_schemas(struct gw_pg_store *store, PGconn *conn, const struct gw_collection *collection,
                             struct gw_error *err)
{
    gw_autobuf struct gw_buf types = {0};
    for (size_t i = 0; i < collection->key_count; i++) {
        const struct gw_column *column = &collection->columns[collection->key[i]];
        if (is_built_in(column))
            continue;
        gw_buf_adds(&types, types.len ? ",\"" : "{\"");
        for (const char *p = column->type; *p; p++) {
            if (*p == '"' || *p == '\\')
                gw_buf_addc(&types, '\\');
            gw_buf_addc(&types, *p);
        }
        gw_buf_addc(&types, '"');
    }
    if (types.len == 0)
        return true;
    gw_buf_addc(&types, '}');

    gw_autobuf struct gw_buf schemas = {0};
    gw_autobuf struct gw_buf sql = {0};
    const char *params[] = {gw_buf_text(&types)};
    bool found;
    if (!gw_pg_query_text(store, conn, schemas_sql, 1, params, &schemas, &found, err))
        return false;
    if (!found)
        return true;
    gw_buf_addf(&sql, "SET LOCAL search_path = pg_catalog, %s", gw_buf_text(&schemas));
    return gw_pg_exec(store, conn, gw_buf_text(&sql), err);
}
