#include "io/yaml.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/utf8.h"

#include <libfyaml.h>

struct builder {
    struct gw_yaml *yaml;
    struct fy_parser *parser;
    struct fy_diag *diag;
    const char *text;
    size_t len;
    size_t nodes;
    int line, column; /* of the last event: where to look when the library has no words */
};

static bool fail_at(const char *file, int line, int column, struct gw_error *err)
{
    return gw_error_place(err, "%s:%d:%d", file, line, column);
}

bool gw_yaml_place(const struct gw_yaml *yaml, const struct gw_yaml_node *node, struct gw_error *err)
{
    if (!node)
        return gw_error_place(err, "%s", yaml->file);
    return fail_at(yaml->file, node->line, node->column, err);
}

/* Line and column of a byte; only for errors, so it may count. */
static void locate(const char *text, size_t offset, int *line, int *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)text[i] & 0xc0u) != 0x80u) {
            ++*column;
        }
    }
}

static bool check_bytes(const char *text, size_t len, const char *file, struct gw_error *err)
{
    int line;
    int column;
    size_t good = gw_utf8_valid_prefix(text, len);
    for (size_t i = 0; i < good; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != 0x7f)
            continue;
        if (c == '\t' || c == '\n' || c == '\r')
            continue;
        gw_fail(err, GW_ERR_USER, "a control character (0x%02x) is not allowed here", c);
        locate(text, i, &line, &column);
        return fail_at(file, line, column, err);
    }
    if (good == len)
        return true;
    gw_fail(err, GW_ERR_USER, "byte 0x%02x is not UTF-8", (unsigned char)text[good]);
    gw_error_hint(err, "save the file as UTF-8");
    locate(text, good, &line, &column);
    return fail_at(file, line, column, err);
}

/* What the library found wrong. */
static bool fail_syntax(struct builder *b, struct gw_error *err)
{
    void *iterator = NULL;
    const struct fy_diag_error *found = fy_diag_errors_iterate(b->diag, &iterator);
    if (!found || !found->msg) {
        gw_fail(err, GW_ERR_USER, "not valid YAML from here on");
        return fail_at(b->yaml->file, b->line ? b->line : 1, b->column ? b->column : 1, err);
    }
    gw_fail(err, GW_ERR_USER, "not valid YAML: %s", found->msg);
    return fail_at(b->yaml->file, found->line < 1 ? 1 : found->line, found->column < 1 ? 1 : found->column, err);
}

static void mark_of(struct fy_event *event, int *line, int *column)
{
    const struct fy_mark *mark = fy_event_start_mark(event);
    *line = mark ? mark->line + 1 : 1;
    *column = mark ? mark->column + 1 : 1;
}

static bool fail_event(struct builder *b, struct fy_event *event, struct gw_error *err, const char *what)
{
    int line;
    int column;
    gw_fail(err, GW_ERR_USER, "%s", what);
    mark_of(event, &line, &column);
    return fail_at(b->yaml->file, line, column, err);
}

static bool node_new(struct builder *b, struct fy_event *event, enum gw_yaml_kind kind, struct gw_yaml_node **node,
                     struct gw_error *err)
{
    if (++b->nodes > GW_YAML_MAX_NODES)
        return fail_event(b, event, err, "the file holds too many values");
    *node = gw_arena_zalloc(&b->yaml->arena, sizeof **node);
    (*node)->kind = kind;
    mark_of(event, &(*node)->line, &(*node)->column);
    return true;
}

/* Anchors and tags; an anchor without an alias would be harmless, but then it is of no use either. */
static bool check_properties(struct builder *b, struct fy_event *event, struct fy_token *anchor, struct fy_token *tag,
                             struct gw_error *err)
{
    if (anchor)
        return fail_event(b, event, err, "anchors (&name) are not allowed in this file");
    if (tag)
        return fail_event(b, event, err, "tags (!name) are not allowed in this file");
    return true;
}

static bool build(struct builder *b, struct fy_event *event, int depth, struct gw_yaml_node **node,
                  struct gw_error *err);

static bool build_scalar(struct builder *b, struct fy_event *event, struct gw_yaml_node **node, struct gw_error *err)
{
    if (!check_properties(b, event, event->scalar.anchor, event->scalar.tag, err) ||
        !node_new(b, event, GW_YAML_SCALAR, node, err))
        return false;
    size_t len = 0;
    const char *text = event->scalar.value ? fy_token_get_text(event->scalar.value, &len) : NULL;
    (*node)->text = gw_arena_dup(&b->yaml->arena, text ? text : "", text ? len : 0);
    /* The library counts a quoted scalar from behind its quote. */
    enum fy_scalar_style style = event->scalar.value ? fy_token_scalar_style(event->scalar.value) : FYSS_PLAIN;
    (*node)->plain = style == FYSS_PLAIN;
    if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && (*node)->column > 1)
        (*node)->column--;
    if (text && memchr(text, 0, len)) {
        gw_fail(err, GW_ERR_USER, "the character \\0 is not allowed here");
        return gw_yaml_place(b->yaml, *node, err);
    }
    return true;
}

