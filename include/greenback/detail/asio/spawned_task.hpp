// SPDX-License-Identifier: MIT
// Recognises a task that `co_spawn` starts, by the function that it gives to the task's executor.
#pragma once

#include <greenback/detail/asio/access.hpp>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// @returns the entry frame of the task whose step `f` is, if it is a step that `co_spawn` itself awaits
inline entry_frame<asio::any_io_executor>* spawned_task(erased_function& f) noexcept {
    using frames = frame_access<asio::any_io_executor>;
    using impl = decltype(class_of_member(revealed(function_handler_tag())));
    auto* const base = f.*revealed(function_impl_tag());
    if (!base || base->complete_ != revealed(function_complete_tag()))
        return nullptr;
    task_thread<asio::any_io_executor>& owner = (static_cast<impl*>(base)->*revealed(function_handler_tag())).handler_;
    auto* const entry = owner.entry_point();
    auto* const top = private_access::top_of_stack(*entry);
    bool const awaited_by_entry = top == entry || (top && frames::caller(*top) == entry);
    return awaited_by_entry ? entry : nullptr;
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
