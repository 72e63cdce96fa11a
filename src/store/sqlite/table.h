/*
 * What a table is made of, as reader, writer, capture and catalog need it: read from the file, by one connection, in
 * the transaction at hand.
 *
 * Affinity decides what SQLite makes of a value that is stored (sqlite.org/datatype3.html, 3.1); it is idempotent: a
 * stored value stored again in a column of the same affinity is the same.
 */
#ifndef GW_STORE_SQLITE_TABLE_H
#define GW_STORE_SQLITE_TABLE_H

#include "store/sqlite/conn.h"

enum gw_lite_affinity { GW_LITE_BLOB, GW_LITE_TEXT, GW_LITE_NUMERIC, GW_LITE_INTEGER, GW_LITE_REAL };

struct gw_lite_column {
    char *name, *type, *default_sql; /* owned; type "" where none is declared; default_sql may be NULL */
    enum gw_lite_affinity affinity;
    bool not_null, generated, generated_stored;
    int primary; /* 1.. within the primary key */
};

struct gw_lite_unique { /* a unique index, the primary key's included */
    char *name;
    bool primary, partial, expressions, constraint; /* constraint: made by CREATE TABLE, not CREATE INDEX */
    size_t count;
    uint32_t *columns; /* places in gw_lite_table.columns; UINT32_MAX: the rowid or an expression */
    char **collations;
};

struct gw_lite_table {
    char *name, *sql;
    bool without_rowid, strict, autoincrement;
    const char *rowid; /* by which name the rowid is had: "rowid", "_rowid_", "oid"; NULL: not at all */
    int rowid_column;  /* the column that is the rowid (INTEGER PRIMARY KEY), or -1 */
    size_t column_count, unique_count, unique_capacity;
    struct gw_lite_column *columns;
    struct gw_lite_unique *uniques;
    enum gw_key_kind key_kind;
    size_t key_count;
    uint32_t *key;         /* places in columns */
    char **key_collations; /* as the key's index orders them */
    char *key_index;       /* or NULL */
    bool null_in_key;      /* the declared primary key holds NULLs, which are never equal: it is no key */
};

/* *out NULL when there is no such table. */
GW_MUST_CHECK bool gw_lite_table_load(struct gw_lite_conn *, const char *name, struct gw_lite_table **out,
                                      struct gw_error *);
void gw_lite_table_free(struct gw_lite_table *); /* NULL is fine */
/* The same, and GW_ERR_CONFLICT where it is not there or has not the columns of the collection. */
GW_MUST_CHECK bool gw_lite_table_for(struct gw_lite_conn *, const struct gw_collection *, struct gw_lite_table **out,
                                     struct gw_error *);
enum gw_lite_affinity gw_lite_affinity_of(const char *declared_type);
/* "a" COLLATE "NOCASE" of the i-th key column; `prefix` goes before the name ("NEW."). */
void gw_lite_add_key(struct gw_buf *, const struct gw_lite_table *, size_t i, const char *prefix);

#endif
