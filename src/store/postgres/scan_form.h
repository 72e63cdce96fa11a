/*
 * How verify asks PostgreSQL for a table's rows, and what the canonical bytes of a value are: the same value gives the
 * same bytes on any server, whatever its settings, encoding, locale, OIDs or storage.
 *
 * Decided here from the side's own catalog, not from what the copy thinks of a type:
 *   GW_FORM_BINARY  the binary wire form, for built-in types whose binary form holds nothing of the server: integers,
 *                   floats (by their bits: -0 and 0 differ), numeric (with its scale, as stored: 1.0 and 1.00 differ),
 *                   dates and times, uuid, inet, bytea, ...
 *   GW_FORM_TEXT    the type's output under pinned settings, UTF-8: text itself (trailing spaces count), char(n) with
 *                   its padding, json as stored, enums, arrays, composites, ranges, domains, types of extensions,
 *                   and everything that would hold an OID (regclass)
 *   GW_FORM_JSONB   jsonb's output: key order and duplicate keys do not count, 1 and 1.0 differ
 * A value of more than GW_FORM_LARGE_BYTES is replaced by the hash of it: 8 bytes length, then SHA-256 of each slice of
 * GW_FORM_SLICE bytes (bytea) or characters (all else); computed by the server where the value is stored large, so that
 * a 900 MB value neither crosses the wire nor stands in our memory. Which of the two a value has depends on the value
 * alone. A hash is told from a value by the kind: a BINARY form's is GW_VALUE_TEXT, the others' GW_VALUE_BINARY.
 */
#ifndef GW_STORE_POSTGRES_SCAN_FORM_H
#define GW_STORE_POSTGRES_SCAN_FORM_H

#include "base/arena.h"
#include "model/schema.h"
#include "model/value.h"
#include "store/postgres/conn.h"
#include "store/postgres/scan_copy.h"

#define GW_FORM_LARGE_BYTES (256u << 10)
#define GW_FORM_SLICE (16u << 20)

enum gw_pg_form_kind { GW_FORM_BINARY, GW_FORM_TEXT, GW_FORM_JSONB };

struct gw_pg_form_column {
    enum gw_pg_form_kind kind;
    bool bytea;
    bool direct;           /* the wire field is the column itself: it can be handed back as a binary parameter */
    bool guarded;          /* may be large: a second field carries the hash when the query is the guarded one */
    char *type;            /* this side's name of the type, for casts; owned */
    char *operator_schema; /* owned; where the type's comparison lives, NULL: pg_catalog */
};

struct gw_pg_form {
    char *space, *name;
    uint32_t table_oid;
    size_t count;
    struct gw_pg_form_column *columns; /* in the collection's order; owned */
    struct gw_buf plain, guarded;      /* select lists over the alias r */
    uint16_t plain_fields, guarded_fields;
    bool may_be_large;
    bool whole; /* nothing is replaced by its hash */
};

void gw_pg_form_release(struct gw_pg_form *);
/* From this side's catalog. GW_ERR_CONFLICT when the table or a column is not there. */
GW_MUST_CHECK bool gw_pg_form_load(struct gw_pg_store *, PGconn *, const struct gw_collection *, struct gw_pg_form *out,
                                   struct gw_error *);
/* Which kind a built-in type has; types that are not built in, and kinds of types but base and enum, are TEXT. */
enum gw_pg_form_kind gw_pg_form_of_type(uint32_t type_oid, char typtype);
/* A row of fields to canonical values (values has form->count places). What is computed comes from the arena. */
GW_MUST_CHECK bool gw_pg_form_row(const struct gw_pg_form *, bool guarded, const struct gw_pg_copy_field *fields,
                                  struct gw_value *values, struct gw_arena *, struct gw_error *);
/* The hash form of a value that came whole. */
void gw_pg_form_hash(bool bytea, const unsigned char *bytes, uint32_t len, struct gw_arena *, struct gw_value *out);
bool gw_pg_form_is_hash(bool binary_form, const struct gw_value *);

#endif
