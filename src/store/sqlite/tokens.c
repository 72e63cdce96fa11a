#include "store/sqlite/tokens.h"

#include <ctype.h>
#include <sqlite3.h>
#include <string.h>

static const char *skip_space(const char *p)
{
    for (;;) {
        while (*p && isspace((unsigned char)*p))
            p++;
        if (p[0] == '-' && p[1] == '-') {
            p += strcspn(p, "\n");
        } else if (p[0] == '/' && p[1] == '*') {
            const char *end = strstr(p + 2, "*/");
            p = end ? end + 2 : p + strlen(p);
        } else {
            return p;
        }
    }
}

/* Behind the closing quote; doubled quotes stand for one. */
static const char *skip_quoted(const char *p)
{
    char close = *p == '[' ? ']' : *p;
    for (p++; *p; p++) {
        if (*p != close)
            continue;
        if (close != ']' && p[1] == close)
            p++;
        else
            return p + 1;
    }
    return p;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

struct gw_lite_token gw_lite_next_token(struct gw_lite_tokens *tokens)
{
    const char *p = skip_space(tokens->at), *end = p;
    struct gw_lite_token token = {.kind = GW_LITE_END, .at = p, .depth = tokens->depth};
    if (is_word(*p)) {
        while (is_word(*end))
            end++;
        token.kind = GW_LITE_WORD;
    } else if (*p == '"' || *p == '[' || *p == '`' || *p == '\'') {
        end = skip_quoted(p);
        token.kind = *p == '\'' ? GW_LITE_STRING : GW_LITE_QUOTED;
    } else if (*p) {
        end = p + 1;
        token.kind = GW_LITE_OTHER;
        if (*p == ')')
            token.depth = --tokens->depth;
        if (*p == '(')
            tokens->depth++;
    }
    token.len = (size_t)(end - p);
    tokens->at = end;
    return token;
}

bool gw_lite_token_is(const struct gw_lite_token *token, const char *word)
{
    if (token->kind == GW_LITE_OTHER)
        return token->len == strlen(word) && memcmp(token->at, word, token->len) == 0;
    return token->kind == GW_LITE_WORD && token->len == strlen(word) &&
           sqlite3_strnicmp(token->at, word, (int)token->len) == 0;
}