/* The next event; NULL with *err filled when there is none. */
static struct fy_event *next_event(struct builder *b, struct gw_error *err)
{
    struct fy_event *event = fy_parser_parse(b->parser);
    if (event)
        mark_of(event, &b->line, &b->column);
    else
        fail_syntax(b, err);
    return event;
}

/* Nodes up to the end event, flat: for a mapping key, value, key, value. The array is the caller's. */
static bool build_children(struct builder *b, enum fy_event_type end, int depth, struct gw_yaml_node ***children,
                           size_t *count, struct gw_error *err)
{
    size_t capacity = 0;
    for (;;) {
        struct fy_event *event = next_event(b, err);
        if (!event)
            return false;
        if (event->type == end) {
            fy_parser_event_free(b->parser, event);
            return true;
        }
        *children = gw_grow(*children, &capacity, *count, sizeof **children);
        bool ok = build(b, event, depth + 1, &(*children)[*count], err);
        fy_parser_event_free(b->parser, event);
        if (!ok)
            return false;
        ++*count;
    }
}

/* "key:" with nothing behind it stands nowhere: say where the key is. */
static void place_nothing(struct gw_yaml_node *node, const struct gw_yaml_node *owner)
{
    if (node->kind == GW_YAML_SCALAR && node->plain && !node->text[0]) {
        node->line = owner->line;
        node->column = owner->column;
    }
}

static bool build_sequence(struct builder *b, struct fy_event *event, int depth, struct gw_yaml_node **node,
                           struct gw_error *err)
{
    gw_autofree struct gw_yaml_node **children = NULL;
    if (!check_properties(b, event, event->sequence_start.anchor, event->sequence_start.tag, err) ||
        !node_new(b, event, GW_YAML_SEQUENCE, node, err) ||
        !build_children(b, FYET_SEQUENCE_END, depth, &children, &(*node)->count, err))
        return false;
    for (size_t i = 0; children && i < (*node)->count; i++)
        place_nothing(children[i], *node);
    (*node)->items = gw_arena_dup(&b->yaml->arena, children, (*node)->count * sizeof(struct gw_yaml_node *));
    return true;
}

/* By hash: a file full of keys must not take quadratic time. */
static bool check_keys(struct builder *b, const struct gw_yaml_node *mapping, struct gw_error *err)
{
    size_t size = 16;
    while (size < mapping->count * 2)
        size *= 2;
    gw_autofree const struct gw_yaml_node **table = gw_calloc(size, sizeof *table);
    for (size_t i = 0; i < mapping->count; i++) {
        const struct gw_yaml_node *key = mapping->keys[i];
        if (key->kind != GW_YAML_SCALAR) {
            gw_fail(err, GW_ERR_USER, "a key must be a plain word, this is %s", gw_yaml_kind_name(key));
            return gw_yaml_place(b->yaml, key, err);
        }
        size_t slot = gw_hash64(key->text, strlen(key->text), 0) & (size - 1);
        while (table[slot] && strcmp(table[slot]->text, key->text) != 0)
            slot = (slot + 1) & (size - 1);
        if (table[slot]) {
            gw_fail(err, GW_ERR_USER, "the key \"%s\" is there twice, first in line %d", key->text, table[slot]->line);
            gw_error_hint(err, "remove one of them");
            return gw_yaml_place(b->yaml, key, err);
        }
        table[slot] = key;
    }
    return true;
}

static bool build_mapping(struct builder *b, struct fy_event *event, int depth, struct gw_yaml_node **node,
                          struct gw_error *err)
{
    gw_autofree struct gw_yaml_node **children = NULL;
    size_t count = 0;
    if (!check_properties(b, event, event->mapping_start.anchor, event->mapping_start.tag, err) ||
        !node_new(b, event, GW_YAML_MAPPING, node, err) ||
        !build_children(b, FYET_MAPPING_END, depth, &children, &count, err))
        return false;
    struct gw_yaml_node *mapping = *node;
    mapping->count = children ? count / 2 : 0;
    mapping->keys = gw_arena_zalloc(&b->yaml->arena, mapping->count * sizeof *mapping->keys);
    mapping->items = gw_arena_zalloc(&b->yaml->arena, mapping->count * sizeof *mapping->items);
    for (size_t i = 0; i < mapping->count; i++) {
        mapping->keys[i] = children[2 * i];
        mapping->items[i] = children[2 * i + 1];
        place_nothing(mapping->keys[i], mapping);
        place_nothing(mapping->items[i], mapping->keys[i]);
    }
    return check_keys(b, mapping, err);
}

