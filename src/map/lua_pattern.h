/*
 * Lua's patterns, with an end: find, match, gmatch and gsub that count what they try. The matcher of Lua's own library goes
 * back over a text as often as a pattern makes it, and no instruction is counted in it; here the work is bounded.
 * What matches is what matches there (Lua 5.4 manual, 6.4.1).
 */
#ifndef GW_MAP_LUA_PATTERN_H
#define GW_MAP_LUA_PATTERN_H

#include <lua.h>

#include <stdint.h>

/* Puts the four functions into the table on top of the stack. *budget is what they may still try, in steps; an error is
 * raised when it is used up. It must live as long as the state. */
void gw_lua_set_patterns(lua_State *L, int64_t *budget);

#endif
