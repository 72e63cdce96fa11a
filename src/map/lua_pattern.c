#include "map/lua_pattern.h"

#include <lauxlib.h>

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { CAPTURES_MAX = 32, DEPTH_MAX = 200, OPEN = -1, POSITION = -2 };

struct matcher {
    lua_State *L;
    int64_t *budget;
    const char *text, *text_end, *pattern_end;
    int depth, count;
    struct {
        const char *at;
        ptrdiff_t len; /* or OPEN, POSITION */
    } captures[CAPTURES_MAX];
};

static const char *match(struct matcher *m, const char *s, const char *p);

static void step(struct matcher *m)
{
    if (--*m->budget < 0)
        luaL_error(m->L,
                   "the pattern tries too much on this text: anchor it with ^, or use string.find(s, what, 1, true)");
}

/* ---- one character ---- */

static bool in_range(unsigned c, unsigned from, unsigned to)
{
    return c >= from && c <= to;
}

/* ASCII alone, whatever the locale. */
static bool is_class(unsigned c, char letter)
{
    bool upper = in_range(c, 'A', 'Z');
    bool lower = in_range(c, 'a', 'z');
    bool digit = in_range(c, '0', '9');
    bool graph = in_range(c, 33, 126);
    bool found;
    switch (letter | 0x20) {
    case 'a':
        found = upper || lower;
        break;
    case 'c':
        found = c < 32 || c == 127;
        break;
    case 'd':
        found = digit;
        break;
    case 'g':
        found = graph;
        break;
    case 'l':
        found = lower;
        break;
    case 'p':
        found = graph && !upper && !lower && !digit;
        break;
    case 's':
        found = c == ' ' || in_range(c, 9, 13);
        break;
    case 'u':
        found = upper;
        break;
    case 'w':
        found = upper || lower || digit;
        break;
    case 'x':
        found = digit || in_range(c | 0x20, 'a', 'f');
        break;
    default:
        return c == (unsigned char)letter;
    }
    return found != in_range((unsigned char)letter, 'A', 'Z');
}

/* Behind the item that begins at p. */
static const char *item_end(struct matcher *m, const char *p)
{
    if (p == m->pattern_end)
        luaL_error(m->L, "malformed pattern (it ends too early)");
    if (*p == '%') {
        if (p + 1 == m->pattern_end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 2;
    }
    if (*p++ != '[')
        return p;
    if (p < m->pattern_end && *p == '^')
        p++;
    for (bool first = true;; first = false) {
        if (p == m->pattern_end)
            luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p == ']' && !first)
            return p + 1;
        if (*p++ == '%') {
            if (p == m->pattern_end)
                luaL_error(m->L, "malformed pattern (missing ']')");
            p++;
        }
    }
}

/* p is behind '[', end is at ']'. */
static bool in_set(unsigned c, const char *p, const char *end)
{
    bool wanted = true;
    if (*p == '^') {
        wanted = false;
        p++;
    }
    while (p < end) {
        if (*p == '%') {
            if (is_class(c, p[1]))
                return wanted;
            p += 2;
        } else if (p + 2 < end && p[1] == '-') {
            if (in_range(c, (unsigned char)p[0], (unsigned char)p[2]))
                return wanted;
            p += 3;
        } else if ((unsigned char)*p++ == c) {
            return wanted;
        }
    }
    return !wanted;
}

static bool is_item(unsigned c, const char *p, const char *end)
{
    switch (*p) {
    case '.':
        return true;
    case '%':
        return is_class(c, p[1]);
    case '[':
        return in_set(c, p + 1, end - 1);
    default:
        return (unsigned char)*p == c;
    }
}

static bool is_here(struct matcher *m, const char *s, const char *p, const char *end)
{
    step(m);
    return s < m->text_end && is_item((unsigned char)*s, p, end);
}

/* ---- items with a meaning of their own ---- */

static const char *balanced(struct matcher *m, const char *s, const char *p)
{
    int open = 1;
    if (m->pattern_end - p < 2)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s == m->text_end || *s != p[0])
        return NULL;
    for (s++; s < m->text_end; s++) {
        step(m);
        if (*s == p[1]) {
            if (--open == 0)
                return s + 1;
        } else if (*s == p[0]) {
            open++;
        }
    }
    return NULL;
}

