// SPDX-License-Identifier: MIT
// Where the elements of an asynchronous sequence come from; see async_iter.hpp.
#pragma once

#include <greenback/detail/asio/backend.hpp>
#include <greenback/detail/config.hpp>
#include <greenback/detail/operation/await_now.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/experimental/channel_error.hpp>
#else
#include <asio/experimental/channel_error.hpp>
#endif

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class S>
concept channel_source = requires(S& s, use_this_portal token) {
    s.is_open();
    requires !std::is_void_v<decltype(s.async_receive(token))>; // one that says no more than that there was something
};
template <class S>
concept coro_source = !channel_source<S> && requires(S& s, use_this_portal token) { s.async_resume(token); };
template <class S>
concept function_source = !channel_source<S> && !coro_source<S> &&
                          requires(S& s, std::source_location where) { await_now(std::invoke(s), where); };

/// The next element; empty at the end.
template <channel_source S> auto next_element(S& s, std::source_location where) {
    auto const receive = [&] { return await_operation([&](auto token) { return s.async_receive(token); }, where); };
    std::optional<decltype(receive())> element;
    try {
        element.emplace(receive());
    } catch (system_error const& e) {
        if (e.code() != asio::experimental::error::channel_closed)
            throw;
    }
    return element;
}
template <coro_source S> auto next_element(S& s, std::source_location where) {
    return await_operation([&](auto token) { return s.async_resume(token); }, where);
}
template <function_source S> auto next_element(S& s, std::source_location where) {
    return await_now(std::invoke(s), where);
}

template <class T> inline constexpr bool is_optional = false;
template <class T> inline constexpr bool is_optional<std::optional<T>> = true;

template <class S>
concept element_source =
    requires(S& s, std::source_location where) { requires is_optional<decltype(next_element(s, where))>; };
template <element_source S>
using element_of = typename decltype(next_element(std::declval<S&>(), std::source_location()))::value_type;

/// A source that is owned, or referred to. Move assignment makes it anew: closures can't be assigned.
template <class Source> class kept_source {
public:
    explicit kept_source(Source&& source) : source_(std::in_place, std::move(source)) {}
    kept_source(kept_source&&) = default;
    kept_source& operator=(kept_source&& other) noexcept(std::is_nothrow_move_constructible_v<Source>) {
        if (this != &other) {
            source_.reset();
            if (other.source_)
                source_.emplace(*std::move(other.source_));
        }
        return *this;
    }
    Source& get() noexcept { return *source_; }

private:
    std::optional<Source> source_; ///< empty only where moving has thrown
};
template <class Source> class kept_source<Source&> {
public:
    explicit kept_source(Source& source) noexcept : source_(std::addressof(source)) {}
    Source& get() noexcept { return *source_; }

private:
    Source* source_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
