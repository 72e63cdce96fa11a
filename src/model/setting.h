/*
 * The settings of a migration file: one table from which the parser, the defaults, the documentation, the JSON Schema
 * and the file of `godwit init` are made.
 *
 * A path is the keys from the top, with "*" for a name the operator chooses: "stores.*.copy.jobs".
 */
#ifndef GW_MODEL_SETTING_H
#define GW_MODEL_SETTING_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gw_setting_type {
    GW_SETTING_NAME,     /* [a-z0-9][a-z0-9_-]{0,62}; char * */
    GW_SETTING_TEXT,     /* char * */
    GW_SETTING_PATH,     /* char *; relative to the file's folder */
    GW_SETTING_COMMAND,  /* char *; for /bin/sh, ${NAME} is the shell's business */
    GW_SETTING_URL,      /* char * */
    GW_SETTING_URLS,     /* struct gw_setting_list; a single one may stand without brackets */
    GW_SETTING_PATTERNS, /* struct gw_setting_list */
    GW_SETTING_TEXTS,    /* struct gw_setting_list; a single one may stand without brackets */
    GW_SETTING_RULES,    /* struct gw_yaml: a tree with keys of its own, see rule_table.h */
    GW_SETTING_QUERIES,  /* struct gw_named_queries: a mapping with keys of its own, see query.h */
    GW_SETTING_ENUM,     /* an enum (int) that counts the choices from 0 */
    GW_SETTING_INT,      /* int */
    GW_SETTING_COUNT,    /* int64_t */
    GW_SETTING_BYTES,    /* int64_t; "64MB", "1GiB" */
    GW_SETTING_MS,       /* int64_t in ms; "250ms", "30s", "5m", "2h", "30d" */
    GW_SETTING_US,       /* int64_t in us; "500us" too */
};

/* For which gates a key of `gate` is. */
enum gw_setting_gates {
    GW_SETTING_FOR_ANY = 0,
    GW_SETTING_FOR_PGBOUNCER = 1 << 1,
    GW_SETTING_FOR_HOOK = 1 << 2,
    GW_SETTING_FOR_HAPROXY = 1 << 3,
};

struct gw_setting {
    const char *path;
    enum gw_setting_type type;
    const char *fallback;       /* the default as one would write it; NULL: none */
    const char *fallback_words; /* where the default is not a value: "the database of blue's URL"; may be NULL */
    bool required;
    bool shorthand; /* a plain value in the place of the mapping that holds this key means this key */
    unsigned gates;
    int64_t min, max;       /* of numbers, sizes, durations, in their own unit; max 0: no range */
    const char *choices[5]; /* of an enum, NULL-terminated */
    bool in_store;          /* offset counts in struct gw_migration_store, otherwise in struct gw_migration */
    size_t offset;          /* where the value goes; lists: the pointer */
    size_t count_offset;    /* lists: where the count goes */
    const char *example;    /* a value worth showing when there is no default */
    const char *help;       /* one sentence, no full stop at the end */
};

extern const struct gw_setting gw_settings[];
extern const size_t gw_settings_count;

const struct gw_setting *gw_setting_find(const char *path);
/* Is path a mapping that holds settings, such as "stores.*.copy"? */
bool gw_setting_is_group(const char *path);
/* The key just below `group` ("" is the top) that is most like `wrong`, NULL when none is; in `out`. */
const char *gw_setting_suggest(const char *group, const char *wrong, char out[64]);
/* The path of a setting whose last key is `key`, wherever it is; NULL when there is none. */
const char *gw_setting_elsewhere(const char *key);

/* Edits that turn one into the other, a swap of neighbours being one; long words are far from each other. */
unsigned gw_setting_distance(const char *a, const char *b);

/* Numbers as text; on false *err says what would be right (kind, message, hint; no place). */
GW_MUST_CHECK bool gw_setting_parse_duration_us(const char *text, int64_t *us, struct gw_error *err);
GW_MUST_CHECK bool gw_setting_parse_bytes(const char *text, int64_t *bytes, struct gw_error *err);
GW_MUST_CHECK bool gw_setting_parse_int(const char *text, int64_t *value, struct gw_error *err);

/* "duration, 100ms to 1h", "one of none, pgbouncer, hook". Appends. */
void gw_setting_describe_type(const struct gw_setting *setting, struct gw_buf *out);
/* The same with what it is for and its default. Appends. */
void gw_setting_describe(const struct gw_setting *setting, struct gw_buf *out);
/* `godwit config`: every setting with type, default and help, as plain text. Appends. */
void gw_setting_write_docs(struct gw_buf *out);
/* JSON Schema (draft 2020-12) for editors; owned by the caller. */
json_t *gw_setting_json_schema(void);

#endif
