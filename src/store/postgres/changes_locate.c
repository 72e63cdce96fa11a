/*
 * Which chunk holds a key, as the source orders keys. Integers and uuids sort the same everywhere and are compared here;
 * everything else (text under a collation, numeric, composites of these) is sorted by the source itself, in batches:
 * bounds and keys together in one ORDER BY, and each key's chunk is the number of bounds at or before it. The columns'
 * own types and collations come from the table, named in a branch of the UNION that gives no rows.
 */
#include "store/postgres/changes.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_KEYS 1000
#define MAX_PARAMETERS 65535

/* ---- compared here --------------------------------------------------------------------------------------------- */

enum local_kind { LOCAL_NONE, LOCAL_INTEGER, LOCAL_UUID };

struct local {
    int64_t integer;
    unsigned char uuid[16];
};

static enum local_kind local_kind(const struct gw_column *column)
{
    static const char *const integers[] = {"smallint", "integer", "bigint"};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        if (strcmp(column->type, integers[i]) == 0)
            return LOCAL_INTEGER;
    return strcmp(column->type, "uuid") == 0 ? LOCAL_UUID : LOCAL_NONE;
}

static bool all_local(const struct gw_collection *c)
{
    for (size_t k = 0; k < c->key_count; k++)
        if (local_kind(&c->columns[c->key[k]]) == LOCAL_NONE)
            return false;
    return true;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_uuid(const unsigned char *text, size_t len, unsigned char out[16])
{
    unsigned digits = 0;
    memset(out, 0, 16);
    for (size_t i = 0; i < len; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            continue;
        if (digits == 32)
            return false;
        out[digits / 2] = (unsigned char)(out[digits / 2] << 4 | digit);
        digits++;
    }
    return digits == 32;
}

static bool parse_integer(const unsigned char *text, size_t len, int64_t *out)
{
    char copy[24];
    char *end;
    if (len == 0 || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = 0;
    errno = 0;
    *out = strtoll(copy, &end, 10);
    return errno == 0 && *end == 0;
}

static bool parse_binary(enum local_kind kind, const struct gw_value *v, struct local *out)
{
    if (kind == LOCAL_UUID) {
        if (v->len == 16)
            memcpy(out->uuid, v->bytes, 16);
        return v->len == 16;
    }
    switch (v->len) {
    case 2:
        out->integer = (int16_t)gw_get16(v->bytes);
        return true;
    case 4:
        out->integer = (int32_t)gw_get32(v->bytes);
        return true;
    case 8:
        out->integer = (int64_t)gw_get64(v->bytes);
        return true;
    default:
        return false;
    }
}

static bool parse_local(enum local_kind kind, const struct gw_value *v, struct local *out)
{
    if (v->kind == GW_VALUE_BINARY)
        return parse_binary(kind, v, out);
    if (v->kind != GW_VALUE_TEXT)
        return false;
    return kind == LOCAL_UUID ? parse_uuid(v->bytes, v->len, out->uuid)
                              : parse_integer(v->bytes, v->len, &out->integer);
}

static int compare_local(enum local_kind kind, const struct local *a, const struct local *b)
{
    if (kind == LOCAL_UUID)
        return memcmp(a->uuid, b->uuid, 16);
    return a->integer < b->integer ? -1 : a->integer > b->integer;
}

static bool bad_key(const struct gw_collection *c, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_BUG, "key of %s that cannot be read", gw_collection_label(c));
}

/* *order < 0: the key is before the bound. */
static bool compare_bound(const struct gw_collection *c, const struct gw_row *key, const struct gw_bound *bound,
                          int *order, struct gw_error *err)
{
    *order = 0;
    if (bound->count != c->key_count || key->count < c->key_count)
        return bad_key(c, err);
    for (size_t k = 0; k < c->key_count && *order == 0; k++) {
        enum local_kind kind = local_kind(&c->columns[c->key[k]]);
        struct gw_value text = gw_value_text(bound->texts[k]);
        struct local a = {0}, b = {0};
        if (!parse_local(kind, &key->values[k], &a) || !parse_local(kind, &text, &b))
            return bad_key(c, err);
        *order = compare_local(kind, &a, &b);
    }
    return true;
}

static bool locate_here(const struct gw_collection *c, const struct gw_bound *bounds, size_t bound_count,
                        const struct gw_row *key, uint32_t *chunk, struct gw_error *err)
{
    size_t low = 0, high = bound_count; /* the number of bounds at or before the key */
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order;
        if (!compare_bound(c, key, &bounds[middle], &order, err))
            return false;
        if (order >= 0)
            low = middle + 1;
        else
            high = middle;
    }
    *chunk = (uint32_t)low;
    return true;
}

