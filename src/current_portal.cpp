// SPDX-License-Identifier: MIT
// The one thread-local of the library, behind a function the compiler cannot see through.

#include <greenback/detail/thread_state.hpp>

#include <cxxabi.h>

namespace greenback::detail {
namespace {

constinit thread_local thread_state state;

} // namespace

[[gnu::noinline]] thread_state& this_thread() noexcept {
    thread_state* s = &state;
    // noinline alone still lets a compiler see that the function is pure and call it once for two calls (in a build with
    // link-time optimisation). The empty statement may change *s, for all it knows.
    asm volatile("" : "+r"(s) : : "memory");
    if (!s->exceptions) [[unlikely]]
        s->exceptions = reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
    return *s;
}

} // namespace greenback::detail
