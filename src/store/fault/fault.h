/*
 * A wrapper around any store that makes named calls fail.
 *
 * From a URL: "fault:RULES:INNER-URL", or from a test by gw_fault_set. RULES are separated by commas:
 *     writer.commit:3=cut       the third commit takes effect, and its acknowledgement is lost
 *     reader.next:p50=retry     one call in 50, by chance (the seed is settable), fails as a lost connection would
 *     changes.open:1=refused
 * The name is facet.function, "*" is any. Kinds: retry, refused, conflict, lost, resource; cut (as retry, but the call
 * took effect); hang (until the calling thread's own token is asked). A retry or cut breaks the session: what was open on it rolls back, every later call on it fails.
 * Thread-safe.
 */
#ifndef GW_STORE_FAULT_FAULT_H
#define GW_STORE_FAULT_FAULT_H

#include "store/store.h"

extern const struct gw_store_type gw_store_fault;

/* Wraps an open store, which the wrapper owns from then on. Without rules nothing fails. */
struct gw_store *gw_fault_wrap(struct gw_store *inner);
/* Replaces the rules and starts counting again; "" is no rule. */
GW_MUST_CHECK bool gw_fault_set(struct gw_store *store, const char *rules, struct gw_error *err);
void gw_fault_seed(struct gw_store *store, uint64_t seed);
uint64_t gw_fault_injected(struct gw_store *store);                /* since it was wrapped */
uint64_t gw_fault_calls(struct gw_store *store, const char *name); /* since the rules were set; only names in rules */

#endif
