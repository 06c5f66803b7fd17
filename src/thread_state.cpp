// SPDX-License-Identifier: MIT
// The one thread-local of the library, behind a function the compiler cannot see through.

#include <greenback/detail/fiber/thread_state.hpp>

// Itanium C++ ABI, exception handling, 2.2.2. Declared here because <cxxabi.h> of LLVM's libc++abi leaves it out, and
// exactly as GCC's declares it, which <exception> may have included.
namespace __cxxabiv1 {
struct __cxa_eh_globals;
extern "C" __cxa_eh_globals* __cxa_get_globals() noexcept; // NOLINT(readability-redundant-declaration)
} // namespace __cxxabiv1

namespace greenback::detail {
constinit thread_local thread_state state_of_this_thread;

namespace {

GREENBACK_COLD void first_seen(thread_state& thread) noexcept {
    thread.exceptions = reinterpret_cast<exception_state*>(__cxxabiv1::__cxa_get_globals());
    watch_for_overflow();
}

} // namespace

GREENBACK_READS_THREAD_LOCAL thread_state& this_thread() noexcept {
    thread_state* s = &state_of_this_thread;
    // noinline alone still lets a compiler see that the function is pure and call it once for two calls (in a build
    // with link-time optimisation). The empty statement may change *s, for all it knows.
    asm volatile("" : "+r"(s) : : "memory");
    if (!s->exceptions) [[unlikely]]
        first_seen(*s);
    return *s;
}

GREENBACK_READS_THREAD_LOCAL portal_base* raw_current_portal() noexcept {
    asm volatile("" : : : "memory"); // as above
    return state_of_this_thread.current;
}

} // namespace greenback::detail
