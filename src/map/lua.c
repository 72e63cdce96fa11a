/*
 * Lua 5.4 for what no rule says, in a box: no files, processes, loading, time, chance, coroutines or protected calls;
 * LUA_STEPS instructions a call and LUA_BYTES of memory; tables of the library cannot be changed and globals cannot be
 * made, so that no row leaves anything behind for the next. What could run long inside the library without an
 * instruction is bounded (patterns, string.rep) or not there (table.move). The order of pairs() is that of the
 * keys, and nothing shows an address: the same row gives the same value everywhere.
 */
#include "base/mem.h"
#include "map/decimal.h"
#include "map/internal.h"
#include "map/lua_pattern.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <math.h>
#include <string.h>

#define LUA_STEPS 1000000
#define LUA_STEPS_A_LOOK 1000
#define LUA_BYTES ((size_t)16 << 20)
#define LUA_TRIES 4000000 /* of patterns, a call */

struct gw_lua {
    lua_State *state;
    const struct gw_map *map;
    size_t bytes;
    int steps;
    int64_t tries;   /* left */
    int *references; /* of each function, in the registry */
    const struct gw_datum *row;
    const struct gw_table_definition *table;
    bool missed; /* the last call read a column that is ABSENT */
};

static struct gw_lua *self(lua_State *L)
{
    return *(struct gw_lua **)lua_getextraspace(L);
}

static void *allocate(void *context, void *old, size_t old_bytes, size_t bytes)
{
    struct gw_lua *lua = context;
    size_t before = old ? old_bytes : 0;
    if (bytes > before && lua->bytes + (bytes - before) > LUA_BYTES)
        return NULL;
    lua->bytes = lua->bytes - before + bytes;
    if (bytes == 0) {
        free(old);
        return NULL;
    }
    return gw_realloc(old, bytes);
}

static void look(lua_State *L, lua_Debug *where)
{
    struct gw_lua *lua = self(L);
    (void)where;
    lua->steps += LUA_STEPS_A_LOOK;
    if (lua->steps > LUA_STEPS)
        luaL_error(L, "more than %d instructions: an endless loop?", LUA_STEPS);
}

/* ---- values ---- */

static void push_text_of(lua_State *L, const struct gw_datum *value)
{
    struct gw_arena arena = {0};
    struct gw_datum text;
    /* Lua's errors jump: nothing is allocated while the arena is full but the string, whose memory is Lua's. */
    if (gw_map_text_of(value, &arena, &text)) {
        char small[256];
        if (text.len <= sizeof small) {
            if (text.len)
                memcpy(small, text.bytes, text.len);
            uint32_t len = text.len;
            gw_arena_release(&arena);
            lua_pushlstring(L, small, len);
            return;
        }
        /* Only bytes of the row are this long, and they are not in the arena. */
        gw_arena_release(&arena);
        lua_pushlstring(L, (const char *)text.bytes, text.len);
        return;
    }
    gw_arena_release(&arena);
    lua_pushlstring(L, value->len ? (const char *)value->bytes : "", value->len);
}

static void push_value(lua_State *L, const struct gw_datum *value)
{
    switch (value->kind) {
    case GW_KIND_NULL:
    case GW_KIND_UNCHANGED:
    case GW_KIND_ABSENT:
        lua_pushnil(L);
        return;
    case GW_KIND_BOOL:
        lua_pushboolean(L, value->boolean);
        return;
    case GW_KIND_INT64:
        lua_pushinteger(L, value->i64);
        return;
    case GW_KIND_UINT64:
        if (value->u64 <= INT64_MAX)
            lua_pushinteger(L, (lua_Integer)value->u64);
        else
            push_text_of(L, value);
        return;
    case GW_KIND_FLOAT32:
        lua_pushnumber(L, (lua_Number)value->f32);
        return;
    case GW_KIND_FLOAT64:
        lua_pushnumber(L, value->f64);
        return;
    default:
        push_text_of(L, value);
    }
}

