/*
 * What a store is made of, as far as moving rows needs it. Engine-specific knowledge (type OIDs, SQL types) travels
 * in `type` as text and in `engine_data`, which only that engine reads.
 */
#ifndef GW_MODEL_SCHEMA_H
#define GW_MODEL_SCHEMA_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gw_key_kind {
    GW_KEY_PRIMARY,
    GW_KEY_UNIQUE, /* a unique, complete, immediate, not-null index stands in for the missing primary key */
    GW_KEY_NONE,   /* rows are told apart by all their columns; copied under one snapshot */
};

struct gw_column {
    char *name;
    char *type;       /* the engine's name of the type, fully qualified where not built in, with modifiers */
    uint32_t type_id; /* the engine's own number for it on this side; 0 where there is none */
    bool not_null;
    bool generated; /* computed by the engine: never written */
    bool identity_always;
    bool binary_safe; /* its binary form means the same on any server of this engine */
    int key_position; /* 1.. within the key, 0 when not part of it */
};

struct gw_collection {
    uint32_t id; /* position in gw_schema.collections, stable for a migration once the state has it */
    char *space; /* schema, database or "" */
    char *name;
    size_t column_count;
    struct gw_column *columns; /* without dropped ones */
    enum gw_key_kind key_kind;
    size_t key_count;
    uint32_t *key;           /* indexes into columns, in key order */
    char *key_index;         /* name of the index behind the key, or NULL */
    int64_t estimated_rows;  /* from statistics; -1 unknown */
    int64_t estimated_bytes; /* heap and TOAST without indexes */
    int64_t toast_bytes;     /* out-of-line storage: 0 means no value can be large */
    uint32_t engine_id;      /* PostgreSQL: the table's OID on this side */
    char *parent;            /* "space.name" of the partitioned table it belongs to, or NULL */
    char *identity;          /* how the log identifies old rows, engine's term: "default","index","full","nothing" */
    bool all_binary_safe;    /* every column is: the rows may pass through undecoded */
};

struct gw_schema {
    size_t count;
    struct gw_collection *collections;
};

void gw_collection_release(struct gw_collection *collection);
void gw_schema_release(struct gw_schema *schema);
/* NULL when not there. Exact names. */
const struct gw_collection *gw_schema_find(const struct gw_schema *schema, const char *space, const char *name);
/* "space.name" for messages, quoted only where needed; borrowed from a small ring of thread-local buffers (8 uses). */
const char *gw_collection_label(const struct gw_collection *collection);
/* The JSON by which the state keeps a collection, so that a restart decodes the stream as planned. */
void gw_collection_format(const struct gw_collection *collection, struct gw_buf *out);
GW_MUST_CHECK bool gw_collection_parse(const char *json, struct gw_collection *out, struct gw_error *err);
/* Says in words how the two differ in columns or key ("column price: numeric(10,2) became bigint"); false = differs. */
bool gw_collection_same_shape(const struct gw_collection *a, const struct gw_collection *b, struct gw_buf *difference);

/* A foreign key by which rows of `child` are deleted or changed when a row of `parent` goes or changes its key, where the
 * change log carries only the parent's. Columns pair up. */
struct gw_cascade {
    uint32_t parent, child; /* collection ids */
    size_t count;
    uint32_t *parent_columns, *child_columns; /* owned */
};

/* Patterns of include and exclude: "schema.table" with * and ?, "table" alone means any schema. No include = all. */
struct gw_filter {
    size_t include_count, exclude_count;
    char **include, **exclude; /* owned */
};
bool gw_filter_match(const struct gw_filter *filter, const char *space, const char *name);
void gw_filter_release(struct gw_filter *filter);

#endif
