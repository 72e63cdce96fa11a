#include "store/postgres/pgoutput.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define POSTGRES_EPOCH_US INT64_C(946684800000000) /* 2000-01-01 in microseconds of the Unix epoch */

struct gw_pgoutput {
    const struct gw_schema *schema;
    struct gw_pgoutput_relation **relations;
    size_t relation_count, relation_capacity;
    struct gw_pgoutput_relation *last; /* rows of one table come in runs */
    struct gw_value *old, *row;
    size_t old_capacity, row_capacity;
    uint32_t *ids;
    size_t id_capacity;
};

struct gw_pgoutput *gw_pgoutput_new(const struct gw_schema *schema)
{
    struct gw_pgoutput *d = gw_zalloc(sizeof *d);
    d->schema = schema;
    return d;
}

static void relation_free(struct gw_pgoutput_relation *r)
{
    if (!r)
        return;
    for (uint16_t i = 0; i < r->column_count; i++)
        free(r->columns[i].name);
    free(r->columns);
    free(r->places);
    free(r->space);
    free(r->name);
    free(r);
}

void gw_pgoutput_free(struct gw_pgoutput *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->relation_count; i++)
        relation_free(d->relations[i]);
    free(d->relations);
    free(d->old);
    free(d->row);
    free(d->ids);
    free(d);
}

static bool malformed(struct gw_error *err, const char *what)
{
    gw_fail(err, GW_ERR_BUG, "malformed message in the change log: %s", what);
    return gw_error_hint(err, "report this with the server's version; nothing was applied");
}

/* ---- relations ------------------------------------------------------------------------------------------------- */

