/*
 * SHA-256 (FIPS 180-4), for one purpose: a value that the server hashed for us and the same value that came whole must
 * give the same canonical bytes. Row digests use XXH3.
 */
#ifndef GW_STORE_POSTGRES_SCAN_SHA256_H
#define GW_STORE_POSTGRES_SCAN_SHA256_H

#include <stddef.h>

#define GW_SHA256_BYTES 32

void gw_pg_sha256(const void *bytes, size_t len, unsigned char out[GW_SHA256_BYTES]);

#endif
