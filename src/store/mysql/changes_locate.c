/*
 * Which chunk holds a key, as the source orders keys. What sorts the same everywhere (numbers, bytes, times) is compared
 * here; texts under a collation, UUIDs and addresses are sorted by the source itself, in batches: bounds and keys
 * together in one ORDER BY, and each key's chunk is the number of bounds at or before it.
 */
#include "store/mysql/changes.h"

#include "base/mem.h"
#include "store/mysql/keys.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_KEYS 1000

enum order {
    BY_SOURCE,
    BY_BYTES,  /* hexadecimal, and times of which all have as many digits */
    BY_NUMBER, /* of any length */
    BY_DOUBLE,
    BY_FLOAT,
};

static enum order order_of(const struct gw_mysql_form *form)
{
    switch (form->kind) {
    case GW_MYSQL_DOUBLE:
        return BY_DOUBLE;
    case GW_MYSQL_FLOAT:
        return BY_FLOAT;
    case GW_MYSQL_ENUM: /* its number */
    case GW_MYSQL_SET:
    case GW_MYSQL_BIT:
    case GW_MYSQL_TIME: /* without its colons */
        return BY_NUMBER;
    case GW_MYSQL_BINARY:
    case GW_MYSQL_VARBINARY:
    case GW_MYSQL_BLOB:
    case GW_MYSQL_DATE:
    case GW_MYSQL_DATETIME:
    case GW_MYSQL_TIMESTAMP:
        return BY_BYTES;
    default:
        return gw_mysql_is_number(form) ? BY_NUMBER : BY_SOURCE;
    }
}

/* ---- compared here --------------------------------------------------------------------------------------------- */

/* The digits of a number or a time, without what stands between them and without leading zeros. */
static void digits_of(const char *text, bool *negative, char out[128])
{
    size_t len = 0;
    *negative = *text == '-';
    for (; *text && len < 127; text++)
        if (*text >= '0' && *text <= '9' && (len > 0 || *text != '0'))
            out[len++] = *text;
    out[len] = 0;
    if (len == 0)
        *negative = false;
}

/* Both have as many digits behind the point: the column's. */
static int compare_numbers(const char *a, const char *b)
{
    char digits_a[128], digits_b[128];
    bool negative_a, negative_b;
    digits_of(a, &negative_a, digits_a);
    digits_of(b, &negative_b, digits_b);
    if (negative_a != negative_b)
        return negative_a ? -1 : 1;
    size_t len_a = strlen(digits_a), len_b = strlen(digits_b);
    int order = len_a != len_b ? (len_a < len_b ? -1 : 1) : strcmp(digits_a, digits_b);
    return negative_a ? -order : order;
}

static int compare_texts(enum order order, const char *a, const char *b)
{
    if (order == BY_BYTES)
        return strcmp(a, b);
    if (order == BY_NUMBER)
        return compare_numbers(a, b);
    double x = strtod(a, NULL), y = strtod(b, NULL);
    if (order == BY_FLOAT) {
        x = (double)(float)x;
        y = (double)(float)y;
    }
    return x < y ? -1 : x > y;
}

struct question {
    const struct gw_collection *c;
    const struct gw_mysql_form *forms;
    const struct gw_bound *bounds;
    size_t bound_count;
};

static const struct gw_mysql_form *form_of(const struct question *q, size_t k)
{
    return &q->forms[q->c->key[k]];
}

static int compare_bound(const struct question *q, char *const *key, const struct gw_bound *bound)
{
    int order = 0;
    for (size_t k = 0; k < q->c->key_count && order == 0; k++)
        order = compare_texts(order_of(form_of(q, k)), key[k], bound->texts[k]);
    return order;
}

static uint32_t locate_here(const struct question *q, char *const *key)
{
    size_t low = 0, high = q->bound_count; /* the number of bounds at or before the key */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_bound(q, key, &q->bounds[middle]) >= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

/* ---- sorted by the source -------------------------------------------------------------------------------------- */

static bool add_sortable(struct gw_buf *sql, const struct gw_mysql_form *form, const char *text, struct gw_error *err)
{
    gw_autobuf struct gw_buf literal = {0};
    char digits[128];
    bool negative;
    switch (order_of(form)) {
    case BY_BYTES:
        gw_buf_adds(sql, "CAST(");
        gw_mysql_add_literal(sql, text);
        gw_buf_adds(sql, " AS BINARY)");
        return true;
    case BY_NUMBER:
        digits_of(text, &negative, digits);
        gw_buf_addf(sql, "%s%s", negative ? "-" : "", *digits ? digits : "0");
        return true;
    case BY_DOUBLE:
    case BY_FLOAT:
        gw_buf_addf(sql, "%.17ge0", order_of(form) == BY_FLOAT ? (double)strtof(text, NULL) : strtod(text, NULL));
        return true;
    default:
        break;
    }
    if (!gw_mysql_add_bound(&literal, form, text, err))
        return false;
    if (*form->collation)
        gw_buf_addf(sql, "CONVERT(%s USING %s) COLLATE %s", gw_buf_text(&literal), form->charset, form->collation);
    else
        gw_buf_addf(sql, "CAST(%s AS %s)", gw_buf_text(&literal), form->base);
    return true;
}

static bool add_line(struct gw_buf *sql, const struct question *q, bool is_mariadb, char *const *texts, bool bound,
                     size_t number, struct gw_error *err)
{
    gw_buf_adds(sql, is_mariadb ? "(" : "ROW(");
    for (size_t k = 0; k < q->c->key_count; k++) {
        if (!add_sortable(sql, form_of(q, k), texts[k], err))
            return false;
        gw_buf_addc(sql, ',');
    }
    gw_buf_addf(sql, "%d,%zu)", bound, number);
    return true;
}

/* Keys can be longer than what a sort looks at by default. */
static bool make_question(struct gw_buf *sql, const struct question *q, bool is_mariadb, char **const *keys,
                          size_t count, struct gw_error *err)
{
    gw_buf_adds(sql, is_mariadb ? "SET STATEMENT max_sort_length = 8192 FOR WITH u (" : "WITH u (");
    for (size_t k = 0; k < q->c->key_count; k++)
        gw_buf_addf(sql, "k%zu, ", k);
    gw_buf_adds(sql, "b, n) AS (VALUES ");
    for (size_t i = 0; i < q->bound_count; i++) {
        if (!add_line(sql, q, is_mariadb, q->bounds[i].texts, true, 0, err))
            return false;
        gw_buf_addc(sql, ',');
    }
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            gw_buf_addc(sql, ',');
        if (!add_line(sql, q, is_mariadb, keys[i], false, i + 1, err))
            return false;
    }
    gw_buf_addf(sql, ") SELECT %schunk FROM (SELECT n, b, SUM(b) OVER (ORDER BY ",
                is_mariadb ? "" : "/*+ SET_VAR(max_sort_length = 8192) */ ");
    for (size_t k = 0; k < q->c->key_count; k++)
        gw_buf_addf(sql, "k%zu, ", k);
    gw_buf_adds(sql, "b DESC ROWS UNBOUNDED PRECEDING) AS chunk FROM u) s WHERE b = 0 ORDER BY n");
    return true;
}

