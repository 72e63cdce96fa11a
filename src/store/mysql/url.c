#include "store/mysql/url.h"

#include "base/mem.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Owned; NULL where an escape is broken or gives a NUL. */
static char *decoded(const char *text, size_t len)
{
    char *out = gw_alloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            out[n++] = text[i];
            continue;
        }
        int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
        int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            free(out);
            return NULL;
        }
        out[n++] = (char)(high * 16 + low);
        i += 2;
    }
    out[n] = 0;
    return out;
}

static bool take_part(const char *what, const char *text, size_t len, char **out, struct gw_error *err)
{
    free(*out);
    *out = decoded(text, len);
    if (!*out)
        return gw_fail(err, GW_ERR_USER, "the %s of the address has a broken %%-escape", what);
    return true;
}

static bool take_ssl_mode(const char *value, struct gw_mysql_url *url, struct gw_error *err)
{
    static const char *const names[] = {NULL, "disabled", "preferred", "required", "verify_ca", "verify_identity"};
    for (size_t i = 1; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(value, names[i]) == 0) {
            url->ssl_mode = (enum gw_mysql_ssl_mode)i;
            return true;
        }
    gw_fail(err, GW_ERR_USER, "ssl-mode \"%s\" of the address is unknown", value);
    return gw_error_hint(err, "known: disabled, preferred, required, verify_ca, verify_identity");
}

/* `name` has '-' for '_' already. Takes over `value`. */
static bool take_option(const char *name, char *value, struct gw_mysql_url *url, struct gw_error *err)
{
    static const struct {
        const char *name;
        size_t place;
    } texts[] = {
        {"unix-socket", offsetof(struct gw_mysql_url, socket)},
        {"socket", offsetof(struct gw_mysql_url, socket)},
        {"ssl-ca", offsetof(struct gw_mysql_url, ssl_ca)},
        {"ssl-capath", offsetof(struct gw_mysql_url, ssl_capath)},
        {"ssl-cert", offsetof(struct gw_mysql_url, ssl_cert)},
        {"ssl-key", offsetof(struct gw_mysql_url, ssl_key)},
        {"ssl-cipher", offsetof(struct gw_mysql_url, ssl_cipher)},
        {"tls-version", offsetof(struct gw_mysql_url, tls_version)},
        {"default-auth", offsetof(struct gw_mysql_url, default_auth)},
        {"plugin-dir", offsetof(struct gw_mysql_url, plugin_dir)},
        {"server-public-key-path", offsetof(struct gw_mysql_url, public_key)},
        {"read-default-file", offsetof(struct gw_mysql_url, default_file)},
        {"read-default-group", offsetof(struct gw_mysql_url, default_group)},
        {"user", offsetof(struct gw_mysql_url, user)},
        {"password", offsetof(struct gw_mysql_url, password)},
        {"host", offsetof(struct gw_mysql_url, host)},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(name, texts[i].name) == 0) {
            char **place = (char **)(void *)((char *)url + texts[i].place);
            free(*place);
            *place = value;
            return true;
        }
    bool fine = true;
    if (strcmp(name, "ssl-mode") == 0)
        fine = take_ssl_mode(value, url, err);
    else if (strcmp(name, "connect-timeout") == 0)
        url->connect_timeout_s = (unsigned)strtoul(value, NULL, 10);
    else
        fine = gw_fail(err, GW_ERR_USER, "the address has an unknown option \"%s\"", name);
    free(value);
    return fine;
}

static bool take_options(const char *text, struct gw_mysql_url *url, struct gw_error *err)
{
    while (*text) {
        size_t len = strcspn(text, "&"), name_len = strcspn(text, "=&");
        char *name = NULL, *value = NULL;
        bool fine =
            take_part("options", text, name_len, &name, err) &&
            take_part("options", text + name_len + (name_len < len), len - name_len - (name_len < len), &value, err);
        for (char *p = name; fine && *p; p++)
            *p = *p == '_' ? '-' : (char)tolower((unsigned char)*p);
        if (fine && *name)
            fine = take_option(name, value, url, err);
        else
            free(value);
        free(name);
        if (!fine)
            return false;
        text += len + (text[len] != 0);
    }
    return true;
}

/* user:password@ */
static bool take_user(const char *text, size_t len, struct gw_mysql_url *url, struct gw_error *err)
{
    const char *colon = memchr(text, ':', len);
    size_t user_len = colon ? (size_t)(colon - text) : len;
    if (user_len > 0 && !take_part("user", text, user_len, &url->user, err))
        return false;
    return !colon || take_part("password", colon + 1, len - user_len - 1, &url->password, err);
}

/* host, host:port, [::1]:port */
static bool take_host(const char *text, size_t len, struct gw_mysql_url *url, struct gw_error *err)
{
    const char *end = text + len, *host = text, *host_end = end;
    if (len > 0 && *text == '[') {
        host++;
        host_end = memchr(text, ']', len);
        if (!host_end)
            return gw_fail(err, GW_ERR_USER, "the host of the address has no closing \"]\"");
        text = host_end + 1;
    } else {
        host_end = memchr(text, ':', len);
        host_end = host_end ? host_end : end;
        text = host_end;
    }
    if (text < end && *text == ':' && text + 1 < end) {
        char *stop;
        gw_autofree char *port = gw_strndup(text + 1, (size_t)(end - text) - 1);
        unsigned long number = strtoul(port, &stop, 10);
        if (*stop || number == 0 || number > 65535)
            return gw_fail(err, GW_ERR_USER, "port \"%s\" of the address is no port", port);
        url->port = (unsigned)number;
    }
    return host_end == host || take_part("host", host, (size_t)(host_end - host), &url->host, err);
}

static bool parse_parts(const char *text, struct gw_mysql_url *url, struct gw_error *err)
{
    text = strchr(text, ':') + 1;
    if (strncmp(text, "//", 2) != 0)
        return gw_fail(err, GW_ERR_USER, "the address must read mysql://user@host/database");
    text += 2;
    size_t authority = strcspn(text, "/?");
    const char *at = memrchr(text, '@', authority);
    if (at && !take_user(text, (size_t)(at - text), url, err))
        return false;
    const char *host = at ? at + 1 : text;
    if (!take_host(host, (size_t)(text + authority - host), url, err))
        return false;
    text += authority;
    if (*text == '/') {
        size_t len = strcspn(++text, "?");
        if (len > 0 && !take_part("database", text, len, &url->database, err))
            return false;
        text += len;
    }
    if (*text == '?' && !take_options(text + 1, url, err))
        return false;
    if (!url->database) {
        gw_fail(err, GW_ERR_USER, "the address names no database");
        return gw_error_hint(err, "mysql://user@host/DATABASE");
    }
    return true;
}

bool gw_mysql_url_parse(const char *text, struct gw_mysql_url **out, struct gw_error *err)
{
    struct gw_mysql_url *url = gw_zalloc(sizeof *url);
    if (!parse_parts(text, url, err)) {
        gw_mysql_url_free(url);
        return false;
    }
    *out = url;
    return true;
}

void gw_mysql_url_free(struct gw_mysql_url *url)
{
    if (!url)
        return;
    if (url->password)
        explicit_bzero(url->password, strlen(url->password));
    char *strings[] = {url->user,       url->password,   url->host,         url->database,
                       url->socket,     url->ssl_ca,     url->ssl_capath,   url->ssl_cert,
                       url->ssl_key,    url->ssl_cipher, url->tls_version,  url->default_auth,
                       url->plugin_dir, url->public_key, url->default_file, url->default_group};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        free(strings[i]);
    free(url);
}
