/* The transforms on one value; each is a plain function of it. */
#include "base/mem.h"
#include "base/sha256.h"
#include "map/internal.h"

#include <string.h>

bool gw_map_trim(const struct gw_datum *in, struct gw_datum *out)
{
    const char *blanks = " \t\n\r\v\f";
    *out = *in;
    while (out->len && out->bytes[out->len - 1] && strchr(blanks, out->bytes[out->len - 1]))
        out->len--;
    while (out->len && out->bytes[0] && strchr(blanks, out->bytes[0])) {
        out->bytes++;
        out->len--;
    }
    return true;
}

static bool is_first_byte(unsigned char c)
{
    return (c & 0xc0u) != 0x80u;
}

static size_t characters_of(const struct gw_datum *text)
{
    size_t count = 0;
    for (size_t i = 0; i < text->len; i++)
        count += is_first_byte(text->bytes[i]);
    return count;
}

/* A star for each character from the `from`th up to the `to`th. */
static void star(const struct gw_datum *text, size_t from, size_t to, struct gw_arena *arena, struct gw_datum *out)
{
    unsigned char *bytes = gw_arena_alloc(arena, (size_t)text->len + 1);
    size_t len = 0;
    size_t character = 0;
    bool hidden = false;
    for (size_t i = 0; i < text->len; i++) {
        if (is_first_byte(text->bytes[i])) {
            hidden = character >= from && character < to;
            character++;
            if (hidden)
                bytes[len++] = '*';
        }
        if (!hidden)
            bytes[len++] = text->bytes[i];
    }
    *out = gw_datum_of_bytes(GW_KIND_TEXT, bytes, len);
}

void gw_map_mask(enum gw_rule_mask mask, const struct gw_datum *text, struct gw_arena *arena, struct gw_datum *out)
{
    size_t count = characters_of(text);
    const unsigned char *at = text->len ? memchr(text->bytes, '@', text->len) : NULL;
    struct gw_datum name = *text;
    switch (mask) {
    case MASK_LAST4:
        /* Of four characters or fewer nothing is left to be seen. */
        star(text, 0, count > 4 ? count - 4 : count, arena, out);
        return;
    case MASK_FIRST1:
        star(text, count > 1, count, arena, out);
        return;
    case MASK_EMAIL:
        name.len = at ? (uint32_t)(at - text->bytes) : text->len;
        count = characters_of(&name);
        star(text, at && count > 1, count, arena, out);
        return;
    case MASK_NONE:
    case MASK_ALL:
        break;
    }
    star(text, 0, count, arena, out);
}

void gw_map_hash(const char *key, const struct gw_datum *text, bool as_bytes, struct gw_arena *arena,
                 struct gw_datum *out)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char *hash = gw_arena_alloc(arena, GW_SHA256_BYTES * 3);
    unsigned char *hex = hash + GW_SHA256_BYTES;
    gw_hmac_sha256(key, strlen(key), text->bytes, text->len, hash);
    if (as_bytes) {
        *out = gw_datum_of_bytes(GW_KIND_BYTES, hash, GW_SHA256_BYTES);
        return;
    }
    for (size_t i = 0; i < GW_SHA256_BYTES; i++) {
        hex[2 * i] = (unsigned char)digits[hash[i] >> 4];
        hex[2 * i + 1] = (unsigned char)digits[hash[i] & 15];
    }
    *out = gw_datum_of_bytes(GW_KIND_TEXT, hex, 2 * (size_t)GW_SHA256_BYTES);
}

static int compare_keys(const void *key, size_t len, const struct gw_map_lookup_entry *entry)
{
    size_t both = len < entry->key_len ? len : entry->key_len;
    int order = both ? memcmp(key, entry->key, both) : 0;
    return order ? order : len < entry->key_len ? -1 : len > entry->key_len;
}

const struct gw_datum *gw_map_look_up(const struct gw_map_lookup *lookup, const struct gw_datum *key,
                                      struct gw_buf *scratch)
{
    size_t low = 0;
    size_t high = lookup->count;
    gw_buf_clear(scratch);
    gw_datum_write(scratch, key);
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_keys(scratch->data, scratch->len, &lookup->entries[middle]);
        if (order == 0)
            return &lookup->entries[middle].value;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void gw_map_split(const struct gw_datum *text, const char *separator, size_t part, size_t part_count,
                  struct gw_datum *out)
{
    size_t separator_len = strlen(separator);
    const unsigned char *at = text->bytes;
    size_t left = text->len;
    for (size_t i = 0;; i++) {
        const unsigned char *found = left && i + 1 < part_count ? memmem(at, left, separator, separator_len) : NULL;
        if (i == part) {
            *out = gw_datum_of_bytes(GW_KIND_TEXT, at, found ? (size_t)(found - at) : left);
            return;
        }
        if (!found) {
            *out = gw_datum_null();
            return;
        }
        left -= (size_t)(found - at) + separator_len;
        at = found + separator_len;
    }
}
