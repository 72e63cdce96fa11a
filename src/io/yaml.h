/*
 * A YAML 1.2 document as a tree in which every node knows where it stands: a thin shell over libfyaml.
 *
 * Refused, with file:line:col: what is not UTF-8, control characters, duplicate keys, keys that are not scalars,
 * anchors and aliases (so no small file becomes a big one), tags, directives, a second document, more than
 * GW_YAML_MAX_DEPTH levels or GW_YAML_MAX_NODES nodes, files over GW_YAML_MAX_BYTES.
 * The tree and its text live as long as struct gw_yaml.
 */
#ifndef GW_IO_YAML_H
#define GW_IO_YAML_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define GW_YAML_MAX_BYTES ((size_t)1 << 20)
#define GW_YAML_MAX_DEPTH 32
#define GW_YAML_MAX_NODES 50000

enum gw_yaml_kind { GW_YAML_SCALAR, GW_YAML_SEQUENCE, GW_YAML_MAPPING };

struct gw_yaml_node {
    enum gw_yaml_kind kind;
    int line, column;           /* from 1; the column counts characters */
    bool plain;                 /* a scalar without quotes or block style: may be null, a number, a boolean */
    const char *text;           /* of a scalar; NUL-terminated, and without NUL inside */
    size_t count;               /* items of a sequence, pairs of a mapping */
    struct gw_yaml_node **keys; /* of a mapping, in the order of the file */
    struct gw_yaml_node **items;
};

struct gw_yaml {
    struct gw_arena arena;
    const char *file;          /* as given, for messages */
    struct gw_yaml_node *root; /* NULL when the document is empty */
};

GW_MUST_CHECK bool gw_yaml_load(const char *path, struct gw_yaml *yaml, struct gw_error *err);
GW_MUST_CHECK bool gw_yaml_parse(const char *text, size_t len, const char *file, struct gw_yaml *yaml,
                                 struct gw_error *err);
void gw_yaml_release(struct gw_yaml *yaml);

/* Nothing, "~" or "null", without quotes. */
bool gw_yaml_is_null(const struct gw_yaml_node *node);
/* The value of a key, NULL when it is not there or the node is not a mapping. */
struct gw_yaml_node *gw_yaml_get(const struct gw_yaml_node *mapping, const char *key);
const char *gw_yaml_kind_name(const struct gw_yaml_node *node); /* "a mapping", "a list", "a value" */
/* Puts file:line:col of the node into the error's place (an earlier place is kept), returns false. */
bool gw_yaml_place(const struct gw_yaml *yaml, const struct gw_yaml_node *node, struct gw_error *err);

#endif
