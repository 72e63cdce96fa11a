/*
 * Verify's own way to read: rows of a range in one short snapshot, rows by key with their versions.
 * What the bytes of a value are: scan_form.h.
 *
 * `at` is the log's insert position, read by the statement that takes the snapshot and hence after it: a commit is
 * written into the log before any snapshot sees it, so everything this snapshot saw is before `at`. Read before the
 * snapshot, a commit could fall between the two: seen, yet behind the position the target is waited for. (The insert
 * position and not the flushed one: with synchronous_commit=off a commit is seen before it is flushed.)
 */
#include "base/mem.h"
#include "store/postgres/capture.h"
#include "store/postgres/scan_copy.h"
#include "store/postgres/scan_datum.h"
#include "store/postgres/scan_form.h"
#include "store/postgres/scan_print.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PARAMS 60000

struct gw_scan {
    struct gw_pg_store *store;
    PGconn *conn;
    struct gw_pg_form form; /* of the collection used last; name NULL: none */
    bool guarded;
    bool whole; /* large values are not hashed */
    struct gw_pg_meanings meanings;
    bool reading; /* between begin and end */
    bool at_end;  /* the rows are over, the transaction too */
    struct gw_pg_copy copy;
    char *message; /* libpq's, holds the row given out last */
    struct gw_value *values;
    struct gw_arena arena; /* of the row given out last, or of a fetch */
    PGresult *fetched;
    struct gw_row_version *versions;
    size_t version_count;
};

/* ---- session --------------------------------------------------------------------------------------------------- */

static bool connect_scan(struct gw_scan *scan, struct gw_error *err)
{
    if (!gw_pg_connect(scan->store, GW_PG_PLAIN, "verify", &scan->conn, err))
        return false;
    /* Again here: what a value looks like must not depend on how the other sessions are set up. */
    return gw_pg_exec(scan->store, scan->conn,
                      "SET client_encoding = 'UTF8'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres';"
                      "SET timezone = 'UTC'; SET bytea_output = 'hex'; SET extra_float_digits = 3;"
                      "SET lc_monetary = 'C'; SET lc_numeric = 'C'; SET xmlbinary = 'base64'; SET search_path = '';"
                      "SET quote_all_identifiers = off; SET row_security = off; SET jit = off;"
                      "SET max_parallel_workers_per_gather = 0; SET lock_timeout = '30s'",
                      err);
}

static void drop_connection(struct gw_scan *scan)
{
    PQfreemem(scan->message);
    scan->message = NULL;
    PQfinish(scan->conn);
    scan->conn = NULL;
    scan->reading = false;
}

/* A session that was left in mid-read or broke is replaced; nothing of a snapshot survives it. */
static bool ready_connection(struct gw_scan *scan, struct gw_error *err)
{
    if (scan->conn && (PQstatus(scan->conn) != CONNECTION_OK || PQtransactionStatus(scan->conn) != PQTRANS_IDLE))
        drop_connection(scan);
    if (!scan->conn && !connect_scan(scan, err)) {
        drop_connection(scan);
        return false;
    }
    return true;
}

static bool scan_open(struct gw_store *store, struct gw_scan **out, struct gw_error *err)
{
    struct gw_scan *scan = gw_zalloc(sizeof *scan);
    scan->store = gw_pg_store_of(store);
    if (!ready_connection(scan, err)) {
        free(scan);
        return false;
    }
    *out = scan;
    return true;
}

static void scan_close(struct gw_scan *scan)
{
    if (!scan)
        return;
    drop_connection(scan);
    gw_pg_form_release(&scan->form);
    gw_pg_meanings_release(&scan->meanings);
    gw_pg_copy_release(&scan->copy);
    PQclear(scan->fetched);
    gw_arena_release(&scan->arena);
    free(scan->values);
    free(scan->versions);
    free(scan);
}