static bool pull_value(lua_State *L, struct gw_arena *arena, struct gw_datum *out)
{
    size_t len;
    switch (lua_type(L, -1)) {
    case LUA_TNIL:
        *out = gw_datum_null();
        return true;
    case LUA_TBOOLEAN:
        *out = (struct gw_datum){.kind = GW_KIND_BOOL, .boolean = lua_toboolean(L, -1)};
        return true;
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1))
            *out = (struct gw_datum){.kind = GW_KIND_INT64, .i64 = lua_tointeger(L, -1)};
        else
            *out = (struct gw_datum){.kind = GW_KIND_FLOAT64, .f64 = lua_tonumber(L, -1)};
        return true;
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, -1, &len);
        *out = gw_datum_of_bytes(GW_KIND_TEXT, gw_arena_dup(arena, text, len), len);
        return true;
    }
    default:
        return false;
    }
}

/* row.name: the value, or an error for what is no column. */
static int row_index(lua_State *L)
{
    struct gw_lua *lua = self(L);
    const char *name = luaL_checkstring(L, 2);
    int column = lua->row ? gw_table_column(lua->table, name) : -1;
    if (column < 0)
        return luaL_error(L, "there is no column %s", name);
    lua->missed = lua->missed || lua->row[column].kind == GW_KIND_ABSENT;
    push_value(L, &lua->row[column]);
    return 1;
}

static int refuse_change(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TSTRING)
        return luaL_error(L, "%s cannot be set here: use a local variable", lua_tostring(L, 2));
    return luaL_error(L, "this table cannot be changed");
}

/* ---- what is safe to have ---- */

/* The library's own function stands in an upvalue. */
static int call_original(lua_State *L)
{
    int count = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, count, LUA_MULTRET);
    return lua_gettop(L);
}

static int safe_rep(lua_State *L)
{
    size_t len;
    size_t separator = 0;
    luaL_checklstring(L, 1, &len);
    lua_Integer count = luaL_checkinteger(L, 2);
    if (!lua_isnoneornil(L, 3))
        luaL_checklstring(L, 3, &separator);
    if (count <= 0 || len + separator == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if ((lua_Number)count * (lua_Number)(len + separator) > (lua_Number)LUA_BYTES)
        return luaL_error(L, "string.rep: more than %d bytes", (int)LUA_BYTES);
    return call_original(L);
}

static bool shows_address(lua_State *L, int at)
{
    int type = lua_type(L, at);
    return type != LUA_TNIL && type != LUA_TBOOLEAN && type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TNONE;
}

static int safe_format(lua_State *L)
{
    for (int i = 1; i <= lua_gettop(L); i++)
        if (shows_address(L, i))
            return luaL_error(L, "string.format: a %s cannot be shown", luaL_typename(L, i));
    if (strstr(luaL_checkstring(L, 1), "%p"))
        return luaL_error(L, "string.format: %%p is not here");
    return call_original(L);
}

static int safe_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    if (shows_address(L, 1))
        return luaL_error(L, "tostring: a %s cannot be shown", luaL_typename(L, 1));
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* ---- decimals: exact, as text ---- */

static struct gw_decimal check_decimal(lua_State *L, int at)
{
    struct gw_decimal decimal;
    size_t len;
    const char *text;
    if (lua_type(L, at) == LUA_TNUMBER && !lua_isinteger(L, at))
        luaL_error(L, "a float is no decimal: write it as text");
    text = luaL_checklstring(L, at, &len);
    if (!gw_decimal_parse(text, len, &decimal) || decimal.whole_len + decimal.fraction_len > GW_DECIMAL_DIGITS_MAX)
        luaL_error(L, "\"%s\" is no decimal", text);
    return decimal;
}

/* The buffer is Lua's before anything can jump. */
static int push_decimal(lua_State *L, struct gw_buf *text)
{
    char small[2 * GW_DECIMAL_DIGITS_MAX + 16];
    size_t len = text->len < sizeof small ? text->len : sizeof small;
    memcpy(small, gw_buf_text(text), len);
    gw_buf_release(text);
    lua_pushlstring(L, small, len);
    return 1;
}

static int decimal_add(lua_State *L)
{
    struct gw_buf text = {0};
    struct gw_decimal a = check_decimal(L, 1);
    struct gw_decimal b = check_decimal(L, 2);
    gw_decimal_add(&a, &b, false, &text);
    return push_decimal(L, &text);
}

static int decimal_subtract(lua_State *L)
{
    struct gw_buf text = {0};
    struct gw_decimal a = check_decimal(L, 1);
    struct gw_decimal b = check_decimal(L, 2);
    gw_decimal_add(&a, &b, true, &text);
    return push_decimal(L, &text);
}

static int decimal_multiply(lua_State *L)
{
    struct gw_buf text = {0};
    struct gw_decimal a = check_decimal(L, 1);
    struct gw_decimal b = check_decimal(L, 2);
    self(L)->steps += (int)((a.whole_len + a.fraction_len) * (b.whole_len + b.fraction_len) / 16);
    gw_decimal_multiply(&a, &b, &text);
    return push_decimal(L, &text);
}

static int decimal_round(lua_State *L)
{
    struct gw_buf text = {0};
    bool lost;
    struct gw_decimal a = check_decimal(L, 1);
    lua_Integer scale = luaL_optinteger(L, 2, 0);
    if (scale < 0 || scale > 1000)
        return luaL_error(L, "decimal.round: 0 to 1000 digits behind the point");
    gw_decimal_rescale(&a, (size_t)scale, true, &text, &lost);
    return push_decimal(L, &text);
}

static int decimal_compare(lua_State *L)
{
    struct gw_decimal a = check_decimal(L, 1);
    struct gw_decimal b = check_decimal(L, 2);
    lua_pushinteger(L, gw_decimal_compare(&a, &b));
    return 1;
}

/* ---- the box ---- */

/* Pushes a function of the library that is on top, wrapped. */
static void wrap(lua_State *L, const char *name, lua_CFunction wrapper)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, wrapper, 1);
    lua_setfield(L, -2, name);
}

