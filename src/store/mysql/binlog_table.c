/*
 * TABLE_MAP against the plan. The event tells types and sizes, never who is who: names and signs only with
 * binlog_row_metadata. So columns are matched by their place and form, and where that leaves a doubt the stream asks the
 * catalog (gw_binlog_table_settle).
 */
#include "store/mysql/binlog_decoder.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 4096

enum metadata { SIGNEDNESS = 1, COLUMN_NAME = 4 };

const struct gw_collection *gw_binlog_table_collection(const struct gw_binlog_table *t)
{
    return t->collection;
}

enum gw_binlog_home gw_binlog_table_home(const struct gw_binlog_table *t)
{
    return t->home;
}

enum gw_binlog_fit gw_binlog_table_fit(const struct gw_binlog_table *t)
{
    return t->fit;
}

/* ---- character sets ---- */

static const struct gw_binlog_charset *charset_of(struct gw_binlog *b, const struct gw_mysql_form *form)
{
    bool text = form->kind == GW_MYSQL_CHAR || form->kind == GW_MYSQL_VARCHAR || form->kind == GW_MYSQL_TEXT;
    return text ? gw_binlog_charset_get(b->charsets, form->charset) : NULL;
}

bool gw_binlog_ask_charset(struct gw_binlog *b, const char **question)
{
    for (size_t i = 0; i < b->schema->count; i++)
        for (size_t k = 0; k < b->schema->collections[i].column_count; k++)
            charset_of(b, &b->forms[i][k]);
    return gw_binlog_charsets_ask(b->charsets, question);
}

bool gw_binlog_answer_charset(struct gw_binlog *b, const char *answer, size_t len, struct gw_error *err)
{
    return gw_binlog_charsets_answer(b->charsets, answer, len, err);
}

/* ---- columns of the event ---- */

/* CHAR, BINARY, ENUM and SET are one type: two bytes tell which, and how long. */
static bool take_string_type(struct gw_cursor *in, struct gw_binlog_column *c, uint32_t *most)
{
    const unsigned char *p = gw_take(in, 2);
    if (!p)
        return false;
    unsigned real = p[0], len = p[1];
    if ((real & 0x30) != 0x30) {
        len |= ((real & 0x30) ^ 0x30) << 4;
        real |= 0x30;
    }
    if (real == GW_BINLOG_ENUM || real == GW_BINLOG_SET) {
        c->type = (uint8_t)real;
        c->size = (uint16_t)len;
        return len >= 1 && len <= (real == GW_BINLOG_ENUM ? 2 : 8);
    }
    if (real != GW_BINLOG_STRING && real != GW_BINLOG_VAR_STRING)
        return false;
    c->type = GW_BINLOG_STRING;
    c->size = len > 255 ? 2 : 1;
    *most = len;
    return true;
}

static bool take_sized(struct gw_cursor *in, struct gw_binlog_column *c, uint32_t *most)
{
    const unsigned char *p = gw_take(in, 2);
    if (!p)
        return false;
    switch (c->type) {
    case GW_BINLOG_BIT:
        c->size = (uint16_t)(p[1] + (p[0] > 0));
        *most = p[1] * 8u + p[0];
        return c->size >= 1 && c->size <= 8;
    case GW_BINLOG_NEWDECIMAL:
        c->size = p[0];
        c->digits = p[1];
        return p[0] >= 1 && p[0] <= 65 && p[1] <= p[0] && p[1] <= 38;
    default:
        *most = gw_le16(p);
        c->size = *most > 255 ? 2 : 1;
        return true;
    }
}