static const char *captured_again(struct matcher *m, const char *s, char digit)
{
    int which = digit - '1';
    if (which < 0 || which >= m->count || m->captures[which].len == OPEN)
        luaL_error(m->L, "invalid capture index %%%d in pattern", which + 1);
    ptrdiff_t len = m->captures[which].len;
    *m->budget -= len > 0 ? len / 16 : 0;
    step(m);
    if (len < 0 || m->text_end - s < len || memcmp(m->captures[which].at, s, (size_t)len) != 0)
        return NULL;
    return s + len;
}

static const char *open_capture(struct matcher *m, const char *s, const char *p, ptrdiff_t kind)
{
    if (m->count >= CAPTURES_MAX)
        luaL_error(m->L, "too many captures");
    m->captures[m->count].at = s;
    m->captures[m->count].len = kind;
    m->count++;
    const char *end = match(m, s, p);
    if (!end)
        m->count--;
    return end;
}

static const char *close_capture(struct matcher *m, const char *s, const char *p)
{
    int which = m->count;
    while (which > 0 && m->captures[which - 1].len != OPEN)
        which--;
    if (which == 0)
        luaL_error(m->L, "invalid pattern capture");
    m->captures[which - 1].len = s - m->captures[which - 1].at;
    const char *end = match(m, s, p);
    if (!end)
        m->captures[which - 1].len = OPEN;
    return end;
}

/* As many as there are, then one fewer each time what follows fails. */
static const char *greedy(struct matcher *m, const char *s, const char *p, const char *end)
{
    ptrdiff_t count = 0;
    while (is_here(m, s + count, p, end))
        count++;
    for (; count >= 0; count--) {
        const char *found = match(m, s + count, end + 1);
        if (found)
            return found;
    }
    return NULL;
}

static const char *lazy(struct matcher *m, const char *s, const char *p, const char *end)
{
    for (;; s++) {
        const char *found = match(m, s, end + 1);
        if (found)
            return found;
        if (!is_here(m, s, p, end))
            return NULL;
    }
}

/* "%f[set]": between a character that is not of the set and one that is. */
static bool frontier(struct matcher *m, const char *s, const char *p, const char **end)
{
    if (p == m->pattern_end || *p != '[')
        luaL_error(m->L, "missing '[' after '%%f' in pattern");
    *end = item_end(m, p);
    unsigned before = s == m->text ? 0 : (unsigned char)s[-1];
    unsigned here = s == m->text_end ? 0 : (unsigned char)*s;
    return !in_set(before, p + 1, *end - 1) && in_set(here, p + 1, *end - 1);
}

/* ---- the pattern ---- */

/* An item and its suffix. *next: go on at (*s, *next); else the answer is returned. */
static const char *plain_item(struct matcher *m, const char **s, const char *p, const char **next)
{
    const char *end = item_end(m, p);
    char suffix = 0;
    if (end < m->pattern_end)
        suffix = *end;
    *next = NULL;
    switch (suffix) {
    case '?': {
        const char *found = is_here(m, *s, p, end) ? match(m, *s + 1, end + 1) : NULL;
        if (found)
            return found;
        *next = end + 1;
        return NULL;
    }
    case '*':
        return greedy(m, *s, p, end);
    case '+':
        return is_here(m, *s, p, end) ? greedy(m, *s + 1, p, end) : NULL;
    case '-':
        return lazy(m, *s, p, end);
    default:
        if (!is_here(m, *s, p, end))
            return NULL;
        ++*s;
        *next = end;
        return NULL;
    }
}

