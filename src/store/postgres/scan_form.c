#include "store/postgres/scan_form.h"

#include "base/mem.h"
#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

#define JSONB 3802
#define BYTEA 17
#define TEXT 25
#define VARCHAR 1043
#define BPCHAR 1042
#define SMALL_STORED_BYTES "8192" /* stored smaller than this, a value is cheap to send whole */

/* ---- types ----------------------------------------------------------------------------------------------------- */

enum gw_pg_form_kind gw_pg_form_of_type(uint32_t type_oid, char typtype)
{
    if (typtype != 'b')
        return GW_FORM_TEXT;
    switch (type_oid) {
    case 16: /* bool */
    case BYTEA:
    case 20:   /* int8 */
    case 21:   /* int2 */
    case 23:   /* int4 */
    case 26:   /* oid: a number the application keeps */
    case 28:   /* xid */
    case 5069: /* xid8 */
    case 3220: /* pg_lsn */
    case 700:  /* float4 */
    case 701:  /* float8 */
    case 1700: /* numeric */
    case 790:  /* money */
    case 1082: /* date */
    case 1083: /* time */
    case 1266: /* timetz */
    case 1114: /* timestamp */
    case 1184: /* timestamptz */
    case 1186: /* interval */
    case 2950: /* uuid */
    case 869:  /* inet */
    case 650:  /* cidr */
    case 829:  /* macaddr */
    case 774:  /* macaddr8 */
    case 600:  /* point */
    case 601:  /* lseg */
    case 603:  /* box */
    case 628:  /* line */
    case 718:  /* circle */
        return GW_FORM_BINARY;
    case JSONB:
        return GW_FORM_JSONB;
    default:
        return GW_FORM_TEXT;
    }
}

/* The wire form of these is the text form already; no output function need be called by name. */
static bool is_text_on_the_wire(uint32_t oid, char typtype)
{
    return typtype == 'e' || oid == TEXT || oid == VARCHAR || oid == BPCHAR || oid == 19 /* name */ ||
           oid == 18 /* "char" */ || oid == 114 /* json */;
}

/* ---- the select lists ------------------------------------------------------------------------------------------ */

/* The column as text by its output function: a cast to text may be somebody's own and lossy. */
static void add_text_of(struct gw_buf *out, const char *name, uint32_t oid)
{
    if (oid == TEXT || oid == VARCHAR) {
        gw_buf_adds(out, "r.");
        gw_pg_add_ident(out, name);
    } else {
        gw_buf_adds(out, "format('%s', r.");
        gw_pg_add_ident(out, name);
        gw_buf_addc(out, ')');
    }
}

static void add_octets(struct gw_buf *out, const char *expression, bool utf8)
{
    gw_buf_addf(out, utf8 ? "octet_length(%s)" : "octet_length(convert_to(%s, 'UTF8'))", expression);
}

/* True for a value whose hash is wanted. On a server that is not UTF-8 a cheap look at the stored size comes first. */
static void add_is_large(struct gw_buf *out, const char *column, const char *text, uint32_t oid, bool utf8)
{
    if (oid == BYTEA) {
        gw_buf_addf(out, "octet_length(%s) > %u", column, GW_FORM_LARGE_BYTES);
        return;
    }
    if (!(utf8 && (oid == TEXT || oid == VARCHAR)))
        gw_buf_addf(out, "pg_column_size(%s) > " SMALL_STORED_BYTES " AND ", column);
    add_octets(out, text, utf8);
    gw_buf_addf(out, " > %u", GW_FORM_LARGE_BYTES);
}

/* A value of one slice is hashed as it is: cutting would read it several times. */
static void add_hash(struct gw_buf *out, const char *column, const char *text, uint32_t oid, bool utf8)
{
    gw_autobuf struct gw_buf octets = {0};
    if (oid == BYTEA)
        gw_buf_addf(&octets, "octet_length(%s)", column);
    else
        add_octets(&octets, text, utf8);
    gw_buf_addf(out, "int8send(%s::int8) || CASE WHEN %s <= %u THEN ", octets.data, octets.data, GW_FORM_SLICE);
    if (oid == BYTEA)
        gw_buf_addf(out,
                    "sha256(%s) ELSE (SELECT string_agg(sha256(substring(%s FROM g FOR %u)), ''::bytea ORDER BY g) "
                    "FROM generate_series(1, octet_length(%s), %u) g) END",
                    column, column, GW_FORM_SLICE, column, GW_FORM_SLICE);
    else
        gw_buf_addf(out,
                    "sha256(convert_to(%s, 'UTF8')) ELSE (SELECT string_agg(sha256(convert_to("
                    "substring(%s FROM g FOR %u), 'UTF8')), ''::bytea ORDER BY g) "
                    "FROM generate_series(1, char_length(%s), %u) g) END",
                    text, text, GW_FORM_SLICE, text, GW_FORM_SLICE);
}

