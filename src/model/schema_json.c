/* A collection as JSON: how the state keeps it. Fields that are zero, false or absent are left out. */
#include "model/schema.h"

#include "base/mem.h"

#include <jansson.h>

static void set_text(json_t *object, const char *name, const char *text)
{
    if (text)
        json_object_set_new(object, name, json_string(text));
}

static void set_number(json_t *object, const char *name, json_int_t number)
{
    if (number)
        json_object_set_new(object, name, json_integer(number));
}

static void set_flag(json_t *object, const char *name, bool flag)
{
    if (flag)
        json_object_set_new(object, name, json_true());
}

static const char *key_kind_name(enum gw_key_kind kind)
{
    return kind == GW_KEY_PRIMARY ? "primary" : kind == GW_KEY_UNIQUE ? "unique" : "none";
}

static json_t *column_to_json(const struct gw_column *column)
{
    json_t *object = json_object();
    set_text(object, "name", column->name);
    set_text(object, "type", column->type);
    set_number(object, "type_id", column->type_id);
    set_flag(object, "not_null", column->not_null);
    set_flag(object, "generated", column->generated);
    set_flag(object, "identity_always", column->identity_always);
    set_flag(object, "binary_safe", column->binary_safe);
    set_number(object, "key_position", column->key_position);
    return object;
}

void gw_collection_format(const struct gw_collection *collection, struct gw_buf *out)
{
    json_t *object = json_object(), *columns = json_array(), *key = json_array();
    set_number(object, "id", collection->id);
    set_text(object, "space", collection->space);
    set_text(object, "name", collection->name);
    for (size_t i = 0; i < collection->column_count; i++)
        json_array_append_new(columns, column_to_json(&collection->columns[i]));
    json_object_set_new(object, "columns", columns);
    set_text(object, "key_kind", key_kind_name(collection->key_kind));
    for (size_t i = 0; i < collection->key_count; i++)
        json_array_append_new(key, json_integer(collection->key[i]));
    json_object_set_new(object, "key", key);
    set_text(object, "key_index", collection->key_index);
    set_number(object, "estimated_rows", collection->estimated_rows);
    set_number(object, "estimated_bytes", collection->estimated_bytes);
    set_number(object, "toast_bytes", collection->toast_bytes);
    set_number(object, "engine_id", collection->engine_id);
    set_text(object, "parent", collection->parent);
    set_text(object, "identity", collection->identity);
    set_flag(object, "all_binary_safe", collection->all_binary_safe);
    char *text = json_dumps(object, JSON_COMPACT);
    gw_buf_adds(out, text ? text : "{}");
    free(text);
    json_decref(object);
}

/* ---- reading back ---------------------------------------------------------------------------------------------------- */

struct get {
    const json_t *object;
    const char *wrong; /* the first field that is not as it must be */
};

static char *get_text(struct get *get, const char *name, bool needed)
{
    const json_t *item = json_object_get(get->object, name);
    if (json_is_string(item))
        return gw_strdup(json_string_value(item));
    if ((item || needed) && !get->wrong)
        get->wrong = name;
    return NULL;
}

static int64_t get_number(struct get *get, const char *name, int64_t least, int64_t most)
{
    const json_t *item = json_object_get(get->object, name);
    if (!item)
        return 0;
    int64_t number = json_integer_value(item);
    if ((!json_is_integer(item) || number < least || number > most) && !get->wrong)
        get->wrong = name;
    return number;
}

static bool get_flag(struct get *get, const char *name)
{
    const json_t *item = json_object_get(get->object, name);
    if (item && !json_is_boolean(item) && !get->wrong)
        get->wrong = name;
    return json_is_true(item);
}

static const char *column_from_json(const json_t *object, struct gw_column *column)
{
    struct get get = {.object = object};
    column->name = get_text(&get, "name", true);
    column->type = get_text(&get, "type", true);
    column->type_id = (uint32_t)get_number(&get, "type_id", 0, UINT32_MAX);
    column->not_null = get_flag(&get, "not_null");
    column->generated = get_flag(&get, "generated");
    column->identity_always = get_flag(&get, "identity_always");
    column->binary_safe = get_flag(&get, "binary_safe");
    column->key_position = (int)get_number(&get, "key_position", 0, INT32_MAX);
    return get.wrong;
}

static const char *columns_from_json(const json_t *array, struct gw_collection *out)
{
    if (!json_is_array(array))
        return "columns";
    size_t count = json_array_size(array);
    out->columns = gw_calloc(count ? count : 1, sizeof *out->columns);
    for (size_t i = 0; i < count; i++) {
        out->column_count++;
        const char *wrong = column_from_json(json_array_get(array, i), &out->columns[i]);
        if (wrong)
            return wrong;
    }
    return NULL;
}

static const char *key_from_json(const json_t *array, const char *kind, struct gw_collection *out)
{
    if (!kind)
        return "key_kind";
    if (strcmp(kind, "primary") == 0)
        out->key_kind = GW_KEY_PRIMARY;
    else if (strcmp(kind, "unique") == 0)
        out->key_kind = GW_KEY_UNIQUE;
    else if (strcmp(kind, "none") == 0)
        out->key_kind = GW_KEY_NONE;
    else
        return "key_kind";
    if (!json_is_array(array) || json_array_size(array) > out->column_count)
        return "key";
    out->key_count = json_array_size(array);
    out->key = gw_calloc(out->key_count ? out->key_count : 1, sizeof *out->key);
    for (size_t i = 0; i < out->key_count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0 ||
            (uint64_t)json_integer_value(item) >= out->column_count)
            return "key";
        out->key[i] = (uint32_t)json_integer_value(item);
    }
    return NULL;
}

static const char *collection_from_json(const json_t *object, struct gw_collection *out)
{
    struct get get = {.object = object};
    out->id = (uint32_t)get_number(&get, "id", 0, UINT32_MAX);
    out->space = get_text(&get, "space", true);
    out->name = get_text(&get, "name", true);
    const char *wrong = columns_from_json(json_object_get(object, "columns"), out);
    if (!wrong)
        wrong =
            key_from_json(json_object_get(object, "key"), json_string_value(json_object_get(object, "key_kind")), out);
    out->key_index = get_text(&get, "key_index", false);
    out->estimated_rows = get_number(&get, "estimated_rows", INT64_MIN, INT64_MAX);
    out->estimated_bytes = get_number(&get, "estimated_bytes", INT64_MIN, INT64_MAX);
    out->toast_bytes = get_number(&get, "toast_bytes", INT64_MIN, INT64_MAX);
    out->engine_id = (uint32_t)get_number(&get, "engine_id", 0, UINT32_MAX);
    out->parent = get_text(&get, "parent", false);
    out->identity = get_text(&get, "identity", false);
    out->all_binary_safe = get_flag(&get, "all_binary_safe");
    return wrong ? wrong : get.wrong;
}

bool gw_collection_parse(const char *json, struct gw_collection *out, struct gw_error *err)
{
    json_error_t why;
    json_t *object = json_loads(json, JSON_REJECT_DUPLICATES, &why);
    if (!object)
        return gw_fail(err, GW_ERR_CONFLICT, "a stored collection is not JSON: %s", why.text);
    struct gw_collection collection = {0};
    const char *wrong = collection_from_json(object, &collection);
    json_decref(object);
    if (wrong) {
        gw_fail(err, GW_ERR_CONFLICT, "a stored collection has no usable field \"%s\"", wrong);
        gw_collection_release(&collection);
        return false;
    }
    *out = collection;
    return true;
}