static bool take_type(struct gw_cursor *in, struct gw_binlog_column *c, uint32_t *most)
{
    switch (c->type) {
    case GW_BINLOG_TINY:
    case GW_BINLOG_SHORT:
    case GW_BINLOG_INT24:
    case GW_BINLOG_LONG:
    case GW_BINLOG_LONGLONG:
    case GW_BINLOG_YEAR:
    case GW_BINLOG_DATE:
    case GW_BINLOG_NEWDATE:
    case GW_BINLOG_TIME:
    case GW_BINLOG_DATETIME:
    case GW_BINLOG_TIMESTAMP:
        return true;
    case GW_BINLOG_FLOAT:
    case GW_BINLOG_DOUBLE:
        return gw_take_le(in, 1) == (c->type == GW_BINLOG_FLOAT ? 4 : 8);
    case GW_BINLOG_TIME2:
    case GW_BINLOG_DATETIME2:
    case GW_BINLOG_TIMESTAMP2:
        c->digits = (uint8_t)gw_take_le(in, 1);
        return c->digits <= 6;
    case GW_BINLOG_TINY_BLOB:
    case GW_BINLOG_MEDIUM_BLOB:
    case GW_BINLOG_LONG_BLOB:
        c->type = GW_BINLOG_BLOB;
        __attribute__((fallthrough));
    case GW_BINLOG_BLOB:
    case GW_BINLOG_BLOB_COMPRESSED:
    case GW_BINLOG_GEOMETRY:
    case GW_BINLOG_VECTOR:
    case GW_BINLOG_JSON:
        c->size = (uint16_t)gw_take_le(in, 1);
        return c->size >= 1 && c->size <= 4;
    case GW_BINLOG_STRING:
    case GW_BINLOG_VAR_STRING:
    case GW_BINLOG_ENUM:
    case GW_BINLOG_SET:
        return take_string_type(in, c, most);
    case GW_BINLOG_VARCHAR:
    case GW_BINLOG_VARCHAR_COMPRESSED:
    case GW_BINLOG_BIT:
    case GW_BINLOG_NEWDECIMAL:
        return take_sized(in, c, most);
    default:
        return false;
    }
}

static bool has_sign(const struct gw_binlog *b, uint8_t type)
{
    switch (type) {
    case GW_BINLOG_TINY:
    case GW_BINLOG_SHORT:
    case GW_BINLOG_INT24:
    case GW_BINLOG_LONG:
    case GW_BINLOG_LONGLONG:
    case GW_BINLOG_FLOAT:
    case GW_BINLOG_DOUBLE:
    case GW_BINLOG_NEWDECIMAL:
        return true;
    case GW_BINLOG_YEAR:
        return b->mariadb;
    default:
        return false;
    }
}

/* ---- does it fit? ---- */

static unsigned blob_bytes(uint64_t most)
{
    return most <= 0xff ? 1 : most <= 0xffff ? 2 : most <= 0xffffff ? 3 : 4;
}

static bool fits_string(const struct gw_binlog_column *c, uint32_t most, const struct gw_mysql_form *form,
                        const struct gw_binlog_charset *charset)
{
    unsigned width = charset ? gw_binlog_charset_width(charset) : 1;
    switch (form->kind) {
    case GW_MYSQL_CHAR:
    case GW_MYSQL_BINARY:
        return c->type == GW_BINLOG_STRING && (width == 0 || most == form->length * width);
    case GW_MYSQL_VARCHAR:
    case GW_MYSQL_VARBINARY: /* a compressed one says one byte more than it may hold */
        return (c->type == GW_BINLOG_VARCHAR && (width == 0 || most == form->length * width)) ||
               c->type == GW_BINLOG_VARCHAR_COMPRESSED;
    default: /* TEXT, BLOB */
        return (c->type == GW_BINLOG_BLOB || c->type == GW_BINLOG_BLOB_COMPRESSED) &&
               c->size == blob_bytes(form->length);
    }
}

static bool fits(const struct gw_binlog_column *c, uint32_t most, const struct gw_mysql_form *form,
                 const struct gw_binlog_charset *charset)
{
    static const uint8_t integers[] = {GW_BINLOG_TINY, GW_BINLOG_SHORT, GW_BINLOG_INT24, GW_BINLOG_LONG,
                                       GW_BINLOG_LONGLONG};
    if (gw_mysql_is_integer(form))
        return c->type == integers[form->kind - GW_MYSQL_TINYINT];
    switch (form->kind) {
    case GW_MYSQL_DECIMAL:
        return c->type == GW_BINLOG_NEWDECIMAL && c->size == form->precision && c->digits == form->scale;
    case GW_MYSQL_FLOAT:
        return c->type == GW_BINLOG_FLOAT;
    case GW_MYSQL_DOUBLE:
        return c->type == GW_BINLOG_DOUBLE;
    case GW_MYSQL_BIT:
        return c->type == GW_BINLOG_BIT && most == form->length;
    case GW_MYSQL_YEAR:
        return c->type == GW_BINLOG_YEAR;
    case GW_MYSQL_DATE:
        return c->type == GW_BINLOG_DATE || c->type == GW_BINLOG_NEWDATE;
    case GW_MYSQL_TIME:
        return (c->type == GW_BINLOG_TIME2 || c->type == GW_BINLOG_TIME) && c->digits == form->scale;
    case GW_MYSQL_DATETIME:
        return (c->type == GW_BINLOG_DATETIME2 || c->type == GW_BINLOG_DATETIME) && c->digits == form->scale;
    case GW_MYSQL_TIMESTAMP:
        return (c->type == GW_BINLOG_TIMESTAMP2 || c->type == GW_BINLOG_TIMESTAMP) && c->digits == form->scale;
    case GW_MYSQL_ENUM:
        return c->type == GW_BINLOG_ENUM && c->size == (form->label_count > 255 ? 2 : 1);
    case GW_MYSQL_SET: {
        size_t bytes = (form->label_count + 7) / 8;
        return c->type == GW_BINLOG_SET && c->size == (bytes > 4 ? 8 : bytes);
    }
    case GW_MYSQL_JSON:
        return c->type == GW_BINLOG_JSON;
    case GW_MYSQL_GEOMETRY:
        return c->type == GW_BINLOG_GEOMETRY;
    case GW_MYSQL_UUID:
    case GW_MYSQL_INET6:
        return c->type == GW_BINLOG_STRING && most == 16;
    case GW_MYSQL_INET4:
        return c->type == GW_BINLOG_STRING && most == 4;
    case GW_MYSQL_OTHER:
        return false;
    default:
        return fits_string(c, most, form, charset);
    }
}

