#include "store/postgres/slices.h"

#include "base/mem.h"
#include "store/postgres/keys.h"

#include <stdlib.h>
#include <string.h>

#define BIG_BYTES 2097152      /* a value above this is cut */
#define PIECE_BYTES 1048576    /* what one piece holds */
#define SUSPECT_BYTES 65536    /* compressed to this much it may unfold to something big: looked at closely */
#define UNFOLDED_BYTES 8388608 /* ... and cut when it does */

struct column_plan {
    bool candidate;   /* its type can be stored out of line */
    bool plain_bytes; /* bytea: pieces can be cut without unfolding the value */
    char *big;        /* SQL: is this value big? */
    char *content;    /* SQL: the bytea that goes into the frame */
};

struct gw_pg_slices {
    struct gw_pg_store *store;
    PGconn *conn;
    /* The plan for a collection, made once. */
    const struct gw_collection *collection;
    char *planned_for;
    struct column_plan *columns; /* collection->column_count */
    size_t column_count;
    /* The chunk's big rows. */
    char **ctids;
    size_t count, at;
    /* The row being streamed. */
    PGresult *row;
    size_t column;  /* index into collection->columns */
    int field;      /* index of its value in `row` */
    bool streaming; /* a query of pieces is running */
    uint64_t left;  /* bytes of the value still to come (binary) */
};

struct gw_pg_slices *gw_pg_slices_new(struct gw_pg_store *store, PGconn *conn)
{
    struct gw_pg_slices *s = gw_zalloc(sizeof *s);
    s->store = store;
    s->conn = conn;
    return s;
}

static void forget_plan(struct gw_pg_slices *s)
{
    for (size_t i = 0; i < s->column_count; i++) {
        free(s->columns[i].big);
        free(s->columns[i].content);
    }
    free(s->columns);
    free(s->planned_for);
    s->columns = NULL;
    s->planned_for = NULL;
    s->column_count = 0;
}

static void forget_rows(struct gw_pg_slices *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->ctids[i]);
    free(s->ctids);
    PQclear(s->row);
    s->ctids = NULL;
    s->row = NULL;
    s->count = s->at = 0;
    s->streaming = false;
}

void gw_pg_slices_free(struct gw_pg_slices *s)
{
    if (!s)
        return;
    forget_rows(s);
    forget_plan(s);
    free(s);
}

/* ---- finding --------------------------------------------------------------------------------------------------- */

/* What a column's size is told by: for text and bytea the length stands in the value's header and costs nothing; for
 * others only the stored size does, which for a compressed value says little. */
static char *big_condition(const char *column, bool has_length, const char *content, int server_version)
{
    if (has_length)
        return gw_asprintf("coalesce(octet_length(%s) > %d, false)", column, BIG_BYTES);
    gw_autofree char *compressed =
        server_version >= 140000 ? gw_asprintf("pg_column_compression(%s) IS NOT NULL", column) : gw_strdup("true");
    return gw_asprintf("CASE WHEN %s IS NULL THEN false WHEN pg_column_size(%s) > %d THEN true"
                       " WHEN pg_column_size(%s) > %d THEN CASE WHEN %s THEN octet_length(%s) > %d ELSE false END"
                       " ELSE false END",
                       column, column, BIG_BYTES, column, SUSPECT_BYTES, compressed, content, UNFOLDED_BYTES);
}

static void plan_column(struct column_plan *plan, const struct gw_collection *collection, const char *name,
                        const PGresult *r, int row, int server_version)
{
    gw_autobuf struct gw_buf column = {0};
    gw_buf_adds(&column, "t.");
    gw_pg_add_ident(&column, name);
    const char *base_type = PQgetvalue(r, row, 1);
    bool text = strcmp(base_type, "text") == 0 || strcmp(base_type, "varchar") == 0 || strcmp(base_type, "bpchar") == 0;
    plan->candidate = true;
    plan->plain_bytes = strcmp(base_type, "bytea") == 0;
    if (plan->plain_bytes)
        plan->content = gw_strdup(gw_buf_text(&column));
    else if (collection->all_binary_safe)
        plan->content = gw_asprintf("pg_catalog.%s(%s)", PQgetvalue(r, row, 2), gw_buf_text(&column));
    else
        plan->content = gw_asprintf("convert_to(%s::text, 'UTF8')", gw_buf_text(&column));
    plan->big = big_condition(gw_buf_text(&column), text || plan->plain_bytes, plan->content, server_version);
}