static bool load_form(struct gw_scan *scan, const struct gw_collection *collection, struct gw_error *err)
{
    if (scan->form.name && strcmp(scan->form.space, collection->space) == 0 &&
        strcmp(scan->form.name, collection->name) == 0 && scan->form.count == collection->column_count)
        return true;
    gw_pg_form_release(&scan->form);
    if (!gw_pg_form_load(scan->store, scan->conn, collection, &scan->form, err))
        return false;
    scan->form.whole = scan->whole;
    scan->values = gw_realloc(scan->values, (scan->form.count + 1) * sizeof *scan->values);
    return true;
}

static bool parse_position(const char *text, struct gw_position *at, struct gw_error *err)
{
    char *slash, *end;
    uint64_t high = strtoull(text, &slash, 16);
    if (*slash != '/')
        return gw_fail(err, GW_ERR_BUG, "\"%s\" is not an LSN", text);
    uint64_t low = strtoull(slash + 1, &end, 16);
    if (*end || high > UINT32_MAX || low > UINT32_MAX)
        return gw_fail(err, GW_ERR_BUG, "\"%s\" is not an LSN", text);
    *at = (struct gw_position){.order = high << 32 | low};
    snprintf(at->text, sizeof at->text, "%s", text);
    return true;
}

/* Begins the transaction, locks, and by one statement takes the snapshot, then the position, then looks whether the
 * table may hold large values. The lock comes first: a snapshot taken before a wait behind a rewrite sees no rows. */
static bool begin_snapshot(struct gw_scan *scan, const struct gw_collection *collection, bool by_index,
                           struct gw_position *at, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE ONLY ");
    gw_pg_add_table(&sql, collection);
    gw_buf_adds(&sql, " IN ACCESS SHARE MODE;");
    /* A plan that reads the whole table for each range would be quadratic, whatever the statistics say. */
    gw_buf_addf(&sql, "SET LOCAL enable_seqscan = %s; SET LOCAL enable_bitmapscan = %s;", by_index ? "off" : "on",
                by_index ? "off" : "on");
    gw_buf_addf(&sql,
                "SELECT pg_current_wal_insert_lsn(), coalesce((SELECT pg_relation_size(c.reltoastrelid) > 0 OR "
                "EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attstorage = 'm' AND a.attnum > 0) "
                "FROM pg_class c WHERE c.oid = %u AND c.reltoastrelid <> 0), false)",
                scan->form.table_oid);
    PGresult *result;
    if (!gw_pg_query(scan->store, scan->conn, sql.data, 0, NULL, &result, err))
        return false;
    bool ok = PQntuples(result) == 1 && PQnfields(result) == 2;
    if (!ok)
        gw_fail(err, GW_ERR_BUG, "the server did not give a position");
    else
        ok = parse_position(PQgetvalue(result, 0, 0), at, err);
    scan->guarded = ok && !scan->whole && scan->form.may_be_large && PQgetvalue(result, 0, 1)[0] == 't';
    PQclear(result);
    /* Taken behind the snapshot: all that it saw is before it. */
    return ok && (!gw_pg_captures(scan->store) || gw_pg_horizon(&scan->store->base, at, err));
}

/* ---- reading a range ------------------------------------------------------------------------------------------- */

static void add_key(struct gw_buf *sql, const struct gw_collection *collection)
{
    for (size_t i = 0; i < collection->key_count; i++) {
        gw_buf_adds(sql, i ? ", r." : "r.");
        gw_pg_add_ident(sql, collection->columns[collection->key[i]].name);
    }
}

/* (k1, k2) >= ('1'::int, 'a'::text); an operator outside pg_catalog (a type of an extension) is named in full. */
static void add_bound(struct gw_buf *sql, const struct gw_pg_form *form, const struct gw_collection *collection,
                      const struct gw_bound *bound, const char *operator)
{
    gw_buf_adds(sql, "(");
    add_key(sql, collection);
    const char *schema = form->columns[collection->key[0]].operator_schema;
    if (schema) {
        gw_buf_adds(sql, ") OPERATOR(");
        gw_pg_add_ident(sql, schema);
        gw_buf_addf(sql, ".%s) (", operator);
    } else {
        gw_buf_addf(sql, ") %s (", operator);
    }
    for (size_t i = 0; i < bound->count; i++) {
        gw_buf_adds(sql, i ? ", " : "");
        gw_pg_add_literal(sql, bound->texts[i]);
        gw_buf_addf(sql, "::%s", form->columns[collection->key[i]].type);
    }
    gw_buf_adds(sql, ")");
}

