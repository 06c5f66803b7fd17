// SPDX-License-Identifier: MIT
// Code that needs more stack than a portal has.
#pragma once

#include <greenback/detail/config.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace greenback::detail {

/// Call `run(argument)` on the stack of whoever has resumed the portal in force, with no portal in force; where there
/// is none, here.
void run_on_task_stack(void (*run)(void*) noexcept, void* argument) noexcept;

/// A call whose outcome is kept until it is wanted on another stack.
template <class F> class call_elsewhere {
    using result = std::invoke_result_t<F>;
    struct nothing {};
    using kept = std::conditional_t<
        std::is_void_v<result>, nothing,
        std::conditional_t<std::is_reference_v<result>, std::add_pointer_t<std::remove_reference_t<result>>, result>>;

public:
    explicit call_elsewhere(F&& f) noexcept : f_(std::forward<F>(f)) {}

    static void run(void* self) noexcept {
        auto& call = *static_cast<call_elsewhere*>(self);
        try {
            if constexpr (std::is_void_v<result>) {
                std::invoke(std::forward<F>(call.f_));
            } else if constexpr (std::is_reference_v<result>) {
                result&& referred = std::invoke(std::forward<F>(call.f_));
                call.result_ = std::addressof(referred);
            } else {
                call.result_.emplace(std::invoke(std::forward<F>(call.f_)));
            }
        } catch (...) {
            call.error_ = std::current_exception();
        }
    }

    result get() {
        if (error_)
            std::rethrow_exception(std::move(error_));
        if constexpr (std::is_reference_v<result>)
            return static_cast<result>(**result_);
        else if constexpr (!std::is_void_v<result>)
            return std::move(*result_);
    }

private:
    F&& f_;
    std::exception_ptr error_;
    std::optional<kept> result_;
};

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
    detail::call_elsewhere<F> call(std::forward<F>(f));
    detail::run_on_task_stack(&call.run, &call);
    return call.get();
}

} // namespace greenback