static bool locate_there(struct gw_mysql_conn *conn, const struct question *q, char **const *keys, size_t count,
                         uint32_t *chunk, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    MYSQL_RES *r;
    MYSQL_ROW row;
    size_t got = 0;
    if (!make_question(&sql, q, conn->store->is_mariadb, keys, count, err) ||
        !gw_mysql_query(conn, gw_buf_text(&sql), &r, err))
        return gw_error_place(err, "%s", gw_collection_label(q->c));
    while ((row = mysql_fetch_row(r)) && got < count)
        chunk[got++] = (uint32_t)strtoul(row[0], NULL, 10);
    mysql_free_result(r);
    return got == count ||
           gw_fail(err, GW_ERR_BUG, "the source placed %zu of %zu keys of %s", got, count, gw_collection_label(q->c));
}

/* ---- both ------------------------------------------------------------------------------------------------------ */

static char **texts_of(const struct question *q, const struct gw_row *key)
{
    char **texts = gw_calloc(q->c->key_count, sizeof *texts);
    for (size_t k = 0; k < q->c->key_count; k++)
        texts[k] = gw_mysql_bound_of_value(form_of(q, k), &key->values[k]);
    return texts;
}

static bool check_keys(const struct question *q, const struct gw_row *keys, size_t count, struct gw_error *err)
{
    for (size_t i = 0; i < q->bound_count; i++)
        if (q->bounds[i].count != q->c->key_count)
            return gw_fail(err, GW_ERR_BUG, "a bound of %s that cannot be read", gw_collection_label(q->c));
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < q->c->key_count; k++)
            if (keys[i].count < q->c->key_count || !keys[i].values[k].bytes)
                return gw_fail(err, GW_ERR_BUG, "key of %s that cannot be read", gw_collection_label(q->c));
    return true;
}

static bool locate_all(struct gw_mysql_store *store, const struct question *q, char **const *texts, size_t count,
                       uint32_t *chunk, struct gw_error *err)
{
    bool here = true;
    for (size_t k = 0; k < q->c->key_count; k++)
        here = here && order_of(form_of(q, k)) != BY_SOURCE;
    for (size_t i = 0; i < count && here; i++)
        chunk[i] = locate_here(q, texts[i]);
    if (here)
        return true;
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(store, &conn, err))
        return false;
    bool fine = true;
    for (size_t done = 0; done < count && fine; done += BATCH_KEYS)
        fine = locate_there(conn, q, texts + done, count - done < BATCH_KEYS ? count - done : BATCH_KEYS, chunk + done,
                            err);
    gw_mysql_return(conn, !fine);
    return fine;
}

bool gw_mysql_locate(struct gw_store *base, const struct gw_collection *c, const struct gw_bound *bounds,
                     size_t bound_count, const struct gw_row *keys, size_t key_count, uint32_t *chunk,
                     struct gw_error *err)
{
    if (bound_count == 0 || c->key_count == 0) {
        memset(chunk, 0, key_count * sizeof *chunk);
        return true;
    }
    struct gw_mysql_form *forms = gw_mysql_forms_of(c);
    struct question q = {.c = c, .forms = forms, .bounds = bounds, .bound_count = bound_count};
    bool fine = check_keys(&q, keys, key_count, err);
    if (fine) {
        char ***texts = gw_calloc(key_count + 1, sizeof *texts);
        for (size_t i = 0; i < key_count; i++)
            texts[i] = texts_of(&q, &keys[i]);
        fine = locate_all(gw_mysql_store_of(base), &q, texts, key_count, chunk, err);
        for (size_t i = 0; i < key_count; i++) {
            for (size_t k = 0; k < c->key_count; k++)
                free(texts[i][k]);
            free(texts[i]);
        }
        free(texts);
    }
    gw_mysql_forms_free(forms, c->column_count);
    return fine;
}
