/* Where chunks begin: by interpolation where an integer key is dense, else by walking the key's index. */
#include "store/postgres/reader.h"

#include "base/hash.h"
#include "base/mem.h"
#include "store/postgres/keys.h"

#include <stdlib.h>
#include <string.h>

#define DENSE_AT_MOST 2.0 /* key values per row; above it chunks would come out too small */

static bool has_integer_key(const struct gw_collection *c)
{
    if (c->key_count != 1)
        return false;
    const char *type = c->columns[c->key[0]].type;
    return strcmp(type, "integer") == 0 || strcmp(type, "bigint") == 0 || strcmp(type, "smallint") == 0;
}

static uint64_t table_hash(const struct gw_collection *c)
{
    return gw_hash64(c->name, strlen(c->name), gw_hash64(c->space, strlen(c->space), 1));
}

static bool learn_spread(struct gw_pg_reader *r, const struct gw_collection *c, struct gw_spread **out,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_autobuf struct gw_buf key = {0};
    PGresult *result;
    uint64_t table = table_hash(c);
    struct gw_spread *s = *out = &r->spreads[table % GW_PG_SPREADS];
    if (s->table == table)
        return true;
    *s = (struct gw_spread){.table = table};
    if (!has_integer_key(c) || c->estimated_rows <= 0)
        return true;
    gw_pg_add_key(&key, c, "");
    gw_buf_addf(&sql, "SELECT min(%s), max(%s) FROM ONLY ", gw_buf_text(&key), gw_buf_text(&key));
    gw_pg_add_table(&sql, c);
    if (!gw_pg_query(r->store, r->conn, gw_buf_text(&sql), 0, NULL, &result, err)) {
        s->table = 0;
        return false;
    }
    if (!PQgetisnull(result, 0, 0)) {
        s->least = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        s->greatest = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
        s->per_row = ((double)s->greatest - (double)s->least + 1.0) / (double)c->estimated_rows;
        s->dense = s->per_row <= DENSE_AT_MOST;
    }
    PQclear(result);
    return true;
}

static bool walk(struct gw_pg_reader *r, const struct gw_collection *c, const struct gw_bound *low, int64_t rows,
                 struct gw_bound *next, bool *last, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    PGresult *result = NULL;
    struct gw_range from = {.low = *low};
    gw_buf_adds(&sql, "SELECT ");
    gw_pg_add_key(&sql, c, "t.");
    gw_buf_adds(&sql, " FROM ONLY ");
    gw_pg_add_table(&sql, c);
    gw_buf_adds(&sql, " t WHERE ");
    gw_pg_add_range(&sql, c, &from);
    gw_buf_adds(&sql, " ORDER BY ");
    gw_pg_add_key(&sql, c, "t.");
    gw_buf_addf(&sql, " OFFSET %lld LIMIT 1", (long long)rows);
    if (!gw_pg_exec(r->store, r->conn, "BEGIN READ ONLY", err))
        return false;
    bool fine = gw_pg_enter_key_schemas(r->store, r->conn, c, err) &&
                gw_pg_query(r->store, r->conn, gw_buf_text(&sql), 0, NULL, &result, err);
    struct gw_error end_error;
    if (!gw_pg_exec(r->store, r->conn, fine ? "COMMIT" : "ROLLBACK", &end_error) && fine) {
        *err = end_error;
        fine = false;
    }
    if (fine) {
        *last = PQntuples(result) == 0;
        if (!*last) {
            next->count = (uint32_t)c->key_count;
            next->texts = gw_calloc(c->key_count, sizeof *next->texts);
            for (int i = 0; i < PQnfields(result); i++)
                next->texts[i] = gw_strdup(PQgetvalue(result, 0, i));
        }
    }
    PQclear(result);
    return fine;
}

bool gw_pg_reader_split(struct gw_reader *reader, const struct gw_collection *c, const struct gw_bound *low,
                        int64_t rows, struct gw_bound *next, bool *last, struct gw_error *err)
{
    struct gw_pg_reader *r = gw_pg_reader_of(reader);
    *next = (struct gw_bound){0};
    *last = true;
    if (c->key_kind == GW_KEY_NONE || rows <= 0)
        return true;
    struct gw_spread *spread;
    if (!learn_spread(r, c, &spread, err))
        return false;
    if (spread->dense) {
        gw_spread_next(spread, low, rows, next, last);
        return true;
    }
    return walk(r, c, low, rows, next, last, err);
}