static bool bound_fits(const struct gw_collection *collection, const struct gw_bound *bound)
{
    return bound->count == 0 || bound->count == collection->key_count;
}

static void add_copy(struct gw_scan *scan, const struct gw_collection *collection, const struct gw_range *range,
                     bool ordered, struct gw_buf *sql)
{
    gw_buf_addf(sql, "COPY (SELECT %s FROM ONLY ",
                gw_buf_text(scan->guarded ? &scan->form.guarded : &scan->form.plain));
    gw_pg_add_table(sql, collection);
    gw_buf_adds(sql, " r");
    if (range->low.count) {
        gw_buf_adds(sql, " WHERE ");
        add_bound(sql, &scan->form, collection, &range->low, ">=");
    }
    if (range->high.count) {
        gw_buf_adds(sql, range->low.count ? " AND " : " WHERE ");
        add_bound(sql, &scan->form, collection, &range->high, "<");
    }
    if (ordered && collection->key_count) {
        gw_buf_adds(sql, " ORDER BY ");
        add_key(sql, collection);
    }
    /* The transaction ends with the copy: its snapshot is held no longer than the rows take. */
    gw_buf_adds(sql, ") TO STDOUT (FORMAT binary); COMMIT");
}

static bool scan_begin(struct gw_scan *scan, const struct gw_collection *collection, const struct gw_range *range,
                       bool ordered, struct gw_position *at, struct gw_error *err)
{
    if (!bound_fits(collection, &range->low) || !bound_fits(collection, &range->high))
        return gw_fail(err, GW_ERR_BUG, "a bound of %s has another number of columns than its key",
                       gw_collection_label(collection));
    bool bounded = range->low.count || range->high.count;
    if (!ready_connection(scan, err) || !load_form(scan, collection, err) ||
        !begin_snapshot(scan, collection, bounded, at, err))
        return false;
    gw_autobuf struct gw_buf sql = {0};
    add_copy(scan, collection, range, ordered, &sql);
    PGresult *result;
    if (!gw_pg_query(scan->store, scan->conn, sql.data, 0, NULL, &result, err))
        return gw_error_prefix(err, "reading %s", gw_collection_label(collection));
    bool copying = PQresultStatus(result) == PGRES_COPY_OUT;
    PQclear(result);
    if (!copying)
        return gw_fail(err, GW_ERR_BUG, "the server did not begin a COPY");
    gw_pg_copy_begin(&scan->copy, scan->guarded ? scan->form.guarded_fields : scan->form.plain_fields);
    scan->reading = true;
    scan->at_end = false;
    return true;
}

/* The results behind the rows: COPY's own and COMMIT's. */
static bool finish_copy(struct gw_scan *scan, struct gw_error *err)
{
    for (;;) {
        while (PQisBusy(scan->conn)) {
            bool ready;
            if (!gw_pg_wait(scan->store, scan->conn, false, -1, &ready, err))
                return false;
            if (!PQconsumeInput(scan->conn))
                return gw_pg_fail(scan->store, scan->conn, NULL, "reading rows", err);
        }
        PGresult *result = PQgetResult(scan->conn);
        if (!result)
            return true;
        bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
        if (!ok)
            gw_pg_fail(scan->store, scan->conn, result, "reading rows", err);
        PQclear(result);
        if (!ok)
            return false;
    }
}