/* ---- sorted by the source -------------------------------------------------------------------------------------- */

struct question {
    struct gw_buf sql;
    struct gw_buf *bounds; /* an array literal for each key column */
    int count;
    const char **values;
    int *lengths, *formats;
};

static void question_release(struct question *q, size_t key_count)
{
    for (size_t k = 0; k < key_count && q->bounds; k++)
        gw_buf_release(&q->bounds[k]);
    free(q->bounds);
    gw_buf_release(&q->sql);
    free(q->values);
    free(q->lengths);
    free(q->formats);
}

static void add_parameter(struct question *q, const void *bytes, size_t len, bool binary)
{
    q->values[q->count] = bytes;
    q->lengths[q->count] = (int)len;
    q->formats[q->count] = binary;
    q->count++;
}

static void add_columns(struct gw_buf *sql, const struct gw_collection *c, const char *format)
{
    for (size_t k = 0; k < c->key_count; k++)
        gw_buf_addf(sql, "%s%s%zu", k ? ", " : "", format, k);
}

static void add_bounds(struct question *q, const struct gw_collection *c, const struct gw_bound *bounds,
                       size_t bound_count)
{
    q->bounds = gw_calloc(c->key_count, sizeof *q->bounds);
    for (size_t k = 0; k < c->key_count; k++) {
        gw_pg_array_open(&q->bounds[k]);
        for (size_t i = 0; i < bound_count; i++)
            gw_pg_array_add(&q->bounds[k], bounds[i].texts[k], strlen(bounds[i].texts[k]));
        gw_pg_array_close(&q->bounds[k]);
        add_parameter(q, gw_buf_text(&q->bounds[k]), q->bounds[k].len, false);
    }
    gw_buf_adds(&q->sql, " UNION ALL SELECT ");
    for (size_t k = 0; k < c->key_count; k++)
        gw_buf_addf(&q->sql, "b%zu::%s, ", k, c->columns[c->key[k]].type);
    gw_buf_adds(&q->sql, "1, 0 FROM unnest(");
    for (size_t k = 0; k < c->key_count; k++)
        gw_buf_addf(&q->sql, "%s$%zu::text[]", k ? ", " : "", k + 1);
    gw_buf_adds(&q->sql, ") b(");
    add_columns(&q->sql, c, "b");
    gw_buf_addc(&q->sql, ')');
}

static bool add_keys(struct question *q, const struct gw_collection *c, const struct gw_row *keys, size_t count,
                     struct gw_error *err)
{
    gw_buf_adds(&q->sql, " UNION ALL VALUES ");
    for (size_t i = 0; i < count; i++) {
        gw_buf_adds(&q->sql, i ? ", (" : "(");
        for (size_t k = 0; k < c->key_count; k++) {
            const struct gw_value *v = &keys[i].values[k];
            if (keys[i].count < c->key_count || (v->kind != GW_VALUE_TEXT && v->kind != GW_VALUE_BINARY))
                return bad_key(c, err);
            add_parameter(q, v->bytes, v->len, v->kind == GW_VALUE_BINARY);
            gw_buf_addf(&q->sql, "$%d::%s, ", q->count, c->columns[c->key[k]].type);
        }
        gw_buf_addf(&q->sql, "0, %zu)", i + 1);
    }
    return true;
}

