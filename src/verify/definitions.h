/*
 * What the tables of the target are, beside what they were to be: types, defaults, NOT NULL, computed columns, collations,
 * owners and grants; each that is not alike is a rule of kind GW_RULE_DEFINITION with both sides' words.
 *
 * Different is what can do harm: a column that refuses what the source takes or takes what it refuses, a default or a
 * computed column that gives other values, a unique text in another collation, a role that is on both sides and may do
 * less on the target. All else is a note. What a map made for another engine is wanted in other words than the engine
 * gives back, and nobody granted anything on it: only NOT NULL and computing count there.
 *
 * Threads: one.
 */
#ifndef GW_VERIFY_DEFINITIONS_H
#define GW_VERIFY_DEFINITIONS_H

#include "verify/rules.h"

/* `there`: the target as it is. Appends to report->rules; their verdicts are for the caller to take in. False only when
 * cancelled. */
GW_MUST_CHECK bool gw_definitions_diff(const struct gw_rules_options *, const struct gw_definition *there,
                                       struct gw_verify_report *report, struct gw_error *err);

#endif
