// SPDX-License-Identifier: MIT
// The one thread-local of the library, behind a function the compiler cannot see through.

#include <greenback/detail/thread_state.hpp>

// Itanium C++ ABI, exception handling, 2.2.2. Declared here because <cxxabi.h> of LLVM's libc++abi leaves it out.
extern "C" greenback::detail::exception_state* __cxa_get_globals() noexcept;

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
        s->exceptions = __cxa_get_globals();
    return *s;
}

} // namespace greenback::detail
