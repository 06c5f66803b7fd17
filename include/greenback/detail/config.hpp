// SPDX-License-Identifier: MIT
// What is asked of the compiler, and what it must be told: language, sanitizers, attributes, assertions. The first
// thing that each public header with code in it includes, so that a build that lacks something is told so before
// anything else goes wrong.
#pragma once

// ---- the language ---------------------------------------------------------------------------------------------------

#if !defined(__cplusplus) || __cplusplus < 202002L
#error \
    "greenback needs C++20: compile with -std=c++20 (CMake: target_compile_features(program PRIVATE cxx_std_20), or CMAKE_CXX_STANDARD 20)."
#elif !defined(__cpp_impl_coroutine)
#error \
    "greenback needs C++20 coroutines, which this compiler has not, or which an option such as -fno-coroutines has switched off: use g++ 12 or clang 16, or newer, with -std=c++20."
#elif !defined(__cpp_rtti)
#error "greenback needs RTTI, as Asio does: executors are compared by their types. Compile without -fno-rtti."
#endif

// ---- sanitizers -----------------------------------------------------------------------------------------------------

#if defined(__SANITIZE_ADDRESS__)
#define GREENBACK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GREENBACK_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define GREENBACK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GREENBACK_TSAN 1
#endif
#endif

// ---- attributes, each with its reason -------------------------------------------------------------------------------

/// Lies around a switch of stacks, or on the way to one. A processor predicts returns by the calls it saw: a frame that
/// is left on one stack and returned through on another costs a misprediction, so there are to be none.
#define GREENBACK_SWITCH_PATH [[gnu::always_inline]]

/// Lies beside such a path, and is kept out of it: what is inlined there makes the path save more registers.
#define GREENBACK_OUT_OF_LINE [[gnu::noinline]]

/// The same for what runs once, or when something has gone wrong.
#define GREENBACK_COLD [[gnu::noinline, gnu::cold]]

/// Reads a thread-local where the stack may have changed threads since the caller began: inlined there, the compiler
/// would use an address that it has computed for the thread before.
#define GREENBACK_READS_THREAD_LOCAL [[gnu::noinline]]

/// For what runs inside a trampoline's `await_suspend` while somebody else may already resume it: nothing of it may
/// live in the coroutine's frame. clang before 17 may put it there when it is inlined (llvm-project issue 56301); a
/// call prevents it.
#if defined(__clang__)
#define GREENBACK_IN_AWAIT_SUSPEND [[gnu::noinline]]
#else
#define GREENBACK_IN_AWAIT_SUSPEND [[gnu::always_inline]]
#endif

// ---- wide loads -----------------------------------------------------------------------------------------------------

/// The value of a pointer that may have been stored just now. g++ 12 and newer load and store two neighbours as one, at
/// -O2 too; and a wide load of what two stores have just written waits until both have reached the cache, some 4 ns.
/// What has to be in a register of its own is not loaded so.
namespace greenback::detail {
template <class T> GREENBACK_SWITCH_PATH inline T* loaded_alone(T* p) noexcept {
    asm("" : "+r"(p));
    return p;
}
} // namespace greenback::detail

// ---- assertions -----------------------------------------------------------------------------------------------------

/// Holds the code to what its comments say. A switch of its own, set by CMake's option GREENBACK_ASSERTIONS, because
/// NDEBUG is every program's own and these stand in headers: all of a program must agree.
namespace greenback::detail {
[[noreturn]] void assertion_failed(char const* condition, char const* file, int line) noexcept;
}
#if defined(GREENBACK_ASSERTIONS)
#define GREENBACK_ASSERT(condition) \
    (static_cast<bool>(condition) ? void() : ::greenback::detail::assertion_failed(#condition, __FILE__, __LINE__))
#else
#define GREENBACK_ASSERT(condition) static_cast<void>(sizeof((condition) ? 1 : 0))
#endif
