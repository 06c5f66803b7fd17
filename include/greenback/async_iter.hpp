// SPDX-License-Identifier: MIT
// 10. Helpers: an asynchronous sequence as a range.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/await.hpp>
#include <greenback/detail/operation/next_element.hpp>

#include <cstddef>
#include <iterator>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// What `async_iter` returns: an input range, each element of which is awaited. Movable, which leaves its iterators
/// invalid; not a view. Elements may be moved out: `std::move(*it)`.
template <class Source> class async_range {
    using source_type = std::remove_reference_t<Source>;
    static_assert(detail::element_source<source_type>,
                  "greenback::async_iter takes a function that returns an awaitable of std::optional<T>, a channel "
                  "void(error_code, T), or an experimental::coro<T>");

public:
    using value_type = detail::element_of<source_type>;

    async_range(Source&& source, std::source_location where) : source_(std::forward<Source>(source)), where_(where) {}

    class iterator {
    public:
        using iterator_concept = std::input_iterator_tag;
        using iterator_category = std::input_iterator_tag;
        using value_type = async_range::value_type;
        using difference_type = std::ptrdiff_t;
        using reference = value_type&;
        using pointer = value_type*;

        iterator() = default;
        reference operator*() const noexcept { return *range_->current_; }
        pointer operator->() const noexcept { return &*range_->current_; }
        iterator& operator++() {
            range_->advance();
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(iterator const& i, std::default_sentinel_t) noexcept { return i.is_at_end(); }

    private:
        friend async_range;
        bool is_at_end() const noexcept { return !range_ || !range_->current_; }
        explicit iterator(async_range& range) noexcept : range_(&range) {}
        async_range* range_ = nullptr;
    };

    /// Awaits the first element.
    iterator begin() {
        advance();
        return iterator(*this);
    }
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    void advance() {
        current_.reset(); // also if the next one throws: that is the end
        if (auto next = detail::next_element(source_.get(), where_))
            current_.emplace(*std::move(next));
    }

    detail::kept_source<Source> source_;
    std::optional<value_type> current_; ///< empty: before the first, and behind the last
    std::source_location where_;
};

/// The elements of an asynchronous sequence, for a `for` loop, an algorithm, `std::views`. `source` is one of
///
/// - a function that returns an awaitable of `std::optional<T>`, which is empty behind the last element;
/// - a channel or concurrent channel, `void(error_code, T)`: its closing is the end. (In older Asio, 1.26 among them,
///   `close()` drops what is buffered.)
/// - an `asio::experimental::coro<T>`.
///
/// An lvalue is referred to, an rvalue owned. Nothing is awaited before it is asked for, so leaving the loop loses
/// nothing. An exception ends the range. `std::views::take(3)` asks for a fourth element, and waits for it.
///
/// @pre of `begin()` and `++`: as for `await_`.
/// @throws, from `begin()` and `++`, what the source throws; a channel's errors but `channel_closed` · `no_portal` ·
///     `abandoned`.
///
/// Cancellation: as `await_`; it ends the range with `operation_aborted`.
/// Thread safety: one task's, as `await_`.
/// Cost: that of awaiting the element.
/// Example: `for (std::string& line : greenback::async_iter([&] { return next_line(socket); })) use(line);`
template <class Source>
async_range<Source> async_iter(Source&& source, std::source_location where = std::source_location::current()) {
    return async_range<Source>(std::forward<Source>(source), where);
}

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE
