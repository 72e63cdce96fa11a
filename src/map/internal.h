/*
 * Inside map/: rules as read, losses by number, and the plan a map is compiled into: for each collection and direction
 * one step per column written. Owned by struct gw_map, constant once compiled.
 */
#ifndef GW_MAP_INTERNAL_H
#define GW_MAP_INTERNAL_H

#include "map/convert.h"
#include "map/map.h"

/* ---- rules ---- */

enum gw_rule_otherwise { OTHERWISE_FAIL, OTHERWISE_NULL, OTHERWISE_KEEP, OTHERWISE_VALUE };
enum gw_rule_mask { MASK_NONE, MASK_ALL, MASK_LAST4, MASK_FIRST1, MASK_EMAIL };

struct gw_column_rule { /* texts and nodes belong to the tree of struct gw_rules; NULL: not given */
    const struct gw_yaml_node *place;
    const char *name; /* of blue's column; of the new column of green among `added` */
    const char *rename;
    bool drop, trim, lower, upper;
    const struct gw_yaml_node *constant, *lookup, *otherwise_value, *lua, *type_node, *zone_node, *split_into;
    enum gw_rule_otherwise otherwise;
    enum gw_rule_mask mask;
    const char *hash;
    bool has_type;
    struct gw_type type;  /* owned */
    struct gw_zone *zone; /* owned */
    bool has_policy;
    enum gw_map_policy policy;
    const char *separator; /* of split */
    const struct gw_yaml_node *back, *back_constant, *back_lua;
    const char *back_column;
    bool back_as_is, back_keep;
    const char *column, *concat; /* of added ones */
    const char *generated;       /* SQL of green */
};

struct gw_collection_rule {
    const struct gw_yaml_node *place;
    const char *name, *rename;
    const struct gw_yaml_node *where, *where_in, *where_not_in, *where_lua;
    const char *where_column;
    size_t column_count, added_count;
    struct gw_column_rule *columns, *added;
};

struct gw_rules {
    _Atomic unsigned references;
    struct gw_yaml yaml; /* a copy; its root may be NULL */
    size_t count;
    struct gw_collection_rule *collections;
};

/* Words such as "decimal(10,2)"; GW_ERR_USER with the words that are known. */
GW_MUST_CHECK bool gw_map_parse_type(const char *text, struct gw_type *out, struct gw_error *err);

/* ---- the plan ---- */

struct gw_map_lookup { /* sorted by the flat form of the keys (gw_datum_write) */
    size_t count;
    struct gw_map_lookup_entry {
        unsigned char *key; /* owned */
        size_t key_len;
        struct gw_datum value; /* bytes in the map's arena */
    } * entries;
    enum gw_rule_otherwise otherwise;
    struct gw_datum otherwise_value;
    struct gw_map_lookup *inverse; /* owned; of a lookup that can be undone, else NULL */
};

struct gw_map_lua { /* one function; runs compile it for themselves */
    const char *code;
    char *name;     /* owned; "users.initials", for messages */
    bool uses_row;  /* speaks of `row`: needs it whole */
    uint32_t table; /* whose names `row` knows */
    bool back;      /* green's, else blue's */
};

enum gw_step_kind {
    STEP_COPY,
    STEP_FIT,    /* the source's value into the type */
    STEP_CHANGE, /* the same behind the rule's transforms */
    STEP_CONSTANT,
    STEP_CONCAT,
    STEP_SPLIT,    /* one part of the source */
    STEP_JOIN,     /* back from those parts */
    STEP_LUA,      /* from the row alone */
    STEP_NOTHING,  /* an insert gets `constant` if there is one, an update UNCHANGED */
    STEP_COMPUTED, /* generated there: NULL */
};

struct gw_map_part { /* of a concat: a column, or text */
    int column;      /* -1: text */
    const char *text;
};

struct gw_map_step {
    enum gw_step_kind kind;
    int source;                 /* column read; -1: none or several */
    int column;                 /* of blue, for losses; -1 of an added one */
    const char *name;           /* of the column written */
    const struct gw_type *to;   /* borrowed from the definition written to */
    const struct gw_zone *zone; /* NULL: UTC */
    enum gw_map_policy policy;
    enum gw_kind declared;             /* of a source that holds any kind: the one it should; else NULL */
    const struct gw_column_rule *rule; /* transforms of a STEP_CHANGE, or NULL */
    const struct gw_map_lookup *lookup;
    int lua;                        /* place among the map's functions, -1: none */
    bool has_constant, fits_lookup; /* fits_lookup: a kept value must not be one that the lookup makes */
    bool exact;                     /* made from the other side's value and nothing else: to be compared */
    struct gw_datum constant;
    size_t part, part_count;
    const char *separator;
    size_t piece_count;
    struct gw_map_part *pieces; /* concat: in order; join: the columns */
};

struct gw_map_table {
    size_t count;
    struct gw_map_step *steps;
    bool plain;       /* nothing but copies of the same places */
    bool needs_whole; /* see gw_map_needs_whole_rows */
    /* filter; forward only */
    bool filters;
    int filter_column; /* -1: Lua */
    int filter_lua;
    bool filter_not;
    size_t filter_count;
    struct gw_datum *filter_values;
};

struct gw_map {
    struct gw_arena arena;
    struct gw_rules *rules;
    struct gw_definition blue, green;
    struct gw_map_table *tables[2]; /* [back][collection] */
    size_t function_count, function_capacity;
    struct gw_map_lua *functions;
    size_t lookup_count, lookup_capacity;
    struct gw_map_lookup **lookups;
    char *green_engine;
    int **green_of; /* [collection][column of blue]: its (first) column of green, -1: none; in the arena */
};

