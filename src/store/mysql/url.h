/*
 * An address: mysql://user:password@host:port/database?name=value&... ("mariadb:" is the same). Parts are
 * percent-decoded. Names: unix_socket (socket), ssl-mode (disabled, preferred, required, verify_ca, verify_identity),
 * ssl-ca, ssl-capath, ssl-cert, ssl-key, ssl-cipher, tls-version, connect_timeout (s), default_auth, plugin_dir,
 * server_public_key_path, read_default_file, read_default_group; '-' and '_' are alike. What the address leaves out is
 * taken from the groups [client], [client-mariadb] and [godwit] of the option files, as libmariadb reads them.
 */
#ifndef GW_STORE_MYSQL_URL_H
#define GW_STORE_MYSQL_URL_H

#include "base/error.h"

enum gw_mysql_ssl_mode {
    GW_MYSQL_SSL_DEFAULT, /* preferred on a network, off on this machine */
    GW_MYSQL_SSL_DISABLED,
    GW_MYSQL_SSL_PREFERRED,
    GW_MYSQL_SSL_REQUIRED,
    GW_MYSQL_SSL_VERIFY_CA,
    GW_MYSQL_SSL_VERIFY_IDENTITY,
};

struct gw_mysql_url { /* strings owned, NULL where not given */
    char *user, *password, *host, *database, *socket;
    unsigned port; /* 0: not given */
    enum gw_mysql_ssl_mode ssl_mode;
    char *ssl_ca, *ssl_capath, *ssl_cert, *ssl_key, *ssl_cipher, *tls_version;
    char *default_auth, *plugin_dir, *public_key, *default_file, *default_group;
    unsigned connect_timeout_s;
};

/* GW_ERR_USER with what is wrong in it. *out owned: gw_mysql_url_free. */
GW_MUST_CHECK bool gw_mysql_url_parse(const char *url, struct gw_mysql_url **out, struct gw_error *err);
void gw_mysql_url_free(struct gw_mysql_url *url); /* wipes the password; NULL is fine */

#endif
