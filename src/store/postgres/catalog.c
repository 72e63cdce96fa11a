/* Collections: what tables there are, their columns and keys; and a fingerprint of all that no stream carries. */
#include "store/postgres/conn.h"

#include "base/hash.h"
#include "base/mem.h"
#include "sql_embedded.h"
#include "store/postgres/ddl.h"
#include "store/postgres/describe.h"

#include <stdlib.h>
#include <string.h>

/* ---- reading --------------------------------------------------------------------------------------------------- */

static int64_t number_at(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? 0 : strtoll(PQgetvalue(r, row, column), NULL, 10);
}

static uint32_t oid_at(const PGresult *r, int row, int column)
{
    return (uint32_t)strtoul(PQgetvalue(r, row, column), NULL, 10);
}

static bool true_at(const PGresult *r, int row, int column)
{
    return *PQgetvalue(r, row, column) == 't';
}

static void take_tables(const PGresult *r, const struct gw_filter *filter, struct gw_schema *schema)
{
    schema->collections = gw_calloc((size_t)PQntuples(r) + 1, sizeof *schema->collections);
    for (int i = 0; i < PQntuples(r); i++) {
        if (filter && !gw_filter_match(filter, PQgetvalue(r, i, 1), PQgetvalue(r, i, 2)))
            continue;
        struct gw_collection *c = &schema->collections[schema->count];
        c->id = (uint32_t)schema->count++;
        c->engine_id = oid_at(r, i, 0);
        c->space = gw_strdup(PQgetvalue(r, i, 1));
        c->name = gw_strdup(PQgetvalue(r, i, 2));
        c->estimated_rows = number_at(r, i, 3);
        c->estimated_bytes = number_at(r, i, 4);
        c->toast_bytes = number_at(r, i, 5);
        c->identity = gw_strdup(PQgetvalue(r, i, 6));
        c->parent = PQgetisnull(r, i, 7) ? NULL : gw_strdup(PQgetvalue(r, i, 7));
        c->key_kind = GW_KEY_NONE;
        c->all_binary_safe = true;
    }
}

static int by_engine_id(const void *a, const void *b)
{
    const struct gw_collection *x = *(struct gw_collection *const *)a, *y = *(struct gw_collection *const *)b;
    return (x->engine_id > y->engine_id) - (x->engine_id < y->engine_id);
}

static struct gw_collection **sorted_by_engine_id(const struct gw_schema *schema)
{
    struct gw_collection **index = gw_calloc(schema->count + 1, sizeof(void *));
    for (size_t i = 0; i < schema->count; i++)
        index[i] = &schema->collections[i];
    qsort(index, schema->count, sizeof *index, by_engine_id);
    return index;
}

static struct gw_collection *with_engine_id(struct gw_collection **index, size_t count, uint32_t engine_id)
{
    struct gw_collection wanted = {.engine_id = engine_id}, *pointer = &wanted;
    struct gw_collection **found = bsearch(&pointer, index, count, sizeof *index, by_engine_id);
    return found ? *found : NULL;
}

static void take_column(const PGresult *r, int row, struct gw_column *column)
{
    column->name = gw_strdup(PQgetvalue(r, row, 1));
    column->type = gw_strdup(PQgetvalue(r, row, 2));
    column->type_id = oid_at(r, row, 3);
    column->not_null = true_at(r, row, 4);
    column->generated = true_at(r, row, 5);
    column->identity_always = true_at(r, row, 6);
    column->binary_safe = true_at(r, row, 7);
}

static void take_columns(const PGresult *r, struct gw_collection **index, size_t count)
{
    int rows = PQntuples(r);
    for (int i = 0; i < rows;) {
        uint32_t table = oid_at(r, i, 0);
        int end = i;
        while (end < rows && oid_at(r, end, 0) == table)
            end++;
        struct gw_collection *c = with_engine_id(index, count, table);
        if (c) {
            c->column_count = (size_t)(end - i);
            c->columns = gw_calloc(c->column_count, sizeof *c->columns);
            for (int k = i; k < end; k++) {
                struct gw_column *column = &c->columns[k - i];
                take_column(r, k, column);
                c->all_binary_safe = c->all_binary_safe && (column->binary_safe || column->generated);
            }
        }
        i = end;
    }
}

static bool add_key_column(struct gw_collection *c, const char *name, size_t len)
{
    for (size_t i = 0; i < c->column_count; i++) {
        if (strlen(c->columns[i].name) == len && memcmp(c->columns[i].name, name, len) == 0) {
            c->key = gw_realloc(c->key, (c->key_count + 1) * sizeof *c->key);
            c->key[c->key_count++] = (uint32_t)i;
            c->columns[i].key_position = (int)c->key_count;
            return true;
        }
    }
    return false;
}

static bool take_keys(const PGresult *r, struct gw_collection **index, size_t count, struct gw_error *err)
{
    for (int i = 0; i < PQntuples(r); i++) {
        struct gw_collection *c = with_engine_id(index, count, oid_at(r, i, 0));
        if (!c)
            continue;
        c->key_index = gw_strdup(PQgetvalue(r, i, 1));
        c->key_kind = true_at(r, i, 2) ? GW_KEY_PRIMARY : GW_KEY_UNIQUE;
        for (const char *name = PQgetvalue(r, i, 3);;) {
            size_t len = strcspn(name, "\x01");
            if (!add_key_column(c, name, len))
                return gw_fail(err, GW_ERR_BUG, "key column \"%.*s\" of %s is not among its columns", (int)len, name,
                               gw_collection_label(c));
            if (!name[len])
                break;
            name += len + 1;
        }
    }
    return true;
}

