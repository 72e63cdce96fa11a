/* Where chunks begin: by interpolation where an integer key is dense, else by walking the key's index. */
#include "store/mysql/reader.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define DENSE_AT_MOST 2.0 /* key values per row; above it chunks would come out too small */

static bool learn_spread(struct gw_mysql_reader *r, const struct gw_collection *c, struct gw_spread **out,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    MYSQL_RES *result;
    uint64_t table = gw_hash64(c->name, strlen(c->name), 1);
    struct gw_spread *s = *out = &r->spreads[table % GW_MYSQL_SPREADS];
    if (s->table == table)
        return true;
    *s = (struct gw_spread){.table = table};
    if (c->key_count != 1 || !gw_mysql_is_integer(&r->forms[c->key[0]]) || c->estimated_rows <= 0)
        return true;
    const char *key = c->columns[c->key[0]].name;
    gw_buf_adds(&sql, "SELECT MIN(");
    gw_mysql_add_ident(&sql, key);
    gw_buf_adds(&sql, "), MAX(");
    gw_mysql_add_ident(&sql, key);
    gw_buf_adds(&sql, ") FROM ");
    gw_mysql_add_table(&sql, c);
    if (!gw_mysql_query(r->conn, gw_buf_text(&sql), &result, err)) {
        s->table = 0;
        return false;
    }
    MYSQL_ROW row = mysql_fetch_row(result);
    if (row && row[0] && row[1] && strlen(row[1]) < 19 && strlen(row[0]) < 19) {
        s->least = strtoll(row[0], NULL, 10);
        s->greatest = strtoll(row[1], NULL, 10);
        s->per_row = ((double)s->greatest - (double)s->least + 1.0) / (double)c->estimated_rows;
        s->dense = s->per_row <= DENSE_AT_MOST;
    }
    mysql_free_result(result);
    return true;
}

static bool walk(struct gw_mysql_reader *r, const struct gw_collection *c, const struct gw_bound *low, int64_t rows,
                 struct gw_bound *next, bool *last, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    MYSQL_RES *result;
    struct gw_range from = {.low = *low};
    gw_buf_adds(&sql, "SELECT ");
    gw_mysql_add_key_texts(&sql, c, r->forms);
    gw_buf_adds(&sql, " FROM ");
    gw_mysql_add_table(&sql, c);
    gw_mysql_add_force(&sql, c);
    gw_buf_adds(&sql, " WHERE ");
    if (!gw_mysql_add_range(&sql, c, r->forms, &from, err))
        return false;
    gw_buf_adds(&sql, " ORDER BY ");
    gw_mysql_add_key(&sql, c);
    gw_buf_addf(&sql, " LIMIT %lld, 1", (long long)rows);
    if (!gw_mysql_query(r->conn, gw_buf_text(&sql), &result, err))
        return false;
    MYSQL_ROW row = mysql_fetch_row(result);
    *last = row == NULL;
    if (row) {
        const unsigned long *lengths = mysql_fetch_lengths(result);
        next->count = (uint32_t)c->key_count;
        next->texts = gw_calloc(c->key_count, sizeof *next->texts);
        for (size_t i = 0; i < c->key_count; i++)
            next->texts[i] = gw_mysql_bound_text(&r->forms[c->key[i]], row[i], lengths[i]);
    }
    mysql_free_result(result);
    return true;
}

bool gw_mysql_reader_split(struct gw_reader *reader, const struct gw_collection *c, const struct gw_bound *low,
                           int64_t rows, struct gw_bound *next, bool *last, struct gw_error *err)
{
    struct gw_mysql_reader *r = gw_mysql_reader_of(reader);
    struct gw_spread *spread;
    *next = (struct gw_bound){0};
    *last = true;
    if (c->key_kind == GW_KEY_NONE || rows <= 0)
        return true;
    gw_mysql_reader_know(r, c);
    if (!learn_spread(r, c, &spread, err))
        return false;
    if (spread->dense) {
        gw_spread_next(spread, low, rows, next, last);
        return true;
    }
    return walk(r, c, low, rows, next, last, err);
}