static const char storage_sql[] =
    "WITH RECURSIVE kind AS ("
    " SELECT a.attname, a.atttypid AS oid FROM pg_attribute a"
    " WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attlen = -1 AND a.attstorage <> 'p'"
    " UNION ALL SELECT k.attname, t.typbasetype FROM kind k JOIN pg_type t ON t.oid = k.oid AND t.typtype = 'd')"
    "SELECT k.attname, t.typname, p.proname FROM kind k JOIN pg_type t ON t.oid = k.oid AND t.typtype <> 'd'"
    " LEFT JOIN pg_proc p ON p.oid = t.typsend";

static bool make_plan(struct gw_pg_slices *s, const struct gw_collection *collection, struct gw_error *err)
{
    gw_autobuf struct gw_buf table = {0};
    PGresult *r;
    gw_pg_add_table(&table, collection);
    s->collection = collection;
    if (s->planned_for && strcmp(s->planned_for, gw_buf_text(&table)) == 0 &&
        s->column_count == collection->column_count)
        return true;
    forget_plan(s);
    const char *params[] = {gw_buf_text(&table)};
    if (!gw_pg_query(s->store, s->conn, storage_sql, 1, params, &r, err))
        return false;
    s->planned_for = gw_strdup(gw_buf_text(&table));
    s->column_count = collection->column_count;
    s->columns = gw_calloc(s->column_count + 1, sizeof *s->columns);
    for (size_t i = 0; i < s->column_count; i++)
        for (int row = 0; row < PQntuples(r); row++)
            if (!collection->columns[i].generated && strcmp(PQgetvalue(r, row, 0), collection->columns[i].name) == 0)
                plan_column(&s->columns[i], collection, collection->columns[i].name, r, row, PQserverVersion(s->conn));
    PQclear(r);
    return true;
}

static bool add_any_big(const struct gw_pg_slices *s, struct gw_buf *out)
{
    bool any = false;
    for (size_t i = 0; i < s->column_count; i++) {
        if (!s->columns[i].candidate)
            continue;
        gw_buf_adds(out, any ? " OR " : "");
        gw_buf_adds(out, s->columns[i].big);
        any = true;
    }
    return any;
}

bool gw_pg_slices_find(struct gw_pg_slices *s, const struct gw_collection *collection, const struct gw_range *range,
                       size_t *count, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_autobuf struct gw_buf big = {0};
    PGresult *r;
    forget_rows(s);
    *count = 0;
    if (!make_plan(s, collection, err))
        return false;
    if (!add_any_big(s, &big))
        return true;
    gw_buf_adds(&sql, "SELECT t.ctid FROM ONLY ");
    gw_pg_add_table(&sql, collection);
    gw_buf_adds(&sql, " t WHERE ");
    gw_pg_add_range(&sql, collection, range);
    gw_buf_addf(&sql, " AND (%s)", gw_buf_text(&big));
    if (!gw_pg_query(s->store, s->conn, gw_buf_text(&sql), 0, NULL, &r, err))
        return false;
    *count = s->count = (size_t)PQntuples(r);
    s->ctids = gw_calloc(s->count + 1, sizeof *s->ctids);
    for (size_t i = 0; i < s->count; i++)
        s->ctids[i] = gw_strdup(PQgetvalue(r, (int)i, 0));
    PQclear(r);
    return true;
}

void gw_pg_slices_add_exclusion(const struct gw_pg_slices *s, struct gw_buf *where)
{
    gw_buf_adds(where, " AND NOT (");
    if (!add_any_big(s, where))
        gw_buf_adds(where, "false");
    gw_buf_addc(where, ')');
}

/* ---- streaming ------------------------------------------------------------------------------------------------- */

/* Two fields for each column: its value unless it is big, and how many bytes it has if it is (negative: stored as it
 * is, so that pieces can be cut from it without unfolding it). */
