/*
 * The rules of the migration file, under `collections:` of a store: what is renamed, dropped, changed on the way.
 *
 *   collections:
 *     users:                          # as on blue; schema.table where there are schemas
 *       rename: people
 *       where: { column: state, not_in: [deleted] }     # or lua: "return row.state ~= 'deleted'"
 *       columns:
 *         email:    { trim: true, lower: true, back: { as_is: true } }
 *         ssn:      { drop: true, back: "000" }         # what a new row gets on blue on the way back
 *         country:  { lookup: { DE: Germany }, otherwise: fail }
 *         price:    { type: "decimal(10,2)", on_loss: round }
 *         phone:    { mask: last4 }
 *         user_ref: { hash: "${HASH_KEY}" }             # keyed: HMAC-SHA-256
 *         label:    { rename: title, type: "varchar(80)" }
 *         name:     { split: { separator: " ", into: [first_name, last_name] } }
 *       add:
 *         full_name: { concat: "{first_name} {last_name}" }
 *         source:    { constant: "legacy" }
 *         initials:  { lua: "return row.first_name:sub(1,1)", type: text }
 *
 * The keys, with types and words, are one table: model/rule_table.h. A value goes through the keys of its column in
 * this order, however they are written: trim, lower or upper, lookup, mask, hash, lua, and last into green's type.
 *
 * Read-only after parsing; any thread. Hash keys are never shown.
 */
#ifndef GW_MAP_RULES_H
#define GW_MAP_RULES_H

#include "base/error.h"
#include "io/yaml.h"

#include <stdbool.h>

struct gw_rules;

/* From what a migration keeps of `collections:` (gw_migration_store.collections; root NULL: no rules). It is copied.
 * GW_ERR_USER with file:line:col for what the table of keys could not tell: two sources of one column and such. Whether
 * the collections and columns are there, gw_map_compile says. */
GW_MUST_CHECK bool gw_rules_parse(const struct gw_yaml *collections, struct gw_rules **out, struct gw_error *err);
struct gw_rules *gw_rules_ref(struct gw_rules *rules); /* NULL is fine */
void gw_rules_free(struct gw_rules *rules);            /* gives one reference back; NULL is fine */
bool gw_rules_any(const struct gw_rules *rules);       /* is there any rule? NULL: no */

#endif
