/* Lua in its box: what it gets and gives, and what it cannot do. */
#include "map_world.h"

#include "map/lua_pattern.h"

#include <lauxlib.h>
#include <lualib.h>

static struct world lua_world(const char *code)
{
    struct world w = {0};
    gw_autobuf struct gw_buf rules = {0};
    gw_autobuf struct gw_buf indented = {0};
    for (const char *p = code; *p; p++) {
        gw_buf_addc(&indented, *p);
        if (*p == '\n')
            gw_buf_adds(&indented, "              ");
    }
    gw_buf_addf(
        &rules,
        "      t:\n        add:\n          out:\n            type: text\n            lua: |\n              %s\n",
        gw_buf_text(&indented));
    struct gw_table_definition *t = world_table(
        &w, "t",
        "id bigint!; n unsigned(64); d decimal(10,2); s text; b bytes; f double; ok bool; at timestamp; u uuid");
    (void)t;
    world_compile(&w, gw_buf_text(&rules));
    return w;
}

static const unsigned char uuid[16] = {0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3,
                                       0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0};

static void fill(struct gw_datum in[9])
{
    in[0] = integer(INT64_MAX);
    in[1] = (struct gw_datum){.kind = GW_KIND_UINT64, .u64 = UINT64_MAX};
    in[2] = as(GW_KIND_DECIMAL, "12.50");
    in[3] = words("größe");
    in[4] = gw_datum_of_bytes(GW_KIND_BYTES, "a\0b", 3);
    in[5] = (struct gw_datum){.kind = GW_KIND_FLOAT64, .f64 = 0.5};
    in[6] = (struct gw_datum){.kind = GW_KIND_BOOL, .boolean = true};
    in[7] = moment(GW_KIND_TIMESTAMP, "2024-02-29 12:30:00.5");
    in[8] = gw_datum_of_bytes(GW_KIND_UUID, uuid, 16);
}

static bool call(const char *code, struct gw_datum *out, char *text, struct gw_error *err)
{
    struct world w = lua_world(code);
    struct gw_datum in[9];
    struct gw_datum row[10];
    enum gw_map_verdict verdict;
    fill(in);
    bool fine = gw_map_row(w.run[0], 0, in, row, &verdict, NULL, err);
    if (fine) {
        *out = row[9];
        if (row[9].kind == GW_KIND_TEXT) {
            snprintf(text, 256, "%.*s", (int)row[9].len, (const char *)row[9].bytes);
            out->bytes = (unsigned char *)text;
        }
    }
    world_end(&w);
    return fine;
}

static void gives(const char *code, const char *expected)
{
    struct gw_error err = {0};
    struct gw_datum out;
    char text[256];
    if (!call(code, &out, text, &err)) {
        print_error("%s: %s\n", code, err.message);
        fail();
    }
    is_same(&out, words(expected));
}

static void fails(const char *code, const char *message)
{
    struct gw_error err = {0};
    struct gw_datum out;
    char text[256];
    if (call(code, &out, text, &err)) {
        print_error("%s did not fail\n", code);
        fail();
    }
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, message);
    assert_contains(err.message, "t.out:");
}

static void values_are_exact(void **state)
{
    (void)state;
    gives("return row.id", "9223372036854775807");
    gives("return math.type(row.id)", "integer");
    gives("return row.n", "18446744073709551615");
    gives("return row.d", "12.50");
    gives("return decimal.add(row.d, '0.005')", "12.505");
    gives("return decimal.sub('0.1', '0.2')", "-0.1");
    gives("return decimal.mul('99999999999999999999', '1.10')", "109999999999999999998.90");
    gives("return decimal.round('2.5') .. decimal.round('-2.455', 2)", "3-2.46");
    gives("return decimal.compare('1.10', '1.1') .. ''", "0");
    gives("return #row.s .. utf8.len(row.s)", "75");
    gives("return #row.b .. row.b:byte(2)", "30");
    gives("return row.f * 2", "1");
    gives("return tostring(row.ok)", "true");
    gives("return row.at", "2024-02-29 12:30:00.5");
    gives("return row.u", "123e4567-e89b-12d3-a456-426614174000");
    gives("return nil", NULL);
    gives("return row.s:upper():gsub('%s+', ' ')", "GRößE");
    gives(
        "local t = {}\nfor k, v in pairs({b = 1, a = 2, [3] = 'x'}) do t[#t + 1] = k .. v end\nreturn table.concat(t)",
        "3xa2b1");
}

