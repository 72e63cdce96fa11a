/* Collections: what tables there are, their columns and keys; and a fingerprint of all that no stream carries. */
#include "store/mysql/catalog.h"

#include "base/hash.h"
#include "base/mem.h"
#include "sql_embedded.h"

#include <stdlib.h>
#include <string.h>

/* ---- reading --------------------------------------------------------------------------------------------------- */

static int64_t number_of(const char *text)
{
    return text ? strtoll(text, NULL, 10) : 0;
}

static void take_tables(MYSQL_RES *r, const struct gw_filter *filter, struct gw_schema *schema)
{
    MYSQL_ROW row;
    schema->collections = gw_calloc((size_t)mysql_num_rows(r) + 1, sizeof *schema->collections);
    while ((row = mysql_fetch_row(r))) {
        if (filter && !gw_filter_match(filter, "", row[0]))
            continue;
        struct gw_collection *c = &schema->collections[schema->count];
        c->id = (uint32_t)schema->count++;
        c->space = gw_strdup("");
        c->name = gw_strdup(row[0]);
        c->estimated_rows = row[1] ? number_of(row[1]) : -1;
        c->estimated_bytes = number_of(row[2]);
        c->identity = gw_strdup("full");
        c->key_kind = GW_KEY_NONE;
        c->all_binary_safe = true;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct gw_collection *)a)->name, ((const struct gw_collection *)b)->name);
}

static struct gw_collection *named(const struct gw_schema *schema, const char *name)
{
    struct gw_collection wanted = {.name = (char *)(uintptr_t)name};
    return schema->count ? bsearch(&wanted, schema->collections, schema->count, sizeof wanted, by_name) : NULL;
}

/* Values that may be big: the server keeps them outside of the row. */
static bool may_be_big(const char *type)
{
    return strstr(type, "text") || strstr(type, "blob") || strncmp(type, "json", 4) == 0 || strstr(type, "geom") ||
           strstr(type, "polygon") || strstr(type, "linestring");
}

static void take_column(MYSQL_ROW row, struct gw_collection *c)
{
    gw_autobuf struct gw_buf type = {0};
    c->columns = gw_realloc(c->columns, (c->column_count + 1) * sizeof *c->columns);
    struct gw_column *column = &c->columns[c->column_count++];
    *column = (struct gw_column){.name = gw_strdup(row[1]), .binary_safe = true};
    gw_buf_adds(&type, row[2]);
    if (row[3] && row[4])
        gw_buf_addf(&type, " character set %s collate %s", strcmp(row[3], "utf8") == 0 ? "utf8mb3" : row[3], row[4]);
    column->type = gw_buf_detach(&type);
    column->not_null = *row[5] == '1';
    column->generated = *row[6] == '1';
    if (may_be_big(column->type))
        c->toast_bytes = c->estimated_bytes;
}

static void take_columns(MYSQL_RES *r, const struct gw_schema *schema)
{
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(r))) {
        struct gw_collection *c = named(schema, row[0]);
        if (c)
            take_column(row, c);
    }
}

static struct gw_column *column_named(struct gw_collection *c, const char *name)
{
    for (size_t i = 0; i < c->column_count; i++)
        if (strcmp(c->columns[i].name, name) == 0)
            return &c->columns[i];
    return NULL;
}

static void take_json(MYSQL_RES *r, const struct gw_schema *schema)
{
    MYSQL_ROW row;
    while (r && (row = mysql_fetch_row(r))) {
        struct gw_collection *c = named(schema, row[0]);
        struct gw_column *column = c ? column_named(c, row[1]) : NULL;
        if (column && strncmp(column->type, "longtext", 8) == 0) {
            char *type = gw_asprintf("%s json", column->type);
            free(column->type);
            column->type = type;
        }
    }
}

static void drop_key(struct gw_collection *c)
{
    for (size_t i = 0; i < c->key_count; i++)
        c->columns[c->key[i]].key_position = 0;
    free(c->key);
    free(c->key_index);
    c->key = NULL;
    c->key_index = NULL;
    c->key_count = 0;
    c->key_kind = GW_KEY_NONE;
}