/* The next message of the COPY into the decoder; *more false when there is none. */
static bool next_message(struct gw_scan *scan, bool *more, struct gw_error *err)
{
    PQfreemem(scan->message);
    scan->message = NULL;
    for (;;) {
        int len = PQgetCopyData(scan->conn, &scan->message, 1);
        if (len > 0) {
            gw_pg_copy_feed(&scan->copy, scan->message, (size_t)len);
            *more = true;
            return true;
        }
        if (len == -1) {
            *more = false;
            return finish_copy(scan, err);
        }
        bool ready;
        if (len == -2)
            return gw_pg_fail(scan->store, scan->conn, NULL, "reading rows", err);
        if (!gw_pg_wait(scan->store, scan->conn, false, -1, &ready, err))
            return false;
        if (!PQconsumeInput(scan->conn))
            return gw_pg_fail(scan->store, scan->conn, NULL, "reading rows", err);
    }
}

static bool scan_next(struct gw_scan *scan, struct gw_row *row, bool *end, struct gw_error *err)
{
    bool more;
    if (!scan->reading)
        return gw_fail(err, GW_ERR_BUG, "no range is being read");
    *end = scan->at_end;
    if (scan->at_end)
        return true;
    for (;;) {
        switch (gw_pg_copy_next(&scan->copy, err)) {
        case GW_PG_COPY_ROW:
            gw_arena_reset(&scan->arena);
            if (!gw_pg_form_row(&scan->form, scan->guarded, scan->copy.fields, scan->values, &scan->arena, err))
                return false;
            *row = (struct gw_row){(uint32_t)scan->form.count, scan->values};
            return true;
        case GW_PG_COPY_END:
            if (!next_message(scan, &more, err))
                return false;
            if (more)
                return gw_fail(err, GW_ERR_CONFLICT, "rows came behind the end of COPY");
            *end = scan->at_end = true;
            return true;
        case GW_PG_COPY_MORE:
            if (!next_message(scan, &more, err))
                return false;
            if (!more)
                return gw_fail(err, GW_ERR_RETRY, "COPY ended before its trailer");
            break;
        case GW_PG_COPY_BAD:
            return false;
        }
    }
}

static bool scan_end(struct gw_scan *scan, struct gw_error *err)
{
    bool at_end = scan->at_end;
    scan->reading = false;
    (void)err;
    if (!at_end) /* what is left of the rows is not worth reading */
        drop_connection(scan);
    return true;
}

/* ---- rows by key ----------------------------------------------------------------------------------------------- */

struct params {
    int count;
    char **values;
    int *lengths, *formats;
};

static void add_param(struct params *params, const struct gw_pg_form_column *column, const struct gw_value *value,
                      struct gw_arena *arena)
{
    int i = params->count++;
    params->formats[i] = column->direct ? 1 : 0;
    params->lengths[i] = (int)value->len;
    params->values[i] = value->kind == GW_VALUE_NULL ? NULL : gw_arena_dup(arena, value->bytes, value->len);
}

/* SELECT the keys' place, version and columns for all keys at once. */
static void add_fetch(struct gw_scan *scan, const struct gw_collection *collection, const struct gw_row *keys,
                      size_t key_count, struct gw_buf *sql, struct params *params)
{
    const struct gw_pg_form *form = &scan->form;
    gw_buf_addf(sql, "SELECT k.n, r.xmin, r.ctid, %s FROM (VALUES ",
                gw_buf_text(scan->guarded ? &form->guarded : &form->plain));
    for (size_t i = 0; i < key_count; i++) {
        gw_buf_addf(sql, "%s(%zu", i ? ", " : "", i);
        for (size_t k = 0; k < collection->key_count; k++) {
            const struct gw_pg_form_column *column = &form->columns[collection->key[k]];
            add_param(params, column, &keys[i].values[k], &scan->arena);
            gw_buf_addf(sql, ", $%d::%s", params->count, column->type);
        }
        gw_buf_addc(sql, ')');
    }
    gw_buf_adds(sql, ") k(n");
    for (size_t k = 0; k < collection->key_count; k++)
        gw_buf_addf(sql, ", k%zu", k);
    gw_buf_adds(sql, ") JOIN ONLY ");
    gw_pg_add_table(sql, collection);
    gw_buf_adds(sql, " r ON ");
    for (size_t k = 0; k < collection->key_count; k++) {
        const char *schema = form->columns[collection->key[k]].operator_schema;
        gw_buf_adds(sql, k ? " AND r." : "r.");
        gw_pg_add_ident(sql, collection->columns[collection->key[k]].name);
        if (schema) {
            gw_buf_adds(sql, " OPERATOR(");
            gw_pg_add_ident(sql, schema);
            gw_buf_addf(sql, ".=) k.k%zu", k);
        } else {
            gw_buf_addf(sql, " = k.k%zu", k);
        }
    }
}