static void add_row_query(const struct gw_pg_slices *s, struct gw_buf *sql)
{
    const char *comma = "";
    gw_buf_adds(sql, "SELECT ");
    for (size_t i = 0; i < s->column_count; i++) {
        const struct column_plan *plan = &s->columns[i];
        if (s->collection->columns[i].generated)
            continue;
        gw_buf_adds(sql, comma);
        comma = ", ";
        if (plan->candidate)
            gw_buf_addf(sql, "CASE WHEN %s THEN NULL ELSE ", plan->big);
        gw_buf_adds(sql, "t.");
        gw_pg_add_ident(sql, s->collection->columns[i].name);
        gw_buf_adds(sql, plan->candidate ? " END" : "");
        if (!plan->candidate)
            gw_buf_adds(sql, ", NULL::int8");
        else if (plan->plain_bytes)
            gw_buf_addf(sql,
                        ", CASE WHEN %s THEN octet_length(%s)::int8 *"
                        " CASE WHEN pg_column_size(%s) >= octet_length(%s) THEN -1 ELSE 1 END END",
                        plan->big, plan->content, plan->content, plan->content);
        else
            gw_buf_addf(sql, ", CASE WHEN %s THEN octet_length(%s)::int8 END", plan->big, plan->content);
    }
    gw_buf_adds(sql, " FROM ONLY ");
    gw_pg_add_table(sql, s->collection);
    gw_buf_addf(sql, " t WHERE t.ctid = '%s'", s->ctids[s->at]);
}

/* The row query has no fields for generated columns. */
static void skip_generated(struct gw_pg_slices *s)
{
    while (s->column < s->column_count && s->collection->columns[s->column].generated)
        s->column++;
}

static bool begin_row(struct gw_pg_slices *s, struct gw_buf *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    bool binary = s->collection->all_binary_safe;
    PGresult *r = NULL, *end = NULL;
    add_row_query(s, &sql);
    if (!PQsendQueryParams(s->conn, gw_buf_text(&sql), 0, NULL, NULL, NULL, NULL, binary))
        return gw_pg_fail(s->store, s->conn, NULL, "reading a row with a big value", err);
    if (!gw_pg_next_result(s->store, s->conn, &r, err))
        return false;
    if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1) {
        gw_pg_fail(s->store, s->conn, r, "reading a row with a big value", err);
        PQclear(r);
        return false;
    }
    if (!gw_pg_next_result(s->store, s->conn, &end, err)) {
        PQclear(r);
        return false;
    }
    PQclear(end);
    s->row = r;
    s->field = 0;
    s->column = 0;
    skip_generated(s);
    if (binary)
        gw_buf_put16(out, (uint16_t)(PQnfields(r) / 2));
    return true;
}

/* As COPY's text format escapes. */
static void add_escaped(struct gw_buf *out, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (bytes[i]) {
        case '\\':
            gw_buf_adds(out, "\\\\");
            break;
        case '\n':
            gw_buf_adds(out, "\\n");
            break;
        case '\r':
            gw_buf_adds(out, "\\r");
            break;
        case '\t':
            gw_buf_adds(out, "\\t");
            break;
        default:
            gw_buf_addc(out, bytes[i]);
        }
    }
}

static void add_hex(struct gw_buf *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        gw_buf_addc(out, digits[bytes[i] >> 4]);
        gw_buf_addc(out, digits[bytes[i] & 15]);
    }
}

static void add_small_value(struct gw_pg_slices *s, struct gw_buf *out)
{
    bool is_null = PQgetisnull(s->row, 0, s->field) != 0;
    int len = PQgetlength(s->row, 0, s->field);
    const char *value = PQgetvalue(s->row, 0, s->field);
    if (s->collection->all_binary_safe) {
        gw_buf_put32(out, is_null ? UINT32_MAX : (uint32_t)len);
        if (!is_null)
            gw_buf_add(out, value, (size_t)len);
    } else if (is_null) {
        gw_buf_adds(out, "\\N");
    } else {
        add_escaped(out, value, (size_t)len);
    }
}

/* One query gives all pieces, row by row, without a round trip each. The value is unfolded once, by a subquery that
 * OFFSET 0 keeps apart, unless it is stored as it is: then each piece reads only its own part of it. */
