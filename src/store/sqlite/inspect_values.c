/* What stands in a column against what its declared type says: one pass over each table. */
#include "store/sqlite/inspect.h"

#include "base/mem.h"
#include "store/sqlite/keys.h"
#include "store/sqlite/types.h"

#define EXAMPLES 3
#define DAY "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]"
#define CLOCK "[0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
#define PART ".[0-9][0-9][0-9][0-9][0-9][0-9]"

/* SQL over the column's name (%s, each of them): true where the value is not of the column's kind. NULL: anything is. */
static char *condition(const struct gw_lite_column *column, const char *name)
{
    struct gw_type type;
    gw_lite_type_of(column->type, &type);
    char *out = NULL;
    switch (type.kind) {
    case GW_KIND_INT64:
        out = gw_asprintf("typeof(%s) <> 'integer'", name);
        break;
    case GW_KIND_BOOL:
        out = gw_asprintf("%s IS NOT 0 AND %s IS NOT 1", name, name);
        break;
    case GW_KIND_FLOAT64:
        out = gw_asprintf("typeof(%s) <> 'real'", name);
        break;
    case GW_KIND_DECIMAL:
        out = column->affinity == GW_LITE_TEXT ? gw_asprintf("typeof(%s) <> 'text'", name)
                                               : gw_asprintf("typeof(%s) NOT IN ('integer', 'real')", name);
        break;
    case GW_KIND_TEXT:
    case GW_KIND_UUID:
        out = gw_asprintf("typeof(%s) <> 'text'", name);
        break;
    case GW_KIND_JSON:
        out = gw_asprintf("typeof(%s) = 'blob'", name);
        break;
    case GW_KIND_BYTES:
        out = gw_asprintf("typeof(%s) <> 'blob'", name);
        break;
    case GW_KIND_DATE:
        out = gw_asprintf("typeof(%s) <> 'text' OR %s NOT GLOB '" DAY "'", name, name);
        break;
    case GW_KIND_TIME:
        out = gw_asprintf("typeof(%s) <> 'text' OR NOT (%s GLOB '" CLOCK "' OR %s GLOB '" CLOCK PART "')", name, name,
                          name);
        break;
    case GW_KIND_TIMESTAMP:
        out = gw_asprintf("typeof(%s) <> 'text' OR NOT (%s GLOB '" DAY " " CLOCK "' OR (%s GLOB '" DAY " " CLOCK PART
                          "' AND %s NOT LIKE '%%.000000'))",
                          name, name, name, name);
        break;
    case GW_KIND_TIMESTAMPTZ:
        out = gw_asprintf("typeof(%s) <> 'text' OR %s NOT LIKE '%%+00:00'", name, name);
        break;
    default:
        break;
    }
    gw_type_release(&type);
    return out;
}

/* "3 of which: 'n/a' (id 12), ..." */
static bool add_examples(struct gw_lite_conn *conn, const struct gw_lite_table *table, const char *name,
                         const char *where, struct gw_buf *out, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf sql = {0};
    bool row = false;
    gw_buf_addf(&sql, "SELECT typeof(%s), substr(quote(%s), 1, 40)", name, name);
    for (size_t i = 0; i < table->key_count; i++) {
        gw_buf_adds(&sql, ", ");
        gw_lite_add_ident(&sql, table->columns[table->key[i]].name);
    }
    gw_buf_adds(&sql, " FROM main.");
    gw_lite_add_ident(&sql, table->name);
    gw_buf_addf(&sql, " WHERE %s IS NOT NULL AND (%s) LIMIT %d", name, where, EXAMPLES);
    if (!gw_lite_prepare(conn, gw_buf_text(&sql), &statement, err))
        return false;
    for (const char *comma = "";; comma = ", ") {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        gw_buf_addf(out, "%s%s ", comma, gw_lite_column(statement, 0));
        gw_buf_adds(out, gw_lite_column(statement, 1));
        for (size_t i = 0; i < table->key_count; i++)
            gw_buf_addf(out, "%s%s %s%s", i > 0 ? ", " : " (", table->columns[table->key[i]].name,
                        gw_lite_column(statement, 2 + (int)i), i + 1 == table->key_count ? ")" : "");
    }
}

static bool find_in(struct gw_lite_conn *conn, const struct gw_lite_table *table, size_t c, const char *where,
                    int64_t count, struct gw_findings *findings, struct gw_error *err)
{
    gw_autobuf struct gw_buf name = {0}, examples = {0};
    const struct gw_lite_column *column = &table->columns[c];
    gw_lite_add_ident(&name, column->name);
    if (!add_examples(conn, table, gw_buf_text(&name), where, &examples, err))
        return false;
    gw_findings_add(findings, GW_FINDING_WARNING, conn->store->base.side, "storage-class",
                    "SQLite to SQLite keeps them as they are; for another engine give the column a type, a cast or a"
                    " policy in the migration file",
                    "%s.%s is declared %s, and %lld value%s %s not as that type is stored: %s", table->name,
                    column->name, *column->type ? column->type : "without a type", (long long)count,
                    count == 1 ? "" : "s", count == 1 ? "is" : "are", gw_buf_text(&examples));
    return true;
}

bool gw_lite_check_values(struct gw_lite_conn *conn, const struct gw_lite_table *table, struct gw_findings *findings,
                          struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf sql = {0};
    char **conditions = gw_calloc(table->column_count + 1, sizeof *conditions);
    size_t asked = 0;
    bool row = false;
    for (size_t c = 0; c < table->column_count; c++) {
        gw_autobuf struct gw_buf name = {0};
        gw_lite_add_ident(&name, table->columns[c].name);
        if (!table->columns[c].generated && (int)c != table->rowid_column)
            conditions[c] = condition(&table->columns[c], gw_buf_text(&name));
        if (conditions[c])
            gw_buf_addf(&sql, "%ssum(%s IS NOT NULL AND (%s))", asked++ > 0 ? ", " : "SELECT ", gw_buf_text(&name),
                        conditions[c]);
    }
    bool ok = true;
    if (asked > 0) {
        gw_buf_adds(&sql, " FROM main.");
        gw_lite_add_ident(&sql, table->name);
        ok = gw_lite_prepare(conn, gw_buf_text(&sql), &statement, err) && gw_lite_step(conn, statement, &row, err);
        int place = 0;
        for (size_t c = 0; ok && row && c < table->column_count; c++)
            if (conditions[c] && sqlite3_column_int64(statement, place++) > 0)
                ok = find_in(conn, table, c, conditions[c], sqlite3_column_int64(statement, place - 1), findings, err);
    }
    for (size_t c = 0; c < table->column_count; c++)
        free(conditions[c]);
    free(conditions);
    return ok;
}