static void add_column(struct gw_pg_form *form, struct gw_pg_form_column *column, const char *name, uint32_t oid,
                       bool utf8)
{
    gw_autobuf struct gw_buf plain = {0}, ident = {0}, text = {0}, large = {0};
    gw_buf_adds(&ident, "r.");
    gw_pg_add_ident(&ident, name);
    add_text_of(&text, name, oid);
    if (column->direct || column->kind == GW_FORM_JSONB)
        gw_buf_adds(&plain, ident.data);
    else /* IS NULL would be true for a row of NULLs */
        gw_buf_addf(&plain, "CASE WHEN num_nulls(%s) = 0 THEN %s END", ident.data, text.data);

    gw_buf_addf(&form->plain, "%s%s", form->plain_fields ? ", " : "", plain.data);
    form->plain_fields++;
    gw_buf_adds(&form->guarded, form->guarded_fields ? ", " : "");
    form->guarded_fields++;
    if (!column->guarded) {
        gw_buf_adds(&form->guarded, plain.data);
        return;
    }
    add_is_large(&large, ident.data, text.data, oid, utf8);
    gw_buf_addf(&form->guarded, "CASE WHEN NOT (%s) THEN %s END, CASE WHEN %s THEN ", large.data, plain.data,
                large.data);
    add_hash(&form->guarded, ident.data, text.data, oid, utf8);
    gw_buf_adds(&form->guarded, " END");
    form->guarded_fields++;
}

/* ---- the catalog ----------------------------------------------------------------------------------------------- */

static const char catalog_sql[] =
    "SELECT a.attname, a.atttypid, t.typtype, a.attlen, a.atttypmod, format_type(a.atttypid, a.atttypmod), c.oid,"
    "       getdatabaseencoding() = 'UTF8', c.reltoastrelid <> 0,"
    "       CASE WHEN t.typtype = 'b' AND n2.nspname <> 'pg_catalog' AND t.typelem = 0 THEN n2.nspname END "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "  JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n2 ON n2.oid = t.typnamespace "
    "WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'm')";
enum { ATTNAME, ATTTYPID, TYPTYPE, ATTLEN, ATTTYPMOD, FORMAT_TYPE, TABLE_OID, IS_UTF8, HAS_TOAST, OPERATOR_SCHEMA };

static bool can_be_large(const PGresult *rows, int row, uint32_t oid)
{
    if (strcmp(PQgetvalue(rows, row, ATTLEN), "-1") != 0 || strcmp(PQgetvalue(rows, row, HAS_TOAST), "t") != 0)
        return false;
    switch (oid) {
    case 1700: /* numeric: at most some 75 kB */
    case 869:
    case 650:
        return false;
    case VARCHAR:
    case BPCHAR: { /* 4 bytes of header, at most 4 bytes a character */
        long modifier = strtol(PQgetvalue(rows, row, ATTTYPMOD), NULL, 10);
        return modifier < 4 || modifier - 4 > (long)GW_FORM_LARGE_BYTES / 4;
    }
    default:
        return true;
    }
}

static int find_row(const PGresult *rows, const char *name)
{
    for (int i = 0; i < PQntuples(rows); i++)
        if (strcmp(PQgetvalue(rows, i, ATTNAME), name) == 0)
            return i;
    return -1;
}

static bool fill(struct gw_pg_form *form, const PGresult *rows, const struct gw_collection *collection,
                 struct gw_error *err)
{
    for (size_t i = 0; i < collection->column_count; i++) {
        const char *name = collection->columns[i].name;
        int row = find_row(rows, name);
        if (row < 0)
            return gw_fail(err, GW_ERR_CONFLICT, "column \"%s\" of %s is not there", name,
                           gw_collection_label(collection));
        uint32_t oid = (uint32_t)strtoul(PQgetvalue(rows, row, ATTTYPID), NULL, 10);
        char typtype = PQgetvalue(rows, row, TYPTYPE)[0];
        struct gw_pg_form_column *column = &form->columns[i];
        column->kind = gw_pg_form_of_type(oid, typtype);
        column->bytea = oid == BYTEA;
        column->direct =
            column->kind == GW_FORM_BINARY || (column->kind == GW_FORM_TEXT && is_text_on_the_wire(oid, typtype));
        column->guarded = can_be_large(rows, row, oid);
        column->type = gw_strdup(PQgetvalue(rows, row, FORMAT_TYPE));
        if (!PQgetisnull(rows, row, OPERATOR_SCHEMA))
            column->operator_schema = gw_strdup(PQgetvalue(rows, row, OPERATOR_SCHEMA));
        form->may_be_large |= column->guarded;
        form->table_oid = (uint32_t)strtoul(PQgetvalue(rows, row, TABLE_OID), NULL, 10);
        add_column(form, column, name, oid, PQgetvalue(rows, row, IS_UTF8)[0] == 't');
    }
    return true;
}

