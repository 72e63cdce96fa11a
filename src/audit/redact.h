/*
 * What may hold a secret does not get into a report: statements are kept by servers as they were typed, with passwords in
 * them, and settings of applications hold keys. Cut is what follows the word that gives it away.
 */
#ifndef GW_AUDIT_REDACT_H
#define GW_AUDIT_REDACT_H

#include <jansson.h>

void gw_audit_redact(json_t *sections);

#endif