static void forget(lua_State *L, const char *const *names)
{
    for (; *names; names++) {
        lua_pushnil(L);
        lua_setfield(L, -2, *names);
    }
}

/* In place of the table on top: an empty one that reads it and cannot be changed. */
static void seal(lua_State *L)
{
    lua_newtable(L);
    lua_newtable(L);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_change);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

static void make_string(lua_State *L)
{
    static const char *const unwanted[] = {"dump", NULL};
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
    forget(L, unwanted);
    gw_lua_set_patterns(L, &self(L)->tries);
    wrap(L, "rep", safe_rep);
    wrap(L, "format", safe_format);
    seal(L);
    /* ("x"):upper() looks into the sealed table, too. */
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
}

static void make_math(lua_State *L)
{
    static const char *const unwanted[] = {"random", "randomseed", NULL};
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 0);
    forget(L, unwanted);
    seal(L);
}

static void make_table(lua_State *L)
{
    static const char *const unwanted[] = {"move", NULL};
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 0);
    forget(L, unwanted);
    seal(L);
}

static void make_utf8(lua_State *L)
{
    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 0);
    seal(L);
}

static void make_decimal(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"add", decimal_add},     {"sub", decimal_subtract},    {"mul", decimal_multiply},
        {"round", decimal_round}, {"compare", decimal_compare}, {NULL, NULL},
    };
    luaL_newlib(L, functions);
    seal(L);
}

/* pairs in the order of keys: numbers, then texts. */
static const char ordered_pairs[] =
    "local next, type, sort, error = ...\n"
    "return function(t)\n"
    "  if type(t) ~= 'table' then error('pairs: not a table', 2) end\n"
    "  local keys = {}\n"
    "  for k in next, t do\n"
    "    if type(k) ~= 'number' and type(k) ~= 'string' then error('pairs: a key that has no order', 2) end\n"
    "    keys[#keys + 1] = k\n"
    "  end\n"
    "  sort(keys, function(a, b)\n"
    "    if type(a) ~= type(b) then return type(a) == 'number' end\n"
    "    return a < b\n"
    "  end)\n"
    "  local i = 0\n"
    "  return function()\n"
    "    i = i + 1\n"
    "    if keys[i] ~= nil then return keys[i], t[keys[i]] end\n"
    "  end\n"
    "end\n";

