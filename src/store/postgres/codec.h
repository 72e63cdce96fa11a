/*
 * Values of PostgreSQL as canonical values, and back. Private to store/postgres/.
 *
 *   codec.c          the facet: blocks and rows             codec_type.c     which type is which kind; type_for
 *   codec_binary.c   the binary wire form                   codec_text.c     the text form, as conn.c pins it
 *   codec_numeric.c  numeric's digits                       codec_foreign.c  text of types that have no kind
 *   codec_array.c    arrays in both forms                   codec_check.c    what a column can hold
 *
 * Sources of formats: each type's send and receive function in the server's src/backend/utils/adt, and its chapter on
 * COPY for the frames.
 */
#ifndef GW_STORE_POSTGRES_CODEC_H
#define GW_STORE_POSTGRES_CODEC_H

#include "model/definition.h"
#include "store/postgres/conn.h"

enum gw_pg_code {
    GW_PG_CODE_BOOL,
    GW_PG_CODE_INT, /* of `width` bytes */
    GW_PG_CODE_OID,
    GW_PG_CODE_NUMERIC,
    GW_PG_CODE_FLOAT4,
    GW_PG_CODE_FLOAT8,
    GW_PG_CODE_TEXT,
    GW_PG_CODE_BYTEA,
    GW_PG_CODE_DATE,
    GW_PG_CODE_TIME,
    GW_PG_CODE_TIMESTAMP, /* with and without zone: the kind tells */
    GW_PG_CODE_INTERVAL,
    GW_PG_CODE_UUID,
    GW_PG_CODE_JSON,
    GW_PG_CODE_JSONB,
    GW_PG_CODE_BITS,
    GW_PG_CODE_ENUM,
    GW_PG_CODE_ARRAY,
    GW_PG_CODE_GEOMETRY, /* PostGIS: the text form is EWKB in hex */
    GW_PG_CODE_FOREIGN,  /* TEXT as the server writes it */
};

/* How values of a column stand on the wire. */
struct gw_pg_coding {
    enum gw_pg_code code;
    uint8_t width;
    bool writes_binary; /* we can write the binary form */
    bool reads_binary;  /* we can read it */
    bool range, multirange;
    unsigned zeros;               /* NUMERIC of negative scale: so many digits before the point are 0 */
    char delimiter;               /* ARRAY: between elements in the text form */
    uint32_t type_id;             /* below all domains */
    struct gw_type type;          /* owned */
    struct gw_pg_coding *element; /* owned; ARRAY: of its elements, ranges: of their bounds */
    const char *column;           /* borrowed; for messages */
};
void gw_pg_coding_release(struct gw_pg_coding *coding);

/* ---- types (codec_type.c) ---- */

/* Types that are not built in, as the server describes them; those in columns, and all that they are made of. */
struct gw_pg_types;
/* `oids`: what is asked for, "{1,2}". *out owned, never NULL. */
GW_MUST_CHECK bool gw_pg_types_load(struct gw_pg_store *, PGconn *, const char *oids, struct gw_pg_types **out,
                                    struct gw_error *);
void gw_pg_types_free(struct gw_pg_types *); /* NULL is fine */
/* Known without asking the server. */
bool gw_pg_type_is_known(uint32_t oid);
/* `sql_type` as format_type writes it, with modifiers; `types` may be NULL when all are known without. */
void gw_pg_coding_make(struct gw_pg_coding *out, const struct gw_pg_types *types, uint32_t oid, const char *sql_type);
/* Of a built-in type by the name that type_for gives it: as a column of that type would be described. */
void gw_pg_coding_of_sql(struct gw_pg_coding *out, const char *sql_type);
GW_MUST_CHECK bool gw_pg_type_for(const struct gw_type *wanted, struct gw_buf *sql_type, struct gw_type *got,
                                  struct gw_error *);

/* ---- values ---- */

/* Reading borrows from the bytes or the arena. */
GW_MUST_CHECK bool gw_pg_read_binary(const struct gw_pg_coding *, const unsigned char *bytes, uint32_t len,
                                     struct gw_arena *, struct gw_datum *out, struct gw_error *);
GW_MUST_CHECK bool gw_pg_read_text(const struct gw_pg_coding *, const char *text, uint32_t len, struct gw_arena *,
                                   struct gw_datum *out, struct gw_error *);
/* Writing appends, without length; the datum passed gw_pg_check_datum. */
GW_MUST_CHECK bool gw_pg_write_binary(const struct gw_pg_coding *, const struct gw_datum *, struct gw_buf *,
                                      struct gw_error *);
GW_MUST_CHECK bool gw_pg_write_text(const struct gw_pg_coding *, const struct gw_datum *, struct gw_buf *,
                                    struct gw_error *);
/* GW_ERR_CONFLICT for what the column cannot hold as it is: nothing is left to the server that would round, cut or pad
 * in silence. `changed`: what a value of another kind becomes (an INT64 for a numeric), in the arena; else the datum. */
GW_MUST_CHECK bool gw_pg_check_datum(const struct gw_pg_coding *, const struct gw_datum *, struct gw_arena *,
                                     struct gw_datum *changed, struct gw_error *);
/* Malformed bytes; false. */
GW_MUST_CHECK bool gw_pg_refuse(const struct gw_pg_coding *, const char *what, struct gw_error *);

/* ---- parts ---- */

GW_MUST_CHECK bool gw_pg_numeric_read(const struct gw_pg_coding *, const unsigned char *bytes, uint32_t len,
                                      struct gw_arena *, struct gw_datum *out, struct gw_error *);
GW_MUST_CHECK bool gw_pg_numeric_write(const struct gw_pg_coding *, const unsigned char *text, uint32_t len,
                                       struct gw_buf *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_array_read_binary(const struct gw_pg_coding *, const unsigned char *bytes, uint32_t len,
                                           struct gw_arena *, struct gw_datum *out, struct gw_error *);
GW_MUST_CHECK bool gw_pg_array_read_text(const struct gw_pg_coding *, const char *text, uint32_t len, struct gw_arena *,
                                         struct gw_datum *out, struct gw_error *);
GW_MUST_CHECK bool gw_pg_array_write_binary(const struct gw_pg_coding *, const struct gw_datum *, struct gw_buf *,
                                            struct gw_error *);
GW_MUST_CHECK bool gw_pg_array_write_text(const struct gw_pg_coding *, const struct gw_datum *, struct gw_buf *,
                                          struct gw_error *);
/* The binary form of a type without kind as the server writes it in text. */
bool gw_pg_foreign_is_readable(uint32_t oid);
GW_MUST_CHECK bool gw_pg_foreign_read(const struct gw_pg_coding *, const unsigned char *bytes, uint32_t len,
                                      struct gw_buf *out, struct gw_error *);
/* float8out and float4out: the shortest text that reads back. Append. */
void gw_pg_add_float(struct gw_buf *, double value, bool single);
/* "2024-02-29", "0044-03-15 BC": as the server writes them. */
void gw_pg_add_date(struct gw_buf *, int64_t days);
void gw_pg_add_timestamp(struct gw_buf *, int64_t us, bool zone);

#endif
