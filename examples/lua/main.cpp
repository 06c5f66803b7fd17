// SPDX-License-Identifier: MIT
// Lua scripts that wait: sleep(seconds), and fetch(line), which asks a server over TCP. 50 of them on one thread.
// Built with Lua as C, which reports errors by longjmp, and with Lua as C++, which throws them: the same code.

#include "../support/line_server.hpp"
#include "../support/run.hpp"

#include <greenback/exception_trap.hpp>

#include <cstdio>
#include <lua.hpp>
#include <memory>

namespace {

counter waiting; ///< scripts inside `sleep` and `fetch`

// [state]
/// A script's own state, and what its C functions need.
struct script {
    asio::ip::tcp::endpoint server{};
    greenback::exception_trap trap{}; // before `lua`: lua_close may call back as well
    std::string answer{};             // here, because a jump out of a C function would not destroy it there
    std::unique_ptr<lua_State, void (*)(lua_State*)> lua{luaL_newstate(), lua_close};

    std::string run(char const* text);

    /// Called by the C functions: calls `f`, which awaits, and calls nothing of Lua's.
    bool wait(auto const& f) {
        return trap.run([&] { return inside(waiting), f(), true; }, false);
    }
};

script& script_of(lua_State* lua) { return **static_cast<script**>(lua_getextraspace(lua)); } // in its coroutines, too
// [/state]

// [stop]
/// There is nothing to go on for: the exception is thrown when the script has ended. From now on each step of it is an
/// error, so that it ends soon, also if it catches errors and tries again for ever.
int stop(lua_State* lua) {
    auto const hook = [](lua_State* at, lua_Debug*) { luaL_error(at, "the script is stopped"); };
    for (lua_State* each : {lua, script_of(lua).lua.get()})
        lua_sethook(each, hook, LUA_MASKCOUNT, 1);
    return luaL_error(lua, "the script is stopped"); // jumps
}
// [/stop]

// [functions]
/// fetch(line), for scripts.
extern "C" int lua_fetch(lua_State* lua) {
    char const* const line = luaL_checkstring(lua, 1); // may jump: no object with a destructor is alive yet
    script& s = script_of(lua);
    if (!s.wait([&] { s.answer = ask(s.server, line); }))   // whatever it throws stays in the trap
        return stop(lua);                                   // jumps: no object with a destructor is alive any more
    lua_pushlstring(lua, s.answer.data(), s.answer.size()); // may jump, for want of memory
    return 1;
}

/// sleep(seconds), for scripts.
extern "C" int lua_sleep(lua_State* lua) {
    lua_Number const seconds = luaL_checknumber(lua, 1);
    bool const slept = script_of(lua).wait([&] {
        if (!(seconds >= 0 && seconds < 1e6))
            throw std::out_of_range("sleep");
        auto const time = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
        asio::steady_timer(greenback::await_(asio::this_coro::executor), time).async_wait(greenback::use_portal);
    });
    return slept ? 0 : stop(lua);
}
// [/functions]

// [run]
/// Synchronous: called on a portal.
std::string script::run(char const* text) {
    *static_cast<script**>(lua_getextraspace(lua.get())) = this;
    luaL_openlibs(lua.get());
    lua_register(lua.get(), "fetch", lua_fetch);
    lua_register(lua.get(), "sleep", lua_sleep);
    int const status = luaL_dostring(lua.get(), text);
    trap.rethrow(); // before the status, and also if the script has caught the error
    char const* const result = lua_tostring(lua.get(), -1);
    if (status != LUA_OK)
        throw std::runtime_error(result ? result : "an error that is no text");
    return result ? result : "";
}
// [/run]

// In a coroutine of Lua's, too; then an error of Lua's jumps over frames that have waited.
constexpr char const* waits = "local c = coroutine.wrap(function() "
                              "coroutine.yield(fetch('one')) sleep(0.001) error('jump') end) "
                              "local one = c() local ok, message = pcall(c) "
                              "return one .. (ok and 'wrong' or message:match('jump')) .. fetch('two')";

} // namespace

int main() try {
    asio::io_context loop;
    line_server server(loop, 50, [](std::string const& line) { return '<' + line + '>'; });
    auto const run = [&] { require(script{server.endpoint()}.run(waits) == "<one>jump<two>", "wrong result"); };
    run_at_once(loop, 50, run);
    require(waiting.most == 50, "the scripts have waited for each other");

    // Itself, not an error of Lua's.
    for (char const* text :
         {"sleep(-1)", "pcall(sleep, -1)", "coroutine.wrap(sleep)(-1)", "while true do pcall(sleep, -1) end"})
        require(throws<std::out_of_range>([&] { run_at_once(loop, 1, [&] { script().run(text); }); }), text);
    {
        asio::io_context doomed;
        greenback::spawn(doomed, [] { script().run("while true do pcall(sleep, 3600) end"); }, greenback::rethrow);
        while (waiting.now == 0)
            doomed.run_one();
    } // destroys the task, which unwinds Lua
    require(waiting.now == 0 && greenback::stats().live == 0, "the script that waited has not been unwound");
    std::puts("50 scripts at once");
} catch (std::exception const& e) {
    std::fprintf(stderr, "lua: %s\n", e.what());
    return 1;
}