static void make_pairs(lua_State *L, int base)
{
    if (luaL_loadbufferx(L, ordered_pairs, sizeof ordered_pairs - 1, "=pairs", "t") != LUA_OK)
        lua_error(L);
    lua_getfield(L, base, "next");
    lua_getfield(L, base, "type");
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 0);
    lua_getfield(L, -1, "sort");
    lua_remove(L, -2);
    lua_getfield(L, base, "error");
    lua_call(L, 4, 1);
}

/* Leaves the globals that a function may see, sealed, on the stack. */
static void make_globals(lua_State *L)
{
    static const char *const kept[] = {"assert", "error", "ipairs", "select", "tonumber", "type", NULL};
    luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
    int base = lua_gettop(L);
    lua_newtable(L);
    int globals = lua_gettop(L);
    for (int i = 0; kept[i]; i++) {
        lua_getfield(L, base, kept[i]);
        lua_setfield(L, globals, kept[i]);
    }
    lua_pushcfunction(L, safe_tostring);
    lua_setfield(L, globals, "tostring");
    make_pairs(L, base);
    lua_setfield(L, globals, "pairs");
    make_math(L);
    lua_setfield(L, globals, "math");
    make_table(L);
    lua_setfield(L, globals, "table");
    make_utf8(L);
    lua_setfield(L, globals, "utf8");
    make_decimal(L);
    lua_setfield(L, globals, "decimal");
    make_string(L);
    lua_setfield(L, globals, "string");
    lua_remove(L, base);
    seal(L);
}