static bool send_fetch(struct gw_scan *scan, const char *sql, const struct params *params, PGresult **out,
                       struct gw_error *err)
{
    if (!PQsendQueryParams(scan->conn, sql, params->count, NULL, (const char *const *)params->values, params->lengths,
                           params->formats, 1))
        return gw_pg_fail(scan->store, scan->conn, NULL, "reading rows by key", err);
    PGresult *kept = NULL;
    for (;;) {
        int unsent = PQflush(scan->conn);
        if (unsent != 0 || PQisBusy(scan->conn)) {
            bool ready;
            if (unsent >= 0 && !gw_pg_wait(scan->store, scan->conn, unsent > 0, -1, &ready, err)) {
                PQclear(kept);
                return false;
            }
            if (unsent >= 0 && PQconsumeInput(scan->conn))
                continue;
            PQclear(kept);
            return gw_pg_fail(scan->store, scan->conn, NULL, "reading rows by key", err);
        }
        PGresult *result = PQgetResult(scan->conn);
        if (!result)
            break;
        PQclear(kept);
        kept = result;
    }
    if (PQresultStatus(kept) != PGRES_TUPLES_OK) {
        gw_pg_fail(scan->store, scan->conn, kept, "reading rows by key", err);
        PQclear(kept);
        return false;
    }
    *out = kept;
    return true;
}

/* Puts the found rows at their keys' places. */
static bool place_rows(struct gw_scan *scan, const PGresult *found, size_t key_count, struct gw_row *rows,
                       struct gw_error *err)
{
    unsigned fields = scan->guarded ? scan->form.guarded_fields : scan->form.plain_fields;
    struct gw_pg_copy_field *field = gw_arena_alloc(&scan->arena, (fields + 1) * sizeof *field);
    for (int i = 0; i < PQntuples(found); i++) {
        bool sound = PQgetlength(found, i, 0) == 4 && PQgetlength(found, i, 1) == 4 && PQgetlength(found, i, 2) == 6;
        uint32_t place = sound ? gw_get32(PQgetvalue(found, i, 0)) : UINT32_MAX;
        if (place >= key_count)
            return gw_fail(err, GW_ERR_BUG, "a row came back for a key that was not asked for");
        struct gw_row_version *version = &scan->versions[place];
        if (version->copies++)
            continue;
        version->id[0] = gw_get32(PQgetvalue(found, i, 1));
        version->id[1] = (uint64_t)gw_get32(PQgetvalue(found, i, 2)) << 16 | gw_get16(PQgetvalue(found, i, 2) + 4);
        for (unsigned f = 0; f < fields; f++) {
            int at = (int)f + 3;
            bool null = PQgetisnull(found, i, at);
            field[f] = (struct gw_pg_copy_field){null ? NULL : (const unsigned char *)PQgetvalue(found, i, at),
                                                 null ? 0 : (uint32_t)PQgetlength(found, i, at)};
        }
        struct gw_value *values = gw_arena_alloc(&scan->arena, (scan->form.count + 1) * sizeof *values);
        if (!gw_pg_form_row(&scan->form, scan->guarded, field, values, &scan->arena, err))
            return false;
        rows[place] = (struct gw_row){(uint32_t)scan->form.count, values};
    }
    return true;
}