static bool make_question(struct question *q, const struct gw_collection *c, const struct gw_bound *bounds,
                          size_t bound_count, const struct gw_row *keys, size_t count, struct gw_error *err)
{
    size_t parameters = (count + 1) * c->key_count;
    q->values = gw_calloc(parameters, sizeof *q->values);
    q->lengths = gw_calloc(parameters, sizeof *q->lengths);
    q->formats = gw_calloc(parameters, sizeof *q->formats);
    gw_buf_adds(&q->sql, "SELECT chunk FROM (SELECT n, b, sum(b) OVER (ORDER BY ");
    add_columns(&q->sql, c, "k");
    gw_buf_adds(&q->sql, ", b DESC ROWS UNBOUNDED PRECEDING) AS chunk FROM (SELECT ");
    for (size_t k = 0; k < c->key_count; k++) {
        gw_pg_add_ident(&q->sql, c->columns[c->key[k]].name);
        gw_buf_addf(&q->sql, " AS k%zu, ", k);
    }
    gw_buf_adds(&q->sql, "0 AS b, 0 AS n FROM ONLY ");
    gw_pg_add_table(&q->sql, c);
    gw_buf_adds(&q->sql, " WHERE false");
    add_bounds(q, c, bounds, bound_count);
    if (!add_keys(q, c, keys, count, err))
        return false;
    gw_buf_adds(&q->sql, ") u) s WHERE b = 0 ORDER BY n");
    return true;
}

/* gw_pg_query knows text parameters only; keys of a binary stream are binary. */
static bool ask(struct gw_pg_store *store, PGconn *conn, const struct question *q, PGresult **out, struct gw_error *err)
{
    PGresult *r, *more;
    if (!PQsendQueryParams(conn, gw_buf_text(&q->sql), q->count, NULL, q->values, q->lengths, q->formats, 0))
        return gw_pg_fail(store, conn, NULL, "asking where keys are", err);
    for (;;) {
        bool ready;
        int unsent = PQflush(conn);
        if (unsent == 0 && !PQisBusy(conn))
            break;
        if (!gw_pg_wait(store, conn, unsent > 0, -1, &ready, err))
            return false;
        if (!PQconsumeInput(conn))
            return gw_pg_fail(store, conn, NULL, "asking where keys are", err);
    }
    r = PQgetResult(conn);
    while ((more = PQgetResult(conn)) != NULL)
        PQclear(more);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        gw_pg_fail(store, conn, r, "asking where keys are", err);
        PQclear(r);
        return false;
    }
    *out = r;
    return true;
}

static bool locate_there(struct gw_pg_store *store, PGconn *conn, const struct gw_collection *c,
                         const struct gw_bound *bounds, size_t bound_count, const struct gw_row *keys, size_t count,
                         uint32_t *chunk, struct gw_error *err)
{
    struct question q = {0};
    PGresult *r = NULL;
    bool fine = make_question(&q, c, bounds, bound_count, keys, count, err) && ask(store, conn, &q, &r, err);
    question_release(&q, c->key_count);
    if (!fine)
        return gw_error_place(err, "%s", gw_collection_label(c));
    if ((size_t)PQntuples(r) != count)
        fine = gw_fail(err, GW_ERR_BUG, "the source placed %d of %zu keys of %s", PQntuples(r), count,
                       gw_collection_label(c));
    for (size_t i = 0; i < count && fine; i++)
        chunk[i] = (uint32_t)strtoul(PQgetvalue(r, (int)i, 0), NULL, 10);
    PQclear(r);
    return fine;
}

bool gw_pg_locate(struct gw_store *base, const struct gw_collection *c, const struct gw_bound *bounds,
                  size_t bound_count, const struct gw_row *keys, size_t key_count, uint32_t *chunk,
                  struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    if (bound_count == 0 || c->key_count == 0) {
        memset(chunk, 0, key_count * sizeof *chunk);
        return true;
    }
    if (all_local(c)) {
        for (size_t i = 0; i < key_count; i++)
            if (!locate_here(c, bounds, bound_count, &keys[i], &chunk[i], err))
                return false;
        return true;
    }
    size_t batch = MAX_PARAMETERS / c->key_count - 1;
    if (batch > BATCH_KEYS)
        batch = BATCH_KEYS;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = true;
    for (size_t done = 0; done < key_count && fine; done += batch) {
        size_t count = key_count - done < batch ? key_count - done : batch;
        fine = locate_there(store, conn, c, bounds, bound_count, keys + done, count, chunk + done, err);
    }
    gw_pg_return(store, conn, !fine);
    return fine;
}
