#include "model/range.h"

#include "base/mem.h"

#include <jansson.h>

void gw_bound_release(struct gw_bound *bound)
{
    for (uint32_t i = 0; i < bound->count; i++)
        free(bound->texts[i]);
    free(bound->texts);
    *bound = (struct gw_bound){0};
}

struct gw_bound gw_bound_copy(const struct gw_bound *bound)
{
    struct gw_bound copy = {.count = bound->count};
    if (bound->count == 0)
        return copy;
    copy.texts = gw_calloc(bound->count, sizeof *copy.texts);
    for (uint32_t i = 0; i < bound->count; i++)
        copy.texts[i] = gw_strdup(bound->texts[i]);
    return copy;
}

bool gw_bound_equal(const struct gw_bound *a, const struct gw_bound *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (strcmp(a->texts[i], b->texts[i]) != 0)
            return false;
    return true;
}

/*
 * A key need not be valid UTF-8 (an SQL_ASCII database takes any bytes), JSON must be. Such a text is written as NUL,
 * "hex:" and its bytes in hex: no text holds a NUL, so nothing else looks like it.
 */
#define HEX_PREFIX "\0hex:"
#define HEX_PREFIX_LEN (sizeof HEX_PREFIX - 1)

static json_t *text_to_json(const char *text)
{
    json_t *plain = json_string(text);
    if (plain)
        return plain;
    gw_autobuf struct gw_buf hex = {0};
    gw_buf_add(&hex, HEX_PREFIX, HEX_PREFIX_LEN);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        gw_buf_addf(&hex, "%02x", *p);
    return json_stringn(hex.data, hex.len);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL when it is not a text of ours. */
static char *text_from_json(const json_t *item)
{
    if (!json_is_string(item))
        return NULL;
    const char *text = json_string_value(item);
    size_t len = json_string_length(item);
    if (memchr(text, 0, len) == NULL)
        return gw_strndup(text, len);
    if (len < HEX_PREFIX_LEN || memcmp(text, HEX_PREFIX, HEX_PREFIX_LEN) != 0 || (len - HEX_PREFIX_LEN) % 2 != 0)
        return NULL;
    size_t bytes = (len - HEX_PREFIX_LEN) / 2;
    char *out = gw_zalloc(bytes + 1);
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_digit(text[HEX_PREFIX_LEN + 2 * i]), low = hex_digit(text[HEX_PREFIX_LEN + 2 * i + 1]);
        if (high < 0 || low < 0 || (high == 0 && low == 0)) {
            free(out);
            return NULL;
        }
        out[i] = (char)(high << 4 | low);
    }
    return out;
}

void gw_bound_format(const struct gw_bound *bound, struct gw_buf *out)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < bound->count; i++)
        json_array_append_new(array, text_to_json(bound->texts[i]));
    char *text = json_dumps(array, JSON_COMPACT);
    gw_buf_adds(out, text ? text : "[]");
    free(text);
    json_decref(array);
}

static bool bound_from_json(const json_t *array, struct gw_bound *out)
{
    struct gw_bound bound = {0};
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > UINT32_MAX)
        return false;
    if (count)
        bound.texts = gw_calloc(count, sizeof *bound.texts);
    for (size_t i = 0; i < count; i++) {
        char *text = text_from_json(json_array_get(array, i));
        if (!text) {
            gw_bound_release(&bound);
            return false;
        }
        bound.texts[bound.count++] = text;
    }
    *out = bound;
    return true;
}

bool gw_bound_parse(const char *json, struct gw_bound *out, struct gw_error *err)
{
    json_error_t why;
    json_t *array = json_loads(json, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
    if (!array)
        return gw_fail(err, GW_ERR_CONFLICT, "the key bound \"%.100s\" is not JSON: %s", json, why.text);
    bool ok = bound_from_json(array, out);
    json_decref(array);
    return ok || gw_fail(err, GW_ERR_CONFLICT, "the key bound \"%.100s\" is not an array of strings", json);
}

void gw_range_release(struct gw_range *range)
{
    gw_bound_release(&range->low);
    gw_bound_release(&range->high);
}
