#include "verify/mask.h"

#include "base/hash.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 60
#define SHOWN_BYTES 6 /* of a hash: one in 2^48 */

void gw_mask_init(struct gw_mask *mask, bool hides, bool hides_keys, const char *given)
{
    *mask = (struct gw_mask){.hides = hides, .hides_keys = hides_keys};
    if (given) {
        gw_sha256(given, strlen(given), mask->key);
        return;
    }
    for (size_t i = 0; i < sizeof mask->key; i += sizeof(uint64_t)) {
        uint64_t random = gw_random64();
        memcpy(mask->key + i, &random, sizeof random);
    }
}

/* Whole numbers and UUIDs: names that a database gave. */
static bool is_plain_key(const char *text, size_t len)
{
    size_t digits = len && text[0] == '-' ? 1 : 0;
    while (digits < len && isdigit((unsigned char)text[digits]))
        digits++;
    if (digits == len)
        return len > 0;
    if (len != 36)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    return true;
}

void gw_mask_add(const struct gw_mask *mask, bool key, const char *text, size_t len, struct gw_buf *out)
{
    unsigned char hash[GW_SHA256_BYTES];
    if (!mask || !mask->hides || (key && !mask->hides_keys && is_plain_key(text, len))) {
        gw_buf_add(out, text, len);
        return;
    }
    gw_hmac_sha256(mask->key, sizeof mask->key, text, len, hash);
    gw_buf_addc(out, '#');
    for (size_t i = 0; i < SHOWN_BYTES; i++)
        gw_buf_addf(out, "%02x", hash[i]);
}

void gw_mask_shown(const struct gw_mask *mask, bool key, const char *text, size_t len, struct gw_buf *out)
{
    size_t shown = len;
    if (mask && mask->hides) {
        gw_mask_add(mask, key, text, len, out);
        return;
    }
    if (len > TEXT_BYTES)
        for (shown = TEXT_BYTES; shown && ((unsigned char)text[shown] & 0xc0) == 0x80;)
            shown--;
    gw_buf_add(out, text, shown);
    gw_buf_adds(out, shown < len ? "..." : "");
}

char *gw_mask_owned(const struct gw_mask *mask, bool key, char *text)
{
    struct gw_buf out = {0};
    if (!mask || !mask->hides)
        return text;
    gw_mask_add(mask, key, text, strlen(text), &out);
    free(text);
    return gw_buf_detach(&out);
}

/* Over what stands in quotes, or behind '=' up to its end. */
static const char *skip_value(const char *at)
{
    if (*at == '"' || *at == '\'' || *at == '`') {
        const char *end = strchr(at + 1, *at);
        return end ? end + 1 : at + strlen(at);
    }
    at++;
    at += *at == '(' ? strcspn(at, ")") : strcspn(at, " ,;)");
    return at;
}

void gw_mask_words(const struct gw_mask *mask, const char *words, struct gw_buf *out)
{
    if (!mask || !mask->hides) {
        gw_buf_adds(out, words);
        return;
    }
    for (const char *at = words; *at;) {
        bool number = isdigit((unsigned char)*at);
        if (!strchr("\"'`=", *at) && !number) {
            gw_buf_addc(out, *at++);
            continue;
        }
        gw_buf_adds(out, *at == '=' ? "=***" : "***");
        at = number ? at + strspn(at, "0123456789.") : skip_value(at);
    }
}

uint64_t gw_mask_identity(const struct gw_mask *mask, const char *collection, const char *key)
{
    static const unsigned char none[GW_SHA256_BYTES] = {0};
    unsigned char hash[GW_SHA256_BYTES];
    uint64_t identity;
    if (!mask || memcmp(mask->identity_key, none, sizeof none) == 0)
        return 0;
    gw_autofree char *text = gw_asprintf("%s\n%s", collection, key);
    gw_hmac_sha256(mask->identity_key, sizeof mask->identity_key, text, strlen(text), hash);
    memcpy(&identity, hash, sizeof identity);
    return identity ? identity : 1;
}
