// SPDX-License-Identifier: MIT
// Lua scripts that wait: a C function of theirs awaits. Lua reports errors by longjmp, and is written in C, so no
// exception may pass through it and no jump over an object that has a destructor.

#include <asio.hpp>
#include <greenback/greenback.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <lua.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

int waiting = 0; ///< scripts inside `wait`

void sleep(std::chrono::milliseconds time) {
    asio::steady_timer timer(greenback::await_(asio::this_coro::executor), time);
    std::shared_ptr<void> const left(nullptr, [](void*) { --waiting; });
    ++waiting;
    timer.async_wait(greenback::use_portal);
}

/// The exception that a script's C functions have met. Coroutines of Lua share it with the state that made them.
std::exception_ptr& error_of(lua_State* lua) { return **static_cast<std::exception_ptr**>(lua_getextraspace(lua)); }

// [function]
/// wait(milliseconds), for scripts.
int lua_wait(lua_State* lua) {
    lua_Integer const time = luaL_checkinteger(lua, 1); // may jump: no object with a destructor is alive yet
    try {
        if (time < 0)
            throw std::out_of_range("the past");
        sleep(std::chrono::milliseconds(time)); // awaits
        return 0;
    } catch (...) { // whatever it is: it must not pass through Lua
        error_of(lua) = std::current_exception();
    }
    return luaL_error(lua, "wait has failed"); // jumps: after the handler, where nothing with a destructor is alive
}
// [/function]

// [script]
/// Synchronous: called through a portal.
std::string run_script(char const* text) {
    std::exception_ptr error;
    std::unique_ptr<lua_State, void (*)(lua_State*)> const lua(luaL_newstate(), lua_close);
    *static_cast<std::exception_ptr**>(lua_getextraspace(lua.get())) = &error;
    luaL_openlibs(lua.get());
    lua_register(lua.get(), "wait", lua_wait);

    int const status = luaL_dostring(lua.get(), text);
    if (error) // also if the script has caught Lua's error
        std::rethrow_exception(std::exchange(error, nullptr));
    std::string const result = lua_tostring(lua.get(), -1);
    if (status != LUA_OK)
        throw std::runtime_error(result);
    return result;
}
// [/script]

void require(bool condition, char const* text) {
    if (!condition)
        throw std::runtime_error(text);
}

constexpr char const* loop_script = "for i = 1, 10 do wait(5) end return 'loop'";
// A coroutine of Lua's waits, and an error of Lua's jumps over frames that have waited.
constexpr char const* jump_script =
    "local c = coroutine.wrap(function() wait(5) coroutine.yield(1) wait(5) error('x') end) "
    "local one = c() local ok, message = pcall(c) wait(5) "
    "return (one == 1 and not ok) and 'jump' or 'wrong'";

} // namespace

int main() try {
    std::string order;
    {
        asio::io_context loop;
        for (char const* script : {loop_script, jump_script})
            greenback::spawn(loop, [&order, script] { order += run_script(script) + ' '; }, greenback::rethrow);
        loop.run();
        require(order == "jump loop ", "the scripts did not run side by side");

        // Exceptions leave as what they are, also through a script's pcall.
        for (char const* script : {"wait(-1) return ''", "pcall(wait, -1) return 'caught'"}) {
            greenback::spawn(loop, [script] { run_script(script); }, greenback::rethrow);
            loop.restart();
            try {
                loop.run();
                require(false, "no exception");
            } catch (std::out_of_range const&) {
            }
        }
    }
    {
        asio::io_context loop;
        greenback::spawn(loop, [] { run_script("wait(3600000)"); }, greenback::rethrow);
        while (waiting == 0)
            loop.run_one();
    }
    require(waiting == 0, "the script that waited has not been unwound");
    std::puts(order.c_str());
} catch (std::exception const& e) {
    std::fprintf(stderr, "lua: %s\n", e.what());
    return 1;
}
