/*
 * Conditions that mean the same wherever they stand: columns whose kind stays, numbers, plain texts; = <> < > <= >= + - *,
 * AND OR NOT IN BETWEEN IS NULL, brackets. Casts of literals (::text) go, `= ANY (ARRAY[...])` is written as IN. Whatever
 * else is in a text makes it not certain. Texts are compared only where case counts on both sides or on neither.
 */
#include "base/mem.h"
#include "map/internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct scan {
    const char *p;
    const struct gw_table_definition *blue, *green;
    const struct gw_collection_rule *rule;
    struct gw_buf *out;
    const char *begin;
    bool texts, loose_texts; /* a text literal; a column whose comparisons change */
    bool after_text;         /* the last column was of text */
    int to_close;            /* the bracket at which an ARRAY[ became ( */
};

static bool is_word(const char *p, size_t len, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == len && strncasecmp(*words, p, len) == 0)
            return true;
    return false;
}

static bool needs_quotes(const char *name)
{
    static const char *const reserved[] = {
        "all",     "and",   "any",      "as",     "between", "by",     "case",  "check",  "column",     "condition",
        "create",  "cross", "current",  "date",   "default", "desc",   "asc",   "end",    "false",      "for",
        "foreign", "from",  "function", "grant",  "group",   "having", "in",    "index",  "interval",   "into",
        "is",      "join",  "key",      "keys",   "left",    "like",   "limit", "not",    "null",       "of",
        "offset",  "on",    "or",       "order",  "primary", "range",  "rank",  "read",   "references", "right",
        "row",     "rows",  "select",   "set",    "system",  "table",  "then",  "time",   "timestamp",  "to",
        "true",    "union", "unique",   "update", "user",    "using",  "value", "values", "when",       "where",
        "window",  "with",  "write",    NULL};
    if (!(*name >= 'a' && *name <= 'z') && *name != '_')
        return true;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name) ||
           is_word(name, strlen(name), reserved);
}

static bool add_column(struct scan *s, const char *name)
{
    int at = gw_table_column(s->blue, name);
    const struct gw_column_rule *rule = gw_map_column_rule(s->rule, name);
    if (at < 0 || (rule && (rule->drop || rule->trim || rule->lower || rule->upper || rule->constant || rule->lookup ||
                            rule->mask || rule->hash || rule->lua || rule->split_into)))
        return false;
    const char *green_name = gw_map_green_name(s->rule, name);
    int green = gw_table_column(s->green, green_name);
    if (green < 0 || needs_quotes(green_name))
        return false;
    const struct gw_type *from = &s->blue->columns[at].type;
    const struct gw_type *to = &s->green->columns[green].type;
    bool number = from->kind == GW_KIND_INT64 || from->kind == GW_KIND_UINT64 || from->kind == GW_KIND_DECIMAL;
    bool number_there = to->kind == GW_KIND_INT64 || to->kind == GW_KIND_UINT64 || to->kind == GW_KIND_DECIMAL;
    bool text = (from->kind == GW_KIND_TEXT || from->kind == GW_KIND_ENUM) &&
                (to->kind == GW_KIND_TEXT || to->kind == GW_KIND_ENUM);
    if (!(number && number_there) && !text && from->kind != to->kind)
        return false;
    if (from->loose || to->loose)
        return false;
    if (text && (from->ignores_case != to->ignores_case || from->ignores_accents != to->ignores_accents ||
                 from->pads != to->pads))
        s->loose_texts = true;
    s->after_text = text;
    gw_buf_addf(s->out, "%s ", green_name);
    return true;
}

static bool take_quoted_name(struct scan *s)
{
    char quote = *s->p;
    const char *end = strchr(s->p + 1, quote);
    if (!end || end[1] == quote)
        return false;
    gw_autofree char *name = gw_strndup(s->p + 1, (size_t)(end - s->p - 1));
    s->p = end + 1;
    return add_column(s, name);
}

static bool take_text(struct scan *s)
{
    const char *end = s->p + 1;
    while (*end && *end != '\'') {
        if (*end == '\\' || (unsigned char)*end < 0x20)
            return false;
        end++;
    }
    if (!*end || end[1] == '\'')
        return false;
    s->texts = true;
    gw_buf_add(s->out, s->p, (size_t)(end + 1 - s->p));
    gw_buf_addc(s->out, ' ');
    s->p = end + 1;
    return true;
}

/* Is what stands before s->p a literal, perhaps in brackets of its own? */
static bool is_behind_literal(const struct scan *s)
{
    const char *p = s->p;
    if (p > s->begin && p[-1] == ')') {
        const char *inner = --p;
        while (p > s->begin && (isdigit((unsigned char)p[-1]) || p[-1] == '.' || p[-1] == '-'))
            p--;
        return p > s->begin && p < inner && p[-1] == '(';
    }
    return p > s->begin && (isdigit((unsigned char)p[-1]) || p[-1] == '\'');
}