bool gw_pg_form_load(struct gw_pg_store *store, PGconn *conn, const struct gw_collection *collection,
                     struct gw_pg_form *out, struct gw_error *err)
{
    PGresult *rows;
    const char *params[] = {collection->space, collection->name};
    if (!gw_pg_query(store, conn, catalog_sql, 2, params, &rows, err))
        return false;
    struct gw_pg_form form = {.space = gw_strdup(collection->space),
                              .name = gw_strdup(collection->name),
                              .count = collection->column_count,
                              .columns = gw_calloc(collection->column_count + 1, sizeof *form.columns)};
    bool ok;
    if (PQntuples(rows) == 0 && collection->column_count > 0)
        ok = gw_fail(err, GW_ERR_CONFLICT, "the table %s is not there", gw_collection_label(collection));
    else
        ok = fill(&form, rows, collection, err);
    PQclear(rows);
    if (!ok) {
        gw_pg_form_release(&form);
        return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
    }
    *out = form;
    return true;
}

void gw_pg_form_release(struct gw_pg_form *form)
{
    for (size_t i = 0; i < form->count; i++) {
        free(form->columns[i].type);
        free(form->columns[i].operator_schema);
    }
    free(form->columns);
    free(form->space);
    free(form->name);
    gw_buf_release(&form->plain);
    gw_buf_release(&form->guarded);
    *form = (struct gw_pg_form){0};
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

/* The end of a slice of GW_FORM_SLICE characters (or bytes). */
static uint32_t slice_end(bool bytea, const unsigned char *bytes, uint32_t len, uint32_t at)
{
    if (bytea || len - at <= GW_FORM_SLICE)
        return len - at > GW_FORM_SLICE ? at + GW_FORM_SLICE : len;
    uint32_t characters = 0;
    for (uint32_t i = at; i < len; i++)
        if ((bytes[i] & 0xc0) != 0x80 && characters++ == GW_FORM_SLICE)
            return i;
    return len;
}

void gw_pg_form_hash(bool bytea, const unsigned char *bytes, uint32_t len, struct gw_arena *arena, struct gw_value *out)
{
    gw_autobuf struct gw_buf hash = {0};
    gw_buf_put64(&hash, len);
    for (uint32_t at = 0; at < len;) {
        uint32_t end = slice_end(bytea, bytes, len, at);
        unsigned char digest[GW_SHA256_BYTES];
        gw_sha256(bytes + at, end - at, digest);
        gw_buf_add(&hash, digest, sizeof digest);
        at = end;
    }
    *out = (struct gw_value){.kind = bytea ? GW_VALUE_TEXT : GW_VALUE_BINARY,
                             .len = (uint32_t)hash.len,
                             .bytes = gw_arena_dup(arena, hash.data, hash.len)};
}

bool gw_pg_form_is_hash(bool binary_form, const struct gw_value *value)
{
    return value->kind == (binary_form ? GW_VALUE_TEXT : GW_VALUE_BINARY);
}

static bool whole_value(const struct gw_pg_form_column *column, bool hash, struct gw_pg_copy_field field,
                        struct gw_value *value, struct gw_arena *arena, struct gw_error *err)
{
    if (column->kind == GW_FORM_JSONB) {
        if (field.len < 1 || field.bytes[0] != 1)
            return gw_fail(err, GW_ERR_UNSUPPORTED, "jsonb in a binary version that is not known");
        field.bytes++;
        field.len--;
    }
    if (hash && field.len > GW_FORM_LARGE_BYTES) {
        gw_pg_form_hash(column->bytea, field.bytes, field.len, arena, value);
        return true;
    }
    value->kind = column->kind == GW_FORM_BINARY ? GW_VALUE_BINARY : GW_VALUE_TEXT;
    value->len = field.len;
    value->bytes = field.bytes;
    return true;
}

bool gw_pg_form_row(const struct gw_pg_form *form, bool guarded, const struct gw_pg_copy_field *fields,
                    struct gw_value *values, struct gw_arena *arena, struct gw_error *err)
{
    for (size_t i = 0; i < form->count; i++) {
        const struct gw_pg_form_column *column = &form->columns[i];
        struct gw_pg_copy_field whole = *fields++, hash = {0};
        if (guarded && column->guarded)
            hash = *fields++;
        if (whole.bytes) {
            if (!whole_value(column, !form->whole, whole, &values[i], arena, err))
                return false;
        } else if (hash.bytes) {
            values[i] = (struct gw_value){column->bytea ? GW_VALUE_TEXT : GW_VALUE_BINARY, hash.len, hash.bytes};
        } else {
            values[i] = (struct gw_value){GW_VALUE_NULL, 0, NULL};
        }
    }
    return true;
}
