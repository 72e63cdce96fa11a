#include "gate/address.h"

#include "model/migration.h"

#include <libpq-fe.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

bool gw_gate_address_equal(const struct gw_gate_address *a, const struct gw_gate_address *b)
{
    return strcmp(a->host, b->host) == 0 && strcmp(a->port, b->port) == 0 && strcmp(a->dbname, b->dbname) == 0;
}

void gw_gate_address_format(const struct gw_gate_address *address, char *out, size_t size)
{
    snprintf(out, size, "%s:%s/%s", address->host[0] ? address->host : "(local socket)", address->port,
             address->dbname);
}

static bool set(char *out, size_t size, const char *value, size_t len, const char *what, struct gw_error *err)
{
    if (len >= size)
        return gw_fail(err, GW_ERR_USER, "the %s of a side is longer than %zu bytes", what, size - 1);
    memcpy(out, value, len);
    out[len] = 0;
    return true;
}

/* libpq itself resolves services, environment and defaults; the connection it begins is dropped at once. */
bool gw_gate_address_of_url(const char *url, struct gw_gate_address *out, struct gw_error *err)
{
    const char *const keys[] = {"dbname", NULL};
    const char *const values[] = {url, NULL};
    struct gw_gate_address found = {.port = "5432"};
    PGconn *conn = PQconnectStartParams(keys, values, 1);
    if (!conn)
        return gw_fail(err, GW_ERR_RESOURCE, "out of memory");
    const char *host = PQhost(conn);
    const char *port = PQport(conn);
    const char *dbname = PQdb(conn);
    bool ok = true;
    if (!host || !dbname || !dbname[0]) {
        ok = gw_fail(err, GW_ERR_USER, "a side's URL names no host or no database");
        (void)gw_error_detail(err, "%.*s", (int)strcspn(PQerrorMessage(conn), "\n"), PQerrorMessage(conn));
    } else if (strchr(host, ',') || (port && strchr(port, ','))) {
        ok = gw_fail(err, GW_ERR_USER, "a side's URL names several hosts: the gate cannot tell which one to lead to");
        (void)gw_error_hint(err, "name the one under gate: blue or gate: green, as host:port/database");
    }
    ok = ok && set(found.host, sizeof found.host, host, strlen(host), "host", err) &&
         set(found.dbname, sizeof found.dbname, dbname, strlen(dbname), "database", err) &&
         (!port || !port[0] || set(found.port, sizeof found.port, port, strlen(port), "port", err));
    PQfinish(conn);
    if (ok)
        *out = found;
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
    (void)settings;
    (void)side;
    return gw_gate_address_of_url(url, out, err);
}

static bool same_address(const struct sockaddr *a, socklen_t a_len, const struct sockaddr *b, socklen_t b_len)
{
    return a->sa_family == b->sa_family && a_len == b_len && memcmp(a, b, a_len) == 0;
}

bool gw_gate_address_same_place(const struct gw_gate_address *a, const struct gw_gate_address *b)
{
    if (gw_gate_address_equal(a, b))
        return true;
    if (strcmp(a->port, b->port) != 0 || strcmp(a->dbname, b->dbname) != 0 || a->host[0] == '/' || b->host[0] == '/')
        return false;
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
