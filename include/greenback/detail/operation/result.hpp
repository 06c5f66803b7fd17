// SPDX-License-Identifier: MIT
// What an operation hands to its handler, and what becomes of it: a returned value, or an exception.
#pragma once

#include <greenback/detail/asio/backend.hpp>

#include <exception>
#include <optional>
#include <tuple>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// The values of an operation's result, on the waiting fiber's stack: from the handler's arguments to a returned value
/// or an exception.
template <class... Ts> class operation_values {
public:
    using type = std::tuple<Ts...>;
    template <class... Us> void set(Us&&... us) { value_.emplace(std::forward<Us>(us)...); }
    type get() { return std::move(*value_); }

private:
    std::optional<type> value_;
};

template <> class operation_values<> {
public:
    using type = void;
    void set() noexcept {}
    void get() noexcept {}
};

template <class T> class operation_values<T> {
public:
    using type = T;
    template <class U> void set(U&& u) { value_.emplace(std::forward<U>(u)); }
    type get() { return std::move(*value_); }

private:
    std::optional<T> value_;
};

/// An operation's result: its values, and before them its error, if it has one.
template <class... Ts> class operation_result : public operation_values<Ts...> {};

template <class... Ts> class operation_result<error_code, Ts...> : public operation_values<Ts...> {
public:
    template <class... Us> void set(error_code const& ec, Us&&... us) {
        error_ = ec;
        operation_values<Ts...>::set(std::forward<Us>(us)...);
    }
    auto get() {
        if (error_) [[unlikely]]
            throw system_error(error_);
        return operation_values<Ts...>::get();
    }

private:
    error_code error_;
};

template <class... Ts> class operation_result<std::exception_ptr, Ts...> : public operation_values<Ts...> {
public:
    template <class... Us> void set(std::exception_ptr e, Us&&... us) {
        error_ = std::move(e);
        operation_values<Ts...>::set(std::forward<Us>(us)...);
    }
    auto get() {
        if (error_) [[unlikely]]
            std::rethrow_exception(std::exchange(error_, nullptr));
        return operation_values<Ts...>::get();
    }

private:
    std::exception_ptr error_;
};

#if GREENBACK_ASIO_VERSION >= 103300
/// Whatever else tells whether an operation has failed, as its `disposition_traits` say.
template <class Disposition, class... Ts>
    requires asio::is_disposition<Disposition>::value
class operation_result<Disposition, Ts...> : public operation_values<Ts...> {
public:
    template <class... Us> void set(Disposition d, Us&&... us) {
        disposition_ = std::move(d);
        operation_values<Ts...>::set(std::forward<Us>(us)...);
    }
    auto get() {
        if (disposition_ != asio::no_error) [[unlikely]]
            asio::throw_exception(std::exchange(disposition_, Disposition()));
        return operation_values<Ts...>::get();
    }

private:
    Disposition disposition_{};
};
#endif

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