static const char *match_items(struct matcher *m, const char *s, const char *p)
{
    while (p < m->pattern_end) {
        const char *next = NULL;
        step(m);
        if (*p == '(')
            return p + 1 < m->pattern_end && p[1] == ')' ? open_capture(m, s, p + 2, POSITION)
                                                         : open_capture(m, s, p + 1, OPEN);
        if (*p == ')')
            return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pattern_end)
            return s == m->text_end ? s : NULL;
        bool escaped = *p == '%' && p + 1 < m->pattern_end;
        if (escaped && p[1] == 'b') {
            s = balanced(m, s, p + 2);
            p += 4;
        } else if (escaped && p[1] == 'f') {
            if (!frontier(m, s, p + 2, &next))
                return NULL;
            p = next;
        } else if (escaped && p[1] >= '0' && p[1] <= '9') {
            s = captured_again(m, s, p[1]);
            p += 2;
        } else {
            const char *found = plain_item(m, &s, p, &next);
            if (!next)
                return found;
            p = next;
        }
        if (!s)
            return NULL;
    }
    return s;
}

static const char *match(struct matcher *m, const char *s, const char *p)
{
    if (++m->depth > DEPTH_MAX)
        luaL_error(m->L, "pattern too complex");
    const char *end = match_items(m, s, p);
    m->depth--;
    return end;
}

/* ---- the functions ---- */

static void push_capture(struct matcher *m, int which, const char *s, const char *end)
{
    if (which >= m->count) {
        if (which != 0)
            luaL_error(m->L, "invalid capture index %%%d", which + 1);
        lua_pushlstring(m->L, s, (size_t)(end - s));
        return;
    }
    ptrdiff_t len = m->captures[which].len;
    if (len == OPEN)
        luaL_error(m->L, "unfinished capture");
    if (len == POSITION)
        lua_pushinteger(m->L, m->captures[which].at - m->text + 1);
    else
        lua_pushlstring(m->L, m->captures[which].at, (size_t)len);
}

static int push_captures(struct matcher *m, const char *s, const char *end, bool whole)
{
    int count = m->count == 0 && whole ? 1 : m->count;
    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++)
        push_capture(m, i, s, end);
    return count;
}

/* Begins with the text at 1 and the pattern at 2; p is behind the '^', if there is one. */
static struct matcher begin(lua_State *L, const char **p, bool *anchored)
{
    struct matcher m = {.L = L, .budget = lua_touserdata(L, lua_upvalueindex(1))};
    size_t len;
    m.text = luaL_checklstring(L, 1, &len);
    m.text_end = m.text + len;
    *p = luaL_checklstring(L, 2, &len);
    m.pattern_end = *p + len;
    *anchored = len > 0 && **p == '^';
    *p += *anchored;
    return m;
}

static const char *try_at(struct matcher *m, const char *s, const char *p)
{
    m->count = 0;
    m->depth = 0;
    step(m);
    return match(m, s, p);
}

/* Where to begin, counted from 1, or from the end when negative. */
static size_t position(lua_State *L, int at, size_t len)
{
    lua_Integer from = luaL_optinteger(L, at, 1);
    if (from > 0)
        return (size_t)from - 1;
    if (from == 0 || from < -(lua_Integer)len)
        return 0;
    return len - (size_t)-from;
}

static int search(lua_State *L, bool find)
{
    const char *p;
    bool anchored;
    struct matcher m = begin(L, &p, &anchored);
    size_t len = (size_t)(m.text_end - m.text);
    size_t from = position(L, 3, len);
    if (from > len) {
        lua_pushnil(L);
        return 1;
    }
    if (find && lua_toboolean(L, 4)) {
        p -= anchored;
        size_t what = (size_t)(m.pattern_end - p);
        const char *at = what ? memmem(m.text + from, len - from, p, what) : m.text + from;
        if (!at) {
            lua_pushnil(L);
            return 1;
        }
        lua_pushinteger(L, at - m.text + 1);
        lua_pushinteger(L, at - m.text + (ptrdiff_t)what);
        return 2;
    }
    for (const char *s = m.text + from; s <= m.text_end; s++) {
        const char *end = try_at(&m, s, p);
        if (end && find) {
            lua_pushinteger(L, s - m.text + 1);
            lua_pushinteger(L, end - m.text);
            return push_captures(&m, s, end, false) + 2;
        }
        if (end)
            return push_captures(&m, s, end, true);
        if (anchored)
            break;
    }
    lua_pushnil(L);
    return 1;
}

