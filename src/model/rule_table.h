/*
 * The keys of `collections:` in a migration file: the rules by which rows change on their way. One table, from which the
 * check of their shape, `godwit config` and the JSON Schema are made; what they do is map/'s business.
 *
 * A path counts from a collection, with "*" for a name the operator chooses: "columns.*.rename".
 */
#ifndef GW_MODEL_RULE_TABLE_H
#define GW_MODEL_RULE_TABLE_H

#include "base/buf.h"
#include "base/error.h"
#include "io/yaml.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum gw_rule_type {
    GW_RULE_NAME,      /* of a collection or column */
    GW_RULE_NAMES,     /* a list of them */
    GW_RULE_TEXT,      /* any text */
    GW_RULE_SECRET,    /* text that is never shown */
    GW_RULE_DATA_TYPE, /* "decimal(10,2)" */
    GW_RULE_SWITCH,    /* true or false */
    GW_RULE_CHOICE,
    GW_RULE_CONSTANT,  /* a single value; null is one */
    GW_RULE_CONSTANTS, /* a list of them */
    GW_RULE_LOOKUP,    /* a mapping from value to value */
    GW_RULE_LUA,       /* ${NAME} is left alone in it */
};

struct gw_rule_key {
    const char *path;
    enum gw_rule_type type;
    bool shorthand;         /* a plain value in the place of the mapping that holds this key means this key */
    const char *choices[6]; /* NULL-terminated */
    const char *example;
    const char *help; /* one sentence, no full stop at the end */
};

extern const struct gw_rule_key gw_rule_keys[];
extern const size_t gw_rule_key_count;

/* Checks keys and the shape of values, and copies the tree with ${NAME} filled in, into out->arena. Errors are placed.
 * On false *out is empty. */
GW_MUST_CHECK bool gw_rule_read(const struct gw_yaml *yaml, const struct gw_yaml_node *node, struct gw_yaml *out,
                                struct gw_error *err);

/* For `godwit config`: every key as "stores.*.collections.*.<path>". Appends. */
void gw_rule_write_docs(struct gw_buf *out);
/* Of the value of `collections`. Owned by the caller. */
json_t *gw_rule_json_schema(void);

#endif