static bool build(struct builder *b, struct fy_event *event, int depth, struct gw_yaml_node **node,
                  struct gw_error *err)
{
    if (depth > GW_YAML_MAX_DEPTH)
        return fail_event(b, event, err, "nested too deeply");
    switch (event->type) {
    case FYET_SCALAR:
        return build_scalar(b, event, node, err);
    case FYET_SEQUENCE_START:
        return build_sequence(b, event, depth, node, err);
    case FYET_MAPPING_START:
        return build_mapping(b, event, depth, node, err);
    case FYET_ALIAS:
        return fail_event(b, event, err, "aliases (*name) are not allowed in this file");
    default:
        return fail_event(b, event, err, "not valid YAML here");
    }
}

/* Stream start, document, stream end; one document at most. */
static bool build_document(struct builder *b, struct gw_error *err)
{
    bool ok = true;
    int documents = 0;
    for (;;) {
        struct fy_event *event = next_event(b, err);
        if (!event)
            return false;
        enum fy_event_type type = event->type;
        if (type == FYET_DOCUMENT_START && ++documents > 1)
            ok = fail_event(b, event, err, "a second document is not allowed in this file");
        else if (type != FYET_STREAM_START && type != FYET_DOCUMENT_START && type != FYET_DOCUMENT_END &&
                 type != FYET_STREAM_END)
            ok = build(b, event, 1, &b->yaml->root, err);
        fy_parser_event_free(b->parser, event);
        if (!ok || type == FYET_STREAM_END)
            return ok;
    }
}

static bool parse(struct builder *b, struct gw_error *err)
{
    struct fy_diag_cfg diag_settings;
    fy_diag_cfg_default(&diag_settings);
    diag_settings.fp = NULL;
    diag_settings.level = FYET_ERROR;
    diag_settings.colorize = false;
    b->diag = fy_diag_create(&diag_settings);
    if (!b->diag)
        return gw_fail(err, GW_ERR_RESOURCE, "libfyaml could not start");
    fy_diag_set_collect_errors(b->diag, true);
    struct fy_parse_cfg settings = {
        .search_path = "",
        .flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE | FYPCF_DISABLE_RECYCLING,
        .diag = b->diag,
    };
    b->parser = fy_parser_create(&settings);
    bool ok = b->parser && fy_parser_set_string(b->parser, b->text, b->len) == 0;
    if (!ok)
        gw_fail(err, GW_ERR_RESOURCE, "libfyaml could not start");
    ok = ok && build_document(b, err);
    fy_parser_destroy(b->parser);
    fy_diag_destroy(b->diag);
    return ok;
}

bool gw_yaml_parse(const char *text, size_t len, const char *file, struct gw_yaml *yaml, struct gw_error *err)
{
    *yaml = (struct gw_yaml){0};
    yaml->file = gw_arena_strdup(&yaml->arena, file);
    bool ok = true;
    if (len > GW_YAML_MAX_BYTES) {
        gw_fail(err, GW_ERR_USER, "%zu bytes are more than the %zu allowed", len, GW_YAML_MAX_BYTES);
        ok = gw_error_place(err, "%s", file);
    }
    ok = ok && check_bytes(text, len, file, err);
    if (ok && len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    struct builder b = {.yaml = yaml, .text = text, .len = len};
    if (ok && len > 0)
        ok = parse(&b, err);
    if (!ok)
        gw_yaml_release(yaml);
    return ok;
}

bool gw_yaml_load(const char *path, struct gw_yaml *yaml, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    *yaml = (struct gw_yaml){0};
    return gw_file_read(path, GW_YAML_MAX_BYTES, &text, err) &&
           gw_yaml_parse(gw_buf_text(&text), text.len, path, yaml, err);
}

void gw_yaml_release(struct gw_yaml *yaml)
{
    gw_arena_release(&yaml->arena);
    *yaml = (struct gw_yaml){0};
}

bool gw_yaml_is_null(const struct gw_yaml_node *node)
{
    return node && node->kind == GW_YAML_SCALAR && node->plain &&
           (!node->text[0] || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0 ||
            strcmp(node->text, "Null") == 0 || strcmp(node->text, "NULL") == 0);
}

struct gw_yaml_node *gw_yaml_get(const struct gw_yaml_node *mapping, const char *key)
{
    if (!mapping || mapping->kind != GW_YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < mapping->count; i++)
        if (strcmp(mapping->keys[i]->text, key) == 0)
            return mapping->items[i];
    return NULL;
}

const char *gw_yaml_kind_name(const struct gw_yaml_node *node)
{
    switch (node->kind) {
    case GW_YAML_SCALAR:
        return "a value";
    case GW_YAML_SEQUENCE:
        return "a list";
    case GW_YAML_MAPPING:
        return "a mapping";
    }
    return "unknown";
}
