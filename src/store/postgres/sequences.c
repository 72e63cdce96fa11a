#include "store/postgres/sequences.h"

#include "base/mem.h"
#include "sql_embedded.h"

#include <stdlib.h>
#include <string.h>

#define READ_AT_ONCE 200

struct sequence {
    char *space, *name;
    int64_t increment, last;
    bool cycles, owned, called;
};

struct sequences {
    struct sequence *items; /* sorted by space and name, as bytes */
    size_t count;
};

static void release(struct sequences *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->items[i].space);
        free(s->items[i].name);
    }
    free(s->items);
    *s = (struct sequences){0};
}

static void add_name(struct gw_buf *out, const struct sequence *s)
{
    gw_pg_add_ident(out, s->space);
    gw_buf_addc(out, '.');
    gw_pg_add_ident(out, s->name);
}

static bool list(struct gw_pg_store *store, PGconn *conn, struct sequences *out, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn, gw_sql_sequences_list, 0, NULL, &r, err))
        return false;
    out->count = (size_t)PQntuples(r);
    out->items = gw_calloc(out->count + 1, sizeof *out->items);
    for (size_t i = 0; i < out->count; i++) {
        struct sequence *s = &out->items[i];
        s->space = gw_strdup(PQgetvalue(r, (int)i, 0));
        s->name = gw_strdup(PQgetvalue(r, (int)i, 1));
        s->increment = strtoll(PQgetvalue(r, (int)i, 2), NULL, 10);
        s->cycles = *PQgetvalue(r, (int)i, 3) == 't';
        s->owned = *PQgetvalue(r, (int)i, 4) == 't';
    }
    PQclear(r);
    return true;
}

/* last_value is beyond what any session holds in its cache: never behind what was handed out. */
static bool read_values(struct gw_pg_store *store, PGconn *conn, struct sequences *all, struct gw_error *err)
{
    for (size_t i = 0; i < all->count;) {
        gw_autobuf struct gw_buf sql = {0};
        PGresult *r;
        size_t end = i + READ_AT_ONCE < all->count ? i + READ_AT_ONCE : all->count;
        for (size_t k = i; k < end; k++) {
            gw_buf_addf(&sql, "%sSELECT %zu, last_value, is_called FROM ", k > i ? " UNION ALL " : "", k);
            add_name(&sql, &all->items[k]);
        }
        if (!gw_pg_query(store, conn, gw_buf_text(&sql), 0, NULL, &r, err))
            return false;
        for (int row = 0; row < PQntuples(r); row++) {
            struct sequence *s = &all->items[strtoull(PQgetvalue(r, row, 0), NULL, 10)];
            s->last = strtoll(PQgetvalue(r, row, 1), NULL, 10);
            s->called = *PQgetvalue(r, row, 2) == 't';
        }
        PQclear(r);
        i = end;
    }
    return true;
}

static bool learn(struct gw_pg_store *store, bool values, struct sequences *out, struct gw_error *err)
{
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = list(store, conn, out, err) && (!values || read_values(store, conn, out, err));
    gw_pg_return(store, conn, !fine);
    return fine;
}

static int compare(const void *a, const void *b)
{
    const struct sequence *x = a, *y = b;
    int by_space = strcmp(x->space, y->space);
    return by_space ? by_space : strcmp(x->name, y->name);
}

/* Would setting `to` to where `from` stands take it back? A cycling one has no ahead. */
static bool is_ahead(const struct sequence *to, const struct sequence *from)
{
    if (to->last == from->last)
        return to->called || !from->called;
    return !from->cycles && (from->increment > 0 ? to->last > from->last : to->last < from->last);
}

static bool plan(const struct sequences *from, const struct sequences *to, struct gw_buf *sql, size_t *count,
                 struct gw_error *err)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct sequence *s = &from->items[i];
        const struct sequence *there = bsearch(s, to->items, to->count, sizeof *s, compare);
        gw_autobuf struct gw_buf name = {0};
        if (!there && s->owned) /* its table is left out */
            continue;
        if (!there) {
            gw_fail(err, GW_ERR_CONFLICT, "sequence %s.%s is not there", s->space, s->name);
            return gw_error_hint(err, "it was made after the copy began: make it on the other side, too");
        }
        (*count)++;
        if (is_ahead(there, s))
            continue;
        add_name(&name, s);
        gw_buf_adds(sql, "SELECT setval(");
        gw_pg_add_literal(sql, gw_buf_text(&name));
        gw_buf_addf(sql, "::regclass, %lld, %s);", (long long)s->last, s->called ? "true" : "false");
    }
    return true;
}

static bool set_all(struct gw_pg_store *to, const char *sql, struct gw_error *err)
{
    PGconn *conn;
    if (!gw_pg_borrow(to, &conn, err))
        return false;
    bool fine = gw_pg_exec(to, conn, sql, err);
    gw_pg_return(to, conn, !fine);
    return fine;
}

bool gw_pg_sync_sequences(struct gw_store *from_base, struct gw_store *to_base, size_t *count, struct gw_error *err)
{
    struct gw_pg_store *from = gw_pg_store_of(from_base), *to = gw_pg_store_of(to_base);
    struct sequences source = {0}, target = {0};
    gw_autobuf struct gw_buf sql = {0};
    size_t seen = 0;
    bool fine = learn(from, true, &source, err) && learn(to, true, &target, err);
    if (fine && !plan(&source, &target, &sql, &seen, err))
        fine = gw_error_place(err, "%s %s", gw_side_name(to_base->side), to_base->identity.address);
    release(&source);
    release(&target);
    if (fine && sql.len > 0)
        fine = set_all(to, gw_buf_text(&sql), err);
    if (fine)
        *count = seen;
    return fine;
}

bool gw_pg_missing_sequences(struct gw_store *from, struct gw_store *to, struct gw_buf *lines, struct gw_error *err)
{
    struct sequences source = {0}, target = {0};
    bool fine = learn(gw_pg_store_of(from), false, &source, err) && learn(gw_pg_store_of(to), false, &target, err);
    for (size_t i = 0; fine && i < source.count; i++) {
        const struct sequence *s = &source.items[i];
        if (!s->owned && !bsearch(s, target.items, target.count, sizeof *s, compare))
            gw_buf_addf(lines, "sequence %s.%s is missing on %s: make it there, as it is on %s\n", s->space, s->name,
                        gw_side_name(to->side), gw_side_name(from->side));
    }
    release(&source);
    release(&target);
    return fine;
}
