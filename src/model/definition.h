/*
 * What a side is made of, in words that no engine owns: tables with columns, keys, indexes, foreign keys, checks; and by
 * name what only a person can port. Made by catalog->describe, changed by the map's rules, carried out by schema->build.
 *
 * SQL texts are in the engine's own dialect (`sql_of` in gw_definition): another engine takes them over only where it
 * can tell that they mean the same, else they are findings ("left for a person").
 */
#ifndef GW_MODEL_DEFINITION_H
#define GW_MODEL_DEFINITION_H

#include "model/type.h"

enum gw_default_kind {
    GW_DEFAULT_NONE,
    GW_DEFAULT_VALUE, /* a constant: `default_value` */
    GW_DEFAULT_NOW,   /* the time of the statement or transaction; in a column without a zone by the session's clock */
    GW_DEFAULT_NOW_UTC, /* in a column without a zone: by the clock of UTC */
    GW_DEFAULT_UUID,    /* a random uuid */
    GW_DEFAULT_SQL,     /* anything else: `default_sql` */
};

struct gw_column_definition { /* all strings owned, NULL where there is none */
    char *name;
    struct gw_type type;
    char *sql_type; /* as the engine writes it */
    bool not_null;
    bool counts;        /* auto-increment, serial, identity, rowid: the engine gives the next number */
    bool always_counts; /* GENERATED ALWAYS AS IDENTITY */
    bool generated;     /* computed from other columns: `generated_sql` */
    bool generated_stored;
    bool hidden;         /* not in SELECT * */
    bool updates_to_now; /* MySQL's ON UPDATE CURRENT_TIMESTAMP */
    enum gw_default_kind default_kind;
    struct gw_datum default_value; /* its bytes are owned by `default_bytes` */
    char *default_bytes;
    char *default_sql;
    char *generated_sql;
    char *comment;
};

struct gw_index_part {
    char *column;     /* NULL: an expression */
    char *expression; /* in the engine's dialect */
    uint32_t prefix;  /* characters (bytes of BYTES) of the column that are indexed; 0: all */
    bool descending;
};
enum gw_index_kind {
    GW_INDEX_PRIMARY,
    GW_INDEX_UNIQUE,
    GW_INDEX_PLAIN,
    GW_INDEX_FULLTEXT,
    GW_INDEX_SPATIAL,
    GW_INDEX_OTHER
};
struct gw_index_definition {
    char *name;
    enum gw_index_kind kind;
    size_t part_count;
    struct gw_index_part *parts;
    char *where;  /* partial index: its condition, in the engine's dialect */
    char *method; /* "btree", "gin"; NULL: the engine's usual */
    char *sql;    /* the whole definition, for people */
};

enum gw_reference_action {
    GW_REFERENCE_NO_ACTION,
    GW_REFERENCE_RESTRICT,
    GW_REFERENCE_CASCADE,
    GW_REFERENCE_SET_NULL,
    GW_REFERENCE_SET_DEFAULT
};
struct gw_foreign_key {
    char *name;
    size_t column_count;
    char **columns, **references; /* column by column */
    char *space, *table;          /* referenced */
    enum gw_reference_action on_delete, on_update;
    bool not_valid;
    bool deferrable, deferred; /* a transaction may put its check off to the end; does, unless it says otherwise */
};

struct gw_check_definition {
    char *name;
    char *sql; /* the condition, in the engine's dialect */
};

struct gw_table_definition {
    char *space, *name;
    char *comment;
    size_t column_count, index_count, foreign_key_count, check_count;
    struct gw_column_definition *columns;
    struct gw_index_definition *indexes;
    struct gw_foreign_key *foreign_keys;
    struct gw_check_definition *checks;
};

struct gw_object_definition { /* what is named, and left for a person */
    char *kind;               /* "view", "trigger", "event", "procedure", "function", "sequence", "virtual table" */
    char *name;
    char *sql; /* as the engine gives it */
};

struct gw_definition {
    char *sql_of; /* name of the engine whose dialect the texts are in */
    size_t table_count, object_count;
    struct gw_table_definition *tables;
    struct gw_object_definition *objects;
};

void gw_table_definition_release(struct gw_table_definition *table);
void gw_definition_release(struct gw_definition *definition);
void gw_table_definition_copy(struct gw_table_definition *to, const struct gw_table_definition *from); /* deep */
/* Appends zeroed items and returns them; the pointer is valid until the next append. */
struct gw_table_definition *gw_definition_add_table(struct gw_definition *definition);
struct gw_object_definition *gw_definition_add_object(struct gw_definition *definition, const char *kind,
                                                      const char *name, const char *sql);
struct gw_column_definition *gw_table_add_column(struct gw_table_definition *table, const char *name);
struct gw_index_definition *gw_table_add_index(struct gw_table_definition *table, enum gw_index_kind kind);
struct gw_index_part *gw_index_add_part(struct gw_index_definition *index, const char *column);
struct gw_foreign_key *gw_table_add_foreign_key(struct gw_table_definition *table);
struct gw_check_definition *gw_table_add_check(struct gw_table_definition *table, const char *name, const char *sql);
/* NULL when not there. Exact names. */
struct gw_table_definition *gw_definition_find(const struct gw_definition *definition, const char *space,
                                               const char *name);
/* The place of a column, or -1. */
int gw_table_column(const struct gw_table_definition *table, const char *name);

#endif
