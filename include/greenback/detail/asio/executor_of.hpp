// SPDX-License-Identifier: MIT
// What is an executor, or has one.
#pragma once

#include <greenback/detail/asio/backend.hpp>

#include <type_traits>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class T>
inline constexpr bool is_executor = asio::is_executor<T>::value || asio::execution::is_executor<T>::value;

template <class T>
concept execution_context =
    std::is_convertible_v<T&, asio::execution_context&> && is_executor<typename T::executor_type>;

/// The executor that `spawn` is given, itself or by its context.
template <class ExecutorOrContext> auto executor_of(ExecutorOrContext& where) {
    if constexpr (is_executor<std::remove_const_t<ExecutorOrContext>>)
        return where;
    else
        return where.get_executor();
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