static bool list_in(struct gw_pg_store *store, PGconn *conn, const struct gw_filter *filter, struct gw_schema *schema,
                    struct gw_error *err)
{
    PGresult *tables = NULL, *columns = NULL, *keys = NULL;
    struct gw_collection **index = NULL;
    /* One snapshot for the three. */
    bool fine = gw_pg_exec(store, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
                gw_pg_query(store, conn, gw_sql_catalog_tables, 0, NULL, &tables, err) &&
                gw_pg_query(store, conn, gw_sql_catalog_columns, 0, NULL, &columns, err) &&
                gw_pg_query(store, conn, gw_sql_catalog_keys, 0, NULL, &keys, err) &&
                gw_pg_exec(store, conn, "COMMIT", err);
    if (fine) {
        take_tables(tables, filter, schema);
        index = sorted_by_engine_id(schema);
        take_columns(columns, index, schema->count);
        fine = take_keys(keys, index, schema->count, err);
    }
    free(index);
    PQclear(tables);
    PQclear(columns);
    PQclear(keys);
    return fine;
}

static bool catalog_list(struct gw_store *base, const struct gw_filter *filter, struct gw_schema *out,
                         struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    struct gw_schema schema = {0};
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = list_in(store, conn, filter, &schema, err);
    gw_pg_return(store, conn, !fine);
    if (!fine) {
        gw_schema_release(&schema);
        return false;
    }
    *out = schema;
    return true;
}

/* ---- fingerprint ----------------------------------------------------------------------------------------------- */

/* Rows of (kind, schema, name, md5): tables pass the filter, everything else counts always. */
static void sum_up(const PGresult *r, const struct gw_filter *filter, struct gw_buf *out)
{
    gw_autobuf struct gw_buf text = {0};
    int rows = PQntuples(r);
    for (int i = 0; i < rows; i++) {
        const char *kind = PQgetvalue(r, i, 0);
        bool passes =
            strcmp(kind, "tables") != 0 || !filter || gw_filter_match(filter, PQgetvalue(r, i, 1), PQgetvalue(r, i, 2));
        if (passes)
            for (int k = 1; k < 4; k++)
                gw_buf_add(&text, PQgetvalue(r, i, k), (size_t)PQgetlength(r, i, k) + 1);
        if (i + 1 < rows && strcmp(kind, PQgetvalue(r, i + 1, 0)) == 0)
            continue;
        gw_buf_addf(out, "%s%s %016llx", out->len ? ", " : "", kind,
                    (unsigned long long)gw_hash128(gw_buf_text(&text), text.len, 0).high);
        gw_buf_clear(&text);
    }
}

static bool catalog_fingerprint(struct gw_store *base, const struct gw_filter *filter, struct gw_buf *out,
                                struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    PGresult *r;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_query(store, conn, gw_sql_catalog_fingerprint, 0, NULL, &r, err);
    gw_pg_return(store, conn, !fine);
    if (!fine)
        return false;
    gw_buf_clear(out);
    sum_up(r, filter, out);
    PQclear(r);
    return true;
}

/* ---- glance ---------------------------------------------------------------------------------------------------- */

/* Who makes a table holds its lock until the end of the transaction, before anybody else sees the table. */
static const char making_sql[] =
    "SELECT " GW_PG_SESSION_COLUMNS " FROM pg_stat_activity a WHERE a.datname = current_database()"
    " AND a.backend_type = 'client backend' AND NOT (a.usename = session_user AND a.application_name LIKE 'godwit %')"
    " AND a.pid IN (SELECT l.pid FROM pg_locks l WHERE l.locktype = 'relation' AND l.granted"
    "   AND l.mode = 'AccessExclusiveLock' AND l.database = (SELECT oid FROM pg_database"
    "   WHERE datname = current_database()) AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = l.relation"
    "   AND c.relpersistence = 't')) ORDER BY a.xact_start";

/* First who is at it, then what there is: whoever ended between the two is seen in the second. */
static bool glance_with(struct gw_pg_store *store, PGconn *conn, struct gw_buf *seen, bool *moved,
                        struct gw_buf *making, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn, making_sql, 0, NULL, &r, err))
        return false;
    gw_pg_add_sessions(making, r);
    PQclear(r);
    gw_autofree char *since = seen->len ? gw_strndup(gw_buf_text(seen), strcspn(gw_buf_text(seen), " ")) : NULL;
    const char *param = since;
    if (!gw_pg_query(store, conn, gw_sql_catalog_glance, 1, &param, &r, err))
        return false;
    gw_autobuf struct gw_buf now = {0};
    gw_buf_addf(&now, "%s %s", PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1));
    PQclear(r);
    *moved = seen->len && strcmp(gw_buf_text(seen), gw_buf_text(&now)) != 0;
    if (!seen->len)
        gw_buf_adds(seen, gw_buf_text(&now));
    return true;
}

static bool catalog_glance(struct gw_store *base, struct gw_buf *seen, bool *moved, struct gw_buf *making,
                           struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = glance_with(store, conn, seen, moved, making, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

const struct gw_catalog_facet gw_pg_catalog = {
    .list = catalog_list, .fingerprint = catalog_fingerprint, .glance = catalog_glance, .describe = gw_pg_describe};
