#include "gate/haproxy_config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 4, WORD_BYTES = 256, DEFAULTS_MAX = 64 };

/* What a section says of its own or has from its defaults; -1: nothing. */
struct proxy {
    char name[WORD_BYTES];
    int64_t queue_ms, connect_ms;
    int loads_state, own_file;
};

struct reader {
    struct gw_hap_config *out;
    const char *backend;
    struct proxy defaults[DEFAULTS_MAX];
    int defaults_count;
    struct proxy ours;
    struct proxy *now; /* the section we are in; NULL: one that does not matter */
    bool in_global, state_file;
};

/* The first words of a line, without quotes, escapes and comment. */
static int words_of(const char *line, size_t len, char words[WORDS][WORD_BYTES])
{
    int count = 0;
    size_t used = 0;
    char quote = 0;
    bool in_word = false;
    for (size_t i = 0; i < len && count < WORDS; i++) {
        char c = line[i];
        if (!quote && (isspace((unsigned char)c) || c == '#')) {
            if (in_word)
                words[count++][used] = 0;
            in_word = false;
            used = 0;
            if (c == '#')
                return count;
            continue;
        }
        in_word = true;
        if ((c == '"' || c == '\'') && (!quote || quote == c)) {
            quote = quote ? 0 : c;
            continue;
        }
        if (c == '\\' && quote != '\'' && i + 1 < len)
            c = line[++i];
        if (used + 1 < WORD_BYTES)
            words[count][used++] = c;
    }
    if (in_word && count < WORDS)
        words[count++][used] = 0;
    return count;
}

/* "5s", "500" (ms). */
static int64_t duration_ms(const char *text)
{
    char *unit;
    int64_t n = strtoll(text, &unit, 10);
    if (strcmp(unit, "us") == 0)
        return n / 1000;
    return strcmp(unit, "s") == 0   ? n * 1000
           : strcmp(unit, "m") == 0 ? n * 60000
           : strcmp(unit, "h") == 0 ? n * 3600000
           : strcmp(unit, "d") == 0 ? n * 86400000
                                    : n;
}

static struct proxy blank(const char *name)
{
    struct proxy proxy = {.queue_ms = -1, .connect_ms = -1, .loads_state = -1, .own_file = -1};
    snprintf(proxy.name, sizeof proxy.name, "%s", name);
    return proxy;
}

static const struct proxy *defaults_named(const struct reader *r, const char *name)
{
    for (int i = r->defaults_count - 1; i >= 0; i--)
        if (strcmp(r->defaults[i].name, name) == 0)
            return &r->defaults[i];
    return NULL;
}

/* Behind a section's name: "from NAME". A section of clients without it has the last defaults before it. */
static struct proxy begin(const struct reader *r, char words[WORDS][WORD_BYTES], int count, bool is_defaults)
{
    const char *name = count > 1 && strcmp(words[1], "from") != 0 ? words[1] : "";
    const char *from = NULL;
    for (int i = 1; i + 1 < count; i++)
        if (strcmp(words[i], "from") == 0)
            from = words[i + 1];
    const struct proxy *parent = from                ? defaults_named(r, from)
                                 : is_defaults       ? NULL
                                 : r->defaults_count ? &r->defaults[r->defaults_count - 1]
                                                     : NULL;
    struct proxy section = parent ? *parent : blank(name);
    snprintf(section.name, sizeof section.name, "%s", name);
    return section;
}

static bool take_section(struct reader *r, char words[WORDS][WORD_BYTES], int count)
{
    static const char *const others[] = {"frontend", "resolvers",   "peers",       "userlist",  "mailers",
                                         "cache",    "program",     "http-errors", "fcgi-app",  "ring",
                                         "traces",   "log-forward", "acme",        "crt-store", "log-profile"};
    bool proxies = strcmp(words[0], "backend") == 0 || strcmp(words[0], "listen") == 0;
    if (strcmp(words[0], "global") == 0) {
        r->now = NULL;
        r->in_global = true;
        return true;
    }
    if (strcmp(words[0], "defaults") == 0) {
        r->in_global = false;
        if (r->defaults_count == DEFAULTS_MAX)
            r->defaults_count--;
        r->defaults[r->defaults_count] = begin(r, words, count, true);
        r->now = &r->defaults[r->defaults_count++];
        return true;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        proxies = proxies || strcmp(words[0], others[i]) == 0;
    if (!proxies)
        return false;
    r->in_global = false;
    r->now = NULL;
    bool leads = strcmp(words[0], "backend") == 0 || strcmp(words[0], "listen") == 0;
    if (leads && count > 1 && strcmp(words[1], r->backend) == 0) {
        r->ours = begin(r, words, count, false);
        r->now = &r->ours;
        r->out->has_backend = true;
    }
    return true;
}

static void take_line(struct reader *r, char words[WORDS][WORD_BYTES], int count)
{
    if (r->in_global && count > 1 && strcmp(words[0], "server-state-file") == 0)
        r->state_file = true;
    if (!r->now || count < 2)
        return;
    if (strcmp(words[0], "load-server-state-from-file") == 0)
        r->now->loads_state = strcmp(words[1], "none") != 0;
    else if (strcmp(words[0], "server-state-file-name") == 0)
        r->now->own_file = 1;
    else if (strcmp(words[0], "timeout") == 0 && count > 2 && strcmp(words[1], "queue") == 0)
        r->now->queue_ms = duration_ms(words[2]);
    else if (strcmp(words[0], "timeout") == 0 && count > 2 && strcmp(words[1], "connect") == 0)
        r->now->connect_ms = duration_ms(words[2]);
}

void gw_hap_config_parse(const char *text, const char *backend, struct gw_hap_config *out)
{
    struct reader r = {.out = out, .backend = backend};
    *out = (struct gw_hap_config){0};
    for (const char *line = text; *line; line += *line == '\n') {
        char words[WORDS][WORD_BYTES];
        size_t len = strcspn(line, "\n");
        int count = words_of(line, len, words);
        if (count > 0 && !take_section(&r, words, count))
            take_line(&r, words, count);
        line += len;
    }
    if (!out->has_backend)
        return;
    out->by_connect = r.ours.queue_ms < 0;
    out->queue_ms = out->by_connect ? r.ours.connect_ms : r.ours.queue_ms;
    out->queue_ms = out->queue_ms < 0 ? 0 : out->queue_ms;
    out->loads_state = r.ours.loads_state == 1;
    out->has_state_file = r.state_file || r.ours.own_file == 1;
}