/* The column of the event stands for this one of the plan. */
static void aim(struct gw_binlog *b, struct gw_binlog_table *t, size_t column, uint32_t target)
{
    struct gw_binlog_column *c = &t->columns[column];
    const struct gw_mysql_form *form = &b->forms[t->collection - b->schema->collections][target];
    c->form = form;
    c->charset = charset_of(b, form);
    c->is_unsigned = form->is_unsigned;
    c->utf8 = c->charset && gw_binlog_charset_is_utf8(c->charset);
    c->target = t->collection->columns[target].generated ? UINT32_MAX : target;
    c->wanted_old =
        c->target != UINT32_MAX && (t->collection->key_count == 0 || t->collection->columns[target].key_position > 0);
}

static void sum_up(struct gw_binlog_table *t)
{
    size_t aimed = 0;
    for (size_t i = 0; i < t->column_count; i++)
        aimed += t->columns[i].target != UINT32_MAX;
    t->covers = aimed == t->width;
    for (size_t i = 0; t->collection && i < t->collection->column_count; i++)
        t->has_generated |= t->collection->columns[i].generated;
}

static void aim_by_place(struct gw_binlog *b, struct gw_binlog_table *t, const uint32_t *most)
{
    const struct gw_mysql_form *forms = b->forms[t->collection - b->schema->collections];
    size_t planned = t->collection->column_count;
    t->fit = t->column_count == planned ? GW_BINLOG_FITS : GW_BINLOG_UNKNOWN;
    for (size_t i = 0; i < t->column_count; i++) {
        struct gw_binlog_column *c = &t->columns[i];
        if (i >= planned)
            continue;
        bool same_sign = c->target == UINT32_MAX || c->is_unsigned == forms[i].is_unsigned;
        bool same_name = !c->name || strcmp(c->name, t->collection->columns[i].name) == 0;
        if (!fits(c, most[i], &forms[i], charset_of(b, &forms[i])) || !same_name || !same_sign)
            t->fit = GW_BINLOG_UNKNOWN;
    }
    if (t->fit == GW_BINLOG_FITS)
        for (uint32_t i = 0; i < planned; i++)
            aim(b, t, i, i);
}

/* Our own tables are made with utf8mb4; what in them is bytes nobody reads here. */
static void aim_home(struct gw_binlog *b, struct gw_binlog_table *t)
{
    t->fit = GW_BINLOG_FITS;
    for (size_t i = 0; i < t->column_count; i++) {
        struct gw_binlog_column *c = &t->columns[i];
        c->target = (uint32_t)i;
        c->charset = gw_binlog_charset_get(b->charsets, "utf8mb4");
        c->utf8 = c->wanted_old = true;
    }
}

/* ---- the event ---- */

static bool take_signs(struct gw_binlog *b, struct gw_binlog_table *t, struct gw_cursor in)
{
    unsigned bit = 0, bits = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        struct gw_binlog_column *c = &t->columns[i];
        if (!has_sign(b, c->type))
            continue;
        if (bit % 8 == 0)
            bits = (unsigned)gw_take_le(&in, 1);
        c->is_unsigned = bits >> (7 - bit++ % 8) & 1;
        c->target = 0; /* its sign is known */
    }
    return !in.bad;
}