/* What compiling needs and forgets. */
struct gw_map_compiler {
    const struct gw_map_options *options;
    struct gw_map *map;
    struct gw_map_losses *losses;
    const struct gw_collection_rule **rule_of; /* per collection, or NULL */
    struct gw_type *
        *wanted;     /* [collection][column of green]: what goes into it, before green's engine has a say; owned */
    bool **computed; /* [collection][column of green]: generated there; in the arena */
    bool same_engine;
};

void gw_map_add_loss(struct gw_map_losses *losses, uint32_t collection, int column, enum gw_map_loss_id id,
                     enum gw_map_policy policy, const char *format, ...) GW_PRINTF(6, 7);
struct gw_map_loss *gw_map_last_loss(struct gw_map_losses *losses);
/* What may be lost when a value described by `from` becomes one of `to`. */
void gw_map_type_losses(struct gw_map_losses *losses, uint32_t collection, int column, const struct gw_type *from,
                        const struct gw_column_definition *to, enum gw_map_policy policy);
/* Is nothing lost and nothing to be converted, whatever the value? */
bool gw_map_same_type(const struct gw_type *from, const struct gw_type *to);

const struct gw_column_rule *gw_map_column_rule(const struct gw_collection_rule *rule, const char *column);
bool gw_map_in_key(const struct gw_table_definition *table, const char *column);
/* Puts the node's place into the error, returns false. */
bool gw_map_fail_at(const struct gw_rules *rules, const struct gw_yaml_node *node, struct gw_error *err);

/* Green's tables, columns and their types (define.c), then all else of the definition (define_rest.c). */
GW_MUST_CHECK bool gw_map_define(struct gw_map_compiler *compiler, struct gw_error *err);
GW_MUST_CHECK bool gw_map_define_rest(struct gw_map_compiler *compiler, struct gw_error *err);
/* The steps of one collection, both ways (steps.c). */
GW_MUST_CHECK bool gw_map_plan(struct gw_map_compiler *compiler, uint32_t collection, struct gw_error *err);
/* A constant of the rules as a value of a type. */
GW_MUST_CHECK bool gw_map_constant(struct gw_map_compiler *compiler, const struct gw_yaml_node *node,
                                   const struct gw_type *to, struct gw_datum *out, struct gw_error *err);
/* The words of one engine in those of another where they surely mean the same; false: cannot tell. Appends. */
bool gw_map_portable_sql(const char *sql, const struct gw_table_definition *blue,
                         const struct gw_table_definition *green, const struct gw_collection_rule *rule,
                         struct gw_buf *out);
bool gw_map_can_convert(enum gw_kind from, enum gw_kind to);
/* "users.email", "crm.users.email": for messages. Appends. */
void gw_map_name(const struct gw_table_definition *table, const char *column, struct gw_buf *out);
const char *gw_map_green_name(const struct gw_collection_rule *rule, const char *column);

/* Of a lookup of the rules; with its inverse where it has one. Owned by the map. */
GW_MUST_CHECK bool gw_map_lookup_make(struct gw_map_compiler *compiler, const struct gw_column_rule *rule,
                                      const struct gw_type *from, const struct gw_type *to, const struct gw_type *green,
                                      const struct gw_map_lookup **out, struct gw_error *err);
void gw_map_lookup_free(struct gw_map_lookup *lookup);
/* The place of a Lua function among the map's; its text is checked. */
GW_MUST_CHECK bool gw_map_function(struct gw_map_compiler *compiler, uint32_t table, bool back, const char *column,
                                   const struct gw_yaml_node *node, int *out, struct gw_error *err);

/* ---- a run ---- */

struct gw_lua;
GW_MUST_CHECK bool gw_lua_open(const struct gw_map *map, struct gw_lua **out, struct gw_error *err);
void gw_lua_close(struct gw_lua *lua); /* NULL is fine */
/* `value` may be NULL. What comes back is of the arena, of the kind Lua gave it. GW_ERR_CONFLICT with the line. */
GW_MUST_CHECK bool gw_lua_call(struct gw_lua *lua, int function, const struct gw_datum *row,
                               const struct gw_datum *value, struct gw_arena *arena, struct gw_datum *out,
                               struct gw_error *err);
/* Whether the last call read a column that was ABSENT: what it made of that says nothing. */
bool gw_lua_missed(const struct gw_lua *lua);
/* Is it Lua? */
GW_MUST_CHECK bool gw_lua_check(const char *code, const char *name, struct gw_error *err);

struct gw_map_run {
    const struct gw_map *map;
    bool back, only_count;
    struct gw_arena arena;
    struct gw_buf scratch;
    struct gw_lua *lua; /* opened at the first function; NULL before */
    uint64_t **hits;    /* per collection, (columns + 1) * GW_LOSS_COUNT counts; NULL: none */
};

/* Whether a value of the filter's column is let through; of tables that filter by a column. */
bool gw_map_lets_through(const struct gw_map_table *table, const struct gw_datum *value);

/* Transforms on one value (transform.c). On false the run's convert says which loss. */
bool gw_map_trim(const struct gw_datum *in, struct gw_datum *out);
void gw_map_mask(enum gw_rule_mask mask, const struct gw_datum *text, struct gw_arena *arena, struct gw_datum *out);
void gw_map_hash(const char *key, const struct gw_datum *text, bool as_bytes, struct gw_arena *arena,
                 struct gw_datum *out);
const struct gw_datum *gw_map_look_up(const struct gw_map_lookup *lookup, const struct gw_datum *key,
                                      struct gw_buf *scratch);
void gw_map_split(const struct gw_datum *text, const char *separator, size_t part, size_t part_count,
                  struct gw_datum *out);

#endif
