/*
 * Statements that any engine with SQL takes: only names are written its own way. Each is the part behind SELECT ..., "FROM
 * t WHERE ...", so that it serves for counting and for naming rows.
 */
#include "verify/rules.h"

static void add_table(const struct gw_store *store, const char *space, const char *name, struct gw_buf *out)
{
    store->type->query->add_name(out, space, name);
}

static void add_column(const struct gw_store *store, const char *alias, const char *name, struct gw_buf *out)
{
    gw_buf_addf(out, "%s.", alias);
    store->type->query->add_name(out, NULL, name);
}

void gw_rules_orphans_sql(const struct gw_store *store, const struct gw_table_definition *table,
                          const struct gw_foreign_key *key, struct gw_buf *from)
{
    gw_buf_adds(from, " FROM ");
    add_table(store, table->space, table->name, from);
    gw_buf_adds(from, " c WHERE ");
    for (size_t i = 0; i < key->column_count; i++) {
        add_column(store, "c", key->columns[i], from);
        gw_buf_adds(from, " IS NOT NULL AND ");
    }
    gw_buf_adds(from, "NOT EXISTS (SELECT 1 FROM ");
    add_table(store, key->space, key->table, from);
    gw_buf_adds(from, " p WHERE ");
    for (size_t i = 0; i < key->column_count; i++) {
        gw_buf_adds(from, i ? " AND " : "");
        add_column(store, "p", key->references[i], from);
        gw_buf_adds(from, " = ");
        add_column(store, "c", key->columns[i], from);
    }
    gw_buf_adds(from, ")");
}

void gw_rules_twice_sql(const struct gw_store *store, const struct gw_table_definition *table,
                        const struct gw_index_definition *index, struct gw_buf *from)
{
    gw_autobuf struct gw_buf columns = {0};
    for (size_t i = 0; i < index->part_count; i++) {
        gw_buf_adds(&columns, i ? ", " : "");
        add_column(store, "c", index->parts[i].column, &columns);
    }
    gw_buf_adds(from, " FROM (SELECT count(*) AS times, ");
    gw_buf_adds(from, gw_buf_text(&columns));
    gw_buf_adds(from, " FROM ");
    add_table(store, table->space, table->name, from);
    gw_buf_adds(from, " c WHERE ");
    for (size_t i = 0; i < index->part_count; i++) {
        gw_buf_adds(from, i ? " AND " : "");
        add_column(store, "c", index->parts[i].column, from);
        gw_buf_adds(from, " IS NOT NULL");
    }
    gw_buf_addf(from, " GROUP BY %s HAVING count(*) > 1) c WHERE 1 = 1", gw_buf_text(&columns));
}

void gw_rules_condition_sql(const struct gw_store *store, const struct gw_table_definition *table,
                            const struct gw_check_definition *check, struct gw_buf *from)
{
    gw_buf_adds(from, " FROM ");
    add_table(store, table->space, table->name, from);
    gw_buf_addf(from, " c WHERE NOT (%s)", check->sql);
}