static bool take_names(struct gw_binlog_table *t, struct gw_cursor in)
{
    size_t len = gw_cursor_left(&in);
    char *at = t->names = gw_alloc(len + t->column_count + 1);
    for (size_t i = 0; i < t->column_count; i++) {
        size_t name_len = (size_t)gw_take_packed(&in);
        const unsigned char *name = gw_take(&in, name_len);
        if (!name)
            return false;
        memcpy(at, name, name_len);
        at[name_len] = 0;
        t->columns[i].name = at;
        at += name_len + 1;
    }
    return true;
}

static bool take_metadata(struct gw_binlog *b, struct gw_binlog_table *t, struct gw_cursor *in)
{
    while (gw_cursor_left(in) > 0) {
        unsigned kind = (unsigned)gw_take_le(in, 1);
        size_t len = (size_t)gw_take_packed(in);
        const unsigned char *bytes = gw_take(in, len);
        if (!bytes)
            return false;
        if (kind == SIGNEDNESS && !take_signs(b, t, gw_cursor_of(bytes, len)))
            return false;
        if (kind == COLUMN_NAME && !t->names && !take_names(t, gw_cursor_of(bytes, len)))
            return false;
    }
    return !in->bad;
}

static bool take_columns(struct gw_binlog *b, struct gw_binlog_table *t, struct gw_cursor *in, uint32_t *most,
                         struct gw_error *err)
{
    const unsigned char *types = gw_take(in, t->column_count);
    size_t sizes_len = (size_t)gw_take_packed(in);
    const unsigned char *sizes = gw_take(in, sizes_len);
    gw_take(in, (t->column_count + 7) / 8);
    if (in->bad)
        return gw_binlog_bad(err, "a table's columns");
    struct gw_cursor size = gw_cursor_of(sizes, sizes_len);
    for (size_t i = 0; i < t->column_count; i++) {
        struct gw_binlog_column *c = &t->columns[i];
        c->target = UINT32_MAX;
        c->type = types[i];
        if (!take_type(&size, c, &most[i]))
            return gw_fail(err, GW_ERR_UNSUPPORTED, "a column of type %u in the binlog cannot be read", types[i]);
    }
    return (!size.bad && take_metadata(b, t, in)) || gw_binlog_bad(err, "what a table's columns are called");
}

static bool take_table(struct gw_binlog *b, struct gw_binlog_table *t, struct gw_cursor *in, struct gw_error *err)
{
    uint64_t count = gw_take_packed(in);
    if (in->bad || count == 0 || count > COLUMNS_MAX || count > gw_cursor_left(in))
        return gw_binlog_bad(err, "how many columns a table has");
    t->column_count = (size_t)count;
    t->columns = gw_calloc(t->column_count, sizeof *t->columns);
    gw_autofree uint32_t *most = gw_calloc(t->column_count, sizeof *most);
    if (!take_columns(b, t, in, most, err))
        return false;
    if (t->home == GW_BINLOG_HOME_NONE) {
        t->width = (uint32_t)t->collection->column_count;
        aim_by_place(b, t, most);
    } else {
        t->width = (uint32_t)t->column_count;
        aim_home(b, t);
    }
    sum_up(t);
    return true;
}

/* False: of no interest. */
static bool is_ours(const struct gw_binlog *b, const char *database, const char *name, struct gw_binlog_table *t)
{
    if (strcmp(database, b->database) != 0)
        return false;
    t->collection = gw_schema_find(b->schema, "", name);
    if (strcmp(name, "godwit_position") == 0 || strcmp(name, "godwit_chunk") == 0)
        t->home = GW_BINLOG_HOME_OURS;
    else if (strcmp(name, "godwit_signal") == 0)
        t->home = GW_BINLOG_HOME_SIGNAL;
    return t->collection || t->home != GW_BINLOG_HOME_NONE;
}

static void remember(struct gw_binlog *b, uint64_t id, struct gw_binlog_table *t)
{
    size_t i = 0;
    while (i < b->number_count && b->numbers[i].id != id)
        i++;
    if (i == b->number_count) {
        b->numbers = gw_grow(b->numbers, &b->number_capacity, b->number_count, sizeof *b->numbers);
        b->number_count++;
    }
    b->numbers[i] = (struct gw_binlog_number){.id = id, .table = t};
}

