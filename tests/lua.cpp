// SPDX-License-Identifier: MIT
//
// A library that recurses by itself, as far as its own limit allows: Lua. Its scripts must find room on a portal's
// default stack, whatever harmless thing they do.

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/every_kind.hpp"
#include "support/tasks.hpp"

#include <lua.hpp>

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

using greenback::await_;
using test::contains;
using test::in_child;
using test::outcome;
using test::run_task;
using test::say;

namespace {

/// Called by Lua at the bottom of its recursion. C code stands between here and the portal: an exception ends here.
int wait_for_five(lua_State* lua) noexcept {
    try {
        lua_pushinteger(lua, await_(test::value_of(5, true)));
        return 1;
    } catch (...) {
        return 0;
    }
}

/// What a script returned, or the text of its error.
std::string run_script(std::string const& script) {
    std::unique_ptr<lua_State, void (*)(lua_State*)> const lua(luaL_newstate(), lua_close);
    luaL_openlibs(lua.get());
    lua_register(lua.get(), "wait_for_five", wait_for_five);
    luaL_dostring(lua.get(), script.c_str());
    char const* const result = lua_tostring(lua.get(), -1);
    return result ? result : "nothing";
}

/// A function that replaces a letter by what it itself returns for one level less, `levels` deep, each of them a C
/// function (gsub) that calls a Lua function.
std::string nested_gsub(std::string_view levels) {
    return "local function nested(levels)\n"
           "  if levels == 0 then return tostring(wait_for_five()) end\n"
           "  return (string.gsub('x', 'x', function() return nested(levels - 1) end))\n"
           "end\n"
           "return nested(" +
           std::string(levels) + ")";
}

/// The script's result in a portal on a stack of the default size. In a child: an overflow is to fail one test only.
outcome in_portal(std::string const& script) {
    return in_child([&] {
        say(run_task(greenback::with_portal_run_sync([&] { return run_script(script); })).c_str());
        return 0;
    });
}

} // namespace

TEST_CASE("180 nested calls of gsub fit on a portal's default stack, with an await below them", "[lua]") {
    outcome const result = in_portal(nested_gsub("180"));
    CAPTURE(result.status);
    CHECK(result.exited_with(0));
    CHECK(result.said == "5");
}

TEST_CASE("a script that never stops recursing gets Lua's own error, not an overflow of the portal's stack", "[lua]") {
    std::string const script =
        GENERATE(nested_gsub("math.huge"),
                 // The same with an error handler, which may go deeper by another tenth.
                 std::string("local function nested() return (string.gsub('x', 'x', nested)) end\n"
                             "return select(2, xpcall(nested, function(e) return (string.gsub(e, '.', {})) end))"),
                 std::string("local t = setmetatable({}, {})\n"
                             "getmetatable(t).__index = function(_, k) return t[k + 1] end\n"
                             "return t[1]"),
                 std::string("return load(string.rep('(', 1000) .. '1' .. string.rep(')', 1000))"));
    CAPTURE(script);
    outcome const result = in_portal(script);
    CAPTURE(result.status);
    CHECK(result.exited_with(0));
    CHECK(contains(result.said, "C stack overflow"));
}