static void make_row(lua_State *L)
{
    lua_newuserdatauv(L, 0, 0);
    lua_newtable(L);
    lua_pushcfunction(L, row_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_change);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

/* On the first line of the function, so that lines stay its own. */
static const char prefix[] = "local row, value = ...; ";

static int load_function(lua_State *L, const char *code, const char *name)
{
    luaL_Buffer text;
    lua_pushfstring(L, "=%s", name);
    luaL_buffinit(L, &text);
    luaL_addstring(&text, prefix);
    luaL_addstring(&text, code);
    luaL_pushresult(&text);
    size_t len;
    const char *whole = lua_tolstring(L, -1, &len);
    int status = luaL_loadbufferx(L, whole, len, lua_tostring(L, -2), "t");
    lua_remove(L, -2);
    lua_remove(L, -2);
    return status;
}

/* Inside a protected call: the box, the row and all functions. */
static int set_up(lua_State *L)
{
    struct gw_lua *lua = self(L);
    make_globals(L);
    int globals = lua_gettop(L);
    for (size_t i = 0; i < lua->map->function_count; i++) {
        if (load_function(L, lua->map->functions[i].code, lua->map->functions[i].name) != LUA_OK)
            return lua_error(L);
        lua_pushvalue(L, globals);
        lua_setupvalue(L, -2, 1);
        lua->references[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    make_row(L);
    lua_setfield(L, LUA_REGISTRYINDEX, "godwit.row");
    return 0;
}

/* Message handler: a message without a place gets that of the innermost line of Lua. */
static int add_place(lua_State *L)
{
    lua_Debug where;
    const char *message = lua_tostring(L, 1);
    for (int level = 0; message && lua_getstack(L, level, &where); level++) {
        lua_getinfo(L, "Sl", &where);
        if (where.currentline <= 0)
            continue;
        lua_pushfstring(L, "%s:%d: ", where.short_src, where.currentline);
        size_t len;
        const char *place = lua_tolstring(L, -1, &len);
        if (strncmp(message, place, len) != 0) {
            lua_pushvalue(L, 1);
            lua_concat(L, 2);
        } else {
            lua_pushvalue(L, 1);
        }
        return 1;
    }
    lua_settop(L, 1);
    return 1;
}

static bool fail_lua(struct gw_lua *lua, const char *name, struct gw_error *err)
{
    const char *message = lua_tostring(lua->state, -1);
    bool placed = message && name && strncmp(message, name, strlen(name)) == 0;
    gw_fail(err, GW_ERR_CONFLICT, "Lua: %s%s%s", placed || !name ? "" : name, placed || !name ? "" : ": ",
            message ? message : "an error that is no text");
    return gw_error_hint(err, "the function is in the rules of the collection (collections:)");
}

bool gw_lua_open(const struct gw_map *map, struct gw_lua **out, struct gw_error *err)
{
    struct gw_lua *lua = gw_zalloc(sizeof *lua);
    lua->map = map;
    lua->references = gw_calloc(map->function_count + 1, sizeof *lua->references);
    lua->state = lua_newstate(allocate, lua);
    if (!lua->state) {
        gw_lua_close(lua);
        return gw_fail(err, GW_ERR_RESOURCE, "Lua could not start");
    }
    *(struct gw_lua **)lua_getextraspace(lua->state) = lua;
    lua_pushcfunction(lua->state, set_up);
    if (lua_pcall(lua->state, 0, 0, 0) != LUA_OK) {
        fail_lua(lua, NULL, err);
        gw_lua_close(lua);
        return false;
    }
    lua_sethook(lua->state, look, LUA_MASKCOUNT, LUA_STEPS_A_LOOK);
    *out = lua;
    return true;
}

void gw_lua_close(struct gw_lua *lua)
{
    if (!lua)
        return;
    if (lua->state)
        lua_close(lua->state);
    free(lua->references);
    free(lua);
}

struct call {
    int function;
    const struct gw_datum *value;
};

static int call_inside(lua_State *L)
{
    struct gw_lua *lua = self(L);
    const struct call *call = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, lua->references[call->function]);
    lua_getfield(L, LUA_REGISTRYINDEX, "godwit.row");
    if (call->value)
        push_value(L, call->value);
    else
        lua_pushnil(L);
    lua_call(L, 2, 1);
    return 1;
}

bool gw_lua_call(struct gw_lua *lua, int function, const struct gw_datum *row, const struct gw_datum *value,
                 struct gw_arena *arena, struct gw_datum *out, struct gw_error *err)
{
    lua_State *L = lua->state;
    const struct gw_map_lua *called = &lua->map->functions[function];
    struct call call = {function, value};
    lua->steps = 0;
    lua->tries = LUA_TRIES;
    lua->missed = false;
    lua->row = row;
    lua->table = called->back ? &lua->map->green.tables[called->table] : &lua->map->blue.tables[called->table];
    lua_pushcfunction(L, add_place);
    lua_pushcfunction(L, call_inside);
    lua_pushlightuserdata(L, &call);
    bool fine = lua_pcall(L, 1, 1, 1) == LUA_OK;
    if (!fine)
        fail_lua(lua, called->name, err);
    else if (!pull_value(L, arena, out)) {
        gw_fail(err, GW_ERR_CONFLICT, "Lua: %s: it returns a %s", called->name, luaL_typename(L, -1));
        gw_error_hint(err, "return a text, a number, true, false or nil");
        fine = false;
    }
    lua_settop(L, 0);
    lua->row = NULL;
    return fine;
}

bool gw_lua_missed(const struct gw_lua *lua)
{
    return lua->missed;
}

bool gw_lua_check(const char *code, const char *name, struct gw_error *err)
{
    struct gw_lua lua = {0};
    lua.state = lua_newstate(allocate, &lua);
    if (!lua.state)
        return gw_fail(err, GW_ERR_RESOURCE, "Lua could not start");
    *(struct gw_lua **)lua_getextraspace(lua.state) = &lua;
    bool fine = load_function(lua.state, code, name) == LUA_OK;
    if (!fine) {
        const char *message = lua_tostring(lua.state, -1);
        gw_fail(err, GW_ERR_USER, "this is not Lua: %s", message ? message : "?");
    }
    lua_close(lua.state);
    return fine;
}
