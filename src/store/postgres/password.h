/*
 * The password a command gives (password_command): for tokens that live minutes. Asked anew at every connect.
 */
#ifndef GW_STORE_POSTGRES_PASSWORD_H
#define GW_STORE_POSTGRES_PASSWORD_H

#include "base/buf.h"
#include "store/postgres/postgres.h"

/* The first line of the command's output, without its newline. The caller wipes the buffer. */
GW_MUST_CHECK bool gw_pg_password(struct gw_pg_store *, struct gw_buf *out, struct gw_error *);

#endif
