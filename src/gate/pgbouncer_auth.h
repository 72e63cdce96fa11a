/*
 * Will PgBouncer's logins work on the side it is to lead to? Where PgBouncer holds a password we can read, by logging
 * in with it; otherwise what cannot be proven is said.
 */
#ifndef GW_GATE_PGBOUNCER_AUTH_H
#define GW_GATE_PGBOUNCER_AUTH_H

#include "gate/pgbouncer.h"

/* Passwords are read from PgBouncer's own files, used for one login and wiped; never in errors or findings. */
GW_MUST_CHECK bool gw_pgb_check_auth(struct gw_pgb_gate *gate, enum gw_gate_target target, struct gw_buf *findings,
                                     struct gw_error *err);

/* The secret of `user` in the text of an auth_file (lines: "user" "secret"); false when it is not there or too long. */
bool gw_pgb_auth_secret(const char *text, const char *user, char *out, size_t size);

#endif
