/*
 * Where a side answers, as the gate needs it: host, port, database, without user and password.
 */
#ifndef GW_GATE_ADDRESS_H
#define GW_GATE_ADDRESS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct gw_gate_address {
    char host[256]; /* a name, a number, or the folder of a unix socket; "" for the client's default socket */
    char port[16];
    char dbname[512]; /* or the path of a database that is a file */
};

/* From whatever libpq takes (a URL, key=value, service=), else from the URL or path of any engine. GW_ERR_USER for several hosts: a gate needs the one. */
GW_MUST_CHECK bool gw_gate_address_of_url(const char *url, struct gw_gate_address *out, struct gw_error *err);
/* Of a side (0 blue, 1 green): what the gate's settings say, else what its URL says. */
struct gw_migration_gate;
GW_MUST_CHECK bool gw_gate_address_of_side(const struct gw_migration_gate *settings, int side, const char *url,
                                           struct gw_gate_address *out, struct gw_error *err);
/* From "host:port/database", "[::1]:5432/database" or "/socket/folder:5432/database" in the migration file; what is
 * left out is kept as it is in *out. `key` names the setting in errors. */
GW_MUST_CHECK bool gw_gate_address_parse(const char *text, const char *key, struct gw_gate_address *out,
                                         struct gw_error *err);
bool gw_gate_address_equal(const struct gw_gate_address *a, const struct gw_gate_address *b);
/* Equal; or the same port and database on hosts that resolve to a common network address, or on loopback and a unix
 * socket. May ask DNS. */
bool gw_gate_address_same_place(const struct gw_gate_address *a, const struct gw_gate_address *b);
/* "host:port/dbname", for messages; out is cut to size bytes. */
void gw_gate_address_format(const struct gw_gate_address *address, char *out, size_t size);

#endif
