#include "gate/address.h"

#include "model/migration.h"

#include <libpq-fe.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

bool gw_gate_address_equal(const struct gw_gate_address *a, const struct gw_gate_address *b)
{
    return strcmp(a->host, b->host) == 0 && strcmp(a->port, b->port) == 0 && strcmp(a->dbname, b->dbname) == 0;
}

void gw_gate_address_format(const struct gw_gate_address *address, char *out, size_t size)
{
    if (!address->host[0] && !address->port[0])
        snprintf(out, size, "%s", address->dbname); /* a file */
    else
        snprintf(out, size, "%s%s%s/%s", address->host[0] ? address->host : "(local socket)",
                 address->port[0] ? ":" : "", address->port, address->dbname);
}

static bool set(char *out, size_t size, const char *value, size_t len, const char *what, struct gw_error *err)
{
    if (len >= size)
        return gw_fail(err, GW_ERR_USER, "the %s of a side is longer than %zu bytes", what, size - 1);
    memcpy(out, value, len);
    out[len] = 0;
    return true;
}

static bool take(const char *host, const char *port, const char *dbname, struct gw_gate_address *out,
                 struct gw_error *err)
{
    struct gw_gate_address found = {.port = "5432"};
    if (strchr(host, ',') || (port && strchr(port, ','))) {
        (void)gw_fail(err, GW_ERR_USER, "a side's URL names several hosts: the gate cannot tell which one to lead to");
        return gw_error_hint(err, "name the one under gate: blue or gate: green, as host:port/database");
    }
    if (!set(found.host, sizeof found.host, host, strlen(host), "host", err) ||
        !set(found.dbname, sizeof found.dbname, dbname, strlen(dbname), "database", err) ||
        (port && port[0] && !set(found.port, sizeof found.port, port, strlen(port), "port", err)))
        return false;
    *out = found;
    return true;
}

static const char *option(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val && options->val[0] ? options->val : NULL;
    return NULL;
}

/* What is not in the URL itself (services, environment, defaults) only libpq resolves, and only while connecting: the
 * connection is dropped as soon as it has begun. */
static bool ask_libpq(const char *url, struct gw_gate_address *out, struct gw_error *err)
{
    const char *const keys[] = {"dbname", NULL};
    const char *const values[] = {url, NULL};
    PGconn *conn = PQconnectStartParams(keys, values, 1);
    if (!conn)
        return gw_fail(err, GW_ERR_RESOURCE, "out of memory");
    const char *host = PQhost(conn);
    const char *dbname = PQdb(conn);
    bool ok = host && dbname && dbname[0];
    if (ok) {
        ok = take(host, PQport(conn), dbname, out, err);
    } else {
        (void)gw_fail(err, GW_ERR_USER, "a side's URL names no host or no database");
        (void)gw_error_detail(err, "%.*s", (int)strcspn(PQerrorMessage(conn), "\n"), PQerrorMessage(conn));
    }
    PQfinish(conn);
    return ok;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool set_decoded(char *out, size_t size, const char *value, size_t len, const char *what, struct gw_error *err)
{
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        if (used + 1 >= size)
            return gw_fail(err, GW_ERR_USER, "the %s of a side is longer than %zu bytes", what, size - 1);
        bool coded = value[i] == '%' && i + 2 < len && hex_digit(value[i + 1]) >= 0 && hex_digit(value[i + 2]) >= 0;
        out[used++] = coded ? (char)(hex_digit(value[i + 1]) * 16 + hex_digit(value[i + 2])) : value[i];
        i += coded ? 2 : 0;
    }
    out[used] = 0;
    return true;
}

/* "scheme://user:password@host:port/database?..." of any engine; of one that lives in a file ("scheme:path", "path") the
 * path is the database. *known false: it is neither, *err is not set. */
static bool take_any_url(const char *url, struct gw_gate_address *out, bool *known, struct gw_error *err)
{
    struct gw_gate_address found = {.port = ""};
    size_t scheme = strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
    const char *rest = url[scheme] == ':' ? url + scheme + 1 : url;
    bool network = strncmp(rest, "//", 2) == 0;
    rest += network ? 2 : 0;
    *known = strpbrk(url, ":/") != NULL;
    size_t end = strcspn(rest, "?#");
    if (!*known)
        return false;
    if (!network || rest[0] == '/') {
        if (!set_decoded(found.dbname, sizeof found.dbname, rest, end, "path", err))
            return false;
        *out = found;
        return true;
    }
    size_t authority = strcspn(rest, "/?#");
    const char *host = rest;
    for (const char *at = rest; at < rest + authority; at++)
        host = *at == '@' ? at + 1 : host; /* the last one: a password may hold others */
    const char *host_end = host[0] == '[' ? strchr(host, ']') : host + strcspn(host, ":/?#");
    if (!host_end || host_end > rest + authority) {
        *known = false;
        return false;
    }
    const char *port = host_end + (host[0] == '[');
    host += host[0] == '[';
    size_t port_len = *port == ':' ? (size_t)(rest + authority - port - 1) : 0;
    const char *name = rest + authority;
    name += *name == '/';
    if (!set_decoded(found.host, sizeof found.host, host, (size_t)(host_end - host), "host", err) ||
        !set(found.port, sizeof found.port, port + 1, port_len, "port", err) ||
        !set_decoded(found.dbname, sizeof found.dbname, name, strcspn(name, "?#"), "database", err))
        return false;
    *out = found;
    return true;
}

