#include "model/schema.h"

#include "base/mem.h"

void gw_collection_release(struct gw_collection *collection)
{
    for (size_t i = 0; i < collection->column_count; i++) {
        free(collection->columns[i].name);
        free(collection->columns[i].type);
    }
    free(collection->columns);
    free(collection->space);
    free(collection->name);
    free(collection->key);
    free(collection->key_index);
    free(collection->parent);
    free(collection->identity);
    *collection = (struct gw_collection){0};
}

void gw_schema_release(struct gw_schema *schema)
{
    for (size_t i = 0; i < schema->count; i++)
        gw_collection_release(&schema->collections[i]);
    free(schema->collections);
    *schema = (struct gw_schema){0};
}

const struct gw_collection *gw_schema_find(const struct gw_schema *schema, const char *space, const char *name)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct gw_collection *collection = &schema->collections[i];
        if (strcmp(collection->name, name) == 0 && strcmp(collection->space, space) == 0)
            return collection;
    }
    return NULL;
}

/* ---- labels -------------------------------------------------------------------------------------------------------- */

#define LABEL_RING 8
#define LABEL_BYTES 512

static bool plain_name(const char *name)
{
    if ((name[0] < 'a' || name[0] > 'z') && name[0] != '_')
        return false;
    for (const char *p = name; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_'))
            return false;
    return true;
}

static void add_name(struct gw_buf *out, const char *name)
{
    if (plain_name(name)) {
        gw_buf_adds(out, name);
        return;
    }
    gw_buf_addc(out, '"');
    for (const char *p = name; *p; p++) {
        if (*p == '"')
            gw_buf_addc(out, '"');
        gw_buf_addc(out, *p);
    }
    gw_buf_addc(out, '"');
}

const char *gw_collection_label(const struct gw_collection *collection)
{
    static _Thread_local char ring[LABEL_RING][LABEL_BYTES];
    static _Thread_local unsigned next;
    char *out = ring[next++ % LABEL_RING];
    gw_autobuf struct gw_buf label = {0};
    if (collection->space && collection->space[0]) {
        add_name(&label, collection->space);
        gw_buf_addc(&label, '.');
    }
    add_name(&label, collection->name ? collection->name : "");
    snprintf(out, LABEL_BYTES, "%s", gw_buf_text(&label));
    if (label.len >= LABEL_BYTES)
        memcpy(out + LABEL_BYTES - 4, "...", 4);
    return out;
}

/* ---- shape --------------------------------------------------------------------------------------------------------- */

static void differ(struct gw_buf *difference, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void differ(struct gw_buf *difference, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (difference->len)
        gw_buf_adds(difference, "; ");
    gw_buf_vaddf(difference, format, args);
    va_end(args);
}

static const struct gw_column *column_named(const struct gw_collection *collection, const char *name)
{
    for (size_t i = 0; i < collection->column_count; i++)
        if (strcmp(collection->columns[i].name, name) == 0)
            return &collection->columns[i];
    return NULL;
}

static void column_differences(const struct gw_collection *a, const struct gw_collection *b, struct gw_buf *out)
{
    for (size_t i = 0; i < a->column_count; i++) {
        const struct gw_column *before = &a->columns[i];
        const struct gw_column *now = column_named(b, before->name);
        if (!now) {
            differ(out, "column %s is gone", before->name);
            continue;
        }
        if (strcmp(before->type, now->type) != 0)
            differ(out, "column %s: %s became %s", before->name, before->type, now->type);
        if (before->generated != now->generated)
            differ(out, "column %s is %s generated", before->name, now->generated ? "now" : "no longer");
    }
    for (size_t i = 0; i < b->column_count; i++)
        if (!column_named(a, b->columns[i].name))
            differ(out, "column %s %s is new", b->columns[i].name, b->columns[i].type);
    if (out->len)
        return;
    for (size_t i = 0; i < a->column_count; i++)
        if (strcmp(a->columns[i].name, b->columns[i].name) != 0) {
            differ(out, "the columns stand in another order (%s where %s was)", b->columns[i].name, a->columns[i].name);
            return;
        }
}

static void key_words(const struct gw_collection *collection, struct gw_buf *out)
{
    if (collection->key_kind == GW_KEY_NONE || collection->key_count == 0) {
        gw_buf_adds(out, "none");
        return;
    }
    gw_buf_adds(out, collection->key_kind == GW_KEY_PRIMARY ? "primary (" : "unique (");
    for (size_t i = 0; i < collection->key_count; i++)
        gw_buf_addf(out, "%s%s", i ? ", " : "", collection->columns[collection->key[i]].name);
    gw_buf_addc(out, ')');
}

/* Nullability and identity are left out on purpose: they change neither the bytes of a row nor how it is found. */
bool gw_collection_same_shape(const struct gw_collection *a, const struct gw_collection *b, struct gw_buf *difference)
{
    gw_autobuf struct gw_buf words = {0}, key_a = {0}, key_b = {0};
    column_differences(a, b, &words);
    key_words(a, &key_a);
    key_words(b, &key_b);
    if (strcmp(gw_buf_text(&key_a), gw_buf_text(&key_b)) != 0)
        differ(&words, "the key: %s became %s", gw_buf_text(&key_a), gw_buf_text(&key_b));
    if (difference)
        gw_buf_add(difference, words.data, words.len);
    return words.len == 0;
}