static void errors_say_collection_column_and_line(void **state)
{
    (void)state;
    fails("local x = 1\nreturn row.nam", "t.out:2: there is no column nam");
    fails("return nothing.at", "t.out:1");
    fails("return {}", "it returns a table");
    fails("error('no such case')", "no such case");
    struct world w = {0};
    world_table(&w, "t", "id bigint!");
    assert_false(world_try(&w, "      t: { add: { x: { type: text, lua: \"return (\" } } }\n"));
    assert_int_equal(w.err.kind, GW_ERR_USER);
    assert_contains(w.err.message, "this is not Lua: t.x:1:");
    assert_contains(w.err.place, "godwit.yaml:7:");
    world_end(&w);
}

static void endless_loops_end(void **state)
{
    (void)state;
    fails("while true do end", "instructions");
    fails("local function f() return f() end\nreturn f()", "instructions");
    fails("local function f() return 1 + f() end\nreturn f()", "not enough memory");
    fails("return (('a'):rep(100000)):find(('.-'):rep(12) .. 'b')", "tries too much");
    fails("return (('a'):rep(3000)):match('a*a*a*a*b')", "tries too much");
    fails("return (('a'):rep(100000)):gsub('%b()', ''):gsub('a+b', '')", "tries too much");
    fails("return (('a'):rep(300)):match(('a?'):rep(250))", "pattern too complex");
    gives("return #(('x<b>y'):rep(20000)):gsub('<[^>]*>', '') .. ''", "40000");
    gives("return ('x'):rep(0) .. #((' '):rep(100000)):gsub('%s+', '')", "0");
    gives("return (('  x '):match('^%s*(.-)%s*$'))", "x");
    gives("return ('').rep('', 1e15) .. 'end'", "end");
    fails("table.sort({3, 2, 1}, function() while true do end end)", "instructions");
}

/* Against Lua's own library: the same answers, and errors for the same patterns. */
static void patterns_match_as_those_of_lua(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a",    "b",      ".",  "%a",    "%d", "[ab]", "[^a]", "[%d-]", "*",
                                         "+",    "-",      "?",  "(",     ")",  "()",   "%1",   "$",     "^",
                                         "%b()", "%f[%w]", "%S", "[a-c]", "]",  "[]]",  "%%",   "1",     " "};
    static const char *const letters[] = {"a", "b", "c", "1", " ", "(", ")", "-", "]", "%"};
    static const char compare[] =
        "local s, p = ...\n"
        "local function all(lib)\n"
        "  local out = {}\n"
        "  local function add(...)\n"
        "    for i = 1, select('#', ...) do out[#out + 1] = tostring((select(i, ...))) end\n"
        "    out[#out + 1] = ';'\n"
        "  end\n"
        "  local ok = pcall(function()\n"
        "    add(lib.find(s, p)) add(lib.find(s, p, -3)) add(lib.find(s, p, 2, true)) add(lib.match(s, p))\n"
        "    for a, b in lib.gmatch(s, p) do add(a, b) end\n"
        "    add(lib.gsub(s, p, '<%0>')) add(lib.gsub(s, p, {a = 'X', [1] = 'Y'}, 2))\n"
        "    add(lib.gsub(s, p, function(x) return x == 'b' and 'Z' end))\n"
        "  end)\n"
        "  return ok and table.concat(out, ',') or 'error'\n"
        "end\n"
        "local a, b = all(string), all(ours)\n"
        "return a == b, a, b\n";
    static int64_t budget;
    uint64_t seed = 88172645463325252u;
    size_t fine = 0;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_newtable(L);
    gw_lua_set_patterns(L, &budget);
    lua_setglobal(L, "ours");
    for (int i = 0; i < 30000; i++) {
        char text[64] = "";
        char pattern[64] = "";
        for (int which = 0; which < 2; which++) {
            char *to = which ? pattern : text;
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            uint64_t dice = seed;
            for (uint64_t n = dice % (which ? 6 : 10); n > 0; n--) {
                dice = dice * 6364136223846793005u + 1442695040888963407u;
                snprintf(to + strlen(to), 64 - strlen(to), "%s",
                         which ? pieces[(dice >> 33) % 27] : letters[(dice >> 33) % 10]);
            }
        }
        budget = 1000000;
        assert_int_equal(luaL_loadbuffer(L, compare, sizeof compare - 1, "=compare"), LUA_OK);
        lua_pushstring(L, text);
        lua_pushstring(L, pattern);
        assert_int_equal(lua_pcall(L, 2, 3, 0), LUA_OK);
        if (!lua_toboolean(L, -3)) {
            print_error("\"%s\" by \"%s\": %s, not %s\n", text, pattern, lua_tostring(L, -1), lua_tostring(L, -2));
            fail();
        }
        fine += strcmp(lua_tostring(L, -1), "error") != 0;
        lua_settop(L, 0);
    }
    lua_close(L);
    assert_true(fine > 5000);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    fails("return ('x'):rep(1e9)", "more than");
    fails("local t = {}\nlocal s = ('x'):rep(1000000)\nfor i = 1, 100 do t[i] = s .. i end", "memory");
    fails("local s = 'x'\nwhile true do s = s .. s end", "memory");
    fails("return string.pack('c1000000000', 'x')", "memory");
    /* And the state is fit for the next row. */
    struct world w =
        lua_world("if row.id == 1 then return ('x'):rep(10000000) .. ('y'):rep(10000000) end\nreturn 'fine'");
    struct gw_datum in[9];
    struct gw_datum out[10];
    enum gw_map_verdict verdict;
    struct gw_error err = {0};
    fill(in);
    for (int i = 0; i < 20; i++) {
        in[0] = integer(1);
        assert_false(gw_map_row(w.run[0], 0, in, out, &verdict, NULL, &err));
        in[0] = integer(2);
        MUST(gw_map_row(w.run[0], 0, in, out, &verdict, NULL, &err));
        is_same(&out[9], words("fine"));
        gw_map_run_reset(w.run[0]);
    }
    world_end(&w);
}