static bool scan_fetch(struct gw_scan *scan, const struct gw_collection *collection, const struct gw_row *keys,
                       size_t key_count, struct gw_row *rows, struct gw_position *at, struct gw_error *err)
{
    if (!collection->key_count || key_count * collection->key_count > MAX_PARAMS)
        return gw_fail(err, GW_ERR_BUG, "rows of %s cannot be read by these keys", gw_collection_label(collection));
    PQclear(scan->fetched);
    scan->fetched = NULL;
    gw_arena_reset(&scan->arena);
    scan->version_count = key_count;
    scan->versions = gw_realloc(scan->versions, (key_count + 1) * sizeof *scan->versions);
    memset(scan->versions, 0, (key_count + 1) * sizeof *scan->versions);
    memset(rows, 0, key_count * sizeof *rows);
    if (!ready_connection(scan, err) || !load_form(scan, collection, err) ||
        !begin_snapshot(scan, collection, true, at, err))
        return false;

    size_t places = key_count * collection->key_count + 1;
    struct params params = {.values = gw_arena_alloc(&scan->arena, places * sizeof *params.values),
                            .lengths = gw_arena_alloc(&scan->arena, places * sizeof *params.lengths),
                            .formats = gw_arena_alloc(&scan->arena, places * sizeof *params.formats)};
    gw_autobuf struct gw_buf sql = {0};
    add_fetch(scan, collection, keys, key_count, &sql, &params);
    return send_fetch(scan, sql.data, &params, &scan->fetched, err) &&
           gw_pg_exec(scan->store, scan->conn, "COMMIT", err) && place_rows(scan, scan->fetched, key_count, rows, err);
}

static void scan_version(const struct gw_scan *scan, size_t index, struct gw_row_version *out)
{
    *out = index < scan->version_count ? scan->versions[index] : (struct gw_row_version){0};
}

/* ---- what is not visible yet ----------------------------------------------------------------------------------- */

/* Transactions with an id of which a session may be writing the commit at this moment, or waits for a standby behind
 * it. A session that is idle in its transaction has not written one. Sessions whose state we may not see count. */
static bool scan_running(struct gw_scan *scan, struct gw_buf *token, struct gw_error *err)
{
    static const char sql[] =
        "SELECT coalesce(string_agg(DISTINCT l.transactionid::text, ','), '') "
        "FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
        "WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted"
        "  AND l.pid IS DISTINCT FROM pg_backend_pid()"
        "  AND CASE WHEN l.pid IS NULL THEN EXISTS (SELECT FROM pg_stat_activity b WHERE b.state = 'active'"
        "                                             AND b.query ILIKE '%prepared%' AND b.pid <> pg_backend_pid())"
        "           ELSE a.state IS NULL OR a.state NOT LIKE 'idle%' END";
    return ready_connection(scan, err) && gw_pg_query_text(scan->store, scan->conn, sql, 0, NULL, token, NULL, err);
}

static bool scan_outlasted(struct gw_scan *scan, const char *token, bool *outlasted, struct gw_error *err)
{
    static const char sql[] = "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid'"
                              "  AND mode = 'ExclusiveLock' AND granted"
                              "  AND transactionid::text = ANY (string_to_array($1, ','))";
    gw_autobuf struct gw_buf left = {0};
    if (!*token) {
        *outlasted = true;
        return true;
    }
    if (!ready_connection(scan, err) || !gw_pg_query_text(scan->store, scan->conn, sql, 1, &token, &left, NULL, err))
        return false;
    *outlasted = strcmp(gw_buf_text(&left), "0") == 0;
    return true;
}

/* ---- how keys are ordered -------------------------------------------------------------------------------------- */