/* "::character varying(20)[]" behind a literal, an ARRAY, a column of text: nothing that changes it. */
static bool skip_cast(struct scan *s)
{
    static const char *const numbers[] = {"numeric", "integer", "bigint", "smallint", NULL};
    static const char *const texts[] = {"text", "varchar", "bpchar", NULL};
    bool literal = is_behind_literal(s) || s->to_close;
    const char *const *harmless = literal ? numbers : texts;
    if (!literal && !s->after_text)
        return false;
    s->p += 2;
    size_t len = strspn(s->p, "abcdefghijklmnopqrstuvwxyz");
    if (strncmp(s->p, "character varying", 17) == 0)
        s->p += 17;
    else if (is_word(s->p, len, harmless) || is_word(s->p, len, texts))
        s->p += len;
    else
        return false;
    if (s->p[0] == '[' && s->p[1] == ']')
        s->p += 2;
    return *s->p != '(';
}

static bool take_word(struct scan *s)
{
    static const char *const known[] = {"and", "or", "not", "in", "between", "is", "null", NULL};
    size_t len = strspn(s->p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$");
    gw_autofree char *word = gw_strndup(s->p, len);
    const char *next = s->p + len + strspn(s->p + len, " ");
    if (is_word(word, len, known)) {
        for (char *p = word; *p; p++)
            *p = (char)toupper((unsigned char)*p);
        gw_buf_addf(s->out, "%s ", word);
        s->p += len;
        return true;
    }
    if (*next == '(')
        return false; /* a function */
    s->p += len;
    return add_column(s, word);
}

/* "= ANY (ARRAY[" is IN ( */
static bool take_any(struct scan *s)
{
    const char *p = s->p + 1;
    p += strspn(p, " ");
    if (strncasecmp(p, "any", 3) != 0)
        return false;
    p += 3;
    p += strspn(p, " ");
    int brackets = 0;
    for (; *p == '('; p++)
        brackets++;
    if (brackets < 1 || brackets > 2 || strncasecmp(p, "array[", 6) != 0 || s->to_close)
        return false;
    s->p = p + 6;
    s->to_close = brackets;
    gw_buf_adds(s->out, "IN ( ");
    return true;
}

/* "]", a cast perhaps, and the brackets around the ARRAY. */
static bool close_any(struct scan *s)
{
    s->p++;
    for (int i = 0; i < s->to_close; i++) {
        if (strncmp(s->p, "::", 2) == 0 && !skip_cast(s))
            return false;
        if (*s->p++ != ')')
            return false;
    }
    s->to_close = 0;
    gw_buf_adds(s->out, ") ");
    return true;
}

static bool take_sign(struct scan *s)
{
    static const char *const signs[] = {"<>", "<=", ">=", "!=", "=", "<", ">", "+", "-", "*", "(", ")", ",", NULL};
    for (int i = 0; signs[i]; i++) {
        size_t len = strlen(signs[i]);
        if (strncmp(s->p, signs[i], len) != 0)
            continue;
        if (strchr("=<>!+-*", s->p[0]) && strchr("=<>!+*/&|~@#%^-", s->p[len]) && s->p[len] && s->p[len] != '-')
            return false;
        gw_buf_addf(s->out, "%s ", strcmp(signs[i], "!=") == 0 ? "<>" : signs[i]);
        s->p += len;
        return true;
    }
    return false;
}

static bool take(struct scan *s)
{
    char c = *s->p;
    if (c == '\'')
        return take_text(s);
    if (c == '"' || c == '`')
        return take_quoted_name(s);
    if (isdigit((unsigned char)c)) {
        size_t len = strspn(s->p, "0123456789.");
        if (isalpha((unsigned char)s->p[len]) || s->p[len] == '_')
            return false;
        gw_buf_addf(s->out, "%.*s ", (int)len, s->p);
        s->p += len;
        return true;
    }
    if (isalpha((unsigned char)c) || c == '_')
        return take_word(s);
    if (strncmp(s->p, "::", 2) == 0)
        return skip_cast(s);
    if (c == ']' && s->to_close)
        return close_any(s);
    if (c == '=' && take_any(s))
        return true;
    if (strncmp(s->p, "--", 2) == 0 || strncmp(s->p, "/*", 2) == 0)
        return false;
    return take_sign(s);
}

bool gw_map_portable_sql(const char *sql, const struct gw_table_definition *blue,
                         const struct gw_table_definition *green, const struct gw_collection_rule *rule,
                         struct gw_buf *out)
{
    struct scan s = {.p = sql, .begin = sql, .blue = blue, .green = green, .rule = rule, .out = out};
    if (strncasecmp(s.p, "check ", 6) == 0 || strncasecmp(s.p, "check(", 6) == 0)
        s.p += 5;
    for (s.p += strspn(s.p, " "); *s.p; s.p += strspn(s.p, " \n\t"))
        if (!take(&s))
            return false;
    while (out->len > 0 && out->data[out->len - 1] == ' ')
        out->data[--out->len] = 0;
    return out->len > 0 && !s.to_close && !(s.texts && s.loose_texts);
}