static void nothing_leads_out_of_the_box(void **state)
{
    (void)state;
    static const char *const gone[] = {
        "os",          "io",           "load",
        "loadstring",  "loadfile",     "dofile",
        "require",     "package",      "debug",
        "coroutine",   "pcall",        "xpcall",
        "rawget",      "rawset",       "rawequal",
        "rawlen",      "next",         "collectgarbage",
        "print",       "warn",         "_G",
        "_ENV._G",     "getmetatable", "setmetatable",
        "string.dump", "math.random",  "math.randomseed",
        "table.move",
    };
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        gw_autofree char *code = gw_asprintf("return type(%s)", gone[i]);
        gives(code, "nil");
    }
    fails("string.upper = nil", "cannot be set");
    fails("math.pi = 3", "cannot be set");
    fails("table.insert(string, 1)", "cannot be changed");
    fails("x = 1", "x cannot be set here");
    fails("_ENV.y = 1", "cannot be set here");
    fails("row.id = 2", "cannot be set");
    fails("return tostring({})", "cannot be shown");
    fails("return tostring(row)", "cannot be shown");
    fails("return ('%p'):format('x')", "not here");
    fails("return ('%s'):format({})", "cannot be shown");
    fails("for k in pairs(row) do end", "not a table");
    fails("return '\\27Lua' and _ENV.load('x')", "nil value");
}

static void nothing_stays_for_the_next_row(void **state)
{
    (void)state;
    struct world w = lua_world("local seen = row\nlocal function count() return 1 end\nreturn tostring(count())");
    struct gw_datum in[9];
    struct gw_datum out[10];
    fill(in);
    for (int i = 0; i < 3; i++) {
        world_row(&w, false, in, out);
        is_same(&out[9], words("1"));
    }
    world_end(&w);
}

static void byte_code_is_refused(void **state)
{
    (void)state;
    struct gw_error err = {0};
    assert_true(gw_lua_check("return 1", "x", &err));
    assert_false(gw_lua_check("\x1bLua", "x", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_exact),
        cmocka_unit_test(errors_say_collection_column_and_line),
        cmocka_unit_test(endless_loops_end),
        cmocka_unit_test(patterns_match_as_those_of_lua),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(nothing_leads_out_of_the_box),
        cmocka_unit_test(nothing_stays_for_the_next_row),
        cmocka_unit_test(byte_code_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