/* One line a key column: empty where bytes or the type's own order decide, else provider, locale and its version. */
static const char order_sql[] =
    "WITH db AS (SELECT d.oid, to_jsonb(d) AS j FROM pg_database d WHERE d.datname = current_database()),"
    " place AS ("
    "  SELECT a.attname, c.oid,"
    "         CASE c.collprovider WHEN 'd' THEN coalesce(db.j->>'datlocprovider', 'c') ELSE c.collprovider::text END AS p,"
    "         CASE WHEN c.collprovider <> 'd' THEN"
    "                coalesce(to_jsonb(c)->>'colllocale', to_jsonb(c)->>'colliculocale', c.collcollate::text)"
    "              WHEN coalesce(db.j->>'datlocprovider', 'c') = 'c' THEN db.j->>'datcollate'"
    "              ELSE coalesce(db.j->>'datlocale', db.j->>'daticulocale') END AS locale,"
    "         c.collisdeterministic AS plain"
    "  FROM db, pg_attribute a JOIN pg_class t ON t.oid = a.attrelid JOIN pg_namespace n ON n.oid = t.relnamespace"
    "    JOIN pg_collation c ON c.oid = a.attcollation"
    "  WHERE n.nspname = $1 AND t.relname = $2 AND a.attname = ANY ($3::text[]) AND NOT a.attisdropped)"
    "SELECT coalesce(string_agg(CASE"
    "    WHEN p = 'b' OR p = 'c' AND locale IN ('C', 'POSIX') THEN NULL"
    "    ELSE concat_ws(' ', p, locale, coalesce(CASE p WHEN 'c' THEN"
    "             (SELECT max(pg_collation_actual_version(o.oid)) FROM pg_collation o WHERE o.collprovider = 'c')"
    "           ELSE (SELECT max(pg_collation_actual_version(o.oid)) FROM pg_collation o"
    "                 WHERE o.collprovider = 'i' AND o.collname = 'und-x-icu') END, '?'),"
    "         CASE WHEN NOT plain THEN 'nondeterministic' END) END,"
    "  '; ' ORDER BY array_position($3::text[], attname::text)), '') FROM place";

static void add_array_item(struct gw_buf *out, const char *text)
{
    gw_buf_adds(out, out->len > 1 ? ",\"" : "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            gw_buf_addc(out, '\\');
        gw_buf_addc(out, *text);
    }
    gw_buf_addc(out, '"');
}

static bool scan_key_order(struct gw_scan *scan, const struct gw_collection *collection, struct gw_buf *name,
                           struct gw_error *err)
{
    gw_autobuf struct gw_buf keys = {0};
    gw_buf_addc(&keys, '{');
    for (size_t i = 0; i < collection->key_count; i++)
        add_array_item(&keys, collection->columns[collection->key[i]].name);
    gw_buf_addc(&keys, '}');
    const char *params[] = {collection->space, collection->name, keys.data};
    return ready_connection(scan, err) &&
           gw_pg_query_text(scan->store, scan->conn, order_sql, 3, params, name, NULL, err);
}

static void scan_whole_values(struct gw_scan *scan)
{
    scan->whole = true;
    scan->form.whole = true;
}

static bool scan_to_datum(struct gw_scan *scan, const struct gw_column *column, const struct gw_value *value,
                          struct gw_arena *arena, struct gw_datum *out, struct gw_error *err)
{
    const struct gw_pg_coding *coding;
    return gw_pg_meaning_find(&scan->meanings, scan->store, column, &coding, err) &&
           gw_pg_scan_datum(coding, column, value, arena, out, err);
}

static bool scan_from_datum(struct gw_scan *scan, const struct gw_column *column, const struct gw_datum *datum,
                            struct gw_arena *arena, struct gw_value *out, struct gw_error *err)
{
    const struct gw_pg_coding *coding;
    return gw_pg_meaning_find(&scan->meanings, scan->store, column, &coding, err) &&
           gw_pg_scan_value(coding, column, datum, arena, out, err);
}

const struct gw_scan_facet gw_pg_scan = {
    .open = scan_open,
    .close = scan_close,
    .begin = scan_begin,
    .next = scan_next,
    .end = scan_end,
    .fetch = scan_fetch,
    .to_datum = scan_to_datum,
    .from_datum = scan_from_datum,
    .whole_values = scan_whole_values,
    .print = gw_pg_print,
    .key_order = scan_key_order,
    .version = scan_version,
    .running = scan_running,
    .outlasted = scan_outlasted,
};
