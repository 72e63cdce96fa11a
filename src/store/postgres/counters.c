/* Sequences behind columns, as the number that each hands out next. */
#include "store/postgres/describe.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Serial, identity, a sequence that somebody made the column's own; and one that its default alone names. */
static const char behind_sql[] =
    "WITH behind(oid, refobjid, refobjsubid) AS ("
    " SELECT objid, refobjid, refobjsubid FROM pg_depend WHERE classid = 'pg_class'::regclass"
    "   AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i') AND refobjsubid > 0"
    " UNION SELECT s.refobjid, d.adrelid, d.adnum::int FROM pg_attrdef d JOIN pg_depend s"
    "   ON s.classid = 'pg_attrdef'::regclass AND s.objid = d.oid AND s.refclassid = 'pg_class'::regclass"
    "   WHERE pg_get_expr(d.adbin, d.adrelid) ~ '^nextval\\(''.*''::regclass\\)$')"
    "SELECT d.refobjid, a.attname, format('%I.%I', n.nspname, c.relname), s.seqincrement, s.seqmin, s.seqmax"
    " FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN behind d ON d.oid = c.oid"
    " JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
    " ORDER BY d.refobjid, a.attnum, c.oid";

struct sequence {
    char *name; /* quoted */
    int64_t increment, least, most, next;
    uint32_t collection, column;
};

static void release(struct sequence *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(items[i].name);
    free(items);
}

static bool place_of(const struct gw_schema *schema, const PGresult *r, int row, struct sequence *out)
{
    uint32_t table = (uint32_t)strtoul(PQgetvalue(r, row, 0), NULL, 10);
    for (size_t i = 0; i < schema->count; i++) {
        const struct gw_collection *c = &schema->collections[i];
        if (c->engine_id != table)
            continue;
        for (size_t k = 0; k < c->column_count; k++)
            if (strcmp(c->columns[k].name, PQgetvalue(r, row, 1)) == 0) {
                out->collection = c->id;
                out->column = (uint32_t)k;
                return true;
            }
    }
    return false;
}

/* last_value is beyond what any session holds in its cache: never behind what was handed out. */
static bool read_next(struct gw_pg_store *store, PGconn *conn, struct sequence *s, struct gw_error *err)
{
    gw_autofree char *sql = gw_asprintf("SELECT last_value, is_called FROM %s", s->name);
    PGresult *r;
    if (!gw_pg_query(store, conn, sql, 0, NULL, &r, err))
        return false;
    s->next = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
    if (*PQgetvalue(r, 0, 1) == 't' && __builtin_add_overflow(s->next, s->increment, &s->next))
        s->next = s->increment > 0 ? INT64_MAX : INT64_MIN;
    PQclear(r);
    return true;
}

static bool list(struct gw_pg_store *store, PGconn *conn, const struct gw_schema *schema, struct sequence **out,
                 size_t *count, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn, behind_sql, 0, NULL, &r, err))
        return false;
    struct sequence *items = gw_calloc((size_t)PQntuples(r) + 1, sizeof *items);
    size_t found = 0;
    bool fine = true;
    for (int row = 0; fine && row < PQntuples(r); row++) {
        struct sequence *s = &items[found];
        if (!place_of(schema, r, row, s))
            continue;
        s->name = gw_strdup(PQgetvalue(r, row, 2));
        s->increment = strtoll(PQgetvalue(r, row, 3), NULL, 10);
        s->least = strtoll(PQgetvalue(r, row, 4), NULL, 10);
        s->most = strtoll(PQgetvalue(r, row, 5), NULL, 10);
        found++;
        fine = read_next(store, conn, s, err);
    }
    PQclear(r);
    if (!fine) {
        release(items, found);
        return false;
    }
    *out = items;
    *count = found;
    return true;
}

static bool is_first_of_column(const struct sequence *items, size_t at)
{
    return at == 0 || items[at].collection != items[at - 1].collection || items[at].column != items[at - 1].column;
}

bool gw_pg_counters(struct gw_store *base, const struct gw_schema *schema, struct gw_counter **out, size_t *count,
                    struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    struct sequence *items;
    size_t found;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = list(store, conn, schema, &items, &found, err);
    gw_pg_return(store, conn, !fine);
    if (!fine)
        return false;
    *out = gw_calloc(found + 1, sizeof **out);
    *count = 0;
    for (size_t i = 0; i < found; i++)
        if (is_first_of_column(items, i))
            (*out)[(*count)++] = (struct gw_counter){
                .collection = items[i].collection, .column = items[i].column, .next = items[i].next};
    release(items, found);
    return true;
}

/* Where the sequence has no number left, its last one is handed out. */
static void add_setval(const struct sequence *s, int64_t next, struct gw_buf *sql)
{
    bool beyond = s->increment > 0 ? next > s->most : next < s->least;
    int64_t value = beyond ? (s->increment > 0 ? s->most : s->least) : next;
    if (value < s->least)
        value = s->least;
    if (value > s->most)
        value = s->most;
    gw_buf_adds(sql, "SELECT setval(");
    gw_pg_add_literal(sql, s->name);
    gw_buf_addf(sql, "::regclass, %" PRId64 ", %s);", value, beyond ? "true" : "false");
}

/* The furthest that any of the columns behind which this sequence stands has come. */
static int64_t furthest(const struct sequence *items, size_t found, const struct gw_counter *counters, size_t count,
                        const struct sequence *s)
{
    int64_t next = s->next;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < found; k++)
            if (items[k].collection == counters[i].collection && items[k].column == counters[i].column &&
                strcmp(items[k].name, s->name) == 0 &&
                (s->increment > 0 ? counters[i].next > next : counters[i].next < next))
                next = counters[i].next;
    return next;
}

static bool set_with(struct gw_pg_store *store, PGconn *conn, const struct gw_schema *schema,
                     const struct gw_counter *counters, size_t count, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct sequence *items;
    size_t found;
    if (!list(store, conn, schema, &items, &found, err))
        return false;
    for (size_t k = 0; k < found; k++) {
        int64_t next = furthest(items, found, counters, count, &items[k]);
        if (next != items[k].next)
            add_setval(&items[k], next, &sql);
    }
    release(items, found);
    return sql.len == 0 || gw_pg_exec(store, conn, gw_buf_text(&sql), err);
}

bool gw_pg_set_counters(struct gw_store *base, const struct gw_schema *schema, const struct gw_counter *counters,
                        size_t count, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = set_with(store, conn, schema, counters, count, err);
    gw_pg_return(store, conn, !fine);
    return fine || gw_error_place(err, "%s %s", gw_side_name(base->side), base->identity.address);
}
