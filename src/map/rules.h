/*
 * The rules of the migration file, under `collections:` of a store: what is renamed, dropped, changed on the way.
 *
 *   collections:
 *     users:                          # as on blue; schema.table where there are schemas
 *       rename: people
 *       where: { column: state, not_in: [deleted] }     # or lua: "return row.state ~= 'deleted'"
 *       columns:
 *         email:    { lower: true, trim: true }
 *         ssn:      { drop: true, back: "000" }         # what fills it on blue on the way back
 *         country:  { lookup: { DE: Germany }, otherwise: fail }
 *         price:    { cast: "decimal(10,2)", on_loss: round }
 *         phone:    { mask: last4 }
 *         user_ref: { hash: "${HASH_KEY}" }             # keyed: HMAC-SHA-256
 *         label:    { rename: title, type: "varchar(80)" }
 *       add:
 *         full_name: { concat: [first_name, " ", last_name] }
 *         source:    { constant: "legacy" }
 *         initials:  { lua: "return row.first_name:sub(1,1)", type: text }
 *
 * Read-only after parsing; any thread.
 */
#ifndef GW_MAP_RULES_H
#define GW_MAP_RULES_H

struct gw_rules;

#endif