/* The rows of one index, from the current one on. False: it cannot be the key. */
static bool try_key(MYSQL_RES *r, MYSQL_ROW *row, struct gw_collection *c)
{
    bool fit = true;
    gw_autofree char *table = gw_strdup((*row)[0]);
    gw_autofree char *index = gw_strdup((*row)[1]);
    bool primary = strcmp(index, "PRIMARY") == 0;
    bool wanted = c && c->key_kind == GW_KEY_NONE;
    for (; *row && strcmp((*row)[0], table) == 0 && strcmp((*row)[1], index) == 0; *row = mysql_fetch_row(r)) {
        if (!wanted || !fit)
            continue;
        struct gw_column *column = (*row)[2] ? column_named(c, (*row)[2]) : NULL;
        fit = column && !column->generated && (primary || *(*row)[3] == '0');
        if (!fit)
            continue;
        c->key = gw_realloc(c->key, (c->key_count + 1) * sizeof *c->key);
        c->key[c->key_count++] = (uint32_t)(column - c->columns);
        column->key_position = (int)c->key_count;
    }
    if (!wanted)
        return false;
    if (!fit) {
        drop_key(c);
        return false;
    }
    c->key_kind = primary ? GW_KEY_PRIMARY : GW_KEY_UNIQUE;
    c->key_index = gw_strdup(index);
    return true;
}

static void take_keys(MYSQL_RES *r, const struct gw_schema *schema)
{
    MYSQL_ROW row = mysql_fetch_row(r);
    while (row)
        (void)try_key(r, &row, named(schema, row[0]));
}

static bool list_in(struct gw_mysql_conn *conn, const struct gw_filter *filter, struct gw_schema *schema,
                    struct gw_error *err)
{
    MYSQL_RES *tables = NULL, *columns = NULL, *json = NULL, *keys = NULL;
    bool fine = gw_mysql_query(conn, gw_sql_mysql_catalog_tables, &tables, err) &&
                gw_mysql_query(conn, gw_sql_mysql_catalog_columns, &columns, err) &&
                (!conn->store->is_mariadb || gw_mysql_query(conn, gw_sql_mysql_catalog_json, &json, err)) &&
                gw_mysql_query(conn, gw_sql_mysql_catalog_keys, &keys, err);
    if (fine) {
        take_tables(tables, filter, schema);
        take_columns(columns, schema);
        take_json(json, schema);
        take_keys(keys, schema);
    }
    mysql_free_result(tables);
    mysql_free_result(columns);
    mysql_free_result(json);
    mysql_free_result(keys);
    return fine;
}

bool gw_mysql_list(struct gw_mysql_conn *conn, const struct gw_filter *filter, struct gw_schema *out,
                   struct gw_error *err)
{
    struct gw_schema schema = {0};
    if (!list_in(conn, filter, &schema, err)) {
        gw_schema_release(&schema);
        return false;
    }
    *out = schema;
    return true;
}

static bool catalog_list(struct gw_store *base, const struct gw_filter *filter, struct gw_schema *out,
                         struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = gw_mysql_list(conn, filter, out, err);
    gw_mysql_return(conn, !fine);
    return fine;
}

/* ---- fingerprint ----------------------------------------------------------------------------------------------- */

struct kind_sum {
    char kind[32];
    uint64_t sum;
    uint64_t count;
};

/* Rows of (kind, name, md5): tables pass the filter, everything else counts always. The order of rows does not count:
 * each one says what and where it is. */
static void sum_up(MYSQL_RES *r, const struct gw_filter *filter, struct gw_buf *out)
{
    struct kind_sum kinds[16] = {{{0}, 0, 0}};
    size_t count = 0, k;
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(r))) {
        bool table = strcmp(row[0], "tables") == 0;
        if (table && (strncmp(row[1], "godwit_", 7) == 0 || (filter && !gw_filter_match(filter, "", row[1]))))
            continue;
        for (k = 0; k < count && strcmp(kinds[k].kind, row[0]) != 0; k++)
            continue;
        if (k == count && count < 16)
            snprintf(kinds[count++].kind, sizeof kinds[0].kind, "%s", row[0]);
        gw_autofree char *line = gw_asprintf("%s %s", row[1], row[2] ? row[2] : "");
        kinds[k].sum += gw_hash64(line, strlen(line), 0);
        kinds[k].count++;
    }
    for (k = 0; k < count; k++)
        gw_buf_addf(out, "%s%s %llu %016llx", out->len ? ", " : "", kinds[k].kind, (unsigned long long)kinds[k].count,
                    (unsigned long long)kinds[k].sum);
}

static bool catalog_fingerprint(struct gw_store *base, const struct gw_filter *filter, struct gw_buf *out,
                                struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    MYSQL_RES *r;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = gw_mysql_query(conn, gw_sql_mysql_catalog_fingerprint, &r, err);
    gw_mysql_return(conn, !fine);
    if (!fine)
        return false;
    gw_buf_clear(out);
    sum_up(r, filter, out);
    mysql_free_result(r);
    return true;
}

const struct gw_catalog_facet gw_mysql_catalog = {
    .list = catalog_list, .fingerprint = catalog_fingerprint, .describe = gw_mysql_describe};
