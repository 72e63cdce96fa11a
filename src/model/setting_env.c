#include "model/setting_env.h"

#include "base/mem.h"

enum fill_form { FILL_PLAIN, FILL_URI, FILL_CONNINFO };

struct filler {
    struct gw_buf *out;
    enum fill_form form;
    bool quoted; /* in a key=value string: inside '...' */
};

/* Percent-encodes all but the unreserved characters of RFC 3986. */
static void add_uri(struct gw_buf *out, const char *value)
{
    for (const char *p = value; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                     strchr("-._~", *p) != NULL;
        if (plain)
            gw_buf_addc(out, *p);
        else
            gw_buf_addf(out, "%%%02X", (unsigned char)*p);
    }
}

/* libpq takes a backslash before any character, in quotes and without them. */
static void add_conninfo(struct filler *filler, const char *value)
{
    bool quote = !filler->quoted && !*value;
    if (quote)
        gw_buf_adds(filler->out, "''");
    for (const char *p = value; *p; p++) {
        if (*p == '\\' || *p == '\'' || (!filler->quoted && strchr(" \t\r\n\v\f", *p)))
            gw_buf_addc(filler->out, '\\');
        gw_buf_addc(filler->out, *p);
    }
}

static void add_value(struct filler *filler, const char *value)
{
    switch (filler->form) {
    case FILL_PLAIN:
        gw_buf_adds(filler->out, value);
        break;
    case FILL_URI:
        add_uri(filler->out, value);
        break;
    case FILL_CONNINFO:
        add_conninfo(filler, value);
        break;
    }
}

static size_t name_len(const char *p)
{
    size_t len = 0;
    while ((p[len] >= 'a' && p[len] <= 'z') || (p[len] >= 'A' && p[len] <= 'Z') || p[len] == '_' ||
           (len > 0 && p[len] >= '0' && p[len] <= '9'))
        len++;
    return len;
}

/* p is behind "${"; *end comes behind "}". */
static bool fill_one(struct filler *filler, const char *p, const char **end, struct gw_error *err)
{
    size_t len = name_len(p);
    if (len == 0 || p[len] != '}') {
        gw_fail(err, GW_ERR_USER, "\"${%.*s\" is not ${NAME}", (int)strcspn(p, "}"), p);
        return gw_error_hint(err, "write ${NAME} with letters, digits and '_', or $${ for the characters ${");
    }
    gw_autofree char *name = gw_strndup(p, len);
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): nobody changes the environment */
    if (!value) {
        gw_fail(err, GW_ERR_USER, "the environment variable %s is not set", name);
        return gw_error_hint(err, "set it (export %s=...), or write $${%s} if you mean these characters", name, name);
    }
    add_value(filler, value);
    *end = p + len + 1;
    return true;
}

static enum fill_form form_of(const char *text, enum gw_setting_type type)
{
    size_t len = strncmp(text, "${", 2) == 0 ? name_len(text + 2) : 0;
    bool alone = len > 0 && text[2 + len] == '}' && !text[3 + len];
    if ((type != GW_SETTING_URL && type != GW_SETTING_URLS) || alone)
        return FILL_PLAIN;
    const char *scheme = strstr(text, "://");
    return scheme && strcspn(text, "= \t'") > (size_t)(scheme - text) ? FILL_URI : FILL_CONNINFO;
}

bool gw_setting_fill(const char *text, enum gw_setting_type type, struct gw_buf *out, struct gw_error *err)
{
    struct filler filler = {.out = out, .form = form_of(text, type)};
    if (type == GW_SETTING_COMMAND) {
        gw_buf_adds(out, text);
        return true;
    }
    for (const char *p = text; *p;) {
        if (strncmp(p, "$${", 3) == 0) {
            gw_buf_adds(out, "${");
            p += 3;
        } else if (strncmp(p, "${", 2) == 0) {
            if (!fill_one(&filler, p + 2, &p, err))
                return false;
        } else {
            if (filler.form == FILL_CONNINFO && *p == '\\' && p[1])
                gw_buf_addc(out, *p++);
            else if (*p == '\'')
                filler.quoted = !filler.quoted;
            gw_buf_addc(out, *p++);
        }
    }
    return true;
}