static int pattern_find(lua_State *L)
{
    return search(L, true);
}

static int pattern_match(lua_State *L)
{
    return search(L, false);
}

/* Upvalues: budget, text, pattern, where to go on, where the last match ended (-1: nowhere). */
static int gmatch_next(lua_State *L)
{
    struct matcher m = {.L = L, .budget = lua_touserdata(L, lua_upvalueindex(1))};
    size_t len;
    m.text = lua_tolstring(L, lua_upvalueindex(2), &len);
    m.text_end = m.text + len;
    const char *p = lua_tolstring(L, lua_upvalueindex(3), &len);
    m.pattern_end = p + len;
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(5));
    for (const char *s = m.text + lua_tointeger(L, lua_upvalueindex(4)); s <= m.text_end; s++) {
        const char *end = try_at(&m, s, p);
        if (!end || end - m.text == last)
            continue;
        lua_pushinteger(L, end - m.text);
        lua_copy(L, -1, lua_upvalueindex(4));
        lua_replace(L, lua_upvalueindex(5));
        return push_captures(&m, s, end, true);
    }
    return 0;
}

static int pattern_gmatch(lua_State *L)
{
    size_t len;
    luaL_checklstring(L, 1, &len);
    luaL_checkstring(L, 2);
    size_t from = position(L, 3, len);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushinteger(L, (lua_Integer)(from > len ? len + 1 : from));
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 5);
    return 1;
}

/* The replacement's text: %0 to %9 are captures, %% is a percent sign. */
static void add_text(struct matcher *m, luaL_Buffer *out, const char *s, const char *end)
{
    size_t len;
    const char *text = lua_tolstring(m->L, 3, &len);
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            luaL_addchar(out, text[i]);
            continue;
        }
        i++;
        if (i < len && text[i] == '%') {
            luaL_addchar(out, '%');
        } else if (i < len && text[i] == '0') {
            luaL_addlstring(out, s, (size_t)(end - s));
        } else if (i < len && text[i] >= '1' && text[i] <= '9') {
            push_capture(m, text[i] - '1', s, end);
            luaL_tolstring(m->L, -1, NULL);
            lua_remove(m->L, -2);
            luaL_addvalue(out);
        } else {
            luaL_error(m->L, "invalid use of '%%' in replacement string");
        }
    }
}

/* What a match becomes; true when it was replaced by something else than itself. */
static void add_replacement(struct matcher *m, luaL_Buffer *out, const char *s, const char *end, int type)
{
    lua_State *L = m->L;
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, s, end, true), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(m, 0, s, end);
        lua_gettable(L, 3);
    } else {
        add_text(m, out, s, end);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(out, s, (size_t)(end - s));
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    } else {
        luaL_addvalue(out);
    }
}

static int pattern_gsub(lua_State *L)
{
    const char *p;
    bool anchored;
    struct matcher m = begin(L, &p, &anchored);
    int type = lua_type(L, 3);
    lua_Integer most = luaL_optinteger(L, 4, m.text_end - m.text + 1);
    lua_Integer count = 0;
    const char *s = m.text;
    const char *last = NULL;
    luaL_Buffer out;
    luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                     "string/function/table");
    luaL_buffinit(L, &out);
    while (count < most) {
        const char *end = try_at(&m, s, p);
        if (end && end != last) {
            count++;
            add_replacement(&m, &out, s, end, type);
            s = last = end;
        } else if (s < m.text_end) {
            luaL_addchar(&out, *s);
            s++;
        } else {
            break;
        }
        if (anchored)
            break;
    }
    luaL_addlstring(&out, s, (size_t)(m.text_end - s));
    luaL_pushresult(&out);
    lua_pushinteger(L, count);
    return 2;
}

void gw_lua_set_patterns(lua_State *L, int64_t *budget)
{
    static const luaL_Reg functions[] = {
        {"find", pattern_find}, {"match", pattern_match}, {"gmatch", pattern_gmatch}, {"gsub", pattern_gsub},
        {NULL, NULL},
    };
    lua_pushlightuserdata(L, budget);
    luaL_setfuncs(L, functions, 1);
}
