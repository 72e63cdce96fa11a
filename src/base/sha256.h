/*
 * SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104). For values that must hash alike everywhere and for good: one that a
 * server hashed for us and the same that came whole; personal data under a key. Row digests use XXH3 (hash.h).
 */
#ifndef GW_BASE_SHA256_H
#define GW_BASE_SHA256_H

#include <stddef.h>

#define GW_SHA256_BYTES 32

void gw_sha256(const void *bytes, size_t len, unsigned char out[GW_SHA256_BYTES]);
void gw_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len, unsigned char out[GW_SHA256_BYTES]);

#endif