static bool begin_value(struct gw_pg_slices *s, bool stored_as_is, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    const struct column_plan *plan = &s->columns[s->column];
    gw_autobuf struct gw_buf from = {0};
    gw_buf_adds(&from, " FROM ONLY ");
    gw_pg_add_table(&from, s->collection);
    gw_buf_addf(&from, " t WHERE t.ctid = '%s'", s->ctids[s->at]);
    gw_buf_addf(&sql,
                "SELECT substring(b.v FROM (1 + p.n * %d) FOR %d) FROM (SELECT %s%s AS v%s OFFSET 0) b,"
                " LATERAL generate_series(0, (octet_length(b.v) - 1) / %d) p(n)",
                PIECE_BYTES, PIECE_BYTES, plan->content, plan->plain_bytes && !stored_as_is ? " || ''::bytea" : "",
                gw_buf_text(&from), PIECE_BYTES);
    if (!PQsendQueryParams(s->conn, gw_buf_text(&sql), 0, NULL, NULL, NULL, NULL, 1) || !PQsetSingleRowMode(s->conn))
        return gw_pg_fail(s->store, s->conn, NULL, "reading a big value in slices", err);
    s->streaming = true;
    return true;
}

/* A field is done: the separator behind it, or the end of the row. */
static void end_field(struct gw_pg_slices *s, struct gw_buf *out, uint64_t *rows)
{
    s->field += 2;
    s->column++;
    skip_generated(s);
    bool row_done = s->field >= PQnfields(s->row);
    if (!s->collection->all_binary_safe)
        gw_buf_addc(out, row_done ? '\n' : '\t');
    if (row_done) {
        PQclear(s->row);
        s->row = NULL;
        s->at++;
        (*rows)++;
    }
}

static bool take_piece(struct gw_pg_slices *s, const PGresult *r, struct gw_buf *out, struct gw_error *err)
{
    size_t len = (size_t)PQgetlength(r, 0, 0);
    const char *bytes = PQgetvalue(r, 0, 0);
    if (len > s->left)
        return gw_fail(err, GW_ERR_BUG, "a big value of %s is longer than announced",
                       gw_collection_label(s->collection));
    s->left -= len;
    if (s->collection->all_binary_safe)
        gw_buf_add(out, bytes, len);
    else if (s->columns[s->column].plain_bytes)
        add_hex(out, (const unsigned char *)bytes, len);
    else
        add_escaped(out, bytes, len);
    return true;
}

static bool next_piece(struct gw_pg_slices *s, struct gw_buf *out, uint64_t *rows, struct gw_error *err)
{
    PGresult *r = NULL;
    if (!gw_pg_next_result(s->store, s->conn, &r, err))
        return false;
    if (!r) {
        s->streaming = false;
        if (s->left != 0)
            return gw_fail(err, GW_ERR_BUG, "a big value of %s is shorter than announced",
                           gw_collection_label(s->collection));
        end_field(s, out, rows);
        return true;
    }
    bool fine = true;
    if (PQresultStatus(r) == PGRES_SINGLE_TUPLE)
        fine = take_piece(s, r, out, err);
    else if (PQresultStatus(r) != PGRES_TUPLES_OK)
        fine = gw_pg_fail(s->store, s->conn, r, "reading a big value in slices", err);
    PQclear(r);
    return fine;
}

/* Size as the row query gave it; 0 when the value is not a big one. */
static int64_t announced(const struct gw_pg_slices *s)
{
    if (PQgetisnull(s->row, 0, s->field + 1))
        return 0;
    const char *value = PQgetvalue(s->row, 0, s->field + 1);
    return s->collection->all_binary_safe ? (int64_t)gw_get64(value) : strtoll(value, NULL, 10);
}

static bool next_field(struct gw_pg_slices *s, struct gw_buf *out, uint64_t *rows, struct gw_error *err)
{
    int64_t size = announced(s);
    if (size == 0) {
        add_small_value(s, out);
        end_field(s, out, rows);
        return true;
    }
    s->left = (uint64_t)llabs(size);
    if (s->collection->all_binary_safe)
        gw_buf_put32(out, (uint32_t)s->left);
    else if (s->columns[s->column].plain_bytes)
        gw_buf_adds(out, "\\\\x");
    return begin_value(s, size < 0, err);
}

bool gw_pg_slices_next(struct gw_pg_slices *s, struct gw_buf *out, uint64_t *rows, struct gw_error *err)
{
    gw_buf_clear(out);
    *rows = 0;
    while (out->len < PIECE_BYTES / 2 && (s->at < s->count || s->row)) {
        bool fine;
        if (!s->row)
            fine = begin_row(s, out, err);
        else if (s->streaming)
            fine = next_piece(s, out, rows, err);
        else
            fine = next_field(s, out, rows, err);
        if (!fine)
            return gw_error_place(err, "%s", gw_collection_label(s->collection));
    }
    return true;
}
