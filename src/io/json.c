#include "io/json.h"

#include "base/file.h"
#include "io/utf8.h"

void gw_cleanup_json(json_t **value)
{
    json_decref(*value);
    *value = NULL;
}

json_t *gw_json_text_len(const char *bytes, size_t len)
{
    gw_autobuf struct gw_buf clean = {0};
    size_t at = 0;
    while (at < len) {
        size_t good = gw_utf8_valid_prefix(bytes + at, len - at);
        const char *nul = memchr(bytes + at, 0, good);
        if (nul)
            good = (size_t)(nul - (bytes + at));
        gw_buf_add(&clean, bytes + at, good);
        at += good;
        if (at < len) {
            gw_buf_adds(&clean, "\xef\xbf\xbd");
            at++;
        }
    }
    return json_stringn(gw_buf_text(&clean), clean.len);
}

json_t *gw_json_text(const char *text)
{
    return text ? gw_json_text_len(text, strlen(text)) : json_null();
}

static int dump_piece(const char *piece, size_t len, void *out)
{
    gw_buf_add(out, piece, len);
    return 0;
}

void gw_json_dump(const json_t *value, unsigned indent, struct gw_buf *out)
{
    json_dump_callback(value, dump_piece, out, JSON_ENCODE_ANY | JSON_INDENT(indent));
}

bool gw_json_parse(const char *text, size_t len, const char *what, json_t **value, struct gw_error *err)
{
    json_error_t wrong;
    json_t *parsed = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &wrong);
    if (!parsed)
        return gw_fail(err, GW_ERR_USER, "%s:%d:%d: not JSON: %s", what, wrong.line, wrong.column, wrong.text);
    *value = parsed;
    return true;
}

bool gw_json_read_file(const char *path, size_t max_bytes, json_t **value, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    return gw_file_read(path, max_bytes, &text, err) && gw_json_parse(gw_buf_text(&text), text.len, path, value, err);
}

static bool get(const json_t *object, const char *key, json_type type, const char *wanted, json_t **out,
                struct gw_error *err)
{
    json_t *value = json_object_get(object, key);
    if (!value)
        return gw_fail(err, GW_ERR_USER, "\"%s\" is missing", key);
    if (json_typeof(value) != type)
        return gw_fail(err, GW_ERR_USER, "\"%s\" must be %s", key, wanted);
    *out = value;
    return true;
}

bool gw_json_get_string(const json_t *object, const char *key, const char **out, struct gw_error *err)
{
    json_t *value = NULL;
    if (!get(object, key, JSON_STRING, "a string", &value, err))
        return false;
    *out = json_string_value(value);
    return true;
}

bool gw_json_get_int(const json_t *object, const char *key, int64_t *out, struct gw_error *err)
{
    json_t *value = NULL;
    if (!get(object, key, JSON_INTEGER, "an integer", &value, err))
        return false;
    *out = (int64_t)json_integer_value(value);
    return true;
}

bool gw_json_get_bool(const json_t *object, const char *key, bool *out, struct gw_error *err)
{
    json_t *value = json_object_get(object, key);
    if (!value)
        return gw_fail(err, GW_ERR_USER, "\"%s\" is missing", key);
    if (!json_is_boolean(value))
        return gw_fail(err, GW_ERR_USER, "\"%s\" must be true or false", key);
    *out = json_is_true(value);
    return true;
}

bool gw_json_get_array(const json_t *object, const char *key, json_t **out, struct gw_error *err)
{
    return get(object, key, JSON_ARRAY, "an array", out, err);
}