static size_t relation_slot(const struct gw_pgoutput *d, uint32_t id)
{
    size_t low = 0, high = d->relation_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (d->relations[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct gw_pgoutput_relation *find(const struct gw_pgoutput *d, uint32_t id)
{
    if (d->last && d->last->id == id)
        return d->last;
    size_t at = relation_slot(d, id);
    return at < d->relation_count && d->relations[at]->id == id ? d->relations[at] : NULL;
}

const struct gw_pgoutput_relation *gw_pgoutput_find(const struct gw_pgoutput *d, uint32_t id)
{
    return find(d, id);
}

static void keep(struct gw_pgoutput *d, struct gw_pgoutput_relation *fresh)
{
    size_t at = relation_slot(d, fresh->id);
    if (at < d->relation_count && d->relations[at]->id == fresh->id) {
        if (!fresh->collection)
            fresh->was = d->relations[at]->collection ? d->relations[at]->collection : d->relations[at]->was;
        relation_free(d->relations[at]);
    } else {
        d->relations = gw_grow(d->relations, &d->relation_capacity, d->relation_count, sizeof *d->relations);
        memmove(d->relations + at + 1, d->relations + at, (d->relation_count - at) * sizeof *d->relations);
        d->relation_count++;
    }
    d->relations[at] = fresh;
    d->last = fresh;
}

static void recognise_home(struct gw_pgoutput_relation *r)
{
    r->token = -1;
    if (strcmp(r->space, "godwit") != 0)
        return;
    if (strcmp(r->name, "position") == 0 || strcmp(r->name, "chunk") == 0) {
        r->home = GW_PGOUTPUT_HOME_OURS;
    } else if (strcmp(r->name, "signal") == 0) {
        r->home = GW_PGOUTPUT_HOME_SIGNAL;
        for (uint16_t i = 0; i < r->column_count; i++)
            if (strcmp(r->columns[i].name, "token") == 0)
                r->token = i;
    }
}

static int32_t place_of(const struct gw_collection *collection, const char *name)
{
    for (size_t i = 0; i < collection->column_count; i++)
        if (strcmp(collection->columns[i].name, name) == 0)
            return (int32_t)i;
    return -1;
}

/* Columns are matched by name: the plan's numbers say nothing about a table that was altered. */
static void match(const struct gw_pgoutput *d, struct gw_pgoutput_relation *r)
{
    recognise_home(r);
    if (r->home == GW_PGOUTPUT_HOME_NONE)
        r->collection = gw_schema_find(d->schema, r->space, r->name);
    for (size_t i = 0; i < d->schema->count && !r->collection && r->home == GW_PGOUTPUT_HOME_NONE; i++)
        if (d->schema->collections[i].engine_id == r->id && r->id)
            r->was = &d->schema->collections[i];
    r->places = gw_calloc(r->column_count ? r->column_count : 1u, sizeof *r->places);
    for (uint16_t i = 0; i < r->column_count; i++)
        r->places[i] = r->collection ? place_of(r->collection, r->columns[i].name) : (int32_t)i;
}

static bool decode_relation(struct gw_pgoutput *d, struct gw_cursor *c, struct gw_pgoutput_message *out,
                            struct gw_error *err)
{
    uint32_t id = gw_cursor_u32(c);
    const char *space = gw_cursor_cstr(c);
    const char *name = gw_cursor_cstr(c);
    char identity = (char)gw_cursor_u8(c);
    uint16_t count = gw_cursor_u16(c);
    if (c->bad || count > GW_PGOUTPUT_MAX_COLUMNS)
        return malformed(err, "relation");
    struct gw_pgoutput_relation *r = gw_zalloc(sizeof *r);
    r->id = id;
    r->space = gw_strdup(*space ? space : "pg_catalog"); /* how the protocol abbreviates that one */
    r->name = gw_strdup(name);
    r->identity = identity;
    r->columns = gw_calloc(count ? count : 1u, sizeof *r->columns);
    for (; r->column_count < count; r->column_count++) {
        struct gw_pgoutput_column *column = &r->columns[r->column_count];
        column->in_identity = (gw_cursor_u8(c) & 1) != 0;
        const char *column_name = gw_cursor_cstr(c);
        column->type_id = gw_cursor_u32(c);
        column->modifier = (int32_t)gw_cursor_u32(c);
        if (c->bad || !column_name) {
            relation_free(r);
            return malformed(err, "relation's column");
        }
        column->name = gw_strdup(column_name);
    }
    match(d, r);
    keep(d, r);
    out->relation = r;
    return true;
}

static void differ(struct gw_buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void differ(struct gw_buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (out->len)
        gw_buf_adds(out, "; ");
    gw_buf_vaddf(out, format, args);
    va_end(args);
}

/* UPDATE and DELETE must name the planned key: with another replica identity they would carry other columns. */
static void compare_identity(const struct gw_pgoutput_relation *r, struct gw_buf *out)
{
    const struct gw_collection *planned = r->collection;
    if (r->identity == 'f')
        return;
    if (r->identity == 'n' || planned->key_kind == GW_KEY_NONE) {
        differ(out, "the replica identity no longer tells old rows apart (%s)",
               r->identity == 'n' ? "NOTHING" : "it has to be FULL, the table has no key");
        return;
    }
    for (size_t k = 0; k < planned->key_count; k++) {
        bool covered = false;
        for (uint16_t i = 0; i < r->column_count && !covered; i++)
            covered = r->columns[i].in_identity && r->places[i] == (int32_t)planned->key[k];
        if (!covered)
            differ(out, "key column %s is no longer in the replica identity", planned->columns[planned->key[k]].name);
    }
}

static void compare_planned(const struct gw_pgoutput_relation *r, const char *const *type_names, struct gw_buf *words)
{
    const struct gw_collection *planned = r->collection;
    for (size_t p = 0; p < planned->column_count; p++) {
        const struct gw_column *column = &planned->columns[p];
        uint16_t i = 0;
        while (i < r->column_count && r->places[i] != (int32_t)p)
            i++;
        if (i == r->column_count && !column->generated)
            differ(words, "column %s is gone", column->name);
        else if (i < r->column_count && column->generated)
            differ(words, "column %s is no longer generated", column->name);
        else if (i < r->column_count && strcmp(column->type, type_names[i]) != 0)
            differ(words, "column %s: %s became %s", column->name, column->type, type_names[i]);
    }
    compare_identity(r, words);
}

bool gw_pgoutput_only_more(const struct gw_pgoutput_relation *r, const char *const *type_names)
{
    gw_autobuf struct gw_buf words = {0};
    compare_planned(r, type_names, &words);
    return words.len == 0;
}

bool gw_pgoutput_same(const struct gw_pgoutput_relation *r, const char *const *type_names, struct gw_buf *difference)
{
    gw_autobuf struct gw_buf words = {0};
    if (!r->collection)
        return true;
    compare_planned(r, type_names, &words);
    for (uint16_t i = 0; i < r->column_count; i++)
        if (r->places[i] < 0)
            differ(&words, "column %s %s is new", r->columns[i].name, type_names[i]);
    gw_buf_add(difference, words.data, words.len);
    return words.len == 0;
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

static size_t width_of(const struct gw_pgoutput_relation *r)
{
    return r->collection ? r->collection->column_count : r->column_count;
}

static bool decode_value(struct gw_cursor *c, struct gw_value *out)
{
    uint8_t kind = gw_cursor_u8(c);
    *out = (struct gw_value){0};
    switch (kind) {
    case 'n':
        return !c->bad;
    case 'u':
        out->kind = GW_VALUE_UNCHANGED;
        return !c->bad;
    case 't':
    case 'b':
        out->kind = kind == 't' ? GW_VALUE_TEXT : GW_VALUE_BINARY;
        out->len = gw_cursor_u32(c);
        out->bytes = gw_cursor_bytes(c, out->len);
        return !c->bad && out->bytes;
    default:
        return false;
    }
}

/* key_only: what is not part of the replica identity stands as NULL in the message and means nothing. */
static bool decode_row(struct gw_cursor *c, const struct gw_pgoutput_relation *r, bool key_only,
                       struct gw_value **values, size_t *capacity, struct gw_row *out, struct gw_error *err)
{
    size_t width = width_of(r);
    uint16_t count = gw_cursor_u16(c);
    if (c->bad || count != r->column_count)
        return malformed(err, "row has another number of columns than its relation");
    *values = gw_grow(*values, capacity, width, sizeof **values);
    for (size_t i = 0; i < width; i++)
        (*values)[i] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    for (uint16_t i = 0; i < count; i++) {
        struct gw_value value;
        if (!decode_value(c, &value))
            return malformed(err, "value of a row");
        if (r->places[i] >= 0 && !(key_only && !r->columns[i].in_identity))
            (*values)[r->places[i]] = value;
    }
    *out = (struct gw_row){.count = (uint32_t)width, .values = *values};
    return true;
}

/* Under replica identity full the old row is complete, also where the new one leaves an unchanged value out. */
static void fill_unchanged(struct gw_row *row, const struct gw_row *old)
{
    for (uint32_t i = 0; i < row->count && i < old->count; i++)
        if (row->values[i].kind == GW_VALUE_UNCHANGED && old->values[i].kind != GW_VALUE_ABSENT)
            row->values[i] = old->values[i];
}

static bool decode_old(struct gw_pgoutput *d, struct gw_cursor *c, uint8_t tag, struct gw_pgoutput_message *out,
                       struct gw_error *err)
{
    out->old_is_whole = tag == 'O';
    return decode_row(c, out->relation, tag == 'K', &d->old, &d->old_capacity, &out->old, err);
}

static bool decode_change(struct gw_pgoutput *d, struct gw_cursor *c, struct gw_pgoutput_message *out,
                          struct gw_error *err)
{
    struct gw_pgoutput_relation *r = find(d, gw_cursor_u32(c));
    uint8_t tag = gw_cursor_u8(c);
    if (c->bad || !r)
        return malformed(err, "row of a relation that was not described");
    d->last = r;
    out->relation = r;
    if (tag == 'K' || tag == 'O') {
        if (out->kind == GW_PGOUTPUT_INSERT)
            return malformed(err, "old row in an insert");
        if (!decode_old(d, c, tag, out, err))
            return false;
        if (out->kind == GW_PGOUTPUT_DELETE)
            return true;
        tag = gw_cursor_u8(c);
    }
    if (c->bad || tag != 'N' || out->kind == GW_PGOUTPUT_DELETE)
        return malformed(err, "row without its new or old part");
    if (!decode_row(c, r, false, &d->row, &d->row_capacity, &out->row, err))
        return false;
    if (out->old_is_whole)
        fill_unchanged(&out->row, &out->old);
    return true;
}

static bool decode_truncate(struct gw_pgoutput *d, struct gw_cursor *c, struct gw_pgoutput_message *out,
                            struct gw_error *err)
{
    uint32_t count = gw_cursor_u32(c);
    (void)gw_cursor_u8(c); /* CASCADE and RESTART IDENTITY: all tables are listed; sequences go their own way */
    if (c->bad || count > gw_cursor_left(c) / 4)
        return malformed(err, "truncate");
    d->ids = gw_grow(d->ids, &d->id_capacity, count, sizeof *d->ids);
    for (uint32_t i = 0; i < count; i++)
        d->ids[i] = gw_cursor_u32(c);
    out->truncate_count = count;
    out->truncate_ids = d->ids;
    return true;
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

/* A far-off time must not overflow: what a server sends is data. */
static int64_t unix_us(uint64_t postgres_us)
{
    int64_t us;
    return __builtin_add_overflow((int64_t)postgres_us, POSTGRES_EPOCH_US, &us) ? INT64_MAX : us;
}

static void decode_begin(struct gw_cursor *c, struct gw_pgoutput_message *out)
{
    out->lsn = gw_cursor_u64(c);
    out->commit_wall_us = unix_us(gw_cursor_u64(c));
    out->xid = gw_cursor_u32(c);
}

static void decode_commit(struct gw_cursor *c, struct gw_pgoutput_message *out)
{
    (void)gw_cursor_u8(c); /* flags: none are defined */
    out->lsn = gw_cursor_u64(c);
    out->end_lsn = gw_cursor_u64(c);
    out->commit_wall_us = unix_us(gw_cursor_u64(c));
}

static bool decode_body(struct gw_pgoutput *d, uint8_t tag, struct gw_cursor *c, struct gw_pgoutput_message *out,
                        struct gw_error *err)
{
    switch (tag) {
    case 'B':
        out->kind = GW_PGOUTPUT_BEGIN;
        decode_begin(c, out);
        return true;
    case 'C':
        out->kind = GW_PGOUTPUT_COMMIT;
        decode_commit(c, out);
        return true;
    case 'I':
        out->kind = GW_PGOUTPUT_INSERT;
        return decode_change(d, c, out, err);
    case 'U':
        out->kind = GW_PGOUTPUT_UPDATE;
        return decode_change(d, c, out, err);
    case 'D':
        out->kind = GW_PGOUTPUT_DELETE;
        return decode_change(d, c, out, err);
    case 'T':
        out->kind = GW_PGOUTPUT_TRUNCATE;
        return decode_truncate(d, c, out, err);
    case 'R':
        out->kind = GW_PGOUTPUT_RELATION;
        return decode_relation(d, c, out, err);
    case 'O':
    case 'Y':
    case 'M':
        out->kind = GW_PGOUTPUT_NOTHING;
        c->at = c->end;
        return true;
    default:
        return malformed(err, "unknown kind");
    }
}

bool gw_pgoutput_decode(struct gw_pgoutput *d, const void *bytes, size_t len, struct gw_pgoutput_message *out,
                        struct gw_error *err)
{
    struct gw_cursor c = gw_cursor_of(bytes, len);
    struct gw_pgoutput_message message = {0};
    uint8_t tag = gw_cursor_u8(&c);
    if (c.bad)
        return malformed(err, "empty");
    if (!decode_body(d, tag, &c, &message, err))
        return false;
    if (c.bad)
        return malformed(err, "too short");
    if (gw_cursor_left(&c) != 0)
        return malformed(err, "bytes behind its end");
    *out = message;
    return true;
}
