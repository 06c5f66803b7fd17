// SPDX-License-Identifier: MIT
// Code that needs more stack than a portal has.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/kept_call.hpp>

#include <type_traits>
#include <utility>

namespace greenback::detail {

/// Call `run(argument)` on the stack of whoever has resumed the portal in force, with no portal in force; where there
/// is none, here.
void run_on_task_stack(void (*run)(void*) noexcept, void* argument) noexcept;

} // namespace greenback::detail

namespace greenback {

/// Call `f` on the task's own stack, which is a thread's (megabytes), and return what it returns.
///
/// For a function that recurses deeply, or has large arrays, and does not await: so that stacks of portals can stay
/// small. Also for code that must not be taken for the portal's own: what it runs inline has no portal.
///
/// `f` may not await: `has_portal()` is false in it. It sees no exception that the caller is handling. Works in every
/// state of a portal, also in a destructor while the task is being destroyed; off every portal it is a plain call. Where
/// a portal was resumed by the synchronous code of another one, as in a nested event loop, its task's stack is that
/// portal's.
///
/// @returns what `f` returns; a reference stays one.
/// @throws what `f` throws, as it is.
///
/// Cancellation: none; nothing is awaited.
/// Thread safety: `f` runs on the calling thread, and the caller goes on on it.
/// Cost: two stack switches; no allocation, unless `f` throws.
/// Example: `auto const match = greenback::on_task_stack([&] { return std::regex_match(text, pattern); });`
template <class F> std::invoke_result_t<F> on_task_stack(F&& f) {
    using call = detail::kept_call<F>;
    call made_there(std::forward<F>(f));
    detail::run_on_task_stack([](void* c) noexcept { static_cast<call*>(c)->run(); }, &made_there);
    return made_there.get();
}

} // namespace greenback
