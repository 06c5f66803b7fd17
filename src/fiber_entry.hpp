// SPDX-License-Identifier: MIT
// The frames with which a fiber begins, on its own stack and on its resumer's: they tell unwinders who has entered it, so
// that the backtrace of what runs there goes on in the event loop and ends in `main`.
#pragma once

#include <boost/context/detail/fcontext.hpp>

#include "saved_context.hpp"

// By names that assembler can call: the fiber's main loop (fiber.cpp), and what its visits to the resumer's stack run
// (on_task_stack.cpp).
extern "C" [[gnu::visibility("hidden")]] void greenback_fiber_main(boost::context::detail::transfer_t from) noexcept;
extern "C" [[gnu::visibility("hidden")]] boost::context::detail::transfer_t
greenback_visit_resumer(boost::context::detail::transfer_t arrived) noexcept;

#if defined(GREENBACK_CONTEXT_KNOWN)
/// Calls the first, and is its caller in every backtrace.
extern "C" [[gnu::visibility("hidden")]] void greenback_fiber_entry(boost::context::detail::transfer_t from) noexcept;
#endif
#if defined(GREENBACK_CONTEXT_X86_64)
/// The same for the second.
extern "C" [[gnu::visibility("hidden")]] boost::context::detail::transfer_t
greenback_visit_entry(boost::context::detail::transfer_t arrived) noexcept;
#endif

namespace greenback::detail {

/// What a fiber is to be made with, and what it enters on top of its resumer.
#if defined(GREENBACK_CONTEXT_KNOWN)
inline constexpr auto* fiber_entry = &greenback_fiber_entry;
#else
inline constexpr auto* fiber_entry = &greenback_fiber_main;
#endif
#if defined(GREENBACK_CONTEXT_X86_64)
inline constexpr auto* visit_entry = &greenback_visit_entry;
#else
inline constexpr auto* visit_entry = &greenback_visit_resumer;
#endif

} // namespace greenback::detail
