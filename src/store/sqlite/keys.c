#include "store/sqlite/keys.h"

#include "store/sqlite/value.h"

static void add_tuple(struct gw_buf *out, const struct gw_lite_table *table)
{
    gw_buf_adds(out, table->key_count > 1 ? "(" : "");
    for (size_t i = 0; i < table->key_count; i++) {
        gw_buf_adds(out, i > 0 ? ", " : "");
        gw_lite_add_key(out, table, i, "");
    }
    gw_buf_adds(out, table->key_count > 1 ? ")" : "");
}

static void add_places(struct gw_buf *out, size_t count, size_t first)
{
    gw_buf_adds(out, count > 1 ? "(" : "");
    for (size_t i = 0; i < count; i++)
        gw_buf_addf(out, "%s?%zu", i > 0 ? ", " : "", first + i);
    gw_buf_adds(out, count > 1 ? ")" : "");
}

void gw_lite_add_range(struct gw_buf *out, const struct gw_lite_table *table, const struct gw_range *range)
{
    if (range->low.count > 0) {
        gw_buf_adds(out, " WHERE ");
        add_tuple(out, table);
        gw_buf_adds(out, " >= ");
        add_places(out, table->key_count, 1);
    }
    if (range->high.count > 0) {
        gw_buf_adds(out, range->low.count > 0 ? " AND " : " WHERE ");
        add_tuple(out, table);
        gw_buf_adds(out, " < ");
        add_places(out, table->key_count, 1 + range->low.count);
    }
}

bool gw_lite_bind_range(sqlite3_stmt *statement, const struct gw_range *range, struct gw_error *err)
{
    int place = 1;
    for (int side = 0; side < 2; side++) {
        const struct gw_bound *bound = side == 0 ? &range->low : &range->high;
        for (uint32_t i = 0; i < bound->count; i++)
            if (!gw_lite_bind_bound(statement, place++, bound->texts[i], err))
                return false;
    }
    return true;
}

void gw_lite_add_equals(struct gw_buf *out, const struct gw_lite_table *table, int first)
{
    for (size_t i = 0; i < table->key_count; i++) {
        gw_buf_adds(out, i > 0 ? " AND " : "");
        gw_lite_add_key(out, table, i, "");
        gw_buf_addf(out, " = ?%d", first + (int)i);
        if (sqlite3_stricmp(table->key_collations[i], "binary") == 0)
            continue;
        gw_buf_adds(out, " AND ");
        gw_lite_add_ident(out, table->columns[table->key[i]].name);
        gw_buf_addf(out, " COLLATE BINARY = ?%d", first + (int)i);
    }
}

void gw_lite_add_key_list(struct gw_buf *out, const struct gw_lite_table *table)
{
    for (size_t i = 0; i < table->key_count; i++) {
        gw_buf_adds(out, i > 0 ? ", " : "");
        gw_lite_add_ident(out, table->columns[table->key[i]].name);
    }
}

void gw_lite_add_order(struct gw_buf *out, const struct gw_lite_table *table)
{
    for (size_t i = 0; i < table->key_count; i++) {
        gw_buf_adds(out, i > 0 ? ", " : " ORDER BY ");
        gw_lite_add_key(out, table, i, "");
    }
}

void gw_lite_add_column_list(struct gw_buf *out, const struct gw_lite_table *table, size_t count)
{
    for (size_t c = 0; c < count; c++) {
        gw_buf_adds(out, c > 0 ? ", " : "");
        if (table->columns[c].generated)
            gw_buf_adds(out, "NULL");
        else
            gw_lite_add_ident(out, table->columns[c].name);
    }
}
