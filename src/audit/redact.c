#include "audit/redact.h"

#include "base/buf.h"
#include "io/json.h"

#include <string.h>
#include <strings.h>

/* Sections and cells that hold what somebody typed. */
static const struct {
    const char *section, *cell;
    bool setting; /* a value without quotes, whose name is in the cell or beside it */
} typed[] = {
    {"statements", "query", false},         {"cron_jobs", "command", false},
    {"triggers", "definition", false},      {"settings", "value", true},
    {"settings", "default", true},          {"database_settings", "setting", true},
    {"settings_that_differ", "blue", true}, {"settings_that_differ", "green", true},
};

static const char *const words[] = {"password", "passwd",     "passphrase",   "pwd",    "secret",
                                    "token",    "credential", "private_key",  "apikey", "api_key",
                                    "auth_key", "bearer",     "authorization"};

/* Behind the first word that gives a secret away, NULL: none. */
static const char *behind_word(const char *text)
{
    const char *first = NULL;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const char *at = strcasestr(text, words[i]);
        if (at && (!first || at + strlen(words[i]) < first))
            first = at + strlen(words[i]);
    }
    return first;
}

/* scheme://user:password@host: behind the scheme. */
static const char *behind_address(const char *text)
{
    for (const char *at = strstr(text, "://"); at; at = strstr(at + 3, "://")) {
        size_t len = strcspn(at + 3, " \t\n/'\"");
        if (memchr(at + 3, '@', len) && memchr(at + 3, ':', len))
            return at + 3;
    }
    return NULL;
}

/* Where it is to be cut; NULL: all of it may be shown. Constants of a counted statement are $1, $2: not quoted. */
static const char *cut_at(const char *text, bool setting)
{
    const char *word = behind_word(text), *address = behind_address(text);
    if (word && !setting && !strpbrk(word, "'\"") && !strstr(word, "$$"))
        word = NULL;
    return word && (!address || word < address) ? word : address;
}

static void redact_cell(json_t *row, const char *cell, bool setting)
{
    const char *text = json_string_value(json_object_get(row, cell));
    const char *name = json_string_value(json_object_get(row, "name"));
    gw_autobuf struct gw_buf kept = {0};
    if (!text || !*text)
        return;
    const char *end = setting && name && behind_word(name) ? text : cut_at(text, setting);
    if (!end)
        return;
    gw_buf_addf(&kept, "%.*s (not shown: may hold a secret)", (int)(end - text), text);
    json_object_set_new(row, cell, gw_json_text(gw_buf_text(&kept) + (end == text)));
}

void gw_audit_redact(json_t *sections)
{
    for (size_t t = 0; t < sizeof typed / sizeof typed[0]; t++) {
        size_t i;
        json_t *row;
        json_array_foreach(json_object_get(sections, typed[t].section), i, row)
        {
            redact_cell(row, typed[t].cell, typed[t].setting);
        }
    }
}
