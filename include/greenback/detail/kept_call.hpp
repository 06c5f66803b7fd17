// SPDX-License-Identifier: MIT
// A call that is made on another stack, or by another thread, than the one that wants its outcome.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace greenback::detail {

/// The function, which stays where it is, and what it has returned or thrown. A returned reference stays one.
template <class F> class kept_call {
public:
    using result = std::invoke_result_t<F>;

    explicit kept_call(F&& f) noexcept : f_(std::forward<F>(f)) {}
    kept_call(kept_call const&) = delete;

    /// Once.
    void run() noexcept {
        try {
            if constexpr (std::is_void_v<result>) {
                std::invoke(std::forward<F>(f_));
            } else if constexpr (std::is_reference_v<result>) {
                result&& referred = std::invoke(std::forward<F>(f_));
                value_ = std::addressof(referred);
            } else {
                value_.emplace(std::invoke(std::forward<F>(f_)));
            }
        } catch (...) {
            error_ = std::current_exception();
        }
    }

    /// @pre it has run, and this has not been called before
    result get() {
        if (error_)
            std::rethrow_exception(std::exchange(error_, nullptr));
        if constexpr (std::is_reference_v<result>)
            return static_cast<result>(**value_);
        else if constexpr (!std::is_void_v<result>)
            return *std::move(value_); // NOLINT(bugprone-unchecked-optional-access): what has not thrown has a value
    }

private:
    struct nothing {};
    using value = std::conditional_t<
        std::is_void_v<result>, nothing,
        std::conditional_t<std::is_reference_v<result>, std::add_pointer_t<std::remove_reference_t<result>>, result>>;

    F&& f_;
    std::optional<value> value_; ///< this and `error_` are written by `run`
    std::exception_ptr error_;
};

} // namespace greenback::detail