bool gw_binlog_table_map(struct gw_binlog *b, const struct gw_binlog_event *e, struct gw_binlog_table **out,
                         struct gw_error *err)
{
    struct gw_cursor in = gw_cursor_of(e->body, e->body_len);
    uint64_t id = gw_take_le(&in, b->table_id_len);
    const unsigned char *rest = in.at;
    size_t rest_len = gw_cursor_left(&in);
    gw_take(&in, 2);
    size_t database_len = (size_t)gw_take_le(&in, 1);
    const unsigned char *database = gw_take(&in, database_len + 1);
    size_t name_len = (size_t)gw_take_le(&in, 1);
    const unsigned char *name = gw_take(&in, name_len + 1);
    if (in.bad || database[database_len] || name[name_len])
        return gw_binlog_bad(err, "a table's name");
    if (b->numbers_over) { /* a statement names all its tables before its rows */
        b->number_count = 0;
        b->numbers_over = false;
    }
    struct gw_binlog_table found = {0}, *t;
    *out = NULL;
    if (is_ours(b, (const char *)database, (const char *)name, &found)) {
        found.hash = gw_hash64(rest, rest_len, 0);
        for (t = b->tables; t && t->hash != found.hash; t = t->next)
            ;
        if (!t) {
            if (!take_table(b, &found, &in, err)) {
                free(found.columns);
                free(found.names);
                return gw_error_place(err, "%s", (const char *)name);
            }
            t = gw_memdup(&found, sizeof found);
            t->next = b->tables;
            b->tables = t;
        }
        *out = t;
    }
    remember(b, id, *out);
    return true;
}

/* ---- a table that is not column for column as planned ---- */

/* What column `i` of the event is called: as the event says, else as the catalog does now. */
static const char *name_of(const struct gw_binlog_table *t, const struct gw_collection *now, size_t i)
{
    if (t->columns[i].name)
        return t->columns[i].name;
    return now && i < now->column_count ? now->columns[i].name : NULL;
}

static const struct gw_column *find_column(const struct gw_collection *c, const char *name)
{
    for (size_t i = 0; i < c->column_count; i++)
        if (strcmp(c->columns[i].name, name) == 0)
            return &c->columns[i];
    return NULL;
}

static bool same_kind(const struct gw_binlog_column *c, const struct gw_mysql_form *form)
{
    /* Its length may differ from what was planned: a longer text is a text. The catalog's word is compared as a whole. */
    switch (form->kind) {
    case GW_MYSQL_CHAR:
    case GW_MYSQL_BINARY:
    case GW_MYSQL_UUID:
    case GW_MYSQL_INET4:
    case GW_MYSQL_INET6:
        return c->type == GW_BINLOG_STRING;
    case GW_MYSQL_VARCHAR:
    case GW_MYSQL_VARBINARY:
        return c->type == GW_BINLOG_VARCHAR || c->type == GW_BINLOG_VARCHAR_COMPRESSED;
    case GW_MYSQL_BIT:
        return c->type == GW_BINLOG_BIT && c->size == (form->length + 7) / 8;
    default:
        return fits(c, 0, form, NULL);
    }
}

static bool aim_by_name(struct gw_binlog *b, struct gw_binlog_table *t, const struct gw_collection *now)
{
    const struct gw_collection *plan = t->collection;
    const struct gw_mysql_form *forms = b->forms[plan - b->schema->collections];
    size_t found = 0;
    if (!now && !t->names)
        return false;
    for (size_t i = 0; i < t->column_count; i++) {
        const char *name = name_of(t, now, i);
        const struct gw_column *column = name ? find_column(plan, name) : NULL;
        t->columns[i].target = UINT32_MAX;
        if (!column)
            continue;
        uint32_t target = (uint32_t)(column - plan->columns);
        const struct gw_column *is = now ? find_column(now, name) : NULL;
        if (!same_kind(&t->columns[i], &forms[target]) || (is && strcmp(is->type, column->type) != 0))
            return false;
        aim(b, t, i, target);
        found++;
    }
    return found == plan->column_count;
}

void gw_binlog_table_settle(struct gw_binlog *b, struct gw_binlog_table *t, const struct gw_collection *now,
                            struct gw_buf *difference)
{
    gw_buf_clear(difference);
    bool same = now && gw_collection_same_shape(t->collection, now, difference);
    bool aimed = aim_by_name(b, t, now);
    sum_up(t);
    if (!now)
        gw_buf_adds(difference, "the table is gone");
    if (aimed && same) /* what is more is the server's own: columns of history, of a long unique key */
        t->fit = GW_BINLOG_FITS;
    else
        t->fit = aimed ? GW_BINLOG_MAPPED : GW_BINLOG_FOREIGN;
    if (t->fit == GW_BINLOG_FITS)
        gw_buf_clear(difference);
    else if (difference->len == 0)
        gw_buf_addf(difference, "rows of %zu columns are in the log, and not as planned", t->column_count);
}
