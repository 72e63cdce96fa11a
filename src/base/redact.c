/* Connection strings without their secrets: part of log.h, apart from it because it grows with the engines. */
#include "base/buf.h"
#include "base/log.h"

#include <ctype.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Does this parameter hold a secret? Percent signs are decoded as the library will: p%61ssword is one, too. */
static bool is_secret_key(const char *key, size_t len)
{
    char plain[64];
    size_t have = 0;
    for (size_t i = 0; i < len && have + 1 < sizeof plain; i++) {
        int high = -1;
        int low = -1;
        if (key[i] == '%' && i + 2 < len) {
            high = hex_digit(key[i + 1]);
            low = hex_digit(key[i + 2]);
        }
        char c = key[i];
        if (high >= 0 && low >= 0) {
            c = (char)(high * 16 + low);
            i += 2;
        }
        plain[have++] = (char)tolower((unsigned char)c);
    }
    plain[have] = 0;
    if (strcmp(plain, "passfile") == 0 || strcmp(plain, "password_command") == 0)
        return false;
    return strstr(plain, "pass") || strstr(plain, "secret") || strstr(plain, "token") || strcmp(plain, "pwd") == 0;
}

/* After "scheme://": where the secret between user and host begins and ends; false when there is none. */
static bool find_userinfo_secret(const char *rest, size_t *from, size_t *to)
{
    size_t query = strcspn(rest, "?");
    size_t at = query;
    while (at > 0 && rest[at - 1] != '@')
        at--;
    const char *colon = strchr(rest, ':');
    if (!colon)
        return false;
    size_t first = (size_t)(colon - rest) + 1;
    if (at == 0) {
        /* No '@' before a '?': either there is no password, or it holds an unescaped '?'. */
        const char *last = strrchr(rest, '@');
        size_t port_end = first + strspn(rest + first, "0123456789");
        if (!last || first > query || rest[port_end] == '/' || rest[port_end] == '?' || rest[port_end] == ',')
            return false;
        at = (size_t)(last - rest) + 1;
    }
    *from = first;
    *to = at - 1;
    return first <= *to;
}

static void redact_query(const char *query, struct gw_buf *out)
{
    while (*query) {
        size_t len = strcspn(query, "&");
        const char *equals = memchr(query, '=', len);
        if (equals && is_secret_key(query, (size_t)(equals - query)))
            gw_buf_addf(out, "%.*s=***", (int)(equals - query), query);
        else
            gw_buf_add(out, query, len);
        query += len;
        if (*query == '&') {
            gw_buf_addc(out, '&');
            query++;
        }
    }
}

static void redact_uri(const char *url, const char *rest, struct gw_buf *out)
{
    size_t from;
    size_t to;
    gw_buf_add(out, url, (size_t)(rest - url));
    if (find_userinfo_secret(rest, &from, &to)) {
        gw_buf_add(out, rest, from);
        gw_buf_adds(out, "***");
        rest += to;
    }
    size_t path = strcspn(rest, "?");
    gw_buf_add(out, rest, path);
    if (rest[path] == '?') {
        gw_buf_addc(out, '?');
        redact_query(rest + path + 1, out);
    }
}

/* One value of a key=value string, quoted or not, with backslashes; returns what is behind it. */
static const char *skip_value(const char *p)
{
    bool quoted = *p == '\'';
    if (quoted)
        p++;
    while (*p) {
        if (*p == '\\' && p[1])
            p++;
        else if (quoted ? *p == '\'' : isspace((unsigned char)*p))
            return quoted ? p + 1 : p;
        p++;
    }
    return p;
}

static void redact_conninfo(const char *text, struct gw_buf *out)
{
    const char *p = text;
    while (*p) {
        const char *key = p;
        while (isspace((unsigned char)*key))
            key++;
        size_t key_len = strcspn(key, "= \t\r\n");
        const char *equals = key + key_len;
        while (isspace((unsigned char)*equals))
            equals++;
        if (*equals != '=') {
            gw_buf_add(out, p, (size_t)(equals - p));
            p = equals;
            continue;
        }
        const char *value = equals + 1;
        while (isspace((unsigned char)*value))
            value++;
        const char *end = skip_value(value);
        gw_buf_add(out, p, (size_t)(value - p));
        if (is_secret_key(key, key_len))
            gw_buf_adds(out, "***");
        else
            gw_buf_add(out, value, (size_t)(end - value));
        p = end;
    }
}

void gw_redact_url(const char *url, char *out, unsigned size)
{
    gw_autobuf struct gw_buf text = {0};
    if (size == 0)
        return;
    /* The key=value form may hold "://" inside a value; a scheme has neither '=' nor white space before it. */
    const char *scheme = strstr(url, "://");
    if (scheme && strcspn(url, "= \t\r\n'") > (size_t)(scheme - url))
        redact_uri(url, scheme + 3, &text);
    else
        redact_conninfo(url, &text);
    snprintf(out, size, "%s", gw_buf_text(&text));
}
