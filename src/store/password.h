/*
 * The password a command gives (password_command): for tokens that live minutes. Asked anew at every connect.
 */
#ifndef GW_STORE_PASSWORD_H
#define GW_STORE_PASSWORD_H

#include "base/buf.h"
#include "store/store.h"

/* The first line of the output of `command`, run by /bin/sh, without its newline; added to `out`, which the caller wipes. */
GW_MUST_CHECK bool gw_store_password(const struct gw_store *store, const char *command, struct gw_cancel *cancel,
                                     struct gw_buf *out, struct gw_error *err);

#endif