bool gw_gate_address_of_url(const char *url, struct gw_gate_address *out, struct gw_error *err)
{
    char *words = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &words);
    if (!options) {
        PQfreemem(words); /* may quote the password */
        bool known;
        if (take_any_url(url, out, &known, err))
            return true;
        if (known)
            return false;
        return gw_fail(err, GW_ERR_USER, "a side's URL names no host, and is no path either");
    }
    const char *host = option(options, "host");
    const char *dbname = option(options, "dbname");
    bool ok = host && dbname && !option(options, "service")
                  ? take(host,
                         option(options, "port") ? option(options, "port")
                                                 : getenv("PGPORT"), /* NOLINT(concurrency-mt-unsafe) */
                         dbname, out, err)
                  : ask_libpq(url, out, err);
    PQconninfoFree(options);
    return ok;
}

bool gw_gate_address_parse(const char *text, const char *key, struct gw_gate_address *out, struct gw_error *err)
{
    struct gw_gate_address found = *out;
    const char *host_end;
    const char *host = text;
    const char *rest;
    if (text[0] == '[') {
        host = text + 1;
        host_end = strchr(host, ']');
        rest = host_end ? host_end + 1 : text;
    } else if (text[0] == '/') { /* a socket's folder has slashes of its own: the port ends it */
        host_end = strrchr(text, ':');
        rest = host_end;
    } else {
        host_end = text + strcspn(text, ":/");
        rest = host_end;
    }
    if (!host_end || host_end == host || (*rest && *rest != ':' && *rest != '/'))
        return gw_fail(err, GW_ERR_USER, "%s: \"%s\" is not host:port/database", key, text);
    if (!set(found.host, sizeof found.host, host, (size_t)(host_end - host), "host", err))
        return false;
    if (*rest == ':') {
        size_t digits = strspn(rest + 1, "0123456789");
        if (digits == 0 || digits > 5 || (rest[1 + digits] && rest[1 + digits] != '/'))
            return gw_fail(err, GW_ERR_USER, "%s: \"%s\" has no port between \":\" and \"/\"", key, text);
        if (!set(found.port, sizeof found.port, rest + 1, digits, "port", err))
            return false;
        rest += 1 + digits;
    }
    if (*rest == '/' && rest[1] && !set(found.dbname, sizeof found.dbname, rest + 1, strlen(rest + 1), "database", err))
        return false;
    *out = found;
    return true;
}

bool gw_gate_address_of_side(const struct gw_migration_gate *settings, int side, const char *url,
                             struct gw_gate_address *out, struct gw_error *err)
{
    const char *text = settings->address[side];
    struct gw_gate_address found = {.port = "5432"};
    if (!text || !strchr(text, '/') || !strchr(text, ':')) /* what the setting leaves out is the URL's */
        if (!gw_gate_address_of_url(url, &found, err))
            return false;
    if (text && !gw_gate_address_parse(text, side == 0 ? "gate: blue" : "gate: green", &found, err))
        return false;
    *out = found;
    return true;
}

static bool same_address(const struct sockaddr *a, socklen_t a_len, const struct sockaddr *b, socklen_t b_len)
{
    return a->sa_family == b->sa_family && a_len == b_len && memcmp(a, b, a_len) == 0;
}

static bool is_socket(const char *host)
{
    return host[0] == '/' || host[0] == 0;
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

bool gw_gate_address_same_place(const struct gw_gate_address *a, const struct gw_gate_address *b)
{
    if (gw_gate_address_equal(a, b))
        return true;
    if (strcmp(a->port, b->port) != 0 || strcmp(a->dbname, b->dbname) != 0)
        return false;
    if (is_socket(a->host) || is_socket(b->host)) /* a server listens on its port here by both, as a rule */
        return is_loopback(a->host) || is_loopback(b->host);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *of_a = NULL;
    struct addrinfo *of_b = NULL;
    bool same = false;
    if (getaddrinfo(a->host, NULL, &hints, &of_a) == 0 && getaddrinfo(b->host, NULL, &hints, &of_b) == 0)
        for (struct addrinfo *i = of_a; i && !same; i = i->ai_next)
            for (struct addrinfo *j = of_b; j && !same; j = j->ai_next)
                same = same_address(i->ai_addr, i->ai_addrlen, j->ai_addr, j->ai_addrlen);
    if (of_a)
        freeaddrinfo(of_a);
    if (of_b)
        freeaddrinfo(of_b);
    return same;
}
