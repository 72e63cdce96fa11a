/* The commented migration file of `godwit init`, and connection strings without passwords. */
#include "base/log.h"
#include "base/mem.h"
#include "model/migration.h"
#include "model/setting.h"

/* Takes out the parameter "key=***" whose stars begin at `stars`, with one separator. */
static void remove_parameter(char *text, char *stars)
{
    char *from = stars;
    while (from > text && !strchr("?&", from[-1]) &&
           !(from[-1] == ' ' && from < stars && from[0] != '=' && from[0] != ' '))
        from--;
    char *to = stars + 3;
    if (*to == '&' || *to == ' ')
        to++;
    else if (from > text && strchr("?& ", from[-1]))
        from--;
    memmove(from, to, strlen(to) + 1);
}

void gw_migration_strip_url(const char *url, struct gw_buf *out)
{
    size_t size = strlen(url) * 4 + 16;
    gw_autofree char *text = gw_alloc(size);
    gw_redact_url(url, text, (unsigned)size);
    for (char *stars = strstr(text, "***"); stars; stars = strstr(text, "***")) {
        if (stars > text && stars[-1] == ':' && stars[3] == '@')
            memmove(stars - 1, stars + 3, strlen(stars + 3) + 1);
        else
            remove_parameter(text, stars);
    }
    gw_buf_adds(out, text);
}

struct writer {
    struct gw_buf *out;
    const char *name;
    const char *urls[2];
    const char *collections; /* lines in the place of that setting, or NULL */
    char group[64];          /* the mapping the last setting was in */
    int commented_at;        /* indentation of the commented mapping we are in, -1: none */
};

/* One line; inside a commented mapping the '#' stands where that mapping begins, so that removing it is enough. */
static void __attribute__((format(printf, 3, 4))) line(struct writer *w, int indent, const char *format, ...)
{
    va_list args;
    int before = w->commented_at >= 0 ? w->commented_at : indent;
    gw_buf_addf(w->out, "%*s", before, "");
    if (w->commented_at >= 0)
        gw_buf_addf(w->out, "#%*s", indent - before, "");
    va_start(args, format);
    gw_buf_vaddf(w->out, format, args);
    va_end(args);
    gw_buf_addc(w->out, '\n');
}

/* A comment, broken at spaces. */
static void comment(struct writer *w, int indent, const char *text)
{
    size_t width = 110 - (size_t)indent;
    while (*text) {
        size_t len = strlen(text);
        if (len > width) {
            len = width;
            while (len > 0 && text[len] != ' ')
                len--;
            if (len == 0)
                len = strcspn(text, " ");
        }
        line(w, indent, "# %.*s", (int)len, text);
        text += len;
        while (*text == ' ')
            text++;
    }
}

/* A double-quoted YAML scalar. */
static void quote(const char *text, struct gw_buf *out)
{
    gw_buf_addc(out, '"');
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\')
            gw_buf_addf(out, "\\%c", *p);
        else if ((unsigned char)*p < 0x20 || *p == 0x7f)
            gw_buf_addf(out, "\\x%02x", (unsigned char)*p);
        else
            gw_buf_addc(out, *p);
    }
    gw_buf_addc(out, '"');
}

static bool group_is_needed(const char *group)
{
    size_t len = strlen(group);
    for (size_t i = 0; i < gw_settings_count; i++)
        if (gw_settings[i].required && strncmp(gw_settings[i].path, group, len) == 0 && gw_settings[i].path[len] == '.')
            return true;
    return false;
}

/* Opens the mappings between the last setting's and this one's; returns the indentation of the setting. */
static int open_groups(struct writer *w, const char *path)
{
    int indent = 0;
    const char *at = path;
    char group[64] = "";
    for (const char *dot = strchr(at, '.'); dot; at = dot + 1, dot = strchr(at, '.'), indent += 2) {
        snprintf(group, sizeof group, "%.*s", (int)(dot - path), path);
        size_t len = strlen(group);
        bool open = strncmp(w->group, group, len) == 0 && (w->group[len] == '.' || !w->group[len]);
        if (open)
            continue;
        if (indent >= 4 || strcmp(group, "stores") == 0)
            gw_buf_addc(w->out, '\n');
        w->commented_at = group_is_needed(group) ? -1 : indent;
        line(w, indent, "%.*s:", *at == '*' ? 4 : (int)(dot - at), *at == '*' ? "main" : at);
    }
    if (indent <= 4)
        w->commented_at = -1;
    snprintf(w->group, sizeof w->group, "%s", group);
    return indent;
}

static void write_setting(struct writer *w, const struct gw_setting *setting)
{
    gw_autobuf struct gw_buf about = {0};
    gw_autobuf struct gw_buf value = {0};
    int indent = open_groups(w, setting->path);
    const char *dot = strrchr(setting->path, '.');
    const char *key = dot ? dot + 1 : setting->path;
    gw_setting_describe(setting, &about);
    if (indent == 4)
        gw_buf_addc(w->out, '\n');
    comment(w, indent, setting->help);
    if (strcmp(setting->path, "migration") == 0) {
        gw_buf_adds(&value, w->name);
    } else if (setting->required) {
        comment(w, indent,
                "No password here: use ~/.pgpass, ~/.my.cnf, password_command, or ${NAME} from the environment");
        quote(w->urls[strstr(setting->path, ".green.") != NULL], &value);
    } else {
        comment(w, indent, gw_buf_text(&about));
        gw_buf_adds(&value, setting->fallback ? setting->fallback : setting->example);
    }
    /* In a commented mapping what has no default, or not always, keeps a '#' of its own. */
    bool bare = setting->required || (w->commented_at >= 0 && setting->fallback && !setting->gates);
    if (setting->type == GW_SETTING_RULES && w->collections) {
        gw_buf_adds(w->out, w->collections);
        return;
    }
    line(w, indent, "%s%s: %s", bare ? "" : "#", key, gw_buf_text(&value));
}

void gw_migration_write_commented(const char *name, const char *blue_url, const char *green_url, struct gw_buf *out)
{
    gw_migration_write_commented_map(name, blue_url, green_url, NULL, out);
}

void gw_migration_write_commented_map(const char *name, const char *blue_url, const char *green_url,
                                      const char *collections, struct gw_buf *out)
{
    gw_autobuf struct gw_buf blue = {0};
    gw_autobuf struct gw_buf green = {0};
    gw_migration_strip_url(blue_url, &blue);
    gw_migration_strip_url(green_url, &green);
    struct writer w = {
        .out = out,
        .name = name,
        .urls = {gw_buf_text(&blue), gw_buf_text(&green)},
        .collections = collections,
        .commented_at = -1,
    };
    gw_buf_adds(out, "# A migration of godwit. What begins with '#' has a default: remove the '#' to change it.\n\n");
    for (size_t i = 0; i < gw_settings_count; i++)
        write_setting(&w, &gw_settings[i]);
}
